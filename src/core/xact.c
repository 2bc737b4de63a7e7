/*
 * xact - the requests of our HAs that are open, and what of them the peer is asked.
 *
 * One rule: try with what is here (serve.c); when that fails for a reason that time may cure, wait
 * (for the start, the lease, the peer, or a release event), and try again whenever something came.
 * So an open request is completed by any transfer that brings an address for it, whatever the
 * transfer was for, and a refusal from the peer is looked at again before it is passed on.
 */
#include "base/attr.h"
#include "base/must.h"
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#define ASK_RTO_MS 50 /* the first repeat of a request to the peer */
#define ASK_MAX_MS 1000

int ipsp_xact_init(struct ipsp_node *n)
{
	struct ipsp_xacts *x = &n->xacts;

	x->free_head = x->head = x->tail = IPSP_NO_XACT;
	x->soonest = x->send_at = IPSP_NEVER;
	x->answered = calloc(IPSP_ANSWERED, sizeof *x->answered);
	ipsp_rng_bytes(&n->rng, &x->counter, sizeof x->counter);
	x->counter >>= 17;
	return x->answered ? 0 : IPSP_ERR_NOMEM;
}

static bool is_far(const struct ipsp_xact *x)
{
	return (size_t)x->n_subscriber + x->n_session > IPSP_XACT_NEAR;
}

static void text_free(struct ipsp_xact *x)
{
	if (is_far(x))
		free(x->far);
}

/* False: no memory. */
static bool text_set(struct ipsp_xact *x, const struct ipsp_ident *ident)
{
	char *text = x->near;

	x->n_subscriber = ident->n_subscriber;
	x->n_session = ident->n_session;
	if (is_far(x))
		text = x->far = malloc((size_t)ident->n_subscriber + ident->n_session);
	if (!text)
		return false;
	ipsp_copy_text(text, ident->subscriber, ident->n_subscriber);
	ipsp_copy_text(text + ident->n_subscriber, ident->session, ident->n_session);
	return true;
}

void ipsp_xact_fini(struct ipsp_node *n)
{
	for (uint32_t i = n->xacts.head; i != IPSP_NO_XACT; i = n->xacts.slots[i].next)
		text_free(&n->xacts.slots[i]);
	free(n->xacts.slots);
	free(n->xacts.answered);
	free(n->xacts.refusals);
}

/* --------------------------------------------------------------- open ones */

static uint32_t slot_new(struct ipsp_xacts *x)
{
	if (x->free_head == IPSP_NO_XACT) {
		uint32_t cap = x->n_slots ? x->n_slots * 2 : 64;
		if (x->n_slots == IPSP_XACTS_MAX)
			return IPSP_NO_XACT;
		struct ipsp_xact *slots = realloc(x->slots, cap * sizeof *slots);
		if (!slots)
			return IPSP_NO_XACT;
		x->slots = slots;
		for (uint32_t i = cap; i-- > x->n_slots;) {
			slots[i] = (struct ipsp_xact){.next = x->free_head};
			x->free_head = i;
		}
		x->n_slots = cap;
	}
	uint32_t i = x->free_head;
	x->free_head = x->slots[i].next;
	x->slots[i] = (struct ipsp_xact){
		.next = IPSP_NO_XACT, .prev = x->tail, .ask = {.at_pool = IPSP_NO_POOL}};
	if (x->tail != IPSP_NO_XACT)
		x->slots[x->tail].next = i;
	else
		x->head = i;
	x->tail = i;
	x->n_open++;
	return i;
}

/* An owner doesn't change while requests are open: who attaches anew has none. */
static void count(struct ipsp_node *n, uint16_t ha, int by)
{
	if (ha == 0) /* where there has been no HA, there is no list */
		return;
	struct ipsp_ha *a = &n->has.has[ha];
	a->open += (uint32_t)by;
	if (a->owner != 0)
		n->xacts.of_owner[a->owner % IPSP_OWNERS] += (uint32_t)by;
}

