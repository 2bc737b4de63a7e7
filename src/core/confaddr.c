/*
 * confaddr - the addresses that no subscriber may get, whatever a pool's definition says.
 *
 * Both sides come to one judgement: they have the same pools, and each side's own address is the
 * other's peer.
 */
#include "core/conf.h"
#include <stdarg.h>
#include <stdio.h>

enum kind { UNSPECIFIED, LOOPBACK, LINK_LOCAL, MULTICAST, BROADCAST, OWN, PEER };

static const char *const kind_words[] = {
	[UNSPECIFIED] = "unspecified",
	[LOOPBACK] = "loopback",
	[LINK_LOCAL] = "link-local",
	[MULTICAST] = "multicast",
	[BROADCAST] = "limited broadcast",
	[OWN] = "this side's interface address",
	[PEER] = "the peer's interface address",
};

struct block {
	struct ipsp_addr first, last;
	enum kind kind;
};

#define V4(from, to, kind)                                                                         \
	{                                                                                          \
		{0, 0xffff00000000ULL | (from)}, {0, 0xffff00000000ULL | (to)}, kind               \
	}

static const struct block blocks[] = {
	V4(0x00000000, 0x00ffffff, UNSPECIFIED), /* 0.0.0.0/8: this host on this network */
	V4(0x7f000000, 0x7fffffff, LOOPBACK),
	V4(0xa9fe0000, 0xa9feffff, LINK_LOCAL),
	V4(0xe0000000, 0xefffffff, MULTICAST),
	V4(0xffffffff, 0xffffffff, BROADCAST),
	{{0, 0}, {0, 0}, UNSPECIFIED},
	{{0, 1}, {0, 1}, LOOPBACK},
	{{0xfe80ULL << 48, 0}, {(0xfec0ULL << 48) - 1, UINT64_MAX}, LINK_LOCAL},
	{{0xff00ULL << 48, 0}, {UINT64_MAX, UINT64_MAX}, MULTICAST},
};

struct list {
	char *text;
	size_t cap, len;
	int n;
};

static void add(struct list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct list *list, const char *format, ...)
{
	const size_t left = list->cap - list->len;
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(list->text + list->len, left, format, args);
	va_end(args);
	if (n > 0)
		list->len += (size_t)n < left ? (size_t)n : left - 1;
}

/* What @block and the addresses from @first to @last have in common, when that is anything. */
static void look_at(struct list *list, const struct block *block, struct ipsp_addr first,
		    struct ipsp_addr last)
{
	char from[IPSP_ADDR_TEXT_MAX], to[IPSP_ADDR_TEXT_MAX];

	if (ipsp_addr_cmp(last, block->first) < 0 || ipsp_addr_cmp(first, block->last) > 0)
		return;
	if (ipsp_addr_cmp(first, block->first) < 0)
		first = block->first;
	if (ipsp_addr_cmp(last, block->last) > 0)
		last = block->last;
	add(list, "%s%s", list->n++ > 0 ? ", " : "", ipsp_addr_text(first, from, sizeof(from)));
	if (!ipsp_addr_eq(first, last))
		add(list, " to %s", ipsp_addr_text(last, to, sizeof(to)));
	add(list, " (%s)", kind_words[block->kind]);
}

int ipsp_conf_nobodys(const struct ipsp_pool_conf *pool, const struct ipsp_psp_conf *psp,
		      char *text, size_t cap)
{
	const struct block own = {psp->address, psp->address, OWN};
	const struct block peer = {psp->peer, psp->peer, PEER};
	struct list list = {.text = text, .cap = cap};
	struct ipsp_addr last;

	text[0] = '\0';
	if (!ipsp_conf_last(pool, &last))
		return 0; /* it has no addresses, which is another fault */
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		look_at(&list, &blocks[i], pool->base, last);
	if (!ipsp_addr_is_none(psp->address))
		look_at(&list, &own, pool->base, last);
	if (psp->enabled && !ipsp_addr_is_none(psp->peer))
		look_at(&list, &peer, pool->base, last);
	return list.n;
}

bool ipsp_conf_is_host(struct ipsp_addr addr)
{
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (ipsp_addr_cmp(addr, blocks[i].first) >= 0 &&
		    ipsp_addr_cmp(addr, blocks[i].last) <= 0)
			return blocks[i].kind == LOOPBACK || blocks[i].kind == LINK_LOCAL;
	return true;
}
