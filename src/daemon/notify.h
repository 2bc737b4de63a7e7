/*
 * notify - tells systemd how the daemon does (sd_notify(3)'s protocol on its datagram socket).
 *
 * Without NOTIFY_SOCKET in the environment every call does nothing.
 */
#ifndef IPSPD_NOTIFY_H
#define IPSPD_NOTIFY_H

#include <stdbool.h>

/*
 * What systemd put into the environment is inherited by whatever a service starts, a terminal's
 * shell included. So each is believed only where it is about this process: JOURNAL_STREAM names the
 * device and inode of the journal's stream.
 */
bool ipspd_notify_supervised(void); /* systemd, or its like, has started this process itself */
bool ipspd_notify_is_journal(int fd);

struct event_base;
struct ipspd_notify;

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; pets the watchdog from @base's loop. NULL:
 * no memory. */
struct ipspd_notify *ipspd_notify_new(struct event_base *base);
void ipspd_notify_free(struct ipspd_notify *notify); /* NULL is fine */

void ipspd_notify_ready(struct ipspd_notify *notify); /* at the start, and after a reload */
void ipspd_notify_reloading(struct ipspd_notify *notify);
void ipspd_notify_stopping(struct ipspd_notify *notify);
void ipspd_notify_status(struct ipspd_notify *notify, const char *text); /* one line */

#endif
