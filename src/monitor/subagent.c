#include "monitor/subagent.h"
#include "monitor/say.h"
#include "monitor/tables.h"
#include <arpa/inet.h>
#include <ipsp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* net-snmp's headers are not clean by our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/agent/agent_callbacks.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#pragma GCC diagnostic pop

#define FRESH_MS    1000
#define OLD_MS	    60000 /* rows that are older are told no more */
#define PATIENCE_MS 400	  /* snmpd waits for us for a second */
#define PAUSE_MS    5000  /* after a daemon that didn't answer */
#define PING_S	    5

#define IPSPD_MIB 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 4187 /* as in the daemon's netsnmp.c */
#define STARENT	  1, 3, 6, 1, 4, 1, 8164

static const oid context_oid[] = {IPSPD_MIB, 1, 20}, pool_oid[] = {IPSPD_MIB, 1, 21};
static const oid star_pool_oid[] = {STARENT, 1, 30, 1}, star_group_oid[] = {STARENT, 1, 64, 1};

/* The types of the columns from 1 on: i INTEGER, g Gauge32, c Counter64, s text, a IpAddress, -
 * none that can be read. */
static const struct {
	const char *name;
	const oid *oid;
	size_t n_oid;
	unsigned n_index; /* texts; the last one is IMPLIED */
	const char *types;
} tables[TABLES] = {
	{"ipspdContextTable", context_oid, OID_LENGTH(context_oid), 1, "-siiiiisgcicgc"},
	{"ipspdPoolTable", pool_oid, OID_LENGTH(pool_oid), 2, "--gggggggg"},
	{"starIPPoolTable", star_pool_oid, OID_LENGTH(star_pool_oid), 1, "g-sssiiaaigggg"},
	{"starIPPoolGroupTable", star_group_oid, OID_LENGTH(star_group_oid), 1, "--ssggggig"},
};

static struct {
	const char *control;
	struct ipsp_call *call;
	int64_t asked_ms, answered_ms; /* 0: never */
	json_t *rows[TABLES];	       /* what the tables' rows point into */
	netsnmp_tdata *tdata[TABLES];
	volatile sig_atomic_t stop;
	bool connected, said;
} agent;

/* ---------------------------------------------------------------- asking the daemon */

static json_t *ask_one(const char *what)
{
	json_t *root = NULL;
	char *text = NULL;

	if (ipsp_call_show(agent.call, NULL, what, NULL, &text, NULL, PATIENCE_MS) == 0)
		root = json_loads(text, 0, NULL);
	free(text);
	return root;
}

static void clear(enum table_id t)
{
	netsnmp_tdata_row *row;

	while ((row = netsnmp_tdata_row_first(agent.tdata[t])))
		netsnmp_tdata_remove_and_delete_row(agent.tdata[t], row);
	json_decref(agent.rows[t]);
	agent.rows[t] = NULL;
}

static void add_row(enum table_id t, json_t *one)
{
	const json_t *index = json_object_get(one, "index"), *part;
	netsnmp_tdata_row *row = netsnmp_tdata_create_row();
	size_t i;

	if (!row)
		return;
	row->data = json_object_get(one, "columns");
	json_array_foreach(index, i, part)
	{
		const u_char type =
			i + 1 < tables[t].n_index ? ASN_OCTET_STR : ASN_PRIV_IMPLIED_OCTET_STR;

		netsnmp_tdata_row_add_index(row, type, json_string_value(part),
					    json_string_length(part));
	}
	/* two groups whose first 16 characters are the same */
	if (netsnmp_tdata_add_row(agent.tdata[t], row) != SNMPERR_SUCCESS)
		netsnmp_tdata_delete_row(row);
}

static void fill(const json_t *ipsp, const json_t *pool)
{
	json_t *one;
	size_t i;

	for (enum table_id t = 0; t < TABLES; t++) {
		clear(t);
		agent.rows[t] = tables_rows(t, ipsp, pool);
		json_array_foreach(agent.rows[t], i, one) add_row(t, one);
	}
}

static bool ask(void)
{
	json_t *ipsp = NULL, *pool = NULL;
	bool ok;

	if (!agent.call && ipsp_call_open(&agent.call, agent.control,
					  "ipsp-monitor (AgentX) " IPSPD_VERSION, PATIENCE_MS) != 0)
		return false;
	ipsp = ask_one("ipsp");
	if (ipsp)
		pool = ask_one("pool");
	ok = ipsp && pool;
	if (ok)
		fill(ipsp, pool);
	json_decref(ipsp);
	json_decref(pool);
	if (!ok) {
		ipsp_call_close(agent.call);
		agent.call = NULL;
	}
	return ok;
}

static void refresh(void)
{
	const int64_t now = monitor_now();
	const bool failed = agent.asked_ms > agent.answered_ms;

	if (agent.asked_ms && now - agent.asked_ms < (failed ? PAUSE_MS : FRESH_MS))
		return;
	agent.asked_ms = now;
	if (ask())
		agent.answered_ms = agent.asked_ms = monitor_now();
	else if (agent.answered_ms && now - agent.answered_ms > OLD_MS)
		fill(NULL, NULL);
}

/* ---------------------------------------------------------------- answering */

