#define _GNU_SOURCE /* recvmmsg, sendmmsg */
#include "daemon/udp.h"
#include "core/wire.h"
#include "daemon/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	      64 /* sent with one call */
#define ROW_MAX	      54 /* of IPSP_DGRAM_MAX bytes in 64 KiB: what the system cuts up itself */
#define BATCH_IN      16 /* taken in one turn: what the rest brings is work for the next ones */
#define SOCKET_BUFFER (4 << 20)
#define TTL	      255
#define SAY_EVERY_S   10
#define CUT_AGAIN_MS  500 /* after a refusal */

union sockaddr_any {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct control { /* one int, in cmsg form */
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

struct ipspd_udp {
	char name[IPSP_NAME_MAX];
	struct event_base *base;
	struct event *readable, *retry;
	ipspd_udp_receive_fn *receive;
	void *arg;
	union sockaddr_any local, peer;
	socklen_t addr_len;
	char device[IPSP_DEVICE_MAX];
	unsigned device_index; /* that the socket is bound to; 0: none */
	int fd;		       /* -1: not bound */
	struct ipspd_ownlink link;
	time_t said_drop_s;
	struct ipspd_udp_stats stats;

	struct iovec out_iov[BATCH]; /* n_out: a datagram each */
	unsigned n_out;
	struct mmsghdr out[BATCH]; /* a row each, see row_at */
	struct control out_control[BATCH];
	bool cuts;	    /* the system cuts rows up */
	uint64_t cut_at_ms; /* while it refuses: when it is asked again; 0: it never will be */

