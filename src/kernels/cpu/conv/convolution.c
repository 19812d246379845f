/*
 * oneDNN primitives by shape, and the packed weights they read.  A primitive chooses its own layout of the
 * weights; a packed copy of each weight tensor is kept for each layout and refreshed when the weights' epoch
 * has moved on.
 *
 * What lives in this folder: the two ways to a 3x3 convolution behind ../conv.c, Winograd's (winograd*.c,
 * tiles of 4x4 outputs) and oneDNN's (this file; onednn.h evens out its versions).  Which one computes a
 * shape is a fixed rule (winograd.h), so that a run never depends on timings.  The device owns the
 * primitives and the packed weights, keyed by shape and by the weights' address; memory that is given back
 * takes its copies along (ts_cpu_convolutions_forget).
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/conv/convolution.h"
#include "kernels/cpu/cpu.h"

enum { SLOT_ONEDNN = 4, SLOT_PACKED, BUCKETS = 256, MOST_ARGUMENTS = 6 };

/* What oneDNN takes at most for itself when it makes a primitive.  It does not survive every failing
 * allocation, so the room is tried beforehand. */
#define PRIMITIVE_ROOM ((size_t)32 << 20)

typedef struct primitive {
    ts_cpu_convolution_key key;
    dnnl_primitive_t run;
    dnnl_primitive_t repack;                    /* weights to `layout`, or their gradient from it and added */
    dnnl_memory_t x, weight, bias, y, residual; /* weight: in `layout` */
    dnnl_memory_t plain;                        /* the weights as [co,h,w,ci/groups] */
    dnnl_memory_t scratchpad;
    ts_dnnl_layout layout;
    bool has_layout;
    size_t weight_bytes, scratchpad_bytes;
    struct primitive *next;
} primitive;

typedef struct packed {
    const void *weight;
    ts_dnnl_layout layout;
    uint64_t epoch;
    void *data;
    struct packed *next;
} packed;

struct ts_cpu_convolutions {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    primitive *primitives[BUCKETS];
    packed *packs[BUCKETS];
};

static ts_status check(dnnl_status_t status, const ts_cpu_convolution_key *k)
{
    if (status == dnnl_success)
        return NULL;
    static const char *const passes[] = {"forward", "backward of the input", "backward of the weights"};
    const ts_code code = status == dnnl_out_of_memory ? TS_NO_MEMORY : TS_DEVICE;
    return ts_error(code, "convolution %dx%d of %dx%dx%d, %d to %d channels, %s: %s (oneDNN status %d)",
                    k->window.h, k->window.w, k->n, k->h, k->w, k->ci, k->co, passes[k->pass],
                    code == TS_NO_MEMORY ? "not enough memory" : "oneDNN refused it", (int)status);
}

/* ---- making a primitive ---- */

static dnnl_status_t attributes_of(const ts_cpu_convolution_key *k, ts_dnnl_view y,
                                   dnnl_primitive_attr_t *attributes)
{
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status)
        return status;
    dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    dnnl_post_ops_t operations;
    status = dnnl_post_ops_create(&operations);
    if (status)
        return status;
    if (k->residual == TS_CPU_RESIDUAL_IN_Y)
        status = ts_dnnl_append_sum(operations);
    else if (k->residual == TS_CPU_RESIDUAL_APART)
        status = dnnl_post_ops_append_binary(operations, dnnl_binary_add, y);
    if (!status && k->scale != 1.0f)
        status = ts_dnnl_append_linear(operations, k->scale);
    if (!status && k->relu)
        status = ts_dnnl_append_relu(operations);
    if (!status)
        status = dnnl_primitive_attr_set_post_ops(*attributes, operations);
    dnnl_post_ops_destroy(operations);
    return status;
}

/* The layouts of one call, while its primitive is made. */
typedef struct layouts {
    ts_dnnl_layout x, weight, plain, bias, y;
} layouts;

