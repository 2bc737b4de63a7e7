/* lease: what was written comes back to the same context, and damage is as good as nothing. */
#include "base/err.h"
#include "daemon/lease.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char dir[64];

static const struct ipsp_lease_note written = {
	.lease_end = 0x0102030405060708,
	.quiet_since = 42,
	.alive_at = 1ULL << 40,
	.dead_ms = 3600000,
	.peer_dead_ms = 25000,
};

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ipspd-lease-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"lease.isp1", "lease.isp2", "lease.%2E%2E%2Fup"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static int open_lease(const char *context, struct ipsp_lease_note *note, bool *found, bool *same)
{
	int fd = ipspd_lease_open(dir, context);

	assert_true(fd >= 0);
	ipspd_lease_read(fd, context, note, found, same);
	return fd;
}

static void write_one(const char *context)
{
	struct ipsp_lease_note note;
	bool found, same;
	int fd = open_lease(context, &note, &found, &same);

	assert_false(found);
	assert_int_equal(ipspd_lease_write(fd, context, &written), 0);
	close(fd);
}

static void comes_back(void **state)
{
	struct ipsp_lease_note note;
	bool found, same;

	(void)state;
	write_one("isp1");
	int fd = open_lease("isp1", &note, &found, &same);
	assert_true(found);
	assert_true(same);
	assert_int_equal(note.lease_end, written.lease_end);
	assert_int_equal(note.quiet_since, written.quiet_since);
	assert_int_equal(note.alive_at, written.alive_at);
	assert_int_equal(note.dead_ms, written.dead_ms);
	assert_int_equal(note.peer_dead_ms, written.peer_dead_ms);
	note.lease_end = 7;
	assert_int_equal(ipspd_lease_write(fd, "isp1", &note), 0); /* in place, not behind */
	close(fd);
	close(open_lease("isp1", &note, &found, &same));
	assert_true(found);
	assert_int_equal(note.lease_end, 7);
}

static void belongs_to_one_context(void **state)
{
	struct ipsp_lease_note note;
	char from[128], to[128];
	bool found, same;

	(void)state;
	write_one("isp1");
	snprintf(from, sizeof(from), "%s/lease.isp1", dir);
	snprintf(to, sizeof(to), "%s/lease.isp2", dir);
	assert_int_equal(rename(from, to), 0);
	close(open_lease("isp2", &note, &found, &same));
	assert_false(found);
}

static void stays_in_its_directory(void **state)
{
	char path[128];

	(void)state;
	write_one("../up");
	snprintf(path, sizeof(path), "%s/lease.%%2E%%2E%%2Fup", dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void any_flipped_bit_and_any_truncation(void **state)
{
	struct ipsp_lease_note note;
	uint8_t bytes[128];
	char path[128];
	bool found, same;

	(void)state;
	write_one("isp1");
	snprintf(path, sizeof(path), "%s/lease.isp1", dir);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		close(open_lease("isp1", &note, &found, &same));
		assert_false(found);
	}
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(open_lease("isp1", &note, &found, &same));
	assert_true(found);
	for (off_t n = 127; n >= 0; n--) {
		assert_int_equal(ftruncate(fd, n), 0);
		close(open_lease("isp1", &note, &found, &same));
		assert_false(found);
	}
	close(fd);
}

static void another_boot(void **state)
{
	struct ipsp_lease_note note;
	uint8_t bytes[128];
	char path[128];
	bool found, same;

	(void)state;
	write_one("isp1");
	snprintf(path, sizeof(path), "%s/lease.isp1", dir);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	bytes[50] = bytes[50] == 'a' ? 'b' : 'a'; /* within the boot_id */
	uint32_t crc = ipsp_crc32c(0, bytes, 124);
	for (int i = 0; i < 4; i++)
		bytes[124 + i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
	close(open_lease("isp1", &note, &found, &same));
	assert_true(found);
	assert_false(same);
	assert_int_equal(note.dead_ms, written.dead_ms);
}

/* Whoever could have written it is not believed. */
static void written_by_others(void **state)
{
	static const char *const ways[] = {"owner", "mode", "link", "symlink", "pipe"};
	struct ipsp_lease_note note;
	char path[128], other[128];
	bool found, same;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/lease.isp1", dir);
	snprintf(other, sizeof(other), "%s/lease.isp2", dir);
	for (size_t i = geteuid() == 0 ? 0 : 1; i < 5; i++) {
		write_one("isp1");
		if (strcmp(ways[i], "owner") == 0)
			assert_int_equal(chown(path, 65534, 65534), 0);
		if (strcmp(ways[i], "mode") == 0)
			assert_int_equal(chmod(path, 0660), 0);
		if (strcmp(ways[i], "link") == 0)
			assert_int_equal(link(path, other), 0);
		if (strcmp(ways[i], "symlink") == 0) {
			assert_int_equal(rename(path, other), 0);
			assert_int_equal(symlink(other, path), 0);
		}
		if (strcmp(ways[i], "pipe") == 0) {
			assert_int_equal(unlink(path), 0);
			assert_int_equal(mkfifo(path, 0600), 0);
		}
		int fd = open_lease("isp1", &note, &found, &same);
		assert_false(found);
		assert_int_equal(ipspd_lease_write(fd, "isp1", &written), 0);
		close(fd);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid());
		close(open_lease("isp1", &note, &found, &same)); /* its own is */
		assert_true(found);
		assert_int_equal(unlink(path), 0);
		unlink(other);
	}
}

static void all_are_removed(void **state)
{
	char path[128];

	(void)state;
	write_one("isp1");
	write_one("../up");
	snprintf(path, sizeof(path), "%s/other", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(ipspd_lease_remove_all(dir), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left */
	assert_int_equal(ipspd_lease_remove_all(dir), IPSP_ERR_IO);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void room_is_taken(void **state)
{
	struct ipsp_lease_note note;
	bool found, same;
	struct stat st;

	(void)state;
	int fd = open_lease("isp1", &note, &found, &same);
	assert_int_equal(ipspd_lease_reserve(fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 128);
	ipspd_lease_read(fd, "isp1", &note, &found, &same);
	assert_false(found);
	assert_int_equal(ipspd_lease_write(fd, "isp1", &written), 0);
	assert_int_equal(ipspd_lease_reserve(fd), 0); /* what is there stays */
	ipspd_lease_read(fd, "isp1", &note, &found, &same);
	assert_true(found);
	close(fd);
	fd = open("/dev/full", O_WRONLY);
	assert_int_equal(ipspd_lease_reserve(fd), IPSP_ERR_IO);
	close(fd);
}

static void says_what_fails(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(ipspd_lease_open("/nonexistent", "isp1"), -1);
	assert_int_equal(errno, ENOENT);
	int fd = open("/dev/full", O_WRONLY);
	assert_int_equal(ipspd_lease_write(fd, "isp1", &written), IPSP_ERR_IO);
	close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(comes_back),
		T(belongs_to_one_context),
		T(stays_in_its_directory),
		T(any_flipped_bit_and_any_truncation),
		T(another_boot),
		T(written_by_others),
		T(all_are_removed),
		T(room_is_taken),
		T(says_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
