/*
 * lease - the small file that tells a restarted daemon how far its lease went.
 *
 * Overwritten in place, never flushed: it is worth something only as long as the host runs, and as
 * long as the host runs what was written is there. Named after the context; 128 bytes with a
 * CRC32C.
 */
#ifndef IPSPD_LEASE_H
#define IPSPD_LEASE_H

#include "core/node.h"

/* Opens (makes) the file of @context in @dir: its descriptor, or -1 with errno. One that others
 * could have written is made anew. */
int ipspd_lease_open(const char *dir, const char *context);
/* Takes the room on the disk that writing it needs, and leaves what it holds: 0, or IPSP_ERR_IO
 * with errno. */
int ipspd_lease_reserve(int fd);
/* Of every context, in a directory where others could have put them: 0, or IPSP_ERR_IO. */
int ipspd_lease_remove_all(const char *dir);
/* What it holds goes to @note; *found: it was there and whole; *same_boot: it was written since the
 * host was started. */
void ipspd_lease_read(int fd, const char *context, struct ipsp_lease_note *note, bool *found,
		      bool *same_boot);
int ipspd_lease_write(int fd, const char *context,
		      const struct ipsp_lease_note *note); /* 0, or IPSP_ERR_IO with errno */

#endif
