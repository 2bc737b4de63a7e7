/*
 * serve - one try to give a session its address from what is here: may this side, which one, and
 * if not, what is it that has to come first?
 */
#include "base/attr.h"
#include "core/asked.h"
#include "core/names.h"

#include <string.h>

/* --------------------------------------------------------------- may this side serve? */

int ipsp_serve_gate(const struct ipsp_node *n)
{
	const struct ipsp_side *s = &n->side;

	if (s->terminated || n->refused_enable || s->grounded || n->stopping)
		return IPSP_ERR_DISABLED;
	if (s->draining)
		return IPSP_ERR_DRAINING;
	if (n->disk_full)
		return IPSP_ERR_DISK_FULL;
	if (!ipsp_psp(n)->enabled)
		return 0; /* IPSP has no say here; what the peer owns is not given anyway */
	if (n->mode != IPSP_MODE_ACTIVE && (s->shared || !s->primary))
		return IPSP_ERR_DISABLED;
	if (s->lost)
		return IPSP_XW_LEASE;
	if (!s->shared && !s->licence && !s->primary) {
		if (n->state == IPSP_ST_CONFIG_MISMATCH)
			return IPSP_ERR_CONFIG_MISMATCH;
		return ipsp_contact(n) ? IPSP_ERR_NOT_APPROVED : IPSP_ERR_NO_PRIMARY;
	}
	if (ipsp_may_assign(n))
		return 0;
	if (ipsp_conflict_yields(n))
		return IPSP_ERR_CONFIG_MISMATCH;
	return s->shared ? IPSP_XW_LEASE : IPSP_XW_START;
}

/* It lets one request of a turn in, and so the others. */
IPSP_APART static int gate(struct ipsp_node *n)
{
	int err = ipsp_serve_gate(n);

	n->may_serve = err == 0;
	return err;
}

/* The address is not here: may the peer be asked? */
IPSP_APART static int gate_peer(const struct ipsp_node *n, const struct ipsp_ask *ask)
{
	if (n->side.licence && n->peer.speaks == 0 && ipsp_contact(n))
		return IPSP_ERR_CONFIG_MISMATCH; /* what it may have in use is not given */
	if (!ipsp_psp(n)->enabled || !n->side.shared || n->side.licence)
		return IPSP_ERR_EXHAUSTED;
	if (!ipsp_contact(n))
		return IPSP_ERR_NO_PRIMARY;
	if (n->conf_role_conflict || (n->compare.known && !n->compare.same))
		if (ask->at_pool == IPSP_NO_POOL || n->peer.speaks == 0)
			return IPSP_ERR_CONFIG_MISMATCH;
	return IPSP_XW_PEER;
}

static bool group_differs(const struct ipsp_node *n, uint16_t a, uint16_t b)
{
	return strcmp(n->conf.pools[a].group, n->conf.pools[b].group) != 0;
}

/* --------------------------------------------------------------- given anew */

#define ANEW_MS	     600000 /* no HA has come: as long as sessions are held after a reboot */
#define ANEW_HA_MS   10000  /* ... after the first has come: the others come soon, too */
#define ANEW_MORE_MS 5000   /* ... after the last address that one of them asked for by number */

void ipsp_serve_given_anew(struct ipsp_node *n)
{
	if (!n->side.anew)
		return;
	n->anew_until = n->now + (n->has.n_attached > 0 ? ANEW_HA_MS : ANEW_MS);
	ipsp_say(n, IPSP_LOG_NOTICE,
		 "its state was lost: until the HAs have asked for the sessions that they have, "
		 "addresses are given by number only");
}

void ipsp_serve_attached(struct ipsp_node *n)
{
	if (n->side.anew && n->anew_until > n->now + ANEW_HA_MS)
		n->anew_until = n->now + ANEW_HA_MS;
}

void ipsp_serve_tick(struct ipsp_node *n)
{
	if (!n->side.anew || n->side.lost || n->now < n->anew_until)
		return;
	struct ipsp_side s = n->side;
	s.anew = false;
	ipsp_rec_side(n, &s, false);
	n->xacts.retry = true;
	ipsp_say(n, IPSP_LOG_NOTICE, "what was given anew is given to new sessions from now on");
}

