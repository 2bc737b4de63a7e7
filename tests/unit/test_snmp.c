/* test_snmp - notifications as managers get them: bytes on a socket, and a real snmptrapd. */
#define _GNU_SOURCE /* nftw */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/ctx.h"
#include "daemon/engine.h"
#include "daemon/snmp.h"
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SNMPTRAPD "/usr/sbin/snmptrapd"

static char dir[] = "/tmp/ipspd-snmp-XXXXXX";
static struct event_base *base;
static struct ipspd_config config;
static struct ipspd daemon_;
static struct ipspd_snmp *snmp;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---------------------------------------------------------------- a manager that is only a socket
 */

struct manager {
	int fd;
	uint16_t port;
};

static struct manager manager_new(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(addr);
	struct manager m = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};

	assert_int_equal(bind(m.fd, (struct sockaddr *)&addr, n), 0);
	assert_int_equal(getsockname(m.fd, (struct sockaddr *)&addr, &n), 0);
	m.port = ntohs(addr.sin_port);
	return m;
}

struct message { /* one datagram, and what it says, in text */
	uint8_t bytes[2048];
	size_t n, pdu; /* where the tag of the PDU is */
	struct sockaddr_in from;
	long reqid;
	char text[4096]; /* "community tag\nOID type value\n..." */
};

struct ber {
	const uint8_t *p, *end;
};

static uint8_t ber_next(struct ber *from, struct ber *value)
{
	uint8_t tag = *from->p++;
	size_t n = *from->p++;

	if (n & 0x80) {
		size_t bytes = n & 0x7f;

		for (n = 0; bytes > 0; bytes--)
			n = n << 8 | *from->p++;
	}
	*value = (struct ber){from->p, from->p + n};
	assert_true(value->end <= from->end);
	from->p += n;
	return tag;
}

static unsigned long long ber_number(struct ber value)
{
	unsigned long long v = 0;

	while (value.p < value.end)
		v = v << 8 | *value.p++;
	return v;
}

static void say(struct message *m, const char *format, ...)
{
	size_t n = strlen(m->text);
	va_list args;

	va_start(args, format);
	vsnprintf(m->text + n, sizeof(m->text) - n, format, args);
	va_end(args);
}

static void say_oid(struct message *m, struct ber value)
{
	unsigned long v = 0;

	say(m, "1.%u", *value.p++ - 40u);
	for (; value.p < value.end; value.p++) {
		v = v << 7 | (*value.p & 0x7f);
		if (*value.p & 0x80)
			continue;
		say(m, ".%lu", v);
		v = 0;
	}
}

static void say_value(struct message *m, uint8_t tag, struct ber value)
{
	switch (tag) {
	case 0x02:
		say(m, " INTEGER %llu\n", ber_number(value));
		return;
	case 0x04:
		say(m, " STRING %.*s\n", (int)(value.end - value.p), (const char *)value.p);
		return;
	case 0x06:
		say(m, " OID ");
		say_oid(m, value);
		say(m, "\n");
		return;
	case 0x43: /* a time is not for exact comparison */
		assert_true(ber_number(value) < 100000);
		say(m, " TimeTicks\n");
		return;
	case 0x46:
		say(m, " Counter64 %llu\n", ber_number(value));
		return;
	default:
		say(m, " tag %02x\n", tag);
	}
}

static void decode(struct message *m)
{
	struct ber all = {m->bytes, m->bytes + m->n}, msg, pdu, list, var, value;
	uint8_t tag;

	m->text[0] = '\0';
	ber_next(&all, &msg);
	ber_next(&msg, &value);
	assert_int_equal(ber_number(value), 1); /* version 2c */
	ber_next(&msg, &value);
	m->pdu = (size_t)(msg.p - m->bytes);
	tag = ber_next(&msg, &pdu);
	say(m, "%.*s %s\n", (int)(value.end - value.p), (const char *)value.p,
	    tag == 0xa6	  ? "inform"
	    : tag == 0xa7 ? "trap"
			  : "?");
	ber_next(&pdu, &value);
	m->reqid = (long)ber_number(value);
	ber_next(&pdu, &value);
	ber_next(&pdu, &value);
	ber_next(&pdu, &list);
	while (list.p < list.end) {
		ber_next(&list, &var);
		ber_next(&var, &value);
		say_oid(m, value);
		tag = ber_next(&var, &value);
		say_value(m, tag, value);
	}
}