static void set_value(netsnmp_request_info *request, char type, const json_t *value)
{
	const json_int_t n = json_integer_value(value);
	const char *text = json_string_value(value);
	const uint32_t gauge = n > (json_int_t)UINT32_MAX ? UINT32_MAX : (uint32_t)n;
	const struct counter64 counter = {.high = (u_long)((uint64_t)n >> 32),
					  .low = (u_long)((uint64_t)n & UINT32_MAX)};
	in_addr_t addr;

	switch (type) {
	case 'g':
		snmp_set_var_typed_integer(request->requestvb, ASN_GAUGE, (long)gauge);
		return;
	case 'i':
		snmp_set_var_typed_integer(request->requestvb, ASN_INTEGER, (long)n);
		return;
	case 'c':
		snmp_set_var_typed_value(request->requestvb, ASN_COUNTER64, &counter,
					 sizeof(counter));
		return;
	case 'a':
		addr = inet_addr(text ? text : "0.0.0.0");
		snmp_set_var_typed_value(request->requestvb, ASN_IPADDRESS, &addr, sizeof(addr));
		return;
	default:
		snmp_set_var_typed_value(request->requestvb, ASN_OCTET_STR, text ? text : "",
					 text ? strlen(text) : 0);
	}
}

static int on_request(netsnmp_mib_handler *handler, netsnmp_handler_registration *reginfo,
		      netsnmp_agent_request_info *reqinfo, netsnmp_request_info *requests)
{
	const enum table_id t = *(const enum table_id *)handler->myvoid;

	(void)reginfo;
	for (netsnmp_request_info *r = requests; r && reqinfo->mode == MODE_GET; r = r->next) {
		const json_t *columns = netsnmp_tdata_extract_entry(r), *value;
		const netsnmp_table_request_info *info = netsnmp_extract_table_info(r);
		const unsigned number = info ? info->colnum : 0;
		char column[16];

		snprintf(column, sizeof(column), "%u", number);
		value = json_object_get(columns, column);
		if (value && number >= 1 && number <= strlen(tables[t].types))
			set_value(r, tables[t].types[number - 1], value);
		else
			netsnmp_set_request_error(reqinfo, r, SNMP_NOSUCHINSTANCE);
	}
	return SNMP_ERR_NOERROR;
}

/* Before the rows are looked for. */
static int before_request(netsnmp_mib_handler *handler, netsnmp_handler_registration *reginfo,
			  netsnmp_agent_request_info *reqinfo, netsnmp_request_info *requests)
{
	refresh();
	return netsnmp_call_next_handler(handler, reginfo, reqinfo, requests);
}

static bool register_table(enum table_id t)
{
	static enum table_id ids[TABLES];
	static netsnmp_table_registration_info infos[TABLES]; /* as long as the tables are there */
	netsnmp_table_registration_info *info = &infos[t];
	netsnmp_handler_registration *reg = netsnmp_create_handler_registration(
		tables[t].name, on_request, tables[t].oid, tables[t].n_oid, HANDLER_CAN_RONLY);

	agent.tdata[t] = netsnmp_tdata_create_table(tables[t].name, 0);
	if (!reg || !agent.tdata[t])
		return false;
	ids[t] = t;
	reg->handler->myvoid = &ids[t];
	for (unsigned i = 0; i < tables[t].n_index; i++)
		netsnmp_table_helper_add_indexes(
			info,
			i + 1 < tables[t].n_index ? ASN_OCTET_STR : ASN_PRIV_IMPLIED_OCTET_STR, 0);
	info->min_column = (unsigned)strspn(tables[t].types, "-") + 1;
	info->max_column = (unsigned)strlen(tables[t].types);
	return netsnmp_tdata_register(reg, agent.tdata[t], info) == MIB_REGISTERED_OK &&
	       netsnmp_inject_handler(reg, netsnmp_create_handler("ipspd", before_request)) ==
		       SNMPERR_SUCCESS;
}

/* ---------------------------------------------------------------- running */

static int on_master(int major, int minor, void *server_arg, void *client_arg)
{
	(void)major, (void)server_arg, (void)client_arg;
	if (minor == SNMPD_CALLBACK_INDEX_START) {
		monitor_say("AgentX: connected to snmpd");
		agent.connected = agent.said = true;
	} else if (agent.connected) {
		monitor_say("AgentX: snmpd is gone; trying again each %d s", PING_S);
		agent.connected = false;
	}
	return SNMPERR_SUCCESS;
}

static void on_stop(int sig)
{
	(void)sig;
	agent.stop = 1;
}

static void settings(const char *master)
{
	netsnmp_enable_subagent();
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	if (*master)
		netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, master);
	setenv("MIBS", "", 1); /* it speaks in numbers, and needs no names */
	netsnmp_register_loghandler(NETSNMP_LOGHANDLER_NONE, LOG_DEBUG); /* a line for each try */
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_master,
			       NULL);
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_master,
			       NULL);
}

int subagent_run(const char *control, const char *master)
{
	agent.control = control;
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	signal(SIGPIPE, SIG_IGN);
	settings(master);
	if (init_agent("ipsp-monitor") != 0) {
		monitor_say("AgentX: net-snmp's agent library can't begin");
		return EXIT_FAILURE;
	}
	netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL,
			   PING_S);
	for (enum table_id t = 0; t < TABLES; t++)
		if (!register_table(t))
			return EXIT_FAILURE;
	init_snmp("ipsp-monitor");
	if (!agent.said)
		monitor_say("AgentX: no snmpd at %s; trying again each %d s (snmpd.conf: master "
			    "agentx, agentXPerms)",
			    *master ? master : "its default socket", PING_S);
	while (!agent.stop)
		agent_check_and_process(1);
	snmp_shutdown("ipsp-monitor");
	shutdown_agent();
	ipsp_call_close(agent.call);
	return EXIT_SUCCESS;
}
