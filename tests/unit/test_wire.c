/* wire: every message and item there and back, byte by byte, cut short, and malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the five above first */
#include "base/err.h"
#include "core/assign.h"
#include "core/wire.h"
#include <cmocka.h>

static uint8_t buf[IPSP_PLAIN_MAX];

static struct ipsp_ident ident(const char *subscriber, const char *session)
{
	return (struct ipsp_ident){subscriber, session, (uint8_t)strlen(subscriber),
				   (uint8_t)strlen(session), 0};
}

static struct ipsp_msg a_hello(void)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_HELLO};
	struct ipsp_hello *h = &msg.u.hello;

	h->version_min = 1;
	h->version_max = 2;
	h->capabilities = 0x01020304;
	strcpy(h->version, "1.0.0");
	h->flags = IPSP_HF_PRIMARY | IPSP_HF_BYE_LOAN;
	h->books = 0x1112131415161718;
	h->peer_books = 0x2122232425262728;
	h->epoch = 0x3132333435363738;
	h->agreed_epoch = 0x4142434445464748;
	h->number = 0x51525354;
	h->heard = 0x61626364;
	h->promised = 0x71727374;
	h->dead_ms = 0x81828384;
	h->peer_dead_ms = 0x91929394;
	h->hello_ms = 0xa1a2a3a4;
	h->request_timeout_ms = 0xb1b2b3b4;
	h->release_timeout_ms = 0xc1c2c3c4;
	memset(h->digest, 0xdd, sizeof(h->digest));
	h->sent = 0xe1e2e3e4e5e6e7e8;
	h->applied = 0xf1f2f3f4f5f6f7f8;
	h->known = 0x0102030405060708;
	h->report = 0x1122334455667788;
	h->used = 0x99aabbcc;
	h->spare = 0xddeeff00;
	return msg;
}

static struct ipsp_msg a_request(void)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_REQUEST};

	msg.u.request = (struct ipsp_request){.id = 7,
					      .epoch = 3,
					      .select = IPSP_SEL_GROUP,
					      .pool = 2,
					      .at_pool = IPSP_NO_POOL,
					      .at_index = 9,
					      .count = 64,
					      .ident = ident("u1@isp", "s1")};
	return msg;
}

/* The one message in the first @n bytes of buf. */
static struct ipsp_msg get_one(size_t n)
{
	struct ipsp_rd rd = ipsp_rd_of(buf, n);
	struct ipsp_msg msg, more;

	memset(&msg, 0, sizeof(msg));
	assert_int_equal(ipsp_msg_next(&rd, &msg), 1);
	assert_int_equal(ipsp_msg_next(&rd, &more), 0);
	return msg;
}

static struct ipsp_msg there_and_back(const struct ipsp_msg *msg)
{
	size_t n = ipsp_msg_put(buf, 0, sizeof(buf), msg);
	struct ipsp_msg got;

	assert_true(n > 3);
	got = get_one(n);
	assert_int_equal(got.type, msg->type);
	return got;
}

