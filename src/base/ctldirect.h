/*
 * ctldirect - the frames that are sent by the hundred thousand, read and written without the
 * general message in between: a REQUEST or RELEASE where it stands, an ANSWER or DONE straight into
 * a buffer. Made of the same lists of fields as ctlmsg.c, and inline, so that a struct here never
 * reaches memory.
 */
#ifndef IPSP_BASE_CTLDIRECT_H
#define IPSP_BASE_CTLDIRECT_H

#include "base/ctlmsg.h"

/* ---------------------------------------------------------------- read */

struct ipsp_ctl_request { /* the texts are borrowed; nothing was looked for in them */
	uint64_t id;
	struct ipsp_addr addr;
	struct ipsp_ctl_str subscriber, session, pool, group;
};

struct ipsp_ctl_release {
	uint64_t id;
	struct ipsp_addr addr;
	struct ipsp_ctl_str subscriber, session; /* .p NULL: not there */
};

/*
 * The length of the frame at @bytes when all of it is there and it is one of @type, whose fields
 * have @fixed bytes and texts; @left is what these may have. 0: see what ipsp_ctl_next says of it.
 */
static inline size_t ipsp_ctl_direct(const uint8_t *bytes, size_t n, enum ipsp_ctl_type type,
				     size_t fixed, size_t *left)
{
	if (n < IPSP_CTL_HEAD + 1 + fixed || bytes[IPSP_CTL_HEAD] != type)
		return 0;
	const size_t length = ipsp_load_u32(bytes);
	if (length < 1 + fixed || length > IPSP_CTL_FRAME_MAX || length > n - IPSP_CTL_HEAD)
		return 0;
	*left = length - 1 - fixed;
	return IPSP_CTL_HEAD + length;
}

#define IPSP_CTL_GET_U64(member) r->member = ipsp_load_u64(p), p += 8;
#define IPSP_CTL_GET_ADDR(member)                                                                  \
	r->member.hi = ipsp_load_u64(p), r->member.lo = ipsp_load_u64(p + 8), p += 16;
#define IPSP_CTL_GET_STR8(member)                                                                  \
	r->member = (struct ipsp_ctl_str){(const char *)p + 1, *p};                                \
	if (r->member.n > left)                                                                    \
		return 0;                                                                          \
	left -= r->member.n;                                                                       \
	p += 1 + r->member.n;
#define IPSP_CTL_SKIP_8(member)	   p += 8;
#define IPSP_CTL_SKIP_16(member)   p += 16;
#define IPSP_CTL_SKIP_STR8(member) p += 1 + r->member.n;
/* Behind what every version has: not there, where the body ends before it. */
#define IPSP_CTL_GET_LATER8(member)                                                                \
	r->member = (struct ipsp_ctl_str){NULL, 0};                                                \
	if (left > 0) {                                                                            \
		left--;                                                                            \
		IPSP_CTL_GET_STR8(member)                                                          \
	}
#define IPSP_CTL_SIZE_0(member)
#define IPSP_CTL_SIZE_1(member)	    size += 1;
#define IPSP_CTL_SIZE_4(member)	    size += 4;
#define IPSP_CTL_SIZE_8(member)	    size += 8;
#define IPSP_CTL_SIZE_16(member)    size += 16;
#define IPSP_CTL_SIZE_STR8(member)  size += 1 + a->member.n;
#define IPSP_CTL_SIZE_STR16(member) size += 2 + a->member.n;

/* A whole REQUEST. The general reader also wants no NUL in the texts. */
static inline size_t ipsp_ctl_get_request(const uint8_t *bytes, size_t n,
					  struct ipsp_ctl_request *r)
{
	const uint8_t *p = bytes + IPSP_CTL_HEAD + 1;
	size_t size = 0, left;

	IPSP_CTL_REQUEST_FIELDS(IPSP_CTL_SIZE_8, IPSP_CTL_SIZE_16, IPSP_CTL_SIZE_1)
	const size_t length = ipsp_ctl_direct(bytes, n, IPSP_CTL_REQUEST, size, &left);

	if (length == 0)
		return 0;
	/* the texts first, as only they may turn out to be none: all else need not be kept
	 * meanwhile */
	IPSP_CTL_REQUEST_FIELDS(IPSP_CTL_SKIP_8, IPSP_CTL_SKIP_16, IPSP_CTL_GET_STR8)
	p = bytes + IPSP_CTL_HEAD + 1;
	IPSP_CTL_REQUEST_FIELDS(IPSP_CTL_GET_U64, IPSP_CTL_GET_ADDR, IPSP_CTL_SKIP_STR8)
	return length;
}

/* A whole RELEASE. The general reader also wants no NUL in the texts. */
static inline size_t ipsp_ctl_get_release(const uint8_t *bytes, size_t n,
					  struct ipsp_ctl_release *r)
{
	const uint8_t *p = bytes + IPSP_CTL_HEAD + 1;
	size_t size = 0, left;

