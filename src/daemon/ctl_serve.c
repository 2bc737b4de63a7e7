/*
 * What the frames of clients mean, and what they are answered. Three kinds of work:
 *   - events of a node: posted at once, answered when the turn hands its outs over;
 *   - jobs (lists, shows, reload, save): queued, done at the end of the turn by ctl_job.c;
 *   - what needs neither: answered at once.
 */
#include "base/attr.h"
#include "base/ident.h"
#include "daemon/ctl_int.h"
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static bool is(const struct ipsp_ctl_str *s, const char *word)
{
	return s->n == strlen(word) && memcmp(s->p, word, s->n) == 0;
}

/* ---------------------------------------------------------------- operators' open requests */

/* NULL: too many are open. One client can't take the places of all, and sessions not those of
 * commands: a drain must get through. */
static struct ipspd_op *op_new(struct ipspd_client *client, uint64_t id, struct ipspd_ctx *ctx,
			       bool command)
{
	struct ipspd_ctl *ctl = client->ctl;

	if (client->n_ops >= IPSPD_CTL_OPS_ONE ||
	    (!client->user->trusted && client->user->n_ops >= IPSPD_CTL_OPS_USER) ||
	    ctl->n_ops >= (command ? IPSPD_CTL_OPS : IPSPD_CTL_OPS - IPSPD_CTL_OPS_KEPT))
		return NULL;
	for (size_t i = 0; i < IPSPD_CTL_OPS; i++) {
		struct ipspd_op *op = &ctl->ops[ctl->next_op];
		uint64_t place = ctl->next_op;

		ctl->next_op = (ctl->next_op + 1) % IPSPD_CTL_OPS;
		if (op->key)
			continue;
		*op = (struct ipspd_op){.key = ++ctl->n_keys * IPSPD_CTL_OPS + place,
					.token = client->token,
					.id = id,
					.user = client->user,
					.ctx = ctx};
		client->n_ops++;
		client->user->n_ops++;
		ctl->n_ops++;
		return op;
	}
	return NULL;
}

/* ---------------------------------------------------------------- HELLO, ATTACH */

IPSP_APART static int serve_hello(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
				  const char **why)
{
	int version = ipsp_ctl_version(msg);

	if (version < 0) {
		*why = version == IPSP_ERR_VERSION ? "its version and ours have none in common"
						   : "it does not begin like a client of ipspd";
		return version;
	}
	client->greeted = true;
	ipspd_user_greeted(client);
	if (msg->program.n < sizeof(client->program) &&
	    ipsp_text_ok(msg->program.p, msg->program.n))
		memcpy(client->program, msg->program.p, msg->program.n); /* for the log only */
	ipspd_client_put(client, &(struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
							.magic = IPSP_CTL_MAGIC,
							.min = IPSP_CTL_VERSION_MIN,
							.max = IPSP_CTL_VERSION,
							.program = ipsp_ctl_str(IPSPD_VERSION)});
	return 0;
}

static struct ipspd_ctx *context_of(struct ipspd_client *client, const struct ipsp_ctl_str *name)
{
	char text[256];

	if (name->n == 0 && client->ctx)
		return client->ctx;
	return ipspd_ctx_find(client->ctl->daemon, ipspd_ctl_copy(text, name));
}

/* Says which there are: @name is none of them, or one is to be chosen. */
static void unknown_context(struct ipspd_client *client, uint64_t id,
			    const struct ipsp_ctl_str *name)
{
	const struct ipspd *daemon = client->ctl->daemon;
	char text[64 * (IPSP_NAME_MAX + 2) + 512];
	size_t n = 0;

	if (name->n == 0)
		n = (size_t)snprintf(text, sizeof(text), "say which context: there ");
	else
		n = (size_t)snprintf(text, sizeof(text), "there is no context \"%.*s\"; there ",
				     (int)name->n, name->p);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
			      daemon->n_ctxs == 1 ? "is " : "are ",
			      daemon->n_ctxs == 0 ? "none" : "");
	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		const bool last = i + 1 == daemon->n_ctxs;

		if (i == 64) {
			snprintf(text + n, sizeof(text) - n, " and %zu more", daemon->n_ctxs - i);
			break;
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
				      i == 0 ? ""
				      : last ? " and "
					     : ", ",
				      daemon->ctxs[i]->name);
	}
	ipspd_client_done(client, id, IPSP_ERR_UNKNOWN_CONTEXT, text);
}

