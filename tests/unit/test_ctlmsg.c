/* Frames of the control socket: there and back, byte by byte, and everything that is no frame. */
#include "base/ctldirect.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADDR ((struct ipsp_addr){0x20010db800000000ULL, 0x0102030405060708ULL})

static struct ipsp_ctl_str str(const char *s)
{
	return ipsp_ctl_str(s);
}

/* One of each type, with every field that it has. */
static const struct ipsp_ctl_msg *samples(size_t *n)
{
	static struct ipsp_ctl_msg m[16];
	size_t i = 0;

	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
				       .magic = IPSP_CTL_MAGIC,
				       .min = 1,
				       .max = 7,
				       .program = str("ipspctl 1.0")};
	m[i++] = (struct ipsp_ctl_msg){
		.type = IPSP_CTL_ATTACH, .id = 1, .context = str("isp1"), .name = str("ha")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_REQUEST,
				       .id = UINT64_MAX,
				       .addr = ADDR,
				       .subscriber = str("u1@isp"),
				       .session = str("s1"),
				       .pool = str("pool-a"),
				       .group = str("dyn")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASE,
				       .id = 3,
				       .addr = ADDR,
				       .subscriber = str("u1@isp"),
				       .session = str("s1")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASED,
				       .addr = ADDR,
				       .event = 77,
				       .subscriber = str(""),
				       .session = str("s1")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_LIST, .id = 5};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_COMMAND,
				       .id = 6,
				       .flags = IPSP_CTL_FORCE,
				       .context = str("c"),
				       .name = str("release"),
				       .argument = str("10.1.0.1"),
				       .subscriber = str("u1@isp"),
				       .session = str("s1")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_SHOW,
				       .id = 7,
				       .n = 5,
				       .context = str("c"),
				       .name = str("sessions"),
				       .pool = str("p"),
				       .subscriber = str("s"),
				       .argument = str("10.1.0.0/24"),
				       .state = str("used")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_ANSWER,
				       .id = 8,
				       .err = IPSP_ERR_LOCKED,
				       .addr = ADDR,
				       .plen = 64,
				       .pool = str("p")};
	m[i++] = (struct ipsp_ctl_msg){
		.type = IPSP_CTL_DONE, .id = 9, .err = IPSP_ERR_DENIED, .text = str("why")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_TEXT, .id = 10, .text = str("{}")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_SESSION,
				       .id = 11,
				       .addr = ADDR,
				       .plen = 32,
				       .pool = str("p"),
				       .subscriber = str("u"),
				       .session = str("")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_EVENT,
				       .addr = ADDR,
				       .reason = 2,
				       .event = UINT64_MAX,
				       .subscriber = str("u"),
				       .session = str("s")};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_CANCELLED, .addr = ADDR, .event = 1};
	m[i++] = (struct ipsp_ctl_msg){.type = IPSP_CTL_STATE,
				       .context = str("c"),
				       .role = str("primary"),
				       .state = str("active")};
	m[i++] = (struct ipsp_ctl_msg){
		.type = IPSP_CTL_BYE, .err = IPSP_ERR_FORMAT, .text = str("garbage")};
	assert_int_equal(i, 16);
	*n = i;
	return m;
}

static void assert_str(struct ipsp_ctl_str a, struct ipsp_ctl_str b)
{
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
}

static void assert_same(const struct ipsp_ctl_msg *a, const struct ipsp_ctl_msg *b)
{
	assert_int_equal(a->type, b->type);
	assert_true(a->id == b->id && a->event == b->event && ipsp_addr_eq(a->addr, b->addr));
	assert_true(a->err == b->err && a->n == b->n && a->magic == b->magic);
	assert_true(a->min == b->min && a->max == b->max && a->flags == b->flags);
	assert_true(a->plen == b->plen && a->reason == b->reason);
	assert_str(a->program, b->program);
	assert_str(a->context, b->context);
	assert_str(a->name, b->name);
	assert_str(a->argument, b->argument);
	assert_str(a->subscriber, b->subscriber);
	assert_str(a->session, b->session);
	assert_str(a->pool, b->pool);
	assert_str(a->group, b->group);
	assert_str(a->role, b->role);
	assert_str(a->state, b->state);
	assert_str(a->text, b->text);
}

