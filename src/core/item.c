/*
 * item - numbered items, byte by byte; numbers and str8 as in wire.c.
 *
 * Items: u64 number | u8 type | u8 flags | u64 request | u16 pool | u8 form | u16 n_set | set
 * An item has no length of its own and nothing behind its set: it is what its carrier (the message,
 * the record) says it is. The set by form, each entry of it in the pool of that number:
 *
 *  1 RUNS       n times  u32 start | u32 count;  count >= 1, start + count <= 2^32 - 1
 *  2 BITS       u32 start | u16 n | n bytes: address start + 8 i + b is meant where bit b (value
 *               1 << b) of byte i is set;  start + 8 n <= 2^32 - 1
 *  3 KEPT       n times  u32 index | u8 use (2 hold, 3 quarantine) | u32 left_s | str8 subscriber
 *  4 WHO        n times  u32 index | str8 subscriber
 *
 * A set of no bytes is empty in every form, and only then the pool may be 65535 (none). GIVE takes
 * RUNS, BITS and KEPT; REPORT, DROP and DROPPED take WHO. Types: 1 GIVE, 2 REPORT, 3 DROP,
 * 4 DROPPED; 5 to 127 can't be skipped, 128 to 255 can. Head and length of the set are the same in
 * all of them; what is in the set of an unknown one is its own.
 */
#include "base/err.h"
#include "base/must.h"
#include "core/assign.h"
#include "core/pool.h"
#include "core/wire.h"
#include <string.h>

#define HEAD	   IPSP_ITEM_HEAD
#define AT_NUMBER  0
#define AT_TYPE	   IPSP_ITEM_AT_TYPE
#define AT_FLAGS   9
#define AT_REQUEST 10
#define AT_POOL	   18
#define AT_FORM	   20
#define AT_N_SET   21

#define BITS_HEAD 6
#define RUN_LEN	  8
#define KEPT_HEAD 10 /* with the length of the subscriber at its end, as in WHO */
#define WHO_HEAD  5

#define KEPT_AT_USE  4
#define KEPT_AT_LEFT 5

/* ---------------------------------------------------------------- writing */

void ipsp_item_begin(struct ipsp_item_writer *w, uint64_t number, enum ipsp_item_type type,
		     uint8_t flags, uint64_t request, uint16_t pool, enum ipsp_set_form form)
{
	w->n = HEAD;
	w->form = form;
	w->n_entries = 0;
	ipsp_store_u64(w->bytes + AT_NUMBER, number);
	w->bytes[AT_TYPE] = (uint8_t)type;
	w->bytes[AT_FLAGS] = flags;
	ipsp_store_u64(w->bytes + AT_REQUEST, request);
	ipsp_store_u16(w->bytes + AT_POOL, pool);
	w->bytes[AT_FORM] = (uint8_t)form;
	ipsp_store_u16(w->bytes + AT_N_SET, 0);
}

/* Where an entry of @n bytes goes; NULL: it doesn't fit. */
static uint8_t *entry_room(struct ipsp_item_writer *w, size_t n)
{
	uint8_t *p = w->bytes + w->n;

	if (n > sizeof(w->bytes) - w->n)
		return NULL;
	w->n += n;
	w->n_entries++;
	return p;
}

bool ipsp_item_add_run(struct ipsp_item_writer *w, uint32_t start, uint32_t count)
{
	uint8_t *p = w->bytes + w->n - RUN_LEN;

	IPSP_MUST(w->form == IPSP_SET_RUNS && count <= UINT32_MAX - start);
	if (count == 0)
		return true;
	if (w->n_entries > 0 && ipsp_load_u32(p) + ipsp_load_u32(p + 4) == start) {
		ipsp_store_u32(p + 4, ipsp_load_u32(p + 4) + count); /* the last one is longer */
		return true;
	}
	p = entry_room(w, RUN_LEN);
	if (!p)
		return false;
	ipsp_store_u32(p, start);
	ipsp_store_u32(p + 4, count);
	return true;
}

