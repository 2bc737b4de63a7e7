#include "daemon/ownlink.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Sending works again when it has worked for so long; and is stuck when it was for so long. */
#define STEADY_MS 1000

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- in words */

static void bind_words(const struct ipspd_ownlink *link, char *words, size_t cap)
{
	const bool device = link->device[0];
	char addr[IPSP_ADDR_TEXT_MAX];

	ipsp_addr_text(link->here, addr, sizeof(addr));
	if (link->bind_error == EADDRNOTAVAIL && device)
		snprintf(words, cap, "interface %s does not have %s", link->device, addr);
	else if (link->bind_error == EADDRNOTAVAIL)
		snprintf(words, cap, "no interface of this host has %s", addr);
	else if (link->bind_error == ENODEV && device)
		snprintf(words, cap, "this host has no interface %s", link->device);
	else if (link->bind_error == EADDRINUSE)
		snprintf(words, cap, "another program has the socket %s port %u", addr, link->port);
	else
		snprintf(words, cap, "binding to %s port %u%s%s: %s%s", addr, link->port,
			 device ? " on " : "", link->device, strerror(link->bind_error),
			 link->bind_error == EPERM && device ? " (before Linux 5.7: CAP_NET_RAW)"
							     : "");
}

static bool place_works(const struct ipspd_ownlink *link)
{
	const struct ipspd_ifwatch_place *place = &link->place;

	return !place->found || place->peer_here || (place->up && place->carrier);
}

/* The worst of what is wrong; an empty text: nothing. */
static void all_words(const struct ipspd_ownlink *link, char *words, size_t cap)
{
	char addr[IPSP_ADDR_TEXT_MAX];

	words[0] = '\0';
	if (link->bind_error)
		bind_words(link, words, cap);
	else if (!place_works(link))
		snprintf(words, cap, "interface %s %s", link->place.name,
			 link->place.up ? "has no carrier" : "is down");
	else if (link->send_error)
		snprintf(words, cap, "sending to %s port %u: %s%s",
			 ipsp_addr_text(link->peer, addr, sizeof(addr)), link->port,
			 strerror(link->send_error),
			 link->send_error == EPERM ? " (a firewall of this host?)" : "");
}

static void tell(struct ipspd_ownlink *link)
{
	char words[IPSPD_OWNLINK_TEXT];

	all_words(link, words, sizeof(words));
	if (link->told_once && link->bound == link->told_bound && strcmp(words, link->told) == 0)
		return;
	link->told_once = true;
	link->told_bound = link->bound;
	memcpy(link->told, words, sizeof(words));
	if (link->fn)
		link->fn(link->arg, link->bound, words[0] ? words : NULL);
}

/* ---------------------------------------------------------------- where its address is */

static bool find_place(struct ipspd_ownlink *link)
{
	const bool known = ipspd_ifwatch_find(link->here, link->peer, link->device, &link->place);

	if (link->place.found)
		link->seen_index = link->place.index;
	return known;
}

/* Can another socket be bound to the address? Where no interface has it, a route may. */
static bool may_bind(const struct ipspd_ownlink *link)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl((uint32_t)link->here.lo)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_storage any = {0};
	const bool is_v4 = ipsp_addr_is_v4(link->here);
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return true; /* nothing is known then */
	for (int i = 0; i < 8; i++) {
		v6.sin6_addr.s6_addr[i] = (uint8_t)(link->here.hi >> (56 - 8 * i));
		v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(link->here.lo >> (56 - 8 * i));
	}
	if (is_v4)
		memcpy(&any, &v4, sizeof(v4));
	else
		memcpy(&any, &v6, sizeof(v6));
	const bool may =
		bind(fd, (const struct sockaddr *)&any, is_v4 ? sizeof(v4) : sizeof(v6)) == 0 ||
		errno != EADDRNOTAVAIL;
	close(fd);
	return may;
}

bool ipspd_ownlink_look(struct ipspd_ownlink *link)
{
	const bool worked = place_works(link), known = find_place(link);

	if (!worked && place_works(link)) { /* what failed meanwhile is tried anew */
		link->send_error = 0;
		link->stuck = false;
	}
	/* a host may allow to bind without the address: then it is gone where it once was */
	const bool gone = link->bound && !link->place.found &&
			  ((known && link->seen_index != 0) || !may_bind(link));
	tell(link);
	return !gone;
}

bool ipspd_ownlink_concerns(const struct ipspd_ownlink *link, unsigned index,
			    const struct ipsp_addr *addr)
{
	if (addr)
		return addr->hi == link->here.hi && addr->lo == link->here.lo;
	return index == 0 || index == link->seen_index;
}

/* ---------------------------------------------------------------- what the socket says */

void ipspd_ownlink_bound(struct ipspd_ownlink *link, int error)
{
	link->bound = error == 0;
	link->bind_error = error;
	if (error == 0) {
		link->send_error = 0;
		link->stuck = false;
		find_place(link);
	}
	tell(link);
}

/*
 * What is too long for the way is no fault of the link; and want of room passes, unless nothing has
 * got out for a while: then an interface is stuck.
 */
void ipspd_ownlink_not_sent(struct ipspd_ownlink *link, int error)
{
	const bool room = error == EAGAIN || error == ENOBUFS || error == ENOMEM;
	const uint64_t now = now_ms();

	if (error == EMSGSIZE || (room && link->send_error && !link->stuck))
		return;
	if (!room || !link->stuck)
		link->failed_ms = now;
	link->stuck = room;
	if (room && now - link->failed_ms < STEADY_MS)
		return;
	link->send_error = error;
	tell(link);
}

void ipspd_ownlink_sent(struct ipspd_ownlink *link)
{
	if ((!link->send_error && !link->stuck) ||
	    (!link->stuck && now_ms() - link->failed_ms < STEADY_MS))
		return;
	link->stuck = false;
	link->send_error = 0;
	tell(link);
}
