/*
 * syscalls - the system calls that the daemon makes once it has started, by name.
 *
 * tests/lint/syscalls.py compares these lists with the calls that were seen while the system tests
 * ran (tests/lint/syscalls.seen), and with the filter of the unit. A name that libseccomp doesn't
 * know is left out.
 */
#ifndef IPSPD_SYSCALLS_H
#define IPSPD_SYSCALLS_H

/* clang-format off */

/* It was seen to make them. */
static const char *const ipspd_syscalls_seen[] = {
	"accept4", "bind", "brk", "chmod", "chown", "clock_nanosleep", "close", "connect",
	"epoll_create1", "epoll_ctl", "epoll_wait", "eventfd2", "exit", "exit_group",
	"faccessat2", "fchmod", "fcntl", "fdatasync", "fgetxattr", "flock", "fsync",
	"ftruncate", "futex", "getdents64", "getegid", "geteuid", "getgid", "getpid",
	"getrandom", "getsockname", "getsockopt", "getuid", "listen", "lseek", "madvise",
	"mkdir", "mlock", "mremap", "munmap", "newfstatat", "openat", "pipe2", "pread64",
	"pwrite64", "read", "readlink", "readlinkat", "recvfrom", "recvmmsg", "recvmsg",
	"rename", "renameat", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "setsockopt",
	"setxattr", "sysinfo", "umask", "uname", "unlink", "unlinkat", "write"};

/*
 * Another C library, processor or kernel has them in the place of one above; or they belong to what
 * no system test does to a daemon that it traces: a name server that is asked over TCP, a group
 * that comes late, a stop of the process, an abort.
 */
static const char *const ipspd_syscalls_unseen[] = {
	"accept", "access", "chdir", "clock_getres", "clock_gettime", "dup", "dup2", "dup3",
	"epoll_create", "epoll_pwait", "epoll_pwait2", "faccessat", "fallocate", "fchmodat",
	"fchmodat2", "fchown", "fchownat", "fstat", "fstatfs", "futex_waitv", "getcwd",
	"getgroups", "getpeername", "getrlimit", "gettid", "gettimeofday", "getxattr", "lstat",
	"mkdirat", "mlock2", "munlock", "nanosleep", "open", "pipe", "poll", "ppoll", "preadv",
	"pselect6", "pwritev", "readv", "renameat2", "rt_sigpending", "rt_sigtimedwait",
	"sched_getaffinity", "sched_yield", "select", "shutdown", "sigaltstack", "stat",
	"statfs", "statx", "sync_file_range", "time", "wait4", "writev"};

/* With some arguments only: see sandbox.c. clone: threads. */
#define IPSPD_SYSCALLS_PARTLY                                                                      \
	"clone", "ioctl", "mmap", "mprotect", "prctl", "prlimit64", "socket", "socketpair", "tgkill"

/* Nothing but an attack makes them: the process is killed at once. */
static const char *const ipspd_syscalls_deadly[] = {
	/* other programs, users, processes, and the kernel itself */
	"add_key", "bpf", "capset", "chroot", "delete_module", "execve", "execveat",
	"finit_module", "fork", "init_module", "io_uring_setup", "kexec_file_load",
	"kexec_load", "keyctl", "mount", "move_mount", "open_by_handle_at", "perf_event_open",
	"pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace",
	"reboot", "request_key", "setgid", "setgroups", "setns", "setresgid", "setresuid",
	"setuid", "swapon", "umount2", "unshare", "userfaultfd", "vfork"};

/* clang-format on */

#endif
