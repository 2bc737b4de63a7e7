/* The names of HAs: known while somebody is attached or has a session, and forgotten then; in the
 * log only those that a session needs. */
#include "core/names.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 4096

struct side {
	struct ipsp_node *node;
	struct ipsp_actions act;
	struct ipsp_buf log; /* each record as it was made */
	uint64_t ids;
};

static struct ipsp_node *new_node(void)
{
	struct ipsp_context_conf conf;
	struct ipsp_node_init init = {.conf = &conf, .version = "test", .now = 1};

	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	assert_non_null(conf.pools);
	conf.n_pools = 1;
	snprintf(conf.pools[0].name, sizeof(conf.pools[0].name), "pool-a");
	assert_int_equal(ipsp_addr_parse("10.0.0.0", &conf.pools[0].base), 0);
	conf.pools[0].size = SIZE;
	conf.pools[0].plen = 32;
	struct ipsp_node *node = ipsp_node_new(&init);
	assert_non_null(node);
	ipsp_conf_fini(&conf);
	return node;
}

static void turned(struct side *s)
{
	if (s->act.recs.len > 0)
		ipsp_buf_put(&s->log, s->act.recs.data, s->act.recs.len);
	assert_false(s->act.failed);
	ipsp_actions_clear(&s->act);
}

/* A node that was started on the records of @log, or on none. */
static struct side *started(const struct ipsp_buf *log)
{
	const struct ipsp_start start = {.now = 1, .same_boot = true};
	struct side *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->node = new_node();
	ipsp_actions_init(&s->act);
	struct ipsp_rd rd = log ? ipsp_rd_of(log->data, log->len) : ipsp_rd_of(NULL, 0);
	while (ipsp_rd_left(&rd) > 0) {
		size_t n = ipsp_rd_u16(&rd);
		const uint8_t *rec = ipsp_rd_take(&rd, n);
		assert_non_null(rec);
		assert_int_equal(ipsp_node_replay(s->node, rec, n), 0);
	}
	ipsp_node_start(s->node, &start, &s->act);
	turned(s);
	return s;
}

static void end(struct side *s)
{
	ipsp_node_free(s->node);
	ipsp_actions_fini(&s->act);
	ipsp_buf_fini(&s->log);
	free(s);
}

static void step(struct side *s, const struct ipsp_event *ev)
{
	ipsp_node_step(s->node, ev, 1, &s->act);
	turned(s);
}

static void attach(struct side *s, const char *name, uint64_t token)
{
	step(s, &(struct ipsp_event){.type = IPSP_EV_ATTACH, .ha_name = name, .token = token});
}

static void detach(struct side *s, uint64_t token)
{
	step(s, &(struct ipsp_event){.type = IPSP_EV_DETACH, .token = token});
}

static void take(struct side *s, uint64_t token, const char *subscriber)
{
	uint64_t before = s->node->stats.requests_refused;
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = token, .id = ++s->ids};

	ev.ident = (struct ipsp_ident){.subscriber = subscriber,
				       .session = "",
				       .n_subscriber = (uint8_t)strlen(subscriber)};
	step(s, &ev);
	assert_int_equal(s->node->stats.requests_refused, before);
}

/* The name under which the session of @subscriber stands, and its address. */
static const char *who_has(struct side *s, const char *subscriber, struct ipsp_addr *addr)
{
	static struct ipsp_session_view view;
	uint32_t cursor = 0;

	while (ipsp_node_session(s->node, &cursor, &view))
		if (view.bind.ident.n_subscriber == strlen(subscriber) &&
		    memcmp(view.bind.ident.subscriber, subscriber, strlen(subscriber)) == 0) {
			if (addr)
				*addr = view.addr;
			return view.ha;
		}
	return NULL;
}

static void release(struct side *s, uint64_t token, const char *subscriber)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .token = token};

	assert_non_null(who_has(s, subscriber, &ev.addr));
	step(s, &ev);
	assert_null(who_has(s, subscriber, NULL));
}

static void restarted(struct side **s)
{
	struct side *again = started(&(*s)->log);

	assert_int_equal(ipsp_node_digest(again->node), ipsp_node_digest((*s)->node));
	ipsp_buf_put(&again->log, (*s)->log.data, (*s)->log.len);
	end(*s);
	*s = again;
}

/* ---------------------------------------------------------------- tests */

