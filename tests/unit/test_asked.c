/*
 * Release events: what is kept of those that an HA never answers is bounded, and nobody walks it;
 * an answer that comes late is for its own event and no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "core/asked.h"
#include "liar.h"
#include <cmocka.h>

#define MANY	    1000
#define TEN_MINUTES 600000

static void says(struct liar *l, uint64_t token, enum ipsp_event_type type, uint64_t id,
		 uint32_t index)
{
	struct ipsp_event ev = {.type = type, .token = token, .id = id};

	if (type == IPSP_EV_ATTACH)
		ev.ha_name = "ha";
	if (index != IPSP_NO_INDEX)
		ev.addr = ipsp_addr_v4(0x0a010001 + index);
	liar_turn(l, &ev);
}

static uint32_t kept(const struct liar *l)
{
	return l->node->has.n_asked;
}

static uint32_t used(const struct liar *l)
{
	return ipsp_pool_counts(l->node->pools[0])->used;
}

static struct liar *attached(void)
{
	struct liar *l = liar_active(true);

	says(l, HA, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
	return l;
}

/* It is asked to end a session, and ends it by an ordinary release, as if it had not heard. */
static void the_session_ends_otherwise(void **state)
{
	struct liar *l = attached();

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		liar_take(l, "u7", 3);
		says(l, 0, IPSP_EV_RELEASE, 8, 3);
		assert_non_null(ipsp_asked_first(l->node));
		says(l, HA, IPSP_EV_RELEASE, 8, 3);
		assert_int_equal(used(l), 0);
		assert_null(ipsp_asked_first(l->node));
	}
	assert_int_equal(kept(l), 1);
	liar_pass(l, TEN_MINUTES + 1000);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

/*
 * The peer asks for a session again and again, and each time the request ends before the HA has
 * answered. Of old ones the newest is kept as long as the session lives: an answer that names it is
 * a release.
 */
