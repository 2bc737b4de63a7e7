/*
 * flow - where unused addresses go, how roles change hands, and what operators command.
 *
 * Looked at once in every turn, as conditions and not as edges: what was interrupted by a crash or
 * a loss of the peer is due again when its condition holds again.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOW_ITEMS   64	   /* items made in one turn at most: bulk work never holds a turn up */
#define P6_AGAIN_MS  60000 /* an undrained side says "all free" at most this often */
#define TAKEOVER_MS  10000 /* how long an operator's takeover waits for the peer */
#define CHECK_MS     5000
#define TAKEOVER_RTO 250
#define LEAVE_MS     5000
#define LEAVING_MS   3000 /* how long a peer is told that IPSP was disabled here */

/* --------------------------------------------------------------- sums over the books */

struct sums {
	uint64_t ours, other, transit, move_idle;
	uint64_t foreign; /* sessions here on addresses that the books don't give this side */
};

static struct sums add_up(const struct ipsp_node *n)
{
	struct sums s = {0};

	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		if (ipsp_is_static(n, (uint16_t)p))
			continue;
		s.ours += (uint64_t)c->free + c->used + c->hold + c->quarantine;
		s.other += (uint64_t)c->peer_idle + c->peer_used;
		s.transit += (uint64_t)c->transit_idle + c->transit_used;
		s.move_idle += c->move_idle;
		s.foreign += (uint64_t)c->peer_used + c->transit_used;
	}
	return s;
}

uint32_t ipsp_flow_in_transit(const struct ipsp_node *n)
{
	return (uint32_t)add_up(n).transit;
}

bool ipsp_flow_owns_all(const struct ipsp_node *n)
{
	struct sums s = add_up(n);
	return s.other + s.transit == 0;
}

bool ipsp_flow_owns_none(const struct ipsp_node *n)
{
	struct sums s = add_up(n);
	return s.ours + s.transit == 0 && s.other > 0;
}

bool ipsp_flow_shared_out(const struct ipsp_node *n)
{
	struct sums s = add_up(n);
	return n->side.shared && (s.transit > 0 || s.foreign > 0 || (s.ours > 0 && s.other > 0) ||
				  n->stream.n > 0 || n->side.licence || ipsp_sync_healing(n));
}

/* Heard both ways, one epoch, one primary, nothing left to heal: decisions can be made together. */
static bool settled(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	return ipsp_contact(n) && n->mode == IPSP_MODE_ACTIVE && ipsp_psp(n)->enabled &&
	       n->side.shared && h->flags & IPSP_HF_SHARED && !n->side.lost &&
	       !(h->flags & IPSP_HF_LOST) && h->epoch == n->side.epoch &&
	       !!(h->flags & IPSP_HF_PRIMARY) != n->side.primary && !n->side.licence &&
	       !(h->flags & IPSP_HF_LICENCE) && !ipsp_sync_healing(n) &&
	       h->peer_books == n->side.books && h->books == n->side.peer_books &&
	       n->side_seq <= n->flushed;
}

/* Nothing moves to a side that drains or terminates. */
static bool peer_takes(const struct ipsp_node *n)
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
	if (n->mode != IPSP_MODE_ACTIVE || !peer_takes(n) || h->flags & IPSP_HF_LOST ||
	    n->now < n->listen_until)
		return;
	/* the books must be whose the peer says, and the lease must run before it is needed */
	if (h->peer_books != n->side.books || h->books != n->side.peer_books ||
	    h->epoch != n->side.epoch || !!(h->flags & IPSP_HF_PRIMARY) == n->side.primary ||
	    n->lease.lease_end <= n->now)
		return;
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, IPSP_NO_POOL,
			IPSP_SET_RUNS);
	ipsp_rec_out(n, &w);
	ipsp_say(n, IPSP_LOG_NOTICE, "the pools are identical: sharing them with the peer");
}

/* --------------------------------------------------------------- unused addresses flow to the
 * primary */

