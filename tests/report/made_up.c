#include "made_up.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/safetensors.h"
#include "sweep/advice/costs.h"

static const double times[] = {1.0, 0.8, 0.6, 0.4, 0.2, 0.1};
enum { TIMES = 6 };

static double beta_integral(double t)
{
    return 0.1 * t + 9.95 * t * t;
}

static void make_up_bound(ts_bound_row *row, bool mixture)
{
    const bool normal = row->start == TS_START_NORMAL;
    const double T = row->T, D = mixture ? 1 : 64, b = beta_integral(T), kl = D * (normal ? exp(-b) : 0.004);
    const double entropy = 0.9 * D * exp(-0.7 * b), prior = entropy + kl;
    const double diffusion = D - entropy + (row->score == TS_SCORE_EXACT ? 0 : 0.02 * T) * D;
    row->data = 297;
    row->terms.reconstruction = (ts_interval){mixture ? 2.3 : -20, 0.2};
    row->terms.diffusion = (ts_interval){diffusion, 0.01 * D};
    row->terms.prior = (ts_interval){prior, 0.004 * D};
    row->terms.elbo = (ts_interval){row->terms.reconstruction.mean - prior - diffusion, 0.012 * D};
    row->start_error = normal ? (ts_interval){NAN, NAN} : (ts_interval){0.5 - 0.25 * T, 0.03125};
    row->terms.bpd = (ts_interval){-row->terms.elbo.mean / (D * M_LN2), 0.012 / M_LN2};
    if (mixture) {
        row->kl_prior = (ts_interval){kl, 0.1 * kl + 1e-4};
        row->K = (ts_interval){diffusion - 0.02 * T, 0.02};
    }
}

static void make_up_sample(ts_sample_row *row, const ts_bound_row *bound, bool mixture)
{
    const bool normal = bound->start == TS_START_NORMAL, em = row->sampler.kind == TS_SAMPLER_EM;
    const double T = bound->T, kl = normal ? exp(-beta_integral(T)) : 0.004;
    row->images = 256;
    row->steps = em ? 150 * T : NAN;
    row->nfe = em ? 150 * T + 1 : floor(40 + 60 * T + (normal ? 20 : 0));
    row->start_seconds = normal ? 1e-5 : 4e-4;
    row->seconds_per_image =
        (ts_interval){row->start_seconds + row->nfe * (em ? 1e-4 : 1.2e-4), row->nfe * 1e-5};
    row->sliced_wasserstein = (ts_interval){0.055 + 0.3 * kl + (em ? 0.004 : 0), 0.002};
    row->frechet = (ts_interval){1.1 + 20 * kl + (em ? 0.1 : 0), 0.08};
    if (!mixture) { /* with fid, kid and precision in sweep.quality */
        row->fid = (ts_interval){3 + 60 * kl + (em ? 0.4 : 0), 0.3};
        row->fid_infinity = 2 + 60 * kl;
        row->kid = (ts_interval){0.02 * kl - 0.0005, 0.001};
        row->precision = (ts_interval){0.8 - 0.3 * kl, 0.05};
    }
    row->frechet_features = mixture ? TS_FEATURES_COORDINATES : TS_FEATURES_PIXELS;
}

