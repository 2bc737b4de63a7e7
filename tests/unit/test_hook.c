/* hook: told in order, asked at once, never waited for; no answer, or a bad one, is a veto. */
#include "daemon/config.h"
#include "daemon/hook.h"
#include "daemon/launcher.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char dir[64], script[96], output[96];
static const char *config_path; /* that the launcher knows; NULL: it starts any hook */
static struct ipspd_config config;
static struct ipspd d;
static struct ipspd_ctx *ctx;

static void make_ctx(void)
{
	struct ipsp_context_conf conf;

	ipsp_conf_init(&conf, "isp1");
	conf.pools = calloc(1, sizeof(*conf.pools));
	conf.n_pools = 1;
	snprintf(conf.pools[0].name, sizeof(conf.pools[0].name), "pool-a");
	conf.pools[0].base = ipsp_addr_v4(0x0a010001);
	conf.pools[0].size = 100;
	conf.pools[0].plen = 32;
	snprintf(conf.psp.interface, sizeof(conf.psp.interface), "lan");
	conf.psp.enabled = true;
	conf.psp.role = IPSP_ROLE_PRIMARY;
	conf.psp.address = ipsp_addr_v4(0xc0000201);
	conf.psp.address_plen = 24;
	conf.psp.peer = ipsp_addr_v4(0xc0000202);
	ctx = ipspd_ctx_new(&d, &conf);
	assert_non_null(ctx);
	ipsp_conf_fini(&conf);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ipspd-hook-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof(script), "%s/hook", dir);
	snprintf(output, sizeof(output), "%s/output", dir);
	snprintf(config.hook, sizeof(config.hook), "%s", script);
	d = (struct ipspd){.base = event_base_new(), .config = &config};
	setenv("IPSP_STALE", "of an outer hook", 1);
	setenv("NOTIFY_SOCKET", "/nobody", 1);
	const int launcher = ipspd_launcher_new(&config, config_path, false);
	unsetenv("IPSP_STALE");
	unsetenv("NOTIFY_SOCKET");
	if (launcher < 0)
		return -1;
	d.hooks = ipspd_hooks_new(&d, launcher);
	make_ctx();
	return d.hooks ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ipspd_hooks_free(d.hooks);
	while (waitpid(-1, NULL, 0) > 0) /* the launcher ends with it */
		;
	ipspd_ctx_free(ctx);
	event_base_free(d.base);
	unlink(script);
	unlink(output);
	return rmdir(dir);
}

static void write_script(const char *text)
{
	int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\nout=%s\n%s\n", output, text) > 0);
	close(fd);
}

static void run(int ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(d.base, &tv);
	event_base_dispatch(d.base);
}

static void call(enum ipsp_hook hook)
{
	const struct ipsp_out out = {
		.type = IPSP_OUT_HOOK, .hook = hook, .addr = ipsp_addr_v4(0x0a010007)};

	ipspd_hooks_run(d.hooks, ctx, &out);
}

/* The answers that came for takeover-checks, as 'y' and 'n'. */
static const char *answers(void)
{
	static char text[16];
	size_t n = 0;

	for (size_t i = 0; i < ctx->inbox.n_events; i++) {
		assert_int_equal(ctx->inbox.events[i].type, IPSP_EV_HOOK);
		text[n++] = ctx->inbox.events[i].yes ? 'y' : 'n';
	}
	text[n] = '\0';
	return text;
}

