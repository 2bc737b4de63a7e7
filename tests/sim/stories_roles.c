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

int stories_roles(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_before_sharing),
		cmocka_unit_test(test_a_new_session_is_no_loss),
		cmocka_unit_test(test_terminated_and_a_new_session),
		cmocka_unit_test(test_lost_before_sharing),
	};

	return cmocka_run_group_tests_name("roles", tests, NULL, NULL);
}
