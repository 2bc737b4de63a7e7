/*
 * bind - against a model that is too simple to be wrong: an array that is searched from end to end.
 */
#include "core/bind_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const uint8_t hash_key[16] = "sixteen bytes..";

/* ---------------------------------------------------------------- chance */

static uint64_t rng_state;

static uint32_t chance(uint32_t n) /* 0..n-1: splitmix64 */
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) >> 32) % n;
}

static void seed_chance(void)
{
	const char *given = getenv("IPSP_TEST_SEED");

	rng_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("IPSP_TEST_SEED=%llu\n", (unsigned long long)rng_state);
}

/* ---------------------------------------------------------------- the model */

struct model_bind {
	uint32_t number;
	struct ipsp_bind bind; /* its texts are ours */
	char texts[2 * IPSP_NAME_BYTES];
};

struct model {
	struct model_bind *binds;
	size_t n, cap, peak;
};

static bool same(const char *a, size_t n_a, const char *b, size_t n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a) == 0);
}

static bool same_subscriber(const struct ipsp_ident *a, const struct ipsp_ident *b)
{
	return same(a->subscriber, a->n_subscriber, b->subscriber, b->n_subscriber);
}

static bool same_session(const struct ipsp_ident *a, const struct ipsp_ident *b)
{
	return same(a->session, a->n_session, b->session, b->n_session);
}

static struct model_bind *model_number(const struct model *m, uint32_t number)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->binds[i].number == number)
			return &m->binds[i];
	return NULL;
}

static uint32_t model_session(const struct model *m, const struct ipsp_ident *ident)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct ipsp_bind *b = &m->binds[i].bind;

		if (b->kind == IPSP_BIND_SESSION && same_subscriber(&b->ident, ident) &&
		    same_session(&b->ident, ident))
			return m->binds[i].number;
	}
	return IPSP_NO_BIND;
}

static size_t model_kept(const struct model *m, const struct ipsp_ident *ident)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->binds[i].bind.kind == IPSP_BIND_KEPT &&
		     same_subscriber(&m->binds[i].bind.ident, ident);
	return n;
}

static void model_point(struct model_bind *b) /* at its own texts, wherever it has moved to */
{
	b->bind.ident.subscriber = b->texts;
	b->bind.ident.session = b->texts + b->bind.ident.n_subscriber;
}

static void model_add(struct model *m, uint32_t number, const struct ipsp_bind *bind)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 64;
		m->binds = (struct model_bind *)realloc(m->binds, m->cap * sizeof(*m->binds));
		assert_non_null(m->binds);
		for (size_t i = 0; i < m->n; i++)
			model_point(&m->binds[i]);
	}
	struct model_bind *b = &m->binds[m->n++];
	b->number = number;
	b->bind = *bind;
	memcpy(b->texts, bind->ident.subscriber, bind->ident.n_subscriber);
	memcpy(b->texts + bind->ident.n_subscriber, bind->ident.session, bind->ident.n_session);
	model_point(b);
}

static void model_del(struct model *m, struct model_bind *b)
{
	*b = m->binds[--m->n];
	model_point(b);
}

/* ---------------------------------------------------------------- both, side by side */

static void expect_bind(const struct ipsp_binds *binds, const struct model_bind *b)
{
	struct ipsp_bind got;

	assert_true(ipsp_binds_get(binds, b->number, &got));
	assert_int_equal(got.kind, b->bind.kind);
	assert_int_equal(got.flags, b->bind.flags);
	assert_int_equal(got.pool, b->bind.pool);
	assert_int_equal(got.ha, b->bind.ha);
	assert_int_equal(got.index, b->bind.index);
	assert_true(got.at == b->bind.at);
	assert_true(same_subscriber(&got.ident, &b->bind.ident));
	assert_true(same_session(&got.ident, &b->bind.ident));
}

