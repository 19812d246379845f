#include "sweep/results.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Larger than any sweep's results; a file beyond it is not one. */
#define LARGEST_FILE ((size_t)256 << 20)

/* ---- what each struct consists of, told once for writing, reading and CSV ---- */

typedef enum kind { NUMBER, TEXT, STRING } kind;

typedef struct field {
    kind kind;
    const char *name;
    size_t offset, size;
    const char *meaning;
} field;

#define FIELD(kind, type, name, member, meaning)                                                             \
    {                                                                                                        \
        kind, #name, offsetof(type, member), sizeof(((type *)0)->member), meaning                            \
    }
#define ROW(kind, name, member, meaning) FIELD(kind, ts_result_row, name, member, meaning),
#define BIN(name, member)                FIELD(NUMBER, ts_profile_bin, name, member, "")
#define EXACT(name, member)              FIELD(NUMBER, ts_exact_point, name, member, "")
#define FIT(name, member)                FIELD(NUMBER, ts_fit_summary, name, member, "")
#define FLOOR(name)                      FIELD(NUMBER, ts_floor, name, name, "")
#define TOP(kind, name)                  FIELD(kind, ts_results, name, name, "")
#define BEST(kind, name)                 FIELD(kind, ts_best, name, name, "")

/* each ends with an empty field */
static const field row_fields[] = {TS_RESULT_COLUMNS(ROW){0}};

static const field bin_fields[] = {
    BIN(t_low, t_low),
    BIN(t_high, t_high),
    BIN(mse, mse.mean),
    BIN(mse_ci95, mse.half),
    BIN(integrand_nats, integrand.mean),
    BIN(integrand_ci95_nats, integrand.half),
    {0},
};

static const field exact_fields[] = {
    EXACT(T, T),
    EXACT(kl_normal_nats, kl_normal),
    EXACT(K_nats, K),
    {0},
};

static const field fit_fields[] = {
    FIT(T, T), FIT(steps, steps), FIT(skipped, skipped), FIT(loss_nats_per_dim, loss), {0},
};

static const field phase_fields[] = {
    FIELD(TEXT, ts_phase, name, name, ""),
    FIELD(NUMBER, ts_phase, seconds, seconds, ""),
    {0},
};

static const field floor_fields[] = {
    FLOOR(sliced_wasserstein),
    FLOOR(sliced_wasserstein_low),
    FLOOR(sliced_wasserstein_high),
    FLOOR(frechet),
    FLOOR(frechet_low),
    FLOOR(frechet_high),
    {0},
};

static const field best_fields[] = {
    BEST(TEXT, prior), BEST(TEXT, score), BEST(NUMBER, T_star), BEST(NUMBER, T_best), {0},
};

static const field top_fields[] = {
    TOP(STRING, name),
    TOP(STRING, command),
    TOP(STRING, version),
    TOP(STRING, device),
    TOP(STRING, date),
    TOP(STRING, config),
    TOP(NUMBER, seed),
    TOP(NUMBER, threads),
    TOP(NUMBER, h),
    TOP(NUMBER, w),
    TOP(NUMBER, c),
    TOP(NUMBER, levels),
    TOP(NUMBER, train_count),
    TOP(NUMBER, test_count),
    TOP(NUMBER, parameters),
    TOP(NUMBER, steps_per_unit),
    TOP(NUMBER, train_steps),
    TOP(NUMBER, projections),
    {0},
};

/* ---- release and look-up ---- */

void ts_results_release(ts_results *r)
{
    for (const field *f = top_fields; f->name; f++)
        if (f->kind == STRING)
            free(*(char **)((char *)r + f->offset));
    for (int i = 0; i < r->best_count; i++) {
        free(r->best[i].T);
        free(r->best[i].deficit);
        free(r->best[i].deficit_half);
    }
    for (int i = 0; i < r->profile_count; i++)
        free(r->profiles[i].bins);
    free(r->rows);
    free(r->best);
    free(r->profiles);
    free(r->exact);
    free(r->fits);
    free(r->phases);
    memset(r, 0, sizeof *r);
}

static bool matches(const char *wanted, const char *have)
{
    return !wanted || !strcmp(wanted, have);
}

const ts_result_row *ts_results_find(const ts_results *results, double T, const char *prior,
                                     const char *score, const char *sampler)
{
    for (int i = 0; i < results->row_count; i++) {
        const ts_result_row *row = &results->rows[i];
        if (row->T == T && matches(prior, row->prior) && matches(score, row->score) &&
            matches(sampler, row->sampler))
            return row;
    }
    return NULL;
}

const ts_best *ts_results_best(const ts_results *results, const char *prior, const char *score)
{
    for (int i = 0; i < results->best_count; i++)
        if (matches(prior, results->best[i].prior) && matches(score, results->best[i].score))
            return &results->best[i];
    return NULL;
}

void ts_results_columns(ts_result_column_visitor *visitor, void *context)
{
    for (const field *f = row_fields; f->name; f++)
        visitor(context, f->name, f->meaning);
}

