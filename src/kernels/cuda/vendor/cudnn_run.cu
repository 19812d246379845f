/*
 * cuDNN's graphs on a card: one plan for each key, chosen by timing at its first run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/vendor/libraries.h"

/* Configurations that are timed, and how many of them may be kernels that have to be compiled first, which
 * takes a second or two each; the second and third only for calls that take this many microseconds. */
enum { TIMED = 8, TIMED_COMPILED = 3, WORTH_COMPILING = 200 };

struct ts_cuda_graph_entry {
    ts_cuda_graph_key key;
    ts_cudnn_graph *graph;
    ts_cudnn_plan plan; /* descriptor NULL: cuDNN has none */
    int first;          /* configuration of the plan before the algorithm is chosen */
    bool chosen;
    ts_cuda_graph_entry *next;
};

static ts_status failed(ts_device *device, const ts_cuda_graph_key *key, cudnnStatus_t status)
{
    char name[TS_CUDNN_TEXT], reason[256] = "";
    ts_cudnn_graph_name(key, name);
    TS_TRY(ts_cuda_check(device, cudaGetLastError(), name));
    cudnnGetLastErrorString(reason, sizeof reason);
    for (char *c = reason; *c; c++) /* messages have one line */
        if (*c == '\n')
            *c = ' ';
    return ts_error(status == CUDNN_STATUS_ALLOC_FAILED ? TS_NO_MEMORY : TS_DEVICE, "%s: %s (%s)", name,
                    cudnnGetErrorString(status), reason);
}

static ts_status handle_of(ts_device *device, ts_cuda_libraries *l)
{
    if (l->cudnn)
        return NULL;
    cudnnStatus_t status = cudnnCreate(&l->cudnn);
    if (!status)
        status = cudnnSetStream(l->cudnn, ts_cuda(device)->stream);
    if (!status)
        return NULL;
    if (l->cudnn)
        cudnnDestroy(l->cudnn);
    l->cudnn = NULL;
    TS_TRY(ts_cuda_check(device, cudaGetLastError(), "cuDNN"));
    return ts_error(TS_DEVICE, "cuDNN %zu does not start: %s", cudnnGetVersion(),
                    cudnnGetErrorString(status));
}

/* The key as it stands in the text of algorithms. */
static void key_text(const ts_cuda_graph_key *k, char *text, size_t room)
{
    const ts_window *const w = &k->window;
    snprintf(text, room, "graph %d %d %d %d %d %d %d %d %d %d %d %d %d,%d,%d,%d,%d,%d %a", k->pass, k->n,
             k->h, k->w, k->ci, k->co, k->bf16, k->bias, k->residual, k->accumulate, k->rounded, k->relu,
             w->h, w->w, w->stride_h, w->stride_w, w->pad_h, w->pad_w, (double)k->scale);
}

/* ---- entries ---- */

/* The plan of a configuration, if cuDNN can make it with the workspace that there may be. */
static bool make_plan(const ts_cuda_libraries *l, const ts_cuda_graph_entry *e, int configuration,
                      ts_cudnn_plan *plan)
{
    const ts_cudnn_target target = {l->cudnn, NULL};
    if (ts_cudnn_plan_make(&target, e->graph, configuration, plan)) {
        cudaGetLastError(); /* what it left there the next launch would take for its own */
        return false;
    }
    if ((size_t)plan->workspace > l->workspace_limit)
        ts_cudnn_plan_free(plan);
    return plan->descriptor != NULL;
}

/* The plan of an earlier run, or the first that cuDNN can make. */
static void plan_entry(const ts_cuda_libraries *l, ts_cuda_graph_entry *e)
{
    char text[TS_CUDNN_TEXT];
    size_t length = 0;
    key_text(&e->key, text, sizeof text);
    const char *const earlier = ts_cuda_earlier_algorithm(l, text, &length);
    const int configuration = earlier ? ts_cudnn_configuration_of(e->graph, earlier, length) : -1;
    e->chosen = configuration >= 0 && make_plan(l, e, configuration, &e->plan);
    for (int i = 0; i < e->graph->count && !e->plan.descriptor; i++)
        if (make_plan(l, e, i, &e->plan))
            e->first = i;
}

static ts_status entry_of(ts_device *device, const ts_cuda_graph_key *key, ts_cuda_graph_entry **entry)
{
    ts_cuda_libraries *l = NULL;
    TS_TRY(ts_cuda_libraries_of(device, &l));
    ts_cuda_graph_entry **const bucket = &l->graphs[ts_cuda_bucket(key, sizeof *key)];
    for (ts_cuda_graph_entry *e = *bucket; e; e = e->next)
        if (memcmp(&e->key, key, sizeof *key) == 0) {
            *entry = e;
            return NULL;
        }
    TS_TRY(handle_of(device, l));
    ts_cuda_graph_entry *const e = static_cast<ts_cuda_graph_entry *>(calloc(1, sizeof *e));
    if (!e)
        return ts_error(TS_NO_MEMORY, "cannot allocate a plan");
    const ts_cudnn_target target = {l->cudnn, NULL};
    e->key = *key;
    ts_status status = ts_cudnn_graph_make(&target, key, &e->graph);
    if (status) {
        free(e);
        return status;
    }
    plan_entry(l, e);
    e->next = *bucket;
    *bucket = e;
    *entry = e;
    return NULL;
}

void ts_cuda_graphs_free(ts_cuda_libraries *l)
{
    for (int i = 0; i < TS_CUDA_BUCKETS; i++)
        while (l->graphs[i]) {
            ts_cuda_graph_entry *const e = l->graphs[i];
            l->graphs[i] = e->next;
            ts_cudnn_plan_free(&e->plan);
            ts_cudnn_graph_free(e->graph);
            free(e);
        }
}

