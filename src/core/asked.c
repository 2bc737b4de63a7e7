/* asked - see asked.h. */
#include "core/asked.h"

#include <stdlib.h>

static uint32_t bucket(uint16_t pool, uint32_t index)
{
	return (index * 2654435761u ^ (uint32_t)pool * 40503u) >> 7 & 1023u;
}

static void list_add(struct ipsp_node *n, struct ipsp_asked *a, enum ipsp_asked_state list)
{
	struct ipsp_asked_list *l = &n->has.lists[list];

	a->list = list;
	a->next = NULL;
	a->prev = l->last;
	if (l->last)
		l->last->next = a;
	else
		l->first = a;
	l->last = a;
}

static void list_del(struct ipsp_node *n, const struct ipsp_asked *a)
{
	struct ipsp_asked_list *l = &n->has.lists[a->list];

	if (a->prev)
		a->prev->next = a->next;
	else
		l->first = a->next;
	if (a->next)
		a->next->prev = a->prev;
	else
		l->last = a->prev;
}

/* The newest of its bucket. */
static void bucket_add(struct ipsp_has *h, struct ipsp_asked *a)
{
	struct ipsp_asked **same = &h->buckets[bucket(a->pool, a->index)];

	while (*same)
		same = &(*same)->next_same;
	a->next_same = NULL;
	*same = a;
}

static void bucket_del(struct ipsp_has *h, const struct ipsp_asked *a)
{
	struct ipsp_asked **same = &h->buckets[bucket(a->pool, a->index)];

	while (*same != a)
		same = &(*same)->next_same;
	*same = a->next_same;
}

struct ipsp_asked *ipsp_asked_add(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_asked *a = calloc(1, sizeof *a);
	struct ipsp_has *h = &n->has;

	if (!a) {
		n->act->failed = true;
		return NULL;
	}
	a->number = a->first = ++h->asked;
	a->made_at = a->first_at = n->now;
	a->count = 1;
	a->pool = at.pool;
	a->index = at.index;
	a->addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
	bucket_add(h, a);
	list_add(n, a, IPSP_ASKED_OPEN);
	h->n_asked++;
	return a;
}

void ipsp_asked_del(struct ipsp_node *n, struct ipsp_asked *a)
{
	struct ipsp_has *h = &n->has;

	bucket_del(h, a);
	list_del(n, a);
	h->n_asked--;
	h->n_held -= a->held;
	free(a);
}

void ipsp_asked_done(struct ipsp_node *n, struct ipsp_asked *a)
{
	if (--a->count == 0)
		ipsp_asked_del(n, a);
}

void ipsp_asked_move(struct ipsp_node *n, struct ipsp_asked *a, struct ipsp_place at)
{
	bucket_del(&n->has, a);
	a->pool = at.pool;
	a->index = at.index;
	bucket_add(&n->has, a);
}

static bool of_place(const struct ipsp_asked *a, struct ipsp_place at)
{
	return a->pool == at.pool && a->index == at.index;
}

struct ipsp_asked *ipsp_asked_first(const struct ipsp_node *n)
{
	return n->has.lists[IPSP_ASKED_OPEN].first;
}

struct ipsp_asked *ipsp_asked_open(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_asked *a = n->has.buckets[bucket(at.pool, at.index)];

	while (a && (!of_place(a, at) || a->list != IPSP_ASKED_OPEN))
		a = a->next_same;
	return a;
}

/*
 * An HA need not answer an event that was cancelled, or one for a session that it had ended itself.
 * Whoever answers without numbers is taken not to do so after this long, so that its next answer is
 * for the next event.
 */
#define UNANSWERED_MS  600000
#define TOGETHER_MS    40000 /* those that were made within this are kept as one */
#define SETTLED_A_TURN 4096

static bool is_stale(const struct ipsp_node *n, const struct ipsp_asked *a)
{
	return (a->gone || a->cancelled) && n->now - a->made_at >= UNANSWERED_MS;
}

/* The newest before @a that means the same: its answer changes as much, or as little. */
static struct ipsp_asked *like(const struct ipsp_node *n, const struct ipsp_asked *a)
{
	const struct ipsp_place at = {a->pool, a->index};
	struct ipsp_asked *found = NULL;

	for (struct ipsp_asked *b = n->has.buckets[bucket(at.pool, at.index)]; b != a;
	     b = b->next_same)
		if (of_place(b, at) && b->list == IPSP_ASKED_SETTLED && b->ha == a->ha &&
		    b->gone == a->gone)
			found = b;
	return found;
}

