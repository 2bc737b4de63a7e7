/*
 * conf - the configuration of one context as plain data: checked, compared, encoded.
 *
 * Whoever reads a file (config.c) or builds one in a test fills these structs; nothing here
 * knows about files. All strings are NUL-terminated and inside of the struct.
 */
#ifndef IPSP_CORE_CONF_H
#define IPSP_CORE_CONF_H

#include "base/addr.h"
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

#define IPSP_NAME_MAX 32 /* 31 characters and the NUL */
#define IPSP_DEVICE_MAX                                                                            \
	16 /* of a network interface: 15 characters and the NUL, as the system has it */
#define IPSP_POOLS_MAX                                                                             \
	512 /* per context, so that one CONF record (65,535 bytes) holds all definitions with the  \
	       longest names; a pool's number on the wire is its place in the list sorted by name  \
	     */

typedef uint64_t ipsp_ms; /* milliseconds; points in time are CLOCK_BOOTTIME of this host */
#define IPSP_NEVER UINT64_MAX

enum ipsp_pool_type { IPSP_POOL_PUBLIC, IPSP_POOL_PRIVATE, IPSP_POOL_STATIC };

struct ipsp_pool_conf {
	char name[IPSP_NAME_MAX];
	char group[IPSP_NAME_MAX]; /* "" for none */
	enum ipsp_pool_type type;
	uint8_t priority;      /* 0..10, 0 first */
	struct ipsp_addr base; /* the first address that can be given */
	uint32_t size;	       /* how many; 1..2^26 */
	uint8_t shift; /* address i is base + (i << shift): 0, or 128 - length of an IPv6 prefix
			  pool */
	uint8_t plen; /* what one entry is: 32, or the prefix length given to a session (64, 128) */
	uint8_t netlen; /* mask length where it was written as a network, 0 for a range */
	uint32_t hold_s, quarantine_s; /* 0: none */
	bool busyout;
};

enum ipsp_role { IPSP_ROLE_NONE, IPSP_ROLE_PRIMARY, IPSP_ROLE_SECONDARY };
enum ipsp_mode { IPSP_MODE_ACTIVE, IPSP_MODE_INACTIVE, IPSP_MODE_CHECK };
enum ipsp_durability { IPSP_DURABLE_CRASH, IPSP_DURABLE_POWER };

#define IPSP_KEY_BYTES 32
#define IPSP_KEYS_MAX  4

struct ipsp_psp_conf { /* pool-share-protocol of one interface */
	bool enabled;  /* false: the context has no pool-share-protocol */
	char interface[IPSP_NAME_MAX];
	struct ipsp_addr address; /* ours, on that interface */
	uint8_t address_plen;
	char device[IPSP_DEVICE_MAX]; /* the system's interface or VRF that the socket is bound to;
					 "": any */
	struct ipsp_addr peer;
	enum ipsp_role role; /* OURS: the opposite of the key word in the file */
	enum ipsp_mode mode;
	uint32_t dead_interval_ms; /* 0: disabled, the peer is down at once on loss */
	uint8_t reserved_free_percentage;
	uint16_t port;
	uint32_t hello_interval_ms, request_timeout_ms, release_timeout_ms;
	uint32_t block_size; /* 0: by demand */
	enum ipsp_durability durability;
	bool takeover_when_deaf; /* by the dead interval also while the own link fails (B8) */
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES]; /* the first is used, all are accepted */
	uint8_t n_keys;				     /* 0: auth = "none", unless: */
	bool wants_key; /* a key was asked for: nothing is said or heard while there is none */
	bool secret_is_shared; /* with another context of this host: no handshake of version 1 then
				*/
	bool old_handshake; /* version 1 is spoken with a peer that was heard with version 2, too */
	/* Session keys are renewed when they are so old, or when so many datagrams were sealed or
	 * opened with them. No file says it: IPSP_RENEW_MS and _DATAGRAMS, but shorter in the
	 * simulator; .renew_ms 0: never, and the peer isn't told that it can be done. */
	uint32_t renew_ms;
	uint64_t renew_datagrams;
};

struct ipsp_context_conf {
	char name[IPSP_NAME_MAX];
	struct ipsp_pool_conf
		*pools; /* owned, n_pools; sorted by name once ipsp_conf_sort() was called */
	uint32_t n_pools;
	struct ipsp_psp_conf psp;
};

#define IPSP_DEAD_MS_DEFAULT (3600u * 1000u)
#define IPSP_RENEW_MS	     (3600u * 1000u)
#define IPSP_RENEW_DATAGRAMS (UINT64_C(1) << 30)

