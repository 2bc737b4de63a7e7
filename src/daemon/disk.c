#include "daemon/disk.h"
#include "daemon/config.h"
#include "daemon/store.h"

#define LOOK_MS 500
#define SAY_MS	60000 /* a disk that is always slow is said once a minute */

static bool may_say(struct ipspd_disk *disk, ipsp_ms now)
{
	if (disk->said_at && now - disk->said_at < SAY_MS)
		return false;
	disk->said_at = now;
	return true;
}

void ipspd_disk_look(struct ipspd_disk *disk, const struct ipspd *daemon, ipsp_ms now)
{
	const uint64_t ms = ipspd_store_flush_ms(daemon->store);

	disk->look_at = now + LOOK_MS;
	if (ms < IPSPD_DISK_SLOW_MS || disk->stands || !may_say(disk, now))
		return;
	disk->stands = true;
	ipspd_log(IPSP_LOG_WARNING,
		  "%s: the disk stands still: a flush runs for %llu ms now; what moves between the "
		  "sides, changes of role and sessions with durability = \"power\" wait for it",
		  daemon->config->state_directory, (unsigned long long)ms);
}

void ipspd_disk_flushed(struct ipspd_disk *disk, const struct ipspd *daemon, uint64_t took)
{
	if (!disk->stands)
		return;
	disk->stands = false;
	ipspd_log(IPSP_LOG_NOTICE, "%s: the disk goes on: that flush took %llu ms",
		  daemon->config->state_directory, (unsigned long long)took);
}

void ipspd_disk_wrote(struct ipspd_disk *disk, const struct ipspd *daemon, ipsp_ms now)
{
	const ipsp_ms took = now - disk->before_write;

	disk->longest_write = took > disk->longest_write ? took : disk->longest_write;
	if (took >= IPSPD_DISK_SLOW_MS && may_say(disk, now))
		ipspd_log(IPSP_LOG_WARNING,
			  "%s: the disk stood still: a write took %llu ms, and everything waited "
			  "for it",
			  daemon->config->state_directory, (unsigned long long)took);
}
