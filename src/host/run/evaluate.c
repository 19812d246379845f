#include "run/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run/algorithms.h"
#include "run/memory.h"
#include "run/scores.h"

static int smaller(int a, int64_t b)
{
    return b < a ? (int)b : a;
}

/* ---- the bound ---- */

double ts_evaluate_eps(const ts_config *config, const ts_data *data)
{
    if (config->bound.eps > 0)
        return config->bound.eps;
    if (data->levels < 2)
        return config->train.eps;
    const ts_sde sde = ts_config_sde(config);
    const double s = ts_data_spacing(data) / 8;
    double t;
    if (sde.kind == TS_SDE_VE)
        t = log(s / sde.sigma_min) / log(sde.sigma_max / sde.sigma_min);
    else
        t = ts_sde_time_of_beta_integral(&sde, -log1p(sde.kind == TS_SDE_VP ? -s * s : -s));
    return fmax(t, config->train.eps);
}

static ts_status check_T(const ts_run *run, double T, const char *eps_name, double eps)
{
    if (!(T > eps && T <= 1))
        return ts_error(TS_INVALID, "T must lie in (%g, 1], above %s = %g, not %g", eps, eps_name, eps, T);
    return ts_score_check_T(run, T);
}

/* What cannot be opened should be known before a long pass. */
static ts_status check_starts(ts_run *run, int T_count, const double *T, int start_count,
                              const ts_start_kind *starts)
{
    for (int i = 0; i < T_count; i++)
        for (int j = 0; j < start_count; j++) {
            ts_start start;
            TS_TRY(ts_start_open(run, starts[j], T[i], 1, &start));
            ts_start_release(&start);
        }
    for (int j = 0; run->choice && j < start_count; j++) {
        ts_open_score open;
        TS_TRY(ts_score_open(run, starts[j], 1, &open));
        ts_score_close(&open);
    }
    return NULL;
}

/* How many data serve where `wanted` (0: all) are asked for; mixtures have any number. */
static int64_t data_of(const ts_data *data, int64_t wanted)
{
    return wanted && (data->mixture || wanted < data->count) ? wanted : data->count;
}

typedef struct bound_pass {
    ts_run *run;
    ts_progress *progress;
    ts_bound_config config;
    ts_bound bound;
    double *prior, *kl;
} bound_pass;

static bool report_bound(void *context, double share)
{
    const bound_pass *p = context;
    ts_progress_report(p->progress, "bound", floor(share * (double)p->config.count), (double)p->config.count,
                       "data", NULL);
    return !ts_progress_stopped(p->progress);
}

static ts_status fill_row(bound_pass *p, int T_index, ts_start_kind kind, ts_evaluate_row *row)
{
    const ts_data *data = &p->run->dataset->test;
    const double T = p->config.T[T_index];
    const int64_t count = p->config.count;
    ts_start start;
    TS_TRY(ts_start_open(p->run, kind, T, smaller(p->run->config->bound.batch, count * p->config.prior_draws),
                         &start));
    ts_status status =
        ts_bound_prior(&p->config, data, T, start.density, p->prior, data->mixture ? p->kl : NULL);
    ts_start_release(&start);
    TS_TRY(status);
    *row = (ts_evaluate_row){.start = kind, .d = ts_data_dim(data), .mixture = data->mixture != NULL};
    ts_bound_combine(&p->bound, T_index, T, p->prior, row->d, &row->terms);
    if (!data->mixture)
        return NULL;
    row->kl_prior = ts_interval_of_blocks(p->kl, count, p->config.block);
    for (int64_t i = 0; i < count; i++) /* kl has done its work */
        p->kl[i] = p->bound.K[i * p->config.T_count + T_index];
    row->K = ts_interval_of_blocks(p->kl, count, p->config.block);
    return NULL;
}

