#include "metrics/metrics_int.h"
#include <string.h>

/* ---------------------------------------------------------------- reading the JSON */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The member @key, or @in.@key where @in is given. */
static const json_t *member(const json_t *object, const char *in, const char *key)
{
	return json_object_get(in ? json_object_get(object, in) : object, key);
}

static const json_t *contexts_of(const json_t *root)
{
	return json_object_get(root, "contexts");
}

/* ---------------------------------------------------------------- one value a context */

enum as { AS_BOOL, AS_NUMBER, AS_SECONDS, AS_LENGTH };

struct value {
	const char *in, *key; /* contexts[i].in.key, or contexts[i].key */
	enum as as;
	const char *name, *help;
};

static const struct value of_ipsp[] = {
	{NULL, "serving", AS_BOOL, "ipspd_serving",
	 "1 while new sessions get addresses on this side, else 0."},
	{NULL, "waiting-ms", AS_SECONDS, "ipspd_waiting_seconds",
	 "For how long it has waited for what ipspd_waiting_for says; no sample while it waits for "
	 "nothing."},
	{NULL, "draining", AS_BOOL, "ipspd_draining",
	 "1 from drain on until undrain, a takeover or a stop."},
	{NULL, "drained", AS_BOOL, "ipspd_drained",
	 "1 when the drain is over: no session and nothing on its way, and the peer knows it."},
	{NULL, "all-free", AS_BOOL, "ipspd_all_free",
	 "1 after the last session of a sharing was released, as starIPSPAllAddrsFree says."},
	{NULL, "disk-full", AS_BOOL, "ipspd_disk_full",
	 "1 while the disk is full: no new address is given."},
	{NULL, "may-take-over", AS_BOOL, "ipspd_may_take_over",
	 "1 where this side would take over if the peer were silent for a dead interval."},
	{NULL, "role-on-loan", AS_BOOL, "ipspd_role_on_loan",
	 "1 while this side has the role only until the peer, which terminated, is back."},
	{"link", "bound", AS_BOOL, "ipspd_link_bound",
	 "1 while the socket to the peer is bound and its interface is there."},
	{NULL, "epoch", AS_NUMBER, "ipspd_epoch", "The epoch: it grows with each change of role."},
	{NULL, "dead-interval-ms", AS_SECONDS, "ipspd_dead_interval_seconds",
	 "The dead interval in force."},
	{NULL, "notes", AS_LENGTH, "ipspd_notes",
	 "How many notes \"show ip ipsp\" has on this context."},
	{"peer", "last-heard-ms", AS_SECONDS, "ipspd_peer_last_heard_seconds",
	 "Since the last datagram of the peer that was opened; no sample before the first."},
	{"peer", "dead-in-ms", AS_SECONDS, "ipspd_peer_dead_in_seconds",
	 "Until the dead interval of a lost peer runs out; no sample while it is not lost."},
	{"peer", "key-match", AS_BOOL, "ipspd_peer_key_match",
	 "1 where the peer has our first key; no sample before a handshake has told."},
	{"peer", "used", AS_NUMBER, "ipspd_peer_used_addresses",
	 "Sessions on the peer, as it last said."},
	{"counters", "last-sent", AS_NUMBER, "ipspd_stream_sent_number",
	 "The number of the last item said to the peer."},
	{"counters", "last-acknowledged", AS_NUMBER, "ipspd_stream_acknowledged_number",
	 "The number of the last item that the peer has acknowledged."},
	{"counters", "last-applied", AS_NUMBER, "ipspd_stream_applied_number",
	 "The number of the peer's last item that was applied here."},
	{"counters", "last-applied-ms", AS_SECONDS, "ipspd_stream_applied_age_seconds",
	 "Since that item was applied; no sample where none was since the start."},
	{"counters", "unacknowledged-ms", AS_SECONDS, "ipspd_stream_unacknowledged_seconds",
	 "For how long the oldest item has waited for the peer's acknowledgement; 0 where none "
	 "waits."},
	{"counters", "requests-open", AS_NUMBER, "ipspd_requests_open",
	 "Requests that are not answered yet."},
	{"counters", "duplicates-open", AS_NUMBER, "ipspd_duplicates_open",
	 "Addresses that two sessions have, one on each side; the resolved ones are counted in "
	 "ipspd_duplicates_resolved_total."},
	{"counters", "hello-late-max-ms", AS_SECONDS, "ipspd_hello_late_max_seconds",
	 "The longest that a hello was late since the start."},
};

