/*
 * command - what operators command, and the commands that are answered later.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <string.h>

#define TAKEOVER_MS  10000 /* how long an operator's takeover waits for the peer */
#define CHECK_MS     5000
#define TAKEOVER_RTO 250
#define LEAVE_MS     5000
#define KEPT_PLACES  4 /* of IPSP_WAITERS: not for IPSP_CMD_CHECK */

static const char no_common_version[] = "no version of the protocol is common with the peer: "
					"upgrade the older ipspd first; nothing "
					"was changed";

/* What --force has risked. */
static const char forced_takeover[] =
	"forced: this side uses the addresses of the peer from now on. Where the peer still runs, "
	"an address may be in use on both sides: keep it stopped until the two hear each other";
static const char forced_listen[] =
	"forced: this side serves without having heard what its peer knows. Where the peer has "
	"sessions, their addresses may be given twice";
static const char forced_drain[] =
	"forced: the peer is not up, so nobody gives new sessions addresses until it is, or until "
	"\"undrain\" here";
static const char forced_off[] = "forced: all addresses are served here. Those that the peer owns "
				 "may be in use there, and an "
				 "address may be given twice";
static const char forced_untold[] = "forced: the peer was not told. It may take this side for "
				    "dead, and use the addresses of its "
				    "sessions";

static const char same_books[] =
	"one state directory is a copy of the other: stop ipspd on the host "
	"to which it was copied, move its state directory away, and start it again";
static const char not_active[] = "IPSP is not active in this context";
static const char pools_differ[] = "the pools of the two sides differ, so nothing can be handed "
				   "over: make them identical (\"check-config\" shows the "
				   "differences) and restart; nothing was changed";

/*
 * False: there is no place, and that was said. So a command asks for its place before it does
 * anything: one that is refused has done nothing. Those that only look leave some places to those
 * that act.
 */
static bool wait_for(struct ipsp_node *n, const struct ipsp_event *ev, ipsp_ms deadline)
{
	for (int i = ev->command == IPSP_CMD_CHECK ? KEPT_PLACES : 0; i < IPSP_WAITERS; i++)
		if (!n->waiters[i].used) {
			n->waiters[i] = (struct ipsp_waiter){true,   ev->command, ev->token,
							     ev->id, deadline,	  ev->force};
			n->n_waiters++;
			return true;
		}
	ipsp_out_done(n, ev->token, ev->id, IPSP_ERR_OVERLOADED, NULL);
	return false;
}

static void done(struct ipsp_node *n, const struct ipsp_event *ev, int err, const char *text)
{
	ipsp_out_done(n, ev->token, ev->id, err, text);
}

/* True: IPSP is off here, and that was said. */
static bool said_off(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled || n->mode != IPSP_MODE_ACTIVE)
		done(n, ev, IPSP_ERR_DISABLED, not_active);
	else if (n->refused_enable)
		done(n, ev, IPSP_ERR_STILL_USED,
		     "this context had sessions when it should have become a new secondary: IPSP "
		     "is enabled by itself when the last of them has ended (\"show sessions\")");
	else
		return false;
	return true;
}

/* --------------------------------------------------------------- drain, terminate, takeover */

/* Why nothing gets to the peer, so that nobody would serve; 0: it does. */
static int cannot_reach(struct ipsp_node *n, const char **why)
{
	if (ipsp_link_deaf(n)) { /* also while the peer is still shown as up */
		snprintf(n->refusal, sizeof n->refusal,
			 "this side's own link fails: %s; mend that first, or drain --force",
			 n->link.error);
		*why = n->refusal;
		return IPSP_ERR_NO_PEER;
	}
	if (n->link.unheard) {
		*why = "the peer is alive but does not hear this side, so nothing would move: mend "
		       "the link from here to there, or drain --force";
		return IPSP_ERR_NO_PEER;
	}
	if (!ipsp_contact(n)) {
		*why = "the peer is not up, and nobody would serve: wait for it, or drain --force";
		return IPSP_ERR_NO_PEER;
	}
	return 0;
}

