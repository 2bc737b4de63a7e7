/*
 * words - the commands, how they are found from what was typed, and help on them.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_command commands[] = {
	{"show ip ipsp", "", "roles, states, and each pool's used and released addresses", 0, 0, 0,
	 cli_show_ipsp},
	{"show ip ipsp brief", "", "a line for each context, and a total", 0, 0, 0, cli_show_brief},
	{"show ip pool", "[NAME]", "each pool's definition and all its counts", 0, 1, 0,
	 cli_show_pool},
	{"show sessions",
	 "[ADDRESS | PREFIX] [--pool P] [--subscriber S] [--state S] [--limit N] [--count]",
	 "who has which address", 0, 1,
	 OPT_POOL | OPT_SUBSCRIBER | OPT_ADDRESS | OPT_STATE | OPT_LIMIT | OPT_COUNT,
	 cli_show_sessions},
	{"show configuration", "", "the configuration in force", 0, 0, 0, cli_show_configuration},
	{"show duplicates", "", "what was used on both sides since the last healing", 0, 0, 0,
	 cli_show_duplicates},
	{"show counters", "", "what the protocol has counted since the start", 0, 0, 0,
	 cli_show_counters},
	{"show log", "[-n N] [-f]", "the latest events; -f: and those that follow", 0, 0,
	 OPT_N | OPT_FOLLOW, cli_show_log},
	{"request", "SUBSCRIBER [--session S] [--pool P | --group G] [--address A]",
	 "an address for a session, as an HA would ask", 1, 1,
	 OPT_SESSION | OPT_POOL | OPT_GROUP | OPT_ADDRESS, cli_request},
	{"release", "ADDRESS [--subscriber S] [--session S] [--force] | --ha NAME [--force]",
	 "ends the session that has it, if it is that one; or all of an HA", 0, 1,
	 OPT_SUBSCRIBER | OPT_SESSION | OPT_HA | OPT_FORCE, cli_release},
	{"agent", "[--name NAME]", "an HA that speaks JSON lines", 0, 0, OPT_NAME, cli_agent},
	{"check-config", "", "compares the pools with the peer's", 0, 0, 0, cli_check_config},
	{"drain", "[--wait] [--timeout S] [--force]", "no new addresses to local sessions", 0, 0,
	 OPT_WAIT | OPT_TIMEOUT | OPT_FORCE, cli_drain},
	{"ok-to-stop", "[--wait] [--timeout S]",
	 "may this host be stopped now? each reason against it", 0, 0, OPT_WAIT | OPT_TIMEOUT,
	 cli_ok_to_stop},
	{"metrics", "", "what ipsp-monitor serves under /metrics, once", 0, 0, 0, cli_metrics},
	{"watch", "", "show ip ipsp live, with the drain as a bar; q ends it", 0, 0, 0, cli_watch},
	{"undrain", "", "takes that back", 0, 0, 0, cli_undrain},
	{"terminate", "", "graceful termination: the peer takes over", 0, 0, 0, cli_terminate},
	{"takeover", "[--force]", "becomes primary, agreed or by force", 0, 0, OPT_FORCE,
	 cli_takeover},
	{"pool-share-protocol mode", "active|inactive|check-config", "changes the mode", 1, 1, 0,
	 cli_mode},
	{"no pool-share-protocol", "[--force]", "disables IPSP in the context", 0, 0, OPT_FORCE,
	 cli_disable},
	{"make-key", "FILE", "a new secret for a pair, in a file of its own", 1, 1, 0,
	 cli_make_key},
	{"reload", "", "reads the configuration file again", 0, 0, 0, cli_reload},
	{"save configuration", "", "writes the running configuration to the file", 0, 0, 0,
	 cli_save},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct {
	unsigned bit;
	const char *name, *help;
} options[] = {
	{OPT_ADDRESS, "--address A", "this address; for sessions also a prefix, 10.1.0.0/24"},
	{OPT_COUNT, "--count", "only how many they are"},
	{OPT_FORCE, "--force", "where it is refused because of what it risks"},
	{OPT_GROUP, "--group G", "from a pool of this group"},
	{OPT_HA, "--ha NAME", "all sessions of the HA of this name"},
	{OPT_LIMIT, "--limit N", "the first N"},
	{OPT_N, "-n N", "the latest N"},
	{OPT_FOLLOW, "-f, --follow", "goes on with those that follow"},
	{OPT_NAME, "--name NAME", "the HA's name, \"agent\" where it is left out"},
	{OPT_POOL, "--pool P", "of this pool"},
	{OPT_SESSION, "--session S", "the session's name"},
	{OPT_STATE, "--state S", "used, releasing or duplicate"},
	{OPT_SUBSCRIBER, "--subscriber S", "of this subscriber"},
	{OPT_TIMEOUT, "--timeout S", "with --wait: for S seconds at most, then exit 4"},
	{OPT_WAIT, "--wait", "until it is done"},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* ---------------------------------------------------------------- what was meant */

