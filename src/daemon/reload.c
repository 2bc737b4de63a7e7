/*
 * reload - a new configuration: looked at in full first, then taken in full, or not at all.
 *
 * What may change while addresses are shared out is conf.h's rule for a context. Where the daemon
 * has its state and its control socket can't change while it runs.
 */
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/events.h"
#include "daemon/hook.h"
#include "daemon/keywatch.h"
#include "daemon/lacks.h"
#include "daemon/lease.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/secret.h"
#include "daemon/snmp.h"
#include "daemon/start.h"
#include "daemon/store.h"
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reload {
	struct ipspd *daemon;
	struct ipspd_config next;
	struct ipspd_ctx **fresh; /* contexts that are new, n_fresh; not yet in the daemon's list */
	size_t n_fresh;
	struct ipspd_snmp *snmp; /* prepared; NULL: the present one stays, or none is wanted */
	bool new_snmp;		 /* .snmp takes the place of the present one */
	int err;
	char *why; /* a line for each reason */
	size_t n_why, used;
};

static void refuse(struct reload *r, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct reload *r, int err, const char *format, ...)
{
	va_list args;

	if (!r->err)
		r->err = err;
	if (r->used + 2 >= r->n_why)
		return;
	if (r->used > 0)
		r->why[r->used++] = '\n';
	va_start(args, format);
	int n = vsnprintf(r->why + r->used, r->n_why - r->used, format, args);
	va_end(args);
	if (n > 0)
		r->used += (size_t)n < r->n_why - r->used ? (size_t)n : r->n_why - r->used - 1;
}

static void on_fault(void *arg, bool warning, const char *text)
{
	if (warning)
		ipspd_log(IPSP_LOG_WARNING, "%s", text);
	else
		refuse(arg, IPSP_ERR_INVALID, "%s", text);
}

/* ---------------------------------------------------------------- looking */

static const struct ipsp_context_conf *conf_of(const struct ipspd_config *config, const char *name)
{
	for (size_t i = 0; i < config->n_contexts; i++)
		if (strcmp(config->contexts[i].name, name) == 0)
			return &config->contexts[i];
	return NULL;
}

static bool lacks_already(const struct ipspd_config *now, const struct ipspd_lack *lack)
{
	for (size_t i = 0; i < now->n_lacks; i++)
		if (now->lacks[i].kind == lack->kind &&
		    strcmp(now->lacks[i].path, lack->path) == 0 &&
		    strcmp(now->lacks[i].context, lack->context) == 0)
			return true;
	return false;
}

/* At the start it is waited for. Nothing that works now is given up for what is not there. */
static void check_lacks(struct reload *r)
{
	for (size_t i = 0; i < r->next.n_lacks; i++)
		if (!lacks_already(r->daemon->config, &r->next.lacks[i]))
			refuse(r, IPSP_ERR_INVALID, "%s", r->next.lacks[i].why);
}

static void check_daemon(struct reload *r)
{
	const struct ipspd_config *now = r->daemon->config, *next = &r->next;

	if (strcmp(now->state_directory, next->state_directory) != 0)
		refuse(r, IPSP_ERR_INVALID,
		       "state-directory: can't change while the daemon runs: restart it");
	if (!r->daemon->socket_path && strcmp(now->control_socket, next->control_socket) != 0)
		refuse(r, IPSP_ERR_INVALID,
		       "control.socket: can't change while the daemon runs: restart it");
	if (strcmp(now->control_group, next->control_group) != 0 ||
	    strcmp(now->gateway_group, next->gateway_group) != 0 ||
	    strcmp(now->status_group, next->status_group) != 0)
		refuse(r, IPSP_ERR_INVALID,
		       "control: its groups can't change while the daemon runs: restart it");
}

static bool has_sessions(const struct ipspd_ctx *ctx)
{
	struct ipsp_session_view view;
	uint32_t cursor = 0;

	return ipsp_node_session(ctx->node, &cursor, &view);
}

