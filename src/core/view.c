/* view - what is shown of a node; nothing here changes anything. */
#include "base/must.h"
#include "core/names.h"

#include <string.h>

const char *ipsp_role_word(enum ipsp_role role)
{
	static const char *const words[] = {"none", "primary", "secondary"};
	return words[role];
}

const char *ipsp_pool_type_word(enum ipsp_pool_type type)
{
	static const char *const words[] = {"public", "private", "static"};
	return words[type];
}

const char *ipsp_mode_word(enum ipsp_mode mode)
{
	static const char *const words[] = {"active", "inactive", "check-config"};
	return words[mode];
}

const char *ipsp_state_word(enum ipsp_state state)
{
	static const char *const words[IPSP_STATES] = {
		"disabled", "inactive",	 "checking",  "connecting",  "config-mismatch", "locked",
		"active",   "peer-lost", "peer-down", "reconciling", "terminated",
	};
	return words[state];
}

const char *ipsp_peer_state_word(enum ipsp_peer_state state)
{
	static const char *const words[IPSP_PEER_STATES] = {"unknown", "up", "lost", "down",
							    "stopped"};
	return words[state];
}

const char *ipsp_waiting_word(enum ipsp_waiting waiting)
{
	static const char *const words[IPSP_WAITS] = {NULL,	 "peer",    "lease",
						      "healing", "silence", "first-grant",
						      "veto",	 "unheard", "link"};
	return words[waiting];
}

static enum ipsp_role role_of(const struct ipsp_node *n)
{
	if (!ipsp_psp(n)->enabled || n->refused_enable)
		return IPSP_ROLE_NONE;
	return n->side.primary ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
}

/* What it last said; the opposite of ours where it can't know of our epoch yet. */
static enum ipsp_role peer_role_of(const struct ipsp_node *n)
{
	if (role_of(n) == IPSP_ROLE_NONE || (!n->peer.known && n->peer_state == IPSP_PEER_UNKNOWN))
		return IPSP_ROLE_NONE;
	if (!n->peer.known || n->peer.hello.epoch < n->side.epoch)
		return n->side.primary ? IPSP_ROLE_SECONDARY : IPSP_ROLE_PRIMARY;
	return n->peer.hello.flags & IPSP_HF_PRIMARY ? IPSP_ROLE_PRIMARY : IPSP_ROLE_SECONDARY;
}

/* How long until the peer is marked down, while it is lost; never where S6 keeps this side back. */
static ipsp_ms dead_in(const struct ipsp_node *n, ipsp_ms now)
{
	if (n->state != IPSP_ST_PEER_LOST || ipsp_link_stays_still(n) || ipsp_s6_holds(n))
		return IPSP_NEVER;
	ipsp_ms at = n->lease.quiet_since + ipsp_dead_ms(n);
	return at > now ? at - now : 0;
}

static enum ipsp_mismatch mismatch_of(const struct ipsp_node *n)
{
	if (!n->peer.known || !ipsp_psp(n)->enabled)
		return IPSP_MISMATCH_NONE;
	if (n->peer.speaks == 0)
		return IPSP_MISMATCH_VERSIONS;
	if (n->peer.twin)
		return IPSP_MISMATCH_BOOKS;
	if (n->conf_role_conflict)
		return IPSP_MISMATCH_ROLES;
	return n->compare.known && !n->compare.same ? IPSP_MISMATCH_POOLS : IPSP_MISMATCH_NONE;
}

/* S6 alone: with a session here since it is secondary it would take over. */
static bool kept_back(const struct ipsp_node *n)
{
	return ipsp_s6_holds(n) && !ipsp_heard(n) && !ipsp_link_deaf(n);
}

/* Nothing is owned or used here, nothing on its way, the role is the peer's, and it knows. */
static bool drained(const struct ipsp_node *n)
{
	const struct ipsp_sums s = ipsp_flow_sums(n);

	return n->side.draining && !n->side.primary && n->used == 0 && s.ours + s.transit == 0 &&
	       n->stream.n == 0 && n->side.p6 != IPSP_P6_DUE && ipsp_contact(n) &&
	       n->peer.hello.epoch == n->side.epoch && n->side_seq <= n->flushed;
}

const struct ipsp_context_conf *ipsp_node_conf(const struct ipsp_node *n)
{
	return &n->conf;
}

static void view_books(const struct ipsp_node *n, struct ipsp_status *s)
{
	struct ipsp_pool_status pool;

	s->used = n->used;
	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		ipsp_node_pool_status(n, (uint16_t)p, &pool);
		if (ipsp_is_static(n, (uint16_t)p)) {
			s->static_used += pool.used;
			continue;
		}
		s->free += pool.free;
		s->unused += pool.free + pool.hold + pool.quarantine;
		s->in_transit += pool.in_transit;
	}
	s->peer_takes = ipsp_flow_peer_takes(n);
	s->peer_knows = n->stream.n == 0 && ipsp_contact(n) &&
			n->peer.hello.epoch == n->side.epoch && n->side_seq <= n->flushed;
}

