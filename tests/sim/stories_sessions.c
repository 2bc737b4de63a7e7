/*
 * stories of sessions: the figures of the chapter, from the start on, and HAs that go wrong.
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

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

int stories_sessions(void)
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
		cmocka_unit_test(test_request_behind_a_release),
		cmocka_unit_test(test_ha_doesnt_answer),
		cmocka_unit_test(test_ha_crashes),
	};

	return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
