/*
 * assign - which pool and which address: stories with exact endings.
 */
#include "base/err.h"
#include "core/assign.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POOL_SIZE 4

/* Numbers are places by name: the order of this list. */
enum { ALPHA, BRAVO, CHARLIE, DELTA, ECHO, FOXTROT, GOLF, HOTEL, POOLS };

static const struct ipsp_pool_conf pool_confs[POOLS] = {
	[ALPHA] = {.name = "alpha", .group = "g1", .type = IPSP_POOL_PRIVATE, .priority = 1},
	[BRAVO] = {.name = "bravo", .type = IPSP_POOL_PUBLIC, .priority = 5},
	[CHARLIE] = {.name = "charlie", .group = "g1", .type = IPSP_POOL_PUBLIC, .priority = 5},
	[DELTA] = {.name = "delta", .type = IPSP_POOL_PUBLIC, .priority = 0},
	[ECHO] = {.name = "echo", .group = "g1", .type = IPSP_POOL_STATIC},
	[FOXTROT] = {.name = "foxtrot", .group = "g2", .type = IPSP_POOL_STATIC},
	[GOLF] = {.name = "golf", .group = "g1", .type = IPSP_POOL_PRIVATE, .priority = 0},
	[HOTEL] = {.name = "hotel", .group = "g1", .type = IPSP_POOL_STATIC},
};

struct world {
	struct ipsp_context_conf conf;
	struct ipsp_pool_conf pool_confs[POOLS];
	struct ipsp_pool *pools[POOLS];
	struct ipsp_order *order;
	struct ipsp_binds *binds;
};

static int world_new(void **state)
{
	static const uint8_t key[16];
	struct world *w = (struct world *)calloc(1, sizeof(*w));

	assert_non_null(w);
	ipsp_conf_init(&w->conf, "isp1");
	memcpy(w->pool_confs, pool_confs, sizeof(pool_confs));
	for (uint32_t i = 0; i < POOLS; i++) {
		w->pool_confs[i].base = ipsp_addr_v4(0x0a000000 + (i << 16)); /* 10.NUMBER.0.0 */
		w->pool_confs[i].size = POOL_SIZE;
		w->pool_confs[i].plen = 32;
		w->pools[i] = ipsp_pool_new(&w->pool_confs[i], IPSP_OWN_OURS);
	}
	w->conf.pools = w->pool_confs;
	w->conf.n_pools = POOLS;
	w->order = ipsp_order_new(&w->conf);
	w->binds = ipsp_binds_new(key);
	assert_true(w->order && w->binds);
	*state = w;
	return 0;
}

static int world_free(void **state)
{
	struct world *w = (struct world *)*state;

	for (uint32_t i = 0; i < POOLS; i++)
		ipsp_pool_free(w->pools[i]);
	ipsp_order_free(w->order);
	ipsp_binds_free(w->binds);
	free(w);
	return 0;
}

static struct ipsp_addr addr_of(uint32_t pool, uint32_t index)
{
	return ipsp_addr_v4(0x0a000000 + (pool << 16) + index);
}

static struct ipsp_ident ident_of(const char *subscriber)
{
	return (struct ipsp_ident){subscriber, "", (uint8_t)strlen(subscriber), 0, 0};
}

static int resolve(const struct world *w, const char *pool, const char *group,
		   struct ipsp_addr addr, struct ipsp_ask *ask)
{
	return ipsp_ask_resolve(&w->conf, pool, group, addr, ask);
}

/* What @subscriber is given that asks so: pool * 100 + index, or the error. */
static int find(const struct world *w, const char *subscriber, const char *pool, const char *group,
		struct ipsp_addr addr, bool reclaim)
{
	struct ipsp_ident ident = ident_of(subscriber);
	struct ipsp_ask ask;
	int err = resolve(w, pool, group, addr, &ask);

	if (err)
		return err;
	struct ipsp_found found =
		ipsp_assign_find(w->pools, w->order, w->binds, &ask, &ident, reclaim);
	return found.err ? found.err : found.place.pool * 100 + (int)found.place.index;
}

static void keep(struct world *w, const char *subscriber, uint16_t pool, uint32_t index,
		 enum ipsp_use use)
{
	struct ipsp_bind bind = {.kind = IPSP_BIND_KEPT,
				 .pool = pool,
				 .index = index,
				 .ident = ident_of(subscriber)};
	uint32_t number = ipsp_binds_add(w->binds, &bind);