/* Why the peer can't take over what a drain moves; 0: it can. */
static int cannot_drain(struct ipsp_node *n, const char **why)
{
	const int err = cannot_reach(n, why);

	if (err != 0)
		return err;
	if (n->peer.speaks == 0) {
		*why = "no version of the protocol is common with the peer, so nothing would move: "
		       "upgrade the older ipspd first, or drain --force";
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (n->peer.twin) {
		*why = same_books;
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (n->conf_role_conflict) {
		*why = "both sides are configured with one role, so nothing would move: "
		       "\"check-config\" shows it; mend the file of one side, or drain --force";
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (n->compare.known && !n->compare.same) {
		*why = "the pools of the two sides differ, so nothing would move: "
		       "\"check-config\" shows where; mend that first, or drain --force";
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (ipsp_flag(n, IPSP_HF_TERMINATED)) {
		*why = "the peer is terminated, and nobody would serve: pool-share-protocol mode "
		       "active there first, or drain --force";
		return IPSP_ERR_DRAINING;
	}
	if (ipsp_flag(n, IPSP_HF_CHECK)) {
		*why = "the peer is in mode check-config, and takes over nothing: "
		       "pool-share-protocol mode active there first, or drain --force";
		return IPSP_ERR_NO_PEER;
	}
	return 0;
}

/* It was forced. */
static void say_nobody_takes_over(struct ipsp_node *n, int err)
{
	if (!ipsp_contact(n))
		ipsp_say_nobody_serves(n);
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side is drained by force, and the peer takes over nothing (%s): "
			 "\"undrain\" serves here again",
			 ipsp_err_word(err));
}

static void begin_drain(struct ipsp_node *n, int forced_over)
{
	struct ipsp_side s = n->side;

	s.draining = true;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_NOTICE,
		 n->side.primary ? "drain: no new addresses to sessions here; when the last has "
				   "ended, all addresses and the role are the peer's"
				 : "drain: no new addresses to sessions here; they move to the "
				   "peer as sessions end");
	if (forced_over != 0)
		say_nobody_takes_over(n, forced_over);
}

static void set_drain(struct ipsp_node *n, const struct ipsp_event *ev, bool on)
{
	struct ipsp_side s = n->side;
	const char *why = NULL;
	int err = 0;

	if (said_off(n, ev))
		return;
	if (n->side.terminated) {
		done(n, ev, IPSP_ERR_DISABLED,
		     "this side is terminated already; the way back is pool-share-protocol mode "
		     "active, or takeover --force where the peer is gone for good");
		return;
	}
	if (on && (err = cannot_drain(n, &why)) != 0 && !ev->force) {
		done(n, ev, err, why);
		return;
	}
	if (on && !s.draining && ipsp_heard(n) && ipsp_flag(n, IPSP_HF_DRAINING)) {
		done(n, ev, IPSP_ERR_DRAINING, "the peer is being drained: undrain it first");
		return;
	}
	if (on && !s.draining) {
		begin_drain(n, err);
	} else if (!on && s.draining) {
		s.draining = false;
		ipsp_rec_side(n, &s, true);
		n->hello_soon = true;
		ipsp_say(n, IPSP_LOG_NOTICE, "undrain: sessions are served again");
	}
	done(n, ev, 0, on && ev->force && !ipsp_contact(n) ? forced_drain : NULL);
}

static void end_drain(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	if (!s.draining)
		return;
	s.draining = false;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
	ipsp_say_undrained(n);
}

static void begin_termination(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	ipsp_say(n, IPSP_LOG_NOTICE,
		 n->side.primary ? "graceful termination: the peer takes over as primary"
				 : "graceful termination: this side goes out of service, the peer "
				   "is primary");
	if (n->side.primary) {
		ipsp_role_yield(n, true, true);
	} else {
		s.terminated = true;
		ipsp_rec_side(n, &s, true);
		n->hello_soon = true;
	}
}

static void terminate(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (said_off(n, ev))
		return;
	if (n->side.terminated)
		done(n, ev, 0, "terminated already");
	else if (ipsp_contact(n) && n->peer.speaks == 0)
		done(n, ev, IPSP_ERR_CONFIG_MISMATCH, no_common_version);
	else if (ipsp_flow_differs(n))
		done(n, ev, IPSP_ERR_CONFIG_MISMATCH, pools_differ);
	else if (!ipsp_flow_settled(n))
		done(n, ev, IPSP_ERR_NO_PEER,
		     "the peer is not there to take over; nothing was changed");
	else if (!ipsp_flow_peer_takes(n))
		done(n, ev, IPSP_ERR_DRAINING,
		     "the peer drains or terminates itself; nothing was changed");
	else {
		begin_termination(n);
		done(n, ev, 0, NULL);
	}
}

/* As far as is known: so nothing is done by force. */
static bool peer_is_there(const struct ipsp_node *n)
{
	return n->peer_state == IPSP_PEER_UP || ipsp_heard(n) || n->link.unheard;
}

/* Why the peer can't be asked for the role, with what leads out; 0: it can. */
static int cannot_ask(const struct ipsp_node *n, const char **why)
{
	if (ipsp_link_deaf(n)) {
		*why = peer_is_there(n)
			       ? "this side's own link fails, see \"show ip ipsp\": mend that first"
			       : "this side's own link fails, see \"show ip ipsp\": mend that "
				 "first; where the peer is gone for good: takeover --force";
		return IPSP_ERR_NO_PEER;
	}
	if (!ipsp_contact(n) && (ipsp_heard(n) || n->link.unheard)) {
		*why = "the peer is alive but does not hear this side, so it can't agree: mend the "
		       "link from here to there; or stop ipspd on the peer's host, and say "
		       "takeover --force here when the peer is shown as lost";
		return IPSP_ERR_NO_PEER;
	}
	if (!ipsp_contact(n)) {
		*why = n->peer_state == IPSP_PEER_UP
			       ? "the peer has just fallen silent: say this again when it is "
				 "shown as up, or as lost"
			       : "the peer is not there to agree; where it is gone for good: "
				 "takeover --force";
		return IPSP_ERR_NO_PEER;
	}
	if (n->peer.speaks == 0) {
		*why = no_common_version;
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (n->peer.twin) {
		*why = same_books;
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (ipsp_flow_differs(n)) {
		*why = pools_differ;
		return IPSP_ERR_CONFIG_MISMATCH;
	}
	if (!n->side.shared) {
		*why = "nothing was shared with this side yet: \"check-config\" says what stands "
		       "against it";
		return IPSP_ERR_NOT_APPROVED;
	}
	if (n->side.terminated) {
		*why = "this side is terminated: pool-share-protocol mode active first";
		return IPSP_ERR_DISABLED;
	}
	return 0;
}

/* Why it may not be forced, with what leads out; NULL: it may. */
static const char *cannot_force(const struct ipsp_node *n)
{
	const char *why;

	if (!peer_is_there(n))
		return NULL;
	if (n->compare.no_version)
		return "the peer is up, and no version of the protocol is common with it: upgrade "
		       "the older ipspd; or stop ipspd on the peer's host, and say this again when "
		       "the peer is lost";
	if (!ipsp_heard(n) && !n->link.unheard)
		return "the peer was up until just now: say this again when it is shown as lost";
	if (!ipsp_contact(n))
		return "the peer is alive but does not hear this side, and by force addresses "
		       "would be given twice: mend the link from here to there; or stop ipspd on "
		       "the peer's host, and say this again when the peer is shown as lost";
	if (cannot_ask(n, &why) != 0)
		return why;
	return "the peer is up: takeover without --force asks it";
}

/* The same in a first listening: who only begins handshakes may be somebody who plays old ones. */
static const char *seems_alive(const struct ipsp_node *n)
{
	if (n->link.unheard && n->peer_state != IPSP_PEER_UP && !ipsp_link_peer_lives(n))
		return NULL;
	const char *why = cannot_force(n);
	if (!why && ipsp_link_peer_lives(n) && !n->peer.stopped && !n->peer.known)
		return "the peer has answered just now: say this again in some seconds";
	return why;
}

/* A primary that listens whether its peer knows more, or is held back by what that has shared, is
 * told that it needn't wait. */
static void listen_no_more(struct ipsp_node *n, const struct ipsp_event *ev)
{
	const char *why = seems_alive(n);

	if (why) {
		done(n, ev, IPSP_ERR_DENIED, why);
		return;
	}
	const bool held = n->side.held;
	ipsp_link_listen_no_more(n);
	ipsp_held_end(n);
	n->xacts.retry = true;
	end_drain(n);
	ipsp_say(n, IPSP_LOG_WARNING, "forced takeover: this side serves %s",
		 held ? "whatever sessions its peer has"
		      : "without having heard what its peer knows");
	done(n, ev, 0, forced_listen);
}

/* It stays so: a loan of the role ends, and so does a drain, which would give the role away. */
static void is_primary_already(struct ipsp_node *n, const struct ipsp_event *ev)
{
	const bool drained = n->side.draining;
	struct ipsp_side s = n->side;

	if (s.loan) {
		s.loan = false;
		ipsp_rec_side(n, &s, true);
	}
	end_drain(n);
	done(n, ev, 0,
	     drained ? "this side is primary already; it is drained no more"
		     : "this side is primary already");
}

static void takeover(struct ipsp_node *n, const struct ipsp_event *ev)
{
	const char *why = NULL;
	int err;

	if (said_off(n, ev))
		return;
	if (ipsp_conflict_yields(n) && (!ev->force || ipsp_heard(n))) {
		done(n, ev, IPSP_ERR_CONFIG_MISMATCH,
		     ipsp_flag(n, IPSP_HF_DRAINING)
			     ? "the peer is primary, too, and comes first, but it is drained: "
			       "undrain it, or in the file of one side name its peer by "
			       "\"primary\", and reload there"
			     : "the peer is primary, too, and gives the addresses: in the file of "
			       "one side name its peer by \"primary\", and reload there");
	} else if (ipsp_conflict_yields(n)) {
		ipsp_conflict_end(n);
		end_drain(n);
		done(n, ev, 0, forced_takeover);
	} else if (n->side.primary && ipsp_held_by_files(n) && !ev->force) {
		done(n, ev, IPSP_ERR_CONFIG_MISMATCH,
		     "the peer has shared addresses, and its pools differ from those here: "
		     "\"check-config\" shows how; mend the file that is wrong, and restart ipspd "
		     "there");
	} else if (n->side.primary && ev->force &&
		   ((n->side.held && !n->side.shared) ||
		    (ipsp_link_listens(n, n->now) && (n->side.licence || !n->side.shared)))) {
		listen_no_more(n, ev);
	} else if (n->side.primary && !(ev->force && (!n->side.licence || n->licence_resting) &&
					(n->side.shared || n->side.grounded))) {
		is_primary_already(n, ev);
	} else if (ev->force) {
		why = cannot_force(n);
		if (why)
			done(n, ev, IPSP_ERR_DENIED, why);
		else if (wait_for(n, ev, n->now + TAKEOVER_MS))
			ipsp_lease_takeover(n, true);
	} else if ((err = cannot_ask(n, &why)) != 0) {
		done(n, ev, err, why);
	} else if (wait_for(n, ev, n->now + TAKEOVER_MS)) {
		n->takeover_at = n->now;
		end_drain(n); /* the peer yields to no side that drains */
	}
}

/* --------------------------------------------------------------- mode, disable, stop */

static void mode(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled)
		done(n, ev, IPSP_ERR_DISABLED, "the context has no pool-share-protocol");
	else if (ev->mode != IPSP_MODE_ACTIVE && n->mode == IPSP_MODE_ACTIVE &&
		 ipsp_flow_shared_out(n))
		done(n, ev, IPSP_ERR_SHARED_OUT,
		     ipsp_heal_pending(n)
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
		ipsp_psp_mode(n, ev->mode);
		if (n->refused_enable)
			ipsp_psp_enabled(n, false);
		done(n, ev, 0, NULL);
	}
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
		done(n, ev, IPSP_ERR_NO_PEER,
		     "the peer can't be told now, would take this side for dead and use its "
		     "addresses: start ipspd there, or --force");
		return;
	}
	if (wait_for(n, ev, n->now + LEAVE_MS + 4ULL * ipsp_hello_ms(n)))
		n->asks_to_leave = n->hello_soon = true;
}

/* Of a context that is about to be disabled; NULL: none. */
static const char *forced_off_risk(const struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ev->force)
		return NULL;
	if (!ipsp_flow_owns_all(n))
		return forced_off;
	return n->side.shared && !ipsp_contact(n) ? forced_untold : NULL;
}

/* A peer that is gone can give nothing back: what to wait for is its return. */
static const char *why_shared_out(const struct ipsp_node *n)
{
	if (peer_is_there(n))
		return "addresses are shared out: wait until one side owns all, or --force, which "
		       "may give an address twice";
	return "addresses are shared out, and the peer, which owns some, is not there: start ipspd "
	       "there; or --force, by which all addresses are served here, and those that the peer "
	       "has in use may be given twice";
}

/* With a licence a side that owns all goes on alone: nothing of it is shared out, but the peer does
 * not know. */
static bool is_shared_out(const struct ipsp_node *n)
{
	return ipsp_flow_shared_out(n) &&
	       !(n->side.licence && ipsp_flow_owns_all(n) && !ipsp_contact(n));
}

static void no_psp(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!ipsp_psp(n)->enabled && !ev->force && !n->refused_enable)
		done(n, ev, 0, "it was disabled already");
	else if (!ev->force && is_shared_out(n))
		done(n, ev, IPSP_ERR_SHARED_OUT, why_shared_out(n));
	else if (!ev->force && n->side.shared && ipsp_flow_owns_all(n))
		ask_to_leave(n, ev);
	else {
		const char *risk = forced_off_risk(n, ev);
		ipsp_psp_disable(n, ev->force);
		done(n, ev, 0, risk);
	}
}

