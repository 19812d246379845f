/*
 * Text that goes into files of other programs: JSON, YAML and safetensors hold UTF-8 alone.
 */
#ifndef TS_BASE_UTF8_H
#define TS_BASE_UTF8_H

#include <stdbool.h>

/* Whether the text is well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
bool ts_is_utf8(const char *text);

#endif