/* rows[i * stride + j] for T[i] and starts[j], which share a score. */
static ts_status run_pass(bound_pass *p, int start_count, const ts_start_kind *starts, int stride,
                          ts_evaluate_row *rows)
{
    ts_run *run = p->run;
    const int64_t count = p->config.count;
    const int batch = smaller(run->config->bound.batch, count * p->config.draws);
    ts_open_score open;
    ts_status status = ts_score_open(run, starts[0], batch, &open);
    if (!status)
        status = ts_bound_measure(&p->config, &run->dataset->test, open.score, report_bound, p, &p->bound);
    ts_score_close(&open);
    TS_TRY(ts_memory_advise(status, run->model, "bound.batch", batch, false));
    for (int i = 0; i < p->config.T_count; i++)
        for (int j = 0; j < start_count; j++) {
            if (ts_progress_stopped(p->progress))
                return ts_error(TS_INTERRUPTED, "bound: interrupted");
            TS_TRY(fill_row(p, i, starts[j], &rows[i * stride + j]));
        }
    return NULL;
}

static ts_status run_passes(bound_pass *p, int start_count, const ts_start_kind *starts,
                            ts_evaluate_row *rows)
{
    const int each = ts_score_is_by_start(p->run) ? 1 : start_count;
    const size_t bytes = (size_t)p->config.count * sizeof(double);
    ts_algorithms_announce(p->run->device, p->progress);
    p->prior = malloc(bytes);
    p->kl = malloc(bytes);
    if (!p->prior || !p->kl)
        return ts_error(TS_NO_MEMORY, "no memory for the bound of %lld data", (long long)p->config.count);
    for (int j = 0; j < start_count; j += each) {
        TS_TRY(run_pass(p, each, starts + j, start_count, rows + j));
        ts_bound_release(&p->bound);
    }
    return NULL;
}

ts_status ts_evaluate_bound(ts_run *run, int T_count, const double *T, int start_count,
                            const ts_start_kind *starts, ts_progress *progress, ts_evaluate_row *rows)
{
    const ts_config *config = run->config;
    const ts_data *data = &run->dataset->test;
    const double eps = ts_evaluate_eps(config, data);
    for (int i = 0; i < T_count; i++)
        TS_TRY(check_T(run, T[i], "bound.eps", eps));
    TS_TRY(check_starts(run, T_count, T, start_count, starts));
    TS_TRY(ts_blocks_check(data_of(data, config->bound.count), config->data.block));
    bound_pass p = {.run = run,
                    .progress = progress,
                    .config = {.sde = ts_config_sde(config),
                               .eps = eps,
                               .T_count = T_count,
                               .T = T,
                               .draws = config->bound.draws,
                               .prior_draws = config->bound.prior_draws,
                               .count = data_of(data, config->bound.count),
                               .block = config->data.block,
                               .seed = (uint64_t)config->run.seed,
                               .tracks_K = data->mixture != NULL,
                               .stop = progress ? progress->stop : NULL}};
    ts_status status = run_passes(&p, start_count, starts, rows);
    ts_bound_release(&p.bound);
    free(p.prior);
    free(p.kl);
    return status;
}

/* ---- the likelihood by the ODE ---- */

enum { EXACT_DIVERGENCE = 64 }; /* dimensions, at most, where nothing is said about probes */

ts_likelihood_config ts_evaluate_likelihood_config(const ts_run *run)
{
    const ts_config *config = run->config;
    const ts_data *data = &run->dataset->test;
    const int probes = config->likelihood.probes;
    return (ts_likelihood_config){.sde = ts_config_sde(config),
                                  .eps =
                                      config->likelihood.eps > 0 ? config->likelihood.eps : config->train.eps,
                                  .rtol = config->likelihood.rtol,
                                  .atol = config->likelihood.atol,
                                  .probes = probes || ts_data_dim(data) <= EXACT_DIVERGENCE ? probes : 1,
                                  .probe = config->likelihood.probe,
                                  .dequantisations = config->likelihood.dequantisations,
                                  .count = data_of(data, config->likelihood.count),
                                  .seed = (uint64_t)config->run.seed};
}

