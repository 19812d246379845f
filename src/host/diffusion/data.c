/* Batches of the data, made on the device. */
#include "diffusion/data.h"
#include "diffusion/mixture.h"

/* Level indices become levels. */
static ts_gather gather_of(const ts_data *data, int n, const ts_step_state *state, float *x0)
{
    ts_gather a = {
        .n = n,
        .h = data->h,
        .w = data->w,
        .c = data->c,
        .count = data->count,
        .scale = data->levels > 1 ? (float)ts_data_spacing(data) : 1.0f,
        .offset = data->levels > 1 ? (float)ts_data_lowest(data) : 0.0f,
        .bytes = data->bytes,
        .floats = data->floats,
        .state = state,
        .x0 = x0,
    };
    return a;
}

static ts_status draw(const ts_data *data, int n, int64_t start, const ts_step_state *state, float *x0)
{
    ts_mixture_sample a = {
        .n = n,
        .start = start,
        .mixture = data->mixture->view,
        .state = state,
        .stream = TS_STREAM_MIXTURE,
        .x = x0,
    };
    return data->device->k->mixture_sample(data->device, &a);
}

ts_gather ts_data_train_examples(const ts_data *data, int n, const ts_step_state *state)
{
    ts_gather a = gather_of(data, n, state, NULL);
    a.shuffle = true;
    a.flip = data->flip;
    return a;
}

ts_status ts_data_train_batch(const ts_data *data, int n, const ts_step_state *state, float *x0)
{
    if (data->mixture)
        return draw(data, n, 0, state, x0);
    ts_gather a = ts_data_train_examples(data, n, state);
    a.x0 = x0;
    return data->device->k->gather(data->device, &a);
}

ts_status ts_data_eval_batch(const ts_data *data, int n, int64_t start, const ts_step_state *state, float *x0)
{
    if (data->mixture)
        return draw(data, n, start, state, x0);
    ts_gather a = gather_of(data, n, state, x0);
    a.start = start;
    return data->device->k->gather(data->device, &a);
}

ts_status ts_data_eval_rows(const ts_data *data, int64_t count, int n, int64_t first,
                            const ts_step_state *state, float *x0)
{
    for (int filled = 0; filled < n;) {
        const int64_t datum = (first + filled) % count, left = count - datum;
        const int some = left < n - filled ? (int)left : n - filled;
        TS_TRY(ts_data_eval_batch(data, some, datum, state, x0 + (size_t)filled * (size_t)ts_data_dim(data)));
        filled += some;
    }
    return NULL;
}

void ts_data_to_symmetric(const ts_data *data, int64_t count, float *x)
{
    for (int64_t i = 0; data->unit && i < count; i++)
        x[i] = 2.0f * x[i] - 1.0f;
}

void ts_data_release(ts_data *data)
{
    if (!data->device)
        return;
    data->device->k->release(data->device, data->bytes);
    data->device->k->release(data->device, data->floats);
    data->bytes = NULL;
    data->floats = NULL;
}
