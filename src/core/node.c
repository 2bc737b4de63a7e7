/* node - the one door in: events, the time, and what is due. */
#include "core/node_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- actions */

void ipsp_actions_init(struct ipsp_actions *act)
{
	memset(act, 0, sizeof *act);
	act->valid_until = IPSP_NEVER;
}

void ipsp_actions_fini(struct ipsp_actions *act)
{
	ipsp_buf_fini(&act->recs);
	ipsp_buf_fini(&act->bytes);
	free(act->outs);
	memset(act, 0, sizeof *act);
}

void ipsp_actions_clear(struct ipsp_actions *act)
{
	ipsp_buf_clear(&act->recs);
	ipsp_buf_clear(&act->bytes);
	act->n_outs = 0;
	act->want_flush = act->lease_set = act->failed = false;
	act->valid_until = IPSP_NEVER;
}

struct ipsp_out *ipsp_out_add(struct ipsp_node *n, enum ipsp_out_type type)
{
	struct ipsp_actions *act = n->act;

	if (act->n_outs == act->cap_outs) {
		size_t cap = act->cap_outs ? act->cap_outs * 2 : 64;
		struct ipsp_out *outs = realloc(act->outs, cap * sizeof *outs);
		if (!outs) {
			act->failed = true;
			return NULL;
		}
		act->outs = outs;
		act->cap_outs = cap;
	}
	struct ipsp_out *out = &act->outs[act->n_outs++];
	*out = (struct ipsp_out){.type = type, .pool = IPSP_NO_POOL};
	return out;
}

void ipsp_out_copy(struct ipsp_node *n, const struct ipsp_out *out)
{
	struct ipsp_out *o = ipsp_out_add(n, out->type);
	if (o)
		*o = *out;
}

void ipsp_out_done(struct ipsp_node *n, uint64_t token, uint64_t id, int err, const char *text)
{
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_DONE);
	if (!o)
		return;
	o->token = token;
	o->id = id;
	o->err = err;
	o->text = text;
}

void ipsp_out_trap(struct ipsp_node *n, enum ipsp_trap trap, struct ipsp_addr addr)
{
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_TRAP);
	if (!o)
		return;
	o->trap = trap;
	o->addr = addr;
	n->stats.traps++;
}

void ipsp_out_hook(struct ipsp_node *n, enum ipsp_hook hook, struct ipsp_addr addr)
{
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_HOOK);
	if (!o)
		return;
	o->hook = hook;
	o->addr = addr;
}

void ipsp_out_state(struct ipsp_node *n, uint64_t token)
{
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_STATE);
	if (o)
		o->token = token;
}

