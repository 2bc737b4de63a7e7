/*
 * conf - the check, the comparison and the encoding of a context's configuration.
 */
#include "base/err.h"
#include "core/conf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- a good configuration */

#define POOLS 4

static struct ipsp_pool_conf v4_pool(const char *name, uint32_t base, uint32_t size)
{
	struct ipsp_pool_conf pool = {.base = ipsp_addr_v4(base), .size = size, .plen = 32};

	snprintf(pool.name, sizeof(pool.name), "%s", name);
	return pool;
}

static struct ipsp_pool_conf v6_pool(const char *name, uint64_t hi, uint8_t plen, uint32_t size)
{
	struct ipsp_pool_conf pool = {
		.base = {hi, 0}, .size = size, .plen = plen, .shift = (uint8_t)(128 - plen)};

	snprintf(pool.name, sizeof(pool.name), "%s", name);
	return pool;
}

static void good(struct ipsp_context_conf *conf)
{
	ipsp_conf_init(conf, "isp1");
	conf->pools = (struct ipsp_pool_conf *)calloc(POOLS, sizeof(*conf->pools));
	assert_non_null(conf->pools);
	conf->n_pools = POOLS;
	conf->pools[0] = v4_pool("pool-a", 0x0a010001, 65534); /* 10.1.0.1 to 10.1.255.254 */
	conf->pools[0].netlen = 16;
	snprintf(conf->pools[0].group, IPSP_NAME_MAX, "dyn");
	conf->pools[1] = v4_pool("pool-b", 0x0a020001, 254);
	conf->pools[1].type = IPSP_POOL_PRIVATE;
	conf->pools[1].priority = 3;
	conf->pools[1].quarantine_s = 60;
	conf->pools[2] = v6_pool("pool-c", UINT64_C(0x20010db800000000), 64, 1u << 24);
	conf->pools[2].hold_s = 300;
	conf->pools[3] = v4_pool("pool-d", 0x0a030000, 16);
	conf->pools[3].type = IPSP_POOL_STATIC;
	conf->psp.enabled = true;
	snprintf(conf->psp.interface, IPSP_NAME_MAX, "ipsp-lan");
	conf->psp.address = ipsp_addr_v4(0xc0000201); /* 192.0.2.1/24 */
	conf->psp.address_plen = 24;
	conf->psp.peer = ipsp_addr_v4(0xc0000202);
	conf->psp.role = IPSP_ROLE_PRIMARY;
}

/* ---------------------------------------------------------------- faults */

struct faults {
	int n;
	char text[2048]; /* "key: text\n" ... */
};

static void collect(void *arg, const char *key, const char *text)
{
	struct faults *faults = (struct faults *)arg;
	size_t used = strlen(faults->text);

	snprintf(faults->text + used, sizeof(faults->text) - used, "%s: %s\n", key, text);
	faults->n++;
}

static struct faults check(const struct ipsp_context_conf *conf)
{
	struct faults faults = {0};
	int n = ipsp_conf_check(conf, collect, &faults);

	assert_int_equal(n, faults.n);
	return faults;
}

static void expect_good(const struct ipsp_context_conf *conf)
{
	struct faults faults = check(conf);

	assert_string_equal(faults.text, "");
}

/* Exactly one fault, with this key and these words in it. */
static void expect_fault(const struct ipsp_context_conf *conf, const char *key, const char *words)
{
	struct faults faults = check(conf);
	size_t n = strlen(key);

	if (faults.n != 1 || strncmp(faults.text, key, n) != 0 || faults.text[n] != ':' ||
	    !strstr(faults.text, words))
		fail_msg("expected \"%s: ...%s\", got %d:\n%s", key, words, faults.n, faults.text);
}

/* Sets one field to a value, checks, and sets it back. */
#define EXPECT_FAULT_WITH(conf, field, value, key, words)                                          \
	do {                                                                                       \
		struct ipsp_context_conf saved_ = *(conf);                                         \
		struct ipsp_pool_conf saved_pools_[POOLS];                                         \
		memcpy(saved_pools_, (conf)->pools, sizeof(saved_pools_));                         \
		(conf)->field = (value);                                                           \
		expect_fault(conf, key, words);                                                    \
		*(conf) = saved_;                                                                  \
		memcpy((conf)->pools, saved_pools_, sizeof(saved_pools_));                         \
	} while (0)

#define EXPECT_GOOD_WITH(conf, field, value)                                                       \
	do {                                                                                       \
		struct ipsp_context_conf saved_ = *(conf);                                         \
		struct ipsp_pool_conf saved_pools_[POOLS];                                         \
		memcpy(saved_pools_, (conf)->pools, sizeof(saved_pools_));                         \
		(conf)->field = (value);                                                           \
		expect_good(conf);                                                                 \
		*(conf) = saved_;                                                                  \
		memcpy((conf)->pools, saved_pools_, sizeof(saved_pools_));                         \
	} while (0)

static void test_defaults(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	ipsp_conf_init(&conf, "isp1");
	assert_string_equal(conf.name, "isp1");
	assert_false(conf.psp.enabled);
	assert_int_equal(conf.psp.mode, IPSP_MODE_ACTIVE);
	assert_int_equal(conf.psp.dead_interval_ms, 3600 * 1000);
	assert_int_equal(conf.psp.reserved_free_percentage, 0);
	assert_int_equal(conf.psp.port, 4187);
	assert_int_equal(conf.psp.hello_interval_ms, 1000);
	assert_int_equal(conf.psp.block_size, 0);
	assert_int_equal(conf.psp.request_timeout_ms, 3000);
	assert_int_equal(conf.psp.release_timeout_ms, 2000);
	assert_int_equal(conf.psp.durability, IPSP_DURABLE_CRASH);
	assert_true(conf.psp.takeover_when_deaf);
	expect_good(&conf);
	ipsp_conf_fini(&conf);
}

