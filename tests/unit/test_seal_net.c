/*
 * seal in a bad network: two sides, a network that loses, repeats, reorders and is cut, an attacker
 * who records all and plays it again, restarts, and keys that are renewed. No key may be used with
 * a number twice, nothing be opened twice, and once the network is well both must talk again, and
 * rest; from then on nothing is lost, however often keys are renewed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "core/chain.h"
#include <cmocka.h>
#include <sodium.h>

#define INTERVAL   100 /* ms */
#define FAULTS_MS  6000
#define QUIET_MS   1500 /* within which both must have talked */
#define STEADY_MS  3000
#define LATE_MS	   500 /* keys of before open for so long what is late */
#define FLIGHT_MAX 512
#define TAPE_MAX   4096
#define SEEN_MAX   65536

struct dgram {
	uint8_t b[IPSP_DGRAM_MAX];
	size_t n;
};

struct flight {
	bool used;
	int to;
	uint32_t at;
	struct dgram d;
};

struct world {
	struct ipsp_seal side[2];
	const char *keys[2]; /* each letter is a secret; none: auth = "none" */
	uint32_t next[2];    /* when a side's interval ends */
	uint32_t opened[2];  /* when it last opened something */
	uint32_t now, serial;
	uint32_t present_at[2]; /* when a side first opened something of the peer's with its keys */
	int loss, twice, late, replay; /* per cent */
	int renewals;		       /* begun, per cent of the intervals */
	bool cut[2];		       /* towards side */
	uint64_t rnd, started;
	struct flight flight[FLIGHT_MAX];
	struct dgram tape[TAPE_MAX]; /* what an attacker has recorded */
	size_t n_tape;
	uint64_t seen[SEEN_MAX]; /* hashes of key and number, for ever */
	uint8_t taken[SEEN_MAX]; /* serials that were opened */
	uint32_t from[SEEN_MAX]; /* who sent a serial */
	uint32_t shakes, sessions, renewed;
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

#define HALF (2 + IPSP_PUBLIC_BYTES) /* is there one, has, public; then the serial as text */

static void world_say(struct world *w, int who)
{
	uint8_t plain[HALF + 16] = {0};
	struct ipsp_renew renew;
	struct dgram d;

	if (w->side[who].present.valid && ipsp_chain_say(&w->side[who], &renew)) {
		plain[0] = 1;
		plain[1] = renew.has;
		memcpy(plain + 2, renew.public, sizeof(renew.public));
	}
	snprintf((char *)plain + HALF, 16, "%u", w->serial + 1);
	d.n = ipsp_seal_close(&w->side[who], plain, HALF + strlen((char *)plain + HALF), d.b);
	if (d.n == 0)
		return;
	w->from[++w->serial] = (uint32_t)who;
	assert_true(w->serial < SEEN_MAX - 1);
	check_fresh(w, &w->side[who], &d);
	transmit(w, who, &d);
}

static void world_candidate(struct world *w, int who)
{
	struct dgram d;

	d.n = ipsp_seal_candidate(&w->side[who], d.b);
	if (d.n == 0)
		return;
	check_fresh(w, &w->side[who], &d);
	transmit(w, who, &d);
}

/* What seal.h asks of its caller. */
static void world_interval(struct world *w, int who)
{
	struct ipsp_seal *seal = &w->side[who];
	struct dgram d;

	if (w->present_at[who] && w->now - w->present_at[who] > LATE_MS)
		ipsp_chain_end_last(seal);
	if (!seal->chain.last.valid && (int)rnd(w, 100) < w->renewals)
		ipsp_chain_begin(seal);
	if (!w->side[who].present.valid || w->now - w->opened[who] > 3 * INTERVAL) {
		d.n = ipsp_seal_shake(&w->side[who], d.b);
		transmit(w, who, &d);
		world_candidate(w, who);
	}
	world_say(w, who);
	w->next[who] += INTERVAL;
}

static void world_renewed(struct world *w, int who)
{
	w->renewed++;
	w->present_at[who] = 0;
}

static void world_opened(struct world *w, int who, uint8_t *plain, size_t n)
{
	struct ipsp_renew renew;
	uint32_t serial;

	w->opened[who] = w->now;
	if (w->present_at[who] == 0 && !w->side[who].chain.late)
		w->present_at[who] = w->now;
	if (n == 0)
		return;
	assert_true(n > HALF);
	renew.has = plain[1];
	memcpy(renew.public, plain + 2, sizeof(renew.public));
	if (plain[0] && ipsp_chain_on(&w->side[who], &renew) > 0)
		world_renewed(w, who);
	plain[n] = '\0';
	serial = (uint32_t)strtoul((char *)plain + HALF, NULL, 10);
	assert_in_range(serial, 1, w->serial);
	assert_int_equal(w->from[serial], !who);
	if (w->taken[serial]++)
		fail_msg("seed %llu: a datagram was opened twice", (unsigned long long)w->started);
}

static void world_hear(struct world *w, int who, const struct dgram *d)
{
	uint8_t plain[IPSP_DGRAM_MAX];
	struct dgram reply;
	size_t n;

	switch (ipsp_seal_open(&w->side[who], d->b, d->n, plain, &n, reply.b, &reply.n)) {
	case IPSP_OPENED_SHAKE:
		transmit(w, who, &reply);
		break;
	case IPSP_OPENED_CANDIDATE:
		transmit(w, who, &reply);
		world_candidate(w, who);
		break;
	case IPSP_OPENED_NEW:
		w->sessions++;
		world_opened(w, who, plain, n);
		world_say(w, who);
		break;
	case IPSP_OPENED_RENEWED:
		world_renewed(w, who);
		world_opened(w, who, plain, n);
		break;
	case IPSP_OPENED_DATA:
		world_opened(w, who, plain, n);
		break;
	default:
		break;
	}
}

static void world_start(struct world *w, int who)
{
	struct ipsp_psp_conf conf = {.n_keys = 0};
	uint8_t seed[32];

	for (const char *key = w->keys[who]; *key; key++)
		memset(conf.keys[conf.n_keys++], *key, IPSP_KEY_BYTES);
	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)rnd(w, 256);
	ipsp_seal_init(&w->side[who], &conf, seed);
	w->present_at[who] = 0;
}

