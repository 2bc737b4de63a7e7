/*
 * rec - the durable records of a node.
 *
 * Every durable change is made here, twice over: an effect in memory and a record, and replay runs
 * the same effect from the record. Effects are forced (they clear whatever stands in the way), so
 * that records which fell between the slices of a snapshot do no harm: the absolute record of the
 * address comes later and rules.
 *
 * Order within a step: where the end of the log may be lost, a prefix of the records must be as
 * good as none. So consequences come first (an answer to an item before the item's IN record): the
 * item comes again, and each of them may be applied twice.
 *
 * A record is  u8 type | body,  numbers in network byte order:
 *   CONF   u8 own | pools as conf.c encodes them      all addresses become FREE with that own
 *   SIDE   u64 books peer_books epoch agreed_epoch sent acked applied report | u32 flags dead_ms |
 *          u8 p6 conf_mine conf_peer
 *   NAME   u16 ha | str8 name
 *   TAKE   u16 pool | u32 index | u16 ha | str8 subscriber | str8 session
 *   DROP   u16 pool | u32 index
 *   KEEP   u16 pool | u32 index | u8 use | u32 seconds left | str8 subscriber
 *   HA     u16 pool | u32 index | u16 ha
 *   FLAG   u16 pool | u32 index | u8 flag | u8 on
 *   OUT    an item of our stream, with its effect      IN  an item of the peer's, with its effect
 *   ACKED  u64 number
 *   RESUPPLY u64 the peer's new books                   LOST u64 our new books
 *   SNAP_BEGIN, SNAP_END, SNAP_OUT item (no effect),
 *   DUPLICATE u16 pool | u32 index                   the owner told us to drop this session
 *   ALONE  u64 our new books | u8 how                nothing was ever shared, under these
 *   REPOOL u8 own | pools as CONF                    other pools, sessions and kept ones carried
 * over RUN    u16 pool | u32 start count | u8 own flags these addresses are FREE, absolutely
 */
#include "core/node_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	REC_CONF = 1,
	REC_SIDE,
	REC_NAME,
	REC_TAKE,
	REC_DROP,
	REC_KEEP,
	REC_HA,
	REC_FLAG,
	REC_OUT,
	REC_IN,
	REC_ACKED,
	REC_RESUPPLY,
	REC_LOST,
	REC_SNAP_BEGIN,
	REC_SNAP_END,
	REC_SNAP_OUT,
	REC_RUN,
	REC_ALONE,
	REC_DUPLICATE,
	REC_REPOOL,
};

/* --------------------------------------------------------------- writing */

/* A record begins: its length is patched in by rec_end. */
static struct ipsp_buf *rec_begin(struct ipsp_buf *recs, uint8_t type)
{
	ipsp_buf_put_u16(recs, 0);
	ipsp_buf_put_u8(recs, type);
	return recs;
}

static void rec_end(struct ipsp_buf *recs, size_t at)
{
	if (recs->failed)
		return;
	size_t len = recs->len - at - 2;
	if (len > UINT16_MAX) { /* cannot be: CONF is bounded by its own limit, items by theirs */
		recs->failed = true;
		return;
	}
	recs->data[at] = (uint8_t)(len >> 8);
	recs->data[at + 1] = (uint8_t)len;
}

static void rec_made(struct ipsp_node *n, size_t at)
{
	rec_end(&n->act->recs, at);
	n->act->rec_seq = ++n->seq;
}

static struct ipsp_buf *live(struct ipsp_node *n, uint8_t type, size_t *at)
{
	if (n->replaying)
		return NULL;
	*at = n->act->recs.len;
	return rec_begin(&n->act->recs, type);
}

static void put_place(struct ipsp_buf *b, struct ipsp_place at)
{
	ipsp_buf_put_u16(b, at.pool);
	ipsp_buf_put_u32(b, at.index);
}

/* --------------------------------------------------------------- effects on one address */

bool ipsp_place_used(const struct ipsp_node *n, struct ipsp_place at, struct ipsp_bind *bind)
{
	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_USED)
		return false;
	return ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), bind);
}

static void effect_clear(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	enum ipsp_use use = ipsp_pool_use(pool, at.index);

	if (use == IPSP_USE_FREE)
		return;
	if (use == IPSP_USE_USED && !ipsp_is_static(n, at.pool)) {
		struct ipsp_bind b;
		n->used--;
		if (n->n_duplicate > 0 && ipsp_place_used(n, at, &b) &&
		    b.flags & IPSP_BIND_DUPLICATE)
			n->n_duplicate--;
	}
	ipsp_binds_del(n->binds, ipsp_pool_bind(pool, at.index));
	ipsp_pool_drop(pool, at.index);
}

