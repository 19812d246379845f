#include "base/text.h"

#include <stdlib.h>

static ts_status no_memory(void)
{
    return ts_error(TS_NO_MEMORY, "not enough memory for a text");
}

ts_status ts_text_open(ts_text *text)
{
    *text = (ts_text){0};
    text->out = open_memstream(&text->memory, &text->length);
    return text->out ? NULL : no_memory();
}

ts_status ts_text_finish(ts_text *text, char **string, size_t *length)
{
    const bool incomplete = ferror(text->out) != 0;
    const bool lost = fclose(text->out) != 0 || !text->memory;
    *string = NULL;
    if (length)
        *length = 0;
    if (incomplete || lost) {
        free(text->memory);
        *text = (ts_text){0};
        return no_memory();
    }
    *string = text->memory;
    if (length)
        *length = text->length;
    *text = (ts_text){0};
    return NULL;
}

void ts_text_abandon(ts_text *text)
{
    fclose(text->out);
    free(text->memory);
    *text = (ts_text){0};
}