/* Each of the subscriber's kept ones is found, and once: numbers must differ, so mark them. */
static void expect_kept(const struct ipsp_binds *binds, const struct model *m,
			const struct ipsp_ident *ident)
{
	uint32_t seen[512], number = IPSP_NO_BIND;
	size_t n = 0;

	while ((number = ipsp_binds_kept(binds, ident, number)) != IPSP_NO_BIND) {
		const struct model_bind *b = model_number(m, number);

		assert_non_null(b);
		assert_int_equal(b->bind.kind, IPSP_BIND_KEPT);
		assert_true(same_subscriber(&b->bind.ident, ident));
		for (size_t i = 0; i < n; i++)
			assert_int_not_equal(seen[i], number);
		assert_true(n < sizeof(seen) / sizeof(seen[0]));
		seen[n++] = number;
	}
	assert_int_equal(n, model_kept(m, ident));
}

static void expect_found(const struct ipsp_binds *binds, const struct model *m,
			 const struct ipsp_ident *ident)
{
	assert_int_equal(ipsp_binds_session(binds, ident), model_session(m, ident));
	expect_kept(binds, m, ident);
}

static void expect_all(const struct ipsp_binds *binds, const struct model *m)
{
	size_t n = 0;

	ipsp_binds_check(binds);
	for (uint32_t at = ipsp_binds_next(binds, 0); at != IPSP_NO_BIND;
	     at = ipsp_binds_next(binds, at + 1), n++)
		assert_non_null(model_number(m, at));
	assert_int_equal(n, m->n);
	assert_int_equal(ipsp_binds_count(binds), m->n);
	for (size_t i = 0; i < m->n; i++) {
		expect_bind(binds, &m->binds[i]);
		if (m->binds[i].bind.kind == IPSP_BIND_SESSION)
			assert_int_equal(ipsp_binds_session(binds, &m->binds[i].bind.ident),
					 m->binds[i].number);
	}
}

/* ---------------------------------------------------------------- names */

struct name {
	char subscriber[IPSP_NAME_BYTES], session[IPSP_NAME_BYTES];
	struct ipsp_ident ident;
};

/* One of @variety names: alike but for their ends, and of all lengths around what fits into a slot.
 */
static const struct ipsp_ident *name_make(struct name *name, uint32_t variety)
{
	static const uint8_t lengths[] = {1, 2, 7, 8, 9, 14, 15, 16, 17, 40, 252, 253};
	uint32_t n = chance(variety);
	uint8_t n_subscriber = lengths[n % sizeof(lengths)];
	uint8_t n_session = n % 7 == 0 ? 0 : lengths[n / 3 % sizeof(lengths)];

	memset(name->subscriber, 'a', sizeof(name->subscriber));
	memset(name->session, 'a', sizeof(name->session));
	for (uint32_t i = 0, rest = n / 12; i < 4 && i < n_subscriber; i++, rest /= 16)
		name->subscriber[n_subscriber - 1 - i] = (char)('a' + rest % 16);
	for (uint32_t i = 0, rest = n; i < 4 && i < n_session; i++, rest /= 8)
		name->session[n_session - 1 - i] = (char)('a' + rest % 8);
	name->ident =
		(struct ipsp_ident){name->subscriber, name->session, n_subscriber, n_session, 0};
	return &name->ident;
}

/* ---------------------------------------------------------------- runs */

static void add_one(struct ipsp_binds *binds, struct model *m, const struct ipsp_ident *ident)
{
	struct ipsp_bind bind = {
		.kind = chance(3) ? IPSP_BIND_SESSION : IPSP_BIND_KEPT,
		.flags = (uint8_t)chance(8),
		.pool = (uint16_t)chance(IPSP_POOLS_MAX),
		.ha = (uint16_t)chance(UINT16_MAX + 1),
		.index = chance(IPSP_POOL_SIZE_MAX),
		.at = chance(20) ? (ipsp_ms)chance(UINT32_MAX) << chance(16) : IPSP_NEVER,
		.ident = *ident,
	};

	if (bind.kind == IPSP_BIND_SESSION && model_session(m, ident) != IPSP_NO_BIND)
		return; /* look first, says the contract */
	if (bind.kind == IPSP_BIND_KEPT && model_kept(m, ident) >= 500)
		return;
	uint32_t number = ipsp_binds_add(binds, &bind);
	assert_int_not_equal(number, IPSP_NO_BIND);
	assert_null(model_number(m, number));
	model_add(m, number, &bind);
	m->peak = m->n > m->peak ? m->n : m->peak;
	assert_true(number < m->peak); /* what was deleted is used again */
}