void ipsp_say(struct ipsp_node *n, enum ipsp_level level, const char *format, ...)
{
	char text[IPSP_NOTE_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	ipsp_note_add(&n->notes, n->now, level, "%s", text);
}

/* --------------------------------------------------------------- answers that wait for a flush */

void ipsp_out_defer(struct ipsp_node *n, const struct ipsp_out *out)
{
	if (n->n_deferred == n->cap_deferred) {
		uint32_t cap = n->cap_deferred ? n->cap_deferred * 2 : 64;
		struct ipsp_out *d = realloc(n->deferred, cap * sizeof *d);
		if (!d) {
			n->act->failed = true;
			return;
		}
		n->deferred = d;
		n->cap_deferred = cap;
	}
	n->deferred[n->n_deferred] = *out;
	n->deferred[n->n_deferred++].seq = n->seq;
	n->act->want_flush = true;
	n->stats.flushes_waited++;
}

/* The session at @at ends before its answer has gone: the answer must not give it. */
void ipsp_out_revoke(struct ipsp_node *n, struct ipsp_place at)
{
	for (uint32_t i = 0; i < n->n_deferred; i++)
		if (n->deferred[i].pool == at.pool && n->deferred[i].index == at.index &&
		    n->deferred[i].err == 0)
			n->deferred[i].err = IPSP_ERR_TIMEOUT;
}

bool ipsp_out_deferred(const struct ipsp_node *n, struct ipsp_place at)
{
	for (uint32_t i = 0; i < n->n_deferred; i++)
		if (n->deferred[i].pool == at.pool && n->deferred[i].index == at.index)
			return true;
	return false;
}

static void deferred_out(struct ipsp_node *n)
{
	uint32_t done = 0;

	for (; done < n->n_deferred && n->deferred[done].seq <= n->flushed; done++) {
		ipsp_out_copy(n, &n->deferred[done]);
		/* the flush may have taken longer than the lease that the assignment rests on */
		if (!ipsp_may_assign(n))
			n->act->valid_until = 0;
		else if (n->side.shared && !n->side.licence &&
			 n->lease.lease_end < n->act->valid_until)
			n->act->valid_until = n->lease.lease_end;
	}
	if (done > 0)
		memmove(n->deferred, n->deferred + done,
			(n->n_deferred - done) * sizeof *n->deferred);
	n->n_deferred -= done;
}

/* --------------------------------------------------------------- the lease ran out while writing
 */

void ipsp_node_late(struct ipsp_node *n, ipsp_ms now, struct ipsp_actions *act)
{
	if (now < act->valid_until)
		return;
	for (size_t i = 0; i < act->n_outs; i++) {
		struct ipsp_out *o = &act->outs[i];
		if (o->type != IPSP_OUT_ANSWER || o->err || !o->fresh || ipsp_is_static(n, o->pool))
			continue;
		if (n->n_late == n->cap_late) {
			uint32_t cap = n->cap_late ? n->cap_late * 2 : 64;
			struct ipsp_late *late = realloc(n->late, cap * sizeof *late);
			if (!late) {
				act->failed = true;
				return;
			}
			n->late = late;
			n->cap_late = cap;
		}
		for (size_t j = i + 1; j < act->n_outs;
		     j++) /* confirmed in the same turn: so is that */
			if (act->outs[j].type == IPSP_OUT_ANSWER && !act->outs[j].err &&
			    !act->outs[j].fresh && act->outs[j].pool == o->pool &&
			    act->outs[j].index == o->index)
				act->outs[j].err = IPSP_ERR_LOCKED;
		uint32_t bind = ipsp_pool_bind(n->pools[o->pool], o->index);
		n->late[n->n_late++] = (struct ipsp_late){o->pool, o->index, bind};
		o->err = IPSP_ERR_LOCKED;
	}
}

/* The HA was told "locked": the session does not exist. */
static void undo_late(struct ipsp_node *n)
{
	for (uint32_t i = 0; i < n->n_late; i++) {
		struct ipsp_place at = {n->late[i].pool, n->late[i].index};
		if (ipsp_pool_use(n->pools[at.pool], at.index) == IPSP_USE_USED &&
		    ipsp_pool_bind(n->pools[at.pool], at.index) == n->late[i].bind)
			ipsp_ha_end(n, at, false);
	}
	n->n_late = 0;
}

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
	uint8_t key[16];

	free_pools(n);
	ipsp_rng_bytes(&n->rng, key, sizeof key);
	n->pools = calloc(n->conf.n_pools ? n->conf.n_pools : 1, sizeof(struct ipsp_pool *));
	n->order = ipsp_order_new(&n->conf);
	n->binds = ipsp_binds_new(key);
	if (!n->pools || !n->order || !n->binds)
		return IPSP_ERR_NOMEM;
	for (uint32_t p = 0; p < n->conf.n_pools; p++) {
		enum ipsp_own own = ipsp_is_static(n, (uint16_t)p) ? IPSP_OWN_OURS : n->built_own;
		n->pools[p] = ipsp_pool_new(&n->conf.pools[p], own);
		if (!n->pools[p])
			return IPSP_ERR_NOMEM;
		n->n_built = p + 1;
	}
	n->used = n->owed = n->n_duplicate = 0;
	return 0;
}

/* --------------------------------------------------------------- life */

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
	n->takeover_at = n->p6_sent_at = IPSP_NEVER;
	ipsp_rng_bytes(&n->rng, &n->peer.number, sizeof n->peer.number);
	n->peer.number = (n->peer.number & 0x3fffffff) + 1;
	n->peer.first_number = n->peer.echoed = n->peer.number;
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
	ipsp_ha_fini(n);
	ipsp_sync_fini(n);
	ipsp_compare_fini(n);
	free_pools(n);
	ipsp_seal_wipe(&n->seal);
	ipsp_conf_fini(&n->conf);
	ipsp_conf_fini(&n->file);
	free(n->deferred);
	free(n->late);
	free(n);
}

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

