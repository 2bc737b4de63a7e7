/* turn - see turn.h. */
#include "turn.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the steps */

static void step(struct host *h, const struct ipsp_event *ev)
{
	ipsp_node_step(h->node, ev, host_ms(h), &h->act);
	keys_look(h);
}

/* What the peer didn't send, or sent already, changes nothing (invariant 4). */
static void step_inert(struct host *h, const struct ipsp_event *ev)
{
	const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	uint64_t digest;

	step(h, &tick); /* so that what time alone brings about is done */
	digest = ipsp_node_digest(h->node);
	step(h, ev);
	if (ipsp_node_digest(h->node) != digest)
		world_fail(h->w, "%c: a datagram that is false or old changed the state",
			   h->letter);
}

static uint64_t dropped(const struct host *h)
{
	const struct ipsp_stats *s = ipsp_node_stats(h->node);

	return s->drop_short + s->drop_format + s->drop_version + s->drop_seal + s->drop_session +
	       s->drop_replay;
}

static void step_dgram(struct host *h, struct dgram *d)
{
	uint64_t before = dropped(h), of_session = ipsp_node_stats(h->node)->drop_session;
	struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = d->bytes, .n_bytes = d->n};
	bool inert = net_taken(h->w, h->side, d);

	if (h->n_socket > 0)
		h->n_socket--;
	if (inert && rand_below(&h->rand, 4) == 0)
		step_inert(h, &ev);
	else
		step(h, &ev);
	if (!inert && dropped(h) != before) /* of a session that isn't there yet, for example */
		net_not_taken(h->w, h->side, d);
	if (!inert && !d->altered && ipsp_node_stats(h->node)->drop_session != of_session)
		keys_dropped(h, d);
}

struct names { /* what those in struct ipc are on the wire */
	char sub[24], sess[24];
};

static struct ipsp_ident ident_of(struct names *to, const struct ipc *m)
{
	int n_sub = snprintf(to->sub, sizeof(to->sub), "mn-%u", m->sub);
	int n_sess = snprintf(to->sess, sizeof(to->sess), "s%u", m->sess);

	return (struct ipsp_ident){to->sub, to->sess, (uint8_t)n_sub, (uint8_t)n_sess, 0};
}

static void step_request(struct host *h, struct ha *ha, const struct ipc *m, struct ipsp_event *ev)
{
	struct names names;

	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		if (ha->requests[i].id == m->id)
			ha->requests[i].known = check_knows(h, m->sub, m->sess);
	}
	ev->ident = ident_of(&names, m);
	if (m->pool >= 0)
		ev->pool = h->conf.pools[h->w->pool_of[m->pool]].name;
	if (m->group >= 0)
		ev->group = h->conf.pools[h->w->pool_of[m->group]].group;
	if (m->id % 2) /* as the daemon does, and as others need not */
		ipsp_node_steps(h->node, ev, 1, host_ms(h), &h->act);
	else
		step(h, ev);
}

static void step_ipc(struct host *h, const struct ipc *m)
{
	struct ha *ha = &h->w->has[m->ha];
	struct ipsp_event ev = {.token = m->token, .id = m->id};
	struct names names;

	if (m->gaddr != NO_ADDR)
		ev.addr = world_addr(h->w, m->gaddr);
	switch (m->kind) {
	case IPC_ATTACH:
		ev.type = IPSP_EV_ATTACH;
		ev.ha_name = ha->name;
		break;
	case IPC_DETACH:
		ev.type = IPSP_EV_DETACH;
		break;
	case IPC_RELEASE:
		ev.type = IPSP_EV_RELEASE;
		if (m->named)
			ev.ident = ident_of(&names, m);
		break;
	case IPC_RELEASED:
		ev.type = IPSP_EV_RELEASED;
		if (m->named)
			ev.ident = ident_of(&names, m);
		break;
	case IPC_REQUEST:
		ev.type = IPSP_EV_REQUEST;
		step_request(h, ha, m, &ev);
		return;
	case IPC_LIST: /* the shell's own: answered at the end of the turn */
	case IPC_ANSWER:
	case IPC_DONE:
	case IPC_EVENT:
	case IPC_CANCELLED:
	case IPC_LISTED:
	case IPC_EOF:
		return;
	}
	step(h, &ev);
}

static void step_item(struct host *h, struct inbox_item *item)
{
	if (item->dgram)
		step_dgram(h, item->dgram);
	else if (item->ipc)
		step_ipc(h, item->ipc);
	else
		step(h, &item->ev);
}

