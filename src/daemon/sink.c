/*
 * sink - one manager that notifications go to: its queue and its times. What goes over the wire is
 * in netsnmp.c, the manager's addresses are found in sinkname.c.
 */
#include "daemon/log.h"
#include "daemon/secret.h"
#include "daemon/snmp_int.h"
#include <event2/event.h>
#include <event2/util.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_REPEAT_S 1
#define LAST_REPEAT_S  60
#define LOOK_AGAIN_AT  3 /* rounds without an answer: the name and the engine are looked up anew */

/* ---------------------------------------------------------------- the queue */

void ipspd_sink_drop_first(struct sink *sink)
{
	free(sink->queue[sink->first]);
	sink->first = (sink->first + 1) % IPSPD_SNMP_QUEUE;
	sink->n--;
	sink->in_flight = false;
	if (sink->n == 0)
		sink->dropping = false;
}

static struct notification **nth(struct sink *sink, size_t i)
{
	return &sink->queue[(sink->first + i) % IPSPD_SNMP_QUEUE];
}

/*
 * What goes first where not all can wait. A healing may find thousands of duplicates, and a person
 * may drain and undrain in a loop: neither pushes out that the peer was lost, nor that all
 * addresses are free, for which an upgrade waits.
 */
static int worth(enum ipsp_trap trap)
{
	switch (trap) {
	case IPSP_TRAP_DUPLICATE:
	case IPSP_TRAP_DUPLICATE_FOUND:
		return 0;
	case IPSP_TRAP_SERVING_CHANGE:
	case IPSP_TRAP_LINK_CHANGE:
	case IPSP_TRAP_PEER_UP:
	case IPSP_TRAP_PEER_STOPPED:
		return 1;
	case IPSP_TRAP_PEER_LOST:
	case IPSP_TRAP_PEER_DOWN:
	case IPSP_TRAP_ROLE_CHANGE:
	case IPSP_TRAP_CONFIG_MISMATCH:
	case IPSP_TRAP_DISK_FULL:
		return 2;
	case IPSP_TRAP_ALL_ADDRS_FREE:
	case IPSP_TRAPS:
		break;
	}
	return 3;
}

/* The oldest of those that are worth least; not the one whose acknowledgement is awaited. */
static void drop_least(struct sink *sink)
{
	size_t least = sink->in_flight ? 1 : 0;

	for (size_t i = least + 1; i < sink->n; i++)
		if (worth((*nth(sink, i))->trap.trap) < worth((*nth(sink, least))->trap.trap))
			least = i;
	free(*nth(sink, least));
	for (size_t i = least; i + 1 < sink->n; i++)
		*nth(sink, i) = *nth(sink, i + 1);
	sink->n--;
}

static void make_room(struct sink *sink)
{
	if (sink->n < IPSPD_SNMP_QUEUE)
		return;
	if (!sink->dropping)
		ipspd_log(IPSP_LOG_WARNING,
			  "snmp: %s port %u does not take notifications as fast as they come: %d "
			  "wait; of those that matter least the oldest are dropped",
			  sink->conf.host, sink->conf.port, IPSPD_SNMP_QUEUE);
	sink->dropping = true;
	sink->snmp->counts.dropped++;
	drop_least(sink);
}

void ipspd_sink_enqueue(struct sink *sink, const struct ipspd_snmp_trap *trap, uint32_t uptime)
{
	struct notification *note = calloc(1, sizeof(*note));

	if (!note) {
		sink->snmp->counts.dropped++;
		return;
	}
	note->trap = *trap;
	snprintf(note->context, sizeof(note->context), "%s", trap->context);
	snprintf(note->interface, sizeof(note->interface), "%s", trap->interface);
	snprintf(note->link, sizeof(note->link), "%s", trap->link ? trap->link : "");
	note->trap.context = note->context;
	note->trap.interface = note->interface;
	note->trap.link = note->link;
	note->uptime = uptime;
	note->reqid = ipspd_netsnmp_reqid();
	make_room(sink);
	sink->queue[(sink->first + sink->n++) % IPSPD_SNMP_QUEUE] = note;
	ipspd_sink_work(sink);
}

/* ---------------------------------------------------------------- what is said, once */

void ipspd_sink_trouble(struct sink *sink, const char *why)
{
	if (sink->troubled)
		return;
	sink->troubled = true;
	ipspd_log(IPSP_LOG_WARNING, "snmp: notifications don't reach %s port %u: %s; trying again",
		  sink->conf.host, sink->conf.port, why);
}

static void delivered(struct sink *sink)
{
	if (sink->troubled)
		ipspd_log(IPSP_LOG_NOTICE, "snmp: notifications reach %s port %u again, at %s",
			  sink->conf.host, sink->conf.port, ipspd_sink_address(sink));
	sink->troubled = false;
	sink->unanswered = 0;
}

/* ---------------------------------------------------------------- its times */

void ipspd_sink_close(struct sink *sink)
{
	void *session = sink->session;

	sink->session = NULL; /* first: closing calls back for what is open */
	sink->state = SINK_CLOSED;
	sink->in_flight = false;
	sink->reset = false;
	if (sink->readable)
		event_free(sink->readable);
	sink->readable = NULL;
	if (session)
		ipspd_netsnmp_close(session);
}

void ipspd_sink_later(struct sink *sink, unsigned seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds};

	event_add(sink->timer, &tv);
}

unsigned ipspd_sink_patience(const struct sink *sink)
{
	const unsigned n = sink->n_addresses > 0 ? sink->n_addresses : 1;
	unsigned s = FIRST_REPEAT_S;

	for (unsigned i = 0; i < sink->unanswered / n && s < LAST_REPEAT_S; i++)
		s *= 2;
	return s < LAST_REPEAT_S ? s : LAST_REPEAT_S;
}

