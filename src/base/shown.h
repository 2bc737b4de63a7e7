/*
 * shown - text as people may be shown it.
 *
 * Names are any UTF-8 without control characters, and stay as they are on the wire, in files and in
 * JSON. On a terminal or in a log some of their characters hide or reorder what stands around them
 * (U+202E), look like nothing (U+200B), or are obeyed (ESC, U+009B). Each of these becomes
 * "<U+202E>", and a byte that is no UTF-8 "<0xFF>".
 */
#ifndef IPSP_BASE_SHOWN_H
#define IPSP_BASE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether all of @text (up to its NUL) is shown as it is: so is nearly every text. */
bool ipsp_shown_plain(const char *text);

/*
 * Writes @text as it is shown to @out, with a NUL; what has no room is left out, in whole
 * characters. Returns the length that the whole has, as snprintf().
 */
size_t ipsp_shown(const char *text, char *out, size_t cap);

#endif
