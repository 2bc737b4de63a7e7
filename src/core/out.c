/*
 * out - what a step wants done: actions and their parts, sentences for people, answers that wait
 * for a flush, answers whose pools were changed, answers that came too late.
 */
#include "base/must.h"
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
	act->note_bytes = 0;
	act->notes_left_out = 0;
	act->want_flush = act->says_state = act->lease_set = act->failed = false;
	act->valid_until = IPSP_NEVER;
}

bool ipsp_out_grow(struct ipsp_actions *act)
{
	size_t cap = act->cap_outs ? act->cap_outs * 2 : 64;
	struct ipsp_out *outs = realloc(act->outs, cap * sizeof *outs);

	if (!outs) {
		act->failed = true;
		return false;
	}
	act->outs = outs;
	act->cap_outs = cap;
	return true;
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
	if (!o)
		return;
	o->token = token;
	n->act->says_state = true;
}

/* --------------------------------------------------------------- sentences for people */

#define NOTES_OF_A_TURN (8u << 20) /* bytes; beyond, those of many are counted only */

static void out_note(struct ipsp_node *n, const struct ipsp_note *note)
{
	struct ipsp_actions *act = n->act;

	if (!act)
		return;
	if (note->of_many && act->note_bytes > NOTES_OF_A_TURN) {
		act->notes_left_out++;
		return;
	}
	struct ipsp_out *o = ipsp_out_add(n, IPSP_OUT_NOTE);
	if (!o)
		return;
	o->level = note->level;
	o->of_many = note->of_many;
	o->off = (uint32_t)act->bytes.len;
	o->len = note->n_text;
	ipsp_buf_put(&act->bytes, note->text, note->n_text + 1); /* with its NUL */
	act->note_bytes += note->n_text + sizeof *o;
}

/* It is kept to be shown, and said at the end of the turn. */
static void say(struct ipsp_node *n, enum ipsp_level level, bool of_many, const char *format,
		va_list args)
{
	const struct ipsp_note *note =
		ipsp_note_add(&n->notes, n->now, level, of_many, format, args);

	if (note)
		out_note(n, note);
	else if (n->act)
		n->act->failed = true;
}

void ipsp_say(struct ipsp_node *n, enum ipsp_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(n, level, false, format, args);
	va_end(args);
}

void ipsp_say_each(struct ipsp_node *n, enum ipsp_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(n, level, true, format, args);
	va_end(args);
}

/* The end of a turn: what was too much of it is not passed over in silence. */
void ipsp_say_left_out(struct ipsp_node *n)
{
	const uint32_t left_out = n->act->notes_left_out;

	n->act->notes_left_out = 0;
	if (left_out > 0)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "%u more lines about duplicates were left out here: ipspctl show "
			 "duplicates has all of them",
			 left_out);
}

/* --------------------------------------------------------------- answers that wait for a flush */

struct ipsp_out *ipsp_out_defer(struct ipsp_node *n, enum ipsp_out_type type)
{
	if (n->n_deferred == n->cap_deferred) {
		uint32_t cap = n->cap_deferred ? n->cap_deferred * 2 : 64;
		struct ipsp_out *d = realloc(n->deferred, cap * sizeof *d);
		if (!d) {
			n->act->failed = true;
			return NULL;
		}
		n->deferred = d;
		n->cap_deferred = cap;
	}
	struct ipsp_out *out = &n->deferred[n->n_deferred++];
	*out = (struct ipsp_out){.type = type, .pool = IPSP_NO_POOL, .seq = n->seq};
	n->act->want_flush = true;
	n->stats.flushes_waited++;
	return out;
}

/* The session at @at ends before its answer has gone: the answer must not give it. */
void ipsp_out_revoke(struct ipsp_node *n, struct ipsp_place at)
{
	for (uint32_t i = 0; i < n->n_deferred; i++)
		if (n->deferred[i].pool == at.pool && n->deferred[i].index == at.index &&
		    n->deferred[i].err == 0)
			n->deferred[i].err = IPSP_ERR_TIMEOUT;
}

bool ipsp_out_revoke_for(struct ipsp_node *n, struct ipsp_place at, uint64_t token)
{
	bool found = false;

	for (uint32_t i = 0; i < n->n_deferred; i++) {
		struct ipsp_out *o = &n->deferred[i];
		if (o->pool != at.pool || o->index != at.index || o->token != token || o->err)
			continue;
		o->err = IPSP_ERR_TIMEOUT;
		found = true;
	}
	return found;
}

bool ipsp_out_deferred(const struct ipsp_node *n, struct ipsp_place at)
{
	for (uint32_t i = 0; i < n->n_deferred; i++)
		if (n->deferred[i].pool == at.pool && n->deferred[i].index == at.index)
			return true;
	return false;
}

