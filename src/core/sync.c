/*
 * sync - the two numbered streams: what was decided between the sides, each thing exactly once.
 *
 * Giver forgets before taker learns: an item of ours is recorded, flushed, sent, repeated with
 * back-off until acknowledged. An item of the peer's is applied in order, recorded, and
 * acknowledged after our flush. Both go on through restarts, epochs, takeovers and healing. What an
 * item changes in memory is in effect.c.
 */
#include "core/effect.h"

#include <stdlib.h>
#include <string.h>

#define RTO_START_MS 100
#define RTO_MIN_MS   20
#define RTO_MAX_MS   2000
#define RESEND_BURST 16
#define RING_MIN     64	  /* places for items of our stream */
#define RING_KEPT    1024 /* ... that stay when all are acknowledged */
/*
 * Nobody waits for an acknowledgement, and on one disk its flush would hold up the peer's next one,
 * which a session does wait for. So it waits a little for a flush that is wanted anyway, by far
 * less than the peer's least rto, and not when a good part of the peer's window is unacknowledged.
 */
#define ACK_MS	  5
#define ACK_ITEMS (IPSP_WINDOW / 8)

int ipsp_sync_init(struct ipsp_node *n)
{
	n->stream.rto_ms = RTO_START_MS;
	n->stream.flush_at = IPSP_NEVER;
	return 0;
}

static void ahead_clear(struct ipsp_stream *s)
{
	for (uint32_t i = 0; s->ahead && i < IPSP_WINDOW; i++)
		free(s->ahead[i].bytes);
	free(s->ahead);
	s->ahead = NULL;
}

static void item_free(struct ipsp_out_item *o)
{
	if (o->n > IPSP_ITEM_NEAR)
		free(o->far);
}

/* Both streams end here: whatever was on its way belongs to books that are no more. */
void ipsp_sync_clear(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;

	for (uint32_t i = 0; i < s->n; i++)
		item_free(ipsp_stream_nth(s, i));
	s->head = s->n = s->unsent = 0;
	s->flowed = 0;
	s->n_waits = 0;
	s->ack_due = 0;
	s->ack_now = false;
	s->stands_at = 0;
	s->flush_at = IPSP_NEVER;
	ahead_clear(s);
}

void ipsp_sync_fini(struct ipsp_node *n)
{
	ipsp_sync_clear(n);
	free(n->stream.items);
	free(n->stream.waits);
}

uint32_t ipsp_sync_tag(uint64_t sender_books, uint64_t receiver_books)
{
	uint64_t x = sender_books ^ (receiver_books << 23 | receiver_books >> 41);
	return (uint32_t)(x ^ x >> 32);
}

/* --------------------------------------------------------------- our stream */

static bool ring_grow(struct ipsp_stream *s)
{
	const uint32_t cap = s->cap ? s->cap * 2 : RING_MIN;
	struct ipsp_out_item *items = malloc(cap * sizeof *items);

	if (!items)
		return false;
	for (uint32_t i = 0; i < s->n; i++)
		items[i] = *ipsp_stream_nth(s, i);
	free(s->items);
	s->items = items;
	s->cap = cap;
	s->head = 0;
	return true;
}

/* A burst has gone: what it needed goes back. */
static void ring_rest(struct ipsp_stream *s)
{
	free(s->items);
	s->items = NULL;
	s->cap = s->head = 0;
}

/* The new last one, without a copy of @bytes yet; NULL: no memory. */
static struct ipsp_out_item *ring_add(struct ipsp_stream *s, size_t len)
{
	uint8_t *far = len > IPSP_ITEM_NEAR ? malloc(len) : NULL;

	if ((len > IPSP_ITEM_NEAR && !far) || (s->n == s->cap && !ring_grow(s))) {
		free(far);
		return NULL;
	}
	struct ipsp_out_item *o = ipsp_stream_nth(s, s->n++);
	o->n = (uint16_t)len;
	if (far)
		o->far = far;
	return o;
}

void ipsp_sync_append(struct ipsp_node *n, const uint8_t *bytes, size_t len, uint64_t number)
{
	struct ipsp_out_item *o = ring_add(&n->stream, len);

	if (!o) {
		if (n->act)
			n->act->failed = true;
		return;
	}
	o->number = number;
	o->seq = n->seq;
	o->sent_at = IPSP_NEVER;
	o->tries = 0;
	memcpy(len > IPSP_ITEM_NEAR ? o->far : o->near, bytes, len);
	n->stream.unsent++;
}

