/*
 * Golden features of InceptionV3 as pytorch-fid has it: its resizing, and the means over positions of four stages.
 * Weights come from the rule "philox inception 1" (README.md).  What such a file says of distances between features
 * is for the test of distances.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"
#include "nn/feature_network.h"

enum { STAGES = TS_INCEPTION_STAGES + 1, NAME = 96, MOST_NAMES = 600, SIDE = 299 };

static const int widths[STAGES] = {64, 192, 768, 2048};

/* All names of the public state dict, sorted: a tensor's index is its place. */
typedef struct weights {
    char names[MOST_NAMES][NAME];
    int count;
    golden *g;
    double sum, squares; /* of all that were made */
    double *checks;      /* [count,2]: first value, sum; NULL: not in the file */
} weights;

typedef struct model {
    ts_params *params;
    ts_graph *graph;
    ts_feature_network *network;
    ts_tensor x, means[STAGES];
} model;

/* ---- weights ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void add_name(weights *w, const char *name, const char *part)
{
    snprintf(w->names[w->count++], NAME, "%s.%s", name, part);
}

static void list_names(weights *w, const ts_feature_network *network)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var",
                                        "num_batches_tracked"};
    for (int i = 0; i < network->count; i++) {
        add_name(w, network->layers[i].name, "weight");
        for (int k = 0; k < 5; k++)
            add_name(w, network->layers[i].normalisation, parts[k]);
    }
    add_name(w, "fc", "weight");
    add_name(w, "fc", "bias");
    qsort(w->names, (size_t)w->count, NAME, by_name);
}

static bool ends(const char *name, const char *end)
{
    const size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* The value of a normal v of the tensor. */
static double value(const char *name, int rank, double fan_in, double v)
{
    if (rank > 1)
        return v * sqrt(2 / fan_in);
    if (ends(name, ".running_var"))
        return exp(0.2 * v);
    return ends(name, "bn.weight") ? 1 + 0.1 * v : 0.1 * v;
}

static void check_head(golden *g, const char *name, const float *values)
{
    char head[NAME + 16];
    double first[16];
    snprintf(head, sizeof head, "weights_head.%s", name);
    for (int i = 0; i < 16; i++)
        first[i] = (double)values[i];
    if (golden_has(g, head))
        golden_check_absolute(g, head, first, 16, 1e-6);
}

static ts_status make(void *context, const char *name, int rank, const int64_t *shape, float *to)
{
    weights *const w = context;
    const char *const place = bsearch(name, w->names, (size_t)w->count, NAME, by_name);
    const int index = place ? (int)((place - w->names[0]) / NAME) : -1;
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= shape[i];
    double *const normals = golden_allocate((size_t)count + 4, sizeof *normals), sum = 0;
    rule_normals(RULE_WEIGHTS, (uint32_t)index, count, normals);
    for (int64_t i = 0; i < count; i++) {
        to[i] = (float)value(name, rank, (double)count / (double)shape[0], normals[i]);
        sum += (double)to[i];
        w->squares += (double)to[i] * (double)to[i];
    }
    free(normals);
    w->sum += sum;
    if (w->checks) {
        const double *const check = w->checks + 2 * (ptrdiff_t)index;
        if (!(fabs((double)to[0] - check[0]) <= 1e-6 &&
              fabs(sum - check[1]) <= 1e-6 * sqrt((double)count) + 1e-9))
            golden_must(ts_error(TS_FORMAT, "%s: the rule makes %.9g, sum %.9g, the file has %.9g, %.9g",
                                 name, (double)to[0], sum, check[0], check[1]));
    }
    check_head(w->g, name, to);
    return NULL;
}

/* The last layer is none of the network's here, but counts among the weights. */
static void make_last_layer(weights *w)
{
    static const int64_t shape[] = {1008, 2048};
    float *const values = golden_allocate(1008 * 2048, sizeof *values);
    golden_must(make(w, "fc.weight", 2, shape, values));
    golden_must(make(w, "fc.bias", 1, shape, values));
    free(values);
}

static void load(golden *g, ts_feature_network *network)
{
    weights *const w = golden_allocate(1, sizeof *w);
    w->g = g;
    list_names(w, network);
    rule_check_vectors();
    if (golden_has(g, "weights.check"))
        golden_read(g, "weights.check", &w->checks, NULL);
    golden_must(ts_feature_network_load(network, make, w));
    make_last_layer(w);
    golden_check_number(g, "weights_sum", w->sum, 1e-6);
    if (golden_string(g, "weights_sum_of_squares"))
        golden_check_number(g, "weights_sum_of_squares", w->squares, 1e-6);
    free(w->checks);
    free(w);
}

/* ---- the network ---- */

static model build(golden *g, int n)
{
    static const ts_window sizes[TS_INCEPTION_STAGES] = {
        {73, 73, 1, 1, 0, 0}, {35, 35, 1, 1, 0, 0}, {17, 17, 1, 1, 0, 0}};
    model m = {.network = golden_allocate(1, sizeof *m.network)};
    ts_tensor stages[TS_INCEPTION_STAGES];
    golden_must(ts_params_create(g->device, &m.params));
    golden_must(ts_graph_create(g->device, m.params, &m.graph));
    *m.network = (ts_feature_network){.graph = m.graph, .params = m.params, .epsilon = 1e-3f};
    m.x = ts_graph_input(m.graph, "images", n, SIDE, SIDE, 3);
    m.means[STAGES - 1] = ts_inception(m.network, m.x, stages);
    for (int i = 0; i < TS_INCEPTION_STAGES; i++)
        m.means[i] =
            ts_graph_pool(m.graph, stages[i], &(ts_pool){.window = sizes[i], .kind = TS_POOL_AVERAGE});
    for (int i = 0; i < STAGES; i++)
        ts_graph_output(m.graph, m.means[i], false);
    golden_must(ts_params_commit(m.params, 1));
    load(g, m.network);
    golden_must(ts_graph_plan(m.graph, TS_PLAN_FORWARD));
    return m;
}

