/*
 * pool - against a model that is too simple to be wrong: an array that is searched from end to end.
 */
#include "base/err.h"
#include "core/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- chance */

static uint64_t rng_state;

static uint32_t chance(uint32_t n) /* 0..n-1: splitmix64 */
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) >> 32) % n;
}

static void seed_chance(void)
{
	const char *given = getenv("IPSP_TEST_SEED");

	rng_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("IPSP_TEST_SEED=%llu\n", (unsigned long long)rng_state);
}

/* ---------------------------------------------------------------- the model */

#define SIZE_MAX_MODEL 5000

struct model_address {
	enum ipsp_own own;
	enum ipsp_use use;
	uint8_t flags;
	uint32_t bind;
	ipsp_ms end;
	int64_t since; /* when it came to its list: the order of arrival */
};

enum model_list { M_FREE, M_AWAY, M_HOLD, M_QUARANTINE, M_NONE };

struct model {
	uint32_t size;
	int64_t arrivals, demoted;
	struct model_address at[SIZE_MAX_MODEL];
};

static enum model_list model_list(const struct model_address *a)
{
	if (a->use == IPSP_USE_HOLD)
		return M_HOLD;
	if (a->use == IPSP_USE_QUARANTINE)
		return M_QUARANTINE;
	if (a->use == IPSP_USE_USED)
		return M_NONE;
	if (a->own != IPSP_OWN_OURS)
		return M_AWAY;
	return a->flags & IPSP_ADDR_BARRED ? M_NONE : M_FREE;
}

static void model_init(struct model *m, uint32_t size, enum ipsp_own own)
{
	memset(m, 0, sizeof(*m));
	m->size = size;
	for (uint32_t i = 0; i < size; i++)
		m->at[i] = (struct model_address){.own = own,
						  .bind = IPSP_NO_BIND,
						  .end = IPSP_NEVER,
						  .since = ++m->arrivals};
}

static void model_set(struct model *m, uint32_t i, struct model_address to)
{
	to.since = m->at[i].since;
	if (model_list(&to) != model_list(&m->at[i]))
		to.since = ++m->arrivals;
	m->at[i] = to;
}

static int model_take(struct model *m, uint32_t i, uint32_t bind)
{
	struct model_address a = m->at[i];

	if (a.use != IPSP_USE_FREE)
		return IPSP_ERR_USED;
	a.use = IPSP_USE_USED;
	a.bind = bind;
	model_set(m, i, a);
	return 0;
}

static int model_drop(struct model *m, uint32_t i)
{
	struct model_address a = m->at[i];

	if (a.use == IPSP_USE_FREE)
		return IPSP_ERR_INVALID;
	a.use = IPSP_USE_FREE;
	a.bind = IPSP_NO_BIND;
	a.end = IPSP_NEVER;
	model_set(m, i, a);
	return 0;
}

static int model_keep(struct model *m, uint32_t i, enum ipsp_use use, uint32_t bind, ipsp_ms end)
{
	struct model_address a = m->at[i];

	if (use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE)
		return IPSP_ERR_INVALID;
	if (a.own != IPSP_OWN_OURS)
		return IPSP_ERR_NOT_OWNED;
	if (a.use == IPSP_USE_HOLD || a.use == IPSP_USE_QUARANTINE)
		return IPSP_ERR_INVALID;
	a.use = use;
	a.bind = bind;
	a.end = end;
	model_set(m, i, a);
	return 0;
}

static int model_set_own(struct model *m, uint32_t i, enum ipsp_own own)
{
	struct model_address a = m->at[i];

	if (a.own == own)
		return 0;
	if (a.use == IPSP_USE_HOLD || a.use == IPSP_USE_QUARANTINE)
		return IPSP_ERR_INVALID;
	a.own = own;
	a.flags = 0;
	model_set(m, i, a);
	return 0;
}

static int model_grant_kept(struct model *m, uint32_t i)
{
	struct model_address a = m->at[i];

	if (a.use != IPSP_USE_HOLD && a.use != IPSP_USE_QUARANTINE)
		return IPSP_ERR_INVALID;
	model_drop(m, i);
	return model_set_own(m, i, IPSP_OWN_TRANSIT);
}

