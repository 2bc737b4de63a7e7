#include "daemon/loop.h"
#include "base/attr.h"
#include "daemon/advice.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/disk.h"
#include "daemon/hook.h"
#include "daemon/ifwatch.h"
#include "daemon/keylog.h"
#include "daemon/lease.h"
#include "daemon/measure.h"
#include "daemon/notify.h"
#include "daemon/snmp.h"
#include "daemon/store.h"
#include "daemon/udp.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS_KEPT (4u << 20) /* bytes: what a burst needed beyond goes back */
#define PAUSE_MS     500	/* a turn that is later than this was held up from outside */
#define STOP_S	     8 /* how long a graceful termination may take; systemd's patience is far longer */

struct ipspd_loop {
	struct ipspd *daemon;
	struct event *due;	/* the first of the nodes' times */
	struct event *lazy;	/* what nobody waits for is flushed within a second */
	struct event *flushed;	/* news from the store */
	struct event *stop_now; /* a graceful stop has taken too long */
	struct event *term, *interrupt, *hup;
	struct ipspd_ifwatch *ifwatch;
	ipsp_ms soonest;	/* no node's time is before it */
	ipsp_ms armed;		/* what .due is set for */
	struct ipspd_ctx *turn; /* those who are stepped in this turn, by .turn_next */
	bool again;		/* the next turn is not to wait for an event */
	bool lazy_armed;
	bool ended;
	bool full; /* what the nodes were told about the disk */
	struct ipspd_disk disk;
	struct ipspd_measure measure;
	bool state_changed; /* the line for systemd is out of date */
	bool reread;	    /* the file is to be read again when this turn is over */
	struct ipspd_ctx **removed;
	size_t n_removed;
};

/* ---------------------------------------------------------------- failing, waking, posting */

void ipspd_fail(struct ipspd *daemon, const char *format, ...)
{
	va_list args;

	if (daemon->failed)
		return;
	daemon->failed = true;
	va_start(args, format);
	ipspd_vlog(IPSP_LOG_ERROR, format, args);
	va_end(args);
	ipspd_wake(daemon);
}

void ipspd_wake(struct ipspd *daemon)
{
	/* every return of event_base_loop() is followed by a turn; this matters within one */
	if (daemon->loop)
		daemon->loop->again = true;
}

static void no_memory(struct ipspd *daemon)
{
	ipspd_fail(daemon, "memory ran out: stopping, as nothing can be promised any more");
}

void ipspd_post(struct ipspd_ctx *ctx, const struct ipsp_event *ev)
{
	if (!ipspd_inbox_put(&ctx->inbox, ev))
		no_memory(ctx->daemon);
	ipspd_queue(ctx);
	ipspd_wake(ctx->daemon);
}

static void post_all(struct ipspd *daemon, const struct ipsp_event *ev)
{
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		ipspd_post(daemon->ctxs[i], ev);
}

/* ---------------------------------------------------------------- sockets of contexts */

static void on_datagram(void *arg, const uint8_t *bytes, size_t n)
{
	const struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = bytes, .n_bytes = n};

	ipspd_post(arg, &ev);
}

static void on_link(void *arg, bool bound, const char *error)
{
	const struct ipsp_event ev = {.type = IPSP_EV_LINK, .bound = bound, .error = error};

	ipspd_post(arg, &ev);
}

static void on_interfaces(void *arg, unsigned index, const struct ipsp_addr *addr)
{
	struct ipspd *daemon = arg;

	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		struct ipspd_udp *udp = daemon->ctxs[i]->udp;
		if (udp && ipspd_udp_concerns(udp, index, addr))
			ipspd_udp_look(udp);
	}
}

IPSP_APART static bool wants_socket(const struct ipspd_ctx *ctx, struct ipspd_udp_conf *conf)
{
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	const struct ipsp_psp_conf *psp = &status.conf->psp;
	*conf = (struct ipspd_udp_conf){.name = ctx->name,
					.local = psp->address,
					.peer = psp->peer,
					.port = psp->port,
					.device = psp->device,
					.link = on_link};
	return status.link; /* never with no key where one was asked for */
}

/* Before the outs: what a context says first must find its socket open. */
static void open_socket(struct ipspd_ctx *ctx)
{
	struct ipspd_udp_conf conf;

	if (!ctx->look || !wants_socket(ctx, &conf))
		return;
	if (ctx->udp && !ipspd_udp_is(ctx->udp, &conf))
		ipspd_ctx_close_udp(ctx);
	if (!ctx->udp)
		ctx->udp = ipspd_udp_new(ctx->daemon->base, &conf, on_datagram, ctx);
	if (!ctx->udp)
		ipspd_fail(ctx->daemon, "%s: memory ran out", ctx->name);
}

