/* peer - the state table. See peer.h for what its two kinds of events are. */
#include "core/node_int.h"

#include <string.h>

typedef void handler_fn(struct ipsp_node *n, const struct ipsp_msg *msg);

struct ipsp_rule {
	handler_fn *run;
	enum ipsp_state next;
};

/* --------------------------------------------------------------- messages */

static void conf_ask(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_compare_on_ask(n, msg->u.conf.offset);
}

static void conf_part(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_compare_on_part(n, &msg->u.conf);
}

static void request(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_grant_on_request(n, &msg->u.request);
}

static void refuse(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_xact_on_refuse(n, &msg->u.refuse);
}

static bool of_this_stream(struct ipsp_node *n, uint32_t tag, uint32_t want)
{
	bool ok =
		n->side.peer_books != 0 && n->peer.hello.books == n->side.peer_books && tag == want;

	if (!ok)
		n->stats.drop_state++;
	return ok;
}

static void item(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	if (of_this_stream(n, msg->u.item.stream, ipsp_sync_tag(n->side.peer_books, n->side.books)))
		ipsp_sync_on_item(n, msg->u.item.bytes, msg->u.item.n);
}

static void ack(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	if (of_this_stream(n, msg->u.ack.stream, ipsp_sync_tag(n->side.books, n->side.peer_books)))
		ipsp_sync_on_ack(n, msg->u.ack.number);
}

static void takeover(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_role_on_takeover(n, msg->u.request.epoch);
}

static void cancel(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	ipsp_grant_on_cancel(n, msg->u.request.id);
}

/* --------------------------------------------------------------- situations */

static void say_lost(struct ipsp_node *n)
{
	const char *what =
		!n->side.shared	   ? "nothing was shared with it"
		: ipsp_s6_holds(n) ? "this side does not take over by itself, as no session was "
				     "given an address here since it is secondary"
		: ipsp_link_stays_still(n) ? "the dead interval waits for this side's own link"
					   : "the dead interval runs";

	if (ipsp_link_deaf(n))
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer is lost, as this side's own link fails: %s; %s", n->link.error,
			 what);
	else
		ipsp_say(n, IPSP_LOG_WARNING, "the peer is lost; %s", what);
}

/* A stop in order is no alarm: what this side has now, and what follows. */
static void say_stopped(struct ipsp_node *n)
{
	const struct ipsp_sums s = ipsp_flow_sums(n);
	const uint64_t rest = s.other + s.transit, all = s.ours + rest;

	if (!n->side.shared) {
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "the peer has stopped in order; nothing was shared with it");
		return;
	}
	ipsp_say(
		n, IPSP_LOG_NOTICE,
		"the peer has stopped in order, with %u sessions left: this side owns %llu of %llu "
		"addresses%s",
		n->peer.hello.used, (unsigned long long)s.ours, (unsigned long long)all,
		n->side.draining     ? ", and is drained"
		: ipsp_may_assign(n) ? " and serves on"
				     : "");
	if (rest > 0 && (n->side.primary || n->side.s6))
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "if the peer is not back in one dead interval (%u s), the other %llu "
			 "addresses are used here as well",
			 ipsp_dead_ms(n) / 1000, (unsigned long long)rest);
	else if (rest > 0)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side does not take over by itself, as no session was given an "
			 "address here since it is secondary; if the peer does not come back: "
			 "takeover --force");
}

void ipsp_say_nobody_serves(struct ipsp_node *n)
{
	if (n->side.terminated)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side is terminated, so nobody is served while the peer is away; "
			 "where it is gone for good: takeover --force");
	else if (n->side.draining)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side is drained, so nobody is served while the peer is away: "
			 "\"undrain\" serves here again");
}

static void set_peer(struct ipsp_node *n, enum ipsp_peer_state state)
{
	enum ipsp_peer_state was = n->peer_state;

	if (was == state)
		return;
	n->peer_state = state;
	if (state == IPSP_PEER_UP) {
		ipsp_say(n, IPSP_LOG_NOTICE, "the peer is up");
		ipsp_out_trap(n, IPSP_TRAP_PEER_UP, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_PEER_UP, IPSP_ADDR_NONE);
	} else if (state == IPSP_PEER_LOST) {
		n->stats.peer_losses++;
		say_lost(n);
		ipsp_out_trap(n, IPSP_TRAP_PEER_LOST, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_PEER_LOST, IPSP_ADDR_NONE);
	} else if (state == IPSP_PEER_STOPPED) {
		say_stopped(n);
		ipsp_out_trap(n, IPSP_TRAP_PEER_STOPPED, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_PEER_STOPPED, IPSP_ADDR_NONE);
	} else if (state == IPSP_PEER_DOWN) {
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer is marked down; its addresses are used here");
		ipsp_out_trap(n, IPSP_TRAP_PEER_DOWN, IPSP_ADDR_NONE);
		ipsp_out_hook(n, IPSP_HOOK_PEER_DOWN, IPSP_ADDR_NONE);
	}
	if (state == IPSP_PEER_LOST || state == IPSP_PEER_STOPPED)
		ipsp_say_nobody_serves(n);
}

