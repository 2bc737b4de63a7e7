/*
 * seal: the handshake step by step, what an attacker can send, and two sides in a bad network
 * that must never use a key and a number twice, never open anything twice, and always talk again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "base/err.h"
#include "core/seal.h"
#include <cmocka.h>
#include <sodium.h>

struct dgram {
	uint8_t b[IPSP_DGRAM_MAX];
	size_t n;
};

struct side {
	struct ipsp_seal seal;
	struct ipsp_psp_conf conf;
	uint8_t plain[IPSP_DGRAM_MAX];
	size_t plain_n;
	struct dgram reply;
};

static void side_init(struct side *s, uint8_t seed, const char *keys)
{
	uint8_t bytes[32];

	memset(s, 0, sizeof(*s));
	memset(bytes, seed, sizeof(bytes));
	for (; *keys; keys++)
		memset(s->conf.keys[s->conf.n_keys++], *keys, IPSP_KEY_BYTES);
	ipsp_seal_init(&s->seal, &s->conf, bytes);
}

static struct dgram shake(struct side *s)
{
	struct dgram d;

	d.n = ipsp_seal_shake(&s->seal, d.b);
	assert_int_equal(d.n, IPSP_SHAKE_LEN);
	return d;
}

static struct dgram say(struct side *s, const char *text)
{
	struct dgram d;

	d.n = ipsp_seal_close(&s->seal, (const uint8_t *)text, strlen(text), d.b);
	return d;
}

static int hear(struct side *s, const struct dgram *d)
{
	return ipsp_seal_open(&s->seal, d->b, d->n, s->plain, &s->plain_n, s->reply.b, &s->reply.n);
}

/* An error must change nothing at all. */
static void hear_fails(struct side *s, const struct dgram *d, int err)
{
	struct ipsp_seal before = s->seal;

	assert_int_equal(hear(s, d), err);
	assert_memory_equal(&before, &s->seal, sizeof(before));
	assert_int_equal(s->reply.n, 0);
	assert_int_equal(s->plain_n, 0);
}

static void assert_said(struct side *from, struct side *to, int opened, const char *text)
{
	struct dgram d = say(from, text);

	assert_true(d.n > 0);
	assert_int_equal(hear(to, &d), opened);
	assert_int_equal(to->plain_n, strlen(text));
	assert_memory_equal(to->plain, text, to->plain_n);
}

/* @a begins, up to both having the candidate. */
static void exchange(struct side *a, struct side *b)
{
	struct dgram d = shake(a);
	struct ipsp_seal before = b->seal;

	assert_int_equal(hear(b, &d), IPSP_OPENED_SHAKE);
	assert_int_equal(b->reply.n, IPSP_SHAKE_LEN);
	assert_memory_equal(&before.candidate, &b->seal.candidate, sizeof(before.candidate));
	assert_int_equal(hear(a, &b->reply), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear(b, &a->reply), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear(a, &b->reply), IPSP_OPENED_SHAKE);
	assert_int_equal(a->reply.n, 0);
}

static void connect(struct side *a, struct side *b)
{
	struct dgram d;

	exchange(a, b);
	d.n = ipsp_seal_candidate(&a->seal, d.b);
	assert_int_equal(d.n, IPSP_HDR_LEN + IPSP_TAG_LEN);
	assert_int_equal(hear(b, &d), IPSP_OPENED_NEW);
	assert_int_equal(b->plain_n, 0);
	assert_said(b, a, IPSP_OPENED_NEW, "first");
	assert_false(a->seal.candidate.valid);
	assert_false(b->seal.candidate.valid);
	assert_int_equal(a->seal.present.tag, b->seal.present.tag);
	assert_said(a, b, IPSP_OPENED_DATA, "there");
	assert_said(b, a, IPSP_OPENED_DATA, "and back");
}

static void pair(struct side *a, struct side *b)
{
	side_init(a, 1, "k");
	side_init(b, 2, "k");
	connect(a, b);
}

static void resign(const struct side *s, struct dgram *d)
{
	crypto_generichash(d->b + 120, 32, d->b, 120, s->seal.keys[0].mac, 32);
}

/* ---------------------------------------------------------------- randomness */

