/* The list of a sweep's parts: what each needs, and about how much work it is. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "run/evaluate.h"
#include "run/memory.h"
#include "run/scores.h"
#include "run/threads.h"

/* Evaluations that an adaptive sampler may take for a sample; the first rows tell more. */
static const double adaptive_evaluations = 100;

typedef struct plan {
    ts_sweep *s;
    int network, *networks, *fits, *samples; /* places in the list: [T], [T][start], [row]; TS_NO_PART */
    int reference;
    double network_flop, flow_flop; /* of a pass, an image */
} plan;

static ts_part *add(plan *p, ts_part part)
{
    ts_part *added = &p->s->list.parts[p->s->list.count++];
    *added = part;
    return added;
}

static int last(const plan *p)
{
    return p->s->list.count - 1;
}

/* ---- how much work ---- */

static ts_status measure(plan *p)
{
    const ts_sweep *s = p->s;
    double bytes, flop;
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

static double pass_of_start(const plan *p, int start)
{
    const ts_start_row *row = &ts_starts[p->s->results->starts[start]];
    return row->steps ? p->flow_flop : 50.0 * p->s->d;
}

static double work_of_samples(const plan *p, int T, int start, int sampler, double images)
{
    const ts_results *r = p->s->results;
    ts_sampler_config config;
    ts_status unknown = ts_evaluate_sampler(p->s->config, r->samplers[sampler], r->T[T], &config);
    const double steps = unknown || !ts_samplers[r->samplers[sampler]].integrator
                             ? adaptive_evaluations
                             : config.steps * ts_samplers[r->samplers[sampler]].evaluations;
    ts_status_free(unknown);
    return images * (steps * p->network_flop + pass_of_start(p, start));
}

/* ---- the parts ---- */

static void add_networks(plan *p)
{
    const ts_config *config = p->s->config;
    const bool per_T = config->sweep.network == TS_NETWORK_PER_T;
    if (!p->s->run->model->params)
        return;
    for (int t = 0; t < (per_T ? p->s->results->T_count : 1); t++) {
        char text[32];
        ts_T_text(p->s->results->T[t], text);
        ts_part *part =
            add(p, (ts_part){.run = ts_part_train,
                             .T = per_T ? t : -1,
                             .needs = {TS_NO_PART, TS_NO_PART},
                             .phase = TS_SWEEP_TRAIN,
                             .work = 3.0 * config->train.steps * config->train.batch * p->network_flop});
        snprintf(part->name, sizeof part->name, per_T ? "train for T = %s" : "train", text);
        if (per_T)
            p->networks[t] = last(p);
        else
            p->network = last(p);
    }
}

static int network_of(const plan *p, int score, int T)
{
    if (!ts_scores[p->s->results->scores[score]].trained)
        return TS_NO_PART;
    return ts_sweep_is_per_T(p->s, score) ? p->networks[T] : p->network;
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
                                             .needs = {TS_NO_PART, TS_NO_PART},
                                             .phase = TS_SWEEP_FIT,
                                             .work = work_of_fit(p, t, start)});
            snprintf(part->name, sizeof part->name, "%s at T = %s",
                     ts_start_kind_words.word[r->starts[start]], text);
            *fit_of(p, t, start) = last(p);
            if (t && ts_starts[r->starts[start]].every_T) /* that of the first is its own */
                part->needs[0] = *fit_of(p, 0, start);
        }
}