static void test_ranges(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	expect_good(&conf);
	EXPECT_GOOD_WITH(&conf, pools[0].priority, 10);
	EXPECT_FAULT_WITH(&conf, pools[0].priority, 11, "pools.pool-a.priority", "0 to 10");
	EXPECT_GOOD_WITH(&conf, pools[0].hold_s, 31556926);
	EXPECT_FAULT_WITH(&conf, pools[0].hold_s, 31556927, "pools.pool-a.address-hold-timer",
			  "31556926 seconds");
	EXPECT_GOOD_WITH(&conf, pools[0].quarantine_s, 20);
	EXPECT_GOOD_WITH(&conf, pools[0].quarantine_s, 86400);
	EXPECT_FAULT_WITH(&conf, pools[0].quarantine_s, 19, "pools.pool-a.address-quarantine-timer",
			  "20 to 86400");
	EXPECT_FAULT_WITH(&conf, pools[0].quarantine_s, 86401,
			  "pools.pool-a.address-quarantine-timer", "20 to 86400");
	EXPECT_FAULT_WITH(&conf, pools[1].hold_s, 1, "pools.pool-b.address-quarantine-timer",
			  "take one of the two out");
	EXPECT_FAULT_WITH(&conf, pools[0].type, (enum ipsp_pool_type)3, "pools.pool-a.type",
			  "public, private and static");
	EXPECT_FAULT_WITH(&conf, psp.reserved_free_percentage, 101,
			  "pool-share-protocol.reserved-free-percentage", "0 to 100");
	EXPECT_FAULT_WITH(&conf, psp.port, 0, "pool-share-protocol.port", "1 to 65535");
	EXPECT_FAULT_WITH(&conf, psp.block_size, 65537, "pool-share-protocol.block-size", "65536");
	EXPECT_FAULT_WITH(&conf, psp.n_keys, 5, "pool-share-protocol.key-file", "up to 4");
	EXPECT_FAULT_WITH(&conf, psp.mode, (enum ipsp_mode)3, "pool-share-protocol.mode",
			  "check-config");
	EXPECT_FAULT_WITH(&conf, psp.durability, (enum ipsp_durability)2,
			  "pool-share-protocol.durability", "crash and power");
	ipsp_conf_fini(&conf);
}

static void test_times(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	EXPECT_GOOD_WITH(&conf, psp.dead_interval_ms, 0); /* disabled */
	EXPECT_GOOD_WITH(&conf, psp.dead_interval_ms, 3001);
	EXPECT_GOOD_WITH(&conf, psp.dead_interval_ms, 259200u * 1000u);
	EXPECT_FAULT_WITH(&conf, psp.dead_interval_ms, 3000, "pool-share-protocol.dead-interval",
			  "not above 3 hello intervals of 1000");
	EXPECT_FAULT_WITH(&conf, psp.dead_interval_ms, 259200u * 1000u + 1,
			  "pool-share-protocol.dead-interval", "25 to 259200 seconds");
	EXPECT_GOOD_WITH(&conf, psp.hello_interval_ms, 10);
	EXPECT_GOOD_WITH(&conf, psp.hello_interval_ms, 60000);
	EXPECT_FAULT_WITH(&conf, psp.hello_interval_ms, 9, "pool-share-protocol.hello-interval-ms",
			  "10 to 60000");
	EXPECT_FAULT_WITH(&conf, psp.hello_interval_ms, 60001,
			  "pool-share-protocol.hello-interval-ms", "10 to 60000");
	EXPECT_FAULT_WITH(&conf, psp.request_timeout_ms, 9,
			  "pool-share-protocol.request-timeout-ms", "10 to 600000");
	EXPECT_FAULT_WITH(&conf, psp.release_timeout_ms, 600001,
			  "pool-share-protocol.release-timeout-ms", "10 to 600000");
	ipsp_conf_fini(&conf);
}

static void test_names(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	memset(conf.pools[0].name, 'a', 31); /* the longest */
	expect_good(&conf);
	snprintf(conf.pools[0].name, IPSP_NAME_MAX, "Az.9_-");
	expect_good(&conf);
	snprintf(conf.pools[0].name, IPSP_NAME_MAX, "a b");
	expect_fault(&conf, "pools.a b.name", "letters, digits");
	snprintf(conf.pools[0].name, IPSP_NAME_MAX, "pool\xc3\xa9");
	expect_fault(&conf, "pools.pool\xc3\xa9.name", "letters, digits");
	conf.pools[0].name[0] = '\0';
	expect_fault(&conf, "pools..name", "1 to 31 characters");
	snprintf(conf.pools[0].name, IPSP_NAME_MAX, "pool-d");
	expect_fault(&conf, "pools.pool-d.name", "two pools are called \"pool-d\"");
	snprintf(conf.pools[0].name, IPSP_NAME_MAX, "0123456789abcdef");
	snprintf(conf.pools[1].name, IPSP_NAME_MAX, "0123456789abcdeX");
	expect_good(&conf);
	snprintf(conf.pools[1].name, IPSP_NAME_MAX, "0123456789abcdefX");
	expect_fault(&conf, "pools.0123456789abcdefX.name",
		     "\"0123456789abcdef\" and \"0123456789abcdefX\" have the same first 16");
	snprintf(conf.pools[1].name, IPSP_NAME_MAX, "pool-b");
	snprintf(conf.pools[1].group, IPSP_NAME_MAX, "dyn!");
	expect_fault(&conf, "pools.pool-b.group", "\"dyn!\"");
	conf.pools[1].group[0] = '\0';
	snprintf(conf.name, IPSP_NAME_MAX, "isp/1");
	expect_fault(&conf, "name", "\"isp/1\"");
	ipsp_conf_fini(&conf);
}

