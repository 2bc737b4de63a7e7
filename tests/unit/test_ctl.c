/*
 * The control socket of a real daemon in this process: one context, inactive, so that it serves
 * alone. Clients are libipsp's connections on sockets that never block; nothing happens but by
 * turn().
 */
#include "base/ctlmsg.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/loop.h"
#include "daemon/start.h"
#include "ipsp.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
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

#define CLIENTS 4

struct client {
	int fd; /* -1: not connected */
	struct ipsp_conn *conn;
};

struct world {
	char dir[64], socket[96], file[96];
	struct ipspd_config config;
	struct ipspd daemon;
	struct client clients[CLIENTS];
};

/* ---------------------------------------------------------------- the daemon */

static void write_config(const struct world *w, const char *network)
{
	FILE *f = fopen(w->file, "w");

	assert_non_null(f);
	fprintf(f,
		"control = { socket = \"%s\"; };\n"
		"state-directory = \"%s/state\";\n"
		"contexts = ( { name = \"isp1\";\n"
		"  pools = ( { name = \"pool-a\"; network = \"%s\"; } );\n"
		"  interfaces = ( { name = \"lan\"; address = \"127.0.0.1/8\";\n"
		"    pool-share-protocol = { secondary = \"127.0.0.2\"; auth = \"none\";\n"
		"      mode = \"inactive\"; hello-interval-ms = 100; }; } ); } );\n",
		w->socket, w->dir, network);
	assert_int_equal(fclose(f), 0);
}

static void say_fault(void *arg, bool warning, const char *text)
{
	(void)arg;
	print_message("%s%s\n", warning ? "warning: " : "", text);
}

