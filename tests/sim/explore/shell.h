/*
 * shell - what carries the two nodes of a tiny world: turns, disks, the wire, time. A smaller
 * host.c: a turn has one event, an HA reads at once what it is told, and both clocks agree.
 */
#ifndef EXPLORE_SHELL_H
#define EXPLORE_SHELL_H

#include "tiny.h"

#define STORM 2000 /* turns within one act: something is due for ever */

/* One event, all that follows from it at once, and the judge. */
void shell_turn(struct tiny *w, struct side *s, const struct ipsp_event *ev);

/* The side that is due first, and when: NULL for none. */
struct side *shell_next_due(struct tiny *w, ipsp_ms *at);
/* Time goes on to @until: what is due until then happens. With @flushes none takes longer than
 * until something is due. */
void shell_run(struct tiny *w, ipsp_ms until, bool flushes);
void shell_settle(struct tiny *w);
void shell_pass(struct tiny *w, ipsp_ms ms);

void shell_flushed(struct tiny *w, struct side *s); /* the flush that runs is done */
bool shell_flush_all(struct tiny *w);		    /* false: none ran */

void shell_take(struct flight *f, unsigned i); /* off the wire; the caller has it */
void shell_lose(struct flight *f);

void shell_start(struct tiny *w, struct side *s);
void shell_kill(struct tiny *w, struct side *s);
void shell_power_off(struct tiny *w, struct side *s);
void shell_lose_disk(struct tiny *w, struct side *s, bool roll); /* after that */
struct ipsp_node *shell_replay(struct tiny *w, struct side *s, bool to_run);

struct ipsp_addr shell_address(unsigned addr);
int shell_addr(struct ipsp_addr addr); /* its inverse; -1: of no pool */
struct ipsp_ident shell_ident(unsigned sub);
uint64_t shell_token(const struct side *s);

#endif
