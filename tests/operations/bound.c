/*
 * Rows of the bound's operations: row reductions, reconstruction over levels, exact mixtures.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "random.h"

/* ---- row reductions ---- */

typedef struct reduction_row {
    int n, d;
    double sigma;
    ot_buffer *x, *y, *out, *affine, *rounded;
} reduction_row;

static void squared_error_reference(void *p)
{
    reduction_row *r = p;
    for (int i = 0; i < r->n; i++) {
        r->out->want[i] = 0;
        for (int j = i * r->d; j < (i + 1) * r->d; j++)
            r->out->want[i] += pow(r->x->v[j] - r->y->v[j], 2);
    }
}

static void row_dot_reference(void *p)
{
    reduction_row *r = p;
    for (int i = 0; i < r->n; i++) {
        r->out->want[i] = 0;
        for (int j = i * r->d; j < (i + 1) * r->d; j++)
            r->out->want[i] += r->x->v[j] * r->y->v[j];
        if (r->affine)
            r->out->want[i] = r->affine->v[0] + r->affine->v[1] * r->out->want[i];
        if (r->rounded)
            r->rounded->want[i] = r->out->want[i];
    }
}

static void normal_reference(void *p)
{
    reduction_row *r = p;
    for (int i = 0; i < r->n; i++) {
        r->out->want[i] = 0;
        for (int j = i * r->d; j < (i + 1) * r->d; j++)
            r->out->want[i] += log(exp(-0.5 * pow(r->x->v[j] / r->sigma, 2)) / (r->sigma * sqrt(2 * M_PI)));
    }
}

static reduction_row reduction_case(ot *t, int n, int d)
{
    ot_case(t, "n %d d %d", n, d);
    reduction_row r = {.n = n, .d = d, .sigma = 1.7};
    r.x = ot_normal(t, TS_F32, (int64_t)n * d, 0.3, 1);
    r.y = ot_normal(t, TS_F32, (int64_t)n * d, -0.1, 1);
    r.out = ot_output(t, TS_F64, n);
    return r;
}

static void reduction_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {5, 3}, {7, 64}, {130, 192}};
    for (int i = 0; i < 4; i++) {
        const int n = shapes[i][0], d = shapes[i][1];
        reduction_row r = reduction_case(t, n, d);
        const ts_squared_error e = {n, d, ot_in(r.x), ot_in(r.y), ot_out(r.out)};
        ot_run(t, squared_error, e);
        ot_check(t, squared_error_reference, &r, 1e-13);

        r = reduction_case(t, n, d);
        ts_row_dot dot = {.n = n, .d = d, .x = ot_in(r.x), .y = ot_in(r.y), .out = ot_out(r.out)};
        ot_run(t, row_dot, dot);
        ot_check(t, row_dot_reference, &r, 1e-13);

        r = reduction_case(t, n, d);
        r.affine = ot_values(t, TS_F64, 2, (double[]){-3.25, 0.1});
        r.rounded = ot_output(t, TS_F32, n);
        dot = (ts_row_dot){n, d, ot_in(r.x), ot_in(r.y), ot_out(r.out), ot_in(r.affine), ot_out(r.rounded)};
        ot_run(t, row_dot, dot);
        ot_check(t, row_dot_reference, &r, 1e-7);
        ot_expect(t, ot_error(r.out, r.out->want) < 1e-13, "the sums are in double precision");

        r = reduction_case(t, n, d);
        const ts_normal_log_prob p = {n, d, r.sigma, ot_in(r.x), ot_out(r.out)};
        ot_run(t, normal_log_prob, p);
        ot_check(t, normal_reference, &r, 1e-13);
    }
}

/* ---- reconstruction ---- */

typedef struct reconstruction_row {
    int n, d, levels;
    double first, spacing, a, s;
    ot_buffer *x0, *x, *out;
} reconstruction_row;

/* ln of the softmax over all levels, each exponent relative to the largest. */
static double level_log_prob(const reconstruction_row *r, int own, double x)
{
    double largest = -INFINITY, sum = 0;
    for (int k = 0; k < r->levels; k++)
        largest = fmax(largest, -0.5 * pow((x - r->a * (r->first + k * r->spacing)) / r->s, 2));
    for (int k = 0; k < r->levels; k++)
        sum += exp(-0.5 * pow((x - r->a * (r->first + k * r->spacing)) / r->s, 2) - largest);
    return -0.5 * pow((x - r->a * (r->first + own * r->spacing)) / r->s, 2) - largest - log(sum);
}