static uint32_t effect_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
			    const struct ipsp_ident *ident)
{
	effect_clear(n, at);
	uint32_t old = ipsp_binds_session(n->binds, ident);
	if (old !=
	    IPSP_NO_BIND) { /* only between the slices of a snapshot: one session, one address */
		struct ipsp_bind b;
		if (ipsp_binds_get(n->binds, old, &b))
			effect_clear(n, (struct ipsp_place){b.pool, b.index});
	}
	struct ipsp_bind b = {.kind = IPSP_BIND_SESSION,
			      .pool = at.pool,
			      .ha = ha,
			      .index = at.index,
			      .at = n->now,
			      .ident = *ident};
	uint32_t bind = ipsp_binds_add(n->binds, &b);
	if (bind == IPSP_NO_BIND)
		return bind;
	ipsp_pool_take(n->pools[at.pool], at.index, bind);
	if (!ipsp_is_static(n, at.pool))
		n->used++;
	return bind;
}

static bool effect_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use,
			uint32_t left_s, const char *subscriber, size_t len)
{
	/* the text may live in the binding that is cleared first */
	char copy[IPSP_NAME_BYTES];
	if (len > sizeof copy)
		return false;
	if (len > 0)
		memcpy(copy, subscriber, len);
	effect_clear(n, at);
	struct ipsp_bind b = {
		.kind = IPSP_BIND_KEPT,
		.pool = at.pool,
		.index = at.index,
		.at = n->now + 1000ULL * left_s,
		.ident = {.subscriber = copy, .n_subscriber = (uint8_t)len, .session = ""}};
	uint32_t bind = ipsp_binds_add(n->binds, &b);
	if (bind == IPSP_NO_BIND)
		return false;
	if (ipsp_pool_keep(n->pools[at.pool], at.index, use, bind, n->now + 1000ULL * left_s) != 0)
		ipsp_binds_del(n->binds, bind);
	else if (n->now + 1000ULL * left_s < n->kept_due)
		n->kept_due = n->now + 1000ULL * left_s;
	return true;
}

uint32_t ipsp_take_quietly(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
			   const struct ipsp_ident *ident)
{
	return effect_take(n, at, ha, ident);
}

void ipsp_clear_kept(struct ipsp_node *n, struct ipsp_place at)
{
	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_USED)
		effect_clear(n, at);
}

void ipsp_keep_quietly(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use,
		       uint32_t left_s, const char *subscriber, size_t len)
{
	if (!effect_keep(n, at, use, left_s, subscriber, len) && n->act)
		n->act->failed = true;
}

/* --------------------------------------------------------------- sessions and timers */

uint32_t ipsp_rec_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
		       const struct ipsp_ident *ident)
{
	uint32_t bind = effect_take(n, at, ha, ident);
	size_t start;
	struct ipsp_buf *b = bind == IPSP_NO_BIND ? NULL : live(n, REC_TAKE, &start);

	if (bind == IPSP_NO_BIND && n->act)
		n->act->failed = true;
	if (b) {
		put_place(b, at);
		ipsp_buf_put_u16(b, ha);
		ipsp_buf_put_str8(b, ident->subscriber, ident->n_subscriber);
		ipsp_buf_put_str8(b, ident->session, ident->n_session);
		rec_made(n, start);
	}
	return bind;
}

void ipsp_rec_drop(struct ipsp_node *n, struct ipsp_place at)
{
	size_t start;
	struct ipsp_buf *b = live(n, REC_DROP, &start);

	effect_clear(n, at);
	if (b) {
		put_place(b, at);
		rec_made(n, start);
	}
}

void ipsp_rec_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use, uint32_t left_s,
		   const char *subscriber, size_t len)
{
	size_t start;
	struct ipsp_buf *b = live(n, REC_KEEP, &start);

	if (b) {
		put_place(b, at);
		ipsp_buf_put_u8(b, (uint8_t)use);
		ipsp_buf_put_u32(b, left_s);
		ipsp_buf_put_str8(b, subscriber, len);
		rec_made(n, start);
	}
	if (!effect_keep(n, at, use, left_s, subscriber, len) && n->act)
		n->act->failed = true;
}

static void effect_ha(struct ipsp_node *n, struct ipsp_place at, uint16_t ha)
{
	struct ipsp_bind b;
	if (ipsp_place_used(n, at, &b))
		ipsp_binds_set_ha(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), ha);
}

void ipsp_rec_ha(struct ipsp_node *n, uint32_t bind, uint16_t ha)
{
	struct ipsp_bind b;
	size_t start;

	if (!ipsp_binds_get(n->binds, bind, &b))
		return;
	struct ipsp_place at = {b.pool, b.index};
	struct ipsp_buf *r = live(n, REC_HA, &start);
	effect_ha(n, at, ha);
	if (r) {
		put_place(r, at);
		ipsp_buf_put_u16(r, ha);
		rec_made(n, start);
	}
}

static bool effect_name(struct ipsp_node *n, uint16_t ha, const char *name)
{
	struct ipsp_has *h = &n->has;
	if (ha >= h->cap) {
		uint32_t cap = h->cap ? h->cap : 8;
		while (cap <= ha)
			cap *= 2;
		struct ipsp_ha *has = realloc(h->has, cap * sizeof *has);
		if (!has)
			return false;
		memset(has + h->cap, 0, (cap - h->cap) * sizeof *has);
		h->has = has;
		h->cap = cap;
	}
	size_t len = strlen(name);
	if (len >= IPSP_NAME_MAX)
		return false;
	memcpy(h->has[ha].name, name, len + 1);
	if (ha >= h->n)
		h->n = (uint32_t)ha + 1;
	return true;
}

