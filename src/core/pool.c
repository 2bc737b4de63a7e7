/*
 * pool - see pool.h: states, lists and counts of the addresses. Its memory is in pool_int.h, the
 * heaps are in pool_heap.c, the bitmap of moves is in pool_moves.c.
 */
#include "core/pool.h"
#include "base/err.h"
#include "base/must.h"
#include "core/pool_int.h"
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------- which list, which count */

/* By own and use: the list that an address is on, if it isn't barred from it, and its count. */
static const struct place {
	uint8_t list;  /* enum list_id */
	uint8_t count; /* where in struct ipsp_pool_counts */
} places[OWN_USES] = {
#define PLACE(own, use, list, count)                                                               \
	[(int)IPSP_OWN_##own | (int)IPSP_USE_##use <<                                              \
		USE_SHIFT] = {LIST_##list, offsetof(struct ipsp_pool_counts, count)}
	PLACE(OURS, FREE, FREE, free),
	PLACE(OURS, USED, NONE, used),
	PLACE(OURS, HOLD, NONE, hold),
	PLACE(OURS, QUARANTINE, NONE, quarantine),
	PLACE(PEER, FREE, AWAY, peer_idle),
	PLACE(PEER, USED, NONE, peer_used),
	PLACE(TRANSIT, FREE, AWAY, transit_idle),
	PLACE(TRANSIT, USED, NONE, transit_used),
#undef PLACE
};

static enum list_id list_of(uint8_t state)
{
	if (flags_of(state) & IPSP_ADDR_BARRED) /* of what is ours, as all flags */
		return LIST_NONE;
	return (enum list_id)places[own_use_of(state)].list;
}

static uint32_t *count_of(struct ipsp_pool_counts *counts, uint8_t state)
{
	return (uint32_t *)((char *)counts + places[own_use_of(state)].count);
}

/* @by is 1, or UINT32_MAX for one less. */
static void count(struct ipsp_pool_counts *counts, uint8_t state, uint32_t by)
{
	*count_of(counts, state) += by;
	if (flags_of(state) == 0)
		return;
	counts->dup += has_dup(state) ? by : 0;
	counts->move_idle += is_move_idle(state) ? by : 0;
}

/* -------------------------------------------------------------- lists */

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

static void list_prepend(struct ipsp_pool *pool, struct list *list, uint32_t index)
{
	uint32_t next = list->first;

	set_prev(pool, index, IPSP_NO_INDEX);
	set_next(pool, index, next);
	if (next == IPSP_NO_INDEX)
		list->last = index;
	else
		set_prev(pool, next, index);
	list->first = index;
}

/* -------------------------------------------------------------- a change of one address */

/*
 * The one place where a state changes: counts, bitmap and lists follow. On a new list the
 * address is the last; where the list is the same it stays where it is. The heaps are left to
 * those who let an address in or out, see pool_int.h.
 */
static void change(struct ipsp_pool *pool, uint32_t index, uint8_t to)
{
	const uint8_t from = pool->states[index];
	const enum list_id old_list = list_of(from), new_list = list_of(to);

	pool->states[index] = to;
	count(&pool->counts, from, UINT32_MAX);
	count(&pool->counts, to, 1);
	if (is_movable(from) != is_movable(to))
		ipsp_pool_moves_put(pool, index, is_movable(to));
	if (old_list == new_list)
		return;
	if (old_list != LIST_NONE)
		list_unlink(pool, &pool->lists[old_list], index);
	if (new_list != LIST_NONE)
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

/* -------------------------------------------------------------- life */

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
	if (!pool->entries || !pool->states || !pool->slots ||
	    !ipsp_pool_moves_new(pool, conf->size)) {
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

/* -------------------------------------------------------------- looking */

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
	IPSP_MUST(inside(pool, index));
	return own_of(pool->states[index]);
}

enum ipsp_use ipsp_pool_use(const struct ipsp_pool *pool, uint32_t index)
{
	IPSP_MUST(inside(pool, index));
	return use_of(pool->states[index]);
}

uint8_t ipsp_pool_flags(const struct ipsp_pool *pool, uint32_t index)
{
	IPSP_MUST(inside(pool, index));
	return flags_of(pool->states[index]);
}

uint32_t ipsp_pool_bind(const struct ipsp_pool *pool, uint32_t index)
{
	IPSP_MUST(inside(pool, index));
	if (use_of(pool->states[index]) == IPSP_USE_FREE)
		return IPSP_NO_BIND;
	return pool->entries[index].bind;
}

ipsp_ms ipsp_pool_end(const struct ipsp_pool *pool, uint32_t index)
{
	IPSP_MUST(inside(pool, index));
	switch (use_of(pool->states[index])) {
	case IPSP_USE_FREE:
	case IPSP_USE_USED:
		break;
	case IPSP_USE_HOLD:
		return ipsp_pool_heap_end(&pool->hold, pool->entries[index].at);
	case IPSP_USE_QUARANTINE:
		return ipsp_pool_heap_end(&pool->quarantine, pool->entries[index].at);
	}
	return IPSP_NEVER;
}

uint32_t ipsp_pool_alike(const struct ipsp_pool *pool, uint32_t index, uint32_t limit, bool and_use)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint8_t use = state_of((enum ipsp_own)0, IPSP_USE_QUARANTINE, 0); /* all its bits */
	const uint8_t mask = (uint8_t)(and_use ? 0xff : 0xff & ~use);
	const uint8_t state = pool->states[index] & mask;
	uint64_t eight;

	IPSP_MUST(inside(pool, index) && limit <= pool->conf->size);
	for (; index + sizeof(eight) <= limit; index += (uint32_t)sizeof(eight)) {
		memcpy(&eight, pool->states + index, sizeof(eight));
		if ((eight & mask * ones) != state * ones)
			break;
	}
	while (index < limit && (pool->states[index] & mask) == state)
		index++;
	return index;
}

void ipsp_pool_foresee(const struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index))
		return;
	__builtin_prefetch(&pool->entries[index], 1);
	__builtin_prefetch(&pool->states[index], 1);
}

