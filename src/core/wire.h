/*
 * wire - datagrams and records: struct <-> bytes, and nothing else. Every format is spelled out
 * byte by byte in docs/protocol.md and beside the code in wire.c. All numbers in network byte
 * order.
 *
 * Messages are in wire.c, items in item.c.
 *
 * Outside: a header in clear (seal.h seals the rest). Inside: messages, one after the other, each
 *     u8 type | u16 length of the body | body
 * A type that is not known is skipped; a body that is longer than known is read as far as known
 * (a later version put something behind); one that is shorter than the first version's is
 * malformed, and the whole datagram is then dropped: all messages are walked before any is obeyed.
 *
 * Versions. The hello is the same in all of them: fields are only put behind it. It says the range
 * of versions that its sender speaks, and both sides speak the highest one that is in both ranges;
 * without one only hellos are obeyed. A capability is a bit in the hello: what it stands for is not
 * used towards a side that doesn't say it, and a bit that is not known is nothing.
 */
#ifndef IPSP_CORE_WIRE_H
#define IPSP_CORE_WIRE_H

#include "base/bytes.h"
#include "base/ident.h"
#include "core/conf.h"
#include <stdbool.h>
#include <stdint.h>

#define IPSP_DGRAM_MAX 1200
#define IPSP_HDR_LEN   16 /* in clear: see seal.h */
#define IPSP_TAG_LEN   16
#define IPSP_PLAIN_MAX (IPSP_DGRAM_MAX - IPSP_HDR_LEN - IPSP_TAG_LEN)
#define IPSP_ITEM_MAX                                                                              \
	1100 /* a numbered item with its head always fits one datagram and one record */
#define IPSP_VERSION	 1 /* the range that this build speaks */
#define IPSP_VERSION_MIN 1

enum ipsp_capability {
	IPSP_CAP_SKIPS = 1 << 0,     /* skips items of types that it doesn't know and that may be */
	IPSP_CAP_DISK_FULL = 1 << 1, /* has a word for IPSP_ERR_DISK_FULL in a refusal */
	IPSP_CAP_RENEWS = 1 << 2,    /* renews the keys of a session, see renew.c */
};
#define IPSP_CAPABILITIES                                                                          \
	(IPSP_CAP_SKIPS | IPSP_CAP_DISK_FULL | IPSP_CAP_RENEWS) /* those of this build */

enum ipsp_msg_type {
	IPSP_MSG_HELLO = 1,    /* facts about the sender; see below */
	IPSP_MSG_CONF_ASK = 2, /* send me your pools' definitions from this byte on */
	IPSP_MSG_CONF_PART = 3,
	IPSP_MSG_REQUEST = 4, /* please give me an address (S3, B13) */
	IPSP_MSG_REFUSE = 5,  /* the answer to a request that got none; a granted one is answered by
				 its ITEM */
	IPSP_MSG_ITEM = 6,    /* one of the numbered stream: GIVE, REPORT, DROP, DROPPED */
	IPSP_MSG_ACK = 7,     /* all items up to this number are applied and durable */
	IPSP_MSG_TAKEOVER = 8, /* the secondary asks the primary to yield the role */
	IPSP_MSG_CANCEL = 9,   /* the request of this id is not wanted any more */
	IPSP_MSG_RENEW = 10,   /* half of the exchange that makes the next keys of the session */
	IPSP_MSG_TYPES
};

/* hello flags */
enum {
	IPSP_HF_PRIMARY = 1 << 0, /* the sender is primary in .epoch (unset: the receiver is) */
	IPSP_HF_ROLE = 1 << 1, /* the sender has a role at all (unset before the first agreement) */
	IPSP_HF_AGREED_PRIMARY = 1 << 2, /* at .agreed_epoch the sender was primary */
	IPSP_HF_LICENCE = 1 << 3,	 /* the sender has taken over and not yet healed */
	IPSP_HF_SHARED = 1 << 4,	 /* the sender has shared its pools with a peer */
	IPSP_HF_CONF_PRIMARY = 1 << 5,	 /* configured role of the sender */
	IPSP_HF_DRAINING = 1 << 6,
	IPSP_HF_TERMINATED =
		1 << 7,	       /* the sender goes, or is, out of service by graceful termination */
	IPSP_HF_LOAN = 1 << 8, /* the sender is primary only until the terminated peer returns */
	IPSP_HF_SAME = 1 << 9, /* the sender found the pools identical */
	IPSP_HF_CHECK = 1 << 10,   /* the sender is in mode check-config: it shares nothing */
	IPSP_HF_GOODBYE = 1 << 11, /* the sender stops after this */
	IPSP_HF_LOST = 1 << 12,	   /* the sender has lost its state and waits to be given what the
				      receiver says */
	IPSP_HF_YIELD =
		1 << 13, /* the epoch came about by the sender's yielding, not by a takeover */
	IPSP_HF_REPORTED =
		1 << 14, /* every report of the sender is applied here, as far as it knows */
	IPSP_HF_MISMATCH = 1 << 15, /* the sender found the pools different */
	IPSP_HF_BYE_LOAN = 1 << 16, /* with YIELD: the sender wants the role back when it returns */
	IPSP_HF_LEFT = 1 << 18, /* IPSP was just disabled on the sender, who owned all or nothing */
	IPSP_HF_GROUNDED = 1 << 17, /* the sender owns nothing since IPSP was disabled there */
};