uint16_t ipsp_rec_name(struct ipsp_node *n, const char *name)
{
	uint16_t ha = (uint16_t)(n->has.n ? n->has.n : 1);
	size_t start;

	if (!effect_name(n, ha, name)) {
		n->act->failed = true;
		return 0;
	}
	struct ipsp_buf *b = live(n, REC_NAME, &start);
	if (b) {
		ipsp_buf_put_u16(b, ha);
		ipsp_buf_put_str8(b, name, strlen(name));
		rec_made(n, start);
	}
	return ha;
}

static void effect_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	bool was = ipsp_pool_flags(pool, at.index) & flag;

	if (ipsp_pool_own(pool, at.index) != IPSP_OWN_OURS || was == on)
		return;
	ipsp_pool_set_flag(pool, at.index, flag, on);
	if (flag == IPSP_ADDR_OWED)
		n->owed += on ? 1 : UINT32_MAX;
}

void ipsp_rec_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on)
{
	size_t start;
	struct ipsp_buf *b = live(n, REC_FLAG, &start);

	effect_flag(n, at, flag, on);
	if (b) {
		put_place(b, at);
		ipsp_buf_put_u8(b, flag);
		ipsp_buf_put_u8(b, on);
		rec_made(n, start);
	}
}

/* --------------------------------------------------------------- the side */

enum {
	SF_PRIMARY = 1 << 0,
	SF_AGREED_PRIMARY = 1 << 1,
	SF_LICENCE = 1 << 2,
	SF_SHARED = 1 << 3,
	SF_LOST = 1 << 4,
	SF_S6 = 1 << 5,
	SF_DRAINING = 1 << 6,
	SF_TERMINATED = 1 << 7,
	SF_LOAN = 1 << 8,
	SF_YIELDED = 1 << 9,
	SF_YIELDED_LOAN = 1 << 10,
	SF_GROUNDED = 1 << 11,
	SF_OWNER = 1 << 12,
};

static void put_side(struct ipsp_buf *b, const struct ipsp_side *s)
{
	uint32_t flags = 0;

	flags |= s->primary ? SF_PRIMARY : 0u;
	flags |= s->agreed_primary ? SF_AGREED_PRIMARY : 0u;
	flags |= s->licence ? SF_LICENCE : 0u;
	flags |= s->shared ? SF_SHARED : 0u;
	flags |= s->lost ? SF_LOST : 0u;
	flags |= s->s6 ? SF_S6 : 0u;
	flags |= s->draining ? SF_DRAINING : 0u;
	flags |= s->terminated ? SF_TERMINATED : 0u;
	flags |= s->loan ? SF_LOAN : 0u;
	flags |= s->yielded ? SF_YIELDED : 0u;
	flags |= s->yielded_loan ? SF_YIELDED_LOAN : 0u;
	flags |= s->grounded ? SF_GROUNDED : 0u;
	flags |= s->owner ? SF_OWNER : 0u;
	ipsp_buf_put_u64(b, s->books);
	ipsp_buf_put_u64(b, s->peer_books);
	ipsp_buf_put_u64(b, s->epoch);
	ipsp_buf_put_u64(b, s->agreed_epoch);
	ipsp_buf_put_u64(b, s->sent);
	ipsp_buf_put_u64(b, s->acked);
	ipsp_buf_put_u64(b, s->applied);
	ipsp_buf_put_u64(b, s->report);
	ipsp_buf_put_u32(b, flags);
	ipsp_buf_put_u32(b, s->dead_ms);
	ipsp_buf_put_u8(b, s->p6);
	ipsp_buf_put_u8(b, s->conf_mine);
	ipsp_buf_put_u8(b, s->conf_peer);
}

static void get_side(struct ipsp_rd *rd, struct ipsp_side *s)
{
	memset(s, 0, sizeof *s);
	s->books = ipsp_rd_u64(rd);
	s->peer_books = ipsp_rd_u64(rd);
	s->epoch = ipsp_rd_u64(rd);
	s->agreed_epoch = ipsp_rd_u64(rd);
	s->sent = ipsp_rd_u64(rd);
	s->acked = ipsp_rd_u64(rd);
	s->applied = ipsp_rd_u64(rd);
	s->report = ipsp_rd_u64(rd);
	uint32_t flags = ipsp_rd_u32(rd);
	s->primary = flags & SF_PRIMARY;
	s->agreed_primary = flags & SF_AGREED_PRIMARY;
	s->licence = flags & SF_LICENCE;
	s->shared = flags & SF_SHARED;
	s->lost = flags & SF_LOST;
	s->s6 = flags & SF_S6;
	s->draining = flags & SF_DRAINING;
	s->terminated = flags & SF_TERMINATED;
	s->loan = flags & SF_LOAN;
	s->yielded = flags & SF_YIELDED;
	s->yielded_loan = flags & SF_YIELDED_LOAN;
	s->grounded = flags & SF_GROUNDED;
	s->owner = flags & SF_OWNER;
	s->dead_ms = ipsp_rd_u32(rd);
	s->p6 = ipsp_rd_u8(rd);
	s->conf_mine = ipsp_rd_u8(rd);
	s->conf_peer = ipsp_rd_u8(rd);
}

