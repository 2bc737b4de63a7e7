#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "liar.h"
#include <cmocka.h>
#include <sodium.h>
#include <time.h>

/* ---------------------------------------------------------------- what the node says */

static void to_node(struct liar *l, const uint8_t *bytes, size_t n);

static void read_item(struct liar *l, const uint8_t *bytes, size_t n)
{
	struct ipsp_item item;

	assert_int_equal(ipsp_item_parse(bytes, n, &item), 0);
	if (item.number == l->applied + 1)
		l->applied = item.number;
	l->last_item = item;
}

static void read_messages(struct liar *l, const uint8_t *plain, size_t n)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, n);
	struct ipsp_msg msg;

	while (ipsp_msg_next(&rd, &msg) > 0) {
		if (msg.type == IPSP_MSG_HELLO) {
			l->heard = msg.u.hello;
			l->n_hellos++;
		} else if (msg.type == IPSP_MSG_ITEM) {
			read_item(l, msg.u.item.bytes, msg.u.item.n);
		} else if (msg.type == IPSP_MSG_REFUSE) {
			l->refused = msg.u.refuse.err;
		} else if (msg.type == IPSP_MSG_REQUEST) {
			l->asked = msg.u.request;
			l->n_asked++;
		}
	}
}

static void read_datagram(struct liar *l, const uint8_t *dgram, size_t n)
{
	uint8_t plain[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX];
	size_t plain_n, reply_n;
	int opened =
		l->mute ? -1 : ipsp_seal_open(&l->seal, dgram, n, plain, &plain_n, reply, &reply_n);

	if (opened < 0)
		return;
	if (reply_n > 0)
		to_node(l, reply, reply_n);
	if (opened == IPSP_OPENED_CANDIDATE)
		to_node(l, reply, ipsp_seal_candidate(&l->seal, reply));
	read_messages(l, plain, plain_n);
}

/* One turn with @ev: records are flushed at once. */
void liar_turn(struct liar *l, const struct ipsp_event *ev)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};
	struct ipsp_buf out = {
		0}; /* what was said: what is said in return makes turns of its own */
	struct timespec began, ended;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
	ipsp_actions_clear(&l->act);
	ipsp_node_step(l->node, ev, l->now, &l->act);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
	l->turn_us = (uint64_t)(ended.tv_sec - began.tv_sec) * 1000000 +
		     (uint64_t)ended.tv_nsec / 1000 - (uint64_t)began.tv_nsec / 1000;
	if (l->turn_us > l->longest_us)
		l->longest_us = l->turn_us;
	for (unsigned i = 0; i < 4; i++) { /* flushed, and what waited for it, in one */
		struct ipsp_event flushed = {.type = IPSP_EV_FLUSHED, .seq = l->act.rec_seq};

		ipsp_node_step(l->node, &flushed, l->now, &l->act);
		ipsp_node_step(l->node, &end, l->now, &l->act);
	}
	assert_false(l->act.failed);
	ipsp_buf_put(&l->log, l->act.recs.data, l->act.recs.len);
	for (size_t i = 0; i < l->act.n_outs; i++) {
		const struct ipsp_out *o = &l->act.outs[i];

		if (o->type == IPSP_OUT_DATAGRAM) {
			ipsp_buf_put_u16(&out, (uint16_t)o->len);
			ipsp_buf_put(&out, l->act.bytes.data + o->off, o->len);
		} else if (o->type == IPSP_OUT_DONE) {
			l->done = o->err;
			l->done_text = o->text;
		} else if (o->type == IPSP_OUT_ANSWER) {
			l->answered = o->err;
		} else if (o->type == IPSP_OUT_RELEASE) {
			l->event = o->id;
			l->event_to = o->token;
			l->reason = o->reason;
			l->n_events++;
		} else if (o->type == IPSP_OUT_CANCELLED) {
			l->cancelled = o->id;
		} else if (o->type == IPSP_OUT_TRAP) {
			l->n_traps[o->trap]++;
		}
	}
	if (l->pool.size <= 4096)
		ipsp_node_check(l->node);
	for (size_t at = 0; at < out.len;) {
		size_t n = (size_t)out.data[at] << 8 | out.data[at + 1];

		read_datagram(l, out.data + at + 2, n);
		at += 2 + n;
	}
	ipsp_buf_fini(&out);
}

static void to_node(struct liar *l, const uint8_t *bytes, size_t n)
{
	const struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = bytes, .n_bytes = n};

	if (n > 0)
		liar_turn(l, &ev);
}

/* ---------------------------------------------------------------- what the liar says */

void liar_say_bytes(struct liar *l, const uint8_t *plain, size_t n)
{
	uint8_t dgram[IPSP_DGRAM_MAX];

	to_node(l, dgram, ipsp_seal_close(&l->seal, plain, n, dgram));
}

