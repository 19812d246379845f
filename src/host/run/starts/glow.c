#include "run/starts/glow_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/decimal.h"
#include "diffusion/training.h"
#include "run/algorithms.h"
#include "run/checkpoint.h"
#include "run/training/log.h"
#include "run/memory.h"
#include "run/starts/gaussian.h"
#include "run/state.h"

#define NUMBERS_NAME "guard.numbers"

/* Of the steps of a fit, this share must stand: one that does not find its footing before is none. */
static const double least_stood = 0.1;

/* A fit, and its files: finished, on the way, and its log. */
typedef struct fitting {
    ts_run *run;
    const ts_glow_kind *kind;
    ts_glow_times times;
    char T_text[TS_GLOW_TEXT]; /* of the times */
    int64_t steps;             /* wanted */
    char *path, *partial, *log_path;
    ts_progress *progress;
    ts_params *params;
    ts_glow *glow;
    ts_whiten_kind whiten;
    ts_data_gaussian *gaussian; /* what it whitens by; NULL: nothing */
    ts_whitening *whitening;
    ts_training *training;
    ts_log *log;
    int64_t step;              /* done so far */
    int64_t line_step;         /* of the last log line, or where this call began */
    double before;             /* seconds of earlier calls */
    double began, line_began;  /* of this call */
    ts_training_report report; /* the last one */
} fitting;

/* ---- the two kinds ---- */

const ts_glow_kind ts_glow_at_T = {
    .format = "tstar-glow", .partial = "tstar-glow-partial", .sections = TS_GLOW_SECTIONS " glow"};

const ts_glow_kind ts_glow_all_T = {.all = true,
                                    .format = "tstar-glow-all",
                                    .partial = "tstar-glow-all-partial",
                                    .sections = TS_GLOW_SECTIONS " glow glow_all"};

void ts_glow_text(const ts_glow_times *times, char text[TS_GLOW_TEXT])
{
    char low[32], high[32];
    ts_T_text(times->low, low);
    ts_T_text(times->high, high);
    if (times->low > 0)
        snprintf(text, TS_GLOW_TEXT, "%.28s to %.28s", low, high);
    else
        snprintf(text, TS_GLOW_TEXT, "%s", high);
}

void ts_glow_command(const ts_run *run, const ts_glow_kind *kind, double T, char text[TS_GLOW_COMMAND])
{
    char T_text[32];
    ts_T_text(T, T_text);
    if (kind->all)
        snprintf(text, TS_GLOW_COMMAND, "tstar fit %s --start glow_all", run->dir);
    else
        snprintf(text, TS_GLOW_COMMAND, "tstar fit %s --T %s", run->dir, T_text);
}

char *ts_glow_path(const ts_run *run, const ts_glow_kind *kind, double T, const char *ending)
{
    char T_text[32], name[80];
    ts_T_text(T, T_text);
    if (kind->all)
        snprintf(name, sizeof name, "glow_all.%s", ending);
    else
        snprintf(name, sizeof name, "glow_T%s.%s", T_text, ending);
    return ts_run_path(run, name);
}

/* The range of sweep.T. */
static ts_glow_times times_of_sweep(const ts_config *config)
{
    const ts_reals *T = &config->sweep.T;
    ts_glow_times times = {T->v[0], T->v[0]};
    for (int i = 1; i < T->count; i++) {
        times.low = fmin(times.low, T->v[i]);
        times.high = fmax(times.high, T->v[i]);
    }
    return times;
}

void ts_glow_all_inputs(const ts_config *config, char text[96])
{
    char T_text[TS_GLOW_TEXT];
    const ts_glow_times times = times_of_sweep(config);
    ts_glow_text(&times, T_text);
    snprintf(text, 96, " of T from %s", T_text);
}

int64_t ts_glow_all_steps(const ts_config *config)
{
    return config->glow_all.steps ? config->glow_all.steps : 2 * (int64_t)config->glow.steps;
}

