/*
 * Sentences for people: whole, in their order, each told in its turn however many they are; and
 * what is said of thousands of addresses pushes nothing else out of what is kept.
 */
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

static const struct ipsp_note *add(struct ipsp_notes *notes, bool of_many, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static const struct ipsp_note *add(struct ipsp_notes *notes, bool of_many, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const struct ipsp_note *note =
		ipsp_note_add(notes, 7, IPSP_LOG_NOTICE, of_many, format, args);
	va_end(args);
	return note;
}

static void a_sentence_is_whole(void **state)
{
	struct ipsp_notes notes = {0};
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (size_t n = 0; n < sizeof(text); n += 111) {
		text[n] = '\0';
		const struct ipsp_note *note = add(&notes, n % 2, "%s.", text);
		assert_int_equal(note->n_text, n + 1);
		assert_int_equal(strlen(note->text), n + 1);
		assert_int_equal(note->text[n], '.');
		text[n] = 'x';
	}
	ipsp_notes_clear(&notes);
}

static void the_many_push_out_only_each_other(void **state)
{
	struct ipsp_notes notes = {0};
	uint64_t before = 0;
	size_t n = 0, few = 0;

	(void)state;
	assert_null(ipsp_note_after(&notes, 0));
	for (unsigned i = 1; i <= 200; i++)
		add(&notes, false, "few %u", i);
	for (unsigned i = 1; i <= 5000; i++)
		add(&notes, true, "many %u", i);
	for (unsigned i = 201; i <= 220; i++)
		add(&notes, i % 2, "%s %u", i % 2 ? "many" : "few", i);
	assert_int_equal(notes.last, 5220);
	assert_int_equal(ipsp_notes_kept(&notes), 210 + IPSP_NOTES_KEPT);
	for (const struct ipsp_note *note = ipsp_note_after(&notes, 0); note;
	     note = ipsp_note_after(&notes, before), n++) {
		assert_true(note->number > before);
		assert_ptr_equal(ipsp_note_get(&notes, note->number), note);
		before = note->number;
		few += note->text[0] == 'f';
	}
	assert_int_equal(n, ipsp_notes_kept(&notes));
	assert_int_equal(few, 210);
	assert_int_equal(before, 5220);
	assert_null(ipsp_note_get(&notes, 300));
	assert_null(ipsp_note_get(&notes, 0));
	assert_string_equal(ipsp_note_get(&notes, 1)->text, "few 1");
	ipsp_notes_clear(&notes);
	assert_int_equal(ipsp_notes_kept(&notes), 0);
}

/* ---------------------------------------------------------------- a healing */

#define MANY 3000U

static void session(struct liar *l, uint32_t index)
{
	char sub[IPSP_NAME_BYTES + 1];
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST,
				.token = 2,
				.id = 1,
				.addr = ipsp_addr_v4(0x0a010001 + index)};

	snprintf(sub, sizeof(sub), "x%0252u", index);
	ev.ident = (struct ipsp_ident){sub, "s", (uint8_t)strlen(sub), 1, 0};
	liar_turn(l, &ev);
	assert_int_equal(l->answered, 0);
}

/* One item of the liar's: it uses these, by others, too. Steps, but ends no turn. Returns the next.
 */
static uint32_t report(struct liar *l, uint32_t from, uint32_t end)
{
	uint8_t plain[IPSP_PLAIN_MAX], dgram[IPSP_DGRAM_MAX];
	struct ipsp_msg msg = {.type = IPSP_MSG_ITEM};
	struct ipsp_item_writer w;
	char sub[IPSP_NAME_BYTES + 1];

	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_REPORT, 0, 0, 0, IPSP_SET_WHO);
	for (; from < end; from++) {
		snprintf(sub, sizeof(sub), "y%0252u", from);
		if (!ipsp_item_add_who(&w, from, sub, strlen(sub)))
			break;
	}
	msg.u.item.n = (uint16_t)ipsp_item_end(&w);
	msg.u.item.bytes = w.bytes;
	msg.u.item.stream = ipsp_sync_tag(l->books, l->heard.books);
	const struct ipsp_event ev = {
		.type = IPSP_EV_DATAGRAM,
		.bytes = dgram,
		.n_bytes = ipsp_seal_close(&l->seal, plain,
					   ipsp_msg_put(plain, 0, sizeof(plain), &msg), dgram)};
	ipsp_node_step(l->node, &ev, l->now, &l->act);
	return from;
}

static struct liar *with_sessions(void)
{
	struct liar *l = liar_new_of(true, IPSP_MODE_ACTIVE, 4096);

	liar_meet(l);
	for (uint32_t i = 0; i < MANY; i++)
		session(l, i);
	return l;
}

/* Thousands of duplicates in one turn, with names of full length: each has its own line, whole. */
static void each_of_a_burst_is_told(void **state)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};
	struct liar *l = with_sessions();
	uint32_t told = 0;
	char names[600];

	(void)state;
	ipsp_actions_clear(&l->act);
	for (uint32_t i = 0; i < MANY;)
		i = report(l, i, MANY);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	for (size_t i = 0; i < l->act.n_outs; i++) {
		const struct ipsp_out *o = &l->act.outs[i];
		const char *text = (const char *)l->act.bytes.data + o->off;

		if (o->type != IPSP_OUT_NOTE || strncmp(text, "duplicate: ", 11) != 0)
			continue;
		assert_int_equal(o->level, IPSP_LOG_ERROR);
		assert_int_equal(strlen(text), o->len);
		snprintf(names, sizeof(names), "by x%0252u and at the peer by y%0252u;", told,
			 told);
		assert_non_null(strstr(text, names));
		told++;
	}
	assert_int_equal(told, MANY);
	assert_int_equal(liar_stats(l)->duplicates_found, MANY);
	/* what else has happened is still to be seen */
	bool said = false;
	for (const struct ipsp_note *n = ipsp_note_after(ipsp_node_notes(l->node), 0); n;
	     n = ipsp_note_after(ipsp_node_notes(l->node), n->number))
		said = said || strcmp(n->text, "the peer is up") == 0;
	assert_true(said);
	liar_free(l);
}

/* What is too much for a turn is counted, and that is said. */
static void what_is_left_out_is_said(void **state)
{
	static const struct ipsp_event end = {.type = IPSP_EV_END};
	struct liar *l = with_sessions();
	uint32_t told = 0;
	char words[80];

	(void)state;
	ipsp_actions_clear(&l->act);
	l->act.note_bytes = (8u << 20) - 100000; /* as if many had been before */
	for (uint32_t i = 0; i < MANY;)
		i = report(l, i, MANY);
	ipsp_node_step(l->node, &end, l->now, &l->act);
	const char *last = "";
	for (size_t i = 0; i < l->act.n_outs; i++) {
		const struct ipsp_out *o = &l->act.outs[i];

		if (o->type != IPSP_OUT_NOTE)
			continue;
		last = (const char *)l->act.bytes.data + o->off;
		told += strncmp(last, "duplicate: ", 11) == 0;
	}
	assert_in_range(told, 1, MANY - 1);
	snprintf(words, sizeof(words), "%u more lines about duplicates were left out", MANY - told);
	assert_non_null(strstr(last, words));
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sentence_is_whole),
		cmocka_unit_test(the_many_push_out_only_each_other),
		cmocka_unit_test(each_of_a_burst_is_told),
		cmocka_unit_test(what_is_left_out_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
