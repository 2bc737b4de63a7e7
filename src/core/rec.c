/*
 * rec - the durable records of a node: each is made here, and written.
 *
 * Every durable change is made twice over: an effect in memory (effect.h) and a record (rec.h), and
 * replay (replay.c) runs the same effect from the record.
 *
 * Order within a step: where the end of the log may be lost, a prefix of the records must be as
 * good as none. So consequences come first (an answer to an item before the item's IN record): the
 * item comes again, and each of them may be applied twice.
 */
#include "core/rec.h"
#include "base/attr.h"
#include "core/effect.h"
#include "core/names.h"

#include <string.h>

/* --------------------------------------------------------------- writing */

struct ipsp_buf *ipsp_rec_begin(struct ipsp_buf *recs, uint8_t type)
{
	uint8_t *p = ipsp_buf_room(recs, 3);

	if (p) {
		ipsp_store_u16(p, 0);
		p[2] = type;
		recs->len += 3;
	}
	return recs;
}

void ipsp_rec_end(struct ipsp_buf *recs, size_t at)
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

void ipsp_rec_made(struct ipsp_node *n, size_t at)
{
	ipsp_rec_end(&n->act->recs, at);
	n->seq++;
}

struct ipsp_buf *ipsp_rec_live(struct ipsp_node *n, uint8_t type, size_t *at)
{
	if (n->replaying)
		return NULL;
	*at = n->act->recs.len;
	return ipsp_rec_begin(&n->act->recs, type);
}

void ipsp_rec_put_place(struct ipsp_buf *b, struct ipsp_place at)
{
	uint8_t *p = ipsp_buf_room(b, 6);

	if (!p)
		return;
	ipsp_store_u16(p, at.pool);
	ipsp_store_u32(p + 2, at.index);
	b->len += 6;
}

/* --------------------------------------------------------------- sessions and timers */

/* The one that each session makes; room is looked for once, for all of it. */
IPSP_INLINE void put_take(struct ipsp_buf *b, struct ipsp_place at, uint16_t ha,
			  const struct ipsp_ident *ident)
{
	const size_t len = 11u + ident->n_subscriber + ident->n_session;
	uint8_t *p = ipsp_buf_room(b, 2 + len);

	if (!p)
		return;
	ipsp_store_u16(p, (uint16_t)len);
	p[2] = IPSP_REC_TAKE;
	ipsp_store_u16(p + 3, at.pool);
	ipsp_store_u32(p + 5, at.index);
	ipsp_store_u16(p + 9, ha);
	p[11] = ident->n_subscriber;
	ipsp_copy_text(p + 12, ident->subscriber, ident->n_subscriber);
	p += 12 + ident->n_subscriber;
	*p = ident->n_session;
	ipsp_copy_text(p + 1, ident->session, ident->n_session);
	b->len += 2 + len;
}

void ipsp_rec_put_take(struct ipsp_buf *b, struct ipsp_place at, uint16_t ha,
		       const struct ipsp_ident *ident)
{
	put_take(b, at, ha, ident);
}

/* A version that knows of no owner reads as far as the name, and goes on with the next record. */
void ipsp_rec_put_name(struct ipsp_buf *b, uint16_t ha, const char *name, uint32_t owner)
{
	ipsp_buf_put_u16(b, ha);
	ipsp_buf_put_str8(b, name, strlen(name));
	if (owner != 0)
		ipsp_buf_put_u32(b, owner);
}

/* Before the first record that says the number of this HA; and again, when the name gets an owner.
 */
IPSP_APART void ipsp_rec_name(struct ipsp_node *n, uint16_t ha)
{
	struct ipsp_ha *a = &n->has.has[ha];
	size_t start;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_NAME, &start);

	a->recorded = true;
	if (b) {
		ipsp_rec_put_name(b, ha, a->name, a->owner);
		ipsp_rec_made(n, start);
	}
}

static bool unnamed(const struct ipsp_node *n, uint16_t ha)
{
	return ha != 0 && !n->has.has[ha].recorded;
}

uint32_t ipsp_rec_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
		       const struct ipsp_ident *ident)
{
	if (n->replaying)
		return ipsp_effect_take(n, at, ha, ident);
	const uint32_t bind = ipsp_effect_bind(n, at, ha, ident);
	if (bind == IPSP_NO_BIND) {
		n->act->failed = true;
		return bind;
	}
	if (ha != 0) {
		ipsp_name_took(n, ha);
		if (!n->has.has[ha].recorded)
			ipsp_rec_name(n, ha);
	}
	put_take(&n->act->recs, at, ha, ident);
	n->seq++;
	return bind;
}

void ipsp_rec_drop(struct ipsp_node *n, struct ipsp_place at)
{
	size_t start;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_DROP, &start);

	ipsp_effect_clear(n, at);
	if (b) {
		ipsp_rec_put_place(b, at);
		ipsp_rec_made(n, start);
	}
}

void ipsp_rec_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use, uint32_t left_s,
		   const char *subscriber, size_t len)
{
	size_t start;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_KEEP, &start);

	if (b) {
		ipsp_rec_put_place(b, at);
		ipsp_buf_put_u8(b, (uint8_t)use);
		ipsp_buf_put_u32(b, left_s);
		ipsp_buf_put_str8(b, subscriber, len);
		ipsp_rec_made(n, start);
	}
	ipsp_effect_must_keep(n, at, use, left_s, subscriber, len);
}

void ipsp_rec_ha(struct ipsp_node *n, uint32_t bind, uint16_t ha)
{
	struct ipsp_bind b;
	size_t start;

	if (!ipsp_binds_get(n->binds, bind, &b))
		return;
	struct ipsp_place at = {b.pool, b.index};
	if (unnamed(n, ha))
		ipsp_rec_name(n, ha);
	struct ipsp_buf *r = ipsp_rec_live(n, IPSP_REC_HA, &start);
	ipsp_effect_ha(n, at, ha);
	if (r) {
		ipsp_rec_put_place(r, at);
		ipsp_buf_put_u16(r, ha);
		ipsp_rec_made(n, start);
	}
}

