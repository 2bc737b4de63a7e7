/*
 * state - when are two states of a tiny world the same? When nothing that may be done to them tells
 * them apart. So times count by how far they are from now, numbers of hellos by how far they are
 * from the newest, ids of requests in the same way; keys, counters for people and texts don't count
 * at all.
 *
 * A field that is forgotten here makes two states one that are not, and what only one of them leads
 * to is never seen. explore --audit looks for that: it does all acts to both, and compares.
 */
#include "core/node_int.h"
#include "tiny.h"

#include <string.h>

struct hash {
	uint64_t h;
};

static void put(struct hash *h, uint64_t v)
{
	uint64_t z = h->h ^ v;

	z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93ULL;
	z = (z ^ (z >> 29)) * 0x9e3779b97f4a7c15ULL;
	h->h = z ^ (z >> 32);
}

static void put_bytes(struct hash *h, const void *p, size_t n)
{
	const uint8_t *bytes = p;
	uint64_t v;

	put(h, n);
	for (; n >= 8; n -= 8, bytes += 8) {
		memcpy(&v, bytes, 8);
		put(h, v);
	}
	v = 0;
	if (n > 0)
		memcpy(&v, bytes, n);
	put(h, v);
}

struct view { /* of one side's node: what numbers and times are measured by */
	struct hash *h;
	const struct tiny *w;
	const struct side *s;
	const struct ipsp_node *n;
	uint32_t hellos, peer_hellos, counter, peer_counter;
};

static uint32_t hellos_of(const struct side *s)
{
	return s->node ? s->node->peer.number : s->hellos;
}

static uint32_t counter_of(const struct side *s)
{
	return s->node ? (uint32_t)s->node->xacts.counter : s->counter;
}

/* ---------------------------------------------------------------- times and numbers */

#define LONG_AGO 20000 /* more than any interval that counts from a moment in the past */

/* When something began: how long ago. */
static void put_past(struct view *v, ipsp_ms at)
{
	ipsp_ms ago = at == IPSP_NEVER ? IPSP_NEVER : v->w->now - at;

	put(v->h, ago != IPSP_NEVER && ago > LONG_AGO ? LONG_AGO : ago);
}

/* When something is due, or ends: how soon; when it is over it is of no matter how long. */
static void put_due(struct view *v, ipsp_ms at)
{
	put(v->h, at == IPSP_NEVER ? IPSP_NEVER : at > v->w->now ? at - v->w->now : 0);
}

#define NUMBERS 64 /* hellos as old as that are not known any more */

static void put_number(struct view *v, uint32_t number, uint32_t newest)
{
	uint32_t back = newest - number;

	put(v->h, number == 0 ? UINT32_MAX : back > NUMBERS ? NUMBERS : back);
}

/* Our request, or the peer's: the number of the slot counts, and how long ago it was. */
static void put_id(struct view *v, uint64_t id, uint32_t counter)
{
	put(v->h,
	    id == 0 ? UINT64_MAX
		    : (uint64_t)(uint32_t)(counter - (uint32_t)(id >> 16)) << 16 | (id & 0xffff));
}

/* ---------------------------------------------------------------- what is said */

static void put_hello(struct view *v, const struct ipsp_hello *h, uint32_t sender,
		      uint32_t receiver)
{
	put(v->h, h->flags);
	put(v->h, h->books);
	put(v->h, h->peer_books);
	put(v->h, h->epoch);
	put(v->h, h->agreed_epoch);
	put_number(v, h->number, sender);
	put_number(v, h->heard, receiver);
	put_number(v, h->promised, receiver);
	put(v->h, (uint64_t)h->dead_ms << 32 | h->peer_dead_ms);
	put(v->h, h->hello_ms);
	put(v->h, h->sent);
	put(v->h, h->applied);
	put(v->h, h->known);
	put(v->h, h->report);
	put(v->h, (uint64_t)h->used << 32 | h->spare);
}

