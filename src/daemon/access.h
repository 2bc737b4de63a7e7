/*
 * access - which groups may open a socket's file, beside its owner.
 */
#ifndef IPSPD_ACCESS_H
#define IPSPD_ACCESS_H

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

#endif
