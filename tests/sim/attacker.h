/*
 * attacker - two pairs on two hosts, four contexts with one secret, and somebody without it between
 * them all: he redirects, swaps, reflects, repeats, delays, reorders and holds back what he likes.
 * To each pair that may be silence and nothing else.
 */
#ifndef SIM_ATTACKER_H
#define SIM_ATTACKER_H

#include "world.h"

/* Two worlds, zeroed by the caller. False: @failure says what went wrong. */
bool attacker_run(struct world w[2], uint64_t seed, char failure[400]);

#endif
