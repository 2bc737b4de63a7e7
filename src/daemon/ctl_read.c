/*
 * Who is read, and how much of it, in a turn. A client that is alone is read by large pieces: that
 * is where the speed is. Where there are others a turn is short, so that whoever has little to say
 * waits for little: its bytes are divided among the users that have something to say, and a user's
 * among its clients. Who had nothing of it is the first of its user in the next turn.
 */
#include "daemon/ctl_int.h"
#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>

#define IN_COUNTS 4096	     /* bytes of a frame whose end has not come */
#define SHARED_MS 1000	     /* so long after two clients were read */
#define LEAST	  (2u << 10) /* bytes of one client: fewer are not worth a turn */

/* ---------------------------------------------------------------- one client */

/* Most of what an HA sends are requests and releases: the length of those at the beginning. */
static size_t serve_row(struct ipspd_client *client, const uint8_t *bytes, size_t n)
{
	const uint8_t type = n > IPSP_CTL_HEAD ? bytes[IPSP_CTL_HEAD] : 0;
	size_t used;

	if ((type != IPSP_CTL_REQUEST && type != IPSP_CTL_RELEASE) || !client->ctx ||
	    !client->ha[0])
		return 0;
	used = ipspd_inbox_read(&client->ctx->inbox, client->token, bytes, n);
	if (used > 0)
		ipspd_queue(client->ctx);
	return used;
}

/* Serves every whole frame and keeps the beginning of the next. */
static int serve_all(struct ipspd_client *client, const uint8_t *bytes, size_t n, const char **why)
{
	struct ipsp_ctl_msg msg;
	size_t used;
	int got;

	for (;;) {
		used = serve_row(client, bytes, n);
		bytes += used;
		n -= used;
		got = ipsp_ctl_next(bytes, n, &used, &msg);
		bytes += used;
		n -= used;
		if (got <= 0)
			break;
		got = ipspd_client_serve(client, &msg, why);
		if (got < 0)
			return got;
	}
	if (got < 0) {
		*why = "what it sent is no frame";
		return got;
	}
	ipsp_buf_clear(&client->in);
	ipsp_buf_put(&client->in, bytes, n);
	*why = "no memory for its bytes";
	return client->in.failed ? IPSP_ERR_NOMEM : 0;
}

/* At most @max bytes of it, which is how many came; it may be closed. */
static size_t read_some(struct ipspd_client *client, size_t max)
{
	uint8_t *bytes = client->ctl->bytes;
	size_t before = client->in.len;
	const char *why = "";
	ssize_t got;
	int err;

	if (before > 0)
		memcpy(bytes, client->in.data, before);
	got = recv(client->fd, bytes + before, max, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0) {
		ipspd_client_close(client);
		return 0;
	}
	err = serve_all(client, bytes, before + (size_t)got, &why);
	if (client->in.len > IN_COUNTS)
		ipspd_client_due(client); /* what it sent, and did not end, is counted */
	if (err)
		ipspd_client_dismiss(client, err, why);
	ipspd_wake(client->ctl->daemon);
	return (size_t)got;
}

/* ---------------------------------------------------------------- all of them */

void ipspd_client_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_client *client = arg;
	struct ipspd_user *user = client->user;

	(void)fd, (void)what;
	if (client->ready)
		return;
	client->ready = true;
	TAILQ_INSERT_TAIL(&user->ready, client, ready_link);
	user->n_ready++;
	client->ctl->n_ready++;
}

void ipspd_client_unread(struct ipspd_client *client)
{
	if (!client->ready)
		return;
	client->ready = false;
	TAILQ_REMOVE(&client->user->ready, client, ready_link);
	client->user->n_ready--;
	client->ctl->n_ready--;
}

static void read_user(struct ipspd_ctl *ctl, struct ipspd_user *user, size_t share)
{
	size_t left = share, each = share / user->n_ready;
	struct ipspd_client *client;

	if (each < LEAST)
		each = LEAST;
	user->n_clients++; /* so that it stays where its last client goes */
	for (unsigned n = user->n_ready; n > 0 && left > 0; n--) {
		client = TAILQ_FIRST(&user->ready);
		ipspd_client_unread(client);
		if (client->closing)
			continue;
		ctl->last_read = client->token;
		const size_t got = read_some(client, each < left ? each : left);
		left -= got;
	}
	user->n_clients--;
	ipspd_user_unused(ctl, user);
}

static void read_users(struct ipspd_ctl *ctl)
{
	struct ipspd_user *user, *next;
	size_t users = 0;

	for (user = ctl->users; user; user = user->next)
		users += user->n_ready > 0;
	const ipsp_ms now = ipspd_now();
	const uint64_t before = ctl->last_read;
	const bool many = ctl->n_ready > 1;
	const size_t all = many || now < ctl->shared_until ? IPSPD_CTL_READ_ALL : IPSPD_CTL_READ;

	for (user = ctl->users; user; user = next) {
		next = user->next;
		if (user->n_ready > 0)
			read_user(ctl, user, all / users);
	}
	if (many || ctl->last_read != before)
		ctl->shared_until = now + SHARED_MS;
	else if (now >= ctl->shared_until)
		ctl->shared_until = 0;
}

void ipspd_ctl_read(struct ipspd_ctl *ctl)
{
	struct ipspd_client *client = ctl->clients[ctl->last_read % IPSPD_CTL_CLIENTS];

	if (ctl->n_ready == 1 && ctl->shared_until == 0 && client && client->ready &&
	    client->token == ctl->last_read) {
		ipspd_client_unread(client); /* as it was in the turn before, and is alone */
		if (!client->closing)
			read_some(client, IPSPD_CTL_READ);
	} else if (ctl->n_ready > 0) {
		read_users(ctl);
	}
}
