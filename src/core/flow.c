/*
 * flow - what the books give each side, and where unused addresses go.
 *
 * Looked at once in every turn, as conditions and not as edges: what was interrupted by a crash or
 * a loss of the peer is due again when its condition holds again. So are the roles (role.c) and
 * the commands that wait (command.c).
 */
#include "core/node_int.h"

/* What is moved in one turn at most: bulk work never holds a turn up. A kept address, with its
 * binding and its timer, costs some eight times what a free one does. */
#define FLOW_WORK 4096
#define WORK_KEPT 16
#define WORK_FREE 2
#define WORK_LOOK 1
#define AHEAD	  8 /* kept ones whose memory is fetched while another is worked on */

/* --------------------------------------------------------------- sums over the books */

struct ipsp_sums ipsp_flow_sums(const struct ipsp_node *n)
{
	struct ipsp_sums s = {0};

	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		if (ipsp_is_static(n, (uint16_t)p))
			continue;
		s.ours += (uint64_t)c->free + c->used + c->hold + c->quarantine;
		s.other += (uint64_t)c->peer_idle + c->peer_used;
		s.transit += (uint64_t)c->transit_idle + c->transit_used;
		s.move_idle += c->move_idle;
		s.foreign += (uint64_t)c->peer_used + c->transit_used;
		s.dup += c->dup;
	}
	return s;
}

uint32_t ipsp_flow_in_transit(const struct ipsp_node *n)
{
	return (uint32_t)ipsp_flow_sums(n).transit;
}

bool ipsp_flow_owns_all(const struct ipsp_node *n)
{
	struct ipsp_sums s = ipsp_flow_sums(n);
	return s.other + s.transit == 0;
}

bool ipsp_flow_owns_none(const struct ipsp_node *n)
{
	struct ipsp_sums s = ipsp_flow_sums(n);
	return s.ours + s.transit == 0 && s.other > 0;
}

bool ipsp_flow_shared_out(const struct ipsp_node *n)
{
	struct ipsp_sums s = ipsp_flow_sums(n);

	if (n->side.lost)
		return s.foreign > 0;
	return n->side.shared &&
	       (s.transit > 0 || (s.ours > 0 && s.other > 0) || s.foreign > 0 || s.dup > 0 ||
		n->owed > 0 || n->stream.n > 0 || n->side.licence || ipsp_heal_pending(n));
}

/* Heard both ways, one epoch, one primary, nothing left to heal: decisions can be made together. */
bool ipsp_flow_settled(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	return ipsp_contact(n) && n->peer.speaks != 0 && n->mode == IPSP_MODE_ACTIVE &&
	       ipsp_psp(n)->enabled && n->side.shared && h->flags & IPSP_HF_SHARED &&
	       !n->side.lost && !(h->flags & IPSP_HF_LOST) && h->epoch == n->side.epoch &&
	       !!(h->flags & IPSP_HF_PRIMARY) != n->side.primary && !n->side.licence &&
	       !(h->flags & IPSP_HF_LICENCE) && !ipsp_heal_pending(n) &&
	       h->peer_books == n->side.books && h->books == n->side.peer_books &&
	       n->side_seq <= n->flushed;
}

/* Heard, and the pools differ, or no version is common: nothing moves between the two. */
bool ipsp_flow_differs(const struct ipsp_node *n)
{
	return ipsp_contact(n) && n->compare.known && !n->compare.same;
}

/* Nothing moves to a side that drains or terminates. */
bool ipsp_flow_peer_takes(const struct ipsp_node *n)
{
	return !ipsp_flag(n, IPSP_HF_DRAINING) && !ipsp_flag(n, IPSP_HF_TERMINATED) &&
	       !ipsp_flag(n, IPSP_HF_CHECK);
}

/* --------------------------------------------------------------- first assignment (S1) */

