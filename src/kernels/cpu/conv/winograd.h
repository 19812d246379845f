/*
 * 3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016): 36 multiplications for
 * 16 outputs where the direct sum takes 144.  The interpolation points are 0, +-1/sqrt(2), +-sqrt(2) and
 * infinity, with which float32 loses half of what it loses with the usual 0, +-1, +-2 and infinity.
 */
#ifndef TS_KERNELS_CPU_CONV_WINOGRAD_H
#define TS_KERNELS_CPU_CONV_WINOGRAD_H

#include "kernels/kernels.h"

/* Whether a convolution of these sizes, of the outputs [n,h,w], is done here, in the pass named: a fixed rule, so that
 * what a run computes never depends on timings. */
bool ts_cpu_winograd_forward_pays(int n, int h, int w, int ci, int co);
bool ts_cpu_winograd_weights_pay(int n, int h, int w, int ci, int co);

/* The convolution, of a 3x3 window at every place and one group, times `scale` before the ReLU. */
ts_status ts_cpu_winograd_forward(ts_device *device, const ts_conv2d *a, float scale);
/* a->dx only. */
ts_status ts_cpu_winograd_input_gradient(ts_device *device, const ts_conv_backward *a);
/* a->dweight only. */
ts_status ts_cpu_winograd_weight_gradient(ts_device *device, const ts_conv_backward *a);

#endif
