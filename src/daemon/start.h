/*
 * start - puts the daemon together from its configuration, and takes it apart.
 */
#ifndef IPSPD_START_H
#define IPSPD_START_H

#include "daemon/ctx.h"

/*
 * daemon->config, .config_path and .socket_path are set. Locks and reads the state directory,
 * starts every context, opens the sockets. 0, or an error with a sentence in @why; in both cases
 * the caller ends with ipspd_stop().
 */
int ipspd_start(struct ipspd *daemon, char *why, size_t n_why);

/* Closes everything, flushes the store; the configuration stays the caller's. */
void ipspd_stop(struct ipspd *daemon);

/* For reload.c: gives a context that is in the list already its number in the store. 0, or an
 * error. */
int ipspd_start_ctx(struct ipspd_ctx *ctx);

#endif
