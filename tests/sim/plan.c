#include "plan.h"
#include "kept.h"
#include <stdlib.h>

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

static sim_us dead_of(const struct plan *plan, unsigned side)
{
	uint32_t ms = plan->w->hosts[side].conf.psp.dead_interval_ms;

	return ms ? SIM_MS(ms) : plan->dead_max;
}

static void care_at(struct plan *plan, sim_us at)
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
	care_at(plan, until);
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
	if (lasts > dead_of(plan, 1 - h->side))
		world_hit(plan->w, FAULT_STOP_PAST_DEAD);
	h->socket_cap = rand_chance(&plan->rand, 500) ? 166 : rand_range(&plan->rand, 2, 30);
	host_stop(h);
	plan->cont_at[h->side] = plan->w->now + lasts;
	care_at(plan, plan->cont_at[h->side]);
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
	care_at(plan, plan->calm_at);
}

static void do_slow_disk(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_DISK_SLOW);
	h->disk.flush_max = rand_range(&plan->rand, 20000, 2500000);
	plan->fast_at = plan->w->now + span(plan);
	care_at(plan, plan->fast_at);
}

static void do_full(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_DISK_FULL);
	h->disk_full = true;
	host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK, .full = true});
	plan->room_at[h->side] = plan->w->now + span(plan);
	care_at(plan, plan->room_at[h->side]);
}

static void calm_down(struct plan *plan);

/* Both ways of losing state need a peer that lives, hears, and owns something: what else there is
 * is not covered (protocol.md). */
static bool may_lose_state(struct plan *plan, const struct host *h)
{
	const struct host *o = &plan->w->hosts[1 - h->side];

	if (plan->w->check.books_lost || !o->node || o->stopped || o->leaving || !h->node ||
	    o->leaving_ipsp)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		if (plan->w->check.side[i].status.configured_role == IPSP_ROLE_NONE)
			return false; /* disabled: it hears nothing */
	}
	return plan->w->check.side[o->side].status.state == IPSP_ST_ACTIVE &&
	       plan->w->check.side[o->side].status.serving;
}

static void do_wipe(struct plan *plan, struct host *h)
{
	if (!may_lose_state(plan, h))
		return;
	world_hit(plan->w, FAULT_DISK_WIPED);
	plan->shield = true;
	calm_down(plan);
	plan->downtime[h->side] = draw_downtime(plan);
	host_kill(h);
	world_trace(plan->w, TRACE_FAULT, "%c wiped", h->letter);
	disk_wipe(&h->disk);
	check_state_lost(h);
}

static void do_roll_back(struct plan *plan, struct host *h)
{
	if (!may_lose_state(plan, h) || !h->disk.copy.valid)
		return;
	plan->downtime[h->side] = draw_downtime(plan);
	host_power_off(h, rand_chance(&plan->rand, 700));
	if (!disk_roll_back(&h->disk))
		return;
	world_hit(plan->w, FAULT_DISK_ROLLED_BACK);
	world_trace(plan->w, TRACE_FAULT, "%c rolled back", h->letter);
	plan->shield = true;
	calm_down(plan);
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
		rand_chance(&plan->rand, 150) ? dead_of(plan, h->side) * 5 / 4 : SIM_MS(200);
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
	care_at(plan, plan->unveto_at);
}

static void undo_later(struct plan *plan, struct host *h)
{
	plan->undo_at[h->side] = plan->w->now + span(plan);
	care_at(plan, plan->undo_at[h->side]);
}

