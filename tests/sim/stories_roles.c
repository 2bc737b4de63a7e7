/*
 * stories_roles - who is primary, who serves, and what is said of a peer that comes, goes and
 * stops.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void set_mode(struct world *w, unsigned side, enum ipsp_mode mode)
{
	host_command(&w->hosts[side], IPSP_CMD_MODE, false, mode);
	story_run(w, 100);
}

/* ---------------------------------------------------------------- not lost at all */

static void nobody_was_lost(struct world *w)
{
	for (unsigned side = P; side <= S; side++) {
		assert_int_equal(w->hosts[side].n_traps[IPSP_TRAP_PEER_LOST], 0);
		assert_int_equal(w->hosts[side].n_hooks[IPSP_HOOK_PEER_LOST], 0);
		assert_int_equal(story_stats(w, side)->peer_losses, 0);
		assert_false(story_noted(w, side, "lost"));
		assert_int_equal(story_status(w, side).peer_state, IPSP_PEER_UP);
	}
}

/* A reload in the first seconds, when the pools are compared and not shared yet. */
static void test_reload_before_sharing(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 500);
	for (unsigned i = 0; i < 8; i++) {
		host_reload(&w->hosts[i % 2], DEAD_S * 1000);
		story_run(w, 300);
	}
	story_expect_rest(w, 5000);
	nobody_was_lost(w);
	story_end(w);
}

/* A session of keys that ends before anything is shared: by mode, by a start, by other pools. */
static void test_a_new_session_is_no_loss(void **state)
{
	struct world *w = story_begin_cold(NULL);
	struct ipsp_pool_conf pool;

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_CHECK; /* which holds the first assignment back */
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	set_mode(w, S, IPSP_MODE_CHECK);
	story_run(w, 2000);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	story_run(w, 2000);
	nobody_was_lost(w);
	host_kill(&w->hosts[S]); /* back within the loss time */
	story_start(w, S);
	story_run(w, 2000);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_UP);
	assert_false(story_noted(w, P, "lost"));
	pool = w->hosts[S].conf.pools[0];
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.pools[0].priority = 3; /* compared anew, and different */
	story_start(w, S);
	story_run(w, 2000);
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.pools[0] = pool;
	story_start(w, S);
	story_run(w, 2000);
	set_mode(w, P, IPSP_MODE_ACTIVE);
	story_expect_rest(w, 5000);
	nobody_was_lost(w);
	story_end(w);
}

/* The same on a side that is terminated: the peer restarts, and is back within the loss time. */
static void test_terminated_and_a_new_session(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 3000);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_UP);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_PEER_LOST], 0);
	host_kill(&w->hosts[S]);
	story_run(w, 12000);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_LOST);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_PEER_LOST], 1);
	story_end(w);
}

/* One that really goes before anything was shared is lost after the loss time, as ever. */
static void test_lost_before_sharing(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_CHECK;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	set_mode(w, P, IPSP_MODE_INACTIVE);
	story_run(w, 8000);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_UP);
	story_run(w, 3000);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_LOST);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_LOST], 1);
	assert_true(story_noted(w, S, "the peer is lost; nothing was shared with it"));
	story_end(w);
}

/* ---------------------------------------------------------------- both are primary */

static void both_primary(struct world *w)
{
	w->hosts[S].conf.psp.role = IPSP_ROLE_PRIMARY;
	w->check.one_role = true;
	for (unsigned side = P; side <= S; side++) {
		story_start(w, side);
		w->hosts[side].n_traps[IPSP_TRAP_CONFIG_MISMATCH] = 0;
	}
}

/* @one gives new addresses, the other refuses; both have said so once, and why. */
static void expect_one(struct world *w, unsigned one, const char *why)
{
	const unsigned other = 1 - one;

	for (unsigned side = P; side <= S; side++) {
		const struct host *h = &w->hosts[side];

		assert_int_equal(h->n_traps[IPSP_TRAP_CONFIG_MISMATCH], 1);
		assert_int_equal(h->n_hooks[IPSP_HOOK_CONFIG_MISMATCH], 1);
		assert_true(story_noted(w, side, "both sides are configured as primary"));
		assert_true(story_noted(w, side, why));
		assert_true(story_status(w, side).role_conflict);
		story_command(w, side, IPSP_CMD_CHECK, false, IPSP_ERR_CONFIG_MISMATCH);
		assert_non_null(strstr(ipsp_node_difference(h->node, 0),
				       "configured roles: here primary, peer primary"));
	}
	story_expect_side(w, one, "primary", "config-mismatch", true);
	story_expect_side(w, other, "primary", "config-mismatch", false);
	story_take(w, one, "mn-20", NULL);
	assert_int_equal(w->has[one].last_err, 0);
	story_take(w, other, "mn-21", NULL);
	assert_int_equal(w->has[other].last_err, IPSP_ERR_CONFIG_MISMATCH);
	story_take(w, other, "mn-22", "10.1.0.8");
	assert_int_equal(w->has[other].last_err, IPSP_ERR_CONFIG_MISMATCH);
}

