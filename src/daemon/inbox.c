#include "base/attr.h"
#include "base/ctldirect.h"
#include "daemon/ctx.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536
#define CHUNKS_KEPT 32 /* 2 MiB: what a burst needed beyond goes back */
#define EVENTS_KEPT ((2u << 20) / sizeof(struct ipsp_event)) /* 2 MiB, as well */

struct ipspd_chunk {
	struct ipspd_chunk *next;
	size_t used, cap;
	uint8_t bytes[];
};

IPSP_APART static struct ipspd_chunk *next_chunk(struct ipspd_inbox *inbox, size_t n)
{
	struct ipspd_chunk **link = inbox->chunk ? &inbox->chunk->next : &inbox->first;

	if (*link && (*link)->cap >= n)
		return inbox->chunk = *link;
	const size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct ipspd_chunk *chunk = malloc(sizeof(*chunk) + cap);
	if (!chunk)
		return NULL;
	*chunk = (struct ipspd_chunk){.next = *link, .cap = cap};
	*link = chunk;
	return inbox->chunk = chunk;
}

/* @n bytes that are not yet taken; NULL: no memory. */
static inline uint8_t *peek_room(struct ipspd_inbox *inbox, size_t n)
{
	struct ipspd_chunk *chunk = inbox->chunk;

	if ((!chunk || chunk->cap - chunk->used < n) && !(chunk = next_chunk(inbox, n)))
		return NULL;
	return chunk->bytes + chunk->used;
}

/* @n bytes to be filled, until the inbox is cleared; NULL: no memory. */
static void *room(struct ipspd_inbox *inbox, size_t n)
{
	uint8_t *to = peek_room(inbox, n);

	if (to)
		inbox->chunk->used += n;
	return to;
}

/* ... filled from @p, and a NUL behind them. */
static const void *keep(struct ipspd_inbox *inbox, const void *p, size_t n)
{
	uint8_t *to = room(inbox, n + 1);

	if (!to)
		return NULL;
	if (n > 0)
		memcpy(to, p, n);
	to[n] = 0;
	return to;
}

static bool keep_text(struct ipspd_inbox *inbox, const char **text)
{
	return (*text = keep(inbox, *text, strlen(*text)));
}

static bool keep_conf(struct ipspd_inbox *inbox, struct ipsp_event *ev)
{
	struct ipsp_context_conf *conf = malloc(sizeof(*conf));

	if (!conf || ipsp_conf_copy(conf, ev->conf) != 0) {
		free(conf);
		return false;
	}
	ev->conf = conf;
	inbox->n_confs++;
	return true;
}

/* One piece has both texts of the session. */
static bool keep_ident(struct ipspd_inbox *inbox, struct ipsp_ident *ident)
{
	char *text = room(inbox, (size_t)ident->n_subscriber + ident->n_session);

	if (!text)
		return false;
	ipsp_copy_text(text, ident->subscriber, ident->n_subscriber);
	ipsp_copy_text(text + ident->n_subscriber, ident->session, ident->n_session);
	ident->subscriber = text;
	ident->session = text + ident->n_subscriber;
	return true;
}

/* What @ev borrows is copied. */
static bool keep_all(struct ipspd_inbox *inbox, struct ipsp_event *ev)
{
	switch (ev->type) {
	case IPSP_EV_REQUEST:
		return keep_ident(inbox, &ev->ident) &&
		       (!ev->pool || keep_text(inbox, &ev->pool)) &&
		       (!ev->group || keep_text(inbox, &ev->group));
	case IPSP_EV_DATAGRAM:
		return (ev->bytes = keep(inbox, ev->bytes, ev->n_bytes));
	case IPSP_EV_ATTACH:
		return keep_text(inbox, &ev->ha_name);
	case IPSP_EV_CONF:
		return keep_conf(inbox, ev);
	case IPSP_EV_TICK:
	case IPSP_EV_END:
	case IPSP_EV_FLUSHED:
	case IPSP_EV_DETACH:
	case IPSP_EV_RELEASE:
	case IPSP_EV_RELEASED:
	case IPSP_EV_COMMAND:
	case IPSP_EV_HOOK:
	case IPSP_EV_DISK:
	case IPSP_EVENT_TYPES:
		break;
	}
	return true;
}

