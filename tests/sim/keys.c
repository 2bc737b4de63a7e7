#include "keys.h"
#include "core/node_int.h"
#include "world.h"

#define SLACK_MS 1000

void keys_started(struct host *h)
{
	h->keys = (struct keys){.last_until = IPSP_NEVER};
}

static int find(const struct keys *keys, uint32_t tag)
{
	for (unsigned i = 0; i < keys->n; i++) {
		if (keys->tags[i] == tag)
			return (int)i;
	}
	return -1;
}

static void add(struct keys *keys, uint32_t tag)
{
	for (unsigned i = KEYS_KEPT - 1; i > 0; i--)
		keys->tags[i] = keys->tags[i - 1];
	keys->tags[0] = tag;
	keys->last_until = IPSP_NEVER;
	keys->n += keys->n < KEYS_KEPT;
}

void keys_look(struct host *h)
{
	const struct ipsp_seal *seal = &h->node->seal;
	const uint64_t renewed = ipsp_node_stats(h->node)->keys_renewed;
	struct keys *keys = &h->keys;

	if (!seal->present.valid) {
		keys->n = 0;
	} else if (keys->n == 0 || keys->tags[0] != seal->present.tag) {
		if (renewed == keys->renewed)
			keys->n = 0; /* of another handshake */
		else
			world_hit(h->w, FAULT_SAW_RENEWED);
		add(keys, seal->present.tag);
	}
	keys->renewed = renewed;
	if (seal->chain.last.valid && seal->chain.late)
		world_hit(h->w, FAULT_SAW_LAST_KEYS);
}

static uint32_t tag_of(const struct dgram *d)
{
	return ipsp_load_u32(d->bytes + 4);
}

static ipsp_ms loss_ms(const struct host *h)
{
	return ipsp_loss_ms(h->node);
}

static void set_until(struct host *h)
{
	const ipsp_ms loss = h->keys.loss_ms > loss_ms(h) ? h->keys.loss_ms : loss_ms(h);

	h->keys.last_until = h->ended_at + loss + 2 * ipsp_hello_ms(h->node) + SLACK_MS;
}

void keys_dropped(struct host *h, const struct dgram *d)
{
	const struct host *peer = &h->w->hosts[1 - h->side];
	const uint32_t tag = tag_of(d);

	if (d->n < IPSP_HDR_LEN || d->bytes[3] != IPSP_DGRAM_SEALED || h->keys.n == 0 ||
	    !peer->node || peer->life != d->from_life)
		return;
	const int now = find(&peer->keys, h->keys.tags[0]), then = find(&peer->keys, tag);
	if (now > 0 && then >= 0 && then < now)
		world_fail(h->w, "%c: a datagram came with keys that it has not got yet",
			   h->letter);
	if (find(&h->keys, tag) <= 0)
		return;
	const ipsp_ms least = loss_ms(h) < loss_ms(peer) ? loss_ms(h) : loss_ms(peer);
	if (h->w->now - d->sent_at < SIM_MS(least) * 9 / 10)
		world_fail(h->w, "%c: a datagram that was not late was lost with its keys",
			   h->letter);
}

void keys_turn(struct host *h)
{
	const struct ipsp_seal *seal = &h->node->seal;
	struct keys *keys = &h->keys;

	if (!seal->chain.last.valid || seal->present.rx_top == 0)
		keys->last_until = IPSP_NEVER;
	else if (keys->last_until == IPSP_NEVER)
		set_until(h); /* the peer seals with the present ones: the others are for what is
				 late */
	keys->loss_ms = loss_ms(h);
	if (keys->last_until != IPSP_NEVER && h->ended_at > keys->last_until)
		world_fail(h->w, "%c: the keys of before are kept too long", h->letter);
}

const char *keys_rest(const struct host *h)
{
	const struct ipsp_node *n = h->node;
	const ipsp_ms most = n->conf.psp.renew_ms + 2 * loss_ms(h) + 5000;

	if (n->conf.psp.renew_ms == 0 || !(n->peer.hello.capabilities & IPSP_CAP_RENEWS))
		return NULL;
	return host_ms(h) - n->renew.since > most ? "a session has old keys" : NULL;
}
