#include "daemon/show.h"
#include "daemon/advice.h"
#include "daemon/disk.h"
#include "daemon/events.h"
#include "daemon/hook.h"
#include "daemon/keywatch.h"
#include "daemon/lacks.h"
#include "daemon/loop.h"
#include "daemon/store.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * jansson's way with memory: a NULL value put anywhere fails, and what it was put into goes on
 * without it. So `put` notes the failure in one place, and a text that would lack something is not
 * shown.
 */
struct maker {
	bool failed;
};

static void put(struct maker *m, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		m->failed = true;
}

static void append(struct maker *m, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		m->failed = true;
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

/* A sentence that was cut off at its buffer's end may end within a character, which JSON can't
 * have. */
static json_t *sentence(const char *s)
{
	size_t n = strlen(s);
	json_t *value = json_stringn(s, n);

	for (size_t cut = 0; !value && cut < 3 && n > 0; cut++)
		value = json_stringn(s, --n);
	return value ? value : json_string("(not UTF-8)");
}

static json_t *ms_or_null(ipsp_ms ms)
{
	return ms == IPSP_NEVER ? json_null() : json_integer((json_int_t)ms);
}

static json_t *addr_or_null(struct ipsp_addr addr)
{
	char text[IPSP_ADDR_TEXT_MAX];

	if (ipsp_addr_is_none(addr))
		return json_null();
	return json_string(ipsp_addr_text(addr, text, sizeof(text)));
}

static char *finish(struct maker *m, json_t *root)
{
	char *text = m->failed ? NULL : json_dumps(root, JSON_COMPACT);

	json_decref(root);
	return text;
}

/* {"contexts":[...]}: what @one makes of each context, with its name put first */
typedef void context_fn(struct maker *m, json_t *object, const struct ipspd_ctx *ctx,
			const void *arg);

static json_t *all_contexts(struct maker *m, struct ipspd *daemon, const struct ipspd_ctx *only,
			    context_fn *one, const void *arg)
{
	json_t *contexts = json_array();

	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		const struct ipspd_ctx *ctx = daemon->ctxs[i];
		json_t *object;

		if (only && only != ctx)
			continue;
		object = json_object();
		put(m, object, "name", json_string(ctx->name));
		one(m, object, ctx, arg);
		append(m, contexts, object);
	}
	return contexts;
}

static char *each_context(struct ipspd *daemon, const struct ipspd_ctx *only, context_fn *one,
			  const void *arg)
{
	struct maker m = {false};
	json_t *root = json_object();

	put(&m, root, "contexts", all_contexts(&m, daemon, only, one, arg));
	return finish(&m, root);
}

/* ---------------------------------------------------------------- pools */

static void put_pool_head(struct maker *m, json_t *object, const struct ipsp_pool_conf *conf)
{
	put(m, object, "name", json_string(conf->name));
	put(m, object, "group", text_or_null(conf->group));
	put(m, object, "type", json_string(ipsp_pool_type_word(conf->type)));
	put(m, object, "priority", json_integer(conf->priority));
	put(m, object, "size", json_integer(conf->size));
}

static void put_pool_counts(struct maker *m, json_t *object, const struct ipsp_pool_status *status)
{
	put(m, object, "used", json_integer(status->used));
	put(m, object, "free", json_integer(status->free));
	put(m, object, "hold", json_integer(status->hold));
	put(m, object, "quarantine", json_integer(status->quarantine));
	put(m, object, "released", json_integer(status->released));
	put(m, object, "in-transit", json_integer(status->in_transit));
	put(m, object, "reclaimed", json_integer(status->reclaimed));
}

static void put_pool_definition(struct maker *m, json_t *object, const struct ipsp_pool_conf *conf)
{
	put(m, object, "first", addr_or_null(ipsp_pool_addr(conf, 0)));
	put(m, object, "last", addr_or_null(ipsp_pool_addr(conf, conf->size - 1)));
	put(m, object, "prefix-length", json_integer(conf->plen));
	put(m, object, "address-hold-timer", json_integer(conf->hold_s));
	put(m, object, "address-quarantine-timer", json_integer(conf->quarantine_s));
	put(m, object, "busyout", json_boolean(conf->busyout));
}

