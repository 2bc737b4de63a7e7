#include "check.h"
#include "kept.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_init(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct check_side *cs = &w->check.side[i];

		cs->cells = calloc(w->n_addrs, sizeof(*cs->cells));
		cs->holds = calloc(w->n_addrs, sizeof(*cs->holds));
		if (!cs->cells || !cs->holds)
			abort();
		for (uint32_t g = 0; g < w->n_addrs; g++)
			cs->cells[g] =
				(struct check_cell){.own = i == 0 ? IPSP_OWN_OURS : IPSP_OWN_PEER,
						    .sub = NO_ADDR,
						    .sess = NO_ADDR,
						    .gave_sub = NO_ADDR};
	}
	w->check.sample = 64;
}

void check_fini(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		free(w->check.side[i].cells);
		free(w->check.side[i].holds);
	}
}

/* "mn-7" and "s3": the numbers */
static uint32_t trailing(const char *s, size_t n)
{
	uint32_t v = 0;

	while (n > 0 && (*s < '0' || *s > '9')) {
		s++;
		n--;
	}
	for (; n > 0 && *s >= '0' && *s <= '9'; s++, n--)
		v = 10 * v + (uint32_t)(*s - '0');
	return v;
}

void check_ident(const struct ipsp_ident *ident, uint32_t *sub, uint32_t *sess)
{
	*sub = trailing(ident->subscriber, ident->n_subscriber);
	*sess = trailing(ident->session, ident->n_session);
}

