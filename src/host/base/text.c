#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static ts_status no_memory(void)
{
    return ts_error(TS_NO_MEMORY, "not enough memory for a text");
}

/* Makes room for `bytes` more and the 0 byte at the end. */
static bool grow(ts_text *text, size_t bytes)
{
    const size_t needed = text->length + bytes + 1;
    if (needed <= text->room)
        return true;
    const size_t room = 2 * text->room > needed ? 2 * text->room : needed;
    char *string = realloc(text->string, room);
    if (!string)
        return false;
    text->string = string;
    text->room = room;
    return true;
}

/* What the stream writes with; 0 is its error. */
static ssize_t append(void *cookie, const char *data, size_t bytes)
{
    ts_text *text = cookie;
    if (text->incomplete || !grow(text, bytes)) {
        text->incomplete = true;
        return 0;
    }
    memcpy(text->string + text->length, data, bytes);
    text->length += bytes;
    return (ssize_t)bytes;
}

/* For ftell alone. */
static int tell(void *cookie, off64_t *offset, int whence)
{
    const ts_text *text = cookie;
    if (*offset || whence == SEEK_SET)
        return -1;
    *offset = (off64_t)text->length;
    return 0;
}

ts_status ts_text_open(ts_text *text)
{
    *text = (ts_text){0};
    text->out = fopencookie(text, "w", (cookie_io_functions_t){.write = append, .seek = tell});
    if (!text->out)
        return no_memory();
    setvbuf(text->out, NULL, _IONBF, 0); /* the text is the buffer */
    return NULL;
}

static void release(ts_text *text)
{
    fclose(text->out);
    free(text->string);
    *text = (ts_text){0};
}

ts_status ts_text_finish(ts_text *text, char **string, size_t *length)
{
    const bool failed = ferror(text->out) || text->incomplete || !grow(text, 0);
    *string = NULL;
    if (length)
        *length = 0;
    if (failed) {
        release(text);
        return no_memory();
    }
    text->string[text->length] = 0;
    *string = text->string;
    if (length)
        *length = text->length;
    text->string = NULL;
    release(text);
    return NULL;
}

void ts_text_abandon(ts_text *text)
{
    release(text);
}
