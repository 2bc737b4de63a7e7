/* confrules - what can only be judged once the whole configuration was read; each fault on its
 * line. */
#include "daemon/confread.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- from a key of the core to a
 * setting */

static const char *name_of(const struct ipspd_setting *group)
{
	const struct ipspd_setting *name =
		ipspd_setting_is_group(group) ? ipspd_setting_member(group, "name") : NULL;
	const char *text = name ? ipspd_setting_text(name) : NULL;

	return text ? text : "";
}

/*
 * The last pool of that name, of two with the same: the second is the wrong one. Where some of them
 * have @key (NULL: any), the last of these: what is wrong with it is written there.
 */
static const struct ipspd_setting *pool_setting(const struct ipspd_setting *context,
						const char *name, size_t n, const char *key)
{
	const struct ipspd_setting *list = ipspd_setting_member(context, "pools");
	const struct ipspd_setting *found = NULL, *with_key = NULL;

	for (size_t i = 0; list && i < ipspd_setting_count(list); i++) {
		const struct ipspd_setting *group = ipspd_setting_element(list, i);

		if (strlen(name_of(group)) != n || memcmp(name_of(group), name, n) != 0)
			continue;
		found = group;
		if (key && ipspd_setting_member(group, key))
			with_key = group;
	}
	return with_key ? with_key : found;
}

/* The interface of the context that has pool-share-protocol. */
static const struct ipspd_setting *ipsp_interface(const struct ipspd_setting *context)
{
	const struct ipspd_setting *list = ipspd_setting_member(context, "interfaces");

	for (size_t i = 0; list && i < ipspd_setting_count(list); i++) {
		const struct ipspd_setting *group = ipspd_setting_element(list, i);

		if (ipspd_setting_is_group(group) &&
		    ipspd_setting_member(group, "pool-share-protocol"))
			return group;
	}
	return NULL;
}

/* The first of @keys (ends with a NULL) that @group has; @group itself when it has none. */
static const struct ipspd_setting *first_of(const struct ipspd_setting *group,
					    const char *const *keys)
{
	for (; *keys; keys++) {
		const struct ipspd_setting *setting = ipspd_setting_member(group, *keys);

		if (setting)
			return setting;
	}
	return group;
}

/* Under which keys of the file a word of the core may stand. */
static const struct ipspd_setting *leaf(const struct ipspd_setting *group, const char *word)
{
	static const char *const peer[] = {"primary", "secondary", NULL};
	static const char *const dead[] = {"dead-interval-ms", "dead-interval", NULL};
	static const char *const keys[] = {"key-file", "auth", NULL};
	static const char *const where[] = {"network", "range", "prefix", NULL};
	const char *const itself[] = {word, NULL};

	if (strcmp(word, "peer") == 0 || strcmp(word, "role") == 0)
		return first_of(group, peer);
	if (strncmp(word, "dead-interval", 13) == 0)
		return first_of(group, dead);
	if (strncmp(word, "key", 3) == 0)
		return first_of(group, keys);
	if (ipspd_setting_member(group, word))
		return first_of(group, itself);
	if (strcmp(word, "addresses") == 0 || strcmp(word, "size") == 0 ||
	    strcmp(word, "base") == 0 || strcmp(word, "network") == 0)
		return first_of(group, where);
	return group;
}

/* "pools.NAME.LEAF", NAME with any dots of its own. */
static const struct ipspd_setting *locate_pool(const struct ipspd_setting *context,
					       const char *rest)
{
	const struct ipspd_setting *found = NULL;

	for (size_t n = strlen(rest); n > 0 && !found; n--)
		if ((rest[n] == '\0' || rest[n] == '.') &&
		    (found = pool_setting(context, rest, n, rest[n] == '.' ? rest + n + 1 : NULL)))
			return leaf(found, rest[n] == '.' ? rest + n + 1 : "network");
	return first_of(context, (const char *const[]){"pools", NULL});
}

