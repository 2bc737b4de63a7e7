#include "search.h"
#include "arena.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COST_MAX    (SURPRISE * DEPTH_MAX)
#define REST_ROUNDS 60 /* seven dead intervals: whatever went wrong, it is over then */

struct node { /* of the tree of ways: how each state was reached first */
	uint64_t hash;
	uint32_t parent;
	uint32_t next; /* of the same cost, + 1 */
	struct act act;
	uint8_t depth;
	uint16_t cost;
	bool done; /* gone on from */
};

static struct {
	const struct root *root;
	const struct limits *limits;
	struct result *result;
	struct tiny *w;
	struct node *nodes;
	uint32_t n, cap, n_void;
	uint32_t *table; /* by hash: a node's place + 1 */
	uint32_t mask;
	struct queue { /* of those to go on from; each a node's place + 1 */
		uint32_t first, last;
	} queues[COST_MAX + 1];
	unsigned cost; /* of those that are gone on from now */
	struct level {
		uint32_t node;
		struct arena_snapshot snapshot;
	} levels[DEPTH_MAX]; /* the way to the present state */
	unsigned n_levels;
	struct arena_snapshot aside;
	struct act natural; /* in the present state */
	const char *phase;
	struct timespec began;
} run;

static const struct act no_act = {.kind = ACT_KINDS};

/* ---------------------------------------------------------------- traces */

static unsigned way_to(uint32_t node, struct act way[DEPTH_MAX])
{
	unsigned n = run.nodes[node].depth;

	for (unsigned i = n; i-- > 0; node = run.nodes[node].parent)
		way[i] = run.nodes[node].act;
	return n;
}

static void print_stand(const struct tiny *w)
{
	for (unsigned i = 0; i < 2; i++)
		printf("        %s\n", tiny_stand(w, i));
}

static void print_way(const struct act *way, unsigned n, bool last_too)
{
	printf("  from %s: %s\n", run.root->name, run.root->text);
	print_stand(run.w);
	for (unsigned i = 0; i < n; i++) {
		printf("  %2u  %s\n", i + 1, tiny_words(run.w, way[i]));
		if (i + 1 == n && !last_too)
			break;
		tiny_tells = true;
		tiny_do(run.w, way[i]);
		tiny_tells = false;
		print_stand(run.w);
	}
	printf("  replay: explore --root %s --replay ", run.root->name);
	for (unsigned i = 0; i < n; i++)
		printf("%s%u.%u.%u", i ? "," : "", way[i].kind, way[i].side, way[i].arg);
	puts("");
}

/* What has failed stands in tiny_failure. The trace is run once more, for its words. */
static void report(uint32_t node, struct act act, const char *phase)
{
	struct act way[DEPTH_MAX + 1];
	unsigned n = way_to(node, way);
	struct result *r = run.result;

	if (act.kind != ACT_KINDS)
		way[n++] = act;
	snprintf(r->failure, sizeof(r->failure), "%s%s", tiny_failure, phase);
	r->failed_at = n;
	tiny_failure[0] = '\0';
	printf("VIOLATION from root %s after %u acts: %s\n", run.root->name, n, r->failure);
	if (run.n_levels > 0) {
		arena_back(&run.levels[0].snapshot);
		print_way(way, n, true);
	}
	fflush(stdout);
}

void search_post_mortem(const struct root *root, const struct result *result)
{
	printf("VIOLATION from root %s after %u acts: the process died, see above\n", root->name,
	       result->n_way);
	if (!result->begun)
		return; /* and would again */
	arena_clear();
	run.root = root;
	run.w = root_new(root);
	print_way(result->way, result->n_way, false);
}

/* Nothing goes wrong any more: the wire is whole, who died is started, nobody drains. */
static void calm_down(struct tiny *w)
{
	tiny_do(w, (struct act){ACT_HEAL, 0, 0});
	for (uint8_t i = 0; i < 2; i++) {
		if (!w->sides[i].node)
			tiny_do(w, (struct act){ACT_START, i, 0});
		tiny_do(w, (struct act){ACT_UNDRAIN, i, 0});
	}
}

bool search_replay(const struct root *root, const char *trace)
{
	struct act way[DEPTH_MAX];
	unsigned n = 0;

	while (*trace != '\0' && n < DEPTH_MAX) {
		char *end;
		unsigned long v[3];

		for (unsigned i = 0; i < 3; i++) {
			v[i] = strtoul(trace, &end, 10);
			if (end == trace)
				return false;
			trace = *end != '\0' ? end + 1 : end;
		}
		way[n++] = (struct act){(uint8_t)v[0], (uint8_t)v[1], (uint8_t)v[2]};
	}
	arena_clear();
	run.root = root;
	run.w = root_new(root);
	print_way(way, n, true);
	if (tiny_failure[0] != '\0')
		printf("VIOLATION: %s\n", tiny_failure);
	for (unsigned i = 0; i < REST_ROUNDS && tiny_failure[0] == '\0'; i++) {
		const char *why = judge_rest(run.w);

		if (i == 0)
			calm_down(run.w);
		printf("  round %u: %s\n", i, why ? why : "at rest");
		if (!why)
			break;
		tiny_tells = true;
		tiny_round(run.w);
		tiny_tells = false;
		print_stand(run.w);
	}
	return true;
}

