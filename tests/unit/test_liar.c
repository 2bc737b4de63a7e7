/*
 * What a peer with the key may say: states that can't be, stale numbers, ranges of no pool,
 * nonsense, and what a later version might say. The node stays safe, says so where it should, and
 * is a good peer again as soon as the other one is.
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

/* ---------------------------------------------------------------- late answers of an HA */

static void ha_says(struct liar *l, enum ipsp_event_type type, uint64_t id, uint32_t index)
{
	struct ipsp_event ev = {.type = type, .token = HA, .id = id, .ha_name = "ha"};

	if (index != IPSP_NO_INDEX)
		ev.addr = ipsp_addr_v4(0x0a010001 + index);
	liar_turn(l, &ev);
}

/* The liar asks for the address of its own subscriber's session here; returns the event's number.
 */
static uint64_t handoff(struct liar *l, uint64_t id, uint32_t index)
{
	uint64_t before = l->event;

	liar_say_request(l, id, l->heard.epoch, 0, index);
	assert_int_not_equal(l->event, before);
	return l->event;
}

static uint32_t used(struct liar *l)
{
	return ipsp_pool_counts(l->node->pools[0])->used;
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
	ha_says(l, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
	liar_take(l, "u7", 3);
	first = handoff(l, 1 << 16, 3);
	liar_pass(l, 5000);
	assert_int_equal(l->cancelled, first);
	ha_says(l, IPSP_EV_RELEASE, 8, 3); /* the session ends, and comes again */
	assert_int_equal(used(l), 0);
	liar_take(l, "u7", 3);
	liar_pass(l, 3600000);
	second = handoff(l, 2 << 16, 3);
	ha_says(l, IPSP_EV_RELEASED, first, 3);
	assert_int_equal(used(l), 1);
	ha_says(l, IPSP_EV_RELEASED, 12345, 3); /* of another process */
	assert_int_equal(used(l), 1);
	ha_says(l, IPSP_EV_RELEASED, second, 4); /* of another address */
	assert_int_equal(used(l), 1);
	applied = l->applied;
	ha_says(l, IPSP_EV_RELEASED, second, 3);
	assert_int_equal(used(l), 0);
	assert_int_equal(l->applied, applied + 1);
	ha_says(l, IPSP_EV_RELEASED, second, 3); /* answered already */
	liar_free(l);
}

/* The answer to a cancelled event is an ordinary release, by number at any time. */
static void a_cancelled_event_is_answered_late(void **state)
{
	(void)state;
	for (unsigned wait = 0; wait < 2; wait++) {
		struct liar *l = liar_active(true);
		uint64_t first;

		ha_says(l, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
		liar_take(l, "u7", 3);
		first = handoff(l, 1 << 16, 3);
		liar_pass(l, wait ? 3600000 : 5000);
		assert_int_equal(l->cancelled, first);
		assert_int_equal(used(l), 1);
		if (wait) { /* a second one is open: the session has ended for that as well */
			assert_true(handoff(l, 2 << 16, 3) > first);
			ha_says(l, IPSP_EV_RELEASED, first, 3);
			assert_int_equal(l->last_item.request, 2 << 16);
		} else {
			ha_says(l, IPSP_EV_RELEASED, first, 3);
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

		ha_says(l, IPSP_EV_ATTACH, 0, IPSP_NO_INDEX);
		liar_take(l, "u7", 3);
		handoff(l, 1 << 16, 3);
		liar_pass(l, 5000);
		ha_says(l, IPSP_EV_RELEASE, 8, 3);
		liar_take(l, "u7", 3);
		liar_pass(l, late ? 600000 : 60000);
		handoff(l, 2 << 16, 3);
		ha_says(l, IPSP_EV_RELEASED, 0, 3);
		assert_int_equal(used(l), !late);
		ha_says(l, IPSP_EV_RELEASED, 0, 3);
		assert_int_equal(used(l), 0);
		liar_free(l);
	}
}

/* ---------------------------------------------------------------- a later version */

/* Scenario 52: messages and fields that this version doesn't know are skipped, and what is beside
 * them is obeyed. */
static void what_a_later_version_says(void **state)
{
	struct liar *l = liar_active(true);
	uint8_t plain[IPSP_PLAIN_MAX];
	struct ipsp_msg msg;
	size_t n = 0, body;
	uint64_t applied, format = liar_stats(l)->drop_format;

	(void)state;
	memcpy(plain, "\xc8\0\5later", 8); /* an unknown message before ... */
	n = 8;
	msg = liar_hello(l);
	msg.u.hello.version_max = 9; /* ... a hello that says more, with 11 bytes behind ... */
	msg.u.hello.capabilities = 0xffffffff;
	msg.u.hello.flags |= 0xff000000;
	body = n;
	n = ipsp_msg_put(plain, n, sizeof(plain), &msg);
	memset(plain + n, 0xee, 11);
	n += 11;
	plain[body + 1] = (uint8_t)((n - body - 3) >> 8);
	plain[body + 2] = (uint8_t)(n - body - 3);
	memcpy(plain + n, "\xff\0\0", 3); /* ... another unknown one, empty, and a request */
	n += 3;
	msg = (struct ipsp_msg){.type = IPSP_MSG_REQUEST};
	msg.u.request = (struct ipsp_request){.id = 3,
					      .epoch = l->heard.epoch,
					      .pool = IPSP_NO_POOL,
					      .at_pool = 0,
					      .at_index = 4,
					      .count = 1,
					      .ident = {"u", "", 1, 0, 0}};
	n = ipsp_msg_put(plain, n, sizeof(plain), &msg);
	applied = l->applied;
	liar_say_bytes(l, plain, n);
	assert_int_equal(l->applied, applied + 1);
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->free, SIZE - 1);
	assert_int_equal(liar_stats(l)->drop_format, format);
	assert_int_equal(l->heard.version_max, IPSP_VERSION); /* its own range is said */
	assert_int_equal(l->heard.capabilities, IPSP_CAPABILITIES);
	assert_int_equal(liar_status(l).peer_capabilities, IPSP_CAPABILITIES); /* of those known */
	assert_int_equal(liar_status(l).protocol, 1);
	liar_goes_on(l, 4 << 16);
	liar_free(l);
}

static const char *note_of(struct liar *l, uint64_t number)
{
	const struct ipsp_note *note = ipsp_note_get(ipsp_node_notes(l->node), number);
	return note ? note->text : "";
}

static unsigned notes_with(struct liar *l, const char *words)
{
	unsigned n = 0;

	for (uint64_t i = 1; i <= ipsp_node_notes(l->node)->last; i++)
		n += strstr(note_of(l, i), words) != NULL;
	return n;
}

/* A peer that speaks other versions from the first hello on. Nothing is shared, it is said once on
 * which side the remedy is, and a primary goes on serving alone. */
static void no_version_in_common(void **state)
{
	static const struct {
		uint8_t min, max;
		const char *words;
	} ranges[] = {
		{2, 3,
		 "this side (ipspd 1.0.0) speaks 1, the peer (ipspd liar) 2 to 3: nothing is "
		 "shared until ipspd on this host is upgraded"},
		{0, 0,
		 "this side (ipspd 1.0.0) speaks 1, the peer (ipspd liar) 0: nothing is "
		 "shared until ipspd on the peer's host is upgraded"},
		{9, 1, "this side (ipspd 1.0.0) speaks 1, the peer (ipspd liar) 9 to 1"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct liar *l = liar_new(i % 2, IPSP_MODE_ACTIVE);
		const char *const *lines;
		bool known;

		l->version_min = ranges[i / 2].min;
		l->version_max = ranges[i / 2].max;
		liar_pass(l, 8000);
		if (l->primary)
			liar_first_assignment(l);
		liar_pass(l, 120000);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "config-mismatch");
		assert_int_equal(liar_status(l).protocol, 0);
		assert_int_equal(liar_status(l).peer_protocol_max, ranges[i / 2].max);
		assert_true(ipsp_contact(l->node)); /* a difference is no silence */
		assert_int_equal(liar_stats(l)->takeovers + liar_stats(l)->peer_losses, 0);
		assert_int_equal(notes_with(l, "no version of the protocol is common"), 1);
		assert_int_equal(notes_with(l, ranges[i / 2].words), 1);
		assert_int_equal(ipsp_node_differences(l->node, &lines, &known), 1);
		assert_non_null(strstr(lines[0], "versions of the protocol: here 1, peer "));
		assert_true(l->heard.flags & IPSP_HF_MISMATCH);
		assert_false(l->heard.flags & (IPSP_HF_SHARED | IPSP_HF_SAME));
		assert_int_equal(l->heard.sent + l->heard.applied, 0);
		liar_command(l, IPSP_CMD_CHECK);
		liar_pass(l, 100);
		assert_int_equal(l->done, IPSP_ERR_CONFIG_MISMATCH);
		liar_take(l, "u1", IPSP_NO_INDEX);
		assert_int_equal(l->answered, l->primary ? IPSP_ERR_CONFIG_MISMATCH : 0);
		liar_free(l);
	}
}

/* The same of a peer that has shared: the lease goes on, sessions stay, nothing is said but hellos
 * and nothing else is obeyed. Then it is put back, and all goes on. */
static void a_version_that_leaves(void **state)
{
	(void)state;
	for (unsigned primary = 0; primary < 2; primary++) {
		struct liar *l = liar_active(primary);
		struct ipsp_item_writer w;
		uint64_t digest, dropped, applied;
		size_t asked;

		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
		ipsp_item_add_run(&w, 2, 3);
		liar_say_item(l, &w, 0);
		liar_take(l, "u1", 3);
		assert_int_equal(l->answered, 0);
		liar_pass(l, 3000);
		l->version_min = 2;
		l->version_max = 3;
		liar_pass(l, 1000);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "config-mismatch");
		digest = ipsp_node_digest(l->node);
		dropped = liar_stats(l)->drop_version;
		applied = l->applied;
		asked = l->n_asked;
		liar_say_request(l, 1 << 16, l->heard.epoch, 0, 7);
		ipsp_item_begin(&w, l->sent + 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
		ipsp_item_add_run(&w, 9, 1);
		liar_say_item(l, &w, 0);
		liar_pass(l, 4 * DEAD_MS);
		assert_true(liar_stats(l)->drop_version > dropped + 2);
		assert_int_equal(ipsp_node_digest(l->node), digest);
		assert_int_equal(l->applied, applied);
		assert_true(liar_status(l).serving);
		assert_int_equal(liar_stats(l)->takeovers + liar_stats(l)->peer_losses, 0);
		assert_int_equal(liar_stats(l)->stalls, 0);
		liar_take(l, "u1", IPSP_NO_INDEX); /* what it has is confirmed ... */
		assert_int_equal(l->answered, 0);
		liar_take(l, "u2", IPSP_NO_INDEX); /* ... what is owned here is given ... */
		assert_int_equal(l->answered, 0);
		if (!primary) { /* ... and nobody is asked for more */
			liar_take(l, "u3", 12);
			assert_int_equal(l->answered, IPSP_ERR_CONFIG_MISMATCH);
			liar_command(l, IPSP_CMD_TAKEOVER);
			assert_int_equal(l->done, IPSP_ERR_CONFIG_MISMATCH);
		}
		liar_command(l, IPSP_CMD_TERMINATE);
		assert_int_equal(l->done, IPSP_ERR_CONFIG_MISMATCH);
		assert_int_equal(l->n_asked, asked);
		l->version_min = l->version_max = 1;
		liar_pass(l, 3000);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
		liar_goes_on(l, 2 << 16);
		liar_free(l);
	}
}

/*
 * A side that has taken over hears its peer again, which speaks another version. Nothing can be
 * healed. The peer gets no promise and so serves nothing; this side goes on with its licence,
 * unless the peer says that it has one, too: then both stop. In a common version it heals.
 */
static void a_licence_without_a_common_version(void **state)
{
	(void)state;
	for (unsigned both = 0; both < 2; both++) {
		struct liar *l = liar_active(true);

		liar_take(l, "u1", IPSP_NO_INDEX);
		l->mute = true;
		liar_pass(l, 2 * DEAD_MS);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "peer-down");
		l->mute = false;
		l->version_min = 2;
		l->version_max = 3;
		l->lie_set = both ? IPSP_HF_LICENCE : 0;
		liar_pass(l, 2 * DEAD_MS);
		assert_true(ipsp_contact(l->node));
		assert_int_equal(liar_status(l).serving, !both);
		assert_string_equal(ipsp_state_word(liar_status(l).state),
				    both ? "config-mismatch" : "peer-down");
		assert_int_equal(notes_with(l, "no version of the protocol is common"), 1);
		assert_int_equal(l->heard.promised, 0); /* in this session of keys */
		assert_int_equal(liar_stats(l)->takeovers, 1);
		l->version_min = l->version_max = 1;
		l->lie_set = 0;
		liar_pass(l, 5000);
		assert_int_equal(liar_stats(l)->heals, 1);
		assert_true(liar_status(l).serving);
		assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
		liar_free(l);
	}
}

/* Items that this version doesn't know: one that may be skipped is applied as nothing, wherever it
 * comes, and acknowledged when that is durable; any other stops the stream until it is known, which
 * is said once. A repeat changes nothing. */
static void items_of_a_later_version(void **state)
{
	struct liar *l = liar_active(false);
	struct ipsp_item_writer w;
	uint64_t drop = liar_stats(l)->drop_format;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0xff, 1, 3, IPSP_SET_RUNS);
		w.n += 20 * (size_t)i;
		w.bytes[IPSP_ITEM_AT_TYPE] = (uint8_t)(128 + 60 * i);
		w.bytes[20] = 99;
		liar_say_item(l, &w, 0);
		assert_int_equal(liar_status(l).applied, l->sent);
		assert_int_equal(l->node->stream.ack_due, l->sent);
		liar_say_item(l, &w, 0);
	}
	assert_int_equal(liar_stats(l)->items_skipped, 3);
	assert_int_equal(liar_stats(l)->items_stale, 3);
	/* one that comes before its turn */
	ipsp_item_begin(&w, l->sent + 2, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	w.bytes[IPSP_ITEM_AT_TYPE] = 200;
	liar_say_item(l, &w, 0);
	ipsp_item_begin(&w, l->sent + 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 2, 3);
	liar_say_item(l, &w, 0);
	l->sent += 2;
	assert_int_equal(liar_status(l).applied, l->sent);
	assert_int_equal(liar_stats(l)->items_skipped, 4);
	assert_int_equal(liar_stats(l)->drop_format, drop);
	assert_int_equal(liar_status(l).stands_at, 0);

	/* one that may not be skipped; what is behind it waits */
	ipsp_item_begin(&w, l->sent + 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	w.bytes[IPSP_ITEM_AT_TYPE] = 77;
	for (unsigned i = 0; i < 10; i++)
		liar_say_item(l, &w, 0);
	ipsp_item_begin(&w, l->sent + 2, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 10, 1);
	liar_say_item(l, &w, 0);
	liar_pass(l, 2 * DEAD_MS);
	assert_int_equal(liar_status(l).applied, l->sent);
	assert_int_equal(liar_status(l).stands_at, l->sent + 1);
	assert_int_equal(liar_stats(l)->items_unknown, 10);
	assert_int_equal(notes_with(l, "of type 77, is of a later version"), 1);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "active"); /* it serves on */
	liar_take(l, "u1", IPSP_NO_INDEX);
	assert_int_equal(l->answered, 0);
	/* in place of it one that is known, as after an upgrade of this side */
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 9, 1);
	liar_say_item(l, &w, 0);
	l->sent++;
	assert_int_equal(liar_status(l).applied, l->sent);
	assert_int_equal(liar_status(l).stands_at, 0);
	liar_goes_on(l, 5 << 16);
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
		cmocka_unit_test(outside_of_the_pools),
		cmocka_unit_test(an_answer_names_its_event),
		cmocka_unit_test(a_cancelled_event_is_answered_late),
		cmocka_unit_test(an_answer_without_a_number),
		cmocka_unit_test(what_a_later_version_says),
		cmocka_unit_test(no_version_in_common),
		cmocka_unit_test(a_version_that_leaves),
		cmocka_unit_test(a_licence_without_a_common_version),
		cmocka_unit_test(items_of_a_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