IPSP_APART static bool grow_events(struct ipspd_inbox *inbox)
{
	const size_t cap = inbox->cap_events ? 2 * inbox->cap_events : 64;
	struct ipsp_event *more = realloc(inbox->events, cap * sizeof(*more));

	if (!more)
		return false;
	inbox->events = more;
	inbox->cap_events = cap;
	return true;
}

/* The place of the next event, which is not yet taken; NULL: no memory. */
static inline struct ipsp_event *next_event(struct ipspd_inbox *inbox)
{
	if (inbox->n_events == inbox->cap_events && !grow_events(inbox))
		return NULL;
	return &inbox->events[inbox->n_events];
}

bool ipspd_inbox_put(struct ipspd_inbox *inbox, const struct ipsp_event *ev)
{
	struct ipsp_event *to = next_event(inbox);

	if (!to)
		return false;
	*to = *ev;
	if (!keep_all(inbox, to))
		return false;
	inbox->commands |= ev->type == IPSP_EV_COMMAND || ev->type == IPSP_EV_CONF;
	inbox->n_events++;
	return true;
}

/* ---------------------------------------------------------------- frames, read directly */

/* Where the next event and its texts go; in here, and not in the inbox, while a row is read. */
struct spot {
	struct ipsp_event *ev;
	uint8_t *text;
	size_t n_ev, n_text; /* room */
};

static inline struct spot spot_of(const struct ipspd_inbox *inbox)
{
	struct ipspd_chunk *chunk = inbox->chunk;

	if (!chunk || !inbox->events)
		return (struct spot){.n_ev = inbox->cap_events - inbox->n_events};
	return (struct spot){inbox->events + inbox->n_events, chunk->bytes + chunk->used,
			     inbox->cap_events - inbox->n_events, chunk->cap - chunk->used};
}

static inline void keep_spot(struct ipspd_inbox *inbox, struct spot at)
{
	inbox->n_events = inbox->cap_events - at.n_ev;
	if (at.text)
		inbox->chunk->used = inbox->chunk->cap - at.n_text;
}

/* For one event and @n bytes; none when memory ran out. */
IPSP_APART static struct spot more_spot(struct ipspd_inbox *inbox, struct spot at, size_t n)
{
	keep_spot(inbox, at);
	if (!next_event(inbox) || !peek_room(inbox, n))
		return (struct spot){.n_ev = inbox->cap_events - inbox->n_events};
	return spot_of(inbox);
}

/* A text with a NUL behind it; NULL where it is none. */
static const char *add_name(uint8_t *to, const struct ipsp_ctl_str *s, bool *plain)
{
	if (s->n == 0)
		return NULL;
	*plain = ipsp_text_copy_plain(to, s->p, s->n) && *plain;
	to[s->n] = '\0';
	return (const char *)to;
}

IPSP_APART static bool add_names(struct ipsp_event *ev, uint8_t *to, struct ipsp_ctl_str pool,
				 struct ipsp_ctl_str group)
{
	bool plain = true;

	ev->pool = add_name(to, &pool, &plain);
	ev->group = add_name(to + (pool.n > 0 ? pool.n + 1 : 0), &group, &plain);
	return plain;
}