static void a_million_names_cost_nothing(void **state)
{
	struct side *s = started(NULL);
	char name[IPSP_NAME_MAX];

	(void)state;
	attach(s, "stays", 1);
	take(s, 1, "u1");
	size_t log = s->log.len;
	for (unsigned i = 0; i < 1000000; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		attach(s, name, 2 + i);
		assert_int_equal(ipsp_ha_of_token(s->node, 2 + i), 2);
		detach(s, 2 + i);
		assert_int_equal(ipsp_ha_of_token(s->node, 2 + i), 0);
	}
	assert_int_equal(s->node->has.n_names, 1);
	assert_in_range(s->node->has.cap, 1, 8);
	assert_int_equal(s->log.len, log); /* nor is anything written for them */
	assert_string_equal(who_has(s, "u1", NULL), "stays");
	restarted(&s);
	assert_string_equal(who_has(s, "u1", NULL), "stays");
	end(s);
}

/* Sessions belong to the name: it stays while it has one, with or without a connection, and its
 * number is another's afterwards. */
static void a_name_lives_as_long_as_its_sessions(void **state)
{
	struct side *s = started(NULL);

	(void)state;
	attach(s, "first", 1);
	take(s, 1, "u1");
	take(s, 1, "u2");
	detach(s, 1);
	assert_int_equal(s->node->has.n_names, 1);
	assert_string_equal(who_has(s, "u1", NULL), "first");
	attach(s, "second", 2);
	take(s, 2, "u1"); /* moves to who asked last */
	assert_string_equal(who_has(s, "u1", NULL), "second");
	assert_int_equal(s->node->has.n_names, 2);
	restarted(&s);
	assert_int_equal(s->node->has.n_names, 2);
	attach(s, "second", 3);
	take(s, 3, "u2"); /* the first has none left, and nobody is there under it */
	assert_int_equal(s->node->has.n_names, 1);
	attach(s, "third", 4); /* ... whose number is another's now */
	assert_int_equal(ipsp_ha_of_token(s->node, 4), 1);
	take(s, 4, "u3");
	release(s, 3, "u1");
	detach(s, 3);
	restarted(&s);
	assert_string_equal(who_has(s, "u2", NULL), "second");
	assert_string_equal(who_has(s, "u3", NULL), "third");
	assert_int_equal(s->node->has.n_names, 2);
	attach(s, "second", 5);
	release(s, 5, "u2");
	assert_int_equal(s->node->has.n_names, 2); /* attached still */
	detach(s, 5);
	assert_int_equal(s->node->has.n_names, 1);
	end(s);
}

/* One that ended under it, and comes back: a second attach is the same name, and the earlier
 * connection is nobody's any more. */
static void a_name_has_one_connection(void **state)
{
	struct side *s = started(NULL);

	(void)state;
	attach(s, "ha", 1);
	attach(s, "ha", 2);
	assert_int_equal(ipsp_ha_of_token(s->node, 1), 0);
	assert_int_equal(ipsp_ha_of_token(s->node, 2), 1);
	assert_int_equal(s->node->has.n_attached, 1);
	detach(s, 1);
	assert_int_equal(ipsp_ha_of_token(s->node, 2), 1);
	end(s);
}

static void attach_as(struct side *s, const char *name, uint64_t token, uint32_t owner)
{
	step(s, &(struct ipsp_event){
			.type = IPSP_EV_ATTACH, .ha_name = name, .token = token, .owner = owner});
}

/* One that moves to another name, and one that an operator ends: refused, and nothing changes. */
static void expect_refused(struct side *s, uint64_t token, const char *subscriber)
{
	struct ipsp_event ev = {.type = IPSP_EV_REQUEST, .token = token, .id = ++s->ids};

	ev.ident = (struct ipsp_ident){.subscriber = subscriber,
				       .session = "",
				       .n_subscriber = (uint8_t)strlen(subscriber)};
	ipsp_node_step(s->node, &ev, 1, &s->act);
	assert_int_equal(s->act.n_outs, 1);
	assert_int_equal(s->act.outs[0].err, IPSP_ERR_NOT_PERMITTED);
	turned(s);
}

static void a_name_has_an_owner(void **state)
{
	struct side *s = started(NULL);

	(void)state;
	attach_as(s, "mine", 1, 1001);
	attach_as(s, "theirs", 2, 1002);
	assert_int_equal(ipsp_node_owner(s->node, "mine"), 1001);
	assert_int_equal(ipsp_node_owner(s->node, "nobody's"), 0);
	take(s, 1, "u1");
	detach(s, 1);
	detach(s, 2);
	assert_int_equal(ipsp_node_owner(s->node, "mine"), 1001); /* it has a session */
	assert_int_equal(ipsp_node_owner(s->node, "theirs"), 0);
	attach_as(s, "mine", 3, 1003); /* one who may do everything: the shell has let it in */
	assert_int_equal(ipsp_node_owner(s->node, "mine"), 1001);
	release(s, 3, "u1");
	detach(s, 3);
	assert_int_equal(ipsp_node_owner(s->node, "mine"), 0);
	end(s);
}