/* What has come is read, and one turn taken. */
static void turn(struct world *w)
{
	event_base_loop(w->daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ipspd_loop_turn(&w->daemon);
	/* it asks only those whom it has stepped: each time that is kept must be the node's */
	for (size_t i = 0; i < w->daemon.n_ctxs; i++) {
		const struct ipspd_ctx *ctx = w->daemon.ctxs[i];

		if (ctx->started)
			assert_int_equal(ctx->due, ipsp_node_due(ctx->node));
		assert_true(ctx->queued || (ctx->started && ctx->inbox.n_events == 0));
	}
}

/* A primary with an empty state directory listens for its peer first, for three hello intervals. */
static void wait_until_serving(struct world *w)
{
	struct ipsp_status status;

	for (int i = 0; i < 2000; i++) {
		turn(w);
		ipsp_node_status(w->daemon.ctxs[0]->node, ipspd_now(), &status);
		if (status.serving)
			return;
		usleep(1000);
	}
	fail_msg("the daemon does not serve");
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char why[600] = "", folder[80];

	snprintf(w->dir, sizeof(w->dir), "/tmp/ipspd-ctl-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->socket, sizeof(w->socket), "%s/control", w->dir);
	snprintf(w->file, sizeof(w->file), "%s/conf", w->dir);
	snprintf(folder, sizeof(folder), "%s/state", w->dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	write_config(w, "10.1.0.0/16");
	assert_int_equal(ipspd_config_read(w->file, &w->config, say_fault, NULL), 0);
	w->daemon.config = &w->config;
	w->daemon.config_path = w->file;
	if (ipspd_start(&w->daemon, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	for (size_t i = 0; i < CLIENTS; i++)
		w->clients[i].fd = -1;
	wait_until_serving(w);
	*state = w;
	return 0;
}

static void close_client(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	ipsp_conn_free(c->conn);
	c->conn = NULL;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	for (size_t i = 0; i < CLIENTS; i++)
		close_client(&w->clients[i]);
	ipspd_stop(&w->daemon);
	assert_int_equal(access(w->socket, F_OK), -1); /* it cleans up behind itself */
	ipspd_config_fini(&w->config);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own */
	free(w);
	return 0;
}

/* ---------------------------------------------------------------- clients */

static struct client *connect_client(struct world *w, size_t i)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct client *c = &w->clients[i];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", w->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	c->conn = ipsp_conn_new("test");
	return c;
}

/* Writes what the socket takes; true when that was all. */
static bool push(struct client *c)
{
	const void *bytes;
	size_t n = ipsp_conn_output(c->conn, &bytes);
	ssize_t sent = n > 0 ? send(c->fd, bytes, n, MSG_NOSIGNAL) : 0;

	if (sent > 0)
		ipsp_conn_wrote(c->conn, (size_t)sent);
	return sent == (ssize_t)n;
}

/* One read: how many bytes came, 0 for none yet, -1 for the end of the connection. */
static ssize_t pull(struct client *c, size_t max)
{
	static uint8_t bytes[1 << 20];
	ssize_t got = recv(c->fd, bytes, max < sizeof(bytes) ? max : sizeof(bytes), 0);

	if (got > 0)
		assert_int_equal(ipsp_conn_feed(c->conn, bytes, (size_t)got), 0);
	if (got == 0 || (got < 0 && errno != EAGAIN))
		return -1;
	return got < 0 ? 0 : got;
}

/* Goes on until a message of @type has come; the others that come before it are passed over. */
static struct ipsp_conn_msg wait_for(struct world *w, struct client *c, enum ipsp_conn_type type)
{
	struct ipsp_conn_msg msg;

	for (int i = 0; i < 2000; i++) {
		push(c);
		while (ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == type)
				return msg;
		turn(w);
		if (pull(c, SIZE_MAX) < 0)
			fail_msg("closed while a message of type %d was waited for", type);
	}
	fail_msg("no message of type %d", type);
	return msg;
}

static struct client *attach_as(struct world *w, size_t i, const char *name)
{
	struct client *c = connect_client(w, i);

	wait_for(w, c, IPSP_CONN_READY);
	assert_int_equal(ipsp_conn_attach(c->conn, 1, NULL, name), 0);
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, 0);
	return c;
}

static struct ipsp_address request(struct world *w, struct client *c, const char *subscriber)
{
	struct ipsp_conn_msg msg;

	assert_int_equal(ipsp_conn_request(c->conn, 7,
					   &(struct ipsp_conn_request){.subscriber = subscriber}),
			 0);
	msg = wait_for(w, c, IPSP_CONN_ANSWER);
	assert_int_equal(msg.id, 7);
	assert_int_equal(msg.err, 0);
	assert_string_equal(msg.pool, "pool-a");
	assert_int_equal(msg.plen, 32);
	return msg.address;
}

/* The daemon closes this connection; the last word before is @err's. */
static void expect_bye(struct world *w, struct client *c, int err)
{
	struct ipsp_conn_msg msg;
	int said = 0;
	ssize_t got = 0;

	for (int i = 0; i < 50 && got >= 0; i++) {
		turn(w);
		got = pull(c, SIZE_MAX);
		while (ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == IPSP_CONN_BYE)
				said = msg.err;
	}
	assert_int_equal(got, -1);
	assert_int_equal(said, err);
}

static size_t count_list(struct world *w, struct client *c)
{
	struct ipsp_conn_msg msg;
	size_t n = 0;

	assert_int_equal(ipsp_conn_list(c->conn, 9), 0);
	for (int i = 0; i < 2000; i++) {
		push(c);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			n += msg.type == IPSP_CONN_SESSION;
			if (msg.type == IPSP_CONN_DONE)
				return n;
		}
		turn(w);
		assert_true(pull(c, SIZE_MAX) >= 0);
	}
	fail_msg("the list does not end");
	return 0;
}

/* ---------------------------------------------------------------- tests */

static void many_frames_are_one_turn_and_one_write(void **state)
{
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha");
	char subscriber[16];
	struct ipsp_conn_msg msg;
	size_t n = 0;

	for (unsigned i = 0; i < 200; i++) {
		snprintf(subscriber, sizeof(subscriber), "u%u", i);
		ipsp_conn_request(c->conn, i,
				  &(struct ipsp_conn_request){.subscriber = subscriber});
	}
	assert_true(push(c));
	turn(w);
	assert_true(pull(c, SIZE_MAX) > 0);
	while (ipsp_conn_next(c->conn, &msg) == 1)
		n += msg.type == IPSP_CONN_ANSWER && msg.err == 0 && msg.id == n;
	assert_int_equal(n, 200);
}

static void requests_in_single_bytes(void **state)
{
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha");
	const void *bytes;

	ipsp_conn_request(c->conn, 3, &(struct ipsp_conn_request){.subscriber = "u1"});
	while (ipsp_conn_output(c->conn, &bytes) > 0) {
		assert_int_equal(send(c->fd, bytes, 1, 0), 1);
		ipsp_conn_wrote(c->conn, 1);
		turn(w);
	}
	assert_int_equal(wait_for(w, c, IPSP_CONN_ANSWER).id, 3);
}

static void garbage_closes_that_client_alone(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} garbage[] = {
		{"GET / HTTP/1.1\r\n\r\n", 18},
		{"\0\0\0\0", 4},
		{"\xff\xff\xff\xff", 4},
		{"\0\0\0\x09\x06\0\0\0\0\0\0\0\1", 13}, /* LIST, but no HELLO before it */
		{"\0\0\0\x03\x01IP", 7},		/* a HELLO that is too short */
	};
	struct world *w = *state;
	struct client *good = attach_as(w, 0, "good");

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		struct client *bad = connect_client(w, 1);
		struct ipsp_conn_msg msg;

		assert_int_equal(send(bad->fd, garbage[i].bytes, garbage[i].n, 0),
				 (ssize_t)garbage[i].n);
		expect_bye(w, bad, IPSP_ERR_FORMAT);
		assert_int_equal(ipsp_conn_next(bad->conn, &msg), 0);
		close_client(bad);
		request(w, good, "u1");
	}
}

