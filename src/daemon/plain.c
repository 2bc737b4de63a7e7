#include "daemon/plain.h"
#include <stdbool.h>
#include <string.h>

/* Is every second byte NUL, from @from on? So is each text in ASCII that was written as UTF-16. */
static bool every_second(const uint8_t *p, size_t n, size_t from)
{
	for (size_t i = from; i < n; i += 2)
		if (p[i] != 0)
			return false;
	return n >= 4;
}

enum ipspd_plain ipspd_plain(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	if (n >= IPSPD_BOM_BYTES && memcmp(p, "\xef\xbb\xbf", IPSPD_BOM_BYTES) == 0)
		return IPSPD_PLAIN_BOM;
	if (n == 0 || !memchr(p, '\0', n))
		return IPSPD_PLAIN;
	if ((n >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0)) ||
	    every_second(p, n, 0) || every_second(p, n, 1))
		return IPSPD_PLAIN_UTF16;
	return IPSPD_PLAIN_NUL;
}
