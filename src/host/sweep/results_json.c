/* The results as sweep.json, and back. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "config/json.h"
#include "sweep/fields.h"

/* Larger than any sweep's results; a file beyond it is not one. */
#define LARGEST_FILE ((size_t)256 << 20)
enum { MOST_ROWS = 10000000 };

#define NUMBER(type, name, member) TS_FIELD(NUMBER, NULL, type, name, member, "")
/* NAME and NAME_ci95. */
#define INTERVAL(type, name, member) NUMBER(type, name, member.mean), NUMBER(type, name##_ci95, member.half)
#define COUNT(type, name, member)    TS_FIELD(COUNT, NULL, type, name, member, "")
#define TOP(kind, name)              TS_FIELD(kind, NULL, ts_results, name, name, "")

/* each ends with an empty field */
static const ts_field bin_fields[] = {
    NUMBER(ts_profile_bin, t_low, t_low),
    NUMBER(ts_profile_bin, t_high, t_high),
    INTERVAL(ts_profile_bin, mse, mse),
    NUMBER(ts_profile_bin, integrand_nats, integrand.mean),
    NUMBER(ts_profile_bin, integrand_ci95_nats, integrand.half),
    {0},
};

static const ts_field exact_fields[] = {
    NUMBER(ts_exact_point, T, T),
    NUMBER(ts_exact_point, kl_normal_nats, kl_normal),
    NUMBER(ts_exact_point, K_nats, K),
    {0},
};

static const ts_field gain_fields[] = {
    NUMBER(ts_gain, T, T),
    NUMBER(ts_gain, gain_nats, nats.mean),
    NUMBER(ts_gain, gain_ci95_nats, nats.half),
    {0},
};

static const ts_field fit_fields[] = {
    TS_FIELD(WORD, &ts_start_kind_words, ts_fit_summary, start, start, ""),
    NUMBER(ts_fit_summary, T, T),
    COUNT(ts_fit_summary, steps, steps),
    COUNT(ts_fit_summary, skipped, skipped),
    NUMBER(ts_fit_summary, loss_nats_per_dim, loss),
    NUMBER(ts_fit_summary, seconds, seconds),
    {0},
};

static const ts_field phase_fields[] = {
    TS_FIELD(TEXT, NULL, ts_phase, name, name, ""),
    NUMBER(ts_phase, seconds, seconds),
    {0},
};

static const ts_field floor_fields[] = {
    COUNT(ts_floor, count, count),
    COUNT(ts_floor, images, images),
    INTERVAL(ts_floor, sliced_wasserstein, sliced_wasserstein),
    NUMBER(ts_floor, sliced_wasserstein_low, sliced_wasserstein_low),
    NUMBER(ts_floor, sliced_wasserstein_high, sliced_wasserstein_high),
    INTERVAL(ts_floor, frechet, frechet),
    NUMBER(ts_floor, frechet_low, frechet_low),
    NUMBER(ts_floor, frechet_high, frechet_high),
    INTERVAL(ts_floor, fid, fid),
    INTERVAL(ts_floor, kid, kid),
    INTERVAL(ts_floor, precision, precision),
    INTERVAL(ts_floor, recall, recall),
    {0},
};

static const ts_field finding_fields[] = {
    TS_FIELD(WORD, &ts_start_kind_words, ts_finding, start, start, ""),
    TS_FIELD(WORD, &ts_score_kind_words, ts_finding, score, score, ""),
    NUMBER(ts_finding, T_best, T_best),
    NUMBER(ts_finding, T_best_low, T_best_low),
    NUMBER(ts_finding, T_best_high, T_best_high),
    NUMBER(ts_finding, tolerance_bpd, tolerance),
    NUMBER(ts_finding, T_star, T_star),
    NUMBER(ts_finding, T_star_low, T_star_low),
    NUMBER(ts_finding, T_star_high, T_star_high),
    TS_FIELD(FLAG, NULL, ts_finding, tie, tie, ""),
    COUNT(ts_finding, seeds, seeds),
    NUMBER(ts_finding, between_seeds_bpd, between),
    {0},
};