uint32_t ipsp_pool_first_free(const struct ipsp_pool *pool)
{
	return pool->lists[LIST_FREE].first;
}

uint32_t ipsp_pool_next_free(const struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index) || list_of(pool->states[index]) != LIST_FREE)
		return IPSP_NO_INDEX;
	return next_of(pool, index);
}

uint32_t ipsp_pool_first_away(const struct ipsp_pool *pool)
{
	return pool->lists[LIST_AWAY].last;
}

uint32_t ipsp_pool_next_away(const struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index) || list_of(pool->states[index]) != LIST_AWAY)
		return IPSP_NO_INDEX;
	return prev_of(pool, index);
}

uint32_t ipsp_pool_first_hold(const struct ipsp_pool *pool)
{
	return ipsp_pool_heap_first(&pool->hold);
}

uint32_t ipsp_pool_first_quarantine(const struct ipsp_pool *pool)
{
	return ipsp_pool_heap_first(&pool->quarantine);
}

/* -------------------------------------------------------------- use */

static struct heap *heap_of(struct ipsp_pool *pool, enum ipsp_use use)
{
	return use == IPSP_USE_HOLD ? &pool->hold : &pool->quarantine;
}

/* What change() does, where the one that is free longest is taken and has no flags: as nearly all.
 */
static void take_first(struct ipsp_pool *pool)
{
	struct list *list = &pool->lists[LIST_FREE];
	const uint32_t index = list->first, next = next_of(pool, index);

	pool->states[index] = state_of(IPSP_OWN_OURS, IPSP_USE_USED, 0);
	pool->counts.free--;
	pool->counts.used++;
	list->first = next;
	if (next == IPSP_NO_INDEX)
		list->last = IPSP_NO_INDEX;
	else
		set_prev(pool, next, IPSP_NO_INDEX);
}

int ipsp_pool_take(struct ipsp_pool *pool, uint32_t index, uint32_t bind)
{
	if (!inside(pool, index))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (use_of(state) != IPSP_USE_FREE)
		return IPSP_ERR_USED;
	if (index == pool->lists[LIST_FREE].first && flags_of(state) == 0)
		take_first(pool);
	else
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
		ipsp_pool_heap_remove(pool, heap_of(pool, use_of(state)), index);
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
	ipsp_pool_heap_add(pool, heap_of(pool, use), index, end);
	return 0;
}

uint32_t ipsp_pool_last_kept(const struct ipsp_pool *pool, enum ipsp_use use, uint32_t nth)
{
	return ipsp_pool_heap_last(use == IPSP_USE_HOLD ? &pool->hold : &pool->quarantine, nth);
}

/* -------------------------------------------------------------- own */

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