/* @v is the sender's. */
static void put_message(struct view *v, const struct ipsp_msg *m)
{
	put(v->h, m->type);
	switch (m->type) {
	case IPSP_MSG_HELLO:
		put_hello(v, &m->u.hello, v->hellos, v->peer_hellos);
		break;
	case IPSP_MSG_REQUEST:
	case IPSP_MSG_CANCEL:
		put_id(v, m->u.request.id, v->counter);
		put(v->h, m->u.request.epoch);
		put(v->h, (uint64_t)m->u.request.at_pool << 32 | m->u.request.at_index);
		put_bytes(v->h, m->u.request.ident.subscriber, m->u.request.ident.n_subscriber);
		break;
	case IPSP_MSG_REFUSE:
		put_id(v, m->u.refuse.id, v->peer_counter);
		put(v->h, m->u.refuse.epoch);
		put(v->h, (uint32_t)m->u.refuse.err);
		break;
	case IPSP_MSG_ITEM:
		put(v->h, m->u.item.stream);
		put_bytes(v->h, m->u.item.bytes, m->u.item.n);
		break;
	case IPSP_MSG_ACK:
		put(v->h, m->u.ack.stream);
		put(v->h, m->u.ack.number);
		break;
	case IPSP_MSG_TAKEOVER:
		put(v->h, m->u.request.epoch);
		break;
	case IPSP_MSG_RENEW:
		put(v->h, m->u.renew.has);
		put_bytes(v->h, m->u.renew.public, 8);
		break;
	case IPSP_MSG_CONF_ASK:
	case IPSP_MSG_CONF_PART: /* the pools are the same: never said */
	case IPSP_MSG_TYPES:
		break;
	}
}

static void put_dgram(struct view *sender, const struct dgram *d)
{
	struct ipsp_rd rd = ipsp_rd_of(d->bytes + d->n, d->n_plain);
	struct ipsp_msg m;

	put(sender->h, d->again);
	/* its session of keys; of a SHAKE all that there is */
	put_bytes(sender->h, d->bytes, d->bytes[3] == IPSP_DGRAM_SHAKE ? d->n : 8);
	while (ipsp_msg_next(&rd, &m) > 0)
		put_message(sender, &m);
}

/* ---------------------------------------------------------------- the disk */

/* Whether a record is durable, will be when the flush that runs is done, or later. */
static void put_durability(struct view *v, uint64_t seq)
{
	const struct disk *disk = &v->s->disk;

	put(v->h, seq <= v->n->flushed ? 0 : disk->flushing && seq <= disk->covers_seq ? 1 : 2);
}

static void put_disk(struct view *v)
{
	const struct disk *disk = &v->s->disk;

	put(v->h, disk->flushing | (uint64_t)disk->again << 1 |
			  (uint64_t)(disk->durable < disk->log.len) << 2 |
			  (uint64_t)(disk->flushing && disk->covers < disk->log.len) << 3);
	if (v->w->left.crashes == 0 && v->n)
		return; /* it will not be read again */
	put(v->h, v->s->boot - disk->lease_boot);
	put_due(v, disk->lease.lease_end);
	put_past(v, disk->lease.quiet_since);
	put_past(v, disk->lease.alive_at);
	put(v->h, disk->durable_digest);
	put(v->h, disk->durable_epoch);
	put_bytes(v->h, disk->log.data + disk->durable, disk->log.len - disk->durable);
	put(v->h, disk->flushing ? disk->covers - disk->durable : 0);
}

/* ---------------------------------------------------------------- the node */

static void put_side(struct view *v)
{
	const struct ipsp_node *n = v->n;

	put(v->h, ipsp_node_digest(n));	 /* all that is durable */
	put_bytes(v->h, n->rng.seed, 8); /* the next identity of books, which decides some ties */
	put(v->h, n->licence_pending | (uint64_t)n->licence_resting << 1 |
			  (uint64_t)n->refused_enable << 2 | (uint64_t)n->hello_soon << 3 |
			  (uint64_t)n->conf_role_conflict << 4 | (uint64_t)n->could_assign << 5 |
			  (uint64_t)n->sweep_owed << 6 | (uint64_t)n->more_to_move << 7 |
			  (uint64_t)n->compare.known << 8 | (uint64_t)n->compare.same << 9 |
			  (uint64_t)n->blank << 10 | (uint64_t)n->conflict.won << 11 |
			  (uint64_t)n->peer.stopped << 12 | (uint64_t)n->peer.judged << 13 |
			  (uint64_t)n->peer.twin << 14 | (uint64_t)n->link.unheard << 15 |
			  (uint64_t)n->listen_deaf << 16);
	put_due(v, n->link.hears_at);
	put_past(v, n->link.unheard_since);
	put_past(v, n->link.knocked_at);
	put_past(v, n->link.knocks_since);
	put_past(v, n->link.answered_at);
	put(v->h, (uint64_t)n->state << 32 | n->peer_state);
	put(v->h, (uint64_t)n->owed << 32 | n->n_duplicate);
	put(v->h, (uint64_t)n->move_pool << 32 | n->move_from);
	put_durability(v, n->side_seq);
	put_due(v, n->listen_until);
	put_due(v, n->hello_at);
	put_due(v, n->hello_min_at);
	put_due(v, n->takeover_at);
	put_due(v, n->kept_due);
	put_past(v, n->last_step);
	if (n->side.held)
		put_past(v, n->started_at);
	put_due(v, n->lease.lease_end);
	put_past(v, n->lease.quiet_since);
	put_past(v, n->lease.alive_at);
	put(v->h, (uint64_t)n->lease.dead_ms << 32 | n->lease.peer_dead_ms);
	put(v->h, n->said_peer_dead_ms);
	put(v->h, n->command_unsaid | (uint64_t)n->n_held << 1);
	for (uint32_t i = 0; i < n->n_held; i++)
		put(v->h, n->held[i].command);
	put_past(v, n->said_at);
	if (n->said_at != IPSP_NEVER) /* it may be said once more */
		put_hello(v, &n->said, v->hellos, v->peer_hellos);
	for (unsigned i = 0; i < IPSP_WAITERS; i++) {
		if (n->waiters[i].used) {
			put(v->h, n->waiters[i].command);
			put_due(v, n->waiters[i].deadline);
		}
	}
}

