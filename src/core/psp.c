/*
 * psp - the pool-share-protocol of a context, switched on and off: its mode, its end on either
 * side, and a new configuration.
 */
#include "core/node_int.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define LEAVING_MS 3000 /* how long a peer is told that IPSP was disabled here */

/* --------------------------------------------------------------- mode */

/*
 * A primary that knows of no sharing, and has no session, may have lost its state: so it listens
 * whenever it begins to hear, as it does at its start.
 */
static void listen_first(struct ipsp_node *n)
{
	const struct ipsp_side *s = &n->side;

	if (s->primary && !s->shared && !s->lost && !s->licence && !s->owner && n->used == 0)
		ipsp_link_listen(n, 3 * ipsp_psp(n)->hello_interval_ms);
}

void ipsp_psp_mode(struct ipsp_node *n, enum ipsp_mode mode)
{
	struct ipsp_side s = n->side;

	if (mode == IPSP_MODE_ACTIVE && s.terminated) {
		s.terminated = false;
		ipsp_rec_side(n, &s, true);
	}
	if (mode == n->mode)
		return;
	const bool heard_nothing = n->mode == IPSP_MODE_INACTIVE;
	n->mode = mode;
	if (mode == IPSP_MODE_ACTIVE)
		ipsp_role_fit(n);
	if (heard_nothing)
		listen_first(n);
	ipsp_seal_forget(&n->seal);
	n->peer.known = false;
	n->hello_soon = true;
	ipsp_lease_deaf(n);
	ipsp_say(n, IPSP_LOG_NOTICE, "mode %s", ipsp_mode_word(mode));
}

/* --------------------------------------------------------------- disabled here, disabled there */

/*
 * no pool-share-protocol, or a reload that removed it. The books end: the side that owned all goes
 * on alone, the side that owned nothing serves nothing until something is shared with it again. The
 * peer is told for a moment, so that it doesn't take our going for our death.
 */
void ipsp_psp_disable(struct ipsp_node *n, bool force)
{
	bool all = ipsp_flow_owns_all(n), contact = ipsp_contact(n);
	bool without =
		ipsp_flow_owns_none(n) && (n->side.shared || n->side.lost || n->side.grounded);
	bool owner = all && (n->side.shared || n->side.owner);

	n->conf.psp.enabled = n->refused_enable = false;
	if (force && !all) {
		ipsp_rec_alone(n, IPSP_ALONE_ALL);
		n->peer.known = false;
		ipsp_say(n, IPSP_LOG_WARNING,
			 "IPSP is disabled by force: all addresses are served here; those that the "
			 "peer owns may be in use there");
		return;
	}
	ipsp_rec_alone(n, owner ? IPSP_ALONE_OWNER : without ? IPSP_ALONE_WITHOUT : IPSP_ALONE);
	ipsp_say(n, IPSP_LOG_NOTICE, "IPSP is disabled in this context");
	n->leaving = contact;
	n->leaving_until = n->now + LEAVING_MS;
	n->hello_soon = true;
	if (!contact)
		n->peer.known = false;
}

/*
 * The peer goes alone. One that owns all asks first (it still says that it shares), and is followed
 * only when nothing is left between the two: no licence, no healing, no session on an address of
 * its. One that owns nothing has gone: nobody will take anything from us from here on. Returns
 * false for a hello that is to be taken like any other.
 */
bool ipsp_psp_on_left(struct ipsp_node *n, const struct ipsp_hello *h)
{
	bool asks = h->flags & IPSP_HF_SHARED, none = ipsp_flow_owns_none(n);

	if (!n->side.shared || n->side.lost)
		return !asks || n->side.grounded; /* it has not heard yet that we followed */
	if (asks && (!none || n->used > 0 || n->side.licence || ipsp_heal_pending(n)))
		return false;
	if (!asks && !ipsp_flow_owns_all(n))
		return true; /* by force, with addresses shared out: the dead interval decides */
	ipsp_rec_alone(n, none ? IPSP_ALONE_WITHOUT : IPSP_ALONE_OWNER);
	ipsp_say(n, IPSP_LOG_NOTICE,
		 none ? "the peer has disabled IPSP and owns all: nothing is served here"
		      : "the peer has disabled IPSP: this side owns all and serves alone");
	n->hello_soon = true;
	return true;
}

