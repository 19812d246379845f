/*
 * The likelihood by the probability-flow ODE on exact scores: log-densities in closed form, the bound below them,
 * probes and unit vectors, what a wrong start costs, dequantised levels.
 */
#include <stdio.h>
#include "diffusion/likelihood.h"
#include "elsewhere.h"
#include "oracle.h"

enum { COUNT = 96, BATCH = 40 }; /* batches that data do not fill */

static const double Ts[] = {1.0, 0.4, 0.1};

/* A mixture under an SDE, its score, and data drawn from it. */
typedef struct bench {
    ts_device *device;
    ts_mixture *mixture;
    ts_data data;
    ts_score *score;
    ts_likelihood_config config;
    double log_prob[2 * COUNT], nfe;
} bench;

static void bench_open(bench *b, const ts_sde *sde, ts_device *device, ts_mixture *mixture)
{
    *b = (bench){.device = device, .mixture = mixture};
    b->data =
        (ts_data){.device = device, .h = 1, .w = 1, .c = mixture->d, .count = COUNT, .mixture = mixture};
    b->config = (ts_likelihood_config){.sde = *sde,
                                       .eps = 1e-3,
                                       .rtol = 1e-6,
                                       .atol = 1e-6,
                                       .probe = TS_PROBE_RADEMACHER,
                                       .dequantisations = 1,
                                       .count = COUNT,
                                       .seed = 5};
    must(ts_score_mixture(mixture, sde, BATCH, &b->score));
}

static void bench_close(bench *b)
{
    ts_score_destroy(b->score);
    ts_mixture_destroy(b->mixture);
    ts_device_close(b->device);
}

/* From the exact start and from N(0, I) or N(0, sigma(T)^2 I): the halves of log_prob. */
static void measure(bench *b, double T)
{
    const ts_sde *sde = &b->config.sde;
    ts_density *starts[2];
    must(ts_density_mixture(b->mixture, sde, T, BATCH, &starts[0]));
    must(ts_density_normal(b->device, BATCH, b->mixture->d, sde->kind == TS_SDE_VE ? ts_sde_std(sde, T) : 1.0,
                           &starts[1]));
    must(ts_likelihood_measure(&b->config, &b->data, b->score, T, 2, starts, NULL, NULL, b->log_prob,
                               &b->nfe));
    ts_density_destroy(starts[0]);
    ts_density_destroy(starts[1]);
}

/* The data themselves, [COUNT][d], as rows of the likelihood begin with them. */
static void fetch_data(bench *b, float *x)
{
    const ts_step_state state = {b->config.seed, 0, TS_BOUND_DATA};
    void *memory, *values;
    const size_t bytes = (size_t)COUNT * (size_t)b->mixture->d * sizeof *x;
    must(b->device->k->allocate(b->device, sizeof state, &memory));
    must(b->device->k->allocate(b->device, bytes, &values));
    must(b->device->k->upload(b->device, memory, &state, sizeof state));
    must(ts_data_eval_batch(&b->data, COUNT, 0, memory, values));
    must(b->device->k->download(b->device, x, values, bytes));
    must(b->device->k->synchronize(b->device));
    b->device->k->release(b->device, memory);
    b->device->k->release(b->device, values);
}

/* ---- closed forms ---- */

static void on_the_line_it_is_the_density(void **state)
{
    (void)state;
    const ts_sde *const sdes[] = {&vp, &subvp, &ve};
    static const char *const names[] = {"VP", "sub-VP", "VE"};
    for (int i = 0; i < 3; i++) {
        ts_device *device = open_cpu();
        float x[COUNT];
        bench b;
        bench_open(&b, sdes[i], device, line_mixture(device));
        fetch_data(&b, x);
        for (int k = 0; k < 3; k++) {
            double worst = 0;
            measure(&b, Ts[k]);
            for (int j = 0; j < COUNT; j++)
                worst =
                    fmax(worst, fabs(b.log_prob[j] - log(line_density(sdes[i], b.config.eps, x[j], NULL))));
            print_message("%-6s T %.1f  nfe %5.1f  largest error %.1e nats\n", names[i], Ts[k], b.nfe, worst);
            assert_true(worst < 1e-3);
        }
        bench_close(&b);
    }
}

static ts_mixture *plane_mixture(ts_device *device)
{
    const double weights[] = {0.6, 0.4}, means[] = {-0.8, 0.3, 0.9, -0.5};
    const double covariances[] = {0.2, 0.15, 0.15, 0.15, 0.3, -0.2, -0.2, 0.4};
    ts_mixture *mixture;
    must(ts_mixture_create(device, 2, 2, weights, means, NULL, covariances, &mixture));
    return mixture;
}