ts_status ts_fit_or_none(ts_status status, bool replace)
{
    const ts_code code = ts_status_code(status);
    if (code != TS_NOT_FOUND && code != TS_FORMAT && (code != TS_INVALID || !replace))
        return status;
    ts_status_free(status);
    return NULL;
}

/* ---- the flow of a run ---- */

ts_status ts_fit_check(const ts_run *run)
{
    const ts_data *data = &run->dataset->train;
    const int levels = run->config->glow.levels, divisor = 1 << levels;
    const bool vectors = data->h == 1 && data->w == 1;
    if (ts_data_dim(data) < 2)
        return ts_error(
            TS_INVALID,
            "a Glow changes some coordinates by the others, and these data have one; such mixture data "
            "start from normal, gaussian, dpmixture or mixture");
    if (!vectors && (data->h % divisor || data->w % divisor))
        return ts_error(TS_INVALID, "glow.levels = %d needs images that divide by %d, but these are %dx%d",
                        levels, divisor, data->h, data->w);
    return NULL;
}

ts_status ts_glow_of_run(const ts_run *run, const ts_glow_times *times, const ts_whitening *whitening,
                         ts_params **params, ts_glow **glow)
{
    const uint64_t seed = (uint64_t)run->config->run.seed;
    ts_glow_config shape = ts_model_flow(run->config, &run->dataset->train);
    shape.conditional = times->low > 0;
    shape.sde = ts_config_sde(run->config);
    shape.t_min = times->low;
    shape.t_max = times->high;
    if (whitening)
        shape.whitening = &whitening->arguments;
    TS_TRY(ts_fit_check(run));
    TS_TRY(ts_params_create(run->device, params));
    TS_TRY(ts_glow_create(&shape, *params, seed, glow));
    return ts_params_commit(*params, seed);
}

/* ---- saving ---- */

static ts_status declare(ts_safetensors_writer *writer, const fitting *f, const char *format, double seconds)
{
    char *config;
    TS_TRY(ts_config_print(f->run->config, f->kind->sections, &config));
    ts_safetensors_declare_metadata(writer, "format", format);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "T", f->T_text);
    if (f->kind->all) {
        ts_state_declare_real(writer, "T_low", f->times.low);
        ts_state_declare_real(writer, "T_high", f->times.high);
    }
    ts_safetensors_declare_metadata(writer, "config", config);
    ts_safetensors_declare_metadata(writer, "whiten", ts_whiten_kind_words.word[f->whiten]);
    ts_state_declare_data(writer, f->run->dataset);
    ts_state_declare_integer(writer, "steps", f->step);
    ts_state_declare_real(writer, "seconds", seconds);
    free(config);
    return NULL;
}

static ts_status save_flow(const fitting *f, const ts_fit_result *result)
{
    ts_safetensors_writer *writer;
    ts_status status;
    TS_TRY(ts_safetensors_create(f->path, &writer));
    TS_GOTO(declare(writer, f, f->kind->format, result->seconds), done);
    ts_state_declare_integer(writer, "skipped", result->skipped);
    ts_state_declare_integer(writer, "rollbacks", result->rollbacks);
    ts_state_declare_real(writer, "loss", result->loss);
    ts_state_declare(writer, f->params, false);
    if (f->gaussian)
        ts_gaussian_declare(writer, TS_GLOW_WHITENING, f->gaussian);
    TS_GOTO(ts_state_append_average(writer, f->params), done);
    if (f->gaussian)
        TS_GOTO(ts_gaussian_append(writer, f->gaussian), done);
    status = ts_safetensors_commit(writer);
    writer = NULL;
done:
    ts_safetensors_abandon(writer);
    return status;
}

static void guard_name(const char *name, char text[TS_STATE_NAME])
{
    snprintf(text, TS_STATE_NAME, "guard.%s", name);
}

