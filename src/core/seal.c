/*
 * The formats, byte by byte. Numbers in network byte order.
 *
 *  0  "IP" u8[2] | 2  u8 version | 3  u8 kind | 4  u32 tag | 8  u64 sequence
 *
 * kind 1, SHAKE, 152 bytes; tag is 0; sequence is the highest version that the sender speaks, but 0
 * from one that speaks version 1 alone:
 *  16  nonce u8[32]       the sender's offer
 *  48  public u8[32]      ... and its ephemeral X25519 public key
 *  80  echo u8[32]        the receiver's nonce, or zeros for none
 * 112  key id u8[8]       which shared secret
 * 120  MAC u8[32]         over the 120 bytes before it and, in version 2, where it goes
 *
 * kind 2, SEALED, at most 1,200 bytes; version of the SHAKEs that made the session; tag names the
 * session, sequence counts from 1 in each direction:
 *  16  the messages, sealed with ChaCha20-Poly1305 (RFC 8439): nonce u8[4] zeros | u64 sequence,
 *      additional data: the 16 bytes of the header
 *  end - 16  the Poly1305 tag
 *
 * place(x to y): address of x u8[16] | address of y u8[16] | port u16; IPv4 as ::ffff:a.b.c.d.
 * From one shared secret S of 32 bytes; H(k, n; m): BLAKE2b (RFC 7693) of m, keyed with k, n bytes:
 *   key id  = the first 8 bytes of H(S, 16; "ipsp 1 key id"), in both versions
 *   version 2:
 *   MAC key = H(S, 32; "ipsp 2 mac"),  MAC = H(MAC key, 32; bytes 0..119 | place(sender to
 * receiver)) D       = H(S, 32; "ipsp 2 derive") version 1: MAC key = H(S, 32; "ipsp 1 mac"),  MAC
 * = H(MAC key, 32; bytes 0..119) D       = H(S, 32; "ipsp 1 derive") From two offers, "low" the one
 * with the smaller nonce (as numbers, or bytes in order): version 2: R    = H(D, 32; "ipsp 2
 * session" | low nonce | high nonce | low public | high public | X25519 | place(low to high))
 *   version 1:
 *   R    = H(D, 32; "ipsp 1 session" | low nonce | high nonce | low public | high public | X25519)
 *   key of low to high = H(R, 32; "low to high"),  of high to low = H(R, 32; "high to low")
 *   tag  = the first 4 bytes of H(R, 16; "tag")
 *
 * Why nobody leads two sides that speak version 2 back to version 1: whatever such a side says in
 * version 1 names its highest version under the MAC, and a side that speaks version 2 drops that.
 * Whoever speaks version 1 alone does not look at these eight bytes.
 *
 * Both at once with different secrets. While secrets are being replaced, the two sides may begin at
 * the same time, A with key k and B with key m. Each answers the other's, each is answered, and A
 * would make the session with k, B the same one with m, again at every try if they keep step. So
 * the key with the smaller id wins: the side whose own key is the greater one lets the answer to
 * its own beginning go by once, if it has answered a beginning with that nonce and the smaller key,
 * whose handshake is then finished by the peer.
 */
#include "core/seal.h"
#include "base/err.h"
#include "base/must.h"
#include "core/chain.h"
#include <sodium.h>
#include <string.h>

#define AT_VERSION 2
#define AT_KIND	   3
#define AT_TAG	   4
#define AT_SEQ	   8
#define AT_NONCE   16
#define AT_PUBLIC  48
#define AT_ECHO	   80
#define AT_KEY_ID  112
#define AT_MAC	   120

#define WINDOW ((IPSP_REPLAY_WORDS - 1) * 64u)

static const uint8_t no_echo[32];
static const uint8_t no_secret[IPSP_KEY_BYTES]; /* auth = "none" */

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t get_number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* H(key, n; text) of above */
static void hash_label(const uint8_t key[32], const char *label, uint8_t *out, size_t n)
{
	crypto_generichash(out, n, (const uint8_t *)label, strlen(label), key, 32);
}

/* ---------------------------------------------------------------- randomness */

void ipsp_rng_init(struct ipsp_rng *rng, const uint8_t seed[32])
{
	memcpy(rng->seed, seed, 32);
	rng->counter = 0;
}

