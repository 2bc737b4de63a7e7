/*
 * bind - see bind.h: slots and their memory, and the chains of KEPT ones. What a slot and a chunk
 * are stands in bind_int.h, the index is in bind_index.c.
 */
#undef NDEBUG /* ipsp_binds_check is for every build; the other asserts cost nothing */
#include "base/bytes.h"
#include "core/bind_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- chunks */

static bool has_room(const struct chunk *chunk)
{
	return chunk->n_used < CHUNK_SLOTS;
}

static void room_put(struct ipsp_binds *binds, uint32_t c)
{
	binds->chunks[c].prev = NONE;
	binds->chunks[c].next = binds->room;
	if (binds->room != NONE)
		binds->chunks[binds->room].prev = c;
	binds->room = c;
}

static void room_remove(struct ipsp_binds *binds, uint32_t c)
{
	uint32_t prev = binds->chunks[c].prev, next = binds->chunks[c].next;

	if (prev == NONE)
		binds->room = next;
	else
		binds->chunks[prev].next = next;
	if (next != NONE)
		binds->chunks[next].prev = prev;
}

/* A chunk that is given memory: one that was given back, or one more. */
static bool chunk_add(struct ipsp_binds *binds)
{
	uint32_t c = binds->absent;

	if (c == NONE && binds->n_chunks == CHUNKS_MAX)
		return false;
	if (c == NONE && binds->n_chunks == binds->cap_chunks) {
		uint32_t cap = binds->cap_chunks ? 2 * binds->cap_chunks : 4;
		struct chunk *chunks =
			(struct chunk *)realloc(binds->chunks, cap * sizeof(struct chunk));
		if (!chunks)
			return false;
		binds->chunks = chunks;
		binds->cap_chunks = cap;
	}
	struct slot *slots = (struct slot *)malloc(CHUNK_SLOTS * sizeof(*slots));
	if (!slots)
		return false;
	if (c == NONE)
		c = binds->n_chunks++;
	else
		binds->absent = binds->chunks[c].next;
	binds->chunks[c] = (struct chunk){.slots = slots, .unused = NONE};
	binds->n_present++;
	room_put(binds, c);
	return true;
}

static void chunk_free(struct ipsp_binds *binds, uint32_t c)
{
	struct chunk *chunk = &binds->chunks[c];

	room_remove(binds, c);
	free(chunk->slots);
	*chunk = (struct chunk){.unused = NONE, .next = binds->absent};
	binds->absent = c;
	binds->n_present--;
}

/*
 * An empty chunk goes as soon as half a chunk is free beside it, so that the next few additions and
 * deletions don't make it anew and give it back again. One that may not go yet waits.
 */
static void chunk_emptied(struct ipsp_binds *binds, uint32_t c)
{
	const uint64_t room = (uint64_t)binds->n_present * CHUNK_SLOTS - binds->count;

	if (binds->chunks[c].n_used > 0) {
		binds->empty = NONE; /* it did not stay so */
	} else if (room >= CHUNK_SLOTS + CHUNK_SLOTS / 2) {
		if (binds->empty == c)
			binds->empty = NONE;
		chunk_free(binds, c);
	} else {
		binds->empty = c;
	}
}

/* ---------------------------------------------------------------- slots */

static struct slot *slot_used(const struct ipsp_binds *binds, uint32_t number)
{
	const uint32_t c = number >> CHUNK_BITS, at = number & (CHUNK_SLOTS - 1);

	if (c >= binds->n_chunks || at >= binds->chunks[c].n_touched ||
	    binds->chunks[c].slots[at].kind == IPSP_BIND_NONE)
		return NULL;
	return &binds->chunks[c].slots[at];
}

