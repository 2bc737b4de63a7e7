/*
 * plan - what one seed does to the pair: which configuration, which load, which faults, how often
 * and how hard; then quiet, in which everything has to come to rest.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "world.h"

enum plan_arg { PLAN_CARE, PLAN_FAULT, PLAN_LOAD, PLAN_COPY };

#define PLAN_ACTS 28 /* as many as there are kinds of faults in acts.c */

struct plan {
	struct world *w;
	struct sim_rand rand, load_rand;
	struct ipsp_pool_conf pools[WORLD_POOLS_MAX + 1];
	struct world_conf conf;
	struct net_mix calm; /* the network between the storms */
	unsigned weight[PLAN_ACTS];
	sim_us fault_gap, load_gap, length, dead_max;
	unsigned to_s,
		hot; /* per mille: sessions directed to S; of them that want a certain address */
	sim_us calm_at, uncut_at[2], cont_at[2], downtime[2], room_at[2], fast_at, unveto_at,
		undo_at[2], link_at[2];
	sim_us mend_at; /* both files say primary until then; 0: they don't */
	sim_us part_at; /* the next step of plan_part; 0: it is not drawn, or done */
	unsigned part_step, part_side;
	sim_us rush_at; /* the demand turns to the other side then, and again; 0: never */
	unsigned flush_max;
	struct host *beside; /* was wiped beside an owner of all with sessions: it may be disturbed
			      */
	bool quiet, shield; /* shield: a side has lost its state; nothing else may go wrong until it
			       has it back */
};

/* Draws pools, timers and the rest of the configuration, and how hard it will be. */
void plan_draw(struct plan *plan, uint64_t seed);
void plan_load(struct plan *plan); /* one act of a subscriber */

/* acts.c: what goes wrong */
void plan_fault(struct plan *plan); /* one of all */
void plan_spite(struct plan *plan); /* one that strikes while the two heal */
sim_us plan_dead_of(const struct plan *plan, unsigned side);
void plan_care_at(struct plan *plan, sim_us at);
void plan_part(struct plan *plan); /* one side leaves, then the other is wiped */

/* repair.c: and is put right again */
void plan_care(struct plan *plan); /* whatever has had its time */
void plan_calm_down(struct plan *plan);
void plan_undo(struct plan *plan, struct host *h); /* what an operator would take back */
void plan_one_role(struct plan *plan);
void plan_set_differs(struct host *h, bool on);
/* A secret a letter; NULL: as at the beginning. */
void plan_set_keys(struct host *h, const char *letters);

/* Runs all of it in @w, zeroed by the caller: leaves by world_fail when something is wrong. */
void plan_run(struct plan *plan, struct world *w, uint64_t seed);

#endif
