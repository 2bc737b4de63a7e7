/* libipsp's connection without I/O: the daemon is played by frames that are fed to it. */
#include "base/ctlmsg.h"
#include "ipsp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct ipsp_ctl_msg hello = {.type = IPSP_CTL_HELLO,
					  .magic = IPSP_CTL_MAGIC,
					  .min = 1,
					  .max = 1,
					  .program = {"1.2.3", 5}};

static struct ipsp_conn *new_conn(void)
{
	struct ipsp_conn *conn = ipsp_conn_new("test");

	assert_non_null(conn);
	return conn;
}

/* The daemon says @msg. */
static void say(struct ipsp_conn *conn, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_buf buf = {0};

	assert_int_equal(ipsp_ctl_put(&buf, msg), 0);
	assert_int_equal(ipsp_conn_feed(conn, buf.data, buf.len), 0);
	ipsp_buf_fini(&buf);
}

static struct ipsp_conn *ready_conn(void)
{
	struct ipsp_conn *conn = new_conn();
	struct ipsp_conn_msg msg;
	const void *bytes;

	say(conn, &hello);
	assert_int_equal(ipsp_conn_next(conn, &msg), 1);
	assert_int_equal(msg.type, IPSP_CONN_READY);
	assert_string_equal(msg.text, "1.2.3");
	ipsp_conn_wrote(conn, ipsp_conn_output(conn, &bytes));
	return conn;
}

/* What the connection wants to write is one frame: returned, borrowing from the connection. */
static struct ipsp_ctl_msg asked(struct ipsp_conn *conn)
{
	struct ipsp_ctl_msg msg = {0};
	const void *bytes;
	size_t used, n = ipsp_conn_output(conn, &bytes);

	assert_int_equal(ipsp_ctl_next(bytes, n, &used, &msg), 1);
	assert_int_equal(used, n);
	return msg;
}

static struct ipsp_address address(const char *text)
{
	struct ipsp_address address;

	assert_int_equal(ipsp_address_parse(text, &address), 0);
	return address;
}

static void assert_text(struct ipsp_ctl_str s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	if (s.n > 0)
		assert_memory_equal(s.p, text, s.n);
}

/* ---------------------------------------------------------------- what is asked */

static void it_says_hello_by_itself(void **state)
{
	struct ipsp_conn *conn = new_conn();
	struct ipsp_ctl_msg msg = asked(conn);

	(void)state;
	assert_int_equal(msg.type, IPSP_CTL_HELLO);
	assert_int_equal(ipsp_ctl_version(&msg), IPSP_CTL_VERSION);
	assert_text(msg.program, "test");
	ipsp_conn_free(conn);
	ipsp_conn_free(NULL);
}

static void a_request_says_all_of_it(void **state)
{
	struct ipsp_conn *conn = ready_conn();
	struct ipsp_address at = address("10.1.0.5");
	struct ipsp_conn_request request = {"u1@isp", "s1", "pool-a", NULL, &at};
	struct ipsp_ctl_msg msg;

	(void)state;
	assert_int_equal(ipsp_conn_request(conn, 77, &request), 0);
	msg = asked(conn);
	assert_int_equal(msg.type, IPSP_CTL_REQUEST);
	assert_int_equal(msg.id, 77);
	assert_true(ipsp_addr_eq(msg.addr, ipsp_addr_v4(0x0a010005)));
	assert_text(msg.subscriber, "u1@isp");
	assert_text(msg.session, "s1");
	assert_text(msg.pool, "pool-a");
	assert_text(msg.group, "");
	ipsp_conn_free(conn);
}

