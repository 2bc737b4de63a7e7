/*
 * The flusher: the one thread that waits for the disk. It carries out one job at a time (a flush,
 * or the switch to a compacted file), and between jobs writes zeros ahead of the log, a slice at a
 * time, so that flushes overwrite blocks which exist already, and so that there is room when the
 * disk is full.
 */
#define _GNU_SOURCE /* sync_file_range */
#include "base/err.h"
#include "daemon/store_int.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOM_SLICE ((size_t)256 << 10)
#define ROOM_MIN   ((uint64_t)1 << 20)
#define ROOM_MAX   ((uint64_t)32 << 20)

/*
 * What is kept back: half as much as the log is long. When nothing new is assigned any more, what
 * must still be written is at most an end for each session there is, and that is shorter than
 * its beginning.
 */
static uint64_t room_goal(const struct store_file *file)
{
	uint64_t half = file->end / 2;

	return half < ROOM_MIN ? ROOM_MIN : half > ROOM_MAX ? ROOM_MAX : half;
}

/* In steps of a slice, so that not every write wakes the flusher. */
bool store_room_lacks(const struct store_file *file)
{
	return file->zeroed - file->end + ROOM_SLICE <= room_goal(file);
}

static bool no_space(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static void tell_loop(struct ipspd_store *s)
{
	const uint64_t one = 1;

	/* fails only when the counter is full, and then the loop is awake already */
	if (write(s->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* One slice of zeros; called with the lock held, which is let go meanwhile. */
static void make_room(struct ipspd_store *s, struct store_file *file, bool *full)
{
	static const uint8_t zeros[ROOM_SLICE];
	const uint64_t at = file->zeroed;
	int error = 0;

	s->making = file;
	pthread_mutex_unlock(&s->lock);
	ssize_t n = pwrite(file->fd, zeros, sizeof(zeros), (off_t)at);
	if (n < 0)
		error = errno;
	pthread_mutex_lock(&s->lock);
	s->making = NULL;
	if (n > 0)
		file->zeroed = at + (uint64_t)n;
	if (error && error != EINTR && !no_space(error))
		s->room_errno = error;
	if (*full != no_space(error)) {
		*full = no_space(error);
		tell_loop(s);
	}
	if (file == &s->aside && !store_room_lacks(file))
		tell_loop(s); /* it waits for this */
	pthread_cond_broadcast(&s->made);
}

static int do_switch(struct ipspd_store *s)
{
	if (fdatasync(s->aside.fd) != 0 ||
	    renameat(s->dir_fd, "store.new", s->dir_fd, "store") != 0 || fsync(s->dir_fd) != 0)
		return errno;
	return 0;
}

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void do_job(struct ipspd_store *s)
{
	const enum store_job job = s->job;

	pthread_mutex_unlock(&s->lock);
	const uint64_t begun = monotonic_us();
	int error = job == STORE_SWITCH ? do_switch(s) : fdatasync(s->log.fd) != 0 ? errno : 0;
	const uint64_t took = monotonic_us() - begun;
	pthread_mutex_lock(&s->lock);
	s->job_us = took;
	s->job_errno = error;
	s->job = STORE_DONE;
	tell_loop(s);
}

/* Starts the disk on what was written aside, so that the flush before the switch finds little. */
static void nudge(struct ipspd_store *s)
{
	const uint64_t from = s->nudged, to = s->aside.end;
	const int fd = s->aside.fd;

	s->nudged = to;
	s->nudging = true; /* holds the file open: an end of the compaction waits for it */
	pthread_mutex_unlock(&s->lock);
	sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
	pthread_mutex_lock(&s->lock);
	s->nudging = false;
	pthread_cond_broadcast(&s->made);
}

static void close_old(struct ipspd_store *s)
{
	const int fd = s->closing_fd;

	s->closing_fd = -1;
	pthread_mutex_unlock(&s->lock);
	close(fd);
	pthread_mutex_lock(&s->lock);
}

/* A full disk may have room again: it is looked at each second, however much other work there is.
 */
static bool time_to_look(struct ipspd_store *s)
{
	struct timespec now;

	if (!s->full && !s->aside_full)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < s->look_at.tv_sec ||
	    (now.tv_sec == s->look_at.tv_sec && now.tv_nsec < s->look_at.tv_nsec))
		return false;
	s->look_at = now;
	s->look_at.tv_sec++;
	return s->full;
}

static void wait_for_work(struct ipspd_store *s)
{
	if (s->full || s->aside_full)
		pthread_cond_timedwait(&s->work, &s->lock, &s->look_at);
	else
		pthread_cond_wait(&s->work, &s->lock);
}

static void *flusher(void *arg)
{
	struct ipspd_store *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->quit || s->job == STORE_FLUSH || s->job == STORE_SWITCH) {
		if (s->job == STORE_FLUSH || s->job == STORE_SWITCH)
			do_job(s);
		else if (!s->full && !s->room_errno && store_room_lacks(&s->log))
			make_room(s, &s->log, &s->full);
		else if (s->closing_fd >= 0)
			close_old(s);
		else if (s->want_aside && s->nudged < s->aside.end)
			nudge(s);
		else if (s->want_aside_room && !s->aside_full && !s->room_errno &&
			 store_room_lacks(&s->aside))
			make_room(s, &s->aside, &s->aside_full);
		else if (time_to_look(s))
			make_room(s, &s->log, &s->full);
		else
			wait_for_work(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int store_thread_start(struct ipspd_store *s)
{
	sigset_t all, before;

	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&s->thread, NULL, flusher, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->running = error == 0;
	return error;
}

void store_thread_stop(struct ipspd_store *s)
{
	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->running = false;
	if (s->job == STORE_DONE)
		ipspd_store_collect(s);
}

/* ---------------------------------------------------------------- the loop's side */

static uint64_t monotonic_ms(void)
{
	return monotonic_us() / 1000;
}

uint64_t ipspd_store_flush_ms(const struct ipspd_store *s)
{
	return s->job_since ? monotonic_ms() - s->job_since : 0;
}

void ipspd_store_paused(struct ipspd_store *s, uint64_t ms)
{
	const uint64_t now = monotonic_ms();

	if (s->job_since)
		s->job_since = now - s->job_since > ms ? s->job_since + ms : now;
}

/* Between the rename and its collection it is another file that has the name: not asked then. */
int ipspd_store_there(struct ipspd_store *s)
{
	struct stat open_one, named;

	if (s->failed || s->stage == STORE_SWITCHING)
		return s->failed;
	if (fstat(s->log.fd, &open_one) != 0)
		return store_fail(s, IPSP_ERR_IO, "%s/store: %s", s->dir, strerror(errno));
	if (fstatat(s->dir_fd, "store", &named, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return 0; /* it may still be there */
		return store_fail(s, IPSP_ERR_IO, "%s/store was removed under the running daemon",
				  s->dir);
	}
	if (named.st_dev != open_one.st_dev || named.st_ino != open_one.st_ino)
		return store_fail(s, IPSP_ERR_IO, "%s/store was replaced under the running daemon",
				  s->dir);
	return 0;
}

const struct ipsp_histogram *ipspd_store_flushes(const struct ipspd_store *s)
{
	return &s->flushes;
}

uint64_t ipspd_store_flush_longest(const struct ipspd_store *s)
{
	return s->job_longest;
}

/* What is written now is what the job makes durable. */
void store_job_begin(struct ipspd_store *s, enum store_job job)
{
	for (uint32_t i = 0; i < s->n_contexts; i++)
		s->contexts[i].flushing = s->contexts[i].written;
	s->dirty = false;
	s->flush_wanted = false;
	s->job_since = monotonic_ms();
	pthread_mutex_lock(&s->lock);
	s->job = job;
	s->job_log_end = s->log.end;
	s->job_aside_end = s->aside.end;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(
		&s->work); /* after the unlock: the flusher does not wake up only to wait for it */
}

void ipspd_store_flush(struct ipspd_store *s)
{
	pthread_mutex_lock(&s->lock);
	const bool idle = s->job == STORE_IDLE;
	pthread_mutex_unlock(&s->lock);
	if (idle && !s->failed)
		store_job_begin(s, STORE_FLUSH);
	else
		s->flush_wanted = true;
}

bool ipspd_store_dirty(const struct ipspd_store *s)
{
	return s->dirty;
}

int ipspd_store_event_fd(const struct ipspd_store *s)
{
	return s->event_fd;
}

static void job_done(struct ipspd_store *s, bool switched)
{
	for (uint32_t i = 0; i < s->n_contexts; i++)
		s->contexts[i].flushed = s->contexts[i].flushing;
	if (switched)
		store_compact_switched(s);
	else
		s->log.flushed = s->job_log_end;
}

int ipspd_store_collect(struct ipspd_store *s)
{
	uint64_t count;

	if (read(s->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return store_fail(s, IPSP_ERR_IO, "eventfd: %s", strerror(errno));
	pthread_mutex_lock(&s->lock);
	const bool done = s->job == STORE_DONE;
	const int error = done ? s->job_errno : 0, room_error = s->room_errno;
	const uint64_t us = s->job_us;
	if (done)
		s->job = STORE_IDLE;
	pthread_mutex_unlock(&s->lock);
	if (error || room_error)
		return store_fail(s, IPSP_ERR_IO, "flushing %s/store: %s", s->dir,
				  strerror(error ? error : room_error));
	if (done) {
		const uint64_t took = ipspd_store_flush_ms(s);
		s->job_longest = took > s->job_longest ? took : s->job_longest;
		ipsp_histogram_add(&s->flushes, us, 1);
		s->job_since = 0;
		job_done(s, s->stage == STORE_SWITCHING);
	}
	if (done && s->flush_wanted)
		ipspd_store_flush(s);
	return s->failed;
}

uint64_t ipspd_store_flushed(const struct ipspd_store *s, uint32_t number)
{
	return s->contexts[number - 1].flushed;
}

bool ipspd_store_full(const struct ipspd_store *store)
{
	struct ipspd_store *s = (struct ipspd_store *)store; /* only the lock is changed */

	pthread_mutex_lock(&s->lock);
	const bool full = s->full;
	pthread_mutex_unlock(&s->lock);
	return full;
}

int ipspd_store_tick(struct ipspd_store *s)
{
	if (s->failed)
		return s->failed;
	if (s->dirty) {
		ipspd_store_flush(s);
		return 0;
	}
	if (s->log.flushed < s->recs_end || s->marked >= s->recs_end)
		return 0;
	const struct store_frame mark = {.type = STORE_MARK, .flushed = s->log.flushed};
	store_frame_put(&s->out, s->log.end, &mark);
	s->marked = s->log.flushed;
	return ipspd_store_write(s);
}
