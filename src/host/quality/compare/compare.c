#include "quality/compare/compare.h"

#include <stdlib.h>

#include "base/npy.h"
#include "nn/feature_network.h"
#include "quality/distances.h"
#include "quality/embedding.h"
#include "quality/reference.h"

/* ---- what suits what ---- */

static ts_status check_side(const ts_source *s, const ts_compare_options *o)
{
    for (int k = 0; k < TS_MEASURE_COUNT; k++) {
        const ts_measure_row *row = &ts_measure_rows[k];
        const char *word = ts_measure_kind_words.word[k];
        if (!ts_measure_in(o->measures, k))
            continue;
        if (s->mean && !(row->moments && (o->weights || row->network)))
            return ts_error(TS_INVALID, "%s looks at each image, and %s holds a mean and a covariance alone",
                            word, s->name);
        if (!s->mean && s->n < row->least)
            return ts_error(TS_INVALID, "%s needs at least %d images, and %s holds %lld", word, row->least,
                            s->name, (long long)s->n);
        if (!s->mean && (row->network || (row->moments && o->weights)) && s->h * s->w == 1)
            return ts_error(TS_INVALID, "%s is of images, and %s holds vectors", word, s->name);
    }
    return NULL;
}

/* Measures of the data themselves, and of their principal components, are between images of one size. */
static ts_status check_sizes(const ts_source *a, const ts_source *b, const ts_compare_options *o)
{
    if (a->mean || b->mean || (a->h == b->h && a->w == b->w && a->c == b->c))
        return NULL;
    for (int k = 0; k < TS_MEASURE_COUNT; k++) {
        const ts_measure_row *row = &ts_measure_rows[k];
        if (ts_measure_in(o->measures, k) && (row->points || (!row->network && !o->weights)))
            return ts_error(
                TS_INVALID,
                "%s is between images of one size: %s has %dx%dx%d and %s %dx%dx%d (height, width, channels)",
                ts_measure_kind_words.word[k], a->name, a->h, a->w, a->c, b->name, b->h, b->w, b->c);
    }
    return NULL;
}

/* ---- features ---- */

/* What makes features: a network for images of one shape, or principal components. */
typedef struct maker {
    const ts_compare_options *options;
    int h, w, c; /* of the images that the network is open for */
    ts_embedding *network;
    ts_features *principal;
    const char *word;
} maker;

static void maker_close(maker *m)
{
    ts_embedding_close(m->network);
    ts_features_free(m->principal);
}

static ts_status open_network(maker *m, int h, int w, int c)
{
    if (m->network && m->h == h && m->w == w && m->c == c)
        return NULL;
    ts_embedding_close(m->network);
    m->network = NULL;
    TS_TRY(ts_embedding_open(m->options->device, m->options->weights, h, w, c, &m->network));
    m->h = h;
    m->w = w;
    m->c = c;
    m->word = ts_embedding_name(m->network);
    return ts_measures_check_network(m->options->measures, ts_embedding_network(m->network),
                                     m->options->weights);
}

static ts_status open_principal(maker *m, ts_source *real)
{
    const float *points = real->train;
    const int64_t n = real->train ? real->train_count : real->n;
    if (!points)
        TS_TRY(ts_source_points(real, &points));
    TS_TRY(ts_features_create(points, n, real->h, real->w, real->c, m->options->threads, &m->principal));
    m->word = ts_features_kind_words.word[ts_features_kind_of(m->principal)];
    return NULL;
}

/* Features of n images, as floats or bytes, whichever the maker takes. */
static ts_status make(maker *m, const float *points, const uint8_t *bytes, int64_t n, ts_measured_set *set)
{
    const ts_compare_options *o = m->options;
    if (m->principal) {
        TS_TRY(ts_feature_set_of(m->principal, points, n, o->threads, &set->set));
        return ts_feature_moments_create(&set->set, o->threads, &set->moments);
    }
    const int count = ts_embedding_count(m->network);
    float *rows = malloc(sizeof *rows * (size_t)n * (size_t)count);
    if (!rows)
        return ts_error(TS_NO_MEMORY, "no memory for %d features of each of %lld images", count,
                        (long long)n);
    ts_status status = ts_embedding_of(m->network, bytes, n, o->progress, rows);
    if (status) {
        free(rows);
        return status;
    }
    return ts_measured_set_take(rows, n, count, o->measures, o->threads, set);
}

static ts_status features_of(maker *m, ts_source *s, ts_measured_set *set)
{
    const uint8_t *bytes = NULL;
    const float *points = NULL;
    if (s->mean)
        return ts_feature_moments_of(s->features, s->mean, s->covariance, &set->moments);
    if (m->principal)
        TS_TRY(ts_source_points(s, &points));
    else {
        TS_TRY(open_network(m, s->h, s->w, s->c));
        TS_TRY(ts_source_bytes(s, &bytes));
    }
    return make(m, points, bytes, s->n, set);
}

/* ---- comparing ---- */

/* Each measure of points [n] against the real ones. */
static ts_status sliced(ts_source *real, const float *points, int64_t n, const ts_compare_options *o,
                        ts_measures *result)
{
    const float *reference;
    if (!ts_measure_in(o->measures, TS_MEASURE_SLICED_WASSERSTEIN))
        return NULL;
    TS_TRY(ts_source_points(real, &reference));
    ts_progress_report(o->progress, "sliced distance", 0, 1, "sets", NULL);
    TS_TRY(ts_sliced_wasserstein(points, n, reference, real->n, real->h * real->w * real->c, o->projections,
                                 o->seed, o->threads, &result->of[TS_MEASURE_SLICED_WASSERSTEIN]));
    ts_progress_report(o->progress, "sliced distance", 1, 1, "sets", NULL);
    return NULL;
}