/* ---------------------------------------------------------------- what they lead to */

static struct ha *ha_of(struct host *h, uint64_t token)
{
	for (unsigned i = 0; i < h->w->n_has; i++) {
		if (h->w->has[i].token == token && token != 0)
			return &h->w->has[i];
	}
	return NULL;
}

static void out_answer(struct host *h, const struct ipsp_out *out)
{
	struct ha *ha = ha_of(h, out->token);
	struct ipc m = {.kind = IPC_ANSWER, .id = out->id, .err = out->err, .gaddr = NO_ADDR};

	if (!ha)
		return;
	m.emitted = h->w->now;
	if (out->err == 0)
		m.gaddr = world_gaddr(h->w, out->addr);
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		const struct ha_request *r = &ha->requests[i];

		if (r->id != out->id || out->err != 0)
			continue;
		if (m.gaddr == NO_ADDR)
			world_fail(h->w, "%c: answered with an address of no pool", h->letter);
		m.licensed = check_licensed(h, m.gaddr, r->sub, r->sess);
		check_answered(h, m.gaddr, r->sub, r->sess, r->known);
	}
	ha_send(ha, m);
}

static uint32_t number_in(const struct ipsp_buf *bytes, size_t off, size_t len)
{
	uint32_t n = 0;

	for (size_t i = off; i < off + len; i++) {
		if (bytes->data[i] >= '0' && bytes->data[i] <= '9')
			n = 10 * n + (uint32_t)(bytes->data[i] - '0');
	}
	return n;
}

static void out_release(struct host *h, const struct ipsp_out *out)
{
	struct ha *ha = ha_of(h, out->token);

	if (ha)
		ha_send(ha, (struct ipc){.kind = IPC_EVENT,
					 .id = out->id,
					 .gaddr = world_gaddr(h->w, out->addr),
					 .sub = number_in(&h->act.bytes, out->off, out->len),
					 .sess = number_in(&h->act.bytes, out->off2, out->len2),
					 .reason = out->reason});
}

static void out_done(struct host *h, const struct ipsp_out *out)
{
	struct ha *ha = ha_of(h, out->token);

	if (ha) {
		ha_send(ha, (struct ipc){.kind = IPC_DONE,
					 .id = out->id,
					 .err = out->err,
					 .gaddr = NO_ADDR});
	} else if (out->token == HOST_OPERATOR) {
		h->command_err = out->err;
		snprintf(h->command_text, sizeof(h->command_text), "%s",
			 out->text ? out->text : "");
		if (out->id == h->forcing)
			h->forcing = 0;
		if (out->id == h->leaving_ipsp)
			h->leaving_ipsp = 0;
		world_trace(h->w, TRACE_ROLE, "%c done: %s", h->letter, ipsp_err_word(out->err));
	}
}

static void out_trap(struct host *h, enum ipsp_trap trap)
{
	static const char *const words[IPSP_TRAPS] = {
		[IPSP_TRAP_ALL_ADDRS_FREE] = "all-addrs-free",
		[IPSP_TRAP_PEER_UP] = "peer-up",
		[IPSP_TRAP_PEER_LOST] = "peer-lost",
		[IPSP_TRAP_PEER_DOWN] = "peer-down",
		[IPSP_TRAP_ROLE_CHANGE] = "role-change",
		[IPSP_TRAP_CONFIG_MISMATCH] = "config-mismatch",
		[IPSP_TRAP_DUPLICATE] = "duplicate",
		[IPSP_TRAP_SERVING_CHANGE] = "serving-change",
		[IPSP_TRAP_LINK_CHANGE] = "link-change",
		[IPSP_TRAP_PEER_STOPPED] = "peer-stopped",
		[IPSP_TRAP_DISK_FULL] = "disk-full",
		[IPSP_TRAP_DUPLICATE_FOUND] = "duplicate-found",
	};

	h->n_traps[trap]++;
	if (trap == IPSP_TRAP_ALL_ADDRS_FREE) {
		world_hit(h->w, FAULT_SAW_ZERO);
		h->w->all_free_at = h->w->now;
	}
	world_trace(h->w, TRACE_TRAP, "%c trap %s", h->letter, words[trap]);
}

