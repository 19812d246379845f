/*
 * Whitened flows, of images and of vectors: untrained they are the Gaussian that they are whitened by, in density and
 * in samples; with any parameters they invert, and their log-density is that of their map.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/densities/density.h"
#include "glow_model.h"

/* height, width, channels, levels, steps; the last two are vectors, one of an odd dimension */
static const int shapes[][5] = {{2, 2, 1, 1, 1}, {4, 2, 3, 1, 4}, {8, 8, 1, 2, 4},
                                {4, 4, 2, 2, 2}, {1, 1, 2, 1, 3}, {1, 1, 7, 1, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const ts_sde processes[] = {{.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20},
                                   {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 20},
                                   {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50}};

/* Of data whose coordinates are correlated and whose mean is not zero. */
static ts_data_gaussian *make_gaussian(int d)
{
    double *mean = calloc((size_t)d, sizeof *mean), *covariance = calloc((size_t)(d * d), sizeof *covariance);
    ts_data_gaussian *gaussian;
    for (int i = 0; i < d; i++) {
        mean[i] = sin(3 * i + 1);
        for (int j = 0; j < d; j++)
            covariance[i * d + j] = 0.4 * pow(0.9, abs(i - j)) * (1 + 0.5 * (i == j));
    }
    must(ts_data_gaussian_of_moments(d, d, mean, covariance, &gaussian));
    free(mean);
    free(covariance);
    return gaussian;
}

/* A density's values at x [n,d], and what it draws, [n,d]. */
static void ask(ts_density *density, const float *x, double *log_prob, float *drawn)
{
    const ts_kernels *k = density->device->k;
    const size_t n = (size_t)density->n, bytes = n * (size_t)density->d * sizeof *x;
    const ts_step_state step = {.seed = 5};
    void *at, *values, *state;
    must(k->allocate(density->device, bytes, &at));
    must(k->allocate(density->device, n * sizeof *log_prob, &values));
    must(k->allocate(density->device, sizeof step, &state));
    must(k->upload(density->device, at, x, bytes));
    must(k->upload(density->device, state, &step, sizeof step));
    must(density->log_prob(density, at, values));
    must(k->download(density->device, log_prob, values, n * sizeof *log_prob));
    must(density->sample(density, state, at));
    must(k->download(density->device, drawn, at, bytes));
    k->release(density->device, at);
    k->release(density->device, values);
    k->release(density->device, state);
}

/* Mean and covariance of N(a m, a^2 C + s^2 I), to five deviations of what n draws x tell. */
static void has_moments(const ts_data_gaussian *g, double a, double s, int n, const float *x)
{
    const int d = g->d;
    for (int i = 0; i < d; i++)
        for (int j = 0; j <= i; j++) {
            double first = 0, second = 0, wanted = i == j ? s * s : 0, square = 0;
            for (int k = 0; k < d; k++)
                wanted += a * a * g->values[k] * g->vectors[k * d + i] * g->vectors[k * d + j];
            for (int r = 0; r < n; r++) {
                const double product =
                    ((double)x[r * d + i] - a * g->mean[i]) * ((double)x[r * d + j] - a * g->mean[j]);
                first += ((double)x[r * d + i] - a * g->mean[i]) / n;
                second += product / n;
                square += product * product / n;
            }
            if (i == j)
                assert_true(fabs(first) < 5 * sqrt(wanted / n));
            assert_true(fabs(second - wanted) < 5 * sqrt(square / n));
        }
}

void test_begins_as_gaussian(void **state)
{
    enum { N = 4000, FEW = 50 };
    static const double times[] = {1, 0.4, 0.1, 0.02};
    ts_device *device = *state;
    for (int i = 0; i < SHAPES; i++) {
        const int *s = shapes[i], d = s[0] * s[1] * s[2];
        ts_data_gaussian *gaussian = make_gaussian(d);
        float *x = malloc(sizeof *x * N * (size_t)d), *drawn = malloc(sizeof *drawn * N * (size_t)d);
        double *own = malloc(N * sizeof *own), *wanted = malloc(N * sizeof *wanted);
        for (int k = 0; k < 3 * 4; k++) {
            const ts_sde *sde = &processes[k / 4];
            const double T = times[k % 4], a = ts_sde_mean(sde, T), deviation = ts_sde_std(sde, T);
            const int n = i == 2 && k % 4 == 2 ? N : FEW;
            glow_model m = glow_model_make_whitened(device, s, 0, gaussian, sde, T);
            ts_density *flow, *exact;
            must(ts_density_glow(device, m.glow, m.params, T, n, s[0], s[1], s[2], &flow));
            must(ts_density_gaussian(device, gaussian, a, deviation, n, &exact));
            draw_normals(1, (int64_t)n * d, x);
            ask(exact, x, wanted, drawn);
            ask(flow, drawn, own, x);
            ask(exact, drawn, wanted, x);
            for (int r = 0; r < n; r++)
                assert_true(fabs(own[r] - wanted[r]) < 2e-5 * (d + fabs(wanted[r])));
            ask(flow, drawn, own, x);
            if (n == N)
                has_moments(gaussian, a, deviation, n, x);
            ts_density_destroy(flow);
            ts_density_destroy(exact);
            glow_model_free(&m);
        }
        free(x);
        free(drawn);
        free(own);
        free(wanted);
        ts_data_gaussian_destroy(gaussian);
    }
}

void test_whitened_inverse(void **state)
{
    enum { N = 5 };
    for (int i = 0; i < SHAPES; i++) {
        const int *s = shapes[i], d = s[0] * s[1] * s[2];
        ts_data_gaussian *gaussian = make_gaussian(d);
        glow_model m = glow_model_make_whitened(*state, s, 0.05, gaussian, &processes[i % 3], 0.2);
        float x[N * 64], y[N * 64], again[N * 64], log_prob[N];
        draw_normals(1, (int64_t)N * d, y);
        glow_model_decode(&m, N, y, 0, 0, x);
        glow_model_encode(&m, N, x, log_prob, again);
        for (int j = 0; j < N * d; j++)
            assert_true(fabs((double)again[j] - (double)y[j]) < 1e-4);
        glow_model_decode(&m, N, again, 0, 0, y);
        for (int j = 0; j < N * d; j++)
            assert_true(fabs((double)y[j] - (double)x[j]) < 1e-4);
        glow_model_free(&m);
        ts_data_gaussian_destroy(gaussian);
    }
}

/* log p(x) = log N(y; 0, I) + log |det dy/dx|, the determinant from the Jacobian itself. */
void test_whitened_change_of_variables(void **state)
{
    for (int i = 0; i < SHAPES; i++) {
        const int *s = shapes[i], d = s[0] * s[1] * s[2];
        ts_data_gaussian *gaussian = make_gaussian(d);
        glow_model m = glow_model_make_whitened(*state, s, 0.1, gaussian, &processes[i % 3], 0.2);
        float x[64], y[64], log_prob;
        for (uint32_t k = 0; k < 2; k++) {
            draw_normals(10 + k, d, x);
            glow_model_encode(&m, 1, x, &log_prob, y);
            double wanted = glow_model_log_det(&m, x) - 0.5 * d * log(2 * M_PI);
            for (int j = 0; j < d; j++)
                wanted -= 0.5 * (double)y[j] * (double)y[j];
            assert_true(fabs((double)log_prob - wanted) < 1e-4 * fabs(wanted));
        }
        glow_model_free(&m);
        ts_data_gaussian_destroy(gaussian);
    }
}
