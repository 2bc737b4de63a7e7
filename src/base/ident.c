#include "base/ident.h"
#include "base/bytes.h"

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/*
 * RFC 3629, section 4. The bounds of the second byte shut out overlong forms (c0, c1, e0 80..9f,
 * f0 80..8f), surrogates (ed a0..bf) and everything above U+10FFFF (f4 90.., f5..).
 */
size_t ipsp_utf8_len(const unsigned char *s, size_t n)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!is_tail(s[i]))
			return 0;
	return len;
}

/* Most names are. */
static bool is_plain(const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		if (ipsp_text_special(ipsp_text_marks(ipsp_load_le64(p))))
			return false;
	return !ipsp_text_special(ipsp_text_marks(ipsp_load_rest(p, n) | IPSP_SPACES << 8 * n));
}

bool ipsp_text_clean(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	if (is_plain(p, n))
		return true;
	for (size_t len; n > 0; p += len, n -= len) {
		if (p[0] < 0x20 || p[0] == 0x7f)
			return false;
		len = ipsp_utf8_len(p, n);
		if (len == 0)
			return false;
		if (p[0] == 0xc2 && p[1] < 0xa0) /* C1: U+0080..U+009F */
			return false;
	}
	return true;
}

bool ipsp_text_ok(const char *s, size_t n)
{
	return n <= IPSP_NAME_BYTES && ipsp_text_clean(s, n);
}