void ipsp_rng_bytes(struct ipsp_rng *rng, void *p, size_t n)
{
	static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES]; /* a key is used once */
	uint8_t counter[8], both[64]; /* the next seed | the key of this stream */

	put_u64(counter, ++rng->counter);
	crypto_generichash(both, sizeof(both), counter, sizeof(counter), rng->seed, 32);
	memcpy(rng->seed, both, 32);
	crypto_stream_chacha20_ietf(p, n, nonce, both + 32);
	sodium_memzero(both, sizeof(both));
	sodium_stackzero(IPSP_SEAL_FRAMES);
}

/* ---------------------------------------------------------------- keys and offers */

/* A nonce that was said stands for one ephemeral key and one first key of ours, ever. */
static void make_offer(struct ipsp_seal *seal)
{
	ipsp_rng_bytes(&seal->rng, seal->nonce, sizeof(seal->nonce));
	ipsp_rng_bytes(&seal->rng, seal->eph_secret, sizeof(seal->eph_secret));
	crypto_scalarmult_base(seal->eph_public, seal->eph_secret);
	sodium_stackzero(IPSP_SEAL_FRAMES);
}

static void make_key(struct ipsp_seal_key *key, const uint8_t secret[32])
{
	uint8_t id[16];

	hash_label(secret, "ipsp 1 key id", id, sizeof(id));
	memcpy(key->id, id, sizeof(key->id));
	hash_label(secret, "ipsp 1 mac", key->old.mac, sizeof(key->old.mac));
	hash_label(secret, "ipsp 1 derive", key->old.derive, sizeof(key->old.derive));
	hash_label(secret, "ipsp 2 mac", key->bound.mac, sizeof(key->bound.mac));
	hash_label(secret, "ipsp 2 derive", key->bound.derive, sizeof(key->bound.derive));
}

static void put_place(uint8_t *p, struct ipsp_addr from, struct ipsp_addr to, uint16_t port)
{
	put_u64(p, from.hi);
	put_u64(p + 8, from.lo);
	put_u64(p + 16, to.hi);
	put_u64(p + 24, to.lo);
	p[32] = (uint8_t)(port >> 8);
	p[33] = (uint8_t)port;
}

bool ipsp_seal_set_keys(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf)
{
	struct ipsp_seal_key keys[IPSP_KEYS_MAX] = {0};
	bool other;

	IPSP_MUST(conf->n_keys <= IPSP_KEYS_MAX);
	make_key(&keys[0], no_secret);
	for (size_t i = 0; i < conf->n_keys; i++)
		make_key(&keys[i], conf->keys[i]);
	other = sodium_memcmp(keys, seal->keys, sizeof(keys)) != 0;
	memcpy(seal->keys, keys, sizeof(keys));
	sodium_memzero(keys, sizeof(keys));
	sodium_stackzero(IPSP_SEAL_FRAMES);
	if (ipsp_conf_lacks_key(conf))
		seal->n_keys = 0; /* not the 32 zero bytes of auth = "none" */
	else
		seal->n_keys = conf->n_keys ? conf->n_keys : 1;
	put_place(seal->to_peer, conf->address, conf->peer, conf->port);
	put_place(seal->to_us, conf->peer, conf->address, conf->port);
	seal->old_refused = conf->secret_is_shared;
	seal->old_allowed = conf->old_handshake;
	make_offer(seal);
	memset(seal->ask, 0, sizeof(seal->ask));
	return other;
}

void ipsp_seal_init(struct ipsp_seal *seal, const struct ipsp_psp_conf *conf,
		    const uint8_t seed[32])
{
	memset(seal, 0, sizeof(*seal));
	ipsp_rng_init(&seal->rng, seed);
	ipsp_seal_set_keys(seal, conf);
}

void ipsp_seal_forget(struct ipsp_seal *seal)
{
	sodium_memzero(&seal->present, sizeof(seal->present));
	sodium_memzero(&seal->candidate, sizeof(seal->candidate));
	sodium_memzero(&seal->chain, sizeof(seal->chain));
}

void ipsp_seal_wipe(struct ipsp_seal *seal)
{
	sodium_memzero(seal, sizeof(*seal));
}

