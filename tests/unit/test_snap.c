/* A snapshot is taken in slices that end, however much or little they find to write. */
#include "core/node.h"
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

static unsigned take(const struct ipsp_node *node, struct ipsp_buf *recs)
{
	uint64_t cursor = 0;
	unsigned slices = 1;
	size_t before = recs->len;

	while (ipsp_node_snapshot(node, &cursor, SLICE_MAX, recs)) {
		slices++;
		/* a run of addresses and what is bound to them goes into a slice as a whole */
		assert_true(recs->len - before < SLICE_MAX + 4096u * 64u);
		before = recs->len;
	}
	assert_true(cursor != IPSP_SNAPSHOT_VOID);
	return slices;
}

static void check(uint32_t sessions, unsigned slices_min)
{
	struct ipsp_node *node = node_of(SIZE), *again = node_of(SIZE);
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
	ipsp_buf_fini(&recs);
	ipsp_actions_fini(&act);
	ipsp_node_free(node);
	ipsp_node_free(again);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_write),
		cmocka_unit_test(test_much_to_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
