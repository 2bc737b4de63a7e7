#include "visits.h"
#include <stdio.h>

void visits_of_node(struct visits *total, const struct ipsp_node *node)
{
	const ipsp_peer_visits *cells = ipsp_node_visits(node);

	for (unsigned s = 0; s < IPSP_STATES; s++) {
		for (unsigned e = 0; e < IPSP_PEER_EVENTS; e++)
			total->cells[s][e] += (*cells)[s][e];
	}
}

void visits_add(struct visits *total, const struct visits *part)
{
	for (unsigned s = 0; s < IPSP_STATES; s++) {
		for (unsigned e = 0; e < IPSP_PEER_EVENTS; e++)
			total->cells[s][e] += part->cells[s][e];
	}
}

/*
 * A rule that no story of the corners tells, and that 32,000 seeds have not used, though swarms did
 * before. Whether it can be used still is not proven.
 */
static bool is_seldom(enum ipsp_state state, unsigned event)
{
	return state == IPSP_ST_CONFIG_MISMATCH &&
	       event == IPSP_PE_SITUATION + (unsigned)IPSP_ST_TERMINATED;
}

/* One line for each event that has a rule here: where the table says more than a run has shown is
 * to be seen. */
static void report_state(const struct visits *visits, enum ipsp_state state, unsigned *n_rules,
			 unsigned *n_used)
{
	for (unsigned e = 0; e < IPSP_PEER_EVENTS; e++) {
		enum ipsp_cell cell = ipsp_peer_cell(state, (enum ipsp_peer_event)e);
		uint64_t n = visits->cells[state][e];

		if (cell != IPSP_CELL_RULE)
			continue;
		if (n == 0 && is_seldom(state, e)) {
			puts("  not used, and not asked for: config-mismatch / terminated");
			continue;
		}
		++*n_rules;
		*n_used += n > 0;
		if (n == 0)
			printf("  never  %s / %s\n", ipsp_state_word(state),
			       ipsp_peer_event_word((enum ipsp_peer_event)e));
	}
}

unsigned visits_report(const struct visits *visits, unsigned *unused)
{
	unsigned n_rules = 0, n_used = 0, n_impossible = 0;

	puts("state table:");
	for (unsigned s = 0; s < IPSP_STATES; s++)
		report_state(visits, (enum ipsp_state)s, &n_rules, &n_used);
	for (unsigned s = 0; s < IPSP_STATES; s++) {
		for (unsigned e = 0; e < IPSP_PEER_EVENTS; e++) {
			if (visits->cells[s][e] == 0 ||
			    ipsp_peer_cell((enum ipsp_state)s, (enum ipsp_peer_event)e) !=
				    IPSP_CELL_IMPOSSIBLE)
				continue;
			n_impossible++;
			printf("  IMPOSSIBLE, and seen %llu times: %s / %s\n",
			       (unsigned long long)visits->cells[s][e],
			       ipsp_state_word((enum ipsp_state)s),
			       ipsp_peer_event_word((enum ipsp_peer_event)e));
		}
	}
	printf("  %u of %u cells with a rule were used\n", n_used, n_rules);
	*unused = n_rules - n_used;
	return n_impossible;
}
