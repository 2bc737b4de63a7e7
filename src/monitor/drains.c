#include "monitor/drains.h"
#include <stdlib.h>

struct drains {
	json_t *begun; /* {"isp1":{"at-ms":N,"first-sessions":N}} */
};

struct drains *drains_new(void)
{
	struct drains *drains = malloc(sizeof(*drains));

	if (!drains)
		return NULL;
	drains->begun = json_object();
	if (drains->begun)
		return drains;
	free(drains);
	return NULL;
}

void drains_free(struct drains *drains)
{
	if (!drains)
		return;
	json_decref(drains->begun);
	free(drains);
}

void drains_see(struct drains *drains, const json_t *ok_to_stop, int64_t now_ms)
{
	const json_t *context, *sessions;
	json_t *now = json_object(), *one;
	size_t i;

	json_array_foreach(json_object_get(ok_to_stop, "contexts"), i, context)
	{
		const char *name = json_string_value(json_object_get(context, "name"));

		if (!name || !json_is_true(json_object_get(context, "draining")))
			continue;
		one = json_incref(json_object_get(drains->begun, name));
		sessions = json_object_get(context, "sessions");
		/* more than at its beginning: another one has begun meanwhile */
		if (one && json_integer_value(sessions) >
				   json_integer_value(json_object_get(one, "first-sessions"))) {
			json_decref(one);
			one = NULL;
		}
		if (!one)
			one = json_pack("{s:I, s:I}", "at-ms", (json_int_t)now_ms, "first-sessions",
					json_integer_value(sessions));
		json_object_set_new(now, name, one);
	}
	if (!now)
		return;
	json_decref(drains->begun);
	drains->begun = now;
}

json_t *drains_json(const struct drains *drains, int64_t now_ms)
{
	json_t *all = json_object(), *one;
	const char *name;

	json_object_foreach(drains->begun, name, one)
	{
		const json_int_t at = json_integer_value(json_object_get(one, "at-ms"));

		json_object_set_new(all, name,
				    json_pack("{s:I, s:O}", "for-ms", (json_int_t)now_ms - at,
					      "first-sessions",
					      json_object_get(one, "first-sessions")));
	}
	return all;
}