void ipsp_out_flushed(struct ipsp_node *n)
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

/* --------------------------------------------------------------- other pools */

static void find_again(const struct ipsp_node *n, struct ipsp_out *o)
{
	int pool = o->err ? -1 : ipsp_conf_find(&n->conf, o->addr, &o->index);

	if (pool >= 0 && ipsp_pool_use(n->pools[pool], o->index) == IPSP_USE_USED) {
		o->pool = (uint16_t)pool;
		return;
	}
	o->err = o->err ? o->err : IPSP_ERR_TIMEOUT;
	o->addr = IPSP_ADDR_NONE;
	o->pool = IPSP_NO_POOL;
}

/*
 * Other pools are in force, and sessions were carried over by their addresses (repool.c): so are
 * the answers that have not gone. One whose session is not there any more must not give it. Nothing
 * is late here: each step begins with the end of what was.
 */
void ipsp_out_repooled(struct ipsp_node *n)
{
	IPSP_MUST(n->n_late == 0);
	for (uint32_t i = 0; i < n->n_deferred; i++)
		find_again(n, &n->deferred[i]);
	for (size_t i = 0; i < n->act->n_outs; i++)
		if (n->act->outs[i].type == IPSP_OUT_ANSWER)
			find_again(n, &n->act->outs[i]);
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

/* Before a session takes @at: should that be taken back, the address is kept on. */
void ipsp_out_was_kept(struct ipsp_node *n, struct ipsp_place at)
{
	const enum ipsp_use use = ipsp_pool_use(n->pools[at.pool], at.index);
	struct ipsp_bind b;

	if ((use != IPSP_USE_HOLD && use != IPSP_USE_QUARANTINE) ||
	    !ipsp_binds_get(n->binds, ipsp_pool_bind(n->pools[at.pool], at.index), &b))
		return;
	if (n->n_was_kept == n->cap_was_kept) {
		uint32_t cap = n->cap_was_kept ? n->cap_was_kept * 2 : 64;
		struct ipsp_was_kept *k = realloc(n->was_kept, cap * sizeof *k);
		if (!k)
			return; /* it would be free then */
		n->was_kept = k;
		n->cap_was_kept = cap;
	}
	n->was_kept[n->n_was_kept++] = (struct ipsp_was_kept){at, use, b.at};
}

/* Those of the turn before: nothing of it can be taken back any more. */
void ipsp_out_forget_kept(struct ipsp_node *n)
{
	const uint32_t before = n->n_was_kept_before;

	n->n_was_kept -= before;
	if (before > 0)
		memmove(n->was_kept, n->was_kept + before, n->n_was_kept * sizeof *n->was_kept);
	n->n_was_kept_before = n->n_was_kept;
}

/* Its session is taken back: kept as it was before, for as long as was left. */
static void keep_on(struct ipsp_node *n, struct ipsp_place at, const struct ipsp_ident *who)
{
	const struct ipsp_was_kept *k = NULL;

	for (uint32_t i = 0; i < n->n_was_kept; i++)
		if (n->was_kept[i].at.pool == at.pool && n->was_kept[i].at.index == at.index)
			k = &n->was_kept[i];
	if (!k || k->end <= n->now || ipsp_pool_own(n->pools[at.pool], at.index) != IPSP_OWN_OURS ||
	    ipsp_pool_use(n->pools[at.pool], at.index) != IPSP_USE_FREE)
		return;
	ipsp_rec_keep(n, at, k->use, (uint32_t)((k->end - n->now + 999) / 1000), who->subscriber,
		      who->n_subscriber);
}

static void undo(struct ipsp_node *n, struct ipsp_place at)
{
	char subscriber[IPSP_NAME_BYTES];
	struct ipsp_ident who = {.subscriber = subscriber, .session = ""};
	struct ipsp_bind b;

	if (!ipsp_place_used(n, at, &b))
		return;
	who.n_subscriber = b.ident.n_subscriber;
	memcpy(subscriber, b.ident.subscriber, who.n_subscriber);
	ipsp_ha_end(n, at, false);
	keep_on(n, at, &who);
}

/* The HA was told "locked": the session does not exist. */
void ipsp_out_undo_late(struct ipsp_node *n)
{
	for (uint32_t i = 0; i < n->n_late; i++) {
		struct ipsp_place at = {n->late[i].pool, n->late[i].index};
		if (ipsp_pool_use(n->pools[at.pool], at.index) == IPSP_USE_USED &&
		    ipsp_pool_bind(n->pools[at.pool], at.index) == n->late[i].bind)
			undo(n, at);
	}
	n->n_late = 0;
}