static uint32_t left_s(const struct ipsp_node *n, ipsp_ms end)
{
	return end > n->now ? (uint32_t)((end - n->now + 999) / 1000) : 0;
}

/* One item of kept addresses or of free ones, from the first that moves at or after *from on. */
static bool move_item(struct ipsp_node *n, uint16_t p, uint32_t *from)
{
	struct ipsp_pool *pool = n->pools[p];
	uint32_t i = ipsp_pool_next_move(pool, *from), last;
	struct ipsp_item_writer w;
	struct ipsp_bind b;

	if (i == IPSP_NO_INDEX)
		return false;
	bool kept = ipsp_pool_use(pool, i) != IPSP_USE_FREE;
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, 0, p,
			kept ? IPSP_SET_KEPT : IPSP_SET_BITS);
	do {
		enum ipsp_use use = ipsp_pool_use(pool, i);
		if (kept != (use != IPSP_USE_FREE))
			break;
		if (kept) {
			if (!ipsp_binds_get(n->binds, ipsp_pool_bind(pool, i), &b) ||
			    !ipsp_item_add_kept(&w, i, (uint8_t)use, left_s(n, b.at),
						b.ident.subscriber, b.ident.n_subscriber))
				break;
		} else if (!ipsp_item_add_bit(&w, i)) {
			break;
		}
		last = i;
		*from = i + 1;
		if (*from >= n->conf.pools[p].size)
			break;
		i = ipsp_pool_next_move(pool, *from);
	} while (i != IPSP_NO_INDEX && i > last);
	ipsp_rec_out(n, &w);
	return true;
}

