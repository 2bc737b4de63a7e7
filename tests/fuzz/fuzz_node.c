/*
 * A whole node, fed with events that the input draws: what HAs and operators want, what a peer with
 * the key says (the truth, lies, or anything at all), time, flushes, crashes and reboots. Whatever
 * comes, every invariant that one side alone can know holds after each turn, and the node is what
 * its journal replays.
 *
 * The input: u8 how it begins | commands, each u8 what and its operands. A peer that nobody makes
 * lie says the truth, acknowledges and gives what it is asked for.
 */
#include "context.h"
#include "core/node_int.h"
#include "fuzz.h"
#include "input.h"
#include <sodium.h>
#include <stdio.h>

#define HAS	 3
#define QUEUE	 64
#define BOOKS	 0x1111222233334444U
#define OPERATOR 99

enum { AS_SECONDARY = 1, MET = 2, CHECK = 4, POWER = 8, HOOK = 16, BLOCKS = 32, INACTIVE = 64 };

struct world {
	struct input in;
	struct ipsp_pool_conf pools[FUZZ_POOLS];
	struct ipsp_context_conf conf;
	struct ipsp_node *node;
	struct ipsp_actions act;
	struct ipsp_buf log;
	size_t durable;	  /* bytes of it */
	uint64_t seq;	  /* of its last record */
	bool slow;	  /* a flush takes until somebody says so */
	ipsp_ms write_ms; /* how long the write of the next turn takes */
	bool has_hook, asked_hook, same_boot, has_lease;
	struct ipsp_lease_note lease;
	ipsp_ms now;
	uint8_t life;
	uint64_t n_attached;
	uint64_t tokens[HAS]; /* 0: not attached; by its number + HAS * n, so never used again */
	uint64_t events[HAS]; /* the last release event of each */
	/* the peer */
	struct ipsp_seal seal;
	bool mute, lies; /* lies: it makes items whose numbers it doesn't count */
	uint32_t number;
	uint64_t sent, applied;
	struct ipsp_hello heard;
	struct ipsp_request asked;
	struct mail { /* on its way to the node */
		uint16_t n;
		uint8_t bytes[IPSP_DGRAM_MAX];
	} mail[QUEUE];
	unsigned n_mail;
};

/* ---------------------------------------------------------------- the turn */

static void post(struct world *w, const uint8_t *bytes, size_t n)
{
	if (n == 0 || w->n_mail == QUEUE)
		return;
	w->mail[w->n_mail].n = (uint16_t)n;
	memcpy(w->mail[w->n_mail++].bytes, bytes, n);
}

static void say(struct world *w, const struct ipsp_msg *msg)
{
	uint8_t plain[IPSP_PLAIN_MAX], dgram[IPSP_DGRAM_MAX];
	const size_t n = ipsp_msg_put(plain, 0, sizeof(plain), msg);

	if (n > 0)
		post(w, dgram, ipsp_seal_close(&w->seal, plain, n, dgram));
}

static void peer_reads(struct world *w, const uint8_t *plain, size_t n)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, n);
	struct ipsp_msg msg;
	struct ipsp_item item;
	int got;

	while ((got = ipsp_msg_next(&rd, &msg)) > 0) {
		if (msg.type == IPSP_MSG_HELLO) {
			w->heard = msg.u.hello;
		} else if (msg.type == IPSP_MSG_REQUEST) {
			w->asked = msg.u.request;
		} else if (msg.type == IPSP_MSG_ITEM) {
			must(ipsp_item_parse(msg.u.item.bytes, msg.u.item.n, &item) == 0);
			if (item.number == w->applied + 1)
				w->applied = item.number;
		}
	}
	must(got == 0); /* what a node says is well-formed */
}

static void peer_gets(struct world *w, const uint8_t *dgram, size_t n)
{
	uint8_t plain[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX];
	size_t plain_n, reply_n;
	int opened;

	must(n > 0 && n <= IPSP_DGRAM_MAX);
	if (w->mute)
		return;
	opened = ipsp_seal_open(&w->seal, dgram, n, plain, &plain_n, reply, &reply_n);
	if (opened < 0)
		return;
	post(w, reply, reply_n);
	if (opened == IPSP_OPENED_CANDIDATE)
		post(w, reply, ipsp_seal_candidate(&w->seal, reply));
	peer_reads(w, plain, plain_n);
}

