/*
 * What a peer with the key may say: states that can't be, stale numbers, ranges of no pool, and
 * nonsense. The node stays safe, says so where it should, and is a good peer again as soon as the
 * other one is.
 */
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

/* ---------------------------------------------------------------- states that can't be */

/* Scenario 5: two primaries, two secondaries, an epoch that nobody reaches, numbers that can't be:
 * for a minute each. Nothing is given or lost by them, the log isn't filled, and all is well
 * afterwards. */
static void a_state_that_cannot_be(void **state)
{
	static const struct {
		uint32_t set, clear;
		uint64_t epoch, applied;
	} lies[] = {
		{.set = IPSP_HF_PRIMARY},
		{.set = IPSP_HF_PRIMARY | IPSP_HF_LOAN | IPSP_HF_TERMINATED | IPSP_HF_DRAINING},
		{.epoch = UINT64_MAX},
		{.epoch = UINT64_MAX - 1, .set = IPSP_HF_PRIMARY},
		{.applied = 1000},
		{.set = IPSP_HF_SAME | IPSP_HF_MISMATCH},
		{.set = 0xfff80000U}, /* flags that don't exist */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct liar *l = liar_active(true);
		uint64_t notes, epoch;

		liar_take(l, "u1", 0);
		assert_int_equal(l->answered, 0);
		epoch = liar_status(l).epoch;
		notes = ipsp_node_notes(l->node)->last;
		l->lie_set = lies[i].set;
		l->lie_clear = lies[i].clear;
		l->lie_epoch = lies[i].epoch;
		l->lie_applied = lies[i].applied;
		/* a made-up epoch is no word of a peer: silence, which would end in a takeover */
		liar_pass(l, lies[i].epoch ? 20000 : 60000);
		assert_string_equal(ipsp_role_word(liar_status(l).role), "primary");
		assert_int_equal(liar_status(l).epoch, epoch);
		assert_int_equal(ipsp_pool_counts(l->node->pools[0])->used, 1);
		assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE - 1);
		assert_in_range(ipsp_node_notes(l->node)->last - notes, 0, 3);
		assert_int_equal(liar_stats(l)->takeovers, 0);
		liar_take(l, "u1", IPSP_NO_INDEX); /* what a session has is confirmed always */
		assert_int_equal(l->answered, 0);
		liar_goes_on(l, 77);
		liar_free(l);
	}
}

/* Both say secondary: the side with the greater name of its books takes the role, says so once, and
 * the pair has a primary again. */
static void nobody_is_primary(void **state)
{
	(void)state;
	for (unsigned greater = 0; greater < 2; greater++) {
		struct liar *l = liar_new(false, IPSP_MODE_ACTIVE);
		uint64_t notes;

		l->books = greater ? UINT64_MAX : 1;
		liar_meet(l);
		assert_string_equal(ipsp_role_word(liar_status(l).role), "secondary");
		notes = ipsp_node_notes(l->node)->last;
		l->primary = false;
		liar_pass(l, 5000);
		assert_string_equal(ipsp_role_word(liar_status(l).role),
				    greater ? "secondary" : "primary");
		assert_int_equal(liar_status(l).epoch, greater ? 1 : 2);
		assert_int_equal(ipsp_node_notes(l->node)->last - notes, greater ? 0 : 1);
		if (greater) { /* the liar takes it, as it should */
			l->primary = true;
			l->lie_epoch = 2;
			liar_pass(l, 3000);
			l->lie_epoch = 0;
		}
		liar_pass(l, 5000);
		assert_int_equal(liar_status(l).epoch, 2);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
		assert_true(liar_status(l).serving);
		liar_free(l);
	}
}

/* ---------------------------------------------------------------- nonsense for an answer */

/* Scenario 24: the peer answers nonsense while an operator waits for a takeover and a session for
 * an address. Both are told how it ended, in time, and nothing stays open. */
