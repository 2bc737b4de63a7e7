/*
 * What parses as messages, or as an item, must encode again and parse to the same. The input is
 * the inside of a datagram, and each item in it, and the whole of it, is taken for an item.
 */
#include "core/assign.h"
#include "core/wire.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

static void must(bool good)
{
	if (!good)
		abort();
}

/* Appends one entry to the item that is being written. */
static bool add(struct ipsp_item_writer *w, const struct ipsp_set_entry *e)
{
	switch (w->form) {
	case IPSP_SET_RUNS:
		return ipsp_item_add_run(w, e->start, e->count);
	case IPSP_SET_BITS:
		for (uint32_t i = 0; i < e->count; i++)
			if (!ipsp_item_add_bit(w, e->start + i))
				return false;
		return true;
	case IPSP_SET_KEPT:
		return ipsp_item_add_kept(w, e->start, e->use, e->left_s, e->subscriber,
					  e->n_subscriber);
	case IPSP_SET_WHO:
		return ipsp_item_add_who(w, e->start, e->subscriber, e->n_subscriber);
	}
	return false;
}

static bool same_entry(const struct ipsp_set_entry *a, const struct ipsp_set_entry *b)
{
	return a->start == b->start && a->count == b->count && a->use == b->use &&
	       a->left_s == b->left_s && a->n_subscriber == b->n_subscriber &&
	       (a->n_subscriber == 0 || memcmp(a->subscriber, b->subscriber, a->n_subscriber) == 0);
}

/* The next entry; runs that touch are one, as the writer makes them. */
static bool next_joined(struct ipsp_set_iter *it, struct ipsp_set_entry *entry)
{
	if (!ipsp_set_next(it, entry))
		return false;
	while (it->form == IPSP_SET_RUNS) {
		struct ipsp_set_iter ahead = *it;
		struct ipsp_set_entry more;

		if (!ipsp_set_next(&ahead, &more) || more.start != entry->start + entry->count)
			break;
		entry->count += more.count;
		*it = ahead;
	}
	return true;
}

static void check_item(const uint8_t *bytes, size_t n)
{
	struct ipsp_item item, again;
	struct ipsp_item_writer w;
	struct ipsp_set_iter it, jt;
	struct ipsp_set_entry e, f;

	if (ipsp_item_parse(bytes, n, &item) != 0)
		return;
	if (item.type ==
	    IPSP_ITEM_SKIPPED) { /* of a later version: there is nothing to do for it */
		ipsp_set_begin(&it, &item);
		must(!ipsp_set_next(&it, &e) && item.n_set == 0 && item.flags == 0);
		return;
	}
	ipsp_item_begin(&w, item.number, item.type, item.flags, item.request, item.pool, item.form);
	for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);) {
		if (item.form == IPSP_SET_BITS && e.start + e.count > UINT32_MAX - 8)
			return; /* the writer begins at an address, and its 8 bits would pass the
				   end */
		must(add(&w, &e));
	}
	must(ipsp_item_parse(w.bytes, ipsp_item_end(&w), &again) == 0);
	must(again.number == item.number && again.type == item.type && again.flags == item.flags);
	must(again.request == item.request && again.pool == item.pool && again.form == item.form);
	ipsp_set_begin(&it, &item);
	ipsp_set_begin(&jt, &again);
	while (next_joined(&it, &e))
		must(ipsp_set_next(&jt, &f) && same_entry(&e, &f));
	must(!ipsp_set_next(&jt, &f));
}

static void check_msg(const struct ipsp_msg *msg)
{
	uint8_t one[IPSP_DGRAM_MAX], two[IPSP_DGRAM_MAX];
	size_t n = ipsp_msg_put(one, 0, sizeof(one), msg);
	struct ipsp_rd rd = ipsp_rd_of(one, n);
	struct ipsp_msg again;

	must(n > 0);
	must(ipsp_msg_next(&rd, &again) == 1 && ipsp_rd_left(&rd) == 0);
	must(again.type == msg->type);
	must(ipsp_msg_put(two, 0, sizeof(two), &again) == n && memcmp(one, two, n) == 0);
	if (msg->type == IPSP_MSG_ITEM)
		check_item(msg->u.item.bytes, msg->u.item.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ipsp_rd rd = ipsp_rd_of(data, n);
	struct ipsp_msg msg;

	check_item(data, n);
	if (n > IPSP_PLAIN_MAX)
		return 0;
	while (ipsp_msg_next(&rd, &msg) == 1)
		check_msg(&msg);
	return 0;
}