/* Nothing can be handed over: neither the role, which alone would help nobody. */
static void say_kept(struct ipsp_node *n)
{
	if (n->side.shared && n->mode == IPSP_MODE_ACTIVE)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "%s: nothing is handed over; the peer takes over at its dead interval",
			 n->compare.no_version ? "no version of the protocol is common"
					       : "the pools differ");
}

static void stop(struct ipsp_node *n, const struct ipsp_event *ev)
{
	(void)ev;
	if (n->stopping)
		return;
	n->stopping = true;
	if (ipsp_flow_differs(n)) {
		n->stop_at_once = true;
		say_kept(n);
	} else if (!n->side.terminated && ipsp_flow_settled(n) && ipsp_flow_peer_takes(n))
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

static void obey(struct ipsp_node *n, const struct ipsp_event *ev)
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
		else if (n->mode == IPSP_MODE_INACTIVE)
			done(n, ev, IPSP_ERR_DISABLED,
			     "nothing is said or heard in the mode inactive: \"pool-share-protocol "
			     "mode check-config\" compares, and shares nothing");
		else if (!n->refused_enable || !said_off(n, ev))
			wait_for(n, ev, n->now + CHECK_MS);
		break;
	case IPSP_CMD_STOP:
		stop(n, ev);
		break;
	case IPSP_COMMANDS:
		break;
	}
}

