/*
 * net - the wire between the two sides: it loses, repeats, delays, reorders, damages and replays,
 * and is cut one way or both.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "core/wire.h"
#include "queue.h"
#include "rand.h"

struct world;

#define NET_KEPT 64 /* datagrams of each direction kept for a replay */

struct dgram {
	uint64_t serial; /* of the original in its direction */
	uint32_t life; /* of the process that it was sent to: an earlier one's is a replay of old */
	uint32_t from_life; /* ... and of the one that sent it, */
	sim_us sent_at;	    /* then */
	bool altered;	    /* not what was sent */
	size_t n;
	uint8_t bytes[IPSP_DGRAM_MAX];
};

struct net_past {
	uint64_t serial;	 /* 0: empty */
	uint32_t life, taken_by; /* the process that it was sent to; the one that has stepped it, 0:
				    none */
	uint32_t from_life;
	sim_us sent_at;
	size_t n;
	uint8_t bytes[IPSP_DGRAM_MAX];
};

struct net_mix { /* per mille of the datagrams, and microseconds */
	unsigned loss, repeat, corrupt, truncate, replay;
	sim_us delay, jitter;
};

struct net {
	struct sim_rand rand;
	struct net_mix mix;
	struct net_way { /* by the side that it leads to */
		bool cut;
		uint64_t serial;
		sim_us latest; /* arrival of the latest one: an earlier arrival is an overtaking */
		struct net_past past[NET_KEPT];
	} way[2];
};

void net_init(struct net *net, struct sim_rand rand);
void net_send(struct world *w, unsigned to, const uint8_t *bytes, size_t n);
/* The world's event: the datagram reaches the host, or a cut that began meanwhile. */
void net_arrive(struct world *w, unsigned to, struct dgram *d);
/* Notes that the process has stepped it; true when it had done so before, or when it isn't what the
 * peer sent. */
bool net_taken(struct world *w, unsigned to, const struct dgram *d);
void net_not_taken(struct world *w, unsigned to,
		   const struct dgram *d); /* it was dropped: a copy may still count */

#endif
