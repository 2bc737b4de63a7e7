/*
 * hello - what each side says of itself, and what the two make of it: whose books are whole, which
 * epoch holds and who is primary in it, which version of the protocol both speak.
 *
 * A hello carries facts, never authority: a higher epoch is learned because its primary recorded it
 * before saying it, not because the hello asks for it. These facts are the same in all versions, so
 * they are looked at whichever version the peer speaks: books, epoch and lease of two sides that
 * have no version in common stay true, and only what they would say to each other is left unsaid.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------- saying */

static uint32_t flags_of(const struct ipsp_node *n)
{
	const struct ipsp_side *s = &n->side;
	uint32_t f = IPSP_HF_ROLE;

	f |= s->primary ? IPSP_HF_PRIMARY : 0u;
	f |= s->agreed_primary ? IPSP_HF_AGREED_PRIMARY : 0u;
	f |= s->licence ? IPSP_HF_LICENCE : 0u;
	f |= s->shared ? IPSP_HF_SHARED : 0u;
	f |= ipsp_psp(n)->role == IPSP_ROLE_PRIMARY ? IPSP_HF_CONF_PRIMARY : 0u;
	f |= s->draining ? IPSP_HF_DRAINING : 0u;
	f |= s->terminated || n->stopping ? IPSP_HF_TERMINATED : 0u;
	f |= s->loan ? IPSP_HF_LOAN : 0u;
	f |= n->compare.known && n->compare.same && !n->conf_role_conflict ? IPSP_HF_SAME : 0u;
	f |= n->compare.known && !n->compare.same ? IPSP_HF_MISMATCH : 0u;
	f |= n->mode == IPSP_MODE_CHECK ? IPSP_HF_CHECK : 0u;
	f |= n->stopped ? IPSP_HF_GOODBYE : 0u;
	f |= s->lost ? IPSP_HF_LOST : 0u;
	f |= s->yielded ? IPSP_HF_YIELD : 0u;
	f |= s->yielded_loan ? IPSP_HF_BYE_LOAN : 0u;
	f |= s->grounded ? IPSP_HF_GROUNDED : 0u;
	f |= n->leaving || n->asks_to_leave ? IPSP_HF_LEFT : 0u;
	f |= ipsp_heal_reported(n) ? IPSP_HF_REPORTED : 0u;
	return f;
}

void ipsp_hello_build(struct ipsp_node *n, struct ipsp_hello *h)
{
	uint32_t spare = 0;

	for (uint32_t p = 0; p < n->conf.n_pools; p++)
		if (!ipsp_is_static(n, (uint16_t)p))
			spare += ipsp_pool_counts(n->pools[p])->free;
	memset(h, 0, sizeof *h);
	h->promised = ipsp_lease_promise(n);
	h->version_min = IPSP_VERSION_MIN;
	h->version_max = IPSP_VERSION;
	h->capabilities = IPSP_CAPABILITIES & ~(ipsp_psp(n)->renew_ms ? 0u : IPSP_CAP_RENEWS);
	snprintf(h->version, sizeof h->version, "%s", n->version);
	h->flags = flags_of(n);
	h->books = n->side.books;
	h->peer_books = n->side.peer_books;
	h->epoch = n->side.epoch;
	h->agreed_epoch = n->side.agreed_epoch;
	if (++n->peer.number == 0)
		n->peer.number = 1; /* 0 is none */
	h->number = n->peer.number;
	n->peer.sent_at[h->number % 64] = n->now;
	h->heard = n->peer.heard;
	h->dead_ms = ipsp_lease_said(n);
	h->peer_dead_ms = n->said_peer_dead_ms;
	h->hello_ms = ipsp_hello_ms(n);
	h->request_timeout_ms = ipsp_psp(n)->request_timeout_ms;
	h->release_timeout_ms = ipsp_psp(n)->release_timeout_ms;
	memcpy(h->digest, n->compare.digest, sizeof h->digest);
	h->sent = n->side.sent;
	h->applied = n->side.applied; /* no acknowledgement: it tells a peer that fell behind that
					 it did */
	h->known = n->side.acked;
	h->report = n->side.report;
	h->used = n->used;
	h->spare = spare;
	ipsp_conflict_saying(n, h);
	n->said = *h;
	n->said_at = n->now;
	n->stats.hellos_sent++;
}

/*
 * While a change of .side waits for its flush nothing new may be said. That this side is there may:
 * the facts of the last hello, which were durable when it was built, and the promises that it made,
 * under a number of its own; as if that hello had been delayed on its way. Not for long: a disk
 * that stands still is an outage, and the peer's dead interval decides. And not once the peer must
 * not take these facts for those of now: other books, another epoch or role, a stop, a new session.
 */