/* Of the dynamic pools, those that IPSP shares. */
static void put_totals(struct maker *m, json_t *object, const struct ipsp_node *node,
		       const struct ipsp_context_conf *conf)
{
	struct ipsp_pool_status one, sum = {0};
	json_t *totals = json_object();
	uint64_t size = 0;

	for (uint32_t i = 0; i < conf->n_pools; i++) {
		if (conf->pools[i].type == IPSP_POOL_STATIC)
			continue;
		ipsp_node_pool_status(node, (uint16_t)i, &one);
		size += conf->pools[i].size;
		sum.used += one.used;
		sum.free += one.free;
		sum.hold += one.hold;
		sum.quarantine += one.quarantine;
		sum.released += one.released;
		sum.in_transit += one.in_transit;
		sum.reclaimed += one.reclaimed;
	}
	put(m, totals, "size", json_integer((json_int_t)size));
	put_pool_counts(m, totals, &sum);
	put(m, object, "totals", totals);
}

struct pools_arg {
	const char *name; /* "": all */
	bool definition;
};

static void put_pools(struct maker *m, json_t *object, const struct ipspd_ctx *ctx, const void *arg)
{
	const struct pools_arg *how = arg;
	json_t *pools = json_array();
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	for (uint32_t i = 0; i < status.conf->n_pools; i++) {
		struct ipsp_pool_status counts;
		json_t *pool;

		if (*how->name && strcmp(how->name, status.conf->pools[i].name) != 0)
			continue;
		/* what an operator waits for is a used column of zeros, and those of a static pool
		 * are none of IPSP's business (B5) */
		if (!how->definition && status.conf->pools[i].type == IPSP_POOL_STATIC)
			continue;
		ipsp_node_pool_status(ctx->node, (uint16_t)i, &counts);
		pool = json_object();
		put_pool_head(m, pool, &status.conf->pools[i]);
		if (how->definition)
			put_pool_definition(m, pool, &status.conf->pools[i]);
		put_pool_counts(m, pool, &counts);
		append(m, pools, pool);
	}
	put(m, object, "pools", pools);
	if (!*how->name)
		put_totals(m, object, ctx->node, status.conf);
}

char *ipspd_show_pools(struct ipspd *daemon, const struct ipspd_ctx *only, const char *name)
{
	struct pools_arg how = {name, true};

	return each_context(daemon, only, put_pools, &how);
}

bool ipspd_show_has_pool(const struct ipspd_ctx *ctx, const char *name)
{
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	for (uint32_t i = 0; i < status.conf->n_pools; i++)
		if (strcmp(name, status.conf->pools[i].name) == 0)
			return true;
	return false;
}

/* ---------------------------------------------------------------- counters */

/* What doesn't reach the protocol is counted where it is dropped. */
static void put_udp_counters(struct maker *m, json_t *counters, const struct ipspd_ctx *ctx)
{
	const struct ipspd_udp_stats stats = ipspd_ctx_udp_stats(ctx);

#define PUT(field, name, text) put(m, counters, name, json_integer((json_int_t)stats.field));
	IPSPD_UDP_STATS(PUT)
#undef PUT
}

static void put_counters(struct maker *m, json_t *object, const struct ipspd_ctx *ctx,
			 const void *arg)
{
	const char *stats = (const char *)ipsp_node_stats(ctx->node);
	json_t *counters = json_object();
	struct ipsp_status status;

	(void)arg;
	for (const struct ipsp_stats_name *n = ipsp_stats_names; n->name; n++) {
		uint64_t value;

		memcpy(&value, stats + n->offset, sizeof(value));
		put(m, counters, n->name, json_integer((json_int_t)value));
	}
	ipsp_node_status(ctx->node, ipspd_now(), &status);
	put(m, counters, "duplicates-open", json_integer(status.duplicates_open));
	put(m, counters, "requests-open", json_integer(status.open_requests));
	put(m, counters, "last-sent", json_integer((json_int_t)status.sent));
	put(m, counters, "last-acknowledged", json_integer((json_int_t)status.acked));
	put(m, counters, "last-applied", json_integer((json_int_t)status.applied));
	put(m, counters, "last-applied-ms", ms_or_null(status.applied_ms));
	put(m, counters, "stands-at-item", json_integer((json_int_t)status.stands_at));
	put(m, counters, "unacknowledged-ms",
	    json_integer(status.unacked_ms == IPSP_NEVER ? 0 : (json_int_t)status.unacked_ms));
	put_udp_counters(m, counters, ctx);
	put(m, counters, "flush-longest-ms",
	    json_integer((json_int_t)ipspd_store_flush_longest(ctx->daemon->store)));
	put(m, counters, "flush-stands-ms",
	    json_integer((json_int_t)ipspd_store_flush_ms(ctx->daemon->store)));
	put(m, counters, "write-longest-ms",
	    json_integer((json_int_t)ipspd_loop_disk(ctx->daemon)->longest_write));
	put(m, counters, "log-lines-lost", json_integer((json_int_t)ipspd_log_lost()));
	put(m, counters, "event-lines-lost",
	    json_integer((json_int_t)ipspd_events_lost(ctx->daemon->events)));
	put(m, object, "counters", counters);
}

