/*
 * The options of every command: one table makes the parser and --help.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"

enum {
    OPTION_HELP = 256,
    OPTION_SET,
    OPTION_SEED,
    OPTION_DEVICE,
    OPTION_THREADS,
    OPTION_FAST,
    OPTION_JSON,
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
    OPTION_COUNT = 'n'
};

typedef struct option_row {
    const char *name, *value; /* value: what stands after the name in --help; NULL: a switch */
    int code;
    unsigned takes; /* 0: every command */
    const char *help;
} option_row;

static const option_row table[] = {
    {"T", "T[,T...]", OPTION_T, CLI_T, "diffusion time, or several"},
    {"start", "DENSITY[,...]", OPTION_START, CLI_START,
     "start density: normal, glow, or (mixture data) mixture"},
    {"count", "N", OPTION_COUNT, CLI_COUNT, "how many (also -n N)"},
    {"sampler", "NAME", OPTION_SAMPLER, CLI_SAMPLER, "em, heun, rk45 or dpmpp2m"},
    {"steps", "N", OPTION_STEPS, CLI_STEPS, "steps to time"},
    {"algorithms", "FILE", OPTION_ALGORITHMS, CLI_ALGORITHMS,
     "algorithms that the device chose: read if the file is there, written afterwards"},
    {"recording-off", NULL, OPTION_RECORDING_OFF, CLI_RECORDING_OFF,
     "queue every kernel by itself: profilers then show phases and layers"},
    {"out", "PATH", OPTION_OUT, CLI_OUT, "where the results go"},
    {"resume", NULL, OPTION_RESUME, CLI_RESUME, "continue from the last checkpoint"},
    {"force", NULL, OPTION_FORCE, CLI_FORCE, "replace what was finished with other settings"},
    {"raw-weights", NULL, OPTION_RAW, CLI_RAW, "the weights themselves, not their average"},
    {"keys", NULL, OPTION_KEYS, CLI_KEYS, "list every key of a configuration"},
    {"markdown", NULL, OPTION_MARKDOWN, CLI_MARKDOWN, "as a Markdown table"},
    {"set", "KEY=VALUE", OPTION_SET, CLI_SET, "override a key of the configuration; repeatable"},
    {"seed", "N", OPTION_SEED, CLI_SET, "the same as --set seed=N"},
    {"device", "NAME", OPTION_DEVICE, CLI_DEVICE, "cpu, cuda, cuda:INDEX or auto (the default)"},
    {"threads", "N", OPTION_THREADS, CLI_DEVICE, "CPU threads (default: all)"},
    {"fast", NULL, OPTION_FAST, CLI_DEVICE, "reduced precision where the device has it"},
    {"json", NULL, OPTION_JSON, CLI_JSON, "print the result as JSON"},
    {"help", NULL, OPTION_HELP, 0, "print this"},
};
enum { TABLE_SIZE = sizeof table / sizeof *table };

static bool has(const cli_usage *usage, const option_row *row)
{
    return !row->takes || (usage->takes & row->takes);
}

static void print_help(const cli_usage *usage)
{
    printf("Usage: tstar %s %s[OPTIONS]\n\n%s\n\nOptions\n", usage->name, usage->arguments, usage->about);
    for (int i = 0; i < TABLE_SIZE; i++) {
        char left[64];
        if (!has(usage, &table[i]))
            continue;
        snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].value ? " " : "",
                 table[i].value ? table[i].value : "");
        printf("  %-24s %s\n", left, table[i].help);
    }
    if (usage->takes & CLI_SET)
        printf("\nEvery key of a configuration: tstar info --keys\n");
}

/* ---- values ---- */

static bool read_int(const char *text, int least, int *value)
{
    char *end;
    errno = 0;
    const long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < least || v > 2147483647L)
        return false;
    *value = (int)v;
    return true;
}

