/*
 * The forward processes: marginals against closed forms written out independently and against the moment
 * equations integrated numerically, Lambda against its derivative and inverse, and the draws of t.
 *
 * To add a case, add the process to the list that the tests go through, with its closed forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "kernels/kernels.h"

static const ts_sde sdes[] = {
    {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0},
    {.kind = TS_SDE_VP, .beta_min = 3.0, .beta_max = 3.0},
    {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 20.0},
    {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50.0},
};
static const char *const names[] = {"VP", "VP, constant beta", "sub-VP", "VE"};

enum { SDES = sizeof sdes / sizeof *sdes };

static const double times[] = {1e-5, 1e-3, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0};

enum { TIMES = sizeof times / sizeof *times };

static void assert_close(double got, double want, double tolerance, const char *what, int k, double t)
{
    if (!(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-300)))
        fail_msg("%s of %s at t = %g: got %.17g, want %.17g", what, names[k], t, got, want);
}

/* In long double, as Song et al. 2021 write them (their equations 29 and 31, appendix B and C). */
static void closed_forms(void **unused)
{
    (void)unused;
    for (int k = 0; k < SDES; k++)
        for (int i = 0; i < TIMES; i++) {
            const ts_sde *e = &sdes[k];
            const long double t = times[i];
            long double a = 1, s, g2, f = 0;
            if (e->kind == TS_SDE_VE) {
                s = e->sigma_min * powl((long double)e->sigma_max / e->sigma_min, t);
                g2 = s * s * 2 * (logl(e->sigma_max) - logl(e->sigma_min));
            } else {
                const long double slope = (long double)e->beta_max - e->beta_min;
                const long double beta = e->beta_min + t * slope;
                const long double log_mean = -0.25L * t * t * slope - 0.5L * t * e->beta_min;
                a = expl(log_mean);
                f = -beta / 2;
                s = e->kind == TS_SDE_VP ? sqrtl(1 - a * a) : 1 - a * a;
                g2 = e->kind == TS_SDE_VP ? beta : beta * (1 - a * a * a * a);
            }
            assert_close(ts_sde_mean(e, times[i]), (double)a, 1e-13, "a", k, times[i]);
            /* 1 - a^2 loses 6 of 19 digits at the smallest t, in this reference */
            assert_close(ts_sde_std(e, times[i]), (double)s, 1e-12, "s", k, times[i]);
            assert_close(ts_sde_drift(e, times[i]), (double)f, 1e-13, "drift", k, times[i]);
            assert_close(ts_sde_diffusion2(e, times[i]), (double)g2, 1e-12, "g^2", k, times[i]);
            assert_close(ts_sde_likelihood_weight(e, times[i]), (double)(g2 / (s * s)), 1e-11, "g^2/s^2", k,
                         times[i]);
        }
}

/* mean' = drift mean, variance' = 2 drift variance + g^2, by Runge-Kutta 4 from t = 0, where a = 1 and the
 * variance is s(0)^2. */
static void moment_equations(void **unused)
{
    (void)unused;
    for (int k = 0; k < SDES; k++) {
        const ts_sde *e = &sdes[k];
        const int steps = 20000;
        const double h = 1.0 / steps;
        double mean = 1.0, variance = pow(ts_sde_std(e, 0.0), 2);
        for (int i = 0; i < steps; i++) {
            double dm[4], dv[4];
            static const double node[4] = {0, 0.5, 0.5, 1};
            for (int r = 0; r < 4; r++) {
                const double t = (i + node[r]) * h, f = ts_sde_drift(e, t);
                const double m = r ? mean + node[r] * h * dm[r - 1] : mean;
                const double v = r ? variance + node[r] * h * dv[r - 1] : variance;
                dm[r] = f * m;
                dv[r] = 2.0 * f * v + ts_sde_diffusion2(e, t);
            }
            mean += h / 6.0 * (dm[0] + 2.0 * dm[1] + 2.0 * dm[2] + dm[3]);
            variance += h / 6.0 * (dv[0] + 2.0 * dv[1] + 2.0 * dv[2] + dv[3]);
            if ((i + 1) % (steps / 10) == 0) {
                assert_close(ts_sde_mean(e, (i + 1) * h), mean, 1e-10, "a", k, (i + 1) * h);
                assert_close(ts_sde_std(e, (i + 1) * h), sqrt(variance), 1e-10, "s", k, (i + 1) * h);
            }
        }
    }
}

