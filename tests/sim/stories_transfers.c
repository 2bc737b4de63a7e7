/*
 * stories_transfers - addresses asked for, given and taken: which one, from where, exactly once,
 * and what comes of a transfer that is disturbed.
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

static void ask(struct world *w, unsigned ha, uint32_t mn, uint32_t gaddr)
{
	assert_true(ha_request(&w->has[ha], HA_NEW, mn, 1, gaddr, -1, -1));
}

/* ---------------------------------------------------------------- which one */

/* Scenario 54, on each side: free, another's, its own, released twice. */
static void test_requested_address(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_watch(w, TRACE_HA);
	for (unsigned ha = HA1; ha <= HA2; ha++) {
		story_take(w, ha, ha == HA1 ? "mn-1" : "mn-2", ha == HA1 ? "10.1.0.5" : "10.1.0.3");
		story_take(w, ha, "mn-9", ha == HA1 ? "10.1.0.5" : "10.1.0.3");
		ask(w, ha, ha == HA1 ? 1 : 2, NO_ADDR); /* the same session again, naming none */
		story_run(w, 100);
		ask(w, ha, ha == HA1 ? 1 : 2, 7); /* ... and naming another: it keeps what it has */
		story_run(w, 100);
	}
	story_expect(w, "HA1 take 10.1.0.5: mn-1\n"
			"HA1 refused mn-9: in-use\n"
			"HA1 take 10.1.0.5: mn-1\n"
			"HA1 refused mn-1: invalid\n"
			"HA2 take 10.1.0.3: mn-2\n"
			"HA2 refused mn-9: in-use\n"
			"HA2 take 10.1.0.3: mn-2\n"
			"HA2 refused mn-2: invalid\n");
	story_take(w, HA2, "mn-4", NULL);
	story_leave(w, HA2, "mn-2");
	ha_bogus_release(&w->has[HA2], 2); /* a second time */
	story_run(w, 100);
	story_expect_pool(w, S, 1, 1, 6);
	ha_bogus_release(&w->has[HA2], 4); /* and one of the other side's */
	story_run(w, 100);
	story_expect_pool(w, S, 1, 1, 6);
	story_expect_pool(w, P, 1, 5, 2);
	story_expect_rest(w, 1000);
	story_end(w);
}

/* Scenario 55: a release by an HA that has not the session is refused, and changes nothing. */
static void two_has(struct world_conf *conf)
{
	conf->n_has[0] = 2;
}

static void test_release_of_anothers_session(void **state)
{
	struct world *w = story_begin_with(two_has);
	uint64_t digest;

	(void)state;
	story_take(w, 0, "mn-1", "10.1.0.1");
	digest = ipsp_node_digest(w->hosts[P].node);
	ha_bogus_release(&w->has[1], 0); /* the other one of P's two */
	story_run(w, 100);
	assert_int_equal(ipsp_node_digest(w->hosts[P].node), digest);
	story_expect_pool(w, P, 1, 7, 0);
	assert_int_equal(story_stats(w, P)->releases, 0);
	story_end(w);
}

/* Scenario 29: a request for one address is answered with that one or with none, whatever else is
 * free, on whichever side, and whatever comes meanwhile. */
