#include "daemon/advice.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_MAX 512 /* of all of them none is half as long */

#define LINK_FAILS "this side's own link fails: %s"
#define UNHEARD                                                                                    \
	"the peer is heard, but does not hear this side: what is sent from here does not arrive "  \
	"there"

/* The peer has been heard, and the two ranges have nothing in common. */
static bool no_common_version(const struct ipsp_status *s)
{
	return s->peer_protocol_max > 0 &&
	       (s->peer_protocol_min > IPSP_VERSION || s->peer_protocol_max < IPSP_VERSION_MIN);
}

/* ---------------------------------------------------------------- HAs that are not there */

static void keep_most(struct ipspd_absent *absent, const struct ipsp_ha_view *view)
{
	size_t at = absent->n < IPSPD_ABSENT_NAMES ? absent->n : IPSPD_ABSENT_NAMES;

	for (; at > 0 && absent->most[at - 1].sessions < view->sessions; at--)
		if (at < IPSPD_ABSENT_NAMES)
			absent->most[at] = absent->most[at - 1];
	if (at == IPSPD_ABSENT_NAMES)
		return;
	absent->most[at].name = view->name;
	absent->most[at].sessions = view->sessions;
}

struct ipspd_absent ipspd_absent_of(const struct ipsp_node *node)
{
	struct ipspd_absent absent = {.n = 0};
	struct ipsp_ha_view view;
	uint32_t cursor = 0;

	while (ipsp_node_ha(node, &cursor, &view)) {
		if (view.attached || view.sessions == 0)
			continue;
		keep_most(&absent, &view);
		absent.n++;
		absent.sessions += view.sessions;
	}
	return absent;
}

const char *ipspd_shell_word(const char *name, char *text, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.:/@%+,-";
	size_t n = 0;

	if (*name && name[0] != '-' && !name[strspn(name, plain)]) {
		snprintf(text, size, "%s", name);
		return text;
	}
	n = (size_t)snprintf(text, size, "'");
	for (; *name && n + 6 < size; name++)
		n += (size_t)snprintf(text + n, size - n, *name == '\'' ? "'\\''" : "%c", *name);
	snprintf(text + n, size - n, "'");
	return text;
}

/* ---------------------------------------------------------------- ok to stop */

struct reasons {
	ipspd_reason_fn *fn; /* may be NULL */
	void *arg;
	const char *name;  /* of the context */
	const char *first; /* what has to be before anything moves to the peer, and before a drain
			      is accepted; "": nothing */
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
			 strncmp(command, "drain", 5) == 0 ? r->first : "", r->name, command);
	r->fn(r->arg, what, then);
}

/* Nothing is shared, or moves: the files or the versions do not fit. */
static bool differ(const struct ipsp_status *s)
{
	return s->role_conflict ||
	       (s->peer_state == IPSP_PEER_UP && s->mismatch != IPSP_MISMATCH_NONE);
}

static const char *what_comes_first(const struct ipsp_status *s)
{
	if (s->link_error)
		return "once this side's link works: ";
	if (s->unheard)
		return "once the peer hears this side: ";
	if (s->peer_state != IPSP_PEER_UP)
		return "once the peer is up: ";
	if (differ(s))
		return "once the two sides fit: ";
	return s->peer_takes ? "" : "once the peer takes over again: ";
}

/* It moves by itself, as soon as it can: NULL where it does not, and a drain has to be begun. */
static const char *moves(const struct reasons *r, const struct ipsp_status *s, const char *what,
			 char text[SENTENCE_MAX])
{
	if (!s->draining && s->state != IPSP_ST_TERMINATED)
		return NULL;
	snprintf(text, SENTENCE_MAX, "%s%s%s", *r->first ? r->first : "wait: ",
		 s->draining ? "the drain moves " : "the termination moves ", what);
	return text;
}

/* Something is here that the peer has to take over, or to know. */
static bool is_missed(const struct ipsp_status *s)
{
	return s->used > 0 || s->unused > 0 || s->in_transit > 0 || s->role == IPSP_ROLE_PRIMARY ||
	       !s->peer_knows || s->all_free_due;
}

