/*
 * bind - see bind.h: slots and their memory, and the chains of KEPT ones. What a slot and a chunk
 * are stands in bind_int.h, the index is in bind_index.c.
 */
#include "base/attr.h"
#include "base/bytes.h"
#include "base/must.h"
#include "core/bind_int.h"
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- slots */

static struct slot *slot_used(const struct ipsp_binds *binds, uint32_t number)
{
	if (!ipsp_slab_has(&binds->slots, number) || slot_at(binds, number)->kind == IPSP_BIND_NONE)
		return NULL;
	return slot_at(binds, number);
}

/* A piece for the texts of @slot, whose lengths are set; NULL: no memory. */
static char *text_take(struct ipsp_binds *binds, struct slot *slot)
{
	struct ipsp_slab *slab = &binds->texts[text_slab(slot)];
	uint32_t number;
	char *text = (char *)ipsp_slab_take(slab, &number);

	if (!text)
		return NULL;
	slot->is_far = 1;
	slot->far.text = number;
	slot->far.prev = slot->far.next = IPSP_NO_BIND;
	return text;
}

/* Moves the texts of @slot out of it, which then has room for the links of a chain. */
static bool slot_make_far(struct ipsp_binds *binds, struct slot *slot)
{
	char near[INLINE_TEXT];

	if (slot->is_far)
		return true;
	memcpy(near, slot->near, sizeof(near));
	char *text = text_take(binds, slot);
	if (text)
		memcpy(text, near, sizeof(near)); /* a piece has no less */
	return text != NULL;
}

/* Puts the texts of @ident into @slot, which has its numbers already; false: no memory for them. */
static inline bool slot_put_texts(struct ipsp_binds *binds, struct slot *slot,
				  const struct ipsp_ident *ident)
{
	const size_t n = (size_t)ident->n_subscriber + ident->n_session;
	char *text = slot->near;

	if (n > INLINE_TEXT)
		text = text_take(binds, slot);
	if (!text)
		return false;
	if (ipsp_ident_joined(ident)) {
		ipsp_copy_text(text, ident->subscriber, n);
		return true;
	}
	ipsp_copy_text(text, ident->subscriber, ident->n_subscriber);
	ipsp_copy_text(text + ident->n_subscriber, ident->session, ident->n_session);
	return true;
}

static void slot_give(struct ipsp_binds *binds, uint32_t number)
{
	const struct slot *slot = slot_at(binds, number);

	if (slot->is_far)
		ipsp_slab_give(&binds->texts[text_slab(slot)], slot->far.text);
	ipsp_slab_give(&binds->slots, number);
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
	binds->roomy_since = IPSP_NEVER;
	ipsp_slab_init(&binds->slots, sizeof(struct slot), NUMBER_MASK);
	IPSP_MUST(binds->slots.bits == SLOT_BITS);
	for (uint32_t i = 0; i < TEXT_SLABS; i++)
		ipsp_slab_init(&binds->texts[i], (i + 1) * TEXT_STEP, UINT32_MAX);
	return binds;
}

void ipsp_binds_free(struct ipsp_binds *binds)
{
	if (!binds)
		return;
	ipsp_slab_fini(&binds->slots);
	for (uint32_t i = 0; i < TEXT_SLABS; i++)
		ipsp_slab_fini(&binds->texts[i]);
	ipsp_bind_index_free(binds);
	free(binds);
}

uint32_t ipsp_binds_count(const struct ipsp_binds *binds)
{
	return binds->slots.count;
}

/* ---------------------------------------------------------------- changes */

/* The KEPT one of the subscriber of @slot that is in the index; IPSP_NO_BIND: none. */
static uint32_t kept_head(const struct ipsp_binds *binds, const struct slot *slot, uint64_t hash)
{
	const struct ipsp_ident ident = ident_of(binds, slot);

	return ipsp_bind_index_find(binds, hash, IPSP_BIND_KEPT, &ident);
}

/* Puts the KEPT one in slot @number where it is found by name. */
static bool kept_add(struct ipsp_binds *binds, uint32_t number, uint64_t hash)
{
	struct slot *slot = slot_at(binds, number);
	uint32_t head = IPSP_NO_BIND;

	if (binds->n_kept > 0)
		head = kept_head(binds, slot, hash);
	if (head == IPSP_NO_BIND)
		return ipsp_bind_index_add(binds, hash, number);
	if (!slot_make_far(binds, slot) || !slot_make_far(binds, slot_at(binds, head)))
		return false;
	chain_add(binds, head, number);
	return true;
}

static uint64_t at_of(ipsp_ms at)
{
	return at < AT_NEVER ? at : AT_NEVER;
}

uint32_t ipsp_binds_add_session(struct ipsp_binds *binds, uint16_t pool, uint32_t index,
				uint16_t ha, ipsp_ms since, const struct ipsp_ident *ident)
{
	uint32_t number;
	struct slot *slot = (struct slot *)ipsp_slab_take(&binds->slots, &number);

	if (!slot)
		return IPSP_NO_BIND;
	*slot = (struct slot){.at = since & AT_NEVER,
			      .ha = ha,
			      .index = index & 0x3ffffffu,
			      .pool = pool & 0x3ffu,
			      .kind = IPSP_BIND_SESSION,
			      .n_subscriber = ident->n_subscriber,
			      .n_session = ident->n_session};
	if (slot_put_texts(binds, slot, ident) &&
	    (binds->loading ||
	     ipsp_bind_index_fill(binds, ipsp_bind_hash(binds, IPSP_BIND_SESSION, ident), number)))
		return number;
	slot_give(binds, number);
	return IPSP_NO_BIND;
}

