#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/densities/dpmixture_form.h"
#include "kernels/philox.h"

/*
 * Component k is N(mu, F^T F + Psi): x = mu + F^T y + noise, y ~ N(0, I_r).  mu, F [r,d] and Psi are points: those that
 * maximise, where q(z) and q(v) are distributions.  All below is of points less their common mean m, `centre`.
 *
 * With weights r_n of the points and one more, at m (the prior of mu), W = sum r_n + 1 and S their covariance about mu:
 *
 *     M = I + F Psi^-1 F^T,   B = M^-1 F Psi^-1   (E y = B (x - mu)),
 *     C = B S,                E = M^-1 + B C^T = L L^T,
 *     F <- L^-1 C,            psi_j <- (W (S_jj - sum_i F_ij^2) + v_j) / (W + 1), at least the floor,
 *
 * which is the EM algorithm of factor analysis (Rubin and Thayer, Psychometrika 47, 1982) with the covariance E of y as
 * a parameter more, taken into F again (Liu, Rubin and Wu, "Parameter expansion to accelerate EM", Biometrika 85, 1998).
 */

enum {
    ROWS = 64, /* of points at a time: with 3072 dimensions they just fit a cache */
    INNER = 2, /* steps of EM in one of the whole */
    FIRST = 12 /* and in the first */
};

static const double least_share = 1e-18; /* below it a point is not of the component: exp(-41) */

typedef struct component {
    bool begun;
    double weight;                 /* W */
    double *mean;                  /* [d], less the centre */
    double *noise;                 /* Psi [d] */
    double *precision;             /* 1 / Psi [d] */
    double *factors;               /* F [r,d] */
    double *whitened;              /* Lm^-1 F Psi^-1 [r,d], M = Lm Lm^T */
    double *at_mean;               /* that times the mean [r] */
    double log_determinant, trace; /* of F^T F + Psi, and of its inverse */
    double fit;                    /* -1/2 (W ln |2 pi Sigma| + tr Sigma^-1 W S) */
} component;

/* One thread's. */
typedef struct room {
    double *rows;            /* [ROWS,d] */
    double *products;        /* [ROWS,k r] */
    double *posterior;       /* B [r,d] */
    double *cross;           /* C [r,d] */
    double *diagonal;        /* of S [d] */
    double *M, *inverse, *E; /* [r,r]: Lm, M^-1, L */
} room;

typedef struct analysers {
    component *of;           /* [k] */
    room *rooms;             /* [threads] */
    double *centre, *spread; /* m, v [d]: the points' mean and variance, with the floor */
    double *whitened;        /* all components' [k r,d] */
    double *memory;
} analysers;

static analysers *state_of(const ts_dpmixture_fitting *f)
{
    return f->components;
}

/* ---- a component's numbers ---- */

/* x [r,d] <- L^-1 x, or L^-T x */
static void divide(int r, int d, const double *L, CBLAS_TRANSPOSE transposed, double *x)
{
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transposed, CblasNonUnit, r, d, 1, L, r, x, d);
}

/* L <- its Cholesky factor, the lower triangle of a matrix [r,r]; false: it has none. */
static bool factorise(int r, double *L)
{
    return !LAPACKE_dpotrf_work(LAPACK_ROW_MAJOR, 'L', r, L, r);
}

/* What follows from F and Psi: Lm, M^-1, B, and the component's own. */
static bool prepare(const ts_dpmixture_fitting *f, component *c, const room *w)
{
    const int r = f->config->factors, d = f->d;
    const size_t rd = (size_t)r * (size_t)d;
    c->log_determinant = c->trace = 0;
    for (int j = 0; j < d; j++) {
        c->precision[j] = 1 / c->noise[j];
        c->log_determinant += log(c->noise[j]);
        c->trace += c->precision[j];
    }
    for (int i = 0; i < r; i++)
        for (int j = 0; j < d; j++)
            c->whitened[(size_t)i * d + j] = c->factors[(size_t)i * d + j] * c->precision[j];
    memset(w->inverse, 0, sizeof(double) * (size_t)(r * r));
    for (int i = 0; i < r; i++)
        w->M[i * r + i] = w->inverse[i * r + i] = 1;
    for (int i = 0; i < r; i++)
        for (int j = 0; j <= i; j++)
            w->M[i * r + j] =
                (i == j) + cblas_ddot(d, c->whitened + (size_t)i * d, 1, c->factors + (size_t)j * d, 1);
    if (!factorise(r, w->M))
        return false;
    for (int i = 0; i < r; i++)
        c->log_determinant += 2 * log(w->M[i * r + i]);
    divide(r, r, w->M, CblasNoTrans, w->inverse);
    divide(r, r, w->M, CblasTrans, w->inverse);
    divide(r, d, w->M, CblasNoTrans, c->whitened);
    c->trace -= cblas_ddot((int)rd, c->whitened, 1, c->whitened, 1);
    memcpy(w->posterior, c->whitened, sizeof(double) * rd);
    divide(r, d, w->M, CblasTrans, w->posterior);
    return isfinite(c->log_determinant);
}

