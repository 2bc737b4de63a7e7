/*
 * stock - addresses in hand ahead of the sessions that will want them: what is asked for before
 * anybody waits, how many, and what a side has beyond its need.
 *
 * Demand is counted by pool: sessions that got any address of it. Two marks follow from it. The low
 * one is what is used up here while a block comes: rate x round trip, and one. The high one is that
 * and a block. A side that has fewer than the low mark asks for a block; what it has above the high
 * one is what it gives to a primary that runs short. In between nothing moves, so nothing goes to
 * and fro. One request for a block is open at a time: on its own, without a subscriber, or on that
 * of a session that has to wait anyway.
 */
#ifndef IPSP_CORE_STOCK_H
#define IPSP_CORE_STOCK_H

#include "core/assign.h"
#include "core/wire.h"

#define IPSP_BLOCK_MAX 256 /* addresses given for one request at most */

struct ipsp_demand { /* sessions that got any address of one pool */
	double rate; /* a second, smoothed */
	ipsp_ms at;  /* where the present count began */
	ipsp_ms last;
	uint32_t n;
};

struct ipsp_stock {
	struct ipsp_demand *demand; /* n_pools */
	uint32_t n_pools;
	bool look;	     /* a session took one, or one was given away: is it enough still? */
	struct ipsp_ask ask; /* as the last such session asked, or for the pool given from */
	uint64_t id;	     /* of the request for a block that is open; 0: none */
	bool rides;	     /* it is a session's own request */
	uint32_t count, rto_ms;
	ipsp_ms next_send, deadline, again_at;
};

struct ipsp_node;

void ipsp_stock_fini(struct ipsp_node *n);

#define IPSP_COUNT_MS 100		    /* a rate is counted over this long at least */
void ipsp_stock_begin(struct ipsp_node *n); /* the first count, or other pools than before */
void ipsp_stock_smooth(struct ipsp_demand *d, ipsp_ms now); /* it has gone on for long enough */

/* The peer was given addresses of @pool that it asked for. */
void ipsp_stock_gave(struct ipsp_node *n, uint16_t pool);

/* How many addresses the request @id of a session that waits for the peer should ask for. */
uint32_t ipsp_stock_ride(struct ipsp_node *n, uint64_t id, const struct ipsp_ask *ask);

void ipsp_stock_turn(struct ipsp_node *n); /* at the end of each turn */
bool ipsp_stock_next(struct ipsp_node *n,
		     struct ipsp_request *r); /* the request for a block is to be sent now */
ipsp_ms ipsp_stock_due(const struct ipsp_node *n);
void ipsp_stock_answered(struct ipsp_node *n, uint64_t id); /* by an item */
bool ipsp_stock_on_refuse(struct ipsp_node *n,
			  const struct ipsp_refuse *r); /* true: it was the one for a block */

/* Of the addresses of @pool, how many may go to a peer that asks ahead of its need. */
uint32_t ipsp_stock_surplus(const struct ipsp_node *n, uint16_t pool);

#endif
