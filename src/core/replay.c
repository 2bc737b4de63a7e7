/*
 * replay - from a record (rec.h) back to its effect (effect.h). Nothing is said or recorded here.
 */
#include "core/effect.h"
#include "core/rec.h"

#include <string.h>

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
		err = type == IPSP_REC_REPOOL ? ipsp_repool(n, &lost) : ipsp_node_build_pools(n);
	}
	ipsp_conf_fini(&conf);
	rd->p = rd->end;
	return err;
}

static bool get_place(struct ipsp_node *n, struct ipsp_rd *rd, struct ipsp_place *at)
{
	at->pool = ipsp_rd_u16(rd);
	at->index = ipsp_rd_u32(rd);
	return !rd->failed && at->pool < n->conf.n_pools &&
	       at->index < n->conf.pools[at->pool].size;
}

/* Most addresses of a run are so already: a snapshot begins with pools that were just made. */
static void replay_like(struct ipsp_node *n, struct ipsp_place at, uint32_t count,
			enum ipsp_own own, uint8_t flags)
{
	struct ipsp_pool *pool = n->pools[at.pool];
	const uint32_t end = at.index + count;

	while (at.index < end) {
		if (ipsp_pool_use(pool, at.index) == IPSP_USE_FREE &&
		    ipsp_pool_own(pool, at.index) == own &&
		    ipsp_pool_flags(pool, at.index) == flags) {
			at.index = ipsp_pool_alike(pool, at.index, end, true);
			continue;
		}
		ipsp_effect_clear(n, at);
		if (ipsp_pool_flags(pool, at.index) & IPSP_ADDR_OWED)
			n->owed--;
		ipsp_pool_set_own(pool, at.index, own);
		if (own == IPSP_OWN_OURS) {
			ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_MOVE, flags & IPSP_ADDR_MOVE);
			ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_DUP, flags & IPSP_ADDR_DUP);
			ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_OWED, false);
			ipsp_effect_flag(n, at, IPSP_ADDR_OWED, flags & IPSP_ADDR_OWED);
		}
		at.index++;
	}
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
	replay_like(n, at, count, (enum ipsp_own)own, flags);
	return 0;
}

static int replay_item(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	size_t len = ipsp_rd_left(rd);
	const uint8_t *bytes = ipsp_rd_take(rd, len);
	struct ipsp_item item;

	if (!bytes || ipsp_item_parse(bytes, len, &item) != 0)
		return IPSP_ERR_FORMAT;
	/* what a snapshot has already may follow it once more; ours follow each other without a gap
	 */
	if ((type == IPSP_REC_OUT && item.number > n->side.sent + 1) ||
	    (type == IPSP_REC_SNAP_OUT &&
	     (item.number > n->side.sent || item.number != n->side.acked + 1 + n->stream.n)))
		return IPSP_ERR_FORMAT;
	if (type == IPSP_REC_OUT && item.number > n->side.sent)
		ipsp_effect_out(n, &item, bytes, len);
	else if (type == IPSP_REC_IN && item.number > n->side.applied)
		ipsp_rec_in(n, &item, bytes, len, false);
	else if (type == IPSP_REC_SNAP_OUT)
		ipsp_sync_append(n, bytes, len, item.number);
	return 0;
}

static bool has_nul(const char *p, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t eight;

	for (; n >= sizeof(eight); n -= sizeof(eight), p += sizeof(eight)) {
		memcpy(&eight, p, sizeof(eight));
		if ((eight - ones) & ~eight & ones * 0x80)
			return true;
	}
	for (; n > 0; n--, p++)
		if (*p == '\0')
			return true;
	return false;
}

