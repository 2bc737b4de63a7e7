/*
 * snap - all that is durable, walked as a whole: as records that bring it back (a snapshot, in
 * slices, see rec.h), and as one number to compare it by.
 */
#include "core/names.h"
#include "core/rec.h"

#include <string.h>

/* --------------------------------------------------------------- snapshot */

/* What most addresses are: those need no change when the snapshot is read. */
static enum ipsp_own most_are(const struct ipsp_node *n)
{
	uint64_t ours = 0, all = 0;

	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		if (ipsp_is_static(n, (uint16_t)p))
			continue; /* they are made ours */
		ours += (uint64_t)c->free + c->used + c->hold + c->quarantine;
		all += n->conf.pools[p].size;
	}
	return 2 * ours > all ? IPSP_OWN_OURS : IPSP_OWN_PEER;
}

static void snap_head(const struct ipsp_node *n, struct ipsp_buf *recs)
{
	size_t at = recs->len;

	ipsp_rec_begin(recs, IPSP_REC_SNAP_BEGIN);
	ipsp_rec_end(recs, at);
	at = recs->len;
	ipsp_buf_put_u8(ipsp_rec_begin(recs, IPSP_REC_CONF), (uint8_t)most_are(n));
	ipsp_conf_encode_pools(&n->conf, recs);
	ipsp_rec_end(recs, at);
	at = recs->len;
	ipsp_rec_put_side(ipsp_rec_begin(recs, IPSP_REC_SIDE), &n->side);
	ipsp_rec_end(recs, at);
	for (uint32_t i = 1; i < n->has.n; i++) {
		if (!n->has.has[i].recorded)
			continue; /* a free number, or one that no record has said yet */
		at = recs->len;
		ipsp_rec_put_name(ipsp_rec_begin(recs, IPSP_REC_NAME), (uint16_t)i,
				  n->has.has[i].name, n->has.has[i].owner);
		ipsp_rec_end(recs, at);
	}
	for (uint32_t i = 0; i < n->stream.n; i++) {
		const struct ipsp_out_item *o = ipsp_stream_nth(&n->stream, i);
		at = recs->len;
		ipsp_buf_put(ipsp_rec_begin(recs, IPSP_REC_SNAP_OUT), ipsp_out_bytes(o), o->n);
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
		ipsp_rec_put_take(recs, p, b.ha, &b.ident);
	} else {
		uint64_t left_s = b.at > n->now ? (b.at - n->now + 999) / 1000 : 0;
		ipsp_rec_put_place(ipsp_rec_begin(recs, IPSP_REC_KEEP), p);
		ipsp_buf_put_u8(recs, (uint8_t)ipsp_pool_use(n->pools[p.pool], p.index));
		ipsp_buf_put_u32(recs, (uint32_t)left_s);
		ipsp_buf_put_str8(recs, b.ident.subscriber, b.ident.n_subscriber);
		ipsp_rec_end(recs, at);
	}
	if (b.kind == IPSP_BIND_SESSION && b.flags & IPSP_BIND_DUPLICATE)
		snap_duplicate(p, recs);
	if (b.kind == IPSP_BIND_SESSION && b.flags & IPSP_BIND_TERMINATE) {
		at = recs->len;
		ipsp_rec_put_terminate(ipsp_rec_begin(recs, IPSP_REC_HA), p, b.ha);
		ipsp_rec_end(recs, at);
	}
}

/*
 * A slice is full when it has enough to write, or has walked over as many addresses. It may end
 * within a run: the rest is a run of its own, which begins the next slice as it is then.
 */
#define SLICE_WALK 65536u
#define AHEAD	   8u /* addresses whose bindings are fetched before their turn comes */

struct slice {
	size_t full;   /* when the records are as long */
	uint32_t walk; /* how many more addresses */
	struct ipsp_buf *recs;
};

/* What is bound to the addresses from @at on; returns the index behind the last one it came to. */
static uint32_t snap_bindings(const struct ipsp_node *n, struct ipsp_place at, uint32_t end,
			      const struct slice *slice)
{
	const struct ipsp_pool *pool = n->pools[at.pool];

	while (at.index < end && slice->recs->len < slice->full && !slice->recs->failed) {
		if (ipsp_pool_use(pool, at.index) == IPSP_USE_FREE) {
			at.index = ipsp_pool_alike(pool, at.index, end, true);
			continue;
		}
		if (at.index + AHEAD < end)
			ipsp_binds_fetch(n->binds, ipsp_pool_bind(pool, at.index + AHEAD));
		snap_bound(n, at, slice->recs);
		at.index++;
	}
	return at.index;
}

/* One run of addresses that are alike, and what is bound to them; returns the index behind it. */
static uint32_t snap_run(const struct ipsp_node *n, struct ipsp_place at, struct slice *slice)
{
	const struct ipsp_pool *pool = n->pools[at.pool];
	const uint32_t left = n->conf.pools[at.pool].size - at.index;
	uint32_t end = ipsp_pool_alike(pool, at.index,
				       at.index + (left < slice->walk ? left : slice->walk), false);
	size_t start = slice->recs->len, count_at;

	ipsp_rec_put_place(ipsp_rec_begin(slice->recs, IPSP_REC_RUN), at);
	count_at = slice->recs->len;
	ipsp_buf_put_u32(slice->recs, 0);
	ipsp_buf_put_u8(slice->recs, (uint8_t)ipsp_pool_own(pool, at.index));
	ipsp_buf_put_u8(slice->recs, ipsp_pool_flags(pool, at.index));
	ipsp_rec_end(slice->recs, start);
	end = snap_bindings(n, at, end, slice);
	if (!slice->recs->failed)
		ipsp_store_u32(slice->recs->data + count_at, end - at.index);
	slice->walk -= end - at.index;
	return end;
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
	struct ipsp_place at = {(uint16_t)(*cursor >> 32 & 0x7fff), (uint32_t)*cursor};
	struct slice slice = {begin + max, SLICE_WALK, recs};
	while (at.pool < n->conf.n_pools && slice.walk > 0 && recs->len < slice.full &&
	       !recs->failed) {
		at.index = snap_run(n, at, &slice);
		if (at.index >= n->conf.pools[at.pool].size)
			at = (struct ipsp_place){(uint16_t)(at.pool + 1), 0};
	}
	*cursor = mark | (uint64_t)at.pool << 32 | at.index;
	if (at.pool < n->conf.n_pools)
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
			uint8_t ends = b.flags & (IPSP_BIND_DUPLICATE | IPSP_BIND_TERMINATE);
			h = mix(h, &ends, 1);
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
		const struct ipsp_out_item *o = ipsp_stream_nth(&n->stream, i);
		h = mix(h, ipsp_out_bytes(o), o->n);
	}
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++)
			h = mix_address(n, h, p, i);
	return h;
}