static void del_one(struct ipsp_binds *binds, struct model *m)
{
	struct ipsp_bind gone;

	if (m->n == 0)
		return;
	struct model_bind *b = &m->binds[chance((uint32_t)m->n)];
	uint32_t number = b->number;
	ipsp_binds_del(binds, number);
	assert_false(ipsp_binds_get(binds, number, &gone));
	model_del(m, b);
}

static void change_one(struct ipsp_binds *binds, struct model *m)
{
	if (m->n == 0)
		return;
	struct model_bind *b = &m->binds[chance((uint32_t)m->n)];
	b->bind.flags = (uint8_t)chance(8);
	b->bind.ha = (uint16_t)chance(UINT16_MAX + 1);
	ipsp_binds_set_flags(binds, b->number, b->bind.flags);
	ipsp_binds_set_ha(binds, b->number, b->bind.ha);
	expect_bind(binds, b);
}

/* Up to @most and down again, @tides times. */
static void run(uint32_t variety, size_t most, int tides)
{
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct model m = {0};
	struct name name;
	ipsp_ms now = 1;

	assert_non_null(binds);
	for (int tide = 0; tide < 2 * tides; tide++) {
		bool up = tide % 2 == 0;

		for (int steps = 0; up ? m.n < most : m.n > 0; steps++) {
			const struct ipsp_ident *ident = name_make(&name, variety);

			if (chance(10) < (up ? 7u : 3u))
				add_one(binds, &m, ident);
			else
				del_one(binds, &m);
			if (chance(8) == 0)
				change_one(binds, &m);
			ipsp_binds_rest(binds, now += chance(1000)); /* a minute is 120 steps */
			assert_int_equal(ipsp_binds_count(binds), m.n);
			expect_found(binds, &m, ident);
			expect_found(binds, &m, name_make(&name, variety));
			if (steps % 512 == 0)
				expect_all(binds, &m);
			if (up && steps > 20 * (int)most)
				break; /* all of so few names are sessions already */
		}
		expect_all(binds, &m);
	}
	ipsp_binds_free(binds);
	free(m.binds);
}

static void test_model(void **state)
{
	(void)state;
	seed_chance();
	run(20, 100, 20); /* many of the same name */
	run(3000, 400, 5);
	run(60000, 3000, 1);
}

/* What was added and deleted before there was an index is found in it, and goes on like any. */
static void test_loaded(void **state)
{
	(void)state;
	seed_chance();
	for (uint32_t round = 0; round < 200; round++) {
		struct ipsp_binds *binds = ipsp_binds_new(hash_key);
		struct model m = {0};
		struct name name;

		assert_non_null(binds);
		ipsp_binds_load(binds);
		for (uint32_t steps = chance(2000); steps > 0; steps--) {
			const struct ipsp_ident *ident = name_make(&name, round % 2 ? 30 : 3000);

			if (chance(10) < 7)
				add_one(binds, &m, ident);
			else
				del_one(binds, &m);
			change_one(binds, &m);
		}
		ipsp_binds_check(binds);
		assert_true(ipsp_binds_loaded(binds));
		assert_true(ipsp_binds_loaded(binds)); /* changes nothing */
		expect_all(binds, &m);
		for (size_t i = 0; i < m.n; i++)
			expect_kept(binds, &m, &m.binds[i].bind.ident);
		while (m.n > 0) {
			del_one(binds, &m);
			if (m.n % 16 == 0)
				expect_all(binds, &m);
		}
		ipsp_binds_free(binds);
		free(m.binds);
	}
}

