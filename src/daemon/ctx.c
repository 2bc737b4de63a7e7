#include "daemon/ctx.h"
#include "daemon/config.h"
#include "daemon/lease.h"
#include "daemon/secret.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

ipsp_ms ipspd_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts); /* goes on while the host sleeps, and never back */
	return (ipsp_ms)ts.tv_sec * 1000 + (ipsp_ms)ts.tv_nsec / 1000000;
}

struct ipspd_ctx *ipspd_ctx_find(struct ipspd *daemon, const char *name)
{
	if (!name || !*name)
		return daemon->n_ctxs == 1 ? daemon->ctxs[0] : NULL;
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		if (strcmp(daemon->ctxs[i]->name, name) == 0)
			return daemon->ctxs[i];
	return NULL;
}

int ipspd_ctx_renew_node(struct ipspd_ctx *ctx)
{
	struct ipsp_node_init init = {
		.conf = &ctx->conf,
		.has_hook = true, /* where none is configured, the answer is yes, at once: a reload
				     may add one */
		.version = IPSPD_VERSION,
		.now = ipspd_now(),
	};
	const void *secrets;
	size_t n_secrets;

	if (getrandom(init.seed, sizeof(init.seed), 0) != (ssize_t)sizeof(init.seed))
		return IPSP_ERR_NOMEM; /* can't happen for so few bytes; without them there is no
					  node */
	struct ipsp_node *node = ipsp_node_new(&init);
	explicit_bzero(init.seed, sizeof(init.seed));
	if (!node)
		return IPSP_ERR_NOMEM;
	ipsp_node_free(ctx->node);
	ctx->node = node;
	secrets = ipsp_node_secrets(node, &n_secrets);
	ipspd_secret_memory(secrets, n_secrets);
	return 0;
}

struct ipspd_ctx *ipspd_ctx_new(struct ipspd *daemon, const struct ipsp_context_conf *conf)
{
	struct ipspd_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ipspd_secret_memory(&ctx->conf, sizeof(ctx->conf));
	ctx->daemon = daemon;
	ctx->lease_fd = -1;
	ctx->due = IPSP_NEVER; /* before its start */
	ctx->look = true;
	memcpy(ctx->name, conf->name, sizeof(ctx->name));
	ipsp_actions_init(&ctx->act);
	if (ipsp_conf_copy(&ctx->conf, conf) != 0)
		memset(&ctx->conf, 0, sizeof(ctx->conf));
	else if (ipspd_ctx_renew_node(ctx) == 0)
		return ctx;
	ipspd_ctx_free(ctx);
	return NULL;
}

int ipspd_ctx_open_lease(struct ipspd_ctx *ctx)
{
	if (ctx->lease_fd < 0)
		ctx->lease_fd = ipspd_lease_open(ctx->daemon->config->state_directory, ctx->name);
	return ctx->lease_fd < 0 ? IPSP_ERR_IO : 0;
}

struct ipspd_udp_stats ipspd_ctx_udp_stats(const struct ipspd_ctx *ctx)
{
	struct ipspd_udp_stats sum = ctx->closed_udp_stats;

	if (ctx->udp) {
		const struct ipspd_udp_stats *open = ipspd_udp_stats(ctx->udp);
#define ADD(field, name, text) sum.field += open->field;
		IPSPD_UDP_STATS(ADD)
#undef ADD
	}
	return sum;
}

void ipspd_ctx_close_udp(struct ipspd_ctx *ctx)
{
	ctx->closed_udp_stats = ipspd_ctx_udp_stats(ctx); /* counters only grow */
	ipspd_udp_free(ctx->udp);
	ctx->udp = NULL;
}

void ipspd_ctx_free(struct ipspd_ctx *ctx)
{
	if (!ctx)
		return;
	ipspd_unqueue(ctx);
	ipspd_ctx_close_udp(ctx);
	if (ctx->node)
		ipsp_node_free(ctx->node);
	if (ctx->lease_fd >= 0)
		close(ctx->lease_fd);
	ipsp_actions_fini(&ctx->act);
	ipspd_inbox_fini(&ctx->inbox);
	ipspd_inbox_fini(&ctx->work);
	ipsp_conf_fini(&ctx->conf);
	free(ctx);
}

bool ipspd_ctx_add(struct ipspd *daemon, struct ipspd_ctx *ctx)
{
	struct ipspd_ctx **more = realloc(daemon->ctxs, (daemon->n_ctxs + 1) * sizeof(*more));

	if (!more)
		return false;
	daemon->ctxs = more;
	daemon->ctxs[daemon->n_ctxs++] = ctx;
	ipspd_queue(ctx); /* its node is to be started */
	return true;
}

void ipspd_queue(struct ipspd_ctx *ctx)
{
	struct ipspd *daemon = ctx->daemon;

	if (ctx->queued)
		return;
	ctx->queued = true;
	ctx->queue_next = NULL;
	if (!daemon->queue)
		daemon->queue_end = &daemon->queue;
	*daemon->queue_end = ctx;
	daemon->queue_end = &ctx->queue_next;
}

void ipspd_unqueue(struct ipspd_ctx *ctx)
{
	struct ipspd *daemon = ctx->daemon;
	struct ipspd_ctx **link = &daemon->queue;

	if (!ctx->queued)
		return;
	while (*link != ctx)
		link = &(*link)->queue_next;
	*link = ctx->queue_next;
	if (!*link)
		daemon->queue_end = link;
	ctx->queued = false;
}

bool ipspd_ctx_shared_out(const struct ipspd_ctx *ctx)
{
	uint64_t ours = 0, peers = 0, on_their_way = 0;
	struct ipsp_pool_status pool;
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	for (uint32_t i = 0; i < status.conf->n_pools; i++) {
		ipsp_node_pool_status(ctx->node, (uint16_t)i, &pool);
		if (pool.conf->type == IPSP_POOL_STATIC)
			continue;
		ours += pool.used + pool.free + pool.hold + pool.quarantine - pool.reclaimed;
		peers += pool.released + pool.reclaimed;
		on_their_way += pool.in_transit;
	}
	return on_their_way > 0 || (ours > 0 && peers > 0);
}
