/*
 * stories of a state directory that was copied from one host to the other (twin.c).
 */
#include "stories.h"
#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* S gets what is on P's disk. */
static void copied(struct world *w)
{
	host_kill(&w->hosts[S]);
	disk_copy_of(&w->hosts[S].disk, &w->hosts[P].disk);
	w->hosts[S].disk.log_boot = w->hosts[S].boot; /* its sessions are there, too */
	check_state_lost(&w->hosts[S]);
}

static struct world *with_sessions(void)
{
	struct world *w = story_begin();

	story_take(w, HA1, "mn-1", "10.1.0.1");
	story_take(w, HA2, "mn-2", "10.1.0.2");
	story_run(w, 2000);
	return w;
}

/* Neither gives anything, for as long as it lasts; P's sessions stay where they are. */
static void neither_gives(struct world *w)
{
	for (unsigned i = 0; i < 3; i++) {
		story_run(w, DEAD_S * 1000);
		for (unsigned side = P; side <= S; side++) {
			assert_false(story_status(w, side).serving);
			assert_int_equal(story_status(w, side).state, IPSP_ST_CONFIG_MISMATCH);
			assert_int_equal(story_status(w, side).mismatch, IPSP_MISMATCH_BOOKS);
		}
	}
	assert_true(story_noted(w, P, "is a copy of the other"));
	assert_true(story_noted(w, S, "is a copy of the other"));
	story_command(w, P, IPSP_CMD_DRAIN, false, IPSP_ERR_CONFIG_MISMATCH);
	story_again(w, HA1, "mn-1"); /* what it has is confirmed */
	story_run(w, 100);
	assert_int_equal(w->has[HA1].last_err, 0);
}

/* The way out that is said. */
static void moved_away(struct world *w)
{
	host_kill(&w->hosts[S]);
	disk_wipe(&w->hosts[S].disk);
	story_start(w, S);
	story_run(w, 20000);
	story_expect_rest(w, 60000);
	assert_non_null(ha_find(&w->has[HA1], 1, 1));
	story_end(w);
}

static void test_a_copy_of_the_peers(void **state)
{
	struct world *w = with_sessions();

	(void)state;
	copied(w);
	story_start(w, S);
	neither_gives(w);
	moved_away(w);
}

/* P had taken over, as S was dead: its licence rests while the copy is there. */
static void test_a_copy_beside_a_licence(void **state)
{
	struct world *w = with_sessions();

	(void)state;
	host_kill(&w->hosts[S]);
	story_run(w, (DEAD_S + 3) * 1000);
	story_expect_side(w, P, "primary", "peer-down", true);
	copied(w);
	story_start(w, S);
	story_run(w, 3000);
	neither_gives(w);
	moved_away(w);
}

/* Two hosts from one image, in which ipspd was started once: nothing was shared, so nothing is
 * lost. */
static void test_two_of_one_image(void **state)
{
	struct world *w = story_begin_cold(NULL);

	(void)state;
	story_start(w, P);
	story_run(w, 5000);
	disk_copy_of(&w->hosts[S].disk, &w->hosts[P].disk);
	story_start(w, S);
	story_expect_rest(w, 20000);
	story_take(w, HA1, "mn-1", NULL);
	assert_int_equal(w->has[HA1].last_err, 0);
	story_take(w, HA2, "mn-2", NULL);
	assert_int_equal(w->has[HA2].last_err, 0);
	story_end(w);
}

int stories_twin(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_copy_of_the_peers),
		cmocka_unit_test(test_a_copy_beside_a_licence),
		cmocka_unit_test(test_two_of_one_image),
	};

	return cmocka_run_group_tests_name("twin", tests, NULL, NULL);
}
