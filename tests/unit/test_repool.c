/* Other pools come into force while sessions are there, and while answers have not gone: what was
 * told, and what is known, stays one. */
#include "core/node_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OPERATOR 1
#define HA	 2

struct side {
	struct ipsp_node *node;
	struct ipsp_actions act;
	struct ipsp_buf log; /* each record as it was made */
	ipsp_ms now;
	uint64_t ids;
};

/* ---------------------------------------------------------------- configurations */

/* One pool of 256 addresses for each letter of @pools: a is 10.1.0.0/24, b 10.2.0.0/24, and 0,
 * which is sorted before both, 10.9.0.0/24. */
static void conf_of(struct ipsp_context_conf *conf, const char *pools)
{
	ipsp_conf_init(conf, "isp1");
	conf->n_pools = (uint32_t)strlen(pools);
	conf->pools = calloc(conf->n_pools, sizeof(*conf->pools));
	assert_non_null(conf->pools);
	for (uint32_t i = 0; i < conf->n_pools; i++) {
		struct ipsp_pool_conf *p = &conf->pools[i];
		uint32_t net = pools[i] == '0' ? 9 : pools[i] == 'a' ? 1 : 2;

		*p = (struct ipsp_pool_conf){
			.base = ipsp_addr_v4(10U << 24 | net << 16), .size = 256, .plen = 32};
		snprintf(p->name, sizeof(p->name), "pool-%c", pools[i]);
	}
}

/* ... with IPSP, inactive: it serves alone, and an answer waits for the flush. */
static void conf_with_ipsp(struct ipsp_context_conf *conf, const char *pools, enum ipsp_role role)
{
	conf_of(conf, pools);
	conf->psp.enabled = true;
	conf->psp.mode = IPSP_MODE_INACTIVE;
	conf->psp.role = role;
	conf->psp.durability = IPSP_DURABLE_POWER;
	assert_int_equal(ipsp_addr_parse("127.0.0.1", &conf->psp.address), 0);
	assert_int_equal(ipsp_addr_parse("127.0.0.2", &conf->psp.peer), 0);
}

/* ---------------------------------------------------------------- turns */

static void step(struct side *s, struct ipsp_event ev)
{
	ipsp_node_step(s->node, &ev, s->now, &s->act);
}

/* The turn ends, and its records are written; the outs stay to be looked at. */
static void end_turn(struct side *s)
{
	step(s, (struct ipsp_event){.type = IPSP_EV_END});
	assert_false(s->act.failed);
	ipsp_buf_put(&s->log, s->act.recs.data, s->act.recs.len);
	ipsp_node_late(s->node, s->now, &s->act);
	ipsp_node_check(s->node);
}

static void next_turn(struct side *s)
{
	ipsp_actions_clear(&s->act);
	s->now++;
}

static void flushed(struct side *s)
{
	step(s, (struct ipsp_event){.type = IPSP_EV_FLUSHED, .seq = s->act.rec_seq});
}

/* A node with @conf, which is taken, that serves; on the records of @log, or on none. */
static struct side *started(struct ipsp_context_conf *conf, const struct ipsp_buf *log)
{
	struct side *s = calloc(1, sizeof(*s));
	struct ipsp_node_init init = {.conf = conf, .version = "test", .now = 1};

	assert_non_null(s);
	s->now = 1;
	s->node = ipsp_node_new(&init);
	assert_non_null(s->node);
	ipsp_conf_fini(conf);
	ipsp_actions_init(&s->act);
	if (log) {
		assert_int_equal(ipsp_node_replay_all(s->node, log->data, log->len), 0);
		ipsp_buf_put(&s->log, log->data, log->len);
	}
	const struct ipsp_start start = {.now = 1, .same_boot = true};
	ipsp_node_start(s->node, &start, &s->act);
	end_turn(s);
	s->now = 60000; /* it has listened for a peer */
	flushed(s);
	end_turn(s);
	next_turn(s);
	step(s, (struct ipsp_event){.type = IPSP_EV_ATTACH, .ha_name = "ha1", .token = HA});
	end_turn(s);
	next_turn(s);
	return s;
}

static void end(struct side *s)
{
	ipsp_node_free(s->node);
	ipsp_actions_fini(&s->act);
	ipsp_buf_fini(&s->log);
	free(s);
}

