/* The control socket: what the clients of one user can't take from those of others. */
#include "daemon/ctl_int.h"
#include "rig.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GREEDY 64001
#define OTHER  64002
#define CROWD  400

static struct {
	int fds[CROWD];
	size_t n;
} crowd;

static int set_up(void **state)
{
	if (geteuid() != 0)
		return 0; /* nobody else can be another user */
	rig_set_up(state);
	const struct rig *w = *state;

	crowd.n = 0;
	return chmod(w->dir, 0755) || chmod(w->socket, 0666);
}

static int tear_down(void **state)
{
	for (size_t i = 0; i < crowd.n; i++)
		close(crowd.fds[i]);
	return *state ? rig_tear_down(state) : 0;
}

static struct rig *rig_of(void **state)
{
	if (geteuid() != 0)
		skip();
	return *state;
}

/* A connection of this user; nothing is said on it. */
static int connect_as(const struct rig *w, uid_t uid)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && crowd.n < CROWD);
	memcpy(addr.sun_path, w->socket, strlen(w->socket) + 1);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	crowd.fds[crowd.n++] = fd;
	return fd;
}

static void say(int fd, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_buf buf = {0};

	assert_int_equal(ipsp_ctl_put(&buf, msg), 0);
	assert_int_equal(send(fd, buf.data, buf.len, MSG_NOSIGNAL), buf.len);
	ipsp_buf_fini(&buf);
}

static void greet(int fd)
{
	say(fd, &(struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
				       .magic = IPSP_CTL_MAGIC,
				       .min = IPSP_CTL_VERSION_MIN,
				       .max = IPSP_CTL_VERSION,
				       .program = ipsp_ctl_str("test")});
}

/* The daemon has closed it. */
static bool is_closed(int fd)
{
	char bytes[4096];
	ssize_t got;

	do
		got = recv(fd, bytes, sizeof(bytes), 0);
	while (got > 0);
	return got == 0 || (errno != EAGAIN && errno != EINTR);
}

static size_t n_closed(void)
{
	size_t n = 0;

	for (size_t i = 0; i < crowd.n; i++)
		n += is_closed(crowd.fds[i]);
	return n;
}

static size_t lines, left_out;

static void count_line(void *arg, enum ipsp_level level, bool of_many, int64_t wall_ms,
		       const char *text)
{
	(void)arg, (void)level, (void)of_many, (void)wall_ms;
	lines += strstr(text, "refused a connection") != NULL;
	left_out += strstr(text, "without a line of their own") != NULL;
}

/* One user takes all connections that it gets: another one, and root, are served all the same; and
 * the log doesn't say it once for each. */
static void one_user_has_its_share(void **state)
{
	struct rig *w = rig_of(state);

	lines = left_out = 0;
	ipspd_log_listen(count_line, NULL);
	for (int i = 0; i < 320; i++)
		greet(connect_as(w, GREEDY));
	for (int i = 0; i < 20; i++)
		rig_turn(w);
	assert_int_equal(n_closed(), 320 - IPSPD_CTL_CLIENTS_USER);
	assert_int_equal(lines, IPSPD_OFTEN_LINES);
	rig_request(w, rig_attach_as(w, 0, "root's"), "u1");
	int other = connect_as(w, OTHER);
	greet(other);
	rig_turn(w);
	rig_turn(w);
	assert_false(is_closed(other));
	ipspd_ctl_free(w->daemon.ctl); /* what was left out is said at the end, too */
	w->daemon.ctl = NULL;
	assert_int_equal(left_out, 1);
	ipspd_log_listen(NULL, NULL);
	close(creat(w->socket, 0600));
	unlink(w->socket);
}

/* However many wait to be accepted, a turn takes some of them, and there are other things to do. */
static void a_turn_accepts_some(void **state)
{
	struct rig *w = rig_of(state);
	const struct ipspd_ctl *ctl = w->daemon.ctl;
	size_t before = 0, turns = 0;

	for (int i = 0; i < 200; i++)
		connect_as(w, GREEDY);
	for (; ctl->n_clients < 200 && turns < 50; turns++) {
		rig_turn(w);
		assert_true(ctl->n_clients - before <= IPSPD_CTL_ACCEPTS);
		before = ctl->n_clients;
	}
	assert_true(turns >= 200 / IPSPD_CTL_ACCEPTS && turns < 50);
}

