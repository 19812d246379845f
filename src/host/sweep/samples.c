/* The samples of a sweep, and how far they are from data. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/evaluate.h"
#include "quality/distances.h"

/* What is compared at most: distances of larger sets cost more and say no more. */
enum { MOST_DATA = 10000, FLOORS = 5, FEATURE_IMAGES = 2048 };

/* Seed of the training draws of mixtures, which are to differ from the held-out ones. */
#define TRAIN_SEED(seed) ((uint64_t)(seed) ^ 0x7261696E00000000u)

static const char *const samplers[] = {"em", "rk45"};

/* The sets that samples are compared with. */
typedef struct reference {
    int64_t test_count, train_count;
    float *test, *train; /* [count][d] */
    ts_features *features;
} reference;

static void release(reference *r)
{
    free(r->test);
    free(r->train);
    ts_features_free(r->features);
}

static ts_status open_reference(const ts_sweep *s, reference *r)
{
    const ts_data *test = &s->run->dataset->test, *train = &s->run->dataset->train;
    const uint64_t seed = (uint64_t)s->config->run.seed;
    const int64_t wanted = (int64_t)FLOORS * s->config->sweep.samples;
    const int64_t most = wanted > FEATURE_IMAGES ? wanted : FEATURE_IMAGES;
    r->test_count = test->count < MOST_DATA ? test->count : MOST_DATA;
    r->train_count = train->count < most ? train->count : most;
    r->test = malloc(sizeof *r->test * (size_t)(r->test_count * s->d));
    r->train = malloc(sizeof *r->train * (size_t)(r->train_count * s->d));
    if (!r->test || !r->train)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for %lld data",
                        (long long)(r->test_count + r->train_count));
    TS_TRY(ts_dataset_read(test, seed, 0, r->test_count, r->test));
    TS_TRY(ts_dataset_read(train, TRAIN_SEED(seed), 0, r->train_count, r->train));
    return ts_features_create(r->train, r->train_count, test->h, test->w, test->c, 0, &r->features);
}

static ts_status distances(const ts_sweep *s, const reference *r, const float *x, int64_t count,
                           ts_interval *sliced, double *frechet)
{
    /* a sampler that ran away has no distance: it stays unknown, the sweep goes on */
    *sliced = (ts_interval){NAN, NAN};
    *frechet = NAN;
    for (int64_t i = 0; i < count * s->d; i++)
        if (!isfinite(x[i]))
            return NULL;
    ts_distance distance;
    TS_TRY(ts_sliced_wasserstein(x, count, r->test, r->test_count, s->d, s->config->sweep.projections,
                                 (uint64_t)s->config->run.seed, 0, &distance));
    *sliced = (ts_interval){distance.value, distance.half};
    TS_TRY(ts_frechet_sets(r->features, x, count, r->test, r->test_count, 0, &distance));
    *frechet = distance.value;
    return NULL;
}

/* ---- what real data score ---- */

/* Training subsets of as many data as there are samples, every k-th datum, since files may be ordered. */
static ts_status measure_floor(const ts_sweep *s, const reference *r, ts_floor *f)
{
    const int64_t size =
        s->config->sweep.samples < r->train_count ? s->config->sweep.samples : r->train_count;
    const int64_t stride = r->train_count / size;
    const int count = stride < FLOORS ? (int)stride : FLOORS;
    float *subset = malloc(sizeof *subset * (size_t)(size * s->d));
    if (!subset)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    *f = (ts_floor){.sliced_wasserstein_low = INFINITY, .frechet_low = INFINITY};
    ts_status status = NULL;
    for (; f->count < count && !status; f->count++) {
        ts_interval sliced;
        double frechet;
        for (int64_t i = 0; i < size; i++)
            memcpy(subset + i * s->d, r->train + (i * stride + f->count) * s->d,
                   sizeof *subset * (size_t)s->d);
        status = distances(s, r, subset, size, &sliced, &frechet);
        f->sliced_wasserstein += sliced.mean / count;
        f->sliced_wasserstein_low = fmin(f->sliced_wasserstein_low, sliced.mean);
        f->sliced_wasserstein_high = fmax(f->sliced_wasserstein_high, sliced.mean);
        f->frechet += frechet / count;
        f->frechet_low = fmin(f->frechet_low, frechet);
        f->frechet_high = fmax(f->frechet_high, frechet);
    }
    free(subset);
    return status;
}

/* ---- samples ---- */

/* What one set depends on beside sections of the configuration. */
static void fingerprint_of(const ts_sweep *s, const char *name, const char *prior, const char *score,
                           char fingerprint[17])
{
    char more[200], sections[64] = "data sde sample";
    if (!strcmp(score, "network"))
        strcat(sections, " model train");
    if (!strcmp(prior, "glow"))
        strcat(sections, " glow");
    snprintf(more, sizeof more, "%s samples %d network %s", name, s->config->sweep.samples,
             s->config->sweep.network);
    ts_sweep_fingerprint(s, sections, more, fingerprint);
}