static void move_all(struct ipsp_node *n, bool on)
{
	for (uint32_t p = 0; p < n->conf.n_pools; p++)
		if (!ipsp_is_static(n, (uint16_t)p))
			ipsp_pool_move_all(n->pools[p], on);
}

/* A side that stops being primary, or goes out of service, sends what nobody uses to the other. */
static void effect_side(struct ipsp_node *n, const struct ipsp_side *s)
{
	const struct ipsp_side *was = &n->side;
	bool leaves = !s->primary && (was->primary || (s->terminated && !was->terminated));
	bool becomes = s->primary && !was->primary;

	n->side = *s;
	if (leaves)
		move_all(n, true);
	else if (becomes)
		move_all(n, false);
}

void ipsp_rec_side(struct ipsp_node *n, const struct ipsp_side *side, bool flush)
{
	size_t start;

	effect_side(n, side);
	struct ipsp_buf *b = live(n, REC_SIDE, &start);
	if (!b)
		return;
	put_side(b, side);
	rec_made(n, start);
	if (flush) {
		n->side_seq = n->seq;
		n->act->want_flush = true;
	}
}

/* --------------------------------------------------------------- the streams */

static void effect_out(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		       size_t len)
{
	n->side.sent = item->number;
	if (item->type == IPSP_ITEM_REPORT)
		n->side.report = item->number;
	ipsp_sync_effect_out(n, item);
	ipsp_sync_append(n, bytes, len, item->number);
}

uint64_t ipsp_rec_out(struct ipsp_node *n, struct ipsp_item_writer *w)
{
	size_t len = ipsp_item_end(w), start;
	struct ipsp_item item;

	if (ipsp_item_parse(w->bytes, len, &item) != 0)
		return 0; /* our own writer made it: cannot be */
	struct ipsp_buf *b = live(n, REC_OUT, &start);
	if (b) {
		ipsp_buf_put(b, w->bytes, len);
		rec_made(n, start);
		n->act->want_flush = true;
	}
	effect_out(n, &item, w->bytes, len);
	return item.number;
}

void ipsp_rec_in(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		 size_t len)
{
	size_t start;

	n->side.applied = item->number;
	ipsp_sync_effect_in(n, item);
	struct ipsp_buf *b = live(n, REC_IN, &start);
	if (b) {
		ipsp_buf_put(b, bytes, len);
		rec_made(n, start);
		n->act->want_flush = true;
	}
}

void ipsp_rec_acked(struct ipsp_node *n, uint64_t number)
{
	size_t start;

	if (number <= n->side.acked)
		return;
	ipsp_sync_acked(n, number);
	n->side.acked = number;
	struct ipsp_buf *b = live(n, REC_ACKED, &start);
	if (b) {
		ipsp_buf_put_u64(b, number);
		rec_made(n, start);
	}
}

/* --------------------------------------------------------------- books that were lost */

/*
 * The peer has lost its state. What we own stays ours, what we use becomes ours, all else is given
 * to it anew from number 1. One record, because a prefix of the items would lose addresses: replay
 * makes the same items from the same state.
 */
static void effect_resupply(struct ipsp_node *n, uint64_t peer_books)
{
	struct ipsp_item_writer w;
	uint64_t number = 0;

	ipsp_sync_clear(n);
	n->side.peer_books = peer_books;
	n->side.acked = n->side.applied = n->side.report = 0;
	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		struct ipsp_pool *pool = n->pools[p];
		bool open = false;
		if (ipsp_is_static(n, p))
			continue;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			if (ipsp_pool_own(pool, i) == IPSP_OWN_OURS) {
				ipsp_pool_set_flag(pool, i, IPSP_ADDR_DUP, false);
				if (ipsp_pool_flags(pool, i) & IPSP_ADDR_OWED) {
					ipsp_pool_set_flag(pool, i, IPSP_ADDR_OWED, false);
					n->owed--;
				}
				continue;
			}
			if (ipsp_pool_use(pool, i) == IPSP_USE_USED) {
				ipsp_pool_set_own(pool, i, IPSP_OWN_OURS);
				continue;
			}
			ipsp_pool_set_own(pool, i, IPSP_OWN_TRANSIT);
			if (open && ipsp_item_add_bit(&w, i))
				continue;
			if (open) {
				size_t len = ipsp_item_end(&w);
				ipsp_sync_append(n, w.bytes, len, number);
			}
			ipsp_item_begin(&w, ++number, IPSP_ITEM_GIVE,
					IPSP_GIVE_FIRST | IPSP_GIVE_LAST_USED, 0, p, IPSP_SET_BITS);
			ipsp_item_add_bit(&w, i);
			open = true;
		}
		if (open)
			ipsp_sync_append(n, w.bytes, ipsp_item_end(&w), number);
	}
	if (number == 0) { /* nothing to give: it still has to be unlocked */
		ipsp_item_begin(&w, ++number, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, IPSP_NO_POOL,
				IPSP_SET_RUNS);
		ipsp_sync_append(n, w.bytes, ipsp_item_end(&w), number);
	}
	n->side.sent = number;
}

