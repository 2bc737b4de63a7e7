/*
 * ha - a model of a home agent: it keeps its own list of sessions, which is the truth that the
 * checker judges by, asks for addresses, answers release events, crashes, hangs, and brings its
 * list and the daemon's together when it attaches, as the contract asks of an HA.
 */
#ifndef SIM_HA_H
#define SIM_HA_H

#include "core/node.h"
#include "queue.h"
#include "rand.h"

struct world;

#define HA_OPEN_MAX 24 /* requests in flight */
#define HA_THOUGHTS_MAX                                                                            \
	200 /* release events being thought about: a takeover may make one of each session */
#define HAS_MAX 6
#define NO_ADDR UINT32_MAX /* no place in the world's list of addresses */

enum ipc_kind { /* what goes through the control socket */
		IPC_ATTACH,
		IPC_DETACH,
		IPC_REQUEST,
		IPC_RELEASE,
		IPC_RELEASED,
		IPC_LIST,
		IPC_ANSWER, /* from here on: to the HA */
		IPC_DONE,
		IPC_EVENT,
		IPC_CANCELLED,
		IPC_LISTED,
		IPC_EOF,
};

struct ipc_session {
	uint32_t sub, sess, gaddr;
};

struct ipc {
	enum ipc_kind kind;
	unsigned ha;
	uint32_t life; /* of the process that the connection leads to */
	uint64_t token, id;
	uint32_t sub, sess, gaddr;
	bool named;	 /* RELEASE, RELEASED: it says whose session it was */
	int pool, group; /* -1: not named */
	int err;
	enum ipsp_reason reason;
	sim_us emitted; /* ANSWER: when the node let it go, and whether it had a licence then */
	bool licensed;
	size_t n; /* LISTED */
	struct ipc_session list[];
};

struct ha_session {
	uint32_t sub, sess, gaddr;
	sim_us recover_at; /* SIM_NEVER: the daemon is known to have it */
	sim_us lost_at;	   /* when it was first found missing */
};

enum ha_purpose { HA_NEW, HA_HANDOFF, HA_CONFIRM, HA_RECOVER };

struct ha_request {
	uint64_t id; /* 0: slot free */
	enum ha_purpose purpose;
	uint32_t sub, sess, gaddr;
	bool known;    /* the node had the session when it read the request */
	bool released; /* the HA has answered a release event for the session, or the address, since
			  it asked */
	bool doubtful; /* ... and then that event was cancelled: which of the two came first is open
			*/
};

struct ha_thought { /* a release event on its way to the HA, or read and not yet answered */
	bool used, read;
	uint64_t number; /* the daemon's, of the event */
	uint32_t sub, sess, gaddr;
	enum ipsp_reason reason;
	sim_us at; /* when it will be answered; SIM_NEVER: never */
};

struct ha {
	struct world *w;
	struct sim_rand rand;
	unsigned number, side;
	char name[8];
	uint64_t token; /* 0: not attached */
	bool listed;	/* its list and the daemon's agree: it may ask for new ones */
	bool alive;
	sim_us hung_until, to_node_at, to_ha_at, attach_at, timer_at;
	uint32_t gen, life;
	uint64_t next_id;
	struct ha_session *sessions;
	size_t n_sessions, cap_sessions;
	struct ha_request requests[HA_OPEN_MAX];
	struct ha_thought thoughts[HA_THOUGHTS_MAX];
	struct ipc **unread; /* came while it hung */
	size_t n_unread, cap_unread;
	sim_us latency, think_max;
	bool by_number; /* it says the numbers of release events */
	bool names;	/* it says whose session a release is for */
	unsigned mute;	/* per mille of the release events are never answered */
	/* the last answer to a request, for stories */
	int last_err;
	uint32_t last_gaddr;
};

void ha_init(struct ha *ha, struct world *w, unsigned number, unsigned side);
void ha_fini(struct ha *ha);

/* What a subscriber does. False: nothing was sent (not attached, too much open, no such session).
 */
bool ha_request(struct ha *ha, enum ha_purpose purpose, uint32_t sub, uint32_t sess, uint32_t gaddr,
		int pool, int group);
bool ha_end(struct ha *ha, uint32_t sub, uint32_t sess);
void ha_bogus_release(struct ha *ha, uint32_t gaddr);
/* Of a session that had the address before another, which is this HA's, too. */
void ha_late_release(struct ha *ha, uint32_t gaddr);

void ha_crash(struct ha *ha);  /* its sessions are gone; attaches again by itself */
void ha_detach(struct ha *ha); /* only the connection is lost */
void ha_hang(struct ha *ha, sim_us until);
void ha_soothe(struct ha *ha); /* the faults end: reads, answers all that waits */
size_t ha_n_open(const struct ha *ha);
struct ha_session *ha_find(struct ha *ha, uint32_t sub, uint32_t sess);

/* The world's events. */
void ha_timer(struct ha *ha, uint32_t gen);
void ha_read(struct ha *ha, struct ipc *m); /* takes it */
/* The host's: something for the HA; and: the process is gone. */
void ha_send(struct ha *ha, struct ipc m);
void ha_send_list(struct ha *ha, struct ipc *m); /* takes it */
void ha_process_gone(struct ha *ha);

#endif
