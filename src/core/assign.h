/*
 * assign - which address a request gets from what is here (B7, B11, B12).
 *
 * A request asks by address, by pool, by group or for nothing in particular:
 *   by address   that one or none, in whatever pool it lies (in the pool or group named, if one is)
 *   by pool      that pool, public or private
 *   by group     the pools of that group by priority, 0 first, then by name
 *   nothing      the public pools by priority, 0 first, then by name
 * A static pool gives only an address that was asked for by number. One that is busied out
 * (which excludes IPSP, B3) gives none. The pools of a configuration are sorted by name.
 */
#ifndef IPSP_CORE_ASSIGN_H
#define IPSP_CORE_ASSIGN_H

#include "core/bind.h"
#include "core/pool.h"

#define IPSP_NO_POOL UINT16_MAX

enum ipsp_select { IPSP_SEL_ANY, IPSP_SEL_POOL, IPSP_SEL_GROUP };

struct ipsp_ask { /* what a session wants, with names already looked up */
	enum ipsp_select select;
	uint16_t pool;	  /* SEL_POOL: its number; SEL_GROUP: the number of any pool of the group */
	uint16_t at_pool; /* IPSP_NO_POOL, or the pool and place of the address asked for */
	uint32_t at_index;
};

/*
 * Looks names and address up. @pool, @group are NULL when not given; @addr IPSP_ADDR_NONE.
 * Returns 0, IPSP_ERR_UNKNOWN_POOL (no pool or group of that name), IPSP_ERR_INVALID (both given),
 * IPSP_ERR_NOT_IN_POOL (address outside of all, or outside of the pool or group named),
 * IPSP_ERR_STATIC_POOL (a static pool, or a group of only static ones, without an address).
 */
int ipsp_ask_resolve(const struct ipsp_context_conf *conf, const char *pool, const char *group,
		     struct ipsp_addr addr, struct ipsp_ask *ask);

/* The pools that may serve @ask, in order: start with *cursor = 0; IPSP_NO_POOL at the end. Never a
 * static pool, but for one asked for by address. */
struct ipsp_order; /* the pools sorted once by priority and name */
struct ipsp_order *ipsp_order_new(const struct ipsp_context_conf *conf);
void ipsp_order_free(struct ipsp_order *order);
uint16_t ipsp_order_next(const struct ipsp_order *order, const struct ipsp_ask *ask,
			 uint32_t *cursor);

struct ipsp_place {
	uint16_t pool;
	uint32_t index;
};

/* An address that is held for this very subscriber, in a pool that @ask may have: true with @place.
 */
bool ipsp_assign_kept(struct ipsp_pool *const *pools, const struct ipsp_order *order,
		      const struct ipsp_binds *binds, const struct ipsp_ask *ask,
		      const struct ipsp_ident *ident, struct ipsp_place *place);

/*
 * Finds where @ask can be served from for @ident, looking only, in this order: an address kept
 * (HOLD; QUARANTINE never) for the same subscriber in an eligible pool; the longest free one of
 * ours, pool by pool; with @reclaim, the longest away one, pool by pool (a licence: used after all
 * own ones of every pool). By address: that one, if ours and FREE and not DUP, or kept (HOLD) for
 * the same subscriber, or with
 * @reclaim not ours and FREE.
 * Its .err is 0; IPSP_ERR_EMPTY (nothing here); IPSP_ERR_IN_USE (by address: used here, or
 * kept for somebody else, or in quarantine, or DUP, or busied out); IPSP_ERR_NOT_OWNED (by address:
 * the peer's, or on its way).
 */
struct ipsp_found {
	int err;
	struct ipsp_place place; /* when .err is 0 */
};
struct ipsp_found ipsp_assign_find(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				   const struct ipsp_binds *binds, const struct ipsp_ask *ask,
				   const struct ipsp_ident *ident, bool reclaim);

/* What it finds where nothing is asked for by number, kept for anybody, or to be reclaimed. */
struct ipsp_found ipsp_assign_free(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				   const struct ipsp_ask *ask);

/* How many addresses a primary may give away from @pool without being asked by number: what is free
 * beyond reserved-free-percentage of its size, rounded up. */
uint32_t ipsp_assign_spare(const struct ipsp_pool *pool, uint8_t reserved_free_percentage);

#endif