static const ts_field point_fields[] = {
    NUMBER(ts_finding_point, T, T),
    INTERVAL(ts_finding_point, bpd, bpd),
    NUMBER(ts_finding_point, bpd_band, bpd_band),
    NUMBER(ts_finding_point, prior_nats, prior.mean),
    NUMBER(ts_finding_point, prior_ci95_nats, prior.half),
    NUMBER(ts_finding_point, prior_band_nats, prior_band),
    NUMBER(ts_finding_point, diffusion_nats, diffusion.mean),
    NUMBER(ts_finding_point, diffusion_ci95_nats, diffusion.half),
    NUMBER(ts_finding_point, network_nats, network.mean),
    NUMBER(ts_finding_point, network_ci95_nats, network.half),
    NUMBER(ts_finding_point, network_band_nats, network_band),
    INTERVAL(ts_finding_point, network_error, network_error),
    INTERVAL(ts_finding_point, start_error, start_error),
    NUMBER(ts_finding_point, loss_bpd, loss),
    NUMBER(ts_finding_point, loss_low_bpd, loss_low),
    NUMBER(ts_finding_point, loss_high_bpd, loss_high),
    NUMBER(ts_finding_point, chance_of_best, chance),
    {0},
};

static const ts_field profile_fields[] = {
    TS_FIELD(WORD, &ts_score_kind_words, ts_profile, score, score, ""),
    NUMBER(ts_profile, T, T),
    {0},
};

static const ts_field sampler_fields[] = {
    TS_FIELD(WORD, &ts_sampler_kind_words, ts_sampler_entry, sampler, kind, ""),
    COUNT(ts_sampler_entry, budget, budget),
    {0},
};

static const ts_field top_fields[] = {
    TOP(STRING, name),
    TOP(STRING, command),
    TOP(STRING, version),
    TOP(STRING, device),
    TOP(STRING, date),
    TS_FIELD(WORD, &ts_sde_kind_words, ts_results, sde, sde, ""),
    TOP(COUNT, seed),
    TOP(COUNT, threads),
    TOP(COUNT, h),
    TOP(COUNT, w),
    TOP(COUNT, c),
    TOP(COUNT, levels),
    TOP(COUNT, train_count),
    TOP(COUNT, test_count),
    TOP(COUNT, parameters),
    TOP(COUNT, block),
    TOP(NUMBER, steps_per_unit),
    TOP(COUNT, train_steps),
    TOP(COUNT, projections),
    {0},
};

/* ---- writing ---- */

static json_t *value_of(const ts_field *f, const void *at)
{
    const double number = f->kind == TS_FIELD_NUMBER || f->kind == TS_FIELD_COUNT ? *(const double *)at : 0;
    const char *text = f->kind == TS_FIELD_TEXT ? at : f->kind == TS_FIELD_STRING ? *(char *const *)at : NULL;
    switch (f->kind) {
    case TS_FIELD_NUMBER:
        return isfinite(number) ? json_real(number) : json_null();
    case TS_FIELD_COUNT:
        return isfinite(number) ? json_integer((json_int_t)number) : json_null();
    case TS_FIELD_FLAG:
        return json_boolean(*(const bool *)at);
    case TS_FIELD_WORD:
        return json_string(f->words->word[*(const unsigned *)at]);
    default:
        return text ? json_string(text) : json_null();
    }
}

static json_t *pack(json_t *object, const ts_field *fields, const void *from)
{
    for (const ts_field *f = fields; f->name; f++)
        json_object_set_new(object, f->name, value_of(f, (const char *)from + f->offset));
    return object;
}

static json_t *pack_list(const ts_field *fields, const void *from, int count, size_t size)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, pack(json_object(), fields, (const char *)from + (size_t)i * size));
    return list;
}

/* A list of the struct's as a member of the object. */
#define PACK_LIST(object, key, fields, list, count)                                                          \
    json_object_set_new(object, key, pack_list(fields, list, count, sizeof *(list)))

static json_t *pack_words(const ts_words *words, const unsigned *kinds, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_string(words->word[kinds[i]]));
    return list;
}