static void carry_out(struct world *w, const struct ipsp_out *o)
{
	uint32_t index;

	switch (o->type) {
	case IPSP_OUT_DATAGRAM:
		must((size_t)o->off + o->len <= w->act.bytes.len);
		peer_gets(w, w->act.bytes.data + o->off, o->len);
		break;
	case IPSP_OUT_ANSWER:
		must(o->err <= 0);
		must(o->err != 0 || ipsp_conf_find(ipsp_node_conf(w->node), o->addr, &index) >= 0);
		break;
	case IPSP_OUT_RELEASE:
		must(o->token >= 1 && o->id != 0);
		w->events[o->token % HAS] = o->id;
		break;
	case IPSP_OUT_NOTE:
		must((size_t)o->off + o->len < w->act.bytes.len);
		must(w->act.bytes.data[o->off + o->len] == 0);
		break;
	case IPSP_OUT_HOOK:
		w->asked_hook = w->asked_hook || o->hook == IPSP_HOOK_TAKEOVER_CHECK;
		break;
	default:
		break;
	}
}

static void flush(struct world *w)
{
	struct ipsp_event ev = {.type = IPSP_EV_FLUSHED, .seq = w->seq};

	w->durable = w->log.len;
	ipsp_node_step(w->node, &ev, w->now, &w->act);
}

/* What the steps so far lead to: written, and told. */
static void end_turn(struct world *w)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};

	for (int i = 0; i < 8; i++) { /* what waits for a flush may want another */
		ipsp_node_step(w->node, &end, w->now, &w->act);
		must(!w->act.failed);
		ipsp_buf_put(&w->log, w->act.recs.data, w->act.recs.len);
		w->seq = w->act.rec_seq;
		if (w->act.lease_set) {
			w->lease = w->act.lease;
			w->has_lease = true;
		}
		w->now += w->write_ms;
		w->write_ms = 0;
		ipsp_node_late(w->node, w->now, &w->act);
		for (size_t k = 0; k < w->act.n_outs; k++)
			carry_out(w, &w->act.outs[k]);
		const bool wants = w->act.want_flush && !w->slow;
		ipsp_actions_clear(&w->act);
		if (!wants)
			break;
		flush(w);
	}
	ipsp_node_check(w->node);
}

static void turn(struct world *w, const struct ipsp_event *ev)
{
	ipsp_node_step(w->node, ev, w->now, &w->act);
	end_turn(w);
}

/* What is on its way to the node arrives, and what it says to that; for so long and no longer. */
static void deliver(struct world *w)
{
	for (int i = 0; i < QUEUE && w->n_mail > 0; i++) {
		const struct mail first = w->mail[0];
		const struct ipsp_event ev = {
			.type = IPSP_EV_DATAGRAM, .bytes = first.bytes, .n_bytes = first.n};

		w->n_mail--;
		memmove(w->mail, w->mail + 1, w->n_mail * sizeof(w->mail[0]));
		turn(w, &ev);
	}
	w->n_mail = 0;
}

/* ---------------------------------------------------------------- life and death */

static struct ipsp_node *replayed(struct world *w, const struct ipsp_buf *log)
{
	struct ipsp_node_init init = {
		.conf = &w->conf, .version = "1.0.0", .now = w->now, .has_hook = w->has_hook};
	struct ipsp_node *node;

	memset(init.seed, ++w->life, sizeof(init.seed));
	node = ipsp_node_new(&init);
	must(node != NULL);
	if (log->len > 0)
		must(ipsp_node_replay_all(node, log->data, log->len) == 0);
	return node;
}

static void start(struct world *w)
{
	const struct ipsp_start begin = {.now = w->now,
					 .same_boot = w->same_boot,
					 .lease = w->same_boot && w->has_lease ? &w->lease : NULL};

	w->node = replayed(w, &w->log);
	w->durable = w->log.len;
	w->seq = 0;
	ipsp_actions_clear(&w->act);
	ipsp_node_start(w->node, &begin, &w->act);
	end_turn(w);
	w->same_boot = true;
}

/* Memory is what the journal gives, and what a snapshot gives. */
static void compare(struct world *w)
{
	struct ipsp_node *other = replayed(w, &w->log);
	struct ipsp_buf snapshot = {0};
	uint64_t cursor = 0;

	must(ipsp_node_digest(other) == ipsp_node_digest(w->node));
	ipsp_node_free(other);
	while (ipsp_node_snapshot(w->node, &cursor, 200, &snapshot))
		continue;
	other = replayed(w, &snapshot);
	must(ipsp_node_digest(other) == ipsp_node_digest(w->node));
	ipsp_node_free(other);
	ipsp_buf_fini(&snapshot);
}