static void turn_loop(double seconds)
{
	struct timeval tv = {.tv_usec = 5000};
	double end = now_s() + seconds;

	do {
		event_base_loopexit(base, &tv);
		event_base_loop(base, 0);
	} while (now_s() < end);
}

/* The next message within @seconds; false when none came. */
static bool receive(struct manager *m, struct message *msg, double seconds)
{
	double end = now_s() + seconds;
	socklen_t n_from = sizeof(msg->from);
	ssize_t n;

	do {
		turn_loop(0);
		n = recvfrom(m->fd, msg->bytes, sizeof(msg->bytes), 0,
			     (struct sockaddr *)&msg->from, &n_from);
	} while (n < 0 && now_s() < end);
	if (n < 0)
		return false;
	msg->n = (size_t)n;
	decode(msg);
	return true;
}

/* A response is the same message with another tag. */
static void acknowledge(struct manager *m, struct message *msg)
{
	msg->bytes[msg->pdu] = 0xa2;
	assert_true(sendto(m->fd, msg->bytes, msg->n, 0, (struct sockaddr *)&msg->from,
			   sizeof(msg->from)) == (ssize_t)msg->n);
}

/* ---------------------------------------------------------------- the daemon's side */

static struct ipspd_sink *add_sink(const char *host, uint16_t port)
{
	struct ipspd_sink *sinks = realloc(config.sinks, (config.n_sinks + 1) * sizeof(*sinks));
	struct ipspd_sink *sink;

	assert_non_null(sinks);
	config.sinks = sinks;
	sink = &sinks[config.n_sinks++];
	*sink = (struct ipspd_sink){.port = port, .community = "public"};
	snprintf(sink->host, sizeof(sink->host), "%s", host);
	return sink;
}

static void start(void)
{
	char why[256];

	snprintf(config.state_directory, sizeof(config.state_directory), "%s", dir);
	daemon_ = (struct ipspd){.base = base, .config = &config, .started_ms = ipspd_now()};
	snmp = ipspd_snmp_prepare(&daemon_, &config, NULL, why, sizeof(why));
	if (!snmp)
		fail_msg("%s", why);
	ipspd_snmp_start(snmp, NULL);
}

static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	return base ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ipspd_snmp_free(snmp);
	snmp = NULL;
	ipspd_config_fini(&config);
	event_base_free(base);
	return 0;
}

static void send_all_free(const char *context)
{
	struct ipspd_snmp_trap trap = {
		.trap = IPSP_TRAP_ALL_ADDRS_FREE, .context = context, .interface = "ipsp-lan"};

	ipspd_snmp_send(snmp, &trap);
}

static struct ipspd_snmp_counts counts(void)
{
	struct ipspd_snmp_counts c;

	ipspd_snmp_counts(snmp, &c);
	return c;
}

/* ---------------------------------------------------------------- stories */

static void a_trap_in_the_manner_of_the_rfc(void **state)
{
	struct manager m = manager_new();
	struct message msg;

	(void)state;
	add_sink("127.0.0.1", m.port);
	start();
	send_all_free("isp1");
	assert_true(receive(&m, &msg, 2));
	assert_string_equal(msg.text, "public trap\n"
				      "1.3.6.1.2.1.1.3.0 TimeTicks\n"
				      "1.3.6.1.6.3.1.1.4.1.0 OID 1.3.6.1.4.1.8164.2.86\n"
				      "1.3.6.1.4.1.8164.1.31.5.0 STRING isp1\n"
				      "1.3.6.1.4.1.8164.1.31.6.0 STRING ipsp-lan\n");
	assert_false(receive(&m, &msg, 0.3));
	assert_int_equal(counts().sent, 1);
	assert_int_equal(counts().queued, 0);
	close(m.fd);
}

