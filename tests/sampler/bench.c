#include <stdio.h>
#include "sampler.h"

bench bench_open(const ts_sde *sde, int n, ts_device *device, ts_mixture *mixture)
{
    bench b = {.device = device, .sde = *sde, .mixture = mixture, .n = n, .d = mixture->d};
    void *memory;
    must(ts_score_mixture(mixture, sde, n, &b.score));
    must(ts_sampler_create(b.score, sde, &b.sampler));
    must(device->k->allocate(device, (size_t)n * (size_t)b.d * sizeof(float), &memory));
    b.x = memory;
    b.host = malloc((size_t)n * (size_t)b.d * sizeof(float));
    assert_non_null(b.host);
    return b;
}

bench bench_line(const ts_sde *sde, int n)
{
    ts_device *device = open_cpu();
    return bench_open(sde, n, device, line_mixture(device));
}

bench bench_gaussian(const ts_sde *sde, int n, double std)
{
    const double weight = 1.0, mean = 0.0;
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    must(ts_mixture_create(device, 1, 1, &weight, &mean, &std, NULL, &mixture));
    return bench_open(sde, n, device, mixture);
}

void bench_close(bench *b)
{
    free(b->host);
    b->device->k->release(b->device, b->x);
    ts_sampler_destroy(b->sampler);
    ts_score_destroy(b->score);
    ts_mixture_destroy(b->mixture);
    assert_int_equal(*b->device->recording_error, 0);
    ts_device_close(b->device);
}

void fetch(bench *b)
{
    must(b->device->k->download(b->device, b->host, b->x, (size_t)b->n * (size_t)b->d * sizeof(float)));
    must(b->device->k->synchronize(b->device));
}

void put(bench *b, const float *x)
{
    must(b->device->k->upload(b->device, b->x, x, (size_t)b->n * (size_t)b->d * sizeof(float)));
}

void draw(bench *b, double t, uint64_t seed)
{
    const ts_step_state state = {seed, 0, 0};
    void *memory;
    must(b->device->k->allocate(b->device, sizeof state, &memory));
    must(b->device->k->upload(b->device, memory, &state, sizeof state));
    const ts_mixture_sample a = {b->n, 0, b->sde, t, b->mixture->view, memory, TS_STREAM_START, b->x};
    must(b->device->k->mixture_sample(b->device, &a));
    must(b->device->k->synchronize(b->device));
    b->device->k->release(b->device, memory);
}

ts_sampler_config config_of(ts_sampler_kind kind, double T, int steps, double tolerance)
{
    return (ts_sampler_config){.kind = kind,
                               .T = T,
                               .eps = EPS,
                               .steps = steps,
                               .rtol = tolerance,
                               .atol = tolerance,
                               .rho = 7,
                               .churn_noise = 1,
                               .corrector_steps = 1,
                               .snr = 0.16};
}

/* ---- distributions ---- */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* sqrt(n) times the Kolmogorov-Smirnov distance to p_eps: above 1.95 one time in a thousand. */
static double kolmogorov(bench *b, const ts_sde *sde)
{
    double worst = 0.0;
    fetch(b);
    qsort(b->host, (size_t)b->n, sizeof *b->host, ascending);
    for (int i = 0; i < b->n; i++) {
        const double p = line_distribution(sde, EPS, b->host[i]);
        worst = fmax(worst, fmax(fabs(p - (double)i / b->n), fabs(p - (i + 1.0) / b->n)));
    }
    return worst * sqrt(b->n);
}

void check_samples(bench *b, const char *name, double T, int nfe)
{
    const double a = ts_sde_mean(&b->sde, EPS), s = ts_sde_std(&b->sde, EPS);
    const double variance = a * a * line_variance() + s * s;
    double mean = 0.0, square = 0.0;
    const double ks = kolmogorov(b, &b->sde);
    for (int i = 0; i < b->n; i++)
        mean += b->host[i] / (double)b->n;
    for (int i = 0; i < b->n; i++)
        square += pow(b->host[i] - mean, 2) / b->n;
    print_message("%-10s T %.1f  nfe %4d  mean %+.4f (%+.4f)  variance %.4f (%.4f)  KS %.2f\n", name, T, nfe,
                  mean, a * line_mean(), square, variance, ks);
    NEAR(mean, a * line_mean(), 4.0 * sqrt(variance / b->n));
    NEAR(square, variance, 4.0 * variance * sqrt(2.0 / b->n));
    assert_true(ks < 1.95);
}
