/*
 * probe - what the machine itself can do, in the same minute as everything else.
 *
 *   probe flush FOLDER SECONDS        fdatasync after 64 bytes over blocks that exist: latencies
 *   probe trip SECONDS CORE CORE      64 bytes there and back on a Unix stream, blocking
 *   probe stream SECONDS D CORE CORE  D messages of 49 bytes there, and D of 41 back, in one each
 */
#include "measure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 4000000u

static int flush(const char *folder, double seconds)
{
	const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	static char bytes[1 << 20];
	struct latencies l;
	uint64_t start = now_ns();
	uint32_t n = 0;
	char path[512];
	int fd;

	latencies_init(&l, RUNS_MAX);
	snprintf(path, sizeof(path), "%s/probe", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes) || fsync(fd) != 0)
		die("%s", path);
	unlink(path);
	for (; now_ns() < end; n++) {
		const uint64_t from = now_ns();

		if (pwrite(fd, bytes, 64, (off_t)(n * 64 % sizeof(bytes))) != 64 ||
		    fdatasync(fd) != 0)
			die("%s", path);
		latencies_add(&l, now_ns() - from);
	}
	print_run(n, now_ns() - start, &l);
	return 0;
}

static void read_all(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);
		if (got <= 0)
			exit(0); /* the other one has had enough */
		p += got;
		n -= (size_t)got;
	}
}

static int trips(double seconds, uint32_t depth, size_t there, size_t back, int core, int other)
{
	static char bytes[1 << 20];
	struct latencies l;
	uint64_t start, end;
	uint32_t n = 0;
	int fds[2];

	if (depth == 0 || depth * there > sizeof(bytes))
		die("depth");
	latencies_init(&l, RUNS_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		die("socketpair");
	pid_t child = fork();
	if (child == 0) {
		close(fds[0]);
		pin(other);
		for (;;) {
			read_all(fds[1], bytes, depth * there);
			write_all(fds[1], bytes, depth * back);
		}
	}
	close(fds[1]);
	pin(core);
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	for (; now_ns() < end; n += depth) {
		const uint64_t from = now_ns();

		write_all(fds[0], bytes, depth * there);
		read_all(fds[0], bytes, depth * back);
		latencies_add(&l, now_ns() - from);
	}
	print_run(n, now_ns() - start, &l);
	close(fds[0]);
	waitpid(child, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	errno = 0;
	if (argc == 4 && strcmp(argv[1], "flush") == 0)
		return flush(argv[2], number(argv[3]));
	if (argc == 5 && strcmp(argv[1], "trip") == 0)
		return trips(number(argv[2]), 1, 64, 64, (int)whole(argv[3]), (int)whole(argv[4]));
	if (argc == 6 && strcmp(argv[1], "stream") == 0)
		return trips(number(argv[2]), whole(argv[3]), 49, 41, (int)whole(argv[4]),
			     (int)whole(argv[5]));
	die("probe flush FOLDER SECONDS | trip SECONDS CORE CORE | stream SECONDS D CORE CORE");
}
