#include "host.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens below those of HAs: the operator's, who gives commands. */
#define OPERATOR 1

/* ---------------------------------------------------------------- the clock */

ipsp_ms host_ms(const struct host *h)
{
	sim_us us = h->w->now - h->clock.from;

	return h->clock.base + us * (uint64_t)(1000000 + h->clock.ppm) / 1000000000U;
}

sim_us host_when(const struct host *h, ipsp_ms ms)
{
	uint64_t rate = (uint64_t)((int64_t)1000000 + h->clock.ppm);

	if (ms == IPSP_NEVER)
		return SIM_NEVER;
	if (ms <= h->clock.base)
		return h->clock.from;
	return h->clock.from + ((ms - h->clock.base) * 1000000000U + rate - 1) / rate;
}

/* ---------------------------------------------------------------- life and death */

void host_init(struct host *h, struct world *w, unsigned side)
{
	*h = (struct host){.w = w, .side = side, .letter = "PS"[side], .socket_cap = 166};
	h->rand = rand_fork(&w->rand);
	h->turn_at = SIM_NEVER;
	disk_init(&h->disk, rand_fork(&w->rand));
	ipsp_actions_init(&h->act);
}

static void item_free(struct inbox_item *item)
{
	free(item->dgram);
	free(item->ipc);
}

static void inbox_clear(struct host *h)
{
	for (size_t i = 0; i < h->n_inbox; i++)
		item_free(&h->inbox[i]);
	h->n_inbox = h->n_socket = 0;
}

void host_fini(struct host *h)
{
	inbox_clear(h);
	free(h->inbox);
	if (h->node) {
		visits_of_node(&h->w->visits, h->node);
		ipsp_node_free(h->node);
	}
	ipsp_actions_fini(&h->act);
	ipsp_conf_fini(&h->conf);
	disk_fini(&h->disk);
}

void host_boot(struct host *h)
{
	h->powered = true;
	h->boot++;
	h->clock.from = h->w->now;
	h->clock.base = rand_range(&h->rand, 3000, 60000); /* the boot itself takes its time */
}

static void lose_process(struct host *h)
{
	visits_of_node(&h->w->visits, h->node);
	ipsp_node_free(h->node);
	h->node = NULL;
	h->died_at = h->w->now;
	h->stopped = h->leaving = false;
	h->phase = TURN_NONE;
	h->armed = KILL_NOT;
	inbox_clear(h);
	h->n_items = 0;
	ipsp_actions_clear(&h->act);
	for (unsigned i = 0; i < h->w->n_has; i++) {
		if (h->w->has[i].side == h->side)
			ha_process_gone(&h->w->has[i]);
	}
}

static bool heals(const struct host *h)
{
	return h->w->check.side[h->side].status.state == IPSP_ST_RECONCILING;
}

void host_kill(struct host *h)
{
	if (!h->node)
		return;
	if (heals(h))
		world_hit(h->w, FAULT_KILL_IN_HEALING);
	if (h->disk.flushing)
		world_hit(h->w, FAULT_KILL_IN_FLUSH);
	if (h->disk.compacting)
		world_hit(h->w, FAULT_KILL_IN_COMPACTION);
	world_trace(h->w, TRACE_FAULT, "%c killed", h->letter);
	lose_process(h);
	disk_process_died(&h->disk);
	check_died(h, false);
}

void host_power_off(struct host *h, bool ha_lives)
{
	if (!h->powered)
		return;
	world_hit(h->w, ha_lives ? FAULT_POWER_HA_LIVES : FAULT_POWER);
	world_trace(h->w, TRACE_FAULT, "%c loses power", h->letter);
	if (h->node)
		lose_process(h);
	disk_power_lost(h->w, &h->disk);
	disk_process_died(&h->disk);
	h->powered = false;
	check_died(h, true);
	for (unsigned i = 0; i < h->w->n_has && !ha_lives; i++) {
		if (h->w->has[i].side == h->side)
			ha_crash(&h->w->has[i]);
	}
}

/* A process that ends in good order flushes its log. */
static void leave(struct host *h)
{
	world_trace(h->w, TRACE_FAULT, "%c has stopped", h->letter);
	lose_process(h);
	disk_process_died(&h->disk);
	disk_opened(&h->disk, h->w->now);
	check_died(h, false);
}