/* What the node knows the user by. */
static uint32_t owner_of(const struct ipspd_client *client)
{
	return (uint32_t)client->uid + 1;
}

/* The same of a user whose own names are all that it may touch. */
static uint32_t bound_to(const struct ipspd_client *client)
{
	return client->may == IPSPD_MAY_ALL ? 0 : owner_of(client);
}

/*
 * Another user's name? Then *@uid is its. Who has attached under it may be on its way to the node.
 */
static bool is_foreign(const struct ipspd_client *client, const struct ipspd_ctx *ctx,
		       const char *name, uid_t *uid)
{
	const struct ipspd_ctl *ctl = client->ctl;
	const uint32_t mine = bound_to(client);
	uint32_t owner = mine != 0 ? ipsp_node_owner(ctx->node, name) : 0;

	for (size_t i = 0; mine != 0 && owner == 0 && i < IPSPD_CTL_CLIENTS; i++) {
		const struct ipspd_client *other = ctl->clients[i];

		if (other && other->ctx == ctx && strcmp(other->ha, name) == 0)
			owner = owner_of(other);
	}
	*uid = (uid_t)(owner - 1);
	return owner != mine && owner != 0;
}

static void refuse_name(struct ipspd_client *client, uint64_t id, const char *name, uid_t uid)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "the name %.31s belongs to the user with uid %u, as long as it has sessions or a "
		 "connection: attach under another name, or as that user",
		 name, (unsigned)uid);
	ipspd_client_done(client, id, IPSP_ERR_NOT_PERMITTED, text);
}

static void cut_off_namesake(struct ipspd_client *client, const struct ipspd_ctx *ctx,
			     const char *name)
{
	struct ipspd_ctl *ctl = client->ctl;

	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		struct ipspd_client *other = ctl->clients[i];

		if (!other || other == client || other->ctx != ctx || strcmp(other->ha, name) != 0)
			continue;
		ipspd_client_dismiss(other, IPSP_ERR_DENIED,
				     "another connection has attached under this name");
		ipspd_client_detach(other); /* now: the node is to hear of it before the new one */
	}
}

IPSP_APART static void serve_attach(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_ctx *ctx = context_of(client, &msg->context);
	char name[256];
	uid_t uid;

	if (client->ctx) {
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID,
				  "this connection is attached already");
		return;
	}
	if (!ctx) {
		unknown_context(client, msg->id, &msg->context);
		return;
	}
	if (msg->name.n >= sizeof(client->ha) || !ipsp_text_ok(msg->name.p, msg->name.n)) {
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID,
				  "the name of an HA is 1 to 31 bytes without control characters");
		return;
	}
	ipspd_ctl_copy(name, &msg->name);
	if (msg->name.n > 0 && !ipsp_node_may_attach(ctx->node, name)) {
		ipspd_client_done(client, msg->id, IPSP_ERR_OVERLOADED,
				  "sessions belong to as many names of HAs as can be kept: attach "
				  "under one of those, or release the sessions of some");
		return;
	}
	if (msg->name.n > 0 && is_foreign(client, ctx, name, &uid)) {
		refuse_name(client, msg->id, name, uid);
		return;
	}
	ipspd_client_done(client, msg->id, 0, "");
	if (msg->name.n > 0) {
		cut_off_namesake(client, ctx, name);
		memcpy(client->ha, name, msg->name.n + 1);
		ipspd_post(ctx, &(struct ipsp_event){.type = IPSP_EV_ATTACH,
						     .token = client->token,
						     .owner = owner_of(client),
						     .force = bound_to(client) == 0,
						     .ha_name = client->ha});
	}
	client->ctx = ctx;
}

