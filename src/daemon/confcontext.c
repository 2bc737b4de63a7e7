/* confcontext - the stanza "contexts" of the configuration file: pools, interfaces,
 * pool-share-protocol. */
#include "base/err.h"
#include "daemon/confread.h"
#include "daemon/keyfile.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEAD_S_MIN 25
#define DEAD_S_MAX 259200

/* ---------------------------------------------------------------- pools */

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

/* A network without host bits, or false with a fault. */
static bool parse_net(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      struct ipsp_addr *net, unsigned *plen)
{
	const char *text = ipspd_setting_text(setting);
	char right[IPSP_ADDR_TEXT_MAX];
	struct ipsp_addr addr;

	if (!text)
		return false; /* told already */
	if (ipsp_addr_parse_prefix(text, &addr, plen) != 0) {
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is not ADDRESS/LENGTH, such as \"10.1.0.0/16\"", text);
		return false;
	}
	*net = ipsp_addr_net(addr, *plen);
	if (ipsp_addr_eq(*net, addr))
		return true;
	ipspd_confread_fault(rd, setting, "\"%s\" has bits set behind its length; write \"%s/%u\"",
			     text, ipsp_addr_text(*net, right, sizeof(right)), *plen);
	return false;
}

/* Sets the size to 2^@bits entries less @less; false with a fault when that is none or too many. */
static bool set_size(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		     struct ipsp_pool_conf *conf, unsigned bits, uint32_t less)
{
	if (bits > 26) {
		ipspd_confread_fault(rd, setting,
				     "has 2^%u entries; allowed are at most 2^26 in one pool",
				     bits);
		return false;
	}
	conf->size = (1u << bits) - less;
	return true;
}

