/*
 * sync - the two numbered streams: what was decided between the sides, each thing exactly once.
 *
 * Giver forgets before taker learns: an item of ours is recorded, flushed, sent, repeated with
 * back-off until acknowledged. An item of the peer's is applied in order, recorded, and
 * acknowledged after our flush. Both go on through restarts, epochs, takeovers and healing.
 *
 * Healing: whoever had a licence puts a report into its stream of every address that it uses and
 * the books don't give it; the owner answers each with a GIVE, or with a DROP when its own session
 * is another subscriber's; a DROP is answered by DROPPED when the session there has ended, and
 * until then the owner gives the address to nobody.
 */
#include "core/node_int.h"

#include <stdlib.h>
#include <string.h>

#define RTO_START_MS 100
#define RTO_MIN_MS   20
#define RTO_MAX_MS   2000
#define RESEND_BURST 16

int ipsp_sync_init(struct ipsp_node *n)
{
	n->stream.rto_ms = RTO_START_MS;
	return 0;
}

static void ahead_clear(struct ipsp_stream *s)
{
	for (uint32_t i = 0; s->ahead && i < IPSP_WINDOW; i++)
		free(s->ahead[i].bytes);
	free(s->ahead);
	s->ahead = NULL;
}

/* Both streams end here: whatever was on its way belongs to books that are no more. */
void ipsp_sync_clear(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;

	for (uint32_t i = 0; i < s->n; i++)
		free(s->items[(s->head + i) & (s->cap - 1)]);
	s->head = s->n = s->unsent = 0;
	s->n_waits = 0;
	s->ack_due = 0;
	s->ack_now = false;
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

void ipsp_sync_append(struct ipsp_node *n, const uint8_t *bytes, size_t len, uint64_t number)
{
	struct ipsp_stream *s = &n->stream;

	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 64;
		struct ipsp_out_item **items = malloc(cap * sizeof(struct ipsp_out_item *));
		if (!items)
			goto failed;
		for (uint32_t i = 0; i < s->n; i++)
			items[i] = s->items[(s->head + i) & (s->cap - 1)];
		free(s->items);
		s->items = items;
		s->cap = cap;
		s->head = 0;
	}
	struct ipsp_out_item *o = malloc(sizeof *o + len);
	if (!o)
		goto failed;
	*o = (struct ipsp_out_item){.number = number, .seq = n->seq, .sent_at = IPSP_NEVER};
	o->n = (uint16_t)len;
	memcpy(o->bytes, bytes, len);
	s->items[(s->head + s->n++) & (s->cap - 1)] = o;
	s->unsent++;
	return;
failed:
	if (n->act)
		n->act->failed = true;
}

/* What making an item changes here: addresses given are forgotten, an address to be dropped is kept
 * back. */
void ipsp_sync_effect_out(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->type == IPSP_ITEM_GIVE && item->flags & IPSP_GIVE_FIRST) {
		n->side.shared = true;
		n->side.owner = false;
	}
	if (item->pool >= n->conf.n_pools)
		return;
	struct ipsp_pool *pool = n->pools[item->pool];
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);)
		for (uint32_t i = e.start;
		     i - e.start < e.count && i < n->conf.pools[item->pool].size; i++) {
			struct ipsp_place at = {item->pool, i};
			if (item->type == IPSP_ITEM_DROP)
				ipsp_pool_set_flag(pool, i, IPSP_ADDR_DUP, true);
			if (item->type != IPSP_ITEM_GIVE)
				continue;
			ipsp_clear_kept(n, at);
			if (ipsp_pool_flags(pool, i) & IPSP_ADDR_OWED)
				n->owed--;
			if (ipsp_pool_own(pool, i) == IPSP_OWN_OURS && !n->replaying)
				n->stats.addresses_sent++;
			ipsp_pool_set_own(pool, i, IPSP_OWN_TRANSIT);
		}
	if (item->type == IPSP_ITEM_GIVE && !n->replaying)
		n->stats.grants_sent++;
}

static void delivered(struct ipsp_node *n, const struct ipsp_out_item *o)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;
	struct ipsp_item item;

	if (ipsp_item_parse(o->bytes, o->n, &item) != 0 || item.type != IPSP_ITEM_GIVE ||
	    item.pool >= n->conf.n_pools)
		return;
	for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);)
		for (uint32_t i = e.start;
		     i - e.start < e.count && i < n->conf.pools[item.pool].size; i++)
			if (ipsp_pool_own(n->pools[item.pool], i) == IPSP_OWN_TRANSIT)
				ipsp_pool_set_own(n->pools[item.pool], i, IPSP_OWN_PEER);
}