/* Every length that is less fails, and so does the room for it; one byte more changes nothing. */
static void check_lengths(const struct ipsp_msg *msg)
{
	uint8_t whole[IPSP_PLAIN_MAX], again[IPSP_PLAIN_MAX];
	size_t n = ipsp_msg_put(whole, 0, sizeof(whole), msg);
	struct ipsp_msg got;

	assert_true(n > 3);
	for (size_t cap = 0; cap < n; cap++) {
		struct ipsp_rd rd;

		memset(again, 0xee, sizeof(again));
		assert_int_equal(ipsp_msg_put(again, 0, cap, msg), 0);
		assert_int_equal(again[cap], 0xee);
		rd = ipsp_rd_of(whole, cap); /* cut off */
		assert_int_equal(ipsp_msg_next(&rd, &got), cap ? IPSP_ERR_FORMAT : 0);
		if (cap < 3 || msg->type == IPSP_MSG_ITEM)
			continue;
		memcpy(again, whole, cap); /* a shorter body, said so */
		again[1] = (uint8_t)((cap - 3) >> 8);
		again[2] = (uint8_t)(cap - 3);
		rd = ipsp_rd_of(again, cap);
		assert_int_equal(ipsp_msg_next(&rd, &got), IPSP_ERR_FORMAT);
		assert_int_equal(ipsp_msg_next(&rd, &got), IPSP_ERR_FORMAT); /* and it stays so */
	}
	if (msg->type == IPSP_MSG_ITEM)
		return;
	memcpy(buf, whole, n);
	buf[n] = 0x55; /* a later version has put something behind */
	buf[1] = (uint8_t)((n - 2) >> 8);
	buf[2] = (uint8_t)(n - 2);
	got = get_one(n + 1);
	assert_int_equal(ipsp_msg_put(again, 0, sizeof(again), &got), n);
	assert_memory_equal(again, whole, n);
}

/* ---------------------------------------------------------------- messages */

static void test_hello(void **state)
{
	struct ipsp_msg msg = a_hello(), got;
	size_t n;

	(void)state;
	got = there_and_back(&msg);
	assert_memory_equal(&got.u.hello, &msg.u.hello, sizeof(msg.u.hello));
	check_lengths(&msg);
	n = ipsp_msg_put(buf, 0, sizeof(buf), &msg);
	assert_int_equal(n, 3 + 162);
	assert_memory_equal(buf,
			    "\1\0\xa2\1\2\1\2\3\4"
			    "1.0.0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1",
			    29);
	assert_memory_equal(buf + 29, "\x11\x12\x13\x14\x15\x16\x17\x18\x21", 9);
	assert_memory_equal(buf + n - 8, "\x99\xaa\xbb\xcc\xdd\xee\xff\x00", 8);

	/* what operators get to see is text that ends */
	memset(buf + 9, 'x', 16);
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);
	memset(buf + 9, 0, 16);
	buf[9] = '\n';
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);
	buf[9] = 0;
	buf[10] = 'x'; /* behind the end: not seen */
	got = get_one(n);
	assert_int_equal(got.u.hello.version[1], 0);
	memset(msg.u.hello.version, 'y', 16); /* too long a one of ours is cut */
	assert_string_equal(there_and_back(&msg).u.hello.version, "yyyyyyyyyyyyyyy");
}

static void test_request(void **state)
{
	static const uint8_t want[] =
		"\4\0\x27\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\3\2\0\2\xff\xff\0\0\0\x09\0\0\0\x40"
		"\6u1@isp\2s1";
	struct ipsp_msg msg = a_request(), got;
	char name[IPSP_NAME_BYTES];
	size_t n;

	(void)state;
	n = ipsp_msg_put(buf, 0, sizeof(buf), &msg);
	assert_int_equal(n, sizeof(want) - 1);
	assert_memory_equal(buf, want, n);
	got = there_and_back(&msg);
	assert_int_equal(got.u.request.id, 7);
	assert_int_equal(got.u.request.epoch, 3);
	assert_int_equal(got.u.request.select, IPSP_SEL_GROUP);
	assert_int_equal(got.u.request.pool, 2);
	assert_int_equal(got.u.request.at_pool, IPSP_NO_POOL);
	assert_int_equal(got.u.request.at_index, 9);
	assert_int_equal(got.u.request.count, 64);
	assert_int_equal(got.u.request.ident.n_subscriber, 6);
	assert_memory_equal(got.u.request.ident.subscriber, "u1@isp", 6);
	assert_int_equal(got.u.request.ident.n_session, 2);
	assert_memory_equal(got.u.request.ident.session, "s1", 2);
	check_lengths(&msg);

	ipsp_msg_put(buf, 0, sizeof(buf), &msg);
	buf[19] = 3; /* a way to select that there is not */
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);
	buf[19] = 2;
	buf[34] = 0x80; /* no text */
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);

	memset(name, 'n', sizeof(name)); /* the longest names, and none */
	msg.u.request.ident = (struct ipsp_ident){name, name, sizeof(name), sizeof(name), 0};
	assert_memory_equal(there_and_back(&msg).u.request.ident.session, name, sizeof(name));
	msg.u.request.ident = (struct ipsp_ident){NULL, NULL, 0, 0, 0};
	assert_int_equal(there_and_back(&msg).u.request.ident.n_subscriber, 0);
}