/* After the outs: what it says last must still find it. */
static void close_socket(struct ipspd_ctx *ctx)
{
	struct ipspd_udp_conf conf;

	if (ctx->look && ctx->udp && !wants_socket(ctx, &conf))
		ipspd_ctx_close_udp(ctx);
	ctx->look = false;
}

/* ---------------------------------------------------------------- the turn: 1. step */

static void start_node(struct ipspd_ctx *ctx, ipsp_ms now)
{
	struct ipsp_lease_note note;
	struct ipsp_start start = {.now = now};
	bool found, same_boot;

	if (ipspd_ctx_open_lease(ctx) != 0) {
		ipspd_fail(ctx->daemon, "%s: its lease file in %s: %s", ctx->name,
			   ctx->daemon->config->state_directory, strerror(errno));
		return;
	}
	ipspd_lease_read(ctx->lease_fd, ctx->name, &note, &found, &same_boot);
	/*
	 * A lease without its books is the lease of somebody else, and one of another boot has
	 * times that mean nothing here. That the file is gone makes no reboot: the log knows its
	 * own.
	 */
	start.same_boot = ctx->was_stored && ipspd_store_same_boot(ctx->daemon->store);
	if (found && same_boot && start.same_boot)
		start.lease = &note;
	ipsp_node_start(ctx->node, &start, &ctx->act);
	ctx->started = ctx->look = true;
	ctx->drains = true; /* one may go on that was begun before the start */
}

static void step_events(struct ipspd_ctx *ctx, ipsp_ms now)
{
	const struct ipspd_inbox came = ctx->inbox;

	ctx->inbox = ctx->work; /* empty: what is posted from here on is for the next turn */
	ctx->work = came;
	ctx->look = ctx->look || came.commands;
	ipsp_node_steps(ctx->node, came.events, came.n_events, now, &ctx->act);
	ipspd_inbox_clear(&ctx->work);
}

/* Those with events and those whose time has come are all that this turn goes through. */
static void gather(struct ipspd_loop *loop, ipsp_ms now)
{
	struct ipspd *daemon = loop->daemon;
	struct ipspd_ctx **end = &loop->turn;

	if (loop->soonest <= now) {
		loop->soonest = IPSP_NEVER;
		for (size_t i = 0; i < daemon->n_ctxs; i++) {
			struct ipspd_ctx *ctx = daemon->ctxs[i];
			if (ctx->due <= now)
				ipspd_queue(ctx);
			else if (ctx->due < loop->soonest)
				loop->soonest = ctx->due;
		}
	}
	for (struct ipspd_ctx *ctx = daemon->queue; ctx; ctx = ctx->queue_next) {
		ctx->queued = false;
		*end = ctx;
		end = &ctx->turn_next;
	}
	*end = NULL;
	daemon->queue = NULL; /* what is posted from here on is for the next turn */
}

static void step_ctx(struct ipspd_ctx *ctx, ipsp_ms now)
{
	static const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	const bool was_started = ctx->started;

	ipsp_actions_clear(&ctx->act); /* of its turn before */
	if (!was_started)
		start_node(ctx, now);
	if (ctx->daemon->failed)
		return;
	if (ctx->inbox.n_events > 0)
		step_events(ctx, now);
	else if (was_started) /* so its time has come */
		ipsp_node_step(ctx->node, &tick, now, &ctx->act);
}

/* The end comes for every context after all of them were stepped, with a fresh look at the clock.
 */
static void end_ctx(struct ipspd_ctx *ctx)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};

	const ipsp_ms now = ipspd_now();

	ctx->daemon->loop->disk.before_write = now;
	ipsp_node_step(ctx->node, &end, now, &ctx->act);
	if (ctx->act.failed || ctx->act.recs.failed || ctx->act.bytes.failed)
		ipspd_fail(ctx->daemon,
			   "%s: memory ran out: stopping, as nothing can be promised any more",
			   ctx->name);
}

/* ---------------------------------------------------------------- the turn: 2. write */

static void lazy_later(struct ipspd_loop *loop)
{
	const struct timeval tv = {.tv_usec = 900000};

	if (loop->lazy_armed)
		return;
	loop->lazy_armed = true;
	event_add(loop->lazy, &tv);
}

