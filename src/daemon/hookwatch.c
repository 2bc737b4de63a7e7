#include "daemon/hookwatch.h"
#include "daemon/config.h"
#include "daemon/lacks.h"
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FAULT_MAX (IPSPD_WHY_MAX + 300)
#define UNUSABLE  "the hook can't be run: %s: each takeover is vetoed, and nobody is told of events"

struct ipspd_hookwatch {
	struct ipspd *daemon;
	struct event *timer;
	char path[IPSPD_PATH_MAX]; /* that .fault is about: a reload may name another */
	char fault[FAULT_MAX];	   /* "": none */
	bool unusable;		   /* ... of the file, not of a call */
	struct stat failed;	   /* the file, when a call failed */
};

static bool as_seen(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

/* It was missing at the start, or at the last reload: lacks.h looks for it, and says so. */
static bool is_lacking(const struct ipspd_config *config)
{
	for (size_t i = 0; i < config->n_lacks; i++)
		if (config->lacks[i].kind == IPSPD_LACK_HOOK)
			return true;
	return false;
}

static void forget(struct ipspd_hookwatch *watch)
{
	watch->fault[0] = '\0';
	watch->unusable = false;
}

/* The hook in force; NULL: there is none, or another part says what is wrong with it. */
static const char *path_of(struct ipspd_hookwatch *watch)
{
	const struct ipspd_config *config = watch->daemon->config;

	if (!config->hook[0] || is_lacking(config) || strcmp(config->hook, watch->path) != 0)
		forget(watch);
	snprintf(watch->path, sizeof(watch->path), "%s", config->hook);
	return config->hook[0] && !is_lacking(config) ? config->hook : NULL;
}

static void set_fault(struct ipspd_hookwatch *watch, const char *fault, bool unusable)
{
	snprintf(watch->fault, sizeof(watch->fault), "%s", fault);
	watch->unusable = unusable;
}

void ipspd_hookwatch_look(struct ipspd_hookwatch *watch)
{
	const char *path = path_of(watch);
	char why[IPSPD_WHY_MAX] = "", fault[FAULT_MAX];
	struct stat now = {0};

	if (!path)
		return;
	if (ipspd_config_hook_ok(path, why) != 0) {
		snprintf(fault, sizeof(fault), UNUSABLE, why);
		if (strcmp(fault, watch->fault) != 0)
			ipspd_log(IPSP_LOG_WARNING, "%s", fault);
		set_fault(watch, fault, true);
	} else if (watch->unusable) {
		ipspd_log(IPSP_LOG_NOTICE, "the hook %s can be run again", path);
		forget(watch);
	} else if (watch->fault[0] && (stat(path, &now) != 0 || !as_seen(&now, &watch->failed))) {
		ipspd_log(IPSP_LOG_NOTICE, "the hook %s has changed since it failed", path);
		forget(watch);
	}
}

void ipspd_hookwatch_failed(struct ipspd_hookwatch *watch, const char *what)
{
	const char *path = path_of(watch);
	char fault[FAULT_MAX];

	ipspd_hookwatch_look(watch);
	if (!path || watch->unusable || stat(path, &watch->failed) != 0)
		return;
	snprintf(fault, sizeof(fault), "the hook %.120s %s: a takeover is vetoed while it fails",
		 path, what);
	set_fault(watch, fault, false);
}

void ipspd_hookwatch_worked(struct ipspd_hookwatch *watch)
{
	if (watch->fault[0])
		ipspd_log(IPSP_LOG_NOTICE, "the hook works again");
	forget(watch);
}

const char *ipspd_hookwatch_fault(const struct ipspd_hookwatch *watch)
{
	return watch->fault[0] ? watch->fault : NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ipspd_hookwatch_look(arg);
}

struct ipspd_hookwatch *ipspd_hookwatch_new(struct ipspd *daemon)
{
	static const struct timeval every = {.tv_sec = IPSPD_LACKS_MS / 1000};
	struct ipspd_hookwatch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->daemon = daemon;
	watch->timer = event_new(daemon->base, -1, EV_PERSIST, on_timer, watch);
	if (watch->timer && event_add(watch->timer, &every) == 0)
		return watch;
	ipspd_hookwatch_free(watch);
	return NULL;
}

void ipspd_hookwatch_free(struct ipspd_hookwatch *watch)
{
	if (!watch)
		return;
	if (watch->timer)
		event_free(watch->timer);
	free(watch);
}
