#include "daemon/start.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/events.h"
#include "daemon/hook.h"
#include "daemon/keywatch.h"
#include "daemon/lacks.h"
#include "daemon/lease.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/snmp.h"
#include "daemon/store.h"
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- between the store and the nodes
 */

static void *on_context(void *arg, const char *name, uint32_t number)
{
	struct ipspd_ctx *ctx = *name ? ipspd_ctx_find(arg, name) : NULL;

	if (ctx)
		ctx->store_number = number;
	return ctx;
}

static int on_records(void *user, const uint8_t *recs, size_t n)
{
	struct ipspd_ctx *ctx = user;

	ctx->was_stored = true;
	return ipsp_node_replay_all(ctx->node, recs, n);
}

static void on_forget(void *user)
{
	struct ipspd_ctx *ctx = user;

	ctx->was_stored = false;
	if (ipspd_ctx_renew_node(ctx) != 0)
		ipspd_fail(ctx->daemon, "%s: memory ran out", ctx->name);
}

static bool on_snapshot(void *user, uint64_t *cursor, size_t max, struct ipsp_buf *recs)
{
	const struct ipspd_ctx *ctx = user;

	return ipsp_node_snapshot(ctx->node, cursor, max, recs);
}

static void say_unknown(void *arg, const char *name)
{
	(void)arg;
	ipspd_log(IPSP_LOG_WARNING,
		  "%s: the state directory knows this context, the configuration doesn't: what it "
		  "owns is kept "
		  "until it is configured again",
		  name);
}

static void on_line(void *arg, enum ipsp_level level, bool of_many, int64_t wall_ms,
		    const char *text)
{
	ipspd_events_add(arg, level, of_many, wall_ms, text);
}

static int open_store(struct ipspd *daemon, char *why, size_t n_why)
{
	const struct ipspd_store_user ops = {daemon, on_context, on_records, on_forget,
					     on_snapshot};
	const char *dir = daemon->config->state_directory;

	int err = ipspd_store_open(dir, &ops, &daemon->store, why, n_why);
	if (err)
		return err;
	ipspd_events_keep(daemon->events, dir);
	ipspd_log_listen(on_line, daemon->events);
	if (ipspd_store_is_new(daemon->store))
		ipspd_log(IPSP_LOG_NOTICE, "%s: a new store was made", dir);
	if (ipspd_store_loose_mode(daemon->store)) {
		ipspd_log(IPSP_LOG_WARNING,
			  "%s: its mode was %04o, so that others could write to it; they can't any "
			  "more. If you don't know who did, look at what is in it. Its lease files "
			  "are removed",
			  dir, ipspd_store_loose_mode(daemon->store));
		if (ipspd_lease_remove_all(dir) != 0) {
			snprintf(why, n_why, "%s: its lease files can't be removed", dir);
			return IPSP_ERR_IO;
		}
	}
	if (ipspd_store_cut(daemon->store) > 0)
		ipspd_log(IPSP_LOG_WARNING,
			  "%s: the last write was cut short by a stop. Nobody was told of its %llu "
			  "bytes; they were moved to %s/%s",
			  dir, (unsigned long long)ipspd_store_cut(daemon->store), dir,
			  ipspd_store_cut_file(daemon->store));
	ipspd_store_unknown(daemon->store, say_unknown, NULL);
	return 0;
}

int ipspd_start_ctx(struct ipspd_ctx *ctx)
{
	ctx->store_number = ipspd_store_context(ctx->daemon->store, ctx->name, ctx);
	return ctx->store_number ? ipsp_node_replayed(ctx->node) : IPSP_ERR_NOMEM;
}

/* ---------------------------------------------------------------- putting together */

static int no_memory(char *why, size_t n_why)
{
	snprintf(why, n_why, "memory ran out");
	return IPSP_ERR_NOMEM;
}

static int make_contexts(struct ipspd *daemon)
{
	for (size_t i = 0; i < daemon->config->n_contexts; i++) {
		struct ipspd_ctx *ctx = ipspd_ctx_new(daemon, &daemon->config->contexts[i]);
		if (!ctx || !ipspd_ctx_add(daemon, ctx)) {
			ipspd_ctx_free(ctx);
			return IPSP_ERR_NOMEM;
		}
	}
	return 0;
}

