/*
 * world - two hosts with their nodes, disks and HAs, the network between them, and one queue of
 * events ordered by time. All chance comes from one seed.
 *
 * Addresses have one number in the whole world (gaddr): pool after pool, dynamic pools only.
 * Subscribers and sessions are numbers too; their names are "mn-7" and "s3".
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "check.h"
#include "fault.h"
#include "ha.h"
#include "host.h"
#include "net.h"
#include "queue.h"
#include "rand.h"
#include "visits.h"
#include <setjmp.h>

enum trace_class {
	TRACE_HA = 1,	 /* what HAs read and do */
	TRACE_BOOKS = 2, /* addresses that change hands */
	TRACE_ROLE = 4,	 /* roles and states */
	TRACE_TRAP = 8,
	TRACE_FAULT = 16,
	TRACE_ALL = 31,
	TRACE_NOTES = 32, /* the nodes' own notes */
	TRACE_TIMES = 64, /* each line begins with its time */
};

#define WORLD_POOLS_MAX 8
#define FIRST_KEY	0x5a /* each byte of it */

struct world_conf {
	struct ipsp_pool_conf *pools; /* borrowed, copied into both configurations */
	uint32_t n_pools;
	uint32_t hello_ms[2], dead_ms[2], request_timeout_ms, release_timeout_ms, block_size;
	uint8_t reserved;
	enum ipsp_durability durability;
	bool has_hook;
	unsigned n_has[2];
	uint32_t n_mns;
	bool has_key;
	uint32_t renew_ms[2];	  /* session keys of that age are renewed; 0: as in the daemon */
	uint64_t renew_datagrams; /* ... or of so many; 0: the same */
	bool no_renewal[2];	  /* an ipspd of before */
	unsigned place; /* what tells it from another pair: 0, 1 another port, 2 other addresses */
};

struct mn {	       /* a mobile node: where its newest session is */
	struct ha *at; /* NULL: none */
	uint32_t sess, gaddr;
	unsigned open; /* requests in flight */
};

struct world {
	uint64_t seed;
	sim_us now;
	struct sim_rand rand;
	struct queue queue;
	struct net net;
	struct host hosts[2];
	struct ha has[HAS_MAX];
	unsigned n_has;
	struct check check;
	bool has_hook, hook_yes;
	unsigned veto;	/* per mille of the questions are answered no */
	unsigned spite; /* per mille of the healings are disturbed just when they begin: PLAN_SPITE
			 */
	struct mn *mns;
	uint32_t n_mns, next_sess;
	sim_us wake_jitter; /* how long after something came a process may wake up */
	uint32_t pool_start[WORLD_POOLS_MAX + 1], n_addrs;
	uint16_t
		pool_of[WORLD_POOLS_MAX]; /* number in the configuration of the n-th dynamic pool */
	unsigned n_pools;		  /* dynamic ones */
	uint64_t next_token;
	void (*plan)(struct world *w, uint32_t arg, void *data); /* SIM_PLAN events */
	void *plan_arg;
	/* Somebody sees each datagram when it is sent; false: it goes no further. */
	bool (*tap)(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n);
	void *tap_arg;

	uint64_t hits[SIM_FAULT_COUNT];
	struct visits visits; /* of all processes that have ended */
	uint64_t n_events, n_datagrams, n_turns;
	uint64_t stop_at; /* a debugger gets SIGTRAP before this event; 0: never */
	unsigned trace_mask;
	void (*trace)(void *arg, const char *line);
	void *trace_arg;
	sim_us all_free_at; /* the last starIPSPAllAddrsFree */
	jmp_buf escape;	    /* world_fail leads here */
	char failure[400];
};

/* The world has no process yet: host_start each. The caller has set .escape before anything can
 * fail. */
void world_init(struct world *w, uint64_t seed, const struct world_conf *conf);
void world_fini(struct world *w);

void world_run_until(struct world *w, sim_us until);
#define PLAN_SPITE 100 /* the one argument of a plan's event that is not the plan's own */
void world_plan(struct world *w, sim_us at, uint32_t arg);

static inline void world_hit(struct world *w, enum sim_fault fault)
{
	w->hits[fault]++;
}

static inline bool world_traces(const struct world *w, enum trace_class class)
{
	return (w->trace_mask & (unsigned)class) != 0;
}
void world_trace(struct world *w, enum trace_class class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void world_fail(struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct ipsp_addr world_addr(const struct world *w, uint32_t gaddr);
uint32_t world_gaddr(const struct world *w,
		     struct ipsp_addr addr); /* NO_ADDR: of no dynamic pool */
const char *world_addr_text(const struct world *w,
			    uint32_t gaddr); /* one of a few static buffers */

#endif