/*
 * Many: the index grows again and again, with everything found before, meanwhile and after. No
 * model: what is asked for follows from the number.
 */
static const struct ipsp_ident *numbered(struct name *name, uint32_t i)
{
	int n = snprintf(name->subscriber, sizeof(name->subscriber), "mn-%u@example", i);

	name->ident = (struct ipsp_ident){name->subscriber, "s", (uint8_t)n, 1, 0};
	return &name->ident;
}

static void test_growth(void **state)
{
	enum { MANY = 60000 };
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct name name;

	(void)state;
	seed_chance();
	for (uint32_t i = 0; i < MANY; i++) {
		struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION, .ident = *numbered(&name, i)};

		assert_int_equal(ipsp_binds_session(binds, &bind.ident), IPSP_NO_BIND);
		assert_int_equal(ipsp_binds_add(binds, &bind), i);
		for (int looks = 0; looks < 8; looks++) {
			uint32_t k = chance(i + 1);

			assert_int_equal(ipsp_binds_session(binds, numbered(&name, k)), k);
		}
	}
	for (uint32_t i = 0; i < MANY; i += 2)
		ipsp_binds_del(binds, i);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(ipsp_binds_session(binds, numbered(&name, i)),
				 i % 2 ? i : IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_count(binds), MANY / 2);
	ipsp_binds_free(binds);
}

static uint32_t scattered(uint32_t i, uint32_t n) /* all of 0..n-1, n a power of two */
{
	return (i * 2654435761u + 12345u) & (n - 1);
}

static size_t memory_of(const struct ipsp_binds *binds)
{
	size_t n = ((size_t)binds->now.size + binds->old.end) * sizeof(uint32_t);

	for (uint32_t i = 0; i < TEXT_SLABS; i++)
		n += (size_t)binds->texts[i].n_present * binds->texts[i].size
		     << binds->texts[i].bits;
	return n + ((size_t)binds->slots.n_present * sizeof(struct slot) << binds->slots.bits);
}

/*
 * All have ended, in no order: the memory is given back, that of the index after a minute, and used
 * again by those that come.
 */
static void test_given_back(void **state)
{
	enum { MANY = 1 << 19 };
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct name name;
	size_t most = 0;
	ipsp_ms now = 1000;

	(void)state;
	for (uint32_t tide = 0; tide < 2; tide++) {
		for (uint32_t i = 0; i < MANY; i++) {
			struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION,
						 .ident = *numbered(&name, i)};

			assert_int_not_equal(ipsp_binds_add(binds, &bind), IPSP_NO_BIND);
		}
		ipsp_binds_check(binds);
		if (tide == 0)
			most = memory_of(binds);
		assert_true(memory_of(binds) <= most);
		for (uint32_t i = 0; i < MANY; i++) {
			const struct ipsp_ident *ident = numbered(&name, scattered(i, MANY));

			ipsp_binds_del(binds, ipsp_binds_session(binds, ident));
			if (i % 65536 == 0)
				ipsp_binds_check(binds);
		}
		assert_int_equal(ipsp_binds_count(binds), 0);
		ipsp_binds_check(binds);
		assert_true(binds->slots.n_present <= 1);
		for (uint32_t i = 0; i < TEXT_SLABS; i++)
			assert_true(binds->texts[i].n_present <= 1);
		const uint32_t size = binds->now.size;
		ipsp_binds_rest(binds, now);
		ipsp_binds_rest(binds, now + 59999);
		assert_int_equal(binds->now.size, size);
		for (uint32_t turn = 0; turn < 60; turn++)
			ipsp_binds_rest(binds, now + 60000 + turn);
		assert_true(binds->now.size <= 64);
		assert_null(binds->old.entries);
		now += 1000000;
	}
	ipsp_binds_free(binds);
}

