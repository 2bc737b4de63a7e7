/* inbox: an event is copied with all that it points to, in any size and number. */
#include "daemon/ctx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ipspd_inbox inbox;

static int teardown(void **state)
{
	(void)state;
	ipspd_inbox_fini(&inbox);
	return 0;
}

static void copies_everything(void **state)
{
	char name[] = "ha1", pool[] = "pool-a", group[] = "dyn", texts[] = "u1@isp/s1";
	uint8_t bytes[] = {1, 2, 3};

	(void)state;
	assert_true(
		ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_REQUEST,
							     .token = 7,
							     .id = 8,
							     .addr = ipsp_addr_v4(9),
							     .ident = {texts, texts + 7, 6, 2, 0},
							     .pool = pool,
							     .group = group}));
	assert_true(ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_REQUEST,
								 .ident = {texts, NULL, 2, 0, 0}}));
	assert_true(ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_DATAGRAM,
								 .bytes = bytes,
								 .n_bytes = sizeof(bytes)}));
	assert_true(ipspd_inbox_put(
		&inbox,
		&(struct ipsp_event){.type = IPSP_EV_ATTACH, .token = 10, .ha_name = name}));
	memset(name, 'x', 3);
	memset(pool, 'x', 6);
	memset(group, 'x', 3);
	memset(texts, 'x', 9);
	memset(bytes, 9, sizeof(bytes));
	const struct ipsp_event *got = inbox.events;
	assert_int_equal(inbox.n_events, 4);
	assert_int_equal(got[0].type, IPSP_EV_REQUEST);
	assert_int_equal(got[0].token, 7);
	assert_int_equal(got[0].id, 8);
	assert_true(ipsp_addr_eq(got[0].addr, ipsp_addr_v4(9)));
	assert_string_equal(got[0].pool, "pool-a");
	assert_string_equal(got[0].group, "dyn");
	assert_memory_equal(got[0].ident.subscriber, "u1@isp", 6);
	assert_memory_equal(got[0].ident.session, "s1", 2);
	assert_int_equal(got[0].ident.n_subscriber, 6);
	assert_int_equal(got[0].ident.n_session, 2);
	assert_null(got[1].pool);
	assert_null(got[1].group);
	assert_memory_equal(got[1].ident.subscriber, "u1", 2);
	assert_non_null(got[1].ident.session);
	assert_int_equal(got[2].n_bytes, 3);
	assert_memory_equal(got[2].bytes, "\1\2\3", 3);
	assert_int_equal(got[3].token, 10);
	assert_string_equal(got[3].ha_name, "ha1");
}

static void copies_a_configuration(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	conf.n_pools = 1;
	conf.pools[0].size = 42;
	const struct ipsp_event ev = {.type = IPSP_EV_CONF, .conf = &conf};
	assert_true(ipspd_inbox_put(&inbox, &ev));
	ipsp_conf_fini(&conf);
	assert_string_equal(inbox.events[0].conf->name, "isp1");
	assert_int_equal(inbox.events[0].conf->pools[0].size, 42);
	ipspd_inbox_clear(&inbox); /* frees it: the sanitizer looks */
}

/* Any sizes, around those of the chunks, and again after a clear. */
static void any_size_any_number(void **state)
{
	static const size_t sizes[] = {0,     1,     1200,  65534, 65535, 65536,
				       65537, 70000, 30000, 30000, 30000, 200000};
	static uint8_t bytes[200000];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 2000; i++) {
			const size_t n = i < 12 ? sizes[i] : i * 7 % 1300;
			memset(bytes, (int)(i & 0xff), n);
			const struct ipsp_event ev = {
				.type = IPSP_EV_DATAGRAM, .bytes = bytes, .n_bytes = n, .id = i};
			assert_true(ipspd_inbox_put(&inbox, &ev));
		}
		assert_int_equal(inbox.n_events, 2000);
		for (size_t i = 0; i < 2000; i++) {
			const struct ipsp_event *ev = &inbox.events[i];
			assert_int_equal(ev->id, i);
			for (size_t k = 0; k < ev->n_bytes; k++)
				if (ev->bytes[k] != (uint8_t)(i & 0xff))
					fail_msg("event %zu, byte %zu", i, k);
		}
		ipspd_inbox_clear(&inbox);
		assert_int_equal(inbox.n_events, 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(copies_everything),
		T(copies_a_configuration),
		T(any_size_any_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
