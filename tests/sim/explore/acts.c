/* acts - what may happen in a tiny world, and its happening. */
#include "core/node_int.h"
#include "shell.h"
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- acts */

static void deliver(struct tiny *w, struct side *s, unsigned i, bool leave)
{
	struct flight *f = &w->to[s->number];
	struct dgram *d = f->dgrams[i];
	struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = d->bytes, .n_bytes = d->n};
	const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	bool again = d->again;
	uint64_t before = 0;

	if (leave)
		d->again = true;
	else
		shell_take(f, i);
	if (again) { /* what a turn brings about by itself is done before */
		shell_turn(w, s, &tick);
		before = ipsp_node_digest(s->node);
	}
	shell_turn(w, s, &ev);
	if (again && ipsp_node_digest(s->node) != before)
		judge_fail(w, "%c: a datagram that came before changed the state", s->letter);
	if (!leave)
		free(d);
}

/* One who has no session: each side has its own, so that the order in which two ask is of no
 * matter. */
static unsigned fresh_sub(const struct tiny *w, const struct side *s)
{
	for (unsigned sub = 1 + s->number; sub <= SUBS; sub += 2) {
		bool taken = false;

		for (unsigned i = 0; i < 2; i++) {
			const struct ha *ha = &w->sides[i].ha;

			taken = taken || ha->sub == sub;
			for (unsigned a = 0; a < ADDRS; a++)
				taken = taken || ha->sessions[a] == sub;
		}
		if (!taken)
			return sub;
	}
	return 0;
}

/* Who would ask at @s for address @a: who has it on the other side, which is a handoff, or anybody.
 */
static unsigned sub_for(const struct tiny *w, const struct side *s, unsigned a)
{
	unsigned sub = w->sides[1 - s->number].ha.sessions[a];

	for (unsigned i = 0; i < ADDRS && sub; i++) {
		if (s->ha.sessions[i] == sub)
			return 0;
	}
	return sub ? sub : fresh_sub(w, s);
}

static void request(struct tiny *w, struct side *s, unsigned arg)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = shell_token(s), .id = ++s->ha.id};

	s->ha.asked_id = ev.id;
	s->ha.sub = (uint8_t)(arg == 0 ? fresh_sub(w, s) : sub_for(w, s, arg - 1));
	ev.ident = shell_ident(s->ha.sub);
	if (arg != 0)
		ev.addr = shell_address(arg - 1);
	shell_turn(w, s, &ev);
}

/* @asked: it answers a release event, and doesn't say which one. */
static void end_session(struct tiny *w, struct side *s, unsigned a, bool asked)
{
	struct ipsp_event ev = {.type = asked ? IPSP_EV_RELEASED : IPSP_EV_RELEASE,
				.token = shell_token(s),
				.id = asked ? 0 : ++s->ha.id,
				.addr = shell_address(a)};

	s->ha.sessions[a] = 0;
	s->ha.asked[a] = false;
	shell_turn(w, s, &ev);
}

static void command(struct tiny *w, struct side *s, enum ipsp_command command)
{
	struct ipsp_event ev = {
		.type = IPSP_EV_COMMAND, .command = command, .token = 1, .id = ++s->ha.id};

	shell_turn(w, s, &ev);
}

static void reload(struct tiny *w, struct side *s)
{
	struct ipsp_event ev = {
		.type = IPSP_EV_CONF, .conf = &s->conf, .token = 1, .id = ++s->ha.id};

	shell_turn(w, s, &ev);
}

/* One hello interval in which nothing is lost and nobody is slow. */
void tiny_round(struct tiny *w)
{
	ipsp_ms end = w->now + HELLO_MS, due;
	unsigned n = 0;

	while (tiny_failure[0] == '\0') {
		bool any = shell_flush_all(w);

		for (unsigned i = 0; i < 2; i++) {
			struct side *s = &w->sides[i];

			while (s->node && w->to[i].n > 0 && tiny_failure[0] == '\0') {
				deliver(w, s, 0, false);
				any = true;
			}
			for (unsigned a = 0; a < ADDRS && s->node; a++) {
				if (!s->ha.asked[a])
					continue;
				end_session(w, s, a, true);
				any = true;
			}
		}
		if (any && ++n > STORM)
			judge_fail(w, "the two never stop talking");
		if (any)
			continue;
		if (!shell_next_due(w, &due) || due > end)
			break;
		shell_run(w, due > w->now ? due : w->now, false);
	}
	if (w->now < end)
		shell_pass(w, end - w->now);
}

/* What would change nothing, whenever it came, needn't be tried. */
static void tidy(struct tiny *w)
{
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = w->to[i].n; k-- > 0;) {
			if (!tiny_is_void(w, i, w->to[i].dgrams[k]))
				continue;
			free(w->to[i].dgrams[k]);
			shell_take(&w->to[i], k);
		}
	}
}

static void heal(struct tiny *w)
{
	w->to[P].cut = w->to[S].cut = false;
}