void ipsp_rec_resupply(struct ipsp_node *n, uint64_t peer_books)
{
	size_t start;
	struct ipsp_buf *b = live(n, REC_RESUPPLY, &start);

	if (b) {
		ipsp_buf_put_u64(b, peer_books);
		rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	ipsp_ha_end_requests(n);
	effect_resupply(n, peer_books);
}

/* We have lost our state, or fell behind it: the peer's books decide. Sessions stay, to be
 * reported. */
static void effect_lost(struct ipsp_node *n, uint64_t books)
{
	ipsp_sync_clear(n);
	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		if (ipsp_is_static(n, p))
			continue;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			struct ipsp_place at = {p, i};
			if (ipsp_pool_use(n->pools[p], i) != IPSP_USE_USED)
				effect_clear(n, at);
			ipsp_pool_set_own(n->pools[p], i, IPSP_OWN_PEER);
		}
	}
	n->owed = 0;
	n->side.books = books;
	n->side.peer_books = 0;
	n->side.sent = n->side.acked = n->side.applied = n->side.report = 0;
	n->side.lost = true;
	n->side.shared = n->side.licence = n->side.loan = false;
}

void ipsp_rec_lost(struct ipsp_node *n)
{
	uint64_t books;
	size_t start;

	do
		ipsp_rng_bytes(&n->rng, &books, sizeof books);
	while (books == 0);
	struct ipsp_buf *b = live(n, REC_LOST, &start);
	if (b) {
		ipsp_buf_put_u64(b, books);
		rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	ipsp_ha_end_requests(n);
	effect_lost(n, books);
}

/* Ours from now on, whoever owned it; nothing of it is promised to anybody. */
static void effect_keep_all(struct ipsp_node *n, uint16_t p, uint32_t i)
{
	struct ipsp_pool *pool = n->pools[p];

	if (ipsp_pool_own(pool, i) == IPSP_OWN_OURS && ipsp_pool_flags(pool, i) & IPSP_ADDR_OWED)
		n->owed--;
	ipsp_pool_set_own(pool, i, IPSP_OWN_OURS);
	ipsp_pool_set_flag(pool, i, IPSP_ADDR_MOVE, false);
	ipsp_pool_set_flag(pool, i, IPSP_ADDR_DUP, false);
	ipsp_pool_set_flag(pool, i, IPSP_ADDR_OWED, false);
}

/*
 * IPSP ends here, or begins anew: new books, under which nothing was ever shared. The addresses
 * stay as they are. @how says what this side is from now on.
 */
static void effect_alone(struct ipsp_node *n, uint64_t books, enum ipsp_alone how)
{
	struct ipsp_side *s = &n->side;

	ipsp_sync_clear(n);
	s->books = books;
	s->peer_books = s->sent = s->acked = s->applied = s->report = 0;
	s->licence = s->lost = s->shared = s->loan = s->draining = s->terminated = s->s6 = false;
	s->yielded = s->yielded_loan = false;
	s->conf_mine = s->conf_peer = IPSP_ROLE_NONE;
	s->p6 = IPSP_P6_IDLE;
	s->grounded = how == IPSP_ALONE_WITHOUT;
	s->owner = how == IPSP_ALONE_OWNER || how == IPSP_ALONE_ALL;
	for (uint16_t p = 0; p < n->conf.n_pools && s->owner; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size && !ipsp_is_static(n, p); i++)
			effect_keep_all(n, p, i);
}

void ipsp_rec_alone(struct ipsp_node *n, enum ipsp_alone how)
{
	uint64_t books;
	size_t start;

	do
		ipsp_rng_bytes(&n->rng, &books, sizeof books);
	while (books == 0);
	struct ipsp_buf *b = live(n, REC_ALONE, &start);
	if (b) {
		ipsp_buf_put_u64(b, books);
		ipsp_buf_put_u8(b, (uint8_t)how);
		rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	effect_alone(n, books, how);
	ipsp_ha_end_requests(n);
	n->xacts.retry = true;
	n->licence_pending = n->licence_resting = false;
}

/* --------------------------------------------------------------- configuration */

static void put_conf(struct ipsp_node *n, struct ipsp_buf *b, enum ipsp_own own)
{
	ipsp_buf_put_u8(b, (uint8_t)own);
	ipsp_conf_encode_pools(&n->conf, b);
}

/* The pools of n->conf are in force from here on; their addresses have just been made anew. */
void ipsp_rec_conf(struct ipsp_node *n)
{
	size_t start;
	struct ipsp_buf *b = live(n, REC_CONF, &start);

	if (b) {
		put_conf(n, b, n->built_own);
		rec_made(n, start);
		n->snap_gen++;
	}
}

/*
 * One record, since a prefix of several would forget sessions that were durable before.
 */
void ipsp_rec_repool(struct ipsp_node *n, enum ipsp_own own)
{
	size_t start;

	ipsp_ha_forget(n);
	ipsp_xact_give_up(n, IPSP_ERR_TIMEOUT);
	n->built_own = own;
	struct ipsp_buf *b = live(n, REC_REPOOL, &start);
	if (b) {
		put_conf(n, b, own);
		rec_made(n, start);
		n->snap_gen++;
	}
	uint32_t lost = 0;
	if (ipsp_repool(n, &lost) != 0)
		n->act->failed = true;
	else if (lost > 0)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "%u sessions were on addresses that are in no pool any more", lost);
}

static int replay_conf(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	uint32_t lost;

	struct ipsp_context_conf conf;
	uint8_t own = ipsp_rd_u8(rd);

	if (rd->failed || own > IPSP_OWN_TRANSIT)
		return IPSP_ERR_FORMAT;
	ipsp_conf_init(&conf, n->conf.name);
	int err = ipsp_conf_decode_pools(rd->p, ipsp_rd_left(rd), &conf);
	if (err == 0) {
		struct ipsp_pool_conf *pools = n->conf.pools;
		uint32_t n_pools = n->conf.n_pools;
		n->conf.pools = conf.pools;
		n->conf.n_pools = conf.n_pools;
		conf.pools = pools;
		conf.n_pools = n_pools;
		n->built_own = (enum ipsp_own)own;
		err = type == REC_REPOOL ? ipsp_repool(n, &lost) : ipsp_node_build_pools(n);
	}
	ipsp_conf_fini(&conf);
	rd->p = rd->end;
	return err;
}

/* --------------------------------------------------------------- replay */

static bool get_place(struct ipsp_node *n, struct ipsp_rd *rd, struct ipsp_place *at)
{
	at->pool = ipsp_rd_u16(rd);
	at->index = ipsp_rd_u32(rd);
	return !rd->failed && at->pool < n->conf.n_pools &&
	       at->index < n->conf.pools[at->pool].size;
}

static int replay_run(struct ipsp_node *n, struct ipsp_rd *rd)
{
	struct ipsp_place at;
	bool ok = get_place(n, rd, &at);
	uint32_t count = ipsp_rd_u32(rd);
	uint8_t own = ipsp_rd_u8(rd), flags = ipsp_rd_u8(rd);

	if (!ok || rd->failed || own > IPSP_OWN_TRANSIT ||
	    count > n->conf.pools[at.pool].size - at.index)
		return IPSP_ERR_FORMAT;
	for (; count > 0; count--, at.index++) {
		struct ipsp_pool *pool = n->pools[at.pool];
		effect_clear(n, at);
		if (ipsp_pool_flags(pool, at.index) & IPSP_ADDR_OWED)
			n->owed--;
		ipsp_pool_set_own(pool, at.index, (enum ipsp_own)own);
		if (own != IPSP_OWN_OURS)
			continue;
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_MOVE, flags & IPSP_ADDR_MOVE);
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_DUP, flags & IPSP_ADDR_DUP);
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_OWED, false);
		effect_flag(n, at, IPSP_ADDR_OWED, flags & IPSP_ADDR_OWED);
	}
	return 0;
}

