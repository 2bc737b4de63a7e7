/*
 * names - the names of HAs: a number for each one that is attached or has a session, found by name
 * and by the token of its connection. Records and bindings say the number; a name that has neither
 * connection nor session is forgotten, and its number is given again.
 *
 * Forgetting has no record: the sessions' own records say that nobody has the number any more, and
 * a replay ends with the same look at who is left (_settle).
 */
#include "core/names.h"
#include "base/must.h"
#include "core/effect.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 8

_Static_assert(IPSP_HAS_MAX + 1024 < UINT16_MAX, "a number for each, and for those on their way");

void ipsp_names_fini(struct ipsp_node *n)
{
	free(n->has.has);
	free(n->has.by_name);
	free(n->has.by_token);
}

/* --------------------------------------------------------------- finding */

/* Keyed, so that nobody chooses names that share a chain. */
static uint16_t *name_chain(const struct ipsp_node *n, const char *name)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t h;

	crypto_shorthash(hash, (const uint8_t *)name, strlen(name), n->hash_key);
	memcpy(&h, hash, sizeof h);
	return &n->has.by_name[h & (n->has.cap - 1)];
}

static uint16_t *token_chain(const struct ipsp_node *n, uint64_t token)
{
	uint64_t h = token * 0x9e3779b97f4a7c15U;
	return &n->has.by_token[h >> 32 & (n->has.cap - 1)];
}

static uint16_t find_name(const struct ipsp_node *n, const char *name)
{
	const struct ipsp_has *h = &n->has;

	if (h->cap == 0)
		return 0;
	for (uint16_t ha = *name_chain(n, name); ha != 0; ha = h->has[ha].next_name)
		if (strcmp(h->has[ha].name, name) == 0)
			return ha;
	return 0;
}

uint16_t ipsp_ha_of_token(const struct ipsp_node *n, uint64_t token)
{
	const struct ipsp_has *h = &n->has;

	if (token == 0 || h->cap == 0)
		return 0;
	for (uint16_t ha = *token_chain(n, token); ha != 0; ha = h->has[ha].next_token)
		if (h->has[ha].token == token)
			return ha;
	return 0;
}

uint64_t ipsp_token_of_name(const struct ipsp_node *n, const char *name)
{
	uint16_t ha = find_name(n, name);
	return ha ? n->has.has[ha].token : 0;
}

const char *ipsp_name_of_ha(const struct ipsp_node *n, uint16_t ha)
{
	return ha < n->has.n ? n->has.has[ha].name : "";
}

bool ipsp_node_may_attach(const struct ipsp_node *n, const char *name)
{
	return n->has.n_names < IPSP_HAS_MAX || find_name(n, name) != 0;
}

uint32_t ipsp_node_owner(const struct ipsp_node *n, const char *name)
{
	uint16_t ha = find_name(n, name);
	return ha ? n->has.has[ha].owner : 0;
}

uint32_t ipsp_node_session_owner(const struct ipsp_node *n, const struct ipsp_ident *ident)
{
	const uint32_t i = ipsp_binds_session(n->binds, ident);
	struct ipsp_bind b;

	if (i == IPSP_NO_BIND || !ipsp_binds_get(n->binds, i, &b) || b.ha == 0)
		return 0;
	return n->has.has[b.ha].owner;
}

bool ipsp_node_ha(const struct ipsp_node *n, uint32_t *cursor, struct ipsp_ha_view *view)
{
	for (uint32_t i = *cursor > 0 ? *cursor : 1; i < n->has.n; i++) {
		const struct ipsp_ha *a = &n->has.has[i];

		if (a->name[0] == 0)
			continue;
		*view = (struct ipsp_ha_view){a->name, a->token != 0, a->sessions};
		*cursor = i + 1;
		return true;
	}
	return false;
}

bool ipsp_name_foreign(const struct ipsp_node *n, uint16_t ha, uint16_t other)
{
	const struct ipsp_ha *mine = &n->has.has[ha], *theirs = &n->has.has[other];

	return !mine->any && mine->owner != 0 && theirs->owner != 0 && mine->owner != theirs->owner;
}