static const struct ipsp_seal_key *find_key(const struct ipsp_seal *seal, const uint8_t *id)
{
	for (size_t i = 0; i < seal->n_keys; i++)
		if (memcmp(seal->keys[i].id, id, sizeof(seal->keys[i].id)) == 0)
			return &seal->keys[i];
	return NULL;
}

void ipsp_seal_fingerprint(const uint8_t key_id[8], char text[IPSP_FINGERPRINT_MAX])
{
	sodium_bin2hex(text, IPSP_FINGERPRINT_MAX, key_id, IPSP_FINGERPRINT_MAX / 2);
}

const uint8_t *ipsp_seal_key_id(const uint8_t *dgram)
{
	return dgram + AT_KEY_ID;
}

bool ipsp_seal_is_none(const uint8_t key_id[8])
{
	struct ipsp_seal_key none;

	make_key(&none, no_secret);
	return memcmp(none.id, key_id, sizeof(none.id)) == 0;
}

void ipsp_session_keys(struct ipsp_session *session, const uint8_t root[32], bool low)
{
	uint8_t tag[16];

	hash_label(root, "low to high", low ? session->tx_key : session->rx_key, 32);
	hash_label(root, "high to low", low ? session->rx_key : session->tx_key, 32);
	hash_label(root, "chain", session->chain, sizeof(session->chain));
	hash_label(root, "tag", tag, sizeof(tag));
	session->tag = (uint32_t)get_number(tag, 4);
}

/*
 * The session of our offer and the one in @shake. IPSP_ERR_SEAL when his public key is of low
 * order: the shared value would then be known to everybody.
 */
static int derive(const struct ipsp_seal *seal, const struct ipsp_seal_key *key,
		  const uint8_t *shake, struct ipsp_session *session)
{
	const bool bound = shake[AT_VERSION] == IPSP_SEAL_VERSION;
	const char *label = bound ? "ipsp 2 session" : "ipsp 1 session";
	const uint8_t *secret = bound ? key->bound.derive : key->old.derive;
	const bool low =
		memcmp(seal->nonce, shake + AT_NONCE, 32) < 0; /* never equal: the caller looked */
	const uint8_t *nonces[2] = {seal->nonce, shake + AT_NONCE};
	const uint8_t *publics[2] = {seal->eph_public, shake + AT_PUBLIC};
	uint8_t shared[32], root[32];
	crypto_generichash_state hash;

	if (crypto_scalarmult(shared, seal->eph_secret, shake + AT_PUBLIC) != 0)
		return IPSP_ERR_SEAL;
	crypto_generichash_init(&hash, secret, 32, sizeof(root));
	crypto_generichash_update(&hash, (const uint8_t *)label, strlen(label));
	crypto_generichash_update(&hash, nonces[!low], 32);
	crypto_generichash_update(&hash, nonces[low], 32);
	crypto_generichash_update(&hash, publics[!low], 32);
	crypto_generichash_update(&hash, publics[low], 32);
	crypto_generichash_update(&hash, shared, sizeof(shared));
	if (bound)
		crypto_generichash_update(&hash, low ? seal->to_peer : seal->to_us,
					  IPSP_SEAL_PLACE);
	crypto_generichash_final(&hash, root, sizeof(root));

	memset(session, 0, sizeof(*session));
	session->valid = true;
	session->version = shake[AT_VERSION];
	memcpy(session->key_id, key->id, sizeof(session->key_id));
	ipsp_session_keys(session, root, low);
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(root, sizeof(root));
	sodium_memzero(&hash, sizeof(hash));
	sodium_stackzero(IPSP_SEAL_FRAMES);
	return 0;
}

/* ---------------------------------------------------------------- SHAKE */

static void put_header(uint8_t *out, uint8_t version, enum ipsp_dgram_kind kind, uint32_t tag,
		       uint64_t seq)
{
	out[0] = 'I';
	out[1] = 'P';
	out[AT_VERSION] = version;
	out[AT_KIND] = (uint8_t)kind;
	put_u32(out + AT_TAG, tag);
	put_u64(out + AT_SEQ, seq);
}

