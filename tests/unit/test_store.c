/*
 * store: what was written comes back, whatever happens to the file; what can't be trusted is
 * refused.
 *
 * A context here is a table of keys and values; a record sets one of them. So the state is known
 * after every write, and a snapshot can be taken in slices while records go on.
 */
#include "base/err.h"
#include "daemon/store.h"
#include "daemon/store_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEYS	 2000
#define CONTEXTS 3

struct table {
	char name[IPSP_NAME_MAX];
	uint32_t number, value[KEYS];
	uint64_t records;
};

struct world {
	struct table tables[CONTEXTS];
	size_t n_known; /* the first ones are configured */
	struct ipspd_store *store;
	uint64_t seq;
	char why[600];
};

static int snapshots_void; /* so many snapshots end in vain */
static char root[64], dir[96], copy[96];

/* ---------------------------------------------------------------- the user of the store */

static void *on_context(void *arg, const char *name, uint32_t number)
{
	struct world *w = arg;

	for (size_t i = 0; i < w->n_known; i++)
		if (strcmp(w->tables[i].name, name) == 0) {
			w->tables[i].number = number;
			return &w->tables[i];
		}
	return NULL;
}

static int on_records(void *user, const uint8_t *recs, size_t n)
{
	struct table *t = user;
	struct ipsp_rd rd = ipsp_rd_of(recs, n);

	while (ipsp_rd_left(&rd) > 0) {
		uint16_t len = ipsp_rd_u16(&rd);
		uint32_t key = ipsp_rd_u32(&rd), value = ipsp_rd_u32(&rd);

		if (rd.failed || len != 8 || key >= KEYS)
			return IPSP_ERR_FORMAT;
		t->value[key] = value;
		t->records++;
	}
	return 0;
}

static void on_forget(void *user)
{
	struct table *t = user;

	memset(t->value, 0, sizeof(t->value));
}

static void put_record(struct ipsp_buf *recs, uint32_t key, uint32_t value)
{
	ipsp_buf_put_u16(recs, 8);
	ipsp_buf_put_u32(recs, key);
	ipsp_buf_put_u32(recs, value);
}

static bool on_snapshot(void *user, uint64_t *cursor, size_t max, struct ipsp_buf *recs)
{
	const struct table *t = user;
	const uint64_t until = *cursor + 50; /* small slices: much happens between them */

	(void)max;
	if (snapshots_void > 0 && *cursor > 0) {
		snapshots_void--;
		*cursor = IPSPD_STORE_VOID;
		return false;
	}
	for (; *cursor < KEYS && *cursor < until; (*cursor)++)
		if (t->value[*cursor] != 0)
			put_record(recs, (uint32_t)*cursor, t->value[*cursor]);
	return *cursor < KEYS;
}

static void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	for (size_t i = 0; i < CONTEXTS; i++)
		snprintf(world->tables[i].name, sizeof(world->tables[i].name), "isp%zu", i + 1);
	world->n_known = CONTEXTS;
}

static int world_try(struct world *w, const char *where)
{
	const struct ipspd_store_user ops = {w, on_context, on_records, on_forget, on_snapshot};

	w->why[0] = '\0';
	return ipspd_store_open(where, &ops, &w->store, w->why, sizeof(w->why));
}

static void world_open(struct world *w, const char *where)
{
	int err = world_try(w, where);

	if (err)
		fail_msg("open: %d: %s", err, w->why);
	for (size_t i = 0; i < w->n_known; i++) {
		uint32_t number = ipspd_store_context(w->store, w->tables[i].name, &w->tables[i]);
		assert_int_not_equal(number, 0);
		w->tables[i].number = number;
	}
}

static void world_close(struct world *world)
{
	ipspd_store_close(world->store);
	world->store = NULL;
}

static void world_set(struct world *w, size_t table, uint32_t key, uint32_t value)
{
	struct ipsp_buf recs = {0};

	put_record(&recs, key, value);
	ipspd_store_put(w->store, w->tables[table].number, recs.data, recs.len, ++w->seq);
	w->tables[table].value[key] = value;
	ipsp_buf_fini(&recs);
}