	struct mmsghdr in[BATCH_IN];
	struct iovec in_iov[BATCH_IN];
	union sockaddr_any from[BATCH_IN];
	struct control control[BATCH_IN];
	uint8_t bytes[BATCH_IN][IPSP_DGRAM_MAX];
};

/* ---------------------------------------------------------------- addresses */

static socklen_t to_sockaddr(struct ipsp_addr addr, uint16_t port, union sockaddr_any *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (ipsp_addr_is_v4(addr)) {
		sa->v4.sin_family = AF_INET;
		sa->v4.sin_port = htons(port);
		sa->v4.sin_addr.s_addr = htonl((uint32_t)addr.lo);
		return sizeof(sa->v4);
	}
	sa->v6.sin6_family = AF_INET6;
	sa->v6.sin6_port = htons(port);
	for (int i = 0; i < 8; i++) {
		sa->v6.sin6_addr.s6_addr[i] = (uint8_t)(addr.hi >> (56 - 8 * i));
		sa->v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(addr.lo >> (56 - 8 * i));
	}
	return sizeof(sa->v6);
}

/* An address that means something on one interface only. */
static bool scoped(const union sockaddr_any *sa)
{
	return sa->any.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sa->v6.sin6_addr);
}

static bool same_sockaddr(const union sockaddr_any *a, const union sockaddr_any *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port &&
		       a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->v6.sin6_port == b->v6.sin6_port &&
	       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const char *sockaddr_text(const union sockaddr_any *sa, char *text, size_t cap)
{
	char addr[INET6_ADDRSTRLEN] = "?";
	const bool v4 = sa->any.sa_family == AF_INET;

	inet_ntop(sa->any.sa_family, v4 ? (const void *)&sa->v4.sin_addr : &sa->v6.sin6_addr, addr,
		  sizeof(addr));
	snprintf(text, cap, "%s port %u", addr, ntohs(v4 ? sa->v4.sin_port : sa->v6.sin6_port));
	return text;
}

/* ---------------------------------------------------------------- what is said, once */

/* Counts a datagram that is not from the peer, and names one such sender now and then. */
static void drop(struct ipspd_udp *udp, uint64_t *counter, const union sockaddr_any *from,
		 const char *reason, int value)
{
	const time_t now = (time_t)(now_ms() / 1000);
	char text[80];

	++*counter;
	if (udp->said_drop_s != 0 && now - udp->said_drop_s < SAY_EVERY_S)
		return;
	udp->said_drop_s = now;
	ipspd_log(IPSP_LOG_INFO, "%s: datagram of %s dropped: %s (%d)", udp->name,
		  sockaddr_text(from, text, sizeof(text)), reason, value);
}

/* ---------------------------------------------------------------- receiving */

static int received_ttl(struct msghdr *msg)
{
	int ttl = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
	return ttl;
}

static void take(struct ipspd_udp *udp, unsigned i)
{
	struct msghdr *msg = &udp->in[i].msg_hdr;
	const unsigned n = udp->in[i].msg_len;
	const int ttl = received_ttl(msg);

	if (!same_sockaddr(&udp->from[i], &udp->peer)) {
		drop(udp, &udp->stats.drop_source, &udp->from[i], "not the peer", (int)n);
	} else if (ttl != TTL) {
		drop(udp, &udp->stats.drop_ttl, &udp->from[i], "TTL is not 255", ttl);
	} else if (msg->msg_flags & MSG_TRUNC) {
		drop(udp, &udp->stats.drop_long, &udp->from[i], "longer than", IPSP_DGRAM_MAX);
	} else {
		udp->stats.received++;
		udp->receive(udp->arg, udp->bytes[i], n);
	}
}

static void prepare_batch(struct ipspd_udp *udp)
{
	for (unsigned i = 0; i < BATCH_IN; i++) {
		udp->in_iov[i] = (struct iovec){udp->bytes[i], sizeof(udp->bytes[i])};
		udp->in[i].msg_hdr = (struct msghdr){
			.msg_name = &udp->from[i],
			.msg_namelen = sizeof(udp->from[i]),
			.msg_iov = &udp->in_iov[i],
			.msg_iovlen = 1,
			.msg_control = &udp->control[i],
			.msg_controllen = sizeof(udp->control[i]),
		};
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_udp *udp = arg;

	(void)what;
	prepare_batch(udp);
	int n = recvmmsg(fd, udp->in, BATCH_IN, 0, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		udp->stats.receive_errors++; /* an ICMP error, read away by this */
	for (int i = 0; i < n; i++)
		take(udp, (unsigned)i);
}

/* ---------------------------------------------------------------- sending */

void ipspd_udp_send(struct ipspd_udp *udp, const uint8_t *bytes, size_t n)
{
	if (udp->n_out == BATCH)
		ipspd_udp_flush(udp);
	const unsigned i = udp->n_out++;
	udp->out_iov[i].iov_len = n;
	/* sendmmsg only reads, but an iovec serves both ways and so has no const */
	memcpy(&udp->out_iov[i].iov_base, &(const void *){bytes}, sizeof(void *));
}

/*
 * How many from @first on go as one: datagrams of one length, the last of which may be shorter.
 * They pass through the stack of the system once, and are cut up behind it (UDP_SEGMENT).
 */
static unsigned row_at(const struct ipspd_udp *udp, unsigned first)
{
	const struct iovec *iov = udp->out_iov + first;
	const unsigned most = udp->n_out - first < ROW_MAX ? udp->n_out - first : ROW_MAX;
	unsigned n = 1;

	while (udp->cuts && n < most && iov[n - 1].iov_len == iov[0].iov_len &&
	       iov[n].iov_len <= iov[0].iov_len && iov[n].iov_len > 0)
		n++;
	return n;
}

static void put_cut(struct msghdr *msg, struct control *control, uint16_t length)
{
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(sizeof(length));
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(length));
	memcpy(CMSG_DATA(c), &length, sizeof(length));
}

/* The datagrams from @first on, in rows; how many rows. */
static unsigned prepare_rows(struct ipspd_udp *udp, unsigned first)
{
	unsigned n = 0;

	for (; first < udp->n_out; n++) {
		struct msghdr *msg = &udp->out[n].msg_hdr;
		*msg = (struct msghdr){
			.msg_name = &udp->peer,
			.msg_namelen = udp->addr_len,
			.msg_iov = &udp->out_iov[first],
			.msg_iovlen = row_at(udp, first),
		};
		if (msg->msg_iovlen > 1)
			put_cut(msg, &udp->out_control[n], (uint16_t)udp->out_iov[first].iov_len);
		first += (unsigned)msg->msg_iovlen;
	}
	return n;
}

/*
 * Not on this interface, or not now: an MTU that was too small for a moment, a way that changed. So
 * it is asked again soon: a refusal costs one call more, and no datagram.
 */
static void cuts_refused(struct ipspd_udp *udp)
{
	udp->stats.cut_errors++;
	udp->cuts = false;
	udp->cut_at_ms = now_ms() + CUT_AGAIN_MS;
}

static void cut_again(struct ipspd_udp *udp)
{
	if (udp->cut_at_ms != 0 && now_ms() >= udp->cut_at_ms)
		udp->cuts = true;
}

/* The first row can't be sent: it is lost, as on a wire, unless its datagrams may do one by one. */
static unsigned row_failed(struct ipspd_udp *udp, int error)
{
	const unsigned length = (unsigned)udp->out[0].msg_hdr.msg_iovlen;

	if (length > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
		cuts_refused(udp);
		return 0;
	}
	udp->stats.send_errors += length;
	ipspd_ownlink_not_sent(&udp->link, error);
	return length;
}

void ipspd_udp_flush(struct ipspd_udp *udp)
{
	unsigned done = 0;

	if (!udp->cuts && udp->n_out > 1)
		cut_again(udp);
	while (done < udp->n_out && udp->fd >= 0) {
		const unsigned rows = prepare_rows(udp, done);
		const int n = sendmmsg(udp->fd, udp->out, rows, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			done += row_failed(udp, errno);
			continue;
		}
		ipspd_ownlink_sent(&udp->link);
		for (int i = 0; i < n; i++) {
			udp->stats.sent += udp->out[i].msg_hdr.msg_iovlen;
			done += (unsigned)udp->out[i].msg_hdr.msg_iovlen;
		}
	}
	udp->stats.send_errors += udp->n_out - done;
	udp->n_out = 0;
}

/* ---------------------------------------------------------------- the socket */

static void set_int(int fd, int level, int name, int value)
{
	/* what can't be set shows itself: without the TTL nothing would pass the check on either
	 * side */
	setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(int fd, int family)
{
	set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER); /* past rmem_max, where we may */
	if (family == AF_INET) {
		set_int(fd, IPPROTO_IP, IP_TTL, TTL);
		set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
		set_int(fd, IPPROTO_IP, IP_TOS, IPTOS_CLASS_CS6);
	} else {
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, TTL);
		set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, IPTOS_CLASS_CS6);
	}
}

/* Binds @fd to the device, where there is one, and to the address. */
static bool bind_to(struct ipspd_udp *udp, int fd)
{
	udp->device_index = udp->device[0] ? if_nametoindex(udp->device) : 0;
	if (udp->device[0] && udp->device_index == 0) {
		errno = ENODEV; /* whatever the system calls it */
		return false;
	}
	if (scoped(&udp->local)) /* this binds to the interface too, on every kernel */
		udp->local.v6.sin6_scope_id = udp->peer.v6.sin6_scope_id = udp->device_index;
	else if (udp->device[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, udp->device,
					      (socklen_t)strlen(udp->device) + 1) != 0)
		return false;
	return bind(fd, &udp->local.any, udp->addr_len) == 0;
}

static bool try_open(struct ipspd_udp *udp)
{
	const int family = udp->local.any.sa_family;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0) {
		set_options(fd, family);
		/* a system that doesn't know of it would send a row as one datagram */
		udp->cuts = setsockopt(fd, SOL_UDP, UDP_SEGMENT, &(int){0}, sizeof(int)) == 0;
		udp->cut_at_ms = 0;
		if (bind_to(udp, fd))
			udp->readable =
				event_new(udp->base, fd, EV_READ | EV_PERSIST, on_readable, udp);
		if (udp->readable && event_add(udp->readable, NULL) == 0) {
			udp->fd = fd;
			ipspd_ownlink_bound(&udp->link, 0);
			return true;
		}
	}
	const int error = errno;
	if (udp->readable)
		event_free(udp->readable);
	udp->readable = NULL;
	if (fd >= 0)
		close(fd);
	udp->stats.bind_errors++;
	ipspd_ownlink_bound(&udp->link, error ? error : ENOMEM);
	return false;
}

