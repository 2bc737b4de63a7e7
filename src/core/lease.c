/*
 * lease - heard, promised, lease, takeover: who may assign while the two sides don't hear each
 * other. The rules and what they stand against: docs/protocol.md, "The lease".
 *
 * A promise on the peer's hello number n says: no takeover here before this side's dead interval
 * has passed since n was heard. The peer's lease runs from its own sending of n, for that dead
 * interval less a thousandth (two clocks may differ in rate by 500 ppm each). So a lease has always
 * ended before the takeover that it excludes, whatever was lost, delayed or lay in a buffer.
 */
#include "core/node_int.h"

#include <string.h>

#define SENT_RING    (sizeof(((struct ipsp_peer_facts *)0)->sent_at) / sizeof(ipsp_ms))
#define VETO_MS	     30000 /* a vetoed takeover is asked again after this */
#define HOOK_WAIT_MS 35000 /* the shell answers within 30 s; this does not rely on it */

/* Ten hello intervals of the peer's; of ours as long as its are not known. */
static uint32_t ten_hellos(const struct ipsp_node *n)
{
	uint32_t hello =
		n->peer.hello.hello_ms ? n->peer.hello.hello_ms : ipsp_psp(n)->hello_interval_ms;
	return hello > UINT32_MAX / 10 ? UINT32_MAX : hello * 10;
}

uint32_t ipsp_dead_ms(const struct ipsp_node *n)
{
	return n->lease.dead_ms;
}

/* The dead interval that is wanted; where it is disabled, the loss time is it. */
static uint32_t wanted_dead_ms(const struct ipsp_node *n)
{
	if (ipsp_psp(n)->dead_interval_ms != 0)
		return ipsp_psp(n)->dead_interval_ms;
	return n->peer.hello.hello_ms != 0 || n->lease.dead_ms == 0 ? ten_hellos(n)
								    : n->lease.dead_ms;
}

uint32_t ipsp_loss_ms(const struct ipsp_node *n)
{
	uint32_t loss = ten_hellos(n), most = ipsp_psp(n)->dead_interval_ms == 0
						      ? n->lease.dead_ms
						      : n->lease.dead_ms / 2;

	if (loss > most)
		loss = most;
	return loss ? loss : 1;
}

/*
 * How often a hello is sent: the configured interval, but eight in the shorter of the two dead
 * intervals. An echo may be two intervals old, and has to be younger than half a dead interval.
 */
uint32_t ipsp_hello_ms(const struct ipsp_node *n)
{
	uint32_t ms = ipsp_psp(n)->hello_interval_ms, dead = n->lease.dead_ms;

	if (n->said_peer_dead_ms != 0 && n->said_peer_dead_ms < dead)
		dead = n->said_peer_dead_ms;
	if (dead != 0 && ms > dead / 8)
		ms = dead / 8;
	return ms < 10 ? 10 : ms;
}

static bool heard(const struct ipsp_node *n, uint32_t loss)
{
	return n->peer.known && n->peer.heard_at != IPSP_NEVER && n->now - n->peer.heard_at < loss;
}

bool ipsp_heard(const struct ipsp_node *n)
{
	return heard(n, ipsp_loss_ms(n));
}

/* An echo is as old as our own hellos are rare: ten of the longer interval, at most half a dead
 * interval. */
static bool peer_hears_us(const struct ipsp_node *n, uint32_t loss)
{
	const ipsp_ms age = n->now - n->peer.echoed_sent_at;

	if (n->peer.echoed_sent_at == IPSP_NEVER || age < loss) /* asked six times a turn */
		return n->peer.echoed_sent_at != IPSP_NEVER;
	uint32_t mine = 10 * ipsp_hello_ms(n), most = n->lease.dead_ms / 2;
	return age < (mine < most ? mine : most);
}

bool ipsp_contact(const struct ipsp_node *n)
{
	const uint32_t loss = ipsp_loss_ms(n);

	return heard(n, loss) && peer_hears_us(n, loss);
}

void ipsp_lease_touch(struct ipsp_node *n)
{
	n->lease.alive_at = n->now;
	n->lease_dirty = true;
}