void tiny_do(struct tiny *w, struct act act)
{
	struct side *s = &w->sides[act.side];

	switch ((enum act_kind)act.kind) {
	case ACT_DELIVER:
		deliver(w, s, act.arg, false);
		break;
	case ACT_REPEAT:
		w->left.repeats--;
		deliver(w, s, act.arg, true);
		break;
	case ACT_FLUSH:
		shell_flushed(w, s);
		break;
	case ACT_REQUEST:
		w->left.requests--;
		request(w, s, act.arg);
		break;
	case ACT_RELEASE:
		w->left.releases--;
		end_session(w, s, act.arg, false);
		break;
	case ACT_ANSWER:
		end_session(w, s, act.arg, true);
		break;
	case ACT_KILL:
		w->left.crashes--;
		shell_kill(w, s);
		break;
	case ACT_POWER:
		w->left.crashes--;
		shell_power_off(w, s);
		break;
	case ACT_WIPE:
	case ACT_ROLL:
		shell_power_off(w, s);
		shell_lose_disk(w, s, act.kind == ACT_ROLL);
		break;
	case ACT_START:
		shell_start(w, s);
		break;
	case ACT_CUT:
		w->left.cuts--;
		for (unsigned i = 0; i < 2; i++) {
			w->to[i].cut = act.arg >> i & 1;
			if (w->to[i].cut)
				shell_lose(&w->to[i]);
		}
		break;
	case ACT_HEAL:
		heal(w);
		break;
	case ACT_TICK:
		shell_pass(w, HELLO_MS);
		break;
	case ACT_WAIT:
		shell_pass(w, WAIT_MS);
		break;
	case ACT_ROUND:
		tiny_round(w);
		break;
	case ACT_DRAIN:
		w->left.commands--;
		command(w, s, IPSP_CMD_DRAIN);
		break;
	case ACT_UNDRAIN:
		command(w, s, IPSP_CMD_UNDRAIN);
		break;
	case ACT_TAKEOVER:
		w->left.commands--;
		command(w, s, IPSP_CMD_TAKEOVER);
		break;
	case ACT_LEAVE:
		command(w, s, IPSP_CMD_DISABLE);
		break;
	case ACT_ENABLE:
		reload(w, s);
		break;
	case ACT_KINDS:
		break;
	}
	if (tiny_failure[0] == '\0')
		shell_settle(w);
	tidy(w);
}

/* ---------------------------------------------------------------- what may happen next */

struct list {
	struct act *acts;
	unsigned n;
};

static void add(struct list *l, enum act_kind kind, unsigned side, unsigned arg)
{
	if (l->n == ACTS_MAX)
		abort();
	l->acts[l->n++] = (struct act){(uint8_t)kind, (uint8_t)side, (uint8_t)arg};
}

static void acts_of_sessions(const struct tiny *w, const struct side *s, struct list *l)
{
	unsigned i = s->number;

	if (w->left.requests > 0 && s->ha.sub == 0) {
		if (fresh_sub(w, s) != 0)
			add(l, ACT_REQUEST, i, 0);
		for (unsigned a = 0; a < ADDRS; a++) {
			const struct cell *c = &s->cells[a];

			/* one that is free here is given to whoever asks for any */
			if (s->ha.sessions[a] == 0 && sub_for(w, s, a) != 0 &&
			    !(c->own == IPSP_OWN_OURS && c->use == IPSP_USE_FREE))
				add(l, ACT_REQUEST, i, a + 1);
		}
	}
	for (unsigned a = 0; a < ADDRS; a++) {
		if (s->ha.asked[a])
			add(l, ACT_ANSWER, i, a);
		if (w->left.releases > 0 && s->ha.sessions[a] != 0)
			add(l, ACT_RELEASE, i, a);
	}
}

static void acts_of_side(const struct tiny *w, const struct side *s, struct list *l)
{
	const struct flight *f = &w->to[s->number];
	unsigned i = s->number;

	if (!s->node) {
		add(l, ACT_START, i, 0);
		return;
	}
	for (unsigned k = 0; k < f->n; k++)
		add(l, ACT_DELIVER, i, k);
	for (unsigned k = 0; k < f->n && w->left.repeats > 0; k++) {
		if (!f->dgrams[k]->again)
			add(l, ACT_REPEAT, i, k);
	}
	if (s->disk.flushing)
		add(l, ACT_FLUSH, i, 0);
	acts_of_sessions(w, s, l);
	if (w->left.crashes > 0) {
		add(l, ACT_KILL, i, 0);
		add(l, ACT_POWER, i, 0);
	}
	if (w->left.commands > 0) {
		add(l, ACT_DRAIN, i, 0);
		add(l, ACT_TAKEOVER, i, 0);
	}
}

unsigned tiny_acts(const struct tiny *w, struct act acts[ACTS_MAX])
{
	struct list l = {.acts = acts};
	bool cut = w->to[P].cut || w->to[S].cut;

	for (unsigned i = 0; i < 2; i++)
		acts_of_side(w, &w->sides[i], &l);
	if (!cut && w->left.cuts > 0) {
		for (unsigned how = 1; how <= 3; how++)
			add(&l, ACT_CUT, 0, how);
	}
	if (cut)
		add(&l, ACT_HEAL, 0, 0);
	if (!w->gentle) {
		add(&l, ACT_TICK, 0, 0);
		add(&l, ACT_WAIT, 0, 0);
	}
	add(&l, ACT_ROUND, 0, 0);
	return l.n;
}

struct act tiny_natural(const struct tiny *w)
{
	for (uint8_t i = 0; i < 2; i++) {
		if (w->sides[i].node && w->sides[i].disk.flushing)
			return (struct act){ACT_FLUSH, i, 0};
	}
	for (uint8_t i = 0; i < 2; i++) {
		if (w->sides[i].node && w->to[i].n > 0)
			return (struct act){ACT_DELIVER, i, 0};
	}
	for (uint8_t i = 0; i < 2; i++) {
		for (uint8_t a = 0; a < ADDRS; a++) {
			if (w->sides[i].node && w->sides[i].ha.asked[a])
				return (struct act){ACT_ANSWER, i, a};
		}
	}
	return (struct act){w->gentle ? ACT_ROUND : ACT_TICK, 0, 0};
}