static void sessions_stay_with_their_owner(void **state)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .owner = 1002};
	struct side *s = started(NULL);

	(void)state;
	attach_as(s, "mine", 1, 1001);
	attach_as(s, "mine too", 2, 1001);
	attach_as(s, "theirs", 3, 1002);
	take(s, 1, "u1");
	expect_refused(s, 3, "u1");
	assert_string_equal(who_has(s, "u1", &ev.addr), "mine");
	ipsp_node_step(s->node, &ev, 1, &s->act); /* an operator's, of the other user */
	assert_int_equal(s->act.n_outs, 1);
	assert_int_equal(s->act.outs[0].err, IPSP_ERR_NOT_PERMITTED);
	turned(s);
	take(s, 2, "u1");
	assert_string_equal(who_has(s, "u1", NULL), "mine too");
	step(s, &(struct ipsp_event){.type = IPSP_EV_ATTACH,
				     .ha_name = "any",
				     .token = 4,
				     .owner = 1003,
				     .force = true});
	take(s, 4, "u1");
	assert_string_equal(who_has(s, "u1", NULL), "any");
	end(s);
}

static void end_as(struct side *s, uint32_t owner, const char *subscriber, int err)
{
	struct ipsp_event ev = {.type = IPSP_EV_RELEASE, .owner = owner};

	assert_string_equal(who_has(s, subscriber, &ev.addr), "");
	ipsp_node_step(s->node, &ev, 1, &s->act);
	assert_int_equal(s->act.n_outs, 1);
	assert_int_equal(s->act.outs[0].err, err);
	turned(s);
}

static void take_as(struct side *s, uint32_t owner, const char *subscriber)
{
	step(s, &(struct ipsp_event){.type = IPSP_EV_REQUEST,
				     .owner = owner,
				     .id = ++s->ids,
				     .ident = {.subscriber = subscriber,
					       .session = "",
					       .n_subscriber = (uint8_t)strlen(subscriber)}});
}

/* What root has asked for without an HA is not a gateway user's to end, also not after the same was
 * asked for once more; what such a user asked for is. */
static void an_operators_session_is_no_gateways(void **state)
{
	struct side *s = started(NULL);

	(void)state;
	take_as(s, 0, "u1");
	end_as(s, 1002, "u1", IPSP_ERR_NOT_PERMITTED);
	take_as(s, 1002, "u1");
	end_as(s, 1002, "u1", IPSP_ERR_NOT_PERMITTED);
	end_as(s, 0, "u1", 0);
	take_as(s, 1002, "u2");
	end_as(s, 1002, "u2", 0);
	take_as(s, 1002, "u3");
	struct side *after = started(&s->log);
	end_as(after, 1002, "u3", IPSP_ERR_NOT_PERMITTED); /* whose it was is not kept */
	end_as(after, 0, "u3", 0);
	end(after);
	end(s);
}

static uint32_t owner_after(const struct ipsp_buf *log, const char *name)
{
	struct side *s = started(log);
	const uint32_t owner = ipsp_node_owner(s->node, name);

	end(s);
	return owner;
}

/* Over a restart, of the log and of a snapshot; in a log that has none, by who comes first. */
static void the_owner_is_kept(void **state)
{
	struct side *s = started(NULL), *old;
	struct ipsp_buf log = {0};
	uint64_t cursor = 0;

	(void)state;
	attach_as(s, "ha", 1, 0);
	take(s, 1, "u1");
	detach(s, 1);
	assert_int_equal(owner_after(&s->log, "ha"), 0);
	ipsp_buf_put(&log, s->log.data, s->log.len);
	old = started(&log);
	attach_as(old, "ha", 1, 1001); /* its name is in the log already: once more */
	ipsp_buf_put(&log, old->log.data, old->log.len);
	assert_int_equal(owner_after(&log, "ha"), 1001);
	ipsp_buf_clear(&log);
	while (ipsp_node_snapshot(old->node, &cursor, 4096, &log))
		;
	assert_int_equal(owner_after(&log, "ha"), 1001);
	end(old);
	end(s);
	ipsp_buf_fini(&log);
}