static void out_hook(struct host *h, enum ipsp_hook hook)
{
	bool yes = h->w->hook_yes && !h->deaf_hook && !rand_chance(&h->rand, h->w->veto);

	h->n_hooks[hook]++;
	if (hook != IPSP_HOOK_TAKEOVER_CHECK)
		return;
	if (!yes)
		world_hit(h->w, FAULT_VETO);
	queue_put(&h->w->queue,
		  (struct sim_event){.at = h->w->now + rand_range(&h->rand, 1000, 300000),
				     .what = SIM_HOOK,
				     .side = h->side,
				     .gen = h->life,
				     .arg = yes});
}

static void carry_out(struct host *h, const struct ipsp_out *out)
{
	struct ha *ha;

	switch (out->type) {
	case IPSP_OUT_DATAGRAM:
		if (!h->link_down)
			net_send(h->w, 1 - h->side, h->act.bytes.data + out->off, out->len);
		break;
	case IPSP_OUT_ANSWER:
		out_answer(h, out);
		break;
	case IPSP_OUT_DONE:
		out_done(h, out);
		break;
	case IPSP_OUT_RELEASE:
		out_release(h, out);
		break;
	case IPSP_OUT_CANCELLED:
		ha = ha_of(h, out->token);
		if (ha)
			ha_send(ha, (struct ipc){.kind = IPC_CANCELLED,
						 .id = out->id,
						 .gaddr = world_gaddr(h->w, out->addr)});
		break;
	case IPSP_OUT_TRAP:
		out_trap(h, out->trap);
		break;
	case IPSP_OUT_HOOK:
		out_hook(h, out->hook);
		break;
	case IPSP_OUT_STOPPED:
		h->leaving = true;
		break;
	case IPSP_OUT_NOTE:
	case IPSP_OUT_STATE:
	case IPSP_OUT_TYPES:
		break;
	}
}

/* ---------------------------------------------------------------- written, then told */

/* True: the armed kill is due at @point; the process is gone then. */
static bool killed_at(struct host *h, enum kill_point point, enum sim_fault fault)
{
	if (h->armed != point)
		return false;
	world_hit(h->w, fault);
	host_kill(h);
	return true;
}

static bool write_down(struct host *h)
{
	struct ipsp_actions *act = &h->act;
	bool has_recs = act->recs.len > 0;

	if (has_recs && killed_at(h, KILL_POINT_BEFORE_WRITE, FAULT_KILL_BEFORE_WRITE))
		return false;
	if (act->lease_set) {
		h->disk.lease = act->lease;
		h->disk.lease_boot = h->boot;
	}
	h->disk.epoch = h->w->check.side[h->side].status.epoch;
	if (has_recs && h->armed == KILL_POINT_IN_WRITE) {
		disk_write(h, &act->recs, act->rec_seq, (unsigned)rand_below(&h->rand, 1000));
		return !killed_at(h, KILL_POINT_IN_WRITE, FAULT_KILL_IN_WRITE);
	}
	disk_write(h, &act->recs, act->rec_seq, 1000);
	if (act->want_flush)
		disk_flush(h);
	return !(has_recs && killed_at(h, KILL_POINT_AFTER_WRITE, FAULT_KILL_AFTER_WRITE));
}

static bool tell(struct host *h)
{
	size_t n = h->act.n_outs;

	if (n > 0 && h->armed == KILL_POINT_IN_OUTS)
		n = rand_below(&h->rand, n);
	for (size_t i = 0; i < n; i++)
		carry_out(h, &h->act.outs[i]);
	if (n < h->act.n_outs && killed_at(h, KILL_POINT_IN_OUTS, FAULT_KILL_IN_OUTS))
		return false;
	if (h->disk.flushing && h->armed == KILL_POINT_IN_FLUSH) {
		host_kill(h);
		return false;
	}
	return true;
}

static void send_lists(struct host *h)
{
	for (size_t i = 0; i < h->n_items; i++) {
		const struct ipc *m = h->inbox[i].ipc;
		struct ipsp_session_view view;
		struct ipc *list;
		uint32_t cursor = 0;

		if (!m || m->kind != IPC_LIST || m->token != h->w->has[m->ha].token)
			continue;
		list = calloc(1, sizeof(*list) + h->w->n_addrs * sizeof(list->list[0]));
		if (!list)
			abort();
		list->kind = IPC_LISTED;
		while (ipsp_node_session(h->node, &cursor, &view)) {
			struct ipc_session s = {NO_ADDR, NO_ADDR, world_gaddr(h->w, view.addr)};

			if (strcmp(view.ha, h->w->has[m->ha].name) != 0)
				continue;
			check_ident(&view.bind.ident, &s.sub, &s.sess);
			if (list->n < h->w->n_addrs)
				list->list[list->n++] = s;
		}
		ha_send_list(&h->w->has[m->ha], list);
	}
}

