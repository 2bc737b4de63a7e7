/*
 * stories_link - a side whose own end of the link fails, and one that is heard and does not hear.
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

/* ---------------------------------------------------------------- an empty primary */

/* S is the primary now, with sessions; P is down, and what it knew is gone. */
static struct world *with_an_empty_primary(void)
{
	struct world *w = story_begin();

	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_take(w, HA2, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_run(w, 2000);
	host_kill(&w->hosts[P]);
	disk_wipe(&w->hosts[P].disk);
	check_state_lost(&w->hosts[P]);
	return w;
}

static bool is_given_an_address(struct world *w, unsigned ha, unsigned mn)
{
	char name[12];

	snprintf(name, sizeof(name), "mn-%u", mn);
	w->has[ha].last_err = 1;
	if (!ha_request(&w->has[ha], HA_NEW, mn, 1, NO_ADDR, -1, -1))
		return false;
	story_run(w, 3500); /* its request timeout */
	return w->has[ha].last_err == 0;
}

static void expect_its_state_back(struct world *w)
{
	assert_true(story_noted(w, P, "this side has lost its state") ||
		    story_noted(w, P, "what was given anew"));
	story_expect_rest(w, 30000);
	assert_non_null(ha_find(&w->has[HA2], 1, 1));
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

/* A socket that is never bound has listened to nobody, however long that takes. */
static void test_an_empty_primary_that_is_deaf(void **state)
{
	struct world *w = with_an_empty_primary();

	(void)state;
	host_link(&w->hosts[P], false);
	story_start(w, P);
	story_run(w, 60000);
	story_expect_side(w, P, "primary", "connecting", false);
	assert_int_equal(story_status(w, P).waiting, IPSP_WAIT_LINK);
	assert_true(story_status(w, P).deaf);
	assert_false(is_given_an_address(w, HA1, 9));
	assert_true(story_noted(w, P, "this side's own link fails: interface v is down"));
	assert_true(story_noted(w, P, "new sessions are not served: this side listens first"));
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_LINK_CHANGE], 1);
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_LINK_CHANGE], 1);
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_SERVING_CHANGE], 1); /* of its first life */
	host_link(&w->hosts[P], true);
	story_run(w, 10000);
	assert_true(story_noted(w, P, "this side's own link works again, after 63 s"));
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_LINK_CHANGE], 2);
	expect_its_state_back(w);
}

/* Time before and after the failure does not add up: three hello intervals without one are needed.
 */
static void test_a_listening_that_is_interrupted(void **state)
{
	struct world *w = with_an_empty_primary();

	(void)state;
	story_cut(w, true, true); /* so that it hears nobody in any case */
	story_start(w, P);
	for (unsigned i = 0; i < 10; i++) {
		story_run(w, 2900);
		assert_false(story_status(w, P).serving);
		host_link(&w->hosts[P], false);
		story_run(w, 20);
		host_link(&w->hosts[P], true);
	}
	story_run(w, 2900);
	assert_false(story_status(w, P).serving);
	story_cut(w, false, false);
	story_run(w, 10000);
	expect_its_state_back(w);
}

/* takeover-when-deaf is about the dead interval alone: a first listening never counts such time. */
static void test_no_key_lets_it_serve(void **state)
{
	struct world *w = with_an_empty_primary();

	(void)state;
	for (unsigned key = 0; key < 2; key++) {
		host_kill(&w->hosts[P]);
		disk_wipe(&w->hosts[P].disk);
		w->hosts[P].conf.psp.takeover_when_deaf = key != 0;
		host_link(&w->hosts[P], false);
		story_start(w, P);
		story_run(w, 2 * DEAD_S * 1000);
		assert_false(story_status(w, P).serving);
	}
	host_link(&w->hosts[P], true);
	story_run(w, 10000);
	expect_its_state_back(w);
}

