/* The input of a target, taken piece by piece: zeros where it has ended. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *p;
	size_t n;
};

static inline uint8_t in_u8(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static inline uint16_t in_u16(struct input *in)
{
	const unsigned high = in_u8(in);

	return (uint16_t)(high << 8 | in_u8(in));
}

static inline uint32_t in_u32(struct input *in)
{
	const uint32_t high = in_u16(in);

	return high << 16 | in_u16(in);
}

/* A number that is mostly near @near: one byte says how. */
static inline uint64_t in_near(struct input *in, uint64_t near)
{
	const uint8_t how = in_u8(in);

	if (how < 200)
		return near + how % 8 - 3;
	return how < 240 ? in_u16(in) : how < 250 ? in_u32(in) : UINT64_MAX - how % 4;
}

/* At most @n bytes, which stay where they are; *@got is how many there were. */
static inline const uint8_t *in_bytes(struct input *in, size_t n, size_t *got)
{
	const uint8_t *p = in->p;

	*got = n < in->n ? n : in->n;
	in->p += *got;
	in->n -= *got;
	return p;
}

/* What must be so whatever comes. */
#define must(good) ((good) ? (void)0 : input_failed(#good, __FILE__, __LINE__))

_Noreturn static inline void input_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

#endif
