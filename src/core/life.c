/*
 * life - a node is made, started on what was replayed, gets another configuration, and ends.
 */
#include "core/duplicates.h"
#include "core/node_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- pools */

static void no_item(void *arg, const char *item, const char *here, const char *peer)
{
	(void)arg;
	(void)item;
	(void)here;
	(void)peer;
}

bool ipsp_pools_differ(const struct ipsp_context_conf *a, const struct ipsp_context_conf *b)
{
	return ipsp_conf_diff(a, b, no_item, NULL) != 0;
}

static void free_pools(struct ipsp_node *n)
{
	ipsp_duplicates_clear(n); /* their places are those of other pools from here on */
	for (uint32_t p = 0; n->pools && p < n->n_built; p++)
		ipsp_pool_free(n->pools[p]);
	free(n->pools);
	n->pools = NULL;
	ipsp_order_free(n->order);
	n->order = NULL;
	ipsp_binds_free(n->binds);
	n->binds = NULL;
	n->n_built = 0;
}

int ipsp_node_build_pools(struct ipsp_node *n)
{
	free_pools(n);
	n->pools = calloc(n->conf.n_pools ? n->conf.n_pools : 1, sizeof(struct ipsp_pool *));
	n->order = ipsp_order_new(&n->conf);
	n->binds = ipsp_binds_new(n->hash_key);
	if (!n->pools || !n->order || !n->binds)
		return IPSP_ERR_NOMEM;
	if (!n->started)
		ipsp_binds_load(n->binds); /* replay looks for nothing by name */
	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		enum ipsp_own own = ipsp_is_static(n, (uint16_t)p) ? IPSP_OWN_OURS : n->built_own;
		n->pools[p] = ipsp_pool_new(&n->conf.pools[p], own);
		if (!n->pools[p])
			return IPSP_ERR_NOMEM;
		n->n_built = p + 1;
	}
	n->used = n->owed = n->n_duplicate = n->n_terminate = 0;
	return 0;
}

/* --------------------------------------------------------------- made and freed */

static void forget_secrets(struct ipsp_psp_conf *psp)
{
	sodium_memzero(psp->keys, sizeof psp->keys);
}

const void *ipsp_node_secrets(const struct ipsp_node *n, size_t *size)
{
	*size = sizeof *n; /* keys, and the generator of random numbers */
	return n;
}

struct ipsp_node *ipsp_node_new(const struct ipsp_node_init *init)
{
	struct ipsp_node *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	ipsp_rng_init(&n->rng, init->seed);
	snprintf(n->version, sizeof n->version, "%s", init->version ? init->version : "");
	n->has_hook = init->has_hook;
	n->now = init->now;
	n->blank = true;
	n->peer.heard_at = n->peer.opened_at = n->peer.shook_at = n->peer.echoed_sent_at =
		IPSP_NEVER;
	ipsp_keys_init(n);
	ipsp_renew_session(n);
	n->takeover_at = n->p6_sent_at = n->stall.applied_at = IPSP_NEVER;
	n->link.unheard_since = n->link.knocked_at = IPSP_NEVER;
	n->link.knocks_since = n->link.answered_at = IPSP_NEVER;
	ipsp_rng_bytes(&n->rng, n->hash_key, sizeof n->hash_key);
	ipsp_rng_bytes(&n->rng, &n->peer.number, sizeof n->peer.number);
	n->peer.number = (n->peer.number & 0x3fffffff) + 1;
	n->peer.echoed = n->peer.number;
	for (size_t i = 0; i < sizeof n->peer.sent_at / sizeof n->peer.sent_at[0]; i++)
		n->peer.sent_at[i] = IPSP_NEVER;
	if (ipsp_conf_copy(&n->conf, init->conf) != 0) {
		free(n);
		return NULL;
	}
	ipsp_conf_sort(&n->conf);
	n->mode = n->conf.psp.mode;
	n->built_own = n->conf.psp.enabled && n->conf.psp.role == IPSP_ROLE_SECONDARY
			       ? IPSP_OWN_PEER
			       : IPSP_OWN_OURS;
	uint8_t seed[32];
	ipsp_rng_bytes(&n->rng, seed, sizeof seed);
	ipsp_seal_init(&n->seal, &n->conf.psp, seed);
	sodium_memzero(seed, sizeof seed);
	forget_secrets(&n->conf.psp); /* what is needed of them is in .seal */
	bool failed = ipsp_conf_copy(&n->file, &n->conf) != 0 || ipsp_node_build_pools(n) != 0 ||
		      ipsp_sync_init(n) != 0 || ipsp_xact_init(n) != 0 || ipsp_ha_init(n) != 0;
	if (failed) {
		ipsp_node_free(n);
		return NULL;
	}
	return n;
}