static void check_ctx(struct reload *r, const struct ipspd_ctx *ctx)
{
	const struct ipsp_context_conf *next = conf_of(&r->next, ctx->name);
	const bool shared_out = ipspd_ctx_shared_out(ctx);
	struct ipsp_status status;
	char key[128] = "";

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	if (!next) {
		if (status.conf->psp.enabled && status.shared)
			refuse(r, IPSP_ERR_SHARED_OUT,
			       "%s: can't be removed while it shares with its peer, which has to "
			       "be "
			       "told: \"no pool-share-protocol\" first",
			       ctx->name);
		else if (shared_out)
			refuse(r, IPSP_ERR_SHARED_OUT,
			       "%s: can't be removed: its addresses are shared out", ctx->name);
		else if (has_sessions(ctx))
			refuse(r, IPSP_ERR_STILL_USED, "%s: can't be removed: it has sessions",
			       ctx->name);
		return;
	}
	const bool stays = status.conf->psp.enabled && next->psp.enabled;
	if (stays && (shared_out || status.mode == IPSP_MODE_ACTIVE) &&
	    ipsp_conf_may_change(status.conf, next, key) != 0)
		refuse(r, IPSP_ERR_SHARED_OUT, "%s: %s: can't change while IPSP is active",
		       ctx->name, key);
	else if (shared_out && status.conf->psp.enabled &&
		 (!stays ||
		  (status.mode == IPSP_MODE_ACTIVE && next->psp.mode != IPSP_MODE_ACTIVE)))
		refuse(r, IPSP_ERR_SHARED_OUT,
		       "%s: mode: can't leave active while addresses are shared out", ctx->name);
	if (r->err)
		return;
	int err = ipsp_node_may_conf(ctx->node, next, key);
	if (err)
		refuse(r, err, "%s: %s%s%s", ctx->name, key, *key ? ": " : "", ipsp_err_text(err));
}

/* ---------------------------------------------------------------- making ready */

static void make_fresh(struct reload *r)
{
	r->fresh = calloc(r->next.n_contexts + 1, sizeof(*r->fresh));
	if (!r->fresh) {
		refuse(r, IPSP_ERR_OVERLOADED, "memory ran out");
		return;
	}
	for (size_t i = 0; i < r->next.n_contexts && !r->err; i++) {
		if (conf_of(r->daemon->config, r->next.contexts[i].name))
			continue;
		struct ipspd_ctx *ctx = ipspd_ctx_new(r->daemon, &r->next.contexts[i]);
		if (!ctx) {
			refuse(r, IPSP_ERR_OVERLOADED, "memory ran out");
			return;
		}
		r->fresh[r->n_fresh++] = ctx;
		/* now, while it can be refused: without it there would be no way but to stop */
		if (ipspd_ctx_open_lease(ctx) != 0 || ipspd_lease_reserve(ctx->lease_fd) != 0)
			refuse(r, IPSP_ERR_IO, "%s: its lease file in %s: %s", ctx->name,
			       r->daemon->config->state_directory, strerror(errno));
	}
}

/* What can fail is done now, while the reload can be refused. */
static void make_snmp(struct reload *r)
{
	const bool wanted = r->next.n_sinks > 0;
	struct ipspd *daemon = r->daemon;
	char why[400] = "";

	if (daemon->snmp ? wanted && ipspd_snmp_serves(daemon->snmp, &r->next) : !wanted)
		return; /* what waits to be sent, or for its acknowledgement, must not be lost */
	r->new_snmp = true;
	if (!wanted)
		return;
	r->snmp = ipspd_snmp_prepare(daemon, &r->next, daemon->snmp, why, sizeof(why));
	if (!r->snmp)
		refuse(r, IPSP_ERR_INVALID, "%s", why);
}

static void take_snmp(struct reload *r)
{
	struct ipspd *daemon = r->daemon;

	if (!r->new_snmp)
		return;
	if (r->snmp)
		ipspd_snmp_start(r->snmp, daemon->snmp);
	else
		ipspd_snmp_free(daemon->snmp);
	daemon->snmp = r->snmp;
	r->snmp = NULL;
}

/* ---------------------------------------------------------------- taking */

static void remove_ctx(struct ipspd *daemon, struct ipspd_ctx *ctx)
{
	ipspd_log(IPSP_LOG_NOTICE, "%s: the context is removed", ctx->name);
	if (daemon->ctl)
		ipspd_ctl_forget(daemon->ctl, ctx);
	ipspd_hooks_forget(daemon->hooks, ctx);
	ipspd_store_forget(daemon->store, ctx->store_number);
	ipspd_loop_remove(daemon, ctx);
}

static void change_ctx(struct ipspd_ctx *ctx, const struct ipsp_context_conf *conf)
{
	const struct ipsp_event ev = {.type = IPSP_EV_CONF, .conf = conf};
	struct ipsp_context_conf copy;

	if (ipsp_conf_copy(&copy, conf) != 0) {
		ipspd_fail(ctx->daemon, "%s: memory ran out", ctx->name);
		return;
	}
	ipsp_conf_fini(&ctx->conf);
	ctx->conf = copy;
	sodium_memzero(&copy, sizeof(copy)); /* its pools are the context's now */
	ipspd_post(ctx, &ev);
}

