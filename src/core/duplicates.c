/* duplicates - see duplicates.h. */
#include "core/duplicates.h"

#include <stdlib.h>
#include <string.h>

struct ipsp_duplicate {
	struct ipsp_place at;
	ipsp_ms found_at;
	bool ours;
	uint8_t n_here, n_peer;
	char text[]; /* the subscriber here, and there */
};

static bool is_open(const struct ipsp_node *n, const struct ipsp_duplicate *d)
{
	struct ipsp_bind b;

	if (d->ours)
		return ipsp_pool_own(n->pools[d->at.pool], d->at.index) == IPSP_OWN_OURS &&
		       ipsp_pool_flags(n->pools[d->at.pool], d->at.index) & IPSP_ADDR_DUP;
	return ipsp_place_used(n, d->at, &b) && b.flags & IPSP_BIND_DUPLICATE;
}

void ipsp_duplicates_clear(struct ipsp_node *n)
{
	struct ipsp_duplicates *ds = &n->duplicates;

	for (size_t i = 0; i < ds->n; i++)
		free(ds->list[i]);
	free(ds->list);
	*ds = (struct ipsp_duplicates){.generation = ds->generation + 1};
}

void ipsp_duplicates_heal(struct ipsp_node *n)
{
	struct ipsp_duplicates *ds = &n->duplicates;
	size_t kept = 0;

	for (size_t i = 0; i < ds->n; i++) {
		if (is_open(n, ds->list[i]))
			ds->list[kept++] = ds->list[i];
		else
			free(ds->list[i]);
	}
	if (kept != ds->n)
		ds->generation++;
	ds->n = kept;
	ds->not_listed = 0;
}

static bool grow(struct ipsp_duplicates *ds)
{
	const size_t cap = ds->cap ? 2 * ds->cap : 64;
	struct ipsp_duplicate **list = realloc(ds->list, cap * sizeof(struct ipsp_duplicate *));

	if (!list)
		return false;
	ds->list = list;
	ds->cap = cap;
	return true;
}

void ipsp_duplicates_found(struct ipsp_node *n, struct ipsp_place at, bool ours, const char *peer,
			   uint8_t n_peer)
{
	struct ipsp_duplicates *ds = &n->duplicates;
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return;
	struct ipsp_duplicate *d = malloc(sizeof *d + b.ident.n_subscriber + n_peer);
	if (!d || (ds->n == ds->cap && !grow(ds))) {
		free(d);
		ds->not_listed++; /* it is found, said and resolved all the same */
		return;
	}
	*d = (struct ipsp_duplicate){.at = at,
				     .found_at = n->now,
				     .ours = ours,
				     .n_here = b.ident.n_subscriber,
				     .n_peer = n_peer};
	memcpy(d->text, b.ident.subscriber, b.ident.n_subscriber);
	if (n_peer > 0)
		memcpy(d->text + b.ident.n_subscriber, peer, n_peer);
	ds->list[ds->n++] = d;
}

/* Pools without one, as nearly all, are not walked. */
void ipsp_duplicates_start(struct ipsp_node *n)
{
	for (uint16_t p = 0; p < n->conf.n_pools; p++)
		for (uint32_t i = 0;
		     i < n->conf.pools[p].size && ipsp_pool_counts(n->pools[p])->dup > 0; i++)
			if (ipsp_pool_flags(n->pools[p], i) & IPSP_ADDR_DUP)
				ipsp_duplicates_found(n, (struct ipsp_place){p, i}, true, NULL, 0);
	for (uint32_t i = n->n_duplicate > 0 ? ipsp_binds_next(n->binds, 0) : IPSP_NO_BIND;
	     i != IPSP_NO_BIND; i = ipsp_binds_next(n->binds, i + 1)) {
		struct ipsp_bind b;
		if (ipsp_binds_get(n->binds, i, &b) && b.kind == IPSP_BIND_SESSION &&
		    b.flags & IPSP_BIND_DUPLICATE)
			ipsp_duplicates_found(n, (struct ipsp_place){b.pool, b.index}, false, NULL,
					      0);
	}
}

/* ---------------------------------------------------------------- looking */

/* The cursor: how many were looked at, and of which generation of the list. */
bool ipsp_node_duplicate(const struct ipsp_node *n, struct ipsp_duplicate_cursor *cursor,
			 struct ipsp_duplicate_view *v)
{
	const struct ipsp_duplicates *ds = &n->duplicates;

	if (cursor->next == 0)
		cursor->generation = ds->generation;
	if (cursor->generation != ds->generation || cursor->next >= ds->n)
		return false;
	const struct ipsp_duplicate *d = ds->list[cursor->next++];
	*v = (struct ipsp_duplicate_view){
		.addr = ipsp_pool_addr(&n->conf.pools[d->at.pool], d->at.index),
		.pool = d->at.pool,
		.ours = d->ours,
		.open = is_open(n, d),
		.found_at = d->found_at,
		.subscriber = d->text,
		.n_subscriber = d->n_here,
		.peer_subscriber = d->text + d->n_here,
		.n_peer_subscriber = d->n_peer};
	return true;
}

uint64_t ipsp_node_duplicates_not_listed(const struct ipsp_node *n)
{
	return n->duplicates.not_listed;
}
