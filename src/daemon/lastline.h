/*
 * lastline - the last line that a program has said, for the log.
 *
 * A pipe is read as the program writes, so that it never waits for us, nor we for it; of a flood at
 * most some megabytes a second. All but the last line that is not blank is forgotten.
 */
#ifndef IPSPD_LASTLINE_H
#define IPSPD_LASTLINE_H

#include <stddef.h>

#define IPSPD_LASTLINE_MAX 200 /* bytes that are kept of a line */

struct event_base;
struct ipspd_lastline;
struct ipspd_lastlines { /* those that are read on; starts as all zeros */
	struct ipspd_lastline *first;
	size_t n;
};

/* A new pipe: its end to write is @*fd, to be closed once the program has it. NULL: an errno says
 * why. */
struct ipspd_lastline *ipspd_lastline_new(struct event_base *base, int *fd);

/* Up to now: UTF-8 without control characters, "" for nothing. Never waits. */
const char *ipspd_lastline_text(struct ipspd_lastline *line);

/* The program has ended. What it has left running may write on, until it closes the pipe. */
void ipspd_lastline_leave(struct ipspd_lastlines *left, struct ipspd_lastline *line);

void ipspd_lastline_free(struct ipspd_lastline *line); /* NULL is fine */
void ipspd_lastlines_free(struct ipspd_lastlines *left);

#endif
