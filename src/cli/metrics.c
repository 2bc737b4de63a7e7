/*
 * metrics - what ipsp-monitor serves under /metrics, once: for a textfile collector, or to look at.
 */
#include "metrics/metrics.h"
#include "cli/cli.h"
#include <stdlib.h>

/* One answer of the daemon; names are told as they are. */
static int ask(struct cli *cli, const char *what, json_t **root)
{
	char *text;
	int result = cli_show_raw(cli, what, NULL, &text);

	if (result != CLI_DONE)
		return result;
	*root = json_loads(text, 0, NULL);
	free(text);
	return *root ? CLI_DONE : cli_failed(cli, IPSP_ERR_FORMAT, NULL);
}

int cli_metrics(struct cli *cli)
{
	json_t *ipsp = NULL, *stop = NULL, *more = NULL;
	int result = ask(cli, "ipsp", &ipsp);

	if (result == CLI_DONE)
		result = ask(cli, "ok-to-stop", &stop);
	if (result == CLI_DONE)
		result = ask(cli, "metrics", &more);
	if (result == CLI_DONE && cli->json)
		cli_json_print(json_incref(more));
	else if (result == CLI_DONE)
		ipsp_metrics_write(
			stdout,
			&(struct ipsp_metrics){
				.ipsp = ipsp, .ok_to_stop = stop, .metrics = more, .up = true},
			IPSP_METRICS_TEXT);
	json_decref(ipsp);
	json_decref(stop);
	json_decref(more);
	return result;
}
