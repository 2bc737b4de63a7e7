/*
 * seeds FOLDER - makes the seeds of the targets whose input nobody writes by hand, as
 * FOLDER/TARGET/ NAME: journals of a node that has shared, given, taken over, healed and lost its
 * peer; logs with them; frames; a lease file. What is in corpus/ beside them was found by fuzzing,
 * or is a text.
 */
#include "base/ctlmsg.h"
#include "core/rec.h"
#include "daemon/store_int.h"
#include "input.h"
#include "unit/liar.h"
#include <stdio.h>
#include <sys/stat.h>

static const char *folder;

static void put(const char *target, const char *name, const struct ipsp_buf *buf)
{
	char path[512];

	must(snprintf(path, sizeof(path), "%s/%s", folder, target) < (int)sizeof(path));
	mkdir(path, 0755);
	must(snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name) < (int)sizeof(path));
	FILE *f = fopen(path, "wb");
	must(f && fwrite(buf->data, 1, buf->len, f) == buf->len && fclose(f) == 0);
}

/* As fuzz_records reads it. */
static void put_records(const char *name, uint8_t how, const struct ipsp_buf *log)
{
	struct ipsp_buf out = {0};

	ipsp_buf_put_u8(&out, how);
	for (size_t at = 0; at < log->len;) {
		const uint16_t n = ipsp_load_u16(log->data + at);

		ipsp_buf_put_u8(&out, n < 255 ? (uint8_t)n : 255);
		if (n >= 255)
			ipsp_buf_put_u16(&out, n);
		ipsp_buf_put(&out, log->data + at + 2, n);
		at += 2U + n;
	}
	put("records", name, &out);
	ipsp_buf_fini(&out);
}

static void put_frame(struct ipsp_buf *out, uint8_t type, uint8_t context, uint8_t wrong,
		      const void *data, size_t n)
{
	ipsp_buf_put_u8(out, type);
	ipsp_buf_put_u8(out, context);
	ipsp_buf_put_u8(out, wrong);
	ipsp_buf_put_u8(out, (uint8_t)n);
	ipsp_buf_put(out, data, n);
}

/* As fuzz_store reads it: @how 8 with a header, 1 of frames, 2 of another boot, 4 compacted. */
static void put_store(const char *name, uint8_t how, const struct ipsp_buf *log, uint8_t wrong)
{
	struct ipsp_buf out = {0};

	ipsp_buf_put_u8(&out, how);
	put_frame(&out, STORE_START, 0, 0, NULL, 0);
	put_frame(&out, STORE_CONTEXT, 1, 0, "a", 1);
	put_frame(&out, STORE_CONTEXT, 2, 0, "b", 1);
	put_frame(&out, STORE_CONTEXT, 3, 0, "elsewhere", 9);
	for (size_t at = 0, i = 0; at < log->len && i < 12; i++) {
		const size_t n = 2U + ipsp_load_u16(log->data + at);

		if (n < 200)
			put_frame(&out, STORE_RECS, (uint8_t)(1 + i % 3), i == 8 ? wrong : 0,
				  log->data + at, n);
		at += n;
	}
	put_frame(&out, STORE_MARK, 0, 0, NULL, 0);
	put_frame(&out, STORE_FORGET, 2, 0, NULL, 0);
	put_frame(&out, STORE_START, 0, 0, NULL, 0);
	put_frame(&out, STORE_RECS, 1, wrong, log->data, 2U + ipsp_load_u16(log->data));
	put("store", name, &out);
	ipsp_buf_fini(&out);
}

/* A file as it is, with the boot of nobody. */
static void put_plain_store(void)
{
	static const char boot[STORE_BOOT_LEN + 1] = "00000000-0000-4000-8000-000000000000";
	struct ipsp_buf out = {0}, log = {0};
	struct store_frame frames[] = {
		{.type = STORE_START, .data = (const uint8_t *)boot, .len = STORE_BOOT_LEN},
		{.type = STORE_CONTEXT, .context = 1, .data = (const uint8_t *)"a", .len = 1},
		{.type = STORE_RECS,
		 .context = 1,
		 .data = (const uint8_t *)"\0\3abc\0\2de",
		 .len = 9},
		{.type = STORE_MARK}};

	store_header_put(&log);
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		frames[i].at = log.len;
		frames[i].flushed = log.len;
		store_frame_put(&log, 0, &frames[i]);
	}
	ipsp_buf_put_u8(&out, 2);
	ipsp_buf_put(&out, log.data, log.len);
	put("store", "plain", &out);
	ipsp_buf_put(&out, "torn", 4);
	put("store", "plain-torn", &out);
	ipsp_buf_fini(&log);
	ipsp_buf_fini(&out);
}

/* ---------------------------------------------------------------- journals */

static void attach(struct liar *l)
{
	const struct ipsp_event ev = {
		.type = IPSP_EV_ATTACH, .token = HA, .ha_name = "ha0", .owner = 7};

	liar_turn(l, &ev);
}

static void leave(struct liar *l, uint32_t index)
{
	const struct ipsp_event ev = {.type = IPSP_EV_RELEASE,
				      .token = HA,
				      .id = 4,
				      .addr = ipsp_addr_v4(0x0a010001 + index)};

	liar_turn(l, &ev);
}

static void give(struct liar *l, uint32_t index)
{
	struct ipsp_item_writer w;

	ipsp_item_begin(&w, ++l->sent, IPSP_ITEM_GIVE, 0, 0, 0, IPSP_SET_RUNS);
	ipsp_item_add_run(&w, index, 2);
	liar_say_item(l, &w, 0);
}