ipsp_ms ipsp_serve_due(const struct ipsp_node *n)
{
	return n->side.anew && !n->side.lost ? n->anew_until : IPSP_NEVER;
}

/* --------------------------------------------------------------- has one, or gets one */

static struct ipsp_served not_served(int err)
{
	return (struct ipsp_served){err, false, {IPSP_NO_POOL, 0}};
}

/* May a session that has @b ask so? */
static int fits(const struct ipsp_node *n, const struct ipsp_bind *b, const struct ipsp_ask *ask)
{
	if (b->flags & (IPSP_BIND_RELEASING | IPSP_BIND_DUPLICATE))
		return IPSP_XW_RELEASE;
	if (ask->at_pool != IPSP_NO_POOL && (ask->at_pool != b->pool || ask->at_index != b->index))
		return IPSP_ERR_INVALID;
	if (ask->select == IPSP_SEL_POOL && ask->pool != b->pool)
		return IPSP_ERR_INVALID;
	if (ask->select == IPSP_SEL_GROUP && group_differs(n, ask->pool, b->pool))
		return IPSP_ERR_INVALID;
	return 0;
}

/* A session that has an address gets that again, when it is what it asks for. */
IPSP_APART static struct ipsp_served confirm(struct ipsp_node *n, uint32_t bind, uint16_t ha,
					     const struct ipsp_ask *ask)
{
	struct ipsp_bind b;

	ipsp_binds_get(n->binds, bind, &b);
	int err = fits(n, &b, ask);
	if (err)
		return not_served(err);
	struct ipsp_place at = {b.pool, b.index};
	if (ha != 0 && b.ha != ha) {
		if (b.ha != 0 && ipsp_name_foreign(n, ha, b.ha))
			return not_served(IPSP_ERR_NOT_PERMITTED);
		if (b.ha != 0)
			ipsp_ha_moved(n, at, b.ha);
		ipsp_rec_ha(n, bind, ha);
	}
	if (n->has.n_asked > 0)
		ipsp_asked_confirmed(n, at);
	return (struct ipsp_served){0, false, at};
}

IPSP_APART static struct ipsp_served take_static(struct ipsp_node *n, uint16_t ha,
						 const struct ipsp_ident *ident,
						 const struct ipsp_ask *ask)
{
	const struct ipsp_place at = {ask->at_pool, ask->at_index};

	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_FREE)
		return not_served(IPSP_ERR_IN_USE);
	if (ipsp_rec_take(n, at, ha, ident) == IPSP_NO_BIND)
		return not_served(IPSP_ERR_OVERLOADED);
	return (struct ipsp_served){0, true, at};
}

/* S6: the AAA server directs sessions here. */
IPSP_APART static void took_as_secondary(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	s.s6 = true;
	ipsp_rec_side(n, &s, false);
}

/* A session got @at without having asked for it by number: that is demand, see stock.h. */
static inline void count(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_ask *ask)
{
	struct ipsp_stock *s = &n->stock;

	if (ipsp_psp(n)->block_size == 1)
		return;
	if (s->n_pools != n->n_built)
		ipsp_stock_begin(n);
	if (at.pool < s->n_pools) { /* else no memory: blocks are small then */
		struct ipsp_demand *d = &s->demand[at.pool];
		d->last = n->now;
		d->n++;
		if (n->now - d->at >= IPSP_COUNT_MS)
			ipsp_stock_smooth(d, n->now);
	}
	s->ask = *ask;
	s->look = true;
}

/* A new session has an address that this side gave by itself, or was given for it. */
IPSP_INLINE void took(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_ask *ask)
{
	n->stats.requests_local++;
	if (!n->side.primary && !n->side.s6 && n->side.shared)
		took_as_secondary(n);
	if (n->lease.lease_end < n->act->valid_until && n->side.shared && !n->side.licence &&
	    ipsp_psp(n)->enabled)
		n->act->valid_until = n->lease.lease_end;
	if (ask->at_pool == IPSP_NO_POOL)
		count(n, at, ask);
	if (n->side.anew && n->anew_until < n->now + ANEW_MORE_MS)
		n->anew_until = n->now + ANEW_MORE_MS;
}

