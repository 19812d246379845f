/* The samples of a sweep, and how far they are from data. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/order.h"
#include "quality/reference.h"
#include "run/evaluate.h"
#include "run/scores.h"

/* What is compared at most: distances of larger sets cost more and say no more. */
enum { MOST_DATA = 10000, FLOORS = 5, FEATURE_IMAGES = 2048 };

/* Samples that are drawn before they are kept. */
enum { PIECE = 1024 };

/* Seed of the training draws of mixtures, which are to differ from the held-out ones. */
#define TRAIN_SEED(seed) ((uint64_t)(seed) ^ 0x7261696E00000000u)

void ts_comparison_release(ts_comparison *c)
{
    ts_reference_free(c->reference);
    ts_features_free(c->features);
    ts_measured_set_release(&c->network);
    free(c->test);
    free(c->train);
}

static ts_status read_data(const ts_worker *w, ts_comparison *c)
{
    const ts_sweep *s = w->sweep;
    const ts_data *test = &w->run.dataset->test, *train = &w->run.dataset->train;
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
static ts_status open_features(const ts_worker *w, ts_comparison *c)
{
    const ts_sweep *s = w->sweep;
    const ts_data *data = &s->run->dataset->test;
    const uint64_t checksum = ts_dataset_checksum(s->run->dataset);
    char *path = ts_run_path(s->run, "parts/features.safetensors");
    if (!path)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_status status = ts_features_load(path, checksum, data->h, data->w, data->c, &c->features);
    if (!status && !c->features) {
        status = ts_features_create(c->train, c->train_count, data->h, data->w, data->c,
                                    w->run.device->threads, &c->features);
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

static ts_status measure_floor(const ts_worker *w, const ts_comparison *c, ts_floor *floor)
{
    const ts_sweep *s = w->sweep;
    ts_real_distance sliced, frechet;
    TS_TRY(ts_reference_floor(c->reference, c->train, c->train_count, s->config->sweep.samples, FLOORS,
                              w->run.device->threads, &sliced, &frechet));
    *floor = (ts_floor){.count = sliced.subsets,
                        .images = (double)sliced.n,
                        .sliced_wasserstein = {sliced.value, sliced.half},
                        .frechet = {frechet.value, frechet.half},
                        .sliced_wasserstein_low = sliced.low,
                        .sliced_wasserstein_high = sliced.high,
                        .frechet_low = frechet.low,
                        .frechet_high = frechet.high,
                        .fid = {NAN, NAN},
                        .kid = {NAN, NAN},
                        .precision = {NAN, NAN},
                        .recall = {NAN, NAN}};
    return NULL;
}

/* The held-out data beside the samples, as the report shows them: spread over the set, which may be ordered. */
static ts_status save_data(const ts_sweep *s, const ts_comparison *c)
{
    const ts_data *data = &s->run->dataset->test;
    const int64_t count = s->config->sweep.samples < c->test_count ? s->config->sweep.samples : c->test_count;
    float *x = malloc(sizeof *x * (size_t)(count * s->d));
    if (!x)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for %lld data", (long long)count);
    for (int64_t i = 0; i < count; i++)
        memcpy(x + i * s->d, c->test + i * c->test_count / count * s->d, sizeof *x * (size_t)s->d);
    const ts_part_file file = {TS_SAMPLES_FOLDER, "data", "", "held-out data"};
    const ts_part_tensor tensor = {"x", TS_ST_F32, 4, {count, data->h, data->w, data->c}, x};
    ts_status status = ts_part_save(s, &file, &tensor, 1);
    free(x);
    return status;
}

ts_status ts_part_reference(ts_worker *w, ts_part *part)
{
    ts_sweep *s = w->sweep;
    ts_comparison *c = &s->comparison;
    const double began = ts_seconds();
    ts_worker_watch(w, part);
    TS_TRY(read_data(w, c));
    TS_TRY(open_features(w, c));
    TS_TRY(ts_reference_create(c->features, c->test, c->test_count, s->config->sweep.projections,
                               (uint64_t)s->config->run.seed, w->run.device->threads, &c->reference));
    TS_TRY(measure_floor(w, c, &s->results->floor));
    if (ts_sweep_network_measures(s->config))
        TS_TRY(ts_sweep_network_reference(w, c, &s->results->floor));
    part->seconds = ts_seconds() - began;
    return save_data(s, c);
}

/* ---- samples ---- */

static const ts_bound_row *bound_of(const ts_sweep *s, const ts_part *part)
{
    return ts_results_bound(s->results, part->score, part->T, part->start);
}

static ts_sample_row *row_of(const ts_sweep *s, const ts_part *part)
{
    return ts_results_sample(s->results, part->score, part->T, part->start, part->sampler);
}

ts_status ts_sweep_sampler(const ts_config *config, const ts_sampler_entry *entry, double T,
                           ts_sampler_config *sampler)
{
    TS_TRY(ts_evaluate_sampler(config, entry->kind, T, sampler));
    if (isfinite(entry->budget))
        sampler->steps = ts_sampler_steps_within(sampler, (int)entry->budget);
    return NULL;
}

/* The fixed steps of a row; NaN where they adapt. */
static double steps_of(const ts_sweep *s, const ts_part *part)
{
    ts_sampler_config config;
    const ts_sampler_entry *entry = &row_of(s, part)->sampler;
    ts_status status = ts_sweep_sampler(s->config, entry, bound_of(s, part)->T, &config);
    const bool known = !status && ts_samplers[entry->kind].integrator;
    ts_status_free(status);
    return known ? config.steps : NAN;
}

/* Samples first .. first + count - 1 of `total`. */
static ts_status draw(ts_worker *w, const ts_part *part, int total, int first, int count, ts_samples *drawn)
{
    const ts_bound_row *bound = bound_of(w->sweep, part);
    ts_run view;
    ts_sampler_config config;
    TS_TRY(ts_worker_view(w, part->score, bound->T, &view));
    TS_TRY(ts_sweep_sampler(view.config, &row_of(w->sweep, part)->sampler, bound->T, &config));
    return ts_evaluate_some_samples(&view, &config, bound->start, total, first, count, &w->progress, drawn);
}

/* What the samples of a row depend on. */
typedef struct origin {
    char name[128], inputs[300], sections[96];
} origin;

static void describe_origin(const ts_sweep *s, const ts_part *part, int count, origin *o)
{
    const ts_bound_row *bound = bound_of(s, part);
    char own[TS_START_INPUTS];
    ts_start_inputs(bound->start, s->config, own);
    ts_samples_name(bound->T, bound->start, bound->score, &row_of(s, part)->sampler, o->name);
    snprintf(o->inputs, sizeof o->inputs, "%s samples %d%s", o->name, count, own);
    snprintf(o->sections, sizeof o->sections, "sample %s %s", ts_scores[bound->score].sections,
             ts_starts[bound->start].sections);
}

/* Their file.  cost [3]: network evaluations; seconds an image, however busy the machine was, and NaN. */
static ts_status samples_file(const ts_sweep *s, const ts_part *part, float *x, double *cost, bool write,
                              bool *found)
{
    const ts_data *data = &s->run->dataset->test;
    origin o;
    describe_origin(s, part, s->config->sweep.samples, &o);
    const ts_part_file file = {TS_SAMPLES_FOLDER, o.name, o.sections, o.inputs};
    const ts_part_tensor tensors[] = {
        {"x", TS_ST_F32, 4, {s->config->sweep.samples, data->h, data->w, data->c}, x},
        {"nfe_and_seconds_per_image", TS_ST_F64, 1, {3}, cost}};
    return write ? ts_part_save(s, &file, tensors, 2) : ts_part_load(s, &file, tensors, 2, found);
}

static float *room_for_samples(const ts_sweep *s)
{
    return malloc(sizeof(float) * (size_t)s->config->sweep.samples * (size_t)s->d);
}

/* ---- many samples: kept piece by piece, so that a sweep that is interrupted goes on within them ---- */

/* Images of a piece, whole batches; all are one piece where there are no more. */
static int piece_of(const ts_config *config)
{
    const int batch = config->sample.batch, batches = (PIECE + batch - 1) / batch;
    return batches * batch;
}

static ts_status piece_file(const ts_sweep *s, const ts_part *part, int first, int count, float *x,
                            double *cost, bool write, bool *found)
{
    const ts_data *data = &s->run->dataset->test;
    origin o;
    char name[160], inputs[360];
    describe_origin(s, part, s->config->sweep.samples, &o);
    snprintf(name, sizeof name, "piece_%s_%d", o.name, first);
    snprintf(inputs, sizeof inputs, "%s from %d batch %d", o.inputs, first, s->config->sample.batch);
    const ts_part_file file = {"parts", name, o.sections, inputs};
    const ts_part_tensor tensors[] = {{"x", TS_ST_F32, 4, {count, data->h, data->w, data->c}, x},
                                      {"nfe_and_seconds_per_image", TS_ST_F64, 1, {3}, cost}};
    return write ? ts_part_save(s, &file, tensors, 2) : ts_part_load(s, &file, tensors, 2, found);
}

static void forget_pieces(const ts_sweep *s, const ts_part *part)
{
    origin o;
    describe_origin(s, part, s->config->sweep.samples, &o);
    for (int first = 0; first < s->config->sweep.samples; first += piece_of(s->config)) {
        char name[192];
        snprintf(name, sizeof name, "parts/piece_%s_%d.safetensors", o.name, first);
        char *path = ts_run_path(s->run, name);
        if (path)
            unlink(path);
        free(path);
    }
}

static ts_status draw_piece(ts_worker *w, const ts_part *part, int first, int count, float *x, double cost[3])
{
    const ts_sweep *s = w->sweep;
    ts_samples drawn;
    TS_TRY(draw(w, part, s->config->sweep.samples, first, count, &drawn));
    memcpy(x, drawn.x, sizeof *x * (size_t)count * (size_t)s->d);
    cost[0] = drawn.nfe;
    cost[1] = drawn.seconds_per_image.mean;
    cost[2] = drawn.seconds_per_image.half;
    ts_samples_release(&drawn);
    return NULL;
}

/* x [samples][d]; cost: means over the pieces. */
static ts_status draw_and_save(ts_worker *w, const ts_part *part, float *x, double cost[3])
{
    const ts_sweep *s = w->sweep;
    const int samples = s->config->sweep.samples, piece = piece_of(s->config);
    double sums[3] = {0};
    for (int first = 0; first < samples; first += piece) {
        const int count = samples - first < piece ? samples - first : piece;
        float *own = x + (size_t)first * (size_t)s->d;
        bool found = false;
        if (samples > piece)
            TS_TRY(piece_file(s, part, first, count, own, cost, false, &found));
        if (!found) {
            TS_TRY(draw_piece(w, part, first, count, own, cost));
            if (samples > piece)
                TS_TRY(piece_file(s, part, first, count, own, cost, true, NULL));
        }
        for (int k = 0; k < 3; k++)
            sums[k] += cost[k] * count / samples;
    }
    memcpy(cost, sums, sizeof sums);
    TS_TRY(samples_file(s, part, x, cost, true, NULL));
    if (samples > piece)
        forget_pieces(s, part);
    return NULL;
}

/* The samples of a row from their file, or drawn. */
ts_status ts_part_sample(ts_worker *w, ts_part *part)
{
    const ts_sweep *s = w->sweep;
    ts_sample_row *row = row_of(s, part);
    double cost[3];
    bool found;
    ts_worker_watch(w, part);
    float *x = room_for_samples(s);
    if (!x)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for samples");
    ts_status status = samples_file(s, part, x, cost, false, &found);
    if (!status && !found)
        status = draw_and_save(w, part, x, cost);
    free(x);
    if (ts_status_code(status) == TS_NOT_FINITE) { /* no samples are kept, its numbers stay unknown */
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    part->reused = found;
    row->nfe = cost[0];
    row->steps = steps_of(s, part);
    row->images = s->config->sweep.samples;
    part->seconds = cost[1] * s->config->sweep.samples;
    return NULL;
}

static ts_status measure_distances(ts_worker *w, const ts_part *part, float *x)
{
    const ts_sweep *s = w->sweep;
    const ts_measure_set measures = ts_sweep_measures(s->config),
                         network = ts_sweep_network_measures(s->config);
    const ts_comparison *c = &s->comparison;
    ts_sample_row *row = row_of(s, part);
    ts_distance sliced, frechet;
    double cost[3];
    bool found;
    row->frechet_features = network ? TS_FEATURES_COUNT + c->network_kind
                                    : (ts_compared_features)ts_features_kind_of(c->features);
    if (isnan(row->nfe)) /* it ran away */
        return NULL;
    TS_TRY(samples_file(s, part, x, cost, false, &found));
    if (!found)
        return ts_error(TS_IO, "its samples have been taken away or changed");
    TS_TRY(ts_reference_distances(c->reference, x, s->config->sweep.samples, w->run.device->threads, &sliced,
                                  &frechet));
    if (ts_measure_in(measures, TS_MEASURE_SLICED_WASSERSTEIN))
        row->sliced_wasserstein = interval_of(sliced);
    if (ts_measure_in(measures & ~network, TS_MEASURE_FRECHET))
        row->frechet = interval_of(frechet);
    origin o;
    describe_origin(s, part, s->config->sweep.samples, &o);
    if (s->config->sweep.neighbours)
        TS_TRY(ts_sweep_neighbours(w, o.name, o.sections, o.inputs, x));
    else
        ts_sweep_forget_neighbours(s, o.name);
    return network ? ts_sweep_network_distances(w, o.name, o.sections, o.inputs, x, row) : NULL;
}

ts_status ts_part_distance(ts_worker *w, ts_part *part)
{
    const double began = ts_seconds();
    float *x = room_for_samples(w->sweep);
    ts_worker_watch(w, part);
    if (!x)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for samples");
    ts_status status = measure_distances(w, part, x);
    free(x);
    part->seconds = ts_seconds() - began;
    return status;
}

/* The draw of a batch whose time is the middle one of as many as fit into TIMED_SECONDS, an odd number and at least one: a short
 * draw's is mostly what else the machine did just then.  seconds [3] <- an image; all draws; an image's draw from the start. */
static ts_status time_draws(ts_worker *w, const ts_part *part, double seconds[3])
{
    enum { MOST = 5 };
    static const double TIMED_SECONDS = 0.1;
    double image[MOST], start[MOST], total = 0;
    int count = 0;
    do {
        ts_samples drawn;
        TS_TRY(draw(w, part, TS_SWEEP_TIMED, 0, TS_SWEEP_TIMED, &drawn));
        image[count] = drawn.seconds_per_image.mean;
        start[count] = drawn.start_seconds;
        total += image[count++] * TS_SWEEP_TIMED;
        ts_samples_release(&drawn);
    } while (count < MOST && (count % 2 == 0 || total + 2 * total / count <= TIMED_SECONDS));
    qsort(image, (size_t)count, sizeof *image, ts_ascending);
    qsort(start, (size_t)count, sizeof *start, ts_ascending);
    seconds[0] = image[count / 2];
    seconds[1] = total;
    seconds[2] = start[count / 2];
    return NULL;
}

/* A row's batch, drawn while nothing else runs, for its time. */
ts_status ts_part_timing(ts_worker *w, ts_part *part)
{
    const ts_sweep *s = w->sweep;
    ts_sample_row *row = row_of(s, part);
    char name[160];
    double seconds[3]; /* as time_draws has them */
    bool found;
    origin o;
    ts_worker_watch(w, part);
    if (isnan(row->nfe)) /* it ran away */
        return NULL;
    describe_origin(s, part, TS_SWEEP_TIMED, &o);
    snprintf(name, sizeof name, "timing_%s", o.name);
    const ts_part_file file = {"parts", name, o.sections, o.inputs};
    const ts_part_tensor tensor = {"seconds", TS_ST_F64, 1, {3}, seconds};
    TS_TRY(ts_part_load(s, &file, &tensor, 1, &found));
    part->reused = found;
    if (!found) {
        ts_status status = time_draws(w, part, seconds);
        if (ts_status_code(status) == TS_NOT_FINITE) {
            ts_status_free(status);
            return NULL;
        }
        TS_TRY(status);
        TS_TRY(ts_part_save(s, &file, &tensor, 1));
    }
    row->seconds_per_image = (ts_interval){seconds[0], NAN};
    row->start_seconds = seconds[2];
    part->seconds = seconds[1];
    return NULL;
}