/* As many as fit, each found; then an end, but for those that are known. */
static void there_is_a_limit(void **state)
{
	struct side *s = started(NULL);
	char name[IPSP_NAME_MAX];

	(void)state;
	for (unsigned i = 0; i < IPSP_HAS_MAX; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		assert_true(ipsp_node_may_attach(s->node, name));
		attach(s, name, 1 + i);
	}
	for (unsigned i = 0; i < IPSP_HAS_MAX; i++)
		assert_int_equal(ipsp_ha_of_token(s->node, 1 + i), 1 + i);
	assert_false(ipsp_node_may_attach(s->node, "one more"));
	assert_true(ipsp_node_may_attach(s->node, "name-17"));
	detach(s, 18);
	assert_true(ipsp_node_may_attach(s->node, "one more"));
	end(s);
}

/* The log of the first version has a name for every HA that ever came, sessions or not. */
static void an_old_log_is_read(void **state)
{
	struct side *s = started(NULL), *fresh = started(NULL);
	struct ipsp_buf log = {0};

	(void)state;
	attach(s, "only", 1);
	take(s, 1, "u1");
	ipsp_buf_put(&log, fresh->log.data, fresh->log.len);
	for (uint16_t ha = 1; ha < UINT16_MAX; ha++) {
		char name[IPSP_NAME_MAX];
		int n = snprintf(name, sizeof(name), ha == 60000 ? "only" : "name-%u", ha);

		ipsp_buf_put_u16(&log, (uint16_t)(4 + n));
		ipsp_buf_put_u8(&log, 3); /* NAME */
		ipsp_buf_put_u16(&log, ha);
		ipsp_buf_put_str8(&log, name, (size_t)n);
	}
	ipsp_buf_put_u16(&log, 13);
	ipsp_buf_put_u8(&log, 4); /* TAKE */
	ipsp_buf_put_u16(&log, 0);
	ipsp_buf_put_u32(&log, 7);
	ipsp_buf_put_u16(&log, 60000);
	ipsp_buf_put_str8(&log, "u1", 2);
	ipsp_buf_put_str8(&log, "", 0);
	struct side *old = started(&log);
	assert_int_equal(old->node->has.n_names, 1);
	assert_string_equal(who_has(old, "u1", NULL), "only");
	attach(old, "only", 1);
	attach(old, "new", 2);
	assert_int_equal(ipsp_ha_of_token(old->node, 1), 60000);
	assert_int_equal(ipsp_ha_of_token(old->node, 2), 1);
	release(old, 1, "u1");
	end(s);
	end(old);
	end(fresh);
	ipsp_buf_fini(&log);
}

/* Names that come and go, sessions that move between them, and snapshots in between: after each
 * restart all is as it was. */
static void names_come_and_go(void **state)
{
	struct side *s = started(NULL);
	uint64_t x = 88172645463325252U, token = 0, attached[8] = {0};

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		char name[IPSP_NAME_MAX], subscriber[16];

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		unsigned who = (unsigned)(x >> 33) % 8, what = (unsigned)(x >> 40) % 16;
		snprintf(name, sizeof(name), "ha-%u", (unsigned)(x >> 44) % 40);
		snprintf(subscriber, sizeof(subscriber), "u%u", (unsigned)(x >> 50) % 100);
		if (what < 4) {
			uint64_t had = ipsp_token_of_name(s->node, name);
			for (unsigned j = 0; j < 8; j++)
				attached[j] = attached[j] == had ? 0 : attached[j];
			if (attached[who] != 0)
				detach(s, attached[who]);
			attach(s, name, attached[who] = ++token);
		} else if (what < 6 && attached[who] != 0) {
			detach(s, attached[who]);
			attached[who] = 0;
		} else if (what < 11 && attached[who] != 0) {
			take(s, attached[who], subscriber);
		} else if (who_has(s, subscriber, NULL)) {
			uint64_t had = ipsp_token_of_name(s->node, who_has(s, subscriber, NULL));
			if (had != 0)
				release(s, had, subscriber);
		}
		if (i % 1000 == 999) { /* the whole log, or a snapshot in its place */
			if (i % 2000 == 999) {
				uint64_t cursor = 0;
				s->log.len = 0;
				while (ipsp_node_snapshot(s->node, &cursor, SIZE_MAX, &s->log))
					;
			}
			restarted(&s);
			memset(attached, 0, sizeof(attached));
		}
		ipsp_node_check(s->node);
	}
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_names_cost_nothing),
		cmocka_unit_test(a_name_lives_as_long_as_its_sessions),
		cmocka_unit_test(a_name_has_one_connection),
		cmocka_unit_test(an_operators_session_is_no_gateways),
		cmocka_unit_test(a_name_has_an_owner),
		cmocka_unit_test(sessions_stay_with_their_owner),
		cmocka_unit_test(the_owner_is_kept),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(an_old_log_is_read),
		cmocka_unit_test(names_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
