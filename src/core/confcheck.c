/*
 * confcheck - every rule on the configuration of one context that needs nothing from outside.
 *
 * A fault names the key as an operator wrote it, says what is wrong, and what is allowed instead.
 */
#include "base/ident.h"
#include "core/conf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SNMP_NAME 16 /* characters of a pool's name in the index of starIPPoolTable */

struct check {
	ipsp_conf_fault_fn *fault;
	void *arg;
	int n;
};

static void fault(struct check *check, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void pool_fault(struct check *check, const struct ipsp_pool_conf *pool, const char *key,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));

static void vfault(struct check *check, const char *key, const char *format, va_list args)
{
	char text[512];

	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	check->fault(check->arg, key, text);
	check->n++;
}

static void fault(struct check *check, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfault(check, key, format, args);
	va_end(args);
}

static void pool_fault(struct check *check, const struct ipsp_pool_conf *pool, const char *key,
		       const char *format, ...)
{
	char whole[IPSP_NAME_MAX + 64];
	va_list args;

	snprintf(whole, sizeof(whole), "pools.%s.%s", pool->name, key);
	va_start(args, format);
	vfault(check, whole, format, args);
	va_end(args);
}

/* ---------------------------------------------------------------- names */

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return n > 0;
}

bool ipsp_device_ok(const char *name)
{
	const size_t n = strlen(name);

	return n > 0 && n < IPSP_DEVICE_MAX && strcspn(name, "/:% \t") == n &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && ipsp_text_ok(name, n);
}

#define NAME_RULE "allowed are 1 to 31 characters: letters, digits, '-', '_' and '.'"

static int by_name(const void *a, const void *b)
{
	const struct ipsp_pool_conf *const *x = (const struct ipsp_pool_conf *const *)a;
	const struct ipsp_pool_conf *const *y = (const struct ipsp_pool_conf *const *)b;
	int order = strcmp((*x)->name, (*y)->name);

	return order != 0 ? order
	       : *x < *y  ? -1
			  : *x > *y; /* as written: the later one is at fault */
}

/* Sorted by name, so that what may not be equal stands side by side. */
static void check_names(struct check *check, const struct ipsp_pool_conf **list, uint32_t n)
{
	if (n > 1) /* the caller has set all n; cppcheck looks for members in a list of pointers */
		/* cppcheck-suppress uninitvar */
		qsort(list, n, sizeof(*list), by_name);
	for (uint32_t i = 0; i < n; i++) {
		if (!name_ok(list[i]->name))
			pool_fault(check, list[i], "name",
				   "\"%s\" is no name of a pool; " NAME_RULE, list[i]->name);
		if (list[i]->group[0] && !name_ok(list[i]->group))
			pool_fault(check, list[i], "group",
				   "\"%s\" is no name of a group; " NAME_RULE, list[i]->group);
		if (i == 0 || strncmp(list[i - 1]->name, list[i]->name, SNMP_NAME) != 0)
			continue;
		if (strcmp(list[i - 1]->name, list[i]->name) == 0)
			pool_fault(check, list[i], "name",
				   "two pools are called \"%s\"; give one of them another name",
				   list[i]->name);
		else
			pool_fault(
				check, list[i], "name",
				"pools \"%s\" and \"%s\" have the same first 16 characters, which "
				"are their index in SNMP; rename one so that they differ there",
				list[i - 1]->name, list[i]->name);
	}
}

/* ---------------------------------------------------------------- addresses of pools */

static int by_base(const void *a, const void *b)
{
	const struct ipsp_pool_conf *const *x = (const struct ipsp_pool_conf *const *)a;
	const struct ipsp_pool_conf *const *y = (const struct ipsp_pool_conf *const *)b;
	int order = ipsp_addr_cmp((*x)->base, (*y)->base);

	return order != 0 ? order : *x < *y ? -1 : *x > *y;
}

static bool check_range(struct check *check, const struct ipsp_pool_conf *pool)
{
	struct ipsp_addr last;

	if (ipsp_conf_last(pool, &last))
		return true;
	if (ipsp_addr_is_none(pool->base)) {
		pool_fault(check, pool, "addresses",
			   "pool \"%s\" begins with ::, the unspecified address, which no "
			   "subscriber may get; allowed are unicast addresses",
			   pool->name);
		return false;
	}
	pool_fault(check, pool, "addresses",
		   "these are no range; allowed are 1 to 2^26 addresses or prefixes of one length, "
		   "one "
		   "behind the other and all of one address family");
	return false;
}

