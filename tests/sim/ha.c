#include "ha_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_ATTACH SIM_MS(200)

void ha_init(struct ha *ha, struct world *w, unsigned number, unsigned side)
{
	*ha = (struct ha){.w = w, .number = number, .side = side, .alive = true};
	snprintf(ha->name, sizeof(ha->name), "HA%u", (number + 1) % 10);
	ha->rand = rand_fork(&w->rand);
	ha->by_number = number % 2;
	ha->names = number % 3;
	ha->timer_at = SIM_NEVER;
	ha->last_gaddr = NO_ADDR;
}

void ha_fini(struct ha *ha)
{
	for (size_t i = 0; i < ha->n_unread; i++)
		free(ha->unread[i]);
	free(ha->unread);
	free(ha->sessions);
}

/* ---------------------------------------------------------------- the timer */

void ha_timer_by(struct ha *ha, sim_us at)
{
	if (at >= ha->timer_at)
		return;
	ha->timer_at = at;
	queue_put(
		&ha->w->queue,
		(struct sim_event){.at = at, .what = SIM_HA, .arg = ha->number, .gen = ++ha->gen});
}

/* ---------------------------------------------------------------- sessions */

struct ha_session *ha_find(struct ha *ha, uint32_t sub, uint32_t sess)
{
	for (size_t i = 0; i < ha->n_sessions; i++) {
		if (ha->sessions[i].sub == sub && ha->sessions[i].sess == sess)
			return &ha->sessions[i];
	}
	return NULL;
}

struct ha_session *ha_find_addr(struct ha *ha, uint32_t gaddr)
{
	for (size_t i = 0; i < ha->n_sessions; i++) {
		if (ha->sessions[i].gaddr == gaddr)
			return &ha->sessions[i];
	}
	return NULL;
}

struct mn *ha_mn_of(struct ha *ha, uint32_t sub)
{
	return sub < ha->w->n_mns ? &ha->w->mns[sub] : NULL;
}

struct ha_session *ha_session_add(struct ha *ha, uint32_t sub, uint32_t sess, uint32_t gaddr)
{
	struct mn *mn = ha_mn_of(ha, sub);

	if (ha->n_sessions == ha->cap_sessions) {
		ha->cap_sessions = ha->cap_sessions ? 2 * ha->cap_sessions : 16;
		ha->sessions = realloc(ha->sessions, ha->cap_sessions * sizeof(*ha->sessions));
		if (!ha->sessions)
			abort();
	}
	if (mn) {
		mn->at = ha;
		mn->sess = sess;
		mn->gaddr = gaddr;
	}
	ha->sessions[ha->n_sessions] = (struct ha_session){sub, sess, gaddr, SIM_NEVER, SIM_NEVER};
	return &ha->sessions[ha->n_sessions++];
}

void ha_session_del(struct ha *ha, struct ha_session *s)
{
	struct mn *mn = ha_mn_of(ha, s->sub);

	check_ended(ha, s->gaddr, s->sub, s->sess);
	if (mn && mn->at == ha && mn->sess == s->sess && mn->gaddr == s->gaddr)
		mn->at = NULL;
	*s = ha->sessions[--ha->n_sessions];
}

/* ---------------------------------------------------------------- to the node */

void ha_push(struct ha *ha, enum ipc_kind kind, struct ipc m)
{
	struct ipc *copy = malloc(sizeof(*copy));
	sim_us at = ha->w->now + rand_below(&ha->rand, ha->latency + 1);

	if (!copy)
		abort();
	m.kind = kind;
	m.ha = ha->number;
	m.life = ha->life;
	m.token = ha->token;
	*copy = m;
	if (at < ha->to_node_at)
		at = ha->to_node_at; /* a stream keeps its order */
	ha->to_node_at = at;
	queue_put(
		&ha->w->queue,
		(struct sim_event){.at = at, .what = SIM_TO_NODE, .side = ha->side, .data = copy});
}

void ha_push_release(struct ha *ha, uint32_t sub, uint32_t sess, uint32_t gaddr)
{
	ha_push(ha, IPC_RELEASE,
		(struct ipc){.id = ++ha->next_id,
			     .gaddr = gaddr,
			     .named = ha->names,
			     .sub = sub,
			     .sess = sess});
}