static void world_same(const struct world *a, const struct world *b)
{
	for (size_t i = 0; i < CONTEXTS; i++)
		assert_memory_equal(a->tables[i].value, b->tables[i].value,
				    sizeof(a->tables[i].value));
}

static void flush_and_wait(struct world *world)
{
	struct pollfd fd = {.fd = ipspd_store_event_fd(world->store), .events = POLLIN};

	ipspd_store_flush(world->store);
	for (;;) {
		uint64_t flushed = 0;
		for (size_t i = 0; i < CONTEXTS; i++) {
			uint64_t seq = ipspd_store_flushed(world->store, world->tables[i].number);
			flushed = seq > flushed ? seq : flushed;
		}
		if (flushed == world->seq)
			return;
		assert_int_equal(poll(&fd, 1, 5000), 1);
		assert_int_equal(ipspd_store_collect(world->store), 0);
	}
}

/* ---------------------------------------------------------------- files */

static void copy_file(const char *from_dir, const char *to_dir, const char *name, off_t max)
{
	char path[160], buf[65536];

	snprintf(path, sizeof(path), "%s/%s", to_dir, name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s", from_dir, name);
	int in = open(path, O_RDONLY);
	if (in < 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", to_dir, name);
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(out >= 0);
	off_t done = 0;
	ssize_t n;
	while (done < max && (n = read(in, buf, sizeof(buf))) > 0) {
		n = n > max - done ? (ssize_t)(max - done) : n;
		assert_int_equal(write(out, buf, (size_t)n), n);
		done += n;
	}
	close(in);
	close(out);
}

static void copy_dir(off_t max)
{
	mkdir(copy, 0700);
	copy_file(dir, copy, "store", max);
	copy_file(dir, copy, "store.new", max);
}

static uint8_t *load(const char *where, size_t *n)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/store", where);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *bytes = malloc((size_t)st.st_size + 1);
	*n = (size_t)st.st_size;
	assert_int_equal(read(fd, bytes, *n), (ssize_t)*n);
	close(fd);
	return bytes;
}

static void save(const char *where, const uint8_t *bytes, size_t n)
{
	char path[160];

	mkdir(where, 0700);
	snprintf(path, sizeof(path), "%s/store", where);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static int setup(void **state)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)state;
	snprintf(root, sizeof(root), "%s/ipspd-store-XXXXXX", base);
	if (!mkdtemp(root))
		return -1;
	snprintf(dir, sizeof(dir), "%s/state", root);
	snprintf(copy, sizeof(copy), "%s/copy", root);
	return 0;
}

static int teardown(void **state)
{
	char path[400];

	(void)state;
	for (int d = 0; d < 2; d++) {
		DIR *folder = opendir(d ? copy : dir);
		struct dirent *entry;
		while (folder && (entry = readdir(folder))) {
			snprintf(path, sizeof(path), "%s/%s", d ? copy : dir, entry->d_name);
			unlink(path);
		}
		if (folder)
			closedir(folder);
		rmdir(d ? copy : dir);
	}
	return rmdir(root);
}

/* ---------------------------------------------------------------- plain use */

static struct world w, r; /* the one that writes; the one that reads */

static void comes_back(void **state)
{
	(void)state;
	world_init(&w);
	world_open(&w, dir);
	assert_true(ipspd_store_is_new(w.store));
	for (uint32_t i = 0; i < 500; i++) {
		world_set(&w, i % 3, i % KEYS, i + 1);
		if (i % 7 == 0)
			assert_int_equal(ipspd_store_write(w.store), 0);
	}
	assert_int_equal(ipspd_store_write(w.store), 0);
	assert_true(ipspd_store_dirty(w.store));
	flush_and_wait(&w);
	assert_false(ipspd_store_dirty(w.store));
	world_close(&w);

	world_init(&r);
	world_open(&r, dir);
	assert_false(ipspd_store_is_new(r.store));
	assert_int_equal(ipspd_store_cut(r.store), 0);
	world_same(&w, &r);
	assert_int_equal(r.tables[0].number, w.tables[0].number);
	world_close(&r);
}

