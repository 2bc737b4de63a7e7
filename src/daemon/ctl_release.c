/*
 * An operator's release that an HA has no say in, and that of all sessions of one name. For one
 * session it is a step of the node like any other release; a name may have a million, which are
 * gone through in slices, a turn for each.
 */
#include "base/ident.h"
#include "daemon/ctl_int.h"
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- one session */

static bool is_named_right(const struct ipsp_ctl_msg *msg)
{
	return (msg->subscriber.n == 0 || ipsp_text_ok(msg->subscriber.p, msg->subscriber.n)) &&
	       (msg->session.n == 0 || ipsp_text_ok(msg->session.p, msg->session.n));
}

void ipspd_release_one(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_ctx *ctx = ipspd_client_context(client, msg);
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE,
				.force = (msg->flags & IPSP_CTL_FORCE) != 0};
	char text[256];
	struct ipspd_op *op;

	if (!ctx)
		return;
	if (ipsp_addr_parse(ipspd_ctl_copy(text, &msg->argument), &ev.addr) != 0 ||
	    !is_named_right(msg)) {
		ipspd_client_done(client, msg->id, IPSP_ERR_INVALID,
				  "a release names an address, and may name the session");
		return;
	}
	op = ipspd_client_op(client, msg->id, ctx);
	if (!op)
		return;
	ev.ident = (struct ipsp_ident){msg->subscriber.n > 0 ? msg->subscriber.p : NULL,
				       msg->session.p, (uint8_t)msg->subscriber.n,
				       (uint8_t)msg->session.n, 0};
	ev.id = op->key;
	op->is_release = true;
	ipspd_often_say(client->ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE,
			"%s: release %s%s, asked for by %s", ctx->name, text,
			ev.force ? " by force" : "", ipspd_client_words(client));
	ipspd_post(ctx, &ev);
}

/* ---------------------------------------------------------------- all of a name */

/* False: nobody of that name is there. */
static bool find_ha(const struct ipspd_ctx *ctx, const char *name, struct ipsp_ha_view *view)
{
	uint32_t cursor = 0;

	while (ipsp_node_ha(ctx->node, &cursor, view))
		if (strcmp(view->name, name) == 0)
			return true;
	return false;
}

/* Says who has some. */
static void no_sessions(struct ipspd_client *client, uint64_t id, const struct ipspd_ctx *ctx,
			const char *name)
{
	const char *before = "; these names have some: ";
	struct ipsp_ha_view view;
	char text[2048];
	uint32_t cursor = 0;
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "no session belongs to the HA \"%s\"", name);
	while (n + 2 * IPSP_NAME_MAX < sizeof(text) && ipsp_node_ha(ctx->node, &cursor, &view)) {
		if (view.sessions == 0)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", before, view.name);
		before = ", ";
	}
	ipspd_client_done(client, id, IPSP_ERR_NO_SUCH_SESSION, text);
}

void ipspd_release_ha(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	struct ipspd_ctx *ctx = ipspd_client_context(client, msg);
	struct ipsp_ha_view view;
	struct ipspd_job *job;
	char name[256];

	if (!ctx)
		return;
	ipspd_ctl_copy(name, &msg->argument);
	if (!find_ha(ctx, name, &view) || view.sessions == 0) {
		no_sessions(client, msg->id, ctx, name);
		return;
	}
	job = ipspd_job_queue(client, msg->id, IPSPD_JOB_RELEASE, ctx);
	if (!job)
		return;
	memcpy(job->ha, name, strlen(name) + 1); /* a name that is there is no longer than that */
	job->force = (msg->flags & IPSP_CTL_FORCE) != 0;
	job->attached = view.attached;
	ipspd_often_say(client->ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE,
			"%s: release of the %u session%s of the HA %s%s, asked for by %s",
			ctx->name, view.sessions, view.sessions == 1 ? "" : "s", name,
			job->force ? " by force" : "", ipspd_client_words(client));
}

/* The node's to be changed, of what a job may only look at. */
static struct ipspd_ctx *ctx_of(const struct ipspd_client *client, const struct ipspd_job *job)
{
	return ipspd_ctx_find(client->ctl->daemon, job->ctx->name);
}

static void post_release(struct ipspd_ctx *ctx, const struct ipspd_job *job,
			 const struct ipsp_session_view *view)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE,
				.force = job->force,
				.addr = view->addr,
				.ident = view->bind.ident};

	ev.of_ha = job->ha; /* who has it by then may be another one */
	ipspd_post(ctx, &ev);
}

static void say_end(struct ipspd_client *client, const struct ipspd_job *job)
{
	const char *s = job->found == 1 ? "" : "s";
	char text[512];
	int n;

	n = snprintf(text, sizeof(text),
		     "{\"ok\":true,\"sessions\":%u,\"attached\":%s,\"ended\":%s}", job->found,
		     job->attached ? "true" : "false", job->force ? "true" : "false");
	ipspd_client_text(client, job->id, text, (size_t)n);
	if (job->force)
		snprintf(text, sizeof(text),
			 "%u session%s of the HA %s ended %s: where that still runs, the "
			 "address%s may be used twice",
			 job->found, s, job->ha,
			 job->attached ? "without waiting for it; it is told" : "without it",
			 job->found == 1 ? "" : "es");
	else if (job->attached)
		snprintf(text, sizeof(text), "the HA %s is asked to end %u session%s", job->ha,
			 job->found, s);
	else
		snprintf(text, sizeof(text),
			 "the HA %s is not attached: it is asked to end %u session%s when it "
			 "comes; where it is gone for good, say --force",
			 job->ha, job->found, s);
	ipspd_often_say(client->ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE, "%s: %s", job->ctx->name,
			text);
	ipspd_client_done(client, job->id, 0, text);
}

bool ipspd_release_work(struct ipspd_client *client, struct ipspd_job *job)
{
	struct ipspd_ctx *ctx = ctx_of(client, job);
	struct ipsp_session_view view;

	if (job->ended) { /* what was posted last has been done in this turn */
		say_end(client, job);
		return true;
	}
	for (int visits = IPSPD_VISITS; visits > 0; visits--) {
		if (!ipsp_node_session(job->ctx->node, &job->cursor, &view)) {
			job->ended = true;
			break;
		}
		if (strcmp(view.ha, job->ha) != 0)
			continue;
		post_release(ctx, job, &view);
		job->found++;
	}
	return false;
}
