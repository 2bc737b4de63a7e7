/*
 * ha - the HAs of this context: who is attached, the end of their sessions, and the release events
 * that ask them for it (asked.c).
 */
#include "core/asked.h"
#include "core/names.h"

#include <stdio.h>
#include <string.h>

int ipsp_ha_init(struct ipsp_node *n)
{
	n->has.soonest = IPSP_NEVER;
	ipsp_rng_bytes(&n->rng, &n->has.asked, sizeof n->has.asked);
	n->has.asked >>= 16; /* in JSON it stays a number */
	return 0;
}

void ipsp_ha_fini(struct ipsp_node *n)
{
	ipsp_asked_clear(n);
	ipsp_names_fini(n);
}

/* --------------------------------------------------------------- asked to end a session */

static void set_releasing(struct ipsp_node *n, struct ipsp_place at, bool on)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return;
	uint8_t flags =
		(uint8_t)(on ? b.flags | IPSP_BIND_RELEASING : b.flags & ~IPSP_BIND_RELEASING);
	ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), flags);
}

static void send_event(struct ipsp_node *n, const struct ipsp_asked *a)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, (struct ipsp_place){a->pool, a->index}, &b))
		return;
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_RELEASE);
	if (!o)
		return;
	o->token = a->token;
	o->id = a->number;
	o->addr = ipsp_pool_addr(&n->conf.pools[a->pool], a->index);
	/* an HA that comes later sees no handoff: that goes by a request of the peer, and it is
	 * told what is left of one, which is that the peer has another session there */
	o->reason =
		a->reason == IPSP_REASON_HANDOFF && a->later ? IPSP_REASON_DUPLICATE : a->reason;
	o->off = (uint32_t)n->act->bytes.len;
	o->len = b.ident.n_subscriber;
	ipsp_buf_put(&n->act->bytes, b.ident.subscriber, b.ident.n_subscriber);
	o->off2 = (uint32_t)n->act->bytes.len;
	o->len2 = b.ident.n_session;
	ipsp_buf_put(&n->act->bytes, b.ident.session, b.ident.n_session);
	n->stats.releases_asked++;
}

int ipsp_ha_ask(struct ipsp_node *n, struct ipsp_place at, enum ipsp_reason reason,
		uint64_t peer_id, ipsp_ms deadline)
{
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return IPSP_ERR_NO_SUCH_SESSION;
	if (b.ha == 0) { /* made by an operator: nobody to ask */
		ipsp_ha_end(n, at, peer_id == 0);
		return 1;
	}
	uint64_t token = n->has.has[b.ha].token; /* each that a session says has a place */
	if (token == 0 && deadline != IPSP_NEVER)
		return IPSP_ERR_TIMEOUT;
	struct ipsp_asked *a = ipsp_asked_open(n, at);
	if (a && deadline != IPSP_NEVER && a->deadline == IPSP_NEVER && a->peer_id == 0 &&
	    a->reason == IPSP_REASON_DUPLICATE)
		return IPSP_ERR_IN_USE; /* it is being dropped for the owner: not ours to give */
	if (a) {			/* asked already: the newest request takes the answer */
		if (deadline == IPSP_NEVER || (a->deadline != IPSP_NEVER && a->peer_id != peer_id))
			a->deadline = deadline;
		if (peer_id != 0)
			a->peer_id = peer_id;
		if (reason == IPSP_REASON_TERMINATE ||
		    (reason == IPSP_REASON_DUPLICATE && a->reason != IPSP_REASON_TERMINATE))
			a->reason = reason; /* what an operator wants is not over with it */
		return 0;
	}
	a = ipsp_asked_add(n, at);
	if (!a)
		return IPSP_ERR_OVERLOADED;
	a->ha = b.ha;
	a->token = token;
	a->reason = reason;
	a->peer_id = peer_id;
	a->deadline = deadline;
	a->later = token == 0;
	if (deadline < n->has.soonest)
		n->has.soonest = deadline;
	set_releasing(n, at, true);
	a->held = token != 0 && ipsp_out_deferred(n, at);
	n->has.n_held += a->held;
	if (token != 0 && !a->held)
		send_event(n, a);
	return 0;
}

