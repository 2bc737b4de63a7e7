/* trust: who else can read a secret, by its mode or by its access list. */
#define _GNU_SOURCE /* setgroups, setresuid */
#include "base/err.h"
#include "daemon/keyfile.h"
#include "daemon/trust.h"
#include <endian.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DAEMON 65533
#define OTHER  65532

struct entry { /* of an access list, beside owner, group, mask and others */
	unsigned tag, perm, id;
};

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ipspd-trust-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/secret", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void make(mode_t mode, uid_t uid, gid_t gid)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(dprintf(fd, "0123456789abcdef0123456789abcdef\n") > 0);
	assert_int_equal(fchown(fd, uid, gid), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void allow(const struct entry *entries, size_t n, unsigned group)
{
	struct {
		struct posix_acl_xattr_header head;
		struct posix_acl_xattr_entry e[16];
	} list = {.head.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
	struct entry all[16] = {{ACL_USER_OBJ, ACL_READ, 0}};
	size_t k = 1;

	for (size_t i = 0; i < n && entries[i].tag == ACL_USER; i++)
		all[k++] = entries[i];
	all[k++] = (struct entry){ACL_GROUP_OBJ, group, 0};
	for (size_t i = 0; i < n; i++)
		if (entries[i].tag == ACL_GROUP)
			all[k++] = entries[i];
	all[k++] = (struct entry){ACL_MASK, ACL_READ | ACL_WRITE, 0};
	all[k++] = (struct entry){ACL_OTHER, 0, 0};
	for (size_t i = 0; i < k; i++)
		list.e[i] = (struct posix_acl_xattr_entry){
			htole16((uint16_t)all[i].tag), htole16((uint16_t)all[i].perm),
			htole32(all[i].id ? all[i].id : (unsigned)ACL_UNDEFINED_ID)};
	assert_int_equal(setxattr(path, "system.posix_acl_access", &list,
				  sizeof(list.head) + k * sizeof(list.e[0]), 0),
			 0);
}

/* Whether the daemon, as its own user, takes the file for a secret. */
static bool taken(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n;
		char why[IPSPD_WHY_MAX];
		if (setgroups(0, NULL) != 0 || setresgid(DAEMON, DAEMON, DAEMON) != 0 ||
		    setresuid(DAEMON, DAEMON, DAEMON) != 0)
			_exit(9);
		_exit(ipspd_keyfile_keys(path, keys, &n, why) == 0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	return WEXITSTATUS(status);
}

static void by_its_mode(void **state)
{
	static const struct {
		mode_t mode;
		uid_t uid;
		gid_t gid;
		bool good;
	} cases[] = {
		{0400, DAEMON, DAEMON, true},  {0600, DAEMON, OTHER, true},
		{0440, 0, DAEMON, true},       {0640, DAEMON, 0, true},
		{0440, DAEMON, OTHER, false},  {0444, DAEMON, DAEMON, false},
		{0660, DAEMON, DAEMON, false}, {0600, OTHER, DAEMON, false},
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(cases[i].mode, cases[i].uid, cases[i].gid);
		assert_int_equal(taken(), cases[i].good);
	}
}

static void by_its_access_list(void **state)
{
	static const struct {
		struct entry entry;
		unsigned group;
		bool good;
	} cases[] = {
		/* as systemd lays a credential: root's, readable by the unit's user */
		{{ACL_USER, ACL_READ, DAEMON}, 0, true},
		{{ACL_USER, ACL_READ, DAEMON}, ACL_READ, true}, /* the group is root's */
		{{ACL_GROUP, ACL_READ, DAEMON}, 0, true},
		{{ACL_USER, ACL_READ | ACL_WRITE, DAEMON}, 0, false},
	};
	static const struct entry strangers[][2] = {
		{{ACL_USER, ACL_READ, DAEMON}, {ACL_USER, ACL_READ, OTHER}},
		{{ACL_USER, ACL_READ, DAEMON}, {ACL_GROUP, ACL_READ, OTHER}},
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(0400, 0, 0);
		allow(&cases[i].entry, 1, cases[i].group);
		assert_int_equal(taken(), cases[i].good);
	}
	for (size_t i = 0; i < 2; i++) {
		make(0400, 0, 0);
		allow(strangers[i], 2, 0);
		assert_false(taken());
	}
}

static void root_looks_for_the_daemon(void **state)
{
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n;
	char why[IPSPD_WHY_MAX];
	const struct passwd *user = getpwnam("nobody");

	(void)state;
	if (geteuid() != 0 || !user) {
		skip();
		return;
	}
	make(0600, user->pw_uid, user->pw_gid);
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n, why), IPSP_ERR_INVALID);
	ipspd_trust_test("nobody", true);
	assert_true(ipspd_trust_testing());
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n, why), 0);
	assert_false(ipspd_trust_hidden(path));
	make(0600, 0, 0);
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n, why), 0);
	assert_true(ipspd_trust_hidden(path));
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), getgid());
	make(0600, OTHER, OTHER);
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n, why), IPSP_ERR_INVALID);
	ipspd_trust_test("no-such-user", true);
	assert_false(ipspd_trust_hidden(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_its_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(by_its_access_list, setup, teardown),
		cmocka_unit_test_setup_teardown(root_looks_for_the_daemon, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
