/* Has the peer the same secret: what anybody may send is a hint, and harms nobody. In full, with
 * two sides: tests/sim/stories_keys.c. */
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

static unsigned notes_with(struct liar *l, const char *words)
{
	const struct ipsp_notes *notes = ipsp_node_notes(l->node);
	unsigned n = 0;

	for (uint64_t i = 1; i <= notes->last; i++)
		n += strstr(ipsp_note_get(notes, i)->text, words) != NULL;
	return n;
}

/* A handshake with a key that nobody has. */
static void junk(struct liar *l)
{
	uint8_t dgram[IPSP_SHAKE_LEN] = "IP\1\1";
	const struct ipsp_event ev = {
		.type = IPSP_EV_DATAGRAM, .bytes = dgram, .n_bytes = sizeof(dgram)};

	for (size_t i = 16; i < sizeof(dgram); i++)
		dgram[i] = (uint8_t)rand();
	liar_turn(l, &ev);
}

static void handshakes_of_strangers(void **state)
{
	struct liar *l = liar_active(true);
	const struct ipsp_session before = l->node->seal.present;
	uint64_t hellos = l->n_hellos;

	(void)state;
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES);
	for (unsigned i = 0; i < 1200; i++) { /* two minutes, ten a second */
		liar_pass(l, 100);
		junk(l);
		assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES);
	}
	assert_int_equal(l->node->seal.present.tag, before.tag);
	assert_in_range(l->n_hellos - hellos, 115, 125);
	assert_in_range(notes_with(l, "begins a handshake with key"), 2, 3);
	assert_int_equal(notes_with(l, "does not answer"), 0);
	assert_int_equal(liar_stats(l)->drop_seal, 1200);
	liar_goes_on(l, 5 << 16);
	liar_free(l);
}

/* The same, where the peer really has another key since its reload. */
static void the_peer_has_another_key(void **state)
{
	struct liar *l = liar_active(true);
	struct ipsp_psp_conf psp = l->conf.psp;

	(void)state;
	memset(psp.keys[0], 0x77, sizeof(psp.keys[0]));
	ipsp_seal_set_keys(&l->seal, &psp);
	liar_pass(l, 60000);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES); /* who should have noticed? */
	junk(l);
	liar_pass(l, 10000);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_DIFFERS);
	assert_int_equal(notes_with(l, "does not answer a handshake with key"), 1);
	assert_true(liar_status(l).serving);
	ipsp_seal_set_keys(&l->seal, &l->conf.psp);
	liar_pass(l, 11000); /* asked again each ten hello intervals */
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES);
	assert_int_equal(notes_with(l, "has answered a handshake with key"), 1);
	liar_goes_on(l, 5 << 16);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_of_strangers),
		cmocka_unit_test(the_peer_has_another_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
