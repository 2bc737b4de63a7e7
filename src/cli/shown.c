/*
 * shown - what is printed for people: names as base/shown.h has them. JSON has them as they are.
 */
#include "base/shown.h"
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL: it is shown as it is, or there is no memory. */
static json_t *shown(const char *text)
{
	json_t *value = NULL;
	size_t n;
	char *out;

	if (ipsp_shown_plain(text))
		return NULL;
	n = ipsp_shown(text, NULL, 0) + 1;
	out = malloc(n);
	if (out) {
		ipsp_shown(text, out, n);
		value = json_string(out);
	}
	free(out);
	return value;
}

void cli_shown(json_t *root)
{
	const char *key;
	json_t *member, *better;
	size_t i;

	json_object_foreach(root, key, member)
	{
		better = json_is_string(member) ? shown(json_string_value(member)) : NULL;
		if (better)
			json_object_set_new(root, key, better);
		else
			cli_shown(member);
	}
	json_array_foreach(root, i, member)
	{
		better = json_is_string(member) ? shown(json_string_value(member)) : NULL;
		if (better)
			json_array_set_new(root, i, better);
		else
			cli_shown(member);
	}
}

void cli_say(const char *before, const char *text)
{
	char line[CLI_SAY_MAX], whole[CLI_SAY_MAX];

	fprintf(stderr, "ipspctl: %s", before);
	do { /* a refusal may have several lines */
		const size_t n = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		ipsp_shown(line, whole, sizeof(whole));
		fprintf(stderr, "%s\n", whole);
		text += n + (text[n] == '\n');
	} while (*text);
}

void cli_print_shown(const char *text)
{
	char whole[CLI_SAY_MAX];

	ipsp_shown(text, whole, sizeof(whole));
	puts(whole);
}
