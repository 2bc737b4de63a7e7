/*
 * ctl_int - between the files of the control socket: ctl.c has the socket, the clients and their
 * bytes, ctl_read.c who is read when, ctl_user.c what those of one user have together, ctl_serve.c
 * knows what frames mean, ctl_job.c does what takes longer, ctl_release.c ends sessions by force,
 * ctl_out.c says what nodes have for clients.
 */
#ifndef IPSPD_CTL_INT_H
#define IPSPD_CTL_INT_H

#include "base/ctlmsg.h"
#include "daemon/access.h"
#include "daemon/ctl.h"
#include "daemon/show.h"
#include <event2/util.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/types.h>

struct evconnlistener;

enum ipspd_job_kind {
	IPSPD_JOB_LIST,
	IPSPD_JOB_SHOW,
	IPSPD_JOB_RELOAD,
	IPSPD_JOB_SAVE,
	IPSPD_JOB_RELEASE
};

struct ipspd_job { /* done at the end of a turn, by the client's own speed */
	struct ipspd_job *next;
	enum ipspd_job_kind kind;
	uint64_t id;
	const struct ipspd_ctx *ctx; /* NULL: all */
	bool ctx_gone;		     /* it was removed while the job waited */
	uint32_t n, cursor;
	char name[16];
	const char *wrong;		     /* with a filter of sessions; NULL */
	struct ipspd_show_sessions sessions; /* the filters of every show are in here */
	struct ipspd_show_duplicates duplicates;
	char *text; /* of any other show, once it is made; owned */
	size_t n_text, told;
	char ha[IPSP_NAME_MAX]; /* of a release: all sessions of this name */
	bool force, attached, ended;
	uint32_t found;
};

TAILQ_HEAD(ipspd_clients, ipspd_client);

struct ipspd_client {
	struct ipspd_ctl *ctl;
	uint64_t token; /* at the node; token % IPSPD_CTL_CLIENTS is its slot */
	int fd;
	struct event *readable, *writable;
	struct event *greeting; /* how long its HELLO may take; NULL once it has come */
	bool greeted;		/* its HELLO has come */
	bool closing; /* nothing is read any more; closed once its last words were tried */
	uid_t uid;
	struct ipspd_user *user;
	ipsp_ms came;
	size_t held;		/* bytes, as counted at its user and at all */
	unsigned may;		/* IPSPD_MAY_ */
	char program[65];	/* as it calls itself; "" */
	struct ipspd_ctx *ctx;	/* NULL: not attached */
	char ha[IPSP_NAME_MAX]; /* "": an operator */
	struct ipsp_buf in;	/* the beginning of a frame whose rest has not come */
	struct ipsp_buf out;	/* to be written, from .written on */
	size_t written;
	struct ipspd_clients *due; /* which list of the flush it is on; NULL: none */
	TAILQ_ENTRY(ipspd_client) due_link;
	bool ready; /* it has something to be read, and is in its user's list */
	TAILQ_ENTRY(ipspd_client) ready_link;
	struct ipspd_job *jobs, **jobs_end;
	unsigned n_jobs;
	unsigned n_ops;				  /* open */
	struct ipspd_op *commands, *last_command; /* open: the first one has begun */
};

struct ipspd_user { /* a uid that has clients, or open requests */
	struct ipspd_user *next;
	uid_t uid;
	bool trusted; /* root, or the daemon's own */
	unsigned n_clients, n_silent, n_ops, n_ready;
	struct ipspd_clients ready; /* to be read, the next one first */
	uint64_t flush;		    /* the last one in which a client of it had its turn */
	size_t held;
};

/* Lines that a client may cause as often as it likes: some, and then how many more there were. */
enum ipspd_often_kind {
	IPSPD_OFTEN_REFUSED,
	IPSPD_OFTEN_CLOSED,
	IPSPD_OFTEN_COMMAND,
	IPSPD_OFTEN_KINDS
};

