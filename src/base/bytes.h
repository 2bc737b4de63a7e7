/*
 * bytes - a growable buffer, and reading and writing numbers in network byte order.
 *
 * A writer grows its buffer; when memory runs out the buffer turns `failed` and stays so, and
 * all further puts do nothing: look once, at the end. A reader never reads past its end: it
 * turns `failed` and gives zeros.
 */
#ifndef IPSP_BASE_BYTES_H
#define IPSP_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ipsp_buf { /* owned by whoever declared it; {0} is an empty one */
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

void ipsp_buf_fini(struct ipsp_buf *buf);  /* frees; the buffer is then {0} */
void ipsp_buf_clear(struct ipsp_buf *buf); /* len = 0, memory kept, failed = false */
void ipsp_buf_put(struct ipsp_buf *buf, const void *p, size_t n);
void ipsp_buf_put_str8(struct ipsp_buf *buf, const char *s,
		       size_t n);		    /* u8 length, bytes; n <= 255 */
void ipsp_buf_drop(struct ipsp_buf *buf, size_t n); /* removes the first n bytes */

/*
 * Numbers are put and read by every record and every datagram, some dozen times for each session.
 * So the usual case, where there is room, stands here. Compilers make one load of the shifts, but
 * gcc 12 makes vectors of stores that stand side by side: so these are told to be one each.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define IPSP_NETWORK(bits, v) (v)
#else
#define IPSP_NETWORK(bits, v) __builtin_bswap##bits(v)
#endif

uint8_t *ipsp_buf_grow(struct ipsp_buf *buf, size_t n); /* _room, where there is none yet */

/* n writable bytes at the end, NULL when failed; len unchanged */
static inline uint8_t *ipsp_buf_room(struct ipsp_buf *buf, size_t n)
{
	if (!buf->failed && n < buf->cap - buf->len)
		return buf->data + buf->len;
	return ipsp_buf_grow(buf, n);
}

static inline void ipsp_store_u16(uint8_t *p, uint16_t v)
{
	const uint16_t network = IPSP_NETWORK(16, v);

	memcpy(p, &network, sizeof(network));
}

static inline void ipsp_store_u32(uint8_t *p, uint32_t v)
{
	const uint32_t network = IPSP_NETWORK(32, v);

	memcpy(p, &network, sizeof(network));
}

static inline void ipsp_store_u64(uint8_t *p, uint64_t v)
{
	const uint64_t network = IPSP_NETWORK(64, v);

	memcpy(p, &network, sizeof(network));
}

static inline uint32_t ipsp_load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t ipsp_load_le64(const uint8_t *p)
{
	return ipsp_load_le32(p) | (uint64_t)ipsp_load_le32(p + 4) << 32;
}

/* Copies a text. Names have a dozen bytes: for these a call of memcpy takes longer than the copy.
 */
static inline void ipsp_copy_text(void *to, const void *from, size_t n)
{
	uint8_t *t = (uint8_t *)to;
	const uint8_t *f = (const uint8_t *)from;

	if (n > 16) {
		memcpy(t, f, n);
	} else if (n >= 8) { /* two that overlap */
		memcpy(t, f, 8);
		memcpy(t + n - 8, f + n - 8, 8);
	} else if (n >= 4) {
		memcpy(t, f, 4);
		memcpy(t + n - 4, f + n - 4, 4);
	} else if (n > 0) {
		t[0] = f[0];
		t[n / 2] = f[n / 2];
		t[n - 1] = f[n - 1];
	}
}

static inline void ipsp_buf_put_u8(struct ipsp_buf *buf, uint8_t v)
{
	uint8_t *p = ipsp_buf_room(buf, sizeof(v));

	if (!p)
		return;
	*p = v;
	buf->len += sizeof(v);
}

static inline void ipsp_buf_put_u16(struct ipsp_buf *buf, uint16_t v)
{
	uint8_t *p = ipsp_buf_room(buf, sizeof(v));

	if (!p)
		return;
	ipsp_store_u16(p, v);
	buf->len += sizeof(v);
}

