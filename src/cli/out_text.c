#include "cli/cli.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- tables */

#define COLUMNS_MAX CLI_COLUMNS_MAX
#define WIDTH_MAX   48 /* a longer cell moves the rest of its row, and no other row */
#define WIDTH_IPV4  15 /* rows that come later may have longer addresses than the first */

struct column {
	const char *title, *key; /* of a member: text, number, or nothing, shown as "-" */
	bool duration;		 /* the number is milliseconds */
};

/* How many characters are seen: UTF-8 has several bytes for some. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static const char *cell(const json_t *row, const struct column *column, char *text, size_t size)
{
	const json_t *value = json_object_get(row, column->key);

	if (json_is_string(value) && json_string_length(value) > 0)
		return json_string_value(value);
	if (json_is_integer(value) && column->duration)
		return cli_duration(json_integer_value(value), text, size);
	if (!json_is_integer(value))
		return "-";
	snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return text;
}

/* Numbers stand on the right, as is good for comparing them; a last column of text is not filled
 * up. */
static void print_cell(const char *text, int width, bool right, bool last)
{
	const int wide = width_of(text), fill = width > wide ? width - wide : 0;

	if (right)
		printf("%*s%s", fill, "", text);
	else
		printf("%s%*s", text, last ? 0 : fill, "");
	fputs(last ? "\n" : "  ", stdout);
}

static void measure(struct cli_widths *widths, const struct column *columns, size_t n,
		    const json_t *rows)
{
	char text[64];
	const json_t *row;
	size_t i;

	*widths = (struct cli_widths){.n = n};
	for (size_t c = 0; c < n; c++)
		widths->width[c] = width_of(columns[c].title);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < n; c++) {
			int width = width_of(cell(row, &columns[c], text, sizeof(text)));

			if (width > widths->width[c] && width <= WIDTH_MAX)
				widths->width[c] = width;
			widths->right[c] |= json_is_integer(json_object_get(row, columns[c].key));
		}
	}
}

static void print_head(const char *indent, const struct column *columns,
		       const struct cli_widths *widths)
{
	fputs(indent, stdout);
	for (size_t c = 0; c < widths->n; c++)
		print_cell(columns[c].title, widths->width[c], widths->right[c],
			   c + 1 == widths->n);
}

static void print_rows(const char *indent, const struct column *columns,
		       const struct cli_widths *widths, const json_t *rows)
{
	char text[64];
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		fputs(indent, stdout);
		for (size_t c = 0; c < widths->n; c++)
			print_cell(cell(row, &columns[c], text, sizeof(text)), widths->width[c],
				   widths->right[c], c + 1 == widths->n);
	}
}

static void print_table(const char *indent, const struct column *columns, size_t n,
			const json_t *rows)
{
	struct cli_widths widths;

	measure(&widths, columns, n, rows);
	print_head(indent, columns, &widths);
	print_rows(indent, columns, &widths, rows);
}

#define PRINT_TABLE(indent, columns, rows)                                                         \
	print_table(indent, columns, sizeof(columns) / sizeof((columns)[0]), (rows))