/* The rows of samples.csv: each says whose it is. */
static json_t *pack_samples(const ts_results *r)
{
    json_t *list = json_array();
    for (int i = 0; i < ts_results_bound_count(r) * r->sampler_count; i++) {
        const ts_bound_row *bound = &r->bounds[i / r->sampler_count];
        json_t *row =
            json_pack("{s:f, s:s, s:s}", "T", bound->T, "start", ts_start_kind_words.word[bound->start],
                      "score", ts_score_kind_words.word[bound->score]);
        json_array_append_new(list, pack(row, ts_sample_fields, &r->samples[i]));
    }
    return list;
}

static json_t *pack_finding(const ts_finding *finding)
{
    json_t *object = pack(json_object(), finding_fields, finding);
    PACK_LIST(object, "by_T", point_fields, finding->points, finding->count);
    return object;
}

static json_t *pack_profile(const ts_profile *profile)
{
    json_t *object = pack(json_object(), profile_fields, profile);
    PACK_LIST(object, "bins", bin_fields, profile->bins, profile->count);
    return object;
}

static json_t *pack_costs(const ts_costs *costs)
{
    json_t *object = pack(json_object(), ts_cost_fields, costs);
    PACK_LIST(object, "evaluations", ts_evaluation_cost_fields, costs->evaluations, costs->evaluation_count);
    PACK_LIST(object, "starts", ts_start_cost_fields, costs->starts, costs->start_count);
    return object;
}

static json_t *pack_results(const ts_results *r)
{
    json_t *root = pack(json_object(), top_fields, r), *findings = json_array(), *profiles = json_array();
    json_t *times = json_array();
    for (int i = 0; i < r->T_count; i++)
        json_array_append_new(times, json_real(r->T[i]));
    for (int i = 0; i < r->finding_count; i++)
        json_array_append_new(findings, pack_finding(&r->findings[i]));
    for (int i = 0; i < r->profile_count; i++)
        json_array_append_new(profiles, pack_profile(&r->profiles[i]));
    json_object_set_new(root, "T", times);
    json_object_set_new(root, "scores", pack_words(&ts_score_kind_words, r->scores, r->score_count));
    json_object_set_new(root, "starts", pack_words(&ts_start_kind_words, r->starts, r->start_count));
    PACK_LIST(root, "samplers", sampler_fields, r->samplers, r->sampler_count);
    json_object_set_new(root, "findings", findings);
    PACK_LIST(root, "bound", ts_bound_fields, r->bounds, ts_results_bound_count(r));
    json_object_set_new(root, "samples", pack_samples(r));
    json_object_set_new(root, "floor", pack(json_object(), floor_fields, &r->floor));
    json_object_set_new(root, "costs", pack_costs(&r->costs));
    json_object_set_new(root, "profiles", profiles);
    PACK_LIST(root, "gains_per_T", gain_fields, r->gains, r->gain_count);
    PACK_LIST(root, "exact", exact_fields, r->exact, r->exact_count);
    PACK_LIST(root, "fits", fit_fields, r->fits, r->fit_count);
    PACK_LIST(root, "phases", phase_fields, r->phases, r->phase_count);
    return root;
}

static ts_status path_of(const char *dir, char **path)
{
    return asprintf(path, "%s/sweep.json", dir) < 0 ? ts_error(TS_NO_MEMORY, "no memory for a path") : NULL;
}

static ts_status pack_config(const ts_results *results, json_t **json)
{
    ts_config *config;
    TS_TRY(ts_config_parse(results->config, "sweep.json", &config));
    ts_status status = ts_config_json(config, json);
    ts_config_free(config);
    return status;
}

ts_status ts_results_write_json(const ts_results *results, const char *dir)
{
    json_t *config;
    char *path;
    TS_TRY(pack_config(results, &config));
    json_t *root = pack_results(results);
    json_object_set_new(root, "config", config);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (!text)
        return ts_error(TS_NO_MEMORY, "no memory for the results");
    ts_status status = path_of(dir, &path);
    if (!status) {
        status = ts_file_write(path, text, strlen(text));
        free(path);
    }
    free(text);
    return status;
}

/* ---- reading ---- */

