/*
 * stories - one short tale for each thing that the pair must survive, with its exact ending. What
 * they have in common is told in story.h.
 */
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- the chapter's figures */

/* Figure 1: a new session on the secondary; the primary gives an address and busies it out. */
static void test_new_session(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-7", NULL);
	story_expect(w, "P grant 10.1.0.1\n"
			"S accept 10.1.0.1\n"
			"HA2 take 10.1.0.1: mn-7\n"
			"P busied out 10.1.0.1\n");
	story_expect_pool(w, P, 0, 7, 1);
	story_expect_pool(w, S, 1, 0, 7);
	story_end(w);
}

/* Figure 2: the session moves to the secondary and keeps its address. */
static void test_handoff(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL); /* stays: the last one to go would change the roles */
	story_forget(w);
	story_take(w, HA1, "mn-7", "10.1.0.7");
	story_take(w, HA2, "mn-7", "10.1.0.7");
	story_expect(w, "HA1 take 10.1.0.7: mn-7\n"
			"HA1 release mn-7: handoff\n"
			"P grant 10.1.0.7\n"
			"S accept 10.1.0.7\n"
			"HA2 take 10.1.0.7: mn-7\n"
			"P busied out 10.1.0.7\n");
	story_end(w);
}

/* P3: another subscriber's address is refused, and its session is left alone. */
static void test_another_subscribers_address(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-7", "10.1.0.7");
	story_take(w, HA2, "mn-8", "10.1.0.7");
	story_expect(w, "HA1 take 10.1.0.7: mn-7\n"
			"HA2 refused mn-8: in-use\n");
	story_end(w);
}

/* P6: the last session has moved; the trap goes, and the roles have changed. */
static void test_drop_to_zero(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA1, "mn-2", NULL);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 5000);
	story_watch(w, TRACE_TRAP);
	story_forget(w);
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_run(w, 10000);
	story_expect_side(w, P, "secondary", "active", true);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, P, 0, 0, 8);
	story_expect_pool(w, S, 2, 6, 0);
	assert_true(w->all_free_at != SIM_NEVER);
	story_expect_rest(w, 0);
	story_end(w);
}

/* The full circle: P to S and back by command. Each address is where it belongs, and nobody lost a
 * session. */
static void test_full_circle(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, P, 1, 0, 7);
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 5000);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_pool(w, P, 1, 7, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- starting */

/* A primary that has never shared serves alone; a secondary says why it doesn't. */
static void test_each_alone(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_start(w, S);
	story_cut(w, true, true);
	story_run(w, 5000);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_expect(w, "HA1 take 10.1.0.1: mn-1\n"
			"HA2 refused mn-2: no-primary\n");
	story_end(w);
}

/* Scenario 1: settled in bounded time. */
static void test_settles(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_run(w, 20000);
	story_start(w, S);
	story_expect_rest(w, 5000);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_side(w, S, "secondary", "active", true);
	story_end(w);
}

/* A node can't be had by two: the last address, asked for from both sides at once, goes to one. */
static void test_last_address(void **state)
{
	struct world *w = story_begin();

	(void)state;
	for (unsigned i = 1; i <= 7; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, i % 2 ? HA1 : HA2, mn, NULL);
	}
	story_forget(w);
	assert_true(ha_request(&w->has[HA2], HA_NEW, 20, 1, NO_ADDR, -1, -1));
	assert_true(ha_request(&w->has[HA1], HA_NEW, 21, 1, NO_ADDR, -1, -1));
	story_run(w, 4000);
	assert_int_equal((w->has[HA1].last_err == 0) + (w->has[HA2].last_err == 0), 1);
	story_take(w, HA1, "mn-30", NULL);
	story_take(w, HA2, "mn-31", NULL);
	assert_int_equal(w->has[HA1].last_err, IPSP_ERR_EXHAUSTED);
	assert_int_equal(w->has[HA2].last_err, IPSP_ERR_EXHAUSTED);
	story_end(w);
}

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
	assert_int_equal(story_until_primary(w, S, 90000), 90000);
	ipsp_node_status(w->hosts[S].node, host_ms(&w->hosts[S]), &st);
	assert_false(st.may_take_over);
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

/* ---------------------------------------------------------------- both alive, cut off */

