/*
 * bind - see bind.h.
 *
 * The slab is made of chunks that never move. A slot has 32 bytes: 16 of numbers, and 16 for both
 * texts one behind the other; where they don't fit, a block of their own.
 *
 * The index is a table of 32-bit entries: 0 for an empty one, else number + 1, two bits of the
 * hash, and how far the entry is from home, the place that its hash names. Linear probing, always
 * in the order of homes: a search ends at the first entry from a later home and looks at few slots
 * but the right one; a deletion shifts back what follows without a look at any; no tombstones. A
 * table doubles when it is filled to five sixths, in small steps: some old entries move with
 * each change, so no request waits for a million others. Until all have moved both tables are
 * searched.
 *
 * Of the KEPT ones of one subscriber only one is in the index, the head of a chain. Otherwise
 * a subscriber with many would be one long run from one home, and slow for all around it.
 */
#include "core/bind.h"
#include "base/bytes.h"
#include "base/siphash.h"
#include "core/pool.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BITS  13
#define CHUNK_SLOTS (1u << CHUNK_BITS)
#define INLINE_TEXT 16
#define AT_BITS	    48
#define AT_NEVER    ((UINT64_C(1) << AT_BITS) - 1)

/* an entry: number + 1 in the low bits, a tag, the distance on top */
#define NUMBER_MASK    ((1u << 26) - 1)
#define TAG_MASK       (3u << 26)
#define DISTANCE_SHIFT 28
#define FAR_AWAY       15u /* this or more: ask the hash */
#define SIZE_MIN       64u
#define MOVE_STEPS     4u  /* for each change; with 3 the old table is empty in time */
#define MOVE_AHEAD     16u /* how far the slots of the next ones to move are fetched in advance */

_Static_assert(IPSP_POOLS_MAX <= 1 << 10, "a slot has 10 bits for the pool");

struct slot {
	uint64_t at : AT_BITS;
	uint64_t ha : 16;
	uint64_t index : 26;
	uint64_t pool : 10;
	uint64_t kind : 2; /* NONE: not in use, the next such one is far.next */
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

struct table {
	uint32_t *entries; /* owned; NULL: no such table */
	uint32_t size;
};

struct ipsp_binds {
	struct ipsp_sip keyed; /* where each hash begins */
	struct slot **chunks;  /* owned, each owned */
	uint32_t n_chunks, cap_chunks;
	uint32_t n_slots; /* used at least once: those below have a kind */
	uint32_t unused;  /* the first slot below that is not in use */
	uint32_t count, n_kept;
	struct table now, old; /* old: what has not moved to now yet */
	uint32_t n_entries;    /* in both */
	uint32_t moved;	       /* old entries before this one are empty */
};

/* ---------------------------------------------------------------- slots */

static struct slot *slot_at(const struct ipsp_binds *binds, uint32_t number)
{
	return &binds->chunks[number >> CHUNK_BITS][number & (CHUNK_SLOTS - 1)];
}

static struct slot *slot_used(const struct ipsp_binds *binds, uint32_t number)
{
	if (number >= binds->n_slots || slot_at(binds, number)->kind == IPSP_BIND_NONE)
		return NULL;
	return slot_at(binds, number);
}

static const char *text_of(const struct slot *slot)
{
	return slot->is_far ? slot->far.text : slot->near;
}

static struct ipsp_ident ident_of(const struct slot *slot)
{
	const char *text = text_of(slot);

	return (struct ipsp_ident){text, text + slot->n_subscriber, slot->n_subscriber,
				   slot->n_session, 0};
}

static bool text_equal(const char *a, size_t n_a, const char *b, size_t n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a) == 0);
}