/* Of a SHAKE that goes, or came, from the first address of @place to the second. */
static void make_mac(const struct ipsp_seal_key *key, const uint8_t *shake,
		     const uint8_t place[IPSP_SEAL_PLACE], uint8_t mac[32])
{
	crypto_generichash_state hash;

	if (shake[AT_VERSION] == IPSP_SEAL_OLD) {
		crypto_generichash(mac, 32, shake, AT_MAC, key->old.mac, sizeof(key->old.mac));
		return;
	}
	crypto_generichash_init(&hash, key->bound.mac, sizeof(key->bound.mac), 32);
	crypto_generichash_update(&hash, shake, AT_MAC);
	crypto_generichash_update(&hash, place, IPSP_SEAL_PLACE);
	crypto_generichash_final(&hash, mac, 32);
	sodium_memzero(&hash, sizeof(hash));
}

/* Our offer as it is now, echoing @echo; or another nonce instead of the offer's. */
static size_t put_shake(const struct ipsp_seal *seal, const struct ipsp_seal_key *key,
			uint8_t version, const uint8_t nonce[32], const uint8_t echo[32],
			uint8_t *out)
{
	put_header(out, version, IPSP_DGRAM_SHAKE, 0, IPSP_SEAL_VERSION);
	memcpy(out + AT_NONCE, nonce, 32);
	memcpy(out + AT_PUBLIC, seal->eph_public, 32);
	memcpy(out + AT_ECHO, echo, 32);
	memcpy(out + AT_KEY_ID, key->id, sizeof(key->id));
	make_mac(key, out, seal->to_peer, out + AT_MAC);
	return IPSP_SHAKE_LEN;
}

static bool speaks_old(const struct ipsp_seal *seal)
{
	return !seal->old_refused && (!seal->pinned || seal->old_allowed);
}

size_t ipsp_seal_shake(struct ipsp_seal *seal, uint8_t *out)
{
	if (!seal->n_keys)
		return 0;
	if (seal->begun < UINT8_MAX)
		seal->begun++;
	return put_shake(seal, &seal->keys[0], IPSP_SEAL_VERSION, seal->nonce, no_echo, out);
}

size_t ipsp_seal_shake_old(struct ipsp_seal *seal, uint8_t *out)
{
	const bool known = seal->present.valid && seal->present.version == IPSP_SEAL_OLD;

	if (!seal->n_keys || !speaks_old(seal) || (seal->begun < 2 && !known))
		return 0;
	return put_shake(seal, &seal->keys[0], IPSP_SEAL_OLD, seal->nonce, no_echo, out);
}

size_t ipsp_seal_ask(struct ipsp_seal *seal, bool anew, uint8_t *out)
{
	const uint8_t version = seal->present.valid ? seal->present.version : IPSP_SEAL_VERSION;

	if (!seal->n_keys)
		return 0;
	if (anew || sodium_is_zero(seal->ask, sizeof(seal->ask))) /* one until it is answered */
		ipsp_rng_bytes(&seal->rng, seal->ask, sizeof(seal->ask));
	return put_shake(seal, &seal->keys[0], version, seal->ask, no_echo, out);
}

/* Somebody begins. Nothing that he could have replayed may change more than what is given way to.
 */
static int answer_beginning(struct ipsp_seal *seal, const struct ipsp_seal_key *key,
			    const uint8_t *shake, uint8_t *reply, size_t *reply_n)
{
	if (memcmp(key->id, seal->keys[0].id, sizeof(key->id)) < 0)
		memcpy(seal->yield, shake + AT_NONCE, 32);
	*reply_n = put_shake(seal, key, shake[AT_VERSION], seal->nonce, shake + AT_NONCE, reply);
	return IPSP_OPENED_SHAKE;
}

static int make_candidate(struct ipsp_seal *seal, const struct ipsp_seal_key *key,
			  const uint8_t *shake, uint8_t *reply, size_t *reply_n)
{
	struct ipsp_session made;
	int err;

	if (key == &seal->keys[0] && memcmp(seal->yield, shake + AT_NONCE, 32) == 0) {
		memset(seal->yield, 0, 32); /* once: his may have been lost */
		seal->proven = true;
		return IPSP_OPENED_SHAKE;
	}
	err = derive(seal, key, shake, &made);
	if (err)
		return err;
	*reply_n = put_shake(seal, key, shake[AT_VERSION], seal->nonce, shake + AT_NONCE, reply);
	seal->candidate = made;
	seal->tries = seal->begun = 0;
	seal->proven |= key == &seal->keys[0];
	memcpy(seal->spent, seal->nonce, 32);
	make_offer(seal);
	sodium_memzero(&made, sizeof(made));
	return IPSP_OPENED_CANDIDATE;
}