/* The process dies, or the host with what was not flushed. */
static void restart(struct world *w, uint8_t how)
{
	compare(w);
	ipsp_node_free(w->node);
	w->n_mail = 0;
	memset(w->tokens, 0, sizeof(w->tokens));
	w->asked_hook = false;
	w->now += in_u16(&w->in);
	if (how & 1) { /* power */
		w->log.len = w->durable;
		w->same_boot = false;
	}
	if (how & 2) /* the disk is another one */
		ipsp_buf_clear(&w->log);
	start(w);
}

/* The journal is compacted. */
static void compact(struct world *w)
{
	struct ipsp_buf snapshot = {0};
	uint64_t cursor = 0;

	while (ipsp_node_snapshot(w->node, &cursor, 300, &snapshot))
		continue;
	ipsp_buf_fini(&w->log);
	w->log = snapshot;
	w->durable = snapshot.len;
}

/* ---------------------------------------------------------------- the peer */

static bool is_primary(const struct world *w)
{
	return w->conf.psp.role != IPSP_ROLE_PRIMARY;
}

static struct ipsp_msg truth(struct world *w)
{
	const bool shared = w->heard.flags & IPSP_HF_SHARED || w->sent > 0;
	struct ipsp_msg msg = {.type = IPSP_MSG_HELLO};
	struct ipsp_hello *h = &msg.u.hello;

	*h = (struct ipsp_hello){.version_min = 1,
				 .version_max = 1,
				 .capabilities = IPSP_CAPABILITIES,
				 .version = "fuzz",
				 .flags = IPSP_HF_ROLE | IPSP_HF_SAME | IPSP_HF_REPORTED,
				 .books = BOOKS,
				 .peer_books = w->heard.books,
				 .epoch = is_primary(w) && w->heard.epoch == 0 ? 1 : w->heard.epoch,
				 .number = ++w->number,
				 .heard = w->heard.number,
				 .promised = w->heard.number,
				 .dead_ms = 30000,
				 .peer_dead_ms = 30000,
				 .hello_ms = 1000,
				 .request_timeout_ms = 3000,
				 .release_timeout_ms = 2000,
				 .sent = w->sent,
				 .applied = w->applied,
				 .known = w->sent};
	h->agreed_epoch = h->epoch;
	memcpy(h->digest, w->heard.digest, sizeof(h->digest));
	if (!(w->heard.flags & IPSP_HF_PRIMARY) && (is_primary(w) || w->heard.epoch > 1))
		h->flags |= IPSP_HF_PRIMARY | IPSP_HF_AGREED_PRIMARY;
	if (is_primary(w))
		h->flags |= IPSP_HF_CONF_PRIMARY;
	if (shared)
		h->flags |= IPSP_HF_SHARED;
	return msg;
}

static void say_ack(struct world *w, uint64_t number)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_ACK};

	msg.u.ack.number = number;
	msg.u.ack.stream = ipsp_sync_tag(w->heard.books, BOOKS);
	say(w, &msg);
}

static void say_item(struct world *w, struct ipsp_item_writer *item, uint32_t wrong_stream)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM};

	msg.u.item.n = (uint16_t)ipsp_item_end(item);
	msg.u.item.bytes = item->bytes;
	msg.u.item.stream = ipsp_sync_tag(BOOKS, w->heard.books) ^ wrong_stream;
	say(w, &msg);
}

static void first_assignment(struct world *w)
{
	struct ipsp_item_writer item;

	ipsp_item_begin(&item, ++w->sent, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 0, IPSP_NO_POOL,
			IPSP_SET_RUNS);
	say_item(w, &item, 0);
}

/* One hello interval: the peer says the truth, and acknowledges. */
static void interval(struct world *w)
{
	static const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	uint8_t shake[IPSP_DGRAM_MAX];

	for (int i = 0; i < 2; i++) {
		w->now += 500;
		turn(w, &tick);
		deliver(w);
	}
	if (w->mute)
		return;
	if (!w->seal.present.valid)
		post(w, shake, ipsp_seal_shake(&w->seal, shake));
	struct ipsp_msg msg = truth(w);
	say(w, &msg);
	say_ack(w, w->applied);
	deliver(w);
}