char *ipspd_show_counters(struct ipspd *daemon, const struct ipspd_ctx *only)
{
	return each_context(daemon, only, put_counters, NULL);
}

/* ---------------------------------------------------------------- show ip ipsp */

/* null where there is none, or the peer was never heard */
static json_t *version_or_null(unsigned version)
{
	return version == 0 ? json_null() : json_integer(version);
}

/* null where the context has no pool-share-protocol */
static json_t *psp_number(const struct ipsp_status *s, uint32_t n)
{
	return s->conf->psp.enabled ? json_integer(n) : json_null();
}

static void put_link(struct maker *m, json_t *object, const struct ipsp_status *s)
{
	json_t *link = json_object();

	put(m, link, "bound", json_boolean(s->bound));
	put(m, link, "error", text_or_null(s->link_error));
	put(m, object, "link", link);
}

static void put_side(struct maker *m, json_t *object, const struct ipsp_status *s)
{
	put(m, object, "interface", text_or_null(s->conf->psp.interface));
	put(m, object, "mode", json_string(ipsp_mode_word(s->mode)));
	put(m, object, "configured-role", json_string(ipsp_role_word(s->configured_role)));
	put(m, object, "role", json_string(ipsp_role_word(s->role)));
	put(m, object, "state", json_string(ipsp_state_word(s->state)));
	put(m, object, "protocol", version_or_null(s->protocol));
	put(m, object, "protocol-min", json_integer(IPSP_VERSION_MIN));
	put(m, object, "protocol-max", json_integer(IPSP_VERSION));
	put(m, object, "epoch", json_integer((json_int_t)s->epoch));
	put(m, object, "draining", json_boolean(s->draining));
	put(m, object, "drained", json_boolean(s->drained));
	put(m, object, "all-free", json_boolean(s->all_free));
	put(m, object, "serving", json_boolean(s->serving));
	put(m, object, "disk-full", json_boolean(s->disk_full));
	put(m, object, "waiting-for", text_or_null(ipsp_waiting_word(s->waiting)));
	put(m, object, "waiting-ms",
	    s->waiting == IPSP_WAIT_NONE ? json_null() : ms_or_null(s->waiting_ms));
	put(m, object, "may-take-over", json_boolean(s->may_take_over));
	put(m, object, "role-on-loan", json_boolean(s->role_on_loan));
	put(m, object, "address", addr_or_null(s->conf->psp.address));
	put(m, object, "port", psp_number(s, s->conf->psp.port));
	put(m, object, "dead-interval-ms", psp_number(s, s->dead_interval_ms));
	put(m, object, "kept-back", json_boolean(s->kept_back));
	put(m, object, "stays-back", json_boolean(s->s6_holds));
	put(m, object, "unheard", json_boolean(s->unheard));
	put(m, object, "role-conflict", json_boolean(s->role_conflict));
	put_link(m, object, s);
	put(m, object, "key-fingerprint", text_or_null(s->key_fingerprint));
}

struct array {
	struct maker *m;
	json_t *json;
};

static void append_note(void *arg, const char *text)
{
	struct array *array = arg;

	append(array->m, array->json, sentence(text));
}

static void note_flush(const struct ipspd *daemon, struct array *notes)
{
	const uint64_t ms = ipspd_store_flush_ms(daemon->store);
	char text[200];

	if (ms < IPSPD_DISK_SLOW_MS)
		return;
	snprintf(text, sizeof(text),
		 "the disk stands still: a flush has run for %llu s; what moves between the sides "
		 "waits for it",
		 (unsigned long long)(ms / 1000));
	append_note(notes, text);
}