/* A copy that ends where the bytes end, so that the sanitizer sees one byte too many. */
static uint8_t *tight(const void *bytes, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	assert_non_null(p);
	if (n > 0)
		memcpy(p, bytes, n);
	return p;
}

static int next_of(const void *bytes, size_t n, size_t *used, int *type)
{
	struct ipsp_ctl_msg msg = {0};
	uint8_t *p = tight(bytes, n);
	int got = ipsp_ctl_next(p, n, used, &msg);

	*type = got > 0 ? (int)msg.type : 0;
	free(p);
	return got;
}

static void every_frame_comes_back(void **state)
{
	struct ipsp_buf buf = {0};
	struct ipsp_ctl_msg msg;
	size_t n, at = 0, used;
	const struct ipsp_ctl_msg *m = samples(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ipsp_ctl_put(&buf, &m[i]), 0);
	for (size_t i = 0; i < n; i++) {
		msg = (struct ipsp_ctl_msg){0}; /* fields of other frames are left alone */
		assert_int_equal(ipsp_ctl_next(buf.data + at, buf.len - at, &used, &msg), 1);
		assert_same(&msg, &m[i]);
		at += used;
	}
	assert_int_equal(at, buf.len);
	assert_int_equal(ipsp_ctl_next(buf.data + at, 0, &used, &msg), 0);
	assert_int_equal(used, 0);
	ipsp_buf_fini(&buf);
}

/* The format is a contract with other versions: these bytes never change. */
static void the_bytes_are_these(void **state)
{
	static const uint8_t release[] = {0, 0, 0, 25, 4, 0, 0, 0, 0,	 0,    0,  1, 2, 0, 0,
					  0, 0, 0, 0,  0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 5};
	static const uint8_t done[] = {0, 0, 0, 16,   66,   0,	  0,	0, 0, 0,
				       0, 0, 9, 0xff, 0xff, 0xff, 0xf3, 0, 1, 'x'};
	struct ipsp_buf buf = {0};

	(void)state;
	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASE,
						  .id = 0x102,
						  .addr = ipsp_addr_v4(0x0a010005)});
	assert_int_equal(buf.len, sizeof(release));
	assert_memory_equal(buf.data, release, sizeof(release));
	ipsp_buf_clear(&buf);
	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_DONE,
						  .id = 9,
						  .err = IPSP_ERR_DENIED,
						  .text = str("x")});
	assert_int_equal(buf.len, sizeof(done));
	assert_memory_equal(buf.data, done, sizeof(done));
	ipsp_buf_fini(&buf);
}

static void a_part_of_a_frame_waits(void **state)
{
	size_t n, used;
	int type;
	const struct ipsp_ctl_msg *m = samples(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct ipsp_buf buf = {0};

		ipsp_ctl_put(&buf, &m[i]);
		for (size_t cut = 0; cut < buf.len; cut++) {
			assert_int_equal(next_of(buf.data, cut, &used, &type), 0);
			assert_int_equal(used, 0);
		}
		ipsp_buf_fini(&buf);
	}
}

/* Do its last @n bytes stand behind what every version has? */
static bool may_end_there(const struct ipsp_ctl_msg *m, size_t n)
{
	size_t later = 0;

	if (m->type == IPSP_CTL_SHOW)
		return n == 1 + m->state.n || n == 2 + m->state.n + m->argument.n;
	if (m->type == IPSP_CTL_RELEASE || m->type == IPSP_CTL_RELEASED ||
	    m->type == IPSP_CTL_COMMAND) {
		later += 1 + m->session.n;
		if (n == later || n == later + 1 + m->subscriber.n)
			return true;
		later += 1 + m->subscriber.n;
	}
	return m->event != 0 && n == later + 8;
}

/* A body that lacks its end is malformed wherever it was cut: no field is made up. */
static void a_short_body_is_malformed(void **state)
{
	size_t n, used;
	int type;
	const struct ipsp_ctl_msg *m = samples(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct ipsp_buf buf = {0};

		ipsp_ctl_put(&buf, &m[i]);
		for (size_t length = 1; length < buf.len - IPSP_CTL_HEAD; length++) {
			if (may_end_there(&m[i], buf.len - IPSP_CTL_HEAD - length))
				continue; /* so it ends in a version of before */
			buf.data[2] = (uint8_t)(length >> 8);
			buf.data[3] = (uint8_t)length;
			assert_int_equal(next_of(buf.data, IPSP_CTL_HEAD + length, &used, &type),
					 IPSP_ERR_FORMAT);
		}
		ipsp_buf_fini(&buf);
	}
}