static void tell_overlap(struct check *check, const struct ipsp_pool_conf *a,
			 const struct ipsp_pool_conf *b, struct ipsp_addr a_last)
{
	const struct ipsp_pool_conf *at = a > b ? a : b; /* the one that was written later */
	char from[IPSP_ADDR_TEXT_MAX], to[IPSP_ADDR_TEXT_MAX];
	struct ipsp_addr end = a_last, b_last;

	if (ipsp_conf_last(b, &b_last) && ipsp_addr_cmp(b_last, a_last) < 0)
		end = b_last;
	pool_fault(check, at, "addresses",
		   "pools \"%s\" and \"%s\" overlap: both have %s to %s; an address may be in one "
		   "pool "
		   "of a context only",
		   a->name, b->name, ipsp_addr_text(b->base, from, sizeof(from)),
		   ipsp_addr_text(end, to, sizeof(to)));
}

/*
 * Sorted by their first address, a pool overlaps with an earlier one exactly if it begins before
 * the one that reaches furthest has ended: so every pool that overlaps is told, though not every
 * pair.
 */
static void check_addresses(struct check *check, const struct ipsp_pool_conf **list, uint32_t n)
{
	const struct ipsp_pool_conf *furthest = NULL;
	struct ipsp_addr furthest_end = IPSP_ADDR_NONE, end;
	uint32_t n_good = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (check_range(check, list[i]))
			list[n_good++] = list[i];
	}
	if (n_good > 1)
		qsort(list, n_good, sizeof(*list), by_base);
	for (uint32_t i = 0; i < n_good; i++) {
		(void)ipsp_conf_last(list[i], &end);
		if (furthest && ipsp_addr_cmp(list[i]->base, furthest_end) <= 0)
			tell_overlap(check, furthest, list[i], furthest_end);
		if (!furthest || ipsp_addr_cmp(end, furthest_end) > 0) {
			furthest = list[i];
			furthest_end = end;
		}
	}
}

/* ---------------------------------------------------------------- one pool */

static void check_pool(struct check *check, const struct ipsp_pool_conf *pool,
		       const struct ipsp_psp_conf *psp)
{
	char nobodys[320];

	if (ipsp_conf_nobodys(pool, psp, nobodys, sizeof(nobodys)) > 0)
		pool_fault(check, pool, "addresses",
			   "pool \"%s\" has addresses that no subscriber may get: %s; allowed are "
			   "unicast addresses other than these: leave them out, with ranges around "
			   "them",
			   pool->name, nobodys);
	if ((unsigned)pool->type > IPSP_POOL_STATIC)
		pool_fault(check, pool, "type",
			   "is unknown; allowed are public, private and static");
	if (pool->priority > IPSP_PRIORITY_MAX)
		pool_fault(check, pool, "priority", "is %u; allowed are 0 to %u, 0 is used first",
			   pool->priority, IPSP_PRIORITY_MAX);
	if (pool->hold_s > IPSP_HOLD_S_MAX)
		pool_fault(check, pool, "address-hold-timer",
			   "is %u; allowed are 0 (no hold) to %u seconds", pool->hold_s,
			   IPSP_HOLD_S_MAX);
	if (pool->quarantine_s != 0 && (pool->quarantine_s < IPSP_QUARANTINE_S_MIN ||
					pool->quarantine_s > IPSP_QUARANTINE_S_MAX))
		pool_fault(check, pool, "address-quarantine-timer",
			   "is %u; allowed are %u to %u seconds, or leave it out for none",
			   pool->quarantine_s, IPSP_QUARANTINE_S_MIN, IPSP_QUARANTINE_S_MAX);
	if (pool->hold_s != 0 && pool->quarantine_s != 0)
		pool_fault(check, pool, "address-quarantine-timer",
			   "excludes address-hold-timer: an address is either kept for its "
			   "subscriber or "
			   "kept from everybody; take one of the two out");
	if (psp->enabled && pool->busyout)
		pool_fault(check, pool, "busyout",
			   "excludes pool-share-protocol in its context; set it to false, or take "
			   "pool-share-protocol out");
}

