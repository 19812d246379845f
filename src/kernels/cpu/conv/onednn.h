/*
 * The part of oneDNN's C interface that the CPU device uses, as one set of names over versions 2.x and 3.x,
 * which differ in how memory and primitive descriptors are made.
 */
#ifndef TS_KERNELS_CPU_CONV_ONEDNN_H
#define TS_KERNELS_CPU_CONV_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>
#include "kernels/kernels.h"

/* A memory descriptor as arguments take it, and one that we own. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t ts_dnnl_view;
typedef dnnl_memory_desc_t ts_dnnl_layout;

static inline ts_dnnl_view ts_dnnl_view_of(const ts_dnnl_layout *layout)
{
    return *layout;
}

static inline dnnl_status_t ts_dnnl_layout_create(ts_dnnl_layout *layout, int rank, const dnnl_dims_t dims,
                                                  dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(layout, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t ts_dnnl_layout_copy(ts_dnnl_layout *layout, ts_dnnl_view from)
{
    return dnnl_memory_desc_clone(layout, from);
}

static inline void ts_dnnl_layout_destroy(ts_dnnl_layout *layout)
{
    if (*layout)
        dnnl_memory_desc_destroy(*layout);
    *layout = NULL;
}

static inline dnnl_status_t ts_dnnl_append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t ts_dnnl_append_linear(dnnl_post_ops_t operations, float scale)
{
    return dnnl_post_ops_append_eltwise(operations, dnnl_eltwise_linear, scale, 0.0f);
}

static inline dnnl_status_t ts_dnnl_append_relu(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_eltwise(operations, dnnl_eltwise_relu, 0.0f, 0.0f);
}
#else
typedef const dnnl_memory_desc_t *ts_dnnl_view;
typedef dnnl_memory_desc_t ts_dnnl_layout;

static inline ts_dnnl_view ts_dnnl_view_of(const ts_dnnl_layout *layout)
{
    return layout;
}

static inline dnnl_status_t ts_dnnl_layout_create(ts_dnnl_layout *layout, int rank, const dnnl_dims_t dims,
                                                  dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(layout, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t ts_dnnl_layout_copy(ts_dnnl_layout *layout, ts_dnnl_view from)
{
    *layout = *from;
    return dnnl_success;
}

static inline void ts_dnnl_layout_destroy(ts_dnnl_layout *layout)
{
    (void)layout;
}

static inline dnnl_status_t ts_dnnl_append_sum(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_sum(operations, 1.0f);
}

static inline dnnl_status_t ts_dnnl_append_linear(dnnl_post_ops_t operations, float scale)
{
    return dnnl_post_ops_append_eltwise(operations, 1.0f, dnnl_eltwise_linear, scale, 0.0f);
}

static inline dnnl_status_t ts_dnnl_append_relu(dnnl_post_ops_t operations)
{
    return dnnl_post_ops_append_eltwise(operations, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
}
#endif

/* The three passes of a convolution; `bias` may be NULL, `hint` is the forward descriptor. */
typedef enum ts_dnnl_pass { TS_DNNL_FORWARD, TS_DNNL_BACKWARD_DATA, TS_DNNL_BACKWARD_WEIGHTS } ts_dnnl_pass;

static inline dnnl_status_t ts_dnnl_convolution(dnnl_primitive_desc_t *descriptor, dnnl_engine_t engine,
                                                ts_dnnl_pass pass, const ts_window *window, ts_dnnl_view x,
                                                ts_dnnl_view weights, ts_dnnl_view bias, ts_dnnl_view y,
                                                const_dnnl_primitive_desc_t hint,
                                                const_dnnl_primitive_attr_t attributes)
{
    const dnnl_dims_t strides = {window->stride_h, window->stride_w};
    const dnnl_dims_t padding = {window->pad_h, window->pad_w};
    const dnnl_alg_kind_t direct = dnnl_convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0, 0};
    if (pass == TS_DNNL_FORWARD)
        return dnnl_convolution_forward_primitive_desc_create(descriptor, engine, dnnl_forward_training,
                                                              direct, x, weights, bias, y, strides, dense,
                                                              padding, padding, attributes);
    if (pass == TS_DNNL_BACKWARD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            descriptor, engine, direct, x, weights, y, strides, dense, padding, padding, hint, attributes);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        descriptor, engine, direct, x, weights, bias, y, strides, dense, padding, padding, hint, attributes);
#else
    dnnl_convolution_desc_t c;
    dnnl_status_t status;
    if (pass == TS_DNNL_FORWARD)
        status = dnnl_convolution_forward_desc_init(&c, dnnl_forward_training, direct, x, weights, bias, y,
                                                    strides, padding, padding);
    else if (pass == TS_DNNL_BACKWARD_DATA)
        status =
            dnnl_convolution_backward_data_desc_init(&c, direct, x, weights, y, strides, padding, padding);
    else
        status = dnnl_convolution_backward_weights_desc_init(&c, direct, x, weights, bias, y, strides,
                                                             padding, padding);
    return status ? status : dnnl_primitive_desc_create(descriptor, &c, attributes, engine, hint);
#endif
}

#endif
