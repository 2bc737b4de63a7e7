/*
 * bind_index - the number of a binding by its name.
 *
 * A table of 32-bit entries: 0 for an empty one, else number + 1, two bits of the hash, and how far
 * the entry is from home, the place that its hash names. Linear probing, always in the order of
 * homes: a search ends at the first entry from a later home and looks at few slots but the right
 * one; a deletion shifts back what follows without a look at any; no tombstones.
 *
 * A table doubles when it is filled to five sixths, in small steps: some old entries move with each
 * change, so no request waits for a million others. It goes down to a quarter of its size when no
 * more than an eighth of it was in use for a minute: sessions that have all ended come back often,
 * and would pay for the way up again. That way down goes on with the time. Until all have moved
 * both tables are searched.
 *
 * Of the KEPT ones of one subscriber only one is in the index, the head of a chain. Otherwise
 * a subscriber with many would be one long run from one home, and slow for all around it.
 */
#include "base/attr.h"
#include "base/must.h"
#include "core/bind_int.h"
#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 64u

/*
 * How many move with each change. Of n places, five sixths of them taken, all have moved when as
 * many more have come. Of n places with n/8 entries that move to n/4, they have when n/12 have come
 * (1.5 entries and 12 places each), or 3n/32 have gone. So the next table is never needed before.
 */
#define MOVE_ENTRIES 2u
#define MOVE_PLACES  16u
#define REST_MS	     60000u
#define REST_ENTRIES 64u /* a turn, on the way down: beside those that move with each change */
#define REST_PLACES  65536u
#define PIECE	     (1u << 18) /* entries, 1 MiB: what is given back of an old table at once */

/* ---------------------------------------------------------------- hash */

/*
 * Keyed, so that nobody outside can choose names that collide. The last word has both lengths:
 * "ab","c" is not "a","bc".
 */
IPSP_INLINE uint64_t hash_text(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			       const char *text, size_t n_subscriber, size_t n_session)
{
	struct ipsp_sip sip = binds->keyed;

	ipsp_sip_text(&sip, text, n_subscriber + n_session);
	return ipsp_sip_end(&sip, (uint64_t)kind | n_subscriber << 8 | n_session << 16);
}

IPSP_APART static uint64_t hash_apart(const struct ipsp_binds *binds,
				      const struct ipsp_ident *ident)
{
	char texts[2 * IPSP_NAME_BYTES + 4]; /* lengths may be 255, whoever calls */

	memcpy(texts, ident->subscriber, ident->n_subscriber);
	memcpy(texts + ident->n_subscriber, ident->session, ident->n_session);
	return hash_text(binds, IPSP_BIND_SESSION, texts, ident->n_subscriber, ident->n_session);
}

IPSP_INLINE uint64_t hash_new(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			      const struct ipsp_ident *ident)
{
	if (kind == IPSP_BIND_SESSION && !ipsp_ident_joined(ident))
		return hash_apart(binds, ident);
	return hash_text(binds, kind, ident->subscriber, ident->n_subscriber,
			 kind == IPSP_BIND_SESSION ? ident->n_session : 0);
}

uint64_t ipsp_bind_hash_new(const struct ipsp_binds *binds, enum ipsp_bind_kind kind,
			    const struct ipsp_ident *ident)
{
	return hash_new(binds, kind, ident);
}

uint64_t ipsp_bind_hash_of(const struct ipsp_binds *binds, uint32_t number)
{
	const struct slot *slot = slot_at(binds, number);
	const struct ipsp_ident ident = ident_of(binds, slot);

	return hash_new(binds, (enum ipsp_bind_kind)slot->kind, &ident);
}

/* ---------------------------------------------------------------- one table */

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

IPSP_APART static uint32_t far_distance(const struct ipsp_binds *binds, const struct table *table,
					uint32_t place)
{
	uint32_t home = home_of(table, ipsp_bind_hash_of(binds, number_of(table->entries[place])));

	return place >= home ? place - home : place + table->size - home;
}

static inline uint32_t distance_of(const struct ipsp_binds *binds, const struct table *table,
				   uint32_t place)
{
	uint32_t near = table->entries[place] >> DISTANCE_SHIFT;

	return near < FAR_AWAY ? near : far_distance(binds, table, place);
}

static bool text_equal(const char *a, size_t n_a, const char *b, size_t n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a) == 0);
}

IPSP_APART static bool slot_is(const struct ipsp_binds *binds, uint32_t number,
			       enum ipsp_bind_kind kind, const struct ipsp_ident *ident)
{
	const struct slot *slot = slot_at(binds, number);
	struct ipsp_ident own = ident_of(binds, slot);