/* ---- CSV ---- */

static void print_csv_field(FILE *out, const field *f, const void *row)
{
    const void *at = (const char *)row + f->offset;
    double number;
    if (f->kind == TEXT) {
        fputs(at, out); /* single words: nothing to quote */
        return;
    }
    memcpy(&number, at, sizeof number);
    if (isfinite(number))
        fprintf(out, "%.10g", number);
}

ts_status ts_results_write_csv(const ts_results *results, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return ts_error(TS_NO_MEMORY, "%s: no memory", path);
    for (const field *f = row_fields; f->name; f++)
        fprintf(out, "%s%s", f == row_fields ? "" : ",", f->name);
    fputs("\r\n", out);
    for (int i = 0; i < results->row_count; i++) {
        for (const field *f = row_fields; f->name; f++) {
            if (f != row_fields)
                putc(',', out);
            print_csv_field(out, f, &results->rows[i]);
        }
        fputs("\r\n", out);
    }
    ts_status status =
        fclose(out) ? ts_error(TS_NO_MEMORY, "%s: no memory", path) : ts_file_write(path, text, size);
    free(text);
    return status;
}

/* ---- JSON, writing ---- */

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *pack(const field *fields, const void *from)
{
    json_t *object = json_object();
    for (const field *f = fields; f->name; f++) {
        const void *at = (const char *)from + f->offset;
        json_t *value;
        if (f->kind == NUMBER) {
            value = number_or_null(*(const double *)at);
        } else {
            const char *text = f->kind == TEXT ? (const char *)at : *(char *const *)at;
            value = text ? json_string(text) : json_null();
        }
        json_object_set_new(object, f->name, value);
    }
    return object;
}

static json_t *pack_list(const field *fields, const void *from, int count, size_t size)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, pack(fields, (const char *)from + (size_t)i * size));
    return list;
}

static json_t *pack_best(const ts_best *best)
{
    json_t *set = json_array();
    for (int i = 0; i < best->count; i++)
        json_array_append_new(set, json_pack("{s:o, s:o, s:o}", "T", number_or_null(best->T[i]),
                                             "deficit_nats", number_or_null(best->deficit[i]),
                                             "deficit_ci95_nats", number_or_null(best->deficit_half[i])));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "prior", best->prior, "score", best->score, "T_star",
                     number_or_null(best->T_star), "T_best", number_or_null(best->T_best), "by_T", set);
}

static json_t *pack_profile(const ts_profile *profile)
{
    return json_pack("{s:s, s:o}", "score", profile->score, "bins",
                     pack_list(bin_fields, profile->bins, profile->count, sizeof *profile->bins));
}

static json_t *pack_results(const ts_results *r)
{
    json_t *root = pack(top_fields, r), *best = json_array(), *profiles = json_array();
    for (int i = 0; i < r->best_count; i++)
        json_array_append_new(best, pack_best(&r->best[i]));
    for (int i = 0; i < r->profile_count; i++)
        json_array_append_new(profiles, pack_profile(&r->profiles[i]));
    json_t *reference = pack(floor_fields, &r->floor);
    json_object_set_new(reference, "count", json_integer(r->floor.count));
    json_object_set_new(root, "T_star", best);
    json_object_set_new(root, "rows", pack_list(row_fields, r->rows, r->row_count, sizeof *r->rows));
    json_object_set_new(root, "floor", reference);
    json_object_set_new(root, "profiles", profiles);
    json_object_set_new(root, "exact", pack_list(exact_fields, r->exact, r->exact_count, sizeof *r->exact));
    json_object_set_new(root, "fits", pack_list(fit_fields, r->fits, r->fit_count, sizeof *r->fits));
    json_object_set_new(root, "phases",
                        pack_list(phase_fields, r->phases, r->phase_count, sizeof *r->phases));
    return root;
}

ts_status ts_results_write_json(const ts_results *results, const char *path)
{
    json_t *root = pack_results(results);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (!text)
        return ts_error(TS_NO_MEMORY, "%s: no memory for the results", path);
    ts_status status = ts_file_write(path, text, strlen(text));
    free(text);
    return status;
}

/* ---- JSON, reading ---- */

static ts_status wrong(const char *key, const char *should_be)
{
    return ts_error(TS_FORMAT, "key '%s' should be %s", key, should_be);
}

static ts_status unpack(const field *fields, const json_t *from, void *to)
{
    if (!json_is_object(from))
        return wrong(fields->name, "in an object");
    for (const field *f = fields; f->name; f++) {
        const json_t *value = json_object_get(from, f->name);
        void *at = (char *)to + f->offset;
        if (f->kind == NUMBER) {
            if (!json_is_number(value) && !json_is_null(value))
                return wrong(f->name, "a number or null");
            *(double *)at = json_is_null(value) ? NAN : json_number_value(value);
            continue;
        }
        if (f->kind == STRING && json_is_null(value))
            continue;
        if (!json_is_string(value) || (f->kind == TEXT && json_string_length(value) >= f->size))
            return wrong(f->name, "a (short) string");
        if (f->kind == TEXT)
            strcpy(at, json_string_value(value));
        else if (!(*(char **)at = strdup(json_string_value(value))))
            return ts_error(TS_NO_MEMORY, "no memory");
    }
    return NULL;
}

