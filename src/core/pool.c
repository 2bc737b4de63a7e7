/*
 * pool - see pool.h.
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
#undef NDEBUG /* ipsp_pool_check is for every build; the other asserts cost nothing */
#include "core/pool.h"
#include "base/err.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS	  6 /* 64^6 > 2^32 */
#define WORD_BITS 64u
#define ARITY	  4 /* flatter than 2, and the children, which are compared, lie in 48 bytes */

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

/* ---------------------------------------------------------------- states */

/* own in bits 0 and 1, use in 2 and 3, flags in 4 to 7 */
static uint8_t state_of(enum ipsp_own own, enum ipsp_use use, uint8_t flags)
{
	return (uint8_t)((unsigned)own | (unsigned)use << 2 | (unsigned)flags << 4);
}

static enum ipsp_own own_of(uint8_t state)
{
	return (enum ipsp_own)(state & 3);
}

static enum ipsp_use use_of(uint8_t state)
{
	return (enum ipsp_use)(state >> 2 & 3);
}

static uint8_t flags_of(uint8_t state)
{
	return state >> 4;
}

static bool is_kept(enum ipsp_use use)
{
	return use == IPSP_USE_HOLD || use == IPSP_USE_QUARANTINE;
}

static enum list_id list_of(uint8_t state)
{
	switch (use_of(state)) {
	case IPSP_USE_FREE:
		if (own_of(state) != IPSP_OWN_OURS)
			return LIST_AWAY;
		return flags_of(state) & IPSP_ADDR_BARRED ? LIST_NONE : LIST_FREE;
	case IPSP_USE_USED:
	case IPSP_USE_HOLD:
	case IPSP_USE_QUARANTINE:
		break;
	}
	return LIST_NONE;
}

static uint32_t *count_of(struct ipsp_pool_counts *counts, uint8_t state)
{
	bool used = use_of(state) == IPSP_USE_USED;

	switch (own_of(state)) {
	case IPSP_OWN_OURS:
		break;
	case IPSP_OWN_PEER:
		return used ? &counts->peer_used : &counts->peer_idle;
	case IPSP_OWN_TRANSIT:
		return used ? &counts->transit_used : &counts->transit_idle;
	}
	switch (use_of(state)) {
	case IPSP_USE_FREE:
		return &counts->free;
	case IPSP_USE_USED:
		return &counts->used;
	case IPSP_USE_HOLD:
		return &counts->hold;
	case IPSP_USE_QUARANTINE:
		return &counts->quarantine;
	}
	return &counts->free;
}

static bool has_dup(uint8_t state)
{
	return (flags_of(state) & IPSP_ADDR_DUP) != 0;
}

static bool is_move_idle(uint8_t state)
{
	return (flags_of(state) & IPSP_ADDR_MOVE) != 0 && use_of(state) != IPSP_USE_USED;
}

static bool is_movable(uint8_t state) /* a bit in moves[0] */
{
	return is_move_idle(state) && !has_dup(state);
}

static void count_in(struct ipsp_pool_counts *counts, uint8_t state)
{
	++*count_of(counts, state);
	counts->dup += has_dup(state);
	counts->move_idle += is_move_idle(state);
}

static void count_out(struct ipsp_pool_counts *counts, uint8_t state)
{
	--*count_of(counts, state);
	counts->dup -= has_dup(state);
	counts->move_idle -= is_move_idle(state);
}

/* ---------------------------------------------------------------- lists */

static uint32_t prev_of(const struct ipsp_pool *pool, uint32_t index)
{
	return pool->entries[index].prev + (index - 1);
}

static uint32_t next_of(const struct ipsp_pool *pool, uint32_t index)
{
	return pool->entries[index].next + (index + 1);
}

static void set_prev(struct ipsp_pool *pool, uint32_t index, uint32_t prev)
{
	pool->entries[index].prev = prev - (index - 1);
}

