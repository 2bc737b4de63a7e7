/*
 * stories_rules - what the chapter asks of each side, rule by rule, where no other story shows it.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void take_of_pool(struct world *w, unsigned ha, uint32_t mn, int pool, int group)
{
	assert_true(ha_request(&w->has[ha], HA_NEW, mn, 1, NO_ADDR, pool, group));
	story_run(w, 100);
}

/* ---------------------------------------------------------------- the primary */

static struct ipsp_pool_conf large;

static void blocks_of_four(struct world_conf *conf)
{
	large = conf->pools[0];
	large.size = 64;
	conf->pools = &large;
	conf->block_size = 4;
}

/* P2: a block: three more sessions are served without asking, and the next block comes before the
 * fifth needs it. */
static void test_a_block(void **state)
{
	struct world *w = story_begin_with(blocks_of_four);

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA2, mn, NULL);
		assert_int_equal(w->has[HA2].last_err, 0);
	}
	assert_int_equal(story_stats(w, S)->requests_asked, 1);
	story_expect_pool(w, S, 4, 4, 56);
	story_expect_pool(w, P, 0, 56, 8);
	assert_int_equal(story_stats(w, S)->blocks_asked, 1);
	story_take(w, HA2, "mn-5", NULL);
	assert_int_equal(story_stats(w, S)->requests_asked, 1);
	story_expect_pool(w, S, 5, 3, 56);
	story_expect_rest(w, 1000);
	story_end(w);
}

static void by_demand(struct world_conf *conf)
{
	blocks_of_four(conf);
	conf->block_size = 0;
}

static void take_many(struct world *w, unsigned ha, uint32_t from, uint32_t to)
{
	for (uint32_t mn = from; mn <= to; mn++) {
		assert_true(ha_request(&w->has[ha], HA_NEW, mn, 1, NO_ADDR, -1, -1));
		story_run(w, 50);
		assert_int_equal(w->has[ha].last_err, 0);
	}
}

/* P2, sized by demand: only the first session waits for the peer, and what is kept in hand is small
 * where the demand is. */
static void test_asked_ahead(void **state)
{
	struct world *w = story_begin_with(by_demand);
	struct ipsp_pool_status st;

	(void)state;
	take_many(w, HA2, 1, 30);
	assert_int_equal(story_stats(w, S)->requests_asked, 1);
	assert_true(story_stats(w, S)->blocks_received >= 5);
	ipsp_node_pool_status(w->hosts[S].node, 0, &st);
	assert_in_range(st.free, 1, 4);
	story_expect_rest(w, 1000);
	story_end(w);
}

/* What S has in hand and doesn't need comes back before a session of P's has to wait for it; what S
 * needs stays. Nothing goes to and fro. */
static void test_unused_come_back(void **state)
{
	struct world *w = story_begin_with(by_demand);
	uint64_t moved;

	(void)state;
	for (uint32_t mn = 1; mn <= 20; mn++)
		assert_true(ha_request(&w->has[HA2], HA_NEW, mn, 1, NO_ADDR, -1, -1));
	story_run(w, 1000);
	for (uint32_t mn = 1; mn <= 19; mn++)
		assert_true(ha_end(&w->has[HA2], mn, 1));
	story_run(w, 11000); /* no demand there any more: one session, and a pool's worth unused */
	take_many(w, HA1, 31, 31 + 62);
	assert_int_equal(story_stats(w, P)->requests_asked, 0);
	assert_true(story_stats(w, P)->blocks_back >= 1);
	story_expect_pool(w, P, 63, 0, 1);
	story_expect_pool(w, S, 1, 0, 63);
	story_leave(w, HA1, "mn-31");
	take_many(w, HA2, 32 + 63, 32 + 63); /* the last one: S gets it, and nobody asks for it */
	moved = story_stats(w, P)->addresses_sent + story_stats(w, S)->addresses_sent;
	story_run(w, 20000);
	assert_int_equal(story_stats(w, P)->addresses_sent + story_stats(w, S)->addresses_sent,
			 moved);
	story_expect_rest(w, 1000);
	story_end(w);
}

