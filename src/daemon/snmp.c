/*
 * snmp - see snmp.h: all sinks together, and how one set of them takes over from another. One sink
 * is in sink.c, what goes over the wire in netsnmp.c.
 */
#include "daemon/snmp.h"
#include "daemon/config.h"
#include "daemon/ctx.h"
#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/snmp_int.h"
#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- notifications */

void ipspd_snmp_send(struct ipspd_snmp *snmp, const struct ipspd_snmp_trap *trap)
{
	uint32_t uptime = (uint32_t)((ipspd_now() - snmp->started_ms) / 10);

	for (size_t i = 0; i < snmp->n_sinks; i++)
		ipspd_sink_enqueue(snmp->sinks[i], trap, uptime);
}

/* What ends an outage of the network may have ended it for the managers as well. */
static bool ends_an_outage(const struct ipsp_out *out, const struct ipsp_status *status)
{
	return out->trap == IPSP_TRAP_PEER_UP ||
	       (out->trap == IPSP_TRAP_LINK_CHANGE && !status->link_error);
}

void ipspd_snmp_trap(struct ipspd_snmp *snmp, struct ipspd_ctx *ctx, const struct ipsp_out *out)
{
	struct ipspd_snmp_trap trap = {.trap = out->trap, .context = ctx->name};
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	trap.interface = status.conf->psp.interface;
	trap.role = status.role;
	trap.peer_state = status.peer_state;
	trap.peer = status.conf->psp.peer;
	trap.epoch = status.epoch;
	trap.serving = status.serving;
	trap.waiting = status.waiting;
	trap.shared = status.shared;
	trap.disk_full = status.disk_full;
	trap.mismatch = status.mismatch;
	trap.link = status.link_words;
	if (out->trap == IPSP_TRAP_DUPLICATE || out->trap == IPSP_TRAP_DUPLICATE_FOUND)
		trap.address = out->addr;
	for (size_t i = 0; ends_an_outage(out, &status) && i < snmp->n_sinks; i++)
		ipspd_sink_hurry(snmp->sinks[i]);
	ipspd_snmp_send(snmp, &trap);
}

void ipspd_snmp_counts(const struct ipspd_snmp *snmp, struct ipspd_snmp_counts *counts)
{
	*counts = snmp->counts;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		counts->queued += snmp->sinks[i]->n;
}

/* ---------------------------------------------------------------- made ready */

/* Byte by byte: what config.c reads a sink into was all zeros. */
static bool same_sink(const struct sink *sink, const struct ipspd_sink *conf)
{
	return memcmp(&sink->conf, conf, sizeof(*conf)) == 0;
}

static bool same_source(const struct ipspd_snmp *snmp, struct ipsp_addr source)
{
	return snmp->source.hi == source.hi && snmp->source.lo == source.lo;
}

bool ipspd_snmp_serves(const struct ipspd_snmp *snmp, const struct ipspd_config *config)
{
	if (snmp->style != config->trap_style || snmp->n_sinks != config->n_sinks ||
	    !same_source(snmp, config->snmp_source))
		return false;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		if (!same_sink(snmp->sinks[i], &config->sinks[i]))
			return false;
	return true;
}

static bool check_protocols(const struct ipspd_config *config, char *why, size_t n_why)
{
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct ipspd_sink *conf = &config->sinks[i];
		const char *unknown = ipspd_netsnmp_unknown(conf);

		if (!unknown)
			continue;
		snprintf(why, n_why, "snmp: sink %s: this host's net-snmp knows no %s", conf->host,
			 unknown);
		return false;
	}
	return true;
}

static bool make_sinks(struct ipspd_snmp *snmp, const struct ipspd_config *config)
{
	snmp->sinks = calloc(config->n_sinks + 1, sizeof(struct sink *));
	if (!snmp->sinks)
		return false;
	for (; snmp->n_sinks < config->n_sinks; snmp->n_sinks++) {
		struct sink *sink = ipspd_sink_new(snmp, &config->sinks[snmp->n_sinks]);
		if (!sink)
			return false;
		snmp->sinks[snmp->n_sinks] = sink;
	}
	return true;
}

