/*
 * libipsp - how a gateway (an HA) asks ipspd for addresses.
 *
 * Two ways in. `struct ipsp_conn` does no I/O: an HA with an event loop of its own feeds it the
 * bytes that it has read from the daemon's socket, pulls messages out of it, queues requests, and
 * writes the bytes that it gets. Any number of requests may be open; what is queued between two
 * writes goes out in one, and that is where the speed is. `struct ipsp_call` wraps it with a socket
 * and poll() for everybody else.
 *
 * An HA in five steps:
 *   1. attach under a name: sessions belong to the name, not to the connection, and a name has one
 *      connection (a second attach cuts the first off);
 *   2. list: release what the HA doesn't have, request (by address) what is missing in the list. A
 *      session that is missing and not granted again yet is none here: when it ends, it is not
 *      released, for its address may be another's by now;
 *   3. request an address for each session that begins, release it when the session has ended, and
 *      say whose it was (_release_session). The name of a session is never used again for another
 *      one of its subscriber, not even after the HA was restarted: a number that begins anew then
 *      is no such name, one with the time of the start in it is;
 *   4. at IPSP_CONN_RELEASE: end that session, then say released, also where it has ended already;
 *      the event may be said again where an answer without its number left open whose it was;
 *   5. when the connection ends: connect and begin at 1. An HA that was without its ipspd for a
 *      dead interval ends its sessions, or accepts that their addresses may be in use elsewhere.
 *
 * Conventions. Texts are UTF-8 and end with a NUL; what is passed in is copied, what comes out is
 * borrowed, as said there. Subscriber and session are up to 253 bytes without control characters.
 * Addresses are bytes in network order. Times are milliseconds. An object is used by one thread at
 * a time; there is no state beside the objects.
 */
#ifndef IPSP_H
#define IPSP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default) /* whatever the rest of the library is compiled with */
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
	  "the two sides do not have the same pools, or no version in common")                     \
	X(IPSP_ERR_EXHAUSTED, -5, "exhausted", "no address is free on either side")                \
	X(IPSP_ERR_IN_USE, -6, "in-use", "the address is used by, or kept for, somebody else")     \
	X(IPSP_ERR_NOT_IN_POOL, -7, "not-in-pool",                                                 \
	  "the address is in none of the pools asked for")                                         \
	X(IPSP_ERR_UNKNOWN_POOL, -8, "unknown-pool", "there is no pool or group of that name")     \
	X(IPSP_ERR_STATIC_POOL, -9, "static-pool",                                                 \
	  "a static pool gives only the address that is asked for")                                \
	X(IPSP_ERR_DRAINING, -10, "draining", "the side is being drained")                         \
	X(IPSP_ERR_DISABLED, -11, "disabled", "IPSP is disabled or terminated in this context")    \
	X(IPSP_ERR_TIMEOUT, -12, "timeout", "no answer came in time")                              \
	X(IPSP_ERR_DENIED, -13, "denied", "refused")                                               \
	X(IPSP_ERR_INVALID, -14, "invalid", "the request makes no sense")                          \
	X(IPSP_ERR_NO_SUCH_SESSION, -15, "no-such-session", "no session has this address")         \
	X(IPSP_ERR_NOT_PERMITTED, -16, "not-permitted", "it is another's, or this user may not")   \
	X(IPSP_ERR_OVERLOADED, -17, "overloaded", "too much is open already; try again later")     \
	X(IPSP_ERR_SHARED_OUT, -18, "shared-out", "addresses are shared out between the sides")    \
	X(IPSP_ERR_STILL_USED, -19, "still-used", "the context has sessions")                      \
	X(IPSP_ERR_UNKNOWN_CONTEXT, -20, "unknown-context", "there is no context of that name")    \
	X(IPSP_ERR_NO_PEER, -21, "no-peer", "the peer does not answer")                            \
	X(IPSP_ERR_DISK_FULL, -22, "disk-full",                                                    \
	  "the disk of the side that gives addresses is full")                                     \
	/* made by the library itself, or by the daemon in its parting word; never an answer */    \
	X(IPSP_ERR_NOMEM, -100, "no-memory", "memory ran out")                                     \
	X(IPSP_ERR_FORMAT, -105, "format", "the bytes are not of this format")                     \
	X(IPSP_ERR_IO, -108, "io", "the system refused to read or write")                          \
	X(IPSP_ERR_VERSION, -111, "version", "made by a newer version than this one")

