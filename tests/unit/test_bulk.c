/*
 * Bulk work: a million addresses that move, a quarter of a million sessions to compare after a
 * takeover. Neither holds a turn up: hellos go out, sessions are answered in between, and no turn
 * takes 100 ms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "liar.h"
#include <cmocka.h>

#define MILLION	 (1U << 20)
#define SESSIONS (1U << 18)
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define TURN_US 100000
#else /* with the sanitizers' checks, or as slow code, it takes some ten times as long */
#define TURN_US 1000000
#endif

static const struct ipsp_event tick = {.type = IPSP_EV_TICK};

static void request(struct liar *l, uint32_t number)
{
	char name[16];

	snprintf(name, sizeof(name), "u%u", number);
	liar_take(l, name, IPSP_NO_INDEX);
	assert_int_equal(l->answered, 0);
}

/* A millisecond: the node's turn, if one is due; the liar acknowledges, and says its hello each
 * second. */
static void a_millisecond(struct liar *l)
{
	l->now++;
	if (ipsp_node_due(l->node) <= l->now)
		liar_turn(l, &tick);
	l->now += l->turn_us / 1000;
	l->turn_us = 0;
	liar_say_ack(l, l->applied);
	if (l->now - l->hello_at >= 1000) {
		l->hello_at = l->now;
		liar_say_hello(l);
	}
}

/* Scenario 18: an exchange of roles. All moves, a quarter of it held addresses with their
 * subscribers. */
static void a_million_addresses_move(void **state)
{
	struct liar *l = liar_new_of(true, IPSP_MODE_ACTIVE, MILLION);
	const struct ipsp_pool_counts *c;
	uint64_t hello_at, worst_hello = 0;
	size_t hellos, worst_bytes = 0;
	struct ipsp_msg msg = {.type = IPSP_MSG_TAKEOVER};

	(void)state;
	l->node->conf.pools[0].hold_s =
		3600; /* (the same on both sides, as far as the liar says) */
	liar_meet(l);
	for (uint32_t i = 0; i < SESSIONS; i++)
		request(l, i);
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .token = 2, .id = 1};

		ev.addr = ipsp_addr_v4(0x0a010001 + i);
		liar_turn(l, &ev);
		if (i == SESSIONS - 2)
			request(l,
				MILLION); /* one stays: what goes is not the end of the sessions */
	}
	liar_pass(l, 1000);
	c = ipsp_pool_counts(l->node->pools[0]);
	assert_int_equal(c->hold, SESSIONS);

	l->longest_us = 0;
	msg.u.request.epoch = l->heard.epoch;
	liar_say(l, &msg);
	for (unsigned ms = 0; l->heard.flags & IPSP_HF_PRIMARY; ms++) {
		assert_true(ms < 500);
		a_millisecond(l);
	}
	l->primary = true;
	liar_say_hello(l);
	hellos = l->n_hellos;
	hello_at = l->now;
	for (unsigned ms = 0; c->free + c->hold + c->transit_idle > 0 || ms < 4000; ms++) {
		assert_true(ms < 30000);
		a_millisecond(l);
		if (l->act.recs.len > worst_bytes)
			worst_bytes = l->act.recs.len;
		if (l->n_hellos > hellos) {
			if (l->now - hello_at > worst_hello)
				worst_hello = l->now - hello_at;
			hello_at = l->now;
			hellos = l->n_hellos;
		}
		if (ms % 10 == 0) { /* what a session has is confirmed in the same turn */
			char name[16];

			snprintf(name, sizeof(name), "u%u", MILLION);
			liar_take(l, name, IPSP_NO_INDEX);
			assert_int_equal(l->answered, 0);
		}
	}
	assert_int_equal(c->used, 1);
	assert_in_range(worst_hello, 1, 1000 + TURN_US / 1000);
	assert_in_range(worst_bytes, 1, 5 * 5 * IPSP_ITEM_MAX); /* the five steps of liar_turn */
	print_message("a million addresses: the longest turn took %llu us\n",
		      (unsigned long long)l->longest_us);
	assert_in_range(l->longest_us, 0, TURN_US);
	liar_free(l);
}

/* Kept ones go from the end of their heap on; what may not move stays, wherever it is in it. */
static void what_may_not_move_stays(void **state)
{
	(void)state;
	for (uint32_t which = 0; which < 8; which++) {
		struct liar *l = liar_new(true, IPSP_MODE_ACTIVE);
		struct ipsp_msg msg = {.type = IPSP_MSG_TAKEOVER};
		struct ipsp_pool *pool = l->node->pools[0];

		l->node->conf.pools[0].hold_s = 3600;
		liar_meet(l);
		for (uint32_t i = 0; i < 9; i++)
			request(l, i);
		for (uint32_t i = 0; i < 8; i++) {
			struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .token = 2, .id = 1};

			ev.addr = ipsp_addr_v4(0x0a010001 + i * 5 % 8);
			liar_pass(l, 1000);
			liar_turn(l, &ev);
		}
		uint32_t stays = ipsp_pool_last_kept(pool, IPSP_USE_HOLD, which);
		ipsp_pool_set_flag(pool, stays, IPSP_ADDR_DUP, true);
		msg.u.request.epoch = l->heard.epoch;
		liar_say(l, &msg);
		l->primary = true;
		liar_pass(l, 5000);
		assert_int_equal(ipsp_pool_use(pool, stays), IPSP_USE_HOLD);
		assert_int_equal(ipsp_pool_counts(pool)->hold, 1);
		assert_int_equal(ipsp_pool_counts(pool)->used, 1);
		assert_int_equal(ipsp_pool_counts(pool)->peer_idle, SIZE - 2);
		liar_free(l);
	}
}

