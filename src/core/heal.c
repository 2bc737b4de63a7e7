/*
 * heal - two sides that have both assigned come to one view again.
 *
 * Whoever had a licence puts a report into its stream of every address that it uses and the books
 * don't give it; the owner answers each with a GIVE, or with a DROP when its own session is another
 * subscriber's; a DROP is answered by DROPPED when the session there has ended, and until then the
 * owner gives the address to nobody.
 */
#include "core/duplicates.h"

#include <string.h>

/* --------------------------------------------------------------- the owner */

static bool same_subscriber(const struct ipsp_bind *b, const struct ipsp_set_entry *e)
{
	return b->ident.n_subscriber == e->n_subscriber &&
	       memcmp(b->ident.subscriber, e->subscriber, e->n_subscriber) == 0;
}

static void give_one(struct ipsp_node *n, struct ipsp_item_writer *w, bool *open, uint16_t pool,
		     uint32_t index)
{
	if (*open && ipsp_item_add_run(w, index, 1))
		return;
	if (*open)
		ipsp_rec_out(n, w);
	ipsp_item_begin(w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, 0, pool, IPSP_SET_RUNS);
	ipsp_item_add_run(w, index, 1);
	*open = true;
}

static void say_found(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_set_entry *e)
{
	const struct ipsp_addr addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
	char text[IPSP_ADDR_TEXT_MAX];
	struct ipsp_bind b;

	n->stats.duplicates_found++;
	if (ipsp_place_used(n, at, &b))
		ipsp_say_each(
			n, IPSP_LOG_ERROR,
			"duplicate: %s is used here by %.*s and at the peer by %.*s; the peer "
			"drops it",
			ipsp_addr_text(addr, text, sizeof text), b.ident.n_subscriber,
			b.ident.subscriber, e->n_subscriber, e->subscriber);
	ipsp_out_trap(n, IPSP_TRAP_DUPLICATE_FOUND, addr);
	ipsp_out_hook(n, IPSP_HOOK_DUPLICATE, addr);
}

/* The same on the side whose session is to end. */
static void say_to_drop(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b)
{
	const struct ipsp_addr addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
	char text[IPSP_ADDR_TEXT_MAX];

	ipsp_say_each(n, IPSP_LOG_ERROR,
		      "duplicate: the session of %.*s on %s is to end: the peer, which owns the "
		      "address, has another one there",
		      b->ident.n_subscriber, b->ident.subscriber,
		      ipsp_addr_text(addr, text, sizeof text));
	ipsp_out_trap(n, IPSP_TRAP_DUPLICATE_FOUND, addr);
}

void ipsp_heal_resolved(struct ipsp_node *n, struct ipsp_place at, const char *how)
{
	const struct ipsp_addr addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
	char text[IPSP_ADDR_TEXT_MAX];

	ipsp_say_each(n, IPSP_LOG_NOTICE, "duplicate resolved: %s %s",
		      ipsp_addr_text(addr, text, sizeof text), how);
	ipsp_out_trap(n, IPSP_TRAP_DUPLICATE, addr);
}

static void drop_one(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_set_entry *e)
{
	struct ipsp_item_writer w;

	if (ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_DUP &&
	    n->side.acked < n->side.sent)
		return; /* it is told already, or will be told again when it reports again */
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_DROP, 0, 0, at.pool, IPSP_SET_WHO);
	ipsp_item_add_who(&w, at.index, e->subscriber, e->n_subscriber);
	if (!(ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_DUP)) {
		ipsp_duplicates_found(n, at, true, e->subscriber, e->n_subscriber);
		say_found(n, at, e);
	}
	ipsp_rec_out(n, &w);
}

/*
 * What comes first from a peer that shares is an item that says so. One that reports before has
 * taken over by force of its operator: the books are whole, and from here on the two are a pair.
 */
static void shared_by_force(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	s.shared = true;
	s.owner = false;
	ipsp_rec_side(n, &s, true);
}