/* Gives @slot a block for its texts, which then has room for the links of a chain. */
static bool slot_make_far(struct slot *slot)
{
	if (slot->is_far)
		return true;
	size_t n = (size_t)slot->n_subscriber + slot->n_session;
	char *text = (char *)malloc(n ? n : 1);
	if (!text)
		return false;
	memcpy(text, slot->near, n);
	slot->is_far = 1;
	slot->far.text = text;
	slot->far.prev = slot->far.next = IPSP_NO_BIND;
	return true;
}

/* The number of a slot not in use, which stays so until slot_take; IPSP_NO_BIND: no memory. */
static uint32_t slot_find(struct ipsp_binds *binds)
{
	if (binds->room == NONE && !chunk_add(binds))
		return IPSP_NO_BIND;
	const struct chunk *chunk = &binds->chunks[binds->room];
	uint32_t at = chunk->unused != NONE ? chunk->unused : chunk->n_touched;

	return binds->room << CHUNK_BITS | at;
}

static void slot_take(struct ipsp_binds *binds, uint32_t number)
{
	const uint32_t c = number >> CHUNK_BITS, at = number & (CHUNK_SLOTS - 1);
	struct chunk *chunk = &binds->chunks[c];

	if (at == chunk->n_touched)
		chunk->n_touched++;
	else
		chunk->unused = chunk->slots[at].far.next;
	chunk->n_used++;
	if (!has_room(chunk))
		room_remove(binds, c);
}

static void slot_give(struct ipsp_binds *binds, uint32_t number)
{
	const uint32_t c = number >> CHUNK_BITS, at = number & (CHUNK_SLOTS - 1);
	struct chunk *chunk = &binds->chunks[c];
	struct slot *slot = &chunk->slots[at];

	if (slot->is_far)
		free(slot->far.text);
	memset(slot, 0, sizeof(*slot));
	slot->far.next = chunk->unused;
	chunk->unused = at;
	if (!has_room(chunk))
		room_put(binds, c);
	if (--chunk->n_used == 0)
		chunk_emptied(binds, c);
	if (binds->empty != NONE)
		chunk_emptied(binds, binds->empty);
}

/* Fills @slot, which has just been taken, from @bind, texts copied; false: no memory for them. */
static bool slot_fill(struct slot *slot, const struct ipsp_bind *bind)
{
	const size_t n_subscriber = bind->ident.n_subscriber, n_session = bind->ident.n_session;
	const bool is_far = n_subscriber + n_session > INLINE_TEXT;
	char *text = is_far ? (char *)malloc(n_subscriber + n_session) : slot->near;

	if (!text)
		return false;
	*slot = (struct slot){.at = (bind->at < AT_NEVER ? bind->at : AT_NEVER) & AT_NEVER,
			      .ha = bind->ha,
			      .index = bind->index & 0x3ffffffu,
			      .pool = bind->pool & 0x3ffu,
			      .kind = (unsigned)bind->kind & 3,
			      .flags = bind->flags & 7u,
			      .is_far = is_far,
			      .n_subscriber = bind->ident.n_subscriber,
			      .n_session = bind->ident.n_session};
	if (is_far) {
		slot->far.text = text;
		slot->far.prev = slot->far.next = IPSP_NO_BIND;
	}
	ipsp_copy_text(text, bind->ident.subscriber, n_subscriber);
	ipsp_copy_text(text + n_subscriber, bind->ident.session, n_session);
	return true;
}

/* ---------------------------------------------------------------- chains of KEPT ones */

static uint32_t kept_next(const struct slot *slot)
{
	return slot->kind == IPSP_BIND_KEPT && slot->is_far ? slot->far.next : IPSP_NO_BIND;
}

static uint32_t kept_prev(const struct slot *slot)
{
	return slot->kind == IPSP_BIND_KEPT && slot->is_far ? slot->far.prev : IPSP_NO_BIND;
}

/* @number, filled and far, goes behind the head, which stays the one in the index. */
static void chain_add(struct ipsp_binds *binds, uint32_t head, uint32_t number)
{
	struct slot *first = slot_at(binds, head), *slot = slot_at(binds, number);

	slot->far.prev = head;
	slot->far.next = first->far.next;
	if (first->far.next != IPSP_NO_BIND)
		slot_at(binds, first->far.next)->far.prev = number;
	first->far.next = number;
}

