/*
 * ipspd - the daemon's command line.
 *
 * Exit codes: 0 stopped as asked (or -t: the configuration is good), 1 it could not start or go on,
 * 2 bad usage or configuration: to try again would not help.
 */
#define _GNU_SOURCE /* asprintf */
#include "base/must.h"
#include "base/shown.h"
#include "daemon/config.h"
#include "daemon/keylog.h"
#include "daemon/launcher.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/sandbox.h"
#include "daemon/secret.h"
#include "daemon/start.h"
#include "daemon/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_BAD     2
#define CONFIG_FILE  "/etc/ipspd.conf"
#define DAEMON_USER  "ipsp" /* of the unit */
#define FILES_WANTED 65536
#define LOW_PORTS    1024
#define PATIENCE_MS  1000
#define FAULT_LINE   4096

struct options {
	bool foreground, test;
	int verbose;
	const char *config, *socket, *user, *key_log;
};

static void usage(FILE *to)
{
	fputs("usage: ipspd [-f] [-t] [-c FILE] [-s SOCKET] [-u USER] [-k FILE] [-v]... [-V] [-h]\n"
	      "  -f  stay in the foreground and log to standard error\n"
	      "  -t  check the configuration and exit\n"
	      "  -c  configuration, /etc/ipspd.conf by default\n"
	      "  -s  control socket, instead of the configured one\n"
	      "  -u  become this user first; for root\n"
	      "  -k, --key-log FILE  for a search on the wire: write the sessions' keys to FILE\n"
	      "  -v  say more; twice: everything\n"
	      "  -V, --version  print the version\n"
	      "  -h, --help     print this\n"
	      "See ipspd(8) and ipspd.conf(5).\n",
	      to);
}

/* @c is what getopt_long() returned: '?', or ':' where an argument is missing. */
static void say_bad_option(int c, char *const *argv)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		fprintf(stderr, "ipspd: option \"-%c\" needs %s behind it\n", optopt,
			optopt == 'c' || optopt == 'k' ? "a FILE"
			: optopt == 's'		       ? "a SOCKET"
						       : "a USER");
	else if (strncmp(word, "--", 2) == 0 && (optopt == 0 || strchr(word, '=')))
		fprintf(stderr, "ipspd: %s\"%s\"\n",
			optopt == 0 ? "unknown option " : "no value is allowed in ", word);
	else
		fprintf(stderr, "ipspd: unknown option \"-%c\"\n", optopt);
}

/* 0: go on; else exit with .. - 1 */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option words[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{"key-log", required_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.config = CONFIG_FILE};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":ftc:s:u:k:vVh", words, NULL)) != -1) {
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 't':
			o->test = true;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 's':
			o->socket = optarg;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'k':
			o->key_log = optarg;
			break;
		case 'v':
			o->verbose++;
			break;
		case 'V':
			puts("ipspd " IPSPD_VERSION);
			return 1 + EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return 1 + EXIT_SUCCESS;
		default:
			say_bad_option(c, argv);
			usage(stderr);
			return 1 + EXIT_BAD;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "ipspd: unknown argument \"%s\"; options begin with -\n", argv[optind]);
	usage(stderr);
	return 1 + EXIT_BAD;
}

/* Whoever asked for a test waits for its answer. A start doesn't wait for somebody who does not
 * read. */
static void say_fault(void *arg, bool warning, const char *text)
{
	const struct options *o = arg;
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[FAULT_LINE];

	(void)warning;
	ipsp_shown(text, line, sizeof(line));
	if (o->test || poll(&room, 1, PATIENCE_MS) > 0)
		fprintf(stderr, "%s\n", line);
}

/* @path as it must be once the working directory is "/"; NULL: no memory, or there is no such
 * directory. */
static char *absolute(const char *path)
{
	char here[PATH_MAX], *text = NULL;

	if (*path == '/')
		return strdup(path);
	if (!getcwd(here, sizeof(here)) || asprintf(&text, "%s/%s", here, path) < 0)
		return NULL;
	return text;
}

/* ---------------------------------------------------------------- into the background */

/*
 * The first process stays until the daemon is ready, and ends with its exit code if it never is:
 * whoever started it sees every error on standard error. Returns, in the daemon, where to tell that
 * it is ready.
 */
static int into_background(void)
{
	int ready[2], status;
	char byte;

	if (pipe(ready) != 0)
		return -1;
	fcntl(ready[0], F_SETFD, FD_CLOEXEC);
	fcntl(ready[1], F_SETFD, FD_CLOEXEC);
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(ready[0]);
		setsid();
		return ready[1];
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

static void is_ready(int ready, enum ipsp_level level)
{
	if (ready < 0)
		return;
	ipspd_log_open(IPSPD_LOG_SYSLOG, level);
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (chdir("/") != 0 || write(ready, "", 1) != 1)
		ipspd_log(IPSP_LOG_WARNING, "leaving the foreground: %s", strerror(errno));
	close(ready);
}

/* ---------------------------------------------------------------- all of it */

/* Whatever this was started with: no signal blocked, and a peer that closes is no reason to die. */
static void reset_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* a limit on files is a full disk, not a death */
	sigaction(SIGCHLD, &plain, NULL);
}

