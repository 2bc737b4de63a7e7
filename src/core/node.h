/*
 * node - one side of one context: the whole protocol as a function from an event and the time to
 * a list of actions, over plain memory.
 *
 * A turn of a shell, for each node:
 *   1. for every event that came: ipsp_node_step(node, &ev, now, act), or ipsp_node_steps for all;
 *   2. one ipsp_node_step(node, {IPSP_EV_END}, now, act): the lease is looked at again, and what is
 * to be sent is packed into datagrams;
 *   3. act->lease_set: overwrite the context's small lease file (not flushed);
 *      act->recs: append to the log (written; one write for all contexts);
 *      act->want_flush: a flush that covers these records is to begin now (else within a second);
 *   4. ipsp_node_late(node, the time now, act), and only then act->outs, in order;
 *   5. when a flush has completed: IPSP_EV_FLUSHED with the value that act->rec_seq had when the
 * last record it covers was written. What must wait for a flush is kept back inside of the node
 * until then: every out of an actions list may be carried out as soon as the records of the same
 * list are written.
 *
 * When a write or a flush fails the shell stops (a full disk excepted: IPSP_EV_DISK_FULL).
 *
 * Start: ipsp_node_new, ipsp_node_replay for every record of the log in order, ipsp_node_replayed,
 * ipsp_node_start. Then steps.
 */
#ifndef IPSP_CORE_NODE_H
#define IPSP_CORE_NODE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/ident.h"
#include "core/assign.h"
#include "core/bind.h"
#include "core/conf.h"
#include "core/note.h"
#include "core/pool.h"
#include "core/stats.h"
#include "core/wire.h"

/* ---------------------------------------------------------------- events */

enum ipsp_event_type {
	IPSP_EV_TICK,	  /* the time of ipsp_node_due has come (or just: time has passed) */
	IPSP_EV_END,	  /* the last step of a turn */
	IPSP_EV_FLUSHED,  /* .seq: all records up to it are durable */
	IPSP_EV_DATAGRAM, /* .bytes: from the peer's address and port, with TTL 255 */
	IPSP_EV_ATTACH,	  /* an HA has connected: .ha_name, .token. Any earlier one of that name is
			     gone */
	IPSP_EV_DETACH,	  /* .token */
	IPSP_EV_REQUEST,  /* .token (0: an operator's one-shot), .id, .ask... */
	IPSP_EV_RELEASE,  /* .token, .id, .addr: the session that has it ends, if it is the one that
			     .ident names (see below) */
	IPSP_EV_RELEASED, /* .token, .addr: answers a release event: the one with the number .id, or
			     (0) the oldest open one for the address; .ident as in RELEASE */
	IPSP_EV_COMMAND,  /* .command, .force, .mode; .token, .id: who is told (IPSP_OUT_DONE) */
	IPSP_EV_HOOK,	  /* the takeover-check hook has ended: .yes */
	IPSP_EV_CONF,	  /* .conf: a new configuration, already checked on its own; .token, .id are
			     told */
	IPSP_EV_KEYS, /* .conf: of it the keys alone, and what is said about them; never refused */
	IPSP_EV_DISK, /* .full: the disk is full, or has room again */
	IPSP_EV_LINK, /* .bound, .error (NULL: none): of the own socket, address and interface. All
			 is well until something else is said */
	IPSP_EVENT_TYPES
};

enum ipsp_command {
	IPSP_CMD_DRAIN,
	IPSP_CMD_UNDRAIN,
	IPSP_CMD_TERMINATE,
	IPSP_CMD_TAKEOVER, /* .force */
	IPSP_CMD_MODE,	   /* .mode */
	IPSP_CMD_DISABLE,  /* no pool-share-protocol; .force */
	IPSP_CMD_CHECK,	   /* check-config: done when both definitions were compared */
	IPSP_CMD_STOP,	   /* SIGTERM: graceful termination, then IPSP_OUT_STOPPED */
	IPSP_COMMANDS
};

/*
 * A token names a client of the shell for as long as it is connected (never 0, never used again
 * soon); an id is the client's own number of a request. Both only come back in answers.
 */
