/*
 * What nodes have for clients: answers, of which there are very many, and the rest. Buffered only;
 * the end of the turn writes.
 */
#include "base/attr.h"
#include "base/ctldirect.h"
#include "daemon/ctl_int.h"
#include <stdlib.h>
#include <string.h>

#define RUN 64 /* answers that room is looked for at once */

_Static_assert(IPSP_REASON_HANDOFF == (int)IPSP_RELEASE_HANDOFF, "the reason goes out as it is");
_Static_assert(IPSP_REASON_DUPLICATE == (int)IPSP_RELEASE_DUPLICATE,
	       "the reason goes out as it is");
_Static_assert(IPSP_REASON_TERMINATE == (int)IPSP_RELEASE_TERMINATE,
	       "the reason goes out as it is");

/* ---------------------------------------------------------------- operators' open requests */

struct ipspd_op *ipspd_op_find(struct ipspd_ctl *ctl, uint64_t key)
{
	struct ipspd_op *op = &ctl->ops[key % IPSPD_CTL_OPS];

	return key != 0 && op->key == key ? op : NULL;
}

/* It is one of its client's commands no more; true: it was the one that had begun. */
static bool unlink_command(struct ipspd_client *client, const struct ipspd_op *op)
{
	struct ipspd_op *before = NULL;

	for (struct ipspd_op *at = client->commands; at && at != op; at = at->next)
		before = at;
	if (before)
		before->next = op->next;
	else
		client->commands = op->next;
	if (client->last_command == op)
		client->last_command = before;
	return !before;
}

void ipspd_op_answer(struct ipspd_ctl *ctl, struct ipspd_op *op, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_client *client = ctl->clients[op->token % IPSPD_CTL_CLIENTS];
	bool next = false;

	if (client && client->token != op->token)
		client = NULL;
	if (client) { /* one that is closing takes no words */
		client->n_ops--;
		next = op->command && unlink_command(client, op) && !client->closing;
		ipspd_client_put(client, msg);
	}
	ipspd_op_free(ctl, op);
	if (next)
		ipspd_client_command(client);
}

void ipspd_op_free(struct ipspd_ctl *ctl, struct ipspd_op *op)
{
	ctl->n_ops--;
	op->user->n_ops--;
	ipspd_user_unused(ctl, op->user);
	op->key = 0;
}

/* ---------------------------------------------------------------- answers */

IPSP_APART static struct ipsp_ctl_str pool_name(const struct ipspd_ctx *ctx, uint16_t pool)
{
	const struct ipsp_context_conf *conf = ipsp_node_conf(ctx->node);

	return ipsp_ctl_str(pool < conf->n_pools ? conf->pools[pool].name : "");
}

IPSP_APART static void answer_operator(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
				       const struct ipsp_out *out)
{
	const struct ipsp_ctl_str pool = out->err ? ipsp_ctl_str("") : pool_name(ctx, out->pool);
	struct ipspd_op *op = ipspd_op_find(ctl, out->id);

	if (op)
		ipspd_op_answer(ctl, op,
				&(struct ipsp_ctl_msg){.type = IPSP_CTL_ANSWER,
						       .id = op->id,
						       .err = out->err,
						       .addr = out->addr,
						       .plen = out->plen,
						       .pool = pool});
}

/*
 * As many answers as begin @outs with an address of one pool, whose name is @name, for one client:
 * their frames have one size, and room is looked for once. How many; 0: no memory.
 */
static inline size_t put_answers(struct ipspd_client *client, const struct ipsp_out *outs, size_t n,
				 struct ipsp_ctl_str name)
{
	const struct ipsp_out *out = outs, *const end = outs + (n < RUN ? n : RUN);
	const uint64_t token = out->token;
	const uint16_t pool = out->pool;
	const size_t size = ipsp_ctl_answer_size(&(struct ipsp_ctl_answer){.pool = name});
	uint8_t *frame = ipsp_buf_room(&client->out, (size_t)(end - outs) * size);

	if (!frame)
		return 0;
	do {
		const struct ipsp_ctl_answer answer = {out->id, out->addr, 0, out->plen, name};
		ipsp_ctl_put_answer(frame, size, &answer);
		frame += size;
		out++;
	} while (out < end && out->type == IPSP_OUT_ANSWER && out->err == 0 &&
		 out->token == token && out->pool == pool);
	client->out.len = (size_t)(frame - client->out.data);
	return (size_t)(out - outs);
}

/* False: no memory. */
static inline bool put_refusal(struct ipspd_client *client, const struct ipsp_out *out)
{
	const struct ipsp_ctl_answer answer = {out->id, out->addr, out->err, out->plen, {"", 0}};
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

/* To @client as many as can be put at once: how many; 0: no memory. */
static inline size_t put_some(struct ipspd_client *client, const struct ipspd_ctx *ctx,
			      const struct ipsp_out *outs, size_t n)
{
	if (outs->type == IPSP_OUT_DONE)
		return put_done(client, outs);
	if (outs->err)
		return put_refusal(client, outs);
	return put_answers(client, outs, n, pool_name(ctx, outs->pool));
}

size_t ipspd_ctl_answers(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
			 const struct ipsp_out *outs, size_t n)
{
	struct ipspd_client *client = NULL; /* who has .token; NULL: gone */
	uint64_t token = 0;
	size_t i = 0, done;

	for (; i < n && (outs[i].type == IPSP_OUT_ANSWER || is_plain_done(&outs[i])); i += done) {
		const struct ipsp_out *out = &outs[i];

		done = 1;
		if (out->token == 0) {
			answer_operator(ctl, ctx, out);
			continue;
		}
		if (out->token != token) {
			token = out->token;
			client = ipspd_client_find(ctl, token);
			if (client)
				ipspd_client_due(client);
		}
		if (!client)
			continue;
		done = put_some(client, ctx, out, n - i);
		if (done == 0) {
			ipspd_client_broken(client);
			client = NULL;
			done = 1;
		}
	}
	return i;
}

/* ---------------------------------------------------------------- all other outs */

/* Beside the line that says who asked for it: how it ended. */
static void log_end(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx, const char *command,
		    const struct ipsp_out *out)
{
	const char *text = out->text && *out->text ? out->text : ipsp_err_text(out->err);

	if (out->err)
		ipspd_often_say(ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE,
				"%s: %s ended with %s: %s", ctx->name, command,
				ipsp_err_word(out->err), text);
	else
		ipspd_often_say(ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE, "%s: %s: done%s%s",
				ctx->name, command, out->text && *out->text ? ": " : "",
				out->text ? out->text : "");
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
	op = ipspd_op_find(ctl, out->id);
	if (!op)
		return;
	if (op->command || op->is_release)
		log_end(ctl, ctx, op->is_release ? "release" : op->command, out);
	client = ipspd_client_find(ctl, op->token);
	if (client && op->is_check) {
		text = ipspd_show_differences(ctx, out->err, out->text);
		if (text)
			ipspd_client_text(client, op->id, text, strlen(text));
		free(text);
	}
	ipspd_op_answer(ctl, op,
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
	case IPSP_OUT_NOTE:
	case IPSP_OUT_STOPPED:
	case IPSP_OUT_TYPES:
		break;
	}
}
