/*
 * The keys of the configuration as data, made from the tables in config.h.  Private to config*.c.
 */
#ifndef TS_CONFIG_TABLE_H
#define TS_CONFIG_TABLE_H

#include <stddef.h>
#include "config/config.h"

typedef enum ts_config_kind {
    TS_KEY_INT,
    TS_KEY_REAL,
    TS_KEY_REAL_OR_AUTO,
    TS_KEY_BOOL,
    TS_KEY_STRING,
    TS_KEY_CHOICE,
    TS_KEY_INTS,
    TS_KEY_REALS,
    TS_KEY_WORDS,
    TS_KEY_MATRIX
} ts_config_kind;

typedef enum ts_config_change {
    TS_CHANGE_IDLE,
    TS_CHANGE_FREE,
    TS_CHANGE_TRAIN,
    TS_CHANGE_FIXED
} ts_config_change;

typedef struct ts_config_key {
    const char *section; /* "" for keys at the top level of the file */
    const char *key;
    const char *name; /* "train.steps" */
    ts_config_kind kind;
    ts_config_change change;
    size_t offset; /* in ts_config */
    double minimum, maximum;
    const ts_words *words; /* CHOICE, WORDS */
    const char *fallback;  /* YAML text of the default */
    const char *help;
} ts_config_key;

/* The table ends with a NULL key. */
extern const ts_config_key ts_config_keys[];
enum { TS_CONFIG_KEY_LIMIT = 128 };

/* Index into the table; -1: no such key. */
int ts_config_find(const char *name);
/* Whether `name` is a section (a mapping of the file): "train", "data.mixture". */
bool ts_config_is_section(const char *name);
/* The key or section most like `name`; NULL when none is. */
const char *ts_config_suggest(const char *name);

static inline void *ts_config_member(const ts_config *config, const ts_config_key *key)
{
    return (char *)config + key->offset;
}

/* Of a REAL_OR_AUTO: whether it is auto. */
static inline bool ts_config_is_auto(const ts_config *config, const ts_config_key *key)
{
    return key->kind == TS_KEY_REAL_OR_AUTO && *(const double *)ts_config_member(config, key) == 0;
}

/* Where a key got its value: a line of the file, or an override; for messages. */
typedef struct ts_config_origin {
    const char *file;     /* NULL: not from a file */
    const char *override; /* NULL: not from an override */
    int line;             /* 1 ..; 0: not known */
} ts_config_origin;

/* "configs/x.yaml:12: " or "--set train.T=2: " in front of a message. */
ts_status ts_config_error(const ts_config_origin *origin, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the YAML text of a whole file, or the value of one override, into `config`; origins [key] notes where
 * each value came from.  Types, ranges and choices are checked; what keys demand of each other is not. */
ts_status ts_config_read_text(ts_config *config, const char *text, size_t length, const char *file,
                              ts_config_origin *origins);
ts_status ts_config_read_override(ts_config *config, const char *override, ts_config_origin *origins);

/* Keys whose origin is none get the values of score_sde's configurations. */
ts_status ts_config_fill_published(ts_config *config, ts_config_origin *origins);

/* What keys demand of each other. */
ts_status ts_config_check(const ts_config *config, const ts_config_origin *origins);

/* Whether `sections`, words apart by spaces, names the key's; "data" holds data.mixture; NULL: all. */
bool ts_config_is_of(const ts_config_key *key, const char *sections);

/* The value of a key as YAML, on one line; the caller frees *text. */
ts_status ts_config_value_text(const ts_config *config, const ts_config_key *key, char **text);

#endif