static void add_bounds(plan *p)
{
    const ts_results *r = p->s->results;
    for (int score = 0; score < r->score_count; score++) {
        const bool per_T = ts_sweep_is_per_T(p->s, score);
        for (int t = 0; t < (per_T ? r->T_count : 1); t++) {
            char text[32];
            ts_T_text(r->T[t], text);
            ts_part *part =
                add(p, (ts_part){.run = ts_part_bound,
                                 .score = score,
                                 .T = per_T ? t : -1,
                                 .needs = {network_of(p, score, t), TS_NO_PART},
                                 .phase = TS_SWEEP_BOUND,
                                 .work = (double)p->s->count * p->s->config->bound.draws * p->network_flop});
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
            char text[32];
            ts_T_text(r->T[t], text);
            ts_part *part = add(p, (ts_part){.run = ts_part_prior,
                                             .T = t,
                                             .start = start,
                                             .needs = {*fit_of(p, t, start), TS_NO_PART},
                                             .phase = TS_SWEEP_PRIOR,
                                             .work = (double)p->s->count * p->s->config->bound.prior_draws *
                                                     pass_of_start(p, start)});
            snprintf(part->name, sizeof part->name, "prior term at T = %s of %s", text,
                     ts_start_kind_words.word[r->starts[start]]);
        }
}

static void add_reference(plan *p)
{
    const ts_config *config = p->s->config;
    ts_part *part =
        add(p, (ts_part){.run = ts_part_reference,
                         .needs = {TS_NO_PART, TS_NO_PART},
                         .phase = TS_SWEEP_DISTANCE,
                         .work = 6.0 * config->sweep.samples * config->sweep.projections * p->s->d});
    snprintf(part->name, sizeof part->name, "distances of real data");
    p->reference = last(p);
}

/* One part of a kind for every row of samples. */
static void add_rows(plan *p, const char *what, const ts_part *like, int images)
{
    const ts_results *r = p->s->results;
    for (int i = 0; i < ts_results_bound_count(r) * r->sampler_count; i++) {
        const ts_bound_row *row = &r->bounds[i / r->sampler_count];
        const ts_sampler_kind sampler = r->samplers[i % r->sampler_count];
        ts_part *part = add(p, *like);
        char text[32];
        ts_T_text(row->T, text);
        part->sampler = i % r->sampler_count;
        part->start = i / r->sampler_count % r->start_count;
        part->T = i / r->sampler_count / r->start_count % r->T_count;
        part->score = i / r->sampler_count / r->start_count / r->T_count;
        part->work = work_of_samples(p, part->T, part->start, part->sampler, images);
        snprintf(part->name, sizeof part->name, "%s%s at T = %s from %s%s", what,
                 ts_sampler_kind_words.word[sampler], text, ts_start_kind_words.word[row->start],
                 r->score_count == 1 || ts_scores[row->score].trained ? "" : " with the exact score");
        if (part->run == ts_part_sample) {
            part->phase = TS_SWEEP_SAMPLE + (int)sampler;
            part->needs[0] = network_of(p, part->score, part->T);
            part->needs[1] = *fit_of(p, part->T, part->start);
            p->samples[i] = last(p);
        } else if (part->run == ts_part_distance) {
            part->work = (double)images * p->s->config->sweep.projections * p->s->d;
            part->needs[0] = p->samples[i];
            part->needs[1] = p->reference;
        }
    }
}

/* Those that others wait for stand first, and the long ones before the short; what is timed comes last. */
static void add_all(plan *p)
{
    const int images = p->s->config->sweep.samples;
    const ts_part nothing = {.needs = {TS_NO_PART, TS_NO_PART}};
    ts_part sample = nothing, distance = nothing, timing = nothing;
    sample.run = ts_part_sample;
    distance.run = ts_part_distance;
    distance.phase = TS_SWEEP_DISTANCE;
    timing.run = ts_part_timing;
    timing.phase = TS_SWEEP_TIMING;
    add_networks(p);
    add_fits(p);
    add_reference(p);
    add_bounds(p);
    add_rows(p, "", &sample, images);
    add_priors(p);
    add_rows(p, "distances of ", &distance, images);
    p->s->timings = p->s->list.count;
    add_rows(p, "time of ", &timing, TS_SWEEP_TIMED);
}

ts_status ts_sweep_plan(ts_sweep *s)
{
    const ts_results *r = s->results;
    const size_t T = (size_t)r->T_count, starts = (size_t)r->start_count;
    const size_t rows = (size_t)(ts_results_bound_count(r) * r->sampler_count);
    const size_t most = T + T * starts + 1 + (size_t)r->score_count * T + T * starts + 3 * rows;
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
