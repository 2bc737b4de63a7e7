#include "daemon/config.h"
#include "base/err.h"
#include "base/ident.h"
#include "daemon/confread.h"
#include "daemon/conftext.h"
#include "daemon/plain.h"
#include "daemon/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libconfig.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE_MAX (16u << 20)
#define GROUP_MAX	((long long)sizeof(((struct ipspd_config *)0)->control_group) - 1)

/* ---------------------------------------------------------------- settings */

static const config_setting_t *of(const struct ipspd_setting *setting)
{
	return (const config_setting_t *)setting;
}

static const struct ipspd_setting *as(const config_setting_t *setting)
{
	return (const struct ipspd_setting *)setting;
}

unsigned ipspd_setting_line(const struct ipspd_setting *setting)
{
	return config_setting_source_line(of(setting));
}

const char *ipspd_setting_name(const struct ipspd_setting *setting)
{
	const config_setting_t *s = of(setting);

	while (s && !config_setting_name(s))
		s = config_setting_parent(s);
	return s ? config_setting_name(s) : "file";
}

const struct ipspd_setting *ipspd_setting_member(const struct ipspd_setting *group,
						 const char *name)
{
	return as(config_setting_get_member(of(group), name));
}

size_t ipspd_setting_count(const struct ipspd_setting *setting)
{
	return config_setting_is_aggregate(of(setting)) ? (size_t)config_setting_length(of(setting))
							: 0;
}

const struct ipspd_setting *ipspd_setting_element(const struct ipspd_setting *setting, size_t i)
{
	return as(config_setting_get_elem(of(setting), (unsigned)i));
}

bool ipspd_setting_is_group(const struct ipspd_setting *setting)
{
	return config_setting_is_group(of(setting));
}

const char *ipspd_setting_text(const struct ipspd_setting *setting)
{
	return config_setting_type(of(setting)) == CONFIG_TYPE_STRING
		       ? config_setting_get_string(of(setting))
		       : NULL;
}

bool ipspd_setting_bool(const struct ipspd_setting *setting, bool *value)
{
	if (config_setting_type(of(setting)) != CONFIG_TYPE_BOOL)
		return false;
	*value = config_setting_get_bool(of(setting)) == CONFIG_TRUE;
	return true;
}

bool ipspd_setting_int(const struct ipspd_setting *setting, long long *value)
{
	int type = config_setting_type(of(setting));

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	*value = type == CONFIG_TYPE_INT ? config_setting_get_int(of(setting))
					 : config_setting_get_int64(of(setting));
	return true;
}

/* ---------------------------------------------------------------- faults */

void ipspd_confread_fault(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			  const char *format, ...)
{
	char text[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ipspd_faults_add(&rd->faults, false, ipspd_setting_line(setting),
			 ipspd_setting_name(setting), "%s", text);
}

void ipspd_confread_warn(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const char *format, ...)
{
	char text[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ipspd_faults_add(&rd->faults, true, ipspd_setting_line(setting),
			 ipspd_setting_name(setting), "%s", text);
}

void ipspd_confread_missing(struct ipspd_confread *rd, const struct ipspd_setting *group,
			    const char *key, const char *text)
{
	ipspd_faults_add(&rd->faults, false, ipspd_setting_line(group), key, "%s", text);
}

/* ---------------------------------------------------------------- keys */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t min = a < b ? a : b;

	return min < c ? min : c;
}

/* How many letters must be put in, taken out or changed to make @a into @b (Levenshtein). */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= sizeof(row) / sizeof(row[0]))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];

			row[j] = least(row[j - 1] + 1, above + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[n];
}

