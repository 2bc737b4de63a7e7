#include "story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct { /* one story runs at a time */
	char lines[8192];
	size_t n;
	struct ipsp_pool_conf pool;
} told;

static struct visits visited;

static void write_down(void *arg, const char *line)
{
	size_t n = strlen(line);

	(void)arg;
	if (told.n + n + 2 > sizeof(told.lines))
		fail_msg("the story is too long");
	memcpy(told.lines + told.n, line, n);
	told.n += n;
	told.lines[told.n++] = '\n';
	told.lines[told.n] = '\0';
}

struct world *story_begin_cold(void (*tweak)(struct world_conf *conf))
{
	struct world *w = calloc(1, sizeof(*w));
	struct world_conf conf = {.hello_ms = {1000, 1000},
				  .dead_ms = {DEAD_S * 1000, DEAD_S * 1000},
				  .request_timeout_ms = 3000,
				  .release_timeout_ms = 2000,
				  .block_size = 1,
				  .n_has = {1, 1},
				  .n_mns = 100};

	assert_non_null(w);
	told.pool = (struct ipsp_pool_conf){
		.name = "pool-a", .base = ipsp_addr_v4(0x0a010001), .size = 8, .plen = 32};
	conf.pools = &told.pool;
	conf.n_pools = 1;
	if (tweak)
		tweak(&conf);
	if (setjmp(w->escape) != 0)
		fail_msg("%s", w->failure);
	world_init(w, 1, &conf);
	w->check.sample = 8;
	w->trace = write_down;
	story_forget(w);
	story_watch(w, TRACE_HA | TRACE_BOOKS);
	return w;
}

void story_run(struct world *w, unsigned ms)
{
	if (setjmp(w->escape) != 0)
		fail_msg("%s\nafter:\n%s", w->failure, told.lines);
	world_run_until(w, w->now + SIM_MS(ms));
}

void story_start(struct world *w, unsigned side)
{
	if (setjmp(w->escape) != 0)
		fail_msg("%s", w->failure);
	if (!w->hosts[side].powered)
		host_boot(&w->hosts[side]);
	host_start(&w->hosts[side]);
}

struct world *story_begin_with(void (*tweak)(struct world_conf *conf))
{
	struct world *w = story_begin_cold(tweak);

	story_start(w, P);
	story_start(w, S);
	story_expect_rest(w, 10000);
	story_forget(w);
	return w;
}

struct world *story_begin(void)
{
	return story_begin_with(NULL);
}

void story_end(struct world *w)
{
	if (setjmp(w->escape) != 0)
		fail_msg("%s", w->failure);
	for (unsigned i = 0; i < 2; i++) {
		if (w->hosts[i].node && w->hosts[i].phase == TURN_NONE) {
			check_replay(&w->hosts[i]);
			check_snapshot(&w->hosts[i]);
		}
	}
	world_fini(w);
	visits_add(&visited, &w->visits);
	free(w);
}

const struct visits *story_visits(void)
{
	return &visited;
}

void story_cut(struct world *w, bool to_p, bool to_s)
{
	w->net.way[P].cut = to_p;
	w->net.way[S].cut = to_s;
}

/* ---------------------------------------------------------------- what HAs and operators do */

static uint32_t number_of(const char *mn)
{
	return (uint32_t)strtoul(mn + strlen("mn-"), NULL, 10);
}

void story_take(struct world *w, unsigned ha, const char *mn, const char *addr)
{
	struct ipsp_addr a;
	uint32_t gaddr = NO_ADDR;

	if (addr) {
		assert_int_equal(ipsp_addr_parse(addr, &a), 0);
		gaddr = world_gaddr(w, a);
	}
	assert_true(ha_request(&w->has[ha], HA_NEW, number_of(mn), 1, gaddr, -1, -1));
	story_run(w, 100);
}

void story_again(struct world *w, unsigned ha, const char *mn)
{
	const struct ha_session *s = ha_find(&w->has[ha], number_of(mn), 1);

	assert_non_null(s);
	assert_true(ha_request(&w->has[ha], HA_CONFIRM, s->sub, s->sess, s->gaddr, -1, -1));
}

void story_leave(struct world *w, unsigned ha, const char *mn)
{
	assert_true(ha_end(&w->has[ha], number_of(mn), 1));
	story_run(w, 100);
}

