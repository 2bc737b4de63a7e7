/*
 * xact - requests: of our HAs to this side, of this side to the peer, of the peer to this side.
 *
 * One rule for ours: try with what is here; when that fails for a reason that time may cure, wait
 * (for the start, the lease, the peer, or a release event), and try again whenever something came.
 * So an open request is completed by any transfer that brings an address for it, whatever the
 * transfer was for, and a refusal from the peer is looked at again before it is passed on.
 */
#include "core/node_int.h"

#include <stdlib.h>
#include <string.h>

#define ASK_RTO_MS   50 /* the first repeat of a request to the peer */
#define ASK_MAX_MS   1000
#define DEMAND_MS    50 /* a block covers the demand of this long */
#define BLOCK_MAX    256
#define REFUSALS_MAX 8192
#define CANCEL	     0 /* in the queue of refusals: a cancel of ours */

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

void ipsp_xact_fini(struct ipsp_node *n)
{
	for (uint32_t i = n->xacts.head; i != IPSP_NO_XACT; i = n->xacts.slots[i].next)
		free(n->xacts.slots[i].text);
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

static void slot_free(struct ipsp_xacts *x, uint32_t i)
{
	struct ipsp_xact *s = &x->slots[i];

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
	free(s->text);
	*s = (struct ipsp_xact){.next = x->free_head};
	x->free_head = i;
	x->n_open--;
}

struct ipsp_ident ipsp_xact_ident(const struct ipsp_xact *x)
{
	return (struct ipsp_ident){.subscriber = x->text,
				   .session = x->text + x->n_subscriber,
				   .n_subscriber = x->n_subscriber,
				   .n_session = x->n_session};
}

static void answer(struct ipsp_node *n, uint64_t token, uint64_t id, int err, struct ipsp_place at,
		   bool fresh)
{
	struct ipsp_out o = {.type = IPSP_OUT_ANSWER,
			     .token = token,
			     .id = id,
			     .err = err,
			     .pool = IPSP_NO_POOL};

	if (err) {
		n->stats.requests_refused++;
	} else {
		o.addr = ipsp_pool_addr(&n->conf.pools[at.pool], at.index);
		o.pool = at.pool;
		o.index = at.index;
		o.plen = n->conf.pools[at.pool].plen;
		o.fresh = fresh;
	}
	bool power = ipsp_psp(n)->enabled && ipsp_psp(n)->durability == IPSP_DURABLE_POWER;
	if (!err && power && (fresh || ipsp_out_deferred(n, at)))
		ipsp_out_defer(n, &o);
	else
		ipsp_out_copy(n, &o);
}

/* --------------------------------------------------------------- may this side serve? */

/* 0, an error to answer with, or (positive) what to wait for. */
static int gate(const struct ipsp_node *n)
{
	const struct ipsp_side *s = &n->side;

	if (s->terminated || n->refused_enable || s->grounded || n->stopping)
		return IPSP_ERR_DISABLED;
	if (s->draining)
		return IPSP_ERR_DRAINING;
	if (n->disk_full)
		return IPSP_ERR_OVERLOADED;
	if (!ipsp_psp(n)->enabled)
		return 0; /* IPSP has no say here; what the peer owns is not given anyway */
	if (n->mode != IPSP_MODE_ACTIVE && (s->shared || !s->primary))
		return IPSP_ERR_DISABLED;
	if (s->lost)
		return IPSP_XW_LEASE;
	if (!s->shared && !s->licence && !s->primary) {
		if (n->state == IPSP_ST_CONFIG_MISMATCH)
			return IPSP_ERR_CONFIG_MISMATCH;
		return ipsp_contact(n) ? IPSP_ERR_NOT_APPROVED : IPSP_ERR_NO_PRIMARY;
	}
	if (ipsp_may_assign(n))
		return 0;
	return s->shared ? IPSP_XW_LEASE : IPSP_XW_START;
}

/* The address is not here: may the peer be asked? */
static int gate_peer(const struct ipsp_node *n, const struct ipsp_ask *ask)
{
	if (!ipsp_psp(n)->enabled || !n->side.shared || n->side.licence)
		return IPSP_ERR_EXHAUSTED;
	if (!ipsp_contact(n))
		return IPSP_ERR_NO_PRIMARY;
	if (n->conf_role_conflict || (n->compare.known && !n->compare.same))
		if (ask->at_pool == IPSP_NO_POOL)
			return IPSP_ERR_CONFIG_MISMATCH;
	return IPSP_XW_PEER;
}

static bool group_differs(const struct ipsp_node *n, uint16_t a, uint16_t b)
{
	return strcmp(n->conf.pools[a].group, n->conf.pools[b].group) != 0;
}

/* A session that has an address: 0 and @at when that is what it asks for. */
static int confirm(struct ipsp_node *n, uint32_t bind, uint16_t ha, const struct ipsp_ask *ask,
		   struct ipsp_place *at)
{
	struct ipsp_bind b;

	ipsp_binds_get(n->binds, bind, &b);
	if (b.flags & (IPSP_BIND_RELEASING | IPSP_BIND_DUPLICATE))
		return IPSP_XW_RELEASE;
	if (ask->at_pool != IPSP_NO_POOL && (ask->at_pool != b.pool || ask->at_index != b.index))
		return IPSP_ERR_INVALID;
	if (ask->select == IPSP_SEL_POOL && ask->pool != b.pool)
		return IPSP_ERR_INVALID;
	if (ask->select == IPSP_SEL_GROUP && group_differs(n, ask->pool, b.pool))
		return IPSP_ERR_INVALID;
	if (ha != 0 && b.ha != ha)
		ipsp_rec_ha(n, bind, ha);
	*at = (struct ipsp_place){b.pool, b.index};
	if (n->has.n_asked > 0)
		ipsp_ha_confirmed(n, *at);
	return 0;
}

static int take_static(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
		       struct ipsp_place at)
{
	if (ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_FREE)
		return IPSP_ERR_IN_USE;
	return ipsp_rec_take(n, at, ha, ident) == IPSP_NO_BIND ? IPSP_ERR_OVERLOADED : 0;
}

static void took(struct ipsp_node *n, struct ipsp_place at)
{
	n->stats.requests_local++;
	if (!n->side.primary && !n->side.s6 && n->side.shared) {
		struct ipsp_side s = n->side;
		s.s6 = true;
		ipsp_rec_side(n, &s, false);
	}
	if (n->side.shared && !n->side.licence && ipsp_psp(n)->enabled &&
	    n->lease.lease_end < n->act->valid_until)
		n->act->valid_until = n->lease.lease_end;
	(void)at;
}

enum { FRESH = 0, CONFIRMED = 1 };

/* Returns 0 with @at and @how, an error, or what to wait for. */
static int attempt(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
		   const struct ipsp_ask *ask, struct ipsp_place *at, int *how)
{
	uint32_t bind = ipsp_binds_session(n->binds, ident);
	struct ipsp_bind b;

	*how = CONFIRMED;
	if (bind != IPSP_NO_BIND)
		return confirm(n, bind, ha, ask, at);
	*how = FRESH;
	*at = (struct ipsp_place){ask->at_pool, ask->at_index};
	if (ask->at_pool != IPSP_NO_POOL && ipsp_is_static(n, ask->at_pool))
		return take_static(n, ha, ident, *at);
	int err = gate(n);
	if (err)
		return err;
	bool reclaim = n->side.licence && !n->licence_pending && !n->licence_resting;
	err = ipsp_assign_find(n->pools, n->order, n->binds, ask, ident, reclaim, at);
	if (err == 0) {
		if (ipsp_rec_take(n, *at, ha, ident) == IPSP_NO_BIND)
			return IPSP_ERR_OVERLOADED;
		took(n, *at);
		return 0;
	}
	if (err == IPSP_ERR_IN_USE) {
		*at = (struct ipsp_place){ask->at_pool, ask->at_index};
		return ipsp_place_used(n, *at, &b) && b.flags & IPSP_BIND_RELEASING
			       ? IPSP_XW_RELEASE
			       : err;
	}
	return gate_peer(n, ask);
}

/* --------------------------------------------------------------- requests of our HAs */

static int wait_error(enum ipsp_xact_wait wait)
{
	return wait == IPSP_XW_LEASE || wait == IPSP_XW_START ? IPSP_ERR_LOCKED : IPSP_ERR_TIMEOUT;
}

static void demand(struct ipsp_node *n)
{
	struct ipsp_xacts *x = &n->xacts;

	x->rate_n++;
	if (n->now - x->rate_at < 100)
		return;
	double rate = 1000.0 * x->rate_n / (double)(n->now - x->rate_at);
	x->rate = n->now - x->rate_at > 2000 ? rate : 0.7 * x->rate + 0.3 * rate;
	x->rate_n = 0;
	x->rate_at = n->now;
}

static void set_wait(struct ipsp_node *n, struct ipsp_xact *x, enum ipsp_xact_wait wait)
{
	if (x->wait == wait)
		return;
	x->wait = wait;
	if (wait == IPSP_XW_PEER) {
		x->next_send = n->xacts.send_at = n->now;
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
	uint32_t slot = slot_new(&n->xacts);
	char *text = malloc((size_t)ev->ident.n_subscriber + ev->ident.n_session + 1);

	if (slot == IPSP_NO_XACT || !text) {
		free(text);
		if (slot != IPSP_NO_XACT)
			slot_free(&n->xacts, slot);
		answer(n, ev->token, ev->id, IPSP_ERR_OVERLOADED, none, false);
		return;
	}
	struct ipsp_xact *x = &n->xacts.slots[slot];
	memcpy(text, ev->ident.subscriber, ev->ident.n_subscriber);
	if (ev->ident.n_session)
		memcpy(text + ev->ident.n_subscriber, ev->ident.session, ev->ident.n_session);
	x->text = text;
	x->n_subscriber = ev->ident.n_subscriber;
	x->n_session = ev->ident.n_session;
	x->token = ev->token;
	x->id = ev->id;
	x->ha = ha;
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

void ipsp_xact_request(struct ipsp_node *n, const struct ipsp_event *ev)
{
	uint16_t ha = ipsp_ha_of_token(n, ev->token);
	struct ipsp_place at = {IPSP_NO_POOL, 0};
	struct ipsp_ask ask;
	int how = FRESH;

	n->stats.requests++;
	int err = ev->ident.n_subscriber == 0
			  ? IPSP_ERR_INVALID
			  : ipsp_ask_resolve(&n->conf, ev->pool, ev->group, ev->addr, &ask);
	if (err) {
		answer(n, ev->token, ev->id, err, at, false);
		return;
	}
	if (ask.at_pool == IPSP_NO_POOL)
		demand(n);
	err = attempt(n, ha, &ev->ident, &ask, &at, &how);
	if (err > 0) {
		open_one(n, ev, ha, &ask, (enum ipsp_xact_wait)err);
		return;
	}
	if (err == 0 && how == CONFIRMED)
		n->stats.requests_confirmed++;
	answer(n, ev->token, ev->id, err, at, how == FRESH);
}

static void close_one(struct ipsp_node *n, uint32_t slot, int err, struct ipsp_place at, bool fresh)
{
	struct ipsp_xact *x = &n->xacts.slots[slot];

	answer(n, x->token, x->id, err, at, fresh);
	slot_free(&n->xacts, slot);
}

/* Tries an open one again; true when it is answered. */
static bool retry_one(struct ipsp_node *n, uint32_t slot, int refusal)
{
	struct ipsp_xact *x = &n->xacts.slots[slot];
	struct ipsp_ident ident = ipsp_xact_ident(x);
	struct ipsp_place at = {IPSP_NO_POOL, 0};
	int how = FRESH;
	int err = attempt(n, x->ha, &ident, &x->ask, &at, &how);

	if (err > 0) {
		if (err == IPSP_XW_PEER && refusal) {
			close_one(n, slot, refusal, at, false);
			return true;
		}
		set_wait(n, x, (enum ipsp_xact_wait)err);
		return false;
	}
	/* the peer was asked and is away for the moment: its answer may still come */
	if (x->wait == IPSP_XW_PEER && err == IPSP_ERR_NO_PRIMARY)
		return false;
	close_one(n, slot, err, at, how == FRESH);
	return true;
}

static void send_cancel(struct ipsp_node *n, uint64_t id)
{
	ipsp_xact_refuse(n, id, CANCEL);
}

/* Deadlines, and another try where something may have changed. */
void ipsp_xact_retry(struct ipsp_node *n)
{
	struct ipsp_xacts *xs = &n->xacts;
	bool all = xs->retry;

	if (!all && n->now < xs->soonest)
		return;
	xs->retry = false;
	xs->soonest = IPSP_NEVER;
	for (uint32_t i = xs->head, next; i != IPSP_NO_XACT; i = next) {
		next = xs->slots[i].next;
		if ((all || xs->slots[i].wait == IPSP_XW_START ||
		     xs->slots[i].wait == IPSP_XW_LEASE) &&
		    retry_one(n, i, 0))
			continue;
		struct ipsp_xact *x = &xs->slots[i];
		if (x->deadline <= n->now) {
			if (x->wait == IPSP_XW_PEER)
				send_cancel(n, x->peer_id);
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
		slot_free(xs, i);
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
	return n->xacts.retry ? n->now : n->xacts.soonest;
}

/* --------------------------------------------------------------- asking the peer */

static uint32_t block_size(const struct ipsp_node *n, const struct ipsp_xact *x)
{
	uint32_t count = ipsp_psp(n)->block_size;

	if (x->ask.at_pool != IPSP_NO_POOL)
		return 1;
	if (count == 0)
		count = 1 + (uint32_t)(n->xacts.rate * DEMAND_MS / 1000.0);
	return count > BLOCK_MAX ? BLOCK_MAX : count;
}

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
					   .count = block_size(n, x),
					   .ident = ipsp_xact_ident(x)};
		*slot = i;
		return true;
	}
	return false;
}

void ipsp_xact_on_refuse(struct ipsp_node *n, const struct ipsp_refuse *r)
{
	uint32_t slot = (uint32_t)(r->id & 0xffff);
	struct ipsp_xact *x = slot < n->xacts.n_slots ? &n->xacts.slots[slot] : NULL;

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
	retry_one(n, slot, r->err < 0 && r->err > -100 ? r->err : IPSP_ERR_DENIED);
}

/* --------------------------------------------------------------- requests of the peer */

void ipsp_xact_refuse(struct ipsp_node *n, uint64_t id, int err)
{
	struct ipsp_xacts *x = &n->xacts;

	if (id == 0 || x->n_refusals >= REFUSALS_MAX)
		return; /* the peer asks again */
	if (x->n_refusals == x->cap_refusals) {
		uint32_t cap = x->cap_refusals ? x->cap_refusals * 2 : 64;
		struct ipsp_refuse *refusals = realloc(x->refusals, cap * sizeof *refusals);
		if (!refusals) {
			n->act->failed = true;
			return;
		}
		x->refusals = refusals;
		x->cap_refusals = cap;
	}
	if (err < 0) {
		n->stats.peer_refusals++;
		ipsp_xact_answered(n, id, 0, err);
	}
	x->refusals[x->n_refusals++] =
		(struct ipsp_refuse){.id = id, .epoch = n->side.epoch, .err = err};
}

/* Kept for repeats of the same request. */
void ipsp_xact_answered(struct ipsp_node *n, uint64_t id, uint64_t item, int err)
{
	struct ipsp_answered *a = &n->xacts.answered[(id >> 16) % IPSP_ANSWERED];

	*a = (struct ipsp_answered){.id = id, .item = item, .err = err, .epoch = n->side.epoch};
}

/* A repeat of one that was answered: its item is repeated by the stream, a refusal is said again.
 */
static bool repeated(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_answered *a = &n->xacts.answered[(r->id >> 16) % IPSP_ANSWERED];

	if (a->id != r->id || r->id == 0 || a->epoch != n->side.epoch)
		return false;
	if (a->item != 0 && a->item <= n->side.acked)
		return false; /* it arrived, and was used otherwise: this is a new wish */
	if (a->item != 0)
		return true;
	ipsp_xact_refuse(n, r->id, a->err);
	return true;
}

static int may_give(const struct ipsp_node *n, const struct ipsp_request *r)
{
	if (n->side.lost)
		return IPSP_ERR_LOCKED;
	if (!n->side.shared)
		return IPSP_ERR_NOT_APPROVED;
	if (n->disk_full)
		return IPSP_ERR_OVERLOADED;
	if (ipsp_flag(n, IPSP_HF_DRAINING) || ipsp_flag(n, IPSP_HF_TERMINATED))
		return IPSP_ERR_DRAINING;
	if (r->at_pool == IPSP_NO_POOL && n->compare.known && !n->compare.same)
		return IPSP_ERR_CONFIG_MISMATCH;
	return 0;
}

static bool same_subscriber(const struct ipsp_bind *b, const struct ipsp_request *r)
{
	return b->ident.n_subscriber == r->ident.n_subscriber &&
	       memcmp(b->ident.subscriber, r->ident.subscriber, r->ident.n_subscriber) == 0;
}

static void give(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_request *r)
{
	ipsp_xact_answered(n, r->id, ipsp_sync_give(n, at, r->id, &r->ident), 0);
}

/* P3: a session here uses the address that the peer asks for. */
static void handoff(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_request *r,
		    const struct ipsp_bind *b)
{
	if (!same_subscriber(b, r)) {
		ipsp_xact_refuse(n, r->id, IPSP_ERR_IN_USE);
		return;
	}
	if (ipsp_out_deferred(n, at))
		return; /* its HA does not know it yet; the peer asks again */
	uint32_t timeout = ipsp_psp(n)->release_timeout_ms;
	uint32_t theirs = n->peer.hello.request_timeout_ms;
	if (theirs >= 1000 && timeout > theirs - 500)
		timeout = theirs - 500;
	int err = ipsp_ha_ask(n, at, IPSP_REASON_HANDOFF, r->id, n->now + timeout);
	if (err < 0)
		ipsp_xact_refuse(n, r->id, err);
	else if (err == 0)
		ipsp_xact_refuse(n, r->id, IPSP_REFUSE_WAIT);
	else
		give(n, at, r);
}

static void request_by_address(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_place at = {r->at_pool, r->at_index};
	struct ipsp_bind b;

	if (at.pool >= n->conf.n_pools || at.index >= n->conf.pools[at.pool].size ||
	    ipsp_is_static(n, at.pool)) {
		n->stats.drop_range++;
		ipsp_xact_refuse(n, r->id, IPSP_ERR_NOT_IN_POOL);
		return;
	}
	struct ipsp_pool *pool = n->pools[at.pool];
	if (ipsp_pool_own(pool, at.index) == IPSP_OWN_TRANSIT)
		return; /* on its way to the asker: the stream repeats it */
	if (ipsp_pool_own(pool, at.index) == IPSP_OWN_PEER ||
	    ipsp_pool_flags(pool, at.index) & IPSP_ADDR_DUP || ipsp_xact_wants(n, at)) {
		ipsp_xact_refuse(n, r->id, IPSP_ERR_IN_USE);
		return;
	}
	enum ipsp_use use = ipsp_pool_use(pool, at.index);
	if (use == IPSP_USE_FREE) {
		give(n, at, r);
		return;
	}
	if (!ipsp_binds_get(n->binds, ipsp_pool_bind(pool, at.index), &b))
		return;
	if (use == IPSP_USE_USED)
		handoff(n, at, r, &b);
	else if (same_subscriber(&b, r)) /* a handoff passes both timers for its own subscriber */
		give(n, at, r);
	else
		ipsp_xact_refuse(n, r->id, IPSP_ERR_IN_USE);
}

/* What may be given away unasked by number from one pool: the primary keeps its reserve. */
static uint32_t spare(const struct ipsp_node *n, uint16_t p)
{
	const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
	uint32_t free = n->side.primary ? ipsp_assign_spare(n->pools[p],
							    ipsp_psp(n)->reserved_free_percentage)
					: c->free;
	return free;
}

/* More of the same pool than was needed: near exhaustion one by one. */
static void give_block(struct ipsp_node *n, uint16_t p, uint32_t count)
{
	struct ipsp_pool *pool = n->pools[p];
	uint32_t left = spare(n, p), size = n->conf.pools[p].size, taken = 0;
	uint32_t list[BLOCK_MAX];
	struct ipsp_item_writer w;
	bool open = false;

	if (left < size / 16 || left / 4 < count)
		count = left / 16;
	if (count > BLOCK_MAX)
		count = BLOCK_MAX;
	for (uint32_t i = ipsp_pool_first_free(pool); i != IPSP_NO_INDEX && taken < count;
	     i = ipsp_pool_next_free(pool, i))
		if (!ipsp_xact_wants(n, (struct ipsp_place){p, i}))
			list[taken++] = i;
	for (uint32_t i = 0; i < taken;) {
		uint32_t run = 1;
		while (i + run < taken && list[i + run] == list[i] + run)
			run++;
		if (!open) {
			ipsp_item_begin(&w, n->side.sent + 1, IPSP_ITEM_GIVE, 0, 0, p,
					IPSP_SET_RUNS);
			open = true;
		}
		if (ipsp_item_add_run(&w, list[i], run)) {
			i += run;
			continue;
		}
		ipsp_rec_out(n, &w);
		open = false;
	}
	if (open)
		ipsp_rec_out(n, &w);
}

static void request_any(struct ipsp_node *n, const struct ipsp_request *r)
{
	struct ipsp_ask ask = {
		.select = (enum ipsp_select)r->select, .pool = r->pool, .at_pool = IPSP_NO_POOL};
	uint32_t cursor = 0;
	uint16_t p;

	if (r->select > IPSP_SEL_GROUP ||
	    (r->select != IPSP_SEL_ANY && r->pool >= n->conf.n_pools)) {
		n->stats.drop_range++;
		ipsp_xact_refuse(n, r->id, IPSP_ERR_UNKNOWN_POOL);
		return;
	}
	while ((p = ipsp_order_next(n->order, &ask, &cursor)) != IPSP_NO_POOL) {
		struct ipsp_ask one = {.select = IPSP_SEL_POOL, .pool = p, .at_pool = IPSP_NO_POOL};
		struct ipsp_place at;
		if (ipsp_assign_find(n->pools, n->order, n->binds, &one, &r->ident, false, &at) !=
		    0)
			continue;
		if (ipsp_pool_use(n->pools[p], at.index) == IPSP_USE_FREE && spare(n, p) == 0)
			continue;
		give(n, at, r);
		if (r->count > 1)
			give_block(n, p, r->count - 1);
		return;
	}
	ipsp_xact_refuse(n, r->id, IPSP_ERR_EXHAUSTED);
}

void ipsp_xact_on_request(struct ipsp_node *n, const struct ipsp_request *r)
{
	if (r->epoch != n->side.epoch) {
		n->stats.stale_epoch++;
		n->hello_soon = true;
		ipsp_xact_refuse(n, r->id, IPSP_REFUSE_EPOCH);
		return;
	}
	if (repeated(n, r))
		return;
	n->stats.peer_requests++;
	int err = may_give(n, r);
	if (err)
		ipsp_xact_refuse(n, r->id, err);
	else if (r->at_pool != IPSP_NO_POOL)
		request_by_address(n, r);
	else
		request_any(n, r);
}

void ipsp_xact_on_cancel(struct ipsp_node *n, uint64_t id)
{
	ipsp_ha_cancel(n, id, 0);
}
