/*
 * What a sweep's work costs and what it advises, on made-up results: the cost model against the seconds that it was made
 * of, the advice against a search of its own over all rows.
 *
 * To add a case, make results with `make_up`, change rows, and compare.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "must.h"
#include "near.h"
#include "sweep/advice/advise.h"
#include "sweep/advice/costs.h"

enum { TIMES = 4, STARTS = 3, SAMPLERS = 7, ROWS = TIMES * STARTS * SAMPLERS };
static const double times[] = {1.0, 0.6, 0.4, 0.2};
static const ts_start_kind starts[] = {TS_START_NORMAL, TS_START_GAUSSIAN, TS_START_GLOW};
static const ts_sampler_entry samplers[] = {
    {TS_SAMPLER_EM, 10},   {TS_SAMPLER_EM, 20},   {TS_SAMPLER_EM, 50},   {TS_SAMPLER_HEUN, 10},
    {TS_SAMPLER_HEUN, 20}, {TS_SAMPLER_HEUN, 50}, {TS_SAMPLER_RK45, NAN}};

/* Seconds of an evaluation, by the sampler's place, and of a draw and a fit, by the start's. */
static double evaluation_of(ts_sampler_kind kind)
{
    return kind == TS_SAMPLER_EM ? 1e-4 : kind == TS_SAMPLER_HEUN ? 1.1e-4 : 1.5e-4;
}
static const double draws[] = {1e-5, 2e-5, 8e-4}, fits[] = {0, 0.5, 60};
static const double step = 0.01, steps = 3000;

static double random_share(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) / 16777216.0;
}

static const ts_bound_row *bound_of(const ts_results *r, int i)
{
    return &r->bounds[i / r->sampler_count];
}

static int start_of(int i)
{
    return i / SAMPLERS % STARTS;
}

/* Distances fall with steps, rise or fall with T, and are noisy; half: that of their intervals. */
static void make_up(ts_results *r, uint32_t seed, double half)
{
    static const ts_score_kind score = TS_SCORE_NETWORK;
    uint32_t state = seed;
    *r = (ts_results){.train_steps = steps, .costs = {.batch = 16, .training_step = step}};
    must(ts_results_make(r, 1, &score, TIMES, times, STARTS, starts, SAMPLERS, samplers));
    for (int i = 0; i < ROWS; i++) {
        ts_sample_row *row = &r->samples[i];
        const ts_sampler_kind kind = row->sampler.kind;
        const int evaluations = kind == TS_SAMPLER_HEUN ? 2 : 1;
        row->steps = kind == TS_SAMPLER_RK45 ? NAN : floor((row->sampler.budget - 1) / evaluations);
        row->nfe =
            kind == TS_SAMPLER_RK45 ? 25 + floor(30 * random_share(&state)) : row->steps * evaluations + 1;
        row->start_seconds = draws[start_of(i)];
        row->seconds_per_image = (ts_interval){row->start_seconds + row->nfe * evaluation_of(kind), NAN};
        row->sliced_wasserstein = (ts_interval){
            0.05 + 0.5 / row->nfe + 0.05 * fabs(bound_of(r, i)->T - 0.5) + 0.02 * random_share(&state), half};
        row->images = 256;
    }
    r->fits = calloc(STARTS * TIMES, sizeof *r->fits);
    for (int i = 0; i < STARTS * TIMES; i++)
        if (fits[i / TIMES] > 0) /* the Gaussian's serves every T */
            r->fits[r->fit_count++] =
                (ts_fit_summary){.start = starts[i / TIMES],
                                 .T = times[i % TIMES],
                                 .seconds = i / TIMES == 1 && i % TIMES ? 1e-4 : fits[i / TIMES]};
    must(ts_costs_measure(r));
}

static const ts_budget unlimited = {INFINITY, INFINITY, INFINITY, NAN};

/* ---- costs ---- */

/* Times that are made of the model are told exactly; what a busy machine adds to a third of them is not taken for theirs. */
static void costs_are_recovered(void **state)
{
    (void)state;
    ts_results r;
    make_up(&r, 1, 0.01);
    assert_int_equal(r.costs.evaluation_count, 3);
    assert_int_equal(r.costs.start_count, STARTS);
    assert_true(r.costs.evaluations[0].count == 3 * TIMES * STARTS);
    for (int i = 0; i < ROWS; i++) {
        const ts_sample_row *row = &r.samples[i];
        const ts_interval told =
            ts_costs_image(&r.costs, bound_of(&r, i)->start, row->sampler.kind, row->nfe);
        NEAR(told.mean, row->seconds_per_image.mean, 1e-12);
        NEAR(told.half, 0, 1e-12);
    }
    for (int i = 0; i < STARTS; i++) {
        NEAR(r.costs.starts[i].fit, fits[i], 0);
        NEAR(ts_costs_before(&r, starts[i]), step * steps + fits[i], 1e-9);
    }
    assert_true(isnan(ts_costs_image(&r.costs, TS_START_NORMAL, TS_SAMPLER_EDM, 10).mean));

    /* up to 4 % of noise everywhere, three times as long in a third of the rows */
    uint32_t random = 7;
    for (int i = 0; i < ROWS; i++) {
        ts_sample_row *row = &r.samples[i];
        const double factor = (1 + 0.04 * random_share(&random)) * (random_share(&random) < 0.33 ? 3 : 1);
        row->start_seconds *= factor;
        row->seconds_per_image.mean *= factor;
    }
    must(ts_costs_measure(&r));
    for (int i = 0; i < ROWS; i++) {
        const ts_sample_row *row = &r.samples[i];
        const int start = start_of(i);
        const double truth = draws[start] + row->nfe * evaluation_of(row->sampler.kind);
        const ts_interval told = ts_costs_image(&r.costs, starts[start], row->sampler.kind, row->nfe);
        NEAR(told.mean, 1.02 * truth, 0.03 * truth);
        assert_true(told.half < 0.1 * truth);
    }
    ts_results_release(&r);
}

