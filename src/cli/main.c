#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	LONG_FORCE,
	LONG_STATE,
	LONG_COUNT,
	LONG_LIMIT,
	LONG_HA
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
	{"ha", required_argument, NULL, LONG_HA},
	{"wait", no_argument, NULL, LONG_WAIT},
	{"timeout", required_argument, NULL, LONG_TIMEOUT},
	{"force", no_argument, NULL, LONG_FORCE},
	{"prefix", required_argument, NULL, LONG_ADDRESS},
	{"state", required_argument, NULL, LONG_STATE},
	{"count", no_argument, NULL, LONG_COUNT},
	{"limit", required_argument, NULL, LONG_LIMIT},
	{"follow", no_argument, NULL, 'f'},
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
	case 'f':
		*given |= OPT_FOLLOW;
		cli->follow = true;
		return 0;
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
	case LONG_HA:
		*given |= OPT_HA;
		cli->ha = optarg;
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
	case LONG_STATE:
		*given |= OPT_STATE;
		cli->state = optarg;
		return 0;
	case LONG_COUNT:
		*given |= OPT_COUNT;
		cli->count = true;
		return 0;
	case LONG_LIMIT:
		*given |= OPT_LIMIT;
		return parse_count(optarg, &cli->limit)
			       ? 0
			       : cli_usage("--limit wants a number above 0");
	}
	return CLI_USAGE;
}

/* @word is what getopt_long did not understand, @option what it said: '?' or ':'. */
static int unknown_option(const char *word, int option)
{
	const char *names[sizeof(long_options) / sizeof(long_options[0])] = {NULL}, *nearest;
	char name[64];
	size_t n = 0, len = word[0] == '-' && word[1] == '-' ? strcspn(word + 2, "=") : 0;

	if (len == 0 || len >= sizeof(name))
		return cli_usage(option == ':' ? "-%c wants a value" : "there is no option -%c",
				 optopt);
	memcpy(name, word + 2, len);
	name[len] = '\0';
	if (option == ':')
		return cli_usage("--%s wants a value", name);
	for (const struct option *o = long_options; o->name; o++)
		if (strncmp(o->name, name, len) == 0)
			names[n++] = o->name;
	if (n == 1)
		return cli_usage("--%s takes no value", names[0]);
	if (n > 1)
		return cli_usage("--%s is short for several options, --%s and --%s among them",
				 name, names[0], names[1]);
	for (const struct option *o = long_options; o->name; o++)
		names[n++] = o->name;
	nearest = cli_nearest(name, names);
	if (nearest)
		return cli_usage("there is no option --%s; did you mean --%s?", name, nearest);
	return cli_usage("there is no option --%s", name);
}

/* ---------------------------------------------------------------- commands */

static int run(struct cli *cli, unsigned given)
{
	int n = 0;
	const struct cli_command *command = cli_find(cli->words, cli->n_words, &n);

	if (!command)
		return CLI_USAGE;
	cli->words += n;
	cli->n_words -= n;
	if (cli->n_words > command->max)
		return cli_usage("\"%s\" is too much; usage: ipspctl %s%s%s",
				 cli->words[command->max], command->words,
				 *command->arguments ? " " : "", command->arguments);
	if (cli->n_words < command->min)
		return cli_usage("something is missing; usage: ipspctl %s %s", command->words,
				 command->arguments);
	if (given & ~command->options)
		return cli_wrong_option(command, given & ~command->options);
	return command->run(cli);
}

/*
 * A descriptor that was closed by whoever started this would be given to the socket, and what is
 * printed would go to the daemon. For reading only: so writing fails.
 */
static void fill_descriptors(void)
{
	int fd = open("/dev/null", O_RDONLY);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDONLY);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* What was not written was not done. A reader that has gone (head) knows that, and is not told. */
static int close_output(int result)
{
	bool good = cli_flush();
	int err = cli_output_error();

	if (good && fclose(stdout) == 0)
		return result;
	if (good)
		err = errno;
	if (err != EPIPE)
		fprintf(stderr, "ipspctl: standard output: %s\n",
			err ? strerror(err) : "not everything could be written");
	return result == CLI_DONE ? CLI_REFUSED : result;
}

/* What --help and --version are about; true: that was all. */
static bool take_help(struct cli *cli, bool help, int *result)
{
	if (cli->n_words > 0 && strcmp(cli->words[0], "help") == 0) {
		help = true;
		cli->words++;
		cli->n_words--;
	}
	if (help)
		*result = cli_help(cli->words, cli->n_words);
	return help;
}

int main(int argc, char **argv)
{
	struct cli cli = {.socket = IPSP_SOCKET,
			  .timeout_ms = -1,
			  .patience_ms = CLI_PATIENCE_MS,
			  .look_ms = CLI_LOOK_MS};
	unsigned given = 0;
	bool help = false;
	int option, result;

	fill_descriptors();
	signal(SIGPIPE, SIG_IGN);
	unsetenv("POSIXLY_CORRECT"); /* options may stand anywhere */
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":s:c:n:hVf", long_options, NULL)) != -1) {
		result = 0;
		if (option == 'V') {
			printf("ipspctl %s\n", IPSPD_VERSION);
			return close_output(CLI_DONE);
		}
		if (option == 'h')
			help = true;
		else if (option == '?' || option == ':')
			result = unknown_option(argv[optind - 1], option);
		else
			result = take_option(&cli, option, &given);
		if (result != 0)
			return result;
	}
	cli.words = argv + optind;
	cli.n_words = argc - optind;
	if (!take_help(&cli, help, &result))
		result = run(&cli, given);
	ipsp_call_close(cli.call);
	free(cli.words_of_daemon);
	return close_output(result);
}
