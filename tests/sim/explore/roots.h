/*
 * roots - the states that the explorer begins with. What takes many acts to get to (a pair at rest,
 * two takeovers, a healing that has just begun) is prepared, so that the few acts that follow can
 * all be tried. Each root has its own budget of what may be asked for and go wrong from there on.
 */
#ifndef EXPLORE_ROOTS_H
#define EXPLORE_ROOTS_H

#include "tiny.h"

struct root {
	const char *name;
	const char *text;
	void (*make)(struct tiny *w);
	struct budget left;
	bool gentle;
};

extern const struct root roots[];
extern const unsigned n_roots;

struct tiny *root_new(const struct root *root);

#endif
