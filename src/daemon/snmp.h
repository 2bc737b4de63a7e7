/*
 * snmp - notifications to SNMP managers: traps and informs, versions 2c and 3.
 *
 * net-snmp, which only netsnmp.c knows, reads and writes no file of its own here. Nothing in it
 * waits: names are resolved, engines discovered and informs repeated beside the loop's other work.
 * A name may have several addresses: they are tried in turn, at once where the system refuses to
 * send to one, and where an inform to one is not acknowledged. Every sink has a queue of its own,
 * so that a dead one delays nobody; IPSPD_SNMP_QUEUE notifications wait in it at most, then the
 * oldest of those that matter least is dropped, counted and logged. A trap leaves the queue when it
 * was sent, an inform when it was acknowledged: until then it is repeated, after 1 s, 2 s, ... 60
 * s.
 */
#ifndef IPSPD_SNMP_H
#define IPSPD_SNMP_H

#include "core/node.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipspd;
struct ipspd_config;
struct ipspd_ctx;
struct ipspd_snmp;

#define IPSPD_SNMP_QUEUE 64

/*
 * A change of the sinks comes in two steps, so that a reload is taken whole or not at all.
 *
 * _prepare makes ready for the sinks of @config and changes nothing of @old (NULL: there is none).
 * NULL with the reason in @why where this host's net-snmp lacks a protocol, or memory.
 * _start then takes over from @old, and frees it: a sink that is the same in both keeps its queue,
 * and the engine goes on. It can't fail. A process has one at a time that was started.
 */
struct ipspd_snmp *ipspd_snmp_prepare(struct ipspd *d, const struct ipspd_config *config,
				      const struct ipspd_snmp *old, char *why, size_t n_why);
void ipspd_snmp_start(struct ipspd_snmp *snmp, struct ipspd_snmp *old);

/* What waits is dropped; NULL is fine. Also for one that was prepared and not started. */
void ipspd_snmp_free(struct ipspd_snmp *snmp);

/* Is it what @config asks for? Then a reload has nothing to do. */
bool ipspd_snmp_serves(const struct ipspd_snmp *snmp, const struct ipspd_config *config);

/* For IPSP_OUT_TRAP: out->trap, and for a duplicate out->addr. */
void ipspd_snmp_trap(struct ipspd_snmp *snmp, struct ipspd_ctx *ctx, const struct ipsp_out *out);

#define IPSPD_SNMP_LINK_MAX 128

struct ipspd_snmp_trap { /* what a notification says; texts are copied */
	enum ipsp_trap trap;
	const char *context, *interface;
	enum ipsp_role role; /* from here on: of IPSPD-MIB's own only */
	enum ipsp_peer_state peer_state;
	struct ipsp_addr peer, address; /* @address of a duplicate, else IPSP_ADDR_NONE */
	uint64_t epoch;
	bool serving, shared, disk_full;
	enum ipsp_waiting waiting;
	enum ipsp_mismatch mismatch;
	const char *link; /* "bound", or what is wrong; NULL: "" */
};
void ipspd_snmp_send(struct ipspd_snmp *snmp, const struct ipspd_snmp_trap *trap);

struct ipspd_snmp_counts {     /* of all sinks together */
	uint64_t sent;	       /* datagrams, repeated ones included */
	uint64_t acknowledged; /* informs */
	uint64_t dropped;      /* notifications that a full queue lost */
	size_t queued;
};
void ipspd_snmp_counts(const struct ipspd_snmp *snmp, struct ipspd_snmp_counts *counts);

#endif
