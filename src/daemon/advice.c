#include "daemon/advice.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_MAX 512 /* of all of them none is half as long */

/* ---------------------------------------------------------------- ok to stop */

struct reasons {
	ipspd_reason_fn *fn; /* may be NULL */
	void *arg;
	const char *name; /* of the context */
	bool first;	  /* of all, the peer is needed: a drain is refused until then */
	size_t n;
};

/* @remedy: a sentence, or NULL where @command is what to type. */
__attribute__((format(printf, 4, 5))) static void
reason(struct reasons *r, const char *remedy, const char *command, const char *format, ...)
{
	char what[SENTENCE_MAX], then[SENTENCE_MAX];
	va_list args;

	r->n++;
	if (!r->fn)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (remedy)
		snprintf(then, sizeof(then), "%s", remedy);
	else
		snprintf(then, sizeof(then), "%sipspctl -c %s %s",
			 r->first ? "once the peer is up: " : "", r->name, command);
	r->fn(r->arg, what, then);
}

static void peer_reasons(struct reasons *r, const struct ipsp_status *s)
{
	static const char *const words[IPSP_PEER_STATES] = {
		[IPSP_PEER_UNKNOWN] = "the peer is not up: it was not heard yet",
		[IPSP_PEER_LOST] = "the peer is not up: it is lost",
		[IPSP_PEER_DOWN] = "the peer is not up: it is down",
		[IPSP_PEER_STOPPED] = "the peer is not up: it has stopped",
	};

	if (s->peer_state != IPSP_PEER_UP)
		reason(r, "start ipspd on the peer's host, and see that the link is up", NULL, "%s",
		       words[s->peer_state]);
	else if (s->key_match == IPSP_KEY_DIFFERS)
		reason(r,
		       "put the same secret first into the key-file of both sides, then \"ipspctl "
		       "reload\" on both",
		       NULL, "the peer has another key: after a restart the two would not meet");
	else if (s->state == IPSP_ST_RECONCILING || s->waiting == IPSP_WAIT_HEALING)
		reason(r, "wait: it ends by itself", NULL,
		       "the two sides are still putting their books in order");
	else if (!s->peer_takes)
		reason(r, "on the peer's host: ipspctl undrain, or pool-share-protocol mode active",
		       NULL, "the peer is drained or terminated: it takes over nothing");
}

/* What the peer can't give as long as it is here. */
static void book_reasons(struct reasons *r, const struct ipsp_status *s)
{
	const char *moves = s->draining && s->peer_state == IPSP_PEER_UP && s->peer_takes
				    ? "wait: the drain moves them"
				    : NULL;

	if (s->duplicates_open > 0)
		reason(r, NULL, "show sessions --state duplicate",
		       "%u duplicate%s still open: both sides have a session with the address",
		       s->duplicates_open, s->duplicates_open == 1 ? " is" : "s are");
	if (s->unused > 0)
		reason(r, moves, "drain --wait", "this side still owns %u unused address%s",
		       s->unused, s->unused == 1 ? "" : "es");
	if (s->in_transit > 0)
		reason(r, "wait: the peer has to acknowledge them", NULL,
		       "%u address%s on the way to the peer", s->in_transit,
		       s->in_transit == 1 ? " is" : "es are");
	else if (s->peer_state == IPSP_PEER_UP && s->unused == 0 &&
		 (!s->peer_knows || s->all_free_due)) /* (what is due is the trap) */
		reason(r, "wait: it ends by itself", NULL,
		       "the peer has not acknowledged everything yet");
	if (s->role == IPSP_ROLE_PRIMARY && s->unused == 0 && s->used == 0)
		reason(r, s->draining ? "wait: the drain moves the role" : NULL, "drain --wait",
		       "this side is still the primary");
}

static void session_reason(struct reasons *r, const struct ipsp_status *s, bool shares)
{
	const char *remedy = NULL;

	if (s->used == 0)
		return;
	if (!shares)
		remedy = "wait until they have ended: no peer takes over in this context";
	else if (s->draining)
		remedy = "wait until they have ended or moved; ipspctl release ADDRESS ends one";
	reason(r, remedy, "drain --wait", "%u session%s still here", s->used,
	       s->used == 1 ? " is" : "s are");
}

size_t ipspd_stop_reasons(const char *name, const struct ipsp_status *s, ipspd_reason_fn *fn,
			  void *arg)
{
	struct reasons r = {fn, arg, name, false, 0};
	const bool shares = s->conf->psp.enabled && s->role != IPSP_ROLE_NONE;

	r.first = shares && s->mode == IPSP_MODE_ACTIVE && s->peer_state != IPSP_PEER_UP;

	session_reason(&r, s, shares);
	if (!shares)
		return r.n;
	if (s->mode != IPSP_MODE_ACTIVE) {
		if (s->unused > 0)
			reason(&r, NULL, "pool-share-protocol mode active",
			       "nothing moves to the peer in the mode %s, and this side owns %u "
			       "addresses",
			       ipsp_mode_word(s->mode), s->unused);
		return r.n;
	}
	book_reasons(&r, s);
	peer_reasons(&r, s);
	return r.n;
}

