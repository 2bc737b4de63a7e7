/*
 * attr - what compilers are told beyond C.
 */
#ifndef IPSP_BASE_ATTR_H
#define IPSP_BASE_ATTR_H

/*
 * Seldom called, from where very much goes by: a function of its own, so that its locals make no
 * larger frame, with a guard, for all that goes by.
 */
#define IPSP_APART __attribute__((noinline))

/* Inline where very much goes by, though others that call it too speak for a function. */
#define IPSP_INLINE static inline __attribute__((always_inline))

#endif