/* What a replay gives is what is in memory. */
static void replays(const struct side *s)
{
	struct ipsp_node_init init = {
		.conf = ipsp_node_conf(s->node), .version = "test", .now = s->now};
	struct ipsp_node *again = ipsp_node_new(&init);

	assert_non_null(again);
	assert_int_equal(ipsp_node_replay_all(again, s->log.data, s->log.len), 0);
	assert_true(ipsp_node_digest(again) == ipsp_node_digest(s->node));
	ipsp_node_free(again);
}

static uint64_t ask(struct side *s, const char *who, const char *addr)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = HA, .id = ++s->ids};

	ev.ident = (struct ipsp_ident){who, "", (uint8_t)strlen(who), 0, 0};
	assert_int_equal(ipsp_addr_parse(addr, &ev.addr), 0);
	step(s, ev);
	return ev.id;
}

static void release(struct side *s, uint64_t token, const char *addr)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .token = token, .id = ++s->ids};

	assert_int_equal(ipsp_addr_parse(addr, &ev.addr), 0);
	step(s, ev);
}

/* @conf is taken. Pools are frozen while IPSP is enabled, so that it is disabled first. */
static void reload(struct side *s, struct ipsp_context_conf *conf)
{
	step(s, (struct ipsp_event){.type = IPSP_EV_COMMAND, .command = IPSP_CMD_DISABLE});
	step(s, (struct ipsp_event){.type = IPSP_EV_CONF, .token = OPERATOR, .conf = conf});
	ipsp_conf_fini(conf);
}

/* ---------------------------------------------------------------- what came of it */

static const struct ipsp_out *found(const struct side *s, enum ipsp_out_type type, uint64_t token,
				    uint64_t id)
{
	for (size_t i = 0; i < s->act.n_outs; i++)
		if (s->act.outs[i].type == type && s->act.outs[i].token == token &&
		    s->act.outs[i].id == id)
			return &s->act.outs[i];
	return NULL;
}

static void is_given(const struct side *s, uint64_t id, const char *addr, const char *pool)
{
	const struct ipsp_out *o = found(s, IPSP_OUT_ANSWER, HA, id);
	char text[IPSP_ADDR_TEXT_MAX];

	assert_non_null(o);
	assert_int_equal(o->err, 0);
	assert_string_equal(ipsp_addr_text(o->addr, text, sizeof(text)), addr);
	assert_true(o->pool < ipsp_node_conf(s->node)->n_pools);
	assert_string_equal(ipsp_node_conf(s->node)->pools[o->pool].name, pool);
}

static void is_refused(const struct side *s, uint64_t id, int err)
{
	const struct ipsp_out *o = found(s, IPSP_OUT_ANSWER, HA, id);

	assert_non_null(o);
	assert_int_equal(o->err, err);
	assert_true(o->pool == IPSP_NO_POOL);
	assert_true(ipsp_addr_eq(o->addr, IPSP_ADDR_NONE));
}

static int reload_err(const struct side *s)
{
	const struct ipsp_out *o = found(s, IPSP_OUT_DONE, OPERATOR, 0);

	assert_non_null(o);
	return o->err;
}

static bool has_session(const struct side *s, const char *who)
{
	struct ipsp_session_view view;
	uint32_t cursor = 0;

	while (ipsp_node_session(s->node, &cursor, &view))
		if (view.bind.ident.n_subscriber == strlen(who) &&
		    memcmp(view.bind.ident.subscriber, who, strlen(who)) == 0)
			return true;
	return false;
}

/* ---------------------------------------------------------------- answers that have not gone */

/* Of the same turn: the answer names the pool by its new number. */
static void test_answer_of_the_same_turn(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_of(&conf, "ab");
	struct side *s = started(&conf, NULL);
	uint64_t id = ask(s, "mn-1", "10.2.0.5");
	conf_of(&conf, "0ab");
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	is_given(s, id, "10.2.0.5", "pool-b");
	replays(s);
	end(s);
}

/* The session of the same turn has ended again, and its pool is no more: the answer names neither.
 */
static void test_answer_of_no_pool(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_of(&conf, "ab");
	struct side *s = started(&conf, NULL);
	uint64_t id = ask(s, "mn-1", "10.2.0.5");
	release(s, HA, "10.2.0.5");
	conf_of(&conf, "a");
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	is_refused(s, id, IPSP_ERR_TIMEOUT);
	replays(s);
	end(s);
}

