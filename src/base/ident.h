/*
 * ident - who a session is: a subscriber, and one of that subscriber's sessions.
 *
 * Both are 0 to 253 bytes of UTF-8 without control characters (the subscriber at least 1; an
 * empty session is a name like any other). 253 is what one RADIUS attribute holds (RFC 2865, 5).
 */
#ifndef IPSP_BASE_IDENT_H
#define IPSP_BASE_IDENT_H

#include "base/attr.h"
#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPSP_NAME_BYTES 253

struct ipsp_ident { /* borrows both texts; neither needs a NUL */
	const char *subscriber, *session;
	uint8_t n_subscriber, n_session;
	uint64_t hash; /* made once for all who look for it, see core/bind.h; 0: not made */
};

/* Do the texts stand one behind the other? Those of a frame that was read, and of a binding, do. */
static inline bool ipsp_ident_joined(const struct ipsp_ident *ident)
{
	return ident->n_session == 0 || ident->session == ident->subscriber + ident->n_subscriber;
}

/* True for valid UTF-8 (RFC 3629) of at most IPSP_NAME_BYTES bytes and no control character (C0,
 * DEL, C1). */
bool ipsp_text_ok(const char *s, size_t n);
bool ipsp_text_clean(const char *s, size_t n); /* of any length */

/* The length of the one character at @s (of @n > 0 bytes); 0: it is not well-formed. */
size_t ipsp_utf8_len(const unsigned char *s, size_t n);

#define IPSP_SPACES UINT64_C(0x2020202020202020)

/*
 * The top bit of one of eight bytes is set when they are no plain ASCII: one has it itself, is
 * below 0x20, or is DEL. Where a subtraction borrows from the byte above, the byte below has shown
 * itself already. Of several words the marks may be put together before the top bits are looked at.
 */
static inline uint64_t ipsp_text_marks(uint64_t eight)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t del = eight ^ ones * 0x7f; /* a byte that is DEL is 0 there */

	return eight | (eight - ones * 0x20) | (del - ones);
}

static inline bool ipsp_text_special(uint64_t marks)
{
	return (marks & UINT64_C(0x8080808080808080)) != 0;
}

/*
 * Copies a text and looks at it, in one pass: its marks. When they say that it is plain ASCII, as
 * most are, it has no control character and no NUL.
 */
IPSP_INLINE uint64_t ipsp_text_copy_marks(void *to, const void *from, size_t n)
{
	uint8_t *t = (uint8_t *)to;
	const uint8_t *f = (const uint8_t *)from;
	uint64_t marks;

	if (n < 8) {
		ipsp_copy_text(t, f, n);
		return ipsp_text_marks(ipsp_load_rest(f, n) | IPSP_SPACES << 8 * n);
	}
	marks = ipsp_text_marks(ipsp_load_le64(f + n - 8)); /* overlaps what is before it */
	memcpy(t + n - 8, f + n - 8, 8);
	for (size_t i = 0; i + 8 < n; i += 8) {
		marks |= ipsp_text_marks(ipsp_load_le64(f + i));
		memcpy(t + i, f + i, 8);
	}
	return marks;
}

#endif
