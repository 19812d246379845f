/*
 * T* where two loss profiles cross: the rule by quadrature, the sets of T that a bound with a wrong score tells, and the
 * measurement within a training.
 *
 * To add a case: another wrong score in `wrong`, or another process or data in `runs`.
 */
#define FOLDER "/tmp/tstar-test-crossing"

#include <stdio.h>
#include "diffusion/prior_curve.h"
#include "oracle.h"
#include "quality/bands.h"
#include "run/checkpoint.h"
#include "run/starts.h"
#include "run/training/crossing.h"
#include "run_files.h"

/* ---- by quadrature: data of the line's mixture, the score of another ---- */

static const double wrong_means[COMPONENTS] = {-0.85, 0.55, 1.65};
static const double wrong_stds[COMPONENTS] = {0.2, 0.13, 0.25};

/* d log p_t / dx of the other mixture. */
static double wrong_score(const ts_sde *sde, double t, double x)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    double p = 0, dp = 0;
    for (int k = 0; k < COMPONENTS; k++) {
        const double v = a * a * wrong_stds[k] * wrong_stds[k] + s * s, e = x - a * wrong_means[k];
        const double density = line_weights[k] * exp(-0.5 * e * e / v) / sqrt(v);
        p += density;
        dp -= density * e / v;
    }
    return dp / p;
}

/* E (net - z)^2 at t with that score: what no score can avoid, 1 - s^2 J, and s^2 E (score - wrong)^2. */
static double network_error(double t)
{
    const double a = ts_sde_mean(&vp, t), s = ts_sde_std(&vp, t);
    const double h = sqrt(0.01 * a * a + s * s) / 20, reach = 1.5 * a + 12 * sqrt(0.0625 * a * a + s * s);
    double fisher = 0, missed = 0;
    for (double x = -reach; x <= reach; x += h) {
        double dp;
        const double p = line_density(&vp, t, x, &dp);
        if (p < 1e-300)
            continue;
        const double own = dp / p, other = wrong_score(&vp, t, x);
        fisher += h * p * own * own;
        missed += h * p * (own - other) * (own - other);
    }
    return 1 - s * s * fisher + s * s * missed;
}

static double second_moment(void)
{
    return line_variance() + line_mean() * line_mean();
}

static double start_error(double t)
{
    const double a = ts_sde_mean(&vp, t), s = ts_sde_std(&vp, t);
    return s * s * a * a * second_moment() + a * a * a * a;
}

static double prior(double t)
{
    const double a = ts_sde_mean(&vp, t), s = ts_sde_std(&vp, t);
    return 0.5 * (a * a * second_moment() + s * s - 1) - log(s);
}

/* 1/2 int network_error dLambda between two times, by Simpson's rule. */
static double diffusion(double from, double to)
{
    const int steps = 200;
    const double low = ts_sde_lambda(&vp, from), h = (ts_sde_lambda(&vp, to) - low) / steps;
    double sum = 0;
    for (int i = 0; i <= steps; i++)
        sum += network_error(ts_sde_lambda_inverse(&vp, low + i * h)) * (i == 0 || i == steps ? 1
                                                                         : i % 2              ? 4
                                                                                              : 2);
    return 0.5 * sum * h / 3;
}

