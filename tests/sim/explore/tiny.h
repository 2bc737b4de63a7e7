/*
 * tiny - two sides with two addresses: for each the real node, a disk, and an HA; between them a
 * wire on which datagrams lie until somebody delivers them. Nothing happens by itself and nothing
 * by chance: what happens next is one of the acts that tiny_acts lists, and a state with the same
 * acts done to it is the same state again.
 *
 * What is about to be said anyway (within SOON_MS) is said at once, so that time passes only where
 * it matters.
 */
#ifndef EXPLORE_TINY_H
#define EXPLORE_TINY_H

#include "core/node.h"

#define ADDRS	 2
#define FLIGHT	 3 /* datagrams on their way in one direction; one more, and the oldest is lost */
#define SUBS	 6 /* subscribers, from 1 on: the odd ones begin at P, the even ones at S */
#define HELLO_MS 1000
#define DEAD_MS	 8000
#define SOON_MS	 10
#define WAIT_MS	 4000 /* the loss time: two of them are a dead interval */

enum { P = 0, S = 1 };

struct dgram {
	uint16_t n, n_plain;
	bool again;	 /* delivered before: what is left here is a copy */
	uint8_t bytes[]; /* n, and n_plain of what was sealed in it */
};

struct flight { /* to one side, oldest first */
	struct dgram *dgrams[FLIGHT];
	unsigned n;
	bool cut;
};

struct disk {
	struct ipsp_buf log;  /* as in the actions: u16 length and bytes, for each record */
	struct ipsp_buf kept; /* a copy of an earlier time */
	size_t durable;
	uint64_t durable_digest; /* stands for what is durable */
	uint64_t durable_epoch, epoch;
	bool flushing, again;
	size_t covers; /* the flush that runs: bytes and records */
	uint64_t covers_seq, covers_epoch, written_seq;
	struct ipsp_lease_note lease;
	uint32_t lease_boot; /* 0: there is none */
};

struct ha { /* what it really has, by address: a subscriber, or 0 */
	uint8_t sessions[ADDRS];
	bool asked[ADDRS]; /* to release it, and hasn't answered */
	uint8_t sub;	   /* of the request that waits for an answer; 0: none */
	uint64_t asked_id; /* ... and its number */
	uint64_t id;
};

struct cell { /* what the node says of one address */
	uint8_t own, use, sub;
};

struct side {
	unsigned number;
	char letter;
	struct ipsp_node *node; /* NULL: no process */
	struct ipsp_context_conf conf;
	struct ipsp_actions act;
	struct disk disk;
	struct ha ha;
	uint32_t boot, life;
	uint32_t hellos, counter; /* the numbers of the last process */
	uint8_t order[2 * ADDRS]; /* of a side that is dead: in which its addresses will be used */
	struct cell cells[ADDRS];
	ipsp_ms heard_at;		/* its peer, by whichever of its processes */
	bool licensed, licensed_before; /* after the last turn; after the one before it */
	uint64_t epoch;
	bool up_once; /* since it was started .epoch is its own */
};

struct budget { /* how much may still go wrong, or be asked for */
	uint8_t crashes, cuts, repeats, requests, releases, commands;
};

struct tiny {
	ipsp_ms now;
	struct side sides[2];
	struct flight to[2]; /* by the side that it leads to */
	struct budget left;
	bool books_lost; /* a side was wiped, and isn't whole again */
	bool gentle;	 /* time passes in rounds only, in which everything arrives */
};

enum act_kind {
	ACT_DELIVER, /* the .arg-th on its way to .side */
	ACT_REPEAT,  /* the same, and a copy of it stays */
	ACT_FLUSH,   /* the flush that runs at .side is done */
	ACT_REQUEST, /* a session at .side; .arg 0: any address, else the one of number .arg - 1 */
	ACT_RELEASE, /* the session on address .arg at .side ends */
	ACT_ANSWER,  /* the HA at .side has released address .arg, as it was asked to */
	ACT_KILL,    /* the process dies; what it wrote is there, and the HA lives */
	ACT_POWER,   /* the host dies, with its sessions and all that was not flushed */
	ACT_WIPE,    /* the same, and the disk is empty, */
	ACT_ROLL,    /* ... or as it was when tiny_keep_log was called */
	ACT_START,
	ACT_CUT, /* .arg: bit 0, what leads to P; bit 1, to S */
	ACT_HEAL,
	ACT_TICK,  /* one hello interval passes; nothing arrives by itself */
	ACT_WAIT,  /* WAIT_MS pass in the same way */
	ACT_ROUND, /* one hello interval in which everything arrives, is flushed, is answered */
	ACT_DRAIN,
	ACT_UNDRAIN,
	ACT_TAKEOVER, /* by agreement */
	ACT_LEAVE,    /* no pool-share-protocol; on the way to a root only, */
	ACT_ENABLE,   /* ... as is this: it is enabled again by a reload */
	ACT_KINDS
};

struct act {
	uint8_t kind, side, arg;
};

#define ACTS_MAX 64

struct tiny *tiny_new(void); /* in the arena; both hosts are there, no process is */
unsigned tiny_acts(const struct tiny *w, struct act acts[ACTS_MAX]);
struct act tiny_natural(const struct tiny *w); /* the one that would happen by itself */
void tiny_do(struct tiny *w, struct act act);
void tiny_round(struct tiny *w);

void tiny_keep_log(struct tiny *w, unsigned side);

uint64_t tiny_hash(struct tiny *w); /* states with the same future have the same; see state.c */
bool tiny_is_void(const struct tiny *w, unsigned to,
		  const struct dgram *d); /* it changes nothing */

/* In words, for a trace: "S: request for any address". Static text. */
const char *tiny_words(const struct tiny *w, struct act act);
const char *tiny_stand(const struct tiny *w, unsigned side);
extern bool tiny_tells; /* what the HAs read, and the nodes' own notes, are printed */

/* judge.c */
extern char tiny_failure[400]; /* the first thing that was wrong; "" */
void judge_fail(const struct tiny *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void judge_look(struct tiny *w, struct side *s); /* after the steps of a turn, before its outs */
void judge_turn(struct tiny *w, struct side *s); /* after it */
void judge_started(struct tiny *w, struct side *s);
void judge_assigned(struct tiny *w, struct side *s, unsigned addr, unsigned sub); /* newly */
void judge_replay(struct tiny *w); /* memory equals what the disks replay */
const char *judge_rest(const struct tiny *w);

#endif
