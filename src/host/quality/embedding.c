#include "quality/embedding.h"

#include <stdlib.h>
#include <string.h>
#include "base/safetensors.h"
#include "nn/feature_network.h"

/* Images of a pass: a processor gains nothing from more, and the last pass is filled up to so many. */
enum { BATCH = 16, MOST_PIXELS = 1 << 26 };

struct ts_embedding {
    ts_device *device;
    ts_feature_network_kind kind;
    int h, w, c;
    ts_params *params;
    ts_graph *graph;
    ts_tensor x, y;
    uint8_t *bytes; /* [BATCH,h,w,c], device */
    float *floats;  /* [BATCH,count], device */
};

/* ---- opening ---- */

static ts_status kind_of(const ts_safetensors *file, ts_feature_network_kind *kind)
{
    const char *const word = ts_safetensors_metadata(file, "network");
    const int found = word ? ts_words_find(&ts_feature_network_kind_words, word, strlen(word)) : -1;
    char known[128];
    *kind = (ts_feature_network_kind)found;
    if (found >= 0)
        return NULL;
    ts_words_list(&ts_feature_network_kind_words, ", ", " or ", known, sizeof known);
    if (!word)
        return ts_error(
            TS_FORMAT,
            "%s: its metadata have no \"network\", which says whose weights these are (%s); tools/import_features.py writes it",
            ts_safetensors_path(file), known);
    return ts_error(TS_FORMAT, "%s: its metadata have the network \"%.40s\", expected %s",
                    ts_safetensors_path(file), word, known);
}

ts_status ts_embedding_whose(const char *weights, ts_feature_network_kind *kind)
{
    ts_safetensors *file;
    TS_TRY(ts_safetensors_open(weights, &file));
    ts_status status = kind_of(file, kind);
    ts_safetensors_close(file);
    return status;
}

static ts_status check_images(const char *weights, ts_feature_network_kind kind, int h, int w, int c)
{
    const ts_feature_network_row *const row = &ts_feature_networks[kind];
    if (h < 1 || w < 1 || h > MOST_PIXELS / w)
        return ts_error(TS_INVALID, "features: images of %dx%d", h, w);
    if (c == row->c || c == 1)
        return NULL;
    return ts_error(TS_INVALID, "%s: %s takes images of %d channel%s, these have %d", weights,
                    ts_feature_network_kind_words.word[kind], row->c, row->c == 1 ? "" : "s or one", c);
}

static ts_status read_tensor(void *context, const char *name, int rank, const int64_t *shape, float *to)
{
    return ts_safetensors_read(context, name, TS_ST_F32, rank, shape, to);
}

/* The graph, its weights, its memory. */
static ts_status prepare(ts_embedding *e, ts_safetensors *file)
{
    const ts_feature_network_row *const row = &ts_feature_networks[e->kind];
    const ts_kernels *const k = e->device->k;
    if (!k->resize)
        return ts_error(TS_UNSUPPORTED, "the device %s cannot resize images", k->name);
    TS_TRY(ts_params_create(e->device, &e->params));
    TS_TRY(ts_graph_create(e->device, e->params, &e->graph));
    ts_feature_network *const network = calloc(1, sizeof *network);
    if (!network)
        return ts_error(TS_NO_MEMORY, "no memory for a network");
    *network = (ts_feature_network){.graph = e->graph, .params = e->params, .epsilon = row->epsilon};
    e->x = ts_graph_input(e->graph, "images", BATCH, row->h, row->w, row->c);
    e->y = row->build(network, e->x);
    ts_graph_output(e->graph, e->y, false);
    ts_status status = ts_params_commit(e->params, 0);
    if (!status)
        status = ts_feature_network_load(network, read_tensor, file);
    if (!status)
        status = ts_graph_plan(e->graph, TS_PLAN_FORWARD);
    free(network);
    TS_TRY(status);
    k->weights_changed(e->device);
    const size_t image = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    TS_TRY(k->allocate(e->device, (size_t)BATCH * image, (void **)&e->bytes));
    return k->allocate(e->device, sizeof *e->floats * (size_t)BATCH * (size_t)row->count,
                       (void **)&e->floats);
}

