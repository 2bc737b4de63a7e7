/*
 * tx - what goes into datagrams: at the end of each turn all that may be said is packed into as few
 * as it fits, sealed, and handed to the shell.
 *
 * Nothing new is said while a change of books identity, role, epoch or licence waits for its flush:
 * only what was said last is, when its time has come, so that the peer knows that somebody is
 * there.
 */
#include "core/node_int.h"

#include <string.h>

#define GOODBYES      3	 /* nobody is there to say it again */
#define HELLO_SOON_MS 10 /* hellos out of turn are at least this far apart */

struct packer {
	struct ipsp_node *n;
	uint8_t plain[IPSP_PLAIN_MAX];
	size_t len;
	bool items, requests; /* some are in it */
};

void ipsp_tx_dgram(struct ipsp_node *n, const uint8_t *dgram, size_t len)
{
	struct ipsp_out *o = len > 0 ? ipsp_out_add(n, IPSP_OUT_DATAGRAM) : NULL;

	if (!o)
		return;
	o->off = (uint32_t)n->act->bytes.len;
	o->len = (uint32_t)len;
	ipsp_buf_put(&n->act->bytes, dgram, len);
}

static void pack_close(struct packer *p)
{
	uint8_t dgram[IPSP_DGRAM_MAX];

	if (p->len == 0)
		return;
	size_t len = ipsp_seal_close(&p->n->seal, p->plain, p->len, dgram);
	p->len = 0;
	if (p->items && len > p->n->stall.largest)
		p->n->stall.largest = (uint32_t)len;
	if (p->requests && len > p->n->unanswered.largest)
		p->n->unanswered.largest = (uint32_t)len;
	p->items = p->requests = false;
	ipsp_tx_dgram(p->n, dgram, len);
}

static void pack(struct packer *p, const struct ipsp_msg *msg)
{
	size_t len = ipsp_msg_put(p->plain, p->len, sizeof p->plain, msg);

	if (len == 0) {
		pack_close(p);
		len = ipsp_msg_put(p->plain, 0, sizeof p->plain, msg);
	}
	p->len = len;
	p->items = p->items || msg->type == IPSP_MSG_ITEM;
	p->requests = p->requests || msg->type == IPSP_MSG_REQUEST;
}

/* Most turns have nothing to say: each of these looks first, and only then sets a message to 0. */

static void count_late(struct ipsp_node *n)
{
	const ipsp_ms late = n->now > n->hello_at ? n->now - n->hello_at : 0;

	if (late > n->stats.hello_late_max_ms)
		n->stats.hello_late_max_ms = late;
	ipsp_histogram_add(&n->stats.hellos_late, late * 1000, 1);
}

/* Behind a hello, so that the peer knows whose half of the exchange it is. */
static void pack_renew(struct packer *p)
{
	struct ipsp_msg msg;

	if (!ipsp_renew_say(p->n, &msg.u.renew))
		return;
	msg.type = IPSP_MSG_RENEW;
	pack(p, &msg);
}

static void pack_hello(struct packer *p)
{
	struct ipsp_node *n = p->n;

	if (n->now < n->hello_at && !(n->hello_soon && n->now >= n->hello_min_at))
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_HELLO};
	/* what a peer that hears this side had to wait: work that holds a turn up shows here */
	if (n->peer.known)
		count_late(n);
	ipsp_hello_build(n, &msg.u.hello);
	pack(p, &msg);
	pack_renew(p);
	n->hello_soon = false;
	n->hello_at = n->now + ipsp_hello_ms(n);
	uint32_t min = ipsp_hello_ms(n) / 4;
	n->hello_min_at = n->now + (min < HELLO_SOON_MS ? min : HELLO_SOON_MS);
}

static void repeat_hello(struct packer *p)
{
	struct ipsp_node *n = p->n;
	struct ipsp_msg msg = {.type = IPSP_MSG_HELLO};

	if (n->now < n->hello_at || !ipsp_hello_may_repeat(n))
		return;
	ipsp_hello_repeat(n, &msg.u.hello);
	pack(p, &msg);
	pack_renew(p);
	pack_close(p);
	n->hello_at = n->now + ipsp_hello_ms(n);
}

static void pack_ack(struct packer *p)
{
	struct ipsp_node *n = p->n;

	if (!n->stream.ack_now)
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_ACK};
	n->stream.ack_now = false;
	msg.u.ack.number = n->stream.ack_due;
	msg.u.ack.stream = ipsp_sync_tag(n->side.peer_books, n->side.books);
	pack(p, &msg);
}

static void pack_refusals(struct packer *p)
{
	struct ipsp_xacts *x = &p->n->xacts;

	for (uint32_t i = 0; i < x->n_refusals; i++) {
		struct ipsp_msg msg = {.type = IPSP_MSG_REFUSE, .u.refuse = x->refusals[i]};
		if (x->refusals[i].err == 0) {
			msg.type = IPSP_MSG_CANCEL;
			msg.u.request = (struct ipsp_request){.id = x->refusals[i].id};
		}
		pack(p, &msg);
	}
	x->n_refusals = 0;
}

static void pack_requests(struct packer *p)
{
	if (p->n->now < p->n->xacts.send_at && p->n->now < ipsp_stock_due(p->n))
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_REQUEST};
	uint32_t slot = IPSP_NO_XACT;
	if (ipsp_stock_next(p->n, &msg.u.request))
		pack(p, &msg);
	if (p->n->now < p->n->xacts.send_at)
		return;
	while (ipsp_xact_next(p->n, &slot, &msg.u.request))
		pack(p, &msg);
}

