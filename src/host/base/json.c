#include "base/json.h"

#include <stdlib.h>

/* Whether memory is short now.  jansson lets a failed allocation pass as an error without a text, or, where a
 * word could not grow, as a wrong word. */
static bool memory_is_short(void)
{
    enum { SOME = 1 << 16 };
    void *some = malloc(SOME);
    free(some);
    return !some;
}

ts_status ts_json_parse(const char *path, const char *text, size_t length, json_t **root)
{
    json_error_t error;
    *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*root) /* what is wrong with the text is so again */
        *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (*root)
        return NULL;
    if (!*error.text || json_error_code(&error) == json_error_out_of_memory || memory_is_short())
        return ts_error(TS_NO_MEMORY, "%s: not enough memory to read it", path);
    return ts_error(TS_FORMAT, "%s:%d: not valid JSON: %s", path, error.line, error.text);
}
