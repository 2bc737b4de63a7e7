/*
 * What `ipspctl metrics` and ipsp-monitor need beside `show ip ipsp`: histograms, the daemon as a
 * whole, and the words for each counter, so that one list has them.
 */
#include "daemon/config.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/measure.h"
#include "daemon/show.h"
#include "daemon/store.h"
#include <jansson.h>

/* {"le-us":[...],"counts":[...],"sum-us":N}; one count more than bounds: of what is longer. */
static json_t *histogram(const struct ipsp_histogram *h)
{
	json_t *bounds = json_array(), *counts = json_array();

	for (size_t i = 0; i < IPSP_HISTOGRAM_BOUNDS; i++)
		json_array_append_new(bounds, json_integer(ipsp_histogram_bounds[i]));
	for (size_t i = 0; i <= IPSP_HISTOGRAM_BOUNDS; i++)
		json_array_append_new(counts, json_integer((json_int_t)h->counts[i]));
	return json_pack("{s:o, s:o, s:I}", "le-us", bounds, "counts", counts, "sum-us",
			 (json_int_t)h->sum_us);
}

static bool add_counter(json_t *array, const char *name, const char *text)
{
	return json_array_append_new(array, json_pack("{s:s, s:s}", "name", name, "help", text)) ==
	       0;
}

/* NULL: memory ran out; so below. */
static json_t *counters(void)
{
	json_t *array = json_array();
	bool ok = array != NULL;

	for (const struct ipsp_stats_name *n = ipsp_stats_names; ok && n->name; n++)
		ok = add_counter(array, n->name, n->text);
#define ADD(field, name, text) ok = ok && add_counter(array, name, text);
	IPSPD_UDP_STATS(ADD)
#undef ADD
	if (ok)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *whole(const struct ipspd *daemon)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:{s:o, s:o}}", "version", IPSPD_VERSION,
			 "uptime-ms", (json_int_t)(ipspd_now() - daemon->started_ms), "store-bytes",
			 (json_int_t)ipspd_store_size(daemon->store), "log-lines-lost",
			 (json_int_t)ipspd_log_lost(), "event-lines-lost",
			 (json_int_t)ipspd_events_lost(daemon->events), "histograms", "grant-local",
			 histogram(&ipspd_loop_measure(daemon)->grants), "flush",
			 histogram(ipspd_store_flushes(daemon->store)));
}

static json_t *contexts(const struct ipspd *daemon, const struct ipspd_ctx *only)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < daemon->n_ctxs; i++) {
		const struct ipspd_ctx *ctx = daemon->ctxs[i];
		const struct ipsp_stats *stats = ipsp_node_stats(ctx->node);

		if (only && only != ctx)
			continue;
		if (json_array_append_new(
			    array, json_pack("{s:s, s:{s:o, s:o}}", "name", ctx->name, "histograms",
					     "grant-asked", histogram(&stats->grants_asked),
					     "hello-late", histogram(&stats->hellos_late))) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

char *ipspd_show_metrics(const struct ipspd *daemon, const struct ipspd_ctx *only)
{
	json_t *root = json_pack("{s:o, s:o, s:o}", "daemon", whole(daemon), "contexts",
				 contexts(daemon, only), "counters", counters());
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}