/* --------------------------------------------------------------- commands that are held */

/*
 * Nothing new is said to the peer while what a command has changed is not durable. So such a
 * command waits until what the one before has changed was said: whoever drains and undrains as fast
 * as it can leaves a turn in between for hellos, items and answers.
 */
static bool is_held(enum ipsp_command command)
{
	return command == IPSP_CMD_DRAIN || command == IPSP_CMD_UNDRAIN ||
	       command == IPSP_CMD_TERMINATE || command == IPSP_CMD_TAKEOVER;
}

static void obey_and_look(struct ipsp_node *n, const struct ipsp_event *ev)
{
	const uint64_t side_seq = n->side_seq;

	obey(n, ev);
	if (is_held(ev->command) && n->side_seq != side_seq)
		n->command_unsaid = true;
}

/* The oldest of those that are held, and the next one as long as they change nothing. */
static void obey_held(struct ipsp_node *n)
{
	while (n->n_held > 0 && (!n->command_unsaid || n->stopping)) {
		const struct ipsp_event ev = n->held[0];

		n->n_held--;
		memmove(n->held, n->held + 1, n->n_held * sizeof(n->held[0]));
		obey_and_look(n, &ev);
	}
}

void ipsp_command_do(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (!is_held(ev->command) || n->stopping || (!n->command_unsaid && n->n_held == 0))
		obey_and_look(n, ev);
	else if (n->n_held < IPSP_HELD)
		n->held[n->n_held++] = *ev;
	else
		done(n, ev, IPSP_ERR_OVERLOADED, NULL);
}