	if (slot->kind != kind ||
	    !text_equal(own.subscriber, own.n_subscriber, ident->subscriber, ident->n_subscriber))
		return false;
	return kind == IPSP_BIND_KEPT ||
	       text_equal(own.session, own.n_session, ident->session, ident->n_session);
}

/*
 * The entry of @number; where that is IPSP_NO_BIND, of the one of that kind and identity. Or NULL,
 * and *@gap is where it would be put: behind those of its home and of earlier ones.
 */
IPSP_INLINE uint32_t *table_find(const struct ipsp_binds *binds, const struct table *table,
				 uint64_t hash, uint32_t number, enum ipsp_bind_kind kind,
				 const struct ipsp_ident *ident, struct gap *gap)
{
	uint32_t place = home_of(table, hash), distance = 0;

	for (; place < table->end && table->entries[place] != 0;
	     place = after(table, place), distance++) {
		uint32_t *entry = &table->entries[place];
		uint32_t its = distance_of(binds, table, place);

		if (its < distance)
			break; /* from a later home */
		if (its > distance || ((*entry ^ (uint32_t)hash) & TAG_MASK) != 0)
			continue; /* from an earlier one, or another name */
		if (number != IPSP_NO_BIND ? number_of(*entry) == number
					   : slot_is(binds, number_of(*entry), kind, ident))
			return entry;
	}
	*gap = (struct gap){hash, place, distance};
	return NULL;
}

/* For one that is not there, or for one more of an equal name. */
static struct gap table_gap(const struct ipsp_binds *binds, const struct table *table,
			    uint64_t hash)
{
	struct gap gap = {hash, home_of(table, hash), 0};

	while (table->entries[gap.place] != 0 &&
	       distance_of(binds, table, gap.place) >= gap.distance) {
		gap.place = after(table, gap.place);
		gap.distance++;
	}
	return gap;
}

/* The one in hand stays at @place, the one there goes on; until a place was empty. */
IPSP_APART static void make_room(const struct ipsp_binds *binds, struct table *table,
				 uint32_t place, uint32_t hand, uint32_t distance)
{
	while (table->entries[place] != 0) {
		uint32_t next = table->entries[place];
		uint32_t next_distance = distance_of(binds, table, place) + 1;

		table->entries[place] = with_distance(hand, distance);
		hand = next;
		distance = next_distance;
		place = after(table, place);
	}
	table->entries[place] = with_distance(hand, distance);
}

static void table_put(struct ipsp_binds *binds, struct table *table, struct gap gap,
		      uint32_t number)
{
	uint32_t entry = ipsp_bind_entry(gap.hash, number, gap.distance);

	binds->gap.hash = 0;
	if (table->entries[gap.place] == 0)
		table->entries[gap.place] = entry;
	else
		make_room(binds, table, gap.place, entry, gap.distance);
}

static void table_delete(struct ipsp_binds *binds, struct table *table, uint32_t place)
{
	binds->gap.hash = 0;
	for (;;) {
		uint32_t next = after(table, place);

		if (next >= table->end || table->entries[next] == 0 ||
		    distance_of(binds, table, next) == 0)
			break;
		table->entries[place] =
			with_distance(table->entries[next], distance_of(binds, table, next) - 1);
		place = next;
	}
	table->entries[place] = 0;
}

/* ---------------------------------------------------------------- both tables */

IPSP_APART static uint32_t *find_old(const struct ipsp_binds *binds, uint64_t hash, uint32_t number,
				     enum ipsp_bind_kind kind, const struct ipsp_ident *ident)
{
	struct gap none;

	return table_find(binds, &binds->old, hash, number, kind, ident, &none);
}

/* *@gap: of the table that is now. */
IPSP_INLINE uint32_t *find(const struct ipsp_binds *binds, uint64_t hash, uint32_t number,
			   enum ipsp_bind_kind kind, const struct ipsp_ident *ident,
			   struct gap *gap)
{
	uint32_t *entry = table_find(binds, &binds->now, hash, number, kind, ident, gap);

	if (!entry && binds->old.entries)
		entry = find_old(binds, hash, number, kind, ident);
	return entry;
}

/* The last entry of the old table has moved: its memory goes back in pieces, too. */
static void shorten(struct table *old)
{
	uint32_t *rest;

	if (--old->end == 0) {
		free(old->entries);
		*old = (struct table){NULL, 0, 0};
	} else if (old->end % PIECE == 0) {
		/* of memory that is mapped for itself this gives back some pages, and copies none
		 */
		rest = (uint32_t *)realloc(old->entries, old->end * sizeof(*rest));
		if (rest)
			old->entries = rest;
	}
}

