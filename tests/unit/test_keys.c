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
#include <sodium.h>

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
		dgram[i] = (uint8_t)(i * 37);
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
	const struct ipsp_addr node = psp.address;

	(void)state;
	psp.address = psp.peer;
	psp.peer = node;
	memset(psp.keys[0], 0x77, sizeof(psp.keys[0]));
	ipsp_seal_set_keys(&l->seal, &psp);
	liar_pass(l, 60000);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES); /* who should have noticed? */
	junk(l);
	liar_pass(l, 10000);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_DIFFERS);
	assert_int_equal(notes_with(l, "does not answer a handshake with key"), 1);
	assert_true(liar_status(l).serving);
	memcpy(psp.keys[0], l->conf.psp.keys[0], sizeof(psp.keys[0]));
	ipsp_seal_set_keys(&l->seal, &psp);
	liar_pass(l, 11000); /* asked again each ten hello intervals */
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_MATCHES);
	assert_int_equal(notes_with(l, "has answered a handshake with key"), 1);
	liar_goes_on(l, 5 << 16);
	liar_free(l);
}

/* What the node has just said that is a handshake. */
static const uint8_t *said_shake(const struct liar *l)
{
	for (size_t i = 0; i < l->act.n_outs; i++)
		if (l->act.outs[i].type == IPSP_OUT_DATAGRAM &&
		    l->act.outs[i].len == IPSP_SHAKE_LEN)
			return l->act.bytes.data + l->act.outs[i].off;
	fail_msg("no handshake was said");
	return NULL;
}

static void to_node(struct liar *l, const uint8_t *dgram, size_t n)
{
	const struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = dgram, .n_bytes = n};

	liar_turn(l, &ev);
}

/* The peer's answer to the question whether it has our key, held back until it has another one. */
static void an_answer_is_held_back(void **state)
{
	struct liar *l = liar_active(true);
	struct ipsp_psp_conf psp = l->conf.psp;
	const struct ipsp_addr node = psp.address;
	struct ipsp_seal before = l->seal;
	uint8_t held[IPSP_DGRAM_MAX], plain[IPSP_DGRAM_MAX];
	size_t n, plain_n;

	(void)state;
	liar_pass(l, 20000); /* nothing was asked lately */
	l->mute = true;
	junk(l);
	assert_int_equal(
		ipsp_seal_open(&before, said_shake(l), IPSP_SHAKE_LEN, plain, &plain_n, held, &n),
		IPSP_OPENED_SHAKE);
	l->mute = false;
	psp.address = psp.peer;
	psp.peer = node;
	memset(psp.keys[0], 0x77, sizeof(psp.keys[0]));
	ipsp_seal_set_keys(&l->seal, &psp);
	liar_pass(l, 30000);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_DIFFERS);
	to_node(l, held, n);
	assert_int_equal(liar_status(l).key_match, IPSP_KEY_DIFFERS);
	liar_free(l);
}

/* A handshake beside the session, the end of which somebody holds back for a minute: its keys are
 * gone by then, and nothing begins anew when it comes. */
static void the_end_of_a_handshake_is_held_back(void **state)
{
	struct liar *l = liar_active(true);
	struct ipsp_seal other = l->seal;
	const uint32_t tag = l->node->seal.present.tag;
	uint8_t dgram[IPSP_DGRAM_MAX], plain[IPSP_DGRAM_MAX];
	size_t n, plain_n;

	(void)state;
	l->mute = true;
	to_node(l, dgram, ipsp_seal_shake(&other, dgram));
	assert_int_equal(
		ipsp_seal_open(&other, said_shake(l), IPSP_SHAKE_LEN, plain, &plain_n, dgram, &n),
		IPSP_OPENED_CANDIDATE);
	to_node(l, dgram, n);
	assert_true(l->node->seal.candidate.valid);
	n = ipsp_seal_candidate(&other, dgram);
	l->mute = false;
	liar_pass(l, 9000);
	assert_true(l->node->seal.candidate.valid); /* it may still come */
	liar_pass(l, 51000);
	assert_false(l->node->seal.candidate.valid);
	assert_true(sodium_is_zero(l->node->seal.candidate.rx_key, 32));
	to_node(l, dgram, n);
	assert_int_equal(liar_stats(l)->drop_session, 1);
	assert_int_equal(l->node->seal.present.tag, tag);
	assert_true(l->node->peer.known && ipsp_contact(l->node));
	liar_goes_on(l, 5 << 16);
	liar_free(l);
}

/* --------------------------------------------------------------- the first version of the
 * handshake */

static struct ipsp_msg goodbye(struct liar *l)
{
	struct ipsp_msg msg = liar_hello(l);

	msg.u.hello.flags |= IPSP_HF_GOODBYE | IPSP_HF_TERMINATED;
	return msg;
}

/* A peer that was heard with version 2 is not spoken to with version 1: over restarts, until it has
 * said goodbye; what comes back then may be an older ipspd. */
static void a_peer_is_pinned(void **state)
{
	struct liar *l = liar_active(true);
	struct ipsp_msg bye;

	(void)state;
	assert_true(l->node->side.bound && l->node->seal.pinned);
	liar_reboot(l);
	assert_true(l->node->side.bound && l->node->seal.pinned);
	liar_pass(l, 8000);
	assert_true(l->node->side.bound && l->node->seal.pinned);
	bye = goodbye(l);
	liar_say(l, &bye);
	assert_false(l->node->side.bound || l->node->seal.pinned);
	l->mute = true;
	liar_reboot(l);
	assert_false(l->node->side.bound || l->node->seal.pinned);
	l->mute = false;
	liar_pass(l, 8000);
	assert_true(l->node->side.bound && l->node->seal.pinned);
	liar_free(l);
}

