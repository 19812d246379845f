#include <stdlib.h>
#include <string.h>
#include "data/files.h"
#include "data/permutation.h"

/* things [n] <- things order[0], order[1], ..., a cycle of them at a time; order becomes 0, 1, ... */
static void reorder(void *things, size_t size, int64_t n, uint32_t *order, void *moved)
{
    char *at = things;
    for (int64_t i = 0; i < n; i++) {
        if (order[i] == i)
            continue;
        memcpy(moved, at + size * (size_t)i, size);
        size_t to = (size_t)i;
        while (order[to] != i) {
            const size_t from = order[to];
            memcpy(at + size * to, at + size * from, size);
            order[to] = (uint32_t)to;
            to = from;
        }
        memcpy(at + size * to, moved, size);
        order[to] = (uint32_t)to;
    }
}

static ts_status shuffle(ts_image_set *all, uint64_t key)
{
    const size_t size = (size_t)all->h * (size_t)all->w * (size_t)all->c;
    uint32_t *order = malloc((size_t)all->count * sizeof *order);
    void *moved = malloc(size > sizeof *all->labels ? size : sizeof *all->labels);
    ts_status status = NULL;
    if (!order || !moved)
        status = ts_error(TS_NO_MEMORY, "%s: no memory to split it", all->name);
    else {
        ts_permutation(key, all->count, order);
        reorder(all->bytes, size, all->count, order, moved);
    }
    if (!status && all->labels) {
        ts_permutation(key, all->count, order);
        reorder(all->labels, sizeof *all->labels, all->count, order, moved);
    }
    free(order);
    free(moved);
    return status;
}

/* set <- the last `count` of `all`, which loses them. */
static ts_status take_end(ts_image_set *all, int64_t count, ts_image_set *set)
{
    const size_t size = (size_t)all->h * (size_t)all->w * (size_t)all->c,
                 first = (size_t)(all->count - count);
    *set = *all;
    set->count = count;
    set->labels = all->labels ? malloc((size_t)count * sizeof *set->labels) : NULL;
    set->bytes = malloc((size_t)count * size);
    if (!set->bytes || (all->labels && !set->labels))
        return ts_error(TS_NO_MEMORY, "%s: no memory to split it", all->name);
    memcpy(set->bytes, all->bytes + first * size, (size_t)count * size);
    if (set->labels)
        memcpy(set->labels, all->labels + first, (size_t)count * sizeof *set->labels);
    all->count -= count;
    return NULL;
}

ts_status ts_split(ts_image_set *all, uint64_t key, int64_t held_out, ts_image_set *train, ts_image_set *test)
{
    *train = *all;
    *all = (ts_image_set){.count = 0};
    if (train->count > UINT32_MAX)
        return ts_error(TS_FORMAT, "%s: %lld images; up to %u are split", train->name,
                        (long long)train->count, UINT32_MAX);
    TS_TRY(shuffle(train, key));
    return take_end(train, held_out, test);
}
