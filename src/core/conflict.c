/*
 * conflict - both sides are configured with one role, and nothing was ever shared between them. So
 * nothing is shared now. Of two that are both primary each owns every address: exactly one of them
 * gives new ones, the one that has sessions or keeps addresses for such, or else (both have, or
 * neither) the one with the lower interface address.
 *
 * Each side finds the same by itself, from what the hellos say. So that at no moment both give:
 * - the one that loses stops at the first hello that it hears, whether it is heard or not;
 * - the one that wins begins when the peer has heard what decides, which its echo shows. It stays
 *   the one as long as the rule names it, and stops at once when its own last session ends;
 * - the one that has lost, and then hears nothing any more, gives addresses again after one dead
 *   interval of silence, like a takeover; or when the peer has stopped in order, without a session.
 */
#include "core/node_int.h"

#include <stdio.h>

/*
 * Sessions, and what is kept for such: after a restart of the host an address is held for a session
 * that may live on, and has not been asked for again yet.
 */
static uint32_t sessions(const struct ipsp_node *n)
{
	uint32_t all = n->used;

	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		if (!ipsp_is_static(n, (uint16_t)p))
			all += c->hold + c->quarantine;
	}
	return all;
}

static bool has_sessions(const struct ipsp_node *n)
{
	return sessions(n) > 0;
}

/* Does the rule name this side? By our sessions as they are now, and the peer's as it last said. */
static bool named(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	if (!(h->flags & IPSP_HF_PRIMARY) || h->flags & IPSP_HF_GROUNDED)
		return true; /* it gives none */
	if (has_sessions(n) != (h->used > 0))
		return has_sessions(n);
	return ipsp_addr_cmp(ipsp_psp(n)->address, ipsp_psp(n)->peer) < 0;
}

bool ipsp_conflict_yields(const struct ipsp_node *n)
{
	return n->conf_role_conflict && n->side.primary && !n->side.shared &&
	       !(n->conflict.won && named(n));
}

/* For a hello that is being built: what it says as used decides. */
void ipsp_conflict_saying(struct ipsp_node *n, struct ipsp_hello *h)
{
	struct ipsp_conflict *c = &n->conflict;

	if (!n->conf_role_conflict)
		return;
	h->used = sessions(n);
	if (c->said_sessions == has_sessions(n) && !c->say_again)
		return;
	c->said_sessions = has_sessions(n);
	c->say_again = false;
	c->since = h->number;
}

/* A new session of keys: what was said before, another process may have heard. */
void ipsp_conflict_session(struct ipsp_node *n)
{
	n->conflict.say_again = true;
}

static bool heard_what_decides(const struct ipsp_node *n, const struct ipsp_hello *h)
{
	const struct ipsp_conflict *c = &n->conflict;

	return h->heard != 0 && !c->say_again && c->said_sessions == has_sessions(n) &&
	       !ipsp_hello_after(c->since, h->heard);
}

/* --------------------------------------------------------------- said */

static void say_begun(struct ipsp_node *n)
{
	const char *role = ipsp_role_word(ipsp_psp(n)->role);
	bool primary = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;

	ipsp_say(n, IPSP_LOG_WARNING,
		 "both sides are configured as %s: nothing is shared%s. In the file of one side "
		 "name "
		 "its peer by \"%s\" instead of \"%s\", and reload there",
		 role, primary ? "" : ", and neither side gives addresses",
		 primary ? "primary" : "secondary", primary ? "secondary" : "primary");
	ipsp_out_trap(n, IPSP_TRAP_CONFIG_MISMATCH, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_CONFIG_MISMATCH, IPSP_ADDR_NONE);
}

static const char *reason(bool one, bool other)
{
	if (one != other)
		return "has sessions and the other has none";
	return one ? "has the lower address, and both have sessions"
		   : "has the lower address, and neither has sessions";
}