/* All up to @number have arrived for good. */
void ipsp_sync_acked(struct ipsp_node *n, uint64_t number)
{
	struct ipsp_stream *s = &n->stream;

	while (s->n > 0) {
		struct ipsp_out_item *o = ipsp_stream_nth(s, 0);
		if (o->number > number)
			break;
		ipsp_effect_delivered(n, o);
		if (s->unsent == s->n)
			s->unsent--;
		item_free(o);
		s->head = (s->head + 1) & (s->cap - 1);
		s->n--;
	}
	if (s->n == 0 && s->cap > RING_KEPT)
		ring_rest(s);
}

static void measure(struct ipsp_node *n, uint64_t number)
{
	struct ipsp_stream *s = &n->stream;
	const struct ipsp_out_item *o = s->n ? ipsp_stream_nth(s, 0) : NULL;

	/* Karn: only what was sent once tells */
	if (!o || o->number > number || o->tries != 1 || o->sent_at == IPSP_NEVER)
		return;
	ipsp_ms rtt = n->now - o->sent_at;
	s->rtt_ms = s->rtt_ms ? (7 * s->rtt_ms + rtt) / 8 : rtt;
	s->rto_ms = 4 * s->rtt_ms + RTO_MIN_MS;
	if (s->rto_ms > RTO_MAX_MS)
		s->rto_ms = RTO_MAX_MS;
}

void ipsp_sync_on_ack(struct ipsp_node *n, uint64_t number)
{
	if (number <= n->side.acked || number > n->side.sent)
		return;
	measure(n, number);
	ipsp_rec_acked(n, number);
}

/*
 * Gives one address for a request. It travels as held for its subscriber, so that it finds the
 * session that waits, and stays a minute for it when the request has gone meanwhile.
 */
uint64_t ipsp_sync_give(struct ipsp_node *n, struct ipsp_place at, uint64_t request,
			const struct ipsp_ident *ident)
{
	struct ipsp_item_writer w;

	if (ident && ident->n_subscriber > 0) {
		ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, request, at.pool,
				IPSP_SET_KEPT);
		ipsp_item_add_kept(&w, at.index, IPSP_USE_HOLD, 60, ident->subscriber,
				   ident->n_subscriber);
	} else {
		ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, request, at.pool,
				IPSP_SET_RUNS);
		ipsp_item_add_run(&w, at.index, 1);
	}
	return ipsp_rec_out(n, &w);
}

/* --------------------------------------------------------------- receiving */

static void note_applied(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;

	if (s->n_waits > 0 && s->waits[s->n_waits - 1].seq == n->seq) {
		s->waits[s->n_waits - 1].number = n->side.applied;
		return;
	}
	if (s->n_waits == s->cap_waits) {
		uint32_t cap = s->cap_waits ? s->cap_waits * 2 : 64;
		struct ipsp_ack_wait *waits = realloc(s->waits, cap * sizeof *waits);
		if (!waits) {
			n->act->failed = true;
			return;
		}
		s->waits = waits;
		s->cap_waits = cap;
	}
	s->waits[s->n_waits++] = (struct ipsp_ack_wait){n->seq, n->side.applied};
}

/*
 * The peer gives back what we gave it: so it had applied our item, whose acknowledgement was lost.
 * It has to count as acknowledged before the address can be given once more. A record of its own:
 * the effect of the IN must not depend on what a snapshot has not restored yet.
 */
static void came_back(struct ipsp_node *n, uint16_t pool, uint32_t index)
{
	struct ipsp_stream *s = &n->stream;
	uint64_t number = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct ipsp_out_item *o = ipsp_stream_nth(s, i);
		struct ipsp_set_entry e;
		struct ipsp_set_iter it;
		struct ipsp_item item;
		if (ipsp_item_again(ipsp_out_bytes(o), o->n, &item) != 0 ||
		    item.type != IPSP_ITEM_GIVE || item.pool != pool)
			continue;
		for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);)
			if (index - e.start < e.count)
				number = o->number;
	}
	ipsp_rec_acked(n, number);
}

/* Before the record of a GIVE. */
static void on_give(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (n->stream.n == 0 || item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);)
		for (uint32_t i = e.start;
		     i - e.start < e.count && i < n->conf.pools[item->pool].size; i++)
			if (ipsp_pool_own(n->pools[item->pool], i) == IPSP_OWN_TRANSIT)
				came_back(n, item->pool, i);
}

