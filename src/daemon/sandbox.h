/*
 * sandbox - what this process gives up by itself, whoever started it: so a daemon that was taken
 * over can do little more than what it does anyway.
 *
 *   - privileges: all capabilities but those that ipspd_sandbox_enter() names, for good;
 *   - no program that it would start has more ("no new privileges");
 *   - system calls: those of its own list alone. It can't start a program at all: the launcher
 *     (launcher.h) does, which is forked before.
 */
#ifndef IPSPD_SANDBOX_H
#define IPSPD_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Becomes @user, with that user's groups, before anything is opened. False, with @why. */
bool ipspd_sandbox_user(const char *user, char *why, size_t n_why);

/*
 * To be called while this process has one thread: later ones inherit it. @low_port: a port below
 * 1024 is configured. What the kernel or the build lacks is left out; ipspd_sandbox_tell() logs
 * both.
 */
void ipspd_sandbox_enter(bool low_port);
void ipspd_sandbox_tell(void);

#endif
