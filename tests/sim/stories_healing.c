/*
 * stories of healing: both sides were alive and cut off, or one has lost its state; they come to
 * one view again.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

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

/* mn-1 at P and mn-9 at S have 10.1.0.1. S is told to drop its session, and HA2 never answers. */
static struct world *duplicate_for_ever(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	w->has[HA2].mute = 1000;
	story_cut(w, false, false);
	story_run(w, 10000);
	assert_int_equal(story_status(w, S).duplicates_open, 1);
	story_again(w, HA2, "mn-9");
	story_run(w, 5000);
	assert_int_equal(w->has[HA2].last_err, IPSP_ERR_TIMEOUT); /* behind the release event */
	story_forget(w);
	return w;
}

/* mn-9 has its address by right: its HA is told so, it is confirmed, nothing is open. */
static void expect_by_right(struct world *w)
{
	assert_int_equal(story_status(w, S).duplicates_open, 0);
	w->has[HA2].last_err = 1;
	story_again(w, HA2, "mn-9");
	story_run(w, 100);
	assert_int_equal(w->has[HA2].last_err, 0);
}

/*
 * The owner's session has ended when the two heal a second time: the address goes to the session
 * that was to drop it, and is no duplicate any more. It is held for it when its host comes back.
 */
static void test_duplicate_that_got_its_address(void **state)
{
	struct world *w = duplicate_for_ever();

	(void)state;
	story_leave(w, HA1, "mn-1");
	story_cut(w, true, true);
	story_run(w, DEAD_S * 1000 + 2000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_forget(w);
	story_cut(w, false, false);
	story_run(w, 10000);
	story_expect(w, "P grant 10.1.0.1\n"
			"S accept 10.1.0.1\n"
			"HA2 cancelled 10.1.0.1\n"
			"P busied out 10.1.0.1\n");
	expect_by_right(w);
	assert_true(story_noted(w, S, "10.1.0.1 is no duplicate any more"));
	story_take(w, HA1, "mn-5", "10.1.0.1"); /* S has it, for mn-9 */
	story_expect(w, "HA1 refused mn-5: in-use\n");
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 5000);
	expect_by_right(w);
	story_forget(w);
	host_power_off(&w->hosts[S], true);
	story_run(w, 100); /* HA2 notices */
	ha_hang(&w->has[HA2], w->now + SIM_MS(8000));
	story_start(w, S);
	story_run(w, 5000);
	story_take(w, HA1, "mn-5", "10.1.0.1");
	story_expect(w, "HA1 refused mn-5: in-use\n");
	story_expect_rest(w, 20000);
	assert_non_null(ha_find(&w->has[HA2], 9, 1));
	story_end(w);
}

/* ... or the owner has lost its state: what is used here is this side's from then on. */
static void test_duplicate_whose_owner_lost_its_state(void **state)
{
	struct world *w = duplicate_for_ever();

	(void)state;
	host_kill(&w->hosts[P]);
	ha_crash(&w->has[HA1]);
	disk_wipe(&w->hosts[P].disk);
	check_state_lost(&w->hosts[P]);
	story_run(w, 1000);
	story_start(w, P);
	story_expect_rest(w, 30000);
	expect_by_right(w);
	assert_int_equal(story_status(w, P).duplicates_open, 0);
	story_end(w);
}

/* ... or is given up. */
static void test_duplicate_whose_owner_is_given_up(void **state)
{
	struct world *w = duplicate_for_ever();

	(void)state;
	story_cut(w, true, true);
	host_kill(&w->hosts[P]);
	story_run(w, 2 * DEAD_S * 1000);
	story_command(w, S, IPSP_CMD_DISABLE, true, 0);
	expect_by_right(w);
	story_end(w);
}

/* The same for a handoff that healing wanted: who was to get the address has lost its state, and no
 * session has it there any more. */
