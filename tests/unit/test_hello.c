/* The numbers of hellos begin anew after 2^32 - 1, and nobody notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "liar.h"
#include <cmocka.h>

static void later_numbers(void **state)
{
	(void)state;
	assert_true(ipsp_hello_after(2, 1));
	assert_false(ipsp_hello_after(1, 2));
	assert_false(ipsp_hello_after(7, 7));
	assert_true(ipsp_hello_after(1, UINT32_MAX));
	assert_false(ipsp_hello_after(UINT32_MAX, 1));
	assert_true(ipsp_hello_after(UINT32_MAX, 0)); /* 0 is none */
	assert_true(ipsp_hello_after(1, 0));
	assert_false(ipsp_hello_after(0, UINT32_MAX));
	assert_false(ipsp_hello_after(0, 0));
}

/* The node's numbers and the liar's come to their end, one after the other; the leases go on all
 * the time, and an old hello is an old one on both sides of the end. */
static void numbers_begin_anew(bool node_is_primary, uint32_t node_left, uint32_t liar_left)
{
	struct liar *l = liar_new(node_is_primary, IPSP_MODE_ACTIVE);
	struct ipsp_msg old;

	l->node->peer.number = l->node->peer.echoed = 0U - node_left;
	l->number = 0U - liar_left;
	liar_meet(l);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
	for (unsigned i = 0; i < 1000; i++) {
		if (i % 50 == 0)
			old = liar_hello(l);
		const size_t hellos = l->n_hellos;
		liar_pass(l, 1000);
		assert_true(l->n_hellos > hellos);
		assert_int_not_equal(l->heard.number, 0);
		assert_true(liar_status(l).serving);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
		const uint32_t heard = l->node->peer.heard;
		liar_say(l, &old);
		assert_int_equal(l->node->peer.heard, heard);
		assert_in_range(l->number - heard, 0, 1);	       /* the liar's goes over 0 */
		assert_in_range(heard - l->node->peer.promised, 0, 3); /* by its last hello */
		assert_in_range(l->node->lease.lease_end, l->now + DEAD_MS - 3000,
				l->now + DEAD_MS);
	}
	assert_true(l->number < 2000 && l->node->peer.number < 2000);
	liar_free(l);
}

static void after_the_last_number_comes_the_first(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		numbers_begin_anew(i, 100, 500);
		numbers_begin_anew(i, 500, 100);
		numbers_begin_anew(i, 300, 300);
		numbers_begin_anew(i, 3, 900);
	}
}

/* No pair gets so far: a number made up to run into the end is not learnt, and is counted. */
static void an_impossible_epoch_is_ignored(void **state)
{
	struct liar *l = liar_active(true);
	const uint64_t epoch = liar_status(l).epoch, dropped = liar_stats(l)->drop_range;

	(void)state;
	l->lie_epoch = epoch + UINT64_C(0x200000000);
	liar_say_hello(l);
	assert_int_equal(liar_status(l).epoch, epoch);
	assert_int_equal(liar_stats(l)->drop_range, dropped + 1);
	l->lie_epoch = 0;
	liar_pass(l, 3000);
	assert_true(liar_status(l).serving);
	liar_free(l);
}

/* Both are secondary in one epoch, which no rule leads to: the side with the higher books id is
 * primary in the next one. */
static void two_secondaries_in_one_epoch(void **state)
{
	(void)state;
	for (unsigned higher = 0; higher < 2; higher++) {
		struct liar *l = liar_active(false);
		const uint64_t epoch = liar_status(l).epoch;

		l->node->side.books = higher ? l->books + 1 : l->books - 1;
		l->primary = false;
		struct ipsp_msg hello = liar_hello(l);
		hello.u.hello.flags &= ~(uint32_t)IPSP_HF_PRIMARY;
		hello.u.hello.peer_books = l->node->side.books;
		liar_say(l, &hello);
		assert_int_equal(l->node->side.primary, higher);
		assert_int_equal(l->node->side.epoch, epoch + higher);
		liar_free(l);
	}
}

/* What is kept of a lease over a restart is within what the peer can have promised. */
static void a_lease_is_no_longer_than_a_promise(void **state)
{
	struct liar *l = liar_new(false, IPSP_MODE_ACTIVE);
	struct ipsp_lease_note note = {
		.lease_end = l->now + 1000 * DEAD_MS, .alive_at = l->now, .peer_dead_ms = DEAD_MS};
	const struct ipsp_start start = {.now = l->now, .same_boot = true, .lease = &note};

	(void)state;
	ipsp_lease_start(l->node, &start);
	assert_int_equal(l->node->lease.lease_end, l->now + DEAD_MS);
	note.lease_end = l->now + 5;
	ipsp_lease_start(l->node, &start);
	assert_int_equal(l->node->lease.lease_end, l->now + 5);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_numbers),
		cmocka_unit_test(after_the_last_number_comes_the_first),
		cmocka_unit_test(an_impossible_epoch_is_ignored),
		cmocka_unit_test(two_secondaries_in_one_epoch),
		cmocka_unit_test(a_lease_is_no_longer_than_a_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
