/* effect - see effect.h. */
#include "core/effect.h"
#include "base/attr.h"
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- one address */

bool ipsp_place_used(const struct ipsp_node *n, struct ipsp_place at, struct ipsp_bind *bind)
{
	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_USED)
		return false;
	return ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), bind);
}

/* What is used or kept there ends. */
IPSP_APART static void clear_used(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use)
{
	struct ipsp_pool *pool = n->pools[at.pool];

	if (use == IPSP_USE_USED && !ipsp_is_static(n, at.pool))
		n->used--;
	if (n->n_duplicate + n->n_terminate > 0) {
		struct ipsp_bind b;
		const uint8_t flags = ipsp_place_used(n, at, &b) ? b.flags : 0;
		n->n_duplicate -= flags & IPSP_BIND_DUPLICATE ? 1 : 0;
		n->n_terminate -= flags & IPSP_BIND_TERMINATE ? 1 : 0;
	}
	if (use == IPSP_USE_USED)
		ipsp_name_dropped(n, ipsp_binds_ha(n->binds, ipsp_pool_bind(pool, at.index)));
	ipsp_binds_del(n->binds, ipsp_pool_bind(pool, at.index));
	ipsp_pool_drop(pool, at.index);
}

void ipsp_effect_clear(struct ipsp_node *n, struct ipsp_place at)
{
	const enum ipsp_use use = ipsp_pool_use(n->pools[at.pool], at.index);

	if (use != IPSP_USE_FREE)
		clear_used(n, at, use);
}

uint32_t ipsp_effect_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
			  const struct ipsp_ident *ident)
{
	const uint32_t bind = ipsp_effect_bind(n, at, ha, ident);

	if (bind != IPSP_NO_BIND)
		ipsp_name_took(n, ha);
	return bind;
}

/* The binding of an address that is kept until @end. */
static uint32_t bind_kept(struct ipsp_node *n, struct ipsp_place at, ipsp_ms end,
			  const char *subscriber, uint8_t len)
{
	const struct ipsp_bind b = {
		.kind = IPSP_BIND_KEPT,
		.pool = at.pool,
		.index = at.index,
		.at = end,
		.ident = {.subscriber = subscriber, .n_subscriber = len, .session = ""}};

	if (end < n->kept_due)
		n->kept_due = end;
	return ipsp_binds_add(n->binds, &b);
}

bool ipsp_effect_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use, uint32_t left_s,
		      const char *subscriber, size_t len)
{
	const ipsp_ms end = n->now + 1000ULL * left_s;
	/* the text may live in the binding that is cleared first */
	char copy[IPSP_NAME_BYTES];
	if (len > sizeof copy)
		return false;
	if (len > 0)
		memcpy(copy, subscriber, len);
	ipsp_effect_clear(n, at);
	uint32_t bind = bind_kept(n, at, end, copy, (uint8_t)len);
	if (bind == IPSP_NO_BIND)
		return false;
	if (ipsp_pool_keep(n->pools[at.pool], at.index, use, bind, end) != 0)
		ipsp_binds_del(n->binds, bind);
	return true;
}

void ipsp_effect_clear_kept(struct ipsp_node *n, struct ipsp_place at)
{
	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_USED)
		ipsp_effect_clear(n, at);
}

void ipsp_effect_must_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use,
			   uint32_t left_s, const char *subscriber, size_t len)
{
	if (!ipsp_effect_keep(n, at, use, left_s, subscriber, len) && n->act)
		n->act->failed = true;
}

void ipsp_effect_ha(struct ipsp_node *n, struct ipsp_place at, uint16_t ha)
{
	struct ipsp_bind b;
	if (!ipsp_place_used(n, at, &b))
		return;
	ipsp_binds_set_ha(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), ha);
	ipsp_name_took(n, ha);
	ipsp_name_dropped(n, b.ha);
}

void ipsp_effect_terminate(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b) || b.flags & IPSP_BIND_TERMINATE)
		return;
	n->n_terminate++;
	ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index),
			     b.flags | IPSP_BIND_TERMINATE);
}

void ipsp_effect_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	bool was = ipsp_pool_flags(pool, at.index) & flag;

	if (ipsp_pool_own(pool, at.index) != IPSP_OWN_OURS || was == on)
		return;
	ipsp_pool_set_flag(pool, at.index, flag, on);
	if (flag == IPSP_ADDR_OWED)
		n->owed += on ? 1 : UINT32_MAX;
}