static int replay_item(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	size_t len = ipsp_rd_left(rd);
	const uint8_t *bytes = ipsp_rd_take(rd, len);
	struct ipsp_item item;

	if (!bytes || ipsp_item_parse(bytes, len, &item) != 0)
		return IPSP_ERR_FORMAT;
	/* what a snapshot has already may follow it once more */
	if (type == REC_OUT && item.number > n->side.sent)
		effect_out(n, &item, bytes, len);
	else if (type == REC_IN && item.number > n->side.applied)
		ipsp_rec_in(n, &item, bytes, len);
	else if (type == REC_SNAP_OUT)
		ipsp_sync_append(n, bytes, len, item.number);
	return 0;
}

static int replay_session(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	char subscriber[256], session[256] = "";
	struct ipsp_place at;

	if (!get_place(n, rd, &at))
		return IPSP_ERR_FORMAT;
	if (type == REC_TAKE) {
		uint16_t ha = ipsp_rd_u16(rd);
		struct ipsp_ident ident = {.subscriber = subscriber, .session = session};
		ident.n_subscriber = (uint8_t)ipsp_rd_str8(rd, subscriber);
		ident.n_session = (uint8_t)ipsp_rd_str8(rd, session);
		if (rd->failed)
			return IPSP_ERR_FORMAT;
		return effect_take(n, at, ha, &ident) == IPSP_NO_BIND ? IPSP_ERR_NOMEM : 0;
	}
	uint8_t use = ipsp_rd_u8(rd);
	uint32_t left_s = ipsp_rd_u32(rd);
	size_t len = ipsp_rd_str8(rd, subscriber);
	if (rd->failed || (use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE))
		return IPSP_ERR_FORMAT;
	return effect_keep(n, at, (enum ipsp_use)use, left_s, subscriber, len) ? 0 : IPSP_ERR_NOMEM;
}