static void flushes_are_shared(void **state)
{
	(void)state;
	world_init(&w);
	world_open(&w, dir);
	for (uint32_t i = 0; i < 300; i++) {
		world_set(&w, 0, i, 1);
		assert_int_equal(ipspd_store_write(w.store), 0);
		ipspd_store_flush(w.store);
		assert_true(ipspd_store_flushed(w.store, w.tables[0].number) <= w.seq);
	}
	flush_and_wait(&w);
	assert_int_equal(ipspd_store_flushed(w.store, w.tables[0].number), w.seq);
	assert_int_equal(ipspd_store_flushed(w.store, w.tables[1].number), 0);
	world_close(&w);
}

static void one_daemon_a_directory(void **state)
{
	char mine[32];

	(void)state;
	world_init(&w);
	world_open(&w, dir);
	world_init(&r);
	assert_int_equal(world_try(&r, dir), IPSP_ERR_BUSY);
	snprintf(mine, sizeof(mine), "process %ld", (long)getpid());
	assert_non_null(strstr(r.why, mine));
	world_close(&w);
	world_open(&r, dir);
	world_close(&r);
}

static void where_nothing_can_be_made(void **state)
{
	(void)state;
	world_init(&w);
	assert_int_equal(world_try(&w, "/nonexistent/deep"), IPSP_ERR_IO);
	assert_non_null(strstr(w.why, "/nonexistent/deep"));
}

/* ---------------------------------------------------------------- torn ends, damage */

/* A log of some turns; ends[i] is where it ends after i turns, and then the state is the first i
 * settings. */
#define TURNS 6

static size_t write_turns(uint64_t ends[TURNS + 1])
{
	world_init(&w);
	world_open(&w, dir);
	assert_int_equal(ipspd_store_write(w.store), 0);
	ends[0] = ipspd_store_size(w.store);
	for (uint32_t i = 0; i < TURNS; i++) {
		world_set(&w, i % 2, i, 100 + i);
		assert_int_equal(ipspd_store_write(w.store), 0);
		ends[i + 1] = ipspd_store_size(w.store);
	}
	return (size_t)ends[TURNS];
}

static void expect_turns(const struct world *world, uint32_t n)
{
	for (uint32_t i = 0; i < TURNS; i++)
		assert_int_equal(world->tables[i % 2].value[i], i < n ? 100 + i : 0);
}

static void any_truncation(void **state)
{
	uint64_t ends[TURNS + 1];

	(void)state;
	size_t size = write_turns(ends);
	for (size_t n = size; n >= STORE_HEADER_LEN; n--) {
		copy_dir((off_t)n);
		world_init(&r);
		int err = world_try(&r, copy);
		if (err)
			fail_msg("%zu of %zu bytes: %s", n, size, r.why);
		uint32_t whole = 0;
		while (whole < TURNS && ends[whole + 1] <= n)
			whole++;
		expect_turns(&r, whole);
		if (n >= ends[0])
			assert_int_equal(ipspd_store_cut(r.store) > 0, n > ends[whole]);

		/* and it can be written on, and read again */
		r.tables[2].number = ipspd_store_context(r.store, "isp3", &r.tables[2]);
		world_set(&r, 2, 9, 9);
		assert_int_equal(ipspd_store_write(r.store), 0);
		world_close(&r);
		world_init(&r);
		world_open(&r, copy);
		expect_turns(&r, whole);
		assert_int_equal(r.tables[2].value[9], 9);
		world_close(&r);
	}
	for (size_t n = 0; n < STORE_HEADER_LEN; n++) {
		copy_dir((off_t)n);
		world_init(&r);
		assert_int_equal(world_try(&r, copy), IPSP_ERR_DAMAGED);
	}
	world_close(&w);
}

