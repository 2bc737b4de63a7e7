/*
 * The journal's records, replayed by a node: what comes of a log whose frames are whole. It refuses
 * them, or else it goes on with them as with its own: its invariants hold, it starts, serves, and
 * is what a journal of the same records, and a snapshot, give.
 *
 * The input: u8 how | records, each u8 its length (255: two bytes more say it), and its bytes.
 */
#include "context.h"
#include "core/rec.h"
#include "fuzz.h"
#include "input.h"
#include <sodium.h>

static struct ipsp_context_conf conf;
static struct ipsp_pool_conf pools[FUZZ_POOLS];

static struct ipsp_node *new_node(ipsp_ms now)
{
	const struct ipsp_node_init init = {.conf = &conf, .version = "1.0.0", .now = now};
	struct ipsp_node *node = ipsp_node_new(&init);

	must(node != NULL);
	return node;
}

/* Pools of millions are no mistake, but each is walked by the checks. */
static bool is_large(const uint8_t *rec, size_t n)
{
	struct ipsp_context_conf of;
	uint64_t sum = 0;

	if (n < 2 || (rec[0] != IPSP_REC_CONF && rec[0] != IPSP_REC_REPOOL))
		return false;
	ipsp_conf_init(&of, "isp1");
	if (ipsp_conf_decode_pools(rec + 2, n - 2, &of) == 0)
		for (uint32_t i = 0; i < of.n_pools; i++)
			sum += of.pools[i].size;
	ipsp_conf_fini(&of);
	return sum > 4096;
}

/* The same in the form that the store hands on. */
static void records_of(struct input *in, struct ipsp_buf *recs)
{
	while (in->n > 0) {
		size_t want = in_u8(in), n;

		if (want == 255)
			want = in_u16(in);
		const uint8_t *bytes = in_bytes(in, want, &n);
		if (is_large(bytes, n))
			continue;
		ipsp_buf_put_u16(recs, (uint16_t)n);
		ipsp_buf_put(recs, bytes, n);
	}
	must(!recs->failed);
}

static int replay_one_by_one(struct ipsp_node *node, const struct ipsp_buf *recs)
{
	for (size_t at = 0; at < recs->len;) {
		const size_t n = ipsp_load_u16(recs->data + at);
		const int err = ipsp_node_replay(node, recs->data + at + 2, n);

		if (err != 0)
			return err;
		at += 2 + n;
	}
	return 0;
}

static void step(struct ipsp_node *node, struct ipsp_event ev, ipsp_ms now,
		 struct ipsp_actions *act, struct ipsp_buf *recs)
{
	const struct ipsp_event end = {.type = IPSP_EV_END};

	ipsp_node_step(node, &ev, now, act);
	ipsp_node_step(node, &end, now, act);
	must(!act->failed);
	ipsp_buf_put(recs, act->recs.data, act->recs.len);
	const struct ipsp_event flushed = {.type = IPSP_EV_FLUSHED, .seq = act->rec_seq};
	ipsp_actions_clear(act);
	ipsp_node_step(node, &flushed, now, act);
	ipsp_node_step(node, &end, now, act);
	ipsp_buf_put(recs, act->recs.data, act->recs.len);
	ipsp_actions_clear(act);
	ipsp_node_check(node);
}

/* It is used a little, as any node is. */
static void live(struct ipsp_node *node, uint8_t how, struct ipsp_buf *recs)
{
	static const struct ipsp_lease_note lease = {9000, 4000, 5000, 30000, 30000};
	const struct ipsp_start start = {
		.now = 6000, .same_boot = how & 4, .lease = how & 4 ? &lease : NULL};
	struct ipsp_actions act;
	struct ipsp_event ev = {.type = IPSP_EV_ATTACH, .token = 1, .ha_name = "ha0"};

	ipsp_actions_init(&act);
	ipsp_node_start(node, &start, &act);
	must(!act.failed);
	step(node, ev, 6000, &act, recs);
	ev = (struct ipsp_event){
		.type = IPSP_EV_REQUEST, .token = 1, .id = 5, .ident = {"u1", "s1", 2, 2, 0}};
	step(node, ev, 6010, &act, recs);
	ev = (struct ipsp_event){.type = IPSP_EV_RELEASE,
				 .token = how & 8,
				 .id = 6,
				 .addr = ipsp_addr_v4(0x0a010001)};
	step(node, ev, 6020, &act, recs);
	for (ipsp_ms now = 7000; now < 200000; now += 15000)
		step(node, (struct ipsp_event){.type = IPSP_EV_TICK}, now, &act, recs);
	ipsp_actions_fini(&act);
}

/*
 * What no log of ours has, and replay does not look for: a session of a number without a name,
 * which is nobody's from the start on, and that has no record; and one whose subscriber is no
 * UTF-8, so that no item can say it.
 */
static bool is_plausible(const struct ipsp_node *node)
{
	for (uint32_t i = ipsp_binds_next(node->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(node->binds, i + 1)) {
		const uint16_t ha = ipsp_binds_ha(node->binds, i);
		struct ipsp_bind b;

		if (ipsp_binds_get(node->binds, i, &b) &&
		    !ipsp_text_ok(b.ident.subscriber, b.ident.n_subscriber))
			return false;
		if (ha != 0 && (ha >= node->has.n || node->has.has[ha].name[0] == 0))
			return false;
	}
	return true;
}

static void must_be(const struct ipsp_node *node, const struct ipsp_buf *recs)
{
	struct ipsp_node *other = new_node(300000);

	must(ipsp_node_replay_all(other, recs->data, recs->len) == 0);
	must(ipsp_node_digest(other) == ipsp_node_digest(node));
	ipsp_node_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = {data, n};
	const uint8_t how = in_u8(&in);
	struct ipsp_buf recs = {0}, snapshot = {0};
	struct ipsp_node *node, *other;
	uint64_t cursor = 0;

	must(sodium_init() >= 0);
	fuzz_context(&conf, pools, how & 1 ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY,
		     how & 2 ? IPSP_MODE_INACTIVE : IPSP_MODE_ACTIVE);
	records_of(&in, &recs);
	node = new_node(5000);
	other = new_node(5000);
	const int err = ipsp_node_replay_all(node, recs.data, recs.len);
	must(err <= 0 && replay_one_by_one(other, &recs) == err);
	if (err == 0 && ipsp_node_replayed(node) == 0) {
		const bool plausible = is_plausible(node);

		must(ipsp_node_digest(other) == ipsp_node_digest(node));
		live(node, how, &recs);
		while (ipsp_node_snapshot(node, &cursor, 200, &snapshot))
			continue;
		if (plausible) {
			must_be(node, &recs);
			must_be(node, &snapshot);
		}
	}
	ipsp_node_free(node);
	ipsp_node_free(other);
	ipsp_buf_fini(&recs);
	ipsp_buf_fini(&snapshot);
	return 0;
}
