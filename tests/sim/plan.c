#include "plan.h"
#include "kept.h"

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
		plan_spite(plan);
		plan_care_at(plan, w->now + SIM_MS(rand_range(&plan->rand, 20, 1000)));
		return;
	}
	switch ((enum plan_arg)arg) {
	case PLAN_CARE:
		plan_care(plan);
		break;
	case PLAN_FAULT:
		if (plan->quiet)
			return;
		plan_fault(plan);
		plan_care_at(plan, w->now + SIM_MS(rand_range(&plan->rand, 20, 1000)));
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
		w->hosts[i].conf.psp.takeover_when_deaf = rand_chance(&plan->rand, 700);
		plan->downtime[i] = SIM_MS(rand_below(&plan->rand, 3000));
		w->hosts[i].disk.flush_min = 200;
	}
	if (plan->mend_at != 0)
		plan_one_role(plan);
	if (plan->part_at != 0)
		plan_care_at(plan, plan->part_at);
	if (plan->conf.no_renewal[0] || plan->conf.no_renewal[1])
		world_hit(plan->w, FAULT_NO_RENEWAL);
	plan_care_at(plan, 0);
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
		plan_care(plan);
		for (unsigned i = 0; i < 2; i++)
			plan_undo(plan, &w->hosts[i]);
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