/* In mode inactive it has heard nobody; so it listens when it is made active. */
static void test_an_empty_primary_made_active(void **state)
{
	struct world *w = with_an_empty_primary();

	(void)state;
	w->hosts[P].conf.psp.mode = IPSP_MODE_INACTIVE;
	host_link(&w->hosts[P], false);
	story_start(w, P);
	story_run(w, 10000);
	assert_true(story_status(w, P).serving); /* alone, as every primary that never shared */
	host_command(&w->hosts[P], IPSP_CMD_MODE, false, IPSP_MODE_ACTIVE);
	story_run(w, 10000);
	story_expect_side(w, P, "primary", "connecting", false);
	assert_int_equal(story_status(w, P).waiting, IPSP_WAIT_LINK);
	host_link(&w->hosts[P], true);
	story_run(w, 10000);
	expect_its_state_back(w);
}

/* A secondary with an empty state that a reload makes the primary has heard nobody either. */
static void test_an_empty_secondary_made_primary(void **state)
{
	struct world *w = story_begin();

	(void)state;
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_run(w, 1500);
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	host_link(&w->hosts[S], false);
	story_start(w, S);
	story_run(w, 5000);
	w->hosts[S].conf.psp.role = IPSP_ROLE_PRIMARY;
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_run(w, 10000);
	story_expect_side(w, S, "primary", "connecting", false);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_LINK);
	host_link(&w->hosts[S], true);
	story_run(w, 10000);
	assert_true(story_noted(w, S, "this side has lost its state"));
	story_expect_rest(w, 30000);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* Of all that is for S one datagram arrives, the first. */
static bool lets_one_through(void *arg, struct world *w, unsigned to, const uint8_t *bytes,
			     size_t n)
{
	unsigned *n_to_s = arg;

	(void)w, (void)bytes, (void)n;
	return to != S || (*n_to_s)++ == 0;
}

/* The peer begins handshakes, and never gets an answer but for one: that is no silence. */
static void test_an_empty_primary_that_is_not_heard(void **state)
{
	struct world *w = with_an_empty_primary();
	unsigned n_to_s = 0;

	(void)state;
	w->tap = lets_one_through;
	w->tap_arg = &n_to_s;
	story_start(w, P);
	story_run(w, 6000);
	assert_false(story_status(w, P).serving);
	assert_int_equal(story_status(w, P).waiting, IPSP_WAIT_UNHEARD);
	assert_false(story_status(w, P).deaf);
	assert_true(story_noted(w, P, "the peer is heard, but does not hear this side"));
	assert_false(is_given_an_address(w, HA1, 9));
	story_command(w, P, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	assert_non_null(strstr(w->hosts[P].command_text, "does not hear this side"));
	story_run(w, 14000);
	assert_false(story_status(w, P).serving);
	w->tap = NULL;
	story_run(w, 10000);
	expect_its_state_back(w);
}

/* A SHAKE that S once said to P. */
static struct beginning {
	size_t n;
	uint8_t bytes[IPSP_DGRAM_MAX];
} recorded;

static bool records(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct beginning *b = arg;

	(void)w;
	if (to == P && bytes[3] == 1 && n == 152 && b->n == 0) {
		b->n = n;
		memcpy(b->bytes, bytes, n);
	}
	return true;
}

static struct world *with_an_empty_primary_and_a_record(void)
{
	struct world *w = story_begin_cold(NULL);

	recorded.n = 0;
	w->tap = records;
	w->tap_arg = &recorded;
	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 10000);
	assert_true(recorded.n > 0);
	w->tap = NULL;
	story_run(w, 2000);
	host_kill(&w->hosts[S]);
	host_kill(&w->hosts[P]);
	disk_wipe(&w->hosts[P].disk);
	check_state_lost(&w->hosts[P]);
	story_start(w, P);
	return w;
}

static void play(struct world *w, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i += 2) {
		net_send(w, P, recorded.bytes, recorded.n);
		story_run(w, 2000);
	}
}

/* A stranger plays one SHAKE of before again and again: for one dead interval that may be the peer.
 */
static void test_an_empty_primary_and_an_old_shake(void **state)
{
	struct world *w = with_an_empty_primary_and_a_record();

	(void)state;
	play(w, DEAD_S - 2);
	assert_false(story_status(w, P).serving);
	assert_int_equal(story_status(w, P).waiting, IPSP_WAIT_UNHEARD);
	play(w, 8);
	story_expect_side(w, P, "primary", "connecting", true);
	story_end(w);

	w = with_an_empty_primary_and_a_record(); /* an operator knows better */
	play(w, 10);
	assert_false(story_status(w, P).serving);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "connecting", true);
	story_end(w);
}

