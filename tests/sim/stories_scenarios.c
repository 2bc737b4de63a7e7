/*
 * stories_scenarios - starting, losing and finding each other, handing over by plan, and what
 * operators do at the wrong moment.
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

/* ---------------------------------------------------------------- start */

/* Scenario 2: alone, a secondary says what it waits for and for how long, and answers at once. */
static void test_secondary_alone_says_why(void **state)
{
	struct world *w = story_begin_cold(NULL);
	struct ipsp_status st;

	(void)state;
	story_start(w, S);
	story_run(w, 60000);
	st = story_status(w, S);
	assert_string_equal(ipsp_waiting_word(st.waiting), "peer");
	assert_in_range(st.waiting_ms, 59000, 60000);
	assert_int_equal(st.last_heard_ms, IPSP_NEVER);
	story_expect_side(w, S, "secondary", "connecting", false);
	story_forget(w);
	story_take(w, HA2, "mn-1", NULL);
	story_expect(w, "HA2 refused mn-1: no-primary\n");
	story_end(w);
}

/* Scenario 4: what is said a second time changes nothing. */
static void test_twice_is_once(void **state)
{
	static const enum ipsp_command commands[] = {IPSP_CMD_MODE, IPSP_CMD_DRAIN,
						     IPSP_CMD_UNDRAIN, IPSP_CMD_TAKEOVER,
						     IPSP_CMD_TERMINATE};
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint64_t digest[2];

		story_command(w, P, commands[i], false, 0);
		story_run(w, 3000);
		for (unsigned side = P; side <= S; side++)
			digest[side] = ipsp_node_digest(w->hosts[side].node);
		story_command(w, P, commands[i], false, 0);
		story_run(w, 3000);
		for (unsigned side = P; side <= S; side++)
			assert_int_equal(ipsp_node_digest(w->hosts[side].node), digest[side]);
	}
	host_command(&w->hosts[S], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	host_command(&w->hosts[S], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 10000);
	assert_null(w->hosts[S].node);
	story_start(w, S);
	host_start(&w->hosts[S]); /* runs already */
	story_command(w, P, IPSP_CMD_MODE, false, 0);
	story_expect_rest(w, 10000);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* Scenario 6: S was started with pools that differ, and says so; mended and started again it is
 * healthy, and P's view of it was no reason to stay in the error. */
static void test_an_error_is_not_inherited(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[S].conf.pools[0].priority = 3;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	assert_int_equal(story_status(w, P).state, IPSP_ST_CONFIG_MISMATCH);
	assert_int_equal(story_status(w, S).state, IPSP_ST_CONFIG_MISMATCH);
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.pools[0].priority = 0;
	story_start(w, S);
	story_expect_rest(w, 5000);
	/* the same where something is shared, and P is the one in the error */
	story_take(w, HA2, "mn-1", NULL);
	host_kill(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = 3;
	story_start(w, P);
	story_run(w, 10000);
	assert_int_equal(story_status(w, P).state, IPSP_ST_CONFIG_MISMATCH);
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 5000);
	host_kill(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = 0;
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* Scenario 7: where a command makes no sense it is refused with the reason, and nothing changes. */
static void refused(struct world *w, unsigned side, enum ipsp_command command, bool force,
		    int expected)
{
	uint64_t digest = ipsp_node_digest(w->hosts[side].node);
	bool forced = w->check.forced;

	story_command(w, side, command, force, expected);
	w->check.forced = forced;
	assert_int_equal(ipsp_node_digest(w->hosts[side].node), digest);
}

static void test_commands_out_of_place(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[S].conf.psp.mode = IPSP_MODE_INACTIVE;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	refused(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_DISABLED);
	refused(w, S, IPSP_CMD_DRAIN, false, IPSP_ERR_DISABLED);
	refused(w, S, IPSP_CMD_TERMINATE, false, IPSP_ERR_DISABLED);
	refused(w, P, IPSP_CMD_TERMINATE, false, IPSP_ERR_NO_PEER);
	story_command(w, S, IPSP_CMD_MODE, false, 0);
	story_expect_rest(w, 5000);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	refused(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	refused(w, P, IPSP_CMD_DISABLE, false, IPSP_ERR_SHARED_OUT);
	refused(w, S, IPSP_CMD_DISABLE, false, IPSP_ERR_SHARED_OUT);
	w->hosts[P].command_err = 1;
	host_command(&w->hosts[P], IPSP_CMD_MODE, false, IPSP_MODE_INACTIVE);
	story_run(w, 100);
	assert_int_equal(w->hosts[P].command_err, IPSP_ERR_SHARED_OUT);
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 2000);
	refused(w, S, IPSP_CMD_DRAIN, false, IPSP_ERR_DRAINING);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* ---------------------------------------------------------------- detection */

/* Scenario 11: a loss that ended counts for nothing in the next one. */
static void test_timers_are_cleared(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	for (unsigned i = 0; i < 5; i++) {
		story_cut(w, true, true);
		story_run(w, (DEAD_S - 3) * 1000);
		assert_int_equal(story_status(w, S).state, IPSP_ST_PEER_LOST);
		assert_in_range(story_status(w, S).dead_in_ms, 1, 5000);
		story_cut(w, false, false);
		story_run(w, 3000);
		assert_int_equal(story_status(w, S).dead_in_ms, IPSP_NEVER);
	}
	story_expect_rest(w, 0);
	assert_int_equal(story_stats(w, P)->takeovers + story_stats(w, S)->takeovers, 0);
	story_end(w);
}

static void with_hook(struct world_conf *conf)
{
	conf->has_hook = true;
}

/* Scenario 12: vetoed for as long as it likes; a human is not asked by the hook. */
static void test_force_passes_the_veto(void **state)
{
	struct world *w = story_begin_with(with_hook);

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	w->hook_yes = false;
	host_kill(&w->hosts[P]);
	assert_int_equal(story_until_primary(w, S, 200000), 200000);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_VETO);
	story_expect_pool(w, S, 1, 0, 7); /* not one was taken */
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_expect_pool(w, S, 1, 7, 0);
	story_end(w);
}

/* Scenario 13: a bad line for an hour. */
static void test_an_hour_on_a_bad_line(void **state)
{
	struct world *w = story_begin();

	(void)state;
	w->net.mix = (struct net_mix){
		.loss = 300, .repeat = 200, .delay = SIM_MS(1), .jitter = SIM_MS(200)};
	for (unsigned i = 0; i < 360; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", 1 + i % 3);
		story_take(w, i / 3 % 2 ? HA2 : HA1, mn, NULL);
		story_run(w, 9000);
		if (ha_find(&w->has[i / 3 % 2 ? HA2 : HA1], 1 + i % 3, 1))
			story_leave(w, i / 3 % 2 ? HA2 : HA1, mn);
		story_forget(w);
		for (unsigned side = P; side <= S; side++) {
			assert_int_equal(story_stats(w, side)->peer_losses, 0);
			assert_int_equal(story_stats(w, side)->takeovers, 0);
		}
	}
	assert_true(w->hits[FAULT_OVERTAKE] > 20 && w->hits[FAULT_LOSS] > 1000);
	w->net.mix = (struct net_mix){.delay = SIM_MS(1)};
	story_expect_rest(w, 10000);
	story_end(w);
}

/* Scenario 14: what doesn't open with our key is silence, with a counter and words of its own. */
static void test_a_wrong_seal_is_silence(void **state)
{
	struct world *w = story_begin();
	unsigned took;

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	w->net.mix.corrupt = 1000;
	took = story_until_primary(w, S, 60000);
	assert_in_range(took, DEAD_S * 1000 - 1500, DEAD_S * 1000 + 1500);
	for (unsigned side = P; side <= S; side++) {
		assert_true(story_stats(w, side)->drop_seal > 20);
		assert_true(story_noted(w, side, "do not open with our key"));
		assert_int_equal(story_stats(w, side)->peer_losses, 1);
	}
	w->net.mix.corrupt = 0;
	story_expect_rest(w, 15000);
	story_end(w);
}

/* Scenario 16: who is alone already loses nothing more, and says nothing more. */
static void test_lost_again_when_alone(void **state)
{
	struct world *w = story_begin();
	unsigned traps = 0;
	uint64_t epoch;

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, true);
	story_run(w, DEAD_S * 1000 + 2000);
	story_expect_side(w, P, "primary", "peer-down", true);
	epoch = story_status(w, P).epoch;
	for (unsigned i = 0; i < IPSP_TRAPS; i++)
		traps += w->hosts[P].n_traps[i];
	host_kill(&w->hosts[S]);
	story_run(w, 2 * DEAD_S * 1000);
	story_start(w, S);
	story_run(w, 2 * DEAD_S * 1000);
	story_cut(w, false, true); /* S is heard, but doesn't hear: no contact */
	host_power_off(&w->hosts[S], false);
	story_run(w, 2 * DEAD_S * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	assert_int_equal(story_status(w, P).epoch, epoch);
	assert_int_equal(story_stats(w, P)->takeovers, 1);
	for (unsigned i = 0; i < IPSP_TRAPS; i++)
		traps -= w->hosts[P].n_traps[i];
	assert_int_equal(traps, 0);
	story_take(w, HA1, "mn-3", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- planned handover */

/* Scenarios 19, 21: new sessions during a drain are S's, from what P releases; one trap at the end.
 */
static void test_new_sessions_during_a_drain(void **state)
{
	struct world *w = story_begin();

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA1, mn, NULL);
	}
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	for (unsigned i = 1; i <= 4; i++) {
		char mn[8], addr[16];

		assert_false(story_status(w, P).drained);
		snprintf(mn, sizeof(mn), "mn-%u", 10 + i);
		story_take(w, HA2, mn, NULL);
		assert_int_equal(w->has[HA2].last_err, 0);
		story_take(w, HA1, mn, NULL);
		assert_int_equal(w->has[HA1].last_err, IPSP_ERR_DRAINING);
		assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 0);
		snprintf(mn, sizeof(mn), "mn-%u", i);
		snprintf(addr, sizeof(addr), "10.1.0.%u", i);
		story_take(w, HA2, mn, addr);
		assert_int_equal(w->has[HA2].last_err, 0);
	}
	story_run(w, 3000);
	assert_true(story_status(w, P).drained);
	assert_true(story_status(w, P).all_free);
	story_expect_pool(w, P, 0, 0, 8);
	story_run(w, 120000);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 1);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 0);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	story_end(w);
}