void ipsp_node_free(struct ipsp_node *n)
{
	if (!n)
		return;
	ipsp_xact_fini(n);
	ipsp_stock_fini(n);
	ipsp_ha_fini(n);
	ipsp_sync_fini(n);
	ipsp_compare_fini(n);
	free_pools(n);
	ipsp_seal_wipe(&n->seal);
	ipsp_conf_fini(&n->conf);
	ipsp_conf_fini(&n->file);
	free(n->deferred);
	free(n->late);
	free(n->was_kept);
	ipsp_notes_clear(&n->notes);
	free(n);
}

/* --------------------------------------------------------------- the start */

/* The pools of @conf come into force, and its old ones are left in @conf. Sessions are carried
 * over. */
static void swap_pools(struct ipsp_node *n, struct ipsp_context_conf *conf, enum ipsp_own own)
{
	struct ipsp_pool_conf *pools = n->conf.pools;
	uint32_t n_pools = n->conf.n_pools;

	n->conf.pools = conf->pools;
	n->conf.n_pools = conf->n_pools;
	ipsp_rec_repool(n, own);
	conf->pools = pools;
	conf->n_pools = n_pools;
}

/*
 * What the log says is in force; the file's pools replace it only where nothing is shared, as at a
 * reload: also where all is the peer's, or all this side's, they are frozen while IPSP is enabled.
 * A side that has lost its state may have lost it by these very pools.
 */
static void settle_pools(struct ipsp_node *n)
{
	if (n->blank || !ipsp_pools_differ(&n->conf, &n->file))
		return;
	if (ipsp_flow_shared_out(n) || (n->side.shared && ipsp_psp(n)->enabled)) {
		n->pools_from_log = true;
		ipsp_say(n, IPSP_LOG_ERROR,
			 "the pools of the file differ from those that are shared out with the "
			 "peer: the shared ones stay in force; put the file back%s",
			 ipsp_flow_shared_out(n) ? ""
						 : ", or say \"no pool-share-protocol\" before "
						   "the pools are changed");
		return;
	}
	bool none = ipsp_flow_owns_none(n);
	struct ipsp_context_conf copy;
	if (ipsp_conf_copy(&copy, &n->file) != 0) {
		n->act->failed = true;
		return;
	}
	swap_pools(n, &copy, none ? IPSP_OWN_PEER : IPSP_OWN_OURS);
	ipsp_conf_fini(&copy);
}

/* Durable only as far as the second before: on another boot sessions are kept for their
 * subscribers. */
static void after_reboot(struct ipsp_node *n)
{
	if (ipsp_psp(n)->durability == IPSP_DURABLE_POWER)
		return;
	for (uint32_t i = ipsp_binds_next(n->binds, 0); i != IPSP_NO_BIND;
	     i = ipsp_binds_next(n->binds, i + 1)) {
		char subscriber[256];
		struct ipsp_bind b;
		if (!ipsp_binds_get(n->binds, i, &b) || b.kind != IPSP_BIND_SESSION)
			continue;
		struct ipsp_place at = {b.pool, b.index};
		uint32_t hold_s = n->conf.pools[at.pool].hold_s;
		uint8_t len = b.ident.n_subscriber;
		memcpy(subscriber, b.ident.subscriber, len);
		hold_s = hold_s < 600 ? 600 : hold_s;
		bool owed = ipsp_pool_flags(n->pools[at.pool], at.index) & IPSP_ADDR_OWED;
		bool ours = ipsp_pool_own(n->pools[at.pool], at.index) == IPSP_OWN_OURS;
		if (b.flags & IPSP_BIND_DUPLICATE)
			ipsp_ha_end(n, at, false);
		else if (!ours || owed || ipsp_is_static(n, at.pool))
			ipsp_rec_drop(n, at);
		else
			ipsp_rec_keep(n, at, IPSP_USE_HOLD, hold_s, subscriber, len);
	}
	/* a reboot is no drop to zero: the HAs come back for what is held for them */
	if (n->side.p6 == IPSP_P6_ARMED && !n->side.draining) {
		struct ipsp_side s = n->side;
		s.p6 = IPSP_P6_IDLE;
		ipsp_rec_side(n, &s, false);
	}
}

/* Books without an identity: nothing was ever written of them but, where that write was torn, the
 * pools. */
static void first_start(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	if (n->blank)
		ipsp_rec_conf(n);
	do
		ipsp_rng_bytes(&n->rng, &s.books, sizeof s.books);
	while (s.books == 0);
	s.primary = n->built_own == IPSP_OWN_OURS;
	s.epoch = s.primary ? 1 : 0;
	s.told_epoch = s.epoch;
	s.told_primary = s.primary;
	ipsp_rec_side(n, &s, true);
}

