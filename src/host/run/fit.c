#include "base/clock.h"
#include "base/decimal.h"
#include "run/fit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/safetensors.h"
#include "diffusion/training.h"
#include "run/checkpoint.h"
#include "run/algorithms.h"
#include "run/log.h"
#include "run/memory.h"

#define FORMAT_NAME  "tstar-glow"
#define FIT_SECTIONS "run data sde" /* besides glow, what a fit depends on */

/* ---- names and contents of the file ---- */

static char *file_path(const ts_run *run, double T, const char *ending)
{
    char T_text[32], name[64];
    ts_T_text(T, T_text);
    snprintf(name, sizeof name, "glow_T%s.%s", T_text, ending);
    return run->dir ? ts_run_path(run, name) : NULL;
}

/* ---- the flow of a run ---- */

ts_status ts_fit_check(const ts_run *run)
{
    const ts_data *data = &run->dataset->train;
    const int levels = run->config->glow.levels, divisor = 1 << levels;
    if (data->mixture)
        return ts_error(TS_INVALID, "a Glow is for images; mixture data start from normal or mixture");
    if (data->h % divisor || data->w % divisor)
        return ts_error(TS_INVALID, "glow.levels = %d needs images that divide by %d, but these are %dx%d",
                        levels, divisor, data->h, data->w);
    return NULL;
}

static ts_status create_flow(const ts_run *run, ts_params **params, ts_glow **glow)
{
    const ts_data *data = &run->dataset->train;
    const ts_config *config = run->config;
    const ts_glow_config shape = {.height = data->h,
                                  .width = data->w,
                                  .channels = data->c,
                                  .levels = config->glow.levels,
                                  .steps = config->glow.steps_per_level,
                                  .hidden = config->glow.hidden};
    TS_TRY(ts_fit_check(run));
    TS_TRY(ts_params_create(run->device, params));
    TS_TRY(ts_glow_create(&shape, *params, (uint64_t)config->run.seed, glow));
    return ts_params_commit(*params, (uint64_t)config->run.seed);
}

/* ---- saving ---- */

/* The outcome of a fit in its file's metadata, and back. */
static void declare_result(ts_safetensors_writer *writer, const ts_fit_result *result)
{
    const double numbers[] = {(double)result->steps, (double)result->skipped, (double)result->rollbacks,
                              result->loss, result->seconds};
    static const char *const keys[] = {"steps", "skipped", "rollbacks", "loss", "seconds"};
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.17g", numbers[i]);
        ts_safetensors_declare_metadata(writer, keys[i], text);
    }
}

static double stored_number(const ts_safetensors *file, const char *key)
{
    const char *text = ts_safetensors_metadata(file, key);
    return text ? strtod(text, NULL) : NAN;
}

static ts_fit_result stored_result(const ts_safetensors *file)
{
    return (ts_fit_result){.steps = llrint(fmax(0, stored_number(file, "steps"))),
                           .skipped = llrint(fmax(0, stored_number(file, "skipped"))),
                           .rollbacks = llrint(fmax(0, stored_number(file, "rollbacks"))),
                           .loss = stored_number(file, "loss"),
                           .seconds = fmax(0, stored_number(file, "seconds")),
                           .reused = true};
}

static ts_status write_flow(ts_safetensors_writer *writer, const ts_run *run, const ts_params *params,
                            double T, const ts_fit_result *result, float *scratch)
{
    char text[32], *config;
    TS_TRY(ts_config_print(run->config, FIT_SECTIONS " glow", &config));
    ts_T_text(T, text);
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "T", text);
    declare_result(writer, result);
    ts_safetensors_declare_metadata(writer, "config", config);
    free(config);
    const int count = ts_params_table_size(params);
    for (int p = 0; p < count; p++) {
        const ts_param_info *info = ts_params_info(params, p);
        ts_safetensors_declare(writer, info->name, TS_ST_F32, info->rank, info->shape);
    }
    for (int p = 0; p < count; p++) {
        const ts_param_info *info = ts_params_info(params, p);
        TS_TRY(ts_params_get(params, p, info->trained ? TS_BUFFER_EMA : TS_BUFFER_VALUE, scratch));
        TS_TRY(ts_safetensors_append(writer, scratch, (size_t)ts_param_elements(info) * sizeof(float)));
    }
    return NULL;
}

static ts_status save_flow(const ts_run *run, const ts_params *params, double T, const ts_fit_result *result,
                           const char *path)
{
    ts_safetensors_writer *writer = NULL;
    float *scratch = NULL;
    ts_status status;
    TS_GOTO(ts_params_scratch(params, &scratch), done);
    TS_GOTO(ts_safetensors_create(path, &writer), done);
    TS_GOTO(write_flow(writer, run, params, T, result, scratch), done);
    status = ts_safetensors_commit(writer);
    writer = NULL;
done:
    ts_safetensors_abandon(writer);
    free(scratch);
    return status;
}

