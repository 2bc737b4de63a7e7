/* What goes wrong: one of many faults, drawn by its weight. */
#include "plan.h"

/* ---------------------------------------------------------------- how long things last */

static sim_us span(struct plan *plan)
{
	struct sim_rand *r = &plan->rand;
	sim_us dead = SIM_MS(plan->conf.dead_ms[rand_below(r, 2)]);

	if (dead == 0)
		dead = plan->dead_max;
	switch (rand_below(r, 5)) {
	case 0:
		return rand_range(r, 1000, 500000);
	case 1:
		return rand_range(r, 500000, dead);
	case 2:
		return dead * rand_range(r, 97, 103) / 100; /* on the edge */
	default:
		return dead * rand_range(r, 110, 250) / 100;
	}
}

sim_us plan_dead_of(const struct plan *plan, unsigned side)
{
	uint32_t ms = plan->w->hosts[side].conf.psp.dead_interval_ms;

	return ms ? SIM_MS(ms) : plan->dead_max;
}

void plan_care_at(struct plan *plan, sim_us at)
{
	world_plan(plan->w, at, PLAN_CARE);
}

/* ---------------------------------------------------------------- faults */

typedef void act_fn(struct plan *plan, struct host *h);

static bool heals(const struct world *w)
{
	return w->check.side[0].status.state == IPSP_ST_RECONCILING ||
	       w->check.side[1].status.state == IPSP_ST_RECONCILING;
}

static void do_cut(struct plan *plan, struct host *h)
{
	struct world *w = plan->w;
	uint64_t which = rand_below(&plan->rand, 4);
	sim_us lasts = span(plan), until = w->now + lasts;

	(void)h;
	if (heals(w))
		world_hit(w, FAULT_CUT_IN_HEALING);
	world_hit(w, which == 0 ? FAULT_CUT_TO_P : which == 1 ? FAULT_CUT_TO_S : FAULT_CUT_BOTH);
	if (lasts > plan->dead_max)
		world_hit(w, FAULT_CUT_PAST_DEAD);
	for (unsigned i = 0; i < 2; i++) {
		if (which != i && which < 2)
			continue;
		world_trace(w, TRACE_FAULT, "cut to %c for %.3f s", "PS"[i], (double)lasts / 1e6);
		w->net.way[i].cut = true;
		plan->uncut_at[i] = until;
	}
	plan_care_at(plan, until);
}

/* Its socket is not bound, its address gone, its interface down. */
static void do_link(struct plan *plan, struct host *h)
{
	sim_us lasts = span(plan);

	if (h->link_down)
		return;
	world_hit(plan->w, FAULT_LINK_FAILS);
	if (lasts > plan_dead_of(plan, h->side))
		world_hit(plan->w, h->conf.psp.takeover_when_deaf ? FAULT_LINK_PAST_DEAD
								  : FAULT_LINK_NO_TAKEOVER);
	host_link(h, false);
	plan->link_at[h->side] = plan->w->now + lasts;
	plan_care_at(plan, plan->link_at[h->side]);
}

static sim_us draw_downtime(struct plan *plan)
{
	return rand_chance(&plan->rand, 500) ? rand_range(&plan->rand, 10000, 3000000) : span(plan);
}

static void do_kill(struct plan *plan, struct host *h)
{
	enum kill_point point = (enum kill_point)rand_below(&plan->rand, KILL_POINTS);

	plan->downtime[h->side] = draw_downtime(plan);
	if (point != KILL_NOT) {
		h->armed = point;
	} else if (h->node) {
		world_hit(plan->w, FAULT_KILL_IDLE);
		host_kill(h);
	}
}

static void do_power(struct plan *plan, struct host *h)
{
	plan->downtime[h->side] = draw_downtime(plan);
	host_power_off(h, rand_chance(&plan->rand, 400));
}

static void do_stop(struct plan *plan, struct host *h)
{
	sim_us lasts = span(plan);

	if (!h->node || h->stopped)
		return;
	world_hit(plan->w, FAULT_STOP);
	if (lasts > plan_dead_of(plan, 1 - h->side))
		world_hit(plan->w, FAULT_STOP_PAST_DEAD);
	h->socket_cap = rand_chance(&plan->rand, 500) ? 166 : rand_range(&plan->rand, 2, 30);
	host_stop(h);
	plan->cont_at[h->side] = plan->w->now + lasts;
	plan_care_at(plan, plan->cont_at[h->side]);
}