static void move_unused(struct ipsp_node *n)
{
	uint32_t made = 0;

	if (n->disk_full || n->side.primary || !settled(n) || !peer_takes(n) ||
	    (n->compare.known && !n->compare.same))
		return;
	if (n->move_pool >= n->conf.n_pools)
		n->move_pool = 0;
	for (uint32_t i = 0; i < n->conf.n_pools; i++) {
		uint16_t p = (uint16_t)((n->move_pool + i) % n->conf.n_pools);
		uint32_t from = i == 0 ? n->move_from : 0;
		if (ipsp_is_static(n, p))
			continue;
		while (ipsp_pool_counts(n->pools[p])->move_idle > 0) {
			if (made >= FLOW_ITEMS || n->stream.n >= 2 * IPSP_WINDOW) {
				n->move_pool = p;
				n->move_from = from;
				n->more_to_move =
					n->stream.n <
					2 * IPSP_WINDOW; /* else acknowledgements wake us */
				return;
			}
			if (from >= n->conf.pools[p].size)
				from = 0;
			if (!move_item(n, p, &from))
				break; /* what is left may not move: DUP */
			made++;
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

/* --------------------------------------------------------------- roles */

/* The primary leaves the role to the peer, which learns it from our next hello. */
static void yield(struct ipsp_node *n, bool loan, bool terminated, enum ipsp_p6 p6)
{
	struct ipsp_side s = n->side;

	s.epoch++;
	s.primary = false;
	s.yielded = true;
	s.yielded_loan = loan;
	s.terminated = terminated;
	s.loan = s.s6 = false;
	s.p6 = (uint8_t)p6;
	s.conf_mine = (uint8_t)ipsp_psp(n)->role;
	s.conf_peer = ipsp_flag(n, IPSP_HF_CONF_PRIMARY) ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
	ipsp_rec_side(n, &s, true);
	n->stats.exchanges++;
	n->hello_soon = true;
}

void ipsp_flow_yield(struct ipsp_node *n, bool loan)
{
	yield(n, loan, n->side.terminated, n->side.p6 == IPSP_P6_DUE ? IPSP_P6_DUE : IPSP_P6_IDLE);
}

void ipsp_flow_on_takeover(struct ipsp_node *n, uint64_t epoch)
{
	if (epoch != n->side.epoch || !n->side.primary) {
		n->hello_soon = true;
		return;
	}
	if (settled(n) && peer_takes(n))
		yield(n, false, false, IPSP_P6_IDLE);
}

/* Both sides' configured roles have changed since the last agreement, and name an exchange. */
static bool exchange_configured(const struct ipsp_node *n)
{
	uint8_t mine = (uint8_t)ipsp_psp(n)->role;
	uint8_t theirs =
		ipsp_flag(n, IPSP_HF_CONF_PRIMARY) ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;

	return n->side.conf_mine != IPSP_ROLE_NONE && mine != n->side.conf_mine &&
	       theirs != n->side.conf_peer && mine != theirs;
}

static void roles(struct ipsp_node *n)
{
	if (!settled(n))
		return;
	if (exchange_configured(n)) {
		bool want = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;
		struct ipsp_side s = n->side;
		if (n->side.primary && !want) {
			if (peer_takes(n))
				yield(n, false, false, IPSP_P6_IDLE);
			return;
		}
		if (n->side.primary == want) {
			s.conf_mine = (uint8_t)ipsp_psp(n)->role;
			s.conf_peer = want ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY;
			ipsp_rec_side(n, &s, false);
		}
	}
	if (n->side.primary && n->side.terminated && peer_takes(n))
		yield(n, true, true, IPSP_P6_IDLE); /* the role came while this side went */
	/* the peer that lent us the role is back */
	else if (n->side.primary && n->side.loan && peer_takes(n))
		yield(n, false, false, IPSP_P6_IDLE);
	/* begun on both at once: the secondary's is taken back */
	if (n->side.draining && ipsp_flag(n, IPSP_HF_DRAINING) && !n->side.primary) {
		struct ipsp_side s = n->side;
		s.draining = false;
		ipsp_rec_side(n, &s, true);
		ipsp_say(n, IPSP_LOG_WARNING,
			 "both sides drain: the drain of this side, the secondary, is taken back");
	}
}

/* --------------------------------------------------------------- P6: no session is left */

static void p6_set(struct ipsp_node *n, enum ipsp_p6 p6, bool flush)
{
	struct ipsp_side s = n->side;

	s.p6 = (uint8_t)p6;
	ipsp_rec_side(n, &s, flush);
}

static void drop_to_zero(struct ipsp_node *n)
{
	bool on = ipsp_psp(n)->enabled && n->mode == IPSP_MODE_ACTIVE && n->side.shared;

	if (n->used > 0) {
		if (n->side.primary && on && n->side.p6 != IPSP_P6_ARMED)
			p6_set(n, IPSP_P6_ARMED, false);
		else if (!n->side.primary && n->side.p6 == IPSP_P6_SENT)
			p6_set(n, IPSP_P6_IDLE, false);
		return;
	}
	if (!on || !settled(n))
		return;
	if (n->side.primary && n->side.p6 == IPSP_P6_ARMED && peer_takes(n) &&
	    !n->side.terminated && !n->stopping &&
	    (n->side.draining || n->p6_sent_at == IPSP_NEVER ||
	     n->now - n->p6_sent_at >= P6_AGAIN_MS)) {
		yield(n, false, false, IPSP_P6_DUE);
		return;
	}
	/* settled() says that the peer has recorded the epoch in which it is primary */
	if (!n->side.primary && n->side.p6 == IPSP_P6_DUE && n->stream.n == 0 &&
	    add_up(n).ours == 0) {
		p6_set(n, IPSP_P6_SENT, true);
		n->p6_sent_at = n->now;
		ipsp_out_trap(n, IPSP_TRAP_ALL_ADDRS_FREE, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_ALL_ADDRESSES_FREE, IPSP_ADDR_NONE);
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "all addresses are released to the peer, which is primary now: this side "
			 "may go down");
	}
}

/* --------------------------------------------------------------- commands */

static void wait_for(struct ipsp_node *n, const struct ipsp_event *ev, ipsp_ms deadline)
{
	for (int i = 0; i < IPSP_WAITERS; i++)
		if (!n->waiters[i].used) {
			n->waiters[i] = (struct ipsp_waiter){true, ev->command, ev->token, ev->id,
							     deadline};
			return;
		}
	ipsp_out_done(n, ev->token, ev->id, IPSP_ERR_OVERLOADED, NULL);
}

static void done(struct ipsp_node *n, const struct ipsp_event *ev, int err, const char *text)
{
	ipsp_out_done(n, ev->token, ev->id, err, text);
}

static void set_drain(struct ipsp_node *n, const struct ipsp_event *ev, bool on)
{
	struct ipsp_side s = n->side;

	if (!ipsp_psp(n)->enabled || n->side.terminated || n->mode != IPSP_MODE_ACTIVE) {
		done(n, ev, IPSP_ERR_DISABLED, "IPSP is not active in this context");
		return;
	}
	if (on && ipsp_heard(n) && ipsp_flag(n, IPSP_HF_DRAINING)) {
		done(n, ev, IPSP_ERR_DRAINING, "the peer is being drained: undrain it first");
		return;
	}
	if (s.draining != on) {
		s.draining = on;
		ipsp_rec_side(n, &s, true);
		n->hello_soon = true;
		ipsp_say(n, IPSP_LOG_NOTICE,
			 on ? "drain: no new addresses to sessions here"
			    : "undrain: sessions are served again");
	}
	done(n, ev, 0, NULL);
}

static void begin_termination(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	if (n->side.primary) {
		yield(n, true, true, n->side.p6 == IPSP_P6_DUE ? IPSP_P6_DUE : IPSP_P6_IDLE);
	} else {
		s.terminated = true;
		ipsp_rec_side(n, &s, true);
		n->hello_soon = true;
	}
	ipsp_say(n, IPSP_LOG_NOTICE, "graceful termination: the peer takes over");
}

static void terminate(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled || n->mode != IPSP_MODE_ACTIVE)
		done(n, ev, IPSP_ERR_DISABLED, "IPSP is not active in this context");
	else if (n->side.terminated)
		done(n, ev, 0, "terminated already");
	else if (!settled(n))
		done(n, ev, IPSP_ERR_NO_PEER,
		     "the peer is not there to take over; nothing was changed");
	else if (!peer_takes(n))
		done(n, ev, IPSP_ERR_DRAINING,
		     "the peer drains or terminates itself; nothing was changed");
	else {
		begin_termination(n);
		done(n, ev, 0, NULL);
	}
}

static void takeover(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled || n->mode != IPSP_MODE_ACTIVE) {
		done(n, ev, IPSP_ERR_DISABLED, "IPSP is not active in this context");
	} else if (n->side.primary &&
		   !(ev->force && (!n->side.licence || n->licence_resting) && n->side.shared)) {
		struct ipsp_side s = n->side;
		if (s.loan) {
			s.loan = false;
			ipsp_rec_side(n, &s, true);
		}
		done(n, ev, 0, "this side is primary already");
	} else if (ev->force) {
		if (n->peer_state == IPSP_PEER_UP || ipsp_heard(n)) {
			done(n, ev, IPSP_ERR_DENIED,
			     "the peer is up: takeover without --force asks it");
			return;
		}
		ipsp_lease_takeover(n, true);
		wait_for(n, ev, n->now + TAKEOVER_MS);
	} else if (!ipsp_contact(n)) {
		done(n, ev, IPSP_ERR_NO_PEER,
		     "the peer is not there to agree; where it is gone for good: takeover --force");
	} else if (!n->side.shared) {
		done(n, ev, IPSP_ERR_NOT_APPROVED, "nothing was shared with this side yet");
	} else if (n->side.draining || n->side.terminated) {
		done(n, ev, IPSP_ERR_DRAINING, "this side drains or is terminated");
	} else {
		wait_for(n, ev, n->now + TAKEOVER_MS);
		n->takeover_at = n->now;
	}
}

