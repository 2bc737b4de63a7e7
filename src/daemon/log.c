#include "daemon/log.h"
#include "base/shown.h"
#include "daemon/writer.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 1000 /* of an end, and of a change of where to */
#define TEXT_MAX    1300
#define LOG_LINE    1500

static enum ipspd_log_to to = IPSPD_LOG_STDERR;
static enum ipsp_level up_to = IPSP_LOG_NOTICE;
static struct ipspd_writer *writer;
static uint64_t lost_before; /* by writers that were closed */
static ipspd_log_fn *listener;
static void *listener_arg;

static const struct {
	int syslog;
	const char *word;
} levels[] = {
	[IPSP_LOG_ERROR] = {LOG_ERR, "error"},	    [IPSP_LOG_WARNING] = {LOG_WARNING, "warning"},
	[IPSP_LOG_NOTICE] = {LOG_NOTICE, "notice"}, [IPSP_LOG_INFO] = {LOG_INFO, "info"},
	[IPSP_LOG_DEBUG] = {LOG_DEBUG, "debug"},
};

/* ---------------------------------------------------------------- times */

int64_t ipspd_wall_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now); /* for people only */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *ipspd_time_text(int64_t wall_ms, char text[IPSPD_TIME_TEXT])
{
	const time_t second = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t n = 0;

	if (gmtime_r(&second, &tm))
		n = strftime(text, IPSPD_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, IPSPD_TIME_TEXT - n, ".%03dZ", (int)(wall_ms % 1000));
	return text;
}

static bool digits(const char **p, unsigned n, int *value, char behind)
{
	for (*value = 0; n > 0; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*value = *value * 10 + (**p - '0');
	}
	return *(*p)++ == behind;
}

size_t ipspd_time_parse(const char *text, int64_t *wall_ms)
{
	const char *p = text;
	struct tm tm = {0};
	int ms;

	if (!digits(&p, 4, &tm.tm_year, '-') || !digits(&p, 2, &tm.tm_mon, '-') ||
	    !digits(&p, 2, &tm.tm_mday, 'T') || !digits(&p, 2, &tm.tm_hour, ':') ||
	    !digits(&p, 2, &tm.tm_min, ':') || !digits(&p, 2, &tm.tm_sec, '.') ||
	    !digits(&p, 3, &ms, 'Z'))
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*wall_ms = (int64_t)timegm(&tm) * 1000 + ms;
	return (size_t)(p - text);
}

/* ---------------------------------------------------------------- in the writer's thread */

