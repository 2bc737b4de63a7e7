#include "cli/cli.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the daemon */

int cli_failed(const struct cli *cli, int err, const struct ipsp_conn_msg *msg)
{
	bool answered = msg && (msg->type == IPSP_CONN_ANSWER || msg->type == IPSP_CONN_DONE);
	const char *text = answered && *msg->text ? msg->text : ipsp_err_text(err);

	if (msg && msg->type == IPSP_CONN_BYE) {
		fprintf(stderr, "ipspctl: the daemon closed the connection: %s\n", msg->text);
		return CLI_UNREACHABLE;
	}
	if (!answered && err == IPSP_ERR_IO) {
		fprintf(stderr, "ipspctl: %s: %s\n", cli->socket,
			errno ? strerror(errno) : "the daemon closed the connection");
		return CLI_UNREACHABLE;
	}
	if (!answered && err == IPSP_ERR_TIMEOUT) {
		fprintf(stderr, "ipspctl: timeout: no answer of the daemon in %d s\n",
			CLI_PATIENCE_MS / 1000);
		return CLI_TIMEOUT;
	}
	fprintf(stderr, "ipspctl: %s: %s\n", ipsp_err_word(err), text);
	if (err == IPSP_ERR_TIMEOUT)
		return CLI_TIMEOUT; /* the daemon has waited, and says so */
	return err == IPSP_ERR_FORMAT || err == IPSP_ERR_VERSION ? CLI_UNREACHABLE : CLI_REFUSED;
}

int cli_connect(struct cli *cli)
{
	int err;

	if (cli->call)
		return CLI_DONE;
	err = ipsp_call_open(&cli->call, cli->socket, "ipspctl " IPSPD_VERSION, CLI_PATIENCE_MS);
	return err ? cli_failed(cli, err, NULL) : CLI_DONE;
}

/* A command of the daemon's; --json says how it went on standard output too. */
static int command(struct cli *cli, const char *name, const char *argument, char **json)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	*json = NULL;
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_command(cli->call, cli->context, name, argument,
				cli->force ? IPSP_COMMAND_FORCE : 0, json, &msg, CLI_PATIENCE_MS);
	if (!err)
		return CLI_DONE;
	if (cli->json && !(*json && **json))
		cli_json_print(cli_json_failed(err, msg.text));
	return cli_failed(cli, err, &msg);
}

static int simple(struct cli *cli, const char *name, const char *argument)
{
	char *json;
	int result = command(cli, name, argument, &json);

	free(json);
	if (result == CLI_DONE && cli->json)
		cli_json_print(json_pack("{s:b}", "ok", 1));
	return result;
}

/* ---------------------------------------------------------------- shows */

int cli_show_raw(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
		 char **text)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	*text = NULL;
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_show(cli->call, cli->context, what, filter, text, &msg, CLI_PATIENCE_MS);
	if (!err)
		return CLI_DONE;
	free(*text);
	*text = NULL;
	return cli_failed(cli, err, &msg);
}

int cli_show(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
	     json_t **root)
{
	char *text;
	int result = cli_show_raw(cli, what, filter, &text);

	*root = NULL;
	if (result != CLI_DONE)
		return result;
	*root = json_loads(text, 0, NULL);
	free(text);
	return *root ? CLI_DONE : cli_failed(cli, IPSP_ERR_FORMAT, NULL);
}

static int show(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
		void (*print)(const json_t *root))
{
	json_t *root;
	char *text;
	int result;

	if (cli->json) { /* as it came: a million sessions need not be understood here */
		result = cli_show_raw(cli, what, filter, &text);
		if (result == CLI_DONE)
			puts(text);
		free(text);
		return result;
	}
	result = cli_show(cli, what, filter, &root);
	if (result == CLI_DONE)
		print(root);
	json_decref(root);
	return result;
}

int cli_show_ipsp(struct cli *cli)
{
	return show(cli, "ipsp", NULL, cli_text_ipsp);
}

int cli_show_pool(struct cli *cli)
{
	struct ipsp_conn_filter filter = {.pool = cli->n_words > 0 ? cli->words[0] : NULL};

	return show(cli, "pool", &filter, cli_text_pools);
}

