#include "daemon/snmp.h"
#include "base/err.h"
#include "daemon/config.h"
#include "daemon/ctx.h"
#include "daemon/engine.h"
#include "daemon/log.h"
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <fcntl.h>
#include <net-snmp/net-snmp-config.h>
/* the order is net-snmp's */
#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/library/large_fd_set.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where the notifications of mibs/IPSPD-MIB.txt live: in net-snmp's playpen, until the project has
 * a number of its own. This is the one place to change, with the MIB's own line.
 */
#define IPSPD_MIB 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 4187

#define STARENT		1, 3, 6, 1, 4, 1, 8164
#define FIRST_REPEAT_S	1
#define LAST_REPEAT_S	60
#define RESOLVE_AGAIN_S 30 /* after a name that could not be resolved */
#define RESOLVED_FOR_MS (300u * 1000u)
#define FOR_EVER	UINT64_MAX
#define FORGET_ENGINE_AT                                                                           \
	3 /* after so many unanswered informs the address and the engine are looked up anew */

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

static void work(struct sink *sink);

/* ---------------------------------------------------------------- net-snmp without its files */

static int log_line(int major, int minor, void *message, void *arg)
{
	const struct snmp_log_message *log = message;
	int n = log->msg ? (int)strcspn(log->msg, "\n") : 0;

	(void)major, (void)minor, (void)arg;
	if (n > 0)
		ipspd_log(log->priority <= LOG_ERR ? IPSP_LOG_WARNING : IPSP_LOG_DEBUG,
			  "snmp: net-snmp says: %.*s", n, log->msg);
	return 0;
}

/*
 * Not init_snmp(): that reads snmp.conf and every MIB file, and snmp_shutdown() would write. Only
 * version 3 is set up; the callback makes its salts random and the user that engines are discovered
 * with.
 */
static void init_library(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_APPTYPE, "ipspd");
	snmp_disable_log();
	snmp_enable_calllog();
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, log_line, NULL);
	init_snmpv3("ipspd");
	snmp_call_callbacks(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_PREMIB_READ_CONFIG, NULL);
}

/* ---------------------------------------------------------------- what a notification says */

struct variables {
	netsnmp_pdu *pdu;
	bool scalar_zero, failed;
};

static void put(struct variables *vars, const oid *name, size_t len, u_char type, const void *value,
		size_t n)
{
	oid full[MAX_OID_LEN];

	memcpy(full, name, len * sizeof(*name));
	if (vars->scalar_zero)
		full[len++] = 0;
	if (!snmp_pdu_add_variable(vars->pdu, full, len, type, value, n))
		vars->failed = true;
}

static void put_text(struct variables *vars, const oid *name, size_t len, const char *text)
{
	put(vars, name, len, ASN_OCTET_STR, text, strlen(text));
}

/* An object of IPSPD-MIB: ipspdObjects.@column. */
static void put_own(struct variables *vars, oid column, u_char type, const void *value, size_t n)
{
	const oid name[] = {IPSPD_MIB, 1, column};

	put(vars, name, OID_LENGTH(name), type, value, n);
}

static void put_addr(struct variables *vars, oid column, struct ipsp_addr addr)
{
	char text[IPSP_ADDR_TEXT_MAX] = "";

	if (!ipsp_addr_is_none(addr))
		ipsp_addr_text(addr, text, sizeof(text));
	put_own(vars, column, ASN_OCTET_STR, text, strlen(text));
}

/* As StarOS fills it: with trap style starent the variables have no .0, and the enterprise comes
 * last. */
static void put_starent(struct variables *vars, const struct ipspd_snmp_trap *trap, bool starent)
{
	static const oid context[] = {STARENT, 1, 31, 5};
	static const oid interface[] = {STARENT, 1, 31, 6};
	static const oid enterprise[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 3};
	static const oid traps[] = {STARENT, 2};

	vars->scalar_zero = !starent;
	put_text(vars, context, OID_LENGTH(context), trap->context);
	put_text(vars, interface, OID_LENGTH(interface), trap->interface);
	if (!starent)
		return;
	vars->scalar_zero = true;
	put(vars, enterprise, OID_LENGTH(enterprise), ASN_OBJECT_ID, traps, sizeof(traps));
}