/* Near exhaustion one by one: nothing is asked for ahead that the other side may need. */
static void test_one_by_one_at_the_end(void **state)
{
	struct world *w = story_begin_with(by_demand);
	uint64_t moved;

	(void)state;
	take_many(w, HA1, 1, 61); /* P has three, which is less than it would keep */
	take_many(w, HA2, 71, 71);
	story_run(w, 5000);
	story_expect_pool(w, S, 1, 0, 63);
	story_expect_pool(w, P, 61, 2, 1);
	take_many(w, HA2, 72, 73);
	story_expect_pool(w, S, 3, 0, 61);
	moved = story_stats(w, P)->addresses_sent;
	assert_int_equal(moved, 3);
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA2, "mn-80", NULL);
	story_take(w, HA1, "mn-81", NULL);
	story_expect(w, "HA2 refused mn-80: exhausted\nHA1 refused mn-81: exhausted\n");
	story_expect_rest(w, 5000);
	story_end(w);
}

static void holds(struct world_conf *conf)
{
	conf->pools[0].hold_s = 60;
}

/* P4: what was handed over can't be assigned here, and nothing is known about it any more. */
static void test_given_is_forgotten(void **state)
{
	struct world *w = story_begin_with(holds);
	struct ipsp_address_view view;
	struct ipsp_session_view session;
	uint32_t cursor = 0;

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA1, "mn-7", "10.1.0.7");
	story_take(w, HA2, "mn-7", "10.1.0.7");
	ipsp_node_address(w->hosts[P].node, 0, 6, &view);
	assert_int_equal(view.own, IPSP_OWN_PEER);
	assert_int_equal(view.use, IPSP_USE_FREE); /* no hold either */
	assert_int_equal(view.bind.kind, IPSP_BIND_NONE);
	assert_true(ipsp_node_session(w->hosts[P].node, &cursor, &session));
	assert_false(ipsp_node_session(w->hosts[P].node, &cursor, &session));
	story_forget(w);
	story_take(w, HA1, "mn-8", "10.1.0.7");
	story_expect(w, "HA1 refused mn-8: in-use\n");
	story_cut(w, true, true);
	story_run(w, 12000); /* nobody to ask: it isn't taken for its own then */
	story_take(w, HA1, "mn-9", "10.1.0.7");
	story_expect(w, "HA1 refused mn-9: no-primary\n");
	story_end(w);
}

/* B13: the primary asks the secondary, and the session there is released before. */
static void test_primary_asks(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_forget(w);
	story_take(w, HA1, "mn-2", "10.1.0.2");
	story_expect(w, "HA2 release mn-2: handoff\n"
			"S grant 10.1.0.2\n"
			"P accept 10.1.0.2\n"
			"HA1 take 10.1.0.2: mn-2\n"
			"S busied out 10.1.0.2\n");
	story_take(w, HA1, "mn-3", "10.1.0.1"); /* another subscriber's */
	story_expect(w, "HA1 refused mn-3: in-use\n");
	story_end(w);
}

/* ---------------------------------------------------------------- the secondary */

static void only_compares(struct world *w, unsigned side)
{
	w->hosts[side].conf.psp.mode = IPSP_MODE_CHECK;
}

/* S1, B6: in contact, and nothing was assigned yet. The first assignment unlocks it. */
static void test_locked_until_the_first_assignment(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	only_compares(w, P); /* which holds the first assignment back */
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	story_forget(w);
	story_take(w, HA2, "mn-2", NULL);
	story_expect(w, "HA2 refused mn-2: not-approved\n");
	story_expect_side(w, S, "secondary", "locked", false);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_FIRST_GRANT);
	story_expect_pool(w, S, 0, 0, 8);
	story_command(w, P, IPSP_CMD_MODE, false, 0);
	story_expect_rest(w, 5000);
	story_expect_pool(w, S, 0, 0, 8); /* an empty one unlocks too: all else is busied out */
	story_forget(w);
	story_take(w, HA2, "mn-2", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

/* ... but an exchange of roles locks nobody. */
static void test_exchange_locks_nobody(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA1, "mn-2", NULL);
	host_command(&w->hosts[S], IPSP_CMD_TAKEOVER, false, IPSP_MODE_ACTIVE);
	for (unsigned i = 0; i < 50; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", 3 + i % 2);
		story_run(w, 1);
		assert_true(story_status(w, P).serving);
		story_take(w, HA1, mn, NULL);
		assert_int_equal(w->has[HA1].last_err, 0);
		story_leave(w, HA1, mn);
	}
	story_expect_side(w, P, "secondary", "active", true);
	story_end(w);
}

