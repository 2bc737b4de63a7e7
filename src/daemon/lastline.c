#define _GNU_SOURCE /* pipe2 */
#include "daemon/lastline.h"
#include "base/ident.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE	 16384
#define LEFT_MAX 64 /* pipes of what hooks have left running */

struct ipspd_lastline {
	struct ipspd_lastline *next;
	struct ipspd_lastlines *left; /* NULL: the program still runs */
	struct event *readable, *again;
	int fd;
	bool ended; /* nobody has the other end any more */
	char now[IPSPD_LASTLINE_MAX + 1], last[IPSPD_LASTLINE_MAX + 1];
	size_t n; /* of .now, the line that is being written */
};

static void line_ends(struct ipspd_lastline *line)
{
	while (line->n > 0 && line->now[line->n - 1] == ' ')
		line->n--;
	if (line->n > 0) {
		line->now[line->n] = '\0';
		memcpy(line->last, line->now, line->n + 1);
	}
	line->n = 0;
}

static void take(struct ipspd_lastline *line, const char *p, size_t n)
{
	for (; n > 0; p++, n--) {
		const unsigned char c = (unsigned char)*p;

		if (c == '\n' || c == '\r')
			line_ends(line);
		else if (line->n < IPSPD_LASTLINE_MAX && (c > ' ' || line->n > 0))
			line->now[line->n++] = (char)(c < ' ' || c == 0x7f ? ' ' : *p);
	}
}

/* False: it has come to its end. @*more: there may be more at once. */
static bool read_some(struct ipspd_lastline *line, bool *more)
{
	char piece[PIECE];
	const ssize_t n = read(line->fd, piece, sizeof(piece));

	*more = n == (ssize_t)sizeof(piece);
	line->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	if (n <= 0)
		return !line->ended;
	if (!line->left)
		take(line, piece, (size_t)n);
	return true;
}

static void unlink_left(struct ipspd_lastline *line)
{
	struct ipspd_lastline **at = &line->left->first;

	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	line->left->n--;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pause = {.tv_usec = 5000};
	struct ipspd_lastline *line = arg;
	bool more;

	(void)fd;
	(void)what;
	if (read_some(line, &more)) {
		event_add(more ? line->again : line->readable, more ? &pause : NULL);
	} else if (line->left) {
		unlink_left(line);
		ipspd_lastline_free(line);
	}
}

struct ipspd_lastline *ipspd_lastline_new(struct event_base *base, int *fd)
{
	struct ipspd_lastline *line;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return NULL;
	fcntl(ends[0], F_SETFL,
	      O_NONBLOCK); /* this end's; the program's own waits, as it expects */
	line = calloc(1, sizeof(*line));
	if (line) {
		line->fd = ends[0];
		line->readable = event_new(base, ends[0], EV_READ, on_readable, line);
		line->again = evtimer_new(base, on_readable, line);
	}
	if (line && line->readable && line->again && event_add(line->readable, NULL) == 0) {
		*fd = ends[1];
		return line;
	}
	close(ends[1]);
	if (line)
		ipspd_lastline_free(line);
	else
		close(ends[0]);
	errno = ENOMEM;
	return NULL;
}

const char *ipspd_lastline_text(struct ipspd_lastline *line)
{
	bool more = true;

	for (int i = 0; i < 8 && more && read_some(line, &more); i++)
		; /* what a pipe holds, and no more: another may be writing on */
	line_ends(line);
	if (!ipsp_text_clean(line->last, strlen(line->last)))
		for (char *p = line->last; *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	return line->last;
}

void ipspd_lastline_leave(struct ipspd_lastlines *left, struct ipspd_lastline *line)
{
	if (line->ended || left->n == LEFT_MAX) {
		ipspd_lastline_free(line);
		return;
	}
	line->left = left;
	line->next = left->first;
	left->first = line;
	left->n++;
}

void ipspd_lastline_free(struct ipspd_lastline *line)
{
	if (!line)
		return;
	if (line->readable)
		event_free(line->readable);
	if (line->again)
		event_free(line->again);
	close(line->fd);
	free(line);
}

void ipspd_lastlines_free(struct ipspd_lastlines *left)
{
	while (left->first) {
		struct ipspd_lastline *line = left->first;

		left->first = line->next;
		ipspd_lastline_free(line);
	}
	left->n = 0;
}
