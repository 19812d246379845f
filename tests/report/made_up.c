#include "made_up.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double times[] = {1.0, 0.8, 0.6, 0.4, 0.2, 0.1};
enum { TIMES = 6 };

static double beta_integral(double t)
{
    return 0.1 * t + 9.95 * t * t;
}

static ts_result_row made_up_row(double T, const char *prior, const char *score, const char *sampler,
                                 bool mixture)
{
    const bool normal = !strcmp(prior, "normal"), em = !strcmp(sampler, "em");
    const double D = mixture ? 1 : 64, b = beta_integral(T), kl = D * (normal ? exp(-b) : 0.004);
    const double entropy = 0.9 * D * exp(-0.7 * b), prior_term = entropy + kl;
    const double diffusion = D - entropy + (!strcmp(score, "exact") ? 0 : 0.02 * T) * D;
    ts_result_row row = {.T = T, .data = 297, .images = 256, .kl_prior = {NAN, NAN}, .K = {NAN, NAN}};
    strcpy(row.prior, prior);
    strcpy(row.score, score);
    strcpy(row.sampler, sampler);
    strcpy(row.frechet_features, mixture ? "coordinates" : "pixels");
    row.terms.T = T;
    row.terms.reconstruction = (ts_interval){mixture ? 2.3 : -20, 0.2};
    row.terms.diffusion = (ts_interval){diffusion, 0.01 * D};
    row.terms.prior = (ts_interval){prior_term, 0.004 * D};
    row.terms.elbo = (ts_interval){row.terms.reconstruction.mean - prior_term - diffusion, 0.012 * D};
    row.terms.bpd = (ts_interval){-row.terms.elbo.mean / (D * M_LN2), 0.012 / M_LN2};
    if (mixture) {
        row.kl_prior = (ts_interval){kl, 0.1 * kl + 1e-4};
        row.K = (ts_interval){diffusion - 0.02 * T, 0.02};
    }
    row.nfe = em ? 150 * T + 1 : 40 + 60 * T + (normal ? 20 : 0);
    row.seconds_per_image = row.nfe * 1.1e-4;
    row.sliced_wasserstein = (ts_interval){0.055 + 0.3 * kl / D + (em ? 0.004 : 0), 0.002};
    row.frechet = 1.1 + 20 * kl / D + (em ? 0.1 : 0);
    return row;
}

static void add_best(ts_results *r, const char *prior, const char *score, bool mixture)
{
    ts_best *best = &r->best[r->best_count++];
    const double D = mixture ? 1 : 64;
    strcpy(best->prior, prior);
    strcpy(best->score, score);
    best->count = TIMES;
    best->T = calloc(TIMES, sizeof(double));
    best->deficit = calloc(TIMES, sizeof(double));
    best->deficit_half = calloc(TIMES, sizeof(double));
    double highest = -INFINITY;
    for (int i = 0; i < TIMES; i++) {
        const ts_result_row row = made_up_row(times[i], prior, score, "em", mixture);
        best->T[i] = times[i];
        best->deficit[i] = row.terms.elbo.mean;
        best->deficit_half[i] = 0.002 * D;
        if (row.terms.elbo.mean > highest) {
            highest = row.terms.elbo.mean;
            best->T_best = times[i];
        }
    }
    for (int i = 0; i < TIMES; i++) {
        best->deficit[i] = highest - best->deficit[i];
        if (best->deficit[i] <= best->deficit_half[i])
            best->T_star = times[i];
    }
}

static void add_profile(ts_results *r, const char *score)
{
    ts_profile *profile = &r->profiles[r->profile_count++];
    strcpy(profile->score, score);
    profile->count = 24;
    profile->bins = calloc(24, sizeof *profile->bins);
    for (int i = 0; i < 24; i++) {
        ts_profile_bin *bin = &profile->bins[i];
        bin->t_low = exp(log(1e-3) * (1 - i / 24.0));
        bin->t_high = exp(log(1e-3) * (1 - (i + 1) / 24.0));
        const double t = sqrt(bin->t_low * bin->t_high);
        bin->mse = (ts_interval){1 / (1 + 60 * t), 0.01};
        bin->integrand = (ts_interval){32 * bin->mse.mean / (t + 0.001), 0.4 / (t + 0.001)};
    }
}

void made_up_results(bool mixture, ts_results *r)
{
    static const char *const images[] = {"normal", "glow"}, *const densities[] = {"normal", "mixture"},
                             *const scores[] = {"network", "exact"}, *const samplers[] = {"em", "rk45"};
    const char *const *priors = mixture ? densities : images;
    memset(r, 0, sizeof *r);
    r->name = strdup("made up & <tested>");
    r->command = strdup("tstar sweep configs/made_up.yaml --out /tmp/a'b");
    r->version = strdup("0.1.0");
    r->device = strdup("a processor");
    r->date = strdup("2024-02-29 12:00 UTC");
    r->config = strdup("run:\n  name: \"<made up>\"\n  seed: 1\n");
    r->seed = 1;
    r->threads = 2;
    r->h = r->w = mixture ? 1 : 8;
    r->c = 1;
    r->levels = mixture ? 0 : 17;
    r->train_count = 1500;
    r->test_count = 297;
    r->parameters = 123456;
    r->steps_per_unit = 150;
    r->train_steps = 4000;
    r->projections = 256;
    r->floor = (ts_floor){5, 0.048, 0.045, 0.052, 1.0, 0.9, 1.1};
    r->rows = calloc(6 * TIMES * 2, sizeof *r->rows);
    r->best = calloc(6, sizeof *r->best);
    r->profiles = calloc(2, sizeof *r->profiles);
    for (int s = 0; s < (mixture ? 2 : 1); s++) {
        for (int i = 0; i < TIMES; i++)
            for (int p = 0; p < 2; p++)
                for (int k = 0; k < 2; k++)
                    r->rows[r->row_count++] =
                        made_up_row(times[i], priors[p], scores[s], samplers[k], mixture);
        for (int p = 0; p < 2; p++)
            add_best(r, priors[p], scores[s], mixture);
        add_profile(r, scores[s]);
    }
    r->fits = calloc(TIMES, sizeof *r->fits);
    for (int i = 0; i < TIMES && !mixture; i++)
        r->fits[r->fit_count++] = (ts_fit_summary){times[i], 600, i == 2, 1.3};
    r->phases = calloc(2, sizeof *r->phases);
    r->phases[r->phase_count++] = (ts_phase){"score network, 4000 steps", 61.5};
    r->phases[r->phase_count++] = (ts_phase){"Glow at T = 1, 600 steps", 10};
    if (mixture) {
        r->exact = calloc(20, sizeof *r->exact);
        for (int i = 0; i < 20; i++) {
            const double T = (i + 1) / 20.0, b = beta_integral(T);
            r->exact[r->exact_count++] = (ts_exact_point){T, exp(-b), 1 - 0.9 * exp(-0.7 * b)};
        }
    }
}
