/* ownlink: what is told of the own end of the link, and when; the loopback needs no interface. */
#include "daemon/ownlink.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned n_told;
static bool bound;
static char error[IPSPD_OWNLINK_TEXT];

static void on_link(void *arg, bool is_bound, const char *text)
{
	(void)arg;
	n_told++;
	bound = is_bound;
	snprintf(error, sizeof(error), "%s", text ? text : "");
}

static struct ipspd_ownlink link_at(uint32_t here)
{
	n_told = 0;
	return (struct ipspd_ownlink){.fn = on_link,
				      .here = ipsp_addr_v4(here),
				      .peer = ipsp_addr_v4(0x7f00002b),
				      .port = 4187,
				      .device = ""};
}

static void wait_ms(long ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static void told_once(void **state)
{
	struct ipspd_ownlink link = link_at(0x7f00002a);

	(void)state;
	ipspd_ownlink_bound(&link, 0);
	assert_int_equal(n_told, 1);
	assert_true(bound);
	assert_string_equal(error, "");
	assert_true(ipspd_ownlink_look(&link));
	ipspd_ownlink_sent(&link);
	assert_int_equal(n_told, 1);
}

static void each_failure_to_bind_has_its_words(void **state)
{
	static const struct {
		int error;
		const char *device, *words;
	} cases[] = {
		{EADDRNOTAVAIL, "", "no interface of this host has 192.0.2.77"},
		{EADDRNOTAVAIL, "eth9", "interface eth9 does not have 192.0.2.77"},
		{ENODEV, "eth9", "this host has no interface eth9"},
		{EADDRINUSE, "", "another program has the socket 192.0.2.77 port 4187"},
		{EACCES, "", "binding to 192.0.2.77 port 4187: Permission denied"},
		{EPERM, "eth9",
		 "binding to 192.0.2.77 port 4187 on eth9: Operation not permitted (before Linux "
		 "5.7: CAP_NET_RAW)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipspd_ownlink link = link_at(0xc000024d);
		link.device = cases[i].device;
		ipspd_ownlink_bound(&link, cases[i].error);
		ipspd_ownlink_bound(&link, cases[i].error);
		assert_int_equal(n_told, 1);
		assert_false(bound);
		assert_string_equal(error, cases[i].words);
	}
}

/* A socket that is bound is not told that its address has gone. */
static void the_address_is_gone(void **state)
{
	struct ipspd_ownlink link = link_at(0xc000024d);

	(void)state;
	ipspd_ownlink_bound(&link, 0);
	assert_false(ipspd_ownlink_look(&link));
}

static void sending_fails(void **state)
{
	struct ipspd_ownlink link = link_at(0x7f00002a);

	(void)state;
	ipspd_ownlink_bound(&link, 0);
	ipspd_ownlink_not_sent(&link, EPERM);
	assert_int_equal(n_told, 2);
	assert_true(bound);
	assert_string_equal(error, "sending to 127.0.0.43 port 4187: Operation not permitted (a "
				   "firewall of this host?)");
	ipspd_ownlink_sent(&link); /* one of many: it would be told again and again */
	assert_int_equal(n_told, 2);
	wait_ms(1050);
	ipspd_ownlink_sent(&link);
	assert_int_equal(n_told, 3);
	assert_string_equal(error, "");
}

/* A buffer that is full passes; one from which nothing goes out for a second is an interface that
 * hangs. */
static void want_of_room(void **state)
{
	struct ipspd_ownlink link = link_at(0x7f00002a);

	(void)state;
	ipspd_ownlink_bound(&link, 0);
	ipspd_ownlink_not_sent(&link, EMSGSIZE);
	ipspd_ownlink_not_sent(&link, EAGAIN);
	wait_ms(600);
	ipspd_ownlink_sent(&link);
	ipspd_ownlink_not_sent(&link, EAGAIN);
	wait_ms(600);
	ipspd_ownlink_not_sent(&link, ENOBUFS);
	assert_int_equal(n_told, 1);
	wait_ms(450);
	ipspd_ownlink_not_sent(&link, EAGAIN);
	assert_int_equal(n_told, 2);
	assert_non_null(strstr(error, "sending to 127.0.0.43"));
	ipspd_ownlink_sent(&link);
	assert_int_equal(n_told, 3);
}

static void concerned(void **state)
{
	struct ipspd_ownlink link = link_at(0xc000024d);
	const struct ipsp_addr mine = ipsp_addr_v4(0xc000024d), other = ipsp_addr_v4(0xc000024e);

	(void)state;
	link.seen_index = 7;
	assert_true(ipspd_ownlink_concerns(&link, 0, NULL));
	assert_true(ipspd_ownlink_concerns(&link, 7, NULL));
	assert_false(ipspd_ownlink_concerns(&link, 8, NULL));
	assert_true(ipspd_ownlink_concerns(&link, 0, &mine));
	assert_false(ipspd_ownlink_concerns(&link, 0, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_once),
		cmocka_unit_test(each_failure_to_bind_has_its_words),
		cmocka_unit_test(the_address_is_gone),
		cmocka_unit_test(sending_fails),
		cmocka_unit_test(want_of_room),
		cmocka_unit_test(concerned),
	};

	return cmocka_run_group_tests_name("ownlink", tests, NULL, NULL);
}