static void another_version_is_refused_with_words(void **state)
{
	struct world *w = *state;
	struct client *c = connect_client(w, 0);
	struct ipsp_buf buf = {0};

	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
						  .magic = IPSP_CTL_MAGIC,
						  .min = IPSP_CTL_VERSION + 1,
						  .max = IPSP_CTL_VERSION + 1});
	assert_int_equal(send(c->fd, buf.data, buf.len, 0), (ssize_t)buf.len);
	expect_bye(w, c, IPSP_ERR_VERSION);
	ipsp_buf_fini(&buf);
}

static void sessions_belong_to_the_name(void **state)
{
	struct world *w = *state;
	struct client *first = attach_as(w, 0, "ha"), *second, *other;
	struct ipsp_address address = request(w, first, "u1");

	second = attach_as(w, 1, "ha");
	expect_bye(w, first, IPSP_ERR_DENIED);
	assert_int_equal(count_list(w, second), 1);
	other = attach_as(w, 2, "another");
	assert_int_equal(count_list(w, other), 0);
	ipsp_conn_release(other->conn, 5, &address);
	assert_int_equal(wait_for(w, other, IPSP_CONN_DONE).err, IPSP_ERR_NOT_PERMITTED);
	ipsp_conn_release(second->conn, 5, &address);
	assert_int_equal(wait_for(w, second, IPSP_CONN_DONE).err, 0);
	assert_int_equal(count_list(w, second), 0);
}

static void an_operators_release_asks_the_ha(void **state)
{
	struct world *w = *state;
	struct client *ha = attach_as(w, 0, "ha"), *boss = attach_as(w, 1, NULL);
	struct ipsp_address address = request(w, ha, "u1");
	struct ipsp_conn_msg msg;

	ipsp_conn_release(boss->conn, 5, &address);
	push(boss);
	msg = wait_for(w, ha, IPSP_CONN_RELEASE);
	assert_memory_equal(&msg.address, &address, sizeof(address));
	assert_string_equal(msg.subscriber, "u1");
	assert_int_equal(msg.reason, IPSP_RELEASE_TERMINATE);
	ipsp_conn_released_event(ha->conn, msg.id + 1, &address); /* no such event */
	push(ha);
	assert_int_equal(count_list(w, ha), 1);
	ipsp_conn_released_event(ha->conn, msg.id, &address);
	push(ha);
	turn(w);
	assert_int_equal(wait_for(w, boss, IPSP_CONN_DONE).err, 0);
	assert_int_equal(count_list(w, ha), 0);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	struct world *w = *state;
	struct client *deaf = attach_as(w, 0, "deaf"), *good = attach_as(w, 1, "good");
	size_t sent = 0;
	bool open = true;

	for (int i = 0; i < 2000 && open; i++) {
		const void *bytes;

		for (int k = 0; k < 500; k++) /* asks again and again for what it has */
			ipsp_conn_request(deaf->conn, 1,
					  &(struct ipsp_conn_request){.subscriber = "u1"});
		sent += ipsp_conn_output(deaf->conn, &bytes);
		for (int k = 0; k < 20 && open && !push(deaf); k++) {
			open = errno == EAGAIN;
			turn(w);
		}
		turn(w);
	}
	assert_false(open);
	print_message("cut off after %zu bytes of requests\n", sent);
	request(w, good, "u2");
}

static void a_long_list_waits_for_its_reader(void **state)
{
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha"), *good = attach_as(w, 1, "good");
	size_t n = 0, ends = 0;
	struct ipsp_conn_msg msg;
	char subscriber[256];

	memset(subscriber, 'x', sizeof(subscriber));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(subscriber + 200, 50, "%u", i);
		request(w, c, subscriber);
	}
	for (int i = 0; i < 10; i++) /* of 600 kB each */
		ipsp_conn_list(c->conn, 1);
	assert_true(push(c));
	for (int i = 0; i < 100; i++)
		turn(w);
	request(w, good, "u2"); /* nobody else waits, and the reader is still there */
	for (int i = 0; i < 100000 && ends < 10; i++) {
		assert_true(pull(c, 20000) >= 0);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			n += msg.type == IPSP_CONN_SESSION;
			ends += msg.type == IPSP_CONN_DONE;
		}
		turn(w);
	}
	assert_int_equal(ends, 10);
	assert_int_equal(n, 30000);
}