bool ipsp_item_add_bit(struct ipsp_item_writer *w, uint32_t index)
{
	const size_t at_bits = HEAD + BITS_HEAD;
	uint32_t start, byte;

	IPSP_MUST(w->form == IPSP_SET_BITS);
	if (index > UINT32_MAX - 8) /* the bits of its byte would pass the last number */
		return false;
	if (w->n_entries == 0) {
		ipsp_store_u32(w->bytes + w->n, index);
		ipsp_store_u16(w->bytes + w->n + 4, 0);
		w->n += BITS_HEAD;
	}
	start = ipsp_load_u32(w->bytes + HEAD);
	byte = (index - start) / 8;
	if (index < start || byte >= sizeof(w->bytes) - at_bits)
		return false;
	for (; w->n <= at_bits + byte; w->n++)
		w->bytes[w->n] = 0;
	w->bytes[at_bits + byte] |= (uint8_t)(1u << ((index - start) % 8));
	w->n_entries++;
	return true;
}

bool ipsp_item_add_kept(struct ipsp_item_writer *w, uint32_t index, uint8_t use, uint32_t left_s,
			const char *subscriber, size_t n)
{
	IPSP_MUST(w->form == IPSP_SET_KEPT && (use == IPSP_USE_HOLD || use == IPSP_USE_QUARANTINE));
	IPSP_MUST(n <= IPSP_NAME_BYTES);
	uint8_t *p = entry_room(w, KEPT_HEAD + n);
	if (!p)
		return false;
	ipsp_store_u32(p, index);
	p[KEPT_AT_USE] = use;
	ipsp_store_u32(p + KEPT_AT_LEFT, left_s);
	p[KEPT_HEAD - 1] = (uint8_t)n;
	ipsp_copy_text(p + KEPT_HEAD, subscriber, n);
	return true;
}

bool ipsp_item_add_who(struct ipsp_item_writer *w, uint32_t index, const char *subscriber, size_t n)
{
	IPSP_MUST(w->form == IPSP_SET_WHO && n <= IPSP_NAME_BYTES);
	uint8_t *p = entry_room(w, WHO_HEAD + n);
	if (!p)
		return false;
	ipsp_store_u32(p, index);
	p[WHO_HEAD - 1] = (uint8_t)n;
	ipsp_copy_text(p + WHO_HEAD, subscriber, n);
	return true;
}

size_t ipsp_item_end(struct ipsp_item_writer *w)
{
	ipsp_store_u16(w->bytes + AT_N_SET, (uint16_t)(w->n - HEAD));
	if (w->form == IPSP_SET_BITS && w->n_entries > 0)
		ipsp_store_u16(w->bytes + HEAD + 4, (uint16_t)(w->n - HEAD - BITS_HEAD));
	return w->n;
}

/* ---------------------------------------------------------------- reading */

/* What may be made of the set of this type: 0, or why nothing can. */
static int form_fits(unsigned type, unsigned form)
{
	bool who = form == IPSP_SET_WHO, known = form >= IPSP_SET_RUNS && form <= IPSP_SET_WHO;

	switch (type) {
	case IPSP_ITEM_GIVE:
		return !known ? IPSP_ERR_VERSION : who ? IPSP_ERR_FORMAT : 0;
	case IPSP_ITEM_REPORT:
	case IPSP_ITEM_DROP:
	case IPSP_ITEM_DROPPED:
		return !known ? IPSP_ERR_VERSION : who ? 0 : IPSP_ERR_FORMAT;
	default:
		return IPSP_ERR_VERSION;
	}
}

void ipsp_set_begin(struct ipsp_set_iter *it, const struct ipsp_item *item)
{
	*it = (struct ipsp_set_iter){.rd = ipsp_rd_of(item->set, item->n_set), .form = item->form};
	if (item->form == IPSP_SET_BITS && item->n_set > 0) {
		it->start = ipsp_rd_u32(&it->rd);
		it->n_bits = 8u * ipsp_rd_u16(&it->rd);
		if (it->n_bits != 8 * ipsp_rd_left(&it->rd) || it->start > UINT32_MAX - it->n_bits)
			it->rd.failed = true;
	}
}

static bool next_run(struct ipsp_rd *rd, struct ipsp_set_entry *entry)
{
	if (ipsp_rd_left(rd) == 0)
		return false;
	*entry = (struct ipsp_set_entry){.start = ipsp_rd_u32(rd)};
	entry->count = ipsp_rd_u32(rd);
	if (entry->count == 0 || entry->count > UINT32_MAX - entry->start)
		rd->failed = true;
	return !rd->failed;
}

