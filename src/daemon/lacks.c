#include "daemon/lacks.h"
#include "base/err.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/group.h"
#include "daemon/keyfile.h"
#include "daemon/loop.h"
#include "daemon/secret.h"
#include "daemon/snmp.h"
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ipspd_lacks {
	struct ipspd *daemon;
	struct event *timer;
	bool group[IPSPD_LEVELS];  /* the control socket doesn't have it yet */
	struct ipspd_group *asked; /* for one after the other */
	enum ipspd_level asked_for;
};

static bool lacks_group(const struct ipspd_lacks *lacks)
{
	bool some = false;

	for (size_t i = 0; i < IPSPD_LEVELS; i++)
		some |= lacks->group[i];
	return some;
}

static void later(struct ipspd_lacks *lacks)
{
	const struct timeval tv = {.tv_sec = IPSPD_LACKS_MS / 1000,
				   .tv_usec = IPSPD_LACKS_MS % 1000 * 1000};

	if (lacks->daemon->config->n_lacks > 0 || lacks_group(lacks))
		event_add(lacks->timer, &tv);
}

/* ---------------------------------------------------------------- is it there now? */

static struct ipsp_context_conf *conf_of(struct ipspd_config *config, const char *name)
{
	for (size_t i = 0; i < config->n_contexts; i++)
		if (strcmp(config->contexts[i].name, name) == 0)
			return &config->contexts[i];
	return NULL;
}

static void on_joined(void *arg, const struct ipsp_context_conf *a,
		      const struct ipsp_context_conf *b)
{
	(void)arg;
	ipspd_log(IPSP_LOG_WARNING, "%s: key-file: " IPSPD_JOINED_TEXT, b->name, a->name);
}

/* The keys of the file, and whether another context has one of them, are all that the nodes get. */
static void post_keys(struct ipspd *daemon, const struct ipsp_context_conf *come)
{
	struct ipspd_config *config = daemon->config;

	if (!ipspd_config_share_secrets(config, on_joined, NULL)) {
		ipspd_fail(daemon, "%s: memory ran out", come->name);
		return;
	}
	for (size_t i = 0; i < config->n_contexts; i++) {
		const struct ipsp_context_conf *conf = &config->contexts[i];
		struct ipspd_ctx *ctx = ipspd_ctx_find(daemon, conf->name);

		if (!ctx ||
		    (conf != come && conf->psp.secret_is_shared == ctx->conf.psp.secret_is_shared))
			continue;
		memcpy(ctx->conf.psp.keys, conf->psp.keys, sizeof(conf->psp.keys));
		ctx->conf.psp.n_keys = conf->psp.n_keys;
		ctx->conf.psp.secret_is_shared = conf->psp.secret_is_shared;
		ctx->look = true;
		const struct ipsp_event ev = {.type = IPSP_EV_KEYS, .conf = &ctx->conf};
		ipspd_post(ctx, &ev);
	}
}

static int key_came(struct ipspd_lacks *lacks, const struct ipspd_lack *lack,
		    char why[IPSPD_WHY_MAX])
{
	struct ipsp_context_conf *conf = conf_of(lacks->daemon->config, lack->context);
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES] = {{0}}, n_keys = 0;

	int err = ipspd_keyfile_keys(lack->path, keys, &n_keys, why);
	if (err)
		return err;
	if (conf) {
		memcpy(conf->psp.keys, keys, sizeof(keys));
		conf->psp.n_keys = n_keys;
		ipspd_log(IPSP_LOG_NOTICE, "%s: the key file %s is there: its keys are taken",
			  conf->name, lack->path);
		if (why[0])
			ipspd_log(IPSP_LOG_WARNING, "%s: %s", conf->name, why);
		post_keys(lacks->daemon, conf);
	}
	sodium_memzero(keys, sizeof(keys));
	return 0;
}