static void test_small_messages(void **state)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_REFUSE}, got;

	(void)state;
	msg.u.refuse = (struct ipsp_refuse){.id = 5, .epoch = 6, .err = IPSP_ERR_IN_USE};
	got = there_and_back(&msg);
	assert_memory_equal(buf + 19, "\xff\xff\xff\xfa", 4);
	assert_int_equal(got.u.refuse.id, 5);
	assert_int_equal(got.u.refuse.epoch, 6);
	assert_int_equal(got.u.refuse.err, IPSP_ERR_IN_USE);
	check_lengths(&msg);

	msg = (struct ipsp_msg){.type = IPSP_MSG_ACK};
	msg.u.ack.stream = 0xfefdfcfb;
	msg.u.ack.number = 0x0102030405060708;
	got = there_and_back(&msg);
	assert_memory_equal(buf, "\7\0\x0c\xfe\xfd\xfc\xfb\1\2\3\4\5\6\7\x08", 15);
	assert_int_equal(got.u.ack.stream, 0xfefdfcfb);
	assert_int_equal(got.u.ack.number, 0x0102030405060708);
	check_lengths(&msg);

	msg = (struct ipsp_msg){.type = IPSP_MSG_TAKEOVER, .u.request.epoch = 77};
	assert_int_equal(there_and_back(&msg).u.request.epoch, 77);
	check_lengths(&msg);

	msg = (struct ipsp_msg){.type = IPSP_MSG_CANCEL, .u.request.id = 78};
	assert_int_equal(there_and_back(&msg).u.request.id, 78);
	check_lengths(&msg);

	msg = (struct ipsp_msg){.type = IPSP_MSG_CONF_ASK, .u.conf.offset = 1000};
	assert_int_equal(there_and_back(&msg).u.conf.offset, 1000);
	check_lengths(&msg);

	msg = (struct ipsp_msg){.type = IPSP_MSG_RENEW, .u.renew.has = true};
	memset(msg.u.renew.public, 0x55, sizeof(msg.u.renew.public));
	got = there_and_back(&msg);
	assert_memory_equal(buf, "\x0a\0\x21\1\x55", 5);
	assert_true(got.u.renew.has);
	assert_memory_equal(got.u.renew.public, msg.u.renew.public, sizeof(got.u.renew.public));
	check_lengths(&msg);

	msg.type = IPSP_MSG_TYPES;
	assert_int_equal(ipsp_msg_put(buf, 0, sizeof(buf), &msg), 0);
}

static void test_conf_part(void **state)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_CONF_PART}, got;
	size_t n;

	(void)state;
	msg.u.conf = (struct ipsp_conf_part){10, 14, (const uint8_t *)"pool", 4};
	got = there_and_back(&msg);
	assert_int_equal(got.u.conf.offset, 10);
	assert_int_equal(got.u.conf.total, 14);
	assert_int_equal(got.u.conf.n, 4);
	assert_memory_equal(got.u.conf.bytes, "pool", 4);
	check_lengths(&msg);
	msg.u.conf.total = 13; /* reaches past what there is */
	n = ipsp_msg_put(buf, 0, sizeof(buf), &msg);
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);
	msg.u.conf.offset = UINT32_MAX - 1;
	msg.u.conf.total = UINT32_MAX;
	n = ipsp_msg_put(buf, 0, sizeof(buf), &msg);
	assert_int_equal(ipsp_msg_next(&(struct ipsp_rd){buf, buf + n, false}, &got),
			 IPSP_ERR_FORMAT);
}