/* ---------------------------------------------------------------- states that were there */

static uint32_t *place_of(uint64_t hash)
{
	uint32_t i = (uint32_t)hash & run.mask;

	while (run.table[i] != 0 && run.nodes[run.table[i] - 1].hash != hash)
		i = (i + 1) & run.mask;
	return &run.table[i];
}

static void enqueue(uint32_t node)
{
	struct queue *q = &run.queues[run.nodes[node].cost];

	run.nodes[node].next = 0;
	if (q->first == 0)
		q->first = node + 1;
	else
		run.nodes[q->last - 1].next = node + 1;
	q->last = node + 1;
}

static uint32_t node_new(uint64_t hash, uint32_t parent, struct act act, unsigned cost)
{
	uint8_t depth = run.n == 0 ? 0 : (uint8_t)(run.nodes[parent].depth + 1);

	run.nodes[run.n] = (struct node){
		.hash = hash, .parent = parent, .act = act, .depth = depth, .cost = (uint16_t)cost};
	enqueue(run.n);
	return run.n++;
}

/* A cheaper way to a state that nobody has gone on from yet. The old place in the queues is void.
 */
static void cheaper(uint32_t *place, uint32_t parent, struct act act, unsigned cost)
{
	struct node *old = &run.nodes[*place - 1];

	if (old->done || old->cost <= cost || run.n == run.cap)
		return;
	old->done = true;
	*place = node_new(old->hash, parent, act, cost) + 1;
	run.n_void++;
}

/* The next one to go on from; false: there is none. */
static bool dequeue(uint32_t *node)
{
	for (; run.cost <= COST_MAX; run.cost++) {
		struct queue *q = &run.queues[run.cost];

		while (q->first != 0) {
			*node = q->first - 1;
			q->first = run.nodes[*node].next;
			if (!run.nodes[*node].done)
				return true;
		}
	}
	return false;
}

/* ---------------------------------------------------------------- going there */

/* Notes that @act is done now, after @n others from the root on. */
static struct act doing(unsigned n, struct act act)
{
	run.result->way[n] = act;
	run.result->n_way = n + 1;
	return act;
}

/* Restores the state of @node; its level is then the last. */
static void go_to(uint32_t node)
{
	uint32_t way[DEPTH_MAX];
	unsigned depth = run.nodes[node].depth, d = depth;

	for (uint32_t n = node;; n = run.nodes[n].parent) {
		way[d] = n;
		if (d-- == 0)
			break;
	}
	for (d = 0; d + 1 < run.n_levels && d < depth && run.levels[d + 1].node == way[d + 1];)
		d++;
	arena_back(&run.levels[d].snapshot);
	run.n_levels = d + 1;
	for (d++; d <= depth; d++) {
		tiny_do(run.w, doing(d - 1, run.nodes[way[d]].act));
		run.levels[d].node = way[d];
		arena_keep(&run.levels[d].snapshot);
		run.n_levels = d + 1;
	}
	if (tiny_hash(run.w) != run.nodes[node].hash)
		judge_fail(run.w, "the same acts led to another state");
}

/* ---------------------------------------------------------------- looking at one state */

/* From here the pair comes to rest (invariant 5). */
static void comes_to_rest(void)
{
	struct tiny *w = run.w;
	const char *why;

	calm_down(w);
	for (unsigned i = 0; i < REST_ROUNDS && judge_rest(w) && tiny_failure[0] == '\0'; i++)
		tiny_round(w);
	why = tiny_failure[0] == '\0' ? judge_rest(w) : NULL;
	if (why)
		judge_fail(w, "it does not come to rest: %s", why);
	run.result->rests++;
}

static bool sampled(uint64_t hash, uint32_t one_in, unsigned shift)
{
	return one_in > 0 && (hash >> shift) % one_in == 0;
}

/* At a state that is new. */
static void look(uint64_t hash)
{
	if (sampled(hash, run.limits->replays, 8)) {
		run.result->replays++;
		judge_replay(run.w);
	}
	if (sampled(hash, run.limits->rests, 24)) {
		run.phase = ", in the quiet that follows";
		comes_to_rest();
	}
}

/* Do two states that are taken for one have the same future, one act on? */
static unsigned futures(struct act acts[ACTS_MAX], uint64_t hashes[ACTS_MAX])
{
	unsigned n = tiny_acts(run.w, acts);

	arena_keep(&run.aside);
	for (unsigned i = 0; i < n; i++) {
		arena_back(&run.aside);
		tiny_do(run.w, acts[i]);
		hashes[i] = tiny_hash(run.w);
	}
	return n;
}

