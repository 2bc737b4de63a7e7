#include "monitor/source.h"
#include "monitor/say.h"
#include <errno.h>
#include <event2/event.h>
#include <ipsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES	(64u << 10)
#define ANSWER_MAX	(64u << 20) /* of one round; what is longer is no answer of ours */
#define RETRY_MIN_MS	500
#define RETRY_MAX_MS	10000
#define EVENTS_WANTED	40
#define DUPLICATES_SHOW 20
#define DUPLICATES_MAX	32 /* contexts that are asked for their duplicates */

/* The questions of a round. Those after the last are of duplicates, a context each. */
enum {
	ASK_IPSP,
	ASK_STOP,
	ASK_METRICS,
	ASK_LOG,
	ASK_DUPLICATES,
	ASKS = ASK_DUPLICATES + DUPLICATES_MAX
};
static const char *const names[] = {"ipsp", "ok-to-stop", "metrics", "log"};

struct text {
	char *bytes; /* NULL: nothing came */
	size_t n;
	char context[256]; /* of duplicates */
};

struct source {
	struct event_base *base;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	void (*changed)(void *arg);
	void *arg;
	struct ipsp_conn *conn; /* NULL: not connected */
	int fd;
	struct event *readable, *writable;
	struct event *timer; /* the next question, or the next try to connect */
	bool ready;	     /* the daemon has greeted */
	bool asking;
	int64_t asked_ms;
	uint64_t round; /* ids are round * ASKS + question */
	unsigned left;	/* questions that are not done */
	size_t bytes;	/* of the round */
	struct text texts[ASKS];
	size_t n_texts;
	int retry_ms;
	bool said; /* that it is not there */
	char why[300];
	struct source_answer latest;
};

static void arm(struct source *s, int64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(s->timer, &tv);
}

/* ---------------------------------------------------------------- the daemon is not there */

static void texts_free(struct source *s)
{
	for (size_t i = 0; i < ASKS; i++) {
		free(s->texts[i].bytes);
		s->texts[i] = (struct text){0};
	}
	s->n_texts = 0;
	s->bytes = 0;
}

static void disconnect(struct source *s)
{
	if (s->readable)
		event_free(s->readable);
	if (s->writable)
		event_free(s->writable);
	s->readable = s->writable = NULL;
	ipsp_conn_free(s->conn);
	s->conn = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->ready = s->asking = false;
	texts_free(s);
}

/* One line an outage; the next try comes later each time. */
static void lost(struct source *s, const char *why)
{
	disconnect(s);
	snprintf(s->why, sizeof(s->why), "%s", why);
	if (!s->said)
		monitor_say("%s: %s", s->path, why);
	s->said = true;
	arm(s, s->retry_ms);
	s->retry_ms = s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
	s->changed(s->arg);
}

static void lost_by_errno(struct source *s, int error)
{
	char why[300];

	if (error == ENOENT || error == ECONNREFUSED)
		lost(s, "ipspd does not run, or listens elsewhere: systemctl status ipspd");
	else if (error == EACCES || error == EPERM) {
		snprintf(why, sizeof(why),
			 "permission denied: set status-group in control of ipspd.conf to a group "
			 "of the user that ipsp-monitor runs as (uid %u)",
			 (unsigned)geteuid());
		lost(s, why);
	} else
		lost(s, error ? strerror(error) : "ipspd closed the connection");
}

/* ---------------------------------------------------------------- a round */

static void send_some(struct source *s)
{
	const void *bytes;
	size_t n = ipsp_conn_output(s->conn, &bytes);
	ssize_t sent = n > 0 ? send(s->fd, bytes, n, MSG_NOSIGNAL) : 0;

	if (sent > 0)
		ipsp_conn_wrote(s->conn, (size_t)sent);
	if (n > 0 && ipsp_conn_output(s->conn, &bytes) > 0)
		event_add(s->writable, NULL); /* an end of the connection is read, not written */
}

