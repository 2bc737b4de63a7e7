#include "rig.h"
#include "daemon/ctl.h"
#include "daemon/launcher.h"
#include <errno.h>
#include <event2/event.h>
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

/* ---------------------------------------------------------------- the daemon */

void rig_write_config(const struct rig *w, const char *network)
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

void rig_turn(struct rig *w)
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

void rig_read(struct rig *w)
{
	for (int i = 0; i < 100; i++) {
		event_base_loop(w->daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		ipspd_ctl_read(w->daemon.ctl);
	}
}

/* A primary with an empty state directory listens for its peer first, for three hello intervals. */
static void wait_until_serving(struct rig *w)
{
	struct ipsp_status status;

	for (int i = 0; i < 2000; i++) {
		rig_turn(w);
		ipsp_node_status(w->daemon.ctxs[0]->node, ipspd_now(), &status);
		if (status.serving)
			return;
		usleep(1000);
	}
	fail_msg("the daemon does not serve");
}

int rig_set_up(void **state)
{
	struct rig *w = calloc(1, sizeof(*w));
	char why[600] = "", folder[80];

	snprintf(w->dir, sizeof(w->dir), "/tmp/ipspd-ctl-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->socket, sizeof(w->socket), "%s/control", w->dir);
	snprintf(w->file, sizeof(w->file), "%s/conf", w->dir);
	snprintf(folder, sizeof(folder), "%s/state", w->dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	rig_write_config(w, "10.1.0.0/16");
	assert_int_equal(ipspd_config_read(w->file, &w->config, say_fault, NULL), 0);
	w->daemon.config = &w->config;
	w->daemon.config_path = w->file;
	w->daemon.launcher = ipspd_launcher_new(&w->config, w->file, false);
	assert_true(w->daemon.launcher >= 0);
	if (ipspd_start(&w->daemon, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	for (size_t i = 0; i < RIG_CLIENTS; i++)
		w->clients[i].fd = -1;
	wait_until_serving(w);
	*state = w;
	return 0;
}

void rig_close(struct rig_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	ipsp_conn_free(c->conn);
	c->conn = NULL;
}

int rig_tear_down(void **state)
{
	struct rig *w = *state;
	char command[128];

	for (size_t i = 0; i < RIG_CLIENTS; i++)
		rig_close(&w->clients[i]);
	ipspd_stop(&w->daemon);
	assert_int_equal(access(w->socket, F_OK), -1); /* it cleans up behind itself */
	ipspd_config_fini(&w->config);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own */
	free(w);
	return 0;
}

/* ---------------------------------------------------------------- clients */

struct rig_client *rig_connect(struct rig *w, size_t i)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct rig_client *c = &w->clients[i];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", w->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	c->conn = ipsp_conn_new("test");
	return c;
}

bool rig_push(struct rig_client *c)
{
	const void *bytes;
	size_t n = ipsp_conn_output(c->conn, &bytes);
	ssize_t sent = n > 0 ? send(c->fd, bytes, n, MSG_NOSIGNAL) : 0;

	if (sent > 0)
		ipsp_conn_wrote(c->conn, (size_t)sent);
	return sent == (ssize_t)n;
}

ssize_t rig_pull(struct rig_client *c, size_t max)
{
	static uint8_t bytes[1 << 20];
	ssize_t got = recv(c->fd, bytes, max < sizeof(bytes) ? max : sizeof(bytes), 0);

	if (got > 0)
		assert_int_equal(ipsp_conn_feed(c->conn, bytes, (size_t)got), 0);
	if (got == 0 || (got < 0 && errno != EAGAIN))
		return -1;
	return got < 0 ? 0 : got;
}

struct ipsp_conn_msg rig_wait_for(struct rig *w, struct rig_client *c, enum ipsp_conn_type type)
{
	struct ipsp_conn_msg msg;

	for (int i = 0; i < 2000; i++) {
		rig_push(c);
		while (ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == type)
				return msg;
		rig_turn(w);
		if (rig_pull(c, SIZE_MAX) < 0)
			fail_msg("closed while a message of type %d was waited for", type);
	}
	fail_msg("no message of type %d", type);
	return msg;
}

struct rig_client *rig_attach_as(struct rig *w, size_t i, const char *name)
{
	struct rig_client *c = rig_connect(w, i);

	rig_wait_for(w, c, IPSP_CONN_READY);
	assert_int_equal(ipsp_conn_attach(c->conn, 1, NULL, name), 0);
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, 0);
	return c;
}

struct ipsp_address rig_request(struct rig *w, struct rig_client *c, const char *subscriber)
{
	struct ipsp_conn_msg msg;

	assert_int_equal(ipsp_conn_request(c->conn, 7,
					   &(struct ipsp_conn_request){.subscriber = subscriber}),
			 0);
	msg = rig_wait_for(w, c, IPSP_CONN_ANSWER);
	assert_int_equal(msg.id, 7);
	assert_int_equal(msg.err, 0);
	assert_string_equal(msg.pool, "pool-a");
	assert_int_equal(msg.plen, 32);
	return msg.address;
}

void rig_expect_bye(struct rig *w, struct rig_client *c, int err)
{
	struct ipsp_conn_msg msg;
	int said = 0;
	ssize_t got = 0;

	for (int i = 0; i < 50 && got >= 0; i++) {
		rig_turn(w);
		got = rig_pull(c, SIZE_MAX);
		while (ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == IPSP_CONN_BYE)
				said = msg.err;
	}
	assert_int_equal(got, -1);
	assert_int_equal(said, err);
}

size_t rig_count_list(struct rig *w, struct rig_client *c)
{
	struct ipsp_conn_msg msg;
	size_t n = 0;

	assert_int_equal(ipsp_conn_list(c->conn, 9), 0);
	for (int i = 0; i < 2000; i++) {
		rig_push(c);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			n += msg.type == IPSP_CONN_SESSION;
			if (msg.type == IPSP_CONN_DONE)
				return n;
		}
		rig_turn(w);
		assert_true(rig_pull(c, SIZE_MAX) >= 0);
	}
	fail_msg("the list does not end");
	return 0;
}
