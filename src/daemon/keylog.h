/*
 * keylog - for whoever looks for a fault on the wire: the keys of each session, in a file of their
 * own, with which docs/wireshark/ipsp.lua opens a capture. Asked for on the command line alone.
 *
 * A line for each session and context: "ipsp", the tag of the session, this side's address and
 * port, the keys of what it sends and of what it receives, the context.
 */
#ifndef IPSPD_KEYLOG_H
#define IPSPD_KEYLOG_H

#include <stddef.h>

struct ipspd_ctx;

/*
 * 0, or -1 and @why: the file or its directory is not for its owner alone. The file is made where
 * there is none, and gets longer where there is one.
 */
int ipspd_keylog_open(const char *path, char *why, size_t n_why);
int ipspd_keylog_fd(void); /* -1: none is written */
/* Writes what is new of @ctx, after each of its turns and before its datagrams go out. */
void ipspd_keylog_see(struct ipspd_ctx *ctx);
void ipspd_keylog_close(void);

#endif
