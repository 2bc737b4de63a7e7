/* confsnmp - the stanza "snmp" of the configuration file. */
#include "base/err.h"
#include "daemon/confread.h"
#include "daemon/keyfile.h"
#include "daemon/secret.h"
#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* How net-snmp names the socket of a master agent: a path, or [tcp:]HOST:PORT. */
static bool agentx_ok(const char *text)
{
	const char *host = strncmp(text, "tcp:", 4) == 0 ? text + 4 : text;
	const char *colon = strrchr(host, ':');
	char *end;

	if (text[0] == '/')
		return true;
	if (!colon || colon == host || !isdigit((unsigned char)colon[1]))
		return false;
	const unsigned long port = strtoul(colon + 1, &end, 10);
	return *end == '\0' && port >= 1 && port <= 65535;
}

/* For ipsp-monitor, which is the subagent; checked here, so that one -t is enough. */
static void read_agentx(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			void *object)
{
	struct ipspd_config *config = object;
	const char *text = ipspd_setting_text(setting);

	if (!text && ipspd_setting_bool(setting, &config->agentx))
		return;
	if (!text || !agentx_ok(text) || strlen(text) >= sizeof(config->agentx_socket)) {
		ipspd_confread_fault(rd, setting,
				     "must be true or false, without quotes, or a master agent's "
				     "socket: an absolute path of up to %zu characters, or "
				     "\"HOST:PORT\"",
				     sizeof(config->agentx_socket) - 1);
		return;
	}
	config->agentx = true;
	memcpy(config->agentx_socket, text, strlen(text) + 1);
}

static void read_trap_style(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			    void *object)
{
	static const struct ipspd_word words[] = {
		{"rfc", IPSPD_TRAP_RFC},
		{"starent", IPSPD_TRAP_STARENT},
		{NULL, 0},
	};
	struct ipspd_config *config = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		config->trap_style = (enum ipspd_trap_style)value;
}

static void read_source(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			void *object)
{
	const char *text = ipspd_setting_text(setting);
	struct ipspd_config *config = object;

	if (!text || ipsp_addr_parse(text, &config->snmp_source) != 0 ||
	    ipsp_addr_is_none(config->snmp_source))
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is no address; allowed is an IPv4 or IPv6 address of "
				     "this host",
				     text ? text : "");
}

/* A sink that is given by its address must be one that the source can reach. */
static void check_source(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const struct ipspd_config *config)
{
	struct ipsp_addr addr;

	if (!setting || ipsp_addr_is_none(config->snmp_source))
		return;
	for (size_t i = 0; i < config->n_sinks; i++)
		if (ipsp_addr_parse(config->sinks[i].host, &addr) == 0 &&
		    ipsp_addr_is_v4(addr) != ipsp_addr_is_v4(config->snmp_source))
			ipspd_confread_fault(
				rd, setting,
				"is of another family than the sink %s; allowed is an %s address",
				config->sinks[i].host, ipsp_addr_is_v4(addr) ? "IPv4" : "IPv6");
}

/* An address, or a name of letters, digits, "-", "_" and "."; net-snmp's own forms (udp:...) are
 * not taken. */
static void read_host(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	const struct ipspd_sink *sink = object;
	struct ipsp_addr addr;

	if (ipsp_addr_parse(sink->host, &addr) == 0)
		return;
	for (const char *c = sink->host; *c; c++) {
		if (isalnum((unsigned char)*c) || strchr("-_.", *c))
			continue;
		ipspd_confread_fault(rd, setting, "\"%s\" is neither an address nor a host's name",
				     sink->host);
		return;
	}
}

static void read_version(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object)
{
	static const struct ipspd_word words[] = {
		{"2c", IPSPD_SNMP_V2C},
		{"3", IPSPD_SNMP_V3},
		{NULL, 0},
	};
	struct ipspd_sink *sink = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		sink->version = (enum ipspd_snmp_version)value;
}

static void read_auth(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_word words[] = {
		{"MD5", IPSPD_AUTH_MD5},
		{"SHA", IPSPD_AUTH_SHA},
		{"SHA-224", IPSPD_AUTH_SHA224},
		{"SHA-256", IPSPD_AUTH_SHA256},
		{"SHA-384", IPSPD_AUTH_SHA384},
		{"SHA-512", IPSPD_AUTH_SHA512},
		{NULL, 0},
	};
	struct ipspd_sink *sink = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		sink->auth = (enum ipspd_snmp_auth)value;
}

