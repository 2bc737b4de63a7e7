/* node - the one door in: events, the time, and what is due. */
#include "base/attr.h"
#include "core/node_int.h"

#include <assert.h>

#define AHEAD 4 /* events whose memory is fetched while another is worked on */

/* --------------------------------------------------------------- datagrams */

static void count_drop(struct ipsp_node *n, int err)
{
	switch (err) {
	case IPSP_ERR_SHORT:
		n->stats.drop_short++;
		break;
	case IPSP_ERR_FORMAT:
		n->stats.drop_format++;
		break;
	case IPSP_ERR_VERSION:
	case IPSP_ERR_OLD:
		n->stats.drop_version++;
		break;
	case IPSP_ERR_REPLAY:
		n->stats.drop_replay++;
		break;
	case IPSP_ERR_SESSION:
		n->stats.drop_session++;
		break;
	case IPSP_ERR_KEY:
		n->stats.drop_seal++;
		break;
	default:
		n->stats.drop_seal++;
		if (n->now - n->seal_said_at >= 60000 || n->seal_said_at == 0) {
			n->seal_said_at = n->now;
			ipsp_say(n, IPSP_LOG_WARNING,
				 "datagrams from the peer's address do not open with our key: do "
				 "both sides have the same key-file, or both auth = \"none\"?");
		}
	}
}

static bool well_formed(const uint8_t *plain, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, len);
	struct ipsp_msg msg;
	int got;

	while ((got = ipsp_msg_next(&rd, &msg)) > 0)
		;
	return got == 0;
}

static void obey(struct ipsp_node *n, const uint8_t *plain, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, len);
	struct ipsp_msg msg;

	while (ipsp_msg_again(&rd, &msg)) {
		if (msg.type == IPSP_MSG_HELLO) {
			ipsp_hello_on(n, &msg.u.hello);
			ipsp_lease_end_licence(n);
			ipsp_peer_situation(n);
		} else if (msg.type == IPSP_MSG_RENEW) {
			ipsp_renew_on(n, &msg.u.renew); /* in whatever state: of keys alone */
		} else if (!n->peer.known) {
			n->stats.drop_state++; /* first the hello: whose books does it speak of? */
		} else if (n->peer.speaks == 0) {
			n->stats.drop_version++; /* it means what we don't know */
		} else {
			ipsp_peer_message(n, &msg);
		}
	}
}

IPSP_APART static void datagram(struct ipsp_node *n, const struct ipsp_event *ev)
{
	uint8_t plain[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX];
	size_t plain_n = 0, reply_n = 0;

	if (!ipsp_link_talks(n) || n->stopped)
		return;
	int opened =
		ipsp_seal_open(&n->seal, ev->bytes, ev->n_bytes, plain, &plain_n, reply, &reply_n);
	if (opened < 0) {
		count_drop(n, opened);
		if (opened == IPSP_ERR_KEY)
			ipsp_keys_foreign(n, ev->bytes);
		else if (opened == IPSP_ERR_OLD)
			ipsp_keys_old(n);
		return;
	}
	if (reply_n > 0)
		ipsp_tx_dgram(n, reply, reply_n);
	if (opened == IPSP_OPENED_CANDIDATE) {
		ipsp_tx_dgram(n, reply, ipsp_seal_candidate(&n->seal, reply));
		ipsp_renew_candidate(n);
	}
	if (opened == IPSP_OPENED_SHAKE || opened == IPSP_OPENED_CANDIDATE) {
		ipsp_link_not_silent(n, opened == IPSP_OPENED_CANDIDATE || n->seal.proven);
		ipsp_keys_answered(n);
		return;
	}
	if (opened == IPSP_OPENED_NEW) {
		ipsp_hello_session(n);
		ipsp_keys_session(n);
		ipsp_renew_session(n);
	}
	ipsp_renew_opened(n, opened);
	n->peer.opened_at = n->now;
	if (!well_formed(plain, plain_n)) {
		n->stats.drop_format++;
		return;
	}
	obey(n, plain, plain_n);
}

/* --------------------------------------------------------------- timers of addresses */

#define ENDED_A_TURN 4096 /* in all pools together: what is left ends in the next one */

