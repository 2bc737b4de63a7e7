/*
 * explore - every interleaving of two sides, two addresses, a crash and a cut, as far as the budget
 * goes, on the core that ships. What the swarm does by chance to large worlds this does to a tiny
 * one without any: from each root (roots.c) all that may happen next is tried, then all that may
 * happen after that (search.c), with every invariant looked at in every state (judge.c).
 *
 * What may happen: a datagram on its way is delivered, in any order, or once more later, or stays
 * where it is until it is of no use, which is a loss; a flush is done; a session asks for any
 * address or a certain one, or ends; an HA answers a release event; a process is killed, a host
 * loses power and what was not flushed, and they come back; the wire is cut one way or both, and
 * healed; a drain, a takeover; time passes, with everything lost or nothing.
 *
 * The same budget of states gives the same run. One in some states is let come to rest.
 */
#include "search.h"
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOTS_MAX 32
#define JOBS_MAX  32

struct options {
	struct limits limits;
	const struct root *only[ROOTS_MAX];
	unsigned n_only, jobs;
	const char *replay;
	bool first;
};

static void list(void)
{
	for (unsigned i = 0; i < n_roots; i++)
		printf("%-10s %s\n", roots[i].name, roots[i].text);
}

static int usage(void)
{
	fputs("usage: explore [--states N] [--seconds S] [--jobs J] [--root NAME]... [--rests N]\n"
	      "               [--audit N] [--first]\n"
	      "       explore --root NAME --replay TRACE\n"
	      "       explore --list\n"
	      "--states: distinct ones from each root; --seconds: for all roots together, 0: no "
	      "limit;\n"
	      "--rests: of so many states one has to come to rest; --audit: of so many that were "
	      "there\n"
	      "before one is compared with what it was taken for; --first: the first violation "
	      "ends it\n",
	      stderr);
	return 2;
}

static const struct root *find(const char *name)
{
	for (unsigned i = 0; i < n_roots; i++) {
		if (strcmp(roots[i].name, name) == 0)
			return &roots[i];
	}
	fprintf(stderr, "explore: there is no root %s; --list shows them\n", name);
	exit(2);
}

/* ---------------------------------------------------------------- jobs */

struct job { /* shared with the parent */
	struct result result;
	bool done;    /* came to its end */
	bool ended;   /* the process has, */
	bool stopped; /* ... or will, since we said so */
	pid_t pid;    /* 0: none was begun */
};

static pid_t begin_job(const struct options *opt, unsigned number, struct job *job)
{
	struct limits limits = opt->limits;
	pid_t pid;

	limits.is_long = number % 2 != 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		search(opt->only[number / 2], &limits, &job->result);
		job->done = true;
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0) {
		perror("explore: fork");
		exit(2);
	}
	return pid;
}

/* The first violation is enough: those that still run are ended. */
static void end_jobs(struct job *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (jobs[i].ended || jobs[i].stopped)
			continue;
		jobs[i].stopped = true;
		kill(jobs[i].pid, SIGKILL);
	}
}

static void run_jobs(const struct options *opt, struct job *jobs)
{
	unsigned n = 2 * opt->n_only, next = 0, running = 0;

	while (next < n || running > 0) {
		pid_t pid;

		if (next < n && running < opt->jobs) {
			jobs[next].pid = begin_job(opt, next, &jobs[next]);
			next++;
			running++;
			continue;
		}
		pid = wait(NULL);
		for (unsigned i = 0; i < next; i++) {
			if (jobs[i].pid != pid || jobs[i].ended)
				continue;
			jobs[i].ended = true;
			running--;
			if (opt->first && (!jobs[i].done || jobs[i].result.failure[0])) {
				end_jobs(jobs, next);
				n = next; /* no more are begun */
			}
		}
	}
}

/* In a process of its own: it may die as well. */
static void post_mortem(const struct root *root, const struct job *job)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		search_post_mortem(root, &job->result);
		fflush(stdout);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* ---------------------------------------------------------------- the report */

