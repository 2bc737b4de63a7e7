/*
 * Whose session a release ends: the one that it names, and no other that has the address by then;
 * and who is told when another HA of the same side asks for a session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "core/names.h"
#include "liar.h"
#include <cmocka.h>

#define OTHER_HA 5
#define AT	 3 /* the index of the address of most sessions here */

static void attach(struct liar *l, uint64_t token, const char *name)
{
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_ATTACH, .token = token, .ha_name = name});
}

static struct liar *attached(void)
{
	struct liar *l = liar_active(true);

	attach(l, HA, "ha");
	return l;
}

static struct ipsp_ident named(const char *subscriber, const char *session)
{
	return (struct ipsp_ident){subscriber, session,
				   (uint8_t)(subscriber ? strlen(subscriber) : 0),
				   (uint8_t)(session ? strlen(session) : 0), 0};
}

/* What a release by @token, or the answer to the event @id, is answered with. */
static int says(struct liar *l, enum ipsp_event_type type, uint64_t token, uint64_t id,
		const char *subscriber, const char *session)
{
	const struct ipsp_event ev = {.type = type,
				      .token = token,
				      .id = id,
				      .addr = ipsp_addr_v4(0x0a010001 + AT),
				      .ident = named(subscriber, session)};

	l->done = 1;
	liar_turn(l, &ev);
	return l->done;
}

static int release(struct liar *l, uint64_t token, const char *subscriber, const char *session)
{
	return says(l, IPSP_EV_RELEASE, token, 8, subscriber, session);
}

static int request(struct liar *l, uint64_t token, const char *subscriber, const char *session,
		   uint32_t index)
{
	const struct ipsp_event ev = {
		.type = IPSP_EV_REQUEST,
		.token = token,
		.id = 9,
		.addr = index == IPSP_NO_INDEX ? IPSP_ADDR_NONE : ipsp_addr_v4(0x0a010001 + index),
		.ident = named(subscriber, session)};

	l->answered = 1;
	liar_turn(l, &ev);
	return l->answered;
}

static uint32_t used(const struct liar *l)
{
	return ipsp_pool_counts(l->node->pools[0])->used;
}

/* ---------------------------------------------------------------- releases */

/* The address has a session; what names another one, by any half of its name, is refused. */
static void a_late_release_ends_nothing(void **state)
{
	const char *const others[][2] = {{"u", "old"}, {"v", "new"}, {"v", "old"},  {NULL, "old"},
					 {"v", NULL},  {"u", ""},    {"uu", "new"}, {"u", "ne"}};
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u", "old", AT), 0);
	assert_int_equal(release(l, HA, "u", "old"), 0);
	assert_int_equal(request(l, HA, "u", "new", AT), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(release(l, HA, others[i][0], others[i][1]),
				 IPSP_ERR_NO_SUCH_SESSION);
		assert_non_null(l->done_text);
		assert_int_equal(used(l), 1);
		/* an operator's is no better */
		assert_int_equal(release(l, 0, others[i][0], others[i][1]),
				 IPSP_ERR_NO_SUCH_SESSION);
		assert_int_equal(l->n_events, 0);
	}
	assert_int_equal(liar_stats(l)->releases_late, 2 * sizeof(others) / sizeof(others[0]));
	assert_int_equal(release(l, HA, "u", "new"), 0);
	assert_int_equal(used(l), 0);
	assert_int_equal(release(l, HA, "u", "new"), IPSP_ERR_NO_SUCH_SESSION);
	liar_free(l);
}

/* Who names nothing, or half of it, gets what the first version gave. */
static void what_is_not_named_is_not_compared(void **state)
{
	const char *const ways[][2] = {{NULL, NULL}, {"u", NULL}, {NULL, "new"}, {"u", "new"}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct liar *l = attached();

		assert_int_equal(request(l, HA, "u", "new", AT), 0);
		assert_int_equal(release(l, HA, ways[i][0], ways[i][1]), 0);
		assert_int_equal(used(l), 0);
		assert_int_equal(liar_stats(l)->releases_late, 0);
		liar_free(l);
	}
}