/* A log that nobody will find again takes what is written all the same. */
IPSP_APART static void see_store(struct ipspd *daemon)
{
	if (ipspd_store_there(daemon->store) != 0)
		ipspd_fail(daemon, "%s: stopping, as nothing can be promised any more",
			   ipspd_store_why(daemon->store));
}

static void write_turn(struct ipspd *daemon)
{
	struct ipspd_store *store = daemon->store;
	bool flush = false, again;

	for (struct ipspd_ctx *ctx = daemon->loop->turn; ctx; ctx = ctx->turn_next) {
		/* a promise that a restart would not know of must not be made */
		if (ctx->act.lease_set &&
		    ipspd_lease_write(ctx->lease_fd, ctx->name, &ctx->act.lease) != 0)
			ipspd_fail(daemon, "%s: writing its lease file: %s", ctx->name,
				   strerror(errno));
		ipspd_store_put(store, ctx->store_number, ctx->act.recs.data, ctx->act.recs.len,
				ctx->act.rec_seq);
		flush = flush || ctx->act.want_flush;
	}
	if (daemon->failed)
		return;
	if (ipspd_store_write(store) != 0) {
		ipspd_fail(daemon, "%s: stopping, as nothing can be promised any more",
			   ipspd_store_why(store));
		return;
	}
	if (flush)
		ipspd_store_flush(store);
	else if (ipspd_store_dirty(store))
		lazy_later(daemon->loop);
	if (ipspd_store_compact(store, &again) != 0)
		ipspd_fail(daemon, "%s", ipspd_store_why(store));
	if (again)
		ipspd_wake(daemon);
}

/* ---------------------------------------------------------------- the turn: 3. tell */

static void carry_out(struct ipspd_ctx *ctx, const struct ipsp_out *out)
{
	struct ipspd *daemon = ctx->daemon;

	switch (out->type) {
	case IPSP_OUT_DATAGRAM:
		if (ctx->udp)
			ipspd_udp_send(ctx->udp, ctx->act.bytes.data + out->off, out->len);
		return;
	case IPSP_OUT_TRAP:
		if (daemon->snmp)
			ipspd_snmp_trap(daemon->snmp, ctx, out);
		return;
	case IPSP_OUT_HOOK:
		ipspd_hooks_run(daemon->hooks, ctx, out);
		return;
	case IPSP_OUT_STOPPED:
		ctx->stopped = true;
		return;
	case IPSP_OUT_STATE:
		daemon->loop->state_changed = true;
		break;
	case IPSP_OUT_DONE:
		if (out->token == 0 &&
		    out->id == 0) { /* a stop, a reload: asked for by the daemon itself */
			if (out->err)
				ipspd_log(IPSP_LOG_WARNING, "%s: %s%s%s", ctx->name,
					  ipsp_err_text(out->err),
					  out->text && *out->text ? ": " : "",
					  out->text ? out->text : "");
			return;
		}
		break;
	case IPSP_OUT_NOTE: /* log_notes: people come last */
		return;
	case IPSP_OUT_ANSWER:
	case IPSP_OUT_RELEASE:
	case IPSP_OUT_CANCELLED:
	case IPSP_OUT_TYPES:
		break;
	}
	if (daemon->ctl)
		ipspd_ctl_out(daemon->ctl, ctx, &ctx->act, out);
}

/* In their order. Most are answers, which go in rows. */
static void carry_outs(struct ipspd_ctx *ctx)
{
	const struct ipsp_actions *act = &ctx->act;
	struct ipspd_ctl *ctl = ctx->daemon->ctl;

	for (size_t i = 0; i < act->n_outs; i++) {
		if (ctl &&
		    (act->outs[i].type == IPSP_OUT_ANSWER || act->outs[i].type == IPSP_OUT_DONE))
			i += ipspd_ctl_answers(ctl, ctx, act->outs + i, act->n_outs - i);
		if (i < act->n_outs)
			carry_out(ctx, &act->outs[i]);
	}
}

static void tell_ctx(struct ipspd_ctx *ctx)
{
	const ipsp_ms now = ipspd_now();

	if (ctx == ctx->daemon->loop->turn)
		ipspd_disk_wrote(&ctx->daemon->loop->disk, ctx->daemon, now);
	ipsp_node_late(ctx->node, now, &ctx->act);
	if (ctx->act.failed) {
		ipspd_fail(ctx->daemon, "%s: memory ran out", ctx->name);
		return;
	}
	ctx->look = ctx->look || ctx->act.says_state;
	if (ipspd_keylog_fd() >= 0)
		ipspd_keylog_see(ctx);
	open_socket(ctx);
	carry_outs(ctx);
	if (ctx->udp)
		ipspd_udp_flush(ctx->udp);
	close_socket(ctx);
}