static dnnl_status_t layouts_create(layouts *l, const ts_cpu_convolution_key *k)
{
    const ts_window *const w = &k->window;
    const int oh = ts_window_places(k->h, w->h, w->stride_h, w->pad_h);
    const int ow = ts_window_places(k->w, w->w, w->stride_w, w->pad_w);
    const dnnl_dims_t x = {k->n, k->ci, k->h, k->w}, y = {k->n, k->co, oh, ow}, bias = {k->co};
    const dnnl_dims_t whole = {k->co, k->ci, w->h, w->w};
    const dnnl_dims_t grouped = {k->groups, k->co / k->groups, k->ci / k->groups, w->h, w->w};
    const bool groups = k->groups > 1;
    const int rank = groups ? 5 : 4;
    dnnl_status_t status = ts_dnnl_layout_create(&l->x, 4, x, dnnl_nhwc);
    if (!status)
        status = ts_dnnl_layout_create(&l->y, 4, y, dnnl_nhwc);
    if (!status)
        status = ts_dnnl_layout_create(&l->weight, rank, groups ? grouped : whole, dnnl_format_tag_any);
    if (!status)
        status = ts_dnnl_layout_create(&l->plain, rank, groups ? grouped : whole,
                                       groups ? dnnl_abdec : dnnl_acdb); /* [co,h,w,ci/groups] */
    if (!status)
        status = ts_dnnl_layout_create(&l->bias, 1, bias, dnnl_a);
    return status;
}

static void layouts_destroy(layouts *l)
{
    ts_dnnl_layout_destroy(&l->x);
    ts_dnnl_layout_destroy(&l->y);
    ts_dnnl_layout_destroy(&l->weight);
    ts_dnnl_layout_destroy(&l->plain);
    ts_dnnl_layout_destroy(&l->bias);
}