	assert_int_equal(ipsp_pool_keep(w->pools[pool], index, use, number, 1000), 0);
}

static void take_all(struct world *w, uint16_t pool)
{
	for (uint32_t i = 0; i < POOL_SIZE; i++)
		assert_int_equal(ipsp_pool_take(w->pools[pool], i, 0), 0);
}

/* ---------------------------------------------------------------- resolving */

static void test_resolve(void **state)
{
	const struct world *w = (const struct world *)*state;
	struct ipsp_ask ask;

	assert_int_equal(resolve(w, NULL, NULL, IPSP_ADDR_NONE, &ask), 0);
	assert_int_equal(ask.select, IPSP_SEL_ANY);
	assert_int_equal(ask.at_pool, IPSP_NO_POOL);
	for (uint16_t i = 0; i < POOLS; i++) {
		assert_int_equal(resolve(w, pool_confs[i].name, NULL, addr_of(i, 3), &ask), 0);
		assert_int_equal(ask.select, IPSP_SEL_POOL);
		assert_int_equal(ask.pool, i);
		assert_int_equal(ask.at_pool, i);
		assert_int_equal(ask.at_index, 3);
	}
	assert_int_equal(resolve(w, NULL, "g1", IPSP_ADDR_NONE, &ask), 0);
	assert_int_equal(ask.select, IPSP_SEL_GROUP);
	assert_string_equal(w->conf.pools[ask.pool].group, "g1");
}

static void test_resolve_refuses(void **state)
{
	const struct world *w = (const struct world *)*state;
	struct ipsp_ask ask = {IPSP_SEL_POOL, 77, 78, 79}, before = ask;
	struct ipsp_addr none = IPSP_ADDR_NONE;

	assert_int_equal(resolve(w, "alpha", "g1", none, &ask), IPSP_ERR_INVALID);
	assert_int_equal(resolve(w, "alph", NULL, none, &ask), IPSP_ERR_UNKNOWN_POOL);
	assert_int_equal(resolve(w, "", NULL, none, &ask), IPSP_ERR_UNKNOWN_POOL);
	assert_int_equal(resolve(w, "zulu", NULL, addr_of(ALPHA, 0), &ask), IPSP_ERR_UNKNOWN_POOL);
	assert_int_equal(resolve(w, NULL, "g9", none, &ask), IPSP_ERR_UNKNOWN_POOL);
	/* bravo and delta have no group: that is no group of the name "" */
	assert_int_equal(resolve(w, NULL, "", none, &ask), IPSP_ERR_UNKNOWN_POOL);
	assert_int_equal(resolve(w, NULL, NULL, addr_of(ALPHA, POOL_SIZE), &ask),
			 IPSP_ERR_NOT_IN_POOL);
	assert_int_equal(resolve(w, "alpha", NULL, addr_of(BRAVO, 0), &ask), IPSP_ERR_NOT_IN_POOL);
	assert_int_equal(resolve(w, NULL, "g1", addr_of(BRAVO, 0), &ask), IPSP_ERR_NOT_IN_POOL);
	assert_int_equal(resolve(w, "echo", NULL, none, &ask), IPSP_ERR_STATIC_POOL);
	assert_int_equal(resolve(w, NULL, "g2", none, &ask), IPSP_ERR_STATIC_POOL);
	assert_memory_equal(&ask, &before, sizeof(ask)); /* nothing changed */
	assert_int_equal(resolve(w, "echo", NULL, addr_of(ECHO, 1), &ask), 0);
	assert_int_equal(resolve(w, NULL, "g1", addr_of(ECHO, 1), &ask), 0);
}

/* ---------------------------------------------------------------- the order of pools */

static void expect_order(const struct world *w, const char *pool, const char *group,
			 const char *expected)
{
	struct ipsp_ask ask;
	uint32_t cursor = 0;
	char got[128] = "";
	uint16_t next;

	assert_int_equal(resolve(w, pool, group, IPSP_ADDR_NONE, &ask), 0);
	while ((next = ipsp_order_next(w->order, &ask, &cursor)) != IPSP_NO_POOL) {
		size_t n = strlen(got);

		snprintf(got + n, sizeof(got) - n, "%s ", w->conf.pools[next].name);
	}
	assert_string_equal(got, expected);
	assert_int_equal(ipsp_order_next(w->order, &ask, &cursor), IPSP_NO_POOL);
}

