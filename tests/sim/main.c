/*
 * sim - runs seeds: each draws a configuration, a load and faults, then quiet, and is judged all
 * the time (check.c). A failing seed prints itself and replays alone.
 *
 * This file is the only one that knows of processes and of the real clock: several jobs share the
 * seeds, and a seed that dies on an assertion takes its job with it, no more.
 */
#include "attacker.h"
#include "corners.h"
#include "plan.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX     32
#define FAILURES_MAX 20
#define ALL_HIT_FROM 1000 /* a swarm of so many seeds has to hit every fault point */
#define ALL_USED_FROM                                                                              \
	10000 /* ... and with the corners to use every cell of the state table that has a rule */

struct job {		  /* shared with the parent */
	uint64_t running; /* the seed at work */
	uint64_t n_runs, n_replays, n_events, n_turns;
	uint64_t us; /* simulated */
	uint64_t hits[SIM_FAULT_COUNT];
	struct visits visits;
	unsigned n_failures;
	struct failure {
		uint64_t seed;
		char text[400];
	} failures[FAILURES_MAX];
};

struct options {
	uint64_t first, n, seed;
	uint64_t stop_at; /* as in struct world */
	unsigned jobs, verbose;
	bool one, any_hits, attack;
};

static void print_line(void *arg, const char *line)
{
	(void)arg;
	puts(line);
}

static void add_failure(struct job *job, uint64_t seed, const char *text)
{
	struct failure *f;

	if (job->n_failures == FAILURES_MAX)
		return;
	f = &job->failures[job->n_failures++];
	f->seed = seed;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void add_up(struct job *job, const struct world *w)
{
	job->n_runs++;
	job->us += w->now;
	job->n_replays += w->check.n_replays;
	job->n_events += w->n_events;
	job->n_turns += w->n_turns;
	for (unsigned i = 0; i < SIM_FAULT_COUNT; i++)
		job->hits[i] += w->hits[i];
	visits_add(&job->visits, &w->visits);
}

/* @how: of one run that is looked at; NULL in a swarm. */
static void look(struct world *w, const struct options *how)
{
	if (!how)
		return;
	w->stop_at = how->stop_at;
	if (how->verbose) {
		w->trace = print_line;
		w->trace_mask = TRACE_ALL | TRACE_TIMES | (how->verbose > 1 ? TRACE_NOTES : 0);
	}
}

static void run_seed(struct job *job, uint64_t seed, const struct options *how)
{
	struct world *w = calloc(1, sizeof(*w));
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!w || !plan)
		abort();
	job->running = seed;
	look(w, how);
	if (setjmp(w->escape) == 0)
		plan_run(plan, w, seed);
	else
		add_failure(job, seed, w->failure);
	world_fini(w);
	add_up(job, w);
	free(w);
	free(plan);
}

/* The same for two pairs and an attacker. */
static void attack_seed(struct job *job, uint64_t seed, const struct options *how)
{
	struct world *w = calloc(2, sizeof(*w));
	char failure[400];

	if (!w)
		abort();
	job->running = seed;
	for (unsigned i = 0; i < 2; i++)
		look(&w[i], how);
	if (!attacker_run(w, seed, failure))
		add_failure(job, seed, failure);
	for (unsigned i = 0; i < 2; i++) {
		world_fini(&w[i]);
		add_up(job, &w[i]);
	}
	job->n_runs--;
	free(w);
}

/* ---------------------------------------------------------------- jobs */

static void work(struct job *job, const struct options *opt, unsigned number, uint64_t from)
{
	for (uint64_t i = from; i < opt->n; i++) {
		if (i % opt->jobs != number || job->n_failures == FAILURES_MAX)
			continue;
		(opt->attack ? attack_seed : run_seed)(job, opt->first + i, NULL);
	}
}

static pid_t begin_job(struct job *job, const struct options *opt, unsigned number, uint64_t from)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		work(job, opt, number, from);
		exit(0);
	}
	if (pid < 0) {
		perror("sim: fork");
		exit(2);
	}
	return pid;
}

/* A job that died had met an assertion: that seed has failed, the next ones go on. */
static void run_jobs(struct job *jobs, const struct options *opt)
{
	pid_t pids[JOBS_MAX];
	unsigned left = opt->jobs;

	for (unsigned i = 0; i < opt->jobs; i++)
		pids[i] = begin_job(&jobs[i], opt, i, 0);
	while (left > 0) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned i = 0; i < opt->jobs; i++) {
			if (pids[i] != pid)
				continue;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
				left--;
				break;
			}
			add_failure(&jobs[i], jobs[i].running, "the process died: see above");
			pids[i] = begin_job(&jobs[i], opt, i, jobs[i].running - opt->first + 1);
		}
	}
}

/* ---------------------------------------------------------------- the report */