bool ipsp_hello_may_repeat(const struct ipsp_node *n)
{
	const struct ipsp_hello *h = &n->said;
	const uint32_t same = IPSP_HF_PRIMARY | IPSP_HF_AGREED_PRIMARY | IPSP_HF_LICENCE |
			      IPSP_HF_SHARED | IPSP_HF_LOST | IPSP_HF_GROUNDED | IPSP_HF_YIELD |
			      IPSP_HF_LEFT | IPSP_HF_CHECK | IPSP_HF_GOODBYE;

	return n->said_at != IPSP_NEVER && n->now - n->said_at < ipsp_dead_ms(n) / 2 &&
	       h->books == n->side.books && h->peer_books == n->side.peer_books &&
	       h->epoch == n->side.epoch && h->agreed_epoch == n->side.agreed_epoch &&
	       ((h->flags ^ flags_of(n)) & same) == 0 && !n->stopping;
}

void ipsp_hello_repeat(struct ipsp_node *n, struct ipsp_hello *h)
{
	if (++n->peer.number == 0)
		n->peer.number = 1;
	n->said.number = n->peer.number;
	n->peer.sent_at[n->said.number % 64] = n->now;
	*h = n->said;
	n->hellos_repeated++;
	n->stats.hellos_sent++;
}

/*
 * A new session of keys: nothing that was heard counts any more. Our own numbers go on, since some
 * may have been said in it before it was ours; the peer's may begin anew, it may be another
 * process.
 */
void ipsp_hello_session(struct ipsp_node *n)
{
	n->peer.known = false;
	n->peer.speaks = 0;
	n->peer.heard = n->peer.promised = 0;
	n->peer.echoed = n->peer.number;
	n->peer.echoed_sent_at = IPSP_NEVER;
	n->hello_soon = true;
	n->said_at = IPSP_NEVER;
	n->compare.asking = false;
	ipsp_conflict_session(n);
	ipsp_sync_new_session(n);
}

/* --------------------------------------------------------------- whose books are whole */

static bool i_win(const struct ipsp_node *n, const struct ipsp_hello *h)
{
	if (n->side.epoch != h->epoch)
		return n->side.epoch > h->epoch;
	return n->side.books > h->books;
}

#define IPSP_EPOCH_STEP 16 /* more than the takeovers of one side alone between two meetings */

static void i_am_lost(struct ipsp_node *n, const struct ipsp_hello *h)
{
	n->stats.state_losses++;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "this side has lost its state or fell behind it; the peer's books decide: locked "
		 "until it shares again");
	ipsp_rec_lost(n);
	struct ipsp_side s = n->side;
	s.peer_books = h->books;
	if (s.epoch < h->epoch)
		s.epoch = h->epoch;
	s.primary = !(h->flags & IPSP_HF_PRIMARY);
	s.agreed_epoch = s.epoch;
	s.agreed_primary = s.primary;
	s.p6 = IPSP_P6_IDLE;
	ipsp_rec_side(n, &s, true);
	ipsp_heal_drop_now(n); /* what has ended is not reported */
	if (n->used > 0)
		ipsp_heal_report(n);
	n->lease.lease_end = 0;
	ipsp_lease_touch(n);
	n->hello_soon = true;
}

static void peer_is_lost(struct ipsp_node *n, const struct ipsp_hello *h)
{
	n->stats.state_losses++;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "the peer has lost its state: it is given anew what this side does not own");
	ipsp_rec_resupply(n, h->books);
	/* higher than any that the lost state came to by itself: should it be put back one day, it
	 * is the one that is behind */
	struct ipsp_side s = n->side;
	s.epoch += IPSP_EPOCH_STEP;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
}

static void learn_books(struct ipsp_node *n, uint64_t books)
{
	struct ipsp_side s = n->side;

	if (s.peer_books == books)
		return;
	s.peer_books = books;
	ipsp_rec_side(n, &s, true);
}

/* This side was left without an address, and the peer, which had all, knows of none any more. */
static void if_nobody_owns(struct ipsp_node *n, const struct ipsp_hello *h)
{
	if (n->side.grounded && !(h->flags & (IPSP_HF_SHARED | IPSP_HF_LEFT)) && h->spare == 0 &&
	    h->used == 0)
		ipsp_say(n, IPSP_LOG_ERROR,
			 "neither side owns an address: the peer had all, and has lost its state. "
			 "\"no pool-share-protocol --force\" gives all to the side where it is "
			 "said; "
			 "then enable it again");
}