static void end_kept(struct ipsp_node *n)
{
	uint32_t (*const first[])(const struct ipsp_pool *) = {ipsp_pool_first_hold,
							       ipsp_pool_first_quarantine};
	int budget = ENDED_A_TURN;

	n->kept_due = IPSP_NEVER;
	for (uint32_t i = 0; i < 2 * n->conf.n_pools; i++) {
		struct ipsp_place at = {.pool = (uint16_t)(i / 2)};
		const struct ipsp_pool *pool = n->pools[at.pool];
		ipsp_ms end = IPSP_NEVER;
		while ((at.index = first[i % 2](pool)) != IPSP_NO_INDEX) {
			end = ipsp_pool_end(pool, at.index);
			if (end > n->now || budget-- <= 0)
				break;
			ipsp_rec_drop(n, at);
		}
		if (at.index != IPSP_NO_INDEX && end < n->kept_due)
			n->kept_due = end;
	}
}

/* --------------------------------------------------------------- the turn */

/*
 * Role and epoch are said when they are durable. What was said is recorded in the turn after, so a
 * crash in between says it twice, never not at all.
 */
static void tell_role(struct ipsp_node *n)
{
	if (n->side_seq > n->flushed || n->licence_pending)
		return;
	if (n->side.told_epoch != n->told_epoch || n->side.told_primary != n->told_primary) {
		struct ipsp_side s = n->side;
		s.told_epoch = n->told_epoch;
		s.told_primary = n->told_primary;
		ipsp_rec_side(n, &s, false);
	}
	bool role = n->told_primary != n->side.primary;
	if (!role && n->told_epoch == n->side.epoch)
		return;
	n->told_epoch = n->side.epoch;
	n->told_primary = n->side.primary;
	if (!ipsp_psp(n)->enabled)
		return;
	n->state_changed = true;
	ipsp_out_trap(n, IPSP_TRAP_ROLE_CHANGE, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_ROLE_CHANGE, IPSP_ADDR_NONE);
	ipsp_say(n, IPSP_LOG_NOTICE, "%s %s, epoch %llu",
		 role ? "this side is now" : "this side stays",
		 n->side.primary ? "primary" : "secondary", (unsigned long long)n->side.epoch);
}

static void watch_waiting(struct ipsp_node *n)
{
	enum ipsp_waiting waiting = ipsp_peer_waiting(n);

	if (waiting == n->waiting)
		return;
	n->waiting = waiting;
	n->waiting_since = n->now;
}

/*
 * A peer that is heard and doesn't acknowledge what is sent to it has a store that hangs, or is no
 * good peer: its books fall behind without anybody noticing. Said once, after as long as would be a
 * loss.
 */
static void watch_stream(struct ipsp_node *n)
{
	struct ipsp_stall *s = &n->stall;

	if (n->side.applied != s->applied) {
		s->applied = n->side.applied;
		s->applied_at = n->now;
	}
	bool waits = n->stream.n > 0 && ipsp_contact(n) && !n->side.licence && n->peer.speaks != 0;
	if (!waits || !s->waits || n->side.acked != s->acked) {
		if (s->said)
			ipsp_say(n, IPSP_LOG_NOTICE, "the peer acknowledges again, up to item %llu",
				 (unsigned long long)n->side.acked);
		*s = (struct ipsp_stall){.acked = n->side.acked,
					 .applied = s->applied,
					 .since = n->now,
					 .applied_at = s->applied_at,
					 .waits = waits};
	} else if (!s->said && n->now - s->since >= ipsp_loss_ms(n)) {
		s->said = true;
		n->stats.stalls++;
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer is heard, but acknowledges nothing since item %llu of %llu, for "
			 "%llu ms: is its disk slow, or full, or its ipspd older? Its log says. If "
			 "not: "
			 "are datagrams of %u bytes dropped on the way (MTU, fragments)?",
			 (unsigned long long)n->side.acked, (unsigned long long)n->side.sent,
			 (unsigned long long)(n->now - s->since), s->largest);
	}
}

/* A peer that is heard has a word for each request that it gets: an item, a refusal, a wait. */
void ipsp_node_unanswered(struct ipsp_node *n, ipsp_ms asked_at)
{
	struct ipsp_unanswered *u = &n->unanswered;

	/* some of many may have come through at the beginning */
	if (u->answered_at >= asked_at + (n->now - asked_at) / 3 || !ipsp_contact(n))
		return;
	u->n++;
	n->stats.requests_unanswered++;
}

