/*
 * conf - see conf.h; the check is in confcheck.c.
 *
 * The pools' definitions on the wire and in the log, numbers in network byte order:
 *
 *     u8 format (1) | u16 number of pools | for each, in ascending order of names:
 *     str8 name | str8 group | u8 type | u8 priority | u64 base, upper half | u64 base, lower half
 * | u32 size | u8 shift | u8 plen | u8 netlen | u32 hold timer | u32 quarantine timer | u8 busyout
 *
 * str8 is a length and that many bytes of UTF-8; timers are in seconds.
 */
#include "core/conf.h"
#include "base/err.h"
#include "base/ident.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT	   1
#define PORT	   4187
#define HELLO_MS   1000
#define REQUEST_MS 3000
#define RELEASE_MS 2000
#define POOL_BYTES 37 /* of an encoded pool, with empty names */
#define VALUE_MAX  (2 * IPSP_ADDR_TEXT_MAX + 16)

/* ---------------------------------------------------------------- life */

void ipsp_conf_init(struct ipsp_context_conf *conf, const char *name)
{
	memset(conf, 0, sizeof(*conf));
	snprintf(conf->name, sizeof(conf->name), "%s", name);
	conf->psp.dead_interval_ms = IPSP_DEAD_MS_DEFAULT;
	conf->psp.port = PORT;
	conf->psp.hello_interval_ms = HELLO_MS;
	conf->psp.request_timeout_ms = REQUEST_MS;
	conf->psp.release_timeout_ms = RELEASE_MS;
	conf->psp.takeover_when_deaf = true;
	conf->psp.renew_ms = IPSP_RENEW_MS;
	conf->psp.renew_datagrams = IPSP_RENEW_DATAGRAMS;
}

void ipsp_conf_fini(struct ipsp_context_conf *conf)
{
	free(conf->pools);
	sodium_memzero(conf, sizeof(*conf)); /* there are keys in it */
}

int ipsp_conf_copy(struct ipsp_context_conf *to, const struct ipsp_context_conf *from)
{
	struct ipsp_pool_conf *pools = NULL;

	if (from->n_pools > 0) {
		pools = (struct ipsp_pool_conf *)calloc(from->n_pools, sizeof(*pools));
		if (!pools)
			return IPSP_ERR_NOMEM;
		memcpy(pools, from->pools, from->n_pools * sizeof(*pools));
	}
	*to = *from;
	to->pools = pools;
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	const struct ipsp_pool_conf *x = (const struct ipsp_pool_conf *)a;
	const struct ipsp_pool_conf *y = (const struct ipsp_pool_conf *)b;

	return strcmp(x->name, y->name);
}

void ipsp_conf_sort(struct ipsp_context_conf *conf)
{
	if (conf->n_pools > 1)
		qsort(conf->pools, conf->n_pools, sizeof(*conf->pools), name_cmp);
}

/* ---------------------------------------------------------------- ranges */

bool ipsp_conf_last(const struct ipsp_pool_conf *pool, struct ipsp_addr *last)
{
	bool v4 = ipsp_addr_is_v4(pool->base);
	uint64_t n = (uint64_t)pool->size - 1;
	unsigned shift = pool->shift;

	if (pool->size == 0 || pool->size > IPSP_POOL_SIZE_MAX || ipsp_addr_is_none(pool->base))
		return false;
	if (v4 ? pool->plen != 32 || shift != 0 : pool->plen < 1 || pool->plen + shift != 128)
		return false;
	if (shift > 64 && n >> (128 - shift) != 0) /* bits that a shift would lose */
		return false;
	if (!v4 && !ipsp_addr_eq(ipsp_addr_net(pool->base, pool->plen), pool->base))
		return false;
	struct ipsp_addr end = ipsp_addr_add(pool->base, n, shift);
	if (!v4 && !ipsp_addr_is_v4(end))
		end = ipsp_addr_last(end, pool->plen);
	if (ipsp_addr_cmp(end, pool->base) < 0 || ipsp_addr_is_v4(end) != v4)
		return false;
	/* an IPv6 range that starts below the IPv4 addresses and ends above them has them all */
	if (!v4 && ipsp_addr_cmp(pool->base, ipsp_addr_v4(0)) < 0 &&
	    ipsp_addr_cmp(end, ipsp_addr_v4(0)) > 0)
		return false;
	*last = end;
	return true;
}