/* One datagram with many: in order, unknown ones skipped, a bad one the end of all. */
static void test_many(void **state)
{
	struct ipsp_msg ack = {.type = IPSP_MSG_ACK}, req = a_request(), msg;
	struct ipsp_rd rd;
	size_t n = 0;

	(void)state;
	ack.u.ack.number = 1;
	n = ipsp_msg_put(buf, n, sizeof(buf), &ack);
	memcpy(buf + n, "\xc8\0\2xy", 5); /* of a later version */
	n += 5;
	memcpy(buf + n, "\0\0\0", 3);
	n = ipsp_msg_put(buf, n + 3, sizeof(buf), &req);
	memcpy(buf + n, "\x0b\0\0", 3);
	n += 3;
	rd = ipsp_rd_of(buf, n);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 1);
	assert_int_equal(msg.type, IPSP_MSG_ACK);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 1);
	assert_int_equal(msg.type, IPSP_MSG_REQUEST);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 0);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 0);

	buf[n] = 7; /* a type, and then nothing */
	rd = ipsp_rd_of(buf, n + 1);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 1);
	assert_int_equal(ipsp_msg_next(&rd, &msg), 1);
	assert_int_equal(ipsp_msg_next(&rd, &msg), IPSP_ERR_FORMAT);
	assert_int_equal(ipsp_msg_put(buf, 20, 10, &ack), 0);

	for (n = 0; (n = ipsp_msg_put(buf, n, sizeof(buf), &ack)) > 0;)
		rd = ipsp_rd_of(buf, n);
	for (n = 0; ipsp_msg_next(&rd, &msg) == 1; n++)
		;
	assert_int_equal(n, IPSP_PLAIN_MAX / 15);
}

/* ---------------------------------------------------------------- items */

static struct ipsp_item parse(struct ipsp_item_writer *w)
{
	struct ipsp_item item = {0};

	assert_int_equal(ipsp_item_parse(w->bytes, ipsp_item_end(w), &item), 0);
	return item;
}

static void bad_item(const struct ipsp_item_writer *w, size_t n)
{
	struct ipsp_item item = {.number = 99};

	assert_int_equal(ipsp_item_parse(w->bytes, n, &item), IPSP_ERR_FORMAT);
	assert_int_equal(item.number, 99);
}

/* Of a later version: only its number is known. */
static void later_item(const struct ipsp_item_writer *w, size_t n)
{
	struct ipsp_item item = {.number = 99, .flags = 7};

	assert_int_equal(ipsp_item_parse(w->bytes, n, &item), IPSP_ERR_VERSION);
	assert_int_equal(item.number, 1);
	assert_int_equal(item.flags, 0);
}

static void expect_run(struct ipsp_set_iter *it, uint32_t start, uint32_t count)
{
	struct ipsp_set_entry e;

	assert_true(ipsp_set_next(it, &e));
	assert_int_equal(e.start, start);
	assert_int_equal(e.count, count);
}

static void expect_end(struct ipsp_set_iter *it)
{
	struct ipsp_set_entry e;

	assert_false(ipsp_set_next(it, &e));
	assert_false(ipsp_set_next(it, &e));
}

