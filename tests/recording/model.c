/* Devices with recordings and without, and models on them. */
#include <stdlib.h>
#include "elsewhere.h"
#include "recording.h"

static const ts_device_options one_thread = {.threads = 1};

/* ---- the device that records, and the one that does not ---- */

static ts_kernels without, counted;
static ts_status (*card_replay)(ts_device *device, void *recording);
static ts_status (*card_end)(ts_device *device, void **recording);
static void (*card_free)(ts_device *device, void *recording);
static foreign_counts card_counts;

bool on_card(void)
{
    return elsewhere();
}

const foreign_counts *counts_of_device(void)
{
    return on_card() ? &card_counts : foreign_device_counts();
}

static ts_status count_replay(ts_device *device, void *recording)
{
    card_counts.replays++;
    return card_replay(device, recording);
}

static ts_status count_recording(ts_device *device, void **recording)
{
    TS_TRY(card_end(device, recording));
    card_counts.recordings++;
    card_counts.alive++;
    return NULL;
}

static void count_free(ts_device *device, void *recording)
{
    card_counts.alive -= recording != NULL;
    card_free(device, recording);
}

static ts_status open_card(bool recording, ts_device **device)
{
    TS_TRY(ts_device_open("cpu", &one_thread, device)); /* which means the one that the environment names */
    card_counts = (foreign_counts){0};
    counted = without = *(*device)->k;
    without.record_begin = NULL;
    card_replay = counted.replay;
    card_end = counted.record_end;
    card_free = counted.recording_free;
    counted.replay = count_replay;
    counted.record_end = count_recording;
    counted.recording_free = count_free;
    (*device)->k = recording ? &counted : &without;
    return NULL;
}

ts_status open_device(bool recording, ts_device **device)
{
    if (on_card())
        return open_card(recording, device);
    return recording ? foreign_device_open(&one_thread, device) : ts_device_open("cpu", &one_thread, device);
}

/* ---- a model on either device ---- */

ts_tensor apply_unet(const void *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(unet, graph, x, t, training);
}

void open_model(model *m, bool recording)
{
    uint8_t bytes[IMAGES][D];
    void *memory;
    *m = (model){0};
    must(open_device(recording, &m->device));
    for (int i = 0; i < IMAGES * D; i++)
        bytes[i / D][i % D] = (uint8_t)(ts_philox(7, (uint32_t)i, 0, TS_STREAM_TEST, 0).v[0] % LEVELS);
    must(m->device->k->allocate(m->device, sizeof bytes, &memory));
    must(m->device->k->upload(m->device, memory, bytes, sizeof bytes));
    m->data = (ts_data){.device = m->device,
                        .h = SIDE,
                        .w = SIDE,
                        .c = 1,
                        .count = IMAGES,
                        .levels = LEVELS,
                        .flip = true,
                        .bytes = memory};
    must(ts_params_create(m->device, &m->params));
}

void open_unet(model *m, bool recording)
{
    const ts_unet_config shape = {.height = SIDE,
                                  .width = SIDE,
                                  .channels = 1,
                                  .nf = 8,
                                  .levels = 2,
                                  .ch_mult = {1, 2},
                                  .num_res_blocks = 1,
                                  .attn_count = 1,
                                  .attn_resolutions = {4},
                                  .dropout = 0.1f};
    open_model(m, recording);
    must(ts_unet_create(&shape, m->params, &m->unet));
    must(ts_params_commit(m->params, 3));
}

void close_model(model *m)
{
    ts_training_destroy(m->training);
    ts_unet_destroy(m->unet);
    ts_glow_destroy(m->glow);
    ts_params_destroy(m->params);
    ts_data_release(&m->data);
    ts_device_close(m->device);
}

void assert_same(const model *a, const model *b)
{
    static const ts_param_buffer kept[] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND, TS_BUFFER_EMA};
    const size_t bytes = (size_t)ts_params_count(a->params) * sizeof(float);
    float *x = malloc(bytes), *y = malloc(bytes);
    assert_true(x && y);
    for (int k = 0; k < 4; k++) {
        must(a->device->k->download(a->device, x, ts_params_buffer(a->params, kept[k]), bytes));
        must(b->device->k->download(b->device, y, ts_params_buffer(b->params, kept[k]), bytes));
        assert_memory_equal(x, y, bytes);
    }
    free(x);
    free(y);
}

void assert_same_report(const model *a, const model *b)
{
    ts_training_report x, y;
    must(ts_training_read(a->training, &x));
    must(ts_training_read(b->training, &y));
    assert_true(x.step == y.step && x.loss == y.loss && x.gradient_norm == y.gradient_norm);
    assert_true(x.skipped == y.skipped && x.rollbacks == y.rollbacks && x.rate_scale == y.rate_scale);
}
