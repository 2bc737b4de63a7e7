/* The control socket: what clients say, and what they are answered. */
#include "daemon/ctl_int.h"
#include "rig.h"
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void many_frames_are_one_turn_and_one_write(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha");
	char subscriber[16];
	struct ipsp_conn_msg msg;
	size_t n = 0;

	for (unsigned i = 0; i < 200; i++) {
		snprintf(subscriber, sizeof(subscriber), "u%u", i);
		ipsp_conn_request(c->conn, i,
				  &(struct ipsp_conn_request){.subscriber = subscriber});
	}
	assert_true(rig_push(c));
	rig_turn(w);
	assert_true(rig_pull(c, SIZE_MAX) > 0);
	while (ipsp_conn_next(c->conn, &msg) == 1)
		n += msg.type == IPSP_CONN_ANSWER && msg.err == 0 && msg.id == n;
	assert_int_equal(n, 200);
}

static void requests_in_single_bytes(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha");
	const void *bytes;

	ipsp_conn_request(c->conn, 3, &(struct ipsp_conn_request){.subscriber = "u1"});
	while (ipsp_conn_output(c->conn, &bytes) > 0) {
		assert_int_equal(send(c->fd, bytes, 1, 0), 1);
		ipsp_conn_wrote(c->conn, 1);
		rig_turn(w);
	}
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_ANSWER).id, 3);
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
	struct rig *w = *state;
	struct rig_client *good = rig_attach_as(w, 0, "good");

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		struct rig_client *bad = rig_connect(w, 1);
		struct ipsp_conn_msg msg;

		assert_int_equal(send(bad->fd, garbage[i].bytes, garbage[i].n, 0),
				 (ssize_t)garbage[i].n);
		rig_expect_bye(w, bad, IPSP_ERR_FORMAT);
		assert_int_equal(ipsp_conn_next(bad->conn, &msg), 0);
		rig_close(bad);
		rig_request(w, good, "u1");
	}
}

static void another_version_is_refused_with_words(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_connect(w, 0);
	struct ipsp_buf buf = {0};

	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
						  .magic = IPSP_CTL_MAGIC,
						  .min = IPSP_CTL_VERSION + 1,
						  .max = IPSP_CTL_VERSION + 1});
	assert_int_equal(send(c->fd, buf.data, buf.len, 0), (ssize_t)buf.len);
	rig_expect_bye(w, c, IPSP_ERR_VERSION);
	ipsp_buf_fini(&buf);
}

static void sessions_belong_to_the_name(void **state)
{
	struct rig *w = *state;
	struct rig_client *first = rig_attach_as(w, 0, "ha"), *second, *other;
	struct ipsp_address address = rig_request(w, first, "u1");

	second = rig_attach_as(w, 1, "ha");
	rig_expect_bye(w, first, IPSP_ERR_DENIED);
	assert_int_equal(rig_count_list(w, second), 1);
	other = rig_attach_as(w, 2, "another");
	assert_int_equal(rig_count_list(w, other), 0);
	ipsp_conn_release(other->conn, 5, &address);
	assert_int_equal(rig_wait_for(w, other, IPSP_CONN_DONE).err, IPSP_ERR_NOT_PERMITTED);
	ipsp_conn_release(second->conn, 5, &address);
	assert_int_equal(rig_wait_for(w, second, IPSP_CONN_DONE).err, 0);
	assert_int_equal(rig_count_list(w, second), 0);
}

static void an_operators_release_asks_the_ha(void **state)
{
	struct rig *w = *state;
	struct rig_client *ha = rig_attach_as(w, 0, "ha"), *boss = rig_attach_as(w, 1, NULL);
	struct ipsp_address address = rig_request(w, ha, "u1");
	struct ipsp_conn_msg msg;

	ipsp_conn_release(boss->conn, 5, &address);
	rig_push(boss);
	msg = rig_wait_for(w, ha, IPSP_CONN_RELEASE);
	assert_memory_equal(&msg.address, &address, sizeof(address));
	assert_string_equal(msg.subscriber, "u1");
	assert_int_equal(msg.reason, IPSP_RELEASE_TERMINATE);
	ipsp_conn_released_event(ha->conn, msg.id + 1, &address); /* no such event */
	rig_push(ha);
	assert_int_equal(rig_count_list(w, ha), 1);
	ipsp_conn_released_event(ha->conn, msg.id, &address);
	rig_push(ha);
	rig_turn(w);
	assert_int_equal(rig_wait_for(w, boss, IPSP_CONN_DONE).err, 0);
	assert_int_equal(rig_count_list(w, ha), 0);
}

