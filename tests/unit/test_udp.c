#define _GNU_SOURCE /* struct mmsghdr */
/* udp: only the peer is heard, with TTL 255; a missing address is waited for. Over the loopback. */
#include "core/wire.h"
#include "daemon/udp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HERE 0x7f00002au /* 127.0.0.42 */
#define PEER 0x7f00002bu

static struct event_base *base;
static uint16_t port;
static unsigned n_received;
static uint8_t last[IPSP_DGRAM_MAX];
static size_t n_last;

static unsigned n_rows; /* pieces that the system was to cut up */
static int refuse_rows; /* with this errno; 0: it takes them */

/* In place of libc's: an interface whose MTU is too small for a moment can't be had on the
 * loopback.
 */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	for (unsigned i = 0; i < n; i++) {
		if (msgs[i].msg_hdr.msg_controllen == 0)
			continue;
		if (refuse_rows && i == 0) {
			errno = refuse_rows;
			return -1;
		}
		if (refuse_rows)
			return (int)syscall(SYS_sendmmsg, fd, msgs, i, flags);
		n_rows++;
	}
	return (int)syscall(SYS_sendmmsg, fd, msgs, n, flags);
}

static void on_receive(void *arg, const uint8_t *bytes, size_t n)
{
	(void)arg;
	n_received++;
	memcpy(last, bytes, n);
	n_last = n;
}

static void run(int ms)
{
	const struct timeval tv = {.tv_usec = ms * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* A plain socket as the peer would have one, on @host and @from_port. */
static int plain(uint32_t host, uint16_t from_port, int ttl)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(from_port),
				 .sin_addr.s_addr = htonl(host)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void say(int fd, const void *bytes, size_t n)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(HERE)};

	assert_int_equal(sendto(fd, bytes, n, 0, (struct sockaddr *)&sa, sizeof(sa)), (ssize_t)n);
}

static struct ipspd_udp *udp_at(uint32_t local, uint32_t peer)
{
	const struct ipspd_udp_conf conf = {.name = "isp1",
					    .local = ipsp_addr_v4(local),
					    .peer = ipsp_addr_v4(peer),
					    .port = port};
	struct ipspd_udp *udp = ipspd_udp_new(base, &conf, on_receive, NULL);

	assert_non_null(udp);
	return udp;
}

