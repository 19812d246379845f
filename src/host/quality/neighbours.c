#include "quality/neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quality/threads.h"

enum { HEIGHT = 256, WIDTH = 512, K = TS_NEIGHBOURS, GROUPS = TS_JACKKNIFE_GROUPS };

/* A squared distance below this share of the squared norms is rounding. */
static const float rounding = 1e-6f;

static ts_status no_memory(void)
{
    return ts_error(TS_NO_MEMORY, "nearest neighbours: no memory");
}

/* ---- squared distances, a tile at a time ---- */

/* Points that distances are measured from and to, about a centre, which loses no digits to what all have in common. */
typedef struct cloud {
    const float *rows; /* [n][d] */
    int64_t n;
    int d;
    const float *centre; /* [d] */
} cloud;

/* One thread's memory. */
typedef struct tile {
    float *left, *right, *squared; /* [HEIGHT][d], [WIDTH][d], [HEIGHT][WIDTH] */
    float left_norms[HEIGHT], right_norms[WIDTH];
} tile;

static bool tile_make(tile *t, int d)
{
    t->left = malloc(sizeof(float) * HEIGHT * (size_t)d);
    t->right = malloc(sizeof(float) * WIDTH * (size_t)d);
    t->squared = malloc(sizeof(float) * HEIGHT * WIDTH);
    return t->left && t->right && t->squared;
}

static void tile_free(tile *t)
{
    free(t->left);
    free(t->right);
    free(t->squared);
}

static void take_rows(const cloud *c, int64_t first, int count, float *rows, float *norms)
{
    const size_t d = (size_t)c->d;
    for (size_t i = 0; i < (size_t)count; i++) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < d; j++) {
            rows[i * d + j] = c->rows[((size_t)first + i) * d + j] - c->centre[j];
            sum += rows[i * d + j] * rows[i * d + j];
        }
        norms[i] = sum;
    }
}

/* t->squared [height][WIDTH] <- from the rows in t->left to rows first .. first + width - 1 of `to`. */
static void measure(tile *t, int height, const cloud *to, int64_t first, int width)
{
    take_rows(to, first, width, t->right, t->right_norms);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, height, width, to->d, -2, t->left, to->d, t->right,
                to->d, 0, t->squared, WIDTH);
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++) {
            const float norms = t->left_norms[i] + t->right_norms[j],
                        squared = t->squared[i * WIDTH + j] + norms;
            t->squared[i * WIDTH + j] = squared > rounding * norms ? squared : 0;
        }
}

static int at_most(int64_t left, int most)
{
    return left < most ? (int)left : most;
}

/* What is done with a tile of distances, from rows i.. to rows j.. */
typedef void tile_visitor(void *context, const tile *t, int64_t i, int height, int64_t j, int width);

/* Progress of all passes together. */
typedef struct course {
    ts_progress *progress;
    double done, total;
} course;

/* All distances from one cloud to the other.  Rows are one thread's. */
static ts_status visit(const cloud *from, const cloud *to, int threads, course *c, tile_visitor *visitor,
                       void *context)
{
    bool failed = false;
#pragma omp parallel num_threads(threads)
    {
        tile t;
        const bool made = tile_make(&t, from->d);
        if (!made) {
#pragma omp atomic write
            failed = true;
        }
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < from->n; i += HEIGHT) {
            const int height = at_most(from->n - i, HEIGHT);
            if (!made || ts_progress_stopped(c->progress))
                continue;
            take_rows(from, i, height, t.left, t.left_norms);
            for (int64_t j = 0; j < to->n; j += WIDTH) {
                const int width = at_most(to->n - j, WIDTH);
                measure(&t, height, to, j, width);
                visitor(context, &t, i, height, j, width);
            }
#pragma omp critical(ts_neighbours_progress)
            ts_progress_report(c->progress, "nearest neighbours", c->done += height, c->total, "points",
                               NULL);
        }
        tile_free(&t);
    }
    if (failed)
        return no_memory();
    return ts_progress_stopped(c->progress) ? ts_error(TS_INTERRUPTED, "nearest neighbours: interrupted")
                                            : NULL;
}

/* ---- manifolds ---- */

