/* stories - all of them, see stories.h. */
#include "stories.h"

int main(void)
{
	int failed = stories_sessions();

	failed += stories_failures();
	failed += stories_healing();
	failed += stories_commands();
	failed += stories_rules();
	failed += stories_scenarios();
	failed += stories_transfers();
	failed += stories_apart();
	failed += stories_held();
	failed += stories_roles();
	failed += stories_drains();
	failed += stories_link();
	failed += stories_keys();
	failed += stories_recorded();
	return failed;
}
