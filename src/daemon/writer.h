/*
 * writer - hands lines on to somebody who may not take them: a queue, and a thread that waits in
 * the loop's place.
 *
 * Whoever reads a log decides how long a write to it takes: a full pipe, a syslog daemon that
 * stands, a disk that is full. The loop only puts lines into the queue. What finds no room is
 * dropped, counted, and said as soon as lines are taken again.
 */
#ifndef IPSPD_WRITER_H
#define IPSPD_WRITER_H

#include "core/note.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipspd_writer;

/*
 * Called in the thread, for one line at a time; it may wait as long as it likes. False: the line
 * was not taken and is lost. @wall_ms is when it happened, in milliseconds since 1970.
 */
typedef bool ipspd_writer_fn(void *arg, enum ipsp_level level, int64_t wall_ms, const char *text);

/*
 * @lost is the end of the sentence that begins with how many lines were lost. What @arg points to
 * must live for as long as the process, as the thread may be left behind. NULL: no memory, or no
 * thread.
 */
struct ipspd_writer *ipspd_writer_new(ipspd_writer_fn *fn, void *arg, const char *lost);

/* Never waits. */
void ipspd_writer_put(struct ipspd_writer *writer, enum ipsp_level level, int64_t wall_ms,
		      const char *text);

/* Waits until all was handed on, @ms at most; true: it was. */
bool ipspd_writer_drain(struct ipspd_writer *writer, unsigned ms);

uint64_t ipspd_writer_lost(struct ipspd_writer *writer); /* lines, since it was made */

/* Drains it for @ms at most; a thread that still waits then is left to itself, with what
 * its @arg points to: false. NULL is fine. */
bool ipspd_writer_close(struct ipspd_writer *writer, unsigned ms);

#endif