int ipsp_conf_find(const struct ipsp_context_conf *conf, struct ipsp_addr addr, uint32_t *index)
{
	for (uint32_t i = 0; i < conf->n_pools; i++) {
		const struct ipsp_pool_conf *pool = &conf->pools[i];

		if (ipsp_addr_cmp(addr, pool->base) < 0)
			continue;
		uint64_t place = ipsp_addr_sub(addr, pool->base, pool->shift);
		if (place < pool->size &&
		    ipsp_addr_eq(ipsp_addr_add(pool->base, place, pool->shift), addr)) {
			*index = (uint32_t)place;
			return (int)i;
		}
	}
	return -1;
}

/* ---------------------------------------------------------------- encoded */

void ipsp_conf_encode_pools(const struct ipsp_context_conf *conf, struct ipsp_buf *buf)
{
	ipsp_buf_put_u8(buf, FORMAT);
	ipsp_buf_put_u16(buf, (uint16_t)conf->n_pools);
	for (uint32_t i = 0; i < conf->n_pools; i++) {
		const struct ipsp_pool_conf *pool = &conf->pools[i];

		ipsp_buf_put_str8(buf, pool->name, strlen(pool->name));
		ipsp_buf_put_str8(buf, pool->group, strlen(pool->group));
		ipsp_buf_put_u8(buf, (uint8_t)pool->type);
		ipsp_buf_put_u8(buf, pool->priority);
		ipsp_buf_put_u64(buf, pool->base.hi);
		ipsp_buf_put_u64(buf, pool->base.lo);
		ipsp_buf_put_u32(buf, pool->size);
		ipsp_buf_put_u8(buf, pool->shift);
		ipsp_buf_put_u8(buf, pool->plen);
		ipsp_buf_put_u8(buf, pool->netlen);
		ipsp_buf_put_u32(buf, pool->hold_s);
		ipsp_buf_put_u32(buf, pool->quarantine_s);
		ipsp_buf_put_u8(buf, pool->busyout);
	}
}

/* A name that may be shown to people: it comes from the peer. */
static bool decode_name(struct ipsp_rd *rd, char name[IPSP_NAME_MAX])
{
	char text[256];
	size_t n = ipsp_rd_str8(rd, text);

	if (rd->failed || n >= IPSP_NAME_MAX || !ipsp_text_ok(text, n))
		return false;
	memcpy(name, text, n + 1);
	return true;
}

static bool decode_pool(struct ipsp_rd *rd, struct ipsp_pool_conf *pool)
{
	struct ipsp_addr last;
	uint8_t type, busyout;

	if (!decode_name(rd, pool->name) || pool->name[0] == '\0' || !decode_name(rd, pool->group))
		return false;
	type = ipsp_rd_u8(rd);
	pool->type = (enum ipsp_pool_type)type;
	pool->priority = ipsp_rd_u8(rd);
	pool->base.hi = ipsp_rd_u64(rd);
	pool->base.lo = ipsp_rd_u64(rd);
	pool->size = ipsp_rd_u32(rd);
	pool->shift = ipsp_rd_u8(rd);
	pool->plen = ipsp_rd_u8(rd);
	pool->netlen = ipsp_rd_u8(rd);
	pool->hold_s = ipsp_rd_u32(rd);
	pool->quarantine_s = ipsp_rd_u32(rd);
	busyout = ipsp_rd_u8(rd);
	pool->busyout = busyout != 0;
	return !rd->failed && type <= IPSP_POOL_STATIC && pool->priority <= IPSP_PRIORITY_MAX &&
	       ipsp_conf_last(pool, &last) && pool->netlen <= pool->plen &&
	       pool->hold_s <= IPSP_HOLD_S_MAX && pool->quarantine_s <= IPSP_QUARANTINE_S_MAX &&
	       busyout <= 1;
}

