/*
 * arena - the memory of a tiny world: all that it and the core allocate lies in one place, so that
 * a whole state, both nodes included, is kept and brought back by copying pages.
 *
 * The linker leads malloc and its relatives here (--wrap), for this program only: the core is the
 * one that ships. Only pages that were ever written to are copied; a write to a new one is noticed
 * by its protection.
 */
#ifndef EXPLORE_ARENA_H
#define EXPLORE_ARENA_H

#include <stddef.h>
#include <stdint.h>

void arena_init(void);	/* once, before anything is allocated */
void arena_clear(void); /* nothing is allocated any more; snapshots are void */

struct arena_snapshot { /* {0} is an empty one; its memory is not of the arena */
	uint8_t *pages;
	size_t n_pages, cap_pages;
};
void arena_keep(struct arena_snapshot *snapshot);
void arena_back(const struct arena_snapshot *snapshot);

void *arena_outside(size_t n); /* zeroed memory that no snapshot has; never freed */

#endif