/* A longer interval is in force at once; a shorter one when the peer has said that it knows it. */
static void settle_interval(struct ipsp_node *n)
{
	uint32_t want = wanted_dead_ms(n), have = n->lease.dead_ms;

	if (want == have)
		return;
	bool known = ipsp_contact(n) && n->peer.hello.peer_dead_ms == want;
	if (want < have && !known && (n->side.shared || n->side.held))
		return;
	n->lease.dead_ms = want;
	ipsp_lease_touch(n);
	struct ipsp_side s = n->side;
	s.dead_ms = want;
	ipsp_rec_side(n, &s, true); /* nothing is promised in between */
}

/* What a hello says as the length of the promises in it: the interval that is to be in force. */
uint32_t ipsp_lease_said(const struct ipsp_node *n)
{
	return wanted_dead_ms(n);
}

/* --------------------------------------------------------------- the lease */

bool ipsp_may_assign_at(const struct ipsp_node *n, ipsp_ms now)
{
	if (n->side.lost)
		return false;
	if (n->side.licence)
		return !n->licence_pending && !n->licence_resting && !ipsp_link_listens(n, now);
	if (!n->side.shared)
		return n->side.primary && !n->side.held && !ipsp_link_listens(n, now) &&
		       !ipsp_conflict_yields(n);
	return n->lease.lease_end != 0 && now < n->lease.lease_end;
}

/*
 * A licence is for a peer that is not there. Where one goes on although the peer is heard, as no
 * version is common, the addresses that the peer's sessions may have are not given.
 */
bool ipsp_may_reclaim(const struct ipsp_node *n)
{
	return n->side.licence && !n->licence_pending && !n->licence_resting &&
	       !(n->peer.hello.used > 0 && ipsp_contact(n));
}

bool ipsp_may_assign(const struct ipsp_node *n)
{
	return ipsp_may_assign_at(n, n->now);
}

static bool sent_at(const struct ipsp_node *n, uint32_t number, ipsp_ms *at)
{
	if (number == 0 || n->peer.number - number >= SENT_RING)
		return false;
	*at = n->peer.sent_at[number % SENT_RING];
	return *at != IPSP_NEVER;
}

void ipsp_lease_on_hello(struct ipsp_node *n, const struct ipsp_hello *h)
{
	ipsp_ms at;

	if (sent_at(n, h->heard, &at) && !ipsp_hello_after(n->peer.echoed, h->heard)) {
		n->peer.echoed = h->heard;
		n->peer.echoed_sent_at = at;
	}
	n->said_peer_dead_ms = h->dead_ms;
	if (n->side.licence || (h->flags & IPSP_HF_LICENCE)) {
		/* it serves on what the books give us: our own silence begins with its last word */
		if (h->flags & IPSP_HF_LICENCE) {
			n->lease.quiet_since = n->now;
			ipsp_lease_touch(n);
		}
	} else if (!n->side.held && sent_at(n, h->promised, &at)) {
		n->lease.lease_end = at + h->dead_ms - h->dead_ms / 1000 - 1;
		n->lease.peer_dead_ms = h->dead_ms;
		ipsp_lease_touch(n);
	} else if (h->dead_ms < n->lease.peer_dead_ms) {
		/* shorter promises from now on; when ours began is not kept, how long it was is */
		uint32_t less = n->lease.peer_dead_ms - h->dead_ms;
		n->lease.lease_end = n->lease.lease_end > less ? n->lease.lease_end - less : 0;
		n->lease.peer_dead_ms = h->dead_ms;
		ipsp_lease_touch(n);
	}
	/* no silence runs while both hear each other, whether promises are made or (healing) not */
	if (ipsp_contact(n) && n->lease.quiet_since < n->now) {
		n->lease.quiet_since = n->now;
		ipsp_lease_touch(n);
	}
	settle_interval(n);
}

/*
 * For the hello that is about to be built: the newest number of the peer's to promise on. Only in
 * the agreed epoch, with no healing open, and while the peer hears us: so one-way loss stops
 * promises both ways and ends in one takeover. A side that gives nothing, as its peer has shared
 * other pools, agrees on no epoch with it; it promises in any, or else nobody would serve.
 */