/* All up to @number have arrived for good. */
void ipsp_sync_acked(struct ipsp_node *n, uint64_t number)
{
	struct ipsp_stream *s = &n->stream;

	while (s->n > 0) {
		struct ipsp_out_item *o = s->items[s->head & (s->cap - 1)];
		if (o->number > number)
			break;
		delivered(n, o);
		if (s->unsent == s->n)
			s->unsent--;
		free(o);
		s->head = (s->head + 1) & (s->cap - 1);
		s->n--;
	}
}

static void measure(struct ipsp_node *n, uint64_t number)
{
	struct ipsp_stream *s = &n->stream;
	struct ipsp_out_item *o = s->n ? s->items[s->head & (s->cap - 1)] : NULL;

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

/* --------------------------------------------------------------- the peer's stream */

static void accept_run(struct ipsp_node *n, const struct ipsp_item *item,
		       const struct ipsp_set_entry *e)
{
	struct ipsp_pool *pool = n->pools[item->pool];
	uint32_t size = n->conf.pools[item->pool].size;

	if (e->start >= size || e->count > size - e->start)
		n->stats.drop_range++;
	for (uint32_t i = e->start; i - e->start < e->count && i < size; i++) {
		struct ipsp_place at = {item->pool, i};
		if (ipsp_pool_own(pool, i) == IPSP_OWN_OURS)
			continue; /* it can't give what it has not; the books stay as they are */
		ipsp_pool_set_own(pool, i, IPSP_OWN_OURS);
		if (!n->replaying)
			n->stats.addresses_received++;
		if (item->form == IPSP_SET_KEPT && ipsp_pool_use(pool, i) == IPSP_USE_FREE)
			ipsp_keep_quietly(n, at, (enum ipsp_use)e->use, e->left_s, e->subscriber,
					  e->n_subscriber);
	}
}

void ipsp_mark_duplicate(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return;
	if (!(b.flags & IPSP_BIND_DUPLICATE))
		n->n_duplicate++;
	ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index),
			     b.flags | IPSP_BIND_DUPLICATE);
}

/* S1: what this side believed to own before anything was shared with it is busied out. */
static void busy_out_all(struct ipsp_node *n)
{
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size && !ipsp_is_static(n, p); i++) {
			if (ipsp_pool_own(n->pools[p], i) != IPSP_OWN_OURS)
				continue;
			ipsp_clear_kept(n, (struct ipsp_place){p, i});
			ipsp_pool_set_own(n->pools[p], i, IPSP_OWN_PEER);
		}
}

/* What applying an item changes here; answers to it are made by live_in before. */
void ipsp_sync_effect_in(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->type == IPSP_ITEM_GIVE && item->flags & IPSP_GIVE_FIRST) {
		if (!n->side.shared && !n->side.lost)
			busy_out_all(n);
		n->side.shared = true;
		n->side.lost = n->side.grounded = n->side.owner = false;
	}
	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool)) {
		if (item->n_set > 0)
			n->stats.drop_range++;
		return;
	}
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		if (item->type == IPSP_ITEM_GIVE) {
			accept_run(n, item, &e);
			continue;
		}
		if (e.start >= n->conf.pools[item->pool].size) {
			n->stats.drop_range++;
			continue;
		}
		if (item->type == IPSP_ITEM_DROP) {
			if (ipsp_pool_own(n->pools[at.pool], at.index) != IPSP_OWN_OURS)
				ipsp_mark_duplicate(n, at);
		} else if (item->type == IPSP_ITEM_DROPPED)
			ipsp_pool_set_flag(n->pools[at.pool], at.index, IPSP_ADDR_DUP, false);
	}
}

/* --------------------------------------------------------------- healing: the owner */

static bool same_subscriber(const struct ipsp_bind *b, const struct ipsp_set_entry *e)
{
	return b->ident.n_subscriber == e->n_subscriber &&
	       memcmp(b->ident.subscriber, e->subscriber, e->n_subscriber) == 0;
}

static void give_one(struct ipsp_node *n, struct ipsp_item_writer *w, bool *open, uint16_t pool,
		     uint32_t index)
{
	if (*open && ipsp_item_add_run(w, index, 1))
		return;
	if (*open)
		ipsp_rec_out(n, w);
	ipsp_item_begin(w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, 0, pool, IPSP_SET_RUNS);
	ipsp_item_add_run(w, index, 1);
	*open = true;
}