static const struct ipspd_setting *locate(const struct ipspd_setting *context, const char *key)
{
	const char *dot = strrchr(key, '.');
	const char *word = dot ? dot + 1 : key;
	const struct ipspd_setting *interface = ipsp_interface(context);
	const struct ipspd_setting *psp =
		interface ? ipspd_setting_member(interface, "pool-share-protocol") : NULL;
	const struct ipspd_setting *found;

	if (strncmp(key, "pools.", 6) == 0)
		return locate_pool(context, key + 6);
	if (psp && ipspd_setting_is_group(psp)) {
		found = leaf(psp, word);
		if (found != psp || strcmp(word, "pool-share-protocol") == 0)
			return found;
		if (strcmp(word, "address") == 0 || strcmp(word, "interface") == 0)
			return leaf(interface, strcmp(word, "address") == 0 ? word : "name");
		if (strstr(key, "pool-share-protocol")) /* a default that doesn't fit the rest */
			return psp;
	}
	return leaf(context, word);
}

/* ---------------------------------------------------------------- one context */

struct mapping {
	struct ipspd_confread *rd;
	const struct ipspd_setting *context;
	size_t n_before; /* faults that were told while the file was read */
};

static void core_fault(void *arg, const char *key, const char *text)
{
	struct mapping *map = arg;
	const struct ipspd_setting *setting = locate(map->context, key);
	const char *dot = strrchr(key, '.');
	const char *name = ipspd_setting_name(setting);

	/* a group stands for a key that isn't written there */
	if (ipspd_setting_is_group(setting))
		name = dot ? dot + 1 : key;
	/* one wrong value is one fault, whoever looked first; but the core may find two in one */
	if (!ipspd_faults_has(&map->rd->faults, map->n_before, ipspd_setting_line(setting), name))
		ipspd_faults_add(&map->rd->faults, false, ipspd_setting_line(setting), name, "%s",
				 text);
}

/* ---------------------------------------------------------------- across contexts */

static const struct ipspd_setting *psp_setting(const struct ipspd_setting *context, const char *key)
{
	const struct ipspd_setting *interface = ipsp_interface(context);
	const struct ipspd_setting *psp =
		interface ? ipspd_setting_member(interface, "pool-share-protocol") : NULL;

	return psp ? first_of(psp, (const char *const[]){key, NULL}) : context;
}

/* Every context by its name, or by what its socket is bound to: equal ones stand side by side. */
typedef int by_fn(const void *a, const void *b);

static int by_place(const struct ipsp_context_conf *x, const struct ipsp_context_conf *y)
{
	return (x > y) - (x < y); /* in one array, in the order of the file */
}

static int by_name(const void *a, const void *b)
{
	const struct ipsp_context_conf *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	return order != 0 ? order : by_place(*x, *y);
}

/* Those without a socket last; of one address and port those that take every device first. */
static int by_socket(const void *a, const void *b)
{
	const struct ipsp_context_conf *const *x = a, *const *y = b;
	const struct ipsp_psp_conf *p = &(*x)->psp, *q = &(*y)->psp;
	int order = q->enabled - p->enabled;

	if (order == 0)
		order = ipsp_addr_cmp(p->address, q->address);
	if (order == 0)
		order = (p->port > q->port) - (p->port < q->port);
	if (order == 0)
		order = strcmp(p->device, q->device);
	return order != 0 ? order : by_place(*x, *y);
}

static void same_name(struct ipspd_confread *rd, const struct ipsp_context_conf *x,
		      const struct ipsp_context_conf *y)
{
	const size_t place = (size_t)(y - rd->config->contexts);

	if (y->name[0] && strcmp(x->name, y->name) == 0)
		ipspd_confread_fault(rd, ipspd_setting_member(rd->context_settings[place], "name"),
				     "two contexts are called \"%s\"; each needs a name of its own",
				     y->name);
}