static void put_session(struct view *v, const struct ipsp_session *s)
{
	put(v->h, s->valid ? s->tag : UINT64_MAX);
}

/* Which handshakes come next: of which version, and with what question. */
static void put_keys(struct view *v)
{
	const struct ipsp_key_check *k = &v->n->keys;
	const struct ipsp_seal *seal = &v->n->seal;

	put(v->h, (seal->begun < 2 ? seal->begun : 2) | (uint64_t)seal->proven << 8 |
			  (uint64_t)seal->pinned << 9 | (uint64_t)k->asking << 10 |
			  (uint64_t)k->renewed << 11 | (uint64_t)k->in_session << 12 |
			  (uint64_t)k->there << 13 | (uint64_t)k->tries << 16 |
			  (uint64_t)k->match << 24);
	if (k->asking) {
		put_past(v, k->began);
		put_past(v, k->question_at);
	}
	put_bytes(v->h, seal->rng.seed, 8); /* the next nonce, which a question takes one of */
}

/* Which keys come next, and how long those of before are there yet. */
static void put_renewal(struct view *v)
{
	const struct ipsp_chain *c = &v->n->seal.chain;

	put_session(v, &c->next);
	put_session(v, &c->last);
	put(v->h, c->offered | (uint64_t)c->told << 1 | (uint64_t)c->taken << 2);
	if (c->offered)
		put_bytes(v->h, c->public, 8);
	if (c->last.valid)
		put_due(v, v->n->renew.last_until);
	if (v->n->conf.psp.renew_ms < LONG_AGO) /* else no trace is so long */
		put_past(v, v->n->renew.since);
}

static void put_peer(struct view *v)
{
	const struct ipsp_peer_facts *p = &v->n->peer;
	const struct ipsp_seal *seal = &v->n->seal;

	put(v->h, p->known);
	put_hello(v, &p->hello, v->peer_hellos, v->hellos);
	put_number(v, p->heard, v->peer_hellos);
	put_number(v, p->promised, v->peer_hellos);
	put_number(v, p->echoed, v->hellos);
	put_past(v, p->echoed_sent_at);
	put_past(v, p->heard_at);
	put_past(v, p->opened_at);
	put_past(v, p->shook_at);
	/* an echo of one that is older than the last two dead intervals is of no use */
	for (uint32_t i = 0; i < 20; i++)
		put_past(v, p->sent_at[(p->number - i) % 64]);
	put_session(v, &seal->present);
	put_session(v, &seal->candidate);
	put(v->h, seal->candidate.valid ? seal->tries : 0);
	if (seal->candidate.valid)
		put_due(v, v->n->renew.candidate_until);
	put_renewal(v);
	put_bytes(v->h, seal->nonce, 8);
	put_bytes(v->h, seal->spent, 8);
	put_bytes(v->h, seal->yield, 8);
	put_keys(v);
}

