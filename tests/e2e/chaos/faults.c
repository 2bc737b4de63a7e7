/*
 * faults - a host's clock, boot and disk, at the command of a test: preloaded into a daemon, it
 * adds to the wall clock, makes flushes slow or fail, and says another boot_id, as the file
 * CHAOS_FAULTS says at every moment. That file is mapped, so that the test changes it while the
 * daemon runs. Its layout is `struct orders`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
	int64_t wall_ms;     /* added to CLOCK_REALTIME */
	int32_t flush_errno; /* what flushes fail with; 0: they don't */
	int32_t flush_ms;    /* how much longer a flush takes */
	uint32_t flushes;    /* counted here */
	uint32_t failed;
	uint32_t boot; /* the number of the host's boot; 0: its real one */
};

static const struct orders nothing;
static struct orders *orders;

__attribute__((constructor)) static void map_orders(void)
{
	const char *path = getenv("CHAOS_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = MAP_FAILED;

	if (fd >= 0) {
		at = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (at != MAP_FAILED)
		orders = at;
}

static struct orders read_orders(void)
{
	return orders ? *(volatile struct orders *)orders : nothing;
}

/* ---------------------------------------------------------------- the wall clock */

static void step(int64_t *sec, int64_t *nsec)
{
	const int64_t ns = *nsec + read_orders().wall_ms % 1000 * 1000000;

	*sec += read_orders().wall_ms / 1000;
	*nsec = ns;
	if (ns < 0) {
		*nsec += 1000000000;
		*sec -= 1;
	} else if (ns >= 1000000000) {
		*nsec -= 1000000000;
		*sec += 1;
	}
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	const long done = syscall(SYS_clock_gettime, clock, ts);

	if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t sec = ts->tv_sec, nsec = ts->tv_nsec;
		step(&sec, &nsec);
		ts->tv_sec = sec;
		ts->tv_nsec = nsec;
	}
	return (int)done;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_REALTIME, &ts);
	if (at)
		*at = ts.tv_sec;
	return ts.tv_sec;
}

/* ---------------------------------------------------------------- the boot of the host */

static int real_open(const char *path, int flags, va_list more)
{
	const mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;

	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int boot_id(unsigned boot)
{
	char text[40];
	const int n = snprintf(text, sizeof(text), "%08x-cafe-4afe-8afe-000000000000\n", boot);
	const int fd = memfd_create("boot_id", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, text, (size_t)n) != n || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list more;
	int fd;

	va_start(more, flags);
	if (read_orders().boot != 0 && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
		fd = boot_id(read_orders().boot);
	else
		fd = real_open(path, flags, more);
	va_end(more);
	return fd;
}

/* ---------------------------------------------------------------- the disk */

static int flush(long call, int fd)
{
	const struct orders now = read_orders();
	const struct timespec t = {now.flush_ms / 1000, now.flush_ms % 1000 * 1000000L};

	if (orders)
		__atomic_add_fetch(&orders->flushes, 1, __ATOMIC_RELAXED);
	nanosleep(&t, NULL);
	if (now.flush_errno == 0)
		return (int)syscall(call, fd);
	__atomic_add_fetch(&orders->failed, 1, __ATOMIC_RELAXED);
	errno = now.flush_errno;
	return -1;
}

int fsync(int fd)
{
	return flush(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return flush(SYS_fdatasync, fd);
}
