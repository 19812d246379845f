/*
 * A text that is written piece by piece into memory, through a FILE that fprintf, fputs, putc and ftell
 * take.
 *
 *     ts_text text;
 *     TS_TRY(ts_text_open(&text));
 *     fprintf(text.out, "x = %d\n", 3);
 *     TS_TRY(ts_text_finish(&text, &string, &length));
 *
 * Nobody needs to look at what fprintf returns: whatever failed on the way is told at the end.
 * (open_memstream does not: where memory fails half-way it loses a piece of the text without a word, and
 * where its last allocation fails, fclose succeeds and leaves NULL.)
 */
#ifndef TS_BASE_TEXT_H
#define TS_BASE_TEXT_H

#include <stdio.h>
#include "base/status.h"

typedef struct ts_text {
    FILE *out;
    char *string; /* so far, [length], room for one more */
    size_t length, room;
    bool incomplete; /* a piece of it could not be held */
} ts_text;

/* An empty text.  It stays where it is until it is finished, since `out` knows its address.  TS_NO_MEMORY
 * leaves nothing to be finished or abandoned. */
ts_status ts_text_open(ts_text *text);

/* Closes the text and gives its string, which ends with a 0 byte and is the caller's to free, and its length
 * (may be NULL).  TS_NO_MEMORY, and NULL as the string, when any part of it could not be held. */
ts_status ts_text_finish(ts_text *text, char **string, size_t *length);

/* Gives up, in place of ts_text_finish. */
void ts_text_abandon(ts_text *text);

#endif