/* Neither has sessions, or both have: the one with the lower address. */
static void test_both_primary(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	both_primary(w);
	story_run(w, 6000);
	expect_one(w, P, "has the lower address, and neither has sessions");
	story_end(w);

	w = story_begin_cold(NULL);
	story_cut(w, true, true);
	both_primary(w);
	story_run(w, 6000);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.7");
	story_cut(w, false, false);
	story_run(w, 6000);
	expect_one(w, P, "has the lower address, and both have sessions");
	story_again(w, HA2, "mn-2"); /* what a session has is confirmed all the same */
	story_run(w, 100);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

/* Only one has sessions: it, whatever its address; and until its last one has ended. */
static void test_both_primary_and_sessions(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_INACTIVE;
	both_primary(w);
	story_run(w, 6000);
	story_take(w, HA2, "mn-2", NULL);
	set_mode(w, P, IPSP_MODE_ACTIVE);
	story_run(w, 6000);
	expect_one(w, S, "has sessions and the other has none");
	story_leave(w, HA2, "mn-20");
	story_leave(w, HA2, "mn-2");
	story_run(w, 2000);
	assert_true(story_status(w, P).serving);
	assert_false(story_status(w, S).serving);
	story_end(w);
}

/* What is held for sessions that may have outlived the host counts as they do. */
static void test_both_primary_and_a_reboot(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_INACTIVE;
	both_primary(w);
	story_run(w, 6000);
	story_take(w, HA2, "mn-2", "10.1.0.1");
	set_mode(w, P, IPSP_MODE_ACTIVE);
	story_run(w, 6000);
	story_expect_side(w, S, "primary", "config-mismatch", true);
	host_power_off(&w->hosts[S], true);
	story_run(w, 500);
	story_start(w, S);
	story_run(w, 6000);
	story_expect_side(w, P, "primary", "config-mismatch", false);
	story_take(w, HA1, "mn-7", "10.1.0.1");
	assert_int_equal(w->has[HA1].last_err, IPSP_ERR_CONFIG_MISMATCH);
	story_again(w, HA2, "mn-2");
	story_run(w, 1000);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_expect_side(w, S, "primary", "config-mismatch", true);
	story_end(w);
}

/* The roles are mended by a reload of one file: the pair shares. */
static void test_both_primary_mended(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	both_primary(w);
	story_run(w, 6000);
	story_take(w, HA1, "mn-1", NULL);
	w->hosts[S].conf.psp.role = IPSP_ROLE_SECONDARY;
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
	assert_false(story_status(w, P).role_conflict);
	story_command(w, S, IPSP_CMD_CHECK, false, 0);
	story_end(w);
}

/*
 * The one that gives dies: the other, which heard it, does so again after one dead interval of
 * silence and not before; or when an operator says so; or when the first has stopped in order.
 */
static void test_both_primary_and_one_dies(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	both_primary(w);
	story_run(w, 6000);
	story_take(w, HA1, "mn-1", NULL);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_CONFIG_MISMATCH); /* it is heard */
	host_kill(&w->hosts[P]);
	story_run(w, (DEAD_S - 3) * 1000);
	story_expect_side(w, S, "primary", "connecting", false);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_SILENCE);
	story_run(w, 5000);
	story_expect_side(w, S, "primary", "connecting", true);
	assert_true(story_noted(w, S, "this side gives new addresses again"));
	story_start(w, P);
	story_run(w, 6000);
	assert_int_equal(story_status(w, P).serving + story_status(w, S).serving, 1);
	host_kill(&w->hosts[P]);
	story_run(w, 20000);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, S, "primary", "connecting", true);
	story_end(w);
}

