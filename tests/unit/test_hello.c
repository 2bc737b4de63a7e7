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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_numbers),
		cmocka_unit_test(after_the_last_number_comes_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