#define IPSPD_OFTEN_LINES    10 /* in 10 s */
#define IPSPD_OFTEN_COMMANDS 100

struct ipspd_often {
	struct event *end; /* of the 10 s */
	const char *kind;
	unsigned n;
	unsigned long long left_out;
};

struct ipspd_op {	/* what was asked of a node for an operator: to whom the answer goes */
	uint64_t key;	/* the id that the node knows, its place is key % IPSPD_CTL_OPS; 0: free */
	uint64_t token; /* the client, which may be gone */
	uint64_t id;	/* the client's own */
	struct ipspd_user *user;
	struct ipspd_ctx *ctx;
	bool is_request, is_check, is_release; /* the last: one by force */
	const char *command;		       /* its name, static; NULL: it is none */
	enum ipsp_command what;
	enum ipsp_mode mode;
	bool force, begun;
	struct ipspd_op *next; /* the client's next command, begun when this one is answered */
};

struct ipspd_ctl {
	struct ipspd *daemon;
	char *path;
	dev_t dev; /* of the socket's file: another one at its path is not ours to remove */
	ino_t ino;
	struct evconnlistener *listener;
	struct event *retry; /* accepting again, after the system had no descriptor left */
	struct ipspd_access access;
	struct ipspd_client *clients[IPSPD_CTL_CLIENTS];
	size_t n_clients, n_silent; /* who has not greeted; of these, who is not trusted */
	size_t n_accepted;	    /* in this turn */
	size_t n_ready;		    /* to be read */
	uint64_t last_read;	    /* a token */
	ipsp_ms shared_until;	    /* more than one client is read in these days */
	ipsp_ms jobs_until;	    /* in this turn */
	bool resting;		    /* there was no descriptor for another client */
	struct ipspd_user *users;
	size_t held;
	struct ipspd_often often[IPSPD_OFTEN_KINDS];
	struct ipspd_clients due;     /* those for whom the end of the turn has something to do */
	struct ipspd_clients waiting; /* ... which are the first of the next turn */
	uint64_t n_flushes;
	uint64_t n_tokens, n_keys; /* made so far */
	struct ipspd_op ops[IPSPD_CTL_OPS];
	size_t next_op, n_ops;	   /* open */
	struct ipsp_ctl_msg reply; /* a DONE on its way: there are very many */
	char words[160];
	uint8_t bytes[IPSPD_CTL_READ + IPSP_CTL_HEAD + IPSP_CTL_FRAME_MAX]; /* of one read */
};

/* ctl.c */
struct ipspd_client *ipspd_client_find(struct ipspd_ctl *ctl, uint64_t token); /* NULL: gone */
void ipspd_client_put(struct ipspd_client *client, const struct ipsp_ctl_msg *msg);
/* Memory ran out for its bytes: it is closed. */
void ipspd_client_broken(struct ipspd_client *client);
void ipspd_client_done(struct ipspd_client *client, uint64_t id, int err, const char *text);
/* A JSON text, in as many frames as it needs. */
void ipspd_client_text(struct ipspd_client *client, uint64_t id, const char *text, size_t n);
/* It has something to be written, or a job: the end of the turn looks at it. */
void ipspd_client_due(struct ipspd_client *client);
void ipspd_client_close(struct ipspd_client *client);
/* Says why, and stops reading; the end of the turn closes it. */
void ipspd_client_dismiss(struct ipspd_client *client, int err, const char *text);
/* Who it is, for the log; good until the next call. */
const char *ipspd_client_words(struct ipspd_client *client);
size_t ipspd_client_pending(const struct ipspd_client *client); /* bytes to be written */

/* ctl_read.c */
/* Its event: it is read in the turn that follows, or in a later one. */
void ipspd_client_readable(evutil_socket_t fd, short what, void *arg);
void ipspd_client_unread(struct ipspd_client *client); /* it has nothing to be read any more */

