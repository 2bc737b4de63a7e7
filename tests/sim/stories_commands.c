/*
 * stories of operators' commands.
 */
#include "core/node_int.h"
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- drain, stop, terminate, takeover
 */

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

static void command_often(struct world *w, unsigned side, enum ipsp_command command, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		host_command(&w->hosts[side], command, false, IPSP_MODE_ACTIVE);
	story_run(w, 100);
}

/* However many wait for a check of the configuration: a takeover has its place. */
static void test_checks_leave_places(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	story_run(w, 15000);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_LOST);
	command_often(w, S, IPSP_CMD_CHECK, 50);
	assert_int_equal(w->hosts[S].command_err, IPSP_ERR_OVERLOADED); /* of the last */
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_end(w);
}

/* A takeover that finds no place to wait is refused, and has not happened. */
static void test_refused_is_not_done(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	story_run(w, 8500);
	command_often(w, S, IPSP_CMD_TAKEOVER, 16); /* nobody answers, and that isn't known yet */
	while (story_status(w, S).peer_state != IPSP_PEER_LOST)
		story_run(w, 100);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_OVERLOADED);
	story_run(w, 1000);
	story_expect_side(w, S, "secondary", "peer-lost", true);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	story_run(w, 10000); /* those before have ended */
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_end(w);
}

/*
 * S is started with a file that has no pool-share-protocol, while addresses are shared out: it
 * serves nothing. Put back by a reload it is there again. It has heard nobody for longer than a
 * dead interval then, but as it didn't listen that is no silence, and no takeover.
 */
static void test_left_out_of_the_file(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.psp.enabled = false;
	story_start(w, S);
	story_run(w, (DEAD_S + 5) * 1000);
	story_expect_side(w, S, "none", "disabled", false);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_cut(w, true, true);
	w->hosts[S].conf.psp.enabled = true;
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_run(w, (DEAD_S - 1) * 1000);
	story_expect_side(w, S, "secondary", "peer-lost", false);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_expect_side(w, S, "secondary", "active", true);
	story_expect_pool(w, S, 1, 0, 7);
	story_end(w);
}

/*
 * P went alone by force, and what S still knows of the books that ended makes P ask S for all. S
 * leaves before it has answered: it owns nothing, so that P, which has to own all, does.
 */
static void test_left_by_who_was_asked(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	story_command(w, S, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 5000);
	story_cut(w, true, true);
	story_command(w, P, IPSP_CMD_DISABLE, true, 0);
	story_take(w, HA1, "mn-3", NULL);
	host_reload(&w->hosts[P], DEAD_S * 1000); /* IPSP is enabled again */
	w->net.mix.delay = SIM_MS(50);
	story_cut(w, false, false);
	story_until_state(w, P, IPSP_ST_LOCKED);
	assert_true(story_noted(w, P, "this side has lost its state"));
	host_kill(&w->hosts[S]); /* before it hears that */
	story_cut(w, true, true);
	story_start(w, S);
	story_run(w, 5000);
	story_command(w, S, IPSP_CMD_DISABLE, false, 0);
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_run(w, 5000);
	story_cut(w, false, false);
	story_expect_rest(w, 60000);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	assert_non_null(ha_find(&w->has[HA1], 3, 1));
	story_expect_pool(w, P, 2, 6, 0);
	story_end(w);
}

/*
 * Each side has made all addresses its own. They have met, but not shared yet, when S takes over by
 * force: what it owns has to come from books that P doesn't take for shared ones.
 */
static void test_forced_before_anything_is_shared(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_command(w, P, IPSP_CMD_DISABLE, false, 0);
	story_run(w, 3000);
	story_command(w, S, IPSP_CMD_DISABLE, true, 0);
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, true);
	host_reload(&w->hosts[P], DEAD_S * 1000);
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_run(w, 5000);
	story_cut(w, false, false);
	story_until_state(w, S, IPSP_ST_LOCKED);
	host_kill(&w->hosts[S]);
	story_cut(w, true, true);
	story_start(w, S);
	story_run(w, 5000);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_run(w, 5000);
	story_cut(w, false, false);
	story_expect_rest(w, 60000);
	story_end(w);
}

