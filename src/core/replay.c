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
		ipsp_effect_clear(n, at);
		if (ipsp_pool_flags(pool, at.index) & IPSP_ADDR_OWED)
			n->owed--;
		ipsp_pool_set_own(pool, at.index, (enum ipsp_own)own);
		if (own != IPSP_OWN_OURS)
			continue;
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_MOVE, flags & IPSP_ADDR_MOVE);
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_DUP, flags & IPSP_ADDR_DUP);
		ipsp_pool_set_flag(pool, at.index, IPSP_ADDR_OWED, false);
		ipsp_effect_flag(n, at, IPSP_ADDR_OWED, flags & IPSP_ADDR_OWED);
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
	if (type == IPSP_REC_OUT && item.number > n->side.sent)
		ipsp_effect_out(n, &item, bytes, len);
	else if (type == IPSP_REC_IN && item.number > n->side.applied)
		ipsp_rec_in(n, &item, bytes, len);
	else if (type == IPSP_REC_SNAP_OUT)
		ipsp_sync_append(n, bytes, len, item.number);
	return 0;
}

static int replay_session(struct ipsp_node *n, uint8_t type, struct ipsp_rd *rd)
{
	char subscriber[256], session[256] = "";
	struct ipsp_place at;

	if (!get_place(n, rd, &at))
		return IPSP_ERR_FORMAT;
	if (type == IPSP_REC_TAKE) {
		uint16_t ha = ipsp_rd_u16(rd);
		struct ipsp_ident ident = {.subscriber = subscriber, .session = session};
		ident.n_subscriber = (uint8_t)ipsp_rd_str8(rd, subscriber);
		ident.n_session = (uint8_t)ipsp_rd_str8(rd, session);
		if (rd->failed)
			return IPSP_ERR_FORMAT;
		return ipsp_effect_take(n, at, ha, &ident) == IPSP_NO_BIND ? IPSP_ERR_NOMEM : 0;
	}
	uint8_t use = ipsp_rd_u8(rd);
	uint32_t left_s = ipsp_rd_u32(rd);
	size_t len = ipsp_rd_str8(rd, subscriber);
	if (rd->failed || (use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE))
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
		return ipsp_effect_name(n, ha, name) ? 0 : IPSP_ERR_NOMEM;
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
	} else {
		uint8_t flag = ipsp_rd_u8(rd), on = ipsp_rd_u8(rd);
		ipsp_effect_flag(n, at, flag, on);
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
	case IPSP_REC_CONF:
	case IPSP_REC_REPOOL:
		err = replay_conf(n, type, &rd);
		break;
	case IPSP_REC_SIDE:
		ipsp_rec_get_side(&rd, &side);
		if (rd.failed)
			return IPSP_ERR_FORMAT;
		ipsp_effect_side(n, &side);
		break;
	case IPSP_REC_TAKE:
	case IPSP_REC_KEEP:
		err = replay_session(n, type, &rd);
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
		ipsp_rec_acked(n, ipsp_rd_u64(&rd));
		break;
	case IPSP_REC_RESUPPLY:
		ipsp_effect_resupply(n, ipsp_rd_u64(&rd));
		break;
	case IPSP_REC_LOST:
		ipsp_effect_lost(n, ipsp_rd_u64(&rd));
		break;
	case IPSP_REC_ALONE:
		side.books = ipsp_rd_u64(&rd);
		ipsp_effect_alone(n, side.books, (enum ipsp_alone)ipsp_rd_u8(&rd));
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
	n->replaying = false;
	return err ? err : rd.failed ? IPSP_ERR_FORMAT : 0;
}
