/*
 * netsnmp - net-snmp, in the one file that knows it: the library without files of its own, what a
 * notification says, and the sessions that send it. When to do what is decided in snmp.c.
 */
#include "daemon/log.h"
#include "daemon/secret.h"
#include "daemon/snmp_int.h"
#include <event2/event.h>
#include <net-snmp/net-snmp-config.h>
/* the order is net-snmp's */
#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/library/large_fd_set.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/*
 * Where the notifications of mibs/IPSPD-MIB.txt live: in net-snmp's playpen, until the project has
 * a number of its own. This is the one place to change, with the MIB's own line.
 */
#define IPSPD_MIB 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 4187

#define STARENT 1, 3, 6, 1, 4, 1, 8164

#define FRAMES ((size_t)16 << 10) /* of net-snmp and libcrypto, which have keys in theirs */

/* ---------------------------------------------------------------- the library without its files */

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
void ipspd_netsnmp_init(void)
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

long ipspd_netsnmp_reqid(void)
{
	return snmp_get_next_reqid();
}

const char *ipspd_netsnmp_error(void)
{
	return snmp_api_errstring(snmp_errno);
}

void ipspd_netsnmp_set_engine(const struct ipspd_engine *engine)
{
	set_enginetime(engine->id, sizeof(engine->id), engine->boots, 0, TRUE);
}

/* net-snmp keeps users by engine and name: after a reload a changed passphrase must not find the
 * old keys. */
void ipspd_netsnmp_forget_users(void)
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
		       IPSP_PEER_DOWN == 3 && IPSP_PEER_STOPPED == 4,
	       "ipspdPeerState");
_Static_assert(IPSP_MISMATCH_NONE == 0 && IPSP_MISMATCH_POOLS == 1 && IPSP_MISMATCH_ROLES == 2 &&
		       IPSP_MISMATCH_VERSIONS == 3 && IPSP_MISMATCH_BOOKS == 4,
	       "ipspdMismatch");

static void put_truth(struct variables *vars, oid column, bool value)
{
	long truth = value ? 1 : 2; /* TruthValue */

	put_own(vars, column, ASN_INTEGER, &truth, sizeof(truth));
}

static void put_word(struct variables *vars, oid column, const char *word)
{
	put_own(vars, column, ASN_OCTET_STR, word, strlen(word));
}

/* What only some of them say, behind what all do. */
static void put_more(struct variables *vars, const struct ipspd_snmp_trap *trap)
{
	const char *waiting = ipsp_waiting_word(trap->waiting);
	long mismatch = trap->mismatch;

	switch (trap->trap) {
	case IPSP_TRAP_DUPLICATE:
	case IPSP_TRAP_DUPLICATE_FOUND:
		put_addr(vars, 7, trap->address);
		return;
	case IPSP_TRAP_SERVING_CHANGE:
		put_truth(vars, 8, trap->serving);
		put_word(vars, 9, waiting ? waiting : "");
		return;
	case IPSP_TRAP_LINK_CHANGE:
		put_word(vars, 10, trap->link ? trap->link : "");
		return;
	case IPSP_TRAP_PEER_LOST:
	case IPSP_TRAP_PEER_STOPPED:
		put_truth(vars, 11, trap->shared);
		return;
	case IPSP_TRAP_CONFIG_MISMATCH:
		put_own(vars, 12, ASN_INTEGER, &mismatch, sizeof(mismatch));
		return;
	case IPSP_TRAP_DISK_FULL:
		put_truth(vars, 13, trap->disk_full);
		return;
	case IPSP_TRAP_ALL_ADDRS_FREE:
	case IPSP_TRAP_PEER_UP:
	case IPSP_TRAP_PEER_DOWN:
	case IPSP_TRAP_ROLE_CHANGE:
	case IPSP_TRAPS:
		return;
	}
}

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
	put_more(vars, trap);
}