/* Nobody has replayed, nothing was lost: so all that was said until a moment ago was opened. */
static void check_all_opened(const struct world *w, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (!w->taken[i])
			fail_msg("seed %llu: number %u was lost", (unsigned long long)w->started,
				 i);
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
	static const char *const keys[][2] = {{"k", "k"},   {"", ""},	 {"on", "no"},
					      {"no", "on"}, {"on", "n"}, {"on", "o"}};
	uint32_t sessions, shakes, renewed, serial;
	size_t k;

	memset(w, 0, sizeof(*w));
	w->started = seed;
	w->rnd = seed * 0x9e3779b97f4a7c15u + 1;
	k = rnd(w, sizeof(keys) / sizeof(keys[0]));
	for (int who = 0; who < 2; who++) {
		w->keys[who] = keys[k][who];
		w->next[who] = rnd(w, 2) ? INTERVAL : rnd(w, INTERVAL); /* often in step */
		world_start(w, who);
	}
	w->loss = (int)rnd(w, 70);
	w->twice = (int)rnd(w, 50);
	w->late = (int)rnd(w, 100);
	w->replay = (int)rnd(w, 300);
	w->renewals = rnd(w, 2) ? (int)rnd(w, 100) : 0;
	world_run(w, FAULTS_MS, true);

	/* the network is well again; who records and repeats may go on */
	w->cut[0] = w->cut[1] = false;
	w->loss = w->twice = w->late = 0;
	if (rnd(w, 2))
		w->replay = 0;
	world_run(w, QUIET_MS, false);
	sessions = w->sessions;
	shakes = w->shakes;
	renewed = w->renewed;
	serial = w->serial;
	world_run(w, STEADY_MS, false);
	if (!w->replay)
		check_all_opened(w, serial + 1, w->serial - 2);
	if (w->renewals > 50 && w->renewed - renewed < 4)
		fail_msg("seed %llu: keys are not renewed", (unsigned long long)seed);
	for (int who = 0; who < 2; who++)
		if (w->now - w->opened[who] > INTERVAL + 10 || !w->side[who].present.valid)
			fail_msg("seed %llu: side %d hears nothing", (unsigned long long)seed, who);
	if (w->renewals == 0)
		assert_int_equal(w->side[0].present.tag, w->side[1].present.tag);
	/* an answer held back may still end what it answers: once a side, seen by both */
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
		cmocka_unit_test(test_bad_network),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
