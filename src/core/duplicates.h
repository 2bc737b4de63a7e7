/*
 * duplicates - each address that was found used on both sides since the last healing, to be read
 * back whole: whether it is open still is what the books say of it when it is looked at.
 *
 * A list in memory, which a restart begins anew with those that are open. It grows with what is
 * found, some hundred bytes for each; a new healing forgets those that are resolved.
 */
#ifndef IPSP_CORE_DUPLICATES_H
#define IPSP_CORE_DUPLICATES_H

#include "core/node_int.h"

/* A report begins, ours or the peer's: what was resolved before belongs to an earlier healing. */
void ipsp_duplicates_heal(struct ipsp_node *n);
/*
 * The session at @at is one of two. @ours: this side owns the address, and the peer's session
 * ends; else this side's does. @peer: the subscriber there, as far as the peer said it (NULL: not).
 */
void ipsp_duplicates_found(struct ipsp_node *n, struct ipsp_place at, bool ours, const char *peer,
			   uint8_t n_peer);
void ipsp_duplicates_start(struct ipsp_node *n); /* after a restart: those that are open */
void ipsp_duplicates_clear(struct ipsp_node *n); /* places mean others from here on; or the end */

#endif
