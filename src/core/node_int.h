/*
 * node_int - what the files of the node share: the struct, and who does what.
 *
 *   node.c    one door in: events, time             life.c    made, started, configured, freed
 *   out.c     actions and answers                   peer.c    the state table
 *   rec.c     a change and its record (rec.h)       effect.c  what it does to memory (effect.h)
 *   replay.c  from the record to its effect         snap.c    snapshot, digest
 *   books.c   lost, given anew, begun anew          repool.c  other pools under sessions
 *   hello.c   facts about both sides, agreement     lease.c   heard, promised, lease, takeover
 *   compare.c versions and pools, before all else
 *   conflict.c both sides configured with one role
 *   twin.c    both sides have the same books
 *   held.c    no new addresses, as the peer may have sessions on them
 *   sync.c    the numbered streams                  heal.c    reports, and what the owner answers
 *   xact.c    requests of our HAs                   serve.c   one try to serve one from here
 *   grant.c   requests of the peer                  ha.c      HAs, their sessions, release events
 *   names.c   the names of HAs (names.h)            asked.c   events not answered (asked.h)
 *   duplicates.c  those of the last healing, to be shown (duplicates.h)
 *   stock.c   blocks ahead of need (stock.h)
 *   flow.c    where unused addresses go             role.c    how the role changes hands
 *   command.c what operators command                psp.c     IPSP switched on and off
 *   tx.c      what goes into datagrams              view.c    what is shown
 *   link.c    the own end of the link               serving.c does it serve, and why
 *   keys.c    has the peer the same secret   renew.c   session keys that are too old
 */
#ifndef IPSP_CORE_NODE_INT_H
#define IPSP_CORE_NODE_INT_H

#include "core/node.h"
#include "core/peer.h"
#include "core/seal.h"
#include "core/stock.h"

/* --------------------------------------------------------------- durable scalars */

enum ipsp_p6 { IPSP_P6_IDLE, IPSP_P6_ARMED, IPSP_P6_DUE, IPSP_P6_SENT };

/*
 * Everything durable that is not an address: written whole, whenever something of it has changed.
 * Numbers of the streams are also moved by the records of their items.
 */
struct ipsp_side {
	uint64_t books, peer_books; /* ids; 0: none yet */
	uint64_t epoch, agreed_epoch;
	uint64_t sent, acked, applied; /* our stream: made, acknowledged; the peer's: applied */
	uint64_t told_epoch;	       /* the last change of role that traps and hook have said */
	uint64_t report; /* the number of the item that ends our last report, 0: none */
	bool primary;	 /* who answers for what nobody asked for by number */
	bool told_primary;
	bool agreed_primary; /* at agreed_epoch this side was */
	bool licence;	     /* took over, and has not heard the peer since */
	bool shared;	     /* the first assignment was made, or applied */
	bool lost;	     /* found to have lost its state: waits to be given */
	bool s6;	     /* a session got an address here since it is secondary */
	bool draining, terminated;
	bool loan;	   /* primary only until the peer returns from a graceful termination */
	bool yielded;	   /* the present epoch came about by our yielding */
	bool yielded_loan; /* ... and we want the role back */
	bool owner;	   /* ... and left this side with all of them */
	bool grounded;	   /* "no pool-share-protocol" left this side without an address: disabled
			      until the peer shares with it again, or --force */
	bool bound;	   /* the peer was heard with a handshake of version 2, and has not stopped
			      in order since: it is not spoken to with version 1 */
	bool held;	   /* gives no new addresses, as the peer may have sessions on them: held.c
			    */
	bool anew;	   /* was given anew what it owns, after its state was lost: sessions of its
			      HAs may be on any of it, so it is given by number only, for a while */
	uint32_t
		dead_ms; /* the dead interval in force: what the peer may rely on; 0: not set yet */
	uint8_t p6;	 /* enum ipsp_p6 */
	uint8_t conf_mine, conf_peer; /* configured roles at the last agreement */
};

/* --------------------------------------------------------------- what the peer said */

struct ipsp_peer_facts { /* volatile; of the present session but for the last three */
	bool stopped;	 /* it said goodbye, and nothing since: .hello.used is what it left */
	bool known;	 /* a hello of this session was taken in: items may be looked at */
	bool twin;	 /* it has the same books as this side: see twin.c */
	bool judged;	 /* ... and whose books these are was judged by one of them */
	uint8_t speaks;	 /* the version that both speak; 0: none, only hellos are obeyed */
	struct ipsp_hello hello; /* the newest */
	uint32_t heard;		 /* its number; 0: none in this session */
	uint32_t promised;	 /* the newest of its numbers that we promised on */
	uint32_t number; /* our newest hello; begins with a random one, so that no other process's
			    fits */
	ipsp_ms sent_at[64];	/* when our hello n was sent: [n % 64]; IPSP_NEVER: none was */
	uint32_t echoed;	/* the newest of ours that the peer heard */
	ipsp_ms echoed_sent_at; /* when that was sent; IPSP_NEVER: none */
	ipsp_ms heard_at;	/* the newest hello; IPSP_NEVER: never */
	ipsp_ms opened_at;	/* the last datagram of any kind; IPSP_NEVER: never */
	ipsp_ms shook_at;	/* our last handshake */
};

struct ipsp_key_check { /* volatile: see keys.c */
	enum ipsp_key_match match;
	bool asking;   /* it is looked whether our first key is answered */
	bool renewed;  /* ... as the file has other keys, and no session was made with them yet */
	bool there;    /* the peer was, at the last try */
	uint8_t tries; /* in a row that a peer which is there has let go by, or strangers have */
	ipsp_ms began; /* ... asking */
	ipsp_ms question_at; /* ... by a handshake of no offer: its nonce is of then */
	ipsp_ms old_said_at;
	ipsp_ms foreign_at, foreign_said_at; /* a handshake came with a key that isn't ours */
	bool in_session;		     /* there was a session of keys, ... */
	uint8_t session[8];		     /* ... made with this one */
};

