#include "base/addr.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int ipsp_addr_cmp(struct ipsp_addr a, struct ipsp_addr b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	if (a.lo != b.lo)
		return a.lo < b.lo ? -1 : 1;
	return 0;
}

struct ipsp_addr ipsp_addr_add_shifted(struct ipsp_addr addr, uint64_t n, unsigned shift)
{
	struct ipsp_addr sum = addr;

	/* shifting by the width of the type or more is undefined: each range on its own */
	if (shift == 0) {
		sum.lo += n;
		sum.hi += sum.lo < addr.lo;
	} else if (shift < 64) {
		sum.lo += n << shift;
		sum.hi += (n >> (64 - shift)) + (sum.lo < addr.lo);
	} else if (shift < 128) {
		sum.hi += n << (shift - 64);
	}
	return sum;
}

uint64_t ipsp_addr_sub(struct ipsp_addr addr, struct ipsp_addr base, unsigned shift)
{
	uint64_t lo = addr.lo - base.lo;
	uint64_t hi = addr.hi - base.hi - (addr.lo < base.lo);

	if (shift == 0)
		return lo;
	if (shift < 64)
		return lo >> shift | hi << (64 - shift);
	return shift < 128 ? hi >> (shift - 64) : 0;
}

/* The bits of the host part of @addr's network, set. */
static struct ipsp_addr host_bits(struct ipsp_addr addr, unsigned plen)
{
	unsigned bits = ipsp_addr_is_v4(addr) ? plen + 96 : plen;

	if (bits >= 128)
		return (struct ipsp_addr){0, 0};
	if (bits >= 64)
		return (struct ipsp_addr){0, UINT64_MAX >> (bits - 64)};
	return (struct ipsp_addr){UINT64_MAX >> bits, UINT64_MAX};
}

struct ipsp_addr ipsp_addr_net(struct ipsp_addr addr, unsigned plen)
{
	struct ipsp_addr host = host_bits(addr, plen);

	return (struct ipsp_addr){addr.hi & ~host.hi, addr.lo & ~host.lo};
}

struct ipsp_addr ipsp_addr_last(struct ipsp_addr addr, unsigned plen)
{
	struct ipsp_addr host = host_bits(addr, plen);

	return (struct ipsp_addr){addr.hi | host.hi, addr.lo | host.lo};
}

static uint64_t get_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

int ipsp_addr_parse(const char *text, struct ipsp_addr *addr)
{
	uint8_t net[16] = {[10] = 0xff, [11] = 0xff};
	struct ipsp_addr found;

	if (inet_pton(AF_INET, text, net + 12) != 1 && inet_pton(AF_INET6, text, net) != 1)
		return IPSP_ERR_INVALID;
	found = (struct ipsp_addr){get_be64(net), get_be64(net + 8)};
	if (ipsp_addr_is_none(found))
		return IPSP_ERR_INVALID;
	*addr = found;
	return 0;
}

/* A decimal number of at most three digits and nothing else; no leading zeros. */
static int parse_plen(const char *text, unsigned max, unsigned *plen)
{
	unsigned n = 0;
	size_t len = strlen(text);

	if (len < 1 || len > 3 || (len > 1 && text[0] == '0'))
		return IPSP_ERR_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return IPSP_ERR_INVALID;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n > max)
		return IPSP_ERR_INVALID;
	*plen = n;
	return 0;
}

int ipsp_addr_parse_prefix(const char *text, struct ipsp_addr *addr, unsigned *plen)
{
	const char *slash = strchr(text, '/');
	char head[IPSP_ADDR_TEXT_MAX];
	struct ipsp_addr found;
	size_t n;
	bool v4;

	if (!slash || (n = (size_t)(slash - text)) >= sizeof(head))
		return IPSP_ERR_INVALID;
	memcpy(head, text, n);
	head[n] = '\0';
	if (strcmp(head, "::") == 0)
		found = IPSP_ADDR_NONE;
	else if (ipsp_addr_parse(head, &found) != 0)
		return IPSP_ERR_INVALID;
	v4 = ipsp_addr_is_v4(found);
	/* "::ffff:10.0.0.0/104" would be counted in the wrong family */
	if (v4 && strchr(head, ':'))
		return IPSP_ERR_INVALID;
	if (parse_plen(slash + 1, v4 ? 32 : 128, plen) != 0)
		return IPSP_ERR_INVALID;
	*addr = found;
	return 0;
}

const char *ipsp_addr_text(struct ipsp_addr addr, char *text, size_t cap)
{
	uint8_t net[16];
	char whole[IPSP_ADDR_TEXT_MAX] = "";

	for (int i = 0; i < 8; i++) {
		net[i] = (uint8_t)(addr.hi >> (56 - 8 * i));
		net[8 + i] = (uint8_t)(addr.lo >> (56 - 8 * i));
	}
	if (ipsp_addr_is_v4(addr))
		inet_ntop(AF_INET, net + 12, whole, sizeof(whole));
	else
		inet_ntop(AF_INET6, net, whole, sizeof(whole));
	snprintf(text, cap, "%s", whole);
	return text;
}
