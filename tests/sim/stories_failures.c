/*
 * stories of failures: a side that dies, is stopped or starts anew, up to the dead interval and
 * past it.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- the dead interval */

/* Scenario 9: P dies on an idle network; S takes over when the dead interval has run out, not
 * before. */
static void test_takeover(void **state)
{
	struct world *w = story_begin();
	unsigned took;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	host_kill(&w->hosts[P]);
	ha_crash(&w->has[HA1]);
	took = story_until_primary(w, S, 60000);
	assert_in_range(took, DEAD_S * 1000 - 1000, DEAD_S * 1000 + 1000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_forget(w);
	story_take(w, HA2, "mn-1", "10.1.0.1"); /* it comes with its address, and gets it */
	story_expect(w, "HA2 take 10.1.0.1: mn-1\n");
	story_expect_pool(w, S, 2, 6, 0);
	story_end(w);
}

/* S6: no session ever got an address here, so AAA doesn't send them here: S stays back, and says
 * so. */
static void test_s6_keeps_back(void **state)
{
	struct world *w = story_begin();
	struct ipsp_status st;

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	host_kill(&w->hosts[P]);
	story_run(w, DEAD_S * 1000 / 2);
	assert_true(story_noted(w, S, "the peer is lost; this side does not take over by itself"));
	assert_false(story_noted(w, S, "the dead interval has run out"));
	assert_int_equal(story_until_primary(w, S, 90000), 90000);
	ipsp_node_status(w->hosts[S].node, host_ms(&w->hosts[S]), &st);
	assert_false(st.may_take_over);
	assert_true(st.dead_in_ms == IPSP_NEVER);
	assert_true(story_noted(w, S,
				"the dead interval has run out, but this side does not take over"));
	assert_true(story_noted(w, S, "takeover --force"));
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_run(w, 100);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_end(w);
}

/* Scenario 10: S dies; P serves on from what it owns, and gets S's addresses at the dead interval.
 */
static void test_secondary_dies(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_power_off(&w->hosts[S], false);
	story_run(w, 12000); /* lost by now */
	story_forget(w);
	story_take(w, HA1, "mn-3", NULL);
	story_take(w, HA1, "mn-4", "10.1.0.1"); /* S has it, and S may be alive */
	story_expect(w, "HA1 take 10.1.0.2: mn-3\n"
			"HA1 refused mn-4: no-primary\n");
	story_run(w, DEAD_S * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_forget(w);
	story_take(w, HA1, "mn-4", "10.1.0.1");
	story_expect(w, "HA1 take 10.1.0.1: mn-4\n");
	story_end(w);
}

/* Scenario 11: back before the dead interval is over: nothing has changed. */
static void test_back_in_time(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_forget(w);
	story_cut(w, true, true);
	story_run(w, (DEAD_S - 5) * 1000);
	story_cut(w, false, false);
	story_run(w, 60000);
	story_expect(w, "");
	story_expect_rest(w, 0);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* Scenario 38: cut for less than the dead interval, each serves its own. */
static void test_short_cut(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	story_cut(w, true, true);
	story_run(w, 15000);
	story_forget(w);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-3", NULL);
	story_expect(w, "HA1 take 10.1.0.2: mn-1\n"
			"HA2 take 10.1.0.1: mn-3\n");
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* A veto of the hook holds the takeover back for as long as it lasts. */
static void has_hook(struct world_conf *conf)
{
	conf->has_hook = true;
}

static void test_veto(void **state)
{
	struct world *w = story_begin_with(has_hook);

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	w->hook_yes = false;
	host_kill(&w->hosts[P]);
	assert_int_equal(story_until_primary(w, S, 100000), 100000);
	w->hook_yes = true;
	assert_in_range(story_until_primary(w, S, 60000), 0, 31000);
	story_end(w);
}

/* ---------------------------------------------------------------- stops and restarts */

/* S is stopped; P's hellos fill its socket. When it goes on, none of them gives it back its lease.
 */
static void test_stopped_with_a_full_socket(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	w->hosts[S].socket_cap = 20;
	host_stop(&w->hosts[S]);
	story_run(w, DEAD_S * 1000 + 5000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_cut(w, true, true); /* nothing fresh reaches it either */
	story_take(w, HA1, "mn-1", "10.1.0.1");
	host_cont(&w->hosts[S]);
	story_take(w, HA2, "mn-3", "10.1.0.1");
	story_run(w, 5000);
	assert_null(ha_find(&w->has[HA2], 3, 1));
	story_cut(w, false, false);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* A daemon that restarts while its lease runs goes on at once, without its peer. */
static void test_restart_in_lease(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	story_cut(w, true, true);
	host_kill(&w->hosts[S]);
	story_run(w, 5000);
	story_start(w, S);
	story_run(w, 1000);
	story_forget(w);
	story_take(w, HA2, "mn-3", NULL);
	story_expect(w, "HA2 take 10.1.0.1: mn-3\n");
	story_end(w);
}

/* Past its lease it is locked, until it has heard its peer both ways. */
static void test_restart_past_lease(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_take(w, HA2, "mn-4", NULL);
	story_leave(w, HA2, "mn-2");
	story_cut(w, true, true);
	host_kill(&w->hosts[S]);
	story_run(w, (DEAD_S + 1) * 1000);
	story_start(w, S);
	story_run(w, 1000);
	story_forget(w);
	story_take(w, HA2, "mn-3", "10.1.0.1");
	story_again(w, HA2, "mn-4"); /* what a session has is confirmed always */
	story_run(w, 5000);
	story_expect(w, "HA2 refused mn-3: locked\n");
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* What was told to the HA survives kill -9; the HA finds its session again. */
static void test_kill_keeps_sessions(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	host_kill(&w->hosts[P]);
	story_run(w, 500);
	story_start(w, P);
	story_expect_rest(w, 15000);
	story_expect_pool(w, P, 1, 7, 0);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* After a loss of power the address is held for its subscriber; another one doesn't get it. */
static void test_power_loss_holds(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	host_power_off(&w->hosts[P], false);
	story_run(w, 2000);
	story_start(w, P);
	story_expect_rest(w, 30000);
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA1, "mn-2", "10.1.0.1");
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_expect(w, "HA1 refused mn-2: in-use\n"
			"HA1 take 10.1.0.1: mn-1\n");
	story_end(w);
}

/*
 * P's lease runs out in the turn in which the session of before the loss of power is asked for: its
 * HA is told "locked", and the address is held on for it.
 */
static void test_held_on_when_the_lease_runs_out(void **state)
{
	struct world *w = story_begin();
	struct ipsp_pool_status pool;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	host_power_off(&w->hosts[P], false);
	story_run(w, 2000);
	story_start(w, P);
	story_expect_rest(w, 30000);
	story_cut(w, true, true);
	story_run(w, (DEAD_S - 2) * 1000);
	w->hosts[P].slow_turns = 1000;
	w->hosts[P].slow_turn_max = SIM_MS(8000);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_run(w, 12000);
	w->hosts[P].slow_turns = 0;
	story_run(w, 12000);
	assert_int_equal(w->has[HA1].last_err, IPSP_ERR_LOCKED);
	ipsp_node_pool_status(w->hosts[P].node, 0, &pool);
	assert_int_equal(pool.hold, 1);
	story_run(w, DEAD_S * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_take(w, HA1, "mn-2", "10.1.0.1");
	assert_int_equal(w->has[HA1].last_err, IPSP_ERR_IN_USE);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/*
 * S owned all when IPSP was disabled on P, and has lost its disk since: nobody knows of an address.
 * It is said, with the way out, which works.
 */
static void test_nobody_owns(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_run(w, 3000);
	story_command(w, P, IPSP_CMD_DISABLE, false, 0);
	story_run(w, 5000);
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 1000);
	host_reload(&w->hosts[P], DEAD_S * 1000);
	story_run(w, 10000);
	assert_false(story_status(w, P).serving || story_status(w, S).serving);
	assert_true(story_noted(w, P, "neither side owns an address"));
	story_command(w, P, IPSP_CMD_DISABLE, true, 0);
	host_reload(&w->hosts[P], DEAD_S * 1000);
	story_expect_rest(w, 20000);
	story_expect_pool(w, P, 0, 8, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- a full disk */

static void disk(struct world *w, unsigned side, bool full)
{
	w->hosts[side].disk_full = full;
	host_event(&w->hosts[side], (struct ipsp_event){.type = IPSP_EV_DISK, .full = full});
	story_run(w, 100);
}

/* P's disk is full: nothing new from P, on either side, by a word of its own; it is told once, and
 * once when there is room again. What P has is kept, and released. */
static void test_disk_full(void **state)
{
	struct world *w = story_begin();
	const struct host *p = &w->hosts[P];

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_forget(w);
	disk(w, P, true);
	disk(w, P, true);
	assert_true(story_status(w, P).disk_full);
	assert_false(story_status(w, P).serving);
	assert_true(story_noted(w, P, "the disk is full"));
	assert_int_equal(p->n_traps[IPSP_TRAP_DISK_FULL], 1);
	assert_int_equal(p->n_hooks[IPSP_HOOK_DISK_FULL], 1);
	story_take(w, HA1, "mn-2", "10.1.0.2");
	story_take(w, HA2, "mn-3", "10.1.0.3"); /* S has to ask P */
	story_expect(w, "HA1 refused mn-2: disk-full\n"
			"HA2 refused mn-3: disk-full\n");
	story_leave(w, HA1, "mn-1");
	story_expect_pool(w, P, 0, 8, 0);
	disk(w, P, false);
	assert_true(story_status(w, P).serving);
	assert_true(story_noted(w, P, "the disk has room again"));
	assert_int_equal(p->n_traps[IPSP_TRAP_DISK_FULL], 2);
	assert_int_equal(p->n_hooks[IPSP_HOOK_DISK_FULL], 2);
	story_end(w);
}

int stories_failures(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_s6_keeps_back),
		cmocka_unit_test(test_secondary_dies),
		cmocka_unit_test(test_back_in_time),
		cmocka_unit_test(test_short_cut),
		cmocka_unit_test(test_veto),
		cmocka_unit_test(test_stopped_with_a_full_socket),
		cmocka_unit_test(test_restart_in_lease),
		cmocka_unit_test(test_restart_past_lease),
		cmocka_unit_test(test_kill_keeps_sessions),
		cmocka_unit_test(test_power_loss_holds),
		cmocka_unit_test(test_held_on_when_the_lease_runs_out),
		cmocka_unit_test(test_nobody_owns),
	};

	return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
