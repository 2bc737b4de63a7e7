#include "daemon/keywatch.h"
#include "daemon/config.h"
#include "daemon/keyfile.h"
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_S 2

struct watched { /* one context's key file; all zeros: not looked at yet */
	struct stat seen;
	char fault[IPSPD_WHY_MAX + 160]; /* "": none */
};

struct ipspd_keywatch {
	struct ipspd *daemon;
	struct event *timer;
	struct watched *files; /* n, as many as config->contexts */
	size_t n;
};

static bool as_seen(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

/* The secrets of the file against those in force. */
static void judge(const char *path, const struct ipsp_psp_conf *psp, char *fault, size_t size)
{
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES] = {{0}}, n_keys = 0;
	char why[IPSPD_WHY_MAX];

	fault[0] = '\0';
	if (ipspd_keyfile_keys(path, keys, &n_keys, why) != 0)
		snprintf(fault, size,
			 "%s: the secrets read before stay in force, but the next start would find "
			 "none: mend the file, then \"ipspctl reload\"",
			 why);
	else if (n_keys != psp->n_keys || sodium_memcmp(keys, psp->keys, sizeof(keys)) != 0)
		snprintf(fault, size,
			 "%s has other secrets than those in force: \"ipspctl reload\" takes them, "
			 "and so would the next start",
			 path);
	sodium_memzero(keys, sizeof(keys));
}

static void look_at(const char *name, const char *path, const struct ipsp_psp_conf *psp,
		    struct watched *w)
{
	char fault[sizeof(w->fault)];
	struct stat now = {0};

	if (stat(path, &now) != 0)
		now = (struct stat){.st_mode = S_IFREG}; /* like no file, and not like none seen */
	if (as_seen(&now, &w->seen))
		return;
	w->seen = now;
	judge(path, psp, fault, sizeof(fault));
	if (strcmp(fault, w->fault) == 0)
		return;
	if (fault[0])
		ipspd_log(IPSP_LOG_WARNING, "%s: %s", name, fault);
	else
		ipspd_log(IPSP_LOG_NOTICE, "%s: %s has the secrets in force again", name, path);
	memcpy(w->fault, fault, sizeof(fault));
}

void ipspd_keywatch_look(struct ipspd_keywatch *watch)
{
	const struct ipspd_config *config = watch->daemon->config;

	if (watch->n != config->n_contexts) {
		ipspd_keywatch_reloaded(watch);
		watch->files = calloc(config->n_contexts + 1, sizeof(*watch->files));
		watch->n = watch->files ? config->n_contexts : 0;
	}
	for (size_t i = 0; i < watch->n; i++)
		/* (without any key it is waited for: see lacks.h) */
		if (config->key_files[i] && config->contexts[i].psp.enabled &&
		    config->contexts[i].psp.n_keys > 0)
			look_at(config->contexts[i].name, config->key_files[i],
				&config->contexts[i].psp, &watch->files[i]);
}

void ipspd_keywatch_reloaded(struct ipspd_keywatch *watch)
{
	free(watch->files);
	watch->files = NULL;
	watch->n = 0;
}

const char *ipspd_keywatch_fault(const struct ipspd_keywatch *watch, const char *context)
{
	const struct ipspd_config *config = watch->daemon->config;

	for (size_t i = 0; i < watch->n && i < config->n_contexts; i++)
		if (strcmp(config->contexts[i].name, context) == 0)
			return watch->files[i].fault[0] ? watch->files[i].fault : NULL;
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ipspd_keywatch_look(arg);
}

struct ipspd_keywatch *ipspd_keywatch_new(struct ipspd *daemon)
{
	static const struct timeval every = {.tv_sec = LOOK_S};
	struct ipspd_keywatch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->daemon = daemon;
	watch->timer = event_new(daemon->base, -1, EV_PERSIST, on_timer, watch);
	if (watch->timer && event_add(watch->timer, &every) == 0)
		return watch;
	ipspd_keywatch_free(watch);
	return NULL;
}

void ipspd_keywatch_free(struct ipspd_keywatch *watch)
{
	if (!watch)
		return;
	if (watch->timer)
		event_free(watch->timer);
	free(watch->files);
	free(watch);
}