static int model_accept_kept(struct model *m, uint32_t i, enum ipsp_use use, uint32_t bind,
			     ipsp_ms end)
{
	struct model_address a = m->at[i];

	if (a.own == IPSP_OWN_OURS || a.use != IPSP_USE_FREE ||
	    (use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE))
		return IPSP_ERR_INVALID;
	model_set_own(m, i, IPSP_OWN_OURS);
	return model_keep(m, i, use, bind, end);
}

static void model_set_flag(struct model *m, uint32_t i, uint8_t flag, bool on)
{
	struct model_address a = m->at[i];

	if (a.own != IPSP_OWN_OURS)
		return;
	a.flags = (uint8_t)(on ? a.flags | flag : a.flags & ~flag);
	model_set(m, i, a);
}

/* Of two addresses in one order. What ends at once comes in the order of indices: a < b. */
static bool before(const struct model_address *a, const struct model_address *b)
{
	if (model_list(a) == M_HOLD || model_list(a) == M_QUARANTINE)
		return a->end != b->end ? a->end < b->end : a < b;
	return model_list(a) == M_AWAY ? a->since > b->since : a->since < b->since;
}

static void model_away_last(struct model *m, uint32_t i)
{
	if (model_list(&m->at[i]) == M_AWAY)
		m->at[i].since = --m->demoted;
}

/* The first on @list that comes behind @prev (or the first of all). */
static uint32_t model_next(const struct model *m, enum model_list list, uint32_t prev)
{
	uint32_t best = IPSP_NO_INDEX;

	if (prev != IPSP_NO_INDEX && model_list(&m->at[prev]) != list)
		return IPSP_NO_INDEX;
	for (uint32_t i = 0; i < m->size; i++) {
		if (model_list(&m->at[i]) != list || i == prev)
			continue;
		if (prev != IPSP_NO_INDEX && before(&m->at[i], &m->at[prev]))
			continue;
		if (best == IPSP_NO_INDEX || before(&m->at[i], &m->at[best]))
			best = i;
	}
	return best;
}

static uint32_t model_next_move(const struct model *m, uint32_t from)
{
	for (uint32_t n = 0; n < m->size; n++) {
		uint32_t i = (from < m->size ? from + n : n) % m->size;
		const struct model_address *a = &m->at[i];

		if (a->own == IPSP_OWN_OURS && a->use != IPSP_USE_USED &&
		    (a->flags & (IPSP_ADDR_MOVE | IPSP_ADDR_DUP)) == IPSP_ADDR_MOVE)
			return i;
	}
	return IPSP_NO_INDEX;
}

static struct ipsp_pool_counts model_counts(const struct model *m)
{
	struct ipsp_pool_counts c = {0};

	for (uint32_t i = 0; i < m->size; i++) {
		const struct model_address *a = &m->at[i];
		bool used = a->use == IPSP_USE_USED;

		c.free += a->own == IPSP_OWN_OURS && a->use == IPSP_USE_FREE;
		c.used += a->own == IPSP_OWN_OURS && used;
		c.hold += a->use == IPSP_USE_HOLD;
		c.quarantine += a->use == IPSP_USE_QUARANTINE;
		c.peer_idle += a->own == IPSP_OWN_PEER && !used;
		c.peer_used += a->own == IPSP_OWN_PEER && used;
		c.transit_idle += a->own == IPSP_OWN_TRANSIT && !used;
		c.transit_used += a->own == IPSP_OWN_TRANSIT && used;
		c.move_idle += (a->flags & IPSP_ADDR_MOVE) && !used;
		c.dup += (a->flags & IPSP_ADDR_DUP) != 0;
	}
	return c;
}

/* ---------------------------------------------------------------- both, side by side */

struct pair {
	struct ipsp_pool_conf conf;
	struct ipsp_pool *pool;
	struct model model;
};

static struct pair *pair_new(uint32_t size, enum ipsp_own own)
{
	struct pair *p = (struct pair *)calloc(1, sizeof(*p));

	assert_non_null(p);
	p->conf.size = size;
	p->pool = ipsp_pool_new(&p->conf, own);
	assert_non_null(p->pool);
	model_init(&p->model, size, own);
	return p;
}