static int setup(void **state)
{
	(void)state;
	base = event_base_new();
	port = (uint16_t)(20000 + getpid() % 20000);
	n_received = 0;
	refuse_rows = 0;
	return base ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

static void two_talk(void **state)
{
	uint8_t out[200][IPSP_DGRAM_MAX];

	(void)state;
	struct ipspd_udp *a = udp_at(HERE, PEER), *b = udp_at(PEER, HERE);
	assert_true(ipspd_udp_is_open(a));
	for (unsigned i = 0; i < 200; i++) { /* more than one batch */
		memset(out[i], (int)i, sizeof(out[i]));
		ipspd_udp_send(b, out[i], sizeof(out[i]));
	}
	ipspd_udp_flush(b);
	run(100);
	assert_int_equal(n_received, 200);
	assert_int_equal(n_last, IPSP_DGRAM_MAX);
	assert_int_equal(last[0], 199); /* in order, here */
	assert_int_equal(ipspd_udp_stats(a)->received, 200);
	assert_int_equal(ipspd_udp_stats(b)->sent, 200);
	assert_int_equal(ipspd_udp_stats(b)->send_errors, 0);
	ipspd_udp_free(a);
	ipspd_udp_free(b);
}

static size_t lengths[128];
static uint8_t firsts[128];

static void on_one_of_many(void *arg, const uint8_t *bytes, size_t n)
{
	(void)arg;
	if (n_received < 128) {
		lengths[n_received] = n;
		firsts[n_received] = n > 0 ? bytes[0] : 0;
	}
	n_received++;
}

/* Datagrams of one length go to the system as one: they arrive as they were, whatever is between
 * them, and however many they are. */
static void rows_arrive_as_datagrams(void **state)
{
	static const size_t said[] = {1200, 1200, 1200, 7,   7,	  7,   1200, 1200, 0,
				      0,    900,  901,	900, 900, 900, 1,    1200, 1200};
	static uint8_t out[128][IPSP_DGRAM_MAX];
	const size_t n = sizeof(said) / sizeof(said[0]);
	const struct ipspd_udp_conf conf = {.name = "isp1",
					    .local = ipsp_addr_v4(PEER),
					    .peer = ipsp_addr_v4(HERE),
					    .port = port};

	(void)state;
	struct ipspd_udp *a = udp_at(HERE, PEER),
			 *b = ipspd_udp_new(base, &conf, on_one_of_many, NULL);
	assert_non_null(b);
	for (unsigned i = 0; i < 128; i++)
		memset(out[i], (int)i, sizeof(out[i]));
	for (unsigned i = 0; i < n; i++)
		ipspd_udp_send(a, out[i], said[i]);
	ipspd_udp_flush(a);
	run(100);
	assert_int_equal(n_received, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(lengths[i], said[i]);
		assert_int_equal(firsts[i], said[i] > 0 ? i : 0);
	}
	n_received = 0;
	for (unsigned i = 0; i < 128; i++)
		ipspd_udp_send(a, out[i], IPSP_DGRAM_MAX);
	ipspd_udp_flush(a);
	run(100);
	assert_int_equal(n_received, 128);
	for (unsigned i = 0; i < 128; i++) {
		assert_int_equal(lengths[i], IPSP_DGRAM_MAX);
		assert_int_equal(firsts[i], i);
	}
	assert_int_equal(ipspd_udp_stats(a)->sent, 128 + n);
	assert_int_equal(ipspd_udp_stats(a)->send_errors, 0);
	ipspd_udp_free(a);
	ipspd_udp_free(b);
}

static void say_ten(struct ipspd_udp *udp)
{
	static const uint8_t bytes[100];

	for (unsigned i = 0; i < 10; i++)
		ipspd_udp_send(udp, bytes, sizeof(bytes));
	ipspd_udp_flush(udp);
}

/* What the system refuses now it may take again: the datagrams go one by one for a while only. */
static void rows_come_back(void **state)
{
	static const int errors[] = {EMSGSIZE, EINVAL, EIO};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct ipspd_udp *a = udp_at(HERE, PEER);

		n_rows = 0;
		refuse_rows = errors[i];
		say_ten(a);
		assert_int_equal(ipspd_udp_stats(a)->sent, 10); /* none is lost by it */
		assert_int_equal(ipspd_udp_stats(a)->send_errors, 0);
		assert_int_equal(ipspd_udp_stats(a)->cut_errors, 1);
		say_ten(a);
		assert_int_equal(ipspd_udp_stats(a)->cut_errors, 1); /* not asked at each flush */
		refuse_rows = 0;
		run(510);
		say_ten(a);
		assert_int_equal(n_rows, 1);
		assert_int_equal(ipspd_udp_stats(a)->sent, 30);
		assert_int_equal(ipspd_udp_stats(a)->cut_errors, 1);
		ipspd_udp_free(a);
	}
}