static inline void ipsp_buf_put_u32(struct ipsp_buf *buf, uint32_t v)
{
	uint8_t *p = ipsp_buf_room(buf, sizeof(v));

	if (!p)
		return;
	ipsp_store_u32(p, v);
	buf->len += sizeof(v);
}

static inline void ipsp_buf_put_u64(struct ipsp_buf *buf, uint64_t v)
{
	uint8_t *p = ipsp_buf_room(buf, sizeof(v));

	if (!p)
		return;
	ipsp_store_u64(p, v);
	buf->len += sizeof(v);
}

/* The @n < 8 bytes at @p as one number, the first the lowest, zeros above; no byte beside is read.
 */
static inline uint64_t ipsp_load_rest(const uint8_t *p, size_t n)
{
	uint32_t low, high;

	if (n < 4)
		return n == 0 ? 0
			      : (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) |
					(uint64_t)p[n - 1] << 8 * (n - 1);
	low = ipsp_load_le32(p);
	high = ipsp_load_le32(p + n - 4); /* the two overlap, and agree where they do */
	return low | (uint64_t)high << 8 * (n - 4);
}

struct ipsp_rd { /* borrows the bytes */
	const uint8_t *p, *end;
	bool failed;
};

extern const uint8_t ipsp_no_bytes[]; /* where a reader of none begins, and ends */

/* @p may be NULL where @n is 0: nothing is added to a NULL, and what is taken is none. */
static inline struct ipsp_rd ipsp_rd_of(const void *p, size_t n)
{
	const uint8_t *from = p ? (const uint8_t *)p : ipsp_no_bytes;

	return (struct ipsp_rd){from, from + n, false};
}

static inline size_t ipsp_rd_left(const struct ipsp_rd *rd)
{
	return rd->failed ? 0 : (size_t)(rd->end - rd->p);
}

static inline const uint8_t *ipsp_rd_take(struct ipsp_rd *rd, size_t n) /* NULL when failed */
{
	const uint8_t *p = rd->p;

	if (rd->failed || n > (size_t)(rd->end - rd->p)) {
		rd->failed = true;
		return NULL;
	}
	rd->p += n;
	return p;
}

static inline uint16_t ipsp_load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t ipsp_load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t ipsp_load_u64(const uint8_t *p)
{
	return (uint64_t)ipsp_load_u32(p) << 32 | ipsp_load_u32(p + 4);
}

static inline uint8_t ipsp_rd_u8(struct ipsp_rd *rd)
{
	const uint8_t *p = ipsp_rd_take(rd, 1);

	return p ? *p : 0;
}

static inline uint16_t ipsp_rd_u16(struct ipsp_rd *rd)
{
	const uint8_t *p = ipsp_rd_take(rd, sizeof(uint16_t));

	return p ? ipsp_load_u16(p) : 0;
}

static inline uint32_t ipsp_rd_u32(struct ipsp_rd *rd)
{
	const uint8_t *p = ipsp_rd_take(rd, sizeof(uint32_t));

	return p ? ipsp_load_u32(p) : 0;
}

static inline uint64_t ipsp_rd_u64(struct ipsp_rd *rd)
{
	const uint8_t *p = ipsp_rd_take(rd, sizeof(uint64_t));

	return p ? ipsp_load_u64(p) : 0;
}

/* a str8: copied with a NUL into @text[256]; a NUL byte inside the string is a failure */
size_t ipsp_rd_str8(struct ipsp_rd *rd, char text[256]);

/* CRC32C (Castagnoli, RFC 3720 appendix B.4), @crc is 0 at the beginning */
uint32_t ipsp_crc32c(uint32_t crc, const void *p, size_t n);
/* The same where the processor has no instruction for it: for the test that both agree. */
uint32_t ipsp_crc32c_plain(uint32_t crc, const void *p, size_t n);

#endif