/* Takes @number out of its chain. True where it was in the index, and nothing else took its place.
 */
static bool chain_del(struct ipsp_binds *binds, uint32_t number, uint64_t hash)
{
	const struct slot *slot = slot_at(binds, number);
	uint32_t prev = kept_prev(slot), next = kept_next(slot);

	if (next != IPSP_NO_BIND)
		slot_at(binds, next)->far.prev = prev;
	if (prev != IPSP_NO_BIND) {
		slot_at(binds, prev)->far.next = next;
		return false;
	}
	if (next == IPSP_NO_BIND)
		return true;
	ipsp_bind_index_replace(binds, hash, number, next);
	return false;
}

/* ---------------------------------------------------------------- life */

struct ipsp_binds *ipsp_binds_new(const uint8_t hash_key[16])
{
	struct ipsp_binds *binds = (struct ipsp_binds *)calloc(1, sizeof(*binds));

	if (!binds || !ipsp_bind_index_make(binds, 0)) {
		free(binds);
		return NULL;
	}
	binds->keyed = ipsp_sip_begin(hash_key);
	binds->room = binds->absent = binds->empty = NONE;
	return binds;
}

void ipsp_binds_free(struct ipsp_binds *binds)
{
	if (!binds)
		return;
	for (uint32_t c = 0; c < binds->n_chunks; c++) {
		struct chunk *chunk = &binds->chunks[c];

		for (uint32_t at = 0; at < chunk->n_touched; at++)
			if (chunk->slots[at].is_far)
				free(chunk->slots[at].far.text);
		free(chunk->slots);
	}
	free(binds->chunks);
	ipsp_bind_index_free(binds);
	free(binds);
}

uint32_t ipsp_binds_count(const struct ipsp_binds *binds)
{
	return binds->count;
}

/* ---------------------------------------------------------------- changes */

/* Puts what is in slot @number where it is found by name. */
static bool name_add(struct ipsp_binds *binds, uint32_t number, uint64_t hash)
{
	struct slot *slot = slot_at(binds, number);
	uint32_t head = IPSP_NO_BIND;

	if (slot->kind == IPSP_BIND_KEPT && binds->n_kept > 0) {
		struct ipsp_ident ident = ident_of(slot);
		head = ipsp_bind_index_find(binds, hash, IPSP_BIND_KEPT, &ident);
	}
	if (head == IPSP_NO_BIND) {
		if (!ipsp_bind_index_reserve(binds))
			return false;
		ipsp_bind_index_add(binds, hash, number);
		return true;
	}
	if (!slot_make_far(slot) || !slot_make_far(slot_at(binds, head)))
		return false;
	chain_add(binds, head, number);
	return true;
}

uint32_t ipsp_binds_add(struct ipsp_binds *binds, const struct ipsp_bind *bind)
{
	uint32_t number = slot_find(binds);

	if (number == IPSP_NO_BIND)
		return IPSP_NO_BIND;
	slot_take(binds, number);
	binds->count++;
	if (slot_fill(slot_at(binds, number), bind) &&
	    (binds->loading ||
	     name_add(binds, number, ipsp_bind_hash(binds, bind->kind, &bind->ident)))) {
		binds->n_kept += bind->kind == IPSP_BIND_KEPT;
		return number;
	}
	binds->count--;
	slot_give(binds, number);
	return IPSP_NO_BIND;
}

void ipsp_binds_del(struct ipsp_binds *binds, uint32_t bind)
{
	const struct slot *slot = slot_used(binds, bind);

	if (!slot)
		return;
	if (!binds->loading) {
		uint64_t hash = ipsp_bind_hash_of(binds, bind);
		if (chain_del(binds, bind, hash))
			ipsp_bind_index_del(binds, hash, bind);
	}
	binds->count--;
	binds->n_kept -= slot->kind == IPSP_BIND_KEPT;
	slot_give(binds, bind);
}

