/*
 * snmp_int - what the files of the notifications share. snmp.c has the queues, the names and the
 * times; netsnmp.c has net-snmp's sessions, and what a notification says. A session is a void
 * pointer, so that no type of net-snmp leaves the one file that knows them.
 */
#ifndef IPSPD_SNMP_INT_H
#define IPSPD_SNMP_INT_H

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/snmp.h"
#include <sys/time.h>

struct event;
struct event_base;
struct evdns_base;
struct evdns_getaddrinfo_request;

struct notification {		     /* one that waits at one sink */
	struct ipspd_snmp_trap trap; /* .context and .interface point into the two below */
	char context[IPSP_NAME_MAX], interface[IPSP_NAME_MAX];
	uint32_t uptime; /* sysUpTime when it happened: hundredths of a second */
	long reqid;	 /* the same for each repetition */
};

enum sink_state {
	SINK_CLOSED,	/* no session; a timer may lead to the next try */
	SINK_RESOLVING, /* its name is being looked up */
	SINK_PROBING,	/* the receiver's engine is being discovered (informs of version 3) */
	SINK_READY
};

struct sink {
	struct ipspd_snmp *snmp;
	const struct ipspd_sink *conf; /* borrowed from the copy in snmp */
	enum sink_state state;
	char address[IPSP_ADDR_TEXT_MAX]; /* resolved; "" when not */
	uint64_t resolved_ms;		  /* when; FOR_EVER for one that needs no resolving */
	void *session;			  /* net-snmp's, NULL when closed */
	struct event *readable;		  /* of the session's socket */
	struct event *timer; /* the next thing to do: repeat, resolve, let net-snmp time out */
	struct evdns_getaddrinfo_request *lookup;
	struct notification *queue[IPSPD_SNMP_QUEUE]; /* owned; a ring */
	size_t first, n;
	unsigned unanswered; /* informs and probes, in a row */
	bool in_flight;	     /* the first of the queue was sent, its acknowledgement is awaited */
	bool reset;	     /* close the session once net-snmp's callback has returned */
	bool dropping;	     /* told once, until the queue has been empty again */
};

struct ipspd_snmp {
	struct event_base *base;
	struct evdns_base *dns; /* made when the first name is looked up */
	enum ipspd_trap_style style;
	uint64_t started_ms;
	struct ipspd_sink *confs; /* owned copies, n_sinks */
	struct sink *sinks;
	size_t n_sinks;
	struct ipspd_engine engine;
	struct ipspd_snmp_counts counts;
	bool closing;
};

/* snmp.c */
unsigned ipspd_sink_patience(const struct sink *sink); /* s until the answer; after an error */
void ipspd_sink_drop_first(struct sink *sink);

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
