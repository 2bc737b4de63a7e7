/*
 * drains - where each drain began, as far as it was watched from here: so the page can say how much
 * of it is done and about how long the rest takes, also to who opens it in the middle.
 */
#ifndef MONITOR_DRAINS_H
#define MONITOR_DRAINS_H

#include <jansson.h>
#include <stdint.h>

struct drains;

struct drains *drains_new(void); /* NULL: no memory */
void drains_free(struct drains *drains);
/* A new answer to ok-to-stop, at the time @now_ms. */
void drains_see(struct drains *drains, const json_t *ok_to_stop, int64_t now_ms);
/* {"isp1":{"for-ms":N,"first-sessions":N}}: each context that drains. A new reference. */
json_t *drains_json(const struct drains *drains, int64_t now_ms);

#endif