/* ---- given the shares: the components ---- */

/* The next rows: sqrt(share) (x - mean) of the points from *next on that are the component's; the first call begins
 * with the prior's.  Returns how many; *next becomes n + 1 behind the last. */
static int next_rows(const ts_dpmixture_fitting *f, const double *share, const component *c, int64_t *next,
                     double *rows)
{
    const double *centre = state_of(f)->centre;
    const int d = f->d;
    int count = 0;
    for (; *next <= f->n && count < ROWS; ++*next) {
        const double weight = *next ? share[*next - 1] : 1;
        if (weight < least_share)
            continue;
        const double factor = sqrt(weight), *x = *next ? f->x + (*next - 1) * d : centre;
        double *row = rows + (size_t)count++ * (size_t)d;
        for (int j = 0; j < d; j++)
            row[j] = factor * (x[j] - centre[j] - c->mean[j]);
    }
    return count;
}

/* count, W, mean and the diagonal of S. */
static void take_moments(ts_dpmixture_fitting *f, int k, component *c, const room *w)
{
    const double *share = f->share + (int64_t)k * f->n, *centre = state_of(f)->centre;
    const int d = f->d;
    double count = 0;
    memset(c->mean, 0, sizeof(double) * (size_t)d);
    for (int64_t i = 0; i < f->n; i++) {
        if (share[i] < least_share)
            continue;
        count += share[i];
        for (int j = 0; j < d; j++)
            c->mean[j] += share[i] * (f->x[i * d + j] - centre[j]);
    }
    f->count[k] = count;
    c->weight = count + 1;
    for (int j = 0; j < d; j++) {
        c->mean[j] /= c->weight;
        w->diagonal[j] = 0;
    }
    int64_t next = 0;
    for (int rows; (rows = next_rows(f, share, c, &next, w->rows)) > 0;)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < d; j++)
                w->diagonal[j] += w->rows[(size_t)i * d + j] * w->rows[(size_t)i * d + j];
    for (int j = 0; j < d; j++)
        w->diagonal[j] = (w->diagonal[j] + count * f->config->floor) / c->weight;
}

/* Factors in random directions, which the first steps turn to where the points vary most. */
static void begin_component(const ts_dpmixture_fitting *f, int k, component *c, const room *w)
{
    const int r = f->config->factors, d = f->d;
    const ts_step_state state = {.seed = f->config->seed, .instance = (uint32_t)k + 1};
    for (int j = 0; j < d; j++)
        c->noise[j] = fmax(f->config->floor, 0.5 * w->diagonal[j]);
    for (int i = 0; i < r; i++)
        for (int j = 0; j < d; j++) {
            const ts_philox_words u = ts_random_words(&state, TS_STREAM_INIT, (uint32_t)(i * d + j));
            const double even = 2 * (double)ts_uniform_from(u.v[0]) - 1; /* variance 1/3 */
            c->factors[(size_t)i * d + j] = sqrt(1.5 * w->diagonal[j] / r) * even;
        }
    c->begun = true;
}

/* C */
static void take_cross(const ts_dpmixture_fitting *f, int k, const component *c, const room *w)
{
    const int r = f->config->factors, d = f->d;
    const double floor = f->count[k] * f->config->floor / c->weight;
    int64_t next = 0;
    memset(w->cross, 0, sizeof(double) * (size_t)r * (size_t)d);
    for (int rows; (rows = next_rows(f, f->share + (int64_t)k * f->n, c, &next, w->rows)) > 0;) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, r, d, 1, w->rows, d, w->posterior, d, 0,
                    w->products, r);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r, d, rows, 1 / c->weight, w->products, r,
                    w->rows, d, 1, w->cross, d);
    }
    cblas_daxpy(r * d, floor, w->posterior, 1, w->cross, 1);
}

