/*
 * seal between four contexts of two hosts that have one secret: what one says to its peer is
 * nothing to the other two, whoever leads it there, and nobody leads two sides back to the
 * handshake of the first version, which was bound to nothing. A side that speaks no other still
 * finds its peer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the five above first */
#include "base/err.h"
#include "core/seal.h"
#include <cmocka.h>
#include <sodium.h>

enum { A1, B1, A2, B2, SIDES }; /* the peer of each is the one with the other last bit */

struct dgram {
	uint8_t b[IPSP_DGRAM_MAX];
	size_t n;
	int by; /* who said it */
};

static const struct ipsp_psp_conf *conf_of(int who, bool by_port, const char *keys)
{
	static struct ipsp_psp_conf conf;
	const uint32_t net = who >= A2 && !by_port ? 0xc0000300 : 0xc0000200;

	memset(&conf, 0, sizeof(conf));
	conf.address = ipsp_addr_v4(net + 1 + (unsigned)(who & 1));
	conf.peer = ipsp_addr_v4(net + 2 - (unsigned)(who & 1));
	conf.port = who >= A2 && by_port ? 4188 : 4187;
	for (; *keys; keys++)
		memset(conf.keys[conf.n_keys++], *keys, IPSP_KEY_BYTES);
	return &conf;
}

static void init(struct ipsp_seal *seal, int who, bool by_port, const char *keys)
{
	uint8_t seed[32];

	memset(seed, who + 1, sizeof(seed));
	ipsp_seal_init(seal, conf_of(who, by_port, keys), seed);
}

static int hear(struct ipsp_seal *to, const struct dgram *d, struct dgram *reply)
{
	uint8_t plain[IPSP_DGRAM_MAX];
	size_t plain_n;

	return ipsp_seal_open(to, d->b, d->n, plain, &plain_n, reply->b, &reply->n);
}

static struct dgram shake(struct ipsp_seal *from)
{
	struct dgram d;

	d.n = ipsp_seal_shake(from, d.b);
	return d;
}

static struct dgram shake_old(struct ipsp_seal *from)
{
	struct dgram d;

	d.n = ipsp_seal_shake_old(from, d.b);
	return d;
}

/* ---------------------------------------------------------------- one that speaks version 1 alone
 */

/* Such a side says 0 where others say their highest version, and looks at it as little. It is
 * played by one of today's, whose words are made over. */
static void as_of_old(const struct ipsp_seal *with, struct dgram *d)
{
	assert_int_equal(d->b[2], IPSP_SEAL_OLD);
	memset(d->b + 8, 0, 8);
	crypto_generichash(d->b + 120, 32, d->b, 120, with->keys[0].old.mac, 32);
}

static void to_old(struct ipsp_seal *old, const struct dgram *d, struct dgram *reply)
{
	struct dgram made = *d;

	reply->n = 0;
	if (d->n == 0 || d->b[2] != IPSP_SEAL_OLD)
		return; /* another version: dropped */
	if (d->b[3] == IPSP_DGRAM_SHAKE)
		as_of_old(old, &made);
	hear(old, &made, reply);
	if (reply->n)
		as_of_old(old, reply);
}

/* @now begins, @old answers; the result of the last thing that @now hears. */
static int meet_old(struct ipsp_seal *now, struct ipsp_seal *old)
{
	struct dgram d, reply, none;
	int opened = 0;

	for (int tries = 0; tries < 3; tries++) {
		d = shake(now);
		to_old(old, &d, &reply);
		assert_int_equal(reply.n, 0);
		d = shake_old(now);
		to_old(old, &d, &reply);
		if (!reply.n)
			continue;
		opened = hear(now, &reply, &d);
		if (opened != IPSP_OPENED_CANDIDATE)
			return opened;
		to_old(old, &d, &reply);
		d.n = ipsp_seal_candidate(now, d.b);
		to_old(old, &d, &none);
		d.n = ipsp_seal_close(old, (const uint8_t *)"old", 3, d.b);
		return hear(now, &d, &reply);
	}
	return opened;
}