/* Lambda' = g^2/s^2 by central differences; Lambda and B against their inverses. */
static void lambda(void **unused)
{
    (void)unused;
    for (int k = 0; k < SDES; k++)
        for (int i = 0; i < TIMES; i++) {
            const ts_sde *e = &sdes[k];
            const double t = times[i], h = 1e-4 * t;
            /* fourth order: the error is about 1e-16 from truncation, 1e-16 Lambda/(h Lambda') from
             * rounding */
            const double slope = (8.0 * (ts_sde_lambda(e, t + h) - ts_sde_lambda(e, t - h)) -
                                  (ts_sde_lambda(e, t + 2.0 * h) - ts_sde_lambda(e, t - 2.0 * h))) /
                                 (12.0 * h);
            assert_close(slope, ts_sde_likelihood_weight(e, t), 1e-9, "dLambda/dt", k, t);
            assert_close(ts_sde_lambda_inverse(e, ts_sde_lambda(e, t)), t, 1e-12, "Lambda's inverse", k, t);
            if (e->kind != TS_SDE_VE)
                assert_close(ts_sde_time_of_beta_integral(e, ts_sde_beta_integral(e, t)), t, 1e-13,
                             "B's inverse", k, t);
        }
    /* where the inverse changes formula it is continuous, and exact on both sides: beta up to 400 */
    static const ts_sde steep[] = {{.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 400.0},
                                   {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 400.0}};
    for (int k = 0; k < 2; k++)
        for (double t = 0.05; t <= 1.0; t += 0.001)
            assert_close(ts_sde_lambda_inverse(&steep[k], ts_sde_lambda(&steep[k], t)), t, 1e-12,
                         "Lambda's inverse", 2 * k, t);
}

/* ---- draws ---- */

enum { DRAWS = 4096 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The share of the sampled density below t, from formulas other than the kernel's: for importance, minus the
 * difference of ln(a^2/s^2) for VP and VE; sub-VP by 2 ln sinh(B/2). */
static double share_below(const ts_sde *e, ts_time_sampling sampling, double t_min, double t_max, double t)
{
    if (sampling == TS_TIME_UNIFORM)
        return (t - t_min) / (t_max - t_min);
    double v[3];
    const double at[3] = {t_min, t, t_max};
    for (int i = 0; i < 3; i++) {
        const double a = ts_sde_mean(e, at[i]), s = ts_sde_std(e, at[i]);
        if (sampling == TS_TIME_STRUCTURE)
            v[i] = log(s * s / (a * a + s * s));
        else
            v[i] = e->kind == TS_SDE_SUBVP ? 2.0 * log(sinh(0.5 * ts_sde_beta_integral(e, at[i])))
                                           : 2.0 * log(s / a);
    }
    return (v[1] - v[0]) / (v[2] - v[0]);
}

/* The shares of the drawn t are uniform on [0, 1]: low-discrepancy draws have exactly one in every n-th of it
 * (up to the rounding of t at the ends of a stratum), independent ones a small Kolmogorov-Smirnov
 * distance. */
static void draw(ts_device *device, int k, ts_time_sampling sampling, bool low_discrepancy, double t_max)
{
    const double t_min = 1e-5;
    void *memory;
    assert_null(device->k->allocate(device, DRAWS * sizeof(float), &memory));
    float *t = memory;
    double *share = calloc(DRAWS, sizeof *share), mean = 0.0, distance = 0.0;
    assert_non_null(share);
    assert_null(device->k->allocate(device, sizeof(ts_step_state), &memory));
    ts_step_state *state = memory;
    const ts_step_state host = {.seed = 11, .step = 5};
    assert_null(device->k->upload(device, state, &host, sizeof host));
    const ts_draw_times a = {DRAWS, sdes[k], t_min, t_max, sampling, low_discrepancy, state, t};
    assert_null(device->k->draw_times(device, &a));
    for (int i = 0; i < DRAWS; i++) {
        assert_true((double)t[i] >= t_min && (double)t[i] <= t_max);
        share[i] = share_below(&sdes[k], sampling, t_min, t_max, t[i]);
        mean += share[i] / DRAWS;
    }
    qsort(share, DRAWS, sizeof *share, ascending);
    for (int i = 0; i < DRAWS; i++)
        distance =
            fmax(distance, fmax(fabs(share[i] - (double)i / DRAWS), fabs(share[i] - (i + 1.0) / DRAWS)));
    if (low_discrepancy) {
        assert_true(fabs(mean - 0.5) < 0.51 / DRAWS);
        assert_true(distance < 1.01 / DRAWS);
        for (int i = 1; i < DRAWS; i++)
            assert_true(fabs(share[i] - share[i - 1] - 1.0 / DRAWS) < 0.01 / DRAWS);
    } else {
        assert_true(fabs(mean - 0.5) < 4.0 * sqrt(1.0 / 12.0 / DRAWS));
        assert_true(distance * sqrt(DRAWS) < 1.95); /* 1 in 1000; the seed is fixed */
        assert_true(distance * DRAWS > 2.0);        /* independent draws are not this even */
    }
    free(share);
    device->k->release(device, t);
    device->k->release(device, state);
}

static void draws(void **unused)
{
    (void)unused;
    ts_device *device;
    const ts_device_options options = {.threads = 1};
    assert_null(ts_device_open("cpu", &options, &device));
    for (int k = 0; k < SDES; k++)
        for (int sampling = TS_TIME_UNIFORM; sampling <= TS_TIME_STRUCTURE; sampling++)
            for (int low = 0; low < 2; low++) {
                draw(device, k, (ts_time_sampling)sampling, low, 1.0);
                draw(device, k, (ts_time_sampling)sampling, low, 0.2);
            }
    ts_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_forms),
        cmocka_unit_test(moment_equations),
        cmocka_unit_test(lambda),
        cmocka_unit_test(draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
