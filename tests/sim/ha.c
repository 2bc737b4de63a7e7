#include "ha.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_ATTACH  SIM_MS(200)
#define RETRY_RECOVER SIM_MS(500)
#define GIVE_UP	      SIM_MS(120000) /* a session that can't be recovered for so long is ended */

void ha_init(struct ha *ha, struct world *w, unsigned number, unsigned side)
{
	*ha = (struct ha){.w = w, .number = number, .side = side, .alive = true};
	snprintf(ha->name, sizeof(ha->name), "HA%u", (number + 1) % 10);
	ha->rand = rand_fork(&w->rand);
	ha->by_number = number % 2;
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

static void timer_by(struct ha *ha, sim_us at)
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

static struct ha_session *find_addr(struct ha *ha, uint32_t gaddr)
{
	for (size_t i = 0; i < ha->n_sessions; i++) {
		if (ha->sessions[i].gaddr == gaddr)
			return &ha->sessions[i];
	}
	return NULL;
}

static struct mn *mn_of(struct ha *ha, uint32_t sub)
{
	return sub < ha->w->n_mns ? &ha->w->mns[sub] : NULL;
}

static struct ha_session *session_add(struct ha *ha, uint32_t sub, uint32_t sess, uint32_t gaddr)
{
	struct mn *mn = mn_of(ha, sub);

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

static void session_del(struct ha *ha, struct ha_session *s)
{
	struct mn *mn = mn_of(ha, s->sub);

	check_ended(ha, s->gaddr, s->sub, s->sess);
	if (mn && mn->at == ha && mn->sess == s->sess && mn->gaddr == s->gaddr)
		mn->at = NULL;
	*s = ha->sessions[--ha->n_sessions];
}

/* ---------------------------------------------------------------- to the node */

static void push(struct ha *ha, enum ipc_kind kind, struct ipc m)
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
	struct mn *mn = mn_of(ha, sub);

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
	push(ha, IPC_REQUEST,
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
	push(ha, IPC_RELEASE, (struct ipc){.id = ++ha->next_id, .gaddr = s->gaddr});
	session_del(ha, s);
	return true;
}

void ha_bogus_release(struct ha *ha, uint32_t gaddr)
{
	if (ha->token == 0 || find_addr(ha, gaddr) || ha_n_open(ha) > 0)
		return;
	world_hit(ha->w, FAULT_HA_BOGUS);
	push(ha, IPC_RELEASE, (struct ipc){.id = ++ha->next_id, .gaddr = gaddr});
}

/* ---------------------------------------------------------------- release events */

static void answer_event(struct ha *ha, struct ha_thought *t)
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
	/* an HA answers by the event's number or, as those of the first version, by address alone
	 */
	push(ha, IPC_RELEASED,
	     (struct ipc){.gaddr = t->gaddr, .id = ha->by_number ? t->number : 0});
	if (s && s->gaddr == t->gaddr)
		session_del(ha, s);
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

static void read_event(struct ha *ha, const struct ipc *m)
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
		answer_event(ha, t);
	else
		timer_by(ha, t->at);
}

static void read_cancelled(struct ha *ha, const struct ipc *m)
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

static void take(struct ha *ha, const struct ha_request *r, const struct ipc *m)
{
	struct ha_session *s = ha_find(ha, r->sub, r->sess), *other = find_addr(ha, m->gaddr);

	if (r->doubtful) {
		world_hit(ha->w, FAULT_HA_VOID);
		push(ha, IPC_RELEASE, (struct ipc){.id = ++ha->next_id, .gaddr = m->gaddr});
		if (s)
			session_del(ha, s);
		return;
	}
	if (s && s->gaddr != m->gaddr) {
		const struct check_hold *hold = &ha->w->check.side[ha->side].holds[s->gaddr];

		if (!hold->orphan && !hold->unsure)
			world_fail(ha->w, "%s: mn-%u s%u has %s and is answered with %s", ha->name,
				   r->sub, r->sess, world_addr_text(ha->w, s->gaddr),
				   world_addr_text(ha->w, m->gaddr));
		session_del(ha, s);
		s = NULL;
		other = find_addr(ha, m->gaddr);
	}
	if (other &&
	    other != s) { /* an orphan that the daemon knows nothing of: the new one counts */
		const struct check_hold *hold = &ha->w->check.side[ha->side].holds[m->gaddr];

		if (!hold->orphan && !hold->unsure)
			world_fail(ha->w, "%s: %s is given to mn-%u while mn-%u has it", ha->name,
				   world_addr_text(ha->w, m->gaddr), r->sub, other->sub);
		session_del(ha, other);
		s = NULL;
	}
	if (!s)
		s = session_add(ha, r->sub, r->sess, m->gaddr);
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
		const struct check_hold *hold = &ha->w->check.side[ha->side].holds[s->gaddr];

		/* what a session has is confirmed always */
		/* (timeout: behind a release event that was not answered) */
		if (!hold->orphan && !hold->unsure && err != IPSP_ERR_DISABLED &&
		    err != IPSP_ERR_OVERLOADED && err != IPSP_ERR_TIMEOUT)
			world_fail(ha->w, "%s: mn-%u has %s and is refused it: %s", ha->name,
				   r->sub, world_addr_text(ha->w, s->gaddr), ipsp_err_word(err));
	} else if (worth_a_retry(err) && ha->w->now - s->lost_at < GIVE_UP) {
		s->recover_at = ha->w->now + RETRY_RECOVER;
		timer_by(ha, s->recover_at);
	} else {
		session_del(ha, s);
	}
}