/*
 * Another HA of this side has asked for the session at @at, and gets it. The one that had it is
 * told; whatever it answers changes nothing, as its session has gone already.
 */
void ipsp_ha_moved(struct ipsp_node *n, struct ipsp_place at, uint16_t from)
{
	const uint64_t token = n->has.has[from].token;

	n->stats.sessions_moved++;
	if (token == 0)
		return; /* it looks at the list when it comes */
	if (ipsp_out_revoke_for(n, at, token))
		return; /* it has not even heard that it got the address */
	struct ipsp_asked *a = ipsp_asked_add(n, at);
	if (!a)
		return;
	a->ha = from;
	a->token = token;
	a->reason = IPSP_REASON_HANDOFF;
	a->deadline = IPSP_NEVER;
	a->gone = true;
	send_event(n, a);
	ipsp_asked_settle(n, a);
}

void ipsp_ha_send_held(struct ipsp_node *n)
{
	for (struct ipsp_asked *a = n->has.n_held ? ipsp_asked_first(n) : NULL; a; a = a->next) {
		if (!a->held || a->token == 0 ||
		    ipsp_out_deferred(n, (struct ipsp_place){a->pool, a->index}))
			continue;
		a->held = false;
		n->has.n_held--;
		send_event(n, a);
	}
}

/* The peer's request has ended without its address; the session stays. @a is settled: see there. */
static void cancel(struct ipsp_node *n, struct ipsp_asked *a)
{
	struct ipsp_place at = {a->pool, a->index};

	a->cancelled = true;
	a->peer_id = 0;
	a->deadline = IPSP_NEVER;
	set_releasing(n, at, false);
	struct ipsp_out *o = a->token && !a->held ? ipsp_out_add(n, IPSP_OUT_CANCELLED) : NULL;
	if (o) {
		o->token = a->token;
		o->id = a->number;
		o->addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
	}
	ipsp_asked_settle(n, a);
	ipsp_xact_wake(n, at);
}

void ipsp_ha_cancel(struct ipsp_node *n, uint64_t peer_id, int err)
{
	for (struct ipsp_asked *a = ipsp_asked_first(n); a; a = a->next) {
		if (a->peer_id != peer_id)
			continue;
		if (a->deadline == IPSP_NEVER) /* healing wants it released all the same */
			a->peer_id = 0;
		else
			cancel(n, a);
		break;
	}
	if (err)
		ipsp_grant_refuse(n, peer_id, err);
}

void ipsp_ha_end_requests(struct ipsp_node *n)
{
	for (struct ipsp_asked *a = ipsp_asked_first(n), *next; a; a = next) {
		next = a->next;
		if (a->peer_id == 0)
			continue;
		if (a->deadline == IPSP_NEVER)
			a->peer_id = 0;
		else
			cancel(n, a);
	}
}

/* Its session is no duplicate, is not owed to the peer, and no operator wants it ended. */
static bool is_void(const struct ipsp_node *n, const struct ipsp_asked *a)
{
	struct ipsp_place at = {a->pool, a->index};
	struct ipsp_bind b;

	return a->deadline == IPSP_NEVER && a->reason != IPSP_REASON_TERMINATE &&
	       ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS &&
	       !(ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_OWED) &&
	       ipsp_place_used(n, at, &b) && !(b.flags & IPSP_BIND_DUPLICATE);
}

