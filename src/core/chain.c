/*
 * chain - see chain.h. From the two halves of the exchange, "low" the one whose public key is
 * smaller, byte by byte:
 *
 *   R = H(chain, 32; "ipsp 2 renewed" | low public | high public | X25519)
 *   keys, chain and tag of the next session from R, as from that of a handshake (seal.c)
 *
 * The chain comes from a handshake, so the place, the shared secret and all exchanges of before are
 * in R.
 */
#include "core/chain.h"
#include "base/err.h"
#include <sodium.h>
#include <string.h>

static bool can_renew(const struct ipsp_seal *seal)
{
	return seal->present.valid && seal->present.version == IPSP_SEAL_VERSION;
}

void ipsp_chain_begin(struct ipsp_seal *seal)
{
	struct ipsp_chain *c = &seal->chain;

	if (c->offered || !can_renew(seal))
		return;
	ipsp_rng_bytes(&seal->rng, c->secret, sizeof(c->secret));
	crypto_scalarmult_base(c->public, c->secret);
	sodium_stackzero(IPSP_SEAL_FRAMES);
	c->offered = true;
	c->told = false;
}

bool ipsp_chain_say(struct ipsp_seal *seal, struct ipsp_renew *renew)
{
	struct ipsp_chain *c = &seal->chain;

	if (!c->offered)
		return false;
	c->told = true;
	renew->has = c->next.valid;
	memcpy(renew->public, c->public, sizeof(renew->public));
	return true;
}

/* The next session of both halves; what it was made from is wiped: it can't be made again. */
static int derive(struct ipsp_seal *seal, const uint8_t his[IPSP_PUBLIC_BYTES])
{
	static const char label[] = "ipsp 2 renewed";
	struct ipsp_chain *c = &seal->chain;
	const int order = memcmp(c->public, his, IPSP_PUBLIC_BYTES);
	const bool low = order < 0;
	uint8_t shared[32], root[32];
	crypto_generichash_state hash;

	if (order == 0 || crypto_scalarmult(shared, c->secret, his) != 0)
		return IPSP_ERR_SEAL;
	crypto_generichash_init(&hash, seal->present.chain, sizeof(seal->present.chain),
				sizeof(root));
	crypto_generichash_update(&hash, (const uint8_t *)label, strlen(label));
	crypto_generichash_update(&hash, low ? c->public : his, IPSP_PUBLIC_BYTES);
	crypto_generichash_update(&hash, low ? his : c->public, IPSP_PUBLIC_BYTES);
	crypto_generichash_update(&hash, shared, sizeof(shared));
	crypto_generichash_final(&hash, root, sizeof(root));

	sodium_memzero(&c->next, sizeof(c->next));
	c->next.version = seal->present.version;
	memcpy(c->next.key_id, seal->present.key_id, sizeof(c->next.key_id));
	ipsp_session_keys(&c->next, root, low);
	c->next.valid = true;
	sodium_memzero(seal->present.chain, sizeof(seal->present.chain));
	sodium_memzero(c->secret, sizeof(c->secret));
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(root, sizeof(root));
	sodium_memzero(&hash, sizeof(hash));
	sodium_stackzero(IPSP_SEAL_FRAMES);
	return 0;
}

int ipsp_chain_on(struct ipsp_seal *seal, const struct ipsp_renew *renew)
{
	struct ipsp_chain *c = &seal->chain;

	if (c->late || !can_renew(seal))
		return IPSP_ERR_REPLAY;
	ipsp_chain_begin(seal);
	if (!c->taken) {
		c->taken = true; /* good or bad: a peer makes this side compute once a session */
		memcpy(c->his, renew->public, sizeof(c->his));
		int err = derive(seal, renew->public);

		if (err)
			return err;
	}
	if (!c->next.valid || memcmp(c->his, renew->public, sizeof(c->his)) != 0)
		return IPSP_ERR_REPLAY;
	if (!renew->has || !c->told)
		return 0;
	ipsp_chain_go_on(seal);
	return 1;
}

void ipsp_chain_go_on(struct ipsp_seal *seal)
{
	struct ipsp_chain *c = &seal->chain;

	c->last = seal->present;
	sodium_memzero(c->last.tx_key, sizeof(c->last.tx_key)); /* it never seals again */
	seal->present = c->next;
	sodium_memzero(&c->next, sizeof(c->next)); /* a key lives in one place only */
	sodium_memzero(c->secret, sizeof(c->secret));
	sodium_memzero(c->public, sizeof(c->public));
	sodium_memzero(c->his, sizeof(c->his));
	c->offered = c->told = c->taken = false;
}

void ipsp_chain_end_last(struct ipsp_seal *seal)
{
	sodium_memzero(&seal->chain.last, sizeof(seal->chain.last));
}