/* Numbers of the MIB, which the order of our own enums must not change. */
_Static_assert(IPSP_ROLE_NONE == 0 && IPSP_ROLE_PRIMARY == 1 && IPSP_ROLE_SECONDARY == 2,
	       "ipspdRole");
_Static_assert(IPSP_PEER_UNKNOWN == 0 && IPSP_PEER_UP == 1 && IPSP_PEER_LOST == 2 &&
		       IPSP_PEER_DOWN == 3,
	       "ipspdPeerState");

static void put_ipspd(struct variables *vars, const struct ipspd_snmp_trap *trap)
{
	long role = trap->role, peer_state = trap->peer_state;
	struct counter64 epoch = {(u_long)(trap->epoch >> 32), (u_long)(trap->epoch & 0xffffffff)};

	vars->scalar_zero = true;
	put_own(vars, 1, ASN_OCTET_STR, trap->context, strlen(trap->context));
	put_own(vars, 2, ASN_OCTET_STR, trap->interface, strlen(trap->interface));
	put_own(vars, 3, ASN_INTEGER, &role, sizeof(role));
	put_own(vars, 4, ASN_INTEGER, &peer_state, sizeof(peer_state));
	put_addr(vars, 5, trap->peer);
	put_own(vars, 6, ASN_COUNTER64, &epoch, sizeof(epoch));
	if (trap->trap == IPSP_TRAP_DUPLICATE)
		put_addr(vars, 7, trap->address);
}

/* The notifications of IPSPD-MIB: ipspdNotifications.N. */
static const oid own_numbers[IPSP_TRAPS] = {
	[IPSP_TRAP_PEER_UP] = 1,     [IPSP_TRAP_PEER_LOST] = 2,	      [IPSP_TRAP_PEER_DOWN] = 3,
	[IPSP_TRAP_ROLE_CHANGE] = 4, [IPSP_TRAP_CONFIG_MISMATCH] = 5, [IPSP_TRAP_DUPLICATE] = 6,
};

static netsnmp_pdu *make_pdu(const struct sink *sink, const struct notification *note)
{
	static const oid sys_uptime[] = {1, 3, 6, 1, 2, 1, 1, 3};
	static const oid trap_oid[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1};
	static const oid all_free[] = {STARENT, 2, 86};
	const oid own[] = {IPSPD_MIB, 0, own_numbers[note->trap.trap]};
	bool star = note->trap.trap == IPSP_TRAP_ALL_ADDRS_FREE;
	struct variables vars = {.scalar_zero = true};
	u_long uptime = note->uptime;

	vars.pdu = snmp_pdu_create(sink->conf->inform ? SNMP_MSG_INFORM : SNMP_MSG_TRAP2);
	if (!vars.pdu)
		return NULL;
	vars.pdu->reqid = note->reqid;
	put(&vars, sys_uptime, OID_LENGTH(sys_uptime), ASN_TIMETICKS, &uptime, sizeof(uptime));
	put(&vars, trap_oid, OID_LENGTH(trap_oid), ASN_OBJECT_ID, star ? all_free : own,
	    star ? sizeof(all_free) : sizeof(own));
	if (star)
		put_starent(&vars, &note->trap, sink->snmp->style == IPSPD_TRAP_STARENT);
	else
		put_ipspd(&vars, &note->trap);
	if (!vars.failed)
		return vars.pdu;
	snmp_free_pdu(vars.pdu);
	return NULL;
}

/* ---------------------------------------------------------------- the queue of a sink */

static void drop_first(struct sink *sink)
{
	free(sink->queue[sink->first]);
	sink->first = (sink->first + 1) % IPSPD_SNMP_QUEUE;
	sink->n--;
	sink->in_flight = false;
	if (sink->n == 0)
		sink->dropping = false;
}

static void make_room(struct sink *sink)
{
	if (sink->n < IPSPD_SNMP_QUEUE)
		return;
	if (!sink->dropping)
		ipspd_log(IPSP_LOG_WARNING,
			  "snmp: %s does not take notifications: %d wait, the oldest are dropped",
			  sink->conf->host, IPSPD_SNMP_QUEUE);
	sink->dropping = true;
	sink->snmp->counts.dropped++;
	drop_first(sink);
}

