#include "diffusion/prior_curve.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "diffusion/bound_pass.h"

/* of T, between two neighbours at most */
static const double resolution = 0.01;

enum { ROWS = 256 }; /* of data at a time */

ts_status ts_prior_times(double low, double high, double **T, int *count)
{
    const int steps = (int)ceil((high - low) / resolution - 1e-9);
    double *times = malloc(sizeof *times * ((size_t)steps + 1));
    *T = NULL;
    if (!times)
        return ts_error(TS_NO_MEMORY, "no memory for %d T", steps + 1);
    times[0] = low;
    times[steps] = high;
    for (int i = 1; i < steps; i++) /* in few decimals, for people */
        times[i] = rint((low + (high - low) * i / steps) * 1e6) / 1e6;
    *T = times;
    *count = steps + 1;
    return NULL;
}

/* What a datum's prior term is made of: of N(0, I) the square of x0 alone; of the Gaussian those along the eigenvectors, and
 * where they are not all d, that of what they leave. */
typedef struct curve {
    const ts_bound_config *config;
    const ts_data_gaussian *gaussian; /* or NULL */
    int d, parts;
    double *weights, *constants; /* [T][parts], [T]: prior = constant + sum of weight times square */
    float *x0;                   /* [ROWS][d] */
    double *centred, *squares;   /* [ROWS][d], [ROWS][parts] */
} curve;

static ts_status allocate(curve *c)
{
    const size_t T = (size_t)c->config->T_count, parts = (size_t)c->parts, d = (size_t)c->d;
    c->weights = malloc(sizeof(double) * T * parts);
    c->constants = calloc(T, sizeof(double));
    c->x0 = malloc(sizeof(float) * ROWS * d);
    c->centred = malloc(sizeof(double) * ROWS * d);
    c->squares = malloc(sizeof(double) * ROWS * parts);
    if (!c->weights || !c->constants || !c->x0 || !c->centred || !c->squares)
        return ts_error(TS_NO_MEMORY, "no memory for prior terms at %d T in %d dimensions",
                        c->config->T_count, c->d);
    return NULL;
}

static void release(curve *c)
{
    free(c->weights);
    free(c->constants);
    free(c->x0);
    free(c->centred);
    free(c->squares);
}

/* The start's variance along a part, and how many dimensions that is. */
static double variance_of(const curve *c, double a, double s, int part, int *dimensions)
{
    const ts_data_gaussian *g = c->gaussian;
    *dimensions = !g ? c->d : part < g->rank ? 1 : c->d - g->rank;
    if (!g)
        return c->config->sde.kind == TS_SDE_VE ? s * s : 1;
    return a * a * (part < g->rank ? g->values[part] : g->rest) + s * s;
}

static void weigh(curve *c)
{
    for (int j = 0; j < c->config->T_count; j++) {
        const double a = ts_sde_mean(&c->config->sde, c->config->T[j]);
        const double s = ts_sde_std(&c->config->sde, c->config->T[j]);
        for (int k = 0; k < c->parts; k++) {
            int dimensions;
            const double v = variance_of(c, a, s, k, &dimensions);
            c->weights[j * c->parts + k] = 0.5 * a * a / v;
            c->constants[j] += 0.5 * dimensions * (log(v / (s * s)) + s * s / v - 1);
        }
    }
}

static void project(curve *c, int rows)
{
    const ts_data_gaussian *g = c->gaussian;
    const int known = g ? g->rank : 0;
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < c->d; k++)
            c->centred[i * c->d + k] = (double)c->x0[i * c->d + k] - (g ? g->mean[k] : 0);
    if (g)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, g->rank, c->d, 1, c->centred, c->d,
                    g->vectors, c->d, 0, c->squares, c->parts);
    for (int i = 0; i < rows; i++) {
        double *square = c->squares + i * c->parts, left = 0;
        for (int k = 0; k < c->d; k++)
            left += c->centred[i * c->d + k] * c->centred[i * c->d + k];
        for (int k = 0; k < known; k++) {
            square[k] *= square[k];
            left -= square[k];
        }
        if (known < c->parts)
            square[known] = fmax(left, 0);
    }
}

static ts_status measure(curve *c, ts_pass *p, double *prior)
{
    const int times = c->config->T_count;
    openblas_set_num_threads(1); /* as the CPU device has it: sums are not to depend on how many there are */
    for (int64_t first = 0; first < c->config->count; first += ROWS) {
        const int rows = (int)fmin(ROWS, (double)(c->config->count - first));
        double *to = prior + first * times;
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(p->device->k->download(p->device, c->x0, p->x0, sizeof(float) * (size_t)(rows * c->d)));
        TS_TRY(p->device->k->synchronize(p->device));
        project(c, rows);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < times; j++)
                to[i * times + j] = c->constants[j];
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, times, c->parts, 1, c->squares, c->parts,
                    c->weights, c->parts, 1, to, times);
        if (c->config->stop && *c->config->stop && first + ROWS < c->config->count)
            return ts_error(TS_INTERRUPTED, "bound: interrupted");
    }
    return NULL;
}

ts_status ts_prior_curve(const ts_bound_config *config, const ts_data *data, const ts_data_gaussian *gaussian,
                         double *prior)
{
    const int d = ts_data_dim(data);
    curve c = {.config = config, .gaussian = gaussian, .d = d};
    ts_pass p = {.device = data->device};
    c.parts = gaussian ? gaussian->rank + (gaussian->rank < d) : 1;
    ts_status status = allocate(&c);
    for (int j = 0; j < config->T_count && !status; j++)
        status = ts_pass_check_T(config, config->T[j]);
    if (!status)
        status = ts_pass_begin(&p, config, data, data->device, ROWS, d, 1);
    if (!status) {
        weigh(&c);
        status = measure(&c, &p, prior);
    }
    ts_pass_release(&p);
    release(&c);
    return status;
}