void ipspd_client_detach(struct ipspd_client *client)
{
	if (client->ctx && client->ha[0])
		ipspd_post(client->ctx,
			   &(struct ipsp_event){.type = IPSP_EV_DETACH, .token = client->token});
	client->ctx = NULL;
	client->ha[0] = '\0';
	ipspd_jobs_drop(client);
	ipspd_client_drop_commands(client);
}

void ipspd_ctl_forget(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx)
{
	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		struct ipspd_client *client = ctl->clients[i];

		if (!client)
			continue;
		ipspd_jobs_forget(client, ctx);
		if (client->ctx != ctx)
			continue;
		client->ctx = NULL; /* whoever would be told of the detach goes too */
		if (client->ha[0])
			ipspd_client_dismiss(client, IPSP_ERR_UNKNOWN_CONTEXT,
					     "the context was removed from the configuration");
	}
	for (size_t i = 0; i < IPSPD_CTL_OPS; i++) /* none of these begins any more */
		ctl->ops[i].begun = ctl->ops[i].begun || ctl->ops[i].ctx == ctx;
	for (size_t i = 0; i < IPSPD_CTL_OPS; i++) {
		struct ipspd_op *op = &ctl->ops[i];

		if (op->key == 0 || op->ctx != ctx)
			continue;
		ipspd_op_answer(ctl, op,
				&(struct ipsp_ctl_msg){.type = op->is_request ? IPSP_CTL_ANSWER
									      : IPSP_CTL_DONE,
						       .id = op->id,
						       .err = IPSP_ERR_UNKNOWN_CONTEXT});
	}
}

/* ---------------------------------------------------------------- sessions */

/* Who asks the node: an HA under its own token and id, an operator under the key of an op. */
static bool asker(struct ipspd_client *client, uint64_t id, bool is_request, uint64_t *node_token,
		  uint64_t *node_id)
{
	struct ipspd_op *op;

	*node_token = client->ha[0] ? client->token : 0;
	*node_id = id;
	if (client->ha[0])
		return true;
	op = op_new(client, id, client->ctx, false);
	if (!op)
		return false;
	op->is_request = is_request;
	*node_id = op->key;
	return true;
}

static void refuse_request(struct ipspd_client *client, uint64_t id, int err)
{
	ipspd_client_put(client,
			 &(struct ipsp_ctl_msg){.type = IPSP_CTL_ANSWER, .id = id, .err = err});
}

/* @ev, with a pool or a group that was named. */
IPSP_APART static void post_named(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
				  const struct ipsp_event *ev)
{
	struct ipsp_event named = *ev;
	char pool[256], group[256];

	if (msg->pool.n > 0)
		named.pool = ipspd_ctl_copy(pool, &msg->pool);
	if (msg->group.n > 0)
		named.group = ipspd_ctl_copy(group, &msg->group);
	ipspd_post(client->ctx, &named);
}

/* A one-shot request tells the address of a session that there is: not to who may not have it. */
static bool is_anothers(const struct ipspd_client *client, const struct ipsp_ident *ident)
{
	const uint32_t mine = bound_to(client);
	const uint32_t owner = mine ? ipsp_node_session_owner(client->ctx->node, ident) : 0;

	return owner != 0 && owner != mine;
}