struct ipsp_renewing {	    /* volatile: see renew.c */
	ipsp_ms since;	    /* the present session has these keys */
	ipsp_ms last_until; /* those of before still open what comes; IPSP_NEVER: the peer has not
			       sealed with the present ones yet, or there are none of before */
	ipsp_ms candidate_until; /* those of a handshake beside the session wait so long for the
				    peer; IPSP_NEVER: there are none */
};

/* --------------------------------------------------------------- parts */

#define IPSP_ITEM_NEAR 64 /* one address for a subscriber with a name of usual length */

struct ipsp_out_item {	      /* one of our stream that is not acknowledged */
	uint64_t number, seq; /* of the record that makes it durable */
	ipsp_ms sent_at;      /* IPSP_NEVER: not yet */
	uint16_t n;
	uint8_t tries;
	union {
		uint8_t near[IPSP_ITEM_NEAR];
		uint8_t *far; /* owned: longer ones */
	};
};

struct ipsp_stream {
	struct ipsp_out_item *items; /* a ring: the oldest at [head] */
	uint32_t head, n, cap;	     /* cap is a power of two */
	uint64_t flowed;	     /* the last item that gave the peer unasked what is unused */
	uint32_t unsent;	     /* how many of the newest were never sent */
	ipsp_ms rto_ms, rtt_ms;	     /* repeat after; smoothed round trip with the peer's flush */
	struct ipsp_ahead {
		uint64_t number;
		uint16_t n;
		uint8_t *bytes;
	} * ahead;	    /* IPSP_WINDOW, or NULL */
	uint64_t stands_at; /* the peer's item that this version can't apply; 0: none was met */
	uint64_t ack_due;   /* the newest number that may be acknowledged now */
	bool ack_now;
	ipsp_ms flush_at; /* when what was applied is to be flushed, so that it is acknowledged */
	struct ipsp_ack_wait {
		uint64_t seq, number;
	} * waits; /* applied, not yet flushed */
	uint32_t n_waits, cap_waits;
};
#define IPSP_WINDOW 256 /* items on their way; as many are kept when they come out of order */

enum ipsp_xact_wait {
	IPSP_XW_NONE,
	IPSP_XW_START,	 /* a primary with empty books listens first */
	IPSP_XW_LEASE,	 /* this side may not assign now */
	IPSP_XW_PEER,	 /* the peer is asked */
	IPSP_XW_RELEASE, /* behind a release event of the same address or session */
};

#define IPSP_XACT_NEAR 32 /* bytes of names of usual length */

struct ipsp_xact { /* a request of ours that is not answered */
	enum ipsp_xact_wait wait;
	uint64_t peer_id;   /* what the peer is asked under */
	uint64_t token, id; /* who asked */
	struct ipsp_ask ask;
	ipsp_ms deadline, next_send, rto_ms, asked_at;
	uint64_t acked; /* what the peer was known to have when it was first asked under peer_id */
	uint64_t hash;	/* of the session, see ipsp_binds_foresee */
	uint16_t ha;
	bool counted;
	bool gateways; /* no HA asks, but a user who may do what a gateway does */
	uint8_t n_subscriber, n_session;
	union { /* subscriber and session */
		char near[IPSP_XACT_NEAR];
		char *far; /* owned: longer ones */
	};
	uint32_t next, prev; /* the list of open ones, oldest first; free ones by next */
};

#define IPSP_OWNERS 64 /* counts: owners are told apart by their numbers modulo this */

struct ipsp_xacts {
	struct ipsp_xact *slots;
	uint32_t n_slots, free_head, head, tail, n_open, n_by_number;
	uint32_t of_owner[IPSP_OWNERS]; /* that are open */
	uint64_t counter;
	bool retry;	 /* something has changed that may complete an open one */
	bool given;	 /* ... or addresses came */
	ipsp_ms soonest; /* no deadline is before */
	ipsp_ms send_at; /* nor is anything to be sent before */
	struct ipsp_answered {
		uint64_t id, item, epoch;
		int32_t err;
	} * answered;		      /* peer's requests; IPSP_ANSWERED */
	struct ipsp_refuse *refusals; /* to be sent */
	uint32_t n_refusals, cap_refusals;
};
#define IPSP_XACTS_MAX	   65536
#define IPSP_ANSWERED	   4096
#define IPSP_NO_XACT	   UINT32_MAX
#define IPSP_REFUSE_CANCEL 0 /* in the queue of refusals: a cancel of ours */

struct ipsp_ha {		  /* the number is the place; 0 is nobody */
	char name[IPSP_NAME_MAX]; /* "": the number is free */
	bool recorded;		  /* its name is in the log, as sessions there say its number */
	uint16_t next_name;	  /* the chain of the same hash; of the free ones */
	uint16_t next_token;
	uint32_t sessions, open; /* that it has; requests that are not answered */
	uint32_t owner;		 /* see ipsp_node_owner; 0: nobody */
	bool any;		 /* who is attached may have the sessions of every owner */
	uint64_t token;		 /* 0: not attached */
};

enum ipsp_asked_state {
	IPSP_ASKED_OPEN,    /* its answer ends the session, and somebody waits for it */
	IPSP_ASKED_SETTLED, /* gone or cancelled, and the answer may be on its way; by that time */
	IPSP_ASKED_LATE,    /* cancelled long ago, and its session lives: one for each such */
	IPSP_ASKED_LISTS
};