/* A hello with some of its facts changed. */
static void lie(struct world *w)
{
	struct ipsp_msg msg = truth(w);
	struct ipsp_hello *h = &msg.u.hello;
	const uint16_t which = in_u16(&w->in);

	uint64_t *const wide[] = {&h->books, &h->peer_books, &h->epoch, &h->agreed_epoch,
				  &h->sent,  &h->applied,    &h->known, &h->report};
	uint32_t *const narrow[] = {&h->number,	 &h->heard, &h->promised,
				    &h->dead_ms, &h->used,  &h->spare};
	for (unsigned i = 0; i < 8; i++)
		if (which & 1u << i)
			*wide[i] = in_near(&w->in, *wide[i]);
	for (unsigned i = 0; i < 6; i++)
		if (which & 1u << (i + 8))
			*narrow[i] = (uint32_t)in_near(&w->in, *narrow[i]);
	if (which & 1u << 14)
		h->flags ^= in_u32(&w->in);
	if (which & 1u << 15) {
		const uint8_t what = in_u8(&w->in);

		if (what & 1)
			h->digest[0] ^= what;
		if (what & 2)
			h->version_max = in_u8(&w->in);
		if (what & 4)
			h->version_min = in_u8(&w->in);
		if (what & 8)
			h->capabilities = in_u8(&w->in);
		if (what & 16)
			h->hello_ms = (uint32_t)in_near(&w->in, 1000);
	}
	say(w, &msg);
}

static size_t name_of(char text[8], const char *kind, uint8_t number)
{
	return (size_t)snprintf(text, 8, "%s%u", kind, number % 12U);
}

/* An item: mostly the next one, of addresses that there are. */
static void item(struct world *w)
{
	static const enum ipsp_item_type types[] = {IPSP_ITEM_GIVE, IPSP_ITEM_REPORT,
						    IPSP_ITEM_DROP, IPSP_ITEM_DROPPED};
	const uint8_t what = in_u8(&w->in), which = in_u8(&w->in);
	const enum ipsp_item_type type = types[what & 3];
	const enum ipsp_set_form form = type != IPSP_ITEM_GIVE ? IPSP_SET_WHO
					: what & 4	       ? IPSP_SET_KEPT
					: what & 8	       ? IPSP_SET_BITS
							       : IPSP_SET_RUNS;
	const bool next = !(what & 16);
	struct ipsp_item_writer out;
	char text[8];

	ipsp_item_begin(&out, next ? w->sent + 1 : in_near(&w->in, w->sent), type, which >> 7,
			what & 32 ? w->asked.id : 0, which & 64 ? in_u16(&w->in) : which % 5, form);
	for (int i = what >> 6; i >= 0; i--) {
		const uint8_t index = in_u8(&w->in), more = in_u8(&w->in);

		if (form == IPSP_SET_RUNS)
			ipsp_item_add_run(&out, index, more % 8 ? more % 8U : 1);
		else if (form == IPSP_SET_BITS)
			ipsp_item_add_bit(&out, index);
		else if (form == IPSP_SET_KEPT)
			ipsp_item_add_kept(&out, index,
					   more & 1 ? IPSP_USE_HOLD : IPSP_USE_QUARANTINE, more,
					   text, name_of(text, "u", more));
		else
			ipsp_item_add_who(&out, index, text, name_of(text, "u", more));
	}
	if (next && !w->lies)
		w->sent++;
	say_item(w, &out, 0);
}

/* What it was last asked for, or something else of that pool, mostly in one piece. */
static void give_asked(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	const struct ipsp_request *r = &w->asked;
	const bool named = r->at_pool != IPSP_NO_POOL;
	struct ipsp_item_writer out;
	char text[8];

	ipsp_item_begin(&out, ++w->sent, IPSP_ITEM_GIVE, 0, r->id, named ? r->at_pool : what & 1,
			what & 2 ? IPSP_SET_KEPT : IPSP_SET_RUNS);
	const uint32_t index = named && !(what & 4) ? r->at_index : what >> 4;
	if (what & 2)
		ipsp_item_add_kept(&out, index, IPSP_USE_HOLD, 60, text, name_of(text, "u", what));
	else
		ipsp_item_add_run(&out, index, what & 8 ? 2 : 1);
	say_item(w, &out, 0);
}