static void put_notes(struct maker *m, json_t *object, const struct ipspd_ctx *ctx,
		      const struct ipsp_status *s)
{
	const char *fault = ipspd_keywatch_fault(ctx->daemon->keywatch, ctx->name);
	const struct ipspd_absent absent = ipspd_absent_of(ctx->node);
	struct array notes = {m, json_array()};

	if (fault)
		append_note(&notes, fault);
	ipspd_lacks_say(ctx->daemon, ctx, append_note, &notes);
	note_flush(ctx->daemon, &notes);
	ipspd_hooks_say(ctx, s->waiting == IPSP_WAIT_VETO, append_note, &notes);
	ipspd_notes(ctx->name, s, &absent, append_note, &notes);
	ipspd_lacks_say(ctx->daemon, NULL, append_note, &notes);
	put(m, object, "notes", notes.json);
}

static json_t *capabilities(struct maker *m, uint32_t bits)
{
	json_t *words = json_array();

	if (bits & IPSP_CAP_SKIPS)
		append(m, words, json_string("skips-items"));
	if (bits & IPSP_CAP_DISK_FULL)
		append(m, words, json_string("disk-full"));
	if (bits & IPSP_CAP_RENEWS)
		append(m, words, json_string("renews-keys"));
	return words;
}

static void put_peer(struct maker *m, json_t *object, const struct ipsp_status *s)
{
	json_t *peer = json_object();

	put(m, peer, "address", addr_or_null(s->conf->psp.peer));
	put(m, peer, "role", json_string(ipsp_role_word(s->peer_role)));
	put(m, peer, "state", json_string(ipsp_peer_state_word(s->peer_state)));
	put(m, peer, "last-heard-ms", ms_or_null(s->last_heard_ms));
	put(m, peer, "dead-in-ms",
	    s->peer_state == IPSP_PEER_LOST ? ms_or_null(s->dead_in_ms) : json_null());
	put(m, peer, "version", text_or_null(s->peer_version));
	put(m, peer, "protocol-min", version_or_null(s->peer_protocol_min));
	put(m, peer, "protocol-max", version_or_null(s->peer_protocol_max));
	put(m, peer, "capabilities", capabilities(m, s->peer_capabilities));
	put(m, peer, "key-match",
	    s->key_match == IPSP_KEY_UNTRIED ? json_null()
					     : json_boolean(s->key_match == IPSP_KEY_MATCHES));
	put(m, peer, "used", json_integer(s->peer_used));
	put(m, object, "peer", peer);
}

static void put_ipsp(struct maker *m, json_t *object, const struct ipspd_ctx *ctx, const void *arg)
{
	struct pools_arg counts_only = {"", false};
	struct ipsp_status status;

	(void)arg;
	ipsp_node_status(ctx->node, ipspd_now(), &status);
	put_side(m, object, &status);
	put_notes(m, object, ctx, &status);
	put_peer(m, object, &status);
	put_pools(m, object, ctx, &counts_only);
	put_counters(m, object, ctx, NULL);
}

char *ipspd_show_ipsp(struct ipspd *daemon, const struct ipspd_ctx *only)
{
	return each_context(daemon, only, put_ipsp, NULL);
}

/* ---------------------------------------------------------------- ok to stop */

static void append_reason(void *arg, const char *reason, const char *remedy)
{
	struct array *array = arg;
	json_t *object = json_object();

	put(array->m, object, "reason", sentence(reason));
	put(array->m, object, "remedy", sentence(remedy));
	append(array->m, array->json, object);
}

static void put_absent(struct maker *m, json_t *object, const struct ipspd_absent *absent)
{
	json_t *names = json_array();

	for (size_t i = 0; i < absent->n && i < IPSPD_ABSENT_NAMES; i++)
		append(m, names,
		       json_pack("{s:s, s:I}", "name", absent->most[i].name, "sessions",
				 (json_int_t)absent->most[i].sessions));
	put(m, object, "not-attached", names);
	put(m, object, "not-attached-sessions", json_integer((json_int_t)absent->sessions));
}

static void put_ok(struct maker *m, json_t *object, const struct ipspd_ctx *ctx, const void *arg)
{
	struct array reasons = {m, json_array()};
	struct array notes = {m, json_array()};
	const struct ipspd_absent absent = ipspd_absent_of(ctx->node);
	struct ipsp_status status;
	char left[160];

	(void)arg;
	ipsp_node_status(ctx->node, ipspd_now(), &status);
	if (ipspd_static_left(&status, left, sizeof(left)))
		append(m, notes.json, sentence(left));
	put(m, object, "ok",
	    json_boolean(ipspd_stop_reasons(ctx->name, &status, &absent, append_reason, &reasons) ==
			 0));
	put(m, object, "draining", json_boolean(status.draining));
	put(m, object, "sessions", json_integer(status.used));
	put(m, object, "unused", json_integer(status.unused));
	put(m, object, "in-transit", json_integer(status.in_transit));
	put(m, object, "static-sessions", json_integer(status.static_used));
	put_absent(m, object, &absent);
	put(m, object, "reasons", reasons.json);
	put(m, object, "notes", notes.json);
}

