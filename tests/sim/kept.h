/*
 * kept - addresses in hold and in quarantine: each is kept for its subscriber for as long as its
 * pool, or the reason for it, says, and no longer; also where it moves to the other side. Judged
 * after each turn, as part of check.h.
 */
#ifndef SIM_KEPT_H
#define SIM_KEPT_H

#include "check.h"

/* @is: what the node of @h says of the address now, before the checker takes it for what was;
 * @restarted: it was replayed in between. */
void kept_judge(struct host *h, uint32_t gaddr, uint16_t pool, struct check_cell *is,
		bool restarted);
/* The time at which the last of what either side keeps has ended; now when nothing is kept. */
sim_us kept_until(const struct world *w);

#endif
