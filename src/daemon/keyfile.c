#include "daemon/keyfile.h"
#include "base/err.h"
#include "base/ident.h"
#include "daemon/plain.h"
#include "daemon/trust.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_MAX 4096
#define FRAMES                                                                                     \
	((size_t)16 << 10) /* of what was called with a secret, which may have left it there */

struct secret_file {
	uint8_t bytes[SECRET_FILE_MAX];
	size_t n;
};

static int why_not(char why[IPSPD_WHY_MAX], const char *path, const char *text)
{
	snprintf(why, IPSPD_WHY_MAX, "%.120s: %s", path, text);
	return IPSP_ERR_INVALID;
}

static int check_stat(int fd, const char *path, char why[IPSPD_WHY_MAX])
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return why_not(why, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return why_not(why, path, "is not a regular file");
	if (!ipspd_trusts_owner(st.st_uid)) {
		snprintf(why, IPSPD_WHY_MAX,
			 "%.120s: its owner is uid %u, who knows it and can change it; allowed are "
			 "root and the user that the daemon runs as (now uid %u)",
			 path, (unsigned)st.st_uid, (unsigned)geteuid());
		return IPSP_ERR_INVALID;
	}
	if (ipspd_trust_others_can(fd, &st)) {
		snprintf(why, IPSPD_WHY_MAX,
			 "%.120s: others can read or change it (mode %04o); only its owner may "
			 "(chmod 600), and read it the daemon's user and group",
			 path, (unsigned)(st.st_mode & 07777));
		return IPSP_ERR_INVALID;
	}
	if (st.st_size == 0)
		return why_not(why, path, "is empty");
	if (st.st_size > SECRET_FILE_MAX)
		return why_not(why, path, "is too large; allowed are 4096 bytes");
	return 0;
}

static int read_whole(int fd, const char *path, struct secret_file *file, char why[IPSPD_WHY_MAX])
{
	while (file->n < sizeof(file->bytes)) {
		ssize_t n = read(fd, file->bytes + file->n, sizeof(file->bytes) - file->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_not(why, path, strerror(errno));
		if (n == 0)
			break;
		file->n += (size_t)n;
	}
	return 0;
}

static int read_file(const char *path, struct secret_file *file, char why[IPSPD_WHY_MAX])
{
	/* O_NONBLOCK: a FIFO without a writer must not hold the daemon up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err;

	file->n = 0;
	if (fd < 0) {
		why_not(why, path, strerror(errno));
		return IPSP_ERR_IO;
	}
	err = check_stat(fd, path, why);
	if (err == 0)
		err = read_whole(fd, path, file, why);
	close(fd);
	return err;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* UTF-8 without control characters but tab, CR and LF. */
static bool is_text(const uint8_t *p, size_t n)
{
	for (size_t run; n > 0; p += run, n -= run) {
		for (run = 0; run < n && !is_blank(p[run]); run++)
			;
		if (!ipsp_text_clean((const char *)p, run))
			return false;
		run += run < n; /* the blank behind it */
	}
	return true;
}

/* Text, were it not for its NUL bytes: no random secret looks so. */
static bool is_text_but_for_nul(const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;

	while (p < end) {
		const uint8_t *nul = memchr(p, '\0', (size_t)(end - p));

		if (!is_text(p, (size_t)((nul ? nul : end) - p)))
			return false;
		p = nul ? nul + 1 : end;
	}
	return true;
}

/*
 * What an editor made of a secret, or NULL. It is no fault: a pair may run with such a file on both
 * sides. But most often the other side's file is without.
 */
static const char *strange(const struct secret_file *file)
{
	const uint8_t *p = file->bytes;

	switch (ipspd_plain(p, file->n)) {
	case IPSPD_PLAIN:
		return NULL;
	case IPSPD_PLAIN_BOM:
		return is_text(p, file->n)
			       ? "begins with a byte order mark (BOM), which is taken as "
				 "part of the secret; save it as UTF-8 without one"
			       : NULL;
	case IPSPD_PLAIN_UTF16:
		return "is UTF-16: its bytes are taken as one secret; save it as plain text "
		       "(UTF-8)";
	case IPSPD_PLAIN_NUL:
		return is_text_but_for_nul(p, file->n)
			       ? "has a NUL byte: the whole file is taken as one secret, its line "
				 "ends included; take the NUL out"
			       : NULL;
	}
	return NULL;
}

/* After a file was taken: @why becomes a warning about it, or "". */
static void warn_strange(const struct secret_file *file, const char *path, char why[IPSPD_WHY_MAX])
{
	const char *text = strange(file);

	why[0] = '\0';
	if (text)
		why_not(why, path, text);
}

/* The next line that is not blank, without the blanks around it; false at the end. */
static bool next_line(const uint8_t **p, const uint8_t *end, const uint8_t **line, size_t *n)
{
	while (*p < end) {
		const uint8_t *from = *p;
		const uint8_t *to = memchr(from, '\n', (size_t)(end - from));

		to = to ? to : end;
		*p = to < end ? to + 1 : end;
		while (from < to && is_blank(*from))
			from++;
		while (to > from && is_blank(to[-1]))
			to--;
		if (to > from) {
			*line = from;
			*n = (size_t)(to - from);
			return true;
		}
	}
	return false;
}

static int add_key(const uint8_t *secret, size_t n, const char *path,
		   uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], uint8_t *n_keys,
		   char why[IPSPD_WHY_MAX])
{
	if (n < IPSPD_SECRET_MIN)
		return why_not(why, path, "a secret is too short; 16 bytes at least are needed");
	if (*n_keys == IPSP_KEYS_MAX)
		return why_not(why, path, "too many secrets; allowed are 4, one a line");
	crypto_generichash(keys[*n_keys], IPSP_KEY_BYTES, secret, n, NULL, 0);
	(*n_keys)++;
	return 0;
}

static int keys_of(const struct secret_file *file, const char *path,
		   uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], uint8_t *n_keys,
		   char why[IPSPD_WHY_MAX])
{
	const uint8_t *p = file->bytes, *end = p + file->n, *line;
	size_t n;

	*n_keys = 0;
	if (!is_text(p, file->n))
		return add_key(p, file->n, path, keys, n_keys, why);
	while (next_line(&p, end, &line, &n)) {
		int err = add_key(line, n, path, keys, n_keys, why);

		if (err)
			return err;
	}
	return *n_keys > 0 ? 0 : why_not(why, path, "has no secret, only blank lines");
}

