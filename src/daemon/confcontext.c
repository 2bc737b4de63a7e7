/* confcontext - the stanza "contexts" of the configuration file: interfaces,
 * pool-share-protocol; the pools are read in confpools.c. */
#include "base/err.h"
#include "daemon/confread.h"
#include "daemon/keyfile.h"
#include "daemon/secret.h"
#include "daemon/trust.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICE_RULE                                                                                \
	"allowed are 1 to 15 characters without blanks, '/', ':' and '%%', such as \"eth0\""

#define DEAD_S_MIN 25
#define DEAD_S_MAX 259200

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
	if (rd->huge_number && ipspd_faults_has(&rd->faults, rd->faults.n,
						ipspd_setting_line(setting), "dead-interval"))
		return;
	if (text)
		snprintf(said, sizeof(said), "\"%.20s\"", text);
	else if (ipspd_setting_int(setting, &s))
		snprintf(said, sizeof(said), "%lld", s);
	ipspd_confread_fault(rd, setting,
			     "%s %s; allowed are 25 to 259200 seconds; 0 or \"no\" "
			     "disables it: the peer is then down at once when it is lost",
			     said, text ? "must be a number, without quotes" : "is out of range");
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
	struct ipspd_lack lack = {.kind = IPSPD_LACK_KEY};
	char **kept = &rd->config->key_files[rd->config->n_contexts - 1];

	if (!ipspd_confread_secret(rd, setting, lack.path, sizeof(lack.path)))
		return;
	psp->wants_key = true;
	*kept = strdup(lack.path);
	rd->faults.failed |= !*kept;
	int err = ipspd_keyfile_keys(lack.path, psp->keys, &psp->n_keys, lack.why);
	if (err == 0 && lack.why[0])
		ipspd_confread_warn(rd, setting, "%s", lack.why);
	if (err == 0 && ipspd_trust_hidden(lack.path))
		ipspd_confread_warn(rd, setting, "%s: the user ipsp can't read it (chown ipsp)",
				    lack.path);
	if (err == IPSP_ERR_INVALID)
		ipspd_confread_fault(rd, setting, "%s", lack.why);
	else if (err)
		ipspd_confread_lack(
			rd, setting, &lack,
			"until it is there the context does not talk to its peer. "
			"Make one with \"ipspctl make-key FILE\", and copy it to the other side");
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

/*
 * "fe80::1%eth0/64" without its "%eth0" in @bare; what stands behind the % in @zone, "" for
 * nothing. False with a fault when that is no interface's name.
 */
static bool split_zone(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		       char bare[IPSP_ADDR_TEXT_MAX], char zone[IPSP_DEVICE_MAX])
{
	const char *text = ipspd_setting_text(setting), *sign = strchr(text, '%');
	const size_t n = sign ? strcspn(sign + 1, "/") : 0;

	zone[0] = '\0';
	snprintf(bare, IPSP_ADDR_TEXT_MAX, "%.*s%s", (int)(sign ? sign - text : (int)strlen(text)),
		 text, sign ? sign + 1 + n : "");
	if (!sign)
		return true;
	if (n > 0 && n < IPSP_DEVICE_MAX) {
		memcpy(zone, sign + 1, n);
		zone[n] = '\0';
	}
	if (ipsp_device_ok(zone))
		return true;
	ipspd_confread_fault(rd, setting,
			     "\"%s\": behind the %% stands no name of an interface; " DEVICE_RULE,
			     text);
	return false;
}

/* Every interface has link-local addresses of one network: which one is meant must be said. */
static bool check_zone(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		       struct ipsp_addr address, const char *zone, const char *example)
{
	const char *text = ipspd_setting_text(setting);

	if (ipsp_addr_is_link_local(address) && !zone[0])
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is a link-local address, which means another host on "
				     "each interface; name the interface: \"%s\"",
				     text, example);
	else if (!ipsp_addr_is_link_local(address) && zone[0])
		ipspd_confread_fault(
			rd, setting,
			"\"%s\": only an IPv6 link-local address has an interface behind "
			"%%; give device = \"%s\" in the interface's group instead",
			text, zone);
	else
		return true;
	return false;
}

