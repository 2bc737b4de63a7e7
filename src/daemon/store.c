#include "daemon/store.h"
#include "base/err.h"
#include "daemon/store_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TORN_MAX       1000 /* files with ends that were cut off */
#define GROWTH_DEFAULT ((uint64_t)8 << 20)

/* The first failure is kept, with its words: after it nothing is to be told any more. */
int store_fail(struct ipspd_store *s, int err, const char *format, ...)
{
	va_list args;

	if (s->failed)
		return s->failed;
	s->failed = err;
	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	return err;
}

/* ---------------------------------------------------------------- writing */

static int write_all(int fd, const uint8_t *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : EIO;
		p += done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
	return 0;
}

int store_file_write(struct ipspd_store *s, struct store_file *file, struct ipsp_buf *buf)
{
	if (buf->failed)
		return ENOMEM;
	if (buf->len == 0)
		return 0;

	/* zeros that are being made now, or meanwhile, must not land on what is written here */
	uint64_t end = file->end + buf->len;
	pthread_mutex_lock(&s->lock);
	while (s->making == file && end > file->zeroed)
		pthread_cond_wait(&s->made, &s->lock);
	if (file->zeroed < end)
		file->zeroed = end;
	pthread_mutex_unlock(&s->lock);

	int error = write_all(file->fd, buf->data, buf->len, file->end);
	if (error)
		return error;
	pthread_mutex_lock(&s->lock);
	file->end = end;
	if (s->want_aside || store_room_lacks(file))
		pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	ipsp_buf_clear(buf);
	return 0;
}

static void put_frame(struct ipspd_store *s, enum store_frame_type type, uint32_t context,
		      const void *data, size_t n)
{
	struct store_frame frame = {.type = (uint8_t)type,
				    .context = context,
				    .flushed = s->log.flushed,
				    .data = (const uint8_t *)data,
				    .len = (uint32_t)n};

	store_frame_put(&s->out, s->log.end, &frame);
	s->marked = s->log.flushed;
	if (type != STORE_MARK)
		s->recs_end = s->log.end + s->out.len;
	if (s->stage == STORE_REST)
		return;
	/* The aside file gets a context's records once its snapshot has begun to be taken: until
	   then the snapshot will bring them. Names and ends of contexts it gets at once. */
	if (type == STORE_RECS && !s->contexts[context - 1].copied)
		return;
	frame.flushed = s->aside.flushed;
	store_frame_put(&s->aside_out, s->aside.end, &frame);
}

static int replay_again(struct ipspd_store *s, struct store_context *c, uint32_t number,
			void *user);

static uint32_t context_new(struct ipspd_store *s, const char *name, void *user)
{
	struct store_context *more =
		realloc(s->contexts, (s->n_contexts + 1) * sizeof(*s->contexts));

	if (!more)
		return 0;
	s->contexts = more;
	struct store_context *c = &more[s->n_contexts++];
	*c = (struct store_context){.user = user};
	snprintf(c->name, sizeof(c->name), "%s", name);
	return s->n_contexts;
}

uint32_t ipspd_store_context(struct ipspd_store *s, const char *name, void *user)
{
	for (uint32_t i = 0; i < s->n_contexts; i++) {
		struct store_context *c = &s->contexts[i];
		if (c->gone || strcmp(c->name, name) != 0)
			continue;
		if (!c->user && replay_again(s, c, i + 1, user) != 0)
			return 0;
		return i + 1;
	}
	uint32_t number = context_new(s, name, user);
	if (number == 0)
		return 0;
	/* made while compacting: there is nothing older to snapshot, all of it goes to both files
	 */
	s->contexts[number - 1].copied = true;
	put_frame(s, STORE_CONTEXT, number, name, strlen(name));
	return number;
}

void ipspd_store_forget(struct ipspd_store *s, uint32_t number)
{
	put_frame(s, STORE_FORGET, number, NULL, 0);
	s->contexts[number - 1].gone = true;
	s->contexts[number - 1].user = NULL;
	s->dirty = true;
}

void ipspd_store_unknown(const struct ipspd_store *s, void (*each)(void *arg, const char *name),
			 void *arg)
{
	for (uint32_t i = 0; i < s->n_contexts; i++)
		if (!s->contexts[i].gone && !s->contexts[i].user)
			each(arg, s->contexts[i].name);
}