int cli_show_sessions(struct cli *cli)
{
	struct ipsp_conn_filter filter = {.pool = cli->pool, .subscriber = cli->subscriber};

	return show(cli, "sessions", &filter, cli_text_sessions);
}

int cli_show_counters(struct cli *cli)
{
	return show(cli, "counters", NULL, cli_text_counters);
}

int cli_show_log(struct cli *cli)
{
	struct ipsp_conn_filter filter = {.n = cli->n};

	return show(cli, "log", &filter, cli_text_log);
}

/* ---------------------------------------------------------------- sessions */

static int attach(struct cli *cli, const char *name)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	if (result != CLI_DONE)
		return result;
	err = ipsp_call_attach(cli->call, cli->context, name, &msg, CLI_PATIENCE_MS);
	return err ? cli_failed(cli, err, &msg) : CLI_DONE;
}

int cli_request(struct cli *cli)
{
	struct ipsp_conn_request request = {.subscriber = cli->words[0],
					    .session = cli->session,
					    .pool = cli->pool,
					    .group = cli->group};
	char text[IPSP_ADDRESS_TEXT];
	struct ipsp_address address;
	struct ipsp_conn_msg msg = {0};
	int err, result;

	if (cli->pool && cli->group)
		return cli_usage("only one of --pool and --group");
	if (cli->address && ipsp_address_parse(cli->address, &address) != 0)
		return cli_usage("\"%s\" is no address", cli->address);
	if (cli->address)
		request.address = &address;
	result = attach(cli, NULL);
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_request(cli->call, &request, &msg, CLI_PATIENCE_MS);
	if (cli->json)
		cli_json_print(err ? cli_json_failed(err, msg.text) : cli_json_answer(&msg));
	else if (!err)
		puts(ipsp_address_text(&msg.address, text, sizeof(text)));
	return err ? cli_failed(cli, err, &msg) : CLI_DONE;
}

int cli_release(struct cli *cli)
{
	struct ipsp_address address;
	struct ipsp_conn_msg msg = {0};
	int err, result;

	if (ipsp_address_parse(cli->words[0], &address) != 0)
		return cli_usage("\"%s\" is no address", cli->words[0]);
	result = attach(cli, NULL);
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_release_session(cli->call, &address, cli->subscriber, cli->session, &msg,
					CLI_PATIENCE_MS);
	if (cli->json)
		cli_json_print(err ? cli_json_failed(err, msg.text) : json_pack("{s:b}", "ok", 1));
	return err ? cli_failed(cli, err, &msg) : CLI_DONE;
}

/* ---------------------------------------------------------------- drain */