/* One direction of the link is dead: the one that hears stands back. */
static void test_both_primary_one_way(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	both_primary(w);
	story_run(w, 6000);
	story_cut(w, false, true); /* S hears nothing any more, and has lost */
	story_run(w, 3 * DEAD_S * 1000);
	assert_true(story_status(w, P).serving || !story_status(w, S).serving);
	story_end(w);
}

/* In check-config as well, where a primary that has never shared serves. */
static void test_both_primary_only_compare(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = w->hosts[S].conf.psp.mode = IPSP_MODE_CHECK;
	both_primary(w);
	story_run(w, 6000);
	story_expect_side(w, P, "primary", "checking", true);
	story_expect_side(w, S, "primary", "checking", false);
	for (unsigned side = P; side <= S; side++) {
		story_command(w, side, IPSP_CMD_CHECK, false, IPSP_ERR_CONFIG_MISMATCH);
		assert_int_equal(w->hosts[side].n_traps[IPSP_TRAP_CONFIG_MISMATCH], 1);
	}
	story_end(w);
}

static void test_both_secondary(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.role = IPSP_ROLE_SECONDARY;
	w->check.one_role = true;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 6000);
	for (unsigned side = P; side <= S; side++) {
		story_expect_side(w, side, "secondary", "config-mismatch", false);
		assert_true(
			story_noted(w, side,
				    "both sides are configured as secondary: nothing is shared, "
				    "and neither side gives addresses"));
		assert_int_equal(w->hosts[side].n_hooks[IPSP_HOOK_CONFIG_MISMATCH], 1);
		story_command(w, side, IPSP_CMD_CHECK, false, IPSP_ERR_CONFIG_MISMATCH);
		story_take(w, side, "mn-1", NULL);
		assert_int_equal(w->has[side].last_err, IPSP_ERR_CONFIG_MISMATCH);
	}
	story_end(w);
}

/* ---------------------------------------------------------------- a stop in order */

static void expect_no_alarm(struct world *w, unsigned side)
{
	static const enum ipsp_trap alarms[] = {IPSP_TRAP_PEER_LOST, IPSP_TRAP_PEER_DOWN};
	static const enum ipsp_hook hooks[] = {IPSP_HOOK_PEER_LOST, IPSP_HOOK_PEER_DOWN};

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(w->hosts[side].n_traps[alarms[i]], 0);
		assert_int_equal(w->hosts[side].n_hooks[hooks[i]], 0);
	}
	assert_false(story_noted(w, side, "lost"));
	assert_false(story_noted(w, side, "marked down"));
	assert_false(story_noted(w, side, "taking over"));
	assert_false(story_noted(w, side, "not served: the peer is not heard, and"));
}

static void stop_side(struct world *w, unsigned side)
{
	host_command(&w->hosts[side], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 2000);
	assert_null(w->hosts[side].node);
}

/* A drained side is stopped: its peer says so, serves on, and never says anything worse. */
static void test_a_stop_is_no_alarm(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	stop_side(w, P);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_STOPPED);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_STOPPED], 1);
	assert_int_equal(w->hosts[S].n_hooks[IPSP_HOOK_PEER_STOPPED], 1);
	assert_true(story_noted(w, S,
				"the peer has stopped in order, with 0 sessions left: this side "
				"owns 8 of 8 addresses and serves on"));
	for (unsigned i = 0; i < 4; i++) {
		story_run(w, DEAD_S * 1000);
		assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_STOPPED);
		assert_true(story_status(w, S).serving);
	}
	expect_no_alarm(w, S);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_STOPPED], 1);
	story_start(w, P);
	story_expect_rest(w, 15000);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_UP], 2);
	story_end(w);
}

/* With sessions left there: at the dead interval they are used here, and then it is said. */
static void test_a_stop_with_sessions(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	stop_side(w, P);
	assert_true(story_noted(w, S,
				"with 1 sessions left: this side owns 7 of 8 addresses and "
				"serves on"));
	assert_true(
		story_noted(w, S, "not back in one dead interval (30 s), the other 1 addresses"));
	story_run(w, (DEAD_S - 5) * 1000);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_STOPPED);
	expect_no_alarm(w, S);
	story_run(w, 10000);
	story_expect_side(w, S, "primary", "peer-down", true);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_DOWN);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_DOWN], 1);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_LOST], 0);
	story_start(w, P);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* The secondary stops, and is back soon. */