static void reconstruction_reference(void *p)
{
    reconstruction_row *r = p;
    for (int i = 0; i < r->n; i++) {
        r->out->want[i] = 0;
        for (int j = i * r->d; j < (i + 1) * r->d; j++) {
            const int own = (int)lround((r->x0->v[j] - r->first) / r->spacing);
            r->out->want[i] += level_log_prob(r, own, r->x->v[j]);
        }
    }
}

/* x = a x0 + s z, s given as a share of the levels' spacing: from noise that the levels barely notice to
 * noise that hides them. */
static void reconstruction_rows(ot *t)
{
    static const int levels[] = {2, 17, 256};
    static const double shares[] = {0.25, 0.7, 5, 300};
    for (int i = 0; i < 12; i++) {
        reconstruction_row r = {.n = 6, .d = 33, .levels = levels[i / 4], .first = -1, .a = 0.97};
        const int count = r.n * r.d;
        r.spacing = 2.0 / (r.levels - 1);
        r.s = shares[i % 4] * r.spacing;
        ot_case(t, "levels %d, s %g spacings", r.levels, shares[i % 4]);
        double *x0 = malloc((size_t)count * sizeof *x0), *x = malloc((size_t)count * sizeof *x);
        ot_buffer *u = ot_uniform(t, TS_F32, count, 0, 1), *z = ot_normal(t, TS_F32, count, 0, 1);
        for (int j = 0; j < count; j++) {
            x0[j] = r.first + r.spacing * floor(u->v[j] * (r.levels - 1e-6));
            x[j] = r.a * x0[j] + r.s * z->v[j] * (j % 11 == 0 ? 20 : 1);
        }
        r.x0 = ot_values(t, TS_F32, count, x0);
        r.x = ot_values(t, TS_F32, count, x);
        r.out = ot_output(t, TS_F64, r.n);
        free(x0);
        free(x);
        const ts_reconstruction a = {r.n, r.d, r.levels,    r.first,    r.spacing,
                                     r.a, r.s, ot_in(r.x0), ot_in(r.x), ot_out(r.out)};
        ot_run(t, reconstruction, a);
        ot_check(t, reconstruction_reference, &r, 1e-11);
    }
}

/* ---- mixtures ---- */

enum { DIMENSIONS = 10 };

/* Covariances: of so many factors where positive. */
enum { FULL = -1, DIAGONAL = 0 };

typedef struct mixture_row {
    int n, k, d, rank;
    ts_sde sde;
    ot_buffer *weights, *means, *vectors, *values, *factors;
    ot_buffer *x, *t, *net, *log_prob;
} mixture_row;

/* Orthonormal columns by Gram and Schmidt. */
static void orthonormalise(double *v, int d)
{
    for (int c = 0; c < d; c++) {
        for (int b = 0; b < c; b++) {
            double along = 0;
            for (int i = 0; i < d; i++)
                along += v[i * d + b] * v[i * d + c];
            for (int i = 0; i < d; i++)
                v[i * d + c] -= along * v[i * d + b];
        }
        double length = 0;
        for (int i = 0; i < d; i++)
            length += v[i * d + c] * v[i * d + c];
        for (int i = 0; i < d; i++)
            v[i * d + c] /= sqrt(length);
    }
}

static mixture_row make_mixture(ot *t, ts_sde_kind kind, int n, int k, int d, int covariances)
{
    const bool full = covariances == FULL;
    mixture_row r = {
        .n = n, .k = k, .d = d, .rank = full ? 0 : covariances, .sde = {kind, 0.1, 20, 0.01, 50}};
    r.weights = ot_uniform(t, TS_F64, k, 0.2, 1);
    r.means = ot_normal(t, TS_F64, (int64_t)k * d, 0, 1);
    r.values = ot_uniform(t, TS_F64, (int64_t)k * d, 0.02, 0.5);
    r.vectors = full ? ot_normal(t, TS_F64, (int64_t)k * d * d, 0, 1) : NULL;
    r.factors = r.rank ? ot_normal(t, TS_F64, (int64_t)k * r.rank * d, 0, 0.7) : NULL;
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += r.weights->v[i];
    for (int i = 0; i < k; i++)
        r.weights->v[i] /= sum;
    for (int i = 0; full && i < k; i++)
        orthonormalise(r.vectors->v + (size_t)i * d * d, d);
    return r;
}