static void slot_free(struct ipsp_node *n, uint32_t i)
{
	struct ipsp_xacts *x = &n->xacts;
	struct ipsp_xact *s = &x->slots[i];

	count(n, s->ha, -1);
	if (s->prev != IPSP_NO_XACT)
		x->slots[s->prev].next = s->next;
	else
		x->head = s->next;
	if (s->next != IPSP_NO_XACT)
		x->slots[s->next].prev = s->prev;
	else
		x->tail = s->prev;
	if (s->ask.at_pool != IPSP_NO_POOL)
		x->n_by_number--;
	text_free(s);
	s->wait = IPSP_XW_NONE; /* nothing that comes for it finds it any more */
	s->next = x->free_head;
	x->free_head = i;
	x->n_open--;
}

/*
 * An HA may have no more open than there are places left: half of all where it is alone, a third
 * where two do their worst. So one that comes later finds some, and nobody has to count on how
 * many there will be. All names of one owner may have three quarters together (owners may share
 * a count). The shell bounds what operators ask for.
 */
static bool may_open(const struct ipsp_node *n, uint16_t ha)
{
	const uint32_t left = IPSP_XACTS_MAX - n->xacts.n_open;

	return ha == 0 || (n->has.has[ha].open < left &&
			   (n->has.has[ha].owner == 0 ||
			    n->xacts.of_owner[n->has.has[ha].owner % IPSP_OWNERS] < 3 * left));
}

void ipsp_xact_check(const struct ipsp_node *n)
{
	uint32_t open = 0, nobodys = 0, owned = 0;

	for (uint32_t i = n->xacts.head; i != IPSP_NO_XACT; i = n->xacts.slots[i].next)
		nobodys += n->xacts.slots[i].ha == 0;
	for (uint32_t i = 1; i < n->has.n; i++)
		open += n->has.has[i].open;
	for (uint32_t i = 1; i < n->has.n; i++)
		owned += n->has.has[i].owner != 0 ? n->has.has[i].open : 0;
	for (uint32_t i = 0; i < IPSP_OWNERS; i++)
		owned -= n->xacts.of_owner[i];
	IPSP_MUST(open + nobodys == n->xacts.n_open && owned == 0);
}

struct ipsp_ident ipsp_xact_ident(const struct ipsp_xact *x)
{
	const char *text = is_far(x) ? x->far : x->near;

	return (struct ipsp_ident){.subscriber = text,
				   .session = text + x->n_subscriber,
				   .n_subscriber = x->n_subscriber,
				   .n_session = x->n_session,
				   .hash = x->hash};
}

/* With durability "power" an address is told after the flush of what gave it. */
static inline bool waits_for_flush(const struct ipsp_node *n)
{
	return ipsp_psp(n)->enabled && ipsp_psp(n)->durability == IPSP_DURABLE_POWER;
}

IPSP_APART static void refuse(struct ipsp_node *n, uint64_t token, uint64_t id, int err)
{
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_ANSWER);

	n->stats.requests_refused++;
	if (!o)
		return;
	o->token = token;
	o->id = id;
	o->err = err;
}

static inline void fill(struct ipsp_out *o, const struct ipsp_pool_conf *pool, uint64_t token,
			uint64_t id, struct ipsp_place at, bool fresh)
{
	o->token = token;
	o->id = id;
	o->addr = ipsp_pool_addr(pool, at.index);
	o->pool = at.pool;
	o->index = at.index;
	o->plen = pool->plen;
	o->fresh = fresh;
}

IPSP_APART static void answer_later(struct ipsp_node *n, uint64_t token, uint64_t id,
				    struct ipsp_place at, bool fresh)
{
	struct ipsp_out *o = fresh || ipsp_out_deferred(n, at) ? ipsp_out_defer(n, IPSP_OUT_ANSWER)
							       : ipsp_out_add(n, IPSP_OUT_ANSWER);

	if (o)
		fill(o, &n->conf.pools[at.pool], token, id, at, fresh);
}