static const struct ipspd_key *find_key(const struct ipspd_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static void unknown_key(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			const struct ipspd_key *keys)
{
	const char *name = ipspd_setting_name(setting), *nearest = keys->name;
	size_t best = SIZE_MAX;

	for (; keys->name; keys++) {
		size_t distance = edit_distance(name, keys->name);

		if (distance < best) {
			best = distance;
			nearest = keys->name;
		}
	}
	ipspd_confread_fault(rd, setting, "unknown key; the nearest known one here is \"%s\"",
			     nearest);
}

static void put_int(void *object, const struct ipspd_key *key, long long v)
{
	char *to = (char *)object + key->offset;

	if (key->size == sizeof(uint8_t))
		*(uint8_t *)to = (uint8_t)v;
	else if (key->size == sizeof(uint16_t))
		*(uint16_t *)(void *)to = (uint16_t)v;
	else if (key->size == sizeof(uint32_t))
		*(uint32_t *)(void *)to = (uint32_t)v;
}

static bool read_int(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		     const struct ipspd_key *key, void *object)
{
	long long v;

	if (!ipspd_setting_int(setting, &v)) {
		const char *text = ipspd_setting_text(setting);

		if (text)
			ipspd_confread_fault(
				rd, setting,
				"\"%s\" must be a number, without quotes, %lld to %lld", text,
				key->min, key->max);
		else
			ipspd_confread_fault(rd, setting, "must be a whole number, %lld to %lld",
					     key->min, key->max);
		return false;
	}
	if (v < key->min || v > key->max) {
		/* what libconfig made of a number that doesn't fit is worth no second fault */
		if (!rd->huge_number || !ipspd_faults_has(&rd->faults, rd->faults.n,
							  ipspd_setting_line(setting), key->name))
			ipspd_confread_fault(rd, setting,
					     "%lld is out of range; allowed are %lld to %lld", v,
					     key->min, key->max);
		return false;
	}
	put_int(object, key, v);
	return true;
}

static bool read_text(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      const struct ipspd_key *key, void *object)
{
	const char *text = ipspd_setting_text(setting);
	long long n = text ? (long long)strlen(text) : 0;

	if (!text)
		ipspd_confread_fault(rd, setting, "must be a text in double quotes");
	else if (n < key->min || n > key->max)
		ipspd_confread_fault(rd, setting, "has %lld characters; allowed are %lld to %lld",
				     n, key->min, key->max);
	else if (!ipsp_text_clean(text, (size_t)n)) /* it could be shown to nobody */
		ipspd_confread_fault(rd, setting,
				     "must be text in UTF-8 without control characters");
	else {
		if (key->size > 0)
			memcpy((char *)object + key->offset, text, (size_t)n + 1);
		return true;
	}
	return false;
}

static bool read_bool(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      const struct ipspd_key *key, void *object)
{
	bool value;

	if (!ipspd_setting_bool(setting, &value)) {
		ipspd_confread_fault(rd, setting, "must be true or false, without quotes");
		return false;
	}
	if (key->size > 0)
		*(bool *)((char *)object + key->offset) = value;
	return true;
}

static bool read_kind(struct ipspd_confread *rd, const struct ipspd_setting *setting,
		      const struct ipspd_key *key, void *object)
{
	switch (key->kind) {
	case IPSPD_KEY_BOOL:
		return read_bool(rd, setting, key, object);
	case IPSPD_KEY_INT:
		return read_int(rd, setting, key, object);
	case IPSPD_KEY_TEXT:
		return read_text(rd, setting, key, object);
	case IPSPD_KEY_GROUP:
		if (config_setting_is_group(of(setting)))
			return true;
		ipspd_confread_fault(rd, setting, "must be a group: { KEY = VALUE; ... }");
		return false;
	case IPSPD_KEY_LIST:
		if (config_setting_is_list(of(setting)))
			return true;
		ipspd_confread_fault(rd, setting, "must be a list of groups: ( { ... }, { ... } )");
		return false;
	case IPSPD_KEY_OTHER:
		return true;
	}
	return false;
}

void ipspd_confread_group(struct ipspd_confread *rd, const struct ipspd_setting *group,
			  const struct ipspd_key *keys, void *object)
{
	for (size_t i = 0; i < ipspd_setting_count(group); i++) {
		const struct ipspd_setting *setting = ipspd_setting_element(group, i);
		const struct ipspd_key *key = find_key(keys, ipspd_setting_name(setting));

		if (!key)
			unknown_key(rd, setting, keys);
		else if (read_kind(rd, setting, key, object) && key->read)
			key->read(rd, setting, object);
	}
	for (; keys->name; keys++)
		if (keys->required && !ipspd_setting_member(group, keys->name))
			ipspd_confread_missing(rd, group, keys->name, "is missing");
}

bool ipspd_confread_word(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const struct ipspd_word *words, int *value)
{
	const char *text = ipspd_setting_text(setting);
	char allowed[256] = "";

	for (const struct ipspd_word *w = words; w->word; w++) {
		size_t n = strlen(allowed);

		if (text && strcmp(text, w->word) == 0) {
			*value = w->value;
			return true;
		}
		snprintf(allowed + n, sizeof(allowed) - n, "%s\"%s\"", n ? ", " : "", w->word);
	}
	ipspd_confread_fault(rd, setting, "\"%s\" is not known; allowed: %s", text ? text : "",
			     allowed);
	return false;
}

bool ipspd_confread_path(struct ipspd_confread *rd, const struct ipspd_setting *setting, char *path,
			 size_t cap)
{
	const char *text = ipspd_setting_text(setting);

	if (text[0] != '/')
		ipspd_confread_fault(rd, setting, "\"%s\" must be an absolute path", text);
	else if (strlen(text) >= cap)
		ipspd_confread_fault(rd, setting, "the path has %zu characters; allowed are %zu",
				     strlen(text), cap - 1);
	else {
		memcpy(path, text, strlen(text) + 1);
		return true;
	}
	return false;
}

/* Where systemd lays it for the unit, also to whoever looks from outside while the unit runs. */
#define CREDENTIALS "/run/credentials/ipspd.service"

static bool credential_path(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			    const char *name, char *path, size_t cap)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (!*name || strchr(name, '/') ||
	    snprintf(path, cap, "%s/%s", folder ? folder : CREDENTIALS, name) >= (int)cap) {
		ipspd_confread_fault(
			rd, setting,
			"\"%s\" names no credential; allowed is credential:NAME, as in "
			"LoadCredential=NAME:FILE of the unit",
			ipspd_setting_text(setting));
		return false;
	}
	return true;
}

