/*
 * The command line: one file a command, one table of commands (main.c) and one of options (option_table.c)
 * that make the parser, --help, the man pages and the completions of shells (documents/).
 *
 * Invariants: here alone does the program print and exit.  Results go to stdout (with --json as one JSON
 * value), all else to stderr.  A user's mistake is one line that says what would be right, and exit status 2;
 * a failure 1; an interruption 130.  Commands decide nothing that an embedding program would miss: that is in
 * the rooms below.
 */
#ifndef TS_CLI_CLI_H
#define TS_CLI_CLI_H

#include <jansson.h>
#include <signal.h>
#include "base/amount.h"
#include "base/progress.h"
#include "base/words.h"
#include "run/scores.h"

/* ---- options ---- */

/* What a command takes; --help is always there. */
typedef enum cli_takes {
    CLI_SET = 1 << 0,            /* --set KEY=VALUE, repeatable; --seed N is --set seed=N */
    CLI_DEVICE = 1 << 1,         /* --device, --threads, --fast */
    CLI_JSON = 1 << 2,           /* --json */
    CLI_OUT = 1 << 3,            /* --out PATH */
    CLI_RESUME = 1 << 4,         /* --resume */
    CLI_T = 1 << 5,              /* --T 0.4 or 1.0,0.4 */
    CLI_START = 1 << 6,          /* --start DENSITY, or several with commas */
    CLI_COUNT = 1 << 7,          /* -n, --count N */
    CLI_SAMPLER = 1 << 8,        /* --sampler NAME */
    CLI_RAW = 1 << 9,            /* --raw-weights: the weights themselves, not their average */
    CLI_KEYS = 1 << 10,          /* --keys */
    CLI_MARKDOWN = 1 << 11,      /* --markdown */
    CLI_STEPS = 1 << 12,         /* --steps N: how many a benchmark times */
    CLI_ALGORITHMS = 1 << 13,    /* --algorithms FILE: those that the device chose */
    CLI_RECORDING_OFF = 1 << 14, /* --recording-off: for profilers */
    CLI_FORCE = 1 << 15,         /* --force: replace what is there */
    CLI_WORKERS = 1 << 16,       /* --workers N: how many parts of a sweep are done at once */
    CLI_IN = 1 << 17,            /* --in FILE */
    CLI_BUDGET = 1 << 18,        /* --nfe, --seconds-per-image, --hours, --images */
    CLI_SCORE = 1 << 19,         /* --score NAME, --hybrid-at T */
    CLI_QUALITY = 1 << 20        /* --measures, --weights, --save-statistics */
} cli_takes;

typedef struct cli_usage {
    const char *name;      /* "train" */
    const char *arguments; /* "CONFIG" */
    const char *about;     /* a sentence or two for --help */
    int least, most;       /* positional arguments */
    unsigned takes;
} cli_usage;

/* ---- commands ---- */

/* What a command is called by: argv[0] is its name; the result is the exit status. */
typedef int cli_run(int argc, char **argv);

typedef struct cli_command_row {
    const cli_usage *usage;
    cli_run *run;
    const char *example, *about; /* for the list of commands: "CONFIG --out RUN", half a sentence */
} cli_command_row;

/* All commands, in the order of --help; ends with a row without usage (main.c). */
extern const cli_command_row cli_commands[];

extern const cli_usage cli_train_usage, cli_fit_usage, cli_sample_usage, cli_elbo_usage, cli_nll_usage,
    cli_sweep_usage, cli_report_usage, cli_bench_usage, cli_info_usage, cli_import_usage, cli_export_usage,
    cli_score_usage, cli_advise_usage, cli_quality_usage;
cli_run cli_train, cli_fit, cli_sample, cli_elbo, cli_nll, cli_sweep, cli_report, cli_bench, cli_info,
    cli_import, cli_export, cli_score, cli_advise, cli_quality;

/* ---- what the command line asks for ---- */

typedef struct cli_options {
    int argument_count;
    char *arguments[4];
    const char **overrides; /* of --set and --seed, in order */
    int override_count;
    const char *device; /* "auto" unless given */
    int threads;        /* 0: all */
    bool fast, json, resume, raw, keys, markdown, recording_off, force;
    const char *in, *out; /* NULL: not given */
    int T_count;
    double *T;
    int start_count;
    ts_start_kind starts[TS_START_COUNT];
    int count;                       /* 0: not given */
    int steps;                       /* 0: not given */
    int workers;                     /* 0: not given */
    int nfe, images;                 /* 0: not given */
    double seconds_per_image, hours; /* 0: not given */
    bool has_sampler;                /* false: as configured */
    ts_sampler_kind sampler;
    bool has_score; /* false: the run's own */
    ts_score_choice score;
    unsigned measures;                     /* bits 1u << ts_measure_kind; 0: not given */
    const char *weights, *save_statistics; /* NULL: not given */
    const char *algorithms;                /* NULL: not given */
    char *command;                         /* the whole command line, quoted for a shell */
} cli_options;