/* The array is made anew: those who read the old one let go of it first. */
static int passphrase_came(struct ipspd_lacks *lacks, struct ipspd_lack *lack,
			   char why[IPSPD_WHY_MAX])
{
	struct ipspd_sink *sink = &lacks->daemon->config->sinks[lack->sink];

	return ipspd_keyfile_line(lack->path, IPSPD_PASSPHRASE_MIN,
				  lack->priv ? sink->priv_passphrase : sink->auth_passphrase,
				  IPSPD_PASSPHRASE_MAX, why);
}

/* A sink may have lacked two passphrases; with neither lack left it is one of the others. */
static void sinks_came(struct ipspd_lacks *lacks)
{
	struct ipspd *daemon = lacks->daemon;
	struct ipspd_config *config = daemon->config;
	const size_t before = config->n_sinks, n = config->n_sinks + config->n_late_sinks;
	struct ipspd_sink *old = config->sinks, *sinks = calloc(n, sizeof(*sinks));
	char why[400] = "";

	if (!sinks)
		return;
	ipspd_secret_memory(sinks, n * sizeof(*sinks));
	memcpy(sinks, old, n * sizeof(*sinks));
	config->sinks = sinks;
	ipspd_config_sort_sinks(config);
	if (config->n_sinks > before) {
		for (size_t i = before; i < config->n_sinks; i++)
			ipspd_log(IPSP_LOG_NOTICE, "snmp: the passphrases for %s are there",
				  sinks[i].host);
		struct ipspd_snmp *snmp =
			ipspd_snmp_prepare(daemon, config, daemon->snmp, why, sizeof(why));
		if (snmp) {
			ipspd_snmp_start(snmp, daemon->snmp);
			daemon->snmp = snmp;
		} else {
			ipspd_log(IPSP_LOG_ERROR, "snmp: %s", why);
		}
		sodium_memzero(old, n * sizeof(*old));
		free(old);
	} else {
		config->sinks = old;
		sodium_memzero(sinks, n * sizeof(*sinks));
		free(sinks);
	}
}

static int came(struct ipspd_lacks *lacks, struct ipspd_lack *lack, char why[IPSPD_WHY_MAX])
{
	int err = 0;

	switch (lack->kind) {
	case IPSPD_LACK_KEY:
		return key_came(lacks, lack, why);
	case IPSPD_LACK_PASSPHRASE:
		return passphrase_came(lacks, lack, why);
	case IPSPD_LACK_HOOK:
		err = ipspd_config_hook_ok(lack->path, why);
		if (!err)
			ipspd_log(IPSP_LOG_NOTICE, "the hook %s is there", lack->path);
		break;
	}
	return err;
}

/* A file that is there and wrong is said as well, once: it may be mended. */
static void look(struct ipspd_lacks *lacks)
{
	struct ipspd_config *config = lacks->daemon->config;
	char why[IPSPD_WHY_MAX] = "";
	bool sinks = false;

	for (size_t i = 0; i < config->n_lacks;) {
		struct ipspd_lack *lack = &config->lacks[i];

		if (came(lacks, lack, why) == 0) {
			sinks = sinks || lack->kind == IPSPD_LACK_PASSPHRASE;
			memmove(lack, lack + 1, (--config->n_lacks - i) * sizeof(*lack));
			continue;
		}
		if (strcmp(why, lack->why) != 0) {
			memcpy(lack->why, why, sizeof(lack->why));
			ipspd_log(IPSP_LOG_WARNING, "%s%s%s; looking again every %d s",
				  lack->context, lack->context[0] ? ": " : "", lack->why,
				  IPSPD_LACKS_MS / 1000);
		}
		i++;
	}
	if (sinks)
		sinks_came(lacks);
}

/* ---------------------------------------------------------------- the group */

static void on_group(void *arg, gid_t gid)
{
	struct ipspd_lacks *lacks = arg;
	const enum ipspd_level level = lacks->asked_for;

	lacks->asked = NULL;
	if (gid != (gid_t)-1 && ipspd_ctl_let_in(lacks->daemon->ctl, level, gid)) {
		lacks->group[level] = false;
		ipspd_config_group_came(ipspd_config_group(lacks->daemon->config, level));
		ipspd_log(IPSP_LOG_NOTICE,
			  "the group \"%s\" is there: its members may use the control socket",
			  ipspd_config_group(lacks->daemon->config, level));
	}
	later(lacks);
}

