#include "base/clock.h"
#include "run/training/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run/checkpoint.h"
#include "run/algorithms.h"
#include "run/memory.h"
#include "run/training/crossing.h"
#include "run/training/log.h"
#include "run/training/shorten.h"

enum { BINS = TS_TRAINER_PROFILE_BINS };

/* ---- what the configuration says ---- */

static ts_time_sampling time_sampling(const ts_config *config)
{
    if (config->train.t_sampling == TS_T_SAMPLING_AUTO)
        return config->train.loss == TS_LOSS_LIKELIHOOD ? TS_TIME_IMPORTANCE : TS_TIME_UNIFORM;
    return config->train.t_sampling == TS_T_SAMPLING_IMPORTANCE ? TS_TIME_IMPORTANCE : TS_TIME_UNIFORM;
}

/* Importance sampling carries the likelihood weight g^2/s^2 in the density of t already. */
static ts_loss_weight loss_weight(const ts_config *config, ts_time_sampling sampling)
{
    if (config->train.loss == TS_LOSS_SIMPLE)
        return TS_WEIGHT_ONE;
    return sampling == TS_TIME_UNIFORM ? TS_WEIGHT_LIKELIHOOD : TS_WEIGHT_NOISE;
}

ts_score_training_config ts_trainer_config(const ts_config *config)
{
    const ts_time_sampling sampling = time_sampling(config);
    return (ts_score_training_config){
        .sde = ts_config_sde(config),
        .t_min = config->train.eps,
        .t_max = ts_config_largest_T(config),
        .sampling = sampling,
        .low_discrepancy = config->train.low_discrepancy,
        .predicts = config->model.predicts,
        .weight = loss_weight(config, sampling),
        .batch = config->train.batch,
        .profile_bins = TS_TRAINER_PROFILE_BINS,
        .seed = (uint64_t)config->run.seed,
        .optimizer =
            {
                .rate = config->train.lr,
                .beta1 = config->train.beta1,
                .beta2 = config->train.beta2,
                .epsilon = config->train.adam_eps,
                .clip = config->train.clip,
                .ema = config->train.ema,
                .warmup = config->train.warmup,
            },
    };
}

/* ---- a training on its way ---- */

typedef struct trainer {
    ts_run *run;
    ts_progress *progress;
    ts_training *training;
    ts_log *log;           /* NULL: a run without a directory */
    ts_crossing *crossing; /* NULL: T* is not measured */
    ts_crossing_T stars[TS_CROSSING_COUNT];
    bool measured;             /* stars, since the last log line */
    ts_shortening shortening;  /* with train.T auto */
    int64_t step, begin;       /* done so far; done when this call began */
    int64_t steps;             /* to be done */
    int64_t saved;             /* step of the last checkpoint; -1: none */
    int64_t skipped_before;    /* in earlier calls */
    double loss_sum;           /* of the steps since the last log line that have been read */
    int64_t loss_steps;        /* how many they are */
    int64_t read_step;         /* up to where reports have been read */
    ts_training_report report; /* the last one */
    double logged_loss;        /* of the last log line */
    double began, line_began;  /* seconds */
    int64_t line_step;         /* of the last log line */
} trainer;

/* ---- reading, logging, saving ---- */

static ts_status not_finite(const trainer *t)
{
    char kept[64] = "there is no checkpoint yet";
    if (t->saved >= 0)
        snprintf(kept, sizeof kept, "the checkpoint of step %lld stays", (long long)t->saved);
    const char *term = isfinite(t->report.loss) ? "gradient" : "loss";
    if (t->report.first_skipped >= 0)
        return ts_error(TS_NOT_FINITE, "step %lld: the %s is not finite; %s",
                        (long long)t->report.first_skipped + 1, term, kept);
    return ts_error(TS_NOT_FINITE, "between step %lld and step %lld: the %s is not finite; %s",
                    (long long)t->read_step + 1, (long long)t->step, term, kept);
}

/* What happened since the last read; a value that is not finite ends the run before anything is saved. */
static ts_status read_report(trainer *t)
{
    const int64_t steps = t->step - t->read_step;
    if (!steps)
        return NULL;
    TS_TRY(ts_training_read(t->training, &t->report));
    if (!t->report.finite || !isfinite(t->report.loss))
        return not_finite(t);
    t->loss_sum += t->report.loss * (double)steps;
    t->loss_steps += steps;
    t->read_step = t->step;
    return NULL;
}

