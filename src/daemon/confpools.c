/* confpools - the list "pools" of a context in the configuration file. */
#include "daemon/confread.h"
#include <stdlib.h>
#include <string.h>

#define POOL_BITS 26 /* IPSP_POOL_SIZE_MAX is 2 to the power of that */

struct pool_in { /* a pool as it is read; where its addresses are is worked out once all keys are
		    known */
	struct ipsp_pool_conf conf;
	bool nw_bcast;
	uint32_t length;
};

static void read_type(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_word words[] = {
		{"public", IPSP_POOL_PUBLIC},
		{"private", IPSP_POOL_PRIVATE},
		{"static", IPSP_POOL_STATIC},
		{NULL, 0},
	};
	struct pool_in *pool = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		pool->conf.type = (enum ipsp_pool_type)value;
}

static const struct ipspd_key pool_keys[] = {
	IPSPD_TEXT("name", true, struct pool_in, conf.name, 1),
	IPSPD_TEXT("group", false, struct pool_in, conf.group, 1),
	IPSPD_READ("type", IPSPD_KEY_TEXT, false, read_type),
	IPSPD_INT("priority", struct pool_in, conf.priority, 0, IPSP_PRIORITY_MAX),
	IPSPD_READ("network", IPSPD_KEY_TEXT, false, NULL),
	IPSPD_READ("range", IPSPD_KEY_OTHER, false, NULL),
	IPSPD_READ("prefix", IPSPD_KEY_TEXT, false, NULL),
	IPSPD_INT("length", struct pool_in, length, 1, 128),
	IPSPD_BOOL("include-nw-bcast", struct pool_in, nw_bcast),
	IPSPD_INT("address-hold-timer", struct pool_in, conf.hold_s, 0, IPSP_HOLD_S_MAX),
	IPSPD_INT("address-quarantine-timer", struct pool_in, conf.quarantine_s,
		  IPSP_QUARANTINE_S_MIN, IPSP_QUARANTINE_S_MAX),
	IPSPD_BOOL("busyout", struct pool_in, conf.busyout),
	IPSPD_KEYS_END,
};

/* ADDRESS/LENGTH, or false with a fault. */
static bool parse_net(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      const char *example, struct ipsp_addr *net, unsigned *plen)
{
	const char *text = ipspd_setting_text(setting);

	if (!text)
		return false; /* told already */
	if (ipsp_addr_parse_prefix(text, net, plen) == 0)
		return true;
	ipspd_confread_fault(rd, setting, "\"%s\" is not ADDRESS/LENGTH, such as \"%s\"", text,
			     example);
	return false;
}

/* A network of 2^26 entries at most, which are as long as @width, and with no bit behind its
 * length; else false with a fault. What is too large is not mended by its bits: this is looked at
 * first. */
static bool check_net(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      struct ipsp_addr addr, unsigned plen, unsigned width)
{
	const struct ipsp_addr net = ipsp_addr_net(addr, plen);
	char right[IPSP_ADDR_TEXT_MAX];

	if (plen + POOL_BITS < width)
		ipspd_confread_fault(rd, setting,
				     "\"%s\" has 2^%u entries; allowed are at most 2^%u in one "
				     "pool, lengths of %u to %u here",
				     ipspd_setting_text(setting), width - plen, POOL_BITS,
				     width - POOL_BITS, width);
	else if (!ipsp_addr_eq(net, addr))
		ipspd_confread_fault(rd, setting,
				     "\"%s\" has bits set behind its length; write \"%s/%u\"",
				     ipspd_setting_text(setting),
				     ipsp_addr_text(net, right, sizeof(right)), plen);
	else
		return true;
	return false;
}

static bool read_network(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 struct pool_in *pool)
{
	struct ipsp_pool_conf *conf = &pool->conf;
	unsigned plen, width, left_out;
	struct ipsp_addr net;

	if (!parse_net(rd, setting, "10.1.0.0/16", &net, &plen))
		return false;
	width = ipsp_addr_is_v4(net) ? 32 : 128;
	if (!check_net(rd, setting, net, plen, width))
		return false;
	/* the network and the broadcast address, which /31 and /32 don't have (RFC 3021);
	 * IPv6 has no broadcast, but its first address is every router's (RFC 4291, 2.6.1) */
	left_out = pool->nw_bcast || plen >= width - 1 ? 0 : width == 32 ? 2 : 1;
	conf->size = (1u << (width - plen)) - left_out;
	conf->base = ipsp_addr_add(net, left_out > 0 ? 1 : 0, 0);
	conf->plen = (uint8_t)width;
	conf->netlen = (uint8_t)plen;
	return true;
}