static const struct value of_ok_to_stop[] = {
	{NULL, "ok", AS_BOOL, "ipspd_ok_to_stop",
	 "1 where stopping this host costs no session of the context its address (ipspctl "
	 "ok-to-stop)."},
	{NULL, "reasons", AS_LENGTH, "ipspd_stop_reasons",
	 "How many reasons there are against stopping this host."},
	{NULL, "sessions", AS_NUMBER, "ipspd_sessions", "Sessions on dynamic pools here."},
	{NULL, "static-sessions", AS_NUMBER, "ipspd_static_sessions",
	 "Sessions on static pools, which IPSP does not move."},
	{NULL, "unused", AS_NUMBER, "ipspd_unused_addresses",
	 "Addresses of dynamic pools that this side owns and no session here uses."},
};

static void put_value(struct metrics_writer *w, const struct value *value,
		      const struct metrics_label *labels, const json_t *context)
{
	const json_t *is = member(context, value->in, value->key);

	if (value->as == AS_BOOL && json_is_boolean(is))
		metrics_number(w, labels, 1, json_is_true(is));
	else if (value->as == AS_NUMBER && json_is_integer(is))
		metrics_number(w, labels, 1, json_integer_value(is));
	else if (value->as == AS_SECONDS && json_is_integer(is))
		metrics_seconds(w, labels, 1, json_integer_value(is));
	else if (value->as == AS_LENGTH && json_is_array(is))
		metrics_number(w, labels, 1, (long long)json_array_size(is));
}

static void put_values(struct metrics_writer *w, const json_t *root, const struct value *values,
		       size_t n)
{
	const json_t *context;
	size_t c;

	for (size_t i = 0; i < n; i++) {
		metrics_family(w, METRICS_GAUGE, values[i].name, values[i].help);
		json_array_foreach(contexts_of(root), c, context)
		{
			const struct metrics_label label = {"context", text_of(context, "name")};

			put_value(w, &values[i], &label, context);
		}
	}
}

/* ---------------------------------------------------------------- states */

static const char *const roles[] = {"primary", "secondary", "none", NULL};
static const char *const modes[] = {"active", "inactive", "check-config", NULL};
static const char *const states[] = {"disabled",	"inactive",    "checking",   "connecting",
				     "config-mismatch", "locked",      "active",     "peer-lost",
				     "peer-down",	"reconciling", "terminated", NULL};
static const char *const peer_states[] = {"unknown", "up", "lost", "down", "stopped", NULL};
static const char *const waits[] = {"nothing",	   "peer", "lease",   "healing", "silence",
				    "first-grant", "veto", "unheard", "link",	 NULL};

static const struct {
	const char *in, *key;
	const char *const *words;
	const char *name, *help;
} sets[] = {
	{NULL, "role", roles, "ipspd_role", "The role that this side has."},
	{NULL, "configured-role", roles, "ipspd_configured_role",
	 "The role that the configuration gives it."},
	{NULL, "mode", modes, "ipspd_mode", "The mode of pool-share-protocol."},
	{NULL, "state", states, "ipspd_state", "The state of this side."},
	{"peer", "state", peer_states, "ipspd_peer_state",
	 "The state of the peer, as this side sees it."},
	{"peer", "role", roles, "ipspd_peer_role", "The role of the peer, as it last said."},
	{NULL, "waiting-for", waits, "ipspd_waiting_for",
	 "What keeps this side from giving addresses."},
};

static void put_sets(struct metrics_writer *w, const json_t *root)
{
	const json_t *context;
	size_t c;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		metrics_family(w, METRICS_STATESET, sets[i].name, sets[i].help);
		json_array_foreach(contexts_of(root), c, context)
		{
			const struct metrics_label label = {"context", text_of(context, "name")};
			const json_t *is = member(context, sets[i].in, sets[i].key);
			const char *word = json_string_value(is);

			if (word || json_is_null(is))
				metrics_states(w, &label, 1, sets[i].words,
					       word ? word : "nothing");
		}
	}
}

