/* The parts of the skeleton, and its command line. */
#include "skeleton.h"
#include "measure.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the pool */

static uint64_t hash(const uint64_t name[2])
{
	uint64_t x = name[0] * UINT64_C(0x9e3779b97f4a7c15) ^ name[1];

	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

void pool_init(struct pool *pool, uint32_t size)
{
	uint32_t slots = 64;

	while (slots < size + size / 2)
		slots *= 2;
	*pool = (struct pool){.size = size, .tail = size, .mask = slots - 1};
	pool->ring = take_memory((size_t)size * sizeof(*pool->ring));
	pool->bindings = take_memory((size_t)size * sizeof(*pool->bindings));
	pool->slots = take_memory((size_t)slots * sizeof(*pool->slots));
	for (uint32_t i = 0; i < size; i++)
		pool->ring[i] = scattered(i, size); /* a pool that has been in use for long */
}

void pool_prefetch(const struct pool *pool, const uint64_t name[2])
{
	__builtin_prefetch(&pool->slots[(uint32_t)hash(name) & pool->mask]);
}

static bool is_named(const struct binding *binding, const uint64_t name[2])
{
	return binding->name[0] == name[0] && binding->name[1] == name[1];
}

/* The next one of the ring that no session has: one asked for by number stays in it, and is passed
 * over here. */
static uint32_t next_free(struct pool *pool)
{
	while (pool->head != pool->tail) {
		uint32_t index = pool->ring[pool->head++ & (pool->size - 1)];

		__builtin_prefetch(&pool->bindings[pool->ring[(pool->head + 8) & (pool->size - 1)]],
				   1);
		if (pool->bindings[index].owner == 0)
			return index;
	}
	return NO_ADDRESS;
}

uint32_t pool_take(struct pool *pool, const uint64_t name[2], uint32_t want)
{
	uint32_t at = (uint32_t)hash(name) & pool->mask;

	for (; pool->slots[at] != 0; at = (at + 1) & pool->mask) {
		if (is_named(&pool->bindings[pool->slots[at] - 1], name))
			return pool->slots[at] - 1;
	}
	if (want == NO_ADDRESS)
		want = next_free(pool);
	if (want >= pool->size || pool->bindings[want].owner != 0)
		return NO_ADDRESS;
	pool->bindings[want] = (struct binding){{name[0], name[1]}, want, 1, 0};
	pool->slots[at] = want + 1;
	return want;
}

bool pool_drop(struct pool *pool, uint32_t index)
{
	if (index >= pool->size || pool->bindings[index].owner == 0)
		return false;
	uint32_t hole = (uint32_t)hash(pool->bindings[index].name) & pool->mask;
	while (pool->slots[hole] != index + 1)
		hole = (hole + 1) & pool->mask;
	for (uint32_t at = hole;;) {
		at = (at + 1) & pool->mask;
		if (pool->slots[at] == 0)
			break;
		uint32_t home =
			(uint32_t)hash(pool->bindings[pool->slots[at] - 1].name) & pool->mask;
		if (((at - home) & pool->mask) >= ((at - hole) & pool->mask)) {
			pool->slots[hole] = pool->slots[at];
			hole = at;
		}
	}
	pool->slots[hole] = 0;
	pool->bindings[index].owner = 0;
	pool->ring[pool->tail++ & (pool->size - 1)] = index;
	return true;
}

/* ---------------------------------------------------------------- the journal */

#define JOURNAL_BYTES (1u << 20)
#define JOURNAL_SIZE  (64u << 20) /* written before: a flush then only overwrites */

enum journal_kind journal_kind(const char *word)
{
	if (strcmp(word, "none") == 0)
		return JOURNAL_NONE;
	if (strcmp(word, "cache") == 0)
		return JOURNAL_CACHE;
	if (strcmp(word, "power") == 0)
		return JOURNAL_POWER;
	die("a journal is none, cache or power");
}

void journal_open(struct journal *journal, const char *folder, enum journal_kind kind)
{
	char path[512];

	*journal = (struct journal){.kind = kind, .fd = -1};
	if (kind == JOURNAL_NONE)
		return;
	snprintf(path, sizeof(path), "%s/skeleton.%ld", folder, (long)getpid());
	journal->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	journal->bytes = take_memory(JOURNAL_BYTES);
	if (journal->fd < 0)
		die("%s", path);
	unlink(path);
	for (uint64_t at = 0; at < JOURNAL_SIZE; at += JOURNAL_BYTES) {
		if (pwrite(journal->fd, journal->bytes, JOURNAL_BYTES, (off_t)at) != JOURNAL_BYTES)
			die("%s", path);
	}
	if (fsync(journal->fd) != 0)
		die("%s", path);
}

static void journal_write(struct journal *journal)
{
	if (journal->at + journal->n > JOURNAL_SIZE)
		journal->at = 0;
	if (pwrite(journal->fd, journal->bytes, journal->n, (off_t)journal->at) !=
	    (ssize_t)journal->n)
		die("the journal");
	journal->at += journal->n;
	journal->n = 0;
}

void journal_put(struct journal *journal, const struct binding *binding)
{
	if (journal->kind == JOURNAL_NONE)
		return;
	if (journal->n + sizeof(*binding) > JOURNAL_BYTES)
		journal_write(journal);
	memcpy(journal->bytes + journal->n, binding, sizeof(*binding));
	journal->n += sizeof(*binding);
}

void journal_commit(struct journal *journal)
{
	if (journal->n == 0)
		return;
	journal_write(journal);
	if (journal->kind == JOURNAL_POWER && fdatasync(journal->fd) != 0)
		die("flushing the journal");
}

/* ---------------------------------------------------------------- the command line */

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	errno = 0;
	if (argc == 7 && strcmp(argv[1], "local") == 0) {
		pin((int)whole(argv[6]));
		return run_local(argv[2], whole(argv[3]), journal_kind(argv[4]), argv[5]);
	}
	if (argc == 5 && strcmp(argv[1], "restart") == 0) {
		pin((int)whole(argv[4]));
		return run_restart(whole(argv[2]), argv[3]);
	}
	if (argc >= 9) {
		const struct sides sides = {argv[2], argv[3], (uint16_t)whole(argv[4])};
		const uint32_t size = whole(argv[5]);
		const enum journal_kind kind = journal_kind(argv[6]);

		pin((int)whole(argv[8]));
		if (strcmp(argv[1], "owner") == 0)
			return run_owner(&sides, size, kind, argv[7]);
		if (strcmp(argv[1], "asker") == 0 && argc == 10)
			return run_asker(&sides, argv[9], size, kind, argv[7]);
		if (strcmp(argv[1], "giver") == 0)
			return run_giver(&sides, size, kind, argv[7]);
		if (strcmp(argv[1], "taker") == 0)
			return run_taker(&sides, size, kind, argv[7]);
	}
	die("skeleton local SOCKET SIZE JOURNAL FOLDER CORE\n"
	    "skeleton owner|giver|taker HERE THERE PORT SIZE JOURNAL FOLDER CORE\n"
	    "skeleton asker HERE THERE PORT SIZE JOURNAL FOLDER CORE SOCKET\n"
	    "skeleton restart SIZE FOLDER CORE\n"
	    "JOURNAL: none, cache (in the page cache before the answer), power (flushed before "
	    "it)");
}