/* --------------------------------------------------------------- the table */

static void link_name(struct ipsp_node *n, uint16_t ha)
{
	uint16_t *chain = name_chain(n, n->has.has[ha].name);
	n->has.has[ha].next_name = *chain;
	*chain = ha;
}

static void link_token(struct ipsp_node *n, uint16_t ha)
{
	n->has.last_token = 0; /* who is nobody */
	n->has.last = 0;
	uint16_t *chain = token_chain(n, n->has.has[ha].token);
	n->has.has[ha].next_token = *chain;
	*chain = ha;
}

static void unlink_name(struct ipsp_node *n, uint16_t ha)
{
	uint16_t *at = name_chain(n, n->has.has[ha].name);
	while (*at != ha)
		at = &n->has.has[*at].next_name;
	*at = n->has.has[ha].next_name;
}

static void unlink_token(struct ipsp_node *n, uint16_t ha)
{
	n->has.last_token = 0;
	n->has.last = 0;
	uint16_t *at = token_chain(n, n->has.has[ha].token);
	while (*at != ha)
		at = &n->has.has[*at].next_token;
	*at = n->has.has[ha].next_token;
}

/* Chains and the free numbers, of what the table holds. */
static void link_all(struct ipsp_node *n)
{
	struct ipsp_has *h = &n->has;

	memset(h->by_name, 0, h->cap * sizeof *h->by_name);
	memset(h->by_token, 0, h->cap * sizeof *h->by_token);
	h->free_head = 0;
	h->n_names = 0;
	for (uint32_t i = h->n; i-- > 1;) { /* so that the lowest is given first */
		uint16_t ha = (uint16_t)i;
		if (h->has[ha].name[0] == 0) {
			h->has[ha].next_name = h->free_head;
			h->free_head = ha;
			continue;
		}
		h->n_names++;
		link_name(n, ha);
		if (h->has[ha].token != 0)
			link_token(n, ha);
	}
}

/* Room for the number @ha; chains are made anew where the table grows. */
static bool reserve(struct ipsp_node *n, uint32_t ha)
{
	struct ipsp_has *h = &n->has;
	uint32_t cap = h->cap ? h->cap : FIRST_CAP;

	if (ha < h->cap)
		return true;
	while (cap <= ha)
		cap *= 2;
	struct ipsp_ha *has = realloc(h->has, cap * sizeof *has);
	if (has)
		h->has = has;
	uint16_t *by_name = realloc(h->by_name, cap * sizeof *by_name);
	if (by_name)
		h->by_name = by_name;
	uint16_t *by_token = realloc(h->by_token, cap * sizeof *by_token);
	if (by_token)
		h->by_token = by_token;
	if (!has || !by_name || !by_token)
		return false;
	memset(has + h->cap, 0, (cap - h->cap) * sizeof *has);
	h->cap = cap;
	if (h->n == 0)
		h->n = 1; /* 0 is nobody */
	link_all(n);
	return true;
}

bool ipsp_effect_name(struct ipsp_node *n, uint16_t ha, const char *name, uint32_t owner)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IPSP_NAME_MAX || !reserve(n, ha))
		return false;
	if (ha >= n->has.n)
		n->has.n = (uint32_t)ha + 1;
	n->has.has[ha] = (struct ipsp_ha){.recorded = true, .owner = owner};
	memcpy(n->has.has[ha].name, name, len + 1);
	return true;
}

static void forget_unused(struct ipsp_node *n, uint16_t ha)
{
	struct ipsp_ha *a = &n->has.has[ha];

	if (a->token != 0 || a->sessions > 0)
		return;
	unlink_name(n, ha);
	*a = (struct ipsp_ha){.next_name = n->has.free_head};
	n->has.free_head = ha;
	n->has.n_names--;
}

/* --------------------------------------------------------------- attached */

/* One that the log has without an owner: it was written by a version that knew of none. */
static void own(struct ipsp_node *n, uint16_t ha, uint32_t owner)
{
	if (n->has.has[ha].owner != 0 || owner == 0)
		return;
	n->has.has[ha].owner = owner;
	if (n->has.has[ha].recorded)
		ipsp_rec_name(n, ha);
}