static void enqueue(struct sink *sink, const struct ipspd_snmp_trap *trap, uint32_t uptime)
{
	struct notification *note = calloc(1, sizeof(*note));

	if (!note) {
		sink->snmp->counts.dropped++;
		return;
	}
	note->trap = *trap;
	snprintf(note->context, sizeof(note->context), "%s", trap->context);
	snprintf(note->interface, sizeof(note->interface), "%s", trap->interface);
	note->trap.context = note->context;
	note->trap.interface = note->interface;
	note->uptime = uptime;
	note->reqid = snmp_get_next_reqid();
	make_room(sink);
	sink->queue[(sink->first + sink->n++) % IPSPD_SNMP_QUEUE] = note;
	work(sink);
}

/* ---------------------------------------------------------------- sessions */

static void close_session(struct sink *sink)
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
		snmp_sess_close(session);
}

static void later(struct sink *sink, unsigned seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds};

	event_add(sink->timer, &tv);
}

/* How long to wait for an answer, and after an error before the next try. */
static unsigned patience(const struct sink *sink)
{
	unsigned s = FIRST_REPEAT_S;

	for (unsigned i = 0; i < sink->unanswered && s < LAST_REPEAT_S; i++)
		s *= 2;
	return s < LAST_REPEAT_S ? s : LAST_REPEAT_S;
}

/* The timer goes off when net-snmp would give up on what is open. */
static void arm_timeout(struct sink *sink)
{
	netsnmp_large_fd_set fds;
	struct timeval tv = {0};
	int n_fds = 0, block = 1;

	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	snmp_sess_select_info2(sink->session, &n_fds, &fds, &tv, &block);
	netsnmp_large_fd_set_cleanup(&fds);
	tv.tv_usec += 1000; /* not a moment too early, which would only call for another */
	if (!block)
		event_add(sink->timer, &tv);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;
	netsnmp_large_fd_set fds;

	(void)what;
	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	netsnmp_large_fd_setfd(fd, &fds);
	snmp_sess_read2(sink->session, &fds);
	netsnmp_large_fd_set_cleanup(&fds);
	work(sink);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sink *sink = arg;

	(void)fd, (void)what;
	if (sink->session)
		snmp_sess_timeout(sink->session);
	work(sink);
}

static bool set_key(const oid *auth, size_t auth_len, const char *passphrase, u_char *key,
		    size_t *n_key)
{
	*n_key = USM_AUTH_KU_LEN;
	return generate_Ku(auth, (u_int)auth_len, (const u_char *)passphrase, strlen(passphrase),
			   key, n_key) == SNMPERR_SUCCESS;
}

static const char *const auth_words[] = {
	[IPSPD_AUTH_NONE] = "noauth",	 [IPSPD_AUTH_MD5] = "MD5",
	[IPSPD_AUTH_SHA] = "SHA",	 [IPSPD_AUTH_SHA224] = "SHA-224",
	[IPSPD_AUTH_SHA256] = "SHA-256", [IPSPD_AUTH_SHA384] = "SHA-384",
	[IPSPD_AUTH_SHA512] = "SHA-512",
};

static const char *const priv_words[] = {
	[IPSPD_PRIV_NONE] = "nopriv",
	[IPSPD_PRIV_DES] = "DES",
	[IPSPD_PRIV_AES] = "AES",
};

static const oid *auth_oid(enum ipspd_snmp_auth auth, size_t *len)
{
	return sc_get_auth_oid(usm_lookup_auth_type(auth_words[auth]), len);
}

static const oid *priv_oid(enum ipspd_snmp_priv priv, size_t *len)
{
	return sc_get_priv_oid(usm_lookup_priv_type(priv_words[priv]), len);
}

/* Fills in user and keys; what points into @conf is borrowed until the session was opened (which
 * copies). */