/*
 * Both sides left by force, and S is left without an address, but not without sessions. P shares
 * again, and its first item is late: S knows that by a hello, and says what they use all the same.
 */
static void test_without_and_with_sessions(void **state)
{
	struct world *w = story_begin();
	const struct ipsp_stats *p, *s;
	uint64_t repeated, heard;

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, true);
	story_command(w, S, IPSP_CMD_DISABLE, true, 0);
	story_take(w, HA2, "mn-9", "10.1.0.5");
	host_reload(&w->hosts[S], DEAD_S * 1000); /* IPSP is enabled again */
	w->net.mix.delay = SIM_MS(50);
	story_cut(w, false, false);
	story_until_state(w, S, IPSP_ST_LOCKED);
	assert_true(story_noted(w, S, "this side has lost its state"));
	host_command(&w->hosts[P], IPSP_CMD_DISABLE, true, IPSP_MODE_ACTIVE);
	story_run(w, 1000);
	w->net.mix.delay = SIM_MS(1);
	host_reload(&w->hosts[P], DEAD_S * 1000);
	p = story_stats(w, P);
	s = story_stats(w, S);
	repeated = story_status(w, P).sent;
	while (story_status(w, P).sent == repeated)
		story_run(w, 1);
	story_cut(w, false, true);
	story_run(w, 10);
	repeated = p->items_repeated;
	heard = s->hellos_received;
	while (s->hellos_received == heard) {
		story_cut(w, false, p->items_repeated != repeated);
		repeated = p->items_repeated;
		story_run(w, 1);
	}
	story_cut(w, false, false);
	story_expect_rest(w, 60000);
	assert_non_null(ha_find(&w->has[HA2], 9, 1));
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/*
 * S owns all by books of its own, and P nothing. They have met, but not shared yet, when P takes
 * over by force: S knows then that they are a pair, as a primary does that was taken over from.
 */
