/* Stories of session keys that are renewed: nobody notices, whatever happens meanwhile. */
#include "core/node_int.h"
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RENEW_MS 20000

static void short_lived(struct world_conf *conf)
{
	conf->renew_ms[P] = RENEW_MS;
	conf->renew_ms[S] = RENEW_MS + 7000; /* P begins */
	conf->has_key = true;
}

static void at_once(struct world_conf *conf) /* both begin */
{
	short_lived(conf);
	conf->renew_ms[S] = RENEW_MS;
}

static void by_number(struct world_conf *conf)
{
	conf->renew_datagrams = 30;
}

static void s_is_older(struct world_conf *conf)
{
	short_lived(conf);
	conf->no_renewal[S] = true;
}

static uint32_t tag(struct world *w, unsigned side)
{
	return w->hosts[side].node->seal.present.tag;
}

static struct ipsp_chain *chain(struct world *w, unsigned side)
{
	return &w->hosts[side].node->seal.chain;
}

struct past { /* what must not change */
	uint64_t notes[2], losses[2], traps[2], dropped[2], renewed[2], sessions[2];
};

static uint64_t dropped(const struct ipsp_stats *s)
{
	return s->drop_short + s->drop_format + s->drop_version + s->drop_seal + s->drop_session +
	       s->drop_replay + s->drop_state;
}

static unsigned traps(const struct host *h)
{
	unsigned n = 0;

	for (unsigned i = 0; i < IPSP_TRAPS; i++)
		n += h->n_traps[i];
	return n;
}

static struct past look(struct world *w)
{
	struct past past;

	for (unsigned side = P; side <= S; side++) {
		const struct ipsp_stats *s = story_stats(w, side);

		past.notes[side] = ipsp_node_notes(w->hosts[side].node)->last;
		past.losses[side] = s->peer_losses;
		past.dropped[side] = dropped(s);
		past.renewed[side] = s->keys_renewed;
		past.traps[side] = traps(&w->hosts[side]);
		past.sessions[side] = w->hosts[side].node->peer.known;
	}
	return past;
}

/* Nothing was said, lost, dropped or begun anew since, and both have had @renewed new keys. */
static void expect_silent(struct world *w, const struct past *past, uint64_t renewed)
{
	const struct past now = look(w);

	for (unsigned side = P; side <= S; side++) {
		assert_int_equal(now.notes[side], past->notes[side]);
		assert_int_equal(now.losses[side], past->losses[side]);
		assert_int_equal(now.traps[side], past->traps[side]);
		assert_int_equal(now.dropped[side], past->dropped[side]);
		assert_int_equal(now.renewed[side] - past->renewed[side], renewed);
		assert_int_equal(story_status(w, side).state, IPSP_ST_ACTIVE);
		assert_true(story_status(w, side).serving);
	}
	assert_int_equal(tag(w, P), tag(w, S));
}

/* Every 100 ms: contact, lease, the stream of numbers. */
static void run_watched(struct world *w, unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 100) {
		story_run(w, 100);
		for (unsigned side = P; side <= S; side++) {
			const struct ipsp_node *n = w->hosts[side].node;

			assert_true(ipsp_contact(n));
			assert_true(n->peer.known);
			assert_true(n->lease.lease_end - n->now > (DEAD_S - 4) * 1000);
			assert_int_equal(n->state, IPSP_ST_ACTIVE);
		}
	}
}

static void test_renewed_by_age(void **state)
{
	static void (*const tweaks[])(struct world_conf * conf) = {short_lived, at_once};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = story_begin_with(tweaks[i]);
		const uint32_t first = tag(w, P);
		const struct past past = look(w);
		const uint64_t hellos = story_stats(w, P)->hellos_sent;

		run_watched(w, RENEW_MS);
		assert_int_not_equal(tag(w, P), first);
		expect_silent(w, &past, 1);
		assert_in_range(story_stats(w, P)->hellos_sent - hellos, 19, 21);
		story_take(w, HA2, "mn-1", NULL);
		story_take(w, HA2, "mn-2", NULL);
		run_watched(w, RENEW_MS);
		expect_silent(w, &past, 2);
		story_end(w);
	}
}

