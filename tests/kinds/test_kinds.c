/*
 * Every kind of base/kinds.h has its word and a whole row in its table.  To add a kind, see CONTRIBUTING.md;
 * this test goes red where its row is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/samplers/sampler.h"
#include "must.h"
#include "nn/feature_network.h"
#include "quality/features.h"
#include "quality/measures.h"
#include "run/scores.h"
#include "run/starts.h"

static void words(void **state)
{
    (void)state;
    static const ts_words *const families[] = {
        &ts_data_kind_words,           &ts_model_kind_words,      &ts_score_kind_words,
        &ts_start_kind_words,          &ts_sampler_kind_words,    &ts_features_kind_words,
        &ts_loss_kind_words,           &ts_t_sampling_kind_words, &ts_network_kind_words,
        &ts_probe_kind_words,          &ts_measure_kind_words,    &ts_compared_features_words,
        &ts_feature_network_kind_words};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (int i = 0; i < families[f]->count; i++) {
            const char *word = families[f]->word[i];
            assert_true(word && *word &&
                        strspn(word, "abcdefghijklmnopqrstuvwxyz_T0123456789") == strlen(word));
            assert_int_equal(ts_words_find(families[f], word, strlen(word)), i); /* the first of its name */
        }
}

static void data(void **state)
{
    (void)state;
    ts_device *device;
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    for (int kind = 0; kind < TS_DATA_COUNT; kind++) {
        const ts_data_row *row = &ts_data_rows[kind];
        ts_config *config;
        ts_dataset *dataset;
        if (row->vectors)
            continue;
        assert_true(row->levels >= 2 && row->levels <= 256 && row->h > 0 && row->w > 0 && row->c > 0);
        must(ts_config_load(NULL, NULL, 0, &config));
        config->data.kind = (ts_data_kind)kind;
        ts_status status = ts_dataset_open(config, device, NULL, &dataset); /* of files: there are none */
        assert_int_equal(status != NULL, row->from_files);
        ts_status_free(status);
        ts_dataset_close(dataset);
        ts_config_free(config);
    }
    ts_device_close(device);
}

static void models(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_MODEL_COUNT; kind++) {
        const ts_network_row *row = &ts_networks[kind];
        assert_int_equal(row->create != NULL, kind != TS_MODEL_EXACT);
        assert_int_equal(row->create != NULL, row->destroy != NULL);
        assert_int_equal(row->create != NULL, row->apply != NULL);
    }
}

static void scores(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_SCORE_COUNT; kind++)
        assert_true(ts_scores[kind].sections && ts_scores[kind].label && ts_scores[kind].dash);
}

static void starts(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_START_COUNT; kind++) {
        const ts_start_row *row = &ts_starts[kind];
        assert_true(row->check && row->open && row->sections && row->html && row->label && row->color);
        for (int other = 0; other < kind; other++) {
            assert_string_not_equal(row->color, ts_starts[other].color);
            assert_int_not_equal(row->point, ts_starts[other].point);
        }
    }
}

static void samplers(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_SAMPLER_COUNT; kind++)
        assert_true(ts_samplers[kind].text && ts_samplers[kind].html && ts_samplers[kind].evaluations > 0);
}

static void features(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_FEATURES_COUNT; kind++) {
        const ts_features_row *row = &ts_features_rows[kind];
        assert_true(row->text && row->most_values > 0 && row->least > 0);
    }
}

static void measures(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_MEASURE_COUNT; kind++) {
        const ts_measure_row *row = &ts_measure_rows[kind];
        assert_true(row->text && row->unit && row->least > 0);
        assert_false(row->points && (row->network || row->inception || row->moments));
    }
}

static void feature_networks(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_FEATURE_NETWORK_COUNT; kind++) {
        const ts_feature_network_row *row = &ts_feature_networks[kind];
        assert_true(row->text && row->build && row->h > 0 && row->w > 0 && row->count > 0);
        assert_true(row->c > 0 && row->c <= TS_RESIZE_CHANNELS && row->scale[row->c - 1] > 0);
        assert_int_equal(row->fid, kind == TS_FEATURE_NETWORK_INCEPTION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),    cmocka_unit_test(data),
        cmocka_unit_test(models),   cmocka_unit_test(scores),
        cmocka_unit_test(starts),   cmocka_unit_test(samplers),
        cmocka_unit_test(features), cmocka_unit_test(feature_networks),
        cmocka_unit_test(measures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
