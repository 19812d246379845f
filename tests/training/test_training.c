/*
 * Score training: sameness and resumption bit for bit, a U-Net that learns, gradients that are not finite,
 * memory, batches of data; linear.c compares steps with a double-precision reference.
 *
 * To add a case, change one setting of `plain` (training_common.h), and list the test in main; steps that
 * have a reference go into linear.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "diffusion/mixture.h"
#include "training_common.h"

/* ---- a small U-Net on synthetic images ---- */

enum { SIDE = 8, IMAGES = 64, LEVELS = 17 };

typedef struct fixture {
    ts_device *device;
    ts_params *params;
    ts_unet *unet;
    ts_data data;
    ts_training *training;
} fixture;

/* Bright discs of different places and sizes on a dark ground. */
static ts_data discs(ts_device *device)
{
    uint8_t bytes[IMAGES][SIDE][SIDE];
    for (int i = 0; i < IMAGES; i++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const double dy = y - 2 - i % 4, dx = x - 2 - i / 4 % 4, radius = 1.5 + i / 16 * 0.5;
                bytes[i][y][x] = dx * dx + dy * dy < radius * radius ? LEVELS - 1 : 0;
            }
    ts_data data = {
        .device = device, .h = SIDE, .w = SIDE, .c = 1, .count = IMAGES, .levels = LEVELS, .flip = true};
    data.bytes = on_device(device, bytes, sizeof bytes);
    return data;
}

static ts_tensor apply_unet(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(model, graph, x, t, training);
}

/* In place: the training keeps the address of the data. */
static void start(fixture *f, const ts_score_training_config *config, int threads)
{
    const ts_unet_config shape = {.height = SIDE,
                                  .width = SIDE,
                                  .channels = 1,
                                  .nf = 16,
                                  .levels = 2,
                                  .ch_mult = {1, 2},
                                  .num_res_blocks = 1,
                                  .attn_count = 1,
                                  .attn_resolutions = {4},
                                  .dropout = 0.1f};
    f->device = open_device(threads);
    f->data = discs(f->device);
    must(ts_params_create(f->device, &f->params));
    must(ts_unet_create(&shape, f->params, &f->unet));
    must(ts_params_commit(f->params, config->seed));
    must(ts_training_score(f->device, config, &f->data, f->params, apply_unet, f->unet, &f->training));
}

static void stop(fixture *f)
{
    ts_training_destroy(f->training);
    ts_unet_destroy(f->unet);
    ts_params_destroy(f->params);
    ts_data_release(&f->data);
    assert_int_equal(*f->device->recording_error, 0);
    ts_device_close(f->device);
}

static void steps(fixture *f, int count)
{
    for (int i = 0; i < count; i++)
        must(ts_training_step(f->training));
}

static const ts_param_buffer kept[] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND, TS_BUFFER_EMA};

/* Whether all that a checkpoint holds is the same, bit for bit. */
static bool same(const fixture *a, const fixture *b)
{
    const size_t bytes = (size_t)ts_params_count(a->params) * sizeof(float);
    double profile[2][8][2];
    bool equal = true;
    float *x = malloc(bytes), *y = malloc(bytes);
    assert_true(x && y && ts_params_count(a->params) == ts_params_count(b->params));
    for (int k = 0; k < 4; k++) {
        must(a->device->k->download(a->device, x, ts_params_buffer(a->params, kept[k]), bytes));
        must(b->device->k->download(b->device, y, ts_params_buffer(b->params, kept[k]), bytes));
        equal = equal && memcmp(x, y, bytes) == 0;
    }
    must(ts_training_profile(a->training, &profile[0][0][0]));
    must(ts_training_profile(b->training, &profile[1][0][0]));
    free(x);
    free(y);
    return equal && memcmp(profile[0], profile[1], sizeof profile[0]) == 0;
}

static void same_seed_same_run(void **unused)
{
    (void)unused;
    ts_score_training_config other = plain;
    other.seed++;
    fixture a, b, c;
    start(&a, &plain, 2);
    start(&b, &plain, 2);
    start(&c, &other, 2);
    ts_training_report from_a, from_b;
    steps(&a, 4);
    steps(&b, 4);
    steps(&c, 4);
    assert_true(same(&a, &b));
    assert_false(same(&a, &c));
    must(ts_training_read(a.training, &from_a));
    must(ts_training_read(b.training, &from_b));
    assert_true(from_a.loss == from_b.loss && from_a.gradient_norm == from_b.gradient_norm);
    stop(&a);
    stop(&b);
    stop(&c);
}