void ipsp_ha_end_void(struct ipsp_node *n)
{
	char text[IPSP_ADDR_TEXT_MAX];

	for (struct ipsp_asked *a = ipsp_asked_first(n), *next; a; a = next) {
		next = a->next;
		if (!is_void(n, a))
			continue;
		if (a->reason == IPSP_REASON_DUPLICATE) {
			ipsp_say_each(
				n, IPSP_LOG_NOTICE,
				"%s is no duplicate any more: it has become this side's, and its "
				"session keeps it",
				ipsp_addr_text(a->addr, text, sizeof text));
			ipsp_out_trap(n, IPSP_TRAP_DUPLICATE, a->addr);
		}
		cancel(n, a);
	}
}

void ipsp_ha_tick(struct ipsp_node *n)
{
	ipsp_asked_tick(n);
	if (n->now < n->has.soonest)
		return;
	n->has.soonest = IPSP_NEVER;
	for (struct ipsp_asked *a = ipsp_asked_first(n), *next; a; a = next) {
		next = a->next;
		if (a->deadline > n->now) {
			if (a->deadline < n->has.soonest)
				n->has.soonest = a->deadline;
			continue;
		}
		uint64_t peer_id = a->peer_id;
		cancel(n, a);
		ipsp_grant_refuse(n, peer_id, IPSP_ERR_TIMEOUT);
	}
}

ipsp_ms ipsp_ha_due(const struct ipsp_node *n)
{
	return n->has.soonest;
}

/* --------------------------------------------------------------- the end of a session */

static void end_foreign(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b)
{
	if (b->flags & IPSP_BIND_DUPLICATE) {
		const struct ipsp_ident *who = &b->ident;
		char how[IPSP_NAME_BYTES + 32];

		snprintf(how, sizeof how, "was dropped here (%.*s)",
			 who->n_subscriber ? who->n_subscriber : 100,
			 who->n_subscriber ? who->subscriber : "before the peer was heard");
		n->stats.duplicates_resolved++;
		ipsp_heal_resolved(n, at, how);
		ipsp_heal_dropped(n, at); /* before the session's record: see rec.c */
	}
	ipsp_rec_drop(n, at);
}

static void end_own(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b,
		    bool timers)
{
	const struct ipsp_pool_conf *conf = &n->conf.pools[at.pool];
	uint8_t flags = ipsp_pool_flags(n->pools[at.pool], at.index);

	if (!timers || conf->type == IPSP_POOL_STATIC || flags & (IPSP_ADDR_OWED | IPSP_ADDR_DUP))
		ipsp_rec_drop(n, at);
	else if (conf->hold_s > 0)
		ipsp_rec_keep(n, at, IPSP_USE_HOLD, conf->hold_s, b->ident.subscriber,
			      b->ident.n_subscriber);
	else if (conf->quarantine_s > 0)
		ipsp_rec_keep(n, at, IPSP_USE_QUARANTINE, conf->quarantine_s, b->ident.subscriber,
			      b->ident.n_subscriber);
	else
		ipsp_rec_drop(n, at);
	if (flags & IPSP_ADDR_OWED && n->peer.known)
		ipsp_sync_give(n, at, 0, NULL);
	else if (flags & IPSP_ADDR_OWED)
		n->sweep_owed = true;
	if (flags & IPSP_ADDR_MOVE) {
		n->move_pool = at.pool;
		n->move_from = at.index;
	}
}

/* The session @b at @at ends; what @b borrows is gone then. */
static void end_session(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b,
			bool timers)
{
	ipsp_out_revoke(n, at);
	if (n->has.n_asked > 0)
		ipsp_asked_gone(n, at);
	if (ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS)
		end_own(n, at, b, timers);
	else if (b->flags & IPSP_BIND_DUPLICATE && n->peer.heard_at == IPSP_NEVER)
		ipsp_heal_drop_later(n, at, b);
	else
		end_foreign(n, at, b);
	ipsp_xact_wake(n, at);
}

void ipsp_ha_end(struct ipsp_node *n, struct ipsp_place at, bool timers)
{
	struct ipsp_bind b;

	if (ipsp_place_used(n, at, &b))
		end_session(n, at, &b, timers);
}

