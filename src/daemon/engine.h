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
	uint32_t boots; /* counted up by every load; 2147483647 is the last one and stays */
};

/*
 * Loads @directory/snmp-engine, counts a boot, and writes it back durably. Without a file a new id
 * is made; so it is where the file can't be understood: keeping an id with boots that went back
 * would make managers refuse every message. Returns 0, 1 for a new id, or IPSP_ERR_IO with the
 * reason in @why.
 */
int ipspd_engine_load(const char *directory, struct ipspd_engine *engine, char *why, size_t n_why);

/* "80001f8805..." */
const char *ipspd_engine_text(const struct ipspd_engine *engine,
			      char text[2 * IPSPD_ENGINE_ID + 1]);

#endif
