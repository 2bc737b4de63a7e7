#include "shell.h"
#include "core/duplicates.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tiny_tells;

/* ---------------------------------------------------------------- what was sealed */

/* The linker leads the core's calls here: of each datagram its plain text is kept, for hash and
 * words. */
size_t __real_ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out);
size_t __wrap_ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out);

#define SEALED_MAX 16

static struct sealed {
	uint8_t head[IPSP_HDR_LEN];
	size_t n;
	uint8_t plain[IPSP_PLAIN_MAX];
} sealed[SEALED_MAX]; /* of the turn that runs */
static unsigned n_sealed;

size_t __wrap_ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out)
{
	size_t len = __real_ipsp_seal_close(seal, plain, n, out);

	if (len > 0 && n_sealed < SEALED_MAX) {
		struct sealed *s = &sealed[n_sealed++];

		memcpy(s->head, out, sizeof(s->head));
		memcpy(s->plain, plain, n);
		s->n = n;
	}
	return len;
}

static const struct sealed *find_sealed(const uint8_t *dgram, size_t n)
{
	for (unsigned i = 0; i < n_sealed && n >= IPSP_HDR_LEN; i++) {
		if (memcmp(sealed[i].head, dgram, IPSP_HDR_LEN) == 0)
			return &sealed[i];
	}
	return NULL;
}

/* ---------------------------------------------------------------- the wire */

void shell_take(struct flight *f, unsigned i)
{
	f->n--;
	memmove(f->dgrams + i, f->dgrams + i + 1, (f->n - i) * sizeof(f->dgrams[0]));
	f->dgrams[f->n] = NULL;
}

void shell_lose(struct flight *f)
{
	while (f->n > 0) {
		free(f->dgrams[0]);
		shell_take(f, 0);
	}
}

static void send_dgram(struct tiny *w, unsigned to, const uint8_t *bytes, size_t n)
{
	const struct sealed *s = find_sealed(bytes, n);
	size_t n_plain = s ? s->n : 0;
	struct flight *f = &w->to[to];
	struct dgram *d;

	if (f->cut)
		return;
	if (f->n == FLIGHT) {
		free(f->dgrams[0]);
		shell_take(f, 0);
	}
	d = calloc(1, sizeof(*d) + n + n_plain);
	d->n = (uint16_t)n;
	d->n_plain = (uint16_t)n_plain;
	memcpy(d->bytes, bytes, n);
	if (s)
		memcpy(d->bytes + n, s->plain, n_plain);
	f->dgrams[f->n++] = d;
}

/* ---------------------------------------------------------------- the disk */

