/*
 * cli - ipspctl: what its files share. main.c reads the options, words.c has the commands and
 * finds the one meant, cmd.c has one function for each, connect.c says why there is no daemon,
 * stop.c those that wait, agent.c the one that stays; out_text.c and out_json.c print.
 */
#ifndef IPSPCTL_CLI_H
#define IPSPCTL_CLI_H

#include <ipsp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_PATIENCE_MS 30000 /* for one answer, where a command says nothing else */
#define CLI_LOOK_MS	10000 /* for the daemon's first word, and for each piece of what is shown */

enum cli_exit { /* a contract, see the manual page */
		CLI_DONE = 0,
		CLI_REFUSED = 1, /* by the daemon */
		CLI_USAGE = 2,
		CLI_UNREACHABLE = 3, /* no daemon, or it went away */
		CLI_TIMEOUT = 4
};

/* Options that not every command has; the bits say which does. */
enum {
	OPT_POOL = 1 << 0,
	OPT_GROUP = 1 << 1,
	OPT_SESSION = 1 << 2,
	OPT_SUBSCRIBER = 1 << 3,
	OPT_ADDRESS = 1 << 4,
	OPT_NAME = 1 << 5,
	OPT_N = 1 << 6,
	OPT_WAIT = 1 << 7,
	OPT_TIMEOUT = 1 << 8,
	OPT_FORCE = 1 << 9,
	OPT_STATE = 1 << 10,
	OPT_COUNT = 1 << 11,
	OPT_LIMIT = 1 << 12,
	OPT_FOLLOW = 1 << 13,
	OPT_HA = 1 << 14,
};

struct cli {
	const char *socket, *context; /* context NULL: the only one, or all */
	bool json, wait, force, count, follow;
	const char *pool, *group, *session, *subscriber, *address, *name, *state,
		*ha;	       /* NULL: not given */
	uint32_t limit;	       /* 0: none */
	uint32_t n;	       /* -n, 0: not given */
	bool printed;	       /* standard output has the JSON of this command, or a part of it */
	int64_t timeout_ms;    /* --timeout, -1: not given */
	int patience_ms;       /* the longest wait for any one answer of the daemon */
	int look_ms;	       /* ... for its first word, and the next piece of what is shown */
	int waited_ms;	       /* one of the two: what is said when it has run out */
	char *words_of_daemon; /* beside "done", for JSON's "message"; owned, or NULL */
	char **words;	       /* what follows the words of the command */
	int n_words;
	struct ipsp_call *call; /* NULL until cli_connect */
};

/* Connects, once. CLI_DONE, or what to exit with: the reason was printed. */
int cli_connect(struct cli *cli);

/*
 * What to exit with after @err of an ipsp_call_; says "ipspctl: word: text" on standard error, and
 * with --json what was refused on standard output.
 * @msg: what that call left there, NULL where it gives none: an answer of the daemon is a refusal,
 * whatever it says.
 */
int cli_failed(struct cli *cli, int err, const struct ipsp_conn_msg *msg);

/* As what follows is meant: for the context, as an operator or (@name) an HA. */
int cli_attach(struct cli *cli, const char *name);

/* The words did not make sense: says so, and returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct cli_command { /* what can be typed, words.c */
	const char *words, *arguments, *help;
	int min, max; /* words that follow */
	unsigned options;
	int (*run)(struct cli *cli);
};

/*
 * The command whose words begin @words, each of which may be cut short as long as it is clear;
 * *@n is how many these are. NULL: there is none, and it was said what is wrong.
 */
const struct cli_command *cli_find(char **words, int n_words, int *n);
/* Of @words a command, or the beginning of some; none: of all. CLI_DONE, or CLI_USAGE. */
int cli_help(char **words, int n_words);
/* The one of @names (up to a NULL) that @word was meant to be; NULL: it is like none. */
const char *cli_nearest(const char *word, const char *const *names);
/* Says which option is none of @command's. CLI_USAGE. */
int cli_wrong_option(const struct cli_command *command, unsigned wrong);

/* connect.c: why @errno_ came of connecting to the socket, and what to do; prints it. */
void cli_say_unreachable(const char *socket, int errno_);

/*
 * The text of what was asked under @id, in pieces: each is waited for, so that a long one may take
 * its time. 0 and *text (free it), or the error, as of an ipsp_call_, with *msg.
 */
int cli_receive(struct cli *cli, uint64_t id, char **text, struct ipsp_conn_msg *msg);

/* The JSON text of a show: CLI_DONE and *text (free it), or what to exit with. */
int cli_show_raw(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
		 char **text);
/* A show, parsed: CLI_DONE and *root (json_decref it), or what to exit with. */
int cli_show(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
	     json_t **root);

