/*
 * Sweeps that compare more side by side: trainings once and for each T, samplers at equal cost, the bound and the
 * likelihood by the ODE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sweep_test.h"

/* Beside `vectors`: both trainings, budgets of evaluations, the likelihood. */
static const char *const beside[] = {
    "data.mixture.count=100", "sweep.network=both", "sweep.samplers=[em,pc,rk45]", "sweep.nfe=[0,7]",
    "sweep.likelihood=true",  "sweep.samples=32",   "likelihood.rtol=1e-2",        "likelihood.atol=1e-2"};
enum { MORE = sizeof beside / sizeof *beside };

static const char *const *with_more(void)
{
    static const char *all[VECTORS + MORE];
    memcpy(all, vectors, sizeof vectors);
    memcpy(all + VECTORS, beside, sizeof beside);
    return all;
}

void all_of_it_survives_kills(void **state)
{
    (void)state;
    killed_sweep_ends_the_same("more", with_more(), VECTORS + MORE, 8);
}

/* The numbers of one worker; behind all_of_it_survives_kills. */
void all_of_it_by_workers(void **state)
{
    (void)state;
    char *one = numbers_of_folder("more-whole"), *three;
    assert_int_equal(
        finish(start_with((crew){3, 4711}, in_folder("crew-more"), with_more(), VECTORS + MORE, NULL)), 0);
    three = numbers_of_folder("crew-more");
    expect_same(one, three);
    free(one);
    free(three);
}

/* ---- equal cost, both trainings, the likelihood ---- */

void budgets_are_kept(void **state)
{
    (void)state;
    ts_results r = read_results("more-whole");
    /* each with its own steps and within 7, of which one is the denoising; what adapts once */
    static const struct {
        ts_sampler_kind kind;
        double budget, steps, nfe; /* at T = 0.3 */
    } wanted[] = {{TS_SAMPLER_EM, NAN, 6, 7},
                  {TS_SAMPLER_EM, 7, 6, 7},
                  {TS_SAMPLER_PC, NAN, 6, 13},
                  {TS_SAMPLER_PC, 7, 3, 7},
                  {TS_SAMPLER_RK45, NAN, NAN, NAN}};
    assert_int_equal(r.sampler_count, 5);
    const int T = ts_results_T_index(&r, 0.3);
    for (int i = 0; i < 5; i++) {
        const ts_sample_row *row = ts_results_sample(&r, 0, T, 0, i),
                            *other = ts_results_sample(&r, 0, 0, 1, i);
        assert_int_equal(row->sampler.kind, wanted[i].kind);
        assert_true(row->sampler.budget == wanted[i].budget ||
                    (isnan(row->sampler.budget) && isnan(wanted[i].budget)));
        assert_true(row->steps == wanted[i].steps || (isnan(row->steps) && isnan(wanted[i].steps)));
        assert_true(isnan(wanted[i].nfe) ? row->nfe > 1 : row->nfe == wanted[i].nfe);
        if (isfinite(wanted[i].budget)) /* whatever T and start */
            assert_true(other->nfe == wanted[i].nfe && other->steps == wanted[i].steps);
    }
    /* six steps are six steps */
    const ts_sample_row *own = ts_results_sample(&r, 0, T, 0, 0), *within = ts_results_sample(&r, 0, T, 0, 1);
    assert_true(own->sliced_wasserstein.mean == within->sliced_wasserstein.mean);
    ts_results_release(&r);
}

/* One network for all T and one for each, which at T = train.T is the same and trained once. */
void both_trainings(void **state)
{
    (void)state;
    ts_results r = read_results("more-whole");
    const int shared = 0, own = 1, exact = 2;
    assert_int_equal(r.score_count, 3);
    assert_int_equal(r.scores[shared], TS_SCORE_NETWORK);
    assert_int_equal(r.scores[own], TS_SCORE_NETWORK_PER_T);
    assert_int_equal(r.scores[exact], TS_SCORE_EXACT);
    assert_int_equal(access(in_folder("more-whole/T1"), F_OK), -1);
    assert_int_equal(access(in_folder("more-whole/T0.3/checkpoint.safetensors"), F_OK), 0);
    assert_true(sample_of(&r, 1.0, TS_START_NORMAL, own)->sliced_wasserstein.mean ==
                sample_of(&r, 1.0, TS_START_NORMAL, shared)->sliced_wasserstein.mean);
    assert_true(sample_of(&r, 0.3, TS_START_NORMAL, own)->sliced_wasserstein.mean !=
                sample_of(&r, 0.3, TS_START_NORMAL, shared)->sliced_wasserstein.mean);
    /* the gain is the difference of the bounds, from every start, with an interval smaller than theirs */
    assert_int_equal(r.gain_count, 1);
    assert_true(r.gains[0].T == 0.3 && r.gains[0].nats.half > 0);
    for (int start = 0; start < r.start_count; start++) {
        const ts_bound_row *a = ts_results_bound(&r, own, 1, start),
                           *b = ts_results_bound(&r, shared, 1, start);
        NEAR(r.gains[0].nats.mean, a->terms.elbo.mean - b->terms.elbo.mean, 1e-9);
    }
    /* profiles: of the one for all, of each T its own up to there, of the exact score */
    assert_int_equal(r.profile_count, 4);
    const double tops[] = {1, 1, 0.3, 1};
    for (int i = 0; i < 4; i++) {
        const ts_profile *p = &r.profiles[i];
        const double diffusion =
            bound_of(&r, tops[i], TS_START_NORMAL, i < 2 ? i : i - 1)->terms.diffusion.mean;
        double total = 0;
        assert_true(p->T == tops[i] && p->bins[p->count - 1].t_high == tops[i]);
        for (int k = 0; k < p->count; k++) {
            total += p->bins[k].integrand.mean * (p->bins[k].t_high - p->bins[k].t_low);
            if (k + 1 < p->count) /* bins end where all of them do */
                assert_true(p->bins[k].t_high == r.profiles[0].bins[k].t_high);
        }
        NEAR(total, diffusion, 1e-6 * diffusion);
    }
    ts_results_release(&r);
}