/* ---------------------------------------------------------------- pool-share-protocol */

#define PSP(key) "pool-share-protocol." key

static unsigned width_of(struct ipsp_addr addr)
{
	return ipsp_addr_is_v4(addr) ? 32 : 128;
}

/*
 * The first address of a network is no host's (in IPv6 it is every router's: RFC 4291, 2.6.1), and
 * neither is the last one in IPv4. Networks of two addresses have neither (RFC 3021, RFC 6164).
 */
static bool is_host(struct ipsp_addr addr, unsigned plen)
{
	if (plen + 1 >= width_of(addr))
		return true;
	if (ipsp_addr_eq(addr, ipsp_addr_net(addr, plen)))
		return false;
	return !ipsp_addr_is_v4(addr) || !ipsp_addr_eq(addr, ipsp_addr_last(addr, plen));
}

/* Our own address on the interface; true when it can be compared with the peer's. */
static bool check_own(struct check *check, const struct ipsp_psp_conf *psp)
{
	char text[IPSP_ADDR_TEXT_MAX];

	if (psp->interface[0] == '\0' || !ipsp_text_ok(psp->interface, strlen(psp->interface)))
		fault(check, PSP("interface"),
		      "the interface needs a name of 1 to 31 characters without control "
		      "characters");
	if (ipsp_addr_is_none(psp->address) || psp->address_plen < 1 ||
	    psp->address_plen > width_of(psp->address)) {
		fault(check, PSP("address"),
		      "the interface needs an address with its length, such as \"192.0.2.1/24\"");
		return false;
	}
	if (psp->device[0] && !ipsp_device_ok(psp->device))
		fault(check, PSP("device"), "\"%s\" is no name of an interface", psp->device);
	if (ipsp_addr_is_link_local(psp->address) && !psp->device[0])
		fault(check, PSP("address"),
		      "%s is a link-local address, which needs its interface, such as "
		      "\"fe80::1%%eth0/64\"",
		      ipsp_addr_text(psp->address, text, sizeof(text)));
	if (!ipsp_conf_is_host(psp->address))
		fault(check, PSP("address"),
		      "%s is an unspecified, multicast or broadcast address; give the one of this "
		      "host",
		      ipsp_addr_text(psp->address, text, sizeof(text)));
	else if (!is_host(psp->address, psp->address_plen))
		fault(check, PSP("address"),
		      "%s is the address of the network itself or of all its hosts; give the one "
		      "of "
		      "this host",
		      ipsp_addr_text(psp->address, text, sizeof(text)));
	return true;
}

static void check_peer(struct check *check, const struct ipsp_psp_conf *psp)
{
	unsigned plen = psp->address_plen;
	char peer[IPSP_ADDR_TEXT_MAX], net[IPSP_ADDR_TEXT_MAX];

	ipsp_addr_text(psp->peer, peer, sizeof(peer));
	ipsp_addr_text(ipsp_addr_net(psp->address, plen), net, sizeof(net));
	if (ipsp_addr_eq(psp->peer, psp->address))
		fault(check, PSP("peer"),
		      "%s is this side's own address; the peer is the other host", peer);
	else if (ipsp_addr_is_v4(psp->peer) != ipsp_addr_is_v4(psp->address) ||
		 !ipsp_addr_eq(ipsp_addr_net(psp->peer, plen), ipsp_addr_net(psp->address, plen)))
		fault(check, PSP("peer"),
		      "%s is outside of the interface's network %s/%u; both sides must be on one "
		      "network",
		      peer, net, plen);
	else if (!ipsp_conf_is_host(psp->peer))
		fault(check, PSP("peer"),
		      "%s is an unspecified, multicast or broadcast address; give the one of the "
		      "peer",
		      peer);
	else if (!is_host(psp->peer, plen))
		fault(check, PSP("peer"),
		      "%s is the address of the network %s/%u itself or of all its hosts; give the "
		      "one "
		      "of the peer",
		      peer, net, plen);
}

static void check_timeout(struct check *check, const char *key, uint32_t ms)
{
	if (ms < IPSP_TIMEOUT_MS_MIN || ms > IPSP_TIMEOUT_MS_MAX)
		fault(check, key, "is %u; allowed are %u to %u milliseconds", ms,
		      IPSP_TIMEOUT_MS_MIN, IPSP_TIMEOUT_MS_MAX);
}