struct ipspd_snmp *ipspd_snmp_prepare(struct ipspd *d, const struct ipspd_config *config,
				      const struct ipspd_snmp *old, char *why, size_t n_why)
{
	struct ipspd_snmp *snmp = calloc(1, sizeof(*snmp));

	snprintf(why, n_why, "snmp: memory ran out");
	if (!snmp)
		return NULL;
	ipspd_netsnmp_init();
	snmp->base = d->base;
	snmp->started_ms = d->started_ms;
	snmp->style = config->trap_style;
	snmp->source = config->snmp_source;
	snprintf(snmp->directory, sizeof(snmp->directory), "%s", config->state_directory);
	if (old)
		snmp->engine = old->engine;
	if (make_sinks(snmp, config) && check_protocols(config, why, n_why)) {
		why[0] = '\0';
		return snmp;
	}
	ipspd_snmp_free(snmp);
	return NULL;
}

/* ---------------------------------------------------------------- taking over */

static bool has_v3(const struct ipspd_snmp *snmp)
{
	for (size_t i = 0; i < snmp->n_sinks; i++)
		if (snmp->sinks[i]->conf.version == IPSPD_SNMP_V3)
			return true;
	return false;
}

/* As a version 3 engine, where there are such sinks. */
static void start_engine(struct ipspd_snmp *snmp)
{
	char text[2 * IPSPD_ENGINE_ID + 1], why[1400];
	bool is_new;

	if (snmp->engine.boots != 0 || !has_v3(snmp))
		return;
	is_new = ipspd_engine_load(snmp->directory, &snmp->engine, why, sizeof(why)) == 1;
	if (why[0])
		ipspd_log(IPSP_LOG_WARNING,
			  "snmp: the engine id can't be saved: %s; notifications are sent all the "
			  "same",
			  why);
	ipspd_log(is_new ? IPSP_LOG_NOTICE : IPSP_LOG_INFO, "snmp: our engine id is 0x%s%s",
		  ipspd_engine_text(&snmp->engine, text),
		  is_new ? "; no saved one was found: receivers of version 3 traps must know it"
			 : "");
	ipspd_netsnmp_set_engine(&snmp->engine);
}

/* An unchanged sink takes the place of the one that was made for it, with all that waits in it. */
static void keep_sinks(struct ipspd_snmp *snmp, struct ipspd_snmp *old)
{
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		for (size_t k = 0; k < old->n_sinks; k++) {
			struct sink *kept = old->sinks[k];

			if (!kept || !same_sink(kept, &snmp->sinks[i]->conf))
				continue;
			ipspd_sink_free(snmp->sinks[i]);
			snmp->sinks[i] = kept;
			old->sinks[k] = NULL;
			kept->snmp = snmp;
			break;
		}
	}
}

/*
 * net-snmp keeps users by engine and name: a changed passphrase must not find the old keys. So they
 * are all forgotten where one has changed, and sessions that go on get theirs anew.
 */
static void change_users(struct ipspd_snmp *snmp, const struct ipspd_snmp *old)
{
	bool changed = false;

	for (size_t i = 0; i < old->n_sinks; i++)
		changed |= old->sinks[i] && old->sinks[i]->conf.version == IPSPD_SNMP_V3;
	if (!changed)
		return;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		if (snmp->sinks[i]->conf.version == IPSPD_SNMP_V3)
			ipspd_sink_close(snmp->sinks[i]);
	ipspd_netsnmp_forget_users();
}

static void take_over(struct ipspd_snmp *snmp, struct ipspd_snmp *old)
{
	snmp->dns = old->dns;
	snmp->resolv = old->resolv;
	snmp->counts = old->counts;
	old->dns = NULL;
	old->started = false; /* its users and its resolver are in other hands */
	keep_sinks(snmp, old);
	for (size_t i = 0; i < snmp->n_sinks; i++)
		if (!same_source(old, snmp->source))
			ipspd_sink_close(snmp->sinks[i]);
	for (size_t i = 0; i < old->n_sinks; i++)
		if (old->sinks[i])
			ipspd_sink_close(old->sinks[i]);
	change_users(snmp, old);
	ipspd_snmp_free(old);
}

void ipspd_snmp_start(struct ipspd_snmp *snmp, struct ipspd_snmp *old)
{
	if (old)
		take_over(snmp, old);
	start_engine(snmp);
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		/* a name is looked up before the first notification, not with it */
		ipspd_sink_has_address(snmp->sinks[i]);
		if (snmp->sinks[i]->n > 0)
			ipspd_sink_later(snmp->sinks[i], 0);
	}
	snmp->started = true;
}

void ipspd_snmp_free(struct ipspd_snmp *snmp)
{
	if (!snmp)
		return;
	snmp->closing = true;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		ipspd_sink_free(snmp->sinks[i]);
	if (snmp->started)
		ipspd_netsnmp_forget_users();
	if (snmp->dns)
		evdns_base_free(snmp->dns, 1);
	free(snmp->sinks);
	free(snmp);
}
