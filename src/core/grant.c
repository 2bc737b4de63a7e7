/*
 * grant - requests of the peer to this side: what is given to it, and what it is refused.
 *
 * Answers are kept for repeats of the same request. A refusal is not repeated by itself: the peer
 * asks again.
 */
#include "core/node_int.h"

#include <stdlib.h>
#include <string.h>

#define REFUSALS_MAX 8192

/* --------------------------------------------------------------- answers */

void ipsp_grant_refuse(struct ipsp_node *n, uint64_t id, int err)
{
	struct ipsp_xacts *x = &n->xacts;

	if (id == 0 || x->n_refusals >= REFUSALS_MAX)
		return; /* the peer asks again */
	if (x->n_refusals == x->cap_refusals) {
		uint32_t cap = x->cap_refusals ? x->cap_refusals * 2 : 64;
		struct ipsp_refuse *refusals = realloc(x->refusals, cap * sizeof *refusals);
		if (!refusals) {
			n->act->failed = true;
			return;
		}
		x->refusals = refusals;
		x->cap_refusals = cap;
	}
	if (err < 0) {
		n->stats.peer_refusals++;
		ipsp_grant_answered(n, id, 0, err);
	}
	x->refusals[x->n_refusals++] =
		(struct ipsp_refuse){.id = id, .epoch = n->side.epoch, .err = err};
}

/* Kept for repeats of the same request. */
void ipsp_grant_answered(struct ipsp_node *n, uint64_t id, uint64_t item, int err)
{
	struct ipsp_answered *a = &n->xacts.answered[(id >> 16) % IPSP_ANSWERED];

	*a = (struct ipsp_answered){.id = id, .item = item, .err = err, .epoch = n->side.epoch};
}

/* A repeat of one that was answered: its item is repeated by the stream, a refusal is said again.
 */
static bool repeated(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_answered *a = &n->xacts.answered[(r->id >> 16) % IPSP_ANSWERED];

	if (a->id != r->id || r->id == 0 || a->epoch != n->side.epoch)
		return false;
	if (a->item != 0 && a->item <= n->side.acked)
		return false; /* it arrived, and was used otherwise: this is a new wish */
	if (a->item != 0)
		return true;
	if (a->err == IPSP_ERR_EXHAUSTED)
		return false; /* something may have come since */
	ipsp_grant_refuse(n, r->id, a->err);
	return true;
}

/* --------------------------------------------------------------- may it have one? */

static int may_give(const struct ipsp_node *n, const struct ipsp_request *r)
{
	if (n->side.lost)
		return IPSP_ERR_LOCKED;
	if (!n->side.shared)
		return IPSP_ERR_NOT_APPROVED;
	if (n->disk_full)
		return n->peer.hello.capabilities & IPSP_CAP_DISK_FULL ? IPSP_ERR_DISK_FULL
								       : IPSP_ERR_OVERLOADED;
	if (ipsp_flag(n, IPSP_HF_DRAINING) || ipsp_flag(n, IPSP_HF_TERMINATED))
		return IPSP_ERR_DRAINING;
	if (r->at_pool == IPSP_NO_POOL && n->compare.known && !n->compare.same)
		return IPSP_ERR_CONFIG_MISMATCH;
	return 0;
}

static bool same_subscriber(const struct ipsp_bind *b, const struct ipsp_request *r)
{
	return b->ident.n_subscriber == r->ident.n_subscriber &&
	       memcmp(b->ident.subscriber, r->ident.subscriber, r->ident.n_subscriber) == 0;
}

static void give(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_request *r)
{
	ipsp_grant_answered(n, r->id, ipsp_sync_give(n, at, r->id, &r->ident), 0);
}

/* --------------------------------------------------------------- by address */

