/* The parts of ipsp-monitor that need no socket: who may ask, for what, and how a drain goes on. */
#include "monitor/config.h"
#include "monitor/drains.h"
#include "monitor/http.h"
#include "monitor/pages.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

static void hosts(void **state)
{
	static const char *const names[] = {"ha1.example.net"};
	static const char *const good[] = {
		"localhost", "LOCALHOST:9618",	   "127.0.0.1",	      "192.0.2.1:80",
		"[::1]",     "[2001:db8::1]:9618", "ha1.example.net", "HA1.example.net:1"};
	static const char *const bad[] = {"",
					  ":80",
					  "evil.example",
					  "localhost.evil.example",
					  "127.0.0.1.evil.example",
					  "ha1.example.net.evil",
					  "ha1",
					  "localhost:80x",
					  "localhost:80:80",
					  "[::1",
					  "[::1]x",
					  "[localhost]",
					  "::1",
					  "127.1",
					  "0x7f.0.0.1",
					  "2130706433",
					  "user@localhost",
					  "localhost/"};
	char own[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!http_host_ok(good[i], names, 1))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (http_host_ok(bad[i], names, 1))
			fail_msg("%s is taken", bad[i]);
	assert_true(http_host_ok(NULL, NULL, 0));
	assert_false(http_host_ok("ha1.example.net", NULL, 0));
	assert_int_equal(gethostname(own, sizeof(own)), 0);
	assert_true(http_host_ok(own, NULL, 0));
}

static void accept_header(void **state)
{
	static const char prometheus[] =
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
	const char *const open[] = {
		"application/openmetrics-text",
		"application/openmetrics-text; version=1.0.0; charset=utf-8", prometheus,
		"text/plain;q=0.5, application/openmetrics-text;version=1.0.0;q=0.6",
		"Application/OpenMetrics-Text"};
	static const char *const plain[] = {
		"",
		"*/*",
		"text/plain",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"application/openmetrics-text;version=0.0.1",
		"application/openmetrics-text;version=2.0.0",
		"application/openmetrics-text;version=1.0",
		"application/openmetrics-text;q=0",
		"application/openmetrics-text;q=0.4,text/plain;q=0.5",
		"application/openmetrics-text;q=0.4,text/*;q=0.5",
		"application/openmetrics-textual",
		",,;;=,q=,;q",
		"application/openmetrics-text;version="};

	(void)state;
	assert_false(pages_wants_open(NULL));
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (!pages_wants_open(open[i]))
			fail_msg("%s", open[i]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (pages_wants_open(plain[i]))
			fail_msg("%s", plain[i]);
}

static void listen_text(void **state)
{
	static const char *const bad[] = {"",
					  "127.0.0.1",
					  "127.0.0.1:",
					  ":80",
					  "localhost:80",
					  "127.0.0.1:0",
					  "127.0.0.1:65536",
					  "127.0.0.1:8x",
					  "::1:80",
					  "[::1:80",
					  "[127.0.0.1]:80",
					  "[]:80"};
	unsigned port;
	char host[64];

	(void)state;
	assert_true(monitor_config_listen("127.0.0.1:9618", host, &port));
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 9618);
	assert_true(monitor_config_listen("[2001:db8::1]:80", host, &port));
	assert_string_equal(host, "2001:db8::1");
	assert_true(monitor_config_listen("[::]:80", host, &port));
	assert_true(monitor_config_listen("0.0.0.0:80", host, &port));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (monitor_config_listen(bad[i], host, &port))
			fail_msg("%s is taken", bad[i]);
}

static void see(struct drains *drains, bool draining, int sessions, int64_t now_ms)
{
	json_t *answer = json_pack("{s:[{s:s, s:b, s:i}]}", "contexts", "name", "isp1", "draining",
				   (int)draining, "sessions", sessions);

	drains_see(drains, answer, now_ms);
	json_decref(answer);
}

static void expect(const struct drains *drains, int64_t now_ms, const char *text)
{
	json_t *json = drains_json(drains, now_ms);
	char *is = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(is, text);
	free(is);
	json_decref(json);
}

static void drain(void **state)
{
	struct drains *drains = drains_new();

	(void)state;
	see(drains, false, 10, 1000);
	expect(drains, 1000, "{}");
	see(drains, true, 10, 2000);
	see(drains, true, 4, 5000);
	expect(drains, 5000, "{\"isp1\":{\"first-sessions\":10,\"for-ms\":3000}}");
	see(drains, false, 4, 6000); /* taken back, and begun again */
	expect(drains, 6000, "{}");
	see(drains, true, 4, 7000);
	expect(drains, 7500, "{\"isp1\":{\"first-sessions\":4,\"for-ms\":500}}");
	see(drains, true, 6, 8000); /* the same, with a pause that nobody saw */
	expect(drains, 8000, "{\"isp1\":{\"first-sessions\":6,\"for-ms\":0}}");
	drains_see(drains, NULL, 9000); /* an older daemon */
	expect(drains, 9000, "{}");
	drains_free(drains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(accept_header),
		cmocka_unit_test(listen_text),
		cmocka_unit_test(drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
