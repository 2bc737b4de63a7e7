#include "daemon/log.h"
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static enum ipspd_log_to to = IPSPD_LOG_STDERR;
static enum ipsp_level up_to = IPSP_LOG_NOTICE;

static const struct {
	int syslog;
	const char *word;
} levels[] = {
	[IPSP_LOG_ERROR] = {LOG_ERR, "error"},	    [IPSP_LOG_WARNING] = {LOG_WARNING, "warning"},
	[IPSP_LOG_NOTICE] = {LOG_NOTICE, "notice"}, [IPSP_LOG_INFO] = {LOG_INFO, "info"},
	[IPSP_LOG_DEBUG] = {LOG_DEBUG, "debug"},
};

void ipspd_log_open(enum ipspd_log_to where, enum ipsp_level level)
{
	to = where;
	up_to = level;
	if (where == IPSPD_LOG_SYSLOG)
		openlog("ipspd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

/* One write a line, so that lines of several processes don't mix. A line that can't be written is
 * lost. */
static void to_stderr(enum ipsp_level level, const char *text)
{
	char line[1400], when[32];
	struct timespec now;
	struct tm tm;
	int n;

	if (to == IPSPD_LOG_JOURNAL) {
		n = snprintf(line, sizeof(line), "<%d>%s\n", levels[level].syslog, text);
	} else {
		clock_gettime(CLOCK_REALTIME, &now); /* for people only */
		localtime_r(&now.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		n = snprintf(line, sizeof(line), "%s.%03ld %s: %s\n", when, now.tv_nsec / 1000000,
			     levels[level].word, text);
	}
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void ipspd_vlog(enum ipsp_level level, const char *format, va_list args)
{
	char text[1300];

	if (level > up_to)
		return;
	vsnprintf(text, sizeof(text), format, args);
	for (char *p = text; *p;
	     p++) /* names of subscribers and words of a peer must not forge lines */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (to == IPSPD_LOG_SYSLOG)
		syslog(levels[level].syslog, "%s", text);
	else
		to_stderr(level, text);
}

void ipspd_log(enum ipsp_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ipspd_vlog(level, format, args);
	va_end(args);
}
