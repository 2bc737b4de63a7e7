/* The skeleton on one host: requests over the control socket. */
#define _GNU_SOURCE /* accept4 */
#include "base/ctlmsg.h"
#include "measure.h"
#include "skeleton.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 512

/* ---------------------------------------------------------------- frames */

enum { REQUEST_BYTES = 49, RELEASE_BYTES = 29 };

static uint8_t *greeting(uint8_t *to, uint8_t type)
{
	static const char name[] = "skeleton";
	struct ipsp_buf buf = {0};
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_DONE, .id = 1};

	if (type == IPSP_CTL_HELLO)
		msg = (struct ipsp_ctl_msg){.type = IPSP_CTL_HELLO,
					    .magic = IPSP_CTL_MAGIC,
					    .min = IPSP_CTL_VERSION_MIN,
					    .max = IPSP_CTL_VERSION,
					    .program = {name, sizeof(name) - 1}};
	if (ipsp_ctl_put(&buf, &msg) != 0)
		die("no memory");
	memcpy(to, buf.data, buf.len);
	to += buf.len;
	ipsp_buf_fini(&buf);
	return to;
}

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

size_t request_get(const uint8_t *p, size_t n, struct request *request, bool *known, uint8_t **out)
{
	if (n < IPSP_CTL_HEAD || n < IPSP_CTL_HEAD + get_u32(p))
		return 0;
	const size_t size = IPSP_CTL_HEAD + get_u32(p);
	*known = size == REQUEST_BYTES || size == RELEASE_BYTES;
	if (!*known) {
		*out = greeting(*out, p[IPSP_CTL_HEAD]);
		return size;
	}
	memcpy(&request->id, p + 5, sizeof(request->id));
	request->want = get_u32(p + 25);
	request->want = request->want ? request->want - BASE : NO_ADDRESS;
	request->release = size == RELEASE_BYTES;
	if (!request->release) {
		memcpy(&request->name[0], p + 30, 8);
		memcpy(&request->name[1], p + 39, 8);
	}
	return size;
}

uint8_t *answer_put(uint8_t *to, const struct request *request, uint32_t index)
{
	/* length, type, 8 of id, 4 of err, ::ffff:0.0.0.0, plen, pool */
	static const uint8_t pattern[41] = {[3] = 37,	 [4] = IPSP_CTL_ANSWER,
					    [27] = 0xff, [28] = 0xff,
					    [33] = 32,	 [34] = 6,
					    [35] = 'p',	 [36] = 'o',
					    [37] = 'o',	 [38] = 'l',
					    [39] = '-',	 [40] = 'a'};
	const uint32_t addr = htonl(BASE + index);
	const int err = index == NO_ADDRESS ? (int)htonl((uint32_t)IPSP_ERR_EXHAUSTED) : 0;

	if (request->release) {
		memset(to, 0, 19);
		to[3] = 15;
		to[4] = IPSP_CTL_DONE;
		memcpy(to + 5, &request->id, 8);
		memcpy(to + 13, &err, 4);
		return to + 19;
	}
	memcpy(to, pattern, sizeof(pattern));
	memcpy(to + 5, &request->id, 8);
	memcpy(to + 13, &err, 4);
	memcpy(to + 29, &addr, 4);
	return to + sizeof(pattern);
}

/* ---------------------------------------------------------------- clients */

bool client_read(struct client *client)
{
	ssize_t got = recv(client->fd, client->in + client->n_in, CLIENT_BYTES - client->n_in,
			   MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0)
		return false;
	client->n_in += (size_t)got;
	return true;
}

void client_keep(struct client *client, size_t used)
{
	client->n_in -= used;
	if (used > 0 && client->n_in > 0)
		memmove(client->in, client->in + used, client->n_in);
}

static uint8_t *serve(struct pool *pool, struct journal *journal, const struct request *request,
		      uint8_t *to)
{
	uint32_t index = request->want;

	if (!request->release)
		index = pool_take(pool, request->name, request->want);
	else if (!pool_drop(pool, index))
		index = NO_ADDRESS;
	if (index != NO_ADDRESS)
		journal_put(journal, &pool->bindings[index]);
	return answer_put(to, request, index);
}

/* Everything that has come; returns the end of the answers. */
static uint8_t *serve_all(struct pool *pool, struct journal *journal, struct client *client)
{
	uint8_t *to = client->out;
	size_t at = 0, used;
	struct request request = {0};
	bool known;

	while ((used = request_get(client->in + at, client->n_in - at, &request, &known, &to)) >
	       0) {
		at += used;
		if (known)
			to = serve(pool, journal, &request, to);
		if (known && client->n_in - at >= 3 * REQUEST_BYTES) { /* the one after next */
			uint64_t name[2];

			memcpy(&name[0], client->in + at + 2 * REQUEST_BYTES + 30, 8);
			memcpy(&name[1], client->in + at + 2 * REQUEST_BYTES + 39, 8);
			pool_prefetch(pool, name);
		}
	}
	client_keep(client, at);
	return to;
}

static void add_client(struct client *clients, int listener, int poll)
{
	static uint32_t next;
	struct client *c = &clients[next % CLIENTS];
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = next++ % CLIENTS};

	if (!c->in) {
		c->in = take_memory(CLIENT_BYTES);
		c->out = take_memory(CLIENT_BYTES);
	} else {
		close(c->fd);
	}
	c->n_in = 0;
	c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("accept");
}

int run_local(const char *socket, uint32_t size, enum journal_kind kind, const char *folder)
{
	static struct client clients[CLIENTS];
	static struct epoll_event events[CLIENTS];
	struct journal journal;
	struct pool pool;
	uint8_t *ends[CLIENTS];
	int listener, poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = CLIENTS};

	pool_init(&pool, size);
	journal_open(&journal, folder, kind);
	listener = listen_unix(socket);
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(poll, events, CLIENTS, -1);

		for (int i = 0; i < n; i++) {
			struct client *c = &clients[events[i].data.u32 % CLIENTS];

			ends[i] = c->out;
			if (events[i].data.u32 == CLIENTS)
				add_client(clients, listener, poll);
			else if (client_read(c))
				ends[i] = serve_all(&pool, &journal, c);
			else
				epoll_ctl(poll, EPOLL_CTL_DEL, c->fd, NULL);
		}
		journal_commit(&journal);
		for (int i = 0; i < n; i++) {
			struct client *c = &clients[events[i].data.u32 % CLIENTS];

			if (events[i].data.u32 != CLIENTS && ends[i] > c->out)
				write_all(c->fd, c->out, (size_t)(ends[i] - c->out));
		}
	}
}
