/* The two formats of the metrics, from answers as a daemon gives them, or an older or later one. */
#include "metrics/metrics.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static const char ipsp[] =
	"{\"contexts\":[{\"name\":\"a \\\"b\\\" \\\\ "
	"\\n\",\"role\":\"primary\",\"state\":\"dreaming\","
	"\"waiting-for\":null,\"serving\":true,\"waiting-ms\":null,\"notes\":[\"x\",\"y\"],"
	"\"peer\":{\"state\":\"lost\",\"last-heard-ms\":61002,\"key-match\":null,\"version\":\"1.0."
	"0\"},"
	"\"pools\":[{\"name\":\"p\",\"group\":null,\"size\":254,\"used\":3}],"
	"\"counters\":{\"requests\":7,\"odd-ms\":9}}]}";
static const char more[] =
	"{\"daemon\":{\"version\":\"1.0.0\",\"store-bytes\":4096,\"histograms\":{\"flush\":"
	"{\"le-us\":[250,1000000],\"counts\":[2,1,4],\"sum-us\":50000007}}},"
	"\"counters\":[{\"name\":\"requests\",\"help\":\"a \\\\ "
	"\\\"b\\\"\"},{\"name\":\"odd-ms\",\"help\":\"x\"},"
	"{\"name\":\"No Name\",\"help\":\"x\"}]}";

static char *written(const char *one, const char *stop, const char *two, bool up, int64_t age_ms,
		     enum ipsp_metrics_format format)
{
	json_t *roots[] = {json_loads(one, 0, NULL), json_loads(stop, 0, NULL),
			   json_loads(two, 0, NULL)};
	const struct ipsp_metrics in = {roots[0], roots[1], roots[2], up, age_ms};
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	ipsp_metrics_write(out, &in, format);
	fclose(out);
	for (size_t i = 0; i < 3; i++)
		json_decref(roots[i]);
	return text;
}

/* @line is one of the lines. */
static void expect(const char *text, const char *line)
{
	char between[400];

	snprintf(between, sizeof(between), "\n%s\n", line);
	if (!strstr(text, between))
		fail_msg("there is no line <%s> in:\n%s", line, text);
}

static void test_text(void **state)
{
	char *text = written(ipsp, "null", more, true, 1500, IPSP_METRICS_TEXT);

	(void)state;
	expect(text, "# TYPE ipspd_build_info gauge");
	expect(text, "ipspd_build_info{version=\"1.0.0\"} 1");
	expect(text, "ipspd_answer_age_seconds 1.500");
	expect(text, "# TYPE ipspd_role gauge");
	expect(text, "ipspd_role{context=\"a \\\"b\\\" \\\\ \\n\",ipspd_role=\"secondary\"} 0");
	expect(text, "ipspd_notes{context=\"a \\\"b\\\" \\\\ \\n\"} 2");
	expect(text, "# HELP ipspd_requests_total a \\\\ \"b\"");
	expect(text, "# TYPE ipspd_requests_total counter");
	expect(text, "ipspd_requests_total{context=\"a \\\"b\\\" \\\\ \\n\"} 7");
	expect(text, "ipspd_flush_duration_seconds_bucket{le=\"1\"} 3");
	expect(text, "ipspd_flush_duration_seconds_sum 50.000007");
	expect(text, "ipspd_pool_used_addresses{context=\"a \\\"b\\\" \\\\ "
		     "\\n\",pool=\"p\",group=\"\"} 3");
	assert_null(strstr(text, "# UNIT"));
	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "odd"));
	assert_null(strstr(text, "Name"));
	free(text);
}

static void test_openmetrics(void **state)
{
	char *text = written(ipsp, "null", more, true, 0, IPSP_METRICS_OPEN);

	(void)state;
	expect(text, "# TYPE ipspd_build info");
	expect(text, "ipspd_build_info{version=\"1.0.0\"} 1");
	expect(text, "# TYPE ipspd_role stateset");
	expect(text, "# HELP ipspd_requests a \\\\ \\\"b\\\"");
	expect(text, "# TYPE ipspd_requests counter");
	expect(text, "ipspd_requests_total{context=\"a \\\"b\\\" \\\\ \\n\"} 7");
	expect(text, "# UNIT ipspd_flush_duration_seconds seconds");
	expect(text, "# UNIT ipspd_store_bytes bytes");
	expect(text, "ipspd_flush_duration_seconds_bucket{le=\"0.00025\"} 2");
	expect(text, "ipspd_flush_duration_seconds_bucket{le=\"1.0\"} 3");
	expect(text, "ipspd_flush_duration_seconds_bucket{le=\"+Inf\"} 7");
	expect(text, "ipspd_flush_duration_seconds_count 7");
	assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
	free(text);
}

/* What is null has no sample, and a state that is not known here is one all the same. */
static void test_what_is_not_there(void **state)
{
	char *text = written(ipsp, "null", "null", true, 0, IPSP_METRICS_TEXT);

	(void)state;
	assert_null(strstr(text, "ipspd_waiting_seconds"));
	assert_null(strstr(text, "ipspd_peer_key_match"));
	assert_null(strstr(text, "ipspd_flush"));
	expect(text, "ipspd_waiting_for{context=\"a \\\"b\\\" \\\\ "
		     "\\n\",ipspd_waiting_for=\"nothing\"} 1");
	expect(text, "ipspd_state{context=\"a \\\"b\\\" \\\\ \\n\",ipspd_state=\"dreaming\"} 1");
	expect(text, "ipspd_state{context=\"a \\\"b\\\" \\\\ \\n\",ipspd_state=\"active\"} 0");
	expect(text, "ipspd_peer_last_heard_seconds{context=\"a \\\"b\\\" \\\\ \\n\"} 61.002");
	free(text);
}

/* A daemon that has never answered: one family, and no age. */
static void test_no_answer(void **state)
{
	char *text = written("null", "null", "null", false, -1, IPSP_METRICS_TEXT);

	(void)state;
	assert_string_equal(text, "# HELP ipspd_up 1 where the daemon answers, else 0.\n"
				  "# TYPE ipspd_up gauge\nipspd_up 0\n");
	free(text);
}

/* Nothing that comes over the socket may end a program that shows it. */
static void test_what_makes_no_sense(void **state)
{
	static const char *const odd[] = {
		"[]",
		"{}",
		"{\"contexts\":7}",
		"{\"contexts\":[7,null,{}]}",
		"{\"contexts\":[{\"name\":7,\"role\":[],\"peer\":7,\"pools\":{},\"notes\":7}]}",
		"{\"daemon\":7,\"counters\":{}}",
		"{\"daemon\":{\"histograms\":{\"flush\":[]}}}",
		"{\"daemon\":{\"histograms\":{\"flush\":{\"le-us\":[1],\"counts\":[1]}}}}",
		"{\"counters\":[7,{\"name\":\"\"},{}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (size_t k = 0; k < sizeof(odd) / sizeof(odd[0]); k++)
			free(written(odd[i], odd[k], odd[k], true, 0, IPSP_METRICS_OPEN));
}

static void test_types(void **state)
{
	(void)state;
	assert_string_equal(ipsp_metrics_type(IPSP_METRICS_TEXT),
			    "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(ipsp_metrics_type(IPSP_METRICS_OPEN),
			    "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_what_makes_no_sense),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
