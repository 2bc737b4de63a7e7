/*
 * keywatch - key files that have changed since they were read: their secrets come into force by a
 * reload, or, when nobody thinks of it any more, by the next start. It is said as soon as it is so.
 */
#ifndef IPSPD_KEYWATCH_H
#define IPSPD_KEYWATCH_H

#include "daemon/ctx.h"

struct ipspd_keywatch *ipspd_keywatch_new(struct ipspd *daemon); /* NULL: no memory */
void ipspd_keywatch_free(struct ipspd_keywatch *watch);

/* The files were read: what was found of the former ones is void. */
void ipspd_keywatch_reloaded(struct ipspd_keywatch *watch);

/*
 * Looks at the files now, as it does by itself each few seconds. Callable within the loop's thread.
 */
void ipspd_keywatch_look(struct ipspd_keywatch *watch);

/* What is wrong with the key file of that context, as a clause ("FILE has other secrets ...");
 * NULL: nothing is known to be. Borrowed until the next look. */
const char *ipspd_keywatch_fault(const struct ipspd_keywatch *watch, const char *context);

#endif