static inline void answer(struct ipsp_node *n, uint64_t token, uint64_t id, int err,
			  struct ipsp_place at, bool fresh)
{
	if (err) {
		refuse(n, token, id, err);
	} else if (waits_for_flush(n)) {
		answer_later(n, token, id, at, fresh);
	} else {
		struct ipsp_out *o = ipsp_out_place(n);
		if (!o)
			return;
		o->type = IPSP_OUT_ANSWER;
		o->err = 0;
		o->seq = 0;
		o->text = NULL;
		fill(o, &n->conf.pools[at.pool], token, id, at, fresh);
	}
}

/* --------------------------------------------------------------- requests of our HAs */

static int wait_error(enum ipsp_xact_wait wait)
{
	return wait == IPSP_XW_LEASE || wait == IPSP_XW_START ? IPSP_ERR_LOCKED : IPSP_ERR_TIMEOUT;
}

static void set_wait(struct ipsp_node *n, struct ipsp_xact *x, enum ipsp_xact_wait wait)
{
	if (x->wait == wait)
		return;
	x->wait = wait;
	if (wait == IPSP_XW_PEER) {
		x->next_send = n->xacts.send_at = x->asked_at = n->now;
		x->acked = n->side.acked;
		x->rto_ms = ASK_RTO_MS;
		if (!x->counted) {
			x->counted = true;
			n->stats.requests_asked++;
		}
	}
}

static void open_one(struct ipsp_node *n, const struct ipsp_event *ev, uint16_t ha,
		     const struct ipsp_ask *ask, enum ipsp_xact_wait wait)
{
	struct ipsp_place none = {IPSP_NO_POOL, 0};
	uint32_t slot = may_open(n, ha) ? slot_new(&n->xacts) : IPSP_NO_XACT;

	if (slot == IPSP_NO_XACT || !text_set(&n->xacts.slots[slot], &ev->ident)) {
		if (slot != IPSP_NO_XACT)
			slot_free(n, slot);
		answer(n, ev->token, ev->id, IPSP_ERR_OVERLOADED, none, false);
		return;
	}
	struct ipsp_xact *x = &n->xacts.slots[slot];
	struct ipsp_ident ident = ev->ident;
	if (ident.hash == 0)
		ipsp_binds_foresee(n->binds, &ident);
	x->hash = ident.hash;
	x->token = ev->token;
	x->id = ev->id;
	x->ha = ha;
	x->gateways = ha == 0 && ev->owner != 0;
	count(n, ha, 1);
	x->ask = *ask;
	if (ask->at_pool != IPSP_NO_POOL)
		n->xacts.n_by_number++;
	x->peer_id = ++n->xacts.counter << 16 | slot;
	x->deadline = n->now + ipsp_psp(n)->request_timeout_ms;
	x->next_send = IPSP_NEVER;
	if (x->deadline < n->xacts.soonest)
		n->xacts.soonest = x->deadline;
	set_wait(n, x, wait);
}

IPSP_APART static void not_served(struct ipsp_node *n, const struct ipsp_event *ev, uint16_t ha,
				  const struct ipsp_ask *ask, int err)
{
	if (err > 0)
		open_one(n, ev, ha, ask, (enum ipsp_xact_wait)err);
	else
		refuse(n, ev->token, ev->id, err);
}

/* Those who may do what a gateway does may end it again: see ipsp_ha_release. */
IPSP_APART static void is_gateways(struct ipsp_node *n, struct ipsp_place at)
{
	struct ipsp_bind b;

	if (ipsp_place_used(n, at, &b))
		ipsp_binds_set_flags(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index),
				     b.flags | IPSP_BIND_GATEWAYS);
}

static inline void serve(struct ipsp_node *n, const struct ipsp_event *ev, uint16_t ha,
			 const struct ipsp_ask *ask)
{
	const struct ipsp_served served = ipsp_serve(n, ha, &ev->ident, ask);

	if (served.err) {
		not_served(n, ev, ha, ask, served.err);
		return;
	}
	if (!served.fresh)
		n->stats.requests_confirmed++;
	else if (ha == 0 && ev->owner != 0)
		is_gateways(n, served.at);
	answer(n, ev->token, ev->id, 0, served.at, served.fresh);
}

