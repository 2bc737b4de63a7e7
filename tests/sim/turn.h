/*
 * turn - one turn of a host's process, as node.h asks for it: the node's steps, then what they
 * recorded is written, then what they lead to is told. It may be a slow one, and end by a kill at
 * any of these points; the checker looks at each.
 */
#ifndef SIM_TURN_H
#define SIM_TURN_H

#include "host.h"

void host_turn(struct host *h, uint32_t gen);
void host_turn_on(struct host *h, uint32_t life); /* the next phase of a slow turn */
void host_sync(struct host *h, uint32_t life);
void turn_end(struct host *h); /* after the steps: the rest of it */

#endif
