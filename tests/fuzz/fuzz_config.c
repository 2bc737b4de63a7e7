/*
 * The configuration file. Whatever stands in it: it is taken or refused with words, and what was
 * taken keeps every rule of the core, encodes and decodes, and is the same once it is saved.
 */
#include "daemon/config.h"
#include "folder.h"
#include "fuzz.h"
#include "input.h"
#include <sodium.h>
#include <stdio.h>

/* What libconfig itself loses of a file that is no configuration. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig\n";
}

static unsigned n_faults;

static void on_fault(void *arg, bool warning, const char *text)
{
	(void)arg;
	must(text[0] != 0);
	n_faults += !warning;
}

static void on_wrong(void *arg, const char *key, const char *text)
{
	(void)arg;
	must(key[0] != 0 && text[0] != 0);
}

static void on_difference(void *arg, const char *item, const char *here, const char *peer)
{
	(void)arg;
	(void)item;
	must(here != peer);
}

static void on_joined(void *arg, const struct ipsp_context_conf *a,
		      const struct ipsp_context_conf *b)
{
	(void)arg;
	must(a != b);
}

/* It goes over the wire, and comes out of it. */
static void pass_on(const struct ipsp_context_conf *conf)
{
	struct ipsp_context_conf peer;
	struct ipsp_buf encoded = {0};
	struct ipsp_addr last;

	ipsp_conf_encode_pools(conf, &encoded);
	ipsp_conf_init(&peer, conf->name);
	must(ipsp_conf_decode_pools(encoded.data, encoded.len, &peer) == 0);
	must(ipsp_conf_diff(conf, &peer, on_difference, NULL) == 0);
	ipsp_conf_fini(&peer);
	ipsp_buf_fini(&encoded);
	for (uint32_t i = 0; i < conf->n_pools; i++)
		must(ipsp_conf_last(&conf->pools[i], &last));
}

static void compare(const struct ipspd_config *a, const struct ipspd_config *b)
{
	must(a->n_contexts == b->n_contexts && a->n_sinks == b->n_sinks);
	for (size_t i = 0; i < a->n_contexts; i++) {
		const struct ipsp_context_conf *c = &a->contexts[i], *d = &b->contexts[i];

		must(strcmp(c->name, d->name) == 0 && c->psp.enabled == d->psp.enabled);
		must(ipsp_conf_diff(c, d, on_difference, NULL) == 0);
		must(!c->psp.enabled || c->psp.mode == d->psp.mode);
		must(!c->psp.enabled ||
		     (c->psp.role == d->psp.role && c->psp.n_keys == d->psp.n_keys));
	}
}

/* As after commands: modes have changed, and one context has IPSP no more. */
static void save(struct ipspd_config *config)
{
	struct ipspd_config again;
	char path[128], why[400] = "";

	snprintf(path, sizeof(path), "%s", fuzz_path("conf"));
	for (size_t i = 0; i < config->n_contexts; i++) {
		struct ipsp_psp_conf *psp = &config->contexts[i].psp;

		psp->mode = psp->mode == IPSP_MODE_ACTIVE ? IPSP_MODE_INACTIVE : IPSP_MODE_ACTIVE;
		if (i == 1)
			psp->enabled = false;
	}
	if (ipspd_config_write(path, config, why, sizeof(why)) != 0) {
		must(why[0] != 0);
		return;
	}
	n_faults = 0;
	must(ipspd_config_read(path, &again, on_fault, NULL) == 0 && n_faults == 0);
	compare(config, &again);
	ipspd_config_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ipspd_config config;
	char path[128];

	must(sodium_init() >= 0);
	snprintf(path, sizeof(path), "%s", fuzz_path("conf"));
	fuzz_write(path, data, n);
	n_faults = 0;
	const int err = ipspd_config_read(path, &config, on_fault, NULL);
	must(err == 0 || (err < 0 && n_faults > 0));
	if (err == 0) {
		must(n_faults == 0);
		for (size_t i = 0; i < config.n_contexts; i++) {
			must(ipsp_conf_check(&config.contexts[i], on_wrong, NULL) == 0);
			pass_on(&config.contexts[i]);
		}
		must(ipspd_config_share_secrets(&config, on_joined, NULL));
		save(&config);
		ipspd_config_fini(&config);
	}
	fuzz_folder_empty();
	return 0;
}
