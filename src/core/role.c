/*
 * role - how the role of the primary changes hands while both sides are there: by configuration, by
 * command, back after a loan, and when no session is left (P6).
 */
#include "core/node_int.h"

#define P6_AGAIN_MS 60000 /* an undrained side says "all free" at most this often */

/* --------------------------------------------------------------- changes of role */

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

void ipsp_role_yield(struct ipsp_node *n, bool loan, bool terminated)
{
	yield(n, loan, terminated, n->side.p6 == IPSP_P6_DUE ? IPSP_P6_DUE : IPSP_P6_IDLE);
}

void ipsp_role_on_takeover(struct ipsp_node *n, uint64_t epoch)
{
	if (epoch != n->side.epoch || !n->side.primary) {
		n->hello_soon = true;
		return;
	}
	if (ipsp_flow_settled(n) && ipsp_flow_peer_takes(n))
		yield(n, false, false, IPSP_P6_IDLE);
}

void ipsp_say_undrained(struct ipsp_node *n)
{
	ipsp_say(n, IPSP_LOG_WARNING,
		 "this side takes over, and so it is drained no more: it serves sessions");
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

/*
 * Both sides are drained or terminated: each was begun while the other was on its way, or forced.
 * Somebody has to serve, so the secondary's is taken back.
 */
static void one_goes(struct ipsp_node *n)
{
	const bool theirs = ipsp_flag(n, IPSP_HF_DRAINING) || ipsp_flag(n, IPSP_HF_TERMINATED);
	const bool terminated = n->side.terminated;
	struct ipsp_side s = n->side;

	if (n->side.primary || n->stopping || !theirs || (!n->side.draining && !terminated))
		return;
	s.draining = s.terminated = false;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = n->xacts.retry = true;
	if (!terminated && ipsp_flag(n, IPSP_HF_DRAINING))
		ipsp_say(n, IPSP_LOG_WARNING,
			 "both sides drain: the drain of this side, the secondary, is taken back");
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 "both sides are drained or terminated: the %s of this side, the "
			 "secondary, is taken back",
			 terminated ? "termination" : "drain");
}

static void exchange(struct ipsp_node *n)
{
	if (!ipsp_flow_settled(n))
		return;
	if (exchange_configured(n)) {
		bool want = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;
		struct ipsp_side s = n->side;
		if (n->side.primary && !want) {
			if (ipsp_flow_peer_takes(n))
				yield(n, false, false, IPSP_P6_IDLE);
			return;
		}
		if (n->side.primary == want) {
			s.conf_mine = (uint8_t)ipsp_psp(n)->role;
			s.conf_peer = want ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY;
			ipsp_rec_side(n, &s, false);
		}
	}
	if (n->side.primary && n->side.terminated && ipsp_flow_peer_takes(n))
		yield(n, true, true, IPSP_P6_IDLE); /* the role came while this side went */
	/* the peer that lent us the role is back */
	else if (n->side.primary && n->side.loan && ipsp_flow_peer_takes(n))
		yield(n, false, false, IPSP_P6_IDLE);
	one_goes(n);
}

/*
 * A side that has never shared owns all as primary and nothing as secondary: where its configured
 * role has changed, or it was enabled on a context that served without IPSP, its books follow.
 */
void ipsp_role_fit(struct ipsp_node *n)
{
	if (n->side.shared || n->side.lost || n->side.licence || n->side.grounded || n->side.owner)
		return;
	if (ipsp_psp(n)->role == IPSP_ROLE_PRIMARY && ipsp_flow_owns_none(n))
		ipsp_rec_repool(n, IPSP_OWN_OURS);
	else if (ipsp_psp(n)->role == IPSP_ROLE_SECONDARY && n->used == 0 && ipsp_flow_owns_all(n))
		ipsp_rec_repool(n, IPSP_OWN_PEER);
}

/* --------------------------------------------------------------- P6: no session is left */

static void p6_set(struct ipsp_node *n, enum ipsp_p6 p6, bool flush)
{
	struct ipsp_side s = n->side;

	s.p6 = (uint8_t)p6;
	ipsp_rec_side(n, &s, flush);
}

/*
 * Sessions count from the enabling on, also those that were here then, or end before anything is
 * shared. A drained primary goes whether it had one or not.
 */
static void drop_to_zero(struct ipsp_node *n)
{
	bool on = ipsp_psp(n)->enabled && n->mode == IPSP_MODE_ACTIVE && !n->side.lost;

	if (n->used > 0) {
		if (n->side.primary && on && n->side.p6 != IPSP_P6_ARMED)
			p6_set(n, IPSP_P6_ARMED, false);
		else if (!n->side.primary && n->side.p6 == IPSP_P6_SENT)
			p6_set(n, IPSP_P6_IDLE, false);
		return;
	}
	if (!on || !ipsp_flow_settled(n))
		return;
	bool armed = n->side.p6 == IPSP_P6_ARMED || n->side.draining;
	if (n->side.primary && armed && ipsp_flow_peer_takes(n) && !ipsp_flow_differs(n) &&
	    !n->side.terminated && !n->stopping &&
	    (n->side.draining || n->p6_sent_at == IPSP_NEVER ||
	     n->now - n->p6_sent_at >= P6_AGAIN_MS)) {
		yield(n, false, false, IPSP_P6_DUE);
		return;
	}
	/* ipsp_flow_settled() says that the peer has recorded the epoch in which it is primary */
	if (!n->side.primary && n->side.p6 == IPSP_P6_DUE && n->stream.n == 0 &&
	    ipsp_flow_sums(n).ours == 0) {
		p6_set(n, IPSP_P6_SENT, true);
		n->p6_sent_at = n->now;
		ipsp_out_trap(n, IPSP_TRAP_ALL_ADDRS_FREE, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_ALL_ADDRESSES_FREE, IPSP_ADDR_NONE);
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "all addresses are released to the peer, which is primary now: this side "
			 "may go down");
	}
}

/* --------------------------------------------------------------- once in every turn */

void ipsp_role_turn(struct ipsp_node *n)
{
	exchange(n);
	drop_to_zero(n);
}

ipsp_ms ipsp_role_due(const struct ipsp_node *n)
{
	if (n->used == 0 && n->side.primary && n->side.p6 == IPSP_P6_ARMED &&
	    n->p6_sent_at != IPSP_NEVER && n->p6_sent_at + P6_AGAIN_MS > n->now)
		return n->p6_sent_at + P6_AGAIN_MS;
	return IPSP_NEVER;
}
