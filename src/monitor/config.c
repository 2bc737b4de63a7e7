#include "monitor/config.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ipsp.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool monitor_config_listen(const char *text, char host[64], unsigned *port)
{
	const char *colon = strrchr(text, ':');
	const bool brackets = text[0] == '[';
	const size_t n = colon ? (size_t)(colon - text) : 0;
	unsigned char bytes[16];
	unsigned long number;
	char *end;

	if (n < 3 || n - 2 * brackets >= 64 || colon[1] < '0' || colon[1] > '9')
		return false;
	if (brackets && colon[-1] != ']')
		return false;
	number = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || number < 1 || number > 65535)
		return false;
	memcpy(host, text + brackets, n - 2 * brackets);
	host[n - 2 * brackets] = '\0';
	*port = (unsigned)number;
	return inet_pton(brackets ? AF_INET6 : AF_INET, host, bytes) == 1;
}

/* False: it doesn't fit. */
static bool copy(char *to, size_t size, const char *text)
{
	const size_t n = strlen(text);

	if (n >= size)
		return false;
	memcpy(to, text, n + 1);
	return true;
}

static int read_names(struct monitor_config *config, const config_setting_t *names, char why[512])
{
	const int n = names ? config_setting_length(names) : 0;

	if (n > MONITOR_NAMES_MAX) {
		snprintf(why, 512, "http.names: %d are the most", MONITOR_NAMES_MAX);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		const char *name = config_setting_get_string_elem(names, i);

		if (!name) {
			snprintf(why, 512, "http.names: a list of texts");
			return -1;
		}
		config->names[config->n_names] = strdup(name);
		if (config->names[config->n_names])
			config->n_names++;
	}
	return 0;
}

/* true, false, or a socket. */
static int read_agentx(struct monitor_config *config, const config_setting_t *agentx, char why[512])
{
	const char *text = agentx ? config_setting_get_string(agentx) : NULL;

	if (agentx && !text)
		config->agentx = config_setting_get_bool(agentx) != 0;
	if (!text)
		return 0;
	config->agentx = true;
	if (copy(config->master, sizeof(config->master), text))
		return 0;
	snprintf(why, 512, "snmp.agentx: a socket's name has 127 bytes at most");
	return -1;
}

static int read_settings(struct monitor_config *config, const config_t *file, char why[512])
{
	const config_setting_t *http = config_lookup(file, "http");
	const char *text = NULL;
	unsigned port;
	char host[64];

	if (config_lookup_string(file, "control.socket", &text) &&
	    !copy(config->socket, sizeof(config->socket), text)) {
		snprintf(why, 512, "control.socket: a socket's name has 107 bytes at most");
		return -1;
	}
	if (read_agentx(config, config_lookup(file, "snmp.agentx"), why) != 0)
		return -1;
	if (!http)
		return 0;
	text = "127.0.0.1:9618";
	config_setting_lookup_string(http, "listen", &text);
	if (!copy(config->listen, sizeof(config->listen), text) ||
	    !monitor_config_listen(config->listen, host, &port)) {
		snprintf(why, 512,
			 "http.listen: \"%.100s\" is not ADDRESS:PORT; an IPv6 address stands in "
			 "brackets: [::1]:9618",
			 text);
		return -1;
	}
	return read_names(config, config_setting_get_member(http, "names"), why);
}

int monitor_config_read(struct monitor_config *config, const char *path, char why[512])
{
	config_t file;
	FILE *stream;
	int err = -1;

	*config = (struct monitor_config){.socket = IPSP_SOCKET};
	stream = fopen(path, "re");
	if (!stream) {
		snprintf(why, 512, "%s%s", strerror(errno),
			 errno == EACCES ? ": the user of ipsp-monitor must be able to read it; or "
					   "say by -l and -s what it would have said"
					 : "");
		return -1;
	}
	config_init(&file);
	if (config_read(&file, stream))
		err = read_settings(config, &file, why);
	else
		snprintf(why, 512, "line %d: %s; \"ipspd -t -c %s\" says more",
			 config_error_line(&file), config_error_text(&file), path);
	config_destroy(&file);
	fclose(stream);
	return err;
}

void monitor_config_fini(struct monitor_config *config)
{
	for (size_t i = 0; i < config->n_names; i++)
		free(config->names[i]);
	config->n_names = 0;
}
