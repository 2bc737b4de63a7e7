/*
 * watch - show ip ipsp once a second: on a terminal in place, with the drain as a bar, until q is
 * typed; elsewhere a line for each context whenever it has changed.
 */
#include "cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS 1000
#define BAR	 40

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

struct watch {
	struct termios before;
	bool in_place; /* the terminal is ours; .before is what it was */
	bool keys;     /* standard input is one, too */
	json_t *most;  /* name -> the most sessions seen while it drained */
	json_t *last;  /* name -> the line last said */
};

/* ---------------------------------------------------------------- the terminal */

static void begin(struct watch *watch)
{
	const struct sigaction action = {.sa_handler =
						 on_signal}; /* no SA_RESTART: it ends a wait */
	struct termios raw;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (!watch->in_place)
		return;
	watch->keys = tcgetattr(STDIN_FILENO, &watch->before) == 0;
	if (watch->keys) {
		raw = watch->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l\033[?7l", stdout); /* other screen, no cursor, no wrapping */
}

static void end(const struct watch *watch)
{
	if (!watch->in_place)
		return;
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	cli_flush();
	if (watch->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &watch->before);
}

static unsigned terminal_lines(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row : 24;
}

/* ---------------------------------------------------------------- what is drawn */

static void draw_bar(struct watch *watch, const json_t *context)
{
	const char *name = cli_text(context, "name");
	json_int_t used = cli_number(json_object_get(context, "totals"), "used"),
		   most = cli_number(watch->most, name);
	unsigned done;

	if (!cli_true(context, "draining")) {
		json_object_del(watch->most, name);
		return;
	}
	if (used > most)
		json_object_set_new(watch->most, name, json_integer(most = used));
	done = most > 0 ? (unsigned)((most - used) * BAR / most) : BAR;
	printf("%s: drain [", name);
	for (unsigned i = 0; i < BAR; i++)
		putchar(i < done ? '#' : '.');
	printf("] %u %%, %lld left\n", done * 100 / BAR, (long long)used);
}

/* @text from the top, no more lines than the terminal has: what would roll is cut off. */
static void draw(const char *text)
{
	unsigned left = terminal_lines() - 1;

	fputs("\033[H", stdout);
	for (; *text && left > 0; left--) {
		size_t n = strcspn(text, "\n");

		printf("%.*s\033[K\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fputs("\033[J", stdout);
	cli_flush();
}

static void draw_all(struct watch *watch, const json_t *root)
{
	FILE *terminal = stdout, *page;
	const json_t *context;
	char *text = NULL;
	size_t n, i;

	page = open_memstream(&text, &n);
	if (!page)
		return;
	stdout = page;
	json_array_foreach(json_object_get(root, "contexts"), i, context) draw_bar(watch, context);
	cli_text_ipsp(root);
	puts("\n(q ends this)");
	stdout = terminal;
	fclose(page);
	draw(text);
	free(text);
}

/* ---------------------------------------------------------------- lines */

static void say_line(struct watch *watch, const json_t *context)
{
	const json_t *totals = json_object_get(context, "totals");
	const char *name = cli_text(context, "name");
	char line[512], when[32];
	time_t now = time(NULL);
	struct tm tm;

	snprintf(line, sizeof(line),
		 "%s: %s, %s, peer %s, serving %s%s, used %lld, free %lld, "
		 "released %lld, in-transit %lld",
		 name, cli_text(context, "role"), cli_text(context, "state"),
		 cli_text(json_object_get(context, "peer"), "state"),
		 cli_true(context, "serving") ? "yes" : "no",
		 cli_true(context, "draining") ? ", draining" : "",
		 (long long)cli_number(totals, "used"), (long long)cli_number(totals, "free"),
		 (long long)cli_number(totals, "released"),
		 (long long)cli_number(totals, "in-transit"));
	if (strcmp(line, cli_text(watch->last, name)) == 0)
		return;
	json_object_set_new(watch->last, name, json_string(line));
	if (!gmtime_r(&now, &tm) || strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		when[0] = '\0';
	printf("%s %s\n", when, line);
}

static void say_all(struct cli *cli, struct watch *watch, json_t *root)
{
	const json_t *context;
	size_t i;

	if (cli->json) {
		json_incref(root);
		cli_json_print(root);
	} else {
		json_array_foreach(json_object_get(root, "contexts"), i, context)
			say_line(watch, context);
	}
	cli_flush();
}

/* ---------------------------------------------------------------- once a second */

/* True when q was typed, or a signal came. */
static bool wait_for_end(const struct watch *watch)
{
	struct pollfd p = {.fd = watch->keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key = 0;

	if (poll(&p, 1, EVERY_MS) > 0 &&
	    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
		return true;
	return stop != 0;
}

static int watch_on(struct cli *cli, struct watch *watch)
{
	json_t *root;
	int result;

	do {
		result = cli_show(cli, "ipsp", NULL, &root);
		if (result != CLI_DONE)
			return stop ? CLI_DONE : result;
		if (watch->in_place)
			draw_all(watch, root);
		else
			say_all(cli, watch, root);
		json_decref(root);
	} while (cli_output_error() == 0 && !wait_for_end(watch));
	return CLI_DONE;
}

int cli_watch(struct cli *cli)
{
	struct watch watch = {.in_place = !cli->json && isatty(STDOUT_FILENO),
			      .most = json_object(),
			      .last = json_object()};
	int result = cli_connect(cli);

	cli->look_ms = CLI_PATIENCE_MS; /* who watches has time: a daemon that hangs may go on */
	if (result == CLI_DONE) {
		begin(&watch);
		result = watch_on(cli, &watch);
		end(&watch);
	}
	json_decref(watch.most);
	json_decref(watch.last);
	return result;
}