static void rows_that_never_go_cost_little(void **state)
{
	(void)state;
	struct timespec began, ended;
	struct ipspd_udp *a = udp_at(HERE, PEER);
	refuse_rows = EIO;
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (unsigned i = 0; i < 20; i++) {
		say_ten(a);
		run(100);
	}
	refuse_rows = 0;
	clock_gettime(CLOCK_MONOTONIC, &ended);
	const long ms =
		(ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000;
	assert_int_equal(ipspd_udp_stats(a)->sent, 200);
	/* twice a second, however long a busy machine has taken */
	assert_in_range(ipspd_udp_stats(a)->cut_errors, 2, (unsigned long)(1 + ms / 500));
	ipspd_udp_free(a);
}

static struct ipspd_udp *udp_on(const char *device, uint32_t local, uint32_t peer)
{
	const struct ipspd_udp_conf conf = {.name = "isp1",
					    .local = ipsp_addr_v4(local),
					    .peer = ipsp_addr_v4(peer),
					    .port = port,
					    .device = device};
	struct ipspd_udp *udp = ipspd_udp_new(base, &conf, on_receive, NULL);

	assert_non_null(udp);
	assert_true(ipspd_udp_is(udp, &conf));
	return udp;
}

/* (Two interfaces of one network are for tests/e2e/test_device.py: they need a namespace.) */
static void bound_to_a_device(void **state)
{
	const struct ipspd_udp_conf anywhere = {.name = "isp1",
						.local = ipsp_addr_v4(HERE),
						.peer = ipsp_addr_v4(PEER),
						.port = port};

	(void)state;
	struct ipspd_udp *a = udp_on("lo", HERE, PEER), *b = udp_on("", PEER, HERE);
	assert_true(ipspd_udp_is_open(a));
	assert_false(ipspd_udp_is(a, &anywhere));
	say_ten(a);
	say_ten(b);
	run(50);
	assert_int_equal(n_received, 20);
	ipspd_udp_free(a);

	a = udp_on("ipsp-none", HERE, PEER); /* an interface that is not there is waited for */
	assert_false(ipspd_udp_is_open(a));
	run(999);
	run(100);
	assert_false(ipspd_udp_is_open(a));
	assert_true(ipspd_udp_stats(a)->bind_errors >= 2);
	ipspd_udp_free(a);
	ipspd_udp_free(b);
}

static void only_the_peer_is_heard(void **state)
{
	uint8_t longer[IPSP_DGRAM_MAX + 1] = {0};

	(void)state;
	struct ipspd_udp *udp = udp_at(HERE, PEER);
	int stranger = plain(PEER + 1, port, 255),
	    other_port = plain(PEER, (uint16_t)(port + 1), 255);
	int far = plain(PEER, port, 254);

	say(stranger, "x", 1);
	say(other_port, "x", 1);
	say(far, "x", 1);
	run(50);
	assert_int_equal(n_received, 0);
	assert_int_equal(ipspd_udp_stats(udp)->drop_source, 2);
	assert_int_equal(ipspd_udp_stats(udp)->drop_ttl, 1);
	close(far);

	int peer = plain(PEER, port, 255);
	say(peer, longer, sizeof(longer));
	say(peer, longer, IPSP_DGRAM_MAX);
	say(peer, "", 0);
	run(50);
	assert_int_equal(ipspd_udp_stats(udp)->drop_long, 1);
	assert_int_equal(n_received, 2);
	assert_int_equal(n_last, 0);
	close(peer);
	close(stranger);
	close(other_port);
	ipspd_udp_free(udp);
}

static void sends_with_255(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t bytes[16];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int peer = plain(PEER, port, 64), on = 1, ttl = 0;

	(void)state;
	assert_int_equal(setsockopt(peer, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
	struct ipspd_udp *udp = udp_at(HERE, PEER);
	ipspd_udp_send(udp, (const uint8_t *)"hello", 5);
	assert_int_equal(recvmsg(peer, &msg, 0), -1); /* nothing before the flush */
	ipspd_udp_flush(udp);
	assert_int_equal(recvmsg(peer, &msg, 0), 5);
	const struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	if (head)
		memcpy(&ttl, CMSG_DATA(head), sizeof(ttl));
	assert_int_equal(ttl, 255);
	close(peer);
	ipspd_udp_free(udp);
}

static void waits_for_its_address(void **state)
{
	(void)state;
	struct ipspd_udp *udp = udp_at(0xc0000201, 0xc0000202); /* 192.0.2.1 is not here */
	assert_false(ipspd_udp_is_open(udp));
	ipspd_udp_send(udp, (const uint8_t *)"hello", 5);
	ipspd_udp_flush(udp); /* lost, as on a wire */
	assert_int_equal(ipspd_udp_stats(udp)->send_errors, 1);
	ipspd_udp_free(udp);

	int taken = plain(HERE, port, 255);
	udp = udp_at(HERE, PEER);
	assert_false(ipspd_udp_is_open(udp));
	close(taken);
	run(999);
	run(500);
	assert_true(ipspd_udp_is_open(udp));
	assert_true(ipspd_udp_stats(udp)->bind_errors >= 1);
	ipspd_udp_free(udp);
}

static void ipv6(void **state)
{
	const struct ipspd_udp_conf conf = {.name = "isp6",
					    .local = {0, 1}, /* ::1, which talks to itself here */
					    .peer = {0, 1},
					    .port = port};

	(void)state;
	struct ipspd_udp *udp = ipspd_udp_new(base, &conf, on_receive, NULL);
	if (!ipspd_udp_is_open(udp)) { /* a host without IPv6 */
		ipspd_udp_free(udp);
		skip();
	}
	ipspd_udp_send(udp, (const uint8_t *)"six", 3);
	ipspd_udp_flush(udp);
	run(50);
	assert_int_equal(n_received, 1);
	assert_memory_equal(last, "six", 3);
	ipspd_udp_free(udp);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(two_talk),
		T(rows_arrive_as_datagrams),
		T(rows_come_back),
		T(rows_that_never_go_cost_little),
		T(bound_to_a_device),
		T(only_the_peer_is_heard),
		T(sends_with_255),
		T(waits_for_its_address),
		T(ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