/* The keys of before are gone a loss time after the peer has sealed with the present ones. */
static void test_the_keys_of_before_end(void **state)
{
	struct world *w = story_begin_with(short_lived);
	static const struct ipsp_chain none;
	unsigned had = 0;

	(void)state;
	story_run(w, RENEW_MS - 5000);
	for (unsigned i = 0; i < 200 && !chain(w, S)->last.valid; i++)
		story_run(w, 100);
	assert_true(chain(w, S)->last.valid);
	assert_true(sodium_is_zero(chain(w, S)->last.tx_key, 32));
	assert_true(sodium_is_zero(chain(w, S)->last.chain, 32));
	for (; chain(w, S)->last.valid || chain(w, P)->last.valid; had += 100)
		story_run(w, 100);
	assert_in_range(had, 9900, 12000);
	for (unsigned side = P; side <= S; side++)
		assert_memory_equal(chain(w, side), &none, sizeof(none));
	story_end(w);
}

static void test_renewed_by_number(void **state)
{
	struct world *w = story_begin_with(by_number);
	const struct past past = look(w);

	(void)state;
	run_watched(w, 30 * 1000 + 3000);
	expect_silent(w, &past, 1);
	for (unsigned i = 0; i < 40; i++) { /* datagrams enough, and the same seconds */
		story_take(w, HA1, "mn-1", NULL);
		story_leave(w, HA1, "mn-1");
	}
	run_watched(w, 60000);
	assert_in_range(story_stats(w, P)->keys_renewed, 3, 6);
	story_end(w);
}

static void test_an_hour(void **state)
{
	struct world *w = story_begin();
	const struct past past = look(w);

	(void)state;
	story_run(w, 3570 * 1000);
	expect_silent(w, &past, 0);
	story_run(w, 40 * 1000);
	expect_silent(w, &past, 1);
	story_run(w, 3600 * 1000);
	expect_silent(w, &past, 2);
	story_end(w);
}

static void test_an_older_peer_keeps_its_keys(void **state)
{
	struct world *w = story_begin_with(s_is_older);
	const struct past past = look(w);
	const uint32_t first = tag(w, P);

	(void)state;
	run_watched(w, 3 * RENEW_MS);
	expect_silent(w, &past, 0);
	assert_int_equal(tag(w, P), first);
	for (unsigned side = P; side <= S; side++)
		assert_false(chain(w, side)->offered);
	story_end(w);
}

/* ---------------------------------------------------------------- something goes wrong meanwhile
 */

struct thief { /* takes some of the datagrams away, by their numbers */
	unsigned n, first, count, to;
};

static bool steal(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct thief *t = arg;
	const unsigned number = t->n++;

	(void)w;
	(void)bytes;
	(void)n;
	return (to != t->to && t->to != 2) || number < t->first || number >= t->first + t->count;
}

/* Hellos are lost, one or two, at each place of the exchange, one way or both: no more than these
 * are. */
static void test_lost_halves(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2 * 3 * 16; k++) {
		struct world *w = story_begin_with(k % 2 ? at_once : short_lived);
		struct thief thief = {.first = k / 6, .count = 1 + k % 2, .to = k / 2 % 3};

		story_run(w, RENEW_MS - 6000);
		struct past past = look(w);
		w->tap = steal;
		w->tap_arg = &thief;
		story_run(w, 16000);
		w->tap = NULL;
		expect_silent(w, &past, 1);
		story_take(w, HA2, "mn-1", NULL);
		assert_int_equal(w->has[HA2].last_err, 0);
		story_end(w);
	}
}

/* ... or they are cut off, shorter than the loss time, and not heard one way. */
static void test_cut_meanwhile(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 3 * 20; k++) {
		struct world *w = story_begin_with(short_lived);

		story_run(w, RENEW_MS - 6000 + k / 3 * 500);
		const struct past past = look(w);
		story_cut(w, k % 3 != 1, k % 3 != 0);
		story_run(w, 7000);
		story_cut(w, false, false);
		story_run(w, 20000);
		for (unsigned side = P; side <= S; side++) {
			assert_int_equal(story_stats(w, side)->peer_losses, past.losses[side]);
			assert_int_equal(story_status(w, side).state, IPSP_ST_ACTIVE);
		}
		assert_int_equal(tag(w, P), tag(w, S));
		story_expect_rest(w, 5000);
		story_end(w);
	}
}