/* ---- fitting ---- */

/* Whether the file is a fit at T of the run's configuration and data. */
static ts_status is_same(const ts_run *run, double T, const ts_safetensors *file, bool *same)
{
    const char *stored_T = ts_safetensors_metadata(file, "T"),
               *text = ts_safetensors_metadata(file, "config");
    ts_config *config;
    ts_config_difference difference;
    char T_text[32];
    ts_T_text(T, T_text);
    *same = false;
    if (!stored_T || strcmp(stored_T, T_text) || !text)
        return NULL;
    TS_TRY(ts_config_parse(text, ts_safetensors_path(file), &config));
    ts_status status =
        ts_config_compare(config, run->config, TS_USE_RESULT, FIT_SECTIONS " glow", &difference);
    ts_config_free(config);
    *same = !status && !difference.key;
    return status;
}

/* Whether `path` holds a finished fit of this configuration, and its outcome.  A file that cannot be read is
 * none. */
static ts_status is_fitted(const ts_run *run, double T, const char *path, bool *fitted, ts_fit_result *result)
{
    ts_safetensors *file;
    *fitted = false;
    if (access(path, F_OK))
        return NULL;
    ts_status status = ts_safetensors_open(path, &file);
    if (!status) {
        status = is_same(run, T, file, fitted);
        if (*fitted)
            *result = stored_result(file);
        ts_safetensors_close(file);
    }
    if (ts_status_code(status) == TS_NO_MEMORY)
        return status;
    ts_status_free(status);
    return NULL;
}

static ts_glow_training_config training_config(const ts_config *config, double T)
{
    return (ts_glow_training_config){.sde = ts_config_sde(config),
                                     .T = T,
                                     .batch = config->glow.batch,
                                     .seed = (uint64_t)config->run.seed,
                                     .optimizer = {.rate = config->glow.lr,
                                                   .beta1 = 0.9,
                                                   .beta2 = 0.999,
                                                   .epsilon = 1e-8,
                                                   .clip = config->glow.clip,
                                                   .ema = config->glow.ema,
                                                   .warmup = config->glow.warmup}};
}

static ts_status read_line(ts_training *training, ts_log *log, const ts_run *run, int64_t steps, double began,
                           double *line_began, ts_training_report *report)
{
    TS_TRY(ts_training_read(training, report));
    if (!report->finite || !isfinite(report->loss))
        return ts_error(TS_NOT_FINITE, "the loss is not finite up to step %lld", (long long)report->step);
    const double now = ts_seconds(), images = (double)steps * run->config->glow.batch;
    TS_TRY(ts_log_write(log, report, images / fmax(now - *line_began, 1e-9), now - began));
    *line_began = now;
    return NULL;
}

static ts_status run_steps(const ts_run *run, double T, ts_training *training, ts_log *log,
                           ts_progress *progress, ts_fit_result *result)
{
    const int64_t steps = run->config->glow.steps, every = run->config->train.log_every;
    const double began = ts_seconds();
    double line_began = began;
    ts_training_report report = {0};
    char phase[48], note[64] = "", T_text[32];
    ts_T_text(T, T_text);
    snprintf(phase, sizeof phase, "fit T=%s", T_text);
    int64_t read = 0;
    ts_algorithms_announce(run->device, progress);
    for (int64_t step = 1; step <= steps; step++) {
        TS_TRY(ts_training_step(training));
        if (step % every == 0 || step == steps) {
            TS_TRY(read_line(training, log, run, step - read, began, &line_began, &report));
            read = step;
            snprintf(note, sizeof note, "%.5f nats/dim", report.loss);
        }
        ts_progress_report(progress, phase, (double)step, (double)steps, "steps", note);
        if (ts_progress_stopped(progress) && step < steps)
            return ts_error(TS_INTERRUPTED, "fit at T = %s interrupted at step %lld of %lld", T_text,
                            (long long)step, (long long)steps);
    }
    /* few steps may end before the guard has found a rate, or behind one that nobody has judged */
    if (report.stood < (steps + 1) / 2)
        return ts_error(TS_NOT_FINITE,
                        "the fit diverges at glow.lr = %g: %lld of %lld steps had to be taken back",
                        run->config->glow.lr, (long long)(steps - report.stood), (long long)steps);
    *result = (ts_fit_result){.steps = steps,
                              .skipped = report.skipped,
                              .rollbacks = report.rollbacks,
                              .loss = report.loss,
                              .seconds = ts_seconds() - began};
    return NULL;
}

