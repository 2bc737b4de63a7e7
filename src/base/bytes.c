#include "base/bytes.h"
#include <stdlib.h>
#include <string.h>

#define BUF_MIN 256

const uint8_t ipsp_no_bytes[1];

void ipsp_buf_fini(struct ipsp_buf *buf)
{
	free(buf->data);
	*buf = (struct ipsp_buf){0};
}

void ipsp_buf_clear(struct ipsp_buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

static bool grow(struct ipsp_buf *buf, size_t need)
{
	size_t cap = buf->cap ? buf->cap : BUF_MIN;
	uint8_t *data;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = realloc(buf->data, cap);
	if (!data)
		return false;
	buf->data = data;
	buf->cap = cap;
	return true;
}

uint8_t *ipsp_buf_grow(struct ipsp_buf *buf, size_t n)
{
	if (buf->failed)
		return NULL;
	/* an empty buffer gets memory even for n = 0: what is returned is never NULL but on failure
	 */
	if (!buf->data || n > buf->cap - buf->len) {
		if (n > SIZE_MAX - buf->len || !grow(buf, buf->len + n)) {
			buf->failed = true;
			return NULL;
		}
	}
	return buf->data + buf->len;
}

void ipsp_buf_put(struct ipsp_buf *buf, const void *p, size_t n)
{
	uint8_t *room = ipsp_buf_room(buf, n);

	if (!room || n == 0)
		return;
	memcpy(room, p, n);
	buf->len += n;
}

void ipsp_buf_put_str8(struct ipsp_buf *buf, const char *s, size_t n)
{
	if (n > UINT8_MAX) {
		buf->failed = true; /* a cut string would be another string */
		return;
	}
	uint8_t *p = ipsp_buf_room(buf, 1 + n);
	if (!p)
		return;
	*p = (uint8_t)n;
	if (n > 0)
		memcpy(p + 1, s, n);
	buf->len += 1 + n;
}

void ipsp_buf_drop(struct ipsp_buf *buf, size_t n)
{
	if (n > buf->len)
		n = buf->len;
	if (n == 0)
		return;
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
}

size_t ipsp_rd_str8(struct ipsp_rd *rd, char text[256])
{
	size_t n = ipsp_rd_u8(rd);
	const uint8_t *p = ipsp_rd_take(rd, n);

	text[0] = '\0';
	if (!p)
		return 0;
	if (n > 0 && memchr(p, '\0', n)) {
		rd->failed = true;
		return 0;
	}
	if (n > 0)
		memcpy(text, p, n);
	text[n] = '\0';
	return n;
}
