/*
 * pool - the addresses of one dynamic pool, and what each of them is.
 *
 * Two independent facts for each address (an index from 0):
 *
 *   own    what the books say: OURS, PEER (released to the peer), TRANSIT (given by us, not yet
 *          acknowledged);
 *   use    what it is used for here: FREE, USED (a session), HOLD and QUARANTINE (a binding
 *          keeps it), each of the last three with a binding of bind.h.
 *
 * HOLD and QUARANTINE exist only where own is OURS. An address that is USED though it is not
 * OURS is a reclaimed one (a licence, or a healing that is not finished).
 *
 * Each address is in exactly one order, or USED and in none:
 *   own OURS,  use FREE         the free list, longest free first (LRU, B7); none while it has DUP
 *                               or OWED, the end of the list when the last of them is taken off
 *   own OURS,  use HOLD         the hold heap, soonest end first, then lowest index
 *   own OURS,  use QUARANTINE   the quarantine heap, soonest end first, then lowest index
 *   own other, use FREE         the away list. It is taken from by a side that has taken over, and
 *                               begins with what the peer is least likely to use: what went away
 *                               last first, since the peer gives what it has had longest; what it
 *                               was given for a session (_away_last) at the end
 *
 * Flags of an address that is OURS: MOVE (it goes to the primary as soon as no session uses it),
 * DUP (a DROP was sent and DROPPED has not come: it is given to nobody), OWED (it goes to the peer
 * as soon as no session uses it, whatever the roles: nobody else here is given it before). One more
 * bit, 8, is the node's own: kept, shown, and cleared when the address stops being OURS. Nothing
 * here makes records or looks at roles, licence or lease: that is the node's work.
 *
 * A verb is either done or refused with nothing changed: IPSP_ERR_INVALID too for an @index that
 * the pool doesn't have, which the calls that only look must not be given. No call but _new
 * allocates. Nothing walks the pool: every call is O(1) but for _move_all (O(size)), and those by
 * which an address begins or ends to be kept (O(log n) of what is kept; to begin is O(1) where all
 * timers are equal, to end is where it is the last of its heap).
 *
 * Memory: at most 10 bytes an address, touched when it is first used; in pools that hold or
 * quarantine 12 more for each of the most addresses that were ever held, or quarantined, at once.
 */
#ifndef IPSP_CORE_POOL_H
#define IPSP_CORE_POOL_H

#include "core/conf.h"
#include <stdbool.h>
#include <stdint.h>

#define IPSP_NO_INDEX UINT32_MAX
#define IPSP_NO_BIND  UINT32_MAX

enum ipsp_own { IPSP_OWN_OURS, IPSP_OWN_PEER, IPSP_OWN_TRANSIT };
enum ipsp_use { IPSP_USE_FREE, IPSP_USE_USED, IPSP_USE_HOLD, IPSP_USE_QUARANTINE };
enum { IPSP_ADDR_MOVE = 1, IPSP_ADDR_DUP = 2, IPSP_ADDR_OWED = 4 };
#define IPSP_ADDR_BARRED (IPSP_ADDR_DUP | IPSP_ADDR_OWED)

struct ipsp_pool_counts {	       /* invariant: the first eight add up to the pool's size */
	uint32_t free;		       /* OURS FREE */
	uint32_t used;		       /* OURS USED */
	uint32_t hold;		       /* OURS HOLD */
	uint32_t quarantine;	       /* OURS QUARANTINE */
	uint32_t peer_idle, peer_used; /* PEER, not used here / used here */
	uint32_t transit_idle, transit_used; /* TRANSIT, not used here / used here */
	uint32_t move_idle;		     /* of the OURS ones that are not USED: with MOVE */
	uint32_t dup;			     /* with DUP */
};

struct ipsp_pool; /* heap: a context has few, each has many addresses */

/* All addresses are @own and FREE, in index order. @conf is borrowed and outlives the pool. NULL:
 * no memory. */
struct ipsp_pool *ipsp_pool_new(const struct ipsp_pool_conf *conf, enum ipsp_own own);
void ipsp_pool_free(struct ipsp_pool *pool);

const struct ipsp_pool_conf *ipsp_pool_conf(const struct ipsp_pool *pool);
const struct ipsp_pool_counts *ipsp_pool_counts(const struct ipsp_pool *pool);
enum ipsp_own ipsp_pool_own(const struct ipsp_pool *pool, uint32_t index);
enum ipsp_use ipsp_pool_use(const struct ipsp_pool *pool, uint32_t index);
uint8_t ipsp_pool_flags(const struct ipsp_pool *pool, uint32_t index);
uint32_t ipsp_pool_bind(const struct ipsp_pool *pool, uint32_t index); /* IPSP_NO_BIND where FREE */