static void test_rng(void **state)
{
	static const uint8_t seed[32] = {7};
	struct ipsp_rng one, two;
	uint8_t a[40], b[40], c[40];

	(void)state;
	ipsp_rng_init(&one, seed);
	ipsp_rng_init(&two, seed);
	ipsp_rng_bytes(&one, a, sizeof(a));
	ipsp_rng_bytes(&two, b, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
	ipsp_rng_bytes(&one, c, sizeof(c));
	assert_memory_not_equal(a, c, sizeof(a));
	assert_memory_not_equal(one.seed, seed,
				sizeof(seed)); /* what it gave can't be found again */
}

/* ---------------------------------------------------------------- bytes */

static void h(const uint8_t *key, const char *text, uint8_t *out, size_t n)
{
	crypto_generichash(out, n, (const uint8_t *)text, strlen(text), key, 32);
}

/* The formulas of the comment in seal.c, followed by somebody else. */
static void test_bytes(void **state)
{
	struct side a, b;
	struct dgram d, sealed;
	uint8_t s[32], id[16], mac_key[32], mac[32], derive[32], shared[32], root[32], key[32],
		tag[16];
	uint8_t nonce[12] = {0}, text[64], all[256];
	size_t n = 0;
	int low;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	memset(s, 'k', sizeof(s));
	h(s, "ipsp 1 key id", id, 16);
	h(s, "ipsp 1 mac", mac_key, 32);
	h(s, "ipsp 1 derive", derive, 32);

	d = shake(&a);
	assert_memory_equal(d.b, "IP\1\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(d.b + 16, a.seal.nonce, 32);
	assert_memory_equal(d.b + 48, a.seal.eph_public, 32);
	assert_true(sodium_is_zero(d.b + 80, 32));
	assert_memory_equal(d.b + 112, id, 8);
	crypto_generichash(mac, 32, d.b, 120, mac_key, 32);
	assert_memory_equal(d.b + 120, mac, 32);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_SHAKE);
	assert_memory_equal(b.reply.b + 80, a.seal.nonce, 32);

	low = memcmp(a.seal.nonce, b.seal.nonce, 32) < 0;
	assert_int_equal(crypto_scalarmult(shared, a.seal.eph_secret, b.seal.eph_public), 0);
	memcpy(all, "ipsp 1 session", 14);
	n = 14;
	memcpy(all + n, low ? a.seal.nonce : b.seal.nonce, 32);
	memcpy(all + n + 32, low ? b.seal.nonce : a.seal.nonce, 32);
	memcpy(all + n + 64, low ? a.seal.eph_public : b.seal.eph_public, 32);
	memcpy(all + n + 96, low ? b.seal.eph_public : a.seal.eph_public, 32);
	memcpy(all + n + 128, shared, 32);
	crypto_generichash(root, 32, all, n + 160, derive, 32);
	h(root, low ? "low to high" : "high to low", key, 32);
	h(root, "tag", tag, 16);

	assert_int_equal(hear(&a, &b.reply), IPSP_OPENED_CANDIDATE);
	sealed = say(&a, "hello");
	assert_int_equal(sealed.n, 16 + 5 + 16);
	assert_memory_equal(sealed.b, "IP\1\2", 4);
	assert_memory_equal(sealed.b + 4, tag, 4);
	assert_memory_equal(sealed.b + 8, "\0\0\0\0\0\0\0\1", 8);
	nonce[11] = 1;
	assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed.b + 16,
								   21, sealed.b, 16, nonce, key),
			 0);
	assert_memory_equal(text, "hello", 5);
}

/* ---------------------------------------------------------------- the handshake */

static void test_connect(void **state)
{
	struct side a, b;

	(void)state;
	pair(&a, &b);
	side_init(&a, 3, ""); /* auth = "none" on both sides is a secret like another */
	side_init(&b, 4, "");
	connect(&a, &b);
}

static void test_nothing_before(void **state)
{
	struct side a;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "k");
	assert_int_equal(say(&a, "x").n, 0);
	assert_int_equal(ipsp_seal_candidate(&a.seal, d.b), 0);
	ipsp_seal_wipe(&a.seal);
	assert_true(sodium_is_zero((uint8_t *)&a.seal, sizeof(a.seal)));
	assert_int_equal(ipsp_seal_shake(&a.seal, d.b), 0);
}

