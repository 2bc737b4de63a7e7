/*
 * manual - the table of keys in ipspd.conf(5) is what the reader does: every key is in it, every
 * range and word is taken, what lies beyond is refused, and a default is what a file without the
 * key has.
 */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/config.h"
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 128

/* "none", "required", "one of two": there is no value to take its place */
static bool no_value(const char *fallback)
{
	return strcmp(fallback, "none") == 0 || strcmp(fallback, "required") == 0 ||
	       strncmp(fallback, "one of ", 7) == 0;
}

struct row { /* texts are pieces of the page */
	const char *group, *key, *allowed, *fallback;
};

static struct row rows[ROWS];
static size_t n_rows;
static char conf[128]; /* the file of this run */
static char said[65536];

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 18);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
	fclose(f);
	return text;
}

/* Cuts @line at the next " Ta "; the first piece, and what is behind it in @rest. */
static char *piece(char *line, char **rest)
{
	char *cut = strstr(line, " Ta ");

	*rest = cut ? cut + 4 : line + strlen(line);
	if (cut)
		*cut = '\0';
	return line;
}

static int read_page(void **state)
{
	char *text = slurp(SOURCE_DIR "/docs/man/ipspd.conf.5");
	char *line = strstr(text, ".Ss All keys\n"), *save = NULL, *rest;

	assert_non_null(line);
	for (line = strtok_r(line, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strcmp(line, ".El") == 0)
			break;
		if (strncmp(line, ".It ", 4) != 0 || strncmp(line, ".It Sy ", 7) == 0)
			continue;
		assert_true(n_rows < ROWS);
		struct row *row = &rows[n_rows++];
		char *name = piece(line + 4, &rest), *dot = strrchr(name, '.');
		row->group = dot ? (*dot = '\0', name) : "";
		row->key = dot ? dot + 1 : name;
		row->allowed = piece(rest, &rest);
		row->fallback = piece(rest, &rest);
		assert_true(row->allowed[0] && row->fallback[0]);
	}
	assert_true(n_rows > 50);
	snprintf(conf, sizeof(conf), "/tmp/ipspd-manual-%d.conf", (int)getpid());
	*state = text;
	return 0;
}

static int end(void **state)
{
	free(*state);
	unlink(conf);
	return 0;
}

/* ---------------------------------------------------------------- a file around one key */

/* What stands around the settings of a group; "%s" is for these, "@" is left out when the group is
 * to be empty. */
static const struct frame {
	const char *group, *before, *needed, *after;
} frames[] = {
	{"", "", "contexts = ( { name = \"c\"; pools = (); } );", ""},
	{"control", "control = {", "", "}; contexts = ( { name = \"c\"; pools = (); } );"},
	{"http", "http = {", "", "}; contexts = ( { name = \"c\"; pools = (); } );"},
	{"snmp", "snmp = {", "", "}; contexts = ( { name = \"c\"; pools = (); } );"},
	{"snmp.sinks", "contexts = ( { name = \"c\"; pools = (); } ); snmp = { sinks = ( {",
	 "host = \"192.0.2.9\"; version = \"2c\"; community = \"c\";", "} ); };"},
	{"contexts", "contexts = ( {", "name = \"c\"; pools = ();", "} );"},
	{"pools", "contexts = ( { name = \"c\"; pools = ( {",
	 "name = \"p\"; prefix = \"2001:db8::/64\";", "} ); } );"},
	{"interfaces", "contexts = ( { name = \"c\"; pools = (); interfaces = ( {",
	 "name = \"i\"; address = \"192.0.2.1/24\";", "} ); } );"},
	{"pool-share-protocol",
	 "contexts = ( { name = \"c\"; pools = (); interfaces = ( { name = \"i\"; address = "
	 "\"192.0.2.1/24\"; pool-share-protocol = {",
	 "secondary = \"192.0.2.2\"; auth = \"none\";", "}; } ); } );"},
};

static const struct frame *frame_of(const struct row *row)
{
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		if (strcmp(frames[i].group, row->group) == 0)
			return &frames[i];
	fail_msg("%s.%s: no such group is known here", row->group, row->key);
	return NULL;
}

/* @needed without "KEY = ...;", when it has that. */
static void without(const char *needed, const char *key, char *out, size_t cap)
{
	char start[64];

	snprintf(start, sizeof(start), "%s = ", key);
	const char *at = strstr(needed, start), *behind = at ? strchr(at, ';') : NULL;
	if (at && (at == needed || at[-1] == ' '))
		snprintf(out, cap, "%.*s%s", (int)(at - needed), needed, behind + 1);
	else
		snprintf(out, cap, "%s", needed);
}

