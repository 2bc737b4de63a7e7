/*
 * ipsp-monitor - shows what ipspd does, by HTTP: a process of its own, so that nobody who looks can
 * hold the daemon up. It keeps nothing and changes nothing.
 */
#include "monitor/agentx.h"
#include "monitor/config.h"
#include "monitor/http.h"
#include "monitor/pages.h"
#include "monitor/say.h"
#include "monitor/source.h"
#include "monitor/subagent.h"
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <ipsp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_WRONG = 2 }; /* the command line or the file, and would be again */

struct options {
	const char *config, *socket, *listen;
	const char *agentx; /* to be no more than the subagent of this master; NULL: no */
};

struct monitor {
	struct event_base *base;
	struct source *source;
	struct pages *pages;
	struct http *http;     /* NULL: not configured */
	struct agentx *agentx; /* NULL: not configured */
	struct event *term, *interrupt;
};

static const char usage[] =
	"usage: ipsp-monitor [-c FILE] [-s SOCKET] [-l ADDRESS:PORT] [-A MASTER] [-h] [-V]\n\n"
	"Shows what ipspd does, by HTTP: / for people, /status, /metrics.\n"
	"  -c FILE            ipspd's configuration, default /etc/ipspd.conf: http, "
	"control.socket\n"
	"  -s SOCKET          ipspd's control socket, instead of what the file says\n"
	"  -l ADDRESS:PORT    listens there, instead of what the file says\n"
	"  -A MASTER          is only the SNMP subagent of the master agent at this socket\n";

/* 0: go on; else the exit status plus one. */
static int take_options(int argc, char **argv, struct options *options)
{
	int c;

	while ((c = getopt(argc, argv, "c:s:l:A:hV")) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 's':
			options->socket = optarg;
			break;
		case 'l':
			options->listen = optarg;
			break;
		case 'A':
			options->agentx = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'V':
			puts("ipsp-monitor " IPSPD_VERSION);
			return 1;
		default:
			fputs(usage, stderr);
			return 1 + EXIT_WRONG;
		}
	}
	if (optind == argc)
		return 0;
	fputs(usage, stderr);
	return 1 + EXIT_WRONG;
}

/* The command line goes before the file, which may be missing where that says all. */
static int configure(struct monitor_config *config, const struct options *options)
{
	char why[512];
	const bool read = monitor_config_read(config, options->config, why) == 0;

	if (!read && !options->listen) {
		monitor_say("%s: %s", options->config, why);
		return -1;
	}
	if (!read)
		monitor_say("%s: %s; going on without it", options->config, why);
	if (options->listen)
		snprintf(config->listen, sizeof(config->listen), "%s", options->listen);
	if (options->socket)
		snprintf(config->socket, sizeof(config->socket), "%s", options->socket);
	if (*config->listen || config->agentx)
		return 0;
	monitor_say("%s has no http and no snmp.agentx: nothing to do; add http = { listen = "
		    "\"127.0.0.1:9618\"; };",
		    options->config);
	return -1;
}

/* ---------------------------------------------------------------- running */

static void on_changed(void *arg)
{
	struct monitor *m = arg;

	pages_changed(m->pages);
	if (m->http)
		http_changed(m->http);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct monitor *m = arg;

	(void)sig, (void)what;
	event_base_loopbreak(m->base);
}

static bool start_http(struct monitor *m, const struct monitor_config *config)
{
	struct http_setup setup = {.base = m->base,
				   .source = m->source,
				   .pages = m->pages,
				   .names = (const char *const *)config->names,
				   .n_names = config->n_names};
	char host[64];

	if (!monitor_config_listen(config->listen, host, &setup.port)) {
		monitor_say("\"%s\" is not ADDRESS:PORT", config->listen);
		return false;
	}
	setup.address = host;
	m->http = http_new(&setup);
	if (!m->http) {
		monitor_say("%s: can't listen there: %s", config->listen, strerror(errno));
		return false;
	}
	monitor_say("listening on %s, asking %s", config->listen, config->socket);
	return true;
}

static bool start(struct monitor *m, const struct monitor_config *config)
{
	m->base = event_base_new();
	m->source = m->base ? source_new(m->base, config->socket, on_changed, m) : NULL;
	m->pages = m->source ? pages_new(m->source) : NULL;
	m->term = m->pages ? evsignal_new(m->base, SIGTERM, on_signal, m) : NULL;
	m->interrupt = m->term ? evsignal_new(m->base, SIGINT, on_signal, m) : NULL;
	if (!m->interrupt || event_add(m->term, NULL) != 0 || event_add(m->interrupt, NULL) != 0) {
		monitor_say("memory ran out");
		return false;
	}
	if (config->agentx && !(m->agentx = agentx_new(m->base, config->socket, config->master))) {
		monitor_say("memory ran out");
		return false;
	}
	return !*config->listen || start_http(m, config);
}

static void stop(struct monitor *m)
{
	agentx_free(m->agentx);
	http_free(m->http);
	pages_free(m->pages);
	source_free(m->source);
	if (m->term)
		event_free(m->term);
	if (m->interrupt)
		event_free(m->interrupt);
	if (m->base)
		event_base_free(m->base);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct options options = {.config = "/etc/ipspd.conf"};
	struct monitor_config config;
	struct monitor monitor = {0};
	int status = take_options(argc, argv, &options);

	if (status)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	if (options.agentx)
		return subagent_run(options.socket ? options.socket : IPSP_SOCKET, options.agentx);
	if (configure(&config, &options) != 0) {
		monitor_config_fini(&config);
		return EXIT_WRONG;
	}
	status = EXIT_FAILURE;
	if (start(&monitor, &config)) {
		event_base_dispatch(monitor.base);
		status = EXIT_SUCCESS;
	}
	stop(&monitor);
	monitor_config_fini(&config);
	return status;
}