/* The link is closed: by mode, by command, or there is none configured. */
static void closed(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	ipsp_conflict_end(n);
	n->peer.stopped = false;
	set_peer(n, IPSP_PEER_UNKNOWN);
}

/*
 * A session of keys that ends here, or is made anew, is no loss: a peer is lost when it was not
 * heard for the loss time.
 */
static bool silent(const struct ipsp_node *n)
{
	return n->peer.heard_at != IPSP_NEVER && n->now - n->peer.heard_at >= ipsp_loss_ms(n);
}

/* In every state that is not about the peer's absence: how is it? */
static void look(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	if (ipsp_contact(n))
		set_peer(n, IPSP_PEER_UP);
	else if (n->peer.stopped)
		set_peer(n, IPSP_PEER_STOPPED);
	else if (n->peer_state != IPSP_PEER_UNKNOWN && silent(n))
		set_peer(n, IPSP_PEER_LOST);
}

static void lost(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	set_peer(n, n->peer.stopped ? IPSP_PEER_STOPPED : IPSP_PEER_LOST);
}

/* One that has stopped in order and left no session: nothing of it is missed. */
static void down(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	set_peer(n,
		 n->peer.stopped && n->peer.hello.used == 0 ? IPSP_PEER_STOPPED : IPSP_PEER_DOWN);
}

static void healing(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	set_peer(n, IPSP_PEER_UP);
	ipsp_say(n, IPSP_LOG_NOTICE, "the peer is back: comparing who uses what");
}

static void mismatch(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	(void)msg;
	set_peer(n, IPSP_PEER_UP);
	if (n->conf_role_conflict)
		return; /* said when it began, in whatever mode */
	ipsp_out_trap(n, IPSP_TRAP_CONFIG_MISMATCH, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_CONFIG_MISMATCH, IPSP_ADDR_NONE);
}

/* --------------------------------------------------------------- the table */

#define DIS IPSP_ST_DISABLED
#define INA IPSP_ST_INACTIVE
#define CHK IPSP_ST_CHECKING
#define CON IPSP_ST_CONNECTING
#define MIS IPSP_ST_CONFIG_MISMATCH
#define LCK IPSP_ST_LOCKED
#define ACT IPSP_ST_ACTIVE
#define LST IPSP_ST_PEER_LOST
#define DWN IPSP_ST_PEER_DOWN
#define REC IPSP_ST_RECONCILING
#define TRM IPSP_ST_TERMINATED

/* Everything that a side in contact does for its peer; an item is exactly-once in every state. */
#define TALKS(s)                                                                                   \
	[IPSP_PE_CONF_ASK] = {conf_ask, s}, [IPSP_PE_CONF_PART] = {conf_part, s},                  \
	[IPSP_PE_REQUEST] = {request, s}, [IPSP_PE_REFUSE] = {refuse, s},                          \
	[IPSP_PE_ITEM] = {item, s}, [IPSP_PE_ACK] = {ack, s}, [IPSP_PE_CANCEL] = {cancel, s}

#define TO(s, h) [IPSP_PE_SITUATION + (s)] = {h, s}
#define SITUATIONS                                                                                 \
	TO(DIS, closed), TO(INA, closed), TO(CHK, look), TO(CON, look), TO(MIS, mismatch),         \
		TO(LCK, look), TO(ACT, look), TO(LST, lost), TO(DWN, down), TO(REC, healing),      \
		TO(TRM, look)