uint32_t ipsp_lease_promise(struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;
	bool agreed =
		n->peer.known &&
		((n->side.held && !n->side.shared) ||
		 (h->epoch == n->side.epoch && !!(h->flags & IPSP_HF_PRIMARY) != n->side.primary));

	if (!agreed || n->peer.twin || n->side.licence || n->side.lost ||
	    (h->flags & (IPSP_HF_LICENCE | IPSP_HF_LOST)))
		return n->peer.promised;
	if (ipsp_heal_pending(n) || !ipsp_contact(n) ||
	    !ipsp_hello_after(n->peer.heard, n->peer.promised))
		return n->peer.promised;
	n->peer.promised = n->peer.heard;
	n->lease.quiet_since = n->peer.heard_at;
	ipsp_lease_touch(n);
	return n->peer.promised;
}

/* --------------------------------------------------------------- takeover */

static bool may_take_over(const struct ipsp_node *n)
{
	if (n->mode != IPSP_MODE_ACTIVE || !ipsp_psp(n)->enabled || n->side.terminated ||
	    n->side.grounded || n->stopping)
		return false;
	if (!n->side.shared || n->side.lost || (n->side.licence && !n->licence_resting))
		return false;
	if (ipsp_link_stays_still(n))
		return false;
	return (n->side.primary || n->side.s6) && !ipsp_contact(n);
}

bool ipsp_s6_holds(const struct ipsp_node *n)
{
	return ipsp_psp(n)->enabled && n->mode == IPSP_MODE_ACTIVE && n->side.shared &&
	       !n->side.lost && !n->side.primary && !n->side.s6 && !n->side.terminated &&
	       !n->side.grounded && !n->side.licence;
}

/* One that could not hear, and can again, waits for what the peer has to say first. */
ipsp_ms ipsp_lease_silence_ends(const struct ipsp_node *n)
{
	const ipsp_ms at = n->lease.quiet_since + ipsp_dead_ms(n);

	return at > n->link.hears_at ? at : n->link.hears_at;
}

static bool silence_over(const struct ipsp_node *n)
{
	return n->now >= ipsp_lease_silence_ends(n);
}

/* By force of an operator, on a side whose books know of no peer: they become books of their own.
 */
static void take_all(struct ipsp_node *n)
{
	ipsp_rec_alone(n, IPSP_ALONE_ALL);
	ipsp_link_listen_no_more(n);
	struct ipsp_side s = n->side;
	s.epoch++;
	s.primary = true;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = n->xacts.retry = true;
	ipsp_say(n, IPSP_LOG_WARNING,
		 "forced takeover: this side, which has no peer, owns all, epoch %llu",
		 (unsigned long long)s.epoch);
}

void ipsp_lease_takeover(struct ipsp_node *n, bool force)
{
	ipsp_conflict_end(n);
	/* one that owns all already may not say that it has shared: the peer would take its own
	 * books for whole, too */
	if (force && !n->side.shared && (n->side.peer_books == 0 || n->side.owner)) {
		take_all(n);
		return;
	}
	struct ipsp_side s = n->side;
	bool drained = s.draining;
	bool in_force = s.licence && !n->licence_pending && !n->licence_resting;

	s.epoch++;
	s.primary = true;
	s.licence = true;
	s.yielded = s.yielded_loan = s.draining = false;
	if (force) { /* the operator answers for the peer: it may be that we never shared, or lost
			all */
		s.shared = true;
		s.lost = s.grounded = s.terminated = false;
	}
	s.p6 = n->used > 0 ? IPSP_P6_ARMED : IPSP_P6_IDLE;
	ipsp_rec_side(n, &s, true);
	n->peer.promised =
		0; /* all that was promised is over: a longer interval must not revive it */
	n->licence_pending = !in_force;
	n->licence_resting = false;
	ipsp_link_listen_no_more(n);
	n->hook_asked = n->vetoed = false;
	n->stats.takeovers++;
	n->hello_soon = true;
	if (!force && n->peer.stopped && n->peer.hello.used == 0)
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "the dead interval has run out since the peer stopped: this side goes on "
			 "alone as primary, epoch %llu",
			 (unsigned long long)s.epoch);
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 force ? "forced takeover: this side is primary and uses all addresses, "
				 "epoch %llu"
			       : "the dead interval has run out: taking over as primary, epoch "
				 "%llu",
			 (unsigned long long)s.epoch);
	if (ipsp_link_deaf(n))
		ipsp_say(n, IPSP_LOG_WARNING,
			 "taken over while this side's own link fails, the peer may be alive: %s",
			 n->link.error);
	if (drained)
		ipsp_say_undrained(n);
}

