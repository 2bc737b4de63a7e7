/*
 * The formats, byte by byte. Numbers are unsigned and in network byte order unless said; str8 is
 * u8 length | that many bytes, text as ipsp_text_ok() wants it, at most 253 bytes.
 *
 * Messages (inside of a sealed datagram, one after the other): u8 type | u16 length of body | body
 *
 *  1 HELLO      u8 version_min | u8 version_max | u32 capabilities | char version[16], padded with
 *     162       zeros, the last byte zero | u32 flags | u64 books | u64 peer_books | u64 epoch |
 *               u64 agreed_epoch | u32 number | u32 heard | u32 promised | u32 dead_ms |
 *               u32 peer_dead_ms | u32 hello_ms | u32 request_timeout_ms |
 *               u32 release_timeout_ms | u8 digest[32] | u64 sent | u64 applied | u64 known |
 *               u64 report | u32 used | u32 spare
 *  2 CONF_ASK   u32 offset
 *  3 CONF_PART  u32 offset | u32 total | u16 n | n bytes;  offset + n <= total
 *  4 REQUEST    u64 id | u64 epoch | u8 select | u16 pool | u16 at_pool | u32 at_index |
 *               u32 count | str8 subscriber | str8 session
 *  5 REFUSE     u64 id | u64 epoch | i32 err (two's complement)
 *  6 ITEM       u32 stream | an item (below), which is the rest of the body
 *  7 ACK        u32 stream | u64 number
 *  8 TAKEOVER   u64 epoch
 *  9 CANCEL     u64 id
 *
 * Items: u64 number | u8 type | u8 flags | u64 request | u16 pool | u8 form | u16 n_set | set
 * An item has no length of its own and nothing behind its set: it is what its carrier (the message,
 * the record) says it is. The set by form, each entry of it in the pool of that number:
 *
 *  1 RUNS       n times  u32 start | u32 count;  count >= 1, start + count <= 2^32 - 1
 *  2 BITS       u32 start | u16 n | n bytes: address start + 8 i + b is meant where bit b (value
 *               1 << b) of byte i is set;  start + 8 n <= 2^32 - 1
 *  3 KEPT       n times  u32 index | u8 use (2 hold, 3 quarantine) | u32 left_s | str8 subscriber
 *  4 WHO        n times  u32 index | str8 subscriber
 *
 * A set of no bytes is empty in every form, and only then the pool may be 65535 (none). GIVE takes
 * RUNS, BITS and KEPT; REPORT, DROP and DROPPED take WHO. Types: 1 GIVE, 2 REPORT, 3 DROP,
 * 4 DROPPED; 5 to 127 can't be skipped, 128 to 255 can. Head and length of the set are the same in
 * all of them; what is in the set of an unknown one is its own.
 */
#include "core/wire.h"
#include "base/err.h"
#include "core/assign.h"
#include <assert.h>
#include <string.h>

#define MSG_HEAD  3
#define ITEM_HEAD 23
#define AT_N_SET  21 /* offset in an item's head */
#define BITS_HEAD 6
#define RUN_LEN	  8

/* ---------------------------------------------------------------- writing into fixed room */

struct out {
	uint8_t *p;
	size_t at, cap;
	bool full; /* something did not fit: the rest is not written either */
};

static void out_number(struct out *out, uint64_t v, size_t n)
{
	if (out->full || n > out->cap - out->at) {
		out->full = true;
		return;
	}
	for (size_t i = n; i-- > 0; v >>= 8)
		out->p[out->at + i] = (uint8_t)v;
	out->at += n;
}

static void out_u8(struct out *out, uint8_t v)
{
	out_number(out, v, 1);
}

static void out_u16(struct out *out, uint16_t v)
{
	out_number(out, v, 2);
}

static void out_u32(struct out *out, uint32_t v)
{
	out_number(out, v, 4);
}

static void out_u64(struct out *out, uint64_t v)
{
	out_number(out, v, 8);
}

static void out_bytes(struct out *out, const void *p, size_t n)
{
	if (out->full || n > out->cap - out->at) {
		out->full = true;
		return;
	}
	if (n > 0)
		memcpy(out->p + out->at, p, n);
	out->at += n;
}