static void test_both_at_once(void **state)
{
	struct side a, b;
	struct dgram da, db;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	da = shake(&a);
	db = shake(&b);
	assert_int_equal(hear(&b, &da), IPSP_OPENED_SHAKE);
	assert_int_equal(hear(&a, &db), IPSP_OPENED_SHAKE);
	da = a.reply;
	db = b.reply;
	assert_int_equal(hear(&a, &db), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear(&b, &da), IPSP_OPENED_CANDIDATE);
	da = a.reply;
	db = b.reply;
	assert_int_equal(hear(&a, &db), IPSP_OPENED_SHAKE);
	assert_int_equal(hear(&b, &da), IPSP_OPENED_SHAKE);
	assert_int_equal(a.reply.n + b.reply.n, 0);
	assert_said(&a, &b, IPSP_OPENED_NEW, "x");
	assert_said(&b, &a, IPSP_OPENED_NEW, "y");
}

/* The old session is in use until the new one is proven; then a datagram of the old one is nothing.
 */
static void test_renew(void **state)
{
	struct side a, b;
	struct dgram late, d;
	uint32_t tag;

	(void)state;
	pair(&a, &b);
	tag = a.seal.present.tag;
	exchange(&a, &b);
	assert_said(&a, &b, IPSP_OPENED_DATA, "old");
	assert_said(&b, &a, IPSP_OPENED_DATA, "old");
	late = say(&a, "late");
	d.n = ipsp_seal_candidate(&a.seal, d.b);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_NEW);
	hear_fails(&b, &late, IPSP_ERR_SEAL);
	assert_said(&b, &a, IPSP_OPENED_NEW, "new");
	assert_int_not_equal(tag, a.seal.present.tag);
	assert_said(&a, &b, IPSP_OPENED_DATA, "new");
}

static void test_restart(void **state)
{
	struct side a, b;

	(void)state;
	pair(&a, &b);
	side_init(&a, 3, "k");
	connect(&a, &b); /* the restarted side begins */
	side_init(&a, 4, "k");
	connect(&b, &a); /* the other one does */
}

/* The secret of a spent offer, and the keys of a replaced session, are nowhere any more. */
static void test_forward_secrecy(void **state)
{
	struct side a, b;
	uint8_t eph[32], key[32];

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	memcpy(eph, a.seal.eph_secret, 32);
	connect(&a, &b);
	for (size_t i = 0; i + 32 <= sizeof(a.seal); i++)
		assert_memory_not_equal((uint8_t *)&a.seal + i, eph, 32);
	memcpy(key, a.seal.present.tx_key, 32);
	connect(&a, &b);
	for (size_t i = 0; i + 32 <= sizeof(a.seal); i++)
		assert_memory_not_equal((uint8_t *)&a.seal + i, key, 32);
}

static void test_candidate_given_up(void **state)
{
	struct side a, b;
	struct dgram d;

	(void)state;
	pair(&a, &b);
	exchange(&a, &b);
	for (int i = 0; i < IPSP_SEAL_TRIES; i++)
		assert_int_not_equal(ipsp_seal_candidate(&a.seal, d.b), 0);
	assert_int_equal(ipsp_seal_candidate(&a.seal, d.b), 0);
	assert_false(a.seal.candidate.valid);
	assert_said(&a, &b, IPSP_OPENED_DATA, "still the old one");
	connect(&a, &b); /* and the next one has all its tries */
}

/* ---------------------------------------------------------------- what an attacker has */

static void test_malformed(void **state)
{
	struct side a, b;
	struct dgram d, x;

	(void)state;
	pair(&a, &b);
	d = shake(&a);
	for (size_t i = 0; i < d.n; i++) {
		x = d;
		x.n = i;
		hear_fails(&b, &x, IPSP_ERR_SHORT);
	}
	x = d;
	x.b[x.n++] = 0;
	hear_fails(&b, &x, IPSP_ERR_FORMAT);
	x = d;
	x.b[2] = 2;
	hear_fails(&b, &x, IPSP_ERR_VERSION);
	x = d;
	x.b[3] = 3;
	hear_fails(&b, &x, IPSP_ERR_FORMAT);
	d = say(&a, "sealed");
	for (size_t i = 0; i < d.n; i++) {
		x = d;
		x.n = i;
		hear_fails(&b, &x, i < 32 ? IPSP_ERR_SHORT : IPSP_ERR_SEAL);
	}
	hear_fails(&b, &(struct dgram){.n = IPSP_DGRAM_MAX}, IPSP_ERR_FORMAT);
}