void ipsp_effect_duplicate(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return;
	if (!(b.flags & IPSP_BIND_DUPLICATE))
		n->n_duplicate++;
	ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index),
			     b.flags | IPSP_BIND_DUPLICATE);
	if (ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS)
		ipsp_effect_by_right(n, at); /* in the snapshot of an older version */
}

/* What only keeps it back, until the peer is told that a duplicate has ended, does so no more. */
void ipsp_effect_by_right(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;

	if (n->n_duplicate == 0 || !ipsp_place_used(n, at, &b) || !(b.flags & IPSP_BIND_DUPLICATE))
		return;
	if (b.ident.n_subscriber == 0) {
		ipsp_effect_clear(n, at); /* see ipsp_heal_drop_later */
		return;
	}
	n->n_duplicate--;
	ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index),
			     (uint8_t)(b.flags & ~IPSP_BIND_DUPLICATE));
}

/* --------------------------------------------------------------- the side */

static void move_all(struct ipsp_node *n, bool on)
{
	for (uint32_t p = 0; p < n->conf.n_pools; p++)
		if (!ipsp_is_static(n, (uint16_t)p))
			ipsp_pool_move_all(n->pools[p], on);
}

/* A side that stops being primary, or goes out of service, sends what nobody uses to the other. */
void ipsp_effect_side(struct ipsp_node *n, const struct ipsp_side *s)
{
	const struct ipsp_side *was = &n->side;
	bool leaves = !s->primary && (was->primary || (s->terminated && !was->terminated) ||
				      (s->draining && !was->draining));
	bool becomes = s->primary && !was->primary;

	n->side = *s;
	n->may_serve = false;
	if (leaves)
		move_all(n, true);
	else if (becomes)
		move_all(n, false);
}

/* --------------------------------------------------------------- items of our stream */

/* Where those that flow are found by name lies anywhere in memory: it is fetched for all of an item
 * before the first is looked for. */
static void foresee(const struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->form != IPSP_SET_KEPT || item->request != 0 || n->replaying ||
	    item->pool >= n->conf.n_pools)
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		const struct ipsp_ident ident = {
			.subscriber = e.subscriber, .session = "", .n_subscriber = e.n_subscriber};
		ipsp_pool_foresee(n->pools[item->pool], e.start);
		ipsp_binds_foresee_kept(n->binds, &ident);
	}
}

static void granted(struct ipsp_node *n, const struct ipsp_item *item, struct ipsp_place at)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	const enum ipsp_use use = ipsp_pool_use(pool, at.index);

	if (ipsp_pool_flags(pool, at.index) & IPSP_ADDR_OWED)
		n->owed--;
	if (ipsp_pool_own(pool, at.index) == IPSP_OWN_OURS && !n->replaying)
		n->stats.addresses_sent++;
	if (use == IPSP_USE_HOLD || use == IPSP_USE_QUARANTINE) {
		ipsp_binds_del(n->binds, ipsp_pool_bind(pool, at.index));
		ipsp_pool_grant_kept(pool, at.index);
	} else {
		ipsp_pool_set_own(pool, at.index, IPSP_OWN_TRANSIT);
	}
	if (item->form == IPSP_SET_KEPT && item->request != 0)
		ipsp_pool_away_last(pool, at.index); /* a session there waits for it */
}

/* What making an item changes here: addresses given are forgotten, an address to be dropped is kept
 * back. */
static void made(struct ipsp_node *n, const struct ipsp_item *item)
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
			if (item->type == IPSP_ITEM_GIVE)
				granted(n, item, at);
		}
	if (item->type == IPSP_ITEM_GIVE && !n->replaying)
		n->stats.grants_sent++;
}

void ipsp_effect_out(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		     size_t len)
{
	n->side.sent = item->number;
	if (item->type == IPSP_ITEM_REPORT && item->flags & IPSP_REPORT_END)
		n->side.report = item->number; /* one that a kill has cut off is none */
	foresee(n, item);
	made(n, item);
	if (item->type == IPSP_ITEM_GIVE && item->request == 0)
		n->stream.flowed = item->number;
	ipsp_sync_append(n, bytes, len, item->number);
}

