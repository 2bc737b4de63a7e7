/* agentx - starts the process with the SNMP tables (subagent.h), and again when it has ended. */
#ifndef MONITOR_AGENTX_H
#define MONITOR_AGENTX_H

struct event_base;
struct agentx;

/* NULL: no memory. */
struct agentx *agentx_new(struct event_base *base, const char *control, const char *master);
void agentx_free(struct agentx *agentx); /* ends that process; NULL is fine */

#endif
