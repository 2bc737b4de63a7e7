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
	char name[] = "ha1", pool[] = "pool-a", group[] = "dyn", subscriber[] = "u1@isp";
	uint8_t bytes[] = {1, 2, 3};
	struct ipsp_event ev = {
		.type = IPSP_EV_REQUEST,
		.token = 7,
		.id = 8,
		.bytes = bytes,
		.n_bytes = sizeof(bytes),
		.ha_name = name,
		.pool = pool,
		.group = group,
		.ident = {.subscriber = subscriber,
			  .n_subscriber = 6,
			  .session = subscriber,
			  .n_session = 0},
	};

	(void)state;
	assert_true(ipspd_inbox_put(&inbox, &ev));
	memset(name, 'x', 3);
	memset(pool, 'x', 6);
	memset(group, 'x', 3);
	memset(subscriber, 'x', 6);
	memset(bytes, 9, sizeof(bytes));
	const struct ipsp_event *got = &inbox.events[0];
	assert_int_equal(inbox.n_events, 1);
	assert_int_equal(got->type, IPSP_EV_REQUEST);
	assert_int_equal(got->token, 7);
	assert_int_equal(got->id, 8);
	assert_string_equal(got->ha_name, "ha1");
	assert_string_equal(got->pool, "pool-a");
	assert_string_equal(got->group, "dyn");
	assert_memory_equal(got->ident.subscriber, "u1@isp", 6);
	assert_non_null(got->ident.session);
	assert_memory_equal(got->bytes, "\1\2\3", 3);
	assert_null(got->conf);
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