/* ... until it is silent, too. Whoever knows that nobody is there needn't wait for that. */
static void test_an_empty_primary_is_told_to_serve(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	host_link(&w->hosts[P], false);
	story_start(w, P);
	story_run(w, 30000);
	assert_false(story_status(w, P).serving);
	story_command(w, P, IPSP_CMD_TAKEOVER, true, 0);
	story_expect_side(w, P, "primary", "connecting", true);
	story_take(w, HA1, "mn-1", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	host_link(&w->hosts[P], true);
	story_start(w, S);
	story_expect_rest(w, 20000);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

/* Nobody is there, and that was heard: it serves by the rule for first starts, as ever. */
static void test_an_empty_primary_that_can_hear(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_run(w, 2900);
	assert_false(story_status(w, P).serving);
	story_run(w, 200);
	assert_true(story_status(w, P).serving);
	assert_true(story_noted(w, P, "new sessions are not served: this side listens first"));
	assert_true(story_noted(w, P, "new sessions are served: this side is primary"));
	assert_int_equal(w->hosts[P].n_traps[IPSP_TRAP_SERVING_CHANGE], 1);
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_SERVING_CHANGE], 1);
	story_end(w);
}

/* ---------------------------------------------------------------- the dead interval */

static struct world *with_sessions(bool has_hook, bool takeover_when_deaf)
{
	struct world *w = story_begin_cold(NULL);

	w->has_hook = has_hook;
	w->hosts[S].conf.psp.takeover_when_deaf = takeover_when_deaf;
	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 10000);
	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_run(w, 1500);
	story_forget(w);
	return w;
}

/* B8: an interface that fails is not looked at, the dead interval decides. But it is named. */
static void test_deaf_for_a_dead_interval(void **state)
{
	struct world *w = with_sessions(false, true);
	const unsigned before = w->hosts[S].n_hooks[IPSP_HOOK_SERVING_CHANGE];

	(void)state;
	host_link(&w->hosts[S], false);
	story_run(w, 20000);
	story_expect_side(w, S, "secondary", "peer-lost", true); /* its lease runs */
	assert_true(story_noted(w, S,
				"the peer is lost, as this side's own link fails: interface v is "
				"down; the dead interval runs"));
	assert_true(story_status(w, S).dead_in_ms <= 11000);
	story_run(w, 11000);
	story_expect_side(w, S, "primary", "peer-down", true);
	assert_true(story_noted(w, S,
				"taken over while this side's own link fails, the peer may be "
				"alive: interface v is down"));
	story_expect_side(w, P, "primary", "peer-down", true);
	/* no more when its lease ended, again by its takeover */
	assert_int_equal(w->hosts[S].n_hooks[IPSP_HOOK_SERVING_CHANGE], before + 2);
	assert_true(story_noted(
		w, S,
		"new sessions are not served: this side's own link fails: interface v is down"));
	assert_true(story_noted(w, S, "new sessions are served: this side has taken over"));
	host_link(&w->hosts[S], true);
	story_expect_rest(w, 10000);
	story_end(w);
}

static void test_deaf_and_forbidden(void **state)
{
	struct world *w = with_sessions(false, false);

	(void)state;
	host_link(&w->hosts[S], false);
	story_run(w, 20000);
	assert_true(story_noted(w, S, "; the dead interval waits for this side's own link"));
	assert_int_equal(story_status(w, S).dead_in_ms, IPSP_NEVER);
	story_run(w, 10 * DEAD_S * 1000);
	story_expect_side(w, S, "secondary", "peer-lost", false);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_LINK);
	story_expect_side(w, P, "primary", "peer-down", true); /* which hears nobody */
	host_link(&w->hosts[S], true);
	story_expect_rest(w, 10000);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	assert_non_null(ha_find(&w->has[HA2], 2, 1));
	story_end(w);
}