static void test_every_bit_counts(void **state)
{
	struct side a, b;
	struct dgram d[2], x;

	(void)state;
	pair(&a, &b);
	d[0] = shake(&a);
	d[1] = say(&a, "sealed");
	for (int i = 0; i < 2; i++) {
		for (size_t bit = 0; bit < 8 * d[i].n; bit++) {
			struct ipsp_seal before = b.seal;

			x = d[i];
			x.b[bit / 8] ^= (uint8_t)(1 << (bit % 8));
			assert_true(hear(&b, &x) < 0);
			assert_memory_equal(&before, &b.seal, sizeof(before));
		}
	}
	assert_int_equal(hear(&b, &d[0]), IPSP_OPENED_SHAKE);
	assert_int_equal(hear(&b, &d[1]), IPSP_OPENED_DATA);
}

static void test_wrong_key(void **state)
{
	struct side a, b, c;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "m");
	d = shake(&a);
	hear_fails(&b, &d, IPSP_ERR_SEAL);
	memcpy(d.b + 112, b.seal.keys[0].id, 8); /* its name is no secret */
	hear_fails(&b, &d, IPSP_ERR_SEAL);
	side_init(&b, 2, "");
	d = shake(&a);
	hear_fails(&b, &d, IPSP_ERR_SEAL);
	/* a session of others is none of ours */
	pair(&a, &b);
	side_init(&b, 3, "k");
	side_init(&c, 4, "k");
	connect(&b, &c);
	d = say(&b, "x");
	hear_fails(&a, &d, IPSP_ERR_SEAL);
	memcpy(d.b + 4,
	       (uint8_t[4]){(uint8_t)(a.seal.present.tag >> 24),
			    (uint8_t)(a.seal.present.tag >> 16), (uint8_t)(a.seal.present.tag >> 8),
			    (uint8_t)a.seal.present.tag},
	       4);
	d.b[15] = 100; /* new to the window */
	hear_fails(&a, &d, IPSP_ERR_SEAL);
}

static void test_reflected(void **state)
{
	struct side a, b;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "k");
	d = shake(&a);
	hear_fails(&a, &d, IPSP_ERR_REPLAY);
	pair(&a, &b);
	d = say(&a, "x");
	hear_fails(&a, &d, IPSP_ERR_SEAL); /* the directions have keys of their own */
}

static void test_low_order(void **state)
{
	/* 0, 1 and a point of order 8: the shared value would be 0 */
	static const uint8_t points[3][32] = {
		{0},
		{1},
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
		 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	};
	struct side a, b;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	d = shake(&a);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_SHAKE);
	for (int i = 0; i < 3; i++) {
		d = b.reply;
		memcpy(d.b + 48, points[i], 32);
		resign(&b, &d);
		hear_fails(&a, &d, IPSP_ERR_SEAL);
	}
	d = b.reply;
	assert_int_equal(hear(&a, &d), IPSP_OPENED_CANDIDATE); /* the honest one still works */
}

/*
 * The trap: a session made twice has its numbers from 1 again under the same keys. Every SHAKE of a
 * handshake is given again to both sides, before and after the session was promoted.
 */
static void test_never_made_twice(void **state)
{
	struct side a, b;
	struct dgram d[4], x;
	struct ipsp_seal before;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	d[0] = shake(&a);
	assert_int_equal(hear(&b, &d[0]), IPSP_OPENED_SHAKE);
	d[1] = b.reply;
	assert_int_equal(hear(&a, &d[1]), IPSP_OPENED_CANDIDATE);
	d[2] = a.reply;
	x = say(&a, "one"); /* number 1 is used in the candidate */
	before = a.seal;
	assert_int_equal(hear(&a, &d[1]), IPSP_OPENED_SHAKE);
	assert_memory_equal(&before, &a.seal, sizeof(before));
	assert_int_equal(hear(&b, &d[2]), IPSP_OPENED_CANDIDATE);
	d[3] = b.reply;
	assert_int_equal(hear(&b, &x), IPSP_OPENED_NEW);
	assert_said(&b, &a, IPSP_OPENED_NEW, "two");

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++) {
			struct side *sides[2] = {&a, &b};

			for (int j = 0; j < 2; j++) {
				before = sides[j]->seal;
				hear(sides[j], &d[i]);
				assert_memory_equal(&before, &sides[j]->seal, sizeof(before));
			}
		}
		assert_said(&a, &b, IPSP_OPENED_DATA, "three");
		if (round == 0)
			exchange(&a, &b); /* once more beside a candidate, which is not lost */
	}
	assert_true(a.seal.candidate.valid);
	x.n = ipsp_seal_candidate(&a.seal, x.b);
	assert_int_equal(hear(&b, &x), IPSP_OPENED_NEW);
}

