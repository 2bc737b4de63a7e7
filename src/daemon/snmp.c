/*
 * snmp - see snmp.h: the sinks, each with its queue, its name that is looked up, and its times.
 * What goes over the wire is in netsnmp.c.
 */
#include "daemon/snmp.h"
#include "base/err.h"
#include "daemon/config.h"
#include "daemon/ctx.h"
#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/snmp_int.h"
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_REPEAT_S	1
#define LAST_REPEAT_S	60
#define RESOLVE_AGAIN_S 30 /* after a name that could not be resolved */
#define RESOLVED_FOR_MS (300u * 1000u)
#define FOR_EVER	UINT64_MAX

static void work(struct sink *sink);

/* ---------------------------------------------------------------- the queue of a sink */

void ipspd_sink_drop_first(struct sink *sink)
{
	free(sink->queue[sink->first]);
	sink->first = (sink->first + 1) % IPSPD_SNMP_QUEUE;
	sink->n--;
	sink->in_flight = false;
	if (sink->n == 0)
		sink->dropping = false;
}

static void make_room(struct sink *sink)
{
	if (sink->n < IPSPD_SNMP_QUEUE)
		return;
	if (!sink->dropping)
		ipspd_log(IPSP_LOG_WARNING,
			  "snmp: %s does not take notifications: %d wait, the oldest are dropped",
			  sink->conf->host, IPSPD_SNMP_QUEUE);
	sink->dropping = true;
	sink->snmp->counts.dropped++;
	ipspd_sink_drop_first(sink);
}

static void enqueue(struct sink *sink, const struct ipspd_snmp_trap *trap, uint32_t uptime)
{
	struct notification *note = calloc(1, sizeof(*note));

	if (!note) {
		sink->snmp->counts.dropped++;
		return;
	}
	note->trap = *trap;
	snprintf(note->context, sizeof(note->context), "%s", trap->context);
	snprintf(note->interface, sizeof(note->interface), "%s", trap->interface);
	note->trap.context = note->context;
	note->trap.interface = note->interface;
	note->uptime = uptime;
	note->reqid = ipspd_netsnmp_reqid();
	make_room(sink);
	sink->queue[(sink->first + sink->n++) % IPSPD_SNMP_QUEUE] = note;
	work(sink);
}

/* ---------------------------------------------------------------- its times */

static void close_session(struct sink *sink)
{
	void *session = sink->session;

	sink->session = NULL; /* first: closing calls back for what is open */
	sink->state = SINK_CLOSED;
	sink->in_flight = false;
	sink->reset = false;
	if (sink->readable)
		event_free(sink->readable);
	sink->readable = NULL;
	if (session)
		ipspd_netsnmp_close(session);
}

static void later(struct sink *sink, unsigned seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds};

	event_add(sink->timer, &tv);
}

/* How long to wait for an answer, and after an error before the next try. */
unsigned ipspd_sink_patience(const struct sink *sink)
{
	unsigned s = FIRST_REPEAT_S;

	for (unsigned i = 0; i < sink->unanswered && s < LAST_REPEAT_S; i++)
		s *= 2;
	return s < LAST_REPEAT_S ? s : LAST_REPEAT_S;
}

/* The timer goes off when net-snmp would give up on what is open. */
static void arm_timeout(struct sink *sink)
{
	struct timeval tv = {0};
	bool waits = ipspd_netsnmp_due(sink->session, &tv);

	tv.tv_usec += 1000; /* not a moment too early, which would only call for another */
	if (waits)
		event_add(sink->timer, &tv);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;

	(void)what;
	ipspd_netsnmp_read(sink->session, fd);
	work(sink);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;

	(void)fd, (void)what;
	if (sink->session)
		ipspd_netsnmp_timeout(sink->session);
	work(sink);
}

/* ---------------------------------------------------------------- its name */

/* May be called by evdns_getaddrinfo itself: so it sends nothing, the timer does. */
static void on_resolved(int result, struct evutil_addrinfo *found, void *arg)
{
	struct sink *sink = arg;
	char text[INET6_ADDRSTRLEN] = "";

	sink->lookup = NULL;
	if (result == EVUTIL_EAI_CANCEL)
		return;
	if (result == 0 && found->ai_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, text,
			  sizeof(text));
	else if (result == 0 && found->ai_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr,
			  text, sizeof(text));
	if (found)
		evutil_freeaddrinfo(found);
	sink->resolved_ms = ipspd_now();
	if (sink->session && (!text[0] || strcmp(text, sink->address) == 0))
		return; /* looked up again while the old address serves: no news, or none to be had
			 */
	close_session(sink);
	snprintf(sink->address, sizeof(sink->address), "%s", text);
	if (!text[0])
		ipspd_log(IPSP_LOG_INFO, "snmp: %s can't be resolved: %s", sink->conf->host,
			  evutil_gai_strerror(result));
	later(sink, text[0] ? 0 : RESOLVE_AGAIN_S);
}

