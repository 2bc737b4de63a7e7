/*
 * bind_int - what the files of bindings share: the slots, and who does what.
 *
 *   bind.c        the bindings: slots, their memory, chains of KEPT ones
 *   bind_index.c  the number of a binding by its name
 *
 * The slab is made of chunks that never move. A slot has 32 bytes: 16 of numbers, and 16 for both
 * texts one behind the other; where they don't fit, a block of their own. A chunk in which no slot
 * is in use is given back, but for one. New bindings go into the chunk that was full last, so that
 * the emptier ones become empty.
 */
#ifndef IPSP_CORE_BIND_INT_H
#define IPSP_CORE_BIND_INT_H

#include "base/siphash.h"
#include "core/bind.h"
#include "core/pool.h"

#define CHUNK_BITS  13
#define CHUNK_SLOTS (1u << CHUNK_BITS)
#define INLINE_TEXT 16
#define AT_BITS	    48
#define AT_NEVER    ((UINT64_C(1) << AT_BITS) - 1)

#define NUMBER_BITS 26 /* of an entry of the index, where number + 1 has to fit */
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)
#define CHUNKS_MAX  (NUMBER_MASK >> CHUNK_BITS)

_Static_assert(IPSP_POOLS_MAX <= 1 << 10, "a slot has 10 bits for the pool");

struct slot {
	uint64_t at : AT_BITS;
	uint64_t ha : 16;
	uint64_t index : 26;
	uint64_t pool : 10;
	uint64_t kind : 2; /* NONE: not in use, the next such one of the chunk is far.next */
	uint64_t flags : 3;
	uint64_t is_far : 1;
	uint64_t n_subscriber : 8;
	uint64_t n_session : 8;
	union {
		char near[INLINE_TEXT];
		struct {
			char *text;	     /* owned */
			uint32_t prev, next; /* KEPT: the chain of the subscriber */
		} far;			     /* a text that doesn't fit, or a member of a chain */
	};
};

_Static_assert(sizeof(struct slot) == 32, "two slots are a cache line");

struct chunk {
	struct slot *slots; /* owned; NULL: given back */
	uint32_t n_used;
	uint32_t n_touched;  /* used at least once: those before it have a kind */
	uint32_t unused;     /* the first of those that is not in use, in the chunk; or NONE */
	uint32_t prev, next; /* with slots: those with room; without: by next; or NONE */
};

#define NONE UINT32_MAX

struct table {
	uint32_t *entries; /* owned; NULL: no such table */
	uint32_t size;
};

struct ipsp_binds {	       /* invariant: what ipsp_binds_check walks */
	struct ipsp_sip keyed; /* where each hash begins */
	struct chunk *chunks;  /* owned */
	uint32_t n_chunks, cap_chunks;
	uint32_t n_present; /* chunks with slots */
	uint32_t room;	    /* the first chunk that has room */
	uint32_t absent;    /* the first one without slots */
	uint32_t empty;	    /* one that was kept though it became empty; or NONE */
	uint32_t count, n_kept;
	bool loading;	       /* nothing is in the index yet, nor in a chain */
	struct table now, old; /* old: what has not moved to now yet */
	uint32_t n_entries;    /* in both */
	uint32_t moved;	       /* old entries before this one are empty */
};

static inline struct slot *slot_at(const struct ipsp_binds *binds, uint32_t number)
{
	return &binds->chunks[number >> CHUNK_BITS].slots[number & (CHUNK_SLOTS - 1)];
}

static inline struct ipsp_ident ident_of(const struct slot *slot)
{
	const char *text = slot->is_far ? slot->far.text : slot->near;

	return (struct ipsp_ident){text, text + slot->n_subscriber, slot->n_subscriber,
				   slot->n_session, 0};
}

/* ---------------------------------------------------------------- bind_index.c */

#define MOVE_AHEAD 16u /* how far the memory of what comes next is fetched in advance */

uint64_t ipsp_bind_hash(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			const struct ipsp_ident *ident); /* the ident's own, where it has one */
uint64_t ipsp_bind_hash_of(const struct ipsp_binds *binds, uint32_t number);
void ipsp_bind_index_fetch(const struct ipsp_binds *binds, uint64_t hash);

/* For @n entries, when nothing is in it; false: no memory. */
bool ipsp_bind_index_make(struct ipsp_binds *binds, uint32_t n);
void ipsp_bind_index_free(struct ipsp_binds *binds);
bool ipsp_bind_index_reserve(struct ipsp_binds *binds); /* one more; false: no memory */
void ipsp_bind_index_put(struct ipsp_binds *binds, uint64_t hash, uint32_t number);
/* _put, and a step of what moves */
void ipsp_bind_index_add(struct ipsp_binds *binds, uint64_t hash, uint32_t number);
void ipsp_bind_index_del(struct ipsp_binds *binds, uint64_t hash, uint32_t number);
/* IPSP_NO_BIND: none of that kind and name */
uint32_t ipsp_bind_index_find(const struct ipsp_binds *binds, uint64_t hash,
			      enum ipsp_bind_kind kind, const struct ipsp_ident *ident);
/* @number is in the index: @other, which has the same name, is there in its place. */
void ipsp_bind_index_replace(struct ipsp_binds *binds, uint64_t hash, uint32_t number,
			     uint32_t other);
void ipsp_bind_index_check(const struct ipsp_binds *binds);

#endif
