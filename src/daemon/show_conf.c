/* show_conf - the configuration in force. Secrets are none of it, but for the fingerprint of a key.
 */
#include "core/node.h"
#include "daemon/config.h"
#include "daemon/show.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* NULL for none, which json_pack makes null of with "s?". */
static const char *addr_text(struct ipsp_addr addr, char text[IPSP_ADDR_TEXT_MAX])
{
	return ipsp_addr_is_none(addr) ? NULL : ipsp_addr_text(addr, text, IPSP_ADDR_TEXT_MAX);
}

static const char *given(const char *text)
{
	return *text ? text : NULL;
}

static json_t *pool(const struct ipsp_pool_conf *conf)
{
	char first[IPSP_ADDR_TEXT_MAX], last[IPSP_ADDR_TEXT_MAX];

	return json_pack("{s:s, s:s?, s:s, s:i, s:s?, s:s?, s:i, s:I, s:I, s:I, s:b}", "name",
			 conf->name, "group", given(conf->group), "type",
			 ipsp_pool_type_word(conf->type), "priority", (int)conf->priority, "first",
			 addr_text(ipsp_pool_addr(conf, 0), first), "last",
			 addr_text(ipsp_pool_addr(conf, conf->size - 1), last), "prefix-length",
			 (int)conf->plen, "size", (json_int_t)conf->size, "address-hold-timer",
			 (json_int_t)conf->hold_s, "address-quarantine-timer",
			 (json_int_t)conf->quarantine_s, "busyout", (int)conf->busyout);
}

static json_t *pools(const struct ipsp_context_conf *conf)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < conf->n_pools; i++)
		if (json_array_append_new(array, pool(&conf->pools[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *peer(const struct ipsp_psp_conf *psp)
{
	char address[IPSP_ADDR_TEXT_MAX];

	return json_pack("{s:s?, s:i}", "address", addr_text(psp->peer, address), "port",
			 (int)psp->port);
}

/* The keys of the session with the peer; null: there is none. */
static json_t *key_age(const struct ipsp_status *s)
{
	return s->key_age_ms == IPSP_NEVER ? json_null() : json_integer((json_int_t)s->key_age_ms);
}

/* What its interface says of pool-share-protocol; false: memory ran out. */
static bool put_psp(json_t *object, const struct ipsp_status *s)
{
	const struct ipsp_psp_conf *psp = &s->conf->psp;
	char address[IPSP_ADDR_TEXT_MAX];
	json_t *more = json_pack(
		"{s:s, s:s?, s:i, s:s?, s:i, s:o, s:s, s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:s, "
		"s:b, s:s, "
		"s:i, s:s?, s:o}",
		"interface", psp->interface, "address", addr_text(psp->address, address),
		"prefix-length", (int)psp->address_plen, "device", given(psp->device), "port",
		(int)psp->port, "peer", peer(psp), "configured-role", ipsp_role_word(psp->role),
		"mode", ipsp_mode_word(s->mode), "dead-interval-ms",
		(json_int_t)s->dead_interval_ms, "reserved-free-percentage",
		(int)psp->reserved_free_percentage, "hello-interval-ms",
		(json_int_t)psp->hello_interval_ms, "block-size", (json_int_t)psp->block_size,
		"request-timeout-ms", (json_int_t)psp->request_timeout_ms, "release-timeout-ms",
		(json_int_t)psp->release_timeout_ms, "durability",
		psp->durability == IPSP_DURABLE_POWER ? "power" : "crash", "takeover-when-deaf",
		(int)psp->takeover_when_deaf, "auth", psp->n_keys > 0 ? "key" : "none", "keys",
		(int)psp->n_keys, "key-fingerprint", given(s->key_fingerprint),
		"session-key-age-ms", key_age(s));
	bool good = more && json_object_update(object, more) == 0;

	json_decref(more);
	return good;
}

static json_t *context(const struct ipspd_ctx *ctx)
{
	struct ipsp_status status;
	json_t *object;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	object = json_pack("{s:s, s:o}", "name", ctx->name, "pools", pools(status.conf));
	if (object && status.conf->psp.enabled && !put_psp(object, &status)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *contexts(const struct ipspd *daemon, const struct ipspd_ctx *only)
{
	json_t *array = json_array();

	for (size_t i = 0; i < daemon->n_ctxs; i++)
		if ((!only || only == daemon->ctxs[i]) &&
		    json_array_append_new(array, context(daemon->ctxs[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *sinks(const struct ipspd_config *config)
{
	json_t *array = json_array();

	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct ipspd_sink *sink = &config->sinks[i];

		if (json_array_append_new(array,
					  json_pack("{s:s, s:i, s:s, s:s?, s:b}", "host",
						    sink->host, "port", (int)sink->port, "version",
						    sink->version == IPSPD_SNMP_V3 ? "3" : "2c",
						    "user", given(sink->user), "inform",
						    (int)sink->inform)) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

char *ipspd_show_configuration(struct ipspd *daemon, const struct ipspd_ctx *only)
{
	const struct ipspd_config *config = daemon->config;
	char source[IPSP_ADDR_TEXT_MAX];
	json_t *root =
		json_pack("{s:s?, s:s, s:s?, s:s?, s:s?, s:s, s:s?, s:s, s:s?, s:o, s:o}", "file",
			  daemon->config_path, "socket",
			  daemon->socket_path ? daemon->socket_path : config->control_socket,
			  "group", given(config->control_group), "gateway-group",
			  given(config->gateway_group), "status-group", given(config->status_group),
			  "state-directory", config->state_directory, "hook", given(config->hook),
			  "trap-style", config->trap_style == IPSPD_TRAP_RFC ? "rfc" : "starent",
			  "snmp-source", addr_text(config->snmp_source, source), "sinks",
			  sinks(config), "contexts", contexts(daemon, only));
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}
