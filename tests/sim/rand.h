/*
 * rand - the only source of chance in the simulator: splitmix64 (Steele, Lea, Flood 2014), so that
 * a seed means the same run with every libc.
 */
#ifndef SIM_RAND_H
#define SIM_RAND_H

#include <stdbool.h>
#include <stdint.h>

struct sim_rand {
	uint64_t state;
};

static inline uint64_t rand_u64(struct sim_rand *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 0 .. n - 1; the tiny bias of the modulus is of no matter here. 0 for n == 0 */
static inline uint64_t rand_below(struct sim_rand *r, uint64_t n)
{
	return n == 0 ? 0 : rand_u64(r) % n;
}

/* lo .. hi, both included */
static inline uint64_t rand_range(struct sim_rand *r, uint64_t lo, uint64_t hi)
{
	return lo + rand_below(r, hi - lo + 1);
}

static inline bool rand_chance(struct sim_rand *r, unsigned per_mille)
{
	return per_mille != 0 && rand_below(r, 1000) < per_mille;
}

/* A stream of its own for one part of the world: what one part draws doesn't shift the others. */
static inline struct sim_rand rand_fork(struct sim_rand *r)
{
	return (struct sim_rand){rand_u64(r)};
}

#endif