static bool bit_is_set(const struct ipsp_set_iter *it, uint32_t bit)
{
	return it->rd.p[bit / 8] >> (bit % 8) & 1; /* .p stays at the first byte of the bits */
}

static bool next_bits(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	if (it->rd.failed)
		return false;
	while (it->bit < it->n_bits && !bit_is_set(it, it->bit))
		it->bit += it->bit % 8 == 0 && it->rd.p[it->bit / 8] == 0 ? 8 : 1;
	if (it->bit >= it->n_bits)
		return false;
	*entry = (struct ipsp_set_entry){.start = it->start + it->bit};
	while (it->bit < it->n_bits && bit_is_set(it, it->bit))
		it->bit++;
	entry->count = it->start + it->bit - entry->start;
	return true;
}

static bool next_named(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	const bool kept = it->form == IPSP_SET_KEPT;
	const size_t head = kept ? KEPT_HEAD : WHO_HEAD, left = ipsp_rd_left(&it->rd);
	const uint8_t *p = it->rd.p;

	if (left == 0)
		return false;
	if (left < head || left - head < p[head - 1]) {
		it->rd.failed = true;
		return false;
	}
	entry->start = ipsp_load_u32(p);
	entry->count = 1;
	entry->use = kept ? p[KEPT_AT_USE] : 0;
	entry->left_s = kept ? ipsp_load_u32(p + KEPT_AT_LEFT) : 0;
	entry->subscriber = (const char *)p + head;
	entry->n_subscriber = p[head - 1];
	it->rd.p = p + head + p[head - 1];
	if ((kept && entry->use != IPSP_USE_HOLD && entry->use != IPSP_USE_QUARANTINE) ||
	    entry->start == UINT32_MAX) /* no index */
		it->rd.failed = true;
	return !it->rd.failed;
}

bool ipsp_set_next(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	switch (it->form) {
	case IPSP_SET_RUNS:
		return next_run(&it->rd, entry);
	case IPSP_SET_BITS:
		return next_bits(it, entry);
	case IPSP_SET_KEPT:
	case IPSP_SET_WHO:
		return next_named(it, entry);
	}
	return false;
}

int ipsp_item_again(const uint8_t *bytes, size_t n, struct ipsp_item *item)
{
	unsigned type, form;
	int err;

	if (n < HEAD || n > IPSP_ITEM_MAX || n - HEAD != ipsp_load_u16(bytes + AT_N_SET))
		return IPSP_ERR_FORMAT;
	type = bytes[AT_TYPE];
	form = bytes[AT_FORM];
	item->number = ipsp_load_u64(bytes + AT_NUMBER);
	item->flags = bytes[AT_FLAGS];
	item->request = ipsp_load_u64(bytes + AT_REQUEST);
	item->pool = ipsp_load_u16(bytes + AT_POOL);
	item->set = bytes + HEAD;
	item->n_set = ipsp_load_u16(bytes + AT_N_SET);
	if (type & IPSP_ITEM_MAY_SKIP) {
		*item = (struct ipsp_item){.number = item->number,
					   .type = IPSP_ITEM_SKIPPED,
					   .pool = IPSP_NO_POOL,
					   .form = IPSP_SET_RUNS,
					   .set = item->set};
		return 0;
	}
	err = form_fits(type, form);
	if (err)
		return err;
	if (item->n_set > 0 && item->pool == IPSP_NO_POOL)
		return IPSP_ERR_FORMAT;
	item->type = (enum ipsp_item_type)type;
	item->form = (enum ipsp_set_form)form;
	return 0;
}

int ipsp_item_parse(const uint8_t *bytes, size_t n, struct ipsp_item *item)
{
	struct ipsp_item found;
	struct ipsp_set_iter it;
	struct ipsp_set_entry entry;

	const int err = ipsp_item_again(bytes, n, &found);
	if (err == IPSP_ERR_VERSION)
		*item = (struct ipsp_item){.number = found.number};
	if (err)
		return err;
	/* walked here once, so that nobody who walks it later meets anything malformed */
	ipsp_set_begin(&it, &found);
	while (ipsp_set_next(&it, &entry))
		if (entry.subscriber && !ipsp_text_ok(entry.subscriber, entry.n_subscriber))
			return IPSP_ERR_FORMAT;
	if (it.rd.failed)
		return IPSP_ERR_FORMAT;
	*item = found;
	return 0;
}