static void put_infos(struct metrics_writer *w, const json_t *root)
{
	const json_t *context;
	size_t c;

	metrics_family(w, METRICS_INFO, "ipspd_context",
		       "The interface that the context shares its pools on.");
	json_array_foreach(contexts_of(root), c, context)
	{
		const struct metrics_label labels[] = {
			{"context", text_of(context, "name")},
			{"interface", text_of(context, "interface")}};

		metrics_number(w, labels, 2, 1);
	}
	metrics_family(w, METRICS_INFO, "ipspd_peer",
		       "The version of the peer's ipspd, as it last said.");
	json_array_foreach(contexts_of(root), c, context)
	{
		const json_t *version = member(context, "peer", "version");
		const struct metrics_label labels[] = {{"context", text_of(context, "name")},
						       {"version", json_string_value(version)}};

		if (json_is_string(version))
			metrics_number(w, labels, 2, 1);
	}
}

/* ---------------------------------------------------------------- pools */

static const struct {
	const char *key, *name, *help;
} pool_counts[] = {
	{"size", "ipspd_pool_size_addresses",
	 "Addresses of the pool: used, free, hold, quarantine, released and in transit together."},
	{"used", "ipspd_pool_used_addresses", "Addresses that sessions here have."},
	{"free", "ipspd_pool_free_addresses", "Addresses that this side may give at once."},
	{"hold", "ipspd_pool_hold_addresses",
	 "Addresses kept for the subscriber who had them (address-hold-timer)."},
	{"quarantine", "ipspd_pool_quarantine_addresses",
	 "Addresses that nobody gets yet (address-quarantine-timer)."},
	{"released", "ipspd_pool_released_addresses", "Addresses that the peer has."},
	{"in-transit", "ipspd_pool_in_transit_addresses",
	 "Addresses on their way to the peer, which has not acknowledged them yet."},
	{"reclaimed", "ipspd_pool_reclaimed_addresses",
	 "Addresses of the peer that this side may give after a takeover; part of used and free."},
};

static void put_pools(struct metrics_writer *w, const json_t *root)
{
	const json_t *context, *pool, *is;
	size_t c, p;

	for (size_t i = 0; i < sizeof(pool_counts) / sizeof(pool_counts[0]); i++) {
		metrics_family(w, METRICS_GAUGE, pool_counts[i].name, pool_counts[i].help);
		json_array_foreach(contexts_of(root), c, context)
		{
			json_array_foreach(json_object_get(context, "pools"), p, pool)
			{
				const struct metrics_label labels[] = {
					{"context", text_of(context, "name")},
					{"pool", text_of(pool, "name")},
					{"group", text_of(pool, "group")}};

				is = json_object_get(pool, pool_counts[i].key);
				if (json_is_integer(is))
					metrics_number(w, labels, 3, json_integer_value(is));
			}
		}
	}
}

/* ---------------------------------------------------------------- counters */

#define NAME_MAX_BYTES 96

