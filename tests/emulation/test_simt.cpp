/*
 * The emulated grid itself: that it computes what a GPU does, and that it finds what it is there to find.
 * Each planted error runs in a process of its own and must end it with the message named beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kernels/cuda/reduce.cuh"
#include "expect.hpp"

void simt::queue(std::function<void()> work)
{
    work();
}

/* ---- what must work ---- */

static __global__ void indices(int *out)
{
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * 64 + thread]++;
}

static __global__ void block_sums(const double *x, double *out)
{
    const double sum = ts_block_sum(x[ts_thread()]);
    out[ts_thread()] = sum;
}

static __global__ void shuffles(int *out)
{
    const int lane = (int)threadIdx.x;
    int *const mine = out + 6 * lane;
    mine[0] = __shfl_sync(~0u, lane, 5);
    mine[1] = __shfl_sync(~0u, lane, 3, 8);
    mine[2] = __shfl_xor_sync(~0u, lane, 9);
    mine[3] = __shfl_down_sync(~0u, lane, 4, 16);
    mine[4] = __shfl_up_sync(~0u, lane, 3);
    mine[5] = (int)__ballot_sync(~0u, lane % 3 == 0);
}

static __global__ void halves(int *out)
{
    const int lane = (int)threadIdx.x;
    int v = lane;
    if (lane < 16) { /* the halves of a warp part and meet again */
        v = __shfl_xor_sync(0x0000FFFFu, v, 1);
        v = __shfl_xor_sync(0x0000FFFFu, v, 2);
    } else {
        v = __shfl_xor_sync(0xFFFF0000u, v, 4);
    }
    __syncwarp();
    out[lane] = v;
}

static void check_results(simt::order order)
{
    simt::set_order(order);
    int counts[24 * 64] = {};
    simt::launch(dim3(2, 3, 4), dim3(4, 8, 2), 0, [&] { indices(counts); });
    bool once = true;
    for (int count : counts)
        once = once && count == 1;
    expect(once, "every thread of a three-dimensional grid runs once");

    double x[3 * 256], sums[3 * 256];
    for (int i = 0; i < 3 * 256; i++)
        x[i] = i;
    simt::launch(3, 256, 0, [&] { block_sums(x, sums); });
    bool equal = true;
    for (int i = 0; i < 3 * 256; i++)
        equal = equal && sums[i] == 256.0 * (i / 256 * 256) + 255 * 128;
    expect(equal, "sums over blocks");

    int v[6 * 32];
    simt::launch(1, 32, 0, [&] { shuffles(v); });
    bool right = true;
    for (int lane = 0; lane < 32; lane++) {
        const int *const mine = v + 6 * lane;
        right = right && mine[0] == 5 && mine[1] == lane / 8 * 8 + 3 && mine[2] == (lane ^ 9) &&
                mine[3] == (lane % 16 < 12 ? lane + 4 : lane) && mine[4] == (lane < 3 ? lane : lane - 3) &&
                mine[5] == 0x49249249;
    }
    expect(right, "shuffles and ballots");

    simt::launch(1, 32, 0, [&] { halves(v); });
    right = true;
    for (int lane = 0; lane < 32; lane++)
        right = right && v[lane] == (lane < 16 ? lane ^ 3 : lane ^ 4);
    expect(right, "warp operations of some lanes");
}

/* ---- what must be found ---- */

static __global__ void unordered(float *out)
{
    TS_SHARED(float, value, [64]);
    value[threadIdx.x] = (float)threadIdx.x;
    out[threadIdx.x] = value[63 - threadIdx.x]; /* no barrier */
}

static __global__ void uninitialised(float *out)
{
    TS_SHARED(float, value, [64]);
    if (blockIdx.x == 0)
        value[threadIdx.x] = 1;
    out[blockIdx.x * 64 + threadIdx.x] = value[threadIdx.x];
}

static __global__ void barrier_in_branch()
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

static __global__ void lane_missing()
{
    if (threadIdx.x != 7)
        __syncwarp();
}

static __global__ void lane_at_barrier()
{
    if (threadIdx.x == 7)
        __syncthreads();
    else
        __syncwarp();
}

static __global__ void foreign_lane(int *out)
{
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_sync(0x0000FFFFu, 1, 20);
}

static __global__ void much_shared()
{
    TS_SHARED(char, value, [228 << 10]);
    value[threadIdx.x] = 0;
}

static int scratch[64];

static void planted_branch()
{
    simt::launch(1, 64, 0, [] { barrier_in_branch(); });
}
static void planted_missing()
{
    simt::launch(1, 32, 0, [] { lane_missing(); });
}
static void planted_barrier()
{
    simt::launch(1, 32, 0, [] { lane_at_barrier(); });
}
static void planted_foreign()
{
    simt::launch(1, 32, 0, [] { foreign_lane(scratch); });
}
static void planted_shared()
{
    simt::launch(1, 32, 0, [] { much_shared(); });
}
static void planted_block()
{
    simt::launch(1, 33, 0, [] {});
}
static void planted_grid()
{
    simt::launch(dim3(1, 65536), 32, 0, [] {});
}

static void expect_end(void (*planted)(), const char *message)
{
    int ends[2];
    char text[4096] = "";
    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        planted();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n;
         length < sizeof text - 1 && (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    expect(WIFSIGNALED(status) && strstr(text, message), message);
}

int main()
{
    for (int order = 0; order < simt::ORDERS; order++)
        check_results((simt::order)order);

    float forward[64], reversed[64], blocks[128];
    simt::set_order(simt::FORWARD);
    simt::launch(1, 64, 0, [&] { unordered(forward); });
    simt::set_order(simt::REVERSED);
    simt::launch(1, 64, 0, [&] { unordered(reversed); });
    expect(memcmp(forward, reversed, sizeof forward) != 0, "a missing barrier shows in another order");
    simt::set_order(simt::FORWARD);
    simt::launch(2, 64, 0, [&] { uninitialised(blocks); });
    expect(blocks[0] == 1 && isnan(blocks[64]), "a block does not see the shared memory of the one before");

    expect_end(planted_branch, "threads wait at different barriers");
    expect_end(planted_missing, "a warp operation waits for lanes that do not come");
    expect_end(planted_barrier, "a warp operation waits for lanes that do not come");
    expect_end(planted_foreign, "which is not in mask 0000ffff");
    expect_end(planted_shared, "a block has at most 227 KiB");
    expect_end(planted_block, "a block of 33 threads");
    expect_end(planted_grid, "a grid of 1 x 65536 x 1 blocks");
    return failures != 0;
}
