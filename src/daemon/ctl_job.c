/*
 * What is done for a client at the end of a turn: lists, shows, reload and save. A client's jobs
 * are done one after the other, and long ones in slices: as fast as the client reads, one slice a
 * turn. A show other than of sessions is made at once, and told in slices.
 */
#include "daemon/ctl_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 16384 /* of a reload: a line for each fault of the file */

_Static_assert(WHY_BYTES <= IPSP_CTL_TEXT_MAX, "it goes into one frame");

struct ipspd_job *ipspd_job_queue(struct ipspd_client *client, uint64_t id,
				  enum ipspd_job_kind kind, const struct ipspd_ctx *ctx)
{
	struct ipspd_job *job = client->n_jobs < IPSPD_CTL_JOBS ? calloc(1, sizeof(*job)) : NULL;

	if (!job) {
		ipspd_client_done(client, id, IPSP_ERR_OVERLOADED, "");
		return NULL;
	}
	job->kind = kind;
	job->id = id;
	job->ctx = ctx;
	*client->jobs_end = job;
	client->jobs_end = &job->next;
	client->n_jobs++;
	ipspd_client_due(client);
	return job;
}

/* True when that was the last of it. */
static bool work_list(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	struct ipsp_session_view view;
	struct ipsp_status status;

	ipsp_node_status(job->ctx->node, ipspd_now(), &status);
	for (int visits = IPSPD_VISITS; visits > 0 && ipspd_client_pending(client) < max;
	     visits--) {
		const struct ipsp_bind *bind = &view.bind;
		const struct ipsp_pool_conf *pool;

		if (!ipsp_node_session(job->ctx->node, &job->cursor, &view)) {
			ipspd_client_done(client, job->id, 0, "");
			return true;
		}
		if (strcmp(view.ha, client->ha) != 0)
			continue;
		pool = &status.conf->pools[bind->pool];
		ipspd_client_put(
			client,
			&(struct ipsp_ctl_msg){
				.type = IPSP_CTL_SESSION,
				.id = job->id,
				.addr = view.addr,
				.plen = pool->plen,
				.pool = ipsp_ctl_str(pool->name),
				.subscriber = {bind->ident.subscriber, bind->ident.n_subscriber},
				.session = {bind->ident.session, bind->ident.n_session}});
	}
	return false;
}

/* Says which there are, in the context of the job or in all. */
static void unknown_pool(struct ipspd_client *client, const struct ipspd_job *job)
{
	const struct ipspd *daemon = client->ctl->daemon;
	const char *before = "";
	char text[2048];
	size_t n, pools = 0;

	n = (size_t)snprintf(text, sizeof(text),
			     "there is no pool \"%s\"; there are: ", job->sessions.pool);
	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		const struct ipsp_context_conf *conf = ipsp_node_conf(daemon->ctxs[i]->node);

		if (job->ctx && job->ctx != daemon->ctxs[i])
			continue;
		for (uint32_t p = 0; p < conf->n_pools; p++, pools++) {
			if (n + 2 * IPSP_NAME_MAX >= sizeof(text))
				continue; /* the first ones are enough */
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", before,
					      conf->pools[p].name);
			before = ", ";
		}
	}
	ipspd_client_done(client, job->id, IPSP_ERR_UNKNOWN_POOL, pools > 0 ? text : "");
}

static bool work_sessions(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	struct ipsp_buf text = {0};

	if (job->wrong) {
		ipspd_client_done(client, job->id, IPSP_ERR_INVALID, job->wrong);
		return true;
	}
	if (!job->sessions.begun && job->sessions.pool[0] &&
	    !ipspd_show_has_pool(job->ctx, job->sessions.pool)) {
		unknown_pool(client, job);
		return true;
	}
	if (!ipspd_show_sessions(&job->sessions, job->ctx, max, IPSPD_VISITS, &text)) {
		ipsp_buf_fini(&text);
		ipspd_client_done(client, job->id, IPSP_ERR_OVERLOADED, "memory ran out");
		return true;
	}
	ipspd_client_text(client, job->id, (const char *)text.data, text.len);
	ipsp_buf_fini(&text);
	if (job->sessions.ended)
		ipspd_client_done(client, job->id, 0, "");
	return job->sessions.ended;
}

static bool work_duplicates(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	struct ipsp_buf text = {0};

	if (!ipspd_show_duplicates(&job->duplicates, job->ctx, max, &text)) {
		ipsp_buf_fini(&text);
		ipspd_client_done(client, job->id, IPSP_ERR_OVERLOADED, "memory ran out");
		return true;
	}
	ipspd_client_text(client, job->id, (const char *)text.data, text.len);
	ipsp_buf_fini(&text);
	if (job->duplicates.ended)
		ipspd_client_done(client, job->id, 0, "");
	return job->duplicates.ended;
}

static char *show_text(struct ipspd *daemon, const struct ipspd_job *job)
{
	if (strcmp(job->name, "ipsp") == 0)
		return ipspd_show_ipsp(daemon, job->ctx);
	if (strcmp(job->name, "ok-to-stop") == 0)
		return ipspd_show_ok_to_stop(daemon, job->ctx);
	if (strcmp(job->name, "configuration") == 0)
		return ipspd_show_configuration(daemon, job->ctx);
	if (strcmp(job->name, "pool") == 0)
		return ipspd_show_pools(daemon, job->ctx, job->sessions.pool);
	if (strcmp(job->name, "counters") == 0)
		return ipspd_show_counters(daemon, job->ctx);
	if (strcmp(job->name, "metrics") == 0)
		return ipspd_show_metrics(daemon, job->ctx);
	return ipspd_show_log(daemon, job->ctx, job->n);
}