/* Scenario 23: taken back half-way: the roles are as before, what has moved has moved, and P
 * serves. */
static void test_undrain_half_way(void **state)
{
	struct world *w = story_begin();
	uint64_t epoch = story_status(w, P).epoch;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA1, "mn-2", "10.1.0.2");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	host_kill(&w->hosts[P]); /* the drain is stored, too */
	story_run(w, 500);
	story_start(w, P);
	story_run(w, 10000);
	assert_true(story_status(w, P).draining);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	assert_int_equal(story_status(w, P).epoch, epoch);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_side(w, S, "secondary", "active", true);
	story_expect_pool(w, P, 1, 6, 1);
	story_take(w, HA1, "mn-3", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/* Scenario 24: both begin at once, and cancel: nobody is stuck. */
static void test_both_drain_and_cancel(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	host_command(&w->hosts[P], IPSP_CMD_DRAIN, false, IPSP_MODE_ACTIVE);
	host_command(&w->hosts[S], IPSP_CMD_DRAIN, false, IPSP_MODE_ACTIVE);
	story_run(w, 3000);
	assert_true(story_status(w, P).draining);
	assert_false(story_status(w, S).draining); /* the secondary's is taken back, and said */
	assert_true(story_noted(w, S, "both sides drain"));
	story_take(w, HA2, "mn-3", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	host_command(&w->hosts[P], IPSP_CMD_UNDRAIN, false, IPSP_MODE_ACTIVE);
	host_command(&w->hosts[S], IPSP_CMD_UNDRAIN, false, IPSP_MODE_ACTIVE);
	story_expect_rest(w, 5000);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* Scenario 25: the peer is gone. A takeover is refused with the reason, and so is a drain; where it
 * is forced it gives nothing up, and is done when the peer is back. */
static void test_drain_with_the_peer_gone(void **state)
{
	struct world *w = story_begin();
	uint64_t digest;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[S]);
	story_run(w, 15000);
	digest = ipsp_node_digest(w->hosts[P].node);
	story_command(w, P, IPSP_CMD_TERMINATE, false, IPSP_ERR_NO_PEER);
	assert_int_equal(ipsp_node_digest(w->hosts[P].node), digest);
	story_command(w, P, IPSP_CMD_DRAIN, false, IPSP_ERR_NO_PEER);
	assert_int_equal(ipsp_node_digest(w->hosts[P].node), digest);
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	story_leave(w, HA1, "mn-1");
	story_run(w, 10000);
	assert_false(story_status(w, P).drained);
	assert_false(story_status(w, P).all_free);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 0);
	story_expect_pool(w, P, 0, 7, 1);
	story_start(w, S);
	story_run(w, 10000);
	assert_true(story_status(w, P).drained);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 1);
	story_expect_pool(w, P, 0, 0, 8);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	story_end(w);
}

