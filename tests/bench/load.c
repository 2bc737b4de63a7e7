/*
 * load - sessions by the hundred thousand, over the control socket of an ipspd (or of the skeleton,
 * which speaks as much of it as is needed).
 *
 * Closed loop: a stated number of requests is open all the time, on one connection or one on each
 * of many. Frames are written as bytes, from a pattern in which only the numbers change, and read
 * by their fixed places: what is measured is the daemon, not this program. Every session is new.
 *
 *   load SOCKET --depth D [--connections C] --count N [--seconds S] [--first K] [--cpu N]
 *        [--contexts N]           connection i speaks to the context isp<1 + i modulo N>
 *        [--at BASE --size S]     each request names an address of that range, scattered
 *        [--release]              ends the sessions afterwards, in scattered order: two lines
 *        [--end]                  only ends, by their addresses, what runs with --at had taken
 *        [--warm N]               this many requests first that are not counted
 *        [--cycles N]             all of it N times: takes are counted, ends are not
 *        [--attend]               stays afterwards, and ends every session that it is asked to end
 */
#include "base/ctlmsg.h"
#include "measure.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEPTH_MAX 8192
#define IN_BYTES  (1u << 20)
#define END_DEPTH 1024
#define NAME	  8 /* bytes of a subscriber, and of a session: together they need no block */

/* where things stand in the frames, see ctlmsg.h */
enum { AT_TYPE = 4, AT_ID = 5, AT_ADDR = 13, AT_ERR = 13, AT_ANSWERED = 17, AT_V4 = 12 };

struct request_frame {
	uint8_t head[AT_ID], id[8], addr[16], n_subscriber, subscriber[NAME], n_session,
		session[NAME], n_pool, n_group;
};
struct release_frame {
	uint8_t head[AT_ID], id[8], addr[16];
};
_Static_assert(sizeof(struct request_frame) == 49 && sizeof(struct release_frame) == 29,
	       "frames have no gaps");

struct connection {
	int fd;
	uint8_t *in;
	size_t n_in;
};

struct load {
	const char *path;
	uint32_t depth, n_connections, count, first, warm, size;
	uint32_t base; /* of --at; 0: any address will do */
	double seconds;
	int cpu;
	uint32_t cycles, contexts; /* contexts 0: the only one */
	bool release, end, attend;

	struct connection *connections;
	uint32_t *addrs; /* by session: what it got */
	uint16_t *owner; /* ... and on which connection: it is that HA's */
	uint32_t which[DEPTH_MAX], unused[DEPTH_MAX], n_unused;
	uint64_t sent_at[DEPTH_MAX];
	struct latencies latencies;
	uint32_t sent, done;
	uint8_t *out;
};

/* ---------------------------------------------------------------- frames */

static const char digits[] = "0123456789abcdef";

static void put_name(uint8_t *to, char kind, uint32_t number)
{
	*to = (uint8_t)kind;
	for (int i = NAME; --i > 0; number >>= 4)
		to[i] = (uint8_t)digits[number & 15];
}

static void put_v4(uint8_t addr[16], uint32_t host)
{
	const uint32_t be = htonl(host);

	memset(addr, 0, 10);
	addr[10] = addr[11] = 0xff;
	memcpy(addr + AT_V4, &be, sizeof(be));
}

static void put_head(uint8_t head[AT_ID], size_t size, uint8_t type)
{
	const uint32_t be = htonl((uint32_t)size - IPSP_CTL_HEAD);

	memcpy(head, &be, sizeof(be));
	head[AT_TYPE] = type;
}

static size_t put_request(const struct load *l, uint8_t *to, uint64_t id, uint32_t session)
{
	static const uint8_t any[16];
	struct request_frame *f = (struct request_frame *)to;

	put_head(f->head, sizeof(*f), IPSP_CTL_REQUEST);
	id = htobe64(id);
	memcpy(f->id, &id, sizeof(f->id));
	if (l->base)
		put_v4(f->addr, l->base + scattered(l->first + session, l->size));
	else
		memcpy(f->addr, any, sizeof(any));
	f->n_subscriber = f->n_session = NAME;
	put_name(f->subscriber, 'u', l->first + session);
	put_name(f->session, 's', l->first + session);
	f->n_pool = f->n_group = 0;
	return sizeof(*f);
}

static size_t put_release(uint8_t *to, uint64_t id, uint32_t addr)
{
	struct release_frame *f = (struct release_frame *)to;

	put_head(f->head, sizeof(*f), IPSP_CTL_RELEASE);
	id = htobe64(id);
	memcpy(f->id, &id, sizeof(f->id));
	put_v4(f->addr, addr);
	return sizeof(*f);
}

static uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

/* ---------------------------------------------------------------- connections */

static void greet(struct connection *c, const char *path, uint32_t number, uint32_t contexts)
{
	struct ipsp_ctl_msg hello = {.type = IPSP_CTL_HELLO,
				     .magic = IPSP_CTL_MAGIC,
				     .min = IPSP_CTL_VERSION_MIN,
				     .max = IPSP_CTL_VERSION,
				     .program = ipsp_ctl_str("load")};
	char name[24], context[24] = "";
	struct ipsp_buf out = {0};

	snprintf(name, sizeof(name), "load-%u", number);
	if (contexts > 0)
		snprintf(context, sizeof(context), "isp%u", 1 + number % contexts);
	struct ipsp_ctl_msg attach = {.type = IPSP_CTL_ATTACH,
				      .id = 1,
				      .context = ipsp_ctl_str(context),
				      .name = ipsp_ctl_str(name)};
	c->fd = connect_unix(path);
	c->in = take_memory(IN_BYTES);
	if (ipsp_ctl_put(&out, &hello) != 0 || ipsp_ctl_put(&out, &attach) != 0)
		die("no memory");
	write_all(c->fd, out.data, out.len);
	ipsp_buf_fini(&out);
	for (;;) {
		struct ipsp_ctl_msg msg;
		size_t used;
		ssize_t got = recv(c->fd, c->in + c->n_in, IN_BYTES - c->n_in, 0);

		if (got <= 0)
			die("%s: attaching", path);
		c->n_in += (size_t)got;
		while (ipsp_ctl_next(c->in, c->n_in, &used, &msg) > 0) {
			bool attached = msg.type == IPSP_CTL_DONE;

			if ((attached || msg.type == IPSP_CTL_BYE) && msg.err)
				die("%s: attaching: %s", path, ipsp_err_word(msg.err));
			memmove(c->in, c->in + used, c->n_in - used);
			c->n_in -= used;
			if (attached)
				return;
		}
	}
}

/* ---------------------------------------------------------------- answers */

static void take_answer(struct load *l, const struct connection *c, const uint8_t *frame,
			uint64_t now)
{
	const uint64_t id = get_u64(frame + AT_ID);
	const int err = (int)get_u32(frame + AT_ERR);

	if (id >= DEPTH_MAX)
		die("an answer that nobody asked for");
	if (err)
		die("session %u: %s", l->first + l->which[id], ipsp_err_word(err));
	if (frame[AT_TYPE] == IPSP_CTL_ANSWER) {
		l->addrs[l->which[id]] = get_u32(frame + AT_ANSWERED + AT_V4);
		l->owner[l->which[id]] = (uint16_t)(c - l->connections);
	}
	latencies_add(&l->latencies, now - l->sent_at[id]);
	l->unused[l->n_unused++] = (uint32_t)id;
	l->done++;
}

/* One read, and every answer in it; how many there were. */
static uint32_t take_answers(struct load *l, struct connection *c)
{
	const uint32_t before = l->done;
	ssize_t got = recv(c->fd, c->in + c->n_in, IN_BYTES - c->n_in, 0);
	const uint64_t now = now_ns();
	size_t at = 0;

	if (got <= 0)
		die("%s: the daemon is gone", l->path);
	c->n_in += (size_t)got;
	while (c->n_in - at >= IPSP_CTL_HEAD) {
		const uint8_t *frame = c->in + at;
		const size_t n = IPSP_CTL_HEAD + get_u32(frame);

		if (n > c->n_in - at)
			break;
		if (frame[AT_TYPE] == IPSP_CTL_ANSWER || frame[AT_TYPE] == IPSP_CTL_DONE)
			take_answer(l, c, frame, now);
		else if (frame[AT_TYPE] == IPSP_CTL_BYE)
			die("%s: the daemon says bye", l->path);
		at += n;
	}
	c->n_in -= at;
	if (at > 0 && c->n_in > 0)
		memmove(c->in, c->in + at, c->n_in);
	return l->done - before;
}

/* ---------------------------------------------------------------- one run */

typedef size_t put_fn(const struct load *l, uint8_t *to, uint64_t id, uint32_t session);

static size_t put_end(const struct load *l, uint8_t *to, uint64_t id, uint32_t session)
{
	return put_release(to, id, l->addrs[session]);
}

