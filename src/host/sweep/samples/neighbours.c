/* The training datum nearest to each of a row's first samples: whether the network knows its data by heart. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quality/neighbours.h"

/* As many samples as the page's grids show; training data that are read at once. */
enum { LOOKED_AT = 64, CHUNK = 4096 };

/* nearest [count][d], distance [count] of x [count][d] among all training data. */
static ts_status search(const ts_worker *w, const float *x, int count, float *nearest, double *distance)
{
    const ts_sweep *s = w->sweep;
    const ts_data *train = &s->run->dataset->train;
    const size_t d = (size_t)s->d;
    const int64_t chunk = train->count < CHUNK ? train->count : CHUNK;
    float *data = malloc(sizeof *data * (size_t)chunk * d);
    int64_t places[LOOKED_AT];
    double squared[LOOKED_AT];
    ts_status status =
        data ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory for %lld data", (long long)chunk);
    for (int i = 0; i < count; i++)
        distance[i] = INFINITY;
    for (int64_t first = 0; first < train->count && !status; first += chunk) {
        const int64_t size = train->count - first < chunk ? train->count - first : chunk;
        status = ts_dataset_read(train, (uint64_t)s->config->run.seed, first, size, data);
        if (!status)
            status = ts_nearest(x, count, data, size, s->d, w->run.device->threads, places, squared);
        for (int i = 0; i < count && !status; i++)
            if (squared[i] < distance[i]) {
                distance[i] = squared[i];
                memcpy(nearest + (size_t)i * d, data + (size_t)places[i] * d, sizeof *nearest * d);
            }
    }
    for (int i = 0; i < count; i++) /* the root mean square over pixels */
        distance[i] = sqrt(distance[i] / s->d);
    free(data);
    return status;
}

ts_status ts_sweep_neighbours(ts_worker *w, const char *name, const char *sections, const char *inputs,
                              const float *x)
{
    const ts_sweep *s = w->sweep;
    const ts_data *data = &s->run->dataset->test;
    const int count = s->config->sweep.samples < LOOKED_AT ? s->config->sweep.samples : LOOKED_AT;
    float *nearest = malloc(sizeof *nearest * (size_t)count * (size_t)s->d);
    double distance[LOOKED_AT];
    bool found;
    if (!nearest)
        return ts_error(TS_NO_MEMORY, "sweep: no memory for %d data", count);
    const ts_part_file file = {TS_NEIGHBOURS_FOLDER, name, sections, inputs};
    const ts_part_tensor tensors[] = {{"x", TS_ST_F32, 4, {count, data->h, data->w, data->c}, nearest},
                                      {"distance", TS_ST_F64, 1, {count}, distance}};
    ts_status status = ts_part_load(s, &file, tensors, 2, &found);
    if (!status && !found)
        status = search(w, x, count, nearest, distance);
    if (!status && !found)
        status = ts_part_save(s, &file, tensors, 2);
    free(nearest);
    return status;
}

void ts_sweep_forget_neighbours(const ts_sweep *s, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s/%s.safetensors", s->dir, TS_NEIGHBOURS_FOLDER, name) < 0)
        return;
    unlink(path);
    free(path);
}
