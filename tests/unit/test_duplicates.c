/*
 * What was found used on both sides is read back whole: on the side that owns it, and on the one
 * whose session ends; each with a notification when it is found, and one when it is resolved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "core/duplicates.h"
#include "liar.h"
#include <cmocka.h>

#define MANY 20000U

static void report(struct liar *l, const char *subscriber, uint32_t from, uint32_t to, bool end)
{
	struct ipsp_item_writer w;

	while (from < to) {
		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_REPORT, 0, 0, 0, IPSP_SET_WHO);
		while (from < to && ipsp_item_add_who(&w, from, subscriber, strlen(subscriber)))
			from++;
		liar_say_item(l, &w, 0);
	}
	if (!end)
		return;
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_REPORT, IPSP_REPORT_END, 0, IPSP_NO_POOL,
			IPSP_SET_WHO);
	liar_say_item(l, &w, 0);
}

static void say_who(struct liar *l, uint8_t type, uint32_t index, const char *subscriber)
{
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, ++l->sent, type, 0, 0, 0, IPSP_SET_WHO);
	ipsp_item_add_who(&w, index, subscriber, strlen(subscriber));
	liar_say_item(l, &w, 0);
}

struct listed {
	uint32_t all, open, ours, named;
	struct ipsp_duplicate_view last;
};

static struct listed listed(struct liar *l)
{
	struct ipsp_duplicate_cursor cursor = {0};
	struct listed is = {0};

	while (ipsp_node_duplicate(l->node, &cursor, &is.last)) {
		is.all++;
		is.open += is.last.open;
		is.ours += is.last.ours;
		is.named += is.last.n_peer_subscriber > 0;
	}
	return is;
}

static bool is_text(const char *text, const char *p, uint8_t n)
{
	return strlen(text) == n && memcmp(text, p, n) == 0;
}

/* The node owns all, has sessions of "x" and the index, and the peer reports its own there. */
static struct liar *owner(uint32_t sessions, uint32_t size)
{
	struct liar *l = liar_new_of(true, IPSP_MODE_ACTIVE, size);
	char name[16];

	liar_meet(l);
	for (uint32_t i = 0; i < sessions; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		liar_take(l, name, i);
		assert_int_equal(l->answered, 0);
	}
	return l;
}

static void on_the_side_that_owns_them(void **state)
{
	struct liar *l = owner(5, SIZE);

	(void)state;
	assert_int_equal(listed(l).all, 0);
	report(l, "y", 0, 3, true);
	struct listed is = listed(l);
	assert_int_equal(is.all, 3);
	assert_int_equal(is.open, 3);
	assert_int_equal(is.ours, 3);
	assert_true(is_text("x2", is.last.subscriber, is.last.n_subscriber));
	assert_true(is_text("y", is.last.peer_subscriber, is.last.n_peer_subscriber));
	assert_true(ipsp_addr_eq(is.last.addr, ipsp_addr_v4(0x0a010003)));
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE_FOUND], 3);
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 0);
	/* told twice it is found once */
	report(l, "y", 1, 2, true);
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE_FOUND], 3);
	say_who(l, IPSP_ITEM_DROPPED, 1, "");
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 1);
	assert_int_equal(listed(l).all, 3);
	assert_int_equal(listed(l).open, 2);
	assert_int_equal(liar_status(l).duplicates_open, 2);
	say_who(l, IPSP_ITEM_DROPPED, 1, "");
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 1);
	/* its own session's end resolves nothing: the peer's is there still */
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_RELEASE,
					  .token = HA,
					  .id = 1,
					  .addr = ipsp_addr_v4(0x0a010003)});
	assert_int_equal(listed(l).open, 2);
	/* a new healing: what is open stays, of the others only its own are there */
	report(l, "z", 4, 5, true);
	is = listed(l);
	assert_int_equal(is.all, 3);
	assert_int_equal(is.open, 3);
	assert_true(is_text("x4", is.last.subscriber, is.last.n_subscriber));
	say_who(l, IPSP_ITEM_DROPPED, 4, "");
	/* the peer reports one again that no session here has any more: it is the peer's */
	report(l, "y", 2, 3, true);
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 3);
	is = listed(l);
	assert_int_equal(is.open, 1);
	liar_free(l);
}