/* Of each point the squared radius of its ball, whole and without each group. */
typedef struct manifold {
    const ts_feature_set *set;
    uint8_t *group;
    float *nearest; /* [n][groups][K]: ascending, of each group's points but the point itself */
    float *radius;  /* [n][1 + groups] */
    float *reach;   /* [n]: the largest of these */
    uint32_t *held; /* [n]: bit 0, within the other manifold; bit 1 + g, within it without its group g */
} manifold;

static void manifold_free(manifold *m)
{
    free(m->group);
    free(m->nearest);
    free(m->radius);
    free(m->reach);
    free(m->held);
}

static bool manifold_make(manifold *m, const ts_feature_set *set)
{
    const size_t n = (size_t)set->n, groups = (size_t)set->groups;
    *m = (manifold){.set = set,
                    .group = malloc(n),
                    .nearest = malloc(sizeof(float) * n * groups * K),
                    .radius = malloc(sizeof(float) * n * (groups + 1)),
                    .reach = malloc(sizeof(float) * n),
                    .held = calloc(n, sizeof(uint32_t))};
    if (!m->group || !m->nearest || !m->radius || !m->reach || !m->held)
        return false;
    for (size_t i = 0; i < n * groups * K; i++)
        m->nearest[i] = INFINITY;
    for (int g = 0; g < set->groups; g++)
        memset(m->group + set->first[g], g, (size_t)(set->first[g + 1] - set->first[g]));
    return true;
}

/* Into an ascending list of K. */
static void insert(float *list, float value)
{
    int at = K - 1;
    if (!(value < list[at]))
        return;
    for (; at > 0 && list[at - 1] > value; at--)
        list[at] = list[at - 1];
    list[at] = value;
}

static void see_neighbours(void *context, const tile *t, int64_t first, int height, int64_t to, int width)
{
    manifold *m = context;
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++)
            if (first + i != to + j)
                insert(m->nearest + ((first + i) * m->set->groups + m->group[to + j]) * K,
                       t->squared[i * WIDTH + j]);
}

static void find_radii(manifold *m)
{
    const int groups = m->set->groups;
    for (int64_t i = 0; i < m->set->n; i++) {
        float *radius = m->radius + i * (groups + 1);
        m->reach[i] = 0;
        for (int left_out = -1; left_out < groups; left_out++) {
            float list[K];
            for (int k = 0; k < K; k++)
                list[k] = INFINITY;
            for (int g = 0; g < groups; g++)
                for (int k = 0; k < K && g != left_out; k++)
                    insert(list, m->nearest[(i * groups + g) * K + k]);
            /* a point that is left out itself has no ball */
            radius[1 + left_out] = left_out == m->group[i] ? -1 : list[K - 1];
            m->reach[i] = fmaxf(m->reach[i], radius[1 + left_out]);
        }
    }
}

/* Bits of `held` that the ball of point i adds for a point so far away. */
static uint32_t holds(const manifold *m, int64_t i, float squared)
{
    const float *radius = m->radius + i * (m->set->groups + 1);
    uint32_t bits = 0;
    for (int k = 0; k <= m->set->groups; k++)
        bits |= (uint32_t)(squared <= radius[k]) << k;
    return bits;
}

static void add_bits(uint32_t *held, uint32_t bits)
{
    uint32_t now;
#pragma omp atomic read
    now = *held;
    if (bits & ~now) {
#pragma omp atomic
        *held |= bits;
    }
}

/* context: the manifolds of the rows and of the columns. */
static void see_each_other(void *context, const tile *t, int64_t first, int height, int64_t to, int width)
{
    manifold *rows = context, *columns = rows + 1;
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++) {
            const float squared = t->squared[i * WIDTH + j];
            if (squared <= rows->reach[first + i])
                add_bits(&columns->held[to + j], holds(rows, first + i, squared));
            if (squared <= columns->reach[to + j])
                add_bits(&rows->held[first + i], holds(columns, to + j, squared));
        }
}

/* The share of points, without those of a group, that have the bit. */
static double share(const manifold *m, int left_out, int bit)
{
    int64_t held = 0, count = 0;
    for (int64_t i = 0; i < m->set->n; i++)
        if (m->group[i] != left_out) {
            held += m->held[i] >> bit & 1;
            count++;
        }
    return (double)held / (double)count;
}

