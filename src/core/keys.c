/*
 * keys - has the peer the secret of this side?
 *
 * A session of keys goes on whatever the key files say. So a wrong secret would be noticed only at
 * the next restart, when the two don't meet any more and the dead interval runs. Therefore, when a
 * reload brings other keys, a handshake with the first of them is made at once, beside the session
 * in force, and its end is said.
 *
 * A handshake with a key that is not known here says nothing by itself, for anybody may send it. It
 * is a reason to say so, and to look whether the peer still answers our own key; no session comes
 * of that question, so nobody can disturb one by it.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <string.h>

#define TRIES	  5  /* of ours that a peer which is there lets go by: it has another key */
#define ASK_AGAIN 10 /* hello intervals, where the answer is known */
#define SAY_AGAIN 60000
#define KEY_WORDS 40

/* "with key 3f9a11c2" */
static const char *with_key(const uint8_t id[8], char text[KEY_WORDS])
{
	char finger[IPSP_FINGERPRINT_MAX];

	ipsp_seal_fingerprint(id, finger);
	if (ipsp_seal_is_none(id))
		snprintf(text, KEY_WORDS, "without a key (auth = \"none\")");
	else
		snprintf(text, KEY_WORDS, "with key %s", finger);
	return text;
}

static const char *with_own_key(const struct ipsp_node *n, char text[KEY_WORDS])
{
	return with_key(n->seal.keys[0].id, text);
}

void ipsp_keys_init(struct ipsp_node *n)
{
	n->keys.foreign_at = n->keys.foreign_said_at = n->keys.old_said_at = IPSP_NEVER;
	n->keys.question_at = IPSP_NEVER;
}

static ipsp_ms again_ms(const struct ipsp_node *n)
{
	return (ipsp_ms)ASK_AGAIN * ipsp_hello_ms(n);
}

static bool lately(const struct ipsp_node *n, ipsp_ms at)
{
	return at != IPSP_NEVER && at >= n->keys.began && n->now - at < again_ms(n);
}

/* The peer is there, and hears what is said here: it has echoed a hello of since we ask. */
static bool is_there(const struct ipsp_node *n)
{
	return ipsp_contact(n) && lately(n, n->peer.echoed_sent_at);
}

/* Something begins handshakes with another key: the peer, or anybody. */
static bool is_foreign(const struct ipsp_node *n)
{
	return lately(n, n->keys.foreign_at);
}

static void ask(struct ipsp_node *n)
{
	n->keys.asking = true;
	n->keys.tries = 0;
	n->keys.began = n->now;
	n->seal.proven = false;
}

void ipsp_keys_changed(struct ipsp_node *n)
{
	char text[KEY_WORDS];

	n->keys.match = IPSP_KEY_UNTRIED;
	n->keys.foreign_at = n->keys.foreign_said_at = IPSP_NEVER;
	if (!ipsp_link_talks(n))
		return;
	n->keys.renewed = true;
	ask(n);
	n->peer.shook_at = IPSP_NEVER; /* now */
	ipsp_say(n, IPSP_LOG_NOTICE, "other keys were read: a handshake %s begins",
		 with_own_key(n, text));
}

static void set_match(struct ipsp_node *n, enum ipsp_key_match match)
{
	n->state_changed |= n->keys.match != match;
	n->keys.match = match;
}

static void differs(struct ipsp_node *n)
{
	char text[KEY_WORDS];

	set_match(n, IPSP_KEY_DIFFERS);
	ipsp_say(n, IPSP_LOG_ERROR,
		 "the peer does not answer a handshake %s: it has another secret. The session in "
		 "force goes on, but after a restart of either ipspd the two would not meet",
		 with_own_key(n, text));
	ipsp_say(n, IPSP_LOG_ERROR,
		 "put the same secret first into the key-file of both sides, then \"ipspctl "
		 "reload\" on both; until then restart neither ipspd");
}

