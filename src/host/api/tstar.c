/*
 * The public interface, in terms of runs: each function turns its arguments into a configuration or a run,
 * calls what the command line calls, and its status into a number and a message.
 *
 * Invariants: no type of the engine is in tstar.h.  Nothing is printed, and no state outlives a model.
 */
#include "tstar/tstar.h"

#include <stdlib.h>
#include <string.h>
#include "run/evaluate.h"
#include "run/trained.h"
#include "run/training/trainer.h"

/* Hands the caller's callback to the library and turns its answer into a request to stop. */
typedef struct relay {
    ts_progress base;
    volatile sig_atomic_t stop;
    tstar_options options;
} relay;

struct tstar_model {
    ts_run *run;
    relay relay;
};

static void update(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                   const char *note)
{
    (void)unit, (void)note;
    relay *r = (relay *)progress;
    if (r->options.progress(r->options.context, phase, done, total))
        r->stop = 1;
}

static void begin(relay *r, const tstar_options *options)
{
    *r = (relay){0};
    if (options)
        r->options = *options;
    if (r->options.progress)
        r->base.update = update;
    r->base.stop = &r->stop;
}

static ts_run_options run_options(const tstar_options *options)
{
    return (ts_run_options){.device = options ? options->device : NULL,
                            .device_options = {.threads = options ? options->threads : 0}};
}

/* The exit status of `status`, its message to the caller. */
static int finish(ts_status status, char **error)
{
    const int result = ts_status_exit(status);
    if (error)
        *error = status ? strdup(ts_status_message(status)) : NULL;
    ts_status_free(status);
    return result;
}

const char *tstar_version(void)
{
    return TSTAR_VERSION;
}

/* ---- training and fitting ---- */

static ts_status train(const char *path, const char *const *overrides, int count, const char *dir,
                       const tstar_options *options)
{
    ts_config *config;
    ts_run *run;
    relay r;
    begin(&r, options);
    const ts_run_options how = run_options(options);
    TS_TRY(ts_config_load(path, overrides, count, &config));
    TS_TRY(ts_run_create(dir, config, true, &how, &run));
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){.resume = true, .progress = &r.base}, NULL);
    ts_run_close(run);
    return status;
}

int tstar_train(const char *config, const char *const *overrides, int count, const char *run,
                const tstar_options *options, char **error)
{
    return finish(train(config, overrides, count, run, options), error);
}

static ts_status fit(const char *dir, double T, const tstar_options *options)
{
    ts_run *run;
    relay r;
    begin(&r, options);
    ts_run_options how = run_options(options);
    how.without_model = true;
    TS_TRY(ts_run_open(dir, NULL, 0, true, &how, &run));
    ts_status status = ts_fit_glow(run, T, &(ts_fit_options){.progress = &r.base}, NULL);
    ts_run_close(run);
    return status;
}

int tstar_fit(const char *run, double T, const tstar_options *options, char **error)
{
    return finish(fit(run, T, options), error);
}

/* ---- a model ---- */

int tstar_open(const char *path, const char *const *overrides, int count, const tstar_options *options,
               tstar_model **model, char **error)
{
    *model = NULL;
    tstar_model *m = calloc(1, sizeof *m);
    if (!m)
        return finish(ts_error(TS_NO_MEMORY, "no memory for a model"), error);
    begin(&m->relay, options);
    const ts_run_options how = run_options(options);
    ts_status status = ts_trained_open(path, overrides, count, true, &how, &m->run);
    if (status)
        tstar_close(m);
    else
        *model = m;
    return finish(status, error);
}

void tstar_close(tstar_model *model)
{
    if (!model)
        return;
    ts_run_close(model->run);
    free(model);
}

void tstar_shape(const tstar_model *model, int *height, int *width, int *channels)
{
    *height = model->run->dataset->test.h;
    *width = model->run->dataset->test.w;
    *channels = model->run->dataset->test.c;
}

static tstar_estimate estimate(ts_interval interval)
{
    return (tstar_estimate){interval.mean, interval.half};
}

/* The kind that a caller's word names. */
static ts_status kind_of(const char *what, const ts_words *words, const char *word, int *kind)
{
    char list[256];
    *kind = word ? ts_words_find(words, word, strlen(word)) : -1;
    ts_words_list(words, ", ", " or ", list, sizeof list);
    return *kind < 0 ? ts_error(TS_INVALID, "%s %s: must be %s", what, word ? word : "(none)", list) : NULL;
}

int tstar_elbo(tstar_model *model, double T, const char *start, tstar_bound *bound, char **error)
{
    ts_evaluate_row row;
    int kind;
    model->relay.stop = 0;
    ts_status status = kind_of("start density", &ts_start_kind_words, start, &kind);
    if (!status)
        status = ts_evaluate_bound(model->run, 1, &T, 1, &(ts_start_kind){(ts_start_kind)kind},
                                   &model->relay.base, &row);
    if (!status)
        *bound = (tstar_bound){.elbo = estimate(row.terms.elbo),
                               .bpd = estimate(row.terms.bpd),
                               .reconstruction = estimate(row.terms.reconstruction),
                               .prior = estimate(row.terms.prior),
                               .diffusion = estimate(row.terms.diffusion)};
    return finish(status, error);
}

int tstar_sample(tstar_model *model, double T, const char *start, const char *sampler, int n, float *samples,
                 double *nfe, char **error)
{
    ts_sampler_config config;
    ts_samples drawn = {.n = 0};
    int start_kind, kind = model->run->config->sample.sampler;
    model->relay.stop = 0;
    ts_status status = kind_of("start density", &ts_start_kind_words, start, &start_kind);
    if (!status && sampler)
        status = kind_of("sampler", &ts_sampler_kind_words, sampler, &kind);
    if (!status)
        status = ts_evaluate_sampler(model->run->config, (ts_sampler_kind)kind, T, &config);
    if (!status)
        status = ts_evaluate_samples(model->run, &config, (ts_start_kind)start_kind, n, &model->relay.base,
                                     &drawn);
    if (!status) {
        memcpy(samples, drawn.x,
               (size_t)n * (size_t)drawn.h * (size_t)drawn.w * (size_t)drawn.c * sizeof(float));
        if (nfe)
            *nfe = drawn.nfe;
    }
    ts_samples_release(&drawn);
    return finish(status, error);
}
