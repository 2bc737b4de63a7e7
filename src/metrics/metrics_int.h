/*
 * metrics_int - between the files of metrics: writer.c knows the two formats, families.c which
 * families there are and where their values stand in the JSON.
 */
#ifndef IPSP_METRICS_INT_H
#define IPSP_METRICS_INT_H

#include "metrics/metrics.h"

enum metrics_kind {
	METRICS_GAUGE,
	METRICS_COUNTER,
	METRICS_INFO,
	METRICS_STATESET,
	METRICS_HISTOGRAM,
};

struct metrics_label {
	const char *name, *value;
};

struct metrics_writer {
	FILE *out;
	bool open; /* OpenMetrics */
	const char *name, *help;
	enum metrics_kind kind;
	bool begun; /* its head is written: it has a sample */
};

/*
 * A family begins. @name is without "_total" and "_info". The head is written with the first
 * sample, so that a family without one leaves no trace.
 */
void metrics_family(struct metrics_writer *w, enum metrics_kind kind, const char *name,
		    const char *help);

#define METRICS_LABELS 4 /* at most */

/* @labels, @n of them; the value is a whole number. */
void metrics_number(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		    long long value);
/* @ms milliseconds, in seconds. */
void metrics_seconds(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		     long long ms);
/* One sample for each of @words (a NULL ends them): 1 for @is, which may be another one, else 0. */
void metrics_states(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		    const char *const *words, const char *is);
/* @counts has one number more than @le_us: of those that are longer. */
void metrics_histogram(struct metrics_writer *w, const struct metrics_label *labels, size_t n,
		       const json_t *le_us, const json_t *counts, long long sum_us);
void metrics_end(struct metrics_writer *w);

#endif