static ts_status wrong(const char *key, const char *should_be)
{
    return ts_error(TS_FORMAT, "key '%s' should be %s", key, should_be);
}

static ts_status read_word(const char *key, const json_t *value, const ts_words *words, unsigned *kind)
{
    char list[256];
    const int found = json_is_string(value)
                          ? ts_words_find(words, json_string_value(value), json_string_length(value))
                          : -1;
    ts_words_list(words, ", ", " or ", list, sizeof list);
    if (found < 0)
        return wrong(key, list);
    *kind = (unsigned)found;
    return NULL;
}

static ts_status read_value(const ts_field *f, const json_t *value, void *at)
{
    switch (f->kind) {
    case TS_FIELD_NUMBER:
    case TS_FIELD_COUNT:
        if (!json_is_number(value) && !json_is_null(value))
            return wrong(f->name, "a number or null");
        *(double *)at = json_is_null(value) ? NAN : json_number_value(value);
        return NULL;
    case TS_FIELD_FLAG:
        if (!json_is_boolean(value))
            return wrong(f->name, "true or false");
        *(bool *)at = json_is_true(value);
        return NULL;
    case TS_FIELD_WORD:
        return read_word(f->name, value, f->words, at);
    case TS_FIELD_TEXT:
        if (!json_is_string(value) || json_string_length(value) >= f->size)
            return wrong(f->name, "a (short) string");
        strcpy(at, json_string_value(value));
        return NULL;
    case TS_FIELD_STRING:
        if (json_is_null(value))
            return NULL;
        if (!json_is_string(value))
            return wrong(f->name, "a string");
        *(char **)at = strdup(json_string_value(value));
        return *(char **)at ? NULL : ts_error(TS_NO_MEMORY, "no memory");
    }
    return NULL;
}

static ts_status unpack(const ts_field *fields, const json_t *from, void *to)
{
    if (!json_is_object(from))
        return wrong(fields->name, "in an object");
    for (const ts_field *f = fields; f->name; f++)
        TS_TRY(read_value(f, json_object_get(from, f->name), (char *)to + f->offset));
    return NULL;
}

static ts_status list_of(const json_t *root, const char *key, size_t size, void **memory, int *count)
{
    const json_t *list = json_object_get(root, key);
    if (!json_is_array(list) || json_array_size(list) > MOST_ROWS)
        return wrong(key, "a list");
    const size_t n = json_array_size(list);
    *memory = calloc(n + 1, size);
    if (!*memory)
        return ts_error(TS_NO_MEMORY, "no memory");
    *count = (int)n;
    return NULL;
}

static ts_status unpack_list(const ts_field *fields, const json_t *root, const char *key, size_t size,
                             void **memory, int *count)
{
    TS_TRY(list_of(root, key, size, memory, count));
    const json_t *list = json_object_get(root, key);
    for (int i = 0; i < *count; i++)
        TS_TRY(ts_context(unpack(fields, json_array_get(list, (size_t)i), (char *)*memory + (size_t)i * size),
                          "%s[%d]", key, i));
    return NULL;
}

static ts_status unpack_words(const json_t *root, const char *key, const ts_words *words, unsigned **kinds,
                              int *count)
{
    TS_TRY(list_of(root, key, sizeof **kinds, (void **)kinds, count));
    for (int i = 0; i < *count; i++) {
        TS_TRY(read_word(key, json_array_get(json_object_get(root, key), (size_t)i), words, &(*kinds)[i]));
        for (int k = 0; k < i; k++)
            if ((*kinds)[k] == (*kinds)[i])
                return wrong(key, "a list without repetition");
    }
    return *count ? NULL : wrong(key, "a list with at least one entry");
}

static ts_status unpack_times(const json_t *root, double **T, int *count)
{
    TS_TRY(list_of(root, "T", sizeof **T, (void **)T, count));
    for (int i = 0; i < *count; i++) {
        const json_t *value = json_array_get(json_object_get(root, "T"), (size_t)i);
        if (!json_is_number(value))
            return wrong("T", "a list of numbers");
        (*T)[i] = json_number_value(value);
    }
    return NULL;
}

