/*
 * metrics - what the daemon says of itself, as Prometheus and OpenMetrics read it: the same text
 * for `ipspctl metrics` and for /metrics of ipsp-monitor. It knows the daemon by its JSON only.
 *
 * No label has an address, a subscriber or a session: all labels are names of the configuration,
 * words of a fixed list, or the version.
 */
#ifndef IPSP_METRICS_METRICS_H
#define IPSP_METRICS_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum ipsp_metrics_format {
	IPSP_METRICS_TEXT, /* Prometheus text 0.0.4 */
	IPSP_METRICS_OPEN, /* OpenMetrics 1.0 */
};

/* The Content-Type that goes with it. */
const char *ipsp_metrics_type(enum ipsp_metrics_format format);

/* What `show` gave for these names; NULL: there was no such answer. */
struct ipsp_metrics {
	const json_t *ipsp, *ok_to_stop, *metrics;
	bool up;	/* the daemon answers */
	int64_t age_ms; /* of these answers; < 0: there are none */
};

/* Says all of it; whether it could be written is the stream's to say (ferror). */
void ipsp_metrics_write(FILE *out, const struct ipsp_metrics *in, enum ipsp_metrics_format format);

#endif
