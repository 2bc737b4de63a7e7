/* pool_moves - the addresses of a pool that wait to be moved: a bitmap with summaries on top. */
#include "base/must.h"
#include "core/pool_int.h"
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

/* Room for all levels in one piece; the topmost is one word. */
bool ipsp_pool_moves_new(struct ipsp_pool *pool, uint32_t size)
{
	size_t total = 0;
	uint32_t n = size;

	do {
		n = n / WORD_BITS + (n % WORD_BITS != 0);
		pool->n_words[pool->levels++] = n;
		total += n;
	} while (n > 1);
	pool->moves[0] = (uint64_t *)calloc(total ? total : 1, sizeof(uint64_t));
	if (!pool->moves[0])
		return false;
	for (unsigned level = 1; level < pool->levels; level++)
		pool->moves[level] = pool->moves[level - 1] + pool->n_words[level - 1];
	return true;
}

/*
 * Eight states at a time, a byte each: a role that changes hands marks every address, in one step.
 * Of each byte only the lowest bit is looked at, after the one that is asked for was shifted there.
 */
#define LANES UINT64_C(0x0101010101010101)

static uint64_t eight_get(const uint8_t *states)
{
	uint64_t eight;

	memcpy(&eight, states, sizeof(eight));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	eight = __builtin_bswap64(eight);
#endif
	return eight;
}

static void eight_put(uint8_t *states, uint64_t eight)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	eight = __builtin_bswap64(eight);
#endif
	memcpy(states, &eight, sizeof(eight));
}

/* Marks the eight at @states; which of them may be moved, in the low byte. */
static uint64_t eight_move(uint8_t *states, bool on, uint32_t *n_idle)
{
	uint64_t eight = eight_get(states);
	uint64_t move = ~(eight | eight >> 1) & LANES; /* OURS: own is 0 */

	move <<= 4;
	eight = on ? eight | move : eight & ~move;
	eight_put(states, eight);
	const uint64_t used = eight >> 2 & ~(eight >> 3);
	const uint64_t idle = eight >> 4 & ~used & LANES;
	const uint64_t movable = idle & ~(eight >> 5); /* DUP */
	*n_idle += (uint32_t)(idle * LANES >> 56);
	return movable * UINT64_C(0x0102040810204080) >> 56; /* the lowest bits side by side */
}
_Static_assert(IPSP_OWN_OURS == 0 && IPSP_USE_USED == 1 && IPSP_USE_HOLD == 2 &&
		       IPSP_USE_QUARANTINE == 3 && IPSP_ADDR_MOVE == 1 && IPSP_ADDR_DUP == 2,
	       "as eight_move reads a state");

/* Nothing else depends on the flag but the count and the bitmap: both are made anew. */
void ipsp_pool_move_all(struct ipsp_pool *pool, bool on)
{
	const uint32_t size = pool->conf->size;
	uint8_t rest[WORD_BITS];
	uint32_t n_idle = 0;

	for (uint32_t at = 0; at < pool->n_words[0]; at++) {
		uint8_t *states = pool->states + (size_t)at * WORD_BITS;
		const uint32_t left = size - at * WORD_BITS;
		uint64_t word = 0;

		if (left < WORD_BITS) { /* the last: behind it are addresses of nobody */
			memset(rest, state_of(IPSP_OWN_PEER, IPSP_USE_FREE, 0), sizeof(rest));
			memcpy(rest, states, left);
			states = rest;
		}
		for (unsigned bit = 0; bit < WORD_BITS; bit += 8)
			word |= eight_move(states + bit, on, &n_idle) << bit;
		if (left < WORD_BITS)
			memcpy(pool->states + (size_t)at * WORD_BITS, rest, left);
		pool->moves[0][at] = word;
	}
	pool->counts.move_idle = n_idle;
	for (unsigned level = 1; level < pool->levels; level++) {
		memset(pool->moves[level], 0, pool->n_words[level] * sizeof(uint64_t));
		for (uint32_t i = 0; i < pool->n_words[level - 1]; i++)
			pool->moves[level][i / WORD_BITS] |=
				(uint64_t)(pool->moves[level - 1][i] != 0) << i % WORD_BITS;
	}
}

void ipsp_pool_moves_put(struct ipsp_pool *pool, uint32_t bit, bool on)
{
	for (unsigned level = 0; level < pool->levels; level++) {
		uint64_t *word = &pool->moves[level][bit / WORD_BITS];
		uint64_t before = *word, mask = UINT64_C(1) << bit % WORD_BITS;

		*word = on ? before | mask : before & ~mask;
		if ((before != 0) == (*word != 0))
			return; /* nothing to tell the summary */
		bit /= WORD_BITS;
	}
}

/* The first set bit at or after @from: up until a word has one, then down to the lowest below it.
 */
uint32_t ipsp_pool_moves_find(const struct ipsp_pool *pool, uint32_t from)
{
	uint32_t bit = from;

	for (unsigned level = 0; level < pool->levels; level++) {
		uint32_t at = bit / WORD_BITS;

		if (at >= pool->n_words[level])
			return IPSP_NO_INDEX;
		uint64_t word = pool->moves[level][at] & ~UINT64_C(0) << bit % WORD_BITS;
		if (word == 0) {
			bit = at + 1; /* the summary says which word is the next with a bit */
			continue;
		}
		bit = at * WORD_BITS + (uint32_t)__builtin_ctzll(word);
		while (level-- > 0)
			bit = bit * WORD_BITS + (uint32_t)__builtin_ctzll(pool->moves[level][bit]);
		return bit;
	}
	return IPSP_NO_INDEX;
}

void ipsp_pool_moves_check(const struct ipsp_pool *pool)
{
	for (uint32_t i = 0; i < pool->conf->size; i++) {
		bool bit = (pool->moves[0][i / WORD_BITS] >> i % WORD_BITS & 1) != 0;

		IPSP_MUST(bit == is_movable(pool->states[i]));
	}
	for (unsigned level = 1; level < pool->levels; level++) {
		for (uint32_t i = 0; i < pool->n_words[level - 1]; i++) {
			uint64_t summary = pool->moves[level][i / WORD_BITS];

			IPSP_MUST((summary >> i % WORD_BITS & 1) ==
				  (pool->moves[level - 1][i] != 0));
		}
	}
}