/* Scenario 36: a quarter of a million sessions on addresses that the peer owns are reported to it,
 * and given by it. */
static void many_sessions_are_compared(void **state)
{
	struct liar *l = liar_new_of(false, IPSP_MODE_ACTIVE, SESSIONS);
	const struct ipsp_pool_counts *c;
	struct ipsp_item_writer w;
	uint64_t began, report_us;

	(void)state;
	liar_meet(l);
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 0, 1);
	liar_say_item(l, &w, 0);
	request(l, 0);
	l->mute = true;
	liar_pass(l, 35000);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "peer-down");
	for (uint32_t i = 1; i < SESSIONS; i++)
		request(l, i);
	c = ipsp_pool_counts(l->node->pools[0]);
	assert_int_equal(c->peer_used, SESSIONS - 1);

	l->mute = false;
	l->longest_us = 0;
	began = l->now;
	liar_pass(l, 2000);
	report_us = l->longest_us;
	while (!(l->heard.flags & IPSP_HF_REPORTED)) {
		assert_true(l->now - began < 60000);
		a_millisecond(l);
		assert_int_equal(liar_status(l).peer_state, IPSP_PEER_UP);
		if (l->now % 10 == 0) { /* service is not paused for it */
			liar_take(l, "u7", IPSP_NO_INDEX);
			assert_int_equal(l->answered, 0);
		}
	}
	for (uint32_t i = 1; i < SESSIONS; i += 4096) { /* the liar has none of them in use */
		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
		ipsp_item_add_run(&w, i, i + 4096 > SESSIONS ? SESSIONS - i : 4096);
		liar_say_item(l, &w, 0);
	}
	assert_int_equal(c->used, SESSIONS);
	liar_pass(l, 5000);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
	print_message("%u sessions: compared in %llu ms, the longest turn took %llu us, the report "
		      "%llu us\n",
		      SESSIONS, (unsigned long long)(l->now - began),
		      (unsigned long long)l->longest_us, (unsigned long long)report_us);
	assert_in_range(l->longest_us, 0, TURN_US);
	liar_free(l);
}

#define HOLD_POOLS 4
#define HOLD_EACH  3000U
#define A_TURN	   4096U

static uint32_t held(const struct liar *l)
{
	uint32_t n = 0;

	for (uint16_t p = 0; p < HOLD_POOLS; p++)
		n += ipsp_pool_counts(l->node->pools[p])->hold;
	return n;
}

/* Addresses of several pools are held until the same moment: a turn ends no more than its share of
 * all of them, and the next one goes on at once. */
static void many_holds_end_at_once(void **state)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};
	struct liar *l = liar_new_of(true, IPSP_MODE_CHECK, MILLION);
	struct ipsp_context_conf conf;
	struct ipsp_event ev = {.type = IPSP_EV_COMMAND, .command = IPSP_CMD_DISABLE};

	(void)state;
	liar_turn(l, &ev); /* pools are frozen while IPSP is enabled */
	ev = (struct ipsp_event){.type = IPSP_EV_CONF, .conf = &conf};
	assert_int_equal(ipsp_conf_copy(&conf, &l->conf), 0);
	free(conf.pools);
	conf.n_pools = HOLD_POOLS;
	conf.pools = calloc(HOLD_POOLS, sizeof(*conf.pools));
	assert_non_null(conf.pools);
	for (uint32_t p = 0; p < HOLD_POOLS; p++) {
		conf.pools[p] = l->pool;
		conf.pools[p].base = ipsp_addr_v4(0x0b000000 + (p << 16));
		conf.pools[p].size = HOLD_EACH;
		conf.pools[p].hold_s = 60;
		snprintf(conf.pools[p].name, sizeof(conf.pools[p].name), "pool-%u", p);
	}
	liar_turn(l, &ev);
	ipsp_conf_fini(&conf);
	liar_pass(l, 8000);
	for (uint32_t i = 0; i < HOLD_POOLS * HOLD_EACH; i++)
		request(l, i);
	for (uint32_t i = 0; i < HOLD_POOLS * HOLD_EACH; i++) {
		ev = (struct ipsp_event){.type = IPSP_EV_RELEASE, .token = HA};
		ev.addr = ipsp_addr_v4(0x0b000000 + (i / HOLD_EACH << 16) + i % HOLD_EACH);
		liar_turn(l, &ev);
	}
	assert_int_equal(held(l), HOLD_POOLS * HOLD_EACH);
	l->now += 60000;
	for (uint32_t before = held(l); before > 0; before = held(l)) {
		assert_true(ipsp_node_due(l->node) <= l->now);
		ipsp_actions_clear(&l->act);
		ipsp_node_step(l->node, &tick, l->now, &l->act);
		ipsp_node_step(l->node, &end, l->now, &l->act);
		assert_in_range(before - held(l), before < A_TURN ? before : A_TURN, A_TURN);
	}
	ipsp_node_check(l->node);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_addresses_move),
		cmocka_unit_test(what_may_not_move_stays),
		cmocka_unit_test(many_sessions_are_compared),
		cmocka_unit_test(many_holds_end_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