static void a_trap_in_the_manner_of_staros(void **state)
{
	struct manager m = manager_new();
	struct message msg;

	(void)state;
	add_sink("127.0.0.1", m.port);
	config.trap_style = IPSPD_TRAP_STARENT;
	start();
	send_all_free("isp1");
	assert_true(receive(&m, &msg, 2));
	assert_string_equal(msg.text, "public trap\n"
				      "1.3.6.1.2.1.1.3.0 TimeTicks\n"
				      "1.3.6.1.6.3.1.1.4.1.0 OID 1.3.6.1.4.1.8164.2.86\n"
				      "1.3.6.1.4.1.8164.1.31.5 STRING isp1\n"
				      "1.3.6.1.4.1.8164.1.31.6 STRING ipsp-lan\n"
				      "1.3.6.1.6.3.1.1.4.3.0 OID 1.3.6.1.4.1.8164.2\n");
	close(m.fd);
}

static void our_own_notifications(void **state)
{
	struct manager m = manager_new();
	struct message msg;
	struct ipspd_snmp_trap trap = {.trap = IPSP_TRAP_ROLE_CHANGE,
				       .context = "isp1",
				       .interface = "ipsp-lan",
				       .role = IPSP_ROLE_SECONDARY,
				       .peer_state = IPSP_PEER_UP,
				       .peer = ipsp_addr_v4(0xc0000202),
				       .epoch = 0x100000003};

	(void)state;
	add_sink("127.0.0.1", m.port);
	start();
	ipspd_snmp_send(snmp, &trap);
	assert_true(receive(&m, &msg, 2));
	assert_string_equal(msg.text,
			    "public trap\n"
			    "1.3.6.1.2.1.1.3.0 TimeTicks\n"
			    "1.3.6.1.6.3.1.1.4.1.0 OID 1.3.6.1.4.1.8072.9999.9999.4187.0.4\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.1.0 STRING isp1\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.2.0 STRING ipsp-lan\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.3.0 INTEGER 2\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.4.0 INTEGER 1\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.5.0 STRING 192.0.2.2\n"
			    "1.3.6.1.4.1.8072.9999.9999.4187.1.6.0 Counter64 4294967299\n");
	close(m.fd);
}

/* What some of them say behind what all do: the last variable, or the last two. */
static void what_each_notification_adds(void **state)
{
	static const struct {
		enum ipsp_trap trap;
		int number;
		const char *adds;
	} rows[] = {
		{IPSP_TRAP_PEER_UP, 1, NULL},
		{IPSP_TRAP_PEER_LOST, 2, "11.0 INTEGER 1\n"},
		{IPSP_TRAP_PEER_DOWN, 3, NULL},
		{IPSP_TRAP_CONFIG_MISMATCH, 5, "12.0 INTEGER 2\n"},
		{IPSP_TRAP_DUPLICATE, 6, "7.0 STRING 10.1.0.5\n"},
		{IPSP_TRAP_SERVING_CHANGE, 7,
		 "8.0 INTEGER 2\n1.3.6.1.4.1.8072.9999.9999.4187.1.9.0 STRING lease\n"},
		{IPSP_TRAP_LINK_CHANGE, 8, "10.0 STRING no address\n"},
		{IPSP_TRAP_PEER_STOPPED, 9, "11.0 INTEGER 1\n"},
		{IPSP_TRAP_DISK_FULL, 10, "13.0 INTEGER 1\n"},
		{IPSP_TRAP_DUPLICATE_FOUND, 11, "7.0 STRING 10.1.0.5\n"},
	};
	struct manager m = manager_new();
	struct message msg;
	struct ipspd_snmp_trap trap = {.context = "isp1",
				       .interface = "ipsp-lan",
				       .waiting = IPSP_WAIT_LEASE,
				       .mismatch = IPSP_MISMATCH_ROLES,
				       .shared = true,
				       .disk_full = true,
				       .link = "no address",
				       .address = ipsp_addr_v4(0x0a010005)};

	(void)state;
	add_sink("127.0.0.1", m.port);
	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char own[96], ends[160];

		trap.trap = rows[i].trap;
		ipspd_snmp_send(snmp, &trap);
		assert_true(receive(&m, &msg, 2));
		snprintf(own, sizeof(own), " OID 1.3.6.1.4.1.8072.9999.9999.4187.0.%d\n",
			 rows[i].number);
		assert_non_null(strstr(msg.text, own));
		snprintf(ends, sizeof(ends), "1.6.0 Counter64 0\n%s%s",
			 rows[i].adds ? "1.3.6.1.4.1.8072.9999.9999.4187.1." : "",
			 rows[i].adds ? rows[i].adds : "");
		assert_string_equal(msg.text + strlen(msg.text) - strlen(ends), ends);
	}
	close(m.fd);
}

