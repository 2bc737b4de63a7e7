#include "daemon/keylog.h"
#include "base/addr.h"
#include "core/node.h"
#include "daemon/config.h"
#include "daemon/ctx.h"
#include "daemon/log.h"
#include "daemon/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	int fd;
	char path[IPSPD_PATH_MAX];
} keylog = {.fd = -1};

int ipspd_keylog_fd(void)
{
	return keylog.fd;
}

/* Nobody but the owner may look for it there; root, and who runs this, are trusted owners. */
static bool folder_is_private(const char *folder)
{
	struct stat st;

	return stat(folder, &st) == 0 && S_ISDIR(st.st_mode) && ipspd_trusts_owner(st.st_uid) &&
	       (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static bool file_is_private(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_uid == geteuid() && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0 &&
	       !ipspd_trust_others_can(fd, &st);
}

int ipspd_keylog_open(const char *path, char *why, size_t n_why)
{
	char copy[IPSPD_PATH_MAX];

	if (strlen(path) >= sizeof(copy)) {
		snprintf(why, n_why, "the path of the key log is too long");
		return -1;
	}
	memcpy(copy, path, strlen(path) + 1);
	const char *folder = dirname(copy);
	if (!folder_is_private(folder)) {
		snprintf(why, n_why,
			 "%s: no key log is written there, as others can look into it: put it into "
			 "a directory of mode 0700 that is yours",
			 folder);
		return -1;
	}
	keylog.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			 0600);
	if (keylog.fd < 0) {
		snprintf(why, n_why, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (!file_is_private(keylog.fd)) {
		snprintf(why, n_why,
			 "%s: no key log is written to a file that others can read: "
			 "remove it, or chmod 600 it",
			 path);
		ipspd_keylog_close();
		return -1;
	}
	memcpy(keylog.path, path, strlen(path) + 1);
	ipspd_log(
		IPSP_LOG_WARNING,
		"the keys of all sessions with peers are written to %s: whoever has that file can "
		"read, and speak in, these sessions; remove it, and start without -k, when you "
		"have found what you look for",
		path);
	return 0;
}

static void write_keys(const struct ipspd_ctx *ctx, const struct ipsp_session_keys *keys)
{
	const struct ipsp_psp_conf *psp = &ipsp_node_conf(ctx->node)->psp;
	char address[IPSP_ADDR_TEXT_MAX], tx[65], rx[65], line[512];
	int n;

	sodium_bin2hex(tx, sizeof(tx), keys->tx, sizeof(keys->tx));
	sodium_bin2hex(rx, sizeof(rx), keys->rx, sizeof(keys->rx));
	n = snprintf(line, sizeof(line), "ipsp %08x %s %u %s %s %s\n", keys->tag,
		     ipsp_addr_text(psp->address, address, sizeof(address)), psp->port, tx, rx,
		     ctx->name);
	if (write(keylog.fd, line, (size_t)n) != n)
		ipspd_log(IPSP_LOG_WARNING, "%s: %s", keylog.path, strerror(errno));
	sodium_memzero(tx, sizeof(tx));
	sodium_memzero(rx, sizeof(rx));
	sodium_memzero(line, sizeof(line));
}

void ipspd_keylog_see(struct ipspd_ctx *ctx)
{
	struct ipsp_session_keys keys[IPSP_SESSIONS_MAX];
	uint32_t tags[IPSP_SESSIONS_MAX] = {0};
	const size_t n = ipsp_node_session_keys(ctx->node, keys);

	for (size_t i = 0; i < n; i++) {
		bool known = false;

		for (size_t k = 0; k < IPSP_SESSIONS_MAX; k++)
			known = known || ctx->keys_logged[k] == keys[i].tag;
		if (!known)
			write_keys(ctx, &keys[i]);
		tags[i] = keys[i].tag;
	}
	memcpy(ctx->keys_logged, tags, sizeof(tags));
	sodium_memzero(keys, sizeof(keys));
}

void ipspd_keylog_close(void)
{
	if (keylog.fd >= 0)
		close(keylog.fd);
	keylog.fd = -1;
}
