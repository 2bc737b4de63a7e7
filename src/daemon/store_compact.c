/*
 * Compaction: the present state is written aside in slices, one a turn, while turns go on. From the
 * moment that a context's slices have begun, its records go to both files (the log is what counts
 * until the end), so that the file aside, read from its beginning, gives the present state at every
 * moment after. Then the flusher makes room behind it, flushes it, renames it over the log and
 * flushes the directory; meanwhile no other flush ends, so nothing is told that only one of the two
 * files has.
 */
#include "base/err.h"
#include "daemon/store_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SLICE_BYTES  ((size_t)64 << 10)
#define ORPHAN_BYTES ((uint64_t)1 << 20)

void ipspd_store_compact_at(struct ipspd_store *s, uint64_t growth)
{
	s->growth = growth;
	s->compact_at = s->log.end + growth;
}

static bool is_orphan(const struct store_context *c)
{
	return !c->gone && !c->user;
}

static void put_aside(struct ipspd_store *s, enum store_frame_type type, uint32_t context,
		      const void *data, size_t n)
{
	const struct store_frame frame = {.type = (uint8_t)type,
					  .context = context,
					  .data = (const uint8_t *)data,
					  .len = (uint32_t)n};

	store_frame_put(&s->aside_out, s->aside.end, &frame);
}

static bool write_aside(struct ipspd_store *s)
{
	if (store_file_write(s, &s->aside, &s->aside_out) == 0)
		return true;
	store_compact_abort(s);
	return false;
}

/* The log goes on as it is; the next attempt is made when it has grown again. */
void store_compact_abort(struct ipspd_store *s)
{
	if (s->stage == STORE_SWITCHING) {
		/* perhaps renamed already: from here on there is no way back but a new start */
		store_fail(s, IPSP_ERR_IO, "%s/store.new: a write failed while it became the store",
			   s->dir);
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->want_aside = s->want_aside_room = false;
	while (s->making == &s->aside || s->nudging)
		pthread_cond_wait(&s->made, &s->lock);
	s->aside_full = false;
	pthread_mutex_unlock(&s->lock);
	if (s->aside.fd >= 0)
		close(s->aside.fd);
	s->aside.fd = -1;
	unlinkat(s->dir_fd, "store.new", 0);
	ipsp_buf_clear(&s->aside_out);
	store_reader_fini(&s->orphans);
	s->stage = STORE_REST;
	s->compact_at = s->log.end + s->growth;
}

static void begin(struct ipspd_store *s)
{
	int fd = store_create_aside(s);

	s->aside = (struct store_file){.fd = fd};
	if (fd < 0 || store_reader_open(&s->orphans, s->log.fd) != 0) {
		store_compact_abort(s);
		return;
	}
	ipsp_buf_clear(&s->aside_out);
	store_header_put(&s->aside_out);
	store_put_start(&s->aside_out, 0, 0);
	for (uint32_t i = 0; i < s->n_contexts; i++) {
		struct store_context *c = &s->contexts[i];
		c->copied = false;
		if (!c->gone)
			put_aside(s, STORE_CONTEXT, i + 1, c->name, strlen(c->name));
	}
	s->stage = STORE_ORPHANS;
	s->cursor = STORE_HEADER_LEN;
	s->orphans_end = s->log.end;
	pthread_mutex_lock(&s->lock);
	s->nudged = 0;
	s->want_aside = true;
	pthread_mutex_unlock(&s->lock);
	write_aside(s);
}

/* Contexts that nobody here knows have no snapshot: their frames are copied from the log as they
 * are. */
static bool copy_orphans(struct ipspd_store *s)
{
	const uint64_t until = s->cursor + ORPHAN_BYTES;
	struct store_frame frame;
	bool any = false;

	for (uint32_t i = 0; i < s->n_contexts; i++)
		any = any || is_orphan(&s->contexts[i]);
	while (any && s->cursor < s->orphans_end && s->cursor < until) {
		if (!store_frame_get(&s->orphans, s->cursor, &frame)) {
			store_compact_abort(s); /* unreadable now: leave everything where it is */
			return false;
		}
		if (frame.type == STORE_RECS && is_orphan(&s->contexts[frame.context - 1]))
			put_aside(s, STORE_RECS, frame.context, frame.data, frame.len);
		s->cursor += store_frame_size(frame.len);
	}
	if (any && s->cursor < s->orphans_end)
		return write_aside(s);
	store_reader_fini(&s->orphans);
	s->stage = STORE_SLICES;
	s->slicing = 1;
	s->cursor = 0;
	return write_aside(s);
}

static bool take_slice(struct ipspd_store *s)
{
	while (s->slicing <= s->n_contexts) {
		struct store_context *c = &s->contexts[s->slicing - 1];
		bool more = false;
		if (!c->gone && c->user && (!c->copied || s->cursor != 0)) {
			c->copied = true;
			ipsp_buf_clear(&s->slice);
			more = s->ops.snapshot(c->user, &s->cursor, SLICE_BYTES, &s->slice);
			if (s->slice.failed || (!more && s->cursor == IPSPD_STORE_VOID)) {
				store_compact_abort(s);
				return false;
			}
			if (s->slice.len > 0)
				put_aside(s, STORE_RECS, s->slicing, s->slice.data, s->slice.len);
		}
		if (!more) {
			s->slicing++;
			s->cursor = 0;
		}
		if (more || s->aside_out.len > 0)
			return write_aside(s);
	}
	s->stage = STORE_ROOM;
	pthread_mutex_lock(&s->lock);
	s->want_aside_room = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void wait_for_room(struct ipspd_store *s)
{
	pthread_mutex_lock(&s->lock);
	const bool full = s->aside_full, idle = s->job == STORE_IDLE;
	const bool ready = !store_room_lacks(&s->aside);
	if (ready && idle) /* what the loop writes from here on needs no more room made aside */
		s->want_aside = s->want_aside_room = false;
	pthread_mutex_unlock(&s->lock);
	if (full) {
		store_compact_abort(s);
	} else if (ready && idle) {
		s->stage = STORE_SWITCHING;
		store_job_begin(s, STORE_SWITCH);
	}
}

/* The flusher has put the file aside in the log's place. */
void store_compact_switched(struct ipspd_store *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->making || s->nudging)
		pthread_cond_wait(&s->made, &s->lock);
	s->closing_fd = s->log.fd; /* the flusher closes it: freeing a large file takes its time */
	s->log = s->aside;
	s->aside.fd = -1;
	s->full = false;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	s->log.flushed = s->job_aside_end;
	s->stage = STORE_REST;
	s->compact_at = 2 * s->log.end + s->growth;
	s->recs_end = s->log.end;
	s->marked = 0;

	/* the new file says at once that what it begins with is whole */
	const struct store_frame mark = {.type = STORE_MARK, .flushed = s->log.flushed};
	store_frame_put(&s->out, s->log.end, &mark);
	ipspd_store_write(s);
}

int ipspd_store_compact(struct ipspd_store *s, bool *again)
{
	bool more = true;

	*again = false;
	if (s->failed)
		return s->failed;
	switch (s->stage) {
	case STORE_REST:
		if (s->log.end < s->compact_at || ipspd_store_full(s))
			return 0;
		begin(s);
		break;
	case STORE_ORPHANS:
		more = copy_orphans(s);
		break;
	case STORE_SLICES:
		more = take_slice(s);
		break;
	case STORE_ROOM:
		wait_for_room(s);
		return s->failed;
	case STORE_SWITCHING:
		return s->failed;
	}
	*again = more && s->stage != STORE_REST;
	return s->failed;
}