/* A request of the peer waits for the end of this session. */
static void hand_over(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b,
		      uint64_t peer_id)
{
	char subscriber[IPSP_NAME_BYTES];
	struct ipsp_ident who = {
		.subscriber = subscriber, .n_subscriber = b->ident.n_subscriber, .session = ""};
	bool owed = ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_OWED;

	memcpy(subscriber, b->ident.subscriber, b->ident.n_subscriber);
	end_session(n, at, b, false);
	if (owed)
		return; /* it is on its way already */
	if (ipsp_pool_own(n->pools[at.pool], at.index) != IPSP_OWN_OURS ||
	    ipsp_pool_use(n->pools[at.pool], at.index) == IPSP_USE_USED ||
	    ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_DUP) {
		ipsp_grant_refuse(n, peer_id, IPSP_ERR_IN_USE);
		return;
	}
	ipsp_grant_answered(n, peer_id, ipsp_sync_give(n, at, peer_id, &who), 0);
}

/* Its HA has ended the session; @peer_id: for this request of the peer, or 0. */
static void end_for(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b,
		    uint64_t peer_id)
{
	n->stats.releases++;
	if (peer_id != 0)
		hand_over(n, at, b, peer_id);
	else
		end_session(n, at, b, true);
}

static uint64_t waiting_peer(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_asked *a = ipsp_asked_open(n, at);
	return a ? a->peer_id : 0;
}

static bool find_place(const struct ipsp_node *n, struct ipsp_addr addr, struct ipsp_place *at)
{
	int pool = ipsp_conf_find(&n->conf, addr, &at->index);
	at->pool = (uint16_t)pool;
	return pool >= 0;
}

static bool same_text(const char *a, uint8_t n_a, const char *b, uint8_t n_b)
{
	return n_a == n_b && memcmp(a, b, n_a) == 0;
}

/*
 * Is @b the session that @ev means? What ends later than another begins at the same address must
 * not end that: so an HA says whose session it was.
 */
static bool is_meant(const struct ipsp_event *ev, const struct ipsp_bind *b)
{
	const struct ipsp_ident *named = &ev->ident, *has = &b->ident;

	return (!named->subscriber || same_text(named->subscriber, named->n_subscriber,
						has->subscriber, has->n_subscriber)) &&
	       (!named->session ||
		same_text(named->session, named->n_session, has->session, has->n_session));
}

/* @ha ends its own; an operator who may not do everything those of the own user's names, and what
 * such a one asked for. */
static bool may_release(const struct ipsp_node *n, const struct ipsp_event *ev, uint16_t ha,
			const struct ipsp_bind *b)
{
	if (ha != 0)
		return b->ha == ha;
	if (ev->owner == 0)
		return true;
	if (b->ha == 0)
		return b->flags & IPSP_BIND_GATEWAYS;
	const uint32_t owner = n->has.has[b->ha].owner;
	return owner == 0 || owner == ev->owner;
}

/*
 * An operator does not wait for the HA. One that is attached is told all the same: whatever it
 * answers changes nothing, as its session has ended. To the books and the peer this is the end of a
 * session like any other.
 */
static const char *end_by_force(struct ipsp_node *n, struct ipsp_place at,
				const struct ipsp_bind *b)
{
	const bool attached = n->has.has[b->ha].token != 0;

	if (attached)
		ipsp_ha_ask(n, at, IPSP_REASON_TERMINATE, 0, IPSP_NEVER);
	end_for(n, at, b, waiting_peer(n, at));
	return attached ? "ended without waiting for its HA, which is told: until it has ended the "
			  "session, the address may be used twice"
			: "ended without its HA, which is not attached: where that still runs, the "
			  "address may be used twice";
}