static bool is_auto(const trainer *t)
{
    return !(t->run->config->train.T > 0);
}

static ts_status write_line(trainer *t)
{
    const double now = ts_seconds(), seconds = now - t->line_began;
    const double images = (double)(t->step - t->line_step) * t->run->config->train.batch;
    ts_training_report line = t->report;
    line.step = t->step;
    line.loss = t->logged_loss = t->loss_sum / (double)t->loss_steps;
    t->loss_sum = 0;
    t->loss_steps = 0;
    t->line_step = t->step;
    t->line_began = now;
    const ts_crossing_T *stars = t->measured ? t->stars : NULL;
    t->measured = false;
    return t->log ? ts_log_write(t->log, &line, images / fmax(seconds, 1e-9), now - t->began, stars,
                                 is_auto(t) ? t->run->reach : 0)
                  : NULL;
}

static ts_status save(trainer *t)
{
    double profile[2 * BINS];
    if (!t->run->dir)
        return NULL;
    TS_TRY(ts_training_profile(t->training, profile));
    const ts_checkpoint checkpoint = {.step = t->step,
                                      .skipped = t->skipped_before + t->report.skipped,
                                      .T = t->run->reach,
                                      .t_min = t->run->config->train.eps,
                                      .shortening = t->shortening,
                                      .bins = BINS,
                                      .profile = profile};
    TS_TRY(ts_algorithms_save(t->run));
    TS_TRY(ts_checkpoint_save(t->run, &checkpoint));
    t->saved = t->step;
    return NULL;
}

/* Where memory suffices for the training alone, T* is not measured, or no more. */
static ts_status unless_short(trainer *t, ts_status status)
{
    if (ts_status_code(status) != TS_NO_MEMORY)
        return status;
    ts_status_free(status);
    ts_crossing_close(t->crossing);
    t->crossing = NULL;
    return NULL;
}

/* Its time is none of the steps'. */
static ts_status measure_stars(trainer *t)
{
    const double began = ts_seconds();
    ts_status status = ts_crossing_measure(t->crossing, t->stars);
    t->measured = !status;
    t->line_began += ts_seconds() - began;
    return unless_short(t, status);
}

/* After a measurement that any number of steps would have come to: one at the end of fewer steps counts for nothing. */
static ts_status shorten(trainer *t)
{
    const double T = ts_shorten_to(&t->shortening, t->run->config, ts_crossing_end(t->crossing), t->stars);
    if (!(T > 0))
        return NULL;
    TS_TRY(ts_training_set_t_max(t->training, T));
    t->run->reach = T;
    if (!ts_crossing_cut(t->crossing, T)) {
        ts_crossing_close(t->crossing);
        t->crossing = NULL;
    }
    return NULL;
}

static void show(const trainer *t)
{
    char note[112] = "";
    int length = 0;
    if (t->line_step > t->begin)
        length = snprintf(note, sizeof note, "loss %.5f", t->logged_loss);
    const ts_crossing_T *star = &t->stars[TS_CROSSING_NORMAL];
    if (star->T > 0)
        length += snprintf(note + length, sizeof note - (size_t)length, "%sT* %.2f (%.2f to %.2f)",
                           length ? ", " : "", star->T, star->low, star->high);
    if (is_auto(t))
        snprintf(note + length, sizeof note - (size_t)length, "%sT %.2f", length ? ", " : "", t->run->reach);
    ts_progress_report(t->progress, "train", (double)t->step, t->run->config->train.steps, "steps", note);
}

/* ---- the loop ---- */

