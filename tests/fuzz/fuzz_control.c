/*
 * The control socket of a whole daemon: clients that say frames or anything else, whole or in
 * pieces, in any order, and read or don't. It serves one context alone and has a peer that is never
 * there for another. What it says is frames of the format, libipsp understands them, and the
 * nodes' invariants hold.
 *
 * The input: commands, each u8 which client and what, and its operands.
 */
#include "base/ctldirect.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/loop.h"
#include "daemon/start.h"
#include "folder.h"
#include "fuzz.h"
#include "input.h"
#include "ipsp.h"
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 4

struct client {
	int fd; /* -1: none */
	struct ipsp_conn *conn;
	bool lost; /* the daemon has said its BYE, or closed */
};

struct world {
	struct input in;
	struct ipspd daemon;
	struct ipspd_config config;
	struct client clients[CLIENTS];
	char socket[100], conf[100];
};

static const char *const contexts[] = {"isp1", "isp2", "", "isp3"};
static const char *const names[] = {
	"drain",	"undrain",  "terminate", "takeover",	  "mode",	"disable",
	"check-config", "reload",   "save",	 "ipsp",	  "ok-to-stop", "configuration",
	"pool",		"counters", "sessions",	 "session-count", "duplicates", "log",
	"ha0",		"ha1",	    "",		 "ha\xc2\x85"};
static const char *const arguments[] = {"",	  "active",   "inactive",    "check-config",
					"pool-a", "10.1.0.1", "10.1.0.0/30", "used"};

/* ---------------------------------------------------------------- the daemon */

static void on_fault(void *arg, bool warning, const char *text)
{
	(void)arg;
	(void)text;
	must(warning);
}

static void start(struct world *w)
{
	char text[1024], why[600] = "";

	snprintf(w->socket, sizeof(w->socket), "%s", fuzz_path("control"));
	snprintf(w->conf, sizeof(w->conf), "%s", fuzz_path("conf"));
	snprintf(
		text, sizeof(text),
		"control = { socket = \"%s\"; };\n"
		"state-directory = \"%s/state\";\n"
		"contexts = (\n"
		"{ name = \"isp1\"; pools = (\n"
		"  { name = \"pool-a\"; network = \"10.1.0.0/28\"; address-hold-timer = 60; },\n"
		"  { name = \"pool-b\"; type = \"private\"; group = \"g\";\n"
		"    range = [ \"10.2.0.1\", \"10.2.0.3\" ]; } ); },\n"
		"{ name = \"isp2\"; pools = ( { name = \"pool-a\"; network = \"10.1.0.0/28\"; } "
		");\n"
		"  interfaces = ( { name = \"lan\"; address = \"127.0.0.1/8\";\n"
		"    pool-share-protocol = { secondary = \"127.0.0.2\"; auth = \"none\"; }; } ); } "
		");\n",
		w->socket, fuzz_folder());
	fuzz_write(w->conf, text, strlen(text));
	must(ipspd_config_read(w->conf, &w->config, on_fault, NULL) == 0);
	w->daemon.config = &w->config;
	w->daemon.config_path = w->conf;
	w->daemon.launcher = -1; /* no hook */
	must(ipspd_start(&w->daemon, why, sizeof(why)) == 0);
}

