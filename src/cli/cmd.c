#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the daemon */

int cli_failed(struct cli *cli, int err, const struct ipsp_conn_msg *msg)
{
	bool answered = msg && (msg->type == IPSP_CONN_ANSWER || msg->type == IPSP_CONN_DONE);
	const char *text = answered && *msg->text ? msg->text : ipsp_err_text(err);
	char before[64], silence[256];

	if (msg && msg->type == IPSP_CONN_BYE) {
		cli_say("the daemon closed the connection: ", msg->text);
		return CLI_UNREACHABLE;
	}
	if (!answered && err == IPSP_ERR_IO) {
		cli_say_unreachable(cli->socket, errno);
		return CLI_UNREACHABLE;
	}
	if (!answered && err == IPSP_ERR_TIMEOUT) {
		snprintf(
			silence, sizeof(silence),
			"the daemon is there, but has not answered for %d s: is it stopped, or the "
			"host too busy? See \"systemctl status ipspd\" and \"journalctl -u ipspd\"",
			(cli->waited_ms + 999) / 1000);
		text = silence;
	}
	if (cli->json && !cli->printed)
		cli_json_print(cli_json_failed(err, text));
	snprintf(before, sizeof(before), "%s: ", ipsp_err_word(err));
	cli_say(before, text);
	if (err == IPSP_ERR_TIMEOUT)
		return CLI_TIMEOUT; /* or the daemon has waited, and says so */
	return err == IPSP_ERR_FORMAT || err == IPSP_ERR_VERSION ? CLI_UNREACHABLE : CLI_REFUSED;
}

int cli_connect(struct cli *cli)
{
	int err;

	if (cli->call)
		return CLI_DONE;
	cli->waited_ms = cli->look_ms;
	err = ipsp_call_open(&cli->call, cli->socket, "ipspctl " IPSPD_VERSION, cli->look_ms);
	if (!err)
		cli->waited_ms = cli->patience_ms;
	return err ? cli_failed(cli, err, NULL) : CLI_DONE;
}

void cli_take_words(struct cli *cli, const struct ipsp_conn_msg *msg)
{
	if (!msg->text || !*msg->text)
		return;
	free(cli->words_of_daemon);
	cli->words_of_daemon = cli->json ? strdup(msg->text) : NULL;
	if (!cli->json)
		cli_print_shown(msg->text);
}

void cli_json_done(struct cli *cli, json_t *answer)
{
	if (cli->words_of_daemon)
		json_object_set_new(answer, "message", json_string(cli->words_of_daemon));
	cli_json_print(answer);
}

int cli_command(struct cli *cli, const char *name, const char *argument, char **json)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	*json = NULL;
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_command(cli->call, cli->context, name, argument,
				cli->force ? IPSP_COMMAND_FORCE : 0, json, &msg, cli->patience_ms);
	if (!err) {
		cli_take_words(cli, &msg);
		return CLI_DONE;
	}
	cli->printed = *json && **json; /* or will be: it is the caller's */
	return cli_failed(cli, err, &msg);
}

static int simple(struct cli *cli, const char *name, const char *argument)
{
	char *json;
	int result = cli_command(cli, name, argument, &json);

	free(json);
	if (result == CLI_DONE && cli->json)
		cli_json_done(cli, json_pack("{s:b}", "ok", 1));
	return result;
}

/* ---------------------------------------------------------------- shows */

#define SHOW_ID 1 /* (those of the library's own calls count down from the top) */

int cli_receive(struct cli *cli, uint64_t id, char **text, struct ipsp_conn_msg *msg)
{
	size_t size;
	FILE *whole = open_memstream(text, &size);
	int got;

	*text = NULL;
	if (!whole)
		return IPSP_ERR_NOMEM;
	cli->waited_ms = cli->look_ms;
	do {
		got = ipsp_call_next(cli->call, msg, cli->look_ms);
		if (got > 0 && msg->type == IPSP_CONN_JSON && msg->id == id)
			fwrite(msg->text, 1, msg->n_text, whole);
	} while (got > 0 && msg->type != IPSP_CONN_BYE &&
		 !(msg->type == IPSP_CONN_DONE && msg->id == id));
	const bool failed = ferror(whole) != 0;
	if (fclose(whole) != 0 || failed)
		return IPSP_ERR_NOMEM;
	if (got <= 0)
		return got == 0 ? IPSP_ERR_TIMEOUT : got;
	return msg->err == 0 && msg->type == IPSP_CONN_BYE ? IPSP_ERR_DENIED : msg->err;
}

int cli_show_raw(struct cli *cli, const char *what, const struct ipsp_conn_filter *filter,
		 char **text)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	*text = NULL;
	if (result != CLI_DONE)
		return result;
	err = ipsp_conn_show(ipsp_call_conn(cli->call), SHOW_ID, cli->context, what, filter);
	if (!err)
		err = cli_receive(cli, SHOW_ID, text, &msg);
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
	if (!cli->json)
		cli_shown(*root);
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

int cli_show_brief(struct cli *cli)
{
	json_t *root, *brief;
	int result = cli_show(cli, "ipsp", NULL, &root);

	if (result != CLI_DONE)
		return result;
	brief = cli_json_brief(root);
	json_decref(root);
	if (cli->json) {
		cli_json_print(brief);
		return CLI_DONE;
	}
	cli_text_brief(brief);
	json_decref(brief);
	return CLI_DONE;
}

int cli_show_configuration(struct cli *cli)
{
	return show(cli, "configuration", NULL, cli_text_configuration);
}

int cli_show_pool(struct cli *cli)
{
	struct ipsp_conn_filter filter = {.pool = cli->n_words > 0 ? cli->words[0] : NULL};

	return show(cli, "pool", &filter, cli_text_pools);
}

int cli_show_duplicates(struct cli *cli)
{
	return show(cli, "duplicates", NULL, cli_text_duplicates);
}

int cli_show_counters(struct cli *cli)
{
	return show(cli, "counters", NULL, cli_text_counters);
}

/* ---------------------------------------------------------------- sessions */

int cli_attach(struct cli *cli, const char *name)
{
	struct ipsp_conn_msg msg = {0};
	int result = cli_connect(cli);
	int err;

	if (result != CLI_DONE)
		return result;
	err = ipsp_call_attach(cli->call, cli->context, name, &msg, cli->patience_ms);
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
	result = cli_attach(cli, NULL);
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_request(cli->call, &request, &msg, cli->patience_ms);
	if (err)
		return cli_failed(cli, err, &msg);
	if (cli->json)
		cli_json_print(cli_json_answer(&msg));
	else
		puts(ipsp_address_text(&msg.address, text, sizeof(text)));
	return CLI_DONE;
}

/* ---------------------------------------------------------------- the others */

int cli_check_config(struct cli *cli)
{
	char *json;
	int result = cli_command(cli, "check-config", "", &json);
	json_t *root;

	if (json && *json && cli->json) {
		puts(json);
	} else if (json && *json) {
		root = json_loads(json, 0, NULL);
		cli_shown(root);
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
	static const char *const modes[] = {"active", "inactive", "check-config", NULL};
	const char *word = cli->words[0], *nearest = cli_nearest(word, modes);

	for (size_t i = 0; modes[i] && *word; i++)
		if (strncmp(modes[i], word, strlen(word)) == 0)
			return simple(cli, "mode", modes[i]);
	if (nearest)
		return cli_usage("there is no mode \"%s\"; did you mean \"%s\"?", word, nearest);
	return cli_usage("the mode is active, inactive or check-config");
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
