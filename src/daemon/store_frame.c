/*
 * The store's format, version 1. Numbers in network byte order.
 *
 *   header, 32 bytes
 *      0  8  "IPSPDLOG"
 *      8  2  version, 1
 *     10  18 zeros
 *     28  4  CRC32C of the 28 bytes before
 *   then frames, each 32 bytes of head, its data, and zeros up to a multiple of 8
 *      0  4  CRC32C of all that follows: head, data, zeros
 *      4  4  length of the data
 *      8  1  type (enum store_frame_type)
 *      9  3  zeros
 *     12  4  context: its number in this log, from 1; 0 where there is none
 *     16  8  the place of this frame in the file
 *     24  8  flushed: when this frame was written, everything before that place was durable
 *     32     data: START: boot_id of the host, as text; CONTEXT: the name; RECS: records, each
 *            u16 length | bytes; MARK and FORGET: nothing
 *   then zeros to the end of the file: room that makes flushes cheap (blocks that exist already
 * need no journal of the file system) and that is kept back for the time when the disk is full.
 *
 * The log ends at the first frame that is not whole. Whether that is a write torn by a stop, or
 * damage, is told by the frames behind it:
 *   - one whose .flushed lies beyond: that place was whole on the disk, so it was damaged since;
 *   - one that is whole and names another place: bytes were put in or taken out before it;
 *   - any at all, when the host was not restarted since: a process that is killed leaves a
 *     beginning of its last write and nothing after it, so again damage; and so is an end that is
 *     longer than its own head says, or has none;
 *   - else a loss of power, which may keep the later of two pages and lose the earlier: torn.
 * After a stop in order the last frame is a mark that says that all before it is durable: what is
 * found behind that was never part of the log.
 */
#include "base/err.h"
#include "daemon/store_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'I', 'P', 'S', 'P', 'D', 'L', 'O', 'G'};

#define READ_WINDOW ((size_t)1 << 20)
#define DATA_MAX    ((uint32_t)1 << 30)

static uint32_t get_u32(const uint8_t *p)
{
	struct ipsp_rd rd = ipsp_rd_of(p, 4);

	return ipsp_rd_u32(&rd);
}

static uint64_t get_u64(const uint8_t *p)
{
	struct ipsp_rd rd = ipsp_rd_of(p, 8);

	return ipsp_rd_u64(&rd);
}

/* ---------------------------------------------------------------- reading a file through a window
 */

int store_reader_open(struct store_reader *rd, int fd)
{
	struct stat st;

	*rd = (struct store_reader){.fd = fd};
	if (fstat(fd, &st) != 0)
		return errno;
	rd->size = (uint64_t)st.st_size;
	return 0;
}

void store_reader_fini(struct store_reader *rd)
{
	ipsp_buf_fini(&rd->buf);
}

/* @n bytes from @at on, valid until the next call; NULL: not all in the file, or .error. */
const uint8_t *store_reader_at(struct store_reader *rd, uint64_t at, size_t n)
{
	if (rd->error || at > rd->size || n > rd->size - at)
		return NULL;
	if (at >= rd->base && at + n <= rd->base + rd->buf.len)
		return rd->buf.data + (at - rd->base);

	size_t want = n > READ_WINDOW ? n : READ_WINDOW;
	if (want > rd->size - at)
		want = (size_t)(rd->size - at);
	ipsp_buf_clear(&rd->buf);
	rd->base = at;
	uint8_t *to = ipsp_buf_room(&rd->buf, want);
	if (!to) {
		rd->error = ENOMEM;
		return NULL;
	}
	while (rd->buf.len < want) {
		ssize_t got = pread(rd->fd, to + rd->buf.len, want - rd->buf.len,
				    (off_t)(at + rd->buf.len));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			rd->error =
				got < 0 ? errno : EIO; /* the file became shorter under our lock */
			return NULL;
		}
		rd->buf.len += (size_t)got;
	}
	return rd->buf.data;
}

/* ---------------------------------------------------------------- the header */

void store_header_put(struct ipsp_buf *buf)
{
	static const uint8_t zeros[18];
	size_t start = buf->len;

	ipsp_buf_put(buf, magic, sizeof(magic));
	ipsp_buf_put_u16(buf, STORE_VERSION);
	ipsp_buf_put(buf, zeros, sizeof(zeros));
	if (!buf->failed)
		ipsp_buf_put_u32(buf, ipsp_crc32c(0, buf->data + start, STORE_HEADER_LEN - 4));
}

int store_header_check(struct store_reader *rd, const char *path, char *why, size_t n_why)
{
	const uint8_t *p = store_reader_at(rd, 0, STORE_HEADER_LEN);

	if (rd->error) {
		snprintf(why, n_why, "%s: %s", path, strerror(rd->error));
		return IPSP_ERR_IO;
	}
	if (!p || memcmp(p, magic, sizeof(magic)) != 0) {
		snprintf(why, n_why,
			 "%s is no store of ipspd, or its beginning is damaged: move it away and "
			 "start "
			 "again, and the peer gives back what it knows",
			 path);
		return IPSP_ERR_DAMAGED;
	}
	unsigned version = (unsigned)p[8] << 8 | p[9];
	if (get_u32(p + STORE_HEADER_LEN - 4) != ipsp_crc32c(0, p, STORE_HEADER_LEN - 4)) {
		snprintf(why, n_why,
			 "%s is damaged in its header: move it away and start again, and the peer "
			 "gives "
			 "back what it knows",
			 path);
		return IPSP_ERR_DAMAGED;
	}
	if (version != STORE_VERSION) {
		snprintf(why, n_why,
			 "%s is of format %u, made by a newer ipspd; this one knows format %d: run "
			 "the newer "
			 "one, or move the file away and let the peer give back what it knows",
			 path, version, STORE_VERSION);
		return IPSP_ERR_VERSION;
	}
	return 0;
}