/* P3: a session here uses the address that the peer asks for. */
static void handoff(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_request *r,
		    const struct ipsp_bind *b)
{
	if (!same_subscriber(b, r)) {
		ipsp_grant_refuse(n, r->id, IPSP_ERR_IN_USE);
		return;
	}
	if (ipsp_out_deferred(n, at))
		return; /* its HA does not know it yet; the peer asks again */
	uint32_t timeout = ipsp_psp(n)->release_timeout_ms;
	uint32_t theirs = n->peer.hello.request_timeout_ms;
	if (theirs >= 1000 && timeout > theirs - 500)
		timeout = theirs - 500;
	int err = ipsp_ha_ask(n, at, IPSP_REASON_HANDOFF, r->id, n->now + timeout);
	if (err < 0)
		ipsp_grant_refuse(n, r->id, err);
	else if (err == 0)
		ipsp_grant_refuse(n, r->id, IPSP_REFUSE_WAIT);
	else
		give(n, at, r);
}

static void request_by_address(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_place at = {r->at_pool, r->at_index};
	struct ipsp_bind b;

	if (at.pool >= n->conf.n_pools || at.index >= n->conf.pools[at.pool].size ||
	    ipsp_is_static(n, at.pool)) {
		n->stats.drop_range++;
		ipsp_grant_refuse(n, r->id, IPSP_ERR_NOT_IN_POOL);
		return;
	}
	struct ipsp_pool *pool = n->pools[at.pool];
	if (ipsp_pool_own(pool, at.index) == IPSP_OWN_TRANSIT)
		return; /* on its way to the asker: the stream repeats it */
	if (ipsp_pool_own(pool, at.index) == IPSP_OWN_PEER ||
	    ipsp_pool_flags(pool, at.index) & IPSP_ADDR_DUP || ipsp_xact_wants(n, at)) {
		ipsp_grant_refuse(n, r->id, IPSP_ERR_IN_USE);
		return;
	}
	enum ipsp_use use = ipsp_pool_use(pool, at.index);
	if (use == IPSP_USE_FREE) {
		give(n, at, r);
		return;
	}
	if (!ipsp_binds_get(n->binds, ipsp_pool_bind(pool, at.index), &b))
		return;
	if (use == IPSP_USE_USED)
		handoff(n, at, r, &b);
	else if (same_subscriber(&b, r)) /* a handoff passes both timers for its own subscriber */
		give(n, at, r);
	else
		ipsp_grant_refuse(n, r->id, IPSP_ERR_IN_USE);
}

/* --------------------------------------------------------------- any */

/* What may be given away unasked by number from one pool: the primary keeps its reserve. */
static uint32_t spare(const struct ipsp_node *n, uint16_t p)
{
	const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
	uint32_t free = n->side.primary ? ipsp_assign_spare(n->pools[p],
							    ipsp_psp(n)->reserved_free_percentage)
					: c->free;
	return free;
}

/* As much of @count as @p has beyond what is needed here; a primary near exhaustion, one by one. */
static uint32_t block_of(const struct ipsp_node *n, uint16_t p, uint32_t count)
{
	uint32_t left = ipsp_stock_surplus(n, p), size = n->conf.pools[p].size;

	if (n->side.primary && (left < size / 16 || left / 4 < count))
		count = left / 16;
	if (count > left)
		count = left;
	return count > IPSP_BLOCK_MAX ? IPSP_BLOCK_MAX : count;
}

/* Those free for longest, for the request @id (0: beside what its session gets). The number of the
 * first item, 0: there was none. */
static uint64_t give_block(struct ipsp_node *n, uint16_t p, uint32_t count, uint64_t id)
{
	struct ipsp_pool *pool = n->pools[p];
	uint32_t list[IPSP_BLOCK_MAX], taken = 0;
	uint64_t first = 0, number = 0;
	struct ipsp_item_writer w;
	bool open = false;

	for (uint32_t i = ipsp_pool_first_free(pool); i != IPSP_NO_INDEX && taken < count;
	     i = ipsp_pool_next_free(pool, i))
		if (!ipsp_xact_wants(n, (struct ipsp_place){p, i}))
			list[taken++] = i;
	for (uint32_t i = 0; i < taken;) {
		uint32_t run = 1;
		while (i + run < taken && list[i + run] == list[i] + run)
			run++;
		if (!open) {
			ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0,
					first == 0 ? id : 0, p, IPSP_SET_RUNS);
			open = true;
		}
		if (ipsp_item_add_run(&w, list[i], run)) {
			i += run;
			if (i < taken)
				continue;
		}
		number = ipsp_rec_out(n, &w);
		first = first == 0 ? number : first;
		open = false;
	}
	if (taken > 0)
		ipsp_stock_gave(n, p);
	return first;
}

