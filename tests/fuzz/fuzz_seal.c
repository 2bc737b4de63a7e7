/*
 * An attacker who even has the shared secret sends one side whatever he likes, between honest
 * datagrams. Whatever he sends: an error changes nothing, no session is made of anybody's
 * offer twice, numbers never go back, and an honest exchange afterwards makes the two talk.
 *
 * The input is commands: u8 what | its operands, taken from the input, zeros where it ends.
 */
#include "core/seal.h"
#include "fuzz.h"
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TO_B = 1 }; /* bits of a command beside its lowest three */

struct input {
	const uint8_t *p;
	size_t n;
};

struct world {
	struct ipsp_seal side[2];
	uint8_t last[2][IPSP_DGRAM_MAX]; /* the last that each side sent */
	size_t n_last[2];
};

static void must(bool good)
{
	if (!good)
		abort();
}

static uint8_t take(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static void take_bytes(struct input *in, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = take(in);
}

static void keep(struct world *w, int who, const uint8_t *dgram, size_t n)
{
	if (n == 0)
		return;
	memcpy(w->last[who], dgram, n);
	w->n_last[who] = n;
}

static bool same_session(const struct ipsp_session *a, const struct ipsp_session *b)
{
	return a->valid && b->valid && memcmp(a->tx_key, b->tx_key, sizeof(a->tx_key)) == 0;
}

/* A session that was there before, wherever it is now, has not gone back. */
static void check_forward(const struct ipsp_session *old, const struct ipsp_seal *now)
{
	const struct ipsp_session *s[2] = {&now->present, &now->candidate};

	must(!same_session(s[0], s[1]));
	for (int i = 0; i < 2; i++)
		if (same_session(old, s[i]))
			must(s[i]->tx_seq >= old->tx_seq && s[i]->rx_top >= old->rx_top);
}

static void feed(struct world *w, int who, const uint8_t *dgram, size_t n)
{
	struct ipsp_seal before = w->side[who], *seal = &w->side[who];
	uint8_t plain[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX], copy[IPSP_DGRAM_MAX + 1];
	size_t plain_n = 1, reply_n = 1;
	int opened;

	memcpy(copy, dgram, n);
	opened = ipsp_seal_open(seal, copy, n, plain, &plain_n, reply, &reply_n);
	must(plain_n <= IPSP_PLAIN_MAX && (reply_n == 0 || reply_n == IPSP_SHAKE_LEN));
	if (opened < 0) {
		must(memcmp(&before, seal, sizeof(before)) == 0 && plain_n == 0 && reply_n == 0);
		return;
	}
	check_forward(&before.present, seal);
	check_forward(&before.candidate, seal);
	if (opened == IPSP_OPENED_CANDIDATE) { /* of a fresh offer, which is spent by it */
		must(!same_session(&seal->candidate, &before.candidate));
		must(!same_session(&seal->candidate, &before.present));
		must(memcmp(before.eph_secret, seal->eph_secret, 32) != 0);
		must(memcmp(before.nonce, seal->spent, 32) == 0);
	}
	if (opened == IPSP_OPENED_DATA || opened == IPSP_OPENED_NEW) { /* once only */
		struct ipsp_seal again = *seal;

		must(seal->present.valid);
		must(ipsp_seal_open(&again, copy, n, plain, &plain_n, reply, &reply_n) < 0);
	}
	keep(w, who, reply, reply_n);
}

/* A SHAKE of the attacker's making, with the right MAC. */
static void forge(struct world *w, int to, struct input *in)
{
	uint8_t shake[IPSP_SHAKE_LEN], out[IPSP_DGRAM_MAX];
	const struct ipsp_seal *from = &w->side[!to], *at = &w->side[to];
	uint8_t how = take(in);

	ipsp_seal_shake(&w->side[!to], out);
	memcpy(shake, out, sizeof(shake));
	if (how & 1)
		take_bytes(in, shake + 16, 32); /* nonce */
	if (how & 2)
		take_bytes(in, shake + 48, 32); /* public key */
	if (how & 4)
		memcpy(shake + 80, at->nonce, 32); /* echo: right */
	else if (how & 8)
		memcpy(shake + 80, at->spent, 32);
	else if (how & 16)
		take_bytes(in, shake + 80, 32);
	if (how & 32)
		memcpy(shake + 112, from->keys[1].id, 8);
	if (how & 64) { /* of the first version, by one that speaks no other, or that does */
		shake[2] = IPSP_SEAL_OLD;
		shake[15] = how & 128 ? 0 : IPSP_SEAL_VERSION;
		crypto_generichash(shake + 120, 32, shake, 120, from->keys[how >> 5 & 1].old.mac,
				   32);
	} else {
		uint8_t all[120 + IPSP_SEAL_PLACE];

		memcpy(all, shake, 120);
		memcpy(all + 120, from->to_peer, IPSP_SEAL_PLACE);
		crypto_generichash(shake + 120, 32, all, sizeof(all),
				   from->keys[how >> 5 & 1].bound.mac, 32);
	}
	feed(w, to, shake, sizeof(shake));
}

static void command(struct world *w, struct input *in)
{
	uint8_t what = take(in), out[IPSP_DGRAM_MAX], plain[64];
	int to = what >> 3 & TO_B;
	size_t n;

	switch (what & 7) {
	case 0: /* anything at all */
		n = take(in) * 5u;
		take_bytes(in, out, n < sizeof(out) ? n : sizeof(out));
		feed(w, to, out, n < sizeof(out) ? n : sizeof(out));
		break;
	case 1:
		forge(w, to, in);
		break;
	case 2: /* the last of the other side, or of its own */
	case 3:
		n = what & 16 ? (size_t)to : (size_t)!to;
		memcpy(out, w->last[n], w->n_last[n]);
		n = w->n_last[n];
		if (what & 32 && n > 0) /* spoilt */
			out[take(in) % n] ^= (uint8_t)(take(in) | 1);
		feed(w, to, out, n);
		break;
	case 4:
		n = ipsp_seal_shake(&w->side[!to], out);
		keep(w, !to, out, n);
		feed(w, to, out, n);
		break;
	case 5:
		take_bytes(in, plain, sizeof(plain));
		n = ipsp_seal_close(&w->side[!to], plain, take(in) % sizeof(plain), out);
		keep(w, !to, out, n);
		feed(w, to, out, n);
		break;
	case 6:
		n = ipsp_seal_candidate(&w->side[!to], out);
		keep(w, !to, out, n);
		feed(w, to, out, n);
		break;
	case 7: /* numbers near their end, where a sum may wrap */
		if (w->side[to].present.valid && w->side[to].present.tx_seq < UINT64_MAX - 100)
			w->side[to].present.tx_seq = UINT64_MAX - 1 - take(in) % 64;
		break;
	}
}

/* The honest exchange of seal.h; @a begins. */
static void connect(struct ipsp_seal *a, struct ipsp_seal *b)
{
	uint8_t one[IPSP_DGRAM_MAX], two[IPSP_DGRAM_MAX], plain[IPSP_DGRAM_MAX];
	size_t n, m, p;

	n = ipsp_seal_shake(a, one);
	must(ipsp_seal_open(b, one, n, plain, &p, two, &m) == IPSP_OPENED_SHAKE && m > 0);
	if (ipsp_seal_open(a, two, m, plain, &p, one, &n) ==
	    IPSP_OPENED_SHAKE) { /* gives way, once */
		n = ipsp_seal_shake(a, one);
		must(ipsp_seal_open(b, one, n, plain, &p, two, &m) == IPSP_OPENED_SHAKE && m > 0);
		must(ipsp_seal_open(a, two, m, plain, &p, one, &n) == IPSP_OPENED_CANDIDATE);
	}
	must(ipsp_seal_open(b, one, n, plain, &p, two, &m) == IPSP_OPENED_CANDIDATE);
	n = ipsp_seal_candidate(a, one);
	must(ipsp_seal_open(b, one, n, plain, &p, two, &m) == IPSP_OPENED_NEW);
	n = ipsp_seal_close(b, (const uint8_t *)"well", 4, one);
	must(ipsp_seal_open(a, one, n, plain, &p, two, &m) == IPSP_OPENED_NEW);
	must(p == 4 && memcmp(plain, "well", 4) == 0);
	must(memcmp(a->present.tx_key, b->present.rx_key, 32) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct world w;
	struct input in = {data, n};
	struct ipsp_psp_conf conf = {.n_keys = 2, .keys = {{1}, {2}}};

	memset(&w, 0, sizeof(w));
	ipsp_seal_init(&w.side[0], &conf, (const uint8_t[32]){1});
	conf.keys[0][0] = 2; /* the other way round */
	conf.keys[1][0] = 1;
	ipsp_seal_init(&w.side[1], &conf, (const uint8_t[32]){2});
	while (in.n > 0)
		command(&w, &in);
	connect(&w.side[0], &w.side[1]);
	connect(&w.side[1], &w.side[0]);
	return 0;
}
