/*
 * launcher - a small process that starts the hook for the daemon.
 *
 * It is forked before the daemon gives up its privileges (sandbox.h), so that a hook has those that
 * the daemon was started with, and the daemon itself may neither fork nor execute. It trusts the
 * daemon little: what it starts is the hook that the configuration file names, which it reads by
 * itself, with no arguments and nothing in the environment but its own and variables IPSP_*.
 *
 * It ends when the daemon does, however that ends; hooks that run then are left alone.
 */
#ifndef IPSPD_LAUNCHER_H
#define IPSPD_LAUNCHER_H

#include "daemon/config.h"
#include <stdbool.h>
#include <stdint.h>

#define IPSPD_LAUNCH_VARS    16
#define IPSPD_LAUNCH_VAR_MAX 160

/* What is asked of it. */
struct ipspd_launch {
	enum { IPSPD_LAUNCH_RUN, IPSPD_LAUNCH_READ_AGAIN } what; /* the hook; the configuration */
	uint32_t limit_ms;					 /* then it is killed */
	uint64_t id;
	char path[IPSPD_PATH_MAX];
	char var[IPSPD_LAUNCH_VARS][IPSPD_LAUNCH_VAR_MAX]; /* "NAME=value", n_vars */
	uint32_t n_vars;
};

/* Its answer, one for each hook: that it could not be started, or that it has ended. */
struct ipspd_launched {
	uint64_t id;
	int error;  /* an errno; 0: it ran */
	int status; /* as from waitpid() */
	bool late;  /* it had run out of time and was killed */
};

/*
 * To be called while this process has one thread. The new one forgets @config, once it knows the
 * hook, and closes every file. Returns the socket to it, or -1 with errno.
 * @path: of the configuration file; NULL (in tests): any hook is started.
 * @away: the daemon will leave the foreground.
 */
int ipspd_launcher_new(struct ipspd_config *config, const char *path, bool away);

/* Both never wait. @out: where the hook's output goes; or -1. 0, or an errno: EAGAIN is no fault.
 */
int ipspd_launcher_ask(int fd, const struct ipspd_launch *launch, int out);
/* 1: an answer; 0: none yet; -1: it is gone. */
int ipspd_launcher_answer(int fd, struct ipspd_launched *launched);

#endif