/* An old beginning makes us answer, and the peer has no use for the answer: it goes no further. */
static void test_old_beginning(void **state)
{
	struct side a, b;
	struct dgram old;
	struct ipsp_seal before;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	old = shake(&b);
	connect(&a, &b);
	exchange(&a, &b);
	connect(&a, &b);
	before = a.seal;
	assert_int_equal(hear(&a, &old), IPSP_OPENED_SHAKE);
	assert_memory_equal(&before, &a.seal, sizeof(before));
	hear_fails(&b, &a.reply, IPSP_ERR_REPLAY);
}

/* What was begun before a session was promoted has no effect after. */
static void test_late_answer(void **state)
{
	struct side a, b;
	struct dgram d, late;

	(void)state;
	pair(&a, &b);
	exchange(&a, &b);
	d = shake(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_SHAKE);
	late = a.reply;
	d.n = ipsp_seal_candidate(&a.seal, d.b);
	assert_int_equal(hear(&b, &d), IPSP_OPENED_NEW);
	hear_fails(&b, &late, IPSP_ERR_REPLAY);
}

static void test_replay_window(void **state)
{
	enum { WINDOW = (IPSP_REPLAY_WORDS - 1) * 64, N = 3 * WINDOW };
	static struct dgram d[N];
	struct side a, b;
	const size_t jump = WINDOW + 100;

	(void)state;
	pair(&a, &b);
	for (size_t i = 0; i < N; i++)
		d[i] = say(&a, "n");
	assert_int_equal(hear(&b, &d[jump]), IPSP_OPENED_DATA);
	hear_fails(&b, &d[jump], IPSP_ERR_REPLAY);
	hear_fails(&b, &d[jump - WINDOW], IPSP_ERR_REPLAY); /* one too old */
	for (size_t i = jump - WINDOW + 1; i < jump; i++) { /* all of the window, late, once */
		assert_int_equal(hear(&b, &d[i]), IPSP_OPENED_DATA);
		hear_fails(&b, &d[i], IPSP_ERR_REPLAY);
	}
	for (size_t i = jump + 1; i < N; i += 1 + i % 130) { /* steps over words and within */
		assert_int_equal(hear(&b, &d[i]), IPSP_OPENED_DATA);
		hear_fails(&b, &d[i], IPSP_ERR_REPLAY);
		hear_fails(&b, &d[i - WINDOW], IPSP_ERR_REPLAY);
	}
	for (size_t i = 0; i < N; i++) { /* whatever was missing opens once or is too old */
		if (hear(&b, &d[i]) == IPSP_OPENED_DATA)
			hear_fails(&b, &d[i], IPSP_ERR_REPLAY);
		else
			assert_true(i <= jump || b.seal.present.rx_top - (i + 1) >= WINDOW ||
				    i > jump);
	}
	b.seal.present.rx_top = UINT64_MAX - 10; /* the far end: no sum may wrap */
	a.seal.present.tx_seq = UINT64_MAX - 4;
	for (int i = 0; i < 3; i++)
		assert_said(&a, &b, IPSP_OPENED_DATA, "end");
	assert_int_equal(say(&a, "past the end").n, 0);
	connect(&a, &b);
}

static void test_sequence_zero(void **state)
{
	struct side a, b;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	exchange(&a, &b);
	a.seal.candidate.tx_seq = UINT64_MAX; /* wraps to 0 if it is let */
	d = say(&a, "x");
	assert_int_equal(d.n, 0);
}

/* ---------------------------------------------------------------- replacing the secret */

static void set_keys(struct side *s, const char *keys)
{
	s->conf.n_keys = 0;
	for (; *keys; keys++)
		memset(s->conf.keys[s->conf.n_keys++], *keys, IPSP_KEY_BYTES);
	ipsp_seal_set_keys(&s->seal, &s->conf);
}