/* What goes through a checkpoint: every parameter's four buffers in their public layout, step, profile. */
static void carry_over(const fixture *from, fixture *to, int64_t step)
{
    double profile[8][2];
    for (ts_param p = 0; p < ts_params_table_size(from->params); p++) {
        const ts_param_info *info = ts_params_info(from->params, p);
        int64_t count = 1;
        for (int k = 0; k < info->rank; k++)
            count *= info->shape[k];
        float *host = malloc((size_t)count * sizeof *host);
        assert_non_null(host);
        for (int k = 0; k < (info->trained ? 4 : 1); k++) {
            must(ts_params_get(from->params, p, kept[k], host));
            must(ts_params_set(to->params, p, kept[k], host));
        }
        free(host);
    }
    must(ts_training_profile(from->training, &profile[0][0]));
    must(ts_training_set_profile(to->training, &profile[0][0]));
    must(ts_training_set_step(to->training, step));
}

static void resumed_is_the_same(void **unused)
{
    (void)unused;
    fixture whole, part, rest;
    start(&whole, &plain, 1);
    start(&part, &plain, 1);
    start(&rest, &plain, 1);
    steps(&whole, 7);
    steps(&part, 3);
    steps(&rest, 1); /* has state of its own, which must not matter */
    carry_over(&part, &rest, 3);
    ts_training_report report;
    steps(&rest, 4);
    assert_true(same(&whole, &rest));
    assert_false(same(&whole, &part));
    must(ts_training_read(rest.training, &report));
    assert_int_equal(report.step, 7);
    must_fail(ts_training_set_step(rest.training, -1), TS_INVALID, "-1");
    ts_training_memory memory = {.numbers = {0}}; /* a Glow's */
    must_fail(ts_training_remember(rest.training, &memory), TS_INVALID, "remembers nothing");
    must_fail(ts_training_recall(rest.training, memory.numbers), TS_INVALID, "remembers nothing");
    stop(&whole);
    stop(&part);
    stop(&rest);
}

/* From the step on that follows it is that of a training on the shorter range, its profile empty. */
static void shorter_range(void **unused)
{
    (void)unused;
    ts_score_training_config shorter = plain;
    shorter.t_max = 0.25;
    fixture changed, own, unchanged;
    start(&changed, &plain, 1);
    start(&own, &shorter, 1);
    start(&unchanged, &plain, 1);
    steps(&changed, 3);
    carry_over(&changed, &unchanged, 3);
    must(ts_training_set_t_max(changed.training, 0.25));
    carry_over(&changed, &own, 3);
    steps(&changed, 4);
    steps(&own, 4);
    steps(&unchanged, 4);
    assert_true(same(&changed, &own));
    assert_false(same(&changed, &unchanged));
    must_fail(ts_training_set_t_max(own.training, plain.t_min), TS_INVALID, "t is drawn from");
    must_fail(ts_training_set_t_max(own.training, 1.5), TS_INVALID, "t is drawn from");
    stop(&changed);
    stop(&own);
    stop(&unchanged);
}

/* Predicting nothing costs 1; a network that learns is soon well below. */
static void learns(void **unused)
{
    (void)unused;
    ts_score_training_config config = plain;
    config.batch = 32;
    config.optimizer.rate = 3e-3;
    config.t_min = 1e-2;
    fixture f;
    start(&f, &config, 1);
    ts_training_report first, last;
    steps(&f, 1);
    const uint64_t allocations = f.device->allocations;
    steps(&f, 9);
    must(ts_training_read(f.training, &first));
    steps(&f, 50);
    must(ts_training_read(f.training, &last));
    steps(&f, 10);
    must(ts_training_read(f.training, &last));
    printf("loss of steps 1 to 10: %.3f, of 61 to 70: %.3f\n", first.loss, last.loss);
    assert_true(first.finite && last.finite && first.loss > 0.5 && first.loss < 1.5);
    assert_true(last.loss < 0.5 * first.loss);
    assert_true(f.device->allocations == allocations); /* none after the first step */
    stop(&f);
}

/* A parameter that is not a number makes loss and gradient so: the step is skipped, said so, and forgotten
 * once the parameter is mended. */
static void not_finite(void **unused)
{
    (void)unused;
    fixture f, untouched;
    start(&f, &plain, 1);
    start(&untouched, &plain, 1);
    ts_training_report report;
    float *value = ts_params_buffer(f.params, TS_BUFFER_VALUE), saved, nan = NAN;
    steps(&f, 2);
    steps(&untouched, 2);
    must(f.device->k->download(f.device, &saved, value, sizeof saved));
    must(f.device->k->upload(f.device, value, &nan, sizeof nan));
    f.device->k->weights_changed(f.device);
    steps(&f, 1);
    must(ts_training_read(f.training, &report));
    assert_false(report.finite);
    assert_true(report.skipped == 1 && report.first_skipped == 2);
    assert_false(isfinite(report.gradient_norm));
    must(f.device->k->upload(f.device, value, &saved, sizeof saved));
    f.device->k->weights_changed(f.device);
    /* parameters, moments and averages are as if the step had not been; the profile says nan */
    double profile[8][2];
    must(ts_training_profile(untouched.training, &profile[0][0]));
    must(ts_training_set_profile(f.training, &profile[0][0]));
    assert_true(same(&f, &untouched));
    steps(&f, 1);
    must(ts_training_read(f.training, &report));
    assert_true(report.finite && isfinite(report.loss) && report.skipped == 1 && report.step == 4);
    stop(&f);
    stop(&untouched);
}