void ipsp_node_answered(struct ipsp_node *n)
{
	struct ipsp_unanswered *u = &n->unanswered;

	if (u->said)
		ipsp_say(n, IPSP_LOG_NOTICE, "the peer answers requests again");
	u->answered_at = n->now;
	u->n = u->largest = 0;
	u->said = false;
}

static void watch_requests(struct ipsp_node *n)
{
	struct ipsp_unanswered *u = &n->unanswered;

	if (u->n == 0 || u->said)
		return;
	u->said = true;
	ipsp_say(n, IPSP_LOG_WARNING,
		 "the peer is heard, but had no word for %u request%s in %u ms: is its disk slow, "
		 "or "
		 "its ipspd overloaded? Its log says. If not: are datagrams of %u bytes dropped on "
		 "the way (MTU, fragments)?",
		 u->n, u->n == 1 ? "" : "s", ipsp_psp(n)->request_timeout_ms, u->largest);
}

IPSP_APART static void end_turn(struct ipsp_node *n)
{
	if (n->n_was_kept > 0)
		ipsp_out_forget_kept(n);
	if (n->side.held)
		ipsp_held_tick(n);
	ipsp_lease_tick(n);
	if (n->now >= n->kept_due)
		end_kept(n);
	ipsp_ha_tick(n);
	ipsp_serve_tick(n);
	ipsp_lease_end_licence(n);
	ipsp_peer_situation(n);
	ipsp_conflict_turn(n);
	ipsp_flow_turn(n);
	bool may = ipsp_may_assign(n);
	if (may && !n->could_assign)
		n->xacts.retry = true;
	n->could_assign = may;
	ipsp_xact_retry(n);
	ipsp_stock_turn(n);
	ipsp_out_flushed(n);
	ipsp_ha_send_held(n);
	ipsp_sync_turn(n);
	tell_role(n);
	ipsp_peer_situation(n);
	ipsp_link_watch(n);
	watch_waiting(n);
	ipsp_serving_watch(n);
	watch_stream(n);
	watch_requests(n);
	ipsp_tx(n);
	ipsp_binds_rest(n->binds, n->now);
	if (n->state_changed) {
		n->state_changed = false;
		ipsp_out_state(n, 0);
	}
	if (n->stopped && !n->said_stopped && n->seq <= n->flushed) {
		n->said_stopped = true;
		ipsp_out_add(n, IPSP_OUT_STOPPED);
	} else if (n->stopped && n->seq > n->flushed) {
		n->act->want_flush = true;
	}
	if (n->lease_dirty) {
		n->lease_dirty = false;
		n->act->lease_set = true;
		n->act->lease = n->lease;
	}
}

/* After these the situation may be another: so no two causes are seen as one change. */
static bool changes_facts(enum ipsp_event_type type)
{
	return type == IPSP_EV_DATAGRAM || type == IPSP_EV_FLUSHED || type == IPSP_EV_COMMAND ||
	       type == IPSP_EV_HOOK || type == IPSP_EV_CONF || type == IPSP_EV_KEYS ||
	       type == IPSP_EV_LINK;
}

static void begin_step(struct ipsp_node *n, ipsp_ms now, struct ipsp_actions *act)
{
	n->act = act;
	n->may_serve = false;
	if (now > n->now)
		n->now = now;
	if (n->now != n->last_step) {
		ipsp_lease_gap(n);
		ipsp_renew_look(n);
	}
	if (n->n_late > 0)
		ipsp_out_undo_late(n);
}

static void end_step(struct ipsp_node *n)
{
	struct ipsp_actions *act = n->act;

	/* not in service: it is looked at in every turn */
	assert(!n->may_serve || ipsp_serve_gate(n) == 0);
	act->rec_seq = n->seq;
	if (act->recs.failed || act->bytes.failed)
		act->failed = true;
}

/* Its end may be seen again after a restart: then it is news, too. */
static void on_disk(struct ipsp_node *n, bool full)
{
	if (full == n->disk_full)
		return;
	n->disk_full = full;
	if (full)
		ipsp_say(n, IPSP_LOG_ERROR,
			 "the disk is full: no new address is given here, nor to the peer; "
			 "sessions, "
			 "releases and what was promised go on");
	else
		ipsp_say(n, IPSP_LOG_NOTICE, "the disk has room again: new addresses are given");
	ipsp_out_trap(n, IPSP_TRAP_DISK_FULL, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_DISK_FULL, IPSP_ADDR_NONE);
	n->xacts.retry = n->xacts.retry || !full;
}