/* The length of the frame, or 0 when it is left to others: then nothing was taken. */
static inline size_t take_request(struct ipspd_inbox *inbox, struct spot *at, uint64_t token,
				  const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_request r;
	const size_t length = ipsp_ctl_get_request(bytes, n, &r);

	if (length == 0 || r.subscriber.n == 0 || r.subscriber.n > IPSP_NAME_BYTES ||
	    r.session.n > IPSP_NAME_BYTES)
		return 0;
	const size_t n_ident = r.subscriber.n + r.session.n, n_names = r.pool.n + r.group.n;
	const size_t n_text = n_ident + (n_names > 0 ? n_names + 2 : 0);
	if (!at->ev || at->n_ev == 0 || at->n_text < n_text) {
		*at = more_spot(inbox, *at, n_text);
		if (!at->ev)
			return 0;
	}
	struct ipsp_event *ev = at->ev;
	const char *text = (const char *)at->text;
	bool plain = ipsp_text_copy_plain(at->text, r.subscriber.p, r.subscriber.n);
	plain &= ipsp_text_copy_plain(at->text + r.subscriber.n, r.session.p, r.session.n);
	ev->type = IPSP_EV_REQUEST;
	ev->force = ev->yes = ev->full = false;
	ev->token = token;
	ev->id = r.id;
	ev->addr = r.addr;
	ev->ident = (struct ipsp_ident){text, text + r.subscriber.n, (uint8_t)r.subscriber.n,
					(uint8_t)r.session.n, 0};
	ev->pool = ev->group = NULL;
	if (n_names > 0)
		plain &= add_names(ev, at->text + n_ident, r.pool, r.group);
	if (!plain)
		return 0;
	*at = (struct spot){ev + 1, at->text + n_text, at->n_ev - 1, at->n_text - n_text};
	return length;
}

static inline size_t take_release(struct ipspd_inbox *inbox, struct spot *at, uint64_t token,
				  const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_release r;
	const size_t length = ipsp_ctl_get_release(bytes, n, &r);

	if (length == 0)
		return 0;
	if (at->n_ev == 0 || !at->text) {
		*at = more_spot(inbox, *at, 0);
		if (!at->text)
			return 0;
	}
	struct ipsp_event *ev = at->ev++;
	ev->type = IPSP_EV_RELEASE;
	ev->force = ev->yes = ev->full = false;
	ev->token = token;
	ev->id = r.id;
	ev->addr = r.addr;
	at->n_ev--;
	return length;
}

size_t ipspd_inbox_read(struct ipspd_inbox *inbox, uint64_t token, const uint8_t *bytes, size_t n)
{
	struct spot at = spot_of(inbox);
	size_t done = 0, length;

	while ((length = take_request(inbox, &at, token, bytes + done, n - done)) > 0 ||
	       (length = take_release(inbox, &at, token, bytes + done, n - done)) > 0)
		done += length;
	keep_spot(inbox, at);
	return done;
}

/* ---------------------------------------------------------------- clearing */

static void free_confs(struct ipspd_inbox *inbox)
{
	for (size_t i = 0; i < inbox->n_events && inbox->n_confs > 0; i++) {
		const struct ipsp_context_conf *borrowed = inbox->events[i].conf;
		if (inbox->events[i].type != IPSP_EV_CONF)
			continue;
		struct ipsp_context_conf *conf; /* keep_conf made it: it is ours to free */
		memcpy(&conf, &borrowed, sizeof(conf));
		ipsp_conf_fini(conf);
		free(conf);
		inbox->n_confs--;
	}
}

IPSP_APART static void shrink_events(struct ipspd_inbox *inbox)
{
	struct ipsp_event *fewer = realloc(inbox->events, EVENTS_KEPT * sizeof(*fewer));

	if (!fewer)
		return; /* then it stays as it is */
	inbox->events = fewer;
	inbox->cap_events = EVENTS_KEPT;
}

void ipspd_inbox_clear(struct ipspd_inbox *inbox)
{
	struct ipspd_chunk **link = &inbox->first;

	free_confs(inbox);
	inbox->n_events = 0;
	inbox->commands = false;
	if (inbox->cap_events > EVENTS_KEPT)
		shrink_events(inbox);
	for (int kept = 0; *link; kept++) {
		struct ipspd_chunk *chunk = *link;
		if (kept < CHUNKS_KEPT && chunk->cap == CHUNK_BYTES) {
			chunk->used = 0;
			link = &chunk->next;
		} else {
			*link = chunk->next;
			free(chunk);
		}
	}
	inbox->chunk = inbox->first;
}

void ipspd_inbox_fini(struct ipspd_inbox *inbox)
{
	ipspd_inbox_clear(inbox);
	while (inbox->first) {
		struct ipspd_chunk *chunk = inbox->first;
		inbox->first = chunk->next;
		free(chunk);
	}
	free(inbox->events);
	*inbox = (struct ipspd_inbox){0};
}
