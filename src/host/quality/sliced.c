#include "quality/sliced.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"
#include "quality/threads.h"

#define KEPT_BYTES ((size_t)64 << 20)

enum { NONE = 255 }; /* no group */

/* A projected point, and the jackknife group it is in. */
typedef struct point {
    double value;
    int32_t group;
} point;

struct ts_projections {
    const float *points;
    int64_t n;
    int d, directions;
    uint64_t seed;
    uint8_t *group;
    int kept;      /* directions whose list is held */
    point *sorted; /* [kept][n] */
};

double ts_wasserstein2_sorted(const double *a, int64_t n, const double *b, int64_t m)
{
    double total = 0;
    for (int64_t i = 0, j = 0, from = 0; i < n && j < m;) {
        /* the next breakpoint of either quantile function, times n m: (i+1)/n against (j+1)/m without
         * rounding */
        const int64_t left = (i + 1) * m, right = (j + 1) * n, to = left < right ? left : right;
        total += (double)(to - from) * ((a[i] - b[j]) * (a[i] - b[j]));
        from = to;
        i += left <= right;
        j += right <= left;
    }
    return total / ((double)n * (double)m);
}

/* ---- projecting ---- */

/* A direction uniform on the sphere: normalised normals (Box-Muller on Philox words). */
static void draw_direction(uint64_t seed, int index, int d, double *direction)
{
    const ts_step_state state = {.seed = seed, .step = 0, .instance = (uint32_t)index};
    double square = 0;
    for (int j = 0; j < d; j += 2) {
        const ts_philox_words words = ts_random_words(&state, TS_STREAM_PROJECT, (uint32_t)(j / 2));
        const double u = (words.v[0] + 0.5) * 0x1p-32, angle = 2 * M_PI * (words.v[1] + 0.5) * 0x1p-32;
        const double radius = sqrt(-2 * log(u));
        direction[j] = radius * sin(angle);
        square += direction[j] * direction[j];
        if (j + 1 < d) {
            direction[j + 1] = radius * cos(angle);
            square += direction[j + 1] * direction[j + 1];
        }
    }
    const double scale = 1 / sqrt(square);
    for (int j = 0; j < d; j++)
        direction[j] *= scale;
}

static int compare(const void *left, const void *right)
{
    const double a = ((const point *)left)->value, b = ((const point *)right)->value;
    return (a > b) - (a < b);
}

/* out [n] <- the set on direction `index`, sorted; direction [d] is scratch. */
static void project_and_sort(const ts_projections *p, int index, double *direction, point *out)
{
    draw_direction(p->seed, index, p->d, direction);
    for (int64_t i = 0; i < p->n; i++) {
        const float *x = p->points + i * p->d;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < p->d; j++)
            sum += direction[j] * x[j];
        out[i] = (point){sum, p->group[i]};
    }
    qsort(out, (size_t)p->n, sizeof *out, compare);
}

static ts_status keep_lists(ts_projections *p, int threads)
{
    const size_t list = sizeof *p->sorted * (size_t)p->n;
    p->kept = KEPT_BYTES / list < (size_t)p->directions ? (int)(KEPT_BYTES / list) : p->directions;
    p->sorted = malloc(p->kept ? list * (size_t)p->kept : 1);
    double *direction = malloc(sizeof *direction * (size_t)p->d * (size_t)threads);
    if (!p->sorted || !direction) {
        free(direction);
        return ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory for %lld points",
                        (long long)p->n);
    }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int i = 0; i < p->kept; i++)
        project_and_sort(p, i, direction + (size_t)omp_get_thread_num() * (size_t)p->d,
                         p->sorted + (size_t)i * (size_t)p->n);
    free(direction);
    return NULL;
}

ts_status ts_projections_create(const float *points, int64_t n, int d, int directions, uint64_t seed,
                                int threads, ts_projections **projections)
{
    *projections = NULL;
    if (n < 1 || d < 1 || directions < 1)
        return ts_error(TS_INVALID,
                        "sliced Wasserstein distance: needs at least one point and one direction, "
                        "not %lld and %d",
                        (long long)n, directions);
    ts_projections *p = calloc(1, sizeof *p);
    if (!p)
        return ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory");
    *p = (ts_projections){.points = points,
                          .n = n,
                          .d = d,
                          .directions = d == 1 ? 1 : directions,
                          .seed = seed,
                          .group = malloc((size_t)n)};
    ts_status status = p->group ? ts_jackknife_assign(n, p->group)
                                : ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory");
    if (!status)
        status = keep_lists(p, ts_quality_threads(threads));
    if (status)
        ts_projections_free(p);
    else
        *projections = p;
    return status;
}

