/*
 * plain - is a file that people write plain text, or what an editor made of it?
 *
 * For the configuration and the files with secrets: a byte order mark, UTF-16 and a NUL look like
 * nothing on a screen, and each makes another file of it.
 */
#ifndef IPSPD_PLAIN_H
#define IPSPD_PLAIN_H

#include <stddef.h>
#include <stdint.h>

enum ipspd_plain {
	IPSPD_PLAIN,
	IPSPD_PLAIN_BOM,   /* UTF-8 with a byte order mark, IPSPD_BOM_BYTES */
	IPSPD_PLAIN_UTF16, /* or UTF-32, with a byte order mark or without */
	IPSPD_PLAIN_NUL,   /* some NUL in it */
};

#define IPSPD_BOM_BYTES 3

enum ipspd_plain ipspd_plain(const void *bytes, size_t n);

#endif
