#include "corners.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_state(struct world *w, unsigned side, enum ipsp_state state)
{
	struct ipsp_status st;

	ipsp_node_status(w->hosts[side].node, host_ms(&w->hosts[side]), &st);
	if (st.state != state)
		fail_msg("%s at %.3f s, not %s", ipsp_state_word(st.state), (double)w->now / 1e6,
			 ipsp_state_word(state));
}

static void set_mode(struct world *w, unsigned side, enum ipsp_mode mode)
{
	w->hosts[side].command_err = 1; /* none yet */
	host_command(&w->hosts[side], IPSP_CMD_MODE, false, mode);
	story_run(w, 20);
	assert_int_equal(w->hosts[side].command_err, 0);
}

static void both(struct world *w, unsigned ms)
{
	story_cut(w, true, true);
	story_run(w, ms);
}

/* S owns nothing, and has given an address to a session before, so that it may take over (S6). */
static struct world *begin_s_with_nothing(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_take(w, HA1, "mn-2", "10.1.0.2"); /* it moves back, with its address */
	story_expect_pool(w, S, 0, 0, 8);
	story_expect_rest(w, 5000);
	story_run(w, 2000);
	return w;
}

/* A word of leaving that was under way for longer than the dead interval finds S with a licence,
 * and with a session that the peer doesn't know of. */
static void late_leave(void)
{
	struct world *w = begin_s_with_nothing();

	uint64_t heard;

	w->net.mix.delay = 40000000;
	host_command(&w->hosts[P], IPSP_CMD_DISABLE, false, IPSP_MODE_ACTIVE);
	story_run(w, 500);
	w->net.mix.delay = 1000;
	host_kill(&w->hosts[P]);
	story_run(w, 38000);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_take(w, HA2, "mn-9", "10.1.0.5");
	heard = ipsp_node_stats(w->hosts[S].node)->hellos_received;
	story_run(w, 4000);
	story_expect_side(w, S, "primary", "peer-down", true);
	assert_int_equal(ipsp_node_stats(w->hosts[S].node)->hellos_received - heard, 1);
	story_start(w, P);
	story_expect_rest(w, 10000);
	assert_non_null(ha_find(&w->has[HA2], 9, 1));
	story_end(w);
}

