/*
 * judge - the invariants of a tiny world, looked at after every turn; see docs/requirements.md,
 * "The invariants". Stricter than the swarm's (check.c): what its hosts do by chance and may be
 * excused for doesn't happen here.
 */
#include "shell.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char tiny_failure[400];

void judge_fail(const struct tiny *w, const char *format, ...)
{
	va_list ap;

	(void)w;
	if (tiny_failure[0] != '\0')
		return; /* the first one is the cause */
	va_start(ap, format);
	vsnprintf(tiny_failure, sizeof(tiny_failure), format, ap);
	va_end(ap);
}

/* ---------------------------------------------------------------- role, epoch, licence */

static struct ipsp_status status_of(const struct tiny *w, const struct side *s)
{
	struct ipsp_status st;

	ipsp_node_status(s->node, w->now, &st);
	return st;
}

void judge_look(struct tiny *w, struct side *s)
{
	struct ipsp_status st = status_of(w, s);

	if (s->up_once && st.epoch < s->epoch && !w->books_lost)
		judge_fail(w, "%c: the epoch went from %llu back to %llu", s->letter,
			   (unsigned long long)s->epoch, (unsigned long long)st.epoch);
	s->epoch = st.epoch;
	s->up_once = true;
	s->licensed_before = s->licensed;
	s->licensed = st.state == IPSP_ST_PEER_DOWN;
	if (st.last_heard_ms != IPSP_NEVER)
		s->heard_at = w->now - st.last_heard_ms;
}

/* One has taken over: then the other assigns nothing, if it hasn't too. This is the lease. */
static void judge_lease(struct tiny *w)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct side *s = &w->sides[i], *o = &w->sides[1 - i];

		if (s->node && s->licensed && o->node && !o->licensed && status_of(w, o).serving)
			judge_fail(w, "%c has taken over while %c serves by its lease", s->letter,
				   o->letter);
	}
}

/* ---------------------------------------------------------------- the books */

static bool wrong(const struct tiny *w, unsigned a)
{
	uint8_t p = w->sides[P].cells[a].own, s = w->sides[S].cells[a].own;

	return p == s && p != IPSP_OWN_TRANSIT;
}

static void look_at_addresses(struct tiny *w, struct side *s)
{
	for (unsigned a = 0; a < ADDRS; a++) {
		struct ipsp_address_view view;
		struct cell *c = &s->cells[a];

		ipsp_node_address(s->node, 0, a, &view);
		c->own = (uint8_t)view.own;
		c->use = (uint8_t)view.use;
		c->sub = view.bind.kind == IPSP_BIND_NONE
				 ? 0
				 : (uint8_t)(view.bind.ident.subscriber[1] - '0');
		/* what the HA was told it has, the node has too (invariant 3) */
		if (s->ha.sessions[a] != 0 &&
		    (c->use != IPSP_USE_USED || c->sub != s->ha.sessions[a]))
			judge_fail(w, "%c: address %c is used by u%u, and the node doesn't know",
				   s->letter, 'A' + (int)a, s->ha.sessions[a]);
	}
}

static void judge_books(struct tiny *w)
{
	static const char *const words[] = {"owned", "the peer's", "on its way"};

	for (unsigned a = 0; a < ADDRS && !w->books_lost; a++) {
		if (wrong(w, a))
			judge_fail(w, "address %c: P says %s, S says %s", 'A' + (int)a,
				   words[w->sides[P].cells[a].own],
				   words[w->sides[S].cells[a].own]);
	}
}

/* A wiped side has its books again: both serve, and all is whole. */
static void judge_regained(struct tiny *w)
{
	bool whole = w->books_lost;

	for (unsigned a = 0; a < ADDRS; a++)
		whole = whole && !wrong(w, a);
	for (unsigned i = 0; i < 2 && whole; i++) {
		struct ipsp_status st;

		if (!w->sides[i].node)
			return;
		st = status_of(w, &w->sides[i]);
		whole = st.state == IPSP_ST_ACTIVE && st.serving;
	}
	if (whole)
		w->books_lost = false;
}