/* An answer that waits for a flush, as do two of sessions that end: one before, one after. */
static void test_answers_that_wait(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_with_ipsp(&conf, "ab", IPSP_ROLE_PRIMARY);
	struct side *s = started(&conf, NULL);
	uint64_t stays = ask(s, "mn-1", "10.2.0.5");
	uint64_t before = ask(s, "mn-2", "10.2.0.6"), after = ask(s, "mn-3", "10.2.0.7");
	release(s, HA, "10.2.0.6");
	end_turn(s);
	assert_null(found(s, IPSP_OUT_ANSWER, HA, stays));
	next_turn(s);
	conf_with_ipsp(&conf, "0ab", IPSP_ROLE_PRIMARY);
	reload(s, &conf);
	release(s, HA, "10.2.0.7");
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	next_turn(s);
	flushed(s);
	end_turn(s);
	is_given(s, stays, "10.2.0.5", "pool-b");
	is_refused(s, before, IPSP_ERR_TIMEOUT);
	assert_int_equal(found(s, IPSP_OUT_ANSWER, HA, after)->err, IPSP_ERR_TIMEOUT);
	replays(s);
	end(s);
}

/*
 * The reload of the same turn makes this side a secondary, which serves nothing: the answer comes
 * too late, and its session is undone. It is that session, not the one which had the numbers of its
 * pool and address before.
 */
static void test_answer_that_is_too_late(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_with_ipsp(&conf, "ab", IPSP_ROLE_PRIMARY);
	struct side *s = started(&conf, NULL);
	uint64_t innocent = ask(s, "innocent", "10.1.0.5");
	end_turn(s);
	next_turn(s);
	flushed(s);
	end_turn(s);
	is_given(s, innocent, "10.1.0.5", "pool-a");
	next_turn(s);
	uint64_t id = ask(s, "mn-1", "10.2.0.5");
	conf_with_ipsp(&conf, "0ab", IPSP_ROLE_SECONDARY);
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	next_turn(s);
	flushed(s);
	end_turn(s);
	assert_int_equal(found(s, IPSP_OUT_ANSWER, HA, id)->err, IPSP_ERR_LOCKED);
	next_turn(s);
	step(s, (struct ipsp_event){.type = IPSP_EV_TICK});
	end_turn(s);
	assert_true(has_session(s, "innocent"));
	assert_false(has_session(s, "mn-1"));
	replays(s);
	end(s);
}

/* ---------------------------------------------------------------- open release events */

static const struct ipsp_out *first_of(const struct side *s, enum ipsp_out_type type)
{
	for (size_t i = 0; i < s->act.n_outs; i++)
		if (s->act.outs[i].type == type)
			return &s->act.outs[i];
	return NULL;
}

static const char *state_of(const struct side *s, const char *addr)
{
	struct ipsp_session_view view;
	struct ipsp_addr a;
	uint32_t cursor = 0;

	assert_int_equal(ipsp_addr_parse(addr, &a), 0);
	while (ipsp_node_session(s->node, &cursor, &view))
		if (ipsp_addr_eq(view.addr, a))
			return view.state;
	return "none";
}

/* An operator's release is asked for until its HA has ended the session. */
static void test_a_release_stays_asked_for(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_of(&conf, "ab");
	struct side *s = started(&conf, NULL);
	ask(s, "mn-1", "10.2.0.5");
	ask(s, "mn-2", "10.2.0.6");
	release(s, OPERATOR, "10.2.0.5");
	release(s, OPERATOR, "10.2.0.6");
	end_turn(s);
	const struct ipsp_out *event = first_of(s, IPSP_OUT_RELEASE);
	assert_non_null(event);
	struct ipsp_event answer = {.type = IPSP_EV_RELEASED, .token = HA, .id = event->id};
	answer.addr = event->addr;
	next_turn(s);
	conf_of(&conf, "0ab");
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	assert_null(first_of(s, IPSP_OUT_CANCELLED));
	assert_null(first_of(s, IPSP_OUT_RELEASE)); /* it was sent before */
	assert_string_equal(state_of(s, "10.2.0.5"), "releasing");
	assert_string_equal(state_of(s, "10.2.0.6"), "releasing");
	next_turn(s);
	step(s, answer);
	end_turn(s);
	assert_string_equal(state_of(s, "10.2.0.5"), "none");
	assert_string_equal(state_of(s, "10.2.0.6"), "releasing");
	next_turn(s);
	/* and who comes anew is asked again */
	step(s, (struct ipsp_event){.type = IPSP_EV_DETACH, .token = HA});
	conf_of(&conf, "b");
	reload(s, &conf);
	step(s, (struct ipsp_event){.type = IPSP_EV_ATTACH, .ha_name = "ha1", .token = HA + 1});
	end_turn(s);
	event = first_of(s, IPSP_OUT_RELEASE);
	assert_non_null(event);
	assert_true(ipsp_addr_eq(event->addr, ipsp_addr_v4(0x0a020006)));
	replays(s);
	end(s);
}