/*
 * Are these books to be judged by what this peer says? One with other pools may be that of another
 * context, or its file is wrong: nothing is lost or given anew on its word. But where each knows
 * the other by its id it is the one that they are shared with, whatever the files say.
 */
static bool may_judge(const struct ipsp_node *n, const struct ipsp_hello *h)
{
	return memcmp(h->digest, n->compare.digest, sizeof h->digest) == 0 ||
	       (n->side.peer_books == h->books && n->side.books == h->peer_books);
}

/* The first hello of a session: do the two sides' books belong together, and are both whole? */
static void identify(struct ipsp_node *n, const struct ipsp_hello *h)
{
	const struct ipsp_side *s = &n->side;
	bool peer_shared = h->flags & IPSP_HF_SHARED, peer_lost = h->flags & IPSP_HF_LOST;
	bool knows_me = h->peer_books == s->books;
	bool known = s->peer_books == h->books;

	/* what it applied or saw acknowledged, and this side does not know of, was lost here; and
	 * the reverse */
	bool i_behind = knows_me && (h->applied > s->sent || h->known > s->applied);
	bool peer_behind = known && (h->sent < s->applied || h->applied < s->acked);

	if (s->shared && peer_shared && !s->lost && !peer_lost && knows_me != known &&
	    h->peer_books != 0 && s->peer_books != 0) {
		/* one of the two has another id than the other knows it by: since a loss, of which
		 * an old state that was put back knows nothing. What numbers say is of other books;
		 * the epoch tells, as it grew when the loser was given anew. */
		if (i_win(n, h))
			n->hello_soon = true;
		else
			i_am_lost(n, h);
		return;
	}
	if (i_behind && peer_behind)
		peer_behind = i_win(n, h), i_behind = !peer_behind;
	if (i_behind && !s->lost) {
		i_am_lost(n, h);
		return;
	}
	if (known && !peer_lost && (peer_behind || knows_me)) {
		/* one that is behind finds it out by our hello, and comes back with new books */
		n->hello_soon = true;
		return;
	}
	if (s->lost) { /* waiting to be given: whoever is there, if it has something to give */
		if (peer_shared && !peer_lost)
			learn_books(n, h->books);
		return;
	}
	if (known && peer_lost)
		return; /* resupplied already: the items are on their way */
	if (!s->shared) {
		if (!peer_shared || knows_me || h->peer_books == 0) {
			learn_books(n, h->books);
			if_nobody_owns(n, h);
			return;
		}
		i_am_lost(n, h); /* it has shared with this side, which does not know of it */
		return;
	}
	if (s->peer_books == 0) { /* this side took over by force before it ever met a peer */
		learn_books(n, h->books);
		return;
	}
	if (known && h->peer_books == 0)
		return; /* it has not recorded our name yet */
	if (known && h->peer_books != 0 && peer_shared && !peer_lost) {
		/* each knows the other by another name: one of the two was restored from somewhere
		 */
		if (!i_win(n, h))
			i_am_lost(n, h);
		return;
	}
	if (!known && peer_shared && !peer_lost && !i_win(n, h)) {
		i_am_lost(n, h);
		return;
	}
	/*
	 * One that has lost its state finds it out by our hello, drops what it believes to own, and
	 * says so: only then it is given anew. What it used meanwhile it reports.
	 */
	if (peer_lost)
		peer_is_lost(n, h);
	else
		n->hello_soon = true;
}

/*
 * This side, a primary or one that was left without an address, has shared nothing, and the peer
 * says that something was: it took over by force of its operator. The books are whole; from here on
 * the two are a pair. (A secondary that owns all may be about to get the first item of a primary,
 * which says the same: for it a report decides, see heal.c.)
 */
static void shared_by_force(struct ipsp_node *n, const struct ipsp_hello *h)
{
	struct ipsp_side s = n->side;

	if (s.shared || s.lost || !(s.primary || s.grounded) || !(h->flags & IPSP_HF_SHARED) ||
	    h->flags & IPSP_HF_LOST || h->books != s.peer_books ||
	    (h->peer_books != s.books && h->peer_books != 0))
		return;
	const bool grounded = s.grounded;
	s.shared = true;
	s.grounded = s.owner = false;
	ipsp_rec_side(n, &s, true);
	/* sessions of before are here (or the peer's first item is still on its way): see sync.c */
	if (grounded && n->used > 0 && n->side.report == 0)
		ipsp_heal_report(n);
}

/*
 * This side has lost its state, and the peer has left the books that it could be given anew from.
 * One that left them as the owner of nothing serves nothing, and nothing will be shared with it but
 * by this side: then all is ours, or else it would be nobody's. What the HAs here may still use of
 * it is kept back for them as if the peer had given it. Otherwise this side begins as one that owns
 * nothing.
 */
