/* What an HA makes of what its node says: release events, and answers to its requests. */
#include "ha_int.h"

#define GIVE_UP SIM_MS(120000) /* a session that can't be recovered for so long is ended */

/* ---------------------------------------------------------------- release events */

void ha_answer_event(struct ha *ha, struct ha_thought *t)
{
	struct ha_session *s = ha_find(ha, t->sub, t->sess);

	if (t->reason == IPSP_REASON_DUPLICATE && s)
		world_hit(ha->w, FAULT_SAW_DROP);
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct ha_request *r = &ha->requests[i];

		/* the requests that wait behind the event */
		if (r->id != 0 &&
		    ((r->sub == t->sub && r->sess == t->sess) || r->gaddr == t->gaddr))
			r->released = true;
	}
	/* an HA answers by the event's number, and says whose session it was, or does neither, as
	 * those of the first version, or one of the two */
	ha_push(ha, IPC_RELEASED,
		(struct ipc){.gaddr = t->gaddr,
			     .id = ha->by_number ? t->number : 0,
			     .named = ha->names,
			     .sub = t->sub,
			     .sess = t->sess});
	if (s && s->gaddr == t->gaddr)
		ha_session_del(ha, s);
	t->used = false;
}

static struct ha_thought *thought_of(struct ha *ha, uint32_t gaddr, bool read)
{
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
		struct ha_thought *t = &ha->thoughts[i];

		if (t->used && t->read == read && t->gaddr == gaddr)
			return t;
	}
	return NULL;
}

static const char *reason_word(enum ipsp_reason reason)
{
	switch (reason) {
	case IPSP_REASON_HANDOFF:
		return "handoff";
	case IPSP_REASON_DUPLICATE:
		return "duplicate";
	case IPSP_REASON_TERMINATE:
		return "terminate";
	}
	return "?";
}

void ha_read_event(struct ha *ha, const struct ipc *m)
{
	struct ha_thought *t = thought_of(ha, m->gaddr, false);

	world_trace(ha->w, TRACE_HA, "%s release mn-%u: %s", ha->name, m->sub,
		    reason_word(m->reason));
	if (!t)
		return; /* too many: as if mute */
	t->read = true;
	t->at = ha->w->now;
	if (rand_chance(&ha->rand, ha->mute)) {
		world_hit(ha->w, FAULT_HA_MUTE);
		t->at = SIM_NEVER;
	} else if (ha->think_max > 0) {
		t->at += rand_below(&ha->rand, ha->think_max);
		world_hit(ha->w, FAULT_HA_SLOW);
	}
	if (t->at <= ha->w->now)
		ha_answer_event(ha, t);
	else
		ha_timer_by(ha, t->at);
}

void ha_read_cancelled(struct ha *ha, const struct ipc *m)
{
	struct ha_thought *t = thought_of(ha, m->gaddr, true);

	world_trace(ha->w, TRACE_HA, "%s cancelled %s", ha->name, world_addr_text(ha->w, m->gaddr));
	if (t) {
		t->used = false;
		return;
	}
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct ha_request *r = &ha->requests[i];

		if (r->id != 0 && r->released)
			r->doubtful = true;
	}
}

/* ---------------------------------------------------------------- answers */

/* Nothing that is declared has come between: what the HA believes of @s is what its daemon said.
 * Where the address has been another's since, @s is one that the daemon had forgotten. */
static bool stands(const struct ha *ha, const struct ha_session *s)
{
	const struct check_hold *hold = &ha->w->check.side[ha->side].holds[s->gaddr];

	return hold->ha == ha && hold->sub == s->sub && hold->sess == s->sess && !hold->orphan &&
	       !hold->unsure;
}