void liar_say(struct liar *l, const struct ipsp_msg *msg)
{
	uint8_t plain[IPSP_PLAIN_MAX];

	liar_say_bytes(l, plain, ipsp_msg_put(plain, 0, sizeof(plain), msg));
}

struct ipsp_msg liar_hello(struct liar *l)
{
	bool shared = l->heard.flags & IPSP_HF_SHARED;
	uint64_t epoch = l->primary && l->heard.epoch == 0 ? 1 : l->heard.epoch;
	struct ipsp_msg msg = {.type = IPSP_MSG_HELLO};
	struct ipsp_hello *h = &msg.u.hello;

	*h = (struct ipsp_hello){.version_min = l->version_min,
				 .version_max = l->version_max,
				 .capabilities = l->capabilities,
				 .version = "liar",
				 .flags = IPSP_HF_ROLE | IPSP_HF_SAME | IPSP_HF_REPORTED,
				 .books = l->books,
				 .peer_books =
					 l->lie_peer_books ? l->lie_peer_books : l->heard.books,
				 .epoch = l->lie_epoch ? l->lie_epoch : epoch,
				 .agreed_epoch = epoch,
				 .number = ++l->number,
				 .heard = l->deaf ? 0 : l->heard.number,
				 .promised = l->deaf || l->report ? 0 : l->heard.number,
				 .dead_ms = DEAD_MS,
				 .peer_dead_ms = DEAD_MS,
				 .hello_ms = 1000,
				 .request_timeout_ms = 3000,
				 .release_timeout_ms = 2000,
				 .sent = l->sent,
				 .applied = l->lie_applied ? l->lie_applied : l->applied,
				 .known = l->report ? l->report - 1 : l->sent,
				 .report = l->report,
				 .used = l->used};
	memcpy(h->digest, l->heard.digest, sizeof(h->digest));
	if (l->lie_digest)
		h->digest[0] ^= 1;
	h->flags |=
		l->primary ? IPSP_HF_PRIMARY | IPSP_HF_CONF_PRIMARY | IPSP_HF_AGREED_PRIMARY : 0U;
	h->flags |= shared || l->sent > 0 ? IPSP_HF_SHARED : 0U;
	h->flags = (h->flags | l->lie_set) & ~l->lie_clear;
	return msg;
}

void liar_say_hello(struct liar *l)
{
	struct ipsp_msg msg = liar_hello(l);

	liar_say(l, &msg);
}

void liar_say_ack(struct liar *l, uint64_t number)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_ACK};

	msg.u.ack.number = number;
	msg.u.ack.stream = ipsp_sync_tag(l->heard.books, l->books);
	liar_say(l, &msg);
}

void liar_say_item(struct liar *l, struct ipsp_item_writer *w, uint32_t wrong_stream)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM};

	msg.u.item.n = (uint16_t)ipsp_item_end(w);
	msg.u.item.bytes = w->bytes;
	msg.u.item.stream = ipsp_sync_tag(l->books, l->heard.books) ^ wrong_stream;
	liar_say(l, &msg);
}

void liar_say_request(struct liar *l, uint64_t id, uint64_t epoch, uint16_t pool, uint32_t index)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_REQUEST};

	msg.u.request = (struct ipsp_request){.id = id,
					      .epoch = epoch,
					      .pool = IPSP_NO_POOL,
					      .at_pool = pool,
					      .at_index = index,
					      .count = 1,
					      .ident = {"u7", "s7", 2, 2, 0}};
	l->refused = 0;
	liar_say(l, &msg);
}

/* Time passes; each second the liar says its hello and acknowledges all. */
void liar_pass(struct liar *l, unsigned ms)
{
	static const struct ipsp_event tick = {.type = IPSP_EV_TICK};

	for (unsigned i = 0; i < ms; i += 100) {
		l->now += 100;
		liar_turn(l, &tick);
		if (l->mute || l->now % 1000 != 0)
			continue;
		liar_say_hello(l);
		if (!l->no_acks)
			liar_say_ack(l, l->applied);
	}
}

/* ---------------------------------------------------------------- beginning and end */

struct ipsp_status liar_status(struct liar *l)
{
	struct ipsp_status st;

	ipsp_node_status(l->node, l->now, &st);
	return st;
}

const struct ipsp_stats *liar_stats(struct liar *l)
{
	return ipsp_node_stats(l->node);
}

void liar_first_assignment(struct liar *l)
{
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, IPSP_NO_POOL,
			IPSP_SET_RUNS);
	liar_say_item(l, &w, 0);
}