static void drop_one(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_set_entry *e)
{
	struct ipsp_item_writer w;
	char text[IPSP_ADDR_TEXT_MAX];
	struct ipsp_addr addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);

	if (ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_DUP &&
	    n->side.acked < n->side.sent)
		return; /* it is told already, or will be told again when it reports again */
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_DROP, 0, 0, at.pool, IPSP_SET_WHO);
	ipsp_item_add_who(&w, at.index, e->subscriber, e->n_subscriber);
	if (!(ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_DUP)) {
		struct ipsp_bind b;
		n->stats.duplicates_found++;
		if (ipsp_place_used(n, at, &b))
			ipsp_say(n, IPSP_LOG_ERROR,
				 "duplicate: %s is used here by %.*s and at the peer by %.*s; the "
				 "peer drops it",
				 ipsp_addr_text(addr, text, sizeof text), b.ident.n_subscriber,
				 b.ident.subscriber, e->n_subscriber, e->subscriber);
		ipsp_out_trap(n, IPSP_TRAP_DUPLICATE, addr);
		ipsp_out_hook(n, IPSP_HOOK_DUPLICATE, addr);
	}
	ipsp_rec_out(n, &w);
}

static void live_report(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_item_writer w;
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;
	bool open = false;

	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	struct ipsp_pool *pool = n->pools[item->pool];
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start >= n->conf.pools[item->pool].size ||
		    ipsp_pool_own(pool, e.start) != IPSP_OWN_OURS)
			continue; /* the reporter's already, or on its way to it */
		if (!ipsp_place_used(n, at, &b)) {
			give_one(n, &w, &open, item->pool, e.start);
			continue;
		}
		if (open) /* numbers in order: what is open goes before */
			ipsp_rec_out(n, &w);
		open = false;
		if (same_subscriber(&b, &e)) {
			ipsp_rec_flag(n, at, IPSP_ADDR_OWED, true);
			ipsp_ha_ask(n, at, IPSP_REASON_HANDOFF, 0, IPSP_NEVER);
		} else {
			drop_one(n, at, &e);
		}
	}
	if (open)
		ipsp_rec_out(n, &w);
}

/* --------------------------------------------------------------- healing: the reporter */

static void report_flush(struct ipsp_node *n, struct ipsp_item_writer *w, bool *open)
{
	if (*open)
		ipsp_rec_out(n, w);
	*open = false;
}

/* Every address that is used here and that the books don't give this side, into our stream. */
void ipsp_sync_report(struct ipsp_node *n)
{
	struct ipsp_item_writer w;
	uint32_t reported = 0;

	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		bool open = false;
		if (ipsp_is_static(n, p) || c->peer_used + c->transit_used == 0)
			continue;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			struct ipsp_bind b;
			if (ipsp_pool_own(n->pools[p], i) == IPSP_OWN_OURS ||
			    !ipsp_place_used(n, (struct ipsp_place){p, i}, &b))
				continue;
			reported++;
			if (open &&
			    ipsp_item_add_who(&w, i, b.ident.subscriber, b.ident.n_subscriber))
				continue;
			report_flush(n, &w, &open);
			ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_REPORT, 0, 0, p,
					IPSP_SET_WHO);
			ipsp_item_add_who(&w, i, b.ident.subscriber, b.ident.n_subscriber);
			open = true;
		}
		report_flush(n, &w, &open);
	}
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_REPORT, IPSP_REPORT_END, 0, IPSP_NO_POOL,
			IPSP_SET_WHO);
	ipsp_rec_out(n, &w);
	ipsp_say(n, IPSP_LOG_NOTICE, "reported %u addresses in use here that the peer owns",
		 reported);
}

bool ipsp_sync_reported(const struct ipsp_node *n)
{
	return n->side.acked >= n->side.report;
}

/* A report of either side has not been applied yet, as far as known here. */
bool ipsp_sync_healing(const struct ipsp_node *n)
{
	return !ipsp_sync_reported(n) || (n->peer.known && n->side.applied < n->peer.hello.report);
}

/* The session at @at, which the owner told us to drop, has ended. */
void ipsp_sync_dropped(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_DROPPED, 0, 0, at.pool, IPSP_SET_WHO);
	ipsp_item_add_who(&w, at.index, "", 0);
	ipsp_rec_out(n, &w);
}

static void live_drop(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start >= n->conf.pools[item->pool].size)
			continue;
		if (ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS ||
		    !ipsp_place_used(n, at, &b))
			ipsp_sync_dropped(n, at);
	}
}

