#include "metrics/metrics_int.h"
#include <string.h>

const char *ipsp_metrics_type(enum ipsp_metrics_format format)
{
	return format == IPSP_METRICS_OPEN
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

void metrics_family(struct metrics_writer *w, enum metrics_kind kind, const char *name,
		    const char *help)
{
	w->kind = kind;
	w->name = name;
	w->help = help;
	w->begun = false;
}

/* Of its samples; of the family too, but with OpenMetrics. */
static const char *suffix(enum metrics_kind kind)
{
	return kind == METRICS_COUNTER ? "_total" : kind == METRICS_INFO ? "_info" : "";
}

static const char *type_word(const struct metrics_writer *w)
{
	switch (w->kind) {
	case METRICS_COUNTER:
		return "counter";
	case METRICS_HISTOGRAM:
		return "histogram";
	case METRICS_INFO:
		return w->open ? "info" : "gauge";
	case METRICS_STATESET:
		return w->open ? "stateset" : "gauge";
	case METRICS_GAUGE:
		break;
	}
	return "gauge";
}

/* The last word of a name, where it is a unit. */
static const char *unit_of(const char *name)
{
	const char *last = strrchr(name, '_');

	if (last && (strcmp(last, "_seconds") == 0 || strcmp(last, "_bytes") == 0 ||
		     strcmp(last, "_addresses") == 0))
		return last + 1;
	return NULL;
}

static void put_escaped(FILE *out, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\\\", out);
		else if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' && quotes)
			fputs("\\\"", out);
		else
			fputc(*text, out);
	}
}

static void put_head(struct metrics_writer *w)
{
	const char *end = w->open ? "" : suffix(w->kind);
	const char *unit = w->open ? unit_of(w->name) : NULL;

	if (w->begun)
		return;
	w->begun = true;
	fprintf(w->out, "# HELP %s%s ", w->name, end);
	put_escaped(w->out, w->help, w->open);
	fprintf(w->out, "\n# TYPE %s%s %s\n", w->name, end, type_word(w));
	if (unit)
		fprintf(w->out, "# UNIT %s %s\n", w->name, unit);
}

/* The name with @end, and the labels; @more may be NULL. */
static void put_series(struct metrics_writer *w, const char *end,
		       const struct metrics_label *labels, size_t n,
		       const struct metrics_label *more)
{
	const char *before = "{";

	put_head(w);
	fprintf(w->out, "%s%s", w->name, end);
	for (size_t i = 0; i < n + (more != NULL); i++) {
		const struct metrics_label *label = i < n ? &labels[i] : more;

		fprintf(w->out, "%s%s=\"", before, label->name);
		put_escaped(w->out, label->value, true);
		fputc('"', w->out);
		before = ",";
	}
	if (*before == ',')
		fputc('}', w->out);
	fputc(' ', w->out);
}

void metrics_number(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		    long long value)
{
	put_series(w, suffix(w->kind), labels, n, NULL);
	fprintf(w->out, "%lld\n", value);
}

void metrics_seconds(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		     long long ms)
{
	put_series(w, suffix(w->kind), labels, n, NULL);
	ms = ms > 0 ? ms : 0;
	fprintf(w->out, "%lld.%03lld\n", ms / 1000, ms % 1000);
}

void metrics_states(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		    const char *const *words, const char *is)
{
	struct metrics_label state = {w->name, is};
	bool known = false;

	for (; *words; words++) {
		const bool set = strcmp(*words, is) == 0;

		known = known || set;
		state.value = *words;
		put_series(w, "", labels, n, &state);
		fprintf(w->out, "%d\n", set);
	}
	if (known)
		return;
	state.value = is; /* of a later version */
	put_series(w, "", labels, n, &state);
	fputs("1\n", w->out);
}

/* "0.00025", "10", and for OpenMetrics "10.0" */
static void bound_text(const struct metrics_writer *w, long long us, char *text, size_t size)
{
	int n = snprintf(text, size, "%lld.%06lld", us / 1000000, us % 1000000);

	while (n > 0 && text[n - 1] == '0')
		text[--n] = '\0';
	if (n > 0 && text[n - 1] == '.')
		memcpy(text + n - !w->open, w->open ? "0" : "", w->open ? 2 : 1);
}

void metrics_histogram(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		       const json_t *le_us, const json_t *counts, long long sum_us)
{
	const size_t n_bounds = json_array_size(le_us);
	char text[48];
	struct metrics_label le = {"le", text};
	long long sum = 0;

	if (n_bounds == 0 || json_array_size(counts) != n_bounds + 1)
		return;
	for (size_t i = 0; i <= n_bounds; i++) {
		sum += json_integer_value(json_array_get(counts, i));
		if (i < n_bounds)
			bound_text(w, json_integer_value(json_array_get(le_us, i)), text,
				   sizeof(text));
		else
			memcpy(text, "+Inf", 5);
		put_series(w, "_bucket", labels, n, &le);
		fprintf(w->out, "%lld\n", sum);
	}
	put_series(w, "_sum", labels, n, NULL);
	fprintf(w->out, "%lld.%06lld\n", sum_us / 1000000, sum_us % 1000000);
	put_series(w, "_count", labels, n, NULL);
	fprintf(w->out, "%lld\n", sum);
}

void metrics_end(struct metrics_writer *w)
{
	if (w->open)
		fputs("# EOF\n", w->out);
}