static void an_inform_is_repeated_until_acknowledged(void **state)
{
	struct manager m = manager_new();
	struct message msg, again;
	double sent_at;

	(void)state;
	add_sink("127.0.0.1", m.port)->inform = true;
	start();
	send_all_free("one");
	send_all_free("two");
	assert_true(receive(&m, &msg, 2));
	assert_non_null(strstr(msg.text, "public inform\n"));
	assert_non_null(strstr(msg.text, "STRING one\n"));
	sent_at = now_s();
	assert_true(receive(&m, &again, 3)); /* the same one: the second waits its turn */
	assert_true(now_s() - sent_at > 0.8);
	assert_int_equal(again.reqid, msg.reqid);
	assert_string_equal(again.text, msg.text);
	assert_int_equal(counts().queued, 2);
	assert_true(ipspd_snmp_serves(snmp, &config)); /* a reload would keep them */
	config.sinks[0].inform = false;
	assert_false(ipspd_snmp_serves(snmp, &config));

	acknowledge(&m, &again);
	assert_true(receive(&m, &msg, 2));
	assert_non_null(strstr(msg.text, "STRING two\n"));
	acknowledge(&m, &msg);
	assert_false(receive(&m, &msg, 1.5));
	assert_int_equal(counts().acknowledged, 2);
	assert_int_equal(counts().queued, 0);
	close(m.fd);
}

static void a_dead_sink_delays_nobody_and_its_queue_is_limited(void **state)
{
	struct manager m = manager_new(), dead = manager_new();
	struct message msg;
	double begin = now_s();

	(void)state;
	close(dead.fd);
	add_sink("127.0.0.1", dead.port)->inform = true;
	add_sink("no-such-host.invalid", 162);
	add_sink("127.0.0.1", m.port);
	start();
	for (int i = 0; i < 100; i++)
		send_all_free("isp1");
	assert_true(now_s() - begin < 0.5);
	for (int i = 0; i < 100; i++)
		assert_true(receive(&m, &msg, 1));
	assert_true(now_s() - begin < 2);
	assert_int_equal(counts().queued, 2 * IPSPD_SNMP_QUEUE);
	assert_int_equal(counts().dropped, 2 * (100 - IPSPD_SNMP_QUEUE));
	close(m.fd);
}

static void send_one(enum ipsp_trap trap, uint32_t number)
{
	const struct ipspd_snmp_trap one = {.trap = trap,
					    .context = "isp1",
					    .interface = "lan",
					    .address = ipsp_addr_v4(number)};

	ipspd_snmp_send(snmp, &one);
}

