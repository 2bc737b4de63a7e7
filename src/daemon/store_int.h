/*
 * store_int - what the files of the store share: the format's frames, its two files, the flusher.
 */
#ifndef IPSPD_STORE_INT_H
#define IPSPD_STORE_INT_H

#include "daemon/store.h"
#include <pthread.h>
#include <sys/types.h>

/* ---------------------------------------------------------------- the format (store_frame.c) */

#define STORE_HEADER_LEN 32
#define STORE_FRAME_LEN	 32
#define STORE_VERSION	 1
#define STORE_BOOT_LEN	 36

enum store_frame_type {
	STORE_START = 1,   /* a daemon began to write: boot_id of the host */
	STORE_CONTEXT = 2, /* .context is the context of this name */
	STORE_RECS = 3,	   /* records of one turn */
	STORE_MARK = 4,	   /* nothing; says .flushed */
	STORE_FORGET = 5,  /* .context is no more */
	STORE_FRAME_TYPES
};

struct store_frame {
	uint8_t type;
	uint32_t context;
	uint64_t at, flushed;
	const uint8_t *data; /* borrowed from the reader */
	uint32_t len;
};

struct store_reader { /* a window on a file */
	int fd;
	uint64_t size, base;
	struct ipsp_buf buf;
	int error; /* errno of a read that failed */
};

void store_header_put(struct ipsp_buf *buf);
int store_header_check(struct store_reader *rd, const char *path, char *why, size_t n_why);
uint64_t store_frame_size(uint32_t len);
void store_frame_put(struct ipsp_buf *buf, uint64_t base, const struct store_frame *frame);
bool store_frame_get(struct store_reader *rd, uint64_t at, struct store_frame *frame);

int store_reader_open(struct store_reader *rd, int fd);
void store_reader_fini(struct store_reader *rd);
const uint8_t *store_reader_at(struct store_reader *rd, uint64_t at, size_t n);

/*
 * The log from its first bad frame @at on. Returns IPSP_ERR_DAMAGED where what stands there can't
 * be the end of a write that was cut short (the head of store_frame.c says how that is told);
 * IPSP_ERR_IO; else 0, and in *garbage one more than the last byte that is not zero (or @at).
 * @same_boot: no power was lost since @at was written. @clean: the frame before @at is the mark of
 * a stop in order.
 */
int store_tail_check(struct store_reader *rd, uint64_t at, bool same_boot, bool clean,
		     uint64_t *garbage);

void store_boot_id(char boot[STORE_BOOT_LEN + 1]);

/* ---------------------------------------------------------------- the store */

enum store_job { STORE_IDLE, STORE_FLUSH, STORE_SWITCH, STORE_DONE };
enum store_stage { STORE_REST, STORE_ORPHANS, STORE_SLICES, STORE_ROOM, STORE_SWITCHING };

struct store_file {
	int fd;
	uint64_t end;	  /* what is written ends here; only the loop moves it */
	uint64_t zeroed;  /* zeros are written up to here (>= end); under the lock */
	uint64_t flushed; /* everything before it is durable */
};

struct store_context { /* number is the place in the list plus 1 */
	char name[IPSP_NAME_MAX];
	void *user;
	bool gone, copied; /* forgotten; .copied: its slices have begun: what is put goes aside as
			      well */
	uint64_t written, flushing, flushed; /* seq of records */
};

struct ipspd_store {
	char *dir;
	char torn[32];	   /* the file that a torn end was kept in; "": there was none */
	mode_t loose_mode; /* of the directory, with which others could write to it; 0: none */
	int dir_fd, lock_fd, event_fd;
	struct ipspd_store_user ops;
	struct store_context *contexts;
	uint32_t n_contexts;
	struct store_file log, aside;
	struct ipsp_buf out, aside_out; /* put, not yet written */
	bool is_new, dirty, flush_wanted;
	bool same_boot;			/* the log was last written since the host was started */
	uint64_t cut, recs_end, marked; /* end of the last frame that is no mark; what the newest
					   frame says of .flushed */
	int failed;			/* once not 0 it stays */
	char why[400];

	/* compaction, the loop's side */
	enum store_stage stage;
	uint64_t growth,
		compact_at; /* begins when the log ends there: at twice the last size and .growth */
	uint64_t cursor, orphans_end;
	uint32_t slicing; /* number of the context */
	struct ipsp_buf slice;
	struct store_reader orphans;

	/* shared with the flusher, under the lock */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, made;
	enum store_job job;
	uint64_t job_log_end, job_aside_end;
	int job_errno;
	uint64_t job_us;		 /* how long the disk took for it */
	struct ipsp_histogram flushes;	 /* the loop's own */
	uint64_t job_since, job_longest; /* ms; the loop's own. .job_since 0: none runs */
	const struct store_file *making; /* whose room is being made, or NULL */
	bool want_aside, want_aside_room, full, aside_full, nudging, quit;
	struct timespec look_at; /* when a full disk is looked at again; CLOCK_MONOTONIC */
	uint64_t nudged;	 /* how far the aside file was told to go to the disk */
	int closing_fd;		 /* the log of before a switch, or -1 */
	int room_errno;
	bool running;
};

int store_fail(struct ipspd_store *s, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* store.c: writes @buf at the end of @file and clears it; 0 or an errno */
int store_file_write(struct ipspd_store *s, struct store_file *file, struct ipsp_buf *buf);
int store_create_aside(struct ipspd_store *s); /* an empty store.new, or -1 with errno */
void store_put_start(struct ipsp_buf *buf, uint64_t base, uint64_t flushed);

/* store_flush.c */
int store_thread_start(struct ipspd_store *s);
void store_thread_stop(struct ipspd_store *s);
void store_job_begin(struct ipspd_store *s, enum store_job job);
bool store_room_lacks(const struct store_file *file); /* under the lock */

/* store_compact.c */
void store_compact_abort(struct ipspd_store *s);
void store_compact_switched(struct ipspd_store *s);

#endif
