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

static bool has_conf(const struct ipsp_event *ev)
{
	return ev->type == IPSP_EV_CONF || ev->type == IPSP_EV_KEYS;
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

/* The same where a text that is NULL stays so. */
static bool keep_named(struct ipspd_inbox *inbox, struct ipsp_ident *ident)
{
	const bool subscriber = ident->subscriber, session = ident->session;

	if (!subscriber && !session)
		return true;
	if (!subscriber)
		*ident = (struct ipsp_ident){"", ident->session, 0, ident->n_session, 0};
	if (!session)
		*ident = (struct ipsp_ident){ident->subscriber, "", ident->n_subscriber, 0, 0};
	if (!keep_ident(inbox, ident))
		return false;
	ident->subscriber = subscriber ? ident->subscriber : NULL;
	ident->session = session ? ident->session : NULL;
	return true;
}

/* What @ev borrows is copied. */
static bool keep_all(struct ipspd_inbox *inbox, struct ipsp_event *ev)
{
	switch (ev->type) {
	case IPSP_EV_RELEASE:
		return keep_named(inbox, &ev->ident) &&
		       (!ev->of_ha || keep_text(inbox, &ev->of_ha));
	case IPSP_EV_RELEASED:
		return keep_named(inbox, &ev->ident);
	case IPSP_EV_REQUEST:
		return keep_ident(inbox, &ev->ident) &&
		       (!ev->pool || keep_text(inbox, &ev->pool)) &&
		       (!ev->group || keep_text(inbox, &ev->group));
	case IPSP_EV_DATAGRAM:
		return (ev->bytes = keep(inbox, ev->bytes, ev->n_bytes));
	case IPSP_EV_ATTACH:
		return keep_text(inbox, &ev->ha_name);
	case IPSP_EV_LINK:
		return !ev->error || keep_text(inbox, &ev->error);
	case IPSP_EV_CONF:
	case IPSP_EV_KEYS:
		return keep_conf(inbox, ev);
	case IPSP_EV_TICK:
	case IPSP_EV_END:
	case IPSP_EV_FLUSHED:
	case IPSP_EV_DETACH:
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
	inbox->commands |= ev->type == IPSP_EV_COMMAND || has_conf(ev);
	inbox->n_events++;
	return true;
}

/* ---------------------------------------------------------------- frames, read directly */

#define TEXTS_MAX (4 * 256) /* the four texts of a REQUEST, and a NUL behind two of them */

/* A text with a NUL behind it; NULL where it is none. */
static const char *add_name(uint8_t *to, const char *p, size_t n, uint64_t *marks)
{
	if (n == 0)
		return NULL;
	*marks |= ipsp_text_copy_marks(to, p, n);
	to[n] = '\0';
	return (const char *)to;
}

IPSP_APART static uint64_t add_names(struct ipsp_event *ev, uint8_t *to, const char *pool,
				     size_t n_pool, const char *group, size_t n_group)
{
	uint64_t marks = 0;

	ev->pool = add_name(to, pool, n_pool, &marks);
	ev->group = add_name(to + (n_pool > 0 ? n_pool + 1 : 0), group, n_group, &marks);
	return marks;
}

/* The length of the frame, or 0 when it is left to others. Its texts go to @text, of which *@used
 * is used then. */
static inline size_t get_request(struct ipsp_event *ev, uint8_t *text, size_t *used, uint64_t token,
				 const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_request r;
	const size_t length = ipsp_ctl_get_request(bytes, n, &r);

	if (length == 0 || r.subscriber.n == 0 || r.subscriber.n > IPSP_NAME_BYTES ||
	    r.session.n > IPSP_NAME_BYTES)
		return 0;
	uint8_t *const session = text + r.subscriber.n, *const names = session + r.session.n;
	ev->type = IPSP_EV_REQUEST;
	ev->force = ev->yes = ev->full = false;
	ev->token = token;
	ev->id = r.id;
	ev->addr = r.addr;
	ev->ident = (struct ipsp_ident){(const char *)text, (const char *)session,
					(uint8_t)r.subscriber.n, (uint8_t)r.session.n, 0};
	ev->pool = ev->group = NULL;
	uint64_t marks = ipsp_text_copy_marks(text, r.subscriber.p, r.subscriber.n) |
			 ipsp_text_copy_marks(session, r.session.p, r.session.n);
	*used = r.subscriber.n + r.session.n;
	if (r.pool.n + r.group.n > 0) {
		marks |= add_names(ev, names, r.pool.p, r.pool.n, r.group.p, r.group.n);
		*used += r.pool.n + r.group.n + 2;
	}
	return ipsp_text_special(marks) ? 0 : length;
}

/* The same for a release, which may name the session. */
static inline size_t get_release(struct ipsp_event *ev, uint8_t *text, size_t *used, uint64_t token,
				 const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_release r;
	const size_t length = ipsp_ctl_get_release(bytes, n, &r);
	uint64_t marks = 0;

	if (length == 0)
		return 0;
	ev->type = IPSP_EV_RELEASE;
	ev->force = ev->yes = ev->full = false;
	ev->token = token;
	ev->id = r.id;
	ev->addr = r.addr;
	ev->of_ha = NULL;
	ev->ident =
		(struct ipsp_ident){NULL, NULL, (uint8_t)r.subscriber.n, (uint8_t)r.session.n, 0};
	if (r.subscriber.n > 0) {
		ev->ident.subscriber = (const char *)text;
		marks |= ipsp_text_copy_marks(text, r.subscriber.p, r.subscriber.n);
	}
	if (r.session.p) {
		ev->ident.session = (const char *)text + r.subscriber.n;
		marks |= ipsp_text_copy_marks(text + r.subscriber.n, r.session.p, r.session.n);
	}
	*used = r.subscriber.n + r.session.n;
	return ipsp_text_special(marks) ? 0 : length;
}

typedef size_t get_fn(struct ipsp_event *ev, uint8_t *text, size_t *used, uint64_t token,
		      const uint8_t *bytes, size_t n);

/*
 * As many frames that @get reads as stand at the beginning of @bytes and as there is room for, at
 * least for one: their length. 0: there is none, or no memory.
 */
IPSP_INLINE size_t read_row(struct ipspd_inbox *inbox, uint64_t token, const uint8_t *bytes,
			    size_t n, get_fn *get)
{
	struct ipsp_event *ev = next_event(inbox);
	uint8_t *text = peek_room(inbox, TEXTS_MAX);

	if (!ev || !text)
		return 0;
	const struct ipsp_event *const end = inbox->events + inbox->cap_events;
	const uint8_t *const full = inbox->chunk->bytes + inbox->chunk->cap - TEXTS_MAX;
	size_t left = n, length, used;
	for (; ev < end && text <= full; ev++, text += used, left -= length) {
		length = get(ev, text, &used, token, bytes + (n - left), left);
		if (length == 0)
			break;
	}
	inbox->n_events = (size_t)(ev - inbox->events);
	inbox->chunk->used = (size_t)(text - inbox->chunk->bytes);
	return n - left;
}

IPSP_APART static size_t read_requests(struct ipspd_inbox *inbox, uint64_t token,
				       const uint8_t *bytes, size_t n)
{
	return read_row(inbox, token, bytes, n, get_request);
}

IPSP_APART static size_t read_releases(struct ipspd_inbox *inbox, uint64_t token,
				       const uint8_t *bytes, size_t n)
{
	return read_row(inbox, token, bytes, n, get_release);
}

size_t ipspd_inbox_read(struct ipspd_inbox *inbox, uint64_t token, const uint8_t *bytes, size_t n)
{
	size_t done = 0, length;

	do {
		const uint8_t type = n - done > IPSP_CTL_HEAD ? bytes[done + IPSP_CTL_HEAD] : 0;
		length = 0;
		if (type == IPSP_CTL_REQUEST)
			length = read_requests(inbox, token, bytes + done, n - done);
		else if (type == IPSP_CTL_RELEASE)
			length = read_releases(inbox, token, bytes + done, n - done);
		done += length;
	} while (length > 0);
	return done;
}

/* ---------------------------------------------------------------- clearing */

static void free_confs(struct ipspd_inbox *inbox)
{
	for (size_t i = 0; i < inbox->n_events && inbox->n_confs > 0; i++) {
		const struct ipsp_context_conf *borrowed = inbox->events[i].conf;
		if (!has_conf(&inbox->events[i]))
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
