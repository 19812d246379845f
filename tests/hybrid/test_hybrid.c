/*
 * The hybrid score: a start density's own above T*, the network's below.  Which rows it takes from which, the starts' scores
 * against differences of their log-densities, and the bound from any T as that of the start at T*.
 *
 * To add a case: a run in `starts_have_their_scores`, or in `bound_is_that_at_T_star`.
 */
#define FOLDER "/tmp/tstar-test-hybrid"

#include <stdio.h>
#include "diffusion/bound.h"
#include "oracle.h"
#include "run/evaluate.h"
#include "run/scores.h"
#include "run/training/log.h"
#include "run_files.h"

/* ---- rows ---- */

enum { ROWS = 40 };

static void evaluate(ts_score *score, const float *x, const float *t, float *net)
{
    const ts_kernels *k = score->device->k;
    const size_t n = (size_t)score->n, bytes = n * (size_t)score->d * sizeof(float);
    const float *result;
    void *device_x, *device_t;
    must(k->allocate(score->device, bytes, &device_x));
    must(k->allocate(score->device, n * sizeof(float), &device_t));
    must(k->upload(score->device, device_x, x, bytes));
    must(k->upload(score->device, device_t, t, n * sizeof(float)));
    must(score->evaluate(score, device_x, device_t, &result));
    must(k->download(score->device, net, result, bytes));
    must(k->synchronize(score->device));
    k->release(score->device, device_x);
    k->release(score->device, device_t);
}

static void rows_by_their_time(void **state)
{
    (void)state;
    static const double other_means[COMPONENTS] = {-0.7, 0.1, 1.2};
    ts_device *device = open_cpu();
    ts_mixture *line = line_mixture(device), *other;
    ts_score *both, *parts[2], *taken[2];
    float x[ROWS], t[ROWS], net[ROWS], of[2][ROWS];
    must(ts_mixture_create(device, COMPONENTS, 1, line_weights, other_means, line_stds, NULL, &other));
    for (int i = 0; i < 2; i++) {
        must(ts_score_mixture(i ? other : line, &vp, ROWS, &parts[i]));
        must(ts_score_mixture(i ? other : line, &vp, ROWS, &taken[i]));
    }
    must(ts_score_hybrid(taken[0], taken[1], 0.4, &both));
    for (int i = 0; i < ROWS; i++) {
        x[i] = -2 + 0.1f * (float)i;
        t[i] = i == 7 ? 0.4f : 0.02f * (float)(i + 1);
    }
    evaluate(parts[0], x, t, of[0]);
    evaluate(parts[1], x, t, of[1]);
    evaluate(both, x, t, net);
    for (int i = 0; i < ROWS; i++)
        assert_true(net[i] == of[t[i] > 0.4f][i] && of[0][i] != of[1][i]);
    /* where the host knows, all is of one */
    assert_true(both->within(both, 0.41, 1) && both->idle);
    evaluate(both, x, t, net);
    assert_memory_equal(net, of[1], sizeof net);
    assert_false(both->within(both, 0.5, 0.6));
    assert_true(both->within(both, 0.1, 0.4) && !both->idle);
    evaluate(both, x, t, net);
    assert_memory_equal(net, of[0], sizeof net);
    assert_true(both->within(both, 0.4, 0.5) && !both->idle);
    ts_score_destroy(both);
    /* batches that differ */
    must(ts_score_mixture(line, &vp, ROWS, &taken[0]));
    must(ts_score_mixture(line, &vp, ROWS + 1, &taken[1]));
    must_fail(ts_score_hybrid(taken[0], taken[1], 0.4, &both), TS_INVALID, "batches of 40");
    ts_score_destroy(parts[0]);
    ts_score_destroy(parts[1]);
    ts_mixture_destroy(line);
    ts_mixture_destroy(other);
    ts_device_close(device);
}

/* ---- the starts' own ---- */

/* -s times the slope of log nu between two points, on the device of the density. */
static double slope_of(ts_density *density, double s, const float *pair)
{
    const ts_kernels *k = density->device->k;
    const size_t bytes = 2 * (size_t)density->d * sizeof *pair;
    void *x, *values;
    double log_prob[2];
    must(k->allocate(density->device, bytes, &x));
    must(k->allocate(density->device, sizeof log_prob, &values));
    must(k->upload(density->device, x, pair, bytes));
    must(density->log_prob(density, x, values));
    must(k->download(density->device, log_prob, values, sizeof log_prob));
    must(k->synchronize(density->device));
    k->release(density->device, x);
    k->release(density->device, values);
    return -s * (log_prob[0] - log_prob[1]);
}

