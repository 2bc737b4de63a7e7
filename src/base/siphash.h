/*
 * siphash - SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein, 2012), a 64-bit word at a time: for
 * tables that are searched by names of others' choosing.
 *
 * libsodium has SipHash-2-4 only. A table needs less: nobody is ever shown a hash, and all that
 * there is to win is a slow search. So it takes the one with half the rounds, as the tables of
 * Linux, Rust and Python do; and it takes words, so that short names are not put together first,
 * only to be hashed. For what is shown to others, use libsodium.
 */
#ifndef IPSP_BASE_SIPHASH_H
#define IPSP_BASE_SIPHASH_H

#include "base/bytes.h"

struct ipsp_sip {
	uint64_t v0, v1, v2, v3;
};

static inline struct ipsp_sip ipsp_sip_begin(const uint8_t key[16])
{
	const uint64_t k0 = ipsp_load_le64(key), k1 = ipsp_load_le64(key + 8);

	return (struct ipsp_sip){
		k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
}

static inline uint64_t ipsp_sip_rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline void ipsp_sip_round(struct ipsp_sip *s)
{
	s->v0 += s->v1;
	s->v1 = ipsp_sip_rotate(s->v1, 13) ^ s->v0;
	s->v0 = ipsp_sip_rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ipsp_sip_rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ipsp_sip_rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ipsp_sip_rotate(s->v1, 17) ^ s->v2;
	s->v2 = ipsp_sip_rotate(s->v2, 32);
}

static inline void ipsp_sip_word(struct ipsp_sip *s, uint64_t word)
{
	s->v3 ^= word;
	ipsp_sip_round(s);
	s->v0 ^= word;
}

/*
 * @n bytes in words, zeros behind the last: how many they were, some other word has to say. Always
 * inline, so that the state stays in registers.
 */
__attribute__((always_inline)) static inline void ipsp_sip_text(struct ipsp_sip *s,
								const char *text, size_t n)
{
	const uint8_t *p = (const uint8_t *)text;

	for (size_t i = 8; i <= n; i += 8)
		ipsp_sip_word(s, ipsp_load_le64(p + i - 8));
	if (n % 8 > 0)
		ipsp_sip_word(s, ipsp_load_rest(p + n - n % 8, n % 8));
}

/* The last word of a message says how long it was: after it comes the hash. */
static inline uint64_t ipsp_sip_end(struct ipsp_sip *s, uint64_t last)
{
	ipsp_sip_word(s, last);
	s->v2 ^= 0xff;
	ipsp_sip_round(s);
	ipsp_sip_round(s);
	ipsp_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
