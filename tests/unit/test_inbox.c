/* inbox: an event is copied with all that it points to, in any size and number. */
#include "base/ctlmsg.h"
#include "daemon/ctx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ipspd_inbox inbox;

static int teardown(void **state)
{
	(void)state;
	ipspd_inbox_fini(&inbox);
	return 0;
}

static void copies_everything(void **state)
{
	char name[] = "ha1", pool[] = "pool-a", group[] = "dyn", texts[] = "u1@isp/s1";
	uint8_t bytes[] = {1, 2, 3};

	(void)state;
	assert_true(
		ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_REQUEST,
							     .token = 7,
							     .id = 8,
							     .addr = ipsp_addr_v4(9),
							     .ident = {texts, texts + 7, 6, 2, 0},
							     .pool = pool,
							     .group = group}));
	assert_true(ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_REQUEST,
								 .ident = {texts, NULL, 2, 0, 0}}));
	assert_true(ipspd_inbox_put(&inbox, &(struct ipsp_event){.type = IPSP_EV_DATAGRAM,
								 .bytes = bytes,
								 .n_bytes = sizeof(bytes)}));
	assert_true(ipspd_inbox_put(
		&inbox,
		&(struct ipsp_event){.type = IPSP_EV_ATTACH, .token = 10, .ha_name = name}));
	memset(name, 'x', 3);
	memset(pool, 'x', 6);
	memset(group, 'x', 3);
	memset(texts, 'x', 9);
	memset(bytes, 9, sizeof(bytes));
	const struct ipsp_event *got = inbox.events;
	assert_int_equal(inbox.n_events, 4);
	assert_int_equal(got[0].type, IPSP_EV_REQUEST);
	assert_int_equal(got[0].token, 7);
	assert_int_equal(got[0].id, 8);
	assert_true(ipsp_addr_eq(got[0].addr, ipsp_addr_v4(9)));
	assert_string_equal(got[0].pool, "pool-a");
	assert_string_equal(got[0].group, "dyn");
	assert_memory_equal(got[0].ident.subscriber, "u1@isp", 6);
	assert_memory_equal(got[0].ident.session, "s1", 2);
	assert_int_equal(got[0].ident.n_subscriber, 6);
	assert_int_equal(got[0].ident.n_session, 2);
	assert_null(got[1].pool);
	assert_null(got[1].group);
	assert_memory_equal(got[1].ident.subscriber, "u1", 2);
	assert_non_null(got[1].ident.session);
	assert_int_equal(got[2].n_bytes, 3);
	assert_memory_equal(got[2].bytes, "\1\2\3", 3);
	assert_int_equal(got[3].token, 10);
	assert_string_equal(got[3].ha_name, "ha1");
}

static void copies_a_configuration(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	conf.n_pools = 1;
	conf.pools[0].size = 42;
	const struct ipsp_event ev = {.type = IPSP_EV_CONF, .conf = &conf};
	assert_true(ipspd_inbox_put(&inbox, &ev));
	ipsp_conf_fini(&conf);
	assert_string_equal(inbox.events[0].conf->name, "isp1");
	assert_int_equal(inbox.events[0].conf->pools[0].size, 42);
	ipspd_inbox_clear(&inbox); /* frees it: the sanitizer looks */
}

/* ---------------------------------------------------------------- requests, read directly */

static uint64_t dice_at = 1;

static uint32_t dice(uint32_t n) /* 0 .. n - 1 */
{
	dice_at = dice_at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(dice_at >> 33) % n;
}

static bool is_plain(const struct ipsp_ctl_str *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i] < 0x20 || s->p[i] > 0x7e)
			return false;
	return true;
}

static void same_text(const struct ipsp_ctl_str *s, const char *text)
{
	assert_true((text != NULL) == (s->n > 0));
	if (!text)
		return;
	assert_int_equal(strlen(text), s->n);
	assert_memory_equal(text, s->p, s->n);
}