int ipsp_pool_grant_kept(struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index) || !is_kept(use_of(pool->states[index])))
		return IPSP_ERR_INVALID;
	ipsp_pool_heap_remove(pool, heap_of(pool, use_of(pool->states[index])), index);
	change(pool, index, state_of(IPSP_OWN_TRANSIT, IPSP_USE_FREE, 0));
	return 0;
}

int ipsp_pool_accept_kept(struct ipsp_pool *pool, uint32_t index, enum ipsp_use use, uint32_t bind,
			  ipsp_ms end)
{
	if (!inside(pool, index) || !is_kept(use))
		return IPSP_ERR_INVALID;
	uint8_t state = pool->states[index];
	if (own_of(state) == IPSP_OWN_OURS || use_of(state) != IPSP_USE_FREE)
		return IPSP_ERR_INVALID;
	change(pool, index, state_of(IPSP_OWN_OURS, use, 0));
	pool->entries[index].bind = bind;
	ipsp_pool_heap_add(pool, heap_of(pool, use), index, end);
	return 0;
}

void ipsp_pool_away_last(struct ipsp_pool *pool, uint32_t index)
{
	if (!inside(pool, index) || list_of(pool->states[index]) != LIST_AWAY)
		return;
	list_unlink(pool, &pool->lists[LIST_AWAY], index);
	list_prepend(pool, &pool->lists[LIST_AWAY], index);
}

void ipsp_pool_set_flag(struct ipsp_pool *pool, uint32_t index, uint8_t flag, bool on)
{
	if (!inside(pool, index))
		return;
	uint8_t state = pool->states[index];
	if (own_of(state) != IPSP_OWN_OURS)
		return;
	uint8_t mask = state_of(IPSP_OWN_OURS, IPSP_USE_FREE, flag & 15);
	uint8_t to = (uint8_t)(on ? state | mask : state & ~mask);
	if (to != state)
		change(pool, index, to);
}

bool ipsp_pool_may_move(const struct ipsp_pool *pool, uint32_t index)
{
	IPSP_MUST(inside(pool, index));
	return is_movable(pool->states[index]);
}

uint32_t ipsp_pool_next_move(const struct ipsp_pool *pool, uint32_t from)
{
	uint32_t index = ipsp_pool_moves_find(pool, from);

	return index == IPSP_NO_INDEX && from > 0 ? ipsp_pool_moves_find(pool, 0) : index;
}

/* -------------------------------------------------------------- checking */

static void check_list(const struct ipsp_pool *pool, enum list_id id, uint32_t expected)
{
	const struct list *list = &pool->lists[id];
	uint32_t n = 0, prev = IPSP_NO_INDEX;

	for (uint32_t i = list->first; i != IPSP_NO_INDEX; prev = i, i = next_of(pool, i)) {
		IPSP_MUST(inside(pool, i));
		IPSP_MUST(list_of(pool->states[i]) == id);
		IPSP_MUST(prev_of(pool, i) == prev);
		IPSP_MUST(n < expected);
		n++;
	}
	IPSP_MUST(n == expected);
	IPSP_MUST(list->last == prev);
}

void ipsp_pool_check(const struct ipsp_pool *pool)
{
	struct ipsp_pool_counts counts = {0};
	uint32_t on_list[LISTS + 1] = {0};

	for (uint32_t i = 0; i < pool->conf->size; i++) {
		uint8_t state = pool->states[i];

		IPSP_MUST(own_of(state) <= IPSP_OWN_TRANSIT);
		if (own_of(state) != IPSP_OWN_OURS) {
			IPSP_MUST(!is_kept(use_of(state)));
			IPSP_MUST(flags_of(state) == 0);
		}
		count(&counts, state, 1);
		on_list[list_of(state)]++;
	}
	IPSP_MUST(memcmp(&counts, &pool->counts, sizeof(counts)) == 0);
	IPSP_MUST(counts.free + counts.used + counts.hold + counts.quarantine + counts.peer_idle +
			  counts.peer_used + counts.transit_idle + counts.transit_used ==
		  pool->conf->size);
	for (int id = 0; id < LISTS; id++)
		check_list(pool, (enum list_id)id, on_list[id]);
	ipsp_pool_heap_check(pool, &pool->hold, IPSP_USE_HOLD, counts.hold);
	ipsp_pool_heap_check(pool, &pool->quarantine, IPSP_USE_QUARANTINE, counts.quarantine);
	ipsp_pool_moves_check(pool);
}