/* Returns -1 to go on, else the exit status (0 after --help, 2 after an error that was printed). */
int cli_parse(const cli_usage *usage, int argc, char **argv, cli_options *options);
void cli_options_free(cli_options *options);

/* What ts_run_create and ts_run_open want, from the options. */
ts_run_options cli_run_options(const cli_options *options);

/* The status with what a user of the command line can do about it behind its message, if its code is `code`:
 * the library knows no options. */
ts_status cli_hint(ts_status status, ts_code code, const char *hint);

/* Says on stderr that "auto" took the CPU, and why. */
void cli_on_fallback(const char *why);

/* Prints "tstar: message" to stderr, frees the status; returns the exit status (0 for NULL; 130 when
 * interrupted). */
int cli_finish(ts_status status);

/* A number of a result: null where it is not finite, which JSON cannot say. */
json_t *cli_json_real(double value);
/* Prints to stdout, and frees. */
void cli_print_json(json_t *json);
/* The same for a list, of which a single item is printed by itself. */
void cli_print_list(json_t *list);

/* A whole command: parses, watches for Ctrl-C, runs `body`, prints what went wrong.  Gives the exit
 * status. */
typedef ts_status cli_body(const cli_options *options, ts_progress *progress);
int cli_command(const cli_usage *usage, int argc, char **argv, cli_body *body);

/* The run that the command's first argument names, with its weights loaded (the averaged ones unless
 * --raw-weights) and --score chosen: a run directory, or a configuration whose score is exact and needs no training.
 * work: what it is opened for. */
ts_status cli_open_trained(const cli_options *options, ts_work work, ts_run **run);

/* ---- progress and interruption ---- */

typedef struct cli_progress {
    ts_progress base; /* hand &p.base to the library */
    bool terminal;
    char phase[64], unit[24];
    double began, shown, first; /* seconds; seconds; what was done when the phase began */
    bool open;                  /* a line is on the terminal, not ended yet */
    const ts_run *run;          /* see cli_watch; NULL again when all of that is said */
    bool threads_said;
    double timed_from, timed_at; /* pieces done and seconds at the end of the first piece; 0: not yet */
} cli_progress;

/* On stderr: a bar with rate and time left on a terminal, never wider than it; else a line every few seconds.
 * Also catches SIGINT, SIGTERM and SIGHUP: the first asks the work to end at its next step, the second ends
 * the process at once. */
void cli_progress_begin(cli_progress *progress);
void cli_progress_end(cli_progress *progress);

/* A line on stderr, in front of which the line that is open goes away: "tstar: text". */
void cli_say(cli_progress *progress, const char *text);

/* To be called before long work of `run`, which outlives it: when it begins, a line says if it has fewer
 * threads than there are; and once three of its pieces have told how long they take, another what the phase
 * will, and the device's memory.  Work of less than half a minute goes without that. */
void cli_watch(ts_progress *progress, const ts_run *run);

/* With --score hybrid: from which T on the start's own score is taken. */
ts_status cli_say_score(cli_progress *progress, ts_run *run, ts_start_kind start);

/* Before a long piece of work: "tstar: about 1:23:00, at most 1.50 GiB of memory: train 1:10:00, ...". */
void cli_say_estimate(cli_progress *progress, const ts_cost *parts, int count);

/* The line of progress for a terminal of that many columns, at most columns - 1 of them: first the bar is
 * shortened, then it goes, then the rate and the phase; the note (the loss) stays as long as anything fits.
 * left: "0:12 left". */
typedef struct cli_progress_line {
    const char *phase, *rate, *left, *note; /* rate and note: "" for none */
    double share;                           /* done, of 1 */
} cli_progress_line;
void cli_progress_text(const cli_progress_line *line, int columns, char *text, size_t size);

/* ---- the process ---- */

/* Threads that wait should sleep soon: starts the program again with that said to libgomp and OpenBLAS, once,
 * unless the environment says how they should wait (waiting.c). */
void cli_set_waiting(char **argv);

/* Man pages (man1/tstar*.1) and completions (tstar.bash, _tstar) of all commands into the folder `dir`; the
 * result is the exit status. */
int cli_write_documents(const char *dir);

#endif
