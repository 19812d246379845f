/* What the keys of a configuration demand of each other. */
#include <math.h>
#include "base/decimal.h"
#include "config/table.h"
#include "data/dataset.h"
#include "diffusion/samplers/sampler.h"
#include "nn/nn.h"

/* An error that points to where `key` got its value. */
#define FAIL(origins, key, ...) return ts_config_error(&(origins)[ts_config_find(key)], __VA_ARGS__)

static ts_status check_time(const ts_config_origin *origins, const char *key, double T, const char *eps_key,
                            double eps)
{
    if (T > eps)
        return NULL;
    char time[32], least[32];
    ts_decimal(T, time);
    ts_decimal(eps, least);
    FAIL(origins, key, "%s must lie in (%s, 1], above %s = %s, not %s", key, least, eps_key, least, time);
}

/* That every sampler of fixed steps can take one within each budget of evaluations. */
static ts_status check_budgets(const ts_config *config, const ts_config_origin *origins)
{
    const ts_ints *nfe = &config->sweep.nfe;
    for (int i = 0; i < nfe->count; i++) {
        for (int j = 0; j < i; j++)
            if (nfe->v[i] == nfe->v[j])
                FAIL(origins, "sweep.nfe", "sweep.nfe holds %d twice", nfe->v[i]);
        for (int k = 0; k < config->sweep.samplers.count; k++) {
            const ts_sampler_config step = {.kind = config->sweep.samplers.v[k],
                                            .steps = 1,
                                            .denoise = config->sample.denoise,
                                            .corrector_steps = config->sample.corrector_steps};
            const int64_t least = ts_sampler_nfe(&step);
            if (nfe->v[i] > 0 && nfe->v[i] < least)
                FAIL(origins, "sweep.nfe",
                     "sweep.nfe: %d is too few evaluations for a step of %s, which takes %lld%s", nfe->v[i],
                     ts_sampler_kind_words.word[step.kind], (long long)least,
                     step.denoise ? " with denoising" : "");
        }
    }
    return NULL;
}

/* What train.T auto takes: measurements, and a range of T that holds T*. */
static ts_status check_auto(const ts_config *config, const ts_config_origin *origins)
{
    if (config->train.eval_every < 1)
        FAIL(origins, "train.eval_every",
             "train.T auto is told by measurements of T*: train.eval_every must be at least 1, not %d",
             config->train.eval_every);
    if (config->sweep.T.count < 2)
        FAIL(origins, "sweep.T",
             "train.T auto looks for T* between the T of sweep.T: it must have at least two");
    return NULL;
}

static ts_status check_times(const ts_config *config, const ts_config_origin *origins)
{
    TS_TRY(config->train.T > 0
               ? check_time(origins, "train.T", config->train.T, "train.eps", config->train.eps)
               : check_auto(config, origins));
    if (config->sweep.T.count < 1)
        FAIL(origins, "sweep.T", "sweep.T must have at least one diffusion time");
    if (config->sweep.samplers.count < 1)
        FAIL(origins, "sweep.samplers", "sweep.samplers must have at least one sampler");
    for (int i = 0; i < config->sweep.T.count; i++) {
        double T = config->sweep.T.v[i];
        TS_TRY(check_time(origins, "sweep.T", T, "train.eps", config->train.eps));
        TS_TRY(check_time(origins, "sweep.T", T, "bound.eps", config->bound.eps));
        TS_TRY(check_time(origins, "sweep.T", T, "sample.eps", config->sample.eps));
        if (config->sweep.likelihood)
            TS_TRY(check_time(origins, "sweep.T", T, "likelihood.eps", config->likelihood.eps));
        for (int j = 0; j < i; j++)
            if (T == config->sweep.T.v[j])
                FAIL(origins, "sweep.T", "sweep.T holds %g twice", T);
    }
    return NULL;
}

static ts_status check_sde(const ts_config *config, const ts_config_origin *origins)
{
    if (config->sde.beta_max < config->sde.beta_min)
        FAIL(origins, "sde.beta_max", "sde.beta_max = %g must not be below sde.beta_min = %g",
             config->sde.beta_max, config->sde.beta_min);
    if (config->sde.sigma_max <= config->sde.sigma_min)
        FAIL(origins, "sde.sigma_max", "sde.sigma_max = %g must be above sde.sigma_min = %g",
             config->sde.sigma_max, config->sde.sigma_min);
    return NULL;
}

/* That the model takes what the data are. */
static ts_status check_network(const ts_config *config, const ts_config_origin *origins)
{
    const bool vectors = ts_data_rows[config->data.kind].vectors;
    const char *model = ts_model_kind_words.word[config->model.kind];
    const char *data = ts_data_kind_words.word[config->data.kind], *suited[TS_MODEL_COUNT];
    char words[128];
    int count = 0;
    if (ts_networks[config->model.kind].vectors == vectors)
        return NULL;
    for (int kind = 0; kind < TS_MODEL_COUNT; kind++)
        if (ts_networks[kind].vectors == vectors)
            suited[count++] = ts_model_kind_words.word[kind];
    ts_words_list(&(ts_words){count, suited}, ", ", " or ", words, sizeof words);
    if (!ts_networks[config->model.kind].create)
        FAIL(origins, "model.kind", "model.kind %s needs data.kind mixture: real data have no exact score",
             model);
    FAIL(origins, "model.kind", "model.kind %s is for %s, and data.kind %s has %s, which need model.kind %s",
         model, vectors ? "images" : "vectors", data, vectors ? "vectors" : "images", words);
}

