/*
 * rest - what check_rest asks for when nothing disturbs: of each side, each HA, each address.
 */
#include "check.h"
#include "world.h"
#include <stdio.h>

static const char *rest_of_side(struct world *w, unsigned i)
{
	struct host *h = &w->hosts[i];
	struct ipsp_status st;

	if (!h->node || h->stopped)
		return "a side is down";
	ipsp_node_status(h->node, host_ms(h), &st);
	if (st.state != IPSP_ST_ACTIVE || st.peer_state != IPSP_PEER_UP)
		return i == 0 ? "P isn't active" : "S isn't active";
	if (st.key_match != IPSP_KEY_MATCHES)
		return "a side doesn't know that its peer has the same key";
	if (keys_rest(h))
		return keys_rest(h);
	if (!st.serving)
		return i == 0 ? "P doesn't serve" : "S doesn't serve";
	if (st.role == st.peer_role || st.role == w->check.side[1 - i].status.role)
		return "the roles don't fit";
	if (st.epoch != w->check.side[1 - i].status.epoch)
		return "the epochs differ";
	if (st.given_anew)
		return "a side gives by number only yet";
	if (st.draining || st.role_on_loan)
		return "a side drains, or has the role on loan";
	if (st.open_requests != 0)
		return "a request to the peer is open";
	if (st.duplicates_open != 0)
		return "a duplicate is open";
	if (st.sent != st.acked || st.sent != w->check.side[1 - i].status.applied)
		return "an item isn't acknowledged";
	if (st.all_free_due)
		return "all addresses are free, and it isn't said";
	return NULL;
}

static const char *rest_of_address(const struct world *w, uint32_t g)
{
	const struct check_hold *a = &w->check.side[0].holds[g], *b = &w->check.side[1].holds[g];

	if (check_wrong(w, g))
		return "an address has two owners or none";
	if (a->ha && b->ha)
		return "an address is used on both sides";
	for (unsigned i = 0; i < 2; i++) {
		const struct check_cell *cell = &w->check.side[i].cells[g];
		const struct check_hold *hold = &w->check.side[i].holds[g];

		if (cell->own == IPSP_OWN_TRANSIT)
			return "an address is on its way";
		if (cell->own != IPSP_OWN_OURS && cell->use != IPSP_USE_FREE)
			return "an address is used by the side that doesn't own it";
		if ((cell->use == IPSP_USE_USED) != (hold->ha != NULL))
			return "a node and its HA don't agree on a session";
		if (cell->flags & IPSP_ADDR_DUP)
			return "an address is kept back for a duplicate that is over";
		if (cell->flags & IPSP_ADDR_OWED)
			return "an address is owed to the peer and stays";
		if (cell->flags & IPSP_ADDR_MOVE && cell->use != IPSP_USE_USED)
			return "an address is to move to the primary and stays";
	}
	return NULL;
}

static const char *rest_of_ha(const struct ha *ha)
{
	if (ha->token == 0 || !ha->listed)
		return "an HA isn't attached";
	if (ha_n_open(ha) != 0)
		return "an HA waits for an answer";
	for (size_t i = 0; i < ha->n_sessions; i++) {
		if (ha->sessions[i].recover_at != SIM_NEVER)
			return "an HA waits to recover a session";
	}
	return NULL;
}

const char *check_words(const struct host *h)
{
	static char words[2][160];
	struct ipsp_status st;
	const char *waiting;

	if (!h->node)
		return "no process";
	ipsp_node_status(h->node, host_ms(h), &st);
	waiting = ipsp_waiting_word(st.waiting);
	snprintf(words[h->side], sizeof(words[h->side]),
		 "%c %s %s, peer %s, epoch %llu, sent %llu acked %llu applied %llu%s%s%s%s",
		 h->letter, ipsp_role_word(st.role), ipsp_state_word(st.state),
		 ipsp_peer_state_word(st.peer_state), (unsigned long long)st.epoch,
		 (unsigned long long)st.sent, (unsigned long long)st.acked,
		 (unsigned long long)st.applied, st.serving ? ", serves" : "",
		 waiting ? ", waits for " : "", waiting ? waiting : "",
		 st.draining ? ", drains" : "");
	return words[h->side];
}

const char *check_rest(struct world *w)
{
	static char words[160];
	const char *why = NULL;

	words[0] = '\0';
	for (unsigned i = 0; i < 2 && !why; i++)
		why = rest_of_side(w, i);
	for (unsigned i = 0; i < w->n_has && !why; i++)
		why = rest_of_ha(&w->has[i]);
	for (uint32_t g = 0; g < w->n_addrs && !why; g++) {
		why = rest_of_address(w, g);
		if (why)
			snprintf(words, sizeof(words), "%s: %s", world_addr_text(w, g), why);
	}
	return why == NULL || words[0] == '\0' ? why : words;
}