static void mismatch_reason(struct reasons *r, const struct ipsp_status *s)
{
	const bool primary = s->configured_role == IPSP_ROLE_PRIMARY;
	char remedy[SENTENCE_MAX];

	if (s->role_conflict) {
		snprintf(remedy, sizeof(remedy),
			 "in one side's file name its peer by \"%s\", and reload there; \"ipspctl "
			 "-c %s check-config\" shows what differs",
			 primary ? "primary" : "secondary", r->name);
		reason(r, remedy, NULL, "both sides are configured as %s: nothing is shared",
		       ipsp_role_word(s->configured_role));
	} else if (s->mismatch == IPSP_MISMATCH_VERSIONS) {
		snprintf(remedy, sizeof(remedy), "upgrade ipspd on %s host",
			 s->peer_protocol_min > IPSP_VERSION ? "this" : "the peer's");
		reason(r, remedy, NULL,
		       "no version of the protocol is common with the peer: nothing moves to it");
	} else if (s->mismatch == IPSP_MISMATCH_BOOKS) {
		reason(r,
		       "stop ipspd on the host to which it was copied, move its state directory "
		       "away, and start it again",
		       NULL,
		       "one state directory is a copy of the other: nothing moves to the peer");
	} else {
		snprintf(remedy, sizeof(remedy),
			 "\"ipspctl -c %s check-config\" shows what differs; mend the file of one "
			 "side, and restart ipspd there",
			 r->name);
		reason(r, remedy, NULL,
		       "the pools of the two sides differ: nothing moves to the peer");
	}
}

/* What keeps this side from all the rest: so it comes first. */
static void first_reason(struct reasons *r, const struct ipsp_status *s)
{
	if (s->link_error)
		reason(r, "mend that on this host; \"show ip ipsp\" says when the link works", NULL,
		       LINK_FAILS, s->link_error);
	else if (s->unheard)
		reason(r, "mend the link from here to there, and look at firewalls on the way",
		       NULL, UNHEARD);
	if (differ(s) && (s->role_conflict || is_missed(s)))
		mismatch_reason(r, s);
}

static void peer_is_not_up(struct reasons *r, const struct ipsp_status *s)
{
	static const char *const words[IPSP_PEER_STATES] = {
		[IPSP_PEER_UNKNOWN] = "the peer is not up: it was not heard yet",
		[IPSP_PEER_LOST] = "the peer is not up: it is lost",
		[IPSP_PEER_DOWN] = "the peer is not up: it is down",
		[IPSP_PEER_STOPPED] = "the peer is not up: it has stopped",
	};

	reason(r,
	       s->state == IPSP_ST_TERMINATED
		       ? "start ipspd on the peer's host, and see that the link is up; where it is "
			 "gone for good, \"takeover --force\" serves here again"
		       : "start ipspd on the peer's host, and see that the link is up",
	       NULL, "%s", words[s->peer_state]);
}

static void peer_reasons(struct reasons *r, const struct ipsp_status *s)
{
	if (s->link_error || s->unheard)
		return; /* said: it is no use to look at the peer's host */
	if (s->peer_state != IPSP_PEER_UP)
		peer_is_not_up(r, s);
	else if (s->key_match == IPSP_KEY_DIFFERS)
		reason(r,
		       "put the same secret first into the key-file of both sides, then \"ipspctl "
		       "reload\" on both",
		       NULL, "the peer has another key: after a restart the two would not meet");
	else if (!differ(s) && (s->state == IPSP_ST_RECONCILING || s->waiting == IPSP_WAIT_HEALING))
		reason(r, "wait: it ends by itself", NULL,
		       "the two sides are still putting their books in order");
	else if (!s->peer_takes)
		reason(r, "on the peer's host: ipspctl undrain, or pool-share-protocol mode active",
		       NULL, "the peer is drained or terminated: it takes over nothing");
}

/* The peer has to say that it has it. */
static const char *acknowledged(const struct reasons *r, const struct ipsp_status *s,
				char text[SENTENCE_MAX])
{
	if (s->stalled)
		return "it has acknowledged nothing for some time: the notes of \"show ip ipsp\" "
		       "say what to look at";
	snprintf(text, SENTENCE_MAX, "%sthe peer has to acknowledge them",
		 *r->first ? r->first : "wait: ");
	return text;
}

