/*
 * cuDNN's backend interface: from the key of a graph to execution plans, with a card (by a handle) or without
 * one (by the properties of a card, for tests).  Plain C, no CUDA of its own.
 */
#ifndef TS_KERNELS_CUDA_VENDOR_CUDNN_GRAPH_H
#define TS_KERNELS_CUDA_VENDOR_CUDNN_GRAPH_H

#include <cudnn.h>
#include "kernels/cuda/vendor/library.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TS_CUDNN_CONFIGURATIONS = 12,
    TS_CUDNN_DESCRIPTORS = 24,
    TS_CUDNN_TEXT = 256,
    TS_CUDNN_OPERATIONS = 4
};

/* The tensors' names in a graph; of attention: q, k, v, -, y, scale.  The last three exist within it alone. */
enum {
    TS_CUDNN_X = 1,
    TS_CUDNN_WEIGHT,
    TS_CUDNN_BIAS,
    TS_CUDNN_RESIDUAL, /* also what a gradient is added to */
    TS_CUDNN_Y,
    TS_CUDNN_SCALE,
    TS_CUDNN_VIRTUAL,
    TS_CUDNN_VIRTUAL_2,
    TS_CUDNN_VIRTUAL_3
};

/* Where plans are for: one of both is NULL. */
typedef struct ts_cudnn_target {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t properties;
} ts_cudnn_target;

typedef struct ts_cudnn_configuration {
    cudnnBackendDescriptor_t descriptor;
    int64_t engine;
    bool compiled; /* at run time, which takes a second or more */
} ts_cudnn_configuration;

/* A graph with the engine configurations that are allowed for it, the likely fastest first.  None: cuDNN
 * cannot do it.  Allowed are deterministic engines; for float32 only those that round nothing to less. */
typedef struct ts_cudnn_graph {
    ts_cuda_graph_key key;
    cudnnBackendDescriptor_t descriptors[TS_CUDNN_DESCRIPTORS]; /* owned, the last is the graph itself */
    int descriptor_count;
    ts_cudnn_configuration configurations[TS_CUDNN_CONFIGURATIONS];
    int count;
    cudnnStatus_t status; /* of the graph itself: why there are no configurations */
} ts_cudnn_graph;

typedef struct ts_cudnn_plan {
    cudnnBackendDescriptor_t descriptor;
    int64_t workspace;
    char algorithm[TS_CUDNN_TEXT]; /* engine and knobs: "41 2=7 14=1" */
} ts_cudnn_plan;

/* Fails only where cuDNN itself fails; a graph that it does not support has no configurations. */
ts_status ts_cudnn_graph_make(const ts_cudnn_target *target, const ts_cuda_graph_key *key,
                              ts_cudnn_graph **graph);
void ts_cudnn_graph_free(ts_cudnn_graph *graph);

/* CUDNN_STATUS_SUCCESS and the plan of a configuration, or why there is none (the next may do). */
cudnnStatus_t ts_cudnn_plan_make(const ts_cudnn_target *target, const ts_cudnn_graph *graph,
                                 int configuration, ts_cudnn_plan *plan);
/* The configuration whose plan's `algorithm` is the text of `length` bytes; -1: none, whatever that is. */
int ts_cudnn_configuration_of(const ts_cudnn_graph *graph, const char *algorithm, size_t length);
void ts_cudnn_plan_free(ts_cudnn_plan *plan);

cudnnStatus_t ts_cudnn_plan_run(cudnnHandle_t handle, const ts_cuda_graph_key *key, const ts_cudnn_plan *plan,
                                const ts_cuda_graph_data *data, void *workspace);

/* The graph in words, for messages: at most TS_CUDNN_TEXT bytes. */
void ts_cudnn_graph_name(const ts_cuda_graph_key *key, char *text);

#ifdef __cplusplus
}
#endif

#endif