/* One more and one less, at the edge of a chunk: it is not given back and made anew each time. */
static void test_at_the_edge(void **state)
{
	enum { CHUNK_SLOTS = 1 << SLOT_BITS };
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct name name;
	uint32_t numbers[8];

	(void)state;
	for (uint32_t i = 0; i < CHUNK_SLOTS - 4; i++) {
		struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION, .ident = *numbered(&name, i)};

		assert_int_not_equal(ipsp_binds_add(binds, &bind), IPSP_NO_BIND);
	}
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION,
						 .ident = *numbered(&name, CHUNK_SLOTS + i)};

			numbers[i] = ipsp_binds_add(binds, &bind);
			assert_int_not_equal(numbers[i], IPSP_NO_BIND);
		}
		assert_int_equal(binds->slots.n_present, 2);
		for (uint32_t i = 0; i < 8; i++)
			ipsp_binds_del(binds, numbers[i]);
		assert_int_equal(binds->slots.n_present, 2);
		ipsp_binds_check(binds);
	}
	ipsp_binds_free(binds);
}

static void expect_from(const struct ipsp_binds *binds, uint32_t first, uint32_t n)
{
	struct name name;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ipsp_binds_session(binds, numbered(&name, i)),
				 i < first ? IPSP_NO_BIND : i);
}

/* Full, under many keys: long runs, some of them around the end of the table. */
static void test_full(void **state)
{
	enum { FULL = 426 }; /* one more, and it grows: 64 * 2^3 * 5 / 6 */
	struct name name;
	uint8_t key[16] = {0};

	(void)state;
	for (uint32_t round = 0; round < 500; round++) {
		memcpy(key, &round, sizeof(round));
		struct ipsp_binds *binds = ipsp_binds_new(key);

		for (uint32_t i = 0; i < FULL; i++) {
			struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION,
						 .ident = *numbered(&name, i)};

			assert_int_equal(ipsp_binds_add(binds, &bind), i);
		}
		expect_from(binds, 0, FULL);
		for (uint32_t i = 0; i < FULL / 4; i++)
			ipsp_binds_del(binds, i);
		expect_from(binds, FULL / 4, FULL);
		ipsp_binds_free(binds);
	}
}

/* Tens of thousands kept for one subscriber slow nobody down: a chain, not a run in the index. */
static void test_one_subscriber_with_many(void **state)
{
	enum { MANY = 50000 };
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct ipsp_bind bind = {.kind = IPSP_BIND_KEPT, .ident = {"same", "", 4, 0, 0}};
	clock_t start = clock();
	uint32_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(ipsp_binds_add(binds, &bind), i);
	for (uint32_t at = IPSP_NO_BIND;
	     (at = ipsp_binds_kept(binds, &bind.ident, at)) != IPSP_NO_BIND; n++)
		assert_true(n < MANY);
	assert_int_equal(n, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		ipsp_binds_del(binds, i);
	assert_int_equal(ipsp_binds_kept(binds, &bind.ident, IPSP_NO_BIND), IPSP_NO_BIND);
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
	ipsp_binds_free(binds);
}

/* A session that ends becomes a kept one: the texts of the one that goes serve the one that comes.
 */
static void test_texts_of_another_binding(void **state)
{
	static const char *const subscribers[] = {"short",
						  "one that is longer than a slot has room for"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ipsp_binds *binds = ipsp_binds_new(hash_key);
		struct ipsp_ident ident = {subscribers[i], "session",
					   (uint8_t)strlen(subscribers[i]), 7, 0};
		struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION, .index = 9, .ident = ident};
		uint32_t first = ipsp_binds_add(binds, &bind), kept[3];

		for (uint32_t k = 0; k < 3; k++) {
			assert_true(ipsp_binds_get(binds, k == 0 ? first : kept[0], &bind));
			bind.kind = IPSP_BIND_KEPT;
			bind.index = k;
			kept[k] = ipsp_binds_add(binds, &bind);
		}
		ipsp_binds_del(binds, first);
		for (uint32_t k = 0; k < 3; k++) {
			assert_true(ipsp_binds_get(binds, kept[k], &bind));
			assert_int_equal(bind.index, k);
			assert_true(same_subscriber(&bind.ident, &ident));
			assert_true(same_session(&bind.ident, &ident));
		}
		ipsp_binds_free(binds);
	}
}

