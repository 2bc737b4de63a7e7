#include "daemon/writer.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BURST	 ((size_t)8 << 20)  /* bytes that may wait: a turn may have very much to say */
#define STALE	 ((size_t)64 << 10) /* ... once nobody has taken a line for STALE_MS */
#define STALE_MS 1000
#define STACK	 ((size_t)128 << 10)

struct line {
	struct line *next;
	enum ipsp_level level;
	int64_t wall_ms;
	uint64_t lost_before; /* lines that found no room between the one before and this one */
	size_t size;
	char text[];
};

struct ipspd_writer {
	ipspd_writer_fn *fn;
	void *arg;
	const char *lost_words;
	uint64_t unsaid; /* the thread's own: lines that were lost, which is not said yet */

	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t work, idle;
	struct line *first, **end;
	size_t bytes;	       /* waiting, or being handed on */
	bool busy, quit, left; /* .left: by whoever made it; the thread frees it */
	struct timespec since; /* while .busy: when it began; CLOCK_MONOTONIC */
	uint64_t no_room;      /* lines, since one was queued */
	int64_t no_room_at;    /* wall_ms of the last of them */
	uint64_t lost;	       /* lines, in all */
};

/* ---------------------------------------------------------------- the thread */

static bool say_lost(struct ipspd_writer *w, int64_t wall_ms)
{
	char text[200];

	snprintf(text, sizeof(text), "%" PRIu64 " line%s lost here: %s", w->unsaid,
		 w->unsaid == 1 ? " was" : "s were", w->lost_words);
	if (!w->fn(w->arg, IPSP_LOG_WARNING, wall_ms, text))
		return false;
	w->unsaid = 0;
	return true;
}

/* With the lock held, which is let go meanwhile. @line NULL: there are only losses to be said. */
static void hand_on(struct ipspd_writer *w, struct line *line)
{
	const int64_t at = line ? line->wall_ms : w->no_room_at;
	bool taken = true;

	w->unsaid += line ? line->lost_before : w->no_room;
	w->no_room = line ? w->no_room : 0;
	w->busy = true;
	clock_gettime(CLOCK_MONOTONIC, &w->since);
	pthread_mutex_unlock(&w->lock);
	if (w->unsaid > 0)
		taken = say_lost(w, at);
	if (line && taken)
		taken = w->fn(w->arg, line->level, line->wall_ms, line->text);
	if (line && !taken)
		w->unsaid++;
	pthread_mutex_lock(&w->lock);
	w->busy = false;
	if (line && !taken)
		w->lost++;
	if (line)
		w->bytes -= line->size;
	free(line);
}

static void writer_free(struct ipspd_writer *w)
{
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->idle);
	free(w);
}

static void *run(void *arg)
{
	struct ipspd_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct line *line = w->first;
		if (line) {
			w->first = line->next;
			if (!w->first)
				w->end = &w->first;
			hand_on(w, line);
		} else if (w->no_room > 0) {
			hand_on(w, NULL);
		} else if (w->quit) {
			break;
		} else {
			pthread_cond_broadcast(&w->idle);
			pthread_cond_wait(&w->work, &w->lock);
		}
	}
	const bool left = w->left;
	pthread_mutex_unlock(&w->lock);
	if (left)
		writer_free(w);
	return NULL;
}

/* ---------------------------------------------------------------- the loop's side */

/* A burst may be long. A backlog that nobody takes may not: its lines would be old when they are
 * read at last, and there would be no end of them. */
static size_t most(const struct ipspd_writer *w)
{
	struct timespec now;

	if (!w->busy)
		return BURST;
	clock_gettime(CLOCK_MONOTONIC, &now);
	const long long ms = (long long)(now.tv_sec - w->since.tv_sec) * 1000 +
			     (now.tv_nsec - w->since.tv_nsec) / 1000000;
	return ms > STALE_MS ? STALE : BURST;
}

void ipspd_writer_put(struct ipspd_writer *w, enum ipsp_level level, int64_t wall_ms,
		      const char *text)
{
	const size_t n = strlen(text) + 1, size = sizeof(struct line) + n;
	struct line *line = malloc(size);

	if (line) {
		*line = (struct line){.level = level, .wall_ms = wall_ms, .size = size};
		memcpy(line->text, text, n);
	}
	pthread_mutex_lock(&w->lock);
	if (line && w->bytes + size <= most(w)) {
		line->lost_before = w->no_room;
		w->no_room = 0;
		w->bytes += size;
		*w->end = line;
		w->end = &line->next;
		line = NULL;
	} else {
		w->no_room++;
		w->no_room_at = wall_ms;
		w->lost++;
	}
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->work);
	free(line);
}

uint64_t ipspd_writer_lost(struct ipspd_writer *w)
{
	pthread_mutex_lock(&w->lock);
	const uint64_t lost = w->lost;
	pthread_mutex_unlock(&w->lock);
	return lost;
}

bool ipspd_writer_drain(struct ipspd_writer *w, unsigned ms)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&w->lock);
	while (!error && (w->first || w->busy || w->no_room > 0))
		error = pthread_cond_timedwait(&w->idle, &w->lock, &until);
	pthread_mutex_unlock(&w->lock);
	return error == 0;
}

static int start_thread(struct ipspd_writer *w)
{
	pthread_attr_t attr;
	sigset_t all, before;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&w->thread, &attr, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

struct ipspd_writer *ipspd_writer_new(ipspd_writer_fn *fn, void *arg, const char *lost)
{
	struct ipspd_writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t clock;

	if (!w)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	w->lost_words = lost;
	w->end = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&w->idle, &clock);
	pthread_condattr_destroy(&clock);
	if (start_thread(w) == 0)
		return w;
	writer_free(w);
	return NULL;
}

bool ipspd_writer_close(struct ipspd_writer *w, unsigned ms)
{
	if (!w)
		return true;
	const bool drained = ipspd_writer_drain(w, ms);
	const pthread_t thread = w->thread;
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	w->left = !drained;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock); /* one that is left may be gone from here on */
	if (drained) {
		pthread_join(thread, NULL);
		writer_free(w);
	} else {
		pthread_detach(thread);
	}
	return drained;
}