/* After the DROP's record: the HAs are asked (the sessions are marked by its effect). */
static void live_drop_ask(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->pool >= n->conf.n_pools)
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start < n->conf.pools[item->pool].size && ipsp_place_used(n, at, &b) &&
		    b.flags & IPSP_BIND_DUPLICATE)
			ipsp_ha_ask(n, at, IPSP_REASON_DUPLICATE, 0, IPSP_NEVER);
	}
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
		const struct ipsp_out_item *o = s->items[(s->head + i) & (s->cap - 1)];
		struct ipsp_set_entry e;
		struct ipsp_set_iter it;
		struct ipsp_item item;
		if (ipsp_item_parse(o->bytes, o->n, &item) != 0 || item.type != IPSP_ITEM_GIVE ||
		    item.pool != pool)
			continue;
		for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);)
			if (index - e.start < e.count)
				number = o->number;
	}
	ipsp_rec_acked(n, number);
}

static void live_give(struct ipsp_node *n, const struct ipsp_item *item)
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

static void apply(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		  size_t len)
{
	bool was_shared = n->side.shared;

	if (item->type == IPSP_ITEM_REPORT)
		live_report(n, item);
	else if (item->type == IPSP_ITEM_DROP)
		live_drop(n, item);
	else if (item->type == IPSP_ITEM_GIVE)
		live_give(n, item);
	ipsp_rec_in(n, item, bytes, len);
	note_applied(n);
	if (item->type == IPSP_ITEM_DROP)
		live_drop_ask(n, item);
	if (item->type == IPSP_ITEM_GIVE) {
		n->stats.grants_received++;
		n->xacts.retry = true;
	}
	if (n->side.shared && !was_shared) {
		ipsp_say(n, IPSP_LOG_NOTICE, "the peer has shared its pools: unlocked");
		n->hello_soon = true;
		if (n->used > 0 &&
		    n->side.report ==
			    0) /* sessions of before are here: whose are their addresses? */
			ipsp_sync_report(n);
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

	if (ipsp_item_parse(bytes, len, &item) != 0) {
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
}

/* A new session of keys: nothing is known of what is on its way in it. */
void ipsp_sync_new_session(struct ipsp_node *n)
{
	struct ipsp_stream *s = &n->stream;

	for (uint32_t i = 0; i < s->n; i++)
		s->items[(s->head + i) & (s->cap - 1)]->sent_at = IPSP_NEVER;
	s->unsent = s->n;
	ahead_clear(s);
	s->rto_ms = RTO_START_MS;
	if (s->n_waits == 0)
		s->ack_due = n->side.applied;
}

/* --------------------------------------------------------------- giving */

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

/* --------------------------------------------------------------- sending */

static struct ipsp_out_item *nth(const struct ipsp_stream *s, uint32_t i)
{
	return s->items[(s->head + i) & (s->cap - 1)];
}

/* The next item to send now, or NULL; marks it as sent. */
struct ipsp_out_item *ipsp_sync_next(struct ipsp_node *n, uint32_t *repeated)
{
	struct ipsp_stream *s = &n->stream;
	uint32_t flying = s->n - s->unsent;

	for (uint32_t i = 0; i < flying && i < RESEND_BURST && *repeated < RESEND_BURST; i++) {
		struct ipsp_out_item *o = nth(s, i);
		uint32_t back = o->tries > 6 ? 6u : o->tries ? o->tries - 1u : 0u;
		ipsp_ms rto = s->rto_ms << back;
		if (n->now - o->sent_at < (rto > RTO_MAX_MS ? RTO_MAX_MS : rto))
			continue;
		o->sent_at = n->now;
		o->tries = o->tries < 200 ? (uint8_t)(o->tries + 1) : o->tries;
		n->stats.items_repeated++;
		(*repeated)++;
		return o;
	}
	if (s->unsent == 0 || flying >= IPSP_WINDOW)
		return NULL;
	struct ipsp_out_item *o = nth(s, flying);
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

	return s->unsent > 0 && flying < IPSP_WINDOW && nth(s, flying)->seq <= n->flushed;
}

ipsp_ms ipsp_sync_due(const struct ipsp_node *n)
{
	const struct ipsp_stream *s = &n->stream;
	uint32_t flying = s->n - s->unsent;
	ipsp_ms due = IPSP_NEVER;

	for (uint32_t i = 0; i < flying && i < RESEND_BURST; i++) {
		const struct ipsp_out_item *o = nth(s, i);
		uint32_t back = o->tries > 6 ? 6u : o->tries ? o->tries - 1u : 0u;
		ipsp_ms rto = s->rto_ms << back;
		ipsp_ms at = o->sent_at + (rto > RTO_MAX_MS ? RTO_MAX_MS : rto);
		if (at < due)
			due = at;
	}
	return due;
}
