/*
 * note - typed events for people: what happened, with the few values that matter. The core makes
 * them; the shell logs each as it comes (IPSP_OUT_NOTE), and shows the latest (show log).
 *
 * There are two kinds. Of most there are few: what became of the two sides, what an operator asked
 * for. One of many says the same of one address after the other, by the thousand at a healing:
 * those are kept apart, so that they push nothing but each other out.
 */
#ifndef IPSP_CORE_NOTE_H
#define IPSP_CORE_NOTE_H

#include "core/conf.h"
#include <stdarg.h>

enum ipsp_level {
	IPSP_LOG_ERROR,
	IPSP_LOG_WARNING,
	IPSP_LOG_NOTICE,
	IPSP_LOG_INFO,
	IPSP_LOG_DEBUG
};

#define IPSP_NOTES_KEPT 256 /* of each kind */

struct ipsp_note {
	uint64_t number; /* from 1, over both kinds */
	ipsp_ms at;
	enum ipsp_level level;
	bool of_many;
	uint32_t n_text;
	char text[]; /* a sentence, ready to show, whole, with a NUL */
};

struct ipsp_note_ring {
	uint64_t n;				 /* made so far: the newest is at (n - 1) % KEPT */
	struct ipsp_note *ring[IPSP_NOTES_KEPT]; /* owned; NULL: none yet */
};

struct ipsp_notes {
	uint64_t last; /* number of the newest, 0: none */
	struct ipsp_note_ring few, many;
};

void ipsp_notes_clear(struct ipsp_notes *notes); /* as new; all memory is freed */

/* What is kept of it, until others push it out; NULL: no memory, and it has no number. */
const struct ipsp_note *ipsp_note_add(struct ipsp_notes *notes, ipsp_ms at, enum ipsp_level level,
				      bool of_many, const char *format, va_list args)
	__attribute__((format(printf, 5, 0)));

/* The first that is kept and has a number above @number; NULL: there is none. */
const struct ipsp_note *ipsp_note_after(const struct ipsp_notes *notes, uint64_t number);
/* The note @number, or NULL when it is not kept (any more). */
const struct ipsp_note *ipsp_note_get(const struct ipsp_notes *notes, uint64_t number);
size_t ipsp_notes_kept(const struct ipsp_notes *notes); /* how many, of both kinds */

#endif
