/*
 * log - what people read: lines of text with a level.
 *
 * To standard error: plain, or, where it is the journal (JOURNAL_STREAM), each line with its level
 * as <N> (sd-daemon(3)). To syslog when the daemon has left the foreground.
 */
#ifndef IPSPD_LOG_H
#define IPSPD_LOG_H

#include "core/note.h"
#include <stdarg.h>

enum ipspd_log_to { IPSPD_LOG_STDERR, IPSPD_LOG_JOURNAL, IPSPD_LOG_SYSLOG };

/* Lines above @level (IPSP_LOG_NOTICE by default; -v and -vv raise it) are not written. */
void ipspd_log_open(enum ipspd_log_to where, enum ipsp_level level);

void ipspd_log(enum ipsp_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void ipspd_vlog(enum ipsp_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#endif