/* A frame of the first version has no event. */
static void a_later_field_may_be_missing(void **state)
{
	size_t n, used, found = 0;
	const struct ipsp_ctl_msg *m = samples(&n);
	struct ipsp_ctl_msg m_first;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct ipsp_buf buf = {0};
		struct ipsp_ctl_msg got;

		if (m[i].event == 0)
			continue;
		found++;
		m_first = m[i];
		m_first.subscriber.p = m_first.session.p = NULL;
		ipsp_ctl_put(&buf, m[i].type == IPSP_CTL_RELEASED ? &m_first : &m[i]);
		buf.data[3] = (uint8_t)(buf.data[3] - 8);
		assert_int_equal(ipsp_ctl_next(buf.data, buf.len - 8, &used, &got), 1);
		assert_int_equal(used, buf.len - 8);
		assert_int_equal(got.type, m[i].type);
		assert_int_equal(got.event, 0);
		ipsp_buf_fini(&buf);
	}
	assert_int_equal(found, 3);
}

/* Whose session a release is for: nothing, the subscriber, both, or the session alone. */
static void a_release_names_as_much_as_it_likes(void **state)
{
	const char *const texts[][2] = {{NULL, NULL}, {"u", NULL}, {"u", ""},
					{"u", "s"},   {"", ""},	   {"", "s"}};
	struct ipsp_ctl_release direct;
	struct ipsp_ctl_msg got;
	size_t used;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(texts) / sizeof(texts[0]); i++) {
		const char *const *t = texts[i / 2];
		struct ipsp_ctl_msg msg = {.type = i % 2 ? IPSP_CTL_RELEASED : IPSP_CTL_RELEASE};
		struct ipsp_buf buf = {0};

		if (t[0])
			msg.subscriber = str(t[0]);
		if (t[1])
			msg.session = str(t[1]);
		assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
		assert_int_equal(ipsp_ctl_next(buf.data, buf.len, &used, &got), 1);
		assert_int_equal(used, buf.len);
		assert_true((got.subscriber.p != NULL) == (t[0] != NULL));
		assert_true((got.session.p != NULL) == (t[1] != NULL));
		assert_int_equal(got.subscriber.n, t[0] ? strlen(t[0]) : 0);
		assert_int_equal(got.session.n, t[1] ? strlen(t[1]) : 0);
		if (i % 2 == 0) {
			memset(&direct, 0, sizeof(direct));
			assert_int_equal(ipsp_ctl_get_release(buf.data, buf.len, &direct), used);
			assert_true(direct.subscriber.p == got.subscriber.p);
			assert_true(direct.session.p == got.session.p);
		}
		ipsp_buf_fini(&buf);
	}
}

static void a_longer_body_is_read_as_far_as_known(void **state)
{
	struct ipsp_buf buf = {0};
	struct ipsp_ctl_msg msg;
	size_t n, used;
	const struct ipsp_ctl_msg *m = samples(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		ipsp_buf_clear(&buf);
		ipsp_ctl_put(&buf, &m[i]);
		ipsp_buf_put(&buf, "later", 5);
		buf.data[3] = (uint8_t)(buf.data[3] + 5);
		msg = (struct ipsp_ctl_msg){0};
		assert_int_equal(ipsp_ctl_next(buf.data, buf.len, &used, &msg), 1);
		assert_same(&msg, &m[i]);
		assert_int_equal(used, buf.len);
	}
	ipsp_buf_fini(&buf);
}

static void an_unknown_type_is_skipped(void **state)
{
	static const uint8_t unknown[] = {0, 0, 0, 3, 200, 1, 2, 0, 0, 0, 1, 9, 0, 0, 0, 2, 0, 1};
	struct ipsp_buf buf = {0};
	size_t used;
	int type;

	(void)state;
	ipsp_buf_put(&buf, unknown, sizeof(unknown));
	assert_int_equal(next_of(buf.data, buf.len, &used, &type), 0);
	assert_int_equal(used, buf.len); /* they are done with, though none was found */
	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_LIST, .id = 1});
	assert_int_equal(next_of(buf.data, buf.len, &used, &type), 1);
	assert_int_equal(type, IPSP_CTL_LIST);
	assert_int_equal(used, buf.len);
	ipsp_buf_fini(&buf);
}

