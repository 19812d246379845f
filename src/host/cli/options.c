/*
 * Parsing the options of every command, and --help, by the table of options.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/utf8.h"
#include "cli/option_table.h"
#include "run/trained.h"

static void print_help(const cli_usage *usage)
{
    printf("Usage: tstar %s %s[OPTIONS]\n\n%s\n\nOptions\n", usage->name, usage->arguments, usage->about);
    for (const cli_option_row *row = cli_option_table; row->name; row++) {
        char left[64], help[CLI_HELP_LIMIT];
        if (!cli_option_is_of(row, usage))
            continue;
        cli_option_help(row, help, sizeof help);
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        printf("  %-24s %s\n", left, help);
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

static bool read_positive(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value) && *value > 0;
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

/* The places in `words` of those in a list with commas; how many, 0 where one is not known (*unknown) or
 * there are more than `most`. */
static int read_words(char *text, const ts_words *words, int most, int *found, const char **unknown)
{
    int count = 0;
    *unknown = NULL;
    for (char *saved, *word = strtok_r(text, ",", &saved); word; word = strtok_r(NULL, ",", &saved)) {
        const int i = ts_words_find(words, word, strlen(word));
        if (i < 0)
            *unknown = word;
        if (i < 0 || count == most)
            return 0;
        found[count++] = i;
    }
    return count;
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

static bool read_starts(char *text, cli_options *o, const char **unknown)
{
    int found[TS_START_COUNT];
    o->start_count = read_words(text, &ts_start_kind_words, TS_START_COUNT, found, unknown);
    for (int i = 0; i < o->start_count; i++)
        o->starts[i] = (ts_start_kind)found[i];
    return o->start_count > 0;
}

static bool read_sampler(char *text, cli_options *o, const char **unknown)
{
    int found = 0;
    o->has_sampler = read_words(text, &ts_sampler_kind_words, 1, &found, unknown) == 1;
    o->sampler = (ts_sampler_kind)found;
    return o->has_sampler;
}

static bool read_score(char *text, cli_options *o, const char **unknown)
{
    int found = 0;
    o->has_score = read_words(text, &ts_score_kind_words, 1, &found, unknown) == 1;
    o->score.kind = (ts_score_kind)found;
    return o->has_score;
}

static bool read_measures(char *text, cli_options *o, const char **unknown)
{
    int found[TS_MEASURE_COUNT];
    const int count = read_words(text, &ts_measure_kind_words, TS_MEASURE_COUNT, found, unknown);
    for (int i = 0; i < count; i++)
        o->measures |= 1u << found[i];
    return count > 0;
}

static bool read_share(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && *value > 0 && *value <= 1;
}

static bool known_device(const char *name)
{
    int unused;
    return ts_words_find(&cli_device_words, name, strlen(name)) >= 0 ||
           (!strncmp(name, "cuda:", 5) && strlen(name) < 10 && read_int(name + 5, 0, &unused));
}

/* What would have been right, or NULL when the value was; `*unknown` gets the word that was not known, where
 * the values are words. */
static const char *take(int code, char *value, cli_options *o, const char **unknown)
{
    switch (code) {
    case OPTION_T:
        return read_T(value, o) ? NULL : "a number such as 0.4, or several with commas";
    case OPTION_START:
        return read_starts(value, o, unknown) ? NULL : ", or several with commas";
    case OPTION_COUNT:
        return read_int(value, 1, &o->count) ? NULL : "a whole number from 1";
    case OPTION_STEPS:
        return read_int(value, 1, &o->steps) ? NULL : "a whole number from 1";
    case OPTION_THREADS:
        return read_int(value, 1, &o->threads) && o->threads <= 4096 ? NULL : "a whole number from 1 to 4096";
    case OPTION_WORKERS:
        return read_int(value, 1, &o->workers) && o->workers <= 4096 ? NULL : "a whole number from 1 to 4096";
    case OPTION_NFE:
        return read_int(value, 1, &o->nfe) ? NULL : "a whole number from 1";
    case OPTION_IMAGES:
        return read_int(value, 1, &o->images) ? NULL : "a whole number from 1";
    case OPTION_SECONDS:
        return read_positive(value, &o->seconds_per_image) ? NULL : "a number above 0, such as 0.01";
    case OPTION_HOURS:
        return read_positive(value, &o->hours) ? NULL : "a number above 0, such as 1.5";
    case OPTION_SAMPLER:
        return read_sampler(value, o, unknown) ? NULL : "";
    case OPTION_SCORE:
        return read_score(value, o, unknown) ? NULL : "";
    case OPTION_HYBRID_AT:
        return read_share(value, &o->score.T) ? NULL : "a number in (0, 1], such as 0.4";
    case OPTION_MEASURES:
        return read_measures(value, o, unknown) ? NULL : ", or several with commas";
    case OPTION_WEIGHTS:
        o->weights = value;
        return *value ? NULL : "a path";
    case OPTION_SAVE_STATISTICS:
        o->save_statistics = value;
        return *value ? NULL : "a path";
    case OPTION_SET:
        if (!strchr(value, '='))
            return "KEY=VALUE, such as train.steps=1000";
        return add_override(o, "", value) ? NULL : "more memory";
    case OPTION_SEED:
        return add_override(o, "seed=", value) ? NULL : "more memory";
    case OPTION_ALGORITHMS:
        o->algorithms = value;
        return *value ? NULL : "a path";
    case OPTION_IN:
        o->in = value;
        return *value ? NULL : "a path";
    case OPTION_OUT:
        o->out = value;
        return *value ? NULL : "a path";
    case OPTION_DEVICE:
        o->device = *unknown = value;
        return known_device(value) ? NULL : " (cuda:INDEX for another than the first)";
    case OPTION_FAST:
        o->fast = true;
        return NULL;
    case OPTION_JSON:
        o->json = true;
        return NULL;
    case OPTION_FORCE:
        o->force = true;
        return NULL;
    case OPTION_RESUME:
        o->resume = true;
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

/* A word that is not UTF-8, which results in JSON must be: the shell's $'...' with such bytes as \xHH. */
static char *append_bytes(char *to, const char *word)
{
    to = stpcpy(to, "$'");
    for (; *word; word++)
        if ((unsigned char)*word >= 0x80 || *word == '\'' || *word == '\\')
            to += sprintf(to, "\\x%02x", (unsigned char)*word);
        else
            *to++ = *word;
    return stpcpy(to, "'");
}

static char *append_quoted(char *to, const char *word)
{
    if (plain(word))
        return stpcpy(to, word);
    if (!ts_is_utf8(word))
        return append_bytes(to, word);
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
        length += 4 * strlen(argv[i]) + 4;
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

/* " (did you mean ...?)" where a word of the list is near. */
static void suggest(const ts_words *words, const char *word, const char *before, char *text, size_t size)
{
    const char *near = word ? ts_closest_word(words, word) : NULL;
    *text = '\0';
    if (near)
        snprintf(text, size, "; did you mean %s%s?", before, near);
}

/* An option that is not there: `word` as it was written, "--stpes=3". */
static int refuse_option(const cli_usage *usage, const char *word)
{
    const char *names[CLI_OPTION_LIMIT];
    char name[64], meant[96];
    ts_words words = {0, names};
    for (const cli_option_row *row = cli_option_table; row->name; row++)
        if (cli_option_is_of(row, usage))
            names[words.count++] = row->name;
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    suggest(&words, name, "--", meant, sizeof meant);
    return refuse(usage, "unknown option %s%s", word, meant);
}

/* A value that an option does not take. */
static int refuse_value(const cli_usage *usage, const cli_option_row *row, const char *value,
                        const char *unknown, const char *right)
{
    char words[160] = "", meant[96] = "";
    if (row->words) {
        ts_words_list(row->words, ", ", " or ", words, sizeof words);
        suggest(row->words, unknown, "", meant, sizeof meant);
    }
    return refuse(usage, "--%s %s: should be %s%s%s", row->name, value, words, right, meant);
}

static const cli_option_row *row_of(int code)
{
    const cli_option_row *row = cli_option_table;
    while (row->name && row->code != code)
        row++;
    return row;
}

/* Takes one option off; -1 to go on, else the exit status. */
static int take_option(const cli_usage *usage, int code, char **argv, cli_options *o)
{
    if (code == OPTION_HELP || code == 'h') {
        print_help(usage);
        return 0;
    }
    if (code == '?')
        return refuse_option(usage, argv[optind - 1]);
    if (code == ':')
        return refuse(usage, "%s needs a value", argv[optind - 1]);
    const cli_option_row *row = row_of(code);
    const char *unknown = NULL;
    char *written = optarg ? strdup(optarg) : NULL; /* the value is taken apart */
    const char *right = take(code, optarg, o, &unknown);
    const int status = right ? refuse_value(usage, row, written ? written : "", unknown, right) : -1;
    free(written);
    return status;
}

static int take_all(const cli_usage *usage, int argc, char **argv, cli_options *o)
{
    struct option accepted[CLI_OPTION_LIMIT] = {0};
    int n = 0;
    for (const cli_option_row *row = cli_option_table; row->name; row++)
        if (cli_option_is_of(row, usage))
            accepted[n++] =
                (struct option){row->name, row->value ? required_argument : no_argument, NULL, row->code};
    opterr = 0;
    optind = 1;
    for (int code;
         (code = getopt_long(argc, argv, usage->takes & CLI_COUNT ? ":hn:" : ":h", accepted, NULL)) != -1;) {
        const int status = take_option(usage, code, argv, o);
        if (status >= 0)
            return status;
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

static void on_data(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "tstar: %s\n", line);
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
                            .on_data = on_data,
                            .on_recording_error = on_recording_error};
}

ts_status cli_hint(ts_status status, ts_code code, const char *hint)
{
    if (ts_status_code(status) != code || !status)
        return status;
    ts_status longer = ts_error(code, "%s; %s", ts_status_message(status), hint);
    ts_status_free(status);
    return longer;
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

ts_status cli_open_trained(const cli_options *options, ts_work work, ts_run **run)
{
    ts_run_options run_options = cli_run_options(options);
    run_options.work = work;
    if (options->score.T > 0 && !(options->has_score && ts_scores[options->score.kind].by_start))
        return ts_error(TS_INVALID, "--hybrid-at goes with --score %s",
                        ts_score_kind_words.word[TS_SCORE_HYBRID]);
    TS_TRY(ts_trained_open(options->arguments[0], options->overrides, options->override_count, !options->raw,
                           &run_options, run));
    if (options->has_score)
        (*run)->choice = &options->score;
    return NULL;
}
