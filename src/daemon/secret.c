#include "daemon/secret.h"
#include "daemon/log.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A sanitizer looks for leaks by tracing its own process, which must be allowed then. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACED_BY_ITSELF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRACED_BY_ITSELF 1
#endif
#endif
#ifndef TRACED_BY_ITSELF
#define TRACED_BY_ITSELF 0
#endif

static int refused; /* errno of the first lock that was */

void ipspd_secret_process(void)
{
	struct rlimit none = {0};

	/* the hard limit stays: a hook may want a core of its own programs */
	if (getrlimit(RLIMIT_CORE, &none) == 0) {
		none.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &none);
	}
	if (!TRACED_BY_ITSELF)
		prctl(PR_SET_DUMPABLE, 0);
}

void ipspd_secret_memory(const void *p, size_t n)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p / page * page;
	const size_t whole = (size_t)(((uintptr_t)p + n + page - 1) / page * page - from);

	if (!p || n == 0)
		return;
	if (mlock((const void *)from, whole) != 0 && !refused)
		refused = errno;
	madvise((void *)from, whole, MADV_DONTDUMP);
}

void ipspd_secret_tell(void)
{
	static bool told;

	if (!refused || told)
		return;
	told = true;
	ipspd_log(
		IPSP_LOG_WARNING,
		"secrets may be swapped: their memory can't be locked: %s. Allow it: LimitMEMLOCK= "
		"in the unit, ulimit -l in a shell; 16 KiB a context are enough",
		strerror(refused));
}