struct ipsp_event {
	enum ipsp_event_type type;
	bool force, yes, full, bound; /* COMMAND, ATTACH (who may do everything) and RELEASE (of an
					 operator: its HA is not waited for), HOOK, DISK, LINK */
	uint32_t owner; /* ATTACH: who attaches; REQUEST and RELEASE of an operator: who asks, and 0
			   for one who may do everything. A number of the shell's (a user's, and 1);
			   0: nobody */
	uint64_t token, id;
	struct ipsp_addr addr; /* REQUEST (IPSP_ADDR_NONE: any), RELEASE, RELEASED */
	union {		       /* of one type each; what it points to is borrowed for the step */
		struct {       /* REQUEST; RELEASE and RELEASED, of which a text that is NULL is
				  not named, and so not compared */
			struct ipsp_ident ident;
			const char *pool; /* NULL when not given; of a REQUEST only */
			union {
				const char *group; /* the same */
				const char *of_ha; /* RELEASE of an operator: only if the session
						      is this name's; NULL: whoever has it */
			};
		};
		struct { /* DATAGRAM */
			const uint8_t *bytes;
			size_t n_bytes;
		};
		struct { /* COMMAND */
			enum ipsp_command command;
			enum ipsp_mode mode;
		};
		uint64_t seq;			      /* FLUSHED */
		const char *ha_name;		      /* ATTACH: 1..31 characters */
		const char *error;		      /* LINK: what is wrong, for people */
		const struct ipsp_context_conf *conf; /* CONF, KEYS: copied */
	};
};

/* ---------------------------------------------------------------- actions */

enum ipsp_out_type {
	IPSP_OUT_DATAGRAM, /* .off, .len in act->bytes: to the peer's address and port, TTL 255 */
	IPSP_OUT_ANSWER,   /* a REQUEST: .token, .id, .err; when 0: .addr, .pool (number), .plen */
	IPSP_OUT_DONE,	  /* a RELEASE, a COMMAND or a CONF: .token, .id, .err, .text (words, may be
			     "") */
	IPSP_OUT_RELEASE, /* to the HA .token: end this session: .addr, subscriber and session in
			     act->bytes, .reason; .id is the number of this event */
	IPSP_OUT_CANCELLED, /* to the HA .token: the release event .id for .addr is void */
	IPSP_OUT_STATE, /* role or state changed: to every attached HA of this context (.token 0) or
			   one */
	IPSP_OUT_TRAP,	/* .trap */
	IPSP_OUT_HOOK,	/* .hook; for IPSP_HOOK_TAKEOVER_CHECK an IPSP_EV_HOOK must follow */
	IPSP_OUT_NOTE,	/* a sentence for people: .level, .off and .len in act->bytes, a NUL behind
			   it */
	IPSP_OUT_STOPPED, /* after IPSP_CMD_STOP: all is said and acknowledged, or there is nobody
			     to say it to */
	IPSP_OUT_TYPES
};

enum ipsp_reason { IPSP_REASON_HANDOFF, IPSP_REASON_DUPLICATE, IPSP_REASON_TERMINATE };

enum ipsp_trap {
	IPSP_TRAP_ALL_ADDRS_FREE, /* starIPSPAllAddrsFree */
	IPSP_TRAP_PEER_UP,	  /* the rest: IPSPD-MIB */
	IPSP_TRAP_PEER_LOST,
	IPSP_TRAP_PEER_DOWN,
	IPSP_TRAP_ROLE_CHANGE,
	IPSP_TRAP_CONFIG_MISMATCH,
	IPSP_TRAP_DUPLICATE, /* resolved: the peer's session ends, ours stays */
	IPSP_TRAP_SERVING_CHANGE,
	IPSP_TRAP_LINK_CHANGE,
	IPSP_TRAP_PEER_STOPPED,
	IPSP_TRAP_DISK_FULL,
	IPSP_TRAP_DUPLICATE_FOUND,
	IPSP_TRAPS
};

enum ipsp_hook {
	IPSP_HOOK_ROLE_CHANGE,
	IPSP_HOOK_PEER_LOST,
	IPSP_HOOK_PEER_DOWN,
	IPSP_HOOK_PEER_UP,
	IPSP_HOOK_ALL_ADDRESSES_FREE,
	IPSP_HOOK_DUPLICATE,
	IPSP_HOOK_CONFIG_MISMATCH,
	IPSP_HOOK_SERVING_CHANGE,
	IPSP_HOOK_LINK_CHANGE,
	IPSP_HOOK_PEER_STOPPED,
	IPSP_HOOK_DISK_FULL,
	IPSP_HOOK_TAKEOVER_CHECK,
	IPSP_HOOKS
};