static const char *read_output(void)
{
	static char text[4096];
	int fd = open(output, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void tells_what_happened(void **state)
{
	(void)state;
	write_script(
		"{ env | grep -E '^(IPSP_|NOTIFY)' | sort; read x || echo no input; } >> $out");
	call(IPSP_HOOK_DUPLICATE);
	run(300);
	const char *text = read_output();
	assert_non_null(strstr(text, "IPSP_EVENT=duplicate\n"));
	assert_non_null(strstr(text, "IPSP_CONTEXT=isp1\n"));
	assert_non_null(strstr(text, "IPSP_ADDRESS=192.0.2.1\n"));
	assert_non_null(strstr(text, "IPSP_PEER=192.0.2.2\n"));
	assert_non_null(strstr(text, "IPSP_DUPLICATE=10.1.0.7\n"));
	assert_non_null(strstr(text, "IPSP_ROLE="));
	assert_non_null(strstr(text, "IPSP_PEER_STATE="));
	assert_non_null(strstr(text, "IPSP_EPOCH="));
	assert_non_null(strstr(text, "no input\n"));
	assert_null(strstr(text, "STALE"));
	assert_null(strstr(text, "NOTIFY"));
	assert_string_equal(answers(), "");
}

static void in_the_order_of_events(void **state)
{
	(void)state;
	write_script("[ $IPSP_EVENT = peer-lost ] && sleep 0.2\necho $IPSP_EVENT >> $out");
	call(IPSP_HOOK_PEER_LOST);
	call(IPSP_HOOK_PEER_DOWN);
	call(IPSP_HOOK_ROLE_CHANGE);
	run(600);
	assert_string_equal(read_output(), "peer-lost\npeer-down\nrole-change\n");
}

static void a_check_is_asked_at_once(void **state)
{
	(void)state;
	write_script("[ $IPSP_EVENT = takeover-check ] && exit 0\nsleep 0.5; echo late >> $out");
	call(IPSP_HOOK_PEER_LOST);
	call(IPSP_HOOK_TAKEOVER_CHECK);
	run(250);
	assert_string_equal(answers(), "y");
	assert_string_equal(read_output(), "");
	run(500);
	assert_string_equal(read_output(), "late\n");
}

static void vetoes(void **state)
{
	(void)state;
	write_script("exit 3");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	run(150);
	assert_string_equal(answers(), "n");
	write_script("kill -9 $$");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	run(150);
	assert_string_equal(answers(), "nn");
	unlink(script); /* asked for, and not there */
	call(IPSP_HOOK_TAKEOVER_CHECK);
	assert_string_equal(answers(), "nnn");
	ipspd_hooks_limit(d.hooks, 200);
	write_script("sleep 5; exit 0");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	run(100);
	assert_string_equal(answers(), "nnn"); /* not yet */
	run(300);
	assert_string_equal(answers(), "nnnn");
}

static void one_that_hangs_stops_no_other(void **state)
{
	(void)state;
	ipspd_hooks_limit(d.hooks, 200);
	write_script("echo $IPSP_EVENT >> $out\n[ $IPSP_EVENT = peer-up ] && sleep 10");
	call(IPSP_HOOK_PEER_UP);
	call(IPSP_HOOK_PEER_DOWN);
	run(600);
	assert_string_equal(read_output(), "peer-up\npeer-down\n");
}

static void without_a_hook_the_answer_is_yes(void **state)
{
	(void)state;
	config.hook[0] = '\0';
	call(IPSP_HOOK_PEER_UP);
	call(IPSP_HOOK_TAKEOVER_CHECK);
	assert_string_equal(answers(), "y");
}

static void a_removed_context_gets_no_answer(void **state)
{
	(void)state;
	write_script("sleep 0.1; exit 0");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	call(IPSP_HOOK_PEER_UP);
	ipspd_hooks_forget(d.hooks, ctx);
	run(400);
	assert_string_equal(answers(), "");
}

static void many_are_left_out_and_not_kept(void **state)
{
	(void)state;
	write_script("sleep 0.05; echo x >> $out");
	for (int i = 0; i < 1000; i++)
		call(IPSP_HOOK_DUPLICATE);
	run(300);
	assert_true(strlen(read_output()) < 40);
}

/* What the log says while @ms pass: standard error, into a file. */
static const char *logged(int ms)
{
	const int old = dup(STDERR_FILENO);
	const int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	assert_true(old >= 0 && fd >= 0);
	dup2(fd, STDERR_FILENO);
	run(ms);
	dup2(old, STDERR_FILENO);
	close(old);
	close(fd);
	return read_output();
}

static void its_last_line_is_logged(void **state)
{
	(void)state;
	write_script("echo first; echo 'no route \tto the fence' >&2; echo; exit 7");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	const char *text = logged(200);
	assert_non_null(strstr(text, "exit code 7 (IPSP_EVENT=takeover-check), which forbids the "
				     "takeover; it said last: no route  to the fence\n"));
	assert_null(strstr(text, "first"));
	assert_string_equal(answers(), "n");

	write_script("printf '\\377\\033[1m half a line'; kill -9 $$");
	call(IPSP_HOOK_PEER_UP);
	text = logged(200);
	assert_non_null(
		strstr(text, "signal 9 (IPSP_EVENT=peer-up); it said last: ? [1m half a line\n"));

	write_script("exit 1");
	call(IPSP_HOOK_PEER_UP);
	assert_non_null(strstr(logged(200), "exit code 1 (IPSP_EVENT=peer-up)\n"));

	write_script("echo fine");
	call(IPSP_HOOK_PEER_UP);
	assert_string_equal(logged(200), ""); /* level info */
}

/* More than a pipe holds, and it ends by itself; a child that writes on is neither waited for nor
 * killed by it. */
static void a_flood_holds_nobody_up(void **state)
{
	(void)state;
	write_script("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; exit 1");
	call(IPSP_HOOK_PEER_UP);
	assert_non_null(
		strstr(logged(1500), "exit code 1 (IPSP_EVENT=peer-up); it said last: end\n"));

	write_script("(sleep 0.3; yes | head -c 200000; echo lives >> $out) &\nexit 0");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	run(150);
	assert_string_equal(answers(), "y");
	run(900);
	assert_non_null(strstr(read_output(), "lives\n"));
}

/* ---------------------------------------------------------------- what is wrong with it */

static char notes[2048];

static void add_note(void *arg, const char *text)
{
	(void)arg;
	snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", text);
}

static const char *noted(bool vetoed)
{
	notes[0] = '\0';
	ipspd_hooks_say(ctx, vetoed, add_note, NULL);
	return notes;
}

#define PATIENCE_MS 30000 /* of a machine that has much else to do */

/* A check is asked for, and answered. */
static void asked(void)
{
	const size_t n = strlen(answers());

	call(IPSP_HOOK_TAKEOVER_CHECK);
	for (int ms = 0; strlen(answers()) == n && ms < PATIENCE_MS; ms += 20)
		run(20);
	assert_int_equal(strlen(answers()), n + 1);
}

/* "": nothing is noted any more. */
static void until_noted(const char *words)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
		if (*words ? strstr(noted(false), words) != NULL : !*noted(false))
			return;
		run(20);
	}
	fail_msg("\"%s\" does not become \"%s\"", notes, words);
}