static void test_that_one_or_none(void **state)
{
	struct world *w = story_begin();

	(void)state;
	for (uint32_t mn = 1; mn <= 4; mn++)
		ask(w, HA1, mn, mn - 1);
	story_run(w, 100);
	story_watch(w, TRACE_HA);
	story_forget(w);
	for (unsigned i = 0; i < 6; i++) { /* in one go: free here, free there, in use, twice */
		ask(w, HA2, 10 + i, (uint32_t[]){6, 0, 5, 1, 6, NO_ADDR}[i]);
		ask(w, HA1, 20 + i, (uint32_t[]){7, 6, 2, 7, NO_ADDR, 5}[i]);
	}
	story_run(w, 5000);
	for (unsigned side = P; side <= S; side++) {
		static const uint32_t wanted[2][6] = {{7, 6, 2, 7, NO_ADDR, 5},
						      {6, 0, 5, 1, 6, NO_ADDR}};

		for (unsigned i = 0; i < 6; i++) {
			const struct ha_session *s =
				ha_find(&w->has[side], (side == P ? 20 : 10) + i, 1);

			if (s && wanted[side][i] != NO_ADDR)
				assert_int_equal(s->gaddr, wanted[side][i]);
		}
	}
	assert_non_null(ha_find(&w->has[HA1], 20, 1)); /* 10.1.0.8, free and its own */
	assert_null(ha_find(&w->has[HA2], 11, 1));     /* in use by others */
	assert_null(ha_find(&w->has[HA1], 22, 1));
	assert_null(ha_find(&w->has[HA1], 23, 1));
	/* one of the two that wanted 10.1.0.7, not both */
	assert_int_equal(!!ha_find(&w->has[HA2], 10, 1) + !!ha_find(&w->has[HA2], 14, 1) +
				 !!ha_find(&w->has[HA1], 21, 1),
			 1);
	story_expect_rest(w, 5000);
	story_end(w);
}

/* Scenario 56: exhausted here, with free ones at the peer; then on both sides. */
static void test_exhausted(void **state)
{
	struct world *w = story_begin();

	(void)state;
	for (uint32_t mn = 1; mn <= 7; mn++) {
		ask(w, HA2, mn, NO_ADDR);
		story_run(w, 50);
	}
	story_leave(w, HA2, "mn-3"); /* S has one that is free, P another */
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_take(w, HA1, "mn-11", NULL);
	story_take(w, HA1, "mn-12", NULL); /* P has none: S is asked */
	story_take(w, HA1, "mn-13", NULL);
	story_take(w, HA2, "mn-14", NULL);
	story_expect(w, "HA1 take 10.1.0.8: mn-11\n"
			"HA1 take 10.1.0.3: mn-12\n"
			"HA1 refused mn-13: exhausted\n"
			"HA2 refused mn-14: exhausted\n");
	story_leave(w, HA1, "mn-11");
	story_take(w, HA2, "mn-14", NULL);
	story_expect(w, "HA2 take 10.1.0.8: mn-14\n");
	story_expect_rest(w, 5000);
	story_end(w);
}

/* Scenario 57: what is given lies in its pool, however often the daemons were restarted, and is
 * what the session had before. (An address of no pool fails the run: see host.c.) */