static void take_over_both(struct world *w)
{
	story_cut(w, true, true);
	story_run(w, DEAD_S * 1000 + 2000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_forget(w);
}

/* Scenario 40: one address on both sides. The owner's session stays, the other one is dropped by
 * its HA. */
static void test_duplicate(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1"); /* a node that brings the address */
	story_expect(w, "HA2 take 10.1.0.1: mn-9\n");
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_watch(w, TRACE_HA);
	assert_null(ha_find(&w->has[HA2], 9, 1));
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	assert_int_equal(ipsp_node_stats(w->hosts[P].node)->duplicates_found, 1);
	assert_int_equal(ipsp_node_stats(w->hosts[S].node)->duplicates_resolved, 1);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* Scenario 43b: the same node on both sides is a handoff; the live session stays. */
static void test_same_subscriber(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_forget(w);
	story_watch(w, TRACE_HA);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_expect(w, "HA1 release mn-1: handoff\n");
	assert_non_null(ha_find(&w->has[HA2], 1, 1));
	assert_int_equal(ipsp_node_stats(w->hosts[P].node)->duplicates_found, 0);
	story_end(w);
}

/* A duplicate whose HA hangs: the address is given to nobody else, even when its owner's session
 * ends. */
static void test_duplicate_unanswered(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	ha_hang(&w->has[HA2], w->now + SIM_MS(60000));
	story_cut(w, false, false);
	story_run(w, 10000);
	story_leave(w, HA1, "mn-1");
	story_forget(w);
	story_take(w, HA1, "mn-5", "10.1.0.1");
	story_expect(w, "HA1 refused mn-5: in-use\n");
	story_run(w, 60000);
	story_expect_rest(w, 5000);
	story_take(w, HA1, "mn-5", "10.1.0.1");
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/* Scenario 43c: a second cut in the middle of healing; it resumes, nothing is lost. */
static void test_cut_in_healing(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-3", "10.1.0.3");
	for (unsigned i = 0; i < 40; i++) { /* each time a little further */
		story_cut(w, false, false);
		story_run(w, i);
		story_cut(w, true, true);
		story_run(w, 3000);
	}
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	assert_non_null(ha_find(&w->has[HA2], 3, 1));
	story_end(w);
}

/* Scenario 43a: S doesn't hear P. S takes over; P, which hears S all the time, has stopped before.
 */
static void test_one_way_to_s(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, false, true);
	assert_in_range(story_until_primary(w, S, 90000), DEAD_S * 1000 - 1500, 2 * DEAD_S * 1000);
	story_forget(w);
	story_take(w, HA1, "mn-1", NULL);
	story_run(w, 5000);
	assert_null(ha_find(&w->has[HA1], 1, 1));
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_expect_side(w, S, "primary", "active", true);
	story_end(w);
}

/* ... and the other way round. */
static void test_one_way_to_p(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	story_cut(w, true, false);
	story_run(w, 2 * DEAD_S * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_take(w, HA2, "mn-3", NULL);
	story_run(w, 5000);
	assert_null(ha_find(&w->has[HA2], 3, 1));
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
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

/* ---------------------------------------------------------------- lost state */

/* S has lost its disk: it gets from P what is its own again, and gives nothing away before. */
static void test_wiped_secondary(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	story_run(w, 1000);
	story_start(w, S);
	story_expect_rest(w, 15000);
	assert_false(w->check.books_lost);
	story_expect_pool(w, S, 1, 0, 7); /* and HA2 has asked for its session again */
	story_end(w);
}

/* A wiped primary is no primary that has never shared: it asks first. */
static void test_wiped_primary(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	disk_wipe(&w->hosts[P].disk);
	check_state_lost(&w->hosts[P]);
	ha_crash(&w->has[HA1]);
	story_start(w, P);
	story_run(w, 5000); /* HA1 attaches again */
	story_take(w, HA1, "mn-5", "10.1.0.2");
	assert_null(ha_find(&w->has[HA1], 5, 1));
	story_expect_rest(w, 15000);
	assert_false(w->check.books_lost);
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

/* ---------------------------------------------------------------- HAs */

/* A request that is sent behind a release event on its way doesn't get the address that is being
 * released. */
static void test_request_behind_a_release(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	ha_hang(&w->has[HA1], w->now + SIM_MS(500));
	story_forget(w);
	story_take(w, HA2, "mn-1", "10.1.0.1"); /* P has sent the event; HA1 hasn't read it */
	story_again(w, HA1, "mn-1");
	story_run(w, 3000);
	assert_non_null(ha_find(&w->has[HA2], 1, 1));
	assert_null(ha_find(&w->has[HA1], 1, 1));
	story_run(w, 3000);
	story_expect_rest(w, 0);
	story_end(w);
}

/* An HA that doesn't answer: the peer's request is refused with timeout, and the session stays. */
static void test_ha_doesnt_answer(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	ha_hang(&w->has[HA1], w->now + SIM_MS(60000));
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 5000);
	story_expect(w, "HA2 refused mn-1: timeout\n");
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_run(w, 60000);
	story_expect(w, "HA1 release mn-1: handoff\n"
			"HA1 cancelled 10.1.0.1\n");
	assert_null(ha_find(&w->has[HA1], 1, 1)); /* its late answer is an ordinary release */
	story_end(w);
}

/* A session that the HA lost with its crash is released when it attaches again. */
static void test_ha_crashes(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA1, "mn-2", "10.1.0.2");
	ha_crash(&w->has[HA1]);
	story_run(w, 200);
	story_expect_pool(w, P, 2, 6, 0); /* nobody has said that they have ended */
	story_run(w, 5000);
	story_expect_rest(w, 0);
	story_expect_side(w, S, "primary", "active", true); /* nobody was left on P */
	story_expect_pool(w, S, 0, 8, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- commands */

/* A drain: no new sessions here, the old ones move, then the trap and the exchange of roles. */
static void test_drain(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_forget(w);
	story_take(w, HA1, "mn-2", NULL);
	story_expect(w, "HA1 refused mn-2: draining\n");
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 5000);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, S, 1, 7, 0);
	assert_true(w->all_free_at != SIM_NEVER);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	story_end(w);
}

/* SIGTERM hands all that is unused over at once; when P is back the role returns to it. */
static void test_graceful_stop(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	host_command(&w->hosts[P], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 2000);
	assert_null(w->hosts[P].node);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, S, 0, 7, 1);
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
	assert_non_null(ha_find(&w->has[HA1], 1, 1)); /* it ended no session */
	story_end(w);
}

/* terminate: the daemon stays, says hellos, assigns nothing; the mode brings it back, and with it
 * the role. */
static void test_terminate(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	story_expect_side(w, S, "primary", "active", true);
	story_forget(w);
	story_take(w, HA1, "mn-1", NULL);
	story_expect(w, "HA1 refused mn-1: disabled\n");
	story_run(w, 2 * DEAD_S * 1000); /* it isn't taken for dead */
	story_command(w, P, IPSP_CMD_MODE, false, 0);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* Scenario 22: a drained P is stopped: a clean goodbye, and S serves all without a dead interval.
 */
static void test_stop_when_drained(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	host_command(&w->hosts[P], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 2000);
	assert_null(w->hosts[P].node);
	story_expect_pool(w, S, 1, 7, 0);
	story_run(w, 3 * DEAD_S * 1000);
	story_take(w, HA2, "mn-2", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

/* takeover --force is for a peer that is gone. */
static void test_force_needs_a_lost_peer(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_session),
		cmocka_unit_test(test_handoff),
		cmocka_unit_test(test_another_subscribers_address),
		cmocka_unit_test(test_drop_to_zero),
		cmocka_unit_test(test_full_circle),
		cmocka_unit_test(test_each_alone),
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_last_address),
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_s6_keeps_back),
		cmocka_unit_test(test_secondary_dies),
		cmocka_unit_test(test_back_in_time),
		cmocka_unit_test(test_short_cut),
		cmocka_unit_test(test_veto),
		cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_same_subscriber),
		cmocka_unit_test(test_duplicate_unanswered),
		cmocka_unit_test(test_cut_in_healing),
		cmocka_unit_test(test_one_way_to_s),
		cmocka_unit_test(test_one_way_to_p),
		cmocka_unit_test(test_stopped_with_a_full_socket),
		cmocka_unit_test(test_restart_in_lease),
		cmocka_unit_test(test_restart_past_lease),
		cmocka_unit_test(test_kill_keeps_sessions),
		cmocka_unit_test(test_power_loss_holds),
		cmocka_unit_test(test_wiped_secondary),
		cmocka_unit_test(test_wiped_primary),
		cmocka_unit_test(test_request_behind_a_release),
		cmocka_unit_test(test_ha_doesnt_answer),
		cmocka_unit_test(test_ha_crashes),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_graceful_stop),
		cmocka_unit_test(test_terminate),
		cmocka_unit_test(test_stop_when_drained),
		cmocka_unit_test(test_force_needs_a_lost_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