static void hear(void *arg, bool warning, const char *text)
{
	const size_t n = strlen(said);

	(void)arg;
	if (!warning)
		snprintf(said + n, sizeof(said) - n, "%s\n", text + strlen(conf) + 1);
}

/* Reads a file in which the row's group has @setting, and what it needs beside it. */
static int read_with(const struct row *row, const char *setting, bool needed,
		     struct ipspd_config *config)
{
	const struct frame *frame = frame_of(row);
	char beside[512] = "";
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	if (needed)
		without(frame->needed, row->key, beside, sizeof(beside));
	fprintf(f, "%s %s %s %s\n", frame->before, beside, setting, frame->after);
	fclose(f);
	said[0] = '\0';
	return ipspd_config_read(conf, config, hear, NULL);
}

/* Is there a fault of the row's key with @words? */
static bool faulty(const struct row *row, const char *value, const char *words)
{
	char setting[8192], start[64];
	struct ipspd_config config;
	bool found = false;

	snprintf(setting, sizeof(setting), "%s = %s;", row->key, value);
	if (read_with(row, setting, true, &config) == 0)
		ipspd_config_fini(&config);
	snprintf(start, sizeof(start), "1: %s: ", row->key);
	for (char *line = said; *line && !found; line = strchr(line, '\n') + 1)
		found = strncmp(line, start, strlen(start)) == 0 &&
			(!words || memmem(line, strcspn(line, "\n"), words, strlen(words)));
	return found;
}

#define EXPECT(row, condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s.%s: %s\nwhat was said:\n%s", (row)->group, (row)->key,        \
				 #condition, said);                                                \
	} while (0)

/* "LO to HI UNIT": false when the row has no range. The unit may be "". */
static bool range_of(const struct row *row, long long *lo, long long *hi, const char **unit)
{
	char *end;

	*lo = strtoll(row->allowed, &end, 10);
	if (end == row->allowed || strncmp(end, " to ", 4) != 0)
		return false;
	*hi = strtoll(end + 4, &end, 10);
	*unit = end + (*end == ' ');
	return true;
}

/* ---------------------------------------------------------------- the tests */

static void every_key_of_the_page_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_rows; i++)
		EXPECT(&rows[i], !faulty(&rows[i], "1", "unknown key"));
}

/* The entries of the reader's tables of keys, as they stand in the source. */
static void every_key_of_the_code_is_on_the_page(void **state)
{
	size_t n = 0;
	glob_t files;

	(void)state;
	assert_int_equal(glob(SOURCE_DIR "/src/daemon/conf*.c", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *text = slurp(files.gl_pathv[i]), key[64];

		for (char *at = text; (at = strchr(at, '"')); at++) {
			bool entry = (at[-1] == '(' && at > text + 12 &&
				      memmem(at - 12, 12, "IPSPD_", 6)) ||
				     (at[-1] == '{' &&
				      strstr(at, "\", IPSPD_KEY_") == strchr(at + 1, '"'));
			size_t found = 0;

			if (!entry || sscanf(at, "\"%63[a-z-]\"", key) != 1)
				continue;
			n++;
			for (size_t k = 0; k < n_rows; k++)
				found += strcmp(rows[k].key, key) == 0;
			if (found == 0)
				fail_msg("%s: \"%s\" has no row", files.gl_pathv[i], key);
		}
		free(text);
	}
	globfree(&files);
	assert_int_equal(n, n_rows); /* names that several groups have are counted so */
}

static void ranges_are_those_of_the_code(void **state)
{
	unsigned n = 0;
	char value[64];

	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *row = &rows[i];
		long long lo, hi;
		const char *unit;

		if (!range_of(row, &lo, &hi, &unit) || strcmp(unit, "characters") == 0)
			continue;
		n++;
		for (int k = 0; k < 4; k++) {
			const bool beyond = k > 1;
			snprintf(value, sizeof(value), "%lld",
				 k == 0	  ? lo
				 : k == 1 ? hi
				 : k == 2 ? lo - 1
					  : hi + 1);
			if (beyond && k == 2 && lo - 1 == 0 && strstr(row->allowed, ", 0"))
				continue;
			EXPECT(row, faulty(row, value, beyond ? "allowed are " : "out of range") ==
					    beyond);
		}
		if (strstr(row->allowed, ", 0"))
			EXPECT(row, !faulty(row, "0", "out of range"));
	}
	assert_true(n >= 12);
}

