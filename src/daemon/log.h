/*
 * log - what people read: lines of text with a level.
 *
 * To standard error: with the time, or, where it is the journal (JOURNAL_STREAM), each line with
 * its level as <N> (sd-daemon(3)). To syslog when the daemon has left the foreground. Times are
 * UTC, as `show log` has them.
 *
 * Nobody who reads them, or does not, can hold the daemon up: see writer.h.
 */
#ifndef IPSPD_LOG_H
#define IPSPD_LOG_H

#include "core/note.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ipspd_log_to { IPSPD_LOG_STDERR, IPSPD_LOG_JOURNAL, IPSPD_LOG_SYSLOG };

/*
 * Lines above @level (IPSP_LOG_NOTICE by default; -v and -vv raise it) are not written. Called
 * again it first hands on what waits, for a second at most. Before the first call lines are written
 * to standard error at once.
 */
void ipspd_log_open(enum ipspd_log_to where, enum ipsp_level level);
/* Hands on what waits, for a second at most; then as before ipspd_log_open(). */
void ipspd_log_close(void);

void ipspd_log(enum ipsp_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void ipspd_vlog(enum ipsp_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* What a node says. @of_many: there may be thousands of these, which must not push others out. */
void ipspd_log_note(enum ipsp_level level, bool of_many, const char *context, const char *text);

/* For ipsp_must_listen(): what did not hold, and that it is the end; written when this returns. */
void ipspd_log_bug(const char *what, const char *file, int line);

uint64_t ipspd_log_lost(void); /* lines that nobody took */

/* Is told of every line up to IPSP_LOG_NOTICE and of every note, whatever -v says; NULL: nobody. */
typedef void ipspd_log_fn(void *arg, enum ipsp_level level, bool of_many, int64_t wall_ms,
			  const char *text);
void ipspd_log_listen(ipspd_log_fn *fn, void *arg);

int64_t ipspd_wall_now(void); /* milliseconds since 1970; for what people read, and nothing else */

/* "2026-11-30T11:06:46.123Z": the one form of a time that people are shown. */
#define IPSPD_TIME_TEXT 40
const char *ipspd_time_text(int64_t wall_ms, char text[IPSPD_TIME_TEXT]);
/* How long such a text at the beginning of @text is; 0: there is none. */
size_t ipspd_time_parse(const char *text, int64_t *wall_ms);

#endif