	IPSP_CTL_RELEASE_FIELDS(IPSP_CTL_SIZE_8, IPSP_CTL_SIZE_16, IPSP_CTL_SIZE_0)
	const size_t length = ipsp_ctl_direct(bytes, n, IPSP_CTL_RELEASE, size, &left);

	if (length == 0)
		return 0;
	IPSP_CTL_RELEASE_FIELDS(IPSP_CTL_GET_U64, IPSP_CTL_GET_ADDR, IPSP_CTL_GET_LATER8)
	return length;
}

/* ---------------------------------------------------------------- written */

struct ipsp_ctl_answer {
	uint64_t id;
	struct ipsp_addr addr;
	int32_t err;
	uint8_t plen;
	struct ipsp_ctl_str pool; /* at most 255 bytes, no NUL */
};

struct ipsp_ctl_done {
	uint64_t id;
	int32_t err;
	struct ipsp_ctl_str text; /* at most IPSP_CTL_TEXT_MAX bytes */
};

#define IPSP_CTL_PUT_U8(member)	 *p++ = a->member;
#define IPSP_CTL_PUT_I32(member) ipsp_store_u32(p, (uint32_t)a->member), p += 4;
#define IPSP_CTL_PUT_U64(member) ipsp_store_u64(p, a->member), p += 8;
#define IPSP_CTL_PUT_ADDR(member)                                                                  \
	ipsp_store_u64(p, a->member.hi), ipsp_store_u64(p + 8, a->member.lo), p += 16;
#define IPSP_CTL_PUT_STR8(member)                                                                  \
	*p++ = (uint8_t)a->member.n;                                                               \
	ipsp_copy_text(p, a->member.p, a->member.n), p += a->member.n;
#define IPSP_CTL_PUT_STR16(member)                                                                 \
	ipsp_store_u16(p, (uint16_t)a->member.n), p += 2;                                          \
	ipsp_copy_text(p, a->member.p, a->member.n), p += a->member.n;

/* Of the whole frame. */
static inline size_t ipsp_ctl_answer_size(const struct ipsp_ctl_answer *a)
{
	size_t size = IPSP_CTL_HEAD + 1;

	IPSP_CTL_ANSWER_FIELDS(IPSP_CTL_SIZE_8, IPSP_CTL_SIZE_4, IPSP_CTL_SIZE_16, IPSP_CTL_SIZE_1,
			       IPSP_CTL_SIZE_STR8)
	return size;
}

/* Into @p, where there is room for the @size that it has. */
static inline void ipsp_ctl_put_answer(uint8_t *p, size_t size, const struct ipsp_ctl_answer *a)
{
	ipsp_store_u32(p, (uint32_t)(size - IPSP_CTL_HEAD)), p += IPSP_CTL_HEAD;
	*p++ = IPSP_CTL_ANSWER;
	IPSP_CTL_ANSWER_FIELDS(IPSP_CTL_PUT_U64, IPSP_CTL_PUT_I32, IPSP_CTL_PUT_ADDR,
			       IPSP_CTL_PUT_U8, IPSP_CTL_PUT_STR8)
}

static inline size_t ipsp_ctl_done_size(const struct ipsp_ctl_done *a)
{
	size_t size = IPSP_CTL_HEAD + 1;

	IPSP_CTL_DONE_FIELDS(IPSP_CTL_SIZE_8, IPSP_CTL_SIZE_4, IPSP_CTL_SIZE_STR16)
	return size;
}

static inline void ipsp_ctl_put_done(uint8_t *p, size_t size, const struct ipsp_ctl_done *a)
{
	ipsp_store_u32(p, (uint32_t)(size - IPSP_CTL_HEAD)), p += IPSP_CTL_HEAD;
	*p++ = IPSP_CTL_DONE;
	IPSP_CTL_DONE_FIELDS(IPSP_CTL_PUT_U64, IPSP_CTL_PUT_I32, IPSP_CTL_PUT_STR16)
}

#undef IPSP_CTL_GET_U64
#undef IPSP_CTL_GET_ADDR
#undef IPSP_CTL_GET_STR8
#undef IPSP_CTL_GET_LATER8
#undef IPSP_CTL_SKIP_8
#undef IPSP_CTL_SKIP_16
#undef IPSP_CTL_SKIP_STR8
#undef IPSP_CTL_SIZE_0
#undef IPSP_CTL_SIZE_1
#undef IPSP_CTL_SIZE_4
#undef IPSP_CTL_SIZE_8
#undef IPSP_CTL_SIZE_16
#undef IPSP_CTL_SIZE_STR8
#undef IPSP_CTL_SIZE_STR16
#undef IPSP_CTL_PUT_U8
#undef IPSP_CTL_PUT_I32
#undef IPSP_CTL_PUT_U64
#undef IPSP_CTL_PUT_ADDR
#undef IPSP_CTL_PUT_STR8
#undef IPSP_CTL_PUT_STR16

#endif