/* The texts stay where they are in the record: what is made of them makes a copy. */
static int replay_take(struct ipsp_node *n, const uint8_t *p, size_t len)
{
	const size_t fixed = 10;
	struct ipsp_ident ident = {.subscriber = (const char *)p + 9};
	struct ipsp_place at;

	/* with some million of them this is what a restart takes: no number is read by itself */
	if (len < fixed || len < fixed + p[8])
		return IPSP_ERR_FORMAT;
	ident.n_subscriber = p[8];
	ident.session = ident.subscriber + ident.n_subscriber + 1;
	ident.n_session = p[9 + ident.n_subscriber];
	at = (struct ipsp_place){ipsp_load_u16(p), ipsp_load_u32(p + 2)};
	if (len < fixed + ident.n_subscriber + ident.n_session || at.pool >= n->conf.n_pools ||
	    at.index >= n->conf.pools[at.pool].size ||
	    has_nul(ident.subscriber, ident.n_subscriber) ||
	    has_nul(ident.session, ident.n_session))
		return IPSP_ERR_FORMAT;
	return ipsp_effect_take(n, at, ipsp_load_u16(p + 6), &ident) == IPSP_NO_BIND
		       ? IPSP_ERR_NOMEM
		       : 0;
}

static int replay_keep(struct ipsp_node *n, struct ipsp_rd *rd)
{
	struct ipsp_place at;

	if (!get_place(n, rd, &at))
		return IPSP_ERR_FORMAT;
	uint8_t use = ipsp_rd_u8(rd);
	uint32_t left_s = ipsp_rd_u32(rd);
	size_t len = ipsp_rd_u8(rd);
	const char *subscriber = (const char *)ipsp_rd_take(rd, len);
	if (!subscriber || has_nul(subscriber, len) ||
	    (use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE))
		return IPSP_ERR_FORMAT;
	return ipsp_effect_keep(n, at, (enum ipsp_use)use, left_s, subscriber, len)
		       ? 0
		       : IPSP_ERR_NOMEM;
}

static int replay_small(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	struct ipsp_place at;
	char name[256];
	uint16_t ha;

	if (type == IPSP_REC_NAME) {
		ha = ipsp_rd_u16(rd);
		size_t len = ipsp_rd_str8(rd, name);
		if (rd->failed || len == 0 || len >= IPSP_NAME_MAX || ha == 0)
			return IPSP_ERR_FORMAT;
		const uint32_t owner = ipsp_rd_left(rd) > 0 ? ipsp_rd_u32(rd) : 0;
		if (rd->failed)
			return IPSP_ERR_FORMAT;
		return ipsp_effect_name(n, ha, name, owner) ? 0 : IPSP_ERR_NOMEM;
	}
	if (!get_place(n, rd, &at))
		return IPSP_ERR_FORMAT;
	if (type == IPSP_REC_DROP) {
		ipsp_effect_clear(n, at);
	} else if (type == IPSP_REC_DUPLICATE) {
		ipsp_effect_duplicate(n, at);
	} else if (type == IPSP_REC_HA) {
		ha = ipsp_rd_u16(rd);
		ipsp_effect_ha(n, at, ha);
		if (ipsp_rd_left(rd) > 0 && ipsp_rd_u8(rd) == 1)
			ipsp_effect_terminate(n, at);
	} else {
		uint8_t flag = ipsp_rd_u8(rd), on = ipsp_rd_u8(rd);
		if (flag != IPSP_ADDR_MOVE && flag != IPSP_ADDR_DUP && flag != IPSP_ADDR_OWED)
			return IPSP_ERR_FORMAT;
		ipsp_effect_flag(n, at, flag, on);
	}
	return rd->failed ? IPSP_ERR_FORMAT : 0;
}

static int replay_side(struct ipsp_node *n, struct ipsp_rd *rd)
{
	struct ipsp_side side;

	ipsp_rec_get_side(rd, &side);
	if (rd->failed || side.acked > side.sent || side.p6 > IPSP_P6_SENT)
		return IPSP_ERR_FORMAT;
	ipsp_effect_side(n, &side);
	return 0;
}

/* What concerns all of the books at once. */
static int replay_books(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	const uint64_t number = ipsp_rd_u64(rd); /* of books, or of an item of ours */
	const uint8_t how = type == IPSP_REC_ALONE ? ipsp_rd_u8(rd) : 0;

	if (rd->failed || how > IPSP_ALONE_ALL || (type == IPSP_REC_ACKED && number > n->side.sent))
		return IPSP_ERR_FORMAT;
	if (type == IPSP_REC_ACKED)
		ipsp_rec_acked(n, number);
	else if (type == IPSP_REC_RESUPPLY)
		ipsp_effect_resupply(n, number);
	else if (type == IPSP_REC_LOST)
		ipsp_effect_lost(n, number);
	else
		ipsp_effect_alone(n, number, (enum ipsp_alone)how);
	return 0;
}