void ts_projections_free(ts_projections *projections)
{
    if (!projections)
        return;
    free(projections->group);
    free(projections->sorted);
    free(projections);
}

/* ---- distances ---- */

/* One thread's memory for one direction. */
typedef struct work {
    point *points[2];
    double *whole[2], *part, *direction;
} work;

static void work_free(work *w)
{
    for (int s = 0; s < 2; s++) {
        free(w->points[s]);
        free(w->whole[s]);
    }
    free(w->part);
    free(w->direction);
}

static bool work_make(work *w, const ts_projections *const sets[2])
{
    *w = (work){.part = malloc(sizeof(double) * (size_t)(sets[0]->n > sets[1]->n ? sets[0]->n : sets[1]->n)),
                .direction = malloc(sizeof(double) * (size_t)sets[0]->d)};
    bool made = w->part && w->direction;
    for (int s = 0; s < 2; s++) {
        const bool all_kept = sets[s]->kept == sets[s]->directions;
        w->points[s] = malloc(all_kept ? 1 : sizeof(point) * (size_t)sets[s]->n);
        w->whole[s] = malloc(sizeof(double) * (size_t)sets[s]->n);
        made = made && w->points[s] && w->whole[s];
    }
    return made;
}

static const point *sorted_list(const ts_projections *p, int index, work *w, point *room)
{
    if (index < p->kept)
        return p->sorted + (size_t)index * (size_t)p->n;
    project_and_sort(p, index, w->direction, room);
    return room;
}

/* The values of a sorted list without a group; returns how many. */
static int64_t leave_out(const point *list, int64_t n, int group, double *values)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        values[count] = list[i].value;
        count += list[i].group != group;
    }
    return count;
}

/* out: the squared distance on one direction, then without each group of the first set, then without each of
 * the second's. */
static void distances_on(const ts_projections *const sets[2], int index, work *w, double *out)
{
    const point *lists[2];
    for (int s = 0; s < 2; s++) {
        lists[s] = sorted_list(sets[s], index, w, w->points[s]);
        leave_out(lists[s], sets[s]->n, NONE, w->whole[s]);
    }
    *out++ = ts_wasserstein2_sorted(w->whole[0], sets[0]->n, w->whole[1], sets[1]->n);
    for (int s = 0; s < 2; s++) {
        const int groups = ts_jackknife_groups(sets[s]->n);
        const int64_t others = sets[!s]->n;
        for (int g = 0; g < groups; g++) {
            const int64_t count = leave_out(lists[s], sets[s]->n, g, w->part);
            *out++ = ts_wasserstein2_sorted(w->part, count, w->whole[!s], others);
        }
    }
}

static ts_status distances_on_all(const ts_projections *const sets[2], int columns, int threads, double *all)
{
    bool short_of_memory = false;
#pragma omp parallel num_threads(threads)
    {
        work w;
        const bool made = work_make(&w, sets);
        if (!made) {
#pragma omp atomic write
            short_of_memory = true;
        }
        /* each direction has its own row, so the result does not depend on who computed it */
#pragma omp for schedule(dynamic)
        for (int i = 0; i < sets[0]->directions; i++)
            if (made)
                distances_on(sets, i, &w, all + (size_t)i * (size_t)columns);
        work_free(&w);
    }
    return short_of_memory ? ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory") : NULL;
}

ts_status ts_projections_distance(const ts_projections *a, const ts_projections *b, int threads,
                                  ts_estimate *estimate)
{
    if (a->d != b->d || a->directions != b->directions || a->seed != b->seed)
        return ts_error(TS_INVALID,
                        "sliced Wasserstein distance: sets of %d and %d dimensions on %d and %d directions",
                        a->d, b->d, a->directions, b->directions);
    const ts_projections *const sets[2] = {a, b};
    const int groups[2] = {ts_jackknife_groups(a->n), ts_jackknife_groups(b->n)};
    const int columns = 1 + groups[0] + groups[1];
    double *all = malloc(sizeof *all * (size_t)columns * (size_t)a->directions);
    if (!all)
        return ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory");
    ts_status status = distances_on_all(sets, columns, ts_quality_threads(threads), all);
    if (!status) {
        double means[1 + 2 * TS_JACKKNIFE_GROUPS] = {0};
        for (int i = 0; i < a->directions; i++)
            for (int k = 0; k < columns; k++)
                means[k] += all[(size_t)i * (size_t)columns + (size_t)k] / a->directions;
        for (int k = 0; k < columns; k++)
            means[k] = sqrt(means[k]);
        *estimate = (ts_estimate){.value = means[0], .unbiased = means[0]};
        ts_jackknife_side(estimate, 0, a->n, means + 1);
        ts_jackknife_side(estimate, 1, b->n, means + 1 + groups[0]);
    }
    free(all);
    return status;
}