static void do_storm(struct plan *plan, struct host *h)
{
	struct sim_rand *r = &plan->rand;
	struct net_mix *mix = &plan->w->net.mix;

	(void)h;
	mix->loss = (unsigned)rand_range(r, 0, 600);
	mix->repeat = (unsigned)rand_range(r, 0, 300);
	mix->corrupt = (unsigned)rand_range(r, 0, 200);
	mix->truncate = (unsigned)rand_range(r, 0, 100);
	mix->replay = (unsigned)rand_range(r, 0, 300);
	mix->jitter = rand_chance(r, 200) ? rand_range(r, 0, 3000000) : rand_range(r, 0, 300000);
	plan->calm_at = plan->w->now + span(plan);
	plan_care_at(plan, plan->calm_at);
}

static void do_slow_disk(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_DISK_SLOW);
	h->disk.flush_max = rand_range(&plan->rand, 20000, 2500000);
	plan->fast_at = plan->w->now + span(plan);
	plan_care_at(plan, plan->fast_at);
}

static void do_full(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_DISK_FULL);
	h->disk_full = true;
	host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK, .full = true});
	plan->room_at[h->side] = plan->w->now + span(plan);
	plan_care_at(plan, plan->room_at[h->side]);
}

/* Both ways of losing state need a peer that lives, hears, and owns something: what else there is
 * is not covered (protocol.md). */
static bool may_lose_state(struct plan *plan, const struct host *h)
{
	const struct host *o = &plan->w->hosts[1 - h->side];

	if (plan->w->check.books_lost || !o->node || o->stopped || o->leaving || o->link_down ||
	    !h->node || o->leaving_ipsp || host_has_command(o, IPSP_CMD_STOP) ||
	    host_has_command(o, IPSP_CMD_TERMINATE))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		if (plan->w->check.side[i].status.configured_role == IPSP_ROLE_NONE)
			return false; /* disabled: it hears nothing */
	}
	return plan->w->check.side[o->side].status.state == IPSP_ST_ACTIVE &&
	       plan->w->check.side[o->side].status.serving;
}

/*
 * The other side has left in order, owns all and serves alone: so it is enabled again, and has
 * sessions that a new disk knows nothing of.
 */
static bool wipe_beside_an_owner(struct plan *plan, struct host *h)
{
	const struct check *check = &plan->w->check;
	struct host *o = &plan->w->hosts[1 - h->side];

	if (check->books_lost || check->forced || !o->node || o->stopped || o->leaving ||
	    o->link_down || o->disk_full || !h->node || o->leaving_ipsp ||
	    host_has_command(o, IPSP_CMD_STOP) ||
	    check->side[o->side].status.configured_role != IPSP_ROLE_NONE ||
	    !check->side[o->side].status.serving ||
	    check->side[h->side].status.configured_role == IPSP_ROLE_NONE)
		return false;
	world_hit(plan->w, FAULT_DISK_WIPED_LEFT);
	world_trace(plan->w, TRACE_FAULT, "%c wiped, %c enabled again", h->letter, o->letter);
	plan->shield = true;
	plan->beside = h;
	plan_calm_down(plan);
	plan->downtime[h->side] = SIM_MS(rand_range(&plan->rand, 10, 3000));
	host_kill(h);
	disk_wipe(&h->disk);
	check_state_lost(h);
	host_reload(o, o->conf.psp.dead_interval_ms);
	return true;
}

static void do_wipe(struct plan *plan, struct host *h)
{
	if (wipe_beside_an_owner(plan, h) || !may_lose_state(plan, h))
		return;
	world_hit(plan->w, FAULT_DISK_WIPED);
	plan->shield = true;
	plan_calm_down(plan);
	plan->downtime[h->side] = draw_downtime(plan);
	host_kill(h);
	world_trace(plan->w, TRACE_FAULT, "%c wiped", h->letter);
	disk_wipe(&h->disk);
	check_state_lost(h);
	if (rand_chance(&plan->rand, 400)) {
		world_hit(plan->w, FAULT_DISK_WIPED_DEAF);
		host_link(h, false);
		plan->link_at[h->side] = plan->w->now + plan->downtime[h->side] + span(plan);
		plan_care_at(plan, plan->link_at[h->side]);
	}
}

static void do_roll_back(struct plan *plan, struct host *h)
{
	if (!may_lose_state(plan, h) || !h->disk.copy.valid || h->link_down)
		return;
	plan->downtime[h->side] = draw_downtime(plan);
	host_power_off(h, rand_chance(&plan->rand, 700));
	if (!disk_roll_back(&h->disk))
		return;
	world_hit(plan->w, FAULT_DISK_ROLLED_BACK);
	world_trace(plan->w, TRACE_FAULT, "%c rolled back", h->letter);
	plan->shield = true;
	plan_calm_down(plan);
	check_state_lost(h);
}

static void do_compact(struct plan *plan, struct host *h)
{
	(void)plan;
	if (h->node && !h->disk.compacting)
		disk_compact_begin(&h->disk);
}