/* The next one that is missing, after the one that was asked for last. */
static void ask_for_group(struct ipspd_lacks *lacks)
{
	struct ipspd *daemon = lacks->daemon;

	if (!lacks_group(lacks) || !daemon->ctl || lacks->asked)
		return;
	do
		lacks->asked_for = (enum ipspd_level)((lacks->asked_for + 1) % IPSPD_LEVELS);
	while (!lacks->group[lacks->asked_for]);
	lacks->asked =
		ipspd_group_ask(daemon->base, ipspd_config_group(daemon->config, lacks->asked_for),
				on_group, lacks);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_lacks *lacks = arg;

	(void)fd, (void)what;
	look(lacks);
	ask_for_group(lacks);
	later(lacks);
}

void ipspd_lacks_group(struct ipspd_lacks *lacks, enum ipspd_level level)
{
	lacks->group[level] = true;
	later(lacks);
}

/* ---------------------------------------------------------------- all of it */

void ipspd_lacks_taken(struct ipspd_lacks *lacks)
{
	struct ipspd *daemon = lacks->daemon;

	char why[IPSPD_WHY_MAX + 16];

	for (size_t i = 0; i < daemon->config->n_lacks; i++) {
		const struct ipspd_lack *lack = &daemon->config->lacks[i];
		struct ipspd_ctx *ctx =
			lack->kind == IPSPD_LACK_KEY ? ipspd_ctx_find(daemon, lack->context) : NULL;
		if (!ctx)
			continue;
		snprintf(why, sizeof(why), "no key: %.240s", lack->why);
		ctx->look = true;
		/* it hears nothing, and must not take that for silence; its socket says the rest */
		const struct ipsp_event ev = {.type = IPSP_EV_LINK, .error = why};
		ipspd_post(ctx, &ev);
	}
	later(lacks);
}

void ipspd_lacks_say(const struct ipspd *daemon, const struct ipspd_ctx *ctx,
		     void (*each)(void *arg, const char *text), void *arg)
{
	static const char *const meanwhile[] = {
		[IPSPD_LACK_KEY] = "this context does not talk to its peer without its key",
		[IPSPD_LACK_PASSPHRASE] = "notifications are not sent to every manager",
		[IPSPD_LACK_HOOK] = "the hook can't be run, and each takeover is vetoed",
	};
	char text[IPSPD_WHY_MAX + 200];

	for (size_t i = 0; i < daemon->config->n_lacks; i++) {
		const struct ipspd_lack *lack = &daemon->config->lacks[i];

		if (lack->kind == IPSPD_LACK_KEY ? !ctx || strcmp(ctx->name, lack->context) != 0
						 : ctx != NULL)
			continue;
		snprintf(text, sizeof(text), "%s: %s", meanwhile[lack->kind], lack->why);
		each(arg, text);
	}
	for (size_t i = 0; !ctx && daemon->lacks && i < IPSPD_LEVELS; i++) {
		if (!daemon->lacks->group[i])
			continue;
		snprintf(text, sizeof(text),
			 "nobody may use the control socket by the group \"%s\" until there is one",
			 ipspd_config_group(daemon->config, (enum ipspd_level)i));
		each(arg, text);
	}
}

struct ipspd_lacks *ipspd_lacks_new(struct ipspd *daemon)
{
	struct ipspd_lacks *lacks = calloc(1, sizeof(*lacks));

	if (!lacks)
		return NULL;
	lacks->daemon = daemon;
	lacks->timer = evtimer_new(daemon->base, on_timer, lacks);
	if (lacks->timer)
		return lacks;
	free(lacks);
	return NULL;
}

void ipspd_lacks_free(struct ipspd_lacks *lacks)
{
	if (!lacks)
		return;
	ipspd_group_cancel(lacks->asked);
	event_free(lacks->timer);
	free(lacks);
}
