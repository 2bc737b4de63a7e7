/*
 * sinkname - the name of a sink, and the addresses behind it. Names are looked up beside the loop,
 * again every five minutes, and again when none of the addresses answers.
 */
#include "base/err.h"
#include "daemon/ctx.h"
#include "daemon/log.h"
#include "daemon/snmp_int.h"
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RESOLV_CONF	      "/etc/resolv.conf"
#define RESOLVED_FOR_MS	      (300u * 1000u)
#define FIRST_RESOLVE_AGAIN_S 5
#define LAST_RESOLVE_AGAIN_S  60

const char *ipspd_sink_address(const struct sink *sink)
{
	return sink->n_addresses > 0 ? sink->addresses[sink->at] : "";
}

void ipspd_sink_forget_addresses(struct sink *sink)
{
	if (sink->resolved_ms != IPSPD_SINK_FOR_EVER)
		sink->n_addresses = 0;
	sink->at = 0;
}

static unsigned resolve_again_s(const struct sink *sink)
{
	unsigned s = FIRST_RESOLVE_AGAIN_S;

	for (unsigned i = 1; i < sink->unresolved && s < LAST_RESOLVE_AGAIN_S; i++)
		s *= 2;
	return s < LAST_RESOLVE_AGAIN_S ? s : LAST_RESOLVE_AGAIN_S;
}

/* ---------------------------------------------------------------- the name servers */

/* The file may come later than the daemon, and change under it. */
static bool resolv_changed(struct ipspd_snmp *snmp)
{
	struct resolv_seen now = {0};
	struct stat st;

	if (stat(RESOLV_CONF, &st) == 0)
		now = (struct resolv_seen){st.st_ino, (uint64_t)st.st_size, st.st_mtim};
	const bool same = now.inode == snmp->resolv.inode && now.size == snmp->resolv.size &&
			  now.modified.tv_sec == snmp->resolv.modified.tv_sec &&
			  now.modified.tv_nsec == snmp->resolv.modified.tv_nsec;
	snmp->resolv = now;
	return !same;
}

/*
 * Where the first name server is dead, the second has answered after two seconds, not after the
 * library's ten: an alarm waits for it. Both questions (A and AAAA) get that time, even if the
 * other one is answered at once. What resolv.conf itself says comes later, and rules.
 */
static void set_patience(struct evdns_base *dns)
{
	evdns_base_set_option(dns, "timeout:", "1");
	evdns_base_set_option(dns, "attempts:", "5");
	evdns_base_set_option(dns, "max-timeouts:", "1");
	evdns_base_set_option(dns, "initial-probe-timeout:", "5");
	evdns_base_set_option(dns, "getaddrinfo-allow-skew:", "5");
}

static struct evdns_base *resolver(struct ipspd_snmp *snmp)
{
	if (!snmp->dns) {
		snmp->dns = evdns_base_new(snmp->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (!snmp->dns)
			return NULL;
		set_patience(snmp->dns);
	}
	if (resolv_changed(snmp) || evdns_base_count_nameservers(snmp->dns) == 0) {
		evdns_base_clear_nameservers_and_suspend(snmp->dns);
		evdns_base_clear_host_addresses(snmp->dns);
		evdns_base_resolv_conf_parse(snmp->dns, DNS_OPTIONS_ALL, RESOLV_CONF);
		evdns_base_resume(snmp->dns);
	}
	return snmp->dns;
}

/* ---------------------------------------------------------------- what was found */

struct addresses {
	char text[IPSPD_SINK_ADDRESSES][IPSP_ADDR_TEXT_MAX];
	unsigned n;
	bool other_family; /* some were left out, as snmp.source can't reach them */
};

static bool source_reaches(const struct ipspd_snmp *snmp, int family)
{
	return ipsp_addr_is_none(snmp->source) ||
	       ipsp_addr_is_v4(snmp->source) == (family == AF_INET);
}

static void collect(const struct ipspd_snmp *snmp, const struct evutil_addrinfo *found,
		    struct addresses *all)
{
	for (; found && all->n < IPSPD_SINK_ADDRESSES; found = found->ai_next) {
		char *text = all->text[all->n];
		const void *addr;

		if (found->ai_family == AF_INET)
			addr = &((const struct sockaddr_in *)(const void *)found->ai_addr)
					->sin_addr;
		else if (found->ai_family == AF_INET6)
			addr = &((const struct sockaddr_in6 *)(const void *)found->ai_addr)
					->sin6_addr;
		else
			continue;
		if (!source_reaches(snmp, found->ai_family)) {
			all->other_family = true;
			continue;
		}
		if (inet_ntop(found->ai_family, addr, text, sizeof(all->text[0])))
			all->n++;
	}
}

/* The one in use stays in use when it is still among them. */
static bool keeps_its_address(struct sink *sink, const struct addresses *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (strcmp(ipspd_sink_address(sink), all->text[i]) != 0)
			continue;
		memcpy(sink->addresses, all->text, sizeof(sink->addresses));
		sink->n_addresses = all->n;
		sink->at = i;
		return true;
	}
	return false;
}

