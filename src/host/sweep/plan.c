/* The list of a sweep's parts: what each needs, and about how much work it is. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "nn/feature_network.h"
#include "quality/embedding.h"
#include "run/evaluate.h"
#include "run/memory.h"
#include "run/scores.h"
#include "run/threads.h"

/* Evaluations that an adaptive sampler may take for a sample; the first rows tell more. */
static const double adaptive_evaluations = 100;

typedef struct plan {
    ts_sweep *s;
    /* places in the list, or TS_NO_PART; networks [T], fits [T][start], samples [row] */
    int network, *networks, *fits, *samples;
    int reference;
    double network_flop, flow_flop,
        features_flop; /* of a pass, an image; features: of sweep.weights, 0: none */
} plan;

static ts_part *add(plan *p, ts_part part)
{
    ts_part *added = &p->s->list.parts[p->s->list.count++];
    *added = part;
    return added;
}

/* A likelihood needs a network and every start's fit. */
_Static_assert((int)TS_PART_NEEDS > (int)TS_START_COUNT, "raise TS_PART_NEEDS");

/* `before`: its place in the list, or TS_NO_PART. */
static void need(ts_part *part, int before)
{
    if (before != TS_NO_PART)
        part->needs[part->need_count++] = before;
}

static int last(const plan *p)
{
    return p->s->list.count - 1;
}

/* ---- how much work ---- */

/* Roughly, of Inception and of the small classifiers. */
static const double inception_flop = 1.1e10, classifier_flop = 2.5e8;

static ts_status measure_features(plan *p)
{
    const ts_config *config = p->s->config;
    ts_feature_network_kind kind;
    if (!ts_sweep_network_measures(config))
        return NULL;
    TS_TRY(ts_embedding_whose(config->sweep.weights, &kind));
    p->features_flop = ts_feature_networks[kind].fid ? inception_flop : classifier_flop;
    return NULL;
}

static ts_status measure(plan *p)
{
    const ts_sweep *s = p->s;
    double bytes, flop;
    TS_TRY(measure_features(p));
    TS_TRY(ts_threads_flow_flops(s->run, &p->flow_flop));
    p->flow_flop /= s->config->glow.batch;
    p->network_flop = 50.0 * s->d; /* an exact score's, roughly */
    if (!s->run->model->params)
        return NULL;
    TS_TRY(ts_memory_plan(s->run->model, s->config->sample.batch, false, &bytes, &flop));
    p->s->estimates.bytes = bytes;
    TS_TRY(ts_memory_plan(s->run->model, s->config->bound.batch, false, &bytes, &flop));
    p->s->estimates.bytes = fmax(p->s->estimates.bytes, bytes);
    p->network_flop = flop / s->config->bound.batch;
    return NULL;
}

/* A density at x_T, an image. */
static double pass_of_start(const plan *p, int start)
{
    const ts_start_row *row = &ts_starts[p->s->results->starts[start]];
    return row->steps ? p->flow_flop : 50.0 * p->s->d;
}

static double work_of_samples(const plan *p, int T, int start, int sampler, double images)
{
    const ts_results *r = p->s->results;
    ts_sampler_config config;
    ts_status unknown = ts_sweep_sampler(p->s->config, &r->samplers[sampler], r->T[T], &config);
    const double evaluations = unknown || !ts_samplers[r->samplers[sampler].kind].integrator
                                   ? adaptive_evaluations
                                   : (double)ts_sampler_nfe(&config);
    ts_status_free(unknown);
    return images * (evaluations * p->network_flop + pass_of_start(p, start));
}

/* ---- the parts ---- */

static int add_network(plan *p, int T, const char *name)
{
    const ts_config *config = p->s->config;
    ts_part *part =
        add(p, (ts_part){.run = ts_part_train,
                         .T = T,
                         .phase = TS_SWEEP_TRAIN,
                         .work = 3.0 * config->train.steps * config->train.batch * p->network_flop});
    snprintf(part->name, sizeof part->name, "%s", name);
    return last(p);
}

static void add_networks(plan *p)
{
    const ts_results *r = p->s->results;
    if (ts_sweep_has_shared(p->s))
        p->network = add_network(p, -1, "train");
    for (int score = 0; score < r->score_count; score++)
        for (int t = 0; t < r->T_count; t++) {
            char text[32], name[64];
            if (!ts_sweep_has_own(p->s, score, r->T[t]))
                continue;
            ts_T_text(r->T[t], text);
            snprintf(name, sizeof name, "train for T = %s", text);
            p->networks[t] = add_network(p, t, name);
        }
}

static int network_of(const plan *p, int score, int T)
{
    if (!ts_scores[p->s->results->scores[score]].trained)
        return TS_NO_PART;
    return ts_sweep_has_own(p->s, score, p->s->results->T[T]) ? p->networks[T] : p->network;
}