int ipsp_conf_decode_pools(const void *bytes, size_t n, struct ipsp_context_conf *conf)
{
	struct ipsp_rd rd = ipsp_rd_of(bytes, n);
	struct ipsp_pool_conf *pools = NULL;
	uint8_t format = ipsp_rd_u8(&rd);
	uint16_t n_pools = ipsp_rd_u16(&rd);

	if (rd.failed || format != FORMAT || n_pools > IPSP_POOLS_MAX ||
	    ipsp_rd_left(&rd) < (size_t)n_pools * POOL_BYTES)
		return IPSP_ERR_FORMAT;
	if (n_pools > 0) {
		pools = (struct ipsp_pool_conf *)calloc(n_pools, sizeof(*pools));
		if (!pools)
			return IPSP_ERR_NOMEM;
	}
	for (uint32_t i = 0; pools && i < n_pools; i++) {
		/* the order gives both sides the same numbers, and no name comes twice */
		if (!decode_pool(&rd, &pools[i]) ||
		    (i > 0 && strcmp(pools[i - 1].name, pools[i].name) >= 0)) {
			free(pools);
			return IPSP_ERR_FORMAT;
		}
	}
	if (ipsp_rd_left(&rd) > 0) {
		free(pools);
		return IPSP_ERR_FORMAT;
	}
	conf->pools = pools;
	conf->n_pools = n_pools;
	return 0;
}

void ipsp_conf_digest(const void *encoded, size_t n, uint8_t digest[32])
{
	crypto_generichash(digest, 32, (const unsigned char *)encoded, n, NULL, 0);
}

/* ---------------------------------------------------------------- differences */

/* What decides an assignment, in words. */
enum item {
	ITEM_GROUP,
	ITEM_TYPE,
	ITEM_PRIORITY,
	ITEM_ADDRESSES,
	ITEM_LENGTH,
	ITEM_HOLD,
	ITEM_QUARANTINE,
	ITEMS
};

static const char *const item_words[ITEMS] = {
	[ITEM_GROUP] = "group",
	[ITEM_TYPE] = "type",
	[ITEM_PRIORITY] = "priority",
	[ITEM_ADDRESSES] = "addresses",
	[ITEM_LENGTH] = "length",
	[ITEM_HOLD] = "address-hold-timer",
	[ITEM_QUARANTINE] = "address-quarantine-timer",
};

static const char *type_word(enum ipsp_pool_type type)
{
	switch (type) {
	case IPSP_POOL_PUBLIC:
		return "public";
	case IPSP_POOL_PRIVATE:
		return "private";
	case IPSP_POOL_STATIC:
		return "static";
	}
	return "unknown";
}

static void range_text(const struct ipsp_pool_conf *pool, char text[VALUE_MAX])
{
	char first[IPSP_ADDR_TEXT_MAX], last[IPSP_ADDR_TEXT_MAX];
	struct ipsp_addr end = pool->base;

	(void)ipsp_conf_last(pool, &end);
	snprintf(text, VALUE_MAX, "%s to %s", ipsp_addr_text(pool->base, first, sizeof(first)),
		 ipsp_addr_text(end, last, sizeof(last)));
}

/* Two pools are equal in an item where these texts are: what can't be told apart is no difference.
 */
static void item_text(const struct ipsp_pool_conf *pool, enum item item, char text[VALUE_MAX])
{
	switch (item) {
	case ITEM_GROUP:
		if (pool->group[0])
			snprintf(text, VALUE_MAX, "\"%s\"", pool->group);
		else
			snprintf(text, VALUE_MAX, "none");
		return;
	case ITEM_TYPE:
		snprintf(text, VALUE_MAX, "%s", type_word(pool->type));
		return;
	case ITEM_PRIORITY:
		snprintf(text, VALUE_MAX, "%u", pool->priority);
		return;
	case ITEM_ADDRESSES:
		range_text(pool, text);
		return;
	case ITEM_LENGTH:
		snprintf(text, VALUE_MAX, "%u", pool->plen);
		return;
	case ITEM_HOLD:
		snprintf(text, VALUE_MAX, "%u", pool->hold_s);
		return;
	case ITEM_QUARANTINE:
		snprintf(text, VALUE_MAX, "%u", pool->quarantine_s);
		return;
	case ITEMS:
		break;
	}
	text[0] = '\0';
}

/* The first item at or after @item in which the two differ, ITEMS for none; with both texts. */
static enum item next_difference(const struct ipsp_pool_conf *here,
				 const struct ipsp_pool_conf *peer, enum item item,
				 char here_text[VALUE_MAX], char peer_text[VALUE_MAX])
{
	for (; item < ITEMS; item = (enum item)(item + 1)) {
		item_text(here, item, here_text);
		item_text(peer, item, peer_text);
		if (strcmp(here_text, peer_text) != 0)
			break;
	}
	return item;
}

