/*
 * redis_load - the same closed loop as bench_load, against a script in a Redis.
 *
 *   bench_redis SOCKET SHA --depth D [--connections C] --count N [--seconds S] [--first K] [--cpu
 * N]
 *               [--wait]    each is followed by WAIT 1 0: a replica has it in its memory
 *               [--lpop]    no script at all: LPOP, which forgets who got what
 *
 * The requests are written as bytes too (EVALSHA, the pool's prefix, a lease of two hours, the name
 * of the session), and answers are only counted: Redis answers in order.
 */
#include "measure.h"
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEPTH_MAX 1024
#define IN_BYTES  65536u
#define OUT_BYTES (DEPTH_MAX * 256u)

struct connection {
	int fd;
	uint8_t in[IN_BYTES];
	size_t n_in;
	uint64_t sent_at[DEPTH_MAX]; /* a ring: answers come in order */
	uint32_t sent, answered, replies;
};

struct load {
	const char *path, *sha;
	uint32_t depth, n_connections, count, first;
	double seconds;
	int cpu;
	bool wait, lpop;
	struct connection *connections;
	struct latencies latencies;
	uint32_t sent, done;
	char *out;
};

static size_t put_one(const struct load *l, char *to, uint32_t session)
{
	if (l->lpop)
		return (size_t)snprintf(to, 64, "*2\r\n$4\r\nLPOP\r\n$6\r\np:free\r\n");
	int n = snprintf(to, 256,
			 "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$1\r\np\r\n$4\r\n7200\r\n"
			 "$17\r\nu%07x@s%07x\r\n",
			 l->sha, session & 0xfffffff, session & 0xfffffff);

	if (l->wait)
		n += snprintf(to + n, 64, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n");
	return (size_t)n;
}

static void send_some(struct load *l, struct connection *c, uint32_t most, uint32_t count)
{
	const uint64_t now = now_ns();
	size_t n = 0;

	for (; most > 0 && c->sent - c->answered < l->depth && l->sent < count; most--) {
		c->sent_at[c->sent++ % DEPTH_MAX] = now;
		n += put_one(l, l->out + n, l->first + l->sent++);
	}
	if (n > 0)
		write_all(c->fd, l->out, n);
}

/* Bytes of the reply at @p: a bulk string or a number; 0 when the rest has not come. */
static size_t reply_size(const uint8_t *p, size_t n)
{
	const uint8_t *end = memchr(p, '\n', n);

	if (!end)
		return 0;
	if (p[0] == '-' || (p[0] == '$' && p[1] == '-') || (p[0] == ':' && p[1] == '0'))
		die("redis refuses: %.*s", (int)(end - p), (const char *)p);
	const size_t line = (size_t)(end - p) + 1;
	const size_t size = p[0] == '$' ? line + strtoul((const char *)p + 1, NULL, 10) + 2 : line;
	return size <= n ? size : 0;
}

static uint32_t take_answers(struct load *l, struct connection *c)
{
	ssize_t got = recv(c->fd, c->in + c->n_in, IN_BYTES - c->n_in, 0);
	const uint64_t now = now_ns();
	const uint32_t before = l->done, each = l->wait ? 2 : 1;
	size_t at = 0, size;

	if (got <= 0)
		die("redis is gone");
	c->n_in += (size_t)got;
	while (at < c->n_in && (size = reply_size(c->in + at, c->n_in - at)) > 0) {
		at += size;
		if (++c->replies % each != 0)
			continue;
		latencies_add(&l->latencies, now - c->sent_at[c->answered++ % DEPTH_MAX]);
		l->done++;
	}
	c->n_in -= at;
	memmove(c->in, c->in + at, c->n_in);
	return l->done - before;
}

static void run(struct load *l)
{
	const uint64_t start = now_ns();
	const uint64_t end = l->seconds > 0 ? start + (uint64_t)(l->seconds * 1e9) : UINT64_MAX;
	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[256];
	uint32_t count = l->count;

	for (uint32_t i = 0; i < l->n_connections; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};

		epoll_ctl(poll, EPOLL_CTL_ADD, l->connections[i].fd, &ev);
		send_some(l, &l->connections[i], l->depth, count);
	}
	while (l->done < count) {
		/* one connection: nothing to choose from */
		int n = l->n_connections > 1 ? epoll_wait(poll, events, 256, -1) : 1;

		for (int i = 0; i < n; i++) {
			const uint32_t which = l->n_connections > 1 ? events[i].data.u32 : 0;
			uint32_t answered = take_answers(l, &l->connections[which]);

			if (now_ns() > end)
				count = l->sent;
			send_some(l, &l->connections[which], answered, count);
		}
	}
	close(poll);
	print_run(l->done, now_ns() - start, &l->latencies);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"depth", 1, NULL, 'd'}, {"connections", 1, NULL, 'c'}, {"count", 1, NULL, 'n'},
		{"first", 1, NULL, 'f'}, {"cpu", 1, NULL, 'p'},		{"seconds", 1, NULL, 's'},
		{"wait", 0, NULL, 'w'},	 {"lpop", 0, NULL, 'l'},	{NULL, 0, NULL, 0}};
	static struct load l = {.depth = 1, .n_connections = 1, .cpu = -1};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (o == 'd')
			l.depth = whole(optarg);
		else if (o == 'c')
			l.n_connections = whole(optarg);
		else if (o == 'n')
			l.count = whole(optarg);
		else if (o == 'f')
			l.first = whole(optarg);
		else if (o == 'p')
			l.cpu = (int)whole(optarg);
		else if (o == 's')
			l.seconds = number(optarg);
		else if (o == 'w')
			l.wait = true;
		else if (o == 'l')
			l.lpop = true;
		else
			exit(2);
	}
	errno = 0;
	if (optind != argc - 2 || l.depth == 0 || l.depth > DEPTH_MAX || l.n_connections == 0 ||
	    l.n_connections > 256 || l.count == 0 || strlen(argv[optind + 1]) != 40)
		die("see the head of redis_load.c");
	l.path = argv[optind];
	l.sha = argv[optind + 1];
	pin(l.cpu);
	l.out = take_memory(OUT_BYTES);
	l.connections = calloc(l.n_connections, sizeof(*l.connections));
	latencies_init(&l.latencies, l.count);
	if (!l.connections)
		die("no memory");
	for (uint32_t i = 0; i < l.n_connections; i++)
		l.connections[i].fd = connect_unix(l.path);
	run(&l);
	return 0;
}
