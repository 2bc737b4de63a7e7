/*
 * search - from one root, all that may happen, the cheapest first: every sequence of acts that
 * costs one, then two, and so on, until there are no more states or the budget is spent. A state
 * that was there before is not gone on from. The first trace that breaks an invariant is thus a
 * cheapest one.
 *
 * Two ways. Broad: each act costs one, so that all sequences of so many acts are tried, whatever
 * they are. Long: what would happen by itself (a flush is done, the oldest datagram arrives, an HA
 * answers, time passes) costs one, anything else SURPRISE; so that few surprises are tried at every
 * place of a long sequence.
 *
 * States are not kept but the way to each is; the states on the way to the present one are, so that
 * the next one is a few acts away from one of them.
 */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include "roots.h"

#define SURPRISE 4

struct limits {
	bool is_long;
	uint32_t states;  /* distinct ones */
	double seconds;	  /* 0: none */
	uint32_t rests;	  /* of so many distinct states one has to come to rest */
	uint32_t replays; /* of so many one is compared with what its logs replay */
	uint32_t audits;  /* of so many states that were there before one is compared; 0: none */
};

#define DEPTH_MAX 64

struct result {
	uint64_t acts;	 /* done; each led to a state that was looked at */
	uint32_t states; /* distinct ones */
	uint32_t rests, replays, audits, unlike;
	unsigned whole; /* all sequences that cost no more than this were tried */
	unsigned depth; /* and some of so many acts */
	bool complete;	/* there are no more states */
	double seconds;
	char failure[400];
	unsigned failed_at; /* acts from the root */
	/* what is being done, for whoever is left when the process dies of it */
	bool begun;		   /* the root was reached */
	struct act way[DEPTH_MAX]; /* n_way from the root, the last of them not finished */
	unsigned n_way;
};

void search_init(void); /* once */
void search(const struct root *root, const struct limits *limits, struct result *result);
/* Prints the trace that a process has died in, up to its last act. */
void search_post_mortem(const struct root *root, const struct result *result);
/* Prints what happens in a trace written as in a failure's "replay:" line; false: it isn't one. */
bool search_replay(const struct root *root, const char *trace);

#endif