/* Twice, from two seeds: the mean of both, the samples of the first; behind vectors_survive_kills.  Blocks change
 * intervals alone. */
void seeds_vary_what_is_trained(void **state)
{
    (void)state;
    static const char *all[VECTORS + 2];
    memcpy(all, vectors, sizeof vectors);
    all[VECTORS] = "sweep.seeds=2";
    killed_sweep_ends_the_same("seeds", all, VECTORS + 1, 4);
    ts_results two = read_results("seeds-whole"), one = read_results("vectors-whole");
    for (int i = 0; i < two.finding_count; i++) {
        const ts_finding *f = &two.findings[i];
        assert_true(f->seeds == 2 && one.findings[i].seeds == 1 && isnan(one.findings[i].between));
        const ts_finding_point *point = &f->points[0], *first = &one.findings[i].points[0];
        for (int j = 1; j < f->count && point->T != f->T_best; j++)
            point++, first++;
        /* of two, the first is as far from their mean as the standard deviation between them over sqrt 2 */
        assert_true(first->T == f->T_best);
        NEAR(fabs(first->bpd.mean - point->bpd.mean), f->between / sqrt(2), 1e-9);
        assert_true(f->score == TS_SCORE_EXACT ? f->between == 0 : f->between > 1e-4);
    }
    for (int i = 0; i < ts_results_bound_count(&two); i++) {
        const ts_bound_terms *a = &one.bounds[i].terms, *b = &two.bounds[i].terms;
        const bool exact = one.bounds[i].score == TS_SCORE_EXACT;
        NEAR(a->prior.mean, b->prior.mean, 1e-12 * a->prior.mean); /* the starts are fitted to nothing */
        assert_true((a->diffusion.mean == b->diffusion.mean) == exact);
        assert_true((a->elbo.half == b->elbo.half) == exact);
        /* two seeds tell what training varies by Student's law at one degree of freedom */
        const double between = sqrt(2) * fabs(a->elbo.mean - b->elbo.mean) * 12.7062047;
        assert_true(b->elbo.half >= 0.999999 * between / sqrt(2));
        assert_true(one.samples[i].sliced_wasserstein.mean == two.samples[i].sliced_wasserstein.mean);
    }
    all[VECTORS + 1] = "data.block=60";
    assert_int_equal(finish(start(in_folder("seeds-killed"), all, VECTORS + 2, NULL)), 0);
    ts_results blocks = read_results("seeds-killed");
    assert_true(blocks.bounds[0].terms.elbo.mean == two.bounds[0].terms.elbo.mean);
    assert_true(blocks.bounds[0].terms.elbo.half != two.bounds[0].terms.elbo.half);
    all[VECTORS + 1] = "model.kind=exact";
    assert_int_equal(finish(start(in_folder("seeds-exact"), all, VECTORS + 2, NULL)), 2);
    ts_results_release(&blocks);
    ts_results_release(&one);
    ts_results_release(&two);
}

/* train.T auto: the rows reach as far as the training came, and no further.  What predicts nothing crosses N(0, I) in
 * the middle of the range where the second moment is above 2. */
