/*
 * smallbuf - a system that leaves a daemon a small receive buffer, for LD_PRELOAD: whatever it asks
 * for, it gets room for some twenty hellos.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

#define ASKED 8192 /* the kernel doubles it */

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	static int (*real)(int, int, int, const void *, socklen_t);
	int asked = ASKED;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
	if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE))
		return real(fd, level, SO_RCVBUF, &asked, sizeof(asked));
	return real(fd, level, name, value, n);
}
