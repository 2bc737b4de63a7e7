/*
 * ctldirect - the two frames that are sent by the hundred thousand, read and written without the
 * general message in between: a REQUEST where it stands, an ANSWER straight into a buffer. Made of
 * the same lists of fields as ctlmsg.c, and inline, so that a struct here never reaches memory.
 */
#ifndef IPSP_BASE_CTLDIRECT_H
#define IPSP_BASE_CTLDIRECT_H

#include "base/ctlmsg.h"

/* ---------------------------------------------------------------- a REQUEST, read */

struct ipsp_ctl_request { /* the texts are borrowed; nothing was looked for in them */
	uint64_t id;
	struct ipsp_addr addr;
	struct ipsp_ctl_str subscriber, session, pool, group;
};

/* .left: what the texts may have, when all of a fixed size has its place */
#define IPSP_CTL_GET_U64(member) r->member = ipsp_load_u64(p), p += 8;
#define IPSP_CTL_GET_ADDR(member)                                                                  \
	r->member.hi = ipsp_load_u64(p), r->member.lo = ipsp_load_u64(p + 8), p += 16;
#define IPSP_CTL_GET_STR8(member)                                                                  \
	r->member = (struct ipsp_ctl_str){(const char *)p + 1, *p};                                \
	if (r->member.n > left)                                                                    \
		return 0;                                                                          \
	left -= r->member.n;                                                                       \
	p += 1 + r->member.n;
#define IPSP_CTL_FIXED_U64(member)  +8
#define IPSP_CTL_FIXED_ADDR(member) +16
#define IPSP_CTL_FIXED_STR8(member) +1

/*
 * The length of the frame at @bytes when all of it is there and it is a REQUEST. 0: see what
 * ipsp_ctl_next says of it. That one also wants no NUL in the texts.
 */
static inline size_t ipsp_ctl_get_request(const uint8_t *bytes, size_t n,
					  struct ipsp_ctl_request *r)
{
	const size_t fixed = 1 IPSP_CTL_REQUEST_FIELDS(IPSP_CTL_FIXED_U64, IPSP_CTL_FIXED_ADDR,
						       IPSP_CTL_FIXED_STR8);

	if (n < IPSP_CTL_HEAD + fixed || bytes[IPSP_CTL_HEAD] != IPSP_CTL_REQUEST)
		return 0;
	const size_t length = ipsp_load_u32(bytes);
	if (length < fixed || length > IPSP_CTL_FRAME_MAX || length > n - IPSP_CTL_HEAD)
		return 0;
	const uint8_t *p = bytes + IPSP_CTL_HEAD + 1;
	size_t left = length - fixed;
	IPSP_CTL_REQUEST_FIELDS(IPSP_CTL_GET_U64, IPSP_CTL_GET_ADDR, IPSP_CTL_GET_STR8)
	return IPSP_CTL_HEAD + length;
}

#undef IPSP_CTL_FIXED_U64
#undef IPSP_CTL_FIXED_ADDR
#undef IPSP_CTL_FIXED_STR8
#undef IPSP_CTL_GET_U64
#undef IPSP_CTL_GET_ADDR
#undef IPSP_CTL_GET_STR8

/* ---------------------------------------------------------------- an ANSWER, written */

struct ipsp_ctl_answer {
	uint64_t id;
	struct ipsp_addr addr;
	int32_t err;
	uint8_t plen;
	struct ipsp_ctl_str pool; /* at most 255 bytes, no NUL */
};

/* Of the whole frame. */
static inline size_t ipsp_ctl_answer_size(const struct ipsp_ctl_answer *a)
{
	size_t size = IPSP_CTL_HEAD + 1;

#define IPSP_CTL_SIZE_4(member)	   size += 4;
#define IPSP_CTL_SIZE_8(member)	   size += 8;
#define IPSP_CTL_SIZE_16(member)   size += 16;
#define IPSP_CTL_SIZE_1(member)	   size += 1;
#define IPSP_CTL_SIZE_STR8(member) size += 1 + a->member.n;
	IPSP_CTL_ANSWER_FIELDS(IPSP_CTL_SIZE_8, IPSP_CTL_SIZE_4, IPSP_CTL_SIZE_16, IPSP_CTL_SIZE_1,
			       IPSP_CTL_SIZE_STR8)
#undef IPSP_CTL_SIZE_1
#undef IPSP_CTL_SIZE_4
#undef IPSP_CTL_SIZE_8
#undef IPSP_CTL_SIZE_16
#undef IPSP_CTL_SIZE_STR8
	return size;
}

#define IPSP_CTL_PUT_U8(member)	 *p++ = a->member;
#define IPSP_CTL_PUT_I32(member) ipsp_store_u32(p, (uint32_t)a->member), p += 4;
#define IPSP_CTL_PUT_U64(member) ipsp_store_u64(p, a->member), p += 8;
#define IPSP_CTL_PUT_ADDR(member)                                                                  \
	ipsp_store_u64(p, a->member.hi), ipsp_store_u64(p + 8, a->member.lo), p += 16;
#define IPSP_CTL_PUT_STR8(member)                                                                  \
	*p++ = (uint8_t)a->member.n;                                                               \
	ipsp_copy_text(p, a->member.p, a->member.n), p += a->member.n;

/* Into @frame, where there is room for the @size that it has. */
static inline void ipsp_ctl_put_answer(uint8_t *frame, size_t size, const struct ipsp_ctl_answer *a)
{
	uint8_t *p = frame + IPSP_CTL_HEAD;

	ipsp_store_u32(frame, (uint32_t)(size - IPSP_CTL_HEAD));
	*p++ = IPSP_CTL_ANSWER;
	IPSP_CTL_ANSWER_FIELDS(IPSP_CTL_PUT_U64, IPSP_CTL_PUT_I32, IPSP_CTL_PUT_ADDR,
			       IPSP_CTL_PUT_U8, IPSP_CTL_PUT_STR8)
}

#undef IPSP_CTL_PUT_U8
#undef IPSP_CTL_PUT_I32
#undef IPSP_CTL_PUT_U64
#undef IPSP_CTL_PUT_ADDR
#undef IPSP_CTL_PUT_STR8

#endif