static void snapshot(const struct liar *l, const char *name, uint8_t how)
{
	struct ipsp_buf recs = {0};
	uint64_t cursor = 0;

	while (ipsp_node_snapshot(l->node, &cursor, 300, &recs))
		continue;
	put_records(name, how, &recs);
	ipsp_buf_fini(&recs);
}

static void journals(bool primary)
{
	struct liar *l = liar_active(primary);
	const uint8_t how = primary ? 0 : 1;

	put_records(primary ? "primary" : "secondary", how, &l->log);
	attach(l);
	give(l, 3);
	for (unsigned i = 0; i < 4; i++) {
		const char sub[3] = {'u', (char)('0' + (char)i), 0};

		liar_take(l, sub, primary ? IPSP_NO_INDEX : 3 + i % 2);
	}
	leave(l, primary ? 1 : 3);
	liar_say_request(l, 1 << 16, l->heard.epoch, IPSP_NO_POOL, 0);
	liar_pass(l, 2000);
	put_records(primary ? "primary-serves" : "secondary-serves", how | 4, &l->log);
	put_store(primary ? "frames" : "frames-other-boot", primary ? 9 : 11, &l->log, 0);
	put_store(primary ? "frames-broken" : "frames-moved", 9, &l->log, primary ? 1 : 2);
	put_store(primary ? "frames-compacted" : "frames-durable", primary ? 13 : 9, &l->log,
		  primary ? 0 : 4);
	l->mute = true; /* it is gone: a takeover, and sessions on what was its own */
	liar_pass(l, 70000);
	liar_take(l, "u8", IPSP_NO_INDEX);
	liar_take(l, "u9", 12);
	put_records(primary ? "primary-alone" : "secondary-alone", how, &l->log);
	snapshot(l, primary ? "primary-snapshot" : "secondary-snapshot", how | 4);
	liar_reboot(l);
	liar_pass(l, 3000);
	put_records(primary ? "primary-rebooted" : "secondary-rebooted", how, &l->log);
	liar_free(l);
}

/* ---------------------------------------------------------------- frames, and small files */

static void frames(void)
{
	static const uint8_t session[] = {0x54, 0x1c, 0x08, 0x02, 0x00, 0x00, 0x1c, 0x1c, 0x08,
					  0x02, 0x05, 0x10, 0x1c, 0x08, 0x05, 0x00, 0x00, 0x1c,
					  0x18, 0xff, 0x08, 0x03, 0x00, 0x10, 0x1c, 0x18, 0xff};
	struct ipsp_buf out = {0}, wire = {0};

	ipsp_buf_put(&out, session, sizeof(session));
	put("control", "session", &out);
	for (unsigned type = 0; type < 8; type++) { /* each type in pieces of its own bytes */
		const struct ipsp_ctl_msg msg = {
			.type = (enum ipsp_ctl_type)(type + 1),
			.id = 7,
			.magic = IPSP_CTL_MAGIC,
			.min = 1,
			.max = 1,
			.context = ipsp_ctl_str("isp1"),
			.name = ipsp_ctl_str(type == 7 ? "sessions" : "drain"),
			.subscriber = ipsp_ctl_str("u1"),
			.session = ipsp_ctl_str("s1")};
		const uint8_t begin[] = {0x40, 0x1c, 0x04};
		const char name[] = {'t', 'y', 'p', 'e', '-', (char)('1' + (char)type), 0};

		ipsp_buf_clear(&out);
		ipsp_buf_clear(&wire);
		must(ipsp_ctl_put(&wire, &msg) == 0);
		while (wire.len % 4 != 0) /* the beginning of another */
			ipsp_buf_put_u8(&wire, 0);
		ipsp_buf_put(&out, begin, sizeof(begin));
		ipsp_buf_put_u8(&out, (uint8_t)(wire.len / 4));
		ipsp_buf_put(&out, wire.data, wire.len);
		ipsp_buf_put(&out, "\x1c\x18\xff", 3);
		put("control", name, &out);
	}
	for (unsigned what = 0; what < 18; what++) { /* each command and each show */
		const uint8_t say[] = {0x54, 0x1c,	    0x08, (uint8_t)(what < 9 ? 0x06 : 0x07),
				       0x01, (uint8_t)what, 0x1c, 0x1c,
				       0x18, 0xff};
		char name[16];

		ipsp_buf_clear(&out);
		ipsp_buf_put(&out, say, sizeof(say));
		snprintf(name, sizeof(name), "word-%02u", what);
		put("control", name, &out);
	}
	ipsp_buf_fini(&out);
	ipsp_buf_fini(&wire);
}

static void lease_file(void)
{
	struct ipsp_buf out = {0};

	ipsp_buf_put_u8(&out, 6); /* of this boot, and checked */
	ipsp_buf_put(&out, "IPSPLEAS", 8);
	ipsp_buf_put_u16(&out, 1);
	ipsp_buf_put_u8(&out, 4);
	ipsp_buf_put(&out, "isp1", 4);
	while (out.len < 1 + 78)
		ipsp_buf_put_u8(&out, 0);
	ipsp_buf_put_u64(&out, 100000);
	ipsp_buf_put_u64(&out, 5000);
	ipsp_buf_put_u64(&out, 6000);
	ipsp_buf_put_u32(&out, 30000);
	ipsp_buf_put_u32(&out, 30000);
	while (out.len < 1 + 128)
		ipsp_buf_put_u8(&out, 0);
	put("files", "lease", &out);
	out.data[0] = 4;
	put("files", "lease-other-boot", &out);
	out.data[0] = 0;
	put("files", "lease-not-checked", &out);
	ipsp_buf_fini(&out);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds FOLDER\n");
		return 2;
	}
	folder = argv[1];
	journals(true);
	journals(false);
	put_plain_store();
	frames();
	lease_file();
	return 0;
}
