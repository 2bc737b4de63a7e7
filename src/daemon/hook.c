#define _GNU_SOURCE /* POSIX_SPAWN_SETSID, environ */
#include "daemon/hook.h"
#include "daemon/config.h"
#include "daemon/hookwatch.h"
#include "daemon/lacks.h"
#include "daemon/lastline.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS   30000
#define QUEUED_MAX 256
#define VARS	   16
#define VAR_MAX	   160

struct ipspd_hook_call { /* one call: waiting, or running */
	struct ipspd_hook_call *next;
	struct ipspd_hooks *hooks;
	struct ipspd_ctx *ctx; /* NULL: it was removed meanwhile */
	bool check;
	bool late; /* it ran out of time, and was killed */
	pid_t pid; /* 0: waiting */
	struct event *limit;
	struct ipspd_lastline *said;
	char var[VARS][VAR_MAX];
	size_t n_vars;
};

struct ipspd_hooks {
	struct ipspd *daemon;
	struct ipspd_hookwatch *watch;
	struct event *child;
	struct ipspd_hook_call *running; /* checks in any number, at most one other */
	struct ipspd_hook_call *waiting, **waiting_end;
	size_t n_waiting, left_out;  /* .left_out: since the queue was full */
	struct ipspd_lastlines left; /* of those that have ended */
	uint32_t limit_ms;
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
	snprintf(call->var[call->n_vars++], VAR_MAX, "%s=%s", name, value);
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

/* The daemon's own environment without what belongs to its supervisor or to an outer hook, then the
 * call's. */
static char **make_environment(struct ipspd_hook_call *call)
{
	static const char *const ours[] = {"IPSP_", "NOTIFY_SOCKET=", "WATCHDOG_",
					   "JOURNAL_STREAM="};
	size_t n = 0, kept = 0;

	while (environ && environ[n])
		n++;
	char **env = calloc(n + call->n_vars + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool drop = false;
		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			drop = drop || strncmp(environ[i], ours[k], strlen(ours[k])) == 0;
		if (!drop)
			env[kept++] = environ[i];
	}
	for (size_t i = 0; i < call->n_vars; i++)
		env[kept++] = call->var[i];
	return env;
}

/* ---------------------------------------------------------------- running */

/* Standard input is empty, output goes to @out; every signal is as at the start of a program. */
static int spawn(const char *path, char **env, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char *argv[2] = {NULL, NULL};

	if (!(argv[0] = strdup(path)))
		return ENOMEM;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSID);
	int error = posix_spawn(pid, path, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	free(argv[0]);
	return error;
}

static void call_free(struct ipspd_hook_call *call)
{
	if (call->limit)
		event_free(call->limit);
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
	return strchr(call->var[0], '=') + 1;
}

static const char *ctx_name(const struct ipspd_hook_call *call)
{
	return call->ctx ? call->ctx->name : "(a removed context)";
}

/* It has run out of time: it dies, with what it started, and SIGCHLD tells the rest. */
static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_hook_call *call = arg;

	(void)fd;
	(void)what;
	ipspd_log(IPSP_LOG_WARNING, "%s: the hook runs for more than %u ms and is ended (%s)",
		  ctx_name(call), call->hooks->limit_ms, call->var[0]);
	call->late = true;
	if (kill(-call->pid, SIGKILL) != 0)
		kill(call->pid, SIGKILL);
}

/* False: it does not run, and that was said. */
static bool start(struct ipspd_hooks *hooks, struct ipspd_hook_call *call)
{
	const struct timeval limit = {.tv_sec = hooks->limit_ms / 1000,
				      .tv_usec = hooks->limit_ms % 1000 * 1000};
	const char *path = hooks->daemon->config->hook;
	char **env = make_environment(call);
	char why[IPSPD_WHY_MAX];
	int error = ENOMEM, out = -1;

	if (ipspd_config_hook_ok(path, why) != 0) { /* it may have come, or changed, since */
		free(env);
		ipspd_log(IPSP_LOG_ERROR, "%s: the hook can't be run: %s (%s)", ctx_name(call), why,
			  call->var[0]);
		ipspd_hookwatch_look(hooks->watch);
		return false;
	}
	call->limit = evtimer_new(hooks->daemon->base, on_limit, call);
	if (env && call->limit) {
		call->said = ipspd_lastline_new(hooks->daemon->base, &out);
		error = call->said ? spawn(path, env, out, &call->pid) : errno;
	}
	if (out >= 0)
		close(out);
	free(env);
	if (error) {
		ipspd_log(IPSP_LOG_ERROR, "%s: the hook %s can't be run: %s", ctx_name(call), path,
			  strerror(error));
		snprintf(why, sizeof(why), "can't be run: %s", strerror(error));
		ipspd_hookwatch_failed(hooks->watch, why);
		return false;
	}
	event_add(call->limit, &limit);
	call->next = hooks->running;
	hooks->running = call;
	return true;
}