static void ask_to_end(struct ipsp_node *n, const struct ipsp_event *ev, struct ipsp_place at,
		       const struct ipsp_bind *b)
{
	int err = ipsp_ha_ask(n, at, IPSP_REASON_TERMINATE, 0, IPSP_NEVER);

	if (err < 0) {
		ipsp_out_done(n, ev->token, ev->id, err, NULL);
		return;
	}
	ipsp_rec_terminate(n, at);
	ipsp_out_done(n, ev->token, ev->id, 0,
		      n->has.has[b->ha].token
			      ? "the HA is asked to end the session"
			      : "the HA is not attached: it is asked when it comes; where it is "
				"gone for good, say --force");
}

/* The name that an operator has given, if any, is who has the session. */
static bool is_of(const struct ipsp_node *n, const struct ipsp_event *ev, const struct ipsp_bind *b)
{
	return !ev->of_ha || strcmp(ev->of_ha, ipsp_name_of_ha(n, b->ha)) == 0;
}

void ipsp_ha_release(struct ipsp_node *n, const struct ipsp_event *ev)
{
	uint16_t ha = ipsp_ha_who_asks(n, ev->token);
	struct ipsp_place at;
	struct ipsp_bind b;

	if (!find_place(n, ev->addr, &at) || !ipsp_place_used(n, at, &b)) {
		ipsp_out_done(n, ev->token, ev->id, IPSP_ERR_NO_SUCH_SESSION, NULL);
		return;
	}
	if (!is_meant(ev, &b) || (ha == 0 && !is_of(n, ev, &b))) {
		n->stats.releases_late++;
		ipsp_out_done(n, ev->token, ev->id, IPSP_ERR_NO_SUCH_SESSION,
			      "the address has another session by now");
		return;
	}
	if (!may_release(n, ev, ha, &b)) {
		ipsp_out_done(n, ev->token, ev->id, IPSP_ERR_NOT_PERMITTED, NULL);
		return;
	}
	if (ha == 0 && b.ha != 0 && ev->force) {
		ipsp_out_done(n, ev->token, ev->id, 0, end_by_force(n, at, &b));
		return;
	}
	if (ha == 0 && b.ha != 0 && !(b.flags & IPSP_BIND_DUPLICATE)) {
		ask_to_end(n, ev, at, &b);
		return;
	}
	end_for(n, at, &b, waiting_peer(n, at));
	ipsp_out_done(n, ev->token, ev->id, 0, NULL);
}

/*
 * An answer that doesn't say its number was taken for that to an event of before, whose session has
 * ended without it. If it was for the one that is open, no other would come: it is asked once more.
 */
static void ask_again(struct ipsp_node *n, struct ipsp_place at, uint64_t token)
{
	struct ipsp_asked *a = ipsp_asked_open(n, at);

	if (!a || a->token != token || a->held)
		return;
	a->count++;
	send_event(n, a);
}

void ipsp_ha_released(struct ipsp_node *n, const struct ipsp_event *ev)
{
	struct ipsp_place at;
	struct ipsp_bind b;

	if (ev->token == 0 || !find_place(n, ev->addr, &at))
		return;
	struct ipsp_asked *a = ipsp_asked_answered(n, at, ev);
	if (!a)
		return;
	if (!a->gone && ipsp_place_used(n, at, &b) && !is_meant(ev, &b)) {
		n->stats.releases_late++;
		return; /* it was for a session of before; this event is still to be answered */
	}
	bool gone = a->gone, cancelled = a->cancelled;
	uint64_t for_peer = a->peer_id;
	ipsp_asked_done(n, a);
	/* a newer event may be open for a newer request of the peer */
	uint64_t peer_id = cancelled ? waiting_peer(n, at) : for_peer;
	if (!gone && ipsp_place_used(n, at, &b))
		end_for(n, at, &b, peer_id);
	else if (gone && ev->id == 0)
		ask_again(n, at, ev->token);
	ipsp_xact_wake(n, at);
}

/* --------------------------------------------------------------- attaching */