static void nonsense_for_an_answer(void **state)
{
	struct liar *l = liar_active(false);
	struct ipsp_msg msg = {.type = IPSP_MSG_REFUSE};

	(void)state;
	liar_take(l, "u1", 3);
	assert_int_equal(l->answered, 1); /* the liar is asked */
	liar_pass(l, 100);
	assert_true(l->n_asked > 0);
	liar_command(l, IPSP_CMD_TAKEOVER);
	for (unsigned i = 0; i < 120; i++) {
		static const int32_t errs[] = {77, -5000,     IPSP_REFUSE_EPOCH,
					       0,  INT32_MIN, INT32_MAX};

		msg.u.refuse = (struct ipsp_refuse){.id = i % 2 ? l->asked.id : i,
						    .epoch = i % 3 ? l->heard.epoch : i,
						    .err = errs[i % 6]};
		liar_say(l, &msg);
		liar_pass(l, 100);
	}
	assert_true(l->answered < 0);
	assert_int_equal(l->done, IPSP_ERR_TIMEOUT);
	assert_int_equal(liar_status(l).open_requests, 0);
	assert_string_equal(ipsp_role_word(liar_status(l).role), "secondary");
	liar_goes_on(l, 78);
	liar_free(l);
}

/* ---------------------------------------------------------------- garbage under a good seal */

static uint32_t chance(uint64_t *x, uint32_t n)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (uint32_t)(*x >> 33) % n;
}

/* Scenario 32: malformed ones change nothing at all; well-formed ones of random contents break
 * nothing that one side alone can know (ipsp_node_check after each turn). */
static void garbage_under_a_good_seal(void **state)
{
	uint64_t x = 88172645463325252U;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		struct liar *l = liar_active(round == 0);
		uint64_t dropped = liar_stats(l)->drop_format, digest = ipsp_node_digest(l->node);

		for (unsigned i = 0; i < 2000; i++) { /* a hello that is cut, somewhere */
			uint8_t plain[IPSP_PLAIN_MAX];
			struct ipsp_msg msg = liar_hello(l);
			size_t n = ipsp_msg_put(plain, 0, sizeof(plain), &msg);

			msg.u.hello.epoch = 99;
			liar_say_bytes(l, plain, n - 1 - chance(&x, (uint32_t)n - 1));
		}
		assert_int_equal(liar_stats(l)->drop_format - dropped, 2000);
		assert_int_equal(ipsp_node_digest(l->node), digest);
		for (unsigned i = 0; i < 20000; i++) {
			uint8_t plain[64 + 3];
			size_t n = chance(&x, 64);

			plain[0] = (uint8_t)(2 +
					     chance(&x, 9)); /* all but a hello, and unknown ones */
			plain[1] = 0;
			plain[2] = (uint8_t)n;
			for (size_t b = 0; b < n; b++)
				plain[3 + b] = chance(&x, 3) ? (uint8_t)chance(&x, 4)
							     : (uint8_t)chance(&x, 256);
			liar_say_bytes(l, plain, 3 + n);
			if (i % 500 == 0)
				liar_pass(l, 1000);
		}
		liar_pass(l, 5000);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
		liar_free(l);
	}
}

/* ---------------------------------------------------------------- stale */

/* Scenario 34: what is of an older epoch, of another stream, or applied before is put right, not
 * believed. */