/* The share of `points` within the manifold of `others`; sides of the estimate: real, generated. */
static ts_estimate shares(const manifold *points, const manifold *others, int side_of_points)
{
    ts_estimate e = {.value = share(points, -1, 0)};
    const int64_t n = points->set->n, m = others->set->n;
    double without[GROUPS];
    e.unbiased = e.value;
    for (int g = 0; g < points->set->groups; g++)
        without[g] = share(points, g, 0);
    ts_jackknife_side(&e, side_of_points, n, without);
    for (int g = 0; g < others->set->groups; g++)
        without[g] = share(points, -1, 1 + g);
    ts_jackknife_side(&e, !side_of_points, m, m - ts_jackknife_size(m, 0) > K ? without : NULL);
    return e;
}

/* ---- the whole ---- */

static float *mean_row(const float *rows, int64_t n, int d)
{
    double *sum = calloc((size_t)d, sizeof *sum);
    float *mean = malloc(sizeof *mean * (size_t)d);
    for (int64_t i = 0; i < n && sum; i++)
        for (int j = 0; j < d; j++)
            sum[j] += rows[i * d + j];
    for (int j = 0; j < d && sum && mean; j++)
        mean[j] = (float)(sum[j] / (double)n);
    if (!sum) {
        free(mean);
        mean = NULL;
    }
    free(sum);
    return mean;
}

ts_status ts_precision_recall(const ts_feature_set *real, const ts_feature_set *generated, int threads,
                              ts_progress *progress, ts_estimate *precision, ts_estimate *recall)
{
    if (real->count != generated->count)
        return ts_error(TS_INVALID, "precision and recall: sets of %d and %d features", real->count,
                        generated->count);
    if (real->n <= K || generated->n <= K)
        return ts_error(TS_INVALID,
                        "precision and recall: need at least %d points in each set (has %lld and %lld)",
                        K + 1, (long long)real->n, (long long)generated->n);
    const int workers = ts_quality_threads(threads);
    manifold m[2] = {0};
    course c = {progress, 0, (double)(2 * real->n + generated->n)};
    float *centre = mean_row(real->rows, real->n, real->count);
    const cloud clouds[2] = {{real->rows, real->n, real->count, centre},
                             {generated->rows, generated->n, real->count, centre}};
    ts_status status = NULL;
    if (!manifold_make(&m[0], real) || !manifold_make(&m[1], generated) || !centre)
        status = no_memory();
    for (int s = 0; s < 2 && !status; s++) {
        status = visit(&clouds[s], &clouds[s], workers, &c, see_neighbours, &m[s]);
        find_radii(&m[s]);
    }
    if (!status)
        status = visit(&clouds[0], &clouds[1], workers, &c, see_each_other, m);
    if (!status) {
        *precision = shares(&m[1], &m[0], 1);
        *recall = shares(&m[0], &m[1], 0);
    }
    manifold_free(&m[1]);
    manifold_free(&m[0]);
    free(centre);
    return status;
}

typedef struct nearest_rows {
    int64_t *nearest;
    double *squared;
} nearest_rows;

static void see_nearest(void *context, const tile *t, int64_t first, int height, int64_t to, int width)
{
    nearest_rows *r = context;
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++)
            if (t->squared[i * WIDTH + j] < r->squared[first + i]) {
                r->squared[first + i] = t->squared[i * WIDTH + j];
                r->nearest[first + i] = to + j;
            }
}

ts_status ts_nearest(const float *x, int64_t n, const float *among, int64_t m, int d, int threads,
                     int64_t *nearest, double *squared)
{
    float *centre = mean_row(among, m, d);
    const cloud from = {x, n, d, centre}, to = {among, m, d, centre};
    nearest_rows rows = {nearest, squared};
    course c = {NULL, 0, (double)n};
    if (!centre)
        return no_memory();
    for (int64_t i = 0; i < n; i++) {
        squared[i] = INFINITY;
        nearest[i] = 0;
    }
    ts_status status = visit(&from, &to, ts_quality_threads(threads), &c, see_nearest, &rows);
    free(centre);
    return status;
}