uint16_t ipsp_name_attach(struct ipsp_node *n, const char *name, uint64_t token, uint32_t owner)
{
	struct ipsp_has *h = &n->has;
	uint16_t ha = find_name(n, name);

	IPSP_MUST(name[0] != 0 && strlen(name) < IPSP_NAME_MAX);
	if (ha == 0) {
		uint32_t number = h->free_head ? h->free_head : h->n ? h->n : 1;
		if (number >= UINT16_MAX) /* the shell asks ipsp_node_may_attach first */
			return 0;
		if (!reserve(n, number)) {
			n->act->failed = true;
			return 0;
		}
		ha = (uint16_t)number;
		if (h->free_head == ha)
			h->free_head = h->has[ha].next_name;
		if (number >= h->n)
			h->n = number + 1;
		h->has[ha] = (struct ipsp_ha){0};
		memcpy(h->has[ha].name, name, strlen(name) + 1);
		h->n_names++;
		link_name(n, ha);
	}
	own(n, ha, owner);
	h->has[ha].token = token;
	h->n_attached++;
	link_token(n, ha);
	return ha;
}

void ipsp_name_detach(struct ipsp_node *n, uint16_t ha)
{
	unlink_token(n, ha);
	n->has.has[ha].token = 0;
	n->has.n_attached--;
	forget_unused(n, ha);
}

/* --------------------------------------------------------------- sessions */

void ipsp_name_dropped(struct ipsp_node *n, uint16_t ha)
{
	if (!n->has.counted || ha == 0)
		return;
	if (--n->has.has[ha].sessions == 0)
		forget_unused(n, ha);
}

/*
 * Every session is looked at once: after a replay, and when all of them were made anew. One whose
 * number has no name (none of ours has written that) is nobody's, as an operator's.
 */
void ipsp_names_settle(struct ipsp_node *n)
{
	struct ipsp_has *h = &n->has;

	for (uint32_t i = 1; i < h->n; i++)
		h->has[i].sessions = 0;
	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		uint16_t ha = ipsp_binds_ha(n->binds, i);
		if (ha == 0)
			continue;
		if (ha < h->n && h->has[ha].name[0] != 0)
			h->has[ha].sessions++;
		else
			ipsp_binds_set_ha(n->binds, i, 0);
	}
	for (uint32_t i = 1; i < h->n; i++)
		if (h->has[i].token == 0 && h->has[i].sessions == 0)
			h->has[i] = (struct ipsp_ha){0};
	while (h->n > 1 && h->has[h->n - 1].name[0] == 0)
		h->n--;
	if (h->cap > 0)
		link_all(n);
	h->counted = true;
}

/* Each session's name is known; each name has its sessions counted, and is there for a reason. */
void ipsp_names_check(const struct ipsp_node *n)
{
	const struct ipsp_has *h = &n->has;
	uint32_t names = 0, attached = 0;
	uint64_t sessions = 0;

	for (uint32_t i = 1; i < h->n; i++) {
		const struct ipsp_ha *a = &h->has[i];
		if (a->name[0] == 0)
			continue;
		names++;
		attached += a->token != 0;
		sessions += a->sessions;
		IPSP_MUST(a->token != 0 || a->sessions > 0);
		IPSP_MUST(a->recorded || a->sessions == 0);
		IPSP_MUST(find_name(n, a->name) == i &&
			  ipsp_ha_of_token(n, a->token) == (a->token ? i : 0));
	}
	IPSP_MUST(names == h->n_names && attached == h->n_attached);
	IPSP_MUST(ipsp_ha_of_token(n, h->last_token) == h->last);
	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		uint16_t ha = ipsp_binds_ha(n->binds, i);
		IPSP_MUST(ha < (h->n ? h->n : 1));
		sessions -= ha != 0;
	}
	IPSP_MUST(sessions == 0);
	(void)attached;
	(void)sessions;
}
