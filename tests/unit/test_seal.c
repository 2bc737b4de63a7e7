/* seal: the handshake step by step, and what an attacker can send. In a bad network:
 * test_seal_net.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
	s->conf.address = s->conf.peer =
		ipsp_addr_v4(0xc0000207); /* test_seal_bound.c has others */
	s->conf.port = 4187;
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
	uint8_t all[120 + IPSP_SEAL_PLACE];

	memcpy(all, d->b, 120);
	memcpy(all + 120, s->seal.to_peer, IPSP_SEAL_PLACE);
	crypto_generichash(d->b + 120, 32, all, sizeof(all), s->seal.keys[0].bound.mac, 32);
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
static void bytes_of(uint8_t version)
{
	static const uint8_t ends[2][16] = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1},
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2},
	};
	const bool bound = version == 2;
	struct side a, b;
	struct dgram d, sealed;
	uint8_t s[32], id[16], mac_key[32], mac[32], derive[32], shared[32], root[32], key[32],
		tag[16];
	uint8_t nonce[12] = {0}, text[64], all[256], place[2][34];
	size_t n;
	int low;

	side_init(&a, 1, "k");
	side_init(&b, 2, "k");
	a.conf.address = b.conf.peer = ipsp_addr_v4(0xc0000201);
	b.conf.address = a.conf.peer = ipsp_addr_v4(0xc0000202);
	ipsp_seal_set_keys(&a.seal, &a.conf);
	ipsp_seal_set_keys(&b.seal, &b.conf);
	for (int i = 0; i < 2; i++) { /* from a to b; from b to a */
		memcpy(place[i], ends[i], 16);
		memcpy(place[i] + 16, ends[!i], 16);
		memcpy(place[i] + 32, "\x10\x5b", 2); /* 4187 */
	}
	memset(s, 'k', sizeof(s));
	h(s, "ipsp 1 key id", id, 16);
	h(s, bound ? "ipsp 2 mac" : "ipsp 1 mac", mac_key, 32);
	h(s, bound ? "ipsp 2 derive" : "ipsp 1 derive", derive, 32);

	d = shake(&a);
	if (!bound) {
		shake(&a);
		d.n = ipsp_seal_shake_old(&a.seal, d.b);
		assert_int_equal(d.n, IPSP_SHAKE_LEN);
	}
	assert_memory_equal(d.b, bound ? "IP\2\1" : "IP\1\1", 4);
	assert_memory_equal(d.b + 4, "\0\0\0\0\0\0\0\0\0\0\0\2", 12);
	assert_memory_equal(d.b + 16, a.seal.nonce, 32);
	assert_memory_equal(d.b + 48, a.seal.eph_public, 32);
	assert_true(sodium_is_zero(d.b + 80, 32));
	assert_memory_equal(d.b + 112, id, 8);
	memcpy(all, d.b, 120);
	memcpy(all + 120, place[0], 34);
	crypto_generichash(mac, 32, all, bound ? 154 : 120, mac_key, 32);
	assert_memory_equal(d.b + 120, mac, 32);
	if (!bound) { /* as a side that speaks no other would have said it, and answer it */
		memset(d.b + 8, 0, 8);
		crypto_generichash(d.b + 120, 32, d.b, 120, mac_key, 32);
	}
	assert_int_equal(hear(&b, &d), IPSP_OPENED_SHAKE);
	assert_memory_equal(b.reply.b + 80, a.seal.nonce, 32);

	low = memcmp(a.seal.nonce, b.seal.nonce, 32) < 0;
	assert_int_equal(crypto_scalarmult(shared, a.seal.eph_secret, b.seal.eph_public), 0);
	memcpy(all, bound ? "ipsp 2 session" : "ipsp 1 session", 14);
	n = 14;
	memcpy(all + n, low ? a.seal.nonce : b.seal.nonce, 32);
	memcpy(all + n + 32, low ? b.seal.nonce : a.seal.nonce, 32);
	memcpy(all + n + 64, low ? a.seal.eph_public : b.seal.eph_public, 32);
	memcpy(all + n + 96, low ? b.seal.eph_public : a.seal.eph_public, 32);
	memcpy(all + n + 128, shared, 32);
	memcpy(all + n + 160, low ? place[0] : place[1], 34);
	crypto_generichash(root, 32, all, n + (bound ? 194 : 160), derive, 32);
	h(root, low ? "low to high" : "high to low", key, 32);
	h(root, "tag", tag, 16);

	d = b.reply;
	if (!bound) {
		memset(d.b + 8, 0, 8);
		crypto_generichash(d.b + 120, 32, d.b, 120, mac_key, 32);
	}
	assert_int_equal(hear(&a, &d), IPSP_OPENED_CANDIDATE);
	sealed = say(&a, "hello");
	assert_int_equal(sealed.n, 16 + 5 + 16);
	assert_memory_equal(sealed.b, bound ? "IP\2\2" : "IP\1\2", 4);
	assert_memory_equal(sealed.b + 4, tag, 4);
	assert_memory_equal(sealed.b + 8, "\0\0\0\0\0\0\0\1", 8);
	nonce[11] = 1;
	assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed.b + 16,
								   21, sealed.b, 16, nonce, key),
			 0);
	assert_memory_equal(text, "hello", 5);
}