static void an_old_peer_is_met(void **state)
{
	struct ipsp_seal now, old;
	struct dgram d, reply;

	(void)state;
	init(&now, A1, true, "k");
	init(&old, B1, true, "k");
	d = shake(&now);
	assert_int_equal(shake_old(&now).n, 0); /* one of today's is given time to answer */
	assert_int_equal(meet_old(&now, &old), IPSP_OPENED_NEW);
	assert_int_equal(now.present.version, IPSP_SEAL_OLD);
	assert_false(now.pinned);
	assert_int_equal(shake_old(&now).n, IPSP_SHAKE_LEN); /* at once: it is known now */

	/* and when it begins itself */
	init(&now, A1, true, "k");
	d.n = ipsp_seal_shake(&old, d.b);
	d.b[2] = IPSP_SEAL_OLD;
	as_of_old(&old, &d);
	assert_int_equal(hear(&now, &d, &reply), IPSP_OPENED_SHAKE);
	assert_int_equal(reply.b[2], IPSP_SEAL_OLD);
	assert_int_equal(reply.n, IPSP_SHAKE_LEN);
}

static void an_old_peer_is_refused(void **state)
{
	static const struct {
		bool shared, pinned, allowed, met;
	} cases[] = {{false, true, false, false}, {true, false, false, false},
		     {true, false, true, false},  {true, true, true, false},
		     {false, true, true, true},	  {false, false, true, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipsp_seal now, old;
		struct dgram d, reply;

		init(&now, A1, true, "k");
		init(&old, B1, true, "k");
		now.old_refused = cases[i].shared;
		now.pinned = cases[i].pinned;
		now.old_allowed = cases[i].allowed;
		d.n = ipsp_seal_shake(&old, d.b);
		d.b[2] = IPSP_SEAL_OLD;
		as_of_old(&old, &d);
		assert_int_equal(hear(&now, &d, &reply),
				 cases[i].met ? IPSP_OPENED_SHAKE : IPSP_ERR_OLD);
		assert_int_equal(meet_old(&now, &old), cases[i].met ? IPSP_OPENED_NEW : 0);
	}
}

/* All of version 2 is lost on the way: they stay apart, rather than be joined by version 1. */
static void no_way_back(void **state)
{
	struct ipsp_seal a, b;
	struct dgram d, reply;

	(void)state;
	init(&a, A1, true, "k");
	init(&b, B1, true, "k");
	for (int i = 0; i < 10; i++) {
		struct ipsp_seal was = b;

		shake(&a);
		shake(&b);
		d = shake_old(&a);
		if (i == 0)
			continue;
		was = b;
		assert_int_equal(d.n, IPSP_SHAKE_LEN);
		assert_int_equal(hear(&b, &d, &reply), IPSP_ERR_VERSION);
		memset(d.b + 8, 0, 8); /* what says that a speaks version 2 is under the MAC */
		assert_int_equal(hear(&b, &d, &reply), IPSP_ERR_SEAL);
		d.b[15] = 1;
		assert_int_equal(hear(&b, &d, &reply), IPSP_ERR_SEAL);
		d.b[2] = IPSP_SEAL_VERSION;
		assert_int_equal(hear(&b, &d, &reply), IPSP_ERR_SEAL);
		assert_memory_equal(&was, &b, sizeof(b));
	}
}

/* A session of the other version is another one, whatever its tag. */
static void versions_have_sessions_of_their_own(void **state)
{
	struct ipsp_seal now, old;
	struct dgram d, reply;

	(void)state;
	init(&now, A1, true, "k");
	init(&old, B1, true, "k");
	meet_old(&now, &old);
	d.n = ipsp_seal_close(&old, (const uint8_t *)"x", 1, d.b);
	d.b[2] = IPSP_SEAL_VERSION;
	assert_int_equal(hear(&now, &d, &reply), IPSP_ERR_SESSION);
	d.b[2] = IPSP_SEAL_OLD;
	assert_int_equal(hear(&now, &d, &reply), IPSP_OPENED_DATA);
}

/* ---------------------------------------------------------------- everything, in a tiny world */

#define TAPE_MAX 9
#define DEPTH	 5

struct world {
	struct ipsp_seal side[SIDES];
	struct dgram tape[TAPE_MAX]; /* all that was said, to be given to anybody */
	size_t n_tape;
};

static unsigned long deliveries, candidates;

static void look(const struct world *w)
{
	for (int i = 0; i < SIDES; i++) {
		const struct ipsp_session *s = &w->side[i].candidate;

		if (!s->valid)
			continue;
		assert_int_equal(s->version, IPSP_SEAL_VERSION);
		for (int k = 0; k < SIDES; k++)
			if (k != (i ^ 1) && w->side[k].candidate.valid)
				assert_memory_not_equal(s->tx_key, w->side[k].candidate.rx_key, 32);
	}
}

static void search(const struct world *w, int depth)
{
	look(w);
	for (size_t i = 0; depth > 0 && i < w->n_tape; i++) {
		for (int to = 0; to < SIDES; to++) {
			static struct world next[DEPTH + 1];
			struct world *n = &next[depth];
			const struct dgram *d = &w->tape[i];
			struct dgram reply;

			*n = *w;
			int opened = hear(&n->side[to], d, &reply);
			deliveries++;
			candidates += opened == IPSP_OPENED_CANDIDATE;
			if (d->by != (to ^ 1) || d->b[2] == IPSP_SEAL_OLD)
				assert_true(opened < 0);
			if (opened < 0 || reply.n == 0 || n->n_tape == TAPE_MAX)
				continue;
			reply.by = to;
			n->tape[n->n_tape++] = reply;
			search(n, depth - 1);
		}
	}
}

/*
 * Each of four has begun, in both versions; then whatever was said is given to anybody, in any
 * order, as often as one likes. Only what its peer has said to it ever counts.
 */
static void any_order_to_anybody(void **state)
{
	(void)state;
	for (int by_port = 0; by_port < 2; by_port++) {
		for (int old = 0; old < 2; old++) {
			static struct world w;

			memset(&w, 0, sizeof(w));
			for (int i = 0; i < SIDES; i++) {
				init(&w.side[i], i, by_port, "k");
				shake(&w.side[i]);
			}
			for (int i = 0; i < SIDES - old; i++) {
				w.tape[w.n_tape] = shake(&w.side[i]);
				w.tape[w.n_tape++].by = i;
			}
			if (old) {
				w.tape[w.n_tape] = shake_old(&w.side[A2]);
				w.tape[w.n_tape++].by = A2;
			}
			search(&w, DEPTH);
		}
	}
	assert_true(candidates > 100);
	print_message("%lu deliveries, %lu candidates\n", deliveries, candidates);
}

/* The whole of a handshake and what follows, led to each of the others. */
static void led_astray(void **state)
{
	struct ipsp_seal side[SIDES], was;
	struct dgram said[6], reply;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < SIDES; i++)
		init(&side[i], i, true, "k");
	said[n++] = shake(&side[A1]);
	assert_int_equal(hear(&side[B1], &said[0], &said[1]), IPSP_OPENED_SHAKE);
	assert_int_equal(hear(&side[A1], &said[1], &said[2]), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear(&side[B1], &said[2], &said[3]), IPSP_OPENED_CANDIDATE);
	said[4].n = ipsp_seal_candidate(&side[A1], said[4].b);
	said[5].n = ipsp_seal_close(&side[B1], (const uint8_t *)"hello", 5, said[5].b);
	for (n = 0; n < 6; n++) {
		for (int to = A2; to <= B2; to++) {
			was = side[to];
			assert_true(hear(&side[to], &said[n], &reply) < 0);
			assert_memory_equal(&was, &side[to], sizeof(was));
		}
	}
	/* and back to where it came from */
	was = side[A1];
	assert_int_equal(hear(&side[A1], &said[0], &reply), IPSP_ERR_SEAL);
	assert_int_equal(hear(&side[A1], &said[4], &reply), IPSP_ERR_SEAL);
	assert_memory_equal(&was, &side[A1], sizeof(was));
	assert_int_equal(hear(&side[B1], &said[4], &reply), IPSP_OPENED_NEW);
	assert_int_equal(hear(&side[A1], &said[5], &reply), IPSP_OPENED_NEW);
	assert_true(side[A1].pinned && side[B1].pinned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_peer_is_met),
		cmocka_unit_test(an_old_peer_is_refused),
		cmocka_unit_test(no_way_back),
		cmocka_unit_test(versions_have_sessions_of_their_own),
		cmocka_unit_test(led_astray),
		cmocka_unit_test(any_order_to_anybody),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