static int open_shake(struct ipsp_seal *seal, const uint8_t *shake, size_t n, uint8_t *reply,
		      size_t *reply_n)
{
	const struct ipsp_seal_key *key;
	uint8_t mac[32];

	if (n != IPSP_SHAKE_LEN)
		return n < IPSP_SHAKE_LEN ? IPSP_ERR_SHORT : IPSP_ERR_FORMAT;
	key = find_key(seal, shake + AT_KEY_ID);
	if (!key)
		return IPSP_ERR_KEY;
	make_mac(key, shake, seal->to_us, mac);
	if (sodium_memcmp(mac, shake + AT_MAC, sizeof(mac)) != 0)
		return IPSP_ERR_SEAL;

	/* from here on: made by somebody who has the secret, now or once, and (version 2) for us */
	if (shake[AT_VERSION] == IPSP_SEAL_OLD && get_number(shake + AT_SEQ, 8) != 0)
		return IPSP_ERR_VERSION; /* he speaks version 2: nobody leads us back */
	if (shake[AT_VERSION] == IPSP_SEAL_OLD && !speaks_old(seal))
		return IPSP_ERR_OLD;
	if (memcmp(shake + AT_NONCE, seal->nonce, 32) == 0 ||
	    memcmp(shake + AT_NONCE, seal->ask, 32) == 0)
		return IPSP_ERR_REPLAY; /* our own, reflected */
	if (memcmp(shake + AT_ECHO, no_echo, 32) == 0)
		return answer_beginning(seal, key, shake, reply, reply_n);
	if (memcmp(shake + AT_ECHO, seal->nonce, 32) == 0)
		return make_candidate(seal, key, shake, reply, reply_n);
	if (memcmp(shake + AT_ECHO, seal->ask, 32) == 0) {
		memset(seal->ask, 0, sizeof(seal->ask));
		seal->proven |= key == &seal->keys[0];
		return IPSP_OPENED_SHAKE;
	}
	if (memcmp(shake + AT_ECHO, seal->spent, 32) == 0)
		return IPSP_OPENED_SHAKE; /* finished here: his last word, or again */
	return IPSP_ERR_REPLAY;
}

/* ---------------------------------------------------------------- SEALED */

static void make_aead_nonce(uint64_t seq, uint8_t nonce[12])
{
	memset(nonce, 0, 4);
	put_u64(nonce + 4, seq);
}

static size_t close_in(struct ipsp_session *session, const uint8_t *plain, size_t n, uint8_t *out)
{
	uint8_t nonce[12];

	IPSP_MUST(n <= IPSP_PLAIN_MAX);
	if (!session->valid || session->tx_seq >= UINT64_MAX - 1)
		return 0;
	session->tx_seq++; /* before it is used, and never back */
	put_header(out, session->version, IPSP_DGRAM_SEALED, session->tag, session->tx_seq);
	make_aead_nonce(session->tx_seq, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(out + IPSP_HDR_LEN, NULL, plain, n, out,
						  IPSP_HDR_LEN, NULL, nonce, session->tx_key);
	return IPSP_HDR_LEN + n + IPSP_TAG_LEN;
}

size_t ipsp_seal_close(struct ipsp_seal *seal, const uint8_t *plain, size_t n, uint8_t *out)
{
	return close_in(seal->present.valid ? &seal->present : &seal->candidate, plain, n, out);
}

void ipsp_seal_give_up(struct ipsp_seal *seal)
{
	sodium_memzero(&seal->candidate, sizeof(seal->candidate));
}

size_t ipsp_seal_candidate(struct ipsp_seal *seal, uint8_t *out)
{
	if (seal->tries >= IPSP_SEAL_TRIES)
		ipsp_seal_give_up(seal);
	if (!seal->candidate.valid)
		return 0;
	seal->tries++;
	return close_in(&seal->candidate, NULL, 0, out);
}

/* The window of RFC 6479: words of bits in a ring, the word of the highest number is the newest. */
static bool replay_ok(const struct ipsp_session *session, uint64_t seq)
{
	if (seq > session->rx_top)
		return true;
	if (seq == 0 || session->rx_top - seq >= WINDOW)
		return false;
	return !(session->rx_seen[seq / 64 % IPSP_REPLAY_WORDS] >> (seq % 64) & 1);
}

static void replay_note(struct ipsp_session *session, uint64_t seq)
{
	if (seq > session->rx_top) {
		uint64_t words = seq / 64 - session->rx_top / 64;

		for (uint64_t i = 1; i <= words && i <= IPSP_REPLAY_WORDS; i++)
			session->rx_seen[(session->rx_top / 64 + i) % IPSP_REPLAY_WORDS] = 0;
		session->rx_top = seq;
	}
	session->rx_seen[seq / 64 % IPSP_REPLAY_WORDS] |= (uint64_t)1 << (seq % 64);
}

static int open_in(struct ipsp_session *session, const uint8_t *dgram, size_t n, uint8_t *plain,
		   size_t *plain_n)
{
	uint64_t seq = get_number(dgram + AT_SEQ, 8);
	uint8_t nonce[12];

	if (!session->valid || session->version != dgram[AT_VERSION] ||
	    session->tag != get_number(dgram + AT_TAG, 4))
		return IPSP_ERR_SESSION; /* says nothing of the secret: a side has restarted */
	if (!replay_ok(session, seq))	 /* first: it costs nothing */
		return IPSP_ERR_REPLAY;
	make_aead_nonce(seq, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, dgram + IPSP_HDR_LEN,
						      n - IPSP_HDR_LEN, dgram, IPSP_HDR_LEN, nonce,
						      session->rx_key) != 0)
		return IPSP_ERR_SEAL;
	replay_note(session, seq);
	*plain_n = n - IPSP_HDR_LEN - IPSP_TAG_LEN;
	return 0;
}

