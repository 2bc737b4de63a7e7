#include "daemon/engine.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define BOOTS_MAX 2147483647u
#define PATH_CAP  1200

/* Enterprise 8072 (net-snmp's, whose playpen arc our MIB lives in) with the first bit set; 5:
 * octets. */
static const uint8_t id_head[5] = {0x80, 0x00, 0x1f, 0x88, 0x05};

const char *ipspd_engine_text(const struct ipspd_engine *engine, char text[2 * IPSPD_ENGINE_ID + 1])
{
	return sodium_bin2hex(text, 2 * IPSPD_ENGINE_ID + 1, engine->id, IPSPD_ENGINE_ID);
}

static bool understand(const char *text, struct ipspd_engine *engine)
{
	static const char first[] = "engine-id ", second[] = "\nboots ";
	const char *id = text + strlen(first), *end;
	unsigned long boots;
	char *rest;
	size_t n;

	if (strncmp(text, first, strlen(first)) != 0 ||
	    sodium_hex2bin(engine->id, IPSPD_ENGINE_ID, id, strspn(id, "0123456789abcdef"), NULL,
			   &n, &end) != 0 ||
	    n != IPSPD_ENGINE_ID || memcmp(engine->id, id_head, sizeof(id_head)) != 0)
		return false;
	if (strncmp(end, second, strlen(second)) != 0 ||
	    !isdigit((unsigned char)end[strlen(second)]))
		return false;
	boots = strtoul(end + strlen(second), &rest, 10);
	if (boots > BOOTS_MAX || strcmp(rest, "\n") != 0)
		return false;
	engine->boots = (uint32_t)boots;
	return true;
}

static bool load(const char *path, struct ipspd_engine *engine)
{
	char text[128];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n < 0)
		return false;
	text[n] = '\0';
	return understand(text, engine);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok =
		fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool flush_folder(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool store(const char *directory, const char *path, const struct ipspd_engine *engine)
{
	char aside[PATH_CAP + 4], text[128], id[2 * IPSPD_ENGINE_ID + 1];

	snprintf(aside, sizeof(aside), "%s.new", path);
	snprintf(text, sizeof(text), "engine-id %s\nboots %u\n", ipspd_engine_text(engine, id),
		 engine->boots);
	return write_file(aside, text) && rename(aside, path) == 0 && flush_folder(directory);
}

/* "" where the host has none. */
static void machine_id(char id[33])
{
	ssize_t n = -1;
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, id, 32);
		close(fd);
	}
	id[n == 32 ? 32 : 0] = '\0';
}

/* Two hosts that were made from one image differ in their name; two daemons of a host in their
 * directory. */
static void make_id(const char *directory, struct ipspd_engine *engine)
{
	uint8_t *id = engine->id + sizeof(id_head);
	const size_t n = IPSPD_ENGINE_ID - sizeof(id_head);
	char machine[33];
	struct utsname host;
	uint8_t hash[crypto_generichash_BYTES_MIN];
	crypto_generichash_state state;

	memcpy(engine->id, id_head, sizeof(id_head));
	machine_id(machine);
	if (!machine[0] || uname(&host) != 0) {
		randombytes_buf(id, n);
		return;
	}
	crypto_generichash_init(&state, NULL, 0, sizeof(hash));
	crypto_generichash_update(&state, (const uint8_t *)machine, sizeof(machine));
	crypto_generichash_update(&state, (const uint8_t *)host.nodename,
				  strlen(host.nodename) + 1);
	crypto_generichash_update(&state, (const uint8_t *)directory, strlen(directory));
	crypto_generichash_final(&state, hash, sizeof(hash));
	memcpy(id, hash, n);
}

/* Seconds since 2020; 0 for a clock that is not set. */
static uint32_t boots_by_clock(void)
{
	const time_t begin = 1577836800, now = time(NULL);

	if (now <= begin || now - begin >= BOOTS_MAX)
		return 0;
	return (uint32_t)(now - begin);
}

int ipspd_engine_load(const char *directory, struct ipspd_engine *engine, char *why, size_t n_why)
{
	char path[PATH_CAP];
	bool known;

	snprintf(path, sizeof(path), "%s/snmp-engine", directory);
	known = load(path, engine);
	if (!known) {
		make_id(directory, engine);
		engine->boots = 0;
	}
	if (engine->boots < BOOTS_MAX)
		engine->boots++;
	if (engine->boots < boots_by_clock())
		engine->boots = boots_by_clock();
	why[0] = '\0';
	if (!store(directory, path, engine))
		snprintf(why, n_why, "%s: %s", path, strerror(errno));
	return known ? 0 : 1;
}
