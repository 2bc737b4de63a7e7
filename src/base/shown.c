#include "base/shown.h"
#include "base/ident.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE_MAX 12 /* "<U+10FFFF>" and a NUL */

/* Controls, and what Unicode calls format characters (Cf), separators of lines, and letters that
 * have no form. In ascending order. */
static const struct range {
	uint32_t first, last;
} hidden[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},	{0x00ad, 0x00ad},   {0x034f, 0x034f},
	{0x0600, 0x0605},   {0x061c, 0x061c},	{0x06dd, 0x06dd},   {0x070f, 0x070f},
	{0x0890, 0x0891},   {0x08e2, 0x08e2},	{0x115f, 0x1160},   {0x17b4, 0x17b5},
	{0x180b, 0x180f},   {0x200b, 0x200f},	{0x2028, 0x202e},   {0x2060, 0x206f},
	{0x3164, 0x3164},   {0xfeff, 0xfeff},	{0xffa0, 0xffa0},   {0xfff0, 0xfffb},
	{0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_hidden(uint32_t c)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c <= hidden[i].last)
			return c >= hidden[i].first;
	return false;
}

/* The character at @p, of @len bytes that are well-formed. */
static uint32_t code_of(const unsigned char *p, size_t len)
{
	static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = p[0] & first[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/* How many bytes stand for the one character at @p; *@escape is "" where they are shown as they
 * are. */
static size_t one(const unsigned char *p, size_t n, char escape[ESCAPE_MAX])
{
	const size_t len = ipsp_utf8_len(p, n);

	escape[0] = '\0';
	if (len == 0) {
		snprintf(escape, ESCAPE_MAX, "<0x%02X>", p[0]);
		return 1;
	}
	const uint32_t c = code_of(p, len);
	if (is_hidden(c))
		snprintf(escape, ESCAPE_MAX, "<U+%04X>", (unsigned)c);
	return len;
}

bool ipsp_shown_plain(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = strlen(text);
	char escape[ESCAPE_MAX];

	for (size_t len; n > 0; p += len, n -= len) {
		len = 1;
		if (p[0] >= 0x20 && p[0] < 0x7f)
			continue;
		len = one(p, n, escape);
		if (escape[0])
			return false;
	}
	return true;
}

size_t ipsp_shown(const char *text, char *out, size_t cap)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = strlen(text), whole = 0;
	bool room = cap > 0;
	char escape[ESCAPE_MAX];

	if (room)
		out[0] = '\0';
	for (size_t len; n > 0; p += len, n -= len) {
		len = one(p, n, escape);
		const size_t more = escape[0] ? strlen(escape) : len;
		room = room && whole + more < cap;
		if (room) {
			memcpy(out + whole, escape[0] ? escape : (const char *)p, more);
			out[whole + more] = '\0';
		}
		whole += more;
	}
	return whole;
}