/* S4: it says that it goes. What is unused is the primary's at once, what is used stays. */
static void test_secondary_stops(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-1");
	story_expect_pool(w, P, 0, 6, 2);
	host_command(&w->hosts[S], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 2000);
	assert_null(w->hosts[S].node);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_pool(w, P, 0, 7, 1);
	story_forget(w);
	story_take(w, HA1, "mn-3", "10.1.0.1");
	story_take(w, HA1, "mn-4", "10.1.0.2");
	story_expect(w, "HA1 take 10.1.0.1: mn-3\n"
			"HA1 refused mn-4: no-primary\n");
	story_start(w, S);
	story_expect_rest(w, 10000);
	story_expect_side(w, S, "secondary", "active", true);
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

/* S6: that a session was given an address is kept like the books. */
static void test_s6_is_kept(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	host_power_off(&w->hosts[S], false);
	story_run(w, 1000);
	story_start(w, S);
	story_expect_rest(w, 10000);
	host_kill(&w->hosts[P]);
	assert_in_range(story_until_primary(w, S, 90000), 0, DEAD_S * 1000 + 1000);
	story_end(w);
}

/* ... and counts from when the side became secondary: what was before, in whichever role, shows
 * nothing. */
static void test_s6_begins_with_the_role(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	assert_true(story_status(w, S).may_take_over);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	assert_false(
		story_status(w, P).may_take_over); /* its sessions are from when it was primary */
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	assert_false(story_status(w, S).may_take_over); /* and its from the time before */
	host_kill(&w->hosts[P]);
	assert_int_equal(story_until_primary(w, S, 90000), 90000);
	story_end(w);
}

/* ---------------------------------------------------------------- both */

/* B4: pools are frozen while IPSP is enabled, on either side; what is running stays. */
static void test_pools_are_frozen(void **state)
{
	struct world *w = story_begin();

	(void)state;
	for (unsigned side = P; side <= S; side++) {
		struct host *h = &w->hosts[side];
		struct ipsp_context_conf conf = h->conf;
		struct ipsp_pool_conf pool = conf.pools[0];
		uint64_t digest = ipsp_node_digest(h->node);

		conf.pools = &pool;
		pool.size = 7;
		h->command_err = 1;
		host_event(h, (struct ipsp_event){
				      .type = IPSP_EV_CONF, .token = 1, .id = 1, .conf = &conf});
		story_run(w, 100);
		assert_true(h->command_err < 0);
		assert_int_equal(story_status(w, side).conf->pools[0].size, 8);
		assert_int_equal(ipsp_node_digest(h->node), digest);
	}
	story_run(w, 5000);
	story_expect_rest(w, 0);
	story_end(w);
}

static void no_dead_interval(struct world_conf *conf)
{
	conf->dead_ms[P] = conf->dead_ms[S] = 0;
}

/* B9: without a dead interval the peer is down as soon as it is lost: ten hellos. */
static void test_no_dead_interval(void **state)
{
	struct world *w = story_begin_with(no_dead_interval);

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	assert_in_range(story_until_primary(w, S, 60000), 8900, 10100);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_end(w);
}

/* B10: inactive says and hears nothing. A primary that never shared serves alone in it. */
static void test_inactive(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = w->hosts[S].conf.psp.mode = IPSP_MODE_INACTIVE;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 10000);
	assert_int_equal(w->n_datagrams, 0);
	story_expect_side(w, P, "primary", "inactive", true);
	story_expect_side(w, S, "secondary", "inactive", false);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_expect(w, "HA1 take 10.1.0.1: mn-1\n"
			"HA2 refused mn-2: disabled\n");
	story_command(w, S, IPSP_CMD_MODE, false, 0);
	story_run(w, 5000); /* P doesn't hear it */
	assert_int_equal(story_stats(w, P)->hellos_received, 0);
	story_command(w, P, IPSP_CMD_MODE, false, 0);
	story_expect_rest(w, 5000);
	story_expect_pool(w, P, 1, 7, 0); /* the session that was there is not disturbed */
	story_end(w);
}