struct ipsp_asked { /* a release event that its HA has not answered; settled, several in a row */
	uint64_t number, first; /* the newest of them, and the oldest */
	uint16_t ha, pool;
	uint32_t index;
	enum ipsp_asked_state list;
	struct ipsp_addr addr; /* what they are the numbers of */
	uint64_t token;	       /* of the connection that it was sent on; 0: waits for an attach */
	uint64_t peer_id;      /* the request it is for; 0: none (healing, duplicate, terminate) */
	ipsp_ms deadline;      /* IPSP_NEVER: none */
	ipsp_ms made_at, first_at, settled_at; /* the newest was made then, the oldest was */
	uint32_t count;			       /* answers that may come: one for each */
	enum ipsp_reason reason;
	bool gone;	/* the session has ended meanwhile: the answer changes nothing */
	bool cancelled; /* the peer's request has ended: the answer is an ordinary release */
	bool later;	/* its HA was not there when it was made, or has gone since */
	bool held; /* not sent: the answer that gave the session waits for a flush, and goes first
		    */
	struct ipsp_asked *next_same, *next,
		*prev; /* of the same bucket, oldest first; of the same list, in its order */
};

struct ipsp_asked_list {
	struct ipsp_asked *first, *last;
};

struct ipsp_has {
	struct ipsp_ha *has; /* owned; numbers below n, room for cap, a power of two */
	uint32_t n, cap;
	uint16_t *by_name, *by_token; /* owned, cap chains each */
	uint16_t free_head;
	uint32_t n_names, n_attached;
	bool counted;	     /* .sessions are right: not yet while the log is replayed */
	uint64_t last_token; /* that somebody asked under, and whose it is: most of a turn have one
			      */
	uint16_t last;
	struct ipsp_asked *buckets[1024];
	struct ipsp_asked_list lists[IPSP_ASKED_LISTS];
	uint32_t n_asked, n_held; /* in all; held ones are open */
	uint64_t asked;	 /* the newest number; begins with a random one, as an answer may be meant
			    for an event of another process */
	ipsp_ms soonest; /* no deadline is before */
};

#define IPSP_LINK_TEXT 128

struct ipsp_own_link { /* see link.c */
	bool bound;
	bool unheard;		    /* the peer is heard, and does not hear this side */
	char error[IPSP_LINK_TEXT]; /* "": nothing is wrong */
	ipsp_ms since;		    /* the error: it began then */
	ipsp_ms hears_at;	    /* after an error: from then on silence may be concluded from */
	ipsp_ms unheard_since;	    /* IPSP_NEVER: heard both ways, or not at all */
	ipsp_ms knocked_at;	    /* in a first listening: the peer has begun a handshake */
	ipsp_ms knocks_since;	    /* ... and did for the first time; IPSP_NEVER: not yet */
	ipsp_ms answered_at;	    /* it has echoed an offer of ours; IPSP_NEVER: never */
};

struct ipsp_compare { /* P1 */
	bool known, same;
	bool no_version; /* not the same, as no version is common: the ranges are the difference */
	uint8_t peer_min, peer_max; /* ... this one of the peer's */
	uint8_t digest[32];	    /* ours */
	uint8_t peer_digest[32];    /* what was compared last */
	struct ipsp_buf encoded;    /* ours */
	struct ipsp_buf theirs;	    /* as far as it has come */
	uint32_t total;		    /* ... of so many bytes */
	uint8_t asked_digest[32];   /* ... and of what this is the digest of */
	bool asking, part_due;
	uint32_t part_offset; /* asked for by the peer */
	ipsp_ms asked_at;
	char **lines;
	size_t n_lines, n_found; /* n_found: all differences, of which some are in .lines */
};

struct ipsp_conflict {	    /* see conflict.c; volatile */
	bool won;	    /* the peer knows what names this side */
	bool said_sessions; /* the newest hellos, from number .since on, say that sessions are here
			     */
	bool say_again;	    /* .since begins with the next one */
	bool said_yields, said_gives;
	uint32_t since;
	char line[80]; /* the difference, as check-config shows it */
};

struct ipsp_waiter { /* a command that is answered later */
	bool used;
	enum ipsp_command command;
	uint64_t token, id;
	ipsp_ms deadline;
	bool force;
};
#define IPSP_WAITERS 16
#define IPSP_HELD    16

struct ipsp_duplicates { /* see duplicates.h */
	struct ipsp_duplicate **list;
	size_t n, cap;
	uint64_t generation; /* grows when some are forgotten */
	uint64_t not_listed; /* for want of memory */
	bool in_report;	     /* the peer's last report has not ended yet */
};

struct ipsp_late {
	uint16_t pool;
	uint32_t index, bind;
};

struct ipsp_was_kept { /* an address that a session took, and that was kept for its subscriber */
	struct ipsp_place at;
	enum ipsp_use use;
	ipsp_ms end;
};

struct ipsp_node {
	struct ipsp_context_conf conf; /* in force; pools sorted */
	struct ipsp_context_conf
		file; /* as configured, where the log's pools are in force instead */
	bool pools_from_log;
	enum ipsp_mode mode; /* at run time */
	bool has_hook, started, replaying;
	bool blank;		 /* nothing was replayed: a first start, or a state that is gone */
	uint16_t snap_gen;	 /* grows when a snapshot in progress becomes worthless */
	enum ipsp_own built_own; /* what all addresses were when the pools were built */
	char version[16];

	struct ipsp_pool **pools; /* n_built */
	uint32_t n_built;
	struct ipsp_order *order;
	struct ipsp_binds *binds;
	uint8_t hash_key[16]; /* of the binds, whenever they are made anew */
	uint32_t used;	      /* sessions on dynamic addresses */
	uint32_t n_duplicate; /* ... which the owner of the address told us to drop */
	uint32_t
		n_terminate; /* sessions that an operator wants ended, and their HAs have not yet */

