/*
 * chain: the keys of a session, renewed within it. In full, with two sides and a network that is
 * bad to them: test_seal_net.c, tests/sim/stories_renewal.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the five above first */
#include "base/err.h"
#include "core/chain.h"
#include <cmocka.h>
#include <sodium.h>

static struct ipsp_seal a, b;

struct dgram {
	uint8_t b[IPSP_DGRAM_MAX];
	size_t n;
};

static void init(struct ipsp_seal *seal, uint32_t address, uint32_t peer, uint8_t seed_byte)
{
	struct ipsp_psp_conf conf = {.n_keys = 1, .port = 4187};
	uint8_t seed[32];

	conf.address = ipsp_addr_v4(address);
	conf.peer = ipsp_addr_v4(peer);
	memset(conf.keys[0], 'k', sizeof(conf.keys[0]));
	memset(seed, seed_byte, sizeof(seed));
	ipsp_seal_init(seal, &conf, seed);
}

static int hear_reply(struct ipsp_seal *to, const struct dgram *d, struct dgram *reply)
{
	uint8_t plain[IPSP_DGRAM_MAX];
	size_t plain_n;

	return ipsp_seal_open(to, d->b, d->n, plain, &plain_n, reply->b, &reply->n);
}

static int hear(struct ipsp_seal *to, const struct dgram *d)
{
	struct dgram reply;

	return hear_reply(to, d, &reply);
}

static struct dgram say(struct ipsp_seal *from)
{
	struct dgram d;

	d.n = ipsp_seal_close(from, (const uint8_t *)"text", 4, d.b);
	assert_true(d.n > 0);
	return d;
}

static void meet(void)
{
	struct dgram d, reply;

	init(&a, 0xc0000201, 0xc0000202, 1);
	init(&b, 0xc0000202, 0xc0000201, 2);
	d.n = ipsp_seal_shake(&a, d.b);
	assert_int_equal(hear_reply(&b, &d, &reply), IPSP_OPENED_SHAKE);
	assert_int_equal(hear_reply(&a, &reply, &d), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear_reply(&b, &d, &reply), IPSP_OPENED_CANDIDATE);
	d.n = ipsp_seal_candidate(&a, d.b);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_NEW);
	d = say(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_NEW);
	assert_int_equal(a.present.tag, b.present.tag);
}

/* The half goes from one to the other, sealed as it is in a hello. */
static int tell(struct ipsp_seal *from, struct ipsp_seal *to)
{
	struct ipsp_renew renew;
	struct dgram d;
	int opened;

	if (!ipsp_chain_say(from, &renew))
		return -1;
	d = say(from);
	opened = hear(to, &d);
	assert_true(opened == IPSP_OPENED_DATA || opened == IPSP_OPENED_RENEWED);
	return ipsp_chain_on(to, &renew);
}

static void expect_same_keys(void)
{
	assert_int_equal(a.present.tag, b.present.tag);
	assert_memory_equal(a.present.tx_key, b.present.rx_key, 32);
	assert_memory_equal(a.present.rx_key, b.present.tx_key, 32);
	assert_memory_equal(a.present.chain, b.present.chain, 32);
	assert_memory_not_equal(a.present.tx_key, a.present.rx_key, 32);
}

static bool somewhere(const struct ipsp_seal *seal, const uint8_t key[32])
{
	for (size_t i = 0; i + 32 <= sizeof(*seal); i++)
		if (memcmp((const uint8_t *)seal + i, key, 32) == 0)
			return true;
	return false;
}

/* ---------------------------------------------------------------- in order */

static void one_begins(void **state)
{
	struct ipsp_session before;
	struct dgram late, late_of_b, d;

	(void)state;
	meet();
	before = a.present;
	late = say(&a);
	ipsp_chain_begin(&a);
	assert_int_equal(tell(&a, &b), 0);
	assert_true(b.chain.next.valid);
	assert_int_equal(b.present.tag, before.tag); /* it seals with what a has, too */
	assert_int_equal(a.chain.next.valid, false);
	late_of_b = say(&b);
	assert_int_equal(tell(&b, &a), 1);
	assert_int_not_equal(a.present.tag, before.tag);
	assert_int_equal(a.present.tx_seq, 0);
	d = say(&b); /* which does not know it yet */
	assert_int_equal(hear(&a, &d), IPSP_OPENED_DATA);
	assert_true(a.chain.late);
	d = say(&a);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_RENEWED);
	expect_same_keys();
	assert_memory_not_equal(a.present.tx_key, before.tx_key, 32);
	d = say(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_DATA);
	assert_false(a.chain.late);

	/* what was late, once */
	assert_int_equal(hear(&b, &late), IPSP_OPENED_DATA);
	assert_int_equal(hear(&b, &late), IPSP_ERR_REPLAY);
	assert_int_equal(hear(&a, &late_of_b), IPSP_OPENED_DATA);
	ipsp_chain_end_last(&a);
	ipsp_chain_end_last(&b);
	assert_int_equal(hear(&a, &late_of_b), IPSP_ERR_SESSION);
}