void rows_end_with_the_training(void **state)
{
    (void)state;
    static const char *const automatic[] = {"train.T=auto",
                                            "train.auto_patience=2",
                                            "train.eval_every=10",
                                            "train.steps=30",
                                            "train.lr=0",
                                            "sweep.T=[1.0,0.9,0.2]",
                                            "data.mixture.means=[[-4,0],[2,2]]",
                                            "data.mixture.count=1000",
                                            "train.eval_data=1000",
                                            "sweep.samplers=[em]"};
    enum { AUTO = sizeof automatic / sizeof *automatic };
    const char *all[VECTORS + AUTO];
    memcpy(all, vectors, sizeof vectors);
    memcpy(all + VECTORS, automatic, sizeof automatic);
    killed_sweep_ends_the_same("auto", all, VECTORS + AUTO, 4);
    ts_results r = read_results("auto-whole");
    assert_int_equal(r.T_count, 2);
    print_message("train.T auto: T = %g, 0.2\n", r.T[0]);
    assert_true(r.T[0] > 0.25 && r.T[0] < 0.9 && r.T[1] == 0.2);
    ts_config *config;
    must(ts_config_parse(r.config, "sweep.json", &config));
    assert_true(config->sweep.T.count == 3 && config->sweep.T.v[0] == 1 && config->train.T == 0);
    ts_config_free(config);
    for (int i = 0; i < ts_results_bound_count(&r); i++)
        assert_true(isfinite(r.bounds[i].terms.elbo.mean) && isfinite(r.samples[i].sliced_wasserstein.mean));
    assert_true(r.profiles[0].T == r.T[0] && r.costs.training_step > 0);
    ts_results_release(&r);
    static const char *const wrong[] = {"sweep.network=both", "sweep.network=per_T", "sweep.seeds=2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(finish(start(in_folder("auto-wrong"), all, VECTORS + AUTO, wrong[i])), 2);
        assert_int_equal(access(in_folder("auto-wrong/log.jsonl"), F_OK), -1);
    }
}

/* The mixture of `vectors`, whose components have axes of their own. */
static const double weights[] = {1, 2}, means[] = {-1, 0, 0.5, 0.5}, stds[] = {0.3, 0.2, 0.2, 0.4};

/* ln p_t. */
static double log_density(double t, const float *x)
{
    const ts_sde sde = {TS_SDE_VP, 0.1, 20, 0.01, 50};
    const double a = ts_sde_mean(&sde, t), s = ts_sde_std(&sde, t);
    double p = 0;
    for (int k = 0; k < 2; k++) {
        double q = weights[k] / 3;
        for (int j = 0; j < 2; j++) {
            const double v = a * a * stds[2 * k + j] * stds[2 * k + j] + s * s,
                         e = x[j] - a * means[2 * k + j];
            q *= exp(-0.5 * e * e / v) / sqrt(2 * M_PI * v);
        }
        p += q;
    }
    return log(p);
}

/* Over the data that an evaluation draws from it under seed 1. */
static double mean_log_density(double t, int64_t count)
{
    const ts_step_state state = {1, 0, TS_BOUND_DATA};
    const size_t bytes = sizeof(float) * 2 * (size_t)count;
    ts_device *device;
    ts_mixture *mixture;
    void *place, *values;
    float *x = malloc(bytes);
    double sum = 0;
    assert_non_null(x);
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    must(ts_mixture_create(device, 2, 2, weights, means, stds, NULL, &mixture));
    const ts_data data = {.device = device, .h = 1, .w = 1, .c = 2, .count = count, .mixture = mixture};
    must(device->k->allocate(device, sizeof state, &place));
    must(device->k->allocate(device, bytes, &values));
    must(device->k->upload(device, place, &state, sizeof state));
    must(ts_data_eval_batch(&data, (int)count, 0, place, values));
    must(device->k->download(device, x, values, bytes));
    must(device->k->synchronize(device));
    for (int64_t i = 0; i < count; i++)
        sum += log_density(t, x + 2 * i) / (double)count;
    device->k->release(device, place);
    device->k->release(device, values);
    ts_mixture_destroy(mixture);
    ts_device_close(device);
    free(x);
    return sum;
}

/* With the exact score and start the likelihood is the log-density at every T, N(0, I) falls short of it by the
 * divergence, and the bound is not above it. */
void likelihood_of_the_exact_score(void **state)
{
    (void)state;
    const char *all[VECTORS + 5];
    memcpy(all, vectors, sizeof vectors);
    all[VECTORS] = "model.kind=exact";
    all[VECTORS + 1] = "sweep.likelihood=true";
    all[VECTORS + 2] = "sweep.samplers=em";
    all[VECTORS + 3] = "data.mixture.count=400";
    all[VECTORS + 4] = "sweep.T=[1.0,0.3,0.1]";
    assert_int_equal(finish(start(in_folder("exact"), all, VECTORS + 5, NULL)), 0);
    ts_results r = read_results("exact");
    const double exact = mean_log_density(1e-3, 400);
    for (int t = 0; t < r.T_count; t++) {
        const ts_bound_row *best = bound_of(&r, r.T[t], TS_START_MIXTURE, 0);
        const ts_bound_row *plain = bound_of(&r, r.T[t], TS_START_NORMAL, 0);
        NEAR(best->ode_log_prob.mean, exact, 2e-3);
        NEAR(best->ode_bpd.mean, -best->ode_log_prob.mean / (2 * M_LN2), 1e-9);
        assert_true(best->ode_nfe > 6 && best->ode_nfe == plain->ode_nfe); /* one solution */
        assert_true(best->terms.elbo.mean - best->terms.elbo.half <=
                    best->ode_log_prob.mean + best->ode_log_prob.half);
        NEAR(best->ode_log_prob.mean - plain->ode_log_prob.mean, plain->kl_prior.mean,
             3 * plain->kl_prior.half + 2e-3);
    }
    ts_results_release(&r);
}