struct diff {
	ipsp_conf_diff_fn *item;
	void *arg;
	int n;
};

static void tell(struct diff *diff, const char *pool, const char *item, const char *here,
		 const char *peer)
{
	char text[IPSP_NAME_MAX + 64];

	snprintf(text, sizeof(text), item ? "pool \"%s\": %s" : "pool \"%s\"", pool, item);
	diff->item(diff->arg, text, here, peer);
	diff->n++;
}

static void diff_pool(struct diff *diff, const struct ipsp_pool_conf *here,
		      const struct ipsp_pool_conf *peer)
{
	char here_text[VALUE_MAX], peer_text[VALUE_MAX];
	enum item item = ITEM_GROUP;

	while ((item = next_difference(here, peer, item, here_text, peer_text)) < ITEMS) {
		tell(diff, here->name, item_words[item], here_text, peer_text);
		item = (enum item)(item + 1);
	}
}

int ipsp_conf_diff(const struct ipsp_context_conf *here, const struct ipsp_context_conf *peer,
		   ipsp_conf_diff_fn *item, void *arg)
{
	struct diff diff = {item, arg, 0};
	uint32_t h = 0, p = 0;

	while (h < here->n_pools || p < peer->n_pools) {
		int order = h == here->n_pools	 ? 1
			    : p == peer->n_pools ? -1
						 : strcmp(here->pools[h].name, peer->pools[p].name);

		if (order == 0)
			diff_pool(&diff, &here->pools[h++], &peer->pools[p++]);
		else if (order < 0)
			tell(&diff, here->pools[h++].name, NULL, "configured", "missing");
		else
			tell(&diff, peer->pools[p++].name, NULL, "missing", "configured");
	}
	return diff.n;
}

/* ---------------------------------------------------------------- changes at run time */

/* The first key that differs between pools which may not change, in @why; false where none does. */
static bool pools_changed(const struct ipsp_context_conf *from, const struct ipsp_context_conf *to,
			  char why[128])
{
	char a[VALUE_MAX], b[VALUE_MAX];

	for (uint32_t i = 0; i < from->n_pools || i < to->n_pools; i++) {
		const struct ipsp_pool_conf *old = i < from->n_pools ? &from->pools[i] : NULL;
		const struct ipsp_pool_conf *new = i < to->n_pools ? &to->pools[i] : NULL;
		int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);

		if (order != 0) { /* one has gone, or one is new */
			snprintf(why, 128, "pools.%s", order < 0 ? old->name : new->name);
			return true;
		}
		enum item item = next_difference(old, new, ITEM_GROUP, a, b);
		if (item < ITEMS || old->busyout != new->busyout) {
			snprintf(why, 128, "pools.%s.%s", old->name,
				 item < ITEMS ? item_words[item] : "busyout");
			return true;
		}
	}
	return false;
}

static const char *psp_changed(const struct ipsp_psp_conf *from, const struct ipsp_psp_conf *to)
{
	if (from->enabled != to->enabled)
		return "pool-share-protocol";
	if (!ipsp_addr_eq(from->address, to->address) || from->address_plen != to->address_plen)
		return "pool-share-protocol.address";
	if (!ipsp_addr_eq(from->peer, to->peer))
		return "pool-share-protocol.peer";
	if (from->port != to->port)
		return "pool-share-protocol.port";
	if (from->mode == IPSP_MODE_ACTIVE && to->mode != IPSP_MODE_ACTIVE)
		return "pool-share-protocol.mode";
	return NULL;
}

int ipsp_conf_may_change(const struct ipsp_context_conf *from, const struct ipsp_context_conf *to,
			 char why[128])
{
	char key[128] = "";
	const char *psp = psp_changed(&from->psp, &to->psp);

	if (strcmp(from->name, to->name) != 0)
		snprintf(key, sizeof(key), "name");
	else if (!pools_changed(from, to, key) && psp)
		snprintf(key, sizeof(key), "%s", psp);
	if (key[0] == '\0')
		return 0;
	if (why)
		memcpy(why, key, sizeof(key));
	return IPSP_ERR_SHARED_OUT;
}