static ts_status write_partial(ts_safetensors_writer *writer, const fitting *f,
                               const ts_training_memory *memory)
{
    char name[TS_STATE_NAME];
    ts_device *device = f->run->device;
    TS_TRY(declare(writer, f, f->kind->partial, f->before + ts_seconds() - f->began));
    ts_state_declare(writer, f->params, true);
    ts_safetensors_declare(writer, NUMBERS_NAME, TS_ST_F64, 1, (int64_t[]){TS_TRAINING_NUMBERS});
    for (int i = 0; i < TS_TRAINING_BUFFERS; i++) {
        guard_name(memory->buffers[i].name, name);
        ts_safetensors_declare(writer, name, TS_ST_F32, 1, &memory->buffers[i].count);
    }
    TS_TRY(ts_state_append(writer, f->params));
    TS_TRY(ts_safetensors_append(writer, memory->numbers, sizeof memory->numbers));
    for (int i = 0; i < TS_TRAINING_BUFFERS; i++) {
        const size_t bytes = (size_t)memory->buffers[i].count * sizeof(float);
        float *host = malloc(bytes);
        if (!host)
            return ts_error(TS_NO_MEMORY, "no memory for %zu bytes of a fit's state", bytes);
        ts_status status = device->k->download(device, host, memory->buffers[i].values, bytes);
        if (!status)
            status = ts_safetensors_append(writer, host, bytes);
        free(host);
        TS_TRY(status);
    }
    return NULL;
}

static ts_status save_partial(const fitting *f)
{
    ts_training_memory memory;
    ts_safetensors_writer *writer;
    TS_TRY(ts_algorithms_save(f->run));
    TS_TRY(ts_training_remember(f->training, &memory));
    TS_TRY(ts_safetensors_create(f->partial, &writer));
    ts_status status = write_partial(writer, f, &memory);
    if (!status)
        return ts_safetensors_commit(writer);
    ts_safetensors_abandon(writer);
    return status;
}

/* ---- what is there already ---- */

/* What a file says of its flow; those from before it was stored are of x_T itself. */
ts_whiten_kind ts_glow_stored_whitening(const ts_safetensors *file)
{
    const char *word = ts_safetensors_metadata(file, "whiten");
    return word && ts_words_find(&ts_whiten_kind_words, word, strlen(word)) == TS_WHITEN_ZCA ? TS_WHITEN_ZCA
                                                                                             : TS_WHITEN_NONE;
}

static void set_difference(ts_config_difference *difference, const char *key, const char *a, const char *b)
{
    difference->key = key;
    snprintf(difference->a, sizeof difference->a, "%s", a);
    snprintf(difference->b, sizeof difference->b, "%s", b);
}

/* In what the file differs from a fit at T of the run's configuration and data. */
static ts_status compare(const fitting *f, const ts_safetensors *file, ts_config_difference *difference)
{
    const char *T = ts_safetensors_metadata(file, "T"), *text = ts_safetensors_metadata(file, "config"),
               *data = ts_state_other_data(file, f->run->dataset);
    ts_config *config;
    *difference = (ts_config_difference){0};
    if (!T || !text)
        return ts_error(TS_FORMAT, "%s: its metadata lack \"%s\"", ts_safetensors_path(file),
                        T ? "config" : "T");
    TS_TRY(ts_config_parse(text, ts_safetensors_path(file), &config));
    ts_status status =
        ts_config_compare(config, f->run->config, TS_USE_RESULT, f->kind->sections, difference);
    ts_config_free(config);
    char own[17];
    ts_state_data_text(f->run->dataset, own);
    const ts_whiten_kind whiten = ts_glow_stored_whitening(file);
    if (!difference->key && strcmp(T, f->T_text))
        set_difference(difference, "T", T, f->T_text);
    else if (!difference->key && whiten != f->whiten)
        set_difference(difference, "glow.whiten", ts_whiten_kind_words.word[whiten],
                       ts_whiten_kind_words.word[f->whiten]);
    else if (!difference->key && data)
        set_difference(difference, "the data's checksum", data, own);
    return status;
}