/* A check that can't be run is a veto: whoever configured one wants to be asked. */
static void start_or_answer(struct ipspd_hooks *hooks, struct ipspd_hook_call *call)
{
	const char *fault;

	if (start(hooks, call))
		return;
	fault = ipspd_hookwatch_fault(hooks->watch);
	if (call->check)
		answer(call->ctx, fault ? fault : "the hook can't be run");
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
static void judge(struct ipspd_hook_call *call, int status, const char *said)
{
	struct ipspd_hookwatch *watch = call->hooks->watch;
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char what[IPSPD_LASTLINE_MAX + 120], why[sizeof(what) + 32];
	size_t n;

	if (call->late)
		n = (size_t)snprintf(what, sizeof(what), "had not ended after %u ms at %s",
				     call->hooks->limit_ms, event_of(call));
	else
		n = (size_t)snprintf(what, sizeof(what), "ended with %s %d at %s",
				     code >= 0 ? "exit code" : "signal",
				     code >= 0 ? code : WTERMSIG(status), event_of(call));
	if (*said)
		snprintf(what + n, sizeof(what) - n, ", and said last: %s", said);
	if (call->late || code < 0 || code >= NOT_FOUND)
		ipspd_hookwatch_failed(watch, what);
	else
		ipspd_hookwatch_worked(watch);
	snprintf(why, sizeof(why), "the hook %s", what);
	if (call->check)
		answer(call->ctx, code == 0 && !call->late ? "" : why);
}

/* How it ended, and its last words: whoever wrote it looks for both in the log. */
static void ended(struct ipspd_hook_call *call, int status)
{
	const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	const char *said = ipspd_lastline_text(call->said);

	if (!good || *said)
		ipspd_log(good ? IPSP_LOG_INFO : IPSP_LOG_WARNING,
			  "%s: the hook ended with %s %d (%s)%s%s%s", ctx_name(call),
			  WIFEXITED(status) ? "exit code" : "signal",
			  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), call->var[0],
			  call->check && !good ? ", which forbids the takeover" : "",
			  *said ? "; it said last: " : "", said);
	judge(call, status, said);
	ipspd_lastline_leave(&call->hooks->left, call->said);
	call->said = NULL;
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_hooks *hooks = arg;
	int status;

	(void)fd;
	(void)what;
	for (struct ipspd_hook_call **link = &hooks->running; *link;) {
		struct ipspd_hook_call *call = *link;
		pid_t pid = waitpid(call->pid, &status, WNOHANG);
		if (pid == 0 || (pid < 0 && errno == EINTR)) {
			link = &call->next;
			continue;
		}
		*link = call->next;
		ended(call, pid == call->pid ? status : 1); /* reaped by somebody else: not a yes */
		call_free(call);
	}
	start_waiting(hooks);
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
	call->hooks = hooks;
	call->ctx = ctx;
	call->check = check;
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

struct ipspd_hooks *ipspd_hooks_new(struct ipspd *daemon)
{
	struct ipspd_hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return NULL;
	hooks->daemon = daemon;
	hooks->waiting_end = &hooks->waiting;
	hooks->limit_ms = LIMIT_MS;
	hooks->watch = ipspd_hookwatch_new(daemon);
	hooks->child = evsignal_new(daemon->base, SIGCHLD, on_child, hooks);
	if (hooks->watch && hooks->child && event_add(hooks->child, NULL) == 0)
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
	if (hooks->child)
		event_free(hooks->child);
	free_list(hooks->running);
	free_list(hooks->waiting);
	ipspd_lastlines_free(&hooks->left);
	ipspd_hookwatch_free(hooks->watch);
	free(hooks);
}