static void set_next(struct ipsp_pool *pool, uint32_t index, uint32_t next)
{
	pool->entries[index].next = next - (index + 1);
}

static void list_unlink(struct ipsp_pool *pool, struct list *list, uint32_t index)
{
	uint32_t prev = prev_of(pool, index), next = next_of(pool, index);

	if (prev == IPSP_NO_INDEX)
		list->first = next;
	else
		set_next(pool, prev, next);
	if (next == IPSP_NO_INDEX)
		list->last = prev;
	else
		set_prev(pool, next, prev);
}

static void list_append(struct ipsp_pool *pool, struct list *list, uint32_t index)
{
	uint32_t prev = list->last;

	set_prev(pool, index, prev);
	set_next(pool, index, IPSP_NO_INDEX);
	if (prev == IPSP_NO_INDEX)
		list->first = index;
	else
		set_next(pool, prev, index);
	list->last = index;
}

/* ---------------------------------------------------------------- heaps */

static struct heap *heap_of(struct ipsp_pool *pool, enum ipsp_use use)
{
	return use == IPSP_USE_HOLD ? &pool->hold : &pool->quarantine;
}

static struct slot *slot_at(const struct heap *heap, uint32_t at)
{
	return heap->slots + (ptrdiff_t)at * heap->step;
}

static ipsp_ms slot_end(const struct slot *slot)
{
	return (ipsp_ms)slot->end[0] << 32 | slot->end[1];
}

/* A whole order: which is first depends on what is kept only, not on how it came to be so. */
static bool slot_before(const struct slot *a, const struct slot *b)
{
	ipsp_ms a_end = slot_end(a), b_end = slot_end(b);

	return a_end != b_end ? a_end < b_end : a->index < b->index;
}

static void heap_put(struct ipsp_pool *pool, struct heap *heap, uint32_t at, struct slot slot)
{
	*slot_at(heap, at) = slot;
	pool->entries[slot.index].at = at;
}

/* @slot comes to @at, or higher up: what ends later makes room. */
static void heap_up(struct ipsp_pool *pool, struct heap *heap, uint32_t at, struct slot slot)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / ARITY;

		if (!slot_before(&slot, slot_at(heap, parent)))
			break;
		heap_put(pool, heap, at, *slot_at(heap, parent));
		at = parent;
	}
	heap_put(pool, heap, at, slot);
}

/* @slot comes to @at, or further down: what ends sooner makes room. */
static void heap_down(struct ipsp_pool *pool, struct heap *heap, uint32_t at, struct slot slot)
{
	for (;;) {
		uint32_t child = at * ARITY + 1, soonest = child; /* below 2^29 */

		if (child >= heap->n)
			break;
		for (uint32_t i = child + 1; i < child + ARITY && i < heap->n; i++) {
			if (slot_before(slot_at(heap, i), slot_at(heap, soonest)))
				soonest = i;
		}
		if (!slot_before(slot_at(heap, soonest), &slot))
			break;
		heap_put(pool, heap, at, *slot_at(heap, soonest));
		at = soonest;
	}
	heap_put(pool, heap, at, slot);
}

static void heap_add(struct ipsp_pool *pool, struct heap *heap, uint32_t index, ipsp_ms end)
{
	struct slot slot = {index, {(uint32_t)(end >> 32), (uint32_t)end}};

	heap_up(pool, heap, heap->n++, slot);
}

/* The last one fills the gap: it may have to go up from there, for it comes from another branch. */
static void heap_remove(struct ipsp_pool *pool, struct heap *heap, uint32_t index)
{
	uint32_t at = pool->entries[index].at;
	struct slot last = *slot_at(heap, --heap->n);

	if (last.index == index)
		return;
	heap_up(pool, heap, at, last);
	heap_down(pool, heap, pool->entries[last.index].at, last);
}

static uint32_t heap_first(const struct heap *heap)
{
	return heap->n > 0 ? slot_at(heap, 0)->index : IPSP_NO_INDEX;
}