static void show_notes(struct host *h)
{
	const struct ipsp_notes *notes = ipsp_node_notes(h->node);
	const struct ipsp_note *note;

	for (uint64_t n = h->notes_shown + 1; n <= notes->last; n++) {
		note = ipsp_note_get(notes, n);
		if (note)
			world_trace(h->w, TRACE_NOTES, "%c   (%s)", h->letter, note->text);
	}
	h->notes_shown = notes->last;
}

/* ---------------------------------------------------------------- a whole one */

static void schedule(struct host *h)
{
	ipsp_ms due = ipsp_node_due(h->node);
	sim_us at = host_when(h, due);

	if (h->n_inbox > 0) {
		host_wake(h, 0);
	} else if (at != SIM_NEVER) {
		/* at once is allowed, for ever isn't: a due time that no step satisfies would stop
		 * the world */
		if (at <= h->w->now && ++h->spins > 1000)
			world_fail(h->w, "%c: is due at once, 1000 times over", h->letter);
		if (at > h->w->now)
			h->spins = 0;
		host_wake(h, at > h->w->now ? at - h->w->now : 0);
	}
}

static void finish(struct host *h)
{
	h->phase = TURN_NONE;
	ipsp_actions_clear(&h->act);
	for (size_t i = 0; i < h->n_items; i++)
		inbox_item_free(&h->inbox[i]);
	h->n_inbox -= h->n_items;
	if (h->n_inbox > 0)
		memmove(h->inbox, h->inbox + h->n_items, h->n_inbox * sizeof(*h->inbox));
	h->n_items = 0;
	if (h->leaving)
		host_leave(h);
	else
		schedule(h);
}

/* What was written is told; then the checker looks. */
static void tell_all(struct host *h)
{
	ipsp_node_late(h->node, host_ms(h), &h->act);
	if (!tell(h))
		return;
	send_lists(h);
	check_turn(h);
	keys_turn(h);
	if (world_traces(h->w, TRACE_NOTES))
		show_notes(h);
	if (h->disk.compacting && rand_below(&h->rand, 2) == 0)
		disk_compact_slice(h);
	finish(h);
}

/* True: time passes before the turn's next phase. A disk that is slow to take a write, a busy
 * processor. */
static bool tarries(struct host *h)
{
	if (!rand_chance(&h->rand, h->slow_turns))
		return false;
	world_hit(h->w, FAULT_SLOW_TURN);
	host_go_on(h, rand_below(&h->rand, h->slow_turn_max));
	return true;
}

void turn_end(struct host *h)
{
	const struct ipsp_event end = {.type = IPSP_EV_END};

	h->ended_at = host_ms(h);
	step(h, &end);
	if (h->act.failed)
		world_fail(h->w, "%c: memory ran out", h->letter);
	check_look(h);
	if (!write_down(h))
		return;
	h->phase = TURN_WRITTEN;
	if (!tarries(h))
		tell_all(h);
}

void host_turn(struct host *h, uint32_t gen)
{
	const struct ipsp_event tick = {.type = IPSP_EV_TICK};

	if (gen != h->turn_gen || !h->node || h->stopped)
		return;
	h->w->n_turns++;
	h->turn_at = SIM_NEVER;
	h->began_at = host_ms(h);
	h->n_items = h->n_inbox;
	for (size_t i = 0; i < h->n_items; i++)
		step_item(h, &h->inbox[i]);
	if (ipsp_node_due(h->node) <= host_ms(h))
		step(h, &tick); /* after what has come: a loop that was stopped reads first */
	h->phase = TURN_STEPPED;
	if (!tarries(h))
		turn_end(h);
}

void host_turn_on(struct host *h, uint32_t life)
{
	if (life != h->life || !h->node || h->stopped)
		return;
	if (h->phase == TURN_STEPPED)
		turn_end(h);
	else if (h->phase == TURN_WRITTEN)
		tell_all(h);
}

void host_sync(struct host *h, uint32_t life)
{
	if (!h->node || h->life != life)
		return;
	h->disk.sync_due = false;
	if (h->disk.n_durable < h->disk.log.n)
		disk_flush(h);
}