static void test_killed_meanwhile(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2 * 20; k++) {
		struct world *w = story_begin_with(k % 4 < 2 ? short_lived : at_once);

		story_take(w, HA2, "mn-1", NULL);
		story_run(w, RENEW_MS - 5000 + k / 2 * 250);
		host_kill(&w->hosts[k % 2]);
		story_run(w, 700);
		story_start(w, k % 2);
		story_expect_rest(w, 6000);
		for (unsigned side = P; side <= S; side++)
			assert_int_equal(story_stats(w, side)->peer_losses, 0);
		story_run(w, RENEW_MS + 4000);
		assert_int_equal(tag(w, P), tag(w, S));
		assert_true(story_stats(w, P)->keys_renewed > 0);
		story_end(w);
	}
}

/* One is stopped in the middle of it, and reads all that came at once when it goes on. */
static void test_stopped_meanwhile(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2 * 16; k++) {
		struct world *w = story_begin_with(short_lived);

		story_run(w, RENEW_MS - 5000 + k / 2 * 300);
		host_stop(&w->hosts[k % 2]);
		story_run(w, 8000);
		host_cont(&w->hosts[k % 2]);
		story_run(w, RENEW_MS);
		for (unsigned side = P; side <= S; side++)
			assert_int_equal(story_stats(w, side)->peer_losses, 0);
		assert_int_equal(tag(w, P), tag(w, S));
		story_expect_rest(w, 6000);
		story_end(w);
	}
}

static void other_key(struct world *w, unsigned side, uint8_t letter)
{
	struct ipsp_psp_conf *psp = &w->hosts[side].conf.psp;

	memset(psp->keys[0], letter, IPSP_KEY_BYTES);
	host_reload(&w->hosts[side], psp->dead_interval_ms);
}

/* A reload brings another secret: the session goes on and its keys are renewed all the same, by one
 * side's file or by both. */
static void test_another_secret_meanwhile(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2 * 12; k++) {
		struct world *w = story_begin_with(short_lived);

		story_run(w, RENEW_MS - 4000 + k / 2 * 400);
		other_key(w, P, 'x');
		if (k % 2)
			other_key(w, S, 'x');
		story_run(w, 2 * RENEW_MS);
		for (unsigned side = P; side <= S; side++) {
			assert_int_equal(story_stats(w, side)->peer_losses, 0);
			assert_int_equal(story_status(w, side).state, IPSP_ST_ACTIVE);
			assert_true(story_status(w, side).last_heard_ms < 1500);
			assert_true(story_stats(w, side)->keys_renewed > 0);
			assert_int_equal(story_status(w, side).key_match,
					 k % 2 ? IPSP_KEY_MATCHES : IPSP_KEY_DIFFERS);
		}
		for (unsigned i = 0; i < 25 && tag(w, P) != tag(w, S); i++)
			story_run(w, 100); /* in the middle of the next one */
		assert_int_equal(tag(w, P), tag(w, S));
		story_end(w);
	}
}

/* ---------------------------------------------------------------- late ones, and strangers */

#define TAPE 64

struct tape { /* somebody records all, and lets some of it pass later */
	struct record {
		unsigned to;
		size_t n;
		uint8_t bytes[IPSP_DGRAM_MAX];
	} all[TAPE];
	unsigned n;
	bool holds; /* what leads to S is held back */
};

static bool record(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct tape *tape = arg;
	struct record *r = &tape->all[tape->n % TAPE];

	(void)w;
	tape->n++;
	r->to = to;
	r->n = n;
	memcpy(r->bytes, bytes, n);
	return !(tape->holds && to == S);
}

static void play(struct world *w, const struct record *r)
{
	struct dgram *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->serial = UINT64_MAX;
	d->life = w->hosts[r->to].life;
	d->altered = true;
	d->n = r->n;
	memcpy(d->bytes, r->bytes, r->n);
	host_receive(&w->hosts[r->to], d);
}