/* It names a pool, a group or an address. */
IPSP_APART static void request_named(struct ipsp_node *n, const struct ipsp_event *ev, uint16_t ha)
{
	struct ipsp_ask ask;
	int err = ipsp_ask_resolve(&n->conf, ev->pool, ev->group, ev->addr, &ask);

	if (err)
		refuse(n, ev->token, ev->id, err);
	else
		serve(n, ev, ha, &ask);
}

void ipsp_xact_request(struct ipsp_node *n, const struct ipsp_event *ev)
{
	static const struct ipsp_ask anything = {
		.select = IPSP_SEL_ANY, .pool = IPSP_NO_POOL, .at_pool = IPSP_NO_POOL};
	const uint16_t ha = ipsp_ha_who_asks(n, ev->token);

	n->stats.requests++;
	if (ev->ident.n_subscriber == 0)
		refuse(n, ev->token, ev->id, IPSP_ERR_INVALID);
	else if (ev->pool || ev->group || !ipsp_addr_is_none(ev->addr))
		request_named(n, ev, ha);
	else
		serve(n, ev, ha, &anything);
}

static void close_one(struct ipsp_node *n, uint32_t slot, int err, struct ipsp_place at, bool fresh)
{
	struct ipsp_xact *x = &n->xacts.slots[slot];

	if (x->gateways && !err && fresh)
		is_gateways(n, at);
	if (x->counted && !err && fresh)
		ipsp_histogram_add(&n->stats.grants_asked, (n->now - x->asked_at) * 1000, 1);
	answer(n, x->token, x->id, err, at, fresh);
	slot_free(n, slot);
}

/* Tries an open one again; true when it is answered. */
static bool retry_one(struct ipsp_node *n, uint32_t slot, int refusal)
{
	struct ipsp_xact *x = &n->xacts.slots[slot];
	struct ipsp_ident ident = ipsp_xact_ident(x);

	n->may_serve = false; /* this is no row of requests: anything may have changed */
	struct ipsp_served served = ipsp_serve(n, x->ha, &ident, &x->ask);
	if (served.err > 0) {
		if (served.err == IPSP_XW_PEER && refusal) {
			close_one(n, slot, refusal, served.at, false);
			return true;
		}
		set_wait(n, x, (enum ipsp_xact_wait)served.err);
		return false;
	}
	/* the peer was asked and is away for the moment: its answer may still come */
	if (x->wait == IPSP_XW_PEER && served.err == IPSP_ERR_NO_PRIMARY)
		return false;
	close_one(n, slot, served.err, served.at, served.fresh);
	return true;
}

static void send_cancel(struct ipsp_node *n, uint64_t id)
{
	ipsp_grant_refuse(n, id, IPSP_REFUSE_CANCEL);
}

/* Is there anything new for it since addresses came? Asked for by number, only that one. */
static bool may_have_come(const struct ipsp_node *n, const struct ipsp_xact *x)
{
	return x->wait != IPSP_XW_PEER || x->ask.at_pool == IPSP_NO_POOL ||
	       ipsp_pool_own(n->pools[x->ask.at_pool], x->ask.at_index) == IPSP_OWN_OURS;
}

/* Deadlines, and another try where something may have changed. */
void ipsp_xact_retry(struct ipsp_node *n)
{
	struct ipsp_xacts *xs = &n->xacts;
	bool all = xs->retry, given = xs->given;

	if (!all && !given && n->now < xs->soonest)
		return;
	xs->retry = xs->given = false;
	xs->soonest = IPSP_NEVER;
	for (uint32_t i = xs->head, next; i != IPSP_NO_XACT; i = next) {
		next = xs->slots[i].next;
		if ((all || (given && may_have_come(n, &xs->slots[i])) ||
		     xs->slots[i].wait == IPSP_XW_START || xs->slots[i].wait == IPSP_XW_LEASE) &&
		    retry_one(n, i, 0))
			continue;
		struct ipsp_xact *x = &xs->slots[i];
		if (x->deadline <= n->now) {
			if (x->wait == IPSP_XW_PEER) {
				ipsp_node_unanswered(n, x->asked_at);
				send_cancel(n, x->peer_id);
			}
			close_one(n, i, wait_error(x->wait), (struct ipsp_place){IPSP_NO_POOL, 0},
				  false);
			continue;
		}
		if (x->deadline < xs->soonest)
			xs->soonest = x->deadline;
	}
}