static void stale_is_put_right(void **state)
{
	struct liar *l = liar_active(false);
	struct ipsp_item_writer w;
	uint64_t epoch, digest;
	size_t hellos;

	(void)state;
	l->lie_epoch =
		liar_status(l).epoch + 1; /* the liar yields: an epoch that has an older one */
	l->lie_set = IPSP_HF_YIELD;
	l->primary = false;
	liar_pass(l, 1000);
	l->lie_epoch = l->lie_set = 0;
	liar_pass(l, 5000);
	epoch = liar_status(l).epoch;
	assert_int_equal(epoch, 2);
	assert_string_equal(ipsp_role_word(liar_status(l).role), "primary");
	assert_true(liar_status(l).serving);
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0,
			IPSP_SET_RUNS); /* all that it had */
	ipsp_item_add_run(&w, 0, SIZE);
	liar_say_item(l, &w, 0);
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE);
	liar_pass(l, 2000);
	digest = ipsp_node_digest(l->node);
	liar_say_request(l, 5, epoch - 1, IPSP_NO_POOL, 0); /* of an older epoch */
	assert_int_equal(l->refused, IPSP_REFUSE_EPOCH);
	assert_int_equal(liar_stats(l)->stale_epoch, 1);
	hellos = l->n_hellos;
	l->lie_epoch =
		epoch - 1; /* a hello of an older one is answered by the present one, at once */
	l->lie_set = IPSP_HF_PRIMARY;
	l->now += 100;
	liar_say_hello(l);
	assert_int_equal(l->n_hellos, hellos + 1);
	assert_int_equal(l->heard.epoch, epoch);
	assert_int_equal(ipsp_node_digest(l->node), digest);
	l->lie_epoch = 0;
	l->lie_set = 0;

	liar_say_request(l, 6, epoch, 0, 3); /* the address is given ... */
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE - 1);
	liar_pass(l, 2000);
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0,
			IPSP_SET_RUNS); /* ... and comes back */
	ipsp_item_add_run(&w, 3, 1);
	liar_say_item(l, &w, 1); /* of a stream that is no more: not taken */
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE - 1);
	assert_true(liar_stats(l)->drop_state > 0);
	ipsp_item_begin(&w, l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 3, 1);
	liar_say_item(l, &w, 0);
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE);
	liar_pass(l, 2000);
	liar_say_request(l, 0x70000, epoch, 0,
			 3); /* given once more, and the old item comes again */
	liar_pass(l, 2000);
	digest = ipsp_node_digest(l->node);
	liar_say_item(l, &w, 0);
	assert_int_equal(liar_stats(l)->items_stale, 1);
	assert_int_equal(ipsp_node_digest(l->node), digest);
	liar_goes_on(l, 0x80000);
	liar_free(l);
}

/* ---------------------------------------------------------------- a peer that falls behind */

/* Scenario 37: it says hello and acknowledges nothing. The number and its age are there to be seen,
 * and after as long as would be a loss it is said, once; and again when it is over. */
static void silent_desynchronisation(void **state)
{
	struct liar *l = liar_active(true);
	uint64_t notes;

	(void)state;
	assert_int_equal(liar_status(l).unacked_ms, IPSP_NEVER);
	assert_int_equal(liar_status(l).applied_ms, IPSP_NEVER);
	l->no_acks = true;
	liar_say_request(l, 1 << 16, l->heard.epoch, IPSP_NO_POOL, 0);
	notes = ipsp_node_notes(l->node)->last;
	liar_pass(l, 8000);
	assert_in_range(liar_status(l).unacked_ms, 7000, 8000);
	assert_int_equal(liar_status(l).sent - liar_status(l).acked, 1);
	assert_int_equal(liar_stats(l)->stalls, 0);
	liar_pass(l, 60000);
	assert_int_equal(liar_stats(l)->stalls, 1);
	assert_int_equal(ipsp_node_notes(l->node)->last, notes + 1);
	assert_non_null(strstr(ipsp_note_get(ipsp_node_notes(l->node), notes + 1)->text,
			       "acknowledges nothing since item"));
	assert_true(liar_status(l).stalled);
	assert_in_range(liar_status(l).stalled_bytes, 50, IPSP_DGRAM_MAX);
	l->no_acks = false;
	liar_pass(l, 2000);
	assert_int_equal(ipsp_node_notes(l->node)->last, notes + 2);
	assert_int_equal(liar_status(l).unacked_ms, IPSP_NEVER);
	liar_free(l);

	l = liar_active(false); /* and what it applied of the peer's */
	assert_int_equal(liar_status(l).applied, 1);
	liar_pass(l, 30000);
	assert_in_range(liar_status(l).applied_ms, 30000, 35000);
	liar_free(l);
}

/* Requests that the peer has no word for, as datagrams of that size are dropped: said once, and
 * when it is over. */