enum ipsp_err {
	IPSP_OK = 0,
#define IPSP_ERR_ENUM(name, value, word, text) name = (value),
	IPSP_ERRORS(IPSP_ERR_ENUM)
#undef IPSP_ERR_ENUM
};

const char *ipsp_err_word(int err); /* "locked"; "ok" for 0; "unknown" for a number that is none */
const char *ipsp_err_text(int err); /* a sentence in English, without a full stop */

/* ---------------------------------------------------------------- addresses */

/* Network byte order; IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2); all zero is no address. */
struct ipsp_address {
	uint8_t bytes[16];
};

#define IPSP_ADDRESS_TEXT 48 /* bytes that any address needs as text, with the NUL */

/* "10.1.0.5" or "2001:db8::1", the whole of @text. 0, or IPSP_ERR_INVALID: nothing was written. */
int ipsp_address_parse(const char *text, struct ipsp_address *address);

/* The text of RFC 5952, cut off at @size with the NUL; returns @text. */
const char *ipsp_address_text(const struct ipsp_address *address, char *text, size_t size);

/* ---------------------------------------------------------------- a connection without I/O */

struct ipsp_conn;

enum ipsp_conn_type {
	IPSP_CONN_READY = 1, /* the daemon understands this library: .text is its version */
	IPSP_CONN_ANSWER,    /* to _request: .id .err; if 0 .address .plen .pool */
	IPSP_CONN_DONE,	     /* to every other call with an id: .id .err, .text: words or "" */
	IPSP_CONN_SESSION,   /* one line of _list: .id .address .plen .pool .subscriber .session */
	IPSP_CONN_JSON,	     /* a slice of the JSON text of _show or _command: .id .text .n_text */
	IPSP_CONN_RELEASE,   /* end this session: .address .subscriber .session .reason; .id is the
				daemon's number of this event */
	IPSP_CONN_CANCELLED, /* the release of .address is void, the event .id: the session may stay
			      */
	IPSP_CONN_STATE,     /* .context has now .role and .state (the words of ipspctl) */
	IPSP_CONN_BYE	     /* the daemon closes this connection: .err, and .text says why */
};

enum ipsp_release_reason {
	IPSP_RELEASE_HANDOFF = 0,   /* the subscriber goes on at the peer, which asked for it, or at
				       another HA here, which has it already */
	IPSP_RELEASE_DUPLICATE = 1, /* the peer has another session there, and the better right */
	IPSP_RELEASE_TERMINATE = 2  /* an operator ended the session */
};
const char *ipsp_release_word(int reason); /* "handoff"; "unknown" for a number that is none */

struct ipsp_conn_msg { /* what a type doesn't have is 0 or "", never NULL */
	enum ipsp_conn_type type;
	int err;
	uint64_t id;
	struct ipsp_address address;
	int plen; /* what the session gets: 32 or 128 is the address alone, less an IPv6 prefix */
	enum ipsp_release_reason reason;
	/* borrowed until the next _next, _feed or _free of the connection */
	const char *pool, *subscriber, *session, *context, *role, *state, *text;
	size_t n_text;
};

/*
 * A new connection, which has its first bytes to write already. @program names it in the daemon's
 * log ("my-ha 2.1", NULL for none; cut off at 64 bytes). NULL: memory ran out. _free takes NULL
 * too.
 */
struct ipsp_conn *ipsp_conn_new(const char *program);
void ipsp_conn_free(struct ipsp_conn *conn);

/*
 * Takes @n bytes as they came from the socket, in any portions. Pull all messages after each: what
 * was pulled is forgotten, what was not is kept. 0 or IPSP_ERR_NOMEM (nothing was taken).
 */
int ipsp_conn_feed(struct ipsp_conn *conn, const void *bytes, size_t n);

/*
 * The next message. Returns 1; 0: feed more; IPSP_ERR_FORMAT: this is not ipspd, IPSP_ERR_VERSION:
 * its version and this library have none in common, IPSP_ERR_NOMEM: then close the socket and free
 * the connection. Messages of a later version that this one doesn't know are passed over.
 */
int ipsp_conn_next(struct ipsp_conn *conn, struct ipsp_conn_msg *msg);

/*
 * What is to be written: returns how many bytes, *@bytes is where (borrowed until the next call
 * that queues). _wrote says how many of them the socket took.
 */
size_t ipsp_conn_output(const struct ipsp_conn *conn, const void **bytes);
void ipsp_conn_wrote(struct ipsp_conn *conn, size_t n);

/*
 * The calls below queue a message; nothing waits. @id is the caller's own, and comes back with what
 * answers it; answers come as they are ready, not in order. All of them return 0, IPSP_ERR_INVALID
 * (a text is too long or has what it may not have; nothing was queued) or IPSP_ERR_NOMEM.
 */