static void serve_request(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST,
				.owner = bound_to(client),
				.addr = msg->addr,
				.ident = {msg->subscriber.p, msg->session.p,
					  (uint8_t)msg->subscriber.n, (uint8_t)msg->session.n, 0}};

	if (!client->ctx || msg->subscriber.n == 0 ||
	    !ipsp_text_ok(msg->subscriber.p, msg->subscriber.n) ||
	    !ipsp_text_ok(msg->session.p, msg->session.n))
		refuse_request(client, msg->id, IPSP_ERR_INVALID);
	else if (!client->ha[0] && is_anothers(client, &ev.ident))
		refuse_request(client, msg->id, IPSP_ERR_NOT_PERMITTED);
	else if (!asker(client, msg->id, true, &ev.token, &ev.id))
		refuse_request(client, msg->id, IPSP_ERR_OVERLOADED);
	else if (msg->pool.n > 0 || msg->group.n > 0)
		post_named(client, msg, &ev);
	else
		ipspd_post(client->ctx, &ev);
}

/* Whose session it was, as far as it is said: 255 bytes at most, which a frame can hold. */
static struct ipsp_ident named(const struct ipsp_ctl_msg *msg)
{
	return (struct ipsp_ident){msg->subscriber.n > 0 ? msg->subscriber.p : NULL, msg->session.p,
				   (uint8_t)msg->subscriber.n, (uint8_t)msg->session.n, 0};
}

static void serve_release(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE,
				.owner = bound_to(client),
				.addr = msg->addr,
				.ident = named(msg)};

	if (!client->ctx)
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID, "attach first");
	else if (!asker(client, msg->id, false, &ev.token, &ev.id))
		ipspd_client_done(client, msg->id, IPSP_ERR_OVERLOADED, "");
	else
		ipspd_post(client->ctx, &ev);
}

static void serve_released(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	if (client->ctx && client->ha[0]) /* nobody else is ever asked to end a session */
		ipspd_post(client->ctx, &(struct ipsp_event){.type = IPSP_EV_RELEASED,
							     .token = client->token,
							     .id = msg->event,
							     .addr = msg->addr,
							     .ident = named(msg)});
}

/* ---------------------------------------------------------------- commands */

static const struct {
	const char *name;
	enum ipsp_command command;
} commands[] = {
	{"check-config", IPSP_CMD_CHECK}, {"drain", IPSP_CMD_DRAIN},
	{"undrain", IPSP_CMD_UNDRAIN},	  {"terminate", IPSP_CMD_TERMINATE},
	{"takeover", IPSP_CMD_TAKEOVER},  {"mode", IPSP_CMD_MODE},
	{"disable", IPSP_CMD_DISABLE},
};

static bool find_command(const struct ipsp_ctl_str *name, enum ipsp_command *command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!is(name, commands[i].name))
			continue;
		*command = commands[i].command;
		return true;
	}
	return false;
}

static const char *command_name(enum ipsp_command command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].command == command)
			return commands[i].name;
	return NULL;
}

static bool find_mode(const struct ipsp_ctl_str *word, enum ipsp_mode *mode)
{
	static const enum ipsp_mode modes[] = {IPSP_MODE_ACTIVE, IPSP_MODE_INACTIVE,
					       IPSP_MODE_CHECK};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!is(word, ipsp_mode_word(modes[i])))
			continue;
		*mode = modes[i];
		return true;
	}
	return false;
}

void ipspd_client_command(struct ipspd_client *client)
{
	struct ipspd_op *op = client->commands;
	struct ipspd_ctx *ctx;

	if (!op || op->begun)
		return;
	op->begun = true;
	ctx = op->ctx;
	ctx->drains = ctx->drains || op->what == IPSP_CMD_DRAIN;
	ipspd_often_say(client->ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE,
			"%s: %s%s%s%s, asked for by %s", ctx->name, op->command,
			op->what == IPSP_CMD_MODE ? " " : "",
			op->what == IPSP_CMD_MODE ? ipsp_mode_word(op->mode) : "",
			op->force ? " by force" : "", ipspd_client_words(client));
	ipspd_post(ctx, &(struct ipsp_event){.type = IPSP_EV_COMMAND,
					     .id = op->key,
					     .command = op->what,
					     .mode = op->mode,
					     .force = op->force});
}