static void do_drain(struct plan *plan, struct host *h)
{
	world_hit(plan->w, FAULT_CMD_DRAIN);
	host_command(h, IPSP_CMD_DRAIN, false, IPSP_MODE_ACTIVE);
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

static void do_disable(struct plan *plan, struct host *h)
{
	bool force = rand_chance(&plan->rand, 200);

	world_hit(plan->w, force ? FAULT_CMD_DISABLE_FORCE : FAULT_CMD_DISABLE);
	host_command(h, IPSP_CMD_DISABLE, force, IPSP_MODE_ACTIVE);
	undo_later(plan, h);
}

static void set_differs(struct host *h, bool on)
{
	if (h->differs != on)
		h->conf.pools[0].priority ^= 4;
	h->differs = on;
}

static void do_differ(struct plan *plan, struct host *h)
{
	if (!h->node || h->leaving || plan->w->check.books_lost)
		return;
	world_hit(plan->w, FAULT_DIFFER);
	set_differs(h, true);
	plan->downtime[h->side] = SIM_MS(rand_range(&plan->rand, 10, 1000));
	host_kill(h);
	undo_later(plan, h);
}

static act_fn *const acts[] = {
	do_cut,	      do_cut,	  do_kill,    do_kill,	    do_power,	do_stop,       do_storm,
	do_slow_disk, do_full,	  do_wipe,    do_roll_back, do_compact, do_slow_turns, do_ha_crash,
	do_ha_detach, do_ha_hang, do_ha_slow, do_veto,	    do_drain,	do_takeover,   do_force,
	do_terminate, do_leave,	  do_reload,  do_disable,   do_differ,
};
_Static_assert(sizeof(acts) / sizeof(acts[0]) == PLAN_ACTS, "a weight for each");

/* Healing is short: chance alone would rarely hit it. */
static void spite(struct plan *plan)
{
	static act_fn *const spiteful[] = {do_cut,	 do_kill, do_storm,
					   do_slow_disk, do_stop, do_power};
	struct host *h = &plan->w->hosts[rand_below(&plan->rand, 2)];

	if (!plan->shield && !plan->quiet)
		spiteful[rand_below(&plan->rand, sizeof(spiteful) / sizeof(spiteful[0]))](plan, h);
}

static void one_fault(struct plan *plan)
{
	struct host *h = &plan->w->hosts[rand_below(&plan->rand, 2)];
	uint64_t total = 0, pick;

	if (plan->shield)
		return;
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

/* ---------------------------------------------------------------- repairs */

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

static void repair_host(struct plan *plan, struct host *h, bool all)
{
	struct world *w = plan->w;
	sim_us up_at = plan->quiet ? w->now : h->died_at + plan->downtime[h->side];

	if (h->stopped && (all || plan->cont_at[h->side] <= w->now))
		host_cont(h);
	if (!h->node) {
		if (up_at > w->now) {
			care_at(plan, up_at);
		} else {
			if (h->life > 0 && w->now - h->died_at > dead_of(plan, 1 - h->side))
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
	if (h->disk_full && (all || plan->room_at[h->side] <= w->now)) {
		h->disk_full = false;
		host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK});
	}
	if (all || plan->fast_at <= w->now)
		h->disk.flush_max = plan->flush_max;
	if (all) {
		h->slow_turns = 0;
		host_hurry(h);
		h->armed = KILL_NOT;
		h->socket_cap = 166;
	}
}

static void calm_down(struct plan *plan)
{
	repair_network(plan, true);
	for (unsigned i = 0; i < 2; i++)
		repair_host(plan, &plan->w->hosts[i], true);
}

/* What an operator would take back. */
static void undo_commands(struct plan *plan, struct host *h)
{
	const struct ipsp_status *st = &plan->w->check.side[h->side].status;

	if (!h->node || h->leaving)
		return;
	if (st->draining)
		host_command(h, IPSP_CMD_UNDRAIN, false, IPSP_MODE_ACTIVE);
	if (st->mode != IPSP_MODE_ACTIVE || st->state == IPSP_ST_TERMINATED)
		host_command(h, IPSP_CMD_MODE, false, IPSP_MODE_ACTIVE);
	if (st->configured_role == IPSP_ROLE_NONE) /* enabled again by a reload */
		host_reload(h, h->conf.psp.dead_interval_ms);
	if (h->differs) {
		set_differs(h, false);
		plan->downtime[h->side] = SIM_MS(10);
		host_kill(h);
	}
}

static void care(struct plan *plan)
{
	struct world *w = plan->w;
	bool lost = w->check.books_lost, all = plan->quiet || (plan->shield && lost);

	if (plan->shield && !lost && w->hosts[0].node && w->hosts[1].node)
		plan->shield = false;
	repair_network(plan, all);
	for (unsigned i = 0; i < 2; i++) {
		if (plan->undo_at[i] <= w->now && !(lost && !plan->quiet)) {
			undo_commands(plan, &w->hosts[i]);
			plan->undo_at[i] = SIM_NEVER;
		}
		repair_host(plan, &w->hosts[i], all);
	}
}

/* A copy of before the pools were shared is like a new disk to its side, but isn't empty: not
 * covered. */
static void keep_copy(struct host *h)
{
	if (h->node && h->w->check.side[0].status.state == IPSP_ST_ACTIVE &&
	    h->w->check.side[1].status.state == IPSP_ST_ACTIVE)
		disk_keep_copy(&h->disk);
}

static void on_plan(struct world *w, uint32_t arg, void *data)
{
	struct plan *plan = data;
	sim_us gap;

	if (arg == PLAN_SPITE) {
		spite(plan);
		care_at(plan, w->now + SIM_MS(rand_range(&plan->rand, 20, 1000)));
		return;
	}
	switch ((enum plan_arg)arg) {
	case PLAN_CARE:
		care(plan);
		break;
	case PLAN_FAULT:
		if (plan->quiet)
			return;
		one_fault(plan);
		care_at(plan, w->now + SIM_MS(rand_range(&plan->rand, 20, 1000)));
		gap = rand_range(&plan->rand, 1000, 2 * plan->fault_gap);
		world_plan(w, w->now + gap, PLAN_FAULT);
		break;
	case PLAN_LOAD:
		if (plan->quiet)
			return;
		if (plan->rush_at != 0 && w->now >= plan->rush_at) {
			world_hit(w, FAULT_MN_RUSH);
			plan->rush_at = w->now + SIM_MS(rand_range(&plan->load_rand, 12000, 20000));
			plan->to_s = 1000 - plan->to_s;
		}
		plan_load(plan);
		gap = rand_range(&plan->load_rand, 100, 2 * plan->load_gap);
		world_plan(w, w->now + gap, PLAN_LOAD);
		break;
	case PLAN_COPY:
		if (plan->quiet)
			return;
		keep_copy(&w->hosts[rand_below(&plan->rand, 2)]);
		world_plan(w, w->now + rand_range(&plan->rand, 1000000, 20000000), PLAN_COPY);
		break;
	}
}

/* ---------------------------------------------------------------- the run */

static void draw_clocks(struct plan *plan)
{
	struct world *w = plan->w;

	for (unsigned i = 0; i < 2; i++) {
		int ppm =
			rand_chance(&plan->rand, 300) ? 400 : (int)rand_range(&plan->rand, 0, 200);

		w->hosts[i].clock.ppm = rand_chance(&plan->rand, 500) ? ppm : -ppm;
		if (ppm > 300)
			world_hit(w, FAULT_CLOCK_RATE);
	}
}

static void begin(struct plan *plan)
{
	struct world *w = plan->w;

	w->plan = on_plan;
	w->plan_arg = plan;
	w->wake_jitter = 300;
	w->spite = rand_chance(&plan->rand, 500) ? 0 : (unsigned)rand_range(&plan->rand, 100, 700);
	draw_clocks(plan);
	for (unsigned i = 0; i < w->n_has; i++)
		w->has[i].latency = 200;
	for (unsigned i = 0; i < 2; i++) {
		plan->undo_at[i] = SIM_NEVER;
		plan->downtime[i] = SIM_MS(rand_below(&plan->rand, 3000));
		w->hosts[i].disk.flush_min = 200;
	}
	care_at(plan, 0);
	world_plan(w, SIM_MS(500), PLAN_LOAD);
	world_plan(w, SIM_MS(4000), PLAN_FAULT);
	world_plan(w, SIM_MS(2000), PLAN_COPY);
}

/* Quiet from here on: within the bound all has to be well. */
static void settle(struct plan *plan)
{
	struct world *w = plan->w;
	const struct world_conf *c = &plan->conf;
	sim_us hello = SIM_MS(c->hello_ms[0] > c->hello_ms[1] ? c->hello_ms[0] : c->hello_ms[1]);
	sim_us bound = 2 * plan->dead_max + 60 * hello + SIM_MS(40000), began = w->now;
	const char *why = "";
	bool again = false;

	while (w->now - began < bound) {
		care(plan);
		for (unsigned i = 0; i < 2; i++)
			undo_commands(plan, &w->hosts[i]);
		world_run_until(w, w->now + SIM_MS(500));
		why = check_rest(w);
		if (!why)
			return;
		if (!again &&
		    w->now - began >
			    bound / 2) { /* an event that an HA has missed is repeated then */
			again = true;
			for (unsigned i = 0; i < w->n_has; i++)
				ha_detach(&w->has[i]);
		}
	}
	world_fail(w, "not at rest after %.1f s of quiet: %s; %s; %s", (double)bound / 1e6, why,
		   check_words(&w->hosts[0]), check_words(&w->hosts[1]));
}

/* Is there an address that this side could give, or be given? */
static bool could_serve(const struct plan *plan, unsigned side)
{
	const struct world *w = plan->w;

	for (unsigned p = 0; p < w->n_pools; p++) {
		struct ipsp_pool_status here, there;
		uint32_t kept = 0;

		ipsp_node_pool_status(w->hosts[side].node, w->pool_of[p], &here);
		ipsp_node_pool_status(w->hosts[1 - side].node, w->pool_of[p], &there);
		if (here.conf->type != IPSP_POOL_PUBLIC)
			continue;
		if (w->check.side[1 - side].status.role == IPSP_ROLE_PRIMARY)
			kept = (here.conf->size * plan->conf.reserved + 99) / 100;
		if (here.free > 0 || there.free > kept)
			return true;
	}
	return false;
}

/* Both serve: a new session gets an address on either side, when there is one. */
static void probe(struct plan *plan, unsigned side)
{
	struct world *w = plan->w;
	struct ha *ha = NULL;
	uint32_t sub = w->n_mns + 1 + side, sess = ++w->next_sess;
	bool could = could_serve(plan, side);

	for (unsigned i = 0; i < w->n_has && !ha; i++) {
		if (w->has[i].side == side)
			ha = &w->has[i];
	}
	if (!ha || !ha_request(ha, HA_NEW, sub, sess, NO_ADDR, -1, -1))
		world_fail(w, "a probe can't be sent");
	world_run_until(w, w->now + SIM_MS(plan->conf.request_timeout_ms + 2000));
	if (ha_n_open(ha) != 0)
		world_fail(w, "%s waits for an answer in vain", ha->name);
	if (could && ha->last_err != 0)
		world_fail(w, "%s is refused at rest: %s", ha->name, ipsp_err_word(ha->last_err));
	if (ha->last_err == 0 && !ha_end(ha, sub, sess))
		world_fail(w, "a probe can't be ended");
	world_run_until(w, w->now + SIM_MS(1000));
}

/*
 * Nobody comes for what is held or in quarantine: it comes free, and where it is to. What a reboot
 * has left is held for ten minutes, which is long: one seed in eight waits for it.
 */
static void outlast(struct plan *plan)
{
	struct world *w = plan->w;
	sim_us until = kept_until(w);

	if (until == w->now || (until > w->now + SIM_MS(90000) && w->seed % 8 != 0))
		return;
	world_run_until(w, until + SIM_MS(2000));
	settle(plan);
	if (kept_until(w) != w->now)
		world_fail(w, "at rest, and addresses are held for nobody");
}

void plan_run(struct plan *plan, struct world *w, uint64_t seed)
{
	const char *why;

	plan->w = w;
	plan_draw(plan, seed);
	world_init(w, seed, &plan->conf);
	begin(plan);
	world_run_until(w, plan->length);
	plan->quiet = true;
	for (unsigned i = 0; i < w->n_has; i++)
		ha_soothe(&w->has[i]);
	world_trace(w, TRACE_FAULT, "quiet");
	settle(plan);
	world_run_until(
		w,
		w->now +
			SIM_MS(3000)); /* a few hellos, so that each knows that the other is well */
	settle(plan);
	world_trace(w, TRACE_FAULT, "at rest");
	for (unsigned i = 0; i < 2; i++)
		probe(plan, i);
	world_run_until(w, w->now + SIM_MS(3000));
	for (unsigned i = 0; (why = check_rest(w)) && i < 100; i++) /* the roles may just change */
		world_run_until(w, w->now + SIM_MS(100));
	if (why)
		world_fail(w, "at rest, then no more: %s", why);
	if (w->check.forced || w->check.books_lost)
		world_fail(w, "at rest, and not all is promised again");
	outlast(plan);
	for (unsigned i = 0; i < 2; i++) {
		check_replay(&w->hosts[i]);
		check_snapshot(&w->hosts[i]);
	}
}
