/*
 * host - one side's host: its clock, its process with the node, its socket and its inbox. It is the
 * third shell beside the daemon and the fuzzers; the turn that node.h asks for is in turn.h.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "core/node.h"
#include "disk.h"
#include "keys.h"
#include "net.h"
#include "queue.h"
#include "rand.h"

struct world;
struct ipc;

/* A token below those of HAs: the operator's, who gives commands. */
#define HOST_OPERATOR 1

struct clock { /* CLOCK_BOOTTIME of one boot: counts while the process is stopped */
	sim_us from;
	ipsp_ms base;
	int ppm;
};

enum kill_point { /* where the next turn that gets there ends with SIGKILL */
		  KILL_NOT,
		  KILL_POINT_BEFORE_WRITE,
		  KILL_POINT_IN_WRITE,
		  KILL_POINT_AFTER_WRITE,
		  KILL_POINT_IN_OUTS,
		  KILL_POINT_IN_FLUSH,
		  KILL_POINTS
};

struct inbox_item { /* owns what it points to */
	enum ipsp_event_type type;
	struct dgram *dgram;
	struct ipc *ipc;
	struct ipsp_event
		ev; /* for all others: borrows nothing but the configuration of the host */
};

struct host {
	struct world *w;
	struct sim_rand rand;
	unsigned side; /* 0 is P, the configured primary; 1 is S */
	char letter;
	struct clock clock;
	struct disk disk;
	struct ipsp_context_conf conf;
	struct ipsp_actions act;
	struct ipsp_node *node; /* NULL: no process */
	bool powered, stopped, leaving, disk_full;
	bool link_down;	 /* its own end of the link fails: nothing goes out or comes in */
	bool other_keys; /* its key file is not that of the beginning, which had so many */
	uint8_t first_n_keys;
	bool differs; /* its file says another priority of the first pool than the peer's */
	enum turn_phase { TURN_NONE, TURN_STEPPED, TURN_WRITTEN } phase; /* of the turn that runs */
	uint32_t life, boot, turn_gen;
	sim_us turn_at, died_at, stopped_at, last_turn_at;
	/* its clock at the first and at the last step of a turn, or at its start */
	ipsp_ms began_at, ended_at;
	unsigned spins;
	enum kill_point armed;
	unsigned slow_turns; /* per mille */
	sim_us slow_turn_max;
	struct inbox_item *inbox;
	size_t n_inbox, cap_inbox, n_socket, socket_cap;
	size_t n_items; /* of the inbox: those of the turn that runs */
	uint64_t notes_shown;
	uint64_t command_id;
	uint64_t forcing;	/* the command with --force that is not done yet; 0: none */
	uint64_t leaving_ipsp;	/* the same: no pool-share-protocol */
	int command_err;	/* of the last command that was done */
	char command_text[256]; /* ... and its words */
	bool deaf_hook;		/* its arbiter can't be reached: every takeover is vetoed */
	struct keys keys;
	unsigned n_traps[IPSP_TRAPS], n_hooks[IPSP_HOOKS]; /* told so far, by all its processes */
};

void host_init(struct host *h, struct world *w, unsigned side);
void host_fini(struct host *h);

ipsp_ms host_ms(const struct host *h); /* its clock */
sim_us host_when(const struct host *h,
		 ipsp_ms ms); /* the true time at which its clock will show that */

void host_boot(struct host *h);	 /* power on: a new boot, clock and all; no process yet */
void host_start(struct host *h); /* starts the process */
void host_kill(struct host *h);
void host_power_off(struct host *h, bool ha_lives);
void host_stop(struct host *h); /* SIGSTOP */
void host_cont(struct host *h);
void host_hurry(struct host *h); /* a slow turn that runs is over now */

void host_receive(struct host *h, struct dgram *d); /* takes it */
void host_ipc(struct host *h, struct ipc *m);	    /* takes it */
void host_event(struct host *h, struct ipsp_event ev);
void host_command(struct host *h, enum ipsp_command command, bool force, enum ipsp_mode mode);
bool host_has_command(const struct host *h,
		      enum ipsp_command command); /* given, and its turn isn't over */
void host_reload(struct host *h, uint32_t dead_ms);
void host_link(struct host *h, bool works); /* its own end of the link, from now on */
void host_hook_done(struct host *h, uint32_t life, bool yes);
void host_wake(struct host *h, sim_us delay);

/* for turn.c */
void inbox_item_free(struct inbox_item *item);
void host_go_on(struct host *h, sim_us delay); /* the turn's next phase is @delay away */
void host_leave(struct host *h); /* the process ends in good order, which flushes its log */

#endif
