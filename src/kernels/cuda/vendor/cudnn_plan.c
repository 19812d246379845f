/* Execution plans of a graph: made from a configuration, named by a text, run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/vendor/cudnn_graph.h"

enum { KNOBS = 32 };

typedef cudnnBackendDescriptor_t descriptor;

static cudnnStatus_t get(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                         int64_t room, int64_t *count, void *values)
{
    return cudnnBackendGetAttribute(d, name, type, room, count, values);
}

/* A finished descriptor with a few attributes. */
typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *values;
} attribute;

static cudnnStatus_t make(cudnnBackendDescriptorType_t type, const attribute *attributes, int count,
                          descriptor *d)
{
    cudnnStatus_t status = cudnnBackendCreateDescriptor(type, d);
    if (status) {
        *d = NULL;
        return status;
    }
    for (int i = 0; i < count && !status; i++)
        status = cudnnBackendSetAttribute(*d, attributes[i].name, attributes[i].type, attributes[i].count,
                                          attributes[i].values);
    if (!status)
        status = cudnnBackendFinalize(*d);
    if (status) {
        cudnnBackendDestroyDescriptor(*d);
        *d = NULL;
    }
    return status;
}

/* ---- algorithms as text ---- */

/* Appends " type=value" for every knob. */
static cudnnStatus_t describe_knobs(descriptor configuration, char *text)
{
    descriptor knobs[KNOBS];
    int64_t count = 0, made = 0, unused;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    while (made < KNOBS && !status) {
        status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[made]);
        made += !status;
    }
    if (!status)
        status = get(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, KNOBS,
                     &count, knobs);
    for (int64_t i = 0; i < count && i < KNOBS && !status; i++) {
        cudnnBackendKnobType_t type;
        int64_t value = 0;
        status = get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &unused, &type);
        if (!status)
            status = get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &unused, &value);
        const size_t length = strlen(text);
        const int more =
            snprintf(text + length, TS_CUDNN_TEXT - length, " %d=%lld", (int)type, (long long)value);
        if ((size_t)more >= TS_CUDNN_TEXT - length)
            status = CUDNN_STATUS_INTERNAL_ERROR;
    }
    while (made > 0)
        cudnnBackendDestroyDescriptor(knobs[--made]);
    return status;
}

static cudnnStatus_t plan_of(const ts_cudnn_target *target, descriptor configuration, ts_cudnn_plan *plan)
{
    attribute attributes[2] = {
        {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration}};
    if (target->handle)
        attributes[1] = (attribute){CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle};
#if CUDNN_VERSION >= 90800
    else
        attributes[1] = (attribute){CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                    &target->properties};
#else
    else
        return CUDNN_STATUS_NOT_SUPPORTED;
#endif
    cudnnStatus_t status = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, attributes, 2, &plan->descriptor);
    int64_t unused;
    plan->workspace = 0;
    if (!status)
        status = get(plan->descriptor, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &unused,
                     &plan->workspace);
    if (status)
        ts_cudnn_plan_free(plan);
    return status;
}

static cudnnStatus_t describe(const ts_cudnn_configuration *c, char text[TS_CUDNN_TEXT])
{
    snprintf(text, TS_CUDNN_TEXT, "%lld", (long long)c->engine);
    return describe_knobs(c->descriptor, text);
}

cudnnStatus_t ts_cudnn_plan_make(const ts_cudnn_target *target, const ts_cudnn_graph *graph,
                                 int configuration, ts_cudnn_plan *plan)
{
    const ts_cudnn_configuration *c = &graph->configurations[configuration];
    memset(plan, 0, sizeof *plan);
    const cudnnStatus_t status = describe(c, plan->algorithm);
    return status ? status : plan_of(target, c->descriptor, plan);
}

int ts_cudnn_configuration_of(const ts_cudnn_graph *graph, const char *algorithm, size_t length)
{
    char text[TS_CUDNN_TEXT];
    for (int i = 0; i < graph->count; i++)
        if (!describe(&graph->configurations[i], text) && strlen(text) == length &&
            memcmp(text, algorithm, length) == 0)
            return i;
    return -1;
}

void ts_cudnn_plan_free(ts_cudnn_plan *plan)
{
    if (plan->descriptor)
        cudnnBackendDestroyDescriptor(plan->descriptor);
    plan->descriptor = NULL;
}

/* ---- running ---- */

/* Addresses and names of a graph's tensors; the names are those of cudnn_graph.h. */
static int arguments_of(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d, float *scale, int64_t *names,
                        void **pointers)
{
    int count = 0;
#define ARGUMENT(name, pointer) (names[count] = (name), pointers[count++] = (pointer))
    ARGUMENT(TS_CUDNN_X, d->x);
    ARGUMENT(TS_CUDNN_Y, d->y);
    if (k->pass == TS_CUDA_ATTENTION) {
        char *const q = d->x;
        const int64_t third = (int64_t)k->ci * (k->bf16 ? 2 : 4);
        *scale = 1.0f / sqrtf((float)k->ci);
        ARGUMENT(TS_CUDNN_WEIGHT, q + third);
        ARGUMENT(TS_CUDNN_BIAS, q + 2 * third);
        ARGUMENT(TS_CUDNN_SCALE, scale);
        return count;
    }
    ARGUMENT(TS_CUDNN_WEIGHT, d->weight);
    if (k->bias)
        ARGUMENT(TS_CUDNN_BIAS, d->bias);
    if (k->residual)
        ARGUMENT(TS_CUDNN_RESIDUAL, d->residual);
    if (k->pass == TS_CUDA_CONV_WEIGHTS && k->accumulate && k->bf16 && !k->rounded)
        ARGUMENT(TS_CUDNN_RESIDUAL, d->weight); /* added in place */
#undef ARGUMENT
    return count;
}

cudnnStatus_t ts_cudnn_plan_run(cudnnHandle_t handle, const ts_cuda_graph_key *key, const ts_cudnn_plan *plan,
                                const ts_cuda_graph_data *data, void *workspace)
{
    int64_t names[6];
    void *pointers[6];
    float scale;
    descriptor pack = NULL;
    const int count = arguments_of(key, data, &scale, names, pointers);
    const attribute attributes[] = {
        {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, names},
        {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers},
        {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace}};
    cudnnStatus_t status = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, attributes, 3, &pack);
    if (!status)
        status = cudnnBackendExecute(handle, plan->descriptor, pack);
    if (pack)
        cudnnBackendDestroyDescriptor(pack);
    return status;
}
