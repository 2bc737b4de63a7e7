#include "daemon/hook.h"
#include "daemon/config.h"
#include "daemon/hookwatch.h"
#include "daemon/lacks.h"
#include "daemon/lastline.h"
#include "daemon/launcher.h"
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS   30000
#define QUEUED_MAX 256

struct ipspd_hook_call { /* one call: waiting, or with the launcher */
	struct ipspd_hook_call *next;
	struct ipspd_ctx *ctx; /* NULL: it was removed meanwhile */
	bool check;
	int out; /* to hand on with it; -1: the launcher has it */
	struct ipspd_lastline *said;
	struct ipspd_launch launch;
};

struct ipspd_hooks {
	struct ipspd *daemon;
	struct ipspd_hookwatch *watch;
	int launcher; /* -1: it is gone */
	struct event *readable, *writable;
	struct ipspd_hook_call *running; /* checks in any number, at most one other */
	struct ipspd_hook_call *waiting, **waiting_end;
	size_t n_waiting, left_out;  /* .left_out: since the queue was full */
	struct ipspd_lastlines left; /* of those that have ended */
	uint32_t limit_ms;
	uint64_t ids;
	bool read_again; /* to be told to the launcher */
};

static const char *const words[IPSP_HOOKS] = {
	[IPSP_HOOK_ROLE_CHANGE] = "role-change",
	[IPSP_HOOK_PEER_LOST] = "peer-lost",
	[IPSP_HOOK_PEER_DOWN] = "peer-down",
	[IPSP_HOOK_PEER_UP] = "peer-up",
	[IPSP_HOOK_ALL_ADDRESSES_FREE] = "all-addresses-free",
	[IPSP_HOOK_DUPLICATE] = "duplicate",
	[IPSP_HOOK_CONFIG_MISMATCH] = "config-mismatch",
	[IPSP_HOOK_SERVING_CHANGE] = "serving-change",
	[IPSP_HOOK_LINK_CHANGE] = "link-change",
	[IPSP_HOOK_PEER_STOPPED] = "peer-stopped",
	[IPSP_HOOK_DISK_FULL] = "disk-full",
	[IPSP_HOOK_TAKEOVER_CHECK] = "takeover-check",
};

/* ---------------------------------------------------------------- the environment */

static void set_var(struct ipspd_hook_call *call, const char *name, const char *value)
{
	snprintf(call->launch.var[call->launch.n_vars++], IPSPD_LAUNCH_VAR_MAX, "%s=%s", name,
		 value);
}

static void set_addr(struct ipspd_hook_call *call, const char *name, struct ipsp_addr addr)
{
	char text[IPSP_ADDR_TEXT_MAX];

	set_var(call, name, ipsp_addr_text(addr, text, sizeof(text)));
}

/* What the state was when it happened, not when the call's turn comes. */
static void fill_vars(struct ipspd_hook_call *call, const struct ipsp_out *out)
{
	struct ipsp_status status;
	char epoch[24];

	ipsp_node_status(call->ctx->node, ipspd_now(), &status);
	const char *waiting = ipsp_waiting_word(status.waiting);
	snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)status.epoch);
	set_var(call, "IPSP_EVENT", words[out->hook]);
	set_var(call, "IPSP_CONTEXT", call->ctx->name);
	set_var(call, "IPSP_ROLE", ipsp_role_word(status.role));
	set_var(call, "IPSP_PEER_STATE", ipsp_peer_state_word(status.peer_state));
	set_var(call, "IPSP_SERVING", status.serving ? "yes" : "no");
	set_var(call, "IPSP_WAITING", waiting ? waiting : "");
	set_var(call, "IPSP_LINK", status.link_words);
	set_var(call, "IPSP_EPOCH", epoch);
	if (out->hook == IPSP_HOOK_DISK_FULL)
		set_var(call, "IPSP_DISK", status.disk_full ? "full" : "room");
	set_addr(call, "IPSP_ADDRESS", status.conf->psp.address);
	set_addr(call, "IPSP_PEER", status.conf->psp.peer);
	if (out->hook == IPSP_HOOK_DUPLICATE)
		set_addr(call, "IPSP_DUPLICATE", out->addr);
}

/* ---------------------------------------------------------------- running */

static void call_free(struct ipspd_hook_call *call)
{
	if (call->out >= 0)
		close(call->out);
	ipspd_lastline_free(call->said);
	free(call);
}

