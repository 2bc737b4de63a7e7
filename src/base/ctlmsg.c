#include "base/ctlmsg.h"
#include <string.h>

/*
 * The one place that says which fields a frame has, in which order, and how each is written (with
 * the lists of ctlmsg.h). Both directions are made of it by the compiler.
 */
#define FRAMES(FRAME)                                                                              \
	FRAME(HELLO, U32(magic) U16(min) U16(max) STR8(program))                                   \
	FRAME(ATTACH, U64(id) STR8(context) STR8(name))                                            \
	FRAME(REQUEST, IPSP_CTL_REQUEST_FIELDS(U64, ADDR, STR8))                                   \
	FRAME(RELEASE, IPSP_CTL_RELEASE_FIELDS(U64, ADDR, LATER8))                                 \
	FRAME(RELEASED, ADDR(addr) LATER64(event) LATER8(subscriber) LATER8(session))              \
	FRAME(LIST, U64(id))                                                                       \
	FRAME(COMMAND, U64(id) U8(flags) STR8(context) STR8(name) STR8(argument)                   \
			       LATER8(subscriber) LATER8(session))                                 \
	FRAME(SHOW, U64(id) U32(n) STR8(context) STR8(name) STR8(pool) STR8(subscriber)            \
			    LATER8(argument) LATER8(state))                                        \
	FRAME(ANSWER, IPSP_CTL_ANSWER_FIELDS(U64, I32, ADDR, U8, STR8))                            \
	FRAME(DONE, IPSP_CTL_DONE_FIELDS(U64, I32, STR16))                                         \
	FRAME(TEXT, U64(id) STR16(text))                                                           \
	FRAME(SESSION, U64(id) ADDR(addr) U8(plen) STR8(pool) STR8(subscriber) STR8(session))      \
	FRAME(EVENT, ADDR(addr) U8(reason) STR8(subscriber) STR8(session) LATER64(event))          \
	FRAME(CANCELLED, ADDR(addr) LATER64(event))                                                \
	FRAME(STATE, STR8(context) STR8(role) STR8(state))                                         \
	FRAME(BYE, I32(err) STR16(text))

struct ipsp_ctl_str ipsp_ctl_str(const char *s)
{
	return s ? (struct ipsp_ctl_str){s, strlen(s)} : (struct ipsp_ctl_str){"", 0};
}

/* A byte of @eight is 0; a borrow reaches the byte above only from one that is. */
static inline bool has_zero(uint64_t eight)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);

	return ((eight - ones) & ~eight & ones * 0x80) != 0;
}

static bool find_nul(const uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		if (has_zero(ipsp_load_le64(p)))
			return true;
	return n > 0 && has_zero(ipsp_load_rest(p, n) | UINT64_MAX << 8 * n);
}

static inline bool has_nul(const struct ipsp_ctl_str *s)
{
	return s->n > 0 && find_nul((const uint8_t *)s->p, s->n);
}

/* ---------------------------------------------------------------- writing */

#define NO_SIZE ((size_t)IPSP_CTL_FRAME_MAX + 1) /* of what can't be written */

static inline size_t str8_size(const struct ipsp_ctl_str *s)
{
	return s->n <= UINT8_MAX && !has_nul(s) ? 1 + s->n : NO_SIZE;
}

static inline size_t str16_size(const struct ipsp_ctl_str *s)
{
	return s->n <= IPSP_CTL_TEXT_MAX ? 2 + s->n : NO_SIZE;
}

#define U8(member)	size += 1;
#define U16(member)	size += 2;
#define U32(member)	size += 4;
#define I32(member)	size += 4;
#define U64(member)	size += 8;
#define LATER64(member) size += 8;
#define ADDR(member)	size += 16;
#define LATER8(member)	size += msg->member.p ? str8_size(&msg->member) : 0;
#define STR8(member)	size += str8_size(&msg->member);
#define STR16(member)	size += str16_size(&msg->member);
#define FRAME(name, fields)                                                                        \
	case IPSP_CTL_##name:                                                                      \
		fields break; /* NOLINT(bugprone-macro-parentheses): statements */

/* Of the body of @msg. */
static inline size_t body_size(const struct ipsp_ctl_msg *msg)
{
	size_t size = 0;

	switch (msg->type) {
		FRAMES(FRAME)
	default:
		return NO_SIZE;
	}
	return size;
}

#undef U8
#undef U16
#undef U32
#undef I32
#undef U64
#undef LATER64
#undef LATER8
#undef ADDR
#undef STR8
#undef STR16

#define U8(member)	*p++ = msg->member;
#define U16(member)	ipsp_store_u16(p, msg->member), p += 2;
#define U32(member)	ipsp_store_u32(p, msg->member), p += 4;
#define I32(member)	ipsp_store_u32(p, (uint32_t)msg->member), p += 4;
#define U64(member)	ipsp_store_u64(p, msg->member), p += 8;
#define LATER64(member) U64(member)
#define ADDR(member)                                                                               \
	ipsp_store_u64(p, msg->member.hi), ipsp_store_u64(p + 8, msg->member.lo), p += 16;
#define STR8(member)                                                                               \
	*p++ = (uint8_t)msg->member.n;                                                             \
	ipsp_copy_text(p, msg->member.p, msg->member.n), p += msg->member.n;
#define LATER8(member)                                                                             \
	if (msg->member.p) {                                                                       \
		STR8(member)                                                                       \
	}
#define STR16(member)                                                                              \
	ipsp_store_u16(p, (uint16_t)msg->member.n), p += 2;                                        \
	ipsp_copy_text(p, msg->member.p, msg->member.n), p += msg->member.n;

