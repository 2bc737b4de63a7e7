/*
 * secret - what this process keeps of secrets stays in this process: no dump of its memory, no
 * swap.
 *
 * The system may refuse to lock memory (RLIMIT_MEMLOCK); then it goes on without, and says so.
 */
#ifndef IPSPD_SECRET_H
#define IPSPD_SECRET_H

#include <stddef.h>

/*
 * From here on no core of this process is written, and nobody but root reads its memory or traces
 * it, also not another process of the same user. A program that it starts is free of that.
 */
void ipspd_secret_process(void);

/*
 * The pages of these bytes are not swapped, and are in no dump that root takes. It lasts as long as
 * the pages do: pages have several owners, and one of them may still need it.
 */
void ipspd_secret_memory(const void *p, size_t n);

/* Logs, once, that memory could not be locked. */
void ipspd_secret_tell(void);

#endif