static void first_assignment(struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;
	struct ipsp_item_writer w;
	bool both_same = n->compare.known && n->compare.same && h->flags & IPSP_HF_SAME;

	if (n->disk_full || n->side.shared || n->side.lost || n->side.grounded ||
	    !ipsp_contact(n) || !both_same || n->conf_role_conflict || n->side_seq > n->flushed)
		return;
	/* where the peer owns nothing since IPSP was disabled there, the owner of all shares,
	 * whatever its role */
	if (!n->side.primary && !(h->flags & IPSP_HF_GROUNDED && ipsp_flow_owns_all(n)))
		return;
	/* where the peer's sessions are to be known first, it has to get this item to report them
	 */
	bool takes = ipsp_flow_peer_takes(n) || (n->side.held && !(h->flags & IPSP_HF_CHECK));
	if (n->mode != IPSP_MODE_ACTIVE || !takes || h->flags & IPSP_HF_LOST ||
	    ipsp_link_listens(n, n->now))
		return;
	/* the books must be whose the peer says, and the lease must run before it is needed */
	if (h->peer_books != n->side.books || h->books != n->side.peer_books ||
	    h->epoch != n->side.epoch || !!(h->flags & IPSP_HF_PRIMARY) == n->side.primary ||
	    (n->lease.lease_end <= n->now && !n->side.held))
		return;
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, IPSP_NO_POOL,
			IPSP_SET_RUNS);
	ipsp_rec_out(n, &w);
	ipsp_say(n, IPSP_LOG_NOTICE, "the pools are identical: sharing them with the peer");
}

/* --------------------------------------------------------------- unused addresses flow */

static uint32_t left_s(const struct ipsp_node *n, ipsp_ms end)
{
	return end > n->now ? (uint32_t)((end - n->now + 999) / 1000) : 0;
}

static bool add_kept(const struct ipsp_node *n, struct ipsp_item_writer *w, struct ipsp_place at)
{
	const struct ipsp_pool *pool = n->pools[at.pool];
	struct ipsp_bind b;

	return ipsp_binds_get(n->binds, ipsp_pool_bind(pool, at.index), &b) &&
	       ipsp_item_add_kept(w, at.index, (uint8_t)ipsp_pool_use(pool, at.index),
				  left_s(n, b.at), b.ident.subscriber, b.ident.n_subscriber);
}

/* What comes some places later in that order may lie anywhere in memory: first the address, then
 * its binding. */
static void foresee(const struct ipsp_node *n, const struct ipsp_pool *pool, enum ipsp_use use,
		    uint32_t nth)
{
	const uint32_t next = ipsp_pool_last_kept(pool, use, nth + AHEAD);

	ipsp_pool_foresee(pool, ipsp_pool_last_kept(pool, use, nth + 2 * AHEAD));
	if (next != IPSP_NO_INDEX)
		ipsp_binds_fetch(n->binds, ipsp_pool_bind(pool, next));
}

/*
 * From the end of the heap that @first is in: there they leave it at little cost. False where the
 * one at the end is not to move.
 */
static bool add_last_kept(const struct ipsp_node *n, struct ipsp_item_writer *w,
			  struct ipsp_place first, int *work)
{
	const struct ipsp_pool *pool = n->pools[first.pool];
	const enum ipsp_use use = ipsp_pool_use(pool, first.index);
	struct ipsp_place at = first;

	for (uint32_t nth = 0; *work > 0; nth++, *work -= WORK_KEPT) {
		foresee(n, pool, use, nth);
		at.index = ipsp_pool_last_kept(pool, use, nth);
		if (at.index == IPSP_NO_INDEX || !ipsp_pool_may_move(pool, at.index) ||
		    !add_kept(n, w, at))
			break;
	}
	return w->n_entries > 0;
}

/* In index order, from *from on: kept ones past those that are free, or free ones past the kept. */
static void add_in_order(const struct ipsp_node *n, struct ipsp_item_writer *w,
			 struct ipsp_place first, bool kept, uint32_t *from, int *work)
{
	const struct ipsp_pool *pool = n->pools[first.pool];
	struct ipsp_place at = first;

