#include "context.h"
#include <stdio.h>
#include <string.h>

static void name(struct ipsp_pool_conf *pool, const char *text, const char *group)
{
	snprintf(pool->name, sizeof(pool->name), "%s", text);
	snprintf(pool->group, sizeof(pool->group), "%s", group);
}

void fuzz_context(struct ipsp_context_conf *conf, struct ipsp_pool_conf pools[FUZZ_POOLS],
		  enum ipsp_role role, enum ipsp_mode mode)
{
	struct ipsp_psp_conf *psp;

	pools[0] = (struct ipsp_pool_conf){.base = ipsp_addr_v4(0x0a010001),
					   .size = 16,
					   .plen = 32,
					   .hold_s = 60,
					   .quarantine_s = 20};
	pools[1] = (struct ipsp_pool_conf){.type = IPSP_POOL_PRIVATE,
					   .priority = 3,
					   .base = ipsp_addr_v4(0x0a020001),
					   .size = 5,
					   .plen = 32};
	pools[2] = (struct ipsp_pool_conf){
		.base = {0x20010db8ULL << 32, 0}, .size = 4, .plen = 64, .shift = 64};
	pools[3] = (struct ipsp_pool_conf){
		.type = IPSP_POOL_STATIC, .base = ipsp_addr_v4(0x0a030001), .size = 3, .plen = 32};
	name(&pools[0], "pool-a", "");
	name(&pools[1], "pool-b", "g");
	name(&pools[2], "pool-p", "");
	name(&pools[3], "pool-s", "");
	ipsp_conf_init(conf, "isp1");
	conf->pools = pools;
	conf->n_pools = FUZZ_POOLS;
	psp = &conf->psp;
	psp->enabled = true;
	snprintf(psp->interface, sizeof(psp->interface), "lan");
	psp->address = ipsp_addr_v4(0xc0000201);
	psp->peer = ipsp_addr_v4(0xc0000202);
	psp->address_plen = 24;
	psp->role = role;
	psp->mode = mode;
	psp->dead_interval_ms = 30000;
	psp->hello_interval_ms = 1000;
	psp->request_timeout_ms = 3000;
	psp->release_timeout_ms = 2000;
	psp->block_size = 1;
	psp->n_keys = 1;
	memset(psp->keys[0], 0x5a, sizeof(psp->keys[0]));
}