/* Of N(0, I) a curve over all T, of what is fitted for each T the sweep's own alone. */
static void add_finding(ts_results *r, int score, int start)
{
    ts_finding *f = &r->findings[r->finding_count++];
    const bool curve = r->starts[start] == TS_START_NORMAL;
    const double half = 0.002 / M_LN2;
    f->start = r->starts[start];
    f->score = r->scores[score];
    f->tolerance = 0.02;
    f->seeds = 1;
    f->between = NAN;
    f->count = curve ? 91 : TIMES;
    f->points = calloc((size_t)f->count, sizeof *f->points);
    double lowest = INFINITY;
    for (int i = 0; i < f->count; i++) {
        ts_bound_row row = {
            .T = curve ? 0.1 + 0.01 * i : times[TIMES - 1 - i], .start = f->start, .score = f->score};
        if (curve && i % 10 == 0) /* as the sweep's are written */
            row.T = (i + 10) / 100.0;
        make_up_bound(&row, r->levels == 0);
        f->points[i] = (ts_finding_point){
            .T = row.T,
            .bpd = row.terms.bpd,
            .prior = row.terms.prior,
            .diffusion = row.terms.diffusion,
            .network = {row.terms.diffusion.mean - row.terms.reconstruction.mean, 0.25},
            .bpd_band = 1.5 * row.terms.bpd.half,
            .prior_band = 1.5 * row.terms.prior.half,
            .network_band = 0.5,
            .network_error = {curve ? exp(-4 * row.T) : NAN, curve ? 0.01 : NAN},
            .start_error = curve ? (ts_interval){exp(-6 * row.T + 1), 0.02} : row.start_error,
            .chance = 1.0 / f->count};
        if (row.terms.bpd.mean < lowest) {
            lowest = row.terms.bpd.mean;
            f->T_best = row.T;
        }
    }
    f->T_best_low = f->T_best_high = f->T_best;
    f->T_star = f->T_star_low = f->T_star_high = 1;
    for (int i = f->count - 1; i >= 0; i--) {
        ts_finding_point *p = &f->points[i];
        p->loss = p->bpd.mean - lowest;
        p->loss_low = fmax(0, p->loss - half);
        p->loss_high = p->T == f->T_best ? 0 : p->loss + half;
        f->T_star = p->loss <= f->tolerance ? p->T : f->T_star;
        f->T_star_low = p->loss_low <= f->tolerance ? p->T : f->T_star_low;
        f->T_star_high = p->loss_high <= f->tolerance ? p->T : f->T_star_high;
    }
}

static void add_profile(ts_results *r, ts_score_kind score)
{
    ts_profile *profile = &r->profiles[r->profile_count++];
    profile->score = score;
    profile->T = 1;
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

static void describe(ts_results *r, bool mixture)
{
    r->name = strdup("made up & <tested>");
    r->command = strdup("tstar sweep configs/made_up.yaml --out /tmp/a'b");
    r->version = strdup("0.1.0");
    r->device = strdup("a processor");
    r->date = strdup("2024-02-29 12:00 UTC");
    r->config = strdup("name: made_up\ndata:\n  kind: digits\n");
    r->seed = 1;
    r->threads = 2;
    r->h = r->w = mixture ? 1 : 8;
    r->c = 1;
    r->levels = mixture ? 0 : 17;
    r->train_count = 1500;
    r->test_count = 297;
    r->parameters = 123456;
    r->block = 1;
    r->steps_per_unit = 150;
    r->train_steps = 4000;
    r->projections = mixture ? 1 : 256;
    const ts_interval unknown = {NAN, NAN};
    r->floor = (ts_floor){5,
                          256,
                          {0.048, 0.003},
                          {1.0, 0.1},
                          0.045,
                          0.052,
                          0.9,
                          1.1,
                          mixture ? unknown : (ts_interval){2.5, 0.2},
                          mixture ? unknown : (ts_interval){0.0001, 0.0002},
                          unknown,
                          unknown};
}

void made_up_results(bool mixture, ts_results *r)
{
    static const ts_score_kind scores[] = {TS_SCORE_NETWORK, TS_SCORE_EXACT};
    static const ts_sampler_entry samplers[] = {{TS_SAMPLER_EM, NAN}, {TS_SAMPLER_RK45, NAN}};
    const ts_start_kind starts[] = {TS_START_NORMAL, mixture ? TS_START_MIXTURE : TS_START_GLOW};
    memset(r, 0, sizeof *r);
    describe(r, mixture);
    assert_null(ts_results_make(r, mixture ? 2 : 1, scores, TIMES, times, 2, starts, 2, samplers));
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        make_up_bound(&r->bounds[i], mixture);
        for (int k = 0; k < 2; k++)
            make_up_sample(&r->samples[2 * i + k], &r->bounds[i], mixture);
    }
    r->findings = calloc(4, sizeof *r->findings);
    r->profiles = calloc(2, sizeof *r->profiles);
    for (int score = 0; score < r->score_count; score++) {
        for (int start = 0; start < 2; start++)
            add_finding(r, score, start);
        add_profile(r, scores[score]);
    }
    r->fits = calloc(TIMES, sizeof *r->fits);
    for (int i = 0; i < TIMES && !mixture; i++)
        r->fits[r->fit_count++] = (ts_fit_summary){TS_START_GLOW, times[i], 600, i == 2, 1.3, 12.5};
    r->costs.batch = 16;
    r->costs.training_step = 0.015;
    assert_null(ts_costs_measure(r));
    r->phases = calloc(2, sizeof *r->phases);
    r->phases[r->phase_count++] = (ts_phase){"score network, 4000 steps", 61.5};
    r->phases[r->phase_count++] = (ts_phase){"Glow at T = 1, 600 steps", 10};
    r->exact = calloc(20, sizeof *r->exact);
    for (int i = 0; i < 20 && mixture; i++) {
        const double T = (i + 1) / 20.0, b = beta_integral(T);
        r->exact[r->exact_count++] = (ts_exact_point){T, exp(-b), 1 - 0.9 * exp(-0.7 * b)};
    }
}

