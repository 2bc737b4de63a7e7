#include "roots.h"
#include "core/node_int.h"
#include <stdlib.h>

/* ---------------------------------------------------------------- ways to get somewhere */

static void act(struct tiny *w, enum act_kind kind, unsigned side, unsigned arg)
{
	tiny_do(w, (struct act){(uint8_t)kind, (uint8_t)side, (uint8_t)arg});
}

static void rounds(struct tiny *w, unsigned n)
{
	for (; n > 0; n--)
		tiny_round(w);
}

typedef bool goal(const struct tiny *w);

static void until(struct tiny *w, goal *reached)
{
	for (unsigned i = 0; i < 60 && !reached(w); i++)
		tiny_round(w);
	if (!reached(w))
		judge_fail(w, "a root was not reached");
}

/* The same, but by one thing at a time: stops between two datagrams. */
static void creep_until(struct tiny *w, goal *reached)
{
	for (unsigned i = 0; i < 400 && !reached(w); i++) {
		struct act acts[ACTS_MAX], next = {.kind = ACT_TICK};
		unsigned n = tiny_acts(w, acts);

		for (unsigned k = n; k-- > 0;) {
			if (acts[k].kind == ACT_FLUSH || acts[k].kind == ACT_DELIVER)
				next = acts[k];
		}
		tiny_do(w, next);
	}
	if (!reached(w))
		judge_fail(w, "a root was not reached");
}

static bool at_rest(const struct tiny *w)
{
	return judge_rest(w) == NULL;
}

static bool s_over(const struct tiny *w)
{
	return w->sides[S].licensed;
}

static bool both_over(const struct tiny *w)
{
	return w->sides[P].licensed && w->sides[S].licensed;
}

static bool one_back(const struct tiny *w)
{
	return !both_over(w);
}

static bool none_over(const struct tiny *w)
{
	return !w->sides[P].licensed && !w->sides[S].licensed;
}

static bool duplicate_found(const struct tiny *w)
{
	return ipsp_node_stats(w->sides[P].node)->duplicates_found > 0 ||
	       ipsp_node_stats(w->sides[S].node)->duplicates_found > 0;
}

static bool both_serve(const struct tiny *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ipsp_status st;

		ipsp_node_status(w->sides[i].node, w->now, &st);
		if (!st.serving)
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- the roots */

static void cold(struct tiny *w)
{
	act(w, ACT_START, P, 0);
	act(w, ACT_START, S, 0);
}

static void shared(struct tiny *w)
{
	cold(w);
	until(w, at_rest);
}

static void settled(struct tiny *w)
{
	shared(w);
	act(w, ACT_REQUEST, S, 0);
	rounds(w, 1);
	for (unsigned a = 0; a < ADDRS; a++) {
		if (w->sides[S].ha.sessions[a] != 0)
			act(w, ACT_RELEASE, S, a);
	}
	until(w, at_rest);
}

static void busy(struct tiny *w)
{
	settled(w);
	act(w, ACT_REQUEST, S, 0);
	act(w, ACT_REQUEST, P, 0);
	until(w, at_rest);
}

static void p_dead(struct tiny *w)
{
	busy(w);
	act(w, ACT_KILL, P, 0);
	until(w, s_over);
	act(w, ACT_REQUEST, S, 0); /* what P's session has */
}

static void one_way(struct tiny *w)
{
	busy(w);
	act(w, ACT_CUT, 0, 2);
	until(w, s_over);
}

static void apart(struct tiny *w)
{
	busy(w);
	act(w, ACT_CUT, 0, 3);
	until(w, both_over);
	act(w, ACT_REQUEST, S, 0);
	act(w, ACT_REQUEST, P, 0);
}

/* A subscriber has moved during the cut: the same one has an address on both sides. */
static void moved(struct tiny *w)
{
	busy(w);
	act(w, ACT_CUT, 0, 3);
	until(w, both_over);
	for (unsigned a = 0; a < ADDRS; a++) {
		if (w->sides[P].ha.sessions[a] != 0)
			act(w, ACT_REQUEST, S, a + 1);
	}
	act(w, ACT_HEAL, 0, 0);
	creep_until(w, none_over);
}

static void meeting(struct tiny *w)
{
	apart(w);
	act(w, ACT_HEAL, 0, 0);
	creep_until(w, one_back);
}

static void reporting(struct tiny *w)
{
	meeting(w);
	creep_until(w, none_over);
}

static void dropping(struct tiny *w)
{
	reporting(w);
	creep_until(w, duplicate_found);
}

static void dropped(struct tiny *w)
{
	dropping(w);
	creep_until(w, both_serve); /* and no HA answers */
}

static void back(struct tiny *w)
{
	p_dead(w);
	act(w, ACT_START, P, 0);
	creep_until(w, none_over);
}

static void wiped_s(struct tiny *w)
{
	busy(w);
	act(w, ACT_WIPE, S, 0);
	act(w, ACT_START, S, 0);
}

static void wiped_p(struct tiny *w)
{
	busy(w);
	act(w, ACT_WIPE, P, 0);
	act(w, ACT_START, P, 0);
}

/* Rolled back: to when it owned one address, and both have changed hands since. */
static void rolled(struct tiny *w, unsigned side)
{
	busy(w);
	tiny_keep_log(w, side);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned a = 0; a < ADDRS; a++) {
			if (w->sides[i].ha.sessions[a] == 0)
				act(w, ACT_REQUEST, i, a + 1); /* a handoff each way */
			rounds(w, 1);
		}
	}
	until(w, at_rest);
	act(w, ACT_ROLL, side, 0);
	act(w, ACT_START, side, 0);
}