/* @why it is no, for people; "" for a yes. */
static void answer(struct ipspd_ctx *ctx, const char *why)
{
	const struct ipsp_event ev = {.type = IPSP_EV_HOOK, .yes = !*why};

	if (!ctx)
		return;
	snprintf(ctx->veto, sizeof(ctx->veto), "%s", why);
	ipspd_post(ctx, &ev);
}

static const char *event_of(const struct ipspd_hook_call *call)
{
	return strchr(call->launch.var[0], '=') + 1;
}

static const char *ctx_name(const struct ipspd_hook_call *call)
{
	return call->ctx ? call->ctx->name : "(a removed context)";
}

static void say_cannot(struct ipspd_hooks *hooks, const struct ipspd_hook_call *call,
		       const char *why)
{
	char fault[IPSPD_WHY_MAX];

	snprintf(fault, sizeof(fault), "can't be run: %s", why);
	ipspd_hookwatch_failed(hooks->watch, fault);
	ipspd_log(IPSP_LOG_ERROR, "%s: the hook %s can't be run: %s (%s)", ctx_name(call),
		  call->launch.path, why, call->launch.var[0]);
}

/* Hands on what the launcher has not yet; it may have more to do than its socket holds. */
static void hand_on(struct ipspd_hooks *hooks)
{
	static const struct ipspd_launch again = {.what = IPSPD_LAUNCH_READ_AGAIN};
	int error = 0;

	if (hooks->read_again) {
		error = ipspd_launcher_ask(hooks->launcher, &again, -1);
		hooks->read_again = error == EAGAIN;
	}
	for (struct ipspd_hook_call *call = hooks->running; call && error != EAGAIN;
	     call = call->next) {
		if (call->out < 0)
			continue;
		error = ipspd_launcher_ask(hooks->launcher, &call->launch, call->out);
		if (error == EAGAIN)
			break;
		close(call->out); /* (a launcher that is gone is heard of by its end) */
		call->out = -1;
	}
	if (error == EAGAIN)
		event_add(hooks->writable, NULL);
}

/* False: it does not run, and that was said. */
static bool start(struct ipspd_hooks *hooks, struct ipspd_hook_call *call)
{
	char why[IPSPD_WHY_MAX];

	snprintf(call->launch.path, sizeof(call->launch.path), "%s", hooks->daemon->config->hook);
	if (ipspd_config_hook_ok(call->launch.path, why) != 0) { /* it may have come, or changed */
		ipspd_log(IPSP_LOG_ERROR, "%s: the hook can't be run: %s (%s)", ctx_name(call), why,
			  call->launch.var[0]);
		ipspd_hookwatch_look(hooks->watch);
		return false;
	}
	if (hooks->launcher < 0) {
		say_cannot(hooks, call, "the process that starts it is gone; restart ipspd");
		return false;
	}
	call->said = ipspd_lastline_new(hooks->daemon->base, &call->out);
	if (!call->said) {
		say_cannot(hooks, call, strerror(errno));
		return false;
	}
	call->launch.what = IPSPD_LAUNCH_RUN;
	call->launch.id = ++hooks->ids;
	call->launch.limit_ms = hooks->limit_ms;
	call->next = hooks->running;
	hooks->running = call;
	hand_on(hooks);
	return true;
}

/* A check that can't be run is a veto: whoever configured one wants to be asked. */
static void answer_cannot(struct ipspd_hooks *hooks, const struct ipspd_hook_call *call)
{
	const char *fault = ipspd_hookwatch_fault(hooks->watch);

	if (call->check)
		answer(call->ctx, fault ? fault : "the hook can't be run");
}

static void start_or_answer(struct ipspd_hooks *hooks, struct ipspd_hook_call *call)
{
	if (start(hooks, call))
		return;
	answer_cannot(hooks, call);
	call_free(call);
}

static void start_waiting(struct ipspd_hooks *hooks)
{
	for (;;) {
		for (const struct ipspd_hook_call *c = hooks->running; c; c = c->next)
			if (!c->check)
				return;
		struct ipspd_hook_call *call = hooks->waiting;
		if (!call)
			return;
		hooks->waiting = call->next;
		if (!hooks->waiting)
			hooks->waiting_end = &hooks->waiting;
		hooks->n_waiting--;
		start_or_answer(hooks, call);
	}
}