void ipspd_store_put(struct ipspd_store *s, uint32_t number, const void *recs, size_t n,
		     uint64_t seq)
{
	if (n == 0)
		return;
	put_frame(s, STORE_RECS, number, recs, n);
	s->contexts[number - 1].written = seq;
	s->dirty = true;
}

int ipspd_store_write(struct ipspd_store *s)
{
	if (s->failed)
		return s->failed;
	int error = store_file_write(s, &s->log, &s->out);
	if (error)
		return store_fail(s, error == ENOMEM ? IPSP_ERR_NOMEM : IPSP_ERR_IO,
				  "writing %s/store: %s", s->dir, strerror(error));
	if (s->aside_out.len == 0 && !s->aside_out.failed)
		return 0;
	if (store_file_write(s, &s->aside, &s->aside_out) != 0)
		store_compact_abort(s); /* the log itself has everything: nothing is lost */
	return s->failed;
}

/* ---------------------------------------------------------------- reading */

static int refuse(char *why, size_t n_why, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(char *why, size_t n_why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, n_why, format, args);
	va_end(args);
	return err;
}

/* A context that was in the log but not in the configuration at the start is wanted now. */
static int replay_again(struct ipspd_store *s, struct store_context *c, uint32_t number, void *user)
{
	struct store_reader rd;
	struct store_frame frame;
	int err = store_reader_open(&rd, s->log.fd) == 0 ? 0 : IPSP_ERR_IO;

	if (s->stage != STORE_REST)
		store_compact_abort(s); /* it copies this one as it is in the log */
	c->user = user;
	for (uint64_t at = STORE_HEADER_LEN; !err && at < s->log.end;) {
		if (!store_frame_get(&rd, at, &frame))
			err = IPSP_ERR_DAMAGED;
		else if (frame.type == STORE_RECS && frame.context == number)
			err = s->ops.records(user, frame.data, frame.len);
		at += err ? 0 : store_frame_size(frame.len);
	}
	store_reader_fini(&rd);
	if (err)
		c->user = NULL;
	return err;
}

static int replay_name(struct ipspd_store *s, const struct store_frame *frame)
{
	char name[IPSP_NAME_MAX];

	/* numbers are given one after the other; a log that was compacted leaves out those that are
	 * gone */
	if (frame->len == 0 || frame->len >= sizeof(name) || frame->context <= s->n_contexts ||
	    frame->context > s->n_contexts + 65536)
		return IPSP_ERR_FORMAT;
	memcpy(name, frame->data, frame->len);
	name[frame->len] = '\0';
	while (s->n_contexts < frame->context) {
		uint32_t number = context_new(s, "", NULL);
		if (number == 0)
			return IPSP_ERR_NOMEM;
		s->contexts[number - 1].gone = true;
	}
	struct store_context *c = &s->contexts[frame->context - 1];
	c->gone = false;
	memcpy(c->name, name, frame->len + 1);
	c->user = s->ops.context(s->ops.arg, name, frame->context);
	return 0;
}

static int replay_frame(struct ipspd_store *s, const struct store_frame *frame,
			char boot[STORE_BOOT_LEN + 1])
{
	struct store_context *c = NULL;

	switch ((enum store_frame_type)frame->type) {
	case STORE_START:
		if (frame->len < STORE_BOOT_LEN)
			return IPSP_ERR_FORMAT;
		memcpy(boot, frame->data, STORE_BOOT_LEN);
		return 0;
	case STORE_MARK:
		return 0;
	case STORE_CONTEXT:
		return replay_name(s, frame);
	case STORE_RECS:
	case STORE_FORGET:
		if (frame->context == 0 || frame->context > s->n_contexts)
			return IPSP_ERR_FORMAT;
		c = &s->contexts[frame->context - 1];
		if (c->gone)
			return IPSP_ERR_FORMAT;
		if (frame->type == STORE_RECS)
			return c->user ? s->ops.records(c->user, frame->data, frame->len) : 0;
		if (c->user)
			s->ops.forget(c->user);
		c->gone = true;
		c->user = NULL;
		return 0;
	case STORE_FRAME_TYPES:
		break;
	}
	return IPSP_ERR_FORMAT;
}