/*
 * First of all: for which context (NULL: the only one) and under which name, 1 to 31 bytes; NULL:
 * as an operator, whose sessions belong to nobody and are ended without asking. DONE: 0,
 * unknown-context, invalid, overloaded (too many names have sessions).
 */
int ipsp_conn_attach(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name);

struct ipsp_conn_request {
	const char *subscriber, *session;   /* the session may be NULL, which is "" */
	const char *pool, *group;	    /* NULL: not asked for; only one of the two */
	const struct ipsp_address *address; /* NULL: any will do */
};

/*
 * An address for a session. The same subscriber and session asked again get what they have.
 * ANSWER, 0 or
 *   locked           not now: no lease, healing, or lost state; ask again later
 *   no-primary       the peer that would have to be asked is not known or not up
 *   not-approved     this is a secondary that was not given its first assignment yet
 *   config-mismatch  the pools of both sides differ
 *   exhausted        no address is free on either side (some may be kept back for a while)
 *   in-use           the address asked for has another session, or is kept for somebody else
 *   not-in-pool      the address asked for is in none of the pools, or not in the one named
 *   unknown-pool     there is no such pool or group
 *   static-pool      a static pool gives only an address that is asked for
 *   draining         no new sessions here: an operator moves them away
 *   disabled         no new sessions here: IPSP is disabled, or was terminated
 *   timeout          the peer did not answer in time; it goes on when asked again
 *   denied           the peer refused
 *   invalid          no sense: both pool and group; another pool or address than the session has
 *   overloaded       too many are open; ask again later
 */
int ipsp_conn_request(struct ipsp_conn *conn, uint64_t id, const struct ipsp_conn_request *request);

/*
 * The session on @address has ended: that of this subscriber, and of this name. Say both: a release
 * that comes late would end the session that has the address by then. DONE: 0, no-such-session
 * (none has the address, or another one), not-permitted (another HA's). A NULL is not compared;
 * _release says neither. A daemon older than this takes it for a _release.
 */
int ipsp_conn_release_session(struct ipsp_conn *conn, uint64_t id,
			      const struct ipsp_address *address, const char *subscriber,
			      const char *session);
int ipsp_conn_release(struct ipsp_conn *conn, uint64_t id, const struct ipsp_address *address);

/*
 * The answer to IPSP_CONN_RELEASE: that session has ended. Nothing answers it. With the event's
 * .id it is the answer to that event and no other, however late it comes; without, to the oldest
 * that is open for the address, where one that was cancelled counts for ten minutes.
 */
int ipsp_conn_released(struct ipsp_conn *conn, const struct ipsp_address *address);
int ipsp_conn_released_event(struct ipsp_conn *conn, uint64_t event,
			     const struct ipsp_address *address);
/* The same (@event 0: the oldest), unless another session has the address by now: NULLs as in
 * _release_session. */
int ipsp_conn_released_session(struct ipsp_conn *conn, uint64_t event,
			       const struct ipsp_address *address, const char *subscriber,
			       const char *session);

/* The sessions that belong to the name attached. SESSION for each, then DONE. */
int ipsp_conn_list(struct ipsp_conn *conn, uint64_t id);

/* What ipspctl does; needs no _attach. @context NULL: the only one (_show: all). */
#define IPSP_COMMAND_FORCE 1u
/*
 * @name: check-config, drain, undrain, terminate, takeover, mode (with @argument active, inactive
 * or check-config), disable, reload, save, release-ha (@argument: the name of an HA, all of whose
 * sessions are released). JSON (check-config, release-ha), then DONE: 0 or the error, with words.
 */
int ipsp_conn_command(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name,
		      const char *argument, unsigned flags);

/*
 * An operator ends the session on @address without its HA, which may be gone for good: where the HA
 * still runs, the address may be used twice. One that is attached gets an IPSP_CONN_RELEASE all the
 * same. Needs no _attach; the NULLs are as in _release_session. DONE: 0, with words; the errors of
 * a release; not-permitted. A daemon older than this answers invalid.
 */
int ipsp_conn_force_release(struct ipsp_conn *conn, uint64_t id, const char *context,
			    const struct ipsp_address *address, const char *subscriber,
			    const char *session);

struct ipsp_conn_filter {
	const char *pool, *subscriber; /* NULL: all. For "pool" and "sessions" */
	uint32_t n;		       /* "log": how many at most, 0: all that are kept */
};
/*
 * @name: ipsp, pool, sessions, duplicates, counters, log, configuration, ok-to-stop, metrics. JSON
 * in slices, then DONE. @filter may be NULL.
 */
