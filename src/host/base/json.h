/*
 * JSON texts of files.
 */
#ifndef TS_BASE_JSON_H
#define TS_BASE_JSON_H

#include <jansson.h>
#include "base/status.h"

/* Parses `length` bytes; an object must not name a key twice.  `path` stands in messages.  The root is the
 * caller's (json_decref).  Errors: TS_FORMAT naming line and cause; TS_NO_MEMORY, which jansson itself
 * does not tell apart. */
ts_status ts_json_parse(const char *path, const char *text, size_t length, json_t **root);

#endif