static json_t *show(struct world *w, struct client *c, const char *name,
		    const struct ipsp_conn_filter *filter)
{
	const size_t size = 1 << 20;
	char *text = calloc(1, size);
	size_t n = 0;
	struct ipsp_conn_msg msg = {0};
	json_t *root;

	assert_int_equal(ipsp_conn_show(c->conn, 4, NULL, name, filter), 0);
	for (int i = 0; i < 2000 && msg.type != IPSP_CONN_DONE; i++) {
		push(c);
		while (msg.type != IPSP_CONN_DONE && ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == IPSP_CONN_JSON)
				n += (size_t)snprintf(text + n, size - n, "%s", msg.text);
		if (msg.type == IPSP_CONN_DONE)
			break;
		turn(w);
		assert_true(pull(c, SIZE_MAX) >= 0);
	}
	assert_int_equal(msg.type, IPSP_CONN_DONE);
	assert_int_equal(msg.err, 0);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	free(text);
	return root;
}

static void shows_are_json_of_the_contracts_shape(void **state)
{
	static const char *const members[] = {
		"name",	       "interface",  "mode",	      "configured-role", "role",
		"state",       "epoch",	     "draining",      "all-free",	 "serving",
		"waiting-for", "waiting-ms", "may-take-over", "role-on-loan",	 "peer",
		"pools",       "counters"};
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha");
	struct ipsp_conn_filter filter = {.subscriber = "u1500"};
	char subscriber[16];
	json_t *root, *first;

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(subscriber, sizeof(subscriber), "u%u", i);
		request(w, c, subscriber);
	}
	root = show(w, c, "ipsp", NULL);
	first = json_array_get(json_object_get(root, "contexts"), 0);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!json_object_get(first, members[i]))
			fail_msg("%s is missing", members[i]);
	assert_string_equal(json_string_value(json_object_get(first, "mode")), "inactive");
	first = json_array_get(json_object_get(first, "pools"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "used")), 2000);
	json_decref(root);

	root = show(w, c, "sessions", NULL); /* in several slices */
	assert_int_equal(json_array_size(json_object_get(root, "sessions")), 2000);
	json_decref(root);
	root = show(w, c, "sessions", &filter);
	assert_int_equal(json_array_size(json_object_get(root, "sessions")), 1);
	first = json_array_get(json_object_get(root, "sessions"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "ha")), "ha");
	assert_string_equal(json_string_value(json_object_get(first, "state")), "used");
	json_decref(root);
	json_decref(show(w, c, "counters", NULL));
	json_decref(show(w, c, "log", NULL));
	json_decref(show(w, c, "pool", NULL));
}

static void what_makes_no_sense_is_answered(void **state)
{
	struct world *w = *state;
	struct client *c = connect_client(w, 0);
	struct ipsp_address address = {{1}};
	const struct {
		const char *context, *name, *argument;
		int err;
	} commands[] = {{NULL, "fly", "", IPSP_ERR_INVALID},
			{NULL, "mode", "sideways", IPSP_ERR_INVALID},
			{"isp9", "drain", "", IPSP_ERR_UNKNOWN_CONTEXT}};

	wait_for(w, c, IPSP_CONN_READY);
	ipsp_conn_request(c->conn, 1, &(struct ipsp_conn_request){.subscriber = "u"});
	assert_int_equal(wait_for(w, c, IPSP_CONN_ANSWER).err, IPSP_ERR_INVALID);
	ipsp_conn_release(c->conn, 1, &address);
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	ipsp_conn_list(c->conn, 1);
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	for (size_t i = 0; i < 3; i++) {
		ipsp_conn_command(c->conn, 2, commands[i].context, commands[i].name,
				  commands[i].argument, 0);
		assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, commands[i].err);
	}
	ipsp_conn_show(c->conn, 3, NULL, "everything", NULL);
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	ipsp_conn_attach(c->conn, 4, "isp9", "ha");
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_UNKNOWN_CONTEXT);
	ipsp_conn_attach(c->conn, 4, "isp1", "ha");
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, 0);
	ipsp_conn_attach(c->conn, 4, "isp1", "ha");
	assert_int_equal(wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
}