/* The peer has answered: it owns nothing any more, and will take nothing. */
void ipsp_psp_may_leave(struct ipsp_node *n)
{
	n->asks_to_leave = false;
	if (ipsp_flow_owns_all(n))
		ipsp_psp_disable(n, false);
}

/* --------------------------------------------------------------- a new configuration */

static bool role_is_fresh_secondary(const struct ipsp_node *n, const struct ipsp_context_conf *c)
{
	return c->psp.enabled && c->psp.role == IPSP_ROLE_SECONDARY &&
	       c->psp.mode == IPSP_MODE_ACTIVE && !n->side.shared && !n->side.owner &&
	       !n->side.grounded;
}

/* Sessions whose address @c has in no pool, or has as a prefix of another length. */
static uint32_t left_out(const struct ipsp_node *n, const struct ipsp_context_conf *c)
{
	uint32_t out = 0, index;
	struct ipsp_bind b;

	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		if (!ipsp_binds_get(n->binds, i, &b) || b.kind != IPSP_BIND_SESSION)
			continue;
		const struct ipsp_pool_conf *pool = &n->conf.pools[b.pool];
		int p = ipsp_conf_find(c, ipsp_pool_addr(pool, b.index), &index);
		out += p < 0 || c->pools[p].plen != pool->plen;
	}
	return out;
}

int ipsp_node_may_conf(const struct ipsp_node *n, const struct ipsp_context_conf *conf,
		       char why[128])
{
	struct ipsp_context_conf c;
	bool was = n->conf.psp.enabled;

	why[0] = 0;
	if (ipsp_conf_copy(&c, conf) != 0)
		return IPSP_ERR_NOMEM;
	ipsp_conf_sort(&c);
	bool differ = ipsp_pools_differ(&n->conf, &c);
	int err = was && c.psp.enabled && (n->side.shared || n->mode == IPSP_MODE_ACTIVE)
			  ? ipsp_conf_may_change(&n->conf, &c, why)
			  : 0;
	if (!err && was && c.psp.enabled && differ) {
		snprintf(
			why, 128,
			"pools: they are frozen while pool-share-protocol is enabled, in any mode: "
			"\"no pool-share-protocol\" first");
		err = IPSP_ERR_SHARED_OUT;
	}
	bool out = ipsp_flow_shared_out(n), owner = n->side.shared && ipsp_flow_owns_all(n);
	if (!err && was && !c.psp.enabled && (out || owner)) {
		snprintf(why, 128,
			 "pool-share-protocol: the peer has to be told by \"no "
			 "pool-share-protocol\" first");
		err = IPSP_ERR_SHARED_OUT;
	}
	if (!err && n->mode == IPSP_MODE_ACTIVE && c.psp.mode != IPSP_MODE_ACTIVE &&
	    (out || (n->side.shared && n->used > 0)))
		err = IPSP_ERR_SHARED_OUT;
	if (!err && ipsp_flow_shared_out(n) && differ)
		err = IPSP_ERR_SHARED_OUT;
	if (!err && role_is_fresh_secondary(n, &c) && n->used > 0 &&
	    !(was && n->conf.psp.role == IPSP_ROLE_SECONDARY && n->mode == IPSP_MODE_ACTIVE))
		err = IPSP_ERR_STILL_USED;
	/* nobody would tell their HAs, and who gets these addresses next has them twice */
	uint32_t lost = !err && differ ? left_out(n, &c) : 0;
	if (lost > 0) {
		snprintf(why, 128, "pools: %u address%s in use would be in no pool", lost,
			 lost == 1 ? "" : "es");
		err = IPSP_ERR_STILL_USED;
	}
	ipsp_conf_fini(&c);
	return err;
}