/* A handshake of a side that speaks version 1 alone. */
static void shake_of_old(struct liar *l, uint8_t dgram[IPSP_DGRAM_MAX])
{
	ipsp_seal_shake(&l->seal, dgram);
	dgram[2] = IPSP_SEAL_OLD;
	memset(dgram + 8, 0, 8);
	crypto_generichash(dgram + 120, 32, dgram, 120, l->seal.keys[0].old.mac, 32);
}

static void hear(struct liar *l, const uint8_t *shake)
{
	const struct ipsp_event ev = {
		.type = IPSP_EV_DATAGRAM, .bytes = shake, .n_bytes = IPSP_SHAKE_LEN};

	liar_turn(l, &ev);
}

/* What a side with version 1 alone says is refused then, and it is said what to do. */
static void an_older_peer_is_told(void **state)
{
	struct liar *l = liar_active(true);
	const uint32_t tag = l->node->seal.present.tag;
	uint8_t dgram[IPSP_DGRAM_MAX];

	(void)state;
	shake_of_old(l, dgram);
	l->mute = true; /* it is stopped, and set back */
	liar_pass(l, 12000);
	for (unsigned i = 0; i < 5; i++)
		hear(l, dgram);
	assert_int_equal(notes_with(l, "upgrade ipspd on its host again"), 1);
	assert_int_equal(notes_with(l, "the peer speaks only"), 0); /* perhaps it is another's */
	assert_int_equal(l->node->seal.present.tag, tag);
	liar_free(l);
}

/* One of before the upgrade, played again: the peer is heard with version 2, so nothing is said,
 * least of all what would lead back. */
static void an_old_handshake_again(void **state)
{
	struct liar *l = liar_active(true);
	const uint64_t notes = ipsp_node_notes(l->node)->last;
	const uint32_t tag = l->node->seal.present.tag;
	uint8_t dgram[IPSP_DGRAM_MAX];

	(void)state;
	shake_of_old(l, dgram);
	for (unsigned i = 0; i < 200; i++) {
		hear(l, dgram);
		liar_pass(l, 1000);
	}
	l->node->seal.old_refused = true; /* where another context has the secret, the same */
	hear(l, dgram);
	assert_int_equal(ipsp_node_notes(l->node)->last, notes);
	assert_int_equal(liar_stats(l)->drop_version, 201);
	assert_int_equal(l->node->seal.present.tag, tag);
	liar_goes_on(l, 5 << 16);
	liar_free(l);
}

/* --------------------------------------------------------------- the definitions before the books
 */

/* Another process speaks in the peer's place: other books, which were shared with somebody. */
static void another_comes(struct liar *l, bool other_pools, uint32_t flags)
{
	l->books = 0x7777777777777777U;
	l->lie_digest = other_pools;
	l->lie_set = flags;
	l->lie_epoch = 99;
	ipsp_seal_forget(&l->seal);
	liar_pass(l, 15000);
}

/* Whoever has other pools may be of another context, or has a wrong file: on its word no state is
 * lost, nothing is given anew, and no role changes. */
static void books_are_judged_after_the_definitions(void **state)
{
	static const uint32_t flags[] = {IPSP_HF_SHARED, IPSP_HF_LOST, 0};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		const bool other_pools = i < 3;
		struct liar *l = liar_active(true);
		const uint64_t books = l->node->side.books, peer = l->node->side.peer_books,
			       epoch = l->node->side.epoch;

		another_comes(l, other_pools, flags[i % 3]);
		if (other_pools) {
			assert_int_equal(liar_stats(l)->state_losses, 0);
			assert_int_equal(l->node->side.books, books);
			assert_int_equal(l->node->side.peer_books, peer);
			assert_int_equal(l->node->side.epoch, epoch);
			assert_true(l->node->side.primary && !l->node->side.lost);
		} else if (i < 5) { /* of this pair: it is what one of the two has lost */
			assert_int_equal(liar_stats(l)->state_losses, 1);
		}
		liar_free(l);
	}
}

/* A primary with an empty state whose pools are other ones than those that its peer has shared: it
 * has lost nothing by that word, but gives nothing either. */
static void who_may_have_lost_all_does_not_serve(void **state)
{
	struct liar *l = liar_new(true, IPSP_MODE_ACTIVE);

	(void)state;
	l->lie_digest = true;
	l->lie_set = IPSP_HF_SHARED;
	l->lie_peer_books = 5; /* those that the node had */
	liar_pass(l, 8000);
	assert_false(liar_status(l).serving);
	liar_take(l, "u1", IPSP_NO_INDEX);
	assert_int_not_equal(l->answered, 0);
	l->mute = true; /* it is not there any more: the word stands */
	liar_pass(l, 20000);
	assert_false(liar_status(l).serving);
	assert_int_equal(liar_stats(l)->state_losses, 0);
	l->mute = false;
	l->lie_digest = false; /* the file was put right */
	liar_pass(l, 8000);
	assert_int_equal(liar_stats(l)->state_losses, 1);
	assert_true(l->node->side.lost);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_of_strangers),
		cmocka_unit_test(the_peer_has_another_key),
		cmocka_unit_test(an_answer_is_held_back),
		cmocka_unit_test(the_end_of_a_handshake_is_held_back),
		cmocka_unit_test(a_peer_is_pinned),
		cmocka_unit_test(an_older_peer_is_told),
		cmocka_unit_test(an_old_handshake_again),
		cmocka_unit_test(books_are_judged_after_the_definitions),
		cmocka_unit_test(who_may_have_lost_all_does_not_serve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