void ipsp_ha_attach(struct ipsp_node *n, const struct ipsp_event *ev)
{
	uint64_t before = ipsp_token_of_name(n, ev->ha_name);

	if (before != 0)
		ipsp_ha_detach(n, before);
	uint16_t ha = ipsp_name_attach(n, ev->ha_name, ev->token, ev->owner);
	if (ha == 0)
		return;
	n->has.has[ha].any = ev->force;
	ipsp_serve_attached(n);
	ipsp_out_state(n, ev->token);
	for (struct ipsp_asked *a = ipsp_asked_first(n); a; a = a->next) {
		if (a->ha != ha)
			continue;
		a->token = ev->token;
		n->has.n_held -= a->held;
		a->held = false;
		send_event(n, a);
	}
}

void ipsp_ha_detach(struct ipsp_node *n, uint64_t token)
{
	uint16_t ha = ipsp_ha_of_token(n, token);

	if (token == 0)
		return;
	ipsp_xact_drop_token(n, token);
	if (ha == 0)
		return;
	for (struct ipsp_asked *a = ipsp_asked_first(n), *next; a; a = next) {
		next = a->next;
		if (a->ha != ha)
			continue;
		a->token = 0;
		a->later = true;
		if (a->deadline == IPSP_NEVER)
			continue; /* repeated at the next attach */
		struct ipsp_place at = {a->pool, a->index};
		uint64_t peer_id = a->peer_id;
		set_releasing(n, at, false);
		ipsp_asked_del(n, a);
		ipsp_grant_refuse(n, peer_id, IPSP_ERR_TIMEOUT);
		ipsp_xact_wake(n, at);
	}
	ipsp_asked_end_settled(n, ha);
	ipsp_name_detach(n, ha);
}

/* An operator wants the session ended, and it is there, under other numbers: they are @a's now. */
static bool goes_on(struct ipsp_node *n, struct ipsp_asked *a)
{
	struct ipsp_place at;
	struct ipsp_bind b;

	if (a->reason != IPSP_REASON_TERMINATE || !find_place(n, a->addr, &at) ||
	    !ipsp_place_used(n, at, &b))
		return false;
	ipsp_asked_move(n, a, at);
	a->peer_id = 0;
	a->deadline = IPSP_NEVER;
	set_releasing(n, at, true);
	return true;
}

/*
 * The pools are other ones. Nothing was shared out when they came: what the peer wanted ended, or
 * its books did, is void.
 */
void ipsp_ha_repooled(struct ipsp_node *n)
{
	ipsp_asked_end_settled(n, 0);
	for (struct ipsp_asked *a = ipsp_asked_first(n), *next; a; a = next) {
		next = a->next;
		if (goes_on(n, a))
			continue;
		struct ipsp_out *o =
			a->token != 0 && !a->held ? ipsp_out_add(n, IPSP_OUT_CANCELLED) : NULL;
		if (o) {
			o->token = a->token;
			o->id = a->number;
			o->addr = a->addr;
		}
		ipsp_asked_del(n, a);
	}
}

/* After a restart: sessions that have to be released, whoever was asked before. */
void ipsp_ha_start(struct ipsp_node *n)
{
	ipsp_names_settle(n);
	if (n->n_duplicate == 0 && n->n_terminate == 0 && n->owed == 0)
		return; /* as nearly always: no walk over a million of them */
	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		struct ipsp_bind b;
		if (!ipsp_binds_get(n->binds, i, &b) || b.kind != IPSP_BIND_SESSION)
			continue;
		struct ipsp_place at = {b.pool, b.index};
		if (b.flags & IPSP_BIND_TERMINATE)
			ipsp_ha_ask(n, at, IPSP_REASON_TERMINATE, 0, IPSP_NEVER);
		else if (b.flags & IPSP_BIND_DUPLICATE)
			ipsp_ha_ask(n, at, IPSP_REASON_DUPLICATE, 0, IPSP_NEVER);
		else if (ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_OWED)
			ipsp_ha_ask(n, at, IPSP_REASON_HANDOFF, 0, IPSP_NEVER);
	}
}