/* What the log says is in force; the file's pools replace it only where nothing is shared out. */
static void settle_pools(struct ipsp_node *n)
{
	if (n->blank || !ipsp_pools_differ(&n->conf, &n->file))
		return;
	if (ipsp_flow_shared_out(n)) {
		n->pools_from_log = true;
		ipsp_say(n, IPSP_LOG_ERROR,
			 "the pools of the file differ from those that are shared out with the "
			 "peer: the shared ones stay in force; put the file back");
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
		if (b.flags & IPSP_BIND_DUPLICATE) {
			ipsp_ha_end(n, at, false);
			continue;
		}
		if (ipsp_pool_own(n->pools[at.pool], at.index) != IPSP_OWN_OURS || owed ||
		    ipsp_is_static(n, at.pool))
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

static void first_start(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	ipsp_rec_conf(n);
	do
		ipsp_rng_bytes(&n->rng, &s.books, sizeof s.books);
	while (s.books == 0);
	s.primary = n->built_own == IPSP_OWN_OURS;
	s.epoch = s.primary ? 1 : 0;
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
				 "context has %u: IPSP stays disabled",
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
		ipsp_flow_fit_role(n);
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
	n->move_from = n->move_pool = 0;
	n->hello_at = n->now;
	if (n->blank)
		first_start(n);
	n->conf.psp = n->file.psp;
	settle_pools(n);
	start_side(n);
	if (!n->blank && !start->same_boot)
		after_reboot(n);
	n->stream.ack_due = n->side.applied;
	n->sweep_owed = n->owed > 0;
	ipsp_compare_init(n);
	ipsp_lease_start(n, start);
	ipsp_ha_start(n);
	ipsp_peer_situation(n);
	act->rec_seq = n->seq;
}

/* A new configuration that was found good: see ipsp_flow_conf. */
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
	n->pools_from_log = false;
	n->conf.psp = conf->psp;
	if (pools_differ) {
		bool none = ipsp_flow_owns_none(n);
		swap_pools(n, conf, none ? IPSP_OWN_PEER : IPSP_OWN_OURS);
	}
	ipsp_seal_set_keys(&n->seal, &n->conf.psp);
	if (n->conf.psp.mode != file_mode || !was)
		ipsp_flow_mode(n, n->conf.psp.mode);
	ipsp_flow_enabled(n, was);
	ipsp_compare_init(n);
	n->hello_soon = true;
	n->xacts.retry = true;
}

/* --------------------------------------------------------------- datagrams */

static void count_drop(struct ipsp_node *n, int err)
{
	switch (err) {
	case IPSP_ERR_SHORT:
		n->stats.drop_short++;
		break;
	case IPSP_ERR_FORMAT:
		n->stats.drop_format++;
		break;
	case IPSP_ERR_VERSION:
		n->stats.drop_version++;
		break;
	case IPSP_ERR_REPLAY:
		n->stats.drop_replay++;
		break;
	default:
		n->stats.drop_seal++;
		if (n->now - n->seal_said_at >= 60000 || n->seal_said_at == 0) {
			n->seal_said_at = n->now;
			ipsp_say(n, IPSP_LOG_WARNING,
				 "datagrams from the peer's address do not open with our key: do "
				 "both sides have the same key-file, or both auth = \"none\"?");
		}
	}
}

/* Heard both ways: what the books give the peer is its own again; what is used of it is reported.
 */
static void end_licence(struct ipsp_node *n)
{
	struct ipsp_side s;

	if (!n->side.licence || !ipsp_contact(n) || n->mode != IPSP_MODE_ACTIVE)
		return;
	n->stats.heals++;
	ipsp_sync_report(n); /* before the side's record: see rec.c */
	s = n->side;
	s.licence = false;
	ipsp_rec_side(n, &s, true);
	n->licence_pending = n->licence_resting = false;
	n->lease.lease_end = 0;
	ipsp_lease_touch(n);
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_NOTICE, "the peer is heard again: its addresses are its own again");
}

static bool well_formed(const uint8_t *plain, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, len);
	struct ipsp_msg msg;
	int got;

	while ((got = ipsp_msg_next(&rd, &msg)) > 0)
		;
	return got == 0;
}