void ipsp_flow_mode(struct ipsp_node *n, enum ipsp_mode mode)
{
	struct ipsp_side s = n->side;

	if (mode == IPSP_MODE_ACTIVE && s.terminated) {
		s.terminated = false;
		ipsp_rec_side(n, &s, true);
	}
	if (mode == n->mode)
		return;
	n->mode = mode;
	if (mode == IPSP_MODE_ACTIVE)
		ipsp_flow_fit_role(n);
	ipsp_seal_forget(&n->seal);
	n->peer.known = false;
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_NOTICE, "mode %s", ipsp_mode_word(mode));
}

static void mode(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled)
		done(n, ev, IPSP_ERR_DISABLED, "the context has no pool-share-protocol");
	else if (ev->mode != IPSP_MODE_ACTIVE && n->mode == IPSP_MODE_ACTIVE &&
		 ipsp_flow_shared_out(n))
		done(n, ev, IPSP_ERR_SHARED_OUT,
		     ipsp_sync_healing(n)
			     ? "the two sides are comparing who uses what: try again when it is "
			       "done"
			     : "both sides own addresses: drain one side, or move them by "
			       "takeover, first");
	else if (ev->mode != IPSP_MODE_ACTIVE && n->mode == IPSP_MODE_ACTIVE && n->side.shared &&
		 n->used > 0)
		done(n, ev, IPSP_ERR_SHARED_OUT,
		     "the peer would take this side for dead and use the addresses of its "
		     "sessions: no pool-share-protocol tells it");
	else if (ev->mode == IPSP_MODE_ACTIVE && ipsp_psp(n)->role == IPSP_ROLE_SECONDARY &&
		 !n->side.shared && !n->side.owner && n->used > 0)
		done(n, ev, IPSP_ERR_STILL_USED,
		     "a new secondary must have no sessions: end them first");
	else {
		n->refused_enable = false;
		ipsp_flow_mode(n, ev->mode);
		done(n, ev, 0, NULL);
	}
}