static void any_flipped_bit(void **state)
{
	uint64_t ends[TURNS + 1];
	size_t size, refused = 0, kept = 0;

	(void)state;
	write_turns(ends);
	size = (size_t)ends[TURNS];
	world_close(&w); /* a clean end: a mark says that all of it is durable */
	size_t n_all;
	uint8_t *bytes = load(dir, &n_all);
	size_t n = size + STORE_FRAME_LEN + 64 < n_all ? size + STORE_FRAME_LEN + 64 : n_all;

	for (size_t bit = 0; bit < n * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		save(copy, bytes, n);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		world_init(&r);
		int err = world_try(&r, copy);
		if (bit / 8 < size) {
			if (err != IPSP_ERR_DAMAGED)
				fail_msg("bit %zu of byte %zu: %d %s", bit % 8, bit / 8, err,
					 r.why);
			assert_non_null(strstr(r.why, "move"));
			refused++;
			continue;
		}
		/* in the last mark, or in the room behind it: nothing was lost, and it is cut off
		 * and said */
		if (err)
			fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8, r.why);
		expect_turns(&r, TURNS);
		assert_true(ipspd_store_cut(r.store) > 0);
		world_close(&r);
		kept++;
	}
	assert_true(refused > 0 && kept > 0);
	free(bytes);
}

#define PADDING 256

/* The first @size bytes of the log, and zeros behind them: whether room was made yet is up to the
 * flusher. */
static uint8_t *load_padded(size_t size)
{
	size_t n;
	uint8_t *bytes = load(dir, &n), *padded = calloc(1, size + PADDING);

	assert_non_null(padded);
	assert_true(n >= size);
	memcpy(padded, bytes, size);
	free(bytes);
	return padded;
}

/* Opens what @bytes would be with @n zero bytes put in at @at (or, negative, taken out). */
static int open_shifted(const uint8_t *bytes, size_t size, size_t at, int n)
{
	uint8_t *shifted = calloc(1, size + 16);
	const size_t behind = at + (size_t)(n < 0 ? -n : 0), put = (size_t)(n > 0 ? n : 0);

	assert_non_null(shifted);
	memcpy(shifted, bytes, at);
	memcpy(shifted + at + put, bytes + behind, size - behind);
	save(copy, shifted, size);
	free(shifted);
	world_init(&r);
	return world_try(&r, copy);
}

/* A file system, an editor or a backup that loses or adds some bytes: nothing of it is a torn end,
 * and nothing is overwritten. */
static void shifted_content(void **state)
{
	static const int shifts[] = {8, 1, 3, 16, -8, -1, -32};
	uint64_t ends[TURNS + 1];
	size_t refused = 0;

	(void)state;
	write_turns(ends); /* the daemon was killed here: no mark at the end */
	const size_t size = (size_t)ends[TURNS];
	uint8_t *bytes = load_padded(size);

	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		for (size_t at = STORE_HEADER_LEN; at < (size_t)ends[TURNS - 1] - 40; at++) {
			int err = open_shifted(bytes, size + 64, at, shifts[i]);
			if (err != IPSP_ERR_DAMAGED && err != IPSP_ERR_FORMAT)
				fail_msg("%d bytes at %zu: %d %s", shifts[i], at, err, r.why);
			refused++;
		}
	}
	assert_true(refused > 1000);
	free(bytes);
	world_close(&w);
}

/* On the same boot only a beginning of one write may be missing its rest. */
static void an_end_that_no_stop_leaves(void **state)
{
	uint64_t ends[TURNS + 1];

	(void)state;
	write_turns(ends);
	const size_t last = (size_t)ends[TURNS - 1], size = (size_t)ends[TURNS];
	const size_t n_all = size + PADDING;
	uint8_t *bytes = load_padded(size);

	bytes[last + STORE_FRAME_LEN + 2] ^=
		1; /* the last write is bad, and goes on behind its end */
	bytes[size + 100] = 7;
	save(copy, bytes, n_all);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_DAMAGED);
	memset(bytes + last, 0, size - last); /* there is none, and something behind its place */
	save(copy, bytes, n_all);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_DAMAGED);
	free(bytes);
	world_close(&w);
}