/* check-config compares, and does nothing else. */
static void test_check_config(void **state)
{
	struct world *w = story_begin_cold(NULL);
	bool known;

	(void)state;
	only_compares(w, P);
	only_compares(w, S);
	w->hosts[S].conf.pools[0].priority = 3;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	for (unsigned side = P; side <= S; side++) {
		story_command(w, side, IPSP_CMD_CHECK, false, IPSP_ERR_CONFIG_MISMATCH);
		assert_int_equal(ipsp_node_differences(w->hosts[side].node, &known), 1);
		assert_true(known);
		assert_non_null(strstr(ipsp_node_difference(w->hosts[side].node, 0), "priority"));
	}
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.pools[0].priority = 0;
	story_start(w, S);
	story_run(w, 5000);
	for (unsigned side = P; side <= S; side++) {
		story_command(w, side, IPSP_CMD_CHECK, false, 0);
		assert_int_equal(story_status(w, side).state, IPSP_ST_CHECKING);
		assert_int_equal(story_stats(w, side)->grants_sent, 0);
	}
	story_command(w, P, IPSP_CMD_MODE, false, 0); /* one of them alone shares nothing either */
	story_run(w, 5000);
	assert_int_equal(story_stats(w, P)->grants_sent, 0);
	story_expect_pool(w, P, 0, 8, 0);
	story_end(w);
}

static void half_reserved(struct world_conf *conf)
{
	conf->reserved = 50;
}

/* B11: half of the pool stays the primary's; what is asked for by number passes. */
static void test_reserved(void **state)
{
	struct world *w = story_begin_with(half_reserved);

	(void)state;
	for (unsigned i = 1; i <= 6; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA2, mn, NULL);
		assert_int_equal(w->has[HA2].last_err, i <= 4 ? 0 : IPSP_ERR_EXHAUSTED);
	}
	story_take(w, HA2, "mn-8", "10.1.0.8");
	assert_int_equal(w->has[HA2].last_err, 0);
	story_expect_pool(w, P, 0, 3, 5);
	for (unsigned i = 11; i <= 13; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA1, mn, NULL);
		assert_int_equal(w->has[HA1].last_err, 0);
	}
	story_end(w);
}

static struct ipsp_pool_conf several[4];

static void four_pools(struct world_conf *conf)
{
	static const struct {
		const char *name, *group;
		enum ipsp_pool_type type;
		uint8_t priority;
	} made[] = {{"a", "g", IPSP_POOL_PRIVATE, 0},
		    {"b", "", IPSP_POOL_PUBLIC, 1},
		    {"c", "", IPSP_POOL_PUBLIC, 0},
		    {"d", "g", IPSP_POOL_PRIVATE, 5}};

	for (unsigned i = 0; i < 4; i++) {
		several[i] = (struct ipsp_pool_conf){.type = made[i].type,
						     .priority = made[i].priority,
						     .base = ipsp_addr_v4(0x0a010001 + 256 * i),
						     .size = 2,
						     .plen = 32};
		snprintf(several[i].name, sizeof(several[i].name), "%s", made[i].name);
		snprintf(several[i].group, sizeof(several[i].group), "%s", made[i].group);
	}
	conf->pools = several;
	conf->n_pools = 4;
}

/* B12, scenario 28: by name, by group and priority, else public by priority; on the secondary,
 * which has to ask for each, as on the primary; and after every handover. */
