/*
 * group - the number of a group by its name, without waiting: where groups come from (a directory
 * service, say) may take as long as it likes.
 */
#ifndef IPSPD_GROUP_H
#define IPSPD_GROUP_H

#include <stddef.h>
#include <sys/types.h>

struct event_base;
struct ipspd_group; /* a question that is open */

/* In the loop: @gid is (gid_t)-1 where there is no such group, or it can't be found out now. The
 * question is freed then. */
typedef void ipspd_group_fn(void *arg, gid_t gid);

/* NULL: no memory, or no thread. */
struct ipspd_group *ipspd_group_ask(struct event_base *base, const char *name, ipspd_group_fn *fn,
				    void *arg);
void ipspd_group_cancel(struct ipspd_group *group); /* no answer comes; NULL is fine */

#endif