#define NOT_FOUND                                                                                  \
	126 /* a shell's, from here on: what it was to run can't be run, or is not there */

/* Was it a no, or is the hook in no state to say anything? */
static void judge(struct ipspd_hooks *hooks, const struct ipspd_hook_call *call, int status,
		  bool late, const char *said)
{
	struct ipspd_hookwatch *watch = hooks->watch;
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char what[IPSPD_LASTLINE_MAX + 120], why[sizeof(what) + 32];
	size_t n;

	if (late)
		n = (size_t)snprintf(what, sizeof(what), "had not ended after %u ms at %s",
				     call->launch.limit_ms, event_of(call));
	else
		n = (size_t)snprintf(what, sizeof(what), "ended with %s %d at %s",
				     code >= 0 ? "exit code" : "signal",
				     code >= 0 ? code : WTERMSIG(status), event_of(call));
	if (*said)
		snprintf(what + n, sizeof(what) - n, ", and said last: %s", said);
	if (late || code < 0 || code >= NOT_FOUND)
		ipspd_hookwatch_failed(watch, what);
	else
		ipspd_hookwatch_worked(watch);
	snprintf(why, sizeof(why), "the hook %s", what);
	if (call->check)
		answer(call->ctx, code == 0 && !late ? "" : why);
}

/* How it ended, and its last words: whoever wrote it looks for both in the log. */
static void ended(struct ipspd_hooks *hooks, struct ipspd_hook_call *call, int status, bool late)
{
	const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	const char *said = ipspd_lastline_text(call->said);

	if (!good || *said)
		ipspd_log(good ? IPSP_LOG_INFO : IPSP_LOG_WARNING,
			  "%s: the hook ended with %s %d (%s)%s%s%s", ctx_name(call),
			  WIFEXITED(status) ? "exit code" : "signal",
			  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
			  call->launch.var[0],
			  call->check && !good ? ", which forbids the takeover" : "",
			  *said ? "; it said last: " : "", said);
	judge(hooks, call, status, late, said);
	ipspd_lastline_leave(&hooks->left, call->said);
	call->said = NULL;
}

/* EPERM is the launcher's own word: the file that it has read names another one. */
static const char *why_not(int error)
{
	switch (error) {
	case EPERM:
		return "the configuration file names another hook by now: ipspctl reload";
	case EACCES:
		return "it changed at this moment";
	default:
		return strerror(error);
	}
}

static void finish(struct ipspd_hooks *hooks, const struct ipspd_launched *launched)
{
	struct ipspd_hook_call **link = &hooks->running, *call;

	while (*link && (*link)->launch.id != launched->id)
		link = &(*link)->next;
	call = *link;
	if (!call)
		return;
	*link = call->next;
	if (launched->error) {
		say_cannot(hooks, call, why_not(launched->error));
		answer_cannot(hooks, call);
	} else {
		if (launched->late)
			ipspd_log(IPSP_LOG_WARNING,
				  "%s: the hook ran for more than %u ms and was ended (%s)",
				  ctx_name(call), call->launch.limit_ms, call->launch.var[0]);
		ended(hooks, call, launched->status, launched->late);
	}
	call_free(call);
}