/* Of a later version, and may be skipped: applied as nothing. */
static void skip(struct ipsp_node *n, uint64_t number)
{
	struct ipsp_side s = n->side;

	s.applied = number;
	ipsp_rec_side(n, &s, false);
	n->act->want_flush = true; /* it is acknowledged like any other */
	note_applied(n);
	n->stats.items_skipped++;
}

/* Of a later version, and may not be skipped: nothing behind it can be applied. Said once. */
static void stands_still(struct ipsp_node *n, uint64_t number, unsigned type)
{
	n->stats.items_unknown++;
	if (n->stream.stands_at == number)
		return;
	n->stream.stands_at = number;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "item %llu of the peer, of type %u, is of a later version: nothing behind it is "
		 "applied here until ipspd on this host is upgraded",
		 (unsigned long long)number, type);
}

/* What was applied is acknowledged after its flush, which waits a little where that is nothing but
 * addresses. */
static void plan_flush(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_stream *s = &n->stream;

	if (item->type != IPSP_ITEM_GIVE || item->flags & IPSP_GIVE_FIRST ||
	    n->side.applied - s->ack_due >= ACK_ITEMS)
		n->act->want_flush = true;
	else if (s->flush_at > n->now + ACK_MS)
		s->flush_at = n->now + ACK_MS;
}

void ipsp_sync_turn(struct ipsp_node *n)
{
	if (n->now < n->stream.flush_at)
		return;
	n->stream.flush_at = IPSP_NEVER;
	if (n->stream.n_waits > 0)
		n->act->want_flush = true;
}

static void apply(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		  size_t len)
{
	bool was_shared = n->side.shared;

	if (item->type == IPSP_ITEM_SKIPPED) {
		skip(n, item->number);
		return;
	}
	if (item->type == IPSP_ITEM_REPORT)
		ipsp_heal_on_report(n, item);
	else if (item->type == IPSP_ITEM_DROP)
		ipsp_heal_on_drop(n, item);
	else if (item->type == IPSP_ITEM_DROPPED)
		ipsp_heal_on_dropped(n, item);
	else if (item->type == IPSP_ITEM_GIVE)
		on_give(n, item);
	struct ipsp_place at;
	uint32_t slot = item->type == IPSP_ITEM_GIVE ? ipsp_xact_named(n, item, &at) : IPSP_NO_XACT;
	const uint32_t duplicates = n->n_duplicate;
	ipsp_rec_in(n, item, bytes, len, slot != IPSP_NO_XACT);
	if (n->n_duplicate < duplicates)
		ipsp_ha_end_void(n);
	note_applied(n);
	plan_flush(n, item);
	if (item->type == IPSP_ITEM_DROP)
		ipsp_heal_ask(n, item);
	if (item->type == IPSP_ITEM_GIVE) {
		n->stats.grants_received++;
		if (item->request != 0)
			ipsp_node_answered(n);
		ipsp_stock_answered(n, item->request);
		if (slot != IPSP_NO_XACT)
			ipsp_xact_given(n, slot, at);
		else
			n->xacts.given = true;
	}
	if (n->side.shared && !was_shared) {
		ipsp_say(n, IPSP_LOG_NOTICE, "the peer has shared its pools: unlocked");
		ipsp_serve_given_anew(n);
		n->hello_soon = true;
		if (n->used > 0 &&
		    n->side.report ==
			    0) /* sessions of before are here: whose are their addresses? */
			ipsp_heal_report(n);
	}
}

static void keep_ahead(struct ipsp_node *n, uint64_t number, const uint8_t *bytes, size_t len)
{
	struct ipsp_stream *s = &n->stream;

	n->stats.items_ahead++;
	if (number - n->side.applied > IPSP_WINDOW)
		return;
	if (!s->ahead)
		s->ahead = calloc(IPSP_WINDOW, sizeof *s->ahead);
	if (!s->ahead)
		return; /* it will be sent again */
	struct ipsp_ahead *a = &s->ahead[number % IPSP_WINDOW];
	if (a->bytes && a->number == number)
		return;
	free(a->bytes);
	a->bytes = malloc(len);
	if (!a->bytes)
		return;
	memcpy(a->bytes, bytes, len);
	a->number = number;
	a->n = (uint16_t)len;
}