static void check_times(struct check *check, const struct ipsp_psp_conf *psp)
{
	uint32_t hello = psp->hello_interval_ms, dead = psp->dead_interval_ms;

	if (hello < IPSP_HELLO_MS_MIN || hello > IPSP_HELLO_MS_MAX)
		fault(check, PSP("hello-interval-ms"), "is %u; allowed are %u to %u milliseconds",
		      hello, IPSP_HELLO_MS_MIN, IPSP_HELLO_MS_MAX);
	if (dead > IPSP_DEAD_MS_MAX)
		fault(check, PSP("dead-interval"),
		      "is %u milliseconds; allowed are 25 to 259200 seconds, or 0 or \"no\" to "
		      "disable "
		      "it",
		      dead);
	else if (dead != 0 && dead <= 3 * (uint64_t)hello)
		fault(check, PSP("dead-interval"),
		      "is %u milliseconds, which is not above 3 hello intervals of %u; lengthen "
		      "it, or "
		      "shorten hello-interval-ms",
		      dead, hello);
	check_timeout(check, PSP("request-timeout-ms"), psp->request_timeout_ms);
	check_timeout(check, PSP("release-timeout-ms"), psp->release_timeout_ms);
}

static void check_psp(struct check *check, const struct ipsp_psp_conf *psp)
{
	bool own_ok = check_own(check, psp);

	if (psp->role != IPSP_ROLE_PRIMARY && psp->role != IPSP_ROLE_SECONDARY)
		fault(check, PSP("primary"),
		      "exactly one of primary and secondary is needed, with the peer's address: "
		      "the key "
		      "word is the PEER's role");
	else if (ipsp_addr_is_none(psp->peer))
		fault(check, PSP("peer"), "the peer's address is missing");
	else if (own_ok)
		check_peer(check, psp);
	if ((unsigned)psp->mode > IPSP_MODE_CHECK)
		fault(check, PSP("mode"),
		      "is unknown; allowed are active, inactive and check-config");
	if ((unsigned)psp->durability > IPSP_DURABLE_POWER)
		fault(check, PSP("durability"), "is unknown; allowed are crash and power");
	if (psp->reserved_free_percentage > 100)
		fault(check, PSP("reserved-free-percentage"), "is %u; allowed are 0 to 100",
		      psp->reserved_free_percentage);
	if (psp->port == 0)
		fault(check, PSP("port"), "is 0; allowed are 1 to 65535, the same on both sides");
	if (psp->block_size > IPSP_BLOCK_SIZE_MAX)
		fault(check, PSP("block-size"),
		      "is %u; allowed are 0 (sized by demand) to %u addresses", psp->block_size,
		      IPSP_BLOCK_SIZE_MAX);
	if (psp->n_keys > IPSP_KEYS_MAX)
		fault(check, PSP("key-file"), "has %u keys; allowed are up to %u", psp->n_keys,
		      IPSP_KEYS_MAX);
	check_times(check, psp);
}

int ipsp_conf_check(const struct ipsp_context_conf *conf, ipsp_conf_fault_fn *fault_fn, void *arg)
{
	const struct ipsp_pool_conf *list[IPSP_POOLS_MAX];
	struct check check = {fault_fn, arg, 0};
	uint32_t n = conf->n_pools;

	if (!name_ok(conf->name))
		fault(&check, "name", "\"%s\" is no name of a context; " NAME_RULE, conf->name);
	if (n > IPSP_POOLS_MAX) {
		fault(&check, "pools",
		      "are %u; allowed are up to %u in a context, because one record of the log, "
		      "65,535 bytes, holds the definitions of all; join pools or use another "
		      "context",
		      n, IPSP_POOLS_MAX);
		n = IPSP_POOLS_MAX;
	}
	for (uint32_t i = 0; i < n; i++) {
		list[i] = &conf->pools[i];
		check_pool(&check, list[i], &conf->psp);
	}
	check_names(&check, list, n);
	check_addresses(&check, list, n);
	if (conf->psp.enabled)
		check_psp(&check, &conf->psp);
	return check.n;
}