/* What the peer can't give as long as it is here. */
static void book_reasons(struct reasons *r, const struct ipsp_status *s)
{
	const bool reached = s->peer_state == IPSP_PEER_UP && !s->link_error && !s->unheard;
	char text[SENTENCE_MAX];

	if (s->duplicates_open > 0)
		reason(r, NULL, "show duplicates",
		       "%u duplicate%s still open: both sides have a session with the address",
		       s->duplicates_open, s->duplicates_open == 1 ? " is" : "s are");
	if (s->unused > 0)
		reason(r, moves(r, s, "them", text), "drain --wait",
		       "this side still owns %u unused address%s", s->unused,
		       s->unused == 1 ? "" : "es");
	if (s->in_transit > 0)
		reason(r, acknowledged(r, s, text), NULL, "%u address%s on the way to the peer",
		       s->in_transit, s->in_transit == 1 ? " is" : "es are");
	else if (reached && !differ(s) && s->unused == 0 &&
		 (!s->peer_knows || s->all_free_due)) /* (what is due is the trap) */
		reason(r, s->stalled ? acknowledged(r, s, text) : "wait: it ends by itself", NULL,
		       "the peer has not acknowledged everything yet");
	if (s->role == IPSP_ROLE_PRIMARY && s->unused == 0 && s->used == 0)
		reason(r, moves(r, s, "the role", text), "drain --wait",
		       "this side is still the primary");
}

static void session_reason(struct reasons *r, const struct ipsp_status *s, bool shares)
{
	const bool new_secondary = s->configured_role == IPSP_ROLE_SECONDARY && !s->shared;
	char text[SENTENCE_MAX];
	const char *remedy = NULL;

	if (s->used == 0)
		return;
	if (!shares) {
		remedy = "wait until they have ended: no peer takes over in this context";
	} else if (s->mode != IPSP_MODE_ACTIVE && new_secondary) {
		remedy = "wait until they have ended; \"release ADDRESS\" ends one";
	} else if (s->mode != IPSP_MODE_ACTIVE) { /* where a drain is refused */
		snprintf(text, sizeof(text),
			 "ipspctl -c %s pool-share-protocol mode active; then ipspctl -c %s drain "
			 "--wait",
			 r->name, r->name);
		remedy = text;
	} else if (s->draining || s->state == IPSP_ST_TERMINATED) {
		remedy = "wait until they have ended or moved; ipspctl release ADDRESS ends one";
	}
	reason(r, remedy, "drain --wait", "%u session%s still here", s->used,
	       s->used == 1 ? " is" : "s are");
}

