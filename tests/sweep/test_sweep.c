/*
 * The sweep: T* and quadrature against closed forms, and whole sweeps killed at several moments.
 *
 * To add a case, run a sweep on a mixture in a folder of its own, compare with the closed form, and list the
 * test in main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "elsewhere.h"
#include "sweep_test.h"

/* ---- T* ---- */

/* Large differences between data, small ones between T: only the paired comparison sees them. */
static void bounds_are_paired(void **state)
{
    (void)state;
    enum { count = 400, times = 4, d = 3 };
    const double T[] = {0.1, 0.2, 0.6, 1.0}, loss[] = {0.5, 0.001, 0, 0.1};
    static double elbo[count * times];
    for (int i = 0; i < count; i++)
        for (int t = 0; t < times; t++)
            elbo[i * times + t] =
                -100 + 30 * sin(1.7 * i) - loss[t] + 0.02 * sin(12.9898 * (i + 1) * (t + 1));
    /* one thread: a process with more cannot be forked */
    ts_bands_config how = {.tolerance = 0.01, .repetitions = 1000, .seed = 1, .threads = 1};
    ts_finding f = {.count = 0};
    must(ts_sweep_find(elbo, count, times, T, d, &how, &f));
    assert_true(f.T_best == 0.6 && f.T_best_low == 0.2 && f.T_best_high == 0.6 && !f.tie);
    assert_true(f.T_star == 0.2 && f.T_star_low == 0.2 && f.T_star_high == 0.2);
    NEAR(f.tolerance, 0.01 / (d * M_LN2), 1e-15);
    assert_int_equal(f.count, times);
    for (int t = 0; t < times; t++) {
        const ts_finding_point *p = &f.points[t];
        assert_true(p->T == T[t] && p->loss_low <= p->loss && p->loss <= p->loss_high);
        NEAR(p->loss, loss[t] / (d * M_LN2), 0.002);
        assert_true(p->loss_high - p->loss_low < 0.01); /* of one T alone: 30 / sqrt(400) */
        NEAR(p->bpd.mean, 100 / (d * M_LN2), 2);
    }
    assert_true(f.points[0].loss_low > 0 && f.points[2].loss == 0);
    NEAR(f.points[1].chance + f.points[2].chance, 1, 1e-12);
    free(f.points);

    /* a tolerance that the data cannot show: the range reaches from what they do not exclude to the largest T */
    how.tolerance = 1e-6;
    must(ts_sweep_find(elbo, count, times, T, d, &how, &f));
    assert_true(f.T_star_low == 0.2 && f.T_star == 0.6 && f.T_star_high == 1.0);
    free(f.points);
}

/* ---- quadrature ---- */

/* One Gaussian: p_t is Gaussian, so KL and mutual information are elementary. */
static void exact_of_one_gaussian(void **state)
{
    (void)state;
    static const char *const overrides[] = {"data.kind=mixture", "data.mixture.weights=[3]",
                                            "data.mixture.means=[0.7]", "data.mixture.stds=[0.25]",
                                            "model.kind=exact"};
    ts_config *config;
    ts_results results = {.exact_count = 0};
    const double eps = 0.01;
    must(ts_config_load(NULL, overrides, 5, &config));
    must(ts_sweep_exact(config, eps, 1.0, &results));
    const ts_sde sde = ts_config_sde(config);
    assert_true(results.exact_count >= 20);
    for (int i = 0; i < results.exact_count; i++) {
        const double T = results.exact[i].T, a = ts_sde_mean(&sde, T), s = ts_sde_std(&sde, T);
        const double v = a * a * 0.0625 + s * s, m = 0.7 * a;
        const double a0 = ts_sde_mean(&sde, eps), s0 = ts_sde_std(&sde, eps), v0 = a0 * a0 * 0.0625 + s0 * s0;
        NEAR(results.exact[i].kl_normal, 0.5 * (v + m * m - 1 - log(v)), 1e-9);
        NEAR(results.exact[i].K, 0.5 * log(v0 / (s0 * s0)) - 0.5 * log(v / (s * s)), 1e-9);
    }
    assert_true(results.exact[results.exact_count - 1].T == 1.0);
    ts_results_release(&results);
    ts_config_free(config);
}

/* ---- whole sweeps ---- */

static void vectors_survive_kills(void **state)
{
    (void)state;
    killed_sweep_ends_the_same("vectors", vectors, VECTORS, 2);
}