/* The numbers of a finished fit. */
static ts_fit_result stored_result(const ts_safetensors *file)
{
    return (ts_fit_result){.steps = llrint(fmax(0, ts_state_real(file, "steps"))),
                           .skipped = llrint(fmax(0, ts_state_real(file, "skipped"))),
                           .rollbacks = llrint(fmax(0, ts_state_real(file, "rollbacks"))),
                           .loss = ts_state_real(file, "loss"),
                           .seconds = fmax(0, ts_state_real(file, "seconds")),
                           .reused = true};
}

static ts_status look_at(const fitting *f, const ts_safetensors *file, bool replace, ts_fit_result *result)
{
    ts_config_difference d;
    TS_TRY(compare(f, file, &d));
    if (!d.key)
        *result = stored_result(file);
    else if (!replace) {
        char command[TS_GLOW_COMMAND];
        ts_glow_command(f->run, f->kind, f->times.high, command);
        return ts_error(TS_INVALID,
                        "%s: is a finished fit with %s = %s, not %s, and would be replaced; "
                        "%s --force does that",
                        f->path, d.key, d.a, d.b, command);
    }
    return NULL;
}

/* The result of a finished fit that is what is asked for; result->reused tells.  One of other settings is
 * refused but with `replace`; what is no fit at all is none. */
static ts_status find_finished(const fitting *f, bool replace, ts_fit_result *result)
{
    ts_safetensors *file;
    ts_status status = ts_safetensors_open(f->path, &file);
    if (!status) {
        status = look_at(f, file, replace, result);
        ts_safetensors_close(file);
    }
    return ts_fit_or_none(status, replace);
}

/* Whether a tensor [count] of that type is there. */
static bool holds(const ts_safetensors *file, const char *name, ts_safetensors_type type, int64_t count)
{
    const int index = ts_safetensors_find(file, name);
    const ts_safetensors_info *info = index < 0 ? NULL : ts_safetensors_at(file, index);
    return info && info->type == type && info->rank == 1 && info->count == count;
}

/* Whether the file is the state of this fit, whole. */
static ts_status is_state(const fitting *f, const ts_safetensors *file, const ts_training_memory *memory,
                          bool *is)
{
    char name[TS_STATE_NAME];
    int64_t step;
    int found;
    ts_config_difference d;
    const char *format = ts_safetensors_metadata(file, "format");
    *is = false;
    if (!format || strcmp(format, f->kind->partial))
        return NULL;
    TS_TRY(compare(f, file, &d));
    TS_TRY(ts_state_integer(file, "steps", &step));
    ts_state_look(file, f->params, name, &found);
    if (d.key || *name || step < 1 || step >= f->steps)
        return NULL;
    *is = holds(file, NUMBERS_NAME, TS_ST_F64, TS_TRAINING_NUMBERS);
    for (int i = 0; i < TS_TRAINING_BUFFERS; i++) {
        guard_name(memory->buffers[i].name, name);
        *is = *is && holds(file, name, TS_ST_F32, memory->buffers[i].count);
    }
    return NULL;
}

static ts_status read_state(fitting *f, ts_safetensors *file, ts_training_memory *memory)
{
    char name[TS_STATE_NAME];
    ts_device *device = f->run->device;
    TS_TRY(ts_state_integer(file, "steps", &f->step));
    TS_TRY(ts_state_read(file, f->params));
    TS_TRY(ts_training_set_step(f->training, f->step));
    for (int i = 0; i < TS_TRAINING_BUFFERS; i++) {
        const int64_t count = memory->buffers[i].count;
        float *host = malloc((size_t)count * sizeof *host);
        if (!host)
            return ts_error(TS_NO_MEMORY, "no memory for %lld numbers of a fit's state", (long long)count);
        guard_name(memory->buffers[i].name, name);
        ts_status status = ts_safetensors_read(file, name, TS_ST_F32, 1, &count, host);
        if (!status)
            status = device->k->upload(device, memory->buffers[i].values, host, (size_t)count * sizeof *host);
        free(host);
        TS_TRY(status);
    }
    TS_TRY(ts_safetensors_read(file, NUMBERS_NAME, TS_ST_F64, 1, (int64_t[]){TS_TRAINING_NUMBERS},
                               memory->numbers));
    TS_TRY(ts_training_recall(f->training, memory->numbers));
    f->before = fmax(0, ts_state_real(file, "seconds"));
    return NULL;
}