static void a_length_out_of_bounds_is_said_at_once(void **state)
{
	static const uint8_t none[] = {0, 0, 0, 0}, more[] = {0, 1, 0, 1},
			     text[] = {'G', 'E', 'T', ' '};
	static const uint8_t most[] = {0, 1, 0, 0};
	size_t used;
	int type;

	(void)state;
	assert_int_equal(next_of(none, 4, &used, &type), IPSP_ERR_FORMAT);
	assert_int_equal(next_of(more, 4, &used, &type), IPSP_ERR_FORMAT);
	assert_int_equal(next_of(text, 4, &used, &type), IPSP_ERR_FORMAT);
	assert_int_equal(next_of(most, 4, &used, &type), 0); /* the longest: waits for it */
}

static void texts_are_checked(void **state)
{
	char long_text[IPSP_CTL_TEXT_MAX + 1];
	struct ipsp_buf buf = {0};
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_ATTACH};
	size_t used;
	int type;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	msg.name = (struct ipsp_ctl_str){long_text, 255};
	assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	msg.name.n = 256;
	assert_int_equal(ipsp_ctl_put(&buf, &msg), IPSP_ERR_INVALID);
	msg.name = (struct ipsp_ctl_str){"a\0b", 3};
	assert_int_equal(ipsp_ctl_put(&buf, &msg), IPSP_ERR_INVALID);
	msg = (struct ipsp_ctl_msg){.type = IPSP_CTL_TEXT, .text = {long_text, IPSP_CTL_TEXT_MAX}};
	assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
	msg.text.n++;
	assert_int_equal(ipsp_ctl_put(&buf, &msg), IPSP_ERR_INVALID);
	msg = (struct ipsp_ctl_msg){.type = 0};
	assert_int_equal(ipsp_ctl_put(&buf, &msg), IPSP_ERR_INVALID);
	msg.type = IPSP_CTL_TYPES;
	assert_int_equal(ipsp_ctl_put(&buf, &msg), IPSP_ERR_INVALID);

	ipsp_buf_clear(&buf); /* a NUL inside of a name that came from outside */
	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_ATTACH, .name = str("abc")});
	buf.data[buf.len - 2] = 0;
	assert_int_equal(next_of(buf.data, buf.len, &used, &type), IPSP_ERR_FORMAT);
	ipsp_buf_fini(&buf);
}

static void what_is_refused_leaves_the_buffer(void **state)
{
	struct ipsp_buf buf = {0};
	char long_text[300];

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_LIST, .id = 1});
	assert_int_equal(ipsp_ctl_put(&buf, &(struct ipsp_ctl_msg){.type = IPSP_CTL_STATE,
								   .role = str("primary"),
								   .state = {long_text, 300}}),
			 IPSP_ERR_INVALID);
	assert_int_equal(buf.len, IPSP_CTL_HEAD + 9);
	assert_false(buf.failed);
	ipsp_buf_fini(&buf);
}

static void versions_find_what_they_have_in_common(void **state)
{
	struct ipsp_ctl_msg hello = {
		.type = IPSP_CTL_HELLO, .magic = IPSP_CTL_MAGIC, .min = 1, .max = 9};

	(void)state;
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_CTL_VERSION);
	hello.min = hello.max = IPSP_CTL_VERSION + 1;
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_ERR_VERSION);
	hello.min = hello.max = IPSP_CTL_VERSION_MIN - 1;
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_ERR_VERSION);
	hello.min = 2, hello.max = 1;
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_ERR_VERSION);
	hello = (struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO, .magic = 1, .min = 1, .max = 1};
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_ERR_FORMAT);
	hello = (struct ipsp_ctl_msg){.type = IPSP_CTL_LIST};
	assert_int_equal(ipsp_ctl_version(&hello), IPSP_ERR_FORMAT);
}

