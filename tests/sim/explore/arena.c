#include "arena.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE	    4096U
#define ARENA_BYTES ((size_t)64 << 20)
#define ARENA_PAGES (ARENA_BYTES / PAGE)
#define BLOCK_HEAD  16 /* before each block: its class */
#define MIN_BITS    5  /* the smallest block with its head has 32 bytes */
#define CLASSES	    24
#define HEAD_BYTES  256 /* of the arena: more than struct head */

static uint8_t *base;

/* Outside of the arena: which pages were ever written to, in the order in which that happened. */
static uint32_t touched[ARENA_PAGES];
static size_t n_touched;
static bool is_touched[ARENA_PAGES];

/* The first page of the arena: what a snapshot has to bring back. */
struct head {
	size_t used; /* bytes, from the base on */
	void *unused[CLASSES];
};

_Static_assert(sizeof(struct head) <= HEAD_BYTES, "the head has room");

static struct head *head(void)
{
	return (struct head *)(void *)base;
}

/* ---------------------------------------------------------------- pages */

static void on_write(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, from = (uintptr_t)base;
	uint32_t page;

	(void)context;
	if (at < from || at >= from + ARENA_BYTES) { /* a real one: again, without us */
		signal(number, SIG_DFL);
		return;
	}
	page = (uint32_t)((at - from) / PAGE);
	touched[n_touched++] = page;
	is_touched[page] = true;
	if (mprotect(base + (size_t)page * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
		abort();
}

void arena_init(void)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO};

	base = mmap(NULL, ARENA_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (base == MAP_FAILED)
		abort();
	action.sa_sigaction = on_write;
	if (sigaction(SIGSEGV, &action, NULL) != 0)
		abort();
	head()->used = HEAD_BYTES;
}

void arena_clear(void)
{
	for (size_t i = 0; i < n_touched; i++)
		memset(base + (size_t)touched[i] * PAGE, 0, PAGE);
	head()->used = HEAD_BYTES;
}

void arena_keep(struct arena_snapshot *snapshot)
{
	if (snapshot->cap_pages < n_touched) {
		snapshot->cap_pages = 2 * n_touched;
		snapshot->pages = arena_outside(snapshot->cap_pages * PAGE);
	}
	snapshot->n_pages = n_touched;
	for (size_t i = 0; i < n_touched; i++)
		memcpy(snapshot->pages + i * PAGE, base + (size_t)touched[i] * PAGE, PAGE);
}

void arena_back(const struct arena_snapshot *snapshot)
{
	for (size_t i = 0; i < n_touched; i++) {
		uint8_t *page = base + (size_t)touched[i] * PAGE;

		if (i < snapshot->n_pages)
			memcpy(page, snapshot->pages + i * PAGE, PAGE);
		else /* nobody had written to it then */
			memset(page, 0, PAGE);
	}
}

void *arena_outside(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED) {
		perror("explore: mmap");
		exit(2);
	}
	return p;
}

/* ---------------------------------------------------------------- blocks */

/* Called by the linker's doing: see above. */
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);

static unsigned class_of(size_t n)
{
	unsigned class = 0;

	while (((size_t)1 << (class + MIN_BITS)) < n + BLOCK_HEAD)
		class ++;
	if (class >= CLASSES)
		abort();
	return class;
}

/* All that is given out is zeroed. */
static void *block_new(size_t n)
{
	unsigned class = class_of(n);
	size_t size = (size_t)1 << (class + MIN_BITS);
	uint8_t *p = head()->unused[class];

	if (p) {
		memcpy(&head()->unused[class], p, sizeof(void *));
		memset(p, 0, sizeof(void *));
		return p;
	}
	if (size >= PAGE) /* what is large begins with a page, so that it shares none */
		head()->used = (head()->used + PAGE - 1) / PAGE * PAGE + PAGE - BLOCK_HEAD;
	if (head()->used + size > ARENA_BYTES)
		abort();
	p = base + head()->used;
	head()->used += size;
	memcpy(p, &class, sizeof(class));
	return p + BLOCK_HEAD;
}

/* No run may depend on what stood in a block before; pages that nobody has written to stay so. */
static void wipe(uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t page = (size_t)(p - base) / PAGE, left = PAGE - (size_t)(p - base) % PAGE;

		left = left < n ? left : n;
		if (is_touched[page])
			memset(p, 0, left);
		p += left;
		n -= left;
	}
}

void *__wrap_malloc(size_t n)
{
	return block_new(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return block_new(n * size);
}

void __wrap_free(void *p)
{
	unsigned class;

	if (!p)
		return;
	memcpy(&class, (uint8_t *)p - BLOCK_HEAD, sizeof(class));
	wipe(p, ((size_t)1 << (class + MIN_BITS)) - BLOCK_HEAD);
	memcpy(p, &head()->unused[class], sizeof(void *));
	head()->unused[class] = p;
}

void *__wrap_realloc(void *p, size_t n)
{
	unsigned class;
	size_t old;
	void *q;

	if (!p)
		return block_new(n);
	memcpy(&class, (uint8_t *)p - BLOCK_HEAD, sizeof(class));
	old = ((size_t)1 << (class + MIN_BITS)) - BLOCK_HEAD;
	if (n <= old)
		return p;
	q = block_new(n);
	memcpy(q, p, old);
	__wrap_free(p);
	return q;
}

char *__wrap_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = block_new(n);

	memcpy(copy, s, n);
	return copy;
}
