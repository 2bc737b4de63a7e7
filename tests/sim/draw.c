/* draw - the configuration and the hardness of one seed's run. */
#include "plan.h"
#include <stdio.h>
#include <string.h>

static uint32_t draw_size(struct sim_rand *r)
{
	uint64_t kind = rand_below(r, 100);

	if (kind < 55)
		return (uint32_t)rand_range(r, 4, 12);
	if (kind < 90)
		return (uint32_t)rand_range(r, 13, 60);
	return (uint32_t)rand_range(r, 61, 300);
}

static void draw_pool(struct plan *plan, uint32_t i, uint32_t size)
{
	struct sim_rand *r = &plan->rand;
	struct ipsp_pool_conf *pool = &plan->pools[i];

	*pool = (struct ipsp_pool_conf){.base = ipsp_addr_v4(0x0a010001 + (i << 16)),
					.size = size,
					.plen = 32,
					.priority = (uint8_t)rand_below(r, 3)};
	snprintf(pool->name, sizeof(pool->name), "pool-%c", (char)('a' + i));
	if (rand_chance(r, 500))
		snprintf(pool->group, sizeof(pool->group), "g%u", (unsigned)rand_below(r, 2));
	if (i > 0 && rand_chance(r, 300)) /* the first stays public: the last probes need one */
		pool->type = IPSP_POOL_PRIVATE;
	if (rand_chance(r, 250))
		pool->hold_s = (uint32_t)rand_range(r, 1, 30);
	else if (rand_chance(r, 100))
		pool->quarantine_s = (uint32_t)rand_range(r, 20, 40);
}

static void draw_pools(struct plan *plan)
{
	struct sim_rand *r = &plan->rand;
	uint32_t n = rand_chance(r, 600) ? 1 : (uint32_t)rand_range(r, 2, 4), total = draw_size(r);
	uint32_t each = total / n < 2 ? 2 : total / n;

	for (uint32_t i = 0; i < n; i++)
		draw_pool(plan, i, each);
	if (rand_chance(r, 100)) {
		draw_pool(plan, n, 4);
		plan->pools[n].type = IPSP_POOL_STATIC;
		plan->pools[n].hold_s = plan->pools[n].quarantine_s = 0;
		n++;
	}
	plan->conf.pools = plan->pools;
	plan->conf.n_pools = n;
	plan->conf.n_mns = (uint32_t)(each * n * rand_range(r, 5, 15) / 10 + 2);
}

static uint32_t draw_dead(struct plan *plan, uint32_t hello)
{
	struct sim_rand *r = &plan->rand;
	uint32_t least = 4 * hello < 2000 ? 2000 : 4 * hello;

	if (rand_chance(r, 80))
		return 0;
	return (uint32_t)rand_range(r, least, rand_chance(r, 200) ? 30000 : least + 6000);
}

static void draw_timers(struct plan *plan)
{
	struct sim_rand *r = &plan->rand;
	struct world_conf *c = &plan->conf;
	uint32_t hello;

	c->hello_ms[0] = (uint32_t)rand_range(r, 2, 10) * 100;
	c->hello_ms[1] =
		rand_chance(r, 400) ? (uint32_t)rand_range(r, 2, 10) * 100 : c->hello_ms[0];
	hello = c->hello_ms[0] > c->hello_ms[1] ? c->hello_ms[0] : c->hello_ms[1];
	c->dead_ms[0] = draw_dead(plan, hello);
	c->dead_ms[1] = rand_chance(r, 250) ? draw_dead(plan, hello) : c->dead_ms[0];
	c->request_timeout_ms = (uint32_t)rand_range(r, 8, 30) * 100;
	c->release_timeout_ms = (uint32_t)rand_range(r, 200, c->request_timeout_ms - 500);
	plan->dead_max = SIM_MS(10 * hello);
	for (unsigned i = 0; i < 2; i++) {
		if (plan->dead_max < SIM_MS(c->dead_ms[i]))
			plan->dead_max = SIM_MS(c->dead_ms[i]);
	}
}

static void draw_rest(struct plan *plan)
{
	static const uint32_t blocks[] = {0, 0, 1, 2, 8, 32};
	struct sim_rand *r = &plan->rand;
	struct world_conf *c = &plan->conf;

	c->block_size = blocks[rand_below(r, sizeof(blocks) / sizeof(blocks[0]))];
	c->reserved = rand_chance(r, 700) ? 0 : (uint8_t)rand_range(r, 5, 50);
	c->durability = rand_chance(r, 250) ? IPSP_DURABLE_POWER : IPSP_DURABLE_CRASH;
	c->has_hook = rand_chance(r, 250);
	c->has_key = rand_chance(r, 500);
	c->n_has[0] = (unsigned)rand_range(r, 1, 2);
	c->n_has[1] = (unsigned)rand_range(r, 1, 2);
}