/* What the direct reader takes is what the general one finds to be a request in plain texts. */
static bool same_as_general(const uint8_t *bytes, size_t n)
{
	struct ipsp_ctl_msg msg;
	size_t used;
	const int got = ipsp_ctl_next(bytes, n, &used, &msg);
	const bool first = n >= IPSP_CTL_HEAD && got == 1 &&
			   used == IPSP_CTL_HEAD + (size_t)ipsp_load_u32(bytes);
	const bool release = first && msg.type == IPSP_CTL_RELEASE && is_plain(&msg.subscriber) &&
			     is_plain(&msg.session);
	const bool request = first && msg.type == IPSP_CTL_REQUEST && msg.subscriber.n > 0 &&
			     ipsp_text_ok(msg.subscriber.p, msg.subscriber.n) &&
			     ipsp_text_ok(msg.session.p, msg.session.n) &&
			     is_plain(&msg.subscriber) && is_plain(&msg.session) &&
			     is_plain(&msg.pool) && is_plain(&msg.group);
	const size_t before = inbox.n_events;
	const size_t done = ipspd_inbox_read(&inbox, 7, bytes, n);

	assert_true((done > 0) == (request || release));
	if (done == 0) {
		assert_int_equal(inbox.n_events, before);
		return false;
	}
	const struct ipsp_event *ev = &inbox.events[before];
	assert_int_equal(ev->type, release ? IPSP_EV_RELEASE : IPSP_EV_REQUEST);
	assert_int_equal(ev->token, 7);
	assert_int_equal(ev->id, msg.id);
	assert_true(ipsp_addr_eq(ev->addr, msg.addr));
	assert_false(ev->force || ev->yes || ev->full);
	if (inbox.n_events == before + 1)
		assert_int_equal(done, used);
	assert_int_equal(ev->ident.hash, 0);
	if (release) {
		assert_true((ev->ident.subscriber != NULL) == (msg.subscriber.n > 0));
		assert_true((ev->ident.session != NULL) == (msg.session.p != NULL));
	}
	assert_int_equal(ev->ident.n_subscriber, msg.subscriber.n);
	if (msg.subscriber.n > 0)
		assert_memory_equal(ev->ident.subscriber, msg.subscriber.p, msg.subscriber.n);
	assert_int_equal(ev->ident.n_session, msg.session.n);
	if (msg.session.n > 0)
		assert_memory_equal(ev->ident.session, msg.session.p, msg.session.n);
	if (release)
		return true;
	same_text(&msg.pool, ev->pool);
	same_text(&msg.group, ev->group);
	return true;
}

static struct ipsp_ctl_str any_text(char text[256], uint32_t most)
{
	const size_t n = dice(4) ? dice(most < 24 ? most + 1 : 24) : dice(most + 1);

	for (size_t i = 0; i < n; i++)
		text[i] = (char)(0x20 + dice(0x5f));
	return (struct ipsp_ctl_str){text, n};
}

static void put_any(struct ipsp_buf *buf)
{
	char texts[4][256];
	struct ipsp_ctl_msg msg = {.type = dice(16)  ? IPSP_CTL_REQUEST
					   : dice(2) ? IPSP_CTL_RELEASE
						     : IPSP_CTL_COMMAND,
				   .id = dice_at,
				   .addr = {dice(9), dice_at},
				   .subscriber = any_text(texts[0], 255),
				   .session = any_text(texts[1], 255),
				   .pool = any_text(texts[2], dice(2) ? 0 : 255),
				   .group = any_text(texts[3], dice(2) ? 0 : 255)};

	if (msg.type == IPSP_CTL_RELEASE && dice(3) == 0)
		msg.session.p = NULL;
	if (msg.type == IPSP_CTL_RELEASE && !msg.session.p && dice(3) == 0)
		msg.subscriber.p = NULL;
	assert_int_equal(ipsp_ctl_put(buf, &msg), 0);
}

/* In a block of its own size, so that a sanitizer sees each byte read beside it. */
static bool same_exactly(const uint8_t *bytes, size_t n)
{
	uint8_t *copy = calloc(n ? n : 1, 1);

	if (n > 0)
		memcpy(copy, bytes, n);
	const bool taken = same_as_general(copy, n);
	free(copy);
	return taken;
}