#define WORD_MAX 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, left out or changed, or neighbours exchanged. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b);
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	if (na > WORD_MAX || nb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		before[j] = last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *free_row = before;

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]),
				       1 + least(last[j], row[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = free_row;
	}
	return last[nb];
}

const char *cli_nearest(const char *word, const char *const *names)
{
	const char *nearest = NULL;
	size_t best = strlen(word) < 6 ? 1 : strlen(word) / 3;

	for (; *names; names++) {
		size_t d = distance(word, *names);

		if (d > best || (d == best && nearest))
			continue;
		best = d;
		nearest = *names;
	}
	return nearest;
}

/* ---------------------------------------------------------------- finding */

/* The words that may stand at one place, each once. */
struct next {
	const char *words[N_COMMANDS + 1]; /* and a NULL */
	size_t n;
	char room[N_COMMANDS][WORD_MAX];
};

/* The word of @command at place @at; "" where it has no more. */
static void word_at(const struct cli_command *command, int at, char word[WORD_MAX])
{
	const char *rest = command->words;
	size_t len;

	for (; at > 0 && *rest; at--) {
		rest += strcspn(rest, " ");
		rest += *rest == ' ';
	}
	len = strcspn(rest, " ");
	memcpy(word, rest, len);
	word[len] = '\0';
}

static void next_add(struct next *next, const char word[WORD_MAX])
{
	for (size_t i = 0; i < next->n; i++)
		if (strcmp(next->words[i], word) == 0)
			return;
	memcpy(next->room[next->n], word, WORD_MAX);
	next->words[next->n] = next->room[next->n];
	next->words[++next->n] = NULL;
}

/* "a, b and c" on standard error. */
static void say_words(const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " and ", words[i]);
}

static void say_place(char **words, int at)
{
	if (at > 0)
		fputs(" after \"", stderr);
	for (int i = 0; i < at; i++)
		fprintf(stderr, "%s%s", i > 0 ? " " : "", words[i]);
	if (at > 0)
		fputc('"', stderr);
}

/* The place @at is where it is not clear any more. */
static void say_unclear(char **words, int n_words, int at, const struct next *next,
			const struct next *matching)
{
	const char *nearest;

	if (at < n_words && matching->n > 1) {
		fprintf(stderr, "ipspctl: \"%s\" is short for several words: ", words[at]);
		say_words(matching->words, matching->n);
	} else if (at < n_words) {
		nearest = cli_nearest(words[at], next->words);
		fprintf(stderr, "ipspctl: there is no \"%s\"", words[at]);
		say_place(words, at);
		if (nearest)
			fprintf(stderr, "; did you mean \"%s\"?", nearest);
		else if (at > 0)
			fputs("; there are ", stderr), say_words(next->words, next->n);
	} else if (at == 0) {
		fputs("ipspctl: a command is missing", stderr);
	} else {
		fputs("ipspctl: a word is missing", stderr);
		say_place(words, at);
		fputs(": ", stderr);
		say_words(next->words, next->n);
	}
	fputs(" (see ipspctl help)\n", stderr);
}

/*
 * Goes along @words as long as they are clear, and takes away from @alive those that are not meant.
 * Returns the place where it ended, with the words that might stand there in @next, and of these
 * the ones that words[place] begins in @matching.
 */