static bool read_network(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 struct pool_in *pool)
{
	struct ipsp_pool_conf *conf = &pool->conf;
	unsigned plen, width, left_out;
	struct ipsp_addr net;

	if (!parse_net(rd, setting, &net, &plen))
		return false;
	width = ipsp_addr_is_v4(net) ? 32 : 128;
	/* the network and the broadcast address, which /31 and /32 don't have (RFC 3021);
	 * IPv6 has no broadcast, but its first address is every router's (RFC 4291, 2.6.1) */
	left_out = pool->nw_bcast || plen >= width - 1 ? 0 : width == 32 ? 2 : 1;
	if (!set_size(rd, setting, conf, width - plen, left_out))
		return false;
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

		if (text && ipsp_addr_parse(text, &end[i]) == 0)
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

	if (!parse_net(rd, setting, &net, &plen))
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
	if (!set_size(rd, setting, conf, pool->length - plen, 0))
		return false;
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

static void read_pools(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	struct ipsp_context_conf *conf = object;
	size_t n = ipspd_setting_count(setting);

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

/* ---------------------------------------------------------------- pool-share-protocol */

static void read_mode(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_word words[] = {
		{"active", IPSP_MODE_ACTIVE},
		{"inactive", IPSP_MODE_INACTIVE},
		{"check-config", IPSP_MODE_CHECK},
		{NULL, 0},
	};
	struct ipsp_psp_conf *psp = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		psp->mode = (enum ipsp_mode)value;
}

static void read_durability(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			    void *object)
{
	static const struct ipspd_word words[] = {
		{"crash", IPSP_DURABLE_CRASH},
		{"power", IPSP_DURABLE_POWER},
		{NULL, 0},
	};
	struct ipsp_psp_conf *psp = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		psp->durability = (enum ipsp_durability)value;
}

static void read_dead_interval(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			       void *object)
{
	struct ipsp_psp_conf *psp = object;
	const char *text = ipspd_setting_text(setting);
	char said[24] = "this";
	long long s = 0;

	if ((text && strcmp(text, "no") == 0) ||
	    (!text && ipspd_setting_int(setting, &s) &&
	     (s == 0 || (s >= DEAD_S_MIN && s <= DEAD_S_MAX)))) {
		psp->dead_interval_ms = (uint32_t)(s * 1000);
		return;
	}
	if (rd->huge_number &&
	    ipspd_faults_has(&rd->faults, ipspd_setting_line(setting), "dead-interval"))
		return;
	if (text)
		snprintf(said, sizeof(said), "\"%.20s\"", text);
	else if (ipspd_setting_int(setting, &s))
		snprintf(said, sizeof(said), "%lld", s);
	ipspd_confread_fault(rd, setting,
			     "%s is out of range; allowed are 25 to 259200 seconds; 0 or \"no\" "
			     "disables it: the peer is then down at once when it is lost",
			     said);
}

static void read_dead_interval_ms(struct ipspd_confread *rd, const struct ipspd_setting *setting,
				  void *object)
{
	struct ipsp_psp_conf *psp = object;
	long long ms = 0;

	ipspd_setting_int(setting, &ms);
	psp->dead_interval_ms = (uint32_t)ms;
	ipspd_confread_warn(rd, setting,
			    "for laboratories and tests only; in service use "
			    "dead-interval, in seconds");
}

static void read_key_file(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			  void *object)
{
	struct ipsp_psp_conf *psp = object;
	char path[IPSPD_PATH_MAX], why[IPSPD_WHY_MAX];

	if (!ipspd_confread_path(rd, setting, path, sizeof(path)) ||
	    ipspd_keyfile_keys(path, psp->keys, &psp->n_keys, why) == 0)
		return;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		ipspd_confread_fault(rd, setting,
				     "%s; make one by (umask 077; openssl rand -hex 32 > FILE), "
				     "and copy it to the other side",
				     why);
	else
		ipspd_confread_fault(rd, setting, "%s", why);
}

static void read_auth(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_word words[] = {{"none", 0}, {NULL, 0}};
	int value;

	(void)object;
	if (ipspd_confread_word(rd, setting, words, &value))
		ipspd_confread_warn(rd, setting,
				    "the pair runs without authentication: whoever reaches the "
				    "link can take its addresses");
}

static void read_peer(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	struct ipsp_psp_conf *psp = object;
	const char *text = ipspd_setting_text(setting);
	/* the key word is the PEER's role; ours is the other one */
	bool peer_primary = strcmp(ipspd_setting_name(setting), "primary") == 0;

	psp->role = peer_primary ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY;
	if (ipsp_addr_parse(text, &psp->peer) != 0)
		ipspd_confread_fault(
			rd, setting,
			"\"%s\" is not the peer's address (a name is not taken: it could "
			"change)",
			text);
}

static const struct ipspd_key psp_keys[] = {
	IPSPD_READ("primary", IPSPD_KEY_TEXT, false, read_peer),
	IPSPD_READ("secondary", IPSPD_KEY_TEXT, false, read_peer),
	IPSPD_READ("mode", IPSPD_KEY_TEXT, false, read_mode),
	IPSPD_READ("dead-interval", IPSPD_KEY_OTHER, false, read_dead_interval),
	{"dead-interval-ms", IPSPD_KEY_INT, false, 1, IPSP_DEAD_MS_MAX, 0, 0,
	 read_dead_interval_ms},
	IPSPD_INT("reserved-free-percentage", struct ipsp_psp_conf, reserved_free_percentage, 0,
		  100),
	IPSPD_INT("port", struct ipsp_psp_conf, port, 1, 65535),
	IPSPD_READ("key-file", IPSPD_KEY_TEXT, false, read_key_file),
	IPSPD_READ("auth", IPSPD_KEY_TEXT, false, read_auth),
	IPSPD_INT("hello-interval-ms", struct ipsp_psp_conf, hello_interval_ms, IPSP_HELLO_MS_MIN,
		  IPSP_HELLO_MS_MAX),
	IPSPD_INT("block-size", struct ipsp_psp_conf, block_size, 0, IPSP_BLOCK_SIZE_MAX),
	IPSPD_INT("request-timeout-ms", struct ipsp_psp_conf, request_timeout_ms,
		  IPSP_TIMEOUT_MS_MIN, IPSP_TIMEOUT_MS_MAX),
	IPSPD_READ("durability", IPSPD_KEY_TEXT, false, read_durability),
	IPSPD_INT("release-timeout-ms", struct ipsp_psp_conf, release_timeout_ms,
		  IPSP_TIMEOUT_MS_MIN, IPSP_TIMEOUT_MS_MAX),
	IPSPD_KEYS_END,
};

/* Which keys go with which. */
static void check_psp(struct ipspd_confread *rd, const struct ipspd_setting *group)
{
	const struct ipspd_setting *primary = ipspd_setting_member(group, "primary");
	const struct ipspd_setting *secondary = ipspd_setting_member(group, "secondary");
	const struct ipspd_setting *key_file = ipspd_setting_member(group, "key-file");
	const struct ipspd_setting *auth = ipspd_setting_member(group, "auth");
	const struct ipspd_setting *dead_ms = ipspd_setting_member(group, "dead-interval-ms");

	if (!primary && !secondary)
		ipspd_confread_missing(
			rd, group, "primary",
			"exactly one of primary and secondary is needed, with the peer's "
			"address; the key word is the PEER's role, so it is secondary on "
			"the primary");
	if (primary && secondary)
		ipspd_confread_fault(
			rd,
			ipspd_setting_line(primary) > ipspd_setting_line(secondary) ? primary
										    : secondary,
			"both primary and secondary are given; exactly one is allowed: the "
			"key word is the PEER's role");
	if (!key_file && !auth)
		ipspd_confread_missing(
			rd, group, "key-file",
			"is missing; without a shared secret the pair runs only with "
			"auth = \"none\"");
	if (key_file && auth)
		ipspd_confread_fault(rd, auth, "contradicts key-file; only one of them is allowed");
	if (dead_ms && ipspd_setting_member(group, "dead-interval"))
		ipspd_confread_fault(rd, dead_ms,
				     "stands in for dead-interval; only one of them is allowed");
}

/* ---------------------------------------------------------------- interfaces */

struct interface_in {
	char name[IPSP_NAME_MAX];
	struct ipsp_addr address;
	uint8_t plen;
};

static void read_address(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object)
{
	struct interface_in *in = object;
	const char *text = ipspd_setting_text(setting);
	unsigned plen;

	if (ipsp_addr_parse_prefix(text, &in->address, &plen) != 0)
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is not ADDRESS/LENGTH, such as \"192.0.2.1/24\"",
				     text);
	else
		in->plen = (uint8_t)plen;
}

static const struct ipspd_key interface_keys[] = {
	IPSPD_TEXT("name", true, struct interface_in, name, 1),
	IPSPD_READ("address", IPSPD_KEY_TEXT, true, read_address),
	IPSPD_READ("pool-share-protocol", IPSPD_KEY_GROUP, false, NULL),
	IPSPD_KEYS_END,
};

static void read_interface(struct ipspd_confread *rd, const struct ipspd_setting *group,
			   struct ipsp_context_conf *conf)
{
	const struct ipspd_setting *psp = ipspd_setting_member(group, "pool-share-protocol");
	struct interface_in in = {0};

	ipspd_confread_group(rd, group, interface_keys, &in);
	if (psp && ipspd_setting_is_group(psp)) {
		if (conf->psp.enabled) {
			ipspd_confread_fault(
				rd, psp,
				"another interface of this context has it already; one "
				"IPSP interface is allowed in a context");
			return;
		}
		conf->psp.enabled = true;
		ipspd_confread_group(rd, psp, psp_keys, &conf->psp);
		check_psp(rd, psp);
	} else if (conf->psp.interface[0]) {
		return; /* without IPSP the first one stands for the context */
	}
	memcpy(conf->psp.interface, in.name, sizeof(in.name));
	conf->psp.address = in.address;
	conf->psp.address_plen = in.plen;
}

static void read_interfaces(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			    void *object)
{
	for (size_t i = 0; i < ipspd_setting_count(setting); i++) {
		const struct ipspd_setting *group = ipspd_setting_element(setting, i);

		if (ipspd_setting_is_group(group))
			read_interface(rd, group, object);
		else
			ipspd_confread_fault(rd, group, "must be a list of groups");
	}
}

/* ---------------------------------------------------------------- contexts */

static const struct ipspd_key context_keys[] = {
	IPSPD_TEXT("name", true, struct ipsp_context_conf, name, 1),
	IPSPD_READ("pools", IPSPD_KEY_LIST, true, read_pools),
	IPSPD_READ("interfaces", IPSPD_KEY_LIST, false, read_interfaces),
	IPSPD_KEYS_END,
};

void ipspd_confread_contexts(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			     void *object)
{
	struct ipspd_config *config = object;
	size_t n = ipspd_setting_count(setting);

	if (n == 0) {
		ipspd_confread_fault(rd, setting, "is empty; at least one context is needed");
		return;
	}
	config->contexts = calloc(n, sizeof(*config->contexts));
	rd->context_settings = calloc(n, sizeof(*rd->context_settings));
	if (!config->contexts || !rd->context_settings) {
		rd->faults.failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct ipspd_setting *group = ipspd_setting_element(setting, i);
		struct ipsp_context_conf *conf = &config->contexts[config->n_contexts];

		if (!ipspd_setting_is_group(group)) {
			ipspd_confread_fault(rd, group, "must be a list of groups");
			continue;
		}
		ipsp_conf_init(conf, "");
		rd->context_settings[config->n_contexts++] = group;
		ipspd_confread_group(rd, group, context_keys, conf);
	}
}