bool check_knows(const struct host *h, uint32_t sub, uint32_t sess)
{
	const struct check_cell *cells = h->w->check.side[h->side].cells;

	for (uint32_t g = 0; g < h->w->n_addrs; g++) {
		if (cells[g].use == IPSP_USE_USED && cells[g].sub == sub && cells[g].sess == sess)
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- role, epoch, licence */

static void trace_status(struct host *h, const struct ipsp_status *old,
			 const struct ipsp_status *st)
{
	if (!world_traces(h->w, TRACE_ROLE))
		return;
	if (st->role != old->role || st->epoch != old->epoch)
		world_trace(h->w, TRACE_ROLE, "%c %s, epoch %llu", h->letter,
			    ipsp_role_word(st->role), (unsigned long long)st->epoch);
	if (st->state != old->state)
		world_trace(h->w, TRACE_ROLE, "%c %s", h->letter, ipsp_state_word(st->state));
	if (st->serving != old->serving)
		world_trace(h->w, TRACE_ROLE, "%c %s", h->letter,
			    st->serving ? "serves" : "doesn't serve");
}

/* Who could not hear has not taken over, where that is forbidden; nor has it ended a first
 * listening. */
static void check_deaf(struct host *h, struct check_side *cs, const struct ipsp_status *st)
{
	const uint64_t takeovers = ipsp_node_stats(h->node)->takeovers, was = cs->takeovers;
	const bool deaf = st->deaf && cs->status.deaf && cs->up_once;

	cs->takeovers = takeovers;
	if (!deaf || h->w->check.forced)
		return;
	if (!h->conf.psp.takeover_when_deaf && takeovers > was)
		world_fail(h->w, "%c has taken over while its own link fails", h->letter);
	if (st->state == IPSP_ST_CONNECTING && st->serving && cs->status.waiting == IPSP_WAIT_LINK)
		world_fail(h->w, "%c begins to serve while its own link fails", h->letter);
}

void check_look(struct host *h)
{
	struct check_side *cs = &h->w->check.side[h->side];
	struct ipsp_status st;
	bool licensed;

	ipsp_node_status(h->node, host_ms(h), &st);
	trace_status(h, &cs->status, &st);
	if (st.epoch < cs->status.epoch && cs->up_once && !h->w->check.books_lost)
		world_fail(h->w, "%c: the epoch went from %llu back to %llu", h->letter,
			   (unsigned long long)cs->status.epoch, (unsigned long long)st.epoch);
	if (h->forcing && st.books != cs->status.books && cs->up_once)
		h->w->check.seized = true;
	uint64_t losses = ipsp_node_stats(h->node)->state_losses;
	if (h->w->check.forced && losses > cs->state_losses)
		h->w->check.seized = true;
	cs->loss_in_turn = losses > cs->state_losses;
	cs->state_losses = losses;
	licensed = st.state == IPSP_ST_PEER_DOWN;
	if (licensed && !cs->licensed && !h->w->check.forced) {
		world_hit(h->w, h->side == 0 ? FAULT_SAW_TAKEOVER_P : FAULT_SAW_TAKEOVER_S);
		if (h->w->check.side[1 - h->side].licensed)
			world_hit(h->w, FAULT_SAW_BOTH_OVER);
	}
	/* it may have ended within the turn, and have begun there, too */
	uint64_t heals = ipsp_node_stats(h->node)->heals;
	cs->licensed_in_turn = licensed || cs->licensed || heals > cs->heals;
	cs->heals = heals;
	if (cs->licensed_in_turn)
		cs->licensed_at = h->w->now;
	cs->licensed = licensed;
	if (st.state == IPSP_ST_RECONCILING && cs->status.state != IPSP_ST_RECONCILING &&
	    rand_chance(&h->rand, h->w->spite))
		world_plan(h->w, h->w->now + rand_below(&h->rand, 30000), PLAN_SPITE);
	if (st.key_match == IPSP_KEY_DIFFERS && cs->status.key_match != IPSP_KEY_DIFFERS)
		world_hit(h->w, FAULT_SAW_WRONG_KEY);
	check_deaf(h, cs, &st);
	cs->status = st;
	cs->status.conf = NULL;
}

/* One has taken over: then the other, if it hasn't too, assigns nothing new. This is the lease. */
static void check_lease(struct host *h)
{
	struct world *w = h->w;

	if (w->check.forced)
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct host *o = &w->hosts[1 - i];
		struct ipsp_status st;

		if (!w->check.side[i].licensed || w->check.side[1 - i].licensed ||
		    !w->hosts[i].node || !o->node || o->phase != TURN_NONE)
			continue;
		/* not covered: wiped while its peer is dead or cut off it serves as at a first
		 * start */
		if (w->check.books_lost && w->check.side[1 - i].lost_at > w->check.agreed_at)
			continue;
		ipsp_node_status(o->node, host_ms(o), &st);
		if (st.serving && st.state != IPSP_ST_PEER_DOWN)
			world_fail(w, "%c has taken over while %c serves by its lease (%s)",
				   w->hosts[i].letter, o->letter, ipsp_state_word(st.state));
	}
}

/* Two primaries that never shared, and know of each other: at most one of them gives addresses. */
static void check_one_gives(const struct host *h)
{
	struct world *w = h->w;
	struct ipsp_status st[2];

	if (!w->check.one_role || !w->hosts[0].node || !w->hosts[1].node)
		return;
	for (unsigned i = 0; i < 2; i++) {
		if (i != h->side && w->hosts[i].phase != TURN_NONE)
			return;
		ipsp_node_status(w->hosts[i].node, host_ms(&w->hosts[i]), &st[i]);
	}
	if (st[0].role_conflict && st[1].role_conflict && st[0].serving && st[1].serving)
		world_fail(w, "both are primary, know it, and give addresses");
}

/* ---------------------------------------------------------------- the books */

bool check_wrong(const struct world *w, uint32_t g)
{
	unsigned a = w->check.side[0].cells[g].own, b = w->check.side[1].cells[g].own;

	return a == b && a != IPSP_OWN_TRANSIT;
}

static void trace_own(struct host *h, uint32_t g, unsigned from, unsigned to)
{
	const char *what = to == IPSP_OWN_TRANSIT ? "grant"
			   : to == IPSP_OWN_OURS  ? (from == IPSP_OWN_PEER ? "accept" : "own")
						  : "busied out";

	if (world_traces(h->w, TRACE_BOOKS))
		world_trace(h->w, TRACE_BOOKS, "%c %s %s", h->letter, what,
			    world_addr_text(h->w, g));
}

/* What an HA was told it has, the node has too, until the HA itself says otherwise (invariant 3).
 */
static void check_hold(struct host *h, uint32_t g)
{
	const struct check_side *cs = &h->w->check.side[h->side];
	const struct check_hold *hold = &cs->holds[g];
	const struct check_cell *cell = &cs->cells[g];

	if (!hold->ha || hold->orphan || hold->unsure || !h->node)
		return;
	if (cell->use != IPSP_USE_USED || cell->sub != hold->sub || cell->sess != hold->sess)
		world_fail(h->w, "%c: %s is used by mn-%u s%u on %s, and the node doesn't know",
			   h->letter, world_addr_text(h->w, g), hold->sub, hold->sess,
			   hold->ha->name);
}

static struct check_cell cell_of(const struct host *h, uint32_t g, uint16_t pool, uint32_t index)
{
	struct check_cell cell = {.sub = NO_ADDR, .sess = NO_ADDR, .gave_sub = NO_ADDR};
	struct ipsp_address_view view;

	(void)g;
	ipsp_node_address(h->node, pool, index, &view);
	cell.own = (uint8_t)view.own;
	cell.use = (uint8_t)view.use;
	cell.flags = view.flags;
	if (view.bind.kind != IPSP_BIND_NONE)
		check_ident(&view.bind.ident, &cell.sub, &cell.sess);
	if (view.bind.kind == IPSP_BIND_KEPT)
		cell.end = view.bind.at;
	return cell;
}

/*
 * A session that outlived its host: the daemon holds the address for it. When the other side has
 * taken over before, healing gives it away (the first two of the declared exceptions): to the
 * session that uses it there, or that used it when this was reported. When all was owned here by
 * force (the third), the hold is forgotten with the books that force had made.
 */
static void check_given(struct host *h, uint32_t g, const struct check_cell *was)
{
	const struct check *check = &h->w->check;
	const struct check_side *other = &check->side[1 - h->side];
	struct check_hold *hold = &h->w->check.side[h->side].holds[g];
	unsigned own = check->side[h->side].cells[g].own;

	if (!hold->ha || !hold->unsure || was->sub != hold->sub || was->own != IPSP_OWN_OURS)
		return;
	if (own == IPSP_OWN_TRANSIT &&
	    (other->cells[g].use == IPSP_USE_USED || other->licensed_at > check->agreed_at))
		hold->orphan = true;
	if (own == IPSP_OWN_PEER && check->seized)
		hold->orphan = true;
}

/*
 * The subscriber of a session that outlived the other side's host has one here, whether its HA
 * reads of it or not: what was held for it there has moved with it.
 */
static void check_moved(struct host *h, uint32_t g)
{
	const struct check_cell *cell = &h->w->check.side[h->side].cells[g];
	struct check_hold *there = &h->w->check.side[1 - h->side].holds[g];

	if (cell->use == IPSP_USE_USED && there->ha && there->unsure && there->sub == cell->sub)
		there->orphan = true;
}

static void sweep(struct host *h, bool restarted)
{
	struct world *w = h->w;
	struct check_cell *cells = w->check.side[h->side].cells;
	uint32_t g = 0;

	for (unsigned p = 0; p < w->n_pools; p++) {
		for (uint32_t i = 0; g < w->pool_start[p + 1]; i++, g++) {
			struct check_cell cell = cell_of(h, g, w->pool_of[p], i), old = cells[g];

			kept_judge(h, g, w->pool_of[p], &cell, restarted);
			cells[g].end = cell.end;
			cells[g].flags = cell.flags;
			cells[g].gave_sub = cell.gave_sub;
			cells[g].gave_left = cell.gave_left;
			if (cell.own == old.own && cell.use == old.use && cell.sub == old.sub &&
			    cell.sess == old.sess)
				continue;
			w->check.n_wrong -= check_wrong(w, g);
			cell.licensed =
				cell.use == IPSP_USE_USED &&
				(w->check.side[h->side].licensed_in_turn || w->check.forced);
			bool same =
				cell.use == old.use && cell.sub == old.sub && cell.sess == old.sess;
			cell.used_at = same ? old.used_at : w->now;
			cells[g] = cell;
			w->check.n_wrong += check_wrong(w, g);
			if (cell.own != old.own)
				trace_own(h, g, old.own, cell.own);
			check_given(h, g, &old);
			check_moved(h, g);
			check_hold(h, g);
		}
	}
}

static void check_books(struct world *w)
{
	static const char *const words[] = {"owned", "the peer's", "on its way"};

	if (w->check.n_wrong == 0 || w->check.books_lost || w->check.seized || w->check.one_role)
		return;
	for (uint32_t g = 0; g < w->n_addrs; g++) {
		if (check_wrong(w, g))
			world_fail(w, "%s (and %zu more): P says %s, S says %s",
				   world_addr_text(w, g), w->check.n_wrong - 1,
				   words[w->check.side[0].cells[g].own],
				   words[w->check.side[1].cells[g].own]);
	}
}

static bool used_on_both(const struct world *w)
{
	for (uint32_t g = 0; g < w->n_addrs; g++) {
		if (w->check.side[0].holds[g].ha && w->check.side[1].holds[g].ha)
			return true;
	}
	return false;
}

/*
 * A wiped or rolled-back side has been given its books again, or what was done by force has been
 * healed: both serve, and all is whole. From here on all is promised again.
 */
static void check_regained(struct world *w)
{
	struct check *check = &w->check;

	for (unsigned i = 0; i < 2; i++) {
		const struct ipsp_status *st = &check->side[i].status;

		if (!w->hosts[i].node || st->state != IPSP_ST_ACTIVE || !st->serving)
			return;
	}
	check->agreed_at = w->now;
	if (check->n_wrong == 0)
		check->one_role = false; /* mended, and shared */
	if ((!check->books_lost && !check->forced) || check->n_wrong != 0)
		return;
	if (check->books_lost)
		world_trace(w, TRACE_FAULT, "books are whole again");
	check->books_lost = false;
	if (w->hosts[0].forcing || w->hosts[1].forcing || used_on_both(w) ||
	    check->side[0].status.duplicates_open + check->side[1].status.duplicates_open > 0)
		return;
	if (check->forced)
		world_trace(w, TRACE_FAULT, "what was forced is healed");
	check->forced = check->seized = false;
}

/* ---------------------------------------------------------------- after each turn */

void check_turn(struct host *h)
{
	struct world *w = h->w;

	sweep(h, false);
	check_books(w);
	check_lease(h);
	check_one_gives(h);
	check_regained(w);
	if (w->n_addrs <= 64 || rand_below(&h->rand, 8) == 0)
		ipsp_node_check(h->node);
	if (w->check.sample && rand_below(&h->rand, w->check.sample) == 0) {
		check_replay(h);
		if (rand_below(&h->rand, 4) == 0)
			check_snapshot(h);
	}
}

static void check_survived(struct host *h, uint32_t g)
{
	struct world *w = h->w;
	struct check_side *cs = &w->check.side[h->side];
	struct check_hold *hold = &cs->holds[g];
	const struct check_cell *cell = &cs->cells[g];
	bool kept = cell->sub == hold->sub && cell->use != IPSP_USE_FREE;

	if (!hold->ha || hold->orphan || !hold->unsure)
		return;
	if (hold->flushed) {
		if (!kept || cell->use != IPSP_USE_USED)
			world_fail(w, "%c: %s of mn-%u didn't survive the loss of power", h->letter,
				   world_addr_text(w, g), hold->sub);
		hold->unsure = cell->sess != hold->sess;
	} else if (!kept) {
		/* it goes to its subscriber's session at the other side, which reported that */
		bool moves = cell->flags & IPSP_ADDR_OWED;
		if (!moves && hold->emitted < h->disk.durable_at && cell->own == IPSP_OWN_OURS &&
		    w->check.side[1 - h->side].licensed_at < hold->emitted)
			world_fail(w, "%c: %s isn't held for mn-%u after the loss of power",
				   h->letter, world_addr_text(w, g), hold->sub);
		hold->orphan = true; /* of the last second, or a reclaimed one */
	}
}

void check_started(struct host *h, bool same_boot)
{
	struct world *w = h->w;
	struct check_side *cs = &w->check.side[h->side];
	uint64_t epoch;

	check_look(h);
	epoch = cs->status.epoch;
	if (epoch < h->disk.durable_epoch)
		world_fail(w, "%c: epoch %llu was flushed, %llu is back after the restart",
			   h->letter, (unsigned long long)h->disk.durable_epoch,
			   (unsigned long long)epoch);
	cs->up_once = true;
	sweep(h, true);
	for (uint32_t g = 0; g < w->n_addrs; g++) {
		if (!same_boot)
			check_survived(h, g);
		check_hold(h, g);
	}
}

void check_died(struct host *h, bool power)
{
	struct check_side *cs = &h->w->check.side[h->side];

	cs->up_once = false; /* what memory said beyond the disk may be unsaid: epochs are judged by
				the disk */
	if (!power)
		return;
	cs->boot_at = h->w->now;
	h->w->check.rebooted = true;
	for (uint32_t g = 0; g < h->w->n_addrs; g++)
		cs->holds[g].unsure = true;
}

void check_state_lost(struct host *h)
{
	struct check_side *cs = &h->w->check.side[h->side];

	h->w->check.books_lost = true;
	cs->lost_at = h->w->now;
	for (uint32_t g = 0; g < h->w->n_addrs; g++)
		cs->holds[g].orphan = true;
}

/* ---------------------------------------------------------------- the ledger */

bool check_licensed(const struct host *h, uint32_t gaddr, uint32_t sub, uint32_t sess)
{
	const struct check_side *cs = &h->w->check.side[h->side];
	const struct check_cell *cell = &cs->cells[gaddr];

	bool had = cell->use == IPSP_USE_USED && cell->sub == sub && cell->sess == sess;

	/* by force counts as well: an HA that hung may read it when that is healed */
	return cs->licensed_in_turn || (had ? cell->licensed : h->w->check.forced);
}

void check_answered(struct host *h, uint32_t gaddr, uint32_t sub, uint32_t sess, bool known)
{
	const struct check *check = &h->w->check;
	const struct check_hold *hold = &check->side[h->side].holds[gaddr];

	if (known || check->forced || check_licensed(h, gaddr, sub, sess) ||
	    (hold->ha && hold->sub == sub && hold->sess == sess))
		return;
	if (check->side[1 - h->side].licensed && h->w->hosts[1 - h->side].node)
		world_fail(h->w, "%c assigns %s to mn-%u while the other side has taken over",
			   h->letter, world_addr_text(h->w, gaddr), sub);
}

static void judge_both(struct world *w, uint32_t gaddr, const struct check_hold *here,
		       const struct check_hold *there)
{
	const struct check_hold *later = here->since > there->since ? here : there;
	bool same = here->sub == there->sub;

	world_trace(w, TRACE_FAULT, "%s is used by mn-%u on %s and by mn-%u on %s",
		    world_addr_text(w, gaddr), here->sub, here->ha->name, there->sub,
		    there->ha->name);
	/* one subscriber: what was held for it since its host was rebooted has moved with it */
	bool moved = same && (here->unsure || there->unsure);
	bool declared = w->check.one_role || later->licensed || w->check.forced || here->orphan ||
			there->orphan || moved;
	if (!declared)
		world_fail(w, "%s is used by mn-%u on %s and by mn-%u on %s",
			   world_addr_text(w, gaddr), here->sub, here->ha->name, there->sub,
			   there->ha->name);
	world_hit(w, same ? FAULT_SAW_SAME : FAULT_SAW_DUPLICATE);
}

/* durability = "power" is an option of IPSP: a context without it has none */
static bool flushes_first(const struct host *h)
{
	return h->conf.psp.durability == IPSP_DURABLE_POWER &&
	       h->w->check.side[h->side].status.configured_role != IPSP_ROLE_NONE;
}

void check_taken(struct ha *ha, uint32_t gaddr, uint32_t sub, uint32_t sess, sim_us emitted,
		 bool licensed)
{
	struct world *w = ha->w;
	struct check_side *cs = &w->check.side[ha->side];
	struct check_hold *hold = &cs->holds[gaddr];
	struct check_hold *there = &w->check.side[1 - ha->side].holds[gaddr];
	const struct check_cell *cell = &cs->cells[gaddr];
	bool mine = hold->ha == ha && hold->sub == sub && hold->sess == sess;

	if (((hold->ha && !mine) || there->ha) && (emitted < cs->lost_at || emitted < cs->boot_at))
		return; /* read late by an HA that hung: the daemon has forgotten it, the HA learns
			   that when it attaches */
	if (hold->ha && !mine && !hold->orphan && !hold->unsure)
		world_fail(w, "%s is used by mn-%u on %s and by mn-%u on %s, of one side",
			   world_addr_text(w, gaddr), sub, ha->name, hold->sub, hold->ha->name);
	/* what its daemon had forgotten, or only held for it, is given to it anew */
	const bool anew = !mine || hold->orphan || hold->unsure;
	if (anew)
		*hold = (struct check_hold){.ha = ha,
					    .sub = sub,
					    .sess = sess,
					    .emitted = emitted,
					    .licensed = licensed,
					    .flushed = flushes_first(&w->hosts[ha->side])};
	hold->orphan = emitted < cs->lost_at;
	hold->unsure = emitted < cs->boot_at;
	bool known = cell->use != IPSP_USE_FREE && cell->sub == sub;
	if (hold->unsure && !known)
		hold->orphan = true; /* read so late that nothing is held for it any more */
	hold->since =
		known && cell->use == IPSP_USE_USED && cell->sess == sess && cell->used_at < emitted
			? cell->used_at
			: emitted;
	if (anew && there->ha)
		judge_both(w, gaddr, hold, there);
	if (anew && there->ha && there->unsure)
		there->orphan = true; /* its daemon has given the address away: all that comes of it
					 is declared */
	check_hold(&w->hosts[ha->side], gaddr);
}

void check_ended(struct ha *ha, uint32_t gaddr, uint32_t sub, uint32_t sess)
{
	struct check_hold *hold = &ha->w->check.side[ha->side].holds[gaddr];

	if (hold->ha == ha && hold->sub == sub && hold->sess == sess)
		*hold = (struct check_hold){0};
}

void check_confirmed(struct ha *ha, const struct ha_session *s, sim_us emitted)
{
	const struct check_side *cs = &ha->w->check.side[ha->side];
	struct check_hold *hold = &ha->w->check.side[ha->side].holds[s->gaddr];

	/* its answer was read late, see check_taken, but the daemon has not forgotten it */
	if (!hold->ha && emitted >= cs->lost_at && emitted >= cs->boot_at)
		check_taken(ha, s->gaddr, s->sub, s->sess, emitted, cs->licensed_at > 0);
	if (hold->ha != ha)
		return;
	/* read late by an HA that hung: the daemon said it before it lost its state, or its host */
	hold->orphan = hold->orphan && emitted < cs->lost_at;
	hold->unsure = hold->unsure && emitted < cs->boot_at;
}

/* ---------------------------------------------------------------- memory and disk */

static void say_difference(struct host *h, const struct ipsp_node *other, const char *whence)
{
	struct world *w = h->w;
	uint32_t g = 0;

	for (unsigned p = 0; p < w->n_pools; p++) {
		for (uint32_t i = 0; g < w->pool_start[p + 1]; i++, g++) {
			struct ipsp_address_view a, b;

			ipsp_node_address(h->node, w->pool_of[p], i, &a);
			ipsp_node_address(other, w->pool_of[p], i, &b);
			if (a.own != b.own || a.use != b.use || a.flags != b.flags)
				world_fail(w,
					   "%c: %s: memory says own %d use %d flags %d, %s says "
					   "own %d use %d flags %d",
					   h->letter, world_addr_text(w, g), a.own, a.use, a.flags,
					   whence, b.own, b.use, b.flags);
		}
	}
	world_fail(w, "%c: memory and %s differ, not in the addresses", h->letter, whence);
}

static void compare(struct host *h, const struct disk_log *log, const char *whence)
{
	struct ipsp_node *node = disk_replay(h, log, NULL);
	bool same = ipsp_node_digest(node) == ipsp_node_digest(h->node);

	h->w->check.n_replays++;
	if (!same)
		say_difference(h, node, whence); /* leaks the node: the run ends here */
	ipsp_node_free(node);
}

void check_replay(struct host *h)
{
	compare(h, &h->disk.log, "the log");
}

void check_snapshot(struct host *h)
{
	struct disk_log log = {0};
	struct ipsp_buf recs = {0};
	uint64_t cursor = 0;

	while (ipsp_node_snapshot(h->node, &cursor, 200, &recs))
		continue;
	disk_log_append(&log, recs.data, recs.len, SIZE_MAX);
	ipsp_buf_fini(&recs);
	compare(h, &log, "a snapshot");
	disk_log_fini(&log);
}