static void read_priv(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_word words[] = {
		{"DES", IPSPD_PRIV_DES},
		{"AES", IPSPD_PRIV_AES},
		{NULL, 0},
	};
	struct ipspd_sink *sink = object;
	int value;

	if (ipspd_confread_word(rd, setting, words, &value))
		sink->priv = (enum ipspd_snmp_priv)value;
}

static void read_passphrase(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			    const struct ipspd_sink *sink, bool priv, char *passphrase)
{
	struct ipspd_lack lack = {.kind = IPSPD_LACK_PASSPHRASE,
				  .sink = (size_t)(sink - rd->config->sinks),
				  .priv = priv};

	if (!ipspd_confread_secret(rd, setting, lack.path, sizeof(lack.path)))
		return;
	int err = ipspd_keyfile_line(lack.path, IPSPD_PASSPHRASE_MIN, passphrase,
				     IPSPD_PASSPHRASE_MAX, lack.why);
	if (err == IPSP_ERR_INVALID)
		ipspd_confread_fault(rd, setting, "%s", lack.why);
	else if (err)
		ipspd_confread_lack(rd, setting, &lack,
				    "until it is there nothing is sent to this sink");
	else if (lack.why[0])
		ipspd_confread_warn(rd, setting, "%s", lack.why);
}

static void read_auth_passphrase(struct ipspd_confread *rd, const struct ipspd_setting *setting,
				 void *object)
{
	struct ipspd_sink *sink = object;

	read_passphrase(rd, setting, sink, false, sink->auth_passphrase);
}

static void read_priv_passphrase(struct ipspd_confread *rd, const struct ipspd_setting *setting,
				 void *object)
{
	struct ipspd_sink *sink = object;

	read_passphrase(rd, setting, sink, true, sink->priv_passphrase);
}

static const struct ipspd_key sink_keys[] = {
	{"host", IPSPD_KEY_TEXT, true, 1, 255, IPSPD_KEY_FIELD(struct ipspd_sink, host), read_host},
	IPSPD_INT("port", struct ipspd_sink, port, 1, 65535),
	IPSPD_READ("version", IPSPD_KEY_TEXT, true, read_version),
	IPSPD_BOOL("inform", struct ipspd_sink, inform),
	IPSPD_TEXT("community", false, struct ipspd_sink, community, 1),
	IPSPD_TEXT("user", false, struct ipspd_sink, user, 1),
	IPSPD_READ("auth-protocol", IPSPD_KEY_TEXT, false, read_auth),
	IPSPD_READ("auth-passphrase-file", IPSPD_KEY_TEXT, false, read_auth_passphrase),
	IPSPD_READ("priv-protocol", IPSPD_KEY_TEXT, false, read_priv),
	IPSPD_READ("priv-passphrase-file", IPSPD_KEY_TEXT, false, read_priv_passphrase),
	IPSPD_KEYS_END,
};

static void check_pairs(struct ipspd_confread *rd, const struct ipspd_setting *group,
			const char *key, const char *other)
{
	const struct ipspd_setting *have = ipspd_setting_member(group, key);

	if (have && !ipspd_setting_member(group, other))
		ipspd_confread_fault(rd, have, "needs %s beside it", other);
}

/* Which keys go with which version, and with one another. */
static void check_sink(struct ipspd_confread *rd, const struct ipspd_setting *group,
		       const struct ipspd_sink *sink)
{
	static const char *const v3[] = {"user", "auth-protocol", "auth-passphrase-file",
					 "priv-protocol", "priv-passphrase-file"};
	const struct ipspd_setting *have = ipspd_setting_member(group, "version");
	const char *version = have ? ipspd_setting_text(have) : NULL;

	if (!version || (strcmp(version, "2c") != 0 && strcmp(version, "3") != 0))
		return; /* told already, and the rest depends on it */
	have = ipspd_setting_member(group, "community");
	if (sink->version == IPSPD_SNMP_V2C) {
		if (!have)
			ipspd_confread_missing(rd, group, "community",
					       "is missing: version 2c needs it");
		for (size_t i = 0; i < sizeof(v3) / sizeof(v3[0]); i++)
			if ((have = ipspd_setting_member(group, v3[i])))
				ipspd_confread_fault(rd, have, "is for version \"3\" only");
		return;
	}
	if (have)
		ipspd_confread_fault(rd, have, "is for version \"2c\" only");
	have = ipspd_setting_member(group, "user");
	if (!have)
		ipspd_confread_missing(rd, group, "user", "is missing: version 3 needs it");
	else if (!ipspd_setting_member(group, "auth-protocol"))
		ipspd_confread_warn(rd, have, "without auth-protocol anybody can send such traps");
	check_pairs(rd, group, "auth-protocol", "auth-passphrase-file");
	check_pairs(rd, group, "auth-passphrase-file", "auth-protocol");
	check_pairs(rd, group, "priv-protocol", "priv-passphrase-file");
	check_pairs(rd, group, "priv-passphrase-file", "priv-protocol");
	check_pairs(rd, group, "priv-protocol", "auth-protocol");
}

