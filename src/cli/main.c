#include "cli/cli.h"
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
};

static const struct command {
	const char *words, *arguments, *help;
	int min, max; /* words that follow */
	unsigned options;
	int (*run)(struct cli *cli);
} commands[] = {
	{"show ip ipsp", "", "roles, states, and each pool's used and released addresses", 0, 0, 0,
	 cli_show_ipsp},
	{"show ip pool", "[NAME]", "each pool's definition and all its counts", 0, 1, 0,
	 cli_show_pool},
	{"show sessions", "[--pool P] [--subscriber S]", "who has which address", 0, 0,
	 OPT_POOL | OPT_SUBSCRIBER, cli_show_sessions},
	{"show counters", "", "what the protocol has counted since the start", 0, 0, 0,
	 cli_show_counters},
	{"show log", "[-n N]", "the latest events", 0, 0, OPT_N, cli_show_log},
	{"request", "SUBSCRIBER [--session S] [--pool P | --group G] [--address A]",
	 "an address for a session, as an HA would ask", 1, 1,
	 OPT_SESSION | OPT_POOL | OPT_GROUP | OPT_ADDRESS, cli_request},
	{"release", "ADDRESS [--subscriber S] [--session S]",
	 "ends the session that has it, if it is that one", 1, 1, OPT_SUBSCRIBER | OPT_SESSION,
	 cli_release},
	{"agent", "[--name NAME]", "an HA that speaks JSON lines", 0, 0, OPT_NAME, cli_agent},
	{"check-config", "", "compares the pools with the peer's", 0, 0, 0, cli_check_config},
	{"drain", "[--wait] [--timeout S] [--force]", "no new addresses to local sessions", 0, 0,
	 OPT_WAIT | OPT_TIMEOUT | OPT_FORCE, cli_drain},
	{"ok-to-stop", "[--wait] [--timeout S]",
	 "may this host be stopped now? each reason against it", 0, 0, OPT_WAIT | OPT_TIMEOUT,
	 cli_ok_to_stop},
	{"undrain", "", "takes that back", 0, 0, 0, cli_undrain},
	{"terminate", "", "graceful termination: the peer takes over", 0, 0, 0, cli_terminate},
	{"takeover", "[--force]", "becomes primary, agreed or by force", 0, 0, OPT_FORCE,
	 cli_takeover},
	{"pool-share-protocol mode", "active|inactive|check-config", "changes the mode", 1, 1, 0,
	 cli_mode},
	{"no pool-share-protocol", "[--force]", "disables IPSP in the context", 0, 0, OPT_FORCE,
	 cli_disable},
	{"reload", "", "reads the configuration file again", 0, 0, 0, cli_reload},
	{"save configuration", "", "writes the running configuration to the file", 0, 0, 0,
	 cli_save},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	printf("usage: ipspctl [-s SOCKET] [-c CONTEXT] [--json] COMMAND\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %s%s%s\n        %s\n", commands[i].words,
		       *commands[i].arguments ? " " : "", commands[i].arguments, commands[i].help);
	printf("\n  -s, --socket SOCKET    default %s\n"
	       "  -c, --context CONTEXT  may be left out where there is only one\n"
	       "      --json             JSON on standard output\n"
	       "  -h, --help             -V, --version\n\n"
	       "Exit: 0 done, 1 refused, 2 usage, 3 daemon not reachable, 4 time ran out.\n",
	       IPSP_SOCKET);
}

int cli_usage(const char *format, ...)
{
	va_list args;

	fputs("ipspctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(" (see ipspctl --help)\n", stderr);
	return CLI_USAGE;
}

/* ---------------------------------------------------------------- options */

enum {
	LONG_JSON = 256,
	LONG_POOL,
	LONG_GROUP,
	LONG_SESSION,
	LONG_SUBSCRIBER,
	LONG_ADDRESS,
	LONG_NAME,
	LONG_WAIT,
	LONG_TIMEOUT,
	LONG_FORCE
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"context", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"json", no_argument, NULL, LONG_JSON},
	{"pool", required_argument, NULL, LONG_POOL},
	{"group", required_argument, NULL, LONG_GROUP},
	{"session", required_argument, NULL, LONG_SESSION},
	{"subscriber", required_argument, NULL, LONG_SUBSCRIBER},
	{"address", required_argument, NULL, LONG_ADDRESS},
	{"name", required_argument, NULL, LONG_NAME},
	{"wait", no_argument, NULL, LONG_WAIT},
	{"timeout", required_argument, NULL, LONG_TIMEOUT},
	{"force", no_argument, NULL, LONG_FORCE},
	{NULL, 0, NULL, 0},
};

