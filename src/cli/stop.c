/*
 * stop - may this host be stopped? ok-to-stop asks the daemon, which has the rule; drain --wait
 * goes on until the answer is yes.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS	    250 /* between two looks */
#define ASK_ID	    1
#define PATIENCE_MS 10000 /* a script asks this before it stops the host: it must not hang */

struct wait {
	bool to_tty;
	int64_t begun_ms, said_ms;
	json_int_t first_sessions, last_sessions; /* -1: nothing said yet */
	char *last;				  /* the reasons last said; owned */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool time_is_up(const struct cli *cli, const struct wait *wait)
{
	return cli->timeout_ms >= 0 && now_ms() - wait->begun_ms >= cli->timeout_ms;
}

static void pause_ms(const struct cli *cli, const struct wait *wait)
{
	int64_t ms = LOOK_MS;
	struct timespec ts;

	if (cli->timeout_ms >= 0 && wait->begun_ms + cli->timeout_ms - now_ms() < ms)
		ms = wait->begun_ms + cli->timeout_ms - now_ms();
	if (ms <= 0)
		return;
	ts = (struct timespec){ms / 1000, ms % 1000 * 1000000};
	nanosleep(&ts, NULL);
}

/* A daemon that does not answer is waited for as long as was said, and not longer than that. */
static void be_patient(struct cli *cli, const struct wait *wait)
{
	int64_t left =
		cli->timeout_ms < 0 ? PATIENCE_MS : wait->begun_ms + cli->timeout_ms - now_ms();

	if (left > PATIENCE_MS)
		left = PATIENCE_MS;
	cli->patience_ms = cli->look_ms = cli->waited_ms = left > 100 ? (int)left : 100;
}

/* A daemon from before ok-to-stop knows less: whether it is drained. */
static json_t *from_older(const json_t *status)
{
	json_t *contexts = json_array();
	const json_t *context, *pool;
	json_int_t used, moving;
	size_t i, k;

	json_array_foreach(json_object_get(status, "contexts"), i, context)
	{
		const bool ok = cli_true(context, "drained") || cli_true(context, "all-free");
		json_t *reasons = json_array();

		used = moving = 0;
		json_array_foreach(json_object_get(context, "pools"), k, pool)
		{
			used += cli_number(pool, "used");
			moving += cli_number(pool, "in-transit");
		}
		if (!ok)
			json_array_append_new(reasons,
					      json_pack("{s:s, s:s}", "reason", "it is not drained",
							"remedy", "ipspctl drain --wait"));
		json_array_append_new(
			contexts, json_pack("{s:s, s:b, s:b, s:I, s:i, s:I, s:o}", "name",
					    cli_text(context, "name"), "ok", (int)ok, "draining",
					    (int)cli_true(context, "draining"), "sessions", used,
					    "unused", 0, "in-transit", moving, "reasons", reasons));
	}
	return json_pack("{s:o}", "contexts", contexts);
}

/* What the daemon says to ok-to-stop. */
static int ask(struct cli *cli, json_t **root)
{
	struct ipsp_conn_msg msg = {0};
	char *text = NULL;
	json_t *status;
	int err, result = cli_connect(cli);

	*root = NULL;
	if (result != CLI_DONE)
		return result;
	err = ipsp_conn_show(ipsp_call_conn(cli->call), ASK_ID, cli->context, "ok-to-stop", NULL);
	if (!err)
		err = cli_receive(cli, ASK_ID, &text, &msg);
	*root = err ? NULL : json_loads(text, 0, NULL);
	free(text);
	if (!cli->json)
		cli_shown(*root);
	if (err == IPSP_ERR_INVALID && msg.type == IPSP_CONN_DONE) {
		result = cli_show(cli, "ipsp", NULL, &status);
		if (result == CLI_DONE)
			*root = from_older(status);
		json_decref(status);
		return result;
	}
	if (err)
		return cli_failed(cli, err, &msg);
	return *root ? CLI_DONE : cli_failed(cli, IPSP_ERR_FORMAT, NULL);
}

/* *@root is {"ok":...,"contexts":[...]} of all contexts, or of the one of -c. */
static int look(struct cli *cli, json_t **root)
{
	const json_t *context;
	bool ok = true;
	size_t i;
	int result = ask(cli, root);

	if (result != CLI_DONE)
		return result;
	json_array_foreach(json_object_get(*root, "contexts"), i, context) ok =
		ok && cli_true(context, "ok");
	json_object_set_new(*root, "ok", json_boolean(ok));
	return CLI_DONE;
}

static size_t count_reasons(const json_t *root)
{
	const json_t *context;
	size_t i, n = 0;

	json_array_foreach(json_object_get(root, "contexts"), i, context) n +=
		json_array_size(json_object_get(context, "reasons"));
	return n;
}

/* ---------------------------------------------------------------- ok-to-stop */

/* While it waits: the reasons when they have changed, at most once a second. */
static void say_reasons(struct wait *wait, const json_t *root)
{
	char *now = json_dumps(json_object_get(root, "contexts"), JSON_COMPACT);

	if (now && (!wait->last || strcmp(now, wait->last) != 0) &&
	    (!wait->last || now_ms() - wait->said_ms >= 1000)) {
		cli_text_ok_to_stop(root);
		cli_flush();
		free(wait->last);
		wait->last = now;
		wait->said_ms = now_ms();
		return;
	}
	free(now);
}

/* Says what @root says, and takes it over. */
static int conclude(const struct cli *cli, const struct wait *wait, json_t *root)
{
	const size_t n = count_reasons(root);
	const bool ok = cli_true(root, "ok");

	if (!cli->json)
		cli_text_ok_to_stop(root);
	if (cli->json)
		cli_json_print(root);
	else
		json_decref(root);
	if (ok)
		return CLI_DONE;
	if (cli->wait && time_is_up(cli, wait)) {
		fprintf(stderr, "ipspctl: timeout: not safe to stop yet\n");
		return CLI_TIMEOUT;
	}
	fprintf(stderr, "ipspctl: not safe to stop: %zu reason%s\n", n, n == 1 ? "" : "s");
	return CLI_REFUSED;
}

int cli_ok_to_stop(struct cli *cli)
{
	struct wait wait = {.begun_ms = now_ms()};
	json_t *root;
	int result;

	if (cli->timeout_ms >= 0 && !cli->wait)
		return cli_usage("--timeout goes with --wait");
	for (;;) {
		be_patient(cli, &wait);
		result = look(cli, &root);
		if (result != CLI_DONE)
			break;
		if (!cli->wait || cli_true(root, "ok") || time_is_up(cli, &wait)) {
			result = conclude(cli, &wait, root);
			break;
		}
		if (!cli->json)
			say_reasons(&wait, root);
		json_decref(root);
		pause_ms(cli, &wait);
	}
	free(wait.last);
	return result;
}

/* ---------------------------------------------------------------- drain */

/* HAs that are not there, whenever they are others: without a word of them the wait has no end. */
static void drain_absent(struct wait *wait, const json_t *context)
{
	const json_t *one;
	json_t *names = json_array();
	char *now;
	size_t i;

	json_array_foreach(json_object_get(context, "not-attached"), i, one)
		json_array_append_new(names, json_string(cli_text(one, "name")));
	now = json_dumps(names, JSON_COMPACT);
	json_decref(names);
	if (!now || (wait->last && strcmp(now, wait->last) == 0)) {
		free(now);
		return;
	}
	free(wait->last);
	wait->last = now;
	json_array_foreach(json_object_get(context, "reasons"), i, one)
	{
		if (!strstr(cli_text(one, "remedy"), "release --ha="))
			continue;
		printf("%s%s: %s: %s\n", wait->to_tty ? "\r\033[K" : "", cli_text(context, "name"),
		       cli_text(one, "reason"), cli_text(one, "remedy"));
	}
}

static void drain_say(struct wait *wait, const json_t *context)
{
	json_int_t sessions = cli_number(context, "sessions"),
		   moving = cli_number(context, "unused") + cli_number(context, "in-transit");
	int64_t now = now_ms(), spent = now - wait->begun_ms;
	char left[40] = "";

	if (wait->first_sessions < 0)
		wait->first_sessions = sessions;
	if (sessions == wait->last_sessions && !wait->to_tty)
		return; /* a log file is told only of changes */
	if (!wait->to_tty && wait->last_sessions >= 0 && now - wait->said_ms < 1000)
		return;
	if (sessions > 0 && sessions < wait->first_sessions && spent > 0)
		cli_duration(sessions * spent / (wait->first_sessions - sessions), left,
			     sizeof(left));
	printf("%s%s: %lld used, %lld unused to move%s%s%s", wait->to_tty ? "\r" : "",
	       cli_text(context, "name"), (long long)sessions, (long long)moving,
	       *left ? ", about " : "", left, *left ? " left" : "");
	fputs(wait->to_tty ? "\033[K" : "\n", stdout);
	cli_flush();
	wait->last_sessions = sessions;
	wait->said_ms = now;
}

static json_t *drain_json(json_t *answer, const json_t *context)
{
	json_t *state = json_pack("{s:s, s:b, s:b, s:I, s:O}", "context", cli_text(context, "name"),
				  "draining", cli_true(context, "draining"), "drained",
				  cli_true(context, "ok"), "used", cli_number(context, "sessions"),
				  "reasons", json_object_get(context, "reasons"));

	json_object_update(answer, state);
	json_decref(state);
	return answer;
}

/* The wait has ended, and not as it should. */
static void drain_failed(const struct cli *cli, const struct wait *wait, const json_t *context,
			 int err, const char *text)
{
	if (wait->to_tty && wait->last_sessions >= 0)
		putchar('\n');
	if (cli->json)
		cli_json_print(drain_json(cli_json_failed(err, text), context));
	fprintf(stderr, "ipspctl: %s: %s\n", ipsp_err_word(err), text);
}

static int drain_end(struct cli *cli, const struct wait *wait, const json_t *context)
{
	if (wait->to_tty && wait->last_sessions >= 0)
		putchar('\n');
	if (cli->json)
		cli_json_done(cli, drain_json(json_pack("{s:b}", "ok", 1), context));
	else if (cli_true(context, "ok") && !cli_true(context, "draining"))
		printf("%s: it is safe to stop\n", cli_text(context, "name")); /* disabled since */
	else if (cli_true(context, "ok"))
		printf("%s: drained: it is safe to stop; where it stays up, \"undrain\" makes it a "
		       "standby that serves\n",
		       cli_text(context, "name"));
	if (!cli->json)
		cli_text_static_left(context);
	return CLI_DONE;
}

/* One look; *@go_on is set when there is more to wait for. */
static int drain_step(struct cli *cli, struct wait *wait, bool *go_on)
{
	json_t *root = NULL, *context;
	int result = look(cli, &root);

	*go_on = false;
	context = json_array_get(json_object_get(root, "contexts"), 0);
	if (result == CLI_DONE && !context)
		result = cli_failed(cli, IPSP_ERR_FORMAT, NULL);
	if (result != CLI_DONE) {
		json_decref(root);
		return result;
	}
	if (!cli->wait || cli_true(context, "ok")) {
		result = drain_end(cli, wait, context);
	} else if (!cli_true(context, "draining")) {
		drain_failed(cli, wait, context, IPSP_ERR_DRAINING, "the drain was taken back");
		result = CLI_REFUSED;
	} else if (time_is_up(cli, wait)) {
		drain_failed(cli, wait, context, IPSP_ERR_TIMEOUT,
			     "not drained yet; the drain goes on");
		if (!cli->json)
			cli_text_ok_to_stop(root);
		result = CLI_TIMEOUT;
	} else {
		if (!cli->json) {
			drain_absent(wait, context);
			drain_say(wait, context);
		}
		*go_on = true;
	}
	json_decref(root);
	return result;
}

int cli_drain(struct cli *cli)
{
	struct wait wait = {.to_tty = !cli->json && isatty(STDOUT_FILENO),
			    .begun_ms = now_ms(),
			    .first_sessions = -1,
			    .last_sessions = -1};
	char *json;
	bool go_on;
	int result;

	if (cli->timeout_ms >= 0 && !cli->wait)
		return cli_usage("--timeout goes with --wait");
	be_patient(cli, &wait);
	result = cli_command(cli, "drain", "", &json);
	free(json);
	while (result == CLI_DONE) {
		be_patient(cli, &wait);
		result = drain_step(cli, &wait, &go_on);
		if (!go_on)
			break;
		pause_ms(cli, &wait);
	}
	free(wait.last);
	return result;
}