static void test_the_secondary_stops_in_order(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	stop_side(w, S);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_STOPPED);
	story_run(w, 15000);
	story_start(w, S);
	story_expect_rest(w, 10000);
	expect_no_alarm(w, P);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_UP);
	story_end(w);
}

static void test_a_stop_before_sharing(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_CHECK;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 5000);
	stop_side(w, S);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_STOPPED);
	assert_true(story_noted(w, P, "stopped in order; nothing was shared with it"));
	story_run(w, 3 * DEAD_S * 1000);
	expect_no_alarm(w, P);
	story_end(w);
}

/* P comes back with other pools than those that are shared. */
static struct world *begin_with_other_pools(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	host_kill(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = 3;
	story_start(w, P);
	story_run(w, 8000);
	for (unsigned side = P; side <= S; side++)
		assert_int_equal(story_status(w, side).state, IPSP_ST_CONFIG_MISMATCH);
	return w;
}

/* Where all is on one side the pools are as frozen as where both own some. */
static void restarted_with_other_pools(unsigned side)
{
	struct world *w = story_begin();

	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_rest(w, 10000);
	story_expect_pool(w, P, 0, 0, 8);
	host_kill(&w->hosts[side]);
	w->hosts[side].conf.pools[0].priority = 3;
	story_start(w, side);
	assert_true(story_status(w, side).pools_from_log);
	assert_true(story_noted(w, side, "or say \"no pool-share-protocol\" before"));
	assert_int_equal(ipsp_node_conf(w->hosts[side].node)->pools[0].priority, 0);
	story_run(w, 5000);
	host_kill(&w->hosts[side]);
	w->hosts[side].conf.pools[0].priority = 0;
	story_start(w, side);
	assert_false(story_status(w, side).pools_from_log);
	story_expect_rest(w, 10000);
	story_end(w);
}

static void test_a_start_with_other_pools(void **state)
{
	(void)state;
	restarted_with_other_pools(P); /* it owns none */
	restarted_with_other_pools(S); /* all */

	struct world *w = story_begin_cold(NULL); /* nothing was shared */
	story_start(w, P);
	story_run(w, 5000);
	host_kill(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = 3;
	story_start(w, P);
	assert_int_equal(ipsp_node_conf(w->hosts[P].node)->pools[0].priority, 3);
	story_end(w);
}

/* It says goodbye at once and keeps the role, as nothing else could go with it. */
static void stops_with_other_pools(struct world *w)
{
	const uint64_t epoch = story_status(w, S).epoch;

	host_command(&w->hosts[P], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
	story_run(w, 300);
	assert_null(w->hosts[P].node);
	assert_int_equal(story_status(w, S).epoch, epoch);
	assert_int_equal(story_status(w, S).peer_state, IPSP_PEER_STOPPED);
	assert_int_equal(w->hosts[S].n_traps[IPSP_TRAP_PEER_STOPPED], 1);
	story_run(w, (DEAD_S + 10) * 1000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_take(w, HA2, "mn-3", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
}

static void test_a_stop_while_the_pools_differ(void **state)
{
	struct world *w = begin_with_other_pools();

	(void)state;
	story_command(w, P, IPSP_CMD_TERMINATE, false, IPSP_ERR_CONFIG_MISMATCH);
	story_expect_side(w, P, "primary", "config-mismatch", true);
	stops_with_other_pools(w);
	story_end(w);
}

/* The same when it was drained before, and has no session left. */
static void test_a_drained_stop_while_the_pools_differ(void **state)
{
	struct world *w = begin_with_other_pools();

	(void)state;
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	story_leave(w, HA1, "mn-1");
	story_run(w, 3000);
	stops_with_other_pools(w);
	story_end(w);
}

/* Half of all datagrams are lost: the goodbye is heard all the same, in nearly every case. */
static void test_a_goodbye_is_heard(void **state)
{
	unsigned heard = 0;

	(void)state;
	for (unsigned seed = 0; seed < 20; seed++) {
		struct world *w = story_begin();

		w->rand.state += seed;
		story_take(w, HA1, "mn-1", "10.1.0.1");
		story_run(w, 100 * seed);
		w->net.mix.loss = 300;
		host_command(&w->hosts[S], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
		while (w->hosts[S].node)
			story_run(w, 10);
		w->net.mix.loss = 0;
		story_run(w, 20);
		heard += story_status(w, P).peer_state == IPSP_PEER_STOPPED;
		story_end(w);
	}
	assert_true(heard >= 18);
}

/* ---------------------------------------------------------------- drains */

/* A primary that never had a session is drained: it moves all, the role too, and says so. */
static void test_drain_without_a_session(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 5000);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, S, 0, 8, 0);
	story_expect_pool(w, P, 0, 0, 8);
	assert_true(story_status(w, P).drained);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 1);
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_ALL_ADDRESSES_FREE], 1);
	story_end(w);
}

/* While anything is owned here, or on its way, a drain has not come to its end. */
static void test_drained_owns_nothing(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	ha_end(&w->has[HA1], 1, 1);
	for (unsigned ms = 0; ms < 3000; ms++) {
		struct ipsp_pool_status pool;

		story_run(w, 1);
		ipsp_node_pool_status(w->hosts[P].node, 0, &pool);
		if (story_status(w, P).drained)
			assert_int_equal(pool.released, 8);
	}
	assert_true(story_status(w, P).drained);
	story_end(w);
}

/* The peer of a drained side dies: whoever takes over is drained no more, and says so. */
static void test_drained_and_takes_over(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", NULL);
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	host_kill(&w->hosts[S]);
	story_run(w, 15000);
	assert_true(story_noted(w, P, "this side is drained, so nobody is served"));
	story_run(w, DEAD_S * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	assert_false(story_status(w, P).draining);
	assert_true(story_noted(w, P, "drained no more"));
	story_take(w, HA1, "mn-3", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_start(w, S);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* The same in agreement, by force, and where the role comes by itself. */
static void test_drained_and_takeover(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	story_expect_side(w, P, "secondary", "active", false);
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_expect_side(w, P, "primary", "active", true);
	assert_true(story_noted(w, P, "drained no more"));
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 3000);
	host_kill(&w->hosts[S]);
	story_run(w, 12000);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "peer-down", true);
	assert_false(story_status(w, P).draining);
	story_end(w);
}

/* A drain that is begun while the primary's role is on its way here: the role ends it. */
static void test_the_role_comes_to_a_drained_side(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	w->net.mix.delay = SIM_MS(50);
	host_command(&w->hosts[P], IPSP_CMD_TERMINATE, false, IPSP_MODE_ACTIVE);
	story_run(w, 10);
	story_command(w, S, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 3000);
	story_expect_side(w, S, "primary", "active", true);
	assert_false(story_status(w, S).draining);
	story_end(w);
}

/* Nobody would serve: refused, and nothing has changed. */
static void test_drain_needs_the_peer(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_cut(w, true, true);
	story_run(w, 15000);
	for (unsigned side = P; side <= S; side++) {
		story_command(w, side, IPSP_CMD_DRAIN, false, IPSP_ERR_NO_PEER);
		assert_false(story_status(w, side).draining);
	}
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	assert_true(story_status(w, P).draining);
	story_end(w);
}

/* The way back, as the page has it: HA2 ends as a standby that serves, not drained for ever. */
static void test_the_way_back(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	stop_side(w, P);
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_command(w, S, IPSP_CMD_DRAIN, false, 0);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_run(w, 3000);
	assert_true(story_status(w, S).drained);
	story_command(w, S, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_rest(w, 5000);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_side(w, S, "secondary", "active", true);
	story_take(w, HA2, "mn-2", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- P6 from the enabling on */

/* A session that was here at the enabling ends before anything is shared: all is free, and said. */
static void test_zero_before_sharing(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_INACTIVE;
	story_start(w, P);
	story_run(w, 5000);
	story_take(w, HA1, "mn-1", NULL);
	set_mode(w, P, IPSP_MODE_ACTIVE);
	story_leave(w, HA1, "mn-1");
	story_run(w, 5000);
	story_start(w, S);
	story_run(w, 10000);
	story_expect_side(w, S, "primary", "active", true);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_ALL_ADDRS_FREE], 1);
	story_expect_pool(w, P, 0, 0, 8);
	story_end(w);
}

/* ---------------------------------------------------------------- what is frozen, and leaving */

/* B4: in every mode, and without anything being shared. */
static void test_pools_are_frozen_in_any_mode(void **state)
{
	static const enum ipsp_mode modes[] = {IPSP_MODE_INACTIVE, IPSP_MODE_CHECK,
					       IPSP_MODE_ACTIVE};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct world *w = story_begin_cold(NULL);
		struct host *h = &w->hosts[P];
		char why[128];

		h->conf.psp.mode = modes[i];
		story_start(w, P);
		story_run(w, 5000);
		struct ipsp_pool_conf pool = h->conf.pools[0], *pools = h->conf.pools;
		pool.priority = 3;
		h->conf.pools = &pool;
		assert_int_equal(ipsp_node_may_conf(h->node, &h->conf, why), IPSP_ERR_SHARED_OUT);
		assert_non_null(strstr(why, "pools"));
		h->conf.pools = pools;
		assert_int_equal(ipsp_node_may_conf(h->node, &h->conf, why), 0);
		story_end(w);
	}
}

/* The side that owns all asks its peer before it leaves: 5 s and four hello intervals. */
static void test_leaving_waits_and_ends(void **state)
{
	struct world *w = story_begin();
	struct host *p = &w->hosts[P];

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	w->net.mix.delay = SIM_MS(9500); /* in contact yet, and no answer comes */
	p->command_err = 1;
	host_command(p, IPSP_CMD_DISABLE, false, IPSP_MODE_ACTIVE);
	story_run(w, 8900);
	assert_int_equal(p->command_err, 1);
	story_run(w, 300);
	assert_true(p->command_err == IPSP_ERR_TIMEOUT || p->command_err == IPSP_ERR_NO_PEER);
	assert_true(story_status(w, P).conf->psp.enabled);
	story_cut(w, true, true);
	story_run(w, 12000);
	story_command(w, P, IPSP_CMD_DISABLE, false, IPSP_ERR_NO_PEER); /* at once */
	story_end(w);
}

/* ---------------------------------------------------------------- one way */

/* "takeover" and "takeover --force" don't send an operator from one to the other. */
static void test_takeover_one_way(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, false); /* S hears P, and is not heard */
	story_run(w, 25000);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_NO_PEER);
	assert_non_null(strstr(w->hosts[S].command_text, "does not hear this side"));
	story_command(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	assert_non_null(strstr(w->hosts[S].command_text, "does not hear this side"));
	story_end(w);
}

int stories_roles(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_before_sharing),
		cmocka_unit_test(test_a_new_session_is_no_loss),
		cmocka_unit_test(test_terminated_and_a_new_session),
		cmocka_unit_test(test_lost_before_sharing),
		cmocka_unit_test(test_both_primary),
		cmocka_unit_test(test_both_primary_and_sessions),
		cmocka_unit_test(test_both_primary_and_a_reboot),
		cmocka_unit_test(test_both_primary_mended),
		cmocka_unit_test(test_both_primary_and_one_dies),
		cmocka_unit_test(test_both_primary_one_way),
		cmocka_unit_test(test_both_primary_only_compare),
		cmocka_unit_test(test_both_secondary),
		cmocka_unit_test(test_a_stop_is_no_alarm),
		cmocka_unit_test(test_a_stop_with_sessions),
		cmocka_unit_test(test_the_secondary_stops_in_order),
		cmocka_unit_test(test_a_stop_before_sharing),
		cmocka_unit_test(test_a_start_with_other_pools),
		cmocka_unit_test(test_a_stop_while_the_pools_differ),
		cmocka_unit_test(test_a_drained_stop_while_the_pools_differ),
		cmocka_unit_test(test_a_goodbye_is_heard),
		cmocka_unit_test(test_drain_without_a_session),
		cmocka_unit_test(test_drained_owns_nothing),
		cmocka_unit_test(test_drained_and_takes_over),
		cmocka_unit_test(test_drained_and_takeover),
		cmocka_unit_test(test_the_role_comes_to_a_drained_side),
		cmocka_unit_test(test_drain_needs_the_peer),
		cmocka_unit_test(test_the_way_back),
		cmocka_unit_test(test_zero_before_sharing),
		cmocka_unit_test(test_pools_are_frozen_in_any_mode),
		cmocka_unit_test(test_leaving_waits_and_ends),
		cmocka_unit_test(test_takeover_one_way),
	};

	return cmocka_run_group_tests_name("roles", tests, NULL, NULL);
}