static void what_is_cut_is_kept(void **state)
{
	uint64_t ends[TURNS + 1];
	char path[160];
	uint8_t kept[64];

	(void)state;
	write_turns(ends);
	const size_t n_all = (size_t)ends[TURNS] + PADDING;
	uint8_t *bytes = load_padded((size_t)ends[TURNS]);
	const size_t last = (size_t)ends[TURNS - 1];
	memset(bytes + last + 34, 0, n_all - last - 34);
	for (int i = 1; i <= 2; i++) {
		save(copy, bytes, n_all);
		world_init(&r);
		world_open(&r, copy);
		expect_turns(&r, TURNS - 1);
		assert_int_equal(ipspd_store_cut(r.store), 34);
		snprintf(path, sizeof(path), "torn.%d", i);
		assert_string_equal(ipspd_store_cut_file(r.store), path);
		snprintf(path, sizeof(path), "%s/torn.%d", copy, i);
		int fd = open(path, O_RDONLY);
		assert_int_equal(read(fd, kept, sizeof(kept)), 34);
		assert_memory_equal(kept, bytes + last, 34);
		close(fd);
		world_close(&r);
	}
	free(bytes);
	world_close(&w);
}

/* ---------------------------------------------------------------- a directory that is not ours */

static void links_are_not_followed(void **state)
{
	char victim[160], path[160];
	struct stat st;

	(void)state;
	mkdir(dir, 0700);
	snprintf(victim, sizeof(victim), "%s/victim", root);
	int fd = open(victim, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);

	snprintf(path, sizeof(path), "%s/store.new", dir);
	assert_int_equal(symlink(victim, path), 0);
	world_init(&w);
	world_open(&w, dir); /* a new store is made by way of store.new */
	world_close(&w);
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_size, 1);

	static const char *const names[] = {"store", "lock"};
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
		assert_int_equal(symlink(victim, path), 0);
		world_init(&w);
		assert_int_equal(world_try(&w, dir), IPSP_ERR_IO);
		unlink(path);
	}
	unlink(victim);
}

static void a_directory_of_others(void **state)
{
	static const mode_t bad[] = {0777, 0770, 0702, 01777};
	char path[160];
	struct stat st;

	(void)state;
	mkdir(dir, 0700);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(chmod(dir, bad[i]), 0);
		world_init(&w);
		world_open(&w, dir);
		assert_int_equal(ipspd_store_loose_mode(w.store), bad[i]);
		assert_int_equal(stat(dir, &st), 0);
		assert_int_equal(st.st_mode & 07022, 0);
		world_close(&w);
	}
	world_init(&w);
	world_open(&w, dir);
	assert_int_equal(ipspd_store_loose_mode(w.store), 0);
	world_close(&w);
	if (geteuid() != 0)
		return;
	snprintf(path, sizeof(path), "%s/store", dir);
	assert_int_equal(chown(path, 12345, 0), 0);
	world_init(&w);
	assert_int_equal(world_try(&w, dir), IPSP_ERR_IO);
	assert_non_null(strstr(w.why, "store belongs to user 12345"));
	assert_int_equal(chown(dir, 12345, 0), 0);
	world_init(&w);
	assert_int_equal(world_try(&w, dir), IPSP_ERR_IO);
	assert_non_null(strstr(w.why, "user 12345"));
}

/* A log as if of another boot of the host, of three turns; the third says that @flushed bytes were
 * durable. */
static size_t hand_made(struct ipsp_buf *buf, uint64_t ends[3], bool third_says_flushed)
{
	struct ipsp_buf recs = {0};
	uint64_t flushed = 0;

	ipsp_buf_clear(buf);
	store_header_put(buf);
	store_frame_put(buf, 0,
			&(struct store_frame){.type = STORE_START,
					      .data = (const uint8_t *)"00000000-0000-0000-0000-"
								       "000000000000",
					      .len = STORE_BOOT_LEN});
	store_frame_put(buf, 0,
			&(struct store_frame){.type = STORE_CONTEXT,
					      .context = 1,
					      .data = (const uint8_t *)"isp1",
					      .len = 4});
	for (uint32_t i = 0; i < 3; i++) {
		ipsp_buf_clear(&recs);
		put_record(&recs, i, i + 1);
		if (i == 2 && third_says_flushed)
			flushed = ends[1];
		store_frame_put(buf, 0,
				&(struct store_frame){.type = STORE_RECS,
						      .context = 1,
						      .flushed = flushed,
						      .data = recs.data,
						      .len = (uint32_t)recs.len});
		ends[i] = buf->len;
	}
	ipsp_buf_fini(&recs);
	return buf->len;
}

