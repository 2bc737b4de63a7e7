/*
 * ctl - the control socket: a listening Unix stream socket, its clients, frames (base/ctlmsg.h) in,
 * events of the nodes out of them, and back.
 *
 * A client is an HA (attached under a name: a token of its own at the node), or an operator (no
 * token; commands, shows, one-shot requests). Reading posts events and queues lists and shows; what
 * the turn answers is buffered, and written once when it ends. Lists and shows are made at the end
 * of the turn, so that they know what was asked before them, in slices, as fast as the client takes
 * them.
 *
 * One client never costs the others more than its share: at most IPSPD_CTL_READ_ALL bytes are read
 * in a turn where there are several, an equal part of each user's clients; it is cut off when more
 * than IPSPD_CTL_UNREAD bytes wait for it to read them, when it sends what is no frame, when its
 * HELLO does not come, and when another connection attaches under its name. Neither do all clients
 * of one user: see ctl_user.c.
 */
#ifndef IPSPD_CTL_H
#define IPSPD_CTL_H

#include "daemon/config.h"
#include "daemon/ctx.h"
#include <sys/types.h>

#define IPSPD_CTL_CLIENTS  1024		/* connected at once; more wait in the backlog */
#define IPSPD_CTL_KEPT	   16		/* of these, for root and the daemon's own user */
#define IPSPD_CTL_HELLO_S  10		/* for a client's first word */
#define IPSPD_CTL_ACCEPTS  64		/* in one turn */
#define IPSPD_CTL_READ	   (256u << 10) /* bytes of a client in a turn, where it is alone */
#define IPSPD_CTL_READ_ALL (16u << 10)	/* ... of all, where there are several */
#define IPSPD_CTL_UNREAD   (4u << 20)	/* bytes */
#define IPSPD_CTL_JOBS_MS  1	/* of one turn, for the jobs of all clients: then the next turn */
#define IPSPD_CTL_JOBS	   64	/* lists, shows, reloads open for one client; more: overloaded */
#define IPSPD_CTL_OPS	   4096 /* commands and one-shot requests open for all operators */
#define IPSPD_CTL_OPS_ONE  1024 /* ... for one of them */
#define IPSPD_CTL_OPS_KEPT 256	/* ... for commands only */

/* Of one user, other than root and the daemon's own; and in sum, of those. */
#define IPSPD_CTL_CLIENTS_USER 256
#define IPSPD_CTL_SILENT_USER  64  /* HELLO has not come: then the oldest has 1 s for it */
#define IPSPD_CTL_SILENT       256 /* ... in sum */
#define IPSPD_CTL_OPS_USER     2048
#define IPSPD_CTL_HELD_USER    (16u << 20) /* bytes for clients that don't read, or send no end */
#define IPSPD_CTL_HELD	       (64u << 20) /* ... in sum, of everybody */

struct ipspd_ctl;

/*
 * Listens on @path: for @group, who may do everything, and the configuration's other groups; mode
 * 0600 where there is none. A socket that nobody
 * listens on any more is replaced. NULL, with the reason in @why: somebody does listen, or the
 * system's. A group that is not there is no reason: daemon->lacks goes on looking for it.
 */
struct ipspd_ctl *ipspd_ctl_new(struct ipspd *daemon, const char *path, const char *group,
				char *why, size_t n_why);
/* The members of @gid may use the socket from now on, for what their level is; false: they can't be
 * let in. */
bool ipspd_ctl_let_in(struct ipspd_ctl *ctl, enum ipspd_level level, gid_t gid);
/* Closes all clients and removes the socket; NULL is fine. */
void ipspd_ctl_free(struct ipspd_ctl *ctl);

/*
 * Buffers what clients are to be told: the answers at the beginning of @n outs (ANSWER, and DONE
 * without words to an HA), and how many these are; and one DONE, RELEASE, CANCELLED or STATE. No
 * other out.
 */
size_t ipspd_ctl_answers(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx,
			 const struct ipsp_out *outs, size_t n);
void ipspd_ctl_out(struct ipspd_ctl *ctl, struct ipspd_ctx *ctx, const struct ipsp_actions *act,
		   const struct ipsp_out *out);

/* At the beginning of every turn: reads from those clients that have sent something. */
void ipspd_ctl_read(struct ipspd_ctl *ctl);

/*
 * At the end of every turn: makes what lists and shows ask for, and one write for each client that
 * has something to read.
 */
void ipspd_ctl_flush(struct ipspd_ctl *ctl);

/* Before a context is removed by a reload: its HAs are told and closed. */
void ipspd_ctl_forget(struct ipspd_ctl *ctl, const struct ipspd_ctx *ctx);

#endif