static void bad_texts_are_refused_and_nothing_is_queued(void **state)
{
	struct ipsp_conn *conn = ready_conn();
	char longest[255] = "", name[33] = "";
	struct ipsp_conn_request request = {.subscriber = longest};
	const void *bytes;

	(void)state;
	assert_int_equal(ipsp_conn_request(conn, 1, &request), IPSP_ERR_INVALID); /* empty */
	request.subscriber = NULL;
	assert_int_equal(ipsp_conn_request(conn, 1, &request), IPSP_ERR_INVALID);
	memset(longest, 'x', 254);
	request.subscriber = longest;
	assert_int_equal(ipsp_conn_request(conn, 1, &request), IPSP_ERR_INVALID); /* 254 */
	request.subscriber = "a\nb";
	assert_int_equal(ipsp_conn_request(conn, 1, &request), IPSP_ERR_INVALID);
	request.subscriber = "a";
	request.session = "\xff";
	assert_int_equal(ipsp_conn_request(conn, 1, &request), IPSP_ERR_INVALID);
	memset(name, 'n', 32);
	assert_int_equal(ipsp_conn_attach(conn, 1, NULL, name), IPSP_ERR_INVALID);
	assert_int_equal(ipsp_conn_attach(conn, 1, NULL, ""), IPSP_ERR_INVALID);
	assert_int_equal(ipsp_conn_output(conn, &bytes), 0);
	longest[253] = name[31] = '\0';
	request.subscriber = longest, request.session = NULL;
	assert_int_equal(ipsp_conn_request(conn, 1, &request), 0);
	assert_int_equal(ipsp_conn_attach(conn, 1, NULL, name), 0);
	ipsp_conn_free(conn);
}

static void everything_can_be_asked(void **state)
{
	struct ipsp_conn *conn = ready_conn();
	struct ipsp_address at = address("2001:db8::1");
	struct ipsp_conn_filter filter = {"p", "s", 9};
	const enum ipsp_ctl_type types[] = {IPSP_CTL_ATTACH, IPSP_CTL_RELEASE, IPSP_CTL_RELEASED,
					    IPSP_CTL_LIST,   IPSP_CTL_COMMAND, IPSP_CTL_SHOW};
	struct ipsp_ctl_msg msg;
	const void *bytes;
	size_t n, used;

	(void)state;
	assert_int_equal(ipsp_conn_attach(conn, 1, "isp1", NULL), 0);
	assert_int_equal(ipsp_conn_release(conn, 2, &at), 0);
	assert_int_equal(ipsp_conn_released_event(conn, 77, &at), 0);
	assert_int_equal(ipsp_conn_list(conn, 3), 0);
	assert_int_equal(ipsp_conn_command(conn, 4, NULL, "takeover", NULL, IPSP_COMMAND_FORCE), 0);
	assert_int_equal(ipsp_conn_show(conn, 5, "isp1", "log", &filter), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		n = ipsp_conn_output(conn, &bytes);
		assert_int_equal(ipsp_ctl_next(bytes, n, &used, &msg), 1);
		assert_int_equal(msg.type, types[i]);
		if (types[i] == IPSP_CTL_COMMAND)
			assert_int_equal(msg.flags, IPSP_CTL_FORCE);
		if (types[i] == IPSP_CTL_SHOW)
			assert_int_equal(msg.n, 9);
		ipsp_conn_wrote(conn, used);
	}
	assert_int_equal(ipsp_conn_output(conn, &bytes), 0);
	ipsp_conn_free(conn);
}

/* A socket that takes one byte at a time gets the same bytes in the same order. */
static void output_survives_short_writes(void **state)
{
	struct ipsp_conn *conn = ready_conn();
	uint8_t taken[400];
	size_t n = 0, used, at = 0;
	struct ipsp_ctl_msg msg;
	const void *bytes;

	(void)state;
	for (uint64_t id = 0; id < 10; id++) {
		ipsp_conn_list(conn, id);
		for (int i = 0; i < 5 && ipsp_conn_output(conn, &bytes) > 0; i++) {
			taken[n++] = *(const uint8_t *)bytes;
			ipsp_conn_wrote(conn, 1);
		}
	}
	while (ipsp_conn_output(conn, &bytes) > 0) {
		taken[n++] = *(const uint8_t *)bytes;
		ipsp_conn_wrote(conn, 1);
	}
	for (uint64_t id = 0; id < 10; id++) {
		assert_int_equal(ipsp_ctl_next(taken + at, n - at, &used, &msg), 1);
		assert_int_equal(msg.id, id);
		at += used;
	}
	assert_int_equal(at, n);
	ipsp_conn_free(conn);
}

/* ---------------------------------------------------------------- what is said */