/* F and Psi from S's diagonal, B, C and M^-1. */
static bool maximise(const ts_dpmixture_fitting *f, component *c, const room *w)
{
    const int r = f->config->factors, d = f->d;
    const double *spread = state_of(f)->spread;
    memcpy(w->E, w->inverse, sizeof(double) * (size_t)(r * r));
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, r, r, d, 1, w->posterior, d, w->cross, d, 1, w->E,
                r);
    if (!factorise(r, w->E))
        return false;
    memcpy(c->factors, w->cross, sizeof(double) * (size_t)r * (size_t)d);
    divide(r, d, w->E, CblasNoTrans, c->factors);
    for (int j = 0; j < d; j++) {
        double rest = w->diagonal[j];
        for (int i = 0; i < r; i++)
            rest -= c->factors[(size_t)i * d + j] * c->factors[(size_t)i * d + j];
        c->noise[j] = fmax(f->config->floor, (c->weight * rest + spread[j]) / (c->weight + 1));
    }
    return true;
}

static bool update(ts_dpmixture_fitting *f, int k, int thread)
{
    analysers *a = state_of(f);
    component *c = &a->of[k];
    const room *w = &a->rooms[thread];
    const int r = f->config->factors, d = f->d;
    take_moments(f, k, c, w);
    const int steps = c->begun ? INNER : FIRST;
    if (!c->begun)
        begin_component(f, k, c, w);
    for (int step = 0;; step++) {
        if (!prepare(f, c, w))
            return false;
        take_cross(f, k, c, w);
        if (step == steps)
            break;
        if (!maximise(f, c, w))
            return false;
    }
    double trace = 0; /* of Sigma^-1 S */
    for (int j = 0; j < d; j++) {
        double along = 0;
        for (int i = 0; i < r; i++)
            along += c->factors[(size_t)i * d + j] * w->cross[(size_t)i * d + j];
        trace += (w->diagonal[j] - along) * c->precision[j];
    }
    c->fit = -0.5 * c->weight * (d * log(2 * M_PI) + c->log_determinant + trace);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, r, d, 1, c->whitened, d, c->mean, 1, 0, c->at_mean, 1);
    return isfinite(c->fit);
}

/* Beside the points: mu ~ N(m, Sigma), and of each dimension's precision 1 / psi ~ Gamma(1/2, v/2), the Wishart of the
 * diagonal form, as a density of ln psi, whose maximum does not depend on units. */
static double bound(const ts_dpmixture_fitting *f, int k)
{
    const component *c = &state_of(f)->of[k];
    const double *spread = state_of(f)->spread;
    double sum = c->fit - f->d * ts_dpmixture_log_gamma(0.5);
    for (int j = 0; j < f->d; j++) {
        const double scaled = 0.5 * spread[j] * c->precision[j];
        sum += 0.5 * log(scaled) - scaled;
    }
    return sum;
}

/* ---- given the components: the shares ---- */

/* Of points first .. first + count - 1. */
static void block_logits(ts_dpmixture_fitting *f, const double *constant, int64_t first, int count,
                         const room *w)
{
    const analysers *a = state_of(f);
    const int r = f->config->factors, d = f->d, all = f->k * r;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++)
            w->rows[(size_t)i * d + j] = f->x[(first + i) * d + j] - a->centre[j];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count, all, d, 1, w->rows, d, a->whitened, d, 0,
                w->products, all);
    for (int k = 0; k < f->k; k++) {
        const component *c = &a->of[k];
        const double *restrict mean = c->mean, *restrict precision = c->precision;
        for (int i = 0; i < count; i++) {
            const double *restrict row = w->rows + (size_t)i * d,
                                   *along = w->products + (size_t)i * all + k * r;
            double square = 0;
#pragma omp simd reduction(+ : square)
            for (int j = 0; j < d; j++)
                square += (row[j] - mean[j]) * (row[j] - mean[j]) * precision[j];
            for (int m = 0; m < r; m++)
                square -= (along[m] - c->at_mean[m]) * (along[m] - c->at_mean[m]);
            f->share[k * f->n + first + i] = constant[k] - 0.5 * (d * log(2 * M_PI) + c->log_determinant +
                                                                  f->config->floor * c->trace + square);
        }
    }
}

static void logits(ts_dpmixture_fitting *f, const double *constant)
{
#pragma omp parallel for schedule(dynamic) num_threads(f->config->threads)
    for (int64_t block = 0; block < (f->n + ROWS - 1) / ROWS; block++) {
        const int64_t first = block * ROWS, left = f->n - first;
        block_logits(f, constant, first, left < ROWS ? (int)left : ROWS,
                     &state_of(f)->rooms[omp_get_thread_num()]);
    }
}