struct ipsp_out {
	enum ipsp_out_type type;
	int err;
	uint64_t token, id;
	struct ipsp_addr addr;
	uint16_t pool;
	uint8_t plen;
	bool fresh; /* ANSWER: a new assignment; with .index and .seq the node's own */
	uint32_t index;
	uint64_t seq;
	union {			     /* of one type each */
		const char *text;    /* DONE: static, or NULL */
		enum ipsp_trap trap; /* TRAP */
		enum ipsp_hook hook; /* HOOK */
		struct { /* places in act->bytes, which a turn fills with some MiB at most */
			uint32_t off, len; /* DATAGRAM; RELEASE: the subscriber */
			uint32_t off2;	   /* RELEASE: the session */
			union {
				uint32_t len2;
				bool of_many; /* NOTE: of these there may be thousands */
			};
			enum ipsp_reason reason;
			enum ipsp_level level; /* NOTE */
		};
	};
};

/* What is kept of the lease in a small file, valid on one boot of the host only. */
struct ipsp_lease_note {
	ipsp_ms lease_end;   /* this side may assign until then */
	ipsp_ms quiet_since; /* the last promise made, or the start of the silence that is watched
			      */
	ipsp_ms alive_at;    /* the last time that this was written */
	uint32_t dead_ms;    /* own dead interval in force */
	uint32_t peer_dead_ms;
};

struct ipsp_actions {
	struct ipsp_buf recs; /* records: each u16 length | bytes; opaque to the shell */
	uint64_t rec_seq;     /* the number of the last record made so far */
	bool want_flush;
	bool says_state; /* one of the outs is an IPSP_OUT_STATE */
	bool lease_set;
	struct ipsp_lease_note lease;
	struct ipsp_out *outs; /* n_outs */
	size_t n_outs, cap_outs;
	struct ipsp_buf bytes;
	size_t note_bytes;	 /* of the sentences among them */
	uint32_t notes_left_out; /* ... and how many were too much for one turn: said at its end */
	ipsp_ms valid_until;	 /* see ipsp_node_late */
	bool failed;		 /* memory ran out: the shell stops as for a failed write */
};

void ipsp_actions_init(struct ipsp_actions *act);
void ipsp_actions_fini(struct ipsp_actions *act);
void ipsp_actions_clear(struct ipsp_actions *act); /* between turns; memory kept */

/* ---------------------------------------------------------------- the node */

struct ipsp_node;

struct ipsp_node_init {
	const struct ipsp_context_conf *conf; /* copied; ipsp_conf_check found no fault */
	uint8_t seed[32];		      /* fresh random bytes, never the same twice */
	bool has_hook;	     /* takeovers are to be asked for by IPSP_HOOK_TAKEOVER_CHECK */
	const char *version; /* of the program, said in hellos */
	ipsp_ms now; /* at which replay happens: what was kept for a time is kept from here on */
};

struct ipsp_node *ipsp_node_new(const struct ipsp_node_init *init); /* NULL: no memory */
void ipsp_node_free(struct ipsp_node *node);

/* Where the node keeps what is made of secrets: for the shell to lock. They are wiped at its end.
 * Of the secrets themselves it keeps none: status.conf has zeros for keys. */
const void *ipsp_node_secrets(const struct ipsp_node *node, size_t *size);

/* One record as it was in act->recs (without its length), in order. IPSP_ERR_FORMAT: damaged or of
 * a newer version. */
int ipsp_node_replay(struct ipsp_node *node, const uint8_t *rec, size_t n);
/* All of act->recs, or of a slice of a snapshot, as they are: faster, for it looks ahead. */
int ipsp_node_replay_all(struct ipsp_node *node, const uint8_t *recs, size_t n);
/* After the last one, and before the start. IPSP_ERR_FORMAT: each was good, and some are missing.
 */
int ipsp_node_replayed(const struct ipsp_node *node);

struct ipsp_start {
	ipsp_ms now;
	bool same_boot; /* the host has not been restarted since .lease was written */
	const struct ipsp_lease_note *lease; /* NULL: there was none, or it was unreadable */
};
void ipsp_node_start(struct ipsp_node *node, const struct ipsp_start *start,
		     struct ipsp_actions *act);

void ipsp_node_step(struct ipsp_node *node, const struct ipsp_event *ev, ipsp_ms now,
		    struct ipsp_actions *act);

/*
 * A step for each of the @n events, in their order. Quicker than one by one: what a request will
 * look for is in the cache when it comes; for that its ident gets a hash.
 */
void ipsp_node_steps(struct ipsp_node *node, struct ipsp_event *evs, size_t n, ipsp_ms now,
		     struct ipsp_actions *act);