void made_up_comparisons(ts_results *r)
{
    static const double gains[][3] = {{0.4, 0.5, 0.2}, {0.1, -0.25, 0.125}};
    made_up_results(false, r);
    r->samplers[0].budget = 20;
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        ts_sample_row *row = &r->samples[2 * i];
        row->sampler = r->samplers[0];
        row->nfe = 20;
        row->steps = 19;
        r->bounds[i].ode_log_prob = (ts_interval){-100 + i, 2};
        r->bounds[i].ode_bpd = (ts_interval){2.25 + i / 128.0, 0.0625};
        r->bounds[i].ode_nfe = 140;
    }
    r->gains = calloc(2, sizeof *r->gains);
    for (int i = 0; i < 2; i++)
        r->gains[r->gain_count++] = (ts_gain){gains[i][0], {gains[i][1], gains[i][2]}};
    add_profile(r, TS_SCORE_NETWORK_PER_T);
    r->profiles[1].T = 0.4;
}

/* ---- stored ---- */

static void save_samples(const ts_results *r, const char *folder, const char *name)
{
    const int64_t shape[4] = {20, (int64_t)r->h, (int64_t)r->w, (int64_t)r->c};
    static float x[20 * 64];
    char path[512];
    for (int i = 0; i < 20 * 64; i++)
        x[i] = (float)sin(0.1 * i);
    snprintf(path, sizeof path, "%s/%s/%s.safetensors", folder, TS_SAMPLES_FOLDER, name);
    ts_safetensors_writer *writer;
    assert_null(ts_safetensors_create(path, &writer));
    ts_safetensors_declare(writer, "x", TS_ST_F32, 4, shape);
    assert_null(
        ts_safetensors_append(writer, x, (size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *x));
    assert_null(ts_safetensors_commit(writer));
}

void made_up_store(const ts_results *r, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, TS_SAMPLES_FOLDER);
    assert_null(ts_file_make_folder(path));
    save_samples(r, folder, "data");
    for (int i = 0; i < ts_results_bound_count(r) * r->sampler_count; i++) {
        const ts_bound_row *row = &r->bounds[i / r->sampler_count];
        char name[128];
        ts_samples_name(row->T, row->start, row->score, &r->samples[i].sampler, name);
        save_samples(r, folder, name);
    }
    assert_null(ts_results_write_json(r, folder));
}