/* --------------------------------------------------------------- commands that wait */

static void waiters(struct ipsp_node *n)
{
	for (int i = 0; i < IPSP_WAITERS && n->n_waiters > 0; i++) {
		struct ipsp_waiter *w = &n->waiters[i];
		if (!w->used)
			continue;
		int err = 1;
		if (w->command == IPSP_CMD_TAKEOVER && n->side.primary && !n->licence_pending &&
		    n->side_seq <= n->flushed)
			err = 0;
		if (w->command == IPSP_CMD_CHECK && ipsp_heard(n) && n->compare.known)
			err = n->compare.same && !n->conf_role_conflict ? 0
									: IPSP_ERR_CONFIG_MISMATCH;
		if (w->command == IPSP_CMD_CHECK && ipsp_heard(n) && n->peer.twin)
			err = IPSP_ERR_CONFIG_MISMATCH;
		if (w->command == IPSP_CMD_DISABLE && !ipsp_psp(n)->enabled)
			err = 0;
		if (err > 0 && n->now >= w->deadline && w->command == IPSP_CMD_DISABLE)
			n->asks_to_leave = false;
		if (err > 0 && n->now >= w->deadline)
			err = ipsp_heard(n) ? IPSP_ERR_TIMEOUT : IPSP_ERR_NO_PEER;
		if (err > 0)
			continue;
		w->used = false;
		n->n_waiters--;
		ipsp_out_done(n, w->token, w->id, err,
			      w->command == IPSP_CMD_TAKEOVER && w->force && err == 0
				      ? forced_takeover
				      : NULL);
	}
}

