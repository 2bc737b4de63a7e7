/*
 * The skeleton as two hosts: an asker whose every request needs its owner, and a giver that moves
 * all its bindings to a taker. Datagrams are sealed like ours (ChaCha20-Poly1305, libsodium) and
 * packed up to 1,200 bytes. Nothing is repeated: between two namespaces nothing is lost.
 */
#define _GNU_SOURCE /* recvmmsg */
#include "measure.h"
#include "skeleton.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET 1200
#define BURST  64
#define WINDOW 128 /* packets on their way */

struct item {
	uint64_t id, name[2];
	uint32_t index, failed;
};
struct head {
	uint64_t number;
	uint32_t n, unused;
};
#define TAG   crypto_aead_chacha20poly1305_ietf_ABYTES
#define ITEMS ((PACKET - sizeof(struct head) - TAG) / sizeof(struct item))

struct packet {
	struct head head;
	struct item items[ITEMS];
	uint8_t tag[TAG];
};

struct link {
	int fd;
	uint64_t number; /* of the last packet sent */
	bool owner;	 /* its packets have other nonces than the peer's */
	struct packet in[BURST], out[BURST];
	uint8_t wire_in[BURST][PACKET], wire[BURST][PACKET];
	struct mmsghdr msgs[BURST];
	struct iovec iov[BURST];
	uint32_t n_out; /* packets begun in .out */
};

static const uint8_t key[crypto_aead_chacha20poly1305_ietf_KEYBYTES] = {1, 2, 3}; /* no secret */

static void nonce_of(uint8_t nonce[12], uint64_t number, bool owner)
{
	memset(nonce, 0, 12);
	memcpy(nonce, &number, sizeof(number));
	nonce[8] = owner;
}

static void link_open(struct link *link, const struct sides *sides, bool owner)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(sides->port)};
	struct sockaddr_in there = here;
	const int room = 8 << 20;

	if (sodium_init() < 0 || inet_pton(AF_INET, sides->here, &here.sin_addr) != 1 ||
	    inet_pton(AF_INET, sides->there, &there.sin_addr) != 1)
		die("addresses");
	link->owner = owner;
	link->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0 || bind(link->fd, (struct sockaddr *)&here, sizeof(here)) != 0 ||
	    connect(link->fd, (struct sockaddr *)&there, sizeof(there)) != 0)
		die("%s", sides->here);
	setsockopt(link->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(link->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
}

static void seal(struct link *link, uint32_t i)
{
	struct packet *p = &link->out[i];
	const size_t body = p->head.n * sizeof(struct item);
	unsigned long long n = 0;
	uint8_t nonce[12];

	p->head.number = ++link->number;
	nonce_of(nonce, p->head.number, link->owner);
	memcpy(link->wire[i], &p->head, sizeof(p->head));
	crypto_aead_chacha20poly1305_ietf_encrypt(
		link->wire[i] + sizeof(p->head), &n, (const uint8_t *)p->items, body,
		(const uint8_t *)&p->head, sizeof(p->head), NULL, nonce, key);
	link->iov[i] = (struct iovec){link->wire[i], sizeof(p->head) + (size_t)n};
	link->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &link->iov[i], .msg_iovlen = 1};
}

static void link_flush(struct link *link)
{
	for (uint32_t i = 0; i < link->n_out; i++)
		seal(link, i);
	for (uint32_t at = 0; at < link->n_out;) {
		int sent = sendmmsg(link->fd, link->msgs + at, link->n_out - at, 0);
		if (sent <= 0 && errno != ECONNREFUSED)
			die("sending");
		at += sent > 0 ? (uint32_t)sent : 0;
	}
	link->n_out = 0;
}

static void link_put(struct link *link, const struct item *item)
{
	struct packet *p = link->n_out > 0 ? &link->out[link->n_out - 1] : NULL;

	if (!p || p->head.n == ITEMS) {
		if (link->n_out == BURST)
			link_flush(link);
		p = &link->out[link->n_out++];
		p->head = (struct head){0};
	}
	p->items[p->head.n++] = *item;
}