static void audit(uint32_t node, struct act act, uint32_t other)
{
	struct act acts[2][ACTS_MAX], way[DEPTH_MAX + 1];
	uint64_t hashes[2][ACTS_MAX];
	unsigned n = futures(acts[0], hashes[0]);

	run.result->audits++;
	go_to(other);
	if (futures(acts[1], hashes[1]) == n && memcmp(hashes[0], hashes[1], n * 8) == 0) {
		go_to(node);
		return;
	}
	if (run.result->unlike++ < 3) {
		for (unsigned i = 0; i < n; i++) {
			if (hashes[0][i] != hashes[1][i])
				printf("taken for one, and not alike after: %s\n",
				       tiny_words(run.w, acts[0][i]));
		}
		n = way_to(node, way);
		way[n++] = act;
		arena_back(&run.levels[0].snapshot);
		print_way(way, n, true);
		arena_back(&run.levels[0].snapshot);
		n = way_to(other, way);
		print_way(way, n, true);
		fflush(stdout);
	}
	go_to(node);
}

/* ---------------------------------------------------------------- all that follows from one */

static double seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

static bool failed(uint32_t node, struct act act)
{
	if (tiny_failure[0] == '\0')
		return false;
	report(node, act, run.phase);
	return true;
}

static unsigned cost_of(struct act act)
{
	if (!run.limits->is_long)
		return 1;
	return memcmp(&act, &run.natural, sizeof(act)) == 0 ? 1 : SURPRISE;
}

static bool try(uint32_t node, struct act act)
{
	unsigned cost = run.cost + cost_of(act);
	struct result *r = run.result;
	uint32_t *place;
	uint64_t hash;

	tiny_do(run.w, doing(run.nodes[node].depth, act));
	r->acts++;
	if (failed(node, act))
		return false;
	hash = tiny_hash(run.w);
	place = place_of(hash);
	if (*place != 0) {
		cheaper(place, node, act, cost);
		if (sampled(r->acts * 0x9e3779b97f4a7c15ULL, run.limits->audits, 33))
			audit(node, act, *place - 1);
		return !failed(node, act);
	}
	*place = node_new(hash, node, act, cost) + 1;
	if (r->depth < run.nodes[node].depth + 1U)
		r->depth = run.nodes[node].depth + 1U;
	look(hash);
	if (failed(node, act))
		return false;
	run.phase = "";
	return true;
}

static bool expand(uint32_t node)
{
	struct act acts[ACTS_MAX];
	unsigned n;

	go_to(node);
	if (failed(node, no_act))
		return false;
	n = tiny_acts(run.w, acts);
	run.natural = tiny_natural(run.w);
	run.nodes[node].done = true;
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			arena_back(&run.levels[run.n_levels - 1].snapshot);
		if (!try(node, acts[i]))
			return false;
	}
	return true;
}

static bool begin(void)
{
	arena_clear();
	tiny_failure[0] = '\0';
	run.n_levels = 0;
	run.phase = "";
	run.n = run.n_void = run.cost = 0;
	memset(run.queues, 0, sizeof(run.queues));
	run.w = root_new(run.root);
	if (tiny_failure[0] != '\0') {
		run.nodes[0].depth = 0;
		report(0, no_act, ", before the root was reached");
		return false;
	}
	run.levels[0].node = 0;
	arena_keep(&run.levels[0].snapshot);
	run.n_levels = 1;
	run.result->begun = true;
	memset(run.table, 0, ((size_t)run.mask + 1) * sizeof(*run.table));
	*place_of(tiny_hash(run.w)) = node_new(tiny_hash(run.w), 0, no_act, 0) + 1;
	return true;
}

void search_init(void)
{
	arena_init();
}

void search(const struct root *root, const struct limits *limits, struct result *result)
{
	bool more = true;
	uint32_t node;

	*result = (struct result){0};
	run.root = root;
	run.limits = limits;
	run.result = result;
	if (run.cap == 0) {
		run.cap = 2 * limits->states + ACTS_MAX;
		run.mask = 1023;
		while (run.mask < 2 * run.cap)
			run.mask = 2 * run.mask + 1;
		run.nodes = arena_outside(run.cap * sizeof(*run.nodes));
		run.table = arena_outside(((size_t)run.mask + 1) * sizeof(*run.table));
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &run.began);
	if (begin()) {
		while (run.n < limits->states + run.n_void && run.n + ACTS_MAX < run.cap &&
		       (limits->seconds == 0 || seconds_since(&run.began) < limits->seconds)) {
			more = dequeue(&node);
			if (!more || (run.nodes[node].depth + 1 < DEPTH_MAX && !expand(node)))
				break;
		}
		result->complete = !more;
		result->whole = run.cost;
	}
	result->states = run.n - run.n_void;
	result->seconds = seconds_since(&run.began);
}
