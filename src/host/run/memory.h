/*
 * What to say where memory does not suffice: the key to change and about how far.
 */
#ifndef TS_RUN_MEMORY_H
#define TS_RUN_MEMORY_H

#include "nn/nn.h"
#include "run/model.h"

/* TS_NO_MEMORY gets in front of its message that `key` = batch does not fit and which batch would, by the
 * plans' sizes, the device's free memory after a pass over one image, and what it gives when asked (where
 * those would do for `batch` itself, something else was short, and the message stays as it is); other
 * statuses pass. To be called when what failed has been released: the network's training or evaluation, the
 * training of a flow over images [h,w,c]. */
ts_status ts_memory_advise(ts_status status, const ts_model *model, const char *key, int batch,
                           bool training);
ts_status ts_memory_advise_flow(ts_status status, ts_device *device, ts_params *params, const ts_glow *glow,
                                int h, int w, int c, int batch);

/* The bytes of the plan for a batch, and the FLOP of running it once: of the network (which an exact score
 * does not have), forwards, and backwards too in training, for which it must have gradients; and forwards of
 * a flow over images [h,w,c].  Nothing is allocated on the device. */
ts_status ts_memory_plan(const ts_model *model, int batch, bool training, double *bytes, double *flops);
ts_status ts_memory_plan_flow(ts_device *device, ts_params *params, const ts_glow *glow, int h, int w, int c,
                              int batch, double *bytes, double *flops);

#endif