bool ipspd_confread_secret(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			   char *path, size_t cap)
{
	static const char scheme[] = "credential:";
	const char *text = ipspd_setting_text(setting);
	const size_t n = sizeof(scheme) - 1;

	if (strncmp(text, scheme, n) != 0)
		return ipspd_confread_path(rd, setting, path, cap);
	if (!credential_path(rd, setting, text + n, path, cap))
		return false;
	if (access(path, F_OK) == 0 || getenv("CREDENTIALS_DIRECTORY"))
		return true;
	if (ipspd_trust_testing())
		ipspd_confread_warn(rd, setting,
				    "\"%s\" can be read by the running unit only: not checked",
				    text);
	else
		ipspd_confread_fault(
			rd, setting,
			"\"%s\": this process has no credentials; the unit gets this one by "
			"LoadCredential=%s:FILE (systemctl edit ipspd)",
			text, text + n);
	return false;
}

void ipspd_confread_lack(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const struct ipspd_lack *lack, const char *meanwhile)
{
	struct ipspd_config *config = rd->config;
	struct ipspd_lack *more =
		realloc(config->lacks, (config->n_lacks + 1) * sizeof(*config->lacks));

	if (!more) {
		rd->faults.failed = true;
		return;
	}
	config->lacks = more;
	more[config->n_lacks++] = *lack;
	ipspd_confread_warn(rd, setting, "%s; %s", lack->why, meanwhile);
}

/* ---------------------------------------------------------------- the file's own keys */

static void read_socket(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			void *object)
{
	struct ipspd_config *config = object;

	ipspd_confread_path(rd, setting, config->control_socket, sizeof(config->control_socket));
}

static struct {
	char name[sizeof(((struct ipspd_config *)0)->control_group)];
	bool known;
} groups[3]; /* that were asked for */

/* Is the group of that name known on this host? Asked once: it may ask a server of names, and a
 * reload must not make the sessions wait for one. */
static bool group_exists(const char *name)
{
	static unsigned turn;

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(groups[i].name, name) == 0)
			return groups[i].known;
	const unsigned i = turn++ % 3;
	snprintf(groups[i].name, sizeof(groups[i].name), "%s", name);
	groups[i].known = getgrnam(name) != NULL;
	return groups[i].known;
}

void ipspd_config_group_came(const char *name)
{
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(groups[i].name, name) == 0)
			groups[i].known = true;
}

static void read_control_group(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			       void *object)
{
	const char *name = ipspd_setting_text(setting);

	(void)object;
	if (!group_exists(name))
		ipspd_confread_warn(rd, setting,
				    "there is no group \"%s\" on this host; its members are let in "
				    "as soon as there is (groupadd --system %s)",
				    name, name);
}

