/*
 * The state table: each cell is decided, as docs/protocol.md shows it, and does what it says when a
 * message comes in that state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the five above first */
#include "core/peer.h"
#include "liar.h"
#include <cmocka.h>

/* Rows: states; columns: CONF_ASK CONF_PART REQUEST REFUSE ITEM ACK TAKEOVER CANCEL; '+' obeyed,
 * '.' ignored on purpose. Written out once more: whoever changes the table changes it here and in
 * the document. */
static const char *const matrix[IPSP_STATES] = {
	[IPSP_ST_DISABLED] = "........",	[IPSP_ST_INACTIVE] = "........",
	[IPSP_ST_CHECKING] = "++......",	[IPSP_ST_CONNECTING] = "++++++.+",
	[IPSP_ST_CONFIG_MISMATCH] = "++++++.+", [IPSP_ST_LOCKED] = "++++++++",
	[IPSP_ST_ACTIVE] = "++++++++",		[IPSP_ST_PEER_LOST] = "++++++.+",
	[IPSP_ST_PEER_DOWN] = "++...+..",	[IPSP_ST_RECONCILING] = "++++++.+",
	[IPSP_ST_TERMINATED] = "++++++.+",
};

static void no_cell_is_undefined(void **state)
{
	(void)state;
	for (unsigned s = 0; s < IPSP_STATES; s++) {
		assert_int_equal(strlen(matrix[s]), IPSP_PE_SITUATION);
		for (unsigned e = 0; e < IPSP_PE_SITUATION; e++)
			assert_int_equal(ipsp_peer_cell(s, e),
					 matrix[s][e] == '+' ? IPSP_CELL_RULE : IPSP_CELL_IGNORED);
		/* every state may follow every other, but those that the table shows can't */
		for (unsigned e = IPSP_PE_SITUATION; e < IPSP_PEER_EVENTS; e++)
			assert_true(ipsp_peer_cell(s, e) != IPSP_CELL_IGNORED);
		assert_int_equal(ipsp_peer_cell(s, IPSP_PE_SITUATION + s), IPSP_CELL_RULE);
	}
}

/* A row of the document's matrix: "| `active` | + | ...", with a middle dot for what is ignored. */
static void the_document_shows_the_same(void **state)
{
	FILE *file = fopen(SOURCE_DIR "/docs/protocol.md", "r");
	unsigned found = 0;
	char line[400];

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		for (unsigned s = 0; s < IPSP_STATES; s++) {
			char begin[40], cells[16] = "";
			size_t n = 0;

			snprintf(begin, sizeof(begin), "| `%s` | ", ipsp_state_word(s));
			if (strncmp(line, begin, strlen(begin)) != 0)
				continue;
			for (const char *p = line + strlen(begin); *p && n < 9; p++) {
				if (*p == '+')
					cells[n++] = '+';
				else if (strncmp(p, "\xc2\xb7", 2) == 0)
					cells[n++] = '.';
			}
			if (n != IPSP_PE_SITUATION)
				continue; /* another table's row */
			assert_string_equal(cells, matrix[s]);
			found++;
		}
	}
	fclose(file);
	assert_int_equal(found, IPSP_STATES);
}

/* ---------------------------------------------------------------- each cell, run */

static struct liar *in_state(enum ipsp_state state)
{
	struct liar *l;

	switch (state) {
	case IPSP_ST_CHECKING:
		l = liar_new(true, IPSP_MODE_CHECK);
		liar_meet(l);
		break;
	case IPSP_ST_CONNECTING: /* heard, but not heard by the peer; nothing is shared */
		l = liar_new(true, IPSP_MODE_ACTIVE);
		l->deaf = true;
		liar_pass(l, 8000);
		break;
	case IPSP_ST_CONFIG_MISMATCH: /* two primaries */
		l = liar_new(true, IPSP_MODE_ACTIVE);
		l->lie_set = IPSP_HF_CONF_PRIMARY;
		liar_pass(l, 8000);
		break;
	case IPSP_ST_LOCKED: /* a secondary that was given nothing yet */
		l = liar_new(false, IPSP_MODE_ACTIVE);
		liar_pass(l, 8000);
		break;
	case IPSP_ST_PEER_LOST:
		l = liar_active(true);
		l->mute = true;
		liar_pass(l, 15000);
		break;
	case IPSP_ST_PEER_DOWN:
	case IPSP_ST_RECONCILING:
		l = liar_active(true);
		l->mute = true;
		liar_pass(l, 35000);
		if (state == IPSP_ST_PEER_DOWN)
			break;
		l->mute = false;
		l->no_acks = true; /* its report isn't acknowledged */
		liar_pass(l, 5000);
		break;
	case IPSP_ST_TERMINATED:
		l = liar_active(true);
		liar_command(l, IPSP_CMD_TERMINATE);
		break;
	case IPSP_ST_DISABLED:
	case IPSP_ST_INACTIVE:
	case IPSP_ST_ACTIVE:
	case IPSP_STATES:
	default:
		l = liar_active(true);
		break;
	}
	assert_string_equal(ipsp_state_word(liar_status(l).state), ipsp_state_word(state));
	return l;
}

