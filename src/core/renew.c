/*
 * renew - when the keys of a session are renewed: by their age and by how much was sealed with
 * them. How: chain.h.
 *
 * It rides on the hellos, each of which is followed by this side's half of the exchange while there
 * is one to be said: so it has no timer of its own, and is repeated as they are. A peer that can't
 * do it (its hello doesn't say RENEWS) goes on with the keys that it has: a handshake beside the
 * session would make both forget what they have heard of each other.
 */
#include "core/chain.h"
#include "core/node_int.h"

/* As long as it takes to say all of a candidate's datagrams, and a little more. */
static ipsp_ms patience_ms(const struct ipsp_node *n)
{
	const uint32_t mine = ipsp_hello_ms(n), theirs = n->peer.hello.hello_ms;

	return (IPSP_SEAL_TRIES + 2) * (ipsp_ms)(mine > theirs ? mine : theirs);
}

void ipsp_renew_candidate(struct ipsp_node *n)
{
	n->renew.candidate_until = n->now + patience_ms(n);
}

void ipsp_renew_session(struct ipsp_node *n)
{
	n->renew.since = n->now;
	n->renew.last_until = n->renew.candidate_until = IPSP_NEVER;
}

static void renewed(struct ipsp_node *n)
{
	n->stats.keys_renewed++;
	n->renew.since = n->now;
	n->renew.last_until = IPSP_NEVER;
}

/* What was sealed with the last keys and is on its way for longer than that counts as lost. */
void ipsp_renew_look(struct ipsp_node *n)
{
	if (n->now >= n->renew.last_until) {
		ipsp_chain_end_last(&n->seal);
		n->renew.last_until = IPSP_NEVER;
	}
	/* held back, it would end a session at any later time */
	if (n->now >= n->renew.candidate_until) {
		ipsp_seal_give_up(&n->seal);
		n->renew.candidate_until = IPSP_NEVER;
	}
}

void ipsp_renew_opened(struct ipsp_node *n, int opened)
{
	if (opened == IPSP_OPENED_RENEWED)
		renewed(n);
	/* the peer seals with the present keys, so nothing new comes with the last ones */
	if (n->seal.chain.last.valid && !n->seal.chain.late && n->renew.last_until == IPSP_NEVER)
		n->renew.last_until = n->now + ipsp_loss_ms(n);
}

static bool may_renew(const struct ipsp_node *n)
{
	return ipsp_psp(n)->renew_ms != 0 && n->peer.known &&
	       n->peer.hello.capabilities & IPSP_CAP_RENEWS;
}

static bool is_due(const struct ipsp_node *n)
{
	const struct ipsp_session *s = &n->seal.present;
	const uint64_t most = ipsp_psp(n)->renew_datagrams;

	/* one after the other: until the last keys are gone the peer may be about to use these */
	return !n->seal.chain.last.valid && (n->now - n->renew.since >= ipsp_psp(n)->renew_ms ||
					     s->tx_seq >= most || s->rx_top >= most);
}

bool ipsp_renew_say(struct ipsp_node *n, struct ipsp_renew *renew)
{
	if (!may_renew(n))
		return false;
	if (is_due(n))
		ipsp_chain_begin(&n->seal);
	return ipsp_chain_say(&n->seal, renew);
}

void ipsp_renew_on(struct ipsp_node *n, const struct ipsp_renew *renew)
{
	const int went_on = may_renew(n) ? ipsp_chain_on(&n->seal, renew) : IPSP_ERR_VERSION;

	if (went_on > 0)
		renewed(n);
	else if (went_on == IPSP_ERR_SEAL)
		n->stats.drop_seal++;
}