static bool set_user(netsnmp_session *session, const struct ipspd_sink *conf)
{
	size_t auth_len = 0, priv_len = 0;
	const oid *auth = auth_oid(conf->auth, &auth_len);
	const oid *priv = priv_oid(conf->priv, &priv_len);

	session->securityModel = SNMP_SEC_MODEL_USM;
	session->securityName = (char *)(uintptr_t)conf->user;
	session->securityNameLen = strlen(conf->user);
	session->securityLevel = conf->priv   ? SNMP_SEC_LEVEL_AUTHPRIV
				 : conf->auth ? SNMP_SEC_LEVEL_AUTHNOPRIV
					      : SNMP_SEC_LEVEL_NOAUTH;
	session->securityAuthProto = (oid *)(uintptr_t)auth;
	session->securityAuthProtoLen = auth_len;
	session->securityPrivProto = (oid *)(uintptr_t)priv;
	session->securityPrivProtoLen = priv_len;
	return auth && priv &&
	       (!conf->auth || set_key(auth, auth_len, conf->auth_passphrase,
				       session->securityAuthKey, &session->securityAuthKeyLen)) &&
	       (!conf->priv || set_key(auth, auth_len, conf->priv_passphrase,
				       session->securityPrivKey, &session->securityPrivKeyLen));
}

static int on_answer(int op, netsnmp_session *session, int reqid, netsnmp_pdu *pdu, void *arg);

static void *open_session(struct sink *sink)
{
	const struct ipspd_sink *conf = sink->conf;
	struct ipspd_engine *engine = &sink->snmp->engine;
	netsnmp_session session;
	char peer[IPSP_ADDR_TEXT_MAX + 32];
	void *opened = NULL;
	bool v6 = strchr(sink->address, ':') != NULL;

	snprintf(peer, sizeof(peer), v6 ? "udp6:[%s]:%u" : "udp:%s:%u", sink->address, conf->port);
	snmp_sess_init(&session);
	session.peername = peer;
	session.retries = 0; /* repeating is done here */
	session.callback = on_answer;
	session.callback_magic = sink;
	session.flags |= SNMP_FLAGS_DONT_PROBE; /* net-snmp's own discovery waits for the answer */
	if (conf->version == IPSPD_SNMP_V2C) {
		session.version = SNMP_VERSION_2c;
		session.community = (u_char *)(uintptr_t)conf->community;
		session.community_len = strlen(conf->community);
		return snmp_sess_open(&session);
	}
	session.version = SNMP_VERSION_3;
	if (!conf->inform) { /* the sender of a trap is its authoritative engine (RFC 3414, 1.5.1)
			      */
		session.securityEngineID = engine->id;
		session.securityEngineIDLen = sizeof(engine->id);
	}
	if (set_user(&session, conf))
		opened = snmp_sess_open(&session);
	sodium_memzero(&session, sizeof(session));
	return opened;
}

/* ---------------------------------------------------------------- names */

/* May be called by evdns_getaddrinfo itself: so it sends nothing, the timer does. */
static void on_resolved(int result, struct evutil_addrinfo *found, void *arg)
{
	struct sink *sink = arg;
	char text[INET6_ADDRSTRLEN] = "";

	sink->lookup = NULL;
	if (result == EVUTIL_EAI_CANCEL)
		return;
	if (result == 0 && found->ai_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, text,
			  sizeof(text));
	else if (result == 0 && found->ai_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr,
			  text, sizeof(text));
	if (found)
		evutil_freeaddrinfo(found);
	sink->resolved_ms = ipspd_now();
	if (sink->session && (!text[0] || strcmp(text, sink->address) == 0))
		return; /* looked up again while the old address serves: no news, or none to be had
			 */
	close_session(sink);
	snprintf(sink->address, sizeof(sink->address), "%s", text);
	if (!text[0])
		ipspd_log(IPSP_LOG_INFO, "snmp: %s can't be resolved: %s", sink->conf->host,
			  evutil_gai_strerror(result));
	later(sink, text[0] ? 0 : RESOLVE_AGAIN_S);
}