static void turn(struct world *w)
{
	must(event_base_loop(w->daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
	ipspd_loop_turn(&w->daemon);
	must(!w->daemon.failed);
}

/* ---------------------------------------------------------------- a client */

/* Each frame on its own, and then as libipsp reads them. */
static void understand(struct client *c, const uint8_t *bytes, size_t n)
{
	struct ipsp_conn_msg msg;
	int got;

	must(ipsp_conn_feed(c->conn, bytes, n) == 0);
	while (!c->lost && (got = ipsp_conn_next(c->conn, &msg)) != 0) {
		c->lost = got < 0 || msg.type == IPSP_CONN_BYE;
		must(got > 0 || got == IPSP_ERR_VERSION); /* where it said that it speaks another */
	}
}

static void pull(struct client *c, size_t max)
{
	static uint8_t bytes[1 << 16];
	ssize_t got;

	if (c->fd < 0)
		return;
	while (max > 0 && (got = recv(c->fd, bytes, max < sizeof(bytes) ? max : sizeof(bytes),
				      MSG_DONTWAIT)) > 0) {
		understand(c, bytes, (size_t)got);
		max -= (size_t)got;
	}
}

static void push(struct client *c, const void *bytes, size_t n)
{
	if (c->fd >= 0 && n > 0 && send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		must(errno == EPIPE || errno == ECONNRESET || errno == EAGAIN);
}

static void hang_up(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	ipsp_conn_free(c->conn);
	*c = (struct client){.fd = -1};
}

/* Says the HELLO of @c, and what libipsp has for the daemon beside it. */
static void push_conn(struct client *c)
{
	const void *bytes;
	const size_t n = ipsp_conn_output(c->conn, &bytes);

	push(c, bytes, n);
	ipsp_conn_wrote(c->conn, n);
}

static void dial(struct world *w, struct client *c, bool polite)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	hang_up(c);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", w->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	c->conn = ipsp_conn_new("fuzz");
	must(c->conn != NULL);
	if (polite)
		push_conn(c);
}

/* ---------------------------------------------------------------- frames */

#define PICK(list, i) ipsp_ctl_str((list)[(i) % (sizeof(list) / sizeof((list)[0]))])

/* Where the direct readers read a frame they say what the general one says. */
static void read_both_ways(const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_msg msg;
	struct ipsp_ctl_request request;
	struct ipsp_ctl_release release;
	struct ipsp_buf again = {0};
	size_t used;

	const int got = ipsp_ctl_next(bytes, n, &used, &msg);
	must(got <= 1 && used <= n && (got != 1 || used > 0));
	const size_t one = ipsp_ctl_get_request(bytes, n, &request);
	const size_t two = ipsp_ctl_get_release(bytes, n, &release);
	must(one <= n && two <= n && (one == 0 || two == 0));
	if (got != 1)
		return;
	must(one == 0 || msg.type != IPSP_CTL_REQUEST ||
	     (one == used && msg.id == request.id && msg.group.n == request.group.n));
	must(two == 0 || msg.type != IPSP_CTL_RELEASE ||
	     (two == used && msg.id == release.id && msg.session.n == release.session.n));
	must(ipsp_ctl_put(&again, &msg) == 0); /* what was read can be written */
	ipsp_buf_fini(&again);
}

static void say_frame(struct world *w, struct client *c, uint8_t how)
{
	struct input *in = &w->in;
	const uint8_t a = in_u8(in), b = in_u8(in);
	char subscriber[8], session[8];
	struct ipsp_ctl_msg msg = {.type = (enum ipsp_ctl_type)(how % 8 + 1),
				   .id = a,
				   .event = b,
				   .magic = IPSP_CTL_MAGIC,
				   .min = 1,
				   .max = 1,
				   .flags = b >> 7,
				   .n = b >> 5,
				   .context = PICK(contexts, how >> 3),
				   .name = PICK(names, b),
				   .argument = PICK(arguments, a)};
	struct ipsp_buf out = {0};

	snprintf(subscriber, sizeof(subscriber), "u%u", a % 24U);
	snprintf(session, sizeof(session), "s%u", b % 3U);
	msg.subscriber = ipsp_ctl_str(subscriber);
	msg.session = ipsp_ctl_str(session);
	if (msg.type != IPSP_CTL_REQUEST || b & 16)
		msg.addr = ipsp_addr_v4((b & 64 ? 0x0a020001U : 0x0a010001U) + b % 16);
	if (b & 8)
		msg.pool = ipsp_ctl_str(a & 1 ? "pool-a" : "pool-b");
	if (b & 4)
		msg.group = ipsp_ctl_str("g");
	if (msg.type == IPSP_CTL_SHOW)
		msg.state = PICK(arguments, b);
	if (ipsp_ctl_put(&out, &msg) == 0) {
		read_both_ways(out.data, out.len);
		push(c, out.data, how & 64 ? out.len / 2 : out.len); /* a half, and stays */
	}
	ipsp_buf_fini(&out);
}

static void say_bytes(struct world *w, struct client *c)
{
	size_t n;
	const uint8_t *bytes = in_bytes(&w->in, in_u8(&w->in) * 4U, &n);

	read_both_ways(bytes, n);
	push(c, bytes, n);
}

static void command(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	struct client *c = &w->clients[what % CLIENTS];

	switch (what >> 2 & 7) {
	case 0:
		if (c->fd < 0 || what & 32)
			dial(w, c, what & 64);
		else
			hang_up(c);
		break;
	case 1:
		say_bytes(w, c);
		break;
	case 2:
	case 3:
	case 4:
		say_frame(w, c, in_u8(&w->in));
		break;
	case 5:
		if (c->fd < 0)
			dial(w, c, true);
		ipsp_conn_attach(c->conn, 1, what & 32 ? "isp2" : "isp1",
				 what & 64 ? "ha0" : "ha1");
		push_conn(c);
		break;
	case 6:
		pull(c, in_u8(&w->in) * 16U);
		break;
	default:
		turn(w);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct world world;
	struct world *w = &world;

	memset(w, 0, sizeof(*w));
	w->in = (struct input){data, n};
	for (int i = 0; i < CLIENTS; i++)
		w->clients[i].fd = -1;
	fuzz_folder();
	start(w);
	for (int i = 0; i < 300 && w->in.n > 0; i++)
		command(w);
	for (int i = 0; i < 4; i++) {
		turn(w);
		for (int k = 0; k < CLIENTS; k++)
			pull(&w->clients[k], SIZE_MAX);
	}
	for (size_t i = 0; i < w->daemon.n_ctxs; i++)
		ipsp_node_check(w->daemon.ctxs[i]->node);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&w->clients[i]);
	turn(w);
	ipspd_stop(&w->daemon);
	ipspd_config_fini(&w->config);
	fuzz_folder_empty();
	return 0;
}