static void compare_slopes(ts_run *run, ts_start_kind kind, double T, double step, double tolerance)
{
    const ts_sde sde = ts_config_sde(run->config);
    const int d = ts_data_dim(&run->dataset->test);
    const double s = ts_sde_std(&sde, T);
    float *pair = malloc(4 * (size_t)d * sizeof *pair), *middle = pair + 2 * d, *net = middle + d;
    const float t = (float)T;
    ts_score *score;
    ts_start start, behind;
    assert_non_null(pair);
    must(ts_start_open(run, kind, T, 2, &start));
    must(ts_start_score(run, kind, 1, &behind, &score));
    for (int direction = 0; direction < 6; direction++) {
        double along = 0;
        for (int i = 0; i < d; i++) {
            const double offset = step * sin(1 + i * (direction + 1)) * s;
            middle[i] = (float)(cos(3 * i + direction) * (s + 0.3));
            pair[i] = (float)((double)middle[i] + offset);
            pair[d + i] = (float)((double)middle[i] - offset);
        }
        evaluate(score, middle, &t, net);
        for (int i = 0; i < d; i++)
            along += (double)net[i] * ((double)pair[i] - (double)pair[d + i]);
        NEAR(along, slope_of(start.density, s, pair), tolerance * (step + fabs(along)));
    }
    ts_score_destroy(score);
    ts_start_release(&behind);
    ts_start_release(&start);
    free(pair);
}

/* The logarithm of a Gaussian has no third derivative: its differences are exact. */
static void starts_have_their_scores(void **state)
{
    (void)state;
    static const char *const extras[] = {"sde.kind=vp", "sde.kind=ve", "start.rank=5", "sde.kind=subvp"};
    for (int k = 0; k < 4; k++) {
        char dir[64];
        snprintf(dir, sizeof dir, FOLDER "/scores%d", k);
        ts_run *run = create(dir, on_digits, extras[k], false);
        for (int j = 0; j < 2; j++) {
            compare_slopes(run, TS_START_GAUSSIAN, j ? 0.9 : 0.2, 0.1, 1e-5);
            if (k < 3)
                compare_slopes(run, TS_START_NORMAL, j ? 0.9 : 0.2, 0.1, 1e-5);
        }
        ts_run_close(run);
    }
    ts_run *run = create(FOLDER "/scores", on_mixture, NULL, false);
    compare_slopes(run, TS_START_MIXTURE, 0.2, 0.01, 1e-3);
    must(ts_starts[TS_START_DPMIXTURE].fit(run, NAN, NULL, &(ts_fit_result){0}));
    compare_slopes(run, TS_START_DPMIXTURE, 0.2, 0.01, 1e-3);
    ts_run_close(run);
}

/* ---- the bound ---- */

/* Minus the bound's terms at T* and at 1, with the run's choice of score: their difference datum by datum, and the prior
 * term's part of it. */
static ts_interval difference(ts_run *run, ts_start_kind start, double T_star, double *of_prior)
{
    const double T[] = {T_star, 1};
    const int64_t data = run->dataset->test.mixture ? 4000 : run->dataset->test.count;
    const ts_bound_config config = {.sde = ts_config_sde(run->config),
                                    .eps = 1e-3,
                                    .T_count = 2,
                                    .T = T,
                                    .draws = 16,
                                    .prior_draws = 4,
                                    .count = data,
                                    .seed = 3};
    double *values[2] = {calloc((size_t)data, sizeof(double)), calloc((size_t)data, sizeof(double))};
    ts_open_score open;
    ts_bound bound;
    assert_true(values[0] && values[1]);
    must(ts_score_open(run, start, 256, &open));
    must(ts_bound_measure(&config, &run->dataset->test, open.score, NULL, NULL, &bound));
    ts_score_close(&open);
    *of_prior = 0;
    for (int k = 0; k < 2; k++) {
        ts_start opened;
        must(ts_start_open(run, start, T[k], 256, &opened));
        must(ts_bound_prior(&config, &run->dataset->test, T[k], opened.density, values[k], NULL));
        ts_start_release(&opened);
    }
    for (int64_t i = 0; i < data; i++) {
        values[0][i] -= values[1][i];
        *of_prior += values[0][i] / (double)data;
        values[0][i] += bound.diffusion[2 * i] - bound.diffusion[2 * i + 1];
    }
    const ts_interval result = ts_interval_of(values[0], data);
    ts_bound_release(&bound);
    free(values[0]);
    free(values[1]);
    return result;
}

