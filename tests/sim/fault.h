/*
 * fault - the named points at which the simulator hurts the pair, or at which something rare and
 * worth knowing has happened. A swarm reports how often each was hit, and fails when one never was.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdint.h>

#define SIM_FAULTS(X)                                                                              \
	X(LOSS, "net: datagram lost")                                                              \
	X(REPEAT, "net: datagram delivered twice")                                                 \
	X(OVERTAKE, "net: datagram overtaken by a later one")                                      \
	X(CORRUPT, "net: bits flipped")                                                            \
	X(TRUNCATE, "net: datagram cut short")                                                     \
	X(REPLAY, "net: an earlier datagram again")                                                \
	X(REPLAY_OLD, "net: a datagram to an earlier process again")                               \
	X(CUT_TO_P, "net: one-way cut to P")                                                       \
	X(CUT_TO_S, "net: one-way cut to S")                                                       \
	X(CUT_BOTH, "net: two-way cut")                                                            \
	X(CUT_PAST_DEAD, "net: cut for longer than a dead interval")                               \
	X(CUT_IN_HEALING, "net: cut while a side reconciles")                                      \
	X(SOCKET_FULL, "host: socket buffer full, the oldest kept")                                \
	X(CLOCK_RATE, "host: clock rate more than 300 ppm off")                                    \
	X(SLOW_TURN, "host: time passes between steps, write and outs of a turn")                  \
	X(STOP, "host: SIGSTOP and SIGCONT")                                                       \
	X(STOP_PAST_DEAD, "host: stopped for longer than the peer's dead interval")                \
	X(KILL_IDLE, "host: killed between two turns")                                             \
	X(KILL_BEFORE_WRITE, "host: killed before a write")                                        \
	X(KILL_IN_WRITE, "host: killed in the middle of a write")                                  \
	X(KILL_AFTER_WRITE, "host: killed between a write and what it allows")                     \
	X(KILL_IN_OUTS, "host: killed in the middle of the outs")                                  \
	X(KILL_IN_FLUSH, "host: killed while a flush runs")                                        \
	X(KILL_IN_HEALING, "host: killed while a side reconciles")                                 \
	X(RESTART_IN_LEASE, "host: restarted on the same boot before its lease ended")             \
	X(RESTART_PAST_LEASE, "host: restarted on the same boot after its lease ended")            \
	X(LEASE_TORN, "host: the lease file is unreadable at a restart")                           \
	X(POWER, "host: loss of power")                                                            \
	X(POWER_LOST_RECORDS, "host: loss of power that lost written records")                     \
	X(POWER_TORN, "host: loss of power in the middle of one turn's records")                   \
	X(POWER_HA_LIVES, "host: loss of power that an HA's sessions survive")                     \
	X(LINK_FAILS, "host: its own end of the link fails")                                       \
	X(LINK_PAST_DEAD, "host: ... for longer than its dead interval")                           \
	X(LINK_NO_TAKEOVER, "host: ... and takeover-when-deaf is false")                           \
	X(DOWN_PAST_DEAD, "host: down for longer than the peer's dead interval")                   \
	X(DISK_SLOW, "disk: slow flush")                                                           \
	X(DISK_FULL, "disk: full for a while")                                                     \
	X(DISK_WIPED, "disk: wiped")                                                               \
	X(DISK_WIPED_DEAF, "disk: wiped, and its own end of the link fails at the start")          \
	X(DISK_WIPED_LEFT, "disk: wiped, and the other side, which owns all, is enabled again")    \
	X(DISK_ROLLED_BACK, "disk: rolled back to an earlier copy")                                \
	X(COMPACTED, "disk: compacted with steps between the slices")                              \
	X(KILL_IN_COMPACTION, "disk: killed in the middle of a compaction")                        \
	X(HA_CRASH, "ha: crashed, its sessions gone")                                              \
	X(HA_DETACH, "ha: connection lost, sessions live on")                                      \
	X(HA_HANG, "ha: hangs, reads nothing")                                                     \
	X(HA_SLOW, "ha: answers a release event late")                                             \
	X(HA_MUTE, "ha: never answers a release event")                                            \
	X(HA_BEHIND_RELEASE, "ha: a request sent behind a release event on its way")               \
	X(HA_VOID, "ha: released and cancelled crossed with a request open")                       \
	X(HA_BOGUS, "ha: released an address that is not its own")                                 \
	X(HA_LATE, "ha: released late what another session has by now")                            \
	X(HA_RECOVERED, "ha: a session that the daemon lost was asked for again")                  \
	X(HA_LISTED_GONE, "ha: a session that it doesn't have was listed and released")            \
	X(MN_HANDOFF, "load: session moved to the other side")                                     \
	X(MN_WANTS, "load: an address asked for by number")                                        \
	X(MN_EXHAUSTED, "load: exhausted")                                                         \
	X(VETO, "hook: a takeover vetoed")                                                         \
	X(CMD_RELEASE, "command: release of a session")                                            \
	X(CMD_RELEASE_FORCE, "command: release --force, of an HA that has gone")                   \
	X(CMD_DRAIN, "command: drain")                                                             \
	X(CMD_DRAINS, "command: drain and undrain, many at once")                                  \
	X(CMD_TAKEOVER, "command: takeover")                                                       \
	X(CMD_FORCE, "command: takeover --force")                                                  \
	X(CMD_TERMINATE, "command: terminate")                                                     \
	X(CMD_STOP, "command: stop (SIGTERM)")                                                     \
	X(CMD_MODE, "command: mode")                                                               \
	X(RELOAD, "command: reload with another dead interval")                                    \
	X(RELOAD_KEYS, "command: reload with other keys, right or wrong")                          \
	X(SAW_RENEWED, "seen: a session got its next keys")                                        \
	X(SAW_LAST_KEYS, "seen: a datagram was opened with the keys of before")                    \
	X(NO_RENEWAL, "file: a side is of a version that renews no keys")                          \
	X(SAW_WRONG_KEY, "seen: a peer that is there was found to have another key")               \
	X(CMD_DISABLE, "command: no pool-share-protocol, and enabled again later")                 \
	X(CMD_DISABLE_FORCE, "command: ... --force")                                               \
	X(ONE_ROLE, "file: both sides are configured as primary at first")                         \
	X(DIFFER, "file: a side is restarted with pools that differ")                              \
	X(SAW_TAKEOVER_P, "seen: P took over after its dead interval")                             \
	X(SAW_TAKEOVER_S, "seen: S took over after its dead interval")                             \
	X(SAW_BOTH_OVER, "seen: both took over")                                                   \
	X(SAW_DUPLICATE, "seen: one address used on both sides, with a declared reason")           \
	X(SAW_SAME, "seen: the same subscriber on both sides, with a declared reason")             \
	X(SAW_DROP, "seen: a duplicate's session dropped by its HA")                               \
	X(SAW_ZERO, "seen: starIPSPAllAddrsFree")                                                  \
	X(SAW_AHEAD, "seen: a block came before a session had to wait")                            \
	X(SAW_BACK, "seen: unused addresses came back to a primary that ran short")                \
	X(SAW_REPEATED, "seen: a hello said once more, as a change was not durable")               \
	X(MN_RUSH, "load: all sessions go to the other side from now on")

enum sim_fault {
#define SIM_FAULT_ENUM(name, text) FAULT_##name,
	SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
		SIM_FAULT_COUNT
};

extern const char *const fault_texts[SIM_FAULT_COUNT];

#endif
