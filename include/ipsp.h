/*
 * libipsp - how a gateway (an HA) asks ipspd for addresses.
 */
#ifndef IPSP_H
#define IPSP_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Every call returns 0 (or a count) or one of these, always negative. The words are those of
 * the JSON lines and of ipspctl.
 */
#define IPSP_ERRORS(X)                                                                             \
	X(IPSP_ERR_LOCKED, -1, "locked", "this side may not assign addresses now")                 \
	X(IPSP_ERR_NO_PRIMARY, -2, "no-primary",                                                   \
	  "the peer that would have to be asked is not known or not up")                           \
	X(IPSP_ERR_NOT_APPROVED, -3, "not-approved",                                               \
	  "the primary has not made its first assignment yet")                                     \
	X(IPSP_ERR_CONFIG_MISMATCH, -4, "config-mismatch",                                         \
	  "the pools of the two sides are not identical")                                          \
	X(IPSP_ERR_EXHAUSTED, -5, "exhausted", "no address is free on either side")                \
	X(IPSP_ERR_IN_USE, -6, "in-use", "the address is used by, or kept for, somebody else")     \
	X(IPSP_ERR_NOT_IN_POOL, -7, "not-in-pool", "the address is in none of the pools asked for") \
	X(IPSP_ERR_UNKNOWN_POOL, -8, "unknown-pool", "there is no pool or group of that name")     \
	X(IPSP_ERR_STATIC_POOL, -9, "static-pool",                                                 \
	  "a static pool gives only the address that is asked for")                                \
	X(IPSP_ERR_DRAINING, -10, "draining", "the side is being drained")                         \
	X(IPSP_ERR_DISABLED, -11, "disabled", "IPSP is disabled or terminated in this context")    \
	X(IPSP_ERR_TIMEOUT, -12, "timeout", "no answer came in time")                              \
	X(IPSP_ERR_DENIED, -13, "denied", "refused")                                               \
	X(IPSP_ERR_INVALID, -14, "invalid", "the request makes no sense")                          \
	X(IPSP_ERR_NO_SUCH_SESSION, -15, "no-such-session", "no session has this address")         \
	X(IPSP_ERR_NOT_PERMITTED, -16, "not-permitted", "the session belongs to another HA")       \
	X(IPSP_ERR_OVERLOADED, -17, "overloaded", "too much is open already; try again later")     \
	X(IPSP_ERR_SHARED_OUT, -18, "shared-out", "addresses are shared out between the sides")    \
	X(IPSP_ERR_STILL_USED, -19, "still-used", "the context has sessions")                      \
	X(IPSP_ERR_UNKNOWN_CONTEXT, -20, "unknown-context", "there is no context of that name")    \
	X(IPSP_ERR_NO_PEER, -21, "no-peer", "the peer does not answer")

enum ipsp_err {
	IPSP_OK = 0,
#define IPSP_ERR_ENUM(name, value, word, text) name = (value),
	IPSP_ERRORS(IPSP_ERR_ENUM)
#undef IPSP_ERR_ENUM
};

const char *ipsp_err_word(int err); /* "locked"; "ok" for 0; "unknown" for a number that is none */
const char *ipsp_err_text(int err); /* a sentence in English, without a full stop */

#ifdef __cplusplus
}
#endif

#endif