/* ---------------------------------------------------------------- the bitmap of moves */

/* Room for all levels in one piece; the topmost is one word. */
static bool moves_new(struct ipsp_pool *pool, uint32_t size)
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

static void moves_put(struct ipsp_pool *pool, uint32_t bit, bool on)
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
static uint32_t moves_find(const struct ipsp_pool *pool, uint32_t from)
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

/* ---------------------------------------------------------------- a change of one address */

/*
 * The one place where a state changes: counts, bitmap and lists follow. On a new list the
 * address is the last; where the list is the same it stays where it is. The heaps are left to _keep
 * and _drop, the only ways in and out.
 */
static void change(struct ipsp_pool *pool, uint32_t index, uint8_t to)
{
	uint8_t from = pool->states[index];
	enum list_id old_list = list_of(from), new_list = list_of(to);

	if (old_list != new_list && old_list != LIST_NONE)
		list_unlink(pool, &pool->lists[old_list], index);
	pool->states[index] = to;
	count_out(&pool->counts, from);
	count_in(&pool->counts, to);
	if (is_movable(from) != is_movable(to))
		moves_put(pool, index, is_movable(to));
	if (old_list != new_list && new_list != LIST_NONE)
		list_append(pool, &pool->lists[new_list], index);
}

/* The next to be taken are known: have them in the cache. Taking one touches its successor, too. */
static void prefetch_next(const struct ipsp_pool *pool)
{
	uint32_t first = pool->lists[LIST_FREE].first;
	uint32_t second = first == IPSP_NO_INDEX ? first : next_of(pool, first);

	if (second == IPSP_NO_INDEX)
		return;
	__builtin_prefetch(&pool->entries[second], 1);
	__builtin_prefetch(&pool->states[second], 1);
}

static bool inside(const struct ipsp_pool *pool, uint32_t index)
{
	return index < pool->conf->size;
}

/* ---------------------------------------------------------------- life */

struct ipsp_pool *ipsp_pool_new(const struct ipsp_pool_conf *conf, enum ipsp_own own)
{
	struct ipsp_pool *pool = (struct ipsp_pool *)calloc(1, sizeof(*pool));
	size_t size = conf->size ? conf->size : 1; /* calloc of nothing may be NULL */

	if (!pool)
		return NULL;
	pool->conf = conf;
	pool->entries = (struct entry *)calloc(size, sizeof(*pool->entries));
	pool->states = (uint8_t *)calloc(size, sizeof(*pool->states));
	pool->slots = (struct slot *)calloc(size, sizeof(*pool->slots));
	if (!pool->entries || !pool->states || !pool->slots || !moves_new(pool, conf->size)) {
		ipsp_pool_free(pool);
		return NULL;
	}
	pool->hold = (struct heap){.slots = pool->slots, .step = 1};
	pool->quarantine = (struct heap){.slots = pool->slots + (size - 1), .step = -1};
	for (int i = 0; i < LISTS; i++)
		pool->lists[i] = (struct list){IPSP_NO_INDEX, IPSP_NO_INDEX};
	if (conf->size == 0)
		return pool;
	uint8_t state = state_of(own, IPSP_USE_FREE, 0);
	if (state != 0)
		memset(pool->states, state, size);
	pool->lists[list_of(state)] = (struct list){0, conf->size - 1};
	set_next(pool, conf->size - 1, IPSP_NO_INDEX); /* all other neighbours are 0 and right */
	*count_of(&pool->counts, state) = conf->size;
	return pool;
}

void ipsp_pool_free(struct ipsp_pool *pool)
{
	if (!pool)
		return;
	free(pool->entries);
	free(pool->states);
	free(pool->slots);
	free(pool->moves[0]);
	free(pool);
}

/* ---------------------------------------------------------------- looking */

const struct ipsp_pool_conf *ipsp_pool_conf(const struct ipsp_pool *pool)
{
	return pool->conf;
}

const struct ipsp_pool_counts *ipsp_pool_counts(const struct ipsp_pool *pool)
{
	return &pool->counts;
}