/* One that is held back behind the answer of its session stays so, and goes after it. */
static void test_a_held_release_follows_its_answer(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_with_ipsp(&conf, "ab", IPSP_ROLE_PRIMARY);
	struct side *s = started(&conf, NULL);
	uint64_t id = ask(s, "mn-1", "10.2.0.5");
	release(s, OPERATOR, "10.2.0.5");
	conf_with_ipsp(&conf, "0ab", IPSP_ROLE_PRIMARY);
	reload(s, &conf);
	end_turn(s);
	assert_null(first_of(s, IPSP_OUT_ANSWER));
	assert_null(first_of(s, IPSP_OUT_RELEASE));
	next_turn(s);
	flushed(s);
	end_turn(s);
	is_given(s, id, "10.2.0.5", "pool-b");
	const struct ipsp_out *event = first_of(s, IPSP_OUT_RELEASE);
	assert_non_null(event);
	assert_true(event > first_of(s, IPSP_OUT_ANSWER));
	assert_true(ipsp_addr_eq(event->addr, ipsp_addr_v4(0x0a020005)));
	end(s);
}

/* ---------------------------------------------------------------- sessions in the way */

/* A reload may not take an address away that a session has: not known before, not of this turn. */
static void test_no_address_in_use_goes(void **state)
{
	struct ipsp_context_conf conf;
	char why[128];

	(void)state;
	conf_of(&conf, "ab");
	struct side *s = started(&conf, NULL);
	uint64_t id = ask(s, "mn-1", "10.2.0.5");
	conf_of(&conf, "a");
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), IPSP_ERR_STILL_USED);
	is_given(s, id, "10.2.0.5", "pool-b");
	assert_true(has_session(s, "mn-1"));
	next_turn(s);
	ask(s, "mn-2", "10.2.0.6");
	ask(s, "mn-3", "10.1.0.7");
	end_turn(s);
	next_turn(s);
	conf_of(&conf, "0a");
	assert_int_equal(ipsp_node_may_conf(s->node, &conf, why), IPSP_ERR_STILL_USED);
	assert_string_equal(why, "pools: 2 addresses in use would be in no pool");
	release(s, HA, "10.2.0.5");
	release(s, HA, "10.2.0.6");
	assert_int_equal(ipsp_node_may_conf(s->node, &conf, why), 0);
	reload(s, &conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	assert_true(has_session(s, "mn-3"));
	replays(s);
	end(s);
}

static void conf_of_prefixes(struct ipsp_context_conf *conf, uint8_t plen)
{
	conf_of(conf, "a");
	assert_int_equal(ipsp_addr_parse("2001:db8::", &conf->pools[0].base), 0);
	conf->pools[0].plen = plen;
	conf->pools[0].shift = (uint8_t)(128 - plen);
}

/* A prefix of another length is another one, though it begins with the same address. */
static void test_no_prefix_in_use_changes(void **state)
{
	struct ipsp_context_conf conf;
	char why[128];

	(void)state;
	conf_of_prefixes(&conf, 64);
	struct side *s = started(&conf, NULL);
	is_given(s, ask(s, "mn-1", "2001:db8::"), "2001:db8::", "pool-a");
	end_turn(s);
	conf_of_prefixes(&conf, 56);
	assert_int_equal(ipsp_node_may_conf(s->node, &conf, why), IPSP_ERR_STILL_USED);
	assert_string_equal(why, "pools: 1 address in use would be in no pool");
	ipsp_conf_fini(&conf);
	end(s);
}

/* At a start nothing can be refused: what is lost is said. */
static void test_a_start_says_what_is_lost(void **state)
{
	struct ipsp_context_conf conf;

	(void)state;
	conf_of(&conf, "ab");
	struct side *s = started(&conf, NULL);
	ask(s, "mn-1", "10.2.0.5");
	ask(s, "mn-2", "10.1.0.5");
	end_turn(s);
	conf_of(&conf, "a");
	struct side *again = started(&conf, &s->log);
	assert_false(has_session(again, "mn-1"));
	assert_true(has_session(again, "mn-2"));
	bool said = false;
	const struct ipsp_notes *notes = ipsp_node_notes(again->node);
	for (uint64_t i = 1; i <= notes->last; i++) {
		const struct ipsp_note *note = ipsp_note_get(notes, i);
		said = said || (note && strstr(note->text, "1 sessions were on addresses"));
	}
	assert_true(said);
	replays(again);
	end(again);
	end(s);
}

