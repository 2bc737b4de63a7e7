/*
 * snmp_int - what the files of the notifications share. snmp.c has the sinks as a whole, sink.c the
 * queue and the times of one, sinkname.c its name and addresses; netsnmp.c has net-snmp's sessions,
 * and what a notification says. A session is a void pointer, so that no type of net-snmp leaves the
 * one file that knows them.
 */
#ifndef IPSPD_SNMP_INT_H
#define IPSPD_SNMP_INT_H

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/snmp.h"
#include <sys/time.h>
#include <time.h>

struct event;
struct event_base;
struct evdns_base;

/* A name that is being looked up. libevent may answer after the sink has gone. */
struct sink_lookup {
	struct sink *sink; /* NULL: gone */
};

struct notification {		     /* one that waits at one sink */
	struct ipspd_snmp_trap trap; /* its texts point into those below */
	char context[IPSP_NAME_MAX], interface[IPSP_NAME_MAX], link[IPSPD_SNMP_LINK_MAX];
	uint32_t uptime; /* sysUpTime when it happened: hundredths of a second */
	long reqid;	 /* the same for each repetition */
};

enum sink_state {
	SINK_CLOSED,	/* no session; a timer may lead to the next try */
	SINK_RESOLVING, /* its name is being looked up */
	SINK_PROBING,	/* the receiver's engine is being discovered (informs of version 3) */
	SINK_READY
};

#define IPSPD_SINK_ADDRESSES 8 /* of one name; what follows them is not used */

struct sink {
	struct ipspd_snmp *snmp;
	struct ipspd_sink conf; /* a copy, with its passphrases */
	enum sink_state state;
	char addresses[IPSPD_SINK_ADDRESSES][IPSP_ADDR_TEXT_MAX];
	unsigned n_addresses, at; /* known ones; the one in use */
	uint64_t resolved_ms;	  /* when; IPSPD_SINK_FOR_EVER for one that needs no resolving */
	unsigned unresolved;	  /* lookups that failed, in a row */
	void *session;		  /* net-snmp's, NULL when closed */
	struct event *readable;	  /* of the session's socket */
	struct event *timer;	  /* the next thing to do: repeat, resolve, let net-snmp time out */
	struct sink_lookup *lookup;		      /* owned by the answer */
	struct notification *queue[IPSPD_SNMP_QUEUE]; /* owned; a ring */
	size_t first, n;
	unsigned unanswered; /* informs, probes and refused sends, in a row */
	bool in_flight;	     /* the first of the queue was sent, its acknowledgement is awaited */
	bool reset;	     /* close the session once net-snmp's callback has returned */
	bool anew;	     /* ... and look up its addresses again, after a pause */
	bool dropping;	     /* told once, until the queue has been empty again */
	bool troubled;	     /* told once, until a notification has gone out again */
};
#define IPSPD_SINK_FOR_EVER UINT64_MAX

struct ipspd_snmp {
	struct event_base *base;
	struct evdns_base *dns; /* made when the first name is looked up */
	struct resolv_seen {	/* /etc/resolv.conf as it was read */
		uint64_t inode, size;
		struct timespec modified;
	} resolv;
	enum ipspd_trap_style style;
	struct ipsp_addr source; /* of config->snmp_source */
	uint64_t started_ms;
	struct sink **sinks; /* owned, n_sinks */
	size_t n_sinks;
	struct ipspd_engine engine;	/* .boots 0: none, as no sink needs one */
	char directory[IPSPD_PATH_MAX]; /* where the engine is kept */
	struct ipspd_snmp_counts counts;
	bool started, closing;
};

/* sink.c: NULL: no memory. The name is not looked up yet. */
struct sink *ipspd_sink_new(struct ipspd_snmp *snmp, const struct ipspd_sink *conf);
void ipspd_sink_free(struct sink *sink);
void ipspd_sink_enqueue(struct sink *sink, const struct ipspd_snmp_trap *trap, uint32_t uptime);
/* Does what can be done now; what happens next calls it again. */
void ipspd_sink_work(struct sink *sink);
/* The queue stays; what was sent and is not acknowledged is sent again. */
void ipspd_sink_close(struct sink *sink);
void ipspd_sink_later(struct sink *sink, unsigned seconds);
/* The network may be there again: what waits for its next try has it now. */
void ipspd_sink_hurry(struct sink *sink);
void ipspd_sink_drop_first(struct sink *sink);
/* Seconds until an answer is given up, and after an error: 1, 2, 4, ... 60, for each round through
 * the addresses. */
unsigned ipspd_sink_patience(const struct sink *sink);
enum sink_answer {
	SINK_ACKNOWLEDGED, /* the inform in flight */
	SINK_DISCOVERED,   /* the receiver's engine */
	SINK_SILENT,	   /* no answer in time */
	SINK_STRANGE	   /* a report: its engine is another one than it was */
};
/* For net-snmp's callbacks; ipspd_sink_work follows, outside of them. */
void ipspd_sink_answered(struct sink *sink, enum sink_answer answer);
/* Says once that notifications don't get through, and why. */
void ipspd_sink_trouble(struct sink *sink, const char *why);

/* sinkname.c */
/* Is there an address to send to? If not, or if it is old, the name is looked up. */
bool ipspd_sink_has_address(struct sink *sink);
void ipspd_sink_stop_lookup(struct sink *sink);
void ipspd_sink_forget_addresses(struct sink *sink);
const char *ipspd_sink_address(const struct sink *sink); /* the one in use */

/* netsnmp.c: the library */
void ipspd_netsnmp_init(void);
long ipspd_netsnmp_reqid(void);
void ipspd_netsnmp_set_engine(const struct ipspd_engine *engine);
void ipspd_netsnmp_forget_users(void);

/* What of @conf this host's net-snmp doesn't know; NULL: it knows all. */
const char *ipspd_netsnmp_unknown(const struct ipspd_sink *conf);

/* netsnmp.c: a session */
void *ipspd_netsnmp_open(struct sink *sink); /* NULL: it can't be, see _error */
const char *ipspd_netsnmp_error(void);
int ipspd_netsnmp_fd(void *session);
void ipspd_netsnmp_read(void *session, int fd); /* marks what came at the sink; closes nothing */
void ipspd_netsnmp_timeout(void *session);	/* so does it */
bool ipspd_netsnmp_due(void *session, struct timeval *tv); /* when; false: nothing is open */
bool ipspd_netsnmp_send(struct sink *sink); /* the first of the queue, or the probe before it */
void ipspd_netsnmp_close(void *session);

#endif
