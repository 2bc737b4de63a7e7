/*
 * effect - what a durable change does to memory, whether it is made now or replayed from its
 * record.
 *
 * Effects are forced (they clear whatever stands in the way), so that records which fell between
 * the slices of a snapshot do no harm: the absolute record of the address comes later and rules.
 */
#ifndef IPSP_CORE_EFFECT_H
#define IPSP_CORE_EFFECT_H

#include "base/attr.h"
#include "core/node_int.h"

/* of one address; IPSP_NO_BIND and false: no memory */
void ipsp_effect_clear(struct ipsp_node *n, struct ipsp_place at);
void ipsp_effect_clear_kept(struct ipsp_node *n,
			    struct ipsp_place at); /* HOLD, QUARANTINE -> FREE */
void ipsp_effect_duplicate(struct ipsp_node *n, struct ipsp_place at);
uint32_t ipsp_effect_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
			  const struct ipsp_ident *ident);
/* The same but for the count of the HA's sessions, inline for the record that each session makes.
 * It has no address yet: whoever takes has just looked. */
IPSP_INLINE uint32_t ipsp_effect_bind(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
				      const struct ipsp_ident *ident)
{
	const uint32_t bind =
		ipsp_binds_add_session(n->binds, at.pool, at.index, ha, n->now, ident);

	if (bind == IPSP_NO_BIND)
		return bind;
	if (ipsp_pool_take(n->pools[at.pool], at.index, bind) != 0) { /* it isn't free */
		ipsp_effect_clear(n, at);
		ipsp_pool_take(n->pools[at.pool], at.index, bind);
	}
	if (!ipsp_is_static(n, at.pool))
		n->used++;
	if (ident->n_subscriber == 0)
		ipsp_effect_duplicate(n, at); /* nobody's: see ipsp_heal_drop_later */
	return bind;
}

bool ipsp_effect_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use, uint32_t left_s,
		      const char *subscriber, size_t len);
void ipsp_effect_must_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use,
			   uint32_t left_s, const char *subscriber,
			   size_t len); /* the step has failed where there is no memory */
void ipsp_effect_ha(struct ipsp_node *n, struct ipsp_place at, uint16_t ha);
void ipsp_effect_terminate(struct ipsp_node *n, struct ipsp_place at); /* the session there */
bool ipsp_effect_name(struct ipsp_node *n, uint16_t ha, const char *name, uint32_t owner);
void ipsp_effect_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on);
/* The address has become this side's: its session, if it has one, is no duplicate any more. */
void ipsp_effect_by_right(struct ipsp_node *n, struct ipsp_place at);

/* of the side, and of what the two sides tell each other */
void ipsp_effect_side(struct ipsp_node *n, const struct ipsp_side *s);
void ipsp_effect_out(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		     size_t len);
void ipsp_effect_in(
	struct ipsp_node *n, const struct ipsp_item *item,
	bool taken); /* @taken: a session takes the one address that it brings at once */
void ipsp_effect_delivered(struct ipsp_node *n, const struct ipsp_out_item *o);

/* books.c: of the books as a whole */
void ipsp_effect_resupply(struct ipsp_node *n, uint64_t peer_books);
void ipsp_effect_lost(struct ipsp_node *n, uint64_t books);
void ipsp_effect_alone(struct ipsp_node *n, uint64_t books, enum ipsp_alone how);

#endif