static void test_order(void **state)
{
	struct world *w = (struct world *)*state;

	expect_order(w, NULL, NULL, "delta bravo charlie ");
	expect_order(w, NULL, "g1", "golf alpha charlie ");
	expect_order(w, "golf", NULL, "golf ");
	/* from the peer may come what no name resolves to: a group that the pool doesn't have */
	struct ipsp_ask ask = {IPSP_SEL_GROUP, BRAVO, IPSP_NO_POOL, 0};
	uint32_t cursor = 0;
	assert_int_equal(ipsp_order_next(w->order, &ask, &cursor), IPSP_NO_POOL);
	w->pool_confs[DELTA].busyout = w->pool_confs[GOLF].busyout = true;
	ipsp_order_free(w->order);
	w->order = ipsp_order_new(&w->conf);
	expect_order(w, NULL, NULL, "bravo charlie ");
	expect_order(w, "golf", NULL, "");
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 0), true), IPSP_ERR_IN_USE);
}

/* ---------------------------------------------------------------- finding */

static void test_public_by_priority_then_name(void **state)
{
	struct world *w = (struct world *)*state;

	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), DELTA * 100);
	take_all(w, DELTA);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), BRAVO * 100);
	take_all(w, BRAVO);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), CHARLIE * 100);
	take_all(w, CHARLIE);
	/* private pools only when named (B12) */
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), IPSP_ERR_EMPTY);
	assert_int_equal(find(w, "u", "alpha", NULL, IPSP_ADDR_NONE, false), ALPHA * 100);
	assert_int_equal(find(w, "u", NULL, "g1", IPSP_ADDR_NONE, false), GOLF * 100);
	assert_int_equal(find(w, "u", "delta", NULL, IPSP_ADDR_NONE, false), IPSP_ERR_EMPTY);
}

static void test_held_comes_back_to_its_subscriber(void **state)
{
	struct world *w = (struct world *)*state;

	keep(w, "u1", CHARLIE, 2, IPSP_USE_HOLD);
	keep(w, "u2", DELTA, 0, IPSP_USE_QUARANTINE);
	assert_int_equal(find(w, "u1", NULL, NULL, IPSP_ADDR_NONE, false), CHARLIE * 100 + 2);
	assert_int_equal(find(w, "u1", NULL, "g1", IPSP_ADDR_NONE, false), CHARLIE * 100 + 2);
	/* it asks for another pool than the one where it has something */
	assert_int_equal(find(w, "u1", "bravo", NULL, IPSP_ADDR_NONE, false), BRAVO * 100);
	/* quarantine is for nobody */
	assert_int_equal(find(w, "u2", NULL, NULL, IPSP_ADDR_NONE, false), DELTA * 100 + 1);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), DELTA * 100 + 1);
	/* the second one that is held, where the first is not in a pool that may serve */
	keep(w, "u1", ALPHA, 3, IPSP_USE_HOLD);
	assert_int_equal(find(w, "u1", "alpha", NULL, IPSP_ADDR_NONE, false), ALPHA * 100 + 3);
	assert_int_equal(find(w, "u1", "charlie", NULL, IPSP_ADDR_NONE, false), CHARLIE * 100 + 2);
}

static void test_by_address(void **state)
{
	struct world *w = (struct world *)*state;
	struct ipsp_pool *delta = w->pools[DELTA];

	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 2), false), DELTA * 100 + 2);
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(ALPHA, 1), false), ALPHA * 100 + 1);
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(ECHO, 1), false), ECHO * 100 + 1);
	assert_int_equal(ipsp_pool_take(delta, 0, 0), 0);
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 0), true), IPSP_ERR_IN_USE);
	keep(w, "u1", DELTA, 1, IPSP_USE_HOLD);
	assert_int_equal(find(w, "u1", NULL, NULL, addr_of(DELTA, 1), false), DELTA * 100 + 1);
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 1), false), IPSP_ERR_IN_USE);
	assert_int_equal(find(w, "u1x", NULL, NULL, addr_of(DELTA, 1), false), IPSP_ERR_IN_USE);
	keep(w, "u1", DELTA, 2, IPSP_USE_QUARANTINE);
	assert_int_equal(find(w, "u1", NULL, NULL, addr_of(DELTA, 2), true), IPSP_ERR_IN_USE);
	ipsp_pool_set_flag(delta, 3, IPSP_ADDR_DUP, true);
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 3), true), IPSP_ERR_IN_USE);
}