static void test_pool_and_group(void **state)
{
	struct world *w = story_begin_with(four_pools);

	(void)state;
	for (unsigned ha = HA1; ha <= HA2; ha++) {
		uint32_t mn = 10 * ha + 1;

		story_watch(w, TRACE_HA);
		story_forget(w);
		take_of_pool(w, ha, mn, -1, -1); /* public, priority 0 */
		take_of_pool(w, ha, mn + 1, 3, -1);
		take_of_pool(w, ha, mn + 2, -1, 0); /* of the group, priority 0 */
		take_of_pool(w, ha, mn + 3, 1, -1);
		story_expect(w, ha == HA1 ? "HA1 take 10.1.2.1: mn-1\n"
					    "HA1 take 10.1.3.1: mn-2\n"
					    "HA1 take 10.1.0.1: mn-3\n"
					    "HA1 take 10.1.1.1: mn-4\n"
					  : "HA2 take 10.1.2.2: mn-11\n"
					    "HA2 take 10.1.3.2: mn-12\n"
					    "HA2 take 10.1.0.2: mn-13\n"
					    "HA2 take 10.1.1.2: mn-14\n");
	}
	for (unsigned i = 0; i < 4; i++) /* there ... */
		take_of_pool(w, HA1, 20 + i, (int)i, -1);
	story_expect(w, "HA1 refused mn-20: exhausted\n"
			"HA1 refused mn-21: exhausted\n"
			"HA1 refused mn-22: exhausted\n"
			"HA1 refused mn-23: exhausted\n");
	story_leave(w, HA1, "mn-2");
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	take_of_pool(w, HA1, 30, -1, -1); /* no private one for whom names none */
	take_of_pool(w, HA1, 31, 0, -1);  /* nor one of another pool */
	take_of_pool(w, HA1, 32, -1, 0);  /* but of the group named */
	story_expect(w, "HA1 refused mn-30: exhausted\n"
			"HA1 refused mn-31: exhausted\n"
			"HA1 take 10.1.3.1: mn-32\n");
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	story_leave(w, HA1, "mn-32");
	take_of_pool(w, HA2, 33, 3, -1); /* ... and back */
	story_expect(w, "HA2 take 10.1.3.1: mn-33\n");
	story_end(w);
}

/* Scenario 55, B12: held for its subscriber, on whichever side that comes; nobody else gets it
 * before the timer has run out. */
static void test_held(void **state)
{
	struct world *w = story_begin_with(holds);

	(void)state;
	story_take(w, HA1, "mn-9", NULL); /* stays */
	story_take(w, HA1, "mn-1", NULL);
	story_leave(w, HA1, "mn-1");
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA1, "mn-2", NULL);
	story_take(w, HA1, "mn-3", "10.1.0.2");
	story_take(w, HA2, "mn-3", "10.1.0.2");
	story_take(w, HA2, "mn-1", NULL); /* it names no address, and gets its own */
	story_expect(w, "HA1 take 10.1.0.3: mn-2\n"
			"HA1 refused mn-3: in-use\n"
			"HA2 refused mn-3: in-use\n"
			"HA2 take 10.1.0.2: mn-1\n");
	story_leave(w, HA2, "mn-1");
	story_run(w, 30000);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0); /* held ones move with their time */
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	story_take(w, HA1, "mn-3", "10.1.0.2");
	story_run(w, 35000);
	story_take(w, HA1, "mn-3", "10.1.0.2");
	story_expect(w, "HA1 refused mn-3: in-use\n"
			"HA1 take 10.1.0.2: mn-3\n");
	story_end(w);
}

static void quarantines(struct world_conf *conf)
{
	conf->pools[0].quarantine_s = 20;
}

/* In quarantine nobody gets it, its last subscriber neither. */
static void test_quarantine(void **state)
{
	struct world *w = story_begin_with(quarantines);

	(void)state;
	story_take(w, HA1, "mn-9", NULL);
	story_take(w, HA1, "mn-1", NULL);
	story_leave(w, HA1, "mn-1");
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_run(w, 20000);
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_expect(w, "HA1 take 10.1.0.3: mn-1\n"
			"HA2 refused mn-2: in-use\n"
			"HA2 take 10.1.0.2: mn-2\n");
	story_end(w);
}

int stories_rules(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_block),
		cmocka_unit_test(test_asked_ahead),
		cmocka_unit_test(test_unused_come_back),
		cmocka_unit_test(test_one_by_one_at_the_end),
		cmocka_unit_test(test_given_is_forgotten),
		cmocka_unit_test(test_primary_asks),
		cmocka_unit_test(test_locked_until_the_first_assignment),
		cmocka_unit_test(test_exchange_locks_nobody),
		cmocka_unit_test(test_secondary_stops),
		cmocka_unit_test(test_s6_is_kept),
		cmocka_unit_test(test_s6_begins_with_the_role),
		cmocka_unit_test(test_pools_are_frozen),
		cmocka_unit_test(test_no_dead_interval),
		cmocka_unit_test(test_inactive),
		cmocka_unit_test(test_check_config),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_pool_and_group),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_quarantine),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
