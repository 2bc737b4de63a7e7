/*
 * disk - watches how the store's disk does: a flush or a write that takes long is said while it
 * lasts or when it is over, as else nobody would know why the peer, or everything, had to wait.
 */
#ifndef IPSPD_DISK_H
#define IPSPD_DISK_H

#include "daemon/ctx.h"

#define IPSPD_DISK_SLOW_MS 2000 /* what takes longer is said */

struct ipspd_disk {
	ipsp_ms before_write; /* of this turn; set by the loop */
	ipsp_ms longest_write;
	ipsp_ms look_at; /* the time of the next ipspd_disk_look */
	ipsp_ms said_at; /* 0: never */
	bool stands;	 /* it was said of the flush that runs */
};

void ipspd_disk_look(struct ipspd_disk *disk, const struct ipspd *daemon, ipsp_ms now);
/* The turn is written: how long did that take? */
void ipspd_disk_wrote(struct ipspd_disk *disk, const struct ipspd *daemon, ipsp_ms now);
/* A flush has ended that took @took ms. */
void ipspd_disk_flushed(struct ipspd_disk *disk, const struct ipspd *daemon, uint64_t took);

#endif