/* Rows whose time is not known, and an exact score without training. */
static void unknown_costs(void **state)
{
    (void)state;
    ts_results r;
    ts_advice advice;
    ts_budget budget = unlimited;
    make_up(&r, 2, 0.01);
    for (int i = 0; i < ROWS; i++)
        r.samples[i].seconds_per_image = (ts_interval){NAN, NAN};
    r.costs.training_step = NAN;
    must(ts_costs_measure(&r));
    assert_int_equal(r.costs.evaluation_count, 0);
    NEAR(ts_costs_before(&r, TS_START_NORMAL), 0, 0);
    must(ts_advise(&r, &unlimited, &advice));
    assert_int_equal(advice.count, ROWS);
    assert_true(isnan(advice.best.seconds.mean) && isnan(advice.total));
    budget.seconds_per_image = 1;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID,
              "nothing that the sweep measured keeps all of these limits");
    ts_results_release(&r);
}

/* ---- advice ---- */

/* Whether the row fits, by the numbers that it was made of. */
static bool may(const ts_results *r, int i, const ts_budget *b)
{
    const ts_sample_row *row = &r->samples[i];
    const double seconds = draws[start_of(i)] + row->nfe * evaluation_of(row->sampler.kind);
    return row->nfe <= b->nfe && seconds <= b->seconds_per_image * (1 + 1e-9) &&
           (isinf(b->hours) ||
            step * steps + fits[start_of(i)] + b->images * seconds <= 3600 * b->hours * (1 + 1e-9));
}

/* The advised point is the nearest row that fits, or between a nearer one that does not and one that does. */
static void check_advice(const ts_results *r, const ts_budget *budget)
{
    ts_advice advice;
    int best = -1, count = 0;
    for (int i = 0; i < ROWS; i++)
        if (may(r, i, budget)) {
            count++;
            if (best < 0 || r->samples[i].sliced_wasserstein.mean < r->samples[best].sliced_wasserstein.mean)
                best = i;
        }
    if (best < 0) {
        must_fail(ts_advise(r, budget, &advice), TS_INVALID, "too few");
        return;
    }
    must(ts_advise(r, budget, &advice));
    const ts_advised *a = &advice.best;
    const double nearest = r->samples[best].sliced_wasserstein.mean;
    assert_true(advice.count >= count);
    assert_true(a->distance.mean <= nearest);
    assert_true(a->nfe <= budget->nfe && a->seconds.mean <= budget->seconds_per_image * (1 + 1e-6));
    NEAR(a->seconds.mean,
         draws[(a->row - r->samples) / SAMPLERS % STARTS] + a->nfe * evaluation_of(a->sampler), 1e-12);
    if (isfinite(budget->images))
        NEAR(advice.total, advice.before + budget->images * a->seconds.mean, 1e-9 * advice.total);
    assert_true(advice.total <= 3600 * budget->hours * (1 + 1e-6) || isnan(advice.total));
    if (a->nfe == a->row->nfe) {
        assert_true(a->row == &r->samples[best]);
        assert_true(a->steps == a->row->steps || isnan(a->steps));
        return;
    }
    const ts_sample_row *next = a->row + 1; /* in the list budgets ascend */
    assert_true(may(r, (int)(a->row - r->samples), budget) && !may(r, (int)(next - r->samples), budget));
    assert_true(a->steps > a->row->steps && a->steps < next->steps && a->steps == floor(a->steps));
    NEAR(a->nfe, a->steps * (a->sampler == TS_SAMPLER_HEUN ? 2 : 1) + 1, 1e-9);
    assert_true(a->distance.mean > next->sliced_wasserstein.mean &&
                a->distance.mean < a->row->sliced_wasserstein.mean);
}

