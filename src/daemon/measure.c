#include "daemon/measure.h"
#include "base/attr.h"
#include "daemon/ctx.h"
#include <time.h>

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t given(const struct ipspd_ctx *turn)
{
	uint64_t sum = 0;

	for (const struct ipspd_ctx *ctx = turn; ctx; ctx = ctx->turn_next)
		sum += ipsp_node_stats(ctx->node)->requests_local;
	return sum;
}

IPSP_APART void ipspd_measure_begin(struct ipspd_measure *measure, const struct ipspd_ctx *turn)
{
	measure->on = true;
	measure->given = given(turn);
	measure->begun_us = monotonic_us();
}

/* A turn that gave nothing uses up no measure: the next one that does is measured. */
IPSP_APART void ipspd_measure_end(struct ipspd_measure *measure, const struct ipspd_ctx *turn,
				  ipsp_ms now)
{
	const uint64_t n = given(turn) - measure->given;

	measure->on = false;
	if (n == 0)
		return;
	measure->next = now + IPSPD_MEASURE_MS;
	ipsp_histogram_add(&measure->grants, monotonic_us() - measure->begun_us, n);
}