/* A group in two places would have two answers to what its members may do. */
static void check_groups(struct ipspd_confread *rd, const struct ipspd_setting *control)
{
	static const char *const keys[] = {"group", "gateway-group", "status-group"};
	const struct ipspd_setting *have[3];

	for (size_t i = 0; i < 3; i++) {
		have[i] = ipspd_setting_member(control, keys[i]);
		for (size_t k = 0; k < i; k++) {
			const char *a = have[k] ? ipspd_setting_text(have[k]) : NULL;
			const char *b = have[i] ? ipspd_setting_text(have[i]) : NULL;

			if (a && b && strcmp(a, b) == 0)
				ipspd_confread_fault(
					rd, have[i],
					"\"%s\" is %s too; each needs a group of its own", b,
					keys[k]);
		}
	}
}

static void read_control(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object)
{
	static const struct ipspd_key keys[] = {
		IPSPD_READ("socket", IPSPD_KEY_TEXT, false, read_socket),
		{"group", IPSPD_KEY_TEXT, false, 1, GROUP_MAX,
		 IPSPD_KEY_FIELD(struct ipspd_config, control_group), read_control_group},
		{"gateway-group", IPSPD_KEY_TEXT, false, 1, GROUP_MAX,
		 IPSPD_KEY_FIELD(struct ipspd_config, gateway_group), read_control_group},
		{"status-group", IPSPD_KEY_TEXT, false, 1, GROUP_MAX,
		 IPSPD_KEY_FIELD(struct ipspd_config, status_group), read_control_group},
		IPSPD_KEYS_END,
	};

	ipspd_confread_group(rd, setting, keys, object);
	check_groups(rd, setting);
}

static void read_state_directory(struct ipspd_confread *rd, const struct ipspd_setting *setting,
				 void *object)
{
	struct ipspd_config *config = object;

	ipspd_confread_path(rd, setting, config->state_directory, sizeof(config->state_directory));
}

int ipspd_config_hook_ok(const char *path, char why[IPSPD_WHY_MAX])
{
	struct stat st;

	if (stat(path, &st) != 0) {
		snprintf(why, IPSPD_WHY_MAX, "%.120s: %s", path, strerror(errno));
		return IPSP_ERR_IO;
	}
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0) {
		snprintf(why, IPSPD_WHY_MAX, "%.120s: is not a file that can be executed", path);
		return IPSP_ERR_IO;
	}
	/* who can change it runs what he likes as the daemon's user, and decides on takeovers */
	if (!ipspd_trusts_owner(st.st_uid)) {
		snprintf(why, IPSPD_WHY_MAX,
			 "%.120s: its owner is uid %u, who can change it; allowed are root and the "
			 "user that the daemon runs as (now uid %u)",
			 path, (unsigned)st.st_uid, (unsigned)geteuid());
		return IPSP_ERR_INVALID;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(
			why, IPSPD_WHY_MAX,
			"%.120s: others can change it (mode %04o); only its owner may (chmod go-w)",
			path, (unsigned)(st.st_mode & 07777));
		return IPSP_ERR_INVALID;
	}
	return 0;
}

static void read_hook(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	struct ipspd_config *config = object;
	struct ipspd_lack lack = {.kind = IPSPD_LACK_HOOK};

	if (!ipspd_confread_path(rd, setting, config->hook, sizeof(config->hook)))
		return;
	int err = ipspd_config_hook_ok(config->hook, lack.why);
	if (err == IPSP_ERR_INVALID)
		ipspd_confread_fault(rd, setting, "%s", lack.why);
	if (err != IPSP_ERR_IO)
		return;
	memcpy(lack.path, config->hook, sizeof(lack.path));
	ipspd_confread_lack(rd, setting, &lack,
			    "until it can be run each takeover is vetoed, and nobody is told of "
			    "events");
}

/* ADDRESS:PORT, an IPv6 address in brackets. */
static bool listen_ok(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct ipsp_addr addr;
	char host[IPSP_ADDR_TEXT_MAX], *end;
	size_t n = colon ? (size_t)(colon - text) : 0;
	bool brackets = n > 2 && text[0] == '[' && colon[-1] == ']';
	unsigned long port;

	if (n == 0 || n >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return false;
	memcpy(host, text + brackets, n - 2 * brackets);
	host[n - 2 * brackets] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port < 1 || port > 65535)
		return false;
	if (!brackets && strchr(host, ':'))
		return false;
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
	       ipsp_addr_parse(host, &addr) == 0;
}