/* The same after a loss of power, where whole frames may stand behind a lost one. */
static void shifted_content_of_another_boot(void **state)
{
	struct ipsp_buf buf = {0};
	uint64_t ends[3];

	(void)state;
	const size_t n = hand_made(&buf, ends, false);
	memset(ipsp_buf_room(&buf, 64), 0, 64);
	for (size_t at = STORE_HEADER_LEN; at < (size_t)ends[1]; at++) {
		int err = open_shifted(buf.data, n + 64, at, 8);
		if (err != IPSP_ERR_DAMAGED)
			fail_msg("8 bytes at %zu: %d %s", at, err, r.why);
	}
	ipsp_buf_fini(&buf);
}

static void a_page_lost_with_the_power(void **state)
{
	struct ipsp_buf buf = {0};
	uint64_t ends[3];

	(void)state;
	size_t n = hand_made(&buf, ends, false);
	memset(buf.data + ends[0], 0, (size_t)(ends[1] - ends[0])); /* the second, never flushed */
	save(copy, buf.data, n);
	world_init(&r);
	world_open(&r, copy);
	assert_int_equal(r.tables[0].value[0], 1);
	assert_int_equal(r.tables[0].value[1], 0);
	assert_int_equal(r.tables[0].value[2], 0); /* what stood behind the hole went with it */
	assert_true(ipspd_store_cut(r.store) > 0);
	world_close(&r);

	n = hand_made(&buf, ends, true);
	buf.data[ends[0] + 40] ^= 1; /* the second again, but the third knows it to be durable */
	save(copy, buf.data, n);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_DAMAGED);
	ipsp_buf_fini(&buf);
}

static void newer_formats(void **state)
{
	struct ipsp_buf buf = {0};
	uint64_t ends[3];

	(void)state;
	size_t n = hand_made(&buf, ends, false);
	buf.data[9] = 2;
	uint32_t crc = ipsp_crc32c(0, buf.data, 28);
	for (int i = 0; i < 4; i++)
		buf.data[28 + i] = (uint8_t)(crc >> (24 - 8 * i));
	save(copy, buf.data, n);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_VERSION);
	assert_non_null(strstr(r.why, "newer"));

	n = hand_made(&buf, ends, false);
	store_frame_put(&buf, 0,
			&(struct store_frame){.type = 77}); /* a frame that is not known here */
	save(copy, buf.data, buf.len);
	assert_true(buf.len > n);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_FORMAT);
	assert_non_null(strstr(r.why, "newer"));

	save(copy, (const uint8_t *)"# a text file of somebody's\nnot ours\n", 37);
	world_init(&r);
	assert_int_equal(world_try(&r, copy), IPSP_ERR_DAMAGED);
	ipsp_buf_fini(&buf);
}

/* ---------------------------------------------------------------- compaction */

/* Runs turns until a compaction has ended; every turn a copy of the directory must give the state.
 */
static void compaction_at_every_turn(void **state)
{
	uint64_t before = 0;
	int compactions = 0, asides = 0;
	char path[160];

	(void)state;
	snapshots_void = 2;
	world_init(&w);
	world_open(&w, dir);
	ipspd_store_compact_at(w.store, 20000);
	snprintf(path, sizeof(path), "%s/store.new", dir);
	for (uint32_t i = 0; compactions < 3; i++) {
		bool again;
		assert_true(i < 200000);
		for (uint32_t k = 0; k < 3; k++)
			world_set(&w, k, (i * 7 + k) % KEYS, i + 1);
		assert_int_equal(ipspd_store_write(w.store), 0);
		if (i % 5 == 0)
			ipspd_store_flush(w.store);
		assert_int_equal(ipspd_store_compact(w.store, &again), 0);
		assert_int_equal(ipspd_store_collect(w.store), 0);
		if (ipspd_store_size(w.store) < before)
			compactions++;
		before = ipspd_store_size(w.store);

		const bool aside = access(path, F_OK) == 0;
		asides += aside;
		if (!aside && i % 101 != 0)
			continue;
		copy_dir((off_t)1 << 22);
		world_init(&r);
		world_open(&r, copy);
		world_same(&w, &r);
		world_close(&r);
	}
	assert_true(asides > 50);
	assert_int_equal(snapshots_void, 0);
	world_close(&w);
	world_init(&r);
	world_open(&r, dir);
	world_same(&w, &r);
	world_close(&r);
}

