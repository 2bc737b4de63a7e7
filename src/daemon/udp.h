/*
 * udp - the one socket of a context towards its peer.
 *
 * Bound to the interface's own address and the port; datagrams go to the peer's address and the
 * same port with TTL (hop limit) 255, and only such as come from there with 255 are passed on
 * (GTSM, RFC 5082): a sender behind a router is not the peer. A missing interface or address is no
 * error: the socket is tried again every second, and at news of the interfaces.
 *
 * With a device the socket hears and says everything on that interface (or in that VRF) alone. An
 * interface that goes and comes back has another number, which the socket would never learn of: it
 * is opened anew.
 */
#ifndef IPSPD_UDP_H
#define IPSPD_UDP_H

#include "base/addr.h"
#include "daemon/ownlink.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct ipspd_udp;

#define IPSPD_UDP_STATS(X)                                                                         \
	X(received, "datagrams-received", "datagrams passed on to the protocol")                   \
	X(sent, "datagrams-sent", "datagrams handed to the network")                               \
	X(drop_source, "drop-source", "datagrams dropped: not from the peer's address and port")   \
	X(drop_ttl, "drop-ttl", "datagrams dropped: TTL or hop limit was not 255")                 \
	X(drop_long, "drop-long", "datagrams dropped: longer than any of ours")                    \
	X(send_errors, "send-errors", "datagrams that the system refused to send")                 \
	X(receive_errors, "receive-errors", "errors on reception")                                 \
	X(bind_errors, "bind-errors", "times that the socket could not be opened or bound")        \
	X(cut_errors, "segmentation-refused",                                                      \
	  "times that the system refused to cut datagrams out of one piece (UDP segmentation)")

struct ipspd_udp_stats {
#define IPSPD_UDP_FIELD(field, name, text) uint64_t field;
	IPSPD_UDP_STATS(IPSPD_UDP_FIELD)
#undef IPSPD_UDP_FIELD
};

struct ipspd_udp_conf {
	const char *name; /* of the context, for the log; copied */
	struct ipsp_addr local, peer;
	uint16_t port;
	const char *device;	/* interface or VRF that it is bound to, "" or NULL: any; copied.
				   Link-local addresses need the interface that they are on. */
	ipspd_ownlink_fn *link; /* told what is wrong with this end of the link; NULL: nobody is */
};

/* @bytes live until it returns. Called from the loop, many times for one wake-up. */
typedef void ipspd_udp_receive_fn(void *arg, const uint8_t *bytes, size_t n);

/* NULL: no memory. @arg is that of both callbacks. */
struct ipspd_udp *ipspd_udp_new(struct event_base *base, const struct ipspd_udp_conf *conf,
				ipspd_udp_receive_fn *receive, void *arg);
void ipspd_udp_free(struct ipspd_udp *udp); /* NULL is fine */

/* Collects @bytes (borrowed until the flush); the flush sends all of them. What can't be sent is
 * dropped and counted. */
void ipspd_udp_send(struct ipspd_udp *udp, const uint8_t *bytes, size_t n);
void ipspd_udp_flush(struct ipspd_udp *udp);

/* Does that news (see ifwatch.h) concern it? Then it looks whether it still has its address, on an
 * interface that works. */
bool ipspd_udp_concerns(const struct ipspd_udp *udp, unsigned index, const struct ipsp_addr *addr);
void ipspd_udp_look(struct ipspd_udp *udp);

/* Is it a socket of this address, peer, port and device? */
bool ipspd_udp_is(const struct ipspd_udp *udp, const struct ipspd_udp_conf *conf);
bool ipspd_udp_is_open(const struct ipspd_udp *udp); /* false: waiting for the address to come */
const struct ipspd_udp_stats *ipspd_udp_stats(const struct ipspd_udp *udp);

#endif
