#define _GNU_SOURCE /* asprintf */
#include "monitor/pages.h"
#include "metrics/metrics.h"
#include "monitor/page_files.h"
#include "monitor/say.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct pages {
	const struct source *source;
	struct drains *drains;
	char *rest; /* what /page.json has of the latest answer; NULL: made when it is wanted */
};

static const struct {
	const char *path, *type;
	const unsigned char *bytes;
	const size_t *n;
} files[] = {
	{"/", "text/html; charset=utf-8", page_index_html, &page_index_html_size},
	{"/page.js", "text/javascript; charset=utf-8", page_js, &page_js_size},
	{"/page.css", "text/css; charset=utf-8", page_css, &page_css_size},
	{"/icon.svg", "image/svg+xml", page_icon_svg, &page_icon_svg_size},
};

static const char type_json[] = "application/json";

struct pages *pages_new(const struct source *source)
{
	struct pages *pages = calloc(1, sizeof(*pages));

	if (!pages)
		return NULL;
	pages->source = source;
	pages->drains = drains_new();
	if (pages->drains)
		return pages;
	free(pages);
	return NULL;
}

void pages_free(struct pages *pages)
{
	if (!pages)
		return;
	drains_free(pages->drains);
	free(pages->rest);
	free(pages);
}

void pages_changed(struct pages *pages)
{
	const struct source_answer *answer = source_latest(pages->source);

	free(pages->rest);
	pages->rest = NULL;
	if (answer->number > 0)
		drains_see(pages->drains, answer->ok_to_stop, answer->at_ms);
}

/* ---------------------------------------------------------------- Accept */

/* The q of one range, "text/plain;version=0.0.4;q=0.5", in thousandths. */
static long quality(const char *range, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++)
		if (range[i] == ';') {
			while (i + 3 < n && range[i + 1] == ' ')
				i++;
			if ((range[i + 1] == 'q' || range[i + 1] == 'Q') && range[i + 2] == '=')
				return (long)(strtod(range + i + 3, NULL) * 1000);
		}
	return 1000;
}

static bool begins(const char *range, size_t n, const char *type)
{
	const size_t len = strlen(type);

	return n >= len && strncasecmp(range, type, len) == 0 &&
	       (n == len || range[len] == ';' || range[len] == ' ');
}

/* A version that we don't speak is none of ours. */
static bool is_open(const char *range, size_t n)
{
	static const char version[] = "version=";
	const size_t len = sizeof(version) - 1;

	if (!begins(range, n, "application/openmetrics-text"))
		return false;
	for (size_t i = 0; i + len <= n; i++)
		if (strncasecmp(range + i, version, len) == 0)
			return n - i >= len + 5 && strncmp(range + i + len, "1.0.0", 5) == 0;
	return true;
}

bool pages_wants_open(const char *accept)
{
	long open = 0, plain = 0;

	for (const char *range = accept ? accept : ""; *range;) {
		range += strspn(range, " ,\t");
		const size_t n = strcspn(range, ",");
		const long q = quality(range, n);

		if (is_open(range, n))
			open = q > open ? q : open;
		else if (begins(range, n, "text/plain") || begins(range, n, "text/*"))
			plain = q > plain ? q : plain;
		range += n;
	}
	return open > 0 && open >= plain;
}

/* ---------------------------------------------------------------- each path */

static bool make_metrics(struct pages *pages, const char *accept, struct page *page)
{
	const struct source_answer *answer = source_latest(pages->source);
	const enum ipsp_metrics_format format =
		pages_wants_open(accept) ? IPSP_METRICS_OPEN : IPSP_METRICS_TEXT;
	struct ipsp_metrics in = {.up = source_up(pages->source), .age_ms = -1};
	FILE *out = open_memstream(&page->body, &page->n);

	if (!out)
		return false;
	if (answer->number > 0)
		in.age_ms = monitor_now() - answer->at_ms;
	if (answer->number > 0 && in.age_ms <= PAGES_OLD_MS) {
		in.ipsp = answer->ipsp;
		in.ok_to_stop = answer->ok_to_stop;
		in.metrics = answer->metrics;
	}
	ipsp_metrics_write(out, &in, format);
	page->type = ipsp_metrics_type(format);
	const bool failed = ferror(out) != 0;
	return fclose(out) == 0 && !failed;
}

