/* The rows of the SNMP tables, from what a daemon says, or what makes no sense. */
#include "monitor/tables.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static const char pools[] =
	"{\"contexts\":[{\"name\":\"isp1\",\"pools\":["
	"{\"name\":\"a\",\"group\":\"g\",\"type\":\"private\",\"priority\":2,\"first\":\"10.0.0."
	"1\","
	"\"last\":\"10.0.0.8\",\"size\":8,\"used\":1,\"free\":2,\"hold\":1,\"quarantine\":1,"
	"\"released\":2,\"in-transit\":1,\"reclaimed\":1,\"busyout\":true},"
	"{\"name\":\"b\",\"group\":\"g\",\"type\":\"public\",\"first\":\"2001:db8::\",\"size\":"
	"4294967296,"
	"\"used\":3,\"free\":5},"
	"{\"name\":\"c\",\"group\":null,\"type\":\"odd\"}]}]}";

static void expect(enum table_id table, const char *ipsp, const char *pool, const char *text)
{
	json_t *roots[] = {json_loads(ipsp, 0, NULL), json_loads(pool, 0, NULL)};
	json_t *rows = tables_rows(table, roots[0], roots[1]);
	char *is = json_dumps(rows, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(is, text);
	free(is);
	json_decref(rows);
	json_decref(roots[0]);
	json_decref(roots[1]);
}

static void contexts(void **state)
{
	(void)state;
	expect(TABLE_CONTEXT,
	       "{\"contexts\":[{\"name\":\"isp1\",\"interface\":\"lan\",\"role\":\"secondary\","
	       "\"configured-role\":\"primary\",\"state\":\"peer-lost\",\"serving\":false,"
	       "\"waiting-for\":\"lease\",\"epoch\":7,\"draining\":true,"
	       "\"peer\":{\"state\":\"lost\",\"dead-in-ms\":61999},"
	       "\"counters\":{\"requests-refused\":4,\"duplicates-open\":1,\"duplicates-resolved\":"
	       "2}}]}",
	       "{}",
	       "[{\"columns\":{\"10\":7,\"11\":1,\"12\":4,\"13\":1,\"14\":2,\"2\":\"lan\",\"3\":2,"
	       "\"4\":1,"
	       "\"5\":7,\"6\":2,\"7\":2,\"8\":\"lease\",\"9\":61},\"index\":[\"isp1\"]}]");
}

static void pools_of_ours(void **state)
{
	(void)state;
	expect(TABLE_POOL, "{}", pools,
	       "[{\"columns\":{\"10\":1,\"3\":8,\"4\":1,\"5\":2,\"6\":1,\"7\":1,\"8\":2,\"9\":1},"
	       "\"index\":["
	       "\"isp1\",\"a\"]},"
	       "{\"columns\":{\"10\":0,\"3\":4294967296,\"4\":3,\"5\":5,\"6\":0,\"7\":0,\"8\":0,"
	       "\"9\":0},"
	       "\"index\":[\"isp1\",\"b\"]},"
	       "{\"columns\":{\"10\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0},"
	       "\"index\":["
	       "\"isp1\",\"c\"]}]");
}

static void pools_of_the_original(void **state)
{
	(void)state;
	expect(TABLE_STAR_POOL, "{}", pools,
	       "[{\"columns\":{\"1\":1,\"10\":2,\"11\":1,\"12\":2,\"13\":0,\"14\":2,\"3\":\"isp1\","
	       "\"4\":\"g\",\"5\":\"a\",\"6\":1,\"7\":5,\"8\":\"10.0.0.1\",\"9\":\"10.0.0.8\"},"
	       "\"index\":["
	       "\"isp1:a\"]},"
	       "{\"columns\":{\"1\":1,\"10\":0,\"11\":3,\"12\":0,\"13\":0,\"14\":5,\"3\":\"isp1\","
	       "\"4\":\"g\",\"5\":\"b\",\"6\":2,\"7\":1,\"8\":\"0.0.0.0\",\"9\":\"0.0.0.0\"},"
	       "\"index\":["
	       "\"isp1:b\"]},"
	       "{\"columns\":{\"1\":1,\"10\":0,\"11\":0,\"12\":0,\"13\":0,\"14\":0,\"3\":\"isp1\","
	       "\"4\":\"\","
	       "\"5\":\"c\",\"6\":0,\"7\":1,\"8\":\"0.0.0.0\",\"9\":\"0.0.0.0\"},\"index\":[\"isp1:"
	       "c\"]}]");
	/* four of 4,294,967,304, in hundredths of a percent */
	expect(TABLE_STAR_GROUP, "{}", pools,
	       "[{\"columns\":{\"10\":7,\"3\":\"g\",\"4\":\"isp1\",\"5\":4,\"6\":2,\"7\":0,\"8\":7,"
	       "\"9\":0},"
	       "\"index\":[\"isp1:g\"]}]");
}

static void what_makes_no_sense(void **state)
{
	static const char *const odd[] = {"[]", "{}", "{\"contexts\":7}", "{\"contexts\":[]}"};

	(void)state;
	for (enum table_id t = 0; t < TABLES; t++)
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
			expect(t, odd[i], odd[i], "[]");
	for (enum table_id t = 0; t < TABLES; t++)
		json_decref(tables_rows(t, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts),
		cmocka_unit_test(pools_of_ours),
		cmocka_unit_test(pools_of_the_original),
		cmocka_unit_test(what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
