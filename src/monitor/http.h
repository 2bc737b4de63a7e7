/*
 * http - the server, on libevent's evhttp, and what bounds its clients: how many connections, how
 * long one may take, how long a header may be, which Host it may name, and that nothing but GET and
 * HEAD is answered. A connection has one request. What needs a fresh answer of the daemon waits for
 * it for a second at most.
 */
#ifndef MONITOR_HTTP_H
#define MONITOR_HTTP_H

#include "monitor/pages.h"
#include "monitor/source.h"

#define HTTP_CONNECTIONS 64
#define HTTP_DEADLINE_MS 10000 /* for a whole connection */
#define HTTP_HEADERS	 8192  /* bytes */

struct event_base;
struct http;

struct http_setup {
	struct event_base *base;
	struct source *source;
	struct pages *pages;
	const char *address;
	unsigned port;
	const char *const *names; /* n_names; by which hosts it may be named beside its addresses */
	size_t n_names;
};

/* All of @setup is borrowed for as long as it lives. NULL, with errno: it can't listen there. */
struct http *http_new(const struct http_setup *setup);
void http_free(struct http *http);    /* NULL is fine */
void http_changed(struct http *http); /* who waits for an answer of the daemon gets it */

/* May a request that names this Host be answered? NULL: none was named. */
bool http_host_ok(const char *host, const char *const *names, size_t n_names);

#endif