const char *cli_duration(json_int_t ms, char *text, size_t size)
{
	long long s = (long long)ms / 1000;

	if (ms < 0)
		snprintf(text, size, "never");
	else if (ms < 60000)
		snprintf(text, size, "%lld.%lld s", s, (long long)ms % 1000 / 100);
	else if (s < 3600)
		snprintf(text, size, "%lld min %02lld s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, size, "%lld h %02lld min", s / 3600, s / 60 % 60);
	else
		snprintf(text, size, "%lld d %02lld h", s / 86400, s / 3600 % 24);
	return text;
}

/* ---------------------------------------------------------------- show ip ipsp */

/* This side's own end of the link, where something is wrong with it. */
static void print_link(const json_t *link)
{
	if (*cli_text(link, "error"))
		printf("  link         %s: %s\n",
		       cli_true(link, "bound") ? "bound, but it fails" : "not bound",
		       cli_text(link, "error"));
}

static void print_peer(const json_t *peer)
{
	json_int_t heard = cli_number(peer, "last-heard-ms"), dead = cli_number(peer, "dead-in-ms");
	char text[40];

	if (!*cli_text(peer, "address"))
		return;
	printf("  peer         %s: %s, %s", cli_text(peer, "address"), cli_text(peer, "role"),
	       cli_text(peer, "state"));
	if (heard >= 0)
		printf(", heard %s ago", cli_duration(heard, text, sizeof(text)));
	else
		fputs(", not heard yet", stdout);
	if (dead >= 0)
		printf(", dead in %s", cli_duration(dead, text, sizeof(text)));
	if (*cli_text(peer, "version"))
		printf(", version %s", cli_text(peer, "version"));
	if (json_is_boolean(json_object_get(peer, "key-match")))
		printf(", %s", cli_true(peer, "key-match") ? "same key"
			       : strcmp(cli_text(peer, "state"), "up") == 0
				       ? "ANOTHER KEY"
				       : "perhaps ANOTHER KEY");
	putchar('\n');
}

static const char *waiting_sentence(const char *word)
{
	static const struct {
		const char *word, *sentence;
	} sentences[] = {
		{"peer", "for the peer"},
		{"lease", "for its lease: the peer must hear this side"},
		{"healing", "for the healing to end"},
		{"silence", "until the peer has been silent for long enough"},
		{"first-grant", "for the primary's first assignment"},
		{"veto", "for the hook to allow the takeover: the notes say why it does not"},
		{"unheard", "until the peer hears this side: it is heard here"},
		{"link", "for its own socket, address or link"},
	};

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (strcmp(word, sentences[i].word) == 0)
			return sentences[i].sentence;
	return word;
}

static void print_serving(const json_t *context)
{
	const char *word = cli_text(context, "waiting-for");
	json_int_t ms = cli_number(context, "waiting-ms");
	char text[40];

	printf("  serving      %s", cli_true(context, "serving") ? "yes" : "no");
	if (*word)
		printf(", waits %s", waiting_sentence(word));
	if (*word && ms >= 0)
		printf(" (%s)", cli_duration(ms, text, sizeof(text)));
	putchar('\n');
}

/* While the peer is there, S6 is no reason for a note: in the long run most secondaries are idle.
 * Where this side waits for something else, that is what matters. */
static void print_takeover(const json_t *context)
{
	const char *peer = cli_text(json_object_get(context, "peer"), "state");

	if (cli_true(context, "stays-back") && strcmp(peer, "up") == 0 &&
	    !*cli_text(context, "waiting-for"))
		puts("  takeover     not by itself: no session was given an address here since "
		     "this side is secondary");
}

/* The daemon's sentences (advice.h), as they are in the JSON. */
static void print_notes(const json_t *context)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(context, "notes"), i, note)
		printf("  note         %s\n", json_string_value(note));
}

/* A row more for all of them, where they are several. */
static void print_pools_and_total(const struct column *columns, size_t n, const json_t *context)
{
	json_t *rows = json_copy(json_object_get(context, "pools"));
	json_t *total = json_copy(json_object_get(context, "totals"));

	if (rows && total && json_array_size(rows) > 1) {
		json_object_set_new(total, "name", json_string("total"));
		json_array_append(rows, total);
	}
	print_table("  ", columns, n, rows);
	json_decref(total);
	json_decref(rows);
}

/* Where IPSP is disabled nothing is said or heard: what the file has of a peer is of no interest.
 */
static bool is_enabled(const json_t *context)
{
	return json_is_integer(json_object_get(context, "port"));
}

static void print_interface(const json_t *context)
{
	const char *key = cli_text(context, "key-fingerprint");

	if (!*cli_text(context, "interface"))
		return;
	printf("  interface    %s, %s", cli_text(context, "interface"),
	       cli_text(context, "address"));
	if (is_enabled(context))
		printf(" port %" JSON_INTEGER_FORMAT ", mode %s, configured as %s%s%s\n",
		       cli_number(context, "port"), cli_text(context, "mode"),
		       cli_text(context, "configured-role"), *key ? ", key " : "", key);
	else
		puts(", IPSP is disabled");
}

static void print_dead_interval(const json_t *context)
{
	json_int_t ms = cli_number(context, "dead-interval-ms");
	char text[40];

	if (ms == 0)
		puts("  dead after   the peer is down as soon as it is lost");
	else if (ms > 0)
		printf("  dead after   %s of silence\n", cli_duration(ms, text, sizeof(text)));
}