/* What the daemon says beside "done", what was risked or happens next: it is printed, or kept for
 * the JSON that cli_json_done prints; that takes over @answer. */
void cli_take_words(struct cli *cli, const struct ipsp_conn_msg *msg);
void cli_json_done(struct cli *cli, json_t *answer);

/*
 * A command of the daemon's, as ipsp_call_command: CLI_DONE, or what to exit with. free() *json in
 * any case.
 */
int cli_command(struct cli *cli, const char *name, const char *argument, char **json);

/* cmd.c, stop.c, agent.c */
int cli_show_ipsp(struct cli *cli);
int cli_show_brief(struct cli *cli);
int cli_show_configuration(struct cli *cli);
int cli_show_pool(struct cli *cli);
int cli_show_sessions(struct cli *cli); /* sessions.c */
int cli_show_duplicates(struct cli *cli);
int cli_show_counters(struct cli *cli);
int cli_show_log(struct cli *cli);
int cli_metrics(struct cli *cli); /* metrics.c */
int cli_request(struct cli *cli);
int cli_release(struct cli *cli); /* release.c */
int cli_agent(struct cli *cli);

/* lines.c: the agent's standard output, which never waits for who reads it */
void cli_lines_print(json_t *value); /* a line; takes @value */
size_t cli_lines_unread(void);	     /* bytes that standard output has not taken yet */
/* As much as it takes now, or with @wait all. False: it can't be written any more. */
bool cli_lines_write(bool wait);
void cli_lines_free(void);
int cli_check_config(struct cli *cli);
int cli_drain(struct cli *cli);
int cli_ok_to_stop(struct cli *cli);
int cli_undrain(struct cli *cli);
int cli_watch(struct cli *cli);	   /* watch.c */
int cli_make_key(struct cli *cli); /* makekey.c */
int cli_terminate(struct cli *cli);
int cli_takeover(struct cli *cli);
int cli_mode(struct cli *cli);
int cli_disable(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_save(struct cli *cli);

/* shown.c */
#define CLI_SAY_MAX 16384 /* the text of a refusal, and more */
/* Every text in @root as people may be shown it; not for JSON, nor for what is compared. */
void cli_shown(json_t *root);
/* "ipspctl: ", @before and @text, which others wrote, on standard error. */
void cli_say(const char *before, const char *text);
/* @text, which others wrote, as a line on standard output. */
void cli_print_shown(const char *text);

/* Reading JSON without surprises: "", 0, false where there is no such member of that type. */
const char *cli_text(const json_t *object, const char *key);
json_int_t cli_number(const json_t *object, const char *key); /* -1 for null or none */
bool cli_true(const json_t *object, const char *key);

/* out_text.c: for people */
#define CLI_COLUMNS_MAX 14
struct cli_widths { /* of the columns of a table */
	size_t n;
	int width[CLI_COLUMNS_MAX];
	bool right[CLI_COLUMNS_MAX];
};
void cli_text_ipsp(const json_t *root);
void cli_text_brief(const json_t *brief); /* of cli_json_brief */
void cli_text_configuration(const json_t *root);
void cli_text_pools(const json_t *root);
/* The head of the table, as wide as @rows need it; then rows, these and others. */
void cli_text_sessions_begin(struct cli_widths *widths, const json_t *rows);
void cli_text_sessions_rows(const struct cli_widths *widths, const json_t *rows);
void cli_text_duplicates(const json_t *root);
void cli_text_counters(const json_t *root);
void cli_text_ok_to_stop(const json_t *root);
void cli_text_static_left(const json_t *context); /* one of those contexts */
void cli_text_differences(const json_t *root);
/* "1 h 02 min", "3.4 s", "never" for < 0; returns @text */
const char *cli_duration(json_int_t ms, char *text, size_t size);

/* out_json.c */
/* Writes what is buffered for standard output. False: it, or anything before it, failed. */
bool cli_flush(void);
void cli_output_failed(int err); /* standard output can't be written, by errno */
int cli_output_error(void);	 /* the errno of the first failure that _flush has seen; 0 */
/* {"contexts":[...],"total":{...}}: what `show ip ipsp brief` has of a show ip ipsp; a new one. */
json_t *cli_json_brief(const json_t *root);
/* One line on standard output; takes over the reference. */
void cli_json_print(json_t *value);
/* JSON has UTF-8 only. What the daemon says may quote what is none: then with '?' for what is not
 * ASCII. */
json_t *cli_json_text(const char *text);
/* {"ok":false,"error":"locked","message":"..."}; @text NULL or "": the sentence of the list */
json_t *cli_json_failed(int err, const char *text);
/* {"ok":true,"address":"10.1.0.5","pool":"pool-a"}, or as above */
json_t *cli_json_answer(const struct ipsp_conn_msg *answer);

#endif
