/* access: groups that the owner is not in can open its socket, others can't. */
#define _GNU_SOURCE /* setgroups, setresuid */
#include "daemon/access.h"
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define OWNER	 65533
#define OPERATOR 65532
#define OPS	 61001 /* groups that nobody needs to know by name */
#define GATEWAYS 61002
#define OTHERS	 61003

static char dir[64];
static struct sockaddr_un addr = {.sun_family = AF_UNIX};

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ipspd-access-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control", dir);
	return geteuid() == 0 ? chown(dir, OWNER, OWNER) : 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(addr.sun_path);
	return rmdir(dir);
}

static void become(uid_t uid, gid_t extra)
{
	if (setgroups(extra ? 1 : 0, &extra) != 0 || setresgid(uid, uid, uid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		_exit(99);
}

/* As the owner: the socket, as the daemon makes it, and then the groups. */
static int give(const gid_t *gids, size_t n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status;
	pid_t pid;

	unlink(addr.sun_path);
	pid = fork();
	if (pid == 0) {
		become(OWNER, 0);
		umask(0177);
		if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
		    listen(fd, 8) != 0)
			_exit(98);
		_exit(ipspd_access_groups(addr.sun_path, gids, n));
	}
	waitpid(pid, &status, 0);
	close(fd);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What connect() says to an operator who is in one more group: ECONNREFUSED is behind the door. */
static int knock(gid_t extra)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		become(OPERATOR, extra);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void a_group_that_the_owner_is_not_in(void **state)
{
	const gid_t gid = OPS;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(give(&gid, 1), 0);
	assert_int_equal(knock(OPS), ECONNREFUSED);
	assert_int_equal(knock(0), EACCES);
	assert_int_equal(knock(OTHERS), EACCES);
	assert_int_equal(knock(OWNER), EACCES); /* its own group was not named */
}

static void its_own_group(void **state)
{
	const gid_t gid = OWNER;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(give(&gid, 1), 0);
	assert_int_equal(knock(OWNER), ECONNREFUSED);
	assert_int_equal(knock(0), EACCES);
	assert_int_equal(stat(addr.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, OWNER);
}

static void several_groups(void **state)
{
	const gid_t gids[] = {OPS, GATEWAYS};
	const gid_t many[IPSPD_ACCESS_GROUPS + 1] = {OPS};

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(give(gids, 2), 0);
	assert_int_equal(knock(OPS), ECONNREFUSED);
	assert_int_equal(knock(GATEWAYS), ECONNREFUSED);
	assert_int_equal(knock(OTHERS), EACCES);
	assert_int_equal(give(many, IPSPD_ACCESS_GROUPS + 1), E2BIG);
	assert_int_equal(knock(OPS), EACCES);
	assert_int_equal(ipspd_access_groups("/nonexistent/x", gids, 2), ENOENT);
}

/* What an operator may who is in @n groups beside @first, and has connected. */
static unsigned may(const struct ipspd_access *access, uid_t uid, gid_t first, const gid_t *gids,
		    size_t n)
{
	int ours = socket(AF_UNIX, SOCK_STREAM, 0), fd, status;
	unsigned found;
	pid_t pid;

	unlink(addr.sun_path);
	assert_int_equal(bind(ours, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(chmod(addr.sun_path, 0666), 0);
	assert_int_equal(listen(ours, 8), 0);
	pid = fork();
	if (pid == 0) {
		if (setgroups(n, gids) != 0 || setresgid(first, first, first) != 0 ||
		    setresuid(uid, uid, uid) != 0)
			_exit(99);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	fd = accept(ours, NULL, NULL);
	assert_true(fd >= 0);
	found = ipspd_access_may(fd, access);
	close(fd);
	close(ours);
	return found;
}

static void members_may_what_their_groups_may(void **state)
{
	struct ipspd_access access = {.by_group = true,
				      .groups = {{OPS, IPSPD_MAY_ALL},
						 {GATEWAYS, IPSPD_MAY_SERVE},
						 {OTHERS, IPSPD_MAY_LOOK}},
				      .n = 3};
	const gid_t two[] = {OTHERS, GATEWAYS}, all[] = {GATEWAYS, OPS};
	gid_t many[300];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(may(&access, OPERATOR, OPERATOR, NULL, 0), 0);
	assert_int_equal(may(&access, OPERATOR, OPS, NULL, 0), IPSPD_MAY_ALL);
	assert_int_equal(may(&access, OPERATOR, GATEWAYS, NULL, 0), IPSPD_MAY_SERVE);
	assert_int_equal(may(&access, OPERATOR, OPERATOR, two, 1), IPSPD_MAY_LOOK);
	assert_int_equal(may(&access, OPERATOR, OPERATOR, two, 2),
			 IPSPD_MAY_LOOK | IPSPD_MAY_SERVE);
	assert_int_equal(may(&access, OPERATOR, OPERATOR, all, 2), IPSPD_MAY_ALL);
	assert_int_equal(may(&access, 0, 0, NULL, 0), IPSPD_MAY_ALL);
	for (gid_t i = 0; i < 300; i++)
		many[i] = 70000 + i;
	assert_int_equal(may(&access, OPERATOR, OPERATOR, many, 300), 0);
	many[299] = GATEWAYS;
	assert_int_equal(may(&access, OPERATOR, OPERATOR, many, 300), IPSPD_MAY_SERVE);
	access.n = 0; /* none of the groups is there yet */
	assert_int_equal(may(&access, OPERATOR, GATEWAYS, NULL, 0), 0);
	access.by_group =
		false; /* whoever gets in may do everything, as before there were levels */
	assert_int_equal(may(&access, OPERATOR, OPERATOR, NULL, 0), IPSPD_MAY_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_group_that_the_owner_is_not_in, setup, teardown),
		cmocka_unit_test_setup_teardown(its_own_group, setup, teardown),
		cmocka_unit_test_setup_teardown(several_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(members_may_what_their_groups_may, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
