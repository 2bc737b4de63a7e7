/*
 * chain - the keys of a session, renewed within it: which come next, and which still open what is
 * late.
 *
 * A handshake makes a session between two processes that may never have met. The next keys of one
 * are made between the same two, by what they say to each other in it: each its half of an X25519
 * exchange, in a RENEW message. So nobody but the peer can begin, hold up or replace a renewal, and
 * nothing that counts within a session (numbers of hellos, contact, items) begins anew.
 *
 * Each session has one next session at most: a side makes one half for it and takes one half of the
 * peer's. So it is of no matter who began, or both at once, nor how often and in what order the
 * halves are lost, repeated or late.
 *
 *   present   seals and opens
 *   next      opens, from when both halves are known here. It becomes the present one when the
 *             peer is known to open it: it says so (.has), or has sealed something in it
 *   last      the one that was present before; it opens what is late, until the caller ends it
 *
 * The chain: a secret of the session that is in none of its datagrams. With the exchange it gives
 * the next keys. Who has found the keys of a session has not the next ones, nor those of before,
 * though he sees all and changes what he likes; who has stolen all of a process's memory has not
 * those that are two exchanges ahead, if he only looks on.
 *
 * What the caller does:
 *   keys are too old     ipsp_chain_begin()
 *   with each hello      ipsp_chain_say(), and the message behind the hello, if there is one
 *   a RENEW was opened   ipsp_chain_on()
 *   and ipsp_chain_end_last(), a while after the peer has sealed something in the present session
 */
#ifndef IPSP_CORE_CHAIN_H
#define IPSP_CORE_CHAIN_H

#include "core/seal.h"

/* Makes our half, where there is none; nothing where the session can't be renewed. */
void ipsp_chain_begin(struct ipsp_seal *seal);

/* Our half, to be sealed in the present session at once: while there is one, and the session has
 * not gone on. */
bool ipsp_chain_say(struct ipsp_seal *seal, struct ipsp_renew *renew);

/*
 * The peer's half: 1 when the session goes on with its next keys by that, and 0 when not (yet).
 * IPSP_ERR_SEAL: it is of low order, or ours, and this session's keys are renewed no more;
 * IPSP_ERR_REPLAY: late, of the session before, or another half than the first one.
 */
int ipsp_chain_on(struct ipsp_seal *seal, const struct ipsp_renew *renew);

void ipsp_chain_end_last(struct ipsp_seal *seal);

/* seal.c and chain.c between themselves: the next session is the present one; and the keys of a
 * session whose lower half is ours, or the peer's. */
void ipsp_chain_go_on(struct ipsp_seal *seal);
void ipsp_session_keys(struct ipsp_session *session, const uint8_t root[32], bool low);

#endif
