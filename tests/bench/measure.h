/*
 * measure - what the programs of the benchmark share: a clock, a core, latencies, one line of JSON.
 * They end with a word on stderr and status 1 when something is refused: a benchmark that goes on
 * after an error measures nothing.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void); /* CLOCK_MONOTONIC */
void pin(int cpu);     /* this thread runs on that core only; negative: wherever it likes */
double number(const char *text); /* of an argument: not negative */
uint32_t whole(const char *text);
void *take_memory(size_t n)
	__attribute__((returns_nonnull)); /* zeroed, on large pages where the system has them */

/* A permutation of 0 .. @size - 1, @size a power of two: neighbours end up far apart. */
static inline uint32_t scattered(uint32_t i, uint32_t size)
{
	return i * UINT32_C(2654435761) & (size - 1);
}

struct latencies { /* of one run, in nanoseconds */
	uint32_t *ns;
	size_t n, cap;
};

void latencies_init(struct latencies *l, size_t cap);
static inline void latencies_add(struct latencies *l, uint64_t ns)
{
	if (l->n < l->cap)
		l->ns[l->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* {"count": ..., "seconds": ..., "rate": ..., "p50-us": ..., "p99-us": ..., "max-us": ...} and a
 * newline; without latencies where @l is NULL. Sorts them. */
void print_run(uint64_t count, uint64_t ns, struct latencies *l);

int connect_unix(const char *path);
int listen_unix(const char *path);
void write_all(int fd, const void *p, size_t n);

#endif