static void read_peer(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	struct ipsp_psp_conf *psp = object;
	const char *text = ipspd_setting_text(setting);
	char bare[IPSP_ADDR_TEXT_MAX], zone[IPSP_DEVICE_MAX];
	/* the key word is the PEER's role; ours is the other one */
	bool peer_primary = strcmp(ipspd_setting_name(setting), "primary") == 0;

	psp->role = peer_primary ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY;
	if (!split_zone(rd, setting, bare, zone))
		return;
	if (ipsp_addr_parse(bare, &psp->peer) != 0)
		ipspd_confread_fault(
			rd, setting,
			"\"%s\" is not the peer's address, such as \"192.0.2.2\" (a name is not "
			"taken: it could change)",
			text);
	else if (check_zone(rd, setting, psp->peer, zone, "fe80::2%eth0") && zone[0] &&
		 psp->device[0] && strcmp(zone, psp->device) != 0)
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is on interface \"%s\", and this side's address on "
				     "\"%s\"; both must be on one",
				     text, zone, psp->device);
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
	IPSPD_BOOL("takeover-when-deaf", struct ipsp_psp_conf, takeover_when_deaf),
	IPSPD_BOOL("old-handshake", struct ipsp_psp_conf, old_handshake),
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
	char zone[IPSP_DEVICE_MAX];   /* behind the % of a link-local address */
	char device[IPSP_DEVICE_MAX]; /* as its key says */
};

static void read_address(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object)
{
	struct interface_in *in = object;
	const char *text = ipspd_setting_text(setting);
	char bare[IPSP_ADDR_TEXT_MAX];
	unsigned plen;

	if (!split_zone(rd, setting, bare, in->zone))
		return;
	if (ipsp_addr_parse_prefix(bare, &in->address, &plen) != 0) {
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is not ADDRESS/LENGTH, such as \"192.0.2.1/24\"",
				     text);
		return;
	}
	if (plen == 0) {
		ipspd_confread_fault(rd, setting,
				     "\"%s\": a length of 0 is a network of all addresses; allowed "
				     "are 1 to %u",
				     text, ipsp_addr_is_v4(in->address) ? 32 : 128);
		in->address = IPSP_ADDR_NONE;
		return;
	}
	in->plen = (uint8_t)plen;
	check_zone(rd, setting, in->address, in->zone, "fe80::1%eth0/64");
}

static void read_device(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			void *object)
{
	struct interface_in *in = object;
	const char *text = ipspd_setting_text(setting);

	if (ipsp_device_ok(text)) {
		memcpy(in->device, text, strlen(text) + 1);
		return;
	}
	ipspd_confread_fault(rd, setting, "\"%s\" is no name of an interface; " DEVICE_RULE, text);
	snprintf(in->device, sizeof(in->device), ":%.14s", text); /* like no other, and none */
}

static const struct ipspd_key interface_keys[] = {
	IPSPD_TEXT("name", true, struct interface_in, name, 1),
	IPSPD_READ("address", IPSPD_KEY_TEXT, true, read_address),
	IPSPD_READ("device", IPSPD_KEY_TEXT, false, read_device),
	IPSPD_READ("pool-share-protocol", IPSPD_KEY_GROUP, false, NULL),
	IPSPD_KEYS_END,
};

static void read_interface(struct ipspd_confread *rd, const struct ipspd_setting *group,
			   struct ipsp_context_conf *conf)
{
	const struct ipspd_setting *psp = ipspd_setting_member(group, "pool-share-protocol");
	struct interface_in in = {0};

	ipspd_confread_group(rd, group, interface_keys, &in);
	if (in.zone[0] && in.device[0] && strcmp(in.zone, in.device) != 0)
		ipspd_confread_fault(rd, ipspd_setting_member(group, "device"),
				     "\"%s\" is another interface than \"%%%s\" of the address; a "
				     "link-local address needs no device",
				     in.device, in.zone);
	if (psp && ipspd_setting_is_group(psp)) {
		if (conf->psp.enabled) {
			ipspd_confread_fault(
				rd, psp,
				"another interface of this context has it already; one "
				"IPSP interface is allowed in a context");
			return;
		}
		conf->psp.enabled = true;
		memcpy(conf->psp.device, in.zone[0] ? in.zone : in.device, IPSP_DEVICE_MAX);
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
	IPSPD_READ("pools", IPSPD_KEY_LIST, true, ipspd_confread_pools),
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
	config->key_files = calloc(n, sizeof(*config->key_files));
	rd->context_settings = calloc(n, sizeof(*rd->context_settings));
	if (!config->contexts || !config->key_files || !rd->context_settings) {
		rd->faults.failed = true;
		return;
	}
	ipspd_secret_memory(config->contexts, n * sizeof(*config->contexts));
	for (size_t i = 0; i < n; i++) {
		const struct ipspd_setting *group = ipspd_setting_element(setting, i);
		struct ipsp_context_conf *conf = &config->contexts[config->n_contexts];

		if (!ipspd_setting_is_group(group)) {
			ipspd_confread_fault(rd, group, "must be a list of groups");
			continue;
		}
		ipsp_conf_init(conf, "");
		rd->context_settings[config->n_contexts++] = group;
		const size_t lacks = config->n_lacks;
		ipspd_confread_group(rd, group, context_keys, conf);
		for (size_t k = lacks; k < config->n_lacks; k++) /* its name may come last */
			memcpy(config->lacks[k].context, conf->name, sizeof(conf->name));
	}
}
