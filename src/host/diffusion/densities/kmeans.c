#include "diffusion/densities/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/philox.h"

enum { LLOYD_STEPS = 20 };

typedef struct groups {
    const double *x; /* [n,d] */
    int64_t n;
    int d, k, threads;
    double *centre;  /* [k,d] */
    double *nearest; /* [n], squared distance to the nearest centre */
    int64_t *size;   /* [k] */
    int *label;      /* [n], which one that is */
} groups;

static double squared_distance(const double *a, const double *b, int d)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < d; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Takes centres first .. first + count - 1 into account. */
static void look_at(groups *g, int first, int count)
{
#pragma omp parallel for schedule(static) num_threads(g->threads)
    for (int64_t i = 0; i < g->n; i++)
        for (int k = first; k < first + count; k++) {
            const double distance = squared_distance(g->x + i * g->d, g->centre + (int64_t)k * g->d, g->d);
            if (distance < g->nearest[i]) {
                g->nearest[i] = distance;
                g->label[i] = k;
            }
        }
}

/* In (0, 1), of 53 bits. */
static double uniform(uint64_t seed, int index)
{
    const ts_step_state state = {.seed = seed};
    const ts_philox_words words = ts_random_words(&state, TS_STREAM_INIT, (uint32_t)index);
    return ((double)(words.v[0] >> 5) * 0x1p26 + (double)(words.v[1] >> 6) + 0.5) * 0x1p-53;
}

/* A point drawn in proportion to its squared distance from the centres so far. */
static int64_t draw(const groups *g, double u)
{
    double total = 0, below = 0;
    for (int64_t i = 0; i < g->n; i++)
        total += g->nearest[i];
    for (int64_t i = 0; i < g->n; i++) {
        below += g->nearest[i];
        if (below > u * total)
            return i;
    }
    return 0; /* every point is a centre */
}

static void choose_centres(groups *g, uint64_t seed)
{
    for (int64_t i = 0; i < g->n; i++)
        g->nearest[i] = 1;
    for (int k = 0; k < g->k; k++) {
        const int64_t chosen = draw(g, uniform(seed, k));
        memcpy(g->centre + (int64_t)k * g->d, g->x + chosen * g->d, sizeof *g->centre * (size_t)g->d);
        for (int64_t i = 0; k == 0 && i < g->n; i++)
            g->nearest[i] = INFINITY;
        look_at(g, k, 1);
    }
}

/* A centre goes to the mean of its points, if it has any. */
static void move_centres(groups *g)
{
    memset(g->size, 0, sizeof *g->size * (size_t)g->k);
    for (int64_t i = 0; i < g->n; i++)
        g->size[g->label[i]]++;
    for (int k = 0; k < g->k; k++)
        if (g->size[k])
            memset(g->centre + (int64_t)k * g->d, 0, sizeof *g->centre * (size_t)g->d);
    for (int64_t i = 0; i < g->n; i++)
        for (int j = 0; j < g->d; j++)
            g->centre[(int64_t)g->label[i] * g->d + j] += g->x[i * g->d + j] / (double)g->size[g->label[i]];
}

ts_status ts_kmeans(const double *x, int64_t n, int d, int k, uint64_t seed, int threads, int *label)
{
    groups g = {.x = x, .n = n, .d = d, .k = k, .threads = threads, .label = label};
    ts_status status = NULL;
    g.centre = calloc((size_t)k * (size_t)d, sizeof *g.centre);
    g.nearest = calloc((size_t)n, sizeof *g.nearest);
    g.size = calloc((size_t)k, sizeof *g.size);
    if (!g.centre || !g.nearest || !g.size)
        status = ts_error(TS_NO_MEMORY, "no memory for %d groups of points", k);
    if (!status)
        choose_centres(&g, seed);
    for (int step = 0; !status && step < LLOYD_STEPS; step++) {
        move_centres(&g);
        for (int64_t i = 0; i < n; i++)
            g.nearest[i] = INFINITY;
        look_at(&g, 0, k);
    }
    free(g.centre);
    free(g.nearest);
    free(g.size);
    return status;
}