/* ---------------------------------------------------------------- can it be guessed? */

#define HEX_DIGITS    64 /* of 256 bits */
#define BASE64_DIGITS 43
#define BASE64_KINDS                                                                               \
	16 /* different ones among 43 random ones: 31; in words that are run together: 13 */

static size_t kinds(const uint8_t *p, size_t n)
{
	bool seen[256] = {false};
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		k += !seen[p[i]];
		seen[p[i]] = true;
	}
	return k;
}

/* By its form, for nothing else can be known: has this line 256 bits in hexadecimal or base64? */
static bool is_strong(const uint8_t *line, size_t n)
{
	static const char base64[] =
		"0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"
		"+/-_";
	const size_t n_hex = strlen("0123456789abcdefABCDEF");
	bool hex = true;
	size_t digits = n;

	while (digits > 0 && line[digits - 1] == '=')
		digits--;
	for (size_t i = 0; i < digits; i++) {
		const char *at = line[i] ? strchr(base64, line[i]) : NULL;

		if (!at)
			return false;
		hex = hex && at < base64 + n_hex;
	}
	if (hex)
		return digits >= HEX_DIGITS;
	return digits >= BASE64_DIGITS && kinds(line, digits) >= BASE64_KINDS;
}

/* The number of the first secret that somebody might guess who has seen a handshake; 0: none. */
static unsigned first_weak(const struct secret_file *file)
{
	const uint8_t *p = file->bytes, *end = p + file->n, *line;
	unsigned number = 0;
	size_t n;

	if (!is_text(p, file->n))
		return file->n < IPSP_KEY_BYTES;
	while (next_line(&p, end, &line, &n)) {
		number++;
		if (!is_strong(line, n))
			return number;
	}
	return 0;
}

static void warn_keys(const struct secret_file *file, const char *path, char why[IPSPD_WHY_MAX])
{
	const unsigned weak = first_weak(file);

	warn_strange(file, path, why);
	if (!why[0] && weak)
		snprintf(why, IPSPD_WHY_MAX,
			 "%.80s: secret %u is weak: who sees a handshake can try guesses at it; "
			 "make "
			 "one with \"ipspctl make-key\", and replace it on both sides (see Key "
			 "files in "
			 "ipspd.conf(5))",
			 path, weak);
}

int ipspd_keyfile_keys(const char *path, uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES],
		       uint8_t *n_keys, char why[IPSPD_WHY_MAX])
{
	struct secret_file file;
	int err = read_file(path, &file, why);

	sodium_memzero(keys, sizeof(uint8_t[IPSP_KEYS_MAX][IPSP_KEY_BYTES]));
	if (err == 0)
		err = keys_of(&file, path, keys, n_keys, why);
	if (err == 0) {
		warn_keys(&file, path, why);
	} else {
		*n_keys = 0;
		sodium_memzero(keys, sizeof(uint8_t[IPSP_KEYS_MAX][IPSP_KEY_BYTES]));
	}
	sodium_memzero(&file, sizeof(file));
	sodium_stackzero(FRAMES);
	return err;
}

static int one_line(const struct secret_file *file, const char *path, size_t min, char *text,
		    size_t cap, char why[IPSPD_WHY_MAX])
{
	const uint8_t *p = file->bytes, *end = p + file->n, *line, *more;
	size_t n, n_more;

	if (ipspd_plain(p, file->n) == IPSPD_PLAIN_UTF16)
		return why_not(why, path, "is UTF-16; it must have one line of text in UTF-8");
	if (ipspd_plain(p, file->n) == IPSPD_PLAIN_NUL)
		return why_not(why, path, "has a NUL byte; it must have one line of text");
	if (!is_text(p, file->n) || !next_line(&p, end, &line, &n) ||
	    next_line(&p, end, &more, &n_more))
		return why_not(why, path, "must have one line of text");
	if (n < min || n >= cap) {
		snprintf(why, IPSPD_WHY_MAX,
			 "%.120s: the passphrase has %zu bytes; allowed are %zu to %zu", path, n,
			 min, cap - 1);
		return IPSP_ERR_INVALID;
	}
	memcpy(text, line, n);
	text[n] = '\0';
	return 0;
}

int ipspd_keyfile_line(const char *path, size_t min, char *text, size_t cap,
		       char why[IPSPD_WHY_MAX])
{
	struct secret_file file;
	int err = read_file(path, &file, why);

	if (err == 0)
		err = one_line(&file, path, min, text, cap, why);
	if (err == 0)
		warn_strange(&file, path, why);
	sodium_memzero(&file, sizeof(file));
	sodium_stackzero(FRAMES);
	return err;
}