/*
 * An HA that hangs for minutes, and a node that its peer asks for every few seconds: the answers
 * come all at once in the end. They may not say numbers, so none of them may be taken for that to
 * a newer event: their count is what is kept.
 */
static void join(struct ipsp_node *n, struct ipsp_asked *a)
{
	struct ipsp_asked *before = like(n, a);

	if (!before || a->made_at - before->first_at >= TOGETHER_MS)
		return;
	a->first = before->first;
	a->first_at = before->first_at;
	a->count += before->count;
	ipsp_asked_del(n, before);
}

void ipsp_asked_settle(struct ipsp_node *n, struct ipsp_asked *a)
{
	if (a->held || (a->gone && a->list == IPSP_ASKED_LATE)) {
		ipsp_asked_del(n, a); /* its HA has never heard of it, or has had its time */
	} else if (a->list == IPSP_ASKED_OPEN) {
		list_del(n, a);
		list_add(n, a, IPSP_ASKED_SETTLED);
		a->settled_at = n->now;
		join(n, a);
	} else if (a->list == IPSP_ASKED_SETTLED) {
		join(n, a);
	}
}

/* Of those at an address that have had their time the newest is enough. */
static void make_late(struct ipsp_node *n, struct ipsp_asked *late)
{
	const struct ipsp_place at = {late->pool, late->index};
	struct ipsp_asked *next;

	for (struct ipsp_asked *a = n->has.buckets[bucket(at.pool, at.index)]; a; a = next) {
		next = a->next_same;
		if (of_place(a, at) && a->list == IPSP_ASKED_LATE)
			ipsp_asked_del(n, a);
	}
	late->count = 1;
	list_del(n, late);
	list_add(n, late, IPSP_ASKED_LATE);
}

/*
 * What is kept is bounded: of the settled ones, after their time, one that was cancelled for each
 * session. A late answer by number still finds that, and it means no more than that the session has
 * ended.
 */
void ipsp_asked_tick(struct ipsp_node *n)
{
	struct ipsp_asked *a;

	for (int budget = SETTLED_A_TURN; budget > 0; budget--) {
		a = n->has.lists[IPSP_ASKED_SETTLED].first;
		if (!a || n->now - a->settled_at < UNANSWERED_MS)
			break;
		if (a->gone)
			ipsp_asked_del(n, a);
		else
			make_late(n, a);
	}
}

void ipsp_asked_confirmed(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_asked *next;

	for (struct ipsp_asked *a = n->has.buckets[bucket(at.pool, at.index)]; a; a = next) {
		next = a->next_same;
		if (!of_place(a, at) || !a->cancelled)
			continue;
		a->gone = true;
		ipsp_asked_settle(n, a);
	}
}

void ipsp_asked_gone(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_asked *next;

	for (struct ipsp_asked *a = n->has.buckets[bucket(at.pool, at.index)]; a; a = next) {
		next = a->next_same;
		if (!of_place(a, at))
			continue;
		a->gone = true;
		a->deadline = IPSP_NEVER;
		a->peer_id = 0;
		ipsp_asked_settle(n, a);
	}
}

struct ipsp_asked *ipsp_asked_answered(struct ipsp_node *n, struct ipsp_place at,
				       const struct ipsp_event *ev)
{
	struct ipsp_asked *stale = NULL;

	for (struct ipsp_asked *a = n->has.buckets[bucket(at.pool, at.index)]; a;
	     a = a->next_same) {
		if (!of_place(a, at) || a->token != ev->token || a->held)
			continue;
		if (ev->id != 0 ? a->first <= ev->id && ev->id <= a->number : !is_stale(n, a))
			return a;
		if (ev->id == 0 && !stale)
			stale = a;
	}
	return stale; /* there is no other */
}

/* --------------------------------------------------------------- those of one HA, and all */

void ipsp_asked_end_settled(struct ipsp_node *n, uint16_t ha)
{
	for (int list = IPSP_ASKED_SETTLED; list < IPSP_ASKED_LISTS; list++)
		for (struct ipsp_asked *a = n->has.lists[list].first, *next; a; a = next) {
			next = a->next;
			if (ha == 0 || a->ha == ha)
				ipsp_asked_del(n, a);
		}
}

void ipsp_asked_clear(struct ipsp_node *n)
{
	for (int list = 0; list < IPSP_ASKED_LISTS; list++)
		for (struct ipsp_asked *a = n->has.lists[list].first, *next; a; a = next) {
			next = a->next;
			ipsp_asked_del(n, a);
		}
}
