/*
 * Whether the intervals that a sweep prints hold what they estimate, on a mixture on the line whose every number
 * is known: over seeds, each with data of its own.
 *
 * To add an interval: what it estimates by quadrature, and a loop over seeds like these.
 */
#include <stdio.h>

#include "list.h"
#include "diffusion/likelihood.h"
#include "oracle.h"
#include "sweep/internal.h"

enum { SEEDS = 200, DATA = 200, BATCH = 200, NODES = 4001, LEVELS = 200 };

/* 183 and 196 of 200: 95 % less and more than two standard errors. */
enum { LEAST = 183, CONSERVATIVE = 196 };

static const double eps = 1e-3, T = 0.4;

/* The mixture, and a Gaussian whose score is a wrong one. */
typedef struct bench {
    ts_device *device;
    ts_mixture *mixture, *gaussian;
    ts_data data;
} bench;

static const double wrong_mean = 0.1, wrong_std = 0.8;

static void bench_open(bench *b)
{
    const double weight = 1;
    b->device = open_cpu();
    b->mixture = line_mixture(b->device);
    must(ts_mixture_create(b->device, 1, 1, &weight, &wrong_mean, &wrong_std, NULL, &b->gaussian));
    b->data = (ts_data){.device = b->device, .h = 1, .w = 1, .c = 1, .count = DATA, .mixture = b->mixture};
}

static void bench_close(bench *b)
{
    ts_mixture_destroy(b->gaussian);
    ts_mixture_destroy(b->mixture);
    ts_device_close(b->device);
}

static void check(const char *name, const ts_interval *found, double truth)
{
    int holds = 0;
    double mean = 0, variance = 0, width = 0;
    for (int i = 0; i < SEEDS; i++) {
        holds += fabs(found[i].mean - truth) <= found[i].half;
        mean += found[i].mean / SEEDS;
        width += found[i].half / SEEDS;
    }
    for (int i = 0; i < SEEDS; i++)
        variance += (found[i].mean - mean) * (found[i].mean - mean) / (SEEDS - 1);
    print_message("%s: %d of %d intervals hold %.4f%s\n", name, holds, SEEDS, truth,
                  holds > CONSERVATIVE ? ", conservative" : "");
    assert_true(holds >= LEAST);
    assert_true(width < 4 * sqrt(variance)); /* and not by being wide: 2 deviations are exact */
    assert_true(fabs(mean - truth) < 4 * sqrt(variance / SEEDS));
}

/* ---- the likelihood by the ODE ---- */

/* E log p_eps(x0) over x0 of p_0, by the trapezoidal rule. */
static double expected_log_density(void)
{
    double sum = 0;
    for (int i = 0; i < NODES; i++) {
        const double x = -3.5 + 7.0 * i / (NODES - 1);
        sum += 7.0 / (NODES - 1) * line_density(&vp, 0, x, NULL) * log(line_density(&vp, eps, x, NULL));
    }
    return sum;
}

void likelihood_coverage(void **state)
{
    (void)state;
    static double log_prob[DATA];
    ts_interval found[SEEDS];
    ts_score *score;
    ts_density *start;
    double nfe;
    bench b;
    bench_open(&b);
    must(ts_score_mixture(b.mixture, &vp, BATCH, &score));
    must(ts_density_mixture(b.mixture, &vp, T, BATCH, &start));
    for (int seed = 0; seed < SEEDS; seed++) {
        const ts_likelihood_config config = {.sde = vp,
                                             .eps = eps,
                                             .rtol = 1e-3,
                                             .atol = 1e-3,
                                             .dequantisations = 1,
                                             .count = DATA,
                                             .seed = (uint64_t)seed};
        must(ts_likelihood_measure(&config, &b.data, score, T, 1, &start, NULL, NULL, log_prob, &nfe));
        found[seed] = ts_interval_of(log_prob, DATA);
    }
    check("likelihood by the ODE", found, expected_log_density());
    ts_density_destroy(start);
    ts_score_destroy(score);
    bench_close(&b);
}

/* ---- what one network gains over another ---- */

/* s^2 E (wrong score - score)^2 at t. */
static double score_error(double t)
{
    const double a = ts_sde_mean(&vp, t), s = ts_sde_std(&vp, t);
    const double variance = a * a * wrong_std * wrong_std + s * s, reach = 3 * a + 7 * s;
    double sum = 0;
    for (int i = 0; i < NODES; i++) {
        const double x = reach * (2.0 * i / (NODES - 1) - 1);
        double derivative;
        const double p = line_density(&vp, t, x, &derivative);
        if (!(p > 0))
            continue;
        const double error = -(x - a * wrong_mean) / variance - derivative / p;
        sum += 2 * reach / (NODES - 1) * p * error * error;
    }
    return s * s * sum;
}

/* 1/2 int E ||net - net'||^2 dLambda between eps and T, by the midpoint rule. */
static double expected_gain(void)
{
    const double low = ts_sde_lambda(&vp, eps), high = ts_sde_lambda(&vp, T);
    double sum = 0;
    for (int i = 0; i < LEVELS; i++)
        sum += score_error(ts_sde_lambda_inverse(&vp, low + (high - low) * (i + 0.5) / LEVELS));
    return 0.5 * (high - low) / LEVELS * sum;
}

/* The exact score is what the network trained for T stands for here, the wrong one the network for all T. */
void gain_coverage(void **state)
{
    (void)state;
    ts_interval found[SEEDS];
    const ts_mixture *scores_of[2];
    bench b;
    bench_open(&b);
    scores_of[0] = b.gaussian;
    scores_of[1] = b.mixture;
    for (int seed = 0; seed < SEEDS; seed++) {
        ts_bound bound[2];
        for (int k = 0; k < 2; k++) {
            /* the one for all T is measured at others too */
            const double times[] = {k ? T : 1.0, T};
            const ts_bound_config config = {.sde = vp,
                                            .eps = eps,
                                            .T_count = k ? 1 : 2,
                                            .T = times,
                                            .draws = 8,
                                            .prior_draws = 1,
                                            .count = DATA,
                                            .seed = (uint64_t)seed};
            ts_score *score;
            must(ts_score_mixture(scores_of[k], &vp, BATCH, &score));
            must(ts_bound_measure(&config, &b.data, score, NULL, NULL, &bound[k]));
            ts_score_destroy(score);
        }
        /* columns of the same T stand at the same place in a sweep */
        for (int64_t i = 0; i < DATA; i++)
            bound[0].diffusion[2 * i] = bound[0].diffusion[2 * i + 1];
        found[seed] = ts_sweep_gain(1, &(const ts_bound *){&bound[0]}, &(const ts_bound *){&bound[1]}, 0);
        ts_bound_release(&bound[0]);
        ts_bound_release(&bound[1]);
    }
    check("gain of the better score", found, expected_gain());
    bench_close(&b);
}