static void digits_survive_kills(void **state)
{
    (void)state;
    killed_sweep_ends_the_same("digits", digits, DIGITS, 2);
}

/* ---- workers ---- */

/* The numbers of one worker, whatever the number of workers and the order; behind killed_sweep_ends_the_same. */
static void workers_change_no_number(void **state)
{
    (void)state;
    static const crew crews[] = {{2, 0x9E3779B97F4A7C15u}, {3, 12345}, {2, 0}, {1, 777}};
    const size_t count = elsewhere() ? 1 : sizeof crews / sizeof *crews; /* there is one worker elsewhere */
    for (int set = 0; set < 2; set++) {
        char whole[128], dir[128];
        snprintf(whole, sizeof whole, "%s/%s-whole", folder, set ? "digits" : "vectors");
        char *a = numbers_of(whole);
        for (size_t i = 0; i < count; i++) {
            snprintf(dir, sizeof dir, "%s/crew%d-%zu", folder, set, i);
            const pid_t child = set ? start_with(crews[i], dir, digits, DIGITS, NULL)
                                    : start_with(crews[i], dir, vectors, VECTORS, NULL);
            assert_int_equal(finish(child), 0);
            char *b = numbers_of(dir);
            expect_same(a, b);
            free(b);
        }
        free(a);
    }
}

/* Glows that diverge: all else is done, and what was done is taken over once they are right. */
static void failed_parts_leave_the_others(void **state)
{
    (void)state;
    char dir[128], whole[128], path[200];
    const int count = DIGITS;
    snprintf(dir, sizeof dir, "%s/failed", folder);
    snprintf(whole, sizeof whole, "%s/digits-whole", folder);
    assert_int_equal(finish(start_with((crew){2, 0}, dir, digits, count, "glow.lr=1e30")), 2);
    snprintf(path, sizeof path, "%s/samples/T0.3_normal_network_rk45.safetensors", dir);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/parts/prior_T0.3_normal.safetensors", dir);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/parts/prior_T0.3_glow.safetensors", dir);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/sweep.json", dir);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/parts/bound_network.safetensors.99999999.tmp",
             dir); /* of one that was killed */
    must(ts_file_write(path, "", 0));
    assert_int_equal(finish(start_with((crew){2, 0}, dir, digits, count, NULL)), 0);
    assert_int_equal(access(path, F_OK), -1);
    char *a = numbers_of(whole), *b = numbers_of(dir);
    expect_same(a, b);
    free(a);
    free(b);
}

