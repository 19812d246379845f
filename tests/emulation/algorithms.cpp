/*
 * What the libraries choose on the emulated card.  As on a card, the first call of a kind is timed and its
 * choice, which another run need not make, is kept; it must come before a recording, and every call uses
 * the libraries' workspace.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "kernels/cuda/vendor/libraries.h"
#include "libraries.hpp"
#include "simt.hpp"

struct ts_cuda_graph_entry {
    char *name;
    long plan;
    ts_cuda_graph_entry *next;
};

namespace
{
ts_status run_nothing(ts_device *, void *)
{
    return NULL;
}

ts_status choose(ts_device *device, const ts_cuda_libraries *l, ts_cuda_graph_entry *e)
{
    size_t length = 0;
    float microseconds = 0;
    const char *const earlier = ts_cuda_earlier_algorithm(l, e->name, &length);
    if (earlier) {
        e->plan = strtol(earlier, NULL, 10);
        return NULL;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    e->plan = now.tv_nsec;
    return ts_cuda_time(device, run_nothing, NULL, INFINITY, &microseconds);
}

ts_status entry_of(ts_device *device, const char *name, ts_cuda_graph_entry **entry)
{
    ts_cuda_libraries *l = NULL;
    TS_TRY(ts_cuda_libraries_of(device, &l));
    ts_cuda_graph_entry **const bucket = &l->graphs[ts_cuda_bucket(name, strlen(name))];
    for (*entry = *bucket; *entry; *entry = (*entry)->next)
        if (strcmp((*entry)->name, name) == 0)
            return NULL;
    if (ts_cuda(device)->recording)
        return ts_error(TS_INVALID, "%s: its first call is recorded", name);
    ts_cuda_graph_entry *const e = new ts_cuda_graph_entry{strdup(name), 0, *bucket};
    *entry = *bucket = e;
    return choose(device, l, e);
}
} // namespace

ts_status emulated_choose(ts_device *device, const char *name)
{
    ts_cuda_graph_entry *e = NULL;
    void *workspace = NULL;
    TS_TRY(entry_of(device, name, &e));
    const size_t bytes = 16 + ts_cuda_bucket(name, strlen(name)) * 64;
    TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_WORKSPACE, bytes, &workspace));
    simt::queue([=] { memset(workspace, 0xFF, bytes); });
    return NULL;
}

void ts_cuda_graphs_export(const ts_cuda_libraries *l, ts_cuda_text *text)
{
    for (const ts_cuda_graph_entry *first : l->graphs)
        for (const ts_cuda_graph_entry *e = first; e; e = e->next)
            ts_cuda_append(text, "%s: %ld\n", e->name, e->plan);
}

void ts_cuda_graphs_free(ts_cuda_libraries *l)
{
    for (ts_cuda_graph_entry *&first : l->graphs)
        while (first) {
            ts_cuda_graph_entry *const next = first->next;
            free(first->name);
            delete first;
            first = next;
        }
}

/* Products are among the graphs here. */
void ts_cuda_products_export(const ts_cuda_libraries *, ts_cuda_text *) {}
void ts_cuda_products_free(ts_cuda_libraries *) {}

/* There is none to measure. */
ts_status ts_cuda_ceiling(ts_device *, double *flops)
{
    *flops = 1e12;
    return NULL;
}
