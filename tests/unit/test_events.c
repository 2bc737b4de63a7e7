/* Events: whose they are, how many are kept, and what files give back that were cut or damaged. */
#include "daemon/events.h"
#include "daemon/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define T0 1790000000042

static char dir[64];

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct ipspd_events *make(void)
{
	struct ipspd_events *events = ipspd_events_new();

	assert_non_null(events);
	assert_true(ipspd_events_context(events, "isp1"));
	assert_true(ipspd_events_context(events, "a: b"));
	return events;
}

static struct ipspd_events *make_kept(void)
{
	struct ipspd_events *events = make();

	ipspd_events_keep(events, dir);
	return events;
}

struct found {
	size_t n;
	uint64_t first, last;
	int64_t wall_ms;
	char text[400];
	enum ipsp_level level;
};

static void collect(void *arg, const struct ipspd_event *event)
{
	struct found *found = arg;

	found->first = found->n++ ? found->first : event->number;
	found->last = event->number;
	found->wall_ms = event->wall_ms;
	found->level = event->level;
	snprintf(found->text, sizeof(found->text), "%s", event->text);
}

static struct found look(const struct ipspd_events *events, const char *context, size_t n)
{
	struct found found = {0};

	ipspd_events_each(events, context, n, collect, &found);
	return found;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ipspd-events-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path_of("events"));
	unlink(path_of("events.old"));
	return rmdir(dir);
}

static void test_whose(void **state)
{
	struct ipspd_events *events = make();

	(void)state;
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: the peer is up");
	ipspd_events_add(events, IPSP_LOG_ERROR, false, T0 + 1, "a: b: c: d");
	ipspd_events_add(events, IPSP_LOG_WARNING, false, T0 + 2, "isp2: nobody's");
	ipspd_events_add(events, IPSP_LOG_WARNING, false, T0 + 3, "no colon");
	assert_string_equal(look(events, "isp1", 0).text, "the peer is up");
	assert_string_equal(look(events, "a: b", 0).text, "c: d");
	assert_int_equal(look(events, "a: b", 0).level, IPSP_LOG_ERROR);
	assert_int_equal(look(events, "", 0).n, 2);
	assert_string_equal(look(events, "", 0).text, "no colon");
	assert_int_equal(look(events, "", 0).wall_ms, T0 + 3);
	assert_int_equal(look(events, "isp3", 0).n, 0);
	ipspd_events_free(events);
}

static void test_the_latest(void **state)
{
	struct ipspd_events *events = make();
	char text[40];

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		snprintf(text, sizeof(text), "isp1: event %d", i);
		ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0 + i, text);
	}
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "of the daemon");
	assert_int_equal(look(events, "isp1", 0).n, IPSPD_EVENTS_KEPT);
	assert_int_equal(look(events, "isp1", 0).last, 1000);
	assert_int_equal(look(events, "isp1", 3).n, 3);
	assert_int_equal(look(events, "isp1", 3).first, 998);
	assert_int_equal(look(events, "", 0).n, 1); /* nobody pushes others' out */
	ipspd_events_free(events);
}

/* What is said of one address after the other pushes out only its like, also over a restart. */
static void test_of_many(void **state)
{
	struct ipspd_events *events = make_kept();

	(void)state;
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: the first");
	for (int i = 0; i < 1000; i++)
		ipspd_events_add(events, IPSP_LOG_WARNING, true, T0 + i, "isp1: duplicate");
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0 + 2000, "isp1: the last");
	for (int i = 0; i < 2; i++) {
		const struct found found = look(events, "isp1", 0);
		assert_int_equal(found.n, IPSPD_EVENTS_KEPT + 2);
		assert_int_equal(found.first, 1);
		assert_string_equal(found.text, "the last");
		assert_int_equal(look(events, "isp1", 2).n, 2);
		assert_string_equal(look(events, "isp1", 2).text, "the last");
		ipspd_events_free(events);
		events = make_kept();
	}
	ipspd_events_free(events);
}

static void test_kept(void **state)
{
	struct ipspd_events *events = make_kept();

	(void)state;
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: the peer is up");
	ipspd_events_add(events, IPSP_LOG_DEBUG, false, T0 + 999, "a daemon's \xc3\xa4");
	ipspd_events_free(events);
	events = make_kept();
	struct found found = look(events, "isp1", 0);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.wall_ms, T0);
	assert_int_equal(found.level, IPSP_LOG_NOTICE);
	assert_string_equal(found.text, "the peer is up");
	found = look(events, "", 0);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.wall_ms, T0 + 999);
	assert_int_equal(found.level, IPSP_LOG_DEBUG);
	assert_string_equal(found.text, "a daemon's \xc3\xa4");
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0 + 5000, "isp1: lost");
	assert_int_equal(look(events, "isp1", 0).last, 2);
	ipspd_events_free(events);
}