static bool read_T(const char *text, cli_options *o)
{
    o->T_count = 0;
    for (const char *p = text;; p++) {
        char *end;
        const double T = strtod(p, &end);
        double *grown = realloc(o->T, ((size_t)o->T_count + 1) * sizeof *grown);
        if (!grown)
            return false;
        o->T = grown;
        if (end == p || (*end && *end != ',') || !isfinite(T))
            return false;
        o->T[o->T_count++] = T;
        if (!*end)
            return true;
        p = end;
    }
}

static bool read_starts(char *text, cli_options *o)
{
    o->start_count = 0;
    for (char *saved, *word = strtok_r(text, ",", &saved); word; word = strtok_r(NULL, ",", &saved)) {
        const int found = ts_words_find(&ts_start_kind_words, word, strlen(word));
        if (found < 0 || o->start_count == TS_START_COUNT)
            return false;
        o->starts[o->start_count++] = (ts_start_kind)found;
    }
    return o->start_count > 0;
}

static bool add_override(cli_options *o, const char *prefix, const char *text)
{
    const char **grown = realloc(o->overrides, ((size_t)o->override_count + 1) * sizeof *grown);
    char *copy = malloc(strlen(prefix) + strlen(text) + 1);
    if (grown)
        o->overrides = grown;
    if (!grown || !copy) {
        free(copy);
        return false;
    }
    strcpy(stpcpy(copy, prefix), text);
    o->overrides[o->override_count++] = copy;
    return true;
}

static bool read_sampler(const char *name, cli_options *o)
{
    const int found = ts_words_find(&ts_sampler_kind_words, name, strlen(name));
    o->has_sampler = found >= 0;
    o->sampler = found < 0 ? 0 : (ts_sampler_kind)found;
    return found >= 0;
}

/* What would have been right, or NULL when the value was. */
static const char *take(int code, char *value, cli_options *o)
{
    switch (code) {
    case OPTION_T:
        return read_T(value, o) ? NULL : "a number such as 0.4, or several with commas";
    case OPTION_START:
        return read_starts(value, o) ? NULL : "normal, glow or mixture, or several with commas";
    case OPTION_COUNT:
        return read_int(value, 1, &o->count) ? NULL : "a whole number from 1";
    case OPTION_STEPS:
        return read_int(value, 1, &o->steps) ? NULL : "a whole number from 1";
    case OPTION_THREADS:
        return read_int(value, 1, &o->threads) && o->threads <= 4096 ? NULL : "a whole number from 1 to 4096";
    case OPTION_SAMPLER:
        return read_sampler(value, o) ? NULL : "em, heun, rk45 or dpmpp2m";
    case OPTION_SET:
        if (!strchr(value, '='))
            return "KEY=VALUE, such as train.steps=1000";
        return add_override(o, "", value) ? NULL : "more memory";
    case OPTION_SEED:
        return add_override(o, "seed=", value) ? NULL : "more memory";
    case OPTION_ALGORITHMS:
        o->algorithms = value;
        return *value ? NULL : "a path";
    case OPTION_OUT:
        o->out = value;
        return *value ? NULL : "a path";
    case OPTION_DEVICE:
        o->device = value;
        return NULL;
    case OPTION_FAST:
        o->fast = true;
        return NULL;
    case OPTION_JSON:
        o->json = true;
        return NULL;
    case OPTION_RESUME:
        o->resume = true;
        return NULL;
    case OPTION_FORCE:
        o->force = true;
        return NULL;
    case OPTION_RECORDING_OFF:
        o->recording_off = true;
        return NULL;
    case OPTION_RAW:
        o->raw = true;
        return NULL;
    case OPTION_KEYS:
        o->keys = true;
        return NULL;
    default:
        o->markdown = true;
        return NULL;
    }
}

/* ---- the command line as it was, for the record of a run ---- */

static bool plain(const char *word)
{
    return *word &&
           strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=.,/:+@%") ==
               strlen(word);
}

