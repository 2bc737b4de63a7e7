#include "daemon/events.h"
#include "core/conf.h"
#include "daemon/log.h"
#include "daemon/writer.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 500
#define PATH_CAP    4200

struct ring {
	uint64_t n;		   /* so far: the newest is at (n - 1) % IPSPD_EVENTS_KEPT */
	struct ipspd_event **kept; /* NULL as long as there is none */
};

struct owner { /* a context, or (its name is "") the daemon */
	struct owner *next;
	char name[IPSP_NAME_MAX];
	uint64_t last; /* number of the newest */
	struct ring few, many;
};

struct kept { /* the thread's, which may be left behind: never freed then */
	char path[PATH_CAP], old[PATH_CAP + 8];
	int fd; /* -1: could not be opened */
	uint64_t size;
};

struct ipspd_events {
	struct owner *owners; /* the daemon is the last of them */
	struct ipspd_writer *writer;
	struct kept *kept;
};

static const char *const levels[] = {
	[IPSP_LOG_ERROR] = "error", [IPSP_LOG_WARNING] = "warning", [IPSP_LOG_NOTICE] = "notice",
	[IPSP_LOG_INFO] = "info",   [IPSP_LOG_DEBUG] = "debug",
};

/* ---------------------------------------------------------------- in memory */

static struct owner *owner_find(const struct ipspd_events *events, const char *name, size_t n)
{
	for (struct owner *o = events->owners; o; o = o->next)
		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

bool ipspd_events_context(struct ipspd_events *events, const char *name)
{
	if (owner_find(events, name, strlen(name)))
		return true;
	struct owner *o = calloc(1, sizeof(*o));
	if (!o)
		return false;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->next = events->owners;
	events->owners = o;
	return true;
}

struct ipspd_events *ipspd_events_new(void)
{
	struct ipspd_events *events = calloc(1, sizeof(*events));

	if (events && ipspd_events_context(events, ""))
		return events;
	free(events);
	return NULL;
}

/* Whose it is, and where its text begins. */
static struct owner *owner_of(const struct ipspd_events *events, const char **text)
{
	const char *colon = strstr(*text, ": ");
	struct owner *o = NULL;

