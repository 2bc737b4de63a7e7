#include "ipsp.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)

struct ipsp_call {
	struct ipsp_conn *conn;
	int fd;
	uint64_t last_id;
	ipsp_call_fn *fn; /* may be NULL */
	void *arg;
	uint8_t bytes[READ_BYTES];
};

/* ---------------------------------------------------------------- time */

struct deadline {
	bool none;
	int64_t at_ms;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct deadline deadline_in(int timeout_ms)
{
	return (struct deadline){timeout_ms < 0, timeout_ms < 0 ? 0 : now_ms() + timeout_ms};
}

static int
left_ms(const struct deadline *deadline) /* as poll() wants it; never more than was given */
{
	int64_t left;

	if (deadline->none)
		return -1;
	left = deadline->at_ms - now_ms();
	return left > 0 ? (int)left : 0;
}

/* ---------------------------------------------------------------- the socket */

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd;

	if (n >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* A full backlog (EAGAIN: a Unix socket does not wait for it) is worth some patience. */
static int connect_until(const char *path, const struct deadline *deadline)
{
	static const struct timespec pause = {0, 20 * 1000 * 1000};
	int fd;

	while ((fd = connect_to(path)) < 0 && errno == EAGAIN && left_ms(deadline) != 0)
		nanosleep(&pause, NULL);
	return fd;
}

/* 0, or IPSP_ERR_IO with errno; what the socket doesn't take stays queued. */
static int write_some(struct ipsp_call *call)
{
	const void *bytes;
	size_t n = ipsp_conn_output(call->conn, &bytes);
	ssize_t sent;

	if (n == 0)
		return 0;
	sent = send(call->fd, bytes, n, MSG_NOSIGNAL);
	if (sent >= 0)
		ipsp_conn_wrote(call->conn, (size_t)sent);
	/* EPIPE: what the daemon said before it closed is still to be read, and the end of it said
	 * there */
	return sent >= 0 || errno == EAGAIN || errno == EINTR || errno == EPIPE ? 0 : IPSP_ERR_IO;
}

static int read_some(struct ipsp_call *call)
{
	ssize_t got = recv(call->fd, call->bytes, sizeof(call->bytes), 0);

	if (got > 0)
		return ipsp_conn_feed(call->conn, call->bytes, (size_t)got);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got == 0)
		errno = 0;
	return IPSP_ERR_IO;
}

static int wait_some(struct ipsp_call *call, const struct deadline *deadline)
{
	const void *bytes;
	struct pollfd p = {.fd = call->fd, .events = POLLIN};
	int n;

	if (ipsp_conn_output(call->conn, &bytes) > 0)
		p.events |= POLLOUT;
	n = poll(&p, 1, left_ms(deadline));
	if (n < 0)
		return errno == EINTR ? 0 : IPSP_ERR_IO;
	if (n == 0)
		return left_ms(deadline) == 0 ? IPSP_ERR_TIMEOUT : 0;
	return p.revents & (POLLIN | POLLHUP | POLLERR) ? read_some(call) : 0;
}

/*
 * 1, or an error; IPSP_ERR_TIMEOUT when the time ran out. What is queued is written only when there
 * is nothing left to pull: so all that a caller asks in return for one read goes out in one write.
 */
static int next_until(struct ipsp_call *call, struct ipsp_conn_msg *msg,
		      const struct deadline *deadline)
{
	for (;;) {
		int err = ipsp_conn_next(call->conn, msg);

		if (err != 0)
			return err;
		err = write_some(call);
		if (err)
			return err;
		err = wait_some(call, deadline);
		if (err)
			return err;
	}
}

/* ---------------------------------------------------------------- life */

static int greet(struct ipsp_call *call, const struct deadline *deadline)
{
	struct ipsp_conn_msg msg;
	int got = next_until(call, &msg, deadline);

	if (got < 0)
		return got;
	if (msg.type == IPSP_CONN_BYE)
		return msg.err < 0 ? msg.err : IPSP_ERR_DENIED;
	return 0;
}

int ipsp_call_open(struct ipsp_call **call, const char *path, const char *program, int timeout_ms)
{
	struct deadline deadline = deadline_in(timeout_ms);
	struct ipsp_call *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return IPSP_ERR_NOMEM;
	made->fd = -1;
	made->conn = ipsp_conn_new(program);
	if (!made->conn) {
		ipsp_call_close(made);
		return IPSP_ERR_NOMEM;
	}
	made->fd = connect_until(path ? path : IPSP_SOCKET, &deadline);
	if (made->fd < 0)
		err = errno == EAGAIN ? IPSP_ERR_TIMEOUT : IPSP_ERR_IO;
	else
		err = greet(made, &deadline);
	if (err) {
		int saved = errno;

		ipsp_call_close(made);
		errno = saved;
		return err;
	}
	*call = made;
	return 0;
}

void ipsp_call_close(struct ipsp_call *call)
{
	if (!call)
		return;
	if (call->fd >= 0)
		close(call->fd);
	ipsp_conn_free(call->conn);
	free(call);
}

struct ipsp_conn *ipsp_call_conn(struct ipsp_call *call)
{
	return call->conn;
}

int ipsp_call_fd(const struct ipsp_call *call)
{
	return call->fd;
}

int ipsp_call_next(struct ipsp_call *call, struct ipsp_conn_msg *msg, int timeout_ms)
{
	struct deadline deadline = deadline_in(timeout_ms);
	int got = next_until(call, msg, &deadline);

	return got == IPSP_ERR_TIMEOUT ? 0 : got;
}

void ipsp_call_on_message(struct ipsp_call *call, ipsp_call_fn *fn, void *arg)
{
	call->fn = fn;
	call->arg = arg;
}

/* ---------------------------------------------------------------- calls */

/* Waits for the end of @id; what else has that id goes to @fn, everything of nobody's to call->fn.
 */
static int finish(struct ipsp_call *call, uint64_t id, ipsp_call_fn *fn, void *arg,
		  struct ipsp_conn_msg *msg, int timeout_ms)
{
	struct deadline deadline = deadline_in(timeout_ms);
	struct ipsp_conn_msg own;

