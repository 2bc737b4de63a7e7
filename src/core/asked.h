/*
 * asked - the release events that HAs have not answered.
 *
 * An answer names the number of its event, or only an address. So every event is kept until it is
 * answered, with the session that it was for: the answer to an event whose session has ended
 * meanwhile changes nothing, and the answer to one whose request has ended is an ordinary release.
 *
 * An HA need not answer either of these two. What is kept of them is bounded: those of ten minutes,
 * and after that one for each session that lives and was once asked for in vain. Those for one
 * address and HA that were made one soon after the other are kept as one, which counts them: so
 * each answer finds its event, however many they are, and an address has a few dozens at most.
 */
#ifndef IPSP_CORE_ASKED_H
#define IPSP_CORE_ASKED_H

#include "core/node_int.h"

/* A new one, which is open; NULL: no memory, the step has failed. */
struct ipsp_asked *ipsp_asked_add(struct ipsp_node *n, struct ipsp_place at);
/* Its address has other numbers, as the pools are other ones. */
void ipsp_asked_move(struct ipsp_node *n, struct ipsp_asked *a, struct ipsp_place at);
void ipsp_asked_del(struct ipsp_node *n, struct ipsp_asked *a);
void ipsp_asked_done(struct ipsp_node *n, struct ipsp_asked *a); /* one answer has come to it */

/* Open ones: the first of all, oldest first, then by .next; the oldest for the session at @at. */
struct ipsp_asked *ipsp_asked_first(const struct ipsp_node *n);
struct ipsp_asked *ipsp_asked_open(struct ipsp_node *n, struct ipsp_place at);

/*
 * Nobody waits for the answer to @a any more, as its session has ended (.gone) or its request has
 * (.cancelled). It is kept where the answer may still come, and is freed where not: @a is not to be
 * used after this.
 */
void ipsp_asked_settle(struct ipsp_node *n, struct ipsp_asked *a);
void ipsp_asked_gone(struct ipsp_node *n, struct ipsp_place at); /* the session there ends */
/* The session there was confirmed to its HA after an event for it had been cancelled. An answer to
 * that event that is still on its way was given before this: it does not end the session. */
void ipsp_asked_confirmed(struct ipsp_node *n, struct ipsp_place at);
void ipsp_asked_tick(struct ipsp_node *n); /* those that have had their time */

/* The event that @ev answers; NULL: none. */
struct ipsp_asked *ipsp_asked_answered(struct ipsp_node *n, struct ipsp_place at,
				       const struct ipsp_event *ev);

/* No answer comes to those of @ha (0: of all) that nobody waits for. */
void ipsp_asked_end_settled(struct ipsp_node *n, uint16_t ha);
void ipsp_asked_clear(struct ipsp_node *n); /* all are freed */

#endif
