/* Stories of keys that don't fit: noticed at once, said on both sides, with no harm meanwhile. */
#include "core/seal.h"
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The key file of @side has these secrets, a letter each; "": auth = "none". */
static void keys(struct world *w, unsigned side, const char *letters)
{
	struct ipsp_psp_conf *psp = &w->hosts[side].conf.psp;

	memset(psp->keys, 0, sizeof(psp->keys));
	for (psp->n_keys = 0; letters[psp->n_keys]; psp->n_keys++)
		memset(psp->keys[psp->n_keys], letters[psp->n_keys], IPSP_KEY_BYTES);
}

static void reload(struct world *w, unsigned side, const char *letters)
{
	keys(w, side, letters);
	host_reload(&w->hosts[side], w->hosts[side].conf.psp.dead_interval_ms);
}

static struct world *begin(const char *at_p, const char *at_s)
{
	struct world *w = story_begin_cold(NULL);

	keys(w, P, at_p);
	keys(w, S, at_s);
	story_start(w, P);
	story_start(w, S);
	story_run(w, 12000);
	return w;
}

static void expect_match(struct world *w, enum ipsp_key_match at_p, enum ipsp_key_match at_s)
{
	assert_int_equal(story_status(w, P).key_match, at_p);
	assert_int_equal(story_status(w, S).key_match, at_s);
}

/* The pair works as if nothing were. */
static void expect_good(struct world *w)
{
	for (unsigned side = P; side <= S; side++) {
		assert_int_equal(story_stats(w, side)->peer_losses, 0);
		assert_int_equal(story_status(w, side).state, IPSP_ST_ACTIVE);
		assert_true(story_status(w, side).serving);
		assert_true(story_status(w, side).last_heard_ms < 1500);
	}
}

/* Ten hello intervals after the reload both sides say so; the session in force goes on for as long
 * as nobody restarts, and the right key mends it. */
static void test_a_wrong_key_by_reload(void **state)
{
	struct world *w = begin("k", "k");

	(void)state;
	expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
	assert_string_equal(story_status(w, P).key_fingerprint, story_status(w, S).key_fingerprint);
	story_take(w, HA2, "mn-1", NULL);
	reload(w, P, "x");
	story_run(w, 10000);
	expect_match(w, IPSP_KEY_DIFFERS, IPSP_KEY_DIFFERS);
	assert_string_not_equal(story_status(w, P).key_fingerprint,
				story_status(w, S).key_fingerprint);
	for (unsigned side = P; side <= S; side++) {
		assert_true(story_noted(w, side, "the peer does not answer a handshake with key"));
		assert_true(story_noted(w, side, "put the same secret first into the key-file"));
		assert_true(story_noted(w, side, "the peer's address begins a handshake with key"));
	}
	story_run(w, 3 * DEAD_S * 1000);
	expect_good(w);
	story_take(w, HA2, "mn-2", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);

	reload(w, P, "k");
	story_run(w, 10000);
	expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
	assert_true(story_noted(w, P, "the peer has answered a handshake with key"));
	expect_good(w);
	story_expect_rest(w, 5000);
	story_end(w);
}

/* Each step of a rotation is tried at once, and is in force before the next one. */
static void test_a_rotation_is_tried_at_each_step(void **state)
{
	static const char *const steps[] = {"ab", "ba", "b"};
	struct world *w = begin("a", "a");

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned side = P; side <= S; side++) {
			reload(w, side, steps[i]);
			story_run(w, 500);
			expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
			expect_good(w);
		}
		story_run(w, 5000);
	}
	for (unsigned side = P; side <= S; side++) {
		assert_true(story_noted(w, side, "the session with the peer goes on with key"));
		assert_false(story_noted(w, side, "does not answer"));
		assert_int_equal(story_stats(w, side)->drop_seal, 0);
	}
	story_expect_rest(w, 5000);
	story_end(w);
}