/* ---- data ---- */

static void image_batches(void **unused)
{
    (void)unused;
    ts_device *device = open_device(1);
    ts_data data = discs(device);
    const ts_step_state host = {.seed = 4, .step = 2};
    const size_t image = SIDE * SIDE;
    float zeros[10 * SIDE * SIDE] = {0}, got[10 * SIDE * SIDE];
    ts_step_state *state = on_device(device, &host, sizeof host);
    float *x0 = on_device(device, zeros, sizeof zeros);
    uint8_t bytes[IMAGES * SIDE * SIDE];
    must(device->k->download(device, bytes, data.bytes, sizeof bytes));
    for (int64_t begin = 0; begin < 2 * IMAGES; begin += 27) { /* in order, wrapping around, never mirrored */
        must(ts_data_eval_batch(&data, 10, begin, state, x0));
        must(device->k->download(device, got, x0, sizeof got));
        for (size_t i = 0; i < 10; i++)
            for (size_t j = 0; j < image; j++) {
                const size_t from = ((size_t)begin + i) % IMAGES * image + j;
                assert_true(fabs(got[i * image + j] - (bytes[from] / 8.0 - 1.0)) < 1e-6);
            }
    }
    int mirrored = 0, straight = 0; /* no disc is its own mirror image */
    must(ts_data_train_batch(&data, 10, state, x0));
    must(device->k->download(device, got, x0, sizeof got));
    for (size_t i = 0; i < 10; i++) {
        const int64_t from = ts_shuffle_index(&host, 0, 20 + (int64_t)i, IMAGES);
        bool plain_copy = true, mirror_copy = true;
        for (size_t y = 0; y < SIDE; y++)
            for (size_t x = 0; x < SIDE; x++) {
                const float v = got[(i * SIDE + y) * SIDE + x];
                const uint8_t *row = bytes + ((size_t)from * SIDE + y) * SIDE;
                plain_copy = plain_copy && fabs(v - (row[x] / 8.0 - 1.0)) < 1e-6;
                mirror_copy = mirror_copy && fabs(v - (row[SIDE - 1 - x] / 8.0 - 1.0)) < 1e-6;
            }
        assert_true(plain_copy || mirror_copy);
        straight += plain_copy;
        mirrored += mirror_copy;
    }
    assert_true(straight > 0 && mirrored > 0);
    device->k->release(device, x0);
    device->k->release(device, state);
    ts_data_release(&data);
    ts_device_close(device);
}

/* Training draws afresh at every step; evaluation gives a row the same value in whichever batch. */
static void mixture_batches(void **unused)
{
    (void)unused;
    ts_device *device = open_device(1);
    static const double weights[] = {0.5, 0.5}, means[] = {-1, 1, 1, -1}, stds[] = {0.1, 0.2, 0.1, 0.2};
    ts_mixture *mixture;
    ts_step_state host = {.seed = 4, .instance = 9};
    float zeros[2 * 20] = {0}, first[2 * 20], second[2 * 20];
    ts_step_state *state = on_device(device, &host, sizeof host);
    float *x0 = on_device(device, zeros, sizeof zeros);
    must(ts_mixture_create(device, 2, 2, weights, means, stds, NULL, &mixture));
    ts_data data = {.device = device, .h = 1, .w = 1, .c = 2, .count = 100, .mixture = mixture};
    must(ts_data_eval_batch(&data, 20, 30, state, x0));
    must(device->k->download(device, first, x0, sizeof first));
    must(ts_data_eval_batch(&data, 10, 40, state, x0));
    must(device->k->download(device, second, x0, sizeof second));
    assert_memory_equal(first + 2 * 10, second, 2 * 10 * sizeof(float));
    must(ts_data_train_batch(&data, 20, state, x0));
    must(device->k->download(device, first, x0, sizeof first));
    host.step = 1;
    must(device->k->upload(device, state, &host, sizeof host));
    must(ts_data_train_batch(&data, 20, state, x0));
    must(device->k->download(device, second, x0, sizeof second));
    for (int i = 0; i < 2 * 20; i++)
        assert_true(first[i] != second[i]);
    ts_data_release(&data);
    ts_mixture_destroy(mixture);
    device->k->release(device, x0);
    device->k->release(device, state);
    ts_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_reference),
        cmocka_unit_test(one_network_three_ways),
        cmocka_unit_test(one_bound_three_ways),
        cmocka_unit_test(same_seed_same_run),
        cmocka_unit_test(resumed_is_the_same),
        cmocka_unit_test(shorter_range),
        cmocka_unit_test(learns),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(refusals),
        cmocka_unit_test(image_batches),
        cmocka_unit_test(mixture_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