/* A healing with thousands of duplicates, while the manager can't be reached. */
static void what_matters_is_not_pushed_out(void **state)
{
	struct manager m = manager_new();
	struct message msg;
	unsigned lost = 0, free_ones = 0, others = 0;

	(void)state;
	add_sink("127.0.0.1", m.port)->inform = true;
	start();
	send_one(IPSP_TRAP_DUPLICATE_FOUND, 0); /* is in flight */
	send_one(IPSP_TRAP_PEER_LOST, 0);
	send_one(IPSP_TRAP_ALL_ADDRS_FREE, 0);
	for (uint32_t i = 0; i < 300; i++) {
		send_one(IPSP_TRAP_DUPLICATE_FOUND, i);
		send_one(IPSP_TRAP_SERVING_CHANGE, i);
	}
	assert_int_equal(counts().queued, IPSPD_SNMP_QUEUE);
	for (unsigned i = 0; i < IPSPD_SNMP_QUEUE; i++) {
		assert_true(receive(&m, &msg, 4));
		lost += strstr(msg.text, "4187.0.2\n") != NULL;
		free_ones += strstr(msg.text, "8164.2.86\n") != NULL;
		others += strstr(msg.text, "4187.0.7\n") != NULL;
		acknowledge(&m, &msg);
	}
	assert_int_equal(lost, 1);
	assert_int_equal(free_ones, 1);
	assert_int_equal(others, IPSPD_SNMP_QUEUE - 3);
	close(m.fd);
}

static void a_manager_that_comes_late_gets_what_waited(void **state)
{
	struct manager m = manager_new();
	struct message msg;
	int got = 0;

	(void)state;
	add_sink("127.0.0.1", m.port)->inform = true;
	start();
	for (int i = 0; i < IPSPD_SNMP_QUEUE; i++)
		send_all_free("isp1");
	turn_loop(1.2); /* one repetition at least */
	while (recv(m.fd, msg.bytes, sizeof(msg.bytes), 0) > 0)
		;
	while (receive(&m, &msg, 4)) {
		acknowledge(&m, &msg);
		got++;
	}
	assert_int_equal(got, IPSPD_SNMP_QUEUE);
	assert_int_equal(counts().acknowledged, IPSPD_SNMP_QUEUE);
	close(m.fd);
}

/* A reload as reload.c does it: made ready first, taken later. */
static bool change(void)
{
	struct ipspd_snmp *next;
	char why[256];

	next = ipspd_snmp_prepare(&daemon_, &config, snmp, why, sizeof(why));
	if (!next)
		return false;
	ipspd_snmp_start(next, snmp);
	snmp = next;
	return true;
}

static void a_reload_keeps_what_waits_at_sinks_that_stay(void **state)
{
	struct manager stays = manager_new(), goes = manager_new(), comes = manager_new();
	struct message msg;

	(void)state;
	add_sink("127.0.0.1", goes.port)->inform = true;
	add_sink("127.0.0.1", stays.port)->inform = true;
	start();
	send_all_free("one");
	send_all_free("two");
	assert_true(receive(&stays, &msg, 2)); /* and is not acknowledged */
	config.sinks[0].port = comes.port;
	assert_false(ipspd_snmp_serves(snmp, &config));
	assert_true(change());
	assert_true(ipspd_snmp_serves(snmp, &config));
	assert_int_equal(counts().queued, 2); /* those of the sink that went are gone with it */
	send_all_free("three");
	assert_true(receive(&comes, &msg, 2));
	assert_non_null(strstr(msg.text, "STRING three\n"));
	acknowledge(&comes, &msg);
	for (int i = 0; i < 3; i++) {
		assert_true(receive(&stays, &msg, 4));
		assert_non_null(strstr(msg.text, i == 0	  ? "STRING one\n"
						 : i == 1 ? "STRING two\n"
							  : "STRING three\n"));
		acknowledge(&stays, &msg);
	}
	turn_loop(0.1);
	assert_int_equal(counts().queued, 0);
	close(stays.fd);
	close(goes.fd);
	close(comes.fd);
}