/* S has found itself behind, and the peer is out of reach: whatever the mode was, it is locked. */
static void lost_and_inactive(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", NULL);
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	check_state_lost(&w->hosts[S]);
	story_start(w, S);
	story_until_state(w, S, IPSP_ST_LOCKED);
	story_cut(w, true, true);
	set_mode(w, S, IPSP_MODE_INACTIVE);
	expect_state(w, S, IPSP_ST_INACTIVE);
	set_mode(w, S, IPSP_MODE_CHECK);
	expect_state(w, S, IPSP_ST_CHECKING);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	expect_state(w, S, IPSP_ST_LOCKED);
	set_mode(w, S, IPSP_MODE_INACTIVE);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	expect_state(w, S, IPSP_ST_LOCKED);
	set_mode(w, S, IPSP_MODE_CHECK);
	set_mode(w, S, IPSP_MODE_INACTIVE);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	story_cut(w, false, false);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* S has left, and P hears of it when it has held S for lost, or for dead, since long. */
static void left_long_ago(unsigned wait_ms, enum ipsp_state then)
{
	struct world *w = begin_s_with_nothing();

	w->net.mix.delay = (wait_ms + 1000) * 1000ULL;
	story_command(w, S, IPSP_CMD_DISABLE, false, 0);
	story_run(w, 300);
	w->net.mix.delay = 1000;
	both(w, wait_ms);
	expect_state(w, P, then);
	story_cut(w, false, true);
	story_run(w, 1500);
	expect_state(w, P, IPSP_ST_CONNECTING);
	story_take(w, HA1, "mn-5", NULL);
	assert_non_null(ha_find(&w->has[HA1], 5, 1));
	story_cut(w, false, false);
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* S was put back to an old copy of its disk, takes over, and then learns how far the books are. */
static void rolled_back_and_alone(void)
{
	struct world *w = story_begin();

	story_take(w, HA2, "mn-2", NULL);
	disk_keep_copy(&w->hosts[S].disk);
	story_take(w, HA2, "mn-3", NULL);
	story_take(w, HA2, "mn-4", NULL);
	host_power_off(&w->hosts[S], false);
	assert_true(disk_roll_back(&w->hosts[S].disk));
	check_state_lost(&w->hosts[S]);
	story_cut(w, true, true);
	story_start(w, S);
	story_run(w, (DEAD_S + 5) * 1000);
	expect_state(w, S, IPSP_ST_PEER_DOWN);
	story_cut(w, false, false);
	story_until_state(w, S, IPSP_ST_LOCKED);
	story_expect_rest(w, 20000);
	story_end(w);
}

/* By force, and in the middle of things: it is the operator's word that counts. */
static void forced_out(bool healing)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", NULL);
	story_take(w, HA2, "mn-2", NULL);
	both(w, (DEAD_S + 3) * 1000);
	expect_state(w, S, IPSP_ST_PEER_DOWN);
	if (healing) {
		story_take(w, HA2, "mn-3", NULL);
		story_cut(w, false, false);
		story_until_state(w, S, IPSP_ST_RECONCILING);
	}
	story_command(w, S, IPSP_CMD_DISABLE, true, 0);
	expect_state(w, S, IPSP_ST_DISABLED);
	story_take(w, HA2, "mn-4", NULL);
	assert_non_null(ha_find(&w->has[HA2], 4, 1));
	story_end(w);
}

/* S has taken P's report in and left. Its acknowledgement was lost, and its leaving comes so late
 * that P can't know whether it is heard. */
static void left_while_healing(void)
{
	struct world *w = story_begin();
	struct ipsp_status p, s;

	story_take(w, HA1, "mn-1", NULL);
	both(w, (DEAD_S + 3) * 1000);
	expect_state(w, P, IPSP_ST_PEER_DOWN);
	story_cut(w, false, false);
	story_until_state(w, P, IPSP_ST_RECONCILING);
	do {
		story_run(w, 1);
		ipsp_node_status(w->hosts[P].node, host_ms(&w->hosts[P]), &p);
		ipsp_node_status(w->hosts[S].node, host_ms(&w->hosts[S]), &s);
	} while (s.applied < p.sent);
	story_cut(w, true, false);
	story_run(w, 10);
	story_cut(w, false, false);
	w->net.mix.delay = 9000000;
	story_run(w, 1000);
	w->net.mix.delay = 11000000;
	story_command(w, S, IPSP_CMD_DISABLE, false, 0);
	w->net.mix.delay = 1000;
	both(w, 7000);
	story_cut(w, false, true);
	story_run(w, 3500);
	expect_state(w, P, IPSP_ST_RECONCILING);
	story_run(w, 1500);
	expect_state(w, P, IPSP_ST_CONNECTING);
	story_take(w, HA1, "mn-5", NULL);
	assert_non_null(ha_find(&w->has[HA1], 5, 1));
	story_cut(w, false, false);
	host_reload(&w->hosts[S], DEAD_S * 1000);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* The healing ends by a word of the peer that was under way for so long that nobody knows whether
 * the peer still hears: the state shows that as a pause, and the mode may change. */
static void healed_in_a_pause(enum ipsp_mode mode, enum ipsp_state then)
{
	struct world *w = story_begin();
	const struct ipsp_stats *stats;
	struct ipsp_status p, s;
	uint64_t repeated;

	story_take(w, HA1, "mn-1", NULL);
	story_leave(w, HA1, "mn-1"); /* the last one: S is primary then, and owns all */
	story_run(w, 5000);
	story_expect_pool(w, S, 0, 8, 0);
	both(w, (DEAD_S + 3) * 1000);
	expect_state(w, S, IPSP_ST_PEER_DOWN);
	story_cut(w, false, false);
	story_until_state(w, S, IPSP_ST_RECONCILING);
	do {
		story_run(w, 1);
		ipsp_node_status(w->hosts[P].node, host_ms(&w->hosts[P]), &p);
		ipsp_node_status(w->hosts[S].node, host_ms(&w->hosts[S]), &s);
	} while (p.applied < s.sent);
	story_cut(w, false, true); /* the acknowledgement is lost */
	story_run(w, 10);
	story_cut(w, false, false);
	stats = ipsp_node_stats(w->hosts[S].node);
	repeated = stats->items_repeated;
	while (stats->items_repeated == repeated)
		story_run(w, 1);
	w->net.mix.delay = 11500000; /* ... and the next one is late */
	story_run(w, 5);
	w->net.mix.delay = 1000;
	both(w, 8000);
	story_cut(w, true, false); /* S hears P all the time, but only old echoes */
	story_run(w, 4000);
	expect_state(w, S, IPSP_ST_RECONCILING);
	set_mode(w, S, mode);
	expect_state(w, S, then);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	story_cut(w, false, false);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* A terminated side that lost its peer: it is put back into service, or made primary by force. */
static void terminated_alone(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", NULL);
	story_command(w, S, IPSP_CMD_TERMINATE, false, 0);
	expect_state(w, S, IPSP_ST_TERMINATED);
	story_run(w, 3000);
	story_cut(w, true, true);
	story_run(w, 12000);
	expect_state(w, S, IPSP_ST_TERMINATED);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	expect_state(w, S, IPSP_ST_PEER_LOST);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_command(w, S, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	both(w, 15000);
	expect_state(w, S, IPSP_ST_TERMINATED);
	story_command(w, S, IPSP_CMD_TAKEOVER, true, 0);
	story_run(w, 100);
	story_expect_side(w, S, "primary", "peer-down", true);
	story_cut(w, false, false);
	story_expect_rest(w, 15000);
	story_end(w);
}

/* S, terminated, hears that P has something to report, but not what; and is put back into service.
 */
static void back_into_healing(void)
{
	struct world *w = story_begin();
	const struct ipsp_stats *p, *s;
	uint64_t repeated, heard;

	story_take(w, HA1, "mn-1", NULL);
	story_command(w, S, IPSP_CMD_TERMINATE, false, 0);
	story_run(w, 3000);
	both(w, (DEAD_S + 3) * 1000);
	expect_state(w, P, IPSP_ST_PEER_DOWN);
	story_cut(w, false, false);
	story_until_state(w, P, IPSP_ST_RECONCILING);
	story_cut(w, false, true);
	story_run(w, 10);
	p = ipsp_node_stats(w->hosts[P].node);
	s = ipsp_node_stats(w->hosts[S].node);
	repeated = p->items_repeated;
	heard = s->hellos_received;
	for (unsigned ms = 0; ms < 10000 && s->hellos_received == heard; ms++) {
		story_cut(w, false, p->items_repeated != repeated);
		repeated = p->items_repeated;
		story_run(w, 1);
	}
	expect_state(w, S, IPSP_ST_TERMINATED);
	story_cut(w, false, true);
	set_mode(w, S, IPSP_MODE_ACTIVE);
	expect_state(w, S, IPSP_ST_RECONCILING);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_end(w);
}

/* S is started with a file in which IPSP is not, while addresses are shared out; it is put back. */
static void left_out_of_the_file(void)
{
	struct world *w = story_begin();
	struct host *s = &w->hosts[S];

	story_take(w, HA2, "mn-2", NULL);
	host_kill(s);
	s->conf.psp.enabled = false;
	story_start(w, S);
	story_run(w, 15000);
	expect_state(w, S, IPSP_ST_DISABLED);
	story_cut(w, true, true);
	s->conf.psp.enabled = true;
	host_reload(s, DEAD_S * 1000);
	story_run(w, 100);
	expect_state(w, S, IPSP_ST_PEER_LOST);
	story_cut(w, false, false);
	story_expect_rest(w, 10000);
	story_end(w);
}

void corners_run(struct visits *total)
{
	late_leave();
	lost_and_inactive();
	left_long_ago(14000, IPSP_ST_PEER_LOST);
	left_long_ago((DEAD_S + 4) * 1000, IPSP_ST_PEER_DOWN);
	rolled_back_and_alone();
	forced_out(false);
	forced_out(true);
	left_while_healing();
	healed_in_a_pause(IPSP_MODE_INACTIVE, IPSP_ST_INACTIVE);
	healed_in_a_pause(IPSP_MODE_CHECK, IPSP_ST_CHECKING);
	terminated_alone();
	back_into_healing();
	left_out_of_the_file();
	visits_add(total, story_visits());
}
