/*
 * must - what the code relies on, looked at in every build.
 *
 * For our bugs, never for input. Where it does not hold, whoever listens is told (the daemon writes
 * it to its log), and the process is aborted before it does anything that can't be undone: no
 * record, no answer. What costs too much to look at in service is an assert(), which is void where
 * NDEBUG is defined, as in the usual release.
 */
#ifndef IPSP_BASE_MUST_H
#define IPSP_BASE_MUST_H

#include "base/attr.h"

#define IPSP_MUST(holds) ((holds) ? (void)0 : ipsp_must_failed(#holds, __FILE__, __LINE__))

__attribute__((cold)) IPSP_APART _Noreturn void ipsp_must_failed(const char *what, const char *file,
								 int line);

/* @file: below the source's folder, "src/core/seal.c". NULL: nobody listens. */
typedef void ipsp_must_fn(const char *what, const char *file, int line);
void ipsp_must_listen(ipsp_must_fn *fn);

#endif