size_t ha_n_open(const struct ha *ha)
{
	size_t n = 0;

	for (size_t i = 0; i < HA_OPEN_MAX; i++)
		n += ha->requests[i].id != 0;
	return n;
}

static bool has_open(const struct ha *ha, uint32_t sub, uint32_t sess)
{
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		const struct ha_request *r = &ha->requests[i];

		if (r->id != 0 && r->sub == sub && r->sess == sess)
			return true;
	}
	return false;
}

static bool event_under_way(const struct ha *ha, uint32_t sub, uint32_t sess)
{
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
		const struct ha_thought *t = &ha->thoughts[i];

		if (t->used && !t->read && t->sub == sub && t->sess == sess)
			return true;
	}
	return false;
}

/* What is missing is asked for before anything new. */
static bool recovers(const struct ha *ha)
{
	for (size_t i = 0; i < ha->n_sessions; i++) {
		if (ha->sessions[i].recover_at != SIM_NEVER)
			return true;
	}
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		if (ha->requests[i].id != 0 && ha->requests[i].purpose == HA_RECOVER)
			return true;
	}
	return false;
}

bool ha_request(struct ha *ha, enum ha_purpose purpose, uint32_t sub, uint32_t sess, uint32_t gaddr,
		int pool, int group)
{
	struct ha_request *r = NULL;
	struct mn *mn = ha_mn_of(ha, sub);

	for (size_t i = 0; i < HA_OPEN_MAX && !r; i++) {
		if (ha->requests[i].id == 0)
			r = &ha->requests[i];
	}
	if (!r || ha->token == 0 || (!ha->listed && purpose != HA_RECOVER))
		return false;
	if (purpose == HA_NEW && recovers(ha))
		return false;
	if (event_under_way(ha, sub, sess))
		world_hit(ha->w, FAULT_HA_BEHIND_RELEASE);
	*r = (struct ha_request){
		.id = ++ha->next_id, .purpose = purpose, .sub = sub, .sess = sess, .gaddr = gaddr};
	if (mn)
		mn->open++;
	ha_push(ha, IPC_REQUEST,
		(struct ipc){.id = r->id,
			     .sub = sub,
			     .sess = sess,
			     .gaddr = gaddr,
			     .pool = pool,
			     .group = group});
	return true;
}

bool ha_end(struct ha *ha, uint32_t sub, uint32_t sess)
{
	struct ha_session *s = ha_find(ha, sub, sess);

	/* with a request open for the session nobody could say which of the two counts: it waits */
	if (!s || ha->token == 0 || !ha->listed || has_open(ha, sub, sess))
		return false;
	/* one that the daemon had forgotten, and hasn't confirmed yet, is no session there: its
	 * address may be another's by now */
	if (s->lost_at == SIM_NEVER)
		ha_push_release(ha, s->sub, s->sess, s->gaddr);
	ha_session_del(ha, s);
	return true;
}

void ha_bogus_release(struct ha *ha, uint32_t gaddr)
{
	if (ha->token == 0 || ha_find_addr(ha, gaddr) || ha_n_open(ha) > 0)
		return;
	world_hit(ha->w, FAULT_HA_BOGUS);
	ha_push(ha, IPC_RELEASE, (struct ipc){.id = ++ha->next_id, .gaddr = gaddr});
}

#define NO_SESSION 0 /* none has this number */

void ha_late_release(struct ha *ha, uint32_t gaddr)
{
	const struct ha_session *s = ha_find_addr(ha, gaddr);

	if (ha->token == 0 || !s)
		return;
	world_hit(ha->w, FAULT_HA_LATE);
	ha_push(ha, IPC_RELEASE,
		(struct ipc){.id = ++ha->next_id,
			     .gaddr = gaddr,
			     .named = true,
			     .sub = s->sub,
			     .sess = NO_SESSION});
}

/* ---------------------------------------------------------------- connecting */