/* Whose sessions nobody ends: each HA with the way out. */
static void absent_reasons(struct reasons *r, const struct ipsp_status *s,
			   const struct ipspd_absent *absent)
{
	char word[4 * IPSP_NAME_MAX + 8], remedy[SENTENCE_MAX];

	if (s->used == 0 || !absent)
		return;
	for (size_t i = 0; i < absent->n && i < IPSPD_ABSENT_NAMES; i++) {
		const uint32_t n = absent->most[i].sessions;
		/* (a name that begins like an option is one only behind a "=") */
		snprintf(remedy, sizeof(remedy),
			 "start it; where it is gone for good: ipspctl -c %s release --ha=%s "
			 "--force",
			 r->name, ipspd_shell_word(absent->most[i].name, word, sizeof(word)));
		reason(r, remedy, NULL,
		       "the HA \"%s\" is not attached, and %u session%s here %s its",
		       absent->most[i].name, n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
	}
	if (absent->n > IPSPD_ABSENT_NAMES)
		reason(r, "\"show sessions\" has the name of each", NULL,
		       "%u more HAs that are not attached have sessions here",
		       absent->n - IPSPD_ABSENT_NAMES);
}

size_t ipspd_stop_reasons(const char *name, const struct ipsp_status *s,
			  const struct ipspd_absent *absent, ipspd_reason_fn *fn, void *arg)
{
	struct reasons r = {fn, arg, name, "", 0};
	const bool shares = s->conf->psp.enabled && s->role != IPSP_ROLE_NONE;
	const bool active = shares && s->mode == IPSP_MODE_ACTIVE;

	if (active) {
		r.first = what_comes_first(s);
		first_reason(&r, s);
	}
	session_reason(&r, s, shares);
	absent_reasons(&r, s, absent);
	if (active) {
		book_reasons(&r, s);
		peer_reasons(&r, s);
	} else if (shares && s->unused > 0) {
		reason(&r, NULL, "pool-share-protocol mode active",
		       "nothing moves to the peer in the mode %s, and this side owns %u addresses",
		       ipsp_mode_word(s->mode), s->unused);
	}
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

/* Which of two primaries gives new addresses. */
static const char *who_gives(const struct ipsp_status *s)
{
	if (s->serving)
		return "this side gives new addresses, the peer refuses them";
	if (!s->yields && s->draining)
		return "nobody gives new addresses: this side is drained, the peer refuses them; "
		       "the way out is \"undrain\"";
	if (!s->yields)
		return "the peer refuses new addresses (config-mismatch)";
	if (s->peer_state != IPSP_PEER_UP)
		return "this side refuses new addresses (config-mismatch) until the peer, which "
		       "gives them, was silent for one dead interval";
	if (s->peer_drains)
		return "nobody gives new addresses: this side refuses them (config-mismatch), the "
		       "peer is drained; the way out is \"undrain\" there";
	return "this side refuses new addresses (config-mismatch), the peer gives them";
}

static void note_one_role(const struct notes *n, const struct ipsp_status *s)
{
	const bool primary = s->configured_role == IPSP_ROLE_PRIMARY;

	note(n,
	     "both sides are configured as %s: nothing is shared, and %s; in one side's file name "
	     "its peer by \"%s\", and reload there",
	     ipsp_role_word(s->configured_role),
	     primary ? who_gives(s) : "neither side gives addresses",
	     primary ? "primary" : "secondary");
	if (primary && s->used > 0 && s->peer_used > 0)
		note(n,
		     "both sides have sessions, %u here and %u at the peer: one address may be "
		     "used on both, or be given to a second session, and neither side can tell "
		     "which; compare \"show sessions\" of both, and end one session of each "
		     "such address, or all of the side that refuses",
		     s->used, s->peer_used);
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
	} else if (s->mismatch == IPSP_MISMATCH_BOOKS) {
		note(n,
		     "one state directory is a copy of the other: nothing is shared, and neither "
		     "side gives new addresses; stop ipspd on the host to which it was copied, "
		     "move its state directory away, and start it again");
	} else if (s->role_conflict) {
		note_one_role(n, s);
	} else if (s->state == IPSP_ST_CONFIG_MISMATCH && s->shared) {
		note(n, "the pools of the two sides differ: a session still gets the address that "
			"it asks for by number from the peer, and nothing else moves; see "
			"\"check-config\" and \"show log\"");
	} else if (s->state == IPSP_ST_CONFIG_MISMATCH) {
		note(n, "nothing is shared: the pools of the two sides differ; see "
			"\"check-config\" and \"show log\"");
	}
}

/* What the own link does to it: no command of an operator mends that. */
static void note_link(const struct notes *n, const struct ipsp_status *s)
{
	if (s->unheard) {
		note(n, UNHEARD "; mend the link, and look at firewalls on the way");
		return;
	}
	note(n, LINK_FAILS "; %s", s->link_error,
	     s->hears ? "the peer is heard all the same, so what is sent from here is what fails"
		      : "the peer was not heard since");
	if (s->dead_in_ms != IPSP_NEVER && s->may_take_over)
		note(n, "the dead interval runs on: this side takes over then, though the peer may "
			"be alive (takeover-when-deaf = false forbids that)");
	else if (s->shared && s->may_take_over && !s->conf->psp.takeover_when_deaf)
		note(n, "the dead interval stands still until then (takeover-when-deaf = false)");
	else if (!s->shared && s->role == IPSP_ROLE_PRIMARY && !s->serving && !s->hears)
		note(n, "an empty primary serves when it has listened whether its peer knows of a "
			"sharing; where there is no peer, the way out is \"takeover --force\"");
}

static void note_key(const struct notes *n, const struct ipsp_status *s)
{
	if (s->key_match == IPSP_KEY_FOREIGN)
		note(n,
		     "no handshake with this side's key is answered, and some with another key "
		     "come "
		     "from the peer's address: if the peer's ipspd sends these, put the same "
		     "secret "
		     "first into the key-file of both sides, then \"reload\" on both, as after the "
		     "dead interval both may use the same addresses");
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

static void note_terminated(const struct notes *n, const struct ipsp_status *s)
{
	if (s->peer_state == IPSP_PEER_UP && s->peer_takes)
		note(n, "terminated: the peer serves; the way back is a restart, or "
			"\"pool-share-protocol mode active\"");
	else if (s->peer_state == IPSP_PEER_UP)
		note(n, "terminated, and the peer is out of service too: nobody serves; the way "
			"out is \"pool-share-protocol mode active\", or \"undrain\" on the peer's "
			"host");
	else
		note(n, "terminated, and the peer is away: nobody serves; bring the peer back, or "
			"where it is gone for good: \"takeover --force\"");
}

/* A primary that must not give what a session of its peer may have. */
static void note_held(const struct notes *n, const struct ipsp_status *s)
{
	if (!s->held || s->role != IPSP_ROLE_PRIMARY || s->state == IPSP_ST_PEER_DOWN)
		return;
	if (s->peer_state != IPSP_PEER_UP)
		note(n, "gives no new addresses until the peer, whose sessions are not known here, "
			"was silent for one dead interval; where it is gone for good, the way out "
			"is \"takeover --force\"");
	else if (s->mismatch != IPSP_MISMATCH_NONE)
		note(n, "gives no new addresses until the two sides fit: the peer has shared "
			"addresses, or has sessions, that are not known here");
	else
		note(n,
		     "gives no new addresses yet: the peer has %u session%s, and has to say which "
		     "addresses they have; it ends by itself",
		     s->peer_used, s->peer_used == 1 ? "" : "s");
}

/* Requests without an address may end with "locked" meanwhile, though this side serves. */
static void note_given_anew(const struct notes *n, const struct ipsp_status *s)
{
	if (s->given_anew && s->anew_ms != IPSP_NEVER)
		note(n,
		     "this side had lost its state: for %llu s more it gives its own addresses "
		     "only to "
		     "sessions that ask for the address that they had; new ones are refused with "
		     "\"locked\" unless the peer has an address for them. It ends sooner when the "
		     "HAs "
		     "have attached and asked",
		     (unsigned long long)(s->anew_ms + 999) / 1000);
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
	if (!s->conf->psp.enabled && !s->serving && !s->disk_full)
		note(n,
		     "IPSP is disabled here, and the peer had all addresses: new sessions are "
		     "refused (disabled). The way back is the file and \"reload\"; where the peer "
		     "gives no addresses any more: \"no pool-share-protocol --force\"");
	if (s->state == IPSP_ST_TERMINATED)
		note_terminated(n, s);
	note_held(n, s);
	note_given_anew(n, s);
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
		     "duplicates\"",
		     s->duplicates_open, s->duplicates_open == 1 ? " is" : "s are");
	if (s->stands_at > 0)
		note(n, "what the peer says is of a later version: upgrade ipspd on this host; see "
			"\"show log\"");
}

/* Said once, and only while it is true. */
static void note_drain(const struct notes *n, const char *name, const struct ipsp_status *s,
		       const struct ipspd_absent *absent)
{
	const bool moves_away = s->draining || s->all_free || s->state == IPSP_ST_TERMINATED;
	char left[SENTENCE_MAX];

	if (moves_away && ipspd_stop_reasons(name, s, absent, NULL, NULL) == 0)
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
	if (s->draining && s->used > 0 && absent && absent->n > 0)
		note(n,
		     "%llu session%s here belong%s to %u HA%s not attached, and end%s only when "
		     "%s; \"ok-to-stop\" says which, and what to type where %s gone for good",
		     (unsigned long long)absent->sessions, absent->sessions == 1 ? "" : "s",
		     absent->sessions == 1 ? "s" : "", absent->n,
		     absent->n == 1 ? " that is" : "s that are", absent->sessions == 1 ? "s" : "",
		     absent->n == 1 ? "it comes" : "they come",
		     absent->n == 1 ? "it is" : "they are");
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

void ipspd_notes(const char *name, const struct ipsp_status *s, const struct ipspd_absent *absent,
		 ipspd_note_fn *fn, void *arg)
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
	note_drain(&n, name, s, absent);
	note_roles(&n, s);
}