/* What was heard counts, in whatever pieces: a link that flaps does not put it off for ever. */
static void test_silence_in_pieces(void **state)
{
	struct world *w = with_sessions(false, false);
	unsigned heard = 0;

	(void)state;
	host_kill(&w->hosts[P]);
	for (; heard < 60 && story_status(w, S).role == IPSP_ROLE_SECONDARY; heard++) {
		story_run(w, 1000);
		host_link(&w->hosts[S], false);
		story_run(w, 3000);
		assert_int_equal(story_status(w, S).role, IPSP_ROLE_SECONDARY);
		host_link(&w->hosts[S], true);
	}
	assert_int_equal(heard, 60); /* it never has three hello intervals in a row */
	story_run(w, 3200);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* Its own link is back just before the end of the dead interval: first the peer may speak. */
static void test_back_just_before_the_end(void **state)
{
	struct world *w = with_sessions(false, true);

	(void)state;
	host_link(&w->hosts[S], false);
	story_run(w, 28500);
	story_expect_side(w, S, "secondary", "peer-lost", true);
	story_cut(w, true, true); /* ... for the hello that would come at once */
	host_link(&w->hosts[S], true);
	story_run(w, 2000);
	story_cut(w, false, false);
	story_expect_rest(w, 3000);
	assert_int_equal(story_stats(w, S)->takeovers, 0);
	story_end(w);
}

/* A hook that was asked when this side could hear has not agreed to a takeover of one that can't.
 */
static void test_a_yes_that_comes_too_late(void **state)
{
	struct world *w = with_sessions(true, false);

	(void)state;
	w->hosts[S].deaf_hook = true; /* the first question is answered no */
	host_kill(&w->hosts[P]);
	story_run(w, DEAD_S * 1000 + 1000);
	assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_VETO);
	w->hosts[S].deaf_hook = false;
	host_link(&w->hosts[S], false);
	story_run(w, 120000);
	story_expect_side(w, S, "secondary", "peer-lost", false);
	host_link(&w->hosts[S], true);
	story_run(w, 35000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* ---------------------------------------------------------------- a licence over a restart */

static void restart_with_a_licence(bool takeover_when_deaf, bool serves)
{
	struct world *w = with_sessions(false, true);

	host_kill(&w->hosts[P]);
	story_run(w, DEAD_S * 1000 + 1000);
	story_expect_side(w, S, "primary", "peer-down", true);
	host_kill(&w->hosts[S]);
	w->hosts[S].conf.psp.takeover_when_deaf = takeover_when_deaf;
	host_link(&w->hosts[S], false);
	story_run(w, 1000);
	story_start(w, S);
	story_run(w, 3500);
	story_expect_side(w, S, "primary", "peer-down", serves);
	if (!serves) {
		assert_int_equal(story_status(w, S).waiting, IPSP_WAIT_LINK);
		host_link(&w->hosts[S], true);
		story_run(w, 3200);
		story_expect_side(w, S, "primary", "peer-down", true);
	}
	host_link(&w->hosts[S], true);
	story_start(w, P);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* One cable between two hosts: the death of the one is the other's lost carrier. */
static void test_a_licence_goes_on(void **state)
{
	(void)state;
	restart_with_a_licence(true, true);
}

static void test_a_licence_waits(void **state)
{
	(void)state;
	restart_with_a_licence(false, false);
}

/* ---------------------------------------------------------------- heard one way */

/* P hears S, and is not heard there: S takes over, P says what is wrong, and each refusal is true.
 */
static void test_not_heard(void **state)
{
	struct world *w = with_sessions(false, true);

	(void)state;
	story_cut(w, false, true);
	story_run(w, 16000);
	assert_true(story_status(w, P).unheard);
	assert_true(story_status(w, P).serving); /* its lease runs */
	assert_true(story_noted(w, P, "the peer is heard, but does not hear this side"));
	assert_true(story_noted(w, P, "this side serves new sessions for 1"));
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_LINK_CHANGE], 1);
	story_run(w, 16000);
	story_expect_side(w, S, "primary", "peer-down", true);
	assert_false(story_status(w, P).serving);
	assert_int_equal(story_status(w, P).waiting, IPSP_WAIT_UNHEARD);
	assert_string_equal(story_status(w, P).link_words, "the peer does not hear this side");
	assert_false(story_status(w, P).kept_back);
	assert_true(
		story_noted(w, P, "new sessions are not served: the peer does not hear this side"));
	story_command(w, P, IPSP_CMD_TAKEOVER, false, IPSP_ERR_NO_PEER);
	assert_non_null(strstr(w->hosts[P].command_text, "does not hear this side"));
	assert_null(strstr(w->hosts[P].command_text, "is gone for good"));
	story_command(w, P, IPSP_CMD_TAKEOVER, true, IPSP_ERR_DENIED);
	assert_non_null(strstr(w->hosts[P].command_text, "does not hear this side"));
	assert_null(strstr(w->hosts[P].command_text, "takeover without --force"));
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	assert_true(story_noted(w, P, "the peer hears this side again"));
	assert_int_equal(w->hosts[P].n_hooks[IPSP_HOOK_LINK_CHANGE], 2);
	story_end(w);
}

/* S hears nobody and no session is here: S6, and only that, keeps it back. */
static void test_kept_back(void **state)
{
	struct world *w = story_begin();

	(void)state;
	assert_false(story_status(w, S).kept_back);
	story_cut(w, false, true);
	story_run(w, 2 * DEAD_S * 1000);
	assert_true(story_status(w, S).kept_back);
	host_link(&w->hosts[S], false);
	story_run(w, 100);
	assert_false(story_status(w, S).kept_back); /* it could not hear, whatever S6 says */
	assert_true(story_status(w, S).s6_holds);
	host_link(&w->hosts[S], true);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	assert_false(story_status(w, S).kept_back);
	story_end(w);
}

/* ---------------------------------------------------------------- each change is said */

static void test_each_change_of_serving(void **state)
{
	struct world *w = story_begin();
	const struct host *h = &w->hosts[P];
	const unsigned before = h->n_hooks[IPSP_HOOK_SERVING_CHANGE];

	(void)state;
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	assert_int_equal(h->n_hooks[IPSP_HOOK_SERVING_CHANGE], before + 1);
	assert_true(story_noted(w, P, "new sessions are not served: this side is drained"));
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	assert_int_equal(h->n_hooks[IPSP_HOOK_SERVING_CHANGE], before + 2);
	story_run(w, 2000);
	story_command(w, P, IPSP_CMD_TERMINATE, false, 0);
	assert_int_equal(h->n_hooks[IPSP_HOOK_SERVING_CHANGE], before + 3);
	assert_true(story_noted(w, P, "new sessions are not served: this side is terminated"));
	assert_int_equal(h->n_traps[IPSP_TRAP_SERVING_CHANGE], before + 3);
	story_run(w, 2000);
	story_end(w);
}

int stories_link(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_primary_that_is_deaf),
		cmocka_unit_test(test_a_listening_that_is_interrupted),
		cmocka_unit_test(test_no_key_lets_it_serve),
		cmocka_unit_test(test_an_empty_primary_made_active),
		cmocka_unit_test(test_an_empty_secondary_made_primary),
		cmocka_unit_test(test_an_empty_primary_that_is_not_heard),
		cmocka_unit_test(test_an_empty_primary_and_an_old_shake),
		cmocka_unit_test(test_an_empty_primary_is_told_to_serve),
		cmocka_unit_test(test_an_empty_primary_that_can_hear),
		cmocka_unit_test(test_deaf_for_a_dead_interval),
		cmocka_unit_test(test_deaf_and_forbidden),
		cmocka_unit_test(test_silence_in_pieces),
		cmocka_unit_test(test_back_just_before_the_end),
		cmocka_unit_test(test_a_yes_that_comes_too_late),
		cmocka_unit_test(test_a_licence_goes_on),
		cmocka_unit_test(test_a_licence_waits),
		cmocka_unit_test(test_not_heard),
		cmocka_unit_test(test_kept_back),
		cmocka_unit_test(test_each_change_of_serving),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