static int *fit_of(const plan *p, int T, int start)
{
    return &p->fits[T * p->s->results->start_count + start];
}

/* What serves every T is fitted once. */
static double work_of_fit(const plan *p, int T, int start)
{
    const ts_sweep *s = p->s;
    const ts_start_row *row = &ts_starts[s->results->starts[start]];
    if (row->every_T && T)
        return 0;
    if (row->steps)
        return 3.0 * (double)row->steps(s->config) * s->config->glow.batch * p->flow_flop;
    return 50.0 * (double)s->run->dataset->train.count * s->d;
}

static void add_fits(plan *p)
{
    const ts_results *r = p->s->results;
    for (int start = 0; start < r->start_count; start++)
        for (int t = 0; t < r->T_count && ts_starts[r->starts[start]].fit; t++) {
            char text[32];
            ts_T_text(r->T[t], text);
            ts_part *part = add(p, (ts_part){.run = ts_part_fit,
                                             .T = t,
                                             .start = start,
                                             .phase = TS_SWEEP_FIT,
                                             .work = work_of_fit(p, t, start)});
            snprintf(part->name, sizeof part->name, "%s at T = %s",
                     ts_start_kind_words.word[r->starts[start]], text);
            *fit_of(p, t, start) = last(p);
            if (t && ts_starts[r->starts[start]].every_T) /* that of the first is its own */
                need(part, *fit_of(p, 0, start));
        }
}

static void add_bounds(plan *p)
{
    const ts_results *r = p->s->results;
    for (int score = 0; score < r->score_count; score++) {
        const bool per_T = ts_scores[r->scores[score]].per_T;
        for (int t = 0; t < (per_T ? r->T_count : 1); t++) {
            char text[32];
            ts_T_text(r->T[t], text);
            ts_part *part =
                add(p, (ts_part){.run = ts_part_bound,
                                 .score = score,
                                 .T = per_T ? t : -1,
                                 .phase = TS_SWEEP_BOUND,
                                 .work = (double)p->s->count * p->s->config->bound.draws * p->network_flop});
            need(part, network_of(p, score, t));
            snprintf(part->name, sizeof part->name,
                     per_T ? "bound of the %s score at T = %s" : "bound of the %s score",
                     ts_score_kind_words.word[r->scores[score]], text);
        }
    }
}

static void add_priors(plan *p)
{
    const ts_results *r = p->s->results;
    for (int t = 0; t < r->T_count; t++)
        for (int start = 0; start < r->start_count; start++) {
            /* of a flow also its score, a pass forward and one back */
            const double passes = ts_starts[r->starts[start]].steps ? 4 : 1;
            char text[32];
            ts_T_text(r->T[t], text);
            ts_part *part =
                add(p, (ts_part){.run = ts_part_prior,
                                 .T = t,
                                 .start = start,
                                 .phase = TS_SWEEP_PRIOR,
                                 .work = passes * (double)p->s->count * p->s->config->bound.prior_draws *
                                         pass_of_start(p, start)});
            need(part, *fit_of(p, t, start));
            snprintf(part->name, sizeof part->name, "prior term at T = %s of %s", text,
                     ts_start_kind_words.word[r->starts[start]]);
        }
}

/* How a row with this score is told from the others, for people. */
static const char *with_score(const ts_results *r, int score)
{
    if (r->score_count == 1)
        return "";
    if (!ts_scores[r->scores[score]].trained)
        return " with the exact score";
    return ts_scores[r->scores[score]].per_T ? " with the network of its own" : "";
}

static void add_curves(plan *p)
{
    const ts_results *r = p->s->results;
    for (int start = 0; start < r->start_count; start++) {
        if (!p->s->curve.prior[start])
            continue;
        ts_part *part = add(p, (ts_part){.run = ts_part_curve,
                                         .start = start,
                                         .phase = TS_SWEEP_PRIOR,
                                         .work = (double)p->s->count * ts_sweep_curve_passes(p->s, start) *
                                                 pass_of_start(p, start)});
        need(part, *fit_of(p, 0, start));
        snprintf(part->name, sizeof part->name, "prior term over T of %s",
                 ts_start_kind_words.word[r->starts[start]]);
    }
}

/* One solution for each score and T, from which all starts are told. */
static void add_likelihoods(plan *p)
{
    const ts_results *r = p->s->results;
    const ts_config *config = p->s->config;
    for (int i = 0; i < r->score_count * r->T_count && config->sweep.likelihood; i++) {
        const int score = i / r->T_count, t = i % r->T_count;
        const ts_likelihood_config how = ts_evaluate_likelihood_config(p->s->run);
        char text[32];
        ts_T_text(r->T[t], text);
        ts_part *part =
            add(p, (ts_part){.run = ts_part_likelihood,
                             .score = score,
                             .T = t,
                             .phase = TS_SWEEP_LIKELIHOOD,
                             /* an evaluation with its gradient */
                             .work = (double)how.count *
                                     (double)ts_likelihood_draws(&how, &p->s->run->dataset->test) *
                                     adaptive_evaluations * 3.0 * p->network_flop});
        need(part, network_of(p, score, t));
        for (int start = 0; start < r->start_count; start++)
            need(part, *fit_of(p, t, start));
        snprintf(part->name, sizeof part->name, "likelihood at T = %s%s", text, with_score(r, score));
    }
}

