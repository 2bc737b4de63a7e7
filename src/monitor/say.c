#include "monitor/say.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void monitor_say(const char *format, ...)
{
	va_list args;

	fputs("ipsp-monitor: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int64_t monitor_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
