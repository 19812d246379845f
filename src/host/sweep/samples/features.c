/* Samples compared with data by the features of a trained network. */
#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "nn/feature_network.h"
#include "quality/compare/source.h"
#include "quality/embedding.h"

enum { BLOCK = 1 << 20 };

/* ---- what is asked for ---- */

ts_measure_set ts_sweep_measures(const ts_config *config)
{
    ts_measure_set measures = 0;
    for (int i = 0; i < config->sweep.quality.count; i++)
        measures |= 1u << config->sweep.quality.v[i];
    return measures;
}

ts_measure_set ts_sweep_network_measures(const ts_config *config)
{
    const ts_measure_set measures = ts_sweep_measures(config);
    ts_measure_set network = 0;
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        if (ts_measure_in(measures, k) &&
            (ts_measure_rows[k].network || (*config->sweep.weights && !ts_measure_rows[k].points)))
            network |= 1u << k;
    return network;
}

ts_status ts_sweep_check_weights(const ts_config *config)
{
    const ts_measure_set network = ts_sweep_network_measures(config);
    int k = 0;
    while (k < TS_MEASURE_COUNT && !ts_measure_in(network, k))
        k++;
    if (k == TS_MEASURE_COUNT)
        return NULL;
    if (!*config->sweep.weights)
        return ts_error(
            TS_INVALID,
            "sweep.quality: %s is of a trained network's features: set sweep.weights to the file with its "
            "weights, which tools/import_features.py makes",
            ts_measure_kind_words.word[k]);
    if (ts_data_rows[config->data.kind].vectors)
        return ts_error(TS_INVALID, "sweep.quality: %s is of images, and data.kind %s has vectors",
                        ts_measure_kind_words.word[k], ts_data_kind_words.word[config->data.kind]);
    for (k = 0; k < TS_MEASURE_COUNT; k++)
        if (ts_measure_in(network, k) && config->sweep.samples < ts_measure_rows[k].least)
            return ts_error(TS_INVALID, "sweep.quality: %s needs at least %d samples; sweep.samples is %d",
                            ts_measure_kind_words.word[k], ts_measure_rows[k].least, config->sweep.samples);
    ts_feature_network_kind kind;
    TS_TRY(ts_context(ts_embedding_whose(config->sweep.weights, &kind), "sweep.weights"));
    return ts_context(ts_measures_check_network(network, kind, config->sweep.weights), "sweep.weights");
}

/* ---- features ---- */

/* CRC-32 of a whole file: what features depend on, wherever it lies. */
static ts_status checksum_of(const char *path, char text[17])
{
    unsigned char *block = malloc(BLOCK);
    FILE *file = fopen(path, "rb");
    uLong checksum = 0, length = 0;
    for (size_t n; file && block && (n = fread(block, 1, BLOCK, file)) > 0; length += n)
        checksum = crc32_z(checksum, block, n);
    const bool read = file && block && !ferror(file);
    if (file)
        fclose(file);
    free(block);
    snprintf(text, 17, "%08lx%08lx", checksum & 0xffffffffu, length & 0xffffffffu);
    return read ? NULL : ts_error(TS_IO, "sweep.weights: %s: cannot be read", path);
}

static ts_status make_rows(ts_worker *w, const float *x, int64_t n, float *rows)
{
    const ts_data *data = &w->sweep->run->dataset->test;
    const int64_t count = n * data->h * data->w * data->c;
    uint8_t *bytes = malloc((size_t)count);
    ts_embedding *network = NULL;
    ts_status status = bytes ? ts_embedding_open(w->run.device, w->sweep->config->sweep.weights, data->h,
                                                 data->w, data->c, &network)
                             : ts_error(TS_NO_MEMORY, "sweep: no memory for %lld images", (long long)n);
    if (!status) {
        ts_source_to_bytes(x, count, bytes);
        status = ts_embedding_of(network, bytes, n, &w->progress, rows);
    }
    ts_embedding_close(network);
    free(bytes);
    return status;
}

