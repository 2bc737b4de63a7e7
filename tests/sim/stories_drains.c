/*
 * stories_drains - a drain, or another way out of service, where the peer can't take over: it is
 * refused, and what is said leads out.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Refused with @err and words that have @words; nothing was changed. */
static void expect_refused(struct world *w, unsigned side, enum ipsp_command command, bool force,
			   int err, const char *words)
{
	const bool drained = story_status(w, side).draining;

	story_command(w, side, command, force, err);
	if (!strstr(w->hosts[side].command_text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, w->hosts[side].command_text);
	assert_int_equal(story_status(w, side).draining, drained);
}

static void expect_drain_refused(struct world *w, unsigned side, int err, const char *words)
{
	expect_refused(w, side, IPSP_CMD_DRAIN, false, err, words);
	story_command(w, side, IPSP_CMD_DRAIN, true, 0); /* the operator knows better */
	assert_true(story_status(w, side).draining);
}

/* ---------------------------------------------------------------- the sides differ */

static void test_drain_with_other_pools(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[S].conf.pools[0].priority = 3;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 6000);
	for (unsigned side = P; side <= S; side++)
		expect_refused(w, side, IPSP_CMD_DRAIN, false, IPSP_ERR_CONFIG_MISMATCH,
			       "the pools of the two sides differ");
	story_expect_side(w, P, "primary", "config-mismatch", true);
	expect_drain_refused(w, P, IPSP_ERR_CONFIG_MISMATCH, "check-config");
	assert_true(story_noted(w, P, "takes over nothing"));
	story_end(w);
}

static void test_drain_with_one_role(void **state)
{
	(void)state;
	for (enum ipsp_role role = IPSP_ROLE_PRIMARY; role <= IPSP_ROLE_SECONDARY; role++) {
		struct world *w = story_begin_cold(NULL);

		w->hosts[P].conf.psp.role = w->hosts[S].conf.psp.role = role;
		w->check.one_role = true;
		story_start(w, P);
		story_start(w, S);
		story_run(w, 6000);
		for (unsigned side = P; side <= S; side++)
			expect_refused(w, side, IPSP_CMD_DRAIN, false, IPSP_ERR_CONFIG_MISMATCH,
				       "both sides are configured with one role");
		assert_int_equal(story_status(w, P).serving, role == IPSP_ROLE_PRIMARY);
		story_end(w);
	}
}

/* The one that gives is drained by force: what is said of the two stays true. */
static void test_one_role_and_the_one_that_gives_is_drained(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[S].conf.psp.role = IPSP_ROLE_PRIMARY;
	w->check.one_role = true;
	story_start(w, P);
	story_start(w, S);
	story_run(w, 6000);
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	story_run(w, 3000);
	expect_refused(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_CONFIG_MISMATCH,
		       "but it is drained: undrain it");
	assert_true(story_status(w, S).role_conflict);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_expect_side(w, P, "primary", "config-mismatch", true);
	story_end(w);
}

/* ---------------------------------------------------------------- the link */

/* Within the loss time the peer is shown as up, and nothing gets to it all the same. */
static void test_drain_with_a_failed_link(void **state)
{
	struct world *w = story_begin();

	(void)state;
	host_link(&w->hosts[P], false);
	story_run(w, 100);
	assert_int_equal(story_status(w, P).peer_state, IPSP_PEER_UP);
	expect_drain_refused(w, P, IPSP_ERR_NO_PEER,
			     "this side's own link fails: interface v is down");
	story_end(w);
}

static void test_drain_unheard(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	story_cut(w, true, false); /* S hears P, and is not heard */
	story_run(w, 15000);
	assert_true(story_status(w, S).unheard);
	expect_drain_refused(w, S, IPSP_ERR_NO_PEER, "does not hear this side");
	story_end(w);
}

/* What fails here doesn't keep the peer from being heard, and that forbids all force. */
static void test_takeover_with_a_failed_link(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-2", NULL);
	host_link(&w->hosts[S], false);
	story_run(w, 100);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_NO_PEER);
	assert_null(strstr(w->hosts[S].command_text, "--force"));
	story_cut(w, true, true);
	story_run(w, 15000);
	expect_refused(w, S, IPSP_CMD_TAKEOVER, false, IPSP_ERR_NO_PEER, "takeover --force");
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_end(w);
}

/* ---------------------------------------------------------------- out of service */

