/*
 * seal - the keys of a session between the two sides: made, used, replaced.
 *
 * Outside of every datagram: 16 bytes in clear, all of them authenticated:
 *     "IP" u8[2] | u8 version | u8 kind | u32 tag | u64 sequence
 *
 * kind 1, SHAKE (the handshake, not sealed, authenticated with the shared secret):
 *     my nonce u8[32] | my ephemeral X25519 public key u8[32] | echo: your nonce u8[32], or zeros |
 *     key id u8[8] | MAC u8[32] (keyed BLAKE2b-256 over header and all of the above)
 * kind 2, SEALED: ChaCha20-Poly1305-IETF of the messages; nonce 0^4 | sequence; additional data:
 *     the header. One key for each direction.
 *
 * Symmetric, and nothing is kept for whom is not yet proven alive: a SHAKE that doesn't echo our
 * present nonce is answered with one that echoes his, and changes nothing here; one that does
 * is fresh by that, and both sides derive the same two keys from the shared secret, X25519 of the two
 * ephemeral keys and both nonces. The session so made is a candidate; it replaces the present one
 * when its first sealed datagram has been opened. Then new nonce and ephemeral key are made for the
 * next one and the used ones are wiped: a stolen secret opens no old capture.
 *
 * No I/O, clock or random number: randomness is drawn from a generator seeded once by the shell
 * (ChaCha20, libsodium's randombytes_buf_deterministic over a counter).
 */
#ifndef IPSP_CORE_SEAL_H
#define IPSP_CORE_SEAL_H

#include "core/conf.h"
#include "core/wire.h"
#include <stdbool.h>
#include <stdint.h>

enum ipsp_dgram_kind { IPSP_DGRAM_SHAKE = 1, IPSP_DGRAM_SEALED = 2 };

struct ipsp_rng {
	uint8_t seed[32];
	uint64_t counter;
};
void ipsp_rng_init(struct ipsp_rng *rng, const uint8_t seed[32]);
void ipsp_rng_bytes(struct ipsp_rng *rng, void *p, size_t n);

#define IPSP_REPLAY_WORDS 64 /* a window of 4,096 numbers less one word */

struct ipsp_session { /* one direction pair of keys */
	bool valid;
	uint32_t tag; /* in every header of it: which session, for both sides the same */
	uint8_t tx_key[32], rx_key[32];
	uint64_t tx_seq;  /* the last used; the first is 1; at UINT64_MAX - 1 sealing fails: shake again */
	uint64_t rx_top;  /* the highest opened */
	uint64_t rx_seen[IPSP_REPLAY_WORDS];
};

struct ipsp_seal {
	struct ipsp_rng rng;
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES];
	uint8_t n_keys; /* 0: auth = "none": as with a secret of 32 zero bytes */
	uint8_t nonce[32], eph_secret[32], eph_public[32]; /* ours, of the next session */
	struct ipsp_session present, candidate;
};

void ipsp_seal_init(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf, const uint8_t seed[32]);
void ipsp_seal_set_keys(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf); /* sessions go on */
void ipsp_seal_wipe(struct ipsp_seal *seal); /* everything secret, zeroed */

/* A SHAKE to send when there is no session, or one is to be renewed: no echo, keys[0]. @out has room for IPSP_DGRAM_MAX; returns the length. */
size_t ipsp_seal_shake(struct ipsp_seal *seal, uint8_t *out);

/*
 * Seals @n bytes of messages in the candidate or present session: in the candidate as long as it has not been
 * replaced by a fresher one and there is no present one, else the present one. Returns the length, or 0 when there is no session.
 * When there is a candidate that was not confirmed yet, one datagram (@n may be 0: an empty sealed
 * one) has to be sent in it so that the peer can open it: _seal_candidate.
 */
size_t ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out);
size_t ipsp_seal_candidate(struct ipsp_seal *seal, uint8_t *out); /* an empty sealed datagram in the candidate; 0: no candidate */

enum ipsp_opened {
	IPSP_OPENED_SHAKE,   /* nothing for above; *reply_n > 0: send it */
	IPSP_OPENED_DATA,    /* plain, *plain_n */
	IPSP_OPENED_NEW,     /* as DATA, and with it a new session has replaced the present one */
};
/*
 * Opens what came. @plain and @reply have room for IPSP_DGRAM_MAX each. Returns an enum ipsp_opened,
 * or IPSP_ERR_SHORT, IPSP_ERR_FORMAT (magic, kind, lengths), IPSP_ERR_VERSION, IPSP_ERR_SEAL (no key
 * opens it, no such session), IPSP_ERR_REPLAY; on an error nothing has changed.
 */
int ipsp_seal_open(struct ipsp_seal *seal, const uint8_t *dgram, size_t n, uint8_t *plain,
		   size_t *plain_n, uint8_t *reply, size_t *reply_n);

#endif
