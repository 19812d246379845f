/*
 * Twenty training steps on the device under test and on the CPU: the same run but for the rounding of
 * float32.
 *
 * Both draw the same numbers, so step by step only the order of sums differs.  Adam divides by the size of a
 * gradient; its epsilon is large here, that gradients which are nothing but rounding do not move a parameter.
 *
 * To add a case, write a test like twenty_steps on another network, and list it in main.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/training.h"
#include "must.h"

enum { SIDE = 16, CHANNELS = 3, IMAGES = 50, BATCH = 12, STEPS = 20, D = SIDE * SIDE * CHANNELS };

typedef struct run {
    ts_device *device;
    ts_data data;
    ts_params *params;
    ts_unet *unet;
    ts_training *training;
    double loss[STEPS], norm[STEPS];
    float *before, *after; /* parameters */
} run;

static ts_tensor apply_unet(const void *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(unet, graph, x, t, training);
}

static float *parameters(const run *r)
{
    const size_t bytes = (size_t)ts_params_count(r->params) * sizeof(float);
    float *values = malloc(bytes);
    assert_non_null(values);
    must(r->device->k->download(r->device, values, ts_params_buffer(r->params, TS_BUFFER_VALUE), bytes));
    must(r->device->k->synchronize(r->device));
    return values;
}

static void build(run *r)
{
    const ts_unet_config shape = {.height = SIDE,
                                  .width = SIDE,
                                  .channels = CHANNELS,
                                  .nf = 32,
                                  .levels = 2,
                                  .ch_mult = {1, 2},
                                  .num_res_blocks = 1,
                                  .attn_count = 1,
                                  .attn_resolutions = {8},
                                  .dropout = 0.1f};
    const ts_score_training_config config = {
        .sde = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0},
        .t_min = 1e-3,
        .t_max = 1.0,
        .sampling = TS_TIME_IMPORTANCE,
        .low_discrepancy = true,
        .batch = BATCH,
        .profile_bins = 8,
        .seed = 4,
        .optimizer = {.rate = 1e-3,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-3,
                      .clip = 1,
                      .ema = 0.99,
                      .warmup = 5},
    };
    static uint8_t bytes[IMAGES * D];
    void *memory;
    for (uint32_t i = 0; i < IMAGES * D; i++)
        bytes[i] = (uint8_t)(128 + 100 * sin(0.05 * i) + ts_philox(7, i, 0, TS_STREAM_TEST, 0).v[0] % 27);
    must(r->device->k->allocate(r->device, sizeof bytes, &memory));
    must(r->device->k->upload(r->device, memory, bytes, sizeof bytes));
    r->data = (ts_data){.device = r->device,
                        .h = SIDE,
                        .w = SIDE,
                        .c = CHANNELS,
                        .count = IMAGES,
                        .levels = 256,
                        .flip = true,
                        .bytes = memory};
    must(ts_params_create(r->device, &r->params));
    must(ts_unet_create(&shape, r->params, &r->unet));
    must(ts_params_commit(r->params, 3));
    must(ts_training_score(r->device, &config, &r->data, r->params, apply_unet, r->unet, &r->training));
}

static void train(run *r)
{
    build(r);
    r->before = parameters(r);
    for (int i = 0; i < STEPS; i++) {
        ts_training_report report;
        must(ts_training_step(r->training));
        must(ts_training_read(r->training, &report));
        r->loss[i] = report.loss;
        r->norm[i] = report.gradient_norm;
    }
    r->after = parameters(r);
}

static void finish(run *r)
{
    ts_training_destroy(r->training);
    ts_unet_destroy(r->unet);
    ts_params_destroy(r->params);
    ts_data_release(&r->data);
    assert_int_equal(*r->device->recording_error, 0);
    ts_device_close(r->device);
    free(r->before);
    free(r->after);
}

/* || a - b || / || b - c || */
static double relative(const float *a, const float *b, const float *c, int64_t count)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += pow((double)a[i] - b[i], 2);
        size += pow((double)b[i] - c[i], 2);
    }
    return sqrt(difference / size);
}

static void twenty_steps(void **state)
{
    (void)state;
    run here = {0}, reference = {0};
    double loss = 0, norm = 0;
    must(ts_device_open("cpu", &(ts_device_options){.threads = 2}, &here.device)); /* or what was chosen */
    must(ts_cpu_kernels.open(&(ts_device_options){.threads = 1}, &reference.device));
    assert_true(here.device->activation == TS_F32);
    train(&here);
    train(&reference);
    const int64_t count = ts_params_count(here.params);
    assert_memory_equal(here.before, reference.before, (size_t)count * sizeof(float));
    for (int i = 0; i < STEPS; i++) {
        loss = fmax(loss, fabs(here.loss[i] / reference.loss[i] - 1));
        norm = fmax(norm, fabs(here.norm[i] / reference.norm[i] - 1));
    }
    const double moved = relative(here.after, reference.after, reference.before, count);
    printf("%s: after %d steps, relative differences: loss %.1e, gradient norm %.1e, parameters' way %.1e\n",
           here.device->k->name, STEPS, loss, norm, moved);
    assert_true(loss < 1e-4 && norm < 1e-3 && moved < 1e-3);
    assert_true(reference.loss[STEPS - 1] < 0.9 * reference.loss[0]); /* it trained */
    finish(&here);
    finish(&reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(twenty_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
