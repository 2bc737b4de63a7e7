/*
 * lacks - what the configuration names and the host doesn't have yet: key files, passphrases of
 * sinks, the hook, the group of the control socket. It is said, looked for every few seconds, and
 * works without a restart once it is there; meanwhile only that part doesn't.
 */
#ifndef IPSPD_LACKS_H
#define IPSPD_LACKS_H

#include "daemon/config.h"
#include "daemon/ctx.h"

struct ipspd_lacks;

#define IPSPD_LACKS_MS 3000 /* how often it is looked */

/* NULL: no memory. */
struct ipspd_lacks *ipspd_lacks_new(struct ipspd *daemon);
void ipspd_lacks_free(struct ipspd_lacks *lacks); /* NULL is fine */

/* The configuration in force is another one (and at the start): contexts without a key don't talk
 * from here on. */
void ipspd_lacks_taken(struct ipspd_lacks *lacks);

/* The control socket is made: its group of that level is missing. */
void ipspd_lacks_group(struct ipspd_lacks *lacks, enum ipspd_level level);

/* Calls @each with a sentence for every lack of @ctx, or (NULL) of the daemon as a whole. */
void ipspd_lacks_say(const struct ipspd *daemon, const struct ipspd_ctx *ctx,
		     void (*each)(void *arg, const char *text), void *arg);

#endif