static void nobody_shares(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool all = h->flags & IPSP_HF_GROUNDED && h->used == 0;

	if (!n->side.lost || h->flags & (IPSP_HF_SHARED | IPSP_HF_LOST))
		return;
	ipsp_rec_alone(n, all ? IPSP_ALONE_ALL : IPSP_ALONE_WITHOUT);
	if (all) {
		ipsp_serve_given_anew(n);
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer has left, and owned nothing: all addresses are this side's");
	}
	n->hello_soon = true;
}

/* --------------------------------------------------------------- epoch and roles */

static void set_role(struct ipsp_side *s, bool primary, struct ipsp_node *n)
{
	if (primary && !s->primary) {
		s->p6 = n->used > 0 ? IPSP_P6_ARMED : IPSP_P6_IDLE;
		if (s->draining)
			ipsp_say_undrained(n); /* somebody has to serve */
		s->draining = false;
	}
	if (!primary && s->primary) {
		s->s6 = false;
		if (s->p6 != IPSP_P6_DUE)
			s->p6 = IPSP_P6_IDLE;
	}
	s->primary = primary;
}

static void agreed(struct ipsp_side *s, const struct ipsp_hello *h, const struct ipsp_node *n)
{
	s->agreed_epoch = s->epoch;
	s->agreed_primary = s->primary;
	if (s->conf_mine == IPSP_ROLE_NONE) {
		s->conf_mine = (uint8_t)ipsp_psp(n)->role;
		s->conf_peer =
			h->flags & IPSP_HF_CONF_PRIMARY ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
	}
}

/* Nothing was ever shared: the configured roles decide, if they are one of each (see conflict.c).
 */
static void first_agreement(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool mine = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;
	bool theirs = h->flags & IPSP_HF_CONF_PRIMARY;
	if (mine == theirs || !may_judge(n, h))
		return;
	ipsp_role_fit(n);
	struct ipsp_side s = n->side;
	s.conf_mine = s.conf_peer = IPSP_ROLE_NONE;
	if (mine && (!s.primary || s.epoch < h->epoch ||
		     (h->flags & IPSP_HF_PRIMARY && s.epoch == h->epoch))) {
		s.epoch = (s.epoch > h->epoch ? s.epoch : h->epoch) + 1;
		set_role(&s, true, n);
	} else if (!mine && h->flags & IPSP_HF_PRIMARY && h->epoch >= s.epoch) {
		s.epoch = h->epoch;
		set_role(&s, false, n);
	}
	if (s.epoch == h->epoch && s.primary != !!(h->flags & IPSP_HF_PRIMARY))
		agreed(&s, h, n);
	if (memcmp(&s, &n->side, sizeof s) != 0)
		ipsp_rec_side(n, &s, true);
}

static void adopt(struct ipsp_node *n, const struct ipsp_hello *h)
{
	struct ipsp_side s = n->side;
	bool yield = h->flags & IPSP_HF_YIELD;

	s.epoch = h->epoch;
	set_role(&s, !(h->flags & IPSP_HF_PRIMARY), n);
	s.loan = s.primary && yield && h->flags & IPSP_HF_BYE_LOAN;
	s.yielded = s.yielded_loan = false;
	agreed(&s, h, n);
	if (yield) {
		s.conf_mine = (uint8_t)ipsp_psp(n)->role;
		s.conf_peer =
			h->flags & IPSP_HF_CONF_PRIMARY ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
		n->stats.exchanges++;
	}
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
}

/* Both are primary in one epoch: who was it at the last agreement keeps the role. */
static void tie(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool theirs = h->flags & IPSP_HF_AGREED_PRIMARY, mine;
	struct ipsp_side s = n->side;

	if (s.agreed_epoch != h->agreed_epoch)
		mine = s.agreed_epoch > h->agreed_epoch ? s.agreed_primary : !theirs;
	else if (s.agreed_primary != theirs)
		mine = s.agreed_primary;
	else /* they never agreed (a forced takeover): any rule that both share */
		mine = s.books > h->books;
	if (mine)
		return; /* the peer yields at our hello */
	set_role(&s, false, n);
	s.loan = false;
	agreed(&s, h, n);
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
}

