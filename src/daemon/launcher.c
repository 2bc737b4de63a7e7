#define _GNU_SOURCE /* POSIX_SPAWN_SETSID, environ, close_range */
#include "daemon/launcher.h"
#include "base/err.h"
#include "daemon/ctx.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_MS 1000 /* after a kill that did not help */

struct child {
	struct child *next;
	uint64_t id;
	pid_t pid;
	ipsp_ms until;
	bool late;
};

struct launcher { /* in the new process */
	int fd, children_fd;
	const char *config_path;
	char hook[IPSPD_PATH_MAX];
	struct child *children;
};

/* ---------------------------------------------------------------- the environment */

/* Its own without what belongs to the daemon's supervisor or to an outer hook, then the call's. */
static char **make_environment(struct ipspd_launch *launch)
{
	static const char *const ours[] = {"IPSP_", "NOTIFY_SOCKET=", "WATCHDOG_",
					   "JOURNAL_STREAM="};
	size_t n = 0, kept = 0;

	while (environ && environ[n])
		n++;
	char **env = (char **)calloc(n + launch->n_vars + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool drop = false;
		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			drop = drop || strncmp(environ[i], ours[k], strlen(ours[k])) == 0;
		if (!drop)
			env[kept++] = environ[i];
	}
	for (size_t i = 0; i < launch->n_vars; i++)
		env[kept++] = launch->var[i];
	return env;
}

/* Standard input is empty, output goes to @out; every signal is as at the start of a program. */
static int spawn(char *path, char **env, int out, pid_t *pid)
{
	char *argv[2] = {path, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSID);
	int error = posix_spawn(pid, path, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/* ---------------------------------------------------------------- the new process */

/* The daemon is gone, or it will never read: nobody is left to work for. */
static void tell(const struct launcher *l, const struct ipspd_launched *launched)
{
	while (send(l->fd, launched, sizeof(*launched), MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(EXIT_SUCCESS);
}

static bool is_sound(struct ipspd_launch *launch)
{
	launch->path[sizeof(launch->path) - 1] = '\0';
	if (launch->n_vars > IPSPD_LAUNCH_VARS)
		return false;
	for (size_t i = 0; i < launch->n_vars; i++) {
		launch->var[i][IPSPD_LAUNCH_VAR_MAX - 1] = '\0';
		if (strncmp(launch->var[i], "IPSP_", 5) != 0)
			return false;
	}
	return true;
}

static int start(struct launcher *l, struct ipspd_launch *launch, int out)
{
	char why[IPSPD_WHY_MAX];
	struct child *child;
	char **env;
	int error;

	if (!is_sound(launch) || out < 0)
		return EINVAL;
	if (l->config_path && strcmp(launch->path, l->hook) != 0)
		return EPERM;
	if (ipspd_config_hook_ok(launch->path, why) != 0)
		return EACCES;
	child = calloc(1, sizeof(*child));
	env = make_environment(launch);
	error = child && env ? spawn(launch->path, env, out, &child->pid) : ENOMEM;
	free(env);
	if (error) {
		free(child);
		return error;
	}
	child->id = launch->id;
	child->until = ipspd_now() + launch->limit_ms;
	child->next = l->children;
	l->children = child;
	return 0;
}

/* One message of the daemon's; false: none waits. */
static bool serve_one(struct launcher *l)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	static struct ipspd_launch launch;
	struct iovec iov = {&launch, sizeof(launch)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int out = -1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		_exit(EXIT_SUCCESS);
	const struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&out, CMSG_DATA(head), sizeof(out));
	if (n == (ssize_t)sizeof(launch) && launch.what == IPSPD_LAUNCH_RUN) {
		struct ipspd_launched launched = {.id = launch.id};

		launched.error = start(l, &launch, out);
		if (launched.error)
			tell(l, &launched);
	} else if (n == (ssize_t)sizeof(launch) && l->config_path) {
		ipspd_config_hook(l->config_path, l->hook);
	}
	if (out >= 0)
		close(out);
	return true;
}

static void reap(struct launcher *l)
{
	struct signalfd_siginfo info;

	while (read(l->children_fd, &info, sizeof(info)) > 0)
		;
	for (struct child **link = &l->children; *link;) {
		struct child *child = *link;
		struct ipspd_launched launched = {.id = child->id, .late = child->late};
		const pid_t pid = waitpid(child->pid, &launched.status, WNOHANG);

		if (pid == 0 || (pid < 0 && errno == EINTR)) {
			link = &child->next;
			continue;
		}
		*link = child->next;
		if (pid != child->pid)
			launched.error = ECHILD;
		tell(l, &launched);
		free(child);
	}
}

/* Those that have run out of time die, with what they started. Returns how long to wait: -1, for
 * ever. */
static int end_late(struct launcher *l)
{
	const ipsp_ms now = ipspd_now();
	ipsp_ms first = IPSP_NEVER;

	for (struct child *child = l->children; child; child = child->next) {
		if (child->until <= now) {
			child->late = true;
			child->until = now + AGAIN_MS;
			if (kill(-child->pid, SIGKILL) != 0)
				kill(child->pid, SIGKILL);
		}
		first = child->until < first ? child->until : first;
	}
	return first == IPSP_NEVER ? -1 : (int)(first - now);
}

static _Noreturn void serve(struct launcher *l)
{
	struct pollfd fds[2] = {{.fd = l->fd, .events = POLLIN},
				{.fd = l->children_fd, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 2, end_late(l)) < 0)
			continue;
		reap(l);
		while (serve_one(l))
			;
	}
}

/* Who stops the daemon means the daemon, which may still have hooks to run. */
static int take_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t children;

	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGTERM, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sigaction(SIGUSR1, &ignore, NULL);
	sigaction(SIGUSR2, &ignore, NULL);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_SETMASK, &children, NULL);
	return signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Its standard files are nobody's: who waits for the end of the daemon's output doesn't wait for
 * it. */
static void close_files(int but)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	close_range(3, (unsigned)but - 1, 0);
	close_range((unsigned)but + 1, ~0U, 0);
}

static _Noreturn void be_launcher(int fd, struct ipspd_config *config, const char *path, bool away)
{
	static struct launcher launcher;

	prctl(PR_SET_NAME, "ipspd-launcher");
	launcher.fd = fd;
	launcher.config_path = path;
	memcpy(launcher.hook, config->hook, sizeof(launcher.hook));
	ipspd_config_fini(config); /* its secrets are the daemon's */
	close_files(fd);
	launcher.children_fd = take_signals();
	if (launcher.children_fd < 0 || (away && chdir("/") != 0))
		_exit(EXIT_FAILURE);
	serve(&launcher);
}

/* ---------------------------------------------------------------- the daemon's side */

int ipspd_launcher_new(struct ipspd_config *config, const char *path, bool away)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	const pid_t pid = fork();
	if (pid == 0)
		be_launcher(ends[1], config, path, away);
	close(ends[1]);
	if (pid > 0)
		return ends[0];
	close(ends[0]);
	return -1;
}

int ipspd_launcher_ask(int fd, const struct ipspd_launch *launch, int out)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)launch, sizeof(*launch)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (out >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &out, sizeof(out));
	}
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*launch))
		return 0;
	return errno == EWOULDBLOCK || errno == EINTR ? EAGAIN : errno;
}

int ipspd_launcher_answer(int fd, struct ipspd_launched *launched)
{
	const ssize_t n = recv(fd, launched, sizeof(*launched), MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(*launched))
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}
