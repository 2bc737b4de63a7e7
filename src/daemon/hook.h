/*
 * hook - the operator's executable, called with what happened in its environment.
 *
 * The daemon never waits for it. What only tells is run one call after the other, so that calls
 * come in the order of what happened; one that runs longer than 30 s is killed. A takeover-check
 * runs at once, beside the others, and always ends in an answer: yes for exit code 0, else no.
 */
#ifndef IPSPD_HOOK_H
#define IPSPD_HOOK_H

#include "daemon/ctx.h"

struct ipspd_hooks;

/* @launcher: the socket of launcher.h, which is theirs from now on; -1: there is none, and no hook
 * can be run. NULL: no memory. */
struct ipspd_hooks *ipspd_hooks_new(struct ipspd *daemon, int launcher);
void ipspd_hooks_limit(struct ipspd_hooks *hooks, uint32_t limit_ms); /* instead of the 30 s */
void ipspd_hooks_free(struct ipspd_hooks *hooks); /* running ones are left alone; NULL is fine */

/* Calls @each with a sentence on what is wrong with the hook, if anything is; and where a takeover
 * of
 * @ctx is @vetoed, on why. */
void ipspd_hooks_say(const struct ipspd_ctx *ctx, bool vetoed,
		     void (*each)(void *arg, const char *text), void *arg);

/* Another configuration is in force, and its file may name another hook. */
void ipspd_hooks_reloaded(struct ipspd_hooks *hooks);

/* For IPSP_OUT_HOOK. Without a hook in the configuration a takeover-check is answered with yes in
 * the next turn. */
void ipspd_hooks_run(struct ipspd_hooks *hooks, struct ipspd_ctx *ctx, const struct ipsp_out *out);
void ipspd_hooks_forget(struct ipspd_hooks *hooks, const struct ipspd_ctx *ctx); /* it is removed */

#endif
