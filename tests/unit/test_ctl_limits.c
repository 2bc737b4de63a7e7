/* The control socket: what one client can't take from the others. */
#include "daemon/ctl_int.h"
#include "rig.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	struct rig *w = *state;
	struct rig_client *deaf = rig_attach_as(w, 0, "deaf"), *good = rig_attach_as(w, 1, "good");
	size_t sent = 0;
	bool open = true;

	for (int i = 0; i < 2000 && open; i++) {
		const void *bytes;

		for (int k = 0; k < 500; k++) /* asks again and again for what it has */
			ipsp_conn_request(deaf->conn, 1,
					  &(struct ipsp_conn_request){.subscriber = "u1"});
		sent += ipsp_conn_output(deaf->conn, &bytes);
		for (int k = 0; k < 20 && open && !rig_push(deaf); k++) {
			open = errno == EAGAIN;
			rig_turn(w);
		}
		rig_turn(w);
	}
	assert_false(open);
	print_message("cut off after %zu bytes of requests\n", sent);
	rig_request(w, good, "u2");
}

static void a_long_list_waits_for_its_reader(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha"), *good = rig_attach_as(w, 1, "good");
	size_t n = 0, ends = 0;
	struct ipsp_conn_msg msg;
	char subscriber[256];

	memset(subscriber, 'x', sizeof(subscriber));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(subscriber + 200, 50, "%u", i);
		rig_request(w, c, subscriber);
	}
	for (int i = 0; i < 10; i++) /* of 600 kB each */
		ipsp_conn_list(c->conn, 1);
	assert_true(rig_push(c));
	for (int i = 0; i < 100; i++)
		rig_turn(w);
	rig_request(w, good, "u2"); /* nobody else waits, and the reader is still there */
	for (int i = 0; i < 100000 && ends < 10; i++) {
		assert_true(rig_pull(c, 20000) >= 0);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			n += msg.type == IPSP_CONN_SESSION;
			ends += msg.type == IPSP_CONN_DONE;
		}
		rig_turn(w);
	}
	assert_int_equal(ends, 10);
	assert_int_equal(n, 30000);
}

static void jobs_have_a_limit(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha");
	struct ipsp_conn_msg msg;
	int done = 0, overloaded = 0;

	for (int i = 0; i < IPSPD_CTL_JOBS + 10; i++)
		ipsp_conn_list(c->conn, 1);
	assert_true(rig_push(c));
	for (int i = 0; i < 200; i++) {
		rig_turn(w);
		assert_true(rig_pull(c, SIZE_MAX) >= 0);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			done += msg.type == IPSP_CONN_DONE && msg.err == 0;
			overloaded += msg.err == IPSP_ERR_OVERLOADED;
		}
	}
	assert_int_equal(done, IPSPD_CTL_JOBS);
	assert_int_equal(overloaded, 10);
}

/* One operator takes all that it can get: another's command gets through. */
static void open_requests_of_operators_have_a_limit(void **state)
{
	struct rig *w = *state;
	struct rig_client *one = rig_attach_as(w, 0, NULL), *other = rig_attach_as(w, 1, NULL);
	struct ipsp_conn_msg msg;
	int granted = 0, overloaded = 0;

	for (int i = 0; i < IPSPD_CTL_OPS_ONE + 10; i++)
		ipsp_conn_request(one->conn, 1, &(struct ipsp_conn_request){.subscriber = "u1"});
	assert_true(rig_push(one));
	rig_read(w); /* all of it before the first is answered */
	ipsp_conn_command(other->conn, 2, NULL, "undrain", NULL, 0);
	assert_int_equal(rig_wait_for(w, other, IPSP_CONN_DONE).err,
			 IPSP_ERR_DISABLED); /* the node's */
	while (granted + overloaded < IPSPD_CTL_OPS_ONE + 10) {
		rig_turn(w);
		assert_true(rig_pull(one, SIZE_MAX) >= 0);
		while (ipsp_conn_next(one->conn, &msg) == 1) {
			granted += msg.err == 0;
			overloaded += msg.err == IPSP_ERR_OVERLOADED;
		}
	}
	assert_int_equal(granted, IPSPD_CTL_OPS_ONE);
	assert_int_equal(overloaded, 10);
	rig_request(w, one, "u2");
}

static int count_begun(const struct rig *w)
{
	int n = 0;

	for (size_t i = 0; i < IPSPD_CTL_OPS; i++)
		n += w->daemon.ctl->ops[i].key != 0 && w->daemon.ctl->ops[i].begun;
	return n;
}