/* An empty name of a session is one like any other. */
static void a_session_may_be_named_by_nothing(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u", "", AT), 0);
	assert_int_equal(release(l, HA, "u", "s1"), IPSP_ERR_NO_SUCH_SESSION);
	assert_int_equal(release(l, HA, "u", ""), 0);
	liar_free(l);
}

static void anothers_is_not_permitted(void **state)
{
	struct liar *l = attached();

	(void)state;
	attach(l, OTHER_HA, "other");
	assert_int_equal(request(l, HA, "u", "s", AT), 0);
	assert_int_equal(release(l, OTHER_HA, "u", "s"), IPSP_ERR_NOT_PERMITTED);
	assert_int_equal(release(l, OTHER_HA, NULL, NULL), IPSP_ERR_NOT_PERMITTED);
	assert_int_equal(used(l), 1);
	liar_free(l);
}

/* ---------------------------------------------------------------- answers to release events */

/* An operator wants the new session ended; an answer that names the old one is none to that. */
static void an_answer_names_its_session(void **state)
{
	struct liar *l = attached();

	(void)state;
	for (unsigned by_number = 0; by_number < 2; by_number++) {
		assert_int_equal(request(l, HA, "u", "old", AT), 0);
		assert_int_equal(release(l, HA, "u", "old"), 0);
		assert_int_equal(request(l, HA, "u", "new", AT), 0);
		assert_int_equal(release(l, 0, NULL, NULL), 0);
		const uint64_t id = by_number ? l->event : 0;
		says(l, IPSP_EV_RELEASED, HA, id, "u", "old");
		assert_int_equal(used(l), 1);
		says(l, IPSP_EV_RELEASED, HA, id, "u", "new");
		assert_int_equal(used(l), 0);
	}
	liar_free(l);
}

/* ---------------------------------------------------------------- another HA asks */

static const char *ha_of(const struct liar *l)
{
	struct ipsp_session_view view;
	uint32_t cursor = 0;

	assert_true(ipsp_node_session(l->node, &cursor, &view));
	return view.ha;
}

/* One subscriber without a session's name at two HAs: the second has it, and the first is told. */
static void a_session_moves_to_another_ha(void **state)
{
	struct liar *l = attached();

	(void)state;
	attach(l, OTHER_HA, "other");
	assert_int_equal(request(l, HA, "bob", "", AT), 0);
	assert_int_equal(request(l, HA, "bob", "", IPSP_NO_INDEX), 0);
	assert_int_equal(l->n_events, 0);
	assert_int_equal(request(l, OTHER_HA, "bob", "", IPSP_NO_INDEX), 0);
	assert_string_equal(ha_of(l), "other");
	assert_int_equal(l->n_events, 1);
	assert_int_equal(l->event_to, HA);
	assert_int_equal(l->reason, IPSP_REASON_HANDOFF);
	assert_int_equal(liar_stats(l)->sessions_moved, 1);
	/* whatever the first makes of it ends nothing */
	says(l, IPSP_EV_RELEASED, HA, 0, NULL, NULL);
	says(l, IPSP_EV_RELEASED, HA, l->event, NULL, NULL);
	assert_int_equal(release(l, HA, "bob", ""), IPSP_ERR_NOT_PERMITTED);
	assert_int_equal(used(l), 1);
	assert_int_equal(l->node->has.n_asked, 0);
	/* nor is anybody told again at the next attach */
	attach(l, HA + 10, "ha");
	assert_int_equal(l->n_events, 1);
	/* back: who has it now is told */
	assert_int_equal(request(l, HA + 10, "bob", "", IPSP_NO_INDEX), 0);
	assert_string_equal(ha_of(l), "ha");
	assert_int_equal(l->event_to, OTHER_HA);
	assert_int_equal(l->n_events, 2);
	/* the new owner ends it; the answer that comes then is to an event that is no more */
	assert_int_equal(release(l, HA + 10, "bob", ""), 0);
	assert_int_equal(request(l, HA + 10, "eve", "", AT), 0);
	says(l, IPSP_EV_RELEASED, OTHER_HA, 0, NULL, NULL);
	assert_int_equal(used(l), 1);
	liar_free(l);
}

