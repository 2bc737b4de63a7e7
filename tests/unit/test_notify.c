/* notify: what systemd tells its services is believed only by the process that it is about. */
#include "daemon/notify.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void forget(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID",
					    "SYSTEMD_EXEC_PID"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static void set_stream(const struct stat *st, unsigned long long more)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino + more);
	setenv("JOURNAL_STREAM", text, 1);
}

static void the_journals_own_stream(void **state)
{
	struct stat st;
	int ends[2];

	(void)state;
	forget();
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	assert_false(ipspd_notify_is_journal(ends[1]));
	set_stream(&st, 0);
	assert_true(ipspd_notify_is_journal(ends[1]));
	set_stream(&st, 1); /* of the service that this terminal belongs to */
	assert_false(ipspd_notify_is_journal(ends[1]));
	setenv("JOURNAL_STREAM", "8:", 1);
	assert_false(ipspd_notify_is_journal(ends[1]));
	assert_false(ipspd_notify_is_journal(-1));
	close(ends[0]);
	close(ends[1]);
}

static void who_is_supervised(void **state)
{
	char pid[24];

	(void)state;
	forget();
	assert_false(ipspd_notify_supervised());
	setenv("JOURNAL_STREAM", "1:2",
	       1); /* inherited: the shell of a graphical terminal has them */
	setenv("INVOCATION_ID", "5a5a", 1);
	setenv("SYSTEMD_EXEC_PID", "1", 1);
	assert_false(ipspd_notify_supervised());
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("SYSTEMD_EXEC_PID", pid, 1);
	assert_true(ipspd_notify_supervised());
	forget();
	setenv("NOTIFY_SOCKET", "/run/x", 1);
	assert_true(ipspd_notify_supervised());
	forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_journals_own_stream),
		cmocka_unit_test(who_is_supervised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
