/*
 * snap - all that is durable, walked as a whole: as records that bring it back (a snapshot, in
 * slices, see rec.h), and as one number to compare it by.
 */
#include "core/rec.h"

#include <string.h>

/* --------------------------------------------------------------- snapshot */

static void snap_head(const struct ipsp_node *n, struct ipsp_buf *recs)
{
	size_t at = recs->len;

	ipsp_rec_begin(recs, IPSP_REC_SNAP_BEGIN);
	ipsp_rec_end(recs, at);
	at = recs->len;
	ipsp_buf_put_u8(ipsp_rec_begin(recs, IPSP_REC_CONF), IPSP_OWN_PEER);
	ipsp_conf_encode_pools(&n->conf, recs);
	ipsp_rec_end(recs, at);
	at = recs->len;
	ipsp_rec_put_side(ipsp_rec_begin(recs, IPSP_REC_SIDE), &n->side);
	ipsp_rec_end(recs, at);
	for (uint32_t i = 1; i < n->has.n; i++) {
		if (!n->has.has[i].recorded)
			continue; /* a free number, or one that no record has said yet */
		at = recs->len;
		ipsp_buf_put_u16(ipsp_rec_begin(recs, IPSP_REC_NAME), (uint16_t)i);
		ipsp_buf_put_str8(recs, n->has.has[i].name, strlen(n->has.has[i].name));
		ipsp_rec_end(recs, at);
	}
	for (uint32_t i = 0; i < n->stream.n; i++) {
		const struct ipsp_out_item *o =
			n->stream.items[(n->stream.head + i) & (n->stream.cap - 1)];
		at = recs->len;
		ipsp_buf_put(ipsp_rec_begin(recs, IPSP_REC_SNAP_OUT), o->bytes, o->n);
		ipsp_rec_end(recs, at);
	}
}

static void snap_duplicate(struct ipsp_place p, struct ipsp_buf *recs)
{
	size_t at = recs->len;

	ipsp_rec_put_place(ipsp_rec_begin(recs, IPSP_REC_DUPLICATE), p);
	ipsp_rec_end(recs, at);
}

static void snap_bound(const struct ipsp_node *n, struct ipsp_place p, struct ipsp_buf *recs)
{
	struct ipsp_bind b;
	size_t at = recs->len;

	if (!ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[p.pool], p.index), &b))
		return;
	if (b.kind == IPSP_BIND_SESSION) {
		ipsp_rec_put_place(ipsp_rec_begin(recs, IPSP_REC_TAKE), p);
		ipsp_buf_put_u16(recs, b.ha);
		ipsp_buf_put_str8(recs, b.ident.subscriber, b.ident.n_subscriber);
		ipsp_buf_put_str8(recs, b.ident.session, b.ident.n_session);
	} else {
		uint64_t left_s = b.at > n->now ? (b.at - n->now + 999) / 1000 : 0;
		ipsp_rec_put_place(ipsp_rec_begin(recs, IPSP_REC_KEEP), p);
		ipsp_buf_put_u8(recs, (uint8_t)ipsp_pool_use(n->pools[p.pool], p.index));
		ipsp_buf_put_u32(recs, (uint32_t)left_s);
		ipsp_buf_put_str8(recs, b.ident.subscriber, b.ident.n_subscriber);
	}
	ipsp_rec_end(recs, at);
	if (b.kind == IPSP_BIND_SESSION && b.flags & IPSP_BIND_DUPLICATE)
		snap_duplicate(p, recs);
}

/* A slice is a walk of some ms at most, also where it finds next to nothing to write. */
#define RUN_MAX	   4096
#define SLICE_RUNS 16

/* One run of addresses that are alike, and what is bound to them; returns the index behind it. */
static uint32_t snap_run(const struct ipsp_node *n, uint16_t p, uint32_t i, struct ipsp_buf *recs)
{
	const struct ipsp_pool *pool = n->pools[p];
	uint32_t size = n->conf.pools[p].size, start = i, limit = start + RUN_MAX;
	enum ipsp_own own = ipsp_pool_own(pool, i);
	uint8_t flags = ipsp_pool_flags(pool, i);
	size_t at = recs->len;

	do
		i++;
	while (i < size && i < limit && ipsp_pool_own(pool, i) == own &&
	       ipsp_pool_flags(pool, i) == flags);
	ipsp_rec_put_place(ipsp_rec_begin(recs, IPSP_REC_RUN), (struct ipsp_place){p, start});
	ipsp_buf_put_u32(recs, i - start);
	ipsp_buf_put_u8(recs, (uint8_t)own);
	ipsp_buf_put_u8(recs, flags);
	ipsp_rec_end(recs, at);
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
	for (int runs = SLICE_RUNS; runs > 0 && p < n->conf.n_pools && recs->len - begin < max;
	     runs--) {
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
	ipsp_rec_begin(recs, IPSP_REC_SNAP_END);
	ipsp_rec_end(recs, begin);
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
			const char *name = ipsp_name_of_ha(n, b.ha);
			h = mix(h, name, strlen(name));
		}
	}
	return h;
}

uint64_t ipsp_node_digest(const struct ipsp_node *n)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	struct ipsp_buf side = {0};

	ipsp_rec_put_side(&side, &n->side);
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