static void cancelled_again_and_again(bool ends)
{
	struct liar *l = attached();
	uint64_t id = 0;

	liar_take(l, "u7", 3);
	for (unsigned i = 0; i < 20; i++) {
		liar_say_request(l, ++id << 16, l->heard.epoch, 0, 3);
		liar_pass(l, 5000);
		assert_null(ipsp_asked_first(l->node));
	}
	assert_int_equal(kept(l), 3); /* each of them for the events of 40 s */
	liar_pass(l, TEN_MINUTES);
	assert_int_equal(kept(l), 1);
	assert_int_equal(used(l), 1);
	if (ends)
		says(l, HA, IPSP_EV_RELEASE, 8, 3);
	else
		says(l, HA, IPSP_EV_RELEASED, l->event, 3);
	assert_int_equal(used(l), 0);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

static void a_session_that_is_asked_for_in_vain(void **state)
{
	(void)state;
	cancelled_again_and_again(true);
	cancelled_again_and_again(false);
}

/* An hour of events that nobody answers: those of one address are few. */
static void an_address_that_comes_and_goes(void **state)
{
	struct liar *l = attached();
	uint32_t most = 0;

	(void)state;
	for (unsigned i = 0; i < 3600; i++) {
		liar_take(l, "u7", 3);
		says(l, 0, IPSP_EV_RELEASE, 8, 3);
		says(l, HA, IPSP_EV_RELEASE, 8, 3);
		most = kept(l) > most ? kept(l) : most;
		liar_pass(l, 1000);
	}
	assert_in_range(most, 2, 16);
	liar_free(l);
}

/*
 * An HA that says no numbers answers late, and all at once: an answer to an event of before is not
 * taken for that to the event that is open.
 */
static void answers_that_come_late(void **state)
{
	struct liar *l = attached();

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		liar_take(l, "u7", 3);
		says(l, 0, IPSP_EV_RELEASE, 8, 3);
		says(l, HA, IPSP_EV_RELEASE, 8, 3);
		if (i % 100 == 0)
			liar_pass(l, 30000);
	}
	liar_take(l, "u8", 3);
	says(l, 0, IPSP_EV_RELEASE, 8, 3);
	for (unsigned i = 0; i < MANY; i++) {
		says(l, HA, IPSP_EV_RELEASED, 0, 3);
		assert_int_equal(used(l), 1);
	}
	says(l, HA, IPSP_EV_RELEASED, 0, 3);
	assert_int_equal(used(l), 0);
	for (unsigned i = 0; i < MANY; i++) /* each time the event was said again */
		says(l, HA, IPSP_EV_RELEASED, 0, 3);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

/* ... or it never answers the event of before, whose session it had ended itself: then its answer
 * to the one that is open is the first, and it is asked once more. */
static void an_answer_that_does_not_come(void **state)
{
	struct liar *l = attached();
	uint64_t second;

	(void)state;
	liar_take(l, "u7", 3);
	says(l, 0, IPSP_EV_RELEASE, 8, 3);
	says(l, HA, IPSP_EV_RELEASE, 8, 3);
	liar_take(l, "u8", 3);
	says(l, 0, IPSP_EV_RELEASE, 8, 3);
	second = l->event;
	l->event = 0;
	says(l, HA, IPSP_EV_RELEASED, 0, 3);
	assert_int_equal(used(l), 1);
	assert_int_equal(l->event, second);
	says(l, HA, IPSP_EV_RELEASED, 0, 3);
	assert_int_equal(used(l), 0);
	liar_take(l, "u9", 3);
	says(l, HA, IPSP_EV_RELEASED, 0, 3); /* it comes after all */
	assert_int_equal(used(l), 1);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

/* The same where the peer's requests had ended: the first answer is a release, the others are
 * nothing. */
static void answers_to_what_was_cancelled(bool numbers)
{
	struct liar *l = attached();
	uint64_t events[50];

	liar_take(l, "u7", 3);
	for (unsigned i = 0; i < 50; i++) {
		liar_say_request(l, (i + 1ULL) << 16, l->heard.epoch, 0, 3);
		events[i] = l->event;
		liar_pass(l, 3000);
		assert_null(ipsp_asked_first(l->node));
	}
	says(l, HA, IPSP_EV_RELEASED, numbers ? events[0] : 0, 3);
	assert_int_equal(used(l), 0);
	liar_take(l, "u8", 3);
	says(l, 0, IPSP_EV_RELEASE, 8, 3);
	for (unsigned i = 1; i < 50; i++) {
		says(l, HA, IPSP_EV_RELEASED, numbers ? events[i] : 0, 3);
		assert_int_equal(used(l), 1);
	}
	says(l, HA, IPSP_EV_RELEASED, numbers ? l->event : 0, 3);
	assert_int_equal(used(l), 0);
	for (unsigned i = 1; i < 50 && !numbers; i++) /* each time the event was said again */
		says(l, HA, IPSP_EV_RELEASED, 0, 3);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

static void answers_to_what_was_asked_in_vain(void **state)
{
	(void)state;
	answers_to_what_was_cancelled(false);
	answers_to_what_was_cancelled(true);
}

/* Who goes answers nothing any more. */
static void the_ha_goes(void **state)
{
	struct liar *l = attached();

	(void)state;
	liar_take(l, "u7", 3);
	liar_say_request(l, 1 << 16, l->heard.epoch, 0, 3);
	liar_pass(l, 5000);
	assert_int_equal(kept(l), 1);
	says(l, HA, IPSP_EV_DETACH, 0, IPSP_NO_INDEX);
	assert_int_equal(kept(l), 0);
	liar_free(l);
}

/* ---------------------------------------------------------------- late answers of an HA */

/* The liar asks for the address of its own subscriber's session here; returns the event's number.
 */
static uint64_t handoff(struct liar *l, uint64_t id, uint32_t index)
{
	uint64_t before = l->event;

	liar_say_request(l, id, l->heard.epoch, 0, index);
	assert_int_not_equal(l->event, before);
	return l->event;
}

/*
 * An event was cancelled and not answered, and its session has ended. Much later another session
 * has the address, and is to end, too: an answer that names the first event ends nothing, however
 * late it comes, and one that names the second ends it at once.
 */
static void an_answer_names_its_event(void **state)
{
	struct liar *l = liar_active(true);
	uint64_t first, second, applied;

	(void)state;
	says(l, HA, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
	liar_take(l, "u7", 3);
	first = handoff(l, 1 << 16, 3);
	liar_pass(l, 5000);
	assert_int_equal(l->cancelled, first);
	says(l, HA, IPSP_EV_RELEASE, 8, 3); /* the session ends, and comes again */
	assert_int_equal(used(l), 0);
	liar_take(l, "u7", 3);
	liar_pass(l, 3600000);
	second = handoff(l, 2 << 16, 3);
	says(l, HA, IPSP_EV_RELEASED, first, 3);
	assert_int_equal(used(l), 1);
	says(l, HA, IPSP_EV_RELEASED, 12345, 3); /* of another process */
	assert_int_equal(used(l), 1);
	says(l, HA, IPSP_EV_RELEASED, second, 4); /* of another address */
	assert_int_equal(used(l), 1);
	applied = l->applied;
	says(l, HA, IPSP_EV_RELEASED, second, 3);
	assert_int_equal(used(l), 0);
	assert_int_equal(l->applied, applied + 1);
	says(l, HA, IPSP_EV_RELEASED, second, 3); /* answered already */
	liar_free(l);
}

/* The answer to a cancelled event is an ordinary release, by number at any time. */
static void a_cancelled_event_is_answered_late(void **state)
{
	(void)state;
	for (unsigned wait = 0; wait < 2; wait++) {
		struct liar *l = liar_active(true);
		uint64_t first;

		says(l, HA, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
		liar_take(l, "u7", 3);
		first = handoff(l, 1 << 16, 3);
		liar_pass(l, wait ? 3600000 : 5000);
		assert_int_equal(l->cancelled, first);
		assert_int_equal(used(l), 1);
		if (wait) { /* a second one is open: the session has ended for that as well */
			assert_true(handoff(l, 2 << 16, 3) > first);
			says(l, HA, IPSP_EV_RELEASED, first, 3);
			assert_int_equal(l->last_item.request, 2 << 16);
		} else {
			says(l, HA, IPSP_EV_RELEASED, first, 3);
		}
		assert_int_equal(used(l), 0);
		liar_free(l);
	}
}

/* Without a number it is for the oldest that is open: one that was cancelled counts for ten
 * minutes, and then the answer is for the next. */
static void an_answer_without_a_number(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct liar *l = liar_active(true);

		says(l, HA, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
		liar_take(l, "u7", 3);
		handoff(l, 1 << 16, 3);
		liar_pass(l, 5000);
		says(l, HA, IPSP_EV_RELEASE, 8, 3);
		liar_take(l, "u7", 3);
		liar_pass(l, late ? 600000 : 60000);
		handoff(l, 2 << 16, 3);
		says(l, HA, IPSP_EV_RELEASED, 0, 3);
		assert_int_equal(used(l), !late);
		says(l, HA, IPSP_EV_RELEASED, 0, 3);
		assert_int_equal(used(l), 0);
		liar_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_session_ends_otherwise),
		cmocka_unit_test(a_session_that_is_asked_for_in_vain),
		cmocka_unit_test(an_address_that_comes_and_goes),
		cmocka_unit_test(answers_that_come_late),
		cmocka_unit_test(an_answer_that_does_not_come),
		cmocka_unit_test(answers_to_what_was_asked_in_vain),
		cmocka_unit_test(the_ha_goes),
		cmocka_unit_test(an_answer_names_its_event),
		cmocka_unit_test(a_cancelled_event_is_answered_late),
		cmocka_unit_test(an_answer_without_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
