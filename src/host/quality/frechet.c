#include "quality/frechet.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quality/products.h"
#include "quality/threads.h"

enum {
    BATCH = 1024,
    SLICE = 64
}; /* rows in double precision at once; of these, what one thread multiplies */

static ts_status no_memory(void)
{
    return ts_error(TS_NO_MEMORY, "Frechet distance: no memory");
}

static double *numbers(size_t count)
{
    return malloc(sizeof(double) * count);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- matrices ---- */

/* Eigenvalues, ascending, and (job 'V') eigenvectors, a row each, of a symmetric matrix, whose upper triangle is read and
 * which is overwritten. */
static ts_status eigen(int d, char job, double *matrix, double *values)
{
    /* a row-major upper triangle is a column-major lower one; columns of eigenvectors are rows here */
    if (d && LAPACKE_dsyevd(LAPACK_COL_MAJOR, job, 'L', d, matrix, d, values) != 0)
        return ts_error(TS_NOT_FINITE, "Frechet distance: the eigen-decomposition of a %dx%d matrix failed",
                        d, d);
    return NULL;
}

/* factor [d,d] <- from a covariance in it: factor^T factor; rounding's negative eigenvalues are zero. */
static ts_status factorise(int d, double *factor)
{
    double *values = numbers((size_t)d);
    ts_status status = values ? eigen(d, 'V', factor, values) : no_memory();
    for (size_t k = 0; k < (size_t)d && !status; k++)
        cblas_dscal(d, values[k] > 0 ? sqrt(values[k]) : 0, factor + k * (size_t)d, 1);
    free(values);
    return status;
}

/* The sum of the roots of a symmetric matrix's eigenvalues; it is overwritten. */
static ts_status root_trace(int d, double *matrix, double *trace)
{
    double *values = numbers((size_t)d + 1);
    ts_status status = values ? eigen(d, 'N', matrix, values) : no_memory();
    *trace = 0;
    for (int i = 0; i < d && !status; i++)
        *trace += values[i] > 0 ? sqrt(values[i]) : 0;
    free(values);
    return status;
}

ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance)
{
    ts_feature_moments *a = NULL, *b = NULL;
    ts_estimate estimate;
    ts_status status;
    TS_GOTO(ts_feature_moments_of(d, mean1, cov1, &a), done);
    TS_GOTO(ts_feature_moments_of(d, mean2, cov2, &b), done);
    TS_GOTO(ts_frechet_distance(a, b, 1, NULL, &estimate, NULL), done);
    *distance = estimate.value;
done:
    ts_feature_moments_free(b);
    ts_feature_moments_free(a);
    return status;
}

/* ---- moments ---- */

struct ts_feature_moments {
    const ts_feature_set *set; /* NULL: moments alone */
    int count, groups, rank;
    int64_t n;
    double *mean, *factor;  /* [count], [rank][count]: factor^T factor is the unbiased covariance */
    double trace;           /* of the covariance */
    double *sums, *squares; /* about the mean: [groups][count], and [groups] their squares, all added up */
};

/* Rows of the set less the mean: out [rows][count]. */
static void centre(const ts_feature_moments *m, int64_t first, int64_t rows, double *out)
{
    const size_t q = (size_t)m->count;
    for (size_t i = 0; i < (size_t)rows; i++)
        for (size_t j = 0; j < q; j++)
            out[i * q + j] = m->set->rows[((size_t)first + i) * q + j] - m->mean[j];
}

