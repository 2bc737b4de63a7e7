/* The notes of show ip ipsp, and what stands against stopping a host. */
#include "daemon/advice.h"
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ipsp_context_conf conf;
static const struct ipspd_absent *who_is_absent; /* while a test says so */

/* A pair in order: this side is the primary and has sessions and free addresses. */
static struct ipsp_status shared(void)
{
	ipsp_conf_init(&conf, "isp1");
	conf.psp.enabled = true;
	return (struct ipsp_status){.conf = &conf,
				    .mode = IPSP_MODE_ACTIVE,
				    .configured_role = IPSP_ROLE_PRIMARY,
				    .role = IPSP_ROLE_PRIMARY,
				    .peer_role = IPSP_ROLE_SECONDARY,
				    .state = IPSP_ST_ACTIVE,
				    .peer_state = IPSP_PEER_UP,
				    .serving = true,
				    .may_take_over = true,
				    .used = 412,
				    .unused = 4094,
				    .peer_takes = true,
				    .peer_knows = true};
}

/* After its drain: the peer has everything. */
static struct ipsp_status drained(void)
{
	struct ipsp_status s = shared();

	s.role = IPSP_ROLE_SECONDARY;
	s.peer_role = IPSP_ROLE_PRIMARY;
	s.draining = true;
	s.serving = false;
	s.used = s.unused = 0;
	return s;
}

struct text {
	char all[4096]; /* a line for each */
	size_t n;
};

static void take_note(void *arg, const char *sentence)
{
	struct text *text = arg;

	text->n += (size_t)snprintf(text->all + text->n, sizeof(text->all) - text->n, "%s\n",
				    sentence);
}

static void take_reason(void *arg, const char *reason, const char *remedy)
{
	struct text *text = arg;

	assert_true(*reason && *remedy);
	text->n += (size_t)snprintf(text->all + text->n, sizeof(text->all) - text->n, "%s: %s\n",
				    reason, remedy);
}

static struct text notes_on(const struct ipsp_status *s)
{
	struct text text = {.n = 0};

	ipspd_notes("isp1", s, who_is_absent, take_note, &text);
	return text;
}

static struct text reasons_of(const struct ipsp_status *s)
{
	struct text text = {.n = 0};
	size_t lines = 0, n = ipspd_stop_reasons("isp1", s, who_is_absent, take_reason, &text);

	for (const char *c = text.all; *c; c++)
		lines += *c == '\n';
	assert_int_equal(n, lines);
	assert_int_equal(n, ipspd_stop_reasons("isp1", s, who_is_absent, NULL, NULL));
	return text;
}

static void assert_has(const struct text *text, const char *words)
{
	if (!strstr(text->all, words))
		fail_msg("\"%s\" is not in:\n%s", words, text->all);
}

static void assert_lacks(const struct text *text, const char *words)
{
	if (strstr(text->all, words))
		fail_msg("\"%s\" is in:\n%s", words, text->all);
}