static bool read_range(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		       struct pool_in *pool)
{
	struct ipsp_pool_conf *conf = &pool->conf;
	struct ipsp_addr end[2];
	uint64_t span;

	if (ipspd_setting_is_group(setting) || ipspd_setting_count(setting) != 2) {
		ipspd_confread_fault(rd, setting,
				     "must be the first and the last address: [ \"10.2.0.1\", "
				     "\"10.2.0.254\" ]");
		return false;
	}
	for (size_t i = 0; i < 2; i++) {
		const char *text = ipspd_setting_text(ipspd_setting_element(setting, i));

		end[i] = IPSP_ADDR_NONE;
		if (text && (strcmp(text, "::") == 0 || ipsp_addr_parse(text, &end[i]) == 0))
			continue;
		ipspd_confread_fault(rd, setting, "\"%s\" is not an address", text ? text : "");
		return false;
	}
	if (ipsp_addr_is_v4(end[0]) != ipsp_addr_is_v4(end[1]) ||
	    ipsp_addr_cmp(end[0], end[1]) > 0) {
		ipspd_confread_fault(rd, setting,
				     "%s to %s: the first address must not be above the last, and "
				     "of its family",
				     ipspd_setting_text(ipspd_setting_element(setting, 0)),
				     ipspd_setting_text(ipspd_setting_element(setting, 1)));
		return false;
	}
	span = ipsp_addr_sub(end[1], end[0], 0);
	if (end[1].hi - end[0].hi > 1 || span >= IPSP_POOL_SIZE_MAX ||
	    (end[1].hi != end[0].hi && end[1].lo >= end[0].lo)) {
		ipspd_confread_fault(rd, setting, "has more than 2^26 addresses");
		return false;
	}
	conf->base = end[0];
	conf->size = (uint32_t)span + 1;
	conf->plen = ipsp_addr_is_v4(end[0]) ? 32 : 128;
	return true;
}

static bool read_prefix(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			struct pool_in *pool)
{
	struct ipsp_pool_conf *conf = &pool->conf;
	struct ipsp_addr net;
	unsigned plen;

	if (!parse_net(rd, setting, "2001:db8::/40", &net, &plen))
		return false;
	if (ipsp_addr_is_v4(net)) {
		ipspd_confread_fault(rd, setting, "is for IPv6; an IPv4 pool has network or range");
		return false;
	}
	if (pool->length < plen) {
		ipspd_confread_fault(rd, setting,
				     "prefixes of length %u don't fit into a /%u; length must be "
				     "%u to 128",
				     pool->length, plen, plen);
		return false;
	}
	if (!check_net(rd, setting, net, plen, pool->length))
		return false;
	conf->size = 1u << (pool->length - plen);
	conf->base = net;
	conf->plen = (uint8_t)pool->length;
	conf->shift = (uint8_t)(128 - pool->length);
	conf->netlen = (uint8_t)plen;
	return true;
}

/* Exactly one of the three ways to say where the addresses are. */
static bool read_addresses(struct ipspd_confread *rd, const struct ipspd_setting *group,
			   struct pool_in *pool)
{
	const struct ipspd_setting *network = ipspd_setting_member(group, "network");
	const struct ipspd_setting *range = ipspd_setting_member(group, "range");
	const struct ipspd_setting *prefix = ipspd_setting_member(group, "prefix");
	const struct ipspd_setting *extra = ipspd_setting_member(group, "include-nw-bcast");

	if (!!network + !!range + !!prefix != 1) {
		ipspd_confread_missing(rd, group, "network",
				       "exactly one of network, range and prefix is needed");
		return false;
	}
	if (extra && !network)
		ipspd_confread_fault(rd, extra,
				     "goes with network only: a range or prefix is taken whole");
	extra = ipspd_setting_member(group, "length");
	if (extra && !prefix)
		ipspd_confread_fault(rd, extra, "goes with prefix only");
	if (network)
		return read_network(rd, network, pool);
	return range ? read_range(rd, range, pool) : read_prefix(rd, prefix, pool);
}

void ipspd_confread_pools(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			  void *object)
{
	struct ipsp_context_conf *conf = object;
	size_t n = ipspd_setting_count(setting);

	if (n == 0)
		ipspd_confread_warn(
			rd, setting,
			"the list is empty: this context has no address to give; a pool "
			"is { name = \"pool-a\"; network = \"10.1.0.0/16\"; }");
	if (n > IPSP_POOLS_MAX) {
		ipspd_confread_fault(rd, setting, "has %zu pools; allowed are %d", n,
				     IPSP_POOLS_MAX);
		return;
	}
	conf->pools = n > 0 ? calloc(n, sizeof(*conf->pools)) : NULL;
	if (n > 0 && !conf->pools) {
		rd->faults.failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct ipspd_setting *group = ipspd_setting_element(setting, i);
		struct pool_in pool = {.length = 64};

		if (!ipspd_setting_is_group(group)) {
			ipspd_confread_fault(rd, group, "must be a list of groups");
			continue;
		}
		ipspd_confread_group(rd, group, pool_keys, &pool);
		if (read_addresses(rd, group, &pool) && pool.conf.name[0])
			conf->pools[conf->n_pools++] = pool.conf;
	}
}