static bool same_sampler(const ts_sampler_entry *a, const ts_sampler_entry *b)
{
    return a->kind == b->kind && (a->budget == b->budget || (isnan(a->budget) && isnan(b->budget)));
}

static ts_status unpack_samplers(const json_t *root, ts_sampler_entry **samplers, int *count)
{
    TS_TRY(unpack_list(sampler_fields, root, "samplers", sizeof **samplers, (void **)samplers, count));
    for (int i = 0; i < *count; i++)
        for (int k = 0; k < i; k++)
            if (same_sampler(&(*samplers)[k], &(*samplers)[i]))
                return wrong("samplers", "a list without repetition");
    return *count ? NULL : wrong("samplers", "a list with at least one entry");
}

/* The grid, from its lists. */
static ts_status unpack_grid(const json_t *root, ts_results *r)
{
    unsigned *scores = NULL, *starts = NULL;
    ts_sampler_entry *samplers = NULL;
    double *T = NULL;
    int score_count = 0, start_count = 0, sampler_count = 0, T_count = 0;
    ts_status status;
    TS_GOTO(unpack_words(root, "scores", &ts_score_kind_words, &scores, &score_count), done);
    TS_GOTO(unpack_words(root, "starts", &ts_start_kind_words, &starts, &start_count), done);
    TS_GOTO(unpack_samplers(root, &samplers, &sampler_count), done);
    TS_GOTO(unpack_times(root, &T, &T_count), done);
    if (!T_count)
        status = wrong("T", "a list with at least one entry");
    else
        status =
            ts_results_make(r, score_count, scores, T_count, T, start_count, starts, sampler_count, samplers);
done:
    free(scores);
    free(starts);
    free(samplers);
    free(T);
    return status;
}

/* The rows of a table of the grid, each in its place. */
static ts_status unpack_bounds(const json_t *root, ts_results *r)
{
    const json_t *list = json_object_get(root, "bound");
    if (!json_is_array(list) || json_array_size(list) != (size_t)ts_results_bound_count(r))
        return wrong("bound", "a list with a row for each score, T and start");
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        const ts_bound_row place = r->bounds[i];
        TS_TRY(ts_context(unpack(ts_bound_fields, json_array_get(list, (size_t)i), &r->bounds[i]),
                          "bound[%d]", i));
        r->bounds[i].terms.T = r->bounds[i].T;
        if (r->bounds[i].T != place.T || r->bounds[i].start != place.start ||
            r->bounds[i].score != place.score)
            return wrong("bound", "in the order of score, T, start");
    }
    return NULL;
}

static ts_status unpack_samples(const json_t *root, ts_results *r)
{
    const int count = ts_results_bound_count(r) * r->sampler_count;
    const json_t *list = json_object_get(root, "samples");
    if (!json_is_array(list) || json_array_size(list) != (size_t)count)
        return wrong("samples", "a list with a row for each row of the bound and sampler");
    for (int i = 0; i < count; i++) {
        const json_t *from = json_array_get(list, (size_t)i);
        const ts_bound_row *bound = &r->bounds[i / r->sampler_count];
        unsigned start, score;
        TS_TRY(ts_context(unpack(ts_sample_fields, from, &r->samples[i]), "samples[%d]", i));
        TS_TRY(read_word("start", json_object_get(from, "start"), &ts_start_kind_words, &start));
        TS_TRY(read_word("score", json_object_get(from, "score"), &ts_score_kind_words, &score));
        if (json_number_value(json_object_get(from, "T")) != bound->T || start != bound->start ||
            score != bound->score ||
            !same_sampler(&r->samples[i].sampler, &r->samplers[i % r->sampler_count]))
            return wrong("samples", "in the order of score, T, start, sampler");
    }
    return NULL;
}

static ts_status unpack_finding(const json_t *from, ts_finding *finding)
{
    TS_TRY(unpack(finding_fields, from, finding));
    return unpack_list(point_fields, from, "by_T", sizeof *finding->points, (void **)&finding->points,
                       &finding->count);
}

static ts_status unpack_profile(const json_t *from, ts_profile *profile)
{
    TS_TRY(unpack(profile_fields, from, profile));
    return unpack_list(bin_fields, from, "bins", sizeof *profile->bins, (void **)&profile->bins,
                       &profile->count);
}

