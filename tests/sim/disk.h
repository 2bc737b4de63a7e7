/*
 * disk - the log and the lease file of one host. What is written survives the death of the process;
 * what is not flushed is lost in part or whole with the power.
 *
 * A flush covers what was written when it began. The log may be rewritten by a compaction: slices
 * of a snapshot, with the records that steps make meanwhile in between, then a rename.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "core/node.h"
#include "queue.h"
#include "rand.h"

struct world;
struct host;

struct disk_log {
	struct ipsp_buf bytes; /* records: u16 length | bytes */
	size_t *ends;	       /* of the n records, as offsets */
	size_t n, cap;
};

struct disk_copy { /* for a roll-back */
	struct disk_log log;
	bool valid;
};

struct disk {
	struct sim_rand rand;
	sim_us flush_min, flush_max;
	struct disk_log log;
	size_t n_durable;     /* records that a loss of power leaves */
	size_t turn_start;    /* where the last turn's records begin */
	uint64_t written_seq; /* rec_seq at the last write */
	bool flushing, again;
	uint32_t gen;  /* of the flush that runs; a death of the process makes the old ones void */
	size_t covers; /* of the flush that runs: records, rec_seq, when it began */
	uint64_t covers_seq;
	sim_us began_at;
	sim_us durable_at; /* all that was told before this time is durable */
	uint64_t epoch, covers_epoch, durable_epoch;
	bool sync_due;
	struct disk_log aside; /* a compaction's new log */
	uint64_t cursor;
	bool compacting;
	struct ipsp_lease_note lease;
	uint32_t lease_boot; /* 0: there is none */
	uint32_t log_boot;   /* of the last process that opened the log; 0: none has */
	struct disk_copy copy;
};

void disk_init(struct disk *disk, struct sim_rand rand);
void disk_fini(struct disk *disk);
void disk_wipe(struct disk *disk);
void disk_copy_of(struct disk *disk, const struct disk *other); /* what the other has on it */

/* Appends what a turn has made; returns how many records that were. @part < 1000: that share of
 * them, then death. */
size_t disk_write(struct host *h, const struct ipsp_buf *recs, uint64_t rec_seq, unsigned part);
void disk_flush(struct host *h); /* begins one, or another one after the one that runs */
bool disk_flushed(struct host *h, uint32_t gen,
		  uint64_t *seq); /* the world's event; false: of another life */
void disk_process_died(struct disk *disk);
void disk_power_lost(struct world *w, struct disk *disk);

void disk_keep_copy(struct disk *disk);
bool disk_roll_back(struct disk *disk); /* false: there is no copy, or nothing has changed since */
void disk_compact_begin(struct disk *disk);
void disk_compact_slice(struct host *h); /* one slice; the last one renames */

/* The store flushes what it finds before anybody hears of it: else a second death, with the power,
 * could unsay it. */
void disk_opened(struct disk *disk, sim_us now);
/* A fresh node from what the log holds, not started; the caller frees it. @seed NULL: it is only to
 * be looked at. */
struct ipsp_node *disk_replay(struct host *h, const struct disk_log *log, struct sim_rand *seed);
void disk_log_append(struct disk_log *log, const uint8_t *recs, size_t n, size_t max_records);
void disk_log_fini(struct disk_log *log);

#endif
