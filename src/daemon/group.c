#define _GNU_SOURCE /* pipe2 */
#include "daemon/group.h"
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ipspd_group {
	struct event *answered;
	int fd; /* a pipe: the thread writes the number at its other end */
	ipspd_group_fn *fn;
	void *arg;
};

struct question { /* the thread's own: it may live longer than whoever asked */
	int fd;
	char name[];
};

static void *ask(void *arg)
{
	struct question *q = arg;
	const struct group *entry = getgrnam(q->name); /* nobody else asks while the loop runs */
	const gid_t gid = entry ? entry->gr_gid : (gid_t)-1;

	if (write(q->fd, &gid, sizeof(gid)) < 0) {
		/* cancelled meanwhile */
	}
	close(q->fd);
	free(q);
	return NULL;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct ipspd_group *group = arg;
	ipspd_group_fn *fn = group->fn;
	void *to = group->arg;
	gid_t gid;

	(void)what;
	if (read(fd, &gid, sizeof(gid)) != (ssize_t)sizeof(gid))
		gid = (gid_t)-1;
	ipspd_group_cancel(group);
	fn(to, gid);
}

static int start(struct question *q)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, &attr, ask, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

struct ipspd_group *ipspd_group_ask(struct event_base *base, const char *name, ipspd_group_fn *fn,
				    void *arg)
{
	struct ipspd_group *group = calloc(1, sizeof(*group));
	struct question *q = calloc(1, sizeof(*q) + strlen(name) + 1);
	int pipes[2] = {-1, -1};

	if (!group || !q || pipe2(pipes, O_CLOEXEC) != 0)
		goto failed;
	*group = (struct ipspd_group){.fd = pipes[0], .fn = fn, .arg = arg};
	q->fd = pipes[1];
	memcpy(q->name, name, strlen(name) + 1);
	group->answered = event_new(base, pipes[0], EV_READ, on_answer, group);
	if (group->answered && event_add(group->answered, NULL) == 0 && start(q) == 0)
		return group;
failed:
	free(q);
	if (pipes[1] >= 0)
		close(pipes[1]);
	if (group && group->answered)
		event_free(group->answered);
	if (pipes[0] >= 0)
		close(pipes[0]);
	free(group);
	return NULL;
}

void ipspd_group_cancel(struct ipspd_group *group)
{
	if (!group)
		return;
	event_free(group->answered);
	close(group->fd);
	free(group);
}