void ipspd_client_drop_commands(struct ipspd_client *client)
{
	struct ipspd_op *next;

	for (struct ipspd_op *op = client->commands; op; op = next) {
		next = op->next;
		if (!op->begun)
			ipspd_op_free(client->ctl, op);
	}
	client->commands = NULL;
}

struct ipspd_ctx *ipspd_client_context(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_ctx *ctx = context_of(client, &msg->context);

	if (!ctx)
		unknown_context(client, msg->id, &msg->context);
	return ctx;
}

struct ipspd_op *ipspd_client_op(struct ipspd_client *client, uint64_t id, struct ipspd_ctx *ctx)
{
	struct ipspd_op *op = op_new(client, id, ctx, true);

	if (!op)
		ipspd_client_done(client, id, IPSP_ERR_OVERLOADED, "");
	return op;
}

/* In order, one after the other: the next one begins when the one before is answered. */
static void post_command(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
			 const struct ipsp_event *ev)
{
	struct ipspd_ctx *ctx = ipspd_client_context(client, msg);
	struct ipspd_op *op = ctx ? ipspd_client_op(client, msg->id, ctx) : NULL;

	if (!op)
		return;
	op->is_check = ev->command == IPSP_CMD_CHECK;
	op->command = command_name(ev->command);
	op->what = ev->command;
	op->mode = ev->mode;
	op->force = ev->force;
	if (client->commands)
		client->last_command->next = op;
	else
		client->commands = op;
	client->last_command = op;
	ipspd_client_command(client);
}

IPSP_APART static void serve_command(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_COMMAND,
				.force = (msg->flags & IPSP_CTL_FORCE) != 0};

	const bool of_all = is(&msg->name, "reload") || is(&msg->name, "save");

	if (of_all && msg->context.n > 0 && !ipspd_client_context(client, msg))
		return; /* these are for all contexts; one that is named is there */
	if (is(&msg->name, "reload"))
		ipspd_job_queue(client, msg->id, IPSPD_JOB_RELOAD, NULL);
	else if (is(&msg->name, "save"))
		ipspd_job_queue(client, msg->id, IPSPD_JOB_SAVE, NULL);
	else if (is(&msg->name, "release"))
		ipspd_release_one(client, msg);
	else if (is(&msg->name, "release-ha"))
		ipspd_release_ha(client, msg);
	else if (!find_command(&msg->name, &ev.command))
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID, "there is no such command");
	else if (ev.command == IPSP_CMD_MODE && !find_mode(&msg->argument, &ev.mode))
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID,
				  "the mode is active, inactive or check-config");
	else
		post_command(client, msg, &ev);
}

/* ---------------------------------------------------------------- lists and shows */

static void serve_list(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	if (client->ctx)
		ipspd_job_queue(client, msg->id, IPSPD_JOB_LIST, client->ctx);
	else
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID, "attach first");
}

/* What a client of the first version doesn't say is nothing. */
static void filter_sessions(struct ipspd_job *job, const struct ipsp_ctl_msg *msg)
{
	static const char *const states[] = {"used", "releasing", "duplicate"};
	bool known = msg->state.n == 0;
	char text[256];

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		known = known || is(&msg->state, states[i]);
	if (!known)
		job->wrong = "the state of a session is used, releasing or duplicate";
	else if (msg->state.n > 0)
		memcpy(job->sessions.state, msg->state.p, msg->state.n);
	if (ipspd_show_range(&job->sessions, ipspd_ctl_copy(text, &msg->argument)) != 0)
		job->wrong = "sessions are looked for by an address, or a prefix as 10.1.0.0/24";
}

