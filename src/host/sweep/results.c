/* The results in memory, and as CSV. */
#include "sweep/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/text.h"
#include "sweep/fields.h"

/* ---- the columns ---- */

#define NUMBER(type, name, member, meaning) TS_FIELD(NUMBER, NULL, type, name, member, meaning)
#define COUNT(type, name, member, meaning)  TS_FIELD(COUNT, NULL, type, name, member, meaning)
#define START(type, name, member, meaning)  TS_FIELD(WORD, &ts_start_kind_words, type, name, member, meaning)
#define SCORE(type, name, member, meaning)  TS_FIELD(WORD, &ts_score_kind_words, type, name, member, meaning)
#define SAMPLER(type, name, member, meaning)                                                                 \
    TS_FIELD(WORD, &ts_sampler_kind_words, type, name, member, meaning)
#define FEATURES(type, name, member, meaning)                                                                \
    TS_FIELD(WORD, &ts_compared_features_words, type, name, member, meaning)
#define BOUND(kind, name, member, meaning)  kind(ts_bound_row, name, member, meaning),
#define SAMPLE(kind, name, member, meaning) kind(ts_sample_row, name, member, meaning),

const ts_field ts_bound_fields[] = {TS_BOUND_COLUMNS(BOUND){0}};
const ts_field ts_sample_fields[] = {TS_SAMPLE_COLUMNS(SAMPLE){0}};

/* The columns by which a bound row is known: T, start, score. */
enum { KEYS = 3 };

void ts_results_columns(ts_result_column_visitor *visitor, void *context)
{
    for (const ts_field *f = ts_bound_fields; f->name; f++)
        visitor(context, f->name, f->meaning);
    for (const ts_field *f = ts_sample_fields; f->name; f++)
        visitor(context, f->name, f->meaning);
}

/* ---- the grid ---- */

static void *copy_of(const void *list, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    return copy ? memcpy(copy, list, bytes) : NULL;
}

static void name_rows(ts_results *r)
{
    const ts_interval unknown = {NAN, NAN};
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        const int T = i / r->start_count % r->T_count;
        r->bounds[i] = (ts_bound_row){.T = r->T[T],
                                      .start = r->starts[i % r->start_count],
                                      .score = r->scores[i / r->start_count / r->T_count],
                                      .terms = {r->T[T], unknown, unknown, unknown, unknown, unknown},
                                      .start_error = unknown,
                                      .kl_prior = unknown,
                                      .K = unknown,
                                      .data = NAN,
                                      .ode_log_prob = unknown,
                                      .ode_bpd = unknown,
                                      .ode_nfe = NAN};
        for (int k = 0; k < r->sampler_count; k++)
            r->samples[i * r->sampler_count + k] = (ts_sample_row){.sampler = r->samplers[k],
                                                                   .images = NAN,
                                                                   .steps = NAN,
                                                                   .nfe = NAN,
                                                                   .seconds_per_image = unknown,
                                                                   .start_seconds = NAN,
                                                                   .sliced_wasserstein = unknown,
                                                                   .frechet = unknown,
                                                                   .fid = unknown,
                                                                   .kid = unknown,
                                                                   .precision = unknown,
                                                                   .recall = unknown,
                                                                   .fid_infinity = NAN};
    }
}

ts_status ts_results_make(ts_results *r, int score_count, const ts_score_kind *scores, int T_count,
                          const double *T, int start_count, const ts_start_kind *starts, int sampler_count,
                          const ts_sampler_entry *samplers)
{
    const size_t rows = (size_t)score_count * (size_t)T_count * (size_t)start_count;
    r->score_count = score_count;
    r->T_count = T_count;
    r->start_count = start_count;
    r->sampler_count = sampler_count;
    r->scores = copy_of(scores, (size_t)score_count * sizeof *scores);
    r->T = copy_of(T, (size_t)T_count * sizeof *T);
    r->starts = copy_of(starts, (size_t)start_count * sizeof *starts);
    r->samplers = copy_of(samplers, (size_t)sampler_count * sizeof *samplers);
    r->bounds = calloc(rows + 1, sizeof *r->bounds);
    r->samples = calloc(rows * (size_t)sampler_count + 1, sizeof *r->samples);
    if (!r->scores || !r->T || !r->starts || !r->samplers || !r->bounds || !r->samples)
        return ts_error(TS_NO_MEMORY, "no memory for %zu rows of results", rows);
    name_rows(r);
    return NULL;
}

