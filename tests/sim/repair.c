/* What was done is put right again: after its time, or all at once. */
#include "core/node_int.h"
#include "plan.h"
#include <string.h>

void plan_set_differs(struct host *h, bool on)
{
	if (h->differs != on)
		h->conf.pools[0].priority ^= 4;
	h->differs = on;
}

void plan_set_keys(struct host *h, const char *letters)
{
	struct ipsp_psp_conf *psp = &h->conf.psp;

	if (!h->other_keys)
		h->first_n_keys = psp->n_keys;
	h->other_keys = letters != NULL;
	memset(psp->keys, 0, sizeof(psp->keys));
	psp->n_keys = letters ? (uint8_t)strlen(letters) : h->first_n_keys;
	for (unsigned i = 0; i < psp->n_keys; i++)
		memset(psp->keys[i], letters ? letters[i] : FIRST_KEY, sizeof(psp->keys[i]));
}

static void repair_network(struct plan *plan, bool all)
{
	struct world *w = plan->w;

	for (unsigned i = 0; i < 2; i++) {
		if (w->net.way[i].cut && (all || plan->uncut_at[i] <= w->now)) {
			world_trace(w, TRACE_FAULT, "no cut to %c any more", "PS"[i]);
			w->net.way[i].cut = false;
		}
	}
	if (all || plan->calm_at <= w->now)
		w->net.mix = plan->calm;
	if (all)
		w->net.mix = (struct net_mix){.delay = 1000, .jitter = 1000};
	if (all || plan->unveto_at <= w->now)
		w->veto = 0;
}

/* The file's, and those in force: a reload may have been refused, or come to a process that died.
 */
static void repair_keys(struct host *h)
{
	const struct ipsp_psp_conf *file = &h->conf.psp;
	struct ipsp_seal seal;
	char why[128];

	if (h->other_keys)
		plan_set_keys(h, NULL);
	if (!h->node)
		return;
	seal = h->node->seal; /* the node keeps no secret but what is made of it */
	if (ipsp_seal_set_keys(&seal, file)) {
		if (ipsp_node_may_conf(h->node, &h->conf, why) == 0)
			host_reload(h, file->dead_interval_ms);
		else /* the pools of the log are in force, not the file's: a restart takes the rest
		      */
			host_kill(h);
	}
}

static void repair_host(struct plan *plan, struct host *h, bool all)
{
	struct world *w = plan->w;
	sim_us up_at = plan->quiet ? w->now : h->died_at + plan->downtime[h->side];

	if (h->stopped && (all || plan->cont_at[h->side] <= w->now))
		host_cont(h);
	if (!h->node) {
		if (up_at > w->now) {
			plan_care_at(plan, up_at);
		} else {
			if (h->life > 0 && w->now - h->died_at > plan_dead_of(plan, 1 - h->side))
				world_hit(w, FAULT_DOWN_PAST_DEAD);
			if (h->disk.lease_boot != 0 && rand_chance(&plan->rand, 60)) {
				world_hit(w, FAULT_LEASE_TORN);
				h->disk.lease_boot = 0;
			}
			if (!h->powered)
				host_boot(h);
			host_start(h);
		}
	}
	/* a side that has lost its state may have to wait for its link: nothing else disturbs it */
	if (h->link_down && (plan->quiet || plan->link_at[h->side] <= w->now))
		host_link(h, true);
	if (h->disk_full && (all || plan->room_at[h->side] <= w->now)) {
		h->disk_full = false;
		host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK});
	}
	if (all)
		repair_keys(h);
	if (all || plan->fast_at <= w->now)
		h->disk.flush_max = plan->flush_max;
	if (all) {
		h->slow_turns = 0;
		host_hurry(h);
		h->armed = KILL_NOT;
		h->socket_cap = 166;
	}
}

void plan_calm_down(struct plan *plan)
{
	repair_network(plan, true);
	for (unsigned i = 0; i < 2; i++)
		repair_host(plan, &plan->w->hosts[i], true);
}

void plan_one_role(struct plan *plan)
{
	world_hit(plan->w, FAULT_ONE_ROLE);
	plan->w->hosts[1].conf.psp.role = IPSP_ROLE_PRIMARY;
	plan->w->check.one_role = true;
	plan_care_at(plan, plan->mend_at);
}

/* S is to be the secondary: its sessions are ended, and it begins anew with a right file. */
static void mend_role(struct plan *plan)
{
	struct world *w = plan->w;
	struct host *s = &w->hosts[1];

	plan->mend_at = 0;
	plan->shield = true;
	plan_calm_down(plan);
	for (unsigned i = 0; i < w->n_has; i++) {
		if (w->has[i].side == s->side)
			ha_crash(&w->has[i]);
	}
	host_kill(s);
	disk_wipe(&s->disk);
	check_state_lost(s);
	s->conf.psp.role = IPSP_ROLE_SECONDARY;
	plan->downtime[s->side] = 0;
}

/* What an operator would take back. */
void plan_undo(struct plan *plan, struct host *h)
{
	const struct ipsp_status *st = &plan->w->check.side[h->side].status;

	if (!h->node || h->leaving)
		return;
	if (st->draining)
		host_command(h, IPSP_CMD_UNDRAIN, false, IPSP_MODE_ACTIVE);
	if (st->mode != IPSP_MODE_ACTIVE || st->state == IPSP_ST_TERMINATED)
		host_command(h, IPSP_CMD_MODE, false, IPSP_MODE_ACTIVE);
	const bool keys = h->other_keys;
	if (keys)
		plan_set_keys(h, NULL);
	if (keys || st->configured_role == IPSP_ROLE_NONE) /* enabled again by a reload */
		host_reload(h, h->conf.psp.dead_interval_ms);
	if (h->differs) {
		plan_set_differs(h, false);
		plan->downtime[h->side] = SIM_MS(10);
		host_kill(h);
	}
}

void plan_care(struct plan *plan)
{
	struct world *w = plan->w;
	bool lost = w->check.books_lost, all = plan->quiet || (plan->shield && lost);

	if (plan->shield && !lost && w->hosts[0].node && w->hosts[1].node)
		plan->shield = false, plan->beside = NULL;
	if (plan->mend_at != 0 && plan->mend_at <= w->now)
		mend_role(plan);
	if (plan->part_at != 0 && plan->part_at <= w->now)
		plan_part(plan);
	repair_network(plan, all);
	for (unsigned i = 0; i < 2; i++) {
		if (plan->undo_at[i] <= w->now && !(lost && !plan->quiet)) {
			plan_undo(plan, &w->hosts[i]);
			plan->undo_at[i] = SIM_NEVER;
		}
		repair_host(plan, &w->hosts[i], all);
	}
}