static void test_item_runs(void **state)
{
	static const uint8_t want[] = "\0\0\0\0\0\0\0\x2a\1\1\0\0\0\0\0\0\0\7\0\3\1\0\x10"
				      "\0\0\0\x0a\0\0\0\x06\0\0\0\5\0\0\0\1";
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM}, got;
	size_t n;

	(void)state;
	ipsp_item_begin(&w, 42, IPSP_ITEM_GIVE, IPSP_GIVE_FIRST, 7, 3, IPSP_SET_RUNS);
	assert_true(ipsp_item_add_run(&w, 10, 4));
	assert_true(ipsp_item_add_run(&w, 14, 2)); /* lengthens the one before */
	assert_true(ipsp_item_add_run(&w, 77, 0)); /* nothing */
	assert_true(
		ipsp_item_add_run(&w, 5, 1)); /* in the order of the giver, not of the numbers */
	n = ipsp_item_end(&w);
	assert_int_equal(n, sizeof(want) - 1);
	assert_memory_equal(w.bytes, want, n);
	item = parse(&w);
	assert_int_equal(item.number, 42);
	assert_int_equal(item.type, IPSP_ITEM_GIVE);
	assert_int_equal(item.flags, IPSP_GIVE_FIRST);
	assert_int_equal(item.request, 7);
	assert_int_equal(item.pool, 3);
	ipsp_set_begin(&it, &item);
	expect_run(&it, 10, 6);
	expect_run(&it, 5, 1);
	expect_end(&it);

	msg.u.item.bytes = w.bytes;
	msg.u.item.n = (uint16_t)n;
	msg.u.item.stream = 0x01020304;
	got = there_and_back(&msg);
	assert_memory_equal(buf, "\6\0\x2b\1\2\3\4\0", 8);
	assert_int_equal(got.u.item.stream, 0x01020304);
	assert_int_equal(got.u.item.n, n);
	assert_memory_equal(got.u.item.bytes, w.bytes, n);
	check_lengths(&msg);

	for (size_t i = 0; i < n; i++)
		bad_item(&w, i);
	w.bytes[n] = 0;
	bad_item(&w, n + 1);
	memcpy(w.bytes + 23, "\xff\xff\xff\xf0\0\0\0\x0f", 8); /* up to the last number there is */
	assert_int_equal(ipsp_item_parse(w.bytes, n, &item), 0);
	w.bytes[30] = 0x10; /* past it */
	bad_item(&w, n);
	w.bytes[30] = 0; /* none */
	bad_item(&w, n);
}

static void test_item_full(void **state)
{
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;
	struct ipsp_set_entry e;
	uint32_t n = 0, got = 0;
	char name[IPSP_NAME_BYTES];

	(void)state;
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	while (ipsp_item_add_run(&w, 10 * n, 2))
		n++;
	assert_int_equal(n, (IPSP_ITEM_MAX - 23) / 8);
	assert_int_equal(w.n_entries, n);
	assert_true(ipsp_item_add_run(&w, 10 * (n - 1) + 2, 5)); /* the last one can still grow */
	item = parse(&w);
	for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e); got++)
		assert_int_equal(e.start, 10 * got);
	assert_int_equal(got, n);

	memset(name, 'n', sizeof(name));
	ipsp_item_begin(&w, 1, IPSP_ITEM_DROP, 0, 0, 0, IPSP_SET_WHO);
	for (n = 0; ipsp_item_add_who(&w, n, name, sizeof(name)); n++)
		;
	assert_int_equal(n, (IPSP_ITEM_MAX - 23) / 258);
	assert_true(ipsp_item_add_who(&w, n, name, 3)); /* what did not fit left nothing behind */
	item = parse(&w);
	for (got = 0, ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e); got++)
		assert_int_equal(e.n_subscriber, got < n ? sizeof(name) : 3);
	assert_int_equal(got, n + 1);
}