/* From the end of the old table on; the last step ends it. */
static void move(struct ipsp_binds *binds, uint32_t entries, uint32_t places)
{
	struct table *old = &binds->old;

	while (old->entries && entries > 0 && places > 0) {
		uint32_t place = old->end - 1, entry = old->entries[place];

		if (place >= MOVE_AHEAD) {
			uint32_t ahead = old->entries[place - MOVE_AHEAD];
			if (ahead != 0)
				__builtin_prefetch(slot_at(binds, number_of(ahead)));
		}
		if (entry != 0) {
			uint64_t hash = ipsp_bind_hash_of(binds, number_of(entry));

			table_delete(binds, old, place); /* the last place may be filled again */
			table_put(binds, &binds->now, table_gap(binds, &binds->now, hash),
				  number_of(entry));
			entries--;
		} else {
			places--;
			shorten(old);
		}
	}
}

static uint32_t n_fit(uint32_t size)
{
	return (uint32_t)((uint64_t)size * 5 / 6);
}

/* Of the table that is now, which is new. */
static void set_size(struct ipsp_binds *binds, uint32_t size)
{
	binds->now.size = binds->now.end = size;
	binds->n_fit = n_fit(size);
	binds->gap.hash = 0;
}

/* From here on what is in the index moves to a table of @size. */
IPSP_APART static bool resize(struct ipsp_binds *binds, uint32_t size)
{
	uint32_t *entries = (uint32_t *)calloc(size, sizeof(*entries));

	if (!entries)
		return false;
	/* nothing is left of the old one, see MOVE_ENTRIES; but be sure */
	move(binds, UINT32_MAX, UINT32_MAX);
	binds->old = binds->now;
	binds->now.entries = entries;
	set_size(binds, size);
	return true;
}

bool ipsp_bind_index_make(struct ipsp_binds *binds, uint32_t n)
{
	uint32_t size = SIZE_MIN;

	while (n > n_fit(size))
		size *= 2;
	uint32_t *entries = (uint32_t *)calloc(size, sizeof(*entries));
	if (!entries)
		return false;
	ipsp_bind_index_free(binds);
	binds->now.entries = entries;
	set_size(binds, size);
	return true;
}

void ipsp_bind_index_free(struct ipsp_binds *binds)
{
	free(binds->now.entries);
	free(binds->old.entries);
	binds->now = binds->old = (struct table){NULL, 0, 0};
	binds->n_entries = 0;
}

void ipsp_bind_index_put(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	bool known = hash == binds->gap.hash && hash != 0;

	table_put(binds, &binds->now, known ? binds->gap : table_gap(binds, &binds->now, hash),
		  number);
	binds->n_entries++;
}

bool ipsp_bind_index_add(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	if (binds->n_entries >= binds->n_fit && !resize(binds, 2 * binds->now.size))
		return false;
	ipsp_bind_index_put(binds, hash, number);
	if (binds->old.entries)
		move(binds, MOVE_ENTRIES, MOVE_PLACES);
	return true;
}

void ipsp_bind_index_del(struct ipsp_binds *binds, uint64_t hash, uint32_t number)
{
	struct table *table = &binds->now;
	uint32_t *entry = table_find(binds, table, hash, number, IPSP_BIND_NONE, NULL, &binds->gap);

	if (!entry && binds->old.entries) {
		table = &binds->old;
		entry = find_old(binds, hash, number, IPSP_BIND_NONE, NULL);
	}
	if (!entry)
		return;
	table_delete(binds, table, (uint32_t)(entry - table->entries));
	binds->n_entries--;
	if (binds->old.entries)
		move(binds, MOVE_ENTRIES, MOVE_PLACES);
}

void ipsp_bind_index_rest(struct ipsp_binds *binds, ipsp_ms now)
{
	if (binds->old.entries && binds->old.size > binds->now.size) {
		move(binds, REST_ENTRIES, REST_PLACES); /* and on to the next quarter */
	} else if (binds->old.entries) {
		binds->roomy_since = IPSP_NEVER;
	} else if (binds->now.size <= SIZE_MIN || binds->n_entries >= binds->now.size / 8) {
		binds->roomy_since = IPSP_NEVER;
	} else if (binds->roomy_since == IPSP_NEVER) {
		binds->roomy_since = now;
	} else if (now - binds->roomy_since >= REST_MS) {
		/* where there is no memory it stays as large as it is */
		resize(binds, binds->now.size / 4 > SIZE_MIN ? binds->now.size / 4 : SIZE_MIN);
	}
}

uint32_t ipsp_bind_index_find(const struct ipsp_binds *binds, uint64_t hash,
			      enum ipsp_bind_kind kind, const struct ipsp_ident *ident)
{
	struct gap none;
	const uint32_t *entry = find(binds, hash, IPSP_NO_BIND, kind, ident, &none);