/* The mean, and each group's moments about it; a group is one thread's. */
static void sum_groups(ts_feature_moments *m, int threads)
{
    const size_t q = (size_t)m->count;
    const ts_feature_set *s = m->set;
    for (int pass = 0; pass < 2; pass++) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int g = 0; g < m->groups; g++) {
            double *sum = m->sums + (size_t)g * q, square = 0;
            memset(sum, 0, sizeof *sum * q);
            for (int64_t i = s->first[g]; i < s->first[g + 1]; i++)
                for (size_t j = 0; j < q; j++) {
                    const double v = s->rows[(size_t)i * q + j] - m->mean[j];
                    sum[j] += v;
                    square += v * v;
                }
            m->squares[g] = square;
        }
        for (int g = 0; g < m->groups && !pass; g++)
            for (size_t j = 0; j < q; j++)
                m->mean[j] += m->sums[(size_t)g * q + j] / (double)m->n;
    }
}

/* |mean left without a group (-1: none) - mean|^2's vector, and the trace of what is left of the covariance. */
static double trace_without(const ts_feature_moments *m, int left_out, double *shift)
{
    const size_t q = (size_t)m->count;
    memset(shift, 0, sizeof *shift * q);
    if (left_out < 0)
        return m->trace;
    const double n = (double)(m->n - ts_jackknife_size(m->n, left_out));
    double squares = 0;
    for (int g = 0; g < m->groups; g++)
        if (g != left_out) {
            squares += m->squares[g];
            cblas_daxpy(m->count, 1 / n, m->sums + (size_t)g * q, 1, shift, 1);
        }
    return (squares - n * cblas_ddot(m->count, shift, 1, shift, 1)) / (n - 1);
}

/* product [size,size], its upper triangle <- sum over rows y of y^T y with y = (row - mean) by^T, `by` [size][count] or
 * NULL for the rows themselves; in batches, so that no second set of double precision is held. */
static ts_status sum_products(const ts_feature_moments *m, const double *by, int size, int threads,
                              double *product)
{
    const size_t q = (size_t)m->count, p = (size_t)size;
    const int64_t batch = smaller(m->n, BATCH);
    double *rows = numbers((size_t)batch * q), *made = by ? numbers((size_t)batch * p) : rows;
    const bool ready = rows && made;
    for (int64_t first = 0; first < m->n && ready; first += batch) {
        const int64_t count = smaller(batch, m->n - first);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int64_t i = 0; i < count; i += SLICE) {
            const int64_t slice = smaller(SLICE, count - i);
            centre(m, first + i, slice, rows + (size_t)i * q);
            if (by)
                cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)slice, size, m->count, 1,
                            rows + (size_t)i * q, m->count, by, m->count, 0, made + (size_t)i * p, size);
        }
        ts_symmetric_product(made, (int)count, size, false, first ? 1 : 0, threads, product);
    }
    if (by)
        free(made);
    free(rows);
    return ready ? NULL : no_memory();
}

static ts_status fill(ts_feature_moments *m, int threads)
{
    const size_t q = (size_t)m->count;
    const bool by_rows = m->n <= m->count;
    m->rank = by_rows ? (int)m->n : m->count;
    m->mean = calloc(q, sizeof(double));
    m->factor = numbers((size_t)m->rank * q);
    m->sums = numbers((size_t)m->groups * q);
    m->squares = numbers((size_t)m->groups);
    if (!m->mean || !m->factor || !m->sums || !m->squares)
        return no_memory();
    sum_groups(m, threads);
    for (int g = 0; g < m->groups; g++)
        m->trace += m->squares[g] / (double)(m->n - 1);
    const double scale = 1 / (double)(m->n - 1);
    if (by_rows) {
        centre(m, 0, m->n, m->factor);
        for (size_t i = 0; i < (size_t)m->rank * q; i++)
            m->factor[i] *= sqrt(scale);
        return NULL;
    }
    TS_TRY(sum_products(m, NULL, m->count, threads, m->factor));
    for (size_t i = 0; i < q * q; i++)
        m->factor[i] *= scale;
    return factorise(m->count, m->factor);
}

