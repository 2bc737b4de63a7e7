/* slab - see slab.h. */
#include "core/slab.h"
#include "base/must.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u << 10) /* at most, and more than half of it */
#define NONE	    IPSP_SLAB_NONE

static bool has_room(const struct ipsp_slab *slab, const struct ipsp_slab_chunk *chunk)
{
	return chunk->n_used < slab->per_chunk;
}

void ipsp_slab_init(struct ipsp_slab *slab, uint32_t size, uint32_t limit)
{
	*slab = (struct ipsp_slab){.size = size, .room = NONE, .absent = NONE, .empty = NONE};
	while (size << (slab->bits + 1) <= CHUNK_BYTES)
		slab->bits++;
	slab->per_chunk = 1u << slab->bits;
	slab->max_chunks = limit >> slab->bits;
}

void ipsp_slab_fini(struct ipsp_slab *slab)
{
	for (uint32_t c = 0; c < slab->n_chunks; c++)
		free(slab->chunks[c].pieces);
	free(slab->chunks);
	slab->chunks = NULL;
	slab->n_chunks = 0;
}

/* ---------------------------------------------------------------- chunks */

static void room_put(struct ipsp_slab *slab, uint32_t c)
{
	slab->chunks[c].prev = NONE;
	slab->chunks[c].next = slab->room;
	if (slab->room != NONE)
		slab->chunks[slab->room].prev = c;
	slab->room = c;
}

static void room_remove(struct ipsp_slab *slab, uint32_t c)
{
	uint32_t prev = slab->chunks[c].prev, next = slab->chunks[c].next;

	if (prev == NONE)
		slab->room = next;
	else
		slab->chunks[prev].next = next;
	if (next != NONE)
		slab->chunks[next].prev = prev;
}

/* A chunk that is given memory: one that was given back, or one more. */
bool ipsp_slab_more(struct ipsp_slab *slab)
{
	uint32_t c = slab->absent;

	if (c == NONE && slab->n_chunks == slab->max_chunks)
		return false;
	if (c == NONE && slab->n_chunks == slab->cap_chunks) {
		uint32_t cap = slab->cap_chunks ? 2 * slab->cap_chunks : 4;
		struct ipsp_slab_chunk *chunks =
			(struct ipsp_slab_chunk *)realloc(slab->chunks, cap * sizeof(*chunks));
		if (!chunks)
			return false;
		slab->chunks = chunks;
		slab->cap_chunks = cap;
	}
	void *pieces = malloc((size_t)slab->size << slab->bits);
	if (!pieces)
		return false;
	if (c == NONE)
		c = slab->n_chunks++;
	else
		slab->absent = slab->chunks[c].next;
	slab->chunks[c] = (struct ipsp_slab_chunk){.pieces = pieces, .unused = NONE};
	slab->n_present++;
	room_put(slab, c);
	return true;
}

static void chunk_free(struct ipsp_slab *slab, uint32_t c)
{
	struct ipsp_slab_chunk *chunk = &slab->chunks[c];

	room_remove(slab, c);
	free(chunk->pieces);
	*chunk = (struct ipsp_slab_chunk){.unused = NONE, .next = slab->absent};
	slab->absent = c;
	slab->n_present--;
}

/* One that may not go yet is looked at again with the next piece that is given back. */
static void chunk_emptied(struct ipsp_slab *slab, uint32_t c)
{
	const uint64_t room = (uint64_t)slab->n_present * slab->per_chunk - slab->count;

	if (slab->chunks[c].n_used > 0) {
		slab->empty = NONE; /* it did not stay so */
	} else if (room >= slab->per_chunk + slab->per_chunk / 2) {
		if (slab->empty == c)
			slab->empty = NONE;
		chunk_free(slab, c);
	} else {
		slab->empty = c;
	}
}

/* ---------------------------------------------------------------- pieces */

/* A piece that is not in use begins with the place of the next such one of its chunk. */
static uint32_t next_unused(const struct ipsp_slab *slab, uint32_t c, uint32_t at)
{
	uint32_t next;

	memcpy(&next, ipsp_slab_at(slab, c << slab->bits | at), sizeof(next));
	return next;
}

void ipsp_slab_filled(struct ipsp_slab *slab, uint32_t c)
{
	room_remove(slab, c);
}

void ipsp_slab_give(struct ipsp_slab *slab, uint32_t number)
{
	const uint32_t c = number >> slab->bits, at = number & (slab->per_chunk - 1);
	struct ipsp_slab_chunk *chunk = &slab->chunks[c];
	void *piece = ipsp_slab_at(slab, number);

	memset(piece, 0, slab->size);
	memcpy(piece, &chunk->unused, sizeof(chunk->unused));
	chunk->unused = at;
	if (!has_room(slab, chunk))
		room_put(slab, c);
	slab->count--;
	if (--chunk->n_used == 0)
		chunk_emptied(slab, c);
	if (slab->empty != NONE)
		chunk_emptied(slab, slab->empty);
}

uint32_t ipsp_slab_next(const struct ipsp_slab *slab, uint32_t from)
{
	uint32_t at = from & (slab->per_chunk - 1);

	for (uint32_t c = from >> slab->bits; c < slab->n_chunks; c++, at = 0)
		if (at < slab->chunks[c].n_touched)
			return c << slab->bits | at;
	return NONE;
}

/* ---------------------------------------------------------------- checking */

static void check_chunk(const struct ipsp_slab *slab, uint32_t c)
{
	const struct ipsp_slab_chunk *chunk = &slab->chunks[c];
	uint32_t n_unused = 0;

	IPSP_MUST(chunk->pieces || chunk->n_touched == 0);
	for (uint32_t at = chunk->unused; at != NONE; at = next_unused(slab, c, at)) {
		IPSP_MUST(at < chunk->n_touched && n_unused < chunk->n_touched);
		n_unused++;
	}
	IPSP_MUST(chunk->n_used + n_unused == chunk->n_touched);
}

void ipsp_slab_check(const struct ipsp_slab *slab)
{
	uint32_t count = 0, n_present = 0, n_room = 0, n_absent = 0, n_empty = 0;

	for (uint32_t c = 0; c < slab->n_chunks; c++) {
		const struct ipsp_slab_chunk *chunk = &slab->chunks[c];

		check_chunk(slab, c);
		count += chunk->n_used;
		n_present += chunk->pieces != NULL;
		n_empty += chunk->pieces && chunk->n_used == 0;
		n_room += chunk->pieces && has_room(slab, chunk);
	}
	IPSP_MUST(count == slab->count && n_present == slab->n_present && n_empty <= 1);
	for (uint32_t c = slab->room, prev = NONE; c != NONE; c = slab->chunks[c].next) {
		IPSP_MUST(slab->chunks[c].pieces && has_room(slab, &slab->chunks[c]));
		IPSP_MUST(slab->chunks[c].prev == prev && n_room > 0);
		n_room--;
		prev = c;
	}
	for (uint32_t c = slab->absent; c != NONE; c = slab->chunks[c].next) {
		IPSP_MUST(!slab->chunks[c].pieces && n_absent < slab->n_chunks);
		n_absent++;
	}
	IPSP_MUST(n_room == 0 && n_absent + n_present == slab->n_chunks);
}