static bool report_root(const struct root *root, bool is_long, const struct job *job)
{
	const struct result *r = &job->result;

	printf("%-10s %-5s %8llu %8u %4u%s %4u %6u %8u %7.1f", root->name,
	       is_long ? "long" : "broad", (unsigned long long)r->acts, r->states, r->whole,
	       r->complete ? "=" : " ", r->depth, r->rests, r->replays, r->seconds);
	if (r->audits > 0)
		printf("  %u audits, %u unlike", r->audits, r->unlike);
	puts("");
	if (!job->done) {
		printf("FAILED  %s: the process died, see above\n", root->name);
		return false;
	}
	if (r->failure[0] != '\0')
		printf("FAILED  %s: %u acts: %s\n", root->name, r->failed_at, r->failure);
	return r->failure[0] == '\0' && r->unlike == 0;
}

static int explore(const struct options *opt)
{
	struct job *jobs = mmap(NULL, 2 * sizeof(*jobs) * opt->n_only, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct result total = {0};
	unsigned failed = 0;

	if (jobs == MAP_FAILED) {
		perror("explore: mmap");
		return 2;
	}
	run_jobs(opt, jobs);
	for (unsigned i = 0; i < 2 * opt->n_only; i++) {
		if (jobs[i].ended && !jobs[i].done && !jobs[i].stopped)
			post_mortem(opt->only[i / 2], &jobs[i]);
	}
	puts("root       way    visited distinct cost  acts rests replayed seconds");
	for (unsigned i = 0; i < 2 * opt->n_only; i++) {
		const struct result *r = &jobs[i].result;

		if (jobs[i].pid == 0 || jobs[i].stopped)
			continue;
		failed += !report_root(opt->only[i / 2], i % 2 != 0, &jobs[i]);
		total.acts += r->acts;
		total.states += r->states;
		total.rests += r->rests;
		total.replays += r->replays;
		total.seconds += r->seconds;
		total.depth = r->depth > total.depth ? r->depth : total.depth;
	}
	printf("%llu states visited, %u distinct, up to %u acts from %u roots; %u came to rest, %u "
	       "replayed; %.1f s of one processor; %u roots failed\n",
	       (unsigned long long)total.acts, total.states, total.depth, opt->n_only, total.rests,
	       total.replays, total.seconds, failed);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"states", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
		{"jobs", required_argument, NULL, 'j'},	  {"root", required_argument, NULL, 'r'},
		{"rests", required_argument, NULL, 'e'},  {"audit", required_argument, NULL, 'a'},
		{"replay", required_argument, NULL, 'p'}, {"list", no_argument, NULL, 'l'},
		{"first", no_argument, NULL, 'f'},	  {NULL, 0, NULL, 0},
	};
	struct options opt = {.jobs = 1, .limits = {.states = 50000, .rests = 32, .replays = 32}};
	double seconds = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			opt.limits.states = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			seconds = strtod(optarg, NULL);
			break;
		case 'j':
			opt.jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			if (opt.n_only == ROOTS_MAX)
				return usage();
			opt.only[opt.n_only++] = find(optarg);
			break;
		case 'e':
			opt.limits.rests = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'a':
			opt.limits.audits = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			opt.replay = optarg;
			break;
		case 'f':
			opt.first = true;
			break;
		case 'l':
			list();
			return 0;
		default:
			return usage();
		}
	}
	if (optind != argc || opt.jobs < 1 || opt.jobs > JOBS_MAX || opt.limits.states < 1 ||
	    opt.limits.states > 100000000)
		return usage();
	if (sodium_init() < 0)
		return 2;
	for (unsigned i = 0; i < n_roots && opt.n_only < ROOTS_MAX && opt.n_only == i; i++)
		opt.only[opt.n_only++] = &roots[i];
	opt.limits.seconds = seconds * opt.jobs / (2 * opt.n_only);
	search_init();
	if (opt.replay)
		return search_replay(opt.only[0], opt.replay) ? 0 : usage();
	return explore(&opt);
}
