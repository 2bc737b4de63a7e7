/*
 * addr - one IPv4 or IPv6 address, as a number.
 *
 * An address is 128 bits in host byte order; IPv4 is kept as the IPv4-mapped ::ffff:a.b.c.d
 * (RFC 4291, 2.5.5.2), so that one comparison serves both. Only wire.c and the I/O shells swap
 * bytes.
 */
#ifndef IPSP_BASE_ADDR_H
#define IPSP_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipsp_addr {
	uint64_t hi, lo;
};

#define IPSP_ADDR_NONE	   ((struct ipsp_addr){0, 0}) /* "::" is no address of ours */
#define IPSP_ADDR_TEXT_MAX 64			      /* "xxxx:...:xxxx/128" and the NUL */

static inline bool ipsp_addr_eq(struct ipsp_addr a, struct ipsp_addr b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

static inline bool ipsp_addr_is_none(struct ipsp_addr a)
{
	return a.hi == 0 && a.lo == 0;
}

static inline bool ipsp_addr_is_v4(struct ipsp_addr a)
{
	return a.hi == 0 && a.lo >> 32 == 0xffff;
}

/* fe80::/10, which every interface has for itself. (169.254.0.0/16 of IPv4 is routed like others.)
 */
static inline bool ipsp_addr_is_link_local(struct ipsp_addr a)
{
	return a.hi >> 54 == 0xfe80 >> 6;
}

static inline struct ipsp_addr ipsp_addr_v4(uint32_t host)
{
	return (struct ipsp_addr){0, 0xffff00000000ULL | host};
}

/* -1, 0, 1: the order of the numbers; every IPv4 address sorts before every global IPv6 one. */
int ipsp_addr_cmp(struct ipsp_addr a, struct ipsp_addr b);

/* @addr + @n << @shift, and the inverse: (@addr - @base) >> @shift; wraps like any unsigned. */
struct ipsp_addr ipsp_addr_add_shifted(struct ipsp_addr addr, uint64_t n, unsigned shift);
static inline struct ipsp_addr ipsp_addr_add(struct ipsp_addr addr, uint64_t n, unsigned shift)
{
	if (shift > 0)
		return ipsp_addr_add_shifted(addr, n, shift);
	addr.lo += n;
	if (addr.lo < n)
		addr.hi++;
	return addr;
}
uint64_t ipsp_addr_sub(struct ipsp_addr addr, struct ipsp_addr base, unsigned shift);

/* The first and the last address of the network of @addr; @plen counts in its own family. */
struct ipsp_addr ipsp_addr_net(struct ipsp_addr addr, unsigned plen);
struct ipsp_addr ipsp_addr_last(struct ipsp_addr addr, unsigned plen);

/*
 * Text to address; the whole of @text must be one. _prefix takes "a.b.c.d/n" or "x::/n" and
 * requires the length. "::" is no address, but "::/n" a network. Returns 0 or IPSP_ERR_INVALID, and
 * then leaves the outputs alone.
 */
int ipsp_addr_parse(const char *text, struct ipsp_addr *addr);
int ipsp_addr_parse_prefix(const char *text, struct ipsp_addr *addr, unsigned *plen);

/* Writes at most @cap bytes with the NUL (RFC 5952 form); returns @text. */
const char *ipsp_addr_text(struct ipsp_addr addr, char *text, size_t cap);

#endif