/* It never ends by itself. A check is not left without an answer. */
static void launcher_is_gone(struct ipspd_hooks *hooks)
{
	ipspd_log(IPSP_LOG_ERROR,
		  "the process that starts the hook is gone: no hook runs, and each takeover is "
		  "vetoed; restart ipspd");
	event_del(hooks->readable);
	event_del(hooks->writable);
	close(hooks->launcher);
	hooks->launcher = -1;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	while (hooks->running) {
		const struct ipspd_launched launched = {.id = hooks->running->launch.id,
							.error = EPIPE};

		finish(hooks, &launched);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_hooks *hooks = arg;
	struct ipspd_launched launched;
	int more;

	(void)what;
	while ((more = ipspd_launcher_answer(fd, &launched)) > 0)
		finish(hooks, &launched);
	if (more < 0)
		launcher_is_gone(hooks);
	start_waiting(hooks);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hand_on(arg);
}

/* ---------------------------------------------------------------- from the turn */

void ipspd_hooks_run(struct ipspd_hooks *hooks, struct ipspd_ctx *ctx, const struct ipsp_out *out)
{
	const bool check = out->hook == IPSP_HOOK_TAKEOVER_CHECK;

	if (!hooks->daemon->config->hook[0]) {
		if (check)
			answer(ctx, "");
		return;
	}
	struct ipspd_hook_call *call = NULL;
	if (check || hooks->n_waiting < QUEUED_MAX)
		call = calloc(1, sizeof(*call));
	if (!call) {
		if (check)
			answer(ctx, "memory ran out for the hook");
		else if (hooks->left_out++ == 0)
			ipspd_log(IPSP_LOG_ERROR,
				  "%zu hooks wait, so the next are left out, from %s of %s on",
				  hooks->n_waiting, words[out->hook], ctx->name);
		return;
	}
	if (!check && hooks->left_out > 0) {
		ipspd_log(IPSP_LOG_ERROR, "%zu hooks were left out", hooks->left_out);
		hooks->left_out = 0;
	}
	call->ctx = ctx;
	call->check = check;
	call->out = -1;
	fill_vars(call, out);
	if (check) {
		start_or_answer(hooks, call);
		return;
	}
	*hooks->waiting_end = call;
	hooks->waiting_end = &call->next;
	hooks->n_waiting++;
	start_waiting(hooks);
}

void ipspd_hooks_forget(struct ipspd_hooks *hooks, const struct ipspd_ctx *ctx)
{
	for (struct ipspd_hook_call *c = hooks->running; c; c = c->next)
		c->ctx = c->ctx == ctx ? NULL : c->ctx;
	for (struct ipspd_hook_call *c = hooks->waiting; c; c = c->next)
		c->ctx = c->ctx == ctx ? NULL : c->ctx;
}

struct ipspd_hooks *ipspd_hooks_new(struct ipspd *daemon, int launcher)
{
	struct ipspd_hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks) {
		if (launcher >= 0)
			close(launcher);
		return NULL;
	}
	hooks->daemon = daemon;
	hooks->launcher = launcher;
	hooks->waiting_end = &hooks->waiting;
	hooks->limit_ms = LIMIT_MS;
	hooks->watch = ipspd_hookwatch_new(daemon);
	hooks->readable =
		event_new(daemon->base, launcher, EV_READ | EV_PERSIST, on_readable, hooks);
	hooks->writable = event_new(daemon->base, launcher, EV_WRITE, on_writable, hooks);
	if (hooks->watch && hooks->readable && hooks->writable &&
	    (launcher < 0 || event_add(hooks->readable, NULL) == 0))
		return hooks;
	ipspd_hooks_free(hooks);
	return NULL;
}

void ipspd_hooks_say(const struct ipspd_ctx *ctx, bool vetoed,
		     void (*each)(void *arg, const char *text), void *arg)
{
	const struct ipspd_hooks *hooks = ctx->daemon->hooks;
	const char *fault = hooks ? ipspd_hookwatch_fault(hooks->watch) : NULL;
	char text[sizeof(ctx->veto) + 64];

	vetoed = vetoed && ctx->veto[0];
	if (vetoed) {
		snprintf(text, sizeof(text), "the takeover is vetoed, and asked for every 30 s: %s",
			 ctx->veto);
		each(arg, text);
	}
	if (fault && !(vetoed && strcmp(fault, ctx->veto) == 0))
		each(arg, fault);
}

void ipspd_hooks_reloaded(struct ipspd_hooks *hooks)
{
	hooks->read_again = hooks->launcher >= 0;
	if (hooks->launcher >= 0)
		hand_on(hooks);
}

void ipspd_hooks_limit(struct ipspd_hooks *hooks, uint32_t limit_ms)
{
	hooks->limit_ms = limit_ms;
}

static void free_list(struct ipspd_hook_call *call)
{
	while (call) {
		struct ipspd_hook_call *next = call->next;
		call_free(call);
		call = next;
	}
}

void ipspd_hooks_free(struct ipspd_hooks *hooks)
{
	if (!hooks)
		return;
	if (hooks->readable)
		event_free(hooks->readable);
	if (hooks->writable)
		event_free(hooks->writable);
	if (hooks->launcher >= 0)
		close(hooks->launcher);
	free_list(hooks->running);
	free_list(hooks->waiting);
	ipspd_lastlines_free(&hooks->left);
	ipspd_hookwatch_free(hooks->watch);
	free(hooks);
}