bool ipsp_command_wants_takeover(struct ipsp_node *n)
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

static void say_goodbye(struct ipsp_node *n)
{
	const struct ipsp_sums sums = ipsp_flow_sums(n);

	if (!ipsp_link_open(n) || n->mode != IPSP_MODE_ACTIVE)
		return;
	if (!ipsp_contact(n))
		ipsp_say(n, IPSP_LOG_WARNING,
			 "stopping without a goodbye that the peer could hear: %llu addresses are "
			 "owned here, %u sessions stay; its dead interval decides",
			 (unsigned long long)sums.ours, n->used);
	else
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "stopping: goodbye is said to the peer; %llu addresses are owned here, %u "
			 "sessions stay until its dead interval (%u s) has run out",
			 (unsigned long long)sums.ours, n->used, n->said_peer_dead_ms / 1000);
}

static void stop_when_said(struct ipsp_node *n)
{
	if (!n->stopping || n->stopped || n->side_seq > n->flushed)
		return;
	bool said =
		ipsp_flow_settled(n) && n->stream.n == 0 &&
		(ipsp_flow_sums(n).move_idle == 0 || n->side.anew || !ipsp_flow_peer_takes(n)) &&
		!n->side.primary;
	if (said || n->stop_at_once || !ipsp_contact(n) || ipsp_flow_differs(n)) {
		say_goodbye(n);
		n->stopped = true;
		n->hello_soon = true;
		n->hello_at = n->now;
	}
}

void ipsp_command_turn(struct ipsp_node *n)
{
	obey_held(n);
	waiters(n);
	stop_when_said(n);
}

ipsp_ms ipsp_command_due(const struct ipsp_node *n)
{
	ipsp_ms due = n->n_held > 0 && !n->command_unsaid ? n->now : IPSP_NEVER;

	for (int i = 0; i < IPSP_WAITERS && n->n_waiters > 0; i++)
		if (n->waiters[i].used && n->waiters[i].deadline < due)
			due = n->waiters[i].deadline;
	return due;
}
