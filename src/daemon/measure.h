/*
 * measure - how long requests that are answered from addresses owned here take. A clock read for
 * each would cost more than some of them do, so turns are measured: at most one in
 * IPSPD_MEASURE_MS, and all of them where less than that is asked for. What is counted is the time
 * from the turn's first step until what it has to tell is with the system, once for each address
 * that the turn gave. With durability "power" the answer itself goes out later, after a flush.
 */
#ifndef IPSPD_MEASURE_H
#define IPSPD_MEASURE_H

#include "base/histogram.h"
#include "core/node.h"

#define IPSPD_MEASURE_MS 100

struct ipspd_ctx;

struct ipspd_measure {
	ipsp_ms next;	   /* no turn before that is measured */
	bool on;	   /* the present turn is */
	uint64_t begun_us; /* ... since then */
	uint64_t given;	   /* ... and its contexts had given so many addresses */
	struct ipsp_histogram grants;
};

/* @turn: the contexts of this turn, by .turn_next. Only from .next on; _end only after that. */
void ipspd_measure_begin(struct ipspd_measure *measure, const struct ipspd_ctx *turn);
void ipspd_measure_end(struct ipspd_measure *measure, const struct ipspd_ctx *turn, ipsp_ms now);

#endif
