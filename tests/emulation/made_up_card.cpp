#include "made_up_card.hpp"
#include <stdlib.h>
#include <string.h>
#include <string>
#include "expect.hpp"
#include "kernels/cuda/vendor/libraries.h"

made_up_card card;

void set(const std::vector<algorithm> &algorithms)
{
    card.clock = 0;
    card.algorithms = algorithms;
    card.runs.clear();
    card.compiled = 0;
}

int run_count()
{
    int count = 0;
    for (const auto &r : card.runs)
        count += r.second;
    return count;
}

/* Whether the algorithm could be queued. */
static bool queue(int which)
{
    const algorithm &a = card.algorithms[(size_t)which];
    if (!a.runs || (card.capturing && !a.records))
        return false;
    card.runs[which]++;
    if (card.capturing)
        card.captured.push_back(a.microseconds);
    else
        card.clock += a.microseconds + launch;
    return true;
}

struct CUgraph_st {
    double microseconds;
};
struct CUevent_st {
    double at;
};

extern "C" {
cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = new CUevent_st();
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    e->at = card.clock;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop)
{
    *ms = (float)((stop->at - start->at) / 1000);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
    *unused = *total = (size_t)16 << 20;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version)
{
    return cudaRuntimeGetVersion(version);
}
cudaError_t cudaGetLastError(void)
{
    const cudaError_t last = card.last;
    card.last = cudaSuccess;
    return last;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode)
{
    card.capturing = true;
    card.captured.clear();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    card.capturing = false;
    *graph = new CUgraph_st();
    card.graphs++;
    for (const float t : card.captured)
        (*graph)->microseconds += t;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *e, cudaGraph_t graph, unsigned long long)
{
    *e = reinterpret_cast<cudaGraphExec_t>(new CUgraph_st(*graph));
    card.graphs++;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    card.graphs--;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e)
{
    return cudaGraphDestroy(reinterpret_cast<cudaGraph_t>(e));
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t)
{
    card.clock += reinterpret_cast<cudaGraph_t>(e)->microseconds + launch;
    return cudaSuccess;
}
}

/* ---- cuDNN, above its plans ---- */

extern "C" {
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = reinterpret_cast<cudnnHandle_t>(&card);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t)
{
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t)
{
    return CUDNN_STATUS_SUCCESS;
}
size_t cudnnGetVersion(void)
{
    return 91900;
}
const char *cudnnGetErrorString(cudnnStatus_t)
{
    return "made-up";
}
void cudnnGetLastErrorString(char *text, size_t room)
{
    snprintf(text, room, "because");
}

ts_status ts_cudnn_graph_make(const ts_cudnn_target *, const ts_cuda_graph_key *key, ts_cudnn_graph **graph)
{
    *graph = static_cast<ts_cudnn_graph *>(calloc(1, sizeof **graph));
    (*graph)->key = *key;
    for (const algorithm &a : card.algorithms)
        (*graph)->configurations[(*graph)->count++].compiled = a.compiled;
    return NULL;
}
void ts_cudnn_graph_free(ts_cudnn_graph *graph)
{
    free(graph);
}
void ts_cudnn_graph_name(const ts_cuda_graph_key *, char *text)
{
    strcpy(text, "a graph");
}
cudnnStatus_t ts_cudnn_plan_make(const ts_cudnn_target *, const ts_cudnn_graph *, int i, ts_cudnn_plan *plan)
{
    const algorithm &a = card.algorithms[(size_t)i];
    memset(plan, 0, sizeof *plan);
    card.compiled += a.compiled;
    card.clock += a.compiled ? compile : 0;
    if (!a.made) {
        card.last = cudaErrorInvalidValue;
        return CUDNN_STATUS_NOT_SUPPORTED;
    }
    card.plans++;
    plan->descriptor = &card.algorithms[(size_t)i];
    plan->workspace = a.workspace;
    snprintf(plan->algorithm, sizeof plan->algorithm, "%d 2=7", 40 + i);
    return CUDNN_STATUS_SUCCESS;
}
int ts_cudnn_configuration_of(const ts_cudnn_graph *graph, const char *algorithm, size_t length)
{
    char text[TS_CUDNN_TEXT];
    for (int i = 0; i < graph->count; i++) {
        snprintf(text, sizeof text, "%d 2=7", 40 + i);
        if (std::string(algorithm, length) == text)
            return i;
    }
    return -1;
}
void ts_cudnn_plan_free(ts_cudnn_plan *plan)
{
    card.plans -= plan->descriptor != NULL;
    plan->descriptor = NULL;
}
cudnnStatus_t ts_cudnn_plan_run(cudnnHandle_t, const ts_cuda_graph_key *, const ts_cudnn_plan *plan,
                                const ts_cuda_graph_data *data, void *)
{
    card.added_to = data->weight;
    const int which = (int)(static_cast<algorithm *>(plan->descriptor) - card.algorithms.data());
    return queue(which) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}
}

/* ---- cuBLASLt ---- */

extern "C" {
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = reinterpret_cast<cublasLtHandle_t>(&card);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void)
{
    return 130000;
}
const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "made-up";
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t, cudaDataType_t)
{
    *d = static_cast<cublasLtMatmulDesc_t>(calloc(1, 8));
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    free(d);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t,
                                              const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType, uint64_t, uint64_t,
                                          int64_t)
{
    *l = static_cast<cublasLtMatrixLayout_t>(calloc(1, 8));
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    free(l);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
                                                const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = static_cast<cublasLtMatmulPreference_t>(calloc(1, 8));
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    free(p);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t, const void *,
                                                    size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    *count = 0;
    card.last = cudaErrorInvalidValue;
    for (size_t i = 0; i < card.algorithms.size() && *count < wanted; i++) {
        memset(&results[i], 0, sizeof results[i]);
        results[i].algo.data[0] = 0xABCD00 + i;
        results[i].workspaceSize = 64;
        ++*count;
    }
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *,
                              cublasLtMatrixLayout_t, const void *, cublasLtMatrixLayout_t, const void *,
                              const void *, cublasLtMatrixLayout_t, void *d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t *algo, void *, size_t, cudaStream_t)
{
    card.added_to = d;
    const uint64_t which = algo->data[0] - 0xABCD00;
    expect(which < card.algorithms.size(), "the library is given an algorithm that it did not offer");
    return which < card.algorithms.size() && queue((int)which) ? CUBLAS_STATUS_SUCCESS
                                                               : CUBLAS_STATUS_EXECUTION_FAILED;
}
}

/* ---- the device ---- */

ts_status ts_cuda_check(ts_device *, cudaError_t error, const char *what)
{
    return error ? ts_error(TS_DEVICE, "%s", what) : NULL;
}

ts_status ts_cuda_scratch(ts_device *device, int slot, size_t bytes, void **memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (slot == TS_CUDA_SLOT_TUNING && card.no_tuning_memory)
        return ts_error(TS_NO_MEMORY, "no memory");
    if (bytes > d->scratch_bytes[slot]) {
        free(d->scratch[slot]);
        d->scratch[slot] = malloc(bytes);
        d->scratch_bytes[slot] = bytes;
    }
    *memory = d->scratch[slot];
    return NULL;
}
