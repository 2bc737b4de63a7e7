/*
 * peer - the state table: what a message of the peer does in each state, and what each change of
 * situation does. docs/protocol.md shows it as a matrix.
 *
 * Two kinds of events. A message: its handler runs, the state stays. A situation: what the facts
 * (lease, licence, contact, comparison, mode) add up to after a step; its handler says so to
 * people, and the state changes. A handler never sets the state.
 */
#ifndef IPSP_CORE_PEER_H
#define IPSP_CORE_PEER_H

#include "core/node.h"

enum ipsp_peer_event {
	IPSP_PE_CONF_ASK,
	IPSP_PE_CONF_PART,
	IPSP_PE_REQUEST,
	IPSP_PE_REFUSE,
	IPSP_PE_ITEM,
	IPSP_PE_ACK,
	IPSP_PE_TAKEOVER,
	IPSP_PE_CANCEL,
	IPSP_PE_SITUATION, /* + enum ipsp_state: the facts now add up to that state */
	IPSP_PEER_EVENTS = IPSP_PE_SITUATION + IPSP_STATES
};

/* How often each cell was used by this node; for tests and the report of the simulator. */
typedef uint64_t ipsp_peer_visits[IPSP_STATES][IPSP_PEER_EVENTS];
const ipsp_peer_visits *ipsp_node_visits(const struct ipsp_node *node);

enum ipsp_cell { IPSP_CELL_RULE, IPSP_CELL_IGNORED, IPSP_CELL_IMPOSSIBLE };
enum ipsp_cell ipsp_peer_cell(enum ipsp_state state, enum ipsp_peer_event event);
const char *ipsp_peer_event_word(enum ipsp_peer_event event);

#endif
