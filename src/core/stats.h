/*
 * stats - counters. One list gives the struct, the JSON names and the metrics. They only grow (a
 * maximum, too), and start at 0 with the process.
 */
#ifndef IPSP_CORE_STATS_H
#define IPSP_CORE_STATS_H

#include "base/histogram.h"
#include <stddef.h>
#include <stdint.h>

#define IPSP_STATS(X)                                                                              \
	X(requests, "requests", "requests of HAs and operators")                                   \
	X(requests_confirmed, "requests-confirmed", "answered with what the session had already")  \
	X(requests_local, "requests-local", "answered from addresses owned here")                  \
	X(requests_asked, "requests-asked", "for which the peer was asked")                        \
	X(requests_refused, "requests-refused", "answered with an error")                          \
	X(releases, "releases", "sessions ended by their HA or an operator")                       \
	X(releases_late, "releases-late",                                                          \
	  "releases of a session whose address has another by now")                                \
	X(sessions_moved, "sessions-moved", "sessions that went to another HA of this side")       \
	X(grants_sent, "grants-sent", "items that gave addresses to the peer")                     \
	X(grants_received, "grants-received", "items that brought addresses from the peer")        \
	X(addresses_sent, "addresses-sent", "addresses given to the peer")                         \
	X(addresses_received, "addresses-received", "addresses that the peer gave")                \
	X(blocks_asked, "blocks-asked", "requests for a block ahead of need")                      \
	X(blocks_received, "blocks-received", "blocks that came ahead of need")                    \
	X(blocks_back, "blocks-back", "... of them, unused ones that came back to a primary")      \
	X(peer_requests, "peer-requests", "requests of the peer")                                  \
	X(peer_refusals, "peer-refusals", "requests of the peer that were refused")                \
	X(releases_asked, "releases-asked", "release events sent to HAs")                          \
	X(duplicates_found, "duplicates-found", "addresses found used on both sides, as owner")    \
	X(duplicates_resolved, "duplicates-resolved", "sessions dropped here as duplicates")       \
	X(hellos_sent, "hellos-sent", "hellos sent")                                               \
	X(hello_late_max_ms, "hello-late-max-ms", "the longest that a hello was late, in ms")      \
	X(hellos_received, "hellos-received", "hellos received")                                   \
	X(items_repeated, "items-repeated", "items sent again for want of an acknowledgement")     \
	X(items_stale, "items-stale", "items received that were applied before")                   \
	X(items_ahead, "items-ahead", "items received before their turn, dropped")                 \
	X(items_skipped, "items-skipped",                                                          \
	  "items of a later version that may be skipped, and were")                                \
	X(items_unknown, "items-unknown",                                                          \
	  "items of a later version, which stop the peer's stream")                                \
	X(requests_repeated, "requests-repeated", "requests sent to the peer again")               \
	X(stale_epoch, "stale-epoch", "requests or answers of another epoch, not obeyed")          \
	X(takeovers, "takeovers", "takeovers after a dead interval or by force")                   \
	X(exchanges, "exchanges", "agreed role changes")                                           \
	X(heals, "heals", "healings begun")                                                        \
	X(state_losses, "state-losses", "times that a side was found to have lost its state")      \
	X(stalls, "stalls", "times that a peer that is heard stopped acknowledging")               \
	X(requests_unanswered, "requests-unanswered",                                              \
	  "requests that a peer that is heard had no word for")                                    \
	X(peer_losses, "peer-losses", "times that the peer was lost")                              \
	X(keys_renewed, "keys-renewed", "times that a session with the peer got new keys")         \
	X(traps, "traps", "traps handed to the sender")                                            \
	X(drop_short, "drop-short", "datagrams dropped: too short")                                \
	X(drop_format, "drop-format", "datagrams dropped: malformed")                              \
	X(drop_version, "drop-version",                                                            \
	  "datagrams or messages dropped: of a version that is not spoken here")                   \
	X(drop_seal, "drop-seal", "datagrams dropped: not sealed with our key")                    \
	X(drop_session, "drop-session", "datagrams dropped: of a session of keys not in use")      \
	X(drop_replay, "drop-replay", "datagrams dropped: seen before")                            \
	X(drop_range, "drop-range", "messages dropped: outside of the configured pools")           \
	X(drop_state, "drop-state", "messages dropped: no such thing in this state")               \
	X(rules_ignored, "rules-ignored", "events that the state table ignores on purpose")        \
	X(flushes_waited, "flushes-waited", "answers to HAs that waited for a flush here")

struct ipsp_stats {
#define IPSP_STATS_FIELD(field, name, text) uint64_t field;
	IPSP_STATS(IPSP_STATS_FIELD)
#undef IPSP_STATS_FIELD
	/* from when the peer was asked until the HA has its address, each that was granted */
	struct ipsp_histogram grants_asked;
	/* of hellos in time and late ones, to a peer that is known */
	struct ipsp_histogram hellos_late;
};

struct ipsp_stats_name {
	const char *name, *text;
	size_t offset; /* of the uint64_t in struct ipsp_stats */
};
extern const struct ipsp_stats_name ipsp_stats_names[]; /* ends with a NULL name */

#endif