static void read_answer(struct ha *ha, const struct ipc *m)
{
	struct mn *mn;

	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct ha_request r = ha->requests[i];

		if (r.id == 0 || r.id != m->id)
			continue;
		ha->requests[i].id = 0;
		mn = mn_of(ha, r.sub);
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

/* ---------------------------------------------------------------- connecting */

static void forget_connection(struct ha *ha)
{
	for (size_t i = 0; i < HA_OPEN_MAX; i++) {
		struct mn *mn = mn_of(ha, ha->requests[i].sub);

		if (ha->requests[i].id != 0 && mn)
			mn->open--;
		ha->requests[i].id = 0;
		ha->thoughts[i].used = false;
	}
	ha->token = 0;
	ha->listed = false;
	ha->to_ha_at = 0;
}

static void attach(struct ha *ha)
{
	const struct host *h = &ha->w->hosts[ha->side];

	ha->attach_at = ha->w->now + RETRY_ATTACH;
	if (!h->node || h->leaving) {
		timer_by(ha, ha->attach_at);
		return;
	}
	ha->token = ++ha->w->next_token;
	ha->life = h->life;
	push(ha, IPC_ATTACH, (struct ipc){.gaddr = NO_ADDR});
	push(ha, IPC_LIST, (struct ipc){.gaddr = NO_ADDR});
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
			timer_by(ha, s->recover_at);
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
		push(ha, IPC_RELEASE, (struct ipc){.id = ++ha->next_id, .gaddr = m->list[i].gaddr});
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
		session_del(ha, &ha->sessions[0]);
	ha_detach(ha);
}

void ha_detach(struct ha *ha)
{
	if (ha->token != 0)
		push(ha, IPC_DETACH, (struct ipc){.gaddr = NO_ADDR});
	forget_connection(ha);
	ha->attach_at = ha->w->now + rand_range(&ha->rand, 1, 3000) * 1000;
	timer_by(ha, ha->attach_at);
}

void ha_hang(struct ha *ha, sim_us until)
{
	ha->hung_until = until;
	timer_by(ha, until);
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
	timer_by(ha, ha->w->now);
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
		read_answer(ha, m);
		break;
	case IPC_EVENT:
		read_event(ha, m);
		break;
	case IPC_CANCELLED:
		read_cancelled(ha, m);
		break;
	case IPC_LISTED:
		read_list(ha, m);
		break;
	case IPC_EOF:
		forget_connection(ha);
		ha->attach_at = ha->w->now + RETRY_ATTACH;
		timer_by(ha, ha->attach_at);
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
	timer_by(ha, ha->hung_until > ha->w->now ? ha->hung_until : ha->w->now);
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
		timer_by(ha, ha->hung_until);
		return;
	}
	catch_up(ha);
	if (ha->token == 0) {
		if (ha->attach_at <= ha->w->now)
			attach(ha);
		else
			timer_by(ha, ha->attach_at);
		return;
	}
	if (ha->listed)
		recover(ha);
	for (size_t i = 0; i < HA_THOUGHTS_MAX; i++) {
		struct ha_thought *t = &ha->thoughts[i];

		if (t->used && t->read && t->at <= ha->w->now)
			answer_event(ha, t);
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
		timer_by(ha, next);
}