static void do_slow_turns(struct plan *plan, struct host *h)
{
	h->slow_turns = (unsigned)rand_range(&plan->rand, 0, 60);
	h->slow_turn_max =
		rand_chance(&plan->rand, 150) ? plan_dead_of(plan, h->side) * 5 / 4 : SIM_MS(200);
}

static struct ha *any_ha(struct plan *plan)
{
	return &plan->w->has[rand_below(&plan->rand, plan->w->n_has)];
}

static void do_ha_crash(struct plan *plan, struct host *h)
{
	(void)h;
	world_hit(plan->w, FAULT_HA_CRASH);
	ha_crash(any_ha(plan));
}

static void do_ha_detach(struct plan *plan, struct host *h)
{
	(void)h;
	world_hit(plan->w, FAULT_HA_DETACH);
	ha_detach(any_ha(plan));
}

static void do_ha_hang(struct plan *plan, struct host *h)
{
	(void)h;
	world_hit(plan->w, FAULT_HA_HANG);
	ha_hang(any_ha(plan), plan->w->now + span(plan));
}

static void do_ha_slow(struct plan *plan, struct host *h)
{
	struct ha *ha = any_ha(plan);

	(void)h;
	ha->think_max =
		rand_chance(&plan->rand, 300) ? 0 : SIM_MS(rand_range(&plan->rand, 1, 6000));
	ha->mute = rand_chance(&plan->rand, 500) ? 0 : (unsigned)rand_range(&plan->rand, 100, 1000);
}

static void do_veto(struct plan *plan, struct host *h)
{
	(void)h;
	plan->w->veto = (unsigned)rand_range(&plan->rand, 500, 1000);
	plan->unveto_at = plan->w->now + span(plan);
	plan_care_at(plan, plan->unveto_at);
}

static void undo_later(struct plan *plan, struct host *h)
{
	plan->undo_at[h->side] = plan->w->now + span(plan);
	plan_care_at(plan, plan->undo_at[h->side]);
}

static void do_drain(struct plan *plan, struct host *h)
{
	const bool force = rand_chance(&plan->rand, 300);

	world_hit(plan->w, FAULT_CMD_DRAIN);
	host_command(h, IPSP_CMD_DRAIN, force, IPSP_MODE_ACTIVE);
	if (rand_chance(&plan->rand, 300)) { /* more than are held, sometimes */
		world_hit(plan->w, FAULT_CMD_DRAINS);
		for (unsigned i = (unsigned)rand_range(&plan->rand, 1, 40); i > 0; i--)
			host_command(h, i % 2 ? IPSP_CMD_UNDRAIN : IPSP_CMD_DRAIN, force,
				     IPSP_MODE_ACTIVE);
	}
	undo_later(plan, h);
}

static void do_takeover(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_CMD_TAKEOVER);
	host_command(h, IPSP_CMD_TAKEOVER, false, IPSP_MODE_ACTIVE);
}

static void do_force(struct plan *plan, struct host *h)
{
	if (!h->node || plan->w->check.side[h->side].status.peer_state == IPSP_PEER_UP)
		return;
	world_hit(plan->w, FAULT_CMD_FORCE);
	host_command(h, IPSP_CMD_TAKEOVER, true, IPSP_MODE_ACTIVE);
}

static void do_terminate(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_CMD_TERMINATE);
	host_command(h, IPSP_CMD_TERMINATE, false, IPSP_MODE_ACTIVE);
	undo_later(plan, h);
}

static void do_leave(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_CMD_STOP);
	plan->downtime[h->side] = draw_downtime(plan);
	host_command(h, IPSP_CMD_STOP, false, IPSP_MODE_ACTIVE);
}

static void do_mode(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_CMD_MODE);
	host_command(h, IPSP_CMD_MODE, false,
		     rand_chance(&plan->rand, 500) ? IPSP_MODE_INACTIVE : IPSP_MODE_CHECK);
	undo_later(plan, h);
}

static void do_reload(struct plan *plan, struct host *h)
{
	const struct world_conf *c = &plan->conf;
	uint32_t hello = c->hello_ms[0] > c->hello_ms[1] ? c->hello_ms[0] : c->hello_ms[1];
	uint32_t ms = (uint32_t)rand_range(&plan->rand, 4 * hello, 12 * hello);

	world_hit(plan->w, FAULT_RELOAD);
	if (SIM_MS(ms) > plan->dead_max)
		plan->dead_max = SIM_MS(ms);
	host_reload(h, ms);
}

/* A step of a rotation, taken in any order, or a secret that the other side has never. */
static void do_reload_keys(struct plan *plan, struct host *h)
{
	static const char *const files[] = {"k", "kn", "nk", "n", "x"};

	world_hit(plan->w, FAULT_RELOAD_KEYS);
	plan_set_keys(h, files[rand_below(&plan->rand, 5)]);
	host_reload(h, h->conf.psp.dead_interval_ms);
	undo_later(plan, h);
}