static void test_handoff_to_a_side_that_lost_its_state(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	w->has[HA1].mute = 1000;
	story_cut(w, false, false);
	story_run(w, 10000);
	story_again(w, HA1, "mn-1");
	story_run(w, 5000);
	assert_int_equal(w->has[HA1].last_err, IPSP_ERR_TIMEOUT);
	host_kill(&w->hosts[S]);
	ha_crash(&w->has[HA2]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	story_run(w, 1000);
	story_start(w, S);
	story_expect_rest(w, 30000);
	story_again(w, HA1, "mn-1");
	story_run(w, 100);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_end(w);
}

/* An operator wanted the session ended before it was found to be a duplicate, and still does. */
static void test_duplicate_that_an_operator_ends(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	w->has[HA2].mute = 1000;
	story_release(w, S, "10.1.0.1");
	story_cut(w, false, false);
	story_run(w, 10000);
	assert_int_equal(story_status(w, S).duplicates_open, 1);
	story_leave(w, HA1, "mn-1");
	story_cut(w, true, true);
	story_run(w, DEAD_S * 1000 + 2000);
	story_cut(w, false, false);
	story_run(w, 10000);
	assert_int_equal(story_status(w, S).duplicates_open, 0);
	w->has[HA2].mute = 0;
	story_forget(w);
	ha_detach(&w->has[HA2]);
	story_run(w, 5000);
	story_expect(w, "HA2 release mn-9: terminate\n");
	assert_null(ha_find(&w->has[HA2], 9, 1));
	story_expect_rest(w, 10000);
	story_end(w);
}

/*
 * S is put back to a copy of its disk from when its session was told to go, and restarts alone. The
 * session ends there before the peer is heard: its DROPPED would have the number of an item that P
 * has, and S would look as if it were not behind.
 */
static void rolled_back_with_a_duplicate(bool same_boot)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	ha_hang(&w->has[HA2], w->now + SIM_MS(8000));
	story_cut(w, false, false);
	story_run(w, 5000);
	disk_keep_copy(&w->hosts[S].disk);
	story_run(w, 5000);
	assert_int_equal(story_stats(w, S)->duplicates_resolved, 1);
	uint64_t sent = story_status(w, S).sent;
	story_cut(w, true, true);
	if (same_boot)
		host_kill(&w->hosts[S]);
	else
		host_power_off(&w->hosts[S], false);
	assert_true(disk_roll_back(&w->hosts[S].disk));
	check_state_lost(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 1000);
	assert_int_equal(story_status(w, S).sent, sent - 1);
	/* once more, from what it has written since */
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 1000);
	assert_int_equal(story_status(w, S).sent, sent - 1);
	story_cut(w, false, false);
	story_expect_rest(w, 20000);
	assert_true(story_noted(w, S, "this side has lost its state"));
	assert_int_equal(story_status(w, P).duplicates_open, 0);
	assert_int_equal(story_status(w, S).duplicates_open, 0);
	story_end(w);
}

static void test_rolled_back_with_a_duplicate(void **state)
{
	(void)state;
	rolled_back_with_a_duplicate(true);
	rolled_back_with_a_duplicate(false);
}

/* The same without a rollback: a duplicate that ends before the peer is heard again ends when it
 * is, and the address is free for both from then on. */
static void test_duplicate_ends_alone(void **state)
{
	(void)state;
	for (unsigned boot = 0; boot < 2; boot++) {
		struct world *w = story_begin();

		story_take(w, HA1, "mn-1", "10.1.0.1");
		story_take(w, HA2, "mn-2", "10.1.0.2");
		take_over_both(w);
		story_take(w, HA2, "mn-9", "10.1.0.1");
		ha_hang(&w->has[HA2], w->now + SIM_MS(8000));
		story_cut(w, false, false);
		story_run(w, 5000);
		uint64_t sent = story_status(w, S).sent;
		story_cut(w, true, true);
		if (boot)
			host_power_off(&w->hosts[S], false);
		else
			host_kill(&w->hosts[S]);
		story_start(w, S);
		story_run(w, 6000);
		assert_int_equal(story_status(w, S).sent, sent);
		assert_null(ha_find(&w->has[HA2], 9, 1));
		assert_int_equal(story_stats(w, S)->duplicates_resolved, 0);
		story_leave(w, HA1, "mn-1");
		story_cut(w, false, false);
		story_expect_rest(w, 20000);
		assert_int_equal(story_stats(w, S)->duplicates_resolved, 1);
		story_take(w, HA1, "mn-5", "10.1.0.1");
		assert_non_null(ha_find(&w->has[HA1], 5, 1));
		story_end(w);
	}
}