/* A record of its HA with more behind it, which a version that knows no such wish reads past. */
void ipsp_rec_put_terminate(struct ipsp_buf *b, struct ipsp_place at, uint16_t ha)
{
	ipsp_rec_put_place(b, at);
	ipsp_buf_put_u16(b, ha);
	ipsp_buf_put_u8(b, 1);
}

void ipsp_rec_terminate(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;
	size_t start;

	if (!ipsp_place_used(n, at, &b) || b.flags & IPSP_BIND_TERMINATE)
		return;
	struct ipsp_buf *r = ipsp_rec_live(n, IPSP_REC_HA, &start);
	ipsp_effect_terminate(n, at);
	if (r) {
		ipsp_rec_put_terminate(r, at, b.ha);
		ipsp_rec_made(n, start);
	}
}

void ipsp_rec_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on)
{
	size_t start;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_FLAG, &start);

	ipsp_effect_flag(n, at, flag, on);
	if (b) {
		ipsp_rec_put_place(b, at);
		ipsp_buf_put_u8(b, flag);
		ipsp_buf_put_u8(b, on);
		ipsp_rec_made(n, start);
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
	SF_ANEW = 1 << 13,
	SF_TOLD_PRIMARY = 1 << 14,
	SF_BOUND = 1 << 15,
	SF_HELD = 1 << 16,
};

void ipsp_rec_put_side(struct ipsp_buf *b, const struct ipsp_side *s)
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
	flags |= s->anew ? SF_ANEW : 0u;
	flags |= s->told_primary ? SF_TOLD_PRIMARY : 0u;
	flags |= s->bound ? SF_BOUND : 0u;
	flags |= s->held ? SF_HELD : 0u;
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
	ipsp_buf_put_u64(b, s->told_epoch);
}

void ipsp_rec_get_side(struct ipsp_rd *rd, struct ipsp_side *s)
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
	s->anew = flags & SF_ANEW;
	s->told_primary = flags & SF_TOLD_PRIMARY;
	s->bound = flags & SF_BOUND;
	s->held = flags & SF_HELD;
	s->dead_ms = ipsp_rd_u32(rd);
	s->p6 = ipsp_rd_u8(rd);
	s->conf_mine = ipsp_rd_u8(rd);
	s->conf_peer = ipsp_rd_u8(rd);
	s->told_epoch = s->epoch; /* of a log from before this was kept: nobody is told again */
	if (ipsp_rd_left(rd) > 0)
		s->told_epoch = ipsp_rd_u64(rd);
	else
		s->told_primary = s->primary;
}

void ipsp_rec_side(struct ipsp_node *n, const struct ipsp_side *side, bool flush)
{
	size_t start;

	ipsp_effect_side(n, side);
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_SIDE, &start);
	if (!b)
		return;
	ipsp_rec_put_side(b, side);
	ipsp_rec_made(n, start);
	if (flush) {
		n->side_seq = n->seq;
		n->act->want_flush = true;
	}
}

/* --------------------------------------------------------------- the streams */

uint64_t ipsp_rec_out(struct ipsp_node *n, struct ipsp_item_writer *w)
{
	size_t len = ipsp_item_end(w), start;
	struct ipsp_item item;

	if (ipsp_item_again(w->bytes, len, &item) != 0)
		return 0; /* our own writer made it: cannot be */
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_OUT, &start);
	if (b) {
		ipsp_buf_put(b, w->bytes, len);
		ipsp_rec_made(n, start);
		n->act->want_flush = true;
	}
	ipsp_effect_out(n, &item, w->bytes, len);
	return item.number;
}

void ipsp_rec_in(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		 size_t len, bool taken)
{
	size_t start;

	n->side.applied = item->number;
	ipsp_effect_in(n, item, taken);
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_IN, &start);
	if (b) {
		ipsp_buf_put(b, bytes, len);
		ipsp_rec_made(n, start);
	}
}

void ipsp_rec_acked(struct ipsp_node *n, uint64_t number)
{
	size_t start;

	if (number <= n->side.acked)
		return;
	ipsp_sync_acked(n, number);
	n->side.acked = number;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_ACKED, &start);
	if (b) {
		ipsp_buf_put_u64(b, number);
		ipsp_rec_made(n, start);
	}
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
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_CONF, &start);

	if (b) {
		put_conf(n, b, n->built_own);
		ipsp_rec_made(n, start);
		n->snap_gen++;
	}
}

/*
 * One record, since a prefix of several would forget sessions that were durable before.
 */
void ipsp_rec_repool(struct ipsp_node *n, enum ipsp_own own)
{
	size_t start;

	ipsp_xact_give_up(n, IPSP_ERR_TIMEOUT);
	n->stock.id = 0; /* what was asked ahead, or to be looked at, named other pools */
	n->stock.look = false;
	n->built_own = own;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_REPOOL, &start);
	if (b) {
		put_conf(n, b, own);
		ipsp_rec_made(n, start);
		n->snap_gen++;
	}
	uint32_t lost = 0;
	if (ipsp_repool(n, &lost) != 0) {
		n->act->failed = true;
		return;
	}
	ipsp_out_repooled(n);
	ipsp_ha_repooled(n);
	if (lost > 0) /* at a start only: a reload would have been refused */
		ipsp_say(n, IPSP_LOG_WARNING,
			 "%u sessions were on addresses that are in no pool any more: they are "
			 "forgotten, and their HAs do not know it",
			 lost);
}