/* Nothing was found. While an older address serves, that one goes on to. */
static void unresolved(struct sink *sink, int result, bool other_family)
{
	char why[160];

	sink->unresolved++;
	snprintf(why, sizeof(why), "its name can't be resolved: %s",
		 result		? evutil_gai_strerror(result)
		 : other_family ? "it has no address of snmp.source's family"
				: "it has no address");
	if (sink->session)
		return;
	ipspd_sink_trouble(sink, why);
	ipspd_sink_later(sink, resolve_again_s(sink));
}

/* May be called by evdns_getaddrinfo itself: so it sends nothing, the timer does. */
static void on_resolved(int result, struct evutil_addrinfo *found, void *arg)
{
	struct sink_lookup *lookup = arg;
	struct sink *sink = lookup->sink;
	struct addresses all = {.n = 0};

	free(lookup);
	if (sink)
		sink->lookup = NULL;
	if (sink && result == 0)
		collect(sink->snmp, found, &all);
	if (found)
		evutil_freeaddrinfo(found);
	if (!sink)
		return;
	sink->resolved_ms = ipspd_now();
	if (all.n == 0) {
		unresolved(sink, result, all.other_family);
		return;
	}
	sink->unresolved = 0;
	if (sink->session && keeps_its_address(sink, &all))
		return;
	ipspd_sink_close(sink);
	memcpy(sink->addresses, all.text, sizeof(sink->addresses));
	sink->n_addresses = all.n;
	sink->at = 0;
	ipspd_sink_later(sink, 0);
}

static void resolve(struct sink *sink)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	struct evdns_base *dns;

	if (sink->lookup)
		return;
	dns = resolver(sink->snmp);
	if (!sink->session)
		sink->state = SINK_RESOLVING;
	struct sink_lookup *lookup = dns ? calloc(1, sizeof(*lookup)) : NULL;
	if (!lookup) {
		ipspd_sink_later(sink, FIRST_RESOLVE_AGAIN_S);
		return;
	}
	lookup->sink = sink;
	sink->lookup = lookup; /* before: the answer may come at once, and the request with it */
	evdns_getaddrinfo(dns, sink->conf.host, NULL, &hints, on_resolved, lookup);
}

void ipspd_sink_stop_lookup(struct sink *sink)
{
	if (sink->lookup)
		sink->lookup->sink = NULL; /* its answer comes to nobody */
	sink->lookup = NULL;
}

bool ipspd_sink_has_address(struct sink *sink)
{
	struct ipsp_addr addr;

	if (sink->resolved_ms == IPSPD_SINK_FOR_EVER)
		return true;
	if (ipsp_addr_parse(sink->conf.host, &addr) == 0) {
		ipsp_addr_text(addr, sink->addresses[0], sizeof(sink->addresses[0]));
		sink->n_addresses = 1;
		sink->resolved_ms = IPSPD_SINK_FOR_EVER;
		return true;
	}
	if (sink->n_addresses == 0 || ipspd_now() - sink->resolved_ms > RESOLVED_FOR_MS)
		resolve(sink);
	return sink->n_addresses > 0;
}