static struct evdns_base *resolver(struct ipspd_snmp *snmp)
{
	if (!snmp->dns)
		snmp->dns = evdns_base_new(snmp->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (snmp->dns && evdns_base_count_nameservers(snmp->dns) == 0) {
		/* the files may have come later than the daemon */
		evdns_base_clear_host_addresses(snmp->dns);
		evdns_base_resolv_conf_parse(snmp->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	}
	return snmp->dns;
}

static void resolve(struct sink *sink)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	struct evdns_base *dns = resolver(sink->snmp);

	if (sink->lookup)
		return;
	if (!sink->session)
		sink->state = SINK_RESOLVING;
	if (dns)
		sink->lookup =
			evdns_getaddrinfo(dns, sink->conf->host, NULL, &hints, on_resolved, sink);
	else
		later(sink, RESOLVE_AGAIN_S);
}

/* Is there an address to send to? If not, or if it is old, one is looked up. */
static bool have_address(struct sink *sink)
{
	struct ipsp_addr addr;

	if (sink->resolved_ms == FOR_EVER)
		return true;
	if (ipsp_addr_parse(sink->conf->host, &addr) == 0) {
		ipsp_addr_text(addr, sink->address, sizeof(sink->address));
		sink->resolved_ms = FOR_EVER;
		return true;
	}
	if (sink->address[0] == '\0' || ipspd_now() - sink->resolved_ms > RESOLVED_FOR_MS)
		resolve(sink);
	return sink->address[0] != '\0';
}

/* ---------------------------------------------------------------- sending */

/* Sends @pdu, which is then net-snmp's; false (and it is freed) when the system refused. */
static bool send_pdu(struct sink *sink, netsnmp_pdu *pdu)
{
	netsnmp_session *session = snmp_sess_session(sink->session);

	session->timeout = (long)patience(sink) * 1000000L;
	session->flags |= SNMP_FLAGS_DONT_PROBE; /* opening took the flag away */
	if (snmp_sess_async_send(sink->session, pdu, on_answer, sink)) {
		sink->snmp->counts.sent++;
		return true;
	}
	snmp_free_pdu(pdu);
	return false;
}

/* The empty request that an engine answers with its id (RFC 3414, 4). */
static bool probe(struct sink *sink)
{
	netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GET);

	if (!pdu)
		return false;
	pdu->version = SNMP_VERSION_3;
	pdu->securityName = strdup("");
	pdu->securityNameLen = 0;
	pdu->securityLevel = SNMP_SEC_LEVEL_NOAUTH;
	pdu->securityModel = SNMP_SEC_MODEL_USM;
	return send_pdu(sink, pdu);
}

static void discovered(struct sink *sink, netsnmp_session *session)
{
	if (session->securityEngineIDLen > 0 &&
	    usm_create_user_from_session(session) == SNMPERR_SUCCESS)
		sink->state = SINK_READY;
	else
		sink->reset = true;
}

/*
 * Called by net-snmp while it walks its own lists, so nothing is closed or sent here: work()
 * follows. A report instead of a response means that the receiver's engine is another one than it
 * was.
 */
static int on_answer(int op, netsnmp_session *session, int reqid, netsnmp_pdu *pdu, void *arg)
{
	struct sink *sink = arg;

	(void)reqid;
	if (!sink->session ||
	    (op != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE && op != NETSNMP_CALLBACK_OP_TIMED_OUT))
		return 1;
	sink->in_flight = false;
	event_del(sink->timer);
	if (op == NETSNMP_CALLBACK_OP_TIMED_OUT) {
		sink->unanswered++;
		sink->reset = sink->unanswered % FORGET_ENGINE_AT == 0;
	} else if (sink->state == SINK_PROBING) {
		discovered(sink, session);
	} else if (pdu->command == SNMP_MSG_RESPONSE && sink->n > 0) {
		sink->snmp->counts.acknowledged++;
		sink->unanswered = 0;
		drop_first(sink);
	} else {
		sink->unanswered++;
		sink->reset = true;
	}
	return 1;
}

