/*
 * held - this side is held back: it gives no new addresses, as its peer may have sessions on any of
 * them that are not known here. So it is with one that has shared nothing, where the peer says
 *
 * - that it has shared, and its pools are other ones: whose books are whole can't be judged. That
 *   lasts until the pools are the same, or one dead interval longer than the peer is heard;
 * - that it has sessions (it owned all and served alone; or has lost its state): until this side
 * has shared with it, and has read which addresses they have; or until the last has ended; or one
 * dead interval longer than the peer is heard.
 *
 * It is durable. What was heard once is true after a restart, too, in which the peer may be out of
 * reach for a moment. While it lasts this side takes no lease.
 */
#include "core/node_int.h"

#include <string.h>

static void set(struct ipsp_node *n, bool on)
{
	struct ipsp_side s = n->side;

	if (s.held == on)
		return;
	s.held = on;
	ipsp_rec_side(n, &s, true);
	n->lease.lease_end = 0;
	ipsp_lease_touch(n);
	n->hello_soon = n->xacts.retry = true;
}

/* --------------------------------------------------------------- why */

static bool has_shared_others(const struct ipsp_hello *h, bool judge)
{
	return !judge && h->flags & IPSP_HF_SHARED;
}

/*
 * Of two that are configured with one role the rule of conflict.c names who gives. In the mode
 * check-config, of either side, nothing is ever shared: there one that has sessions serves on, as
 * it did before it heard of the other.
 */
static bool has_sessions(const struct ipsp_node *n, const struct ipsp_hello *h)
{
	const bool only_compares = h->flags & IPSP_HF_CHECK || n->mode == IPSP_MODE_CHECK;
	const bool one_role =
		(ipsp_psp(n)->role == IPSP_ROLE_PRIMARY) == !!(h->flags & IPSP_HF_CONF_PRIMARY);

	if (h->flags & IPSP_HF_SHARED || h->used == 0 || (only_compares && n->used > 0))
		return false;
	if (one_role && !(h->flags & (IPSP_HF_LOST | IPSP_HF_GROUNDED)))
		return false;
	return n->side.primary || ipsp_flow_owns_all(n); /* or else it gives none anyway */
}

static void say_why(struct ipsp_node *n, const struct ipsp_hello *h)
{
	if (h->flags & IPSP_HF_SHARED)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer has shared addresses, and its pools differ from those here: "
			 "this side gives none. \"check-config\" shows how they differ; mend the "
			 "file that is wrong, and restart ipspd there");
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer has %u session%s from before: this side gives no new addresses "
			 "until the pools are shared, and it knows which addresses they have",
			 h->used, h->used == 1 ? "" : "s");
}

void ipsp_held_on_hello(struct ipsp_node *n, const struct ipsp_hello *h, bool judge)
{
	const bool fresh = !n->side.shared && !n->side.lost && !n->side.grounded;
	const bool on = fresh && (has_shared_others(h, judge) || has_sessions(n, h));

	if (n->side.shared)
		return; /* until the report, see ipsp_held_tick */
	if (on && !n->side.held && n->side.primary)
		say_why(n, h);
	set(n, on);
}

/* --------------------------------------------------------------- until when */

/*
 * One dead interval after the peer's last word: all that was promised to it is over by then. One
 * that was not heard since the start was heard before it.
 */
static ipsp_ms ends(const struct ipsp_node *n)
{
	const ipsp_ms last = n->peer.heard_at != IPSP_NEVER ? n->peer.heard_at : n->started_at;
	const ipsp_ms at = ipsp_lease_silence_ends(n), heard = last + ipsp_dead_ms(n);

	return at > heard ? at : heard;
}

/* The peer has got the first assignment, and what it has reported then is applied. */
static bool reported(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	return n->peer.known && h->flags & IPSP_HF_SHARED && !(h->flags & IPSP_HF_LOST) &&
	       h->books == n->side.peer_books && h->peer_books == n->side.books &&
	       (n->side.sent == 0 || n->side.acked > 0) && n->side.applied >= h->report;
}

void ipsp_held_tick(struct ipsp_node *n)
{
	if (!n->side.held)
		return;
	if (n->side.shared) {
		if (reported(n))
			set(n, false);
		return;
	}
	if (n->now < ends(n))
		return;
	set(n, false);
	if (n->side.primary && ipsp_psp(n)->enabled)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer, whose sessions are not known here, was not heard for one dead "
			 "interval: this side does not wait for it any more");
}

ipsp_ms ipsp_held_due(const struct ipsp_node *n)
{
	return n->side.held && !n->side.shared ? ends(n) : IPSP_NEVER;
}

bool ipsp_held_by_files(const struct ipsp_node *n)
{
	return n->side.held && !n->side.shared &&
	       (ipsp_flag(n, IPSP_HF_SHARED) || n->conf_role_conflict ||
		(n->compare.known && !n->compare.same));
}

void ipsp_held_end(struct ipsp_node *n)
{
	set(n, false);
}