/* How many packets came; opened, in .in. */
static uint32_t link_read(struct link *link, int flags)
{
	for (uint32_t i = 0; i < BURST; i++) {
		link->iov[i] = (struct iovec){link->wire_in[i], PACKET};
		link->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &link->iov[i], .msg_iovlen = 1};
	}
	int got = recvmmsg(link->fd, link->msgs, BURST, flags, NULL);
	for (int i = 0; i < got; i++) {
		struct packet *p = &link->in[i];
		const size_t n = link->msgs[i].msg_len;
		unsigned long long body;
		uint8_t nonce[12];

		if (n < sizeof(p->head) + TAG)
			die("a short packet");
		memcpy(&p->head, link->wire_in[i], sizeof(p->head));
		nonce_of(nonce, p->head.number, !link->owner);
		if (crypto_aead_chacha20poly1305_ietf_decrypt((uint8_t *)p->items, &body, NULL,
							      link->wire_in[i] + sizeof(p->head),
							      n - sizeof(p->head), link->wire_in[i],
							      sizeof(p->head), nonce, key) != 0)
			die("a packet that doesn't open");
	}
	return got > 0 ? (uint32_t)got : 0;
}

/* ---------------------------------------------------------------- asked for */

int run_owner(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder)
{
	static struct link link;
	struct journal journal;
	struct pool pool;

	link_open(&link, sides, true);
	pool_init(&pool, size);
	journal_open(&journal, folder, kind);
	for (;;) {
		uint32_t n = link_read(&link, MSG_WAITFORONE);

		for (uint32_t i = 0; i < n; i++) {
			for (uint32_t j = 0; j < link.in[i].head.n; j++) {
				struct item item = link.in[i].items[j];

				if (j + 2 < link.in[i].head.n)
					pool_prefetch(&pool, link.in[i].items[j + 2].name);
				item.index = pool_take(&pool, item.name, item.index);
				item.failed = item.index == NO_ADDRESS;
				if (!item.failed)
					journal_put(&journal, &pool.bindings[item.index]);
				link_put(&link, &item);
			}
		}
		journal_commit(&journal); /* the giver forgets before the taker learns */
		link_flush(&link);
	}
}

static void ask_all(struct link *link, struct client *client)
{
	struct request request = {0};
	size_t at = 0, used;
	uint8_t *to = client->out;
	bool known;

	while ((used = request_get(client->in + at, client->n_in - at, &request, &known, &to)) >
	       0) {
		at += used;
		if (known)
			link_put(link, &(struct item){.id = request.id,
						      .name = {request.name[0], request.name[1]},
						      .index = request.want});
	}
	client_keep(client, at);
	if (to > client->out)
		write_all(client->fd, client->out, (size_t)(to - client->out));
	link_flush(link);
}

static void pass_on(struct link *link, struct client *client, struct pool *pool,
		    struct journal *journal)
{
	uint32_t n = link_read(link, MSG_DONTWAIT);
	uint8_t *to = client->out;

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < link->in[i].head.n; j++) {
			const struct item *item = &link->in[i].items[j];
			const struct request request = {.id = item->id};

			if (!item->failed &&
			    pool_take(pool, item->name, item->index) == item->index)
				journal_put(journal, &pool->bindings[item->index]);
			to = answer_put(to, &request, item->index);
		}
	}
	journal_commit(journal);
	if (to > client->out)
		write_all(client->fd, client->out, (size_t)(to - client->out));
}

/* One client after the other: what it gets for a session it keeps. */
int run_asker(const struct sides *sides, const char *socket, uint32_t size, enum journal_kind kind,
	      const char *folder)
{
	static struct link link;
	struct client client = {.in = take_memory(CLIENT_BYTES), .out = take_memory(CLIENT_BYTES)};
	struct epoll_event events[2], udp = {.events = EPOLLIN, .data.u32 = 1};
	int poll = epoll_create1(EPOLL_CLOEXEC), listener;
	struct journal journal;
	struct pool pool;

	link_open(&link, sides, false);
	pool_init(&pool, size);
	/* what it loses it is told again: the page cache is enough */
	journal_open(&journal, folder, kind == JOURNAL_POWER ? JOURNAL_CACHE : kind);
	listener = listen_unix(socket);
	epoll_ctl(poll, EPOLL_CTL_ADD, link.fd, &udp);
	for (;;) {
		struct epoll_event in = {.events = EPOLLIN};
		bool gone = false;

		client.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		client.n_in = 0;
		if (client.fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, client.fd, &in) != 0)
			die("accept");
		while (!gone) {
			int n = epoll_wait(poll, events, 2, -1);

			for (int i = 0; i < n; i++) {
				if (events[i].data.u32 == 1)
					pass_on(&link, &client, &pool, &journal);
				else if (client_read(&client))
					ask_all(&link, &client);
				else
					gone = true;
			}
		}
		close(client.fd);
	}
}