static void test_key_rotation(void **state)
{
	static const char *const steps[][2] = {{"o", "o"},   {"on", "o"},  {"on", "on"},
					       {"no", "on"}, {"no", "no"}, {"n", "no"},
					       {"n", "n"}};
	struct side a, b;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "o");
	side_init(&b, 2, "o");
	connect(&a, &b);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		set_keys(&a, steps[i][0]);
		set_keys(&b, steps[i][1]);
		assert_said(&a, &b, IPSP_OPENED_DATA, "the session goes on");
		assert_said(&b, &a, IPSP_OPENED_DATA, "both ways");
		connect(&a,
			&b); /* whoever begins: the other one knows the key, and answers with it */
		connect(&b, &a);
	}
	set_keys(&a, "no");
	set_keys(&b, "o"); /* only one side can begin: it does, with what both have */
	d = shake(&a);
	hear_fails(&b, &d, IPSP_ERR_SEAL);
	connect(&b, &a);
	assert_int_equal(b.seal.n_keys, 1);
	assert_true(sodium_is_zero((uint8_t *)&b.seal.keys[1], sizeof(b.seal.keys[1])));
}

/* Both begin at once with different keys, in step, for ever: one of the two has to give way. */
static void test_both_at_once_with_two_keys(void **state)
{
	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		struct side a, b;
		struct dgram da, db;

		side_init(&a, 1, swap ? "no" : "on");
		side_init(&b, 2, swap ? "on" : "no");
		da = shake(&a);
		db = shake(&b);
		hear(&b, &da);
		hear(&a, &db);
		da = a.reply;
		db = b.reply;
		hear(&b, &da);
		hear(&a, &db);
		da = a.reply;
		db = b.reply;
		assert_true(da.n == 0 || db.n == 0);
		if (db.n)
			hear(&a, &db);
		if (da.n)
			hear(&b, &da);
		assert_said(&a, &b, IPSP_OPENED_NEW, "x");
		assert_said(&b, &a, IPSP_OPENED_NEW, "y");
	}
}

/* The peer begins with its key and then hears no more: giving way must not keep ours away for good.
 */
static void test_gives_way_once(void **state)
{
	int silent = 0;

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		struct side a, b;
		struct dgram d;

		side_init(&a, 1, swap ? "no" : "on");
		side_init(&b, 2, swap ? "on" : "no");
		d = shake(&b);
		assert_int_equal(hear(&a, &d), IPSP_OPENED_SHAKE); /* the answer is lost */
		d = shake(&a);
		assert_int_equal(hear(&b, &d), IPSP_OPENED_SHAKE);
		if (hear(&a, &b.reply) == IPSP_OPENED_SHAKE) {
			silent++;
			assert_int_equal(a.reply.n, 0);
			connect(&a, &b);
		}
	}
	assert_int_equal(silent, 1); /* for one of the two keys */
}

/* ---------------------------------------------------------------- the bad network */

#define INTERVAL   100 /* ms */
#define FAULTS_MS  6000
#define QUIET_MS   1500 /* within which both must have talked */
#define STEADY_MS  3000
#define FLIGHT_MAX 512
#define TAPE_MAX   4096
#define SEEN_MAX   65536

struct flight {
	bool used;
	int to;
	uint32_t at;
	struct dgram d;
};

struct world {
	struct side side[2];
	const char *keys[2];
	uint32_t next[2];   /* when a side's interval ends */
	uint32_t opened[2]; /* when it last opened something */
	uint32_t now, serial;
	int loss, twice, late, replay; /* per cent */
	bool cut[2];		       /* towards side */
	uint64_t rnd, started;
	struct flight flight[FLIGHT_MAX];
	struct dgram tape[TAPE_MAX]; /* what an attacker has recorded */
	size_t n_tape;
	uint64_t seen[SEEN_MAX]; /* hashes of key and number, for ever */
	uint8_t taken[SEEN_MAX]; /* serials that were opened */
	uint32_t from[SEEN_MAX]; /* who sent a serial */
	uint32_t shakes, sessions;
};

static uint32_t rnd(struct world *w, uint32_t n)
{
	w->rnd ^= w->rnd << 13;
	w->rnd ^= w->rnd >> 7;
	w->rnd ^= w->rnd << 17;
	return (uint32_t)(w->rnd >> 33) % n;
}

static void fly(struct world *w, int to, const struct dgram *d, uint32_t delay)
{
	for (int i = 0; i < FLIGHT_MAX; i++) {
		if (!w->flight[i].used) {
			w->flight[i] = (struct flight){true, to, w->now + delay, *d};
			return;
		}
	}
}