static bool lacks(const struct ipspd_config *config, size_t sink)
{
	for (size_t i = 0; i < config->n_lacks; i++)
		if (config->lacks[i].kind == IPSPD_LACK_PASSPHRASE && config->lacks[i].sink == sink)
			return true;
	return false;
}

/* A user of version 3 has one set of keys, whichever sink its notifications go to (RFC 3414, 5). */
static void check_users(struct ipspd_confread *rd, const struct ipspd_setting *group,
			const struct ipspd_sink *sinks, size_t i)
{
	const struct ipspd_sink *b = &sinks[i];

	for (size_t k = 0; k < i && b->version == IPSPD_SNMP_V3 && b->user[0]; k++) {
		const struct ipspd_sink *a = &sinks[k];

		if (lacks(rd->config, k) || lacks(rd->config, i) || a->version != IPSPD_SNMP_V3 ||
		    strcmp(a->user, b->user) != 0 ||
		    (a->auth == b->auth && a->priv == b->priv &&
		     strcmp(a->auth_passphrase, b->auth_passphrase) == 0 &&
		     strcmp(a->priv_passphrase, b->priv_passphrase) == 0))
			continue;
		ipspd_confread_fault(rd, ipspd_setting_member(group, "user"),
				     "\"%s\" has other protocols or passphrases in another sink; "
				     "they must be the same, or the users different",
				     b->user);
		return;
	}
}

void ipspd_config_sort_sinks(struct ipspd_config *config)
{
	const size_t n = config->n_sinks + config->n_late_sinks;
	size_t ready = 0;

	for (size_t i = 0; config->sinks && i < n; i++) {
		if (lacks(config, i))
			continue;
		if (i == ready) { /* no copy of it on the stack for nothing */
			ready++;
			continue;
		}
		struct ipspd_sink sink = config->sinks[i];
		memmove(&config->sinks[ready + 1], &config->sinks[ready],
			(i - ready) * sizeof(sink));
		config->sinks[ready] = sink;
		sodium_memzero(&sink, sizeof(sink));	     /* it has passphrases */
		for (size_t k = 0; k < config->n_lacks; k++) /* those before it move up by one */
			if (config->lacks[k].kind == IPSPD_LACK_PASSPHRASE &&
			    config->lacks[k].sink >= ready && config->lacks[k].sink < i)
				config->lacks[k].sink++;
		ready++;
	}
	config->n_sinks = ready;
	config->n_late_sinks = n - ready;
}

static void read_sinks(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	struct ipspd_config *config = object;
	size_t n = ipspd_setting_count(setting);

	if (n > IPSPD_SINKS_MAX) {
		ipspd_confread_fault(rd, setting, "has %zu sinks; allowed are %d", n,
				     IPSPD_SINKS_MAX);
		return;
	}
	config->sinks = n > 0 ? calloc(n, sizeof(*config->sinks)) : NULL;
	if (n > 0 && !config->sinks) {
		rd->faults.failed = true;
		return;
	}
	ipspd_secret_memory(config->sinks, n * sizeof(*config->sinks));
	config->n_sinks = n;
	for (size_t i = 0; i < n; i++) {
		const struct ipspd_setting *group = ipspd_setting_element(setting, i);

		config->sinks[i].port = 162;
		if (!ipspd_setting_is_group(group)) {
			ipspd_confread_fault(rd, group, "must be a list of groups");
			continue;
		}
		ipspd_confread_group(rd, group, sink_keys, &config->sinks[i]);
		check_sink(rd, group, &config->sinks[i]);
		check_users(rd, group, config->sinks, i);
	}
	ipspd_config_sort_sinks(config);
}

void ipspd_confread_snmp(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object)
{
	static const struct ipspd_key keys[] = {
		IPSPD_READ("agentx", IPSPD_KEY_OTHER, false, read_agentx),
		IPSPD_READ("source", IPSPD_KEY_TEXT, false, read_source),
		IPSPD_READ("trap-style", IPSPD_KEY_TEXT, false, read_trap_style),
		IPSPD_READ("sinks", IPSPD_KEY_LIST, false, read_sinks),
		IPSPD_KEYS_END,
	};

	ipspd_confread_group(rd, setting, keys, object);
	check_source(rd, ipspd_setting_member(setting, "source"), object);
}
