/*
 * config - what ipsp-monitor takes from the daemon's configuration file. Whether the file is right
 * is the daemon's to say (ipspd -t): all other keys are passed over here.
 */
#ifndef MONITOR_CONFIG_H
#define MONITOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#define MONITOR_NAMES_MAX 16

struct monitor_config {
	char socket[108]; /* the daemon's control socket */
	bool agentx;
	char master[128]; /* of agentx: the master agent's socket; "": net-snmp's default */
	char listen[128]; /* ADDRESS:PORT; "": no HTTP */
	char *names[MONITOR_NAMES_MAX]; /* n_names; owned: hosts' names that /etc/hosts or DNS has
					   for it */
	size_t n_names;
};

/* 0; -1: the file can't be read, or is wrong: @why says what to do. */
int monitor_config_read(struct monitor_config *config, const char *path, char why[512]);
void monitor_config_fini(struct monitor_config *config);

/* Splits "127.0.0.1:9618" or "[::1]:9618"; false: it is neither. */
bool monitor_config_listen(const char *text, char host[64], unsigned *port);

#endif
