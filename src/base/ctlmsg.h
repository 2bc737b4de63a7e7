/*
 * ctlmsg - the frames on the control socket, a Unix stream between ipspd and its clients: HAs (by
 * libipsp) and operators (by ipspctl). Struct <-> bytes, and nothing else.
 *
 * A frame, all numbers in network byte order:
 *
 *     u32 length of what follows, 1 .. IPSP_CTL_FRAME_MAX
 *     u8  type
 *     body: the fields of that type, in the order of the list below, without gaps
 *
 *     id       u64, the client's own; comes back in what answers it
 *     addr     16 bytes; IPv4 as ::ffff:a.b.c.d, all zero for "none given"
 *     err      i32, 0 or a negative IPSP_ERR_ of ipsp.h
 *     n        u32
 *     magic    u32, IPSP_CTL_MAGIC
 *     min max  u16, the range of versions that the sender speaks
 *     flags plen reason     u8 each
 *     text     u16 length, bytes
 *     event    u64, the daemon's number of a release event; the first version ends before it: 0
 *     subscriber session    of RELEASE, RELEASED and COMMAND: whose session it was. The first
 * version ends before them, and so does who doesn't say: then .p is NULL. A session goes behind a
 *              subscriber, which is "" where only the session is said
 *     the rest u8 length, bytes
 *
 * No text has a NUL inside, but .text may. A type that is not known is skipped; what stands in a
 * body behind the fields known is skipped too (a later version put it there); a body that ends
 * before the last field is malformed, and the stream is then of no use any more: its reader closes.
 *
 * The first frame in both directions is HELLO; the version of a connection is the highest that
 * both ranges have. A client then says for which context it speaks, and as whom (ATTACH), before
 * its first REQUEST, RELEASE, RELEASED or LIST. COMMAND and SHOW need no ATTACH.
 */
#ifndef IPSP_BASE_CTLMSG_H
#define IPSP_BASE_CTLMSG_H

#include "base/addr.h"
#include "base/bytes.h"
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define IPSP_CTL_MAGIC	     0x49505350u /* "IPSP" */
#define IPSP_CTL_VERSION     1
#define IPSP_CTL_VERSION_MIN 1
#define IPSP_CTL_HEAD	     4
#define IPSP_CTL_FRAME_MAX   65536u /* the type and the body */
#define IPSP_CTL_TEXT_MAX    32768u /* of one .text; a longer one goes in several TEXT frames */

enum ipsp_ctl_type {
	/* to the daemon, but for HELLO, which goes both ways */
	IPSP_CTL_HELLO = 1,    /* magic min max program */
	IPSP_CTL_ATTACH = 2,   /* id context name: "" the only context; "" an operator. -> DONE */
	IPSP_CTL_REQUEST = 3,  /* id addr subscriber session pool group -> ANSWER */
	IPSP_CTL_RELEASE = 4,  /* id addr subscriber session -> DONE */
	IPSP_CTL_RELEASED = 5, /* addr event subscriber session; event 0: the oldest that is open
				  for the address */
	IPSP_CTL_LIST = 6,     /* id -> SESSION .. SESSION DONE */
	/* id flags context name argument, and for release subscriber session -> TEXT .. TEXT DONE
	 */
	IPSP_CTL_COMMAND = 7,
	/* id n context name pool subscriber, and for sessions argument (an address or a prefix) and
	   state -> TEXT .. TEXT DONE */
	IPSP_CTL_SHOW = 8,
	/* from the daemon */
	IPSP_CTL_ANSWER = 65,  /* id err addr plen pool */
	IPSP_CTL_DONE = 66,    /* id err text: words for people, or "" */
	IPSP_CTL_TEXT = 67,    /* id text: the next slice of a JSON text */
	IPSP_CTL_SESSION = 68, /* id addr plen pool subscriber session */
	IPSP_CTL_EVENT = 69,   /* addr reason subscriber session event: the HA is to end this one */
	IPSP_CTL_CANCELLED = 70, /* addr event: that event is void */
	IPSP_CTL_STATE = 71,	 /* context role state */
	IPSP_CTL_BYE = 72,	 /* err text: why the daemon closes this connection now */
	IPSP_CTL_TYPES
};

/*
 * The fields of these four, as macros of what is done with each: they are also read and written
 * without a struct ipsp_ctl_msg (base/ctldirect.h). Those of all others stand in ctlmsg.c.
 */
#define IPSP_CTL_REQUEST_FIELDS(U64, ADDR, STR8)                                                   \
	U64(id) ADDR(addr) STR8(subscriber) STR8(session) STR8(pool) STR8(group)
#define IPSP_CTL_RELEASE_FIELDS(U64, ADDR, LATER8)                                                 \
	U64(id) ADDR(addr) LATER8(subscriber) LATER8(session)
#define IPSP_CTL_DONE_FIELDS(U64, I32, STR16) U64(id) I32(err) STR16(text)
#define IPSP_CTL_ANSWER_FIELDS(U64, I32, ADDR, U8, STR8)                                           \
	U64(id) I32(err) ADDR(addr) U8(plen) STR8(pool)

enum { IPSP_CTL_FORCE = 1 }; /* flags of COMMAND */

struct ipsp_ctl_str { /* borrowed; no NUL at its end */
	const char *p;
	size_t n;
};

/* Every field that any frame has. Those that its frame has not are neither written nor read. */
struct ipsp_ctl_msg {
	enum ipsp_ctl_type type;
	uint64_t id, event;
	struct ipsp_addr addr;
	int32_t err;
	uint32_t n, magic;
	uint16_t min, max;
	uint8_t flags, plen, reason;
	struct ipsp_ctl_str program, context, name, argument, subscriber, session, pool, group,
		role, state, text;
};

struct ipsp_ctl_str ipsp_ctl_str(const char *s); /* of a C string; NULL is "" */

/*
 * Appends one frame to @buf. Returns 0; IPSP_ERR_INVALID (a text that is too long for its field, or
 * that has a NUL; no such type) or IPSP_ERR_NOMEM, and then @buf is as it was.
 */
int ipsp_ctl_put(struct ipsp_buf *buf, const struct ipsp_ctl_msg *msg);

/*
 * Reads the next frame that is known from @n bytes at @bytes. @used is set to how many bytes are
 * done with, also where none was found (unknown frames are skipped). @msg borrows from @bytes.
 * Returns 1; 0 when more bytes are needed; IPSP_ERR_FORMAT.
 */
int ipsp_ctl_next(const uint8_t *bytes, size_t n, size_t *used, struct ipsp_ctl_msg *msg);

/* The version that both speak; IPSP_ERR_FORMAT: no HELLO; IPSP_ERR_VERSION: none in common. */
int ipsp_ctl_version(const struct ipsp_ctl_msg *hello);

#endif