/* Over a restart of the process alone: the sessions live on. */
static void a_restart_lists_those_that_are_open(void **state)
{
	struct liar *l = owner(5, SIZE);

	(void)state;
	l->conf.psp.durability = IPSP_DURABLE_POWER; /* a reboot keeps them, too */
	report(l, "y", 0, 3, true);
	say_who(l, IPSP_ITEM_DROPPED, 1, "");
	liar_pass(l, 3000);
	assert_int_equal(listed(l).named, 3);
	liar_reboot(l);
	struct listed is = listed(l);
	assert_int_equal(is.all, 2);
	assert_int_equal(is.open, 2);
	assert_int_equal(is.named, 0);
	assert_true(is_text("x2", is.last.subscriber, is.last.n_subscriber));
	liar_free(l);
}

static void on_the_side_that_drops(void **state)
{
	struct liar *l = liar_active(false);
	struct ipsp_item_writer w;

	(void)state;
	liar_turn(l, &(struct ipsp_event){.type = IPSP_EV_ATTACH, .token = HA, .ha_name = "ha"});
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 0, 1);
	liar_say_item(l, &w, 0);
	liar_take(l, "x0", 0);
	l->mute = true;
	liar_pass(l, 35000);
	liar_take(l, "x3", 3);
	liar_take(l, "x4", 4);
	assert_int_equal(l->answered, 0);
	l->mute = false;
	liar_pass(l, 2000);
	say_who(l, IPSP_ITEM_DROP, 3, "x3");
	say_who(l, IPSP_ITEM_DROP, 4, "x4");
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE_FOUND], 2);
	struct listed is = listed(l);
	assert_int_equal(is.all, 2);
	assert_int_equal(is.open, 2);
	assert_int_equal(is.ours, 0);
	assert_int_equal(is.named, 0);
	say_who(l, IPSP_ITEM_DROP, 4, "x4"); /* said again: found once */
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE_FOUND], 2);
	const struct ipsp_event released = {.type = IPSP_EV_RELEASED,
					    .token = HA,
					    .id = l->event,
					    .addr = ipsp_addr_v4(0x0a010005)};
	liar_turn(l, &released);
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 1);
	assert_int_equal(liar_stats(l)->duplicates_resolved, 1);
	assert_int_equal(listed(l).all, 2);
	assert_int_equal(listed(l).open, 1);
	/* the owner's session has ended, and it gives the address: the session keeps it */
	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, 3, 1);
	liar_say_item(l, &w, 0);
	assert_int_equal(l->n_traps[IPSP_TRAP_DUPLICATE], 2);
	assert_int_equal(listed(l).open, 0);
	liar_free(l);
}

/* Twenty thousand of one healing, each once and in their order; a reader that comes too late for
 * the rest of a list sees the end of it. */
static void twenty_thousand(void **state)
{
	struct liar *l = owner(MANY, 32768);
	struct ipsp_duplicate_cursor cursor = {0};
	struct ipsp_duplicate_view view;
	char name[16];

	(void)state;
	report(l, "y", 0, MANY, true);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_true(ipsp_node_duplicate(l->node, &cursor, &view));
		snprintf(name, sizeof(name), "x%u", i);
		assert_true(is_text(name, view.subscriber, view.n_subscriber));
		assert_true(ipsp_addr_eq(view.addr, ipsp_addr_v4(0x0a010001 + i)));
	}
	assert_false(ipsp_node_duplicate(l->node, &cursor, &view));
	assert_int_equal(liar_status(l).duplicates_open, MANY);
	cursor = (struct ipsp_duplicate_cursor){0};
	assert_true(ipsp_node_duplicate(l->node, &cursor, &view));
	say_who(l, IPSP_ITEM_DROPPED, 7, "");
	report(l, "y", 0, 0, true);
	assert_false(ipsp_node_duplicate(l->node, &cursor, &view));
	assert_int_equal(listed(l).all, MANY - 1);
	assert_int_equal(ipsp_node_duplicates_not_listed(l->node), 0);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_the_side_that_owns_them),
		cmocka_unit_test(a_restart_lists_those_that_are_open),
		cmocka_unit_test(on_the_side_that_drops),
		cmocka_unit_test(twenty_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