static void transmit(struct world *w, int from, const struct dgram *d)
{
	if (d->n == 0)
		return;
	w->shakes += d->b[3] == IPSP_DGRAM_SHAKE;
	w->tape[w->n_tape < TAPE_MAX ? w->n_tape++ : rnd(w, TAPE_MAX)] = *d;
	for (int copies = (int)rnd(w, 100) < w->twice ? 2 : 1; copies > 0; copies--)
		if (!w->cut[!from] && (int)rnd(w, 100) >= w->loss)
			fly(w, !from, d, 2 + ((int)rnd(w, 100) < w->late ? rnd(w, 400) : 0));
}

/* No key and number may ever be used twice, not by this side nor by the other. */
static void check_fresh(struct world *w, const struct ipsp_seal *seal, const struct dgram *d)
{
	const struct ipsp_session *s[2] = {&seal->present, &seal->candidate};
	uint8_t both[40];
	uint64_t hash, i;

	for (int k = 0; k < 2; k++) {
		uint32_t tag = (uint32_t)d->b[4] << 24 | (uint32_t)d->b[5] << 16 |
			       (uint32_t)d->b[6] << 8 | d->b[7];

		if (!s[k]->valid || s[k]->tag != tag)
			continue;
		memcpy(both, s[k]->tx_key, 32);
		memcpy(both + 32, d->b + 8, 8);
		crypto_shorthash((uint8_t *)&hash, both, sizeof(both),
				 (const uint8_t *)"0123456789abcdef");
		hash |= 1;
		for (i = hash % SEEN_MAX; w->seen[i]; i = (i + 1) % SEEN_MAX)
			if (w->seen[i] == hash)
				fail_msg("seed %llu: a key and a number were used twice",
					 (unsigned long long)w->started);
		w->seen[i] = hash;
		return;
	}
	fail_msg("sealed in no session");
}

static void world_say(struct world *w, int who)
{
	char text[16];
	struct dgram d;

	snprintf(text, sizeof(text), "%u", w->serial + 1);
	d = say(&w->side[who], text);
	if (d.n == 0)
		return;
	w->from[++w->serial] = (uint32_t)who;
	assert_true(w->serial < SEEN_MAX - 1);
	check_fresh(w, &w->side[who].seal, &d);
	transmit(w, who, &d);
}

static void world_candidate(struct world *w, int who)
{
	struct dgram d;

	d.n = ipsp_seal_candidate(&w->side[who].seal, d.b);
	if (d.n == 0)
		return;
	check_fresh(w, &w->side[who].seal, &d);
	transmit(w, who, &d);
}

/* What seal.h asks of its caller. */
static void world_interval(struct world *w, int who)
{
	struct dgram d;

	if (!w->side[who].seal.present.valid || w->now - w->opened[who] > 3 * INTERVAL) {
		d = shake(&w->side[who]);
		transmit(w, who, &d);
	}
	world_say(w, who);
	world_candidate(w, who);
	w->next[who] += INTERVAL;
}

static void world_opened(struct world *w, int who)
{
	struct side *s = &w->side[who];
	uint32_t serial;

	w->opened[who] = w->now;
	if (s->plain_n == 0)
		return;
	s->plain[s->plain_n] = '\0';
	serial = (uint32_t)strtoul((char *)s->plain, NULL, 10);
	assert_in_range(serial, 1, w->serial);
	assert_int_equal(w->from[serial], !who);
	if (w->taken[serial]++)
		fail_msg("seed %llu: a datagram was opened twice", (unsigned long long)w->started);
}

static void world_hear(struct world *w, int who, const struct dgram *d)
{
	struct side *s = &w->side[who];

	switch (hear(s, d)) {
	case IPSP_OPENED_SHAKE:
		transmit(w, who, &s->reply);
		break;
	case IPSP_OPENED_CANDIDATE:
		transmit(w, who, &s->reply);
		world_candidate(w, who);
		break;
	case IPSP_OPENED_NEW:
		w->sessions++;
		world_opened(w, who);
		world_say(w, who);
		break;
	case IPSP_OPENED_DATA:
		world_opened(w, who);
		break;
	default:
		break;
	}
}