static bool slot_is(const struct slot *slot, enum ipsp_bind_kind kind,
		    const struct ipsp_ident *ident)
{
	struct ipsp_ident own = ident_of(slot);

	if (slot->kind != kind ||
	    !text_equal(own.subscriber, own.n_subscriber, ident->subscriber, ident->n_subscriber))
		return false;
	return kind == IPSP_BIND_KEPT ||
	       text_equal(own.session, own.n_session, ident->session, ident->n_session);
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

static bool chunk_add(struct ipsp_binds *binds)
{
	if (binds->n_chunks == binds->cap_chunks) {
		uint32_t cap = binds->cap_chunks ? 2 * binds->cap_chunks : 4;
		struct slot **chunks =
			(struct slot **)realloc(binds->chunks, cap * sizeof(struct slot *));
		if (!chunks)
			return false;
		binds->chunks = chunks;
		binds->cap_chunks = cap;
	}
	struct slot *chunk = (struct slot *)malloc(CHUNK_SLOTS * sizeof(*chunk));
	if (!chunk)
		return false;
	binds->chunks[binds->n_chunks++] = chunk;
	return true;
}

/* The number of a slot not in use, which stays so until slot_fill; IPSP_NO_BIND: no memory. */
static uint32_t slot_find(struct ipsp_binds *binds)
{
	if (binds->unused != IPSP_NO_BIND)
		return binds->unused;
	if (binds->n_slots >= NUMBER_MASK) /* number + 1 has to fit */
		return IPSP_NO_BIND;
	if (binds->n_slots == binds->n_chunks * CHUNK_SLOTS && !chunk_add(binds))
		return IPSP_NO_BIND;
	return binds->n_slots;
}

static void slot_give(struct ipsp_binds *binds, uint32_t number)
{
	struct slot *slot = slot_at(binds, number);

	if (slot->is_far)
		free(slot->far.text);
	memset(slot, 0, sizeof(*slot));
	slot->far.next = binds->unused;
	binds->unused = number;
}

/*
 * Takes the slot that slot_find has found, for @bind, texts copied; @far: with a block for them,
 * however short they are. False: no memory, and it is as it was.
 */
static bool slot_fill(struct ipsp_binds *binds, uint32_t number, const struct ipsp_bind *bind,
		      bool far)
{
	const struct ipsp_ident *ident = &bind->ident;
	const size_t n = (size_t)ident->n_subscriber + ident->n_session;
	struct slot *slot = slot_at(binds, number);
	char *text = slot->near;

	far = far || n > INLINE_TEXT;
	if (far && !(text = (char *)malloc(n ? n : 1)))
		return false;
	if (number == binds->n_slots)
		binds->n_slots++;
	else
		binds->unused = slot->far.next;
	*slot = (struct slot){.at = (bind->at < AT_NEVER ? bind->at : AT_NEVER) & AT_NEVER,
			      .ha = bind->ha,
			      .index = bind->index & 0x3ffffffu,
			      .pool = bind->pool & 0x3ffu,
			      .kind = (unsigned)bind->kind & 3,
			      .flags = bind->flags & 7u,
			      .is_far = far,
			      .n_subscriber = ident->n_subscriber,
			      .n_session = ident->n_session};
	if (far) {
		slot->far.text = text;
		slot->far.prev = slot->far.next = IPSP_NO_BIND;
	}
	ipsp_copy_text(text, ident->subscriber, ident->n_subscriber);
	ipsp_copy_text(text + ident->n_subscriber, ident->session, ident->n_session);
	return true;
}

/* ---------------------------------------------------------------- the index: one table */

/*
 * Keyed, so that nobody outside can choose names that collide. The last word has both lengths:
 * "ab","c" is not "a","bc".
 */
static uint64_t hash_new(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			 const struct ipsp_ident *ident)
{
	const size_t n_session = kind == IPSP_BIND_SESSION ? ident->n_session : 0;
	struct ipsp_sip sip = binds->keyed;

	ipsp_sip_text(&sip, ident->subscriber, ident->n_subscriber);
	ipsp_sip_text(&sip, ident->session, n_session);
	return ipsp_sip_end(&sip, (uint64_t)kind | (uint64_t)ident->n_subscriber << 8 |
					  (uint64_t)n_session << 16);
}

static uint64_t hash_of(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			const struct ipsp_ident *ident)
{
	if (kind == IPSP_BIND_SESSION && ident->hash != 0)
		return ident->hash;
	return hash_new(binds, kind, ident);
}

static uint64_t hash_of_slot(const struct ipsp_binds *binds, uint32_t number)
{
	const struct slot *slot = slot_at(binds, number);
	struct ipsp_ident ident = ident_of(slot);

	return hash_of(binds, (enum ipsp_bind_kind)slot->kind, &ident);
}

static uint32_t home_of(const struct table *table, uint64_t hash)
{
	return (uint32_t)((hash >> 32) * table->size >> 32); /* any size, no division */
}

static uint32_t after(const struct table *table, uint32_t place)
{
	return place + 1 < table->size ? place + 1 : 0;
}

static uint32_t number_of(uint32_t entry)
{
	return (entry & NUMBER_MASK) - 1;
}

static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)hash & TAG_MASK; /* home is made of the upper half */
}

static uint32_t with_distance(uint32_t entry, uint32_t distance)
{
	uint32_t near = distance < FAR_AWAY ? distance : FAR_AWAY;

	return (entry & (NUMBER_MASK | TAG_MASK)) | near << DISTANCE_SHIFT;
}

static uint32_t distance_of(const struct ipsp_binds *binds, const struct table *table,
			    uint32_t place)
{
	uint32_t entry = table->entries[place];

	if (entry >> DISTANCE_SHIFT < FAR_AWAY)
		return entry >> DISTANCE_SHIFT;
	uint32_t home = home_of(table, hash_of_slot(binds, number_of(entry)));
	return place >= home ? place - home : place + table->size - home;
}