/* The node is a primary, or a secondary; the liar its peer. Not yet met. */
struct liar *liar_new(bool node_is_primary, enum ipsp_mode mode)
{
	return liar_new_of(node_is_primary, mode, SIZE);
}

/* A process of the node, on what is in its log. */
static void start(struct liar *l, uint8_t seed)
{
	struct ipsp_node_init init = {.conf = &l->conf, .version = "1.0.0", .now = l->now};
	const struct ipsp_start begin = {.now = l->now};

	memset(init.seed, seed, sizeof(init.seed));
	l->node = ipsp_node_new(&init);
	assert_non_null(l->node);
	if (l->log.len > 0)
		assert_int_equal(ipsp_node_replay_all(l->node, l->log.data, l->log.len), 0);
	ipsp_actions_clear(&l->act);
	ipsp_node_start(l->node, &begin, &l->act);
	ipsp_buf_put(&l->log, l->act.recs.data, l->act.recs.len);
}

void liar_reboot(struct liar *l)
{
	ipsp_node_free(l->node);
	start(l, 3);
}

struct liar *liar_new_of(bool node_is_primary, enum ipsp_mode mode, uint32_t size)
{
	struct liar *l = calloc(1, sizeof(*l));
	struct ipsp_psp_conf *psp;
	uint8_t seed[32];

	assert_true(l && sodium_init() >= 0);
	ipsp_conf_init(&l->conf, "isp1");
	l->pool = (struct ipsp_pool_conf){
		.name = "pool-a", .base = ipsp_addr_v4(0x0a010001), .size = size, .plen = 32};
	l->conf.pools = &l->pool;
	l->conf.n_pools = 1;
	psp = &l->conf.psp;
	psp->enabled = true;
	snprintf(psp->interface, sizeof(psp->interface), "lan");
	psp->address = ipsp_addr_v4(0xc0000201);
	psp->peer = ipsp_addr_v4(0xc0000202);
	psp->address_plen = 24;
	psp->role = node_is_primary ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
	psp->mode = mode;
	psp->dead_interval_ms = DEAD_MS;
	psp->hello_interval_ms = 1000;
	psp->request_timeout_ms = 3000;
	psp->release_timeout_ms = 2000;
	psp->block_size = 1;
	psp->n_keys = 1;
	memset(psp->keys[0], 0x5a, sizeof(psp->keys[0]));
	memset(seed, 2, sizeof(seed));
	ipsp_actions_init(&l->act);
	l->primary = !node_is_primary;
	l->books = 0x1111222233334444U;
	l->number = 7;
	l->version_min = l->version_max = 1;
	l->done = l->answered = 1;
	struct ipsp_psp_conf its = *psp;
	its.address = psp->peer;
	its.peer = psp->address;
	ipsp_seal_init(&l->seal, &its, seed);
	l->now = 5000;
	start(l, 1);
	return l;
}

void liar_meet(struct liar *l)
{
	liar_pass(l, 8000);
	if (l->primary)
		liar_first_assignment(l);
	liar_pass(l, 3000);
}

struct liar *liar_active(bool node_is_primary)
{
	struct liar *l = liar_new(node_is_primary, IPSP_MODE_ACTIVE);

	liar_meet(l);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
	assert_true(liar_status(l).serving);
	return l;
}

void liar_free(struct liar *l)
{
	ipsp_node_free(l->node);
	ipsp_actions_fini(&l->act);
	ipsp_buf_fini(&l->log);
	free(l);
}

void liar_take(struct liar *l, const char *sub, uint32_t index)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = HA, .id = 9};

	ev.ident = (struct ipsp_ident){sub, "s", (uint8_t)strlen(sub), 1, 0};
	if (index != IPSP_NO_INDEX)
		ev.addr = ipsp_addr_v4(0x0a010001 + index);
	l->answered = 1;
	liar_turn(l, &ev);
}

void liar_command(struct liar *l, enum ipsp_command command)
{
	struct ipsp_event ev = {
		.type = IPSP_EV_COMMAND, .token = OPERATOR, .id = 3, .command = command};

	l->done = 1;
	liar_turn(l, &ev);
}

/* The node is a good peer still: healthy, and the liar, telling the truth, gets an address. */
void liar_goes_on(struct liar *l, uint64_t id)
{
	uint64_t applied;

	l->lie_set = l->lie_clear = 0;
	l->lie_epoch = l->lie_applied = 0;
	l->lie_digest = l->mute = false;
	liar_pass(l, 15000);
	assert_string_equal(ipsp_state_word(liar_status(l).state), "active");
	assert_true(liar_status(l).serving);
	applied = l->applied;
	liar_say_request(l, id, l->heard.epoch, IPSP_NO_POOL, 0);
	if (!l->primary)
		assert_int_equal(l->applied, applied + 1);
}