static void both_begin(void **state)
{
	struct dgram d;

	(void)state;
	for (int i = 0; i < 2; i++) {
		meet();
		ipsp_chain_begin(&a);
		ipsp_chain_begin(&b);
		struct ipsp_renew of_a, of_b;
		assert_true(ipsp_chain_say(&a, &of_a));
		assert_true(ipsp_chain_say(&b, &of_b));
		assert_false(of_a.has || of_b.has); /* they cross */
		assert_int_equal(ipsp_chain_on(&b, &of_a), 0);
		assert_int_equal(ipsp_chain_on(&a, &of_b), 0);
		assert_int_equal(a.chain.next.tag, b.chain.next.tag);
		if (i == 0) {
			assert_int_equal(tell(&a, &b), 1);
			assert_int_equal(tell(&b, &a), -1); /* all is said */
			d = say(&b);
			assert_int_equal(hear(&a, &d), IPSP_OPENED_RENEWED);
		} else { /* these, too */
			assert_true(ipsp_chain_say(&a, &of_a));
			assert_true(ipsp_chain_say(&b, &of_b));
			assert_int_equal(ipsp_chain_on(&b, &of_a), 1);
			assert_int_equal(ipsp_chain_on(&a, &of_b), 1);
		}
		expect_same_keys();
	}
}

static void again_and_again(void **state)
{
	uint32_t tags[100];

	(void)state;
	meet();
	for (int i = 0; i < 100; i++) {
		struct ipsp_seal *first = i % 3 ? &a : &b, *second = i % 3 ? &b : &a;
		struct dgram d;

		ipsp_chain_begin(first);
		for (int k = 0; k <= i % 4; k++) /* some are lost, some come twice */
			assert_int_equal(tell(first, second), 0);
		assert_int_equal(tell(second, first), 1);
		d = say(first);
		assert_int_equal(hear(second, &d), IPSP_OPENED_RENEWED);
		expect_same_keys();
		tags[i] = a.present.tag;
		for (int k = 0; k < i; k++)
			assert_int_not_equal(tags[k], tags[i]);
	}
}

/* ---------------------------------------------------------------- what is refused */

static void halves_that_are_nothing(void **state)
{
	static const uint8_t low_order[3][32] = {
		{0}, {1}, {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
			   0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
			   0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}};
	struct ipsp_renew renew = {0}, own;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		meet();
		ipsp_chain_begin(&a);
		assert_true(ipsp_chain_say(&a, &own));
		renew = own; /* our own */
		if (i < 3)
			memcpy(renew.public, low_order[i], 32);
		renew.has = i % 2;
		assert_int_equal(ipsp_chain_on(&a, &renew), IPSP_ERR_SEAL);
		assert_false(a.chain.next.valid);
		/* the first half of a session counts: its peer, which has its keys, may say what it
		 * likes, and this side computes no more by that */
		renew.public[3] ^= 1;
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(ipsp_chain_on(&a, &renew), IPSP_ERR_REPLAY);
		assert_false(a.chain.next.valid);
		assert_int_equal(tell(&b, &a), -1);
		struct dgram d = say(&a); /* the session goes on as it is */
		assert_int_equal(hear(&b, &d), IPSP_OPENED_DATA);
	}
}

/* Another one in the place of the first. */
static void another_half(void **state)
{
	struct ipsp_renew renew = {.public = {9}};

	(void)state;
	meet();
	ipsp_chain_begin(&a);
	assert_int_equal(tell(&a, &b), 0);
	assert_int_equal(ipsp_chain_on(&b, &renew), IPSP_ERR_REPLAY);
	assert_int_equal(tell(&b, &a), 1);
	struct dgram d = say(&a);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_RENEWED);
	expect_same_keys();
}

/* It says that it has our half, which was never told: it is not believed. */
static void has_what_was_not_said(void **state)
{
	struct ipsp_renew renew;

	(void)state;
	meet();
	ipsp_chain_begin(&b);
	assert_true(ipsp_chain_say(&b, &renew));
	renew.has = true;
	assert_int_equal(ipsp_chain_on(&a, &renew), 0);
	assert_true(a.chain.next.valid);
	assert_int_equal(a.present.tag, b.present.tag);
}

/* A half of the exchange of before, sealed with the keys of before. */
static void a_late_half(void **state)
{
	struct ipsp_renew renew;
	struct dgram late, d;

	(void)state;
	meet();
	ipsp_chain_begin(&a);
	assert_true(ipsp_chain_say(&a, &renew));
	late = say(&a);
	assert_int_equal(tell(&a, &b), 0);
	assert_int_equal(tell(&b, &a), 1);
	d = say(&a);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_RENEWED);
	assert_int_equal(hear(&b, &late), IPSP_OPENED_DATA);
	assert_int_equal(ipsp_chain_on(&b, &renew), IPSP_ERR_REPLAY);
	assert_false(b.chain.offered || b.chain.next.valid);
	expect_same_keys();
}

