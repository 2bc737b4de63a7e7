/*
 * Every bit of every message flipped, each cut at every length, and each with a byte more; as it
 * goes over the wire, and inside of a seal that is good (which anybody can make where there is no
 * key). What doesn't open changes nothing but one counter; what opens and isn't well-formed, too;
 * what is, breaks nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "liar.h"
#include <cmocka.h>

#define AT_KEY 112 /* the id of the secret in a handshake, 8 bytes */

struct bytes {
	size_t n;
	uint8_t b[IPSP_DGRAM_MAX + 1];
};

static uint64_t drops(const struct liar *l)
{
	const struct ipsp_stats *s = liar_stats((struct liar *)(uintptr_t)l);

	return s->drop_short + s->drop_format + s->drop_version + s->drop_seal + s->drop_session +
	       s->drop_replay + s->drop_range + s->drop_state;
}

/* One turn at the same moment: whatever comes of it comes of the datagram. */
static void hear(struct liar *l, const struct bytes *d)
{
	const struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = d->b, .n_bytes = d->n};
	static const struct ipsp_event end = {.type = IPSP_EV_END};

	ipsp_actions_clear(&l->act);
	ipsp_node_step(l->node, &ev, l->now, &l->act);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	assert_false(l->act.failed);
	ipsp_node_check(l->node);
}

/* ---------------------------------------------------------------- as it goes over the wire */

/* Sessions, and what the next one will be made of. */
static void same_sessions(const struct ipsp_seal *a, const struct ipsp_seal *b)
{
	assert_memory_equal(&a->present, &b->present, sizeof(a->present));
	assert_memory_equal(&a->candidate, &b->candidate, sizeof(a->candidate));
	assert_memory_equal(a->nonce, b->nonce, sizeof(a->nonce));
	assert_memory_equal(a->eph_secret, b->eph_secret, sizeof(a->eph_secret));
	assert_memory_equal(a->spent, b->spent, sizeof(a->spent));
	assert_memory_equal(a->yield, b->yield, sizeof(a->yield));
}

/* @key: it names another secret, upon which the peer is asked, now and then, whether it has ours.
 */
static void is_refused(struct liar *l, const struct bytes *d, bool key, const char *what, size_t at)
{
	const uint64_t before = drops(l), digest = ipsp_node_digest(l->node);
	const struct ipsp_seal seal = l->node->seal;
	const struct ipsp_peer_facts peer = l->node->peer;

	hear(l, d);
	if (drops(l) != before + 1)
		fail_msg("%s, %zu: %d drops were counted", what, at, (int)(drops(l) - before));
	assert_int_equal(ipsp_node_digest(l->node), digest);
	assert_memory_equal(&l->node->peer.hello, &peer.hello, sizeof(peer.hello));
	assert_int_equal(l->act.recs.len, 0);
	same_sessions(&l->node->seal, &seal);
	if (key)
		return;
	assert_memory_equal(&l->node->seal, &seal, sizeof(seal));
	assert_memory_equal(&l->node->peer, &peer, sizeof(peer));
	for (size_t i = 0; i < l->act.n_outs; i++)
		assert_int_equal(l->act.outs[i].type, IPSP_OUT_NOTE); /* at most it is said */
}

