/*
 * The flow of vectors as the start of a run on configs/mixture2d.yaml: close to the exact p_T, a density, and that of
 * its samples.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "glow_model.h"
#include "run/starts.h"

static ts_run *open_run(const char *dir, const char *extra)
{
    static const ts_run_options cpu = {.device = "cpu", .device_options = {.threads = 1}};
    const char *const keys[] = {"glow={steps: 500, batch: 128, hidden: 32, lr: 5e-3, warmup: 20}", extra};
    ts_config *config;
    ts_run *run;
    must(ts_config_load(SOURCE_DIR "/configs/mixture2d.yaml", keys, 2, &config));
    must(ts_run_create(dir, config, false, &cpu, &run));
    return run;
}

/* log_prob [n] of a start at x [n,d]; x NULL: at its own draws, which go to `drawn`. */
static void ask(const ts_start *start, const float *x, float *drawn, double *log_prob)
{
    ts_density *density = start->density;
    const ts_kernels *k = density->device->k;
    const size_t bytes = sizeof *x * (size_t)density->n * (size_t)density->d;
    const ts_step_state step = {.seed = 9};
    void *at, *values, *state;
    must(k->allocate(density->device, bytes, &at));
    must(k->allocate(density->device, (size_t)density->n * sizeof *log_prob, &values));
    must(k->allocate(density->device, sizeof step, &state));
    must(k->upload(density->device, state, &step, sizeof step));
    if (x)
        must(k->upload(density->device, at, x, bytes));
    else
        must(density->sample(density, state, at));
    if (drawn)
        must(k->download(density->device, drawn, at, bytes));
    must(density->log_prob(density, at, values));
    must(k->download(density->device, log_prob, values, (size_t)density->n * sizeof *log_prob));
    k->release(density->device, at);
    k->release(density->device, values);
    k->release(density->device, state);
}

/* KL[from || to] by the draws of `from`, which go to x. */
static double divergence(const ts_start *from, const ts_start *to, float *x)
{
    const int n = from->density->n;
    double *a = malloc((size_t)n * sizeof *a), *b = malloc((size_t)n * sizeof *b), sum = 0;
    ask(from, NULL, x, a);
    ask(to, x, NULL, b);
    for (int i = 0; i < n; i++)
        sum += (a[i] - b[i]) / n;
    free(a);
    free(b);
    return sum;
}

/* The integral of the density over [-4, 4]^2 by the trapezoidal rule, which is exact but for what is cut off. */
static double integral(const ts_start *start, int side)
{
    const int n = side * side;
    const double step = 8.0 / (side - 1);
    float *x = malloc(2 * sizeof *x * (size_t)n);
    double *log_prob = malloc(sizeof *log_prob * (size_t)n), sum = 0;
    for (int i = 0; i < n; i++) {
        x[2 * i] = (float)(-4 + step * (i % side));
        x[2 * i + 1] = (float)(-4 + step * (i / side));
    }
    ask(start, x, NULL, log_prob);
    for (int i = 0; i < n; i++)
        sum += exp(log_prob[i]) * step * step;
    free(x);
    free(log_prob);
    return sum;
}

void test_vectors(void **state)
{
    enum { N = 8192, SIDE = 201 };
    static const char *const whitened[] = {"glow.whiten=zca", "glow.whiten=none"};
    const double T = 0.15;
    (void)state;
    for (int i = 0; i < 2; i++) {
        float *x = malloc(2 * sizeof *x * N);
        ts_start flow, gaussian, exact, grid;
        assert_int_equal(system("rm -rf test_glow_files"), 0);
        ts_run *run = open_run("test_glow_files", whitened[i]);
        must(ts_fit_glow(run, T, NULL, NULL));
        must(ts_start_open(run, TS_START_GLOW, T, N, &flow));
        must(ts_start_open(run, TS_START_GAUSSIAN, T, N, &gaussian));
        must(ts_start_open(run, TS_START_MIXTURE, T, N, &exact));
        must(ts_start_open(run, TS_START_GLOW, T, SIDE * SIDE, &grid));
        const double own = divergence(&exact, &flow, x), plain = divergence(&exact, &gaussian, x);
        const double back = divergence(&flow, &exact, x), one = integral(&grid, SIDE);
        print_message("%s: KL %.4f and back %.4f, of the Gaussian %.4f; integral %.6f\n", whitened[i], own,
                      back, plain, one);
        assert_true(own > -0.01 && own < 0.05 && own < plain / 5 && back > -0.01 && back < 0.1);
        assert_true(fabs(one - 1) < 1e-3);
        ts_start_release(&flow);
        ts_start_release(&gaussian);
        ts_start_release(&exact);
        ts_start_release(&grid);
        ts_run_close(run);
        free(x);
    }
    assert_int_equal(system("rm -rf test_glow_files"), 0);
}

void test_one_coordinate(void **state)
{
    (void)state;
    ts_run *run = open_run(NULL, "data.mixture={weights: [1], means: [0.5], stds: [0.3], covariances: []}");
    ts_status status = ts_starts[TS_START_GLOW].check(run);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    assert_non_null(strstr(ts_status_message(status), "these data have one"));
    ts_status_free(status);
    ts_run_close(run);
}