/* The entry of @number; where that is IPSP_NO_BIND, of the one of that kind and identity; or NULL.
 */
static uint32_t *table_find(const struct ipsp_binds *binds, const struct table *table,
			    uint64_t hash, uint32_t number, enum ipsp_bind_kind kind,
			    const struct ipsp_ident *ident)
{
	if (!table->entries)
		return NULL;
	uint32_t place = home_of(table, hash), distance = 0;
	for (; table->entries[place] != 0; place = after(table, place), distance++) {
		uint32_t *entry = &table->entries[place];
		uint32_t its = distance_of(binds, table, place);

		if (its < distance)
			break; /* from a later home */
		if (its > distance || (*entry & TAG_MASK) != tag_of(hash))
			continue; /* from an earlier one, or another name */
		if (number != IPSP_NO_BIND
			    ? number_of(*entry) == number
			    : slot_is(slot_at(binds, number_of(*entry)), kind, ident))
			return entry;
	}
	return NULL;
}

/* Puts @number behind those of its home and of earlier ones; the later ones make room. */
static void table_insert(const struct ipsp_binds *binds, struct table *table, uint64_t hash,
			 uint32_t number)
{
	uint32_t place = home_of(table, hash), distance = 0;
	uint32_t hand = (number + 1) | tag_of(hash);

	while (table->entries[place] != 0 && distance_of(binds, table, place) >= distance) {
		place = after(table, place);
		distance++;
	}
	while (table->entries[place] != 0) { /* the one in hand stays here, the one here goes on */
		uint32_t next = table->entries[place];
		uint32_t next_distance = distance_of(binds, table, place) + 1;

		table->entries[place] = with_distance(hand, distance);
		hand = next;
		distance = next_distance;
		place = after(table, place);
	}
	table->entries[place] = with_distance(hand, distance);
}

static void table_delete(const struct ipsp_binds *binds, struct table *table, uint32_t place)
{
	for (;;) {
		uint32_t next = after(table, place);

		if (table->entries[next] == 0 || distance_of(binds, table, next) == 0)
			break;
		table->entries[place] =
			with_distance(table->entries[next], distance_of(binds, table, next) - 1);
		place = next;
	}
	table->entries[place] = 0;
}

/* ---------------------------------------------------------------- the index: both tables */

static uint32_t *index_find(const struct ipsp_binds *binds, uint64_t hash, uint32_t number,
			    enum ipsp_bind_kind kind, const struct ipsp_ident *ident)
{
	uint32_t *entry = table_find(binds, &binds->now, hash, number, kind, ident);

	return entry ? entry : table_find(binds, &binds->old, hash, number, kind, ident);
}

/* Each step moves one old entry, or finds the next place empty. The last one ends the old table. */
static void index_move(struct ipsp_binds *binds, uint32_t steps)
{
	struct table *old = &binds->old;

	for (; steps > 0 && old->entries; steps--) {
		uint32_t entry = old->entries[binds->moved];

		if (binds->moved + MOVE_AHEAD < old->size) {
			uint32_t ahead = old->entries[binds->moved + MOVE_AHEAD];
			if (ahead != 0)
				__builtin_prefetch(slot_at(binds, number_of(ahead)));
		}
		if (entry != 0) {
			uint64_t hash = hash_of_slot(binds, number_of(entry));

			table_delete(binds, old, binds->moved); /* may fill the place again */
			table_insert(binds, &binds->now, hash, number_of(entry));
		} else if (++binds->moved == old->size) {
			free(old->entries);
			*old = (struct table){NULL, 0};
		}
	}
}

/* Room for one more entry; false: no memory. */
static bool index_reserve(struct ipsp_binds *binds)
{
	if (binds->n_entries + 1 <= (uint64_t)binds->now.size * 5 / 6)
		return true;
	uint32_t size = 2 * binds->now.size;
	uint32_t *entries = (uint32_t *)calloc(size, sizeof(*entries));
	if (!entries)
		return false;
	/* nothing is left of the old one, as MOVE_STEPS is chosen; but be sure */
	index_move(binds, UINT32_MAX);
	binds->old = binds->now;
	binds->now.entries = entries;
	binds->now.size = size;
	binds->moved = 0;
	return true;
}

static void index_add(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	table_insert(binds, &binds->now, hash, number);
	binds->n_entries++;
	if (binds->old.entries)
		index_move(binds, MOVE_STEPS);
}

