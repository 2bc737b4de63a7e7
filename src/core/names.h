/*
 * names - the names of HAs, and their numbers: see names.c.
 */
#ifndef IPSP_CORE_NAMES_H
#define IPSP_CORE_NAMES_H

#include "core/node_int.h"

void ipsp_names_fini(struct ipsp_node *n);
void ipsp_names_settle(struct ipsp_node *n); /* after a replay: sessions are counted from then on */
void ipsp_names_check(const struct ipsp_node *n);

/* --------------------------------------------------------------- looking; 0: nobody's */

uint16_t ipsp_ha_of_token(const struct ipsp_node *n, uint64_t token);
/* The same for an event, of which most in a turn have one token. */
static inline uint16_t ipsp_ha_who_asks(struct ipsp_node *n, uint64_t token)
{
	struct ipsp_has *h = &n->has;

	if (token != h->last_token) {
		h->last = ipsp_ha_of_token(n, token);
		h->last_token = token;
	}
	return h->last;
}
const char *ipsp_name_of_ha(const struct ipsp_node *n, uint16_t ha);
uint64_t ipsp_token_of_name(const struct ipsp_node *n, const char *name); /* 0: not attached */

/* The sessions of @other's name are those of another owner than @ha's. */
bool ipsp_name_foreign(const struct ipsp_node *n, uint16_t ha, uint16_t other);

/* --------------------------------------------------------------- changes */

/* The number; 0: there is none left. @owner has the name, if nobody has. */
uint16_t ipsp_name_attach(struct ipsp_node *n, const char *name, uint64_t token, uint32_t owner);
void ipsp_name_detach(struct ipsp_node *n, uint16_t ha);
/* a session more, a session less */
static inline void ipsp_name_took(struct ipsp_node *n, uint16_t ha)
{
	if (n->has.counted && ha != 0)
		n->has.has[ha].sessions++;
}
void ipsp_name_dropped(struct ipsp_node *n, uint16_t ha);

#endif