static ts_status draw(ts_sweep *s, int score, double T, const char *prior, const char *sampler,
                      double cost[2], float *x)
{
    ts_run view;
    ts_samples drawn;
    ts_sampler_config config;
    TS_TRY(ts_sweep_view(s, score, T, &view));
    TS_TRY(ts_evaluate_sampler(view.config, sampler, T, &config));
    TS_TRY(ts_evaluate_samples(&view, &config, prior, s->config->sweep.samples, &s->progress, &drawn));
    memcpy(x, drawn.x, sizeof *x * (size_t)s->config->sweep.samples * (size_t)s->d);
    cost[0] = drawn.nfe;
    cost[1] = drawn.seconds_per_image;
    ts_samples_release(&drawn);
    return NULL;
}

static ts_status sample_part(ts_sweep *s, const reference *r, int score, ts_result_row *row, int sampler,
                             float *x)
{
    const ts_data *data = &s->run->dataset->test;
    char name[128], T[32], fingerprint[17];
    double cost[2]; /* nfe, seconds per image */
    bool found;
    ts_report_samples_name(row->T, row->prior, row->score, row->sampler, name);
    ts_run_T_text(row->T, T);
    ts_sweep_part_begin(s, "%s, T = %s, %s, %s", row->sampler, T, row->prior, row->score);
    fingerprint_of(s, name, row->prior, row->score, fingerprint);
    const ts_part_tensor tensors[] = {
        {"x", TS_ST_F32, 4, {s->config->sweep.samples, data->h, data->w, data->c}, x},
        {"nfe_and_seconds_per_image", TS_ST_F64, 1, {2}, cost}};
    TS_TRY(ts_sweep_part_load(s, TS_REPORT_SAMPLES, name, fingerprint, tensors, 2, &found));
    if (!found) {
        TS_TRY(draw(s, score, row->T, row->prior, row->sampler, cost, x));
        TS_TRY(ts_sweep_part_save(s, TS_REPORT_SAMPLES, name, fingerprint, tensors, 2));
    }
    row->nfe = cost[0];
    row->seconds_per_image = cost[1];
    row->images = s->config->sweep.samples;
    s->seconds[sampler == 0 ? TS_SWEEP_EM : TS_SWEEP_RK45] += cost[1] * s->config->sweep.samples;
    const double began = ts_seconds();
    TS_TRY(distances(s, r, x, s->config->sweep.samples, &row->sliced_wasserstein, &row->frechet));
    s->seconds[TS_SWEEP_DISTANCE] += ts_seconds() - began;
    snprintf(row->frechet_features, sizeof row->frechet_features, "%s", ts_features_name(r->features));
    return NULL;
}

/* The held-out data beside the samples, as the report shows them: spread over the set, which may be ordered.
 */
static ts_status save_data(const ts_sweep *s, const reference *r, float *x)
{
    const ts_data *data = &s->run->dataset->test;
    char fingerprint[17];
    const int64_t count = s->config->sweep.samples < r->test_count ? s->config->sweep.samples : r->test_count;
    for (int64_t i = 0; i < count; i++)
        memcpy(x + i * s->d, r->test + i * r->test_count / count * s->d, sizeof *x * (size_t)s->d);
    ts_sweep_fingerprint(s, "data", "held-out data", fingerprint);
    const ts_part_tensor tensor = {"x", TS_ST_F32, 4, {count, data->h, data->w, data->c}, x};
    return ts_sweep_part_save(s, TS_REPORT_SAMPLES, "data", fingerprint, &tensor, 1);
}

static ts_status sample_all(ts_sweep *s, const reference *r, float *x)
{
    for (int score = 0; score < s->score_count; score++)
        for (int t = 0; t < s->T_count; t++)
            for (int p = 0; p < s->prior_count; p++)
                for (int k = 0; k < 2; k++) {
                    ts_result_row *row = &s->results->rows[s->results->row_count++];
                    *row = (ts_result_row){.T = s->T[t]};
                    snprintf(row->prior, sizeof row->prior, "%s", s->priors[p]);
                    snprintf(row->score, sizeof row->score, "%s", s->scores[score]);
                    snprintf(row->sampler, sizeof row->sampler, "%s", samplers[k]);
                    TS_TRY(sample_part(s, r, score, row, k, x));
                }
    return NULL;
}

ts_status ts_sweep_samples(ts_sweep *s)
{
    reference r = {.test = NULL};
    const size_t rows = (size_t)s->score_count * (size_t)s->T_count * (size_t)s->prior_count * 2;
    float *x = malloc(sizeof *x * (size_t)s->config->sweep.samples * (size_t)s->d);
    s->results->rows = calloc(rows, sizeof *s->results->rows);
    ts_status status = x && s->results->rows ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory for samples");
    const double began = ts_seconds();
    if (!status)
        status = open_reference(s, &r);
    if (!status)
        status = measure_floor(s, &r, &s->results->floor);
    s->seconds[TS_SWEEP_DISTANCE] += ts_seconds() - began;
    if (!status)
        status = save_data(s, &r, x);
    if (!status)
        status = sample_all(s, &r, x);
    release(&r);
    free(x);
    return status;
}