static ts_mixture_view view_of(const mixture_row *r)
{
    const ts_mixture_view view = {.k = r->k,
                                  .d = r->d,
                                  .weights = ot_in(r->weights),
                                  .means = ot_in(r->means),
                                  .vectors = ot_in(r->vectors),
                                  .values = ot_in(r->values),
                                  .rank = r->rank,
                                  .factors = ot_in(r->factors)};
    return view;
}

/* a^2 C_k + s^2 I as a full matrix. */
static void covariance_of(const mixture_row *r, int k, double a, double s, double c[DIMENSIONS][DIMENSIONS])
{
    const int d = r->d;
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++) {
            c[i][j] = i == j ? s * s : 0;
            for (int m = 0; m < d; m++) {
                const double vi = r->vectors ? r->vectors->v[(k * d + i) * d + m] : i == m;
                const double vj = r->vectors ? r->vectors->v[(k * d + j) * d + m] : j == m;
                c[i][j] += a * a * vi * vj * r->values->v[k * d + m];
            }
            for (int m = 0; m < r->rank; m++) {
                const double *factor = r->factors->v + (k * r->rank + m) * d;
                c[i][j] += a * a * factor[i] * factor[j];
            }
        }
}

/* ln N(x; mean, c), by Gaussian elimination of [c | x - mean]. */
static double normal_log_density(int d, double c[DIMENSIONS][DIMENSIONS], const double *x, const double *mean,
                                 double a)
{
    double b[DIMENSIONS], log_det = 0, quadratic = 0;
    for (int i = 0; i < d; i++)
        b[i] = x[i] - a * mean[i];
    for (int p = 0; p < d; p++) {
        log_det += log(c[p][p]);
        quadratic += b[p] * b[p] / c[p][p];
        for (int i = p + 1; i < d; i++) {
            const double f = c[i][p] / c[p][p];
            for (int j = p; j < d; j++)
                c[i][j] -= f * c[p][j];
            b[i] -= f * b[p];
        }
    }
    return -0.5 * (quadratic + log_det + d * log(2 * M_PI));
}

static double log_density(const mixture_row *r, const double *x, double a, double s)
{
    double p = 0, c[DIMENSIONS][DIMENSIONS];
    for (int k = 0; k < r->k; k++) {
        covariance_of(r, k, a, s, c);
        p += r->weights->v[k] * exp(normal_log_density(r->d, c, x, r->means->v + k * r->d, a));
    }
    return log(p);
}

/* The log-density, and the score as its derivative by five-point differences. */
static void mixture_reference(void *row)
{
    mixture_row *r = row;
    for (int i = 0; i < r->n; i++) {
        const double a = ts_sde_mean(&r->sde, r->t->v[i]), s = ts_sde_std(&r->sde, r->t->v[i]);
        const double h = 3e-3 * fmin(1, fmax(s, 0.1));
        double x[DIMENSIONS];
        for (int j = 0; j < r->d; j++)
            x[j] = r->x->v[i * r->d + j];
        r->log_prob->want[i] = log_density(r, x, a, s);
        for (int j = 0; j < r->d; j++) {
            double p[5];
            const double at = x[j];
            for (int q = -2; q <= 2; q++) {
                x[j] = at + q * h;
                p[q + 2] = log_density(r, x, a, s);
            }
            x[j] = at;
            r->net->want[i * r->d + j] = -s * (p[0] - 8 * p[1] + 8 * p[3] - p[4]) / (12 * h);
        }
    }
}

static const char *words_of(int covariances)
{
    return covariances == FULL ? "full" : covariances == DIAGONAL ? "diagonal" : "factors";
}