/* Where the profiles cross: below, the network's is the lower. */
static double crossing(void)
{
    double low = 0.1, high = 1;
    while (high - low > 1e-10) {
        const double middle = 0.5 * (low + high);
        if (network_error(middle) < start_error(middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* dELBO/dT = 1/2 (g^2/s^2) (start_error - network_error): the bound's difference quotients, and its maximum. */
static void the_rule(void **state)
{
    (void)state;
    const double h = 1e-3;
    for (double T = 0.15; T < 0.9; T += 0.1) {
        const double slope = (ts_sde_lambda(&vp, T + 1e-6) - ts_sde_lambda(&vp, T - 1e-6)) / 2e-6;
        double quotient[2];
        for (int i = 0; i < 2; i++) /* Richardson's extrapolation of central differences */
            quotient[i] = (prior(T - h / (1 + i)) - prior(T + h / (1 + i)) -
                           diffusion(T - h / (1 + i), T + h / (1 + i))) /
                          (2 * h / (1 + i));
        NEAR((4 * quotient[1] - quotient[0]) / 3, 0.5 * slope * (start_error(T) - network_error(T)), 1e-6);
    }
    const double T = crossing();
    assert_true(T > 0.2 && T < 0.9);
    for (double other = T - 0.1; other < T + 0.11; other += 0.05)
        if (fabs(other - T) > 0.01) /* the bound is lower on both sides */
            assert_true(prior(other) + diffusion(0.1, other) > prior(T) + diffusion(0.1, T));
    NEAR(network_error(T), start_error(T), 1e-6);
}

/* ---- the engine's bound with that score ---- */

enum { POINTS = 19, RUNS = 200, DRAWS = 4, BATCH = 1024 };

typedef struct rig {
    ts_device *device;
    ts_mixture *mixture, *wrong;
    ts_data data;
    ts_score *score;
    double T[POINTS], prior[POINTS], bound[POINTS]; /* and the truth there, up to a constant */
} rig;

static void open_rig(rig *r)
{
    r->device = open_cpu();
    r->mixture = line_mixture(r->device);
    must(ts_mixture_create(r->device, COMPONENTS, 1, line_weights, wrong_means, wrong_stds, NULL, &r->wrong));
    r->data = (ts_data){.device = r->device, .h = 1, .w = 1, .c = 1, .mixture = r->mixture};
    must(ts_score_mixture(r->wrong, &vp, BATCH, &r->score));
    double below = 0;
    for (int j = 0; j < POINTS; j++) {
        r->T[j] = 0.1 + 0.05 * j;
        below += j ? diffusion(r->T[j - 1], r->T[j]) : 0;
        r->bound[j] = -prior(r->T[j]) - below;
    }
}

static void close_rig(rig *r)
{
    ts_score_destroy(r->score);
    ts_mixture_destroy(r->wrong);
    ts_mixture_destroy(r->mixture);
    ts_device_close(r->device);
}

static void measure(const rig *r, int64_t n, uint64_t seed, double *elbo)
{
    const ts_bound_config config = {.sde = vp,
                                    .eps = 1e-3,
                                    .T_count = POINTS,
                                    .T = r->T,
                                    .draws = DRAWS,
                                    .prior_draws = 1,
                                    .count = n,
                                    .seed = seed};
    double *prior_of = malloc(sizeof *prior_of * (size_t)n);
    ts_bound bound;
    assert_non_null(prior_of);
    must(ts_bound_measure(&config, &r->data, r->score, NULL, NULL, &bound));
    for (int j = 0; j < POINTS; j++) {
        ts_density *normal;
        must(ts_density_normal(r->device, BATCH, 1, 1, &normal));
        must(ts_bound_prior(&config, &r->data, r->T[j], normal, prior_of, NULL));
        for (int64_t i = 0; i < n; i++)
            elbo[i * POINTS + j] = -prior_of[i] - bound.diffusion[i * POINTS + j];
        ts_density_destroy(normal);
    }
    ts_bound_release(&bound);
    free(prior_of);
}

typedef struct truth {
    int best, star;
} truth;

static truth truth_of(const rig *r, double tolerance)
{
    truth t = {0};
    for (int j = 1; j < POINTS; j++)
        if (r->bound[j] > r->bound[t.best])
            t.best = j;
    while (r->bound[t.best] - r->bound[t.star] > tolerance)
        t.star++;
    return t;
}

static void say(const char *what, int64_t n, int covered, int least)
{
    print_message("%s, %lld data: %d of %d%s\n", what, (long long)n, covered, RUNS,
                  covered > 196 ? " (conservative)" : "");
    assert_true(covered >= least);
}

static void sets_of_T_hold(void **state)
{
    (void)state;
    const double tolerance = 0.01 * M_LN2;
    const int64_t counts[] = {64, 512, 4096};
    rig r;
    open_rig(&r);
    const truth t = truth_of(&r, tolerance);
    assert_true(t.best > 0 && t.best < POINTS - 1 && t.star < t.best);
    NEAR(r.T[t.best], crossing(), 0.05);
    double *elbo = malloc(sizeof *elbo * 4096 * POINTS), width = 1;
    assert_non_null(elbo);
    for (int k = 0; k < 3; k++) {
        int best = 0, star = 0;
        double mean_width = 0;
        for (uint64_t run = 0; run < RUNS; run++) {
            ts_bands b;
            measure(&r, counts[k], 100 + run, elbo);
            must(ts_bands_make(elbo, counts[k], POINTS,
                               &(ts_bands_config){.tolerance = tolerance, .repetitions = 200, .seed = run},
                               &b));
            best += b.may_be_best[t.best];
            star += b.star_low <= t.star && t.star <= b.star_high;
            mean_width += (r.T[b.star_high] - r.T[b.star_low]) / RUNS;
            ts_bands_release(&b);
        }
        say("sets of the best T hold it", counts[k], best, k ? 183 : 180);
        say("sets of T* hold it", counts[k], star, k ? 183 : 180);
        print_message("a set of T* is %.3f wide\n", mean_width);
        assert_true(mean_width <= width);
        width = mean_width;
    }
    free(elbo);
    close_rig(&r);
}

/* ---- within a training ---- */

/* Of some held-out data, as the bound has them. */
static void read_datum(const ts_run *run, int64_t datum, float *x0)
{
    ts_device *device = run->device;
    const size_t bytes = (size_t)ts_data_dim(&run->dataset->test) * sizeof *x0;
    const ts_step_state draws = {(uint64_t)run->config->run.seed, 0, TS_BOUND_DATA};
    void *state, *rows;
    must(device->k->allocate(device, sizeof draws, &state));
    must(device->k->allocate(device, bytes, &rows));
    must(device->k->upload(device, state, &draws, sizeof draws));
    must(ts_data_eval_rows(&run->dataset->test, 256, 1, datum, state, rows));
    must(device->k->download(device, x0, rows, bytes));
    must(device->k->synchronize(device));
    device->k->release(device, state);
    device->k->release(device, rows);
}

/* -d/2 ln(2 pi e s^2) - E log nu(a x0 + s z): the log-density of a Gaussian is a quadratic form, whose mean over z is that
 * over the 2 d points a x0 +- s d^1/2 e_i. */
static double prior_by_points(ts_run *run, ts_start_kind kind, double T, int64_t datum)
{
    const ts_sde sde = ts_config_sde(run->config);
    const int d = ts_data_dim(&run->dataset->test), n = 2 * d;
    const double a = ts_sde_mean(&sde, T), s = ts_sde_std(&sde, T);
    ts_device *device = run->device;
    float *x0 = malloc(sizeof *x0 * (size_t)d), *points = malloc(sizeof *points * (size_t)(n * d));
    double *values = malloc(sizeof *values * (size_t)n), mean = 0;
    void *x, *out;
    ts_start start;
    assert_true(x0 && points && values);
    read_datum(run, datum, x0);
    for (int i = 0; i < n * d; i++)
        points[i] = (float)(a * (double)x0[i % d] +
                            (i % d == i / d / 2 ? (i / d % 2 ? -1 : 1) * s * sqrt((double)d) : 0));
    must(device->k->allocate(device, sizeof *points * (size_t)(n * d), &x));
    must(device->k->allocate(device, sizeof *values * (size_t)n, &out));
    must(device->k->upload(device, x, points, sizeof *points * (size_t)(n * d)));
    must(ts_start_open(run, kind, T, n, &start));
    must(start.density->log_prob(start.density, x, out));
    must(device->k->download(device, values, out, sizeof *values * (size_t)n));
    must(device->k->synchronize(device));
    for (int i = 0; i < n; i++)
        mean += values[i] / n;
    ts_start_release(&start);
    device->k->release(device, x);
    device->k->release(device, out);
    free(x0);
    free(points);
    free(values);
    return -0.5 * d * log(2 * M_PI * M_E * s * s) - mean;
}

static void prior_is_that_of_the_starts(void **state)
{
    (void)state;
    enum { DATA = 256 };
    const struct {
        const char *const *keys;
        const char *extra;
    } runs[] = {{on_digits, "seed=3"},
                {on_digits, "sde.kind=ve"},
                {on_digits, "sde.kind=subvp"},
                {on_digits, "start.rank=5"},
                {on_mixture, "seed=2"}};
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        char dir[64];
        double *T, *prior;
        int count;
        snprintf(dir, sizeof dir, FOLDER "/prior%zu", k);
        ts_run *run = create(dir, runs[k].keys, runs[k].extra, false);
        must(ts_prior_times(0.1, 1, &T, &count));
        assert_true(count == 91 && T[0] == 0.1 && T[90] == 1 && T[30] == 0.4);
        const ts_bound_config how = {.sde = ts_config_sde(run->config),
                                     .eps = 1e-4,
                                     .T_count = count,
                                     .T = T,
                                     .count = DATA,
                                     .seed = (uint64_t)run->config->run.seed};
        prior = malloc(sizeof *prior * DATA * (size_t)count);
        assert_non_null(prior);
        for (int start = 0; start < TS_CROSSING_COUNT; start++) {
            const ts_start_kind kind = ts_crossing_starts[start];
            must(ts_starts[kind].priors(run, &how, prior));
            for (int p = 0; p < 3; p++)
                for (int64_t i = 0; i < DATA; i += 85) {
                    const int j = p * (count - 1) / 2;
                    const double wanted = prior_by_points(run, kind, T[j], i);
                    NEAR(prior[i * count + j], wanted, 2e-5 * (1 + fabs(wanted)));
                }
        }
        free(prior);
        free(T);
        ts_run_close(run);
    }
}

/* A training that is measured ends with the bits of one that is not, and says T* in its log where it should. */
static void measuring_changes_nothing(void **state)
{
    (void)state;
    size_t bytes;
    char *never = NULL, *log = NULL;
    train(FOLDER "/never", on_digits, "train.eval_every=0", false);
    train(FOLDER "/often", on_digits, "train.eval_every=3", false);
    must(ts_file_read(FOLDER "/never/log.jsonl", 1 << 20, &never, &bytes));
    must(ts_file_read(FOLDER "/often/log.jsonl", 1 << 20, &log, &bytes));
    assert_null(strstr(never, "T_star"));
    free(never);
    int lines = 0;
    for (const char *at = log; (at = strstr(at, "\"T_star_gaussian_high\": ")); at++)
        lines++;
    assert_int_equal(lines, 3); /* steps 3, 6, 8 */
    double T, low, high;
    assert_int_equal(sscanf(strstr(log, "\"T_star_normal\""),
                            "\"T_star_normal\": %lf, \"T_star_normal_low\": %lf, \"T_star_normal_high\": %lf",
                            &T, &low, &high),
                     3);
    assert_true(0.1 <= low && low <= T && T <= high && high <= 1);
    free(log);
    /* the files differ in the configuration that they hold alone */
    ts_run *runs[2] = {reopen(FOLDER "/never", NULL), reopen(FOLDER "/often", NULL)};
    ts_params *params[2];
    for (int i = 0; i < 2; i++) {
        ts_checkpoint checkpoint;
        params[i] = runs[i]->model->params;
        must(ts_params_enable_training(params[i]));
        must(ts_checkpoint_load(runs[i], &checkpoint));
        ts_checkpoint_release(&checkpoint);
    }
    static const ts_param_buffer buffers[] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND,
                                              TS_BUFFER_EMA};
    float *scratch[2];
    must(ts_params_scratch(params[0], &scratch[0]));
    must(ts_params_scratch(params[1], &scratch[1]));
    for (int p = 0; p < ts_params_table_size(params[0]); p++)
        for (int b = 0; b < (ts_params_info(params[0], p)->trained ? 4 : 1); b++) {
            must(ts_params_get(params[0], p, buffers[b], scratch[0]));
            must(ts_params_get(params[1], p, buffers[b], scratch[1]));
            assert_memory_equal(scratch[0], scratch[1],
                                (size_t)ts_param_elements(ts_params_info(params[0], p)) * sizeof(float));
        }
    for (int i = 0; i < 2; i++) {
        free(scratch[i]);
        ts_run_close(runs[i]);
    }
}

/* No range of T, no measurement: a network of a shorter T than any of the sweep. */
static void nothing_to_measure(void **state)
{
    (void)state;
    ts_crossing *none;
    ts_run *run = create(FOLDER "/short", on_mixture, "train.T=0.4", false); /* sweep.T is 1, 0.5 */
    must(ts_crossing_open(run, &none));
    assert_null(none);
    ts_crossing_close(none);
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test(sets_of_T_hold),
        cmocka_unit_test(prior_is_that_of_the_starts),
        cmocka_unit_test(measuring_changes_nothing),
        cmocka_unit_test(nothing_to_measure),
    };
    return cmocka_run_group_tests(tests, start_clean, start_clean);
}