static dnnl_status_t describe(dnnl_engine_t engine, const ts_cpu_convolution_key *k, const layouts *l,
                              dnnl_primitive_desc_t *descriptor)
{
    const ts_dnnl_view x = ts_dnnl_view_of(&l->x), weight = ts_dnnl_view_of(&l->weight);
    const ts_dnnl_view y = ts_dnnl_view_of(&l->y), bias = k->bias ? ts_dnnl_view_of(&l->bias) : NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status = attributes_of(k, y, &attributes);
    if (!status && k->pass == TS_DNNL_FORWARD) {
        status = ts_dnnl_convolution(descriptor, engine, k->pass, &k->window, x, weight, bias, y, NULL,
                                     attributes);
    } else if (!status) {
        status = ts_dnnl_convolution(&forward, engine, TS_DNNL_FORWARD, &k->window, x, weight, NULL, y, NULL,
                                     NULL);
        if (!status)
            status = ts_dnnl_convolution(descriptor, engine, k->pass, &k->window, x, weight, bias, y, forward,
                                         attributes);
    }
    if (forward)
        dnnl_primitive_desc_destroy(forward);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* Weights from [co,h,w,ci/groups] into the primitive's layout, or a gradient back, added to what is there. */
static dnnl_status_t make_repack(dnnl_engine_t engine, primitive *p, const layouts *l)
{
    const ts_dnnl_view plain = ts_dnnl_view_of(&l->plain), own = ts_dnnl_view_of(&p->layout);
    const bool gradient = p->key.pass == TS_DNNL_BACKWARD_WEIGHTS;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t operations = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (!status)
        status = dnnl_post_ops_create(&operations);
    if (!status && gradient)
        status = ts_dnnl_append_sum(operations);
    if (!status)
        status = dnnl_primitive_attr_set_post_ops(attributes, operations);
    if (!status)
        status = dnnl_reorder_primitive_desc_create(&descriptor, gradient ? own : plain, engine,
                                                    gradient ? plain : own, engine, attributes);
    if (!status)
        status = dnnl_primitive_create(&p->repack, descriptor);
    if (descriptor)
        dnnl_primitive_desc_destroy(descriptor);
    if (operations)
        dnnl_post_ops_destroy(operations);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

static dnnl_status_t make_memories(dnnl_engine_t engine, primitive *p, const layouts *l,
                                   ts_dnnl_view scratchpad)
{
    const struct {
        dnnl_memory_t *memory;
        ts_dnnl_view layout;
    } list[] = {{&p->x, ts_dnnl_view_of(&l->x)},
                {&p->y, ts_dnnl_view_of(&l->y)},
                {&p->residual, ts_dnnl_view_of(&l->y)},
                {&p->weight, ts_dnnl_view_of(&p->layout)},
                {&p->plain, ts_dnnl_view_of(&l->plain)},
                {&p->bias, ts_dnnl_view_of(&l->bias)},
                {&p->scratchpad, scratchpad}};
    dnnl_status_t status = dnnl_success;
    for (size_t i = 0; !status && i < sizeof list / sizeof *list; i++)
        status = dnnl_memory_create(list[i].memory, list[i].layout, engine, DNNL_MEMORY_NONE);
    return status;
}

static dnnl_status_t primitive_make(dnnl_engine_t engine, primitive *p)
{
    layouts l;
    memset(&l, 0, sizeof l);
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = layouts_create(&l, &p->key);
    if (!status)
        status = describe(engine, &p->key, &l, &descriptor);
    if (!status)
        status = dnnl_primitive_create(&p->run, descriptor);
    if (!status) {
        const bool gradient = p->key.pass == TS_DNNL_BACKWARD_WEIGHTS;
        const ts_dnnl_view own = dnnl_primitive_desc_query_md(
            descriptor, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
        const ts_dnnl_view scratchpad = dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
        p->weight_bytes = dnnl_memory_desc_get_size(own);
        p->scratchpad_bytes = dnnl_memory_desc_get_size(scratchpad);
        status = ts_dnnl_layout_copy(&p->layout, own);
        p->has_layout = !status;
        if (!status)
            status = make_repack(engine, p, &l);
        if (!status)
            status = make_memories(engine, p, &l, scratchpad);
    }
    if (descriptor)
        dnnl_primitive_desc_destroy(descriptor);
    layouts_destroy(&l);
    return status;
}

static void primitive_free(primitive *p)
{
    const dnnl_memory_t memories[] = {p->x, p->y, p->residual, p->weight, p->plain, p->bias, p->scratchpad};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    if (p->run)
        dnnl_primitive_destroy(p->run);
    if (p->repack)
        dnnl_primitive_destroy(p->repack);
    if (p->has_layout)
        ts_dnnl_layout_destroy(&p->layout);
    free(p);
}

/* ---- the cache ---- */

static ts_status cache_of(ts_device *device, ts_cpu_convolutions **cache)
{
    ts_cpu_convolutions **place = ts_cpu_convolution_cache(device);
    if (!*place) {
        ts_cpu_convolutions *c = calloc(1, sizeof *c);
        if (!c)
            return ts_error(TS_NO_MEMORY, "cannot allocate the cache of convolutions");
        *place = c;
        dnnl_status_t status = dnnl_engine_create(&c->engine, dnnl_cpu, 0);
        if (!status)
            status = dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags);
        if (status) {
            ts_cpu_convolutions_free(device);
            return ts_error(TS_DEVICE, "oneDNN does not start (status %d)", (int)status);
        }
    }
    *cache = *place;
    return NULL;
}

static size_t hash_bytes(const void *bytes, size_t count)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3u;
    return (size_t)(hash ^ hash >> 32) % BUCKETS;
}

static ts_status find_primitive(ts_cpu_convolutions *c, const ts_cpu_convolution_key *key, primitive **found)
{
    primitive **bucket = &c->primitives[hash_bytes(key, sizeof *key)];
    for (primitive *p = *bucket; p; p = p->next)
        if (memcmp(&p->key, key, sizeof *key) == 0) {
            *found = p;
            return NULL;
        }
    void *room = malloc(PRIMITIVE_ROOM);
    free(room);
    primitive *p = room ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return check(dnnl_out_of_memory, key);
    p->key = *key;
    const dnnl_status_t status = primitive_make(c->engine, p);
    if (status) {
        primitive_free(p);
        return check(status, key);
    }
    p->next = *bucket;
    *bucket = p;
    *found = p;
    return NULL;
}

/* Collects a call's arguments; the memory objects only lend their layout. */
typedef struct arguments {
    dnnl_exec_arg_t list[MOST_ARGUMENTS];
    int count;
} arguments;

static void pass_argument(arguments *a, int index, dnnl_memory_t memory, const void *data)
{
    union {
        const void *in;
        void *handle;
    } pointer = {.in = data}; /* oneDNN's handles are not const */
    dnnl_memory_set_data_handle(memory, pointer.handle);
    a->list[a->count].arg = index;
    a->list[a->count++].memory = memory;
}

/* `weight` in the primitive's layout, packed again if it may have changed. */
static ts_status find_packed(ts_device *device, ts_cpu_convolutions *c, primitive *p, const void *weight,
                             void **data)
{
    packed **bucket = &c->packs[hash_bytes(&weight, sizeof weight)], *k = *bucket;
    while (k && (k->weight != weight ||
                 !dnnl_memory_desc_equal(ts_dnnl_view_of(&k->layout), ts_dnnl_view_of(&p->layout))))
        k = k->next;
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k)
            return check(dnnl_out_of_memory, &p->key);
        const dnnl_status_t status = ts_dnnl_layout_copy(&k->layout, ts_dnnl_view_of(&p->layout));
        if (status) {
            free(k);
            return check(status, &p->key);
        }
        ts_status error = device->k->allocate(device, p->weight_bytes, &k->data);
        if (error) {
            ts_dnnl_layout_destroy(&k->layout);
            free(k);
            return ts_context(error, "packed weights of a convolution");
        }
        k->weight = weight;
        k->next = *bucket;
        *bucket = k;
    }
    *data = k->data;
    if (k->epoch == ts_cpu_weights_epoch(device))
        return NULL;
    arguments a = {.count = 0};
    pass_argument(&a, DNNL_ARG_FROM, p->plain, weight);
    pass_argument(&a, DNNL_ARG_TO, p->weight, k->data);
    TS_TRY(check(dnnl_primitive_execute(p->repack, c->stream, a.count, a.list), &p->key));
    k->epoch = ts_cpu_weights_epoch(device);
    return NULL;
}

