/*
 * rec - the format of durable records, and what the files that write and read them share.
 *
 * A record is  u8 type | body,  numbers in network byte order:
 *   CONF   u8 own | pools as conf.c encodes them      all addresses become FREE with that own
 *   SIDE   u64 books peer_books epoch agreed_epoch sent acked applied report | u32 flags dead_ms |
 *          u8 p6 conf_mine conf_peer
 *   NAME   u16 ha | str8 name                        from here on the number means this name
 *   TAKE   u16 pool | u32 index | u16 ha | str8 subscriber | str8 session
 *          no subscriber: nobody's, a duplicate that the owner is still to be told the end of
 *   DROP   u16 pool | u32 index
 *   KEEP   u16 pool | u32 index | u8 use | u32 seconds left | str8 subscriber
 *   HA     u16 pool | u32 index | u16 ha [| u8 1: an operator wants the session ended]
 *   FLAG   u16 pool | u32 index | u8 flag | u8 on
 *   OUT    an item of our stream, with its effect      IN  an item of the peer's, with its effect
 *   ACKED  u64 number
 *   RESUPPLY u64 the peer's new books                LOST u64 our new books
 *   SNAP_BEGIN, SNAP_END, SNAP_OUT item              the last without its effect
 *   DUPLICATE u16 pool | u32 index                   the owner told us to drop this session
 *   ALONE  u64 our new books | u8 how                nothing was ever shared, under these
 *   REPOOL u8 own | pools as CONF                    other pools, all that is bound carried over
 *   RUN    u16 pool | u32 start count | u8 own flags these addresses are FREE, absolutely
 */
#ifndef IPSP_CORE_REC_H
#define IPSP_CORE_REC_H

#include "core/node_int.h"

enum {
	IPSP_REC_CONF = 1,
	IPSP_REC_SIDE,
	IPSP_REC_NAME,
	IPSP_REC_TAKE,
	IPSP_REC_DROP,
	IPSP_REC_KEEP,
	IPSP_REC_HA,
	IPSP_REC_FLAG,
	IPSP_REC_OUT,
	IPSP_REC_IN,
	IPSP_REC_ACKED,
	IPSP_REC_RESUPPLY,
	IPSP_REC_LOST,
	IPSP_REC_SNAP_BEGIN,
	IPSP_REC_SNAP_END,
	IPSP_REC_SNAP_OUT,
	IPSP_REC_RUN,
	IPSP_REC_ALONE,
	IPSP_REC_DUPLICATE,
	IPSP_REC_REPOOL,
};

/* A record begins at the end of @recs; its length is put in when it ends, @at is its beginning. */
struct ipsp_buf *ipsp_rec_begin(struct ipsp_buf *recs, uint8_t type);
void ipsp_rec_end(struct ipsp_buf *recs, size_t at);

/* The same for one of the running step: NULL on replay, which makes no records. */
struct ipsp_buf *ipsp_rec_live(struct ipsp_node *n, uint8_t type, size_t *at);
void ipsp_rec_made(struct ipsp_node *n, size_t at);

void ipsp_rec_put_place(struct ipsp_buf *b, struct ipsp_place at);
void ipsp_rec_put_name(struct ipsp_buf *b, uint16_t ha, const char *name, uint32_t owner);
void ipsp_rec_put_take(struct ipsp_buf *b, struct ipsp_place at, uint16_t ha,
		       const struct ipsp_ident *ident); /* a whole record */
void ipsp_rec_put_terminate(struct ipsp_buf *b, struct ipsp_place at, uint16_t ha);
void ipsp_rec_put_side(struct ipsp_buf *b, const struct ipsp_side *s);
void ipsp_rec_get_side(struct ipsp_rd *rd, struct ipsp_side *s);

#endif