static const struct ipsp_ctl_msg answers[] = {
	{.type = IPSP_CTL_HELLO,
	 .magic = IPSP_CTL_MAGIC,
	 .min = 1,
	 .max = 1,
	 .program = {"1.2.3", 5}},
	{.type = IPSP_CTL_DONE, .id = 1, .err = IPSP_ERR_UNKNOWN_CONTEXT, .text = {"which", 5}},
	{.type = IPSP_CTL_ANSWER,
	 .id = 2,
	 .addr = {0, 0xffff0a010005ULL},
	 .plen = 32,
	 .pool = {"pool-a", 6}},
	{.type = IPSP_CTL_SESSION,
	 .id = 3,
	 .addr = {0x20010db800000000ULL, 1},
	 .plen = 64,
	 .pool = {"six", 3},
	 .subscriber = {"u", 1},
	 .session = {"s", 1}},
	{.type = IPSP_CTL_EVENT,
	 .addr = {0, 0xffff0a010005ULL},
	 .reason = 1,
	 .event = 9876543210,
	 .subscriber = {"u", 1}},
	{.type = IPSP_CTL_CANCELLED, .addr = {0, 0xffff0a010005ULL}, .event = 9876543210},
	{.type = IPSP_CTL_STATE,
	 .context = {"isp1", 4},
	 .role = {"primary", 7},
	 .state = {"active", 6}},
	{.type = IPSP_CTL_TEXT, .id = 4, .text = {"{}", 2}},
	{.type = IPSP_CTL_BYE, .err = IPSP_ERR_DENIED, .text = {"bye", 3}},
};
#define N_ANSWERS (sizeof(answers) / sizeof(answers[0]))

static void assert_answer(size_t i, const struct ipsp_conn_msg *msg)
{
	static const enum ipsp_conn_type types[N_ANSWERS] = {
		IPSP_CONN_READY,   IPSP_CONN_DONE,    IPSP_CONN_ANSWER,
		IPSP_CONN_SESSION, IPSP_CONN_RELEASE, IPSP_CONN_CANCELLED,
		IPSP_CONN_STATE,   IPSP_CONN_JSON,    IPSP_CONN_BYE};
	const struct ipsp_ctl_msg *in = &answers[i];
	char text[IPSP_ADDRESS_TEXT];

	assert_int_equal(msg->type, types[i]);
	assert_int_equal(msg->id, in->event ? in->event : in->id);
	assert_int_equal(msg->err, in->err);
	assert_int_equal(msg->plen, in->plen);
	assert_int_equal(msg->reason, in->reason);
	assert_text(in->pool, msg->pool);
	assert_text(in->subscriber, msg->subscriber);
	assert_text(in->session, msg->session);
	assert_text(in->context, msg->context);
	assert_text(in->role, msg->role);
	assert_text(in->state, msg->state);
	assert_text(i == 0 ? in->program : in->text, msg->text);
	assert_int_equal(msg->n_text, strlen(msg->text));
	if (msg->type == IPSP_CONN_ANSWER)
		assert_string_equal(ipsp_address_text(&msg->address, text, sizeof(text)),
				    "10.1.0.5");
	if (msg->type == IPSP_CONN_SESSION)
		assert_string_equal(ipsp_address_text(&msg->address, text, sizeof(text)),
				    "2001:db8::1");
}

static void said(struct ipsp_buf *buf)
{
	for (size_t i = 0; i < N_ANSWERS; i++)
		assert_int_equal(ipsp_ctl_put(buf, &answers[i]), 0);
}

/* All bytes in two portions, cut at every place; and one by one. */
static void reads_split_anywhere(void **state)
{
	struct ipsp_buf buf = {0};
	struct ipsp_conn_msg msg;

	(void)state;
	said(&buf);
	for (size_t cut = 0; cut <= buf.len; cut++) {
		struct ipsp_conn *conn = new_conn();
		size_t i = 0;

		assert_int_equal(ipsp_conn_feed(conn, buf.data, cut), 0);
		while (ipsp_conn_next(conn, &msg) == 1)
			assert_answer(i++, &msg);
		assert_int_equal(ipsp_conn_feed(conn, buf.data + cut, buf.len - cut), 0);
		while (ipsp_conn_next(conn, &msg) == 1)
			assert_answer(i++, &msg);
		assert_int_equal(i, N_ANSWERS);
		ipsp_conn_free(conn);
	}
	ipsp_buf_fini(&buf);
}

static void reads_of_one_byte(void **state)
{
	struct ipsp_conn *conn = new_conn();
	struct ipsp_buf buf = {0};
	struct ipsp_conn_msg msg;
	size_t i = 0;

	(void)state;
	said(&buf);
	for (size_t at = 0; at < buf.len; at++) {
		assert_int_equal(ipsp_conn_feed(conn, buf.data + at, 1), 0);
		while (ipsp_conn_next(conn, &msg) == 1)
			assert_answer(i++, &msg);
	}
	assert_int_equal(i, N_ANSWERS);
	ipsp_buf_fini(&buf);
	ipsp_conn_free(conn);
}

