/*
 * keyfile - secrets that live in files of their own.
 *
 * Such a file is a regular one of root or of the daemon's user, and nobody else may read it: its
 * group may where it is the daemon's own or root's, and so may those whom an access list names, as
 * it does for a credential of systemd. Each function returns 0, or with the reason in @why
 * IPSP_ERR_INVALID, when the file is wrong, or IPSP_ERR_IO, when it can't be opened: it may come
 * later. After a 0 @why is "", or a warning: what an editor has done to the file, or that a secret
 * is weak.
 */
#ifndef IPSPD_KEYFILE_H
#define IPSPD_KEYFILE_H

#include "core/conf.h"
#include "daemon/config.h"
#include <stdbool.h>
#include <stddef.h>

#define IPSPD_SECRET_MIN 16

/*
 * The keys of a pair. In a text file each line is a secret, blank lines and blanks around it not
 * counted: the first is used, all are accepted, so that a key can be changed on one side after the
 * other. A file that is no text (32 raw bytes, say) is one secret as a whole. A secret has 16 bytes
 * at least and is hashed to a key with BLAKE2b. One that has not the form of 256 random bits (64
 * hexadecimal digits, 43 of base64, 32 raw bytes) is taken with a warning: see docs/protocol.md.
 * Places of @keys without a secret are zero, so that two arrays can be compared as a whole.
 */
int ipspd_keyfile_keys(const char *path, uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES],
		       uint8_t *n_keys, char why[IPSPD_WHY_MAX]);

/* One line of text, @min bytes at least and fewer than @cap. */
int ipspd_keyfile_line(const char *path, size_t min, char *text, size_t cap,
		       char why[IPSPD_WHY_MAX]);

#endif