struct drain {
	bool to_tty;
	int64_t begun_ms, said_ms;
	json_int_t first_used, last_used; /* -1: nothing said yet */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static json_int_t pools_sum(const json_t *context, const char *key)
{
	const json_t *pool, *pools = json_object_get(context, "pools");
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(pools, i, pool)
	{
		if (strcmp(cli_text(pool, "type"), "static") != 0)
			sum += cli_number(pool, key);
	}
	return sum;
}

/* The context that was drained: the one of -c, or the only one. */
static int drain_look(struct cli *cli, json_t **root, json_t **context)
{
	int result = cli_show(cli, "ipsp", NULL, root);

	if (result != CLI_DONE)
		return result;
	*context = json_array_get(json_object_get(*root, "contexts"), 0);
	return *context ? CLI_DONE : cli_failed(cli, IPSP_ERR_FORMAT, NULL);
}

static void drain_say(struct drain *drain, const json_t *context)
{
	json_int_t used = pools_sum(context, "used"), moving = pools_sum(context, "in-transit");
	int64_t now = now_ms(), spent = now - drain->begun_ms;
	char left[40] = "";

	if (drain->first_used < 0)
		drain->first_used = used;
	if (used == drain->last_used && !drain->to_tty)
		return; /* a log file is told only of changes */
	if (!drain->to_tty && drain->last_used >= 0 && now - drain->said_ms < 1000)
		return;
	if (used > 0 && used < drain->first_used && spent > 0)
		cli_duration(used * spent / (drain->first_used - used), left, sizeof(left));
	printf("%s%s: %lld used, %lld on their way%s%s%s", drain->to_tty ? "\r" : "",
	       cli_text(context, "name"), (long long)used, (long long)moving,
	       *left ? ", about " : "", left, *left ? " left" : "");
	fputs(drain->to_tty ? "\033[K" : "\n", stdout);
	fflush(stdout);
	drain->last_used = used;
	drain->said_ms = now;
}

static int drain_end(const struct cli *cli, const struct drain *drain, const json_t *context)
{
	if (drain->to_tty && drain->last_used >= 0)
		putchar('\n');
	if (cli->json)
		cli_json_print(json_pack(
			"{s:b, s:s, s:b, s:b, s:I}", "ok", 1, "context", cli_text(context, "name"),
			"draining", cli_true(context, "draining"), "drained",
			cli_true(context, "drained"), "used", pools_sum(context, "used")));
	else if (cli_true(context, "drained"))
		printf("%s: drained\n", cli_text(context, "name"));
	return CLI_DONE;
}

/* One look; *@go_on is set when there is more to wait for. */
static int drain_step(struct cli *cli, struct drain *drain, bool *go_on)
{
	json_t *root = NULL, *context = NULL;
	int result = drain_look(cli, &root, &context);

	*go_on = false;
	if (result != CLI_DONE) {
		json_decref(root);
		return result;
	}
	if (!cli->wait || cli_true(context, "drained")) {
		result = drain_end(cli, drain, context);
	} else if (!cli_true(context, "draining")) {
		fprintf(stderr, "%sipspctl: %s: the drain was taken back\n",
			drain->to_tty ? "\n" : "", ipsp_err_word(IPSP_ERR_DRAINING));
		result = CLI_REFUSED;
	} else {
		if (!cli->json)
			drain_say(drain, context);
		*go_on = true;
	}
	json_decref(root);
	return result;
}

int cli_drain(struct cli *cli)
{
	static const struct timespec pause = {0, 250 * 1000 * 1000};
	struct drain drain = {.to_tty = !cli->json && isatty(STDOUT_FILENO),
			      .begun_ms = now_ms(),
			      .first_used = -1,
			      .last_used = -1};
	char *json;
	bool go_on;
	int result;

	if (cli->timeout_ms >= 0 && !cli->wait)
		return cli_usage("--timeout goes with --wait");
	result = command(cli, "drain", "", &json);
	free(json);
	if (result != CLI_DONE)
		return result;
	for (;;) {
		result = drain_step(cli, &drain, &go_on);
		if (result != CLI_DONE || !go_on)
			return result;
		if (cli->timeout_ms >= 0 && now_ms() - drain.begun_ms >= cli->timeout_ms)
			break;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "%sipspctl: timeout: not drained yet; the drain goes on\n",
		drain.to_tty ? "\n" : "");
	return CLI_TIMEOUT;
}

/* ---------------------------------------------------------------- the others */

int cli_check_config(struct cli *cli)
{
	char *json;
	int result = command(cli, "check-config", "", &json);
	json_t *root;

	if (json && *json && cli->json) {
		puts(json);
	} else if (json && *json) {
		root = json_loads(json, 0, NULL);
		cli_text_differences(root);
		json_decref(root);
	}
	free(json);
	return result;
}

int cli_undrain(struct cli *cli)
{
	return simple(cli, "undrain", "");
}

int cli_terminate(struct cli *cli)
{
	return simple(cli, "terminate", "");
}

int cli_takeover(struct cli *cli)
{
	return simple(cli, "takeover", "");
}

int cli_mode(struct cli *cli)
{
	const char *mode = cli->words[0];

	if (strcmp(mode, "active") != 0 && strcmp(mode, "inactive") != 0 &&
	    strcmp(mode, "check-config") != 0)
		return cli_usage("the mode is active, inactive or check-config");
	return simple(cli, "mode", mode);
}

int cli_disable(struct cli *cli)
{
	return simple(cli, "disable", "");
}

int cli_reload(struct cli *cli)
{
	return simple(cli, "reload", "");
}

int cli_save(struct cli *cli)
{
	return simple(cli, "save", "");
}