/* ctl_user.c */
struct ipspd_user *ipspd_user_of(struct ipspd_ctl *ctl, uid_t uid); /* NULL: no memory */
/* It is forgotten, if it has nothing any more. */
void ipspd_user_unused(struct ipspd_ctl *ctl, struct ipspd_user *user);
/* Why it gets no further connection, or NULL. */
const char *ipspd_user_refused(const struct ipspd_ctl *ctl, const struct ipspd_user *user);
/* Its HELLO is awaited: others of which it is awaited for long may have to go. */
void ipspd_user_greets(struct ipspd_client *client);
void ipspd_user_greeted(struct ipspd_client *client);		/* it has come, or never will */
void ipspd_user_count(struct ipspd_client *client, size_t now); /* the bytes that it holds */
/* After a write to @client: who is to be closed, for what waits for it to be read? NULL: nobody. */
struct ipspd_client *ipspd_user_must_go(struct ipspd_client *client);
void ipspd_often_say(struct ipspd_ctl *ctl, enum ipspd_often_kind kind, enum ipsp_level level,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));
void ipspd_users_free(struct ipspd_ctl *ctl);

/* ctl_serve.c */
/* One frame of a client. 0, or an error: the client is of no use; *@why says it in words. */
int ipspd_client_serve(struct ipspd_client *client, const struct ipsp_ctl_msg *msg,
		       const char **why);
void ipspd_client_detach(struct ipspd_client *client); /* the node is told; jobs are dropped */
/* Its first command begins, if it has not. */
void ipspd_client_command(struct ipspd_client *client);
void ipspd_client_drop_commands(struct ipspd_client *client); /* those that have not begun */

/* ctl_out.c */
struct ipspd_op *ipspd_op_find(struct ipspd_ctl *ctl, uint64_t key); /* NULL: answered already */
/* To whom has asked, if it is still there; the op is free then. */
void ipspd_op_answer(struct ipspd_ctl *ctl, struct ipspd_op *op, const struct ipsp_ctl_msg *msg);
void ipspd_op_free(struct ipspd_ctl *ctl, struct ipspd_op *op); /* to nobody */

/* ctl_release.c: an operator's release by force, of one session or all of a name's */
void ipspd_release_one(struct ipspd_client *client, const struct ipsp_ctl_msg *msg);
void ipspd_release_ha(struct ipspd_client *client, const struct ipsp_ctl_msg *msg);
/* The next slice; true when that was the last of it. */
bool ipspd_release_work(struct ipspd_client *client, struct ipspd_job *job);

/* ctl_serve.c, for it: the context that is meant, NULL: none, and the client was told so; and one
 * of the client's commands, which is told how it ended; NULL in the same manner. */
struct ipspd_ctx *ipspd_client_context(struct ipspd_client *client, const struct ipsp_ctl_msg *msg);
struct ipspd_op *ipspd_client_op(struct ipspd_client *client, uint64_t id, struct ipspd_ctx *ctx);

/* ctl_job.c */
#define IPSPD_VISITS 8192 /* sessions that one slice looks at: some milliseconds */
/* A job without name, number and filters; NULL: too many are open, and the client was told so. */
struct ipspd_job *ipspd_job_queue(struct ipspd_client *client, uint64_t id,
				  enum ipspd_job_kind kind, const struct ipspd_ctx *ctx);
/* Goes on with the client's jobs until about @max bytes wait to be written, or a slice was done. */
void ipspd_jobs_work(struct ipspd_client *client, size_t max);
void ipspd_jobs_drop(struct ipspd_client *client);
void ipspd_jobs_forget(struct ipspd_client *client, const struct ipspd_ctx *ctx);

static inline char *ipspd_ctl_copy(char text[256], const struct ipsp_ctl_str *s)
{
	if (s->n > 0)
		memcpy(text, s->p, s->n); /* 255 at most: what a frame can hold */
	text[s->n] = '\0';
	return text;
}

#endif
