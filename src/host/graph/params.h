/*
 * The parameters of one model: one flat float32 buffer on the device, with the table of what lies where.
 * Graphs of different batch sizes and directions share one set.  Gradients, Adam moments and EMA are further
 * flat buffers of the same layout, made when training asks for them.
 *
 * Inside, weights lie as the kernels want them; outside, in files, they carry the names and shapes of the
 * public implementations.  A parameter knows how to go from one to the other.
 */
#ifndef TS_GRAPH_PARAMS_H
#define TS_GRAPH_PARAMS_H

#include "kernels/kernels.h"

/* How the public tensor is laid out relative to the internal one. */
typedef enum ts_layout {
    TS_LAYOUT_PLAIN,     /* the same */
    TS_LAYOUT_CONV,      /* public [out,in,kh,kw], internal [out,kh,kw,in] */
    TS_LAYOUT_TRANSPOSED /* public [in,out], internal [out,in] */
} ts_layout;

typedef enum ts_init {
    TS_INIT_ZERO,
    TS_INIT_ONE,
    TS_INIT_UNIFORM, /* uniform on [-scale, scale] */
    TS_INIT_NORMAL,  /* normal with standard deviation scale */
    TS_INIT_GIVEN    /* copied from `given`, internal layout */
} ts_init;

typedef struct ts_param_info {
    char name[96]; /* public name, e.g. "all_modules.3.Conv_0.weight" */
    int rank;
    int64_t shape[4]; /* public shape */
    ts_layout layout;
    bool trained; /* false: a constant, such as Glow's permutation; kept out of gradients and moments */
    ts_init init;
    float scale;
    const float *given; /* host, copied by ts_params_add */
} ts_param_info;

typedef struct ts_params ts_params;

/* A handle to one parameter, or to several that were added one after the other (q, k, v as one matrix). */
typedef int ts_param; /* index into the table; -1: none */

ts_status ts_params_create(ts_device *device, ts_params **params);
void ts_params_destroy(ts_params *params);

/* Declares a parameter (before `ts_params_commit`).  Errors are kept and returned by commit.  Consecutive
 * trained parameters are adjacent in memory without padding, so [q; k; v] is one matrix [3c,c] at the address
 * of q. */
ts_param ts_params_add(ts_params *params, const ts_param_info *info);

/* Allocates and initialises everything.  The seed and the parameter's index determine its initial values. */
ts_status ts_params_commit(ts_params *params, uint64_t seed);
/* Adds gradient, moment and EMA buffers (EMA := parameters); needed before training or any backward pass. */
ts_status ts_params_enable_gradients(ts_params *params);
ts_status ts_params_enable_training(ts_params *params); /* gradients, moments, EMA */

static inline int64_t ts_param_elements(const ts_param_info *info)
{
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++)
        count *= info->shape[i];
    return count;
}

int ts_params_table_size(const ts_params *params);
const ts_param_info *ts_params_info(const ts_params *params, ts_param p);
ts_param ts_params_find(const ts_params *params, const char *name); /* -1: no such */
int64_t ts_params_count(const ts_params *params);                   /* trained scalars */

/* The flat buffers, [count] each (trained part); NULL where not enabled. */
typedef enum ts_param_buffer {
    TS_BUFFER_VALUE,
    TS_BUFFER_GRADIENT,
    TS_BUFFER_FIRST,
    TS_BUFFER_SECOND,
    TS_BUFFER_EMA
} ts_param_buffer;
float *ts_params_buffer(const ts_params *params, ts_param_buffer which);
float *ts_params_data(const ts_params *params, ts_param p, ts_param_buffer which); /* device address */

/* One parameter in its public layout, to or from host memory. Constants exist in TS_BUFFER_VALUE alone. */
ts_status ts_params_get(const ts_params *params, ts_param p, ts_param_buffer which, float *host);
ts_status ts_params_set(ts_params *params, ts_param p, ts_param_buffer which, const float *host);

/* Host memory for the largest of them; the caller frees it. */
ts_status ts_params_scratch(const ts_params *params, float **scratch);

/* Exchanges values and EMA: evaluation with the averaged weights, and back. */
ts_status ts_params_swap_ema(ts_params *params);

#endif