ts_status ts_feature_moments_create(const ts_feature_set *set, int threads, ts_feature_moments **moments)
{
    *moments = NULL;
    if (set->n < 2 || set->n > INT32_MAX)
        return ts_error(TS_INVALID, "Frechet distance: needs at least two points in each set (has %lld)",
                        (long long)set->n);
    ts_feature_moments *m = calloc(1, sizeof *m);
    if (!m)
        return no_memory();
    *m = (ts_feature_moments){.set = set, .count = set->count, .n = set->n, .groups = set->groups};
    ts_status status = fill(m, ts_quality_threads(threads));
    if (status)
        ts_feature_moments_free(m);
    else
        *moments = m;
    return status;
}

ts_status ts_feature_moments_of(int count, const double *mean, const double *covariance,
                                ts_feature_moments **moments)
{
    const size_t q = (size_t)count;
    ts_feature_moments *m = calloc(1, sizeof *m);
    *moments = NULL;
    if (!m)
        return no_memory();
    *m = (ts_feature_moments){.count = count, .rank = count, .mean = numbers(q), .factor = numbers(q * q)};
    ts_status status = m->mean && m->factor ? NULL : no_memory();
    ts_quality_threads(1);
    for (size_t i = 0; i < q * q && !status; i++) {
        m->factor[i] = covariance[i];
        if (!isfinite(covariance[i]) || !isfinite(mean[i / q]))
            status = ts_error(TS_NOT_FINITE, "Frechet distance: a mean or covariance is not finite");
    }
    for (size_t i = 0; i < q && !status; i++) {
        m->mean[i] = mean[i];
        m->trace += covariance[i * q + i];
    }
    if (!status)
        status = factorise(count, m->factor);
    if (status)
        ts_feature_moments_free(m);
    else
        *moments = m;
    return status;
}

void ts_feature_moments_free(ts_feature_moments *moments)
{
    if (!moments)
        return;
    free(moments->mean);
    free(moments->factor);
    free(moments->sums);
    free(moments->squares);
    free(moments);
}

int ts_feature_moments_count(const ts_feature_moments *moments)
{
    return moments->count;
}

void ts_feature_moments_write(const ts_feature_moments *m, double *mean, double *covariance)
{
    memcpy(mean, m->mean, sizeof *mean * (size_t)m->count);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m->count, m->count, m->rank, 1, m->factor, m->count,
                m->factor, m->count, 0, covariance, m->count);
}

/* ---- distances ---- */

/* One set, some of whose groups are left out, against another that is whole: the Gram matrix of the first's rows in the
 * second's factor, y = (row - mean) factor^T. */
typedef struct pair {
    const ts_feature_moments *part, *whole;
    bool by_rows; /* gram [n][n], of the rows y; else [rank][rank], of their columns */
    int size;
    double *gram, *y; /* y [n][rank]: with by_rows */
} pair;

static void pair_free(pair *p)
{
    free(p->gram);
    free(p->y);
}

/* Moments alone: what their factor's rows are, centred as they are, serves. */
static ts_status pair_of_moments(pair *p)
{
    const int rank = p->part->rank, size = p->whole->rank;
    p->size = size;
    p->y = numbers((size_t)rank * (size_t)size);
    p->gram = numbers((size_t)size * (size_t)size);
    if (!p->y || !p->gram)
        return no_memory();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rank, size, p->part->count, 1, p->part->factor,
                p->part->count, p->whole->factor, p->part->count, 0, p->y, size);
    ts_symmetric_product(p->y, rank, size, false, 0, 1, p->gram);
    return NULL;
}

