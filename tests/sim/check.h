/*
 * check - judges the pair after each turn, by what the two nodes say of each address and by what
 * the HAs really hold.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "core/node.h"
#include "queue.h"

struct world;
struct host;
struct ha;
struct ha_session;

struct check_cell { /* what one node says of one address, after its last turn */
	uint8_t own, use, flags;
	bool licensed;	    /* it came to be used under a licence, or while force was not healed */
	uint32_t sub, sess; /* of its session; NO_ADDR: none */
	sim_us used_at;	    /* when this session came to have it */
	ipsp_ms end;	    /* held, or in quarantine: until then, by its host's clock */
	uint32_t gave_sub; /* on its way: for whom it was kept when it was given, NO_ADDR: nobody */
	ipsp_ms gave_left; /* ... and for how long it would have been */
};

struct check_hold {	     /* the ledger: one address that an HA of one side really has in use */
	const struct ha *ha; /* NULL: nobody */
	uint32_t sub, sess;
	sim_us emitted; /* when the node let the answer go */
	sim_us since;	/* ... and when the node took it: earlier, where an answer was lost */
	bool licensed;	/* the node had a licence then, or force was not healed */
	bool flushed;	/* before it was answered: the loss of power is no excuse */
	bool orphan;	/* the daemon lost its state and has not confirmed it since */
	bool unsure;	/* the host has lost power under it: a hold for the subscriber, until it is
			   asked for */
};

struct check_side {
	struct check_cell *cells;
	struct check_hold *holds;
	struct ipsp_status status; /* after the last turn; .conf is not to be used */
	bool licensed, up_once;
	bool licensed_in_turn;	 /* at the end of the last turn, or of the one before it */
	sim_us boot_at, lost_at; /* answers from before are of another boot, or of a lost state */
	sim_us licensed_at;	 /* when it last had a licence */
	uint64_t state_losses;	 /* of this process, of its own state and its peer's */
	bool loss_in_turn;	 /* ... one was found in the last turn */
	uint64_t heals;		 /* as the node counts the ends of a licence */
	uint64_t takeovers;	 /* ... and its takeovers */
};

struct check {
	struct check_side side[2];
	size_t n_wrong;	 /* addresses with two owners or none, at this moment */
	bool books_lost; /* a side was wiped or rolled back, and the books have not been made whole
			    since */
	bool forced;	 /* a command with --force was given, and what came of it isn't healed: no
			    lease holds */
	/* ... on a side that knew of no peer, and owns all, whatever another says; or by it a side
	 * has found that it has lost its state, and is given it anew */
	bool seized;
	/* both sides were configured with one role and have not shared since: each owns all, or
	 * none */
	bool one_role;
	bool rebooted;	  /* a host was, in this run */
	sim_us agreed_at; /* when both sides were last active: no healing was open */
	unsigned sample;  /* one in so many turns is looked at with the expensive checks */
	uint64_t n_replays;
};

void check_init(struct world *w);
void check_fini(struct world *w);

void check_started(struct host *h, bool same_boot); /* after replay and start */
void check_look(struct host *h); /* before a turn's records are written: role, epoch, licence */
void check_turn(struct host *h);
void check_died(struct host *h, bool power);
void check_state_lost(struct host *h); /* wiped or rolled back */

void check_ident(const struct ipsp_ident *ident, uint32_t *sub, uint32_t *sess);
bool check_knows(const struct host *h, uint32_t sub, uint32_t sess); /* the node has this session */
/* The address that the node answers with was taken under a licence or by force: in this turn, or
 * before, for an answer that waited. */
bool check_licensed(const struct host *h, uint32_t gaddr, uint32_t sub, uint32_t sess);
/* The node answers a request: @known, it had the session when it read the request. */
void check_answered(struct host *h, uint32_t gaddr, uint32_t sub, uint32_t sess, bool known);
/* The HA takes what it was answered; and: it doesn't use it any more. */
void check_taken(struct ha *ha, uint32_t gaddr, uint32_t sub, uint32_t sess, sim_us emitted,
		 bool licensed);
void check_ended(struct ha *ha, uint32_t gaddr, uint32_t sub, uint32_t sess);

/* the daemon lists what it has, and the HA has it too */
void check_confirmed(struct ha *ha, const struct ha_session *s, sim_us emitted);

/* Memory equals what the log replays, and what a snapshot replays. */
void check_replay(struct host *h);
void check_snapshot(struct host *h);
bool check_wrong(const struct world *w, uint32_t g); /* two owners or none */
/* All is as it should be when nothing disturbs: NULL, or what is missing (static text). */
const char *check_rest(struct world *w);
const char *check_words(
	const struct host *h); /* where a side stands, in a few words; static text of each side */

#endif