static void pair_free(struct pair *p)
{
	ipsp_pool_free(p->pool);
	free(p);
}

static void expect_address(const struct pair *p, uint32_t i)
{
	const struct model_address *a = &p->model.at[i];

	assert_int_equal(ipsp_pool_own(p->pool, i), a->own);
	assert_int_equal(ipsp_pool_use(p->pool, i), a->use);
	assert_int_equal(ipsp_pool_flags(p->pool, i), a->flags);
	assert_int_equal(ipsp_pool_bind(p->pool, i), a->bind);
	assert_true(ipsp_pool_end(p->pool, i) == a->end);
}

/* Where those end that are like a few of them. */
static void expect_alike(const struct pair *p)
{
	const struct model_address *at = p->model.at;

	for (int round = 0; round < 8; round++) {
		uint32_t start = chance(p->model.size);
		uint32_t limit = start + 1 + chance(p->model.size - start), own = start,
			 all = start;

		while (own < limit && at[own].own == at[start].own &&
		       at[own].flags == at[start].flags)
			own++;
		while (all < own && at[all].use == at[start].use)
			all++;
		assert_int_equal(ipsp_pool_alike(p->pool, start, limit, false), own);
		assert_int_equal(ipsp_pool_alike(p->pool, start, limit, true), all);
	}
}

/* In what order is left open, but each is met once. */
static void expect_last_kept(const struct pair *p, enum ipsp_use use, uint32_t count)
{
	uint32_t nth = chance(count + 1), i = ipsp_pool_last_kept(p->pool, use, nth);

	assert_int_equal(i == IPSP_NO_INDEX, nth == count);
	if (nth == count)
		return;
	assert_int_equal(p->model.at[i].use, use);
	if (nth > 0)
		assert_int_not_equal(i, ipsp_pool_last_kept(p->pool, use, nth - 1));
}

static void expect_equal(const struct pair *p)
{
	expect_alike(p);
	struct ipsp_pool_counts counts = model_counts(&p->model);
	uint32_t from = chance(p->model.size + 2), i;

	ipsp_pool_check(p->pool);
	assert_memory_equal(ipsp_pool_counts(p->pool), &counts, sizeof(counts));
	expect_address(p, chance(p->model.size));
	assert_int_equal(ipsp_pool_first_free(p->pool),
			 model_next(&p->model, M_FREE, IPSP_NO_INDEX));
	assert_int_equal(ipsp_pool_first_away(p->pool),
			 model_next(&p->model, M_AWAY, IPSP_NO_INDEX));
	assert_int_equal(ipsp_pool_first_hold(p->pool),
			 model_next(&p->model, M_HOLD, IPSP_NO_INDEX));
	assert_int_equal(ipsp_pool_first_quarantine(p->pool),
			 model_next(&p->model, M_QUARANTINE, IPSP_NO_INDEX));
	i = chance(p->model.size);
	assert_int_equal(ipsp_pool_next_free(p->pool, i), model_next(&p->model, M_FREE, i));
	assert_int_equal(ipsp_pool_next_away(p->pool, i), model_next(&p->model, M_AWAY, i));
	assert_int_equal(ipsp_pool_next_move(p->pool, from), model_next_move(&p->model, from));
	assert_int_equal(ipsp_pool_may_move(p->pool, i), model_next_move(&p->model, i) == i);
	expect_last_kept(p, IPSP_USE_HOLD, counts.hold);
	expect_last_kept(p, IPSP_USE_QUARANTINE, counts.quarantine);
}

/* An index to work on: any, or the one that a node would pick. */
static uint32_t pick(const struct pair *p)
{
	uint32_t i = IPSP_NO_INDEX;

	switch (chance(6)) {
	case 0:
		i = ipsp_pool_first_free(p->pool);
		break;
	case 1:
		i = ipsp_pool_first_away(p->pool);
		break;
	case 2:
		i = ipsp_pool_first_hold(p->pool);
		break;
	case 3:
		i = ipsp_pool_next_move(p->pool, chance(p->model.size));
		break;
	default:
		break;
	}
	return i == IPSP_NO_INDEX ? chance(p->model.size) : i;
}