/* the ranges of the values, which ipsp_conf_check holds them to */
#define IPSP_POOL_SIZE_MAX    (1u << 26)
#define IPSP_PRIORITY_MAX     10
#define IPSP_HOLD_S_MAX	      31556926u
#define IPSP_QUARANTINE_S_MIN 20u
#define IPSP_QUARANTINE_S_MAX 86400u
#define IPSP_DEAD_MS_MAX      (259200u * 1000u)
#define IPSP_HELLO_MS_MIN     10u
#define IPSP_HELLO_MS_MAX     60000u
#define IPSP_TIMEOUT_MS_MIN   10u /* of a request, of a release */
#define IPSP_TIMEOUT_MS_MAX   600000u
#define IPSP_BLOCK_SIZE_MAX   65536u

void ipsp_conf_init(struct ipsp_context_conf *conf,
		    const char *name); /* the defaults of interface.md */
void ipsp_conf_fini(struct ipsp_context_conf *conf);
int ipsp_conf_copy(struct ipsp_context_conf *to,
		   const struct ipsp_context_conf *from); /* deep; @to need not be initialised */
void ipsp_conf_sort(struct ipsp_context_conf *conf); /* pools by name: gives every pool the same
							number on both sides */

/*
 * Every rule on one context that needs nothing from outside (B1-B3, ranges, overlaps, names,
 * interval relations). @fault is called for each fault with the key ("pools.pool-a.priority")
 * and a sentence that says what is wrong and what is allowed; all faults are found. Returns how
 * many there were. Warnings (dead-interval-ms and the like) come from config.c.
 */
typedef void ipsp_conf_fault_fn(void *arg, const char *key, const char *text);
int ipsp_conf_check(const struct ipsp_context_conf *conf, ipsp_conf_fault_fn *fault, void *arg);

/*
 * Which addresses of @pool no subscriber may get, in words: "127.0.0.1 to 127.0.0.254 (loopback),
 * 192.0.2.1 (this side's interface address)". Returns how many such ranges there are; @text is ""
 * for none.
 */
int ipsp_conf_nobodys(const struct ipsp_pool_conf *pool, const struct ipsp_psp_conf *psp,
		      char *text, size_t cap);
/* Can @addr be a host's own? Loopback and link-local ones can. */
bool ipsp_conf_is_host(struct ipsp_addr addr);

/* A key was asked for, and is not there yet. */
static inline bool ipsp_conf_lacks_key(const struct ipsp_psp_conf *psp)
{
	return psp->wants_key && psp->n_keys == 0;
}

/* Can a network interface be called so? */
bool ipsp_device_ok(const char *name);

/* What P1 compares: the pools' definitions, encoded (a format of protocol.md), and their digest
 * (BLAKE2b-256 of that). */
void ipsp_conf_encode_pools(const struct ipsp_context_conf *conf, struct ipsp_buf *buf);
int ipsp_conf_decode_pools(
	const void *bytes, size_t n,
	struct ipsp_context_conf *conf); /* fills pools, n_pools of an initialised conf without
					    pools; IPSP_ERR_FORMAT, IPSP_ERR_NOMEM */
void ipsp_conf_digest(const void *encoded, size_t n, uint8_t digest[32]);

/*
 * One line of difference in words: pool "pool-a": priority: here 0, peer 3. @item may be called any
 * number of times, with texts that live during the call. Both are sorted. Returns how many.
 */
typedef void ipsp_conf_diff_fn(void *arg, const char *item, const char *here, const char *peer);
int ipsp_conf_diff(const struct ipsp_context_conf *here, const struct ipsp_context_conf *peer,
		   ipsp_conf_diff_fn *item, void *arg);

/* May @to replace @from while IPSP is enabled and shared out (B4)? 0 or IPSP_ERR_SHARED_OUT; @why
 * (may be NULL) gets the first key that may not change. */
int ipsp_conf_may_change(const struct ipsp_context_conf *from, const struct ipsp_context_conf *to,
			 char why[128]);

/*
 * The last address of @pool (of the last prefix, where it is of prefixes). False when its addresses
 * make no range: the size is 0 or too large, the base is not on the border of a prefix, or the end
 * would lie outside of the address family.
 */
bool ipsp_conf_last(const struct ipsp_pool_conf *pool, struct ipsp_addr *last);

/* The pool that has @addr, and its place there (a prefix is named by its first address); -1 when
 * none. */
int ipsp_conf_find(const struct ipsp_context_conf *conf, struct ipsp_addr addr, uint32_t *index);

static inline struct ipsp_addr ipsp_pool_addr(const struct ipsp_pool_conf *pool, uint32_t index)
{
	return ipsp_addr_add(pool->base, index, pool->shift);
}

#endif