static void run_compaction(void)
{
	const uint64_t before = ipspd_store_size(w.store);
	bool again;

	ipspd_store_compact_at(w.store, 0);
	for (int i = 0; ipspd_store_size(w.store) >= before; i++) {
		assert_true(i < 5000);
		assert_int_equal(ipspd_store_compact(w.store, &again), 0);
		assert_int_equal(ipspd_store_collect(w.store), 0);
		if (!again)
			usleep(1000);
		ipspd_store_compact_at(w.store, 1 << 20);
	}
}

static void count_unknown(void *arg, const char *name)
{
	assert_string_equal(name, "isp3");
	++*(int *)arg;
}

static void unknown_contexts_are_kept(void **state)
{
	int unknown = 0;

	(void)state;
	world_init(&w);
	world_open(&w, dir);
	for (uint32_t i = 0; i < 300; i++)
		for (size_t t = 0; t < 3; t++) {
			world_set(&w, t, i % 10, i);
			assert_int_equal(ipspd_store_write(w.store), 0);
		}
	world_close(&w);
	r = w;

	world_init(&w);
	w.n_known = 2; /* the third is not configured any more */
	world_open(&w, dir);
	ipspd_store_unknown(w.store, count_unknown, &unknown);
	assert_int_equal(unknown, 1);
	run_compaction();
	/* a reload brings it back while the daemon runs: its records are read now */
	w.n_known = 3;
	w.tables[2].number = ipspd_store_context(w.store, "isp3", &w.tables[2]);
	assert_int_not_equal(w.tables[2].number, 0);
	world_same(&w, &r);
	world_close(&w);

	world_init(&w);
	world_open(&w, dir);
	world_same(&w, &r);
	world_close(&w);
}

static void a_removed_context_begins_anew(void **state)
{
	(void)state;
	world_init(&w);
	world_open(&w, dir);
	world_set(&w, 0, 1, 11);
	world_set(&w, 1, 1, 12);
	ipspd_store_forget(w.store, w.tables[0].number);
	uint32_t number = ipspd_store_context(w.store, "isp1", &w.tables[0]);
	assert_int_not_equal(number, w.tables[0].number);
	w.tables[0].number = number;
	memset(w.tables[0].value, 0, sizeof(w.tables[0].value));
	world_set(&w, 0, 2, 13);
	assert_int_equal(ipspd_store_write(w.store), 0);
	world_close(&w);
	for (int i = 0; i < 2; i++) {
		world_init(&r);
		world_open(&r, dir);
		world_same(&w, &r);
		world_close(&r);
		world_init(&w);
		world_open(&w, dir); /* once more after a compaction, where numbers have gaps */
		if (i == 0) {
			for (uint32_t k = 0; k < 50; k++) {
				world_set(&w, 1, 5, k);
				assert_int_equal(ipspd_store_write(w.store), 0);
			}
			run_compaction();
		}
		world_close(&w);
	}
}

/* ---------------------------------------------------------------- stops and full disks */

/* A child writes 1, 2, 3... and tells each number once it is written; it is killed at any moment.
 */
static void writes_until_killed(int tell)
{
	world_init(&w);
	if (world_try(&w, dir) != 0)
		_exit(1);
	w.tables[0].number = ipspd_store_context(w.store, "isp1", &w.tables[0]);
	ipspd_store_compact_at(w.store, 3000);
	for (uint32_t i = w.tables[0].value[0] + 1;; i++) {
		bool again;
		world_set(&w, 0, 0, i);
		world_set(&w, 0, i % KEYS, i);
		w.tables[0].value[0] = i % KEYS == 0 ? i : w.tables[0].value[0];
		if (ipspd_store_write(w.store) != 0 || write(tell, &i, sizeof(i)) != sizeof(i))
			_exit(1);
		if (i % 3 == 0)
			ipspd_store_flush(w.store);
		if (ipspd_store_compact(w.store, &again) != 0 || ipspd_store_collect(w.store) != 0)
			_exit(1);
	}
}

