/*
 * loop - the turn: what callbacks have enqueued is stepped, written, and only then told.
 *
 * node.h says what a turn owes to a node. All contexts share one write and one flush.
 */
#ifndef IPSPD_LOOP_H
#define IPSPD_LOOP_H

#include "daemon/ctx.h"

struct ipspd_loop;
struct ipspd_disk;
struct ipspd_measure;

/* Takes SIGHUP, SIGTERM, SIGINT, and the store's news, into the daemon's event base. NULL: no
 * memory. */
struct ipspd_loop *ipspd_loop_new(struct ipspd *daemon);
void ipspd_loop_free(struct ipspd_loop *loop); /* NULL is fine */

/* One turn without waiting for anything: the first, which starts the nodes. */
void ipspd_loop_turn(struct ipspd *daemon);

/* Until the daemon was stopped (0), or failed (1; the reason is in the log, and nothing that failed
 * was told). */
int ipspd_loop_run(struct ipspd *daemon);

/* A context that a reload removed: out of sight at once, freed before the next turn. */
void ipspd_loop_remove(struct ipspd *daemon, struct ipspd_ctx *ctx);

const struct ipspd_disk *ipspd_loop_disk(const struct ipspd *daemon);	    /* disk.h */
const struct ipspd_measure *ipspd_loop_measure(const struct ipspd *daemon); /* measure.h */

/* For what can't be gone on with; said once. */
void ipspd_fail(struct ipspd *daemon, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