static void put_stream(struct view *v)
{
	const struct ipsp_stream *s = &v->n->stream;

	put(v->h, (uint64_t)s->n << 32 | s->unsent);
	put(v->h, s->rto_ms);
	put(v->h, s->rtt_ms);
	put(v->h, s->ack_due << 1 | s->ack_now);
	for (uint32_t i = 0; i < s->n; i++) { /* their bytes are part of the digest */
		const struct ipsp_out_item *o = ipsp_stream_nth(s, i);

		put_durability(v, o->seq);
		put_past(v, o->sent_at);
		put(v->h, o->tries > 7 ? 7 : o->tries);
	}
	for (uint32_t i = 0; s->ahead && i < IPSP_WINDOW; i++) {
		const struct ipsp_ahead *a = &s->ahead[i];

		if (a->bytes && a->number > v->n->side.applied)
			put_bytes(v->h, a->bytes, a->n);
	}
	for (uint32_t i = 0; i < s->n_waits; i++) {
		put(v->h, s->waits[i].number);
		put_durability(v, s->waits[i].seq);
	}
}

static void put_requests(struct view *v)
{
	const struct ipsp_xacts *xs = &v->n->xacts;

	put(v->h, xs->retry);
	put_due(v, xs->soonest);
	put_due(v, xs->send_at);
	for (uint32_t i = xs->head; i != IPSP_NO_XACT; i = xs->slots[i].next) {
		const struct ipsp_xact *x = &xs->slots[i];

		put(v->h, x->wait);
		put_id(v, x->peer_id, v->counter);
		put(v->h, (uint64_t)x->ask.at_pool << 32 | x->ask.at_index);
		put_due(v, x->deadline);
		put_due(v, x->next_send);
		put(v->h, x->rto_ms);
		put(v->h, x->token);
		put_bytes(v->h, ipsp_xact_ident(x).subscriber,
			  (size_t)x->n_subscriber + x->n_session);
	}
	for (uint32_t i = 0; i < xs->n_refusals; i++) {
		put_id(v, xs->refusals[i].id, v->peer_counter);
		put(v->h, xs->refusals[i].epoch);
		put(v->h, (uint32_t)xs->refusals[i].err);
	}
	/* what the peer may ask again: the last few; a new process of its begins anew */
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t number = v->peer_counter - i;
		const struct ipsp_answered *a = &xs->answered[number % IPSP_ANSWERED];

		if (a->id == 0 || (uint32_t)(a->id >> 16) != number)
			continue;
		put(v->h, i);
		put(v->h, a->item);
		put(v->h, a->epoch);
		put(v->h, (uint32_t)a->err);
	}
}

static void put_event(struct view *v, const struct ipsp_asked *a)
{
	put(v->h, (uint64_t)a->index << 16 | (uint64_t)a->reason << 8 | (uint64_t)a->list << 2 |
			  (uint64_t)a->gone << 1 | a->cancelled);
	put(v->h, a->token);
	put_id(v, a->peer_id, v->peer_counter);
	put_due(v, a->deadline);
	put_past(v, a->made_at);
	put(v->h, a->count);
	if (a->list == IPSP_ASKED_SETTLED) {
		put_past(v, a->first_at);
		put_past(v, a->settled_at);
	}
}

static void put_asked(struct view *v)
{
	const struct ipsp_has *has = &v->n->has;

	put_due(v, has->soonest);
	for (uint32_t i = 1; i < has->n; i++) {
		put(v->h, has->has[i].token);
		put(v->h, has->has[i].recorded); /* its next session writes the name, or not */
	}
	for (int list = 0; list < IPSP_ASKED_LISTS; list++)
		for (const struct ipsp_asked *a = has->lists[list].first; a; a = a->next)
			put_event(v, a);
}

static void put_pool(struct view *v)
{
	const struct ipsp_pool *pool = v->n->pools[0];
	uint32_t i;

	for (i = ipsp_pool_first_free(pool); i != IPSP_NO_INDEX; i = ipsp_pool_next_free(pool, i))
		put(v->h, i);
	put(v->h, IPSP_NO_INDEX);
	for (i = ipsp_pool_first_away(pool); i != IPSP_NO_INDEX; i = ipsp_pool_next_away(pool, i))
		put(v->h, i);
	for (i = 0; i < ADDRS; i++) {
		struct ipsp_bind b;

		put_due(v, ipsp_pool_end(pool, i));
		if (ipsp_binds_get(v->n->binds, ipsp_pool_bind(pool, i), &b))
			put(v->h, b.flags);
	}
}

/* ---------------------------------------------------------------- all of it */