/* Who is not attached is told nothing; who asks for a one-shot's session just has it. */
static void nobody_is_there_to_be_told(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "bob", "s", AT), 0);
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_DETACH, .token = HA});
	attach(l, OTHER_HA, "other");
	assert_int_equal(request(l, OTHER_HA, "bob", "s", AT), 0);
	assert_int_equal(request(l, 0, "op", "", IPSP_NO_INDEX), 0);
	assert_int_equal(request(l, OTHER_HA, "op", "", IPSP_NO_INDEX), 0);
	assert_int_equal(l->n_events, 0);
	liar_free(l);
}

/* It waits for the flush to hear that it got the address, and loses it meanwhile. */
static void its_answer_has_not_even_gone(void **state)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};
	struct liar *l = attached();
	struct ipsp_event ask = {.type = IPSP_EV_REQUEST, .token = HA, .id = 1};
	unsigned answers = 0;

	(void)state;
	attach(l, OTHER_HA, "other");
	l->node->conf.psp.durability = IPSP_DURABLE_POWER;
	ask.ident = named("bob", "");
	ipsp_actions_clear(&l->act);
	ipsp_node_step(l->node, &ask, l->now, &l->act);
	ask.token = OTHER_HA;
	ipsp_node_step(l->node, &ask, l->now, &l->act);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	const struct ipsp_event flushed = {.type = IPSP_EV_FLUSHED, .seq = l->act.rec_seq};
	ipsp_node_step(l->node, &flushed, l->now, &l->act);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	for (size_t i = 0; i < l->act.n_outs; i++) {
		const struct ipsp_out *o = &l->act.outs[i];

		assert_int_not_equal(o->type, IPSP_OUT_RELEASE);
		if (o->type != IPSP_OUT_ANSWER)
			continue;
		assert_int_equal(o->err, o->token == HA ? IPSP_ERR_TIMEOUT : 0);
		answers++;
	}
	assert_int_equal(answers, 2);
	assert_string_equal(ha_of(l), "other");
	liar_free(l);
}

/* ---------------------------------------------------------------- who comes later */

static void detach(struct liar *l, uint64_t token)
{
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_DETACH, .token = token});
}

/* What an operator wants ended is asked for at each attach, over restarts, until it is answered. */
static void terminate_is_repeated_until_answered(void **state)
{
	struct liar *l = attached();

	(void)state;
	l->conf.psp.durability = IPSP_DURABLE_POWER; /* its sessions outlive a reboot */
	assert_int_equal(request(l, HA, "u", "s", AT), 0);
	detach(l, HA);
	assert_int_equal(release(l, 0, NULL, NULL), 0);
	assert_int_equal(l->n_events, 0);
	for (unsigned i = 1; i <= 4; i++) {
		attach(l, HA + i, "ha");
		assert_int_equal(l->n_events, i);
		assert_int_equal(l->reason, IPSP_REASON_TERMINATE);
		if (i % 2 == 0)
			liar_reboot(l);
		else
			detach(l, HA + i);
	}
	assert_int_equal(release(l, 0, NULL, NULL), 0); /* said again it is the same wish */
	attach(l, HA, "ha");
	assert_int_equal(l->n_events, 5);
	says(l, IPSP_EV_RELEASED, HA, 0, NULL, NULL);
	assert_int_equal(used(l), 0);
	liar_reboot(l);
	attach(l, HA, "ha");
	liar_pass(l, 12000);
	assert_int_equal(request(l, HA, "u", "s", AT), 0);
	assert_int_equal(l->n_events, 5); /* nor is the next session there asked for */
	liar_free(l);
}