static void evaluate_case(ot *t, ts_sde_kind kind, int n, int k, int d, int covariances)
{
    static const char *const names[] = {"vp", "subvp", "ve"};
    ot_case(t, "%s n %d k %d d %d %s", names[kind], n, k, d, words_of(covariances));
    mixture_row r = make_mixture(t, kind, n, k, d, covariances);
    r.x = ot_normal(t, TS_F32, (int64_t)n * d, 0, 1);
    r.t = ot_uniform(t, TS_F32, n, 0.05, kind == TS_SDE_VE ? 0.6 : 1);
    r.net = ot_output(t, TS_F32, (int64_t)n * d);
    r.log_prob = ot_output(t, TS_F64, n);
    ts_mixture_evaluate a = {n,    r.sde,         view_of(&r), ot_in(r.x),        ot_in(r.t),
                             NULL, ot_out(r.net), NULL,        ot_out(r.log_prob)};
    ot_run(t, mixture_evaluate, a);
    ot_check(t, mixture_reference, &r, 1e-6);
    a.v = ot_cotangent(t, r.net);
    a.vjp = ot_gradient(t, r.x, OT_ASSIGN);
    a.net = NULL;
    a.log_prob = NULL;
    ot_run(t, mixture_evaluate, a);
    ot_check_gradients(t, mixture_reference, &r, 1e-5);
}

/* Far from every component densities underflow, but the log-density and the score do not. */
static void far_away(ot *t)
{
    ot_case(t, "far from every component");
    const double weight = 1, mean = 0, value = 1e-4, at = 90, time = 0.001;
    const ts_sde sde = {TS_SDE_VP, 0.1, 20, 0.01, 50};
    ot_buffer *w = ot_values(t, TS_F64, 1, &weight), *m = ot_values(t, TS_F64, 1, &mean);
    ot_buffer *v = ot_values(t, TS_F64, 1, &value), *x = ot_values(t, TS_F32, 1, &at);
    ot_buffer *when = ot_values(t, TS_F32, 1, &time), *net = ot_output(t, TS_F32, 1),
              *p = ot_output(t, TS_F64, 1);
    const ts_mixture_view view = {.k = 1, .d = 1, .weights = ot_in(w), .means = ot_in(m), .values = ot_in(v)};
    const ts_mixture_evaluate a = {1, sde, view, ot_in(x), ot_in(when), NULL, ot_out(net), NULL, ot_out(p)};
    ot_run(t, mixture_evaluate, a);
    const double s = ts_sde_std(&sde, when->v[0]), c = pow(ts_sde_mean(&sde, when->v[0]), 2) * value + s * s;
    const double log_prob = -0.5 * (at * at / c + log(2 * M_PI * c)), score = s * at / c;
    ot_expect(t, fabs(p->got[0] / log_prob - 1) < 1e-12 && fabs(net->got[0] / score - 1) < 1e-6,
              "log p %.6g, net %.6g", p->got[0], net->got[0]);
}

/* One component of so many dimensions that they are independent normals to the reference too. */
static mixture_row one_component(ot *t, int n, int d)
{
    ot_case(t, "n %d, one component, d %d", n, d);
    mixture_row r = make_mixture(t, TS_SDE_VP, n, 1, d, DIAGONAL);
    r.x = ot_normal(t, TS_F32, (int64_t)n * d, 0, 1);
    r.t = ot_uniform(t, TS_F32, n, 0.05, 1);
    r.net = ot_output(t, TS_F32, (int64_t)n * d);
    r.log_prob = ot_output(t, TS_F64, n);
    return r;
}

static void one_component_reference(void *row)
{
    mixture_row *r = row;
    for (int i = 0; i < r->n; i++) {
        const double a = ts_sde_mean(&r->sde, r->t->v[i]), s = ts_sde_std(&r->sde, r->t->v[i]);
        r->log_prob->want[i] = 0;
        for (int j = 0; j < r->d; j++) {
            const double variance = a * a * r->values->v[j] + s * s;
            const double e = r->x->v[i * r->d + j] - a * r->means->v[j];
            r->log_prob->want[i] -= 0.5 * (e * e / variance + log(2 * M_PI * variance));
            r->net->want[i * r->d + j] = s * e / variance;
        }
    }
}

static void many_dimensions(ot *t)
{
    mixture_row r = one_component(t, 5, 500);
    const ts_mixture_evaluate a = {r.n,  r.sde,         view_of(&r), ot_in(r.x),        ot_in(r.t),
                                   NULL, ot_out(r.net), NULL,        ot_out(r.log_prob)};
    ot_run(t, mixture_evaluate, a);
    ot_check(t, one_component_reference, &r, 1e-6);
}

/*
 * Little noise beside large factors: ln p and P e by elimination in long double, of one component.  At t = 0.05 and
 * where a bound begins.
 */