static void do_disable(struct plan *plan, struct host *h)
{
	bool force = rand_chance(&plan->rand, 200);

	world_hit(plan->w, force ? FAULT_CMD_DISABLE_FORCE : FAULT_CMD_DISABLE);
	host_command(h, IPSP_CMD_DISABLE, force, IPSP_MODE_ACTIVE);
	undo_later(plan, h);
}

static void do_differ(struct plan *plan, struct host *h)
{
	if (!h->node || h->leaving || plan->w->check.books_lost)
		return;
	world_hit(plan->w, FAULT_DIFFER);
	plan_set_differs(h, true);
	plan->downtime[h->side] = SIM_MS(rand_range(&plan->rand, 10, 1000));
	host_kill(h);
	undo_later(plan, h);
}

static act_fn *const acts[] = {
	do_cut,	       do_cut,	     do_kill,	   do_kill,	   do_power,	 do_stop,
	do_storm,      do_slow_disk, do_full,	   do_wipe,	   do_roll_back, do_compact,
	do_slow_turns, do_ha_crash,  do_ha_detach, do_ha_hang,	   do_ha_slow,	 do_veto,
	do_drain,      do_takeover,  do_force,	   do_terminate,   do_leave,	 do_reload,
	do_disable,    do_differ,    do_link,	   do_reload_keys,
};
_Static_assert(sizeof(acts) / sizeof(acts[0]) == PLAN_ACTS, "a weight for each");

/* Healing is short: chance alone would rarely hit it. */
void plan_spite(struct plan *plan)
{
	static act_fn *const spiteful[] = {do_cut,	 do_kill, do_storm,
					   do_slow_disk, do_stop, do_power};
	struct host *h = &plan->w->hosts[rand_below(&plan->rand, 2)];

	if (!plan->shield && !plan->quiet)
		spiteful[rand_below(&plan->rand, sizeof(spiteful) / sizeof(spiteful[0]))](plan, h);
}

/* All sessions end on the side that is to be wiped; the other takes over, leaves, and is enabled
 * again beside a new disk. Nothing else goes wrong until then. */
void plan_part(struct plan *plan)
{
	struct world *w = plan->w;
	struct host *h = &w->hosts[plan->part_side], *o = &w->hosts[1 - plan->part_side];

	for (unsigned i = 0; i < w->n_has && plan->part_step < 2; i++) {
		if (w->has[i].side == h->side)
			ha_crash(&w->has[i]);
	}
	plan->part_at = w->now + SIM_MS(plan->part_step == 0 ? 4000 : 9000);
	switch (plan->part_step++) {
	case 0:
		plan_calm_down(plan);
		plan->to_s = h->side == 0 ? 1000 : 0;
		host_command(o, IPSP_CMD_TAKEOVER, false, IPSP_MODE_ACTIVE);
		break;
	case 1:
		host_command(o, IPSP_CMD_DISABLE, false, IPSP_MODE_ACTIVE);
		break;
	default:
		wipe_beside_an_owner(plan, h);
		plan->to_s = (unsigned)rand_below(&plan->rand, 1001);
		plan->part_at = 0;
		return;
	}
	plan_care_at(plan, plan->part_at);
}

/* Before it has heard its peer a new disk knows nothing; from then on it is to keep what it heard.
 */
static void disturb(struct plan *plan)
{
	static act_fn *const acts_beside[] = {do_kill, do_kill,	 do_power,
					      do_cut,  do_storm, do_slow_disk};
	struct host *h = plan->beside;
	const bool heard = h->node && plan->w->check.side[h->side].status.held;
	const size_t n = heard ? sizeof(acts_beside) / sizeof(acts_beside[0]) : 3;

	acts_beside[rand_below(&plan->rand, n)](plan, h);
}

void plan_fault(struct plan *plan)
{
	struct host *h = &plan->w->hosts[rand_below(&plan->rand, 2)];
	uint64_t total = 0, pick;

	if (plan->beside)
		disturb(plan);
	if (plan->shield || plan->part_at != 0)
		return;
	if (plan->mend_at != 0) { /* nothing is shared: what needs a pair has no meaning yet */
		plan_spite(plan);
		return;
	}
	if (rand_chance(&plan->rand, 30)) {
		do_mode(plan, h);
		return;
	}
	for (unsigned i = 0; i < PLAN_ACTS; i++)
		total += plan->weight[i];
	pick = rand_below(&plan->rand, total);
	for (unsigned i = 0; i < PLAN_ACTS; i++) {
		if (pick < plan->weight[i]) {
			acts[i](plan, h);
			return;
		}
		pick -= plan->weight[i];
	}
}
