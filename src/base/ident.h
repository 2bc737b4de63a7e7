/*
 * ident - who a session is: a subscriber, and one of that subscriber's sessions.
 *
 * Both are 0 to 253 bytes of UTF-8 without control characters (the subscriber at least 1; an
 * empty session is a name like any other). 253 is what one RADIUS attribute holds (RFC 2865, 5).
 */
#ifndef IPSP_BASE_IDENT_H
#define IPSP_BASE_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPSP_NAME_BYTES 253

struct ipsp_ident { /* borrows both texts; neither needs a NUL */
	const char *subscriber, *session;
	uint8_t n_subscriber, n_session;
	uint64_t hash; /* made once for all who look for it, see core/bind.h; 0: not made */
};

/* True for valid UTF-8 (RFC 3629) of at most IPSP_NAME_BYTES bytes and no control character (C0,
 * DEL, C1). */
bool ipsp_text_ok(const char *s, size_t n);

#endif