/* The JSON and the words that a command is answered with. */
static struct ipsp_conn_msg ask_for(struct rig *w, struct rig_client *c, const char *name,
				    const char *argument, unsigned flags, char json[256])
{
	struct ipsp_conn_msg msg = {0};

	json[0] = '\0';
	assert_int_equal(ipsp_conn_command(c->conn, 6, NULL, name, argument, flags), 0);
	for (int i = 0; i < 2000; i++) {
		rig_push(c);
		while (ipsp_conn_next(c->conn, &msg) == 1) {
			if (msg.type == IPSP_CONN_JSON)
				snprintf(json, 256, "%s", msg.text);
			if (msg.type == IPSP_CONN_DONE)
				return msg;
		}
		rig_turn(w);
		assert_true(rig_pull(c, SIZE_MAX) >= 0);
	}
	fail_msg("no answer to %s", name);
	return msg;
}

/* An HA that is gone for good. */
static void all_sessions_of_a_name_end_by_force(void **state)
{
	struct rig *w = *state;
	struct rig_client *gone = rig_attach_as(w, 0, "gone"), *ha = rig_attach_as(w, 1, "ha"),
			  *boss = rig_connect(w, 2);
	struct ipsp_address stays;
	struct ipsp_conn_msg msg;
	char subscriber[16], json[256];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(subscriber, sizeof(subscriber), "u%u", i);
		rig_request(w, gone, subscriber);
	}
	stays = rig_request(w, ha, "stays");
	rig_wait_for(w, boss, IPSP_CONN_READY);
	rig_close(gone);
	rig_turn(w);

	msg = ask_for(w, boss, "release-ha", "nobody", IPSP_COMMAND_FORCE, json);
	assert_int_equal(msg.err, IPSP_ERR_NO_SUCH_SESSION);
	assert_string_equal(msg.text, "no session belongs to the HA \"nobody\"; these names have "
				      "some: gone, ha");
	msg = ask_for(w, boss, "release-ha", "gone", 0, json);
	assert_int_equal(msg.err, 0);
	assert_non_null(strstr(msg.text, "is not attached: it is asked to end 3000 sessions"));
	assert_non_null(strstr(msg.text, "--force"));
	msg = ask_for(w, boss, "release-ha", "gone", IPSP_COMMAND_FORCE, json);
	assert_int_equal(msg.err, 0);
	assert_string_equal(msg.text, "3000 sessions of the HA gone ended without it: where that "
				      "still runs, the addresses may be used twice");
	assert_string_equal(json, "{\"ok\":true,\"sessions\":3000,\"attached\":false,"
				  "\"ended\":true}");
	assert_int_equal(rig_count_list(w, ha), 1);
	gone = rig_attach_as(w, 0, "gone");
	assert_int_equal(rig_count_list(w, gone), 0);

	/* one that is there is told */
	msg = ask_for(w, boss, "release-ha", "ha", IPSP_COMMAND_FORCE, json);
	assert_int_equal(msg.err, 0);
	msg = rig_wait_for(w, ha, IPSP_CONN_RELEASE);
	assert_memory_equal(&msg.address, &stays, sizeof(stays));
	assert_int_equal(msg.reason, IPSP_RELEASE_TERMINATE);
	assert_int_equal(rig_count_list(w, ha), 0);
}

static void one_session_ends_by_force(void **state)
{
	struct rig *w = *state;
	struct rig_client *ha = rig_attach_as(w, 0, "ha"), *boss = rig_connect(w, 1);
	struct ipsp_address address = rig_request(w, ha, "u1");
	struct ipsp_conn_msg msg;
	char json[256];

	rig_wait_for(w, boss, IPSP_CONN_READY);
	rig_close(ha);
	rig_turn(w);
	assert_int_equal(ask_for(w, boss, "release", "nonsense", IPSP_COMMAND_FORCE, json).err,
			 IPSP_ERR_INVALID);
	ipsp_conn_force_release(boss->conn, 5, NULL, &address, "u2", NULL);
	assert_int_equal(rig_wait_for(w, boss, IPSP_CONN_DONE).err, IPSP_ERR_NO_SUCH_SESSION);
	ipsp_conn_force_release(boss->conn, 5, "elsewhere", &address, "u1", "");
	assert_int_equal(rig_wait_for(w, boss, IPSP_CONN_DONE).err, IPSP_ERR_UNKNOWN_CONTEXT);
	ipsp_conn_force_release(boss->conn, 5, "isp1", &address, "u1", "");
	msg = rig_wait_for(w, boss, IPSP_CONN_DONE);
	assert_int_equal(msg.err, 0);
	assert_non_null(strstr(msg.text, "may be used twice"));
	ha = rig_attach_as(w, 0, "ha");
	assert_int_equal(rig_count_list(w, ha), 0);
}

