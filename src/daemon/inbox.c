#include "base/attr.h"
#include "daemon/ctx.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536
#define CHUNKS_KEPT 32 /* 2 MiB: what a burst needed beyond goes back */

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

/* @n bytes to be filled, until the inbox is cleared; NULL: no memory. */
static void *room(struct ipspd_inbox *inbox, size_t n)
{
	struct ipspd_chunk *chunk = inbox->chunk;

	if ((!chunk || chunk->cap - chunk->used < n) && !(chunk = next_chunk(inbox, n)))
		return NULL;
	uint8_t *to = chunk->bytes + chunk->used;
	chunk->used += n;
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

static struct ipsp_event *next_event(struct ipspd_inbox *inbox)
{
	if (inbox->n_events == inbox->cap_events) {
		const size_t cap = inbox->cap_events ? 2 * inbox->cap_events : 64;
		struct ipsp_event *more = realloc(inbox->events, cap * sizeof(*more));
		if (!more)
			return NULL;
		inbox->events = more;
		inbox->cap_events = cap;
	}
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
	inbox->n_events++;
	return true;
}

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

void ipspd_inbox_clear(struct ipspd_inbox *inbox)
{
	struct ipspd_chunk **link = &inbox->first;

	free_confs(inbox);
	inbox->n_events = 0;
	inbox->chunk = NULL;
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