	if (!msg)
		msg = &own;
	for (;;) {
		int got = next_until(call, msg, &deadline);
		bool ends = msg->type == IPSP_CONN_ANSWER || msg->type == IPSP_CONN_DONE;
		bool part = msg->type == IPSP_CONN_SESSION || msg->type == IPSP_CONN_JSON;

		if (got < 0)
			return got;
		if (ends && msg->id == id)
			return msg->err;
		if (part && msg->id == id && fn)
			fn(arg, msg);
		else if (!ends && !part && call->fn)
			call->fn(call->arg, msg);
		if (msg->type == IPSP_CONN_BYE)
			return msg->err < 0 ? msg->err : IPSP_ERR_DENIED;
	}
}

/* Ids of the calls count from the top, those that a caller gives to ipsp_call_conn are its own. */
static uint64_t new_id(struct ipsp_call *call)
{
	return UINT64_MAX - call->last_id++;
}

int ipsp_call_attach(struct ipsp_call *call, const char *context, const char *name,
		     struct ipsp_conn_msg *msg, int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_attach(call->conn, id, context, name);

	return err ? err : finish(call, id, NULL, NULL, msg, timeout_ms);
}

int ipsp_call_request(struct ipsp_call *call, const struct ipsp_conn_request *request,
		      struct ipsp_conn_msg *msg, int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_request(call->conn, id, request);

	return err ? err : finish(call, id, NULL, NULL, msg, timeout_ms);
}

int ipsp_call_release(struct ipsp_call *call, const struct ipsp_address *address,
		      struct ipsp_conn_msg *msg, int timeout_ms)
{
	return ipsp_call_release_session(call, address, NULL, NULL, msg, timeout_ms);
}

int ipsp_call_release_session(struct ipsp_call *call, const struct ipsp_address *address,
			      const char *subscriber, const char *session,
			      struct ipsp_conn_msg *msg, int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_release_session(call->conn, id, address, subscriber, session);

	return err ? err : finish(call, id, NULL, NULL, msg, timeout_ms);
}

int ipsp_call_list(struct ipsp_call *call, ipsp_call_fn *fn, void *arg, int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_list(call->conn, id);

	return err ? err : finish(call, id, fn, arg, NULL, timeout_ms);
}

struct slices {
	char *text;
	size_t len, cap;
	bool failed;
};

static void add_slice(void *arg, const struct ipsp_conn_msg *msg)
{
	struct slices *slices = arg;

	if (slices->failed)
		return;
	if (msg->n_text >= slices->cap - slices->len) {
		size_t cap = (slices->len + msg->n_text + 1) * 2;
		char *text = realloc(slices->text, cap);

		if (!text) {
			slices->failed = true;
			return;
		}
		slices->text = text;
		slices->cap = cap;
	}
	memcpy(slices->text + slices->len, msg->text, msg->n_text + 1);
	slices->len += msg->n_text;
}

/* @err: of the queueing; the text is there in any case, as the header says */
static int finish_text(struct ipsp_call *call, int err, uint64_t id, char **json,
		       struct ipsp_conn_msg *msg, int timeout_ms)
{
	struct slices slices = {0};

	add_slice(&slices, &(struct ipsp_conn_msg){.text = "", .n_text = 0});
	if (!err)
		err = finish(call, id, add_slice, &slices, msg, timeout_ms);
	if (slices.failed) {
		free(slices.text);
		slices.text = NULL;
		err = IPSP_ERR_NOMEM;
	}
	*json = slices.text;
	return err;
}

int ipsp_call_command(struct ipsp_call *call, const char *context, const char *name,
		      const char *argument, unsigned flags, char **json, struct ipsp_conn_msg *msg,
		      int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_command(call->conn, id, context, name, argument, flags);

	return finish_text(call, err, id, json, msg, timeout_ms);
}

int ipsp_call_show(struct ipsp_call *call, const char *context, const char *name,
		   const struct ipsp_conn_filter *filter, char **json, struct ipsp_conn_msg *msg,
		   int timeout_ms)
{
	uint64_t id = new_id(call);
	int err = ipsp_conn_show(call->conn, id, context, name, filter);

	return finish_text(call, err, id, json, msg, timeout_ms);
}
