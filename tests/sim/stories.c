/* stories - all of them, see stories.h. */
#include "stories.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* stories [NAME]: those whose name has NAME in it. */
int main(int argc, char **argv)
{
	char pattern[128];
	int failed;

	if (argc > 2)
		return 2;
	if (argc == 2) {
		snprintf(pattern, sizeof(pattern), "*%s*", argv[1]);
		cmocka_set_test_filter(pattern);
	}
	failed = stories_sessions();
	failed += stories_failures();
	failed += stories_healing();
	failed += stories_commands();
	failed += stories_rules();
	failed += stories_scenarios();
	failed += stories_transfers();
	failed += stories_apart();
	failed += stories_held();
	failed += stories_twin();
	failed += stories_roles();
	failed += stories_drains();
	failed += stories_link();
	failed += stories_keys();
	failed += stories_recorded();
	failed += stories_renewal();
	return failed;
}
