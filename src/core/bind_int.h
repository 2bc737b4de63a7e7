/*
 * bind_int - what the files of bindings share: the slots, and who does what.
 *
 *   bind.c        the bindings: slots, their memory, chains of KEPT ones
 *   bind_index.c  the number of a binding by its name; also _foresee, _session and _seek of bind.h
 *
 * A slot has 32 bytes: 16 of numbers, and 16 for both texts one behind the other; where they don't
 * fit, a piece of their own. Slots and texts are in slabs, which give back what nobody uses.
 */
#ifndef IPSP_CORE_BIND_INT_H
#define IPSP_CORE_BIND_INT_H

#include "base/siphash.h"
#include "core/bind.h"
#include "core/pool.h"
#include "core/slab.h"

#define INLINE_TEXT 16
#define AT_BITS	    48
#define AT_NEVER    ((UINT64_C(1) << AT_BITS) - 1)

#define NUMBER_BITS 26 /* of an entry of the index, where number + 1 has to fit */
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)

/* texts by their length: up to 16 bytes, to 32, .. to 512, which is more than both may have */
#define TEXT_STEP  16u
#define TEXT_SLABS 32u

_Static_assert(IPSP_POOLS_MAX <= 1 << 10, "a slot has 10 bits for the pool");

struct slot {
	uint64_t at : AT_BITS;
	uint64_t ha : 16;
	uint64_t index : 26;
	uint64_t pool : 10;
	uint64_t kind : 2; /* NONE: not in use */
	uint64_t flags : 4;
	uint64_t is_far : 1;
	uint64_t n_subscriber : 8;
	uint64_t n_session : 8;
	union {
		char near[INLINE_TEXT];
		struct {
			uint32_t text;	     /* its number in the slab for its length */
			uint32_t prev, next; /* KEPT: the chain of the subscriber */
		} far;			     /* a text that doesn't fit, or a member of a chain */
	};
};

_Static_assert(sizeof(struct slot) == 32, "two slots are a cache line");

struct table {
	uint32_t *entries; /* owned; NULL: no such table */
	uint32_t size;
	uint32_t end; /* entries from here on are empty, and have no memory any more; or size */
};

struct gap {	       /* where the table has room for a hash that was looked for and not found */
	uint64_t hash; /* 0: not known, or the table has changed since */
	uint32_t place, distance;
};

struct ipsp_binds {	       /* invariant: what ipsp_binds_check walks */
	struct ipsp_sip keyed; /* where each hash begins */
	struct ipsp_slab slots, texts[TEXT_SLABS];
	uint32_t n_kept;
	bool loading;	       /* nothing is in the index yet, nor in a chain */
	struct table now, old; /* old: what has not moved to now yet */
	struct gap gap;	       /* in now: whoever takes has just looked */
	uint32_t n_entries;    /* in both */
	uint32_t n_fit;	       /* as many, and now has to grow */
	ipsp_ms roomy_since;   /* no more than an eighth of now is in use; IPSP_NEVER: more is */
};

#define SLOT_BITS 13 /* ipsp_slab_at with constants */

static inline struct slot *slot_at(const struct ipsp_binds *binds, uint32_t number)
{
	struct slot *chunk = (struct slot *)binds->slots.chunks[number >> SLOT_BITS].pieces;

	return &chunk[number & ((1u << SLOT_BITS) - 1)];
}

static inline uint32_t text_slab(const struct slot *slot)
{
	const uint32_t n = (uint32_t)slot->n_subscriber + slot->n_session;

	return n > 0 ? (n - 1) / TEXT_STEP : 0;
}

static inline const char *text_of(const struct ipsp_binds *binds, const struct slot *slot)
{
	if (!slot->is_far)
		return slot->near;
	return (const char *)ipsp_slab_at(&binds->texts[text_slab(slot)], slot->far.text);
}

static inline struct ipsp_ident ident_of(const struct ipsp_binds *binds, const struct slot *slot)
{
	const char *text = text_of(binds, slot);

	return (struct ipsp_ident){text, text + slot->n_subscriber, slot->n_subscriber,
				   slot->n_session, 0};
}

/* ---------------------------------------------------------------- bind_index.c */

/* an entry: number + 1 in the low bits, a tag of the hash, the distance from home on top */
#define TAG_MASK       (3u << NUMBER_BITS)
#define DISTANCE_SHIFT (NUMBER_BITS + 2)
#define FAR_AWAY       15u /* this or more: ask the hash */

#define MOVE_AHEAD 16u /* how far the memory of what comes next is fetched in advance */

uint64_t ipsp_bind_hash_new(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			    const struct ipsp_ident *ident);

/* The ident's own, where it has one. */
static inline uint64_t ipsp_bind_hash(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
				      const struct ipsp_ident *ident)
{
	if (kind == IPSP_BIND_SESSION && ident->hash != 0)
		return ident->hash;
	return ipsp_bind_hash_new(binds, kind, ident);
}

uint64_t ipsp_bind_hash_of(const struct ipsp_binds *binds, uint32_t number);
/* Has the place in the index in the cache when it is come to. */
void ipsp_bind_index_fetch(const struct ipsp_binds *binds, uint64_t hash);

/* For @n entries, when nothing is in it; false: no memory. */
bool ipsp_bind_index_make(struct ipsp_binds *binds, uint32_t n);
void ipsp_bind_index_free(struct ipsp_binds *binds);
/* Where room for it is sure. */
void ipsp_bind_index_put(struct ipsp_binds *binds, uint64_t hash, uint32_t number);
/* _put, and a step of what moves; false: no memory. */
bool ipsp_bind_index_add(struct ipsp_binds *binds, uint64_t hash, uint32_t number);

static inline uint32_t ipsp_bind_entry(uint64_t hash, uint32_t number, uint32_t distance)
{
	const uint32_t near = distance < FAR_AWAY ? distance : FAR_AWAY;

	return (number + 1) | ((uint32_t)hash & TAG_MASK) | near << DISTANCE_SHIFT;
}

/* The same, where whoever adds has just looked: the place is known, and mostly empty. */
static inline bool ipsp_bind_index_fill(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	const struct gap *gap = &binds->gap;

	if (gap->hash != hash || hash == 0 || binds->old.entries ||
	    binds->now.entries[gap->place] != 0 || binds->n_entries >= binds->n_fit)
		return ipsp_bind_index_add(binds, hash, number);
	binds->now.entries[gap->place] = ipsp_bind_entry(hash, number, gap->distance);
	binds->gap.hash = 0;
	binds->n_entries++;
	return true;
}
void ipsp_bind_index_del(struct ipsp_binds *binds, uint64_t hash, uint32_t number);
void ipsp_bind_index_rest(struct ipsp_binds *binds, ipsp_ms now);
/* IPSP_NO_BIND: none of that kind and name */
uint32_t ipsp_bind_index_find(const struct ipsp_binds *binds, uint64_t hash,
			      enum ipsp_bind_kind kind, const struct ipsp_ident *ident);
/* @number is in the index: @other, which has the same name, is there in its place. */
void ipsp_bind_index_replace(struct ipsp_binds *binds, uint64_t hash, uint32_t number,
			     uint32_t other);
void ipsp_bind_index_check(const struct ipsp_binds *binds);

#endif