static void same_socket(struct ipspd_confread *rd, const struct ipsp_context_conf *x,
			const struct ipsp_context_conf *y)
{
	const struct ipsp_context_conf *first = x < y ? x : y, *later = x < y ? y : x;
	const struct ipspd_setting *context = rd->context_settings[later - rd->config->contexts];
	const char *device = first->psp.device;
	char text[IPSP_ADDR_TEXT_MAX];

	ipspd_faults_add(&rd->faults, false, ipspd_setting_line(psp_setting(context, "port")),
			 "port",
			 "context \"%s\" has address %s and port %u%s%s%s already; each context "
			 "needs an address, a port or a device of its own%s",
			 first->name, ipsp_addr_text(first->psp.address, text, sizeof(text)),
			 first->psp.port, device[0] ? " on \"" : "", device, device[0] ? "\"" : "",
			 strcmp(device, later->psp.device) != 0
				 ? " (one without a device takes the port on every device)"
				 : "");
}

static bool one_socket(const struct ipsp_psp_conf *p, const struct ipsp_psp_conf *q)
{
	return p->enabled && q->enabled && p->port == q->port && !ipsp_addr_is_none(p->address) &&
	       ipsp_addr_eq(p->address, q->address) &&
	       (!p->device[0] || strcmp(p->device, q->device) == 0);
}

static void check_contexts(struct ipspd_confread *rd)
{
	const size_t n = rd->config->n_contexts;
	const struct ipsp_context_conf **list = n > 0 ? calloc(n, sizeof(*list)) : NULL, *every;

	if (!list) {
		rd->faults.failed |= n > 0;
		return;
	}
	for (size_t i = 0; i < n; i++)
		list[i] = &rd->config->contexts[i];
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 1; i < n; i++)
		same_name(rd, list[i - 1], list[i]);
	qsort(list, n, sizeof(*list), by_socket);
	every = list[0]; /* the last one that another may collide with */
	for (size_t i = 1; i < n; i++) {
		if (one_socket(&every->psp, &list[i]->psp))
			same_socket(rd, every, list[i]);
		else
			every = list[i];
	}
	free(list);
}

/* ---------------------------------------------------------------- one secret in several contexts
 */

struct secret {
	const uint8_t *key;
	struct ipsp_context_conf *context;
};

/* By what a handshake is bound to. */
static int by_bond(const struct ipsp_psp_conf *a, const struct ipsp_psp_conf *b)
{
	int order = ipsp_addr_cmp(a->address, b->address);

	if (order == 0)
		order = ipsp_addr_cmp(a->peer, b->peer);
	if (order == 0)
		order = (a->port > b->port) - (a->port < b->port);
	return order;
}

static int by_secret(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;
	int order = memcmp(x->key, y->key, IPSP_KEY_BYTES);

	if (order == 0)
		order = by_bond(&x->context->psp, &y->context->psp);
	if (order == 0)
		order = (x->context > y->context) - (x->context < y->context);
	return order;
}

/* What is made with a secret is bound to two addresses and a port; the handshake of the first
 * version is not, and is refused where more than one context could be meant. */
bool ipspd_config_share_secrets(struct ipspd_config *config, ipspd_config_joined_fn *joined,
				void *arg)
{
	struct secret *list = calloc(config->n_contexts * IPSP_KEYS_MAX + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list && i < config->n_contexts; i++) {
		struct ipsp_context_conf *context = &config->contexts[i];

		context->psp.secret_is_shared = false;
		for (size_t k = 0; context->psp.enabled && k < context->psp.n_keys; k++)
			list[n++] = (struct secret){context->psp.keys[k], context};
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), by_secret);
	for (size_t i = 1; i < n; i++) {
		struct ipsp_context_conf *a = list[i - 1].context, *b = list[i].context;

		if (a == b || memcmp(list[i - 1].key, list[i].key, IPSP_KEY_BYTES) != 0)
			continue;
		a->psp.secret_is_shared = b->psp.secret_is_shared = true;
		if (by_bond(&a->psp, &b->psp) == 0 && !one_socket(&a->psp, &b->psp))
			joined(arg, a, b); /* (one socket is a fault, and told) */
	}
	const bool known = list;
	free(list);
	return known;
}

