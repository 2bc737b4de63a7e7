/* host - see host.h: its clock, the life and death of its process, and what comes in. */
#include "host.h"
#include "core/node_int.h"
#include "turn.h"
#include "world.h"
#include <stdlib.h>

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

void inbox_item_free(struct inbox_item *item)
{
	free(item->dgram);
	free(item->ipc);
}

static void inbox_clear(struct host *h)
{
	for (size_t i = 0; i < h->n_inbox; i++)
		inbox_item_free(&h->inbox[i]);
	h->n_inbox = h->n_socket = 0;
}

/* What a process has seen, before it is gone. */
static void add_up(struct host *h)
{
	const struct ipsp_stats *stats = ipsp_node_stats(h->node);

	visits_of_node(&h->w->visits, h->node);
	h->w->hits[FAULT_SAW_REPEATED] += h->node->hellos_repeated;
	h->w->hits[FAULT_SAW_AHEAD] += stats->blocks_received - stats->blocks_back;
	h->w->hits[FAULT_SAW_BACK] += stats->blocks_back;
}

void host_fini(struct host *h)
{
	inbox_clear(h);
	free(h->inbox);
	if (h->node) {
		add_up(h);
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
	add_up(h);
	ipsp_node_free(h->node);
	h->node = NULL;
	h->died_at = h->w->now;
	h->stopped = h->leaving = false;
	h->forcing = h->leaving_ipsp = 0;
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
void host_leave(struct host *h)
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
void host_go_on(struct host *h, sim_us delay)
{
	queue_put(&h->w->queue, (struct sim_event){.at = h->w->now + delay,
						   .what = SIM_TURN_ON,
						   .side = h->side,
						   .gen = h->life});
}

void host_hurry(struct host *h)
{
	if (h->phase != TURN_NONE)
		host_go_on(h, 0);
}

void host_cont(struct host *h)
{
	if (!h->stopped)
		return;
	world_trace(h->w, TRACE_FAULT, "%c SIGCONT", h->letter);
	h->stopped = false;
	h->turn_at = SIM_NEVER; /* the one that was due has passed it by */
	if (h->phase != TURN_NONE)
		host_go_on(h, 0);
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

	if (!h->node || h->link_down || h->n_socket >= h->socket_cap) {
		if (h->node && !h->link_down)
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
	h->command_id++;
	if (force && h->node && command != IPSP_CMD_DRAIN) {
		h->forcing = h->command_id;
		h->w->check.forced = true;
	}
	if (command == IPSP_CMD_DISABLE && h->node)
		h->leaving_ipsp = h->command_id;
	host_event(h, (struct ipsp_event){.type = IPSP_EV_COMMAND,
					  .token = HOST_OPERATOR,
					  .id = h->command_id,
					  .command = command,
					  .force = force,
					  .mode = mode});
}

bool host_has_command(const struct host *h, enum ipsp_command command)
{
	for (size_t i = 0; i < h->n_inbox; i++) {
		const struct inbox_item *item = &h->inbox[i];

		if (item->type == IPSP_EV_COMMAND && item->ev.command == command)
			return true;
	}
	return false;
}

void host_reload(struct host *h, uint32_t dead_ms)
{
	h->conf.psp.dead_interval_ms = dead_ms;
	host_event(h, (struct ipsp_event){.type = IPSP_EV_CONF,
					  .token = HOST_OPERATOR,
					  .id = ++h->command_id,
					  .conf = &h->conf});
}

static void tell_link(struct host *h)
{
	host_event(h, (struct ipsp_event){.type = IPSP_EV_LINK,
					  .bound = !h->link_down,
					  .error = h->link_down ? "interface v is down" : NULL});
}

void host_link(struct host *h, bool works)
{
	if (works != h->link_down)
		return;
	world_trace(h->w, TRACE_FAULT, "%c's own link %s", h->letter, works ? "works" : "fails");
	h->link_down = !works;
	tell_link(h);
}

void host_hook_done(struct host *h, uint32_t life, bool yes)
{
	if (h->node && h->life == life)
		host_event(h, (struct ipsp_event){.type = IPSP_EV_HOOK, .yes = yes});
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
	bool same_boot = h->disk.log_boot == h->boot;
	struct ipsp_start start = {.same_boot = same_boot};

	if (h->node || !h->powered)
		return;
	start.now = host_ms(h);
	start.lease = same_boot && h->disk.lease_boot == h->boot ? &h->disk.lease : NULL;
	h->disk.log_boot = h->boot;
	h->life++;
	h->spins = 0;
	h->turn_at = SIM_NEVER;
	h->notes_shown = 0;
	note_restart(h, same_boot);
	world_trace(h->w, TRACE_FAULT, "%c starts", h->letter);
	h->node = disk_replay(h, &h->disk.log, &h->rand);
	ipsp_actions_clear(&h->act);
	h->began_at = h->ended_at = start.now;
	keys_started(h);
	ipsp_node_start(h->node, &start, &h->act);
	if (h->disk_full)
		host_event(h, (struct ipsp_event){.type = IPSP_EV_DISK, .full = true});
	tell_link(h);
	check_started(h, same_boot);
	disk_opened(&h->disk, h->w->now);
	turn_end(h);
}
