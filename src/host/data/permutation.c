#include "data/permutation.h"

#include "kernels/philox.h"

void ts_permutation(uint64_t key, int64_t n, uint32_t *order)
{
    const ts_step_state state = {.seed = key};
    for (int64_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        const ts_philox_words words = ts_random_words(&state, TS_STREAM_SHUFFLE, (uint32_t)(i / 4));
        const uint32_t other = (uint32_t)((uint64_t)words.v[i % 4] * (uint64_t)(i + 1) >> 32);
        const uint32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}