static void packed_free(ts_device *device, packed *k)
{
    device->k->release(device, k->data);
    ts_dnnl_layout_destroy(&k->layout);
    free(k);
}

void ts_cpu_convolutions_forget(ts_device *device, const void *memory, size_t bytes)
{
    ts_cpu_convolutions *c = *ts_cpu_convolution_cache(device);
    const uintptr_t first = (uintptr_t)memory;
    for (int i = 0; c && i < BUCKETS; i++)
        for (packed **place = &c->packs[i]; *place;) {
            packed *k = *place;
            if ((uintptr_t)k->weight - first < bytes) {
                *place = k->next;
                packed_free(device, k);
            } else {
                place = &k->next;
            }
        }
}

void ts_cpu_convolutions_free(ts_device *device)
{
    ts_cpu_convolutions *c = *ts_cpu_convolution_cache(device);
    *ts_cpu_convolution_cache(device) = NULL;
    if (!c)
        return;
    for (int i = 0; i < BUCKETS; i++) {
        while (c->packs[i]) {
            packed *k = c->packs[i];
            c->packs[i] = k->next;
            packed_free(device, k);
        }
        while (c->primitives[i]) {
            primitive *p = c->primitives[i];
            c->primitives[i] = p->next;
            primitive_free(p);
        }
    }
    if (c->stream)
        dnnl_stream_destroy(c->stream);
    if (c->engine)
        dnnl_engine_destroy(c->engine);
    free(c);
}

/* ---- running ---- */

static ts_status add_gradient(ts_cpu_convolutions *c, primitive *p, const void *packed_gradient,
                              const void *gradient)
{
    arguments a = {.count = 0};
    pass_argument(&a, DNNL_ARG_FROM, p->weight, packed_gradient);
    pass_argument(&a, DNNL_ARG_TO, p->plain, gradient);
    return check(dnnl_primitive_execute(p->repack, c->stream, a.count, a.list), &p->key);
}

ts_status ts_cpu_convolution(ts_device *device, const ts_cpu_convolution_key *key,
                             const ts_cpu_convolution_data *data)
{
    const ts_dnnl_pass pass = key->pass;
    ts_cpu_convolutions *c = NULL;
    primitive *p = NULL;
    void *weight, *scratchpad;
    omp_set_num_threads(device->threads); /* oneDNN has no setting of its own */
    TS_TRY(cache_of(device, &c));
    TS_TRY(find_primitive(c, key, &p));
    TS_TRY(ts_cpu_scratch(device, SLOT_ONEDNN, p->scratchpad_bytes, &scratchpad));
    if (pass == TS_DNNL_BACKWARD_WEIGHTS)
        TS_TRY(ts_cpu_scratch(device, SLOT_PACKED, p->weight_bytes, &weight));
    else
        TS_TRY(find_packed(device, c, p, data->weight, &weight));

    arguments a = {.count = 0};
    pass_argument(&a, pass == TS_DNNL_BACKWARD_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, p->x, data->x);
    pass_argument(&a, pass == TS_DNNL_BACKWARD_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, p->weight,
                  weight);
    pass_argument(&a, pass == TS_DNNL_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, p->y, data->y);
    pass_argument(&a, DNNL_ARG_SCRATCHPAD, p->scratchpad, scratchpad);
    if (key->bias)
        pass_argument(&a, pass == TS_DNNL_FORWARD ? DNNL_ARG_BIAS : DNNL_ARG_DIFF_BIAS, p->bias, data->bias);
    if (key->residual == TS_CPU_RESIDUAL_APART)
        pass_argument(&a, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, p->residual, data->residual);
    TS_TRY(check(dnnl_primitive_execute(p->run, c->stream, a.count, a.list), key));
    return pass == TS_DNNL_BACKWARD_WEIGHTS ? add_gradient(c, p, weight, data->weight) : NULL;
}
