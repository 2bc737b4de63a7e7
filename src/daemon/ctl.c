#define _GNU_SOURCE /* struct ucred */
#include "daemon/ctl.h"
#include "daemon/access.h"
#include "daemon/config.h"
#include "daemon/ctl_int.h"
#include "daemon/lacks.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG	  1024	       /* a host full of gateways that come back at once */
#define SLICE	  (16u << 10)  /* of lists and shows that may wait for a client to read */
#define KEEP_ROOM (128u << 10) /* a buffer that has grown beyond is given back once it is empty */

/* ---------------------------------------------------------------- clients */

struct ipspd_client *ipspd_client_find(struct ipspd_ctl *ctl, uint64_t token)
{
	struct ipspd_client *client = ctl->clients[token % IPSPD_CTL_CLIENTS];

	return client && client->token == token && !client->closing ? client : NULL;
}

size_t ipspd_client_pending(const struct ipspd_client *client)
{
	return client->out.len - client->written;
}

const char *ipspd_client_words(struct ipspd_client *client)
{
	char *words = client->ctl->words;

	snprintf(words, sizeof(client->ctl->words), "%s%s%s%s (uid %u)",
		 client->ha[0] ? "HA " : "an operator", client->ha, client->program[0] ? ", " : "",
		 client->program, (unsigned)client->uid);
	return words;
}

/* At the end of @list. */
static void put_due(struct ipspd_client *client, struct ipspd_clients *list)
{
	if (client->due)
		return;
	TAILQ_INSERT_TAIL(list, client, due_link);
	client->due = list;
}

void ipspd_client_due(struct ipspd_client *client)
{
	put_due(client, &client->ctl->due);
}

static void not_due(struct ipspd_client *client)
{
	if (client->due)
		TAILQ_REMOVE(client->due, client, due_link);
	client->due = NULL;
}

/* Connections are accepted while there are places, and only so many in a turn: whoever connects
 * again and again would be all that is ever served. */
static void listen_again(struct ipspd_ctl *ctl)
{
	if (ctl->n_clients < IPSPD_CTL_CLIENTS && ctl->n_accepted < IPSPD_CTL_ACCEPTS &&
	    !ctl->resting)
		evconnlistener_enable(ctl->listener);
}

static void client_free(struct ipspd_client *client)
{
	if (client->readable)
		event_free(client->readable);
	if (client->writable)
		event_free(client->writable);
	close(client->fd);
	ipsp_buf_fini(&client->in);
	ipsp_buf_fini(&client->out);
	free(client);
}

void ipspd_client_close(struct ipspd_client *client)
{
	struct ipspd_ctl *ctl = client->ctl;

	not_due(client);
	ipspd_client_unread(client);
	ipspd_client_detach(client);
	ctl->clients[client->token % IPSPD_CTL_CLIENTS] = NULL;
	ipspd_user_greeted(client);
	ipspd_user_count(client, 0);
	client->user->n_clients--;
	ipspd_user_unused(ctl, client->user);
	ctl->n_clients--;
	listen_again(ctl);
	client_free(client);
}

/* Memory that ran out leaves a hole in the stream, of which no client could make sense. */
void ipspd_client_broken(struct ipspd_client *client)
{
	ipspd_log(IPSP_LOG_ERROR, "control: no memory for a client; closing it");
	client->closing = true;
	ipspd_wake(client->ctl->daemon);
}

void ipspd_client_put(struct ipspd_client *client, const struct ipsp_ctl_msg *msg)
{
	ipspd_client_due(client);
	if (!client->closing && ipsp_ctl_put(&client->out, msg) != 0)
		ipspd_client_broken(client);
}

void ipspd_client_done(struct ipspd_client *client, uint64_t id, int err, const char *text)
{
	struct ipsp_ctl_msg *msg = &client->ctl->reply;

	msg->type = IPSP_CTL_DONE;
	msg->id = id;
	msg->err = err;
	msg->text = ipsp_ctl_str(text);
	ipspd_client_put(client, msg);
}

void ipspd_client_text(struct ipspd_client *client, uint64_t id, const char *text, size_t n)
{
	while (n > 0) {
		size_t slice = n < IPSP_CTL_TEXT_MAX ? n : IPSP_CTL_TEXT_MAX;

		ipspd_client_put(client, &(struct ipsp_ctl_msg){.type = IPSP_CTL_TEXT,
								.id = id,
								.text = {text, slice}});
		text += slice;
		n -= slice;
	}
}