static void reads_requests_like_the_general_reader(void **state)
{
	static const char *const odd[] = {"\xc3\xa4", "\x7f", "\n", "\xc2\x85", "\xff", "\x1f"};
	size_t taken = 0, left = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct ipsp_buf buf = {0};
		put_any(&buf);
		const size_t whole = buf.len;
		if (dice(4) == 0)
			put_any(&buf);
		if (dice(8) == 0) { /* fields of a later version */
			ipsp_buf_put(&buf, "later", 5);
			if (buf.len == whole + 5)
				ipsp_store_u32(buf.data, (uint32_t)(buf.len - IPSP_CTL_HEAD));
		}
		size_t n = dice(8) ? buf.len : dice((uint32_t)buf.len + 1);
		for (uint32_t i = dice(3) ? 0 : 1 + dice(3); i > 0; i--) {
			const size_t at = dice(2) ? dice(40) : dice((uint32_t)buf.len);
			const char *bytes = odd[dice(6)];
			if (at < buf.len)
				buf.data[at] = dice(2) ? (uint8_t)dice(256) : (uint8_t)bytes[0];
			if (at + 1 < buf.len && bytes[1])
				buf.data[at + 1] = (uint8_t)bytes[1];
		}
		*(same_exactly(buf.data, n) ? &taken : &left) += 1;
		if (round % 64 == 0)
			ipspd_inbox_clear(&inbox);
		ipsp_buf_fini(&buf);
	}
	assert_true(taken > 5000 && left > 2000);
}

/* Each length of a text, with a bad byte at each place of it. */
static void looks_at_each_byte(void **state)
{
	static const uint8_t bad[] = {0, 1, 0x1f, 0x7f, 0x80, 0xc3, 0xff};
	char text[256];

	(void)state;
	for (size_t n = 1; n <= 255; n += n < 40 ? 1 : 43) {
		memset(text, '~', sizeof(text));
		text[n / 2] = ' ';
		struct ipsp_ctl_msg msg = {.type = IPSP_CTL_REQUEST,
					   .subscriber = {text, n},
					   .session = ipsp_ctl_str("s")};
		struct ipsp_buf buf = {0};
		assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
		assert_true(same_exactly(buf.data, buf.len) == (n <= IPSP_NAME_BYTES));
		for (size_t at = 0; at < n; at++) {
			uint8_t *byte = buf.data + IPSP_CTL_HEAD + 1 + 24 + 1 + at, was = *byte;
			for (size_t b = 0; b < sizeof(bad); b++) {
				*byte = bad[b];
				assert_false(same_exactly(buf.data, buf.len));
			}
			*byte = was;
		}
		ipsp_buf_fini(&buf);
	}
}

/* Releases are the first that an inbox gets, or come between requests. */
static void takes_releases(void **state)
{
	struct ipsp_ctl_msg msg = {.addr = {0, 77}, .subscriber = ipsp_ctl_str("u")};
	struct ipsp_buf buf = {0};

	(void)state;
	for (msg.id = 0; msg.id < 400; msg.id++) {
		msg.type = msg.id < 200 || msg.id % 2 ? IPSP_CTL_RELEASE : IPSP_CTL_REQUEST;
		assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	}
	for (int round = 0; round < 2; round++) {
		const struct ipsp_event tick = {.type = IPSP_EV_TICK};
		assert_true(ipspd_inbox_put(&inbox, &tick)); /* which needs no room for texts */
		assert_int_equal(ipspd_inbox_read(&inbox, 9, buf.data, buf.len), buf.len);
		assert_int_equal(inbox.n_events, 401);
		for (size_t i = 0; i < 400; i++) {
			const struct ipsp_event *ev = &inbox.events[i + 1];
			assert_int_equal(ev->type,
					 i < 200 || i % 2 ? IPSP_EV_RELEASE : IPSP_EV_REQUEST);
			assert_int_equal(ev->id, i);
			assert_int_equal(ev->token, 9);
			assert_int_equal(ev->addr.lo, 77);
		}
		ipspd_inbox_clear(&inbox);
	}
	ipsp_buf_fini(&buf);
}

/* A row of them ends at the first that is anything else. */
static void takes_a_row_of_requests(void **state)
{
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_REQUEST,
				   .subscriber = ipsp_ctl_str("u1@isp"),
				   .session = ipsp_ctl_str("")};
	struct ipsp_buf buf = {0};

	(void)state;
	for (msg.id = 0; msg.id < 5000; msg.id++)
		assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	const size_t row = buf.len;
	msg.subscriber = ipsp_ctl_str("\xc3\xa4");
	assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	msg.subscriber = ipsp_ctl_str("u2");
	assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	assert_int_equal(ipspd_inbox_read(&inbox, 9, buf.data, buf.len), row);
	assert_int_equal(inbox.n_events, 5000);
	for (size_t i = 0; i < 5000; i++) {
		assert_int_equal(inbox.events[i].id, i);
		assert_memory_equal(inbox.events[i].ident.subscriber, "u1@isp", 6);
	}
	assert_int_equal(ipspd_inbox_read(&inbox, 9, buf.data, row - 1),
			 row / 5000 * 4999); /* the last is not all there */
	ipsp_buf_fini(&buf);
}