static bool open_sink(struct sink *sink)
{
	int fd;

	if (!have_address(sink))
		return false;
	sink->session = open_session(sink);
	if (!sink->session) {
		ipspd_log(IPSP_LOG_INFO, "snmp: %s: %s", sink->conf->host,
			  snmp_api_errstring(snmp_errno));
		later(sink, patience(sink));
		sink->unanswered++;
		return false;
	}
	fd = snmp_sess_transport(sink->session)->sock;
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	sink->readable = event_new(sink->snmp->base, fd, EV_READ | EV_PERSIST, on_readable, sink);
	if (!sink->readable || event_add(sink->readable, NULL) != 0) {
		close_session(sink);
		return false;
	}
	sink->state = sink->conf->version == IPSPD_SNMP_V3 && sink->conf->inform ? SINK_PROBING
										 : SINK_READY;
	return true;
}

/* Sends the first of the queue, or the probe before it. */
static bool send_next(struct sink *sink)
{
	netsnmp_pdu *pdu;

	if (sink->state == SINK_PROBING)
		return probe(sink);
	pdu = make_pdu(sink, sink->queue[sink->first]);
	return pdu && send_pdu(sink, pdu);
}

/* Does what can be done now for one sink; what happens next calls it again. */
static void work(struct sink *sink)
{
	if (sink->reset) {
		close_session(sink);
		if (sink->resolved_ms != FOR_EVER)
			sink->address[0] = '\0';
		if (sink->n > 0 && !event_pending(sink->timer, EV_TIMEOUT, NULL))
			later(sink, patience(sink));
		return;
	}
	while (sink->n > 0 && !sink->in_flight && !sink->snmp->closing) {
		bool inform = sink->conf->inform;

		if (event_pending(sink->timer, EV_TIMEOUT, NULL))
			return; /* a pause after an error */
		if (!sink->session && !open_sink(sink))
			return;
		if (!send_next(sink)) {
			later(sink, patience(sink));
			sink->unanswered++;
			return;
		}
		sink->in_flight = inform;
		if (!inform) {
			sink->unanswered = 0;
			drop_first(sink);
		}
	}
	if (sink->in_flight)
		arm_timeout(sink);
	else
		event_del(sink->timer);
}

/* ---------------------------------------------------------------- the whole */

void ipspd_snmp_send(struct ipspd_snmp *snmp, const struct ipspd_snmp_trap *trap)
{
	uint32_t uptime = (uint32_t)((ipspd_now() - snmp->started_ms) / 10);

	for (size_t i = 0; i < snmp->n_sinks; i++)
		enqueue(&snmp->sinks[i], trap, uptime);
}

void ipspd_snmp_trap(struct ipspd_snmp *snmp, struct ipspd_ctx *ctx, const struct ipsp_out *out)
{
	struct ipspd_snmp_trap trap = {.trap = out->trap, .context = ctx->name};
	struct ipsp_status status;

	ipsp_node_status(ctx->node, ipspd_now(), &status);
	trap.interface = status.conf->psp.interface;
	trap.role = status.role;
	trap.peer_state = status.peer_state;
	trap.peer = status.conf->psp.peer;
	trap.epoch = status.epoch;
	if (out->trap == IPSP_TRAP_DUPLICATE)
		trap.address = out->addr;
	ipspd_snmp_send(snmp, &trap);
}

void ipspd_snmp_counts(const struct ipspd_snmp *snmp, struct ipspd_snmp_counts *counts)
{
	*counts = snmp->counts;
	for (size_t i = 0; i < snmp->n_sinks; i++)
		counts->queued += snmp->sinks[i].n;
}

bool ipspd_snmp_serves(const struct ipspd_snmp *snmp, const struct ipspd_config *config)
{
	/* byte by byte: what config.c reads a sink into was all zeros */
	return snmp->style == config->trap_style && snmp->n_sinks == config->n_sinks &&
	       (config->n_sinks == 0 ||
		memcmp(snmp->confs, config->sinks, config->n_sinks * sizeof(*config->sinks)) == 0);
}

static bool check_protocols(const struct ipspd_snmp *snmp, char *why, size_t n_why)
{
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		const struct ipspd_sink *conf = &snmp->confs[i];
		size_t len;

		if (auth_oid(conf->auth, &len) && priv_oid(conf->priv, &len))
			continue;
		snprintf(why, n_why, "snmp: sink %s: this host's net-snmp knows no %s", conf->host,
			 auth_oid(conf->auth, &len) ? priv_words[conf->priv]
						    : auth_words[conf->auth]);
		return false;
	}
	return true;
}

