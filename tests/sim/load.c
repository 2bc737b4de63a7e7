/* load - what mobile nodes do: begin, end, move to the other side, come again. */
#include "plan.h"

static struct ha *any_ha(struct plan *plan, unsigned side)
{
	struct world *w = plan->w;
	unsigned n = 0, pick;

	for (unsigned i = 0; i < w->n_has; i++)
		n += w->has[i].side == side;
	pick = (unsigned)rand_below(&plan->load_rand, n);
	for (unsigned i = 0; i < w->n_has; i++) {
		if (w->has[i].side == side && pick-- == 0)
			return &w->has[i];
	}
	return &w->has[0];
}

static void name_pool(struct plan *plan, int *pool, int *group)
{
	struct world *w = plan->w;
	int pick = (int)rand_below(&plan->load_rand, w->n_pools);

	*pool = *group = -1;
	if (rand_chance(&plan->load_rand, 150))
		*pool = pick;
	else if (rand_chance(&plan->load_rand, 150) &&
		 w->hosts[0].conf.pools[w->pool_of[pick]].group[0])
		*group = pick;
}

static void begin(struct plan *plan, uint32_t sub)
{
	struct world *w = plan->w;
	unsigned side = rand_chance(&plan->load_rand, plan->to_s);
	uint32_t gaddr = NO_ADDR;
	int pool, group;

	name_pool(plan, &pool, &group);
	if (rand_chance(&plan->load_rand, plan->hot)) {
		gaddr = (uint32_t)rand_below(&plan->load_rand, w->n_addrs);
		pool = group = -1;
		world_hit(w, FAULT_MN_WANTS);
	}
	ha_request(any_ha(plan, side), HA_NEW, sub, ++w->next_sess, gaddr, pool, group);
}

/* An old session of that name that was left behind there has its own address, maybe on another HA.
 */
static bool left_there(struct world *w, unsigned side, uint32_t sub, uint32_t sess)
{
	for (unsigned i = 0; i < w->n_has; i++) {
		if (w->has[i].side == side && ha_find(&w->has[i], sub, sess))
			return true;
	}
	return false;
}

static void move(struct plan *plan, uint32_t sub)
{
	struct world *w = plan->w;
	const struct mn *mn = &w->mns[sub];
	uint32_t sess = rand_chance(&plan->load_rand, 500) ? mn->sess : ++w->next_sess;
	struct ha *to = any_ha(plan, 1 - mn->at->side);

	if (left_there(w, to->side, sub, sess))
		sess = ++w->next_sess;
	world_hit(w, FAULT_MN_HANDOFF);
	ha_request(to, HA_HANDOFF, sub, sess, mn->gaddr, -1, -1);
}

static void confirm(struct world *w, uint32_t sub)
{
	const struct mn *mn = &w->mns[sub];

	ha_request(mn->at, HA_CONFIRM, sub, mn->sess, mn->gaddr, -1, -1);
}

/* An old session that a mobile node has left behind on an HA. */
static void end_any(struct plan *plan)
{
	struct ha *ha = &plan->w->has[rand_below(&plan->load_rand, plan->w->n_has)];
	const struct ha_session *s;

	if (ha->n_sessions == 0)
		return;
	s = &ha->sessions[rand_below(&plan->load_rand, ha->n_sessions)];
	ha_end(ha, s->sub, s->sess);
}

/*
 * Its HA is asked to end it. A duplicate would be ended without asking, so that its HA would not
 * know: where one may be found, no operator is there.
 */
static void operator_release(struct plan *plan)
{
	struct ha *ha = &plan->w->has[rand_below(&plan->load_rand, plan->w->n_has)];
	struct host *h = &plan->w->hosts[ha->side];
	const struct ha_session *s;

	for (unsigned i = 0; i < 2; i++) {
		if (plan->w->check.side[i].status.state != IPSP_ST_ACTIVE ||
		    plan->w->check.side[i].status.duplicates_open > 0)
			return;
	}
	if (ha->n_sessions == 0 || !h->node)
		return;
	s = &ha->sessions[rand_below(&plan->load_rand, ha->n_sessions)];
	if (!check_knows(h, s->sub, s->sess))
		return;
	world_hit(plan->w, FAULT_CMD_RELEASE);
	host_event(h, (struct ipsp_event){.type = IPSP_EV_RELEASE,
					  .token = HOST_OPERATOR,
					  .addr = world_addr(plan->w, s->gaddr)});
}

/* The HA is gone, as far as the operator knows, with its sessions: nobody is asked any more. That
 * may be at any time, and it comes back later. */
static void operator_forces(struct plan *plan)
{
	struct ha *ha = &plan->w->has[rand_below(&plan->load_rand, plan->w->n_has)];
	struct host *h = &plan->w->hosts[ha->side];

	if (ha->n_sessions == 0 || !h->node)
		return;
	const struct ha_session s = ha->sessions[rand_below(&plan->load_rand, ha->n_sessions)];
	world_hit(plan->w, FAULT_CMD_RELEASE_FORCE);
	ha_crash(ha);
	host_event(h, (struct ipsp_event){.type = IPSP_EV_RELEASE,
					  .token = HOST_OPERATOR,
					  .force = true,
					  .addr = world_addr(plan->w, s.gaddr)});
}

void plan_load(struct plan *plan)
{
	struct world *w = plan->w;
	struct sim_rand *r = &plan->load_rand;
	uint32_t sub = (uint32_t)rand_below(r, w->n_mns);
	const struct mn *mn = &w->mns[sub];
	uint64_t what = rand_below(r, 1000);

	if (what < 5)
		ha_late_release(&w->has[rand_below(r, w->n_has)],
				(uint32_t)rand_below(r, w->n_addrs));
	else if (what < 20)
		ha_bogus_release(&w->has[rand_below(r, w->n_has)],
				 (uint32_t)rand_below(r, w->n_addrs));
	else if (what < 24)
		operator_release(plan);
	else if (what < 25)
		operator_forces(plan);
	else if (what < 60)
		end_any(plan);
	else if (mn->open > 0)
		return;
	else if (!mn->at)
		begin(plan, sub);
	else if (what < 400)
		move(plan, sub);
	else if (what < 600)
		confirm(w, sub);
	else
		ha_end(mn->at, sub, mn->sess);
}