/* Asked ahead of need, for no session: from what is not needed here only. */
static void request_ahead(struct ipsp_node *n, const struct ipsp_request *r,
			  const struct ipsp_ask *ask)
{
	uint32_t cursor = 0, count;
	uint16_t p;

	while ((p = ipsp_order_next(n->order, ask, &cursor)) != IPSP_NO_POOL) {
		count = block_of(n, p, r->count);
		uint64_t item = count > 0 ? give_block(n, p, count, r->id) : 0;
		if (item == 0)
			continue;
		ipsp_grant_answered(n, r->id, item, 0);
		return;
	}
	ipsp_grant_refuse(n, r->id, IPSP_ERR_EXHAUSTED);
}

static void request_any(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_ask ask = {
		.select = (enum ipsp_select)r->select, .pool = r->pool, .at_pool = IPSP_NO_POOL};
	uint32_t cursor = 0, coming = 0;
	uint16_t p;

	if (r->select > IPSP_SEL_GROUP ||
	    (r->select != IPSP_SEL_ANY && r->pool >= n->conf.n_pools)) {
		n->stats.drop_range++;
		ipsp_grant_refuse(n, r->id, IPSP_ERR_UNKNOWN_POOL);
		return;
	}
	if (n->side.anew) { /* HAs here may still use what was given anew: not now */
		ipsp_grant_refuse(n, r->id, IPSP_ERR_LOCKED);
		return;
	}
	if (r->ident.n_subscriber == 0) {
		request_ahead(n, r, &ask);
		return;
	}
	while ((p = ipsp_order_next(n->order, &ask, &cursor)) != IPSP_NO_POOL) {
		struct ipsp_ask one = {.select = IPSP_SEL_POOL, .pool = p, .at_pool = IPSP_NO_POOL};
		coming += ipsp_pool_counts(n->pools[p])->transit_idle;
		const struct ipsp_found found =
			ipsp_assign_find(n->pools, n->order, n->binds, &one, &r->ident, false);
		if (found.err)
			continue;
		if (ipsp_pool_use(n->pools[p], found.place.index) == IPSP_USE_FREE &&
		    spare(n, p) == 0)
			continue;
		give(n, found.place, r);
		if (r->count > 1)
			give_block(n, p, block_of(n, p, r->count - 1), 0);
		ipsp_stock_gave(n, p);
		return;
	}
	if (coming == 0) /* else the stream brings the asker one */
		ipsp_grant_refuse(n, r->id, IPSP_ERR_EXHAUSTED);
}

/* --------------------------------------------------------------- what the peer sent */

void ipsp_grant_on_request(struct ipsp_node *n, const struct ipsp_request *r)
{
	if (r->epoch != n->side.epoch) {
		n->stats.stale_epoch++;
		n->hello_soon = true;
		ipsp_grant_refuse(n, r->id, IPSP_REFUSE_EPOCH);
		return;
	}
	if (repeated(n, r))
		return;
	n->stats.peer_requests++;
	int err = may_give(n, r);
	if (err)
		ipsp_grant_refuse(n, r->id, err);
	else if (r->at_pool != IPSP_NO_POOL)
		request_by_address(n, r);
	else
		request_any(n, r);
}

void ipsp_grant_on_cancel(struct ipsp_node *n, uint64_t id)
{
	ipsp_ha_cancel(n, id, 0);
}