static bool is_show(const char *name)
{
	static const char *const names[] = {"ipsp",	"ok-to-stop", "configuration", "pool",
					    "counters", "log",	      "metrics"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool any_has_pool(const struct ipspd *daemon, const struct ipspd_job *job)
{
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		if ((!job->ctx || job->ctx == daemon->ctxs[i]) &&
		    ipspd_show_has_pool(daemon->ctxs[i], job->sessions.pool))
			return true;
	return false;
}

/* The next slice. The text is of one moment, so it is made at once; a client that reads has all of
 * it, however long it is. */
static bool tell_text(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	const size_t rest = job->n_text - job->told, n = rest < max ? rest : max;

	ipspd_client_text(client, job->id, job->text + job->told, n);
	job->told += n;
	if (job->told < job->n_text)
		return false;
	ipspd_client_done(client, job->id, 0, "");
	return true;
}

static bool work_show(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	struct ipspd *daemon = client->ctl->daemon;

	if (job->text)
		return tell_text(client, job, max);
	if (strcmp(job->name, "sessions") == 0 || job->sessions.count)
		return work_sessions(client, job, max);
	if (strcmp(job->name, "duplicates") == 0)
		return work_duplicates(client, job, max);
	if (!is_show(job->name)) {
		ipspd_client_done(client, job->id, IPSP_ERR_INVALID,
				  "there is nothing of that name to show");
		return true;
	}
	if (job->sessions.pool[0] && !any_has_pool(daemon, job)) {
		unknown_pool(client, job);
		return true;
	}
	job->text = show_text(daemon, job);
	job->n_text = job->text ? strlen(job->text) : 0;
	if (job->text)
		return tell_text(client, job, max);
	ipspd_client_done(client, job->id, IPSP_ERR_OVERLOADED, "memory ran out");
	return true;
}

/* Who asked has every reason; the log has the first. What was read again says so itself. */
static void log_end(struct ipspd_ctl *ctl, enum ipspd_job_kind kind, int err, const char *why)
{
	const int first = (int)strcspn(why, "\n");

	if (err)
		ipspd_often_say(ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_WARNING, "%s: %.*s%s",
				kind == IPSPD_JOB_RELOAD ? "not reloaded" : "not saved", first, why,
				why[first] ? " (and more)" : "");
	else if (kind == IPSPD_JOB_SAVE)
		ipspd_often_say(ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE,
				"the configuration was saved");
}

static bool work_file(struct ipspd_client *client, struct ipspd_job *job)
{
	struct ipspd *daemon = client->ctl->daemon;
	char why[WHY_BYTES] = "";
	int err;

	ipspd_often_say(client->ctl, IPSPD_OFTEN_COMMAND, IPSP_LOG_NOTICE, "%s, asked for by %s",
			job->kind == IPSPD_JOB_RELOAD ? "reload" : "save configuration",
			ipspd_client_words(client));
	if (job->kind == IPSPD_JOB_RELOAD)
		err = ipspd_reload(daemon, why, sizeof(why));
	else
		err = ipspd_save(daemon, why, sizeof(why));
	log_end(client->ctl, job->kind, err, why);
	ipspd_client_done(client, job->id, err, why);
	return true;
}

static bool work_on(struct ipspd_client *client, struct ipspd_job *job, size_t max)
{
	if (job->ctx_gone) {
		ipspd_client_done(client, job->id, IPSP_ERR_UNKNOWN_CONTEXT, "");
		return true;
	}
	switch (job->kind) {
	case IPSPD_JOB_LIST:
		return work_list(client, job, max);
	case IPSPD_JOB_SHOW:
		return work_show(client, job, max);
	case IPSPD_JOB_RELOAD:
	case IPSPD_JOB_SAVE:
		return work_file(client, job);
	case IPSPD_JOB_RELEASE:
		return ipspd_release_work(client, job);
	}
	return true;
}

static void free_job(struct ipspd_job *job)
{
	free(job->text);
	free(job);
}

void ipspd_jobs_drop(struct ipspd_client *client)
{
	struct ipspd_job *next;

	for (struct ipspd_job *job = client->jobs; job; job = next) {
		next = job->next;
		free_job(job);
	}
	client->jobs = NULL;
	client->jobs_end = &client->jobs;
	client->n_jobs = 0;
}

void ipspd_jobs_forget(struct ipspd_client *client, const struct ipspd_ctx *ctx)
{
	for (struct ipspd_job *job = client->jobs; job; job = job->next)
		if (job->ctx == ctx)
			job->ctx_gone = true;
}

void ipspd_jobs_work(struct ipspd_client *client, size_t max)
{
	while (client->jobs && ipspd_client_pending(client) < max) {
		struct ipspd_job *job = client->jobs;

		if (!work_on(client, job, max))
			return; /* a slice is enough for one turn */
		client->jobs = job->next;
		if (!client->jobs)
			client->jobs_end = &client->jobs;
		client->n_jobs--;
		free_job(job);
		if (ipspd_now() >= client->ctl->jobs_until)
			return;
	}
}
