/*
 * liar - a node, and a peer made by hand which has the key and says whatever a test wants. Beside
 * what the test says it is a good peer: it hears, acknowledges and promises.
 */
#ifndef UNIT_LIAR_H
#define UNIT_LIAR_H

#include "core/node_int.h"

#define DEAD_MS	 30000U
#define SIZE	 16 /* addresses of the pool */
#define OPERATOR 1
#define HA	 2

struct liar {
	struct ipsp_context_conf conf;
	struct ipsp_pool_conf pool;
	struct ipsp_node *node;
	struct ipsp_actions act;
	struct ipsp_buf log; /* what it has recorded in its turns */
	ipsp_ms now;
	struct ipsp_seal seal; /* the liar's */
	uint64_t books;
	bool primary; /* the liar's role */
	bool mute;
	bool no_acks;
	bool deaf; /* it says that it has heard nothing */
	uint32_t number;
	uint64_t sent, applied;
	struct ipsp_hello heard; /* the node's last */
	size_t n_hellos;
	uint32_t lie_set, lie_clear; /* flags of the hellos, beside the truth */
	uint64_t lie_epoch, lie_applied, lie_peer_books;
	uint64_t report; /* of which it doesn't know that it is applied: it promises nothing */
	uint32_t used;	 /* sessions that it says to have */
	bool lie_digest;
	uint8_t version_min, version_max; /* what it speaks */
	uint32_t capabilities;
	int refused;	/* what the node's last REFUSE said */
	size_t n_asked; /* REQUESTs of the node */
	struct ipsp_request asked;
	int done, answered;	   /* 1: not yet */
	const char *done_text;	   /* static, or NULL */
	uint64_t event, cancelled; /* the last release event to an HA, and the last that is void */
	uint64_t event_to;	   /* ... the token of that HA */
	enum ipsp_reason reason;   /* ... */
	size_t n_events;
	unsigned n_traps[IPSP_TRAPS];
	struct ipsp_item last_item;
	ipsp_ms hello_at;	      /* for tests that say hellos by themselves */
	uint64_t turn_us, longest_us; /* processor time of the last turn, and of the longest */
};

void liar_turn(struct liar *l, const struct ipsp_event *ev);
void liar_say_bytes(struct liar *l, const uint8_t *plain, size_t n);
void liar_say(struct liar *l, const struct ipsp_msg *msg);
struct ipsp_msg liar_hello(struct liar *l);
void liar_say_hello(struct liar *l);
void liar_say_ack(struct liar *l, uint64_t number);
void liar_say_item(struct liar *l, struct ipsp_item_writer *w, uint32_t wrong_stream);
void liar_say_request(struct liar *l, uint64_t id, uint64_t epoch, uint16_t pool, uint32_t index);
void liar_pass(struct liar *l, unsigned ms);
struct ipsp_status liar_status(struct liar *l);
const struct ipsp_stats *liar_stats(struct liar *l);
void liar_first_assignment(struct liar *l);
struct liar *liar_new(bool node_is_primary, enum ipsp_mode mode);
struct liar *liar_new_of(bool node_is_primary, enum ipsp_mode mode, uint32_t size);
void liar_meet(struct liar *l);
struct liar *liar_active(bool node_is_primary);
void liar_reboot(struct liar *l); /* the node's host: another process, on another boot */
void liar_free(struct liar *l);
void liar_take(struct liar *l, const char *sub, uint32_t index);
void liar_command(struct liar *l, enum ipsp_command command);
void liar_goes_on(struct liar *l, uint64_t id);

#endif
