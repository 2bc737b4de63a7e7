/*
 * Stories of somebody who has recorded a whole session, from the first handshake on, and says it
 * again: in order and shuffled, to whom it was for and back to who said it, after either side has
 * been restarted, or both. Nothing comes of it.
 */
#include "core/node_int.h"
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TAPE_MAX 4096
#define BURST	 100 /* fewer than a socket holds */
#define QUIET_MS 200
#define FOREIGN	 UINT64_MAX /* the serial of what he puts on the wire */

struct tape {
	struct taped {
		uint8_t to;
		uint16_t n;
		uint8_t bytes[IPSP_DGRAM_MAX];
	} dgrams[TAPE_MAX];
	unsigned n;
	bool full;
};

static bool record(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct tape *tape = arg;
	struct taped *t = &tape->dgrams[tape->n];

	(void)w;
	if (tape->n == TAPE_MAX) {
		tape->full = true;
		return true;
	}
	tape->n++;
	t->to = (uint8_t)to;
	t->n = (uint16_t)n;
	memcpy(t->bytes, bytes, n);
	return true;
}

static void say_again(struct world *w, const struct taped *t, unsigned to)
{
	struct dgram *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->serial = FOREIGN;
	d->life = w->hosts[to].life;
	d->altered = true;
	d->n = t->n;
	memcpy(d->bytes, t->bytes, t->n);
	queue_put(&w->queue,
		  (struct sim_event){.at = w->now, .what = SIM_ARRIVE, .side = to, .data = d});
}

/* ---------------------------------------------------------------- what may not change */

struct state { /* of one side: what is durable, and what it believes of its peer */
	uint64_t digest, sent, applied, acked, epoch;
	struct ipsp_peer_facts peer;
	struct ipsp_session present, candidate;
	struct ipsp_lease_note lease;
	enum ipsp_state state;
	enum ipsp_peer_state peer_state;
	uint32_t open, used, events;
	uint64_t drops;
};

static uint64_t drops(struct world *w, unsigned side)
{
	const struct ipsp_stats *s = story_stats(w, side);

	return s->drop_short + s->drop_format + s->drop_version + s->drop_seal + s->drop_session +
	       s->drop_replay;
}

static struct state look(struct world *w, unsigned side)
{
	const struct ipsp_node *n = w->hosts[side].node;
	struct state s;

	memset(&s, 0, sizeof(s)); /* with what lies between the members */
	s.digest = ipsp_node_digest(n);
	s.sent = n->side.sent;
	s.applied = n->side.applied;
	s.acked = n->side.acked;
	s.epoch = n->side.epoch;
	memcpy(&s.peer, &n->peer, sizeof(s.peer));
	memcpy(&s.present, &n->seal.present, sizeof(s.present));
	memcpy(&s.candidate, &n->seal.candidate, sizeof(s.candidate));
	s.present.tx_seq = 0; /* it may answer */
	memcpy(&s.lease, &n->lease, sizeof(s.lease));
	s.lease.alive_at = 0;
	s.state = n->state;
	s.peer_state = n->peer_state;
	s.open = n->xacts.n_open;
	s.used = n->used;
	s.events = story_status(w, side).duplicates_open;
	s.drops = drops(w, side);
	return s;
}

static void expect_same(const struct state *a, const struct state *b)
{
	assert_int_equal(a->digest, b->digest);
	assert_int_equal(a->sent, b->sent);
	assert_int_equal(a->applied, b->applied);
	assert_int_equal(a->acked, b->acked);
	assert_int_equal(a->epoch, b->epoch);
	assert_memory_equal(&a->peer, &b->peer, sizeof(a->peer));
	assert_memory_equal(&a->present, &b->present, sizeof(a->present));
	assert_memory_equal(&a->candidate, &b->candidate, sizeof(a->candidate));
	assert_memory_equal(&a->lease, &b->lease, sizeof(a->lease));
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->peer_state, b->peer_state);
	assert_int_equal(a->open, b->open);
	assert_int_equal(a->used, b->used);
	assert_int_equal(a->events, b->events);
}

/* Until neither has anything to do for a while. */
static void until_quiet(struct world *w)
{
	for (unsigned i = 0; i < 10000; i++) {
		const struct host *p = &w->hosts[P], *s = &w->hosts[S];

		story_run(w, 1);
		if (ipsp_node_due(p->node) >= host_ms(p) + QUIET_MS &&
		    ipsp_node_due(s->node) >= host_ms(s) + QUIET_MS) {
			story_run(w, 10); /* what was on its way has come */
			return;
		}
	}
	fail_msg("the two always have something to do");
}

/* ---------------------------------------------------------------- a day, and what he does then */

static void with_key(struct world_conf *conf)
{
	conf->has_key = true;
}

/* Handshake, sharing, grants in both directions, a drain, a change of roles and back, a cut. */
static struct world *a_day(struct tape *tape)
{
	struct world *w = story_begin_cold(with_key);

