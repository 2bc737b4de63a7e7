/*
 * snmp - notifications to SNMP managers: traps and informs, versions 2c and 3.
 *
 * net-snmp, which only netsnmp.c knows, reads and writes no file of its own here. Nothing in it
 * waits: names are resolved, engines discovered and informs repeated beside the loop's other work.
 * Every sink has a queue of its own, so that a dead one delays nobody; IPSPD_SNMP_QUEUE
 * notifications wait in it at most, then the oldest is dropped, counted and logged. A trap leaves
 * the queue when it was sent, an inform when it was acknowledged: until then it is repeated, after
 * 1 s, 2 s, ... 60 s.
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

/* Sends to the sinks of d->config. NULL with the reason in @why. A process has one at a time. */
struct ipspd_snmp *ipspd_snmp_new(struct ipspd *d, char *why, size_t n_why);
void ipspd_snmp_free(struct ipspd_snmp *snmp); /* what waits is dropped; NULL is fine */

/* Is it what @config asks for? Then a reload lets it be, with all that waits in it. */
bool ipspd_snmp_serves(const struct ipspd_snmp *snmp, const struct ipspd_config *config);

/* For IPSP_OUT_TRAP: out->trap, and for a duplicate out->addr. */
void ipspd_snmp_trap(struct ipspd_snmp *snmp, struct ipspd_ctx *ctx, const struct ipsp_out *out);

struct ipspd_snmp_trap { /* what a notification says; texts are copied */
	enum ipsp_trap trap;
	const char *context, *interface;
	enum ipsp_role role; /* from here on: of IPSPD-MIB's own only */
	enum ipsp_peer_state peer_state;
	struct ipsp_addr peer, address; /* @address of a duplicate, else IPSP_ADDR_NONE */
	uint64_t epoch;
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
