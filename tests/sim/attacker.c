#include "attacker.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAPE	  64 /* datagrams that he keeps */
#define STEP_MS	  20
#define LENGTH_MS 12000
#define REST_MS	  60000
#define FOREIGN	  UINT64_MAX /* the serial of what he puts on the wire */

enum manner { /* what he does with all that comes by, for a while */
	      PASS,
	      CROSS,   /* to the other context of the receiver's host */
	      REFLECT, /* to the other context of the sender's own host, or to the sender */
	      HOLD,    /* nothing passes; later, in any order */
	      MIX,     /* each of these, and copies of long ago */
	      MANNERS
};

struct attacker {
	struct world *w; /* both */
	struct sim_rand rand;
	enum manner manner;
	struct taped {
		unsigned pair, to;
		size_t n;
		uint8_t bytes[IPSP_DGRAM_MAX];
	} tape[TAPE];
	uint64_t n_taped;
	struct ipsp_pool_conf pools[2];
	sim_us start_at[2][2], shift_at, kill_at;
	uint32_t hello_ms, dead_ms, renew_ms;
	bool quiet;
};

static void deliver(struct attacker *a, const struct taped *t, unsigned pair, unsigned to,
		    sim_us late)
{
	struct world *w = &a->w[pair];
	struct dgram *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->serial = FOREIGN;
	d->life = w->hosts[to].life;
	d->altered = true;
	d->n = t->n;
	memcpy(d->bytes, t->bytes, t->n);
	queue_put(&w->queue,
		  (struct sim_event){
			  .at = w->now + 500 + late, .what = SIM_ARRIVE, .side = to, .data = d});
}

/* Anything of the tape to anybody: its own receiver, later than meant, or one of the other three.
 */
static void something_old(struct attacker *a)
{
	uint64_t kept = a->n_taped < TAPE ? a->n_taped : TAPE;
	const struct taped *t;

	if (kept == 0)
		return;
	t = &a->tape[rand_below(&a->rand, kept)];
	deliver(a, t, (unsigned)rand_below(&a->rand, 2), (unsigned)rand_below(&a->rand, 2),
		rand_below(&a->rand, SIM_MS(50)));
}

/* True: it goes on as if he were not there. */
static bool tap(void *arg, struct world *w, unsigned to, const uint8_t *bytes, size_t n)
{
	struct attacker *a = arg;
	struct taped *t = &a->tape[a->n_taped++ % TAPE];
	enum manner m = a->manner;

	t->pair = w == &a->w[1];
	t->to = to;
	t->n = n;
	memcpy(t->bytes, bytes, n);
	if (a->quiet)
		return true;
	if (m == MIX)
		m = (enum manner)rand_below(&a->rand, MIX);
	if (m == CROSS)
		deliver(a, t, 1 - t->pair, to, 0);
	else if (m == REFLECT)
		deliver(a, t, rand_chance(&a->rand, 800) ? 1 - t->pair : t->pair, 1 - to, 0);
	if (rand_chance(&a->rand, a->manner == MIX ? 300 : 20))
		something_old(a);
	return m == PASS;
}

/* ---------------------------------------------------------------- the two pairs */

static void draw(struct attacker *a)
{
	struct sim_rand *r = &a->rand;
	const bool alike = rand_chance(r, 700);

	a->hello_ms = (uint32_t)rand_range(r, 100, 400);
	a->dead_ms = a->hello_ms * (uint32_t)rand_range(r, 25, 60);
	struct sim_rand other = {.state = r->state ^ 0x72656e6577ULL};
	if (rand_chance(&other, 500)) /* session keys of a few hellos */
		a->renew_ms = (uint32_t)rand_range(&other, 1, 5000);
	for (unsigned i = 0; i < 2; i++) {
		a->pools[i] = (struct ipsp_pool_conf){
			.name = "pool-a", .base = ipsp_addr_v4(0x0a010001), .plen = 32};
		a->pools[i].size = alike || i == 0 ? 12 : (uint32_t)rand_range(r, 4, 20);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct world_conf conf = {.pools = &a->pools[i],
					  .n_pools = 1,
					  .hello_ms = {a->hello_ms, a->hello_ms},
					  .dead_ms = {a->dead_ms, a->dead_ms},
					  .request_timeout_ms = 1500,
					  .release_timeout_ms = 800,
					  .block_size = 1,
					  .n_has = {1, 1},
					  .n_mns = 8,
					  .has_key = true,
					  .renew_ms = {a->renew_ms, a->renew_ms},
					  .place = i == 0 ? 0 : (unsigned)rand_range(r, 1, 2)};
		world_init(&a->w[i], a->rand.state + i, &conf);
		a->w[i].check.sample = 64;
		a->w[i].tap = tap;
		a->w[i].tap_arg = a;
		for (unsigned k = 0; k < a->w[i].n_has; k++)
			a->w[i].has[k].latency = 200;
		for (unsigned k = 0; k < 2; k++)
			a->start_at[i][k] = SIM_MS(rand_below(r, 300));
	}
}