static void ask_one(struct source *s, unsigned question, const char *name, const char *context,
		    uint32_t n)
{
	const struct ipsp_conn_filter filter = {.n = n};

	if (ipsp_conn_show(s->conn, s->round * ASKS + question, context, name, &filter) == 0)
		s->left++;
}

static void ask(struct source *s)
{
	texts_free(s);
	s->asking = true;
	s->asked_ms = monitor_now();
	s->round++;
	s->left = 0;
	s->n_texts = ASK_DUPLICATES;
	for (unsigned i = 0; i < ASK_DUPLICATES; i++)
		ask_one(s, i, names[i], NULL, i == ASK_LOG ? EVENTS_WANTED : 0);
	send_some(s);
	arm(s, SOURCE_REST_MS);
}

/* Once it is known which contexts have open duplicates. */
static void ask_duplicates(struct source *s)
{
	json_t *root =
		json_loads(s->texts[ASK_IPSP].bytes ? s->texts[ASK_IPSP].bytes : "", 0, NULL);
	const json_t *context, *counters;
	size_t i;

	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		const char *name = json_string_value(json_object_get(context, "name"));

		counters = json_object_get(context, "counters");
		if (!name || s->n_texts == ASKS ||
		    json_integer_value(json_object_get(counters, "duplicates-open")) == 0)
			continue;
		snprintf(s->texts[s->n_texts].context, sizeof(s->texts[0].context), "%s", name);
		ask_one(s, (unsigned)s->n_texts, "duplicates", name, DUPLICATES_SHOW);
		s->n_texts++;
	}
	json_decref(root);
}

static void answer_fini(struct source_answer *answer)
{
	free(answer->ipsp_text);
	json_decref(answer->ipsp);
	json_decref(answer->ok_to_stop);
	json_decref(answer->metrics);
	json_decref(answer->log);
	json_decref(answer->duplicates);
}

static json_t *parsed(const struct text *text)
{
	return text->bytes ? json_loads(text->bytes, 0, NULL) : NULL;
}

static void round_done(struct source *s)
{
	struct source_answer answer = {.number = s->latest.number + 1,
				       .at_ms = monitor_now(),
				       .ipsp = parsed(&s->texts[ASK_IPSP]),
				       .ok_to_stop = parsed(&s->texts[ASK_STOP]),
				       .metrics = parsed(&s->texts[ASK_METRICS]),
				       .log = parsed(&s->texts[ASK_LOG]),
				       .duplicates = json_object()};

	if (!answer.ipsp) {
		answer_fini(&answer);
		lost(s, "its answer can't be understood");
		return;
	}
	answer.ipsp_text = s->texts[ASK_IPSP].bytes;
	s->texts[ASK_IPSP].bytes = NULL;
	for (size_t i = ASK_DUPLICATES; i < s->n_texts; i++) {
		json_t *one = parsed(&s->texts[i]);

		if (one)
			json_object_set_new(answer.duplicates, s->texts[i].context, one);
	}
	answer_fini(&s->latest);
	s->latest = answer;
	texts_free(s);
	s->asking = false;
	s->retry_ms = RETRY_MIN_MS;
	s->why[0] = '\0';
	if (s->said)
		monitor_say("%s: ipspd answers", s->path);
	s->said = false;
	s->changed(s->arg);
}

/* ---------------------------------------------------------------- what comes */

static bool add(struct source *s, struct text *text, const struct ipsp_conn_msg *msg)
{
	char *bytes = realloc(text->bytes, text->n + msg->n_text + 1);

	if (!bytes)
		return false;
	text->bytes = bytes;
	memcpy(bytes + text->n, msg->text, msg->n_text);
	text->n += msg->n_text;
	bytes[text->n] = '\0';
	s->bytes += msg->n_text;
	return s->bytes <= ANSWER_MAX;
}

