/*
 * cli - ipspctl: what its files share. main.c reads the words and finds the command, cmd.c has one
 * function for each, stop.c those that wait, agent.c the one that stays; out_text.c and out_json.c
 * print.
 */
#ifndef IPSPCTL_CLI_H
#define IPSPCTL_CLI_H

#include <ipsp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_PATIENCE_MS 30000 /* for one answer, where a command says nothing else */

enum cli_exit { /* a contract, see the manual page */
		CLI_DONE = 0,
		CLI_REFUSED = 1, /* by the daemon */
		CLI_USAGE = 2,
		CLI_UNREACHABLE = 3, /* no daemon, or it went away */
		CLI_TIMEOUT = 4
};

struct cli {
	const char *socket, *context; /* context NULL: the only one, or all */
	bool json, wait, force;
	const char *pool, *group, *session, *subscriber, *address, *name; /* NULL: not given */
	uint32_t n;							  /* -n, 0: not given */
	int64_t timeout_ms; /* --timeout, -1: not given */
	int patience_ms;    /* the longest wait for any one answer of the daemon */
	char **words;	    /* what follows the words of the command */
	int n_words;
	struct ipsp_call *call; /* NULL until cli_connect */
};

/* Connects, once. CLI_DONE, or what to exit with: the reason was printed. */
int cli_connect(struct cli *cli);

/*
 * What to exit with after @err of an ipsp_call_; says "ipspctl: word: text" on standard error.
 * @msg: what that call left there, NULL where it gives none: an answer of the daemon is a refusal,
 * whatever it says.
 */
int cli_failed(const struct cli *cli, int err, const struct ipsp_conn_msg *msg);

/* The words did not make sense: says so, and returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The JSON text of a show: CLI_DONE and *text (free it), or what to exit with. */
int cli_show_raw(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
		 char **text);
/* A show, parsed: CLI_DONE and *root (json_decref it), or what to exit with. */
int cli_show(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
	     json_t **root);

/*
 * A command of the daemon's, as ipsp_call_command: CLI_DONE, or what to exit with. --json says a
 * failure on standard output too. free() *json in any case.
 */
int cli_command(struct cli *cli, const char *name, const char *argument, char **json);

/* cmd.c, stop.c, agent.c */
int cli_show_ipsp(struct cli *cli);
int cli_show_pool(struct cli *cli);
int cli_show_sessions(struct cli *cli);
int cli_show_counters(struct cli *cli);
int cli_show_log(struct cli *cli);
int cli_request(struct cli *cli);
int cli_release(struct cli *cli);
int cli_agent(struct cli *cli);
int cli_check_config(struct cli *cli);
int cli_drain(struct cli *cli);
int cli_ok_to_stop(struct cli *cli);
int cli_undrain(struct cli *cli);
int cli_terminate(struct cli *cli);
int cli_takeover(struct cli *cli);
int cli_mode(struct cli *cli);
int cli_disable(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_save(struct cli *cli);

/* Reading JSON without surprises: "", 0, false where there is no such member of that type. */
const char *cli_text(const json_t *object, const char *key);
json_int_t cli_number(const json_t *object, const char *key); /* -1 for null or none */
bool cli_true(const json_t *object, const char *key);

/* out_text.c: for people */
void cli_text_ipsp(const json_t *root);
void cli_text_pools(const json_t *root);
void cli_text_sessions(const json_t *root);
void cli_text_counters(const json_t *root);
void cli_text_log(const json_t *root);
void cli_text_ok_to_stop(const json_t *root);
void cli_text_differences(const json_t *root);
/* "1 h 02 min", "3.4 s", "never" for < 0; returns @text */
const char *cli_duration(json_int_t ms, char *text, size_t size);

/* out_json.c: one line on standard output; takes over the reference */
void cli_json_print(json_t *value);
/* {"ok":false,"error":"locked","message":"..."}; @text NULL or "": the sentence of the list */
json_t *cli_json_failed(int err, const char *text);
/* {"ok":true,"address":"10.1.0.5","pool":"pool-a"}, or as above */
json_t *cli_json_answer(const struct ipsp_conn_msg *answer);

#endif