static json_t *show(struct rig *w, struct rig_client *c, const char *name,
		    const struct ipsp_conn_filter *filter)
{
	const size_t size = 1 << 20;
	char *text = calloc(1, size);
	size_t n = 0;
	struct ipsp_conn_msg msg = {0};
	json_t *root;

	assert_int_equal(ipsp_conn_show(c->conn, 4, NULL, name, filter), 0);
	for (int i = 0; i < 2000 && msg.type != IPSP_CONN_DONE; i++) {
		rig_push(c);
		while (msg.type != IPSP_CONN_DONE && ipsp_conn_next(c->conn, &msg) == 1)
			if (msg.type == IPSP_CONN_JSON)
				n += (size_t)snprintf(text + n, size - n, "%s", msg.text);
		if (msg.type == IPSP_CONN_DONE)
			break;
		rig_turn(w);
		assert_true(rig_pull(c, SIZE_MAX) >= 0);
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
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha");
	struct ipsp_conn_filter filter = {.subscriber = "u1500"};
	char subscriber[16];
	json_t *root, *first;

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(subscriber, sizeof(subscriber), "u%u", i);
		rig_request(w, c, subscriber);
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
	struct rig *w = *state;
	struct rig_client *c = rig_connect(w, 0);
	struct ipsp_address address = {{1}};
	const struct {
		const char *context, *name, *argument;
		int err;
	} commands[] = {{NULL, "fly", "", IPSP_ERR_INVALID},
			{NULL, "mode", "sideways", IPSP_ERR_INVALID},
			{"isp9", "drain", "", IPSP_ERR_UNKNOWN_CONTEXT}};

	rig_wait_for(w, c, IPSP_CONN_READY);
	ipsp_conn_request(c->conn, 1, &(struct ipsp_conn_request){.subscriber = "u"});
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_ANSWER).err, IPSP_ERR_INVALID);
	ipsp_conn_release(c->conn, 1, &address);
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	ipsp_conn_list(c->conn, 1);
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	for (size_t i = 0; i < 3; i++) {
		ipsp_conn_command(c->conn, 2, commands[i].context, commands[i].name,
				  commands[i].argument, 0);
		assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, commands[i].err);
	}
	ipsp_conn_show(c->conn, 3, NULL, "everything", NULL);
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	for (size_t i = 0; i < 3; i++) {
		const struct ipsp_conn_sessions wrong[] = {
			{.address = "10.1"}, {.address = "10.1.0.0/33"}, {.state = "odd"}};

		ipsp_conn_show_sessions(c->conn, 3, NULL, &wrong[i]);
		assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
	}
	ipsp_conn_attach(c->conn, 4, "isp9", "ha");
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_UNKNOWN_CONTEXT);
	ipsp_conn_attach(c->conn, 4, "isp1", "ha");
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, 0);
	ipsp_conn_attach(c->conn, 4, "isp1", "ha");
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, IPSP_ERR_INVALID);
}

/* ---------------------------------------------------------------- SIGHUP */

/* The request was read and not served yet when the signal comes: the daemon takes the file as its
 * node does, so not at all. */