static void all_of_wire(struct liar *l, const struct bytes *d, const char *what)
{
	const bool shake = d->b[3] == IPSP_DGRAM_SHAKE;
	struct bytes x = *d;

	for (size_t bit = 0; bit < 8 * d->n; bit++) {
		x.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		is_refused(l, &x, shake && bit / 64 == AT_KEY / 8, what, bit);
		x.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (x.n = 0; x.n < d->n; x.n++)
		is_refused(l, &x, false, what, x.n);
	x.n = d->n + 1;
	for (unsigned last = 0; last < 256; last++) {
		x.b[d->n] = (uint8_t)last;
		is_refused(l, &x, false, what, d->n);
	}
}

static struct bytes of_wire(struct liar *l, const struct bytes *plain)
{
	struct bytes d;

	d.n = ipsp_seal_close(&l->seal, plain->b, plain->n, d.b);
	assert_true(d.n > 0);
	return d;
}

/* ---------------------------------------------------------------- the messages */

static struct bytes put(const struct ipsp_msg *msg)
{
	struct bytes d;

	d.n = ipsp_msg_put(d.b, 0, IPSP_PLAIN_MAX, msg);
	assert_true(d.n > 0);
	return d;
}

#define ITEMS 6

/* Each type of item and each form, as the next one of the liar's stream. */
static struct bytes an_item(struct liar *l, unsigned which)
{
	static const enum ipsp_item_type types[ITEMS] = {IPSP_ITEM_GIVE, IPSP_ITEM_GIVE,
							 IPSP_ITEM_GIVE, IPSP_ITEM_REPORT,
							 IPSP_ITEM_DROP, IPSP_ITEM_DROPPED};
	static const enum ipsp_set_form forms[ITEMS] = {IPSP_SET_RUNS, IPSP_SET_BITS, IPSP_SET_KEPT,
							IPSP_SET_WHO,  IPSP_SET_WHO,  IPSP_SET_WHO};
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM};
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, l->sent + 1, types[which], 0, 0, 0, forms[which]);
	if (forms[which] == IPSP_SET_RUNS)
		ipsp_item_add_run(&w, 3, 2);
	else if (forms[which] == IPSP_SET_BITS)
		ipsp_item_add_bit(&w, 5);
	else if (forms[which] == IPSP_SET_KEPT)
		ipsp_item_add_kept(&w, 6, IPSP_USE_HOLD, 60, "u1", 2);
	else
		ipsp_item_add_who(&w, 7, "u2", 2);
	msg.u.item.n = (uint16_t)ipsp_item_end(&w);
	msg.u.item.bytes = w.bytes;
	msg.u.item.stream = ipsp_sync_tag(l->books, l->heard.books);
	return put(&msg);
}

#define MESSAGES (8 + ITEMS)

/* The @i-th of them, as the liar would say it now. */
static struct bytes message(struct liar *l, unsigned i)
{
	static const uint8_t part[] = {1, 6, 'p', 'o', 'o', 'l', '-', 'a'};
	struct ipsp_msg msg = {.type = (enum ipsp_msg_type)(i + 1)};

	if (i >= 8)
		return an_item(l, i - 8);
	switch (i) {
	case 0:
		msg = liar_hello(l);
		break;
	case 1:
		msg.u.conf.offset = 4;
		break;
	case 2:
		msg.u.conf = (struct ipsp_conf_part){0, 60, part, sizeof(part)};
		break;
	case 3:
		msg.u.request = (struct ipsp_request){.id = 9 << 16,
						      .epoch = l->heard.epoch,
						      .pool = IPSP_NO_POOL,
						      .at_pool = 0,
						      .at_index = 2,
						      .count = 1,
						      .ident = {"u7", "s7", 2, 2, 0}};
		break;
	case 4:
		msg.u.refuse = (struct ipsp_refuse){l->asked.id, l->heard.epoch, -3};
		break;
	case 5:
		msg.type = IPSP_MSG_ACK;
		msg.u.ack.number = l->applied;
		msg.u.ack.stream = ipsp_sync_tag(l->heard.books, l->books);
		break;
	case 6:
		msg.type = IPSP_MSG_TAKEOVER;
		msg.u.request.epoch = l->heard.epoch;
		break;
	default:
		msg.type = IPSP_MSG_CANCEL;
		msg.u.request.id = 9 << 16;
	}
	return put(&msg);
}

static void sealed(void **state)
{
	(void)state;
	for (unsigned primary = 0; primary < 2; primary++) {
		struct liar *l = liar_active(primary);

		for (unsigned i = 0; i < MESSAGES; i++) {
			const struct bytes plain = message(l, i), d = of_wire(l, &plain);
			char what[32];

			snprintf(what, sizeof(what), "sealed message %u", i);
			all_of_wire(l, &d, what);
		}
		liar_goes_on(l, 10 << 16);
		liar_free(l);
	}
}