/* A drain has no answer that comes when it is over. */
IPSP_APART static void look_at_drain(struct ipspd_ctx *ctx)
{
	const ipsp_ms now = ipspd_now();
	struct ipsp_status status;

	if (now < ctx->drain_look)
		return;
	ctx->drain_look = now + 500;
	ipsp_node_status(ctx->node, now, &status);
	if (!status.draining) {
		ctx->drains = false;
	} else if (ipspd_stop_reasons(ctx->name, &status, NULL, NULL, NULL) == 0) {
		ctx->drains = false;
		ipspd_log(IPSP_LOG_NOTICE, "%s: drain: complete, it is safe to stop", ctx->name);
	}
}

static void log_notes(struct ipspd_ctx *ctx)
{
	const struct ipsp_actions *act = &ctx->act;

	for (size_t i = 0; i < act->n_outs && act->note_bytes > 0; i++)
		if (act->outs[i].type == IPSP_OUT_NOTE)
			ipspd_log_note(act->outs[i].level, act->outs[i].of_many, ctx->name,
				       (const char *)act->bytes.data + act->outs[i].off);
	if (ctx->drains)
		look_at_drain(ctx);
}

IPSP_APART static void tell_systemd(struct ipspd *daemon)
{
	char line[400];
	size_t n = 0;

	daemon->loop->state_changed = false;
	line[0] = '\0';
	for (size_t i = 0; i < daemon->n_ctxs && n < sizeof(line) - 1; i++) {
		struct ipsp_status status;
		ipsp_node_status(daemon->ctxs[i]->node, ipspd_now(), &status);
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s: %s, %s", i ? "; " : "",
				      daemon->ctxs[i]->name, ipsp_role_word(status.role),
				      ipsp_state_word(status.state));
		n = n < sizeof(line) ? n : sizeof(line) - 1;
	}
	ipspd_notify_status(daemon->notify, line);
}

/* All of it was told; the next turn may be far away. */
static void forget_actions(struct ipspd_ctx *ctx)
{
	const struct ipsp_actions *act = &ctx->act;

	if (act->cap_outs * sizeof(*act->outs) + act->recs.cap + act->bytes.cap > ACTIONS_KEPT) {
		ipsp_actions_fini(&ctx->act);
		ipsp_actions_init(&ctx->act);
	}
}

const struct ipspd_disk *ipspd_loop_disk(const struct ipspd *daemon)
{
	return &daemon->loop->disk;
}

const struct ipspd_measure *ipspd_loop_measure(const struct ipspd *daemon)
{
	return &daemon->loop->measure;
}

/* ---------------------------------------------------------------- the turn: 4. when is the next */

/* Those who were stepped have another time now; the others' stands. */
static void ask_due(struct ipspd_loop *loop)
{
	for (struct ipspd_ctx *ctx = loop->turn; ctx; ctx = ctx->turn_next) {
		ctx->due = ipsp_node_due(ctx->node);
		if (ctx->due < loop->soonest)
			loop->soonest = ctx->due;
	}
}

/* For the soonest, or before: who had that time may have been stepped. Then the turn that follows
 * finds the next. */
static void arm(struct ipspd_loop *loop)
{
	const ipsp_ms due = loop->soonest;

	if (due == loop->armed)
		return;
	loop->armed = due;
	if (due == IPSP_NEVER) {
		event_del(loop->due);
		return;
	}
	const ipsp_ms now = ipspd_now(), wait = due > now ? due - now : 0;
	const struct timeval tv = {.tv_sec = (time_t)(wait / 1000),
				   .tv_usec = (suseconds_t)(wait % 1000 * 1000)};
	event_add(loop->due, &tv);
}

static void free_removed(struct ipspd_loop *loop)
{
	for (size_t i = 0; i < loop->n_removed; i++)
		ipspd_ctx_free(loop->removed[i]);
	free(loop->removed);
	loop->removed = NULL;
	loop->n_removed = 0;
}