/* However fast they are sent, a client's commands are done one after the other. */
static void commands_wait_for_each_other(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, NULL), *gone = rig_attach_as(w, 1, NULL);
	struct ipsp_conn_msg msg;
	uint64_t done = 0;

	for (uint64_t i = 1; i <= 100; i++)
		ipsp_conn_command(c->conn, i, NULL, i % 2 ? "undrain" : "mode",
				  i % 2 ? NULL : "inactive", 0);
	for (int i = 0; i < 100; i++)
		ipsp_conn_command(gone->conn, 1, NULL, "undrain", NULL, 0);
	assert_true(rig_push(c) && rig_push(gone));
	for (int turn = 0; turn < 1000 && done < 100; turn++) {
		rig_turn(w);
		assert_in_range(count_begun(w), 0, 2);
		assert_true(rig_pull(c, SIZE_MAX) >= 0);
		while (ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == IPSP_CONN_DONE)
				assert_int_equal(msg.id, ++done);
		if (turn == 20)
			rig_close(gone); /* what has not begun is not done for nobody */
	}
	assert_int_equal(done, 100);
	for (int i = 0; i < 5; i++)
		rig_turn(w);
	assert_int_equal(w->daemon.ctl->n_ops, 0);
}

/* Reloads and shows without an end: each turn does some, and others have theirs. */
static void jobs_share_a_turn(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, NULL), *good = rig_attach_as(w, 1, "good");
	uint64_t longest = 0;

	for (int i = 0; i < IPSPD_CTL_JOBS; i++)
		ipsp_conn_command(c->conn, 1, NULL, "reload", NULL, 0);
	assert_true(rig_push(c));
	for (int i = 0; i < 20; i++) {
		const uint64_t began = ipspd_now();

		rig_turn(w);
		longest = ipspd_now() - began > longest ? ipspd_now() - began : longest;
	}
	assert_true(longest < 1000);
	print_message("the longest turn took %llu ms\n", (unsigned long long)longest);
	rig_request(w, good, "u1");
}

static size_t answers(struct rig_client *c)
{
	struct ipsp_conn_msg msg;
	size_t n = 0;

	assert_true(rig_pull(c, SIZE_MAX) >= 0);
	while (ipsp_conn_next(c->conn, &msg) == 1)
		n += msg.type == IPSP_CONN_ANSWER;
	return n;
}

/* Others have thousands of requests on their way: each turn is short, and they all go on. */
static void who_says_little_waits_for_little(void **state)
{
	struct rig *w = *state;
	struct rig_client *many[3], *good = rig_attach_as(w, 3, "good");
	const char *const names[3] = {"one", "two", "three"};
	size_t got[3] = {0}, turns = 0;
	char subscriber[32];

	for (size_t i = 0; i < 3; i++) {
		many[i] = rig_attach_as(w, i, names[i]);
		for (int k = 0; k < 2000; k++) {
			snprintf(subscriber, sizeof(subscriber), "%s-%d", names[i], k);
			ipsp_conn_request(many[i]->conn, 1,
					  &(struct ipsp_conn_request){.subscriber = subscriber});
		}
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(rig_push(many[i]));
	ipsp_conn_request(good->conn, 1, &(struct ipsp_conn_request){.subscriber = "good"});
	assert_true(rig_push(good));
	rig_turn(w);
	assert_int_equal(answers(good), 1);
	for (size_t i = 0; i < 3; i++) {
		got[i] = answers(many[i]);
		assert_in_range(got[i], 10, IPSPD_CTL_READ_ALL / 30 / 3);
	}
	for (; turns < 200 && got[0] + got[1] + got[2] < 6000; turns++) {
		rig_turn(w);
		for (size_t i = 0; i < 3; i++) {
			const size_t more = answers(many[i]);

			assert_true(more > 0 || got[i] == 2000);
			got[i] += more;
		}
	}
	print_message("%zu turns\n", turns);
	assert_true(turns < 200);
}

int main(void)
{
#define WITH_A_DAEMON(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
		WITH_A_DAEMON(a_client_that_does_not_read_is_cut_off),
		WITH_A_DAEMON(a_long_list_waits_for_its_reader),
		WITH_A_DAEMON(jobs_have_a_limit),
		WITH_A_DAEMON(open_requests_of_operators_have_a_limit),
		WITH_A_DAEMON(commands_wait_for_each_other),
		WITH_A_DAEMON(jobs_share_a_turn),
		WITH_A_DAEMON(who_says_little_waits_for_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