void ipsp_binds_set_flags(struct ipsp_binds *binds, uint32_t bind, uint8_t flags)
{
	struct slot *slot = slot_used(binds, bind);

	if (slot)
		slot->flags = flags & 7u;
}

void ipsp_binds_set_ha(struct ipsp_binds *binds, uint32_t bind, uint16_t ha)
{
	struct slot *slot = slot_used(binds, bind);

	if (slot)
		slot->ha = ha;
}

uint16_t ipsp_binds_ha(const struct ipsp_binds *binds, uint32_t bind)
{
	const struct slot *slot = slot_used(binds, bind);

	return slot ? slot->ha : 0;
}

/* ---------------------------------------------------------------- loading */

void ipsp_binds_load(struct ipsp_binds *binds)
{
	assert(binds->count == 0);
	binds->loading = true;
}

struct ahead { /* whose places in the index are on their way into the cache */
	uint32_t numbers[MOVE_AHEAD], n;
	uint64_t hashes[MOVE_AHEAD];
};

/* What has waited longest, if it is there, goes into the index, and @number, if it is one, waits.
 */
static bool load_next(struct ipsp_binds *binds, struct ahead *ahead, uint32_t number)
{
	const uint32_t i = ahead->n++ % MOVE_AHEAD, oldest = ahead->numbers[i];
	bool ok = true;

	if (oldest != IPSP_NO_BIND && slot_at(binds, oldest)->kind == IPSP_BIND_KEPT)
		ok = name_add(binds, oldest, ahead->hashes[i]);
	else if (oldest != IPSP_NO_BIND)
		ipsp_bind_index_put(binds, ahead->hashes[i], oldest);

	ahead->numbers[i] = number;
	if (number == IPSP_NO_BIND)
		return ok;
	ahead->hashes[i] = ipsp_bind_hash_of(binds, number);
	ipsp_bind_index_fetch(binds, ahead->hashes[i]);
	return ok;
}

bool ipsp_binds_loaded(struct ipsp_binds *binds)
{
	struct ahead ahead = {.n = 0};

	if (!binds->loading)
		return true;
	binds->loading = false;
	/* nothing has to grow or to move from here on */
	if (!ipsp_bind_index_make(binds, binds->count))
		return false;
	memset(ahead.numbers, 0xff, sizeof(ahead.numbers));
	for (uint32_t c = 0; c < binds->n_chunks; c++) {
		const struct chunk *chunk = &binds->chunks[c];

		for (uint32_t at = 0; at < chunk->n_touched; at++)
			if (chunk->slots[at].kind != IPSP_BIND_NONE &&
			    !load_next(binds, &ahead, c << CHUNK_BITS | at))
				return false;
	}
	for (uint32_t i = 0; i < MOVE_AHEAD; i++)
		if (!load_next(binds, &ahead, IPSP_NO_BIND))
			return false;
	return true;
}

/* ---------------------------------------------------------------- looking */

bool ipsp_binds_get(const struct ipsp_binds *binds, uint32_t bind, struct ipsp_bind *out)
{
	const struct slot *slot = slot_used(binds, bind);

	if (!slot)
		return false;
	*out = (struct ipsp_bind){
		.kind = (enum ipsp_bind_kind)slot->kind,
		.flags = slot->flags,
		.pool = slot->pool,
		.ha = slot->ha,
		.index = slot->index,
		.at = slot->at == AT_NEVER ? IPSP_NEVER : slot->at,
		.ident = ident_of(slot),
	};
	return true;
}

void ipsp_binds_foresee(const struct ipsp_binds *binds, struct ipsp_ident *ident)
{
	ident->hash = ipsp_bind_hash(binds, IPSP_BIND_SESSION, ident);
	ipsp_bind_index_fetch(binds, ident->hash);
}