static void say_one(struct liar *l, enum ipsp_peer_event event)
{
	struct ipsp_msg msg = {0};
	struct ipsp_item_writer w;

	switch (event) {
	case IPSP_PE_CONF_ASK:
		msg.type = IPSP_MSG_CONF_ASK;
		break;
	case IPSP_PE_CONF_PART:
		msg.type = IPSP_MSG_CONF_PART;
		msg.u.conf = (struct ipsp_conf_part){
			.total = 4, .bytes = (const uint8_t *)"xyz", .n = 3};
		break;
	case IPSP_PE_REQUEST:
		liar_say_request(l, 5 << 16, l->heard.epoch, 0, 2);
		return;
	case IPSP_PE_REFUSE:
		msg.type = IPSP_MSG_REFUSE;
		msg.u.refuse = (struct ipsp_refuse){.id = 1, .epoch = 1, .err = IPSP_ERR_IN_USE};
		break;
	case IPSP_PE_ITEM:
		ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
		ipsp_item_add_run(&w, 1, 1);
		liar_say_item(l, &w, 0);
		return;
	case IPSP_PE_ACK:
		liar_say_ack(l, l->applied);
		return;
	case IPSP_PE_TAKEOVER:
		msg.type = IPSP_MSG_TAKEOVER;
		msg.u.request.epoch = l->heard.epoch + 1; /* of another epoch: nothing changes */
		break;
	case IPSP_PE_CANCEL:
		msg.type = IPSP_MSG_CANCEL;
		msg.u.request.id = 99;
		break;
	case IPSP_PE_SITUATION:
	case IPSP_PEER_EVENTS:
	default:
		fail();
	}
	liar_say(l, &msg);
}

static void each_message_in_each_state(void **state)
{
	(void)state;
	for (unsigned s = IPSP_ST_CHECKING; s < IPSP_STATES; s++) {
		for (unsigned e = 0; e < IPSP_PE_SITUATION; e++) {
			struct liar *l = in_state(s);
			uint64_t ignored = liar_stats(l)->rules_ignored;
			uint64_t visits = (*ipsp_node_visits(l->node))[s][e];
			uint64_t digest = ipsp_node_digest(l->node);
			bool obeyed = matrix[s][e] == '+';

			say_one(l, e);
			if ((*ipsp_node_visits(l->node))[s][e] != visits + 1)
				assert_int_equal((*ipsp_node_visits(l->node))[s][e], visits + 1);
			assert_int_equal(liar_stats(l)->rules_ignored, ignored + !obeyed);
			if (!obeyed)
				assert_int_equal(ipsp_node_digest(l->node), digest);
			/* the end of healing is a fact; no message moves a state by itself */
			if (s != IPSP_ST_RECONCILING || e != IPSP_PE_ACK)
				assert_string_equal(ipsp_state_word(liar_status(l).state),
						    ipsp_state_word(s));
			liar_free(l);
		}
	}
}

/* disabled, inactive: nothing is heard, so nothing reaches the table. */
static void closed_hears_nothing(void **state)
{
	struct liar *l = liar_new(true, IPSP_MODE_INACTIVE);
	uint64_t digest = ipsp_node_digest(l->node);
	uint8_t dgram[IPSP_DGRAM_MAX];
	struct ipsp_event ev = {.type = IPSP_EV_DATAGRAM, .bytes = dgram};

	(void)state;
	ev.n_bytes = ipsp_seal_shake(&l->seal, dgram);
	liar_turn(l, &ev);
	liar_pass(l, 5000);
	assert_int_equal(l->n_hellos, 0);
	assert_int_equal(liar_stats(l)->hellos_sent, 0);
	assert_int_equal(ipsp_node_digest(l->node), digest);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cell_is_undefined),
		cmocka_unit_test(the_document_shows_the_same),
		cmocka_unit_test(each_message_in_each_state),
		cmocka_unit_test(closed_hears_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