/* A handshake: one that begins, one that answers an offer of the node, one of the first version. */
static void handshakes(void **state)
{
	uint8_t plain[IPSP_DGRAM_MAX];
	struct bytes begins, offer, answers, old, candidate;
	struct liar *l = liar_active(true);
	size_t n;

	(void)state;
	begins.n = ipsp_seal_shake(&l->seal, begins.b);
	all_of_wire(l, &begins, "the first of a handshake");
	offer.n = ipsp_seal_shake(&l->node->seal, offer.b);
	assert_int_equal(
		ipsp_seal_open(&l->seal, offer.b, offer.n, plain, &n, answers.b, &answers.n),
		IPSP_OPENED_SHAKE);
	assert_true(answers.n > 0);
	all_of_wire(l, &answers, "the answer to a handshake");
	for (unsigned i = 0; i < 3; i++)
		ipsp_seal_shake(&l->seal, begins.b);
	l->seal.pinned = false; /* as one of before it was known what the node speaks */
	old.n = ipsp_seal_shake_old(&l->seal, old.b);
	assert_true(old.n > 0);
	all_of_wire(l, &old, "a handshake of the first version");
	hear(l, &answers); /* as it is: the node's end of a new session, and its answer */
	assert_true(l->node->seal.candidate.valid);
	for (size_t i = 0; i < l->act.n_outs; i++) {
		const struct ipsp_out *o = &l->act.outs[i];

		if (o->type == IPSP_OUT_DATAGRAM)
			ipsp_seal_open(&l->seal, l->act.bytes.data + o->off, o->len, plain, &n,
				       begins.b, &begins.n);
	}
	candidate.n = ipsp_seal_close(&l->seal, plain, 0, candidate.b);
	assert_true(candidate.n > 0);
	const uint32_t tag = l->node->seal.present.tag;
	all_of_wire(l, &candidate, "the first datagram of a session");
	assert_int_equal(l->node->seal.present.tag, tag);
	hear(l, &candidate);
	assert_int_not_equal(l->node->seal.present.tag, tag);
	assert_int_equal(l->node->seal.present.tag, l->seal.present.tag);
	liar_free(l);
}

/* ---------------------------------------------------------------- inside of a good seal */

static int parses(const struct bytes *plain)
{
	struct ipsp_rd rd = ipsp_rd_of(plain->b, plain->n);
	struct ipsp_msg msg;
	int got;

	while ((got = ipsp_msg_next(&rd, &msg)) > 0)
		continue;
	return got;
}

/* True: the node is as it was, so that the next one may come to it. */
static bool is_harmless(struct liar *l, const struct bytes *plain, const char *what, size_t at)
{
	const uint64_t before = drops(l), digest = ipsp_node_digest(l->node);
	const struct ipsp_peer_facts peer = l->node->peer;
	const struct bytes d = of_wire(l, plain);

	hear(l, &d);
	const uint64_t counted = drops(l) - before;
	if (parses(plain) != 0 ? counted != 1 : counted > 1)
		fail_msg("%s, %zu: %d drops were counted", what, at, (int)counted);
	if (parses(plain) == 0)
		return ipsp_node_digest(l->node) == digest && l->act.n_outs == 0 &&
		       memcmp(&peer.hello, &l->node->peer.hello, sizeof(peer.hello)) == 0;
	assert_int_equal(ipsp_node_digest(l->node), digest);
	assert_memory_equal(&peer.hello, &l->node->peer.hello, sizeof(peer.hello));
	assert_int_equal(l->act.recs.len, 0);
	return true;
}

/* What it leads to in the next seconds breaks nothing either (liar_turn looks); then another one.
 */
static struct liar *next(struct liar *l, bool primary)
{
	for (unsigned i = 0; i < 3; i++) {
		l->now += 1000;
		liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_TICK});
	}
	liar_free(l);
	return liar_active(primary);
}

static void inside(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MESSAGES; i++) {
		const bool primary = i % 2 == 0;
		struct liar *l = liar_active(primary);
		char what[32];

		snprintf(what, sizeof(what), "message %u", i);
		const size_t n = message(l, i).n;
		for (size_t bit = 0; bit < 8 * n; bit++) {
			struct bytes x = message(l, i);

			x.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (!is_harmless(l, &x, what, bit))
				l = next(l, primary);
		}
		for (size_t cut = 1; cut < n; cut++) {
			struct bytes x = message(l, i);

			x.n = cut;
			assert_int_not_equal(parses(&x), 0);
			assert_true(is_harmless(l, &x, what, cut));
		}
		for (unsigned last = 0; last < 256; last++) {
			struct bytes x = message(l, i);

			x.b[x.n++] = (uint8_t)last;
			assert_int_not_equal(parses(&x), 0);
			assert_true(is_harmless(l, &x, what, n));
		}
		liar_goes_on(l, 11 << 16);
		liar_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealed),
		cmocka_unit_test(handshakes),
		cmocka_unit_test(inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
