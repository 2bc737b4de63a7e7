/*
 * advice - what an operator would otherwise have to find out: notes on the state of a context, and
 * what stands against stopping this host. The one place of these sentences: texts and JSON have
 * them as they are made here, and `drain --wait` ends by the same rule as `ok-to-stop`.
 */
#ifndef IPSPD_ADVICE_H
#define IPSPD_ADVICE_H

#include "core/node.h"

/*
 * HAs that are not attached and have sessions: those end only when it comes, or an operator does
 * without it. The names of those with the most sessions.
 */
#define IPSPD_ABSENT_NAMES 4
struct ipspd_absent {
	uint32_t n;	   /* names */
	uint64_t sessions; /* of all of them, static pools' too */
	struct {
		const char *name; /* borrowed from the node */
		uint32_t sessions;
	} most[IPSPD_ABSENT_NAMES]; /* n at most */
};
/* (where one is asked for below, NULL: it is not known who they are) */
struct ipspd_absent ipspd_absent_of(const struct ipsp_node *node);

/* @name as a shell takes it for one word; as much as @size has room for. Returns @text. */
const char *ipspd_shell_word(const char *name, char *text, size_t size);

/* @sentence lives during the call. */
typedef void ipspd_note_fn(void *arg, const char *sentence);

/* The notes on the context @name, what matters most first. */
void ipspd_notes(const char *name, const struct ipsp_status *status,
		 const struct ipspd_absent *absent, ipspd_note_fn *fn, void *arg);

/*
 * What a stop of this host would cost the sessions of the context @name now: each reason with what
 * to do about it. Returns how many; 0: no session loses its address. @fn may be NULL.
 */
typedef void ipspd_reason_fn(void *arg, const char *reason, const char *remedy);
size_t ipspd_stop_reasons(const char *name, const struct ipsp_status *status,
			  const struct ipspd_absent *absent, ipspd_reason_fn *fn, void *arg);

/* A sentence on the sessions on static pools, which don't stand against a stop; false: there are
 * none. */
bool ipspd_static_left(const struct ipsp_status *status, char *text, size_t size);

#endif