/* One side is a step ahead: they hear each other by the second key, but the first is of no use. */
static void test_a_step_too_early(void **state)
{
	struct world *w = begin("a", "a");

	(void)state;
	reload(w, S, "ab");
	story_run(w, 3000);
	reload(w, P, "b");
	story_run(w, 10000);
	expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
	host_kill(&w->hosts[S]);
	story_start(w, S);
	story_run(w, 15000);
	expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_DIFFERS);
	assert_true(story_noted(w, S, "the peer does not answer a handshake with key"));
	reload(w, S, "ba");
	story_run(w, 3000);
	expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
	story_expect_rest(w, 5000);
	story_end(w);
}

/* From the start: a peer that is not there has no wrong key; one with another key seems to have. */
static void test_other_keys_from_the_start(void **state)
{
	static const char *const other[] = {"x", ""};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = story_begin_cold(NULL);

		keys(w, P, "k");
		keys(w, S, other[i]);
		story_start(w, P);
		story_run(w, 30000);
		assert_int_equal(story_status(w, P).key_match, IPSP_KEY_UNTRIED);
		story_start(w, S);
		story_run(w, 10000);
		expect_match(w, IPSP_KEY_FOREIGN, IPSP_KEY_FOREIGN);
		assert_int_equal(*story_status(w, S).key_fingerprint != '\0', i == 0);
		assert_true(
			story_noted(w, S, "the two sides have different secrets, and do not hear"));
		assert_true(story_noted(w, P,
					i ? "auth = \"none\"), and here is a key"
					  : "which the key-file here does not have"));
		assert_true(story_noted(w, S,
					i ? "and here is auth = \"none\""
					  : "which the key-file here does not have"));
		reload(w, S, "k");
		story_run(w, 3000);
		expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
		story_expect_rest(w, 15000);
		story_end(w);
	}
}

/* What a peer that is cut off, or does not hear this side, lets go by says nothing of its key. */
static void test_silence_is_no_wrong_key(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		struct world *w = begin("k", "k");

		reload(w, P, "kx");
		reload(w, S, "xk");
		story_run(w, 3000);
		expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
		story_cut(w, way != 1, way != 0);
		reload(w, P, "xk");
		reload(w, S, "kx");
		story_run(w, 20000);
		for (unsigned side = P; side <= S; side++)
			assert_int_not_equal(story_status(w, side).key_match, IPSP_KEY_DIFFERS);
		story_cut(w, false, false);
		story_run(w, 10000);
		expect_match(w, IPSP_KEY_MATCHES, IPSP_KEY_MATCHES);
		story_end(w);
	}
}

/* S is dead, and somebody without any key sends what looks like handshakes with another one:
 * nothing of that is told of the peer, and it is forgotten when he stops. */
static void test_a_stranger_says_another_key(void **state)
{
	struct world *w = begin("k", "k");
	uint8_t junk[IPSP_SHAKE_LEN] = {'I', 'P', 2, 1};

	(void)state;
	memset(junk + 16, 0x77, sizeof(junk) - 16);
	host_kill(&w->hosts[S]);
	for (unsigned i = 0; i < 20; i++) {
		net_send(w, P, junk, sizeof(junk));
		story_run(w, 1000);
	}
	assert_false(story_noted(w, P, "it has another secret"));
	assert_false(story_noted(w, P, "the peer does not answer"));
	assert_true(story_noted(w, P, "if the peer's ipspd sends these"));
	assert_int_not_equal(story_status(w, P).key_match, IPSP_KEY_DIFFERS);
	story_run(w, 12000);
	assert_int_equal(story_status(w, P).key_match, IPSP_KEY_UNTRIED);
	story_start(w, S);
	story_expect_rest(w, 15000);
	story_end(w);
}

int stories_keys(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_wrong_key_by_reload),
		cmocka_unit_test(test_a_rotation_is_tried_at_each_step),
		cmocka_unit_test(test_a_step_too_early),
		cmocka_unit_test(test_other_keys_from_the_start),
		cmocka_unit_test(test_silence_is_no_wrong_key),
		cmocka_unit_test(test_a_stranger_says_another_key),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
