/*
 * lines - what an agent says, kept until its script reads it. An agent that waited for its script
 * to read would not read either, and a script that answers each line as it comes waits for that:
 * the two would wait for each other for ever.
 */
#include "cli/cli.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char *bytes;
	size_t n, done, cap; /* written up to .done */
	bool failed;	     /* no memory */
} lines;

static int append(const char *p, size_t n, void *arg)
{
	(void)arg;
	if (lines.done > lines.n / 2) { /* so each byte is moved once, on the average */
		lines.n -= lines.done;
		memmove(lines.bytes, lines.bytes + lines.done, lines.n);
		lines.done = 0;
	}
	if (n > lines.cap - lines.n) {
		size_t cap = (lines.n + n) * 2 + 4096;
		char *more = realloc(lines.bytes, cap);

		lines.failed = lines.failed || !more;
		if (!more)
			return -1;
		lines.bytes = more;
		lines.cap = cap;
	}
	memcpy(lines.bytes + lines.n, p, n);
	lines.n += n;
	return 0;
}

void cli_lines_print(json_t *value)
{
	if (json_dump_callback(value, append, NULL, JSON_COMPACT) != 0)
		lines.failed = true;
	append("\n", 1, NULL);
	json_decref(value);
}

size_t cli_lines_unread(void)
{
	return lines.n - lines.done;
}

/* A pipe that has room has it for so many bytes. */
static bool has_room(int timeout_ms)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, timeout_ms) > 0;
}

bool cli_lines_write(bool wait)
{
	while (!lines.failed && cli_lines_unread() > 0 && has_room(wait ? -1 : 0)) {
		const size_t left = cli_lines_unread();
		ssize_t sent = write(STDOUT_FILENO, lines.bytes + lines.done,
				     left < PIPE_BUF ? left : PIPE_BUF);

		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			cli_output_failed(errno);
			return false;
		}
		lines.done += sent > 0 ? (size_t)sent : 0;
	}
	if (lines.failed)
		cli_output_failed(ENOMEM);
	return !lines.failed;
}

void cli_lines_free(void)
{
	free(lines.bytes);
	lines.bytes = NULL;
	lines.n = lines.done = lines.cap = 0;
}