void ipsp_xact_give_up(struct ipsp_node *n, int err)
{
	while (n->xacts.head != IPSP_NO_XACT)
		close_one(n, n->xacts.head, err, (struct ipsp_place){IPSP_NO_POOL, 0}, false);
}

/* The one to wake is behind a release event, wherever it stands in the list. */
void ipsp_xact_wake(struct ipsp_node *n, struct ipsp_place at)
{
	(void)at;
	if (n->xacts.n_open > 0)
		n->xacts.retry = true;
}

void ipsp_xact_drop_token(struct ipsp_node *n, uint64_t token)
{
	struct ipsp_xacts *xs = &n->xacts;

	for (uint32_t i = xs->head, next; i != IPSP_NO_XACT; i = next) {
		next = xs->slots[i].next;
		if (xs->slots[i].token != token)
			continue;
		if (xs->slots[i].wait == IPSP_XW_PEER)
			send_cancel(n, xs->slots[i].peer_id);
		slot_free(n, i);
	}
}

bool ipsp_xact_wants(const struct ipsp_node *n, struct ipsp_place at)
{
	const struct ipsp_xacts *xs = &n->xacts;

	for (uint32_t i = xs->n_by_number ? xs->head : IPSP_NO_XACT; i != IPSP_NO_XACT;
	     i = xs->slots[i].next)
		if (xs->slots[i].ask.at_pool == at.pool && xs->slots[i].ask.at_index == at.index &&
		    xs->slots[i].wait != IPSP_XW_PEER)
			return true;
	return false;
}

ipsp_ms ipsp_xact_due(const struct ipsp_node *n)
{
	return n->xacts.retry || n->xacts.given ? n->now : n->xacts.soonest;
}

/* --------------------------------------------------------------- asking the peer */

/*
 * The next request that is due to be sent, from behind *@slot on (IPSP_NO_XACT: from the first);
 * false at the end. A walk to the end finds out when the next one is due.
 */
bool ipsp_xact_next(struct ipsp_node *n, uint32_t *slot, struct ipsp_request *r)
{
	struct ipsp_xacts *xs = &n->xacts;
	uint32_t i = *slot == IPSP_NO_XACT ? xs->head : xs->slots[*slot].next;

	if (*slot == IPSP_NO_XACT)
		xs->send_at = IPSP_NEVER;
	for (; i != IPSP_NO_XACT; i = xs->slots[i].next) {
		struct ipsp_xact *x = &xs->slots[i];
		bool due = x->next_send <= n->now;
		if (x->wait != IPSP_XW_PEER)
			continue;
		if (due) {
			if (x->rto_ms > ASK_RTO_MS)
				n->stats.requests_repeated++;
			x->next_send = n->now + x->rto_ms;
			x->rto_ms = x->rto_ms * 2 > ASK_MAX_MS ? ASK_MAX_MS : x->rto_ms * 2;
		}
		if (x->next_send < xs->send_at)
			xs->send_at = x->next_send;
		if (!due)
			continue;
		*r = (struct ipsp_request){.id = x->peer_id,
					   .epoch = n->side.epoch,
					   .select = (uint8_t)x->ask.select,
					   .pool = x->ask.pool,
					   .at_pool = x->ask.at_pool,
					   .at_index = x->ask.at_index,
					   .count = ipsp_stock_ride(n, x->peer_id, &x->ask),
					   .ident = ipsp_xact_ident(x)};
		*slot = i;
		return true;
	}
	return false;
}

