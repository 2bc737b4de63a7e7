/*
 * engine - this daemon as an SNMPv3 engine (RFC 3411, 5; RFC 3414, 2.2): its id, which managers
 * know its users under, and how often it was started. Both live in a small file of the state
 * directory.
 */
#ifndef IPSPD_ENGINE_H
#define IPSPD_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#define IPSPD_ENGINE_ID 17 /* bytes: enterprise, format, 12 random ones */

struct ipspd_engine {
	uint8_t id[IPSPD_ENGINE_ID];
	uint32_t boots; /* grows with every load, from 1; 2147483647 is the last one and stays */
};

/*
 * Loads @directory/snmp-engine, counts a boot, and writes it back durably.
 *
 * Managers drop the traps of an engine whose boots went back, in silence. So both id and boots
 * survive the loss of the file: the id is made from the host's machine id and name and from
 * @directory, and boots is at least the number of seconds since 2020 by the host's clock. An id
 * that stands in the file is kept.
 *
 * Returns 0, or 1 where no file was understood. @why gets the reason where the file can't be
 * written, else "": the engine may be used all the same.
 */
int ipspd_engine_load(const char *directory, struct ipspd_engine *engine, char *why, size_t n_why);

/* "80001f8805..." */
const char *ipspd_engine_text(const struct ipspd_engine *engine,
			      char text[2 * IPSPD_ENGINE_ID + 1]);

#endif
