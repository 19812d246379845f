#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1000 }; /* bytes of a message */

struct ts_error {
    ts_code code;
    char *message;
};

/* What stands in when there is no memory for an error; never freed. */
static char out_of_memory_text[] = "not enough memory";
static struct ts_error out_of_memory = {TS_NO_MEMORY, out_of_memory_text};

/* What files and users wrote may stand in a message: it is one line that does nothing to a terminal, of
 * bearable length.  A character of several bytes is not cut. */
static void make_one_line(char *message)
{
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = ' ';
    if (strlen(message) <= LONGEST)
        return;
    char *end = message + LONGEST - strlen("...");
    while (((unsigned char)*end & 0xC0) == 0x80)
        end--;
    strcpy(end, "...");
}

static ts_status make(ts_code code, char *message)
{
    make_one_line(message);
    struct ts_error *error = malloc(sizeof *error);
    if (!error) {
        free(message);
        return &out_of_memory;
    }
    *error = (struct ts_error){code, message};
    return error;
}

ts_status ts_error(ts_code code, const char *format, ...)
{
    va_list arguments;
    char *message;
    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    return length < 0 ? &out_of_memory : make(code, message);
}

ts_status ts_context(ts_status status, const char *format, ...)
{
    if (!status)
        return NULL;
    va_list arguments;
    char *context, *message;
    va_start(arguments, format);
    int length = vasprintf(&context, format, arguments);
    va_end(arguments);
    if (length < 0)
        return status;
    length = asprintf(&message, "%s: %s", context, status->message);
    free(context);
    if (length < 0)
        return status;
    ts_code code = status->code;
    ts_status_free(status);
    return make(code, message);
}

ts_code ts_status_code(ts_status status)
{
    return status ? status->code : TS_OK;
}

const char *ts_status_message(ts_status status)
{
    return status ? status->message : "success";
}

int ts_status_exit(ts_status status)
{
    switch (ts_status_code(status)) {
    case TS_OK:
        return 0;
#define X(code, exit_status, text)                                                                           \
    case code:                                                                                               \
        return exit_status;
        TS_STATUS_CODES(X)
#undef X
    }
    return 1;
}

void ts_status_free(ts_status status)
{
    if (!status || status == &out_of_memory)
        return;
    free(status->message);
    free(status);
}
