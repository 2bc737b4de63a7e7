/* note - see note.h. */
#include "core/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ring_clear(struct ipsp_note_ring *r)
{
	for (size_t i = 0; i < IPSP_NOTES_KEPT; i++)
		free(r->ring[i]);
	memset(r, 0, sizeof *r);
}

void ipsp_notes_clear(struct ipsp_notes *notes)
{
	ring_clear(&notes->few);
	ring_clear(&notes->many);
	notes->last = 0;
}

/* As long as it has to be: no sentence is cut. NULL: no memory. */
static struct ipsp_note *note_new(const char *format, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(again);
	if (n < 0)
		return NULL;
	struct ipsp_note *note = malloc(sizeof *note + (size_t)n + 1);
	if (!note)
		return NULL;
	vsnprintf(note->text, (size_t)n + 1, format, args);
	note->n_text = (uint32_t)n;
	return note;
}

const struct ipsp_note *ipsp_note_add(struct ipsp_notes *notes, ipsp_ms at, enum ipsp_level level,
				      bool of_many, const char *format, va_list args)
{
	struct ipsp_note_ring *r = of_many ? &notes->many : &notes->few;
	struct ipsp_note **place = &r->ring[r->n % IPSP_NOTES_KEPT];
	struct ipsp_note *note = note_new(format, args);

	if (!note)
		return NULL;
	note->number = ++notes->last;
	note->at = at;
	note->level = level;
	note->of_many = of_many;
	free(*place);
	*place = note;
	r->n++;
	return note;
}

/* ---------------------------------------------------------------- looking */

static size_t ring_kept(const struct ipsp_note_ring *r)
{
	return r->n < IPSP_NOTES_KEPT ? (size_t)r->n : IPSP_NOTES_KEPT;
}

/* Numbers grow from the oldest to the newest. */
static const struct ipsp_note *ring_after(const struct ipsp_note_ring *r, uint64_t number)
{
	const uint64_t oldest = r->n - ring_kept(r);
	uint64_t from = oldest, to = r->n;

	while (from < to) {
		const uint64_t middle = from + (to - from) / 2;
		if (r->ring[middle % IPSP_NOTES_KEPT]->number > number)
			to = middle;
		else
			from = middle + 1;
	}
	return from < r->n ? r->ring[from % IPSP_NOTES_KEPT] : NULL;
}

const struct ipsp_note *ipsp_note_after(const struct ipsp_notes *notes, uint64_t number)
{
	const struct ipsp_note *few = ring_after(&notes->few, number);
	const struct ipsp_note *many = ring_after(&notes->many, number);

	if (!few || !many)
		return few ? few : many;
	return few->number < many->number ? few : many;
}

const struct ipsp_note *ipsp_note_get(const struct ipsp_notes *notes, uint64_t number)
{
	const struct ipsp_note *note = number > 0 ? ipsp_note_after(notes, number - 1) : NULL;

	return note && note->number == number ? note : NULL;
}

size_t ipsp_notes_kept(const struct ipsp_notes *notes)
{
	return ring_kept(&notes->few) + ring_kept(&notes->many);
}