/* As a version 3 engine, where there are such sinks. */
static bool start_engine(struct ipspd_snmp *snmp, const char *directory, char *why, size_t n_why)
{
	char text[2 * IPSPD_ENGINE_ID + 1];
	bool needed = false;
	int err;

	for (size_t i = 0; i < snmp->n_sinks; i++)
		needed |= snmp->confs[i].version == IPSPD_SNMP_V3;
	if (!needed)
		return true;
	err = ipspd_engine_load(directory, &snmp->engine, why, n_why);
	if (err < 0)
		return false;
	ipspd_log(err == 1 ? IPSP_LOG_NOTICE : IPSP_LOG_INFO, "snmp: our engine id is 0x%s%s",
		  ipspd_engine_text(&snmp->engine, text),
		  err == 1 ? ", a new one: receivers of traps must be told" : "");
	set_enginetime(snmp->engine.id, sizeof(snmp->engine.id), snmp->engine.boots, 0, TRUE);
	return true;
}

static bool start_sinks(struct ipspd_snmp *snmp)
{
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		struct sink *sink = &snmp->sinks[i];

		sink->snmp = snmp;
		sink->conf = &snmp->confs[i];
		sink->timer = evtimer_new(snmp->base, on_timer, sink);
		if (!sink->timer)
			return false;
		have_address(sink); /* a name is looked up before the first trap, not with it */
	}
	return true;
}

struct ipspd_snmp *ipspd_snmp_new(struct ipspd *d, char *why, size_t n_why)
{
	const struct ipspd_config *config = d->config;
	struct ipspd_snmp *snmp = calloc(1, sizeof(*snmp));

	snprintf(why, n_why, "snmp: memory ran out");
	if (!snmp)
		return NULL;
	init_library();
	snmp->base = d->base;
	snmp->started_ms = d->started_ms;
	snmp->style = config->trap_style;
	snmp->n_sinks = config->n_sinks;
	snmp->confs = calloc(config->n_sinks + 1, sizeof(*snmp->confs));
	snmp->sinks = calloc(config->n_sinks + 1, sizeof(*snmp->sinks));
	if (!snmp->confs || !snmp->sinks) {
		snmp->n_sinks = 0;
		ipspd_snmp_free(snmp);
		return NULL;
	}
	if (config->n_sinks > 0)
		memcpy(snmp->confs, config->sinks, config->n_sinks * sizeof(*snmp->confs));
	if (check_protocols(snmp, why, n_why) &&
	    start_engine(snmp, config->state_directory, why, n_why) && start_sinks(snmp)) {
		why[0] = '\0';
		return snmp;
	}
	ipspd_snmp_free(snmp);
	return NULL;
}

/* net-snmp keeps users by engine and name: after a reload a changed passphrase must not find the
 * old keys. */
static void forget_users(void)
{
	struct usmUser *user = usm_get_userList();

	while (user) {
		struct usmUser *next = user->next;

		if (user->secName && user->secName[0]) { /* all but the one that probes */
			usm_remove_user(user);
			usm_free_user(user);
		}
		user = next;
	}
}

void ipspd_snmp_free(struct ipspd_snmp *snmp)
{
	if (!snmp)
		return;
	snmp->closing = true;
	for (size_t i = 0; i < snmp->n_sinks; i++) {
		struct sink *sink = &snmp->sinks[i];

		if (sink->lookup)
			evdns_getaddrinfo_cancel(sink->lookup);
		close_session(sink);
		if (sink->timer)
			event_free(sink->timer);
		while (sink->n > 0)
			drop_first(sink);
	}
	forget_users();
	if (snmp->dns)
		evdns_base_free(snmp->dns, 1);
	if (snmp->confs)
		sodium_memzero(snmp->confs, snmp->n_sinks * sizeof(*snmp->confs));
	free(snmp->confs);
	free(snmp->sinks);
	free(snmp);
}