static void assert_noted(bool vetoed, const char *words)
{
	if (!strstr(noted(vetoed), words))
		fail_msg("\"%s\" is not in \"%s\"", words, notes);
}

/* A no is one thing, a hook that can't say anything another. */
static void what_is_wrong_is_noted(void **state)
{
	(void)state;
	write_script("echo 'the other side lives'; exit 3");
	asked();
	assert_string_equal(noted(false), "");
	assert_noted(true, "the takeover is vetoed, and asked for every 30 s: the hook ended with "
			   "exit code 3 at takeover-check, and said last: the other side lives\n");

	write_script("no-such-program");
	asked();
	assert_noted(false, "ended with exit code 127 at takeover-check, and said last: ");
	assert_noted(false, ": a takeover is vetoed while it fails\n");
	write_script("kill -9 $$");
	call(IPSP_HOOK_PEER_UP);
	until_noted("ended with signal 9 at peer-up");
	ipspd_hooks_limit(d.hooks, 100);
	write_script("sleep 5");
	asked();
	assert_noted(true, "had not ended after 100 ms at takeover-check");
	assert_string_equal(answers(), "nnn");

	ipspd_hooks_limit(d.hooks, PATIENCE_MS);
	write_script("exit 0");
	asked();
	assert_string_equal(noted(true), "");
	assert_string_equal(answers(), "nnny");
}

static void a_hook_that_goes_is_noted(void **state)
{
	(void)state;
	write_script("exit 0");
	assert_string_equal(noted(false), "");
	unlink(script);
	until_noted("the hook can't be run: "); /* nobody has called it */
	assert_noted(false, ": No such file or directory: each takeover is vetoed");
	asked();
	assert_string_equal(answers(), "n");
	assert_noted(true, "the takeover is vetoed, and asked for every 30 s: the hook can't be "
			   "run: ");
	assert_non_null(strstr(notes, "No such file"));
	assert_null(strstr(strchr(notes, '\n') + 1, "can't be run")); /* it is said once */

	write_script("exit 0");
	chmod(script, 0600);
	asked();
	assert_noted(false, "is not a file that can be executed");
	chmod(script, 0722);
	asked();
	assert_noted(false, "others can change it");
	chmod(script, 0700);
	until_noted("");
	asked();
	assert_string_equal(answers(), "nnny");

	unlink(script);
	int fd = open(script, O_WRONLY | O_CREAT, 0700); /* no program of any kind */
	assert_int_equal(write(fd, "nonsense\n", 9), 9);
	close(fd);
	asked();
	assert_noted(true, "can't be run: Exec format error");
	write_script("exit 0"); /* another one is not what has failed */
	until_noted("");
}