static void agree(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool theirs = h->flags & IPSP_HF_PRIMARY;

	if (h->flags & IPSP_HF_CHECK || n->mode != IPSP_MODE_ACTIVE)
		return;
	if (!n->side.shared && !n->side.lost && !(h->flags & (IPSP_HF_SHARED | IPSP_HF_LOST))) {
		first_agreement(n, h);
		return;
	}
	if (h->flags & IPSP_HF_LOST || n->side.lost)
		return; /* the books decide, see identify() */
	if (n->side.primary && !n->side.shared && !may_judge(n, h))
		return; /* its pools are other ones: nothing is between the two */
	if (n->side.shared && h->books != n->side.peer_books)
		return; /* nobody that these books are shared with: its epoch is of another pair */
	if (h->epoch < n->side.epoch) {
		n->hello_soon = true;
		return;
	}
	if (h->epoch > n->side.epoch) {
		adopt(n, h);
		return;
	}
	if (theirs && n->side.primary) {
		tie(n, h);
		return;
	}
	if (!theirs &&
	    !n->side.primary) { /* no rule leads here; should one, the pair must not rest in it */
		struct ipsp_side s = n->side;
		if (s.books < h->books)
			return;
		s.epoch++;
		set_role(&s, true, n);
		ipsp_rec_side(n, &s, true);
		n->hello_soon = true;
		return;
	}
	if (theirs != n->side.primary && n->side.agreed_epoch != n->side.epoch) {
		struct ipsp_side s = n->side;
		agreed(&s, h, n);
		ipsp_rec_side(n, &s, true);
	}
}

/* --------------------------------------------------------------- hearing */

/* The highest version that is in both ranges; 0: there is none. */
static uint8_t common_version(const struct ipsp_hello *h)
{
	uint8_t max = h->version_max < IPSP_VERSION ? h->version_max : IPSP_VERSION;
	uint8_t min = h->version_min > IPSP_VERSION_MIN ? h->version_min : IPSP_VERSION_MIN;

	return min <= max ? max : 0;
}

static void judge_books(struct ipsp_node *n, const struct ipsp_hello *h, bool first)
{
	if (first)
		identify(n, h);
	else if (n->side.lost && h->flags & IPSP_HF_SHARED && !(h->flags & IPSP_HF_LOST))
		learn_books(n, h->books);
	else if (h->flags & IPSP_HF_LOST && n->side.shared && !n->side.lost &&
		 h->books != n->side.peer_books)
		peer_is_lost(n, h);
	ipsp_heal_drop_now(n);
	nobody_shares(n, h);
	shared_by_force(n, h);
}

void ipsp_hello_on(struct ipsp_node *n, const struct ipsp_hello *h)
{
	const bool fresh = !n->peer.known, judge = may_judge(n, h);

	n->stats.hellos_received++;
	if (!ipsp_hello_after(h->number, n->peer.heard))
		return; /* overtaken by a later one */
	if (h->epoch > n->side.epoch && h->epoch - n->side.epoch > UINT32_MAX) {
		n->stats.drop_range++; /* no pair gets there: a number made up to run into the end
					*/
		return;
	}
	if (h->flags & IPSP_HF_GOODBYE && n->peer.stopped)
		return; /* it is said more than once, lest it get lost */
	n->peer.stopped = h->flags & IPSP_HF_GOODBYE;
	if (fresh)
		n->peer.judged = false;
	n->peer.known = true;
	n->peer.speaks = common_version(h);
	n->peer.hello = *h;
	n->peer.hello.version[sizeof h->version - 1] = 0;
	n->peer.heard = h->number;
	n->peer.heard_at = n->now;
	ipsp_keys_pin(n, h);
	if (ipsp_twin_on_hello(n, h))
		return;
	if (n->leaving) { /* until the peer knows, which shows in its having left the books too */
		n->leaving = h->flags & IPSP_HF_SHARED && n->now < n->leaving_until;
		n->hello_soon = n->leaving;
		return;
	}
	if (n->asks_to_leave && h->flags & IPSP_HF_GROUNDED && !(h->flags & IPSP_HF_SHARED)) {
		ipsp_psp_may_leave(n);
		return;
	}
	if (h->flags & IPSP_HF_LEFT && ipsp_psp_on_left(n, h))
		return;
	ipsp_lease_on_hello(n, h);
	const bool first = !n->peer.judged ||
			   (!n->side.shared && !n->side.lost && n->side.peer_books != h->books);
	if (fresh || (judge && first) || n->peer.hello.heard == 0)
		n->hello_soon = true;
	if (judge)
		judge_books(n, h, first);
	n->peer.judged |= judge;
	ipsp_held_on_hello(n, h, judge);
	ipsp_conflict_on_hello(n, h);
	agree(n, h);
	ipsp_compare_on_hello(n);
	if (h->flags & IPSP_HF_GOODBYE)
		n->peer.known = false; /* said, and gone: what follows is a new session */
}