uint32_t ipsp_xact_named(const struct ipsp_node *n, const struct ipsp_item *item,
			 struct ipsp_place *at)
{
	uint32_t slot = (uint32_t)(item->request & 0xffff);
	const struct ipsp_xact *x = slot < n->xacts.n_slots ? &n->xacts.slots[slot] : NULL;
	struct ipsp_set_entry e, more;
	struct ipsp_set_iter it;

	if (!x || x->wait != IPSP_XW_PEER || x->peer_id != item->request ||
	    item->form != IPSP_SET_KEPT || item->pool >= n->conf.n_pools)
		return IPSP_NO_XACT;
	const struct ipsp_ident ident = ipsp_xact_ident(x);
	ipsp_set_begin(&it, item);
	if (!ipsp_set_next(&it, &e) || ipsp_set_next(&it, &more) || e.use != IPSP_USE_HOLD ||
	    e.n_subscriber != ident.n_subscriber ||
	    memcmp(e.subscriber, ident.subscriber, ident.n_subscriber) != 0)
		return IPSP_NO_XACT;
	*at = (struct ipsp_place){item->pool, e.start};
	return ipsp_serve_may(n, &ident, &x->ask, *at) ? slot : IPSP_NO_XACT;
}

void ipsp_xact_given(struct ipsp_node *n, uint32_t slot, struct ipsp_place at)
{
	struct ipsp_xact *x = &n->xacts.slots[slot];
	struct ipsp_ident ident = ipsp_xact_ident(x);

	close_one(n, slot, ipsp_serve_given(n, x->ha, &ident, &x->ask, at), at, true);
}

/*
 * Is that over by now? What it lacks is on its way to it from here, or has come there after it said
 * so; or it has not heard yet that this side is undrained.
 */
static bool refusal_is_over(const struct ipsp_node *n, const struct ipsp_xact *x, int err)
{
	if (err == IPSP_ERR_EXHAUSTED)
		return n->stream.n > 0 || n->stream.flowed > x->acked;
	return err == IPSP_ERR_DRAINING && !n->side.draining && !n->side.terminated && !n->stopping;
}

void ipsp_xact_on_refuse(struct ipsp_node *n, const struct ipsp_refuse *r)
{
	uint32_t slot = (uint32_t)(r->id & 0xffff);
	struct ipsp_xact *x = slot < n->xacts.n_slots ? &n->xacts.slots[slot] : NULL;

	ipsp_node_answered(n);
	if (ipsp_stock_on_refuse(n, r))
		return;
	if (!x || x->wait != IPSP_XW_PEER || x->peer_id != r->id)
		return;
	if (r->err == IPSP_REFUSE_WAIT) {
		x->rto_ms = ASK_MAX_MS;
		x->next_send = n->now + ASK_MAX_MS;
		return;
	}
	if (r->err == IPSP_REFUSE_EPOCH || r->epoch != n->side.epoch) {
		n->stats.stale_epoch++; /* asked again in the epoch that its hello tells */
		x->next_send = n->now + ASK_RTO_MS;
		x->rto_ms = ASK_RTO_MS;
		if (x->next_send < n->xacts.send_at)
			n->xacts.send_at = x->next_send;
		return;
	}
	if (refusal_is_over(n, x, r->err)) {
		/* asked anew: it keeps its answer to the request that it has refused */
		x->acked = n->side.acked;
		x->peer_id = ++n->xacts.counter << 16 | slot;
		x->rto_ms = ASK_RTO_MS;
		x->next_send = n->now + ASK_RTO_MS;
		if (x->next_send < n->xacts.send_at)
			n->xacts.send_at = x->next_send;
		return;
	}
	int err = r->err < 0 && r->err > -100 ? r->err : IPSP_ERR_DENIED;
	if (err == IPSP_ERR_EXHAUSTED && n->side.anew)
		err = IPSP_ERR_LOCKED; /* what is here is kept back for a while: ask again */
	retry_one(n, slot, err);
}