void ipsp_psp_on_conf(struct ipsp_node *n, const struct ipsp_event *ev)
{
	struct ipsp_context_conf c;
	char why[128] = "";
	int err = ipsp_node_may_conf(n, ev->conf, why);

	if (err) {
		ipsp_say(n, IPSP_LOG_WARNING, "the new configuration is refused: %s %s",
			 ipsp_err_text(err), why);
		ipsp_out_done(n, ev->token, ev->id, err, NULL);
		return;
	}
	if (ipsp_conf_copy(&c, ev->conf) != 0) {
		n->act->failed = true;
		return;
	}
	ipsp_conf_sort(&c);
	bool differ = ipsp_pools_differ(&n->conf, &c);
	ipsp_node_set_conf(n, &c, differ); /* takes what it needs out of c */
	ipsp_conf_fini(&c);
	ipsp_out_done(n, ev->token, ev->id, 0, NULL);
}

/* What the context says of its keys. They themselves are only in the seal. */
static void say_keys(struct ipsp_psp_conf *to, const struct ipsp_psp_conf *from)
{
	to->n_keys = from->n_keys;
	to->wants_key = from->wants_key;
	to->secret_is_shared = from->secret_is_shared;
}

/*
 * A key file that was late. All else stays as it is, whatever an operator has made of it since, or
 * the file says that can't be taken: so there is nothing to refuse.
 */
void ipsp_psp_on_keys(struct ipsp_node *n, const struct ipsp_context_conf *conf)
{
	struct ipsp_psp_conf psp;

	say_keys(&n->file.psp, &conf->psp);
	say_keys(&n->conf.psp, &conf->psp);
	psp = n->conf.psp;
	memcpy(psp.keys, conf->psp.keys, sizeof(psp.keys));
	if (ipsp_seal_set_keys(&n->seal, &psp))
		ipsp_keys_changed(n);
	sodium_memzero(&psp, sizeof(psp));
	n->hello_soon = true;
}

/* What a start has refused (still-used) is done when no session is in its way any more. */
void ipsp_psp_unused(struct ipsp_node *n)
{
	if (!ipsp_psp(n)->enabled || n->used > 0)
		return;
	ipsp_say(n, IPSP_LOG_NOTICE,
		 "the last session has ended: IPSP is enabled in this context, as secondary");
	ipsp_psp_enabled(n, false);
}

/* It was refused at the start, and the file that is read now asks for the same. */
static bool still_refused(const struct ipsp_node *n)
{
	return n->refused_enable && ipsp_psp(n)->enabled &&
	       ipsp_psp(n)->role == IPSP_ROLE_SECONDARY && n->mode == IPSP_MODE_ACTIVE &&
	       n->used > 0;
}

/* Removed or added by a reload: the same as by command, or as at a start. */
void ipsp_psp_enabled(struct ipsp_node *n, bool was)
{
	struct ipsp_side s = n->side;
	const struct ipsp_psp_conf *psp = ipsp_psp(n);

	if (was && !psp->enabled) {
		ipsp_psp_disable(n, false);
		return;
	}
	if (was && still_refused(n)) {
		ipsp_say(n, IPSP_LOG_WARNING,
			 "still-used: this context has %u sessions: IPSP stays disabled until the "
			 "last has ended",
			 n->used);
		return;
	}
	was = was && !n->refused_enable;
	if (!was && psp->enabled) {
		n->refused_enable = false; /* the file had left it out, and has it again */
		ipsp_lease_deaf(n);
	}
	if (!psp->enabled || s.shared || s.lost)
		return;
	if (was && s.primary == (psp->role == IPSP_ROLE_PRIMARY))
		return;
	n->leaving = false;
	ipsp_seal_forget(&n->seal);
	n->peer.known = false;
	s.conf_mine = s.conf_peer = IPSP_ROLE_NONE;
	s.primary = psp->role == IPSP_ROLE_PRIMARY;
	if (s.primary)
		s.epoch++;
	ipsp_rec_side(n, &s, true);
	ipsp_role_fit(n);
	listen_first(n);
	n->hello_soon = true;
}