/* The end of the body of @msg, which has a size. */
static inline uint8_t *put_body(uint8_t *p, const struct ipsp_ctl_msg *msg)
{
	switch (msg->type) {
		FRAMES(FRAME)
	default:
		break;
	}
	return p;
}

#undef U8
#undef U16
#undef U32
#undef I32
#undef U64
#undef LATER64
#undef LATER8
#undef ADDR
#undef STR8
#undef STR16

int ipsp_ctl_put(struct ipsp_buf *buf, const struct ipsp_ctl_msg *msg)
{
	const size_t size = 1 + body_size(msg); /* the type and the body */
	uint8_t *frame;

	if (size > IPSP_CTL_FRAME_MAX)
		return IPSP_ERR_INVALID;
	frame = ipsp_buf_room(buf, IPSP_CTL_HEAD + size);
	if (!frame) {
		buf->failed = false; /* what was in it before is whole */
		return IPSP_ERR_NOMEM;
	}
	ipsp_store_u32(frame, (uint32_t)size);
	frame[IPSP_CTL_HEAD] = (uint8_t)msg->type;
	put_body(frame + IPSP_CTL_HEAD + 1, msg);
	buf->len += IPSP_CTL_HEAD + size;
	return 0;
}

/* ---------------------------------------------------------------- reading */

/* A text whose length stands before it; its end, or NULL. */
static inline const uint8_t *get_text(const uint8_t *p, const uint8_t *end, size_t n,
				      struct ipsp_ctl_str *s)
{
	if ((size_t)(end - p) < n)
		return NULL;
	*s = (struct ipsp_ctl_str){(const char *)p, n};
	return p + n;
}

#define NEED(n)                                                                                    \
	if ((size_t)(end - p) < (n))                                                               \
		return NULL;
#define U8(member)  NEED(1) msg->member = *p++;
#define U16(member) NEED(2) msg->member = ipsp_load_u16(p), p += 2;
#define U32(member) NEED(4) msg->member = ipsp_load_u32(p), p += 4;
#define I32(member) NEED(4) msg->member = (int32_t)ipsp_load_u32(p), p += 4;
#define U64(member) NEED(8) msg->member = ipsp_load_u64(p), p += 8;
/* Put behind the fields of the first version: 0 where the body ends before it. */
#define LATER64(member)                                                                            \
	msg->member = 0;                                                                           \
	if (p < end) {                                                                             \
		NEED(8)                                                                            \
		msg->member = ipsp_load_u64(p), p += 8;                                            \
	}
#define ADDR(member)                                                                               \
	NEED(16)                                                                                   \
	msg->member.hi = ipsp_load_u64(p), msg->member.lo = ipsp_load_u64(p + 8), p += 16;
#define STR8(member)                                                                               \
	NEED(1)                                                                                    \
	p = get_text(p + 1, end, *p, &msg->member);                                                \
	if (!p || has_nul(&msg->member))                                                           \
		return NULL;
/* The same: not there, where the body ends before it. */
#define LATER8(member)                                                                             \
	msg->member = (struct ipsp_ctl_str){NULL, 0};                                              \
	if (p < end) {                                                                             \
		STR8(member)                                                                       \
	}
#define STR16(member)                                                                              \
	NEED(2)                                                                                    \
	p = get_text(p + 2, end, ipsp_load_u16(p), &msg->member);                                  \
	if (!p)                                                                                    \
		return NULL;

/* Where the fields of @msg->type end; NULL: the body ends before. */
static inline const uint8_t *get_body(const uint8_t *p, const uint8_t *end,
				      struct ipsp_ctl_msg *msg)
{
	switch (msg->type) {
		FRAMES(FRAME)
	default:
		return NULL;
	}
	return p;
}

static bool is_known(uint8_t type)
{
#define KNOWN(name, fields) [IPSP_CTL_##name] = true,
	static const bool known[IPSP_CTL_TYPES] = {FRAMES(KNOWN)};
#undef KNOWN

	return type < IPSP_CTL_TYPES && known[type];
}

/* 1, 0 for a type that is not known, IPSP_ERR_FORMAT */
static int get_frame(const uint8_t *p, const uint8_t *end, struct ipsp_ctl_msg *msg)
{
	uint8_t type = *p++;

	if (!is_known(type))
		return 0;
	msg->type = (enum ipsp_ctl_type)type;
	return get_body(p, end, msg) ? 1 : IPSP_ERR_FORMAT;
}

int ipsp_ctl_next(const uint8_t *bytes, size_t n, size_t *used, struct ipsp_ctl_msg *msg)
{
	*used = 0;
	while (n - *used >= IPSP_CTL_HEAD) {
		const uint8_t *frame = bytes + *used + IPSP_CTL_HEAD;
		size_t length = ipsp_load_u32(bytes + *used);
		int got;

		if (length == 0 || length > IPSP_CTL_FRAME_MAX)
			return IPSP_ERR_FORMAT; /* before the rest has come: garbage is not
						   collected */
		if (length > n - *used - IPSP_CTL_HEAD)
			return 0;
		got = get_frame(frame, frame + length, msg);
		if (got < 0)
			return got;
		*used += IPSP_CTL_HEAD + length;
		if (got > 0)
			return 1;
	}
	return 0;
}

int ipsp_ctl_version(const struct ipsp_ctl_msg *hello)
{
	if (hello->type != IPSP_CTL_HELLO || hello->magic != IPSP_CTL_MAGIC)
		return IPSP_ERR_FORMAT;
	if (hello->min > IPSP_CTL_VERSION || hello->max < IPSP_CTL_VERSION_MIN ||
	    hello->min > hello->max)
		return IPSP_ERR_VERSION;
	return hello->max < IPSP_CTL_VERSION ? hello->max : IPSP_CTL_VERSION;
}