	struct ipsp_side side;
	bool licence_pending; /* recorded, not yet flushed: not yet in force */
	bool licence_resting; /* of before a restart after which it does not hold */
	uint64_t side_seq; /* the record of .side: nothing is said to the peer before its flush */
	uint64_t seq, flushed; /* records made; durable */

	struct ipsp_seal seal;
	struct ipsp_key_check keys;
	struct ipsp_renewing renew;
	struct ipsp_peer_facts peer;
	ipsp_ms now, last_step, started_at;
	struct ipsp_lease_note lease;
	bool lease_dirty;
	uint32_t said_peer_dead_ms;
	ipsp_ms anew_until;   /* by then the HAs have asked for what they miss */
	ipsp_ms listen_until; /* a primary with empty books, or a licence over a restart */
	uint32_t listen_ms;   /* ... for so long */
	bool listen_deaf;     /* ... and does not get on with it: its own link fails */
	bool serving_told, was_serving;
	struct ipsp_own_link link;
	ipsp_ms hello_at, hello_min_at;
	bool hello_soon, conf_role_conflict, disk_full, state_changed;
	char refusal[256]; /* of a command, in words that are put together */
	ipsp_ms seal_said_at, kept_due;

	enum ipsp_state state;
	enum ipsp_peer_state peer_state;
	ipsp_ms waiting_since;
	enum ipsp_waiting waiting;
	struct ipsp_stall { /* of our stream, and what was last seen of the peer's */
		uint64_t acked, applied;
		ipsp_ms since, applied_at; /* applied_at IPSP_NEVER: nothing since the start */
		bool waits, said;
		uint32_t largest; /* datagram with items that was sent since */
	} stall;
	struct ipsp_unanswered {     /* requests of ours that the peer doesn't seem to get */
		ipsp_ms answered_at; /* its last word about any */
		uint32_t n;	     /* that ended since without a word */
		uint32_t largest;    /* datagram with requests since */
		bool said;
	} unanswered;
	bool refused_enable; /* still-used: enabling as secondary with sessions */

	bool hook_asked, vetoed;
	bool s6_said; /* the dead interval ran out, and S6 kept this side back */
	ipsp_ms hook_at, veto_at, hook_quiet;

	struct ipsp_stream stream;
	struct ipsp_xacts xacts;
	struct ipsp_stock stock;
	struct ipsp_has has;
	struct ipsp_compare compare;
	struct ipsp_conflict conflict; /* while .conf_role_conflict */
	struct ipsp_waiter waiters[IPSP_WAITERS];
	struct ipsp_event held[IPSP_HELD]; /* commands, see command.c; the oldest first */
	uint32_t n_held;
	bool command_unsaid;	/* a command has changed .side, which is not said to the peer yet */
	struct ipsp_hello said; /* the last hello that was built; its facts were durable then */
	uint64_t hellos_repeated;
	ipsp_ms said_at;    /* IPSP_NEVER: none that may be said once more, see tx.c */
	uint32_t n_waiters; /* that are used */
	struct ipsp_duplicates duplicates;
	bool stopping, stopped, stop_at_once, said_stopped;
	bool more_to_move, sweep_owed;
	bool sweep_dropped; /* duplicates have ended before the peer was heard */
	bool leaving;	    /* IPSP is disabled here; the peer is still told so */
	bool asks_to_leave; /* IPSP is to be disabled here as soon as the peer knows */
	ipsp_ms leaving_until;
	ipsp_ms takeover_at; /* when the peer is next asked to yield; IPSP_NEVER */
	uint64_t told_epoch;
	bool told_primary;
	ipsp_ms p6_sent_at;
	uint32_t move_pool, move_from; /* where the next move is looked for */
	uint32_t owed;		       /* addresses that go to the peer when their session ends */

	struct ipsp_out *deferred; /* answers that wait for a flush, oldest first */
	uint32_t n_deferred, cap_deferred;
	bool could_assign;
	bool may_serve; /* ipsp_serve_gate has let a request in, and nothing that it looks at has
			   changed since: requests and releases in a row change none of it */
	struct ipsp_late *late;
	uint32_t n_late, cap_late;
	struct ipsp_was_kept *was_kept; /* in this turn, or the one before it: see out.c */
	uint32_t n_was_kept, n_was_kept_before, cap_was_kept;
	ipsp_ms valid_until; /* the lease that this turn's assignments rest on */

	struct ipsp_stats stats;
	struct ipsp_notes notes;
	struct ipsp_actions *act; /* of the running step */
	struct ipsp_rng rng;
	uint64_t visits[IPSP_STATES][IPSP_PEER_EVENTS];
};

/* The oldest, or the one @nth behind it. */
static inline struct ipsp_out_item *ipsp_stream_nth(const struct ipsp_stream *s, uint32_t nth)
{
	return &s->items[(s->head + nth) & (s->cap - 1)];
}

static inline const uint8_t *ipsp_out_bytes(const struct ipsp_out_item *o)
{
	return o->n > IPSP_ITEM_NEAR ? o->far : o->near;
}

static inline bool ipsp_flag(const struct ipsp_node *n, uint32_t flag)
{
	return n->peer.known && (n->peer.hello.flags & flag);
}

static inline const struct ipsp_psp_conf *ipsp_psp(const struct ipsp_node *n)
{
	return &n->conf.psp;
}

static inline bool ipsp_is_static(const struct ipsp_node *n, uint16_t pool)
{
	return n->conf.pools[pool].type == IPSP_POOL_STATIC;
}

