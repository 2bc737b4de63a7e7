/*
 * hookwatch - whether the hook can be used at all: it is looked at every few seconds, and after
 * each call. Without that an operator learns of a hook that has gone when a takeover is vetoed by
 * it.
 */
#ifndef IPSPD_HOOKWATCH_H
#define IPSPD_HOOKWATCH_H

#include "daemon/ctx.h"

struct ipspd_hookwatch;

struct ipspd_hookwatch *ipspd_hookwatch_new(struct ipspd *daemon); /* NULL: no memory */
void ipspd_hookwatch_free(struct ipspd_hookwatch *watch);	   /* NULL is fine */

/* Looks at the file now, as it does by itself. */
void ipspd_hookwatch_look(struct ipspd_hookwatch *watch);

/* A call did not run, or did not end by itself: @what as a clause behind the hook's name ("can't be
 * run: Exec format error"), which the log has already. It holds until a call works, or the file is
 * another one. */
void ipspd_hookwatch_failed(struct ipspd_hookwatch *watch, const char *what);
void ipspd_hookwatch_worked(struct ipspd_hookwatch *watch);

/* What is wrong, as a sentence; NULL: nothing is known to be. Borrowed until the next call. */
const char *ipspd_hookwatch_fault(const struct ipspd_hookwatch *watch);

#endif