/* What can come to nothing is refused before anything is trained. */
static void refused_at_once(void **state)
{
    (void)state;
    char dir[128], path[200];
    const int count = VECTORS;
    static const struct {
        crew crew;
        const char *override;
    } wrong[] = {{{1, 0}, "data.mixture.count=1"},
                 {{1, 0}, "bound.count=1"},
                 {{1, 0}, "train.T=0.9"},
                 {{1, 0}, "data.block=101"},
                 {{1000, 0}, "seed=1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong - elsewhere(); i++) {
        snprintf(dir, sizeof dir, "%s/refused%zu", folder, i);
        assert_int_equal(finish(start_with(wrong[i].crew, dir, vectors, count, wrong[i].override)), 2);
        snprintf(path, sizeof path, "%s/log.jsonl", dir);
        assert_int_equal(access(path, F_OK), -1);
    }
}

/* ---- the rows ---- */

/* The rows are complete, and what the terms promise of each other holds. */
static void must_name_phase(const ts_results *r, const char *name)
{
    for (int i = 0; i < r->phase_count; i++)
        if (!strcmp(r->phases[i].name, name))
            return;
    fail_msg("no phase is called %s", name);
}

/* The error of a start's own score: at the sweep's T it is the finding's where the bound is known at those alone, and about the
 * slope of the prior term where the forward process carries the start. */
static void has_own_errors(const ts_results *r, const ts_finding *f)
{
    const bool closed = f->start == TS_START_NORMAL || f->start == TS_START_GAUSSIAN;
    for (int T = 0; T < r->T_count; T++) {
        const ts_interval own = ts_results_bound(r, 0, T, ts_results_start_index(r, f->start))->start_error;
        const ts_finding_point *p = f->points;
        while (p->T < r->T[T])
            p++;
        assert_true(isnan(own.mean) == closed);
        if (closed)
            continue;
        assert_true(own.mean > 0 && own.half > 0);
        if (f->count == r->T_count)
            assert_true(p->start_error.mean == own.mean && p->start_error.half == own.half);
        else if (ts_starts[f->start].score)
            NEAR(p->start_error.mean, own.mean, 2 * (p->start_error.half + own.half));
    }
}

/* At the sweep's T a curve goes through the rows, whose terms are the same numbers where nothing is drawn. */
static void is_finding(const ts_results *r, const ts_finding *f)
{
    const bool fitted_by_T = f->start == TS_START_GLOW,
               drawn = f->start != TS_START_NORMAL && f->start != TS_START_GAUSSIAN;
    assert_int_equal(f->count, fitted_by_T ? 2 : 71);
    assert_true(f->T_best_low <= f->T_best && f->T_best <= f->T_best_high);
    assert_true(f->T_star_low <= f->T_star && f->T_star <= f->T_star_high && f->T_star <= f->T_best);
    double chance = 0;
    for (int j = 0; j < f->count; j++) {
        const ts_finding_point *p = &f->points[j];
        const int T = ts_results_T_index(r, p->T);
        chance += p->chance;
        assert_true(j == 0 || p->T > f->points[j - 1].T);
        if (T < 0)
            continue;
        const ts_bound_row *row = ts_results_bound(r, 0, T, ts_results_start_index(r, f->start));
        NEAR(p->diffusion.mean, row->terms.diffusion.mean, 1e-9 * fabs(row->terms.diffusion.mean));
        NEAR(p->diffusion.half, row->terms.diffusion.half, 1e-9 * row->terms.diffusion.half);
        NEAR(p->prior.mean, row->terms.prior.mean,
             drawn ? 3 * row->terms.prior.half + 0.02 : 1e-9 * fabs(row->terms.prior.mean));
        if (!drawn)
            NEAR(p->prior.half, row->terms.prior.half, 1e-9 * row->terms.prior.half);
        /* the bound is minus its two parts, and what holds at all T at once is hardly narrower than at one */
        NEAR(p->bpd.mean, (p->network.mean + p->prior.mean) / (r->h * r->w * r->c * M_LN2),
             1e-9 * fabs(p->bpd.mean));
        NEAR(p->network.mean, row->terms.diffusion.mean - row->terms.reconstruction.mean,
             1e-9 * fabs(p->network.mean));
        assert_true(p->prior_band > 0.9 * p->prior.half && p->network_band > 0.9 * p->network.half);
        assert_true(p->bpd_band > 0.9 * p->bpd.half && p->bpd_band < 5 * p->bpd.half);
        NEAR(p->bpd.mean, row->terms.bpd.mean, drawn ? row->terms.bpd.half : 1e-9 * row->terms.bpd.mean);
    }
    NEAR(chance, 1, 1e-9);
    assert_true(f->tolerance == 0.01);
    has_own_errors(r, f);
    if (fitted_by_T)
        return;
    /* errors are slopes: over the range they add up to what the terms change by */
    const ts_sde sde = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20};
    const ts_finding_point *first = f->points, *last = f->points + f->count - 1;
    double network = 0, start = 0;
    for (int j = 1; j < f->count; j++) {
        const ts_finding_point *a = &f->points[j - 1], *b = &f->points[j];
        const double step = ts_sde_lambda(&sde, b->T) - ts_sde_lambda(&sde, a->T), d = r->h * r->w * r->c;
        network += 0.25 * d * step * (a->network_error.mean + b->network_error.mean);
        start += 0.25 * d * step * (a->start_error.mean + b->start_error.mean);
    }
    const double grown = last->diffusion.mean - first->diffusion.mean,
                 fallen = first->prior.mean - last->prior.mean;
    NEAR(network, grown, 0.1 * grown);
    NEAR(start, fallen, 0.1 * fabs(fallen));
}

