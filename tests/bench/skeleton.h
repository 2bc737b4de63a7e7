/*
 * skeleton - the ceiling: everything that a daemon like ipspd can't do without, and nothing else.
 *
 * It has the sockets, an index of sessions, a binding of 32 bytes for each, a pool that gives the
 * address that was free longest, a journal, and between two hosts sealed datagrams. It has no
 * configuration, no limits, no repeats, no ownership, no clocks, and believes whatever it is told.
 * So it is a measuring rod, and what is built like this must not be used for anything else.
 *
 *   local.c   requests over the control socket        pair.c   two hosts, moves, restart
 */
#ifndef BENCH_SKELETON_H
#define BENCH_SKELETON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_ADDRESS UINT32_MAX
#define BASE	   (10u << 24 | 16u << 16) /* 10.16.0.0: where pools begin */

struct binding {
	uint64_t name[2]; /* subscriber and session, 8 bytes each */
	uint32_t index, owner;
	uint64_t since;
};
_Static_assert(sizeof(struct binding) == 32, "two are a cache line");

struct pool { /* invariant: ring[head..tail] are those that no session has */
	uint32_t size, head, tail;
	uint32_t *ring;		  /* oldest first */
	struct binding *bindings; /* by address; .owner 0: no session */
	uint32_t *slots, mask;	  /* the index: open addressing, index + 1, 0 is empty */
};

void pool_init(struct pool *pool, uint32_t size);
/* The address that the session has or gets, @want or the one free longest; NO_ADDRESS: none. */
uint32_t pool_take(struct pool *pool, const uint64_t name[2], uint32_t want);
bool pool_drop(struct pool *pool, uint32_t index);
void pool_prefetch(const struct pool *pool, const uint64_t name[2]);

enum journal_kind { JOURNAL_NONE, JOURNAL_CACHE, JOURNAL_POWER };

struct journal {
	enum journal_kind kind;
	int fd;
	uint64_t at;
	uint8_t *bytes;
	size_t n;
};

enum journal_kind journal_kind(const char *word);
void journal_open(struct journal *journal, const char *folder, enum journal_kind kind);
void journal_put(struct journal *journal, const struct binding *binding);
void journal_commit(struct journal *journal); /* what was put is as safe as it gets */

/* Frames of the control socket, by their fixed places: what bench_load sends, and no others. */
struct request {
	uint64_t id; /* as it came: network byte order */
	uint64_t name[2];
	uint32_t want; /* index, or NO_ADDRESS */
	bool release;
};
/* Returns how many bytes it had; 0: more are needed. Those that are answered at once (HELLO,
 * ATTACH) are answered at *@out, which goes on, and leave .id alone and @known false. */
size_t request_get(const uint8_t *p, size_t n, struct request *request, bool *known, uint8_t **out);
uint8_t *answer_put(uint8_t *to, const struct request *request, uint32_t index);

struct client {
	int fd;
	uint8_t *in, *out;
	size_t n_in;
};
#define CLIENT_BYTES (1u << 20)
/* Reads once; false: nothing came. Ends the program when the client is gone. */
bool client_read(struct client *client);
void client_keep(struct client *client, size_t used);

int run_local(const char *socket, uint32_t size, enum journal_kind kind, const char *folder);

struct sides {			  /* of a pair, each in its network namespace already */
	const char *here, *there; /* IPv4 addresses */
	uint16_t port;
};
int run_owner(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder);
int run_asker(const struct sides *sides, const char *socket, uint32_t size, enum journal_kind kind,
	      const char *folder);
int run_giver(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder);
int run_taker(const struct sides *sides, uint32_t size, enum journal_kind kind, const char *folder);
int run_restart(uint32_t size, const char *folder);

#endif