/* A descriptor that is closed here would be that of some file or socket soon, and what is said to a
 * person would go there. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/*
 * A shell's soft limit of 1,024 is less than that many clients and what the daemon itself has open.
 * No more than it could ever need: the hook inherits it, and some programs close every number up to
 * their limit one by one.
 */
static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
	setrlimit(RLIMIT_NOFILE, &limit); /* where that is refused, clients wait */
}

static bool has_low_port(const struct ipspd_config *config)
{
	for (size_t i = 0; i < config->n_contexts; i++)
		if (config->contexts[i].psp.enabled && config->contexts[i].psp.port < LOW_PORTS)
			return true;
	return false;
}

static int run(struct ipspd *daemon, const char *key_log, int ready, enum ipsp_level level)
{
	char why[1200] = "";
	int code = EXIT_FAILURE;

	if (key_log && ipspd_keylog_open(key_log, why, sizeof(why)) != 0) {
		ipspd_log(IPSP_LOG_ERROR, "%s", why);
		return code;
	}
	if (ipspd_start(daemon, why, sizeof(why)) == 0) {
		is_ready(ready, level);
		ipspd_notify_ready(daemon->notify);
		ipspd_log(IPSP_LOG_NOTICE, "ipspd " IPSPD_VERSION " runs, with %zu context%s",
			  daemon->n_ctxs, daemon->n_ctxs == 1 ? "" : "s");
		ipspd_sandbox_tell();
		ipspd_secret_tell();
		code = ipspd_loop_run(daemon);
	} else {
		ipspd_log(IPSP_LOG_ERROR, "%s", why);
	}
	ipspd_stop(daemon);
	ipspd_keylog_close();
	return code;
}

/* @user may be NULL. False: that was said. */
static bool become(const char *user)
{
	char why[400];

	if (!user || ipspd_sandbox_user(user, why, sizeof(why)))
		return true;
	fprintf(stderr, "ipspd: %s\n", why);
	return false;
}

int main(int argc, char **argv)
{
	static struct ipspd_config config;
	struct options o;

	int done = parse(argc, argv, &o);
	if (done)
		return done - 1;
	const enum ipsp_level level = o.verbose > 1 ? IPSP_LOG_DEBUG
				      : o.verbose   ? IPSP_LOG_INFO
						    : IPSP_LOG_NOTICE;
	char *path = absolute(o.config), *socket = o.socket ? absolute(o.socket) : NULL;
	struct ipspd daemon = {.config = &config, .config_path = path, .socket_path = socket};
	int code = EXIT_FAILURE, ready = -1;

	open_standard();
	const bool became = become(o.user);
	if (o.test)
		ipspd_trust_test(DAEMON_USER, strcmp(o.config, CONFIG_FILE) == 0);
	ipspd_secret_process(); /* (whoever becomes another user can be dumped again) */
	reset_signals();
	raise_files();
	umask(027);
	/* Large pieces of memory go back to the system when they are freed. glibc moves the limit
	 * up by itself otherwise, to the size of the first such piece that is freed. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	if (!path || (o.socket && !socket)) {
		fprintf(stderr, "ipspd: %s\n", strerror(errno));
	} else if (!became) {
		code = EXIT_FAILURE;
	} else if (sodium_init() < 0) { /* it also picks what is quickest on this processor */
		fprintf(stderr, "ipspd: libsodium can't be used\n");
	} else if (ipspd_config_read(o.config, &config, say_fault, &o) != 0) {
		/* one that is not there is not wrong: it may come */
		code = !o.test && access(o.config, R_OK) != 0 ? EXIT_FAILURE : EXIT_BAD;
	} else if (o.test) {
		if (ipspd_trust_hidden(o.config))
			fprintf(stderr,
				"%s: warning: the user ipsp can't read this file: chgrp ipsp it, "
				"and "
				"chmod 640\n",
				o.config);
		printf("%s: no fault found, %zu context%s\n", o.config, config.n_contexts,
		       config.n_contexts == 1 ? "" : "s");
		code = EXIT_SUCCESS;
	} else if (!o.foreground && !ipspd_notify_supervised() && (ready = into_background()) < 0) {
		fprintf(stderr, "ipspd: %s\n", strerror(errno));
	} else if ((daemon.launcher = ipspd_launcher_new(&config, path, ready >= 0)) < 0) {
		fprintf(stderr, "ipspd: no process to start the hook: %s\n", strerror(errno));
	} else {
		ipspd_sandbox_enter(has_low_port(&config));
		ipspd_log_open(ipspd_notify_is_journal(STDERR_FILENO) ? IPSPD_LOG_JOURNAL
								      : IPSPD_LOG_STDERR,
			       level);
		ipsp_must_listen(ipspd_log_bug);
		code = run(&daemon, o.key_log, ready, level);
	}
	ipspd_log_close();
	ipspd_config_fini(&config);
	free(path);
	free(socket);
	return code;
}