static void nothing_but_a_daemon_is_accepted(void **state)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n";
	struct ipsp_conn *conn = new_conn();
	struct ipsp_conn_msg msg;

	(void)state;
	assert_int_equal(ipsp_conn_next(conn, &msg), 0);
	ipsp_conn_feed(conn, http, sizeof(http) - 1);
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_FORMAT);
	ipsp_conn_feed(conn, http, 1);
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_FORMAT); /* it stays so */
	ipsp_conn_free(conn);

	conn = new_conn(); /* frames, but no HELLO first */
	say(conn, &answers[1]);
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_FORMAT);
	ipsp_conn_free(conn);

	conn = ready_conn(); /* a second HELLO */
	say(conn, &hello);
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_FORMAT);
	ipsp_conn_free(conn);

	conn = ready_conn(); /* what a daemon never says */
	say(conn, &(struct ipsp_ctl_msg){.type = IPSP_CTL_LIST});
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_FORMAT);
	ipsp_conn_free(conn);
}

static void another_version_is_said(void **state)
{
	struct ipsp_conn *conn = new_conn();
	struct ipsp_ctl_msg later = hello;
	struct ipsp_conn_msg msg;

	(void)state;
	later.min = later.max = IPSP_CTL_VERSION + 1;
	say(conn, &later);
	assert_int_equal(ipsp_conn_next(conn, &msg), IPSP_ERR_VERSION);
	ipsp_conn_free(conn);
}

static void a_parting_word_may_come_first(void **state)
{
	struct ipsp_conn *conn = new_conn();
	struct ipsp_conn_msg msg;

	(void)state;
	say(conn, &answers[N_ANSWERS - 1]);
	assert_int_equal(ipsp_conn_next(conn, &msg), 1);
	assert_int_equal(msg.type, IPSP_CONN_BYE);
	assert_int_equal(msg.err, IPSP_ERR_DENIED);
	ipsp_conn_free(conn);
}

static void what_a_later_version_says_is_passed_over(void **state)
{
	static const uint8_t unknown[] = {0, 0, 0, 4, 99, 1, 2, 3};
	struct ipsp_conn *conn = ready_conn();
	struct ipsp_conn_msg msg;

	(void)state;
	ipsp_conn_feed(conn, unknown, sizeof(unknown));
	assert_int_equal(ipsp_conn_next(conn, &msg), 0);
	say(conn, &answers[1]);
	assert_int_equal(ipsp_conn_next(conn, &msg), 1);
	assert_int_equal(msg.type, IPSP_CONN_DONE);
	ipsp_conn_free(conn);
}

static void words_are_those_of_the_contract(void **state)
{
	struct ipsp_address at;

	(void)state;
	assert_string_equal(ipsp_release_word(IPSP_RELEASE_HANDOFF), "handoff");
	assert_string_equal(ipsp_release_word(IPSP_RELEASE_DUPLICATE), "duplicate");
	assert_string_equal(ipsp_release_word(IPSP_RELEASE_TERMINATE), "terminate");
	assert_string_equal(ipsp_release_word(9), "unknown");
	assert_string_equal(ipsp_err_word(IPSP_ERR_SHARED_OUT), "shared-out");
	assert_int_equal(ipsp_address_parse("10.1.0", &at), IPSP_ERR_INVALID);
	assert_int_equal(ipsp_address_parse("", &at), IPSP_ERR_INVALID);
	at = address("10.1.0.5");
	assert_int_equal(at.bytes[10], 0xff);
	assert_int_equal(at.bytes[12], 10);
	assert_int_equal(at.bytes[15], 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_says_hello_by_itself),
		cmocka_unit_test(a_request_says_all_of_it),
		cmocka_unit_test(bad_texts_are_refused_and_nothing_is_queued),
		cmocka_unit_test(everything_can_be_asked),
		cmocka_unit_test(output_survives_short_writes),
		cmocka_unit_test(reads_split_anywhere),
		cmocka_unit_test(reads_of_one_byte),
		cmocka_unit_test(nothing_but_a_daemon_is_accepted),
		cmocka_unit_test(another_version_is_said),
		cmocka_unit_test(a_parting_word_may_come_first),
		cmocka_unit_test(what_a_later_version_says_is_passed_over),
		cmocka_unit_test(words_are_those_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
