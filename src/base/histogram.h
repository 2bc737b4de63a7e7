/*
 * histogram - durations, counted by how long they were. The bounds are the same for all, so that
 * what is shown of one process can be added to what another shows.
 */
#ifndef IPSP_BASE_HISTOGRAM_H
#define IPSP_BASE_HISTOGRAM_H

#include <stdint.h>

#define IPSP_HISTOGRAM_BOUNDS 17

/* In microseconds, from 50 us to 10 s, each with all that are not longer. */
extern const uint32_t ipsp_histogram_bounds[IPSP_HISTOGRAM_BOUNDS];

struct ipsp_histogram {
	uint64_t counts[IPSP_HISTOGRAM_BOUNDS + 1]; /* of each bound alone; the last: longer ones */
	uint64_t sum_us;
};

/* @n durations of @us microseconds each. */
void ipsp_histogram_add(struct ipsp_histogram *histogram, uint64_t us, uint64_t n);

#endif