static void pack_items(struct packer *p)
{
	struct ipsp_node *n = p->n;
	struct ipsp_out_item *o;
	uint32_t looked = 0;

	if (n->stream.n == 0)
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM};
	msg.u.item.stream = ipsp_sync_tag(n->side.books, n->side.peer_books);
	while ((o = ipsp_sync_next(n, &looked))) {
		msg.u.item.bytes = ipsp_out_bytes(o);
		msg.u.item.n = o->n;
		pack(p, &msg);
	}
}

static void pack_takeover(struct packer *p)
{
	if (!ipsp_command_wants_takeover(p->n))
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_TAKEOVER};
	msg.u.request.epoch = p->n->side.epoch;
	pack(p, &msg);
}

static void pack_conf(struct packer *p)
{
	if (!p->n->compare.asking && !p->n->compare.part_due)
		return;
	struct ipsp_msg msg = {.type = IPSP_MSG_CONF_ASK};
	if (ipsp_compare_next(p->n, &msg.u.conf.offset))
		pack(p, &msg);
	msg.type = IPSP_MSG_CONF_PART;
	if (ipsp_compare_part(p->n, &msg.u.conf))
		pack(p, &msg);
}

/* Nothing was opened for three hello intervals, of whichever side has the longer ones. */
static bool needs_shake(const struct ipsp_node *n)
{
	uint32_t mine = ipsp_hello_ms(n), theirs = n->peer.hello.hello_ms;

	return n->peer.opened_at == IPSP_NEVER ||
	       n->now - n->peer.opened_at >= 3ULL * (mine > theirs ? mine : theirs);
}

/* When the next SHAKE is due; IPSP_NEVER: none. */
static ipsp_ms shake_due(const struct ipsp_node *n)
{
	ipsp_ms due = ipsp_keys_due(n);

	if (!needs_shake(n))
		return due;
	ipsp_ms next =
		n->peer.shook_at == IPSP_NEVER ? n->now : n->peer.shook_at + ipsp_hello_ms(n);
	return next < due ? next : due;
}

static void shake(struct ipsp_node *n)
{
	uint8_t dgram[IPSP_DGRAM_MAX];

	if (n->now < shake_due(n))
		return;
	ipsp_keys_begin(n, needs_shake(n));
	n->peer.shook_at = n->now;
	ipsp_tx_dgram(n, dgram, ipsp_seal_candidate(&n->seal, dgram));
}

/* Items and acknowledgements make sense once both know whose books they speak of, in a version that
 * both speak. */
static bool streams_open(const struct ipsp_node *n)
{
	return n->peer.known && n->peer.speaks != 0 && n->side.peer_books != 0 &&
	       n->peer.hello.books == n->side.peer_books &&
	       n->peer.hello.peer_books == n->side.books && !n->side.licence &&
	       n->mode == IPSP_MODE_ACTIVE;
}

/* Is anything said and heard at all? */
bool ipsp_link_open(const struct ipsp_node *n)
{
	if (n->leaving)
		return n->now < n->leaving_until;
	return ipsp_psp(n)->enabled && n->mode != IPSP_MODE_INACTIVE && !n->refused_enable;
}

bool ipsp_link_talks(const struct ipsp_node *n)
{
	return ipsp_link_open(n) && !ipsp_conf_lacks_key(ipsp_psp(n));
}

void ipsp_tx(struct ipsp_node *n)
{
	struct packer p;

	if (!ipsp_link_talks(n)) {
		n->said_at = IPSP_NEVER;
		n->command_unsaid = false;
		return;
	}
	p.n = n; /* the bytes are not set to 0: this is done each turn */
	p.len = 0;
	p.items = p.requests = false;
	shake(n);
	if (n->side_seq > n->flushed) {
		repeat_hello(&p);
		return;
	}
	n->command_unsaid = false;
	pack_hello(&p);
	if (streams_open(n)) {
		pack_ack(&p);
		pack_refusals(&p);
		pack_requests(&p);
		pack_takeover(&p);
		pack_items(&p);
	}
	pack_conf(&p);
	pack_close(&p);
	for (unsigned i = 1; n->stopped && i < GOODBYES; i++) {
		n->hello_at = n->now;
		pack_hello(&p);
		pack_close(&p);
	}
}

ipsp_ms ipsp_tx_due(const struct ipsp_node *n)
{
	if (!ipsp_link_talks(n))
		return IPSP_NEVER;
	if (n->side_seq > n->flushed)
		return ipsp_hello_may_repeat(n) ? n->hello_at : IPSP_NEVER;
	ipsp_ms due = n->hello_at;
	if (n->hello_soon && n->hello_min_at < due)
		due = n->hello_min_at;
	ipsp_ms next = shake_due(n);
	due = next < due ? next : due;
	if (streams_open(n)) {
		ipsp_ms item = ipsp_sync_due(n);
		due = item < due ? item : due;
		due = n->xacts.send_at < due ? n->xacts.send_at : due;
		ipsp_ms block = ipsp_stock_due(n);
		due = block < due ? block : due;
		due = n->takeover_at < due ? n->takeover_at : due;
	}
	ipsp_ms ask = ipsp_compare_due(n);
	return ask < due ? ask : due;
}
