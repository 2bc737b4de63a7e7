/*
 * What a later version might say, and a peer with which no version is common: what is known is
 * obeyed, what may be skipped is, and nothing is done that the two could not come back from.
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

/* A word that came later is said to those who know it only. */
static void full_disk_in_the_peers_words(void **state)
{
	const struct ipsp_event full = {.type = IPSP_EV_DISK, .full = true};

	(void)state;
	for (int knows = 0; knows < 2; knows++) {
		struct liar *l = liar_active(true);

		l->capabilities = knows ? IPSP_CAP_DISK_FULL : 0;
		liar_say_hello(l);
		liar_turn(l, &full);
		liar_say_request(l, 4 << 16, l->heard.epoch, 0, 5);
		assert_int_equal(l->refused, knows ? IPSP_ERR_DISK_FULL : IPSP_ERR_OVERLOADED);
		liar_free(l);
	}
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
		assert_int_equal(ipsp_node_differences(l->node, &known), 1);
		assert_non_null(strstr(ipsp_node_difference(l->node, 0),
				       "versions of the protocol: here 1, peer "));
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

/* The node has taken over from a dead peer; then a peer is there that speaks another version. */
static struct liar *taken_over(void)
{
	struct liar *l = liar_active(true);

	liar_say_request(l, 1 << 16, l->heard.epoch, 0, 7); /* which the liar owns from then on */
	liar_take(l, "u1", 1);
	l->mute = true;
	liar_pass(l, 2 * DEAD_MS);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "peer-down");
	l->version_min = 2;
	l->version_max = 3;
	return l;
}

static void comes_back(struct liar *l)
{
	l->mute = false;
	liar_pass(l, 5000);
	assert_true(ipsp_contact(l->node));
	assert_int_equal(liar_status(l).protocol, 0);
}

static void expect_taken(struct liar *l, const char *subscriber, uint32_t index, int err)
{
	liar_take(l, subscriber, index);
	assert_int_equal(l->answered, err);
}

/*
 * Both had taken over, and the peer has heard this side first: its licence has ended before its
 * hellos were heard. What its sessions use is in a report that can't be read here: nothing is given
 * until it is.
 */
static void a_report_without_a_common_version(void **state)
{
	struct liar *l = taken_over();
	struct ipsp_item_writer w;

	(void)state;
	l->report = ++l->sent;
	comes_back(l);
	assert_false(liar_status(l).serving);
	expect_taken(l, "u2", 2, 1);
	liar_pass(l, 2 * DEAD_MS);
	assert_false(liar_status(l).serving);
	assert_int_equal(l->answered, IPSP_ERR_LOCKED);
	l->version_min = l->version_max = 1;
	ipsp_item_begin(&w, l->sent, IPSP_ITEM_REPORT, IPSP_REPORT_END, 0, IPSP_NO_POOL,
			IPSP_SET_WHO);
	liar_pass(l, 2000);
	assert_false(liar_status(l).serving);
	liar_say_item(l, &w, 0);
	l->report = 0;
	liar_pass(l, 5000);
	assert_true(liar_status(l).serving);
	assert_int_equal(liar_stats(l)->state_losses, 0);
	liar_free(l);
}

/* The peer has sessions of before: this side owns what it gives, and gives nothing else. */
static void sessions_without_a_common_version(void **state)
{
	struct liar *l = taken_over();

	(void)state;
	expect_taken(l, "u2", 7, 0); /* nobody is there: by licence */
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_RELEASE,
					  .token = HA,
					  .addr = ipsp_addr_v4(0x0a010008)});
	l->used = 3;
	comes_back(l);
	assert_true(liar_status(l).serving);
	expect_taken(l, "u3", 7, IPSP_ERR_CONFIG_MISMATCH);
	for (unsigned i = 0; i < SIZE - 2; i++) {
		char name[8];

		snprintf(name, sizeof(name), "v%u", i);
		expect_taken(l, name, IPSP_NO_INDEX, 0);
	}
	expect_taken(l, "u3", IPSP_NO_INDEX, IPSP_ERR_CONFIG_MISMATCH);
	l->used = 0;
	liar_pass(l, 2000);
	expect_taken(l, "u3", IPSP_NO_INDEX, 0);
	liar_free(l);
}

/*
 * The host of the side that has taken over was rebooted: its licence rests, as the peer may have
 * taken over meanwhile. It is heard, and has not: the licence is in force again, as nobody else
 * could serve. If it has, nobody serves, force is refused, and the words say what leads out.
 */
static void a_licence_that_rests(void **state)
{
	(void)state;
	for (unsigned both = 0; both < 2; both++) {
		struct liar *l = taken_over();

		liar_reboot(l);
		liar_pass(l, 5000);
		assert_false(liar_status(l).serving);
		l->lie_set = both ? IPSP_HF_LICENCE : 0;
		comes_back(l);
		assert_int_equal(liar_status(l).serving, !both);
		assert_string_equal(ipsp_state_word(liar_status(l).state),
				    both ? "config-mismatch" : "peer-down");
		if (both) {
			struct ipsp_event ev = {.type = IPSP_EV_COMMAND,
						.token = OPERATOR,
						.command = IPSP_CMD_TAKEOVER,
						.force = true};

			liar_turn(l, &ev);
			assert_int_equal(l->done, IPSP_ERR_DENIED);
			assert_non_null(strstr(l->done_text, "stop ipspd on the peer's host"));
			l->mute = true; /* as the words say */
			liar_pass(l, DEAD_MS / 2 + 1000);
			liar_turn(l, &ev);
			liar_pass(l, 1000);
			assert_int_equal(l->done, 0);
		}
		assert_true(liar_status(l).serving);
		expect_taken(l, "u5", IPSP_NO_INDEX, 0);
		l->mute = false;
		l->lie_set = 0;
		l->version_min = l->version_max = 1;
		liar_pass(l, 5000);
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
		cmocka_unit_test(what_a_later_version_says),
		cmocka_unit_test(full_disk_in_the_peers_words),
		cmocka_unit_test(no_version_in_common),
		cmocka_unit_test(a_version_that_leaves),
		cmocka_unit_test(a_licence_without_a_common_version),
		cmocka_unit_test(a_report_without_a_common_version),
		cmocka_unit_test(sessions_without_a_common_version),
		cmocka_unit_test(a_licence_that_rests),
		cmocka_unit_test(items_of_a_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
