#include "disk.h"
#include "world.h"
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- logs */

void disk_log_fini(struct disk_log *log)
{
	ipsp_buf_fini(&log->bytes);
	free(log->ends);
	*log = (struct disk_log){0};
}

static void log_add_end(struct disk_log *log, size_t end)
{
	if (log->n == log->cap) {
		log->cap = log->cap ? 2 * log->cap : 128;
		log->ends = realloc(log->ends, log->cap * sizeof(*log->ends));
		if (!log->ends)
			abort();
	}
	log->ends[log->n++] = end;
}

void disk_log_append(struct disk_log *log, const uint8_t *recs, size_t n, size_t max_records)
{
	size_t at = 0;

	while (at + 2 <= n && max_records-- > 0) {
		size_t len = 2 + ((size_t)recs[at] << 8 | recs[at + 1]);

		if (at + len > n)
			abort(); /* the node's framing is broken */
		ipsp_buf_put(&log->bytes, recs + at, len);
		at += len;
		log_add_end(log, log->bytes.len);
	}
	if (log->bytes.failed)
		abort();
}

static void log_cut(struct disk_log *log, size_t n_records)
{
	log->n = n_records;
	log->bytes.len = n_records ? log->ends[n_records - 1] : 0;
}

static void log_copy(struct disk_log *to, const struct disk_log *from)
{
	log_cut(to, 0);
	disk_log_append(to, from->bytes.data, from->bytes.len, SIZE_MAX);
}

static size_t count_records(const struct ipsp_buf *recs)
{
	size_t n = 0;

	for (size_t at = 0; at + 2 <= recs->len; n++)
		at += 2 + ((size_t)recs->data[at] << 8 | recs->data[at + 1]);
	return n;
}

/* ---------------------------------------------------------------- the disk */

void disk_init(struct disk *disk, struct sim_rand rand)
{
	*disk = (struct disk){.rand = rand, .flush_min = 1000, .flush_max = 1000};
}

void disk_fini(struct disk *disk)
{
	disk_log_fini(&disk->log);
	disk_log_fini(&disk->aside);
	disk_log_fini(&disk->copy.log);
}

void disk_wipe(struct disk *disk)
{
	log_cut(&disk->log, 0);
	disk->n_durable = 0;
	disk->compacting = false;
	disk->lease_boot = disk->log_boot = 0;
	disk->durable_epoch = 0;
}

void disk_copy_of(struct disk *disk, const struct disk *other)
{
	disk_wipe(disk);
	log_copy(&disk->log, &other->log);
	disk->n_durable = disk->log.n;
}

size_t disk_write(struct host *h, const struct ipsp_buf *recs, uint64_t rec_seq, unsigned part)
{
	struct disk *disk = &h->disk;
	size_t n = count_records(recs), some = part < 1000 ? n * part / 1000 : n;

	if (n == 0)
		return 0;
	disk->turn_start = disk->log.n;
	disk_log_append(&disk->log, recs->data, recs->len, some);
	if (disk->compacting && disk->cursor != 0) /* as the store: once its snapshot has begun */
		disk_log_append(&disk->aside, recs->data, recs->len, some);
	disk->written_seq = rec_seq;
	if (!disk->sync_due) {
		disk->sync_due = true;
		queue_put(&h->w->queue, (struct sim_event){.at = h->w->now + SIM_MS(1000),
							   .what = SIM_SYNC,
							   .side = h->side,
							   .gen = h->life});
	}
	return n;
}

static void begin_flush(struct host *h)
{
	struct disk *disk = &h->disk;

	disk->flushing = true;
	disk->again = false;
	disk->covers = disk->log.n;
	disk->covers_seq = disk->written_seq;
	disk->covers_epoch = disk->epoch;
	disk->began_at = h->w->now;
	queue_put(&h->w->queue,
		  (struct sim_event){.at = h->w->now + rand_range(&disk->rand, disk->flush_min,
								  disk->flush_max),
				     .what = SIM_FLUSHED,
				     .side = h->side,
				     .gen = ++disk->gen});
}

