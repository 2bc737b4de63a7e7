/*
 * kept - addresses in hold and in quarantine: each is kept for as long as its pool, or the reason
 * for it, says, and no longer. Judged after each turn, as part of check.h.
 */
#ifndef SIM_KEPT_H
#define SIM_KEPT_H

#include "check.h"

/* @was and @is, what the node of @h said of the address and says now; @restarted: it was replayed
 * in between. */
void kept_judge(struct host *h, uint32_t gaddr, uint16_t pool, const struct check_cell *was,
		const struct check_cell *is, bool restarted);
/* The time at which the last of what either side keeps has ended; now when nothing is kept. */
sim_us kept_until(const struct world *w);

#endif
