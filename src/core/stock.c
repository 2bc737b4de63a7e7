/* stock - see stock.h. */
#include "core/node_int.h"

#include <stdlib.h>

#define RTO_MS	    50 /* the first repeat; doubled */
#define RTO_MAX_MS  1000
#define PAUSE_MS    1000  /* after a refusal: what has changed meanwhile is worth a question */
#define STALE_MS    2000  /* a count this old is no rate of now */
#define IDLE_MS	    10000 /* without a session for this long a pool has no demand */
#define TURN_MS	    10	  /* beside the round trip: turns, and a rate that is only smoothed */
#define BLOCK_MS    50	  /* a block by demand is what is used up in this long */
#define AHEAD_SLOT  0xffff
#define SHORT_SHARE 16 /* a primary with less than this part of a pool free runs short */

void ipsp_stock_fini(struct ipsp_node *n)
{
	free(n->stock.demand);
}

/* --------------------------------------------------------------- demand */

void ipsp_stock_begin(struct ipsp_node *n)
{
	struct ipsp_stock *s = &n->stock;

	free(s->demand);
	s->demand = calloc(n->n_built, sizeof *s->demand);
	s->n_pools = s->demand ? n->n_built : 0;
}

void ipsp_stock_smooth(struct ipsp_demand *d, ipsp_ms now)
{
	ipsp_ms span = now - d->at;
	double rate = 1000.0 * d->n / (double)span;

	d->rate = span > STALE_MS ? rate : 0.7 * d->rate + 0.3 * rate;
	d->n = 0;
	d->at = now;
}

/* Sessions a second that get any address of @pool here; below 0: none since long. */
static double rate_of(const struct ipsp_node *n, uint16_t pool)
{
	const struct ipsp_stock *s = &n->stock;

	if (pool >= s->n_pools)
		return -1;
	const struct ipsp_demand *d = &s->demand[pool];
	if (d->last == 0 || n->now - d->last >= IDLE_MS)
		return -1;
	ipsp_ms span = n->now - d->at;
	return span > STALE_MS ? 1000.0 * d->n / (double)span : d->rate;
}

/* --------------------------------------------------------------- marks */

struct marks {
	uint32_t low, high;
};

static uint32_t in_time(double rate, uint64_t ms)
{
	double n = rate * (double)ms / 1000.0;

	return n < IPSP_BLOCK_MAX ? (uint32_t)n : IPSP_BLOCK_MAX;
}

/* What a rate of demand makes of the configured block size: 1 is never ahead. */
static struct marks marks_of(const struct ipsp_node *n, double rate)
{
	uint32_t size = ipsp_psp(n)->block_size;
	struct marks m = {0, 0};

	if (rate < 0 || size == 1)
		return m;
	m.low = 1 + in_time(rate, n->stream.rtt_ms + TURN_MS);
	if (size > 1 && m.low > size)
		m.low = size;
	m.high = m.low + (size > 1 ? size : in_time(rate, BLOCK_MS));
	return m;
}

/* A primary keeps enough for what comes to it unforeseen, as long as the peer has some unused. */
static struct marks marks_in(const struct ipsp_node *n, uint16_t pool, double rate)
{
	struct marks m = marks_of(n, rate);
	uint32_t share = n->conf.pools[pool].size / SHORT_SHARE;

	if (!n->side.primary || ipsp_psp(n)->block_size == 1)
		return m;
	m.low = m.low < share ? share : m.low;
	m.high = m.high < 2 * share ? 2 * share : m.high;
	return m;
}

/* In hand, without what is about to flow to the primary. */
static uint32_t in_hand(const struct ipsp_node *n, uint16_t pool)
{
	const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[pool]);

	return c->free > c->move_idle ? c->free - c->move_idle : 0;
}

uint32_t ipsp_stock_surplus(const struct ipsp_node *n, uint16_t pool)
{
	struct marks m = marks_of(n, rate_of(n, pool));
	uint32_t has = n->side.primary ? ipsp_assign_spare(n->pools[pool],
							   ipsp_psp(n)->reserved_free_percentage)
				       : in_hand(n, pool);
	uint32_t keep = n->side.primary ? m.low : m.high;

	return has > keep ? has - keep : 0;
}

/* How many are missing for @ask: 0 while there are as many as the low marks of its pools say. */
static uint32_t missing(const struct ipsp_node *n, const struct ipsp_ask *ask, bool waits)
{
	struct marks sum = {0, 0};
	uint32_t cursor = 0, has = 0, size = ipsp_psp(n)->block_size;
	uint16_t p;

	while ((p = ipsp_order_next(n->order, ask, &cursor)) != IPSP_NO_POOL) {
		struct marks m = marks_in(n, p, rate_of(n, p));
		sum.low += m.low;
		sum.high += m.high;
		has += in_hand(n, p);
	}
	if (!waits && has >= sum.low)
		return 0;
	uint32_t count = size > 1 ? size : sum.high > has ? sum.high - has : 0;
	return count > IPSP_BLOCK_MAX ? IPSP_BLOCK_MAX : count;
}