/* All but requests, of which there are very many. */
IPSP_APART static void take_other(struct ipsp_node *n, const struct ipsp_event *ev)
{
	switch (ev->type) {
	case IPSP_EV_TICK:
		break;
	case IPSP_EV_END:
		end_turn(n);
		ipsp_say_left_out(n);
		break;
	case IPSP_EV_FLUSHED:
		if (ev->seq > n->flushed)
			n->flushed = ev->seq;
		ipsp_lease_flushed(n);
		ipsp_sync_flushed(n);
		break;
	case IPSP_EV_DATAGRAM:
		datagram(n, ev);
		break;
	case IPSP_EV_ATTACH:
		ipsp_ha_attach(n, ev);
		break;
	case IPSP_EV_DETACH:
		ipsp_ha_detach(n, ev->token);
		break;
	case IPSP_EV_RELEASE:
		ipsp_ha_release(n, ev);
		break;
	case IPSP_EV_RELEASED:
		ipsp_ha_released(n, ev);
		break;
	case IPSP_EV_COMMAND:
		ipsp_command_do(n, ev);
		break;
	case IPSP_EV_HOOK:
		ipsp_lease_on_hook(n, ev->yes);
		break;
	case IPSP_EV_CONF:
		ipsp_psp_on_conf(n, ev);
		break;
	case IPSP_EV_KEYS:
		ipsp_psp_on_keys(n, ev->conf);
		break;
	case IPSP_EV_DISK:
		on_disk(n, ev->full);
		break;
	case IPSP_EV_LINK:
		ipsp_link_on(n, ev->bound, ev->error);
		break;
	case IPSP_EV_REQUEST: /* take() */
	case IPSP_EVENT_TYPES:
		break;
	}
	if (changes_facts(ev->type))
		ipsp_peer_situation(n);
	if (ev->type != IPSP_EV_RELEASE)
		n->may_serve = false;
}

static inline void take(struct ipsp_node *n, const struct ipsp_event *ev)
{
	if (ev->type == IPSP_EV_REQUEST)
		ipsp_xact_request(n, ev);
	else
		take_other(n, ev);
}

void ipsp_node_step(struct ipsp_node *n, const struct ipsp_event *ev, ipsp_ms now,
		    struct ipsp_actions *act)
{
	begin_step(n, now, act);
	take(n, ev);
	end_step(n);
}

static inline void foresee(const struct ipsp_node *n, struct ipsp_event *ev)
{
	if (ev->type == IPSP_EV_REQUEST)
		ipsp_binds_foresee(n->binds, &ev->ident);
}

void ipsp_node_steps(struct ipsp_node *n, struct ipsp_event *evs, size_t n_evs, ipsp_ms now,
		     struct ipsp_actions *act)
{
	struct ipsp_event *const end = evs + n_evs, *ahead = evs;

	begin_step(n, now, act);
	while (ahead < end && ahead < evs + AHEAD)
		foresee(n, ahead++);
	for (struct ipsp_event *ev = evs; ev < end; ev++) {
		if (ahead < end)
			foresee(n, ahead++);
		take(n, ev);
	}
	end_step(n);
}

static ipsp_ms earlier(ipsp_ms a, ipsp_ms b)
{
	return a < b ? a : b;
}

ipsp_ms ipsp_node_due(const struct ipsp_node *n)
{
	ipsp_ms due = earlier(ipsp_tx_due(n), ipsp_lease_due(n));

	due = earlier(due, ipsp_held_due(n));
	due = earlier(due, ipsp_xact_due(n));
	due = earlier(due, ipsp_ha_due(n));
	due = earlier(due, ipsp_serve_due(n));
	due = earlier(due, ipsp_flow_due(n));
	due = earlier(due, ipsp_role_due(n));
	due = earlier(due, ipsp_command_due(n));
	due = earlier(due, ipsp_conflict_due(n));
	due = earlier(due, n->kept_due);
	if (n->n_late > 0)
		due = n->now;
	if (n->listen_until > n->now)
		due = earlier(due, n->listen_until);
	if (n->lease.lease_end > n->now) /* from then on it serves no more, which is said */
		due = earlier(due, n->lease.lease_end);
	/* a silence is only watched by a side that looks, see ipsp_lease_gap */
	uint32_t look = ipsp_loss_ms(n) / 2;
	return earlier(due, n->now + (look < ipsp_hello_ms(n) ? look : ipsp_hello_ms(n)));
}