static void test_busyout_excludes_ipsp(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	conf.pools[3].busyout = true;
	expect_fault(&conf, "pools.pool-d.busyout", "excludes pool-share-protocol");
	conf.psp.enabled = false;
	expect_good(&conf);
	ipsp_conf_fini(&conf);
}

static void test_peer(void **state)
{
	struct ipsp_context_conf conf;
	static const char peer[] = "pool-share-protocol.peer";

	(void)state;
	good(&conf);
	EXPECT_GOOD_WITH(&conf, psp.peer, ipsp_addr_v4(0xc00002fe));
	EXPECT_FAULT_WITH(&conf, psp.peer, ipsp_addr_v4(0xc0000301), peer,
			  "192.0.3.1 is outside of the interface's network 192.0.2.0/24");
	EXPECT_FAULT_WITH(&conf, psp.peer, ipsp_addr_v4(0xc0000201), peer,
			  "this side's own address");
	EXPECT_FAULT_WITH(&conf, psp.peer, ipsp_addr_v4(0xc0000200), peer, "network 192.0.2.0/24");
	EXPECT_FAULT_WITH(&conf, psp.peer, ipsp_addr_v4(0xc00002ff), peer, "all its hosts");
	EXPECT_FAULT_WITH(&conf, psp.peer, ((struct ipsp_addr){0, 0xc0000202}), peer, "is outside");
	EXPECT_FAULT_WITH(&conf, psp.peer, IPSP_ADDR_NONE, peer, "missing");
	EXPECT_FAULT_WITH(&conf, psp.role, IPSP_ROLE_NONE, "pool-share-protocol.primary",
			  "exactly one of primary and secondary");
	EXPECT_FAULT_WITH(&conf, psp.address, ipsp_addr_v4(0xc0000200),
			  "pool-share-protocol.address", "give the one of this host");
	EXPECT_FAULT_WITH(&conf, psp.address, IPSP_ADDR_NONE, "pool-share-protocol.address",
			  "192.0.2.1/24");
	EXPECT_FAULT_WITH(&conf, psp.address_plen, 33, "pool-share-protocol.address", "length");
	EXPECT_FAULT_WITH(&conf, psp.address_plen, 32, peer, "is outside");
	EXPECT_FAULT_WITH(&conf, psp.interface[0], '\0', "pool-share-protocol.interface", "a name");
	conf.psp.address = ipsp_addr_v4(0xc0000202); /* a /31 has two hosts and nothing else */
	conf.psp.peer = ipsp_addr_v4(0xc0000203);
	conf.psp.address_plen = 31;
	expect_good(&conf);
	conf.psp.address = (struct ipsp_addr){UINT64_C(0x20010db900000000), 1};
	conf.psp.peer = (struct ipsp_addr){UINT64_C(0x20010db900000000), UINT64_MAX};
	conf.psp.address_plen = 64;
	expect_good(&conf);
	conf.psp.peer.lo = 0;
	expect_fault(&conf, peer, "2001:db9::/64");
	ipsp_conf_fini(&conf);
}

static void test_all_at_once(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	conf.pools[0].priority = 11;
	conf.pools[1].busyout = true;
	conf.pools[2].size = 0;
	conf.psp.port = 0;
	conf.psp.peer = IPSP_ADDR_NONE;
	conf.psp.address = IPSP_ADDR_NONE;
	assert_int_equal(check(&conf).n, 6);
	ipsp_conf_fini(&conf);
}

/* ---------------------------------------------------------------- addresses */

/* Addresses that no subscriber may get: in a network, a range or prefixes, of every type of pool.
 */
static void test_addresses_of_nobody(void **state)
{
	static const struct {
		const char *first;
		uint32_t size;
		uint8_t plen;
		const char *words; /* NULL: good */
	} cases[] = {
		{"192.0.2.0", 8, 32,
		 "192.0.2.1 (this side's interface address), 192.0.2.2 (the peer's interface "
		 "address)"},
		{"192.0.2.2", 1, 32, "192.0.2.2 (the peer's interface address)"},
		{"192.0.2.3", 8, 32, NULL},
		{"191.255.255.255", 515, 32, "192.0.2.1 (this side's"},
		{"191.255.255.255", 514, 32, NULL},
		{"0.0.0.1", 254, 32, "0.0.0.1 to 0.0.0.254 (unspecified)"},
		{"0.255.255.255", 2, 32, "0.255.255.255 (unspecified)"},
		{"1.0.0.0", 16, 32, NULL},
		{"126.255.255.255", 1, 32, NULL},
		{"126.255.255.255", 2, 32, "127.0.0.0 (loopback)"},
		{"127.255.255.255", 2, 32, "127.255.255.255 (loopback)"},
		{"128.0.0.0", 2, 32, NULL},
		{"169.253.255.255", 2, 32, "169.254.0.0 (link-local)"},
		{"169.254.255.255", 2, 32, "169.254.255.255 (link-local)"},
		{"169.255.0.0", 2, 32, NULL},
		{"223.255.255.255", 1, 32, NULL},
		{"223.255.255.255", 2, 32, "224.0.0.0 (multicast)"},
		{"239.255.255.255", 2, 32, "239.255.255.255 (multicast)"},
		{"240.0.0.0", 2, 32, NULL},
		{"255.255.255.0", 256, 32, "255.255.255.255 (limited broadcast)"},
		{"255.255.255.0", 255, 32, NULL},
		{"::ffff:127.0.0.1", 1, 32, "127.0.0.1 (loopback)"},
		{"::1", 1, 128, "::1 (loopback)"},
		{"::2", 8, 128, NULL},
		{"2001:db9::", 16, 64, NULL},
		{"fe7f:ffff:ffff:ffff::", 2, 64,
		 "fe80:: to fe80::ffff:ffff:ffff:ffff (link-local)"},
		{"febf:ffff:ffff:ffff::", 2, 64, "febf:ffff:ffff:ffff:: to"},
		{"fec0::", 2, 64, NULL},
		{"fd00::", 2, 64, NULL},
		{"feff:ffff:ffff:ffff::", 2, 64, "ff00:: to ff00::ffff:ffff:ffff:ffff (multicast)"},
		{"ff02::1", 1, 128, "ff02::1 (multicast)"},
	};
	struct ipsp_context_conf conf;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int type = IPSP_POOL_PUBLIC; type <= IPSP_POOL_STATIC; type++) {
			struct ipsp_pool_conf *pool;

			good(&conf);
			pool = &conf.pools[0];
			pool->type = (enum ipsp_pool_type)type;
			assert_int_equal(ipsp_addr_parse(cases[i].first, &pool->base), 0);
			pool->size = cases[i].size;
			pool->plen = cases[i].plen;
			pool->shift = pool->plen == 64 ? 64 : 0;
			pool->netlen = 0;
			if (cases[i].words)
				expect_fault(&conf, "pools.pool-a.addresses", cases[i].words);
			else
				expect_good(&conf);
			ipsp_conf_fini(&conf);
		}
}