/* ln p_t of the mixture above, from its determinants and inverses. */
static double plane_density(const ts_sde *sde, double t, const float *x)
{
    static const double weights[] = {0.6, 0.4}, means[2][2] = {{-0.8, 0.3}, {0.9, -0.5}};
    static const double covariances[2][3] = {{0.2, 0.15, 0.15}, {0.3, -0.2, 0.4}};
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    double p = 0;
    for (int k = 0; k < 2; k++) {
        const double u = a * a * covariances[k][0] + s * s, v = a * a * covariances[k][2] + s * s;
        const double w = a * a * covariances[k][1], determinant = u * v - w * w;
        const double e = x[0] - a * means[k][0], f = x[1] - a * means[k][1];
        p += weights[k] * exp(-0.5 * (v * e * e - 2 * w * e * f + u * f * f) / determinant) /
             (2 * M_PI * sqrt(determinant));
    }
    return log(p);
}

/* Unit vectors are exact datum by datum; probes of either kind are so on average, within their interval. */
static void divergences_of_every_kind(void **state)
{
    (void)state;
    ts_device *device = open_cpu();
    float x[2 * COUNT];
    bench b;
    bench_open(&b, &vp, device, plane_mixture(device));
    fetch_data(&b, x);
    for (int kind = -1; kind < TS_PROBE_COUNT; kind++) {
        double error[COUNT], worst = 0;
        b.config.probes = kind < 0 ? 0 : 4;
        b.config.probe = kind < 0 ? TS_PROBE_NORMAL : (ts_probe_kind)kind;
        measure(&b, 0.4);
        for (int i = 0; i < COUNT; i++) {
            error[i] = b.log_prob[i] - plane_density(&vp, b.config.eps, x + 2 * i);
            worst = fmax(worst, fabs(error[i]));
        }
        const ts_interval mean = ts_interval_of(error, COUNT);
        print_message("%-10s mean error %+.4f +- %.4f, largest %.1e nats\n",
                      kind < 0 ? "units" : ts_probe_kind_words.word[kind], mean.mean, mean.half, worst);
        if (kind < 0)
            assert_true(worst < 1e-3);
        else {
            assert_true(worst > 1e-2); /* it is an estimate, and normal probes spread more */
            assert_true(fabs(mean.mean) < 1.5 * mean.half);
            assert_true(mean.half < (kind == TS_PROBE_NORMAL ? 0.5 : 0.2));
        }
    }
    bench_close(&b);
}

/* int p_T ln(p_T / N(0, 1)), by the trapezoidal rule. */
static double line_kl(double T)
{
    double kl = 0;
    for (double x = -8; x < 8; x += 1e-3) {
        const double p = line_density(&vp, T, x, NULL);
        if (p > 1e-300)
            kl += 1e-3 * p * (log(p) + 0.5 * x * x + 0.5 * log(2 * M_PI));
    }
    return kl;
}

static void a_wrong_start_costs_its_divergence(void **state)
{
    (void)state;
    ts_device *device = open_cpu();
    bench b;
    bench_open(&b, &vp, device, line_mixture(device));
    for (int k = 0; k < 3; k++) {
        double difference[COUNT];
        measure(&b, Ts[k]);
        for (int i = 0; i < COUNT; i++)
            difference[i] = b.log_prob[i] - b.log_prob[COUNT + i];
        const ts_interval cost = ts_interval_of(difference, COUNT);
        print_message("T %.1f  costs %.4f +- %.4f nats, the divergence is %.4f\n", Ts[k], cost.mean,
                      cost.half, line_kl(Ts[k]));
        NEAR(cost.mean, line_kl(Ts[k]), 1.5 * cost.half + 1e-4);
    }
    assert_true(line_kl(0.1) > 0.05);
    bench_close(&b);
}