/* One datagram of before the renewal comes when both seal with the new keys: it is opened for as
 * long as a loss time, and not after it. */
static void test_a_late_datagram(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct world *w = story_begin_with(short_lived);
		struct tape *tape = calloc(1, sizeof(*tape));
		struct record one;

		assert_non_null(tape);
		story_run(w, RENEW_MS - 5000);
		w->tap = record;
		w->tap_arg = tape;
		tape->holds = true;
		while (tape->n == 0 || tape->all[tape->n - 1].to != S)
			story_run(w, 10);
		tape->holds = false;
		one = tape->all[tape->n - 1];
		const uint32_t before = tag(w, S);
		while (tag(w, S) == before || tag(w, P) == before)
			story_run(w, 100);
		story_run(w, late ? 12000 : 8000);
		const struct ipsp_stats then = *story_stats(w, S);
		play(w, &one);
		story_run(w, 100);
		const struct ipsp_stats *now = story_stats(w, S);
		assert_int_equal(now->drop_session - then.drop_session, late);
		play(w, &one); /* and once only */
		story_run(w, 100);
		assert_int_equal(dropped(now) - dropped(&then), 1 + late);
		expect_silent(w,
			      &(struct past){.notes = {ipsp_node_notes(w->hosts[P].node)->last,
						       ipsp_node_notes(w->hosts[S].node)->last},
					     .traps = {traps(&w->hosts[P]), traps(&w->hosts[S])},
					     .dropped = {dropped(story_stats(w, P)), dropped(now)}},
			      1);
		w->tap = NULL;
		free(tape);
		story_end(w);
	}
}

/* All that was ever said, and what looks like a handshake, ten times a second: no renewal begins by
 * it, none is held up, and none fails. */
static void test_strangers_have_no_part(void **state)
{
	struct world *w = story_begin_with(short_lived);
	struct tape *tape = calloc(1, sizeof(*tape));
	const struct past past = look(w);
	unsigned at = 0;

	(void)state;
	assert_non_null(tape);
	w->tap = record;
	w->tap_arg = tape;
	host_kill(&w->hosts[S]); /* some handshakes for his tape */
	story_run(w, 500);
	story_start(w, S);
	story_run(w, 6000);
	for (unsigned ms = 0; ms < 3 * RENEW_MS; ms += 100) {
		struct record junk = tape->all[at++ % (tape->n < TAPE ? tape->n : TAPE)];

		play(w, &junk);
		junk.bytes[at % junk.n] ^= 1;
		play(w, &junk);
		memset(junk.bytes + 16, (int)at, junk.n - 16);
		play(w, &junk);
		story_run(w, 100);
		assert_int_equal(story_status(w, P).state, IPSP_ST_ACTIVE);
		assert_true(story_status(w, P).last_heard_ms <= 1100);
		assert_true(story_status(w, S).last_heard_ms <= 1100);
	}
	assert_in_range(story_stats(w, P)->keys_renewed, 2, 3);
	assert_in_range(story_stats(w, S)->keys_renewed, 2, 3);
	for (unsigned side = P; side <= S; side++)
		assert_int_equal(story_stats(w, side)->peer_losses, past.losses[side]);
	w->tap = NULL;
	free(tape);
	story_end(w);
}

int stories_renewal(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renewed_by_age),
		cmocka_unit_test(test_the_keys_of_before_end),
		cmocka_unit_test(test_renewed_by_number),
		cmocka_unit_test(test_an_hour),
		cmocka_unit_test(test_an_older_peer_keeps_its_keys),
		cmocka_unit_test(test_lost_halves),
		cmocka_unit_test(test_cut_meanwhile),
		cmocka_unit_test(test_killed_meanwhile),
		cmocka_unit_test(test_stopped_meanwhile),
		cmocka_unit_test(test_another_secret_meanwhile),
		cmocka_unit_test(test_a_late_datagram),
		cmocka_unit_test(test_strangers_have_no_part),
	};

	return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
