/*
 * advice - what an operator would otherwise have to find out: notes on the state of a context, and
 * what stands against stopping this host. The one place of these sentences: texts and JSON have
 * them as they are made here, and `drain --wait` ends by the same rule as `ok-to-stop`.
 */
#ifndef IPSPD_ADVICE_H
#define IPSPD_ADVICE_H

#include "core/node.h"

/* @sentence lives during the call. */
typedef void ipspd_note_fn(void *arg, const char *sentence);

/* The notes on the context @name, what matters most first. */
void ipspd_notes(const char *name, const struct ipsp_status *status, ipspd_note_fn *fn, void *arg);

/*
 * What a stop of this host would cost the sessions of the context @name now: each reason with what
 * to do about it. Returns how many; 0: no session loses its address. @fn may be NULL.
 */
typedef void ipspd_reason_fn(void *arg, const char *reason, const char *remedy);
size_t ipspd_stop_reasons(const char *name, const struct ipsp_status *status, ipspd_reason_fn *fn,
			  void *arg);

/* A sentence on the sessions on static pools, which don't stand against a stop; false: there are
 * none. */
bool ipspd_static_left(const struct ipsp_status *status, char *text, size_t size);

#endif