static void forget_connection(struct ha *ha)
{
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct mn *mn = ha_mn_of(ha, ha->requests[i].sub);

		if (ha->requests[i].id != 0 && mn)
			mn->open--;
		ha->requests[i].id = 0;
	}
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++)
		ha->thoughts[i].used = false;
	ha->token = 0;
	ha->listed = false;
	ha->to_ha_at = 0;
}

static void attach(struct ha *ha)
{
	const struct host *h = &ha->w->hosts[ha->side];

	ha->attach_at = ha->w->now + RETRY_ATTACH;
	if (!h->node || h->leaving) {
		ha_timer_by(ha, ha->attach_at);
		return;
	}
	ha->token = ++ha->w->next_token;
	ha->life = h->life;
	ha_push(ha, IPC_ATTACH, (struct ipc){.gaddr = NO_ADDR});
	ha_push(ha, IPC_LIST, (struct ipc){.gaddr = NO_ADDR});
}

static bool lists(const struct ipc *m, const struct ha_session *s)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->list[i].sub == s->sub && m->list[i].sess == s->sess &&
		    m->list[i].gaddr == s->gaddr)
			return true;
	}
	return false;
}

static void recover(struct ha *ha)
{
	for (size_t i = 0; i < ha->n_sessions; i++) {
		struct ha_session *s = &ha->sessions[i];

		if (s->recover_at > ha->w->now)
			continue;
		if (!has_open(ha, s->sub, s->sess) &&
		    ha_request(ha, HA_RECOVER, s->sub, s->sess, s->gaddr, -1, -1)) {
			world_hit(ha->w, FAULT_HA_RECOVERED);
			s->recover_at = SIM_NEVER;
		} else {
			s->recover_at = ha->w->now + RETRY_RECOVER;
			ha_timer_by(ha, s->recover_at);
		}
	}
}

/* It releases what it doesn't have and requests, by address, what is missing, before anything new.
 */
static void read_list(struct ha *ha, const struct ipc *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct ha_session *s = ha_find(ha, m->list[i].sub, m->list[i].sess);

		if (m->list[i].gaddr == NO_ADDR || (s && s->gaddr == m->list[i].gaddr))
			continue;
		world_hit(ha->w, FAULT_HA_LISTED_GONE);
		ha_push_release(ha, m->list[i].sub, m->list[i].sess, m->list[i].gaddr);
	}
	for (size_t i = 0; i < ha->n_sessions; i++) {
		struct ha_session *s = &ha->sessions[i];

		if (lists(m, s)) {
			s->recover_at = s->lost_at = SIM_NEVER;
			check_confirmed(ha, s, m->emitted);
			continue;
		}
		s->recover_at = s->lost_at = ha->w->now;
	}
	ha->listed = true;
	recover(ha);
}

void ha_crash(struct ha *ha)
{
	world_trace(ha->w, TRACE_FAULT, "%s crashes", ha->name);
	while (ha->n_sessions > 0)
		ha_session_del(ha, &ha->sessions[0]);
	ha_detach(ha);
}

void ha_detach(struct ha *ha)
{
	if (ha->token != 0)
		ha_push(ha, IPC_DETACH, (struct ipc){.gaddr = NO_ADDR});
	forget_connection(ha);
	ha->attach_at = ha->w->now + rand_range(&ha->rand, 1, 3000) * 1000;
	ha_timer_by(ha, ha->attach_at);
}

void ha_hang(struct ha *ha, sim_us until)
{
	ha->hung_until = until;
	ha_timer_by(ha, until);
}

void ha_soothe(struct ha *ha)
{
	ha->hung_until = ha->w->now;
	ha->mute = 0;
	ha->think_max = 0;
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
		struct ha_thought *t = &ha->thoughts[i];

		if (t->used && t->read)
			t->at = ha->w->now;
	}
	ha_timer_by(ha, ha->w->now);
}

/* ---------------------------------------------------------------- from the node */

