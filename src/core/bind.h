/*
 * bind - who has which address: one binding for each address that is used, held or in
 * quarantine, found by session and by subscriber.
 *
 * A binding names a pool (its number), an index, an identity (copied), the HA it belongs to, and
 * since when or until when. A slab of fixed slots; a number is valid until _del. Found by
 * (subscriber, session) among the SESSION kind, by subscriber alone among the KEPT kind (hold and
 * quarantine; several may have one subscriber), by a keyed hash (base/siphash.h), so that nobody
 * outside can choose collisions.
 *
 * Memory: at most 42 bytes a binding with its place in the index, 47 while the index grows; where
 * subscriber and session have more than 16 bytes together, as many more, rounded up to 16. It is
 * given back when bindings end: in pieces of 128 to 256 KiB of which none is left, and the index
 * when an eighth of it was enough for a minute (ipsp_binds_rest). At most 2^26 - 2^13 bindings.
 * Times have 48 bits, which is 8,900 years. No call waits for the index to grow or shrink: that
 * goes on in small parts.
 */
#ifndef IPSP_CORE_BIND_H
#define IPSP_CORE_BIND_H

#include "base/ident.h"
#include "core/conf.h"
#include <stdbool.h>
#include <stdint.h>

enum ipsp_bind_kind { IPSP_BIND_NONE, IPSP_BIND_SESSION, IPSP_BIND_KEPT };

/* flags of a session */
enum {
	IPSP_BIND_RELEASING = 1, /* its HA was asked to release it */
	IPSP_BIND_DUPLICATE = 2, /* ... because the other side's session has the address */
	IPSP_BIND_TERMINATE = 4, /* ... because an operator wants it ended; kept over a restart */
	IPSP_BIND_GATEWAYS = 8, /* no HA has it, and who asked for it may not do everything; this is
				   not kept, and then it is as one of an operator's */
};

struct ipsp_bind { /* what _get shows; the texts live until the binding is deleted or another is
		      added */
	enum ipsp_bind_kind kind;
	uint8_t flags;
	uint16_t pool, ha; /* ha 0: the one-shot request of an operator */
	uint32_t index;
	ipsp_ms at; /* SESSION: since; KEPT: until */
	struct ipsp_ident ident;
};

struct ipsp_binds;

struct ipsp_binds *ipsp_binds_new(const uint8_t hash_key[16]); /* NULL: no memory */
void ipsp_binds_free(struct ipsp_binds *binds);
uint32_t ipsp_binds_count(const struct ipsp_binds *binds); /* of both kinds */

/*
 * From _load to _loaded nothing is looked for by name, so that no index has to be kept up: it is
 * made at once, at the end. False: no memory. _load comes before the first _add.
 */
void ipsp_binds_load(struct ipsp_binds *binds);
bool ipsp_binds_loaded(struct ipsp_binds *binds);

/* Returns the number, or IPSP_NO_BIND when memory ran out. Does not look for an equal one: look
 * first. */
uint32_t ipsp_binds_add(struct ipsp_binds *binds, const struct ipsp_bind *bind);
/* The same for a session, by its parts, without flags. */
uint32_t ipsp_binds_add_session(struct ipsp_binds *binds, uint16_t pool, uint32_t index,
				uint16_t ha, ipsp_ms since, const struct ipsp_ident *ident);
void ipsp_binds_del(struct ipsp_binds *binds, uint32_t bind);
/* To be called each turn: a step of what makes the index smaller, where it was too large for a
 * minute. */
void ipsp_binds_rest(struct ipsp_binds *binds, ipsp_ms now);
bool ipsp_binds_get(const struct ipsp_binds *binds, uint32_t bind,
		    struct ipsp_bind *out); /* false: no such number */
/* Has what _get shows in the cache when it comes; @bind may be any number. */
void ipsp_binds_fetch(const struct ipsp_binds *binds, uint32_t bind);
void ipsp_binds_set_flags(struct ipsp_binds *binds, uint32_t bind, uint8_t flags);
uint16_t ipsp_binds_ha(const struct ipsp_binds *binds, uint32_t bind); /* 0: no such number */
void ipsp_binds_set_ha(struct ipsp_binds *binds, uint32_t bind, uint16_t ha);

/* Has the place in the index of a subscriber's KEPT ones in the cache. */
void ipsp_binds_foresee_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident);
/*
 * Makes the hash of a session, which the calls below otherwise make each for itself, and has the
 * place in the index in the cache when they come. The hash is good for as long as the key is the
 * same.
 */
void ipsp_binds_foresee(const struct ipsp_binds *binds, struct ipsp_ident *ident);
uint32_t ipsp_binds_session(const struct ipsp_binds *binds,
			    const struct ipsp_ident *ident); /* IPSP_NO_BIND: none */
/* The same by who will add one where there is none: the _add, if it is the next change, needs no
 * search of its own. */
uint32_t ipsp_binds_seek(struct ipsp_binds *binds, const struct ipsp_ident *ident);
/* The KEPT ones of a subscriber, one after the other: start with IPSP_NO_BIND, ends with it. @after
 * must not be deleted yet. */
uint32_t ipsp_binds_kept(const struct ipsp_binds *binds, const struct ipsp_ident *ident,
			 uint32_t after);
bool ipsp_binds_any_kept(const struct ipsp_binds *binds);
/* Every number in use, for lists: start with 0, give the last + 1; IPSP_NO_BIND at the end. */
uint32_t ipsp_binds_next(const struct ipsp_binds *binds, uint32_t from);

/* Walks everything and asserts the invariants (tests; O(size)). */
void ipsp_binds_check(const struct ipsp_binds *binds);

#endif