static struct evdns_base *resolver(struct ipspd_snmp *snmp)
{
	if (!snmp->dns)
		snmp->dns = evdns_base_new(snmp->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (snmp->dns && evdns_base_count_nameservers(snmp->dns) == 0) {
		/* the files may have come later than the daemon */
		evdns_base_clear_host_addresses(snmp->dns);
		evdns_base_resolv_conf_parse(snmp->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	}
	return snmp->dns;
}

static void resolve(struct sink *sink)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	struct evdns_base *dns = resolver(sink->snmp);

	if (sink->lookup)
		return;
	if (!sink->session)
		sink->state = SINK_RESOLVING;
	if (dns)
		sink->lookup =
			evdns_getaddrinfo(dns, sink->conf->host, NULL, &hints, on_resolved, sink);
	else
		later(sink, RESOLVE_AGAIN_S);
}

/* Is there an address to send to? If not, or if it is old, one is looked up. */
static bool have_address(struct sink *sink)
{
	struct ipsp_addr addr;

	if (sink->resolved_ms == FOR_EVER)
		return true;
	if (ipsp_addr_parse(sink->conf->host, &addr) == 0) {
		ipsp_addr_text(addr, sink->address, sizeof(sink->address));
		sink->resolved_ms = FOR_EVER;
		return true;
	}
	if (sink->address[0] == '\0' || ipspd_now() - sink->resolved_ms > RESOLVED_FOR_MS)
		resolve(sink);
	return sink->address[0] != '\0';
}

/* ---------------------------------------------------------------- its work */

static bool open_sink(struct sink *sink)
{
	int fd;

	if (!have_address(sink))
		return false;
	sink->session = ipspd_netsnmp_open(sink);
	if (!sink->session) {
		ipspd_log(IPSP_LOG_INFO, "snmp: %s: %s", sink->conf->host, ipspd_netsnmp_error());
		later(sink, ipspd_sink_patience(sink));
		sink->unanswered++;
		return false;
	}
	fd = ipspd_netsnmp_fd(sink->session);
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	sink->readable = event_new(sink->snmp->base, fd, EV_READ | EV_PERSIST, on_readable, sink);
	if (!sink->readable || event_add(sink->readable, NULL) != 0) {
		close_session(sink);
		return false;
	}
	sink->state = sink->conf->version == IPSPD_SNMP_V3 && sink->conf->inform ? SINK_PROBING
										 : SINK_READY;
	return true;
}

/* Does what can be done now for one sink; what happens next calls it again. */
static void work(struct sink *sink)
{
	if (sink->reset) {
		close_session(sink);
		if (sink->resolved_ms != FOR_EVER)
			sink->address[0] = '\0';
		if (sink->n > 0 && !event_pending(sink->timer, EV_TIMEOUT, NULL))
			later(sink, ipspd_sink_patience(sink));
		return;
	}
	while (sink->n > 0 && !sink->in_flight && !sink->snmp->closing) {
		bool inform = sink->conf->inform;

		if (event_pending(sink->timer, EV_TIMEOUT, NULL))
			return; /* a pause after an error */
		if (!sink->session && !open_sink(sink))
			return;
		if (!ipspd_netsnmp_send(sink)) {
			later(sink, ipspd_sink_patience(sink));
			sink->unanswered++;
			return;
		}
		sink->in_flight = inform;
		if (!inform) {
			sink->unanswered = 0;
			ipspd_sink_drop_first(sink);
		}
	}
	if (sink->in_flight)
		arm_timeout(sink);
	else
		event_del(sink->timer);
}

/* ---------------------------------------------------------------- the whole */

void ipspd_snmp_send(struct ipspd_snmp *snmp, const struct ipspd_snmp_trap *trap)
{
	uint32_t uptime = (uint32_t)((ipspd_now() - snmp->started_ms) / 10);

	for (size_t i = 0; i < snmp->n_sinks; i++)
		enqueue(&snmp->sinks[i], trap, uptime);
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
	if (out->trap == IPSP_TRAP_DUPLICATE)
		trap.address = out->addr;
	ipspd_snmp_send(snmp, &trap);
}

void ipspd_snmp_counts(const struct ipspd_snmp *snmp, struct ipspd_snmp_counts *counts)
{
	*counts = snmp->counts;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		counts->queued += snmp->sinks[i].n;
}

bool ipspd_snmp_serves(const struct ipspd_snmp *snmp, const struct ipspd_config *config)
{
	/* byte by byte: what config.c reads a sink into was all zeros */
	return snmp->style == config->trap_style && snmp->n_sinks == config->n_sinks &&
	       (config->n_sinks == 0 ||
		memcmp(snmp->confs, config->sinks, config->n_sinks * sizeof(*config->sinks)) == 0);
}

static bool check_protocols(const struct ipspd_snmp *snmp, char *why, size_t n_why)
{
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		const struct ipspd_sink *conf = &snmp->confs[i];
		const char *unknown = ipspd_netsnmp_unknown(conf);

		if (!unknown)
			continue;
		snprintf(why, n_why, "snmp: sink %s: this host's net-snmp knows no %s", conf->host,
			 unknown);
		return false;
	}
	return true;
}