static void obey(struct ipsp_node *n, const uint8_t *plain, size_t len)
{
	struct ipsp_rd rd = ipsp_rd_of(plain, len);
	struct ipsp_msg msg;

	while (ipsp_msg_next(&rd, &msg) > 0) {
		if (msg.type == IPSP_MSG_HELLO) {
			ipsp_hello_on(n, &msg.u.hello);
			end_licence(n);
			ipsp_peer_situation(n);
		} else if (!n->peer.known) {
			n->stats.drop_state++; /* first the hello: whose books does it speak of? */
		} else {
			ipsp_peer_message(n, &msg);
		}
	}
}

static void datagram(struct ipsp_node *n, const struct ipsp_event *ev)
{
	uint8_t plain[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX];
	size_t plain_n = 0, reply_n = 0;

	if (!ipsp_link_open(n) || n->stopped)
		return;
	int opened =
		ipsp_seal_open(&n->seal, ev->bytes, ev->n_bytes, plain, &plain_n, reply, &reply_n);
	if (opened < 0) {
		count_drop(n, opened);
		return;
	}
	if (reply_n > 0)
		ipsp_tx_dgram(n, reply, reply_n);
	if (opened == IPSP_OPENED_CANDIDATE)
		ipsp_tx_dgram(n, reply, ipsp_seal_candidate(&n->seal, reply));
	if (opened == IPSP_OPENED_SHAKE || opened == IPSP_OPENED_CANDIDATE)
		return;
	if (opened == IPSP_OPENED_NEW)
		ipsp_hello_session(n);
	n->peer.opened_at = n->now;
	if (!well_formed(plain, plain_n)) {
		n->stats.drop_format++;
		return;
	}
	obey(n, plain, plain_n);
}

/* --------------------------------------------------------------- timers of addresses */

static void end_kept(struct ipsp_node *n)
{
	n->kept_due = IPSP_NEVER;
	for (uint16_t p = 0; p < n->conf.n_pools; p++) {
		struct ipsp_pool *pool = n->pools[p];
		uint32_t i;
		for (int budget = 4096; budget > 0; budget--) {
			i = ipsp_pool_first_hold(pool);
			if (i == IPSP_NO_INDEX || ipsp_pool_end(pool, i) > n->now)
				break;
			ipsp_rec_drop(n, (struct ipsp_place){p, i});
		}
		i = ipsp_pool_first_hold(pool);
		if (i != IPSP_NO_INDEX && ipsp_pool_end(pool, i) < n->kept_due)
			n->kept_due = ipsp_pool_end(pool, i);
		for (int budget = 4096; budget > 0; budget--) {
			i = ipsp_pool_first_quarantine(pool);
			if (i == IPSP_NO_INDEX || ipsp_pool_end(pool, i) > n->now)
				break;
			ipsp_rec_drop(n, (struct ipsp_place){p, i});
		}
		i = ipsp_pool_first_quarantine(pool);
		if (i != IPSP_NO_INDEX && ipsp_pool_end(pool, i) < n->kept_due)
			n->kept_due = ipsp_pool_end(pool, i);
	}
}

/* --------------------------------------------------------------- the turn */

/* Role and epoch are said, once each, when they are durable. */
static void tell_role(struct ipsp_node *n)
{
	if (n->side_seq > n->flushed || n->licence_pending)
		return;
	bool changed = n->told_any &&
		       (n->told_epoch != n->side.epoch || n->told_primary != n->side.primary);
	bool role = n->told_any && n->told_primary != n->side.primary;
	n->told_any = true;
	n->told_epoch = n->side.epoch;
	n->told_primary = n->side.primary;
	if (!changed || !ipsp_psp(n)->enabled)
		return;
	n->state_changed = true;
	ipsp_out_trap(n, IPSP_TRAP_ROLE_CHANGE, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_ROLE_CHANGE, IPSP_ADDR_NONE);
	ipsp_say(n, IPSP_LOG_NOTICE, "%s %s, epoch %llu",
		 role ? "this side is now" : "this side stays",
		 n->side.primary ? "primary" : "secondary", (unsigned long long)n->side.epoch);
}

static void watch_waiting(struct ipsp_node *n)
{
	enum ipsp_waiting waiting = ipsp_peer_waiting(n);

	if (waiting == n->waiting)
		return;
	n->waiting = waiting;
	n->waiting_since = n->now;
}