static void destroy(model *m)
{
    ts_graph_destroy(m->graph);
    ts_params_destroy(m->params);
    free(m->network);
}

/* ---- images ---- */

typedef struct images {
    int n, h, w;
    uint8_t *bytes; /* [n,h,w,3] */
} images;

static images read_images(golden *g, const char *name)
{
    const int at = ts_safetensors_find(g->file, name);
    const ts_safetensors_info *const info = at >= 0 ? ts_safetensors_at(g->file, at) : NULL;
    if (!info || info->rank != 4 || info->shape[3] != 3 || info->count > 1 << 24)
        golden_must(ts_error(TS_FORMAT, "%s should be [n,h,w,3]", name));
    const images all = {(int)info->shape[0], (int)info->shape[1], (int)info->shape[2],
                        golden_allocate((size_t)info->count, 1)};
    golden_must(ts_safetensors_read(g->file, name, TS_ST_U8, 4, info->shape, all.bytes));
    return all;
}

/* y <- images first .. first + n of those, resized; scale and offset of bytes. */
static void resize(golden *g, const images *all, int first, int n, float scale, float offset, void *y)
{
    const size_t bytes = (size_t)n * (size_t)all->h * (size_t)all->w * 3;
    ts_resize a = {.n = n, .h = all->h, .w = all->w, .c = 3, .oh = SIDE, .ow = SIDE, .oc = 3, .y = y};
    void *memory;
    for (int k = 0; k < 3; k++)
        a.scale[k] = scale, a.offset[k] = offset;
    golden_must(g->device->k->allocate(g->device, bytes, &memory));
    golden_must(
        g->device->k->upload(g->device, memory, all->bytes + (size_t)first * bytes / (size_t)n, bytes));
    a.bytes = memory;
    golden_must(g->device->k->resize(g->device, &a));
    golden_must(g->device->k->synchronize(g->device));
    g->device->k->release(g->device, memory);
}

/* Rows 0, 1, 149 and 298 of the first image, of values in [0,1]. */
static void check_rows(golden *g, const char *name, const images *all)
{
    static const int rows[] = {0, 1, 149, 298};
    const int64_t count = (int64_t)SIDE * SIDE * 3;
    float *const host = golden_allocate((size_t)count, sizeof *host);
    double *const values = golden_allocate((size_t)4 * 3 * SIDE, sizeof *values);
    void *activations;
    golden_must(g->device->k->allocate(g->device, (size_t)count * sizeof(float), &activations));
    resize(g, all, 0, 1, 1 / 255.f, 0, activations);
    golden_download(g, host, activations, count);
    for (int i = 0; i < 4 * 3 * SIDE; i++)
        values[i] = host[(rows[i / SIDE / 3] * SIDE + i % SIDE) * 3 + i / SIDE % 3];
    golden_check(g, name, values, (int64_t)4 * 3 * SIDE, GOLDEN_FEATURES);
    g->device->k->release(g->device, activations);
    free(values);
    free(host);
}

/* All that the file has of the features of a set: FORMAT with a width in it. */
static void check_features(golden *g, const model *m, int batch, const images *all, const char *prefix)
{
    double *features[STAGES];
    float *const host = golden_allocate((size_t)batch * 2048, sizeof *host);
    for (int k = 0; k < STAGES; k++)
        features[k] = golden_allocate((size_t)all->n * (size_t)widths[k], sizeof(double));
    if (all->n % batch)
        golden_must(ts_error(TS_FORMAT, "%s: %d images are no multiple of %d", prefix, all->n, batch));
    for (int i = 0; i < all->n; i += batch) {
        resize(g, all, i, batch, 2 / 255.f, -1, ts_graph_data(m->graph, m->x));
        golden_must(ts_graph_forward(m->graph));
        for (int k = 0; k < STAGES; k++) {
            const int64_t count = (int64_t)batch * widths[k];
            golden_download(g, host, ts_graph_data(m->graph, m->means[k]), count);
            for (int64_t j = 0; j < count; j++)
                features[k][(int64_t)i * widths[k] + j] = (double)host[j];
        }
    }
    for (int k = 0; k < STAGES; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s%d", prefix, widths[k]);
        if (golden_has(g, name))
            golden_check(g, name, features[k], (int64_t)all->n * widths[k], GOLDEN_FEATURES);
        free(features[k]);
    }
    free(host);
}

void golden_inception(golden *g)
{
    /* images, their resized rows, their features */
    static const char *const sets[][3] = {{"images", "", "features."},
                                          {"images32", "resize.images32.rows", "features.images32."},
                                          {"images64x48", "resize.images64x48.rows", "features.images64x48."},
                                          {"setA.images", "", "setA.features."},
                                          {"setB.images", "", "setB.features."}};
    static const char *const distances[] = {"fid*",       "kid",  "precision", "recall",
                                            "frechet24*", "setA", "setB"};
    const int batch = 2;
    model m = build(g, batch);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (!golden_has(g, sets[i][0]))
            continue;
        const images all = read_images(g, sets[i][0]);
        if (golden_has(g, sets[i][1]))
            check_rows(g, sets[i][1], &all);
        check_features(g, &m, batch, &all, sets[i][2]);
        free(all.bytes);
    }
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        golden_leave(g, distances[i], "(a distance, which is tested beside the others)");
    destroy(&m);
}
