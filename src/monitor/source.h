/*
 * source - what the daemon says, and for how long it has said nothing.
 *
 * It asks over libipsp: each SOURCE_REST_MS, and sooner when somebody wants to know, but not more
 * often than each SOURCE_FRESH_MS, however many want to. One question is open at a time. The latest
 * whole answer is kept; whether the daemon is there at all is told apart from it.
 */
#ifndef MONITOR_SOURCE_H
#define MONITOR_SOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SOURCE_FRESH_MS 1000  /* an answer is not asked for again before */
#define SOURCE_REST_MS	10000 /* ... and asked for again after, where nobody wants to know */
#define SOURCE_LATE_MS	3000  /* a daemon that says nothing for so long doesn't answer */

struct event_base;
struct source;

struct source_answer {
	uint64_t number; /* 0: there is none */
	int64_t at_ms;	 /* monitor_now() when it was whole */
	char *ipsp_text; /* of `show ip ipsp`, as it came */
	/* ... and what else was asked; NULL: the daemon has no such thing */
	json_t *ipsp, *ok_to_stop, *metrics, *log;
	json_t *duplicates; /* {"isp1":{"duplicates":[...]}}: of contexts that have open ones */
};

/* @changed: there is a new answer, or the daemon went away. NULL: no memory. */
struct source *source_new(struct event_base *base, const char *socket, void (*changed)(void *arg),
			  void *arg);
void source_free(struct source *source); /* NULL is fine */

const struct source_answer *source_latest(const struct source *source);
/* The daemon answers: it is connected, and the open question is not late. */
bool source_up(const struct source *source);
/* Why it is not up, for people; "" where it is. */
const char *source_why(const struct source *source);

/* Somebody wants to know. True: an answer is awaited, and is not late yet. */
bool source_want(struct source *source);

#endif
