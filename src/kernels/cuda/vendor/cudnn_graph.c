#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/vendor/cudnn_graph.h"

/* Fused attention as one operation. */
#if CUDNN_VERSION >= 91300
#define HAVE_ATTENTION
#endif
/* Plans without a card. */
#if CUDNN_VERSION >= 90800
#define HAVE_PROPERTIES
#endif

enum { OFFERED = 64 };

typedef cudnnBackendDescriptor_t descriptor;

/* ---- descriptors: after a failure everything is ignored ---- */

static descriptor create(ts_cudnn_graph *g, cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    if (g->status)
        return NULL;
    if (g->descriptor_count == TS_CUDNN_DESCRIPTORS)
        g->status = CUDNN_STATUS_INTERNAL_ERROR;
    else
        g->status = cudnnBackendCreateDescriptor(type, &d);
    if (!g->status)
        g->descriptors[g->descriptor_count++] = d;
    return d;
}

static void set(ts_cudnn_graph *g, descriptor d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (!g->status)
        g->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void set_integer(ts_cudnn_graph *g, descriptor d, cudnnBackendAttributeName_t name, int64_t value)
{
    set(g, d, name, CUDNN_TYPE_INT64, 1, &value);
}

static void set_float(ts_cudnn_graph *g, descriptor d, cudnnBackendAttributeName_t name, float value)
{
    set(g, d, name, CUDNN_TYPE_FLOAT, 1, &value);
}

static void set_type(ts_cudnn_graph *g, descriptor d, cudnnBackendAttributeName_t name, cudnnDataType_t value)
{
    set(g, d, name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

static void set_descriptor(ts_cudnn_graph *g, descriptor d, cudnnBackendAttributeName_t name,
                           descriptor value)
{
    set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static descriptor finish(ts_cudnn_graph *g, descriptor d)
{
    if (!g->status)
        g->status = cudnnBackendFinalize(d);
    return d;
}

/* ---- tensors ---- */

static descriptor tensor(ts_cudnn_graph *g, int64_t uid, cudnnDataType_t type, const int64_t extents[4],
                         const int64_t strides[4])
{
    descriptor d = create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set_integer(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    set_integer(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
    set_type(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extents);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    if (uid >= TS_CUDNN_VIRTUAL) {
        const bool yes = true;
        set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    }
    return d;
}

/* [n,h,w,c] in memory; cuDNN names the axes n, c, h, w. */
static descriptor image(ts_cudnn_graph *g, int64_t uid, cudnnDataType_t type, int64_t n, int64_t h, int64_t w,
                        int64_t c)
{
    const int64_t extents[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c};
    return finish(g, tensor(g, uid, type, extents, strides));
}

static cudnnDataType_t type_of(const ts_cuda_graph_key *k)
{
    return k->bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* ---- operations ---- */

static descriptor window(ts_cudnn_graph *g)
{
    const ts_window *const w = &g->key.window;
    const int64_t ones[2] = {1, 1}, padding[2] = {w->pad_h, w->pad_w},
                  strides[2] = {w->stride_h, w->stride_w};
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    descriptor d = create(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set_type(g, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    set(g, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set_integer(g, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    set(g, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    set(g, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    set(g, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones);
    set(g, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    return finish(g, d);
}

/* The attributes of the three passes differ in name alone. */
static const struct pass {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t window, x, weight, y, alpha, beta;
} passes[] = {
    [TS_CUDA_CONV_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [TS_CUDA_CONV_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [TS_CUDA_CONV_WEIGHTS] = {
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};

static descriptor convolution(ts_cudnn_graph *g, descriptor x, descriptor weight, descriptor y, float beta)
{
    const struct pass *p = &passes[g->key.pass];
    const descriptor w = window(g);
    descriptor d = create(g, p->type);
    set_descriptor(g, d, p->window, w);
    set_descriptor(g, d, p->x, x);
    set_descriptor(g, d, p->weight, weight);
    set_descriptor(g, d, p->y, y);
    set_float(g, d, p->alpha, 1.0f);
    set_float(g, d, p->beta, beta);
    return finish(g, d);
}

/* y = f(a), or y = alpha (a + b) with f an addition. */
static descriptor pointwise(ts_cudnn_graph *g, cudnnPointwiseMode_t mode, descriptor a, descriptor b,
                            descriptor y, float alpha)
{
    descriptor how = create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set_type(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    finish(g, how);
    descriptor d = create(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
    if (b)
        set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    if (alpha != 1.0f) {
        set_float(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, alpha);
        set_float(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, alpha);
    }
    return finish(g, d);
}

/* The chain convolution, scale and residual, bias, ReLU is one that cuDNN has kernels for, not to be compiled. */
static int forward(ts_cudnn_graph *g, descriptor *operations)
{
    const ts_cuda_graph_key *k = &g->key;
    const cudnnDataType_t type = type_of(k), wide = CUDNN_DATA_FLOAT;
    const int oh = ts_cuda_graph_oh(k), ow = ts_cuda_graph_ow(k);
    int count = 0;
    descriptor x = image(g, TS_CUDNN_X, type, k->n, k->h, k->w, k->ci);
    descriptor weight = image(g, TS_CUDNN_WEIGHT, type, k->co, k->window.h, k->window.w, k->ci);
    descriptor y = image(g, TS_CUDNN_Y, type, k->n, oh, ow, k->co);
    if (!k->bias) {
        operations[count++] = convolution(g, x, weight, y, 0.0f);
        return count;
    }
    descriptor sum = image(g, TS_CUDNN_VIRTUAL, wide, k->n, oh, ow, k->co);
    operations[count++] = convolution(g, x, weight, sum, 0.0f);
    if (k->residual) {
        descriptor residual = image(g, TS_CUDNN_RESIDUAL, type, k->n, oh, ow, k->co);
        descriptor scaled = image(g, TS_CUDNN_VIRTUAL_2, wide, k->n, oh, ow, k->co);
        operations[count++] = pointwise(g, CUDNN_POINTWISE_ADD, sum, residual, scaled, k->scale);
        sum = scaled;
    }
    descriptor bias = image(g, TS_CUDNN_BIAS, type, 1, 1, 1, k->co);
    if (!k->relu) {
        operations[count++] = pointwise(g, CUDNN_POINTWISE_ADD, sum, bias, y, 1.0f);
        return count;
    }
    descriptor biased = image(g, TS_CUDNN_VIRTUAL_3, wide, k->n, oh, ow, k->co);
    operations[count++] = pointwise(g, CUDNN_POINTWISE_ADD, sum, bias, biased, 1.0f);
    operations[count++] = pointwise(g, CUDNN_POINTWISE_RELU_FWD, biased, NULL, y, 1.0f);
    return count;
}

static int input_gradient(ts_cudnn_graph *g, descriptor *operations)
{
    const ts_cuda_graph_key *k = &g->key;
    const cudnnDataType_t type = type_of(k);
    descriptor x = image(g, TS_CUDNN_X, type, k->n, k->h, k->w, k->ci);
    descriptor weight = image(g, TS_CUDNN_WEIGHT, type, k->co, 3, 3, k->ci);
    descriptor y = image(g, TS_CUDNN_Y, type, k->n, k->h, k->w, k->co);
    operations[0] = convolution(g, x, weight, y, k->accumulate ? 1.0f : 0.0f);
    return 1;
}

/* From bfloat16 tensors, a float32 gradient is a second operation to cuDNN, which may as well add. */
static int weight_gradient(ts_cudnn_graph *g, descriptor *operations)
{
    const ts_cuda_graph_key *k = &g->key;
    const cudnnDataType_t type = type_of(k), out = k->rounded ? type : CUDNN_DATA_FLOAT;
    descriptor x = image(g, TS_CUDNN_X, type, k->n, k->h, k->w, k->ci);
    descriptor y = image(g, TS_CUDNN_Y, type, k->n, k->h, k->w, k->co);
    descriptor weight = image(g, TS_CUDNN_WEIGHT, out, k->co, 3, 3, k->ci);
    if (out == type) {
        operations[0] = convolution(g, x, weight, y, k->accumulate ? 1.0f : 0.0f);
        return 1;
    }
    descriptor sum = image(g, TS_CUDNN_VIRTUAL, out, k->co, 3, 3, k->ci);
    operations[0] = convolution(g, x, sum, y, 0.0f);
    descriptor before = k->accumulate ? image(g, TS_CUDNN_RESIDUAL, out, k->co, 3, 3, k->ci) : NULL;
    operations[1] =
        pointwise(g, before ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_IDENTITY, sum, before, weight, 1.0f);
    return 2;
}

#ifdef HAVE_ATTENTION
static int attention(ts_cudnn_graph *g, descriptor *operations)
{
    const ts_cuda_graph_key *k = &g->key;
    const cudnnDataType_t type = type_of(k);
    const int64_t tokens = k->h, c = k->ci, extents[4] = {k->n, 1, tokens, c}, one[4] = {1, 1, 1, 1};
    const int64_t packed[4] = {tokens * 3 * c, c, 3 * c, 1}, plain[4] = {tokens * c, c, c, 1};
    const bool yes = true;
    descriptor q = finish(g, tensor(g, TS_CUDNN_X, type, extents, packed));
    descriptor key = finish(g, tensor(g, TS_CUDNN_WEIGHT, type, extents, packed));
    descriptor v = finish(g, tensor(g, TS_CUDNN_BIAS, type, extents, packed));
    descriptor y = finish(g, tensor(g, TS_CUDNN_Y, type, extents, plain));
    descriptor scale = tensor(g, TS_CUDNN_SCALE, CUDNN_DATA_FLOAT, one, one);
    set(g, scale, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    finish(g, scale);
    descriptor d = create(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, key);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, y);
    set_descriptor(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
    operations[0] = finish(g, d);
    return 1;
}
#else
static int attention(ts_cudnn_graph *g, descriptor *operations)
{
    (void)operations;
    g->status = CUDNN_STATUS_NOT_SUPPORTED;
    return 0;
}
#endif

/* ---- engines ---- */

/* The numbers that an attribute of a descriptor holds, at most `room` of them, -1 where it cannot be read;
 * enumerations are int. */
static int64_t notes_of(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                        int64_t room, int *notes)
{
    int64_t count = 0;
    if (cudnnBackendGetAttribute(d, name, type, room, &count, notes))
        return -1;
    return count < room ? count : room;
}

/* Sums are float32 everywhere and no transform trades digits for speed; float32 stays float32. */
static bool precise(const ts_cuda_graph_key *k, int note)
{
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_FFT:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        return false;
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE: /* TF32, for float32 */
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
        return k->bf16;
    default:
        return true;
    }
}

static bool allowed(const ts_cuda_graph_key *k, descriptor engine, bool *compiled)
{
    int notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT], behaviours[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    const int64_t count = notes_of(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes);
    for (int64_t i = 0; i < count; i++)
        if (!precise(k, notes[i]))
            return false;
    const int64_t more = notes_of(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                  CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, behaviours);
    if (count < 0 || more < 0)
        return false;
    *compiled = false;
    for (int64_t i = 0; i < more; i++)
        *compiled |= behaviours[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    return true;
}

/* The engine of a configuration; the caller destroys it. */
static descriptor engine_of(descriptor configuration, int64_t *index)
{
    descriptor engine = NULL;
    int64_t count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine))
        return NULL;
    if (cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &count, &engine) ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count,
                                 index)) {
        cudnnBackendDestroyDescriptor(engine);
        return NULL;
    }
    return engine;
}

/* Keeps what is allowed of the configurations offered, which it takes over. */
static void keep_allowed(ts_cudnn_graph *g, descriptor *offered, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        ts_cudnn_configuration c = {.descriptor = offered[i]};
        descriptor engine = engine_of(offered[i], &c.engine);
        if (engine && g->count < TS_CUDNN_CONFIGURATIONS && allowed(&g->key, engine, &c.compiled))
            g->configurations[g->count++] = c;
        else
            cudnnBackendDestroyDescriptor(offered[i]);
        if (engine)
            cudnnBackendDestroyDescriptor(engine);
    }
}

/* Asks one of cuDNN's heuristics.  That it knows nothing is no failure. */
static void ask(const ts_cudnn_target *target, ts_cudnn_graph *g, descriptor whole,
                cudnnBackendHeurMode_t mode)
{
    descriptor heuristic = NULL, offered[OFFERED];
    int64_t count = 0, made = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic))
        return;
    cudnnStatus_t status = cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &whole);
    if (!status)
        status =
            cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
#ifdef HAVE_PROPERTIES
    if (!status && target->properties)
        status = cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->properties);
#else
    (void)target;
#endif
    if (!status)
        status = cudnnBackendFinalize(heuristic);
    if (!status)
        status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, NULL);
    while (!status && made < count && made < OFFERED &&
           !cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &offered[made]))
        made++;
    if (!status && made > 0)
        status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count, offered);
    if (status)
        for (int64_t i = 0; i < made; i++)
            cudnnBackendDestroyDescriptor(offered[i]);
    else
        keep_allowed(g, offered, made);
    cudnnBackendDestroyDescriptor(heuristic);
}

/* ---- graphs ---- */

void ts_cudnn_graph_name(const ts_cuda_graph_key *k, char *text)
{
    static const char *const names[TS_CUDA_PASSES] = {"convolution", "gradient of a convolution's input",
                                                      "gradient of a convolution's weights", "attention"};
    const ts_window *const w = &k->window;
    const int length =
        snprintf(text, TS_CUDNN_TEXT, "%s %s of %dx%dx%d, %d to %d channels%s%s%s%s%s",
                 k->bf16 ? "bfloat16" : "float32", names[k->pass], k->n, k->h, k->w, k->ci, k->co,
                 k->bias ? ", bias" : "", k->residual ? ", residual" : "", k->relu ? ", ReLU" : "",
                 k->accumulate ? ", added" : "", k->rounded ? ", rounded" : "");
    if (k->pass != TS_CUDA_ATTENTION)
        snprintf(text + length, TS_CUDNN_TEXT - (size_t)length, ", window %dx%d by %d,%d padded %d,%d", w->h,
                 w->w, w->stride_h, w->stride_w, w->pad_h, w->pad_w);
}

static descriptor whole_graph(const ts_cudnn_target *target, ts_cudnn_graph *g)
{
    static int (*const builders[TS_CUDA_PASSES])(ts_cudnn_graph *, descriptor *) = {
        forward, input_gradient, weight_gradient, attention};
    descriptor operations[TS_CUDNN_OPERATIONS];
    const int count = builders[g->key.pass](g, operations);
    descriptor d = create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operations);
    if (target->handle)
        set(g, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle);
    return finish(g, d);
}

ts_status ts_cudnn_graph_make(const ts_cudnn_target *target, const ts_cuda_graph_key *key,
                              ts_cudnn_graph **graph)
{
    char name[TS_CUDNN_TEXT];
    *graph = NULL;
    ts_cudnn_graph *g = calloc(1, sizeof *g);
    if (!g)
        return ts_error(TS_NO_MEMORY, "cannot allocate a graph");
    g->key = *key;
    descriptor whole = whole_graph(target, g);
    const cudnnStatus_t status = g->status;
    if (!status) {
        ask(target, g, whole, CUDNN_HEUR_MODE_A);
        ask(target, g, whole, CUDNN_HEUR_MODE_FALLBACK);
    } else if (status == CUDNN_STATUS_ALLOC_FAILED) {
        ts_cudnn_graph_free(g);
        ts_cudnn_graph_name(key, name);
        return ts_error(TS_NO_MEMORY, "%s: %s", name, cudnnGetErrorString(status));
    }
    *graph = g;
    return NULL;
}

void ts_cudnn_graph_free(ts_cudnn_graph *g)
{
    for (int i = 0; g && i < g->count; i++)
        cudnnBackendDestroyDescriptor(g->configurations[i].descriptor);
    while (g && g->descriptor_count > 0)
        cudnnBackendDestroyDescriptor(g->descriptors[--g->descriptor_count]);
    free(g);
}