static ts_status fit(ts_run *run, double T, const char *path, ts_progress *progress, ts_fit_result *result)
{
    ts_params *params = NULL;
    ts_glow *glow = NULL;
    ts_training *training = NULL;
    ts_log *log = NULL;
    const ts_glow_training_config config = training_config(run->config, T);
    ts_status status;
    char *log_path = file_path(run, T, "jsonl");
    if (!log_path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    TS_GOTO(create_flow(run, &params, &glow), done);
    TS_GOTO(ts_training_glow(run->device, &config, &run->dataset->train, params, glow, &training), done);
    TS_GOTO(ts_log_open(log_path, 0, &log), done);
    TS_GOTO(run_steps(run, T, training, log, progress, result), done);
    status = save_flow(run, params, T, result, path);
done:
    ts_log_close(log);
    ts_training_destroy(training);
    if (glow)
        status = ts_memory_advise_flow(status, run->device, params, glow, run->dataset->train.h,
                                       run->dataset->train.w, run->dataset->train.c, config.batch);
    ts_glow_destroy(glow);
    ts_params_destroy(params);
    free(log_path);
    return status;
}

ts_status ts_fit_glow(ts_run *run, double T, ts_progress *progress, ts_fit_result *result)
{
    ts_fit_result unused;
    bool fitted;
    if (!result)
        result = &unused;
    *result = (ts_fit_result){0};
    if (!(T > run->config->train.eps && T <= 1))
        return ts_error(TS_INVALID, "T must lie in (%g, 1], above train.eps = %g, not %g",
                        run->config->train.eps, run->config->train.eps, T);
    if (!run->dir)
        return ts_error(TS_INVALID, "a fit needs a run directory to be stored in");
    char *path = file_path(run, T, "safetensors");
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = is_fitted(run, T, path, &fitted, result);
    if (!status && !fitted)
        status = ts_context(fit(run, T, path, progress, result), "Glow at T = %g", T);
    free(path);
    return status;
}

/* ---- loading ---- */

static ts_status read_flow(const ts_run *run, double T, ts_safetensors *file, ts_params *params)
{
    char T_text[32];
    const char *format = ts_safetensors_metadata(file, "format"),
               *stored_T = ts_safetensors_metadata(file, "T");
    ts_T_text(T, T_text);
    if (!format || strcmp(format, FORMAT_NAME) || !stored_T || strcmp(stored_T, T_text))
        return ts_error(TS_FORMAT, "%s: not a Glow fitted at T = %s; fit again: tstar fit %s --T %s",
                        ts_safetensors_path(file), T_text, run->dir, T_text);
    TS_TRY(ts_checkpoint_same_config(run, file, FIT_SECTIONS));
    float *scratch;
    TS_TRY(ts_params_scratch(params, &scratch));
    ts_status status = NULL;
    for (int p = 0; !status && p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        status =
            ts_context(ts_safetensors_read(file, info->name, TS_ST_F32, info->rank, info->shape, scratch),
                       "a Glow of another shape");
        if (!status)
            status = ts_params_set(params, p, TS_BUFFER_VALUE, scratch);
    }
    free(scratch);
    return status;
}

static ts_status load(ts_run *run, double T, int n, const char *path, ts_fit *fit_)
{
    ts_safetensors *file;
    char T_text[32];
    ts_T_text(T, T_text);
    if (access(path, F_OK))
        return ts_error(TS_NOT_FOUND, "%s: no Glow fitted at T = %s yet: tstar fit %s --T %s", path, T_text,
                        run->dir, T_text);
    const ts_data *data = &run->dataset->train;
    TS_TRY(create_flow(run, &fit_->params, &fit_->glow));
    TS_TRY(ts_safetensors_open(path, &file));
    ts_status status = read_flow(run, T, file, fit_->params);
    ts_safetensors_close(file);
    TS_TRY(status);
    return ts_density_glow(run->device, fit_->glow, fit_->params, n, data->h, data->w, data->c,
                           &fit_->density);
}

ts_status ts_fit_load(ts_run *run, double T, int n, ts_fit *fit_)
{
    *fit_ = (ts_fit){0};
    if (!run->dir)
        return ts_error(TS_INVALID,
                        "a Glow is fitted in a run directory (tstar fit RUN --T ...); this is none");
    char *path = file_path(run, T, "safetensors");
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = load(run, T, n, path, fit_);
    free(path);
    if (status)
        ts_fit_release(fit_);
    return status;
}

void ts_fit_release(ts_fit *fit_)
{
    ts_density_destroy(fit_->density);
    ts_glow_destroy(fit_->glow);
    ts_params_destroy(fit_->params);
    *fit_ = (ts_fit){0};
}