static void put_all_of_side(struct view *v)
{
	const struct side *s = v->s;

	put(v->h, (uint64_t)s->life << 1 | (v->n != NULL)); /* a process' chance is of its number */
	put(v->h, v->counter); /* items carry ids of requests, as they are */
	put_disk(v);
	put_bytes(v->h, s->ha.sessions, sizeof(s->ha.sessions));
	put_bytes(v->h, s->ha.asked, sizeof(s->ha.asked));
	put(v->h, s->ha.sub);
	put(v->h, s->licensed);
	if (v->w->books_lost)
		put_past(v, s->heard_at); /* by which is judged whether it may serve alone */
	if (!v->n) {
		/* what is judged of it is what it said last */
		for (unsigned a = 0; a < ADDRS; a++)
			put(v->h, s->cells[a].own);
		put_bytes(v->h, s->order, sizeof(s->order));
		return;
	}
	put_side(v);
	put_peer(v);
	put_stream(v);
	put_requests(v);
	put_asked(v);
	put_pool(v);
}

uint64_t tiny_hash(struct tiny *w)
{
	struct hash h = {0x243f6a8885a308d3ULL};
	struct view views[2];

	for (unsigned i = 0; i < 2; i++) {
		const struct side *s = &w->sides[i], *o = &w->sides[1 - i];

		views[i] = (struct view){.h = &h,
					 .w = w,
					 .s = s,
					 .n = s->node,
					 .hellos = hellos_of(s),
					 .peer_hellos = hellos_of(o),
					 .counter = counter_of(s),
					 .peer_counter = counter_of(o)};
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct flight *f = &w->to[i];

		put_all_of_side(&views[i]);
		put(&h, f->n << 1 | (unsigned)f->cut);
		for (unsigned k = 0; k < f->n; k++)
			put_dgram(&views[1 - i], f->dgrams[k]);
	}
	put_bytes(&h, &w->left, sizeof(w->left));
	put(&h, w->books_lost);
	return h.h;
}

/* ---------------------------------------------------------------- what is of no use any more */

#define AT_TAG	 4 /* in a sealed datagram; in a SHAKE: */
#define AT_NONCE 16
#define AT_ECHO	 80

static bool shake_is_void(const uint8_t *shake, const struct ipsp_node *from,
			  const struct ipsp_node *to)
{
	static const uint8_t no_echo[32];

	if (memcmp(shake + AT_ECHO, no_echo, 32) == 0) /* who began it has another offer now */
		return !from || memcmp(shake + AT_NONCE, from->seal.nonce, 32) != 0;
	return !to || memcmp(shake + AT_ECHO, to->seal.nonce, 32) != 0;
}

static bool has_session(const struct ipsp_session *s, const uint8_t *dgram)
{
	uint32_t tag = (uint32_t)dgram[AT_TAG] << 24 | (uint32_t)dgram[AT_TAG + 1] << 16 |
		       (uint32_t)dgram[AT_TAG + 2] << 8 | dgram[AT_TAG + 3];

	return s->valid && s->tag == tag;
}

static bool knows(const struct ipsp_node *n, const uint8_t *dgram)
{
	return n &&
	       (has_session(&n->seal.present, dgram) || has_session(&n->seal.candidate, dgram) ||
		has_session(&n->seal.chain.next, dgram) || has_session(&n->seal.chain.last, dgram));
}

/* Nothing in it is news to @to. */
static bool is_old(const struct dgram *d, const struct ipsp_node *to)
{
	struct ipsp_rd rd = ipsp_rd_of(d->bytes + d->n, d->n_plain);
	struct ipsp_msg m;

	while (ipsp_msg_next(&rd, &m) > 0) {
		if (!(m.type == IPSP_MSG_HELLO && m.u.hello.number <= to->peer.heard) &&
		    !(m.type == IPSP_MSG_ACK && m.u.ack.number <= to->side.acked))
			return false;
	}
	return true;
}

bool tiny_is_void(const struct tiny *w, unsigned to, const struct dgram *d)
{
	const struct ipsp_node *receiver = w->sides[to].node, *sender = w->sides[1 - to].node;

	if (d->again)
		return false;
	if (d->bytes[3] == IPSP_DGRAM_SHAKE)
		return shake_is_void(d->bytes, sender, receiver);
	if (!knows(receiver, d->bytes) && !knows(sender, d->bytes))
		return true;
	return receiver && has_session(&receiver->seal.present, d->bytes) && is_old(d, receiver);
}
