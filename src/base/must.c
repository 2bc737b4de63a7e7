#include "base/must.h"
#include <stdlib.h>
#include <string.h>

static ipsp_must_fn *listener;

void ipsp_must_listen(ipsp_must_fn *fn)
{
	listener = fn;
}

void ipsp_must_failed(const char *what, const char *file, int line)
{
	ipsp_must_fn *fn = listener;
	const char *below = NULL;

	for (const char *at = strstr(file, "src/"); at; at = strstr(at + 1, "src/"))
		below = at;
	listener = NULL; /* what it calls may fail too */
	if (fn)
		fn(what, below ? below : file, line);
	abort();
}