bool ipspd_static_left(const struct ipsp_status *s, char *text, size_t size)
{
	snprintf(text, size,
		 "%u session%s on static pools end%s with this host: IPSP does not move %s",
		 s->static_used, s->static_used == 1 ? "" : "s", s->static_used == 1 ? "s" : "",
		 s->static_used == 1 ? "it" : "them");
	return s->static_used > 0;
}

/* ---------------------------------------------------------------- notes */

struct notes {
	ipspd_note_fn *fn;
	void *arg;
};

__attribute__((format(printf, 2, 3))) static void note(const struct notes *notes,
						       const char *format, ...)
{
	char text[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	notes->fn(notes->arg, text);
}

static bool peer_is_gone(const struct ipsp_status *s)
{
	return s->peer_state == IPSP_PEER_LOST || s->peer_state == IPSP_PEER_DOWN ||
	       s->peer_state == IPSP_PEER_STOPPED;
}

/* The peer has been heard, and the two ranges have nothing in common. */
static bool no_common_version(const struct ipsp_status *s)
{
	return s->peer_protocol_max > 0 &&
	       (s->peer_protocol_min > IPSP_VERSION || s->peer_protocol_max < IPSP_VERSION_MIN);
}

static void note_one_role(const struct notes *n, const struct ipsp_status *s)
{
	const bool primary = s->configured_role == IPSP_ROLE_PRIMARY;

	note(n,
	     "both sides are configured as %s: nothing is shared, and %s; in one side's file name "
	     "its peer by \"%s\", and reload there",
	     ipsp_role_word(s->configured_role),
	     !primary ? "neither side gives addresses"
	     : s->serving
		     ? "this side gives new addresses, the peer refuses them"
		     : "this side refuses new addresses (config-mismatch), the peer gives them",
	     primary ? "primary" : "secondary");
}

/* Nothing is shared. */
static void note_mismatch(const struct notes *n, const struct ipsp_status *s)
{
	if (no_common_version(s)) {
		note(n,
		     "nothing is shared: no version of the protocol is common, this side speaks "
		     "%d to %d, the peer %d to %d: upgrade ipspd on %s host",
		     IPSP_VERSION_MIN, IPSP_VERSION, s->peer_protocol_min, s->peer_protocol_max,
		     s->peer_protocol_min > IPSP_VERSION ? "this" : "the peer's");
		if (!s->serving && s->may_take_over)
			note(n,
			     "does not serve until then; where that takes too long: stop ipspd on "
			     "the peer's host, and this side takes over after the dead interval, "
			     "or by \"takeover --force\" once the peer is lost");
	} else if (s->role_conflict) {
		note_one_role(n, s);
	} else if (s->state == IPSP_ST_CONFIG_MISMATCH) {
		note(n, "nothing is shared: the pools of the two sides differ; see "
			"\"check-config\" and \"show log\"");
	}
}

/* What the own link does to it: no command of an operator mends that. */
static void note_link(const struct notes *n, const struct ipsp_status *s)
{
	if (s->unheard) {
		note(n, "the peer is heard, but does not hear this side: what is sent from here "
			"does not arrive there; mend the link, and look at firewalls on the way");
		return;
	}
	note(n, "this side's own link fails: %s; it hears nobody until that is mended",
	     s->link_error);
	if (s->dead_in_ms != IPSP_NEVER && s->may_take_over)
		note(n, "the dead interval runs on: this side takes over then, though the peer may "
			"be alive (takeover-when-deaf = false forbids that)");
	else if (s->shared && s->may_take_over && !s->conf->psp.takeover_when_deaf)
		note(n, "the dead interval stands still until then (takeover-when-deaf = false)");
	else if (!s->shared && s->role == IPSP_ROLE_PRIMARY && !s->serving)
		note(n, "an empty primary serves when it has listened whether its peer knows of a "
			"sharing; where there is no peer, the way out is \"takeover --force\"");
}

static void note_key(const struct notes *n, const struct ipsp_status *s)
{
	if (s->key_match != IPSP_KEY_DIFFERS)
		return;
	note(n,
	     "the peer has another key, as it does not answer a handshake with this side's: put "
	     "the "
	     "same secret first into the key-file of both sides, then \"reload\" on both; %s",
	     s->peer_state == IPSP_PEER_UP
		     ? "restart neither ipspd before that, as the two would not meet any more"
		     : "after the dead interval both may use the same addresses");
}

/* Why it does not serve, or will not, and the way out. */
static void note_service(const struct notes *n, const struct ipsp_status *s)
{
	if (s->still_used)
		note(n,
		     "still-used: a new secondary must have no sessions, and %u %s here: IPSP is "
		     "disabled, and is enabled by itself when the last has ended; see \"show "
		     "sessions\"",
		     s->used, s->used == 1 ? "is" : "are");
	if (s->serving && s->shared && s->free == 0 && s->peer_state != IPSP_PEER_UP &&
	    s->state != IPSP_ST_PEER_DOWN)
		note(n,
		     "new sessions are refused (no-primary): this side has no free address of "
		     "its own, and no peer to ask; start ipspd there, or, where the peer is gone "
		     "for good, say \"takeover --force\"");
	if (s->state == IPSP_ST_TERMINATED)
		note(n, "terminated: the peer serves; the way back is a restart, or "
			"\"pool-share-protocol mode active\"");
	if (s->deaf || s->unheard)
		note_link(n, s);
	else if (s->state == IPSP_ST_CONNECTING && s->peer_state == IPSP_PEER_UNKNOWN)
		note(n, "the peer is not heard: does ipspd run there, on the same port, and with "
			"the same key? See \"show log\"");
	if (s->s6_holds && peer_is_gone(s))
		note(n, "does not take over by itself: no session was given an address here since "
			"this side is secondary; where the peer is gone for good, the way out is "
			"\"takeover --force\"");
}

/* A stop in order: what follows. */
static void note_stopped(const struct notes *n, const struct ipsp_status *s)
{
	if (s->peer_state != IPSP_PEER_STOPPED)
		return;
	note(n, "the peer has stopped in order, with %u session%s left%s", s->peer_used,
	     s->peer_used == 1 ? "" : "s",
	     s->peer_used > 0 && s->may_take_over
		     ? "; their addresses are used here when the dead interval has run out"
		     : "");
}

static void note_books(const struct notes *n, const struct ipsp_status *s)
{
	if (s->stalled)
		note(n,
		     "the peer is heard, but has acknowledged nothing for %llu s, items %llu to "
		     "%llu: "
		     "is its disk slow or full? See its \"show log\". If not: are datagrams of %u "
		     "bytes dropped on the way (MTU, fragments)?",
		     (unsigned long long)(s->unacked_ms / 1000), (unsigned long long)s->acked + 1,
		     (unsigned long long)s->sent, s->stalled_bytes);
	if (s->unanswered > 0)
		note(n,
		     "the peer is heard, but had no word for the last %u request%s: is it "
		     "overloaded? "
		     "See its \"show log\". If not: are datagrams of %u bytes dropped on the way "
		     "(MTU, "
		     "fragments)?",
		     s->unanswered, s->unanswered == 1 ? "" : "s", s->unanswered_bytes);
	if (s->duplicates_open > 0)
		note(n,
		     "%u duplicate%s open: both sides have a session with the address; see \"show "
		     "sessions --state duplicate\"",
		     s->duplicates_open, s->duplicates_open == 1 ? " is" : "s are");
	if (s->stands_at > 0)
		note(n, "what the peer says is of a later version: upgrade ipspd on this host; see "
			"\"show log\"");
}

/* Said once, and only while it is true. */
static void note_drain(const struct notes *n, const char *name, const struct ipsp_status *s)
{
	const bool moves_away = s->draining || s->all_free || s->state == IPSP_ST_TERMINATED;
	char left[SENTENCE_MAX];

	if (moves_away && ipspd_stop_reasons(name, s, NULL, NULL) == 0)
		note(n,
		     "it is safe to stop: no session %sis left here, and the peer has taken over "
		     "every address%s",
		     s->static_used > 0 ? "on a dynamic pool " : "",
		     s->draining ? "; where this side stays up, \"undrain\" makes it a standby "
				   "that serves"
				 : "");
	else if (s->draining && s->used > 0)
		note(n, "draining: no new addresses to local sessions, %u session%s left", s->used,
		     s->used == 1 ? " is" : "s are");
	else if (s->draining)
		note(n, "draining: no new addresses to local sessions; \"ok-to-stop\" says what is "
			"missing");
	if (moves_away && ipspd_static_left(s, left, sizeof(left)))
		note(n, "%s", left);
}

static void note_roles(const struct notes *n, const struct ipsp_status *s)
{
	if (s->role_on_loan)
		note(n, "the role is on loan: it goes back when the peer returns");
	else if (s->role != IPSP_ROLE_NONE && s->configured_role != IPSP_ROLE_NONE &&
		 s->role != s->configured_role)
		note(n,
		     "the configured role is %s, the actual one %s: this is normal during an "
		     "upgrade; \"takeover\" on the side that is to be primary exchanges them",
		     ipsp_role_word(s->configured_role), ipsp_role_word(s->role));
}

void ipspd_notes(const char *name, const struct ipsp_status *s, ipspd_note_fn *fn, void *arg)
{
	const struct notes n = {fn, arg};

	note_key(&n, s);
	if (s->disk_full)
		note(&n, "the disk with the state directory is full: sessions and releases go on, "
			 "new addresses are given again some seconds after there is room");
	note_mismatch(&n, s);
	note_service(&n, s);
	note_stopped(&n, s);
	note_books(&n, s);
	note_drain(&n, name, s);
	note_roles(&n, s);
}
