/* Lines that nobody takes: the one who says them goes on, and what is lost is counted and said. */
#include "daemon/log.h"
#include "daemon/writer.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- a reader that can be stopped */

struct reader {
	pthread_mutex_t gate; /* held: nothing is taken */
	pthread_mutex_t lock;
	bool refuses;
	size_t n;
	char last[300], said[2000]; /* .said: what was said about losses */
};

static bool take(void *arg, enum ipsp_level level, int64_t wall_ms, const char *text)
{
	struct reader *r = arg;

	(void)level;
	(void)wall_ms;
	pthread_mutex_lock(&r->gate);
	pthread_mutex_unlock(&r->gate);
	pthread_mutex_lock(&r->lock);
	const bool taken = !r->refuses;
	if (taken) {
		r->n++;
		snprintf(r->last, sizeof(r->last), "%s", text);
		if (strstr(text, "lost here"))
			strncat(r->said, text, sizeof(r->said) - strlen(r->said) - 1);
	}
	pthread_mutex_unlock(&r->lock);
	return taken;
}

static struct reader *reader_new(void)
{
	struct reader *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	pthread_mutex_init(&r->gate, NULL);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void refuse(struct reader *r, bool refuses)
{
	pthread_mutex_lock(&r->lock);
	r->refuses = refuses;
	pthread_mutex_unlock(&r->lock);
}

static void put(struct ipspd_writer *w, const char *text)
{
	ipspd_writer_put(w, IPSP_LOG_NOTICE, 0, text);
}

static void test_in_order(void **state)
{
	struct reader *r = reader_new();
	struct ipspd_writer *w = ipspd_writer_new(take, r, "gone");
	char text[40];

	(void)state;
	for (int i = 0; i < 20000; i++) { /* a burst is no reason to lose anything */
		snprintf(text, sizeof(text), "line %d", i);
		put(w, text);
	}
	assert_true(ipspd_writer_drain(w, 10000));
	assert_int_equal(r->n, 20000);
	assert_string_equal(r->last, "line 19999");
	assert_int_equal(ipspd_writer_lost(w), 0);
	ipspd_writer_close(w, 1000);
	free(r);
}

static void test_stands_still(void **state)
{
	struct reader *r = reader_new();
	struct ipspd_writer *w = ipspd_writer_new(take, r, "gone");
	struct timespec from, to;
	char text[40];

	(void)state;
	pthread_mutex_lock(&r->gate);
	put(w, "the first");
	usleep(1200000);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 5000; i++)
		put(w, "another line that nobody reads");
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec <= 1);
	const uint64_t lost = ipspd_writer_lost(w);
	assert_in_range(lost, 3000, 4999);
	assert_false(ipspd_writer_drain(w, 20));
	pthread_mutex_unlock(&r->gate);
	assert_true(ipspd_writer_drain(w, 10000));
	assert_int_equal(r->n, 1 + 5000 - lost + 1); /* ... and the one that says it */
	snprintf(text, sizeof(text), "%llu lines were lost here: gone", (unsigned long long)lost);
	assert_string_equal(r->said, text);
	assert_string_equal(r->last, text);
	put(w, "goes on");
	assert_true(ipspd_writer_drain(w, 10000));
	assert_string_equal(r->last, "goes on");
	ipspd_writer_close(w, 1000);
	free(r);
}

static void test_refused(void **state)
{
	struct reader *r = reader_new();
	struct ipspd_writer *w = ipspd_writer_new(take, r, "gone");

	(void)state;
	refuse(r, true);
	put(w, "one");
	put(w, "two");
	put(w, "three");
	assert_true(ipspd_writer_drain(w, 10000));
	assert_int_equal(ipspd_writer_lost(w), 3);
	refuse(r, false);
	put(w, "four");
	assert_true(ipspd_writer_drain(w, 10000));
	assert_string_equal(r->said, "3 lines were lost here: gone");
	assert_string_equal(r->last, "four");
	assert_int_equal(r->n, 2);
	ipspd_writer_close(w, 1000);
	free(r);
}

/* An end does not wait for a reader either. What its thread still has is never given back. */
static void test_left_behind(void **state)
{
	static struct reader reader = {.gate = PTHREAD_MUTEX_INITIALIZER,
				       .lock = PTHREAD_MUTEX_INITIALIZER};
	struct ipspd_writer *w = ipspd_writer_new(take, &reader, "gone");

	(void)state;
	pthread_mutex_lock(&reader.gate);
	put(w, "one");
	ipspd_writer_close(w, 50);
	pthread_mutex_unlock(&reader.gate);
	usleep(50000); /* it ends by itself */
}

/* ---------------------------------------------------------------- the log: a full pipe */

static void test_full_pipe(void **state)
{
	char *text = calloc(1, 1 << 20);
	int pipes[2], saved = dup(STDERR_FILENO);
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	assert_int_equal(pipe(pipes), 0);
	assert_int_not_equal(dup2(pipes[1], STDERR_FILENO), -1);
	ipspd_log_open(IPSPD_LOG_JOURNAL, IPSP_LOG_NOTICE);
	const uint64_t before = ipspd_log_lost();
	for (int i = 0; i < 1000; i++) /* more than a pipe has room for */
		ipspd_log(IPSP_LOG_NOTICE, "%0100d", i);
	usleep(1200000);
	for (int i = 1000; i < 9000; i++)
		ipspd_log(IPSP_LOG_NOTICE, "%0100d", i);
	const unsigned long long lost = (unsigned long long)(ipspd_log_lost() - before);
	assert_true(lost > 7000);
	assert_int_equal(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 20 && n < (1 << 20) - 1;) {
		ssize_t got = read(pipes[0], text + n, (1 << 20) - 1 - n);
		if (got > 0) {
			n += (size_t)got;
			idle = 0;
		} else {
			usleep(10000);
			idle++;
		}
	}
	ipspd_log_close();
	assert_int_not_equal(dup2(saved, STDERR_FILENO), -1);
	char words[120];
	snprintf(words, sizeof(words), "<4>%llu lines were lost here: ", lost);
	assert_non_null(strstr(text, words));
	free(text);
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_times(void **state)
{
	char text[IPSPD_TIME_TEXT];

	(void)state;
	assert_string_equal(ipspd_time_text(0, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(ipspd_time_text(1790000000042, text), "2026-09-21T14:13:20.042Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),  cmocka_unit_test(test_stands_still),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_full_pipe), cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