void ipsp_node_status(const struct ipsp_node *n, ipsp_ms now, struct ipsp_status *s)
{
	memset(s, 0, sizeof *s);
	s->conf = &n->conf;
	s->mode = n->mode;
	s->configured_role = ipsp_psp(n)->enabled ? ipsp_psp(n)->role : IPSP_ROLE_NONE;
	s->role = role_of(n);
	s->peer_role = peer_role_of(n);
	s->state = n->state;
	s->peer_state = n->peer_state;
	s->epoch = n->side.epoch;
	s->books = n->side.books;
	s->link = ipsp_link_talks(n);
	s->shared = n->side.shared;
	s->still_used = ipsp_psp(n)->enabled && n->refused_enable;
	s->disk_full = n->disk_full;
	s->mismatch = mismatch_of(n);
	s->bound = s->link && n->link.bound;
	s->deaf = ipsp_link_deaf(n);
	s->hears = s->deaf && ipsp_heard(n) && n->peer.opened_at != IPSP_NEVER &&
		   n->peer.opened_at > n->link.since;
	s->unheard = n->link.unheard;
	s->kept_back = kept_back(n);
	s->s6_holds = ipsp_s6_holds(n);
	s->link_error = s->deaf ? n->link.error : NULL;
	s->link_words = s->link ? ipsp_link_words(n) : "not open";
	s->draining = n->side.draining;
	s->all_free = n->side.p6 == IPSP_P6_SENT && n->used == 0;
	s->all_free_due = n->side.p6 == IPSP_P6_DUE && n->used == 0 && !n->side.primary;
	s->serving = ipsp_serves(n, now);
	s->may_take_over = ipsp_psp(n)->enabled && n->side.shared && !n->side.lost &&
			   (n->side.primary || n->side.s6);
	s->role_on_loan = n->side.loan;
	s->held = n->side.held;
	s->given_anew = n->side.anew;
	s->anew_ms = !n->side.anew || n->side.lost ? IPSP_NEVER
		     : n->anew_until > now	   ? n->anew_until - now
						   : 0;
	s->pools_from_log = n->pools_from_log;
	s->role_conflict = n->conf_role_conflict;
	s->yields = ipsp_conflict_yields(n);
	s->peer_drains = ipsp_flag(n, IPSP_HF_DRAINING);
	s->waiting = n->waiting;
	s->waiting_ms = n->waiting == IPSP_WAIT_NONE || now < n->waiting_since
				? IPSP_NEVER
				: now - n->waiting_since;
	s->last_heard_ms = n->peer.opened_at == IPSP_NEVER || now < n->peer.opened_at
				   ? IPSP_NEVER
				   : now - n->peer.opened_at;
	s->dead_in_ms = dead_in(n, now);
	s->key_match = n->keys.match;
	s->key_age_ms =
		n->seal.present.valid && now >= n->renew.since ? now - n->renew.since : IPSP_NEVER;
	if (ipsp_psp(n)->n_keys > 0)
		ipsp_seal_fingerprint(n->seal.keys[0].id, s->key_fingerprint);
	memcpy(s->peer_version, n->peer.hello.version, sizeof s->peer_version);
	s->protocol = n->peer.speaks;
	s->peer_protocol_min = n->peer.hello.version_min;
	s->peer_protocol_max = n->peer.hello.version_max;
	s->peer_capabilities = n->peer.hello.capabilities & IPSP_CAPABILITIES;
	if (n->stream.stands_at == n->side.applied + 1)
		s->stands_at = n->stream.stands_at;
	s->peer_used = n->peer.hello.used;
	s->dead_interval_ms = ipsp_psp(n)->dead_interval_ms;
	s->sent = n->side.sent;
	s->applied = n->side.applied;
	s->acked = n->side.acked;
	s->applied_ms = n->stall.applied_at == IPSP_NEVER || now < n->stall.applied_at
				? IPSP_NEVER
				: now - n->stall.applied_at;
	s->stalled = n->stall.said;
	s->stalled_bytes = n->stall.largest;
	s->unanswered = n->unanswered.said ? n->unanswered.n : 0;
	s->unanswered_bytes = n->unanswered.largest;
	s->unacked_ms = n->stall.waits && now >= n->stall.since ? now - n->stall.since : IPSP_NEVER;
	s->open_requests = n->xacts.n_open;
	for (uint32_t p = 0; p < n->conf.n_pools; p++)
		s->duplicates_open += ipsp_pool_counts(n->pools[p])->dup;
	s->duplicates_open += n->n_duplicate;
	view_books(n, s);
	s->drained = drained(n);
}

void ipsp_node_pool_status(const struct ipsp_node *n, uint16_t p, struct ipsp_pool_status *s)
{
	const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
	bool licensed = ipsp_may_reclaim(n);

	memset(s, 0, sizeof *s);
	s->conf = &n->conf.pools[p];
	s->used = c->used + c->peer_used + c->transit_used;
	s->free = c->free;
	s->hold = c->hold;
	s->quarantine = c->quarantine;
	s->reclaimed = c->peer_used + c->transit_used;
	if (licensed) {
		s->free += c->peer_idle + c->transit_idle;
		s->reclaimed += c->peer_idle + c->transit_idle;
	} else {
		s->released = c->peer_idle;
		s->in_transit = c->transit_idle;
	}
}