static ts_status unpack_costs(const json_t *from, ts_costs *costs)
{
    TS_TRY(unpack(ts_cost_fields, from, costs));
    TS_TRY(unpack_list(ts_evaluation_cost_fields, from, "evaluations", sizeof *costs->evaluations,
                       (void **)&costs->evaluations, &costs->evaluation_count));
    return unpack_list(ts_start_cost_fields, from, "starts", sizeof *costs->starts, (void **)&costs->starts,
                       &costs->start_count);
}

/* An object of objects as YAML, of which JSON's values are a part. */
static void print_config(FILE *out, const json_t *object, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        fprintf(out, "%*s%s:", 2 * depth, "", key);
        char *text =
            json_is_object(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        fprintf(out, "%s%s\n", text ? " " : "", text ? text : "");
        free(text);
        if (json_is_object(value) && depth < 4)
            print_config(out, value, depth + 1);
    }
}

static ts_status unpack_config(const json_t *root, char **config)
{
    const json_t *object = json_object_get(root, "config");
    ts_text text;
    if (!json_is_object(object))
        return wrong("config", "an object");
    TS_TRY(ts_text_open(&text));
    print_config(text.out, object, 0);
    return ts_text_finish(&text, config, NULL);
}

static ts_status unpack_results(const json_t *root, ts_results *r)
{
    TS_TRY(unpack(top_fields, root, r));
    TS_TRY(unpack_config(root, &r->config));
    TS_TRY(unpack_grid(root, r));
    TS_TRY(unpack_bounds(root, r));
    TS_TRY(unpack_samples(root, r));
    TS_TRY(unpack_list(exact_fields, root, "exact", sizeof *r->exact, (void **)&r->exact, &r->exact_count));
    TS_TRY(
        unpack_list(gain_fields, root, "gains_per_T", sizeof *r->gains, (void **)&r->gains, &r->gain_count));
    TS_TRY(unpack_list(fit_fields, root, "fits", sizeof *r->fits, (void **)&r->fits, &r->fit_count));
    TS_TRY(
        unpack_list(phase_fields, root, "phases", sizeof *r->phases, (void **)&r->phases, &r->phase_count));
    TS_TRY(ts_context(unpack(floor_fields, json_object_get(root, "floor"), &r->floor), "floor"));
    TS_TRY(ts_context(unpack_costs(json_object_get(root, "costs"), &r->costs), "costs"));
    TS_TRY(list_of(root, "findings", sizeof *r->findings, (void **)&r->findings, &r->finding_count));
    for (int i = 0; i < r->finding_count; i++)
        TS_TRY(ts_context(
            unpack_finding(json_array_get(json_object_get(root, "findings"), (size_t)i), &r->findings[i]),
            "findings[%d]", i));
    TS_TRY(list_of(root, "profiles", sizeof *r->profiles, (void **)&r->profiles, &r->profile_count));
    for (int i = 0; i < r->profile_count; i++)
        TS_TRY(ts_context(
            unpack_profile(json_array_get(json_object_get(root, "profiles"), (size_t)i), &r->profiles[i]),
            "profiles[%d]", i));
    return NULL;
}

static ts_status read_json(const char *path, json_t **root)
{
    char *text;
    size_t bytes;
    TS_TRY(ts_file_read(path, LARGEST_FILE, &text, &bytes));
    ts_status status = ts_json_parse(path, text, bytes, root);
    free(text);
    return status;
}

ts_status ts_results_read(const char *dir, ts_results *results)
{
    json_t *root = NULL;
    char *path;
    memset(results, 0, sizeof *results);
    TS_TRY(path_of(dir, &path));
    ts_status status = read_json(path, &root);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        status = ts_error(TS_NOT_FOUND,
                          "%s holds no finished sweep (sweep.json); `tstar sweep CONFIG --out %s` makes it",
                          dir, dir);
    }
    if (!status)
        status = ts_context(unpack_results(root, results), "%s", path);
    json_decref(root);
    free(path);
    if (status)
        ts_results_release(results);
    return status;
}