/* Who says nothing goes early where many do; who has just come has its time. */
static void silent_ones_make_room(void **state)
{
	struct rig *w = rig_of(state);

	for (int i = 0; i < IPSPD_CTL_SILENT_USER; i++)
		connect_as(w, GREEDY);
	for (int i = 0; i < 5; i++)
		rig_turn(w);
	connect_as(w, GREEDY);
	rig_turn(w);
	rig_turn(w);
	assert_int_equal(n_closed(), 0);
	usleep(1100000);
	for (int i = 0; i < 3; i++)
		connect_as(w, GREEDY);
	for (int i = 0; i < 5; i++)
		rig_turn(w);
	assert_int_equal(n_closed(), 3);
	assert_true(is_closed(crowd.fds[0]));
}

/* What waits for those that don't read is bounded for all of a user. */
static void unread_bytes_are_bounded(void **state)
{
	struct rig *w = rig_of(state);
	const struct ipspd_ctl *ctl = w->daemon.ctl;
	struct rig_client *good = rig_attach_as(w, 0, "good");
	char subscriber[200];
	int fds[12];

	memset(subscriber, 'x', sizeof(subscriber));
	for (size_t k = 0; k < 12; k++) {
		char name[16];

		greet(fds[k] = connect_as(w, GREEDY));
		snprintf(name, sizeof(name), "deaf-%zu", k);
		say(fds[k], &(struct ipsp_ctl_msg){
				    .type = IPSP_CTL_ATTACH, .id = 1, .name = ipsp_ctl_str(name)});
		rig_turn(w);
		rig_turn(w);
		for (int i = 0; i < 600; i++) { /* 100 answers each; 3 MB are not read */
			struct ipsp_buf buf = {0};

			for (int j = 0; j < 150; j++)
				ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){
							   .type = IPSP_CTL_REQUEST,
							   .id = 1,
							   .subscriber = ipsp_ctl_str("u1")});
			if (send(fds[k], buf.data, buf.len, MSG_NOSIGNAL) < 0)
				i = errno == EAGAIN ? i : 600;
			ipsp_buf_fini(&buf);
			rig_turn(w);
			assert_true(ctl->held <= IPSPD_CTL_HELD_USER + IPSPD_CTL_UNREAD);
		}
	}
	print_message("%zu bytes wait\n", ctl->held);
	assert_true(n_closed() > 0);
	rig_request(w, good, "u2");
}

/* Commands and requests of all operators of a user. */
static void open_requests_are_bounded(void **state)
{
	struct rig *w = rig_of(state);
	const struct ipspd_ctl *ctl = w->daemon.ctl;
	struct ipsp_ctl_msg ask = {
		.type = IPSP_CTL_REQUEST, .id = 1, .subscriber = ipsp_ctl_str("u1")};
	size_t most = 0;

	for (int k = 0; k < 4; k++) {
		int fd = connect_as(w, GREEDY);
		struct ipsp_buf buf = {0};

		greet(fd);
		say(fd, &(struct ipsp_ctl_msg){.type = IPSP_CTL_ATTACH, .id = 1});
		for (int i = 0; i < 1000; i++)
			ipsp_ctl_put(&buf, &ask);
		assert_int_equal(send(fd, buf.data, buf.len, MSG_NOSIGNAL), buf.len);
		ipsp_buf_fini(&buf);
	}
	for (int i = 0; i < 10; i++) {
		rig_read(w);
		most = ctl->n_ops > most ? ctl->n_ops : most;
		ipspd_loop_turn(&w->daemon);
	}
	print_message("%zu were open\n", most);
	assert_in_range(most, 1000, IPSPD_CTL_OPS_USER);
	assert_int_equal(ctl->n_ops, 0);
}

int main(void)
{
#define WITH_A_DAEMON(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_A_DAEMON(one_user_has_its_share),	  WITH_A_DAEMON(a_turn_accepts_some),
		WITH_A_DAEMON(silent_ones_make_room),	  WITH_A_DAEMON(unread_bytes_are_bounded),
		WITH_A_DAEMON(open_requests_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
