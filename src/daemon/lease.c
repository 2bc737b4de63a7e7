/*
 * The file, 128 bytes, numbers in network byte order:
 *   0  8  "IPSPLEAS"
 *   8  2  version, 1
 *  10  1  length of the context's name
 *  11 31  the name, zeros behind it
 *  42 36  boot_id of the host, as text
 *  78  8  lease_end    \
 *  86  8  quiet_since   > milliseconds of CLOCK_BOOTTIME
 *  94  8  alive_at     /
 * 102  4  dead_ms
 * 106  4  peer_dead_ms
 * 110 14  zeros
 * 124  4  CRC32C of the 124 bytes before
 * A file that is not exactly this is as good as none: the daemon then waits longer, and loses
 * nothing.
 */
#include "daemon/lease.h"
#include "daemon/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEASE_LEN     128
#define LEASE_VERSION 1
#define BOOT_LEN      36

static const char magic[8] = {'I', 'P', 'S', 'P', 'L', 'E', 'A', 'S'};

/* The boot of the host is read once: it can't change under a running process. */
static const char *boot_id(void)
{
	static char boot[BOOT_LEN + 1];

	if (boot[0])
		return boot;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, boot, BOOT_LEN) != BOOT_LEN)
			memset(boot, 0, sizeof(boot));
		close(fd);
	}
	return boot;
}

static bool decode(const uint8_t *bytes, const char *context, struct ipsp_lease_note *note,
		   bool *same_boot)
{
	struct ipsp_rd rd = ipsp_rd_of(bytes, LEASE_LEN);
	struct ipsp_rd crc = ipsp_rd_of(bytes + LEASE_LEN - 4, 4);

	if (ipsp_rd_u32(&crc) != ipsp_crc32c(0, bytes, LEASE_LEN - 4) ||
	    memcmp(ipsp_rd_take(&rd, sizeof(magic)), magic, sizeof(magic)) != 0 ||
	    ipsp_rd_u16(&rd) != LEASE_VERSION)
		return false;
	const size_t n = ipsp_rd_u8(&rd);
	const uint8_t *name = ipsp_rd_take(&rd, IPSP_NAME_MAX - 1);
	if (n != strlen(context) || memcmp(name, context, n) != 0)
		return false;
	const uint8_t *boot = ipsp_rd_take(&rd, BOOT_LEN);
	*same_boot = boot_id()[0] && memcmp(boot, boot_id(), BOOT_LEN) == 0;
	note->lease_end = ipsp_rd_u64(&rd);
	note->quiet_since = ipsp_rd_u64(&rd);
	note->alive_at = ipsp_rd_u64(&rd);
	note->dead_ms = ipsp_rd_u32(&rd);
	note->peer_dead_ms = ipsp_rd_u32(&rd);
	return true;
}

static void put_u64(uint8_t **p, uint64_t v, int n)
{
	for (int shift = 8 * (n - 1); shift >= 0; shift -= 8)
		*(*p)++ = (uint8_t)(v >> shift);
}

static void encode(uint8_t bytes[LEASE_LEN], const char *context,
		   const struct ipsp_lease_note *note)
{
	const size_t n = strnlen(context, IPSP_NAME_MAX - 1);
	uint8_t *p = bytes + 8;

	memset(bytes, 0, LEASE_LEN);
	memcpy(bytes, magic, sizeof(magic));
	put_u64(&p, LEASE_VERSION, 2);
	put_u64(&p, n, 1);
	memcpy(p, context, n);
	p += IPSP_NAME_MAX - 1;
	memcpy(p, boot_id(), BOOT_LEN);
	p += BOOT_LEN;
	put_u64(&p, note->lease_end, 8);
	put_u64(&p, note->quiet_since, 8);
	put_u64(&p, note->alive_at, 8);
	put_u64(&p, note->dead_ms, 4);
	put_u64(&p, note->peer_dead_ms, 4);
	p = bytes + LEASE_LEN - 4;
	put_u64(&p, ipsp_crc32c(0, bytes, LEASE_LEN - 4), 4);
}

/* lease.NAME, with every byte but letters, digits, '-' and '_' as %XX: a name may hold a slash or
 * be "..". */
static int path_of(char *path, size_t cap, const char *dir, const char *context)
{
	int n = snprintf(path, cap, "%s/lease.", dir);

	for (const char *c = context; *c && n > 0 && (size_t)n + 4 < cap; c++) {
		const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
				   (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';
		n += snprintf(path + n, cap - (size_t)n, plain ? "%c" : "%%%02X",
			      (unsigned char)*c);
	}
	return n > 0 && (size_t)n + 4 < cap ? 0 : -1;
}

/* Could anybody else have written it, or write it still? Who does makes this side serve. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       (st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int ipspd_lease_open(const char *dir, const char *context)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	char path[PATH_MAX];

	if (path_of(path, sizeof(path), dir, context) != 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = open(path, flags, 0640);
	/* a link, a socket, and what its owner lets nobody read */
	if (fd >= 0 ? is_ours(fd) : errno != ELOOP && errno != ENXIO && errno != EACCES)
		return fd;
	if (fd >= 0)
		close(fd);
	ipspd_log(IPSP_LOG_WARNING,
		  "%s: others could have written this file: it is removed, and what it says of a "
		  "lease is not believed",
		  path);
	return unlink(path) == 0 ? open(path, flags | O_EXCL, 0640) : -1;
}

int ipspd_lease_reserve(int fd)
{
	const uint8_t nothing[LEASE_LEN] = {0};
	struct stat st;

	if (fstat(fd, &st) != 0)
		return IPSP_ERR_IO;
	if (st.st_size >= LEASE_LEN)
		return 0;
	errno = EIO; /* for a write that is cut short */
	return pwrite(fd, nothing, sizeof(nothing), 0) == LEASE_LEN ? 0 : IPSP_ERR_IO;
}

int ipspd_lease_remove_all(const char *dir)
{
	DIR *list = opendir(dir);
	int err = list ? 0 : IPSP_ERR_IO;

	for (const struct dirent *entry; list && (entry = readdir(list));)
		if (strncmp(entry->d_name, "lease.", 6) == 0 &&
		    unlinkat(dirfd(list), entry->d_name, 0) != 0)
			err = IPSP_ERR_IO;
	if (list)
		closedir(list);
	return err;
}

void ipspd_lease_read(int fd, const char *context, struct ipsp_lease_note *note, bool *found,
		      bool *same_boot)
{
	uint8_t bytes[LEASE_LEN];

	*found = *same_boot = false;
	memset(note, 0, sizeof(*note));
	if (pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
		*found = decode(bytes, context, note, same_boot);
}

int ipspd_lease_write(int fd, const char *context, const struct ipsp_lease_note *note)
{
	uint8_t bytes[LEASE_LEN];

	encode(bytes, context, note);
	ssize_t n = pwrite(fd, bytes, sizeof(bytes), 0);
	if (n == (ssize_t)sizeof(bytes))
		return 0;
	if (n >= 0)
		errno = EIO;
	return IPSP_ERR_IO;
}