static void write_config(const char *path, const char *hook)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file, "state-directory = \"/nowhere\";\nhook = \"%s\";\n", hook);
	fclose(file);
}

static int setup_with_file(void **state)
{
	static char path[] = "/tmp/ipspd-hook.conf";

	config_path = path;
	write_config(path, "/another");
	return setup(state);
}

static int teardown_with_file(void **state)
{
	unlink(config_path);
	config_path = NULL;
	return teardown(state);
}

/* Whatever the daemon asks for: what may be run stands in the file that the launcher reads. */
static void only_the_hook_of_the_file_is_started(void **state)
{
	char other[128];

	(void)state;
	write_script("exit 0");
	asked(); /* the one of the start */
	assert_string_equal(answers(), "y");
	snprintf(other, sizeof(other), "%s.other", script);
	assert_int_equal(rename(script, other), 0);
	snprintf(config.hook, sizeof(config.hook), "%s", other);
	asked();
	assert_noted(true, "the configuration file names another hook");
	assert_string_equal(answers(), "yn");
	ipspd_hooks_reloaded(d.hooks);
	asked();
	assert_string_equal(answers(), "ynn"); /* the file has /another */
	write_config(config_path, other);
	ipspd_hooks_reloaded(d.hooks);
	asked();
	assert_string_equal(answers(), "ynny");
	unlink(other);
}

static void its_environment_is_ours_alone(void **state)
{
	struct ipspd_launch launch = {.what = IPSPD_LAUNCH_RUN, .limit_ms = 1000, .n_vars = 1};
	const int launcher = ipspd_launcher_new(&config, NULL, false);
	struct ipspd_launched launched = {.error = 0};

	(void)state;
	write_script("exit 0");
	assert_true(launcher >= 0);
	snprintf(launch.path, sizeof(launch.path), "%s", script);
	snprintf(launch.var[0], sizeof(launch.var[0]), "LD_PRELOAD=/tmp/mine.so");
	assert_int_equal(ipspd_launcher_ask(launcher, &launch, STDERR_FILENO), 0);
	for (int i = 0; i < 3000 && ipspd_launcher_answer(launcher, &launched) == 0; i++)
		usleep(10000);
	assert_int_equal(launched.error, EINVAL);
	close(launcher);
}

/* Each gateway of a host that died asks at once. */
static void more_checks_than_its_socket_holds(void **state)
{
	const int many = 300;

	(void)state;
	write_script("exit 0");
	for (int i = 0; i < many; i++)
		call(IPSP_HOOK_TAKEOVER_CHECK);
	for (int i = 0; i < 600 && ctx->inbox.n_events < (size_t)many; i++)
		run(100);
	assert_int_equal(ctx->inbox.n_events, many);
	for (size_t i = 0; i < ctx->inbox.n_events; i++)
		assert_true(ctx->inbox.events[i].yes);
}

static pid_t child_of_this(void)
{
	char text[64] = "", path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	const char *last = strrchr(text, ' '); /* "1 2 3 " */
	while (last && last > text && last[-1] != ' ')
		last--;
	return (pid_t)strtol(last ? last : text, NULL, 10);
}

static void without_its_launcher_it_is_a_veto(void **state)
{
	(void)state;
	write_script("sleep 5; exit 0");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	assert_string_equal(answers(), "");
	kill(child_of_this(), SIGKILL);
	until_noted("can't be run");
	assert_string_equal(answers(), "n");
	call(IPSP_HOOK_TAKEOVER_CHECK);
	assert_string_equal(answers(), "nn");
	assert_noted(true, "the process that starts it is gone; restart ipspd");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(tells_what_happened),
		T(in_the_order_of_events),
		T(a_check_is_asked_at_once),
		T(vetoes),
		T(one_that_hangs_stops_no_other),
		T(without_a_hook_the_answer_is_yes),
		T(a_removed_context_gets_no_answer),
		T(many_are_left_out_and_not_kept),
		T(its_last_line_is_logged),
		T(a_flood_holds_nobody_up),
		T(what_is_wrong_is_noted),
		T(a_hook_that_goes_is_noted),
		cmocka_unit_test_setup_teardown(only_the_hook_of_the_file_is_started,
						setup_with_file, teardown_with_file),
		T(its_environment_is_ours_alone),
		T(more_checks_than_its_socket_holds),
		T(without_its_launcher_it_is_a_veto),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