static int replay_one(struct ipsp_node *n, const uint8_t *rec, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(rec, len);
	uint8_t type = ipsp_rd_u8(&rd);
	int err = 0;

	switch (type) {
	case IPSP_REC_CONF:
	case IPSP_REC_REPOOL:
		err = replay_conf(n, type, &rd);
		break;
	case IPSP_REC_SIDE:
		err = replay_side(n, &rd);
		break;
	case IPSP_REC_TAKE:
		return replay_take(n, rec + 1, len - 1);
	case IPSP_REC_KEEP:
		err = replay_keep(n, &rd);
		break;
	case IPSP_REC_NAME:
	case IPSP_REC_DROP:
	case IPSP_REC_HA:
	case IPSP_REC_FLAG:
	case IPSP_REC_DUPLICATE:
		err = replay_small(n, type, &rd);
		break;
	case IPSP_REC_OUT:
	case IPSP_REC_IN:
	case IPSP_REC_SNAP_OUT:
		err = replay_item(n, type, &rd);
		break;
	case IPSP_REC_ACKED:
	case IPSP_REC_RESUPPLY:
	case IPSP_REC_LOST:
	case IPSP_REC_ALONE:
		err = replay_books(n, type, &rd);
		break;
	case IPSP_REC_RUN:
		err = replay_run(n, &rd);
		break;
	case IPSP_REC_SNAP_BEGIN: /* whatever stood before is in the snapshot */
		ipsp_sync_clear(n);
		memset(&n->side, 0, sizeof n->side);
		break;
	case IPSP_REC_SNAP_END:
		break;
	default:
		err = IPSP_ERR_FORMAT;
	}
	return err ? err : rd.failed ? IPSP_ERR_FORMAT : 0;
}

/* ---------------------------------------------------------------- records in a row */

#define AHEAD 8 /* records whose addresses are fetched before their turn comes */

/* Has the memory of the record at @p in the cache when its turn comes; returns where the next is.
 */
static const uint8_t *foresee(const struct ipsp_node *n, const uint8_t *p, const uint8_t *end)
{
	const size_t head = 2, place = 7; /* its length; type, pool and index */
	size_t len;

	if (end - p < (ptrdiff_t)head || (len = ipsp_load_u16(p)) > (size_t)(end - p) - head)
		return end;
	p += head;
	if (len >= place &&
	    (p[0] == IPSP_REC_TAKE || p[0] == IPSP_REC_DROP || p[0] == IPSP_REC_KEEP) &&
	    ipsp_load_u16(p + 1) < n->conf.n_pools)
		ipsp_pool_foresee(n->pools[ipsp_load_u16(p + 1)], ipsp_load_u32(p + 3));
	return p + len;
}

int ipsp_node_replay_all(struct ipsp_node *n, const uint8_t *recs, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(recs, len);
	const uint8_t *ahead = rd.p; /* not @recs, which may be NULL where @len is 0 */
	int err = 0;

	n->replaying = true;
	n->blank = false;
	for (int i = 0; i < AHEAD; i++)
		ahead = foresee(n, ahead, rd.end);
	while (err == 0 && ipsp_rd_left(&rd) > 0) {
		size_t n_rec = ipsp_rd_u16(&rd);
		const uint8_t *rec = ipsp_rd_take(&rd, n_rec);

		ahead = foresee(n, ahead, rd.end);
		if (!rec)
			err = IPSP_ERR_FORMAT;
		else if (n_rec > 0 && rec[0] == IPSP_REC_TAKE)
			err = replay_take(n, rec + 1, n_rec - 1);
		else
			err = replay_one(n, rec, n_rec);
	}
	n->replaying = false;
	return err;
}

int ipsp_node_replay(struct ipsp_node *n, const uint8_t *rec, size_t len)
{
	n->replaying = true;
	n->blank = false;
	int err = replay_one(n, rec, len);
	n->replaying = false;
	return err;
}

int ipsp_node_replayed(const struct ipsp_node *n)
{
	return n->side.sent - n->side.acked == n->stream.n ? 0 : IPSP_ERR_FORMAT;
}