static void bound_is_that_at_T_star(void **state)
{
    (void)state;
    static const struct {
        const char *const *keys;
        const char *extra;
        ts_start_kind start;
        double T_star;
    } runs[] = {{on_digits, "seed=1", TS_START_GAUSSIAN, 0.35},
                {on_digits, "sde.kind=subvp", TS_START_GAUSSIAN, 0.3},
                {on_mixture, "seed=1", TS_START_NORMAL, 0.25},
                {on_mixture, "sde.kind=ve", TS_START_NORMAL, 0.3},
                {on_mixture, "seed=1", TS_START_MIXTURE, 0.2}};
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        char dir[64];
        double of_prior;
        snprintf(dir, sizeof dir, FOLDER "/bound%zu", k);
        train(dir, runs[k].keys, runs[k].extra, false);
        ts_run *run = reopen(dir, NULL);
        const ts_interval plain = difference(run, runs[k].start, runs[k].T_star, &of_prior);
        const ts_score_choice choice = {TS_SCORE_HYBRID, runs[k].T_star};
        run->choice = &choice;
        const ts_interval hybrid = difference(run, runs[k].start, runs[k].T_star, &of_prior);
        print_message("%s, T* = %g: prior %.4f nats, hybrid %.5f +- %.5f, network alone %.4f +- %.4f\n",
                      ts_start_kind_words.word[runs[k].start], runs[k].T_star, of_prior, hybrid.mean,
                      hybrid.half, plain.mean, plain.half);
        assert_true(fabs(hybrid.mean) < 1.6 * hybrid.half); /* 3 standard errors */
        assert_true(hybrid.half < 0.2 * of_prior && fabs(plain.mean) > 4 * plain.half);
        ts_run_close(run);
    }
}

static void refuses(void **state)
{
    (void)state;
    const double whole = 1;
    const ts_start_kind normal = TS_START_NORMAL, glow = TS_START_GLOW, gaussian = TS_START_GAUSSIAN;
    ts_score_choice choice = {TS_SCORE_HYBRID, 0.4};
    ts_open_score open;
    ts_evaluate_row row;
    ts_run *run = create(FOLDER "/subvp", on_digits, "sde.kind=subvp", false);
    run->choice = &choice;
    must_fail(ts_evaluate_bound(run, 1, &whole, 1, &normal, NULL, &row), TS_INVALID,
              "sub-VP carries no N(0, I)");
    must_fail(ts_score_open(run, glow, 4, &open), TS_INVALID,
              "carries no glow from one T to another; it takes normal, gaussian, dpmixture or mixture");
    choice.kind = TS_SCORE_EXACT;
    must_fail(ts_score_open(run, gaussian, 4, &open), TS_INVALID, "score exact needs model.kind exact");
    choice.kind = TS_SCORE_NETWORK_PER_T;
    must_fail(ts_score_open(run, gaussian, 4, &open), TS_INVALID, "/T0.4");
    ts_run_close(run);
    /* beyond what the network was trained on it serves, but not below T* */
    choice = (ts_score_choice){TS_SCORE_HYBRID, 0.4};
    train(FOLDER "/short", on_mixture, "train.T=0.5", false);
    run = reopen(FOLDER "/short", NULL);
    run->choice = &choice;
    must(ts_evaluate_bound(run, 1, &whole, 1, &normal, NULL, &row));
    choice.T = 0.6;
    must_fail(ts_evaluate_bound(run, 1, &whole, 1, &normal, NULL, &row), TS_INVALID,
              "this network was trained on t up to train.T = 0.5 alone");
    ts_run_close(run);
}

/* Where none is said, T* is the last that the log has of the start. */
static void T_star_of_the_log(void **state)
{
    (void)state;
    double T;
    const ts_score_choice choice = {TS_SCORE_HYBRID, 0};
    ts_run *run = create(FOLDER "/log", on_mixture, NULL, false);
    run->choice = &choice;
    must_fail(ts_score_T_star(run, TS_START_NORMAL, &T), TS_NOT_FOUND,
              "no T_star_normal stands in the run's log.jsonl");
    static const char log[] = "{\"step\": 1, \"T_star_normal\": 0.9, \"T_star_normal_low\": 0.8}\n"
                              "{\"step\": 2, \"T_star_normal\": 0.7, \"T_star_gaussian\": 0.3}\n"
                              "{\"step\": 3, \"T_star_normal\": null}\n{\"step\": 4, \"T_star_normal\": 7}\n";
    must(ts_file_write(FOLDER "/log/log.jsonl", log, sizeof log - 1));
    must(ts_score_T_star(run, TS_START_NORMAL, &T));
    assert_true(T == 0.7);
    must(ts_score_T_star(run, TS_START_GAUSSIAN, &T));
    assert_true(T == 0.3);
    must_fail(ts_score_T_star(run, TS_START_MIXTURE, &T), TS_NOT_FOUND, "no T_star_mixture");
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_by_their_time),      cmocka_unit_test(starts_have_their_scores),
        cmocka_unit_test(bound_is_that_at_T_star), cmocka_unit_test(refuses),
        cmocka_unit_test(T_star_of_the_log),
    };
    return cmocka_run_group_tests(tests, start_clean, start_clean);
}