static void test_item_bits(void **state)
{
	static const uint8_t set[] = {0, 0, 3, 0xe8, 0, 3, 0x0b, 0, 0x80};
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;
	size_t n;

	(void)state;
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_BITS);
	assert_true(ipsp_item_add_bit(&w, 1000));
	assert_true(ipsp_item_add_bit(&w, 1001));
	assert_true(ipsp_item_add_bit(&w, 1003));
	assert_true(ipsp_item_add_bit(&w, 1023));
	assert_false(ipsp_item_add_bit(&w, 999));		       /* before the start */
	assert_false(ipsp_item_add_bit(&w, 1000 + 8 * IPSP_ITEM_MAX)); /* no room */
	assert_false(ipsp_item_add_bit(&w, UINT32_MAX));
	n = ipsp_item_end(&w);
	assert_int_equal(n, 23 + sizeof(set));
	assert_memory_equal(w.bytes + 23, set, sizeof(set));
	item = parse(&w);
	ipsp_set_begin(&it, &item);
	expect_run(&it, 1000, 2);
	expect_run(&it, 1003, 1);
	expect_run(&it, 1023, 1);
	expect_end(&it);

	w.bytes[28] = 2; /* another length than the bits have */
	bad_item(&w, n);
	w.bytes[28] = 3;
	memcpy(w.bytes + 23, "\xff\xff\xff\xe7", 4); /* the last bit is the last number */
	assert_int_equal(ipsp_item_parse(w.bytes, n, &item), 0);
	w.bytes[26]++;
	bad_item(&w, n);

	/* the ends of what one item holds */
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_BITS);
	assert_true(ipsp_item_add_bit(&w, 5));
	assert_true(ipsp_item_add_bit(&w, 5 + 8 * (IPSP_ITEM_MAX - 29) - 1));
	assert_false(ipsp_item_add_bit(&w, 5 + 8 * (IPSP_ITEM_MAX - 29)));
	for (uint32_t i = 5; ipsp_item_add_bit(&w, i); i++)
		;
	item = parse(&w);
	ipsp_set_begin(&it, &item);
	expect_run(&it, 5, 8 * (IPSP_ITEM_MAX - 29));
	expect_end(&it);

	/* near the last number a bitmap may start, but not pass it */
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_BITS);
	assert_false(ipsp_item_add_bit(&w, UINT32_MAX - 7));
	assert_true(ipsp_item_add_bit(&w, UINT32_MAX - 15));
	assert_false(ipsp_item_add_bit(&w, UINT32_MAX - 7));
	assert_true(ipsp_item_add_bit(&w, UINT32_MAX - 8));
	parse(&w);
}

static void test_item_kept(void **state)
{
	static const uint8_t set[] = "\0\0\0\7\2\0\0\3\xe8\2u1\0\0\0\x09\3\0\0\0\5\0";
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;
	struct ipsp_set_entry e;
	size_t n;

	(void)state;
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_KEPT);
	assert_true(ipsp_item_add_kept(&w, 7, IPSP_USE_HOLD, 1000, "u1", 2));
	assert_true(ipsp_item_add_kept(&w, 9, IPSP_USE_QUARANTINE, 5, NULL, 0));
	n = ipsp_item_end(&w);
	assert_int_equal(n, 23 + sizeof(set) - 1);
	assert_memory_equal(w.bytes + 23, set, sizeof(set) - 1);
	item = parse(&w);
	ipsp_set_begin(&it, &item);
	assert_true(ipsp_set_next(&it, &e));
	assert_int_equal(e.start, 7);
	assert_int_equal(e.count, 1);
	assert_int_equal(e.use, IPSP_USE_HOLD);
	assert_int_equal(e.left_s, 1000);
	assert_int_equal(e.n_subscriber, 2);
	assert_memory_equal(e.subscriber, "u1", 2);
	assert_true(ipsp_set_next(&it, &e));
	assert_int_equal(e.use, IPSP_USE_QUARANTINE);
	expect_end(&it);

	w.bytes[27] = IPSP_USE_USED;
	bad_item(&w, n);
	w.bytes[27] = IPSP_USE_HOLD;
	w.bytes[33] = 7; /* a control character */
	bad_item(&w, n);
	w.bytes[33] = 'u';
	memset(w.bytes + 23, 0xff, 4); /* no index */
	bad_item(&w, n);
}

