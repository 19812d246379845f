/*
 * The command line: one file a command, one table of options that makes the parser and --help.
 */
#ifndef TS_CLI_CLI_H
#define TS_CLI_CLI_H

#include <jansson.h>
#include <signal.h>
#include "base/progress.h"
#include "run/run.h"

/* ---- commands: argv[0] is the command's name; the result is the exit status ---- */

int cli_train(int argc, char **argv);
int cli_fit(int argc, char **argv);
int cli_sample(int argc, char **argv);
int cli_elbo(int argc, char **argv);
int cli_sweep(int argc, char **argv) __attribute__((weak));
int cli_bench(int argc, char **argv) __attribute__((weak));
int cli_info(int argc, char **argv);
int cli_report(int argc, char **argv) __attribute__((weak));

/* ---- options ---- */

/* What a command takes; --help is always there. */
typedef enum cli_takes {
    CLI_SET = 1 << 0,           /* --set KEY=VALUE, repeatable; --seed N is --set seed=N */
    CLI_DEVICE = 1 << 1,        /* --device, --threads, --fast */
    CLI_JSON = 1 << 2,          /* --json */
    CLI_OUT = 1 << 3,           /* --out PATH */
    CLI_RESUME = 1 << 4,        /* --resume */
    CLI_T = 1 << 5,             /* --T 0.4 or 1.0,0.4 */
    CLI_START = 1 << 6,         /* --start normal|glow|mixture, or several with commas */
    CLI_COUNT = 1 << 7,         /* -n, --count N */
    CLI_SAMPLER = 1 << 8,       /* --sampler em|heun|rk45|dpmpp2m */
    CLI_RAW = 1 << 9,           /* --raw-weights: the weights themselves, not their average */
    CLI_KEYS = 1 << 10,         /* --keys */
    CLI_MARKDOWN = 1 << 11,     /* --markdown */
    CLI_STEPS = 1 << 12,        /* --steps N: how many a benchmark times */
    CLI_ALGORITHMS = 1 << 13,   /* --algorithms FILE: those that the device chose */
    CLI_RECORDING_OFF = 1 << 14 /* --recording-off: for profilers */
} cli_takes;

typedef struct cli_usage {
    const char *name;      /* "train" */
    const char *arguments; /* "CONFIG" */
    const char *about;     /* a sentence or two for --help */
    int least, most;       /* positional arguments */
    unsigned takes;
} cli_usage;

typedef struct cli_options {
    int argument_count;
    char *arguments[4];
    const char **overrides; /* of --set and --seed, in order */
    int override_count;
    const char *device; /* "auto" unless given */
    int threads;        /* 0: all */
    bool fast, json, resume, raw, keys, markdown, recording_off;
    const char *out; /* NULL: not given */
    int T_count;
    double *T;
    int start_count;
    ts_start_kind starts[TS_START_COUNT];
    int count;        /* 0: not given */
    int steps;        /* 0: not given */
    bool has_sampler; /* false: as configured */
    ts_sampler_kind sampler;
    const char *algorithms; /* NULL: not given */
    char *command;          /* the whole command line, quoted for a shell */
} cli_options;

/* Returns -1 to go on, else the exit status (0 after --help, 2 after an error that was printed). */
int cli_parse(const cli_usage *usage, int argc, char **argv, cli_options *options);
void cli_options_free(cli_options *options);

/* What ts_run_create and ts_run_open want, from the options. */
ts_run_options cli_run_options(const cli_options *options);

/* Says on stderr that "auto" took the CPU, and why. */
void cli_on_fallback(const char *why);

/* Prints "tstar: message" to stderr, frees the status; returns the exit status (0 for NULL; 130 when
 * interrupted). */
int cli_finish(ts_status status);

/* A number of a result: null where it is not finite, which JSON cannot say. */
json_t *cli_json_real(double value);
/* Prints to stdout, and frees. */
void cli_print_json(json_t *json);

/* A whole command: parses, watches for Ctrl-C, runs `body`, prints what went wrong.  Returns the exit status.
 */
typedef ts_status cli_body(const cli_options *options, ts_progress *progress);
int cli_command(const cli_usage *usage, int argc, char **argv, cli_body *body);

/* The run that the command's first argument names, with its weights loaded (the averaged ones unless
 * --raw-weights): a run directory, or a configuration whose score is exact and needs no training. */
ts_status cli_open_trained(const cli_options *options, ts_run **run);

/* ---- progress and interruption ---- */

typedef struct cli_progress {
    ts_progress base; /* hand &p.base to the library */
    bool terminal;
    char phase[64], unit[24];
    double began, shown, first; /* seconds; seconds; what was done when the phase began */
    bool open;                  /* a line is on the terminal, not ended yet */
} cli_progress;

/* On stderr: a bar with rate and time left on a terminal, else a line every few seconds.  Also catches SIGINT
 * and SIGTERM: the first asks the work to end at its next step, the second ends the process at once. */
void cli_progress_begin(cli_progress *progress);
void cli_progress_end(cli_progress *progress);

#endif