static unsigned report_failures(const struct job *jobs, unsigned n)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < jobs[i].n_failures; k++, failed++) {
			const struct failure *f = &jobs[i].failures[k];

			printf("FAILED seed %llu: %s\n   replay: sim --seed %llu -v\n",
			       (unsigned long long)f->seed, f->text, (unsigned long long)f->seed);
		}
	}
	return failed;
}

static void sum(struct job *total, const struct job *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		total->n_runs += jobs[i].n_runs;
		total->us += jobs[i].us;
		total->n_replays += jobs[i].n_replays;
		total->n_events += jobs[i].n_events;
		total->n_turns += jobs[i].n_turns;
		for (unsigned k = 0; k < SIM_FAULT_COUNT; k++)
			total->hits[k] += jobs[i].hits[k];
		visits_add(&total->visits, &jobs[i].visits);
	}
}

static unsigned report_hits(const struct job *total)
{
	unsigned missed = 0;

	puts("fault points:");
	for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
		printf("  %10llu  %s\n", (unsigned long long)total->hits[i], fault_texts[i]);
		missed += total->hits[i] == 0;
	}
	return missed;
}

static double seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* The rare changes of situation are told by stories; one that ends wrongly is a failure too. */
static void run_corners(struct job *job)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		corners_run(&job->visits);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		add_failure(job, 0, "a story of a corner of the state table: see above");
}

static int swarm(const struct options *opt)
{
	struct job *jobs = mmap(NULL, opt->jobs * sizeof(*jobs), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static struct job total;
	struct timespec began;
	unsigned failed, missed, impossible, unused;
	double took;

	if (jobs == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	printf("seeds %llu to %llu, %u job%s\n", (unsigned long long)opt->first,
	       (unsigned long long)(opt->first + opt->n - 1), opt->jobs, opt->jobs == 1 ? "" : "s");
	clock_gettime(CLOCK_MONOTONIC, &began);
	if (!opt->any_hits)
		run_corners(&jobs[0]);
	run_jobs(jobs, opt);
	took = seconds_since(&began);
	sum(&total, jobs, opt->jobs);
	missed = opt->attack ? 0 : report_hits(&total);
	impossible = visits_report(&total.visits, &unused);
	failed = report_failures(jobs, opt->jobs);
	printf("%llu runs, %u failed; %.0f s simulated, %llu turns, %llu events, %llu replays of a "
	       "log\n",
	       (unsigned long long)total.n_runs, failed, (double)total.us / 1e6,
	       (unsigned long long)total.n_turns, (unsigned long long)total.n_events,
	       (unsigned long long)total.n_replays);
	printf("%.1f s: %.1f seeds a second, %.0f times as fast as life\n", took,
	       (double)total.n_runs / took, (double)total.us / 1e6 / took);
	if (missed && opt->n >= ALL_HIT_FROM && !opt->any_hits) {
		printf("%u fault point%s never hit\n", missed, missed == 1 ? " was" : "s were");
		return 1;
	}
	if (unused && opt->n >= ALL_USED_FROM && !opt->any_hits) {
		printf("%u cell%s of the state table never used\n", unused,
		       unused == 1 ? " was" : "s were");
		return 1;
	}
	return failed || impossible ? 1 : 0;
}

static int one(const struct options *opt)
{
	static struct job job;

	printf("seed %llu\n", (unsigned long long)opt->seed);
	(opt->attack ? attack_seed : run_seed)(&job, opt->seed, opt);
	if (report_failures(&job, 1))
		return 1;
	printf("good: %.0f s simulated, %llu turns, %llu events\n", (double)job.us / 1e6,
	       (unsigned long long)job.n_turns, (unsigned long long)job.n_events);
	return 0;
}

static int usage(void)
{
	fputs("usage: sim --swarm N [--first SEED] [--jobs J] [--any-hits]\n"
	      "       sim --seed N [-v [-v]] [--stop-at EVENT]\n"
	      "--attacker: not one pair and faults, but two pairs with one secret and an "
	      "attacker\n"
	      "--stop-at: SIGTRAP before this event (a failure says the number of its own), for "
	      "gdb\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"swarm", required_argument, NULL, 'n'},
		{"first", required_argument, NULL, 'f'},
		{"jobs", required_argument, NULL, 'j'},
		{"seed", required_argument, NULL, 's'},
		{"any-hits", no_argument, NULL, 'a'},
		{"attacker", no_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},
		{"stop-at", required_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	struct options opt = {.first = 1, .jobs = 1};
	int c;

	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			opt.n = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			opt.first = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			opt.jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 10);
			opt.one = true;
			break;
		case 'a':
			opt.any_hits = true;
			break;
		case 't':
			opt.attack = opt.any_hits = true;
			break;
		case 'v':
			opt.verbose++;
			break;
		case 'e':
			opt.stop_at = strtoull(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	}
	if (optind != argc || opt.jobs < 1 || opt.jobs > JOBS_MAX || opt.one == (opt.n > 0) ||
	    (opt.stop_at && !opt.one))
		return usage();
	return opt.one ? one(&opt) : swarm(&opt);
}