static void peer_request(struct world *w)
{
	const uint8_t what = in_u8(&w->in), who = in_u8(&w->in);
	struct ipsp_msg msg = {.type = IPSP_MSG_REQUEST};
	struct ipsp_request *r = &msg.u.request;
	char sub[8], sess[8];

	*r = (struct ipsp_request){.id = (uint64_t)(w->number % 256 + 1) << 16 | (who & 15),
				   .epoch = w->heard.epoch,
				   .pool = IPSP_NO_POOL,
				   .at_pool = IPSP_NO_POOL,
				   .count = what >> 4};
	if (what & 1) {
		r->at_pool = in_u8(&w->in) % 5;
		r->at_index = in_u8(&w->in);
	}
	if (what & 2)
		r->epoch = in_near(&w->in, r->epoch);
	if (what & 4) {
		r->ident = (struct ipsp_ident){sub, sess, 0, 0, 0};
		r->ident.n_subscriber = (uint8_t)name_of(sub, "u", who);
		r->ident.n_session = (uint8_t)name_of(sess, "s", who >> 4);
	}
	if (what & 8) {
		r->select = in_u8(&w->in) % 4;
		r->pool = in_u8(&w->in) % 5;
	}
	say(w, &msg);
}

static void peer_small(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	struct ipsp_msg msg = {.type = IPSP_MSG_CANCEL};
	size_t n;

	switch (what % 6) {
	case 0:
		msg.u.request.id = (uint64_t)(w->number % 256 + 1) << 16 | (what >> 4);
		break;
	case 1:
		msg.type = IPSP_MSG_REFUSE;
		msg.u.refuse.id = w->asked.id;
		msg.u.refuse.epoch = in_near(&w->in, w->heard.epoch);
		msg.u.refuse.err = 3 - (int32_t)in_u8(&w->in);
		break;
	case 2:
		msg.type = IPSP_MSG_TAKEOVER;
		msg.u.request.epoch = in_near(&w->in, w->heard.epoch);
		break;
	case 3:
		msg.type = IPSP_MSG_CONF_ASK;
		msg.u.conf.offset = (uint32_t)in_near(&w->in, 0);
		break;
	case 4:
		msg.type = IPSP_MSG_CONF_PART;
		msg.u.conf.offset = (uint32_t)in_near(&w->in, 3);
		msg.u.conf.total = (uint32_t)in_near(&w->in, 200);
		msg.u.conf.bytes = in_bytes(&w->in, in_u8(&w->in), &n);
		msg.u.conf.n = (uint16_t)n;
		break;
	default:
		say_ack(w, in_near(&w->in, w->applied));
		return;
	}
	say(w, &msg);
}

/* Anything at all: sealed, or as it is. */
static void anything(struct world *w, bool sealed)
{
	uint8_t dgram[IPSP_DGRAM_MAX];
	size_t n;
	const uint8_t *bytes = in_bytes(&w->in, in_u8(&w->in) * 4U, &n);

	if (sealed)
		post(w, dgram, ipsp_seal_close(&w->seal, bytes, n, dgram));
	else
		post(w, bytes, n);
}

/* ---------------------------------------------------------------- HAs and operators */

/* A connection of an HA ends, and mostly another one begins, under this name or that. */
static void attach(struct world *w, uint8_t what)
{
	uint64_t *token = &w->tokens[what % HAS];
	char name[8];
	struct ipsp_event ev = {.type = IPSP_EV_DETACH, .token = *token};

	if (*token != 0)
		turn(w, &ev);
	*token = 0;
	name_of(name, "ha", what & 3);
	if (what & 16 || !ipsp_node_may_attach(w->node, name))
		return;
	*token = what % HAS + HAS * ++w->n_attached;
	ev = (struct ipsp_event){.type = IPSP_EV_ATTACH,
				 .token = *token,
				 .ha_name = name,
				 .owner = what >> 6,
				 .force = what & 32};
	turn(w, &ev);
}

static struct ipsp_addr address(struct world *w)
{
	const uint8_t which = in_u8(&w->in);
	const struct ipsp_context_conf *conf = ipsp_node_conf(w->node);

	if (which == 255 || conf->n_pools == 0)
		return ipsp_addr_v4(in_u32(&w->in));
	return ipsp_pool_addr(&conf->pools[which % conf->n_pools], which / 8U);
}