struct ipsp_hello {
	uint8_t version_min, version_max;
	uint32_t capabilities;
	char version[16]; /* of the program, text */
	uint32_t flags;
	uint64_t books, peer_books; /* ids; peer_books 0: knows none yet */
	uint64_t epoch, agreed_epoch;
	uint32_t number;	  /* of this hello; grows as long as its process lives */
	uint32_t heard, promised; /* the newest number heard from the receiver; the newest promised
				     on; 0: none */
	uint32_t dead_ms;	  /* the promise's length: the sender's dead interval in force */
	uint32_t peer_dead_ms; /* the receiver's dead interval as the sender knows it (an echo) */
	uint32_t hello_ms, request_timeout_ms, release_timeout_ms;
	uint8_t digest[32];	       /* of its pools' definitions */
	uint64_t sent, applied, known; /* last number sent; applied from the receiver; known to be
					  applied by the receiver */
	uint64_t report; /* the number of the item that ends its last report, 0: none */
	uint32_t used,
		spare; /* sessions on dynamic addresses; addresses it owns that nobody uses */
};

struct ipsp_request { /* REQUEST */
	uint64_t id, epoch;
	uint8_t select;	  /* enum ipsp_select */
	uint16_t pool;	  /* see struct ipsp_ask */
	uint16_t at_pool; /* IPSP_NO_POOL: any address will do */
	uint32_t at_index;
	uint32_t count; /* how many would be welcome; 1 for an address asked for by number */
	struct ipsp_ident ident; /* the session that asks; n_subscriber 0: none does (a reserve, or
				    a primary that runs short) */
};

struct ipsp_refuse {
	uint64_t id, epoch; /* the epoch of the refusing side */
	int32_t err;	    /* a public IPSP_ERR_, or IPSP_REFUSE_EPOCH */
};
#define IPSP_REFUSE_EPOCH 1 /* asked in another epoch: learn the present one and ask again */
#define IPSP_REFUSE_WAIT  2 /* heard; an answer follows when our HA has released the session */

struct ipsp_conf_part { /* CONF_PART; CONF_ASK uses .offset alone */
	uint32_t offset, total;
	const uint8_t *bytes; /* borrowed */
	uint16_t n;
};

#define IPSP_PUBLIC_BYTES 32

struct ipsp_renew { /* RENEW */
	bool has;   /* the sender has the receiver's half, and so can open with the next keys */
	uint8_t public[IPSP_PUBLIC_BYTES]; /* X25519, made for this */
};

/*
 * Items: the numbered stream of one direction, applied in order, each exactly once. An encoded
 * item is   u64 number | u8 type | body   and is the same bytes in the datagram and in the log.
 *
 * Of a later version: a type of 128 or more may be skipped by whoever doesn't know it, which is to
 * apply it as nothing. Any other that is not known stops the stream.
 */
#define IPSP_ITEM_MAY_SKIP 0x80
#define IPSP_ITEM_AT_TYPE  8  /* where an encoded one has its type */
#define IPSP_ITEM_HEAD	   23 /* bytes before the set */
enum ipsp_item_type {
	IPSP_ITEM_SKIPPED = 0, /* as parsed: not known here, and nothing to be done for it */
	IPSP_ITEM_GIVE = 1,
	IPSP_ITEM_REPORT = 2,
	IPSP_ITEM_DROP = 3,
	IPSP_ITEM_DROPPED = 4
};
enum { IPSP_GIVE_FIRST = 1 /* the first assignment (S1) */ };
enum { IPSP_REPORT_END = 1 /* nothing more of this licence follows */ };
enum ipsp_set_form {
	IPSP_SET_RUNS = 1, /* n x (u32 start, u32 count) */
	IPSP_SET_BITS = 2, /* u32 start, u16 bytes, then one bit an address, lowest first */
	IPSP_SET_KEPT = 3, /* GIVE: n x (u32 index, u8 use, u32 seconds left, str8 subscriber): held
			      or in quarantine */
	IPSP_SET_WHO = 4,  /* REPORT, DROP, DROPPED: n x (u32 index, str8 subscriber) */
};