char *ipspd_show_ok_to_stop(struct ipspd *daemon, const struct ipspd_ctx *only)
{
	return each_context(daemon, only, put_ok, NULL);
}

/* ---------------------------------------------------------------- log, differences */

static const char *level_word(enum ipsp_level level)
{
	switch (level) {
	case IPSP_LOG_ERROR:
		return "error";
	case IPSP_LOG_WARNING:
		return "warning";
	case IPSP_LOG_NOTICE:
		return "notice";
	case IPSP_LOG_INFO:
		return "info";
	case IPSP_LOG_DEBUG:
		return "debug";
	}
	return "unknown";
}

struct event_array {
	struct maker *m;
	json_t *events;
	int64_t now_ms;
};

static void append_event(void *arg, const struct ipspd_event *event)
{
	const struct event_array *array = arg;
	const int64_t age_ms = array->now_ms - event->wall_ms;
	json_t *object = json_object();
	char when[IPSPD_TIME_TEXT];

	put(array->m, object, "number", json_integer((json_int_t)event->number));
	put(array->m, object, "time", json_string(ipspd_time_text(event->wall_ms, when)));
	put(array->m, object, "age-ms", json_integer(age_ms > 0 ? age_ms : 0));
	put(array->m, object, "level", json_string(level_word(event->level)));
	put(array->m, object, "text", sentence(event->text));
	append(array->m, array->events, object);
}

/* @context "": those of the daemon as a whole. */
static void put_events(struct maker *m, json_t *object, const struct ipspd *daemon,
		       const char *context, uint32_t n)
{
	struct event_array array = {m, json_array(), ipspd_wall_now()};

	ipspd_events_each(daemon->events, context, n, append_event, &array);
	put(m, object, "events", array.events);
}

static void put_log(struct maker *m, json_t *object, const struct ipspd_ctx *ctx, const void *arg)
{
	put_events(m, object, ctx->daemon, ctx->name, *(const uint32_t *)arg);
}

char *ipspd_show_log(struct ipspd *daemon, const struct ipspd_ctx *only, uint32_t n)
{
	struct maker m = {false};
	json_t *root = json_object(), *own = json_object();

	put(&m, root, "contexts", all_contexts(&m, daemon, only, put_log, &n));
	put_events(&m, own, daemon, "", n);
	put(&m, root, "daemon", own);
	return finish(&m, root);
}

static void put_differences(struct maker *m, json_t *object, const struct ipspd_ctx *ctx, size_t n)
{
	json_t *differences = json_array();
	const char *line;

	for (size_t i = 0; n > 0 && (line = ipsp_node_difference(ctx->node, i)); i++)
		append(m, differences, sentence(line));
	put(m, object, "identical", json_boolean(n == 0));
	put(m, object, "count", json_integer((json_int_t)n));
	put(m, object, "differences", differences);
}

/* What the last comparison found, which nobody has confirmed since the peer was last heard. */
static json_t *last_compared(struct maker *m, const struct ipspd_ctx *ctx)
{
	struct ipsp_status status;
	bool known = false;
	const size_t n = ipsp_node_differences(ctx->node, &known);
	json_t *object;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	if (!known || status.last_heard_ms == IPSP_NEVER)
		return json_null();
	object = json_object();
	put(m, object, "ago-ms", ms_or_null(status.last_heard_ms));
	put_differences(m, object, ctx, n);
	return object;
}

char *ipspd_show_differences(const struct ipspd_ctx *ctx, int err, const char *text)
{
	const bool compared = err == 0 || err == IPSP_ERR_CONFIG_MISMATCH;
	struct maker m = {false};
	json_t *root = json_object();
	bool known;

	put(&m, root, "ok", json_boolean(err == 0));
	if (err) {
		put(&m, root, "error", json_string(ipsp_err_word(err)));
		put(&m, root, "message", json_string(text && *text ? text : ipsp_err_text(err)));
	}
	put(&m, root, "context", json_string(ctx->name));
	put(&m, root, "compared", json_boolean(compared));
	put_differences(&m, root, ctx, compared ? ipsp_node_differences(ctx->node, &known) : 0);
	put(&m, root, "identical", json_boolean(err == 0));
	put(&m, root, "last-compared", compared ? json_null() : last_compared(&m, ctx));
	return finish(&m, root);
}