/* An empty cell is ignored on purpose, and counted. */
static const struct ipsp_rule rules[IPSP_STATES][IPSP_PEER_EVENTS] = {
	[DIS] = {SITUATIONS},
	[INA] = {SITUATIONS},
	[CHK] = {[IPSP_PE_CONF_ASK] = {conf_ask, CHK},
		 [IPSP_PE_CONF_PART] = {conf_part, CHK},
		 SITUATIONS},
	[CON] = {TALKS(CON), SITUATIONS},
	[MIS] = {TALKS(MIS), SITUATIONS},
	[LCK] = {TALKS(LCK), [IPSP_PE_TAKEOVER] = {takeover, LCK}, SITUATIONS},
	[ACT] = {TALKS(ACT), [IPSP_PE_TAKEOVER] = {takeover, ACT}, SITUATIONS},
	[LST] = {TALKS(LST), SITUATIONS},
	/* a licence is ended before anything of the peer's is obeyed: that makes it RECONCILING */
	[DWN] = {[IPSP_PE_CONF_ASK] = {conf_ask, DWN},
		 [IPSP_PE_CONF_PART] = {conf_part, DWN},
		 [IPSP_PE_ACK] = {ack, DWN},
		 SITUATIONS},
	[REC] = {TALKS(REC), SITUATIONS},
	[TRM] = {TALKS(TRM), SITUATIONS},
};

/*
 * Changes of situation that can't be, and why. Should one be seen all the same, its rule is run
 * like any other's; the simulator fails. A step looks at the situation once, so each change has one
 * cause.
 */
#define NOT(s) (1u << (s))
static const uint32_t never[IPSP_STATES] = {
	/* in a report that is open the peer has been heard since; termination is an agreement of
	   two */
	[DIS] = NOT(REC) | NOT(TRM),
	/* these end with a new session of keys, so without contact; a licence keeps the mode
	 * active, and a mode that is set ends a termination */
	[INA] = NOT(MIS) | NOT(ACT) | NOT(DWN) | NOT(REC) | NOT(TRM),
	[CHK] = NOT(MIS) | NOT(ACT) | NOT(DWN) | NOT(REC) | NOT(TRM),
	/* to terminate takes a peer that is there, in an agreed epoch, with nothing to heal */
	[CON] = NOT(TRM),
	[LST] = NOT(TRM),
	/* a licence ends by contact, which opens a report; by the loss of our books; by command */
	[DWN] = NOT(INA) | NOT(CHK) | NOT(ACT) | NOT(LST) | NOT(TRM),
	/* no termination while the two compare who uses what; the mode may change when that has
	 * ended in a pause, which the state outlasts */
	[REC] = NOT(TRM),
	/* a forced takeover ends the termination, and is in force only when it is flushed */
	[TRM] = NOT(DWN),
};

enum ipsp_cell ipsp_peer_cell(enum ipsp_state state, enum ipsp_peer_event event)
{
	if (event >= IPSP_PE_SITUATION && never[state] & NOT(event - IPSP_PE_SITUATION))
		return IPSP_CELL_IMPOSSIBLE;
	return rules[state][event].run ? IPSP_CELL_RULE : IPSP_CELL_IGNORED;
}

static void happens(struct ipsp_node *n, enum ipsp_peer_event event, const struct ipsp_msg *msg)
{
	const struct ipsp_rule *rule = &rules[n->state][event];

	n->visits[n->state][event]++;
	if (!rule->run) {
		n->stats.rules_ignored++;
		return;
	}
	n->state = rule->next;
	rule->run(n, msg);
}

const ipsp_peer_visits *ipsp_node_visits(const struct ipsp_node *n)
{
	return (const ipsp_peer_visits *)&n->visits;
}

void ipsp_peer_message(struct ipsp_node *n, const struct ipsp_msg *msg)
{
	static const enum ipsp_peer_event events[IPSP_MSG_TYPES] = {
		[IPSP_MSG_CONF_ASK] = IPSP_PE_CONF_ASK, [IPSP_MSG_CONF_PART] = IPSP_PE_CONF_PART,
		[IPSP_MSG_REQUEST] = IPSP_PE_REQUEST,	[IPSP_MSG_REFUSE] = IPSP_PE_REFUSE,
		[IPSP_MSG_ITEM] = IPSP_PE_ITEM,		[IPSP_MSG_ACK] = IPSP_PE_ACK,
		[IPSP_MSG_TAKEOVER] = IPSP_PE_TAKEOVER, [IPSP_MSG_CANCEL] = IPSP_PE_CANCEL,
	};
	happens(n, events[msg->type], msg);
}

/* --------------------------------------------------------------- what the facts add up to */

