#include "daemon/faults.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ipspd_fault *next_item(struct ipspd_faults *faults)
{
	if (faults->n == faults->cap) {
		size_t cap = faults->cap ? faults->cap * 2 : 16;
		struct ipspd_fault *items = realloc(faults->items, cap * sizeof(*items));

		if (!items)
			return NULL;
		faults->items = items;
		faults->cap = cap;
	}
	return &faults->items[faults->n];
}

void ipspd_faults_add(struct ipspd_faults *faults, bool warning, unsigned line, const char *key,
		      const char *format, ...)
{
	struct ipspd_fault *item = next_item(faults);
	char text[1024];
	va_list args;

	if (!warning)
		faults->n_errors++;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* a value out of the file must not break the one line that a fault has */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (item) {
		*item = (struct ipspd_fault){line, faults->n, warning, strdup(key), strdup(text)};
		if (item->key && item->text) {
			faults->n++;
			return;
		}
		free(item->key);
		free(item->text);
	}
	faults->failed = true;
}

bool ipspd_faults_has(const struct ipspd_faults *faults, size_t n, unsigned line, const char *key)
{
	for (size_t i = 0; i < n && i < faults->n; i++) {
		const struct ipspd_fault *item = &faults->items[i];

		if (!item->warning && item->line == line && strcmp(item->key, key) == 0)
			return true;
	}
	return false;
}

static int by_line(const void *a, const void *b)
{
	const struct ipspd_fault *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

void ipspd_faults_tell(struct ipspd_faults *faults, const char *path, ipspd_config_fault_fn *fault,
		       void *arg)
{
	if (faults->n > 0)
		qsort(faults->items, faults->n, sizeof(*faults->items), by_line);
	for (size_t i = 0; i < faults->n; i++) {
		struct ipspd_fault *item = &faults->items[i];
		char text[IPSPD_PATH_MAX + 1400];

		snprintf(text, sizeof(text), "%s:%u: %s: %s%s", path, item->line, item->key,
			 item->warning ? "warning: " : "", item->text);
		fault(arg, item->warning, text);
		free(item->key);
		free(item->text);
	}
	if (faults->failed)
		fault(arg, false, "memory ran out while the configuration was checked");
	free(faults->items);
	*faults = (struct ipspd_faults){0};
}
