/*
 * queue - what is to happen, ordered by time and then by when it was put in: the run is the same
 * each time.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t sim_us; /* true time, since the world began; hosts see their own clocks */

#define SIM_NEVER  UINT64_MAX
#define SIM_MS(ms) ((sim_us)(ms)*1000)

enum sim_what {
	SIM_TURN,    /* a process wakes up: .side, .gen */
	SIM_TURN_ON, /* the next phase of a slow turn */
	SIM_ARRIVE,  /* .data: a datagram, to .side */
	SIM_FLUSHED, /* a flush of the disk of .side is complete: .gen */
	SIM_SYNC,    /* a second has passed since something was written: .side, .gen */
	SIM_TO_NODE, /* .data: a message of an HA */
	SIM_TO_HA,   /* .data: a message to an HA */
	SIM_HA,	     /* an HA's timer: .arg its number, .gen */
	SIM_HOOK,    /* the hook of .side has ended: .arg yes or no, .gen the process */
	SIM_PLAN,    /* the plan's: faults, repairs and load; see plan.c */
};

struct sim_event {
	sim_us at;
	uint64_t order;
	enum sim_what what;
	unsigned side;
	uint32_t gen, arg;
	void *data; /* malloc'ed, owned by the event until it is popped */
};

struct queue { /* a binary heap */
	struct sim_event *events;
	size_t n, cap;
	uint64_t order;
};

void queue_fini(struct queue *q); /* frees the events' data too */
void queue_put(struct queue *q, struct sim_event event);
bool queue_pop(struct queue *q, struct sim_event *event); /* false when empty */
sim_us queue_next(const struct queue *q);		  /* SIM_NEVER when empty */

#endif