static void test_item_who(void **state)
{
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;
	struct ipsp_set_entry e;

	(void)state;
	ipsp_item_begin(&w, 1, IPSP_ITEM_REPORT, IPSP_REPORT_END, 0, 1, IPSP_SET_WHO);
	assert_true(ipsp_item_add_who(&w, 4, "J\xc3\xb6rg", 5));
	item = parse(&w);
	assert_int_equal(item.flags, IPSP_REPORT_END);
	assert_memory_equal(w.bytes + 23, "\0\0\0\4\5J\xc3\xb6rg", 10);
	ipsp_set_begin(&it, &item);
	assert_true(ipsp_set_next(&it, &e));
	assert_int_equal(e.start, 4);
	assert_int_equal(e.n_subscriber, 5);
	expect_end(&it);
}

static void test_item_heads(void **state)
{
	static const enum ipsp_set_form forms[] = {IPSP_SET_RUNS, IPSP_SET_BITS, IPSP_SET_KEPT,
						   IPSP_SET_WHO};
	struct ipsp_item_writer w;
	struct ipsp_item item;
	struct ipsp_set_iter it;

	(void)state;
	for (unsigned type = 0; type <= 5;
	     type++) { /* empty sets: which form goes with which type */
		for (size_t f = 0; f < 4; f++) {
			bool good =
				type == IPSP_ITEM_GIVE ? f < 3 : type >= 2 && type <= 4 && f == 3;

			ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, IPSP_NO_POOL, forms[f]);
			w.bytes[8] = (uint8_t)type;
			assert_int_equal(ipsp_item_end(&w), 23);
			if (type < 1 || type > 4) {
				later_item(&w, 23);
				continue;
			}
			if (!good) {
				bad_item(&w, 23);
				continue;
			}
			item = parse(&w);
			assert_int_equal(item.pool, IPSP_NO_POOL);
			ipsp_set_begin(&it, &item);
			expect_end(&it);
		}
	}
	w.bytes[8] = IPSP_ITEM_GIVE;
	w.bytes[20] = 0; /* no form of this version */
	later_item(&w, 23);
	w.bytes[20] = 5;
	later_item(&w, 23);
	ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0, 0, IPSP_NO_POOL, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 1, 1); /* addresses of no pool */
	bad_item(&w, ipsp_item_end(&w));
}

/* Types of 128 and more are skipped by those who don't know them, whatever is in their set, as long
 * as head and length are those of every item. */
static void test_items_of_a_later_version(void **state)
{
	struct ipsp_item_writer w;
	struct ipsp_set_iter it;
	struct ipsp_item item;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		ipsp_item_begin(&w, 1, IPSP_ITEM_GIVE, 0xff, 5, 3, IPSP_SET_RUNS);
		memset(w.bytes + 23, 0xee, 12);
		w.n += 12;
		w.bytes[8] = (uint8_t)type;
		w.bytes[20] = 77; /* its form */
		assert_int_equal(ipsp_item_end(&w), 35);
		if (type < 128) {
			later_item(&w, 35);
			continue;
		}
		item = parse(&w);
		assert_int_equal(item.type, IPSP_ITEM_SKIPPED);
		assert_int_equal(item.number, 1);
		assert_int_equal(item.pool, IPSP_NO_POOL);
		assert_int_equal(item.n_set, 0);
		ipsp_set_begin(&it, &item);
		expect_end(&it);
		bad_item(&w, 34); /* cut, or with something behind its set */
		bad_item(&w, 36);
		bad_item(&w, 22);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_small_messages),
		cmocka_unit_test(test_conf_part),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_item_runs),
		cmocka_unit_test(test_item_full),
		cmocka_unit_test(test_item_bits),
		cmocka_unit_test(test_item_kept),
		cmocka_unit_test(test_item_who),
		cmocka_unit_test(test_item_heads),
		cmocka_unit_test(test_items_of_a_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
