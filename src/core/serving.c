/*
 * serving - does this side give new sessions addresses, and why, or why not? Each change is said:
 * to the log, by a notification, to the hook.
 */
#include "core/node_int.h"

static bool serves_alone(const struct ipsp_node *n, ipsp_ms now)
{
	if (n->side.grounded || n->refused_enable)
		return false;
	if (!ipsp_psp(n)->enabled)
		return !ipsp_flow_owns_none(n);
	return n->side.primary && !n->side.shared && ipsp_may_assign_at(n, now);
}

bool ipsp_serves(const struct ipsp_node *n, ipsp_ms now)
{
	if (n->side.terminated || n->side.draining || n->stopping || n->refused_enable ||
	    n->side.grounded || n->disk_full)
		return false;
	if (!ipsp_psp(n)->enabled || n->mode != IPSP_MODE_ACTIVE)
		return serves_alone(n, now);
	return ipsp_may_assign_at(n, now);
}

/* What was decided here, not what is waited for; NULL: nothing of that. */
static const char *decided(const struct ipsp_node *n)
{
	if (n->stopping)
		return "ipspd stops here";
	if (n->side.terminated)
		return "this side is terminated";
	if (n->side.draining)
		return "this side is drained";
	if (n->refused_enable)
		return "IPSP is disabled here, and the log says why";
	if (n->side.grounded)
		return "this side owns no address since IPSP was disabled";
	if (n->disk_full)
		return "the disk is full";
	if (ipsp_conflict_yields(n))
		return ipsp_flag(n, IPSP_HF_DRAINING)
			       ? "both sides are configured as primary, and the peer, which comes "
				 "first, is drained"
			       : "both sides are configured as primary, and the peer gives the "
				 "addresses";
	if (n->peer.twin && ipsp_heard(n))
		return "both sides have the same books, as one state directory is a copy of the "
		       "other";
	if (!ipsp_psp(n)->enabled)
		return "IPSP is disabled here, and the peer owns all addresses";
	if (n->mode != IPSP_MODE_ACTIVE)
		return n->mode == IPSP_MODE_CHECK ? "the mode is check-config"
						  : "the mode is inactive";
	return NULL;
}

/* What keeps it back while the peer is heard, or was just now: see held.c. */
static const char *held_by(const struct ipsp_node *n)
{
	if (n->peer.hello.flags & IPSP_HF_SHARED)
		return "the peer has shared addresses, and its pools differ from those here";
	return "the peer has sessions, and this side does not know yet which addresses they have";
}

static const char *waits(const struct ipsp_node *n)
{
	switch (ipsp_peer_waiting(n)) {
	case IPSP_WAIT_PEER:
		return "the peer is not heard";
	case IPSP_WAIT_LEASE:
		return "this side has no lease from the peer";
	case IPSP_WAIT_HEALING:
		return n->side.lost   ? "this side has lost its state, and waits for the peer's"
		       : n->side.held ? held_by(n)
				      : "the two sides compare who uses what";
	case IPSP_WAIT_SILENCE:
		if (n->side.held)
			return held_by(n);
		return n->side.shared ? "the peer is not heard, and the dead interval runs"
				      : "this side listens first whether its peer knows more";
	case IPSP_WAIT_FIRST_GRANT:
		return "the primary has given nothing yet";
	case IPSP_WAIT_VETO:
		return "the hook vetoed the takeover";
	case IPSP_WAIT_UNHEARD:
		return "the peer does not hear this side";
	case IPSP_WAIT_LINK:
		return "this side's own link fails";
	case IPSP_WAIT_NONE:
	case IPSP_WAITS:
		break;
	}
	return n->side.held ? held_by(n) : "its state changes";
}

static const char *serves_why(const struct ipsp_node *n)
{
	if (!ipsp_psp(n)->enabled)
		return "IPSP is not enabled here";
	if (n->side.licence)
		return "this side has taken over";
	if (!n->side.shared)
		return "this side is primary, and nothing was shared yet";
	return "this side has its lease from the peer";
}

/*
 * The peer has stopped in order and left no session: where this side goes on alone its lease ends
 * some moments before the dead interval does. Requests wait as long, and nobody need be told.
 */
static bool goes_on_soon(const struct ipsp_node *n)
{
	const ipsp_ms end = n->lease.quiet_since + ipsp_dead_ms(n);

	if (!n->peer.stopped || n->peer.hello.used > 0 || !n->side.shared || n->side.lost ||
	    !(n->side.primary || n->side.s6) || decided(n) || n->vetoed || ipsp_link_deaf(n))
		return false;
	if (n->now >= end)
		return n->hook_asked || n->licence_pending || n->now - end < ipsp_hello_ms(n);
	return end - n->now <= ipsp_dead_ms(n) / 1000 + 3 * ipsp_hello_ms(n);
}

void ipsp_serving_watch(struct ipsp_node *n)
{
	const bool serves = ipsp_serves(n, n->now), first = !n->serving_told;

	if (!first && (serves == n->was_serving || (!serves && goes_on_soon(n))))
		return;
	const bool change = serves != n->was_serving;
	n->serving_told = true;
	n->was_serving = serves;
	const char *why = serves ? NULL : decided(n);
	const enum ipsp_level level = serves || why || first ? IPSP_LOG_NOTICE : IPSP_LOG_WARNING;
	ipsp_say(n, level, "new sessions are %s: %s%s%s", serves ? "served" : "not served",
		 serves ? serves_why(n)
		 : why	? why
			: waits(n),
		 !serves && n->link.error[0] && !why ? ": " : "",
		 !serves && !why ? n->link.error : "");
	if (!change || (first && !ipsp_psp(n)->enabled))
		return;
	n->state_changed = true;
	ipsp_out_trap(n, IPSP_TRAP_SERVING_CHANGE, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_SERVING_CHANGE, IPSP_ADDR_NONE);
}