/*
 * no pool-share-protocol, or a reload that removed it. The books end: the side that owned all goes
 * on alone, the side that owned nothing serves nothing until something is shared with it again. The
 * peer is told for a moment, so that it doesn't take our going for our death.
 */
static void disable(struct ipsp_node *n, bool force)
{
	bool all = ipsp_flow_owns_all(n), contact = ipsp_contact(n);
	bool without =
		ipsp_flow_owns_none(n) && (n->side.shared || n->side.lost || n->side.grounded);
	bool owner = all && (n->side.shared || n->side.owner);

	n->conf.psp.enabled = n->refused_enable = false;
	if (force && !all) {
		ipsp_rec_alone(n, IPSP_ALONE_ALL);
		n->peer.known = false;
		ipsp_say(n, IPSP_LOG_WARNING,
			 "IPSP is disabled by force: all addresses are served here; those that the "
			 "peer owns may be in use there");
		return;
	}
	ipsp_rec_alone(n, owner ? IPSP_ALONE_OWNER : without ? IPSP_ALONE_WITHOUT : IPSP_ALONE);
	ipsp_say(n, IPSP_LOG_NOTICE, "IPSP is disabled in this context");
	n->leaving = contact;
	n->leaving_until = n->now + LEAVING_MS;
	n->hello_soon = true;
	if (!contact)
		n->peer.known = false;
}

/*
 * The peer goes alone. One that owns all asks first (it still says that it shares), and is followed
 * only when nothing is left between the two: no licence, no healing, no session on an address of
 * its. One that owns nothing has gone: nobody will take anything from us from here on. Returns
 * false for a hello that is to be taken like any other.
 */