static void step(struct pair *p)
{
	uint32_t i = pick(p), bind = chance(1000);
	ipsp_ms end = (ipsp_ms)chance(20) << chance(45);
	uint8_t flag = (uint8_t)(1u << chance(4));
	bool on = chance(2) != 0;

	switch (chance(12)) {
	case 10:
		assert_int_equal(ipsp_pool_grant_kept(p->pool, i), model_grant_kept(&p->model, i));
		break;
	case 11: {
		enum ipsp_use use = (enum ipsp_use)chance(4);

		assert_int_equal(ipsp_pool_accept_kept(p->pool, i, use, bind, end),
				 model_accept_kept(&p->model, i, use, bind, end));
		break;
	}
	case 0:
	case 1:
	case 2:
		assert_int_equal(ipsp_pool_take(p->pool, i, bind), model_take(&p->model, i, bind));
		break;
	case 3:
	case 4:
		assert_int_equal(ipsp_pool_drop(p->pool, i), model_drop(&p->model, i));
		break;
	case 5: {
		enum ipsp_use use = (enum ipsp_use)chance(4);

		assert_int_equal(ipsp_pool_keep(p->pool, i, use, bind, end),
				 model_keep(&p->model, i, use, bind, end));
		break;
	}
	case 6:
	case 7: {
		enum ipsp_own own = (enum ipsp_own)chance(3);

		assert_int_equal(ipsp_pool_set_own(p->pool, i, own),
				 model_set_own(&p->model, i, own));
		break;
	}
	case 8:
		ipsp_pool_set_flag(p->pool, i, flag, on);
		model_set_flag(&p->model, i, flag, on);
		break;
	default:
		ipsp_pool_away_last(p->pool, i);
		model_away_last(&p->model, i);
		if (chance(50) != 0)
			break;
		ipsp_pool_move_all(p->pool, on);
		for (uint32_t k = 0; k < p->model.size; k++)
			model_set_flag(&p->model, k, IPSP_ADDR_MOVE, on);
	}
	expect_address(p, i);
}

static void run(uint32_t size, enum ipsp_own own, int steps)
{
	struct pair *p = pair_new(size, own);

	expect_equal(p);
	for (int i = 0; i < steps; i++) {
		step(p);
		expect_equal(p);
	}
	for (uint32_t i = 0; i < size; i++)
		expect_address(p, i);
	pair_free(p);
}

static void test_model(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 63, 64, 65, 130};

	(void)state;
	seed_chance();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		run(sizes[i], IPSP_OWN_OURS, 3000);
		run(sizes[i], IPSP_OWN_PEER, 2000);
	}
	run(4096, IPSP_OWN_OURS, 150);
	run(4097, IPSP_OWN_PEER, 150); /* one more word: one more level of the bitmap */
}

/* ---------------------------------------------------------------- stories */

static void test_longest_free_first(void **state)
{
	struct ipsp_pool_conf conf = {.size = 4};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(ipsp_pool_first_free(pool), i);
		assert_int_equal(ipsp_pool_take(pool, i, i), 0);
	}
	assert_int_equal(ipsp_pool_first_free(pool), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_drop(pool, 2), 0);
	assert_int_equal(ipsp_pool_drop(pool, 0), 0);
	assert_int_equal(ipsp_pool_first_free(pool), 2);
	assert_int_equal(ipsp_pool_next_free(pool, 2), 0);
	assert_int_equal(ipsp_pool_next_free(pool, 0), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_next_free(pool, 1), IPSP_NO_INDEX); /* used: on no list */
	ipsp_pool_free(pool);
}

static void test_soonest_end_first(void **state)
{
	static const ipsp_ms ends[] = {500, UINT64_C(0x100000000), 100, 500};
	static const uint32_t order[] = {2, 0, 3, 1}; /* 0 and 3 end at once: lowest index first */
	struct ipsp_pool_conf conf = {.size = 4};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	for (uint32_t i = 4; i-- > 0;)
		assert_int_equal(ipsp_pool_keep(pool, i, IPSP_USE_QUARANTINE, 70 + i, ends[i]), 0);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t first = ipsp_pool_first_quarantine(pool);

		assert_int_equal(first, order[i]);
		assert_int_equal(ipsp_pool_bind(pool, first), 70 + first);
		assert_true(ipsp_pool_end(pool, first) == ends[first]);
		assert_int_equal(ipsp_pool_drop(pool, first), 0);
	}
	ipsp_pool_free(pool);
}

