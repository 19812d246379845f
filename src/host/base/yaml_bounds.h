/*
 * What libyaml can be asked to parse: its time grows with the square of how deep lists nest and of how many
 * anchors there are, without a limit of its own.
 */
#ifndef TS_BASE_YAML_BOUNDS_H
#define TS_BASE_YAML_BOUNDS_H

#include <stddef.h>

/* Before a text is parsed: NULL where that takes a time linear in its length, which is at most 1 MiB; else
 * what is too much, for a message, and *line, from 1 (0: all of it).  Errors of syntax are left to the
 * parser. */
const char *ts_yaml_bounds(const char *text, size_t length, int *line);

#endif
