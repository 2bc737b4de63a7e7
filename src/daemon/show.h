/*
 * show - what a node says about itself, as JSON text (RFC 8259, UTF-8, one line): the shapes of
 * `ipspctl show ... --json` and of /status. Only the show files of the daemon know
 * jansson.
 *
 * All of them look, none changes anything; to be called outside of the turn, or at its end. A
 * returned text is the caller's to free(); NULL: memory ran out.
 */
#ifndef IPSPD_SHOW_H
#define IPSPD_SHOW_H

#include "daemon/ctx.h"

/* @only NULL: every context. */
char *ipspd_show_ipsp(struct ipspd *daemon, const struct ipspd_ctx *only);
/* Of each context: may this host be stopped now, and what stands against it (advice.h)? */
char *ipspd_show_ok_to_stop(struct ipspd *daemon, const struct ipspd_ctx *only);
/* Each pool's definition and counts; @name "": all of them. A name that no context has gives empty
 * lists. */
char *ipspd_show_pools(struct ipspd *daemon, const struct ipspd_ctx *only, const char *name);
/* show_metrics.c: what the metrics need beside _ipsp. */
char *ipspd_show_metrics(const struct ipspd *daemon, const struct ipspd_ctx *only);
/* show_conf.c: the configuration in force. */
char *ipspd_show_configuration(struct ipspd *daemon, const struct ipspd_ctx *only);
char *ipspd_show_counters(struct ipspd *daemon, const struct ipspd_ctx *only);
/* The latest @n events of each context, oldest first; 0: all that are kept. */
char *ipspd_show_log(struct ipspd *daemon, const struct ipspd_ctx *only, uint32_t n);
/* What a comparison of the pools with the peer's, which ended with @err (and words, or NULL), has
 * found; where it could not be made, what the last one had found. */
char *ipspd_show_differences(const struct ipspd_ctx *ctx, int err, const char *text);

bool ipspd_show_has_pool(const struct ipspd_ctx *ctx, const char *name);

/*
 * Sessions are too many for one text: they come in slices, over any number of turns. A session that
 * begins or ends meanwhile may be in it or not.
 */
struct ipspd_show_sessions {
	uint32_t cursor;
	bool begun, ended;
	bool count;	/* only how many they are */
	uint32_t limit; /* 0: none */
	uint32_t found;
	char pool[256], subscriber[256], state[16]; /* "": all */
	struct ipsp_addr first, last;		    /* .first none: all */
};
/* The addresses of "10.1.0.5" or "10.1.0.0/24"; "": all. IPSP_ERR_INVALID: it is none. */
int ipspd_show_range(struct ipspd_show_sessions *show, const char *text);
/*
 * Appends the next slice to @text: at most about @max bytes, and after having looked at @visits
 * sessions at most. False when memory ran out. When it was the last, show->ended is set.
 */
bool ipspd_show_sessions(struct ipspd_show_sessions *show, const struct ipspd_ctx *ctx, size_t max,
			 uint32_t visits, struct ipsp_buf *text);

/* The same of duplicates (show_duplicates.c). One that is found meanwhile comes last. */
struct ipspd_show_duplicates {
	struct ipsp_duplicate_cursor cursor;
	bool begun, any, ended;
};
bool ipspd_show_duplicates(struct ipspd_show_duplicates *show, const struct ipspd_ctx *ctx,
			   size_t max, struct ipsp_buf *text);

#endif