static int walk(bool alive[N_COMMANDS], char **words, int n_words, struct next *next,
		struct next *matching)
{
	char word[WORD_MAX];
	int at = 0;

	for (;; at++) {
		bool exact = false;

		*next = *matching = (struct next){.n = 0};
		for (size_t i = 0; i < N_COMMANDS; i++) {
			word_at(&commands[i], at, word);
			if (!alive[i] || !*word)
				continue;
			next_add(next, word);
			if (at >= n_words || strncmp(word, words[at], strlen(words[at])) != 0 ||
			    !*words[at])
				continue;
			next_add(matching, word);
			exact = exact || strcmp(word, words[at]) == 0;
		}
		if (matching->n == 0 || (matching->n > 1 && !exact))
			return at;
		for (size_t i = 0; i < N_COMMANDS; i++) {
			word_at(&commands[i], at, word);
			alive[i] = alive[i] &&
				   strcmp(word, exact ? words[at] : matching->words[0]) == 0;
		}
	}
}

/* Of those that are left, the one that has no more than @at words. */
static const struct cli_command *complete(const bool alive[N_COMMANDS], int at)
{
	char word[WORD_MAX];

	for (size_t i = 0; i < N_COMMANDS; i++) {
		word_at(&commands[i], at, word);
		if (alive[i] && !*word && at > 0)
			return &commands[i];
	}
	return NULL;
}

const struct cli_command *cli_find(char **words, int n_words, int *n)
{
	const struct cli_command *command;
	struct next next, matching;
	bool alive[N_COMMANDS];

	memset(alive, true, sizeof(alive));
	*n = walk(alive, words, n_words, &next, &matching);
	command = complete(alive, *n);
	/* a word that is left may be an argument; else it was to be a word of a longer command */
	if (command && (*n == n_words || command->max > 0 || next.n == 0))
		return command;
	say_unclear(words, n_words, *n, &next, &matching);
	return NULL;
}

int cli_wrong_option(const struct cli_command *command, unsigned wrong)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (wrong & options[i].bit)
			return cli_usage("%s has no %.*s; usage: ipspctl %s%s%s", command->words,
					 (int)strcspn(options[i].name, " "), options[i].name,
					 command->words, *command->arguments ? " " : "",
					 command->arguments);
	return cli_usage("%s has no such option", command->words);
}

/* ---------------------------------------------------------------- help */

static void print_line(const struct cli_command *command)
{
	printf("  %s%s%s\n        %s\n", command->words, *command->arguments ? " " : "",
	       command->arguments, command->help);
}

static void print_end(void)
{
	printf("\n  -s, --socket SOCKET    default %s\n"
	       "  -c, --context CONTEXT  may be left out where there is only one\n"
	       "      --json             JSON on standard output\n"
	       "  -h, --help             also of one command: ipspctl help drain\n"
	       "  -V, --version\n\n"
	       "Words may be cut short where it is clear what they are: ipspctl sh ip ip\n"
	       "Exit: 0 done, 1 refused, 2 usage, 3 daemon not reachable, 4 time ran out.\n",
	       IPSP_SOCKET);
}

static void print_one(const struct cli_command *command)
{
	printf("usage: ipspctl [-s SOCKET] [-c CONTEXT] [--json] %s%s%s\n\n%s\n", command->words,
	       *command->arguments ? " " : "", command->arguments, command->help);
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (command->options & options[i].bit)
			printf("  %-22s %s\n", options[i].name, options[i].help);
}

int cli_help(char **words, int n_words)
{
	const struct cli_command *command;
	struct next next, matching;
	bool alive[N_COMMANDS];
	int at;

	memset(alive, true, sizeof(alive));
	at = walk(alive, words, n_words, &next, &matching);
	command = complete(alive, at);
	if (at < n_words && !(command && next.n == 0)) {
		say_unclear(words, n_words, at, &next, &matching);
		return CLI_USAGE;
	}
	if (command && next.n == 0) {
		print_one(command);
		return CLI_DONE;
	}
	printf("usage: ipspctl [-s SOCKET] [-c CONTEXT] [--json] COMMAND\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (alive[i])
			print_line(&commands[i]);
	print_end();
	return CLI_DONE;
}
