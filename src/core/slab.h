/*
 * slab - pieces of one size, in chunks that never move; a piece is known by its number.
 *
 * For what comes and goes by the million: malloc would keep the memory, or put a million pieces
 * together again in one call. Here each call is O(1) but for the chunk that is made or freed, of
 * 128 to 256 KiB, which the C library maps and unmaps as a whole. A chunk in which no piece is in
 * use is given back as soon as half a chunk is free beside it, so that the next few calls don't
 * make it anew and give it back again. New pieces come from the chunk that was full last, so that
 * the emptier ones become empty.
 */
#ifndef IPSP_CORE_SLAB_H
#define IPSP_CORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IPSP_SLAB_NONE UINT32_MAX

struct ipsp_slab_chunk {
	void *pieces; /* owned; NULL: given back */
	uint32_t n_used;
	uint32_t n_touched;  /* used at least once: the first ones */
	uint32_t unused;     /* the first of those that is not in use, in the chunk; or NONE */
	uint32_t prev, next; /* with pieces: those with room; without: by next; or NONE */
};

struct ipsp_slab {			/* invariant: what ipsp_slab_check walks */
	struct ipsp_slab_chunk *chunks; /* owned */
	uint32_t size, bits;		/* of a piece; a chunk has 2^bits */
	uint32_t per_chunk;		/* 2^bits */
	uint32_t n_chunks, cap_chunks, max_chunks;
	uint32_t n_present; /* chunks with pieces */
	uint32_t room;	    /* the first one that has room */
	uint32_t absent;    /* the first one without pieces */
	uint32_t empty;	    /* one that was kept though it became empty; or NONE */
	uint32_t count;	    /* pieces in use */
};

/* @size is 4 at least; numbers are below @limit. */
void ipsp_slab_init(struct ipsp_slab *slab, uint32_t size, uint32_t limit);
void ipsp_slab_fini(struct ipsp_slab *slab);

/* The piece is filled with zeros, but for its first 4 bytes, until it is taken again. */
void ipsp_slab_give(struct ipsp_slab *slab, uint32_t number);

static inline void *ipsp_slab_at(const struct ipsp_slab *slab, uint32_t number)
{
	const uint32_t at = number & ((1u << slab->bits) - 1);

	return (uint8_t *)slab->chunks[number >> slab->bits].pieces + (size_t)at * slab->size;
}

bool ipsp_slab_more(struct ipsp_slab *slab);		   /* makes room; false: no memory */
void ipsp_slab_filled(struct ipsp_slab *slab, uint32_t c); /* that chunk has no room any more */

/* The piece, and its *@number; what is in it is anything. NULL: no memory. */
static inline void *ipsp_slab_take(struct ipsp_slab *slab, uint32_t *number)
{
	if (slab->room == IPSP_SLAB_NONE && !ipsp_slab_more(slab))
		return NULL;
	const uint32_t c = slab->room;
	struct ipsp_slab_chunk *chunk = &slab->chunks[c];
	const bool is_new = chunk->unused == IPSP_SLAB_NONE;
	const uint32_t at = is_new ? chunk->n_touched++ : chunk->unused;
	void *piece = (uint8_t *)chunk->pieces + (size_t)at * slab->size;

	if (!is_new) /* it begins with the place of the next such one */
		memcpy(&chunk->unused, piece, sizeof(chunk->unused));
	slab->count++;
	if (++chunk->n_used == slab->per_chunk)
		ipsp_slab_filled(slab, c);
	*number = c << slab->bits | at;
	return piece;
}

/* Was @number ever taken, and is its memory there? */
static inline bool ipsp_slab_has(const struct ipsp_slab *slab, uint32_t number)
{
	const uint32_t c = number >> slab->bits;

	return c < slab->n_chunks &&
	       (number & ((1u << slab->bits) - 1)) < slab->chunks[c].n_touched;
}

/* The first number at or after @from that _has is true for; IPSP_SLAB_NONE. */
uint32_t ipsp_slab_next(const struct ipsp_slab *slab, uint32_t from);

/* Walks everything and asserts the invariants (tests). */
void ipsp_slab_check(const struct ipsp_slab *slab);

#endif