	/* a name may have a colon and a blank in it, too */
	for (; colon && colon - *text < IPSP_NAME_MAX && !o; colon = strstr(colon + 1, ": ")) {
		o = colon > *text ? owner_find(events, *text, (size_t)(colon - *text)) : NULL;
		if (o) {
			*text = colon + 2;
			return o;
		}
	}
	return owner_find(events, "", 0);
}

static void remember(struct owner *o, enum ipsp_level level, bool of_many, int64_t wall_ms,
		     const char *text)
{
	const size_t n = strlen(text) + 1;
	struct ring *r = of_many ? &o->many : &o->few;
	struct ipspd_event *event = malloc(sizeof(*event) + n);

	if (!r->kept)
		r->kept = calloc(IPSPD_EVENTS_KEPT, sizeof(struct ipspd_event *));
	if (!event || !r->kept) {
		free(event);
		return;
	}
	*event = (struct ipspd_event){.number = ++o->last, .wall_ms = wall_ms, .level = level};
	memcpy(event->text, text, n);
	struct ipspd_event **place = &r->kept[r->n++ % IPSPD_EVENTS_KEPT];
	free(*place);
	*place = event;
}

/* In a file, and on the way there, those of many have a mark before them. */
#define MARK '+'

void ipspd_events_add(struct ipspd_events *events, enum ipsp_level level, bool of_many,
		      int64_t wall_ms, const char *text)
{
	char marked[1400];

	if (events->writer) {
		snprintf(marked, sizeof(marked), "%c%s", of_many ? MARK : ' ', text);
		ipspd_writer_put(events->writer, level, wall_ms, marked);
	}
	struct owner *o = owner_of(events, &text);
	remember(o, level, of_many, wall_ms, text);
}

static uint64_t oldest(const struct ring *r)
{
	return r->n > IPSPD_EVENTS_KEPT ? r->n - IPSPD_EVENTS_KEPT : 0;
}

void ipspd_events_each(const struct ipspd_events *events, const char *context, size_t n,
		       void (*each)(void *arg, const struct ipspd_event *event), void *arg)
{
	const struct owner *o = owner_find(events, context, strlen(context));

	if (!o)
		return;
	uint64_t few = oldest(&o->few), many = oldest(&o->many);
	const uint64_t all = o->few.n - few + o->many.n - many;
	for (uint64_t passed = 0; passed < all; passed++) {
		const struct ipspd_event *a =
			few < o->few.n ? o->few.kept[few % IPSPD_EVENTS_KEPT] : NULL;
		const struct ipspd_event *b =
			many < o->many.n ? o->many.kept[many % IPSPD_EVENTS_KEPT] : NULL;
		const bool first = a && (!b || a->number < b->number);

		few += first;
		many += !first;
		if (n == 0 || passed + n >= all)
			each(arg, first ? a : b);
	}
}

/* ---------------------------------------------------------------- the files, in the thread */

static void open_file(struct kept *kept)
{
	struct stat st;

	kept->fd = open(kept->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	kept->size = kept->fd >= 0 && fstat(kept->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Two files, so that there is always a long one behind the present one. */
static void turn_over(struct kept *kept)
{
	close(kept->fd);
	if (rename(kept->path, kept->old) != 0)
		unlink(kept->path);
	open_file(kept);
}

static bool write_line(void *arg, enum ipsp_level level, int64_t wall_ms, const char *text)
{
	struct kept *kept = arg;
	char line[1500], when[IPSPD_TIME_TEXT];

	/* (what the writer itself says about losses has no mark) */
	const bool of_many = *text == MARK;
	text += of_many || *text == ' ';
	int n = snprintf(line, sizeof(line), "%s %s%s: %s\n", ipspd_time_text(wall_ms, when),
			 levels[level], of_many ? "+" : "", text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (kept->fd < 0)
		open_file(kept);
	else if (kept->size + (uint64_t)n > IPSPD_EVENTS_FILE_MAX)
		turn_over(kept);
	if (kept->fd < 0)
		return false;
	ssize_t done = write(kept->fd, line, (size_t)n);
	if (done == n) {
		kept->size += (uint64_t)n;
		return true;
	}
	/* half a line, as the disk is full: the next one must not be its end */
	if (done > 0 && ftruncate(kept->fd, (off_t)kept->size) != 0) {
		close(kept->fd);
		kept->fd = -1;
	}
	return false;
}

/* ---------------------------------------------------------------- read back */

/* "2026-11-30T11:06:46.123Z warning: isp1: text" */
static bool read_line(struct ipspd_events *events, const char *line)
{
	int64_t wall_ms;
	size_t n = ipspd_time_parse(line, &wall_ms);

	if (n == 0 || line[n] != ' ')
		return false;
	line += n + 1;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		n = strlen(levels[i]);
		if (strncmp(line, levels[i], n) != 0)
			continue;
		const bool of_many = line[n] == MARK;
		n += of_many;
		if (line[n] != ':' || line[n + 1] != ' ')
			continue;
		line += n + 2;
		for (const char *p = line; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return false;
		struct owner *o = owner_of(events, &line);
		remember(o, (enum ipsp_level)i, of_many, wall_ms, line);
		return true;
	}
	return false;
}

/* Its last bytes, a file's worth, as text; NULL: there is none. */
static char *read_file(int fd, size_t *n)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	const size_t size = st.st_size < (off_t)IPSPD_EVENTS_FILE_MAX ? (size_t)st.st_size
								      : IPSPD_EVENTS_FILE_MAX;
	text = malloc(size + 1);
	if (!text)
		return NULL;
	for (*n = 0; *n < size;) {
		ssize_t got = pread(fd, text + *n, size - *n, st.st_size - (off_t)size + (off_t)*n);
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	text[*n] = '\0';
	return text;
}

/* How many lines could not be read. */
static unsigned read_events(struct ipspd_events *events, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	unsigned bad = 0;
	size_t n = 0;
	char *text, *end;

	if (fd < 0)
		return errno != ENOENT;
	text = read_file(fd, &n);
	if (!text)
		bad++;
	for (char *line = text; text && line < text + n; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + n - line));
		if (!end) { /* a kill came in the middle: what follows begins a line of its own */
			bad += lseek(fd, 0, SEEK_END) < 0 || write(fd, "\n", 1) != 1;
			break;
		}
		*end = '\0';
		bad += strlen(line) != (size_t)(end - line) || (*line && !read_line(events, line));
	}
	free(text);
	close(fd);
	return bad;
}

void ipspd_events_keep(struct ipspd_events *events, const char *dir)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return;
	snprintf(kept->path, sizeof(kept->path), "%s/events", dir);
	snprintf(kept->old, sizeof(kept->old), "%s.old", kept->path);
	kept->fd = -1;
	const unsigned bad = read_events(events, kept->old) + read_events(events, kept->path);
	events->kept = kept;
	events->writer =
		ipspd_writer_new(write_line, kept, "they could not be written to the file");
	if (bad > 0)
		ipspd_log(
			IPSP_LOG_WARNING,
			"%s: %u line%s of it, or of the one before it, can't be read: left out of "
			"\"show log\"",
			kept->path, bad, bad == 1 ? "" : "s");
}

uint64_t ipspd_events_lost(const struct ipspd_events *events)
{
	return events->writer ? ipspd_writer_lost(events->writer) : 0;
}

static void ring_free(struct ring *r)
{
	for (size_t i = 0; r->kept && i < IPSPD_EVENTS_KEPT; i++)
		free(r->kept[i]);
	free(r->kept);
}

void ipspd_events_free(struct ipspd_events *events)
{
	if (!events)
		return;
	if (events->kept && ipspd_writer_close(events->writer, PATIENCE_MS)) {
		if (events->kept->fd >= 0)
			close(events->kept->fd);
		free(events->kept);
	}
	while (events->owners) {
		struct owner *o = events->owners;
		events->owners = o->next;
		ring_free(&o->few);
		ring_free(&o->many);
		free(o);
	}
	free(events);
}