typedef struct likelihood_pass {
    ts_run *run;
    ts_progress *progress;
    ts_likelihood_config config;
    int n, start_count;
    const ts_start_kind *starts;
    ts_start open[TS_START_COUNT];
    ts_score *score;
    double *log_prob; /* [start_count][count] */
    char phase[64];
} likelihood_pass;

static bool report_likelihood(void *context, double share)
{
    const likelihood_pass *p = context;
    ts_progress_report(p->progress, p->phase, 100 * share, 100, "%", NULL);
    return !ts_progress_stopped(p->progress);
}

/* One solution at T serves every start. */
static ts_status measure_likelihood(likelihood_pass *p, double T, ts_likelihood_row *rows)
{
    const ts_data *data = &p->run->dataset->test;
    ts_density *densities[TS_START_COUNT];
    double nfe;
    snprintf(p->phase, sizeof p->phase, "likelihood T=%g", T);
    for (int j = 0; j < p->start_count; j++) {
        TS_TRY(ts_start_open(p->run, p->starts[j], T, p->n, &p->open[j]));
        densities[j] = p->open[j].density;
    }
    TS_TRY(ts_likelihood_measure(&p->config, data, p->score, T, p->start_count, densities, report_likelihood,
                                 p, p->log_prob, &nfe));
    for (int j = 0; j < p->start_count; j++) {
        const ts_interval log_prob = ts_interval_of_blocks(p->log_prob + j * p->config.count, p->config.count,
                                                           p->run->config->data.block);
        rows[j] = (ts_likelihood_row){.T = T,
                                      .start = p->starts[j],
                                      .log_prob = log_prob,
                                      .bpd = ts_likelihood_bits(log_prob, data),
                                      .nfe = nfe};
    }
    return NULL;
}

static void close_starts(likelihood_pass *p)
{
    for (int j = 0; j < p->start_count; j++)
        ts_start_release(&p->open[j]);
}

static ts_status run_likelihood(likelihood_pass *p, int T_count, const double *T, ts_likelihood_row *rows)
{
    p->log_prob = malloc((size_t)p->start_count * (size_t)p->config.count * sizeof *p->log_prob);
    if (!p->log_prob)
        return ts_error(TS_NO_MEMORY, "no memory for the likelihood of %lld data",
                        (long long)p->config.count);
    ts_algorithms_announce(p->run->device, p->progress);
    TS_TRY(ts_model_score(p->run->model, p->n, true, &p->score));
    for (int i = 0; i < T_count; i++) {
        ts_status status = measure_likelihood(p, T[i], &rows[i * p->start_count]);
        close_starts(p);
        TS_TRY(status);
    }
    return NULL;
}

ts_status ts_evaluate_likelihood(ts_run *run, int T_count, const double *T, int start_count,
                                 const ts_start_kind *starts, ts_progress *progress, ts_likelihood_row *rows)
{
    const ts_config *config = run->config;
    const ts_data *data = &run->dataset->test;
    likelihood_pass p = {.run = run,
                         .progress = progress,
                         .config = ts_evaluate_likelihood_config(run),
                         .start_count = start_count,
                         .starts = starts};
    p.config.stop = progress ? progress->stop : NULL;
    TS_TRY(ts_blocks_check(p.config.count, config->data.block));
    for (int i = 0; i < T_count; i++)
        TS_TRY(check_T(run, T[i], config->likelihood.eps > 0 ? "likelihood.eps" : "train.eps", p.config.eps));
    TS_TRY(check_starts(run, T_count, T, start_count, starts));
    p.n = smaller(config->likelihood.batch, p.config.count * ts_likelihood_draws(&p.config, data));
    ts_status status = run_likelihood(&p, T_count, T, rows);
    ts_score_destroy(p.score);
    free(p.log_prob);
    return ts_memory_advise(status, run->model, "likelihood.batch", p.n, true);
}
