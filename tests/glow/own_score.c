/*
 * The noise that a flow's own score predicts: the Gaussian's where the flow is that Gaussian, and with any parameters what
 * its log-density rises by.
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

enum { N = 6, MOST = 8 * 8 * 3 };

static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20};

static void *on_device(ts_device *device, const void *host, size_t bytes)
{
    void *memory;
    must(device->k->allocate(device, bytes, &memory));
    if (host)
        must(device->k->upload(device, memory, host, bytes));
    return memory;
}

/* net_nu [N,d] at x [N,d], as `s` and what the density knows say. */
static void ask_noise(ts_density *density, double s, const float *x, float *noise)
{
    ts_device *device = density->device;
    const size_t bytes = N * (size_t)density->d * sizeof *x;
    const float *at;
    void *rows = on_device(device, x, bytes);
    must(density->noise(density, s, rows, &at));
    must(device->k->download(device, noise, at, bytes));
    must(device->k->synchronize(device));
    device->k->release(device, rows);
}

static void ask_log_prob(ts_density *density, const float *x, double *log_prob)
{
    ts_device *device = density->device;
    void *rows = on_device(device, x, N * (size_t)density->d * sizeof *x);
    void *values = on_device(device, NULL, N * sizeof *log_prob);
    must(density->log_prob(density, rows, values));
    must(device->k->download(device, log_prob, values, N * sizeof *log_prob));
    must(device->k->synchronize(device));
    device->k->release(device, rows);
    device->k->release(device, values);
}

/* Mean sin(3 i + 1), eigenvalues 0.6 / (1 + i), eigenvectors those of a reflection. */
static ts_data_gaussian *make_gaussian(int d)
{
    ts_data_gaussian *g;
    must(ts_data_gaussian_create(d, d, &g));
    for (int i = 0; i < d; i++) {
        g->mean[i] = sin(3 * i + 1);
        g->values[i] = 0.6 / (1 + i);
        for (int j = 0; j < d; j++)
            g->vectors[i * d + j] = (i == j) - 2.0 / d;
    }
    return g;
}

/* Untrained and whitened it is the Gaussian: s (a^2 C + s^2)^-1 (x - a m). */
void test_own_score_of_gaussian(void **state)
{
    static const int shapes[][5] = {{4, 2, 3, 1, 2}, {8, 8, 1, 2, 2}, {1, 1, 7, 1, 3}};
    static const ts_sde processes[] = {{.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20},
                                       {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50}};
    static float x[N * MOST], noise[N * MOST];
    for (int k = 0; k < 3 * 2; k++) {
        const int *shape = shapes[k / 2], d = shape[0] * shape[1] * shape[2];
        const ts_sde *sde = &processes[k % 2];
        const double T = 0.2, a = ts_sde_mean(sde, T), s = ts_sde_std(sde, T);
        ts_data_gaussian *g = make_gaussian(d);
        glow_model m = glow_model_make_whitened(*state, shape, 0, g, sde, T);
        ts_density *flow;
        must(ts_density_glow(*state, m.glow, m.params, T, N, shape[0], shape[1], shape[2], &flow));
        draw_normals(50, N * d, x);
        ask_noise(flow, 2 * s, x, noise); /* then another s */
        ask_noise(flow, s, x, noise);
        for (int r = 0; r < N; r++) {
            double wanted[MOST] = {0};
            for (int i = 0; i < d; i++) {
                double along = 0;
                for (int j = 0; j < d; j++)
                    along += g->vectors[i * d + j] * ((double)x[r * d + j] - a * g->mean[j]);
                for (int j = 0; j < d; j++)
                    wanted[j] += s * along / (a * a * g->values[i] + s * s) * g->vectors[i * d + j];
            }
            for (int j = 0; j < d; j++)
                assert_true(fabs((double)noise[r * d + j] - wanted[j]) < 1e-4 * (1 + fabs(wanted[j])));
        }
        ts_density_destroy(flow);
        glow_model_free(&m);
        ts_data_gaussian_destroy(g);
    }
}

/* Along a few directions v, -s v . grad log nu by central differences of the log-density, twice, and what they tend to. */
static void follows_log_prob(ts_density *flow, double s)
{
    enum { DIRECTIONS = 4 };
    static float x[N * MOST], v[N * MOST], moved[N * MOST], noise[N * MOST];
    const int count = N * flow->d;
    draw_normals(60, count, x);
    ask_noise(flow, s, x, noise);
    for (uint32_t k = 0; k < DIRECTIONS; k++) {
        double log_prob[2][N], quotient[2][N];
        draw_normals(61 + k, count, v);
        for (int i = 0; i < 2; i++) {
            const double h = 0.01 / (1 + i);
            for (int side = 0; side < 2; side++) {
                for (int j = 0; j < count; j++)
                    moved[j] = (float)((double)x[j] + (side ? h : -h) * (double)v[j]);
                ask_log_prob(flow, moved, log_prob[side]);
            }
            for (int r = 0; r < N; r++)
                quotient[i][r] = (log_prob[1][r] - log_prob[0][r]) / (2 * h);
        }
        for (int r = 0; r < N; r++) {
            double along = 0, size = 0;
            for (int j = r * flow->d; j < (r + 1) * flow->d; j++) {
                along += (double)noise[j] * (double)v[j];
                size += (double)noise[j] * (double)noise[j];
            }
            const double wanted = -s * (4 * quotient[1][r] - quotient[0][r]) / 3;
            assert_true(fabs(along - wanted) < 0.01 * sqrt(size) + 0.01);
        }
    }
}

void test_own_score(void **state)
{
    static const int shape[] = {8, 8, 1, 2, 2};
    const ts_glow_config configs[] = {
        {8, 8, 3, 2, 2, .hidden = 8},
        {8, 8, 1, 2, 2, .hidden = 8, .conditional = true, .sde = vp, .t_min = 0.1, .t_max = 1}};
    ts_data_gaussian *g = make_gaussian(64);
    for (int i = 0; i < 3; i++) {
        glow_model m = i < 2 ? glow_model_of(*state, &configs[i], 0.05)
                             : glow_model_make_whitened(*state, shape, 0.05, g, &vp, 0.4);
        ts_density *flow;
        must(ts_density_glow(*state, m.glow, m.params, 0.4, N, 8, 8, m.config.channels, &flow));
        follows_log_prob(flow, 0.7);
        ts_density_destroy(flow);
        glow_model_free(&m);
    }
    ts_data_gaussian_destroy(g);
}
