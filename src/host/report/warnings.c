#include <math.h>

#include "report/finding.h"
#include "report/html.h"
#include "run/scores.h"
#include "run/starts.h"

/* ---- the bound ---- */

static void worse_than_uniform(const ts_results *r, FILE *page)
{
    for (int start = 0; start < r->start_count; start++)
        if (ts_report_worse_than_uniform(r, start)) {
            double best = INFINITY;
            for (int k = 0; k < r->T_count; k++)
                best = fmin(best, ts_results_bound(r, 0, k, start)->terms.bpd.mean);
            fprintf(
                page,
                "<li>Started from %s, the bound is worse than uniform bits at every <i>T</i>: %.3f bits per "
                "dimension at best, where the %.0f levels without any model cost log<sub>2</sub>&nbsp;%.0f "
                "= %.3f. Its <i>T</i>* says nothing and is not told.</li>\n",
                ts_report_start_html(r, r->starts[start]), best, r->levels, r->levels,
                ts_report_uniform_bits(r));
        }
}

/* KL >= 0: an estimate below it shows how much noise there is in all of them. */
static void below_zero(const ts_results *r, FILE *page)
{
    int count = 0, known = 0;
    double lowest = 0;
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        const double kl = r->bounds[i].kl_prior.mean;
        known += isfinite(kl);
        count += kl < 0;
        lowest = fmin(lowest, kl);
    }
    if (count == 0)
        return;
    fprintf(page, "<li>%d of %d estimates of KL(<i>p<sub>T</sub></i>, start) %s below zero, down to ", count,
            known, count == 1 ? "is" : "are");
    ts_html_scale(page, 2, (ts_interval){lowest, NAN});
    fputs(" nats. A KL divergence is not negative: they are noise around zero.</li>\n", page);
}

/* ---- the network ---- */

static void noise_error(const ts_results *r, FILE *page)
{
    for (int i = 0; i < r->profile_count; i++) {
        const ts_profile *profile = &r->profiles[i];
        const ts_profile_bin *worst = NULL;
        int count = 0;
        for (int k = 0; k < profile->count; k++) {
            const ts_profile_bin *bin = &profile->bins[k];
            if (!(bin->mse.mean - (isfinite(bin->mse.half) ? bin->mse.half : 0) > 1))
                continue;
            count++;
            if (!worst || bin->mse.mean > worst->mse.mean)
                worst = bin;
        }
        if (!worst || !ts_scores[profile->score].trained)
            continue;
        char whose[64] = "the network";
        if (ts_scores[profile->score].per_T)
            snprintf(whose, sizeof whose, "the network trained for <i>T</i>&nbsp;=&nbsp;%g", profile->T);
        fprintf(page,
                "<li>In %d of %d intervals of time %s's noise error is above 1, worse than predicting "
                "zero: up to ",
                count, profile->count, whose);
        ts_html_interval(page, 3, worst->mse);
        fprintf(page, " for <i>t</i> from %.2g to %.2g.</li>\n", worst->t_low, worst->t_high);
    }
}

/* train.T auto: what of sweep.T it has left out.  A configuration that cannot be read says nothing here. */
static void shortened(const ts_results *r, FILE *page)
{
    ts_config *config;
    double most = 0;
    const char *before =
        "<li>Training was on a shorter range of <i>t</i> in the end (<code>train.T: auto</code>): ";
    ts_status unread = ts_config_parse(r->config, "sweep.json", &config);
    if (unread) {
        ts_status_free(unread);
        return;
    }
    for (int k = 0; k < r->T_count; k++)
        most = fmax(most, r->T[k]);
    for (int i = 0; !(config->train.T > 0) && i < config->sweep.T.count; i++) {
        if (!(config->sweep.T.v[i] > most))
            continue;
        fprintf(page, "%s%g", before, config->sweep.T.v[i]);
        before = ", ";
    }
    if (*before == ',')
        fprintf(
            page,
            " of <code>sweep.T</code> became <i>T</i>&nbsp;=&nbsp;%g, above which no start's <i>T</i>* was.</li>\n",
            most);
    ts_config_free(config);
}

static void stopped_early(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    if (report->last_step < r->train_steps)
        fprintf(page,
                "<li>Training stopped early: its log ends at step %.0f of %.0f. The bound and <i>T</i>* are "
                "those of an unfinished network.</li>\n",
                report->last_step, r->train_steps);
}

