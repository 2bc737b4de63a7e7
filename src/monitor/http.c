#include "monitor/http.h"
#include "monitor/say.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SWEEP_MS 100 /* how soon a place is free again; only while there are connections */

/*
 * evhttp of libevent 2.1 knows neither a most number of connections nor an end of one that
 * trickles. So a connection is what holds its bufferevent here: one whose callbacks are gone was
 * given back by evhttp, and is closed with the last reference.
 */
struct connection {
	struct bufferevent *bev; /* NULL: the place is free */
	int64_t until;
};

struct waiter {
	struct evhttp_request *req;
	int64_t until;
};

struct http {
	struct http_setup setup;
	struct evhttp *evhttp;
	struct evhttp_bound_socket *bound;
	struct event *sweep;
	struct connection connections[HTTP_CONNECTIONS];
	size_t n_connections;
	struct waiter waiters[HTTP_CONNECTIONS];
	size_t n_waiters;
	bool resting; /* all places are taken: who comes waits in the system's queue */
};

/* ---------------------------------------------------------------- answering */

static void add(struct evhttp_request *req, const char *key, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), key, value);
}

static const char *reason(int code)
{
	switch (code) {
	case 200:
		return "OK";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static void free_body(const void *body, size_t n, void *arg)
{
	(void)n, (void)arg;
	free((void *)body);
}

/* Takes the body over. */
static void reply(struct evhttp_request *req, struct page *page)
{
	struct evbuffer *out = evbuffer_new();
	char number[32];

	add(req, "Content-Type", page->type);
	add(req, "Content-Security-Policy",
	    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	add(req, "X-Content-Type-Options", "nosniff");
	add(req, "Referrer-Policy", "no-referrer");
	add(req, "Cross-Origin-Resource-Policy", "same-origin");
	add(req, "Cache-Control", "no-store");
	add(req, "Connection", "close");
	if (page->age_s >= 0) {
		snprintf(number, sizeof(number), "%lld", (long long)page->age_s);
		add(req, "Age", number);
	}
	snprintf(number, sizeof(number), "%zu", page->n);
	add(req, "Content-Length", number); /* of HEAD, too: what GET would have */
	if (out && evhttp_request_get_command(req) != EVHTTP_REQ_HEAD &&
	    evbuffer_add_reference(out, page->body, page->n, page->is_static ? NULL : free_body,
				   NULL) == 0)
		page->is_static = true; /* no longer ours */
	if (!page->is_static)
		free(page->body);
	evhttp_send_reply(req, page->code, reason(page->code), out);
	if (out)
		evbuffer_free(out);
}

static void reply_words(struct evhttp_request *req, int code, const char *words)
{
	struct page page = {.code = code,
			    .type = "text/plain; charset=utf-8",
			    .body = (char *)words,
			    .n = strlen(words),
			    .is_static = true,
			    .age_s = -1};

	reply(req, &page);
}

static const char *path_of(struct evhttp_request *req)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	return path && *path ? path : "/";
}

static const char *header(struct evhttp_request *req, const char *key)
{
	return evhttp_find_header(evhttp_request_get_input_headers(req), key);
}

static void reply_page(struct http *http, struct evhttp_request *req)
{
	struct page page;

	if (pages_make(http->setup.pages, path_of(req), header(req, "Accept"), &page)) {
		reply(req, &page);
		return;
	}
	free(page.body);
	reply_words(req, 500, "memory ran out\n");
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct http *http = arg;
	const enum evhttp_cmd_type method = evhttp_request_get_command(req);
	bool live;

	if (!http_host_ok(header(req, "Host"), http->setup.names, http->setup.n_names)) {
		reply_words(
			req, 403,
			"This server does not go by that name. Use its address, or add the name "
			"to http.names in ipspd.conf and restart ipsp-monitor.\n");
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		add(req, "Allow", "GET, HEAD");
		reply_words(req, 405, "Only GET and HEAD are answered.\n");
	} else if (!pages_has(path_of(req), &live)) {
		reply_words(req, 404, "There are /, /status and /metrics.\n");
	} else if (live && http->n_waiters < HTTP_CONNECTIONS && source_want(http->setup.source)) {
		http->waiters[http->n_waiters++] =
			(struct waiter){req, monitor_now() + SOURCE_FRESH_MS};
	} else {
		reply_page(http, req);
	}
}

/* Those whose time is up, or with @all everybody. */
static void serve_waiters(struct http *http, bool all)
{
	const int64_t now = monitor_now();
	size_t n = http->n_waiters;

	http->n_waiters = 0;
	for (size_t i = 0; i < n; i++) {
		if (all || http->waiters[i].until <= now)
			reply_page(http, http->waiters[i].req);
		else
			http->waiters[http->n_waiters++] = http->waiters[i];
	}
}

void http_changed(struct http *http)
{
	serve_waiters(http, true);
}

/* ---------------------------------------------------------------- connections */

static bool given_back(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void arm_sweep(struct http *http)
{
	static const struct timeval tv = {.tv_usec = SWEEP_MS * 1000};

	if (!evtimer_pending(http->sweep, NULL))
		event_add(http->sweep, &tv);
}

/* Forgets those that have ended, and ends those that take too long. */
static void sweep(struct http *http)
{
	const int64_t now = monitor_now();

	for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
		struct connection *c = &http->connections[i];

		if (!c->bev)
			continue;
		if (given_back(c->bev)) {
			bufferevent_decref(c->bev);
			c->bev = NULL;
			http->n_connections--;
		} else if (now >= c->until) { /* evhttp sees that, and gives it back */
			shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
		}
	}
	if (http->resting && http->n_connections < HTTP_CONNECTIONS) {
		evconnlistener_enable(evhttp_bound_socket_get_listener(http->bound));
		http->resting = false;
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;

	(void)fd, (void)what;
	serve_waiters(http, false);
	sweep(http);
	if (http->n_connections > 0 || http->n_waiters > 0 || http->resting)
		arm_sweep(http);
}

/* A connection was accepted: evhttp wants a bufferevent for it. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http *http = arg;
	struct bufferevent *bev;

	sweep(http);
	arm_sweep(http);
	bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	for (size_t i = 0; bev && i < HTTP_CONNECTIONS; i++) {
		struct connection *c = &http->connections[i];

		if (c->bev)
			continue;
		bufferevent_incref(bev);
		*c = (struct connection){bev, monitor_now() + HTTP_DEADLINE_MS};
		http->n_connections++;
		break;
	}
	if (http->n_connections == HTTP_CONNECTIONS) {
		evconnlistener_disable(evhttp_bound_socket_get_listener(http->bound));
		http->resting = true;
	}
	return bev;
}

/* ---------------------------------------------------------------- beginning and end */

static void set_up(struct http *http)
{
	struct evhttp *evhttp = http->evhttp;

	evhttp_set_bevcb(evhttp, on_connection, http);
	evhttp_set_gencb(evhttp, on_request, http);
	evhttp_set_default_content_type(evhttp, NULL);
	evhttp_set_max_headers_size(evhttp, HTTP_HEADERS);
	evhttp_set_max_body_size(evhttp, 4096); /* of a method that is refused */
	evhttp_set_timeout(evhttp, HTTP_DEADLINE_MS / 1000);
	/* others are refused in words */
	evhttp_set_allowed_methods(evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
						   EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
						   EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
						   EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
}

struct http *http_new(const struct http_setup *setup)
{
	struct http *http = calloc(1, sizeof(*http));
	int error = ENOMEM;

	if (!http)
		return NULL;
	http->setup = *setup;
	http->setup.address = NULL; /* of no use any more once it is bound */
	http->evhttp = evhttp_new(setup->base);
	http->sweep = evtimer_new(setup->base, on_sweep, http);
	if (http->evhttp && http->sweep) {
		set_up(http);
		errno = 0;
		http->bound = evhttp_bind_socket_with_handle(http->evhttp, setup->address,
							     (ev_uint16_t)setup->port);
		if (http->bound)
			return http;
		error = errno ? errno : EINVAL;
	}
	http_free(http);
	errno = error;
	return NULL;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	serve_waiters(http, true);
	if (http->evhttp)
		evhttp_free(http->evhttp);
	sweep(http);
	if (http->sweep)
		event_free(http->sweep);
	free(http);
}