	while (*work > 0) {
		if (kept != (ipsp_pool_use(pool, at.index) != IPSP_USE_FREE))
			*work -= WORK_LOOK;
		else if (kept ? add_kept(n, w, at) : ipsp_item_add_bit(w, at.index))
			*work -= kept ? WORK_KEPT : WORK_FREE;
		else
			break;
		*from = at.index + 1;
		if (*from >= n->conf.pools[at.pool].size)
			break;
		at.index = ipsp_pool_next_move(pool, *from);
		if (at.index == IPSP_NO_INDEX || at.index < *from)
			break;
	}
}

/* One item of kept addresses or of free ones, as the first one is that moves at or after *from, and
 * as long as there is *work left. */
static bool move_item(struct ipsp_node *n, uint16_t p, uint32_t *from, int *work)
{
	const struct ipsp_place first = {p, ipsp_pool_next_move(n->pools[p], *from)};
	struct ipsp_item_writer w;

	if (first.index == IPSP_NO_INDEX)
		return false;
	const bool kept = ipsp_pool_use(n->pools[p], first.index) != IPSP_USE_FREE;
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, 0, p,
			kept ? IPSP_SET_KEPT : IPSP_SET_BITS);
	if (!kept || !add_last_kept(n, &w, first, work))
		add_in_order(n, &w, first, kept, from, work);
	if (w.n_entries == 0)
		return false;
	ipsp_rec_out(n, &w);
	return true;
}

static void move_unused(struct ipsp_node *n)
{
	int work = FLOW_WORK;

	if (n->disk_full || n->side.primary || n->side.anew || !ipsp_flow_settled(n) ||
	    !ipsp_flow_peer_takes(n) || (n->compare.known && !n->compare.same))
		return;
	if (n->move_pool >= n->conf.n_pools)
		n->move_pool = 0;
	for (uint32_t i = 0; i < n->conf.n_pools; i++) {
		uint16_t p = (uint16_t)((n->move_pool + i) % n->conf.n_pools);
		uint32_t from = i == 0 ? n->move_from : 0;
		if (ipsp_is_static(n, p))
			continue;
		while (ipsp_pool_counts(n->pools[p])->move_idle > 0) {
			if (work <= 0 || n->stream.n >= 2 * IPSP_WINDOW) {
				n->move_pool = p;
				n->move_from = from;
				n->more_to_move =
					n->stream.n <
					2 * IPSP_WINDOW; /* else acknowledgements wake us */
				return;
			}
			if (from >= n->conf.pools[p].size)
				from = 0;
			if (!move_item(n, p, &from, &work))
				break; /* what is left may not move: DUP */
		}
	}
}

/* Owed to the peer and used by nobody: left so by a crash between the two records. */
static void give_owed(struct ipsp_node *n)
{
	/* first the peer has to be heard: it may show that this side's books are behind */
	if (n->disk_full || n->owed == 0 || !n->peer.known || n->side.licence || n->side.lost ||
	    !n->sweep_owed)
		return;
	n->sweep_owed = false;
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0; i < n->conf.pools[p].size && n->owed > 0; i++)
			if (ipsp_pool_flags(n->pools[p], i) & IPSP_ADDR_OWED &&
			    ipsp_pool_use(n->pools[p], i) != IPSP_USE_USED)
				ipsp_sync_give(n, (struct ipsp_place){p, i}, 0, NULL);
}

/* --------------------------------------------------------------- once in every turn */

void ipsp_flow_turn(struct ipsp_node *n)
{
	n->more_to_move = false;
	if (ipsp_psp(n)->enabled && !n->refused_enable) {
		first_assignment(n);
		ipsp_role_turn(n);
		give_owed(n);
		move_unused(n);
	} else if (n->refused_enable) {
		ipsp_psp_unused(n);
	}
	ipsp_command_turn(n);
}

ipsp_ms ipsp_flow_due(const struct ipsp_node *n)
{
	return n->more_to_move ? n->now : IPSP_NEVER;
}