static uint32_t add_kept(struct ipsp_binds *binds, const struct ipsp_bind *bind)
{
	uint32_t number;
	struct slot *slot = (struct slot *)ipsp_slab_take(&binds->slots, &number);

	if (!slot)
		return IPSP_NO_BIND;
	*slot = (struct slot){.at = at_of(bind->at) & AT_NEVER,
			      .ha = bind->ha,
			      .index = bind->index & 0x3ffffffu,
			      .pool = bind->pool & 0x3ffu,
			      .kind = IPSP_BIND_KEPT,
			      .flags = bind->flags & 15u,
			      .n_subscriber = bind->ident.n_subscriber,
			      .n_session = bind->ident.n_session};
	if (slot_put_texts(binds, slot, &bind->ident) &&
	    (binds->loading ||
	     kept_add(binds, number, ipsp_bind_hash(binds, IPSP_BIND_KEPT, &bind->ident)))) {
		binds->n_kept++;
		return number;
	}
	slot_give(binds, number);
	return IPSP_NO_BIND;
}

uint32_t ipsp_binds_add(struct ipsp_binds *binds, const struct ipsp_bind *bind)
{
	if (bind->kind == IPSP_BIND_KEPT)
		return add_kept(binds, bind);
	const uint32_t number = ipsp_binds_add_session(binds, bind->pool, bind->index, bind->ha,
						       bind->at, &bind->ident);
	if (number != IPSP_NO_BIND)
		ipsp_binds_set_flags(binds, number, bind->flags);
	return number;
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
	binds->n_kept -= slot->kind == IPSP_BIND_KEPT;
	slot_give(binds, bind);
}

void ipsp_binds_set_flags(struct ipsp_binds *binds, uint32_t bind, uint8_t flags)
{
	struct slot *slot = slot_used(binds, bind);

	if (slot)
		slot->flags = flags & 15u;
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
	IPSP_MUST(binds->slots.count == 0);
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
		ok = kept_add(binds, oldest, ahead->hashes[i]);
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
	if (!ipsp_bind_index_make(binds, binds->slots.count))
		return false;
	memset(ahead.numbers, 0xff, sizeof(ahead.numbers));
	for (uint32_t i = ipsp_binds_next(binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(binds, i + 1))
		if (!load_next(binds, &ahead, i))
			return false;
	for (uint32_t i = 0; i < MOVE_AHEAD; i++)
		if (!load_next(binds, &ahead, IPSP_NO_BIND))
			return false;
	return true;
}

/* ---------------------------------------------------------------- looking */

void ipsp_binds_rest(struct ipsp_binds *binds, ipsp_ms now)
{
	ipsp_bind_index_rest(binds, now);
}

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
		.ident = ident_of(binds, slot),
	};
	return true;
}

uint32_t ipsp_binds_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident,
			 uint32_t after_bind)
{
	IPSP_MUST(!binds->loading);
	if (after_bind != IPSP_NO_BIND) {
		const struct slot *slot = slot_used(binds, after_bind);

		return slot ? kept_next(slot) : IPSP_NO_BIND;
	}
	if (binds->n_kept == 0)
		return IPSP_NO_BIND;
	return ipsp_bind_index_find(binds, ipsp_bind_hash(binds, IPSP_BIND_KEPT, ident),
				    IPSP_BIND_KEPT, ident);
}

bool ipsp_binds_any_kept(const struct ipsp_binds *binds)
{
	return binds->n_kept > 0;
}

void ipsp_binds_fetch(const struct ipsp_binds *binds, uint32_t bind)
{
	if (ipsp_slab_has(&binds->slots, bind))
		__builtin_prefetch(slot_at(binds, bind));
}

uint32_t ipsp_binds_next(const struct ipsp_binds *binds, uint32_t from)
{
	uint32_t number = from;

	for (; number != IPSP_SLAB_NONE; number++) {
		if (!ipsp_slab_has(&binds->slots, number)) /* the end of a chunk */
			number = ipsp_slab_next(&binds->slots, number);
		if (number == IPSP_SLAB_NONE || slot_at(binds, number)->kind != IPSP_BIND_NONE)
			break;
	}
	return number == IPSP_SLAB_NONE ? IPSP_NO_BIND : number;
}

/* ---------------------------------------------------------------- checking */

void ipsp_binds_check(const struct ipsp_binds *binds)
{
	uint32_t n = 0, n_kept = 0, n_far = 0, n_texts = 0;

	ipsp_slab_check(&binds->slots);
	for (uint32_t i = ipsp_binds_next(binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(binds, i + 1), n++) {
		n_kept += slot_at(binds, i)->kind == IPSP_BIND_KEPT;
		n_far += slot_at(binds, i)->is_far;
	}
	for (uint32_t i = 0; i < TEXT_SLABS; i++) {
		ipsp_slab_check(&binds->texts[i]);
		n_texts += binds->texts[i].count;
	}
	IPSP_MUST(n == binds->slots.count && n_kept == binds->n_kept && n_far == n_texts);
	if (!binds->loading)
		ipsp_bind_index_check(binds);
}