/* The prefix that a subscriber would get must not have a gateway in it, and both sides say so. */
static void test_both_sides_judge_alike(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	for (int side = 0; side < 2; side++) {
		good(&conf);
		assert_int_equal(ipsp_addr_parse(side ? "2001:db9::1" : "2001:db9:0:1::2",
						 &conf.psp.address),
				 0);
		assert_int_equal(
			ipsp_addr_parse(side ? "2001:db9:0:1::2" : "2001:db9::1", &conf.psp.peer),
			0);
		conf.psp.address_plen = 48;
		conf.psp.role = side ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
		assert_int_equal(ipsp_addr_parse("2001:db9::", &conf.pools[0].base), 0);
		conf.pools[0].size = 2;
		conf.pools[0].plen = conf.pools[0].shift = 64;
		conf.pools[0].netlen = 0;
		expect_fault(&conf, "pools.pool-a.addresses", "2001:db9::1 (");
		expect_fault(&conf, "pools.pool-a.addresses", "2001:db9:0:1::2 (");
		conf.psp.enabled = false; /* then no peer is known, but this host is */
		expect_fault(&conf, "pools.pool-a.addresses",
			     "this side's interface address); allowed");
		ipsp_conf_fini(&conf);
	}
}

static void test_an_interface_is_a_hosts(void **state)
{
	static const char *const bad[] = {"0.0.0.1", "224.0.0.5", "255.255.255.255"};
	struct ipsp_context_conf conf;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		good(&conf);
		conf.psp.address_plen = 31; /* a network where every address is a host's */
		assert_int_equal(ipsp_addr_parse(bad[i], &conf.psp.address), 0);
		conf.psp.peer = conf.psp.address;
		conf.psp.peer.lo ^= 1;
		struct faults faults = check(&conf);
		assert_non_null(strstr(faults.text, "address: "));
		assert_int_equal(!strstr(faults.text, "give the one of the peer"), i == 2);
		assert_non_null(strstr(faults.text, "give the one of this host"));
		ipsp_conf_fini(&conf);
	}
}

static void test_overlap(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	conf.pools[3] = v4_pool("pool-d", 0x0a01fffe, 1); /* the last of pool-a */
	expect_fault(&conf, "pools.pool-d.addresses",
		     "\"pool-a\" and \"pool-d\" overlap: both have 10.1.255.254 to 10.1.255.254");
	conf.pools[3] = v4_pool("pool-d", 0x0a01ffff, 1); /* one further */
	expect_good(&conf);
	conf.pools[3] = v4_pool("pool-d", 0x0a010000, 2); /* from before into it */
	expect_fault(&conf, "pools.pool-d.addresses", "10.1.0.1 to 10.1.0.1");
	conf.pools[3] = v4_pool("pool-d", 0x0a000000, 1u << 24); /* around two others */
	struct faults faults = check(&conf);
	assert_int_equal(faults.n, 2);
	assert_non_null(strstr(faults.text, "\"pool-d\" and \"pool-a\" overlap"));
	assert_non_null(strstr(faults.text, "\"pool-d\" and \"pool-b\" overlap"));
	/* 2001:db8:ff:ffff::/64 is the last prefix of pool-c */
	conf.pools[3] = v6_pool("pool-d", UINT64_C(0x20010db800ffffff), 64, 1);
	expect_fault(&conf, "pools.pool-d.addresses", "overlap");
	conf.pools[3].base.lo = 5; /* one address in the middle of that prefix */
	conf.pools[3].plen = 128;
	conf.pools[3].shift = 0;
	expect_fault(&conf, "pools.pool-d.addresses", "overlap");
	conf.pools[3] = v6_pool("pool-d", UINT64_C(0x20010db801000000), 64, 1);
	expect_good(&conf);
	ipsp_conf_fini(&conf);
}

/* A small pool between a large one's two ends hides nothing from a third. */
static void test_overlap_with_one_that_reaches_far(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	good(&conf);
	conf.pools[1] = v4_pool("pool-b", 0x0a010010, 1);
	conf.pools[3] = v4_pool("pool-d", 0x0a010020, 1);
	struct faults faults = check(&conf);
	assert_int_equal(faults.n, 2);
	assert_non_null(strstr(faults.text, "\"pool-a\" and \"pool-b\""));
	assert_non_null(strstr(faults.text, "\"pool-a\" and \"pool-d\""));
	ipsp_conf_fini(&conf);
}

static void expect_no_range(struct ipsp_context_conf *conf, struct ipsp_pool_conf pool)
{
	struct ipsp_addr last;

	conf->pools[3] = pool;
	assert_false(ipsp_conf_last(&pool, &last));
	expect_fault(conf, "pools.pool-d.addresses", "no range");
}