/* The peer's request was first, and ends; the operator's wish does not end with it. */
static void terminate_outlives_a_handoff(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u7", "s", AT), 0);
	liar_say_request(l, 1 << 16, l->heard.epoch, 0, AT);
	assert_int_equal(l->reason, IPSP_REASON_HANDOFF);
	assert_int_equal(release(l, 0, NULL, NULL), 0);
	liar_pass(l, 5000);
	assert_int_equal(l->cancelled, 0);
	detach(l, HA);
	attach(l, HA, "ha");
	assert_int_equal(l->n_events, 2);
	assert_int_equal(l->reason, IPSP_REASON_TERMINATE);
	says(l, IPSP_EV_RELEASED, HA, l->event, NULL, NULL);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

/* A handoff goes with the peer's request: who attaches later never sees it. */
static void a_handoff_is_not_repeated(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u7", "s", AT), 0);
	liar_say_request(l, 1 << 16, l->heard.epoch, 0, AT);
	assert_int_equal(l->n_events, 1);
	liar_pass(l, 5000);
	assert_int_equal(l->cancelled, l->event);
	detach(l, HA);
	attach(l, HA, "ha");
	assert_int_equal(l->n_events, 1);
	/* it goes while the event is open: the peer is refused, at once */
	liar_say_request(l, 2 << 16, l->heard.epoch, 0, AT);
	assert_int_equal(l->n_events, 2);
	detach(l, HA);
	liar_pass(l, 100);
	liar_say_request(l, 2 << 16, l->heard.epoch, 0, AT);
	assert_int_equal(l->refused, IPSP_ERR_TIMEOUT);
	attach(l, HA, "ha");
	liar_pass(l, 5000);
	assert_int_equal(l->n_events, 2);
	assert_int_equal(used(l), 1);
	liar_free(l);
}

/* After a healing the same subscriber is on both sides, by no request: a gateway that comes later
 * learns that the peer has another session there. */
static void what_is_left_of_a_handoff(void **state)
{
	struct liar *l = attached();
	struct ipsp_item_writer w;

	(void)state;
	assert_int_equal(request(l, HA, "u7", "s", AT), 0);
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_REPORT, 0, 0, 0, IPSP_SET_WHO);
	ipsp_item_add_who(&w, AT, "u7", 2);
	liar_say_item(l, &w, 0);
	assert_int_equal(l->n_events, 1);
	assert_int_equal(l->reason, IPSP_REASON_HANDOFF);
	detach(l, HA);
	attach(l, HA, "ha");
	assert_int_equal(l->n_events, 2);
	assert_int_equal(l->reason, IPSP_REASON_DUPLICATE);
	says(l, IPSP_EV_RELEASED, HA, 0, NULL, NULL);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

/* ---------------------------------------------------------------- by force */

static void force(struct liar *l, const char *subscriber, const char *session, const char *of_ha)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE,
				.id = 8,
				.force = true,
				.addr = ipsp_addr_v4(0x0a010001 + AT),
				.ident = named(subscriber, session)};

	ev.of_ha = of_ha;
	l->done = 1;
	liar_turn(l, &ev);
}