static void release(struct world *w, unsigned side, const char *addr, bool force)
{
	struct ipsp_addr a;

	assert_int_equal(ipsp_addr_parse(addr, &a), 0);
	host_event(&w->hosts[side], (struct ipsp_event){.type = IPSP_EV_RELEASE,
							.token = HOST_OPERATOR,
							.force = force,
							.addr = a});
	story_run(w, 100);
}

void story_release(struct world *w, unsigned side, const char *addr)
{
	release(w, side, addr, false);
}

void story_force_release(struct world *w, unsigned side, const char *addr)
{
	release(w, side, addr, true);
}

void story_command(struct world *w, unsigned side, enum ipsp_command command, bool force,
		   int expected_err)
{
	struct host *h = &w->hosts[side];

	h->command_err = 1; /* none yet */
	host_command(h, command, force, IPSP_MODE_ACTIVE);
	for (unsigned i = 0; i < 100 && h->command_err == 1; i++)
		story_run(w, 100);
	assert_string_equal(ipsp_err_word(h->command_err), ipsp_err_word(expected_err));
}

/* ---------------------------------------------------------------- what is expected */

void story_until_state(struct world *w, unsigned side, enum ipsp_state state)
{
	for (unsigned ms = 0; ms < 5000 && story_status(w, side).state != state; ms++)
		story_run(w, 1);
	assert_string_equal(ipsp_state_word(story_status(w, side).state), ipsp_state_word(state));
}

void story_watch(struct world *w, unsigned mask)
{
	w->trace_mask = mask;
}

void story_forget(struct world *w)
{
	(void)w;
	told.n = 0;
	told.lines[0] = '\0';
}

void story_expect(struct world *w, const char *lines)
{
	if (strcmp(told.lines, lines) != 0)
		fail_msg("at %.3f s\nexpected:\n%s\ntold:\n%s", (double)w->now / 1e6, lines,
			 told.lines);
	story_forget(w);
}

void story_expect_side(struct world *w, unsigned side, const char *role, const char *state,
		       bool serves)
{
	struct ipsp_status st;

	assert_non_null(w->hosts[side].node);
	ipsp_node_status(w->hosts[side].node, host_ms(&w->hosts[side]), &st);
	assert_string_equal(ipsp_role_word(st.role), role);
	assert_string_equal(ipsp_state_word(st.state), state);
	assert_int_equal(st.serving, serves);
}

void story_expect_pool(struct world *w, unsigned side, uint32_t used, uint32_t free,
		       uint32_t released)
{
	struct ipsp_pool_status st;

	ipsp_node_pool_status(w->hosts[side].node, 0, &st);
	assert_int_equal(st.used, used);
	assert_int_equal(st.free, free);
	assert_int_equal(st.released, released);
}

void story_expect_rest(struct world *w, unsigned within_ms)
{
	const char *why = check_rest(w);

	for (unsigned ms = 0; why && ms < within_ms; ms += 100) {
		story_run(w, 100);
		why = check_rest(w);
	}
	if (why)
		fail_msg("at %.3f s, after %u ms: %s; told:\n%s", (double)w->now / 1e6, within_ms,
			 why, told.lines);
}

unsigned story_until_primary(struct world *w, unsigned side, unsigned limit_ms)
{
	struct host *h = &w->hosts[side];

	for (unsigned ms = 0; ms < limit_ms; ms += 10) {
		struct ipsp_status st;

		ipsp_node_status(h->node, host_ms(h), &st);
		if (st.role == IPSP_ROLE_PRIMARY && st.serving)
			return ms;
		story_run(w, 10);
	}
	return limit_ms;
}

struct ipsp_status story_status(struct world *w, unsigned side)
{
	struct ipsp_status st;

	ipsp_node_status(w->hosts[side].node, host_ms(&w->hosts[side]), &st);
	return st;
}

const struct ipsp_stats *story_stats(struct world *w, unsigned side)
{
	return ipsp_node_stats(w->hosts[side].node);
}

bool story_noted(struct world *w, unsigned side, const char *words)
{
	const struct ipsp_notes *notes = ipsp_node_notes(w->hosts[side].node);

	for (uint64_t n = 1; n <= notes->last; n++) {
		const struct ipsp_note *note = ipsp_note_get(notes, n);

		if (note && strstr(note->text, words))
			return true;
	}
	return false;
}