/* ---------------------------------------------------------------- frames */

uint64_t store_frame_size(uint32_t len)
{
	return STORE_FRAME_LEN + (((uint64_t)len + 7) & ~(uint64_t)7);
}

/* Appends @frame; @base is the place in the file where @buf begins. */
void store_frame_put(struct ipsp_buf *buf, uint64_t base, const struct store_frame *frame)
{
	const size_t size = (size_t)store_frame_size(frame->len);
	uint8_t *p = ipsp_buf_room(buf, size);

	if (!p)
		return;
	ipsp_store_u32(p + 4, frame->len);
	ipsp_store_u32(p + 8, (uint32_t)frame->type << 24);
	ipsp_store_u32(p + 12, frame->context);
	ipsp_store_u64(p + 16, base + buf->len);
	ipsp_store_u64(p + 24, frame->flushed);
	if (frame->len > 0)
		memcpy(p + STORE_FRAME_LEN, frame->data, frame->len);
	memset(p + STORE_FRAME_LEN + frame->len, 0, size - STORE_FRAME_LEN - frame->len);
	ipsp_store_u32(p, ipsp_crc32c(0, p + 4, size - 4));
	buf->len += size;
}

/* The frame at @at. False: none that is whole is there. */
bool store_frame_get(struct store_reader *rd, uint64_t at, struct store_frame *frame)
{
	const uint8_t *p = store_reader_at(rd, at, STORE_FRAME_LEN);

	if (!p || get_u64(p + 16) != at)
		return false;
	uint32_t len = get_u32(p + 4);
	if (len > DATA_MAX)
		return false;
	size_t size = (size_t)store_frame_size(len);
	p = store_reader_at(rd, at, size);
	if (!p || get_u32(p) != ipsp_crc32c(0, p + 4, size - 4))
		return false;
	*frame = (struct store_frame){
		.type = p[8],
		.context = get_u32(p + 12),
		.at = at,
		.flushed = get_u64(p + 24),
		.data = p + STORE_FRAME_LEN,
		.len = len,
	};
	return true;
}

static size_t last_not_zero(const uint8_t *p, size_t n)
{
	if (n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0)
		return 0; /* the usual case, and quick: megabytes of zeros */
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n;
}

/* Is a whole frame at @at that was written for another place? The head is looked at first: a CRC of
 * each byte's would take long. */
static bool moved_frame(struct store_reader *rd, uint64_t at)
{
	static const uint8_t zeros[3];
	const uint8_t *p = store_reader_at(rd, at, STORE_FRAME_LEN);

	if (!p || p[8] == 0 || memcmp(p + 9, zeros, sizeof(zeros)) != 0)
		return false;
	const uint64_t place = get_u64(p + 16), len = get_u32(p + 4);
	if (place == at || place % 8 != 0 || place >= rd->size || len > rd->size - at)
		return false;
	const size_t size = (size_t)store_frame_size((uint32_t)len);
	p = store_reader_at(rd, at, size);
	return p && get_u32(p) == ipsp_crc32c(0, p + 4, size - 4);
}

/* What a process that was killed can leave: a beginning of one frame. (Whole frames of its last
 * write were read.) */
static bool is_beginning(struct store_reader *rd, uint64_t at, uint64_t garbage)
{
	if (garbage - at <= STORE_FRAME_LEN)
		return true;
	const uint8_t *p = store_reader_at(rd, at, STORE_FRAME_LEN);
	return p && get_u64(p + 16) == at && garbage - at <= store_frame_size(get_u32(p + 4));
}

int store_tail_check(struct store_reader *rd, uint64_t at, bool same_boot, bool clean,
		     uint64_t *garbage)
{
	struct store_frame frame;

	*garbage = at;
	for (uint64_t block = at; block < rd->size; block += READ_WINDOW) {
		size_t n =
			rd->size - block < READ_WINDOW ? (size_t)(rd->size - block) : READ_WINDOW;
		const uint8_t *p = store_reader_at(rd, block, n);
		if (!p)
			return IPSP_ERR_IO;
		size_t used = last_not_zero(p, n);
		if (used == 0)
			continue;
		*garbage = block + used;
		for (size_t i = 0; i < used; i++) {
			if (moved_frame(rd, block + i))
				return IPSP_ERR_DAMAGED;
			/* frames begin at multiples of 8, and READ_WINDOW keeps @block at one */
			if (i % 8 == 0 && store_frame_get(rd, block + i, &frame) &&
			    (same_boot || frame.flushed > at))
				return IPSP_ERR_DAMAGED;
		}
	}
	if (same_boot && !clean && !rd->error && !is_beginning(rd, at, *garbage))
		return IPSP_ERR_DAMAGED;
	return rd->error ? IPSP_ERR_IO : 0;
}

/* ---------------------------------------------------------------- which boot of the host this is
 */

void store_boot_id(char boot[STORE_BOOT_LEN + 1])
{
	memset(boot, 0, STORE_BOOT_LEN + 1);
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* no boot is like this one then: the careful reading everywhere */
	if (read(fd, boot, STORE_BOOT_LEN) != STORE_BOOT_LEN)
		memset(boot, 0, STORE_BOOT_LEN + 1);
	close(fd);
}
