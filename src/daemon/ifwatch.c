#include "daemon/ifwatch.h"
#include <errno.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IFF_LOWER_UP /* that of net/if.h has only what BSD had */
#define IFF_LOWER_UP 0x10000
#endif
#define READS_MAX 64 /* in one wake-up: what the rest brings is work for the next one */

struct ipspd_ifwatch {
	ipspd_ifwatch_fn *changed;
	void *arg;
	struct event *event; /* readable, or (no netlink) a timer */
	int fd;		     /* -1: no netlink */
	_Alignas(struct nlmsghdr) char bytes[16384];
};

/* ---------------------------------------------------------------- addresses */

static bool addr_of(int family, const void *bytes, size_t n, struct ipsp_addr *addr)
{
	uint8_t b[16];

	if (family == AF_INET && n == 4) {
		memcpy(b, bytes, 4);
		*addr = ipsp_addr_v4((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
				     (uint32_t)b[2] << 8 | b[3]);
		return true;
	}
	if (family != AF_INET6 || n != 16)
		return false;
	memcpy(b, bytes, 16);
	*addr = IPSP_ADDR_NONE;
	for (int i = 0; i < 8; i++) {
		addr->hi = addr->hi << 8 | b[i];
		addr->lo = addr->lo << 8 | b[8 + i];
	}
	return true;
}

static bool addr_of_sockaddr(const struct sockaddr *sa, struct ipsp_addr *addr)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa && sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		return addr_of(AF_INET, &v4.sin_addr, 4, addr);
	}
	if (!sa || sa->sa_family != AF_INET6)
		return false;
	memcpy(&v6, sa, sizeof(v6));
	return addr_of(AF_INET6, &v6.sin6_addr, 16, addr);
}

static bool same(struct ipsp_addr a, struct ipsp_addr b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* Is @name a better place than what was found before? */
static bool better(const struct ipspd_ifwatch_place *found, const char *name, const char *device,
		   bool works)
{
	const bool is = strcmp(name, device) == 0, was = strcmp(found->name, device) == 0;

	if (!found->found || is != was)
		return !found->found || is;
	return works;
}

bool ipspd_ifwatch_find(struct ipsp_addr addr, struct ipsp_addr peer, const char *device,
			struct ipspd_ifwatch_place *place)
{
	struct ifaddrs *all;

	memset(place, 0, sizeof(*place));
	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		const bool up = i->ifa_flags & IFF_UP, carrier = i->ifa_flags & IFF_LOWER_UP;
		struct ipsp_addr it;

		if (!addr_of_sockaddr(i->ifa_addr, &it))
			continue;
		place->peer_here = place->peer_here || same(it, peer);
		if (!same(it, addr) || !better(place, i->ifa_name, device, up && carrier))
			continue;
		place->found = true;
		place->up = up;
		place->carrier = carrier;
		place->index = if_nametoindex(i->ifa_name);
		snprintf(place->name, sizeof(place->name), "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return true;
}

/* ---------------------------------------------------------------- news */

static void tell_address(struct ipspd_ifwatch *watch, struct nlmsghdr *head)
{
	struct ifaddrmsg *msg = NLMSG_DATA(head);
	size_t left = IFA_PAYLOAD(head);

	for (struct rtattr *a = IFA_RTA(msg); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct ipsp_addr addr;
		if ((a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS) &&
		    addr_of(msg->ifa_family, RTA_DATA(a), RTA_PAYLOAD(a), &addr))
			watch->changed(watch->arg, 0, &addr);
	}
}

static void tell_all_in(struct ipspd_ifwatch *watch, size_t n)
{
	struct nlmsghdr *head;

	for (head = (struct nlmsghdr *)watch->bytes; NLMSG_OK(head, n);
	     head = NLMSG_NEXT(head, n)) {
		struct ifinfomsg link;

		switch (head->nlmsg_type) {
		case RTM_NEWLINK:
		case RTM_DELLINK:
			memcpy(&link, NLMSG_DATA(head), sizeof(link));
			if (link.ifi_index > 0)
				watch->changed(watch->arg, (unsigned)link.ifi_index, NULL);
			break;
		case RTM_NEWADDR:
		case RTM_DELADDR:
			tell_address(watch, head);
			break;
		default:
			break;
		}
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_ifwatch *watch = arg;

	(void)what;
	for (int i = 0; i < READS_MAX; i++) {
		const ssize_t n = recv(fd, watch->bytes, sizeof(watch->bytes), MSG_DONTWAIT);
		if (n > 0)
			tell_all_in(watch, (size_t)n);
		else if (n < 0 && errno == ENOBUFS) /* some were lost */
			watch->changed(watch->arg, 0, NULL);
		else if (n == 0 || errno != EINTR)
			return;
	}
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_ifwatch *watch = arg;

	(void)fd;
	(void)what;
	watch->changed(watch->arg, 0, NULL);
}

static int open_netlink(void)
{
	const struct sockaddr_nl sa = {.nl_family = AF_NETLINK,
				       .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
						    RTMGRP_IPV6_IFADDR};
	struct sockaddr_storage any = {0};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -1;
	memcpy(&any, &sa, sizeof(sa));
	if (bind(fd, (const struct sockaddr *)&any, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

struct ipspd_ifwatch *ipspd_ifwatch_new(struct event_base *base, ipspd_ifwatch_fn *changed,
					void *arg)
{
	struct ipspd_ifwatch *watch = calloc(1, sizeof(*watch));
	const struct timeval second = {.tv_sec = 1};

	if (!watch)
		return NULL;
	watch->changed = changed;
	watch->arg = arg;
	watch->fd = open_netlink();
	watch->event = watch->fd >= 0 ? event_new(base, watch->fd, EV_READ | EV_PERSIST,
						  on_readable, watch)
				      : event_new(base, -1, EV_PERSIST, on_second, watch);
	if (watch->event && event_add(watch->event, watch->fd >= 0 ? NULL : &second) == 0)
		return watch;
	ipspd_ifwatch_free(watch);
	return NULL;
}

void ipspd_ifwatch_free(struct ipspd_ifwatch *watch)
{
	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch);
}
