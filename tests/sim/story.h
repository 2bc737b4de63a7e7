/*
 * story - a world for readable tests: two sides P and S, one HA each (HA1 at P, HA2 at S), one pool
 * of 8 addresses 10.1.0.1 to .8, hellos each second, a dead interval of 30 s, no chance in
 * anything: a datagram takes 1 ms, a flush 1 ms.
 *
 * What happens is written down line by line; story_expect compares all lines since the last one.
 */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "world.h"

enum { P = 0, S = 1 }; /* sides */
enum { HA1 = 0, HA2 = 1 };

#define DEAD_S 30 /* the dead interval */

/* Both processes are started and have found each other, unless the story starts them by itself. */
struct world *story_begin(void);
struct world *story_begin_with(void (*tweak)(struct world_conf *conf));
struct world *story_begin_cold(void (*tweak)(struct world_conf *conf)); /* nothing runs yet */
void story_end(struct world *w); /* memory equals the disks; frees */

void story_run(struct world *w, unsigned ms);
void story_start(struct world *w, unsigned side);
void story_cut(struct world *w, bool to_p, bool to_s);

/* A mobile node asks at an HA; @addr NULL: any. Runs 100 ms, so that an answer that can come has
 * come. */
void story_take(struct world *w, unsigned ha, const char *mn, const char *addr);
void story_again(struct world *w, unsigned ha,
		 const char *mn); /* asks for what it has, as after a re-registration */
void story_leave(struct world *w, unsigned ha, const char *mn);
void story_release(struct world *w, unsigned side, const char *addr);	    /* an operator does */
void story_force_release(struct world *w, unsigned side, const char *addr); /* without its HA */
void story_command(struct world *w, unsigned side, enum ipsp_command command, bool force,
		   int expected_err);

/* Which lines are written down from now on: enum trace_class. TRACE_HA | TRACE_BOOKS at the
 * beginning. */
void story_watch(struct world *w, unsigned mask);
void story_expect(struct world *w, const char *lines);
void story_forget(struct world *w); /* what was written down until now is of no interest */
/* Runs until @side shows @state, which it has to within 5 s, and not a step more. */
void story_until_state(struct world *w, unsigned side, enum ipsp_state state);
void story_expect_side(struct world *w, unsigned side, const char *role, const char *state,
		       bool serves);
void story_expect_pool(struct world *w, unsigned side, uint32_t used, uint32_t free,
		       uint32_t released);
void story_expect_rest(struct world *w, unsigned within_ms); /* all is well in so much time */
struct ipsp_status story_status(struct world *w, unsigned side);
const struct ipsp_stats *story_stats(struct world *w, unsigned side);
bool story_noted(struct world *w, unsigned side,
		 const char *words); /* a line of its log has @words */
/* Runs until @side serves as primary; returns the milliseconds that it took, at most @limit_ms. */
const struct visits *story_visits(void); /* the cells that all stories so far have used */
unsigned story_until_primary(struct world *w, unsigned side, unsigned limit_ms);

#endif