/*
 * After the records of a turn are written, before its outs: has the lease that they rest on run out
 * meanwhile (a write that blocked)? Then the new assignments among @act's answers become
 * IPSP_ERR_LOCKED, and are undone in the next step. Cheap; call it for every turn.
 */
void ipsp_node_late(struct ipsp_node *node, ipsp_ms now, struct ipsp_actions *act);

ipsp_ms ipsp_node_due(
	const struct ipsp_node *node); /* when to feed IPSP_EV_TICK; may be in the past: at once */

/*
 * Compaction: the whole durable state as records, in slices. Start with *cursor = 0; every call
 * appends records (in the form of act->recs) of about @max bytes to @recs and moves the cursor;
 * returns false when that was the last. Steps may be taken between slices as long as their records
 * are appended to the same new log in the order in which all this happened: replay of the result
 * then gives the present state. When something happened that makes the slices so far worthless
 * (rare: books lost and made anew) it returns false with *cursor == IPSP_SNAPSHOT_VOID: throw the
 * new log away.
 */
#define IPSP_SNAPSHOT_VOID UINT64_MAX
bool ipsp_node_snapshot(const struct ipsp_node *node, uint64_t *cursor, size_t max,
			struct ipsp_buf *recs);

/*
 * May this configuration, already found good on its own, come into force now? 0,
 * IPSP_ERR_SHARED_OUT, IPSP_ERR_STILL_USED or IPSP_ERR_NOMEM; @why gets the key that may not
 * change and what is wrong with it, or "". Asked of all contexts before IPSP_EV_CONF is posted to
 * any, so that a reload is taken whole or not at all: no event may wait for its step then.
 */
int ipsp_node_may_conf(const struct ipsp_node *node, const struct ipsp_context_conf *conf,
		       char why[128]);

/*
 * May an HA attach under this name? At most IPSP_HAS_MAX names are known at once, each of an HA
 * that is attached or has sessions. To be asked before IPSP_EV_ATTACH, which up to 1,024 may be on
 * their way of.
 */
#define IPSP_HAS_MAX 64000
bool ipsp_node_may_attach(const struct ipsp_node *node, const char *name);

/*
 * Whose name this is: the .owner of the first IPSP_EV_ATTACH under it that had one, as long as the
 * name is known, also over a restart; 0: nobody's. A session of another owner's name doesn't move
 * to a name that was attached to without .force, and is not ended by its operator.
 */
uint32_t ipsp_node_owner(const struct ipsp_node *node, const char *name);
/* Whose name has the session of @ident; 0: there is none, or it is nobody's. */
uint32_t ipsp_node_session_owner(const struct ipsp_node *node, const struct ipsp_ident *ident);

/* ---------------------------------------------------------------- looking */

enum ipsp_state {
	IPSP_ST_DISABLED,
	IPSP_ST_INACTIVE,
	IPSP_ST_CHECKING,
	IPSP_ST_CONNECTING,
	IPSP_ST_CONFIG_MISMATCH,
	IPSP_ST_LOCKED,
	IPSP_ST_ACTIVE,
	IPSP_ST_PEER_LOST,
	IPSP_ST_PEER_DOWN,
	IPSP_ST_RECONCILING,
	IPSP_ST_TERMINATED,
	IPSP_STATES
};
enum ipsp_peer_state {
	IPSP_PEER_UNKNOWN,
	IPSP_PEER_UP,
	IPSP_PEER_LOST,
	IPSP_PEER_DOWN,
	IPSP_PEER_STOPPED, /* it said goodbye in order */
	IPSP_PEER_STATES
};
enum ipsp_mismatch { /* why nothing is shared with a peer that is heard */
		     IPSP_MISMATCH_NONE,
		     IPSP_MISMATCH_POOLS,
		     IPSP_MISMATCH_ROLES,
		     IPSP_MISMATCH_VERSIONS,
		     IPSP_MISMATCH_BOOKS, /* one state directory is a copy of the other */
};
enum ipsp_key_match {			/* has the peer our first key? */
		      IPSP_KEY_UNTRIED, /* no handshake has told yet */
		      IPSP_KEY_MATCHES,
		      IPSP_KEY_DIFFERS, /* it is heard, and doesn't answer with it */
		      IPSP_KEY_FOREIGN, /* ours is not answered, and somebody begins with
					   another: anybody may, so it is a hint */
};
enum ipsp_waiting {
	IPSP_WAIT_NONE,
	IPSP_WAIT_PEER,
	IPSP_WAIT_LEASE,
	IPSP_WAIT_HEALING,
	IPSP_WAIT_SILENCE,
	IPSP_WAIT_FIRST_GRANT,
	IPSP_WAIT_VETO,
	IPSP_WAIT_UNHEARD, /* the peer is heard and does not hear this side */
	IPSP_WAIT_LINK,	   /* own socket not bound, own address or link gone */
	IPSP_WAITS
};