static void test_takeover_with_the_peer_gone(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	story_run(w, 15000);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_NO_PEER);
	story_expect_side(w, S, "secondary", "peer-lost", true);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_end(w);
}

/* Scenario 26: nobody is there to hand over to: it just closes, and keeps its sessions. */
static void test_stop_without_a_peer(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, true);
	story_run(w, 15000);
	host_command(&w->hosts[P], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 200);
	assert_null(w->hosts[P].node);
	story_start(w, P);
	story_cut(w, false, false);
	story_expect_rest(w, 15000);
	story_expect_side(w, P, "primary", "active", true);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* Scenario 27: once an epoch, by trap, hook and log, on both sides. */
static void told(struct world *w, unsigned times)
{
	for (unsigned side = P; side <= S; side++) {
		assert_int_equal(w->hosts[side].n_traps[IPSP_TRAP_ROLE_CHANGE], times);
		assert_int_equal(w->hosts[side].n_hooks[IPSP_HOOK_ROLE_CHANGE], times);
	}
}

static void test_a_role_is_told_once(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	memset(w->hosts[P].n_traps, 0, sizeof(w->hosts[P].n_traps));
	memset(w->hosts[S].n_traps, 0, sizeof(w->hosts[S].n_traps));
	memset(w->hosts[P].n_hooks, 0, sizeof(w->hosts[P].n_hooks));
	memset(w->hosts[S].n_hooks, 0, sizeof(w->hosts[S].n_hooks));
	for (unsigned i = 1; i <= 3; i++) {
		story_command(w, i % 2 ? S : P, IPSP_CMD_TAKEOVER, false, 0);
		story_run(w, 60000);
		told(w, i);
		assert_true(story_noted(w, i % 2 ? S : P, "this side is now primary, epoch"));
	}
	story_expect_rest(w, 0);
	story_end(w);
}

