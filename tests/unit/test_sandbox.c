/* sandbox: what is left to a process that has entered it, each tried in a child of its own. */
#include "daemon/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The sandbox of a build with sanitizers has no filter. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(IPSPD_SECCOMP)
#define FILTERED 0
#else
#define FILTERED 1
#endif

typedef int try_fn(void); /* 0, or an errno */

/* How @try went inside: 0, an errno, or 1000 + the signal that ended it. */
static int inside(try_fn *try)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		ipspd_sandbox_enter(false);
		_exit(try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_exec(void)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int try_spawn(void)
{
	char name[] = "true", *const argv[] = {name, NULL};
	pid_t pid;

	return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL);
}

static int try_trace(void)
{
	return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0) == 0 ? 0 : errno;
}

static int try_capabilities(void)
{
	return syscall(SYS_capset, NULL, NULL) == 0 ? 0 : errno;
}

static int try_another_user(void)
{
	return setuid(0) == 0 ? 0 : errno;
}

static void deadly(void **state)
{
	static try_fn *const tries[] = {try_exec,  try_fork,	     try_spawn,
					try_trace, try_capabilities, try_another_user};

	(void)state;
	if (!FILTERED)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		assert_int_equal(inside(tries[i]), 1000 + SIGSYS);
}

static int try_raw_packets(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? 0 : errno;
}

static int try_kill(void)
{
	return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p != MAP_FAILED ? 0 : errno;
}

static int try_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 250;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
}

static int try_be_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1) == 0 ? 0 : errno;
}

static int try_type_for_a_person(void)
{
	return syscall(SYS_ioctl, STDIN_FILENO, 0x5412 /* TIOCSTI */, "x") == 0 ? 0 : errno;
}

static int try_type_with_high_bits(void) /* the kernel looks at the lower half */
{
	return syscall(SYS_ioctl, STDIN_FILENO, 0x100005412L, "x") == 0 ? 0 : errno;
}

static int try_what_nobody_knows(void)
{
	return syscall(463, 0, 0, 0) == 0 ? 0 : errno; /* setxattrat, of Linux 6.13 */
}

static void refused(void **state)
{
	static try_fn *const tries[] = {
		try_raw_packets,
		try_kill,
		try_code,
		try_code_later,
		try_be_dumpable,
		try_type_for_a_person,
		try_type_with_high_bits,
		try_what_nobody_knows,
	};

	(void)state;
	if (!FILTERED)
		skip();
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		assert_int_equal(inside(tries[i]), ENOSYS);
}

static void *thread(void *arg)
{
	int *told = arg;

	*told = 1;
	return NULL;
}

static int try_its_work(void)
{
	char path[] = "/tmp/sandbox-XXXXXX";
	pthread_t id;
	int fd = mkstemp(path), told = 0;

	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 || unlink(path) != 0)
		return 1;
	if (pthread_create(&id, NULL, thread, &told) != 0 || pthread_join(id, NULL) != 0 || !told)
		return 2;
	if (socket(AF_INET, SOCK_DGRAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0 ||
	    socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 0) < 0)
		return 3;
	void *p = malloc(64 << 20);
	if (!p || mlock(p, 4096) != 0)
		return 4;
	free(p);
	return 0;
}

static void its_work_is_left_to_it(void **state)
{
	(void)state;
	assert_int_equal(inside(try_its_work), 0);
}

static int try_abort(void)
{
	abort();
}

static void a_bug_ends_it_as_before(void **state)
{
	(void)state;
	assert_int_equal(inside(try_abort), 1000 + SIGABRT);
}

/* The line of /proc/self/status that begins with @name. */
static unsigned long long status_of(const char *name)
{
	char line[256];
	unsigned long long value = ~0ULL;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name), NULL, 16);
	if (file)
		fclose(file);
	return value;
}

static int try_privileges(void)
{
	const unsigned long long chown = 1;

	if (status_of("NoNewPrivs:") != 1)
		return 1;
	if (status_of("CapEff:") & ~chown || status_of("CapPrm:") & ~chown ||
	    status_of("CapInh:") != 0 || status_of("CapAmb:") != 0)
		return 2;
	if (geteuid() == 0 && status_of("CapBnd:") & ~chown && status_of("CapBnd:") != 0)
		return 3;
	return 0;
}

static void privileges_are_gone(void **state)
{
	(void)state;
	assert_int_equal(inside(try_privileges), 0);
}

static void nobody_becomes_another_user(void **state)
{
	char why[200] = "";

	(void)state;
	assert_false(ipspd_sandbox_user("no-such-user-here", why, sizeof(why)));
	assert_string_equal(why, "there is no user no-such-user-here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadly),
		cmocka_unit_test(refused),
		cmocka_unit_test(its_work_is_left_to_it),
		cmocka_unit_test(a_bug_ends_it_as_before),
		cmocka_unit_test(privileges_are_gone),
		cmocka_unit_test(nobody_becomes_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