static void test_in_its_pool_after_restarts(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.8");
	story_take(w, HA2, "mn-2", "10.1.0.1");
	for (unsigned i = 0; i < 20; i++) {
		unsigned side = i % 2 ? S : P;

		if (i % 5 == 4) {
			host_command(&w->hosts[side], IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
			story_run(w, 3000);
		}
		host_kill(&w->hosts[side]);
		story_start(w, side);
		story_expect_rest(w, 20000);
		story_take(w, side, "mn-5", NULL);
		assert_int_equal(w->has[side].last_err, 0);
		story_again(w, HA1, "mn-1");
		story_run(w, 100);
		assert_int_equal(w->has[HA1].last_gaddr, 7);
		story_again(w, HA2, "mn-2");
		story_run(w, 100);
		assert_int_equal(w->has[HA2].last_gaddr, 0);
		story_leave(w, side, "mn-5");
	}
	story_end(w);
}

static struct ipsp_pool_conf large;

static void sixty_four(struct world_conf *conf)
{
	large = conf->pools[0];
	large.size = 64;
	conf->pools = &large;
}

/* Nobody is told that no address is free while free ones only change hands: the roles are exchanged
 * again and again under load, over a slow link that loses datagrams and lets them overtake. */
static void change_hands(uint64_t luck)
{
	struct world *w = story_begin_with(sixty_four);
	uint32_t mn = 0;

	story_watch(w, 0);
	w->net.rand.state += luck;
	w->net.mix = (struct net_mix){.delay = 60000, .jitter = 200000, .loss = 150};
	for (unsigned round = 0; round < 60; round++) {
		unsigned side = round % 2 ? P : S;

		host_command(&w->hosts[side], IPSP_CMD_TAKEOVER, false, IPSP_MODE_ACTIVE);
		for (unsigned i = 0; i < 40; i++) {
			unsigned ha = i % 2 ? HA1 : HA2;

			mn = mn % 40 + 1;
			if (w->mns[mn].at)
				ha_end(w->mns[mn].at, mn, w->mns[mn].sess);
			else if (w->mns[mn].open == 0)
				ha_request(&w->has[ha], HA_NEW, mn, ++w->next_sess, NO_ADDR, -1,
					   -1);
			story_run(w, 40);
		}
	}
	assert_int_equal(w->hits[FAULT_MN_EXHAUSTED], 0);
	w->net.mix = (struct net_mix){.delay = 1000};
	story_expect_rest(w, 20000);
	story_end(w);
}

static void test_free_ones_change_hands(void **state)
{
	(void)state;
	for (uint64_t luck = 1; luck <= 3; luck++)
		change_hands(luck);
}

/* ---------------------------------------------------------------- the peer is away */

/* Scenario 30: what the peer owns is refused with the reason, never given silently, from either
 * side. */
static void test_the_owner_is_away(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA2, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	story_leave(w, HA2, "mn-2");
	story_watch(w, TRACE_HA);
	story_forget(w);
	story_cut(w, true, true);
	ask(w, HA2, 3, 5); /* not known to be away yet: the request waits for its timeout */
	story_run(w, 10);
	ask(w, HA1, 4, 1);
	story_run(w, 3500);
	story_expect(w, "HA2 refused mn-3: timeout\n"
			"HA1 refused mn-4: timeout\n");
	story_run(w, 12000);
	story_take(w, HA2, "mn-3", "10.1.0.6");
	story_take(w, HA1, "mn-4", "10.1.0.2");
	story_take(w, HA2, "mn-5", NULL); /* its own serve on */
	story_take(w, HA2, "mn-6", NULL);
	story_expect(w, "HA2 refused mn-3: no-primary\n"
			"HA1 refused mn-4: no-primary\n"
			"HA2 take 10.1.0.2: mn-5\n"
			"HA2 refused mn-6: no-primary\n");
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_take(w, HA2, "mn-3", "10.1.0.6");
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

/* Scenario 31: transfers in flight when the line fails are finished when it is back, each once. */
static void test_a_short_outage(void **state)
{
	struct world *w = story_begin_with(sixty_four);
	uint64_t moved = 0, received;

	(void)state;
	story_take(w, HA2, "mn-90", NULL);
	received = story_stats(w, S)->addresses_received;
	for (unsigned round = 0; round < 3; round++) {
		/* nothing arrives; what arrives isn't acknowledged; neither */
		for (uint32_t i = 0; i < 8; i++)
			ask(w, HA2, 10 * round + i, NO_ADDR);
		story_run(w, round == 1 ? 2 : 1);
		story_cut(w, round != 0, round != 1);
		story_run(w, 2000);
		story_cut(w, false, false);
		story_run(w, 2000);
		for (uint32_t i = 0; i < 8; i++)
			assert_non_null(ha_find(&w->has[HA2], 10 * round + i, 1));
		moved += 8;
	}
	story_expect_rest(w, 5000);
	assert_int_equal(story_stats(w, S)->addresses_received - received, moved);
	assert_int_equal(story_stats(w, P)->addresses_sent, moved + 1);
	assert_true(story_stats(w, P)->items_repeated > 0);
	assert_int_equal(story_stats(w, S)->takeovers + story_stats(w, P)->takeovers, 0);
	story_expect_pool(w, S, 25, 0, 39);
	story_end(w);
}

/* Scenarios 34, 44: P was away and returns with what it last knew. It is told better, not believed:
 * it listens, learns the epoch, and is secondary. */
static void test_old_primary_returns(void **state)
{
	struct world *w = story_begin();
	struct ipsp_status st;

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	host_kill(&w->hosts[P]);
	ha_crash(&w->has[HA1]);
	story_until_primary(w, S, 60000);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-3", "10.1.0.3"); /* the books give it to P */
	story_cut(w, true, true);
	story_start(w,
		    P); /* without a word from S: it believes to be primary, and serves nothing */
	story_run(w, 5000);
	story_expect_side(w, P, "primary", "connecting", false);
	story_cut(w, false, false);
	story_run(w, 1500);
	ipsp_node_status(w->hosts[P].node, host_ms(&w->hosts[P]), &st);
	assert_string_equal(ipsp_role_word(st.role), "secondary");
	story_expect_rest(w, 10000);
	story_expect_side(w, S, "primary", "active", true);
	story_expect_pool(w, P, 0, 0, 8);
	story_expect_pool(w, S, 3, 5, 0);
	assert_int_equal(story_stats(w, P)->duplicates_found, 0);
	story_end(w);
}

/* Scenario 32: damaged, cut short, repeated and replayed datagrams while the two sides find
 * together again: it completes, and no address is anywhere else for it. */
static void test_garbage_in_a_resynchronisation(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	for (unsigned i = 0; i < 10; i++) {
		unsigned side = i % 2 ? S : P;

		host_kill(&w->hosts[side]);
		if (i >= 8) { /* a whole one, from nothing */
			disk_wipe(&w->hosts[side].disk);
			check_state_lost(&w->hosts[side]);
		}
		w->net.mix = (struct net_mix){.corrupt = 400,
					      .truncate = 200,
					      .repeat = 500,
					      .replay = 500,
					      .delay = SIM_MS(1),
					      .jitter = SIM_MS(20)};
		story_start(w, side);
		story_run(w, 5000);
		w->net.mix = (struct net_mix){.delay = SIM_MS(1)};
		story_expect_rest(w, 20000);
		assert_true(story_stats(w, side)->drop_seal > 0);
		assert_non_null(ha_find(&w->has[HA1], 1, 1));
		assert_non_null(ha_find(&w->has[HA2], 2, 1));
		story_expect_pool(w, S, 1, 0, 7);
	}
	story_end(w);
}

/* Scenario 33: the peer dies at each moment of a resynchronisation. The other goes on serving what
 * it has, and the next try completes. */
static void test_the_peer_dies_in_a_resynchronisation(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	for (unsigned i = 0; i < 60; i++) { /* each time a little further */
		unsigned side = i % 3 == 2 ? P : S;
		char mn[8];

		story_start(w, S);
		story_start(w, P);
		story_run(w, 1 + i * i / 3);
		snprintf(mn, sizeof(mn), "mn-%u", 10 + i % 20);
		if (side == S && w->has[HA1].listed && !ha_find(&w->has[HA1], 10 + i % 20, 1)) {
			story_take(w, HA1, mn, NULL);
			assert_int_equal(w->has[HA1].last_err, 0); /* service goes on */
			story_leave(w, HA1, mn);
		}
		host_kill(&w->hosts[side]);
		story_forget(w);
	}
	story_start(w, S);
	story_start(w, P);
	story_expect_rest(w, 20000);
	assert_false(w->check.books_lost);
	story_expect_pool(w, S, 1, 0, 7);
	story_expect_pool(w, P, 1, 6, 1);
	story_end(w);
}

int stories_transfers(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requested_address),
		cmocka_unit_test(test_release_of_anothers_session),
		cmocka_unit_test(test_that_one_or_none),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_free_ones_change_hands),
		cmocka_unit_test(test_in_its_pool_after_restarts),
		cmocka_unit_test(test_the_owner_is_away),
		cmocka_unit_test(test_a_short_outage),
		cmocka_unit_test(test_old_primary_returns),
		cmocka_unit_test(test_garbage_in_a_resynchronisation),
		cmocka_unit_test(test_the_peer_dies_in_a_resynchronisation),
	};

	return cmocka_run_group_tests_name("transfers", tests, NULL, NULL);
}