static void expect_last(struct ipsp_pool_conf pool, struct ipsp_addr expected)
{
	struct ipsp_addr last;

	assert_true(ipsp_conf_last(&pool, &last));
	assert_true(ipsp_addr_eq(last, expected));
}

static void test_a_range_cannot_wrap(void **state)
{
	struct ipsp_context_conf conf;
	struct ipsp_pool_conf pool;

	(void)state;
	good(&conf);
	expect_last(v4_pool("p", 0xffffff00, 256), ipsp_addr_v4(0xffffffff));
	expect_no_range(&conf, v4_pool("pool-d", 0xffffff00, 257)); /* past 255.255.255.255 */
	expect_no_range(&conf, v4_pool("pool-d", 0x0b000000, 0));
	expect_no_range(&conf, v4_pool("pool-d", 0x0b000000, (1u << 26) + 1));
	expect_no_range(&conf, v4_pool("pool-d", 0x0b000000, UINT32_MAX));
	expect_last(v6_pool("p", UINT64_C(0xffffffffffffff00), 64, 256),
		    (struct ipsp_addr){UINT64_MAX, UINT64_MAX});
	expect_no_range(&conf, v6_pool("pool-d", UINT64_C(0xffffffffffffff00), 64, 257));
	expect_last(v6_pool("p", 0x8000000000000000, 8, 128),
		    (struct ipsp_addr){UINT64_MAX, UINT64_MAX});
	expect_no_range(&conf, v6_pool("pool-d", 0x8000000000000000, 8, 129));
	expect_no_range(&conf,
			v6_pool("pool-d", 0x8000000000000000, 8, 256 + 1)); /* all bits lost */
	expect_no_range(&conf, v6_pool("pool-d", 0x8000000000000000, 1, 2));
	expect_no_range(&conf, v6_pool("pool-d", UINT64_C(0x20010db800000001), 48,
				       1)); /* not on a border */
	pool = v6_pool("pool-d", 0, 96, 3); /* the second one would be all of IPv4 */
	pool.base.lo = UINT64_C(0xfffe00000000);
	expect_no_range(&conf, pool);
	pool.size = 1;
	expect_last(pool, (struct ipsp_addr){0, UINT64_C(0xfffeffffffff)});
	pool = v6_pool("pool-d", 0, 128, 2);
	pool.base.lo = UINT64_C(0xfffeffffffff); /* the second one would be 0.0.0.0 */
	expect_no_range(&conf, pool);
	pool = v4_pool("pool-d", 0x0b000000, 1);
	pool.shift = 1;
	expect_no_range(&conf, pool);
	pool = v4_pool("pool-d", 0x0b000000, 1);
	pool.plen = 24;
	expect_no_range(&conf, pool);
	pool = v6_pool("pool-d", UINT64_C(0x20010db900000000), 64, 1);
	pool.shift = 63;
	expect_no_range(&conf, pool);
	pool.plen = 0;
	pool.shift = 128;
	expect_no_range(&conf, pool);
	ipsp_conf_fini(&conf);
}

static void expect_place(const struct ipsp_context_conf *conf, struct ipsp_addr addr, int pool,
			 uint32_t index)
{
	uint32_t got = 0;

	assert_int_equal(ipsp_conf_find(conf, addr, &got), pool);
	if (pool < 0)
		return;
	assert_int_equal(got, index);
	assert_true(ipsp_addr_eq(ipsp_pool_addr(&conf->pools[pool], index), addr));
}

static void test_find(void **state)
{
	struct ipsp_context_conf conf;
	uint64_t v6 = UINT64_C(0x20010db800000000);

	(void)state;
	good(&conf);
	expect_place(&conf, ipsp_addr_v4(0x0a010000), -1, 0);
	expect_place(&conf, ipsp_addr_v4(0x0a010001), 0, 0);
	expect_place(&conf, ipsp_addr_v4(0x0a01fffe), 0, 65533);
	expect_place(&conf, ipsp_addr_v4(0x0a01ffff), -1, 0);
	expect_place(&conf, ipsp_addr_v4(0x0a020001), 1, 0);
	expect_place(&conf, ipsp_addr_v4(0x0a03000f), 3, 15);
	expect_place(&conf, ipsp_addr_v4(0), -1, 0);
	expect_place(&conf, ipsp_addr_v4(UINT32_MAX), -1, 0);
	expect_place(&conf, IPSP_ADDR_NONE, -1, 0);
	expect_place(&conf, (struct ipsp_addr){0, 0x0a010001}, -1, 0); /* IPv6, not 10.1.0.1 */
	expect_place(&conf, (struct ipsp_addr){v6, 0}, 2, 0);
	expect_place(&conf, (struct ipsp_addr){v6, 1}, -1, 0); /* in a prefix, but not its name */
	expect_place(&conf, (struct ipsp_addr){v6 + (1 << 24) - 1, 0}, 2, (1 << 24) - 1);
	expect_place(&conf, (struct ipsp_addr){v6 + (1 << 24), 0}, -1, 0);
	expect_place(&conf, (struct ipsp_addr){UINT64_MAX, UINT64_MAX}, -1, 0);
	ipsp_conf_fini(&conf);
}

/* ---------------------------------------------------------------- encoding */

static void encode(const struct ipsp_context_conf *conf, struct ipsp_buf *buf)
{
	*buf = (struct ipsp_buf){0};
	ipsp_conf_encode_pools(conf, buf);
	assert_false(buf->failed);
}

static int decode(const void *bytes, size_t n, struct ipsp_context_conf *conf)
{
	ipsp_conf_init(conf, "peer");
	return ipsp_conf_decode_pools(bytes, n, conf);
}