static void draw_hardness(struct plan *plan)
{
	struct sim_rand *r = &plan->rand;
	sim_us length = plan->dead_max * rand_range(r, 4, 10);

	plan->length = length < SIM_MS(15000)	 ? SIM_MS(15000)
		       : length > SIM_MS(120000) ? SIM_MS(120000)
						 : length;
	plan->calm.delay = rand_range(r, 100, 5000);
	if (rand_chance(r, 500)) {
		plan->calm.jitter = rand_range(r, 0, 50000);
		plan->calm.loss = (unsigned)rand_range(r, 0, 100);
		plan->calm.repeat = (unsigned)rand_range(r, 0, 50);
		plan->calm.corrupt = (unsigned)rand_range(r, 0, 20);
		plan->calm.replay = (unsigned)rand_range(r, 0, 50);
	}
	plan->flush_max = (unsigned)rand_range(r, 500, 20000);
	plan->fault_gap = plan->length / rand_range(r, 2, 25);
	plan->load_gap = SIM_MS(rand_range(r, 20, 1500));
	plan->to_s = (unsigned)rand_below(r, 1001);
	plan->hot = (unsigned)rand_below(r, 400);
	for (unsigned i = 0; i < PLAN_ACTS; i++)
		plan->weight[i] = rand_chance(r, 500) ? 0 : (unsigned)rand_range(r, 1, 8);
}

/*
 * Demand that leaves one side with many unused addresses, and then turns to the other: what blocks,
 * marks, and unused ones that come back are for.
 */
static void draw_rush(struct plan *plan, uint64_t seed)
{
	struct sim_rand r = {.state = seed ^ 0x72757368ULL};
	struct world_conf *c = &plan->conf;

	if (!rand_chance(&r, 100))
		return;
	c->n_pools = 1;
	plan->pools[0].size = (uint32_t)rand_range(&r, 40, 150);
	plan->pools[0].type = IPSP_POOL_PUBLIC;
	c->block_size = rand_chance(&r, 600) ? 0 : (uint32_t)rand_range(&r, 2, 40);
	c->n_mns = plan->pools[0].size * (uint32_t)rand_range(&r, 8, 13) / 10;
	plan->load_gap = SIM_MS(rand_range(&r, 10, 60));
	plan->to_s = rand_chance(&r, 700) ? 950 : 50;
	plan->hot /= 8;
	plan->rush_at = SIM_MS(rand_range(&r, 5000, 15000));
}

/* Two files from one template: both sides are primary, until an operator has seen it. */
static void draw_roles(struct plan *plan, uint64_t seed)
{
	struct sim_rand r = {.state = seed ^ 0x726f6c65ULL};

	if (rand_chance(&r, 50))
		plan->mend_at = SIM_MS(rand_range(&r, 5000, 14000));
}

/* A side that owns all, alone, and has sessions, meets one that knows of nothing: chance alone
 * would rarely lead there. */
static void draw_parting(struct plan *plan, uint64_t seed)
{
	struct sim_rand r = {.state = seed ^ 0x70617274ULL};

	if (plan->mend_at != 0 || !rand_chance(&r, 50))
		return;
	plan->part_at = SIM_MS(rand_range(&r, 5000, 9000));
	plan->part_side = rand_chance(&r, 300);
}

/* Session keys of a few seconds, or of a few datagrams; or one side is older and renews none. */
static void draw_renewal(struct plan *plan, uint64_t seed)
{
	struct sim_rand r = {.state = seed ^ 0x72656e6577ULL};
	struct world_conf *c = &plan->conf;

	if (rand_chance(&r, 500))
		return;
	for (unsigned i = 0; i < 2; i++)
		c->renew_ms[i] = (uint32_t)rand_range(&r, 1, rand_chance(&r, 500) ? 5000 : 30000);
	if (rand_chance(&r, 500))
		c->renew_ms[1] = c->renew_ms[0];
	if (rand_chance(&r, 200))
		c->renew_ms[rand_below(&r, 2)] = IPSP_RENEW_MS;
	if (rand_chance(&r, 300))
		c->renew_datagrams = rand_range(&r, 3, 300);
	if (rand_chance(&r, 50))
		c->no_renewal[rand_below(&r, 2)] = true;
}

void plan_draw(struct plan *plan, uint64_t seed)
{
	plan->rand.state = seed ^ 0x706c616eULL;
	plan->load_rand = rand_fork(&plan->rand);
	draw_pools(plan);
	draw_timers(plan);
	draw_rest(plan);
	draw_hardness(plan);
	draw_rush(plan, seed);
	draw_roles(plan, seed);
	draw_parting(plan, seed);
	draw_renewal(plan, seed);
}
