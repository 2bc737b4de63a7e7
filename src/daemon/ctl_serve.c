/*
 * What the frames of clients mean, and what they are answered. Three kinds of work:
 *   - events of a node: posted at once, answered when the turn hands its outs over;
 *   - jobs (lists, shows, reload, save): queued, done at the end of the turn by ctl_job.c;
 *   - what needs neither: answered at once.
 */
#include "base/attr.h"
#include "base/ctldirect.h"
#include "base/ident.h"
#include "daemon/ctl_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(IPSP_REASON_HANDOFF == (int)IPSP_RELEASE_HANDOFF, "the reason goes out as it is");
_Static_assert(IPSP_REASON_DUPLICATE == (int)IPSP_RELEASE_DUPLICATE,
	       "the reason goes out as it is");
_Static_assert(IPSP_REASON_TERMINATE == (int)IPSP_RELEASE_TERMINATE,
	       "the reason goes out as it is");

static bool is(const struct ipsp_ctl_str *s, const char *word)
{
	return s->n == strlen(word) && memcmp(s->p, word, s->n) == 0;
}

/* ---------------------------------------------------------------- operators' open requests */

/* NULL: too many are open. */
static struct ipspd_op *op_new(struct ipspd_client *client, uint64_t id,
			       const struct ipspd_ctx *ctx)
{
	struct ipspd_ctl *ctl = client->ctl;

	for (size_t i = 0; i < IPSPD_CTL_OPS; i++) {
		struct ipspd_op *op = &ctl->ops[ctl->next_op];
		uint64_t place = ctl->next_op;

		ctl->next_op = (ctl->next_op + 1) % IPSPD_CTL_OPS;
		if (op->key)
			continue;
		*op = (struct ipspd_op){.key = ++ctl->n_keys * IPSPD_CTL_OPS + place,
					.token = client->token,
					.id = id,
					.ctx = ctx};
		return op;
	}
	return NULL;
}

static struct ipspd_op *op_find(struct ipspd_ctl *ctl, uint64_t key)
{
	struct ipspd_op *op = &ctl->ops[key % IPSPD_CTL_OPS];

	return key != 0 && op->key == key ? op : NULL;
}