void ipspd_loop_turn(struct ipspd *daemon)
{
	struct ipspd_loop *loop = daemon->loop;

	loop->again = false;
	if (daemon->ctl)
		ipspd_ctl_read(daemon->ctl);
	const ipsp_ms now = ipspd_now();
	free_removed(loop);
	gather(loop, now);
	if (now >= loop->measure.next)
		ipspd_measure_begin(&loop->measure, loop->turn);
	for (struct ipspd_ctx *ctx = loop->turn; ctx; ctx = ctx->turn_next)
		step_ctx(ctx, now);
	for (struct ipspd_ctx *ctx = loop->turn; ctx && !daemon->failed; ctx = ctx->turn_next)
		end_ctx(ctx);
	if (!daemon->failed && now >= loop->disk.look_at)
		see_store(daemon);
	if (!daemon->failed)
		write_turn(daemon);
	if (daemon->failed)
		return;
	for (struct ipspd_ctx *ctx = loop->turn; ctx; ctx = ctx->turn_next)
		tell_ctx(ctx);
	for (struct ipspd_ctx *ctx = loop->turn; ctx; ctx = ctx->turn_next)
		log_notes(ctx);
	for (struct ipspd_ctx *ctx = loop->turn; ctx; ctx = ctx->turn_next)
		forget_actions(ctx);
	ask_due(loop);
	if (loop->state_changed)
		tell_systemd(daemon);
	if (daemon->ctl)
		ipspd_ctl_flush(daemon->ctl);
	if (loop->measure.on)
		ipspd_measure_end(&loop->measure, loop->turn, now);
	if (loop->reread) { /* as late as what clients ask for: nothing waits for a step now */
		loop->reread = false;
		ipspd_reload_hup(daemon);
	}
	if (now >= loop->disk.look_at)
		ipspd_disk_look(&loop->disk, daemon, now);
	arm(loop);
}

/* ---------------------------------------------------------------- callbacks */

/* It should have turned long ago: the process was stopped, or had no processor. */
static void note_pause(struct ipspd_loop *loop)
{
	const ipsp_ms now = ipspd_now();

	if (loop->armed == IPSP_NEVER || now < loop->armed + PAUSE_MS)
		return;
	ipspd_store_paused(loop->daemon->store, now - loop->armed);
	loop->armed = now; /* counted */
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_loop *loop = arg;

	(void)fd;
	(void)what;
	note_pause(loop);
	loop->armed = IPSP_NEVER; /* the turn that follows ticks, and arms again */
}

static void on_lazy(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_loop *loop = arg;
	struct ipspd_store *store = loop->daemon->store;

	(void)fd;
	(void)what;
	loop->lazy_armed = false;
	if (ipspd_store_tick(store) != 0)
		ipspd_fail(loop->daemon, "%s", ipspd_store_why(store));
}

static void on_flushed(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_loop *loop = arg;
	struct ipspd *daemon = loop->daemon;

	(void)fd;
	(void)what;
	note_pause(loop);
	const uint64_t flush_ms = ipspd_store_flush_ms(daemon->store);
	if (ipspd_store_collect(daemon->store) != 0) {
		ipspd_fail(daemon, "%s: stopping, as nothing can be promised any more",
			   ipspd_store_why(daemon->store));
		return;
	}
	for (size_t i = 0; i < daemon->n_ctxs; i++) {
		struct ipspd_ctx *ctx = daemon->ctxs[i];
		const struct ipsp_event ev = {
			.type = IPSP_EV_FLUSHED,
			.seq = ipspd_store_flushed(daemon->store, ctx->store_number)};
		if (ev.seq > ctx->told_seq) {
			ctx->told_seq = ev.seq;
			ipspd_post(ctx, &ev);
		}
	}
	if (flush_ms > ipspd_store_flush_ms(daemon->store)) /* it has ended; another may run */
		ipspd_disk_flushed(&loop->disk, daemon, flush_ms);
	lazy_later(loop); /* if nothing follows, a mark in the log says how far it is durable */
	if (ipspd_store_full(daemon->store) == loop->full)
		return;
	loop->full = !loop->full;
	const struct ipsp_event ev = {.type = IPSP_EV_DISK, .full = loop->full};
	post_all(daemon, &ev);
	ipspd_log(
		loop->full ? IPSP_LOG_ERROR : IPSP_LOG_NOTICE,
		loop->full
			? "%s: the disk is full: make room there, and it goes on by itself within "
			  "some seconds; until then no new addresses are given"
			: "%s: the disk has room again",
		daemon->config->state_directory);
}