void host_stop(struct host *h)
{
	if (!h->node || h->stopped)
		return;
	world_trace(h->w, TRACE_FAULT, "%c SIGSTOP", h->letter);
	h->stopped = true;
	h->stopped_at = h->w->now;
}

/* The turn's next phase is @delay away. */
static void go_on(struct host *h, sim_us delay)
{
	queue_put(&h->w->queue, (struct sim_event){.at = h->w->now + delay,
						   .what = SIM_TURN_ON,
						   .side = h->side,
						   .gen = h->life});
}

void host_hurry(struct host *h)
{
	if (h->phase != TURN_NONE)
		go_on(h, 0);
}

void host_cont(struct host *h)
{
	if (!h->stopped)
		return;
	world_trace(h->w, TRACE_FAULT, "%c SIGCONT", h->letter);
	h->stopped = false;
	h->turn_at = SIM_NEVER; /* the one that was due has passed it by */
	if (h->phase != TURN_NONE)
		go_on(h, 0);
	else
		host_wake(h, 0);
}

/* ---------------------------------------------------------------- what comes in */

void host_wake(struct host *h, sim_us delay)
{
	sim_us at = h->w->now + delay;

	if (!h->node || h->stopped || h->phase != TURN_NONE || h->turn_at <= at)
		return;
	h->turn_at = at;
	queue_put(&h->w->queue,
		  (struct sim_event){
			  .at = at, .what = SIM_TURN, .side = h->side, .gen = ++h->turn_gen});
}

static struct inbox_item *inbox_add(struct host *h)
{
	struct inbox_item *item;

	if (h->n_inbox == h->cap_inbox) {
		h->cap_inbox = h->cap_inbox ? 2 * h->cap_inbox : 32;
		h->inbox = realloc(h->inbox, h->cap_inbox * sizeof(*h->inbox));
		if (!h->inbox)
			abort();
	}
	item = &h->inbox[h->n_inbox++];
	*item = (struct inbox_item){0};
	host_wake(h, rand_below(&h->rand, h->w->wake_jitter + 1));
	return item;
}

void host_receive(struct host *h, struct dgram *d)
{
	struct inbox_item *item;

	if (!h->node || h->n_socket >= h->socket_cap) {
		if (h->node)
			world_hit(h->w, FAULT_SOCKET_FULL);
		free(d);
		return;
	}
	h->n_socket++;
	item = inbox_add(h);
	item->type = IPSP_EV_DATAGRAM;
	item->dgram = d;
}

void host_ipc(struct host *h, struct ipc *m)
{
	if (!h->node || m->life != h->life)
		free(m);
	else
		inbox_add(h)->ipc = m;
}

void host_event(struct host *h, struct ipsp_event ev)
{
	struct inbox_item *item;

	if (!h->node)
		return;
	item = inbox_add(h);
	item->type = ev.type;
	item->ev = ev;
}

void host_command(struct host *h, enum ipsp_command command, bool force, enum ipsp_mode mode)
{
	host_event(h, (struct ipsp_event){.type = IPSP_EV_COMMAND,
					  .token = OPERATOR,
					  .id = ++h->command_id,
					  .command = command,
					  .force = force,
					  .mode = mode});
}

void host_reload(struct host *h, uint32_t dead_ms)
{
	h->conf.psp.dead_interval_ms = dead_ms;
	host_event(h, (struct ipsp_event){.type = IPSP_EV_CONF,
					  .token = OPERATOR,
					  .id = ++h->command_id,
					  .conf = &h->conf});
}

void host_hook_done(struct host *h, uint32_t life, bool yes)
{
	if (h->node && h->life == life)
		host_event(h, (struct ipsp_event){.type = IPSP_EV_HOOK, .yes = yes});
}

/* ---------------------------------------------------------------- a turn: the steps */

static void step(struct host *h, const struct ipsp_event *ev)
{
	ipsp_node_step(h->node, ev, host_ms(h), &h->act);
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

	return s->drop_short + s->drop_format + s->drop_version + s->drop_seal + s->drop_replay;
}

static void step_dgram(struct host *h, struct dgram *d)
{
	uint64_t before = dropped(h);
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
}

