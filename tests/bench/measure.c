#define _GNU_SOURCE /* sched_setaffinity */
#include "measure.h"
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, err ? " (%s)\n" : "\n", strerror(err));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double number(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (*end || end == text || !(v >= 0))
		die("%s is no number", text);
	return v;
}

uint32_t whole(const char *text)
{
	double v = number(text);

	if (v > UINT32_MAX)
		die("%s is too large", text);
	return (uint32_t)v;
}

void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("core %d", cpu);
}

void *take_memory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("%zu bytes of memory", n);
	madvise(p, n, MADV_HUGEPAGE);
	memset(p, 0, n); /* not to be paid for while the clock runs */
	return p;
}

void latencies_init(struct latencies *l, size_t cap)
{
	*l = (struct latencies){.ns = take_memory((cap ? cap : 1) * sizeof(*l->ns)), .cap = cap};
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double part_us(const struct latencies *l, double part)
{
	return (double)l->ns[(size_t)((double)(l->n - 1) * part)] / 1e3;
}

void print_run(uint64_t count, uint64_t ns, struct latencies *l)
{
	printf("{\"count\": %llu, \"seconds\": %.6f, \"rate\": %.1f", (unsigned long long)count,
	       (double)ns / 1e9, ns ? (double)count * 1e9 / (double)ns : 0.0);
	if (l && l->n > 0) {
		qsort(l->ns, l->n, sizeof(*l->ns), by_size);
		printf(", \"p50-us\": %.3f, \"p99-us\": %.3f, \"max-us\": %.3f", part_us(l, 0.5),
		       part_us(l, 0.99), part_us(l, 1.0));
	}
	printf("}\n");
	fflush(stdout);
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		die("%s: too long for a socket", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return addr;
}

int connect_unix(const char *path)
{
	const struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		die("%s", path);
	return fd;
}

int listen_unix(const char *path)
{
	const struct sockaddr_un addr = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(fd, 512) != 0)
		die("%s", path);
	return fd;
}

void write_all(int fd, const void *p, size_t n)
{
	for (const char *from = p; n > 0;) {
		ssize_t done = send(fd, from, n, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			die("writing to a socket");
		from += done;
		n -= (size_t)done;
	}
}