static void little_noise_reference(void *row)
{
    mixture_row *r = row;
    const int d = r->d;
    for (int i = 0; i < r->n; i++) {
        const double a = ts_sde_mean(&r->sde, r->t->v[i]), s = ts_sde_std(&r->sde, r->t->v[i]);
        double dense[DIMENSIONS][DIMENSIONS];
        long double c[DIMENSIONS][DIMENSIONS + 1], e[DIMENSIONS], log_prob = 0;
        covariance_of(r, 0, a, s, dense);
        for (int p = 0; p < d; p++) {
            for (int q = 0; q < d; q++)
                c[p][q] = (long double)dense[p][q];
            c[p][d] = e[p] = (long double)r->x->v[i * d + p] - (long double)a * (long double)r->means->v[p];
        }
        for (int p = 0; p < d; p++) {
            log_prob -= 0.5L * logl(2 * (long double)M_PI * c[p][p]);
            for (int q = 0; q < d; q++) {
                const long double f = c[q][p] / c[p][p];
                for (int j = p; q != p && j <= d; j++)
                    c[q][j] -= f * c[p][j];
            }
        }
        for (int p = 0; p < d; p++) {
            const long double h = c[p][d] / c[p][p];
            log_prob -= 0.5L * e[p] * h;
            r->net->want[i * d + p] = (double)((long double)s * h);
        }
        r->log_prob->want[i] = (double)log_prob;
    }
}

static void little_noise(ot *t)
{
    enum { N = 6, RANK = 3 };
    static const double times[N] = {1e-5, 0.05, 1e-3, 1e-5, 0.05, 0.4};
    ot_case(t, "noise of variance 1e-6 beside factors of size 3");
    mixture_row r = make_mixture(t, TS_SDE_VP, N, 1, DIMENSIONS, RANK);
    r.values = ot_uniform(t, TS_F64, DIMENSIONS, 1e-6, 2e-6);
    r.factors = ot_normal(t, TS_F64, RANK * DIMENSIONS, 0, 3);
    r.x = ot_normal(t, TS_F32, N * DIMENSIONS, 0, 2);
    r.t = ot_values(t, TS_F32, N, times);
    r.net = ot_output(t, TS_F32, N * DIMENSIONS);
    r.log_prob = ot_output(t, TS_F64, N);
    const ts_mixture_evaluate a = {N,    r.sde,         view_of(&r), ot_in(r.x),        ot_in(r.t),
                                   NULL, ot_out(r.net), NULL,        ot_out(r.log_prob)};
    ot_run(t, mixture_evaluate, a);
    ot_check(t, little_noise_reference, &r, 1e-6);
}

/* ---- draws from mixtures ---- */

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / M_SQRT2);
}

/* The empirical distribution of every coordinate, and of the sum of all (which sees correlations), at several
 * points against the exact one; returns the largest deviation in standard errors. */
static double worst_quantile(const mixture_row *r, double a, double s, const double *x)
{
    double worst = 0, c[DIMENSIONS][DIMENSIONS];
    for (int j = 0; j <= r->d; j++)
        for (double point = -1.5; point <= 1.5; point += 0.5) {
            double p = 0, below = 0;
            for (int k = 0; k < r->k; k++) {
                double mean = 0, variance = 0;
                covariance_of(r, k, a, s, c);
                for (int i = 0; i < r->d; i++) {
                    mean += j == r->d || i == j ? a * r->means->v[k * r->d + i] : 0;
                    for (int m = 0; m < r->d; m++)
                        variance += j == r->d || (i == j && m == j) ? c[i][m] : 0;
                }
                p += r->weights->v[k] * normal_cdf((point - mean) / sqrt(variance));
            }
            for (int i = 0; i < r->n; i++) {
                double value = 0;
                for (int m = 0; m < r->d; m++)
                    value += j == r->d || m == j ? x[i * r->d + m] : 0;
                below += value <= point;
            }
            worst = fmax(worst, fabs(below / r->n - p) / sqrt(fmax(p * (1 - p), 1e-4) / r->n));
        }
    return worst;
}

