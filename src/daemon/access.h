/*
 * access - which groups may open a socket's file, beside its owner, and what their members may do.
 */
#ifndef IPSPD_ACCESS_H
#define IPSPD_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define IPSPD_ACCESS_GROUPS 4

/*
 * Lets the members of @gids, IPSPD_ACCESS_GROUPS at most, read and write @path, a file of this
 * process's user, and nobody else. It needs no privilege, and this user need not be a member: where
 * it may not give the file to a group, the file gets an access list (acl(5)). Returns 0, or an
 * errno; then nothing has become wider than it was.
 */
int ipspd_access_groups(const char *path, const gid_t *gids, size_t n);

/* What a client of the control socket may do; the first two may come together. */
enum {
	IPSPD_MAY_LOOK = 1,  /* show, check-config */
	IPSPD_MAY_SERVE = 2, /* what a gateway does: attach, request, release, list */
	IPSPD_MAY_ALL = 7
};

struct ipspd_access {
	bool by_group; /* there are groups that may do less than all; else whoever gets in may */
	struct {
		gid_t gid;
		unsigned may;
	} groups[IPSPD_ACCESS_GROUPS]; /* n; those that this host knows */
	size_t n;
};

/*
 * Of the process at the other end of @fd, a Unix socket, as it was when it connected: all for root
 * and for the user of this process, else what its groups may; 0 for nothing.
 */
unsigned ipspd_access_may(int fd, const struct ipspd_access *access);

#endif