static void read_listen(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			void *object)
{
	const struct ipspd_config *config = object;

	if (!listen_ok(config->http_listen))
		ipspd_confread_fault(rd, setting,
				     "\"%s\" is not ADDRESS:PORT; an IPv6 address stands in "
				     "brackets: [::1]:9618",
				     config->http_listen);
}

#define HTTP_NAMES 16

static bool host_ok(const char *name)
{
	const size_t n = name ? strlen(name) : 0;

	return n >= 1 && n <= 253 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       n;
}

static void read_names(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	const size_t n = ipspd_setting_count(setting);

	(void)object;
	if (n > HTTP_NAMES)
		ipspd_confread_fault(rd, setting, "has %zu names; allowed are up to %d", n,
				     HTTP_NAMES);
	for (size_t i = 0; i < n; i++) {
		const char *name = ipspd_setting_text(ipspd_setting_element(setting, i));

		if (!host_ok(name))
			ipspd_confread_fault(rd, setting,
					     "\"%s\" is no host's name; allowed are letters, "
					     "digits, '-', '_' and '.', without a port",
					     name ? name : "");
	}
}

/* For ipsp-monitor, which reads the same file: checked here, so that one -t is enough. */
static void read_http(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object)
{
	static const struct ipspd_key keys[] = {
		{"listen", IPSPD_KEY_TEXT, false, 1, 127,
		 IPSPD_KEY_FIELD(struct ipspd_config, http_listen), read_listen},
		IPSPD_READ("names", IPSPD_KEY_LIST, false, read_names),
		IPSPD_KEYS_END,
	};
	struct ipspd_config *config = object;

	snprintf(config->http_listen, sizeof(config->http_listen), "127.0.0.1:9618");
	ipspd_confread_group(rd, setting, keys, object);
}

static const struct ipspd_key file_keys[] = {
	IPSPD_READ("control", IPSPD_KEY_GROUP, false, read_control),
	IPSPD_READ("state-directory", IPSPD_KEY_TEXT, false, read_state_directory),
	IPSPD_READ("hook", IPSPD_KEY_TEXT, false, read_hook),
	IPSPD_READ("http", IPSPD_KEY_GROUP, false, read_http),
	IPSPD_READ("snmp", IPSPD_KEY_GROUP, false, ipspd_confread_snmp),
	IPSPD_READ("contexts", IPSPD_KEY_LIST, true, ipspd_confread_contexts),
	IPSPD_KEYS_END,
};

/* ---------------------------------------------------------------- the whole */

static void text_fault(void *arg, unsigned line, const char *key, const char *text)
{
	struct ipspd_confread *rd = arg;

	ipspd_faults_add(&rd->faults, false, line, key, "%s", text);
	rd->huge_number = true;
}

/* The whole of the file in *@bytes, to be freed; what is wrong with it as a file, or NULL. */
static const char *slurp_fd(int fd, char **bytes, size_t *n)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (st.st_size > CONFIG_FILE_MAX)
		return "is larger than 16 MiB";
	*bytes = calloc(1, (size_t)st.st_size + 1);
	if (!*bytes)
		return "memory ran out";
	while (*n < (size_t)st.st_size) {
		ssize_t got = read(fd, *bytes + *n, (size_t)st.st_size - *n);

		if (got < 0 && errno != EINTR)
			return strerror(errno);
		if (got == 0)
			break;
		*n += got > 0 ? (size_t)got : 0;
	}
	return NULL;
}

static unsigned line_of(const char *text, size_t at)
{
	unsigned line = 1;

	while (at-- > 0)
		line += text[at] == '\n';
	return line;
}

/* What no editor shows. False when it can't be read as text at all. */
static bool check_plain(struct ipspd_confread *rd, char *text, size_t n)
{
	switch (ipspd_plain(text, n)) {
	case IPSPD_PLAIN:
		return true;
	case IPSPD_PLAIN_BOM:
		ipspd_faults_add(&rd->faults, false, 1, "file",
				 "begins with a byte order mark (BOM), which an editor put there; "
				 "save it as UTF-8 without one");
		memset(text, ' ', IPSPD_BOM_BYTES); /* the rest can be looked at */
		if (strlen(text) == n)
			return true;
		break;
	case IPSPD_PLAIN_UTF16:
		ipspd_faults_add(&rd->faults, false, 1, "file",
				 "is UTF-16 or UTF-32; allowed is UTF-8: save it so");
		return false;
	case IPSPD_PLAIN_NUL:
		break;
	}
	ipspd_faults_add(&rd->faults, false, line_of(text, strlen(text)), "file",
			 "has a NUL byte on this line; allowed is text in UTF-8");
	return false;
}