/* ---------------------------------------------------------------- sizes */

/* Any sizes, around those of the chunks, and again after a clear. */
static void any_size_any_number(void **state)
{
	static const size_t sizes[] = {0,     1,     1200,  65534, 65535, 65536,
				       65537, 70000, 30000, 30000, 30000, 200000};
	static uint8_t bytes[200000];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 2000; i++) {
			const size_t n = i < 12 ? sizes[i] : i * 7 % 1300;
			memset(bytes, (int)(i & 0xff), n);
			const struct ipsp_event ev = {
				.type = IPSP_EV_DATAGRAM, .bytes = bytes, .n_bytes = n, .id = i};
			assert_true(ipspd_inbox_put(&inbox, &ev));
		}
		assert_int_equal(inbox.n_events, 2000);
		for (size_t i = 0; i < 2000; i++) {
			const struct ipsp_event *ev = &inbox.events[i];
			assert_int_equal(ev->id, i);
			for (size_t k = 0; k < ev->n_bytes; k++)
				if (ev->bytes[k] != (uint8_t)(i & 0xff))
					fail_msg("event %zu, byte %zu", i, k);
		}
		ipspd_inbox_clear(&inbox);
		assert_int_equal(inbox.n_events, 0);
	}
}

/* ---------------------------------------------------------------- contexts with something to do */

/* What a burst needed goes back to the system; what most turns need stays. */
static void a_burst_is_forgotten(void **state)
{
	const struct ipsp_event ev = {.type = IPSP_EV_RELEASE};
	size_t kept;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(ipspd_inbox_put(&inbox, &ev));
	kept = inbox.cap_events;
	ipspd_inbox_clear(&inbox);
	assert_int_equal(inbox.cap_events, kept);
	for (int i = 0; i < 200000; i++)
		assert_true(ipspd_inbox_put(&inbox, &ev));
	ipspd_inbox_clear(&inbox);
	assert_true(inbox.cap_events * sizeof(ev) <= 2 << 20);
	for (int i = 0; i < 50000; i++)
		assert_true(ipspd_inbox_put(&inbox, &ev));
	ipspd_inbox_fini(&inbox);
}

static void is_queue(const struct ipspd *daemon, const struct ipspd_ctx *ctxs, const char *order)
{
	const struct ipspd_ctx *at = daemon->queue;

	for (; *order; order++, at = at->queue_next) {
		assert_ptr_equal(at, &ctxs[*order - '0']);
		assert_true(at->queued);
	}
	assert_null(at);
}

static void contexts_queue_once_in_order(void **state)
{
	struct ipspd daemon = {0};
	struct ipspd_ctx ctxs[4] = {
		{.daemon = &daemon}, {.daemon = &daemon}, {.daemon = &daemon}, {.daemon = &daemon}};

	(void)state;
	ipspd_unqueue(&ctxs[0]); /* is not in it */
	is_queue(&daemon, ctxs, "");
	for (const char *c = "20210"; *c; c++)
		ipspd_queue(&ctxs[*c - '0']);
	is_queue(&daemon, ctxs, "201");
	ipspd_unqueue(&ctxs[1]); /* the last, then one behind those left */
	ipspd_queue(&ctxs[3]);
	is_queue(&daemon, ctxs, "203");
	ipspd_unqueue(&ctxs[0]);
	is_queue(&daemon, ctxs, "23");
	ipspd_unqueue(&ctxs[2]);
	ipspd_unqueue(&ctxs[3]);
	is_queue(&daemon, ctxs, "");
	ipspd_queue(&ctxs[1]);
	ipspd_queue(&ctxs[2]);
	is_queue(&daemon, ctxs, "12");
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(copies_everything),
		T(copies_a_configuration),
		T(reads_requests_like_the_general_reader),
		T(looks_at_each_byte),
		T(takes_a_row_of_requests),
		T(takes_releases),
		T(any_size_any_number),
		T(a_burst_is_forgotten),
		T(contexts_queue_once_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