static void out_str8(struct out *out, const char *s, size_t n)
{
	assert(n <= IPSP_NAME_BYTES);
	out_u8(out, (uint8_t)n);
	out_bytes(out, s, n);
}

static void poke_u16(uint8_t *p, size_t v)
{
	assert(v <= UINT16_MAX);
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t peek_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---------------------------------------------------------------- reading */

/* A str8 that is good text, borrowed; anything else fails the reader. */
static const char *take_text(struct ipsp_rd *rd, uint8_t *n)
{
	uint8_t len = ipsp_rd_u8(rd);
	const char *s = (const char *)ipsp_rd_take(rd, len);

	if (!s || !ipsp_text_ok(s, len)) {
		rd->failed = true;
		*n = 0;
		return NULL;
	}
	*n = len;
	return s;
}

static void take_copy(struct ipsp_rd *rd, void *to, size_t n)
{
	const uint8_t *p = ipsp_rd_take(rd, n);

	if (p)
		memcpy(to, p, n);
}

/* ---------------------------------------------------------------- messages */

static void put_hello(struct out *out, const struct ipsp_hello *h)
{
	char version[sizeof(h->version)] = {0};

	memcpy(version, h->version, strnlen(h->version, sizeof(version) - 1));
	out_u8(out, h->version_min);
	out_u8(out, h->version_max);
	out_u32(out, h->capabilities);
	out_bytes(out, version, sizeof(version));
	out_u32(out, h->flags);
	out_u64(out, h->books);
	out_u64(out, h->peer_books);
	out_u64(out, h->epoch);
	out_u64(out, h->agreed_epoch);
	out_u32(out, h->number);
	out_u32(out, h->heard);
	out_u32(out, h->promised);
	out_u32(out, h->dead_ms);
	out_u32(out, h->peer_dead_ms);
	out_u32(out, h->hello_ms);
	out_u32(out, h->request_timeout_ms);
	out_u32(out, h->release_timeout_ms);
	out_bytes(out, h->digest, sizeof(h->digest));
	out_u64(out, h->sent);
	out_u64(out, h->applied);
	out_u64(out, h->known);
	out_u64(out, h->report);
	out_u32(out, h->used);
	out_u32(out, h->spare);
}

static void get_hello(struct ipsp_rd *rd, struct ipsp_hello *h)
{
	const size_t last = sizeof(h->version) - 1;
	size_t n;

	memset(h, 0, sizeof(*h));
	h->version_min = ipsp_rd_u8(rd);
	h->version_max = ipsp_rd_u8(rd);
	h->capabilities = ipsp_rd_u32(rd);
	take_copy(rd, h->version, sizeof(h->version));
	h->flags = ipsp_rd_u32(rd);
	h->books = ipsp_rd_u64(rd);
	h->peer_books = ipsp_rd_u64(rd);
	h->epoch = ipsp_rd_u64(rd);
	h->agreed_epoch = ipsp_rd_u64(rd);
	h->number = ipsp_rd_u32(rd);
	h->heard = ipsp_rd_u32(rd);
	h->promised = ipsp_rd_u32(rd);
	h->dead_ms = ipsp_rd_u32(rd);
	h->peer_dead_ms = ipsp_rd_u32(rd);
	h->hello_ms = ipsp_rd_u32(rd);
	h->request_timeout_ms = ipsp_rd_u32(rd);
	h->release_timeout_ms = ipsp_rd_u32(rd);
	take_copy(rd, h->digest, sizeof(h->digest));
	h->sent = ipsp_rd_u64(rd);
	h->applied = ipsp_rd_u64(rd);
	h->known = ipsp_rd_u64(rd);
	h->report = ipsp_rd_u64(rd);
	h->used = ipsp_rd_u32(rd);
	h->spare = ipsp_rd_u32(rd);

	n = strnlen(h->version, sizeof(h->version));
	if (n > last || !ipsp_text_ok(h->version, n)) /* operators get to see it */
		rd->failed = true;
	else
		memset(h->version + n, 0, sizeof(h->version) - n);
}

static void put_conf_part(struct out *out, const struct ipsp_conf_part *part)
{
	out_u32(out, part->offset);
	out_u32(out, part->total);
	out_u16(out, part->n);
	out_bytes(out, part->bytes, part->n);
}

static void get_conf_part(struct ipsp_rd *rd, struct ipsp_conf_part *part)
{
	part->offset = ipsp_rd_u32(rd);
	part->total = ipsp_rd_u32(rd);
	part->n = ipsp_rd_u16(rd);
	part->bytes = ipsp_rd_take(rd, part->n);
	if ((uint64_t)part->offset + part->n > part->total)
		rd->failed = true;
}

static void put_request(struct out *out, const struct ipsp_request *req)
{
	out_u64(out, req->id);
	out_u64(out, req->epoch);
	out_u8(out, req->select);
	out_u16(out, req->pool);
	out_u16(out, req->at_pool);
	out_u32(out, req->at_index);
	out_u32(out, req->count);
	out_str8(out, req->ident.subscriber, req->ident.n_subscriber);
	out_str8(out, req->ident.session, req->ident.n_session);
}

static void get_request(struct ipsp_rd *rd, struct ipsp_request *req)
{
	req->id = ipsp_rd_u64(rd);
	req->epoch = ipsp_rd_u64(rd);
	req->select = ipsp_rd_u8(rd);
	req->pool = ipsp_rd_u16(rd);
	req->at_pool = ipsp_rd_u16(rd);
	req->at_index = ipsp_rd_u32(rd);
	req->count = ipsp_rd_u32(rd);
	req->ident.subscriber = take_text(rd, &req->ident.n_subscriber);
	req->ident.session = take_text(rd, &req->ident.n_session);
	if (req->select > IPSP_SEL_GROUP)
		rd->failed = true;
}

static void put_refuse(struct out *out, const struct ipsp_refuse *refuse)
{
	out_u64(out, refuse->id);
	out_u64(out, refuse->epoch);
	out_u32(out, (uint32_t)refuse->err);
}

static void get_refuse(struct ipsp_rd *rd, struct ipsp_refuse *refuse)
{
	uint32_t err;

	refuse->id = ipsp_rd_u64(rd);
	refuse->epoch = ipsp_rd_u64(rd);
	err = ipsp_rd_u32(rd);
	memcpy(&refuse->err, &err,
	       sizeof(err)); /* a plain cast above INT32_MAX is the compiler's choice */
}

size_t ipsp_msg_put(uint8_t *buf, size_t at, size_t cap, const struct ipsp_msg *msg)
{
	struct out out = {buf, at, cap, at > cap};

	out_u8(&out, (uint8_t)msg->type);
	out_u16(&out, 0);
	switch (msg->type) {
	case IPSP_MSG_HELLO:
		put_hello(&out, &msg->u.hello);
		break;
	case IPSP_MSG_CONF_ASK:
		out_u32(&out, msg->u.conf.offset);
		break;
	case IPSP_MSG_CONF_PART:
		put_conf_part(&out, &msg->u.conf);
		break;
	case IPSP_MSG_REQUEST:
		put_request(&out, &msg->u.request);
		break;
	case IPSP_MSG_REFUSE:
		put_refuse(&out, &msg->u.refuse);
		break;
	case IPSP_MSG_ITEM:
		out_u32(&out, msg->u.item.stream);
		out_bytes(&out, msg->u.item.bytes, msg->u.item.n);
		break;
	case IPSP_MSG_ACK:
		out_u32(&out, msg->u.ack.stream);
		out_u64(&out, msg->u.ack.number);
		break;
	case IPSP_MSG_TAKEOVER:
		out_u64(&out, msg->u.request.epoch);
		break;
	case IPSP_MSG_CANCEL:
		out_u64(&out, msg->u.request.id);
		break;
	case IPSP_MSG_TYPES:
		return 0;
	}
	if (out.full)
		return 0;
	poke_u16(buf + at + 1, out.at - at - MSG_HEAD);
	return out.at;
}

/* Reads the body of one message; false when its type is not known. A body too short fails @body. */
static bool get_body(struct ipsp_rd *body, unsigned type, struct ipsp_msg *msg)
{
	switch (type) {
	case IPSP_MSG_HELLO:
		get_hello(body, &msg->u.hello);
		break;
	case IPSP_MSG_CONF_ASK:
		msg->u.conf = (struct ipsp_conf_part){.offset = ipsp_rd_u32(body)};
		break;
	case IPSP_MSG_CONF_PART:
		get_conf_part(body, &msg->u.conf);
		break;
	case IPSP_MSG_REQUEST:
		get_request(body, &msg->u.request);
		break;
	case IPSP_MSG_REFUSE:
		get_refuse(body, &msg->u.refuse);
		break;
	case IPSP_MSG_ITEM:
		msg->u.item.stream = ipsp_rd_u32(body);
		msg->u.item.n = (uint16_t)ipsp_rd_left(body);
		msg->u.item.bytes = ipsp_rd_take(body, msg->u.item.n);
		if (msg->u.item.n < ITEM_HEAD || msg->u.item.n > IPSP_ITEM_MAX)
			body->failed = true;
		break;
	case IPSP_MSG_ACK:
		msg->u.ack.stream = ipsp_rd_u32(body);
		msg->u.ack.number = ipsp_rd_u64(body);
		break;
	case IPSP_MSG_TAKEOVER:
		msg->u.request = (struct ipsp_request){.epoch = ipsp_rd_u64(body)};
		break;
	case IPSP_MSG_CANCEL:
		msg->u.request = (struct ipsp_request){.id = ipsp_rd_u64(body)};
		break;
	default:
		return false;
	}
	msg->type = (enum ipsp_msg_type)type;
	return true;
}

int ipsp_msg_next(struct ipsp_rd *rd, struct ipsp_msg *msg)
{
	while (ipsp_rd_left(rd) > 0) {
		unsigned type = ipsp_rd_u8(rd);
		uint16_t n = ipsp_rd_u16(rd);
		const uint8_t *p = ipsp_rd_take(rd, n);
		struct ipsp_rd body;

		if (!p)
			return IPSP_ERR_FORMAT;
		body = ipsp_rd_of(p, n);
		if (!get_body(&body, type, msg))
			continue; /* of a later version: skipped */
		if (body.failed) {
			rd->failed = true;
			return IPSP_ERR_FORMAT;
		}
		return 1;
	}
	return rd->failed ? IPSP_ERR_FORMAT : 0;
}

/* ---------------------------------------------------------------- items: writing */

void ipsp_item_begin(struct ipsp_item_writer *w, uint64_t number, enum ipsp_item_type type,
		     uint8_t flags, uint64_t request, uint16_t pool, enum ipsp_set_form form)
{
	struct out out = {w->bytes, 0, sizeof(w->bytes), false};

	out_u64(&out, number);
	out_u8(&out, (uint8_t)type);
	out_u8(&out, flags);
	out_u64(&out, request);
	out_u16(&out, pool);
	out_u8(&out, (uint8_t)form);
	out_u16(&out, 0);
	assert(out.at == ITEM_HEAD);
	w->n = out.at;
	w->form = form;
	w->n_entries = 0;
}

/* What was appended counts only when all of it fitted. */
static bool item_commit(struct ipsp_item_writer *w, const struct out *out)
{
	if (out->full)
		return false;
	w->n = out->at;
	w->n_entries++;
	return true;
}

bool ipsp_item_add_run(struct ipsp_item_writer *w, uint32_t start, uint32_t count)
{
	struct out out = {w->bytes, w->n, sizeof(w->bytes), false};

	assert(w->form == IPSP_SET_RUNS && count <= UINT32_MAX - start);
	if (count == 0)
		return true;
	if (w->n_entries > 0) { /* one that begins where the last one ends lengthens it */
		uint32_t last = peek_u32(w->bytes + w->n - RUN_LEN);
		uint32_t n = peek_u32(w->bytes + w->n - RUN_LEN + 4);

		if (last + n == start) {
			out.at -= 4;
			out_u32(&out, n + count);
			return true;
		}
	}
	out_u32(&out, start);
	out_u32(&out, count);
	return item_commit(w, &out);
}

bool ipsp_item_add_bit(struct ipsp_item_writer *w, uint32_t index)
{
	const size_t at_bits = ITEM_HEAD + BITS_HEAD;
	uint32_t start, byte;

	assert(w->form == IPSP_SET_BITS);
	if (index > UINT32_MAX - 8) /* the bits of its byte would pass the last number */
		return false;
	if (w->n_entries == 0) {
		struct out out = {w->bytes, w->n, sizeof(w->bytes), false};

		out_u32(&out, index);
		out_u16(&out, 0);
		w->n = out.at;
	}
	start = peek_u32(w->bytes + ITEM_HEAD);
	byte = (index - start) / 8;
	if (index < start || byte >= sizeof(w->bytes) - at_bits)
		return false;
	for (; w->n <= at_bits + byte; w->n++)
		w->bytes[w->n] = 0;
	w->bytes[at_bits + byte] |= (uint8_t)(1u << ((index - start) % 8));
	w->n_entries++;
	return true;
}

bool ipsp_item_add_kept(struct ipsp_item_writer *w, uint32_t index, uint8_t use, uint32_t left_s,
			const char *subscriber, size_t n)
{
	struct out out = {w->bytes, w->n, sizeof(w->bytes), false};

	assert(w->form == IPSP_SET_KEPT && (use == IPSP_USE_HOLD || use == IPSP_USE_QUARANTINE));
	out_u32(&out, index);
	out_u8(&out, use);
	out_u32(&out, left_s);
	out_str8(&out, subscriber, n);
	return item_commit(w, &out);
}

bool ipsp_item_add_who(struct ipsp_item_writer *w, uint32_t index, const char *subscriber, size_t n)
{
	struct out out = {w->bytes, w->n, sizeof(w->bytes), false};

	assert(w->form == IPSP_SET_WHO);
	out_u32(&out, index);
	out_str8(&out, subscriber, n);
	return item_commit(w, &out);
}

size_t ipsp_item_end(struct ipsp_item_writer *w)
{
	poke_u16(w->bytes + AT_N_SET, w->n - ITEM_HEAD);
	if (w->form == IPSP_SET_BITS && w->n_entries > 0)
		poke_u16(w->bytes + ITEM_HEAD + 4, w->n - ITEM_HEAD - BITS_HEAD);
	return w->n;
}

/* ---------------------------------------------------------------- items: reading */

/* What may be made of the set of this type: 0, or why nothing can. */
static int form_fits(unsigned type, unsigned form)
{
	bool who = form == IPSP_SET_WHO, known = form >= IPSP_SET_RUNS && form <= IPSP_SET_WHO;

	switch (type) {
	case IPSP_ITEM_GIVE:
		return !known ? IPSP_ERR_VERSION : who ? IPSP_ERR_FORMAT : 0;
	case IPSP_ITEM_REPORT:
	case IPSP_ITEM_DROP:
	case IPSP_ITEM_DROPPED:
		return !known ? IPSP_ERR_VERSION : who ? 0 : IPSP_ERR_FORMAT;
	default:
		return IPSP_ERR_VERSION;
	}
}

void ipsp_set_begin(struct ipsp_set_iter *it, const struct ipsp_item *item)
{
	*it = (struct ipsp_set_iter){.rd = ipsp_rd_of(item->set, item->n_set), .form = item->form};
	if (item->form == IPSP_SET_BITS && item->n_set > 0) {
		it->start = ipsp_rd_u32(&it->rd);
		it->n_bits = 8u * ipsp_rd_u16(&it->rd);
		if (it->n_bits != 8 * ipsp_rd_left(&it->rd) || it->start > UINT32_MAX - it->n_bits)
			it->rd.failed = true;
	}
}

static bool next_run(struct ipsp_rd *rd, struct ipsp_set_entry *entry)
{
	if (ipsp_rd_left(rd) == 0)
		return false;
	entry->start = ipsp_rd_u32(rd);
	entry->count = ipsp_rd_u32(rd);
	if (entry->count == 0 || entry->count > UINT32_MAX - entry->start)
		rd->failed = true;
	return !rd->failed;
}

static bool bit_is_set(const struct ipsp_set_iter *it, uint32_t bit)
{
	return it->rd.p[bit / 8] >> (bit % 8) & 1; /* .p stays at the first byte of the bits */
}

static bool next_bits(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	if (it->rd.failed)
		return false;
	while (it->bit < it->n_bits && !bit_is_set(it, it->bit))
		it->bit += it->bit % 8 == 0 && it->rd.p[it->bit / 8] == 0 ? 8 : 1;
	if (it->bit >= it->n_bits)
		return false;
	entry->start = it->start + it->bit;
	while (it->bit < it->n_bits && bit_is_set(it, it->bit))
		it->bit++;
	entry->count = it->start + it->bit - entry->start;
	return true;
}

static bool next_named(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	struct ipsp_rd *rd = &it->rd;

	if (ipsp_rd_left(rd) == 0)
		return false;
	entry->start = ipsp_rd_u32(rd);
	entry->count = 1;
	if (it->form == IPSP_SET_KEPT) {
		entry->use = ipsp_rd_u8(rd);
		entry->left_s = ipsp_rd_u32(rd);
		if (entry->use != IPSP_USE_HOLD && entry->use != IPSP_USE_QUARANTINE)
			rd->failed = true;
	}
	entry->subscriber = take_text(rd, &entry->n_subscriber);
	if (entry->start == UINT32_MAX) /* no index */
		rd->failed = true;
	return !rd->failed;
}

bool ipsp_set_next(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	*entry = (struct ipsp_set_entry){0};
	switch (it->form) {
	case IPSP_SET_RUNS:
		return next_run(&it->rd, entry);
	case IPSP_SET_BITS:
		return next_bits(it, entry);
	case IPSP_SET_KEPT:
	case IPSP_SET_WHO:
		return next_named(it, entry);
	}
	return false;
}

int ipsp_item_again(const uint8_t *bytes, size_t n, struct ipsp_item *item)
{
	struct ipsp_rd rd = ipsp_rd_of(bytes, n);
	unsigned type, form;
	int err;

	item->number = ipsp_rd_u64(&rd);
	type = ipsp_rd_u8(&rd);
	item->flags = ipsp_rd_u8(&rd);
	item->request = ipsp_rd_u64(&rd);
	item->pool = ipsp_rd_u16(&rd);
	form = ipsp_rd_u8(&rd);
	item->n_set = ipsp_rd_u16(&rd);
	item->set = ipsp_rd_take(&rd, item->n_set);
	if (rd.failed || ipsp_rd_left(&rd) > 0 || n > IPSP_ITEM_MAX)
		return IPSP_ERR_FORMAT;
	if (type & IPSP_ITEM_MAY_SKIP) {
		*item = (struct ipsp_item){.number = item->number,
					   .type = IPSP_ITEM_SKIPPED,
					   .pool = IPSP_NO_POOL,
					   .form = IPSP_SET_RUNS,
					   .set = item->set};
		return 0;
	}
	err = form_fits(type, form);
	if (err)
		return err;
	if (item->n_set > 0 && item->pool == IPSP_NO_POOL)
		return IPSP_ERR_FORMAT;
	item->type = (enum ipsp_item_type)type;
	item->form = (enum ipsp_set_form)form;
	return 0;
}

int ipsp_item_parse(const uint8_t *bytes, size_t n, struct ipsp_item *item)
{
	struct ipsp_item found;
	struct ipsp_set_iter it;
	struct ipsp_set_entry entry;

	const int err = ipsp_item_again(bytes, n, &found);
	if (err == IPSP_ERR_VERSION)
		*item = (struct ipsp_item){.number = found.number};
	if (err)
		return err;
	/* walked here once, so that nobody who walks it later meets anything malformed */
	ipsp_set_begin(&it, &found);
	while (ipsp_set_next(&it, &entry))
		;
	if (it.rd.failed)
		return IPSP_ERR_FORMAT;
	*item = found;
	return 0;
}