int ts_results_start_index(const ts_results *results, ts_start_kind start)
{
    for (int i = 0; i < results->start_count; i++)
        if (results->starts[i] == start)
            return i;
    return -1;
}

int ts_results_T_index(const ts_results *results, double T)
{
    for (int i = 0; i < results->T_count; i++)
        if (results->T[i] == T)
            return i;
    return -1;
}

void ts_results_release(ts_results *r)
{
    for (int i = 0; i < r->finding_count; i++)
        free(r->findings[i].points);
    for (int i = 0; i < r->profile_count; i++)
        free(r->profiles[i].bins);
    void *memory[] = {r->name,
                      r->command,
                      r->version,
                      r->device,
                      r->date,
                      r->config,
                      r->T,
                      r->scores,
                      r->starts,
                      r->bounds,
                      r->samples,
                      r->samplers,
                      r->profiles,
                      r->gains,
                      r->findings,
                      r->exact,
                      r->fits,
                      r->phases,
                      r->costs.evaluations,
                      r->costs.starts};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    memset(r, 0, sizeof *r);
}

void ts_samples_name(double T, ts_start_kind start, ts_score_kind score, const ts_sampler_entry *sampler,
                     char name[128])
{
    char text[32], budget[32] = "";
    ts_T_text(T, text);
    if (isfinite(sampler->budget))
        snprintf(budget, sizeof budget, "_nfe%.0f", sampler->budget);
    snprintf(name, 128, "T%s_%s_%s_%s%s", text, ts_start_kind_words.word[start],
             ts_score_kind_words.word[score], ts_sampler_kind_words.word[sampler->kind], budget);
}

/* ---- CSV ---- */

/* Words need no quotes. */
static void print_value(FILE *out, const ts_field *f, const void *row)
{
    const void *at = (const char *)row + f->offset;
    if (f->kind == TS_FIELD_WORD)
        fputs(f->words->word[*(const unsigned *)at], out);
    else if (isfinite(*(const double *)at))
        fprintf(out, "%.10g", *(const double *)at);
}

/* `count` fields, or all; a header where there is no row. */
static void print_fields(FILE *out, const ts_field *fields, int count, const void *row, bool first)
{
    for (const ts_field *f = fields; f->name && f - fields < count; f++) {
        if (!first || f != fields)
            putc(',', out);
        if (row)
            print_value(out, f, row);
        else
            fputs(f->name, out);
    }
}

/* The first `columns` of the bound's, and where asked for the sampler's behind them; row < 0: the header. */
static void print_line(FILE *out, const ts_results *r, int columns, bool samples, int row)
{
    const int bound = samples && row >= 0 ? row / r->sampler_count : row;
    print_fields(out, ts_bound_fields, columns, row < 0 ? NULL : &r->bounds[bound], true);
    if (samples)
        print_fields(out, ts_sample_fields, INT32_MAX, row < 0 ? NULL : &r->samples[row], false);
    fputs("\r\n", out);
}

static ts_status write_csv(const ts_results *r, const char *dir, const char *name, int columns, bool samples)
{
    const int rows = ts_results_bound_count(r) * (samples ? r->sampler_count : 1);
    char *path, *content = NULL;
    size_t size;
    ts_text text;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = ts_text_open(&text);
    if (!status) {
        for (int row = -1; row < rows; row++)
            print_line(text.out, r, columns, samples, row);
        status = ts_text_finish(&text, &content, &size);
    }
    if (!status)
        status = ts_file_write(path, content, size);
    free(content);
    free(path);
    return status;
}

ts_status ts_results_write_csv(const ts_results *results, const char *dir)
{
    TS_TRY(write_csv(results, dir, "bound.csv", INT32_MAX, false));
    TS_TRY(write_csv(results, dir, "samples.csv", KEYS, true));
    return write_csv(results, dir, "sweep.csv", INT32_MAX, true);
}