static void rows_are_complete(void **state)
{
    (void)state;
    ts_results v = read_results("vectors-whole"), d = read_results("digits-whole");
    assert_int_equal(ts_results_bound_count(&v), 2 * 2 * 2); /* T, start, score */
    assert_true(d.start_count >= 4);                         /* normal, gaussian, dpmixture, glow */
    assert_int_equal(ts_results_bound_count(&d), 2 * d.start_count);
    assert_true(v.sampler_count == 2 && d.sampler_count == 2);
    for (int k = 0; k < 2; k++) {
        const ts_results *r = k ? &d : &v;
        must_name_phase(r, "training of the score network");
        must_name_phase(r, "samples by Euler-Maruyama");
        must_name_phase(r, "seconds an image, measured alone");
        for (int i = 0; i < ts_results_bound_count(r); i++) {
            const ts_bound_row *row = &r->bounds[i];
            NEAR(row->terms.elbo.mean,
                 row->terms.reconstruction.mean - row->terms.prior.mean - row->terms.diffusion.mean,
                 1e-9 * fabs(row->terms.elbo.mean) + 1e-9);
            NEAR(row->terms.bpd.mean, -row->terms.elbo.mean / (r->h * r->w * r->c * M_LN2), 1e-9);
            for (int sampler = 0; sampler < r->sampler_count; sampler++) {
                const ts_sample_row *samples = &r->samples[i * r->sampler_count + sampler];
                assert_true(samples->nfe >= 1 && samples->start_seconds > 0);
                assert_true(samples->seconds_per_image.mean > samples->start_seconds);
                if (samples->sampler.kind == TS_SAMPLER_EM)
                    assert_int_equal(samples->nfe, round((k ? 10 : 20) * row->T) + 1);
            }
        }
        assert_true(r->costs.training_step > 0 && r->costs.batch > 0);
        assert_int_equal(r->costs.evaluation_count, r->sampler_count);
        assert_int_equal(r->costs.start_count, r->start_count);
        for (int start = 0; start < r->start_count; start++) {
            const ts_start_cost *cost = &r->costs.starts[start];
            assert_true(cost->seconds > 0 && (cost->fit > 0) == (k && ts_starts[cost->start].fit));
        }
    }
    /* the exact score and start: K is the diffusion term, and nothing is lost to the start density */
    const int with_network = 0, with_exact = 1;
    const ts_bound_row *exact = bound_of(&v, 0.3, TS_START_MIXTURE, with_exact);
    assert_true(exact->score == TS_SCORE_EXACT && exact->start == TS_START_MIXTURE && exact->T == 0.3);
    NEAR(exact->K.mean, exact->terms.diffusion.mean, 1e-12 * exact->K.mean);
    NEAR(exact->kl_prior.mean, 0, 1e-5);
    assert_true(bound_of(&v, 0.3, TS_START_NORMAL, with_exact)->kl_prior.mean > 0.01);
    /* samples of the exact score from the exact density are as near to the data as data are, the untrained
     * network's are not */
    const ts_sample_row *network = sample_of(&v, 1.0, TS_START_NORMAL, with_network);
    const ts_sample_row *exactly = sample_of(&v, 0.3, TS_START_MIXTURE, with_exact);
    assert_true(exactly->sliced_wasserstein.mean < 4 * v.floor.sliced_wasserstein_high);
    assert_true(network->sliced_wasserstein.mean > exactly->sliced_wasserstein.mean);
    /* of digits all that suit: what was fitted once for every T is nearer than N(0, I) */
    assert_int_equal(d.fit_count, 2 * (d.start_count - 1)); /* all but N(0, I), at each T */
    assert_int_equal(d.finding_count, d.score_count * d.start_count);
    for (int i = 0; i < d.finding_count; i++)
        is_finding(&d, &d.findings[i]);
    assert_true(d.fits[0].start == TS_START_GAUSSIAN && d.fits[0].steps == 0 && d.fits[0].loss > 0);
    assert_true(bound_of(&d, 0.3, TS_START_GAUSSIAN, with_network)->terms.prior.mean <
                0.8 * bound_of(&d, 0.3, TS_START_NORMAL, with_network)->terms.prior.mean);
    assert_true(d.fits[2].start == TS_START_DPMIXTURE && d.fits[2].steps > 1);
    assert_true(bound_of(&d, 0.3, TS_START_DPMIXTURE, with_network)->terms.prior.mean <
                bound_of(&d, 0.3, TS_START_GAUSSIAN, with_network)->terms.prior.mean);
    for (int start = 0; start < 2; start++) /* of the exact start beside the exact score */
        has_own_errors(&v, &v.findings[2 + start]);
    assert_int_equal(v.profile_count, 2);
    /* the profile's bins add up to the diffusion term at the largest T */
    double total = 0;
    for (int i = 0; i < d.profiles[0].count; i++)
        total += d.profiles[0].bins[i].integrand.mean *
                 (d.profiles[0].bins[i].t_high - d.profiles[0].bins[i].t_low);
    NEAR(total, bound_of(&d, 1.0, TS_START_GLOW, with_network)->terms.diffusion.mean, 1e-6 * total);
    ts_results_release(&v);
    ts_results_release(&d);
}

