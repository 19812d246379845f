/*
 * Ranges for profilers, and devices that do not record although they could.
 */
#include <string.h>
#include "recording.h"

static void open_training(model *m, bool recording)
{
    const ts_score_training_config config = {
        .sde = vp,
        .t_min = 1e-3,
        .t_max = 0.6,
        .batch = BATCH,
        .profile_bins = BINS,
        .seed = 21,
        .optimizer = {.rate = 2e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ema = 0.99},
    };
    open_unet(m, recording);
    must(ts_training_score(m->device, &config, &m->data, m->params, apply_unet, m->unet, &m->training));
}

/* Phase, layer, kernel; a layer has the same name in both passes. */
void ranges(void **state)
{
    (void)state;
    static const char *const there[] = {
        "train step",
        "train step > batch",
        "train step > forward > input conv > conv_forward",
        "train step > forward > down 0 block 0 conv0 > conv_forward",
        "train step > backward > down 0 block 0 conv0 > conv_backward",
        "train step > forward > down 0 halving norm0 > group_norm_forward",
        "train step > backward > middle attention softmax > attention_backward",
        "train step > forward > up 1 block 1 norm1 > group_norm_forward",
        "train step > loss",
        "train step > backward > time > dense_backward",
        "train step > optimizer",
    };
    model m;
    if (on_card()) /* which shows its ranges to profilers alone */
        skip();
    open_training(&m, true);
    foreign_counts *counts = foreign_device_counts();
    must(ts_training_step(m.training));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (!foreign_device_range(there[i]))
            fail_msg("no range: %s", there[i]);
    assert_false(foreign_device_range("train step > forward > conv_forward"));
    assert_int_equal(counts->depth, 0);
    must(ts_training_step(m.training)); /* recorded */
    assert_int_equal(counts->depth, 0);
    const int operations = counts->recorded;
    close_model(&m);
    /* an error on the way closes what is open */
    for (int i = 0, at = 1; at <= operations; i++, at += operations / 12) {
        open_training(&m, true);
        counts->fail_in = at;
        ts_status status = ts_training_step(m.training);
        assert_int_equal(ts_status_code(status), TS_DEVICE);
        ts_status_free(status);
        assert_int_equal(counts->depth, 0);
        assert_int_equal(counts->least_depth, 0);
        counts->fail_in = 0;
        must(ts_training_step(m.training)); /* the device goes on */
        close_model(&m);
        assert_int_equal(counts->alive, 0);
    }
}

/* The Glow's layers; and a device that is asked to does not record. */
void recording_off(void **state)
{
    (void)state;
    const ts_glow_config shape = {SIDE, SIDE, 1, 2, 2, .hidden = 8};
    const ts_glow_training_config config = {
        .sde = vp,
        .T = 0.3,
        .batch = BATCH,
        .optimizer = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ema = 0.9}};
    static const char *const there[] = {
        "train step > batch",
        "train step > forward > level 0 step 1 network conv1 > dense_forward",
        "train step > backward > level 0 step 1 network conv1 > dense_backward",
        "train step > forward > level 1 step 0 matrix > glow_matrix_forward",
        "train step > backward > level 1 step 1 coupling > coupling_backward",
        "train step > backward > level 0 split > gaussian_backward",
        "train step > optimizer",
    };
    model direct, m;
    for (int i = 0; i < 2; i++) {
        model *one = i ? &m : &direct;
        open_model(one, i);
        one->device->recording_off = i;
        must(ts_glow_create(&shape, one->params, 11, &one->glow));
        must(ts_params_commit(one->params, 11));
        must(ts_training_glow(one->device, &config, &one->data, one->params, one->glow, &one->training));
        for (int step = 0; step < 4; step++)
            must(ts_training_step(one->training));
    }
    const foreign_counts *counts = counts_of_device();
    assert_int_equal(counts->recordings, 0);
    for (size_t i = 0; i < sizeof there / sizeof *there && !on_card(); i++)
        if (!foreign_device_range(there[i]))
            fail_msg("no range: %s", there[i]);
    assert_int_equal(counts->depth, 0);
    assert_same(&direct, &m);
    close_model(&direct);
    close_model(&m);
}

/* A device that fails to record goes on without, and says so. */
void unrecordable(void **state)
{
    (void)state;
    model direct, m;
    if (on_card())
        skip();
    open_training(&direct, false);
    open_training(&m, true);
    foreign_counts *counts = foreign_device_counts();
    for (int i = 0; i < 4; i++) {
        must(ts_training_step(direct.training));
        counts->fail_in = i == 1 ? 50 : 0;
        must(ts_training_step(m.training));
    }
    assert_int_equal(counts->alive, 0);
    assert_int_equal(counts->replays, 0);
    assert_non_null(strstr(m.device->recording_error, "as asked"));
    assert_same(&direct, &m);
    assert_same_report(&direct, &m);
    close_model(&direct);
    close_model(&m);
}