bool ipsp_flow_on_left(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool asks = h->flags & IPSP_HF_SHARED, none = ipsp_flow_owns_none(n);

	if (!n->side.shared || n->side.lost)
		return !asks || n->side.grounded; /* it has not heard yet that we followed */
	if (asks && (!none || n->used > 0 || n->side.licence || ipsp_sync_healing(n)))
		return false;
	if (!asks && !ipsp_flow_owns_all(n))
		return true; /* by force, with addresses shared out: the dead interval decides */
	ipsp_rec_alone(n, none ? IPSP_ALONE_WITHOUT : IPSP_ALONE_OWNER);
	ipsp_say(n, IPSP_LOG_NOTICE,
		 none ? "the peer has disabled IPSP and owns all: nothing is served here"
		      : "the peer has disabled IPSP: this side owns all and serves alone");
	n->hello_soon = true;
	return true;
}

/*
 * A side that has never shared owns all as primary and nothing as secondary: where its configured
 * role has changed, or it was enabled on a context that served without IPSP, its books follow.
 */
void ipsp_flow_fit_role(struct ipsp_node *n)
{
	if (n->side.shared || n->side.lost || n->side.licence || n->side.grounded || n->side.owner)
		return;
	if (ipsp_psp(n)->role == IPSP_ROLE_PRIMARY && ipsp_flow_owns_none(n))
		ipsp_rec_repool(n, IPSP_OWN_OURS);
	else if (ipsp_psp(n)->role == IPSP_ROLE_SECONDARY && n->used == 0 && ipsp_flow_owns_all(n))
		ipsp_rec_repool(n, IPSP_OWN_PEER);
}

/*
 * The side that owns all may go alone only when the peer knows, or else the peer would take it for
 * dead and use its addresses: it asks by IPSP_HF_LEFT, and goes when the peer's hello says that it
 * has left the books, durably. Until then everything is as before. The side that owns nothing may
 * go at once.
 */
static void ask_to_leave(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_contact(n)) {
		done(n, ev, IPSP_ERR_SHARED_OUT,
		     "the peer can't be told now, would take this side for dead and use its "
		     "addresses: wait for it, or --force");
		return;
	}
	n->asks_to_leave = n->hello_soon = true;
	wait_for(n, ev, n->now + LEAVE_MS + 4ULL * ipsp_hello_ms(n));
}

/* The peer has answered: it owns nothing any more, and will take nothing. */
void ipsp_flow_may_leave(struct ipsp_node *n)
{
	n->asks_to_leave = false;
	if (ipsp_flow_owns_all(n))
		disable(n, false);
}

static void no_psp(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled && !ev->force && !n->refused_enable)
		done(n, ev, 0, "it was disabled already");
	else if (!ev->force && ipsp_flow_shared_out(n))
		done(n, ev, IPSP_ERR_SHARED_OUT,
		     "addresses are shared out: wait until one side owns all, or --force, which "
		     "may give an address twice");
	else if (!ev->force && n->side.shared && ipsp_flow_owns_all(n))
		ask_to_leave(n, ev);
	else {
		disable(n, ev->force);
		done(n, ev, 0, NULL);
	}
}

static void stop(struct ipsp_node *n, const struct ipsp_event *ev)
{
	(void)ev;
	if (n->stopping)
		return;
	n->stopping = true;
	if (!n->side.terminated && settled(n) && peer_takes(n))
		begin_termination(n);
	else if (!n->side.terminated || n->mode != IPSP_MODE_ACTIVE)
		n->stop_at_once =
			true;	/* nobody is there to take over: the dead interval decides */
	if (n->side.draining) { /* a clean stop ends a drain */
		struct ipsp_side s = n->side;
		s.draining = false;
		ipsp_rec_side(n, &s, true);
	}
}

