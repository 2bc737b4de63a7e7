/* Open requests: how many each HA may have, and that nobody keeps the others out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "liar.h"
#include <cmocka.h>

static const struct ipsp_event end = {.type = IPSP_EV_END};

static void attach(struct liar *l, uint64_t token, const char *name)
{
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_ATTACH, .token = token, .ha_name = name});
}

static void detach(struct liar *l, uint64_t token)
{
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_DETACH, .token = token});
}

/* It asks for @n sessions more; the number of those that are open then: not refused at once. */
static uint32_t asks(struct liar *l, uint64_t token, uint32_t n)
{
	static uint32_t subscriber;
	uint64_t refused = liar_stats(l)->requests_refused;
	uint32_t before = liar_status(l).open_requests;

	for (uint32_t i = 0; i < n; i++) {
		struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = token, .id = i};
		char text[12];
		int len = snprintf(text, sizeof(text), "u%u", subscriber++);

		ipsp_actions_clear(&l->act);
		ev.ident = (struct ipsp_ident){text, "s", (uint8_t)len, 1, 0};
		ipsp_node_step(l->node, &ev, l->now, &l->act);
		if (liar_stats(l)->requests_refused > refused) {
			assert_int_equal(l->act.n_outs, 1);
			assert_int_equal(l->act.outs[0].err, IPSP_ERR_OVERLOADED);
			refused++;
		}
	}
	ipsp_actions_clear(&l->act);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	return liar_status(l).open_requests - before;
}

/* A primary that listens at its start whether it has a peer: until then all requests wait. */
static struct liar *waiting(void)
{
	struct liar *l = liar_new(true, IPSP_MODE_ACTIVE);

	l->mute = true;
	attach(l, 2, "a");
	attach(l, 3, "b");
	attach(l, 4, "c");
	return l;
}

static void one_ha_leaves_places_for_others(void **state)
{
	struct liar *l = waiting();

	(void)state;
	assert_int_equal(asks(l, 2, IPSP_XACTS_MAX), IPSP_XACTS_MAX / 2);
	assert_int_equal(asks(l, 3, 1000), 1000);
	assert_int_equal(asks(l, 2, 1), 0);
	assert_int_equal(asks(l, 3, IPSP_XACTS_MAX), IPSP_XACTS_MAX / 4 - 1000);
	assert_int_equal(asks(l, 4, 100), 100);
	assert_int_equal(asks(l, OPERATOR, 100), 100);
	liar_free(l);
}

static void attach_as(struct liar *l, uint64_t token, const char *name, uint32_t owner)
{
	liar_turn(l,
		  &(struct ipsp_event){
			  .type = IPSP_EV_ATTACH, .token = token, .ha_name = name, .owner = owner});
}

/* However many names one user has: a quarter is left to the others. */
static void one_owner_leaves_some(void **state)
{
	struct liar *l = waiting();
	uint32_t open = 0;

	(void)state;
	for (uint64_t i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "many-%u", (unsigned)i);
		attach_as(l, 10 + i, name, 1001);
		open += asks(l, 10 + i, IPSP_XACTS_MAX / 2);
	}
	assert_int_equal(open, IPSP_XACTS_MAX / 4 * 3);
	attach_as(l, 20, "another", 1002);
	assert_int_equal(asks(l, 20, 5000), 5000);
	detach(l, 10);
	assert_int_equal(asks(l, 11, 1), 1);
	liar_free(l);
}

/* What has ended counts no more, however it ended. */
static void places_come_back(void **state)
{
	struct liar *l = waiting();

	(void)state;
	assert_int_equal(asks(l, 2, IPSP_XACTS_MAX), IPSP_XACTS_MAX / 2);
	detach(l, 2);
	assert_int_equal(liar_status(l).open_requests, 0);
	attach(l, 2, "a");
	assert_int_equal(asks(l, 2, IPSP_XACTS_MAX), IPSP_XACTS_MAX / 2);
	liar_pass(l, 4000); /* served, and refused */
	assert_true(liar_status(l).serving);
	assert_int_equal(ipsp_pool_counts(l->node->pools[0])->used, SIZE);
	assert_int_equal(liar_status(l).open_requests, 0);
	liar_free(l);
	l = waiting();
	assert_int_equal(asks(l, 2, IPSP_XACTS_MAX), IPSP_XACTS_MAX / 2);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_ha_leaves_places_for_others),
		cmocka_unit_test(one_owner_leaves_some),
		cmocka_unit_test(places_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
