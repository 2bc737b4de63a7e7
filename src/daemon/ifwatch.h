/*
 * ifwatch - news of this host's interfaces and addresses (rtnetlink), and where an address is now.
 *
 * A socket whose address has gone, or whose interface is down, says nothing of it: what it sends
 * may even seem to go out. So whoever draws conclusions from silence has to look.
 */
#ifndef IPSPD_IFWATCH_H
#define IPSPD_IFWATCH_H

#include "base/addr.h"
#include <net/if.h>
#include <stdbool.h>

struct event_base;
struct ipspd_ifwatch;

/*
 * Something has changed at the interface @index, or with @addr (NULL: no address); 0 and NULL:
 * nobody knows what, so look at all. Called from the loop.
 */
typedef void ipspd_ifwatch_fn(void *arg, unsigned index, const struct ipsp_addr *addr);

/* NULL: no memory. Where there is no netlink, @changed comes once a second, with 0 and NULL. */
struct ipspd_ifwatch *ipspd_ifwatch_new(struct event_base *base, ipspd_ifwatch_fn *changed,
					void *arg);
void ipspd_ifwatch_free(struct ipspd_ifwatch *watch); /* NULL is fine */

struct ipspd_ifwatch_place {
	bool found; /* an interface has the address; else the rest is not set */
	bool up, carrier;
	unsigned index;
	char name[IF_NAMESIZE];
	bool peer_here; /* the peer's address is one of this host, too */
};
/*
 * Of several interfaces that have @addr the one named @device counts ("": any), else one that
 * works. False: it can't be known.
 */
bool ipspd_ifwatch_find(struct ipsp_addr addr, struct ipsp_addr peer, const char *device,
			struct ipspd_ifwatch_place *place);

#endif