/* Made ready, and then refused for a reason that has nothing to do with SNMP. */
static void a_refused_reload_leaves_the_sinks_alone(void **state)
{
	struct manager m = manager_new();
	struct ipspd_snmp *next;
	struct message msg;
	char why[256];

	(void)state;
	add_sink("127.0.0.1", m.port)->inform = true;
	start();
	send_all_free("one");
	assert_true(receive(&m, &msg, 2));
	add_sink("no-such-host.invalid", 162);
	next = ipspd_snmp_prepare(&daemon_, &config, snmp, why, sizeof(why));
	assert_non_null(next);
	ipspd_snmp_free(next);
	config.n_sinks = 1;
	assert_true(ipspd_snmp_serves(snmp, &config));
	assert_int_equal(counts().queued, 1);
	acknowledge(&m, &msg);
	turn_loop(0.1);
	assert_int_equal(counts().queued, 0);
	close(m.fd);
}

static void notifications_come_from_the_source(void **state)
{
	struct manager m = manager_new();
	struct message msg;

	(void)state;
	add_sink("127.0.0.1", m.port);
	config.snmp_source = ipsp_addr_v4(0x7f000009);
	start();
	send_all_free("isp1");
	assert_true(receive(&m, &msg, 2));
	assert_int_equal(ntohl(msg.from.sin_addr.s_addr), 0x7f000009);
	config.snmp_source = IPSP_ADDR_NONE;
	assert_true(change());
	send_all_free("isp1");
	assert_true(receive(&m, &msg, 2));
	assert_int_equal(ntohl(msg.from.sin_addr.s_addr), INADDR_LOOPBACK);
	close(m.fd);
}

static void a_name_is_resolved_beside_the_loop(void **state)
{
	struct manager m = manager_new();
	struct message msg;

	(void)state;
	add_sink("localhost", m.port);
	start();
	send_all_free("isp1");
	/* where localhost is ::1 first, the socket on 127.0.0.1 hears nothing */
	if (receive(&m, &msg, 3))
		assert_non_null(strstr(msg.text, "STRING isp1\n"));
	assert_int_equal(counts().sent, 1);
	close(m.fd);
}

/* ---------------------------------------------------------------- version 3, by a real receiver */

