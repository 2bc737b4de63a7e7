#include "net.h"
#include "world.h"
#include <stdlib.h>
#include <string.h>

void net_init(struct net *net, struct sim_rand rand)
{
	net->rand = rand;
	net->mix = (struct net_mix){.delay = 1000};
}

static void keep(struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct net_way *way = &w->net.way[to];
	struct net_past *past = &way->past[way->serial % NET_KEPT];

	past->serial = way->serial;
	past->life = w->hosts[to].life;
	past->from_life = w->hosts[1 - to].life;
	past->sent_at = w->now;
	past->taken_by = 0;
	past->n = n;
	memcpy(past->bytes, bytes, n);
}

static struct dgram *copy_of(const struct net_past *past)
{
	struct dgram *d = malloc(sizeof(*d));

	if (!d)
		abort();
	d->serial = past->serial;
	d->life = past->life;
	d->from_life = past->from_life;
	d->sent_at = past->sent_at;
	d->altered = false;
	d->n = past->n;
	memcpy(d->bytes, past->bytes, past->n);
	return d;
}

static void damage(struct world *w, struct dgram *d)
{
	struct net *net = &w->net;

	if (rand_chance(&net->rand, net->mix.corrupt)) {
		for (uint64_t i = rand_range(&net->rand, 1, 3); i > 0; i--)
			d->bytes[rand_below(&net->rand, d->n)] ^=
				(uint8_t)(1U << rand_below(&net->rand, 8));
		d->altered = true;
		world_hit(w, FAULT_CORRUPT);
	}
	if (rand_chance(&net->rand, net->mix.truncate)) {
		d->n = rand_below(&net->rand, d->n);
		d->altered = true;
		world_hit(w, FAULT_TRUNCATE);
	}
}

static void put(struct world *w, unsigned to, struct dgram *d, bool original)
{
	struct net *net = &w->net;
	struct net_way *way = &net->way[to];
	sim_us at = w->now + net->mix.delay + rand_below(&net->rand, net->mix.jitter + 1);

	if (original) {
		if (at < way->latest)
			world_hit(w, FAULT_OVERTAKE);
		else
			way->latest = at;
	}
	/* altered back to what it was by two flips of one bit: of no matter, the check allows for
	 * it */
	damage(w, d);
	queue_put(&w->queue,
		  (struct sim_event){.at = at, .what = SIM_ARRIVE, .side = to, .data = d});
}

void net_send(struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct net *net = &w->net;
	struct net_way *way = &net->way[to];
	const struct net_past *past;

	if (n == 0 || n > IPSP_DGRAM_MAX)
		world_fail(w, "a datagram of %zu bytes", n);
	w->n_datagrams++;
	way->serial++;
	keep(w, to, bytes, n);
	past = &way->past[way->serial % NET_KEPT];
	if (way->cut || (w->tap && !w->tap(w->tap_arg, w, to, bytes, n)))
		return;
	if (rand_chance(&net->rand, net->mix.loss))
		world_hit(w, FAULT_LOSS);
	else
		put(w, to, copy_of(past), true);
	if (rand_chance(&net->rand, net->mix.repeat)) {
		world_hit(w, FAULT_REPEAT);
		put(w, to, copy_of(past), false);
	}
	past = &way->past[rand_below(&net->rand, NET_KEPT)];
	if (past->serial != 0 && rand_chance(&net->rand, net->mix.replay)) {
		world_hit(w, past->life == w->hosts[to].life ? FAULT_REPLAY : FAULT_REPLAY_OLD);
		put(w, to, copy_of(past), false);
	}
}

void net_arrive(struct world *w, unsigned to, struct dgram *d)
{
	if (w->net.way[to].cut)
		free(d);
	else
		host_receive(&w->hosts[to], d);
}

bool net_taken(struct world *w, unsigned to, const struct dgram *d)
{
	struct net_past *past = &w->net.way[to].past[d->serial % NET_KEPT];
	uint32_t life = w->hosts[to].life;
	bool again;

	if (past->serial != d->serial)
		return false; /* too long ago to know */
	if (d->altered)
		return past->n != d->n || memcmp(past->bytes, d->bytes, d->n) != 0;
	again = past->taken_by == life || past->life != life;
	past->taken_by = life;
	return again;
}

void net_not_taken(struct world *w, unsigned to, const struct dgram *d)
{
	struct net_past *past = &w->net.way[to].past[d->serial % NET_KEPT];

	if (past->serial == d->serial && !d->altered)
		past->taken_by = 0;
}
