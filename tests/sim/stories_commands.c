/*
 * stories of operators' commands.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

int stories_commands(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_graceful_stop),
		cmocka_unit_test(test_terminate),
		cmocka_unit_test(test_stop_when_drained),
		cmocka_unit_test(test_force_needs_a_lost_peer),
		cmocka_unit_test(test_left_out_of_the_file),
	};

	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
