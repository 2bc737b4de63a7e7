/*
 * events - what happened: the lines of the log, for `show log`. Each context's own, and those of
 * the daemon as a whole; the latest in memory, and over a restart in the state directory.
 *
 * The files (`events`, and `events.old` before it) are lines of text, appended by a thread and not
 * flushed. What is damaged in them is left out and said. A full disk costs lines in them, nothing
 * else.
 */
#ifndef IPSPD_EVENTS_H
#define IPSPD_EVENTS_H

#include "core/note.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipspd_events;

#define IPSPD_EVENTS_KEPT                                                                          \
	256 /* in memory, of each context and of the daemon, of each of two kinds */
#define IPSPD_EVENTS_FILE_MAX (512u << 10) /* bytes of each of the two files */

struct ipspd_event {
	uint64_t number; /* from 1, in each context and of the daemon */
	int64_t wall_ms; /* when it happened, since 1970: found out once */
	enum ipsp_level level;
	char text[]; /* without the context's name */
};

/* NULL: no memory. Nothing is kept in files yet. */
struct ipspd_events *ipspd_events_new(void);
void ipspd_events_free(struct ipspd_events *events); /* NULL is fine */

/* From now on events that begin with "@name: " are that context's. False: no memory. */
bool ipspd_events_context(struct ipspd_events *events, const char *name);

/*
 * Once, before the first event: reads what is in @dir, which this process has locked, and keeps
 * what follows there. Whatever is wrong with the files is logged, and no reason to fail.
 */
void ipspd_events_keep(struct ipspd_events *events, const char *dir);

/* A line of the log. Those @of_many push out only each other. Memory that runs out costs the event.
 */
void ipspd_events_add(struct ipspd_events *events, enum ipsp_level level, bool of_many,
		      int64_t wall_ms, const char *text);

/* The latest @n of @context ("": of the daemon as a whole), oldest first; 0: all that are kept. */
void ipspd_events_each(const struct ipspd_events *events, const char *context, size_t n,
		       void (*each)(void *arg, const struct ipspd_event *event), void *arg);

uint64_t ipspd_events_lost(const struct ipspd_events *events); /* lines that no file has */

#endif