/* What is not authenticated is told as what it is. */
static void seems_foreign(struct ipsp_node *n)
{
	char text[KEY_WORDS];

	set_match(n, IPSP_KEY_FOREIGN);
	ipsp_say(n, IPSP_LOG_ERROR,
		 "no handshake %s is answered, and some with another key come from the peer's "
		 "address: if the peer's ipspd sends these, the two sides have different secrets, "
		 "and do not hear each other",
		 with_own_key(n, text));
	ipsp_say(n, IPSP_LOG_ERROR,
		 "then put the same secret first into the key-file of both sides, and \"ipspctl "
		 "reload\" on both: after the dead interval both may use the same addresses");
}

void ipsp_keys_answered(struct ipsp_node *n)
{
	struct ipsp_key_check *k = &n->keys;
	char text[KEY_WORDS];

	if (!n->seal.proven)
		return;
	n->seal.proven = false;
	if (k->match == IPSP_KEY_DIFFERS || k->match == IPSP_KEY_FOREIGN ||
	    (k->renewed && k->match != IPSP_KEY_MATCHES))
		ipsp_say(n, IPSP_LOG_NOTICE,
			 "the peer has answered a handshake %s: it has this "
			 "side's secret",
			 with_own_key(n, text));
	set_match(n, IPSP_KEY_MATCHES);
	k->tries = 0;
	k->asking = k->renewed; /* until there is a session, too */
}

void ipsp_keys_session(struct ipsp_node *n)
{
	struct ipsp_key_check *k = &n->keys;
	const uint8_t *id = n->seal.present.key_id;
	const bool own = memcmp(id, n->seal.keys[0].id, sizeof(k->session)) == 0;
	char text[KEY_WORDS];

	if (k->in_session && memcmp(k->session, id, sizeof(k->session)) != 0)
		ipsp_say(n, IPSP_LOG_NOTICE, "the session with the peer goes on %s",
			 with_key(id, text));
	k->in_session = true;
	memcpy(k->session, id, sizeof(k->session));
	if (own)
		k->renewed = false;
	if (own && k->match == IPSP_KEY_MATCHES)
		k->asking = false;
}

static void say_foreign(struct ipsp_node *n, const uint8_t id[8])
{
	char his[KEY_WORDS], own[IPSP_FINGERPRINT_MAX];

	with_key(id, his);
	ipsp_seal_fingerprint(n->seal.keys[0].id, own);
	if (ipsp_psp(n)->n_keys == 0 || ipsp_seal_is_none(id))
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer's address begins a handshake %s, and here is %s: if the peer's "
			 "ipspd does that, give both sides the same key-file, then \"ipspctl "
			 "reload\" on both",
			 his, ipsp_psp(n)->n_keys == 0 ? "auth = \"none\"" : "a key");
	else
		ipsp_say(n, IPSP_LOG_WARNING,
			 "the peer's address begins a handshake %s, which the key-file here does "
			 "not have (its first is %s): if the peer's ipspd does that, make both "
			 "files the same, then \"ipspctl reload\" on both sides",
			 his, own);
}

void ipsp_keys_foreign(struct ipsp_node *n, const uint8_t *dgram)
{
	struct ipsp_key_check *k = &n->keys;

	k->foreign_at = n->now;
	if (!k->asking && n->now - k->began >= again_ms(n))
		ask(n);
	if (k->foreign_said_at != IPSP_NEVER && n->now - k->foreign_said_at < SAY_AGAIN)
		return;
	k->foreign_said_at = n->now;
	say_foreign(n, ipsp_seal_key_id(dgram));
}