void ts_cuda_graphs_export(const ts_cuda_libraries *l, ts_cuda_text *text)
{
    char key[TS_CUDNN_TEXT];
    for (int i = 0; i < TS_CUDA_BUCKETS; i++)
        for (const ts_cuda_graph_entry *e = l->graphs[i]; e; e = e->next)
            if (e->chosen) {
                key_text(&e->key, key, sizeof key);
                ts_cuda_append(text, "%s: %s\n", key, e->plan.algorithm);
            }
}

/* ---- running ---- */

typedef struct run {
    const ts_cuda_graph_key *key;
    const ts_cudnn_plan *plan;
    ts_cuda_graph_data data;
} run;

static ts_status run_plan(ts_device *device, void *context)
{
    const run *const r = static_cast<const run *>(context);
    void *workspace = NULL;
    if (r->plan->workspace > 0)
        TS_TRY(ts_cuda_scratch(device, TS_CUDA_SLOT_WORKSPACE, (size_t)r->plan->workspace, &workspace));
    device->launches++;
    const cudnnStatus_t status =
        ts_cudnn_plan_run(ts_cuda(device)->libraries->cudnn, r->key, r->plan, &r->data, workspace);
    return status ? failed(device, r->key, status) : NULL;
}

/* Timed runs of what is added to something add to scratch instead. */
static ts_status redirect(ts_device *device, const ts_cuda_graph_key *k, ts_cuda_graph_data *data)
{
    const bool weights = k->pass == TS_CUDA_CONV_WEIGHTS;
    if (!k->accumulate)
        return NULL;
    const size_t count =
        (weights ? (size_t)k->co * 9 : (size_t)k->n * (size_t)k->h * (size_t)k->w) * (size_t)k->ci;
    return ts_cuda_scratch(device, TS_CUDA_SLOT_TUNING, count * (weights || !k->bf16 ? 4 : 2),
                           weights ? &data->weight : &data->x);
}

/* The race for a key so far. */
typedef struct race {
    float best; /* microseconds */
    int timed, compiled, precompiled;
} race;

/* cuDNN's order is its prediction, so nothing is compiled once a kernel that comes with it stands ahead; of
 * what there is to compile the first serves, unless a call takes so long that a better one pays for it. */
static bool may_start(const race *r, const ts_cudnn_configuration *c)
{
    if (r->timed == TIMED)
        return false;
    return !c->compiled || (!r->precompiled && r->compiled < TIMED_COMPILED && r->best > WORTH_COMPILING);
}

/* Times a plan, which takes the entry's place where it is faster; one that does not run is out. */
static ts_status start(ts_device *device, ts_cuda_graph_entry *e, const ts_cudnn_configuration *c,
                       ts_cudnn_plan *plan, const ts_cuda_graph_data *data, race *r)
{
    run one = {&e->key, plan, *data};
    float time = INFINITY;
    ts_status status = ts_cuda_time(device, run_plan, &one, r->best, &time);
    if (ts_cuda(device)->latched != TS_OK)
        return status;
    const bool ran = !status;
    ts_status_free(status);
    r->timed++;
    r->compiled += c->compiled;
    r->precompiled += ran && !c->compiled;
    if (ran && time < r->best) {
        const ts_cudnn_plan slower = e->plan;
        e->plan = *plan;
        *plan = slower;
        r->best = time;
    }
    return NULL;
}

/* Keeps the fastest of the likely configurations. */
static ts_status choose(ts_device *device, ts_cuda_graph_entry *e, const ts_cuda_graph_data *data)
{
    const ts_cuda_libraries *const l = ts_cuda(device)->libraries;
    ts_cuda_graph_data scratch = *data;
    race r = {INFINITY, 0, 0, 0};
    ts_status status = redirect(device, &e->key, &scratch);
    if (ts_status_code(status) == TS_NO_MEMORY) { /* then the likely one has to do */
        ts_status_free(status);
        e->chosen = true;
        return NULL;
    }
    if (!status) {
        ts_cudnn_plan first = e->plan;
        status = start(device, e, &e->graph->configurations[e->first], &first, &scratch, &r);
    }
    for (int i = e->first + 1; i < e->graph->count && !status; i++) {
        ts_cudnn_plan plan = {};
        if (!may_start(&r, &e->graph->configurations[i]) || !make_plan(l, e, i, &plan))
            continue;
        status = start(device, e, &e->graph->configurations[i], &plan, &scratch, &r);
        ts_cudnn_plan_free(&plan); /* whichever lost */
    }
    e->chosen = !status;
    return status;
}

ts_status ts_cuda_graph_supported(ts_device *device, const ts_cuda_graph_key *key, bool *supported)
{
    ts_cuda_graph_entry *e = NULL;
    *supported = false;
    TS_TRY(entry_of(device, key, &e));
    *supported = e->plan.descriptor != NULL;
    return NULL;
}

ts_status ts_cuda_graph_run(ts_device *device, const ts_cuda_graph_key *key, const ts_cuda_graph_data *data)
{
    ts_cuda_graph_entry *e = NULL;
    TS_TRY(entry_of(device, key, &e));
    if (!e->plan.descriptor) {
        char name[TS_CUDNN_TEXT];
        ts_cudnn_graph_name(key, name);
        return ts_error(TS_UNSUPPORTED, "%s: cuDNN %zu has no plan for it on %s", name, cudnnGetVersion(),
                        device->description);
    }
    if (!e->chosen && !ts_cuda(device)->recording)
        TS_TRY(choose(device, e, data));
    run r = {key, &e->plan, *data};
    return run_plan(device, &r);
}