void ipspd_client_dismiss(struct ipspd_client *client, int err, const char *text)
{
	if (client->closing)
		return;
	ipspd_often_say(client->ctl, IPSPD_OFTEN_CLOSED, IPSP_LOG_NOTICE, "control: closing %s: %s",
			ipspd_client_words(client), text);
	ipspd_client_put(client, &(struct ipsp_ctl_msg){.type = IPSP_CTL_BYE,
							.err = err,
							.text = ipsp_ctl_str(text)});
	client->closing = true;
	event_del(client->readable);
	ipspd_wake(client->ctl->daemon);
}

/* Writes what there is, once. False when the other end is gone. */
static bool client_write(struct ipspd_client *client)
{
	size_t n = ipspd_client_pending(client);
	ssize_t sent;

	if (n == 0)
		return true;
	sent = send(client->fd, client->out.data + client->written, n, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	client->written += (size_t)sent;
	if ((size_t)sent < n) {
		if (client->written > n / 2) { /* so each byte is moved once, on the average */
			ipsp_buf_drop(&client->out, client->written);
			client->written = 0;
		}
		return true;
	}
	client->written = 0;
	if (client->out.cap > KEEP_ROOM)
		ipsp_buf_fini(&client->out);
	else
		ipsp_buf_clear(&client->out);
	return true;
}

static void close_deaf(struct ipspd_client *client)
{
	ipspd_often_say(client->ctl, IPSPD_OFTEN_CLOSED, IPSP_LOG_WARNING,
			"control: closing %s: it does not read", ipspd_client_words(client));
	ipspd_client_close(client);
}

/* @works: it has its turn to go on with its jobs. One that has not comes first in the next turn. */
static void client_flush(struct ipspd_client *client, bool works)
{
	struct ipspd_ctl *ctl = client->ctl;
	struct ipspd_client *deaf;

	if (works && client->jobs && !client->closing)
		ipspd_jobs_work(client, SLICE);
	not_due(client);
	if (!client_write(client) || client->closing) {
		ipspd_client_close(client);
		return;
	}
	deaf = ipspd_user_must_go(client);
	if (deaf)
		close_deaf(deaf);
	if (deaf == client)
		return;
	if (ipspd_client_pending(client) > 0)
		event_add(client->writable, NULL);
	else if (client->jobs)
		put_due(client, works ? &ctl->due : &ctl->waiting);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ipspd_client_due(arg); /* a turn follows */
}

/* ---------------------------------------------------------------- accepting */

/* A place for nothing. Whoever has begun slowly, by single bytes, is no better. */
static void on_no_greeting(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ipspd_client_dismiss(arg, IPSP_ERR_TIMEOUT, "its HELLO has not come");
}

static uint64_t free_token(struct ipspd_ctl *ctl)
{
	uint64_t token;

	do
		token = ++ctl->n_tokens;
	while (ctl->clients[token % IPSPD_CTL_CLIENTS]);
	return token;
}

static uid_t uid_of(int fd)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 ? who.uid : (uid_t)-1;
}

static struct ipspd_client *client_new(struct ipspd_ctl *ctl, int fd, struct ipspd_user *user)
{
	struct ipspd_client *client = calloc(1, sizeof(*client));
	const struct timeval limit = {.tv_sec = IPSPD_CTL_HELLO_S};

	if (!client)
		return NULL;
	client->ctl = ctl;
	client->fd = fd;
	client->uid = user->uid;
	client->user = user;
	client->may = ipspd_access_may(fd, &ctl->access);
	client->jobs_end = &client->jobs;
	client->readable = event_new(ctl->daemon->base, fd, EV_READ | EV_PERSIST,
				     ipspd_client_readable, client);
	client->writable = event_new(ctl->daemon->base, fd, EV_WRITE, on_writable, client);
	client->greeting = evtimer_new(ctl->daemon->base, on_no_greeting, client);
	if (!client->readable || !client->writable || !client->greeting ||
	    event_add(client->readable, NULL) != 0 || event_add(client->greeting, &limit) != 0) {
		if (client->greeting)
			event_free(client->greeting);
		client->fd = -1; /* who called closes it */
		client_free(client);
		return NULL;
	}
	client->token = free_token(ctl);
	return client;
}

/* Without a place of its own: it is told, if it listens. */
static void refuse(struct ipspd_ctl *ctl, int fd, uid_t uid, const char *text)
{
	struct ipsp_buf out = {0};

	ipspd_often_say(ctl, IPSPD_OFTEN_REFUSED, IPSP_LOG_NOTICE,
			"control: refused a connection (uid %u): %s", (unsigned)uid, text);
	if (ipsp_ctl_put(&out, &(struct ipsp_ctl_msg){.type = IPSP_CTL_BYE,
						      .err = IPSP_ERR_OVERLOADED,
						      .text = ipsp_ctl_str(text)}) == 0)
		send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	ipsp_buf_fini(&out);
	close(fd);
}

