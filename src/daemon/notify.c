#include "daemon/notify.h"
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct ipspd_notify {
	int fd; /* -1: nobody to tell */
	struct sockaddr_un to;
	socklen_t to_len;
	struct event *watchdog;
};

/* What can't be said is not said: a supervisor must not be able to hold the daemon up. */
static void say(struct ipspd_notify *notify, const char *text)
{
	if (notify->fd >= 0)
		sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
		       (const struct sockaddr *)&notify->to, notify->to_len);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	say(arg, "WATCHDOG=1");
}

static void start_watchdog(struct ipspd_notify *notify, struct event_base *base)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return;
	const unsigned long long half = strtoull(usec, NULL, 10) / 2;
	const struct timeval tv = {.tv_sec = (time_t)(half / 1000000),
				   .tv_usec = (suseconds_t)(half % 1000000)};
	if (half == 0)
		return;
	notify->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, notify);
	if (notify->watchdog)
		event_add(notify->watchdog, &tv);
}

struct ipspd_notify *ipspd_notify_new(struct event_base *base)
{
	struct ipspd_notify *notify = calloc(1, sizeof(*notify));
	const char *path = getenv("NOTIFY_SOCKET");

	if (!notify)
		return NULL;
	notify->fd = -1;
	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(notify->to.sun_path))
		return notify;
	notify->to.sun_family = AF_UNIX;
	memcpy(notify->to.sun_path, path, strlen(path));
	if (*path == '@') /* the abstract namespace */
		notify->to.sun_path[0] = '\0';
	notify->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	start_watchdog(notify, base);
	return notify;
}

bool ipspd_notify_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char *end = NULL;
	struct stat st;

	return stream && fstat(fd, &st) == 0 && strtoull(stream, &end, 10) == st.st_dev &&
	       *end == ':' && strtoull(end + 1, NULL, 10) == st.st_ino;
}

bool ipspd_notify_supervised(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	return getenv("NOTIFY_SOCKET") || (pid && strtol(pid, NULL, 10) == (long)getpid()) ||
	       ipspd_notify_is_journal(STDERR_FILENO);
}

void ipspd_notify_free(struct ipspd_notify *notify)
{
	if (!notify)
		return;
	if (notify->watchdog)
		event_free(notify->watchdog);
	if (notify->fd >= 0)
		close(notify->fd);
	free(notify);
}

void ipspd_notify_ready(struct ipspd_notify *notify)
{
	say(notify, "READY=1");
}

void ipspd_notify_reloading(struct ipspd_notify *notify)
{
	struct timespec now;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &now); /* the clock that Type=notify-reload asks for */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	say(notify, text);
}

void ipspd_notify_stopping(struct ipspd_notify *notify)
{
	say(notify, "STOPPING=1");
}

void ipspd_notify_status(struct ipspd_notify *notify, const char *text)
{
	char line[512];

	snprintf(line, sizeof(line), "STATUS=%.480s", text);
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = ' ';
	say(notify, line);
}
