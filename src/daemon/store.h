/*
 * store - one append-only log on disk for all contexts of a daemon.
 *
 * The shell puts the records of a turn, writes them with one write(2), and asks for flushes, which
 * run in a thread of the store's own and share themselves out over as many turns as came
 * meanwhile. What was written survives the process; what was flushed survives the host.
 *
 * Files in the state directory: `store` (store_frame.c spells its format out), `store.new` while it
 * is being compacted, `lock`, and `torn.N` with what was cut off the log after a stop. The
 * directory and the log must be the daemon's own, or root's. Others lose the right to write to the
 * directory; no link in it is followed. Only the flusher thread blocks on the disk; a turn waits
 * for it only where it would overtake the room that is being made, 256 KiB at a time.
 *
 * Errors are negative (err.h); ipspd_store_why() has the words. After IPSP_ERR_IO or
 * IPSP_ERR_NOMEM nothing more may be told: the daemon stops.
 */
#ifndef IPSPD_STORE_H
#define IPSPD_STORE_H

#include "base/bytes.h"
#include "base/histogram.h"
#include "core/conf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipspd_store;

#define IPSPD_STORE_VOID UINT64_MAX

/* Where the records of each context go to, and come from. @user is what .context gave. */
struct ipspd_store_user {
	void *arg;
	/* A context is named in the log. NULL: nobody here knows it; its records are kept as they
	 * are. */
	void *(*context)(void *arg, const char *name, uint32_t number);
	/* The records of one _put, or of one slice, in order. Not 0: the store cannot be used, open
	 * fails with that. */
	int (*records)(void *user, const uint8_t *recs, size_t n);
	/* All that came for this one so far is void (the context was removed, and its name used
	 * again). */
	void (*forget)(void *user);
	/* Everything durable of @user in slices, as ipsp_node_snapshot; IPSPD_STORE_VOID is its end
	 * in vain. */
	bool (*snapshot)(void *user, uint64_t *cursor, size_t max, struct ipsp_buf *recs);
};

/*
 * Makes @dir where there is none, locks it, reads the log through @ops (copied) and starts the
 * flusher. All that was read is durable when this returns. 0, or with a sentence in @why that says
 * what to do: IPSP_ERR_BUSY (another daemon has the directory), IPSP_ERR_DAMAGED, IPSP_ERR_VERSION
 * (made by a newer one), IPSP_ERR_IO, IPSP_ERR_NOMEM, or what .records returned.
 */
int ipspd_store_open(const char *dir, const struct ipspd_store_user *ops,
		     struct ipspd_store **store, char *why, size_t n_why);
void ipspd_store_close(struct ipspd_store *store); /* flushes what was written; NULL is fine */

/* The log was last opened since the host was started: nothing that was written can be missing. */
bool ipspd_store_same_boot(const struct ipspd_store *store);
bool ipspd_store_is_new(const struct ipspd_store *store); /* there was no log before this start */
uint64_t ipspd_store_cut(
	const struct ipspd_store *store); /* bytes of a torn end that were cut off at open */
/* ... and the file of the directory that they were kept in, or "". */
const char *ipspd_store_cut_file(const struct ipspd_store *store);
/* The mode with which others could write to the directory, which was taken away; 0: they could not.
 */
unsigned ipspd_store_loose_mode(const struct ipspd_store *store);
uint64_t
ipspd_store_size(const struct ipspd_store *store); /* of the log, without the room kept back */
const char *ipspd_store_why(const struct ipspd_store *store); /* the last error in words, or "" */

/*
 * The number of a context for _put; a new one is named in the log with the next write. One that the
 * log has but that nobody knew so far is read into @user now. 0: it could not be read, or no
 * memory.
 */
uint32_t ipspd_store_context(struct ipspd_store *store, const char *name, void *user);
void ipspd_store_forget(struct ipspd_store *store,
			uint32_t number); /* removed from the configuration */
/* Calls @each for every context of the log that has no user (its records are kept). */
void ipspd_store_unknown(const struct ipspd_store *store, void (*each)(void *arg, const char *name),
			 void *arg);

/* The records of one turn of one context (act->recs) and the number of the last of them
 * (act->rec_seq). */
void ipspd_store_put(struct ipspd_store *store, uint32_t number, const void *recs, size_t n,
		     uint64_t seq);
int ipspd_store_write(struct ipspd_store *store); /* all that was put, at once */

/* A flush of all that is written begins now, or when the one that runs has ended. */
void ipspd_store_flush(struct ipspd_store *store);
bool ipspd_store_dirty(
	const struct ipspd_store *store); /* records are written that no flush was asked for */
/* Readable when a flush has ended or the state of the disk has changed: then call _collect. */
int ipspd_store_event_fd(const struct ipspd_store *store);
int ipspd_store_collect(struct ipspd_store *store); /* 0, or IPSP_ERR_IO */
uint64_t ipspd_store_flushed(const struct ipspd_store *store,
			     uint32_t number); /* the last seq that is durable */
bool ipspd_store_full(const struct ipspd_store
			      *store); /* room is kept back for what must go on, and for no more */
/* How long the flush that runs has taken so far, in ms, 0: none runs; and the longest that has
 * ended. */
uint64_t ipspd_store_flush_ms(const struct ipspd_store *store);
uint64_t ipspd_store_flush_longest(const struct ipspd_store *store);
/* How long the disk took for each flush, and for each switch to a compacted log. */
const struct ipsp_histogram *ipspd_store_flushes(const struct ipspd_store *store);
/* The whole process stood still for so long, so what a flush took meanwhile says nothing of the
 * disk.
 */
void ipspd_store_paused(struct ipspd_store *store, uint64_t ms);
/* IPSP_ERR_IO where the log is no longer in its directory: what is written is lost with the
 * process. */
int ipspd_store_there(struct ipspd_store *store);
/* Once a second or so: flushes what is dirty, and else marks in the log how far it is durable. */
int ipspd_store_tick(struct ipspd_store *store);

/*
 * After the write of every turn: begins to compact when the log has grown enough, takes one slice
 * where it is at it. *again: call soon again, also without a turn. A full disk ends the
 * attempt without harm. 0, or IPSP_ERR_IO.
 */
int ipspd_store_compact(struct ipspd_store *store, bool *again);
void ipspd_store_compact_at(struct ipspd_store *store,
			    uint64_t growth); /* bytes grown beyond twice the last size; 8 MiB */

#endif
