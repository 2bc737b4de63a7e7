#include "kept.h"
#include "world.h"

#define FOR_REQUEST_S 60  /* an address that comes for a request that has gone */
#define REBOOTED_S    600 /* at least, what sessions had before the host was rebooted */

static bool is_kept(const struct check_cell *cell)
{
	return cell->use == IPSP_USE_HOLD || cell->use == IPSP_USE_QUARANTINE;
}

/* No reason is good for more than this; what is moved takes its remaining time along. */
static ipsp_ms longest(const struct world *w, const struct ipsp_pool_conf *conf)
{
	uint32_t s = conf->hold_s > conf->quarantine_s ? conf->hold_s : conf->quarantine_s;

	if (s < FOR_REQUEST_S)
		s = FOR_REQUEST_S;
	if (s < REBOOTED_S && w->check.rebooted)
		s = REBOOTED_S;
	return 1000ULL * s + 1000; /* seconds are rounded up at each move */
}

void kept_judge(struct host *h, uint32_t gaddr, uint16_t pool, const struct check_cell *was,
		const struct check_cell *is, bool restarted)
{
	struct world *w = h->w;
	ipsp_ms at = h->ended_at;

	if (!is_kept(is)) { /* most, in most turns */
		bool early = !restarted && is_kept(was) && is->use == IPSP_USE_FREE &&
			     is->own == IPSP_OWN_OURS && was->end > at;
		if (early)
			world_fail(w, "%c: %s comes free %llu ms before its time", h->letter,
				   world_addr_text(w, gaddr), (unsigned long long)(was->end - at));
		return;
	}
	if (is->own != IPSP_OWN_OURS)
		world_fail(w, "%c: %s is kept and not owned", h->letter, world_addr_text(w, gaddr));
	if (is->end > at + longest(w, &h->conf.pools[pool]))
		world_fail(w, "%c: %s is kept for %llu ms more", h->letter,
			   world_addr_text(w, gaddr), (unsigned long long)(is->end - at));
	if (is->end <= at)
		world_fail(w, "%c: %s is kept though its time ended %llu ms ago", h->letter,
			   world_addr_text(w, gaddr), (unsigned long long)(at - is->end));
	if (ipsp_node_due(h->node) > is->end)
		world_fail(w, "%c: %s is to come free in %llu ms, and nothing is due then",
			   h->letter, world_addr_text(w, gaddr),
			   (unsigned long long)(is->end - at));
}

sim_us kept_until(const struct world *w)
{
	sim_us last = w->now;

	for (unsigned i = 0; i < 2; i++) {
		for (uint32_t g = 0; g < w->n_addrs; g++) {
			const struct check_cell *cell = &w->check.side[i].cells[g];
			sim_us at = is_kept(cell) ? host_when(&w->hosts[i], cell->end) : w->now;

			last = at > last ? at : last;
		}
	}
	return last;
}
