#define _GNU_SOURCE /* nftw */ // NOLINT(bugprone-reserved-identifier)
#include "folder.h"
#include "daemon/log.h"
#include "input.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level == 0 ? 0 : remove(path);
}

void fuzz_folder_empty(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
	fuzz_folder_empty();
	rmdir(folder);
}

const char *fuzz_folder(void)
{
	struct stat st;

	if (folder[0])
		return folder;
	snprintf(folder, sizeof(folder), "%s/ipspd-fuzz-XXXXXX",
		 stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(folder) != NULL);
	must(atexit(remove_folder) == 0);
	ipspd_log_open(IPSPD_LOG_STDERR, IPSP_LOG_ERROR);
	return folder;
}

const char *fuzz_path(const char *name)
{
	static char path[128];

	must(snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name) < (int)sizeof(path));
	return path;
}

void fuzz_write(const char *path, const void *p, size_t n)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && (n == 0 || write(fd, p, n) == (ssize_t)n) && close(fd) == 0);
}

size_t fuzz_read(const char *path, void *p, size_t cap)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, p, cap);
	must(n >= 0 && close(fd) == 0);
	return (size_t)n;
}