static void killed_at_any_moment(void **state)
{
	uint32_t last = 0, value;

	(void)state;
	for (int round = 0; round < 40; round++) {
		int tell[2];
		assert_int_equal(pipe(tell), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(tell[0]);
			writes_until_killed(tell[1]);
		}
		close(tell[1]);
		int messages = 50 + round * 37;
		while (messages-- > 0 && read(tell[0], &value, sizeof(value)) == sizeof(value))
			last = value;
		kill(child, SIGKILL);
		while (read(tell[0], &value, sizeof(value)) == sizeof(value))
			last = value;
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		close(tell[0]);
		world_init(&r);
		world_open(&r, dir);
		if (r.tables[0].value[0] < last)
			fail_msg("told %u, found %u", last, r.tables[0].value[0]);
		last = r.tables[0].value[0];
		world_close(&r);
	}
}

static void wait_full(bool full)
{
	for (int i = 0; ipspd_store_full(w.store) != full; i++) {
		assert_true(i < 500);
		usleep(10000);
		assert_int_equal(ipspd_store_collect(w.store), 0);
	}
}

static void a_full_disk_keeps_room(void **state)
{
	struct rlimit before, now;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;

	(void)state;
	sigaction(SIGXFSZ, &ignore, &old);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	now = before;
	now.rlim_cur = 600u << 10; /* less than the room that is made behind a new log */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	world_init(&w);
	world_open(&w, dir);
	for (uint32_t i = 0; i < 100; i++)
		world_set(&w, 0, i, i);
	assert_int_equal(ipspd_store_write(w.store), 0);
	wait_full(true);
	/* much can still be written: the room was kept back */
	for (uint32_t i = 0; i < 5000; i++) {
		world_set(&w, 0, i % KEYS, i);
		assert_int_equal(ipspd_store_write(w.store), 0);
	}
	flush_and_wait(&w);
	assert_true(ipspd_store_full(w.store));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	wait_full(false);
	sigaction(SIGXFSZ, &old, NULL);
	world_close(&w);
	world_init(&r);
	world_open(&r, dir);
	world_same(&w, &r);
	world_close(&r);
}

/* Also while flushes come more often than it is looked at. */
static void room_again_is_found_under_load(void **state)
{
	struct rlimit before, now;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;

	(void)state;
	sigaction(SIGXFSZ, &ignore, &old);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	now = before;
	now.rlim_cur = 600u << 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	world_init(&w);
	world_open(&w, dir);
	world_set(&w, 0, 1, 1);
	assert_int_equal(ipspd_store_write(w.store), 0);
	wait_full(true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	for (uint32_t i = 0; ipspd_store_full(w.store); i++) {
		assert_true(i < 30); /* tenths of a second */
		usleep(100000);
		world_set(&w, 0, i % KEYS, i);
		assert_int_equal(ipspd_store_write(w.store), 0);
		flush_and_wait(&w);
	}
	sigaction(SIGXFSZ, &old, NULL);
	world_close(&w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(comes_back),
		T(flushes_are_shared),
		T(one_daemon_a_directory),
		T(where_nothing_can_be_made),
		T(any_truncation),
		T(any_flipped_bit),
		T(shifted_content),
		T(shifted_content_of_another_boot),
		T(an_end_that_no_stop_leaves),
		T(what_is_cut_is_kept),
		T(links_are_not_followed),
		T(a_directory_of_others),
		T(a_page_lost_with_the_power),
		T(newer_formats),
		T(compaction_at_every_turn),
		T(unknown_contexts_are_kept),
		T(a_removed_context_begins_anew),
		T(killed_at_any_moment),
		T(a_full_disk_keeps_room),
		T(room_again_is_found_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