/* As many as may be open and are left go out on @c, in one write. */
static void send_some(struct load *l, const struct connection *c, uint32_t most, uint32_t count,
		      put_fn *put)
{
	const uint64_t now = now_ns();
	size_t n = 0;

	for (; most > 0 && l->n_unused > 0 && l->sent < count; most--) {
		const uint32_t id = l->unused[--l->n_unused];

		l->which[id] = l->sent++;
		l->sent_at[id] = now;
		n += put(l, l->out + n, id, l->which[id]);
	}
	if (n > 0)
		write_all(c->fd, l->out, n);
}

static void run_one(struct load *l, struct connection *c, uint32_t count, uint64_t end, put_fn *put)
{
	while (l->done < count) {
		if (now_ns() > end)
			count = l->sent;
		send_some(l, c, DEPTH_MAX, count, put);
		if (l->done < l->sent)
			take_answers(l, c);
	}
}

/* --depth requests on each connection. */
static void run_many(struct load *l, uint32_t count, uint64_t end, put_fn *put)
{
	struct epoll_event events[256];
	int poll = epoll_create1(EPOLL_CLOEXEC);

	for (uint32_t i = 0; i < l->n_connections; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};

		if (epoll_ctl(poll, EPOLL_CTL_ADD, l->connections[i].fd, &ev) != 0)
			die("epoll");
		send_some(l, &l->connections[i], l->depth, count, put);
	}
	while (l->done < count) {
		int n = epoll_wait(poll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			struct connection *c = &l->connections[events[i].data.u32];
			uint32_t answered = take_answers(l, c);

			if (now_ns() > end)
				count = l->sent;
			send_some(l, c, answered, count, put);
		}
	}
	close(poll);
}

static void begin(struct load *l, uint32_t open)
{
	l->sent = l->done = l->n_unused = 0;
	for (uint32_t i = open; i-- > 0;)
		l->unused[l->n_unused++] = i;
}

static uint64_t take_all(struct load *l, uint32_t count, double seconds)
{
	const uint64_t start = now_ns();
	const uint64_t end = seconds > 0 ? start + (uint64_t)(seconds * 1e9) : UINT64_MAX;

	begin(l, l->depth * l->n_connections);
	if (l->n_connections == 1)
		run_one(l, &l->connections[0], count, end, put_request);
	else
		run_many(l, count, end, put_request);
	return now_ns() - start;
}

/* Those of one connection, scattered: the order in which they become free is no order. */
static void end_some(struct load *l, uint32_t connection, const uint32_t *addrs, uint32_t n)
{
	uint32_t size = 1;

	while (size < n)
		size *= 2;
	for (uint32_t i = 0, at = 0; i < size; i++) {
		if (scattered(i, size) < n)
			l->addrs[at++] = addrs[scattered(i, size)];
	}
	begin(l, END_DEPTH);
	run_one(l, &l->connections[connection], n, UINT64_MAX, put_end);
}

static uint64_t end_all(struct load *l)
{
	const uint32_t n = l->done;
	uint32_t *addrs = take_memory(((size_t)n + 1) * sizeof(*addrs));
	uint32_t *mine = take_memory(((size_t)n + 1) * sizeof(*mine));
	const size_t n_latencies = l->latencies.n; /* those of the takes are kept */
	const uint64_t start = now_ns();

	memcpy(addrs, l->addrs, (size_t)n * sizeof(*addrs));
	for (uint32_t c = 0; c < l->n_connections; c++) {
		uint32_t n_mine = 0;

		for (uint32_t i = 0; i < n; i++) {
			if (l->owner[i] == c)
				mine[n_mine++] = addrs[i];
		}
		if (n_mine > 0)
			end_some(l, c, mine, n_mine);
	}
	munmap(addrs, ((size_t)n + 1) * sizeof(*addrs));
	munmap(mine, ((size_t)n + 1) * sizeof(*mine));
	l->done = n;
	l->latencies.n = n_latencies;
	return now_ns() - start;
}

static void warm_up(struct load *l)
{
	const uint32_t first = l->first;

	if (l->warm == 0)
		return;
	l->first += l->count; /* numbers that the run itself doesn't use */
	take_all(l, l->warm, 0);
	end_all(l);
	l->latencies.n = 0;
	l->first = first;
}

static void take_in_cycles(struct load *l)
{
	uint64_t ns = 0, count = 0;

	for (uint32_t i = 0; i < l->cycles; i++) {
		if (i > 0)
			end_all(l);
		ns += take_all(l, l->count, l->seconds);
		count += l->done;
		l->first += l->count;
	}
	print_run(count, ns, &l->latencies);
}

