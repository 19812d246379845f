#include "quality/sets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quality/threads.h"

enum { BLOCK = 64 }; /* points that one thread turns into features at once */

static ts_status no_memory(int64_t n, int count)
{
    return ts_error(TS_NO_MEMORY, "no memory for %d features of each of %lld data", count, (long long)n);
}

static ts_status check_finite(const float *rows, int64_t n, int count)
{
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < count; j++)
            if (!isfinite(rows[i * count + j]))
                return ts_error(TS_NOT_FINITE, "feature %d of datum %lld is not finite", j, (long long)i);
    return NULL;
}

/* Row i goes where place[i] says: round the cycles of the permutation, so that no second set is needed. */
static void move_rows(float *rows, int64_t n, size_t count, int64_t *place, float *room)
{
    for (int64_t i = 0; i < n; i++)
        while (place[i] != i) {
            const int64_t to = place[i];
            float *here = rows + (size_t)i * count, *there = rows + (size_t)to * count;
            memcpy(room, there, sizeof *room * count);
            memcpy(there, here, sizeof *room * count);
            memcpy(here, room, sizeof *room * count);
            place[i] = place[to];
            place[to] = to;
        }
}

static ts_status order(ts_feature_set *s)
{
    int64_t next[TS_JACKKNIFE_GROUPS];
    uint8_t *group = malloc((size_t)s->n);
    int64_t *place = malloc(sizeof *place * (size_t)s->n);
    float *room = malloc(sizeof *room * (size_t)s->count);
    ts_status status = group && place && room ? ts_jackknife_assign(s->n, group) : no_memory(s->n, s->count);
    if (!status) {
        memcpy(next, s->first, sizeof next);
        for (int64_t i = 0; i < s->n; i++)
            place[i] = next[group[i]]++;
        move_rows(s->rows, s->n, (size_t)s->count, place, room);
    }
    free(room);
    free(place);
    free(group);
    return status;
}

ts_status ts_feature_set_take(float *rows, int64_t n, int count, ts_feature_set *set)
{
    *set = (ts_feature_set){.n = n, .count = count, .groups = ts_jackknife_groups(n), .rows = rows};
    for (int g = 0; g < set->groups; g++)
        set->first[g + 1] = set->first[g] + ts_jackknife_size(n, g);
    ts_status status = check_finite(rows, n, count);
    if (!status)
        status = order(set);
    if (status)
        ts_feature_set_release(set);
    return status;
}

static ts_status make_rows(const ts_features *f, const float *points, int64_t n, int threads, float *rows)
{
    const size_t d = (size_t)ts_features_dimension(f), q = (size_t)ts_features_count(f);
    const int64_t blocks = (n + BLOCK - 1) / BLOCK;
    const int workers = threads < blocks ? threads : (int)blocks;
    double *room = malloc(sizeof *room * (size_t)workers * BLOCK * (d + q));
    if (!room)
        return no_memory(n, (int)q);
#pragma omp parallel for schedule(dynamic) num_threads(workers)
    for (int64_t first = 0; first < n; first += BLOCK) {
        const int count = n - first < BLOCK ? (int)(n - first) : BLOCK;
        double *centred = room + (size_t)omp_get_thread_num() * BLOCK * (d + q), *out = centred + BLOCK * d;
        ts_features_of(f, points + (size_t)first * d, count, centred, out);
        for (size_t i = 0; i < (size_t)count * q; i++)
            rows[(size_t)first * q + i] = (float)out[i];
    }
    free(room);
    return NULL;
}

ts_status ts_feature_set_of(const ts_features *features, const float *points, int64_t n, int threads,
                            ts_feature_set *set)
{
    const int count = ts_features_count(features);
    float *rows = malloc(sizeof *rows * (size_t)n * (size_t)count);
    *set = (ts_feature_set){0};
    ts_status status =
        rows ? make_rows(features, points, n, ts_quality_threads(threads), rows) : no_memory(n, count);
    if (status)
        free(rows);
    else
        status = ts_feature_set_take(rows, n, count, set);
    return status;
}

void ts_feature_set_release(ts_feature_set *set)
{
    free(set->rows);
    *set = (ts_feature_set){0};
}
