/*
 * What the tests of recordings share: a device that records and one that does not, and models on either.
 */
#ifndef TS_TESTS_RECORDING_H
#define TS_TESTS_RECORDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "diffusion/recorded.h"
#include "diffusion/training.h"
#include "foreign_device.h"
#include "must.h"

enum { SIDE = 8, IMAGES = 40, LEVELS = 17, BATCH = 8, BINS = 4, D = SIDE * SIDE };

static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0};

/* ---- devices: foreign_device.h's and the CPU, or a card with its recordings and without ---- */

bool on_card(void);
ts_status open_device(bool recording, ts_device **device);
/* Of a card: recordings, replays and what is alive. */
const foreign_counts *counts_of_device(void);

/* ---- models ---- */

typedef struct model {
    ts_device *device;
    ts_data data;
    ts_params *params;
    ts_unet *unet;
    ts_glow *glow;
    ts_training *training;
} model;

ts_tensor apply_unet(const void *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training);
void open_model(model *m, bool recording); /* data and no network */
void open_unet(model *m, bool recording);
void close_model(model *m);
/* Every buffer of the parameters, bit for bit. */
void assert_same(const model *a, const model *b);
void assert_same_report(const model *a, const model *b);

/* ---- the tests of ranges.c ---- */

void ranges(void **state);
void recording_off(void **state);
void unrecordable(void **state);

#endif
