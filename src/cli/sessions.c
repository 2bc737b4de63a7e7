/*
 * sessions - show sessions: there may be a million. What has come is printed, the rest comes
 * meanwhile: the widths of the table are those of its first rows.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROWS 200 /* that the widths are made of */

/* Takes {"sessions":[{...},{...}]} apart, in whatever portions it comes. */
struct stream {
	char *object; /* what has come of one; owned */
	size_t n, cap;
	int depth;
	bool in_string, escaped;
	json_t *rows;	/* an array, until the first are printed */
	bool has_begun; /* the head of the table is printed */
	struct cli_widths widths;
	bool failed; /* memory, or what is no JSON */
};

static void print_rows(struct stream *stream)
{
	if (!stream->has_begun)
		cli_text_sessions_begin(&stream->widths, stream->rows);
	stream->has_begun = true;
	cli_text_sessions_rows(&stream->widths, stream->rows);
	json_array_clear(stream->rows);
	cli_flush();
}

static void add_byte(struct stream *stream, char c)
{
	if (stream->n == stream->cap) {
		size_t cap = stream->cap ? stream->cap * 2 : 1024;
		char *object = realloc(stream->object, cap);

		if (!object) {
			stream->failed = true;
			return;
		}
		stream->object = object;
		stream->cap = cap;
	}
	stream->object[stream->n++] = c;
}

static void end_object(struct stream *stream)
{
	json_t *row = json_loadb(stream->object, stream->n, 0, NULL);

	stream->n = 0;
	cli_shown(row);
	if (!row || json_array_append_new(stream->rows, row) != 0)
		stream->failed = true;
	else if (!stream->has_begun && json_array_size(stream->rows) >= FIRST_ROWS)
		print_rows(stream);
}

/* Depth 1 is the object around all, 2 the array, 3 a session. */
static void take_byte(struct stream *stream, char c)
{
	if (stream->depth >= 3 || (!stream->in_string && c == '{' && stream->depth == 2))
		add_byte(stream, c);
	if (stream->escaped) {
		stream->escaped = false;
	} else if (stream->in_string) {
		stream->escaped = c == '\\';
		stream->in_string = c != '"';
	} else if (c == '"') {
		stream->in_string = true;
	} else if (c == '{' || c == '[') {
		stream->depth++;
	} else if (c == '}' || c == ']') {
		stream->depth--;
		if (stream->depth == 2 && c == '}')
			end_object(stream);
	}
}

static void take_text(struct cli *cli, struct stream *stream, const char *text, size_t n)
{
	if (cli->json) {
		fwrite(text, 1, n, stdout);
		cli->printed = true;
		cli_flush();
		return;
	}
	for (size_t i = 0; i < n && !stream->failed; i++)
		take_byte(stream, text[i]);
	if (stream->has_begun)
		print_rows(stream);
}

/* Until the end of it. What to exit with. */
static int receive(struct cli *cli, struct stream *stream)
{
	struct ipsp_conn_msg msg;

	for (;;) {
		int got = ipsp_call_next(cli->call, &msg, cli->look_ms);

		if (got <= 0)
			return cli_failed(cli, got == 0 ? IPSP_ERR_TIMEOUT : got, NULL);
		if (msg.type == IPSP_CONN_BYE)
			return cli_failed(cli, msg.err, &msg);
		if (msg.type == IPSP_CONN_JSON)
			take_text(cli, stream, msg.text, msg.n_text);
		if (msg.type == IPSP_CONN_DONE)
			return msg.err ? cli_failed(cli, msg.err, &msg) : CLI_DONE;
		if (stream->failed)
			return cli_failed(cli, IPSP_ERR_FORMAT, NULL);
		if (cli_output_error() != 0)
			return CLI_REFUSED; /* nobody reads it any more, or it can't be written */
	}
}

static int stream_sessions(struct cli *cli)
{
	struct stream stream = {.rows = json_array()};
	int result = receive(cli, &stream);

	if (result == CLI_DONE && cli->json)
		putchar('\n');
	else if (result == CLI_DONE)
		print_rows(&stream);
	json_decref(stream.rows);
	free(stream.object);
	return result;
}

static int count_sessions(struct cli *cli)
{
	struct ipsp_conn_msg msg;
	json_t *root = NULL;
	int got;

	while ((got = ipsp_call_next(cli->call, &msg, cli->look_ms)) > 0) {
		if (msg.type == IPSP_CONN_JSON && !root)
			root = json_loadb(msg.text, msg.n_text, 0, NULL);
		if (msg.type == IPSP_CONN_DONE || msg.type == IPSP_CONN_BYE)
			break;
	}
	if (got <= 0 || msg.err) {
		json_decref(root);
		return got > 0 ? cli_failed(cli, msg.err, &msg)
			       : cli_failed(cli, got == 0 ? IPSP_ERR_TIMEOUT : got, NULL);
	}
	if (!root)
		return cli_failed(cli, IPSP_ERR_FORMAT, NULL);
	if (cli->json)
		cli_json_print(root);
	else
		printf("%" JSON_INTEGER_FORMAT "\n", cli_number(root, "count"));
	if (!cli->json)
		json_decref(root);
	return CLI_DONE;
}

/* "10.1.0.5", "10.1.0.0/24", "2001:db8::/40" */
static bool is_range(const char *text)
{
	const char *slash = strchr(text, '/');
	struct ipsp_address address;
	char alone[IPSP_ADDRESS_TEXT] = "";
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long most = memchr(text, ':', n) ? 128 : 32, length;
	char *end;

	if (n >= sizeof(alone))
		return false;
	memcpy(alone, text, n);
	if (ipsp_address_parse(alone, &address) != 0)
		return false;
	if (!slash)
		return true;
	length = strtoul(slash + 1, &end, 10);
	return slash[1] >= '0' && slash[1] <= '9' && !*end && length <= most;
}

/* 0, or CLI_USAGE after having said what is wrong. */
static int check(const struct ipsp_conn_sessions *which)
{
	static const char *const states[] = {"used", "releasing", "duplicate", NULL};
	const char *nearest = which->state ? cli_nearest(which->state, states) : NULL;

	if (which->address && !is_range(which->address))
		return cli_usage("\"%s\" is neither an address nor a prefix, as 10.1.0.0/24",
				 which->address);
	if (!which->state || (nearest && strcmp(nearest, which->state) == 0))
		return 0;
	if (nearest)
		return cli_usage("there is no state \"%s\"; did you mean \"%s\"?", which->state,
				 nearest);
	return cli_usage("the state of a session is used, releasing or duplicate");
}

int cli_show_sessions(struct cli *cli)
{
	struct ipsp_conn_sessions which = {.pool = cli->pool,
					   .subscriber = cli->subscriber,
					   .address = cli->address,
					   .state = cli->state,
					   .limit = cli->limit,
					   .count = cli->count};
	int result, err;

	if (cli->n_words > 0 && cli->address)
		return cli_usage("only one address or prefix");
	if (cli->n_words > 0)
		which.address = cli->words[0];
	result = check(&which);
	if (result == CLI_DONE)
		result = cli_connect(cli);
	if (result != CLI_DONE)
		return result;
	cli->waited_ms = cli->look_ms;
	err = ipsp_conn_show_sessions(ipsp_call_conn(cli->call), 1, cli->context, &which);
	if (err)
		return cli_failed(cli, err, NULL);
	return cli->count ? count_sessions(cli) : stream_sessions(cli);
}