static void op_answer(struct ipspd_ctl *ctl, struct ipspd_op *op, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_client *client = ipspd_client_find(ctl, op->token);

	if (client)
		ipspd_client_put(client, msg);
	op->key = 0;
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

static void unknown_context(struct ipspd_client *client, uint64_t id,
			    const struct ipsp_ctl_str *name)
{
	ipspd_client_done(client, id, IPSP_ERR_UNKNOWN_CONTEXT,
			  name->n == 0 ? "there is not just one context: say which" : "");
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
	ipspd_client_done(client, msg->id, 0, "");
	if (msg->name.n > 0) {
		cut_off_namesake(client, ctx, name);
		memcpy(client->ha, name, msg->name.n + 1);
		ipspd_post(ctx, &(struct ipsp_event){.type = IPSP_EV_ATTACH,
						     .token = client->token,
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
	for (size_t i = 0; i < IPSPD_CTL_OPS; i++) {
		struct ipspd_op *op = &ctl->ops[i];

		if (op->key == 0 || op->ctx != ctx)
			continue;
		op_answer(ctl, op,
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
	op = op_new(client, id, client->ctx);
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

static void serve_request(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST,
				.addr = msg->addr,
				.ident = {msg->subscriber.p, msg->session.p,
					  (uint8_t)msg->subscriber.n, (uint8_t)msg->session.n, 0}};

	if (!client->ctx || msg->subscriber.n == 0 ||
	    !ipsp_text_ok(msg->subscriber.p, msg->subscriber.n) ||
	    !ipsp_text_ok(msg->session.p, msg->session.n))
		refuse_request(client, msg->id, IPSP_ERR_INVALID);
	else if (!asker(client, msg->id, true, &ev.token, &ev.id))
		refuse_request(client, msg->id, IPSP_ERR_OVERLOADED);
	else if (msg->pool.n > 0 || msg->group.n > 0)
		post_named(client, msg, &ev);
	else
		ipspd_post(client->ctx, &ev);
}

static void serve_release(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .addr = msg->addr};

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
							     .addr = msg->addr});
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

static void post_command(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
			 struct ipsp_event *ev)
{
	struct ipspd_ctx *ctx = context_of(client, &msg->context);
	struct ipspd_op *op;

	if (!ctx) {
		unknown_context(client, msg->id, &msg->context);
		return;
	}
	op = op_new(client, msg->id, ctx);
	if (!op) {
		ipspd_client_done(client, msg->id, IPSP_ERR_OVERLOADED, "");
		return;
	}
	op->is_check = ev->command == IPSP_CMD_CHECK;
	ev->id = op->key;
	ipspd_log(IPSP_LOG_NOTICE, "%s: %.*s%s%s%s, asked for by %s", ctx->name, (int)msg->name.n,
		  msg->name.p, ev->command == IPSP_CMD_MODE ? " " : "",
		  ev->command == IPSP_CMD_MODE ? ipsp_mode_word(ev->mode) : "",
		  ev->force ? " by force" : "", ipspd_client_words(client));
	ipspd_post(ctx, ev);
}

IPSP_APART static void serve_command(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_event ev = {.type = IPSP_EV_COMMAND,
				.force = (msg->flags & IPSP_CTL_FORCE) != 0};

	if (is(&msg->name, "reload"))
		ipspd_job_queue(client, msg->id, IPSPD_JOB_RELOAD, NULL);
	else if (is(&msg->name, "save"))
		ipspd_job_queue(client, msg->id, IPSPD_JOB_SAVE, NULL);
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

IPSP_APART static void serve_show(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	/* without a context everything shows all of them, but for the sessions: these say no
	 * context */
	const bool of_one = msg->context.n > 0 || is(&msg->name, "sessions");
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
}

/* ---------------------------------------------------------------- frames in */

int ipspd_client_serve(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
		       const char **why)
{
	*why = "it does not begin like a client of ipspd";
	if (client->greeted == (msg->type == IPSP_CTL_HELLO))
		return IPSP_ERR_FORMAT;
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

/* ---------------------------------------------------------------- outs */

IPSP_APART static struct ipsp_ctl_str pool_name(const struct ipspd_ctx *ctx, uint16_t pool)
{
	const struct ipsp_context_conf *conf = ipsp_node_conf(ctx->node);

	return ipsp_ctl_str(pool < conf->n_pools ? conf->pools[pool].name : "");
}

IPSP_APART static void answer_operator(struct ipspd_ctl *ctl, const struct ipsp_out *out,
				       struct ipsp_ctl_str pool)
{
	struct ipspd_op *op = op_find(ctl, out->id);

	if (op)
		op_answer(ctl, op,
			  &(struct ipsp_ctl_msg){.type = IPSP_CTL_ANSWER,
						 .id = op->id,
						 .err = out->err,
						 .addr = out->addr,
						 .plen = out->plen,
						 .pool = pool});
}

/* False: no memory. */
static inline bool put_answer(struct ipspd_client *client, const struct ipsp_out *out,
			      struct ipsp_ctl_str pool)
{
	const struct ipsp_ctl_answer answer = {out->id, out->addr, out->err, out->plen, pool};
	const size_t size = ipsp_ctl_answer_size(&answer);
	uint8_t *frame = ipsp_buf_room(&client->out, size);

	if (!frame)
		return false;
	ipsp_ctl_put_answer(frame, size, &answer);
	client->out.len += size;
	return true;
}

static inline bool put_done(struct ipspd_client *client, const struct ipsp_out *out)
{
	const struct ipsp_ctl_done done = {out->id, out->err, {"", 0}};
	const size_t size = ipsp_ctl_done_size(&done);
	uint8_t *frame = ipsp_buf_room(&client->out, size);

	if (!frame)
		return false;
	ipsp_ctl_put_done(frame, size, &done);
	client->out.len += size;
	return true;
}

/* A release of an HA is done, and there is nothing more to say. */
static inline bool is_plain_done(const struct ipsp_out *out)
{
	return out->type == IPSP_OUT_DONE && out->token != 0 && (!out->text || !*out->text);
}

size_t ipspd_ctl_answers(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
			 const struct ipsp_out *outs, size_t n)
{
	struct ipspd_client *client = NULL; /* who has .token; NULL: gone */
	struct ipsp_ctl_str name = {"", 0}; /* of .pool: most answers of a turn name the same */
	uint32_t pool = UINT32_MAX;
	uint64_t token = 0;
	size_t i;

	for (i = 0; i < n && (outs[i].type == IPSP_OUT_ANSWER || is_plain_done(&outs[i])); i++) {
		const struct ipsp_out *out = &outs[i];
		const bool answer = out->type == IPSP_OUT_ANSWER;
		const uint32_t wanted = answer && out->err == 0 ? out->pool : UINT32_MAX;

		if (wanted != pool) {
			pool = wanted;
			name = pool == UINT32_MAX ? ipsp_ctl_str("") : pool_name(ctx, out->pool);
		}
		if (out->token == 0) {
			answer_operator(ctl, out, name);
			continue;
		}
		if (out->token != token) {
			token = out->token;
			client = ipspd_client_find(ctl, token);
			if (client)
				ipspd_client_due(client);
		}
		if (client && !(answer ? put_answer(client, out, name) : put_done(client, out))) {
			ipspd_client_broken(client);
			client = NULL;
		}
	}
	return i;
}

IPSP_APART static void out_done(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
				const struct ipsp_out *out)
{
	struct ipspd_client *client;
	struct ipspd_op *op;
	char *text;

	if (out->token) {
		client = ipspd_client_find(ctl, out->token);
		if (client)
			ipspd_client_done(client, out->id, out->err, out->text);
		return;
	}
	op = op_find(ctl, out->id);
	if (!op)
		return;
	client = ipspd_client_find(ctl, op->token);
	if (client && op->is_check) {
		text = ipspd_show_differences(ctx);
		if (text)
			ipspd_client_text(client, op->id, text, strlen(text));
		free(text);
	}
	op_answer(ctl, op,
		  &(struct ipsp_ctl_msg){.type = IPSP_CTL_DONE,
					 .id = op->id,
					 .err = out->err,
					 .text = ipsp_ctl_str(out->text)});
}

IPSP_APART static void out_release(struct ipspd_ctl *ctl, const struct ipsp_actions *act,
				   const struct ipsp_out *out)
{
	struct ipspd_client *client = ipspd_client_find(ctl, out->token);
	const char *bytes = (const char *)act->bytes.data;

	if (!client)
		return;
	ipspd_client_put(
		client,
		&(struct ipsp_ctl_msg){.type = IPSP_CTL_EVENT,
				       .addr = out->addr,
				       .event = out->id,
				       .reason = (uint8_t)out->reason,
				       .subscriber = {bytes + out->off, out->len},
				       .session = {out->len2 ? bytes + out->off2 : "", out->len2}});
}

IPSP_APART static void out_cancelled(struct ipspd_ctl *ctl, const struct ipsp_out *out)
{
	struct ipspd_client *client = ipspd_client_find(ctl, out->token);

	if (client)
		ipspd_client_put(client, &(struct ipsp_ctl_msg){.type = IPSP_CTL_CANCELLED,
								.addr = out->addr,
								.event = out->id});
}

IPSP_APART static void out_state(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
				 const struct ipsp_out *out)
{
	struct ipsp_status status;
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_STATE, .context = ipsp_ctl_str(ctx->name)};

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	msg.role = ipsp_ctl_str(ipsp_role_word(status.role));
	msg.state = ipsp_ctl_str(ipsp_state_word(status.state));
	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		struct ipspd_client *client = ctl->clients[i];

		if (client && client->ctx == ctx && client->ha[0] &&
		    (out->token == 0 || out->token == client->token))
			ipspd_client_put(client, &msg);
	}
}

void ipspd_ctl_out(struct ipspd_ctl *ctl, struct ipspd_ctx *ctx, const struct ipsp_actions *act,
		   const struct ipsp_out *out)
{
	switch (out->type) {
	case IPSP_OUT_DONE:
		out_done(ctl, ctx, out);
		break;
	case IPSP_OUT_RELEASE:
		out_release(ctl, act, out);
		break;
	case IPSP_OUT_CANCELLED:
		out_cancelled(ctl, out);
		break;
	case IPSP_OUT_STATE:
		out_state(ctl, ctx, out);
		break;
	case IPSP_OUT_ANSWER: /* ipspd_ctl_answers */
	case IPSP_OUT_DATAGRAM:
	case IPSP_OUT_TRAP:
	case IPSP_OUT_HOOK:
	case IPSP_OUT_STOPPED:
	case IPSP_OUT_TYPES:
		break;
	}
}