/* ---------------------------------------------------------------- still used */

static void conf_to_share(struct ipsp_context_conf *conf, enum ipsp_role role)
{
	conf_with_ipsp(conf, "a", role);
	conf->psp.mode = IPSP_MODE_ACTIVE;
}

static struct ipsp_status status_of(const struct side *s)
{
	struct ipsp_status st;

	ipsp_node_status(s->node, s->now, &st);
	return st;
}

/* It has served without IPSP, and has a session when its file makes it a new secondary. */
static struct side *still_used(void)
{
	struct ipsp_context_conf conf;

	conf_of(&conf, "a");
	struct side *before = started(&conf, NULL);
	is_given(before, ask(before, "mn-1", "10.1.0.5"), "10.1.0.5", "pool-a");
	end_turn(before);
	conf_to_share(&conf, IPSP_ROLE_SECONDARY);
	struct side *s = started(&conf, &before->log);
	end(before);
	assert_int_equal(status_of(s).state, IPSP_ST_DISABLED);
	assert_true(status_of(s).still_used);
	assert_int_equal(status_of(s).waiting, IPSP_WAIT_NONE);
	return s;
}

static void read_again(struct side *s, enum ipsp_role role)
{
	struct ipsp_context_conf conf;

	conf_to_share(&conf, role);
	step(s, (struct ipsp_event){.type = IPSP_EV_CONF, .token = OPERATOR, .conf = &conf});
	ipsp_conf_fini(&conf);
	end_turn(s);
	assert_int_equal(reload_err(s), 0);
	next_turn(s);
}

static void command_is_refused(struct side *s, enum ipsp_command command)
{
	step(s, (struct ipsp_event){.type = IPSP_EV_COMMAND,
				    .token = OPERATOR,
				    .command = command,
				    .mode = IPSP_MODE_ACTIVE,
				    .force = true});
	end_turn(s);
	const struct ipsp_out *o = found(s, IPSP_OUT_DONE, OPERATOR, 0);
	assert_non_null(o);
	assert_int_equal(o->err, IPSP_ERR_STILL_USED);
	assert_non_null(o->text);
	next_turn(s);
}

/* Disabled, whatever is read or commanded, until the session has ended; then by itself. */
static void test_still_used_until_the_last_has_ended(void **state)
{
	struct side *s = still_used();

	(void)state;
	read_again(s, IPSP_ROLE_SECONDARY);
	assert_int_equal(status_of(s).state, IPSP_ST_DISABLED);
	assert_true(status_of(s).still_used);
	command_is_refused(s, IPSP_CMD_TAKEOVER);
	command_is_refused(s, IPSP_CMD_DRAIN);
	command_is_refused(s, IPSP_CMD_TERMINATE);
	command_is_refused(s, IPSP_CMD_CHECK);
	command_is_refused(s, IPSP_CMD_MODE);
	release(s, HA, "10.1.0.5");
	end_turn(s);
	next_turn(s);
	end_turn(s);
	assert_false(status_of(s).still_used);
	assert_int_equal(status_of(s).role, IPSP_ROLE_SECONDARY);
	assert_int_equal(status_of(s).state, IPSP_ST_CONNECTING);
	assert_int_equal(status_of(s).unused, 0);
	replays(s);
	end(s);
}

/* A primary may have sessions. */
static void test_still_used_until_it_is_primary(void **state)
{
	struct side *s = still_used();

	(void)state;
	read_again(s, IPSP_ROLE_PRIMARY);
	assert_false(status_of(s).still_used);
	assert_int_equal(status_of(s).role, IPSP_ROLE_PRIMARY);
	assert_int_equal(status_of(s).state, IPSP_ST_CONNECTING);
	assert_true(has_session(s, "mn-1"));
	replays(s);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_of_the_same_turn),
		cmocka_unit_test(test_answer_of_no_pool),
		cmocka_unit_test(test_answers_that_wait),
		cmocka_unit_test(test_answer_that_is_too_late),
		cmocka_unit_test(test_a_release_stays_asked_for),
		cmocka_unit_test(test_a_held_release_follows_its_answer),
		cmocka_unit_test(test_no_address_in_use_goes),
		cmocka_unit_test(test_no_prefix_in_use_changes),
		cmocka_unit_test(test_a_start_says_what_is_lost),
		cmocka_unit_test(test_still_used_until_the_last_has_ended),
		cmocka_unit_test(test_still_used_until_it_is_primary),
	};

	return cmocka_run_group_tests_name("repool", tests, NULL, NULL);
}