static void test_by_address_of_the_peer(void **state)
{
	struct world *w = (struct world *)*state;
	struct ipsp_pool *delta = w->pools[DELTA];

	assert_int_equal(ipsp_pool_set_own(delta, 0, IPSP_OWN_PEER), 0);
	assert_int_equal(ipsp_pool_set_own(delta, 1, IPSP_OWN_TRANSIT), 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, i), false),
				 IPSP_ERR_NOT_OWNED);
		assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, i), true),
				 DELTA * 100 + (int)i);
	}
	assert_int_equal(ipsp_pool_take(delta, 0, 0), 0); /* reclaimed, and used here */
	assert_int_equal(find(w, "u", NULL, NULL, addr_of(DELTA, 0), true), IPSP_ERR_IN_USE);
}

/* Reclaimed addresses come after all own ones of every pool that may serve. */
static void test_reclaimed_last(void **state)
{
	struct world *w = (struct world *)*state;

	for (uint32_t i = 0; i < POOL_SIZE; i++) {
		ipsp_pool_set_own(w->pools[DELTA], i, IPSP_OWN_PEER);
		ipsp_pool_set_own(w->pools[BRAVO], i, IPSP_OWN_PEER);
	}
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, true), CHARLIE * 100);
	take_all(w, CHARLIE);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, false), IPSP_ERR_EMPTY);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, true),
			 DELTA * 100 + POOL_SIZE -
				 1); /* what went away last is the likeliest to be idle */
	take_all(w, DELTA);
	assert_int_equal(find(w, "u", NULL, NULL, IPSP_ADDR_NONE, true),
			 BRAVO * 100 + POOL_SIZE - 1);
	assert_int_equal(find(w, "u", "delta", NULL, IPSP_ADDR_NONE, true), IPSP_ERR_EMPTY);
}

/* One subscriber with more held addresses than are looked at is served all the same. */
static void test_many_held_elsewhere(void **state)
{
	struct world *w = (struct world *)*state;
	struct ipsp_bind bind = {.kind = IPSP_BIND_KEPT, .pool = ALPHA, .ident = ident_of("u1")};

	for (int i = 0; i < 1000; i++)
		assert_int_not_equal(ipsp_binds_add(w->binds, &bind), IPSP_NO_BIND);
	assert_int_equal(find(w, "u1", NULL, NULL, IPSP_ADDR_NONE, false), DELTA * 100);
}

static void test_spare(void **state)
{
	struct ipsp_pool_conf conf = {.size = 10};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	assert_int_equal(ipsp_assign_spare(pool, 0), 10);
	assert_int_equal(ipsp_assign_spare(pool, 1), 9); /* rounded up */
	assert_int_equal(ipsp_assign_spare(pool, 10), 9);
	assert_int_equal(ipsp_assign_spare(pool, 11), 8);
	assert_int_equal(ipsp_assign_spare(pool, 100), 0);
	for (uint32_t i = 0; i < 8; i++)
		ipsp_pool_take(pool, i, 0);
	assert_int_equal(ipsp_assign_spare(pool, 0), 2);
	assert_int_equal(ipsp_assign_spare(pool, 10), 1);
	assert_int_equal(ipsp_assign_spare(pool, 30), 0);
	ipsp_pool_set_flag(pool, 9, IPSP_ADDR_DUP, true); /* free, but for nobody */
	assert_int_equal(ipsp_assign_spare(pool, 0), 1);
	ipsp_pool_free(pool);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(test_resolve),
		STORY(test_resolve_refuses),
		STORY(test_order),
		STORY(test_public_by_priority_then_name),
		STORY(test_held_comes_back_to_its_subscriber),
		STORY(test_by_address),
		STORY(test_by_address_of_the_peer),
		STORY(test_reclaimed_last),
		STORY(test_many_held_elsewhere),
		cmocka_unit_test(test_spare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