static void requests_without_a_word(void **state)
{
	struct liar *l = liar_active(false);
	const struct ipsp_event ask = {
		.type = IPSP_EV_REQUEST, .id = OPERATOR, .ident = {"u1", "", 2, 0, 0}};
	struct ipsp_msg refuse = {.type = IPSP_MSG_REFUSE};

	(void)state;
	const uint64_t notes = ipsp_node_notes(l->node)->last;
	for (int i = 0; i < 2; i++) {
		liar_turn(l, &ask);
		assert_true(l->n_asked > 0);
		liar_pass(l, 5000);
		assert_int_equal(l->answered, IPSP_ERR_TIMEOUT);
		assert_int_equal(liar_stats(l)->requests_unanswered, i + 1);
	}
	assert_int_equal(liar_status(l).unanswered, 2);
	assert_in_range(liar_status(l).unanswered_bytes, 50, IPSP_DGRAM_MAX);
	assert_int_equal(ipsp_node_notes(l->node)->last, notes + 1);
	assert_non_null(strstr(ipsp_note_get(ipsp_node_notes(l->node), notes + 1)->text,
			       "had no word for 1 request in 3000 ms"));
	liar_turn(l, &ask);
	refuse.u.refuse = (struct ipsp_refuse){l->asked.id, l->heard.epoch, IPSP_ERR_EXHAUSTED};
	liar_say(l, &refuse);
	assert_int_equal(liar_status(l).unanswered, 0);
	assert_int_equal(ipsp_node_notes(l->node)->last, notes + 2);
	liar_free(l);
}

/* ---------------------------------------------------------------- outside of the pools */

/* Scenario 35: refused with a reason, and counted; the books stay as they are. */
static void outside_of_the_pools(void **state)
{
	struct liar *l = liar_active(true);
	static const struct {
		uint16_t pool;
		uint32_t start, count;
	} runs[] = {{9, 0, 4}, {0, SIZE, 4}, {0, SIZE - 2, 1000}, {0xfffe, 7, 1}};
	uint64_t dropped;

	(void)state;
	liar_say_request(l, 1, l->heard.epoch, 0, SIZE);
	assert_int_equal(l->refused, IPSP_ERR_NOT_IN_POOL);
	liar_say_request(l, 2 << 16, l->heard.epoch, 9, 0);
	assert_int_equal(l->refused, IPSP_ERR_NOT_IN_POOL);
	assert_int_equal(liar_stats(l)->drop_range, 2);
	for (size_t i = 0; i < 4; i++) {
		struct ipsp_item_writer w;

		dropped = liar_stats(l)->drop_range;
		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, runs[i].pool, IPSP_SET_RUNS);
		ipsp_item_add_run(&w, runs[i].start, runs[i].count);
		liar_say_item(l, &w, 0);
		assert_int_equal(liar_stats(l)->drop_range, dropped + 1);
		assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE);
		ipsp_item_begin(&w, ++l->sent, i % 2 ? IPSP_ITEM_REPORT : IPSP_ITEM_DROP, 0, 0,
				runs[i].pool, IPSP_SET_WHO);
		ipsp_item_add_who(&w, runs[i].start == SIZE - 2 ? SIZE : runs[i].start, "u9", 2);
		liar_say_item(l, &w, 0);
		assert_int_equal(liar_stats(l)->drop_range, dropped + 2);
		assert_int_equal(liar_status(l).applied,
				 l->sent); /* the stream isn't stopped by it */
	}
	liar_goes_on(l, 4 << 16);
	liar_free(l);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_that_cannot_be),
		cmocka_unit_test(nobody_is_primary),
		cmocka_unit_test(nonsense_for_an_answer),
		cmocka_unit_test(garbage_under_a_good_seal),
		cmocka_unit_test(stale_is_put_right),
		cmocka_unit_test(silent_desynchronisation),
		cmocka_unit_test(requests_without_a_word),
		cmocka_unit_test(outside_of_the_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
