#include "monitor/agentx.h"
#include "monitor/say.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_S 5

struct agentx {
	struct event *ended, *again;
	const char *control, *master;
	pid_t pid; /* 0: none runs */
};

/* In the child: the same program, as a subagent. It ends with its parent. */
static void become(const struct agentx *a, pid_t parent)
{
	char *const argv[] = {(char *)"ipsp-monitor", (char *)"-s",	 (char *)a->control,
			      (char *)"-A",	      (char *)a->master, NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		execv("/proc/self/exe", argv);
	_exit(127);
}

static void start(struct agentx *a)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	if (pid == 0)
		become(a, parent);
	if (pid > 0)
		a->pid = pid;
	else
		monitor_say("AgentX: %s", strerror(errno));
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct agentx *a = arg;

	(void)fd, (void)what;
	if (a->pid == 0)
		start(a);
}

static void on_ended(evutil_socket_t sig, short what, void *arg)
{
	static const struct timeval later = {.tv_sec = AGAIN_S};
	struct agentx *a = arg;
	int status;

	(void)sig, (void)what;
	if (a->pid == 0 || waitpid(a->pid, &status, WNOHANG) != a->pid)
		return;
	a->pid = 0;
	monitor_say("AgentX: its process has ended (status %d); starting it again in %d s",
		    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), AGAIN_S);
	event_add(a->again, &later);
}

struct agentx *agentx_new(struct event_base *base, const char *control, const char *master)
{
	struct agentx *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->control = control;
	a->master = master;
	a->ended = evsignal_new(base, SIGCHLD, on_ended, a);
	a->again = evtimer_new(base, on_again, a);
	if (a->ended && a->again && event_add(a->ended, NULL) == 0) {
		start(a);
		return a;
	}
	agentx_free(a);
	return NULL;
}

void agentx_free(struct agentx *a)
{
	if (!a)
		return;
	if (a->pid > 0) { /* it may hang in its library: nothing is lost by a kill */
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	if (a->ended)
		event_free(a->ended);
	if (a->again)
		event_free(a->again);
	free(a);
}