void ipsp_flow_command(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (n->stopping && ev->command != IPSP_CMD_STOP) {
		done(n, ev, IPSP_ERR_DISABLED, "the daemon is stopping");
		return;
	}
	switch (ev->command) {
	case IPSP_CMD_DRAIN:
		set_drain(n, ev, true);
		break;
	case IPSP_CMD_UNDRAIN:
		set_drain(n, ev, false);
		break;
	case IPSP_CMD_TERMINATE:
		terminate(n, ev);
		break;
	case IPSP_CMD_TAKEOVER:
		takeover(n, ev);
		break;
	case IPSP_CMD_MODE:
		mode(n, ev);
		break;
	case IPSP_CMD_DISABLE:
		no_psp(n, ev);
		break;
	case IPSP_CMD_CHECK:
		if (!ipsp_psp(n)->enabled)
			done(n, ev, IPSP_ERR_DISABLED, "the context has no pool-share-protocol");
		else
			wait_for(n, ev, n->now + CHECK_MS);
		break;
	case IPSP_CMD_STOP:
		stop(n, ev);
		break;
	case IPSP_COMMANDS:
		break;
	}
}

/* --------------------------------------------------------------- a new configuration */

static bool role_is_fresh_secondary(const struct ipsp_node *n, const struct ipsp_context_conf *c)
{
	return c->psp.enabled && c->psp.role == IPSP_ROLE_SECONDARY &&
	       c->psp.mode == IPSP_MODE_ACTIVE && !n->side.shared && !n->side.owner;
}

int ipsp_node_may_conf(const struct ipsp_node *n, const struct ipsp_context_conf *conf,
		       char why[128])
{
	struct ipsp_context_conf c;
	bool was = n->conf.psp.enabled;

	why[0] = 0;
	if (ipsp_conf_copy(&c, conf) != 0)
		return IPSP_ERR_NOMEM;
	ipsp_conf_sort(&c);
	bool differ = ipsp_pools_differ(&n->conf, &c);
	int err = was && c.psp.enabled && (n->side.shared || n->mode == IPSP_MODE_ACTIVE)
			  ? ipsp_conf_may_change(&n->conf, &c, why)
			  : 0;
	bool out = ipsp_flow_shared_out(n), owner = n->side.shared && ipsp_flow_owns_all(n);
	if (!err && was && !c.psp.enabled && (out || owner)) {
		snprintf(why, 128,
			 "pool-share-protocol: the peer has to be told by \"no "
			 "pool-share-protocol\" first");
		err = IPSP_ERR_SHARED_OUT;
	}
	if (!err && n->mode == IPSP_MODE_ACTIVE && c.psp.mode != IPSP_MODE_ACTIVE &&
	    (out || (n->side.shared && n->used > 0)))
		err = IPSP_ERR_SHARED_OUT;
	if (!err && ipsp_flow_shared_out(n) && differ)
		err = IPSP_ERR_SHARED_OUT;
	if (!err && role_is_fresh_secondary(n, &c) && n->used > 0 &&
	    !(was && n->conf.psp.role == IPSP_ROLE_SECONDARY && n->mode == IPSP_MODE_ACTIVE))
		err = IPSP_ERR_STILL_USED;
	ipsp_conf_fini(&c);
	return err;
}

void ipsp_flow_conf(struct ipsp_node *n, const struct ipsp_event *ev)
{
	struct ipsp_context_conf c;
	char why[128] = "";
	int err = ipsp_node_may_conf(n, ev->conf, why);

	if (err) {
		ipsp_say(n, IPSP_LOG_WARNING, "the new configuration is refused: %s %s",
			 ipsp_err_text(err), why);
		ipsp_out_done(n, ev->token, ev->id, err, NULL);
		return;
	}
	if (ipsp_conf_copy(&c, ev->conf) != 0) {
		n->act->failed = true;
		return;
	}
	ipsp_conf_sort(&c);
	bool differ = ipsp_pools_differ(&n->conf, &c);
	ipsp_node_set_conf(n, &c, differ); /* takes what it needs out of c */
	ipsp_conf_fini(&c);
	ipsp_out_done(n, ev->token, ev->id, 0, NULL);
}

