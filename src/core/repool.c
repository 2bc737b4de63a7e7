/*
 * repool - other pools under the sessions that are there: made anew, with what was bound to an
 * address carried over where the address is still in a pool.
 */
#include "core/effect.h"
#include "core/names.h"

#define TERMINATE (UINT32_C(1) << 16) /* beside the number of an HA */

/* What is bound to an address, out of pools that are about to go. */
static void carry_out(struct ipsp_node *n, struct ipsp_buf *buf)
{
	struct ipsp_bind b;

	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		if (!ipsp_binds_get(n->binds, i, &b))
			continue;
		struct ipsp_addr addr = ipsp_pool_addr(ipsp_pool_conf(n->pools[b.pool]), b.index);
		uint64_t left_s = b.at > n->now ? (b.at - n->now + 999) / 1000 : 0;
		ipsp_buf_put_u64(buf, addr.hi);
		ipsp_buf_put_u64(buf, addr.lo);
		ipsp_buf_put_u8(buf, (uint8_t)ipsp_pool_use(n->pools[b.pool], b.index));
		uint32_t terminate = b.flags & IPSP_BIND_TERMINATE ? TERMINATE : 0;
		ipsp_buf_put_u32(buf,
				 b.kind == IPSP_BIND_KEPT ? (uint32_t)left_s : b.ha | terminate);
		ipsp_buf_put_str8(buf, b.ident.subscriber, b.ident.n_subscriber);
		ipsp_buf_put_str8(buf, b.ident.session, b.ident.n_session);
	}
}

static void carry_session(struct ipsp_node *n, struct ipsp_place at, uint32_t more,
			  const struct ipsp_ident *ident)
{
	if (ipsp_effect_take(n, at, (uint16_t)more, ident) != IPSP_NO_BIND && more & TERMINATE)
		ipsp_effect_terminate(n, at);
}

/* ... and into those that were made anew; returns how many sessions found no place. */
static uint32_t carry_in(struct ipsp_node *n, const struct ipsp_buf *buf)
{
	struct ipsp_rd rd = ipsp_rd_of(buf->data, buf->len);
	char subscriber[256], session[256];
	uint32_t lost = 0;

	while (ipsp_rd_left(&rd) > 0) {
		struct ipsp_addr addr = {.hi = ipsp_rd_u64(&rd)};
		addr.lo = ipsp_rd_u64(&rd);
		enum ipsp_use use = (enum ipsp_use)ipsp_rd_u8(&rd);
		uint32_t more = ipsp_rd_u32(&rd);
		struct ipsp_ident ident = {.subscriber = subscriber, .session = session};
		ident.n_subscriber = (uint8_t)ipsp_rd_str8(&rd, subscriber);
		ident.n_session = (uint8_t)ipsp_rd_str8(&rd, session);
		struct ipsp_place at;
		int p = ipsp_conf_find(&n->conf, addr, &at.index);
		at.pool = (uint16_t)p;
		if (p < 0)
			lost += use == IPSP_USE_USED;
		else if (use == IPSP_USE_USED)
			carry_session(n, at, more, &ident);
		else if (n->built_own == IPSP_OWN_OURS && !ipsp_is_static(n, at.pool))
			ipsp_effect_must_keep(n, at, use, more, subscriber, ident.n_subscriber);
	}
	return lost;
}

int ipsp_repool(struct ipsp_node *n, uint32_t *lost)
{
	struct ipsp_buf buf = {0};

	carry_out(n, &buf);
	int err = buf.failed ? IPSP_ERR_NOMEM : ipsp_node_build_pools(n);
	if (err == 0)
		*lost = carry_in(n, &buf);
	/* made anew they are all of a kind: what a secondary owns flows to the primary as before */
	for (uint32_t p = 0; err == 0 && n->side.shared && !n->side.primary && p < n->conf.n_pools;
	     p++)
		if (!ipsp_is_static(n, (uint16_t)p))
			ipsp_pool_move_all(n->pools[p], true);
	if (err == 0 && n->has.counted)
		ipsp_names_settle(n);
	ipsp_buf_fini(&buf);
	return err;
}