static int start_contexts(struct ipspd *daemon, char *why, size_t n_why)
{
	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		const int err = ipspd_start_ctx(daemon->ctxs[i]);

		if (err == IPSP_ERR_NOMEM)
			return no_memory(why, n_why);
		if (err) {
			snprintf(why, n_why,
				 "%s/store: records of the context \"%s\" are missing: move the "
				 "file "
				 "away and start again, and the peer gives back what it knows",
				 daemon->config->state_directory, daemon->ctxs[i]->name);
			return err;
		}
	}
	return 0;
}

static int open_doors(struct ipspd *daemon, char *why, size_t n_why)
{
	const struct ipspd_config *config = daemon->config;
	const char *path = daemon->socket_path ? daemon->socket_path : config->control_socket;

	if (config->n_sinks > 0) {
		daemon->snmp = ipspd_snmp_prepare(daemon, config, NULL, why, n_why);
		if (!daemon->snmp)
			return IPSP_ERR_IO;
		ipspd_snmp_start(daemon->snmp, NULL);
	}
	daemon->ctl = ipspd_ctl_new(daemon, path, config->control_group, why, n_why);
	return daemon->ctl ? 0 : IPSP_ERR_IO;
}

/* By itself it would write to standard error, and wait there. */
static void on_libevent(int severity, const char *text)
{
	if (severity != EVENT_LOG_DEBUG)
		ipspd_log(IPSP_LOG_WARNING, "libevent: %s", text);
}

/* What is said before the store is open is for the log only: until then the directory may be
 * another daemon's. */
static bool make_events(struct ipspd *daemon)
{
	daemon->events = ipspd_events_new();
	for (size_t i = 0; daemon->events && i < daemon->n_ctxs; i++)
		if (!ipspd_events_context(daemon->events, daemon->ctxs[i]->name))
			return false;
	return daemon->events;
}

int ipspd_start(struct ipspd *daemon, char *why, size_t n_why)
{
	event_set_log_callback(on_libevent);
	daemon->started_ms = ipspd_now();
	daemon->base = event_base_new();
	if (!daemon->base || make_contexts(daemon) != 0 || !make_events(daemon))
		return no_memory(why, n_why);
	daemon->notify = ipspd_notify_new(daemon->base);
	daemon->hooks = ipspd_hooks_new(daemon, daemon->launcher);
	daemon->keywatch = ipspd_keywatch_new(daemon);
	daemon->lacks = ipspd_lacks_new(daemon);
	if (!daemon->notify || !daemon->hooks || !daemon->keywatch || !daemon->lacks)
		return no_memory(why, n_why);
	ipspd_lacks_taken(daemon->lacks);

	int err = open_store(daemon, why, n_why);
	if (err)
		return err;
	daemon->loop = ipspd_loop_new(daemon);
	if (!daemon->loop)
		return no_memory(why, n_why);
	err = start_contexts(daemon, why, n_why);
	if (err)
		return err;
	err = open_doors(daemon, why, n_why);
	if (err)
		return err;
	ipspd_loop_turn(daemon);
	if (daemon->failed) {
		snprintf(why, n_why, "the first turn failed, see above");
		return IPSP_ERR_IO;
	}
	return 0;
}

void ipspd_stop(struct ipspd *daemon)
{
	ipspd_ctl_free(daemon->ctl);
	ipspd_snmp_free(daemon->snmp);
	ipspd_loop_free(daemon->loop);
	ipspd_log_listen(NULL, NULL);
	ipspd_events_free(daemon->events); /* as long as the directory is ours */
	ipspd_store_close(daemon->store);
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		ipspd_ctx_free(daemon->ctxs[i]);
	free(daemon->ctxs);
	ipspd_lacks_free(daemon->lacks);
	ipspd_hooks_free(daemon->hooks);
	ipspd_keywatch_free(daemon->keywatch);
	ipspd_notify_free(daemon->notify);
	if (daemon->base)
		event_base_free(daemon->base);
	*daemon = (struct ipspd){.config = daemon->config};
}
