#include "daemon/access.h"
#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdbool.h>
#include <stdint.h>
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