	return entry ? number_of(*entry) : IPSP_NO_BIND;
}

void ipsp_bind_index_replace(struct ipsp_binds *binds, uint64_t hash, uint32_t number,
			     uint32_t other)
{
	IPSP_MUST(number != IPSP_NO_BIND);
	struct gap none;
	uint32_t *entry = find(binds, hash, number, IPSP_BIND_NONE, NULL, &none);

	if (entry)
		*entry = (*entry & ~NUMBER_MASK) | (other + 1); /* the same name: the same home */
}

void ipsp_bind_index_fetch(const struct ipsp_binds *binds, uint64_t hash)
{
	__builtin_prefetch(&binds->now.entries[home_of(&binds->now, hash)], 1);
}

/* ---------------------------------------------------------------- sessions by name */

void ipsp_binds_foresee_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident)
{
	ipsp_bind_index_fetch(binds, ipsp_bind_hash_new(binds, IPSP_BIND_KEPT, ident));
}

void ipsp_binds_foresee(const struct ipsp_binds *binds, struct ipsp_ident *ident)
{
	ident->hash = hash_new(binds, IPSP_BIND_SESSION, ident);
	ipsp_bind_index_fetch(binds, ident->hash);
}

uint32_t ipsp_binds_session(const struct ipsp_binds *binds, const struct ipsp_ident *ident)
{
	IPSP_MUST(!binds->loading);
	return ipsp_bind_index_find(binds, ipsp_bind_hash(binds, IPSP_BIND_SESSION, ident),
				    IPSP_BIND_SESSION, ident);
}

/* Where it is not enough to look at the entries. */
IPSP_APART static uint32_t seek_slots(struct ipsp_binds *binds, uint64_t hash,
				      const struct ipsp_ident *ident)
{
	const uint32_t *entry =
		find(binds, hash, IPSP_NO_BIND, IPSP_BIND_SESSION, ident, &binds->gap);

	return entry ? number_of(*entry) : IPSP_NO_BIND;
}

/* As table_find, for as long as nothing else is to be looked at: mostly until it is known that
 * there is none. */
uint32_t ipsp_binds_seek(struct ipsp_binds *binds, const struct ipsp_ident *ident)
{
	const uint64_t hash = ipsp_bind_hash(binds, IPSP_BIND_SESSION, ident);
	const struct table *table = &binds->now;
	uint32_t place = home_of(table, hash), distance = 0, entry;

	IPSP_MUST(!binds->loading);
	if (binds->old.entries)
		return seek_slots(binds, hash, ident);
	while ((entry = table->entries[place]) != 0 && entry >> DISTANCE_SHIFT >= distance) {
		const bool alike = entry >> DISTANCE_SHIFT == distance &&
				   ((entry ^ (uint32_t)hash) & TAG_MASK) == 0;
		if (alike || entry >> DISTANCE_SHIFT == FAR_AWAY)
			return seek_slots(binds, hash, ident);
		place = after(table, place);
		distance++;
	}
	binds->gap = (struct gap){hash, place, distance};
	return IPSP_NO_BIND;
}

/* ---------------------------------------------------------------- checking */

static uint32_t check_table(const struct ipsp_binds *binds, const struct table *table)
{
	uint32_t n = 0;

	for (uint32_t place = 0; place < table->end; place++) {
		uint32_t entry = table->entries[place], before = place ? place : table->size;

		if (entry == 0)
			continue;
		n++;
		uint64_t hash = ipsp_bind_hash_of(binds, number_of(entry));
		uint32_t distance = distance_of(binds, table, place);
		IPSP_MUST((entry & TAG_MASK) == tag_of(hash));
		IPSP_MUST((home_of(table, hash) + (uint64_t)distance) % table->size == place);
		/* the order of homes, without a gap */
		IPSP_MUST(distance == 0 || (table->entries[before - 1] != 0 &&
					    distance_of(binds, table, before - 1) + 1 >= distance));
	}
	return n;
}

void ipsp_bind_index_check(const struct ipsp_binds *binds)
{
	uint32_t n = check_table(binds, &binds->now) + check_table(binds, &binds->old);

	IPSP_MUST(n == binds->n_entries);
	IPSP_MUST(n <= binds->n_fit && binds->n_fit == n_fit(binds->now.size));
	if (binds->gap.hash != 0) {
		struct gap gap = table_gap(binds, &binds->now, binds->gap.hash);
		IPSP_MUST(gap.place == binds->gap.place && gap.distance == binds->gap.distance);
	}
	IPSP_MUST(binds->now.end == binds->now.size);
}