/* Goes on from the state of an earlier call; what is no state of this fit is removed. */
static ts_status resume(fitting *f)
{
    ts_safetensors *file;
    ts_training_memory memory;
    bool is = false;
    TS_TRY(ts_training_remember(f->training, &memory));
    ts_status status = ts_safetensors_open(f->partial, &file);
    if (!status) {
        status = is_state(f, file, &memory, &is);
        if (is)
            status = read_state(f, file, &memory);
        ts_safetensors_close(file);
    }
    const ts_code code = ts_status_code(status);
    if (is || (status && code != TS_NOT_FOUND && code != TS_FORMAT && code != TS_INVALID))
        return status;
    ts_status_free(status);
    unlink(f->partial);
    return NULL;
}

/* ---- fitting ---- */

static ts_glow_training_config training_config(const fitting *f)
{
    const ts_config *config = f->run->config;
    return (ts_glow_training_config){.sde = ts_config_sde(config),
                                     .T = f->times.high,
                                     .T_low = f->times.low,
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

static ts_status read_line(fitting *f)
{
    TS_TRY(ts_training_read(f->training, &f->report));
    if (!f->report.finite || !isfinite(f->report.loss))
        return ts_error(TS_NOT_FINITE, "the loss is not finite up to step %lld", (long long)f->report.step);
    const double now = ts_seconds();
    const double images = (double)(f->step - f->line_step) * f->run->config->glow.batch;
    TS_TRY(
        ts_log_write(f->log, &f->report, images / fmax(now - f->line_began, 1e-9), now - f->began, NULL, 0));
    f->line_began = now;
    f->line_step = f->step;
    return NULL;
}

static ts_status run_steps(fitting *f)
{
    const ts_config *config = f->run->config;
    const int64_t steps = f->steps;
    char phase[TS_GLOW_TEXT + 16], note[64] = "";
    snprintf(phase, sizeof phase, "fit T=%s", f->T_text);
    ts_algorithms_announce(f->run->device, f->progress);
    while (f->step < steps) {
        TS_TRY(ts_training_step(f->training));
        f->step++;
        const bool last = f->step == steps, stop = !last && ts_progress_stopped(f->progress);
        if (f->step % config->train.log_every == 0 || last) {
            TS_TRY(read_line(f));
            snprintf(note, sizeof note, "%.5f nats/dim", f->report.loss);
        }
        if (!last && (f->step % config->train.checkpoint_every == 0 || stop))
            TS_TRY(save_partial(f));
        ts_progress_report(f->progress, phase, (double)f->step, (double)steps, "steps", note);
        if (stop)
            return ts_error(TS_INTERRUPTED, "interrupted at step %lld of %lld", (long long)f->step,
                            (long long)steps);
    }
    if ((double)f->report.stood < least_stood * (double)steps)
        return ts_error(TS_NOT_FINITE,
                        "the Glow diverges: %lld of its %lld steps had to be taken back; lower glow.lr",
                        (long long)(steps - f->report.stood), (long long)steps);
    return NULL;
}

static ts_status make_whitening(fitting *f)
{
    const ts_sde sde = ts_config_sde(f->run->config);
    if (f->whiten == TS_WHITEN_NONE)
        return NULL;
    TS_TRY(ts_gaussian_whole(f->run, &f->gaussian));
    return ts_whitening_create(f->run->device, f->gaussian, &sde, &f->whitening);
}

static ts_status begin(fitting *f)
{
    ts_run *run = f->run;
    TS_TRY(make_whitening(f));
    TS_TRY(ts_glow_of_run(run, &f->times, f->whitening, &f->params, &f->glow));
    const ts_glow_training_config config = training_config(f);
    TS_TRY(ts_training_glow(run->device, &config, &run->dataset->train, f->params, f->glow, &f->training));
    TS_TRY(resume(f));
    f->line_step = f->step;
    TS_TRY(ts_log_open(f->log_path, f->step, &f->log));
    f->began = f->line_began = ts_seconds();
    return NULL;
}

static ts_status fit(fitting *f, ts_fit_result *result)
{
    const ts_data *data = &f->run->dataset->train;
    ts_status status;
    TS_GOTO(begin(f), done);
    TS_GOTO(run_steps(f), done);
    *result = (ts_fit_result){.steps = f->step,
                              .skipped = f->report.skipped,
                              .rollbacks = f->report.rollbacks,
                              .loss = f->report.loss,
                              .seconds = f->before + ts_seconds() - f->began};
    status = save_flow(f, result);
done:
    ts_log_close(f->log);
    ts_training_destroy(f->training);
    if (f->glow)
        status = ts_memory_advise_flow(status, f->run->device, f->params, f->glow, data->h, data->w, data->c,
                                       f->run->config->glow.batch);
    ts_whitening_destroy(f->whitening);
    ts_data_gaussian_destroy(f->gaussian);
    ts_glow_destroy(f->glow);
    ts_params_destroy(f->params);
    return status;
}

static ts_status find_or_fit(fitting *f, bool replace, ts_fit_result *result)
{
    TS_TRY(ts_checkpoint_check_data(f->run));
    TS_TRY(find_finished(f, replace, result));
    ts_status status = result->reused ? NULL : fit(f, result);
    /* a state is of no use any more behind a finished fit, and of none where it would only diverge again */
    if (!status || ts_status_code(status) == TS_NOT_FINITE)
        unlink(f->partial);
    return ts_context(status, "Glow at T = %s", f->T_text);
}

static ts_status fit_kind(ts_run *run, const ts_glow_kind *kind, const ts_glow_times *times,
                          const ts_fit_options *options, ts_fit_result *result)
{
    const double eps = run->config->train.eps, low = times->low ? times->low : times->high;
    ts_status status = NULL;
    if (!(low > eps && times->high <= 1))
        return ts_error(TS_INVALID, "T must lie in (%g, 1], above train.eps = %g, not %g", eps, eps,
                        low > eps ? times->high : low);
    if (!run->dir)
        return ts_error(TS_INVALID, "a fit needs a run directory to be stored in");
    fitting f = {.run = run,
                 .kind = kind,
                 .times = *times,
                 .steps = kind->all ? ts_glow_all_steps(run->config) : run->config->glow.steps,
                 .whiten = ts_model_whitening(run->config, &run->dataset->train),
                 .path = ts_glow_path(run, kind, times->high, "safetensors"),
                 .partial = ts_glow_path(run, kind, times->high, "partial.safetensors"),
                 .log_path = ts_glow_path(run, kind, times->high, "jsonl"),
                 .progress = options ? options->progress : NULL};
    ts_glow_text(times, f.T_text);
    status = f.path && f.partial && f.log_path ? find_or_fit(&f, options && options->replace, result)
                                               : ts_error(TS_NO_MEMORY, "no memory for a path");
    free(f.path);
    free(f.partial);
    free(f.log_path);
    return status;
}

ts_status ts_fit_glow(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result)
{
    ts_fit_result unused;
    if (!result)
        result = &unused;
    *result = (ts_fit_result){0};
    return fit_kind(run, &ts_glow_at_T, &(ts_glow_times){0, T}, options, result);
}

ts_status ts_fit_glow_all(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result)
{
    ts_fit_result unused;
    const ts_glow_times times = times_of_sweep(run->config);
    if (!result)
        result = &unused;
    *result = (ts_fit_result){0};
    if (T < times.low || T > times.high)
        return ts_glow_outside(run, "sweep.T", &times, T);
    TS_TRY(fit_kind(run, &ts_glow_all_T, &times, options, result));
    if (!isnan(T))
        result->loss = NAN; /* it is of all T */
    return NULL;
}
