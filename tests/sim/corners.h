/*
 * corners - changes of situation that a random run meets once in a million, if ever: one tale for
 * each, so that no cell of the state table is left to trust.
 */
#ifndef SIM_CORNERS_H
#define SIM_CORNERS_H

#include "visits.h"

/* Tells them all and adds the cells that they used; a tale that ends wrongly ends the process. */
void corners_run(struct visits *total);

#endif
