/*
 * The log on disk: read, gone on with, and read again. A file that is refused stays as it is; of
 * one that is taken nothing is lost but what is said to be cut off, and what is written behind it
 * is there the next time.
 *
 * The input: u8 how | the file as it is, or (FRAMED) what is put into frames that are whole: each
 * u8 type, u8 context, u8 what is wrong, u8 length, and the data.
 */
#include "daemon/store_int.h"
#include "folder.h"
#include "fuzz.h"
#include "input.h"
#include <stdio.h>

enum { FRAMED = 1, OTHER_BOOT = 2, COMPACTS = 4 };
enum { CRC = 1, PLACE = 2, DURABLE = 4, HEADER = 8 }; /* wrong in a frame */

#define CONTEXTS 3
#define FILE_MAX (1u << 16)

struct book { /* all records of a context */
	struct ipsp_buf recs;
	uint32_t number;
};

static struct book books[CONTEXTS];
static uint8_t bytes[FILE_MAX], after[FILE_MAX];

static void *on_context(void *arg, const char *name, uint32_t number)
{
	(void)arg;
	for (unsigned i = 0; i < CONTEXTS; i++)
		if (name[0] == 'a' + (char)i && !name[1]) {
			books[i].number = number;
			return &books[i];
		}
	return NULL; /* kept as it is */
}

static int on_records(void *user, const uint8_t *recs, size_t n)
{
	struct book *book = user;

	ipsp_buf_put(&book->recs, recs, n);
	return 0;
}

static void on_forget(void *user)
{
	struct book *book = user;

	ipsp_buf_clear(&book->recs);
}

static bool on_snapshot(void *user, uint64_t *cursor, size_t max, struct ipsp_buf *recs)
{
	const struct book *book = user;
	const size_t left = book->recs.len - (size_t)*cursor, n = left < max ? left : max;

	ipsp_buf_put(recs, book->recs.data + *cursor, n);
	*cursor += n;
	return *cursor < book->recs.len;
}

static const struct ipspd_store_user ops = {NULL, on_context, on_records, on_forget, on_snapshot};

static void close_books(void)
{
	for (unsigned i = 0; i < CONTEXTS; i++)
		ipsp_buf_fini(&books[i].recs);
}

static void frame(struct ipsp_buf *log, struct input *in, const char *boot)
{
	const size_t at = log->len;
	const uint8_t type = in_u8(in), context = in_u8(in), wrong = in_u8(in), want = in_u8(in);
	struct store_frame f = {.type = type % (STORE_FRAME_TYPES + 1),
				.context = context,
				.at = at,
				.flushed = at};
	size_t n;

	f.data = in_bytes(in, want, &n);
	f.len = (uint32_t)n;
	if (f.type == STORE_START && f.len == 0) {
		f.data = (const uint8_t *)boot;
		f.len = STORE_BOOT_LEN;
	}
	if (wrong & PLACE)
		f.at = in_near(in, at);
	if (wrong & DURABLE)
		f.flushed = in_near(in, at);
	store_frame_put(log, f.at - at, &f);
	must(!log->failed);
	if (wrong & CRC)
		log->data[at + in_u16(in) % (log->len - at)] ^= (uint8_t)(in_u8(in) | 1);
}

static size_t make_log(struct input *in, uint8_t how)
{
	struct ipsp_buf log = {0};
	char boot[STORE_BOOT_LEN + 1];
	size_t n;

	store_boot_id(boot);
	if (how & OTHER_BOOT)
		boot[0] ^= 1;
	if (how & HEADER)
		store_header_put(&log);
	if (how & FRAMED) {
		while (in->n > 0 && log.len < FILE_MAX - 1024)
			frame(&log, in, boot);
	} else {
		const uint8_t *p = in_bytes(in, FILE_MAX - 1024, &n);
		ipsp_buf_put(&log, p, n);
	}
	n = log.len;
	if (n > 0)
		memcpy(bytes, log.data, n);
	ipsp_buf_fini(&log);
	return n;
}

static struct ipspd_store *open_store(int *err)
{
	struct ipspd_store *store = NULL;
	char why[600] = "";

	close_books();
	*err = ipspd_store_open(fuzz_folder(), &ops, &store, why, sizeof(why));
	must(*err <= 0 && (*err == 0) == (store != NULL));
	must(*err == 0 || why[0] != 0);
	return store;
}

/* Writes a record of each context, and says what is in its book then. */
static void go_on(struct ipspd_store *store, uint8_t how, struct ipsp_buf kept[CONTEXTS])
{
	static const uint8_t rec[] = {0, 3, 'n', 'e', 'w'};
	bool again = how & COMPACTS;

	if (again)
		ipspd_store_compact_at(store, 0);
	for (unsigned i = 0; i < CONTEXTS; i++) {
		const char name[2] = {(char)('a' + (char)i), 0};
		const uint32_t number = ipspd_store_context(store, name, &books[i]);

		must(number != 0);
		ipspd_store_put(store, number, rec, sizeof(rec), 1);
		ipsp_buf_put(&books[i].recs, rec, sizeof(rec));
		ipsp_buf_put(&kept[i], books[i].recs.data, books[i].recs.len);
	}
	must(ipspd_store_write(store) == 0);
	ipspd_store_flush(store);
	for (int i = 0; again && i < 100; i++)
		must(ipspd_store_compact(store, &again) == 0);
	must(ipspd_store_collect(store) == 0);
	must(ipspd_store_tick(store) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = {data, n};
	const uint8_t how = in_u8(&in);
	struct ipsp_buf kept[CONTEXTS] = {{0}};
	struct ipspd_store *store;
	int err;

	fuzz_folder();
	const size_t len = make_log(&in, how);
	fuzz_write(fuzz_path("store"), bytes, len);
	store = open_store(&err);
	if (store) {
		go_on(store, how, kept);
		ipspd_store_close(store);
		store = open_store(&err);
		must(store != NULL);
		for (unsigned i = 0; i < CONTEXTS; i++)
			must(books[i].recs.len == kept[i].len &&
			     memcmp(books[i].recs.data, kept[i].data, kept[i].len) == 0);
		must(ipspd_store_cut(store) == 0);
		ipspd_store_close(store);
	} else {
		must(fuzz_read(fuzz_path("store"), after, sizeof(after)) == len);
		must(memcmp(bytes, after, len) == 0);
	}
	close_books();
	for (unsigned i = 0; i < CONTEXTS; i++)
		ipsp_buf_fini(&kept[i]);
	fuzz_folder_empty();
	return 0;
}
