/* pool_heap - the addresses of a pool that are kept until a time: two heaps, of HOLD and of
 * QUARANTINE, the soonest end at place 0. */
#include "base/must.h"
#include "core/pool_int.h"

#define ARITY 4 /* flatter than 2, and the children, which are compared, lie in 48 bytes */

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

void ipsp_pool_heap_add(struct ipsp_pool *pool, struct heap *heap, uint32_t index, ipsp_ms end)
{
	struct slot slot = {index, {(uint32_t)(end >> 32), (uint32_t)end}};

	heap_up(pool, heap, heap->n++, slot);
}

/* The last one fills the gap: it may have to go up from there, for it comes from another branch. */
void ipsp_pool_heap_remove(struct ipsp_pool *pool, struct heap *heap, uint32_t index)
{
	uint32_t at = pool->entries[index].at;
	struct slot last = *slot_at(heap, --heap->n);

	if (last.index == index)
		return;
	heap_up(pool, heap, at, last);
	heap_down(pool, heap, pool->entries[last.index].at, last);
}

uint32_t ipsp_pool_heap_first(const struct heap *heap)
{
	return heap->n > 0 ? slot_at(heap, 0)->index : IPSP_NO_INDEX;
}

uint32_t ipsp_pool_heap_last(const struct heap *heap, uint32_t nth)
{
	return nth < heap->n ? slot_at(heap, heap->n - 1 - nth)->index : IPSP_NO_INDEX;
}

ipsp_ms ipsp_pool_heap_end(const struct heap *heap, uint32_t at)
{
	return slot_end(slot_at(heap, at));
}

void ipsp_pool_heap_check(const struct ipsp_pool *pool, const struct heap *heap, enum ipsp_use use,
			  uint32_t expected)
{
	IPSP_MUST(heap->n == expected);
	for (uint32_t at = 0; at < heap->n; at++) {
		const struct slot *slot = slot_at(heap, at);

		IPSP_MUST(inside(pool, slot->index));
		IPSP_MUST(use_of(pool->states[slot->index]) == use);
		IPSP_MUST(pool->entries[slot->index].at == at);
		IPSP_MUST(at == 0 || slot_before(slot_at(heap, (at - 1) / ARITY), slot));
	}
}
