/*
 * config - the configuration file as plain data, and the running configuration written back to it.
 *
 * The only place that knows libconfig. What a key means and allows is in ipspd.conf(5).
 */
#ifndef IPSPD_CONFIG_H
#define IPSPD_CONFIG_H

#include "core/conf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPSPD_WHY_MAX 256

#define IPSPD_PATH_MAX	 1024
#define IPSPD_SOCKET_MAX 108 /* what sockaddr_un holds, with the NUL */
#define IPSPD_SINKS_MAX	 16

enum ipspd_snmp_version { IPSPD_SNMP_V2C, IPSPD_SNMP_V3 };
enum ipspd_snmp_auth {
	IPSPD_AUTH_NONE,
	IPSPD_AUTH_MD5,
	IPSPD_AUTH_SHA,
	IPSPD_AUTH_SHA224,
	IPSPD_AUTH_SHA256,
	IPSPD_AUTH_SHA384,
	IPSPD_AUTH_SHA512
};
enum ipspd_snmp_priv { IPSPD_PRIV_NONE, IPSPD_PRIV_DES, IPSPD_PRIV_AES };
enum ipspd_trap_style { IPSPD_TRAP_RFC, IPSPD_TRAP_STARENT };

#define IPSPD_PASSPHRASE_MIN 8 /* RFC 3414, 11.2 */
#define IPSPD_PASSPHRASE_MAX 256

struct ipspd_sink {	/* where traps go */
	char host[256]; /* an address or a name */
	uint16_t port;
	enum ipspd_snmp_version version;
	bool inform;	     /* repeated until acknowledged */
	char community[256]; /* version 2c */
	char user[33];	     /* version 3, from here on */
	enum ipspd_snmp_auth auth;
	enum ipspd_snmp_priv priv;
	char auth_passphrase[IPSPD_PASSPHRASE_MAX], priv_passphrase[IPSPD_PASSPHRASE_MAX];
};

/*
 * What the file names and the host doesn't have, or not yet: it is no fault of the file. What needs
 * it waits, and the rest goes on (lacks.h).
 */
enum ipspd_lack_kind {
	IPSPD_LACK_KEY,	       /* .context: it doesn't talk */
	IPSPD_LACK_PASSPHRASE, /* .sink, one of the late ones: nothing is sent there */
	IPSPD_LACK_HOOK	       /* each call fails; so a takeover is vetoed */
};

struct ipspd_lack {
	enum ipspd_lack_kind kind;
	char path[IPSPD_PATH_MAX];
	char context[IPSP_NAME_MAX];
	size_t sink; /* its place in config.sinks */
	bool priv;   /* of the two passphrases of a sink */
	char why[IPSPD_WHY_MAX];
};

struct ipspd_config {
	char control_socket[IPSPD_SOCKET_MAX];
	/* "": nobody but root and the daemon's user. What members may do: everything; what a
	 * gateway does; look. */
	char control_group[64], gateway_group[64], status_group[64];
	char state_directory[IPSPD_PATH_MAX];
	char hook[IPSPD_PATH_MAX]; /* "": none */
	/* for ipsp-monitor, which reads the same file: ipspd only checks them */
	char http_listen[128]; /* "": none; else ADDRESS:PORT or [ADDRESS]:PORT */
	bool agentx;
	char agentx_socket[IPSPD_SOCKET_MAX]; /* "": net-snmp's default */
	enum ipspd_trap_style trap_style;
	struct ipsp_addr snmp_source; /* where notifications come from; IPSP_ADDR_NONE: any */
	struct ipspd_sink *sinks; /* owned, n_sinks, and behind them those that lack a passphrase */
	size_t n_sinks, n_late_sinks;
	struct ipsp_context_conf
		*contexts; /* owned, n_contexts, pools sorted, in the order of the file */
	size_t n_contexts;
	char **key_files;	  /* owned, one for each context; NULL: it has none */
	struct ipspd_lack *lacks; /* owned, n_lacks */
	size_t n_lacks;
};

/* Puts those that lack nothing (any more) before the others, and counts both. */
void ipspd_config_sort_sinks(struct ipspd_config *config);

/* A group that the file names, and that was not there when it was read, is there now. */
void ipspd_config_group_came(const char *name);

/* Why @path can't be run as the hook now, in @why; 0: it can. IPSP_ERR_IO: it is not there, or not
 * executable; IPSP_ERR_INVALID: others could change it. */
int ipspd_config_hook_ok(const char *path, char why[IPSPD_WHY_MAX]);

/* The hook that the file names, "" for none, and nothing else of it. False: it can't be read. */
bool ipspd_config_hook(const char *path, char hook[IPSPD_PATH_MAX]);

/*
 * Finds out which contexts have a secret in common (psp.secret_is_shared). @joined is called for
 * two that nothing but a device keeps apart, in the order of the file. False: no memory.
 */
#define IPSPD_JOINED_TEXT                                                                          \
	"context \"%s\" has the same secret, addresses and port, on another device: who can lead " \
	"datagrams from one device to the other could join the two; give each a secret, or a "     \
	"port, of its own"
typedef void ipspd_config_joined_fn(void *arg, const struct ipsp_context_conf *a,
				    const struct ipsp_context_conf *b);
bool ipspd_config_share_secrets(struct ipspd_config *config, ipspd_config_joined_fn *joined,
				void *arg);

/* The groups of the control socket, by what their members may do. */
enum ipspd_level { IPSPD_LEVEL_ALL, IPSPD_LEVEL_GATEWAY, IPSPD_LEVEL_STATUS, IPSPD_LEVELS };

static inline const char *ipspd_config_group(const struct ipspd_config *config,
					     enum ipspd_level level) /* "": none */
{
	return level == IPSPD_LEVEL_ALL	      ? config->control_group
	       : level == IPSPD_LEVEL_GATEWAY ? config->gateway_group
					      : config->status_group;
}

/*
 * Called for each thing that is wrong, in the order of the file. @text is a whole line without its
 * end: "FILE:LINE: key: what is wrong and what is allowed". A @warning doesn't make the file bad;
 * one for each of .lacks is among them.
 */
typedef void ipspd_config_fault_fn(void *arg, bool warning, const char *text);

/*
 * Reads @path, and the key files that it names, into @config, which needs no initialising and is
 * ended with ipspd_config_fini(). Returns 0, or IPSP_ERR_INVALID after all faults were told (then
 * @config needs no ending), or IPSP_ERR_NOMEM, also told.
 */
int ipspd_config_read(const char *path, struct ipspd_config *config, ipspd_config_fault_fn *fault,
		      void *arg);

/* Frees, and wipes every secret. A config that is all zeros has nothing to free. */
void ipspd_config_fini(struct ipspd_config *config);

/*
 * Writes what can change at run time back to @path: each context's mode, and that
 * pool-share-protocol is gone where psp.enabled is false. Everything else in the file stays as it
 * is, comments and order included. The old file is kept as FILE~; the new one has its owner and
 * mode and takes its place at once, or not at all. A symbolic link stays one: what it points to is
 * replaced. Returns 0, or IPSP_ERR_IO or IPSP_ERR_INVALID with the reason in @why; then the file is
 * as it was.
 */
int ipspd_config_write(const char *path, const struct ipspd_config *config, char *why,
		       size_t n_why);

#endif
