/* pool_moves - the addresses of a pool that wait to be moved: a bitmap with summaries on top. */
#undef NDEBUG /* ipsp_pool_check is for every build; the other asserts cost nothing */
#include "core/pool_int.h"
#include <assert.h>
#include <stdlib.h>

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

		assert(bit == is_movable(pool->states[i]));
	}
	for (unsigned level = 1; level < pool->levels; level++) {
		for (uint32_t i = 0; i < pool->n_words[level - 1]; i++) {
			uint64_t summary = pool->moves[level][i / WORD_BITS];

			assert((summary >> i % WORD_BITS & 1) == (pool->moves[level - 1][i] != 0));
		}
	}
}