static void close_it(struct ipspd_udp *udp)
{
	if (udp->readable)
		event_free(udp->readable);
	udp->readable = NULL;
	if (udp->fd >= 0)
		close(udp->fd);
	udp->fd = -1;
}

/* Is the device gone that the socket is bound to, or is it another one of its name? */
static bool device_gone(const struct ipspd_udp *udp)
{
	struct ifreq ifr = {0};

	if (udp->fd < 0 || udp->device_index == 0)
		return false;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", udp->device);
	if (ioctl(udp->fd, SIOCGIFINDEX, &ifr) != 0)
		return errno == ENODEV;
	return (unsigned)ifr.ifr_ifindex != udp->device_index;
}

/* Every second while the socket is not open; and while it is bound to a device, which may go. */
static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_udp *udp = arg;
	const struct timeval second = {.tv_sec = 1};

	(void)fd;
	(void)what;
	if (device_gone(udp))
		close_it(udp);
	if ((udp->fd < 0 && !try_open(udp)) || udp->device_index != 0)
		event_add(udp->retry, &second);
}

bool ipspd_udp_concerns(const struct ipspd_udp *udp, unsigned index, const struct ipsp_addr *addr)
{
	return ipspd_ownlink_concerns(&udp->link, index, addr);
}

void ipspd_udp_look(struct ipspd_udp *udp)
{
	if (!ipspd_ownlink_look(&udp->link))
		close_it(udp);
	if (udp->fd < 0)
		on_retry(-1, 0, udp);
}