/* ---------------------------------------------------------------- many that are kept */

#define MANY 131072u /* as many inserts into a sorted list take minutes */

struct ending {
	ipsp_ms end;
	uint32_t index;
};

static int by_ending(const void *a, const void *b)
{
	const struct ending *x = (const struct ending *)a, *y = (const struct ending *)b;

	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Each half of the pool is kept in its way, in index order as a replay does it. */
static enum ipsp_use half_of(uint32_t index)
{
	return index % 2 == 0 ? IPSP_USE_HOLD : IPSP_USE_QUARANTINE;
}

static void keep_many(struct ipsp_pool *pool, struct ending *endings)
{
	for (uint32_t i = 0; i < MANY; i++) {
		ipsp_ms end = (ipsp_ms)chance(MANY) << chance(45); /* many of them more than once */

		endings[i] = (struct ending){end, i};
		assert_int_equal(ipsp_pool_keep(pool, i, half_of(i), i, end), 0);
	}
}

/* Sessions come back to every third: these leave from the middle. Returns how many stay. */
static uint32_t drop_some(struct ipsp_pool *pool, struct ending *endings)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		if (chance(3) == 0)
			assert_int_equal(ipsp_pool_drop(pool, i), 0);
		else
			endings[n++] = endings[i];
	}
	return n;
}

static void expire(struct ipsp_pool *pool, const struct ending *next)
{
	uint32_t first = half_of(next->index) == IPSP_USE_HOLD ? ipsp_pool_first_hold(pool)
							       : ipsp_pool_first_quarantine(pool);

	assert_int_equal(first, next->index);
	assert_int_equal(ipsp_pool_bind(pool, first), first);
	assert_true(ipsp_pool_end(pool, first) == next->end);
	assert_int_equal(ipsp_pool_drop(pool, first), 0);
}

static void test_many_end_in_order(void **state)
{
	struct ipsp_pool_conf conf = {.size = MANY};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);
	struct ending *endings = (struct ending *)calloc(MANY, sizeof(*endings));

	(void)state;
	assert_non_null(pool);
	assert_non_null(endings);
	seed_chance();
	keep_many(pool, endings);
	ipsp_pool_check(pool);
	assert_int_equal(ipsp_pool_counts(pool)->hold, MANY / 2);
	assert_int_equal(ipsp_pool_counts(pool)->quarantine, MANY / 2);
	uint32_t n = drop_some(pool, endings);
	ipsp_pool_check(pool);
	qsort(endings, n, sizeof(*endings), by_ending);
	for (uint32_t i = 0; i < n; i++) {
		expire(pool, &endings[i]);
		if (i % 16384 == 0)
			ipsp_pool_check(pool);
	}
	assert_int_equal(ipsp_pool_first_hold(pool), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_first_quarantine(pool), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_counts(pool)->free, MANY);
	ipsp_pool_check(pool);
	free(endings);
	ipsp_pool_free(pool);
}

/* ---------------------------------------------------------------- more stories */

static void test_duplicate_is_given_to_nobody(void **state)
{
	struct ipsp_pool_conf conf = {.size = 2};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	ipsp_pool_set_flag(pool, 0, IPSP_ADDR_DUP | IPSP_ADDR_MOVE, true);
	assert_int_equal(ipsp_pool_first_free(pool), 1);
	assert_int_equal(ipsp_pool_next_move(pool, 0), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_counts(pool)->free, 2);
	ipsp_pool_set_flag(pool, 0, IPSP_ADDR_DUP, false);
	assert_int_equal(ipsp_pool_next_free(pool, 1), 0);
	assert_int_equal(ipsp_pool_next_move(pool, 0), 0);
	ipsp_pool_check(pool);
	ipsp_pool_free(pool);
}