static ts_status check_filter(const ts_config *config, const ts_config_origin *origins)
{
    const ts_reals *taps = &config->model.fir_kernel;
    double sum = 0;
    if (taps->count < 2 || taps->count > TS_FIR_TAPS)
        FAIL(origins, "model.fir_kernel", "model.fir_kernel must have 2 to %d taps, not %d", TS_FIR_TAPS,
             taps->count);
    for (int i = 0; i < taps->count; i++)
        sum += taps->v[i];
    if (!(sum > 0))
        FAIL(origins, "model.fir_kernel", "model.fir_kernel: its taps must have a positive sum, not %g", sum);
    return NULL;
}

static ts_status check_model(const ts_config *config, const ts_config_origin *origins)
{
    TS_TRY(check_network(config, origins));
    TS_TRY(check_filter(config, origins));
    if (config->model.nf % 2)
        FAIL(origins, "model.nf", "model.nf must be even, not %d", config->model.nf);
    if (config->model.ch_mult.count < 1 || config->model.ch_mult.count > 8)
        FAIL(origins, "model.ch_mult", "model.ch_mult must have 1 to 8 levels, not %d",
             config->model.ch_mult.count);
    if (config->model.attn_resolutions.count > 8)
        FAIL(origins, "model.attn_resolutions", "model.attn_resolutions must have at most 8 entries, not %d",
             config->model.attn_resolutions.count);
    for (int i = 0; i < config->model.attn_resolutions.count; i++)
        if (config->model.attn_resolutions.v[i] < 1)
            FAIL(origins, "model.attn_resolutions", "model.attn_resolutions must be positive, not %d",
                 config->model.attn_resolutions.v[i]);
    return NULL;
}

static ts_status check_covariances(const ts_config *config, const ts_config_origin *origins)
{
    const ts_matrix *covariances = &config->data.mixture.covariances;
    int d = config->data.mixture.means.columns;
    if (covariances->rows != config->data.mixture.weights.count || covariances->columns != d * d)
        FAIL(origins, "data.mixture.covariances",
             "data.mixture.covariances must be %d rows (as many as weights) of %d*%d values, "
             "not %d rows of %d",
             config->data.mixture.weights.count, d, d, covariances->rows, covariances->columns);
    for (int k = 0; k < covariances->rows; k++)
        for (int i = 0; i < d; i++)
            for (int j = 0; j < i; j++) {
                const double *m = covariances->v + (size_t)k * (size_t)(d * d);
                double size = fabs(m[i * d + i]) + fabs(m[j * d + j]);
                if (fabs(m[i * d + j] - m[j * d + i]) > 1e-9 * size)
                    FAIL(origins, "data.mixture.covariances",
                         "data.mixture.covariances: row %d is not a symmetric matrix", k + 1);
            }
    return NULL;
}

static ts_status check_stds(const ts_config *config, const ts_config_origin *origins)
{
    const ts_matrix *stds = &config->data.mixture.stds;
    int d = config->data.mixture.means.columns;
    if (stds->rows != config->data.mixture.weights.count || stds->columns != d)
        FAIL(origins, "data.mixture.stds",
             "data.mixture.stds must be %d rows (as many as weights) of %d, not %d rows of %d",
             config->data.mixture.weights.count, d, stds->rows, stds->columns);
    for (int i = 0; i < stds->rows * d; i++)
        if (!(stds->v[i] > 0))
            FAIL(origins, "data.mixture.stds", "data.mixture.stds must be positive, not %g", stds->v[i]);
    return NULL;
}

static ts_status check_mixture(const ts_config *config, const ts_config_origin *origins)
{
    const ts_reals *weights = &config->data.mixture.weights;
    const ts_matrix *means = &config->data.mixture.means;
    if (weights->count < 1)
        FAIL(origins, "data.mixture.weights", "data.kind mixture needs data.mixture.weights");
    for (int i = 0; i < weights->count; i++)
        if (!(weights->v[i] > 0))
            FAIL(origins, "data.mixture.weights", "data.mixture.weights must be positive, not %g",
                 weights->v[i]);
    if (means->rows != weights->count || means->columns < 1)
        FAIL(origins, "data.mixture.means",
             "data.mixture.means must have %d rows, as many as weights, not %d", weights->count, means->rows);
    if ((config->data.mixture.stds.rows > 0) == (config->data.mixture.covariances.rows > 0))
        FAIL(origins, "data.mixture.stds",
             "data.kind mixture needs either data.mixture.stds or data.mixture.covariances");
    return config->data.mixture.stds.rows > 0 ? check_stds(config, origins)
                                              : check_covariances(config, origins);
}

static ts_status check_data(const ts_config *config, const ts_config_origin *origins)
{
    const ts_data_row *row = &ts_data_rows[config->data.kind];
    if (row->from_files && !*config->data.path)
        FAIL(origins, "data.path", "data.kind %s needs data.path, the %s",
             ts_data_kind_words.word[config->data.kind], row->file ? row->file : "folder with the files");
    if (!row->pictures && (config->data.crop || config->data.resize || config->data.held_out))
        FAIL(origins,
             config->data.crop     ? "data.crop"
             : config->data.resize ? "data.resize"
                                   : "data.held_out",
             "data.crop, data.resize and data.held_out are for data.kind folder or array, not %s",
             ts_data_kind_words.word[config->data.kind]);
    if (config->data.levels == 1)
        FAIL(origins, "data.levels", "data.levels must be 0 or in [2, 256], not 1");
    if (config->data.flip && row->vectors)
        FAIL(origins, "data.flip", "data.flip is for images; a mixture has none");
    return row->vectors ? check_mixture(config, origins) : NULL;
}

ts_status ts_config_check(const ts_config *config, const ts_config_origin *origins)
{
    TS_TRY(check_data(config, origins));
    TS_TRY(check_sde(config, origins));
    TS_TRY(check_model(config, origins));
    TS_TRY(check_budgets(config, origins));
    return check_times(config, origins);
}
