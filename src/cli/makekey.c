/*
 * makekey - a new secret for a pair, in a file of its own. No daemon is asked.
 */
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES 32
#define DAEMON_USER  "ipsp" /* of conf/ipspd.sysusers */
#define FINGER_BYTES 4

struct made {
	char line[2 * SECRET_BYTES + 2];   /* hex, LF, NUL */
	char finger[2 * FINGER_BYTES + 1]; /* as key-fingerprint of show */
	const char *owner;		   /* NULL: whoever ran this */
};

/* docs/protocol.md, Keys: S is the hash of the secret, and the key id one of S. */
static void fingerprint(const char *secret, char finger[2 * FINGER_BYTES + 1])
{
	static const char label[] = "ipsp 1 key id";
	uint8_t key[32], id[16];

	crypto_generichash(key, sizeof(key), (const uint8_t *)secret, strlen(secret), NULL, 0);
	crypto_generichash(id, sizeof(id), (const uint8_t *)label, sizeof(label) - 1, key,
			   sizeof(key));
	sodium_bin2hex(finger, 2 * FINGER_BYTES + 1, id, FINGER_BYTES);
	sodium_memzero(key, sizeof(key));
}

static void make(struct made *made)
{
	uint8_t secret[SECRET_BYTES];

	randombytes_buf(secret, sizeof(secret));
	sodium_bin2hex(made->line, sizeof(made->line), secret, sizeof(secret));
	sodium_memzero(secret, sizeof(secret));
	fingerprint(made->line, made->finger);
	made->line[sizeof(made->line) - 2] = '\n';
	made->line[sizeof(made->line) - 1] = '\0';
}

/* The daemon must be able to read it, and nobody but root can give it away. */
static int give(int fd, struct made *made)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(DAEMON_USER) : NULL;

	if (fchmod(fd, S_IRUSR | S_IWUSR) != 0)
		return errno;
	if (!user)
		return 0;
	made->owner = DAEMON_USER;
	return fchown(fd, user->pw_uid, user->pw_gid) == 0 ? 0 : errno;
}

static int fill(int fd, const struct made *made)
{
	const size_t n = strlen(made->line);
	ssize_t done = write(fd, made->line, n);

	if (done < 0)
		return errno;
	if ((size_t)done < n)
		return ENOSPC;
	return fsync(fd) == 0 ? 0 : errno;
}

/* 0, or an errno. A file that could not be finished is taken away again. */
static int put(const char *path, struct made *made)
{
	/* never over an old one, nor where a link leads */
	int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	int err;

	if (fd < 0)
		return errno;
	err = give(fd, made);
	if (err == 0)
		err = fill(fd, made);
	if (close(fd) != 0 && err == 0)
		err = errno;
	if (err)
		unlink(path);
	return err;
}

static int refused(const struct cli *cli, const char *path, int err)
{
	char text[512];

	if (err == EEXIST)
		snprintf(text, sizeof(text),
			 "%s: exists already, and a secret is never overwritten; to replace it, "
			 "make "
			 "a new file and follow ipspd.conf(5), key files",
			 path);
	else
		snprintf(text, sizeof(text), "%s: %s", path, strerror(err));
	fprintf(stderr, "ipspctl: %s\n", text);
	if (cli->json)
		cli_json_print(
			cli_json_failed(err == EEXIST ? IPSP_ERR_INVALID : IPSP_ERR_IO, text));
	return CLI_REFUSED;
}

int cli_make_key(struct cli *cli)
{
	const char *path = cli->words[0];
	struct made made = {.owner = NULL};
	int err;

	if (sodium_init() < 0)
		return refused(cli, path, ENOSYS);
	signal(SIGXFSZ,
	       SIG_IGN); /* a limit on files is a full disk, not a death with half a file */
	make(&made);
	err = put(path, &made);
	sodium_memzero(made.line, sizeof(made.line));
	if (err)
		return refused(cli, path, err);
	if (cli->json)
		cli_json_print(json_pack("{s:b, s:s, s:s}", "ok", 1, "file", path,
					 "key-fingerprint", made.finger));
	else
		printf("%s: made, with a secret of 256 random bits; mode 0600%s%s\n"
		       "key fingerprint %s\n"
		       "Copy it to the other side over a safe way, with the same owner and mode.\n",
		       path, made.owner ? ", owner " : "", made.owner ? made.owner : "",
		       made.finger);
	return CLI_DONE;
}
