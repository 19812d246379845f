/* What the parts of the graph test share. */
#ifndef TESTS_GRAPH_TEST_H
#define TESTS_GRAPH_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "nn/nn.h"

extern ts_device *graph_device;

void graph_must(ts_status status);
/* The call must fail with this code and a message that contains `part`. */
void graph_must_fail(ts_status status, ts_code code, const char *part);
float graph_random(uint32_t *seed); /* on [-1, 1) */

/* Two computations of the same: ||a - b|| < 2e-6 ||b||. */
void graph_must_agree(const char *what, const float *a, const float *b, int count);

/* A parameter of a small model; rank 4: a 3x3 convolution's weight. */
ts_param graph_add(ts_params *params, const char *name, int rank, int64_t a, int64_t b, ts_init init,
                   float scale);

/* Parameters for operations on 4 channels. */
typedef struct graph_model {
    ts_params *params;
    ts_param conv[2], dense[2], gamma, beta, matrix[5], sum;
    ts_param mean, copies; /* constants [4,16] and [16,4] that resample, see graph_resample.c */
} graph_model;

void graph_model_create(graph_model *m);

/* errors.c */
void errors_stay(void **state);
void parameters_must_have_memory(void **state);

/* concat.c */
void concat_is_written_on_demand(void **state);
void concat_with_shift(void **state);
void concat_plans_agree_bitwise(void **state);

/* resample.c */
void resampled_norm_is_both(void **state);
void resampled_norm_errors(void **state);

/* filters.c */
void filters_around_convolutions(void **state);

/* images.c */
void image_plans_agree_bitwise(void **state);

/* unet.c */
void unet_parameter_count(void **state);
void unet_errors(void **state);
void unet_plans_agree_bitwise(void **state);
void unet_gradient(void **state);
void ncsnpp_gradients(void **state);
void unet_fits_in_memory(void **state);
void network_score(void **state);

#endif