static void test_forced_by_the_one_without(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_leave(w, HA1, "mn-1"); /* the last one: S owns all */
	story_run(w, 5000);
	story_command(w, S, IPSP_CMD_DISABLE, false, 0);
	story_run(w, 4000);
	story_take(w, HA2, "mn-2", "10.1.0.2");
	host_reload(&w->hosts[S], DEAD_S * 1000); /* IPSP is enabled again */
	story_until_state(w, S, IPSP_ST_LOCKED);
	host_kill(&w->hosts[S]);
	story_run(w, 12000);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_take(w, HA1, "mn-3", "10.1.0.3");
	assert_non_null(ha_find(&w->has[HA1], 3, 1));
	story_start(w, S);
	story_expect_rest(w, 30000);
	assert_non_null(ha_find(&w->has[HA1], 3, 1));
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

static void one_by_one(struct world_conf *conf)
{
	conf->block_size = 1;
}

static void holds(struct world_conf *conf)
{
	conf->pools[0].hold_s = 20;
}

/* A session comes to P while it yields because its last one has ended, and ends: then all is free.
 */
static void all_free_after_another(unsigned wait_ms)
{
	struct world *w = story_begin_with(one_by_one);

	story_take(w, HA1, "mn-1", NULL);
	story_run(w, 3000);
	w->all_free_at = SIM_NEVER;
	ha_end(&w->has[HA1], 1, 1);
	story_run(w, wait_ms);
	ha_request(&w->has[HA1], HA_NEW, 2, 1, NO_ADDR, -1, -1);
	story_run(w, 3000);
	if (ha_find(&w->has[HA1], 2, 1))
		ha_end(&w->has[HA1], 2, 1);
	story_run(w, 120000);
	assert_int_not_equal(w->all_free_at, SIM_NEVER);
	story_end(w);
}

/* An address that S holds flows to P while that yields: it goes back, and all is free. */
static void all_free_after_a_held_one(unsigned gap_us, bool terminate)
{
	struct world *w = story_begin_with(holds);

	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_run(w, 2000);
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_run(w, 2000);
	w->all_free_at = SIM_NEVER;
	if (terminate) {
		ha_end(&w->has[HA2], 2, 1);
		story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
		ha_end(&w->has[HA1], 1, 1);
	} else {
		ha_end(&w->has[HA1], 1, 1);
		world_run_until(w, w->now + gap_us);
		ha_end(&w->has[HA2], 2, 1);
	}
	story_run(w, 120000);
	if (terminate)
		story_expect_pool(w, P, 0, 0, 8);
	else
		assert_int_not_equal(w->all_free_at, SIM_NEVER);
	story_end(w);
}

static void test_all_free_is_said(void **state)
{
	(void)state;
	for (unsigned ms = 1; ms < 24; ms += 3)
		all_free_after_another(ms);
	for (unsigned gap = 0; gap <= 5000; gap += 500)
		all_free_after_a_held_one(gap, false);
	all_free_after_a_held_one(0, true);
}

/* A secondary that is drained gives back what it had ahead of need: then IPSP may be disabled. */
static void test_drained_secondary(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	for (unsigned i = 2; i < 5; i++) {
		char mn[16];
		snprintf(mn, sizeof mn, "mn-%u", i);
		story_take(w, HA2, mn, NULL);
	}
	story_command(w, S, IPSP_CMD_DRAIN, false, 0);
	for (unsigned i = 2; i < 5; i++)
		ha_end(&w->has[HA2], i, 1);
	story_run(w, 5000);
	story_expect_pool(w, S, 0, 0, 8);
	assert_true(story_status(w, S).drained);
	story_command(w, S, IPSP_CMD_DISABLE, false, 0);
	story_end(w);
}

/* Somebody drains and undrains as fast as the commands can be sent: hellos, items and answers find
 * a turn in between, and each command is answered. */
static void test_drains_in_a_loop(void **state)
{
	struct world *w = story_begin();

	(void)state;
	w->hosts[P].disk.flush_min = w->hosts[P].disk.flush_max = 5000;
	for (unsigned ms = 0; ms < 40000; ms++) {
		host_command(&w->hosts[P], ms % 2 ? IPSP_CMD_UNDRAIN : IPSP_CMD_DRAIN, false,
			     IPSP_MODE_ACTIVE);
		story_run(w, 1);
	}
	assert_true(story_stats(w, P)->hello_late_max_ms < 100);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	for (unsigned ms = 0; ms < 2000; ms++) {
		host_command(&w->hosts[P], ms % 2 ? IPSP_CMD_UNDRAIN : IPSP_CMD_DRAIN, false,
			     IPSP_MODE_ACTIVE);
		if (ms == 0)
			assert_true(ha_request(&w->has[HA2], HA_NEW, 1, 1, NO_ADDR, -1, -1));
		story_run(w, 1);
	}
	assert_non_null(ha_find(&w->has[HA2], 1, 1)); /* with an address of the other side's */
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* The disk takes its time with a drain: the peer hears meanwhile that somebody is there, and takes
 * over only when that would be an outage. */
static void test_a_drain_on_a_slow_disk(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_run(w, 5000);
	w->hosts[P].disk.flush_min = w->hosts[P].disk.flush_max = 14 * 1000 * 1000;
	host_command(&w->hosts[P], IPSP_CMD_DRAIN, false, IPSP_MODE_ACTIVE);
	for (unsigned s = 0; s < 13; s++) {
		story_run(w, 1000);
		assert_true(ipsp_heard(w->hosts[S].node));
		assert_false(w->hosts[S].node->peer.hello.flags & IPSP_HF_DRAINING);
	}
	w->hosts[P].disk.flush_min = w->hosts[P].disk.flush_max = 1000;
	story_run(w, 2000);
	assert_true(w->hosts[S].node->peer.hello.flags & IPSP_HF_DRAINING);
	assert_true(story_stats(w, P)->hello_late_max_ms < 100);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	w->hosts[P].disk.flush_min = w->hosts[P].disk.flush_max = 100ULL * 1000 * 1000;
	host_command(&w->hosts[P], IPSP_CMD_DRAIN, false, IPSP_MODE_ACTIVE);
	story_run(w, (DEAD_S * 3 / 2 + 2) * 1000); /* half a dead interval it was heard */
	assert_false(ipsp_heard(w->hosts[S].node));
	w->hosts[P].disk.flush_min = w->hosts[P].disk.flush_max = 1000;
	story_run(w, 60000);
	story_end(w);
}

/* Where the peer is terminated a drain by force would leave nobody that serves. */
static void test_drain_beside_one_that_is_terminated(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	story_command(w, S, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 2000);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_side(w, S, "secondary", "terminated", false);
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	story_run(w, 3000);
	assert_true(
		story_noted(w, S, "the termination of this side, the secondary, is taken back"));
	story_expect_side(w, S, "secondary", "active", true);
	story_end(w);
}

/* Both commands are on their way at once: one side goes, and the other serves. */
static void both_at_once(enum ipsp_command at_p, enum ipsp_command at_s, bool sessions)
{
	struct world *w = story_begin();
	unsigned n_serve = 0;

	if (sessions) {
		story_take(w, HA1, "mn-1", NULL);
		story_take(w, HA2, "mn-2", NULL);
	}
	story_run(w, 2000);
	host_command(&w->hosts[P], at_p, false, IPSP_MODE_ACTIVE);
	host_command(&w->hosts[S], at_s, false, IPSP_MODE_ACTIVE);
	for (unsigned i = 0; i < 3; i++) {
		story_run(w, 5000);
		n_serve = 0;
		for (unsigned side = P; side <= S; side++)
			n_serve += story_status(w, side).serving;
		assert_int_equal(n_serve, 1);
	}
	story_end(w);
}

static void test_drained_and_terminated_at_once(void **state)
{
	static const enum ipsp_command commands[] = {IPSP_CMD_DRAIN, IPSP_CMD_TERMINATE};

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		both_at_once(commands[i & 1], commands[i >> 1 & 1], i >> 2);
}

/* The peer is gone. What can't be left without it is refused with the same word before and after
 * the dead interval: no-peer where this side owns all, shared-out where both own some. */
static void leaves_a_peer_that_is_gone(bool all)
{
	const int err = all ? IPSP_ERR_NO_PEER : IPSP_ERR_SHARED_OUT;
	struct world *w = story_begin();

	if (!all)
		story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	host_kill(&w->hosts[S]);
	story_run(w, (DEAD_S - 5) * 1000);
	story_command(w, P, IPSP_CMD_DISABLE, false, err);
	story_run(w, 10000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_command(w, P, IPSP_CMD_DISABLE, false, err);
	assert_non_null(strstr(w->hosts[P].command_text, "start ipspd there"));
	story_command(w, P, IPSP_CMD_DISABLE, true, 0);
	story_end(w);
}

static void test_leaving_a_peer_that_is_gone(void **state)
{
	(void)state;
	leaves_a_peer_that_is_gone(true);
	leaves_a_peer_that_is_gone(false);
}

int stories_commands(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_graceful_stop),
		cmocka_unit_test(test_terminate),
		cmocka_unit_test(test_stop_when_drained),
		cmocka_unit_test(test_force_needs_a_lost_peer),
		cmocka_unit_test(test_checks_leave_places),
		cmocka_unit_test(test_refused_is_not_done),
		cmocka_unit_test(test_left_out_of_the_file),
		cmocka_unit_test(test_left_by_who_was_asked),
		cmocka_unit_test(test_forced_before_anything_is_shared),
		cmocka_unit_test(test_without_and_with_sessions),
		cmocka_unit_test(test_forced_by_the_one_without),
		cmocka_unit_test(test_all_free_is_said),
		cmocka_unit_test(test_drained_secondary),
		cmocka_unit_test(test_drains_in_a_loop),
		cmocka_unit_test(test_a_drain_on_a_slow_disk),
		cmocka_unit_test(test_drain_beside_one_that_is_terminated),
		cmocka_unit_test(test_drained_and_terminated_at_once),
		cmocka_unit_test(test_leaving_a_peer_that_is_gone),
	};

	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