/* What is promised to the peer is not given here meanwhile, though it still moves. */
static void test_owed_is_not_given_here(void **state)
{
	struct ipsp_pool_conf conf = {.size = 2};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	ipsp_pool_set_flag(pool, 0, IPSP_ADDR_OWED | IPSP_ADDR_MOVE, true);
	assert_int_equal(ipsp_pool_first_free(pool), 1);
	assert_int_equal(ipsp_pool_next_free(pool, 1), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_next_move(pool, 0), 0);
	ipsp_pool_set_flag(pool, 0, IPSP_ADDR_OWED, false);
	assert_int_equal(ipsp_pool_next_free(pool, 1), 0);
	ipsp_pool_check(pool);
	ipsp_pool_free(pool);
}

/* A refused verb changes nothing, whatever it was given. */
static void test_bad_input(void **state)
{
	struct ipsp_pool_conf conf = {.size = 10};
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);
	struct ipsp_pool_counts before_all = *ipsp_pool_counts(pool);

	(void)state;
	static const uint32_t outside[] = {10, 11, UINT32_MAX - 1, UINT32_MAX};
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		assert_int_equal(ipsp_pool_take(pool, outside[i], 1), IPSP_ERR_INVALID);
		assert_int_equal(ipsp_pool_drop(pool, outside[i]), IPSP_ERR_INVALID);
		assert_int_equal(ipsp_pool_keep(pool, outside[i], IPSP_USE_HOLD, 1, 1),
				 IPSP_ERR_INVALID);
		assert_int_equal(ipsp_pool_set_own(pool, outside[i], IPSP_OWN_PEER),
				 IPSP_ERR_INVALID);
		assert_int_equal(ipsp_pool_grant_kept(pool, outside[i]), IPSP_ERR_INVALID);
		assert_int_equal(ipsp_pool_accept_kept(pool, outside[i], IPSP_USE_HOLD, 1, 1),
				 IPSP_ERR_INVALID);
		ipsp_pool_set_flag(pool, outside[i], IPSP_ADDR_MOVE, true);
		assert_int_equal(ipsp_pool_next_free(pool, outside[i]), IPSP_NO_INDEX);
		assert_int_equal(ipsp_pool_next_move(pool, outside[i]), IPSP_NO_INDEX);
	}
	assert_int_equal(ipsp_pool_keep(pool, 1, IPSP_USE_USED, 1, 1), IPSP_ERR_INVALID);
	assert_int_equal(ipsp_pool_keep(pool, 1, IPSP_USE_FREE, 1, 1), IPSP_ERR_INVALID);
	assert_memory_equal(ipsp_pool_counts(pool), &before_all, sizeof(before_all));
	ipsp_pool_check(pool);
	ipsp_pool_free(pool);
}

/* No walk: 16 Mi addresses are there at once, and both ends of the list are right. */
static void test_large(void **state)
{
	struct ipsp_pool_conf conf = {.size = 1u << 24};
	clock_t start = clock();
	struct ipsp_pool *pool = ipsp_pool_new(&conf, IPSP_OWN_OURS);

	(void)state;
	assert_non_null(pool);
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.2);
	assert_int_equal(ipsp_pool_take(pool, conf.size - 1, 7), 0);
	assert_int_equal(ipsp_pool_next_free(pool, conf.size - 2), IPSP_NO_INDEX);
	assert_int_equal(ipsp_pool_take(pool, 0, 8), 0);
	assert_int_equal(ipsp_pool_first_free(pool), 1);
	assert_int_equal(ipsp_pool_drop(pool, 0), 0);
	assert_int_equal(ipsp_pool_next_free(pool, conf.size - 2), 0);
	ipsp_pool_set_flag(pool, conf.size - 1, IPSP_ADDR_MOVE, true);
	assert_int_equal(ipsp_pool_next_move(pool, 5), IPSP_NO_INDEX); /* it is used */
	assert_int_equal(ipsp_pool_drop(pool, conf.size - 1), 0);
	assert_int_equal(ipsp_pool_next_move(pool, 5), conf.size - 1);
	ipsp_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_longest_free_first),
		cmocka_unit_test(test_soonest_end_first),
		cmocka_unit_test(test_many_end_in_order),
		cmocka_unit_test(test_duplicate_is_given_to_nobody),
		cmocka_unit_test(test_owed_is_not_given_here),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