/* On the same data, with the exact score: the bound is tight, and not above. */
static void the_bound_is_not_above_it(void **state)
{
    (void)state;
    ts_device *device = open_cpu();
    bench b;
    bench_open(&b, &vp, device, line_mixture(device));
    const ts_bound_config config = {.sde = vp,
                                    .eps = b.config.eps,
                                    .T_count = 3,
                                    .T = Ts,
                                    .draws = 64,
                                    .prior_draws = 16,
                                    .count = COUNT,
                                    .seed = b.config.seed};
    ts_bound bound;
    must(ts_bound_measure(&config, &b.data, b.score, NULL, NULL, &bound));
    for (int k = 0; k < 3; k++)
        for (int normal = 0; normal < 2; normal++) {
            double prior[COUNT];
            ts_bound_terms terms;
            ts_density *start;
            if (normal)
                must(ts_density_normal(device, BATCH, 1, 1.0, &start));
            else
                must(ts_density_mixture(b.mixture, &vp, Ts[k], BATCH, &start));
            must(ts_bound_prior(&config, &b.data, Ts[k], start, prior, NULL));
            ts_bound_combine(&bound, k, Ts[k], prior, 1, &terms);
            ts_density_destroy(start);
            measure(&b, Ts[k]);
            const ts_interval exact = ts_interval_of(b.log_prob + normal * COUNT, COUNT);
            print_message("T %.1f %-7s bound %+.4f +- %.4f, likelihood %+.4f +- %.4f\n", Ts[k],
                          normal ? "normal" : "mixture", terms.elbo.mean, terms.elbo.half, exact.mean,
                          exact.half);
            assert_true(terms.elbo.mean <= exact.mean + hypot(terms.elbo.half, exact.half));
            if (!normal)
                NEAR(terms.elbo.mean, exact.mean, hypot(terms.elbo.half, exact.half));
        }
    ts_bound_release(&bound);
    bench_close(&b);
}

/* ---- dequantisation ---- */

/* Data that are all on the middle level under N(that, v): E log N(u; 0, v) over u uniform of variance w^2/12.
 * unit: levels of [0, 1], as VE has them. */
static void check_levels(bool unit)
{
    enum { D = 3, LEVELS = 9 };
    const double weight = 1, middle = unit ? 0.5 : 0, means[D] = {middle, middle, middle};
    const double stds[D] = {0.1, 0.1, 0.1}, width = (unit ? 1.0 : 2.0) / (LEVELS - 1);
    const ts_sde *sde = unit ? &ve : &vp;
    ts_device *device = open_cpu();
    ts_mixture *mixture;
    uint8_t bytes[COUNT * D];
    void *memory;
    bench b;
    must(ts_mixture_create(device, 1, D, &weight, means, stds, NULL, &mixture));
    bench_open(&b, sde, device, mixture);
    memset(bytes, LEVELS / 2, sizeof bytes);
    must(device->k->allocate(device, sizeof bytes, &memory));
    must(device->k->upload(device, memory, bytes, sizeof bytes));
    b.data.mixture = NULL;
    b.data.bytes = memory;
    b.data.levels = LEVELS;
    b.data.unit = unit;
    b.config.dequantisations = 8;
    measure(&b, 0.5);
    const double a = ts_sde_mean(sde, b.config.eps), s = ts_sde_std(sde, b.config.eps);
    const double v = a * a * 0.01 + s * s;
    const double wanted = -0.5 * D * (log(2 * M_PI * v) + width * width / 12 / v);
    const ts_interval found = ts_interval_of(b.log_prob, COUNT), bits = ts_likelihood_bits(found, &b.data);
    print_message("log p %.4f +- %.4f (%.4f)\n", found.mean, found.half, wanted);
    assert_true(found.half > 0.001 && found.half < 0.1);
    NEAR(found.mean, wanted, 1.5 * found.half);
    /* the same noise again, whatever the batches */
    double first[COUNT];
    memcpy(first, b.log_prob, sizeof first);
    b.config.count = COUNT - 7;
    measure(&b, 0.5);
    for (int i = 0; i < COUNT - 7; i++)
        NEAR(b.log_prob[i], first[i], 1e-3);
    /* probabilities of levels are densities times their width */
    NEAR(bits.mean, -(found.mean + D * log(width)) / (D * log(2)), 1e-9);
    NEAR(bits.half, found.half / (D * log(2)), 1e-9);
    device->k->release(device, memory);
    bench_close(&b);
}

static void levels_are_dequantised(void **state)
{
    (void)state;
    check_levels(false);
    check_levels(true);
}

/* ---- how often the interval that is printed holds ----
 *
 * At least 183 of 200 seeds: 95 % less two standard errors; more than 196 would be conservative.
 */

enum { SEEDS = 200, LEAST = 183, CONSERVATIVE = 196 };

