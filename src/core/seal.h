/*
 * seal - the keys of a session between the two sides: made, used, replaced. Bytes: see seal.c.
 *
 * Every datagram has 16 bytes in clear, all of them authenticated, and is a SHAKE (the handshake,
 * authenticated with the shared secret) or SEALED (messages, with the keys of one session).
 *
 * The handshake is symmetric; either side may begin, both at once too. A side always has one
 * offer: a nonce and an ephemeral X25519 key pair. A SHAKE says the sender's offer and an echo:
 *   no echo            please begin: answered with our offer that echoes his; nothing is kept here
 *   echo of our offer  fresh by that: both offers, the secret and X25519 of the two ephemeral
 *                      keys make a session, the candidate; answered with our offer that echoes his
 *   any other echo     the end of a handshake that was finished here, or a replay: dropped
 * Our offer is then spent: its secret is wiped and a new one made, and once more when a session is
 * promoted. So one offer makes one session at most, no two sessions ever have equal keys, and no
 * sequence number is used twice with a key, however often and in what order SHAKEs are lost,
 * repeated, delayed or replayed. A lost one is made good by the next ipsp_seal_shake(). A stolen
 * secret opens no old capture.
 *
 * The candidate replaces the present session when its first sealed datagram has been opened; a
 * newer candidate replaces an older one. Two sides that hold different candidates, or a promoted
 * session that the other side has not, don't hear each other, begin again, and are done after
 * one undisturbed exchange (three SHAKEs, one sealed datagram each way).
 *
 * What the caller does:
 *   every hello interval   send ipsp_seal_shake() if there is no present session, or nothing was
 *                          opened (DATA or NEW) in the last three intervals; and with it
 *                          ipsp_seal_candidate(), when that is not 0.
 *                          Send its hello in ipsp_seal_close(), when that is not 0
 *   IPSP_OPENED_SHAKE      send the reply, when there is one
 *   IPSP_OPENED_CANDIDATE  send the reply, then ipsp_seal_candidate(), in this order
 *   IPSP_OPENED_NEW        the numbers of hellos begin anew; send a hello at once; obey @plain
 *   IPSP_OPENED_DATA       obey @plain
 *   IPSP_OPENED_RENEWED    obey @plain: the two processes are the same, and nothing begins anew
 * and nothing on an error but to count it. A session lasts until a newer one replaces it; its keys
 * are renewed within it, see chain.h.
 *
 * Keys: the first is used for SHAKEs of our own, any of them is accepted, and a SHAKE is answered
 * with the key that it came with. So a secret is replaced without a break by adding the new one
 * behind the old on both sides, then putting it first, then removing the old.
 *
 * No I/O, clock or random number: randomness is drawn from a generator seeded once by the shell,
 * which also calls sodium_init() at its start.
 */
#ifndef IPSP_CORE_SEAL_H
#define IPSP_CORE_SEAL_H

#include "core/conf.h"
#include "core/wire.h"
#include <stdbool.h>
#include <stdint.h>

/* Of header, handshake and sealing; what is inside has its own. 1 is bound to nothing but the
 * secret. */
#define IPSP_SEAL_VERSION 2
#define IPSP_SEAL_OLD	  1
#define IPSP_SEAL_PLACE	  34 /* bytes of two addresses and a port */
#define IPSP_SHAKE_LEN	  152
#define IPSP_SEAL_TRIES	  8 /* datagrams of _candidate() before the candidate is given up */

/* What libsodium's own frames may have copies of, to be wiped behind a call with a secret: its
 * BLAKE2b keeps one of each hash that it made. */
#define IPSP_SEAL_FRAMES ((size_t)2048)

#define IPSP_FINGERPRINT_MAX 9 /* 8 digits and the NUL */

enum ipsp_dgram_kind { IPSP_DGRAM_SHAKE = 1, IPSP_DGRAM_SEALED = 2 };

struct ipsp_rng { /* a ratchet: what it gave can't be found from what it is now */
	uint8_t seed[32];
	uint64_t counter;
};
void ipsp_rng_init(struct ipsp_rng *rng, const uint8_t seed[32]);
void ipsp_rng_bytes(struct ipsp_rng *rng, void *p, size_t n);

#define IPSP_REPLAY_WORDS 64 /* a window of 4,096 numbers less one word */

struct ipsp_session { /* one direction pair of keys */
	bool valid;
	uint8_t version;   /* of the handshake that made it */
	uint32_t tag;	   /* in every header of it: which session, for both sides the same */
	uint8_t key_id[8]; /* of the secret that it was made with */
	uint8_t tx_key[32], rx_key[32];
	uint8_t chain[32]; /* the next keys are made from it and an exchange: see chain.h */
	uint64_t tx_seq;   /* the last used; the first is 1; at UINT64_MAX - 1 sealing fails: shake
			      again */
	uint64_t rx_top;   /* the highest opened */
	uint64_t rx_seen[IPSP_REPLAY_WORDS]; /* bit (n % 64) of word (n / 64 % 64): n was opened */
};

struct ipsp_chain {		  /* the sessions before and after the present one: see chain.h */
	struct ipsp_session next; /* it opens; nothing is sealed in it yet */
	struct ipsp_session last; /* it opens what is late, and seals nothing any more */
	uint8_t secret[32], public[IPSP_PUBLIC_BYTES]; /* our half of the exchange for .next */
	uint8_t his[IPSP_PUBLIC_BYTES]; /* ... and the peer's, the first that it has said */
	bool taken;			/* ... which it has */
	bool offered;			/* ours was made */
	bool told;			/* ... and said in the present session */
	bool late;			/* what was opened last was sealed in .last */
};

