#include "queue.h"
#include <stdio.h>
#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void queue_fini(struct queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->events[i].data);
	free(q->events);
	*q = (struct queue){0};
}

static void grow(struct queue *q)
{
	size_t cap = q->cap ? 2 * q->cap : 256;
	struct sim_event *events = realloc(q->events, cap * sizeof(*events));

	if (!events) {
		perror("sim");
		abort();
	}
	q->events = events;
	q->cap = cap;
}

void queue_put(struct queue *q, struct sim_event event)
{
	size_t i;

	if (q->n == q->cap)
		grow(q);
	event.order = q->order++;
	for (i = q->n++; i > 0; i = (i - 1) / 2) {
		if (!before(&event, &q->events[(i - 1) / 2]))
			break;
		q->events[i] = q->events[(i - 1) / 2];
	}
	q->events[i] = event;
}

bool queue_pop(struct queue *q, struct sim_event *event)
{
	struct sim_event last;
	size_t i = 0, child;

	if (q->n == 0)
		return false;
	*event = q->events[0];
	last = q->events[--q->n];
	while ((child = 2 * i + 1) < q->n) {
		if (child + 1 < q->n && before(&q->events[child + 1], &q->events[child]))
			child++;
		if (!before(&q->events[child], &last))
			break;
		q->events[i] = q->events[child];
		i = child;
	}
	q->events[i] = last;
	return true;
}

sim_us queue_next(const struct queue *q)
{
	return q->n ? q->events[0].at : SIM_NEVER;
}