IPSP_APART static void serve_show(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	/* without a context everything shows all of them, but for sessions and duplicates: these
	 * say no context */
	const bool count = is(&msg->name, "session-count");
	const bool of_one = msg->context.n > 0 || count || is(&msg->name, "sessions") ||
			    is(&msg->name, "duplicates");
	struct ipspd_ctx *ctx = of_one ? context_of(client, &msg->context) : NULL;
	struct ipspd_job *job;

	if (of_one && !ctx) {
		unknown_context(client, msg->id, &msg->context);
		return;
	}
	job = ipspd_job_queue(client, msg->id, IPSPD_JOB_SHOW, ctx);
	if (!job)
		return;
	job->n = msg->n;
	if (msg->name.n > 0 && msg->name.n < sizeof(job->name)) /* no name here is longer */
		memcpy(job->name, msg->name.p, msg->name.n);
	ipspd_ctl_copy(job->sessions.pool, &msg->pool);
	ipspd_ctl_copy(job->sessions.subscriber, &msg->subscriber);
	job->sessions.count = count;
	job->sessions.limit = msg->n;
	filter_sessions(job, msg);
}

/* ---------------------------------------------------------------- who may what */

IPSP_APART static unsigned needs(const struct ipsp_ctl_msg *msg)
{
	switch (msg->type) {
	case IPSP_CTL_ATTACH:
	case IPSP_CTL_REQUEST:
	case IPSP_CTL_RELEASE:
	case IPSP_CTL_RELEASED:
	case IPSP_CTL_LIST:
		return IPSPD_MAY_SERVE;
	case IPSP_CTL_SHOW:
		return IPSPD_MAY_LOOK;
	case IPSP_CTL_COMMAND:
		return is(&msg->name, "check-config") ? IPSPD_MAY_LOOK : IPSPD_MAY_ALL;
	default:
		return 0;
	}
}

IPSP_APART static void forbid(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	const unsigned need = needs(msg);

	if (msg->type == IPSP_CTL_REQUEST)
		refuse_request(client, msg->id, IPSP_ERR_NOT_PERMITTED);
	else if (msg->type != IPSP_CTL_RELEASED) /* which is answered by nothing */
		ipspd_client_done(client, msg->id, IPSP_ERR_NOT_PERMITTED,
				  need == IPSPD_MAY_LOOK
					  ? "this is for root, the daemon's user, and the groups "
					    "control.group and control.status-group"
				  : need == IPSPD_MAY_SERVE
					  ? "this is for root, the daemon's user, and the groups "
					    "control.group and control.gateway-group"
					  : "this is for root, the daemon's user, and the group "
					    "control.group");
}

/* ---------------------------------------------------------------- frames in */

int ipspd_client_serve(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
		       const char **why)
{
	*why = "it does not begin like a client of ipspd";
	if (client->greeted == (msg->type == IPSP_CTL_HELLO))
		return IPSP_ERR_FORMAT;
	if (client->may != IPSPD_MAY_ALL && (needs(msg) & ~client->may) != 0) {
		forbid(client, msg);
		return 0;
	}
	switch (msg->type) {
	case IPSP_CTL_HELLO:
		return serve_hello(client, msg, why);
	case IPSP_CTL_ATTACH:
		serve_attach(client, msg);
		return 0;
	case IPSP_CTL_REQUEST:
		serve_request(client, msg);
		return 0;
	case IPSP_CTL_RELEASE:
		serve_release(client, msg);
		return 0;
	case IPSP_CTL_RELEASED:
		serve_released(client, msg);
		return 0;
	case IPSP_CTL_LIST:
		serve_list(client, msg);
		return 0;
	case IPSP_CTL_COMMAND:
		serve_command(client, msg);
		return 0;
	case IPSP_CTL_SHOW:
		serve_show(client, msg);
		return 0;
	case IPSP_CTL_ANSWER:
	case IPSP_CTL_DONE:
	case IPSP_CTL_TEXT:
	case IPSP_CTL_SESSION:
	case IPSP_CTL_EVENT:
	case IPSP_CTL_CANCELLED:
	case IPSP_CTL_STATE:
	case IPSP_CTL_BYE:
	case IPSP_CTL_TYPES:
		break;
	}
	*why = "it sent what only ipspd says";
	return IPSP_ERR_FORMAT;
}