static enum ipsp_state without_contact(const struct ipsp_node *n)
{
	if (!n->side.shared)
		return n->side.lost ? LCK : CON;
	ipsp_ms since = n->peer.heard_at != IPSP_NEVER ? n->peer.heard_at : n->started_at;
	if (n->now - since >= ipsp_loss_ms(n) || n->peer_state == IPSP_PEER_LOST)
		return LST;
	/* a pause shorter than the loss time changes nothing */
	bool stays = n->state == LCK || n->state == ACT || n->state == MIS || n->state == REC;
	return stays ? n->state : CON;
}

static enum ipsp_state with_contact(const struct ipsp_node *n)
{
	if (n->peer.twin || n->conf_role_conflict || (n->compare.known && !n->compare.same))
		return MIS;
	if (n->side.lost)
		return LCK;
	if (!n->side.shared) {
		if (!n->compare.known)
			return CON;
		return n->side.primary && !n->side.held ? ACT : LCK;
	}
	if (ipsp_heal_pending(n))
		return REC;
	return ipsp_may_assign(n) ? ACT : LCK;
}

static enum ipsp_state situation(const struct ipsp_node *n)
{
	if (!ipsp_psp(n)->enabled || n->refused_enable)
		return DIS;
	if (n->mode == IPSP_MODE_INACTIVE)
		return INA;
	if (n->mode == IPSP_MODE_CHECK)
		return CHK;
	if (n->side.terminated)
		return TRM;
	if (n->side.grounded && !n->side.shared && !ipsp_contact(n))
		return DIS;
	if (n->side.licence && !n->licence_resting && !n->licence_pending)
		return DWN;
	return ipsp_contact(n) ? with_contact(n) : without_contact(n);
}

void ipsp_peer_situation(struct ipsp_node *n)
{
	enum ipsp_state now = situation(n);

	if (now == n->state) {
		n->visits[now][IPSP_PE_SITUATION + now]++;
		/* the peer comes and goes all the same */
		if (now == TRM || now == CON || now == CHK || now == LCK ||
		    ((n->peer.stopped || n->peer_state == IPSP_PEER_STOPPED) && now != LST &&
		     now != DWN))
			look(n, NULL);
		return;
	}
	happens(n, (enum ipsp_peer_event)(IPSP_PE_SITUATION + (int)now), NULL);
	n->state_changed = true;
}

/* Why this side does not serve new sessions now. */
enum ipsp_waiting ipsp_peer_waiting(const struct ipsp_node *n)
{
	if (!ipsp_psp(n)->enabled || n->mode != IPSP_MODE_ACTIVE || n->side.terminated ||
	    ipsp_may_assign(n))
		return IPSP_WAIT_NONE;
	if (n->refused_enable)
		return IPSP_WAIT_NONE; /* for the last session to end: the notes say so */
	if (n->vetoed)
		return IPSP_WAIT_VETO;
	if (ipsp_link_deaf(n))
		return IPSP_WAIT_LINK;
	if (n->link.unheard)
		return IPSP_WAIT_UNHEARD;
	if (!n->side.shared && !n->side.lost) {
		if (ipsp_conflict_yields(n) && ipsp_heard(n))
			return IPSP_WAIT_NONE; /* for the operator */
		if (n->side.primary && n->side.held && ipsp_heard(n))
			return ipsp_held_by_files(n) ? IPSP_WAIT_NONE : IPSP_WAIT_HEALING;
		if (n->side.primary && !n->side.grounded)
			return IPSP_WAIT_SILENCE;
		return ipsp_contact(n) ? IPSP_WAIT_FIRST_GRANT : IPSP_WAIT_PEER;
	}
	if (ipsp_contact(n))
		return ipsp_heal_pending(n) || n->side.lost || n->side.held ? IPSP_WAIT_HEALING
									    : IPSP_WAIT_LEASE;
	if (!n->side.lost && (n->side.primary || n->side.s6))
		return IPSP_WAIT_SILENCE;
	return IPSP_WAIT_PEER;
}

const char *ipsp_peer_event_word(enum ipsp_peer_event event)
{
	static const char *const words[] = {
		[IPSP_PE_CONF_ASK] = "conf-ask", [IPSP_PE_CONF_PART] = "conf-part",
		[IPSP_PE_REQUEST] = "request",	 [IPSP_PE_REFUSE] = "refuse",
		[IPSP_PE_ITEM] = "item",	 [IPSP_PE_ACK] = "ack",
		[IPSP_PE_TAKEOVER] = "takeover", [IPSP_PE_CANCEL] = "cancel",
	};
	if (event < IPSP_PE_SITUATION)
		return words[event];
	return ipsp_state_word((enum ipsp_state)(event - IPSP_PE_SITUATION));
}