void ipsp_heal_on_report(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_item_writer w;
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;
	bool open = false;

	if (!n->side.shared && n->side.owner)
		shared_by_force(n);
	if (!n->duplicates.in_report)
		ipsp_duplicates_heal(n);
	n->duplicates.in_report = !(item->flags & IPSP_REPORT_END);
	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	struct ipsp_pool *pool = n->pools[item->pool];
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start >= n->conf.pools[item->pool].size ||
		    ipsp_pool_own(pool, e.start) != IPSP_OWN_OURS)
			continue; /* the reporter's already, or on its way to it */
		if (!ipsp_place_used(n, at, &b)) {
			if (ipsp_pool_flags(pool, e.start) & IPSP_ADDR_DUP)
				ipsp_heal_resolved(n, at,
						   "is the peer's now, as no session here has it");
			give_one(n, &w, &open, item->pool, e.start);
			continue;
		}
		if (open) /* numbers in order: what is open goes before */
			ipsp_rec_out(n, &w);
		open = false;
		if (same_subscriber(&b, &e)) {
			ipsp_rec_flag(n, at, IPSP_ADDR_OWED, true);
			ipsp_ha_ask(n, at, IPSP_REASON_HANDOFF, 0, IPSP_NEVER);
		} else {
			drop_one(n, at, &e);
		}
	}
	if (open)
		ipsp_rec_out(n, &w);
}

/* --------------------------------------------------------------- the reporter */

static void report_flush(struct ipsp_node *n, struct ipsp_item_writer *w, bool *open)
{
	if (*open)
		ipsp_rec_out(n, w);
	*open = false;
}

/* Every address that is used here and that the books don't give this side, into our stream. */
void ipsp_heal_report(struct ipsp_node *n)
{
	struct ipsp_item_writer w;
	uint32_t reported = 0;

	ipsp_duplicates_heal(n);
	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		bool open = false;
		if (ipsp_is_static(n, p) || c->peer_used + c->transit_used == 0)
			continue;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			struct ipsp_bind b;
			if (ipsp_pool_own(n->pools[p], i) == IPSP_OWN_OURS ||
			    !ipsp_place_used(n, (struct ipsp_place){p, i}, &b))
				continue;
			reported++;
			if (open &&
			    ipsp_item_add_who(&w, i, b.ident.subscriber, b.ident.n_subscriber))
				continue;
			report_flush(n, &w, &open);
			ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_REPORT, 0, 0, p,
					IPSP_SET_WHO);
			ipsp_item_add_who(&w, i, b.ident.subscriber, b.ident.n_subscriber);
			open = true;
		}
		report_flush(n, &w, &open);
	}
	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_REPORT, IPSP_REPORT_END, 0, IPSP_NO_POOL,
			IPSP_SET_WHO);
	ipsp_rec_out(n, &w);
	ipsp_say(n, IPSP_LOG_NOTICE, "reported %u addresses in use here that the peer owns",
		 reported);
}

bool ipsp_heal_reported(const struct ipsp_node *n)
{
	return n->side.acked >= n->side.report;
}

/* --------------------------------------------------------------- after a restart */

static void say_resolved(struct ipsp_node *n, struct ipsp_place at)
{
	n->stats.duplicates_resolved++;
	ipsp_heal_resolved(n, at, "was dropped here (before the restart)");
}

/* A report that was to be made with the first sharing, and of which the log has only a part, or
 * nothing: it is made again. Where a licence ends, its record stands behind the report. */
static void report_again(struct ipsp_node *n)
{
	if (n->side.shared && !n->side.licence && n->side.report == 0 &&
	    ipsp_flow_sums(n).foreign > 0)
		ipsp_heal_report(n);
}

/*
 * What was recorded in the turn in which the process was killed was not said any more. Nobody knows
 * what that was, so all is said again of which the peer has not said that it knows.
 */
static void say_again(struct ipsp_node *n)
{
	for (uint32_t i = 0; i < n->stream.n; i++) {
		const struct ipsp_out_item *o = ipsp_stream_nth(&n->stream, i);
		struct ipsp_set_entry e;
		struct ipsp_set_iter it;
		struct ipsp_item item;

		if (ipsp_item_again(ipsp_out_bytes(o), o->n, &item) != 0 ||
		    item.pool >= n->conf.n_pools)
			continue;
		for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);) {
			const struct ipsp_place at = {item.pool, e.start};
			if (item.type == IPSP_ITEM_DROP)
				say_found(n, at, &e);
			else if (item.type == IPSP_ITEM_DROPPED)
				say_resolved(n, at);
			else
				break;
		}
	}
}