static ts_status run_steps(trainer *t)
{
    const ts_config *config = t->run->config;
    const int64_t steps = t->steps;
    if (t->step <= steps) /* a run may have been trained further than is asked now */
        show(t);
    if (t->step < steps)
        ts_algorithms_announce(t->run->device, t->progress);
    while (t->step < steps) {
        TS_TRY(ts_training_step(t->training)); /* queued: the device may still be at an earlier one */
        t->step++;
        const bool last = t->step == steps, stop = ts_progress_stopped(t->progress);
        const bool stars = t->crossing && (t->step % config->train.eval_every == 0 || last);
        const bool line = t->step % config->train.log_every == 0 || last || stars;
        const bool keep = t->step % config->train.checkpoint_every == 0 || last || stop;
        if (line || keep)
            TS_TRY(read_report(t));
        if (stars)
            TS_TRY(measure_stars(t));
        if (is_auto(t) && t->measured && t->step % config->train.eval_every == 0)
            TS_TRY(shorten(t));
        if (line)
            TS_TRY(write_line(t));
        if (keep)
            TS_TRY(save(t));
        show(t);
        if (stop && !last)
            return ts_error(TS_INTERRUPTED, "interrupted at step %lld of %lld", (long long)t->step,
                            (long long)steps);
    }
    return NULL;
}

/* ---- beginning ---- */

static ts_status resume(trainer *t, bool imported_suffices)
{
    const ts_config *config = t->run->config;
    ts_checkpoint checkpoint;
    TS_TRY(ts_checkpoint_load(t->run, &checkpoint));
    ts_status status = ts_training_set_step(t->training, checkpoint.step);
    if (!status)
        status = ts_training_set_t_max(t->training, checkpoint.T);
    /* bins of another range of t would mix two profiles */
    if (!status && checkpoint.bins == BINS && checkpoint.t_min == config->train.eps)
        status = ts_training_set_profile(t->training, checkpoint.profile);
    t->step = t->begin = t->saved = checkpoint.step;
    t->skipped_before = checkpoint.skipped;
    t->shortening = checkpoint.shortening;
    if (imported_suffices && checkpoint.imported)
        t->steps = checkpoint.step;
    ts_checkpoint_release(&checkpoint);
    return status;
}

static ts_status begin(trainer *t, const ts_trainer_options *options)
{
    ts_run *run = t->run;
    const ts_score_training_config config = ts_trainer_config(run->config);
    ts_model *model = run->model;
    TS_TRY(ts_training_score(run->device, &config, &run->dataset->train, model->params, model->row->apply,
                             model->network, &t->training));
    if (options->resume && ts_checkpoint_exists(run))
        TS_TRY(resume(t, options->imported_suffices));
    if (run->config->train.eval_every)
        TS_TRY(unless_short(t, ts_crossing_open(run, &t->crossing)));
    t->read_step = t->line_step = t->step;
    if (!run->dir)
        return NULL;
    char *path = ts_run_path(run, "log.jsonl");
    ts_status status =
        path ? ts_log_open(path, t->step, &t->log) : ts_error(TS_NO_MEMORY, "no memory for a path");
    free(path);
    return status;
}

static void fill_result(const trainer *t, ts_trainer_result *result)
{
    const double seconds = ts_seconds() - t->began;
    const int64_t steps = t->step - t->begin;
    const ts_graph *graph = ts_training_graph(t->training);
    *result = (ts_trainer_result){
        .step = t->step,
        .skipped = t->skipped_before + t->report.skipped,
        .loss = t->logged_loss,
        .gradient_norm = t->report.gradient_norm,
        .images_per_second = steps ? (double)steps * t->run->config->train.batch / fmax(seconds, 1e-9) : NAN,
        .seconds = seconds,
        .T = t->run->reach,
        .parameters = ts_params_count(t->run->model->params),
        .plan_bytes = ts_graph_arena_bytes(graph),
        .no_reuse_bytes = ts_graph_no_reuse_bytes(graph),
    };
    memcpy(result->stars, t->stars, sizeof t->stars);
}

ts_status ts_trainer_run(ts_run *run, const ts_trainer_options *options, ts_trainer_result *result)
{
    if (!run->model || !run->model->params)
        return ts_error(TS_INVALID, "model.kind %s has nothing to train",
                        ts_model_kind_words.word[run->config->model.kind]);
    trainer t = {.run = run,
                 .progress = options->progress,
                 .steps = run->config->train.steps,
                 .saved = -1,
                 .logged_loss = NAN,
                 .report.gradient_norm = NAN};
    ts_status status = begin(&t, options);
    t.began = t.line_began = ts_seconds();
    if (!status)
        status = run_steps(&t);
    if (!status && result)
        fill_result(&t, result);
    ts_log_close(t.log);
    ts_crossing_close(t.crossing);
    ts_training_destroy(t.training);
    return ts_memory_advise(status, run->model, "train.batch", run->config->train.batch, true);
}