/* ... and until then its address is kept back, but the session is served like any other: it gets
 * another address, also when the peer is never heard again. */
static void test_duplicate_comes_again(void **state)
{
	(void)state;
	for (unsigned boot = 0; boot < 2; boot++) {
		struct world *w = story_begin();

		story_take(w, HA1, "mn-1", "10.1.0.1");
		story_take(w, HA2, "mn-2", "10.1.0.2");
		take_over_both(w);
		story_take(w, HA1, "mn-9", "10.1.0.2"); /* a duplicate, at the side that restarts */
		ha_hang(&w->has[HA1], w->now + SIM_MS(8000));
		story_cut(w, false, false);
		story_run(w, 5000);
		story_cut(w, true, true);
		if (boot)
			host_power_off(&w->hosts[P], false);
		else
			host_kill(&w->hosts[P]);
		story_start(w, P);
		story_run(w, 6000);
		assert_null(ha_find(&w->has[HA1], 9, 1));
		host_kill(&w->hosts[P]); /* what it has recorded is enough */
		story_start(w, P);
		story_run(w, 5000);
		story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
		story_run(w, 2 * DEAD_S * 1000);
		story_take(w, HA1, "mn-9", NULL);
		assert_non_null(ha_find(&w->has[HA1], 9, 1));
		story_take(w, HA1, "mn-8", "10.1.0.2");
		assert_int_equal(w->has[HA1].last_err, IPSP_ERR_IN_USE);
		assert_int_equal(story_status(w, P).duplicates_open, 1);
		story_cut(w, false, false);
		story_expect_rest(w, 40000);
		assert_int_equal(story_stats(w, P)->duplicates_resolved, 1);
		assert_non_null(ha_find(&w->has[HA2], 2, 1));
		story_end(w);
	}
}

/* ... or when the peer is given up: nobody is told any more, and the address is free. */
static void test_duplicate_of_a_peer_given_up(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA1, "mn-9", "10.1.0.2");
	ha_hang(&w->has[HA1], w->now + SIM_MS(8000));
	story_cut(w, false, false);
	story_run(w, 5000);
	story_cut(w, true, true);
	host_kill(&w->hosts[P]);
	story_start(w, P);
	story_run(w, 6000);
	host_kill(&w->hosts[S]);
	story_command(w, P, IPSP_CMD_DISABLE, true, 0);
	assert_int_equal(story_status(w, P).duplicates_open, 0);
	story_take(w, HA1, "mn-9", "10.1.0.2");
	assert_non_null(ha_find(&w->has[HA1], 9, 1));
	story_end(w);
}

/* Each side is killed when it has recorded its part of a duplicate: what it may not have said of it
 * any more it says again. */
static void test_duplicate_is_said_again(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	take_over_both(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	story_cut(w, false, false);
	while (story_stats(w, P)->duplicates_found == 0)
		story_run(w, 1);
	story_cut(w, true, true);
	host_kill(&w->hosts[P]);
	story_start(w, P);
	story_run(w, 10);
	assert_true(
		story_noted(w, P, "duplicate: 10.1.0.1 is used here by mn-1 and at the peer by"));
	assert_int_equal(story_stats(w, P)->duplicates_found, 1);
	story_cut(w, false, false);
	while (story_stats(w, S)->duplicates_resolved == 0)
		story_run(w, 1);
	story_cut(w, true, true);
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 10);
	assert_true(story_noted(w, S, "duplicate resolved: 10.1.0.1 was dropped here"));
	story_cut(w, false, false);
	story_expect_rest(w, 20000);
	host_kill(&w->hosts[P]);
	host_kill(&w->hosts[S]);
	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 20000);
	assert_int_equal(story_stats(w, P)->duplicates_found, 0); /* the peer knew */
	assert_int_equal(story_stats(w, S)->duplicates_resolved, 0);
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

/*
 * A side has lost its state and was given anew. Later somebody puts the old state back, in good
 * faith: it knows the other side by its id, but not what has happened since. It is the one that is
 * behind, whatever its numbers are.
 */