/* Any bytes at all: never beyond the end, and every text lies inside. */
static void noise_is_survived(void **state)
{
	unsigned seed = 1;
	uint8_t noise[96];

	(void)state;
	print_message("seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 200000; round++) {
		size_t n = (size_t)random() % sizeof(noise), used;
		int type;

		for (size_t i = 0; i < n; i++)
			noise[i] = (uint8_t)random();
		if (n > 4) { /* most of them with a length that fits */
			noise[0] = noise[1] = noise[2] = 0;
			noise[3] = (uint8_t)((size_t)random() % (n - 3));
			noise[4] = (uint8_t)((round & 1) ? noise[4] & 7 : 65 + (noise[4] & 7));
		}
		next_of(noise, n, &used, &type);
		assert_true(used <= n);
	}
}

/* The frames that are written and read without a general message are the same ones. */
static void direct_is_the_same(void **state)
{
	char text[256];
	struct ipsp_ctl_request r;
	struct ipsp_ctl_release release;

	(void)state;
	memset(text, 'p', sizeof(text));
	for (size_t n = 0; n <= 255; n++) {
		const struct ipsp_ctl_msg msg = {.type = IPSP_CTL_ANSWER,
						 .id = UINT64_MAX - n,
						 .addr = ADDR,
						 .err = -(int32_t)n,
						 .plen = (uint8_t)n,
						 .pool = {text, n}};
		const struct ipsp_ctl_answer answer = {msg.id, msg.addr, msg.err, msg.plen,
						       msg.pool};
		struct ipsp_buf buf = {0};
		uint8_t frame[512];
		assert_int_equal(ipsp_ctl_put(&buf, &msg), 0);
		assert_int_equal(ipsp_ctl_answer_size(&answer), buf.len);
		ipsp_ctl_put_answer(frame, buf.len, &answer);
		assert_memory_equal(frame, buf.data, buf.len);
		assert_int_equal(ipsp_ctl_get_request(buf.data, buf.len, &r), 0);
		ipsp_buf_clear(&buf);
		const struct ipsp_ctl_msg said = {
			.type = IPSP_CTL_DONE, .id = msg.id, .err = msg.err, .text = msg.pool};
		const struct ipsp_ctl_done done = {said.id, said.err, said.text};
		assert_int_equal(ipsp_ctl_put(&buf, &said), 0);
		assert_int_equal(ipsp_ctl_done_size(&done), buf.len);
		ipsp_ctl_put_done(frame, buf.len, &done);
		assert_memory_equal(frame, buf.data, buf.len);
		ipsp_buf_fini(&buf);
	}
	size_t n_samples;
	const struct ipsp_ctl_msg *m = samples(&n_samples);
	for (size_t i = 0; i < n_samples; i++) {
		struct ipsp_buf buf = {0};
		assert_int_equal(ipsp_ctl_put(&buf, &m[i]), 0);
		for (size_t n = 0; n < buf.len; n++) {
			assert_int_equal(ipsp_ctl_get_request(buf.data, n, &r), 0);
			assert_int_equal(ipsp_ctl_get_release(buf.data, n, &release), 0);
		}
		const size_t got = ipsp_ctl_get_request(buf.data, buf.len, &r);
		assert_int_equal(got, m[i].type == IPSP_CTL_REQUEST ? buf.len : 0);
		assert_int_equal(ipsp_ctl_get_release(buf.data, buf.len, &release),
				 m[i].type == IPSP_CTL_RELEASE ? buf.len : 0);
		ipsp_buf_fini(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_comes_back),
		cmocka_unit_test(the_bytes_are_these),
		cmocka_unit_test(a_part_of_a_frame_waits),
		cmocka_unit_test(a_short_body_is_malformed),
		cmocka_unit_test(a_later_field_may_be_missing),
		cmocka_unit_test(a_release_names_as_much_as_it_likes),
		cmocka_unit_test(a_longer_body_is_read_as_far_as_known),
		cmocka_unit_test(an_unknown_type_is_skipped),
		cmocka_unit_test(a_length_out_of_bounds_is_said_at_once),
		cmocka_unit_test(texts_are_checked),
		cmocka_unit_test(what_is_refused_leaves_the_buffer),
		cmocka_unit_test(versions_find_what_they_have_in_common),
		cmocka_unit_test(direct_is_the_same),
		cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