/* Removed or added by a reload: the same as by command, or as at a start. */
void ipsp_flow_enabled(struct ipsp_node *n, bool was)
{
	struct ipsp_side s = n->side;
	const struct ipsp_psp_conf *psp = ipsp_psp(n);

	if (was && !psp->enabled) {
		disable(n, false);
		return;
	}
	if (!psp->enabled || s.shared || s.lost)
		return;
	if (was && s.primary == (psp->role == IPSP_ROLE_PRIMARY))
		return;
	n->leaving = false;
	ipsp_seal_forget(&n->seal);
	n->peer.known = false;
	s.conf_mine = s.conf_peer = IPSP_ROLE_NONE;
	s.primary = psp->role == IPSP_ROLE_PRIMARY;
	if (s.primary)
		s.epoch++;
	ipsp_rec_side(n, &s, true);
	ipsp_flow_fit_role(n);
	n->hello_soon = true;
}

/* --------------------------------------------------------------- once in every turn */

void ipsp_flow_waiters(struct ipsp_node *n)
{
	for (int i = 0; i < IPSP_WAITERS; i++) {
		struct ipsp_waiter *w = &n->waiters[i];
		if (!w->used)
			continue;
		int err = 1;
		if (w->command == IPSP_CMD_TAKEOVER && n->side.primary && !n->licence_pending &&
		    n->side_seq <= n->flushed)
			err = 0;
		if (w->command == IPSP_CMD_CHECK && ipsp_heard(n) && n->compare.known)
			err = n->compare.same ? 0 : IPSP_ERR_CONFIG_MISMATCH;
		if (w->command == IPSP_CMD_DISABLE && !ipsp_psp(n)->enabled)
			err = 0;
		if (err > 0 && n->now >= w->deadline && w->command == IPSP_CMD_DISABLE)
			n->asks_to_leave = false;
		if (err > 0 && n->now >= w->deadline)
			err = ipsp_heard(n) ? IPSP_ERR_TIMEOUT : IPSP_ERR_NO_PEER;
		if (err > 0)
			continue;
		w->used = false;
		ipsp_out_done(n, w->token, w->id, err, NULL);
	}
}

bool ipsp_flow_wants_takeover(struct ipsp_node *n)
{
	if (n->takeover_at == IPSP_NEVER || n->now < n->takeover_at)
		return false;
	for (int i = 0; i < IPSP_WAITERS; i++)
		if (n->waiters[i].used && n->waiters[i].command == IPSP_CMD_TAKEOVER &&
		    !n->side.primary) {
			n->takeover_at = n->now + TAKEOVER_RTO;
			return true;
		}
	n->takeover_at = IPSP_NEVER;
	return false;
}

static void stop_when_said(struct ipsp_node *n)
{
	if (!n->stopping || n->stopped || n->side_seq > n->flushed)
		return;
	bool said = settled(n) && n->stream.n == 0 &&
		    (add_up(n).move_idle == 0 || !peer_takes(n)) && !n->side.primary;
	if (said || n->stop_at_once || !ipsp_contact(n)) {
		n->stopped = true;
		n->hello_soon = true;
		n->hello_at = n->now;
	}
}

void ipsp_flow_turn(struct ipsp_node *n)
{
	n->more_to_move = false;
	if (ipsp_psp(n)->enabled && !n->refused_enable) {
		first_assignment(n);
		roles(n);
		drop_to_zero(n);
		give_owed(n);
		move_unused(n);
	}
	ipsp_flow_waiters(n);
	stop_when_said(n);
}

ipsp_ms ipsp_flow_due(const struct ipsp_node *n)
{
	ipsp_ms due = n->more_to_move ? n->now : IPSP_NEVER;

	for (int i = 0; i < IPSP_WAITERS; i++)
		if (n->waiters[i].used && n->waiters[i].deadline < due)
			due = n->waiters[i].deadline;
	if (n->used == 0 && n->side.primary && n->side.p6 == IPSP_P6_ARMED &&
	    n->p6_sent_at != IPSP_NEVER && n->p6_sent_at + P6_AGAIN_MS > n->now &&
	    n->p6_sent_at + P6_AGAIN_MS < due)
		due = n->p6_sent_at + P6_AGAIN_MS;
	return due;
}