static void state_of_before_its_loss(unsigned side)
{
	struct world *w = story_begin();
	struct host *h = &w->hosts[side];
	const unsigned mine = side == P ? HA1 : HA2, theirs = side == P ? HA2 : HA1;

	story_take(w, mine, "mn-1", NULL);
	story_take(w, theirs, "mn-2", NULL);
	disk_keep_copy(&h->disk);
	host_kill(h);
	disk_wipe(&h->disk);
	check_state_lost(h);
	story_start(w, side);
	story_expect_rest(w, 20000);
	assert_true(story_noted(w, side, "this side has lost its state"));
	story_leave(w, mine, "mn-1");
	story_run(w, 12000);
	for (unsigned i = 3; i < 7; i++) {
		char mn[8];
		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, theirs, mn, NULL);
	}
	story_expect_rest(w, 15000);

	host_kill(h);
	assert_true(disk_roll_back(&h->disk));
	check_state_lost(h);
	const uint64_t lost = story_stats(w, !side)->state_losses;
	story_start(w, side);
	story_expect_rest(w, 20000);
	assert_int_equal(story_stats(w, side)->state_losses, 1);
	assert_int_equal(story_stats(w, !side)->state_losses, lost + 1); /* it gives anew */
	assert_false(story_noted(w, !side, "this side has lost its state"));
	for (unsigned i = 2; i < 7; i++)
		assert_non_null(ha_find(&w->has[theirs], i, 1));
	story_end(w);
}

static void test_state_of_before_its_loss(void **state)
{
	(void)state;
	state_of_before_its_loss(P);
	state_of_before_its_loss(S);
}

static struct ipsp_pool_conf many;

static void with_many(struct world_conf *conf)
{
	many = conf->pools[0];
	many.size = 200;
	conf->pools = &many;
}

/*
 * S has taken over, and gets a longer dead interval meanwhile. What it had promised before is over
 * and does not become longer by it: P serves only once it has all of S's report.
 */
static void test_a_longer_interval_revives_no_lease(void **state)
{
	struct world *w = story_begin_with(with_many);

	(void)state;
	story_watch(w, 0);
	story_take(w, HA2, "mn-999", NULL);
	story_cut(w, false, true);
	story_until_primary(w, S, 60000);
	for (uint32_t i = 1; i <= 150; i++) {
		assert_true(ha_request(&w->has[HA2], HA_NEW, i, 1, NO_ADDR, -1, -1));
		story_run(w, 10);
	}
	host_reload(&w->hosts[S], 10 * DEAD_S * 1000);
	story_run(w, 1000);
	w->net.mix.jitter = SIM_MS(50);
	story_cut(w, false, false);
	for (unsigned ms = 0; ms < 5000; ms++) {
		struct ipsp_status p = story_status(w, P);

		assert_false(p.serving && p.state != IPSP_ST_ACTIVE);
		story_run(w, 1);
	}
	story_expect_rest(w, 5000);
	story_end(w);
}

int stories_healing(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_longer_interval_revives_no_lease),
		cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_same_subscriber),
		cmocka_unit_test(test_duplicate_unanswered),
		cmocka_unit_test(test_duplicate_that_got_its_address),
		cmocka_unit_test(test_duplicate_whose_owner_lost_its_state),
		cmocka_unit_test(test_duplicate_whose_owner_is_given_up),
		cmocka_unit_test(test_handoff_to_a_side_that_lost_its_state),
		cmocka_unit_test(test_duplicate_that_an_operator_ends),
		cmocka_unit_test(test_duplicate_is_said_again),
		cmocka_unit_test(test_cut_in_healing),
		cmocka_unit_test(test_one_way_to_s),
		cmocka_unit_test(test_one_way_to_p),
		cmocka_unit_test(test_rolled_back_with_a_duplicate),
		cmocka_unit_test(test_duplicate_ends_alone),
		cmocka_unit_test(test_duplicate_comes_again),
		cmocka_unit_test(test_duplicate_of_a_peer_given_up),
		cmocka_unit_test(test_wiped_secondary),
		cmocka_unit_test(test_wiped_primary),
		cmocka_unit_test(test_state_of_before_its_loss),
	};

	return cmocka_run_group_tests_name("healing", tests, NULL, NULL);
}