static ts_status measure_floor(maker *m, ts_source *real, const ts_measured_set *real_features, int64_t n,
                               ts_compared *result)
{
    const ts_compare_options *o = m->options;
    const size_t count = (size_t)real->h * (size_t)real->w * (size_t)real->c * (size_t)n;
    ts_measured_set features = {0};
    float *points = NULL;
    uint8_t *bytes = NULL;
    result->floor_n = n;
    ts_status status =
        ts_reference_subset(real->train, real->train_count, real->h * real->w * real->c, n, &points);
    if (!status)
        status = sliced(real, points, n, o, &result->floor);
    if (!status && ts_measures_any(o->measures, ts_measure_is_of_features)) {
        if (m->network) {
            bytes = malloc(count);
            status = bytes ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory for its training data", real->name);
            if (!status) {
                ts_source_to_bytes(points, (int64_t)count, bytes);
                status = open_network(m, real->h, real->w, real->c);
            }
        }
        if (!status)
            status = make(m, points, bytes, n, &features);
        if (!status)
            status = ts_measure_features(real_features, &features, o->measures, o->threads, o->progress,
                                         &result->floor);
    }
    ts_measured_set_release(&features);
    free(bytes);
    free(points);
    return status;
}

static ts_status check_counts(const ts_source *s, const ts_measured_set *sets, const ts_source *other)
{
    const int a = ts_feature_moments_count(sets[0].moments), b = ts_feature_moments_count(sets[1].moments);
    if (a == b)
        return NULL;
    return ts_error(TS_INVALID, "%s has %d features and %s %d: they are not of one network", s->name, a,
                    other->name, b);
}

static ts_status save(const ts_measured_set *set, const char *name, const char *path)
{
    const size_t d = (size_t)ts_feature_moments_count(set->moments);
    double *numbers = malloc(sizeof *numbers * (d + d * d));
    if (!numbers)
        return ts_error(TS_NO_MEMORY, "%s: no memory for its statistics", name);
    ts_feature_moments_write(set->moments, numbers, numbers + d);
    const char *const names[] = {"mu", "sigma"};
    const ts_npy arrays[] = {{TS_NPY_F64, 1, {(int64_t)d}, numbers},
                             {TS_NPY_F64, 2, {(int64_t)d, (int64_t)d}, numbers + d}};
    ts_status status = ts_npz_save(path, 2, names, arrays);
    free(numbers);
    return status;
}

ts_status ts_compare(ts_source *real, ts_source *generated, const ts_compare_options *o, ts_compared *result)
{
    const bool features = ts_measures_any(o->measures, ts_measure_is_of_features);
    maker m = {.options = o};
    ts_measured_set sets[2] = {{{0}, NULL}, {{0}, NULL}};
    const float *points;
    ts_status status;
    *result = (ts_compared){.measures = ts_measures_unknown(), .floor = ts_measures_unknown()};
    TS_TRY(check_side(real, o));
    TS_TRY(check_side(generated, o));
    TS_TRY(check_sizes(real, generated, o));
    if (ts_measures_any(o->measures, ts_measure_is_of_points)) {
        TS_TRY(ts_source_points(generated, &points));
        TS_TRY(sliced(real, points, generated->n, o, &result->measures));
    }
    if (features) {
        if (!o->weights && !real->mean)
            TS_GOTO(open_principal(&m, real), done);
        TS_GOTO(features_of(&m, real, &sets[0]), done);
        if (o->save && sets[0].moments)
            TS_GOTO(save(&sets[0], real->name, o->save), done);
        TS_GOTO(features_of(&m, generated, &sets[1]), done);
        if (sets[0].moments && sets[1].moments)
            TS_GOTO(check_counts(real, sets, generated), done);
        TS_GOTO(
            ts_measure_features(&sets[0], &sets[1], o->measures, o->threads, o->progress, &result->measures),
            done);
        result->features = m.word ? m.word : "moments";
    }
    status = NULL;
    if (real->train && !generated->mean)
        status = measure_floor(&m, real, &sets[0],
                               generated->n < real->train_count ? generated->n : real->train_count, result);
done:
    ts_measured_set_release(&sets[1]);
    ts_measured_set_release(&sets[0]);
    maker_close(&m);
    return status;
}

ts_status ts_compare_usual(const ts_source *real, const ts_source *generated, const char *weights,
                           ts_measure_set *measures)
{
    const bool moments = real->mean || (generated && generated->mean);
    ts_feature_network_kind kind;
    *measures = 1u << (moments ? TS_MEASURE_FID : TS_MEASURE_SLICED_WASSERSTEIN);
    if (!weights)
        return NULL;
    TS_TRY(ts_embedding_whose(weights, &kind));
    const bool fid = ts_feature_networks[kind].fid;
    *measures = 0;
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        if (!ts_measure_rows[k].points && (ts_measure_rows[k].moments || !moments) &&
            (!ts_measure_rows[k].moments || ts_measure_rows[k].inception == fid))
            *measures |= 1u << k;
    return NULL;
}

ts_status ts_compare_save(ts_source *source, const ts_compare_options *o)
{
    ts_compare_options only = *o;
    maker m = {.options = &only};
    ts_measured_set set = {{0}, NULL};
    only.measures = 1u << TS_MEASURE_FRECHET;
    TS_TRY(check_side(source, &only));
    ts_status status = features_of(&m, source, &set);
    if (!status)
        status = save(&set, source->name, o->save);
    ts_measured_set_release(&set);
    maker_close(&m);
    return status;
}