/* "grants-sent" is ipspd_grants_sent; false: it is no counter, or no name. */
static bool counter_name(const char *word, char name[NAME_MAX_BYTES])
{
	const size_t n = strlen(word);

	if (n == 0 || n + 7 > NAME_MAX_BYTES || (n > 3 && strcmp(word + n - 3, "-ms") == 0))
		return false;
	memcpy(name, "ipspd_", 6);
	for (size_t i = 0; i <= n; i++) {
		char c = word[i];

		if (c == '-')
			c = '_';
		if (c != '\0' && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			return false;
		name[6 + i] = c;
	}
	return true;
}

static void put_counters(struct metrics_writer *w, const struct ipsp_metrics *in)
{
	const json_t *counter, *context, *is;
	char name[NAME_MAX_BYTES];
	size_t i, c;

	json_array_foreach(json_object_get(in->metrics, "counters"), i, counter)
	{
		if (!counter_name(text_of(counter, "name"), name))
			continue;
		metrics_family(w, METRICS_COUNTER, name, text_of(counter, "help"));
		json_array_foreach(contexts_of(in->ipsp), c, context)
		{
			const struct metrics_label label = {"context", text_of(context, "name")};

			is = member(context, "counters", text_of(counter, "name"));
			if (json_is_integer(is))
				metrics_number(w, &label, 1, json_integer_value(is));
		}
	}
}

/* ---------------------------------------------------------------- the daemon as a whole */

static void put_histogram(struct metrics_writer *w, const json_t *object, const char *key,
			  const struct metrics_label *labels, size_t n)
{
	const json_t *h = member(object, "histograms", key);

	metrics_histogram(w, labels, n, json_object_get(h, "le-us"), json_object_get(h, "counts"),
			  json_integer_value(json_object_get(h, "sum-us")));
}

static void put_context_histograms(struct metrics_writer *w, const json_t *root, const char *key,
				   const char *name, const char *help)
{
	const json_t *context;
	size_t c;

	metrics_family(w, METRICS_HISTOGRAM, name, help);
	json_array_foreach(contexts_of(root), c, context)
	{
		const struct metrics_label label = {"context", text_of(context, "name")};

		put_histogram(w, context, key, &label, 1);
	}
}

static void put_histograms(struct metrics_writer *w, const json_t *root)
{
	const json_t *daemon = json_object_get(root, "daemon");

	metrics_family(w, METRICS_HISTOGRAM, "ipspd_grant_local_duration_seconds",
		       "How long turns took that gave addresses owned here, once for each address; "
		       "at most one turn in 100 ms is measured.");
	put_histogram(w, daemon, "grant-local", NULL, 0);
	put_context_histograms(w, root, "grant-asked", "ipspd_grant_peer_duration_seconds",
			       "From when the peer was asked until the address came, of requests "
			       "for which it was asked and that were granted.");
	metrics_family(w, METRICS_HISTOGRAM, "ipspd_flush_duration_seconds",
		       "How long the disk took for each flush of the store.");
	put_histogram(w, daemon, "flush", NULL, 0);
	put_context_histograms(w, root, "hello-late", "ipspd_hello_lateness_seconds",
			       "How late hellos were, of all to a peer that is known.");
}

static const struct {
	enum metrics_kind kind;
	enum as as;
	const char *key, *name, *help;
} of_daemon[] = {
	{METRICS_GAUGE, AS_SECONDS, "uptime-ms", "ipspd_uptime_seconds",
	 "Since the start of the daemon."},
	{METRICS_GAUGE, AS_NUMBER, "store-bytes", "ipspd_store_bytes",
	 "The length of the store's log, without the room kept back."},
	{METRICS_COUNTER, AS_NUMBER, "log-lines-lost", "ipspd_log_lines_lost",
	 "Lines of the log that were dropped, as nobody read them in time."},
	{METRICS_COUNTER, AS_NUMBER, "event-lines-lost", "ipspd_event_lines_lost",
	 "Lines of the events' file that were dropped."},
};

static void put_daemon(struct metrics_writer *w, const json_t *root)
{
	const json_t *daemon = json_object_get(root, "daemon"), *is;
	const struct metrics_label version = {"version", text_of(daemon, "version")};

	metrics_family(w, METRICS_INFO, "ipspd_build", "The version of the daemon.");
	if (*version.value)
		metrics_number(w, &version, 1, 1);
	for (size_t i = 0; i < sizeof(of_daemon) / sizeof(of_daemon[0]); i++) {
		metrics_family(w, of_daemon[i].kind, of_daemon[i].name, of_daemon[i].help);
		is = json_object_get(daemon, of_daemon[i].key);
		if (!json_is_integer(is))
			continue;
		if (of_daemon[i].as == AS_SECONDS)
			metrics_seconds(w, NULL, 0, json_integer_value(is));
		else
			metrics_number(w, NULL, 0, json_integer_value(is));
	}
}

void ipsp_metrics_write(FILE *out, const struct ipsp_metrics *in, enum ipsp_metrics_format format)
{
	struct metrics_writer w = {.out = out, .open = format == IPSP_METRICS_OPEN};

	metrics_family(&w, METRICS_GAUGE, "ipspd_up", "1 where the daemon answers, else 0.");
	metrics_number(&w, NULL, 0, in->up);
	metrics_family(&w, METRICS_GAUGE, "ipspd_answer_age_seconds",
		       "How old the daemon's answer is that all the rest was made from.");
	if (in->age_ms >= 0)
		metrics_seconds(&w, NULL, 0, in->age_ms);
	put_daemon(&w, in->metrics);
	put_infos(&w, in->ipsp);
	put_sets(&w, in->ipsp);
	put_values(&w, in->ipsp, of_ipsp, sizeof(of_ipsp) / sizeof(of_ipsp[0]));
	put_values(&w, in->ok_to_stop, of_ok_to_stop,
		   sizeof(of_ok_to_stop) / sizeof(of_ok_to_stop[0]));
	put_pools(&w, in->ipsp);
	put_counters(&w, in);
	put_histograms(&w, in->metrics);
	metrics_end(&w);
}