/* All of it, however long that takes. A pipe that others share may have been set not to block. */
static bool write_whole(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* One write a line, so that lines of several processes don't mix. */
static bool to_stderr(bool journal, enum ipsp_level level, int64_t wall_ms, const char *text)
{
	char line[LOG_LINE], when[IPSPD_TIME_TEXT];
	int n;

	if (journal)
		n = snprintf(line, sizeof(line), "<%d>%s\n", levels[level].syslog, text);
	else
		n = snprintf(line, sizeof(line), "%s %s: %s\n", ipspd_time_text(wall_ms, when),
			     levels[level].word, text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	return n > 0 && write_whole(STDERR_FILENO, line, (size_t)n);
}

/*
 * syslog(3) says nothing about what it could not deliver. Most syslog daemons take datagrams; to
 * one with a stream a NUL ends a line.
 */
struct syslog_link {
	int fd; /* -1: nobody listens */
	bool stream;
};

static void syslog_close(struct syslog_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

static bool syslog_connect(struct syslog_link *link)
{
	const struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	const int types[] = {SOCK_DGRAM, SOCK_STREAM};

	for (size_t i = 0; i < 2 && link->fd < 0; i++) {
		link->stream = types[i] == SOCK_STREAM;
		link->fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		if (link->fd >= 0 &&
		    connect(link->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
			syslog_close(link);
	}
	return link->fd >= 0;
}

/* It may have been restarted since the line before: a second attempt finds the new one. */
static bool to_syslog(enum ipsp_level level, int64_t wall_ms, const char *text)
{
	static struct syslog_link link = {-1, false};
	char line[LOG_LINE], when[32];
	const time_t second = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (!localtime_r(&second, &tm) || strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm) == 0)
		return false;
	int n = snprintf(line, sizeof(line), "<%d>%s ipspd[%ld]: %s",
			 LOG_DAEMON | levels[level].syslog, when, (long)getpid(), text);
	const size_t len = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
	for (int attempt = 0; attempt < 2; attempt++) {
		if (link.fd < 0 && !syslog_connect(&link))
			return false;
		ssize_t sent = send(link.fd, line, len + link.stream, MSG_NOSIGNAL);
		if (sent >= 0)
			return true;
		syslog_close(&link);
	}
	return false;
}

static const enum ipspd_log_to places[] = {IPSPD_LOG_STDERR, IPSPD_LOG_JOURNAL, IPSPD_LOG_SYSLOG};

/* @arg is one of .places: a thread that was left behind goes on with what it was made for. */
static bool hand_on(void *arg, enum ipsp_level level, int64_t wall_ms, const char *text)
{
	const enum ipspd_log_to where = *(const enum ipspd_log_to *)arg;

	return where == IPSPD_LOG_SYSLOG
		       ? to_syslog(level, wall_ms, text)
		       : to_stderr(where == IPSPD_LOG_JOURNAL, level, wall_ms, text);
}

/* ---------------------------------------------------------------- the loop's side */

void ipspd_log_open(enum ipspd_log_to where, enum ipsp_level level)
{
	up_to = level;
	if (where == to && writer)
		return;
	ipspd_log_close();
	to = where;
	writer = ipspd_writer_new(hand_on, (void *)&places[where],
				  "whoever reads the log did not take them");
}

void ipspd_log_close(void)
{
	if (!writer)
		return;
	ipspd_writer_drain(writer, PATIENCE_MS);
	lost_before += ipspd_writer_lost(writer);
	ipspd_writer_close(writer, 0);
	writer = NULL;
}

uint64_t ipspd_log_lost(void)
{
	return lost_before + (writer ? ipspd_writer_lost(writer) : 0);
}

void ipspd_log_listen(ipspd_log_fn *fn, void *arg)
{
	listener = fn;
	listener_arg = arg;
}

enum kind { PLAIN, EVENT, OF_MANY };

static void say(enum ipsp_level level, enum kind kind, char *text)
{
	const int64_t now_ms = ipspd_wall_now();
	char shown[TEXT_MAX];

	for (char *p = text; *p;
	     p++) /* names of subscribers and words of a peer must not forge lines */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (kind != PLAIN && listener)
		listener(listener_arg, level, kind == OF_MANY, now_ms, text);
	if (level > up_to)
		return;
	if (!ipsp_shown_plain(text)) {
		ipsp_shown(text, shown, sizeof(shown));
		text = shown;
	}
	if (writer)
		ipspd_writer_put(writer, level, now_ms, text);
	else
		hand_on((void *)(uintptr_t)&places[to], level, now_ms, text);
}

void ipspd_log_note(enum ipsp_level level, bool of_many, const char *context, const char *text)
{
	char line[TEXT_MAX];

	snprintf(line, sizeof(line), "%s: %s", context, text);
	say(level, of_many ? OF_MANY : EVENT, line);
}

void ipspd_log_bug(const char *what, const char *file, int line)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text),
		 "%s:%d: this should hold and does not: %s. It is a bug in ipspd, which aborts "
		 "before "
		 "it gives a wrong answer: please report this line",
		 file, line, what);
	say(IPSP_LOG_ERROR, PLAIN, text);
	ipspd_log_close();
}

static enum kind kind_of(enum ipsp_level level)
{
	return level <= IPSP_LOG_NOTICE ? EVENT : PLAIN;
}

static bool is_wanted(enum ipsp_level level)
{
	return level <= up_to || kind_of(level) == EVENT;
}

void ipspd_vlog(enum ipsp_level level, const char *format, va_list args)
{
	char text[TEXT_MAX];

	if (!is_wanted(level))
		return;
	vsnprintf(text, sizeof(text), format, args);
	say(level, kind_of(level), text);
}

void ipspd_log(enum ipsp_level level, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	if (!is_wanted(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(level, kind_of(level), text);
}
