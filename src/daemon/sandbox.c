#define _GNU_SOURCE /* setresuid, CLONE_THREAD */
#include "daemon/sandbox.h"
#include "daemon/log.h"
#include "daemon/syscalls.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef IPSPD_SECCOMP
#include <seccomp.h>
#endif

static struct {
	const char *no_filter; /* why; NULL: it is in force */
	int error;	       /* an errno with it */
	uint64_t had, kept;    /* capabilities */
} now;

bool ipspd_sandbox_user(const char *user, char *why, size_t n_why)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (!entry) {
		snprintf(why, n_why, "there is no user %s%s%s", user, errno ? ": " : "",
			 errno ? strerror(errno) : "");
		return false;
	}
	if (entry->pw_uid == getuid() && entry->pw_uid == geteuid())
		return true;
	if (initgroups(user, entry->pw_gid) == 0 &&
	    setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0 &&
	    setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0)
		return true;
	snprintf(why, n_why, "can't become user %s: %s; only root can", user, strerror(errno));
	return false;
}

/* ---------------------------------------------------------------- capabilities */

#define BIT(capability) ((uint64_t)1 << (capability))

static bool get_capabilities(uint64_t *permitted)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &head, data) != 0)
		return false;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return true;
}

static void set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
		{.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	for (int i = 0; i < 64; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0,
		      0); /* (an error where there is none of that number) */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &head, data);
}

/*
 * Root's alone: the group of the socket, and of a file that is saved; a port below 1024. Memory for
 * secrets is locked by the limit instead.
 */
static void drop_privileges(bool low_port)
{
	const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};

	if (!get_capabilities(&now.had))
		return;
	if (now.had & BIT(CAP_IPC_LOCK))
		setrlimit(RLIMIT_MEMLOCK, &any);
	now.kept = now.had & (BIT(CAP_CHOWN) | (low_port ? BIT(CAP_NET_BIND_SERVICE) : 0));
	set_capabilities(now.kept);
	get_capabilities(&now.kept);
}

/* ---------------------------------------------------------------- system calls */

/* A sanitizer traces, forks and maps as it likes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifdef IPSPD_SECCOMP
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define ALLOW(...)  (error = error ? error : seccomp_rule_add(filter, SCMP_ACT_ALLOW, __VA_ARGS__))

/* Nothing that can be written is run: code is mapped from files alone (the name service's). */
static int allow_memory(scmp_filter_ctx filter)
{
	int error = 0;

	ALLOW(SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	ALLOW(SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
	ALLOW(SCMP_SYS(mmap2), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	ALLOW(SCMP_SYS(mmap2), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
	ALLOW(SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return error;
}

static int allow_sockets(scmp_filter_ctx filter)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	static const unsigned long requests[] = {SIOCGIFINDEX, SIOCGIFNAME, FIONREAD,
						 FIONBIO,      TCGETS,	    TIOCGWINSZ};
	int error = 0;

	for (size_t i = 0; i < COUNT(families); i++)
		ALLOW(SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	ALLOW(SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	for (size_t i = 0; i < COUNT(requests); i++)
		ALLOW(SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]));
	return error;
}

/* Threads and no processes; itself and nobody else. clone3() hides what it is asked for, so the C
 * library has to go without it. */
static int allow_processes(scmp_filter_ctx filter, uint32_t deadly)
{
	const scmp_datum_t self = (scmp_datum_t)getpid();
	int error = 0;

	ALLOW(SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	ALLOW(SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self, 0));
	ALLOW(SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	ALLOW(SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_GET_DUMPABLE, 0));
	ALLOW(SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
	return error ? error
		     : seccomp_rule_add(filter, deadly, SCMP_SYS(clone), 1,
					SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
}

static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && !error; i++) {
		const int number = seccomp_syscall_resolve_name(names[i]);

		if (number != __NR_SCMP_ERROR)
			error = seccomp_rule_add(filter, action, number, 0);
	}
	return error;
}

static int add_rules(scmp_filter_ctx filter)
{
	/* (a kernel before 4.14, or a filter around this process, may have no such end) */
	const uint32_t deadly =
		seccomp_api_get() >= 3 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
	int error;

	error = add_names(filter, SCMP_ACT_ALLOW, ipspd_syscalls_seen, COUNT(ipspd_syscalls_seen));
	error = error ? error
		      : add_names(filter, SCMP_ACT_ALLOW, ipspd_syscalls_unseen,
				  COUNT(ipspd_syscalls_unseen));
	error = error ? error
		      : add_names(filter, deadly, ipspd_syscalls_deadly,
				  COUNT(ipspd_syscalls_deadly));
	error = error ? error : allow_memory(filter);
	error = error ? error : allow_sockets(filter);
	return error ? error : allow_processes(filter, deadly);
}

/*
 * A call that is on no list fails as one that the kernel doesn't have: a C library that is newer
 * than the list does without it then, and a host is not lost to an update.
 */
static void filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int error = filter ? add_rules(filter) : -ENOMEM;

	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
	if (!error)
		error = seccomp_load(filter);
	if (error) {
		now.no_filter = "the kernel or libseccomp refuses it";
		now.error = -error;
	}
	seccomp_release(filter);
}
#else
static void filter_calls(void)
{
	now.no_filter = "built without libseccomp";
}
#endif

/* ---------------------------------------------------------------- all of it */

void ipspd_sandbox_enter(bool low_port)
{
	drop_privileges(low_port);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		now.no_filter = "no new privileges: the kernel refuses it";
		now.error = errno;
	} else if (SANITIZED) {
		now.no_filter = "built with sanitizers";
	} else {
		filter_calls();
	}
}

void ipspd_sandbox_tell(void)
{
	const char *privileges = !now.had    ? "no privileges"
				 : !now.kept ? "no privileges any more"
					     : "no privileges any more but those named in ipspd(8)";

	if (now.no_filter)
		ipspd_log(SANITIZED ? IPSP_LOG_NOTICE : IPSP_LOG_WARNING,
			  "its own filter of system calls is not in force: %s%s%s; it has %s",
			  now.no_filter, now.error ? ": " : "",
			  now.error ? strerror(now.error) : "", privileges);
	else
		ipspd_log(IPSP_LOG_INFO, "its filter of system calls is in force; it has %s",
			  privileges);
}