/* The licence is durable: now it is in force. */
void ipsp_lease_flushed(struct ipsp_node *n)
{
	if (!n->licence_pending || n->flushed < n->side_seq)
		return;
	n->licence_pending = false;
	ipsp_lease_touch(n);
	n->xacts.retry = true;
}

void ipsp_lease_on_hook(struct ipsp_node *n, bool yes)
{
	if (!n->hook_asked)
		return;
	n->hook_asked = false;
	/* a yes is void when the peer was heard meanwhile */
	if (yes && n->hook_quiet == n->lease.quiet_since && may_take_over(n) && silence_over(n)) {
		ipsp_lease_takeover(n, false);
		return;
	}
	n->vetoed = !yes;
	n->veto_at = n->now;
	if (!yes)
		ipsp_say(n, IPSP_LOG_WARNING, "the hook vetoed the takeover; asked again in 30 s");
}

/* What nobody listened to is no silence either: IPSP was off here, or in another mode. */
void ipsp_lease_deaf(struct ipsp_node *n)
{
	n->lease.quiet_since = n->now;
	ipsp_lease_touch(n);
	n->vetoed = false;
}

/*
 * Before anything else of a step. A stop of this process or its host: nothing was watched, so the
 * silence begins anew. It never renews the lease.
 */
void ipsp_lease_gap(struct ipsp_node *n)
{
	if (n->now - n->last_step > ipsp_loss_ms(n))
		ipsp_lease_deaf(n);
	else
		ipsp_link_count(n);
	n->last_step = n->now;
}

/* Nothing else happens when the dead interval runs out here; so it is said, once for each loss. */
static void say_kept_back(struct ipsp_node *n)
{
	const bool holds = ipsp_s6_holds(n) && !ipsp_contact(n);

	if (holds && !n->s6_said && silence_over(n) && !ipsp_link_stays_still(n)) {
		n->s6_said = true;
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the dead interval has run out, but this side does not take over: no "
			 "session was given an address here since it is secondary; where the peer "
			 "is gone for good, the way out is \"takeover --force\"");
	} else if (!holds) {
		n->s6_said = false;
	}
}

void ipsp_lease_tick(struct ipsp_node *n)
{
	settle_interval(n);
	/* so that a short stop in the middle of a silence, or of a licence, is seen to be short */
	bool rests = n->side.licence &&
		     (n->licence_resting || n->licence_pending || ipsp_link_listens(n, n->now));
	if (n->side.shared && !rests && n->now - n->lease.alive_at >= ipsp_hello_ms(n))
		ipsp_lease_touch(n);
	say_kept_back(n);
	if (!may_take_over(n) || !silence_over(n) || n->flushed < n->side_seq) {
		if (!silence_over(n))
			n->vetoed = false;
		return;
	}
	if (!n->has_hook) {
		ipsp_lease_takeover(n, false);
	} else if (n->hook_asked ? n->now - n->hook_at >= HOOK_WAIT_MS
				 : !n->vetoed || n->now - n->veto_at >= VETO_MS) {
		n->hook_asked = true;
		n->hook_at = n->now;
		n->hook_quiet = n->lease.quiet_since;
		ipsp_out_hook(n, IPSP_HOOK_TAKEOVER_CHECK, IPSP_ADDR_NONE);
	}
}

ipsp_ms ipsp_lease_due(const struct ipsp_node *n)
{
	if (!may_take_over(n) || n->flushed < n->side_seq)
		return IPSP_NEVER;
	ipsp_ms at = ipsp_lease_silence_ends(n);
	if (n->hook_asked && at < n->hook_at + HOOK_WAIT_MS)
		return n->hook_at + HOOK_WAIT_MS;
	if (n->vetoed && at < n->veto_at + VETO_MS)
		return n->veto_at + VETO_MS;
	return at;
}