static void rolled_s(struct tiny *w)
{
	rolled(w, S);
}

static void rolled_p(struct tiny *w)
{
	rolled(w, P);
}

static bool s_is_primary(const struct tiny *w)
{
	return ipsp_node_conf(w->sides[S].node)->psp.enabled && at_rest(w) &&
	       w->sides[S].cells[0].own == IPSP_OWN_OURS &&
	       w->sides[S].cells[1].own == IPSP_OWN_OURS;
}

static bool s_has_left(const struct tiny *w)
{
	return !ipsp_node_conf(w->sides[S].node)->psp.enabled;
}

/* S owns all, has a session, and serves alone; P has an empty disk, and S is enabled again. */
static void parted(struct tiny *w)
{
	settled(w);
	w->left.commands++;
	act(w, ACT_TAKEOVER, S, 0);
	until(w, s_is_primary);
	act(w, ACT_REQUEST, S, 0);
	rounds(w, 1);
	act(w, ACT_LEAVE, S, 0);
	until(w, s_has_left);
	act(w, ACT_WIPE, P, 0);
	act(w, ACT_ENABLE, S, 0);
	act(w, ACT_START, P, 0);
}

/* ... and not even a loss of power makes it forget: before that it is one with an empty disk. */
static bool p_knows(const struct tiny *w)
{
	struct ipsp_status st;

	ipsp_node_status(w->sides[P].node, w->now, &st);
	return st.held && w->sides[P].disk.durable == w->sides[P].disk.log.len;
}

static void held(struct tiny *w)
{
	parted(w);
	creep_until(w, p_knows);
}

static void draining(struct tiny *w)
{
	busy(w);
	act(w, ACT_DRAIN, P, 0);
	rounds(w, 1);
}

static bool p_told_its_half(const struct tiny *w)
{
	return w->sides[P].node->seal.chain.told;
}

/* Both find that the keys of the session are an hour old. */
static void renewing(struct tiny *w)
{
	busy(w);
	for (unsigned i = 0; i < 2; i++) {
		struct ipsp_node *n = w->sides[i].node;

		n->renew.since = n->now - n->conf.psp.renew_ms;
	}
	creep_until(w, p_told_its_half);
}

#define LEFT(...) .left = {__VA_ARGS__}

const struct root roots[] = {
	{"cold", "both have just started for the first time", cold,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 1), false},
	{"settled", "at rest, each owns an address, no session", settled,
	 LEFT(.crashes = 1, .cuts = 1, .repeats = 1, .requests = 3, .releases = 2), false},
	{"busy", "at rest, each owns an address with a session on it", busy,
	 LEFT(.crashes = 1, .cuts = 1, .repeats = 1, .requests = 2, .releases = 2), false},
	{"roles", "at rest, and roles are about to change by command", settled,
	 LEFT(.crashes = 1, .requests = 2, .releases = 1, .commands = 2), false},
	{"draining", "P is drained, both have a session", draining,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 1, .releases = 2), false},
	{"renewing", "at rest, both have a session, and P has said its half of the next keys",
	 renewing, LEFT(.crashes = 1, .cuts = 1, .repeats = 1, .requests = 1, .releases = 1),
	 false},
	{"p-dead", "P's process died, S has taken over and uses P's address", p_dead,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"back", "the same, P is back, no licence is left", back,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"one-way", "S hears nothing and has taken over, P hears it", one_way,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 1), false},
	{"apart", "cut, both have taken over and use both addresses", apart,
	 LEFT(.crashes = 1, .requests = 2, .releases = 2), false},
	{"moved", "healed after a cut in which P's subscriber moved to S, nothing is compared yet",
	 moved, LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"meeting", "apart, healed, and one has heard the other", meeting,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"reporting", "the same, both have, nothing is compared yet", reporting,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"dropping", "the same, the first duplicate has been found", dropping,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"dropped", "the same, both serve, and no HA has released its duplicate", dropped,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 2), false},
	{"wiped-s", "S has lost its disk, and starts", wiped_s,
	 LEFT(.crashes = 1, .requests = 2, .releases = 1), true},
	/* S neither dies nor is cut off meanwhile: that is not covered, see docs/protocol.md */
	{"wiped-p", "P has lost its disk, and starts", wiped_p, LEFT(.requests = 3, .releases = 2),
	 true},
	{"parted", "S has left with all and is enabled again; P has lost its disk, and starts",
	 parted, LEFT(.requests = 3, .releases = 2), true},
	{"held", "the same, and P has just heard that S has a session", held,
	 LEFT(.crashes = 1, .cuts = 1, .requests = 2, .releases = 1), false},
	{"rolled-s", "S has an earlier disk, and starts", rolled_s,
	 LEFT(.crashes = 1, .requests = 2, .releases = 1), true},
	{"rolled-p", "P has an earlier disk, and starts", rolled_p,
	 LEFT(.requests = 3, .releases = 2), true},
};
const unsigned n_roots = sizeof(roots) / sizeof(roots[0]);

struct tiny *root_new(const struct root *root)
{
	struct tiny *w = tiny_new();

	root->make(w);
	w->left = root->left;
	w->gentle = root->gentle;
	return w;
}
