/*
 * stories_apart - both sides alive and cut off from each other, and what healing makes of it.
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

static void until_both_took_over(struct world *w)
{
	story_cut(w, true, true);
	story_run(w, DEAD_S * 1000 + 2000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_forget(w);
}

/* Scenario 40: reclaimed addresses are used last, on both sides: no duplicate as long as either has
 * own ones. */
static void test_reclaimed_last(void **state)
{
	struct world *w = story_begin();
	unsigned i;

	(void)state;
	for (i = 1; i <= 3; i++) { /* S owns three, P five */
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA2, mn, NULL);
	}
	for (i = 1; i <= 3; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_leave(w, HA2, mn);
	}
	story_take(w, HA2, "mn-1", NULL);
	until_both_took_over(w);
	story_take(w, HA2, "mn-2", NULL);
	story_take(w, HA2, "mn-3", NULL); /* the last of its own */
	for (i = 11; i <= 15; i++) {
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, HA1, mn, NULL);
	}
	for (i = 0; i < 3; i++)
		assert_true(w->check.side[S].holds[i].ha && !w->check.side[P].holds[i].ha);
	for (; i < 8; i++)
		assert_true(w->check.side[P].holds[i].ha && !w->check.side[S].holds[i].ha);
	story_take(w, HA2, "mn-4", NULL); /* from here on it is the chapter's price */
	assert_int_equal(w->has[HA2].last_err, 0);
	assert_true(w->has[HA2].last_gaddr >= 3);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	assert_int_equal(story_stats(w, P)->duplicates_found, 1);
	story_end(w);
}

/* ... and each duplicate is listed with what became of it: log, trap, hook and counter, on both
 * sides. */
static void test_a_duplicate_is_reported(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA1, "mn-3", "10.1.0.3");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	until_both_took_over(w);
	story_take(w, HA2, "mn-8", "10.1.0.1");
	story_take(w, HA2, "mn-9", "10.1.0.3");
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	assert_int_equal(story_stats(w, P)->duplicates_found, 2);
	assert_int_equal(story_stats(w, S)->duplicates_resolved, 2);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_DUPLICATE], 2);
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_DUPLICATE], 2);
	assert_true(story_noted(
		w, P, "duplicate: 10.1.0.1 is used here by mn-1 and at the peer by mn-8"));
	assert_true(story_noted(
		w, P, "duplicate: 10.1.0.3 is used here by mn-3 and at the peer by mn-9"));
	assert_true(story_noted(w, S, "duplicate resolved: 10.1.0.1 was dropped here (mn-8)"));
	assert_true(story_noted(w, S, "duplicate resolved: 10.1.0.3 was dropped here (mn-9)"));
	assert_int_equal(story_status(w, P).duplicates_open + story_status(w, S).duplicates_open,
			 0);
	story_end(w);
}