bool ipsp_node_session(const struct ipsp_node *n, uint32_t *cursor, struct ipsp_session_view *v)
{
	uint32_t i = ipsp_binds_next(n->binds, *cursor);

	for (; i != IPSP_NO_BIND; i = ipsp_binds_next(n->binds, i + 1)) {
		if (!ipsp_binds_get(n->binds, i, &v->bind) || v->bind.kind != IPSP_BIND_SESSION)
			continue;
		*cursor = i + 1;
		v->addr = ipsp_pool_addr(&n->conf.pools[v->bind.pool], v->bind.index);
		v->ha = ipsp_name_of_ha(n, v->bind.ha);
		v->state = v->bind.flags & IPSP_BIND_DUPLICATE	 ? "duplicate"
			   : v->bind.flags & IPSP_BIND_RELEASING ? "releasing"
								 : "used";
		return true;
	}
	return false;
}

const struct ipsp_stats *ipsp_node_stats(const struct ipsp_node *n)
{
	return &n->stats;
}

const struct ipsp_notes *ipsp_node_notes(const struct ipsp_node *n)
{
	return &n->notes;
}

size_t ipsp_node_differences(const struct ipsp_node *n, bool *known)
{
	*known = n->compare.known;
	return n->compare.n_found + n->conf_role_conflict;
}

const char *ipsp_node_difference(const struct ipsp_node *n, size_t i)
{
	if (n->conf_role_conflict && i-- == 0)
		return n->conflict.line;
	return i < n->compare.n_lines ? n->compare.lines[i] : NULL;
}

void ipsp_node_address(const struct ipsp_node *n, uint16_t p, uint32_t i,
		       struct ipsp_address_view *v)
{
	memset(v, 0, sizeof *v);
	v->own = ipsp_pool_own(n->pools[p], i);
	v->use = ipsp_pool_use(n->pools[p], i);
	v->flags = ipsp_pool_flags(n->pools[p], i);
	if (v->use != IPSP_USE_FREE)
		ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[p], i), &v->bind);
}

/* --------------------------------------------------------------- invariants of one side alone */

void ipsp_node_check(const struct ipsp_node *n)
{
	uint32_t used = 0, bound = 0, owed = 0, duplicate = 0, terminate = 0;

	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		const struct ipsp_pool_counts *c = ipsp_pool_counts(n->pools[p]);
		ipsp_pool_check(n->pools[p]);
		if (!ipsp_is_static(n, p))
			used += c->used + c->peer_used + c->transit_used;
		for (uint32_t i = 0; i < n->conf.pools[p].size; i++) {
			struct ipsp_bind b = {0};
			owed += !!(ipsp_pool_flags(n->pools[p], i) & IPSP_ADDR_OWED);
			if (ipsp_pool_use(n->pools[p], i) == IPSP_USE_FREE)
				continue;
			bound++;
			bool known = ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[p], i), &b);
			IPSP_MUST(known);
			IPSP_MUST(b.pool == p && b.index == i);
			IPSP_MUST((b.kind == IPSP_BIND_SESSION) ==
				  (ipsp_pool_use(n->pools[p], i) == IPSP_USE_USED));
			terminate += b.kind == IPSP_BIND_SESSION && b.flags & IPSP_BIND_TERMINATE;
			if (b.kind != IPSP_BIND_SESSION || !(b.flags & IPSP_BIND_DUPLICATE))
				continue;
			duplicate++;
			IPSP_MUST(ipsp_pool_own(n->pools[p], i) != IPSP_OWN_OURS);
		}
	}
	IPSP_MUST(used == n->used);
	IPSP_MUST(owed == n->owed);
	IPSP_MUST(duplicate == n->n_duplicate);
	IPSP_MUST(terminate == n->n_terminate);
	IPSP_MUST(bound == ipsp_binds_count(n->binds));
	if (n->has.counted)
		ipsp_names_check(n);
	ipsp_xact_check(n);
	ipsp_binds_check(n->binds);
	IPSP_MUST(n->side.acked <= n->side.sent);
	IPSP_MUST(n->side.sent - n->side.acked == n->stream.n);
	for (uint32_t i = 0; i < n->stream.n; i++)
		IPSP_MUST(ipsp_stream_nth(&n->stream, i)->number == n->side.acked + 1 + i);
}

size_t ipsp_node_session_keys(const struct ipsp_node *n,
			      struct ipsp_session_keys keys[IPSP_SESSIONS_MAX])
{
	const struct ipsp_session *sessions[] = {&n->seal.present, &n->seal.candidate,
						 &n->seal.chain.next};
	size_t found = 0;

	for (size_t i = 0; i < IPSP_SESSIONS_MAX; i++) {
		if (!sessions[i]->valid)
			continue;
		keys[found].tag = sessions[i]->tag;
		memcpy(keys[found].tx, sessions[i]->tx_key, sizeof(keys[found].tx));
		memcpy(keys[found].rx, sessions[i]->rx_key, sizeof(keys[found].rx));
		found++;
	}
	return found;
}