enum ipsp_own ipsp_pool_own(const struct ipsp_pool *pool, uint32_t index)
{
	assert(inside(pool, index));
	return own_of(pool->states[index]);
}

enum ipsp_use ipsp_pool_use(const struct ipsp_pool *pool, uint32_t index)
{
	assert(inside(pool, index));
	return use_of(pool->states[index]);
}

uint8_t ipsp_pool_flags(const struct ipsp_pool *pool, uint32_t index)
{
	assert(inside(pool, index));
	return flags_of(pool->states[index]);
}

uint32_t ipsp_pool_bind(const struct ipsp_pool *pool, uint32_t index)
{
	assert(inside(pool, index));
	if (use_of(pool->states[index]) == IPSP_USE_FREE)
		return IPSP_NO_BIND;
	return pool->entries[index].bind;
}

ipsp_ms ipsp_pool_end(const struct ipsp_pool *pool, uint32_t index)
{
	assert(inside(pool, index));
	switch (use_of(pool->states[index])) {
	case IPSP_USE_FREE:
	case IPSP_USE_USED:
		break;
	case IPSP_USE_HOLD:
		return slot_end(slot_at(&pool->hold, pool->entries[index].at));
	case IPSP_USE_QUARANTINE:
		return slot_end(slot_at(&pool->quarantine, pool->entries[index].at));
	}
	return IPSP_NEVER;
}

static uint32_t next_on(const struct ipsp_pool *pool, enum list_id list, uint32_t index)
{
	if (!inside(pool, index) || list_of(pool->states[index]) != list)
		return IPSP_NO_INDEX;
	return next_of(pool, index);
}

uint32_t ipsp_pool_first_free(const struct ipsp_pool *pool)
{
	return pool->lists[LIST_FREE].first;
}

uint32_t ipsp_pool_next_free(const struct ipsp_pool *pool, uint32_t index)
{
	return next_on(pool, LIST_FREE, index);
}

uint32_t ipsp_pool_first_away(const struct ipsp_pool *pool)
{
	return pool->lists[LIST_AWAY].first;
}

uint32_t ipsp_pool_next_away(const struct ipsp_pool *pool, uint32_t index)
{
	return next_on(pool, LIST_AWAY, index);
}

uint32_t ipsp_pool_first_hold(const struct ipsp_pool *pool)
{
	return heap_first(&pool->hold);
}

uint32_t ipsp_pool_first_quarantine(const struct ipsp_pool *pool)
{
	return heap_first(&pool->quarantine);
}

/* ---------------------------------------------------------------- use */

int ipsp_pool_take(struct ipsp_pool *pool, uint32_t index, uint32_t bind)
{
	if (!inside(pool, index))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (use_of(state) != IPSP_USE_FREE)
		return IPSP_ERR_USED;
	change(pool, index, state_of(own_of(state), IPSP_USE_USED, flags_of(state)));
	pool->entries[index].bind = bind;
	prefetch_next(pool);
	return 0;
}

int ipsp_pool_drop(struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (use_of(state) == IPSP_USE_FREE)
		return IPSP_ERR_INVALID;
	if (is_kept(use_of(state)))
		heap_remove(pool, heap_of(pool, use_of(state)), index);
	change(pool, index, state_of(own_of(state), IPSP_USE_FREE, flags_of(state)));
	return 0;
}

int ipsp_pool_keep(struct ipsp_pool *pool, uint32_t index, enum ipsp_use use, uint32_t bind,
		   ipsp_ms end)
{
	if (!inside(pool, index) || !is_kept(use))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (own_of(state) != IPSP_OWN_OURS)
		return IPSP_ERR_NOT_OWNED;
	if (is_kept(use_of(state)))
		return IPSP_ERR_INVALID;
	change(pool, index, state_of(IPSP_OWN_OURS, use, flags_of(state)));
	pool->entries[index].bind = bind;
	heap_add(pool, heap_of(pool, use), index, end);
	return 0;
}

