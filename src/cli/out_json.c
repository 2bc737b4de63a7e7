#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t cli_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

bool cli_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static int output_errno;

void cli_output_failed(int err)
{
	if (output_errno == 0)
		output_errno = err;
}

bool cli_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return output_errno == 0; /* the agent's lines don't go by stdio */
	cli_output_failed(errno);
	return false;
}

int cli_output_error(void)
{
	return output_errno;
}

void cli_json_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(value);
}

json_t *cli_json_text(const char *text)
{
	json_t *value = json_string(text);
	char *plain = value ? NULL : strdup(text);

	if (!plain)
		return value;
	for (char *c = plain; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(plain);
	free(plain);
	return value;
}

json_t *cli_json_failed(int err, const char *text)
{
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "error", ipsp_err_word(err), "message",
			 cli_json_text(text && *text ? text : ipsp_err_text(err)));
}

/* A prefix says its length beside it: the address alone is what every other command takes. */
static bool is_prefix(const struct ipsp_conn_msg *msg)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(msg->address.bytes, mapped, sizeof(mapped)) == 0;

	return msg->plen != 0 && msg->plen != (v4 ? 32 : 128);
}

json_t *cli_json_answer(const struct ipsp_conn_msg *answer)
{
	char text[IPSP_ADDRESS_TEXT];
	json_t *object;

	if (answer->err)
		return cli_json_failed(answer->err, answer->text);
	ipsp_address_text(&answer->address, text, sizeof(text));
	object = json_pack("{s:b, s:s, s:o}", "ok", 1, "address", text, "pool",
			   cli_json_text(answer->pool));
	if (is_prefix(answer))
		json_object_set_new(object, "prefix-length", json_integer(answer->plen));
	return object;
}

static const char *const counts[] = {"size",	   "used",     "free",	     "hold",
				     "quarantine", "released", "in-transit", "reclaimed"};

#define N_COUNTS (sizeof(counts) / sizeof(counts[0]))

static json_t *brief_of(const json_t *context)
{
	const json_t *totals = json_object_get(context, "totals");
	json_t *line =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "name", cli_text(context, "name"),
			  "role", cli_text(context, "role"), "state", cli_text(context, "state"),
			  "peer", cli_text(json_object_get(context, "peer"), "state"), "serving",
			  cli_true(context, "serving"), "draining", cli_true(context, "draining"));

	for (size_t i = 0; i < N_COUNTS; i++)
		json_object_set_new(line, counts[i], json_integer(cli_number(totals, counts[i])));
	return line;
}

json_t *cli_json_brief(const json_t *root)
{
	json_t *lines = json_array(), *total = json_object();
	const json_t *context, *line;
	json_int_t serving = 0, sum;
	size_t i;

	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		json_array_append_new(lines, brief_of(context));
		serving += cli_true(context, "serving");
	}
	json_object_set_new(total, "contexts", json_integer((json_int_t)json_array_size(lines)));
	json_object_set_new(total, "serving", json_integer(serving));
	for (size_t c = 0; c < N_COUNTS; c++) {
		sum = 0;
		json_array_foreach(lines, i, line) sum += cli_number(line, counts[c]);
		json_object_set_new(total, counts[c], json_integer(sum));
	}
	return json_pack("{s:o, s:o}", "contexts", lines, "total", total);
}