static uint64_t mix(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static void flush_begin(struct disk *disk)
{
	disk->flushing = true;
	disk->again = false;
	disk->covers = disk->log.len;
	disk->covers_seq = disk->written_seq;
	disk->covers_epoch = disk->epoch;
}

static void disk_write(struct side *s)
{
	struct disk *disk = &s->disk;

	if (s->act.lease_set) {
		disk->lease = s->act.lease;
		disk->lease_boot = s->boot;
	}
	ipsp_buf_put(&disk->log, s->act.recs.data, s->act.recs.len);
	disk->written_seq = s->act.rec_seq;
	disk->epoch = s->epoch;
	if (!s->act.want_flush)
		return;
	if (disk->flushing)
		disk->again = true;
	else
		flush_begin(disk);
}

/* ---------------------------------------------------------------- the HA */

int shell_addr(struct ipsp_addr addr)
{
	uint64_t i = addr.lo - ipsp_addr_v4(0x0a000001).lo;

	return i < ADDRS ? (int)i : -1;
}

struct ipsp_addr shell_address(unsigned addr)
{
	return ipsp_addr_v4(0x0a000001 + addr);
}

struct ipsp_ident shell_ident(unsigned sub)
{
	static const char *const subs[SUBS + 1] = {"", "u1", "u2", "u3", "u4", "u5", "u6"};

	return (struct ipsp_ident){
		.subscriber = subs[sub], .session = "s", .n_subscriber = 2, .n_session = 1};
}

uint64_t shell_token(const struct side *s)
{
	return 100 + s->number;
}

static void tell(const struct side *s, const char *what, int addr, unsigned sub, const char *more)
{
	if (tiny_tells)
		printf("        HA at %c: %s %c of u%u%s\n", s->letter, what,
		       addr < 0 ? '-' : 'A' + addr, sub, more);
}

static void on_answer(struct tiny *w, struct side *s, const struct ipsp_out *out)
{
	unsigned sub = s->ha.sub;
	int addr = shell_addr(out->addr);

	if (out->id != s->ha.asked_id || sub == 0)
		return;
	s->ha.sub = 0;
	if (out->err != 0) {
		tell(s, "refused", -1, sub, ipsp_err_word(out->err));
		return;
	}
	tell(s, "answered", addr, sub, out->fresh ? "" : " (it had it)");
	if (addr < 0) {
		judge_fail(w, "%c: answered with an address of no pool", s->letter);
		return;
	}
	if (out->fresh)
		judge_assigned(w, s, (unsigned)addr, sub);
	s->ha.sessions[addr] = (uint8_t)sub;
}

static void carry_out(struct tiny *w, struct side *s, const struct ipsp_out *out)
{
	int addr = shell_addr(out->addr);

	switch (out->type) {
	case IPSP_OUT_DATAGRAM:
		send_dgram(w, 1 - s->number, s->act.bytes.data + out->off, out->len);
		break;
	case IPSP_OUT_ANSWER:
		on_answer(w, s, out);
		break;
	case IPSP_OUT_RELEASE:
		if (addr < 0)
			break;
		tell(s, "is asked to release", addr, s->ha.sessions[addr], "");
		s->ha.asked[addr] = true; /* to be answered also where it has ended already */
		break;
	case IPSP_OUT_CANCELLED:
		if (addr < 0)
			break;
		tell(s, "need not release", addr, s->ha.sessions[addr], "");
		s->ha.asked[addr] = false;
		break;
	case IPSP_OUT_DONE:
	case IPSP_OUT_STATE:
	case IPSP_OUT_TRAP:
	case IPSP_OUT_HOOK:
	case IPSP_OUT_NOTE:
	case IPSP_OUT_STOPPED:
	case IPSP_OUT_TYPES:
		break;
	}
}

/* ---------------------------------------------------------------- turns */

/* Notes are for people: printed and forgotten, so that no state is larger for them. */
static void notes(struct side *s)
{
	struct ipsp_notes *notes = &s->node->notes;

	for (uint64_t i = 1; i <= notes->last; i++) {
		const struct ipsp_note *note = ipsp_note_get(notes, i);

		if (tiny_tells && note)
			printf("        %c: %s\n", s->letter, note->text);
	}
	if (notes->last > 0)
		ipsp_notes_clear(notes);
	ipsp_duplicates_clear(s->node);
	s->node->duplicates = (struct ipsp_duplicates){0};
}

static void step(struct tiny *w, struct side *s, const struct ipsp_event *ev)
{
	ipsp_node_step(s->node, ev, w->now, &s->act);
}

/* The second half of a turn: what the steps have made is written, then told. */
static void end_turn(struct tiny *w, struct side *s)
{
	const struct ipsp_event end = {.type = IPSP_EV_END};

	step(w, s, &end);
	judge_look(w, s);
	disk_write(s);
	ipsp_node_late(s->node, w->now, &s->act);
	for (size_t i = 0; i < s->act.n_outs; i++)
		carry_out(w, s, &s->act.outs[i]);
	ipsp_actions_clear(&s->act);
	n_sealed = 0;
	notes(s);
	judge_turn(w, s);
}

void shell_turn(struct tiny *w, struct side *s, const struct ipsp_event *ev)
{
	const struct ipsp_event tick = {.type = IPSP_EV_TICK};

	step(w, s, ev);
	if (ipsp_node_due(s->node) <= w->now)
		step(w, s, &tick);
	end_turn(w, s);
}

struct side *shell_next_due(struct tiny *w, ipsp_ms *at)
{
	struct side *first = NULL;

	*at = IPSP_NEVER;
	for (unsigned i = 0; i < 2; i++) {
		ipsp_ms due = w->sides[i].node ? ipsp_node_due(w->sides[i].node) : IPSP_NEVER;

		if (due < *at) {
			*at = due;
			first = &w->sides[i];
		}
	}
	return first;
}

void shell_flushed(struct tiny *w, struct side *s)
{
	struct disk *disk = &s->disk;
	struct ipsp_event ev = {.type = IPSP_EV_FLUSHED, .seq = disk->covers_seq};

	disk->flushing = false;
	disk->durable_digest = disk->covers == disk->log.len
				       ? ipsp_node_digest(s->node)
				       : mix(disk->durable_digest, disk->log.data + disk->durable,
					     disk->covers - disk->durable);
	disk->durable = disk->covers;
	disk->durable_epoch = disk->covers_epoch;
	if (disk->again)
		flush_begin(disk);
	shell_turn(w, s, &ev);
}

bool shell_flush_all(struct tiny *w)
{
	bool any = false;

	for (unsigned i = 0; i < 2; i++) {
		if (w->sides[i].node && w->sides[i].disk.flushing) {
			shell_flushed(w, &w->sides[i]);
			any = true;
		}
	}
	return any;
}

void shell_run(struct tiny *w, ipsp_ms until, bool flushes)
{
	const struct ipsp_event tick = {.type = IPSP_EV_TICK};
	unsigned n = 0;

	while (tiny_failure[0] == '\0') {
		ipsp_ms due;
		struct side *s = shell_next_due(w, &due);

		if (flushes && due > w->now && shell_flush_all(w))
			continue;
		if (due > until)
			break;
		if (++n > STORM) {
			judge_fail(w, "%c is due for ever", s->letter);
			return;
		}
		if (due > w->now)
			w->now = due;
		shell_turn(w, s, &tick);
	}
}

void shell_settle(struct tiny *w)
{
	ipsp_ms due;
	unsigned n = 0;

	while (shell_next_due(w, &due) && due <= w->now + SOON_MS && tiny_failure[0] == '\0') {
		if (++n > STORM) {
			judge_fail(w, "something is due at once for ever");
			return;
		}
		shell_run(w, due > w->now ? due : w->now, false);
	}
}

void shell_pass(struct tiny *w, ipsp_ms ms)
{
	ipsp_ms end = w->now + ms;

	shell_run(w, end, true);
	if (w->now < end)
		w->now = end;
	for (unsigned i = 0; i < 2; i++) { /* session records: within a second */
		struct side *s = &w->sides[i];

		if (s->node && !s->disk.flushing && s->disk.durable < s->disk.log.len)
			flush_begin(&s->disk);
	}
}

/* ---------------------------------------------------------------- life and death */

struct ipsp_node *shell_replay(struct tiny *w, struct side *s, bool to_run)
{
	struct ipsp_node_init init = {.conf = &s->conf, .version = "tiny", .now = w->now};
	const struct ipsp_buf *log = &s->disk.log;
	struct ipsp_node *node;

	init.seed[0] = (uint8_t)(1 + s->number);
	init.seed[1] = (uint8_t)s->life;
	init.seed[2] = to_run;
	node = ipsp_node_new(&init);
	if (!node)
		abort();
	for (size_t at = 0; at < log->len;) {
		size_t n = (size_t)log->data[at] << 8 | log->data[at + 1];

		if (ipsp_node_replay(node, log->data + at + 2, n) != 0)
			judge_fail(w, "%c: a record is refused at replay", s->letter);
		at += 2 + n;
	}
	return node;
}

/* The one thing that a log decides and no digest shows. */
static void note_order(struct tiny *w, struct side *s)
{
	struct ipsp_node *node = shell_replay(w, s, false);
	const struct ipsp_pool *pool = node->pools[0];
	unsigned n = 0;
	uint32_t i;

	memset(s->order, 0, sizeof(s->order));
	for (i = ipsp_pool_first_free(pool); i != IPSP_NO_INDEX; i = ipsp_pool_next_free(pool, i))
		s->order[n++] = (uint8_t)(1 + i);
	n = ADDRS;
	for (i = ipsp_pool_first_away(pool); i != IPSP_NO_INDEX; i = ipsp_pool_next_away(pool, i))
		s->order[n++] = (uint8_t)(1 + i);
	ipsp_node_free(node);
}

static void end_process(struct side *s)
{
	s->hellos = s->node->peer.number;
	s->counter = (uint32_t)s->node->xacts.counter;
	ipsp_node_free(s->node);
	s->node = NULL;
	s->disk.flushing = s->disk.again = false;
	s->ha.sub = 0;
	memset(s->ha.asked, 0, sizeof(s->ha.asked));
	s->licensed = s->licensed_before = s->up_once = false;
}

void tiny_keep_log(struct tiny *w, unsigned side)
{
	struct disk *disk = &w->sides[side].disk;

	ipsp_buf_clear(&disk->kept);
	ipsp_buf_put(&disk->kept, disk->log.data, disk->log.len);
}

void shell_kill(struct tiny *w, struct side *s)
{
	end_process(s);
	note_order(w, s);
}

/* The disk is another one: empty, or a copy of an earlier time. */
void shell_lose_disk(struct tiny *w, struct side *s, bool roll)
{
	struct disk *disk = &s->disk;

	w->books_lost = true;
	ipsp_buf_clear(&disk->log);
	if (roll)
		ipsp_buf_put(&disk->log, disk->kept.data, disk->kept.len);
	disk->durable = disk->log.len;
	disk->lease_boot = 0;
	disk->durable_epoch = disk->epoch = disk->durable_digest = 0;
	note_order(w, s);
}

void shell_power_off(struct tiny *w, struct side *s)
{
	struct disk *disk = &s->disk;

	if (s->node)
		end_process(s);
	s->boot++;
	memset(&s->ha, 0, sizeof(s->ha));
	disk->log.len = disk->durable;
	disk->epoch = disk->durable_epoch;
	note_order(w, s);
}

void shell_start(struct tiny *w, struct side *s)
{
	struct ipsp_start how = {.now = w->now, .same_boot = s->disk.lease_boot == s->boot};
	struct ipsp_event attach = {.type = IPSP_EV_ATTACH,
				    .token = shell_token(s),
				    .ha_name = s->number == P ? "HA1" : "HA2"};

	how.lease = s->disk.lease_boot != 0 ? &s->disk.lease : NULL;
	s->life++;
	s->node = shell_replay(w, s, true);
	s->disk.durable = s->disk.log.len;
	s->disk.durable_digest = ipsp_node_digest(s->node);
	ipsp_node_start(s->node, &how, &s->act);
	judge_started(w, s);
	end_turn(w, s);
	shell_turn(w, s, &attach);
}

/* ---------------------------------------------------------------- the beginning */

static void configure(struct side *s)
{
	struct ipsp_context_conf *c = &s->conf;
	struct ipsp_psp_conf *psp = &c->psp;

	ipsp_conf_init(c, "isp1");
	c->pools = calloc(1, sizeof(*c->pools));
	c->n_pools = 1;
	snprintf(c->pools[0].name, sizeof(c->pools[0].name), "pool");
	c->pools[0].base = shell_address(0);
	c->pools[0].size = ADDRS;
	c->pools[0].plen = 32;
	psp->enabled = true;
	snprintf(psp->interface, sizeof(psp->interface), "lan");
	psp->address = ipsp_addr_v4(0xc0000201 + s->number);
	psp->peer = ipsp_addr_v4(0xc0000202 - s->number);
	psp->address_plen = 24;
	psp->role = s->number == P ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
	psp->mode = IPSP_MODE_ACTIVE;
	psp->dead_interval_ms = DEAD_MS; /* shorter than a file may say; nothing depends on it */
	psp->hello_interval_ms = HELLO_MS;
	psp->request_timeout_ms = 3000;
	psp->release_timeout_ms = 2000;
	psp->block_size = 1;
	psp->durability = IPSP_DURABLE_CRASH;
	psp->port = 4187;
}

struct tiny *tiny_new(void)
{
	struct tiny *w = calloc(1, sizeof(*w));

	w->now = 100000;
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->sides[i];

		s->number = i;
		s->letter = "PS"[i];
		s->boot = 1;
		configure(s);
		ipsp_actions_init(&s->act);
		for (unsigned a = 0; a < ADDRS; a++)
			s->cells[a].own = i == P ? IPSP_OWN_OURS : IPSP_OWN_PEER;
	}
	return w;
}