const char *ipsp_role_word(enum ipsp_role role);	      /* "primary" */
const char *ipsp_pool_type_word(enum ipsp_pool_type type);    /* "public" */
const char *ipsp_mode_word(enum ipsp_mode mode);	      /* "check-config" */
const char *ipsp_state_word(enum ipsp_state state);	      /* "peer-lost" */
const char *ipsp_peer_state_word(enum ipsp_peer_state state); /* "up" */
const char *ipsp_waiting_word(enum ipsp_waiting waiting);     /* "lease"; NULL for NONE */

struct ipsp_status { /* all durations in ms, IPSP_NEVER where there is none */
	const struct ipsp_context_conf *conf; /* in force; borrowed until the next step */
	enum ipsp_mode mode;
	enum ipsp_role configured_role, role, peer_role;
	enum ipsp_state state;
	enum ipsp_peer_state peer_state;
	uint64_t epoch, books;
	bool draining, all_free, all_free_due, serving, may_take_over, role_on_loan, pools_from_log;
	bool held; /* gives no new addresses: the peer may have sessions on them, see held.c */
	bool given_anew; /* after a loss of its state: addresses are given by number only yet */
	ipsp_ms anew_ms; /* ... for so long yet; IPSP_NEVER: it is not so, or can't be said yet */
	bool still_used; /* to be a new secondary, with sessions: IPSP is off until they have ended
			  */
	bool shared;	 /* the first assignment was made; addresses may be on both sides */
	bool disk_full;	 /* no new assignment can be recorded */
	enum ipsp_mismatch mismatch;
	bool role_conflict; /* both sides are configured with one role */
	bool yields;	    /* ... primary, and by the rule the peer gives the addresses */
	bool peer_drains;   /* as it last said */
	bool link;	    /* datagrams are said and heard: the shell keeps a socket */
	bool bound;	    /* ... and has it */
	bool deaf;	    /* by its own link: see .link_error */
	bool hears;	    /* ... and the peer was heard since all the same */
	bool unheard;	    /* the peer is heard, and says that it does not hear this side */
	bool kept_back;	    /* a secondary without its peer: only S6 keeps it from taking over */
	bool s6_holds;	    /* ... would keep it, be the peer there or not */
	const char *link_error; /* NULL: none; borrowed until the next step, like .link_words */
	const char *link_words; /* "bound", or what is wrong */
	enum ipsp_waiting waiting;
	ipsp_ms waiting_ms, last_heard_ms, dead_in_ms;
	char peer_version[16];
	char key_fingerprint[9]; /* of the first key; "" with auth = "none" */
	enum ipsp_key_match key_match;
	ipsp_ms key_age_ms; /* of the keys of the session with the peer */
	uint8_t protocol;   /* the version that both speak; 0: none is common */
	uint8_t peer_protocol_min, peer_protocol_max; /* as last said; 0: never heard */
	uint32_t peer_capabilities;		      /* enum ipsp_capability */
	uint64_t stands_at; /* the peer's item that is of a later version and stops its stream; 0 */
	uint32_t peer_used; /* sessions on the other side, as last said */
	uint32_t dead_interval_ms;
	uint64_t sent, applied, acked; /* numbers of the two streams */
	bool stalled;		       /* the peer is heard, and acknowledges nothing */
	uint32_t stalled_bytes;	       /* ... not even datagrams of so many, the largest */
	uint32_t unanswered;	       /* requests that the peer, which is heard, had no word for */
	uint32_t unanswered_bytes;
	ipsp_ms applied_ms, unacked_ms; /* since the peer's last was applied; since ours waits */
	uint32_t open_requests, duplicates_open;
	uint32_t used, unused, in_transit; /* of dynamic pools: sessions here; owned here and not
					      used, held ones included; on their way to the peer */
	uint32_t free;			   /* of dynamic pools: what new sessions may get here */
	uint32_t static_used; /* sessions on static pools, which are no business of IPSP's */
	bool peer_takes;      /* it neither drains nor is terminated: what moves, moves to it */
	bool peer_knows;      /* heard both ways, and it has acknowledged everything said */
	bool drained;	      /* draining, used is 0, nothing on its way, and the peer knows */
};
void ipsp_node_status(const struct ipsp_node *node, ipsp_ms now, struct ipsp_status *status);
/*
 * The keys of the present session with the peer and of those that may follow it: how many there
 * are. For whoever is asked to write them down; to be wiped.
 */
