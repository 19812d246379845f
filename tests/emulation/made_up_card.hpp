/*
 * A made-up card, with made-up cuDNN and cuBLASLt on it, whose kernels take a known time on a made-up clock.
 */
#ifndef TS_TESTS_MADE_UP_CARD_HPP
#define TS_TESTS_MADE_UP_CARD_HPP

#include <map>
#include <vector>

typedef struct algorithm {
    float microseconds;
    bool compiled, made, runs, records;
    int64_t workspace;
} algorithm;

struct made_up_card {
    double clock; /* microseconds */
    bool capturing, no_tuning_memory;
    std::vector<float> captured;
    std::vector<algorithm> algorithms; /* of every graph and product */
    std::map<int, int> runs;           /* of each, recorded ones at their replay */
    int compiled, plans, graphs;       /* plans and recordings that are alive */
    void *added_to;                    /* by the latest run */
    cudaError_t last;                  /* what the runtime remembers */
};
extern made_up_card card;

const float launch = 8, compile = 1.5e6f; /* microseconds */

inline algorithm good(float microseconds, bool compiled = false)
{
    return {microseconds, compiled, true, true, true, 256};
}

/* The algorithms from now on, none of which has run. */
void set(const std::vector<algorithm> &algorithms);
int run_count();

#endif