/* ---------------------------------------------------------------- own */

int ipsp_pool_set_own(struct ipsp_pool *pool, uint32_t index, enum ipsp_own own)
{
	if (!inside(pool, index))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (own_of(state) == own)
		return 0;
	if (is_kept(use_of(state))) /* it is OURS, and would stop being so */
		return IPSP_ERR_INVALID;
	change(pool, index, state_of(own, use_of(state), 0));
	return 0;
}

void ipsp_pool_set_flag(struct ipsp_pool *pool, uint32_t index, uint8_t flag, bool on)
{
	if (!inside(pool, index))
		return;
	uint8_t state = pool->states[index];
	if (own_of(state) != IPSP_OWN_OURS)
		return;
	uint8_t mask = state_of(IPSP_OWN_OURS, IPSP_USE_FREE, flag & 15);
	change(pool, index, (uint8_t)(on ? state | mask : state & ~mask));
}

void ipsp_pool_move_all(struct ipsp_pool *pool, bool on)
{
	for (uint32_t index = 0; index < pool->conf->size; index++)
		ipsp_pool_set_flag(pool, index, IPSP_ADDR_MOVE, on);
}

uint32_t ipsp_pool_next_move(const struct ipsp_pool *pool, uint32_t from)
{
	uint32_t index = moves_find(pool, from);

	return index == IPSP_NO_INDEX && from > 0 ? moves_find(pool, 0) : index;
}

/* ---------------------------------------------------------------- checking */

static void check_list(const struct ipsp_pool *pool, enum list_id id, uint32_t expected)
{
	const struct list *list = &pool->lists[id];
	uint32_t n = 0, prev = IPSP_NO_INDEX;

	for (uint32_t i = list->first; i != IPSP_NO_INDEX; prev = i, i = next_of(pool, i)) {
		assert(inside(pool, i));
		assert(list_of(pool->states[i]) == id);
		assert(prev_of(pool, i) == prev);
		assert(n < expected);
		n++;
	}
	assert(n == expected);
	assert(list->last == prev);
}

static void check_heap(const struct ipsp_pool *pool, const struct heap *heap, enum ipsp_use use,
		       uint32_t expected)
{
	assert(heap->n == expected);
	for (uint32_t at = 0; at < heap->n; at++) {
		const struct slot *slot = slot_at(heap, at);

		assert(inside(pool, slot->index));
		assert(use_of(pool->states[slot->index]) == use);
		assert(pool->entries[slot->index].at == at);
		assert(at == 0 || slot_before(slot_at(heap, (at - 1) / ARITY), slot));
	}
}

static void check_moves(const struct ipsp_pool *pool)
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

void ipsp_pool_check(const struct ipsp_pool *pool)
{
	struct ipsp_pool_counts counts = {0};
	uint32_t on_list[LISTS + 1] = {0};

	for (uint32_t i = 0; i < pool->conf->size; i++) {
		uint8_t state = pool->states[i];

		assert(own_of(state) <= IPSP_OWN_TRANSIT);
		if (own_of(state) != IPSP_OWN_OURS) {
			assert(!is_kept(use_of(state)));
			assert(flags_of(state) == 0);
		}
		count_in(&counts, state);
		on_list[list_of(state)]++;
	}
	assert(memcmp(&counts, &pool->counts, sizeof(counts)) == 0);
	assert(counts.free + counts.used + counts.hold + counts.quarantine + counts.peer_idle +
		       counts.peer_used + counts.transit_idle + counts.transit_used ==
	       pool->conf->size);
	for (int id = 0; id < LISTS; id++)
		check_list(pool, (enum list_id)id, on_list[id]);
	check_heap(pool, &pool->hold, IPSP_USE_HOLD, counts.hold);
	check_heap(pool, &pool->quarantine, IPSP_USE_QUARANTINE, counts.quarantine);
	check_moves(pool);
}