/* ---------------------------------------------------------------- moved */

int run_taker(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder)
{
	static struct link link;
	struct journal journal;
	struct pool pool;
	uint32_t got = 0;

	link_open(&link, sides, false);
	pool_init(&pool, size);
	journal_open(&journal, folder, kind);
	puts("ready");
	fflush(stdout);
	while (got < size) {
		uint32_t n = link_read(&link, MSG_WAITFORONE);

		for (uint32_t i = 0; i < n; i++) {
			const struct packet *p = &link.in[i];

			for (uint32_t j = 0; j < p->head.n; j++) {
				if (j + 2 < p->head.n)
					pool_prefetch(&pool, p->items[j + 2].name);
				uint32_t index =
					pool_take(&pool, p->items[j].name, p->items[j].index);
				if (index != NO_ADDRESS)
					journal_put(&journal, &pool.bindings[index]);
			}
			got += p->head.n;
		}
		journal_commit(&journal); /* held for good before it is said */
		link_put(&link, &(struct item){.id = n > 0 ? link.in[n - 1].head.number : 0});
		link_flush(&link);
	}
	return 0;
}

/* Acknowledgements; waits for one when the window is shut. */
static void take_acks(struct link *link, uint64_t sent, uint64_t total, uint64_t *acked)
{
	bool shut = sent == total || sent - *acked >= WINDOW;
	uint32_t n = link_read(link, shut ? MSG_WAITFORONE : MSG_DONTWAIT);

	for (uint32_t i = 0; i < n; i++)
		*acked = link->in[i].items[0].id;
}

int run_giver(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder)
{
	static struct link link;
	const uint64_t total = (size + ITEMS - 1) / ITEMS;
	uint64_t acked = 0, start;
	struct journal journal;
	struct pool pool;
	uint32_t next = 0;

	link_open(&link, sides, true);
	pool_init(&pool, size);
	journal_open(&journal, folder, kind);
	for (uint32_t i = 0; i < size; i++) {
		const uint64_t name[2] = {UINT64_C(0x5500000000000000) + i, i};

		pool_take(&pool, name, scattered(i, size));
	}
	start = now_ns();
	while (acked < total) {
		uint32_t burst = 0;

		for (; burst < BURST && next < size && link.number + burst - acked < WINDOW;
		     burst++) {
			journal_put(&journal,
				    &pool.bindings[next]); /* on their way: one a packet */
			for (uint32_t j = 0; j < ITEMS && next < size; j++, next++) {
				const struct binding *b = &pool.bindings[next];

				link_put(&link, &(struct item){.id = b->since,
							       .name = {b->name[0], b->name[1]},
							       .index = b->index});
			}
		}
		journal_commit(&journal);
		link_flush(&link);
		take_acks(&link, link.number, total, &acked);
	}
	print_run(size, now_ns() - start, NULL);
	return 0;
}

/* ---------------------------------------------------------------- read again */

int run_restart(uint32_t size, const char *folder)
{
	const size_t slice = 8192;
	struct binding *bindings = take_memory(slice * sizeof(*bindings));
	struct journal journal;
	struct pool pool;
	uint64_t start;
	uint32_t n = 0;

	journal_open(&journal, folder, JOURNAL_CACHE);
	for (uint32_t i = 0; i < size; i++) {
		const struct binding b = {
			{UINT64_C(0x5500000000000000) + i, i}, scattered(i, size), 1, 0};
		journal_put(&journal, &b);
	}
	journal_commit(&journal);
	start = now_ns();
	pool_init(&pool, size);
	for (uint64_t at = 0; n < size; at += slice * sizeof(*bindings)) {
		ssize_t got = pread(journal.fd, bindings, slice * sizeof(*bindings), (off_t)at);
		const uint32_t here = got > 0 ? (uint32_t)((size_t)got / sizeof(*bindings)) : 0;

		if (here == 0)
			die("reading the journal");
		for (uint32_t i = 0; i < here && n < size; i++, n++) {
			if (i + 8 < here) {
				pool_prefetch(&pool, bindings[i + 8].name);
				__builtin_prefetch(&pool.bindings[bindings[i + 8].index], 1);
			}
			pool_take(&pool, bindings[i].name, bindings[i].index);
		}
	}
	print_run(n, now_ns() - start, NULL);
	return 0;
}