static void client(struct world *w, enum ipsp_event_type type)
{
	const uint8_t what = in_u8(&w->in), who = in_u8(&w->in);
	char sub[8], sess[8];
	struct ipsp_event ev = {.type = type,
				.token = what & 3 ? w->tokens[what % HAS] : 0,
				.id = what,
				.owner = what >> 6,
				.addr = IPSP_ADDR_NONE};

	if (type != IPSP_EV_REQUEST || what & 4)
		ev.addr = address(w);
	if (type == IPSP_EV_RELEASED)
		ev.id = what & 8 ? w->events[ev.token % HAS] : what >> 4;
	if (type == IPSP_EV_RELEASED && ev.token == 0)
		return; /* an operator is asked nothing */
	ev.ident = (struct ipsp_ident){NULL, NULL, 0, 0, 0};
	if (type == IPSP_EV_REQUEST || what & 4) {
		ev.ident.subscriber = sub;
		ev.ident.n_subscriber = (uint8_t)name_of(sub, "u", who);
	}
	if (type == IPSP_EV_REQUEST || what & 16) {
		ev.ident.session = sess;
		ev.ident.n_session = (uint8_t)name_of(sess, "s", who >> 4);
	}
	if (type == IPSP_EV_REQUEST && what & 16)
		ev.pool = what & 32 ? "pool-b" : "pool-a";
	if (type == IPSP_EV_REQUEST && what & 32)
		ev.group = "g";
	turn(w, &ev);
}

/* As many requests as came in one read: all are stepped at once. */
static void in_a_row(struct world *w)
{
	struct ipsp_event evs[8];
	char subs[8][8];
	const size_t n = 1 + in_u8(&w->in) % 8U;

	for (size_t i = 0; i < n; i++) {
		const uint8_t who = in_u8(&w->in);

		evs[i] = (struct ipsp_event){.type = who & 128 ? IPSP_EV_RELEASE : IPSP_EV_REQUEST,
					     .token = w->tokens[who % HAS],
					     .id = i,
					     .addr = IPSP_ADDR_NONE};
		evs[i].ident = (struct ipsp_ident){subs[i], "s", 0, 1, 0};
		evs[i].ident.n_subscriber = (uint8_t)name_of(subs[i], "u", who >> 2);
		if (who & 128)
			evs[i].addr = address(w);
	}
	ipsp_node_steps(w->node, evs, n, w->now, &w->act);
	end_turn(w);
}

static void command(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	const struct ipsp_event ev = {.type = IPSP_EV_COMMAND,
				      .token = OPERATOR,
				      .id = what,
				      .command = (enum ipsp_command)((what & 15) % IPSP_COMMANDS),
				      .force = what & 16,
				      .mode = (enum ipsp_mode)((what >> 5) % 3)};

	turn(w, &ev);
}

static void reload(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	struct ipsp_event ev = {.type = what & 1 ? IPSP_EV_KEYS : IPSP_EV_CONF,
				.token = OPERATOR,
				.id = what,
				.conf = &w->conf};
	const struct ipsp_context_conf before = w->conf;
	const struct ipsp_pool_conf pool = w->pools[1];
	char why[128];

	w->pools[1].size = what & 2 ? 5 : 3 + (what >> 5);
	w->conf.psp.dead_interval_ms = what & 4 ? 30000 : 40000;
	w->conf.psp.mode = what & 8 ? IPSP_MODE_ACTIVE : (enum ipsp_mode)(what >> 4 & 1);
	if (what & 32)
		w->conf.psp.enabled = !w->conf.psp.enabled;
	if (what & 64) /* another secret, or the peer's again */
		w->conf.psp.keys[0][0] = what & 128 ? 0x5a : 1;
	if (ev.type == IPSP_EV_KEYS || ipsp_node_may_conf(w->node, &w->conf, why) == 0) {
		turn(w, &ev);
	} else {
		w->conf = before;
		w->pools[1] = pool;
	}
}

static void host(struct world *w)
{
	const uint8_t what = in_u8(&w->in);
	struct ipsp_event ev = {.type = IPSP_EV_DISK, .full = what & 4};

	switch (what & 3) {
	case 0:
		if (!w->asked_hook)
			return;
		w->asked_hook = false;
		ev = (struct ipsp_event){.type = IPSP_EV_HOOK, .yes = what & 4};
		break;
	case 1:
		ev = (struct ipsp_event){.type = IPSP_EV_LINK,
					 .bound = what & 4,
					 .error = what & 8 ? "the interface is down" : NULL};
		break;
	default:
		break;
	}
	turn(w, &ev);
}