static void step_request(struct host *h, struct ha *ha, const struct ipc *m, struct ipsp_event *ev)
{
	char sub[24], sess[24];
	int n_sub = snprintf(sub, sizeof(sub), "mn-%u", m->sub);
	int n_sess = snprintf(sess, sizeof(sess), "s%u", m->sess);

	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		if (ha->requests[i].id == m->id)
			ha->requests[i].known = check_knows(h, m->sub, m->sess);
	}
	ev->ident = (struct ipsp_ident){sub, sess, (uint8_t)n_sub, (uint8_t)n_sess};
	if (m->pool >= 0)
		ev->pool = h->conf.pools[h->w->pool_of[m->pool]].name;
	if (m->group >= 0)
		ev->group = h->conf.pools[h->w->pool_of[m->group]].group;
	step(h, ev);
}

static void step_ipc(struct host *h, const struct ipc *m)
{
	struct ha *ha = &h->w->has[m->ha];
	struct ipsp_event ev = {.token = m->token, .id = m->id, .ha_name = ha->name};

	if (m->gaddr != NO_ADDR)
		ev.addr = world_addr(h->w, m->gaddr);
	switch (m->kind) {
	case IPC_ATTACH:
		ev.type = IPSP_EV_ATTACH;
		break;
	case IPC_DETACH:
		ev.type = IPSP_EV_DETACH;
		break;
	case IPC_RELEASE:
		ev.type = IPSP_EV_RELEASE;
		break;
	case IPC_RELEASED:
		ev.type = IPSP_EV_RELEASED;
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

/* ---------------------------------------------------------------- a turn: what it leads to */

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
	} else if (out->token == OPERATOR) {
		h->command_err = out->err;
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
	};

	if (trap == IPSP_TRAP_ALL_ADDRS_FREE) {
		world_hit(h->w, FAULT_SAW_ZERO);
		h->w->all_free_at = h->w->now;
	}
	world_trace(h->w, TRACE_TRAP, "%c trap %s", h->letter, words[trap]);
}

static void out_hook(struct host *h, enum ipsp_hook hook)
{
	bool yes = h->w->hook_yes && !rand_chance(&h->rand, h->w->veto);

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
	case IPSP_OUT_STATE:
	case IPSP_OUT_TYPES:
		break;
	}
}

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
		item_free(&h->inbox[i]);
	h->n_inbox -= h->n_items;
	if (h->n_inbox > 0)
		memmove(h->inbox, h->inbox + h->n_items, h->n_inbox * sizeof(*h->inbox));
	h->n_items = 0;
	if (h->leaving)
		leave(h);
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
	go_on(h, rand_below(&h->rand, h->slow_turn_max));
	return true;
}

static void end_and_write(struct host *h)
{
	const struct ipsp_event end = {.type = IPSP_EV_END};

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
	h->n_items = h->n_inbox;
	for (size_t i = 0; i < h->n_items; i++)
		step_item(h, &h->inbox[i]);
	if (ipsp_node_due(h->node) <= host_ms(h))
		step(h, &tick); /* after what has come: a loop that was stopped reads first */
	h->phase = TURN_STEPPED;
	if (!tarries(h))
		end_and_write(h);
}

void host_turn_on(struct host *h, uint32_t life)
{
	if (life != h->life || !h->node || h->stopped)
		return;
	if (h->phase == TURN_STEPPED)
		end_and_write(h);
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

/* ---------------------------------------------------------------- start */

static void note_restart(struct host *h, bool same_boot)
{
	if (!same_boot || h->life == 1)
		return;
	if (host_ms(h) < h->disk.lease.lease_end)
		world_hit(h->w, FAULT_RESTART_IN_LEASE);
	else
		world_hit(h->w, FAULT_RESTART_PAST_LEASE);
}

void host_start(struct host *h)
{
	bool same_boot = h->disk.lease_boot == h->boot;
	struct ipsp_start start = {.same_boot = same_boot};

	if (h->node || !h->powered)
		return;
	start.now = host_ms(h);
	start.lease = h->disk.lease_boot != 0 ? &h->disk.lease : NULL;
	h->life++;
	h->spins = 0;
	h->turn_at = SIM_NEVER;
	h->notes_shown = 0;
	note_restart(h, same_boot);
	world_trace(h->w, TRACE_FAULT, "%c starts", h->letter);
	h->node = disk_replay(h, &h->disk.log, &h->rand);
	ipsp_actions_clear(&h->act);
	ipsp_node_start(h->node, &start, &h->act);
	if (h->disk_full)
		host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK, .full = true});
	check_started(h, same_boot);
	disk_opened(&h->disk, h->w->now);
	end_and_write(h);
}
