/*
 * pool_int - what the files of a pool share: its memory.
 *
 * Three arrays, none of them touched before it is needed (calloc of this size is fresh mapped
 * memory):
 *
 *   entries  8 bytes: the two neighbours on a list, or the binding of an address that is on none
 *            and its place in a heap. Neighbours are kept as the difference to what they are in
 *            index order, so that zeroed memory is the whole pool in one list: a pool of any size
 *            is made in no time, and costs what is used.
 *   states   1 byte: own, use, flags.
 *   slots    12 bytes: the heap of HOLD grows from the front, the one of QUARANTINE from the back.
 *            An address is in one of them at most, so that they never meet.
 *
 * and a bitmap of the addresses that wait to be moved, with a summary on top of it, a summary of
 * that, and so on: one bit for each word below that is not zero.
 */
#ifndef IPSP_CORE_POOL_INT_H
#define IPSP_CORE_POOL_INT_H

#include "core/pool.h"
#include <stddef.h>

#define LEVELS 6 /* 64^6 > 2^32 */

enum list_id { LIST_FREE, LIST_AWAY, LISTS, LIST_NONE = LISTS };

struct entry {
	union {
		uint32_t prev; /* on a list; see prev_of */
		uint32_t bind; /* not FREE */
	};
	union {
		uint32_t next; /* on a list; see next_of */
		uint32_t at;   /* HOLD, QUARANTINE: the place in its heap */
	};
};

struct slot {
	uint32_t index;
	uint32_t end[2]; /* high, low: in this form a slot has 12 bytes and not 16 */
};

struct heap {		    /* of HOLD or of QUARANTINE: the soonest end is at place 0 */
	struct slot *slots; /* borrowed: place 0 */
	ptrdiff_t step;	    /* 1 or -1: from a place to the next */
	uint32_t n;
};

struct list {
	uint32_t first, last;
};

struct ipsp_pool {			   /* invariant: what ipsp_pool_check walks */
	const struct ipsp_pool_conf *conf; /* borrowed */
	struct entry *entries;
	uint8_t *states;
	struct slot *slots; /* of both heaps */
	struct heap hold, quarantine;
	uint64_t *moves[LEVELS]; /* of moves[0]: OURS, MOVE, neither USED nor DUP; one allocation */
	uint32_t n_words[LEVELS];
	unsigned levels;
	struct list lists[LISTS];
	struct ipsp_pool_counts counts;
};

/* -------------------------------------------------------------- states */

/* own in bits 0 and 1, use in 2 and 3, flags in 4 to 7 */
#define USE_SHIFT 2
#define OWN_USES  16

static inline uint8_t state_of(enum ipsp_own own, enum ipsp_use use, uint8_t flags)
{
	return (uint8_t)((unsigned)own | (unsigned)use << USE_SHIFT | (unsigned)flags << 4);
}

static inline enum ipsp_own own_of(uint8_t state)
{
	return (enum ipsp_own)(state & 3);
}

static inline enum ipsp_use use_of(uint8_t state)
{
	return (enum ipsp_use)(state >> USE_SHIFT & 3);
}

static inline unsigned own_use_of(uint8_t state)
{
	return state & (OWN_USES - 1u);
}

static inline uint8_t flags_of(uint8_t state)
{
	return state >> 4;
}

static inline bool is_kept(enum ipsp_use use)
{
	return use == IPSP_USE_HOLD || use == IPSP_USE_QUARANTINE;
}

static inline bool has_dup(uint8_t state)
{
	return (flags_of(state) & IPSP_ADDR_DUP) != 0;
}

static inline bool is_to_move(uint8_t state)
{
	return (flags_of(state) & IPSP_ADDR_MOVE) != 0;
}

static inline bool is_move_idle(uint8_t state)
{
	return is_to_move(state) && use_of(state) != IPSP_USE_USED;
}

/* a bit in moves[0] */
static inline bool is_movable(uint8_t state)
{
	return is_move_idle(state) && !has_dup(state);
}

static inline bool inside(const struct ipsp_pool *pool, uint32_t index)
{
	return index < pool->conf->size;
}

/* pool_heap.c: what is kept, the soonest end first. The only ways in are _keep and _accept_kept,
 * the only ways out _drop and _grant_kept. */
void ipsp_pool_heap_add(struct ipsp_pool *pool, struct heap *heap, uint32_t index, ipsp_ms end);
void ipsp_pool_heap_remove(struct ipsp_pool *pool, struct heap *heap, uint32_t index);
uint32_t ipsp_pool_heap_first(const struct heap *heap); /* IPSP_NO_INDEX: it is empty */
uint32_t ipsp_pool_heap_last(const struct heap *heap, uint32_t nth); /* the last but @nth */
ipsp_ms ipsp_pool_heap_end(const struct heap *heap, uint32_t at);
void ipsp_pool_heap_check(const struct ipsp_pool *pool, const struct heap *heap, enum ipsp_use use,
			  uint32_t expected);

/* pool_moves.c: the bitmap of what waits to be moved */
bool ipsp_pool_moves_new(struct ipsp_pool *pool, uint32_t size);
void ipsp_pool_moves_put(struct ipsp_pool *pool, uint32_t bit, bool on);
uint32_t ipsp_pool_moves_find(const struct ipsp_pool *pool,
			      uint32_t from); /* at or after @from; IPSP_NO_INDEX */
void ipsp_pool_moves_check(const struct ipsp_pool *pool);

#endif
