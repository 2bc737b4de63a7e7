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

struct ipsp_buf { /* owned by whoever declared it; {0} is an empty one */
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

void ipsp_buf_fini(struct ipsp_buf *buf);  /* frees; the buffer is then {0} */
void ipsp_buf_clear(struct ipsp_buf *buf); /* len = 0, memory kept, failed = false */
uint8_t *ipsp_buf_room(struct ipsp_buf *buf,
		       size_t n); /* n writable bytes at the end, NULL when failed; len unchanged */
void ipsp_buf_put(struct ipsp_buf *buf, const void *p, size_t n);
void ipsp_buf_put_u8(struct ipsp_buf *buf, uint8_t v);
void ipsp_buf_put_u16(struct ipsp_buf *buf, uint16_t v);
void ipsp_buf_put_u32(struct ipsp_buf *buf, uint32_t v);
void ipsp_buf_put_u64(struct ipsp_buf *buf, uint64_t v);
void ipsp_buf_put_str8(struct ipsp_buf *buf, const char *s,
		       size_t n);		    /* u8 length, bytes; n <= 255 */
void ipsp_buf_drop(struct ipsp_buf *buf, size_t n); /* removes the first n bytes */

struct ipsp_rd { /* borrows the bytes */
	const uint8_t *p, *end;
	bool failed;
};

static inline struct ipsp_rd ipsp_rd_of(const void *p, size_t n)
{
	return (struct ipsp_rd){(const uint8_t *)p, (const uint8_t *)p + n, false};
}

static inline size_t ipsp_rd_left(const struct ipsp_rd *rd)
{
	return rd->failed ? 0 : (size_t)(rd->end - rd->p);
}

uint8_t ipsp_rd_u8(struct ipsp_rd *rd);
uint16_t ipsp_rd_u16(struct ipsp_rd *rd);
uint32_t ipsp_rd_u32(struct ipsp_rd *rd);
uint64_t ipsp_rd_u64(struct ipsp_rd *rd);
const uint8_t *ipsp_rd_take(struct ipsp_rd *rd, size_t n); /* NULL when failed */
/* a str8: copied with a NUL into @text[256]; a NUL byte inside the string is a failure */
size_t ipsp_rd_str8(struct ipsp_rd *rd, char text[256]);

/* CRC32C (Castagnoli, RFC 3720 appendix B.4), @crc is 0 at the beginning */
uint32_t ipsp_crc32c(uint32_t crc, const void *p, size_t n);

#endif