static size_t count(const struct text *text, const char *words)
{
	size_t n = 0;

	for (const char *at = text->all; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

/* ---------------------------------------------------------------- ok to stop */

static void a_drained_side_may_be_stopped(void **state)
{
	struct ipsp_status s = drained();

	(void)state;
	assert_string_equal(reasons_of(&s).all, "");
	s.draining = false; /* the drain ended, or the last session went by itself */
	assert_string_equal(reasons_of(&s).all, "");
}

static void each_reason_has_its_remedy(void **state)
{
	struct ipsp_status s = shared();
	struct text text = reasons_of(&s);

	(void)state;
	assert_has(&text, "412 sessions are still here: ipspctl -c isp1 drain --wait\n");
	assert_has(&text, "still owns 4094 unused addresses: ipspctl -c isp1 drain --wait\n");
	s.draining = true;
	text = reasons_of(&s);
	assert_lacks(&text, "ipspctl -c isp1 drain");
	assert_has(&text, "ipspctl release ADDRESS");
	s.used = s.unused = 1;
	text = reasons_of(&s);
	assert_has(&text, "1 session is still here");
	assert_has(&text, "1 unused address:");
}

/* A primary that never had a session owns all of it: the peer could give nothing. */
static void unused_addresses_are_a_reason(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.used = 0;
	s.draining = s.drained = true;
	text = reasons_of(&s);
	assert_has(&text, "4094 unused addresses: wait: the drain moves them");
}

static void single_reasons(void **state)
{
	struct ipsp_status s;
	struct text text;

	(void)state;
	for (int p = 0; p < IPSP_PEER_STATES; p++) {
		s = drained();
		s.peer_state = (enum ipsp_peer_state)p;
		text = reasons_of(&s);
		if (p == IPSP_PEER_UP)
			assert_string_equal(text.all, "");
		else
			assert_has(&text, "the peer is not up");
	}
	s = shared(); /* where a drain is refused it is no remedy */
	s.peer_state = IPSP_PEER_LOST;
	text = reasons_of(&s);
	assert_int_equal(count(&text, "once the peer is up: ipspctl -c isp1 drain --wait"), 2);
	s = drained();
	s.in_transit = 3;
	text = reasons_of(&s);
	assert_has(&text, "3 addresses are on the way to the peer");
	s = drained();
	s.peer_knows = false;
	text = reasons_of(&s);
	assert_has(&text, "not acknowledged everything");
	s = drained();
	s.all_free_due = true; /* the trap says that this side may go down: it comes first */
	text = reasons_of(&s);
	assert_has(&text, "not acknowledged everything");
	s = drained();
	s.peer_takes = false;
	text = reasons_of(&s);
	assert_has(&text, "the peer is drained or terminated");
	s = drained();
	s.state = IPSP_ST_RECONCILING;
	text = reasons_of(&s);
	assert_has(&text, "putting their books in order");
	s = drained();
	s.duplicates_open = 2;
	text = reasons_of(&s);
	assert_has(&text, "2 duplicates are still open");
	s = drained();
	s.role = IPSP_ROLE_PRIMARY;
	text = reasons_of(&s);
	assert_has(&text, "this side is still the primary: wait: the drain moves the role");
}

/* Where nobody can take over, the sessions alone count. */
static void without_a_peer(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	conf.psp.enabled = false;
	s.role = IPSP_ROLE_NONE;
	s.peer_state = IPSP_PEER_UNKNOWN;
	text = reasons_of(&s);
	assert_int_equal(count(&text, "\n"), 1);
	assert_has(&text, "no peer takes over in this context");
	s.used = 0;
	assert_string_equal(reasons_of(&s).all, "");

	s = shared();
	s.mode = IPSP_MODE_INACTIVE;
	s.used = 0;
	text = reasons_of(&s);
	assert_has(&text, "pool-share-protocol mode active");
	s.unused = 0; /* a secondary that was never given anything */
	assert_string_equal(reasons_of(&s).all, "");
}

/* ---------------------------------------------------------------- no drain where it is refused */

static bool begins_with(const struct text *text, const char *words)
{
	return strncmp(text->all, words, strlen(words)) == 0;
}

static size_t plain_drains(const struct text *text)
{
	return count(text, ": ipspctl -c isp1 drain") -
	       count(text, ": once this side's link works: ipspctl -c isp1 drain") -
	       count(text, ": once the peer hears this side: ipspctl -c isp1 drain") -
	       count(text, ": once the peer is up: ipspctl -c isp1 drain") -
	       count(text, ": once the two sides fit: ipspctl -c isp1 drain") -
	       count(text, ": once the peer takes over again: ipspctl -c isp1 drain");
}

/* The sides differ: that comes first, with what shows it; a drain would be refused. */
static void sides_that_differ(void **state)
{
	static const struct {
		enum ipsp_mismatch mismatch;
		const char *reason, *remedy;
	} kinds[] = {
		{IPSP_MISMATCH_POOLS, "the pools of the two sides differ", "check-config"},
		{IPSP_MISMATCH_ROLES, "both sides are configured as primary", "check-config"},
		{IPSP_MISMATCH_VERSIONS, "no version of the protocol is common", "upgrade ipspd"},
		{IPSP_MISMATCH_BOOKS, "one state directory is a copy", "move its state directory"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int draining = 0; draining < 2; draining++) {
			struct ipsp_status s = shared();
			struct text text;

			s.state = IPSP_ST_CONFIG_MISMATCH;
			s.mismatch = kinds[i].mismatch;
			s.role_conflict = s.mismatch == IPSP_MISMATCH_ROLES;
			s.draining = draining;
			s.peer_knows = false;
			text = reasons_of(&s);
			assert_true(begins_with(&text, kinds[i].reason));
			assert_has(&text, kinds[i].remedy);
			assert_int_equal(plain_drains(&text), 0);
			assert_lacks(&text, "wait: ");
			assert_has(&text, draining ? "once the two sides fit: the drain moves them"
						   : "once the two sides fit: ipspctl");
		}
}

/* A secondary that was never given anything: it waits for nothing that comes by itself. */
static void a_secondary_with_other_pools(void **state)
{
	struct ipsp_status s = drained();
	struct text text;

	(void)state;
	s.draining = s.peer_knows = false;
	s.configured_role = IPSP_ROLE_SECONDARY;
	s.state = IPSP_ST_CONFIG_MISMATCH;
	s.mismatch = IPSP_MISMATCH_POOLS;
	text = reasons_of(&s);
	assert_has(&text, "the pools of the two sides differ");
	assert_lacks(&text, "wait: ");
	assert_lacks(&text, "acknowledged");
	text = notes_on(&s);
	assert_has(&text, "nothing is shared: the pools of the two sides differ");
	s.shared = true; /* before they differed */
	text = notes_on(&s);
	assert_lacks(&text, "nothing is shared");
	assert_has(&text,
		   "a session still gets the address that it asks for by number from the peer, and "
		   "nothing else moves");
	s.shared = false;
	s.peer_knows = true; /* it has nothing, and the peer serves: a stop costs nothing */
	assert_string_equal(reasons_of(&s).all, "");
}

static void two_secondaries(void **state)
{
	struct ipsp_status s = drained();
	struct text text;

	(void)state;
	s.configured_role = IPSP_ROLE_SECONDARY;
	s.role_conflict = true;
	s.mismatch = IPSP_MISMATCH_ROLES;
	s.state = IPSP_ST_CONFIG_MISMATCH;
	text = reasons_of(&s);
	assert_has(&text, "both sides are configured as secondary: nothing is shared");
	assert_has(&text, "name its peer by \"secondary\"");
	text = notes_on(&s);
	assert_lacks(&text, "has taken over every address");
}

/* Of two primaries: each sentence is true of the two sides that hear each other. */
static void two_primaries(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.state = IPSP_ST_CONFIG_MISMATCH;
	s.mismatch = IPSP_MISMATCH_ROLES;
	s.role_conflict = true;
	text = notes_on(&s);
	assert_has(&text, "this side gives new addresses, the peer refuses them");
	assert_lacks(&text, "both sides have sessions");
	s.peer_used = 30;
	text = notes_on(&s);
	assert_has(&text,
		   "both sides have sessions, 412 here and 30 at the peer: one address may be used "
		   "on both, or be given to a second session, and neither side can tell which; "
		   "compare \"show sessions\" of both");
	s.serving = false;
	s.draining = true;
	text = notes_on(&s);
	assert_has(&text, "nobody gives new addresses: this side is drained");
	assert_lacks(&text, "the peer gives them");
	s.draining = false;
	s.yields = true;
	text = notes_on(&s);
	assert_has(&text, "this side refuses new addresses (config-mismatch), the peer gives them");
	s.peer_drains = true;
	text = notes_on(&s);
	assert_has(&text, "the peer is drained");
	assert_lacks(&text, "the peer gives them");
	s.peer_drains = false;
	s.peer_state = IPSP_PEER_LOST;
	text = notes_on(&s);
	assert_lacks(&text, "the peer gives them");
}

/* This host's own link, in the words of the note: it comes first, whatever the peer's state. */
static void the_own_link_comes_first(void **state)
{
	(void)state;
	for (int p = 0; p < IPSP_PEER_STATES; p++) {
		struct ipsp_status s = shared();
		struct text text;

		s.peer_state = (enum ipsp_peer_state)p;
		s.deaf = true;
		s.link_error = "interface v is down";
		s.peer_knows = false;
		text = reasons_of(&s);
		assert_true(
			begins_with(&text, "this side's own link fails: interface v is down: "));
		assert_int_equal(plain_drains(&text), 0);
		assert_has(&text, "once this side's link works: ipspctl -c isp1 drain --wait");
		s.used = s.unused = 0; /* what can't be acknowledged does not end by itself */
		text = reasons_of(&s);
		assert_lacks(&text, "wait: ");
		text = notes_on(&s);
		assert_has(&text, "this side's own link fails: interface v is down");
	}
}

static void a_cut_in_one_direction(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.unheard = true;
	s.peer_knows = false;
	text = reasons_of(&s);
	assert_true(begins_with(&text, "the peer is heard, but does not hear this side"));
	assert_has(&text, "mend the link from here to there");
	assert_int_equal(plain_drains(&text), 0);
	s.used = s.unused = 0;
	s.in_transit = 3;
	text = reasons_of(&s);
	assert_lacks(&text, "wait: ");
	s.in_transit = 0;
	text = reasons_of(&s);
	assert_lacks(&text, "wait: ");
}

/* A firewall that drops what is sent: the peer is heard. */
static void a_link_that_hears(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.deaf = s.hears = true;
	s.link_error = "nothing that is sent gets out";
	s.dead_in_ms = IPSP_NEVER;
	text = notes_on(&s);
	assert_has(&text, "the peer is heard all the same");
	assert_lacks(&text, "hears nobody");
	s.hears = s.serving = false;
	text = notes_on(&s);
	assert_has(&text, "the peer was not heard since");
	assert_has(&text, "takeover --force"); /* of an empty primary */
	s.hears = true;
	text = notes_on(&s);
	assert_lacks(&text, "takeover --force"); /* which is denied then */
}

static void a_peer_that_takes_nothing(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.peer_takes = false;
	text = reasons_of(&s);
	assert_int_equal(plain_drains(&text), 0);
	assert_has(&text, "the peer is drained or terminated");
}

static void a_terminated_side(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.state = IPSP_ST_TERMINATED;
	s.serving = false;
	text = reasons_of(&s);
	assert_lacks(&text, "ipspctl -c isp1 drain");
	assert_has(&text, "wait: the termination moves them");
	text = notes_on(&s);
	assert_has(&text, "terminated: the peer serves");
	s.peer_state = IPSP_PEER_LOST;
	text = notes_on(&s);
	assert_lacks(&text, "the peer serves");
	assert_has(&text, "nobody serves");
	assert_has(&text, "takeover --force");
	text = reasons_of(&s);
	assert_lacks(&text, "ipspctl -c isp1 drain");
	assert_lacks(&text, "wait: ");
	assert_has(&text, "takeover --force");
	s.peer_state = IPSP_PEER_UP;
	s.peer_takes = false;
	text = notes_on(&s);
	assert_has(&text, "nobody serves");
}

/* In other modes a drain is refused, too. */
static void another_mode(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.mode = IPSP_MODE_CHECK;
	text = reasons_of(&s);
	assert_int_equal(plain_drains(&text), 0);
	assert_has(&text, "pool-share-protocol mode active; then ipspctl -c isp1 drain --wait");
}

/* The side that owns the address has no session of that state: they are all in one list. */
static void open_duplicates(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.duplicates_open = 1;
	s.peer_state = IPSP_PEER_LOST;
	text = notes_on(&s);
	assert_has(&text, "see \"show duplicates\"");
	text = reasons_of(&s);
	assert_has(&text, "the address: ipspctl -c isp1 show duplicates\n");
	assert_lacks(&text, "--state duplicate");
}

/* A peer that acknowledges nothing: the note says what to look at, and no end is promised. */
static void a_stream_that_stalls(void **state)
{
	struct ipsp_status s = drained();
	struct text text;

	(void)state;
	s.stalled = true;
	s.peer_knows = false;
	for (s.in_transit = 0; s.in_transit < 2; s.in_transit++) {
		text = reasons_of(&s);
		assert_has(&text, "show ip ipsp");
		assert_lacks(&text, "wait: ");
	}
}

/* ---------------------------------------------------------------- notes */

static void nothing_to_note(void **state)
{
	struct ipsp_status s = shared();

	(void)state;
	assert_string_equal(notes_on(&s).all, "");
}

/* Once, and only while it is true: not on the side whose peer has gone since. */
static void safe_to_stop_is_said_once(void **state)
{
	struct ipsp_status s = drained();
	struct text text;

	(void)state;
	s.all_free = s.drained = true; /* both were said before */
	text = notes_on(&s);
	assert_int_equal(count(&text, "safe to stop"), 1);
	assert_lacks(&text, "draining");
	s.peer_state = IPSP_PEER_LOST;
	s.dead_in_ms = 1000;
	text = notes_on(&s);
	assert_lacks(&text, "safe to stop");

	s = shared(); /* `drained` alone is not enough: it owns every free address */
	s.draining = s.drained = true;
	s.used = 0;
	text = notes_on(&s);
	assert_lacks(&text, "safe to stop");
	assert_has(&text, "draining");
	s = drained(); /* nobody asked: a secondary without sessions is no news */
	s.draining = false;
	text = notes_on(&s);
	assert_lacks(&text, "safe to stop");
}

/* They are not lost by a move, as nothing of theirs moves; but they are here. */
static void static_sessions_are_named(void **state)
{
	struct ipsp_status s = drained();
	struct text text;
	char left[160];

	(void)state;
	assert_false(ipspd_static_left(&s, left, sizeof(left)));
	s.static_used = 2;
	assert_string_equal(reasons_of(&s).all, "");
	assert_true(ipspd_static_left(&s, left, sizeof(left)));
	assert_string_equal(
		left, "2 sessions on static pools end with this host: IPSP does not move them");
	text = notes_on(&s);
	assert_has(&text, "safe to stop: no session on a dynamic pool is left here");
	assert_has(&text, left);
	s.static_used = 1;
	assert_true(ipspd_static_left(&s, left, sizeof(left)));
	assert_string_equal(left,
			    "1 session on static pools ends with this host: IPSP does not move it");
	s = shared();
	s.static_used = 2; /* nobody wants to stop it */
	text = notes_on(&s);
	assert_string_equal(text.all, "");
}

/* It serves by its lease, and has nothing to serve with. */
static void nothing_to_give_and_nobody_to_ask(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.role = s.configured_role = IPSP_ROLE_SECONDARY;
	s.shared = true;
	s.used = s.unused = s.free = 0;
	text = notes_on(&s);
	assert_string_equal(text.all, ""); /* the peer is asked */
	for (int p = 0; p < IPSP_PEER_STATES; p++) {
		s.peer_state = (enum ipsp_peer_state)p;
		s.free = 0;
		text = notes_on(&s);
		assert_int_equal(count(&text, "no free address of its own, and no peer to ask"),
				 p != IPSP_PEER_UP);
		s.free = 1;
		text = notes_on(&s);
		assert_lacks(&text, "no free address");
	}
}

/* How the roles differ comes last, and is nothing to worry about. */
static void notes_stand_in_the_order_of_what_matters(void **state)
{
	static const char *const order[] = {"nothing is shared", "1 duplicate is open",
					    "later version", "12 sessions are left",
					    "this is normal during an upgrade"};
	struct ipsp_status s = drained();
	struct text text;
	const char *last;

	(void)state;
	s.state = IPSP_ST_CONFIG_MISMATCH;
	s.duplicates_open = 1;
	s.stands_at = 7;
	s.used = 12;
	text = notes_on(&s);
	last = text.all;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const char *at = strstr(text.all, order[i]);

		if (!at || at < last)
			fail_msg("\"%s\" is missing, or too early, in:\n%s", order[i], text.all);
		last = at;
	}
	assert_null(strchr(strchr(last, '\n') + 1, '\n')); /* the last line */
}

/* A wrong key is noticed before a restart, which would part the two. */
static void another_key_comes_first(void **state)
{
	struct ipsp_status s = drained();
	struct text text;

	(void)state;
	s.key_match = IPSP_KEY_MATCHES;
	text = notes_on(&s);
	assert_lacks(&text, "key");
	s.key_match = IPSP_KEY_DIFFERS;
	text = notes_on(&s);
	assert_int_equal(strstr(text.all, "the peer has another key") - text.all, 0);
	assert_has(&text, "restart neither");
	assert_lacks(&text, "safe to stop");
	text = reasons_of(&s);
	assert_has(&text, "after a restart the two would not meet: put the same secret first");
	s.peer_state = IPSP_PEER_LOST;
	text = notes_on(&s);
	assert_has(&text, "after the dead interval both may use the same addresses");
}

static void every_state_has_notes_without_a_hole(void **state)
{
	(void)state;
	for (int p = 0; p < IPSP_PEER_STATES; p++)
		for (int i = 0; i < IPSP_STATES; i++) {
			struct ipsp_status s = drained();
			struct text text;

			s.state = (enum ipsp_state)i;
			s.peer_state = (enum ipsp_peer_state)p;
			s.may_take_over = false;
			text = notes_on(&s);
			assert_lacks(&text, "(null)");
			assert_int_equal(count(&text, "safe to stop"),
					 reasons_of(&s).n == 0 ? 1 : 0);
			assert_lacks(&text, "\n\n");
		}
}

/* S6 is said whatever keeps this side from hearing its peer, and only while the peer is gone. */
static void s6_is_said_while_the_peer_is_gone(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.role = IPSP_ROLE_SECONDARY;
	s.s6_holds = true;
	text = notes_on(&s);
	assert_null(strstr(text.all, "does not take over"));
	s.peer_state = IPSP_PEER_LOST;
	s.dead_in_ms = IPSP_NEVER;
	text = notes_on(&s);
	assert_has(&text, "does not take over by itself");
	assert_has(&text, "takeover --force");
	s.deaf = true;
	s.link_error = "its interface is down";
	text = notes_on(&s);
	assert_has(&text, "its interface is down");
	assert_has(&text, "does not take over by itself");
}

static void a_side_that_was_given_anew_says_what_it_refuses(void **state)
{
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.given_anew = true;
	s.anew_ms = 9001;
	text = notes_on(&s);
	assert_has(&text, "this side had lost its state: for 10 s more");
	assert_has(&text, "\"locked\"");
	s.anew_ms = IPSP_NEVER; /* lost yet: see waiting-for */
	text = notes_on(&s);
	assert_null(strstr(text.all, "had lost its state"));
}

/* ---------------------------------------------------------------- HAs that are not there */

/* A drain that waits for one has no end by itself: who it is, and what to type. */
static void who_keeps_a_drain_back_is_named(void **state)
{
	static const struct ipspd_absent
		one = {1, 12, {{"ha3", 12}}},
		many = {6, 40, {{"ha 3", 12}, {"-x'y", 9}, {"ha5", 8}, {"ha6", 7}}};
	struct ipsp_status s = shared();
	struct text text;

	(void)state;
	s.draining = true;
	text = reasons_of(&s);
	assert_lacks(&text, "not attached");
	who_is_absent = &one;
	text = reasons_of(&s);
	assert_has(&text, "the HA \"ha3\" is not attached, and 12 sessions here are its: start it; "
			  "where it is gone for good: ipspctl -c isp1 release --ha=ha3 --force\n");
	text = notes_on(&s);
	assert_has(&text, "12 sessions here belong to 1 HA that is not attached, and end only when "
			  "it comes");
	who_is_absent = &many;
	text = reasons_of(&s);
	assert_has(&text, " --ha='ha 3' --force\n");
	assert_has(&text, " --ha='-x'\\''y' --force\n");
	assert_has(&text, "2 more HAs that are not attached have sessions here");
	text = notes_on(&s);
	assert_has(&text, "40 sessions here belong to 6 HAs that are not attached, and end only "
			  "when they come");
	s = drained(); /* sessions on static pools stand against nothing */
	s.static_used = 12;
	text = reasons_of(&s);
	assert_int_equal(text.n, 0);
	text = notes_on(&s);
	assert_lacks(&text, "not attached");
	who_is_absent = NULL;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drained_side_may_be_stopped),
		cmocka_unit_test(each_reason_has_its_remedy),
		cmocka_unit_test(unused_addresses_are_a_reason),
		cmocka_unit_test(single_reasons),
		cmocka_unit_test(without_a_peer),
		cmocka_unit_test(sides_that_differ),
		cmocka_unit_test(a_secondary_with_other_pools),
		cmocka_unit_test(two_secondaries),
		cmocka_unit_test(two_primaries),
		cmocka_unit_test(the_own_link_comes_first),
		cmocka_unit_test(a_cut_in_one_direction),
		cmocka_unit_test(a_link_that_hears),
		cmocka_unit_test(a_peer_that_takes_nothing),
		cmocka_unit_test(a_terminated_side),
		cmocka_unit_test(another_mode),
		cmocka_unit_test(open_duplicates),
		cmocka_unit_test(a_stream_that_stalls),
		cmocka_unit_test(nothing_to_note),
		cmocka_unit_test(safe_to_stop_is_said_once),
		cmocka_unit_test(static_sessions_are_named),
		cmocka_unit_test(nothing_to_give_and_nobody_to_ask),
		cmocka_unit_test(notes_stand_in_the_order_of_what_matters),
		cmocka_unit_test(another_key_comes_first),
		cmocka_unit_test(a_side_that_was_given_anew_says_what_it_refuses),
		cmocka_unit_test(s6_is_said_while_the_peer_is_gone),
		cmocka_unit_test(every_state_has_notes_without_a_hole),
		cmocka_unit_test(who_keeps_a_drain_back_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