/* out.c */
void ipsp_out_copy(struct ipsp_node *n, const struct ipsp_out *out);
/* one that waits for the flush of what was recorded so far; NULL: no memory */
struct ipsp_out *ipsp_out_defer(struct ipsp_node *n, enum ipsp_out_type type);
void ipsp_out_revoke(struct ipsp_node *n, struct ipsp_place at);
/* Of one client's answers; true when there was one that gave it. */
bool ipsp_out_revoke_for(struct ipsp_node *n, struct ipsp_place at, uint64_t token);
bool ipsp_out_deferred(const struct ipsp_node *n, struct ipsp_place at);
void ipsp_out_repooled(struct ipsp_node *n);  /* answers that have not gone, after ipsp_repool */
bool ipsp_out_grow(struct ipsp_actions *act); /* room for more outs; false: no memory */

/* One more of this turn, to be filled in; NULL: no memory. */
static inline struct ipsp_out *ipsp_out_place(struct ipsp_node *n)
{
	struct ipsp_actions *act = n->act;

	if (act->n_outs == act->cap_outs && !ipsp_out_grow(act))
		return NULL;
	return &act->outs[act->n_outs++];
}

/* ... with its type, and nothing else yet. */
static inline struct ipsp_out *ipsp_out_add(struct ipsp_node *n, enum ipsp_out_type type)
{
	struct ipsp_out *out = ipsp_out_place(n);

	if (out)
		*out = (struct ipsp_out){.type = type, .pool = IPSP_NO_POOL};
	return out;
}

