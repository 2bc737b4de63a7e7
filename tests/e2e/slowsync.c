/*
 * slowsync - a disk whose flushes are slow: preloaded into a daemon, it makes every fsync and
 * fdatasync take SLOWSYNC_MS longer, and counts them in the file SLOWSYNC_LOG, a byte each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fsync(int fd);
int fdatasync(int fd);

static void count(void)
{
	const char *path = getenv("SLOWSYNC_LOG");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;

	if (fd < 0)
		return;
	if (write(fd, "f", 1) != 1)
		abort();
	close(fd);
}

static void dawdle(void)
{
	const char *ms = getenv("SLOWSYNC_MS");
	long n = ms ? atol(ms) : 0;
	struct timespec t = {n / 1000, n % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static int slowly(const char *name, int fd)
{
	int (*real)(int);

	*(void **)&real =
		dlsym(RTLD_NEXT, name); /* POSIX's own idiom: ISO C has no such conversion */
	count();
	dawdle();
	return real(fd);
}

int fsync(int fd)
{
	return slowly("fsync", fd);
}

int fdatasync(int fd)
{
	return slowly("fdatasync", fd);
}
