/*
 * release - an operator ends a session, or all of an HA: its HA is asked, or with --force is not
 * waited for.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>

#define ID 1 /* of the one command here that has no wrapper in the library */

static int say(struct cli *cli, const struct ipsp_conn_msg *msg)
{
	cli_take_words(cli, msg);
	if (cli->json)
		cli_json_done(cli, json_pack("{s:b}", "ok", 1));
	return CLI_DONE;
}

static int release_by_force(struct cli *cli, const struct ipsp_address *address)
{
	struct ipsp_conn_msg msg;
	int err, result = cli_connect(cli);

	if (result != CLI_DONE)
		return result;
	err = ipsp_conn_force_release(ipsp_call_conn(cli->call), ID, cli->context, address,
				      cli->subscriber, cli->session);
	if (err)
		return cli_failed(cli, err, NULL);
	do {
		err = ipsp_call_next(cli->call, &msg, cli->patience_ms);
		if (err <= 0)
			return cli_failed(cli, err == 0 ? IPSP_ERR_TIMEOUT : err, NULL);
	} while (msg.type != IPSP_CONN_DONE && msg.type != IPSP_CONN_BYE);
	return msg.type == IPSP_CONN_BYE || msg.err ? cli_failed(cli, msg.err, &msg)
						    : say(cli, &msg);
}

static int release_asked(struct cli *cli, const struct ipsp_address *address)
{
	struct ipsp_conn_msg msg = {0};
	int err, result = cli_attach(cli, NULL);

	if (result != CLI_DONE)
		return result;
	err = ipsp_call_release_session(cli->call, address, cli->subscriber, cli->session, &msg,
					cli->patience_ms);
	return err ? cli_failed(cli, err, &msg) : say(cli, &msg);
}

static int release_ha(struct cli *cli)
{
	struct ipsp_conn_msg msg = {0};
	char *json = NULL;
	int err, result;

	if (cli->n_words > 0 || cli->subscriber || cli->session)
		return cli_usage("--ha is for all sessions of an HA: no ADDRESS, --subscriber or "
				 "--session goes with it");
	result = cli_connect(cli);
	if (result != CLI_DONE)
		return result;
	err = ipsp_call_command(cli->call, cli->context, "release-ha", cli->ha,
				cli->force ? IPSP_COMMAND_FORCE : 0, &json, &msg, cli->patience_ms);
	if (err)
		result = cli_failed(cli, err, &msg);
	else if (cli->json)
		puts(json && *json ? json : "{\"ok\":true}");
	else
		cli_print_shown(msg.text);
	free(json);
	return result;
}

int cli_release(struct cli *cli)
{
	struct ipsp_address address;

	if (cli->ha)
		return release_ha(cli);
	if (cli->n_words == 0)
		return cli_usage("something is missing; usage: ipspctl release ADDRESS, or ipspctl "
				 "release --ha NAME");
	if (ipsp_address_parse(cli->words[0], &address) != 0)
		return cli_usage("\"%s\" is no address", cli->words[0]);
	return cli->force ? release_by_force(cli, &address) : release_asked(cli, &address);
}