void disk_flush(struct host *h)
{
	if (h->disk.flushing)
		h->disk.again = true;
	else /* also when all is durable already: whoever waits is to hear it all the same */
		begin_flush(h);
}

bool disk_flushed(struct host *h, uint32_t gen, uint64_t *seq)
{
	struct disk *disk = &h->disk;

	if (!disk->flushing || gen != disk->gen)
		return false;
	disk->flushing = false;
	disk->n_durable = disk->covers;
	disk->durable_at = disk->began_at;
	disk->durable_epoch = disk->covers_epoch;
	*seq = disk->covers_seq;
	if (disk->again)
		begin_flush(h);
	return true;
}

void disk_process_died(struct disk *disk)
{
	disk->flushing = disk->again = disk->sync_due = disk->compacting = false;
	disk->gen++;
}

void disk_power_lost(struct world *w, struct disk *disk)
{
	size_t lost = disk->log.n - disk->n_durable;
	size_t keep = disk->n_durable + rand_below(&disk->rand, lost + 1);

	if (keep < disk->log.n) {
		world_hit(w, FAULT_POWER_LOST_RECORDS);
		if (keep > disk->turn_start)
			world_hit(w, FAULT_POWER_TORN);
	}
	log_cut(&disk->log, keep);
	disk->n_durable = keep;
}

/* ---------------------------------------------------------------- copies and compaction */

void disk_keep_copy(struct disk *disk)
{
	log_copy(&disk->copy.log, &disk->log);
	disk->copy.valid = true;
}

bool disk_roll_back(struct disk *disk)
{
	if (!disk->copy.valid || disk->copy.log.bytes.len == disk->log.bytes.len)
		return false;
	log_copy(&disk->log, &disk->copy.log);
	disk->n_durable = disk->log.n;
	disk->copy.valid = false;
	disk->durable_epoch = 0;
	return true;
}

void disk_compact_begin(struct disk *disk)
{
	log_cut(&disk->aside, 0);
	disk->cursor = 0;
	disk->compacting = true;
}

void disk_compact_slice(struct host *h)
{
	struct disk *disk = &h->disk;
	struct ipsp_buf recs = {0};
	bool more = ipsp_node_snapshot(h->node, &disk->cursor, 256, &recs);
	struct disk_log old;

	disk_log_append(&disk->aside, recs.data, recs.len, SIZE_MAX);
	ipsp_buf_fini(&recs);
	if (!more && disk->cursor == IPSP_SNAPSHOT_VOID)
		disk->compacting = false;
	if (more || !disk->compacting)
		return;
	old = disk->log; /* flushed, renamed, the folder flushed: from here on the new one counts */
	disk->log = disk->aside;
	disk->aside = old;
	disk->n_durable = disk->covers = disk->turn_start = disk->log.n;
	disk->compacting = false;
	disk->copy.valid = false; /* a prefix of the other log says nothing any more */
	world_hit(h->w, FAULT_COMPACTED);
}

void disk_opened(struct disk *disk, sim_us now)
{
	disk->durable_at = now;
	disk->n_durable = disk->log.n;
	disk->turn_start = disk->log.n;
}

struct ipsp_node *disk_replay(struct host *h, const struct disk_log *log, struct sim_rand *seed)
{
	struct world *w = h->w;
	struct ipsp_node_init init = {
		.conf = &h->conf, .has_hook = w->has_hook, .version = "sim", .now = host_ms(h)};
	struct ipsp_node *node;
	size_t start = 0;

	for (size_t i = 0; i < sizeof(init.seed); i++)
		init.seed[i] = seed ? (uint8_t)rand_u64(seed) : 0;
	node = ipsp_node_new(&init);
	if (!node)
		abort();
	for (size_t i = 0; i < log->n; i++) {
		int err = ipsp_node_replay(node, log->bytes.data + start + 2,
					   log->ends[i] - start - 2);

		if (err) {
			ipsp_node_free(node);
			world_fail(w, "%c: record %zu of %zu is refused at replay: %s", h->letter,
				   i, log->n, ipsp_err_word(err));
		}
		start = log->ends[i];
	}
	return node;
}