static void test_bytes(void **state)
{
	(void)state;
	bytes_of(2);
	bytes_of(1);
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
	hear_fails(&b, &late, IPSP_ERR_SESSION);
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
	x.b[2] = 3;
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
	hear_fails(&b, &d, IPSP_ERR_KEY);
	assert_memory_equal(ipsp_seal_key_id(d.b), a.seal.keys[0].id, 8);
	assert_false(ipsp_seal_is_none(ipsp_seal_key_id(d.b)));
	memcpy(d.b + 112, b.seal.keys[0].id, 8); /* its name is no secret */
	hear_fails(&b, &d, IPSP_ERR_SEAL);
	side_init(&b, 2, "");
	d = shake(&a);
	hear_fails(&b, &d, IPSP_ERR_KEY);
	d = shake(&b);
	hear_fails(&a, &d, IPSP_ERR_KEY);
	assert_true(ipsp_seal_is_none(ipsp_seal_key_id(d.b)));
	/* a session of others is none of ours */
	pair(&a, &b);
	side_init(&b, 3, "k");
	side_init(&c, 4, "k");
	connect(&b, &c);
	d = say(&b, "x");
	hear_fails(&a, &d, IPSP_ERR_SESSION);
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

static bool set_keys(struct side *s, const char *keys)
{
	s->conf.n_keys = 0;
	for (; *keys; keys++)
		memset(s->conf.keys[s->conf.n_keys++], *keys, IPSP_KEY_BYTES);
	return ipsp_seal_set_keys(&s->seal, &s->conf);
}

static void test_other_keys(void **state)
{
	struct side a;

	(void)state;
	side_init(&a, 1, "kl");
	assert_false(set_keys(&a, "kl"));
	assert_true(set_keys(&a, "lk"));
	assert_true(set_keys(&a, "l"));
	assert_true(set_keys(&a, "lm"));
	assert_true(set_keys(&a, ""));
	assert_false(set_keys(&a, ""));
}

/* The question whether the peer has the first key: answered, and nothing else comes of it. */
static void test_ask(void **state)
{
	struct ipsp_seal was[2];
	struct side a, b;
	struct dgram d;

	(void)state;
	pair(&a, &b);
	a.seal.proven = false;
	d.n = ipsp_seal_ask(&a.seal, false, d.b);
	assert_int_equal(d.n, IPSP_SHAKE_LEN);
	was[0] = a.seal;
	was[1] = b.seal;
	hear_fails(&a, &d, IPSP_ERR_REPLAY); /* reflected */
	assert_int_equal(hear(&b, &d), IPSP_OPENED_SHAKE);
	assert_memory_equal(&was[1], &b.seal, sizeof(b.seal));
	d = b.reply;
	assert_false(a.seal.proven);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_SHAKE);
	assert_true(a.seal.proven);
	assert_int_equal(a.reply.n, 0);
	assert_false(a.seal.candidate.valid);
	assert_memory_equal(was[0].nonce, a.seal.nonce, 32);
	assert_memory_equal(&was[0].present, &a.seal.present, sizeof(a.seal.present));
	hear_fails(&a, &d, IPSP_ERR_REPLAY);

	/* with a key that is not the first one's answer proves nothing of the first */
	a.seal.proven = false;
	set_keys(&a, "xk");
	d = shake(&b);
	assert_int_equal(hear(&a, &d), IPSP_OPENED_SHAKE);
	assert_int_equal(hear(&b, &a.reply), IPSP_OPENED_CANDIDATE);
	assert_int_equal(hear(&a, &b.reply), IPSP_OPENED_CANDIDATE);
	assert_false(a.seal.proven);
	assert_true(b.seal.proven);
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
	hear_fails(&b, &d, IPSP_ERR_KEY);
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

/* A key was asked for and is not there yet: that is not auth = "none". */
static void test_no_key_yet(void **state)
{
	struct side a, b;
	struct dgram d;

	(void)state;
	side_init(&a, 1, "");
	side_init(&b, 2, "");
	a.conf.wants_key = true;
	ipsp_seal_set_keys(&a.seal, &a.conf);
	assert_int_equal(ipsp_seal_shake(&a.seal, d.b), 0);
	d = shake(&b);
	hear_fails(&a, &d, IPSP_ERR_KEY);
	memset(a.conf.keys[0], 'k', IPSP_KEY_BYTES);
	a.conf.n_keys = 1;
	assert_true(ipsp_seal_set_keys(&a.seal, &a.conf));
	assert_int_equal(ipsp_seal_shake(&a.seal, d.b), IPSP_SHAKE_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_no_key_yet),
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
		cmocka_unit_test(test_other_keys),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_both_at_once_with_two_keys),
		cmocka_unit_test(test_gives_way_once),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