/* A file of its own for a torn end: "torn.1" or a later one. */
static int torn_file(struct ipspd_store *s)
{
	int fd = -1;

	for (int i = 1; fd < 0 && i <= TORN_MAX; i++) {
		snprintf(s->torn, sizeof(s->torn), "torn.%d", i);
		fd = openat(s->dir_fd, s->torn,
			    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd;
}

/* Who has to find out what a disk did will want what is about to be overwritten. */
static int keep_aside(struct ipspd_store *s, struct store_reader *rd, uint64_t from, uint64_t to)
{
	const int fd = torn_file(s);
	int error = fd < 0 ? errno : 0;

	for (uint64_t at = from; at < to && !error;) {
		const size_t n = to - at < 65536 ? (size_t)(to - at) : 65536;
		const uint8_t *p = store_reader_at(rd, at, n);
		error = p ? write_all(fd, p, n, at - from) : rd->error;
		at += n;
	}
	if (!error && (fsync(fd) != 0 || fsync(s->dir_fd) != 0))
		error = errno;
	if (fd >= 0)
		close(fd);
	if (error && fd >= 0)
		unlinkat(s->dir_fd, s->torn, 0);
	return error;
}

/* A torn end is kept in a file of its own, and becomes zeros again, which leaves the room that was
 * made behind it as it is. */
static int cut(struct ipspd_store *s, struct store_reader *rd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[65536];
	int error = from < to ? keep_aside(s, rd, from, to) : 0;

	for (uint64_t at = from; at < to && !error; at += sizeof(zeros))
		error = write_all(s->log.fd, zeros,
				  to - at < sizeof(zeros) ? (size_t)(to - at) : sizeof(zeros), at);
	s->cut = to - from;
	return error;
}

static int read_log(struct ipspd_store *s, struct store_reader *rd, const char *path, char *why,
		    size_t n_why)
{
	char boot[STORE_BOOT_LEN + 1], written_by[STORE_BOOT_LEN + 1] = "";
	uint64_t at = STORE_HEADER_LEN, garbage = 0;
	struct store_frame frame;

	int err = store_header_check(rd, path, why, n_why);
	if (err)
		return err;
	bool clean = false;
	while (store_frame_get(rd, at, &frame)) {
		err = replay_frame(s, &frame, written_by);
		if (err == IPSP_ERR_NOMEM)
			return refuse(why, n_why, err, "%s: memory ran out while reading it", path);
		if (err)
			return refuse(why, n_why, err,
				      "%s: what stands at byte %llu is whole but means nothing to "
				      "this ipspd "
				      "(%s): it was made by a newer one; run that, or move the "
				      "file away and let "
				      "the peer give back what it knows",
				      path, (unsigned long long)at, ipsp_err_text(err));
		clean = frame.type == STORE_MARK && frame.flushed == at;
		at += store_frame_size(frame.len);
	}
	if (rd->error)
		return refuse(why, n_why, IPSP_ERR_IO, "%s: %s", path, strerror(rd->error));
	store_boot_id(boot);
	s->same_boot = boot[0] && memcmp(boot, written_by, STORE_BOOT_LEN) == 0;
	err = store_tail_check(rd, at, s->same_boot, clean, &garbage);
	if (err == IPSP_ERR_DAMAGED)
		return refuse(
			why, n_why, err,
			"%s is damaged at byte %llu, and what stands there is no write that a "
			"stop cut short: move the file away and start again, and the peer "
			"gives back what it knows",
			path, (unsigned long long)at);
	if (err)
		return refuse(why, n_why, err, "%s: %s", path, strerror(rd->error));
	s->log.end = at;
	s->log.zeroed = rd->size > at ? rd->size : at;
	int error = cut(s, rd, at, garbage);
	if (error)
		return refuse(
			why, n_why, IPSP_ERR_IO,
			"%s: the end of a write that was cut short can't be kept in %s/%s: %s",
			path, s->dir, s->torn, strerror(error));
	if (fdatasync(s->log.fd) != 0)
		return refuse(why, n_why, IPSP_ERR_IO, "%s: %s", path, strerror(errno));
	return 0;
}

/* ---------------------------------------------------------------- open and close */

void store_put_start(struct ipsp_buf *buf, uint64_t base, uint64_t flushed)
{
	char boot[STORE_BOOT_LEN + 1];

	store_boot_id(boot);
	const struct store_frame frame = {.type = STORE_START,
					  .flushed = flushed,
					  .data = (const uint8_t *)boot,
					  .len = STORE_BOOT_LEN};
	store_frame_put(buf, base, &frame);
}

/* What decides who owns an address is nothing that others may write. */
static int check_dir(struct ipspd_store *s, char *why, size_t n_why)
{
	struct stat st;

	if (fstat(s->dir_fd, &st) != 0)
		return refuse(why, n_why, IPSP_ERR_IO, "state-directory %s: %s", s->dir,
			      strerror(errno));
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse(why, n_why, IPSP_ERR_IO,
			      "state-directory %s belongs to user %lu, and ipspd runs as user %lu: "
			      "chown it to that user",
			      s->dir, (unsigned long)st.st_uid, (unsigned long)geteuid());
	if (!(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	s->loose_mode = st.st_mode & 07777;
	if (fchmod(s->dir_fd, s->loose_mode & 0755u) != 0)
		return refuse(why, n_why, IPSP_ERR_IO,
			      "state-directory %s has mode %04o: others may write to it; chmod 700 "
			      "it",
			      s->dir, (unsigned)s->loose_mode);
	return 0;
}

/* ... and neither is a file that somebody else has laid there. */
static int check_owner(struct ipspd_store *s, const char *path, char *why, size_t n_why)
{
	struct stat st;

	if (fstat(s->log.fd, &st) != 0)
		return refuse(why, n_why, IPSP_ERR_IO, "%s: %s", path, strerror(errno));
	if (st.st_uid == geteuid() || st.st_uid == 0)
		return 0;
	return refuse(
		why, n_why, IPSP_ERR_IO,
		"%s belongs to user %lu, and ipspd runs as user %lu: chown it to that user if "
		"it is right, or move it away",
		path, (unsigned long)st.st_uid, (unsigned long)geteuid());
}

static int lock_dir(struct ipspd_store *s, char *why, size_t n_why)
{
	char holder[32] = "";

	if (mkdir(s->dir, 0750) != 0 && errno != EEXIST)
		return refuse(why, n_why, IPSP_ERR_IO, "state-directory %s: %s", s->dir,
			      strerror(errno));
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return refuse(why, n_why, IPSP_ERR_IO, "state-directory %s: %s", s->dir,
			      strerror(errno));
	int err = check_dir(s, why, n_why);
	if (err)
		return err;
	s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->lock_fd < 0)
		return refuse(why, n_why, IPSP_ERR_IO, "%s/lock: %s", s->dir, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return refuse(why, n_why, IPSP_ERR_IO, "%s/lock: %s", s->dir,
				      strerror(errno));
		ssize_t n = pread(s->lock_fd, holder, sizeof(holder) - 1, 0);
		holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
		return refuse(why, n_why, IPSP_ERR_BUSY,
			      "state-directory %s is in use by another ipspd (process %s): stop "
			      "that one, "
			      "or give this one a state-directory of its own",
			      s->dir, holder[0] ? holder : "unknown");
	}
	int n = snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
	if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, holder, (size_t)n, 0) != n) {
		/* only words for the one who comes second; on a full disk it goes without */
	}
	return 0;
}

/* Always a new file: a link of that name, or a file that somebody holds open, is not written to. */
int store_create_aside(struct ipspd_store *s)
{
	if (unlinkat(s->dir_fd, "store.new", 0) != 0 && errno != ENOENT)
		return -1;
	return openat(s->dir_fd, "store.new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		      0640);
}

/* Puts an empty log in place: whole or not there, whenever the power goes. */
static int create_log(struct ipspd_store *s)
{
	struct ipsp_buf buf = {0};

	int fd = store_create_aside(s);
	if (fd < 0)
		return errno;
	store_header_put(&buf);
	int error = buf.failed ? ENOMEM : write_all(fd, buf.data, buf.len, 0);
	if (!error &&
	    (fsync(fd) != 0 || renameat(s->dir_fd, "store.new", s->dir_fd, "store") != 0 ||
	     fsync(s->dir_fd) != 0))
		error = errno;
	ipsp_buf_fini(&buf);
	s->log = (struct store_file){fd, STORE_HEADER_LEN, STORE_HEADER_LEN, 0};
	s->is_new = true;
	return error;
}

static int open_log(struct ipspd_store *s, char *why, size_t n_why)
{
	struct store_reader rd;
	char path[4200];
	int error = 0, err = 0;

	snprintf(path, sizeof(path), "%s/store", s->dir);
	s->log.fd = openat(s->dir_fd, "store", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (s->log.fd >= 0) {
		error = store_reader_open(&rd, s->log.fd);
		if (!error)
			err = check_owner(s, path, why, n_why);
		if (!error && !err)
			err = read_log(s, &rd, path, why, n_why);
		store_reader_fini(&rd);
	} else {
		error = errno == ENOENT ? create_log(s) : errno;
	}
	if (error)
		return refuse(why, n_why, IPSP_ERR_IO, "%s: %s", path, strerror(error));
	if (err)
		return err;
	unlinkat(s->dir_fd, "store.new", 0); /* what a stop left of a compaction */

	s->log.flushed = s->log.end;
	s->compact_at = s->log.end + s->growth;
	store_put_start(&s->out, s->log.end, s->log.flushed);
	s->marked = s->log.flushed;
	s->recs_end = s->log.end + s->out.len;
	s->dirty = true;
	if (ipspd_store_write(s) == 0)
		return 0;
	return refuse(why, n_why, s->failed, "%s", s->why);
}

static void store_free(struct ipspd_store *s)
{
	const int fds[] = {s->event_fd, s->closing_fd, s->aside.fd,
			   s->log.fd,	s->lock_fd,    s->dir_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	ipsp_buf_fini(&s->out);
	ipsp_buf_fini(&s->aside_out);
	ipsp_buf_fini(&s->slice);
	store_reader_fini(&s->orphans);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->made);
	free(s->contexts);
	free(s->dir);
	free(s);
}

int ipspd_store_open(const char *dir, const struct ipspd_store_user *ops,
		     struct ipspd_store **store, char *why, size_t n_why)
{
	pthread_condattr_t clock;
	struct ipspd_store *s = calloc(1, sizeof(*s));

	if (!s || !(s->dir = strdup(dir))) {
		free(s);
		return refuse(why, n_why, IPSP_ERR_NOMEM, "memory ran out");
	}
	s->ops = *ops;
	s->dir_fd = s->lock_fd = s->event_fd = s->log.fd = s->aside.fd = s->closing_fd = -1;
	s->growth = GROWTH_DEFAULT;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->made, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &clock);
	pthread_condattr_destroy(&clock);
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = s->event_fd < 0 ? refuse(why, n_why, IPSP_ERR_IO, "eventfd: %s", strerror(errno))
				  : lock_dir(s, why, n_why);
	if (!err)
		err = open_log(s, why, n_why);
	if (!err && store_thread_start(s) != 0)
		err = refuse(why, n_why, IPSP_ERR_NOMEM, "no thread to flush %s with", dir);
	if (err) {
		store_free(s);
		return err;
	}
	*store = s;
	return 0;
}

void ipspd_store_close(struct ipspd_store *s)
{
	if (!s)
		return;
	store_thread_stop(s);
	if (s->stage != STORE_REST)
		store_compact_abort(s);
	if (!s->failed && ipspd_store_write(s) == 0 && fdatasync(s->log.fd) == 0) {
		/* the mark tells the next start that nothing before it can be a torn write */
		s->log.flushed = s->log.end;
		put_frame(s, STORE_MARK, 0, NULL, 0);
		if (ipspd_store_write(s) == 0)
			fdatasync(s->log.fd);
	}
	store_free(s);
}

/* ---------------------------------------------------------------- looking */

bool ipspd_store_same_boot(const struct ipspd_store *store)
{
	return store->same_boot;
}

bool ipspd_store_is_new(const struct ipspd_store *s)
{
	return s->is_new;
}

uint64_t ipspd_store_cut(const struct ipspd_store *s)
{
	return s->cut;
}

uint64_t ipspd_store_size(const struct ipspd_store *s)
{
	return s->log.end;
}

unsigned ipspd_store_loose_mode(const struct ipspd_store *s)
{
	return s->loose_mode;
}

const char *ipspd_store_cut_file(const struct ipspd_store *s)
{
	return s->torn;
}

const char *ipspd_store_why(const struct ipspd_store *s)
{
	return s->why;
}
