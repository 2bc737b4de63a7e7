#include "core/note.h"
#include <stdarg.h>
#include <stdio.h>

void ipsp_note_add(struct ipsp_notes *notes, ipsp_ms at, enum ipsp_level level, const char *format,
		   ...)
{
	struct ipsp_note *note = &notes->ring[++notes->last % IPSP_NOTES_KEPT];
	va_list args;

	note->number = notes->last;
	note->at = at;
	note->level = level;
	va_start(args, format);
	if (vsnprintf(note->text, sizeof(note->text), format, args) < 0)
		note->text[0] = '\0'; /* the level and the time are still worth showing */
	va_end(args);
}

const struct ipsp_note *ipsp_note_get(const struct ipsp_notes *notes, uint64_t number)
{
	if (number == 0 || number > notes->last || notes->last - number >= IPSP_NOTES_KEPT)
		return NULL;
	return &notes->ring[number % IPSP_NOTES_KEPT];
}
