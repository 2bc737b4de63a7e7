/* A row of events is as many steps: whatever stands in it, ipsp_node_steps does what ipsp_node_step
 * does one by one. */
#include "core/node_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS  2000
#define LONG  12 /* events of a row, at most */
#define NAMES 24 /* sessions, on fewer addresses */
#define SIZE  16

struct side {
	struct ipsp_node *node;
	struct ipsp_actions act;
};

static uint64_t state = 1;

static uint32_t below(uint32_t n)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % n;
}

static void start(struct side *s)
{
	struct ipsp_context_conf conf;
	const struct ipsp_node_init init = {.conf = &conf, .version = "test", .now = 1};
	const struct ipsp_start begin = {.now = 1, .same_boot = true};

	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	assert_non_null(conf.pools);
	conf.n_pools = 1;
	snprintf(conf.pools[0].name, sizeof(conf.pools[0].name), "pool-a");
	assert_int_equal(ipsp_addr_parse("10.0.0.0", &conf.pools[0].base), 0);
	conf.pools[0].size = SIZE;
	conf.pools[0].plen = 32;
	conf.pools[0].hold_s = 60;
	s->node = ipsp_node_new(&init);
	assert_non_null(s->node);
	ipsp_conf_fini(&conf);
	ipsp_actions_init(&s->act);
	ipsp_node_start(s->node, &begin, &s->act);
	ipsp_actions_clear(&s->act);
}

static void end(struct side *s)
{
	ipsp_node_free(s->node);
	ipsp_actions_fini(&s->act);
}

static struct ipsp_addr some_addr(void)
{
	return ipsp_addr_v4((10U << 24) + below(SIZE + 1)); /* the last one is in no pool */
}

/* Requests mostly, and between them what may change whether they are served. */
static struct ipsp_event some_event(char texts[NAMES][16], uint64_t id)
{
	struct ipsp_event ev = {.token = 1 + below(2), .id = id};
	uint32_t kind = below(20);

	if (kind < 11) {
		const char *name = texts[below(NAMES)];
		ev.type = IPSP_EV_REQUEST;
		ev.ident = (struct ipsp_ident){name, "s", (uint8_t)strlen(name), 1, 0};
		if (kind == 0)
			ev.addr = some_addr();
		if (kind == 1)
			ev.pool = below(2) ? "pool-a" : "nowhere";
	} else if (kind < 16) {
		ev.type = IPSP_EV_RELEASE;
		ev.addr = some_addr();
	} else if (kind < 18) {
		ev.type = IPSP_EV_DISK;
		ev.full = below(2);
	} else if (kind == 18) {
		ev.type = IPSP_EV_COMMAND;
		ev.command = below(2) ? IPSP_CMD_DRAIN : IPSP_CMD_UNDRAIN;
	} else if (below(2)) {
		ev.type = IPSP_EV_DETACH;
	} else {
		ev.type = IPSP_EV_ATTACH;
		ev.ha_name = ev.token == 1 ? "ha-1" : "ha-2";
	}
	return ev;
}

static void expect_alike(const struct side *a, const struct side *b)
{
	assert_int_equal(ipsp_node_digest(a->node), ipsp_node_digest(b->node));
	assert_int_equal(a->act.recs.len, b->act.recs.len);
	if (a->act.recs.len > 0)
		assert_memory_equal(a->act.recs.data, b->act.recs.data, a->act.recs.len);
	assert_int_equal(a->act.rec_seq, b->act.rec_seq);
	assert_int_equal(a->act.valid_until, b->act.valid_until);
	assert_int_equal(a->act.n_outs, b->act.n_outs);
	for (size_t i = 0; i < a->act.n_outs; i++) {
		const struct ipsp_out *x = &a->act.outs[i], *y = &b->act.outs[i];
		assert_int_equal(x->type, y->type);
		assert_int_equal(x->err, y->err);
		assert_int_equal(x->id, y->id);
		assert_true(ipsp_addr_eq(x->addr, y->addr));
		assert_int_equal(x->fresh, y->fresh);
	}
}

static void test_alike(void **unused)
{
	struct side row, single;
	char texts[NAMES][16];
	uint64_t id = 0;
	ipsp_ms now = 1;

	(void)unused;
	start(&row);
	start(&single);
	for (int i = 0; i < NAMES; i++)
		snprintf(texts[i], sizeof(texts[i]), "mn-%d", i);
	for (int i = 0; i < ROWS; i++) {
		struct ipsp_event evs[LONG], last = {.type = IPSP_EV_END};
		uint32_t n = below(LONG + 1);
		for (uint32_t k = 0; k < n; k++)
			evs[k] = some_event(texts, ++id);
		for (uint32_t k = 0; k < n; k++)
			ipsp_node_step(single.node, &evs[k], now, &single.act);
		if (n > 0)
			ipsp_node_steps(row.node, evs, n, now, &row.act);
		ipsp_node_step(single.node, &last, now, &single.act);
		ipsp_node_step(row.node, &last, now, &row.act);
		expect_alike(&row, &single);
		ipsp_node_check(row.node);
		ipsp_actions_clear(&row.act);
		ipsp_actions_clear(&single.act);
		now += below(2000);
	}
	const struct ipsp_stats *s = ipsp_node_stats(row.node);
	assert_true(s->requests_local > 100 && s->requests_refused > 100 &&
		    s->requests_confirmed > 100);
	end(&row);
	end(&single);
}

/* What closes the gate in the middle of a row closes it for the rest of it. */
static void test_gate(void **unused)
{
	struct side s;
	struct ipsp_event evs[3] = {{.type = IPSP_EV_REQUEST},
				    {.type = IPSP_EV_DISK, .full = true},
				    {.type = IPSP_EV_REQUEST}};

	(void)unused;
	start(&s);
	evs[0].ident = (struct ipsp_ident){"mn-1", "", 4, 0, 0};
	evs[2].ident = (struct ipsp_ident){"mn-2", "", 4, 0, 0};
	ipsp_node_steps(s.node, evs, 3, 1, &s.act);
	int answers[4] = {1, 1, 1, 1}, n = 0; /* between them it is said that the disk is full */
	for (size_t i = 0; i < s.act.n_outs && n < 4; i++)
		if (s.act.outs[i].type == IPSP_OUT_ANSWER)
			answers[n++] = s.act.outs[i].err;
	assert_int_equal(n, 2);
	assert_int_equal(answers[0], 0);
	assert_int_equal(answers[1], IPSP_ERR_DISK_FULL);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
