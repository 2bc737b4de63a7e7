/*
 * context - the configuration of the nodes that targets make: a dynamic pool with timers, a private
 * one of another priority, a static one, one of IPv6 prefixes.
 */
#ifndef FUZZ_CONTEXT_H
#define FUZZ_CONTEXT_H

#include "core/conf.h"

#define FUZZ_POOLS 4

/* @pools is borrowed. */
void fuzz_context(struct ipsp_context_conf *conf, struct ipsp_pool_conf pools[FUZZ_POOLS],
		  enum ipsp_role role, enum ipsp_mode mode);

#endif