/* The peer of a side that is terminated dies: nobody serves, and there is a way out. */
static void test_terminated_and_the_peer_dies(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	expect_refused(w, P, IPSP_CMD_DRAIN, false, IPSP_ERR_DISABLED,
		       "pool-share-protocol mode active");
	expect_refused(w, S, IPSP_CMD_DRAIN, false, IPSP_ERR_DRAINING, "the peer is terminated");
	host_kill(&w->hosts[S]);
	story_run(w, 15000);
	assert_true(story_noted(w, P, "this side is terminated, so nobody is served"));
	story_run(w, DEAD_S * 1000);
	story_expect_side(w, P, "secondary", "terminated", false);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_take(w, HA1, "mn-2", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_start(w, S);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* Back by its mode, with the peer dead: S6 keeps it back, and that is ended by force. */
static void test_terminated_and_back_without_the_peer(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	host_kill(&w->hosts[S]);
	story_run(w, 15000);
	story_command(w, P, IPSP_CMD_MODE, false, 0);
	story_run(w, 2 * DEAD_S * 1000);
	assert_false(story_status(w, P).serving);
	assert_true(story_status(w, P).kept_back);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_end(w);
}

/* Primary already, and drained by force: a takeover ends the drain, and says so. */
static void test_takeover_of_a_drained_primary(void **state)
{
	(void)state;
	for (unsigned lost_s = 15; lost_s <= 60; lost_s += 45) { /* lost, and down */
		struct world *w = story_begin();

		story_take(w, HA1, "mn-1", "10.1.0.1");
		host_kill(&w->hosts[S]);
		story_run(w, lost_s * 1000);
		assert_true(story_status(w, P).serving);
		story_command(w, P, IPSP_CMD_DRAIN, true, 0);
		assert_true(story_noted(w, P,
					"this side is drained, so nobody is served while the peer "
					"is away"));
		assert_false(story_status(w, P).serving);
		story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
		assert_false(story_status(w, P).draining);
		assert_true(story_noted(w, P, "drained no more"));
		story_expect_side(w, P, "primary", "peer-down", true);
		story_end(w);
	}
}

/* The same where nothing was ever shared. */
static void test_takeover_of_a_drained_primary_alone(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_run(w, 6000);
	story_command(w, P, IPSP_CMD_DRAIN, true, 0);
	assert_false(story_status(w, P).serving);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	assert_false(story_status(w, P).draining);
	assert_true(story_status(w, P).serving);
	story_end(w);
}

/* Asked at once after an undrain: the peer, which has not heard of that yet, refuses one that
 * drains. */
static void test_asked_right_after_an_undrain(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, S, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 3000); /* all that it owned has moved */
	story_cut(w, true, false);
	story_command(w, S, IPSP_CMD_UNDRAIN, false, 0);
	story_run(w, 40); /* the hello that says so is lost */
	story_cut(w, false, false);
	assert_true(ha_request(&w->has[HA2], HA_NEW, 8, 1, NO_ADDR, -1, -1));
	story_run(w, 2000);
	assert_non_null(ha_find(&w->has[HA2], 8, 1));
	story_end(w);
}

/* Its HA never comes back: the drain ends when an operator ends the session without it, and the
 * peer gets the address like any other. */
static void test_an_ha_that_is_gone_for_good(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", NULL);
	ha_crash(&w->has[HA1]);
	ha_hang(&w->has[HA1], UINT64_MAX);
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_release(w, P, "10.1.0.1");
	story_run(w, 3 * DEAD_S * 1000);
	assert_int_equal(story_status(w, P).used, 1);
	assert_false(story_status(w, P).drained);
	story_force_release(w, P, "10.1.0.1");
	assert_int_equal(w->hosts[P].command_err, 0);
	story_run(w, 5000);
	assert_true(story_status(w, P).drained);
	story_expect_side(w, S, "primary", "active", true);
	story_take(w, HA2, "mn-3", "10.1.0.1");
	assert_non_null(ha_find(&w->has[HA2], 3, 1));
	story_end(w);
}

int stories_drains(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drain_with_other_pools),
		cmocka_unit_test(test_drain_with_one_role),
		cmocka_unit_test(test_one_role_and_the_one_that_gives_is_drained),
		cmocka_unit_test(test_drain_with_a_failed_link),
		cmocka_unit_test(test_drain_unheard),
		cmocka_unit_test(test_takeover_with_a_failed_link),
		cmocka_unit_test(test_terminated_and_the_peer_dies),
		cmocka_unit_test(test_terminated_and_back_without_the_peer),
		cmocka_unit_test(test_takeover_of_a_drained_primary),
		cmocka_unit_test(test_takeover_of_a_drained_primary_alone),
		cmocka_unit_test(test_asked_right_after_an_undrain),
		cmocka_unit_test(test_an_ha_that_is_gone_for_good),
	};

	return cmocka_run_group_tests_name("drains", tests, NULL, NULL);
}