/* False: the connection is gone. */
static bool question_done(struct source *s, size_t question, const struct ipsp_conn_msg *msg)
{
	char why[300];

	if (msg->err && question == ASK_IPSP) {
		snprintf(why, sizeof(why), "%s: %s", ipsp_err_word(msg->err),
			 *msg->text ? msg->text : ipsp_err_text(msg->err));
		lost(s, why);
		return false;
	}
	if (msg->err) { /* an older daemon has not all that is asked */
		free(s->texts[question].bytes);
		s->texts[question].bytes = NULL;
	}
	if (question == ASK_IPSP)
		ask_duplicates(s);
	if (--s->left == 0)
		round_done(s);
	return s->conn != NULL;
}

static bool take(struct source *s, const struct ipsp_conn_msg *msg)
{
	const size_t question = (size_t)(msg->id % ASKS);
	const bool ours = s->asking && msg->id / ASKS == s->round && question < s->n_texts;

	switch (msg->type) {
	case IPSP_CONN_READY:
		s->ready = true;
		ask(s);
		return true;
	case IPSP_CONN_JSON:
		if (!ours || add(s, &s->texts[question], msg))
			return true;
		lost(s, "its answer is too long");
		return false;
	case IPSP_CONN_DONE:
		return !ours || question_done(s, question, msg);
	case IPSP_CONN_BYE:
		lost(s, *msg->text ? msg->text : "ipspd closed the connection");
		return false;
	default:
		return true;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char bytes[READ_BYTES];
	struct ipsp_conn_msg msg;
	struct source *s = arg;
	const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
	int err;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lost_by_errno(s, n < 0 ? errno : 0);
		return;
	}
	err = ipsp_conn_feed(s->conn, bytes, (size_t)n);
	while (!err && (err = ipsp_conn_next(s->conn, &msg)) == 1) {
		if (!take(s, &msg))
			return;
		err = 0;
	}
	if (err < 0)
		lost(s, ipsp_err_text(err));
	else
		send_some(s);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	send_some(arg);
}

/* ---------------------------------------------------------------- connecting */

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void try_connect(struct source *s)
{
	s->fd = connect_to(s->path);
	if (s->fd < 0) {
		lost_by_errno(s, errno);
		return;
	}
	s->conn = ipsp_conn_new("ipsp-monitor " IPSPD_VERSION);
	s->readable = event_new(s->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(s->base, s->fd, EV_WRITE, on_writable, s);
	if (!s->conn || !s->readable || !s->writable || event_add(s->readable, NULL) != 0) {
		lost(s, "memory ran out");
		return;
	}
	s->asked_ms = monitor_now(); /* its greeting is awaited */
	send_some(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;

	(void)fd, (void)what;
	if (!s->conn)
		try_connect(s);
	else if (s->ready && !s->asking)
		ask(s);
	else
		arm(s, SOURCE_REST_MS);
}

/* ---------------------------------------------------------------- for others */

const struct source_answer *source_latest(const struct source *s)
{
	return &s->latest;
}

static bool is_late(const struct source *s)
{
	return (s->asking || !s->ready) && monitor_now() - s->asked_ms > SOURCE_LATE_MS;
}

bool source_up(const struct source *s)
{
	return s->conn && s->latest.number > 0 && *s->why == '\0' && !is_late(s);
}

const char *source_why(const struct source *s)
{
	if (*s->why)
		return s->why;
	return source_up(s) ? "" : "the connection stands, but no answer comes";
}

bool source_want(struct source *s)
{
	if (!s->conn)
		return false;
	if (s->ready && !s->asking) {
		if (monitor_now() - s->latest.at_ms < SOURCE_FRESH_MS)
			return false;
		ask(s);
	}
	return s->conn && monitor_now() - s->asked_ms < SOURCE_FRESH_MS;
}

struct source *source_new(struct event_base *base, const char *socket, void (*changed)(void *arg),
			  void *arg)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base = base;
	s->fd = -1;
	s->changed = changed;
	s->arg = arg;
	s->retry_ms = RETRY_MIN_MS;
	snprintf(s->path, sizeof(s->path), "%s", socket);
	s->timer = evtimer_new(base, on_timer, s);
	if (!s->timer) {
		free(s);
		return NULL;
	}
	arm(s, 0);
	return s;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	disconnect(s);
	event_free(s->timer);
	answer_fini(&s->latest);
	free(s);
}