static bool make_status(const struct pages *pages, struct page *page)
{
	const struct source_answer *answer = source_latest(pages->source);

	page->type = type_json;
	if (answer->number > 0 && monitor_now() - answer->at_ms <= PAGES_OLD_MS) {
		page->body = strdup(answer->ipsp_text);
	} else {
		json_t *no = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", "no-answer", "message",
				       source_why(pages->source));

		page->code = 503;
		page->body = no ? json_dumps(no, JSON_COMPACT) : NULL;
		json_decref(no);
	}
	page->n = page->body ? strlen(page->body) : 0;
	return page->body != NULL;
}

/* Whose sessions two sides have at once is for the operator at the command line. */
static json_t *without_subscribers(const json_t *duplicates)
{
	json_t *all = json_deep_copy(duplicates), *one, *row;
	const char *context;
	size_t i;

	json_object_foreach(all, context, one)
	{
		json_array_foreach(json_object_get(one, "duplicates"), i, row)
		{
			json_object_del(row, "subscriber");
			json_object_del(row, "peer-subscriber");
		}
	}
	return all;
}

static char *make_rest(const struct pages *pages)
{
	const struct source_answer *answer = source_latest(pages->source);
	const json_t *version =
		json_object_get(json_object_get(answer->metrics, "daemon"), "version");
	json_t *root = json_pack(
		"{s:s?, s:O?, s:O?, s:O?, s:o?, s:o?}", "version", json_string_value(version),
		"ipsp", answer->ipsp, "ok-to-stop", answer->ok_to_stop, "log", answer->log,
		"duplicates", answer->duplicates ? without_subscribers(answer->duplicates) : NULL,
		"drains", drains_json(pages->drains, answer->at_ms));
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

static bool make_page_json(struct pages *pages, struct page *page)
{
	const struct source_answer *answer = source_latest(pages->source);
	json_t *head;
	char *text = NULL;
	int n = -1;

	if (!pages->rest)
		pages->rest = make_rest(pages);
	head = json_pack("{s:b, s:s, s:I, s:I}", "up", (int)source_up(pages->source), "why",
			 source_why(pages->source), "number", (json_int_t)answer->number, "age-ms",
			 (json_int_t)(answer->number > 0 ? monitor_now() - answer->at_ms : -1));
	if (head && pages->rest)
		text = json_dumps(head, JSON_COMPACT);
	if (text) /* {head} and {rest} become {head,rest} */
		n = asprintf(&page->body, "%.*s,%s", (int)strlen(text) - 1, text, pages->rest + 1);
	json_decref(head);
	free(text);
	page->type = type_json;
	page->n = n > 0 ? (size_t)n : 0;
	return n > 0;
}

bool pages_has(const char *path, bool *is_live)
{
	static const char *const live[] = {"/metrics", "/status", "/page.json"};

	*is_live = true;
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (strcmp(path, live[i]) == 0)
			return true;
	*is_live = false;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(path, files[i].path) == 0)
			return true;
	return false;
}

bool pages_make(struct pages *pages, const char *path, const char *accept, struct page *page)
{
	const struct source_answer *answer = source_latest(pages->source);

	*page = (struct page){.code = 200, .age_s = -1};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(path, files[i].path) != 0)
			continue;
		page->type = files[i].type;
		page->body = (char *)files[i].bytes; /* which nobody frees or writes */
		page->n = *files[i].n;
		page->is_static = true;
		return true;
	}
	if (answer->number > 0)
		page->age_s = (monitor_now() - answer->at_ms) / 1000;
	if (strcmp(path, "/metrics") == 0)
		return make_metrics(pages, accept, page);
	if (strcmp(path, "/status") == 0)
		return make_status(pages, page);
	return make_page_json(pages, page);
}
