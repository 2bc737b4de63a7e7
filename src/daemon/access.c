#define _GNU_SOURCE /* struct ucred */
#include "daemon/access.h"
#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_WRITE (ACL_READ | ACL_WRITE)

/* The kernel's own form of an access list: no library of its own for five lines of it. */
struct list {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entries[4 + IPSPD_ACCESS_GROUPS];
	size_t n;
};

static void add(struct list *list, unsigned tag, unsigned perm, unsigned id)
{
	list->entries[list->n++] = (struct posix_acl_xattr_entry){
		.e_tag = htole16((uint16_t)tag),
		.e_perm = htole16((uint16_t)perm),
		.e_id = htole32(id),
	};
}

static int set_list(const char *path, const gid_t *gids, size_t n)
{
	struct list list = {.head.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
	const unsigned nobody = (unsigned)ACL_UNDEFINED_ID;

	add(&list, ACL_USER_OBJ, READ_WRITE, nobody);
	add(&list, ACL_GROUP_OBJ, 0, nobody); /* the file's own group is who made it, not who may */
	for (size_t i = 0; i < n; i++)
		add(&list, ACL_GROUP, READ_WRITE, gids[i]);
	add(&list, ACL_MASK, READ_WRITE, nobody);
	add(&list, ACL_OTHER, 0, nobody);
	return setxattr(path, "system.posix_acl_access", &list,
			sizeof(list.head) + list.n * sizeof(list.entries[0]), 0) == 0
		       ? 0
		       : errno;
}

/* True: the file is its group's. A member may give it; in the unit nobody may. */
static bool give(const char *path, gid_t gid)
{
	struct stat st;

	return (lstat(path, &st) == 0 && st.st_gid == gid) || chown(path, (uid_t)-1, gid) == 0;
}

int ipspd_access_groups(const char *path, const gid_t *gids, size_t n)
{
	if (n > IPSPD_ACCESS_GROUPS)
		return E2BIG;
	if (n == 1 && give(path, gids[0]))
		return chmod(path, 0660) == 0 ? 0 : errno;
	return set_list(path, gids, n);
}

/* ---------------------------------------------------------------- what a member may do */

static unsigned may_of(const struct ipspd_access *access, gid_t gid)
{
	unsigned may = 0;

	for (size_t i = 0; i < access->n; i++)
		if (access->groups[i].gid == gid)
			may |= access->groups[i].may;
	return may;
}

/* Beside its first group a process has any number of others (65,536 in Linux). */
static unsigned may_of_others(const struct ipspd_access *access, int fd)
{
	gid_t some[64], *gids = some;
	socklen_t n = sizeof(some);
	unsigned may = 0;
	int err = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &n);

	if (err != 0 && errno == ERANGE) { /* then n is what is needed */
		gids = malloc(n);
		err = gids ? getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &n) : -1;
	}
	for (size_t i = 0; err == 0 && i < n / sizeof(*gids); i++)
		may |= may_of(access, gids[i]);
	if (gids != some)
		free(gids);
	return may;
}

unsigned ipspd_access_may(int fd, const struct ipspd_access *access)
{
	struct ucred who = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t n = sizeof(who);

	if (!access->by_group)
		return IPSPD_MAY_ALL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
		return 0;
	if (who.uid == 0 || who.uid == geteuid())
		return IPSPD_MAY_ALL;
	return may_of(access, who.gid) | may_of_others(access, fd);
}