static void test_encode_and_back(void **state)
{
	struct ipsp_context_conf conf, back;
	struct ipsp_buf buf;

	(void)state;
	good(&conf);
	conf.pools[3].busyout = true;
	encode(&conf, &buf);
	assert_int_equal(decode(buf.data, buf.len, &back), 0);
	assert_int_equal(back.n_pools, conf.n_pools);
	for (uint32_t i = 0; i < conf.n_pools; i++)
		assert_memory_equal(&back.pools[i], &conf.pools[i], sizeof(conf.pools[i]));
	ipsp_conf_fini(&back);
	ipsp_buf_fini(&buf);
	free(conf.pools);
	conf.pools = NULL;
	conf.n_pools = 0;
	encode(&conf, &buf);
	assert_int_equal(buf.len, 3);
	assert_int_equal(decode(buf.data, buf.len, &back), 0);
	assert_int_equal(back.n_pools, 0);
	ipsp_conf_fini(&back);
	ipsp_buf_fini(&buf);
	ipsp_conf_fini(&conf);
}

/* The format is a contract with the peer and with the log of an older version. */
static void test_encoded_bytes(void **state)
{
	static const uint8_t expected[] = {
		1, 0,	1,	     /* format, one pool */
		1, 'p', 2, 'g', 'h', /* name, group */
		1, 7,		     /* private, priority */
		0, 0,	0, 0,	0,   0,	 0,  0, 0, 0, 0xff, 0xff, 10, 1, 2, 3, /* base */
		0, 0,	1, 0,	0,   32, 24,	   /* size, shift, plen, netlen */
		0, 0,	0, 5,	0,   0,	 0,  0, 1, /* hold, quarantine, busyout */
	};
	struct ipsp_pool_conf pool = v4_pool("p", 0x0a010203, 256);
	struct ipsp_context_conf conf;
	struct ipsp_buf buf;

	(void)state;
	snprintf(pool.group, sizeof(pool.group), "gh");
	pool.type = IPSP_POOL_PRIVATE;
	pool.priority = 7;
	pool.netlen = 24;
	pool.hold_s = 5;
	pool.busyout = true;
	ipsp_conf_init(&conf, "isp1");
	conf.pools = &pool;
	conf.n_pools = 1;
	encode(&conf, &buf);
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.data, expected, sizeof(expected));
	ipsp_buf_fini(&buf);
}