/* ---- what the numbers cover ---- */

/* The least and the most that the bound at the best T varies between trainings. */
static void several_seeds(const ts_results *r, FILE *page)
{
    double least = INFINITY, most = 0;
    for (int i = 0; i < r->finding_count; i++)
        if (ts_scores[r->findings[i].score].trained) {
            least = fmin(least, r->findings[i].between);
            most = fmax(most, r->findings[i].between);
        }
    fprintf(
        page,
        "<li>%.0f seeds (%.0f to %.0f): everything was trained %.0f times. Between them the bound at the best <i>T</i> "
        "has a standard deviation of %.4f",
        ts_report_seeds(r), r->seed, r->seed + ts_report_seeds(r) - 1, ts_report_seeds(r), least);
    if (most > least)
        fprintf(page, " to %.4f", most);
    fputs(most > least ? " bits per dimension, by the start. " : " bits per dimension. ", page);
    fputs("Samples, their distances, the likelihood by the ODE and the loss profiles are of "
          "the first seed alone.</li>\n",
          page);
}

static void seeds(const ts_results *r, FILE *page)
{
    bool trained = false;
    for (int i = 0; i < r->score_count; i++)
        trained |= ts_scores[r->scores[i]].trained;
    for (int i = 0; i < r->start_count; i++)
        trained |= ts_starts[r->starts[i]].fit != NULL;
    if (ts_report_seeds(r) > 1)
        several_seeds(r, page);
    else if (trained)
        fprintf(
            page,
            "<li>One seed (%.0f): everything was trained once. What another training would change is in no "
            "interval here, and <i>T</i>* can move with it.</li>\n",
            r->seed);
}

/* Samples whose distances have intervals: how many were compared, the fewest and the most. */
static bool compared(const ts_results *r, double *fewest, double *most)
{
    *fewest = INFINITY;
    *most = 0;
    for (int i = 0; i < ts_results_bound_count(r) * r->sampler_count; i++) {
        const ts_sample_row *row = &r->samples[i];
        if (!isfinite(row->sliced_wasserstein.half) && !isfinite(row->frechet.half))
            continue;
        *fewest = fmin(*fewest, row->images);
        *most = fmax(*most, row->images);
    }
    return *most > 0;
}

static void intervals(const ts_results *r, FILE *page)
{
    double fewest, most;
    fprintf(page,
            "<p class=\"note\">Intervals are 95&nbsp;%%. Those of the bound cover which data were held out "
            "(%.0f data",
            r->bounds[0].data);
    if (r->block > 1)
        fprintf(page, " in blocks of %.0f, for they depend on their neighbours)", r->block);
    else
        fputs(", taken to be independent of each other)", page);
    if (ts_report_seeds(r) > 1)
        fprintf(page, " and what another training would change (%.0f seeds)", ts_report_seeds(r));
    if (!compared(r, &fewest, &most)) {
        fputs(".</p>\n", page);
        return;
    }
    fprintf(page,
            "; those of distances cover which samples were drawn and which data they are compared with: "
            "a jackknife over groups of both, with "
            "<i>n</i>&nbsp;=&nbsp;%.0f",
            fewest);
    if (most > fewest)
        fprintf(page, " to %.0f", most);
    fputs(" samples. Distances at a finite <i>n</i> are biased upward, by more the smaller <i>n</i> is",
          page);
    if (r->floor.count > 0 && isfinite(r->floor.sliced_wasserstein.mean)) {
        if (r->floor.images == fewest && fewest == most)
            fprintf(
                page,
                "; training data are compared with held-out data at the same <i>n</i>, and samples may come "
                "out below them");
        else
            fprintf(
                page,
                "; training data are compared with held-out data at <i>n</i>&nbsp;=&nbsp;%.0f, and samples "
                "may come out below them",
                r->floor.images);
    }
    fputs(".</p>\n", page);
}

void ts_warnings_write(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    fputs("<ul class=\"warnings\">\n", page);
    worse_than_uniform(r, page);
    noise_error(r, page);
    stopped_early(report, page);
    shortened(r, page);
    below_zero(r, page);
    seeds(r, page);
    fputs("</ul>\n", page);
    intervals(r, page);
}