static void on_stop_now(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_loop *loop = arg;

	(void)fd;
	(void)what;
	loop->ended = true;
	ipspd_log(IPSP_LOG_WARNING, "stopping before the peer has acknowledged everything; it "
				    "takes over what is unused when "
				    "the dead interval has run out");
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	const struct ipsp_event ev = {.type = IPSP_EV_COMMAND, .command = IPSP_CMD_STOP};
	const struct timeval limit = {.tv_sec = STOP_S};
	struct ipspd_loop *loop = arg;

	(void)what;
	if (loop->daemon->stopping) { /* once is enough; a person at the terminal may insist */
		if (sig == SIGINT)
			loop->ended = true;
		return;
	}
	ipspd_log(IPSP_LOG_NOTICE, "stopping (%s)", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	ipspd_notify_stopping(loop->daemon->notify);
	loop->daemon->stopping = true;
	event_add(loop->stop_now, &limit);
	post_all(loop->daemon, &ev);
}

static void on_hup(evutil_socket_t sig, short what, void *arg)
{
	struct ipspd_loop *loop = arg;

	(void)sig;
	(void)what;
	loop->reread = true; /* a turn follows each callback */
}

/* ---------------------------------------------------------------- running */

static bool all_stopped(const struct ipspd *daemon)
{
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		if (!daemon->ctxs[i]->stopped)
			return false;
	return true;
}

int ipspd_loop_run(struct ipspd *daemon)
{
	struct ipspd_loop *loop = daemon->loop;

	while (!daemon->failed && !loop->ended) {
		const int flags = loop->again ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE;
		if (event_base_loop(daemon->base, flags) < 0)
			ipspd_fail(daemon, "the event loop: %s", strerror(errno));
		if (!daemon->failed)
			ipspd_loop_turn(daemon);
		if (daemon->stopping && all_stopped(daemon))
			loop->ended = true;
	}
	return daemon->failed ? 1 : 0;
}

void ipspd_loop_remove(struct ipspd *daemon, struct ipspd_ctx *ctx)
{
	struct ipspd_loop *loop = daemon->loop;
	struct ipspd_ctx **more = realloc(loop->removed, (loop->n_removed + 1) * sizeof(*more));

	if (!more) {
		ipspd_fail(daemon, "memory ran out");
		return;
	}
	loop->removed = more;
	loop->removed[loop->n_removed++] = ctx;
	for (size_t i = 0; i < daemon->n_ctxs; i++)
		if (daemon->ctxs[i] == ctx)
			memmove(&daemon->ctxs[i], &daemon->ctxs[i + 1],
				(--daemon->n_ctxs - i) * sizeof(*daemon->ctxs));
	ipspd_ctx_close_udp(ctx); /* its callback must not come any more */
}

static bool add_signal(struct ipspd_loop *loop, struct event **ev, int sig, event_callback_fn fn)
{
	*ev = evsignal_new(loop->daemon->base, sig, fn, loop);
	return *ev && event_add(*ev, NULL) == 0;
}

struct ipspd_loop *ipspd_loop_new(struct ipspd *daemon)
{
	struct ipspd_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->daemon = daemon;
	loop->armed = loop->soonest = IPSP_NEVER;
	loop->due = evtimer_new(daemon->base, on_due, loop);
	loop->lazy = evtimer_new(daemon->base, on_lazy, loop);
	loop->stop_now = evtimer_new(daemon->base, on_stop_now, loop);
	loop->flushed = event_new(daemon->base, ipspd_store_event_fd(daemon->store),
				  EV_READ | EV_PERSIST, on_flushed, loop);
	loop->ifwatch = ipspd_ifwatch_new(daemon->base, on_interfaces, daemon);
	if (loop->ifwatch && loop->due && loop->lazy && loop->stop_now && loop->flushed &&
	    event_add(loop->flushed, NULL) == 0 &&
	    add_signal(loop, &loop->term, SIGTERM, on_stop) &&
	    add_signal(loop, &loop->interrupt, SIGINT, on_stop) &&
	    add_signal(loop, &loop->hup, SIGHUP, on_hup))
		return loop;
	ipspd_loop_free(loop);
	return NULL;
}

void ipspd_loop_free(struct ipspd_loop *loop)
{
	if (!loop)
		return;
	struct event *const events[] = {loop->due,  loop->lazy,	     loop->stop_now, loop->flushed,
					loop->term, loop->interrupt, loop->hup};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	free_removed(loop);
	ipspd_ifwatch_free(loop->ifwatch);
	free(loop);
}
