/* The samples of a sweep, and how far they are from data. */
#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "quality/reference.h"
#include "run/evaluate.h"
#include "run/scores.h"

/* What is compared at most: distances of larger sets cost more and say no more. */
enum { MOST_DATA = 10000, FLOORS = 5, FEATURE_IMAGES = 2048 };

/* Seed of the training draws of mixtures, which are to differ from the held-out ones. */
#define TRAIN_SEED(seed) ((uint64_t)(seed) ^ 0x7261696E00000000u)

/* The sets that samples are compared with. */
typedef struct comparison {
    int64_t test_count, train_count;
    float *test, *train; /* [count][d] */
    ts_features *features;
    ts_reference *reference; /* of test */
} comparison;

static void release(comparison *c)
{
    ts_reference_free(c->reference);
    ts_features_free(c->features);
    free(c->test);
    free(c->train);
}

static ts_status read_data(const ts_sweep *s, comparison *c)
{
    const ts_data *test = &s->run->dataset->test, *train = &s->run->dataset->train;
    const uint64_t seed = (uint64_t)s->config->run.seed;
    const int64_t wanted = (int64_t)FLOORS * s->config->sweep.samples;
    const int64_t most = wanted > FEATURE_IMAGES ? wanted : FEATURE_IMAGES;
    c->test_count = test->count < MOST_DATA ? test->count : MOST_DATA;
    c->train_count = train->count < most ? train->count : most;
    c->test = malloc(sizeof *c->test * (size_t)(c->test_count * s->d));
    c->train = malloc(sizeof *c->train * (size_t)(c->train_count * s->d));
    if (!c->test || !c->train)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for %lld data",
                        (long long)(c->test_count + c->train_count));
    TS_TRY(ts_dataset_read(test, seed, 0, c->test_count, c->test));
    return ts_dataset_read(train, TRAIN_SEED(seed), 0, c->train_count, c->train);
}

/* The features of the data set, from their file in the run, or made and kept there. */
static ts_status open_features(const ts_sweep *s, comparison *c)
{
    const ts_data *data = &s->run->dataset->test;
    const uint64_t checksum = ts_dataset_checksum(s->run->dataset);
    char *path = ts_run_path(s->run, "parts/features.safetensors");
    if (!path)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_status status = ts_features_load(path, checksum, data->h, data->w, data->c, &c->features);
    if (!status && !c->features) {
        status = ts_features_create(c->train, c->train_count, data->h, data->w, data->c,
                                    s->run->device->threads, &c->features);
        if (!status)
            status = ts_features_save(c->features, checksum, path);
    }
    free(path);
    return status;
}

static ts_interval interval_of(ts_distance distance)
{
    return (ts_interval){distance.value, distance.half};
}

static ts_status measure_floor(const ts_sweep *s, const comparison *c, ts_floor *floor)
{
    ts_real_distance sliced, frechet;
    TS_TRY(ts_reference_floor(c->reference, c->train, c->train_count, s->config->sweep.samples, FLOORS,
                              s->run->device->threads, &sliced, &frechet));
    *floor = (ts_floor){.count = sliced.subsets,
                        .images = (double)sliced.n,
                        .sliced_wasserstein = {sliced.value, sliced.half},
                        .frechet = {frechet.value, frechet.half},
                        .sliced_wasserstein_low = sliced.low,
                        .sliced_wasserstein_high = sliced.high,
                        .frechet_low = frechet.low,
                        .frechet_high = frechet.high};
    return NULL;
}

static ts_status open_comparison(ts_sweep *s, comparison *c)
{
    const double began = ts_seconds();
    TS_TRY(read_data(s, c));
    TS_TRY(open_features(s, c));
    TS_TRY(ts_reference_create(c->features, c->test, c->test_count, s->config->sweep.projections,
                               (uint64_t)s->config->run.seed, s->run->device->threads, &c->reference));
    TS_TRY(measure_floor(s, c, &s->results->floor));
    s->seconds[TS_SWEEP_DISTANCE] += ts_seconds() - began;
    return NULL;
}

/* ---- samples ---- */

static ts_status draw(ts_sweep *s, int score, double T, ts_start_kind start, ts_sampler_kind sampler,
                      double cost[3], float *x)
{
    ts_run view;
    ts_samples drawn;
    ts_sampler_config config;
    TS_TRY(ts_sweep_view(s, score, T, &view));
    TS_TRY(ts_evaluate_sampler(view.config, sampler, T, &config));
    TS_TRY(ts_evaluate_samples(&view, &config, start, s->config->sweep.samples, &s->progress, &drawn));
    memcpy(x, drawn.x, sizeof *x * (size_t)s->config->sweep.samples * (size_t)s->d);
    cost[0] = drawn.nfe;
    cost[1] = drawn.seconds_per_image.mean;
    cost[2] = drawn.seconds_per_image.half;
    ts_samples_release(&drawn);
    return NULL;
}