static void lengths_of_texts_are_those_of_the_code(void **state)
{
	char value[4096];
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *row = &rows[i];
		long long lo, hi;
		const char *unit;

		if (!range_of(row, &lo, &hi, &unit) || strcmp(unit, "characters") != 0)
			continue;
		n++;
		for (int k = 0; k < 4; k++) {
			const long long len = k == 0 ? lo : k == 1 ? hi : k == 2 ? lo - 1 : hi + 1;
			value[0] = '"';
			memset(value + 1, 'x', (size_t)len);
			value[1 + len] = '"';
			value[2 + len] = '\0';
			EXPECT(row, faulty(row, value, "allowed are ") == (k > 1));
		}
	}
	assert_true(n >= 8);
}

/* Words stand in \(dq, or are true and false. */
static void words_are_those_of_the_code(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *row = &rows[i];
		const char *at = row->allowed;
		char word[64], value[80];

		if (strncmp(at, "\\(dq", 4) != 0)
			continue;
		n++;
		for (; (at = strstr(at, "\\(dq")); at += 4 + strlen(word) + 4) {
			assert_int_equal(sscanf(at, "\\(dq%63[A-Za-z0-9-]\\(dq", word), 1);
			snprintf(value, sizeof(value), "\"%s\"", word);
			EXPECT(row, !faulty(row, value, "not known"));
		}
		EXPECT(row, faulty(row, "\"no-such-word\"", "not known; allowed"));
	}
	assert_true(n >= 8);
}

static void what_is_required_is_missed(void **state)
{
	struct ipspd_config config;
	char start[64];

	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		if (strncmp(rows[i].fallback, "one of ", 7) == 0)
			continue; /* with a sentence of their own, see test_config.c */
		snprintf(start, sizeof(start), "%s: is missing", rows[i].key);
		if (read_with(&rows[i], "", false, &config) == 0)
			ipspd_config_fini(&config);
		EXPECT(&rows[i], !strstr(said, start) == !!strcmp(rows[i].fallback, "required"));
	}
}

/* Everything in it that is no pointer. */
static void flatten(struct ipspd_config *config, struct ipsp_context_conf *context,
		    struct ipsp_pool_conf *pool, struct ipspd_sink *sink)
{
	memset(pool, 0, sizeof(*pool));
	memset(sink, 0, sizeof(*sink));
	*context = config->contexts[0];
	if (context->n_pools > 0)
		*pool = context->pools[0];
	if (config->n_sinks > 0)
		*sink = config->sinks[0];
	context->pools = NULL;
}

static void defaults_are_those_of_the_code(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		const struct row *row = &rows[i];
		struct ipspd_config with, out;
		struct ipsp_context_conf context[2];
		struct ipsp_pool_conf pool[2];
		struct ipspd_sink sink[2];
		char setting[256];
		const bool bare = strspn(row->fallback, "0123456789") == strlen(row->fallback) ||
				  strcmp(row->fallback, "true") == 0 ||
				  strcmp(row->fallback, "false") == 0;

		if (no_value(row->fallback))
			continue;
		n++;
		snprintf(setting, sizeof(setting), bare ? "%s = %s;" : "%s = \"%s\";", row->key,
			 row->fallback);
		EXPECT(row, read_with(row, "", true, &out) == 0);
		EXPECT(row, read_with(row, setting, true, &with) == 0);
		flatten(&out, &context[0], &pool[0], &sink[0]);
		flatten(&with, &context[1], &pool[1], &sink[1]);
		EXPECT(row, memcmp(&context[0], &context[1], sizeof(context[0])) == 0);
		EXPECT(row, memcmp(&pool[0], &pool[1], sizeof(pool[0])) == 0);
		EXPECT(row, memcmp(&sink[0], &sink[1], sizeof(sink[0])) == 0);
		EXPECT(row, strcmp(out.control_socket, with.control_socket) == 0);
		EXPECT(row, strcmp(out.state_directory, with.state_directory) == 0);
		EXPECT(row, strcmp(out.http_listen, with.http_listen) == 0);
		EXPECT(row, out.agentx == with.agentx && out.trap_style == with.trap_style);
		ipspd_config_fini(&out);
		ipspd_config_fini(&with);
	}
	assert_true(n >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_the_page_is_known),
		cmocka_unit_test(every_key_of_the_code_is_on_the_page),
		cmocka_unit_test(ranges_are_those_of_the_code),
		cmocka_unit_test(lengths_of_texts_are_those_of_the_code),
		cmocka_unit_test(words_are_those_of_the_code),
		cmocka_unit_test(what_is_required_is_missed),
		cmocka_unit_test(defaults_are_those_of_the_code),
	};

	return cmocka_run_group_tests(tests, read_page, end);
}