static ts_status pair_make(pair *p, const ts_feature_moments *part, const ts_feature_moments *whole,
                           int threads)
{
    *p = (pair){.part = part, .whole = whole};
    if (!part->set)
        return pair_of_moments(p);
    p->by_rows = part->n <= whole->rank;
    p->size = p->by_rows ? (int)part->n : whole->rank;
    p->gram = numbers((size_t)p->size * (size_t)p->size);
    if (!p->gram)
        return no_memory();
    if (!p->by_rows)
        return sum_products(part, whole->factor, p->size, threads, p->gram);
    const size_t q = (size_t)part->count, r = (size_t)whole->rank;
    double *rows = numbers((size_t)part->n * q);
    p->y = numbers((size_t)part->n * r);
    ts_status status = rows && p->y ? NULL : no_memory();
    if (!status) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int64_t i = 0; i < part->n; i += SLICE) {
            const int64_t slice = smaller(SLICE, part->n - i);
            centre(part, i, slice, rows + (size_t)i * q);
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)slice, whole->rank, part->count, 1,
                        rows + (size_t)i * q, part->count, whole->factor, part->count, 0,
                        p->y + (size_t)i * r, whole->rank);
        }
        ts_symmetric_product(p->y, whole->rank, p->size, true, 0, threads, p->gram);
    }
    free(rows);
    return status;
}

/* The Gram matrix of the rows that are left, centred anew: matrix [left][left]; returns left. */
static int leave_out_rows(const pair *p, int left_out, double *matrix)
{
    const int64_t n = p->size;
    const int64_t first = left_out < 0 ? n : p->part->set->first[left_out];
    const int64_t gone = left_out < 0 ? 0 : p->part->set->first[left_out + 1] - first, left = n - gone;
    double *means = matrix + left * left, mean = 0; /* behind it there is room */
    for (int64_t i = 0; i < left; i++)
        for (int64_t j = i; j < left; j++) {
            const int64_t from = i < first ? i : i + gone, to = j < first ? j : j + gone;
            matrix[i * left + j] = matrix[j * left + i] = p->gram[from * n + to];
        }
    for (int64_t i = 0; i < left; i++) {
        means[i] = 0;
        for (int64_t j = 0; j < left; j++)
            means[i] += matrix[i * left + j] / (double)left;
        mean += means[i] / (double)left;
    }
    for (int64_t i = 0; i < left; i++)
        for (int64_t j = i; j < left; j++)
            matrix[i * left + j] += mean - means[i] - means[j];
    return (int)left;
}

/* The Gram matrix of columns less the group's, about the mean of what is left: matrix [size][size]. */
static ts_status leave_out_columns(const pair *p, int left_out, double *matrix)
{
    const ts_feature_moments *part = p->part;
    const size_t q = (size_t)part->count, r = (size_t)p->size;
    memcpy(matrix, p->gram, sizeof *matrix * r * r);
    if (left_out < 0)
        return NULL;
    const int64_t first = part->set->first[left_out], gone = part->set->first[left_out + 1] - first;
    const int64_t slice = smaller(gone, BATCH);
    double *rows = numbers((size_t)slice * q), *y = numbers((size_t)slice * r), *sum = calloc(r, sizeof *sum);
    const bool ready = rows && y && sum;
    for (int64_t i = 0; i < gone && ready; i += slice) {
        const int count = (int)smaller(slice, gone - i);
        centre(part, first + i, count, rows);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count, p->size, part->count, 1, rows,
                    part->count, p->whole->factor, part->count, 0, y, p->size);
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, p->size, count, -1, y, p->size, 1, matrix,
                    p->size);
        for (int k = 0; k < count; k++)
            cblas_daxpy(p->size, 1, y + (size_t)k * r, 1, sum, 1);
    }
    if (ready) /* the rows that are left add up to the negative of those that went */
        cblas_dsyr(CblasRowMajor, CblasUpper, p->size, -1 / (double)(part->n - gone), sum, 1, matrix,
                   p->size);
    free(sum);
    free(y);
    free(rows);
    return ready ? NULL : no_memory();
}