/* --------------------------------------------------------------- asking ahead */

void ipsp_stock_gave(struct ipsp_node *n, uint16_t pool)
{
	if (!n->side.primary || n->stock.look)
		return;
	n->stock.ask =
		(struct ipsp_ask){.select = IPSP_SEL_POOL, .pool = pool, .at_pool = IPSP_NO_POOL};
	n->stock.look = true;
}

static bool may_ask(const struct ipsp_node *n)
{
	return ipsp_psp(n)->block_size != 1 && !n->side.draining && !n->side.terminated &&
	       !n->side.anew && n->side.p6 != IPSP_P6_DUE && !n->stopping && !n->disk_full &&
	       ipsp_flow_settled(n) && ipsp_may_assign(n) && !n->conf_role_conflict &&
	       !(n->compare.known && !n->compare.same);
}

uint32_t ipsp_stock_ride(struct ipsp_node *n, uint64_t id, const struct ipsp_ask *ask)
{
	struct ipsp_stock *s = &n->stock;

	if (ask->at_pool != IPSP_NO_POOL)
		return 1;
	if (s->id == 0 && may_ask(n) && n->now >= s->again_at) {
		s->count = 1 + missing(n, ask, true);
		if (ipsp_psp(n)->block_size > 1) /* a block with the session's own in it */
			s->count--;
		if (s->count <= 1)
			return 1;
		s->id = id;
		s->rides = true;
	}
	return s->id == id ? s->count : 1;
}

/* A session's request with a block on it has ended, in whatever way. */
static bool rides_no_more(const struct ipsp_node *n)
{
	uint32_t slot = (uint32_t)(n->stock.id & 0xffff);
	const struct ipsp_xact *x = slot < n->xacts.n_slots ? &n->xacts.slots[slot] : NULL;

	return !x || x->peer_id != n->stock.id || x->wait != IPSP_XW_PEER;
}

void ipsp_stock_turn(struct ipsp_node *n)
{
	struct ipsp_stock *s = &n->stock;

	if (s->id == 0 && !s->look)
		return;
	if (s->id != 0 && (s->rides ? rides_no_more(n) : n->now >= s->deadline || !may_ask(n)))
		s->id = 0;
	if (s->id != 0 || !s->look)
		return;
	if (n->now < s->again_at || !may_ask(n) || (n->side.primary && n->peer.hello.spare == 0)) {
		s->look = false; /* the next session looks again */
		return;
	}
	s->look = false;
	s->count = missing(n, &s->ask, false);
	if (s->count == 0)
		return;
	s->id = ++n->xacts.counter << 16 | AHEAD_SLOT;
	s->rides = false;
	s->next_send = n->now;
	s->rto_ms = RTO_MS;
	s->deadline = n->now + ipsp_psp(n)->request_timeout_ms;
	n->stats.blocks_asked++;
}

bool ipsp_stock_next(struct ipsp_node *n, struct ipsp_request *r)
{
	struct ipsp_stock *s = &n->stock;

	if (s->id == 0 || s->rides || n->now < s->next_send)
		return false;
	s->next_send = n->now + s->rto_ms;
	s->rto_ms = s->rto_ms * 2 > RTO_MAX_MS ? RTO_MAX_MS : s->rto_ms * 2;
	*r = (struct ipsp_request){.id = s->id,
				   .epoch = n->side.epoch,
				   .select = (uint8_t)s->ask.select,
				   .pool = s->ask.pool,
				   .at_pool = IPSP_NO_POOL,
				   .count = s->count,
				   .ident = {.subscriber = "", .session = ""}};
	return true;
}

ipsp_ms ipsp_stock_due(const struct ipsp_node *n)
{
	return n->stock.id == 0 || n->stock.rides ? IPSP_NEVER : n->stock.next_send;
}

void ipsp_stock_answered(struct ipsp_node *n, uint64_t id)
{
	struct ipsp_stock *s = &n->stock;

	if (id == 0 || id != s->id || s->rides)
		return; /* where it rides, the session's request ends */
	s->id = 0;
	n->stats.blocks_received++;
	if (n->side.primary)
		n->stats.blocks_back++;
}

bool ipsp_stock_on_refuse(struct ipsp_node *n, const struct ipsp_refuse *r)
{
	struct ipsp_stock *s = &n->stock;

	if (s->id == 0 || r->id != s->id || s->rides)
		return false;
	s->id = 0;
	s->again_at = n->now + PAUSE_MS;
	return true;
}