void ipsp_sync_on_item(struct ipsp_node *n, const uint8_t *bytes, size_t len)
{
	struct ipsp_stream *s = &n->stream;
	struct ipsp_item item;

	int err = ipsp_item_parse(bytes, len, &item);
	if (err == IPSP_ERR_VERSION && item.number > n->side.applied) {
		if (item.number == n->side.applied + 1)
			stands_still(n, item.number, bytes[IPSP_ITEM_AT_TYPE]);
		return;
	}
	if (err != 0 && err != IPSP_ERR_VERSION) {
		n->stats.drop_format++;
		return;
	}
	if (item.number <= n->side.applied) {
		n->stats.items_stale++;
		s->ack_now = true; /* our acknowledgement was lost */
		return;
	}
	if (item.number != n->side.applied + 1) {
		keep_ahead(n, item.number, bytes, len);
		return;
	}
	apply(n, &item, bytes, len);
	while (s->ahead) {
		struct ipsp_ahead *a = &s->ahead[(n->side.applied + 1) % IPSP_WINDOW];
		if (!a->bytes || a->number != n->side.applied + 1)
			break;
		uint8_t *copy = a->bytes;
		a->bytes = NULL;
		if (ipsp_item_parse(copy, a->n, &item) == 0)
			apply(n, &item, copy, a->n);
		free(copy);
		if (item.number != n->side.applied)
			break;
	}
}

/* Records up to n->flushed are durable: what was applied in them may be acknowledged. */
void ipsp_sync_flushed(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;
	uint32_t done = 0;

	while (done < s->n_waits && s->waits[done].seq <= n->flushed)
		done++;
	if (done == 0)
		return;
	s->ack_due = s->waits[done - 1].number;
	s->ack_now = true;
	memmove(s->waits, s->waits + done, (s->n_waits - done) * sizeof *s->waits);
	s->n_waits -= done;
	if (s->n_waits == 0)
		s->flush_at = IPSP_NEVER;
}

/* A new session of keys: nothing is known of what is on its way in it. */
void ipsp_sync_new_session(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;

	for (uint32_t i = 0; i < s->n; i++)
		ipsp_stream_nth(s, i)->sent_at = IPSP_NEVER;
	s->unsent = s->n;
	ahead_clear(s);
	s->rto_ms = RTO_START_MS;
	if (s->n_waits == 0)
		s->ack_due = n->side.applied;
}

/* --------------------------------------------------------------- sending */

/* The next item to send now, or NULL; marks it as sent. @looked: at how many of the oldest for a
 * repeat, 0 at first. */
struct ipsp_out_item *ipsp_sync_next(struct ipsp_node *n, uint32_t *looked)
{
	struct ipsp_stream *s = &n->stream;
	uint32_t flying = s->n - s->unsent;

	while (*looked < flying && *looked < RESEND_BURST) {
		struct ipsp_out_item *o = ipsp_stream_nth(s, (*looked)++);
		uint32_t back = o->tries > 6 ? 6u : o->tries ? o->tries - 1u : 0u;
		ipsp_ms rto = s->rto_ms << back;
		if (n->now - o->sent_at < (rto > RTO_MAX_MS ? RTO_MAX_MS : rto))
			continue;
		o->sent_at = n->now;
		o->tries = o->tries < 200 ? (uint8_t)(o->tries + 1) : o->tries;
		n->stats.items_repeated++;
		return o;
	}
	if (s->unsent == 0 || flying >= IPSP_WINDOW)
		return NULL;
	struct ipsp_out_item *o = ipsp_stream_nth(s, flying);
	if (o->seq > n->flushed)
		return NULL;
	o->sent_at = n->now;
	o->tries = 1;
	s->unsent--;
	return o;
}

/* Whether _next has something that was never sent. */
bool ipsp_sync_ready(const struct ipsp_node *n)
{
	const struct ipsp_stream *s = &n->stream;
	uint32_t flying = s->n - s->unsent;

	return s->unsent > 0 && flying < IPSP_WINDOW &&
	       ipsp_stream_nth(s, flying)->seq <= n->flushed;
}

ipsp_ms ipsp_sync_due(const struct ipsp_node *n)
{
	const struct ipsp_stream *s = &n->stream;
	uint32_t flying = s->n - s->unsent;
	ipsp_ms due = s->flush_at;

	for (uint32_t i = 0; i < flying && i < RESEND_BURST; i++) {
		const struct ipsp_out_item *o = ipsp_stream_nth(s, i);
		uint32_t back = o->tries > 6 ? 6u : o->tries ? o->tries - 1u : 0u;
		ipsp_ms rto = s->rto_ms << back;
		ipsp_ms at = o->sent_at + (rto > RTO_MAX_MS ? RTO_MAX_MS : rto);
		if (at < due)
			due = at;
	}
	return due;
}