/* The distance without a group (-1: none); work [size (size + 1) + count]. */
static ts_status distance_without(const pair *p, int left_out, double *work, double *distance,
                                  double *mean_term)
{
    const ts_feature_moments *part = p->part, *whole = p->whole;
    double *shift = work, *matrix = work + part->count, trace, total = 0, nuclear;
    int size = p->size;
    trace = trace_without(part, left_out, shift);
    for (int j = 0; j < part->count; j++) {
        const double difference = part->mean[j] + shift[j] - whole->mean[j];
        total += difference * difference;
    }
    if (p->by_rows)
        size = leave_out_rows(p, left_out, matrix);
    else
        TS_TRY(leave_out_columns(p, left_out, matrix));
    TS_TRY(root_trace(size, matrix, &nuclear));
    if (part->set) {
        const int64_t n = part->n - (left_out < 0 ? 0 : ts_jackknife_size(part->n, left_out));
        nuclear /= sqrt((double)(n - 1));
    }
    *mean_term = total;
    *distance = fmax(0, total + trace + whole->trace - 2 * nuclear);
    return NULL;
}

/* values: the distance, then without each group of a (unless it is too small), then without each of b. */
static ts_status all_distances(const pair sides[2], const int groups[2], int threads, ts_progress *progress,
                               double *values, double *mean_term)
{
    const size_t size = (size_t)(sides[0].size > sides[1].size ? sides[0].size : sides[1].size);
    const size_t room = size * (size + 1) + (size_t)sides[0].part->count;
    const int count = 1 + groups[0] + groups[1], workers = threads < count ? threads : count;
    double *work = numbers((size_t)workers * room);
    ts_status failure = NULL;
    int done = 0;
    if (!work)
        return no_memory();
#pragma omp parallel for schedule(dynamic) num_threads(workers)
    for (int k = 0; k < count; k++) {
        const int side = k > 0 && k <= groups[0] ? 0 : 1, group = side ? k - 1 - groups[0] : k - 1;
        double unused;
        ts_status status =
            ts_progress_stopped(progress)
                ? ts_error(TS_INTERRUPTED, "Frechet distance: interrupted")
                : distance_without(&sides[side], k ? group : -1, work + (size_t)omp_get_thread_num() * room,
                                   &values[k], k ? &unused : mean_term);
#pragma omp critical(ts_frechet_failure)
        {
            if (failure)
                ts_status_free(status);
            else
                failure = status;
            ts_progress_report(progress, "Frechet distance", ++done, count, "eigenproblems", NULL);
        }
    }
    free(work);
    return failure;
}

ts_status ts_frechet_distance(const ts_feature_moments *a, const ts_feature_moments *b, int threads,
                              ts_progress *progress, ts_estimate *estimate, double *mean_term)
{
    if (a->count != b->count)
        return ts_error(TS_INVALID, "Frechet distance: sets of %d and %d features", a->count, b->count);
    const ts_feature_moments *const sets[2] = {a, b};
    const int workers = ts_quality_threads(threads);
    double values[1 + 2 * TS_JACKKNIFE_GROUPS], means;
    int groups[2];
    pair sides[2] = {0};
    ts_status status;
    for (int s = 0; s < 2; s++) /* what is left must have a covariance */
        groups[s] = sets[s]->set && sets[s]->n - ts_jackknife_size(sets[s]->n, 0) < 2 ? 0 : sets[s]->groups;
    TS_GOTO(pair_make(&sides[0], a, b, workers), done);
    TS_GOTO(pair_make(&sides[1], b, a, workers), done);
    TS_GOTO(all_distances(sides, groups, workers, progress, values, &means), done);
    *estimate = (ts_estimate){.value = values[0], .unbiased = values[0], .groups = {a->groups, b->groups}};
    for (int s = 0, at = 1; s < 2; at += groups[s++])
        if (sets[s]->set)
            ts_jackknife_side(estimate, s, sets[s]->n, groups[s] ? values + at : NULL);
    if (!a->set && !b->set) /* of neither the noise is known */
        estimate->variance[0] = NAN;
    if (mean_term)
        *mean_term = means;
done:
    pair_free(&sides[1]);
    pair_free(&sides[0]);
    return status;
}
