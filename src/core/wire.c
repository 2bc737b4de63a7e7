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
 *  6 ITEM       u32 stream | an item (item.c), which is the rest of the body
 *  7 ACK        u32 stream | u64 number
 *  8 TAKEOVER   u64 epoch
 *  9 CANCEL     u64 id
 * 10 RENEW      u8 flags (1: .has; the others are of a later version) | u8 public[32]
 */
#include "core/wire.h"
#include "base/err.h"
#include "base/must.h"
#include "core/assign.h"
#include <string.h>

#define MSG_HEAD     3
#define REQUEST_HEAD 29 /* before the texts */
#define RENEW_HAS    1

/* ---------------------------------------------------------------- writing into fixed room */

struct out {
	uint8_t *p;
	size_t at, cap;
	bool full; /* something did not fit: the rest is not written either */
};

/* Where the next @n bytes go; NULL: they don't fit. */
static uint8_t *out_room(struct out *out, size_t n)
{
	uint8_t *p = out->p + out->at;

	if (out->full || n > out->cap - out->at) {
		out->full = true;
		return NULL;
	}
	out->at += n;
	return p;
}

static void out_u8(struct out *out, uint8_t v)
{
	uint8_t *p = out_room(out, sizeof(v));

	if (p)
		*p = v;
}

static void out_u16(struct out *out, uint16_t v)
{
	uint8_t *p = out_room(out, sizeof(v));

	if (p)
		ipsp_store_u16(p, v);
}

static void out_u32(struct out *out, uint32_t v)
{
	uint8_t *p = out_room(out, sizeof(v));

	if (p)
		ipsp_store_u32(p, v);
}

static void out_u64(struct out *out, uint64_t v)
{
	uint8_t *p = out_room(out, sizeof(v));

	if (p)
		ipsp_store_u64(p, v);
}

static void out_bytes(struct out *out, const void *bytes, size_t n)
{
	uint8_t *p = out_room(out, n);

	if (p && n > 0)
		memcpy(p, bytes, n);
}

static void out_str8(struct out *out, const char *s, size_t n)
{
	uint8_t *p = out_room(out, 1 + n);

	IPSP_MUST(n <= IPSP_NAME_BYTES);
	if (!p)
		return;
	*p = (uint8_t)n;
	ipsp_copy_text(p + 1, s, n);
}

/* ---------------------------------------------------------------- reading */

/* A str8 that is good text, borrowed; anything else fails the reader. @again: it was looked at. */
static const char *take_text(struct ipsp_rd *rd, uint8_t *n, bool again)
{
	uint8_t len = ipsp_rd_u8(rd);
	const char *s = (const char *)ipsp_rd_take(rd, len);

	if (!s || (!again && !ipsp_text_ok(s, len))) {
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
	uint8_t *p = out_room(out, REQUEST_HEAD);

	if (!p)
		return;
	ipsp_store_u64(p, req->id);
	ipsp_store_u64(p + 8, req->epoch);
	p[16] = req->select;
	ipsp_store_u16(p + 17, req->pool);
	ipsp_store_u16(p + 19, req->at_pool);
	ipsp_store_u32(p + 21, req->at_index);
	ipsp_store_u32(p + 25, req->count);
	out_str8(out, req->ident.subscriber, req->ident.n_subscriber);
	out_str8(out, req->ident.session, req->ident.n_session);
}

static void get_request(struct ipsp_rd *rd, struct ipsp_request *req, bool again)
{
	const uint8_t *p = ipsp_rd_take(rd, REQUEST_HEAD);

	if (!p)
		return;
	req->id = ipsp_load_u64(p);
	req->epoch = ipsp_load_u64(p + 8);
	req->select = p[16];
	req->pool = ipsp_load_u16(p + 17);
	req->at_pool = ipsp_load_u16(p + 19);
	req->at_index = ipsp_load_u32(p + 21);
	req->count = ipsp_load_u32(p + 25);
	req->ident.subscriber = take_text(rd, &req->ident.n_subscriber, again);
	req->ident.session = take_text(rd, &req->ident.n_session, again);
	req->ident.hash = 0;
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

static void put_renew(struct out *out, const struct ipsp_renew *renew)
{
	out_u8(out, renew->has ? RENEW_HAS : 0);
	out_bytes(out, renew->public, sizeof(renew->public));
}

static void get_renew(struct ipsp_rd *rd, struct ipsp_renew *renew)
{
	renew->has = ipsp_rd_u8(rd) & RENEW_HAS;
	take_copy(rd, renew->public, sizeof(renew->public));
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
	case IPSP_MSG_RENEW:
		put_renew(&out, &msg->u.renew);
		break;
	case IPSP_MSG_TYPES:
		return 0;
	}
	if (out.full)
		return 0;
	ipsp_store_u16(buf + at + 1, (uint16_t)(out.at - at - MSG_HEAD));
	return out.at;
}

/* Reads the body of one message; false when its type is not known. A body too short fails @body. */
static bool get_body(struct ipsp_rd *body, unsigned type, struct ipsp_msg *msg, bool again)
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
		get_request(body, &msg->u.request, again);
		break;
	case IPSP_MSG_REFUSE:
		get_refuse(body, &msg->u.refuse);
		break;
	case IPSP_MSG_ITEM:
		msg->u.item.stream = ipsp_rd_u32(body);
		msg->u.item.n = (uint16_t)ipsp_rd_left(body);
		msg->u.item.bytes = ipsp_rd_take(body, msg->u.item.n);
		if (msg->u.item.n < IPSP_ITEM_HEAD || msg->u.item.n > IPSP_ITEM_MAX)
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
	case IPSP_MSG_RENEW:
		get_renew(body, &msg->u.renew);
		break;
	default:
		return false;
	}
	msg->type = (enum ipsp_msg_type)type;
	return true;
}

static int next(struct ipsp_rd *rd, struct ipsp_msg *msg, bool again)
{
	while (ipsp_rd_left(rd) > 0) {
		const uint8_t *head = ipsp_rd_take(rd, MSG_HEAD);
		const size_t n = head ? ipsp_load_u16(head + 1) : 0;
		const uint8_t *p = ipsp_rd_take(rd, n);
		struct ipsp_rd body;

		if (!p)
			return IPSP_ERR_FORMAT;
		body = ipsp_rd_of(p, n);
		if (!get_body(&body, head[0], msg, again))
			continue; /* of a later version: skipped */
		if (body.failed) {
			rd->failed = true;
			return IPSP_ERR_FORMAT;
		}
		return 1;
	}
	return rd->failed ? IPSP_ERR_FORMAT : 0;
}

int ipsp_msg_next(struct ipsp_rd *rd, struct ipsp_msg *msg)
{
	return next(rd, msg, false);
}

bool ipsp_msg_again(struct ipsp_rd *rd, struct ipsp_msg *msg)
{
	return next(rd, msg, true) > 0;
}
