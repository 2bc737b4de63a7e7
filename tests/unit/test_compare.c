/* The definitions of the pools, part by part, while those of either side become other ones. */
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

#define PART 1024

/* As that of the liar, with @n pools. */
static void conf_with(const struct liar *l, struct ipsp_context_conf *conf, uint32_t n)
{
	assert_int_equal(ipsp_conf_copy(conf, &l->conf), 0);
	conf->pools = realloc(conf->pools, n * sizeof(*conf->pools));
	assert_non_null(conf->pools);
	for (conf->n_pools = 0; conf->n_pools < n; conf->n_pools++) {
		struct ipsp_pool_conf *pool = &conf->pools[conf->n_pools];

		*pool = l->pool;
		snprintf(pool->name, sizeof(pool->name), "pool-%03u", conf->n_pools);
		pool->base = ipsp_addr_v4(0x0a000000 + conf->n_pools * 256);
	}
}

/* They are frozen while IPSP is enabled: it is disabled for a moment. */
static void disable(struct liar *l)
{
	const struct ipsp_event ev = {.type = IPSP_EV_COMMAND, .command = IPSP_CMD_DISABLE};

	ipsp_actions_clear(&l->act);
	ipsp_node_step(l->node, &ev, l->now, &l->act);
}

static void reload(struct liar *l, uint32_t n_pools)
{
	struct ipsp_context_conf conf;
	struct ipsp_event ev = {.type = IPSP_EV_CONF, .token = OPERATOR, .id = 4, .conf = &conf};

	conf_with(l, &conf, n_pools);
	l->done = 1;
	disable(l);
	liar_turn(l, &ev);
	assert_int_equal(l->done, 0);
	ipsp_conf_fini(&conf);
}

/* The last part was asked for, and before it is sent there is less. */
static void fewer_pools_before_the_part_is_sent(void **state)
{
	struct liar *l = liar_new(true, IPSP_MODE_CHECK);
	struct ipsp_context_conf conf;
	struct ipsp_conf_part part;

	(void)state;
	reload(l, 40);
	struct ipsp_node *n = l->node;
	const uint32_t last = (uint32_t)(n->compare.encoded.len / PART * PART);
	assert_true(last > 0);
	ipsp_compare_on_ask(n, last);
	conf_with(l, &conf, 2);
	const struct ipsp_event ev = {.type = IPSP_EV_CONF, .conf = &conf};
	disable(l);
	ipsp_actions_clear(&l->act);
	ipsp_node_step(n, &ev, l->now, &l->act);
	ipsp_conf_fini(&conf);
	assert_true(n->compare.encoded.len < last);
	assert_false(ipsp_compare_part(n, &part));
	ipsp_compare_on_ask(n, 0);
	assert_true(ipsp_compare_part(n, &part));
	assert_int_equal(part.total, n->compare.encoded.len);
	assert_true(part.offset + part.n <= part.total);
	liar_free(l);
}

/* The liar says its hello with the digest of @encoded. */
static void say_digest(struct liar *l, const struct ipsp_buf *encoded)
{
	struct ipsp_msg msg = liar_hello(l);

	ipsp_conf_digest(encoded->data, encoded->len, msg.u.hello.digest);
	liar_say(l, &msg);
}

/* ... and sends the part of it that the node waits for. */
static void say_part(struct liar *l, const struct ipsp_buf *encoded)
{
	struct ipsp_msg msg = {.type = IPSP_MSG_CONF_PART};
	const size_t at = l->node->compare.theirs.len, left = encoded->len - at;

	assert_true(at < encoded->len);
	msg.u.conf.offset = (uint32_t)at;
	msg.u.conf.total = (uint32_t)encoded->len;
	msg.u.conf.bytes = encoded->data + at;
	msg.u.conf.n = (uint16_t)(left > PART ? PART : left);
	liar_say(l, &msg);
}

static void encode(const struct liar *l, struct ipsp_buf *encoded, uint32_t n_pools)
{
	struct ipsp_context_conf conf;

	conf_with(l, &conf, n_pools);
	ipsp_conf_encode_pools(&conf, encoded);
	ipsp_conf_fini(&conf);
}

static void other_pools_in_the_middle(bool hello_first)
{
	struct liar *l = liar_new(true, IPSP_MODE_CHECK);
	struct ipsp_buf before = {0}, after = {0};

	liar_pass(l, 3000);
	encode(l, &before, 80);
	encode(l, &after, 60);
	say_digest(l, &before);
	say_part(l, &before);
	say_part(l, &before);
	assert_int_equal(l->node->compare.theirs.len, 2 * PART);
	if (hello_first)
		say_digest(l, &after);
	else /* a part of the new ones overtakes it */
		say_part(l, &after);
	assert_int_equal(l->node->compare.theirs.len, 0);
	say_digest(l, &after);
	while (!l->node->compare.known)
		say_part(l, &after);
	assert_int_equal(l->node->compare.theirs.len, after.len);
	assert_memory_equal(l->node->compare.theirs.data, after.data, after.len);
	assert_false(l->node->compare.same);
	ipsp_buf_fini(&before);
	ipsp_buf_fini(&after);
	liar_free(l);
}

static void the_peer_gets_other_pools_in_the_middle(void **state)
{
	(void)state;
	other_pools_in_the_middle(true);
	other_pools_in_the_middle(false);
}

/* However many there are: all are counted, the first 200 shown, and that is said. */
static void many_differences_are_counted(void **state)
{
	struct liar *l = liar_new(true, IPSP_MODE_CHECK);
	struct ipsp_buf theirs = {0};
	bool known;

	(void)state;
	liar_pass(l, 3000);
	encode(l, &theirs, 300);
	say_digest(l, &theirs);
	while (!l->node->compare.known)
		say_part(l, &theirs);
	const size_t found = ipsp_node_differences(l->node, &known);
	assert_in_range(found, 300, 301); /* theirs, and ours where no name fits */
	assert_true(known);
	assert_non_null(strstr(ipsp_node_difference(l->node, 0), "pool-000"));
	const char *last = ipsp_node_difference(l->node, 200);
	assert_non_null(strstr(last, "differences in all: the first 200 are shown"));
	assert_int_equal(strtoul(last, NULL, 10), found);
	assert_null(ipsp_node_difference(l->node, 201));
	ipsp_buf_fini(&theirs);
	liar_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fewer_pools_before_the_part_is_sent),
		cmocka_unit_test(the_peer_gets_other_pools_in_the_middle),
		cmocka_unit_test(many_differences_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