static bool parse_count(const char *text, uint32_t *n)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value == 0 || value > UINT32_MAX)
		return false;
	*n = (uint32_t)value;
	return true;
}

static bool parse_seconds(const char *text, int64_t *ms)
{
	char *end;
	double value = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || !(value <= 1e9))
		return false;
	*ms = (int64_t)(value * 1000);
	return true;
}

/* 0, or CLI_USAGE; *@given collects the bits of the options that not every command has */
static int take_option(struct cli *cli, int option, unsigned *given)
{
	switch (option) {
	case 's':
		cli->socket = optarg;
		return 0;
	case 'c':
		cli->context = optarg;
		return 0;
	case 'n':
		*given |= OPT_N;
		return parse_count(optarg, &cli->n) ? 0 : cli_usage("-n wants a number above 0");
	case LONG_JSON:
		cli->json = true;
		return 0;
	case LONG_POOL:
		*given |= OPT_POOL;
		cli->pool = optarg;
		return 0;
	case LONG_GROUP:
		*given |= OPT_GROUP;
		cli->group = optarg;
		return 0;
	case LONG_SESSION:
		*given |= OPT_SESSION;
		cli->session = optarg;
		return 0;
	case LONG_SUBSCRIBER:
		*given |= OPT_SUBSCRIBER;
		cli->subscriber = optarg;
		return 0;
	case LONG_ADDRESS:
		*given |= OPT_ADDRESS;
		cli->address = optarg;
		return 0;
	case LONG_NAME:
		*given |= OPT_NAME;
		cli->name = optarg;
		return 0;
	case LONG_WAIT:
		*given |= OPT_WAIT;
		cli->wait = true;
		return 0;
	case LONG_TIMEOUT:
		*given |= OPT_TIMEOUT;
		return parse_seconds(optarg, &cli->timeout_ms)
			       ? 0
			       : cli_usage("--timeout wants a number of seconds");
	case LONG_FORCE:
		*given |= OPT_FORCE;
		cli->force = true;
		return 0;
	case ':':
		return cli_usage("an option lacks its value");
	}
	return cli_usage("there is no such option");
}

/* ---------------------------------------------------------------- commands */

/* How many of @words are those of @command, 0 when it is another one. */
static int match(const struct command *command, char **words, int n_words)
{
	const char *rest = command->words;
	int n = 0;

	while (*rest) {
		size_t len = strcspn(rest, " ");

		if (n == n_words || strlen(words[n]) != len || strncmp(words[n], rest, len) != 0)
			return 0;
		rest += len;
		rest += *rest == ' ';
		n++;
	}
	return n;
}

static const struct command *find_command(char **words, int n_words, int *n_matched)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		*n_matched = match(&commands[i], words, n_words);
		if (*n_matched > 0)
			return &commands[i];
	}
	return NULL;
}

static int run(struct cli *cli, unsigned given)
{
	int n = 0;
	const struct command *command = find_command(cli->words, cli->n_words, &n);

	if (!command)
		return cli_usage(cli->n_words == 0 ? "a command is missing"
						   : "there is no such command");
	cli->words += n;
	cli->n_words -= n;
	if (cli->n_words < command->min || cli->n_words > command->max)
		return cli_usage("usage: %s %s", command->words, command->arguments);
	if (given & ~command->options)
		return cli_usage("%s does not have such an option; usage: %s %s", command->words,
				 command->words, command->arguments);
	return command->run(cli);
}

int main(int argc, char **argv)
{
	struct cli cli = {.socket = IPSP_SOCKET, .timeout_ms = -1, .patience_ms = CLI_PATIENCE_MS};
	unsigned given = 0;
	int option, result;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":s:c:n:hV", long_options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return CLI_DONE;
		}
		if (option == 'V') {
			printf("ipspctl %s\n", IPSPD_VERSION);
			return CLI_DONE;
		}
		result = take_option(&cli, option, &given);
		if (result != 0)
			return result;
	}
	cli.words = argv + optind;
	cli.n_words = argc - optind;
	result = run(&cli, given);
	ipsp_call_close(cli.call);
	if (fflush(stdout) != 0 && result == CLI_DONE)
		result = CLI_REFUSED; /* nobody got what was asked for */
	return result;
}