static void a_reload_looks_behind_what_waits(void **state)
{
	struct rig *w = *state;
	struct rig_client *c = rig_attach_as(w, 0, "ha");

	rig_write_config(w, "10.2.0.0/16");
	assert_int_equal(
		ipsp_conn_request(c->conn, 7, &(struct ipsp_conn_request){.subscriber = "u1"}), 0);
	assert_true(rig_push(c));
	event_base_loop(w->daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* no turn yet */
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(rig_wait_for(w, c, IPSP_CONN_ANSWER).err, 0);
	for (int i = 0; i < 10; i++)
		rig_turn(w);
	const struct ipsp_context_conf *conf = ipsp_node_conf(w->daemon.ctxs[0]->node);
	assert_true(ipsp_addr_eq(conf->pools[0].base, w->config.contexts[0].pools[0].base));
	assert_int_equal(rig_count_list(w, c), 1);
}

/* ---------------------------------------------------------------- the socket's file */

static void only_a_dead_socket_is_replaced(void **state)
{
	struct rig *w = *state;
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
	ctl = ipspd_ctl_new(&w->daemon, path, "no-such-group", why, sizeof(why));
	assert_non_null(ctl); /* of use to the daemon's user until there is such a group */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	ipspd_ctl_free(ctl);
	assert_int_equal(access(path, F_OK), -1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	ctl = ipspd_ctl_new(&w->daemon, path, "", why, sizeof(why));
	assert_non_null(ctl);
	ipspd_ctl_free(ctl);
	assert_int_equal(access(path, F_OK), -1);
}

/* As if its process were in groups that may do this much. */
static struct rig_client *connect_with(struct rig *w, size_t i, unsigned may)
{
	struct rig_client *c = rig_connect(w, i);
	struct ipspd_ctl *ctl = w->daemon.ctl;
	struct ipspd_client *newest = NULL;

	rig_push(c);
	rig_turn(w);
	for (size_t k = 0; k < IPSPD_CTL_CLIENTS; k++)
		if (ctl->clients[k] && (!newest || ctl->clients[k]->token > newest->token))
			newest = ctl->clients[k];
	assert_non_null(newest);
	assert_int_equal(newest->may, IPSPD_MAY_ALL); /* this user's own */
	newest->may = may;
	return c;
}

static int command(struct rig *w, struct rig_client *c, const char *name, const char *argument)
{
	ipsp_conn_command(c->conn, 1, NULL, name, argument, 0);
	return rig_wait_for(w, c, IPSP_CONN_DONE).err;
}

static void what_levels_may(void **state)
{
	static const char *const orders[] = {
		"drain",  "undrain", "terminate", "takeover",	"disable",
		"reload", "save",    "release",	  "release-ha", "no-such-command"};
	struct rig *w = *state;
	struct ipsp_address address;

	for (unsigned may = 0; may < IPSPD_MAY_ALL; may++) {
		const bool looks = may & IPSPD_MAY_LOOK, serves = may & IPSPD_MAY_SERVE;
		struct rig_client *c = connect_with(w, 0, may);
		const int no = IPSP_ERR_NOT_PERMITTED;

		if (may >
		    (IPSPD_MAY_LOOK | IPSPD_MAY_SERVE)) /* no level is less than all, and more */
			break;
		ipsp_conn_command(c->conn, 1, NULL, "check-config", NULL, 0);
		assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err,
				 looks ? IPSP_ERR_DISABLED : no); /* the mode is inactive */
		ipsp_conn_show(c->conn, 2, NULL, "ipsp", NULL);
		struct ipsp_conn_msg shown = rig_wait_for(w, c, IPSP_CONN_DONE);
		assert_int_equal(shown.id, 2);
		assert_int_equal(shown.err, looks ? 0 : no);
		for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
			assert_int_equal(command(w, c, orders[i], NULL), no);
		assert_int_equal(command(w, c, "mode", "inactive"), no);
		ipsp_conn_request(c->conn, 2, &(struct ipsp_conn_request){.subscriber = "u1"});
		assert_int_equal(rig_wait_for(w, c, IPSP_CONN_ANSWER).err,
				 serves ? IPSP_ERR_INVALID : no); /* attach first */
		ipsp_conn_attach(c->conn, 3, NULL, "gw");
		assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, serves ? 0 : no);
		if (serves) {
			address = rig_request(w, c, "u1");
			assert_int_equal(rig_count_list(w, c), 1);
			ipsp_conn_release(c->conn, 4, &address);
			assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, 0);
		} else {
			ipsp_conn_list(c->conn, 4);
			assert_int_equal(rig_wait_for(w, c, IPSP_CONN_DONE).err, no);
		}
		rig_close(c);
		rig_turn(w);
	}
}

int main(void)
{
#define WITH_A_DAEMON(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
		WITH_A_DAEMON(many_frames_are_one_turn_and_one_write),
		WITH_A_DAEMON(requests_in_single_bytes),
		WITH_A_DAEMON(garbage_closes_that_client_alone),
		WITH_A_DAEMON(another_version_is_refused_with_words),
		WITH_A_DAEMON(sessions_belong_to_the_name),
		WITH_A_DAEMON(an_operators_release_asks_the_ha),
		WITH_A_DAEMON(all_sessions_of_a_name_end_by_force),
		WITH_A_DAEMON(one_session_ends_by_force),
		WITH_A_DAEMON(shows_are_json_of_the_contracts_shape),
		WITH_A_DAEMON(what_makes_no_sense_is_answered),
		WITH_A_DAEMON(what_levels_may),
		WITH_A_DAEMON(a_reload_looks_behind_what_waits),
		WITH_A_DAEMON(only_a_dead_socket_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