static void of_the_first_version(void **state)
{
	struct ipsp_renew renew = {.public = {9}};

	(void)state;
	meet();
	a.present.version = IPSP_SEAL_OLD;
	ipsp_chain_begin(&a);
	assert_false(ipsp_chain_say(&a, &renew));
	assert_int_equal(ipsp_chain_on(&a, &renew), IPSP_ERR_REPLAY);
	ipsp_seal_forget(&a);
	ipsp_chain_begin(&a);
	assert_int_equal(ipsp_chain_on(&a, &renew), IPSP_ERR_REPLAY);
	assert_false(a.chain.offered);
}

/* ---------------------------------------------------------------- secrets */

/* What is not needed any more is nowhere. */
static void wiped(void **state)
{
	struct ipsp_session before;
	uint8_t half[32], next[32];
	struct dgram d;

	(void)state;
	meet();
	before = a.present;
	ipsp_chain_begin(&a);
	memcpy(half, a.chain.secret, 32);
	assert_true(somewhere(&a, half) && somewhere(&a, before.chain));
	assert_int_equal(tell(&a, &b), 0);
	assert_false(somewhere(&b, before.chain));
	memcpy(next, b.chain.next.chain, 32);
	assert_true(sodium_is_zero(b.chain.secret, 32));
	assert_int_equal(tell(&b, &a), 1);
	assert_false(somewhere(&a, half) || somewhere(&a, before.chain));
	assert_false(somewhere(&a, before.tx_key)); /* it never seals with it again */
	assert_true(somewhere(&a, before.rx_key));
	d = say(&a);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_RENEWED);
	ipsp_chain_end_last(&a);
	ipsp_chain_end_last(&b);
	assert_false(somewhere(&a, before.rx_key) || somewhere(&b, before.rx_key));
	assert_false(somewhere(&b, before.tx_key));
	assert_true(somewhere(&a, next));

	/* ... and all of it where another handshake takes its place, or the link is closed */
	ipsp_chain_begin(&a);
	assert_int_equal(tell(&a, &b), 0);
	memcpy(half, a.chain.secret, 32);
	memcpy(next, b.chain.next.rx_key, 32);
	ipsp_seal_forget(&a);
	ipsp_seal_forget(&b);
	assert_false(somewhere(&a, half) || somewhere(&b, next));
	assert_false(a.chain.offered || b.chain.offered);
}

static void another_handshake(void **state)
{
	struct dgram d, reply;
	uint8_t half[32];

	(void)state;
	meet();
	ipsp_chain_begin(&a);
	assert_int_equal(tell(&a, &b), 0);
	memcpy(half, a.chain.secret, 32);
	d.n = ipsp_seal_shake(&a, d.b);
	assert_int_equal(hear_reply(&b, &d, &reply), IPSP_OPENED_SHAKE);
	assert_int_equal(hear_reply(&a, &reply, &d), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear_reply(&b, &d, &reply), IPSP_OPENED_CANDIDATE);
	d.n = ipsp_seal_candidate(&a, d.b);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_NEW);
	assert_false(b.chain.next.valid || b.chain.offered);
	d = say(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_NEW);
	assert_false(somewhere(&a, half));
	expect_same_keys();
	ipsp_chain_begin(&b);
	assert_int_equal(tell(&b, &a), 0);
	assert_int_equal(tell(&a, &b), 1);
	d = say(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_RENEWED);
	expect_same_keys();
}

/* Who has the keys of the session, and takes both halves away for his own, has not the next ones:
 * the chain is in no datagram. */
static void who_has_the_keys_alone(void **state)
{
	struct ipsp_renew renew;
	struct ipsp_seal eve;

	(void)state;
	meet();
	eve = b;
	memset(eve.present.chain, 0, 32);
	ipsp_chain_begin(&eve);
	assert_true(ipsp_chain_say(&eve, &renew));
	assert_int_equal(ipsp_chain_on(&a, &renew), 0); /* as if it were b's */
	assert_true(ipsp_chain_say(&a, &renew));
	assert_int_equal(ipsp_chain_on(&eve, &renew), 1);
	assert_int_not_equal(eve.present.tag, a.chain.next.tag);
	assert_memory_not_equal(eve.present.tx_key, a.chain.next.rx_key, 32);
	assert_memory_not_equal(eve.present.rx_key, a.chain.next.tx_key, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_begins),
		cmocka_unit_test(both_begin),
		cmocka_unit_test(again_and_again),
		cmocka_unit_test(halves_that_are_nothing),
		cmocka_unit_test(another_half),
		cmocka_unit_test(has_what_was_not_said),
		cmocka_unit_test(a_late_half),
		cmocka_unit_test(of_the_first_version),
		cmocka_unit_test(wiped),
		cmocka_unit_test(another_handshake),
		cmocka_unit_test(who_has_the_keys_alone),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