static void add_reference(plan *p)
{
    const ts_config *config = p->s->config;
    ts_part *part =
        add(p, (ts_part){.run = ts_part_reference,
                         .phase = TS_SWEEP_DISTANCE,
                         .work = 6.0 * config->sweep.samples * config->sweep.projections * p->s->d +
                                 2.0 * config->sweep.samples * p->features_flop});
    snprintf(part->name, sizeof part->name, "distances of real data");
    p->reference = last(p);
}

static void name_row(const ts_results *r, const char *what, ts_part *part)
{
    const ts_sampler_entry *sampler = &r->samplers[part->sampler];
    char T[32], budget[48] = "";
    ts_T_text(r->T[part->T], T);
    if (isfinite(sampler->budget))
        snprintf(budget, sizeof budget, " within %.0f evaluations", sampler->budget);
    snprintf(part->name, sizeof part->name, "%s%s%s at T = %s from %s%s", what,
             ts_sampler_kind_words.word[sampler->kind], budget, T,
             ts_start_kind_words.word[r->starts[part->start]], with_score(r, part->score));
}

/* One part of a kind for every row of samples. */
static void add_rows(plan *p, const char *what, const ts_part *like, int images)
{
    const ts_results *r = p->s->results;
    for (int i = 0; i < ts_results_bound_count(r) * r->sampler_count; i++) {
        ts_part *part = add(p, *like);
        part->sampler = i % r->sampler_count;
        part->start = i / r->sampler_count % r->start_count;
        part->T = i / r->sampler_count / r->start_count % r->T_count;
        part->score = i / r->sampler_count / r->start_count / r->T_count;
        part->work = work_of_samples(p, part->T, part->start, part->sampler, images);
        name_row(r, what, part);
        if (part->run == ts_part_sample) {
            part->phase = TS_SWEEP_SAMPLE + (int)r->samplers[part->sampler].kind;
            need(part, network_of(p, part->score, part->T));
            need(part, *fit_of(p, part->T, part->start));
            p->samples[i] = last(p);
        } else if (part->run == ts_part_distance) {
            part->work =
                (double)images * ((double)p->s->config->sweep.projections * p->s->d + p->features_flop);
            need(part, p->samples[i]);
            need(part, p->reference);
        }
    }
}

/* Those that others wait for stand first, and the long ones before the short; what is timed comes last. */
static void add_all(plan *p)
{
    const int images = p->s->config->sweep.samples;
    const ts_part sample = {.run = ts_part_sample};
    const ts_part distance = {.run = ts_part_distance, .phase = TS_SWEEP_DISTANCE};
    const ts_part timing = {.run = ts_part_timing, .phase = TS_SWEEP_TIMING};
    add_networks(p);
    add_fits(p);
    if (p->s->first) { /* of another seed the bound alone */
        add_bounds(p);
        add_priors(p);
        add_curves(p);
        p->s->timings = p->s->list.count;
        return;
    }
    add_reference(p);
    add_bounds(p);
    add_likelihoods(p);
    add_rows(p, "", &sample, images);
    add_priors(p);
    add_curves(p);
    add_rows(p, "distances of ", &distance, images);
    p->s->timings = p->s->list.count;
    add_rows(p, "time of ", &timing, TS_SWEEP_TIMED);
}

ts_status ts_sweep_plan(ts_sweep *s)
{
    const ts_results *r = s->results;
    const size_t T = (size_t)r->T_count, starts = (size_t)r->start_count;
    const size_t rows = (size_t)(ts_results_bound_count(r) * r->sampler_count);
    const size_t most =
        1 + T + T * starts + 1 + 2 * (size_t)r->score_count * T + T * starts + starts + 3 * rows;
    plan p = {.s = s,
              .network = TS_NO_PART,
              .networks = malloc(sizeof(int) * T),
              .fits = malloc(sizeof(int) * T * starts),
              .samples = malloc(sizeof(int) * (rows + 1))};
    s->list.parts = calloc(most, sizeof *s->list.parts);
    ts_status status = NULL;
    if (!s->list.parts || !p.networks || !p.fits || !p.samples)
        status = ts_error(TS_NO_MEMORY, "sweep: no memory for its parts");
    if (!status)
        status = measure(&p);
    if (!status) {
        for (size_t i = 0; i < T * starts; i++)
            p.fits[i] = TS_NO_PART;
        add_all(&p);
        s->list.end = s->list.count;
    }
    free(p.networks);
    free(p.fits);
    free(p.samples);
    return status;
}