static void index_del(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	struct table *table = &binds->now;
	uint32_t *entry = table_find(binds, table, hash, number, IPSP_BIND_NONE, NULL);

	if (!entry) {
		table = &binds->old;
		entry = table_find(binds, table, hash, number, IPSP_BIND_NONE, NULL);
	}
	if (!entry)
		return;
	table_delete(binds, table, (uint32_t)(entry - table->entries));
	binds->n_entries--;
	if (binds->old.entries)
		index_move(binds, MOVE_STEPS);
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
	uint32_t *entry = index_find(binds, hash, number, IPSP_BIND_NONE, NULL);
	if (entry)
		*entry = (*entry & ~NUMBER_MASK) | (next + 1); /* the same name, so the same home */
	return false;
}

/* ---------------------------------------------------------------- life */

struct ipsp_binds *ipsp_binds_new(const uint8_t hash_key[16])
{
	struct ipsp_binds *binds = (struct ipsp_binds *)calloc(1, sizeof(*binds));

	if (!binds)
		return NULL;
	binds->keyed = ipsp_sip_begin(hash_key);
	binds->unused = IPSP_NO_BIND;
	binds->now.size = SIZE_MIN;
	binds->now.entries = (uint32_t *)calloc(SIZE_MIN, sizeof(uint32_t));
	if (!binds->now.entries) {
		free(binds);
		return NULL;
	}
	return binds;
}

void ipsp_binds_free(struct ipsp_binds *binds)
{
	if (!binds)
		return;
	for (uint32_t number = 0; number < binds->n_slots; number++) {
		struct slot *slot = slot_used(binds, number);

		if (slot && slot->is_far)
			free(slot->far.text);
	}
	for (uint32_t i = 0; i < binds->n_chunks; i++)
		free(binds->chunks[i]);
	free(binds->chunks);
	free(binds->now.entries);
	free(binds->old.entries);
	free(binds);
}

uint32_t ipsp_binds_count(const struct ipsp_binds *binds)
{
	return binds->count;
}

/* ---------------------------------------------------------------- changes */

uint32_t ipsp_binds_add(struct ipsp_binds *binds, const struct ipsp_bind *bind)
{
	const uint64_t hash = hash_of(binds, bind->kind, &bind->ident);
	const uint32_t number = slot_find(binds);
	uint32_t *head = NULL;

	if (number == IPSP_NO_BIND || !index_reserve(binds))
		return IPSP_NO_BIND;
	if (bind->kind == IPSP_BIND_KEPT && binds->n_kept > 0)
		head = index_find(binds, hash, IPSP_NO_BIND, IPSP_BIND_KEPT, &bind->ident);
	if (!slot_fill(binds, number, bind, head != NULL))
		return IPSP_NO_BIND;
	/* only now: the texts may be those of the head, which move */
	if (head && !slot_make_far(slot_at(binds, number_of(*head)))) {
		slot_give(binds, number);
		return IPSP_NO_BIND;
	}
	if (head)
		chain_add(binds, number_of(*head), number);
	else
		index_add(binds, hash, number);
	binds->count++;
	binds->n_kept += bind->kind == IPSP_BIND_KEPT;
	return number;
}

void ipsp_binds_del(struct ipsp_binds *binds, uint32_t bind)
{
	const struct slot *slot = slot_used(binds, bind);

	if (!slot)
		return;
	uint64_t hash = hash_of_slot(binds, bind);
	if (chain_del(binds, bind, hash))
		index_del(binds, hash, bind);
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
	ident->hash = hash_of(binds, IPSP_BIND_SESSION, ident);
	__builtin_prefetch(&binds->now.entries[home_of(&binds->now, ident->hash)], 1);
}

uint32_t ipsp_binds_session(const struct ipsp_binds *binds, const struct ipsp_ident *ident)
{
	uint64_t hash = hash_of(binds, IPSP_BIND_SESSION, ident);
	const uint32_t *entry = index_find(binds, hash, IPSP_NO_BIND, IPSP_BIND_SESSION, ident);

	return entry ? number_of(*entry) : IPSP_NO_BIND;
}

uint32_t ipsp_binds_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident,
			 uint32_t after_bind)
{
	if (after_bind != IPSP_NO_BIND) {
		const struct slot *slot = slot_used(binds, after_bind);

		return slot ? kept_next(slot) : IPSP_NO_BIND;
	}
	if (binds->n_kept == 0)
		return IPSP_NO_BIND;
	uint64_t hash = hash_of(binds, IPSP_BIND_KEPT, ident);
	const uint32_t *entry = index_find(binds, hash, IPSP_NO_BIND, IPSP_BIND_KEPT, ident);
	return entry ? number_of(*entry) : IPSP_NO_BIND;
}

uint32_t ipsp_binds_next(const struct ipsp_binds *binds, uint32_t from)
{
	for (uint32_t number = from; number < binds->n_slots; number++) {
		if (slot_at(binds, number)->kind != IPSP_BIND_NONE)
			return number;
	}
	return IPSP_NO_BIND;
}