static void test_bounded(void **state)
{
	struct ipspd_events *events = make_kept();
	char text[300];
	struct stat st;

	(void)state;
	for (int i = 0; i < 12000; i++) {
		snprintf(text, sizeof(text), "isp1: event %0200d", i);
		ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0 + i, text);
	}
	ipspd_events_free(events);
	assert_int_equal(stat(path_of("events"), &st), 0);
	assert_true(st.st_size > 0 && st.st_size <= (off_t)IPSPD_EVENTS_FILE_MAX);
	assert_int_equal(stat(path_of("events.old"), &st), 0);
	assert_true(st.st_size <= (off_t)IPSPD_EVENTS_FILE_MAX);
	events = make_kept();
	struct found found = look(events, "isp1", 0);
	assert_int_equal(found.n, IPSPD_EVENTS_KEPT);
	assert_int_equal(found.wall_ms, T0 + 11999);
	ipspd_events_free(events);
}

static void put_file(const char *text, size_t n)
{
	int fd = open(path_of("events"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static void hear(void *arg, enum ipsp_level level, bool of_many, int64_t wall_ms, const char *text)
{
	(void)of_many;
	(void)level;
	(void)wall_ms;
	snprintf(arg, 300, "%s", text);
}

/* What is whole is given back, what is not is left out, and what comes after is whole again. */
static void test_damaged(void **state)
{
	static const char file[] = "2026-11-30T11:06:46.123Z notice: isp1: whole\n"
				   "rubbish\n"
				   "2026-11-30T11:06:46.123Z loud: isp1: no such level\n"
				   "2026-13-30T11:06:4x.123Z notice: isp1: no time\n"
				   "2026-11-30T11:06:46.123Z notice: isp1: with a \033[2J control\n"
				   "2026-11-30T11:06:46.123Z notice: isp1: with a\0NUL\n"
				   "2026-11-30T11:06:46.124Z notice: isp1: whole, too\n"
				   "2026-11-30T11:06:46.125Z notice: isp1: cut off by a k";
	char said[300] = "";

	(void)state;
	put_file(file, sizeof(file) - 1);
	ipspd_log_listen(hear, said);
	struct ipspd_events *events = make_kept();
	assert_non_null(strstr(said, "/events: 5 lines of it"));
	struct found found = look(events, "isp1", 0);
	assert_int_equal(found.n, 2);
	assert_string_equal(found.text, "whole, too");
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: after it");
	ipspd_events_free(events);
	said[0] = '\0';
	events = make_kept();
	assert_non_null(strstr(said, "/events: 5 lines of it"));
	assert_string_equal(look(events, "isp1", 0).text, "after it");
	ipspd_events_free(events);
	ipspd_log_listen(NULL, NULL);
}

/* Something else in the file's place costs events, and nothing else. */
static void test_no_file(void **state)
{
	char said[300] = "";

	(void)state;
	assert_int_equal(mkdir(path_of("events"), 0700), 0);
	ipspd_log_listen(hear, said);
	struct ipspd_events *events = make_kept();
	assert_non_null(strstr(said, "can't be read"));
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: is shown all the same");
	assert_int_equal(look(events, "isp1", 0).n, 1);
	for (int i = 0; i < 1000 && ipspd_events_lost(events) == 0; i++)
		usleep(1000);
	assert_int_equal(ipspd_events_lost(events), 1);
	ipspd_events_free(events);
	ipspd_log_listen(NULL, NULL);
	assert_int_equal(rmdir(path_of("events")), 0);
}

/* Half a line that a full disk has left is taken back, and the loss is said in the file itself. */
static void test_full_disk(void **state)
{
	struct ipspd_events *events;
	char text[400];

	(void)state;
	if (access("/dev/full", F_OK) != 0)
		skip();
	assert_int_equal(symlink("/dev/full", path_of("events")), 0);
	events = make_kept(); /* a link is not followed */
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: lost");
	for (int i = 0; i < 1000 && ipspd_events_lost(events) == 0; i++)
		usleep(1000);
	assert_int_equal(ipspd_events_lost(events), 1);
	unlink(path_of("events"));
	ipspd_events_add(events, IPSP_LOG_NOTICE, false, T0, "isp1: there is room");
	ipspd_events_free(events);
	FILE *f = fopen(path_of("events"), "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_non_null(strstr(text, "warning: 1 line was lost here: "));
	assert_non_null(fgets(text, sizeof(text), f));
	assert_non_null(strstr(text, "notice: isp1: there is room\n"));
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose),
		cmocka_unit_test(test_the_latest),
		cmocka_unit_test_setup_teardown(test_of_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
