/*
 * books - the books as a whole: lost, given anew, begun anew. Each is one record, because a prefix
 * of several would lose addresses.
 */
#include "core/effect.h"
#include "core/rec.h"

/* --------------------------------------------------------------- the peer has lost its state */

/*
 * The peer has lost its state. What we own stays ours, what we use becomes ours, all else is given
 * to it anew from number 1. One record, because a prefix of the items would lose addresses: replay
 * makes the same items from the same state.
 */
void ipsp_effect_resupply(struct ipsp_node *n, uint64_t peer_books)
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
				ipsp_effect_by_right(n, (struct ipsp_place){p, i});
				continue;
			}
			ipsp_pool_set_own(pool, i, IPSP_OWN_TRANSIT);
			if (open && ipsp_item_add_bit(&w, i))
				continue;
			if (open) {
				size_t len = ipsp_item_end(&w);
				ipsp_sync_append(n, w.bytes, len, number);
			}
			ipsp_item_begin(&w, ++number, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, p,
					IPSP_SET_BITS);
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

/* What was agreed under the books that ended here. */
static void end_with_the_books(struct ipsp_node *n)
{
	ipsp_ha_end_requests(n);
	ipsp_ha_end_void(n);
	n->asks_to_leave = false;
}

void ipsp_rec_resupply(struct ipsp_node *n, uint64_t peer_books)
{
	size_t start;
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_RESUPPLY, &start);

	if (b) {
		ipsp_buf_put_u64(b, peer_books);
		ipsp_rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	ipsp_effect_resupply(n, peer_books);
	end_with_the_books(n);
}

/* --------------------------------------------------------------- this side has lost its state */

/* We have lost our state, or fell behind it: the peer's books decide. Sessions stay, to be
 * reported. */
void ipsp_effect_lost(struct ipsp_node *n, uint64_t books)
{
	ipsp_sync_clear(n);
	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		if (ipsp_is_static(n, p))
			continue;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			struct ipsp_place at = {p, i};
			if (ipsp_pool_use(n->pools[p], i) != IPSP_USE_USED)
				ipsp_effect_clear(n, at);
			ipsp_pool_set_own(n->pools[p], i, IPSP_OWN_PEER);
		}
	}
	n->owed = 0;
	n->side.books = books;
	n->side.peer_books = 0;
	n->side.sent = n->side.acked = n->side.applied = n->side.report = 0;
	n->side.lost = n->side.anew = true;
	n->side.shared = n->side.licence = n->side.loan = n->side.held = false;
}

void ipsp_rec_lost(struct ipsp_node *n)
{
	uint64_t books;
	size_t start;

	do
		ipsp_rng_bytes(&n->rng, &books, sizeof books);
	while (books == 0);
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_LOST, &start);
	if (b) {
		ipsp_buf_put_u64(b, books);
		ipsp_rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	ipsp_effect_lost(n, books);
	end_with_the_books(n);
}

/* --------------------------------------------------------------- nothing is shared any more */

/* Ours from now on, whoever owned it; nothing of it is promised to anybody. */
static void keep_all(struct ipsp_node *n, uint16_t p, uint32_t i)
{
	struct ipsp_pool *pool = n->pools[p];

	ipsp_effect_by_right(n, (struct ipsp_place){p, i});
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
void ipsp_effect_alone(struct ipsp_node *n, uint64_t books, enum ipsp_alone how)
{
	struct ipsp_side *s = &n->side;

	ipsp_sync_clear(n);
	s->books = books;
	s->peer_books = s->sent = s->acked = s->applied = s->report = 0;
	s->licence = s->lost = s->shared = s->loan = s->draining = s->terminated = s->s6 = false;
	s->yielded = s->yielded_loan = s->held = false;
	s->conf_mine = s->conf_peer = IPSP_ROLE_NONE;
	s->p6 = IPSP_P6_IDLE;
	s->grounded = how == IPSP_ALONE_WITHOUT;
	s->owner = how == IPSP_ALONE_OWNER || how == IPSP_ALONE_ALL;
	for (uint16_t p = 0; p < n->conf.n_pools && s->owner; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size && !ipsp_is_static(n, p); i++)
			keep_all(n, p, i);
}

void ipsp_rec_alone(struct ipsp_node *n, enum ipsp_alone how)
{
	uint64_t books;
	size_t start;

	do
		ipsp_rng_bytes(&n->rng, &books, sizeof books);
	while (books == 0);
	struct ipsp_buf *b = ipsp_rec_live(n, IPSP_REC_ALONE, &start);
	if (b) {
		ipsp_buf_put_u64(b, books);
		ipsp_buf_put_u8(b, (uint8_t)how);
		ipsp_rec_made(n, start);
		n->side_seq = n->seq;
		n->act->want_flush = true;
		n->snap_gen++;
	}
	ipsp_effect_alone(n, books, how);
	end_with_the_books(n);
	n->xacts.retry = true;
	n->licence_pending = n->licence_resting = false;
}