static void look(struct world *w)
{
	struct ipsp_status status;
	struct ipsp_pool_status pool;
	struct ipsp_session_view session;
	struct ipsp_duplicate_view duplicate;
	struct ipsp_duplicate_cursor at = {0, 0};
	uint32_t cursor = 0, used = 0;
	bool known;

	ipsp_node_status(w->node, w->now, &status);
	for (uint16_t i = 0; i < ipsp_node_conf(w->node)->n_pools; i++)
		ipsp_node_pool_status(w->node, i, &pool);
	while (ipsp_node_session(w->node, &cursor, &session))
		used++;
	must(used >= status.used);
	while (ipsp_node_duplicate(w->node, &at, &duplicate))
		continue;
	const size_t n = ipsp_node_differences(w->node, &known);
	for (size_t i = 0; i < n && ipsp_node_difference(w->node, i); i++)
		continue;
}

static void pass(struct world *w)
{
	static const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	const uint8_t how = in_u8(&w->in);
	const ipsp_ms due = ipsp_node_due(w->node);

	if (how < 64 && due != IPSP_NEVER && due > w->now)
		w->now = due;
	else
		w->now += how < 128 ? how : how < 200 ? how * 50U : how * 1000U;
	turn(w, &tick);
}

static void step(struct world *w)
{
	const uint8_t what = in_u8(&w->in);

	switch (what % 20) {
	case 0:
		pass(w);
		break;
	case 1:
		for (int i = what / 20; i >= 0; i--)
			interval(w);
		break;
	case 2:
		anything(w, what & 32);
		break;
	case 3:
		lie(w);
		break;
	case 4:
		item(w);
		break;
	case 5:
		give_asked(w);
		break;
	case 6:
		peer_request(w);
		break;
	case 7:
		peer_small(w);
		break;
	case 8:
		attach(w, in_u8(&w->in));
		break;
	case 9:
	case 10:
		client(w, IPSP_EV_REQUEST);
		break;
	case 11:
		client(w, IPSP_EV_RELEASE);
		break;
	case 12:
		client(w, IPSP_EV_RELEASED);
		break;
	case 13:
		command(w);
		break;
	case 14:
		reload(w);
		break;
	case 15:
		host(w);
		break;
	case 16:
		restart(w, what / 20);
		break;
	case 17:
		if (what & 32)
			compact(w);
		else if (what & 64)
			in_a_row(w);
		else
			look(w);
		break;
	case 18:
		w->slow = what & 32;
		w->write_ms = what & 64 ? 40000 : 0;
		flush(w);
		end_turn(w);
		break;
	default:
		w->mute = what & 32;
		w->lies = what & 64;
		break;
	}
	deliver(w);
}

/* ---------------------------------------------------------------- the beginning */

static void begin(struct world *w)
{
	const uint8_t how = in_u8(&w->in);
	struct ipsp_psp_conf its;

	fuzz_context(&w->conf, w->pools,
		     how & AS_SECONDARY ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY,
		     how & CHECK      ? IPSP_MODE_CHECK
		     : how & INACTIVE ? IPSP_MODE_INACTIVE
				      : IPSP_MODE_ACTIVE);
	if (how & POWER)
		w->conf.psp.durability = IPSP_DURABLE_POWER;
	if (how & BLOCKS)
		w->conf.psp.block_size = 0;
	w->has_hook = how & HOOK;
	its = w->conf.psp;
	its.address = w->conf.psp.peer;
	its.peer = w->conf.psp.address;
	ipsp_seal_init(&w->seal, &its, (const uint8_t[32]){2});
	w->number = 7;
	w->now = 5000;
	w->same_boot = true;
	start(w);
	if (!(how & MET))
		return;
	attach(w, 0);
	for (int i = 0; i < 6; i++)
		interval(w);
	if (is_primary(w))
		first_assignment(w);
	interval(w);
	interval(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct world world;
	struct world *w = &world;

	must(sodium_init() >= 0);
	memset(w, 0, sizeof(*w));
	w->in = (struct input){data, n};
	ipsp_actions_init(&w->act);
	begin(w);
	for (int i = 0; i < 400 && w->in.n > 0; i++)
		step(w);
	look(w);
	compare(w);
	ipsp_node_free(w->node);
	ipsp_actions_fini(&w->act);
	ipsp_buf_fini(&w->log);
	return 0;
}