	w->tap = record;
	w->tap_arg = tape;
	story_watch(w, 0);
	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 15000);
	story_take(w, HA2, "mn-1", NULL);
	story_take(w, HA1, "mn-2", NULL);
	story_take(w, HA2, "mn-3", "10.1.0.5");
	story_take(w, HA1, "mn-3", "10.1.0.5"); /* a hand-off */
	story_run(w, 30000);
	story_command(w, P, IPSP_CMD_DRAIN, false, 0);
	story_run(w, 30000);
	story_command(w, P, IPSP_CMD_UNDRAIN, false, 0);
	story_command(w, S, IPSP_CMD_TAKEOVER, false, 0);
	story_run(w, 30000);
	story_take(w, HA1, "mn-4", NULL);
	story_command(w, P, IPSP_CMD_TAKEOVER, false, 0);
	story_run(w, 30000);
	story_cut(w, true, true);
	story_run(w, (DEAD_S + 20) * 1000);
	story_take(w, HA2, "mn-5", NULL);
	story_cut(w, false, false);
	story_expect_rest(w, 60000);
	story_leave(w, HA1, "mn-2");
	story_run(w, 30000);
	story_expect_rest(w, 60000);
	assert_false(tape->full);
	assert_true(tape->n > 200);
	return w;
}

static void restart(struct world *w, unsigned which, bool power)
{
	for (unsigned side = P; side <= S; side++) {
		if (!(which & 1U << side))
			continue;
		if (power)
			host_power_off(&w->hosts[side], false);
		else
			host_kill(&w->hosts[side]);
	}
	story_run(w, 300);
	for (unsigned side = P; side <= S; side++)
		if (which & 1U << side)
			story_start(w, side);
	story_expect_rest(w, 120000);
}

enum { SHUFFLED = 1, BACK = 2, WAYS = 4 };

/* Each datagram of the tape once, and both sides are as they were. */
static void say_all(struct world *w, const struct tape *tape, unsigned way)
{
	static unsigned order[TAPE_MAX];
	const unsigned n = tape->n;
	struct state before[2];

	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; way & SHUFFLED && i > 1; i--) {
		const unsigned k = (unsigned)rand_below(&w->rand, i), was = order[k];

		order[k] = order[i - 1];
		order[i - 1] = was;
	}
	for (unsigned at = 0; at < n; at += BURST) {
		unsigned heard[2] = {0, 0};

		until_quiet(w);
		before[P] = look(w, P);
		before[S] = look(w, S);
		for (unsigned i = at; i < n && i < at + BURST; i++) {
			const struct taped *t = &tape->dgrams[order[i]];
			const unsigned to = way & BACK ? 1U - t->to : t->to;

			say_again(w, t, to);
			heard[to]++;
		}
		story_run(w, 100);
		for (unsigned side = P; side <= S; side++) {
			const struct state after = look(w, side);

			expect_same(&before[side], &after);
			assert_true(after.drops <= before[side].drops + n);
			assert_true(heard[side] == 0 || after.drops > before[side].drops);
		}
	}
}

static void test_a_recorded_session(void **state)
{
	static struct tape tape;

	(void)state;
	for (unsigned power = 0; power < 2; power++) {
		for (unsigned which = power; which < 4; which++) { /* nobody, P, S, both */
			struct world *w;

			tape.n = 0;
			w = a_day(&tape);
			const unsigned recorded = tape.n;
			restart(w, which, power);
			w->tap = NULL;
			for (unsigned way = 0; way < WAYS; way++)
				say_all(w, &tape, way);
			assert_true(tape.n >= recorded);
			story_take(w, HA1, "mn-8", NULL);
			story_take(w, HA2, "mn-9", NULL);
			assert_int_equal(w->has[HA1].last_err, 0);
			assert_int_equal(w->has[HA2].last_err, 0);
			story_expect_rest(w, 10000);
			story_end(w);
		}
	}
}

/*
 * The peer is dead, and he says all that it ever said. The side that starts makes no session of it,
 * and serves at most one dead interval later than it would without him.
 */
static void test_a_recorded_session_instead_of_a_peer(void **state)
{
	static struct tape tape;
	unsigned alone[2] = {0, 0}; /* ms until it serves, without him and with him */

	(void)state;
	for (unsigned with = 0; with < 2; with++) {
		struct world *w;
		unsigned at = 0;

		tape.n = 0;
		w = a_day(&tape);
		w->tap = NULL;
		host_power_off(&w->hosts[P], false);
		host_power_off(&w->hosts[S], false);
		story_run(w, 1000);
		story_start(w, S);
		for (; !story_status(w, S).serving && alone[with] < 600000; alone[with] += 100) {
			for (unsigned i = 0; with && i < 50; i++, at++)
				say_again(w, &tape.dgrams[at % tape.n], S);
			story_run(w, 100);
			assert_false(w->hosts[S].node->seal.present.valid);
			assert_int_equal(story_stats(w, S)->hellos_received, 0);
		}
		story_take(w, HA2, "mn-9", NULL);
		assert_int_equal(w->has[HA2].last_err, 0);
		story_end(w);
	}
	assert_true(alone[0] < 600000);
	assert_true(alone[1] >= alone[0] && alone[1] <= alone[0] + DEAD_S * 1000 + 1000);
}

int stories_recorded(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_recorded_session),
		cmocka_unit_test(test_a_recorded_session_instead_of_a_peer),
	};

	return cmocka_run_group_tests_name("recorded", tests, NULL, NULL);
}