struct ipsp_seal_key { /* what is made of one shared secret, which itself is not kept */
	uint8_t id[8]; /* said in clear */
	struct ipsp_seal_secrets {
		uint8_t mac[32], derive[32];
	} old, bound; /* of version 1, of version 2 */
};

struct ipsp_seal {
	struct ipsp_rng rng;
	struct ipsp_seal_key keys[IPSP_KEYS_MAX];
	uint8_t n_keys; /* auth = "none" is one, a secret of 32 zero bytes; 0: none is there yet */
	uint8_t nonce[32], eph_secret[32],
		eph_public[32]; /* the offer: ours, of the next session */
	uint8_t spent[32];	/* our nonce of the newest session */
	uint8_t yield[32];	/* his nonce in a SHAKE that ours has to give way to: see seal.c */
	uint8_t ask[32]; /* the nonce of ipsp_seal_ask(): of no offer, so no session comes of it */
	uint8_t to_peer[IPSP_SEAL_PLACE]; /* our address, the peer's, the port: what is made here
					     is bound to them */
	uint8_t to_us[IPSP_SEAL_PLACE];	  /* the peer's, ours, the port */
	bool old_refused; /* version 1 is not spoken: several contexts have the secret */
	bool pinned; /* nor to this peer: it has been heard with version 2. The caller keeps it */
	bool old_allowed; /* ... in spite of that: an operator's word */
	uint8_t begun;	  /* SHAKEs that nobody has answered since the last session */
	bool proven; /* a SHAKE of ours with the first key was answered since the caller cleared
		       this */
	struct ipsp_session present, candidate;
	uint8_t tries; /* of the candidate */
	struct ipsp_chain chain;
};

/* @seed: fresh random bytes, never the same twice, or the whole of the above is void. */
void ipsp_seal_init(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf,
		    const uint8_t seed[32]);
/* Sessions go on. Returns whether these are other keys than before, or in another order. */
bool ipsp_seal_set_keys(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf);
void ipsp_seal_wipe(
	struct ipsp_seal *seal); /* everything secret, zeroed; nothing opens or seals then */

/* Ends both sessions: after a time in which nothing was heard, what was said in it is not heard
 * later. */
void ipsp_seal_forget(struct ipsp_seal *seal);

/* A SHAKE without echo, with the first key. @out has room for IPSP_DGRAM_MAX; returns the length.
 */
size_t ipsp_seal_shake(struct ipsp_seal *seal, uint8_t *out);

/*
 * The same of version 1, to be sent behind it: 0 where that is refused, and before one of version 2
 * has gone without an answer. It says that this side speaks version 2, so that nobody who does
 * obeys it.
 */
size_t ipsp_seal_shake_old(struct ipsp_seal *seal, uint8_t *out);

/* The same, but no session comes of its answer, which only sets .proven: has the peer this key?
 * @anew: answers to the questions of before count no more. */
size_t ipsp_seal_ask(struct ipsp_seal *seal, bool anew, uint8_t *out);

/*
 * What people compare to see whether two sides have the same secret: the first half of the key id,
 * which every SHAKE says in clear. The secret can't be found from it.
 */
void ipsp_seal_fingerprint(const uint8_t key_id[8], char text[IPSP_FINGERPRINT_MAX]);
/* The key id in a datagram for which ipsp_seal_open() has returned IPSP_ERR_KEY. */
const uint8_t *ipsp_seal_key_id(const uint8_t *dgram);
/* Is it the one of auth = "none"? */
bool ipsp_seal_is_none(const uint8_t key_id[8]);

/*
 * Seals @n <= IPSP_PLAIN_MAX bytes of messages in the present session, or in the candidate while
 * there is no present one. @out has room for IPSP_DGRAM_MAX and doesn't overlap @plain. Returns
 * the length, or 0 when there is no session or its numbers are used up.
 */
size_t ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out);

/*
 * An empty sealed datagram in the candidate, so that the peer can open one and so replace its
 * session. Returns the length, or 0 when there is no candidate. After IPSP_SEAL_TRIES of them
 * the candidate is given up: the peer has not got it.
 */
size_t ipsp_seal_candidate(struct ipsp_seal *seal, uint8_t *out);

/* Forgets the candidate: nobody has sealed anything in it for too long. */
void ipsp_seal_give_up(struct ipsp_seal *seal);

enum ipsp_opened {
	IPSP_OPENED_SHAKE,     /* nothing for above; *reply_n > 0: send it */
	IPSP_OPENED_CANDIDATE, /* as SHAKE, and with it a candidate was made */
	IPSP_OPENED_DATA,      /* plain, *plain_n (0: an empty one) */
	IPSP_OPENED_NEW,       /* as DATA, and with it a new session has replaced the present one */
	IPSP_OPENED_RENEWED,   /* as DATA, and with it the present session has its next keys */
};
/*
 * Opens what came. @plain and @reply have room for IPSP_DGRAM_MAX each and don't overlap @dgram;
 * *plain_n and *reply_n are 0 where there is none. Returns an enum ipsp_opened, or IPSP_ERR_SHORT,
 * IPSP_ERR_FORMAT (magic, kind, lengths), IPSP_ERR_VERSION, IPSP_ERR_KEY (a SHAKE with
 * a secret that this side does not have: anybody may say so), IPSP_ERR_SEAL (no key opens it, a
 * public key of low order), IPSP_ERR_SESSION (no such session), IPSP_ERR_OLD (a SHAKE of version 1
 * from a side that speaks no other, which is refused), IPSP_ERR_REPLAY (opened before, too
 * old, an echo of long ago, our own come back); on an error nothing has changed.
 */
int ipsp_seal_open(struct ipsp_seal *seal, const uint8_t *dgram, size_t n, uint8_t *plain,
		   size_t *plain_n, uint8_t *reply, size_t *reply_n);

#endif