static void world_start(struct world *w, int who)
{
	struct side *s = &w->side[who];
	uint8_t seed[32];

	side_init(s, 0, w->keys[who]);
	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)rnd(w, 256);
	ipsp_seal_init(&s->seal, &s->conf, seed);
}

static void world_run(struct world *w, uint32_t ms, bool faults)
{
	for (uint32_t end = w->now + ms; w->now < end; w->now++) {
		if (w->replay && w->n_tape && (int)rnd(w, 1000) < w->replay)
			fly(w, (int)rnd(w, 2), &w->tape[rnd(w, (uint32_t)w->n_tape)], 1);
		if (faults && rnd(w, 1000) < 3)
			world_start(w, (int)rnd(w, 2));
		if (faults && rnd(w, 1000) < 5)
			w->cut[rnd(w, 2)] = rnd(w, 2);
		for (int i = 0; i < FLIGHT_MAX; i++) {
			if (w->flight[i].used && w->flight[i].at <= w->now) {
				w->flight[i].used = false;
				world_hear(w, w->flight[i].to, &w->flight[i].d);
			}
		}
		for (int who = 0; who < 2; who++)
			if (w->now >= w->next[who])
				world_interval(w, who);
	}
}

static void world_story(struct world *w, uint64_t seed)
{
	static const char *const keys[][2] = {{"k", "k"},  {"", ""},	{"on", "no"},  {"no", "on"},
					      {"on", "n"}, {"on", "o"}, {"xab", "yab"}};
	uint32_t sessions, shakes;
	size_t k;

	memset(w, 0, sizeof(*w));
	w->started = seed;
	w->rnd = seed * 0x9e3779b97f4a7c15u + 1;
	k = rnd(w, 6); /* the last pair is of no use: neither knows the key that the other begins
			  with */
	for (int who = 0; who < 2; who++) {
		w->keys[who] = keys[k][who];
		w->next[who] = rnd(w, 2) ? INTERVAL : rnd(w, INTERVAL); /* often in step */
		world_start(w, who);
	}
	w->loss = (int)rnd(w, 70);
	w->twice = (int)rnd(w, 50);
	w->late = (int)rnd(w, 100);
	w->replay = (int)rnd(w, 300);
	world_run(w, FAULTS_MS, true);

	/* the network is well again; who records and repeats may go on, the way is short as before
	 */
	w->cut[0] = w->cut[1] = false;
	w->loss = w->twice = w->late = 0;
	if (rnd(w, 2))
		w->replay = 0;
	world_run(w, QUIET_MS, false);
	sessions = w->sessions;
	shakes = w->shakes;
	world_run(w, STEADY_MS, false);
	for (int who = 0; who < 2; who++)
		if (w->now - w->opened[who] > INTERVAL + 10 || !w->side[who].seal.present.valid)
			fail_msg("seed %llu: side %d hears nothing", (unsigned long long)seed, who);
	assert_int_equal(w->side[0].seal.present.tag, w->side[1].seal.present.tag);
	/* an answer that was held back may still end what it answers: once for each side, seen by
	 * both */
	if (w->sessions - sessions > (w->replay ? 4 : 0))
		fail_msg("seed %llu: it does not come to rest", (unsigned long long)seed);
	if (!w->replay)
		assert_int_equal(w->shakes, shakes);
}

static void test_bad_network(void **state)
{
	const char *env = getenv("IPSP_SEED"), *many = getenv("IPSP_RUNS");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 1;
	uint64_t runs = many ? strtoull(many, NULL, 0) : env ? 1 : 200;
	struct world *w = malloc(sizeof(*w));

	(void)state;
	assert_non_null(w);
	print_message("seeds %llu to %llu (IPSP_SEED, IPSP_RUNS)\n", (unsigned long long)seed,
		      (unsigned long long)(seed + runs - 1));
	for (uint64_t i = 0; i < runs; i++)
		world_story(w, seed + i);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_nothing_before),
		cmocka_unit_test(test_both_at_once),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_forward_secrecy),
		cmocka_unit_test(test_candidate_given_up),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_reflected),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_never_made_twice),
		cmocka_unit_test(test_old_beginning),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_replay_window),
		cmocka_unit_test(test_sequence_zero),
		cmocka_unit_test(test_key_rotation),
		cmocka_unit_test(test_both_at_once_with_two_keys),
		cmocka_unit_test(test_gives_way_once),
		cmocka_unit_test(test_bad_network),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