static void check_cover(const char *what, double wanted, const ts_interval *found)
{
    int hits = 0;
    for (int i = 0; i < SEEDS; i++)
        hits += fabs(found[i].mean - wanted) <= found[i].half;
    print_message("  %-40s held %d of %d%s\n", what, hits, SEEDS,
                  hits > CONSERVATIVE ? ", conservative" : "");
    assert_true(hits >= LEAST);
}

/* E log p_eps over data x, on the line and in the plane, by sums over a grid. */
static double line_truth(double eps)
{
    double sum = 0;
    for (double x = -4; x < 4; x += 1e-3)
        sum += 1e-3 * line_density(&vp, 0, x, NULL) * log(line_density(&vp, eps, x, NULL));
    return sum;
}

static double plane_truth(double eps)
{
    const double h = 0.025;
    double sum = 0;
    for (int i = -200; i <= 200; i++)
        for (int j = -200; j <= 200; j++) {
            const float x[] = {(float)(i * h), (float)(j * h)};
            sum += h * h * exp(plane_density(&vp, 0, x)) * plane_density(&vp, eps, x);
        }
    return sum;
}

static void intervals_cover(void **state)
{
    (void)state;
    static const double T = 0.4;
    if (elsewhere()) {
        print_message("skipped: the estimator's coverage is the host's to show\n");
        skip();
    }
    for (int plane = 0; plane < 2; plane++) {
        ts_interval exact[SEEDS], normal[SEEDS];
        ts_device *device = open_cpu();
        bench b;
        bench_open(&b, &vp, device, plane ? plane_mixture(device) : line_mixture(device));
        b.config.probes = plane; /* one in the plane, which widens the interval; on the line it is exact */
        b.config.rtol = b.config.atol = 1e-3;
        for (int i = 0; i < SEEDS; i++) {
            b.config.seed = (uint64_t)i + 1;
            measure(&b, T);
            exact[i] = ts_interval_of(b.log_prob, COUNT);
            normal[i] = ts_interval_of(b.log_prob + COUNT, COUNT);
        }
        if (plane)
            check_cover("in the plane, by a probe", plane_truth(b.config.eps), exact);
        else {
            check_cover("on the line, exact start", line_truth(b.config.eps), exact);
            check_cover("on the line, normal start", line_truth(b.config.eps) - line_kl(T), normal);
        }
        bench_close(&b);
    }
}

/* ---- the rest ---- */

static bool half_done(void *context, double share)
{
    *(double *)context = share;
    return share < 0.4;
}

static void refuses(void **state)
{
    (void)state;
    ts_device *device = open_cpu();
    double share = 0;
    ts_density *start, *other;
    bench b;
    bench_open(&b, &vp, device, line_mixture(device));
    must(ts_density_normal(device, BATCH, 1, 1.0, &start));
    must(ts_density_normal(device, BATCH + 1, 1, 1.0, &other));
#define MEASURE(T, density, progress)                                                                        \
    ts_likelihood_measure(&b.config, &b.data, b.score, T, 1, &(density), progress, &share, b.log_prob, &b.nfe)
    MUST_FAIL(MEASURE(b.config.eps, start, NULL), TS_INVALID);
    MUST_FAIL(MEASURE(1.5, start, NULL), TS_INVALID);
    MUST_FAIL(MEASURE(0.5, other, NULL), TS_INVALID);
    MUST_FAIL(MEASURE(0.5, start, half_done), TS_INTERRUPTED);
    assert_true(share > 0.4 && share < 1);
    b.config.probes = -1;
    MUST_FAIL(MEASURE(0.5, start, NULL), TS_INVALID);
    b.config.probes = 0;
    b.config.dequantisations = 0;
    MUST_FAIL(MEASURE(0.5, start, NULL), TS_INVALID);
    b.config.dequantisations = 1;
    b.config.rtol = 0;
    MUST_FAIL(MEASURE(0.5, start, NULL), TS_INVALID);
    b.config.rtol = 1e-4;
    const volatile sig_atomic_t stop = 1;
    b.config.stop = &stop;
    MUST_FAIL(MEASURE(0.5, start, NULL), TS_INTERRUPTED);
#undef MEASURE
    ts_density_destroy(start);
    ts_density_destroy(other);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_line_it_is_the_density),
        cmocka_unit_test(divergences_of_every_kind),
        cmocka_unit_test(a_wrong_start_costs_its_divergence),
        cmocka_unit_test(the_bound_is_not_above_it),
        cmocka_unit_test(levels_are_dequantised),
        cmocka_unit_test(intervals_cover),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