/* As a version 3 engine, where there are such sinks. */
static bool start_engine(struct ipspd_snmp *snmp, const char *directory, char *why, size_t n_why)
{
	char text[2 * IPSPD_ENGINE_ID + 1];
	bool needed = false;
	int err;

	for (size_t i = 0; i < snmp->n_sinks; i++)
		needed |= snmp->confs[i].version == IPSPD_SNMP_V3;
	if (!needed)
		return true;
	err = ipspd_engine_load(directory, &snmp->engine, why, n_why);
	if (err < 0)
		return false;
	ipspd_log(err == 1 ? IPSP_LOG_NOTICE : IPSP_LOG_INFO, "snmp: our engine id is 0x%s%s",
		  ipspd_engine_text(&snmp->engine, text),
		  err == 1 ? ", a new one: receivers of traps must be told" : "");
	ipspd_netsnmp_set_engine(&snmp->engine);
	return true;
}

static bool start_sinks(struct ipspd_snmp *snmp)
{
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		struct sink *sink = &snmp->sinks[i];

		sink->snmp = snmp;
		sink->conf = &snmp->confs[i];
		sink->timer = evtimer_new(snmp->base, on_timer, sink);
		if (!sink->timer)
			return false;
		have_address(sink); /* a name is looked up before the first trap, not with it */
	}
	return true;
}

struct ipspd_snmp *ipspd_snmp_new(struct ipspd *d, char *why, size_t n_why)
{
	const struct ipspd_config *config = d->config;
	struct ipspd_snmp *snmp = calloc(1, sizeof(*snmp));

	snprintf(why, n_why, "snmp: memory ran out");
	if (!snmp)
		return NULL;
	ipspd_netsnmp_init();
	snmp->base = d->base;
	snmp->started_ms = d->started_ms;
	snmp->style = config->trap_style;
	snmp->n_sinks = config->n_sinks;
	snmp->confs = calloc(config->n_sinks + 1, sizeof(*snmp->confs));
	snmp->sinks = calloc(config->n_sinks + 1, sizeof(*snmp->sinks));
	if (!snmp->confs || !snmp->sinks) {
		snmp->n_sinks = 0;
		ipspd_snmp_free(snmp);
		return NULL;
	}
	if (config->n_sinks > 0)
		memcpy(snmp->confs, config->sinks, config->n_sinks * sizeof(*snmp->confs));
	if (check_protocols(snmp, why, n_why) &&
	    start_engine(snmp, config->state_directory, why, n_why) && start_sinks(snmp)) {
		why[0] = '\0';
		return snmp;
	}
	ipspd_snmp_free(snmp);
	return NULL;
}

void ipspd_snmp_free(struct ipspd_snmp *snmp)
{
	if (!snmp)
		return;
	snmp->closing = true;
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		struct sink *sink = &snmp->sinks[i];

		if (sink->lookup)
			evdns_getaddrinfo_cancel(sink->lookup);
		close_session(sink);
		if (sink->timer)
			event_free(sink->timer);
		while (sink->n > 0)
			ipspd_sink_drop_first(sink);
	}
	ipspd_netsnmp_forget_users();
	if (snmp->dns)
		evdns_base_free(snmp->dns, 1);
	if (snmp->confs)
		sodium_memzero(snmp->confs, snmp->n_sinks * sizeof(*snmp->confs));
	free(snmp->confs);
	free(snmp->sinks);
	free(snmp);
}
