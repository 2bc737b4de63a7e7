/* log - `show log`: the events of contexts and daemon in one row, in the form of the log's lines;
 * -f goes on with those that follow. */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct line {
	const char *owner; /* the context's name; "": the daemon's */
	const json_t *event;
	size_t place; /* among all, as they came */
};

struct row {
	struct line *lines;
	size_t n, cap;
	json_t *told; /* -f: owner -> number of the last event that was printed */
	bool failed;
};

static void take(struct row *row, const char *owner, const json_t *of)
{
	const json_int_t told = json_integer_value(json_object_get(row->told, owner));
	const json_t *event;
	size_t i;

	json_array_foreach(json_object_get(of, "events"), i, event)
	{
		if (cli_number(event, "number") <= told)
			continue;
		if (row->n == row->cap) {
			const size_t cap = row->cap ? row->cap * 2 : 512;
			struct line *lines = realloc(row->lines, cap * sizeof(*lines));
			if (!lines) {
				row->failed = true;
				return;
			}
			row->lines = lines;
			row->cap = cap;
		}
		row->lines[row->n] = (struct line){owner, event, row->n};
		row->n++;
	}
	if (i > 0)
		json_object_set_new(
			row->told, owner,
			json_integer(cli_number(
				json_array_get(json_object_get(of, "events"), i - 1), "number")));
}

/* Times are text of one length, in one zone. */
static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	const int order = strcmp(cli_text(x->event, "time"), cli_text(y->event, "time"));

	return order ? order : (x->place > y->place) - (x->place < y->place);
}

static void print_line(const struct cli *cli, const struct line *line)
{
	if (!cli->json) {
		printf("%s %s: %s%s%s\n", cli_text(line->event, "time"),
		       cli_text(line->event, "level"), line->owner, *line->owner ? ": " : "",
		       cli_text(line->event, "text"));
		return;
	}
	json_t *event = json_deep_copy(line->event);
	json_object_set_new(event, "context",
			    *line->owner ? json_string(line->owner) : json_null());
	cli_json_print(event);
}

/* What is new since the last call. */
static int look(struct cli *cli, struct row *row, uint32_t n)
{
	const struct ipsp_conn_filter filter = {.n = n};
	const json_t *context;
	json_t *root;
	size_t i;

	int result = cli_show(cli, "log", &filter, &root);
	if (result != CLI_DONE)
		return result;
	row->n = 0;
	json_array_foreach(json_object_get(root, "contexts"), i, context)
		take(row, cli_text(context, "name"), context);
	take(row, "", json_object_get(root, "daemon"));
	if (row->n > 0)
		qsort(row->lines, row->n, sizeof(*row->lines), by_time);
	for (i = n > 0 && row->n > n ? row->n - n : 0; i < row->n; i++)
		print_line(cli, &row->lines[i]);
	json_decref(root);
	fflush(stdout);
	return row->failed ? cli_failed(cli, IPSP_ERR_NOMEM, NULL) : CLI_DONE;
}

int cli_show_log(struct cli *cli)
{
	static const struct timespec pause = {0, 300 * 1000 * 1000};
	const struct ipsp_conn_filter filter = {.n = cli->n};
	struct row row = {.told = json_object()};
	char *text;
	int result;

	if (cli->json && !cli->follow) {
		json_decref(row.told);
		result = cli_show_raw(cli, "log", &filter, &text);
		if (result == CLI_DONE)
			puts(text);
		free(text);
		return result;
	}
	result = look(cli, &row, cli->n);
	cli->look_ms = CLI_PATIENCE_MS; /* who follows has time */
	while (cli->follow && result == CLI_DONE && !ferror(stdout)) {
		nanosleep(&pause, NULL);
		result = look(cli, &row, 0);
	}
	free(row.lines);
	json_decref(row.told);
	return result;
}
