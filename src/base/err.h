/*
 * err - the one list of errors. The public names (those that a request or a command can be
 * answered with) are in ipsp.h; the ones below never leave a program.
 */
#ifndef IPSP_BASE_ERR_H
#define IPSP_BASE_ERR_H

#include "ipsp.h"

#define IPSP_ERRORS_INTERNAL(X)                                                                    \
	X(IPSP_ERR_EMPTY, -101, "empty", "no address is owned and free here")                      \
	X(IPSP_ERR_USED, -102, "used", "the address has another session")                          \
	X(IPSP_ERR_NOT_OWNED, -103, "not-owned", "the address is not owned here")                  \
	X(IPSP_ERR_SHORT, -104, "short", "the bytes end too early")                                \
	X(IPSP_ERR_SEAL, -106, "seal", "the seal does not open with this key")                     \
	X(IPSP_ERR_REPLAY, -107, "replay", "the datagram was seen before, or is too old")          \
	X(IPSP_ERR_DAMAGED, -109, "damaged", "the store is damaged")                               \
	X(IPSP_ERR_BUSY, -110, "busy", "another process holds it")                                 \
	X(IPSP_ERR_SESSION, -112, "session", "of a session of keys that is not in use here")       \
	X(IPSP_ERR_KEY, -113, "key", "a handshake with a key that is not known here")              \
	X(IPSP_ERR_OLD, -114, "old", "a handshake of the first version, which is refused here")

enum {
#define IPSP_ERR_ENUM(name, value, word, text) name = (value),
	IPSP_ERRORS_INTERNAL(IPSP_ERR_ENUM)
#undef IPSP_ERR_ENUM
};

#endif