static ts_status list_of(const json_t *root, const char *key, size_t size, void **memory, int *count)
{
    const json_t *list = json_object_get(root, key);
    if (!json_is_array(list) || json_array_size(list) > 10000000)
        return wrong(key, "a list");
    const size_t n = json_array_size(list);
    *memory = calloc(n ? n : 1, size);
    if (!*memory)
        return ts_error(TS_NO_MEMORY, "no memory");
    *count = (int)n;
    return NULL;
}

static ts_status unpack_list(const field *fields, const json_t *root, const char *key, size_t size,
                             void **memory, int *count)
{
    TS_TRY(list_of(root, key, size, memory, count));
    for (int i = 0; i < *count; i++)
        TS_TRY(ts_context(unpack(fields, json_array_get(json_object_get(root, key), (size_t)i),
                                 (char *)*memory + (size_t)i * size),
                          "%s[%d]", key, i));
    return NULL;
}

static ts_status numbers_of(const json_t *list, int count, const char *key, double **values)
{
    *values = calloc((size_t)count + 1, sizeof **values);
    if (!*values)
        return ts_error(TS_NO_MEMORY, "no memory");
    for (int i = 0; i < count; i++) {
        const json_t *value = json_object_get(json_array_get(list, (size_t)i), key);
        if (!json_is_number(value) && !json_is_null(value))
            return wrong(key, "a number or null");
        (*values)[i] = json_is_null(value) ? NAN : json_number_value(value);
    }
    return NULL;
}

static ts_status unpack_best(const json_t *from, ts_best *best)
{
    TS_TRY(unpack(best_fields, from, best));
    const json_t *set = json_object_get(from, "by_T");
    if (!json_is_array(set) || json_array_size(set) > 100000)
        return wrong("by_T", "a list");
    best->count = (int)json_array_size(set);
    TS_TRY(numbers_of(set, best->count, "T", &best->T));
    TS_TRY(numbers_of(set, best->count, "deficit_nats", &best->deficit));
    return numbers_of(set, best->count, "deficit_ci95_nats", &best->deficit_half);
}

static ts_status unpack_profile(const json_t *from, ts_profile *profile)
{
    const char *score = json_string_value(json_object_get(from, "score"));
    if (!score || strlen(score) >= sizeof profile->score)
        return wrong("score", "a (short) string");
    strcpy(profile->score, score);
    return unpack_list(bin_fields, from, "bins", sizeof *profile->bins, (void **)&profile->bins,
                       &profile->count);
}

static ts_status unpack_results(const json_t *root, ts_results *r)
{
    TS_TRY(unpack(top_fields, root, r));
    TS_TRY(unpack_list(row_fields, root, "rows", sizeof *r->rows, (void **)&r->rows, &r->row_count));
    TS_TRY(unpack_list(exact_fields, root, "exact", sizeof *r->exact, (void **)&r->exact, &r->exact_count));
    TS_TRY(unpack_list(fit_fields, root, "fits", sizeof *r->fits, (void **)&r->fits, &r->fit_count));
    TS_TRY(
        unpack_list(phase_fields, root, "phases", sizeof *r->phases, (void **)&r->phases, &r->phase_count));
    const json_t *reference = json_object_get(root, "floor");
    TS_TRY(ts_context(unpack(floor_fields, reference, &r->floor), "floor"));
    r->floor.count = (int)json_integer_value(json_object_get(reference, "count"));
    TS_TRY(list_of(root, "T_star", sizeof *r->best, (void **)&r->best, &r->best_count));
    for (int i = 0; i < r->best_count; i++)
        TS_TRY(
            ts_context(unpack_best(json_array_get(json_object_get(root, "T_star"), (size_t)i), &r->best[i]),
                       "T_star[%d]", i));
    TS_TRY(list_of(root, "profiles", sizeof *r->profiles, (void **)&r->profiles, &r->profile_count));
    for (int i = 0; i < r->profile_count; i++)
        TS_TRY(ts_context(
            unpack_profile(json_array_get(json_object_get(root, "profiles"), (size_t)i), &r->profiles[i]),
            "profiles[%d]", i));
    return NULL;
}

ts_status ts_results_read_json(const char *path, ts_results *results)
{
    char *text;
    size_t bytes;
    TS_TRY(ts_file_read(path, LARGEST_FILE, &text, &bytes));
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!root)
        return ts_error(TS_FORMAT, "%s:%d: %s", path, error.line, error.text);
    memset(results, 0, sizeof *results);
    ts_status status = ts_context(unpack_results(root, results), "%s", path);
    json_decref(root);
    if (status)
        ts_results_release(results);
    return status;
}