/*
 * Where the addresses from @index on that are like it end, in own and flags, and with @and_use in
 * what they are used for, too; @limit at most. For walks: eight at a time.
 */
uint32_t ipsp_pool_alike(const struct ipsp_pool *pool, uint32_t index, uint32_t limit,
			 bool and_use);
/* Has @index, which may be any number, in the cache when it comes to it. */
void ipsp_pool_foresee(const struct ipsp_pool *pool, uint32_t index);

/*
 * The next one that would be taken: free longest, away for the shortest time; soonest end;
 * IPSP_NO_INDEX for none, and after an @index that is not on that list.
 */
uint32_t ipsp_pool_first_free(const struct ipsp_pool *pool);
uint32_t ipsp_pool_next_free(const struct ipsp_pool *pool,
			     uint32_t index); /* to pick several for one grant */
uint32_t ipsp_pool_first_away(const struct ipsp_pool *pool);
uint32_t ipsp_pool_next_away(const struct ipsp_pool *pool, uint32_t index);
uint32_t ipsp_pool_first_hold(const struct ipsp_pool *pool);
uint32_t ipsp_pool_first_quarantine(const struct ipsp_pool *pool);

/* any FREE -> USED by @bind, whatever own is; IPSP_ERR_USED when it is not FREE (first _free a held
 * one) */
int ipsp_pool_take(struct ipsp_pool *pool, uint32_t index, uint32_t bind);
/* USED, HOLD or QUARANTINE -> FREE, at the end of its list. IPSP_ERR_INVALID when it was FREE. */
int ipsp_pool_drop(struct ipsp_pool *pool, uint32_t index);
/* OURS and USED or FREE -> HOLD or QUARANTINE with @bind, in the heap by @end; IPSP_ERR_NOT_OWNED,
 * IPSP_ERR_INVALID. */
int ipsp_pool_keep(struct ipsp_pool *pool, uint32_t index, enum ipsp_use use, uint32_t bind,
		   ipsp_ms end);
ipsp_ms
ipsp_pool_end(const struct ipsp_pool *pool,
	      uint32_t index); /* of a HOLD or QUARANTINE: as given to _keep; IPSP_NEVER else */

bool ipsp_pool_may_move(const struct ipsp_pool *pool, uint32_t index); /* one of _next_move's */
/* The last of a heap but @nth; IPSP_NO_INDEX: it has no more. From the end on each leaves in O(1).
 */
uint32_t ipsp_pool_last_kept(const struct ipsp_pool *pool, enum ipsp_use use, uint32_t nth);

/*
 * Ownership. Use is left as it is but for what the invariant demands: when an address stops
 * being OURS it must be FREE or USED before (IPSP_ERR_INVALID otherwise). Becoming OURS clears
 * MOVE; leaving OURS clears all flags. A FREE address changes to the end of its new list, but stays
 * where it is between PEER and TRANSIT: one list.
 */
int ipsp_pool_set_own(struct ipsp_pool *pool, uint32_t index, enum ipsp_own own);
/*
 * Both at once for what is kept, which moves by the million. HOLD or QUARANTINE -> TRANSIT and
 * FREE; not OURS and FREE -> OURS and kept, as by _keep. IPSP_ERR_INVALID for any other.
 */
int ipsp_pool_grant_kept(struct ipsp_pool *pool, uint32_t index);
int ipsp_pool_accept_kept(struct ipsp_pool *pool, uint32_t index, enum ipsp_use use, uint32_t bind,
			  ipsp_ms end);
void ipsp_pool_away_last(struct ipsp_pool *pool, uint32_t index); /* not OURS, FREE; else nothing */
void ipsp_pool_set_flag(struct ipsp_pool *pool, uint32_t index, uint8_t flag,
			bool on); /* OURS only; else nothing */
void ipsp_pool_move_all(struct ipsp_pool *pool,
			bool on); /* MOVE on every OURS address, or on none */
/* The lowest OURS, not USED, MOVE, not DUP address at or after @from (wraps once); IPSP_NO_INDEX
 * for none. Fast: by summary bitmaps. */
uint32_t ipsp_pool_next_move(const struct ipsp_pool *pool, uint32_t from);

/* Walks everything and asserts the invariants (tests; O(size)). */
void ipsp_pool_check(const struct ipsp_pool *pool);

#endif
