/*
 * What each struct of the results consists of, told once for CSV and JSON, reading and writing.  Private to
 * results*.c and advice/costs.c.
 */
#ifndef TS_SWEEP_FIELDS_H
#define TS_SWEEP_FIELDS_H

#include <stddef.h>
#include "sweep/results.h"

typedef enum ts_field_kind {
    TS_FIELD_NUMBER, /* double; NaN: unknown */
    TS_FIELD_COUNT,  /* double that holds a whole number; NaN: unknown */
    TS_FIELD_FLAG,   /* bool */
    TS_FIELD_WORD,   /* an enum, written as one of `words` */
    TS_FIELD_TEXT,   /* char [size] */
    TS_FIELD_STRING  /* char *, may be NULL */
} ts_field_kind;

typedef struct ts_field {
    ts_field_kind kind;
    const char *name;
    size_t offset, size;
    const ts_words *words;
    const char *meaning;
} ts_field;

#define TS_FIELD(kind, words, type, name, member, meaning)                                                   \
    {                                                                                                        \
        TS_FIELD_##kind, #name, offsetof(type, member), sizeof(((type *)0)->member), words, meaning          \
    }

/* Each ends with an empty field. */
extern const ts_field ts_bound_fields[], ts_sample_fields[];
extern const ts_field ts_cost_fields[], ts_evaluation_cost_fields[],
    ts_start_cost_fields[]; /* advice/costs.c */

#endif