/* Every cut, every bit: refused, or it is a definition that encodes to the same bytes. */
static void test_decode_distrusts(void **state)
{
	struct ipsp_context_conf conf, back;
	struct ipsp_buf buf, again;

	(void)state;
	good(&conf);
	encode(&conf, &buf);
	for (size_t n = 0; n < buf.len; n++) {
		uint8_t *cut = (uint8_t *)malloc(n ? n : 1); /* so that a read behind it is seen */

		memcpy(cut, buf.data, n);
		assert_int_equal(decode(cut, n, &back), IPSP_ERR_FORMAT);
		assert_null(back.pools);
		assert_int_equal(back.n_pools, 0);
		free(cut);
	}
	ipsp_buf_put_u8(&buf, 0); /* one byte too many */
	assert_int_equal(decode(buf.data, buf.len, &back), IPSP_ERR_FORMAT);
	buf.len--;
	for (size_t bit = 0; bit < 8 * buf.len; bit++) {
		buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (decode(buf.data, buf.len, &back) == 0) {
			encode(&back, &again);
			assert_int_equal(again.len, buf.len);
			assert_memory_equal(again.data, buf.data, buf.len);
			ipsp_buf_fini(&again);
		}
		ipsp_conf_fini(&back);
		buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ipsp_buf_fini(&buf);
	ipsp_conf_fini(&conf);
}

static void expect_refused(const struct ipsp_context_conf *conf)
{
	struct ipsp_context_conf back;
	struct ipsp_buf buf;

	encode(conf, &buf);
	assert_int_equal(decode(buf.data, buf.len, &back), IPSP_ERR_FORMAT);
	ipsp_buf_fini(&buf);
}

#define EXPECT_REFUSED_WITH(conf, field, value)                                                    \
	do {                                                                                       \
		struct ipsp_pool_conf saved_pools_[POOLS];                                         \
		memcpy(saved_pools_, (conf)->pools, sizeof(saved_pools_));                         \
		(conf)->field = (value);                                                           \
		expect_refused(conf);                                                              \
		memcpy((conf)->pools, saved_pools_, sizeof(saved_pools_));                         \
	} while (0)

static void test_decode_refuses(void **state)
{
	struct ipsp_context_conf conf;
	struct ipsp_pool_conf swap;

	(void)state;
	good(&conf);
	EXPECT_REFUSED_WITH(&conf, pools[1].name[0], '\0');
	EXPECT_REFUSED_WITH(&conf, pools[1].name[1], '\n');
	EXPECT_REFUSED_WITH(&conf, pools[1].name[5], (char)0xff); /* no UTF-8 */
	EXPECT_REFUSED_WITH(&conf, pools[0].group[0], 27);
	EXPECT_REFUSED_WITH(&conf, pools[1].type, (enum ipsp_pool_type)3);
	EXPECT_REFUSED_WITH(&conf, pools[1].priority, 11);
	EXPECT_REFUSED_WITH(&conf, pools[1].size, 0);
	EXPECT_REFUSED_WITH(&conf, pools[1].size, (1u << 26) + 1);
	EXPECT_REFUSED_WITH(&conf, pools[1].base, ipsp_addr_v4(0xffffffff));
	EXPECT_REFUSED_WITH(&conf, pools[1].shift, 200);
	EXPECT_REFUSED_WITH(&conf, pools[1].plen, 129);
	EXPECT_REFUSED_WITH(&conf, pools[1].netlen, 33);
	EXPECT_REFUSED_WITH(&conf, pools[1].hold_s, 31556927);
	EXPECT_REFUSED_WITH(&conf, pools[1].quarantine_s, 86401);
	EXPECT_REFUSED_WITH(&conf, pools[1].name[5], 'a'); /* pool-a twice */
	swap = conf.pools[1]; /* not in order: the numbers would differ */
	conf.pools[1] = conf.pools[2];
	conf.pools[2] = swap;
	expect_refused(&conf);
	ipsp_conf_sort(&conf);
	assert_string_equal(conf.pools[1].name, "pool-b");
	struct ipsp_buf buf;
	struct ipsp_context_conf back;
	encode(&conf, &buf);
	assert_int_equal(decode(buf.data, buf.len, &back), 0);
	ipsp_conf_fini(&back);
	ipsp_buf_fini(&buf);
	/* a number of pools that the bytes don't have, or that nobody may have */
	static const uint8_t many[3 + 40] = {1, 0xff, 0xff};
	assert_int_equal(decode(many, sizeof(many), &back), IPSP_ERR_FORMAT);
	static const uint8_t some[3 + 40] = {1, 0, 2};
	assert_int_equal(decode(some, sizeof(some), &back), IPSP_ERR_FORMAT);
	ipsp_conf_fini(&conf);
}

static void test_decode_limits(void **state)
{
	struct ipsp_context_conf conf, back;
	struct ipsp_buf buf = {0};
	uint8_t *bytes;

	(void)state;
	ipsp_conf_init(&conf, "isp1");
	conf.pools = (struct ipsp_pool_conf *)calloc(IPSP_POOLS_MAX + 1, sizeof(*conf.pools));
	assert_non_null(conf.pools);
	for (uint32_t i = 0; i <= IPSP_POOLS_MAX; i++) {
		char name[IPSP_NAME_MAX];

		/* as long as they may be: what is allowed has to fit in one record, too */
		snprintf(name, sizeof(name), "pool-%04u-0123456789abcdef-1234", i);
		conf.pools[i] = v4_pool(name, 0x0a000000 + i, 1);
		memset(conf.pools[i].group, 'g', IPSP_NAME_MAX - 1);
	}
	conf.n_pools = IPSP_POOLS_MAX;
	expect_good(&conf);
	encode(&conf, &buf);
	assert_true(2 + buf.len <= UINT16_MAX); /* type and owner of the record stand before it */
	assert_int_equal(decode(buf.data, buf.len, &back), 0);
	ipsp_conf_fini(&back);
	ipsp_buf_fini(&buf);
	conf.n_pools++;
	expect_fault(&conf, "pools", "up to 512 in a context, because one record");
	expect_refused(&conf);
	/* a name of 31 bytes, and the same with one more in front */
	memset(conf.pools[0].name, 'n', IPSP_NAME_MAX - 1);
	conf.n_pools = 1;
	encode(&conf, &buf);
	assert_int_equal(decode(buf.data, buf.len, &back), 0);
	ipsp_conf_fini(&back);
	bytes = (uint8_t *)malloc(buf.len + 1);
	assert_non_null(bytes);
	memcpy(bytes, buf.data, 4);
	bytes[3] = IPSP_NAME_MAX;
	bytes[4] = 'n';
	memcpy(bytes + 5, buf.data + 4, buf.len - 4);
	assert_int_equal(decode(bytes, buf.len + 1, &back), IPSP_ERR_FORMAT);
	free(bytes);
	ipsp_buf_fini(&buf);
	ipsp_conf_fini(&conf);
}

static void test_digest(void **state)
{
	struct ipsp_context_conf conf;
	uint8_t a[32], b[32];
	struct ipsp_buf buf;
	/* BLAKE2b-256 of no bytes */
	static const uint8_t of_nothing[] = {0x0e, 0x57, 0x51, 0xc0, 0x26, 0xe5, 0x43, 0xb2};

	(void)state;
	ipsp_conf_digest(NULL, 0, a);
	assert_memory_equal(a, of_nothing, sizeof(of_nothing));
	good(&conf);
	encode(&conf, &buf);
	ipsp_conf_digest(buf.data, buf.len, a);
	ipsp_buf_fini(&buf);
	conf.pools[2].size--;
	encode(&conf, &buf);
	ipsp_conf_digest(buf.data, buf.len, b);
	assert_memory_not_equal(a, b, sizeof(a));
	ipsp_buf_fini(&buf);
	ipsp_conf_fini(&conf);
}

/* ---------------------------------------------------------------- differences */

static void collect_item(void *arg, const char *item, const char *here, const char *peer)
{
	char *text = (char *)arg;
	size_t used = strlen(text);

	snprintf(text + used, 2048 - used, "%s: here %s, peer %s\n", item, here, peer);
}

static void expect_diff(const struct ipsp_context_conf *here, const struct ipsp_context_conf *peer,
			int n, const char *expected)
{
	char text[2048] = "";

	assert_int_equal(ipsp_conf_diff(here, peer, collect_item, text), n);
	assert_string_equal(text, expected);
}

static void test_diff(void **state)
{
	struct ipsp_context_conf here, peer;

	(void)state;
	good(&here);
	assert_int_equal(ipsp_conf_copy(&peer, &here), 0);
	peer.psp.peer = here.psp.address; /* the peer's own, and nobody's to compare */
	peer.pools[0].netlen = 0;	  /* the same addresses, written as a range */
	expect_diff(&here, &peer, 0, "");
	peer.pools[0].group[0] = '\0';
	peer.pools[0].priority = 3;
	peer.pools[0].size--;
	peer.pools[1].type = IPSP_POOL_PUBLIC;
	peer.pools[1].quarantine_s = 0;
	peer.pools[1].hold_s = 60;
	peer.pools[2].plen = 128;
	peer.pools[2].shift = 0;
	expect_diff(&here, &peer, 8,
		    "pool \"pool-a\": group: here \"dyn\", peer none\n"
		    "pool \"pool-a\": priority: here 0, peer 3\n"
		    "pool \"pool-a\": addresses: here 10.1.0.1 to 10.1.255.254, peer 10.1.0.1 to "
		    "10.1.255.253\n"
		    "pool \"pool-b\": type: here private, peer public\n"
		    "pool \"pool-b\": address-hold-timer: here 0, peer 60\n"
		    "pool \"pool-b\": address-quarantine-timer: here 60, peer 0\n"
		    "pool \"pool-c\": addresses: here 2001:db8:: to "
		    "2001:db8:ff:ffff:ffff:ffff:ffff:ffff, "
		    "peer 2001:db8:: to 2001:db8::ff:ffff\n"
		    "pool \"pool-c\": length: here 64, peer 128\n");
	ipsp_conf_fini(&here);
	ipsp_conf_fini(&peer);
}

static void test_diff_of_missing_pools(void **state)
{
	struct ipsp_context_conf here, peer;

	(void)state;
	good(&here);
	assert_int_equal(ipsp_conf_copy(&peer, &here), 0);
	snprintf(here.pools[0].name, IPSP_NAME_MAX, "pool-Z"); /* before all others */
	peer.n_pools--;
	expect_diff(&here, &peer, 3,
		    "pool \"pool-Z\": here configured, peer missing\n"
		    "pool \"pool-a\": here missing, peer configured\n"
		    "pool \"pool-d\": here configured, peer missing\n");
	ipsp_conf_fini(&here);
	ipsp_conf_fini(&peer);
}

/* ---------------------------------------------------------------- changes at run time */

static void expect_frozen(const struct ipsp_context_conf *from, const struct ipsp_context_conf *to,
			  const char *key)
{
	char why[128] = "";

	assert_int_equal(ipsp_conf_may_change(from, to, why), IPSP_ERR_SHARED_OUT);
	assert_string_equal(why, key);
	assert_int_equal(ipsp_conf_may_change(from, to, NULL), IPSP_ERR_SHARED_OUT);
}

#define EXPECT_FROZEN_WITH(from, to, field, value, key)                                            \
	do {                                                                                       \
		struct ipsp_context_conf saved_ = *(to);                                           \
		struct ipsp_pool_conf saved_pools_[POOLS];                                         \
		memcpy(saved_pools_, (to)->pools, sizeof(saved_pools_));                           \
		(to)->field = (value);                                                             \
		expect_frozen(from, to, key);                                                      \
		*(to) = saved_;                                                                    \
		memcpy((to)->pools, saved_pools_, sizeof(saved_pools_));                           \
	} while (0)

static void test_may_change(void **state)
{
	struct ipsp_context_conf from, to;
	char why[128] = "";

	(void)state;
	good(&from);
	assert_int_equal(ipsp_conf_copy(&to, &from), 0);
	to.psp.dead_interval_ms = 25000;
	to.psp.hello_interval_ms = 500;
	to.psp.request_timeout_ms = to.psp.release_timeout_ms = 100;
	to.psp.block_size = 64;
	to.psp.n_keys = 1;
	to.psp.keys[0][0] = 1;
	to.psp.role = IPSP_ROLE_SECONDARY;
	assert_int_equal(ipsp_conf_may_change(&from, &to, why), 0);
	assert_string_equal(why, "");
	EXPECT_FROZEN_WITH(&from, &to, name[0], 'x', "name");
	EXPECT_FROZEN_WITH(&from, &to, pools[0].priority, 1, "pools.pool-a.priority");
	EXPECT_FROZEN_WITH(&from, &to, pools[1].group[0], 'g', "pools.pool-b.group");
	EXPECT_FROZEN_WITH(&from, &to, pools[2].size, 5, "pools.pool-c.addresses");
	EXPECT_FROZEN_WITH(&from, &to, pools[2].hold_s, 5, "pools.pool-c.address-hold-timer");
	EXPECT_FROZEN_WITH(&from, &to, pools[3].busyout, true, "pools.pool-d.busyout");
	EXPECT_FROZEN_WITH(&from, &to, pools[3].name[5], 'e', "pools.pool-d"); /* gone */
	EXPECT_FROZEN_WITH(&from, &to, n_pools, 3, "pools.pool-d");
	EXPECT_FROZEN_WITH(&to, &from, n_pools, 0, "pools.pool-a");
	EXPECT_FROZEN_WITH(&from, &to, psp.peer.lo, 1, "pool-share-protocol.peer");
	EXPECT_FROZEN_WITH(&from, &to, psp.address.lo, 1, "pool-share-protocol.address");
	EXPECT_FROZEN_WITH(&from, &to, psp.address_plen, 25, "pool-share-protocol.address");
	EXPECT_FROZEN_WITH(&from, &to, psp.port, 1, "pool-share-protocol.port");
	EXPECT_FROZEN_WITH(&from, &to, psp.enabled, false, "pool-share-protocol");
	EXPECT_FROZEN_WITH(&from, &to, psp.mode, IPSP_MODE_INACTIVE, "pool-share-protocol.mode");
	from.n_pools = 3;
	expect_frozen(&from, &to, "pools.pool-d"); /* new */
	ipsp_conf_fini(&from);
	ipsp_conf_fini(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_busyout_excludes_ipsp),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_addresses_of_nobody),
		cmocka_unit_test(test_both_sides_judge_alike),
		cmocka_unit_test(test_an_interface_is_a_hosts),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_overlap_with_one_that_reaches_far),
		cmocka_unit_test(test_a_range_cannot_wrap),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_encode_and_back),
		cmocka_unit_test(test_encoded_bytes),
		cmocka_unit_test(test_decode_distrusts),
		cmocka_unit_test(test_decode_refuses),
		cmocka_unit_test(test_decode_limits),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_diff_of_missing_pools),
		cmocka_unit_test(test_may_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