#define IPSP_SESSIONS_MAX 3
struct ipsp_session_keys {
	uint32_t tag; /* in each of its datagrams */
	uint8_t tx[32], rx[32];
};
size_t ipsp_node_session_keys(const struct ipsp_node *node,
			      struct ipsp_session_keys keys[IPSP_SESSIONS_MAX]);
/* The configuration in force, as in the status. */
const struct ipsp_context_conf *ipsp_node_conf(const struct ipsp_node *node);

struct ipsp_pool_status { /* as shown: reclaimed ones are part of used and free */
	const struct ipsp_pool_conf *conf;
	uint32_t used, free, hold, quarantine, released, in_transit, reclaimed;
};
void ipsp_node_pool_status(const struct ipsp_node *node, uint16_t pool,
			   struct ipsp_pool_status *status);

struct ipsp_session_view {
	struct ipsp_bind bind;
	struct ipsp_addr addr;
	const char *ha;	   /* name; "" for an operator's one-shot */
	const char *state; /* "used", "releasing", "duplicate" */
};
/* Sessions one by one: start with *cursor = 0; false at the end. Texts live until the next step. */
bool ipsp_node_session(const struct ipsp_node *node, uint32_t *cursor,
		       struct ipsp_session_view *view);

struct ipsp_ha_view {
	const char *name; /* lives until the next step */
	bool attached;
	uint32_t sessions; /* of all pools, static ones too */
};
/* Names that are attached or have sessions, one by one: start with *cursor = 0; false at the end.
 */
bool ipsp_node_ha(const struct ipsp_node *node, uint32_t *cursor, struct ipsp_ha_view *view);

/*
 * The addresses that were found used on both sides since the last healing, one by one, in the order
 * in which they were found: start with a cursor that is all zero; false at the end, also when a new
 * healing has begun meanwhile. Texts live until the next step.
 */
struct ipsp_duplicate_cursor {
	uint64_t generation;
	size_t next;
};
struct ipsp_duplicate_view {
	struct ipsp_addr addr;
	uint16_t pool;
	bool ours;	  /* the session here stays, the peer's ends; or the other way round */
	bool open;	  /* the session that is to end has not ended yet */
	ipsp_ms found_at; /* or the start, of one of before it */
	const char *subscriber, *peer_subscriber; /* of the session here, and there */
	uint8_t n_subscriber, n_peer_subscriber;  /* the latter 0: not known here */
};
bool ipsp_node_duplicate(const struct ipsp_node *node, struct ipsp_duplicate_cursor *cursor,
			 struct ipsp_duplicate_view *view);
/* Those for which there was no memory. */
uint64_t ipsp_node_duplicates_not_listed(const struct ipsp_node *node);

const struct ipsp_stats *ipsp_node_stats(const struct ipsp_node *node);
/* The latest, to be shown; each was an IPSP_OUT_NOTE of its turn. */
const struct ipsp_notes *ipsp_node_notes(const struct ipsp_node *node);
/* How many differences stand against sharing, of pools, versions and roles; 0 and *known: none. */
size_t ipsp_node_differences(const struct ipsp_node *node, bool *known);
/* The lines that show them: the first 200 of the pools', and one that says how many there are where
 * there are more. NULL: there is no line @i. */
const char *ipsp_node_difference(const struct ipsp_node *node, size_t i);

/* A digest of everything that replay must give back: two nodes with the same one have the same
 * books, sessions and side. */
uint64_t ipsp_node_digest(const struct ipsp_node *node);

/* For checkers: what the books say of one address, whether a session has it, and who (borrowed). */
struct ipsp_address_view {
	enum ipsp_own own;
	enum ipsp_use use;
	uint8_t flags;
	struct ipsp_bind bind; /* kind NONE where there is none */
};
void ipsp_node_address(const struct ipsp_node *node, uint16_t pool, uint32_t index,
		       struct ipsp_address_view *view);
void ipsp_node_check(
	const struct ipsp_node *node); /* asserts every invariant that one side alone can know */

#endif