/* The timer goes off when net-snmp would give up on what is open. */
static void arm_timeout(struct sink *sink)
{
	struct timeval tv = {0};
	bool waits = ipspd_netsnmp_due(sink->session, &tv);

	tv.tv_usec += 1000; /* not a moment too early, which would only call for another */
	if (waits)
		event_add(sink->timer, &tv);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;

	(void)what;
	ipspd_netsnmp_read(sink->session, fd);
	ipspd_sink_work(sink);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;

	(void)fd, (void)what;
	if (sink->session)
		ipspd_netsnmp_timeout(sink->session);
	ipspd_sink_work(sink);
}

/* ---------------------------------------------------------------- its work */

void ipspd_sink_hurry(struct sink *sink)
{
	if (sink->n == 0 || sink->unanswered == 0 || sink->lookup)
		return;
	ipspd_sink_close(sink);
	sink->unanswered = 0;
	ipspd_sink_later(sink, 0);
}

static void next_address(struct sink *sink)
{
	ipspd_sink_close(sink);
	if (sink->n_addresses > 1)
		sink->at = (sink->at + 1) % sink->n_addresses;
}

/*
 * The system refused: there is no route, or no socket. The next address may do; after a round
 * through all of them there is a pause. False: it has begun.
 */
static bool refused(struct sink *sink)
{
	char why[160];

	snprintf(why, sizeof(why), "%s: %s", ipspd_sink_address(sink), ipspd_netsnmp_error());
	sink->unanswered++;
	next_address(sink);
	if (sink->n_addresses > 0 && sink->unanswered % sink->n_addresses != 0)
		return true;
	ipspd_sink_trouble(sink, why);
	ipspd_sink_later(sink, ipspd_sink_patience(sink));
	return false;
}

static bool open_session(struct sink *sink)
{
	int fd;

	sink->session = ipspd_netsnmp_open(sink);
	if (!sink->session)
		return false;
	fd = ipspd_netsnmp_fd(sink->session);
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	sink->readable = event_new(sink->snmp->base, fd, EV_READ | EV_PERSIST, on_readable, sink);
	if (!sink->readable || event_add(sink->readable, NULL) != 0) {
		ipspd_sink_close(sink);
		return false;
	}
	sink->state = sink->conf.version == IPSPD_SNMP_V3 && sink->conf.inform ? SINK_PROBING
									       : SINK_READY;
	return true;
}

/* What a callback of net-snmp's has left to do. False: there is a pause first. */
static bool start_over(struct sink *sink)
{
	const bool anew = sink->anew;

	if (sink->unanswered > 0 && sink->n_addresses > 0 &&
	    sink->unanswered % sink->n_addresses == 0)
		ipspd_sink_trouble(sink, "no answer");
	next_address(sink);
	sink->anew = false;
	if (!anew)
		return true;
	ipspd_sink_forget_addresses(sink);
	if (sink->n > 0 && !event_pending(sink->timer, EV_TIMEOUT, NULL))
		ipspd_sink_later(sink, ipspd_sink_patience(sink));
	return false;
}

void ipspd_sink_work(struct sink *sink)
{
	if (sink->reset && !start_over(sink))
		return;
	while (sink->n > 0 && !sink->in_flight && !sink->snmp->closing) {
		bool inform = sink->conf.inform;

		if (event_pending(sink->timer, EV_TIMEOUT, NULL))
			return; /* a pause after an error */
		if (!ipspd_sink_has_address(sink))
			return;
		if ((!sink->session && !open_session(sink)) || !ipspd_netsnmp_send(sink)) {
			if (refused(sink))
				continue;
			return;
		}
		sink->in_flight = inform;
		if (!inform) {
			delivered(sink);
			ipspd_sink_drop_first(sink);
		}
	}
	if (sink->in_flight)
		arm_timeout(sink);
	else
		event_del(sink->timer);
}

/* Called by net-snmp while it walks its own lists: so nothing is closed or sent here. */
void ipspd_sink_answered(struct sink *sink, enum sink_answer answer)
{
	sink->in_flight = false;
	event_del(sink->timer);
	switch (answer) {
	case SINK_ACKNOWLEDGED:
		sink->snmp->counts.acknowledged++;
		delivered(sink);
		ipspd_sink_drop_first(sink);
		return;
	case SINK_DISCOVERED:
		sink->state = SINK_READY;
		return;
	case SINK_SILENT:
		sink->unanswered++;
		sink->anew = sink->unanswered % (LOOK_AGAIN_AT * sink->n_addresses) == 0;
		sink->reset = sink->anew || sink->n_addresses > 1;
		return;
	case SINK_STRANGE:
		sink->unanswered++;
		sink->anew = sink->reset = true;
		return;
	}
}

/* ---------------------------------------------------------------- made and freed */

struct sink *ipspd_sink_new(struct ipspd_snmp *snmp, const struct ipspd_sink *conf)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return NULL;
	sink->snmp = snmp;
	ipspd_secret_memory(&sink->conf, sizeof(sink->conf));
	memcpy(&sink->conf, conf, sizeof(*conf));
	sink->timer = evtimer_new(snmp->base, on_timer, sink);
	if (sink->timer)
		return sink;
	ipspd_sink_free(sink);
	return NULL;
}

void ipspd_sink_free(struct sink *sink)
{
	if (!sink)
		return;
	ipspd_sink_stop_lookup(sink);
	ipspd_sink_close(sink);
	if (sink->timer)
		event_free(sink->timer);
	while (sink->n > 0)
		ipspd_sink_drop_first(sink);
	sodium_memzero(&sink->conf, sizeof(sink->conf));
	free(sink);
}
