/* The notes of show ip ipsp, and what stands against stopping a host. */
#include "daemon/advice.h"
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ipsp_context_conf conf;

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

	ipspd_notes("isp1", s, take_note, &text);
	return text;
}

static struct text reasons_of(const struct ipsp_status *s)
{
	struct text text = {.n = 0};
	size_t lines = 0, n = ipspd_stop_reasons("isp1", s, take_reason, &text);

	for (const char *c = text.all; *c; c++)
		lines += *c == '\n';
	assert_int_equal(n, lines);
	assert_int_equal(n, ipspd_stop_reasons("isp1", s, NULL, NULL));
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drained_side_may_be_stopped),
		cmocka_unit_test(each_reason_has_its_remedy),
		cmocka_unit_test(unused_addresses_are_a_reason),
		cmocka_unit_test(single_reasons),
		cmocka_unit_test(without_a_peer),
		cmocka_unit_test(nothing_to_note),
		cmocka_unit_test(safe_to_stop_is_said_once),
		cmocka_unit_test(static_sessions_are_named),
		cmocka_unit_test(nothing_to_give_and_nobody_to_ask),
		cmocka_unit_test(notes_stand_in_the_order_of_what_matters),
		cmocka_unit_test(another_key_comes_first),
		cmocka_unit_test(s6_is_said_while_the_peer_is_gone),
		cmocka_unit_test(every_state_has_notes_without_a_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