static int replay_small(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	struct ipsp_place at;
	char name[256];
	uint16_t ha;

	if (type == REC_NAME) {
		ha = ipsp_rd_u16(rd);
		size_t len = ipsp_rd_str8(rd, name);
		if (rd->failed || len == 0 || len >= IPSP_NAME_MAX || ha == 0)
			return IPSP_ERR_FORMAT;
		return effect_name(n, ha, name) ? 0 : IPSP_ERR_NOMEM;
	}
	if (!get_place(n, rd, &at))
		return IPSP_ERR_FORMAT;
	if (type == REC_DROP) {
		effect_clear(n, at);
	} else if (type == REC_DUPLICATE) {
		ipsp_mark_duplicate(n, at);
	} else if (type == REC_HA) {
		ha = ipsp_rd_u16(rd);
		effect_ha(n, at, ha);
	} else {
		uint8_t flag = ipsp_rd_u8(rd), on = ipsp_rd_u8(rd);
		effect_flag(n, at, flag, on);
	}
	return rd->failed ? IPSP_ERR_FORMAT : 0;
}

int ipsp_node_replay(struct ipsp_node *n, const uint8_t *rec, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(rec, len);
	struct ipsp_side side;
	uint8_t type = ipsp_rd_u8(&rd);
	int err = 0;

	n->replaying = true;
	n->blank = false;
	switch (type) {
	case REC_CONF:
	case REC_REPOOL:
		err = replay_conf(n, type, &rd);
		break;
	case REC_SIDE:
		get_side(&rd, &side);
		if (rd.failed)
			return IPSP_ERR_FORMAT;
		effect_side(n, &side);
		break;
	case REC_TAKE:
	case REC_KEEP:
		err = replay_session(n, type, &rd);
		break;
	case REC_NAME:
	case REC_DROP:
	case REC_HA:
	case REC_FLAG:
	case REC_DUPLICATE:
		err = replay_small(n, type, &rd);
		break;
	case REC_OUT:
	case REC_IN:
	case REC_SNAP_OUT:
		err = replay_item(n, type, &rd);
		break;
	case REC_ACKED:
		ipsp_rec_acked(n, ipsp_rd_u64(&rd));
		break;
	case REC_RESUPPLY:
		effect_resupply(n, ipsp_rd_u64(&rd));
		break;
	case REC_LOST:
		effect_lost(n, ipsp_rd_u64(&rd));
		break;
	case REC_ALONE:
		side.books = ipsp_rd_u64(&rd);
		effect_alone(n, side.books, (enum ipsp_alone)ipsp_rd_u8(&rd));
		break;
	case REC_RUN:
		err = replay_run(n, &rd);
		break;
	case REC_SNAP_BEGIN: /* whatever stood before is in the snapshot */
		ipsp_sync_clear(n);
		memset(&n->side, 0, sizeof n->side);
		break;
	case REC_SNAP_END:
		break;
	default:
		err = IPSP_ERR_FORMAT;
	}
	n->replaying = false;
	return err ? err : rd.failed ? IPSP_ERR_FORMAT : 0;
}

/* --------------------------------------------------------------- snapshot */

static void snap_head(const struct ipsp_node *n, struct ipsp_buf *recs)
{
	size_t at = recs->len;

	rec_begin(recs, REC_SNAP_BEGIN);
	rec_end(recs, at);
	at = recs->len;
	ipsp_buf_put_u8(rec_begin(recs, REC_CONF), IPSP_OWN_PEER);
	ipsp_conf_encode_pools(&n->conf, recs);
	rec_end(recs, at);
	at = recs->len;
	put_side(rec_begin(recs, REC_SIDE), &n->side);
	rec_end(recs, at);
	for (uint32_t i = 1; i < n->has.n; i++) {
		at = recs->len;
		ipsp_buf_put_u16(rec_begin(recs, REC_NAME), (uint16_t)i);
		ipsp_buf_put_str8(recs, n->has.has[i].name, strlen(n->has.has[i].name));
		rec_end(recs, at);
	}
	for (uint32_t i = 0; i < n->stream.n; i++) {
		const struct ipsp_out_item *o =
			n->stream.items[(n->stream.head + i) & (n->stream.cap - 1)];
		at = recs->len;
		ipsp_buf_put(rec_begin(recs, REC_SNAP_OUT), o->bytes, o->n);
		rec_end(recs, at);
	}
}

static void snap_duplicate(struct ipsp_place p, struct ipsp_buf *recs)
{
	size_t at = recs->len;

	put_place(rec_begin(recs, REC_DUPLICATE), p);
	rec_end(recs, at);
}

