/*
 * ownlink - what is wrong with this side's end of the link: the socket can't be bound, its address
 * is gone, its interface is down, or what is sent does not get out.
 *
 * None of it is told to a program that only waits for datagrams; and what it hears then is no
 * silence of its peer.
 */
#ifndef IPSPD_OWNLINK_H
#define IPSPD_OWNLINK_H

#include "daemon/ifwatch.h"
#include <stdint.h>

/*
 * Is the socket bound, and what is wrong (NULL: nothing)? Called when that is known for the first
 * time, and at each change; @error lives until it returns.
 */
typedef void ipspd_ownlink_fn(void *arg, bool bound, const char *error);

#define IPSPD_OWNLINK_TEXT 128

struct ipspd_ownlink {
	ipspd_ownlink_fn *fn; /* NULL: nobody wants to know */
	void *arg;
	struct ipsp_addr here, peer;
	uint16_t port;
	const char *device; /* "": any */

	bool bound;
	int bind_error, send_error; /* 0: none */
	uint64_t failed_ms; /* the last datagram that could not be sent; of a stuck one the first */
	bool stuck;	    /* ... for want of room, which may pass at once */
	struct ipspd_ifwatch_place place;
	unsigned seen_index; /* of the interface that had the address when it was last seen */
	bool told_once, told_bound;
	char told[IPSPD_OWNLINK_TEXT];
};

/* The socket is open (0), or could not be opened and bound. Looks where its address is, too. */
void ipspd_ownlink_bound(struct ipspd_ownlink *link, int error);
/* A datagram could not be sent, or some were. */
void ipspd_ownlink_not_sent(struct ipspd_ownlink *link, int error);
void ipspd_ownlink_sent(struct ipspd_ownlink *link);

/* Does that news (see ifwatch.h) concern it? */
bool ipspd_ownlink_concerns(const struct ipspd_ownlink *link, unsigned index,
			    const struct ipsp_addr *addr);
/* Looks again. False: the address is gone, and with it the socket is worth nothing. */
bool ipspd_ownlink_look(struct ipspd_ownlink *link);

#endif