static void promote_candidate(struct ipsp_seal *seal)
{
	seal->present = seal->candidate;
	/* a key lives in one place only, and whatever was said of the offer meanwhile is void */
	sodium_memzero(&seal->candidate, sizeof(seal->candidate));
	sodium_memzero(&seal->chain, sizeof(seal->chain));
	seal->pinned |= seal->present.version == IPSP_SEAL_VERSION;
	make_offer(seal);
}

static int open_sealed(struct ipsp_seal *seal, const uint8_t *dgram, size_t n, uint8_t *plain,
		       size_t *plain_n)
{
	struct ipsp_session *const sessions[] = {&seal->present, &seal->chain.next,
						 &seal->chain.last, &seal->candidate};
	int err = IPSP_ERR_SESSION;

	if (n < IPSP_HDR_LEN + IPSP_TAG_LEN)
		return IPSP_ERR_SHORT;
	/* all of them: two sessions may have the same tag, 1 in 2^32 */
	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		int got = open_in(sessions[i], dgram, n, plain, plain_n);

		if (got != 0) {
			err = err == IPSP_ERR_SESSION ? got : err;
			continue;
		}
		seal->chain.late = sessions[i] == &seal->chain.last;
		if (sessions[i] == &seal->candidate) {
			promote_candidate(seal);
			return IPSP_OPENED_NEW;
		}
		if (sessions[i] == &seal->chain.next) {
			ipsp_chain_go_on(seal);
			return IPSP_OPENED_RENEWED;
		}
		return IPSP_OPENED_DATA;
	}
	return err;
}

int ipsp_seal_open(struct ipsp_seal *seal, const uint8_t *dgram, size_t n, uint8_t *plain,
		   size_t *plain_n, uint8_t *reply, size_t *reply_n)
{
	*plain_n = *reply_n = 0;
	if (n < IPSP_HDR_LEN)
		return IPSP_ERR_SHORT;
	if (n > IPSP_DGRAM_MAX || dgram[0] != 'I' || dgram[1] != 'P')
		return IPSP_ERR_FORMAT;
	if (dgram[AT_VERSION] != IPSP_SEAL_VERSION && dgram[AT_VERSION] != IPSP_SEAL_OLD)
		return IPSP_ERR_VERSION;
	switch (dgram[AT_KIND]) {
	case IPSP_DGRAM_SHAKE:
		return open_shake(seal, dgram, n, reply, reply_n);
	case IPSP_DGRAM_SEALED:
		return open_sealed(seal, dgram, n, plain, plain_n);
	default:
		return IPSP_ERR_FORMAT;
	}
}