/* Facts of the process and the configuration, looked at once at the start. */
static void start_side(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;
	const struct ipsp_psp_conf *psp = ipsp_psp(n);

	s.terminated = false;
	if (s.dead_ms == 0)
		s.dead_ms =
			psp->dead_interval_ms ? psp->dead_interval_ms : 10 * psp->hello_interval_ms;
	if (psp->enabled && !s.shared && !s.lost && !s.licence) {
		bool primary = psp->role == IPSP_ROLE_PRIMARY;
		n->refused_enable = !primary && n->used > 0 && psp->mode == IPSP_MODE_ACTIVE &&
				    !s.owner && !s.grounded;
		if (n->refused_enable)
			ipsp_say(n, IPSP_LOG_ERROR,
				 "still-used: a new secondary must have no sessions, and this "
				 "context has %u: IPSP stays disabled until the last has ended",
				 n->used);
		else if (primary != s.primary &&
			 !(s.owner && s.primary)) { /* who owned all goes on, whatever its role */
			s.primary = primary;
			s.epoch += primary ? 1 : 0;
		}
	}
	if (memcmp(&s, &n->side, sizeof s) != 0)
		ipsp_rec_side(n, &s, true);
	if (!psp->enabled && ipsp_flow_shared_out(n)) {
		n->refused_enable = true;
		ipsp_say(n, IPSP_LOG_ERROR,
			 "shared-out: the file has no pool-share-protocol, but addresses are "
			 "shared out with the peer: nothing is served; put it back, or no "
			 "pool-share-protocol --force");
	} else if (!psp->enabled && (s.shared || s.lost)) {
		ipsp_rec_alone(n, ipsp_flow_owns_none(n) ? IPSP_ALONE_WITHOUT : IPSP_ALONE_OWNER);
	} else if (psp->enabled && !n->refused_enable) {
		ipsp_role_fit(n);
	}
	if (psp->enabled && n->mode != IPSP_MODE_ACTIVE &&
	    (ipsp_flow_shared_out(n) || (s.shared && n->used > 0))) {
		n->mode = IPSP_MODE_ACTIVE;
		ipsp_say(n, IPSP_LOG_ERROR,
			 "shared-out: the file's mode is refused while addresses are shared out; "
			 "mode active");
	}
}

void ipsp_node_start(struct ipsp_node *n, const struct ipsp_start *start, struct ipsp_actions *act)
{
	n->act = act;
	n->now = n->last_step = n->started_at = start->now;
	n->started = true;
	if (!ipsp_binds_loaded(n->binds))
		act->failed = true;
	n->move_from = n->move_pool = 0;
	n->hello_at = n->now;
	n->said_at = IPSP_NEVER;
	if (n->side.books == 0)
		first_start(n);
	n->seal.pinned = n->side.bound;
	n->told_epoch = n->side.told_epoch;
	n->told_primary = n->side.told_primary;
	n->conf.psp = n->file.psp;
	settle_pools(n);
	start_side(n);
	if (!n->blank && !start->same_boot)
		after_reboot(n);
	n->stream.ack_due = n->side.applied;
	n->stall.applied = n->side.applied;
	n->sweep_owed = n->owed > 0;
	ipsp_compare_init(n);
	ipsp_lease_start(n, start);
	ipsp_ha_start(n);
	ipsp_serve_given_anew(n);
	ipsp_peer_situation(n);
	ipsp_heal_start(n);
	act->rec_seq = n->seq;
}

/* --------------------------------------------------------------- another configuration */

/* A new configuration that was found good: see ipsp_psp_on_conf. */
void ipsp_node_set_conf(struct ipsp_node *n, struct ipsp_context_conf *conf, bool pools_differ)
{
	bool was = n->conf.psp.enabled;
	enum ipsp_mode file_mode = n->file.psp.mode;
	struct ipsp_context_conf copy;

	if (ipsp_conf_copy(&copy, conf) != 0) {
		n->act->failed = true;
		return;
	}
	ipsp_conf_fini(&n->file);
	n->file = copy;
	forget_secrets(&copy.psp);
	n->pools_from_log = false;
	n->conf.psp = conf->psp;
	if (pools_differ) {
		bool none = ipsp_flow_owns_none(n);
		swap_pools(n, conf, none ? IPSP_OWN_PEER : IPSP_OWN_OURS);
	}
	if (ipsp_seal_set_keys(&n->seal, &n->conf.psp))
		ipsp_keys_changed(n);
	forget_secrets(&n->conf.psp);
	forget_secrets(&n->file.psp);
	if (n->conf.psp.mode != file_mode || !was)
		ipsp_psp_mode(n, n->conf.psp.mode);
	ipsp_psp_enabled(n, was);
	ipsp_compare_init(n);
	n->hello_soon = true;
	n->xacts.retry = true;
}