/* Until it is killed, or the daemon is gone. */
static void attend(const struct connection *c)
{
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(c->fd, c->in + n, IN_BYTES - n, 0);
		struct ipsp_buf out = {0};
		struct ipsp_ctl_msg msg;
		size_t used, at = 0;

		if (got <= 0)
			return;
		n += (size_t)got;
		while (ipsp_ctl_next(c->in + at, n - at, &used, &msg) > 0) {
			at += used;
			if (msg.type == IPSP_CTL_EVENT)
				ipsp_ctl_put(&out, &(struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASED,
									  .addr = msg.addr});
		}
		memmove(c->in, c->in + at, n - at);
		n -= at;
		if (out.len > 0)
			write_all(c->fd, out.data, out.len);
		ipsp_buf_fini(&out);
	}
}

/* ---------------------------------------------------------------- the command line */

static uint32_t v4(const char *text)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		die("%s is no IPv4 address", text);
	return ntohl(addr.s_addr);
}

static void read_options(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{"depth", 1, NULL, 'd'},  {"connections", 1, NULL, 'c'}, {"count", 1, NULL, 'n'},
		{"first", 1, NULL, 'f'},  {"seconds", 1, NULL, 's'},	 {"cpu", 1, NULL, 'p'},
		{"at", 1, NULL, 'a'},	  {"size", 1, NULL, 'z'},	 {"release", 0, NULL, 'r'},
		{"end", 0, NULL, 'e'},	  {"warm", 1, NULL, 'w'},	 {"cycles", 1, NULL, 'y'},
		{"attend", 0, NULL, 't'}, {"contexts", 1, NULL, 'x'},	 {NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (o) {
		case 'd':
			l->depth = whole(optarg);
			break;
		case 'c':
			l->n_connections = whole(optarg);
			break;
		case 'n':
			l->count = whole(optarg);
			break;
		case 'f':
			l->first = whole(optarg);
			break;
		case 's':
			l->seconds = number(optarg);
			break;
		case 'p':
			l->cpu = (int)whole(optarg);
			break;
		case 'a':
			l->base = v4(optarg);
			break;
		case 'z':
			l->size = whole(optarg);
			break;
		case 'r':
			l->release = true;
			break;
		case 'e':
			l->end = true;
			break;
		case 'w':
			l->warm = whole(optarg);
			break;
		case 'y':
			l->cycles = whole(optarg);
			break;
		case 'x':
			l->contexts = whole(optarg);
			break;
		case 't':
			l->attend = true;
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1)
		die("say the socket, and nothing else");
	l->path = argv[optind];
	if (l->depth == 0 || l->n_connections == 0 || l->count == 0 ||
	    l->depth * l->n_connections > DEPTH_MAX)
		die("depth, connections and count are at least 1, at most %d are open", DEPTH_MAX);
	if (l->base && (l->size == 0 || (l->size & (l->size - 1)) != 0))
		die("--at needs a --size that is a power of two");
}

int main(int argc, char **argv)
{
	static struct load l = {.depth = 1, .n_connections = 1, .cycles = 1, .cpu = -1};

	errno = 0;
	read_options(&l, argc, argv);
	pin(l.cpu);
	l.connections = calloc(l.n_connections, sizeof(*l.connections));
	l.out = take_memory((size_t)DEPTH_MAX * sizeof(struct request_frame));
	l.addrs = take_memory((size_t)(l.count > l.warm ? l.count : l.warm) * sizeof(*l.addrs));
	l.owner = take_memory((size_t)(l.count > l.warm ? l.count : l.warm) * sizeof(*l.owner));
	latencies_init(&l.latencies, (size_t)l.count * l.cycles + l.warm);
	if (!l.connections)
		die("no memory");
	for (uint32_t i = 0; i < l.n_connections; i++)
		greet(&l.connections[i], l.path, i, l.contexts);
	errno = 0;
	if (l.end) {
		for (uint32_t i = 0; i < l.count; i++)
			l.addrs[i] = l.base + scattered(l.first + i, l.size);
		l.done = l.count;
	} else {
		warm_up(&l);
		take_in_cycles(&l);
	}
	if (l.release || l.end) {
		const uint64_t ns = end_all(&l);
		print_run(l.done, ns, NULL);
	}
	if (l.attend)
		attend(&l.connections[0]);
	return 0;
}