void ipsp_effect_delivered(struct ipsp_node *n, const struct ipsp_out_item *o)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;
	struct ipsp_item item;

	if (ipsp_item_again(ipsp_out_bytes(o), o->n, &item) != 0 || item.type != IPSP_ITEM_GIVE ||
	    item.pool >= n->conf.n_pools)
		return;
	for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);)
		for (uint32_t i = e.start;
		     i - e.start < e.count && i < n->conf.pools[item.pool].size; i++)
			if (ipsp_pool_own(n->pools[item.pool], i) == IPSP_OWN_TRANSIT)
				ipsp_pool_set_own(n->pools[item.pool], i, IPSP_OWN_PEER);
}

/* --------------------------------------------------------------- items of the peer's stream */

/*
 * What comes to a side that is not to have it any more. One that goes out of service, or tells that
 * all its addresses are free, keeps nothing, not even what a session of its own had asked for. Any
 * other secondary: what flowed to it, for nobody in particular, while it was primary. It goes to
 * the primary as soon as no session uses it.
 */
static bool is_late(const struct ipsp_node *n, const struct ipsp_item *item)
{
	if (n->side.primary || item->flags & IPSP_GIVE_FIRST)
		return false;
	if (n->side.terminated || n->side.draining || n->side.p6 == IPSP_P6_DUE)
		return true;
	return item->form == IPSP_SET_BITS || (item->form == IPSP_SET_KEPT && item->request == 0);
}

static void accept_kept(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_set_entry *e)
{
	const ipsp_ms end = n->now + 1000ULL * e->left_s;
	uint32_t bind = bind_kept(n, at, end, e->subscriber, e->n_subscriber);

	if (bind != IPSP_NO_BIND) {
		ipsp_pool_accept_kept(n->pools[at.pool], at.index, (enum ipsp_use)e->use, bind,
				      end);
		return;
	}
	ipsp_pool_set_own(n->pools[at.pool], at.index, IPSP_OWN_OURS);
	if (n->act)
		n->act->failed = true;
}

/* @kept: one that no session here takes at once, or uses already, stays for its subscriber. */
static void accept_run(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_set_entry *e,
		       bool kept, bool late)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	uint32_t size = n->conf.pools[at.pool].size;

	if (e->start >= size || e->count > size - e->start)
		n->stats.drop_range++;
	for (at.index = e->start; at.index - e->start < e->count && at.index < size; at.index++) {
		if (ipsp_pool_own(pool, at.index) == IPSP_OWN_OURS)
			continue; /* it can't give what it has not; the books stay as they are */
		ipsp_effect_by_right(n, at);
		if (kept && ipsp_pool_use(pool, at.index) == IPSP_USE_FREE)
			accept_kept(n, at, e);
		else
			ipsp_pool_set_own(pool, at.index, IPSP_OWN_OURS);
		if (late)
			ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_MOVE, true);
		if (!n->replaying)
			n->stats.addresses_received++;
	}
}

/* S1: what this side believed to own before anything was shared with it is busied out. */
static void busy_out_all(struct ipsp_node *n)
{
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size && !ipsp_is_static(n, p); i++) {
			if (ipsp_pool_own(n->pools[p], i) != IPSP_OWN_OURS)
				continue;
			ipsp_effect_clear_kept(n, (struct ipsp_place){p, i});
			ipsp_pool_set_own(n->pools[p], i, IPSP_OWN_PEER);
		}
}

/* What applying an item changes here; answers to it are made before, see heal.c. */
void ipsp_effect_in(struct ipsp_node *n, const struct ipsp_item *item, bool taken)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->type == IPSP_ITEM_GIVE && item->flags & IPSP_GIVE_FIRST) {
		if (!n->side.shared && !n->side.lost)
			busy_out_all(n);
		n->side.shared = true;
		n->side.lost = n->side.grounded = n->side.owner = n->side.held = false;
	}
	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool)) {
		if (item->n_set > 0)
			n->stats.drop_range++;
		return;
	}
	const bool kept = item->form == IPSP_SET_KEPT && !taken, late = is_late(n, item);
	foresee(n, item);
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		if (item->type == IPSP_ITEM_GIVE) {
			accept_run(n, at, &e, kept, late);
			continue;
		}
		if (e.start >= n->conf.pools[item->pool].size) {
			n->stats.drop_range++;
			continue;
		}
		if (item->type == IPSP_ITEM_DROP) {
			if (ipsp_pool_own(n->pools[at.pool], at.index) != IPSP_OWN_OURS)
				ipsp_effect_duplicate(n, at);
		} else if (item->type == IPSP_ITEM_DROPPED)
			ipsp_pool_set_flag(n->pools[at.pool], at.index, IPSP_ADDR_DUP, false);
	}
}
