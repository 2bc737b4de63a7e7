/*
 * stories of a side that gives no new addresses, as its peer may have sessions on any of them that
 * it does not know (held.c).
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- the peer has shared other pools
 */

/* P's disk is wiped, and a pool of its file is another one than in what S has shared. */
static void wiped_and_other(struct world *w)
{
	host_kill(&w->hosts[P]);
	disk_wipe(&w->hosts[P].disk);
	check_state_lost(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = 3;
}

static void mended(struct world *w)
{
	host_kill(&w->hosts[P]);
	w->hosts[P].conf.pools[0].priority = w->hosts[S].conf.pools[0].priority;
	story_start(w, P);
	story_expect_rest(w, 60000);
	assert_true(story_noted(w, P, "this side has lost its state"));
	story_end(w);
}

static void expect_held(struct world *w)
{
	story_expect_side(w, P, "primary", "config-mismatch", false);
	assert_true(story_status(w, S).serving);
	assert_true(story_noted(w, P, "the peer has shared addresses, and its pools differ"));
	story_command(w, P, IPSP_CMD_TAKEOVER, false, IPSP_ERR_CONFIG_MISMATCH);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
}

/* It gives nothing while that peer lives, and one dead interval longer. */
static void test_held_until_silence(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_start(w, P);
	story_run(w, 10 * DEAD_S * 1000);
	expect_held(w);
	host_kill(&w->hosts[S]);
	story_run(w, (DEAD_S - 2) * 1000);
	story_expect_side(w, P, "primary", "connecting", false);
	story_run(w, 4000);
	story_expect_side(w, P, "primary", "connecting", true);
	assert_true(story_noted(w, P, "was not heard for one dead interval"));
	story_take(w, HA1, "mn-3", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

static void test_held_until_forced(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_start(w, P);
	story_run(w, 10000);
	expect_held(w);
	host_kill(&w->hosts[S]);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED); /* it was up until now */
	story_run(w, 12000);
	story_expect_side(w, P, "primary", "connecting", false);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "connecting", true);
	story_end(w);
}

/* The peer is primary in an epoch that the wiped side knows nothing of: it serves on. */
static void test_held_in_another_epoch(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_start(w, P);
	story_run(w, 10 * DEAD_S * 1000);
	expect_held(w);
	story_take(w, HA2, "mn-3", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	mended(w);
}

/* The same where it had taken over alone before: its licence ends, and a lease follows. */
static void test_held_after_a_licence(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_run(w, (DEAD_S + 5) * 1000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_start(w, P);
	story_run(w, 10 * DEAD_S * 1000);
	expect_held(w);
	mended(w);
}

/* A shorter interval in the file of the side that is held back does not shorten what it promised.
 */
static void test_held_and_a_shorter_interval(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_start(w, P);
	story_run(w, 10000);
	expect_held(w);
	story_cut(w, true, true);
	host_reload(&w->hosts[P], 10 * 1000);
	story_run(w, (DEAD_S - 2) * 1000);
	assert_false(story_status(w, P).serving && story_status(w, S).serving);
	story_run(w, 4000);
	story_expect_side(w, P, "primary", "connecting", true);
	story_end(w);
}

/* What it has promised holds over its restart, in which the peer is out of reach. */
static void test_held_over_a_restart(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 2000);
	wiped_and_other(w);
	story_start(w, P);
	story_run(w, 10000);
	expect_held(w);
	story_cut(w, true, true);
	host_kill(&w->hosts[P]);
	story_start(w, P);
	story_run(w, (DEAD_S - 2) * 1000);
	story_expect_side(w, P, "primary", "connecting", false);
	host_power_off(&w->hosts[P], false);
	story_start(w, P);
	story_run(w, (DEAD_S - 2) * 1000);
	story_expect_side(w, P, "primary", "connecting", false);
	story_cut(w, false, false);
	story_run(w, 5000);
	mended(w);
}

/* ---------------------------------------------------------------- the peer has sessions */

/* S owns all, has a session, and serves alone: P has left in order, or S was told so by force. */
static struct world *owner_with_a_session(bool force)
{
	struct world *w = story_begin();

	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_take(w, HA2, "mn-2", "10.1.0.1");
	story_run(w, 2000);
	story_command(w, S, IPSP_CMD_DISABLE, force, 0);
	story_run(w, 5000);
	story_expect_side(w, S, "none", "disabled", true);
	return w;
}

static void wiped(struct world *w, unsigned side)
{
	host_kill(&w->hosts[side]);
	disk_wipe(&w->hosts[side].disk);
	check_state_lost(&w->hosts[side]);
}

static void enable_again(struct world *w, unsigned side)
{
	w->hosts[side].conf.psp.enabled = true;
	host_reload(&w->hosts[side], DEAD_S * 1000);
	story_run(w, 100);
}

/* Somebody wants @addr, at every moment of so long a time; and never gets it. */
static void never_gets(struct world *w, unsigned ha, const char *addr, unsigned ms)
{
	static uint32_t mn = 40;
	struct ipsp_addr a;

	assert_int_equal(ipsp_addr_parse(addr, &a), 0);
	mn++;
	for (unsigned i = 0; i < ms; i += 10) {
		if (w->has[ha].token != 0 && ha_n_open(&w->has[ha]) == 0)
			(void)ha_request(&w->has[ha], HA_NEW, mn, 1, world_gaddr(w, a), -1, -1);
		story_run(w, 10);
		assert_null(ha_find(&w->has[ha], mn, 1));
		story_forget(w);
	}
	for (unsigned i = 0; i < 500 && ha_n_open(&w->has[ha]) > 0; i++)
		story_run(w, 10); /* the last answer */
	assert_null(ha_find(&w->has[ha], mn, 1));
}

static void both_serve(struct world *w)
{
	story_expect_rest(w, 10000);
	story_take(w, HA1, "mn-31", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_take(w, HA2, "mn-32", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

/* P's disk is new, so P believes that nothing was shared. It waits for what S has to report. */
static void owner_meets_a_wiped_primary(bool force)
{
	struct world *w = owner_with_a_session(force);

	wiped(w, P);
	enable_again(w, S);
	story_start(w, P);
	never_gets(w, HA1, "10.1.0.1", 10000);
	assert_true(story_noted(w, P, "the peer has 1 session from before"));
	assert_int_equal(story_stats(w, P)->duplicates_found, 0);
	both_serve(w);
}

static void test_owner_and_wiped_primary(void **state)
{
	(void)state;
	owner_meets_a_wiped_primary(false);
}

static void test_owner_by_force_and_wiped_primary(void **state)
{
	(void)state;
	owner_meets_a_wiped_primary(true);
}

/* P is killed, or its host loses power, when it has just made the first assignment; and comes back
 * while S is out of reach: its lease would run. */
static void killed_after_the_first_assignment(bool power)
{
	struct world *w = owner_with_a_session(false);

	wiped(w, P);
	enable_again(w, S);
	story_start(w, P);
	for (unsigned ms = 0; ms < 10000 && !story_status(w, P).shared; ms++)
		story_run(w, 1);
	assert_true(story_status(w, P).shared);
	story_cut(w, true, true);
	story_run(w, 100);
	if (power)
		host_power_off(&w->hosts[P], false);
	else
		host_kill(&w->hosts[P]);
	story_start(w, P);
	never_gets(w, HA1, "10.1.0.1", (DEAD_S - 5) * 1000);
	assert_false(story_status(w, P).serving);
	story_cut(w, false, false);
	never_gets(w, HA1, "10.1.0.1", 5000);
	both_serve(w);
}

static void test_killed_after_the_first_assignment(void **state)
{
	(void)state;
	killed_after_the_first_assignment(false);
}

static void test_power_lost_after_the_first_assignment(void **state)
{
	(void)state;
	killed_after_the_first_assignment(true);
}

/* The report is on its way for long: P takes over when S is silent for its dead interval, and waits
 * again when S is heard. */
static void test_report_after_a_takeover(void **state)
{
	struct world *w = owner_with_a_session(false);

	(void)state;
	wiped(w, P);
	enable_again(w, S);
	story_start(w, P);
	for (unsigned ms = 0; ms < 10000 && !story_status(w, P).shared; ms++)
		story_run(w, 1);
	story_cut(w, true, true);
	story_run(w, (DEAD_S + 3) * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_cut(w, false, false);
	story_run(w, 1500);
	never_gets(w, HA1, "10.1.0.1", 5000);
	both_serve(w);
}

/* The sessions end before anything is shared, as the pools differ: P serves by itself again. */
static void test_the_last_session_ends(void **state)
{
	struct world *w = owner_with_a_session(false);

	(void)state;
	wiped(w, P);
	w->hosts[P].conf.pools[0].priority = 3;
	enable_again(w, S);
	story_start(w, P);
	never_gets(w, HA1, "10.1.0.1", 10000);
	story_expect_side(w, P, "primary", "config-mismatch", false);
	story_leave(w, HA2, "mn-2");
	story_run(w, 2000);
	story_expect_side(w, P, "primary", "config-mismatch", true);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/* ... or S is gone: P waits one dead interval, also where it is started anew. */
static void test_the_peer_with_sessions_is_gone(void **state)
{
	struct world *w = owner_with_a_session(false);

	(void)state;
	wiped(w, P);
	w->hosts[P].conf.pools[0].priority = 3;
	enable_again(w, S);
	story_start(w, P);
	story_run(w, 10000);
	host_kill(&w->hosts[S]);
	story_run(w, 5000);
	host_kill(&w->hosts[P]);
	story_start(w, P);
	never_gets(w, HA1, "10.1.0.1", (DEAD_S - 5) * 1000);
	story_expect_side(w, P, "primary", "connecting", false);
	story_run(w, 7000);
	story_expect_side(w, P, "primary", "connecting", true);
	story_end(w);
}

/* @lost, with a session, has found that its books are behind; then its peer's end, by force, and
 * begin anew. So the one has sessions and nothing else, the other knows of none. */
static void left_with_its_sessions(unsigned lost)
{
	const unsigned other = 1 - lost, ha = lost == P ? HA1 : HA2;
	struct world *w = story_begin();

	story_take(w, ha, "mn-2", "10.1.0.1");
	story_take(w, HA1 + HA2 - ha, "mn-3", NULL);
	story_run(w, 2000);
	disk_keep_copy(&w->hosts[lost].disk);
	story_take(w, ha, "mn-4", "10.1.0.5");
	story_take(w, HA1 + HA2 - ha, "mn-4", "10.1.0.5");
	story_run(w, 2000);
	host_kill(&w->hosts[lost]);
	assert_true(disk_roll_back(&w->hosts[lost].disk));
	check_state_lost(&w->hosts[lost]);
	story_start(w, lost);
	for (unsigned ms = 0; ms < 5000 && !story_noted(w, lost, "has lost its state"); ms++)
		story_run(w, 1);
	story_cut(w, true, true);
	story_run(w, 500);
	story_expect_side(w, lost, lost == P ? "primary" : "secondary", "locked", false);
	story_command(w, other, IPSP_CMD_DISABLE, true, 0);
	enable_again(w, other);
	story_run(w, 5000);
	story_cut(w, false, false);
	const uint64_t heard = story_stats(w, other)->hellos_received;
	for (unsigned ms = 0; ms < 5000 && story_stats(w, other)->hellos_received == heard; ms++)
		story_run(w, 1);
	never_gets(w, HA1 + HA2 - ha, "10.1.0.1", 10000);
	assert_non_null(ha_find(&w->has[ha], 2, 1));
	story_expect_rest(w, 10000);
	story_end(w);
}

static void test_a_secondary_left_with_its_sessions(void **state)
{
	(void)state;
	left_with_its_sessions(S);
}

static void test_a_primary_left_with_its_sessions(void **state)
{
	(void)state;
	left_with_its_sessions(P);
}

/* S only compares. P, which has sessions, serves on; one without any may have lost its state. */
static void only_compares(bool sessions)
{
	struct world *w = owner_with_a_session(false);

	wiped(w, P);
	story_start(w, P);
	story_run(w, 5000);
	story_expect_side(w, P, "primary", "connecting", true);
	if (sessions)
		story_take(w, HA1, "mn-1", "10.1.0.2");
	w->hosts[S].conf.psp.mode = IPSP_MODE_CHECK;
	enable_again(w, S);
	story_run(w, 5000);
	assert_int_equal(story_status(w, P).serving, sessions);
	story_end(w);
}

static void test_the_peer_only_compares(void **state)
{
	(void)state;
	only_compares(true);
	only_compares(false);
}

/* A peer that is drained, or terminated, gets the first assignment all the same, as it has to
 * report. */
static void test_a_drained_owner(void **state)
{
	struct world *w = owner_with_a_session(false);

	(void)state;
	wiped(w, P);
	enable_again(w, S);
	story_command(w, S, IPSP_CMD_DRAIN, true, 0);
	story_start(w, P);
	never_gets(w, HA1, "10.1.0.1", 8000);
	story_take(w, HA1, "mn-1", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_command(w, S, IPSP_CMD_UNDRAIN, false, 0);
	both_serve(w);
}

int stories_held(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held_until_silence),
		cmocka_unit_test(test_held_until_forced),
		cmocka_unit_test(test_held_in_another_epoch),
		cmocka_unit_test(test_held_after_a_licence),
		cmocka_unit_test(test_held_and_a_shorter_interval),
		cmocka_unit_test(test_held_over_a_restart),
		cmocka_unit_test(test_owner_and_wiped_primary),
		cmocka_unit_test(test_owner_by_force_and_wiped_primary),
		cmocka_unit_test(test_killed_after_the_first_assignment),
		cmocka_unit_test(test_power_lost_after_the_first_assignment),
		cmocka_unit_test(test_report_after_a_takeover),
		cmocka_unit_test(test_the_last_session_ends),
		cmocka_unit_test(test_the_peer_with_sessions_is_gone),
		cmocka_unit_test(test_a_secondary_left_with_its_sessions),
		cmocka_unit_test(test_a_primary_left_with_its_sessions),
		cmocka_unit_test(test_the_peer_only_compares),
		cmocka_unit_test(test_a_drained_owner),
	};

	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