/* The notifications of IPSPD-MIB: ipspdNotifications.N. */
static const oid own_numbers[IPSP_TRAPS] = {
	[IPSP_TRAP_PEER_UP] = 1,	  [IPSP_TRAP_PEER_LOST] = 2,
	[IPSP_TRAP_PEER_DOWN] = 3,	  [IPSP_TRAP_ROLE_CHANGE] = 4,
	[IPSP_TRAP_CONFIG_MISMATCH] = 5,  [IPSP_TRAP_DUPLICATE] = 6,
	[IPSP_TRAP_SERVING_CHANGE] = 7,	  [IPSP_TRAP_LINK_CHANGE] = 8,
	[IPSP_TRAP_PEER_STOPPED] = 9,	  [IPSP_TRAP_DISK_FULL] = 10,
	[IPSP_TRAP_DUPLICATE_FOUND] = 11,
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

	vars.pdu = snmp_pdu_create(sink->conf.inform ? SNMP_MSG_INFORM : SNMP_MSG_TRAP2);
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

/* ---------------------------------------------------------------- users */

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

const char *ipspd_netsnmp_unknown(const struct ipspd_sink *conf)
{
	size_t len;

	if (!auth_oid(conf->auth, &len))
		return auth_words[conf->auth];
	return priv_oid(conf->priv, &len) ? NULL : priv_words[conf->priv];
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

/* What net-snmp keeps of it for itself: the session with its keys and community, and the users. */
static void lock_copies(const netsnmp_session *session)
{
	ipspd_secret_memory(session, sizeof(*session));
	ipspd_secret_memory(session->community, session->community_len);
	for (const struct usmUser *user = usm_get_userList(); user; user = user->next) {
		ipspd_secret_memory(user->authKey, user->authKeyLen);
		ipspd_secret_memory(user->authKeyKu, user->authKeyKuLen);
		ipspd_secret_memory(user->privKey, user->privKeyLen);
		ipspd_secret_memory(user->privKeyKu, user->privKeyKuLen);
	}
	sodium_stackzero(FRAMES);
}

/* ---------------------------------------------------------------- answers */

static enum sink_answer discovered(netsnmp_session *session)
{
	if (session->securityEngineIDLen == 0 ||
	    usm_create_user_from_session(session) != SNMPERR_SUCCESS)
		return SINK_STRANGE;
	lock_copies(session);
	return SINK_DISCOVERED;
}

/*
 * Called by net-snmp while it walks its own lists. A report instead of a response means that the
 * receiver's engine is another one than it was.
 */
static int on_answer(int op, netsnmp_session *session, int reqid, netsnmp_pdu *pdu, void *arg)
{
	struct sink *sink = arg;

	(void)reqid;
	if (!sink->session ||
	    (op != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE && op != NETSNMP_CALLBACK_OP_TIMED_OUT))
		return 1;
	if (op == NETSNMP_CALLBACK_OP_TIMED_OUT)
		ipspd_sink_answered(sink, SINK_SILENT);
	else if (sink->state == SINK_PROBING)
		ipspd_sink_answered(sink, discovered(session));
	else if (pdu->command == SNMP_MSG_RESPONSE && sink->n > 0)
		ipspd_sink_answered(sink, SINK_ACKNOWLEDGED);
	else
		ipspd_sink_answered(sink, SINK_STRANGE);
	return 1;
}

/* ---------------------------------------------------------------- a session */

void *ipspd_netsnmp_open(struct sink *sink)
{
	const struct ipspd_sink *conf = &sink->conf;
	struct ipspd_engine *engine = &sink->snmp->engine;
	const char *address = ipspd_sink_address(sink);
	netsnmp_session session;
	char peer[IPSP_ADDR_TEXT_MAX + 32], source[IPSP_ADDR_TEXT_MAX];
	void *opened = NULL;
	bool v6 = strchr(address, ':') != NULL;

	snprintf(peer, sizeof(peer), v6 ? "udp6:[%s]:%u" : "udp:%s:%u", address, conf->port);
	snmp_sess_init(&session);
	session.peername = peer;
	if (!ipsp_addr_is_none(sink->snmp->source)) {
		ipsp_addr_text(sink->snmp->source, source, sizeof(source));
		session.localname = source;
	}
	session.retries = 0; /* repeating is done here */
	session.callback = on_answer;
	session.callback_magic = sink;
	session.flags |= SNMP_FLAGS_DONT_PROBE; /* net-snmp's own discovery waits for the answer */
	if (conf->version == IPSPD_SNMP_V2C) {
		session.version = SNMP_VERSION_2c;
		session.community = (u_char *)(uintptr_t)conf->community;
		session.community_len = strlen(conf->community);
		opened = snmp_sess_open(&session);
		if (opened)
			lock_copies(snmp_sess_session(opened));
		return opened;
	}
	session.version = SNMP_VERSION_3;
	if (!conf->inform) { /* the sender of a trap is its authoritative engine (RFC 3414, 1.5.1)
			      */
		session.securityEngineID = engine->id;
		session.securityEngineIDLen = sizeof(engine->id);
	}
	if (set_user(&session, conf))
		opened = snmp_sess_open(&session);
	if (opened)
		lock_copies(snmp_sess_session(opened));
	sodium_memzero(&session, sizeof(session));
	return opened;
}

int ipspd_netsnmp_fd(void *session)
{
	return snmp_sess_transport(session)->sock;
}

void ipspd_netsnmp_read(void *session, int fd)
{
	netsnmp_large_fd_set fds;

	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	netsnmp_large_fd_setfd(fd, &fds);
	snmp_sess_read2(session, &fds);
	netsnmp_large_fd_set_cleanup(&fds);
}

void ipspd_netsnmp_timeout(void *session)
{
	snmp_sess_timeout(session);
}

bool ipspd_netsnmp_due(void *session, struct timeval *tv)
{
	netsnmp_large_fd_set fds;
	int n_fds = 0, block = 1;

	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	snmp_sess_select_info2(session, &n_fds, &fds, tv, &block);
	netsnmp_large_fd_set_cleanup(&fds);
	return !block;
}

/* It wipes the keys of its users, and not those of its sessions. */
void ipspd_netsnmp_close(void *session)
{
	netsnmp_session *inside = snmp_sess_session(session);

	sodium_memzero(inside->securityAuthKey, sizeof(inside->securityAuthKey));
	sodium_memzero(inside->securityPrivKey, sizeof(inside->securityPrivKey));
	if (inside->community)
		sodium_memzero(inside->community, inside->community_len);
	snmp_sess_close(session);
}

/* ---------------------------------------------------------------- sending */

/* Sends @pdu, which is then net-snmp's; false (and it is freed) when the system refused. */
static bool send_pdu(struct sink *sink, netsnmp_pdu *pdu)
{
	netsnmp_session *session = snmp_sess_session(sink->session);

	session->timeout = (long)ipspd_sink_patience(sink) * 1000000L;
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

/* Sends the first of the queue, or the probe before it. */
bool ipspd_netsnmp_send(struct sink *sink)
{
	netsnmp_pdu *pdu;

	if (sink->state == SINK_PROBING)
		return probe(sink);
	pdu = make_pdu(sink, sink->queue[sink->first]);
	return pdu && send_pdu(sink, pdu);
}