static void sample_case(ot *t, ts_sde_kind kind, double time, int d, int covariances)
{
    enum { N = 20000, START = 77, PART = 130 };
    static const char *const names[] = {"vp", "subvp", "ve"};
    ot_case(t, "%s t %g d %d %s", names[kind], time, d, words_of(covariances));
    mixture_row r = make_mixture(t, kind, N, 3, d, covariances);
    const ts_step_state *state = ot_state(t, 5, 3, 1);
    r.x = ot_output(t, TS_F32, (int64_t)N * d);
    ot_buffer *part = ot_output(t, TS_F32, (int64_t)PART * d);
    r.x->written = part->written = true;
    ts_mixture_sample a = {N, 0, r.sde, time, view_of(&r), state, TS_STREAM_MIXTURE, r.x->device};
    ot_run(t, mixture_sample, a);
    const double mean = time == 0 ? 1 : ts_sde_mean(&r.sde, time);
    const double std = time == 0 ? 0 : ts_sde_std(&r.sde, time);
    const double worst = worst_quantile(&r, mean, std, r.x->got);
    ot_expect(t, worst < 4.5, "quantiles within %.1f standard errors", worst);

    double *all = malloc((size_t)N * d * sizeof *all);
    memcpy(all, r.x->got, (size_t)N * d * sizeof *all);
    a.n = PART;
    a.start = START;
    a.x = part->device;
    ot_run(t, mixture_sample, a);
    ot_expect(t, memcmp(part->got, all + START * d, (size_t)PART * d * sizeof *all) == 0,
              "rows do not depend on the batch");
    free(all);
}

/* The normals of a row follow its block of four words that chooses the component. */
static void sample_reference(void *row)
{
    mixture_row *r = row;
    const uint64_t blocks = 1 + (uint64_t)(r->d + 3) / 4;
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < r->d; j++)
            r->x->want[i * r->d + j] =
                r->means->v[j] + sqrt(r->values->v[j]) * normal_of(&state5, TS_STREAM_MIXTURE,
                                                                   4 * (i * blocks + 1) + (uint64_t)j);
}

static void sample_many_dimensions(ot *t)
{
    ot_case(t, "one component, d 1601");
    mixture_row r = make_mixture(t, TS_SDE_VP, 6, 1, 1601, DIAGONAL);
    r.x = ot_output(t, TS_F32, (int64_t)r.n * r.d);
    const ts_mixture_sample a = {
        r.n, 0, r.sde, 0, view_of(&r), device_state(t, &state5), TS_STREAM_MIXTURE, ot_out(r.x)};
    ot_run(t, mixture_sample, a);
    ot_check(t, sample_reference, &r, 1e-6);
}

static void mixture_rows(ot *t)
{
    evaluate_case(t, TS_SDE_VP, 1, 1, 1, DIAGONAL);
    evaluate_case(t, TS_SDE_VP, 200, 3, 1, DIAGONAL);
    evaluate_case(t, TS_SDE_VP, 70, 4, 5, DIAGONAL);
    evaluate_case(t, TS_SDE_VP, 70, 3, 2, FULL);
    evaluate_case(t, TS_SDE_SUBVP, 9, 2, 6, FULL);
    evaluate_case(t, TS_SDE_VE, 9, 2, 3, FULL);
    evaluate_case(t, TS_SDE_VP, 6, 3, 9, FULL);
    evaluate_case(t, TS_SDE_VP, 6, 2, 10, DIAGONAL);
    evaluate_case(t, TS_SDE_VP, 20, 3, 4, 1);
    evaluate_case(t, TS_SDE_SUBVP, 9, 2, 6, 2);
    evaluate_case(t, TS_SDE_VE, 70, 2, 10, 5);
    little_noise(t);
    many_dimensions(t);
    far_away(t);
    sample_case(t, TS_SDE_VP, 0, 1, DIAGONAL);
    sample_case(t, TS_SDE_VE, 0, 2, FULL);
    sample_case(t, TS_SDE_VP, 0.3, 5, FULL);
    sample_case(t, TS_SDE_SUBVP, 0.2, 2, DIAGONAL);
    sample_case(t, TS_SDE_VE, 0.4, 4, FULL);
    sample_case(t, TS_SDE_VP, 0.2, 9, FULL);
    sample_case(t, TS_SDE_VP, 0, 3, 2);
    sample_case(t, TS_SDE_VE, 0.4, 9, 3);
    sample_many_dimensions(t);
}

void operations_bound(ot *t)
{
    reduction_rows(t);
    reconstruction_rows(t);
    mixture_rows(t);
}
