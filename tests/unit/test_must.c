/* What must hold is looked at in the release too, and its end is said with file and line. */
#include "base/must.h"
#include "core/seal.h"
#include "core/wire.h"
#include "daemon/log.h"
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

/* @act in a process of its own, which must abort; what that said on standard error. */
static const char *said_by(void (*act)(void))
{
	static char text[2048];
	size_t n = 0;
	ssize_t got;
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		ipspd_log_open(IPSPD_LOG_STDERR, IPSP_LOG_NOTICE);
		ipsp_must_listen(ipspd_log_bug);
		act();
		_exit(0);
	}
	close(ends[1]);
	while (n < sizeof(text) - 1 && (got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	return text;
}

static void arithmetic(void)
{
	volatile int two = 2;

	IPSP_MUST(two + two == 4);
	IPSP_MUST(two + two == 5);
}

static void it_is_said_where(void **state)
{
	const char *text = said_by(arithmetic);

	(void)state;
	assert_non_null(strstr(text, " error: "));
	assert_non_null(strstr(text, "test_must.c:"));
	assert_non_null(strstr(text, "two + two == 5"));
}

/* More than a datagram's buffer takes. */
static void seal_too_much(void)
{
	static uint8_t plain[IPSP_PLAIN_MAX + 1], out[2 * IPSP_DGRAM_MAX];
	static struct ipsp_seal seal;

	ipsp_seal_close(&seal, plain, sizeof(plain), out);
}

static void write_too_long_a_name(void)
{
	static struct ipsp_item_writer w;
	static char name[IPSP_NAME_BYTES + 1];

	ipsp_item_begin(&w, 1, IPSP_ITEM_DROP, 0, 0, 0, IPSP_SET_WHO);
	ipsp_item_add_who(&w, 0, name, sizeof(name));
}

static void a_length_is_looked_at_in_every_build(void **state)
{
	(void)state;
	assert_non_null(strstr(said_by(seal_too_much), "core/seal.c:"));
	assert_non_null(strstr(said_by(write_too_long_a_name), "core/item.c:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_said_where),
		cmocka_unit_test(a_length_is_looked_at_in_every_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
