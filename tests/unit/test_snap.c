/* A snapshot is taken in slices that end, however much or little they find to write. */
#include "core/node_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE	  (1u << 18)
#define SLICE_MAX 65536u

static struct ipsp_node *node_of(uint32_t size)
{
	struct ipsp_context_conf conf;
	struct ipsp_node_init init = {.conf = &conf, .version = "test", .now = 1};

	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	assert_non_null(conf.pools);
	conf.n_pools = 1;
	snprintf(conf.pools[0].name, sizeof(conf.pools[0].name), "pool-a");
	assert_int_equal(ipsp_addr_parse("10.0.0.0", &conf.pools[0].base), 0);
	conf.pools[0].size = size;
	conf.pools[0].plen = 32;
	struct ipsp_node *node = ipsp_node_new(&init);
	assert_non_null(node);
	ipsp_conf_fini(&conf);
	return node;
}

static void step(struct ipsp_node *node, struct ipsp_actions *act, uint32_t session)
{
	char subscriber[16];
	int n = snprintf(subscriber, sizeof(subscriber), "u%u", session);
	const struct ipsp_event ev = {.type = IPSP_EV_REQUEST,
				      .id = session,
				      .ident = {subscriber, "", (uint8_t)n, 0, 0}};

	ipsp_node_step(node, &ev, 1, act);
}

/* The records in @recs, one after the other, into @node. */
static void replay(struct ipsp_node *node, const struct ipsp_buf *recs)
{
	struct ipsp_rd rd = ipsp_rd_of(recs->data, recs->len);

	while (ipsp_rd_left(&rd) > 0) {
		size_t n = ipsp_rd_u16(&rd);
		const uint8_t *rec = ipsp_rd_take(&rd, n);
		assert_non_null(rec);
		assert_int_equal(ipsp_node_replay(node, rec, n), 0);
	}
}

/* The first @n bytes of what was whole: never more is read. */
static bool replay_cut(const uint8_t *recs, size_t n)
{
	struct ipsp_node *node = node_of(SIZE);
	uint8_t *copy = malloc(n);

	assert_non_null(copy);
	memcpy(copy, recs, n);
	int err = ipsp_node_replay_all(node, copy, n);
	free(copy);
	ipsp_node_free(node);
	return err == 0 || err == IPSP_ERR_FORMAT;
}

static unsigned take(const struct ipsp_node *node, struct ipsp_buf *recs)
{
	uint64_t cursor = 0;
	unsigned slices = 1;
	size_t before = recs->len;

	while (ipsp_node_snapshot(node, &cursor, SLICE_MAX, recs)) {
		slices++;
		assert_true(recs->len - before < SLICE_MAX + 600); /* the last record */
		before = recs->len;
	}
	assert_true(cursor != IPSP_SNAPSHOT_VOID);
	return slices;
}

/* The same sessions are found by their names, each with its address. */
static void same_answers(struct ipsp_node *node, struct ipsp_node *again, uint32_t sessions)
{
	struct ipsp_actions a, b;

	ipsp_actions_init(&a);
	ipsp_actions_init(&b);
	for (uint32_t i = 0; i < sessions; i += 1 + i / 8) {
		ipsp_actions_clear(&a);
		ipsp_actions_clear(&b);
		step(node, &a, i);
		step(again, &b, i);
		assert_int_equal(a.n_outs, 1);
		assert_int_equal(b.n_outs, 1);
		assert_int_equal(a.outs[0].type, IPSP_OUT_ANSWER);
		assert_int_equal(b.outs[0].type, IPSP_OUT_ANSWER);
		assert_int_equal(ipsp_addr_cmp(a.outs[0].addr, b.outs[0].addr), 0);
	}
	ipsp_actions_fini(&a);
	ipsp_actions_fini(&b);
}

static void check(uint32_t sessions, unsigned slices_min)
{
	struct ipsp_node *node = node_of(SIZE), *again = node_of(SIZE), *at_once = node_of(SIZE);
	const struct ipsp_start start = {.now = 1};
	struct ipsp_actions act;
	struct ipsp_buf recs = {0};

	ipsp_actions_init(&act);
	ipsp_node_start(node, &start, &act);
	for (uint32_t i = 0; i < sessions; i++)
		step(node, &act, i);
	assert_true(take(node, &recs) >= slices_min);
	replay(again, &recs);
	assert_true(ipsp_node_digest(again) == ipsp_node_digest(node));
	assert_int_equal(ipsp_node_replay_all(at_once, recs.data, recs.len), 0);
	assert_true(ipsp_node_digest(at_once) == ipsp_node_digest(node));
	ipsp_node_check(at_once);
	ipsp_actions_clear(&act);
	ipsp_node_start(at_once, &start, &act);
	ipsp_node_check(at_once);
	same_answers(node, at_once, sessions);
	/* cut short: refused, or less than all */
	for (size_t n = recs.len - 1; n > recs.len - 40 && sessions < 10; n--)
		assert_true(replay_cut(recs.data, n));
	ipsp_buf_fini(&recs);
	ipsp_actions_fini(&act);
	ipsp_node_free(node);
	ipsp_node_free(again);
	ipsp_node_free(at_once);
}

static void test_nothing_to_write(void **state)
{
	(void)state;
	check(1, SIZE / SLICE_MAX); /* a slice that looked at all of it would be one */
}

static void test_much_to_write(void **state)
{
	(void)state;
	check(SIZE / 2, SIZE / 2 * 15 / SLICE_MAX / 2);
}

/* Every other address is the peer's: each run has one address, and slices are as full as others. */
static void test_in_pieces(void **state)
{
	struct ipsp_node *node = node_of(SIZE), *again = node_of(SIZE);
	const struct ipsp_start start = {.now = 1};
	struct ipsp_actions act;
	struct ipsp_buf recs = {0};

	(void)state;
	ipsp_actions_init(&act);
	ipsp_node_start(node, &start, &act);
	for (uint32_t i = 0; i < SIZE; i += 2)
		ipsp_pool_set_own(node->pools[0], i, IPSP_OWN_PEER);
	for (uint32_t i = 0; i < SIZE / 4; i++)
		step(node, &act, i);
	assert_true(take(node, &recs) <= recs.len / SLICE_MAX + SIZE / SLICE_MAX + 2);
	assert_int_equal(ipsp_node_replay_all(again, recs.data, recs.len), 0);
	ipsp_node_check(again);
	assert_true(ipsp_node_digest(again) == ipsp_node_digest(node));
	ipsp_buf_fini(&recs);
	ipsp_actions_fini(&act);
	ipsp_node_free(node);
	ipsp_node_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_write),
		cmocka_unit_test(test_much_to_write),
		cmocka_unit_test(test_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
