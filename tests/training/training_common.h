/*
 * What the tests of score training share.
 */
#ifndef TS_TESTS_TRAINING_COMMON_H
#define TS_TESTS_TRAINING_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "diffusion/training.h"
#include "must.h"

static inline ts_device *open_device(int threads)
{
    const ts_device_options options = {.threads = threads};
    ts_device *device;
    must(ts_device_open("cpu", &options, &device));
    return device;
}

static inline void *on_device(ts_device *device, const void *host, size_t bytes)
{
    void *memory;
    must(device->k->allocate(device, bytes, &memory));
    must(device->k->upload(device, memory, host, bytes));
    return memory;
}

static const ts_score_training_config plain = {
    .sde = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0},
    .t_min = 1e-3,
    .t_max = 1.0,
    .low_discrepancy = true,
    .batch = 16,
    .profile_bins = 8,
    .seed = 21,
    .optimizer =
        {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .clip = 1, .ema = 0.99, .warmup = 4},
};

/* The tests of linear.c. */
void follows_the_reference(void **unused);
void one_network_three_ways(void **unused);
void one_bound_three_ways(void **unused);
void refusals(void **unused);

#endif