static char *append_quoted(char *to, const char *word)
{
    if (plain(word))
        return stpcpy(to, word);
    *to++ = '\'';
    for (; *word; word++)
        if (*word == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *word;
    *to++ = '\'';
    *to = '\0';
    return to;
}

static char *quote_command(int argc, char **argv)
{
    size_t length = sizeof "tstar";
    for (int i = 0; i < argc; i++)
        length += 4 * strlen(argv[i]) + 3;
    char *text = malloc(length);
    if (!text)
        return NULL;
    char *end = stpcpy(text, "tstar");
    for (int i = 0; i < argc; i++) {
        *end++ = ' ';
        end = append_quoted(end, argv[i]);
    }
    return text;
}

/* ---- parsing ---- */

static int refuse(const cli_usage *usage, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const cli_usage *usage, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "tstar %s: ", usage->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, " (see tstar %s --help)\n", usage->name);
    va_end(list);
    return 2;
}

static int take_all(const cli_usage *usage, int argc, char **argv, cli_options *o)
{
    struct option accepted[TABLE_SIZE + 1] = {0};
    for (int i = 0, n = 0; i < TABLE_SIZE; i++)
        if (has(usage, &table[i]))
            accepted[n++] = (struct option){table[i].name, table[i].value ? required_argument : no_argument,
                                            NULL, table[i].code};
    opterr = 0;
    optind = 1;
    for (int code;
         (code = getopt_long(argc, argv, usage->takes & CLI_COUNT ? ":hn:" : ":h", accepted, NULL)) != -1;) {
        if (code == OPTION_HELP || code == 'h') {
            print_help(usage);
            return 0;
        }
        if (code == '?')
            return refuse(usage, "unknown option %s", argv[optind - 1]);
        if (code == ':')
            return refuse(usage, "%s needs a value", argv[optind - 1]);
        const char *right = take(code, optarg, o);
        for (int i = 0; right && i < TABLE_SIZE; i++)
            if (table[i].code == code)
                return refuse(usage, "--%s %s: should be %s", table[i].name, optarg, right);
    }
    for (int i = optind; i < argc; i++) {
        if (o->argument_count == usage->most)
            return refuse(usage, "unexpected argument %s", argv[i]);
        o->arguments[o->argument_count++] = argv[i];
    }
    if (o->argument_count < usage->least)
        return refuse(usage, "%smissing; usage: tstar %s %s", usage->arguments, usage->name,
                      usage->arguments);
    return -1;
}

int cli_parse(const cli_usage *usage, int argc, char **argv, cli_options *options)
{
    *options = (cli_options){.device = "auto", .command = quote_command(argc, argv)};
    const int status = take_all(usage, argc, argv, options);
    if (status >= 0)
        cli_options_free(options);
    return status;
}

void cli_options_free(cli_options *options)
{
    for (int i = 0; i < options->override_count; i++)
        free((char *)options->overrides[i]);
    free(options->overrides);
    free(options->T);
    free(options->command);
    *options = (cli_options){0};
}

void cli_on_fallback(const char *why)
{
    fprintf(stderr, "tstar: running on the CPU: %s\n", why);
}

static void on_recording_error(const char *why)
{
    fprintf(stderr, "tstar: the device did not record its work, which takes longer so: %s\n", why);
}

ts_run_options cli_run_options(const cli_options *options)
{
    return (ts_run_options){.device = options->device,
                            .device_options = {.threads = options->threads, .fast = options->fast},
                            .command = options->command,
                            .on_fallback = cli_on_fallback,
                            .on_recording_error = on_recording_error};
}

int cli_finish(ts_status status)
{
    if (!status)
        return 0;
    const int exit_status = ts_status_code(status) == TS_INTERRUPTED ? 130 : ts_status_exit(status);
    fprintf(stderr, "tstar: %s\n", ts_status_message(status));
    const bool no_memory = ts_status_code(status) == TS_NO_MEMORY;
    ts_status_free(status);
    /* OpenBLAS's threads try for ever to allocate their buffers, and its shutdown waits for them */
    if (no_memory && !fflush(NULL))
        _exit(exit_status);
    return exit_status;
}