static void advice_is_the_best(void **state)
{
    (void)state;
    uint32_t random = 3;
    int refused = 0;
    for (int k = 0; k < 300; k++) {
        ts_results r;
        ts_budget budget = unlimited;
        make_up(&r, 100 + (uint32_t)k, k % 2 ? 0.002 : 0.02);
        if (k % 3 == 0)
            budget.nfe = floor(5 + 60 * random_share(&random));
        if (k % 3 == 1)
            budget.seconds_per_image = 0.0005 + 0.006 * random_share(&random);
        if (k % 3 == 2 || k % 4 == 0) {
            budget.images = 50000;
            budget.hours = 0.01 + 0.08 * random_share(&random);
        }
        check_advice(&r, &budget);
        ts_advice advice;
        ts_status status = ts_advise(&r, &budget, &advice);
        refused += status != NULL;
        ts_status_free(status);
        ts_results_release(&r);
    }
    assert_true(refused > 5 && refused < 150);
}

/* Distances that are linear in log(steps) are told exactly between measured steps, and never beyond them. */
static void interpolation(void **state)
{
    (void)state;
    ts_results r;
    ts_advice advice;
    ts_budget budget = unlimited;
    make_up(&r, 4, 0.001);
    for (int i = 0; i < ROWS; i++) {
        ts_sample_row *row = &r.samples[i];
        const bool it = row->sampler.kind == TS_SAMPLER_HEUN && bound_of(&r, i)->T == 0.4 && start_of(i) == 1;
        row->sliced_wasserstein.mean = it ? 0.4 - 0.1 * log(row->steps) : 1;
    }
    budget.nfe = 36;
    must(ts_advise(&r, &budget, &advice));
    assert_true(advice.best.T == 0.4 && advice.best.start == TS_START_GAUSSIAN);
    assert_int_equal(advice.best.sampler, TS_SAMPLER_HEUN);
    assert_true(advice.best.steps == 17 && advice.best.nfe == 35);
    NEAR(advice.best.distance.mean, 0.4 - 0.1 * log(17), 1e-12);
    NEAR(advice.best.row->sliced_wasserstein.mean, 0.4 - 0.1 * log(9), 1e-12);
    /* exactly at a measured one, and beyond the last */
    budget.nfe = 49;
    must(ts_advise(&r, &budget, &advice));
    assert_true(advice.best.steps == 24 && advice.best.nfe == 49 && advice.best.row->nfe == 49);
    budget.nfe = 500;
    must(ts_advise(&r, &budget, &advice));
    assert_true(advice.best.steps == 24);
    /* where the two distances are not told apart it is the measured one */
    for (int i = 0; i < ROWS; i++)
        r.samples[i].sliced_wasserstein.half = 0.06;
    budget.nfe = 36;
    must(ts_advise(&r, &budget, &advice));
    assert_true(advice.best.steps == 9 && advice.best.nfe == advice.best.row->nfe);
    ts_results_release(&r);
}

/* Which others may be as good, and the cheapest of those in the interval. */
static void ties(void **state)
{
    (void)state;
    ts_results r;
    ts_advice advice;
    make_up(&r, 5, 0.001);
    for (int i = 0; i < ROWS; i++)
        r.samples[i].sliced_wasserstein = (ts_interval){0.5, 0.001};
    must(ts_advise(&r, &unlimited, &advice));
    assert_int_equal(advice.tied, ROWS - 1);
    assert_true(advice.best.nfe == 9 &&
                advice.best.start == TS_START_NORMAL); /* of equal distances the cheapest */
    assert_true(advice.best.row == advice.cheapest.row);
    r.samples[50].sliced_wasserstein = (ts_interval){0.1, 0.01};
    must(ts_advise(&r, &unlimited, &advice));
    assert_true(advice.best.row == &r.samples[50] && advice.tied == 0 && advice.within == 0);
    r.samples[14].sliced_wasserstein = (ts_interval){0.105, 0.01};
    r.samples[30].sliced_wasserstein = (ts_interval){0.115, 0.01}; /* tied, beyond the interval */
    must(ts_advise(&r, &unlimited, &advice));
    assert_true(advice.best.row == &r.samples[50] && advice.tied == 2 && advice.within == 1);
    assert_true(advice.cheapest.row == &r.samples[14]);
    ts_results_release(&r);
}

static void mistakes(void **state)
{
    (void)state;
    ts_results r;
    ts_advice advice;
    ts_budget budget = unlimited;
    make_up(&r, 6, 0.01);
    budget.nfe = 4;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID,
              "4 network evaluations a sample are too few: what this sweep measured takes at least 9");
    budget = unlimited;
    budget.seconds_per_image = 0.0005;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID, "0.0005 seconds an image are too few: ");
    budget = unlimited;
    budget.hours = 0.001;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID, "needs the number of images");
    budget.images = 1000;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID,
              "0.001 hours for training, fit and images are too few: ");
    budget.hours = NAN;
    must_fail(ts_advise(&r, &budget, &advice), TS_INVALID, "must be above 0");
    for (int i = 0; i < ROWS; i++)
        r.samples[i].sliced_wasserstein = (ts_interval){NAN, NAN};
    must_fail(ts_advise(&r, &unlimited, &advice), TS_INVALID, "no samples with a known distance");
    ts_results_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_recovered),
        cmocka_unit_test(unknown_costs),
        cmocka_unit_test(advice_is_the_best),
        cmocka_unit_test(interpolation),
        cmocka_unit_test(ties),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