struct ipsp_item { /* borrows .set from the encoded bytes */
	uint64_t number;
	enum ipsp_item_type type;
	uint8_t flags;
	uint64_t request; /* GIVE: the id of the request that it answers, 0: none */
	uint16_t pool;	  /* IPSP_NO_POOL where the set is empty */
	enum ipsp_set_form form;
	const uint8_t *set;
	uint16_t n_set; /* bytes */
};

/*
 * Building: _begin writes the head, the _add calls append to the set while they return true (room
 * up to IPSP_ITEM_MAX), _end completes the lengths and returns the total, which is in buf.
 */
struct ipsp_item_writer {
	uint8_t bytes[IPSP_ITEM_MAX];
	size_t n;
	enum ipsp_set_form form;
	uint32_t n_entries;
};
void ipsp_item_begin(struct ipsp_item_writer *w, uint64_t number, enum ipsp_item_type type,
		     uint8_t flags, uint64_t request, uint16_t pool, enum ipsp_set_form form);
bool ipsp_item_add_run(struct ipsp_item_writer *w, uint32_t start, uint32_t count);
/* BITS: @start once; indices in ascending order, each within what still fits; false: no room for
 * this one */
bool ipsp_item_add_bit(struct ipsp_item_writer *w, uint32_t index);
bool ipsp_item_add_kept(struct ipsp_item_writer *w, uint32_t index, uint8_t use, uint32_t left_s,
			const char *subscriber, size_t n);
bool ipsp_item_add_who(struct ipsp_item_writer *w, uint32_t index, const char *subscriber,
		       size_t n);
size_t ipsp_item_end(struct ipsp_item_writer *w);

/*
 * The whole of @n bytes must be one well-formed item, its set walked to the end: IPSP_ERR_FORMAT
 * otherwise, and @item is left alone. Well-formed: an empty set; in a GIVE the forms RUNS, BITS and
 * KEPT (use HOLD or QUARANTINE); in the others WHO, also where it is empty. Not looked at: whether
 * pool and indices exist, and whether an address is named twice.
 *
 * Of a type that is not known only head and length are looked at. One that may be skipped comes out
 * as IPSP_ITEM_SKIPPED, with its number and an empty set. Any other, and a set of a form that is
 * not known: IPSP_ERR_VERSION, and @item has .number alone.
 */
int ipsp_item_parse(const uint8_t *bytes, size_t n, struct ipsp_item *item);
/* The same of one that was parsed before, or written here: its set is not walked again. */
int ipsp_item_again(const uint8_t *bytes, size_t n, struct ipsp_item *item);

struct ipsp_set_iter {
	struct ipsp_rd rd;
	enum ipsp_set_form form;
	uint32_t start, bit, n_bits; /* BITS */
};
struct ipsp_set_entry {
	uint32_t start, count; /* RUNS, BITS: a run of at least 1; KEPT, WHO: count 1 */
	uint8_t use;
	uint32_t left_s;
	const char *subscriber; /* borrowed, no NUL */
	uint8_t n_subscriber;
};
void ipsp_set_begin(struct ipsp_set_iter *it, const struct ipsp_item *item);
bool ipsp_set_next(struct ipsp_set_iter *it, struct ipsp_set_entry *entry); /* false at the end */

struct ipsp_msg {
	enum ipsp_msg_type type;
	union {
		struct ipsp_hello hello;
		struct ipsp_conf_part conf;
		struct ipsp_request request; /* CANCEL uses .id, TAKEOVER .epoch alone */
		struct ipsp_refuse refuse;
		struct ipsp_renew renew;
		/*
		 * .stream: whose books to whose (ipsp_sync_tag), so that an item of a stream that
		 * was thrown away is never taken for one of the present
		 */
		struct {
			const uint8_t *bytes; /* encoded; parse it with ipsp_item_parse */
			uint16_t n;
			uint32_t stream;
		} item;
		struct {
			uint64_t number;
			uint32_t stream;
		} ack;
	} u;
};

/* Appends one message to @buf at @at; returns the new length, or 0 when it would pass @cap (what is
 * behind @at is then undefined). */
size_t ipsp_msg_put(uint8_t *buf, size_t at, size_t cap, const struct ipsp_msg *msg);
/* Reads the next message that is known: 1, 0 at the end, or IPSP_ERR_FORMAT. */
int ipsp_msg_next(struct ipsp_rd *rd, struct ipsp_msg *msg);
/* The same of what was walked to its end before: texts are not looked at again. False at the end.
 */
bool ipsp_msg_again(struct ipsp_rd *rd, struct ipsp_msg *msg);

#endif