static void take(struct ha *ha, const struct ha_request *r, const struct ipc *m)
{
	struct ha_session *s = ha_find(ha, r->sub, r->sess), *other = ha_find_addr(ha, m->gaddr);

	if (r->doubtful) {
		world_hit(ha->w, FAULT_HA_VOID);
		ha_push_release(ha, r->sub, r->sess, m->gaddr);
		if (s)
			ha_session_del(ha, s);
		return;
	}
	if (s && s->gaddr != m->gaddr) {
		if (stands(ha, s))
			world_fail(ha->w, "%s: mn-%u s%u has %s and is answered with %s", ha->name,
				   r->sub, r->sess, world_addr_text(ha->w, s->gaddr),
				   world_addr_text(ha->w, m->gaddr));
		ha_session_del(ha, s);
		s = NULL;
		other = ha_find_addr(ha, m->gaddr);
	}
	if (other &&
	    other != s) { /* an orphan that the daemon knows nothing of: the new one counts */
		if (stands(ha, other))
			world_fail(ha->w, "%s: %s is given to mn-%u while mn-%u has it", ha->name,
				   world_addr_text(ha->w, m->gaddr), r->sub, other->sub);
		ha_session_del(ha, other);
		s = NULL;
	}
	if (!s)
		s = ha_session_add(ha, r->sub, r->sess, m->gaddr);
	s->recover_at = s->lost_at = SIM_NEVER;
	check_taken(ha, m->gaddr, r->sub, r->sess, m->emitted, m->licensed);
	if (r->purpose != HA_CONFIRM)
		world_trace(ha->w, TRACE_HA, "%s take %s: mn-%u", ha->name,
			    world_addr_text(ha->w, m->gaddr), r->sub);
}

static bool worth_a_retry(int err)
{
	switch (err) {
	case IPSP_ERR_LOCKED:
	case IPSP_ERR_NO_PRIMARY:
	case IPSP_ERR_NOT_APPROVED:
	case IPSP_ERR_TIMEOUT:
	case IPSP_ERR_OVERLOADED:
	case IPSP_ERR_CONFIG_MISMATCH:
	case IPSP_ERR_NO_PEER:
		return true;
	default:
		return false;
	}
}

static void refused(struct ha *ha, const struct ha_request *r, int err)
{
	struct ha_session *s = ha_find(ha, r->sub, r->sess);

	world_trace(ha->w, TRACE_HA, "%s refused mn-%u: %s", ha->name, r->sub, ipsp_err_word(err));
	if (err == IPSP_ERR_EXHAUSTED)
		world_hit(ha->w, FAULT_MN_EXHAUSTED);
	if (!s || r->gaddr != s->gaddr)
		return;
	if (s->lost_at == SIM_NEVER) {
		/* what a session has is confirmed always */
		/* (timeout: behind a release event that was not answered) */
		if (stands(ha, s) && err != IPSP_ERR_DISABLED && err != IPSP_ERR_OVERLOADED &&
		    err != IPSP_ERR_TIMEOUT)
			world_fail(ha->w, "%s: mn-%u has %s and is refused it: %s", ha->name,
				   r->sub, world_addr_text(ha->w, s->gaddr), ipsp_err_word(err));
	} else if (worth_a_retry(err) && ha->w->now - s->lost_at < GIVE_UP) {
		s->recover_at = ha->w->now + RETRY_RECOVER;
		ha_timer_by(ha, s->recover_at);
	} else {
		ha_session_del(ha, s);
	}
}

void ha_read_answer(struct ha *ha, const struct ipc *m)
{
	struct mn *mn;

	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct ha_request r = ha->requests[i];

		if (r.id == 0 || r.id != m->id)
			continue;
		ha->requests[i].id = 0;
		mn = ha_mn_of(ha, r.sub);
		if (mn)
			mn->open--;
		ha->last_err = m->err;
		ha->last_gaddr = m->gaddr;
		if (m->err == 0)
			take(ha, &r, m);
		else
			refused(ha, &r, m->err);
		return;
	}
	world_fail(ha->w, "%s: an answer to no request", ha->name);
}