/*
 * Nor to one that has lost its state and has other pools now: it has shared nothing with anybody.
 * It gives nothing since it has heard that this side has, see hold_ends().
 */
static bool knows_nothing_of_us(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	return n->side.shared && h->books != n->side.peer_books &&
	       !(h->flags & (IPSP_HF_SHARED | IPSP_HF_LOST | IPSP_HF_LICENCE | IPSP_HF_GROUNDED)) &&
	       memcmp(h->digest, n->compare.digest, sizeof h->digest) != 0;
}

/*
 * To a peer with which no version is common nothing can be reported, and neither side could serve
 * until it is: there the licence goes on. The peer gets no promise, so it serves nothing, unless it
 * has a licence itself, or had one: then it says the number of a report that was not read here.
 */
static bool goes_on(const struct ipsp_node *n)
{
	if (knows_nothing_of_us(n))
		return true;
	return n->peer.speaks == 0 && !ipsp_flag(n, IPSP_HF_LICENCE) &&
	       n->peer.hello.report <= n->side.applied;
}

/* It rests as long as the peer may have taken over; that one says itself that it has not. */
static void wake_licence(struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->peer.hello;

	const bool ours = h->books == n->side.peer_books && h->peer_books == n->side.books;

	if (!n->licence_resting || (!ours && !knows_nothing_of_us(n)))
		return;
	n->licence_resting = false;
	ipsp_lease_touch(n);
	n->hello_soon = n->xacts.retry = true;
	ipsp_say(n, IPSP_LOG_NOTICE,
		 "the peer, %s, has not taken over: this side goes on with its licence",
		 ours ? "with which no version is common" : "whose pools are other ones");
}

/* Heard both ways: what the books give the peer is its own again; what is used of it is reported.
 */
void ipsp_lease_end_licence(struct ipsp_node *n)
{
	struct ipsp_side s;

	if (!n->side.licence || n->peer.twin || !ipsp_contact(n) || n->mode != IPSP_MODE_ACTIVE)
		return;
	if (goes_on(n)) {
		wake_licence(n);
		return;
	}
	n->stats.heals++;
	ipsp_heal_report(n); /* before the side's record: see rec.c */
	s = n->side;
	s.licence = false;
	ipsp_rec_side(n, &s, true);
	n->licence_pending = n->licence_resting = false;
	n->lease.lease_end = 0;
	ipsp_lease_touch(n);
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_NOTICE, "the peer is heard again: its addresses are its own again");
}

/* --------------------------------------------------------------- start */

void ipsp_lease_start(struct ipsp_node *n, const struct ipsp_start *start)
{
	const struct ipsp_lease_note *note = start->lease;
	uint32_t listen = 3 * ipsp_psp(n)->hello_interval_ms;
	struct ipsp_lease_note *l = &n->lease;

	l->dead_ms = n->side.dead_ms;
	l->peer_dead_ms = note ? note->peer_dead_ms : 0;
	l->lease_end = 0;
	l->quiet_since = n->now;
	l->alive_at = n->now;
	if (note && start->same_boot && note->alive_at <= n->now) {
		uint64_t away = n->now - note->alive_at;
		/* the peer's last promise was not longer, whatever the file says */
		const ipsp_ms most = note->alive_at + note->peer_dead_ms;
		const ipsp_ms end = note->lease_end < most ? note->lease_end : most;
		if (end > n->now && !n->side.held)
			l->lease_end = end;
		/* the silence before the stop was watched only if the stop was short */
		if (away <= ipsp_loss_ms(n) && note->quiet_since <= n->now)
			l->quiet_since = note->quiet_since;
		if (n->side.licence && away < ipsp_dead_ms(n)) {
			ipsp_link_listen(n, listen);
			n->licence_pending = false;
		} else if (n->side.licence) {
			n->licence_resting = true;
		}
	} else if (n->side.licence) {
		n->licence_resting = true;
	}
	/* one that knows of nothing may have lost its state: a peer that knows better is heard
	 * first */
	bool knows_nothing = n->blank || (n->used == 0 && !n->side.owner);
	if (!n->side.licence && !n->side.shared && n->side.primary && knows_nothing)
		ipsp_link_listen(n, listen);
	ipsp_lease_touch(n);
}