void judge_turn(struct tiny *w, struct side *s)
{
	look_at_addresses(w, s);
	judge_books(w);
	judge_lease(w);
	judge_regained(w);
	ipsp_node_check(s->node);
}

void judge_started(struct tiny *w, struct side *s)
{
	uint64_t epoch = status_of(w, s).epoch;

	if (epoch < s->disk.durable_epoch)
		judge_fail(w, "%c: epoch %llu was flushed, %llu is back after the restart",
			   s->letter, (unsigned long long)s->disk.durable_epoch,
			   (unsigned long long)epoch);
}

/* Who assigns without a licence assigns what nobody has (invariant 1; with one, it is declared). */
void judge_assigned(struct tiny *w, struct side *s, unsigned addr, unsigned sub)
{
	const struct side *o = &w->sides[1 - s->number];

	if (s->licensed || s->licensed_before)
		return;
	/* the same of one that has shared nothing, and so takes over without a licence */
	if (!status_of(w, s).shared && w->now - s->heard_at >= DEAD_MS)
		return;
	if (o->ha.sessions[addr] != 0)
		judge_fail(w, "%c assigns %c to u%u while u%u has it at %c", s->letter,
			   'A' + (int)addr, sub, o->ha.sessions[addr], o->letter);
	if (o->node && o->licensed)
		judge_fail(w, "%c assigns %c to u%u while %c has taken over", s->letter,
			   'A' + (int)addr, sub, o->letter);
}

void judge_replay(struct tiny *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->sides[i];
		struct ipsp_node *node;

		if (!s->node)
			continue;
		node = shell_replay(w, s, false);
		if (ipsp_node_digest(node) != ipsp_node_digest(s->node))
			judge_fail(w, "%c: memory and the log differ", s->letter);
		ipsp_node_free(node);
	}
}

/* ---------------------------------------------------------------- at rest (invariants 2 and 5) */

static const char *rest_of_side(const struct tiny *w, unsigned i)
{
	const struct side *s = &w->sides[i], *o = &w->sides[1 - i];
	struct ipsp_status st, other;

	if (!s->node || !o->node)
		return "a side is down";
	st = status_of(w, s);
	other = status_of(w, o);
	if (st.state != IPSP_ST_ACTIVE || st.peer_state != IPSP_PEER_UP)
		return i == P ? "P isn't active" : "S isn't active";
	if (!st.serving)
		return i == P ? "P doesn't serve" : "S doesn't serve";
	if (st.role == other.role || st.peer_role != other.role)
		return "the roles don't fit";
	if (st.epoch != other.epoch)
		return "the epochs differ";
	if (st.role_on_loan)
		return "the role is on loan";
	if (st.open_requests != 0 || s->ha.sub != 0)
		return "a request is open";
	if (st.duplicates_open != 0)
		return "a duplicate is open";
	if (st.sent != st.acked || st.sent != other.applied)
		return "an item isn't acknowledged";
	return NULL;
}

static const char *rest_of_address(const struct tiny *w, unsigned a)
{
	if (wrong(w, a))
		return "an address has two owners or none";
	if (w->sides[P].ha.sessions[a] != 0 && w->sides[S].ha.sessions[a] != 0)
		return "an address is used on both sides";
	for (unsigned i = 0; i < 2; i++) {
		const struct cell *c = &w->sides[i].cells[a];

		if (c->own == IPSP_OWN_TRANSIT)
			return "an address is on its way";
		if (c->own != IPSP_OWN_OURS && c->use != IPSP_USE_FREE)
			return "an address is used by the side that doesn't own it";
		if ((c->use == IPSP_USE_USED) != (w->sides[i].ha.sessions[a] != 0))
			return "a node and its HA don't agree on a session";
	}
	return NULL;
}

const char *judge_rest(const struct tiny *w)
{
	const char *why = NULL;

	for (unsigned i = 0; i < 2 && !why; i++)
		why = rest_of_side(w, i);
	for (unsigned a = 0; a < ADDRS && !why; a++)
		why = rest_of_address(w, a);
	return why;
}
