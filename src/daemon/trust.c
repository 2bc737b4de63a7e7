#define _GNU_SOURCE /* AT_EACCESS, setegid */
#include "daemon/trust.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAY_READ ((unsigned)ACL_READ)

static struct {
	bool on, as_user, tell;
	uid_t uid;
	gid_t gid;
} test;

void ipspd_trust_test(const char *user, bool tell)
{
	const struct passwd *entry = geteuid() == 0 ? getpwnam(user) : NULL;

	test.on = true;
	test.tell = tell;
	test.as_user = entry != NULL;
	if (!entry)
		return;
	test.uid = entry->pw_uid;
	test.gid = entry->pw_gid;
}

bool ipspd_trust_testing(void)
{
	return test.on;
}

bool ipspd_trusts_owner(uid_t owner)
{
	return owner == 0 || owner == geteuid() || (test.as_user && owner == test.uid);
}

static bool trusts_group(gid_t group)
{
	return group == 0 || group == getegid() || (test.as_user && group == test.gid);
}

/* An access list: the group bits of the mode are the most that it gives to anybody, then. */
struct list {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entries[32];
};

/* What the entry gives, and not to root or the daemon's user. */
static unsigned gives_others(const struct posix_acl_xattr_entry *entry, const struct stat *st)
{
	const unsigned perm = le16toh(entry->e_perm), id = le32toh(entry->e_id);

	switch (le16toh(entry->e_tag)) {
	case ACL_USER:
		return ipspd_trusts_owner(id) ? perm & ~MAY_READ : perm;
	case ACL_GROUP:
		return trusts_group(id) ? perm & ~MAY_READ : perm;
	case ACL_GROUP_OBJ:
		return trusts_group(st->st_gid) ? perm & ~MAY_READ : perm;
	case ACL_USER_OBJ: /* the owner, who is looked at elsewhere; a mask gives nothing */
	case ACL_MASK:
		return 0;
	default:
		return perm;
	}
}

/* A list can give to many what the mode shows as the group's; a credential of systemd is root's,
 * and the list gives it to the daemon's user. */
bool ipspd_trust_others_can(int fd, const struct stat *st)
{
	const unsigned mask = (st->st_mode & S_IRWXG) >> 3;
	struct list list;
	ssize_t n = fgetxattr(fd, "system.posix_acl_access", &list, sizeof(list));

	if (st->st_mode & S_IRWXO)
		return true;
	if (n < 0 && errno == ERANGE)
		return true;		    /* so many names are not only the daemon's */
	if (n < (ssize_t)sizeof(list.head)) /* no list: the mode says it all */
		return mask & (trusts_group(st->st_gid) ? ~MAY_READ : ~0U);
	for (size_t i = 0; i < ((size_t)n - sizeof(list.head)) / sizeof(list.entries[0]); i++)
		if (gives_others(&list.entries[i], st) & mask)
			return true;
	return false;
}

bool ipspd_trust_hidden(const char *path)
{
	bool hidden;

	if (!test.as_user || !test.tell || setegid(test.gid) != 0)
		return false;
	hidden = seteuid(test.uid) == 0 && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0;
	if (seteuid(0) != 0 || setegid(getgid()) != 0)
		abort(); /* it would go on as somebody else */
	return hidden;
}