int ipsp_conn_show(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name,
		   const struct ipsp_conn_filter *filter);

struct ipsp_conn_sessions { /* NULL, 0: all */
	const char *pool, *subscriber;
	const char *address; /* one, or a prefix as "10.1.0.0/24" */
	const char *state;   /* "used", "releasing", "duplicate" */
	uint32_t limit;
	int count; /* only how many: {"count":N} */
};
/* The same for "sessions", of which there may be very many. */
int ipsp_conn_show_sessions(struct ipsp_conn *conn, uint64_t id, const char *context,
			    const struct ipsp_conn_sessions *which);

/* ---------------------------------------------------------------- a connection that waits */

#define IPSP_SOCKET "/run/ipspd/control"

struct ipsp_call;

/*
 * Connects to the daemon's socket (@path NULL: IPSP_SOCKET) and waits until it is ready.
 * @timeout_ms, here and below, is for the whole call; negative: without end. *@call is set only
 * when 0 is returned, and is ended with ipsp_call_close. IPSP_ERR_IO (errno says why),
 * IPSP_ERR_TIMEOUT, IPSP_ERR_FORMAT, IPSP_ERR_VERSION, IPSP_ERR_NOMEM; the error of a BYE.
 */
int ipsp_call_open(struct ipsp_call **call, const char *path, const char *program, int timeout_ms);
void ipsp_call_close(struct ipsp_call *call); /* NULL is fine */

struct ipsp_conn *ipsp_call_conn(struct ipsp_call *call); /* to queue what has no wrapper here */
int ipsp_call_fd(const struct ipsp_call *call); /* for poll(); non-blocking; owned by the call */

/*
 * The next message, whatever it is. Where none has come yet, writes what is queued, and waits. 1
 * with *@msg, as of _conn_next; 0 when the time ran out (@timeout_ms 0: only looks); IPSP_ERR_IO:
 * the daemon is gone (errno is 0 where it closed in order); the errors of _conn_next. After an
 * error only _close is left. Call it until it gives 0 before waiting elsewhere: what was queued
 * between is written, in one, only then.
 */
int ipsp_call_next(struct ipsp_call *call, struct ipsp_conn_msg *msg, int timeout_ms);

/*
 * Messages that come while one of the calls below waits for its own answer go to @fn: release
 * events first of all. @fn may queue on ipsp_call_conn, and nothing else. Without one they are
 * dropped: for operators, who get none.
 */
typedef void ipsp_call_fn(void *arg, const struct ipsp_conn_msg *msg);
void ipsp_call_on_message(struct ipsp_call *call, ipsp_call_fn *fn, void *arg);

/*
 * Each does what its namesake above says, and waits for the end of it. 0; the daemon's error;
 * IPSP_ERR_TIMEOUT (also when it was the daemon's own); the errors of _call_next. The answer to a
 * call whose time ran out is dropped when it comes. *@msg (may be NULL) is the last message: the
 * ANSWER or the DONE; its type is another where none of the two came, so that a timeout of the
 * daemon's can be told from one here.
 */
int ipsp_call_attach(struct ipsp_call *call, const char *context, const char *name,
		     struct ipsp_conn_msg *msg, int timeout_ms);
int ipsp_call_request(struct ipsp_call *call, const struct ipsp_conn_request *request,
		      struct ipsp_conn_msg *msg, int timeout_ms);
int ipsp_call_release_session(struct ipsp_call *call, const struct ipsp_address *address,
			      const char *subscriber, const char *session,
			      struct ipsp_conn_msg *msg, int timeout_ms);
int ipsp_call_release(struct ipsp_call *call, const struct ipsp_address *address,
		      struct ipsp_conn_msg *msg, int timeout_ms);
/* @fn gets each SESSION */
int ipsp_call_list(struct ipsp_call *call, ipsp_call_fn *fn, void *arg, int timeout_ms);
/*
 * *@json is one text, "" where there was none; free() it. It is set whatever is returned; NULL
 * where memory ran out.
 */
int ipsp_call_command(struct ipsp_call *call, const char *context, const char *name,
		      const char *argument, unsigned flags, char **json, struct ipsp_conn_msg *msg,
		      int timeout_ms);
int ipsp_call_show(struct ipsp_call *call, const char *context, const char *name,
		   const struct ipsp_conn_filter *filter, char **json, struct ipsp_conn_msg *msg,
		   int timeout_ms);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