uint32_t ipsp_binds_session(const struct ipsp_binds *binds, const struct ipsp_ident *ident)
{
	assert(!binds->loading);
	return ipsp_bind_index_find(binds, ipsp_bind_hash(binds, IPSP_BIND_SESSION, ident),
				    IPSP_BIND_SESSION, ident);
}

uint32_t ipsp_binds_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident,
			 uint32_t after_bind)
{
	assert(!binds->loading);
	if (after_bind != IPSP_NO_BIND) {
		const struct slot *slot = slot_used(binds, after_bind);

		return slot ? kept_next(slot) : IPSP_NO_BIND;
	}
	if (binds->n_kept == 0)
		return IPSP_NO_BIND;
	return ipsp_bind_index_find(binds, ipsp_bind_hash(binds, IPSP_BIND_KEPT, ident),
				    IPSP_BIND_KEPT, ident);
}

void ipsp_binds_fetch(const struct ipsp_binds *binds, uint32_t bind)
{
	if (bind >> CHUNK_BITS < binds->n_chunks)
		__builtin_prefetch(slot_at(binds, bind));
}

uint32_t ipsp_binds_next(const struct ipsp_binds *binds, uint32_t from)
{
	uint32_t at = from & (CHUNK_SLOTS - 1);

	for (uint32_t c = from >> CHUNK_BITS; c < binds->n_chunks; c++, at = 0)
		for (; at < binds->chunks[c].n_touched; at++)
			if (binds->chunks[c].slots[at].kind != IPSP_BIND_NONE)
				return c << CHUNK_BITS | at;
	return IPSP_NO_BIND;
}

/* ---------------------------------------------------------------- checking */

static void check_chunk(const struct ipsp_binds *binds, uint32_t c, uint32_t *count,
			uint32_t *n_kept)
{
	const struct chunk *chunk = &binds->chunks[c];
	uint32_t n = 0, n_unused = 0;

	for (uint32_t at = 0; at < chunk->n_touched; at++) {
		n += chunk->slots[at].kind != IPSP_BIND_NONE;
		*n_kept += chunk->slots[at].kind == IPSP_BIND_KEPT;
	}
	assert(n == chunk->n_used);
	for (uint32_t at = chunk->unused; at != NONE; at = chunk->slots[at].far.next, n_unused++) {
		assert(at < chunk->n_touched && n_unused < chunk->n_touched);
		assert(chunk->slots[at].kind == IPSP_BIND_NONE);
	}
	assert(n + n_unused == chunk->n_touched);
	*count += n;
}

void ipsp_binds_check(const struct ipsp_binds *binds)
{
	uint32_t count = 0, n_kept = 0, n_present = 0, n_room = 0, n_absent = 0, n_empty = 0;

	for (uint32_t c = 0; c < binds->n_chunks; c++) {
		check_chunk(binds, c, &count, &n_kept);
		n_present += binds->chunks[c].slots != NULL;
		n_empty += binds->chunks[c].slots && binds->chunks[c].n_used == 0;
		n_room += binds->chunks[c].slots && has_room(&binds->chunks[c]);
	}
	assert(count == binds->count && n_kept == binds->n_kept);
	assert(n_present == binds->n_present && n_empty <= 1);
	for (uint32_t c = binds->room, prev = NONE; c != NONE;
	     prev = c, c = binds->chunks[c].next) {
		assert(binds->chunks[c].slots && has_room(&binds->chunks[c]));
		assert(binds->chunks[c].prev == prev && n_room-- > 0);
	}
	for (uint32_t c = binds->absent; c != NONE; c = binds->chunks[c].next, n_absent++)
		assert(!binds->chunks[c].slots && n_absent < binds->n_chunks);
	assert(n_room == 0 && n_absent + n_present == binds->n_chunks);
	if (!binds->loading)
		ipsp_bind_index_check(binds);
}
