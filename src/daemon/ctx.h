/*
 * ctx - the daemon and its contexts, as the parts of the daemon see one another.
 *
 * One process, one thread that decides (the store's flusher only flushes). Every part hangs on
 * libevent's loop of `struct ipspd`. Callbacks only enqueue, by ipspd_post(); the turn (loop.c)
 * steps the nodes and hands their outs to the parts. Nothing but loop.c steps a node; all others
 * only look at it (ipsp_node_status and what stands beside it), which is allowed at any time
 * outside of the turn.
 */
#ifndef IPSPD_CTX_H
#define IPSPD_CTX_H

#include "core/node.h"
#include "daemon/log.h"
#include "daemon/udp.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct ipspd_config;   /* config.h */
struct ipspd_ctl;      /* ctl.h */
struct ipspd_snmp;     /* snmp.h */
struct ipspd_store;    /* store.h */
struct ipspd_hooks;    /* hook.h */
struct ipspd_notify;   /* notify.h */
struct ipspd_keywatch; /* keywatch.h */
struct ipspd_loop;     /* loop.h */
struct ipspd_lacks;    /* lacks.h */
struct ipspd_events;   /* events.h */

/* ---------------------------------------------------------------- the inbox */

struct ipspd_chunk;

struct ipspd_inbox { /* events with everything that they borrow; memory is kept between turns */
	struct ipsp_event *events;
	size_t n_events, cap_events, n_confs; /* events with a configuration */
	bool commands;			      /* there are some of these, or of IPSP_EV_COMMAND */
	struct ipspd_chunk *first, *chunk; /* texts and bytes: a chain of chunks that never move */
};

/* inbox.c */
/* Copies @ev; false: no memory. Texts and bytes live until it is cleared. */
bool ipspd_inbox_put(struct ipspd_inbox *inbox, const struct ipsp_event *ev);
/*
 * Reads REQUEST and RELEASE frames of an HA straight into events, as many as stand at the beginning
 * of @bytes, and returns the length of these. It ends at whatever is not a whole one of them in
 * plain ASCII, or when memory runs out: from there on the bytes are read frame by frame
 * (ipsp_ctl_next), and what they are is said there.
 */
size_t ipspd_inbox_read(struct ipspd_inbox *inbox, uint64_t token, const uint8_t *bytes, size_t n);
void ipspd_inbox_clear(struct ipspd_inbox *inbox); /* most of the memory is kept */
void ipspd_inbox_fini(struct ipspd_inbox *inbox);

/* ---------------------------------------------------------------- one context */

struct ipspd_ctx {
	struct ipspd *daemon;
	char name[IPSP_NAME_MAX];
	struct ipsp_node *node;
	struct ipsp_context_conf
		conf;	       /* as last read from the file; in force is ipsp_node_status().conf */
	uint32_t store_number; /* its number in the store */
	struct ipspd_ctx *queue_next, *turn_next; /* see struct ipspd; of the present turn */
	bool queued;
	ipsp_ms due;		  /* of its node, which only a step changes */
	struct ipspd_inbox inbox; /* for the next turn */
	struct ipspd_inbox work;  /* of the present turn */
	struct ipsp_actions act;
	struct ipspd_udp_stats closed_udp_stats;
	struct ipspd_udp *udp; /* NULL while the mode opens no socket */
	int lease_fd;	       /* -1: not open */
	uint64_t told_seq;     /* the last IPSP_EV_FLUSHED */
	bool was_stored;       /* the store had records of it */
	bool started;	       /* ipsp_node_start was called */
	bool look;	       /* its state may have changed: has it the socket that it needs? */
	bool drains;	       /* its end is to be said */
	ipsp_ms drain_look;    /* when that is looked at again */
	bool stopped;	       /* IPSP_OUT_STOPPED was seen */
	char veto[560];	       /* why the hook's last answer was no; "": it was yes */
	uint32_t keys_logged[IPSP_SESSIONS_MAX]; /* tags, see keylog.h */
};