/* ---- the whole ---- */

/* The points' mean, and their variance with the floor. */
static ts_status set_prior(const ts_dpmixture_fitting *f)
{
    analysers *a = state_of(f);
    for (int64_t i = 0; i < f->n; i++)
        for (int j = 0; j < f->d; j++)
            a->centre[j] += f->x[i * f->d + j] / (double)f->n;
    for (int64_t i = 0; i < f->n; i++)
        for (int j = 0; j < f->d; j++) {
            const double x = f->x[i * f->d + j] - a->centre[j];
            a->spread[j] += x * x / (double)(f->n - 1);
        }
    for (int j = 0; j < f->d; j++)
        if (!((a->spread[j] += f->config->floor) > 0 && isfinite(a->spread[j])))
            return ts_error(TS_NOT_FINITE,
                            "the data's variance in dimension %d is %g: raise start.floor above %g", j,
                            a->spread[j], f->config->floor);
    return NULL;
}

/* The next of `count` doubles. */
static double *cut(double **memory, size_t count)
{
    double *const piece = *memory;
    *memory += count;
    return piece;
}

static ts_status begin(ts_dpmixture_fitting *f)
{
    const size_t d = (size_t)f->d, r = (size_t)f->config->factors, k = (size_t)f->k,
                 threads = (size_t)f->config->threads;
    const size_t each = 3 * d + r * d + r, thread = ROWS * (d + k * r) + 2 * r * d + d + 3 * r * r,
                 count = 2 * d + k * (each + r * d) + threads * thread;
    analysers *a = f->components = calloc(1, sizeof *a);
    if (a) {
        a->of = calloc(k, sizeof *a->of);
        a->rooms = calloc(threads, sizeof *a->rooms);
        a->memory = calloc(count, sizeof *a->memory);
    }
    if (!a || !a->of || !a->rooms || !a->memory)
        return ts_error(TS_NO_MEMORY,
                        "no memory for %d components of %d factors in %d dimensions (%.0f MB): lower "
                        "start.components or start.factors",
                        f->k, f->config->factors, f->d, (double)count * sizeof(double) / 1e6);
    double *memory = a->memory;
    a->centre = cut(&memory, d);
    a->spread = cut(&memory, d);
    a->whitened = cut(&memory, k * r * d);
    for (size_t i = 0; i < k; i++) {
        component *c = &a->of[i];
        c->mean = cut(&memory, d);
        c->noise = cut(&memory, d);
        c->precision = cut(&memory, d);
        c->factors = cut(&memory, r * d);
        c->at_mean = cut(&memory, r);
        c->whitened = a->whitened + i * r * d;
    }
    for (size_t i = 0; i < threads; i++) {
        room *w = &a->rooms[i];
        w->rows = cut(&memory, ROWS * d);
        w->products = cut(&memory, ROWS * k * r);
        w->posterior = cut(&memory, r * d);
        w->cross = cut(&memory, r * d);
        w->diagonal = cut(&memory, d);
        w->M = cut(&memory, r * r);
        w->inverse = cut(&memory, r * r);
        w->E = cut(&memory, r * r);
    }
    return set_prior(f);
}

static void sizes(const ts_dpmixture_fitting *f, size_t *covariance, size_t *factors)
{
    *covariance = (size_t)f->d;
    *factors = (size_t)f->d * (size_t)f->config->factors;
}

static void take(const ts_dpmixture_fitting *f, int k, double *mean, double *covariance, double *factors)
{
    const component *c = &state_of(f)->of[k];
    const size_t d = (size_t)f->d;
    for (size_t j = 0; j < d; j++)
        mean[j] = state_of(f)->centre[j] + c->mean[j];
    memcpy(covariance, c->noise, sizeof(double) * d);
    memcpy(factors, c->factors, sizeof(double) * d * (size_t)f->config->factors);
}

static void release(ts_dpmixture_fitting *f)
{
    analysers *a = state_of(f);
    if (!a)
        return;
    free(a->of);
    free(a->rooms);
    free(a->memory);
    free(a);
}

const ts_dpmixture_form ts_dpmixture_factors = {.begin = begin,
                                                .update = update,
                                                .logits = logits,
                                                .bound = bound,
                                                .sizes = sizes,
                                                .take = take,
                                                .release = release};
