/* What hides, reorders or is obeyed is shown by its number; all else as it is. */
#include "base/shown.h"
#include "daemon/log.h"
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

/* NOLINTBEGIN(misc-misleading-bidirectional): it is what this tests */

static const struct {
	const char *text, *shown;
} cases[] = {
	{"", ""},
	{"alice@isp.example", "alice@isp.example"},
	{"J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80",
	 "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x98\x80"},
	{"\xd9\x85\xd8\xad\xd9\x85\xd8\xaf",
	 "\xd9\x85\xd8\xad\xd9\x85\xd8\xaf"}, /* right to left */
	{"a\xe2\x80\xae"
	 "gnp.exe",
	 "a<U+202E>gnp.exe"},
	{"\xe2\x81\xa6x\xe2\x81\xa9", "<U+2066>x<U+2069>"},
	{"\xd8\x9c", "<U+061C>"},
	{"bob\xe2\x80\x8b", "bob<U+200B>"},
	{"bo\xe2\x80\x8d"
	 "b",
	 "bo<U+200D>b"},
	{"\xef\xbb\xbf"
	 "bob",
	 "<U+FEFF>bob"},
	{"bo\xc2\xad"
	 "b",
	 "bo<U+00AD>b"},
	{"one\xe2\x80\xa8two", "one<U+2028>two"},
	{"\x1b[31m", "<U+001B>[31m"},
	{"\xc2\x9b"
	 "31m",
	 "<U+009B>31m"},
	{"\x7f", "<U+007F>"},
	{"\xf3\xa0\x81\xa1", "<U+E0061>"},
	{"\xe3\x85\xa4", "<U+3164>"},
	{"\xff"
	 "x\xc3",
	 "<0xFF>x<0xC3>"},
	{"\xed\xa0\x80", "<0xED><0xA0><0x80>"}, /* a surrogate */
	{"\xc0\x8a", "<0xC0><0x8A>"},
};

static void each(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ipsp_shown(cases[i].text, out, sizeof(out)),
				 strlen(cases[i].shown));
		assert_string_equal(out, cases[i].shown);
		assert_int_equal(ipsp_shown_plain(cases[i].text),
				 strcmp(cases[i].text, cases[i].shown) == 0);
		assert_true(ipsp_shown_plain(out)); /* once is enough */
	}
}

static void no_more_than_there_is_room_for(void **state)
{
	static const char text[] = "a\xe2\x80\xae\xe2\x82\xac";
	char out[16];

	(void)state;
	for (size_t cap = 1; cap <= sizeof(out); cap++) {
		memset(out, 'x', sizeof(out));
		assert_int_equal(ipsp_shown(text, out, cap), 12);
		assert_string_equal(out, cap < 2    ? ""
					 : cap < 10 ? "a"
					 : cap < 13 ? "a<U+202E>"
						    : "a<U+202E>\xe2\x82\xac");
		for (size_t i = cap; i < sizeof(out); i++)
			assert_int_equal(out[i], 'x');
	}
	assert_int_equal(ipsp_shown(text, NULL, 0), 12);
}

static void listen_to(void *arg, enum ipsp_level level, bool of_many, int64_t wall_ms,
		      const char *text)
{
	(void)level;
	(void)of_many;
	(void)wall_ms;
	snprintf(arg, 256, "%s", text);
}

/* What is kept for "show log" has the name as it is: that is JSON, and who prints it shows it. */
static void in_the_log(void **state)
{
	char kept[256] = "", line[256] = "";
	int ends[2], before = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	ipspd_log_listen(listen_to, kept);
	ipspd_log_note(IPSP_LOG_NOTICE, false, "isp1", "bob\xe2\x80\xae came\nand \xc2\x9b went");
	ipspd_log_listen(NULL, NULL);
	dup2(before, STDERR_FILENO);
	close(before);
	close(ends[1]);
	assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
	close(ends[0]);
	assert_non_null(strstr(line, "isp1: bob<U+202E> came and <U+009B> went\n"));
	assert_string_equal(kept, "isp1: bob\xe2\x80\xae came and \xc2\x9b went");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each),
		cmocka_unit_test(no_more_than_there_is_room_for),
		cmocka_unit_test(in_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* NOLINTEND(misc-misleading-bidirectional) */
