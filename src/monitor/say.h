/* say - lines for whoever runs ipsp-monitor: on standard error, which is the journal's. */
#ifndef MONITOR_SAY_H
#define MONITOR_SAY_H

#include <stdint.h>

void monitor_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t monitor_now(void); /* ms; goes on while the host sleeps, and never back */

#endif