void ipsp_heal_start(struct ipsp_node *n)
{
	say_again(n);
	ipsp_duplicates_start(n);
	report_again(n);
}

/* A report of either side has not been applied yet, as far as known here. */
bool ipsp_heal_pending(const struct ipsp_node *n)
{
	return !ipsp_heal_reported(n) || (n->peer.known && n->side.applied < n->peer.hello.report);
}

/* The session at @at, which the owner told us to drop, has ended. */
void ipsp_heal_dropped(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_DROPPED, 0, 0, at.pool, IPSP_SET_WHO);
	ipsp_item_add_who(&w, at.index, "", 0);
	ipsp_rec_out(n, &w);
}

/*
 * The same before this process has heard the peer, which may show that these books are behind: an
 * item made now would have a number that the peer knows for another, and hide it. Until the peer is
 * heard the address is kept back by a session that is nobody's: it has no subscriber, which no
 * request can have, and the address for its name. The one that has ended is free to come again.
 */
void ipsp_heal_drop_later(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b)
{
	char text[IPSP_ADDR_TEXT_MAX];
	struct ipsp_ident nobody = {.subscriber = "", .session = text};

	n->sweep_dropped = true;
	if (b->ident.n_subscriber == 0)
		return; /* it is already */
	ipsp_addr_text(ipsp_pool_addr(&n->conf.pools[at.pool], at.index), text, sizeof text);
	nobody.n_session = (uint8_t)strlen(text);
	ipsp_rec_take(n, at, 0, &nobody);
}

/* The peer was heard, and whose books are whole is known. */
void ipsp_heal_drop_now(struct ipsp_node *n)
{
	struct ipsp_bind b;

	if (!n->sweep_dropped)
		return;
	n->sweep_dropped = false;
	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND && n->n_duplicate > 0;
	     i = ipsp_binds_next(n->binds, i + 1))
		if (ipsp_binds_get(n->binds, i, &b) && b.kind == IPSP_BIND_SESSION && b.ha == 0 &&
		    b.flags & IPSP_BIND_DUPLICATE)
			ipsp_ha_end(n, (struct ipsp_place){b.pool, b.index}, false);
}

void ipsp_heal_on_drop(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start >= n->conf.pools[item->pool].size)
			continue;
		if (ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS ||
		    !ipsp_place_used(n, at, &b)) {
			ipsp_heal_dropped(n, at);
		} else if (!(b.flags & IPSP_BIND_DUPLICATE)) {
			ipsp_duplicates_found(n, at, false, NULL, 0);
			say_to_drop(n, at, &b);
		}
	}
}

/* The peer has dropped what it was told to. Before the record, which frees the address. */
void ipsp_heal_on_dropped(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->pool >= n->conf.n_pools || ipsp_is_static(n, item->pool))
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);)
		if (e.start < n->conf.pools[item->pool].size &&
		    ipsp_pool_flags(n->pools[item->pool], e.start) & IPSP_ADDR_DUP)
			ipsp_heal_resolved(n, (struct ipsp_place){item->pool, e.start},
					   "was dropped by the peer");
}

/* After the DROP's record: the HAs are asked (the sessions are marked by its effect). */
void ipsp_heal_ask(struct ipsp_node *n, const struct ipsp_item *item)
{
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;

	if (item->pool >= n->conf.n_pools)
		return;
	for (ipsp_set_begin(&it, item); ipsp_set_next(&it, &e);) {
		struct ipsp_place at = {item->pool, e.start};
		struct ipsp_bind b;
		if (e.start < n->conf.pools[item->pool].size && ipsp_place_used(n, at, &b) &&
		    b.flags & IPSP_BIND_DUPLICATE)
			ipsp_ha_ask(n, at, IPSP_REASON_DUPLICATE, 0, IPSP_NEVER);
	}
}
