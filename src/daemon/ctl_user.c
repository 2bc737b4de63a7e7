/*
 * The users of the control socket: what those of one uid have together, so that nobody takes what
 * the others need. Root and the daemon's own user are bound by no limit of a uid.
 */
#include "daemon/ctl_int.h"
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SILENT_MS 1000 /* a HELLO that comes later than that is late where many are awaited */

struct ipspd_user *ipspd_user_of(struct ipspd_ctl *ctl, uid_t uid)
{
	struct ipspd_user *user;

	for (user = ctl->users; user; user = user->next)
		if (user->uid == uid)
			return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	user->trusted = uid == 0 || uid == geteuid();
	TAILQ_INIT(&user->ready);
	user->next = ctl->users;
	ctl->users = user;
	return user;
}

void ipspd_user_unused(struct ipspd_ctl *ctl, struct ipspd_user *user)
{
	struct ipspd_user **at = &ctl->users;

	if (user->n_clients > 0 || user->n_ops > 0)
		return;
	while (*at != user)
		at = &(*at)->next;
	*at = user->next;
	free(user);
}

const char *ipspd_user_refused(const struct ipspd_ctl *ctl, const struct ipspd_user *user)
{
	if (user->trusted)
		return NULL;
	if (user->n_clients >= IPSPD_CTL_CLIENTS_USER)
		return "too many clients of this user: close some of its connections";
	if (ctl->n_clients >= IPSPD_CTL_CLIENTS - IPSPD_CTL_KEPT)
		return "too many clients: the last places are the operator's";
	return NULL;
}

/* ---------------------------------------------------------------- who has not greeted */

/* The one that is silent for longest, of @user, or of all that are not trusted. */
static struct ipspd_client *most_silent(const struct ipspd_ctl *ctl, const struct ipspd_user *user)
{
	struct ipspd_client *most = NULL;

	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		struct ipspd_client *client = ctl->clients[i];

		if (client && client->greeting && !client->closing && !client->user->trusted &&
		    (!user || client->user == user) && (!most || client->token < most->token))
			most = client;
	}
	return most;
}

void ipspd_user_greets(struct ipspd_client *client)
{
	struct ipspd_ctl *ctl = client->ctl;
	struct ipspd_client *most = NULL;

	client->came = ipspd_now();
	client->user->n_silent++;
	ctl->n_silent += !client->user->trusted;
	if (client->user->trusted)
		return;
	if (client->user->n_silent > IPSPD_CTL_SILENT_USER)
		most = most_silent(ctl, client->user);
	else if (ctl->n_silent > IPSPD_CTL_SILENT)
		most = most_silent(ctl, NULL);
	if (most && client->came - most->came >= SILENT_MS)
		ipspd_client_dismiss(most, IPSP_ERR_TIMEOUT,
				     "its HELLO has not come, and too many others come");
}

void ipspd_user_greeted(struct ipspd_client *client)
{
	if (!client->greeting)
		return;
	event_free(client->greeting);
	client->greeting = NULL;
	client->user->n_silent--;
	client->ctl->n_silent -= !client->user->trusted;
}

/* ---------------------------------------------------------------- what is not read */

static size_t held_by(const struct ipspd_client *client)
{
	return ipspd_client_pending(client) + client->in.len +
	       (client->jobs ? client->jobs->n_text : 0);
}

void ipspd_user_count(struct ipspd_client *client, size_t now)
{
	client->user->held += now - client->held;
	client->ctl->held += now - client->held;
	client->held = now;
}

/* Of @user, or of all. */
static struct ipspd_client *holds_most(const struct ipspd_ctl *ctl, const struct ipspd_user *user)
{
	struct ipspd_client *most = NULL;

	for (size_t i = 0; i < IPSPD_CTL_CLIENTS; i++) {
		struct ipspd_client *client = ctl->clients[i];

		if (client && (!user || client->user == user) &&
		    (!most || client->held > most->held))
			most = client;
	}
	return most;
}

struct ipspd_client *ipspd_user_must_go(struct ipspd_client *client)
{
	const struct ipspd_ctl *ctl = client->ctl;
	const struct ipspd_user *user = client->user;

	ipspd_user_count(client, held_by(client));
	if (ipspd_client_pending(client) > IPSPD_CTL_UNREAD)
		return client;
	if (!user->trusted && user->held > IPSPD_CTL_HELD_USER)
		return holds_most(ctl, user);
	return ctl->held > IPSPD_CTL_HELD ? holds_most(ctl, NULL) : NULL;
}

/* ---------------------------------------------------------------- lines of the log */

#define OFTEN_S 10

static const char *const kinds[IPSPD_OFTEN_KINDS] = {"connections were refused",
						     "clients were closed", "commands were taken"};

static void on_often(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_often *often = arg;

	(void)fd, (void)what;
	if (often->left_out > 0)
		ipspd_log(IPSP_LOG_NOTICE, "control: %s, without a line of their own: %llu in %d s",
			  often->kind, often->left_out, OFTEN_S);
	often->n = 0;
	often->left_out = 0;
}

void ipspd_often_say(struct ipspd_ctl *ctl, enum ipspd_often_kind kind, enum ipsp_level level,
		     const char *format, ...)
{
	static const struct timeval window = {.tv_sec = OFTEN_S};
	struct ipspd_often *often = &ctl->often[kind];
	va_list args;

	if (!often->end)
		often->end = evtimer_new(ctl->daemon->base, on_often, often);
	often->kind = kinds[kind];
	if (often->n == 0 && often->end)
		event_add(often->end, &window);
	if (often->n >= (kind == IPSPD_OFTEN_COMMAND ? IPSPD_OFTEN_COMMANDS : IPSPD_OFTEN_LINES)) {
		often->left_out++;
		return;
	}
	often->n++;
	va_start(args, format);
	ipspd_vlog(level, format, args);
	va_end(args);
}

void ipspd_users_free(struct ipspd_ctl *ctl)
{
	struct ipspd_user *next;

	for (struct ipspd_user *user = ctl->users; user; user = next) {
		next = user->next;
		free(user);
	}
	ctl->users = NULL;
	for (size_t i = 0; i < IPSPD_OFTEN_KINDS; i++) {
		if (!ctl->often[i].end)
			continue;
		on_often(-1, 0, &ctl->often[i]);
		event_free(ctl->often[i].end);
		ctl->often[i].end = NULL;
	}
}