static void print_context(const json_t *context)
{
	static const struct column columns[] = {
		{"pool", "name", false},
		{"group", "group", false},
		{"type", "type", false},
		{"prio", "priority", false},
		{"size", "size", false},
		{"used", "used", false},
		{"free", "free", false},
		{"hold", "hold", false},
		{"quarantine", "quarantine", false},
		{"released", "released", false},
		{"in-transit", "in-transit", false},
		{"reclaimed", "reclaimed", false},
	};
	printf("context %s: %s, %s, epoch %" JSON_INTEGER_FORMAT "\n", cli_text(context, "name"),
	       cli_text(context, "role"), cli_text(context, "state"), cli_number(context, "epoch"));
	print_interface(context);
	print_dead_interval(context);
	print_link(json_object_get(context, "link"));
	if (is_enabled(context))
		print_peer(json_object_get(context, "peer"));
	print_serving(context);
	print_takeover(context);
	print_notes(context);
	print_pools_and_total(columns, sizeof(columns) / sizeof(columns[0]), context);
}

/* Calls @print for each context, with an empty line between two. */
static void each_context(const json_t *root, void (*print)(const json_t *context))
{
	const json_t *context;
	size_t i;

	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		if (i > 0)
			putchar('\n');
		print(context);
	}
}

void cli_text_ipsp(const json_t *root)
{
	each_context(root, print_context);
}

/* The contexts' lines, and one for all of them. */
void cli_text_brief(const json_t *brief)
{
	static const struct column columns[] = {
		{"context", "name", false},	 {"role", "role", false},
		{"state", "state", false},	 {"peer", "peer", false},
		{"serving", "serving", false},	 {"size", "size", false},
		{"used", "used", false},	 {"free", "free", false},
		{"released", "released", false}, {"in-transit", "in-transit", false},
	};
	json_t *rows = json_array(), *row;
	const json_t *context, *total = json_object_get(brief, "total");
	char text[64];
	size_t i;

	json_array_foreach(json_object_get(brief, "contexts"), i, context)
	{
		row = json_copy((json_t *)(uintptr_t)context);
		json_object_set_new(row, "serving",
				    json_string(cli_true(context, "serving")	? "yes"
						: cli_true(context, "draining") ? "no, drains"
										: "no"));
		json_array_append_new(rows, row);
	}
	row = json_copy((json_t *)(uintptr_t)total);
	json_object_set_new(row, "name", json_string("total"));
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
		 cli_number(total, "serving"), cli_number(total, "contexts"));
	json_object_set_new(row, "serving", json_string(text));
	json_array_append_new(rows, row);
	PRINT_TABLE("", columns, rows);
	json_decref(rows);
}

/* ---------------------------------------------------------------- show configuration */

static void print_members(const char *indent, const json_t *object)
{
	const json_t *value;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (strcmp(name, "name") == 0)
			continue; /* it stands above */
		if (json_is_string(value))
			printf("%s%-24s  %s\n", indent, name, json_string_value(value));
		else if (json_is_integer(value))
			printf("%s%-24s  %" JSON_INTEGER_FORMAT "\n", indent, name,
			       json_integer_value(value));
		else if (json_is_boolean(value))
			printf("%s%-24s  %s\n", indent, name, json_is_true(value) ? "yes" : "no");
		else if (json_is_null(value))
			printf("%s%-24s  -\n", indent, name);
	}
}

static void print_sinks(const json_t *sinks)
{
	static const struct column columns[] = {
		{"notifications to", "host", false},
		{"port", "port", false},
		{"version", "version", false},
		{"user", "user", false},
	};

	if (json_array_size(sinks) > 0)
		PRINT_TABLE("", columns, sinks);
}

void cli_text_configuration(const json_t *root)
{
	static const struct column columns[] = {
		{"pool", "name", false},
		{"group", "group", false},
		{"type", "type", false},
		{"prio", "priority", false},
		{"first", "first", false},
		{"last", "last", false},
		{"length", "prefix-length", false},
		{"size", "size", false},
		{"hold s", "address-hold-timer", false},
		{"quarantine s", "address-quarantine-timer", false},
	};
	const json_t *context, *peer;
	size_t i;

	print_members("", root);
	print_sinks(json_object_get(root, "sinks"));
	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		printf("\ncontext %s\n", cli_text(context, "name"));
		peer = json_object_get(context, "peer");
		if (peer)
			printf("  %-24s  %s port %" JSON_INTEGER_FORMAT "\n", "peer",
			       cli_text(peer, "address"), cli_number(peer, "port"));
		print_members("  ", context);
		PRINT_TABLE("  ", columns, json_object_get(context, "pools"));
	}
}

/* ---------------------------------------------------------------- the other shows */