static void test_no_such_number(void **state)
{
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION, .ident = {"u", "", 1, 0, 0}};
	static const uint32_t none[] = {0, 1, 100, IPSP_NO_BIND - 1, IPSP_NO_BIND};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(ipsp_binds_get(binds, none[i], &bind));
		ipsp_binds_del(binds, none[i]);
		ipsp_binds_set_flags(binds, none[i], 7);
		ipsp_binds_set_ha(binds, none[i], 7);
	}
	assert_int_equal(ipsp_binds_next(binds, 0), IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_next(binds, IPSP_NO_BIND), IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_kept(binds, &bind.ident, 5), IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_count(binds), 0);
	ipsp_binds_free(binds);
}

/* A session is the same one whether its hash was made before or not; one made before is used. */
static void test_foreseen(void **state)
{
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct ipsp_ident plain = {"ab", "c", 2, 1, 0}, foreseen = plain, wrong = plain;
	struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION};

	(void)state;
	assert_non_null(binds);
	ipsp_binds_foresee(binds, &foreseen);
	assert_true(foreseen.hash != 0);
	bind.ident = foreseen;
	assert_int_equal(ipsp_binds_add(binds, &bind), 0);
	assert_int_equal(ipsp_binds_session(binds, &plain), 0);
	assert_int_equal(ipsp_binds_session(binds, &foreseen), 0);
	wrong.hash = ~foreseen.hash;
	assert_int_equal(ipsp_binds_session(binds, &wrong), IPSP_NO_BIND);
	ipsp_binds_del(binds, 0);
	assert_int_equal(ipsp_binds_session(binds, &foreseen), IPSP_NO_BIND);
	bind.ident = plain;
	assert_int_equal(ipsp_binds_add(binds, &bind), 0);
	assert_int_equal(ipsp_binds_session(binds, &foreseen), 0);
	ipsp_binds_free(binds);
}

/* "ab" with session "c" is not "a" with session "bc", and a kept one is not a session. */
static void test_names_are_not_mixed_up(void **state)
{
	struct ipsp_binds *binds = ipsp_binds_new(hash_key);
	struct ipsp_ident ab_c = {"ab", "c", 2, 1, 0}, a_bc = {"a", "bc", 1, 2, 0},
			  a = {"a", "", 1, 0, 0};
	struct ipsp_bind bind = {.kind = IPSP_BIND_SESSION, .ident = ab_c};

	(void)state;
	assert_int_equal(ipsp_binds_add(binds, &bind), 0);
	assert_int_equal(ipsp_binds_session(binds, &a_bc), IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_kept(binds, &ab_c, IPSP_NO_BIND), IPSP_NO_BIND);
	bind = (struct ipsp_bind){.kind = IPSP_BIND_KEPT, .ident = a_bc};
	assert_int_equal(ipsp_binds_add(binds, &bind), 1);
	assert_int_equal(ipsp_binds_session(binds, &a_bc), IPSP_NO_BIND);
	assert_int_equal(ipsp_binds_kept(binds, &a, IPSP_NO_BIND), 1); /* by subscriber alone */
	ipsp_binds_free(binds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_at_the_edge),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_one_subscriber_with_many),
		cmocka_unit_test(test_texts_of_another_binding),
		cmocka_unit_test(test_no_such_number),
		cmocka_unit_test(test_foreseen),
		cmocka_unit_test(test_names_are_not_mixed_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
