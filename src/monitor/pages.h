/*
 * pages - what stands under each path. "/" is the page for people, one HTML text, with its script,
 * style and icon, all in the program. "/page.json" is what the page shows: the latest answers, how
 * old they are, and whether ipspd answers. "/status" is `show ip ipsp` as it came, or 503 where
 * that is older than PAGES_OLD_MS, or missing. "/metrics" is Prometheus text, or OpenMetrics where
 * Accept prefers it.
 */
#ifndef MONITOR_PAGES_H
#define MONITOR_PAGES_H

#include "monitor/drains.h"
#include "monitor/source.h"
#include <stdbool.h>
#include <stddef.h>

#define PAGES_OLD_MS 60000 /* numbers that are older are told no more */

struct pages;

struct page {
	int code;	  /* of HTTP */
	const char *type; /* Content-Type */
	char *body;	  /* free() it, unless .is_static */
	size_t n;
	bool is_static;
	int64_t age_s; /* of the answer that it was made from; < 0: none */
};

struct pages *pages_new(const struct source *source); /* NULL: no memory */
void pages_free(struct pages *pages);
void pages_changed(struct pages *pages); /* there is a new answer */

/* Whether there is anything at @path, and if so whether the daemon should be asked before. */
bool pages_has(const char *path, bool *is_live);
/* @accept: the header of that name, or NULL. False: memory ran out. */
bool pages_make(struct pages *pages, const char *path, const char *accept, struct page *page);

/* Does this Accept prefer OpenMetrics to plain text? */
bool pages_wants_open(const char *accept);

#endif
