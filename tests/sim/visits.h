/* visits - how often each cell of the state table was used: the one place that knows of
 * core/peer.h. */
#ifndef SIM_VISITS_H
#define SIM_VISITS_H

#include "core/peer.h"

struct visits {
	uint64_t cells[IPSP_STATES][IPSP_PEER_EVENTS];
};

void visits_of_node(struct visits *total, const struct ipsp_node *node);
void visits_add(struct visits *total, const struct visits *part);
/* Returns how many impossible cells were used all the same; @unused: cells with a rule that were
 * not. */
unsigned visits_report(const struct visits *visits, unsigned *unused);

#endif