ts_status ts_embedding_open(ts_device *device, const char *weights, int h, int w, int c,
                            ts_embedding **embedding)
{
    ts_safetensors *file;
    *embedding = NULL;
    TS_TRY(ts_safetensors_open(weights, &file));
    ts_embedding *const e = calloc(1, sizeof *e);
    ts_status status = e ? NULL : ts_error(TS_NO_MEMORY, "no memory for a network of features");
    if (!status) {
        *e = (ts_embedding){.device = device, .h = h, .w = w, .c = c};
        status = kind_of(file, &e->kind);
    }
    if (!status)
        status = check_images(weights, e->kind, h, w, c);
    if (!status)
        status = prepare(e, file);
    ts_safetensors_close(file);
    if (status)
        ts_embedding_close(e);
    else
        *embedding = e;
    return status;
}

void ts_embedding_close(ts_embedding *e)
{
    if (!e)
        return;
    const ts_kernels *const k = e->device->k;
    if (e->bytes)
        k->release(e->device, e->bytes);
    if (e->floats)
        k->release(e->device, e->floats);
    ts_graph_destroy(e->graph);
    ts_params_destroy(e->params);
    free(e);
}

ts_feature_network_kind ts_embedding_network(const ts_embedding *e)
{
    return e->kind;
}

const char *ts_embedding_name(const ts_embedding *e)
{
    return ts_feature_network_kind_words.word[e->kind];
}

int ts_embedding_count(const ts_embedding *e)
{
    return ts_feature_networks[e->kind].count;
}

/* ---- running ---- */

/* Features of `count` images, at most a batch. */
static ts_status run(const ts_embedding *e, const uint8_t *images, int count, float *features)
{
    const ts_feature_network_row *const row = &ts_feature_networks[e->kind];
    const ts_kernels *const k = e->device->k;
    const size_t image = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    ts_resize resize = {
        .n = BATCH, .h = e->h, .w = e->w, .c = e->c, .oh = row->h, .ow = row->w, .oc = row->c};
    memcpy(resize.scale, row->scale, sizeof resize.scale);
    memcpy(resize.offset, row->offset, sizeof resize.offset);
    resize.bytes = e->bytes;
    resize.y = ts_graph_data(e->graph, e->x);
    const ts_convert convert = {.count = (int64_t)BATCH * row->count,
                                .to_float = true,
                                .x = ts_graph_data(e->graph, e->y),
                                .y = e->floats};
    TS_TRY(k->upload(e->device, e->bytes, images, (size_t)count * image));
    TS_TRY(k->resize(e->device, &resize));
    TS_TRY(ts_graph_forward(e->graph));
    TS_TRY(k->convert(e->device, &convert));
    return k->download(e->device, features, e->floats, sizeof *features * (size_t)count * (size_t)row->count);
}

ts_status ts_embedding_of(ts_embedding *e, const uint8_t *images, int64_t n, ts_progress *progress,
                          float *features)
{
    const int64_t image = (int64_t)e->h * e->w * e->c, of_image = ts_embedding_count(e);
    for (int64_t i = 0; i < n; i += BATCH) {
        if (ts_progress_stopped(progress))
            return ts_error(TS_INTERRUPTED, "stopped after the features of %lld of %lld images", (long long)i,
                            (long long)n);
        ts_progress_report(progress, "features", (double)i, (double)n, "images", NULL);
        const int count = n - i < BATCH ? (int)(n - i) : BATCH;
        TS_TRY(run(e, images + i * image, count, features + i * of_image));
    }
    ts_progress_report(progress, "features", (double)n, (double)n, "images", NULL);
    return NULL;
}
