/*
 * connect - why the daemon can't be reached, and what to do about it. A word of the system alone
 * ("Permission denied") leaves an operator with three guesses.
 */
#include "cli/cli.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool in_group(gid_t group)
{
	gid_t groups[256];
	int n = getgroups(sizeof(groups) / sizeof(groups[0]), groups);

	if (getegid() == group)
		return true;
	for (int i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* The user database says so, whatever this login has. */
static bool is_member(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++)
		if (strcmp(*member, user) == 0)
			return true;
	return false;
}

/* The socket is there, and this user may not use it. */
static void say_group(const char *socket, const struct stat *st)
{
	const struct passwd *user = getpwuid(geteuid());
	const char *name = user ? user->pw_name : "you";
	const struct group *group = (st->st_mode & S_IWGRP) ? getgrgid(st->st_gid) : NULL;

	if (!group)
		fprintf(stderr,
			"ipspctl: %s: permission denied: only root and the daemon's own user may "
			"use it; `group` in `control` of /etc/ipspd.conf lets a group in\n",
			socket);
	else if (is_member(group, name) && !in_group(st->st_gid))
		fprintf(stderr,
			"ipspctl: %s: permission denied: %s is in the group %s, but this login is "
			"older than that: log in again\n",
			socket, name, group->gr_name);
	else
		fprintf(stderr,
			"ipspctl: %s: permission denied: it is for the group %s, and %s is not in "
			"it: `usermod -aG %s %s` as root, then log in again\n",
			socket, group->gr_name, name, group->gr_name, name);
}

static void say_denied(const char *socket)
{
	struct stat st;

	if (stat(socket, &st) == 0)
		say_group(socket, &st);
	else
		fprintf(stderr,
			"ipspctl: %s: permission denied: this user may not look into its folder; "
			"try it as root\n",
			socket);
}

void cli_say_unreachable(const char *socket, int errno_)
{
	struct stat st;

	if (errno_ == EACCES || errno_ == EPERM)
		say_denied(socket);
	else if (errno_ == ENOENT)
		fprintf(stderr,
			"ipspctl: %s: there is no such socket: does ipspd run (systemctl status "
			"ipspd), and on this socket (-s)?\n",
			socket);
	else if (errno_ == ENAMETOOLONG)
		fprintf(stderr, "ipspctl: %s: a socket's name has 107 bytes at most\n", socket);
	else if (errno_ == ECONNREFUSED && stat(socket, &st) == 0 && !S_ISSOCK(st.st_mode))
		fprintf(stderr, "ipspctl: %s: this is no socket: is -s right?\n", socket);
	else if (errno_ == ECONNREFUSED)
		fprintf(stderr,
			"ipspctl: %s: nobody listens there: ipspd does not run (systemctl status "
			"ipspd)\n",
			socket);
	else if (errno_ == 0 || errno_ == ECONNRESET || errno_ == EPIPE)
		fprintf(stderr, "ipspctl: %s: the daemon closed the connection\n", socket);
	else
		fprintf(stderr, "ipspctl: %s: %s\n", socket, strerror(errno_));
}
