/*
 * keys - judges the renewal of session keys: no datagram is lost by it, and no key outlives its
 * time. It looks into the node, as nothing outside shows which keys a datagram was opened with.
 */
#ifndef SIM_KEYS_H
#define SIM_KEYS_H

#include "core/node.h"

struct host;
struct dgram;

#define KEYS_KEPT 8

struct keys { /* of one process: those of the present handshake, the newest first */
	uint32_t tags[KEYS_KEPT];
	unsigned n;
	uint64_t renewed;   /* as the node counts it */
	ipsp_ms last_until; /* those of before have to be gone then; IPSP_NEVER: not known yet */
	ipsp_ms loss_ms;    /* at the end of the last turn: a reload may have come in this one */
};

void keys_started(struct host *h);
void keys_look(struct host *h); /* after each step */
/* After the step of a datagram that nobody has altered and that was not taken before. */
void keys_dropped(struct host *h, const struct dgram *d);
void keys_turn(struct host *h); /* at the end of each turn */
/* NULL, or what is wrong when nothing disturbs. */
const char *keys_rest(const struct host *h);

#endif