struct trapd {
	pid_t pid;
	bool numbers; /* shows OIDs as numbers */
	char out[128], conf[128];
};

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static char *get_file(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static uint16_t free_port(void)
{
	struct manager m = manager_new();

	close(m.fd);
	return m.port;
}

/* Our modules and the stand-ins for the IETF's: "TREE/mibs/stand-in:TREE/mibs". */
static void exec_trapd(const struct trapd *t, uint16_t port)
{
	char listen[64], log[160];

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails must leave nothing behind */
	snprintf(listen, sizeof(listen), "udp:127.0.0.1:%u", port);
	snprintf(log, sizeof(log), "-Lf%s", t->out);
	setenv("SNMP_PERSISTENT_DIR", dir, 1);
	setenv("MIBDIRS", SOURCE_DIR "/mibs/stand-in:" SOURCE_DIR "/mibs", 1);
	setenv("MIBS", t->numbers ? "" : "IPSPD-MIB:IPSPD-STARENT-MIB", 1);
	execl(SNMPTRAPD, SNMPTRAPD, "-f", "-C", "-c", t->conf, log, t->numbers ? "-On" : "-OS",
	      listen, NULL);
	_exit(127);
}

static struct trapd trapd_new(uint16_t port, bool numbers, const char *conf)
{
	struct trapd t = {.numbers = numbers};

	snprintf(t.out, sizeof(t.out), "%s/trapd.out", dir);
	snprintf(t.conf, sizeof(t.conf), "%s/trapd.conf", dir);
	unlink(t.out);
	put_file(t.conf, conf);
	t.pid = fork();
	assert_true(t.pid >= 0);
	if (t.pid == 0)
		exec_trapd(&t, port);
	for (int i = 0; i < 200 && !strstr(get_file(t.out), "NET-SNMP version"); i++)
		usleep(20000);
	return t;
}

static void trapd_free(struct trapd *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	unlink(t->out);
	unlink(t->conf);
}

static bool trapd_says(const struct trapd *t, const char *words, double seconds)
{
	double end = now_s() + seconds;

	while (!strstr(get_file(t->out), words))
		if (now_s() < end)
			turn_loop(0.02);
		else
			return false;
	return true;
}

static struct ipspd_sink *add_v3(uint16_t port)
{
	struct ipspd_sink *sink = add_sink("127.0.0.1", port);

	sink->version = IPSPD_SNMP_V3;
	strcpy(sink->user, "ops");
	sink->auth = IPSPD_AUTH_SHA256;
	sink->priv = IPSPD_PRIV_AES;
	strcpy(sink->auth_passphrase, "auth passphrase");
	strcpy(sink->priv_passphrase, "priv passphrase");
	return sink;
}

static const char engine_conf[] =
	"createUser -e 0x%s ops SHA-256 \"auth passphrase\" AES \"priv passphrase\"\n"
	"authUser log ops authPriv\n";

static void version_3_traps_survive_a_restart(void **state)
{
	char path[64], id[64] = "", conf[512];
	uint16_t port = free_port();
	unsigned long boots;
	struct trapd trapd;

	(void)state;
	if (access(SNMPTRAPD, X_OK) != 0)
		skip();
	add_v3(port);
	start();
	snprintf(path, sizeof(path), "%s/snmp-engine", dir);
	boots = strtoul(strstr(get_file(path), "\nboots ") + strlen("\nboots "), NULL, 10);
	snprintf(id, sizeof(id), "%.*s", 2 * IPSPD_ENGINE_ID,
		 get_file(path) + strlen("engine-id "));
	snprintf(conf, sizeof(conf), engine_conf, id);
	trapd = trapd_new(port, true, conf);

	send_all_free("before");
	assert_true(trapd_says(&trapd, ".1.3.6.1.4.1.8164.1.31.5.0 = STRING: \"before\"", 5));
	ipspd_snmp_free(snmp);
	start();
	send_all_free("after");
	assert_true(trapd_says(&trapd, "STRING: \"after\"", 5));
	assert_true(strtoul(strstr(get_file(path), "\nboots ") + strlen("\nboots "), NULL, 10) >
		    boots);
	assert_non_null(strstr(get_file(path), id));

	/* the state directory was moved away: id and boots are none that a receiver refuses */
	unlink(path);
	usleep(1100000);
	ipspd_snmp_free(snmp);
	start();
	send_all_free("anew");
	assert_true(trapd_says(&trapd, "STRING: \"anew\"", 5));
	assert_non_null(strstr(get_file(path), id));
	trapd_free(&trapd);
	unlink(path);
}

static void version_3_informs_discover_the_receiver(void **state)
{
	uint16_t port = free_port();
	struct trapd trapd;

	(void)state;
	if (access(SNMPTRAPD, X_OK) != 0)
		skip();
	add_v3(port)->inform = true;
	start();
	send_all_free("early"); /* nobody is there yet */
	turn_loop(0.2);
	trapd = trapd_new(port, true,
			  "createUser ops SHA-256 \"auth passphrase\" AES \"priv passphrase\"\n"
			  "authUser log ops authPriv\n");
	send_all_free("late");
	assert_true(trapd_says(&trapd, "STRING: \"early\"", 10));
	assert_true(trapd_says(&trapd, "STRING: \"late\"", 5));
	turn_loop(0.2);
	assert_int_equal(counts().acknowledged, 2);
	assert_int_equal(counts().queued, 0);
	trapd_free(&trapd);
}

static void a_receiver_with_our_mibs_shows_names(void **state)
{
	uint16_t port = free_port();
	struct trapd trapd;
	struct ipspd_snmp_trap trap = {.trap = IPSP_TRAP_DUPLICATE,
				       .context = "isp1",
				       .interface = "ipsp-lan",
				       .role = IPSP_ROLE_SECONDARY,
				       .peer_state = IPSP_PEER_UP,
				       .peer = ipsp_addr_v4(0xc0000202),
				       .address = ipsp_addr_v4(0x0a010005)};

	(void)state;
	if (access(SNMPTRAPD, X_OK) != 0)
		skip();
	trapd = trapd_new(port, false, "authCommunity log public\n");
	assert_null(strstr(get_file(trapd.out), "Cannot"));
	add_sink("127.0.0.1", port);
	start();
	send_all_free("isp1");
	assert_true(
		trapd_says(&trapd, "IPSPD-STARENT-MIB::starInterfaceName.0 = STRING: ipsp-lan", 5));
	assert_true(trapd_says(&trapd, "IPSPD-STARENT-MIB::starIPSPAllAddrsFree", 1));
	assert_true(trapd_says(&trapd, "IPSPD-STARENT-MIB::starContextName.0 = STRING: isp1", 1));
	ipspd_snmp_send(snmp, &trap);
	assert_true(trapd_says(&trapd, "IPSPD-MIB::ipspdAddress.0 = STRING: 10.1.0.5", 5));
	assert_true(trapd_says(&trapd, "IPSPD-MIB::ipspdDuplicateResolved", 1));
	assert_true(trapd_says(&trapd, "IPSPD-MIB::ipspdRole.0 = INTEGER: secondary(2)", 1));
	assert_true(trapd_says(&trapd, "IPSPD-MIB::ipspdPeerState.0 = INTEGER: up(1)", 1));
	trapd_free(&trapd);
}

static void an_engine_survives_its_file(void **state)
{
	struct ipspd_engine a, b, c, d;
	char path[64], why[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/snmp-engine", dir);
	unlink(path);
	assert_int_equal(ipspd_engine_load(dir, &a, why, sizeof(why)), 1);
	assert_int_equal(ipspd_engine_load(dir, &b, why, sizeof(why)), 0);
	assert_memory_equal(a.id, b.id, sizeof(a.id));
	assert_true(b.boots > a.boots);
	put_file(path, "engine-id 80001f8805\nboots 7\n"); /* damaged */
	usleep(2200000);				   /* boots go by the clock then */
	assert_int_equal(ipspd_engine_load(dir, &c, why, sizeof(why)), 1);
	if (access("/etc/machine-id", R_OK) == 0)
		assert_memory_equal(a.id, c.id, sizeof(a.id));
	assert_true(c.boots > b.boots);

	/* one that a version before this one made, with boots that count starts, keeps its id */
	put_file(path, "engine-id 80001f88050102030405060708090a0b0c\nboots 7\n");
	assert_int_equal(ipspd_engine_load(dir, &d, why, sizeof(why)), 0);
	assert_int_equal(d.id[16], 0x0c);
	assert_true(d.boots > 7);
	assert_string_equal(why, "");

	unlink(path);
	assert_int_equal(ipspd_engine_load("/nowhere", &c, why, sizeof(why)), 1);
	assert_non_null(strstr(why, "/nowhere/snmp-engine"));
	assert_true(c.boots > 0); /* it can't be kept, and may be used */
}

static int make_dir(void **state)
{
	(void)state;
	return sodium_init() >= 0 && mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static int remove_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_trap_in_the_manner_of_the_rfc),
		STORY(a_trap_in_the_manner_of_staros),
		STORY(our_own_notifications),
		STORY(what_each_notification_adds),
		STORY(an_inform_is_repeated_until_acknowledged),
		STORY(a_dead_sink_delays_nobody_and_its_queue_is_limited),
		STORY(what_matters_is_not_pushed_out),
		STORY(a_manager_that_comes_late_gets_what_waited),
		STORY(a_reload_keeps_what_waits_at_sinks_that_stay),
		STORY(a_refused_reload_leaves_the_sinks_alone),
		STORY(notifications_come_from_the_source),
		STORY(a_name_is_resolved_beside_the_loop),
		STORY(version_3_traps_survive_a_restart),
		STORY(version_3_informs_discover_the_receiver),
		STORY(a_receiver_with_our_mibs_shows_names),
		STORY(an_engine_survives_its_file),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