static void jobs_have_a_limit(void **state)
{
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha");
	struct ipsp_conn_msg msg;
	int done = 0, overloaded = 0;

	for (int i = 0; i < IPSPD_CTL_JOBS + 10; i++)
		ipsp_conn_list(c->conn, 1);
	assert_true(push(c));
	for (int i = 0; i < 200; i++) {
		turn(w);
		assert_true(pull(c, SIZE_MAX) >= 0);
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
	struct world *w = *state;
	struct client *one = attach_as(w, 0, NULL), *other = attach_as(w, 1, NULL);
	struct ipsp_conn_msg msg;
	int granted = 0, overloaded = 0;

	for (int i = 0; i < IPSPD_CTL_OPS_ONE + 10; i++)
		ipsp_conn_request(one->conn, 1, &(struct ipsp_conn_request){.subscriber = "u1"});
	assert_true(push(one));
	ipsp_conn_command(other->conn, 2, NULL, "undrain", NULL, 0);
	assert_int_equal(wait_for(w, other, IPSP_CONN_DONE).err,
			 IPSP_ERR_DISABLED); /* the node's */
	while (granted + overloaded < IPSPD_CTL_OPS_ONE + 10) {
		turn(w);
		assert_true(pull(one, SIZE_MAX) >= 0);
		while (ipsp_conn_next(one->conn, &msg) == 1) {
			granted += msg.err == 0;
			overloaded += msg.err == IPSP_ERR_OVERLOADED;
		}
	}
	assert_int_equal(granted, IPSPD_CTL_OPS_ONE);
	assert_int_equal(overloaded, 10);
	request(w, one, "u2");
}

/* ---------------------------------------------------------------- SIGHUP */

/* The request was read and not served yet when the signal comes: the daemon takes the file as its
 * node does, so not at all. */
static void a_reload_looks_behind_what_waits(void **state)
{
	struct world *w = *state;
	struct client *c = attach_as(w, 0, "ha");

	write_config(w, "10.2.0.0/16");
	assert_int_equal(
		ipsp_conn_request(c->conn, 7, &(struct ipsp_conn_request){.subscriber = "u1"}), 0);
	assert_true(push(c));
	event_base_loop(w->daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* no turn yet */
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(wait_for(w, c, IPSP_CONN_ANSWER).err, 0);
	for (int i = 0; i < 10; i++)
		turn(w);
	const struct ipsp_context_conf *conf = ipsp_node_conf(w->daemon.ctxs[0]->node);
	assert_true(ipsp_addr_eq(conf->pools[0].base, w->config.contexts[0].pools[0].base));
	assert_int_equal(count_list(w, c), 1);
}

/* ---------------------------------------------------------------- the socket's file */

static void only_a_dead_socket_is_replaced(void **state)
{
	struct world *w = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ipspd_ctl *ctl;
	char why[300] = "", path[96];
	struct stat st;
	int fd;

	assert_int_equal(stat(w->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_null(ipspd_ctl_new(&w->daemon, w->socket, "", why, sizeof(why)));
	assert_non_null(strstr(why, "listens"));
	assert_null(ipspd_ctl_new(&w->daemon, w->file, "", why, sizeof(why)));
	assert_non_null(strstr(why, "not a socket"));
	assert_int_equal(access(w->file, F_OK), 0);
	assert_null(ipspd_ctl_new(&w->daemon, "/nonexistent/x", "", why, sizeof(why)));

	snprintf(path, sizeof(path), "%s/dead", w->dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_null(ipspd_ctl_new(&w->daemon, path, "no-such-group", why, sizeof(why)));
	assert_non_null(strstr(why, "no-such-group"));
	assert_int_equal(access(path, F_OK), -1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	ctl = ipspd_ctl_new(&w->daemon, path, "", why, sizeof(why));
	assert_non_null(ctl);
	ipspd_ctl_free(ctl);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(many_frames_are_one_turn_and_one_write),
		IN_A_WORLD(requests_in_single_bytes),
		IN_A_WORLD(garbage_closes_that_client_alone),
		IN_A_WORLD(another_version_is_refused_with_words),
		IN_A_WORLD(sessions_belong_to_the_name),
		IN_A_WORLD(an_operators_release_asks_the_ha),
		IN_A_WORLD(a_client_that_does_not_read_is_cut_off),
		IN_A_WORLD(a_long_list_waits_for_its_reader),
		IN_A_WORLD(shows_are_json_of_the_contracts_shape),
		IN_A_WORLD(what_makes_no_sense_is_answered),
		IN_A_WORLD(jobs_have_a_limit),
		IN_A_WORLD(open_requests_of_operators_have_a_limit),
		IN_A_WORLD(a_reload_looks_behind_what_waits),
		IN_A_WORLD(only_a_dead_socket_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
