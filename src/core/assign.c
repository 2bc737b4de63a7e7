#include "core/assign.h"
#include "base/attr.h"
#include "base/err.h"
#include <stdlib.h>
#include <string.h>

/*
 * How many kept addresses of one subscriber are looked at. One that has more than these where it
 * may not have them back is served like anybody else.
 */
#define KEPT_LOOKS 64

/* ---------------------------------------------------------------- names */

/* The place of the pool of that name in the sorted list, IPSP_NO_POOL for none. */
static uint16_t find_name(const struct ipsp_context_conf *conf, const char *name)
{
	uint32_t low = 0, high = conf->n_pools;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(conf->pools[middle].name, name);

		if (order == 0)
			return (uint16_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return IPSP_NO_POOL;
}

/* Any pool of the group, a dynamic one where there is one; IPSP_NO_POOL for none. */
static uint16_t find_group(const struct ipsp_context_conf *conf, const char *group)
{
	uint16_t found = IPSP_NO_POOL;

	if (group[0] == '\0')
		return IPSP_NO_POOL; /* the pools without a group are none together */
	for (uint32_t i = 0; i < conf->n_pools; i++) {
		if (strcmp(conf->pools[i].group, group) != 0)
			continue;
		found = (uint16_t)i;
		if (conf->pools[i].type != IPSP_POOL_STATIC)
			break;
	}
	return found;
}

int ipsp_ask_resolve(const struct ipsp_context_conf *conf, const char *pool, const char *group,
		     struct ipsp_addr addr, struct ipsp_ask *ask)
{
	const struct ipsp_pool_conf *named = NULL;
	struct ipsp_ask found = {IPSP_SEL_ANY, IPSP_NO_POOL, IPSP_NO_POOL, 0};

	if (pool && group)
		return IPSP_ERR_INVALID;
	if (pool || group) {
		found.select = pool ? IPSP_SEL_POOL : IPSP_SEL_GROUP;
		found.pool = pool ? find_name(conf, pool) : find_group(conf, group);
		if (found.pool == IPSP_NO_POOL)
			return IPSP_ERR_UNKNOWN_POOL;
		named = &conf->pools[found.pool];
	}
	if (!ipsp_addr_is_none(addr)) {
		int at = ipsp_conf_find(conf, addr, &found.at_index);

		if (at < 0 || (pool && at != found.pool) ||
		    (group && strcmp(conf->pools[at].group, group) != 0))
			return IPSP_ERR_NOT_IN_POOL;
		found.at_pool = (uint16_t)at;
	} else if (named && named->type == IPSP_POOL_STATIC) {
		return IPSP_ERR_STATIC_POOL;
	}
	*ask = found;
	return 0;
}

/* ---------------------------------------------------------------- the order of pools */

struct ranked {
	const struct ipsp_pool_conf *conf;
	uint16_t pool;
	uint16_t group; /* the first pool of the same group, IPSP_NO_POOL without one */
	bool is_public;
};

struct ipsp_order {
	uint32_t n;
	uint16_t *group_of;   /* owned; by pool */
	struct ranked *ranks; /* owned; the pools that give without being asked by number */
};

static int rank_cmp(const void *a, const void *b)
{
	const struct ranked *x = (const struct ranked *)a, *y = (const struct ranked *)b;

	if (x->conf->priority != y->conf->priority)
		return x->conf->priority < y->conf->priority ? -1 : 1;
	return x->pool < y->pool ? -1 : x->pool > y->pool; /* which is by name */
}

static uint16_t first_of_group(const struct ipsp_context_conf *conf, uint32_t pool)
{
	if (conf->pools[pool].group[0] == '\0')
		return IPSP_NO_POOL;
	for (uint32_t i = 0; i < pool; i++) {
		if (strcmp(conf->pools[i].group, conf->pools[pool].group) == 0)
			return (uint16_t)i;
	}
	return (uint16_t)pool;
}

struct ipsp_order *ipsp_order_new(const struct ipsp_context_conf *conf)
{
	struct ipsp_order *order = (struct ipsp_order *)calloc(1, sizeof(*order));
	size_t room = conf->n_pools ? conf->n_pools : 1;

	if (!order)
		return NULL;
	order->group_of = (uint16_t *)calloc(room, sizeof(*order->group_of));
	order->ranks = (struct ranked *)calloc(room, sizeof(*order->ranks));
	if (!order->group_of || !order->ranks) {
		ipsp_order_free(order);
		return NULL;
	}
	for (uint32_t i = 0; i < conf->n_pools; i++) {
		const struct ipsp_pool_conf *pool = &conf->pools[i];

		order->group_of[i] = first_of_group(conf, i);
		if (pool->type != IPSP_POOL_STATIC && !pool->busyout)
			order->ranks[order->n++] =
				(struct ranked){pool, (uint16_t)i, order->group_of[i],
						pool->type == IPSP_POOL_PUBLIC};
	}
	qsort(order->ranks, order->n, sizeof(*order->ranks), rank_cmp);
	return order;
}

void ipsp_order_free(struct ipsp_order *order)
{
	if (!order)
		return;
	free(order->group_of);
	free(order->ranks);
	free(order);
}

/* May a pool that gives without being asked by number serve @ask? */
static bool serves(const struct ipsp_order *order, const struct ranked *rank,
		   const struct ipsp_ask *ask)
{
	if (ask->select == IPSP_SEL_ANY) /* as most */
		return rank->is_public;
	switch (ask->select) {
	case IPSP_SEL_ANY:
		break;
	case IPSP_SEL_POOL:
		return rank->pool == ask->pool;
	case IPSP_SEL_GROUP:
		return rank->group != IPSP_NO_POOL && rank->group == order->group_of[ask->pool];
	}
	return false;
}

uint16_t ipsp_order_next(const struct ipsp_order *order, const struct ipsp_ask *ask,
			 uint32_t *cursor)
{
	if (ask->at_pool != IPSP_NO_POOL)
		return (*cursor)++ == 0 ? ask->at_pool : IPSP_NO_POOL;
	while (*cursor < order->n) {
		const struct ranked *rank = &order->ranks[(*cursor)++];

		if (serves(order, rank, ask))
			return rank->pool;
	}
	return IPSP_NO_POOL;
}

/* ---------------------------------------------------------------- finding a place */

IPSP_APART static bool same_subscriber(const struct ipsp_binds *binds, uint32_t bind,
				       const struct ipsp_ident *ident)
{
	struct ipsp_bind kept;

	return ipsp_binds_get(binds, bind, &kept) &&
	       kept.ident.n_subscriber == ident->n_subscriber &&
	       memcmp(kept.ident.subscriber, ident->subscriber, ident->n_subscriber) == 0;
}

/* The one asked for by number. */
static int find_at(const struct ipsp_pool *pool, uint32_t index, const struct ipsp_binds *binds,
		   const struct ipsp_ident *ident, bool reclaim)
{
	if (!pool)
		return IPSP_ERR_NOT_OWNED;
	enum ipsp_use use = ipsp_pool_use(pool, index);
	bool ours = ipsp_pool_own(pool, index) == IPSP_OWN_OURS;

	if (ipsp_pool_flags(pool, index) & IPSP_ADDR_BARRED || ipsp_pool_conf(pool)->busyout)
		return IPSP_ERR_IN_USE;
	switch (use) {
	case IPSP_USE_FREE:
		return ours || reclaim ? 0 : IPSP_ERR_NOT_OWNED;
	case IPSP_USE_HOLD:
		return same_subscriber(binds, ipsp_pool_bind(pool, index), ident) ? 0
										  : IPSP_ERR_IN_USE;
	case IPSP_USE_USED:
	case IPSP_USE_QUARANTINE:
		return IPSP_ERR_IN_USE;
	}
	return IPSP_ERR_IN_USE;
}

static bool eligible(const struct ipsp_order *order, const struct ipsp_ask *ask, uint16_t pool)
{
	uint32_t cursor = 0;
	uint16_t next;

	while ((next = ipsp_order_next(order, ask, &cursor)) != IPSP_NO_POOL) {
		if (next == pool)
			return true;
	}
	return false;
}

/* Of the kept ones of a subscriber, from @bind on. */
IPSP_APART static bool find_kept(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				 const struct ipsp_binds *binds, const struct ipsp_ask *ask,
				 const struct ipsp_ident *ident, uint32_t bind,
				 struct ipsp_place *place)
{
	struct ipsp_bind kept;

	for (int looks = 0; looks < KEPT_LOOKS && bind != IPSP_NO_BIND; looks++) {
		if (ipsp_binds_get(binds, bind, &kept) && pools[kept.pool] &&
		    ipsp_pool_use(pools[kept.pool], kept.index) == IPSP_USE_HOLD &&
		    !(ipsp_pool_flags(pools[kept.pool], kept.index) & IPSP_ADDR_BARRED) &&
		    eligible(order, ask, kept.pool)) {
			*place = (struct ipsp_place){kept.pool, kept.index};
			return true;
		}
		bind = ipsp_binds_kept(binds, ident, bind);
	}
	return false;
}

bool ipsp_assign_kept(struct ipsp_pool *const *pools, const struct ipsp_order *order,
		      const struct ipsp_binds *binds, const struct ipsp_ask *ask,
		      const struct ipsp_ident *ident, struct ipsp_place *place)
{
	const uint32_t first = ipsp_binds_kept(binds, ident, IPSP_NO_BIND);

	return first != IPSP_NO_BIND && find_kept(pools, order, binds, ask, ident, first, place);
}

struct ipsp_found ipsp_assign_free(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				   const struct ipsp_ask *ask)
{
	const struct ranked *const end = order->ranks + order->n;

	for (const struct ranked *rank = order->ranks; rank < end; rank++) {
		if (!pools[rank->pool] || !serves(order, rank, ask))
			continue;
		const uint32_t index = ipsp_pool_first_free(pools[rank->pool]);
		if (index != IPSP_NO_INDEX)
			return (struct ipsp_found){0, {rank->pool, index}};
	}
	return (struct ipsp_found){IPSP_ERR_EMPTY, {IPSP_NO_POOL, 0}};
}

/* The same of those that are not ours. */
static struct ipsp_found find_away(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				   const struct ipsp_ask *ask)
{
	for (uint32_t i = 0; i < order->n; i++) {
		const struct ranked *rank = &order->ranks[i];

		if (!pools[rank->pool] || !serves(order, rank, ask))
			continue;
		const uint32_t index = ipsp_pool_first_away(pools[rank->pool]);
		if (index != IPSP_NO_INDEX)
			return (struct ipsp_found){0, {rank->pool, index}};
	}
	return (struct ipsp_found){IPSP_ERR_EMPTY, {IPSP_NO_POOL, 0}};
}

struct ipsp_found ipsp_assign_find(struct ipsp_pool *const *pools, const struct ipsp_order *order,
				   const struct ipsp_binds *binds, const struct ipsp_ask *ask,
				   const struct ipsp_ident *ident, bool reclaim)
{
	struct ipsp_found found = {0, {ask->at_pool, ask->at_index}};

	if (ask->at_pool != IPSP_NO_POOL) {
		found.err = find_at(pools[ask->at_pool], ask->at_index, binds, ident, reclaim);
		return found;
	}
	if (ipsp_assign_kept(pools, order, binds, ask, ident, &found.place))
		return found;
	found = ipsp_assign_free(pools, order, ask);
	return found.err && reclaim ? find_away(pools, order, ask) : found;
}

/* ---------------------------------------------------------------- the reserve */

uint32_t ipsp_assign_spare(const struct ipsp_pool *pool, uint8_t reserved_free_percentage)
{
	const struct ipsp_pool_counts *counts = ipsp_pool_counts(pool);
	uint64_t kept_back =
		((uint64_t)ipsp_pool_conf(pool)->size * reserved_free_percentage + 99) / 100;

	kept_back += counts->dup; /* those of them that are free can't be given */
	return counts->free > kept_back ? (uint32_t)(counts->free - kept_back) : 0;
}