/* The SHAKE before this one was not answered. */
static void count_try(struct ipsp_node *n)
{
	const bool there = is_there(n);
	struct ipsp_key_check *k = &n->keys;

	if (n->peer.shook_at == IPSP_NEVER || n->peer.shook_at < k->began)
		return; /* it was not for this question */
	if (!there && !is_foreign(n)) {
		k->tries = 0;
		if (k->match == IPSP_KEY_FOREIGN)
			set_match(n, IPSP_KEY_UNTRIED); /* he has stopped: nothing is known */
		return;
	}
	if (k->there != there)
		k->tries = 0; /* what strangers let go by says nothing of the peer */
	k->there = there;
	if (k->tries < TRIES)
		k->tries++;
	if (k->tries < TRIES || k->match == IPSP_KEY_DIFFERS)
		return;
	if (there)
		differs(n);
	else if (k->match != IPSP_KEY_FOREIGN)
		seems_foreign(n);
}

/* A SHAKE is due: to begin one for a @session, or to ask. */
void ipsp_keys_begin(struct ipsp_node *n, bool session)
{
	uint8_t dgram[IPSP_DGRAM_MAX];

	if (n->keys.asking)
		count_try(n);
	else
		ask(n);
	if (session || n->keys.renewed) {
		ipsp_tx_dgram(n, dgram, ipsp_seal_shake(&n->seal, dgram));
		ipsp_tx_dgram(n, dgram, ipsp_seal_shake_old(&n->seal, dgram));
	} else {
		/* an answer that is held back for longer is not one of now */
		const bool anew = n->keys.question_at == IPSP_NEVER ||
				  n->now - n->keys.question_at >= again_ms(n);

		if (anew)
			n->keys.question_at = n->now;
		ipsp_tx_dgram(n, dgram, ipsp_seal_ask(&n->seal, anew, dgram));
	}
}

/* --------------------------------------------------------------- the first version */

/*
 * A peer that was heard with version 2 is not spoken to with version 1 any more, over restarts,
 * until it stops in order: what comes back then may be an older ipspd.
 */
void ipsp_keys_pin(struct ipsp_node *n, const struct ipsp_hello *h)
{
	const bool bound = n->seal.present.version == IPSP_SEAL_VERSION &&
			   !(h->flags & (IPSP_HF_TERMINATED | IPSP_HF_GOODBYE));
	struct ipsp_side s = n->side;

	n->seal.pinned = bound;
	if (s.bound == bound)
		return;
	s.bound = bound;
	ipsp_rec_side(n, &s, true);
}

/*
 * A handshake of the first version proves nothing of now: it may be one of before an upgrade. So
 * nothing is said while the peer is heard with version 2, and else no more than what came.
 */
void ipsp_keys_old(struct ipsp_node *n)
{
	if (ipsp_contact(n) && n->seal.present.version == IPSP_SEAL_VERSION)
		return;
	if (n->keys.old_said_at != IPSP_NEVER && n->now - n->keys.old_said_at < SAY_AGAIN)
		return;
	n->keys.old_said_at = n->now;
	if (n->seal.old_refused)
		ipsp_say(n, IPSP_LOG_ERROR,
			 "a handshake of the first version came from the peer's address, and is "
			 "refused, as another context here has the same secret: if the peer's "
			 "ipspd is older, give each its own key-file on both sides, or upgrade "
			 "ipspd on its host");
	else
		ipsp_say(n, IPSP_LOG_ERROR,
			 "a handshake of the first version came from the peer's address, and is "
			 "refused, as the peer was heard with a later one: if its ipspd was set "
			 "back, upgrade ipspd on its host again; or, if that was on purpose, "
			 "old-handshake = true and \"ipspctl reload\" here. If not, somebody plays "
			 "an old one");
}

/* Beside those that a lost session needs. */
ipsp_ms ipsp_keys_due(const struct ipsp_node *n)
{
	if (!n->keys.asking)
		return IPSP_NEVER;
	if (n->peer.shook_at == IPSP_NEVER)
		return n->now;
	return n->peer.shook_at +
	       (n->keys.match == IPSP_KEY_DIFFERS ? again_ms(n) : ipsp_hello_ms(n));
}