static void load(struct attacker *a, struct world *w)
{
	struct ha *ha = &w->has[rand_below(&a->rand, w->n_has)];
	uint32_t sub = (uint32_t)rand_range(&a->rand, 1, w->n_mns);

	if (!rand_chance(&a->rand, 80))
		return;
	if (ha->n_sessions > 3 || (ha->n_sessions > 0 && rand_chance(&a->rand, 300))) {
		const struct ha_session *s = &ha->sessions[rand_below(&a->rand, ha->n_sessions)];

		ha_end(ha, s->sub, s->sess);
		return;
	}
	for (unsigned i = 0; i < w->n_has; i++) {
		for (size_t k = 0; k < w->has[i].n_sessions; k++)
			if (w->has[i].sessions[k].sub == sub)
				return; /* it is somewhere already */
	}
	ha_request(ha, HA_NEW, sub, ++w->next_sess, NO_ADDR, -1, -1);
}

/* Handshakes are what he waits for: a process ends now and then, and comes back soon. */
static void hosts(struct attacker *a, sim_us now)
{
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 2; k++) {
			struct host *h = &a->w[i].hosts[k];

			if (!h->node && a->start_at[i][k] <= now)
				host_start(h);
		}
	}
	if (a->quiet || now < a->kill_at)
		return;
	const unsigned i = (unsigned)rand_below(&a->rand, 2), k = (unsigned)rand_below(&a->rand, 2);
	a->kill_at = now + SIM_MS(rand_range(&a->rand, 500, 5000));
	a->start_at[i][k] = now + SIM_MS(rand_range(&a->rand, 10, 600));
	if (a->w[i].hosts[k].node)
		host_kill(&a->w[i].hosts[k]);
}

/* No disk was lost: so nobody has lost his state, whatever the other two say. */
static void judge(const struct attacker *a)
{
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 2; k++) {
			const struct host *h = &a->w[i].hosts[k];

			if (h->node && ipsp_node_stats(h->node)->state_losses > 0)
				world_fail(&a->w[i], "pair %u, %c: a state was said to be lost", i,
					   h->letter);
		}
	}
}

static void step(struct attacker *a)
{
	const sim_us now = a->w[0].now;

	if (!a->quiet && now >= a->shift_at) {
		a->manner = (enum manner)rand_below(&a->rand, MANNERS);
		a->shift_at = now + SIM_MS(rand_range(&a->rand, 50, 2000));
	}
	hosts(a, now);
	for (unsigned i = 0; i < 2; i++) {
		if (!a->quiet)
			load(a, &a->w[i]);
		world_run_until(&a->w[i], now + SIM_MS(STEP_MS));
	}
	judge(a);
}

static const char *rest(struct attacker *a)
{
	const char *why = check_rest(&a->w[0]);

	return why ? why : check_rest(&a->w[1]);
}

/* NULL, or what is missing at the end. */
static const char *run(struct attacker *a)
{
	const char *why = "";

	draw(a);
	a->kill_at = SIM_MS(2000);
	while (a->w[0].now < SIM_MS(LENGTH_MS))
		step(a);
	a->quiet = true;
	for (sim_us end = a->w[0].now + SIM_MS(REST_MS); a->w[0].now < end && why;) {
		step(a);
		if (a->w[0].now % SIM_MS(500) == 0)
			why = rest(a);
	}
	return why;
}

bool attacker_run(struct world w[2], uint64_t seed, char failure[400])
{
	static struct attacker attacker; /* too large for a stack */
	struct attacker *a = &attacker;
	const char *why;

	memset(a, 0, sizeof(*a));
	a->w = w;
	a->rand.state = seed ^ 0x61747461636bULL;
	if (setjmp(w[0].escape) != 0 || setjmp(w[1].escape) != 0) {
		snprintf(failure, 400, "%.390s", w[0].failure[0] ? w[0].failure : w[1].failure);
		return false;
	}
	why = run(a);
	if (why)
		snprintf(failure, 400, "not at rest: %.100s; %.120s; %.120s", why,
			 check_words(&w[check_rest(&w[0]) ? 0 : 1].hosts[0]),
			 check_words(&w[check_rest(&w[0]) ? 0 : 1].hosts[1]));
	return !why;
}
