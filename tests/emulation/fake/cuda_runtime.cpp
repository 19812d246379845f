#include "cuda_runtime.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <functional>
#include <map>
#include <vector>
#include "../simt.hpp"

struct simt_stream {
    int unused;
};
struct fake_event {
    struct timespec time;
};
struct fake_graph {
    std::vector<std::function<void()>> work;
};

static long wanted(const char *name, long otherwise)
{
    const char *const text = getenv(name);
    return text ? atol(text) : otherwise;
}

static fake_card card_of_environment()
{
    fake_card c = {};
    c.driver = 13000;
    c.count = 1;
    c.major = 9;
    c.total = c.free = (size_t)wanted("FAKE_CARD_BYTES", 8L << 30);
    c.lasts = wanted("FAKE_CARD_LASTS", 0);
    return c;
}

fake_card card = card_of_environment();

static std::map<void *, size_t> blocks;
static std::vector<std::function<void()>> captured;

/* Of what may not happen while the stream is captured. */
static cudaError_t forbidden()
{
    card.spoilt = card.spoilt || card.capturing;
    return card.capturing ? card.last = cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

static cudaError_t outcome()
{
    if (card.lasts > 0 && --card.lasts == 0)
        card.lasting = cudaErrorIllegalAddress;
    const cudaError error = card.lasting ? card.lasting : card.next;
    card.next = cudaSuccess;
    if (error)
        card.last = error;
    return error;
}

static cudaError_t queue(std::function<void()> work)
{
    const cudaError_t error = outcome();
    if (error)
        return error;
    if (card.capturing)
        captured.push_back(work);
    else
        work();
    return cudaSuccess;
}

void simt::queue(std::function<void()> work)
{
    ::queue(work);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = card.driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = card.count;
    return !card.driver ? cudaErrorInsufficientDriver : card.count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    strcpy(properties->name, "Fake card");
    properties->major = card.major;
    properties->minor = card.minor;
    properties->multiProcessorCount = 3;
    properties->sharedMemPerBlockOptin = 227 << 10;
    properties->totalGlobalMem = card.total;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, void (*)())
{
    return card.image;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *)
{
    attributes->maxDynamicSharedSizeBytes = card.shared;
    return outcome();
}

cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int value)
{
    card.shared = value;
    return outcome();
}

cudaError_t cudaFuncGetName(const char **name, const void *)
{
    *name = "some_kernel";
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress" : "cudaErrorOther";
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : "another error";
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = card.lasting ? card.lasting : card.last;
    card.last = cudaSuccess;
    return error;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    if (card.lasting)
        return outcome();
    if (forbidden())
        return card.last;
    if (bytes > card.free)
        return card.last = cudaErrorMemoryAllocation;
    if (posix_memalign(memory, 256, bytes) != 0)
        return card.last = cudaErrorMemoryAllocation;
    memset(*memory, 0xA5, bytes);
    blocks[*memory] = bytes;
    card.free -= bytes;
    card.handed_out++;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    const auto found = blocks.find(memory);
    if (found == blocks.end())
        abort(); /* not a block, or freed twice */
    if (forbidden())
        return card.last;
    memset(memory, 0xFF, found->second); /* NaN, for who still reads it */
    card.free += found->second;
    card.handed_out--;
    blocks.erase(found);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
    *unused = card.free;
    *total = card.total;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t)
{
    if (kind != cudaMemcpyDeviceToDevice && forbidden())
        return card.last;
    return queue([=] { memmove(to, from, bytes); });
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t)
{
    return queue([=] { memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = new simt_stream();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    card.capturing = false;
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return forbidden() ? card.last : outcome();
}

cudaError_t cudaStreamQuery(cudaStream_t)
{
    return forbidden() ? card.last : card.lasting;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = new fake_event();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    return queue([=] { clock_gettime(CLOCK_MONOTONIC, &event->time); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return forbidden() ? card.last : outcome();
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t stop)
{
    *milliseconds = (float)(1e3 * (double)(stop->time.tv_sec - start->time.tv_sec) +
                            1e-6 * (double)(stop->time.tv_nsec - start->time.tv_nsec));
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, int)
{
    if (forbidden())
        return card.last;
    const cudaError_t error = outcome();
    card.capturing = !error;
    card.spoilt = false;
    captured.clear();
    return error;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    card.capturing = false;
    const cudaError_t error = card.spoilt ? card.last = cudaErrorStreamCaptureInvalidated : outcome();
    if (error)
        return error;
    *graph = new fake_graph{captured};
    card.graphs++;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long)
{
    const cudaError_t error = outcome();
    if (error)
        return error;
    *executable = new fake_graph(*graph);
    card.graphs++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    card.graphs--;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    return cudaGraphDestroy(executable);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t)
{
    if (forbidden())
        return card.last;
    const cudaError_t error = outcome();
    if (error)
        return error;
    for (const auto &work : executable->work)
        work();
    return cudaSuccess;
}