static void say_verdict(struct ipsp_node *n, bool yields)
{
	const char *why = reason(has_sessions(n), n->peer.hello.used > 0);

	if (yields)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side gives no new addresses (config-mismatch): the peer is primary "
			 "too, and %s",
			 why);
	else if (n->side.draining)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "nobody gives new addresses: this side, which %s, is drained, and the "
			 "peer, primary too, refuses with config-mismatch; the way out is "
			 "\"undrain\"",
			 why);
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side goes on giving new addresses: it %s; the peer, primary too, "
			 "refuses with config-mismatch",
			 why);
}

/* --------------------------------------------------------------- begun and ended */

static void begin(struct ipsp_node *n)
{
	n->conf_role_conflict = true;
	n->conflict.won = n->conflict.said_yields = n->conflict.said_gives = false;
	n->conflict.say_again = true;
	n->hello_soon = n->xacts.retry = true;
	snprintf(n->conflict.line, sizeof n->conflict.line, "configured roles: here %s, peer %s",
		 ipsp_role_word(ipsp_psp(n)->role), ipsp_role_word(ipsp_psp(n)->role));
	say_begun(n);
}

void ipsp_conflict_end(struct ipsp_node *n)
{
	if (!n->conf_role_conflict)
		return;
	n->conf_role_conflict = n->conflict.won = false;
	n->hello_soon = n->xacts.retry = true;
}

void ipsp_conflict_on_hello(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool mine = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;
	bool theirs = h->flags & IPSP_HF_CONF_PRIMARY;
	bool fresh =
		!n->side.shared && !n->side.lost && !(h->flags & (IPSP_HF_SHARED | IPSP_HF_LOST));

	if (!fresh || mine != theirs) {
		if (n->conf_role_conflict)
			ipsp_say(n, IPSP_LOG_NOTICE, "the roles of the two sides fit now");
		ipsp_conflict_end(n);
		return;
	}
	if (h->flags & IPSP_HF_GOODBYE && h->used == 0) {
		ipsp_conflict_end(n); /* it gives none any more, and has left none */
		return;
	}
	if (!n->conf_role_conflict)
		begin(n);
	if (!named(n))
		n->conflict.won = false;
	else if (heard_what_decides(n, h))
		n->conflict.won = true;
}

/* --------------------------------------------------------------- once in every turn */

/* The peer gives none any more, as far as can be known: see above. */
static bool peer_is_out(const struct ipsp_node *n)
{
	ipsp_ms dead = ipsp_dead_ms(n);

	return !ipsp_heard(n) && n->now >= n->lease.quiet_since + dead &&
	       n->now >= n->peer.heard_at + dead;
}

void ipsp_conflict_turn(struct ipsp_node *n)
{
	struct ipsp_conflict *c = &n->conflict;

	if (!n->conf_role_conflict || !n->side.primary)
		return;
	if (peer_is_out(n)) {
		if (ipsp_conflict_yields(n))
			ipsp_say(n, IPSP_LOG_WARNING,
				 "the peer, primary too, was not heard for one dead interval: this "
				 "side gives new addresses again");
		ipsp_conflict_end(n);
		return;
	}
	if (!named(n))
		c->won = false;
	if (c->said_sessions != has_sessions(n))
		n->hello_soon = true; /* the peer's verdict rests on it */
	bool yields = ipsp_conflict_yields(n);
	if (yields && named(n))
		return; /* until the peer has heard what decides */
	if (yields ? c->said_yields : c->said_gives)
		return;
	c->said_yields = yields;
	c->said_gives = !yields;
	n->hello_soon = n->xacts.retry = true;
	say_verdict(n, yields);
}

ipsp_ms ipsp_conflict_due(const struct ipsp_node *n)
{
	if (!n->conf_role_conflict || !n->side.primary || ipsp_heard(n))
		return IPSP_NEVER;
	ipsp_ms from =
		n->lease.quiet_since > n->peer.heard_at ? n->lease.quiet_since : n->peer.heard_at;
	return from + ipsp_dead_ms(n);
}
