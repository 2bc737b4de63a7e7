#include "world.h"
#include "turn.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- configuration */

static void configure(struct host *h, const struct world_conf *conf)
{
	struct ipsp_context_conf *c = &h->conf;
	struct ipsp_psp_conf *psp = &c->psp;
	const uint32_t net = conf->place == 2 ? 0xc0000300 : 0xc0000200;
	struct ipsp_addr ends[2] = {ipsp_addr_v4(net + 1), ipsp_addr_v4(net + 2)};

	ipsp_conf_init(c, "isp1");
	c->pools = malloc(conf->n_pools * sizeof(*c->pools));
	if (!c->pools)
		abort();
	memcpy(c->pools, conf->pools, conf->n_pools * sizeof(*c->pools));
	c->n_pools = conf->n_pools;
	ipsp_conf_sort(c);
	psp->enabled = true;
	snprintf(psp->interface, sizeof(psp->interface), "ipsp-lan");
	psp->address = ends[h->side];
	psp->peer = ends[1 - h->side];
	psp->address_plen = 24;
	psp->role = h->side == 0 ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
	psp->mode = IPSP_MODE_ACTIVE;
	psp->dead_interval_ms = conf->dead_ms[h->side];
	psp->hello_interval_ms = conf->hello_ms[h->side];
	psp->request_timeout_ms = conf->request_timeout_ms;
	psp->release_timeout_ms = conf->release_timeout_ms;
	psp->block_size = conf->block_size;
	psp->reserved_free_percentage = conf->reserved;
	psp->durability = conf->durability;
	psp->port = conf->place == 1 ? 4188 : 4187;
	if (conf->renew_ms[h->side])
		psp->renew_ms = conf->renew_ms[h->side];
	if (conf->renew_datagrams)
		psp->renew_datagrams = conf->renew_datagrams;
	if (conf->no_renewal[h->side])
		psp->renew_ms = 0;
	psp->n_keys = conf->has_key ? 1 : 0;
	memset(psp->keys[0], FIRST_KEY, sizeof(psp->keys[0]));
}

static void say_fault(void *arg, const char *key, const char *text)
{
	fprintf(stderr, "sim: %s: %s: %s\n", (const char *)arg, key, text);
}

static void number_addresses(struct world *w)
{
	const struct ipsp_context_conf *c = &w->hosts[0].conf;

	for (uint32_t p = 0; p < c->n_pools; p++) {
		if (c->pools[p].type == IPSP_POOL_STATIC || w->n_pools == WORLD_POOLS_MAX)
			continue;
		w->pool_of[w->n_pools++] = (uint16_t)p;
		w->n_addrs += c->pools[p].size;
		w->pool_start[w->n_pools] = w->n_addrs;
	}
}

struct ipsp_addr world_addr(const struct world *w, uint32_t gaddr)
{
	unsigned p = 0;

	while (gaddr >= w->pool_start[p + 1])
		p++;
	return ipsp_pool_addr(&w->hosts[0].conf.pools[w->pool_of[p]], gaddr - w->pool_start[p]);
}

uint32_t world_gaddr(const struct world *w, struct ipsp_addr addr)
{
	uint32_t index;
	int pool = ipsp_conf_find(&w->hosts[0].conf, addr, &index);

	for (unsigned p = 0; p < w->n_pools && pool >= 0; p++) {
		if (w->pool_of[p] == pool)
			return w->pool_start[p] + index;
	}
	return NO_ADDR;
}

const char *world_addr_text(const struct world *w, uint32_t gaddr)
{
	static char texts[4][IPSP_ADDR_TEXT_MAX];
	static unsigned next;
	char *text = texts[next++ % 4];

	return ipsp_addr_text(world_addr(w, gaddr), text, IPSP_ADDR_TEXT_MAX);
}

/* ---------------------------------------------------------------- beginning and end */

