#include "cuda_runtime.h"

#include <stdlib.h>
#include <string.h>
#include <functional>
#include <map>
#include <vector>

struct fake_stream {
    int unused;
};
struct fake_graph {
    std::vector<std::function<void()>> work;
};

fake_card card;

static std::map<void *, size_t> blocks;
static std::vector<std::function<void()>> captured;

static cudaError_t outcome()
{
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

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = card.driver;
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
    if (bytes > card.free)
        return card.last = cudaErrorMemoryAllocation;
    *memory = malloc(bytes);
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

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
    return queue([=] { memmove(to, from, bytes); });
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t)
{
    return queue([=] { memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = new fake_stream();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return outcome();
}

cudaError_t cudaStreamQuery(cudaStream_t)
{
    return card.lasting;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, int)
{
    const cudaError_t error = outcome();
    card.capturing = !error;
    captured.clear();
    return error;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    card.capturing = false;
    const cudaError_t error = outcome();
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
    const cudaError_t error = outcome();
    if (error)
        return error;
    for (const auto &work : executable->work)
        work();
    return cudaSuccess;
}