/* The whole file as text, to be freed; NULL with a fault. */
static char *slurp(struct ipspd_confread *rd, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	size_t n = 0;
	bool missing = fd < 0 && errno == ENOENT;
	const char *why = fd >= 0 ? slurp_fd(fd, &text, &n) : strerror(errno);

	if (fd >= 0)
		close(fd);
	if (why)
		ipspd_faults_add(&rd->faults, false, 0, "file", "%s%s", why,
				 missing ? "; ipspd.conf(5) says where examples are" : "");
	else if (text && check_plain(rd, text, n))
		return text;
	free(text);
	return NULL;
}

static void read_text_of_file(struct ipspd_confread *rd, const char *text)
{
	config_t tree;

	if (!ipspd_conftext_check(text, text_fault, rd))
		return;
	config_init(&tree);
	if (config_read_string(&tree, text) != CONFIG_TRUE) {
		ipspd_faults_add(&rd->faults, false, (unsigned)config_error_line(&tree), "syntax",
				 "%s, on this line or just before it", config_error_text(&tree));
	} else {
		const struct ipspd_setting *root = as(config_root_setting(&tree));

		ipspd_confread_group(rd, root, file_keys, rd->config);
		ipspd_confrules(rd);
	}
	free(rd->context_settings);
	config_destroy(&tree);
}

static void no_text_fault(void *arg, unsigned line, const char *key, const char *text)
{
	(void)arg, (void)line, (void)key, (void)text;
}

static void no_fault(void *arg, bool warning, const char *text)
{
	(void)arg, (void)warning, (void)text;
}

bool ipspd_config_hook(const char *path, char hook[IPSPD_PATH_MAX])
{
	struct ipspd_confread rd = {0};
	char *text = slurp(&rd, path);
	const char *value = NULL;
	config_t tree;
	bool ok;

	config_init(&tree);
	ok = text && ipspd_conftext_check(text, no_text_fault, NULL) &&
	     config_read_string(&tree, text) == CONFIG_TRUE;
	if (ok && config_lookup_string(&tree, "hook", &value) != CONFIG_TRUE)
		value = "";
	ok = ok && strlen(value) < IPSPD_PATH_MAX;
	if (ok)
		memcpy(hook, value, strlen(value) + 1);
	config_destroy(&tree);
	free(text);
	ipspd_faults_tell(&rd.faults, path, no_fault, NULL);
	return ok;
}

/* What the frames below may have copies of: sinks with passphrases that were moved by value. */
#define FRAMES ((size_t)16 << 10)

int ipspd_config_read(const char *path, struct ipspd_config *config, ipspd_config_fault_fn *fault,
		      void *arg)
{
	struct ipspd_confread rd = {.config = config};
	char *text;
	int err = 0;

	*config = (struct ipspd_config){
		.control_socket = "/run/ipspd/control",
		.state_directory = "/var/lib/ipspd",
	};
	text = slurp(&rd, path);
	if (text)
		read_text_of_file(&rd, text);
	free(text);
	if (rd.faults.failed)
		err = IPSP_ERR_NOMEM;
	else if (rd.faults.n_errors > 0)
		err = IPSP_ERR_INVALID;
	ipspd_faults_tell(&rd.faults, path, fault, arg);
	if (err)
		ipspd_config_fini(config);
	sodium_stackzero(FRAMES);
	return err;
}

void ipspd_config_fini(struct ipspd_config *config)
{
	for (size_t i = 0; i < config->n_contexts; i++) {
		ipsp_conf_fini(&config->contexts[i]);
		sodium_memzero(&config->contexts[i], sizeof(config->contexts[i]));
	}
	for (size_t i = 0; config->key_files && i < config->n_contexts; i++)
		free(config->key_files[i]);
	free(config->key_files);
	free(config->contexts);
	free(config->lacks);
	if (config->sinks)
		sodium_memzero(config->sinks,
			       (config->n_sinks + config->n_late_sinks) * sizeof(*config->sinks));
	free(config->sinks);
	*config = (struct ipspd_config){0};
}