struct ipspd_udp *ipspd_udp_new(struct event_base *base, const struct ipspd_udp_conf *conf,
				ipspd_udp_receive_fn *receive, void *arg)
{
	struct ipspd_udp *udp = calloc(1, sizeof(*udp));

	if (!udp)
		return NULL;
	udp->fd = -1;
	udp->base = base;
	udp->receive = receive;
	udp->arg = arg;
	snprintf(udp->name, sizeof(udp->name), "%s", conf->name);
	snprintf(udp->device, sizeof(udp->device), "%s", conf->device ? conf->device : "");
	udp->addr_len = to_sockaddr(conf->local, conf->port, &udp->local);
	to_sockaddr(conf->peer, conf->port, &udp->peer);
	udp->link = (struct ipspd_ownlink){.fn = conf->link,
					   .arg = arg,
					   .here = conf->local,
					   .peer = conf->peer,
					   .port = conf->port,
					   .device = udp->device};
	udp->retry = evtimer_new(base, on_retry, udp);
	if (!udp->retry) {
		free(udp);
		return NULL;
	}
	on_retry(-1, 0, udp);
	return udp;
}

void ipspd_udp_free(struct ipspd_udp *udp)
{
	if (!udp)
		return;
	close_it(udp);
	event_free(udp->retry);
	free(udp);
}

bool ipspd_udp_is(const struct ipspd_udp *udp, const struct ipspd_udp_conf *conf)
{
	union sockaddr_any local, peer;

	to_sockaddr(conf->local, conf->port, &local);
	to_sockaddr(conf->peer, conf->port, &peer);
	return same_sockaddr(&udp->local, &local) && same_sockaddr(&udp->peer, &peer) &&
	       strcmp(udp->device, conf->device ? conf->device : "") == 0;
}

bool ipspd_udp_is_open(const struct ipspd_udp *udp)
{
	return udp->fd >= 0;
}

const struct ipspd_udp_stats *ipspd_udp_stats(const struct ipspd_udp *udp)
{
	return &udp->stats;
}