static void snap_bound(const struct ipsp_node *n, struct ipsp_place p, struct ipsp_buf *recs)
{
	struct ipsp_bind b;
	size_t at = recs->len;

	if (!ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[p.pool], p.index), &b))
		return;
	if (b.kind == IPSP_BIND_SESSION) {
		put_place(rec_begin(recs, REC_TAKE), p);
		ipsp_buf_put_u16(recs, b.ha);
		ipsp_buf_put_str8(recs, b.ident.subscriber, b.ident.n_subscriber);
		ipsp_buf_put_str8(recs, b.ident.session, b.ident.n_session);
	} else {
		uint64_t left_s = b.at > n->now ? (b.at - n->now + 999) / 1000 : 0;
		put_place(rec_begin(recs, REC_KEEP), p);
		ipsp_buf_put_u8(recs, (uint8_t)ipsp_pool_use(n->pools[p.pool], p.index));
		ipsp_buf_put_u32(recs, (uint32_t)left_s);
		ipsp_buf_put_str8(recs, b.ident.subscriber, b.ident.n_subscriber);
	}
	rec_end(recs, at);
	if (b.kind == IPSP_BIND_SESSION && b.flags & IPSP_BIND_DUPLICATE)
		snap_duplicate(p, recs);
}

/* One run of addresses that are alike, and what is bound to them; returns the index behind it. */
static uint32_t snap_run(const struct ipsp_node *n, uint16_t p, uint32_t i, struct ipsp_buf *recs)
{
	const struct ipsp_pool *pool = n->pools[p];
	uint32_t size = n->conf.pools[p].size, start = i, limit = start + 4096;
	enum ipsp_own own = ipsp_pool_own(pool, i);
	uint8_t flags = ipsp_pool_flags(pool, i);
	size_t at = recs->len;

	do
		i++;
	while (i < size && i < limit && ipsp_pool_own(pool, i) == own &&
	       ipsp_pool_flags(pool, i) == flags);
	put_place(rec_begin(recs, REC_RUN), (struct ipsp_place){p, start});
	ipsp_buf_put_u32(recs, i - start);
	ipsp_buf_put_u8(recs, (uint8_t)own);
	ipsp_buf_put_u8(recs, flags);
	rec_end(recs, at);
	for (uint32_t j = start; j < i; j++)
		if (ipsp_pool_use(pool, j) != IPSP_USE_FREE)
			snap_bound(n, (struct ipsp_place){p, j}, recs);
	return i;
}

/* cursor: 0 at the start, then generation << 48 | 1 << 47 | pool << 32 | index: pools are fewer
 * than 2^15 */
bool ipsp_node_snapshot(const struct ipsp_node *n, uint64_t *cursor, size_t max,
			struct ipsp_buf *recs)
{
	uint64_t mark = (uint64_t)n->snap_gen << 48 | 1ULL << 47;
	size_t begin = recs->len;

	if (*cursor == 0) {
		snap_head(n, recs);
		*cursor = mark;
	} else if (*cursor >> 47 != mark >> 47) {
		*cursor = IPSP_SNAPSHOT_VOID;
		return false;
	}
	uint16_t p = (uint16_t)(*cursor >> 32 & 0x7fff);
	uint32_t i = (uint32_t)*cursor;
	while (p < n->conf.n_pools && recs->len - begin < max) {
		i = snap_run(n, p, i, recs);
		if (i >= n->conf.pools[p].size) {
			i = 0;
			p++;
		}
	}
	*cursor = mark | (uint64_t)p << 32 | i;
	if (p < n->conf.n_pools)
		return true;
	begin = recs->len;
	rec_begin(recs, REC_SNAP_END);
	rec_end(recs, begin);
	return false;
}

/* --------------------------------------------------------------- digest */

static uint64_t mix(uint64_t h, const void *p, size_t len)
{
	const uint8_t *b = p;
	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

static uint64_t mix_address(const struct ipsp_node *n, uint64_t h, uint16_t p, uint32_t i)
{
	const struct ipsp_pool *pool = n->pools[p];
	uint8_t what[3] = {(uint8_t)ipsp_pool_own(pool, i), (uint8_t)ipsp_pool_use(pool, i),
			   ipsp_pool_flags(pool, i)};
	struct ipsp_bind b;

	h = mix(h, what, sizeof what);
	if (what[1] != IPSP_USE_FREE && ipsp_binds_get(n->binds, ipsp_pool_bind(pool, i), &b)) {
		h = mix(h, b.ident.subscriber, b.ident.n_subscriber);
		if (b.kind == IPSP_BIND_SESSION) {
			uint8_t duplicate = b.flags & IPSP_BIND_DUPLICATE;
			h = mix(h, &duplicate, 1);
			h = mix(h, b.ident.session, b.ident.n_session);
			if (b.ha < n->has.n)
				h = mix(h, n->has.has[b.ha].name, IPSP_NAME_MAX);
		}
	}
	return h;
}

uint64_t ipsp_node_digest(const struct ipsp_node *n)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	struct ipsp_buf side = {0};

	put_side(&side, &n->side);
	h = mix(h, side.data, side.len);
	ipsp_buf_fini(&side);
	for (uint32_t i = 0; i < n->stream.n; i++) {
		const struct ipsp_out_item *o =
			n->stream.items[(n->stream.head + i) & (n->stream.cap - 1)];
		h = mix(h, o->bytes, o->n);
	}
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++)
			h = mix_address(n, h, p, i);
	return h;
}