void ipsp_out_done(struct ipsp_node *n, uint64_t token, uint64_t id, int err, const char *text);
void ipsp_out_trap(struct ipsp_node *n, enum ipsp_trap trap, struct ipsp_addr addr);
void ipsp_out_hook(struct ipsp_node *n, enum ipsp_hook hook, struct ipsp_addr addr);
void ipsp_out_state(struct ipsp_node *n, uint64_t token);
void ipsp_say(struct ipsp_node *n, enum ipsp_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of what is said of one address after the other. */
void ipsp_say_each(struct ipsp_node *n, enum ipsp_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void ipsp_say_left_out(struct ipsp_node *n);
void ipsp_out_flushed(struct ipsp_node *n); /* those that waited for it */
void ipsp_out_undo_late(struct ipsp_node *n);
void ipsp_out_was_kept(struct ipsp_node *n, struct ipsp_place at);
void ipsp_out_forget_kept(struct ipsp_node *n); /* once in each turn */

/* life.c */
bool ipsp_pools_differ(const struct ipsp_context_conf *a,
		       const struct ipsp_context_conf *b); /* in what decides an assignment */
void ipsp_node_set_conf(struct ipsp_node *n, struct ipsp_context_conf *conf, bool pools_differ);
int ipsp_node_build_pools(struct ipsp_node *n); /* from n->conf, all with n->built_own */

/* rec.c: each makes the change in memory and its record; on replay the record makes the same change
 */
void ipsp_rec_side(struct ipsp_node *n, const struct ipsp_side *side, bool flush);
void ipsp_rec_name(struct ipsp_node *n, uint16_t ha);
uint32_t ipsp_rec_take(struct ipsp_node *n, struct ipsp_place at, uint16_t ha,
		       const struct ipsp_ident *ident);
void ipsp_rec_drop(struct ipsp_node *n, struct ipsp_place at);
void ipsp_rec_keep(struct ipsp_node *n, struct ipsp_place at, enum ipsp_use use, uint32_t left_s,
		   const char *subscriber, size_t len);
void ipsp_rec_ha(struct ipsp_node *n, uint32_t bind, uint16_t ha);
void ipsp_rec_terminate(struct ipsp_node *n, struct ipsp_place at);
void ipsp_rec_flag(struct ipsp_node *n, struct ipsp_place at, uint8_t flag, bool on);
uint64_t ipsp_rec_out(
	struct ipsp_node *n,
	struct ipsp_item_writer *w); /* the finished item joins our stream; returns its number */
void ipsp_rec_in(struct ipsp_node *n, const struct ipsp_item *item, const uint8_t *bytes,
		 size_t len,
		 bool taken); /* see ipsp_effect_in; the record of a TAKE follows then */
void ipsp_rec_acked(struct ipsp_node *n, uint64_t number);
void ipsp_rec_conf(struct ipsp_node *n);
void ipsp_rec_repool(struct ipsp_node *n,
		     enum ipsp_own own); /* n->conf.pools in place of those that
					    were built, sessions carried over */

/* books.c, the same of the books as a whole */
void ipsp_rec_resupply(struct ipsp_node *n, uint64_t peer_books);
void ipsp_rec_lost(struct ipsp_node *n);
enum ipsp_alone {
	IPSP_ALONE,	    /* as the configured role says */
	IPSP_ALONE_OWNER,   /* with all addresses */
	IPSP_ALONE_WITHOUT, /* without any */
	IPSP_ALONE_ALL	    /* with all, whoever owned them: by force */
};
void ipsp_rec_alone(struct ipsp_node *n, enum ipsp_alone how);

/* effect.c, the rest of it in effect.h */
bool ipsp_place_used(const struct ipsp_node *n, struct ipsp_place at, struct ipsp_bind *bind);

/* repool.c: the effect of ipsp_rec_repool; @lost: sessions whose address is in no pool any more */
int ipsp_repool(struct ipsp_node *n, uint32_t *lost);

/* sync.c */
int ipsp_sync_init(struct ipsp_node *n);
void ipsp_sync_fini(struct ipsp_node *n);
void ipsp_sync_append(struct ipsp_node *n, const uint8_t *bytes, size_t len, uint64_t number);
void ipsp_sync_clear(struct ipsp_node *n);
void ipsp_sync_acked(struct ipsp_node *n, uint64_t number);
void ipsp_sync_on_item(struct ipsp_node *n, const uint8_t *bytes, size_t len);
void ipsp_sync_on_ack(struct ipsp_node *n, uint64_t number);
void ipsp_sync_flushed(struct ipsp_node *n);
void ipsp_sync_turn(struct ipsp_node *n);
void ipsp_sync_new_session(struct ipsp_node *n);
uint64_t ipsp_sync_give(struct ipsp_node *n, struct ipsp_place at, uint64_t request,
			const struct ipsp_ident *ident);
uint32_t ipsp_sync_tag(uint64_t sender_books, uint64_t receiver_books);
struct ipsp_out_item *ipsp_sync_next(struct ipsp_node *n, uint32_t *looked);
bool ipsp_sync_ready(const struct ipsp_node *n);
ipsp_ms ipsp_sync_due(const struct ipsp_node *n);

/* heal.c */
void ipsp_heal_report(struct ipsp_node *n);
void ipsp_heal_start(struct ipsp_node *n);	    /* what a kill has kept from being said */
bool ipsp_heal_reported(const struct ipsp_node *n); /* the peer has applied all that we reported */
bool ipsp_heal_pending(const struct ipsp_node *n);
void ipsp_heal_dropped(struct ipsp_node *n, struct ipsp_place at);
void ipsp_heal_drop_later(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_bind *b);
void ipsp_heal_drop_now(struct ipsp_node *n);
void ipsp_heal_on_report(struct ipsp_node *n, const struct ipsp_item *item);
void ipsp_heal_on_drop(struct ipsp_node *n, const struct ipsp_item *item);
void ipsp_heal_on_dropped(struct ipsp_node *n, const struct ipsp_item *item);
/* Said, with its notification; @how ends the sentence. */
void ipsp_heal_resolved(struct ipsp_node *n, struct ipsp_place at, const char *how);
void ipsp_heal_ask(struct ipsp_node *n,
		   const struct ipsp_item *item); /* after the record of the DROP */

/* lease.c */
uint32_t ipsp_dead_ms(const struct ipsp_node *n);
uint32_t ipsp_hello_ms(const struct ipsp_node *n);
uint32_t ipsp_loss_ms(const struct ipsp_node *n);
bool ipsp_heard(const struct ipsp_node *n);   /* a hello came within the loss time */
bool ipsp_contact(const struct ipsp_node *n); /* heard both ways */
/* node.c: the peer had a word about a request of ours; one that was asked at @asked_at ended
 * without. */
void ipsp_node_answered(struct ipsp_node *n);
void ipsp_node_unanswered(struct ipsp_node *n, ipsp_ms asked_at);
bool ipsp_may_assign(const struct ipsp_node *n);
bool ipsp_may_assign_at(const struct ipsp_node *n, ipsp_ms now);
bool ipsp_may_reclaim(const struct ipsp_node *n); /* what the books give the peer */
void ipsp_lease_on_hello(struct ipsp_node *n, const struct ipsp_hello *h);
uint32_t
ipsp_lease_said(const struct ipsp_node *n); /* the length of the promises that hellos carry */
uint32_t ipsp_lease_promise(struct ipsp_node *n);
void ipsp_lease_deaf(struct ipsp_node *n); /* the silence begins anew: nobody listened */
void ipsp_lease_gap(struct ipsp_node *n);
/* Without its peer this secondary would not take over by itself: no session got an address here. */
bool ipsp_s6_holds(const struct ipsp_node *n);
void ipsp_lease_tick(struct ipsp_node *n);
void ipsp_lease_start(struct ipsp_node *n, const struct ipsp_start *start);
void ipsp_lease_touch(struct ipsp_node *n);
void ipsp_lease_on_hook(struct ipsp_node *n, bool yes);
void ipsp_lease_takeover(struct ipsp_node *n, bool force);
void ipsp_lease_flushed(struct ipsp_node *n);
void ipsp_lease_end_licence(struct ipsp_node *n);
ipsp_ms ipsp_lease_due(const struct ipsp_node *n);
ipsp_ms ipsp_lease_silence_ends(const struct ipsp_node *n); /* all promises of before are over */

/* twin.c: true, and the hello says no more than that the peer is there */
bool ipsp_twin_on_hello(struct ipsp_node *n, const struct ipsp_hello *h);

/* held.c */
void ipsp_held_on_hello(struct ipsp_node *n, const struct ipsp_hello *h, bool judge);
void ipsp_held_tick(struct ipsp_node *n);
ipsp_ms ipsp_held_due(const struct ipsp_node *n);
void ipsp_held_end(struct ipsp_node *n);	    /* by command */
bool ipsp_held_by_files(const struct ipsp_node *n); /* the operator has to mend one of them */

/* hello.c */
/* Is @a the later number of two of one side, in the sense of RFC 1982? 0, which is none, is before
 * all. */
static inline bool ipsp_hello_after(uint32_t a, uint32_t b)
{
	return a != 0 && (b == 0 || (a != b && a - b < UINT32_C(1) << 31));
}
bool ipsp_hello_may_repeat(const struct ipsp_node *n);
void ipsp_hello_repeat(struct ipsp_node *n, struct ipsp_hello *h);
void ipsp_hello_build(struct ipsp_node *n, struct ipsp_hello *h);
void ipsp_hello_on(struct ipsp_node *n, const struct ipsp_hello *h);
void ipsp_hello_session(struct ipsp_node *n);

/* compare.c */
void ipsp_compare_init(struct ipsp_node *n);
void ipsp_compare_fini(struct ipsp_node *n);
void ipsp_compare_on_hello(struct ipsp_node *n);
void ipsp_compare_on_ask(struct ipsp_node *n, uint32_t offset);
bool ipsp_compare_next(struct ipsp_node *n, uint32_t *offset);
bool ipsp_compare_part(struct ipsp_node *n, struct ipsp_conf_part *part);
ipsp_ms ipsp_compare_due(const struct ipsp_node *n);
void ipsp_compare_on_part(struct ipsp_node *n, const struct ipsp_conf_part *part);

/* conflict.c */
bool ipsp_conflict_yields(
	const struct ipsp_node *n); /* a primary that gives none, as the peer is one, too */
void ipsp_conflict_saying(struct ipsp_node *n, struct ipsp_hello *h);
void ipsp_conflict_session(struct ipsp_node *n);
void ipsp_conflict_on_hello(struct ipsp_node *n, const struct ipsp_hello *h);
void ipsp_conflict_end(struct ipsp_node *n);
void ipsp_conflict_turn(struct ipsp_node *n);
ipsp_ms ipsp_conflict_due(const struct ipsp_node *n);

/* xact.c */
int ipsp_xact_init(struct ipsp_node *n);
void ipsp_xact_fini(struct ipsp_node *n);
void ipsp_xact_request(struct ipsp_node *n, const struct ipsp_event *ev);
void ipsp_xact_retry(struct ipsp_node *n);
void ipsp_xact_on_refuse(struct ipsp_node *n, const struct ipsp_refuse *r);
void ipsp_xact_drop_token(struct ipsp_node *n, uint64_t token);
void ipsp_xact_wake(struct ipsp_node *n, struct ipsp_place at);
/* The one that @item answers, where it brings that the address and this side may serve it: its slot
 * and @at, else IPSP_NO_XACT. Then, with the item applied, it is completed. */
uint32_t ipsp_xact_named(const struct ipsp_node *n, const struct ipsp_item *item,
			 struct ipsp_place *at);
void ipsp_xact_given(struct ipsp_node *n, uint32_t slot, struct ipsp_place at);
bool ipsp_xact_wants(const struct ipsp_node *n, struct ipsp_place at);
bool ipsp_xact_next(struct ipsp_node *n, uint32_t *slot, struct ipsp_request *r);
struct ipsp_ident ipsp_xact_ident(const struct ipsp_xact *x); /* until another is opened */
void ipsp_xact_give_up(struct ipsp_node *n, int err); /* all open ones are answered with @err */
ipsp_ms ipsp_xact_due(const struct ipsp_node *n);
void ipsp_xact_check(const struct ipsp_node *n);

/* serve.c: may this side serve new sessions? 0, an error to answer with, or (positive) what to wait
 * for: an enum ipsp_xact_wait. */
int ipsp_serve_gate(const struct ipsp_node *n);
struct ipsp_served {
	int err;	      /* 0, an error, or what to wait for */
	bool fresh;	      /* when .err is 0: it had none before */
	struct ipsp_place at; /* ... and has this */
};
struct ipsp_served ipsp_serve(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
			      const struct ipsp_ask *ask);

/* The same where the peer has given @at for that very session: may it have that, by every rule that
 * ipsp_serve keeps? Then it gets it: 0, or IPSP_ERR_OVERLOADED. */
bool ipsp_serve_may(const struct ipsp_node *n, const struct ipsp_ident *ident,
		    const struct ipsp_ask *ask, struct ipsp_place at);
int ipsp_serve_given(struct ipsp_node *n, uint16_t ha, const struct ipsp_ident *ident,
		     const struct ipsp_ask *ask, struct ipsp_place at);

/* grant.c */
void ipsp_grant_on_request(struct ipsp_node *n, const struct ipsp_request *r);
void ipsp_grant_on_cancel(struct ipsp_node *n, uint64_t id);
void ipsp_grant_refuse(struct ipsp_node *n, uint64_t id, int err);
void ipsp_grant_answered(struct ipsp_node *n, uint64_t id, uint64_t item, int err);

/* serve.c, of a side that was given anew what it owns: see ipsp_side.anew */
void ipsp_serve_given_anew(struct ipsp_node *n);
void ipsp_serve_attached(struct ipsp_node *n);
void ipsp_serve_tick(struct ipsp_node *n);
ipsp_ms ipsp_serve_due(const struct ipsp_node *n);

/* ha.c */
int ipsp_ha_init(struct ipsp_node *n);
void ipsp_ha_fini(struct ipsp_node *n);
void ipsp_ha_attach(struct ipsp_node *n, const struct ipsp_event *ev);
void ipsp_ha_detach(struct ipsp_node *n, uint64_t token);
void ipsp_ha_release(struct ipsp_node *n, const struct ipsp_event *ev);
void ipsp_ha_released(struct ipsp_node *n, const struct ipsp_event *ev);
/* The HA of the session at @at is asked to end it. IPSP_ERR_TIMEOUT when it is not attached and
 * @deadline is not IPSP_NEVER; 1: it had no HA and has ended. */
int ipsp_ha_ask(struct ipsp_node *n, struct ipsp_place at, enum ipsp_reason reason,
		uint64_t peer_id, ipsp_ms deadline);
void ipsp_ha_cancel(struct ipsp_node *n, uint64_t peer_id, int err);
/* To be called before the session's record says its new HA; @from has it still, and is one. */
void ipsp_ha_moved(struct ipsp_node *n, struct ipsp_place at, uint16_t from);
void ipsp_ha_tick(struct ipsp_node *n);
void ipsp_ha_end(struct ipsp_node *n, struct ipsp_place at,
		 bool timers); /* the session there ends, its address kept back by the pool's timers
				  or not */
void ipsp_ha_start(struct ipsp_node *n);
void ipsp_ha_send_held(struct ipsp_node *n);	/* events whose answers have gone by now */
void ipsp_ha_end_requests(struct ipsp_node *n); /* those of the peer: their books are no more */
void ipsp_ha_end_void(struct ipsp_node *n);	/* what healing wanted ended is here by right now */
void ipsp_ha_repooled(struct ipsp_node *n);	/* open events, after ipsp_repool */
ipsp_ms ipsp_ha_due(const struct ipsp_node *n);

/* flow.c */
struct ipsp_sums {
	uint64_t ours, other, transit, move_idle;
	uint64_t foreign; /* sessions here on addresses that the books don't give this side */
	uint64_t dup;	  /* used on both sides, and not dropped yet */
};
struct ipsp_sums ipsp_flow_sums(const struct ipsp_node *n);
bool ipsp_flow_shared_out(const struct ipsp_node *n);
bool ipsp_flow_owns_all(const struct ipsp_node *n);
bool ipsp_flow_owns_none(const struct ipsp_node *n);
uint32_t ipsp_flow_in_transit(const struct ipsp_node *n);
bool ipsp_flow_settled(const struct ipsp_node *n);
bool ipsp_flow_differs(const struct ipsp_node *n);
bool ipsp_flow_peer_takes(const struct ipsp_node *n);
void ipsp_flow_turn(struct ipsp_node *n);
ipsp_ms ipsp_flow_due(const struct ipsp_node *n);

/* role.c */
void ipsp_role_yield(struct ipsp_node *n, bool loan, bool terminated);
void ipsp_role_on_takeover(struct ipsp_node *n, uint64_t epoch);
void ipsp_role_fit(struct ipsp_node *n);
void ipsp_say_undrained(
	struct ipsp_node *n); /* a drain has ended, as this side has become primary */
/* peer.c: the peer is away, and this side is out of service; says nothing where it is not */
void ipsp_say_nobody_serves(struct ipsp_node *n);
void ipsp_role_turn(struct ipsp_node *n);
ipsp_ms ipsp_role_due(const struct ipsp_node *n);

/* command.c */
void ipsp_command_do(struct ipsp_node *n, const struct ipsp_event *ev);
bool ipsp_command_wants_takeover(struct ipsp_node *n);
void ipsp_command_turn(struct ipsp_node *n);
ipsp_ms ipsp_command_due(const struct ipsp_node *n);

/* link.c */
bool ipsp_link_deaf(const struct ipsp_node *n); /* nothing goes out or comes in, for its own link */
bool ipsp_link_stays_still(const struct ipsp_node *n); /* ... and the dead interval does not run */
const char *ipsp_link_words(const struct ipsp_node *n);
void ipsp_link_on(struct ipsp_node *n, bool bound, const char *error);
void ipsp_link_count(struct ipsp_node *n);
void ipsp_link_watch(struct ipsp_node *n);
/* Nothing is assigned before silence of @ms, in which this side could hear. */
void ipsp_link_listen(struct ipsp_node *n, uint32_t ms);
void ipsp_link_listen_no_more(struct ipsp_node *n);
bool ipsp_link_listens(const struct ipsp_node *n, ipsp_ms now);
/* A SHAKE came. @answer: it echoes an offer of ours, so the peer lives, though it is not
 * understood.
 */
void ipsp_link_not_silent(struct ipsp_node *n, bool answer);
/* Something came a short time ago that only the peer can have made, and not before. */
bool ipsp_link_peer_lives(const struct ipsp_node *n);

/* serving.c */
bool ipsp_serves(const struct ipsp_node *n, ipsp_ms now);
void ipsp_serving_watch(struct ipsp_node *n);

/* psp.c */
void ipsp_psp_mode(struct ipsp_node *n, enum ipsp_mode mode);
void ipsp_psp_disable(struct ipsp_node *n, bool force);
bool ipsp_psp_on_left(struct ipsp_node *n, const struct ipsp_hello *h);
void ipsp_psp_may_leave(struct ipsp_node *n);
void ipsp_psp_on_conf(struct ipsp_node *n, const struct ipsp_event *ev);
void ipsp_psp_on_keys(struct ipsp_node *n, const struct ipsp_context_conf *conf);
void ipsp_psp_unused(struct ipsp_node *n);
void ipsp_psp_enabled(struct ipsp_node *n, bool was);

/* tx.c */
bool ipsp_link_open(const struct ipsp_node *n);
bool ipsp_link_talks(const struct ipsp_node *n); /* open, and not without a key that is asked for */
void ipsp_tx(struct ipsp_node *n);
void ipsp_tx_dgram(struct ipsp_node *n, const uint8_t *dgram,
		   size_t len); /* to the peer; nothing when @len is 0 */
ipsp_ms ipsp_tx_due(const struct ipsp_node *n);

/* keys.c */
void ipsp_keys_init(struct ipsp_node *n);
void ipsp_keys_changed(struct ipsp_node *n); /* by a reload */
void ipsp_keys_foreign(struct ipsp_node *n, const uint8_t *dgram);
void ipsp_keys_answered(struct ipsp_node *n); /* when a handshake came */
void ipsp_keys_session(struct ipsp_node *n);  /* a new one is in force */
void ipsp_keys_begin(struct ipsp_node *n, bool session);
void ipsp_keys_old(struct ipsp_node *n); /* a handshake of version 1 was refused */
void ipsp_keys_pin(struct ipsp_node *n, const struct ipsp_hello *h);
ipsp_ms ipsp_keys_due(const struct ipsp_node *n);

/* renew.c */
void ipsp_renew_session(struct ipsp_node *n);	/* a session of another handshake is in force */
void ipsp_renew_candidate(struct ipsp_node *n); /* one was made */
void ipsp_renew_look(struct ipsp_node *n);	/* time has passed */
void ipsp_renew_opened(struct ipsp_node *n, int opened); /* an enum ipsp_opened of what is sealed */
bool ipsp_renew_say(struct ipsp_node *n, struct ipsp_renew *renew); /* behind the hello; or no */
void ipsp_renew_on(struct ipsp_node *n, const struct ipsp_renew *renew);

/* peer.c */
void ipsp_peer_message(struct ipsp_node *n, const struct ipsp_msg *msg);
void ipsp_peer_situation(struct ipsp_node *n);
enum ipsp_waiting ipsp_peer_waiting(const struct ipsp_node *n);

#endif