static void let_in_client(struct ipspd_ctl *ctl, int fd)
{
	const uid_t uid = uid_of(fd);
	struct ipspd_user *user = ipspd_user_of(ctl, uid);
	const char *why = user ? ipspd_user_refused(ctl, user) : "memory ran out";
	struct ipspd_client *client = why ? NULL : client_new(ctl, fd, user);

	if (!client) {
		refuse(ctl, fd, uid, why ? why : "memory ran out");
		if (user)
			ipspd_user_unused(ctl, user);
		return;
	}
	ctl->clients[client->token % IPSPD_CTL_CLIENTS] = client;
	user->n_clients++;
	ipspd_user_greets(client);
	if (++ctl->n_clients == IPSPD_CTL_CLIENTS)
		ipspd_often_say(ctl, IPSPD_OFTEN_REFUSED, IPSP_LOG_WARNING,
				"control: %d clients, others have to wait", IPSPD_CTL_CLIENTS);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		      int n_from, void *arg)
{
	struct ipspd_ctl *ctl = arg;

	(void)from, (void)n_from;
	let_in_client(ctl, fd);
	if (++ctl->n_accepted == IPSPD_CTL_ACCEPTS)
		ipspd_wake(ctl->daemon); /* the others at the end of the turn */
	if (ctl->n_accepted >= IPSPD_CTL_ACCEPTS || ctl->n_clients == IPSPD_CTL_CLIENTS)
		evconnlistener_disable(listener);
}

/* Out of descriptors: the connection stays in the backlog, and its event would come at once, again
 * and again. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval one_second = {1, 0};
	struct ipspd_ctl *ctl = arg;

	ipspd_often_say(ctl, IPSPD_OFTEN_REFUSED, IPSP_LOG_ERROR, "control: accept: %s",
			strerror(errno));
	ctl->resting = true;
	evconnlistener_disable(listener);
	event_add(ctl->retry, &one_second);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_ctl *ctl = arg;

	(void)fd, (void)what;
	ctl->resting = false;
	listen_again(ctl);
}

/* ---------------------------------------------------------------- the socket */

/* Removes a socket that nobody listens on any more; false: something else is there. */
static bool clear_path(const struct sockaddr_un *addr, char *why, size_t n_why)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st) != 0)
		return true; /* bind() finds the words for everything but "nothing there" */
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, n_why, "%s: exists and is not a socket", addr->sun_path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err == 0 || err == EAGAIN) { /* its backlog is full */
		snprintf(why, n_why, "%s: another process listens on it", addr->sun_path);
		return false;
	}
	if (err != ECONNREFUSED) {
		snprintf(why, n_why, "%s: is there, and can't be looked at: %s", addr->sun_path,
			 strerror(err));
		return false;
	}
	unlink(addr->sun_path);
	return true;
}

/* Returns what it is that keeps the members out. */
static const char *let_in(struct ipspd_ctl *ctl, enum ipspd_level level, gid_t gid)
{
	static const unsigned may[IPSPD_LEVELS] = {IPSPD_MAY_ALL, IPSPD_MAY_SERVE, IPSPD_MAY_LOOK};
	struct ipspd_access *access = &ctl->access;
	gid_t gids[IPSPD_LEVELS];
	size_t n = 0;

	for (; n < access->n && n + 1 < IPSPD_LEVELS; n++)
		gids[n] = access->groups[n].gid;
	gids[n++] = gid;
	const int error = ipspd_access_groups(ctl->path, gids, n);
	if (error)
		return strerror(error);
	access->groups[n - 1].gid = gid;
	access->groups[n - 1].may = may[level];
	access->n = n;
	return NULL;
}