static void print_pools(const json_t *context)
{
	static const struct column definition[] = {
		{"pool", "name", false},
		{"group", "group", false},
		{"type", "type", false},
		{"prio", "priority", false},
		{"first", "first", false},
		{"last", "last", false},
		{"length", "prefix-length", false},
		{"size", "size", false},
		{"hold s", "address-hold-timer", false},
		{"quarantine s", "address-quarantine-timer", false},
	};
	static const struct column counts[] = {
		{"pool", "name", false},	   {"size", "size", false},
		{"used", "used", false},	   {"free", "free", false},
		{"hold", "hold", false},	   {"quarantine", "quarantine", false},
		{"released", "released", false},   {"in-transit", "in-transit", false},
		{"reclaimed", "reclaimed", false},
	};
	const json_t *pools = json_object_get(context, "pools");

	printf("context %s\n", cli_text(context, "name"));
	PRINT_TABLE("  ", definition, pools);
	putchar('\n');
	PRINT_TABLE("  ", counts, pools);
}

void cli_text_pools(const json_t *root)
{
	each_context(root, print_pools);
}

static const struct column session_columns[] = {
	{"address", "address", false}, {"pool", "pool", false}, {"subscriber", "subscriber", false},
	{"session", "session", false}, {"HA", "ha", false},	{"age", "age-ms", true},
	{"state", "state", false},
};

void cli_text_sessions_begin(struct cli_widths *widths, const json_t *rows)
{
	measure(widths, session_columns, sizeof(session_columns) / sizeof(session_columns[0]),
		rows);
	if (widths->width[0] < WIDTH_IPV4)
		widths->width[0] = WIDTH_IPV4;
	print_head("", session_columns, widths);
}

void cli_text_sessions_rows(const struct cli_widths *widths, const json_t *rows)
{
	print_rows("", session_columns, widths, rows);
}

void cli_text_duplicates(const json_t *root)
{
	static const struct column columns[] = {
		{"address", "address", false},
		{"pool", "pool", false},
		{"subscriber here", "subscriber", false},
		{"subscriber at the peer", "peer-subscriber", false},
		{"dropped by", "dropped-by", false},
		{"state", "state", false},
		{"found", "age-ms", true},
	};
	const json_int_t missing = cli_number(root, "not-listed");

	PRINT_TABLE("", columns, json_object_get(root, "duplicates"));
	if (missing > 0)
		printf("%lld more are not listed: memory ran out\n", (long long)missing);
}

static void print_counters(const json_t *context)
{
	const json_t *value, *counters = json_object_get(context, "counters");
	const char *name;

	printf("context %s\n", cli_text(context, "name"));
	json_object_foreach((json_t *)(uintptr_t)counters, name, value)
		printf("  %-22s %12" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
}

void cli_text_counters(const json_t *root)
{
	each_context(root, print_counters);
}

static void print_differences(const json_t *object)
{
	const json_t *line;
	size_t i;

	json_array_foreach(json_object_get(object, "differences"), i, line)
		puts(json_string_value(line));
}

/* The peer can't be asked now. */
static void print_last_compared(const char *context, const json_t *last)
{
	char ago[40];

	if (!json_is_object(last))
		return;
	cli_duration(cli_number(last, "ago-ms"), ago, sizeof(ago));
	if (cli_true(last, "identical"))
		printf("context %s: not compared now; when the peer was last heard, %s ago, "
		       "nothing "
		       "differed\n",
		       context, ago);
	else
		printf("context %s: not compared now; when the peer was last heard, %s ago, this "
		       "differed:\n",
		       context, ago);
	print_differences(last);
}

void cli_text_differences(const json_t *root)
{
	print_differences(root);
	print_last_compared(cli_text(root, "context"), json_object_get(root, "last-compared"));
	if (cli_true(root, "identical"))
		printf("context %s: the pools of both sides are identical\n",
		       cli_text(root, "context"));
}

/* What does not stand against a stop, and ends by it all the same. */
void cli_text_static_left(const json_t *context)
{
	const json_t *line;
	size_t i;

	json_array_foreach(json_object_get(context, "notes"), i, line)
		printf("%s: %s\n", cli_text(context, "name"), json_string_value(line));
}

/* {"ok":true,"contexts":[{"name":"isp1","ok":true,"reasons":[]}]} of the daemon's contexts. */
void cli_text_ok_to_stop(const json_t *root)
{
	const json_t *context, *why;
	size_t i, k;

	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		if (cli_true(context, "ok"))
			printf("%s: it is safe to stop\n", cli_text(context, "name"));
		json_array_foreach(json_object_get(context, "reasons"), k, why)
			printf("%s: %s: %s\n", cli_text(context, "name"), cli_text(why, "reason"),
			       cli_text(why, "remedy"));
		cli_text_static_left(context);
	}
}
