/* Records that none of ours has written: each alone is well-formed, and together they can't be. */
#include "core/rec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 256

/* A node whose log has begun with one pool. */
static struct ipsp_node *begun(void)
{
	struct ipsp_context_conf conf;
	struct ipsp_node_init init = {.conf = &conf, .version = "test", .now = 1};
	struct ipsp_buf rec = {0};

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
	ipsp_buf_put_u8(&rec, IPSP_REC_CONF);
	ipsp_buf_put_u8(&rec, IPSP_OWN_OURS);
	ipsp_conf_encode_pools(&conf, &rec);
	assert_int_equal(ipsp_node_replay(node, rec.data, rec.len), 0);
	ipsp_buf_fini(&rec);
	ipsp_conf_fini(&conf);
	return node;
}

static int replay(struct ipsp_node *node, struct ipsp_buf *rec)
{
	int err = ipsp_node_replay(node, rec->data, rec->len);

	ipsp_buf_fini(rec);
	return err;
}

static int number(struct ipsp_node *node, uint8_t type, uint64_t n)
{
	struct ipsp_buf rec = {0};

	ipsp_buf_put_u8(&rec, type);
	ipsp_buf_put_u64(&rec, n);
	return replay(node, &rec);
}

static int side(struct ipsp_node *node, uint64_t sent, uint64_t acked, uint8_t p6)
{
	const struct ipsp_side s = {.books = 7, .sent = sent, .acked = acked, .p6 = p6};
	struct ipsp_buf rec = {0};

	ipsp_buf_put_u8(&rec, IPSP_REC_SIDE);
	ipsp_rec_put_side(&rec, &s);
	return replay(node, &rec);
}

/* The address @n is given away by the item @n of our stream. */
static int item(struct ipsp_node *node, uint8_t type, uint64_t n)
{
	struct ipsp_item_writer w;
	struct ipsp_buf rec = {0};

	ipsp_item_begin(&w, n, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	assert_true(ipsp_item_add_run(&w, (uint32_t)n, 1));
	const size_t len = ipsp_item_end(&w);
	ipsp_buf_put_u8(&rec, type);
	ipsp_buf_put(&rec, w.bytes, len);
	return replay(node, &rec);
}

static void acknowledged_is_what_was_sent(void **state)
{
	struct ipsp_node *node = begun();

	(void)state;
	assert_int_equal(number(node, IPSP_REC_ACKED, 1), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_OUT, 1), 0);
	assert_int_equal(item(node, IPSP_REC_OUT, 2), 0);
	assert_int_equal(number(node, IPSP_REC_ACKED, 3), IPSP_ERR_FORMAT);
	assert_int_equal(number(node, IPSP_REC_ACKED, UINT64_MAX), IPSP_ERR_FORMAT);
	assert_int_equal(number(node, IPSP_REC_ACKED, 2), 0);
	assert_int_equal(number(node, IPSP_REC_ACKED, 1), 0); /* a snapshot has had it */
	assert_int_equal(side(node, 5, 6, 0), IPSP_ERR_FORMAT);
	ipsp_node_check(node);
	ipsp_node_free(node);
}

static void our_stream_has_no_gap(void **state)
{
	struct ipsp_node *node = begun();

	(void)state;
	assert_int_equal(item(node, IPSP_REC_OUT, 2), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_OUT, 1), 0);
	assert_int_equal(item(node, IPSP_REC_OUT, 3), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_OUT, 1), 0); /* a snapshot has had it */
	ipsp_node_check(node);
	ipsp_node_free(node);

	node = begun();
	assert_int_equal(side(node, 12, 10, 0), 0);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 12), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 11), 0);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 11), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 12), 0);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 13), IPSP_ERR_FORMAT);
	ipsp_node_check(node);
	ipsp_node_free(node);
}

/* A log of which the middle is gone can't be told by any one record. */
static void what_was_sent_is_there(void **state)
{
	struct ipsp_node *node = begun();

	(void)state;
	assert_int_equal(ipsp_node_replayed(node), 0);
	assert_int_equal(side(node, 12, 10, 0), 0);
	assert_int_equal(ipsp_node_replayed(node), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 11), 0);
	assert_int_equal(ipsp_node_replayed(node), IPSP_ERR_FORMAT);
	assert_int_equal(item(node, IPSP_REC_SNAP_OUT, 12), 0);
	assert_int_equal(ipsp_node_replayed(node), 0);
	assert_int_equal(number(node, IPSP_REC_ACKED, 11), 0);
	assert_int_equal(ipsp_node_replayed(node), 0);
	ipsp_node_check(node);
	ipsp_node_free(node);
}

static void no_records_are_nothing(void **state)
{
	struct ipsp_node *node = begun();
	const uint64_t digest = ipsp_node_digest(node);

	(void)state;
	assert_int_equal(ipsp_node_replay_all(node, NULL, 0), 0);
	assert_int_equal(ipsp_node_digest(node), digest);
	ipsp_node_free(node);
}

static void words_are_those_that_there_are(void **state)
{
	struct ipsp_node *node = begun();
	struct ipsp_buf rec = {0};

	(void)state;
	assert_int_equal(side(node, 0, 0, IPSP_P6_SENT + 1), IPSP_ERR_FORMAT);
	for (unsigned flag = 0; flag < 256; flag++) {
		const bool one =
			flag == IPSP_ADDR_MOVE || flag == IPSP_ADDR_DUP || flag == IPSP_ADDR_OWED;
		ipsp_buf_put_u8(&rec, IPSP_REC_FLAG);
		ipsp_rec_put_place(&rec, (struct ipsp_place){0, flag});
		ipsp_buf_put_u8(&rec, (uint8_t)flag);
		ipsp_buf_put_u8(&rec, 1);
		assert_int_equal(replay(node, &rec), one ? 0 : IPSP_ERR_FORMAT);
	}
	for (unsigned how = 0; how < 256; how++) {
		ipsp_buf_put_u8(&rec, IPSP_REC_ALONE);
		ipsp_buf_put_u64(&rec, 9);
		ipsp_buf_put_u8(&rec, (uint8_t)how);
		assert_int_equal(replay(node, &rec), how <= IPSP_ALONE_ALL ? 0 : IPSP_ERR_FORMAT);
	}
	for (int type = IPSP_REC_ACKED; type <= IPSP_REC_LOST; type++) { /* cut short */
		ipsp_buf_put_u8(&rec, (uint8_t)type);
		ipsp_buf_put_u32(&rec, 0);
		assert_int_equal(replay(node, &rec), IPSP_ERR_FORMAT);
	}
	ipsp_node_check(node);
	ipsp_node_free(node);
}

/* The first write was torn: the log has the pools, and no identity. It gets one. */
static void a_first_start_cut_off(void **state)
{
	const struct ipsp_start start = {.now = 1};
	struct ipsp_node *node = begun();
	struct ipsp_actions act;
	struct ipsp_status st;

	(void)state;
	ipsp_actions_init(&act);
	ipsp_node_start(node, &start, &act);
	assert_false(act.failed);
	ipsp_node_status(node, 1, &st);
	assert_true(st.books != 0);
	assert_int_equal(st.epoch, 1);
	ipsp_node_check(node);
	ipsp_actions_fini(&act);
	ipsp_node_free(node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_is_what_was_sent),
		cmocka_unit_test(our_stream_has_no_gap),
		cmocka_unit_test(what_was_sent_is_there),
		cmocka_unit_test(no_records_are_nothing),
		cmocka_unit_test(words_are_those_that_there_are),
		cmocka_unit_test(a_first_start_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
