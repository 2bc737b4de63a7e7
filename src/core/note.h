/*
 * note - typed events for people: what happened, with the few values that matter. The core makes
 * them; the shell logs new ones and shows the latest (show log).
 */
#ifndef IPSP_CORE_NOTE_H
#define IPSP_CORE_NOTE_H

#include "core/conf.h"

enum ipsp_level {
	IPSP_LOG_ERROR,
	IPSP_LOG_WARNING,
	IPSP_LOG_NOTICE,
	IPSP_LOG_INFO,
	IPSP_LOG_DEBUG
};

#define IPSP_NOTES_KEPT 256
#define IPSP_NOTE_TEXT	200

struct ipsp_note {
	uint64_t number; /* from 1 */
	ipsp_ms at;
	enum ipsp_level level;
	char text[IPSP_NOTE_TEXT]; /* a sentence, ready to show; made when it happens, rarely */
};

struct ipsp_notes {    /* a ring; the one with number n is at n % IPSP_NOTES_KEPT */
	uint64_t last; /* number of the newest, 0: none */
	struct ipsp_note ring[IPSP_NOTES_KEPT];
};

void ipsp_note_add(struct ipsp_notes *notes, ipsp_ms at, enum ipsp_level level, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));
/* The note @number, or NULL when it is not kept (any more). */
const struct ipsp_note *ipsp_note_get(const struct ipsp_notes *notes, uint64_t number);

#endif