/* The samples of a row from their part, or drawn. */
static ts_status load_or_draw(ts_sweep *s, int score, const ts_bound_row *bound, ts_sample_row *row, float *x)
{
    const ts_data *data = &s->run->dataset->test;
    char name[128], inputs[200], sections[96];
    double cost[3]; /* network evaluations; seconds an image and half their interval */
    bool found;
    ts_samples_name(bound->T, bound->start, bound->score, row->sampler, name);
    snprintf(inputs, sizeof inputs, "%s samples %d network %s", name, s->config->sweep.samples,
             ts_network_kind_words.word[s->config->sweep.network]);
    snprintf(sections, sizeof sections, "sample %s %s", ts_scores[bound->score].sections,
             ts_starts[bound->start].sections);
    const ts_part part = {TS_SAMPLES_FOLDER, name, sections, inputs};
    const ts_part_tensor tensors[] = {
        {"x", TS_ST_F32, 4, {s->config->sweep.samples, data->h, data->w, data->c}, x},
        {"nfe_and_seconds_per_image", TS_ST_F64, 1, {3}, cost}};
    TS_TRY(ts_part_load(s, &part, tensors, 2, &found));
    if (!found) {
        TS_TRY(draw(s, score, bound->T, bound->start, row->sampler, cost, x));
        TS_TRY(ts_part_save(s, &part, tensors, 2));
    }
    row->nfe = cost[0];
    row->seconds_per_image = (ts_interval){cost[1], cost[2]};
    row->images = s->config->sweep.samples;
    s->sampler_seconds[row->sampler] += cost[1] * s->config->sweep.samples;
    return NULL;
}

static ts_status sample_part(ts_sweep *s, const comparison *c, int score, const ts_bound_row *bound,
                             ts_sample_row *row, float *x)
{
    char T[32];
    ts_distance sliced, frechet;
    ts_T_text(bound->T, T);
    ts_part_begin(s, "%s, T = %s, %s, %s", ts_sampler_kind_words.word[row->sampler], T,
                  ts_start_kind_words.word[bound->start], ts_score_kind_words.word[bound->score]);
    row->frechet_features = ts_features_kind_of(c->features);
    ts_status status = load_or_draw(s, score, bound, row, x);
    if (ts_status_code(status) ==
        TS_NOT_FINITE) { /* it ran away: no samples are kept, its numbers stay unknown */
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    const double began = ts_seconds();
    TS_TRY(ts_reference_distances(c->reference, x, s->config->sweep.samples, s->run->device->threads, &sliced,
                                  &frechet));
    row->sliced_wasserstein = interval_of(sliced);
    row->frechet = interval_of(frechet);
    s->seconds[TS_SWEEP_DISTANCE] += ts_seconds() - began;
    return NULL;
}

/* The held-out data beside the samples, as the report shows them: spread over the set, which may be ordered. */
static ts_status save_data(const ts_sweep *s, const comparison *c, float *x)
{
    const ts_data *data = &s->run->dataset->test;
    const int64_t count = s->config->sweep.samples < c->test_count ? s->config->sweep.samples : c->test_count;
    for (int64_t i = 0; i < count; i++)
        memcpy(x + i * s->d, c->test + i * c->test_count / count * s->d, sizeof *x * (size_t)s->d);
    const ts_part part = {TS_SAMPLES_FOLDER, "data", "", "held-out data"};
    const ts_part_tensor tensor = {"x", TS_ST_F32, 4, {count, data->h, data->w, data->c}, x};
    return ts_part_save(s, &part, &tensor, 1);
}

static ts_status sample_all(ts_sweep *s, const comparison *c, float *x)
{
    const ts_results *results = s->results;
    for (int score = 0; score < results->score_count; score++)
        for (int t = 0; t < results->T_count; t++)
            for (int p = 0; p < results->start_count; p++)
                for (int k = 0; k < results->sampler_count; k++)
                    TS_TRY(sample_part(s, c, score, ts_results_bound(results, score, t, p),
                                       ts_results_sample(results, score, t, p, k), x));
    return NULL;
}

ts_status ts_sweep_samples(ts_sweep *s)
{
    comparison c = {.test = NULL};
    float *x = malloc(sizeof *x * (size_t)s->config->sweep.samples * (size_t)s->d);
    ts_status status = x ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory for samples");
    if (!status)
        status = open_comparison(s, &c);
    if (!status)
        status = save_data(s, &c, x);
    if (!status)
        status = sample_all(s, &c, x);
    release(&c);
    free(x);
    return status;
}