/* The address asked for has another session, which may be about to end. */
IPSP_APART static int in_use(const struct ipsp_node *n, const struct ipsp_ask *ask)
{
	struct ipsp_bind b;

	return ipsp_place_used(n, (struct ipsp_place){ask->at_pool, ask->at_index}, &b) &&
			       b.flags & IPSP_BIND_RELEASING
		       ? IPSP_XW_RELEASE
		       : IPSP_ERR_IN_USE;
}

/* After a loss of its state, this side gives no address that nobody asked for; but one that it
 * keeps for this very subscriber. */
IPSP_APART static bool has_kept(const struct ipsp_node *n, const struct ipsp_ask *ask,
				const struct ipsp_ident *ident)
{
	struct ipsp_place at;

	return ipsp_assign_kept(n->pools, n->order, n->binds, ask, ident, &at);
}

IPSP_APART static struct ipsp_found find_kept(struct ipsp_node *n, const struct ipsp_ident *ident,
					      const struct ipsp_ask *ask, bool reclaim)
{
	const struct ipsp_found found =
		ipsp_assign_find(n->pools, n->order, n->binds, ask, ident, reclaim);

	if (!found.err)
		ipsp_out_was_kept(n, found.place);
	return found;
}

/* Mostly it is what is free for longest. */
static inline struct ipsp_found find(struct ipsp_node *n, const struct ipsp_ident *ident,
				     const struct ipsp_ask *ask)
{
	const bool reclaim = n->side.licence && ipsp_may_reclaim(n);

	if (ask->at_pool == IPSP_NO_POOL && !reclaim && !ipsp_binds_any_kept(n->binds))
		return ipsp_assign_free(n->pools, n->order, ask);
	return find_kept(n, ident, ask, reclaim);
}

struct ipsp_served ipsp_serve(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
			      const struct ipsp_ask *ask)
{
	const uint32_t bind = ipsp_binds_seek(n->binds, ident);

	if (bind != IPSP_NO_BIND)
		return confirm(n, bind, ha, ask);
	if (ask->at_pool != IPSP_NO_POOL && ipsp_is_static(n, ask->at_pool))
		return take_static(n, ha, ident, ask);
	const int shut = n->may_serve ? 0 : gate(n);
	if (shut)
		return not_served(shut);
	if (n->side.anew && ask->at_pool == IPSP_NO_POOL && !has_kept(n, ask, ident))
		return not_served(gate_peer(n, ask));
	const struct ipsp_found found = find(n, ident, ask);
	if (found.err)
		return not_served(found.err == IPSP_ERR_IN_USE ? in_use(n, ask)
							       : gate_peer(n, ask));
	if (ipsp_rec_take(n, found.place, ha, ident) == IPSP_NO_BIND)
		return not_served(IPSP_ERR_OVERLOADED);
	took(n, found.place, ask);
	return (struct ipsp_served){0, true, found.place};
}

/* --------------------------------------------------------------- given for it by the peer */

bool ipsp_serve_may(const struct ipsp_node *n, const struct ipsp_ident *ident,
		    const struct ipsp_ask *ask, struct ipsp_place at)
{
	const struct ipsp_pool_conf *conf = &n->conf.pools[at.pool];
	uint32_t cursor = 0;
	uint16_t p;

	if (at.index >= conf->size || conf->busyout || ipsp_is_static(n, at.pool) ||
	    ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS ||
	    ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_FREE || ipsp_serve_gate(n) != 0)
		return false;
	if (ask->at_pool != IPSP_NO_POOL && ask->at_index != at.index)
		return false;
	while ((p = ipsp_order_next(n->order, ask, &cursor)) != at.pool)
		if (p == IPSP_NO_POOL)
			return false;
	return ipsp_binds_session(n->binds, ident) == IPSP_NO_BIND;
}

int ipsp_serve_given(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
		     const struct ipsp_ask *ask, struct ipsp_place at)
{
	if (ipsp_rec_take(n, at, ha, ident) == IPSP_NO_BIND)
		return IPSP_ERR_OVERLOADED; /* and the step has failed */
	took(n, at, ask);
	return 0;
}