/* The features of x [n], from their part `name` or made and kept there. */
static ts_status features_of(ts_worker *w, const char *name, const char *sections, const char *inputs,
                             const float *x, int64_t n, ts_measured_set *set)
{
    const ts_sweep *s = w->sweep;
    const ts_comparison *c = &s->comparison;
    const int count = ts_feature_networks[c->network_kind].count;
    char file_name[192], file_inputs[400];
    float *rows = malloc(sizeof *rows * (size_t)n * (size_t)count);
    bool found = false;
    if (!rows)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for %d features of each of %lld images", count,
                        (long long)n);
    snprintf(file_name, sizeof file_name, "features_%s", name);
    snprintf(file_inputs, sizeof file_inputs, "%s weights %s", inputs, c->weights);
    const ts_part_file file = {"parts", file_name, sections, file_inputs};
    const ts_part_tensor tensor = {"features", TS_ST_F32, 2, {n, count}, rows};
    ts_status status = ts_part_load(s, &file, &tensor, 1, &found);
    if (!status && !found)
        status = make_rows(w, x, n, rows);
    if (!status && !found)
        status = ts_part_save(s, &file, &tensor, 1);
    if (status) {
        free(rows);
        return status;
    }
    return ts_measured_set_take(rows, n, count, ts_sweep_network_measures(s->config), w->run.device->threads,
                                set);
}

/* ---- the reference ---- */

static ts_interval interval_of(ts_distance d)
{
    return (ts_interval){d.value, d.half};
}

/* As many training data as samples, or all. */
static ts_status measure_floor(ts_worker *w, const ts_comparison *c, ts_floor *floor)
{
    const ts_sweep *s = w->sweep;
    const int64_t n = s->config->sweep.samples < c->train_count ? s->config->sweep.samples : c->train_count;
    const ts_measure_set measures = ts_sweep_network_measures(s->config);
    ts_measures found = ts_measures_unknown();
    ts_measured_set set = {0};
    char inputs[64];
    float *x = NULL;
    ts_status status = ts_reference_subset(c->train, c->train_count, s->d, n, &x);
    if (!status) {
        snprintf(inputs, sizeof inputs, "training data %lld of %lld", (long long)n,
                 (long long)c->train_count);
        status = features_of(w, "train", "", inputs, x, n, &set);
    }
    if (!status)
        status =
            ts_measure_features(&c->network, &set, measures, w->run.device->threads, &w->progress, &found);
    if (!status) {
        floor->fid = interval_of(found.of[TS_MEASURE_FID]);
        floor->kid = interval_of(found.of[TS_MEASURE_KID]);
        floor->precision = interval_of(found.of[TS_MEASURE_PRECISION]);
        floor->recall = interval_of(found.of[TS_MEASURE_RECALL]);
    }
    if (!status && ts_measure_in(measures, TS_MEASURE_FRECHET)) {
        floor->frechet = interval_of(found.of[TS_MEASURE_FRECHET]);
        floor->frechet_low = floor->frechet_high = floor->frechet.mean;
    }
    ts_measured_set_release(&set);
    free(x);
    return status;
}

ts_status ts_sweep_network_reference(ts_worker *w, ts_comparison *c, ts_floor *floor)
{
    char inputs[64];
    const char *weights = w->sweep->config->sweep.weights;
    TS_TRY(ts_context(ts_embedding_whose(weights, &c->network_kind), "sweep.weights"));
    TS_TRY(checksum_of(weights, c->weights));
    snprintf(inputs, sizeof inputs, "held-out data %lld", (long long)c->test_count);
    TS_TRY(features_of(w, "data", "", inputs, c->test, c->test_count, &c->network));
    return measure_floor(w, c, floor);
}

ts_status ts_sweep_network_distances(ts_worker *w, const char *name, const char *sections, const char *inputs,
                                     const float *x, ts_sample_row *row)
{
    const ts_sweep *s = w->sweep;
    const ts_measure_set measures = ts_sweep_network_measures(s->config);
    ts_measures found = ts_measures_unknown();
    ts_measured_set set = {0};
    TS_TRY(features_of(w, name, sections, inputs, x, s->config->sweep.samples, &set));
    ts_status status = ts_measure_features(&s->comparison.network, &set, measures, w->run.device->threads,
                                           &w->progress, &found);
    ts_measured_set_release(&set);
    TS_TRY(status);
    row->fid = interval_of(found.of[TS_MEASURE_FID]);
    row->kid = interval_of(found.of[TS_MEASURE_KID]);
    row->precision = interval_of(found.of[TS_MEASURE_PRECISION]);
    row->recall = interval_of(found.of[TS_MEASURE_RECALL]);
    row->fid_infinity = ts_measure_in(measures, TS_MEASURE_FID) ? found.extrapolated : NAN;
    if (ts_measure_in(measures, TS_MEASURE_FRECHET))
        row->frechet = interval_of(found.of[TS_MEASURE_FRECHET]);
    return NULL;
}