void world_init(struct world *w, uint64_t seed, const struct world_conf *conf)
{
	w->seed = seed;
	w->rand.state = seed;
	net_init(&w->net, rand_fork(&w->rand));
	for (unsigned i = 0; i < 2; i++) {
		host_init(&w->hosts[i], w, i);
		configure(&w->hosts[i], conf);
		if (ipsp_conf_check(&w->hosts[i].conf, say_fault, i == 0 ? "P" : "S") != 0)
			abort(); /* the simulator's own fault */
	}
	number_addresses(w);
	w->has_hook = conf->has_hook;
	w->hook_yes = true;
	w->next_token = 100;
	w->all_free_at = SIM_NEVER;
	w->n_mns = conf->n_mns;
	w->mns = calloc(w->n_mns + 1, sizeof(*w->mns));
	if (!w->mns)
		abort();
	for (unsigned side = 0; side < 2; side++) {
		for (unsigned i = 0; i < conf->n_has[side]; i++, w->n_has++)
			ha_init(&w->has[w->n_has], w, w->n_has, side);
	}
	check_init(w);
	for (unsigned i = 0; i < 2; i++)
		host_boot(&w->hosts[i]);
	for (unsigned i = 0; i < w->n_has;
	     i++) /* attach as soon as there is somebody to attach to */
		ha_soothe(&w->has[i]);
}

void world_fini(struct world *w)
{
	queue_fini(&w->queue);
	for (unsigned i = 0; i < w->n_has; i++)
		ha_fini(&w->has[i]);
	for (unsigned i = 0; i < 2; i++)
		host_fini(&w->hosts[i]);
	check_fini(w);
	free(w->mns);
}

/* ---------------------------------------------------------------- the loop */

static void dispatch(struct world *w, struct sim_event *e)
{
	struct host *h = &w->hosts[e->side];
	uint64_t seq;

	switch (e->what) {
	case SIM_TURN:
		host_turn(h, e->gen);
		break;
	case SIM_TURN_ON:
		host_turn_on(h, e->gen);
		break;
	case SIM_ARRIVE:
		net_arrive(w, e->side, e->data);
		break;
	case SIM_FLUSHED:
		if (disk_flushed(h, e->gen, &seq))
			host_event(h, (struct ipsp_event){.type = IPSP_EV_FLUSHED, .seq = seq});
		break;
	case SIM_SYNC:
		host_sync(h, e->gen);
		break;
	case SIM_TO_NODE:
		host_ipc(h, e->data);
		break;
	case SIM_TO_HA:
		ha_read(&w->has[((struct ipc *)e->data)->ha], e->data);
		break;
	case SIM_HA:
		ha_timer(&w->has[e->arg], e->gen);
		break;
	case SIM_HOOK:
		host_hook_done(h, e->gen, e->arg != 0);
		break;
	case SIM_PLAN:
		w->plan(w, e->arg, w->plan_arg);
		break;
	}
}

void world_run_until(struct world *w, sim_us until)
{
	struct sim_event event;

	while (queue_next(&w->queue) <= until) {
		queue_pop(&w->queue, &event);
		w->now = event.at;
		if (++w->n_events > 5000000)
			world_fail(w, "a storm: five million events");
		if (w->n_events == w->stop_at)
			raise(SIGTRAP);
		dispatch(w, &event);
	}
	if (w->now < until)
		w->now = until;
}

void world_plan(struct world *w, sim_us at, uint32_t arg)
{
	queue_put(&w->queue, (struct sim_event){.at = at, .what = SIM_PLAN, .arg = arg});
}

/* ---------------------------------------------------------------- words */

void world_trace(struct world *w, enum trace_class class, const char *format, ...)
{
	char line[320];
	int n = 0;
	va_list ap;

	if (!world_traces(w, class) || !w->trace)
		return;
	if (world_traces(w, TRACE_TIMES))
		n = snprintf(line, sizeof(line), "%10.3f ", (double)w->now / 1e6);
	va_start(ap, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	va_end(ap);
	w->trace(w->trace_arg, line);
}

void world_fail(struct world *w, const char *format, ...)
{
	int n = snprintf(w->failure, sizeof(w->failure),
			 "at %.3f s, event %llu: ", (double)w->now / 1e6,
			 (unsigned long long)w->n_events);
	va_list ap;

	va_start(ap, format);
	vsnprintf(w->failure + n, sizeof(w->failure) - (size_t)n, format, ap);
	va_end(ap);
	longjmp(w->escape, 1);
}
