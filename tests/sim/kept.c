#include "kept.h"
#include "world.h"

#define FOR_REQUEST_S 60  /* an address that comes for a request that has gone */
#define REBOOTED_S    600 /* at least, what sessions had before the host was rebooted */

static bool is_kept(const struct check_cell *cell)
{
	return cell->use == IPSP_USE_HOLD || cell->use == IPSP_USE_QUARANTINE;
}

static bool excused(const struct world *w)
{
	return w->check.books_lost || w->check.seized;
}

/* No reason is good for more than this. */
static ipsp_ms longest(const struct world *w, const struct ipsp_pool_conf *conf)
{
	uint32_t s = conf->hold_s > conf->quarantine_s ? conf->hold_s : conf->quarantine_s;

	if (s < FOR_REQUEST_S)
		s = FOR_REQUEST_S;
	if (s < REBOOTED_S && w->check.rebooted)
		s = REBOOTED_S;
	return 1000ULL * s;
}

/* It gives the address away, so it has had it: for whom the other side gave it is over by now, even
 * where it came and went in one turn. */
static void came_and_went(const struct host *h, uint32_t gaddr, const struct check_cell *was,
			  const struct check_cell *is)
{
	struct check_cell *other = &h->w->check.side[1 - h->side].cells[gaddr];

	if (is->own == IPSP_OWN_TRANSIT && was->own != IPSP_OWN_TRANSIT &&
	    other->own == IPSP_OWN_TRANSIT)
		other->gave_sub = NO_ADDR;
}

static void judge_end(const struct host *h, uint32_t gaddr, ipsp_ms end, ipsp_ms most)
{
	ipsp_ms at = h->ended_at;

	if (end > at + most)
		world_fail(h->w, "%c: %s is kept for %llu ms more", h->letter,
			   world_addr_text(h->w, gaddr), (unsigned long long)(end - at));
	if (end <= at)
		world_fail(h->w, "%c: %s is kept though its time ended %llu ms ago", h->letter,
			   world_addr_text(h->w, gaddr), (unsigned long long)(at - end));
	if (ipsp_node_due(h->node) > end)
		world_fail(h->w, "%c: %s is to come free in %llu ms, and nothing is due then",
			   h->letter, world_addr_text(h->w, gaddr), (unsigned long long)(end - at));
}

/* It was kept here, and is owned here all the time: before its end nobody else gets it. */
static void judge_stayed(const struct host *h, uint32_t gaddr, const struct check_cell *was,
			 const struct check_cell *is)
{
	if (was->end <= h->ended_at || is->sub == was->sub)
		return;
	world_fail(h->w, "%c: %s is kept for mn-%u for %llu ms more, and %s", h->letter,
		   world_addr_text(h->w, gaddr), was->sub,
		   (unsigned long long)(was->end - h->ended_at),
		   is->use == IPSP_USE_FREE ? "comes free" : "another has it");
}

/* What is given while it is kept comes to its subscriber, or is kept there for the rest of its
 * time. */
static void judge_came(const struct host *h, uint32_t gaddr, const struct check_cell *gave,
		       const struct check_cell *is)
{
	ipsp_ms most = gave->gave_left > 1000ULL * FOR_REQUEST_S ? gave->gave_left
								 : 1000ULL * FOR_REQUEST_S;

	/* a turn that was slow enough has let it come free as well */
	if (is->use == IPSP_USE_FREE && h->ended_at - h->began_at >= gave->gave_left)
		return;
	if (is->sub != gave->gave_sub)
		world_fail(h->w, "%c: %s was kept for mn-%u by the other side, and isn't here",
			   h->letter, world_addr_text(h->w, gaddr), gave->gave_sub);
	if (is_kept(is))
		judge_end(h, gaddr, is->end, most + 1000); /* the seconds are rounded up */
}

void kept_judge(struct host *h, uint32_t gaddr, uint16_t pool, struct check_cell *is,
		bool restarted)
{
	struct world *w = h->w;
	const struct check_cell *was = &w->check.side[h->side].cells[gaddr];
	struct check_cell *other = &w->check.side[1 - h->side].cells[gaddr];

	if (is_kept(is)) {
		if (is->own != IPSP_OWN_OURS)
			world_fail(w, "%c: %s is kept and not owned", h->letter,
				   world_addr_text(w, gaddr));
		judge_end(h, gaddr, is->end, longest(w, &h->conf.pools[pool]) + 1000);
	}
	if (is->own == IPSP_OWN_TRANSIT && !restarted) {
		is->gave_sub = was->gave_sub;
		is->gave_left = was->gave_left;
		/* while a healing is open it may go to a session that the other side has by a
		 * licence, or by force */
		if (is_kept(was) && was->end > h->ended_at && !w->check.forced &&
		    w->check.side[1 - h->side].licensed_at < w->check.agreed_at) {
			is->gave_sub = was->sub;
			is->gave_left = was->end - h->ended_at;
		}
		/* its peer has lost its state, and is given it anew, as free */
		if (w->check.side[h->side].loss_in_turn)
			is->gave_sub = NO_ADDR;
	}
	came_and_went(h, gaddr, was, is);
	if (restarted || excused(w) || is->own != IPSP_OWN_OURS)
		return;
	if (was->own == IPSP_OWN_OURS && is_kept(was))
		judge_stayed(h, gaddr, was, is);
	else if (was->own != IPSP_OWN_OURS && was->use != IPSP_USE_USED &&
		 other->own == IPSP_OWN_TRANSIT && other->gave_sub != NO_ADDR) {
		judge_came(h, gaddr, other, is);
		other->gave_sub = NO_ADDR; /* once: it may come back, and go on, within one turn */
	}
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
