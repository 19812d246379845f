/* The options of all commands as a table; options.c parses by it, documents/ describe it. */
#ifndef TS_CLI_OPTION_TABLE_H
#define TS_CLI_OPTION_TABLE_H

#include "cli/cli.h"

enum {
    OPTION_HELP = 256,
    OPTION_SET,
    OPTION_SEED,
    OPTION_DEVICE,
    OPTION_THREADS,
    OPTION_FAST,
    OPTION_JSON,
    OPTION_IN,
    OPTION_OUT,
    OPTION_RESUME,
    OPTION_T,
    OPTION_START,
    OPTION_SAMPLER,
    OPTION_RAW,
    OPTION_KEYS,
    OPTION_MARKDOWN,
    OPTION_STEPS,
    OPTION_RECORDING_OFF,
    OPTION_ALGORITHMS,
    OPTION_FORCE,
    OPTION_WORKERS,
    OPTION_NFE,
    OPTION_SECONDS,
    OPTION_HOURS,
    OPTION_IMAGES,
    OPTION_SCORE,
    OPTION_HYBRID_AT,
    OPTION_MEASURES,
    OPTION_WEIGHTS,
    OPTION_SAVE_STATISTICS,
    OPTION_COUNT = 'n'
};

typedef struct cli_option_row {
    const char *name, *value; /* value: what stands after the name in --help; NULL: a switch */
    int code;
    unsigned takes;        /* 0: every command */
    const char *help;      /* without `words` */
    const ts_words *words; /* what the value may be, or each part between commas; NULL: something else */
    bool file;             /* the value is a path */
} cli_option_row;

/* Ends with a row without a name. */
extern const cli_option_row cli_option_table[];
enum { CLI_OPTION_LIMIT = 40 };

/* What --help says of an option, behind it the words that its value may be. */
enum { CLI_HELP_LIMIT = 256 };
void cli_option_help(const cli_option_row *row, char *text, size_t size);

bool cli_option_is_of(const cli_option_row *row, const cli_usage *usage);

extern const ts_words cli_device_words;

#endif