static void on_joined(void *arg, const struct ipsp_context_conf *a,
		      const struct ipsp_context_conf *b)
{
	struct ipspd_confread *rd = arg;
	const size_t place = (size_t)(b - rd->config->contexts);

	ipspd_faults_add(&rd->faults, true,
			 ipspd_setting_line(psp_setting(rd->context_settings[place], "key-file")),
			 "key-file", IPSPD_JOINED_TEXT, a->name);
}

/*
 * The index of starIPPoolTable is the first 8 characters of the context's name, ':' and the first
 * 16 of the pool's: two pools that are equal in these could not be told apart by SNMP.
 */
struct snmp_index {
	char text[8 + 1 + 16 + 1];
	size_t context, place; /* in the file's order */
	const char *pool;      /* borrowed from the configuration */
};

static int by_index(const void *a, const void *b)
{
	const struct snmp_index *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order == 0)
		order = (x->context > y->context) - (x->context < y->context);
	if (order == 0)
		order = (x->place > y->place) - (x->place < y->place);
	return order;
}

static struct snmp_index *all_indexes(struct ipspd_confread *rd, size_t *n)
{
	const struct ipspd_config *config = rd->config;
	struct snmp_index *list;
	size_t total = 0;

	*n = 0;
	for (size_t i = 0; i < config->n_contexts; i++)
		total += config->contexts[i].n_pools;
	list = total > 0 ? calloc(total, sizeof(*list)) : NULL;
	if (!list) {
		rd->faults.failed |= total > 0;
		return NULL;
	}
	for (size_t i = 0; i < config->n_contexts; i++)
		for (size_t k = 0; k < config->contexts[i].n_pools; k++) {
			const char *name = config->contexts[i].pools[k].name;
			struct snmp_index *index = &list[(*n)++];

			snprintf(index->text, sizeof(index->text), "%.8s:%.16s",
				 config->contexts[i].name, name);
			index->context = i;
			index->place = k;
			index->pool = name;
		}
	return list;
}

static void check_indexes(struct ipspd_confread *rd)
{
	const struct ipsp_context_conf *contexts = rd->config->contexts;
	size_t n;
	struct snmp_index *list = all_indexes(rd, &n);

	if (n > 0)
		qsort(list, n, sizeof(*list), by_index);
	for (size_t i = 1; i < n; i++) {
		const struct snmp_index *a = &list[i - 1], *b = &list[i];

		if (strcmp(a->text, b->text) != 0 ||
		    strcmp(contexts[a->context].name, contexts[b->context].name) == 0)
			continue; /* within one context ipsp_conf_check tells it */
		/* of the few that are at fault: to look for each pool's would take its square */
		const struct ipspd_setting *pool = pool_setting(rd->context_settings[b->context],
								b->pool, strlen(b->pool), NULL);
		ipspd_faults_add(
			&rd->faults, false, ipspd_setting_line(ipspd_setting_member(pool, "name")),
			"name",
			"pool \"%s\" of context \"%s\" and pool \"%s\" of context \"%s\" have "
			"the same SNMP index \"%s\"; the first 8 characters of the context "
			"or the first 16 of the pool must differ",
			b->pool, contexts[b->context].name, a->pool, contexts[a->context].name,
			b->text);
	}
	free(list);
}

void ipspd_confrules(struct ipspd_confread *rd)
{
	struct ipspd_config *config = rd->config;
	const size_t n_before = rd->faults.n;

	for (size_t i = 0; i < config->n_contexts; i++) {
		struct mapping map = {rd, rd->context_settings[i], n_before};

		ipsp_conf_check(&config->contexts[i], core_fault, &map);
	}
	check_contexts(rd);
	rd->faults.failed |= !ipspd_config_share_secrets(config, on_joined, rd);
	check_indexes(rd);
	for (size_t i = 0; i < config->n_contexts; i++)
		ipsp_conf_sort(&config->contexts[i]);
}