/* Bound, with its permissions, before anybody can connect: listen() comes later. */
static int bind_socket(const char *path, char *why, size_t n_why)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(why, n_why, "%s: a socket's path has at most %zu bytes", path,
			 sizeof(addr.sun_path) - 1);
		return -1;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (!clear_path(&addr, why, n_why))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	err = fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ? errno : 0;
	umask(mask);
	if (err) {
		snprintf(why, n_why, "control socket %s: %s%s", path, strerror(err),
			 err == ENOENT ? ": its folder is missing" : "");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Without its groups the socket is of use to root and to the daemon's user all the same. */
static void give_to_group(struct ipspd_ctl *ctl, enum ipspd_level level, const char *group)
{
	const struct group *entry = group && *group ? getgrnam(group) : NULL;
	const char *why = entry ? let_in(ctl, level, entry->gr_gid) : "there is no such group";

	if (!group || !*group || !why)
		return;
	ipspd_log(IPSP_LOG_WARNING,
		  "%s: the group \"%s\" can't be let in: %s; looking again every %d s", ctl->path,
		  group, why, IPSPD_LACKS_MS / 1000);
	ipspd_lacks_group(ctl->daemon->lacks, level);
}

bool ipspd_ctl_let_in(struct ipspd_ctl *ctl, enum ipspd_level level, gid_t gid)
{
	return !let_in(ctl, level, gid);
}

struct ipspd_ctl *ipspd_ctl_new(struct ipspd *daemon, const char *path, const char *group,
				char *why, size_t n_why)
{
	int fd = bind_socket(path, why, n_why);
	struct ipspd_ctl *ctl;
	struct stat st = {0};

	if (fd < 0)
		return NULL;
	ctl = calloc(1, sizeof(*ctl));
	if (!ctl)
		goto no_memory;
	ctl->daemon = daemon;
	TAILQ_INIT(&ctl->due);
	TAILQ_INIT(&ctl->waiting);
	ctl->path = strdup(path);
	ctl->retry = evtimer_new(daemon->base, on_retry, ctl);
	ctl->listener =
		evconnlistener_new(daemon->base, on_accept, ctl,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
	if (!ctl->path || !ctl->retry || !ctl->listener)
		goto no_memory;
	evconnlistener_set_error_cb(ctl->listener, on_accept_error);
	give_to_group(ctl, IPSPD_LEVEL_ALL, group);
	give_to_group(ctl, IPSPD_LEVEL_GATEWAY, daemon->config->gateway_group);
	give_to_group(ctl, IPSPD_LEVEL_STATUS, daemon->config->status_group);
	ctl->access.by_group = daemon->config->gateway_group[0] || daemon->config->status_group[0];
	if (lstat(path, &st) == 0) {
		ctl->dev = st.st_dev;
		ctl->ino = st.st_ino;
	}
	return ctl;
no_memory:
	snprintf(why, n_why, "%s: memory ran out", path);
	if (!ctl || !ctl->listener)
		close(fd);
	unlink(path);
	ipspd_ctl_free(ctl);
	return NULL;
}

void ipspd_ctl_free(struct ipspd_ctl *ctl)
{
	struct stat st;

	if (!ctl)
		return;
	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		if (!ctl->clients[i])
			continue;
		client_write(ctl->clients[i]); /* last words, if there are any */
		ctl->clients[i]->ctx =
			NULL; /* the contexts end with the daemon: nobody to be told */
		ipspd_client_close(ctl->clients[i]);
	}
	ipspd_users_free(ctl);
	if (ctl->path && lstat(ctl->path, &st) == 0 && st.st_dev == ctl->dev &&
	    st.st_ino == ctl->ino)
		unlink(ctl->path);
	if (ctl->listener)
		evconnlistener_free(ctl->listener);
	if (ctl->retry)
		event_free(ctl->retry);
	free(ctl->path);
	free(ctl);
}

/* One client with jobs of each user has its turn, whatever the others' cost: the rest only while
 * there is time. */
static bool has_turn(struct ipspd_client *client)
{
	if (!client->jobs || client->user->flush == client->ctl->n_flushes)
		return false;
	client->user->flush = client->ctl->n_flushes;
	return true;
}

/* Several, or one with jobs. */
static void flush_all(struct ipspd_ctl *ctl)
{
	struct ipspd_clients now = TAILQ_HEAD_INITIALIZER(now); /* later ones have the next turn */
	struct ipspd_clients later = TAILQ_HEAD_INITIALIZER(later);
	struct ipspd_client *client;

	ctl->n_flushes++;
	ctl->jobs_until = ipspd_now() + IPSPD_CTL_JOBS_MS;
	while ((client = TAILQ_FIRST(&ctl->due))) {
		not_due(client);
		put_due(client, &now);
	}
	while ((client = TAILQ_FIRST(&now))) {
		if (!client->jobs || has_turn(client)) {
			client_flush(client, true); /* takes it off */
		} else {
			not_due(client);
			put_due(client, &later);
		}
	}
	while ((client = TAILQ_FIRST(&later)))
		client_flush(client, ipspd_now() < ctl->jobs_until);
	while ((client = TAILQ_LAST(&ctl->waiting, ipspd_clients))) {
		not_due(client);
		TAILQ_INSERT_HEAD(&ctl->due, client, due_link);
		client->due = &ctl->due;
	}
}

void ipspd_ctl_flush(struct ipspd_ctl *ctl)
{
	struct ipspd_client *client = TAILQ_FIRST(&ctl->due);

	if (ctl->n_accepted > 0) {
		ctl->n_accepted = 0;
		listen_again(ctl);
	}
	if (client && !client->jobs && !TAILQ_NEXT(client, due_link))
		client_flush(client, false);
	else if (client)
		flush_all(ctl);
	if (!TAILQ_EMPTY(&ctl->due))
		ipspd_wake(ctl->daemon);
}