/* The gateway is gone for good. Nothing is left of the wish when it comes after all. */
static void by_force_without_its_ha(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u", "s", AT), 0);
	detach(l, HA);
	assert_int_equal(release(l, 0, NULL, NULL), 0);
	assert_non_null(strstr(l->done_text, "--force"));
	assert_int_equal(used(l), 1);
	force(l, NULL, NULL, NULL);
	assert_int_equal(l->done, 0);
	assert_non_null(strstr(l->done_text, "may be used twice"));
	assert_int_equal(used(l), 0);
	attach(l, HA, "ha");
	assert_int_equal(l->n_events, 0);
	force(l, NULL, NULL, NULL);
	assert_int_equal(l->done, IPSP_ERR_NO_SUCH_SESSION);
	liar_reboot(l);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

/* One that is there is told, once; its answer ends no later session. */
static void by_force_the_ha_is_told(void **state)
{
	struct liar *l = attached();

	(void)state;
	assert_int_equal(request(l, HA, "u", "old", AT), 0);
	force(l, NULL, NULL, NULL);
	assert_int_equal(l->done, 0);
	assert_non_null(strstr(l->done_text, "is told"));
	assert_int_equal(l->n_events, 1);
	assert_int_equal(l->reason, IPSP_REASON_TERMINATE);
	assert_int_equal(used(l), 0);
	assert_int_equal(request(l, HA, "u", "new", AT), 0);
	says(l, IPSP_EV_RELEASED, HA, 0, NULL, NULL);
	assert_int_equal(used(l), 1);

	/* it had been asked already: it is not asked again */
	assert_int_equal(release(l, 0, NULL, NULL), 0);
	assert_int_equal(l->n_events, 2);
	force(l, NULL, NULL, NULL);
	assert_int_equal(l->n_events, 2);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

/* Only the session that is named, and only while it is that HA's. */
static void by_force_only_what_is_named(void **state)
{
	struct liar *l = attached();

	(void)state;
	attach(l, OTHER_HA, "other");
	assert_int_equal(request(l, HA, "u", "s", AT), 0);
	force(l, "u", "t", NULL);
	assert_int_equal(l->done, IPSP_ERR_NO_SUCH_SESSION);
	force(l, "u", "s", "other");
	assert_int_equal(l->done, IPSP_ERR_NO_SUCH_SESSION);
	assert_int_equal(request(l, OTHER_HA, "u", "s", IPSP_NO_INDEX), 0); /* it has moved there */
	force(l, "u", "s", "ha");
	assert_int_equal(l->done, IPSP_ERR_NO_SUCH_SESSION);
	assert_int_equal(used(l), 1);
	force(l, "u", "s", "other");
	assert_int_equal(l->done, 0);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

/* The peer's request waits for the session's end: it gets the address then. */
static void by_force_the_peers_request_goes_on(void **state)
{
	struct liar *l = attached();
	struct ipsp_address_view view;

	(void)state;
	assert_int_equal(request(l, HA, "u7", "s", AT), 0);
	liar_say_request(l, 1 << 16, l->heard.epoch, 0, AT);
	assert_int_equal(l->reason, IPSP_REASON_HANDOFF);
	const int before = l->refused;
	force(l, NULL, NULL, NULL);
	assert_int_equal(l->refused, before);
	ipsp_node_address(l->node, 0, AT, &view);
	assert_int_not_equal(view.own, IPSP_OWN_OURS);
	assert_int_equal(used(l), 0);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_force_without_its_ha),
		cmocka_unit_test(by_force_the_ha_is_told),
		cmocka_unit_test(by_force_only_what_is_named),
		cmocka_unit_test(by_force_the_peers_request_goes_on),
		cmocka_unit_test(a_late_release_ends_nothing),
		cmocka_unit_test(what_is_not_named_is_not_compared),
		cmocka_unit_test(a_session_may_be_named_by_nothing),
		cmocka_unit_test(anothers_is_not_permitted),
		cmocka_unit_test(an_answer_names_its_session),
		cmocka_unit_test(a_session_moves_to_another_ha),
		cmocka_unit_test(nobody_is_there_to_be_told),
		cmocka_unit_test(its_answer_has_not_even_gone),
		cmocka_unit_test(terminate_is_repeated_until_answered),
		cmocka_unit_test(terminate_outlives_a_handoff),
		cmocka_unit_test(a_handoff_is_not_repeated),
		cmocka_unit_test(what_is_left_of_a_handoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