/* ---------------------------------------------------------------- sessions */

int ipspd_show_range(struct ipspd_show_sessions *show, const char *text)
{
	struct ipsp_addr addr;
	unsigned plen;

	if (!*text)
		return 0;
	if (ipsp_addr_parse(text, &addr) == 0) {
		show->first = show->last = addr;
		return 0;
	}
	if (ipsp_addr_parse_prefix(text, &addr, &plen) != 0)
		return IPSP_ERR_INVALID;
	show->first = ipsp_addr_net(addr, plen);
	show->last = ipsp_addr_last(addr, plen);
	return 0;
}

static bool wanted(const struct ipspd_show_sessions *show, const struct ipsp_context_conf *conf,
		   const struct ipsp_session_view *view)
{
	const struct ipsp_pool_conf *pool = &conf->pools[view->bind.pool];
	const struct ipsp_ident *ident = &view->bind.ident;
	size_t n = strlen(show->subscriber);

	if (show->pool[0] && strcmp(show->pool, pool->name) != 0)
		return false;
	if (show->state[0] && strcmp(show->state, view->state) != 0)
		return false;
	/* (a session of a prefix has all addresses of it) */
	if (!ipsp_addr_is_none(show->first) &&
	    (ipsp_addr_cmp(show->last, view->addr) < 0 ||
	     ipsp_addr_cmp(show->first, ipsp_addr_last(view->addr, pool->plen)) > 0))
		return false;
	return n == 0 ||
	       (n == ident->n_subscriber && memcmp(show->subscriber, ident->subscriber, n) == 0);
}

static char *session_text(const struct ipsp_context_conf *conf,
			  const struct ipsp_session_view *view, ipsp_ms now)
{
	const struct ipsp_ident *ident = &view->bind.ident;
	const struct ipsp_pool_conf *pool = &conf->pools[view->bind.pool];
	ipsp_ms age_ms = now > view->bind.at ? now - view->bind.at : 0;
	struct maker m = {false};
	json_t *object = json_object();

	put(&m, object, "address", addr_or_null(view->addr));
	put(&m, object, "pool", json_string(pool->name));
	put(&m, object, "subscriber", json_stringn(ident->subscriber, ident->n_subscriber));
	put(&m, object, "session", json_stringn(ident->session, ident->n_session));
	put(&m, object, "ha", text_or_null(view->ha));
	put(&m, object, "age-ms", json_integer((json_int_t)age_ms));
	put(&m, object, "state", json_string(view->state));
	return finish(&m, object);
}

static void put_words(struct ipsp_buf *text, const char *words)
{
	ipsp_buf_put(text, words, strlen(words));
}

static bool add_session(struct ipspd_show_sessions *show, const struct ipsp_context_conf *conf,
			const struct ipsp_session_view *view, ipsp_ms now, struct ipsp_buf *text)
{
	char *one;

	if (show->found++ > 0 && !show->count)
		put_words(text, ",");
	if (show->count)
		return true;
	one = session_text(conf, view, now);
	if (one)
		put_words(text, one);
	free(one);
	return one != NULL;
}

static void end_sessions(struct ipspd_show_sessions *show, struct ipsp_buf *text)
{
	char number[32];

	show->ended = true;
	snprintf(number, sizeof(number), "{\"count\":%u}", show->found);
	put_words(text, show->count ? number : "]}");
}

bool ipspd_show_sessions(struct ipspd_show_sessions *show, const struct ipspd_ctx *ctx, size_t max,
			 uint32_t visits, struct ipsp_buf *text)
{
	ipsp_ms now = ipspd_now();
	struct ipsp_session_view view;
	const struct ipsp_context_conf *conf = ipsp_node_conf(ctx->node);
	size_t start = text->len;

	if (!show->begun && !show->count)
		put_words(text, "{\"sessions\":[");
	show->begun = true;
	while (!text->failed && text->len - start < max && visits-- > 0) {
		if ((show->limit > 0 && show->found >= show->limit) ||
		    !ipsp_node_session(ctx->node, &show->cursor, &view)) {
			end_sessions(show, text);
			break;
		}
		if (wanted(show, conf, &view) && !add_session(show, conf, &view, now, text))
			return false;
	}
	return !text->failed;
}