/* Scenario 41: both are primary; one yields at the first hello that it hears. */
static void test_yields_at_the_first_hello(void **state)
{
	struct world *w = story_begin();
	uint64_t before[2];
	unsigned ms;

	(void)state;
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	until_both_took_over(w);
	assert_int_equal(story_status(w, P).epoch, story_status(w, S).epoch); /* a tie */
	for (unsigned side = P; side <= S; side++)
		before[side] = story_stats(w, side)->hellos_received;
	story_cut(w, false, false);
	for (ms = 0; story_status(w, S).role == IPSP_ROLE_PRIMARY && ms < 5000; ms++)
		story_run(w, 1);
	assert_int_equal(story_stats(w, S)->hellos_received - before[S], 1);
	assert_int_equal(story_status(w, P).role, IPSP_ROLE_PRIMARY);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

/* Scenario 42: a host that is suspended, and clocks as far apart as is allowed for: nothing changes
 * because of it but what the silence itself asks for. */
static void test_clocks(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	w->hosts[P].clock.ppm = 500;
	w->hosts[S].clock.ppm = -500;
	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 10000);
	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_run(w, 3600 * 1000); /* two hours: 7 s apart by now */
	story_run(w, 3600 * 1000);
	assert_int_equal(story_stats(w, P)->peer_losses + story_stats(w, S)->peer_losses, 0);
	assert_true(story_stats(w, P)->hello_late_max_ms < 10); /* nothing has held a turn up */
	for (unsigned side = P; side <= S; side++) {
		host_stop(&w->hosts[side]); /* for less than the dead interval */
		story_run(w, (DEAD_S - 2) * 1000);
		host_cont(&w->hosts[side]);
		story_expect_rest(w, 5000);
		assert_true(story_stats(w, side)->hello_late_max_ms > (DEAD_S - 4) * 1000);
		assert_int_equal(story_stats(w, P)->takeovers + story_stats(w, S)->takeovers, 0);
		story_expect_side(w, P, "primary", "active", true);
	}
	/* for an hour: the other side has taken over. It is not asked how long it was away: it
	 * serves nothing before it has heard. */
	host_stop(&w->hosts[S]);
	story_run(w, 3600 * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	story_cut(w, true, true);
	host_cont(&w->hosts[S]);
	story_run(w, 1000);
	assert_false(story_status(w, S).serving);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_expect_side(w, P, "primary", "active", true);
	story_end(w);
}

static void with_hook(struct world_conf *conf)
{
	conf->has_hook = true;
}

/* Scenario 43: a witness that only one side reaches: only that side takes over. */
static void test_a_witness(void **state)
{
	(void)state;
	for (unsigned deaf = P; deaf <= S; deaf++) {
		struct world *w = story_begin_with(with_hook);

		story_take(w, HA1, "mn-1", "10.1.0.1");
		story_take(w, HA2, "mn-2", "10.1.0.2");
		w->hosts[deaf].deaf_hook = true;
		story_cut(w, true, true);
		story_run(w, 4 * DEAD_S * 1000);
		story_expect_side(w, 1 - deaf, "primary", "peer-down", true);
		assert_int_equal(story_stats(w, deaf)->takeovers, 0);
		assert_int_equal(story_status(w, deaf).waiting, IPSP_WAIT_VETO);
		assert_false(story_status(w, deaf).serving);
		assert_true(w->hosts[deaf].n_hooks[IPSP_HOOK_TAKEOVER_CHECK] > 1);
		story_cut(w, false, false);
		story_expect_rest(w, 10000);
		story_expect_side(w, 1 - deaf, "primary", "active", true);
		story_end(w);
	}
}

/* Scenario 43c: a crash at each step of healing, of either side: it resumes, nothing is lost. */
static void test_crash_in_healing(void **state)
{
	(void)state;
	for (unsigned dying = P; dying <= S; dying++) {
		for (unsigned ms = 1; ms < 40; ms += 2) {
			struct world *w = story_begin();

			story_take(w, HA1, "mn-1", "10.1.0.1");
			story_take(w, HA1, "mn-4", "10.1.0.4");
			story_take(w, HA2, "mn-2", "10.1.0.2");
			until_both_took_over(w);
			story_take(w, HA2, "mn-3", "10.1.0.3"); /* P's, unused */
			story_take(w, HA2, "mn-9", "10.1.0.1"); /* a duplicate */
			story_take(w, HA2, "mn-4", "10.1.0.4"); /* a handoff */
			story_cut(w, false, false);
			/* healing begins with a hello: from there on by milliseconds */
			for (unsigned i = 0; i < 5000 && story_stats(w, P)->heals == 0; i++)
				story_run(w, 1);
			story_run(w, ms);
			host_kill(&w->hosts[dying]);
			story_run(w, 300);
			story_start(w, dying);
			story_expect_rest(w, 20000);
			assert_non_null(ha_find(&w->has[HA2], 3, 1));
			assert_non_null(ha_find(&w->has[HA2], 4, 1));
			assert_null(ha_find(&w->has[HA1], 4, 1));
			assert_non_null(ha_find(&w->has[HA1], 1, 1));
			assert_null(ha_find(&w->has[HA2], 9, 1));
			story_end(w);
		}
	}
}

/* Scenario 45: a duplicate that nobody resolves stands in the way of its own address only. */
static void test_one_conflict_stops_nobody(void **state)
{
	struct world *w = story_begin();
	unsigned i;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	until_both_took_over(w);
	story_take(w, HA2, "mn-9", "10.1.0.1");
	w->has[HA2].mute = 1000; /* never answers a release event */
	story_cut(w, false, false);
	story_run(w, 10000);
	assert_int_equal(story_status(w, S).duplicates_open, 1);
	story_expect_side(w, P, "primary", "active", true);
	story_expect_side(w, S, "secondary", "active", true);
	for (i = 11; i <= 16; i++) { /* all that is left */
		char mn[8];

		snprintf(mn, sizeof(mn), "mn-%u", i);
		story_take(w, i % 2 ? HA2 : HA1, mn, NULL);
		assert_int_equal(w->has[i % 2 ? HA2 : HA1].last_err, 0);
	}
	story_leave(w, HA1, "mn-12");
	story_take(w, HA2, "mn-20", "10.1.0.4");
	story_run(w, 60000);
	assert_int_equal(story_status(w, S).duplicates_open, 1);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* P's HA hangs and reads after the healing what P answered while S had taken over by force. */
static void test_forced_and_read_late(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-2", "10.1.0.2");
	story_cut(w, true, true);
	story_run(w, 12000); /* P is lost, and its lease runs */
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	ha_hang(&w->has[HA1], w->now + SIM_MS(20000));
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_cut(w, false, false);
	story_run(w, 10000);
	story_expect_side(w, P, "secondary", "active", true);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_rest(w, 20000);
	assert_null(ha_find(&w->has[HA1], 1, 1));
	assert_non_null(ha_find(&w->has[HA2], 1, 1));
	assert_int_equal(story_stats(w, P)->duplicates_found, 0); /* it is one subscriber */
	story_end(w);
}

/* S served all by force, and its HA's session outlives S's host: what S holds for it is forgotten
 * with the books that force had made. The HA learns that when it asks. */
static void test_forced_and_rebooted(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_cut(w, true, true);
	story_command(w, S, IPSP_CMD_DISABLE, true, 0);
	story_take(w, HA2, "mn-9", "10.1.0.2");
	host_reload(&w->hosts[S], DEAD_S * 1000); /* IPSP is enabled again */
	story_run(w, 1000);
	ha_hang(&w->has[HA2], w->now + SIM_MS(22000));
	host_power_off(&w->hosts[S], true);
	story_start(w, S);
	story_cut(w, false, false);
	story_run(w, 20000);
	assert_true(story_noted(w, S, "this side has lost its state"));
	story_expect_side(w, P, "primary", "active", true);
	story_take(w, HA1, "mn-5", "10.1.0.2");
	assert_int_equal(w->has[HA1].last_err, 0);
	assert_non_null(ha_find(&w->has[HA2], 9, 1));
	story_expect_rest(w, 30000);
	assert_null(ha_find(&w->has[HA2], 9, 1));
	assert_non_null(ha_find(&w->has[HA1], 5, 1));
	story_end(w);
}

int stories_apart(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reclaimed_last),
		cmocka_unit_test(test_a_duplicate_is_reported),
		cmocka_unit_test(test_yields_at_the_first_hello),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_a_witness),
		cmocka_unit_test(test_crash_in_healing),
		cmocka_unit_test(test_one_conflict_stops_nobody),
		cmocka_unit_test(test_forced_and_read_late),
		cmocka_unit_test(test_forced_and_rebooted),
	};

	return cmocka_run_group_tests_name("apart", tests, NULL, NULL);
}
