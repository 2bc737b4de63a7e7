/*
 * subagent - the SNMP tables, as a subagent (AgentX, RFC 2741) of the host's snmpd. net-snmp's
 * library waits while it connects and asks whether its master is alive. So all of this is a process
 * of its own, which the monitor starts (agentx.h): what hangs here holds up nothing else.
 */
#ifndef MONITOR_SUBAGENT_H
#define MONITOR_SUBAGENT_H

/* @master: its socket, as snmpd.conf has it; "": net-snmp's default. Returns the exit status. */
int subagent_run(const char *control, const char *master);

#endif