/* Another model in the same folder is refused; more samples redo the samples alone. */
static void changed_configurations(void **state)
{
    (void)state;
    char dir[128], part[200];
    const int count = VECTORS;
    snprintf(dir, sizeof dir, "%s/vectors-killed", folder);
    assert_int_equal(finish(start(dir, vectors, count, "model.hidden=24")), 2);
    assert_int_equal(finish(start(dir, vectors, count, "train.log_every=3")), 0); /* changes no number */
    snprintf(part, sizeof part, "%s/parts/bound_network.safetensors", dir);
    char *before, *after;
    size_t size;
    must(ts_file_read(part, 1 << 26, &before, &size));
    ts_results old = read_results("vectors-killed");
    assert_int_equal(finish(start(dir, vectors, count, "sweep.samples=40")), 0);
    ts_results results = read_results("vectors-killed");
    assert_true(results.samples[0].images == 40);
    assert_true(results.bounds[0].terms.elbo.mean == old.bounds[0].terms.elbo.mean);
    must(ts_file_read(part, 1 << 26, &after, &size));
    assert_memory_equal(before, after, size); /* its seconds too: it was not made again */
    /* other samplers are rows of their own */
    assert_int_equal(finish(start(dir, vectors, count, "sweep.samplers=heun,dpmpp2m")), 0);
    ts_results others = read_results("vectors-killed");
    assert_int_equal(others.sampler_count, 2);
    assert_int_equal(others.samples[0].sampler.kind, TS_SAMPLER_HEUN);
    assert_true(others.samples[1].nfe == 21); /* 20 steps, and the denoising one */
    assert_true(others.bounds[0].terms.elbo.mean == old.bounds[0].terms.elbo.mean);
    ts_results_release(&others);
    free(before);
    free(after);
    ts_results_release(&old);
    ts_results_release(&results);
}

/* A network for each T. */
static void per_T(void **state)
{
    (void)state;
    char dir[128], path[200];
    const int count = VECTORS - 1; /* without sweep.network */
    snprintf(dir, sizeof dir, "%s/per_T", folder);
    assert_int_equal(finish(start(dir, vectors, count, "sweep.network=per_T")), 0);
    ts_results own = read_results("per_T"), shared = read_results("vectors-whole");
    assert_int_equal(ts_results_bound_count(&own), ts_results_bound_count(&shared));
    /* at T = 1 it is the same training */
    NEAR(bound_of(&own, 1.0, TS_START_NORMAL, 0)->terms.reconstruction.mean,
         bound_of(&shared, 1.0, TS_START_NORMAL, 0)->terms.reconstruction.mean, 0);
    const ts_sample_row *a = sample_of(&own, 1.0, TS_START_NORMAL, 0);
    const ts_sample_row *b = sample_of(&shared, 1.0, TS_START_NORMAL, 0);
    NEAR(a->sliced_wasserstein.mean, b->sliced_wasserstein.mean, 1e-9);
    a = sample_of(&own, 0.3, TS_START_NORMAL, 0);
    b = sample_of(&shared, 0.3, TS_START_NORMAL, 0);
    assert_true(a->sliced_wasserstein.mean != b->sliced_wasserstein.mean);
    snprintf(path, sizeof path, "%s/T0.3/checkpoint.safetensors", dir);
    assert_int_equal(access(path, F_OK), 0);
    ts_results_release(&own);
    ts_results_release(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_paired),
        cmocka_unit_test(exact_of_one_gaussian),
        cmocka_unit_test(vectors_survive_kills),
        cmocka_unit_test(digits_survive_kills),
        cmocka_unit_test(all_of_it_survives_kills),
        cmocka_unit_test(any_number_and_order),
        cmocka_unit_test(failure_leaves_what_needs_it),
        cmocka_unit_test(full_disk_ends_all),
        cmocka_unit_test(stop_ends_all),
        cmocka_unit_test(workers_change_no_number),
        cmocka_unit_test(all_of_it_by_workers),
        cmocka_unit_test(failed_parts_leave_the_others),
        cmocka_unit_test(refused_at_once),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(changed_configurations),
        cmocka_unit_test(per_T),
        cmocka_unit_test(budgets_are_kept),
        cmocka_unit_test(both_trainings),
        cmocka_unit_test(rows_end_with_the_training),
        cmocka_unit_test(seeds_vary_what_is_trained),
        cmocka_unit_test(likelihood_of_the_exact_score),
        cmocka_unit_test(likelihood_coverage),
        cmocka_unit_test(gain_coverage),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