/* NULL: no memory. Made from @conf (copied), with a node that has nothing replayed yet. */
struct ipspd_ctx *ipspd_ctx_new(struct ipspd *daemon, const struct ipsp_context_conf *conf);
void ipspd_ctx_free(struct ipspd_ctx *ctx);
void ipspd_ctx_close_udp(struct ipspd_ctx *ctx);
struct ipspd_udp_stats ipspd_ctx_udp_stats(const struct ipspd_ctx *ctx); /* of all its sockets */
int ipspd_ctx_renew_node(struct ipspd_ctx *ctx); /* drops what was replayed; 0, or IPSP_ERR_NOMEM */
/* Where it isn't open yet. 0, or IPSP_ERR_IO with errno. */
int ipspd_ctx_open_lease(struct ipspd_ctx *ctx);
bool ipspd_ctx_add(struct ipspd *daemon,
		   struct ipspd_ctx *ctx); /* to the daemon's list; false: no memory */
/* Both sides own dynamic addresses, or some are on their way. */
bool ipspd_ctx_shared_out(const struct ipspd_ctx *ctx);

/* ---------------------------------------------------------------- the daemon */

struct ipspd {
	struct event_base *base;
	const char *config_path;
	const char *socket_path;     /* of -s, or NULL: then what the configuration says */
	struct ipspd_config *config; /* in force */
	struct ipspd_ctx *
		*ctxs; /* n_ctxs; each stays where it is until it is removed by a reload */
	size_t n_ctxs;
	struct ipspd_ctx *queue, **queue_end; /* those with something to do in the next turn, in the
						 order in which they got it */
	struct ipspd_store *store;
	struct ipspd_ctl *ctl; /* these may be NULL: not configured, or not yet there */
	struct ipspd_snmp *snmp;
	int launcher; /* see launcher.h; from the start on it is the hooks' */
	struct ipspd_hooks *hooks;
	struct ipspd_notify *notify;
	struct ipspd_keywatch *keywatch;
	struct ipspd_loop *loop;
	struct ipspd_lacks *lacks;
	struct ipspd_events *events;
	uint64_t started_ms; /* ipspd_now() of the start */
	bool stopping;	     /* SIGTERM was taken: no new client is worth accepting */
	bool failed; /* memory, a write or a flush failed: nothing more is told, the loop ends */
};

/* The context of that name; NULL or "": the only one. NULL: none of that name, or not only one. */
struct ipspd_ctx *ipspd_ctx_find(struct ipspd *daemon, const char *name);

/* The next turn steps it: its inbox has something, or its time has come, or it is new. */
void ipspd_queue(struct ipspd_ctx *ctx);
void ipspd_unqueue(struct ipspd_ctx *ctx);

/*
 * Copies @ev, with every text, byte and configuration it points to, into the inbox of the next turn
 * and makes sure that a turn comes. Events of one context keep their order. When memory runs out
 * the daemon stops, as for a failed write: nothing was told. Callable from any callback, also
 * within a turn (then for the turn after it).
 */
void ipspd_post(struct ipspd_ctx *ctx, const struct ipsp_event *ev);

/* Makes sure that a turn comes, and with it ipspd_ctl_flush(), though nothing was posted (a show
 * was asked for). */
void ipspd_wake(struct ipspd *daemon);

/* CLOCK_BOOTTIME in milliseconds: the only clock that rules go by. */
ipsp_ms ipspd_now(void);

/*
 * Reads the file again: all of it is taken, or none of it. To be called at the end of a turn: an
 * event that waits then might make a node refuse what it has just found good. Returns 0, or an
 * error of ipsp.h (IPSP_ERR_INVALID, IPSP_ERR_SHARED_OUT, IPSP_ERR_STILL_USED) with every reason in
 * @why, a line each, NUL-terminated.
 */
int ipspd_reload(struct ipspd *daemon, char *why, size_t n_why);
/* The same for SIGHUP: systemd is told, and the log has the reasons. */
void ipspd_reload_hup(struct ipspd *daemon);

/* Writes the running configuration to the file it was read from (aside, flushed, renamed). 0 or
 * IPSP_ERR_IO, with @why. */
int ipspd_save(struct ipspd *daemon, char *why, size_t n_why);

#endif