/* ... also to those that had missed it: killed after the record, before the telling. */
static void test_a_role_is_told_after_a_crash(void **state)
{
	struct world *w = story_begin();
	struct host *h = &w->hosts[S];

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	memset(h->n_traps, 0, sizeof(h->n_traps));
	memset(h->n_hooks, 0, sizeof(h->n_hooks));
	h->armed = KILL_POINT_IN_FLUSH; /* of the record of its new role */
	host_command(h, IPSP_CMD_TAKEOVER, false, IPSP_MODE_ACTIVE);
	story_run(w, 5000);
	assert_null(h->node);
	story_start(w, S);
	story_expect_rest(w, 10000);
	story_expect_side(w, S, "primary", "active", true);
	assert_int_equal(h->n_traps[IPSP_TRAP_ROLE_CHANGE], 1);
	assert_int_equal(h->n_hooks[IPSP_HOOK_ROLE_CHANGE], 1);
	story_end(w);
}

int stories_scenarios(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secondary_alone_says_why),
		cmocka_unit_test(test_twice_is_once),
		cmocka_unit_test(test_an_error_is_not_inherited),
		cmocka_unit_test(test_commands_out_of_place),
		cmocka_unit_test(test_timers_are_cleared),
		cmocka_unit_test(test_force_passes_the_veto),
		cmocka_unit_test(test_an_hour_on_a_bad_line),
		cmocka_unit_test(test_a_wrong_seal_is_silence),
		cmocka_unit_test(test_lost_again_when_alone),
		cmocka_unit_test(test_new_sessions_during_a_drain),
		cmocka_unit_test(test_undrain_half_way),
		cmocka_unit_test(test_both_drain_and_cancel),
		cmocka_unit_test(test_drain_with_the_peer_gone),
		cmocka_unit_test(test_takeover_with_the_peer_gone),
		cmocka_unit_test(test_stop_without_a_peer),
		cmocka_unit_test(test_a_role_is_told_once),
		cmocka_unit_test(test_a_role_is_told_after_a_crash),
	};

	return cmocka_run_group_tests_name("scenarios", tests, NULL, NULL);
}