void ha_send_list(struct ha *ha, struct ipc *m)
{
	sim_us at = ha->w->now + rand_below(&ha->rand, ha->latency + 1);

	m->ha = ha->number;
	m->token = ha->token;
	m->emitted = ha->w->now;
	if (at < ha->to_ha_at)
		at = ha->to_ha_at;
	ha->to_ha_at = at;
	queue_put(&ha->w->queue, (struct sim_event){.at = at, .what = SIM_TO_HA, .data = m});
}

void ha_send(struct ha *ha, struct ipc m)
{
	struct ipc *copy = malloc(sizeof(*copy));

	if (!copy)
		abort();
	if (m.kind == IPC_EVENT) {
		for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
			if (ha->thoughts[i].used)
				continue;
			ha->thoughts[i] = (struct ha_thought){.used = true,
							      .number = m.id,
							      .sub = m.sub,
							      .sess = m.sess,
							      .gaddr = m.gaddr,
							      .reason = m.reason,
							      .at = SIM_NEVER};
			break;
		}
	}
	*copy = m;
	ha_send_list(ha, copy);
}

void ha_process_gone(struct ha *ha)
{
	if (ha->token != 0)
		ha_send(ha, (struct ipc){.kind = IPC_EOF, .gaddr = NO_ADDR});
}

static void read_one(struct ha *ha, struct ipc *m)
{
	if (m->token != ha->token) {
		free(m);
		return;
	}
	switch (m->kind) {
	case IPC_ANSWER:
		ha_read_answer(ha, m);
		break;
	case IPC_EVENT:
		ha_read_event(ha, m);
		break;
	case IPC_CANCELLED:
		ha_read_cancelled(ha, m);
		break;
	case IPC_LISTED:
		read_list(ha, m);
		break;
	case IPC_EOF:
		forget_connection(ha);
		ha->attach_at = ha->w->now + RETRY_ATTACH;
		ha_timer_by(ha, ha->attach_at);
		break;
	case IPC_DONE:
	case IPC_ATTACH:
	case IPC_DETACH:
	case IPC_REQUEST:
	case IPC_RELEASE:
	case IPC_RELEASED:
	case IPC_LIST:
		break;
	}
	free(m);
}

void ha_read(struct ha *ha, struct ipc *m)
{
	if (ha->hung_until <= ha->w->now && ha->n_unread == 0) {
		read_one(ha, m);
		return;
	}
	if (ha->n_unread == ha->cap_unread) {
		ha->cap_unread = ha->cap_unread ? 2 * ha->cap_unread : 16;
		ha->unread = realloc(ha->unread, ha->cap_unread * sizeof(struct ipc *));
		if (!ha->unread)
			abort();
	}
	ha->unread[ha->n_unread++] = m;
	ha_timer_by(ha, ha->hung_until > ha->w->now ? ha->hung_until : ha->w->now);
}

static void catch_up(struct ha *ha)
{
	size_t n = ha->n_unread;

	ha->n_unread = 0; /* reading adds none */
	for (size_t i = 0; i < n; i++)
		read_one(ha, ha->unread[i]);
}

void ha_timer(struct ha *ha, uint32_t gen)
{
	sim_us next = SIM_NEVER;

	if (gen != ha->gen)
		return;
	ha->timer_at = SIM_NEVER;
	if (ha->hung_until > ha->w->now) {
		ha_timer_by(ha, ha->hung_until);
		return;
	}
	catch_up(ha);
	if (ha->token == 0) {
		if (ha->attach_at <= ha->w->now)
			attach(ha);
		else
			ha_timer_by(ha, ha->attach_at);
		return;
	}
	if (ha->listed)
		recover(ha);
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
		struct ha_thought *t = &ha->thoughts[i];

		if (t->used && t->read && t->at <= ha->w->now)
			ha_answer_event(ha, t);
		else if (t->used && t->read && t->at < next)
			next = t->at;
	}
	for (size_t i = 0; i < ha->n_sessions; i++) {
		/* before its list has come it asks for nothing: it looks again a little later */
		sim_us at = ha->sessions[i].recover_at;

		if (!ha->listed && at <= ha->w->now)
			at = ha->w->now + SIM_MS(10);
		if (at < next)
			next = at;
	}
	if (next != SIM_NEVER)
		ha_timer_by(ha, next);
}