static void add_ctx(struct ipspd *daemon, struct ipspd_ctx *ctx)
{
	if (!ipspd_events_context(daemon->events, ctx->name) || !ipspd_ctx_add(daemon, ctx)) {
		ipspd_ctx_free(ctx);
		ipspd_fail(daemon, "memory ran out");
	} else if (ipspd_start_ctx(ctx) != 0) {
		ipspd_fail(daemon, "%s: its records in the store can't be read", ctx->name);
	}
	ipspd_wake(daemon); /* the next turn starts its node */
}

static void take(struct reload *r)
{
	struct ipspd *daemon = r->daemon;
	struct ipspd_config old = *daemon->config;

	*daemon->config = r->next;
	r->next = (struct ipspd_config){0};
	for (size_t i = daemon->n_ctxs; i-- > 0;) {
		struct ipspd_ctx *ctx = daemon->ctxs[i];
		const struct ipsp_context_conf *conf = conf_of(daemon->config, ctx->name);
		if (conf)
			change_ctx(ctx, conf);
		else
			remove_ctx(daemon, ctx);
	}
	for (size_t i = 0; i < r->n_fresh; i++)
		add_ctx(daemon, r->fresh[i]);
	r->n_fresh = 0;
	take_snmp(r);
	ipspd_keywatch_reloaded(daemon->keywatch);
	ipspd_config_fini(&old);
	ipspd_lacks_taken(daemon->lacks);
	ipspd_hooks_reloaded(daemon->hooks);
	ipspd_log(IPSP_LOG_NOTICE, "%s was read again", daemon->config_path);
	ipspd_secret_tell();
}

int ipspd_reload(struct ipspd *daemon, char *why, size_t n_why)
{
	struct reload r = {.daemon = daemon, .why = why, .n_why = n_why};

	if (n_why > 0)
		why[0] = '\0';
	int err = ipspd_config_read(daemon->config_path, &r.next, on_fault, &r);
	if (err) {
		if (!r.err)
			refuse(&r, IPSP_ERR_INVALID, "%s: %s", daemon->config_path,
			       ipsp_err_text(err));
		return r.err;
	}
	check_daemon(&r);
	check_lacks(&r);
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		check_ctx(&r, daemon->ctxs[i]);
	if (!r.err)
		make_fresh(&r);
	if (!r.err)
		make_snmp(&r);
	if (!r.err)
		take(&r);
	else
		ipspd_config_fini(&r.next);
	ipspd_snmp_free(r.snmp); /* that was refused */
	for (size_t i = 0; i < r.n_fresh; i++)
		ipspd_ctx_free(r.fresh[i]);
	free(r.fresh);
	return r.err;
}

void ipspd_reload_hup(struct ipspd *daemon)
{
	char why[4096];

	ipspd_notify_reloading(daemon->notify);
	if (ipspd_reload(daemon, why, sizeof(why)) != 0)
		for (char *line = why, *end; *line; line = end) {
			end = line + strcspn(line, "\n");
			end += *end ? (*end = '\0', 1) : 0;
			ipspd_log(IPSP_LOG_ERROR, "not reloaded: %s", line);
		}
	ipspd_notify_ready(daemon->notify);
}

int ipspd_save(struct ipspd *daemon, char *why, size_t n_why)
{
	struct ipspd_config running = *daemon->config; /* borrows all but the contexts */

	running.contexts = calloc(running.n_contexts + 1, sizeof(*running.contexts));
	if (!running.contexts) {
		snprintf(why, n_why, "memory ran out");
		return IPSP_ERR_IO;
	}
	for (size_t i = 0; i < running.n_contexts; i++) {
		running.contexts[i] = daemon->config->contexts[i];
		const struct ipspd_ctx *ctx = ipspd_ctx_find(daemon, running.contexts[i].name);
		struct ipsp_status status;
		if (!ctx)
			continue;
		ipsp_node_status(ctx->node, ipspd_now(), &status);
		running.contexts[i].psp.mode = status.mode;
		running.contexts[i].psp.enabled = status.conf->psp.enabled;
	}
	int err = ipspd_config_write(daemon->config_path, &running, why, n_why);
	sodium_memzero(running.contexts, running.n_contexts * sizeof(*running.contexts));
	free(running.contexts);
	return err;
}