static void end_turn(struct ipsp_node *n)
{
	ipsp_lease_tick(n);
	if (n->now >= n->kept_due)
		end_kept(n);
	ipsp_ha_tick(n);
	end_licence(n);
	ipsp_peer_situation(n);
	ipsp_flow_turn(n);
	bool may = ipsp_may_assign(n);
	if (may && !n->could_assign)
		n->xacts.retry = true;
	n->could_assign = may;
	ipsp_xact_retry(n);
	deferred_out(n);
	tell_role(n);
	ipsp_peer_situation(n);
	watch_waiting(n);
	ipsp_tx(n);
	if (n->state_changed) {
		n->state_changed = false;
		ipsp_out_state(n, 0);
	}
	if (n->stopped && !n->said_stopped && n->seq <= n->flushed) {
		n->said_stopped = true;
		ipsp_out_add(n, IPSP_OUT_STOPPED);
	} else if (n->stopped && n->seq > n->flushed) {
		n->act->want_flush = true;
	}
	if (n->lease_dirty) {
		n->lease_dirty = false;
		n->act->lease_set = true;
		n->act->lease = n->lease;
	}
}

/* After these the situation may be another: so no two causes are seen as one change. */
static bool changes_facts(enum ipsp_event_type type)
{
	return type == IPSP_EV_DATAGRAM || type == IPSP_EV_FLUSHED || type == IPSP_EV_COMMAND ||
	       type == IPSP_EV_HOOK || type == IPSP_EV_CONF;
}

void ipsp_node_step(struct ipsp_node *n, const struct ipsp_event *ev, ipsp_ms now,
		    struct ipsp_actions *act)
{
	n->act = act;
	if (now > n->now)
		n->now = now;
	ipsp_lease_gap(n);
	undo_late(n);
	switch (ev->type) {
	case IPSP_EV_TICK:
		break;
	case IPSP_EV_END:
		end_turn(n);
		break;
	case IPSP_EV_FLUSHED:
		if (ev->seq > n->flushed)
			n->flushed = ev->seq;
		ipsp_lease_flushed(n);
		ipsp_sync_flushed(n);
		break;
	case IPSP_EV_DATAGRAM:
		datagram(n, ev);
		break;
	case IPSP_EV_ATTACH:
		ipsp_ha_attach(n, ev);
		break;
	case IPSP_EV_DETACH:
		ipsp_ha_detach(n, ev->token);
		break;
	case IPSP_EV_REQUEST:
		ipsp_xact_request(n, ev);
		break;
	case IPSP_EV_RELEASE:
		ipsp_ha_release(n, ev);
		break;
	case IPSP_EV_RELEASED:
		ipsp_ha_released(n, ev);
		break;
	case IPSP_EV_COMMAND:
		ipsp_flow_command(n, ev);
		break;
	case IPSP_EV_HOOK:
		ipsp_lease_on_hook(n, ev->yes);
		break;
	case IPSP_EV_CONF:
		ipsp_flow_conf(n, ev);
		break;
	case IPSP_EV_DISK:
		n->disk_full = ev->full;
		break;
	case IPSP_EVENT_TYPES:
		break;
	}
	if (changes_facts(ev->type))
		ipsp_peer_situation(n);
	act->rec_seq = n->seq;
	if (act->recs.failed || act->bytes.failed)
		act->failed = true;
}

static ipsp_ms earlier(ipsp_ms a, ipsp_ms b)
{
	return a < b ? a : b;
}

ipsp_ms ipsp_node_due(const struct ipsp_node *n)
{
	ipsp_ms due = earlier(ipsp_tx_due(n), ipsp_lease_due(n));

	due = earlier(due, ipsp_xact_due(n));
	due = earlier(due, ipsp_ha_due(n));
	due = earlier(due, ipsp_flow_due(n));
	due = earlier(due, n->kept_due);
	if (n->n_late > 0)
		due = n->now;
	if (n->listen_until > n->now)
		due = earlier(due, n->listen_until);
	/* a silence is only watched by a side that looks, see ipsp_lease_gap */
	uint32_t look = ipsp_loss_ms(n) / 2;
	return earlier(due, n->now + (look < ipsp_hello_ms(n) ? look : ipsp_hello_ms(n)));
}
