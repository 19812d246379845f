#include "graph/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONSTANT_ALIGN = 16 /* floats: 64 bytes */, BUFFERS = TS_BUFFER_EMA + 1 };

typedef struct entry {
    ts_param_info info;
    int64_t count;
    int64_t offset; /* in floats, in the trained or in the constant buffer */
    float *given;   /* own copy; gone after commit */
} entry;

struct ts_params {
    ts_device *device;
    entry *entries;
    int size, capacity;
    int64_t trained, constant; /* floats */
    bool committed;
    float *buffers[BUFFERS], *constants;
    float *exchange; /* scratch of ts_params_swap_ema */
    int64_t exchange_count;
    ts_status error; /* the first failed declaration */
};

ts_status ts_params_create(ts_device *device, ts_params **params)
{
    *params = calloc(1, sizeof **params);
    if (!*params)
        return ts_error(TS_NO_MEMORY, "not enough memory for a parameter table");
    (*params)->device = device;
    return NULL;
}

void ts_params_destroy(ts_params *params)
{
    if (!params)
        return;
    const ts_kernels *k = params->device->k;
    for (int i = 0; i < BUFFERS; i++)
        if (params->buffers[i])
            k->release(params->device, params->buffers[i]);
    if (params->constants)
        k->release(params->device, params->constants);
    if (params->exchange)
        k->release(params->device, params->exchange);
    for (int i = 0; i < params->size; i++)
        free(params->entries[i].given);
    free(params->entries);
    ts_status_free(params->error);
    free(params);
}

/* ---- declaring ---- */

static ts_status check_info(const ts_params *params, const ts_param_info *info, int64_t *count)
{
    if (params->committed)
        return ts_error(TS_INVALID, "parameter %.95s: declared after the parameters were allocated",
                        info->name);
    if (!info->name[0] || !memchr(info->name, 0, sizeof info->name))
        return ts_error(TS_INVALID, "a parameter's name must have 1 to %zu characters",
                        sizeof info->name - 1);
    if (ts_params_find(params, info->name) >= 0)
        return ts_error(TS_INVALID, "parameter %s is declared twice", info->name);
    if (info->rank < 0 || info->rank > 4 || (info->layout == TS_LAYOUT_CONV && info->rank != 4) ||
        (info->layout == TS_LAYOUT_TRANSPOSED && info->rank != 2))
        return ts_error(TS_INVALID, "parameter %s: rank %d does not suit its layout", info->name, info->rank);
    *count = 1;
    for (int i = 0; i < info->rank; i++)
        if (info->shape[i] < 1 || __builtin_mul_overflow(*count, info->shape[i], count) ||
            *count > INT64_MAX / 64)
            return ts_error(TS_INVALID, "parameter %s: axis %d has the impossible size %lld", info->name, i,
                            (long long)info->shape[i]);
    if (info->init == TS_INIT_GIVEN && !info->given)
        return ts_error(TS_INVALID, "parameter %s: no initial values are given", info->name);
    return NULL;
}

static ts_status add_entry(ts_params *params, const ts_param_info *info)
{
    int64_t count = 0;
    TS_TRY(check_info(params, info, &count));
    if (params->size == params->capacity) {
        int capacity = params->capacity ? 2 * params->capacity : 64;
        entry *entries = realloc(params->entries, (size_t)capacity * sizeof *entries);
        if (!entries)
            return ts_error(TS_NO_MEMORY, "not enough memory for %d parameters", capacity);
        params->entries = entries;
        params->capacity = capacity;
    }
    entry *e = &params->entries[params->size];
    *e = (entry){.info = *info, .count = count};
    e->info.given = NULL;
    if (info->init == TS_INIT_GIVEN) {
        e->given = malloc((size_t)count * sizeof(float));
        if (!e->given)
            return ts_error(TS_NO_MEMORY, "parameter %s: not enough memory for %lld values", info->name,
                            (long long)count);
        memcpy(e->given, info->given, (size_t)count * sizeof(float));
    }
    if (info->trained) {
        e->offset = params->trained;
        params->trained += count;
    } else {
        e->offset = params->constant;
        params->constant += (count + CONSTANT_ALIGN - 1) / CONSTANT_ALIGN * CONSTANT_ALIGN;
    }
    params->size++;
    return NULL;
}

ts_param ts_params_add(ts_params *params, const ts_param_info *info)
{
    if (params->error)
        return -1;
    params->error = add_entry(params, info);
    return params->error ? -1 : params->size - 1;
}

/* ---- allocating and initialising ---- */

static void fill_uniform(float *values, int64_t count, float scale, const ts_step_state *state)
{
    for (int64_t i = 0; i < count; i += 4) {
        ts_philox_words words = ts_random_words(state, TS_STREAM_INIT, (uint32_t)(i / 4));
        for (int64_t j = i; j < i + 4 && j < count; j++)
            values[j] = scale * (2.0f * ts_uniform_from(words.v[j - i]) - 1.0f);
    }
}

/* Box-Muller, sine first. */
static void fill_normal(float *values, int64_t count, float scale, const ts_step_state *state)
{
    for (int64_t i = 0; i < count; i += 4) {
        ts_philox_words words = ts_random_words(state, TS_STREAM_INIT, (uint32_t)(i / 4));
        double normal[4];
        for (int j = 0; j < 4; j += 2) {
            double u = (words.v[j] + 0.5) * 0x1p-32, angle = (words.v[j + 1] + 0.5) * 0x1p-31 * M_PI;
            double radius = sqrt(-2.0 * log(u));
            normal[j] = radius * sin(angle);
            normal[j + 1] = radius * cos(angle);
        }
        for (int64_t j = i; j < i + 4 && j < count; j++)
            values[j] = (float)(scale * normal[j - i]);
    }
}

static void fill_initial(const entry *e, int index, uint64_t seed, float *values)
{
    const ts_step_state state = {.seed = seed, .instance = (uint32_t)index};
    switch (e->info.init) {
    case TS_INIT_ZERO:
    case TS_INIT_ONE:
        for (int64_t i = 0; i < e->count; i++)
            values[i] = e->info.init == TS_INIT_ONE ? 1.0f : 0.0f;
        break;
    case TS_INIT_UNIFORM:
        fill_uniform(values, e->count, e->info.scale, &state);
        break;
    case TS_INIT_NORMAL:
        fill_normal(values, e->count, e->info.scale, &state);
        break;
    case TS_INIT_GIVEN:
        memcpy(values, e->given, (size_t)e->count * sizeof *values);
        break;
    }
}

static ts_status allocate_floats(ts_params *params, int64_t count, const char *what, float **floats)
{
    if (*floats || count == 0)
        return NULL;
    ts_status status =
        params->device->k->allocate(params->device, (size_t)count * sizeof(float), (void **)floats);
    return ts_context(status, "%s of %lld parameters", what, (long long)count);
}

ts_status ts_params_commit(ts_params *params, uint64_t seed)
{
    ts_status status = params->error;
    params->error = NULL;
    if (status)
        return status;
    if (params->committed)
        return ts_error(TS_INVALID, "the parameters are allocated already");
    TS_TRY(allocate_floats(params, params->trained, "values", &params->buffers[TS_BUFFER_VALUE]));
    TS_TRY(allocate_floats(params, params->constant, "constants", &params->constants));
    params->committed = true;
    for (int i = 0; i < params->size && !status; i++) {
        entry *e = &params->entries[i];
        float *values = malloc((size_t)e->count * sizeof *values);
        if (!values)
            return ts_error(TS_NO_MEMORY, "parameter %s: not enough memory to initialise it", e->info.name);
        fill_initial(e, i, seed, values);
        status = params->device->k->upload(params->device, ts_params_data(params, i, TS_BUFFER_VALUE), values,
                                           (size_t)e->count * sizeof *values);
        free(values);
        free(e->given);
        e->given = NULL;
    }
    params->device->k->weights_changed(params->device);
    return status;
}

static ts_status check_committed(const ts_params *params)
{
    return params->committed ? NULL : ts_error(TS_INVALID, "the parameters are not allocated yet");
}

ts_status ts_params_enable_gradients(ts_params *params)
{
    TS_TRY(check_committed(params));
    return allocate_floats(params, params->trained, "gradients", &params->buffers[TS_BUFFER_GRADIENT]);
}

ts_status ts_params_enable_training(ts_params *params)
{
    enum { EXCHANGE = 1 << 20 };
    TS_TRY(ts_params_enable_gradients(params));
    TS_TRY(allocate_floats(params, params->trained, "first moments", &params->buffers[TS_BUFFER_FIRST]));
    TS_TRY(allocate_floats(params, params->trained, "second moments", &params->buffers[TS_BUFFER_SECOND]));
    if (params->buffers[TS_BUFFER_EMA] || params->trained == 0)
        return NULL;
    params->exchange_count = params->trained < EXCHANGE ? params->trained : EXCHANGE;
    TS_TRY(allocate_floats(params, params->exchange_count, "exchange buffer", &params->exchange));
    TS_TRY(allocate_floats(params, params->trained, "moving averages", &params->buffers[TS_BUFFER_EMA]));
    return params->device->k->copy(params->device, params->buffers[TS_BUFFER_EMA],
                                   params->buffers[TS_BUFFER_VALUE], (size_t)params->trained * sizeof(float));
}

/* ---- looking up ---- */

int ts_params_table_size(const ts_params *params)
{
    return params->size;
}

const ts_param_info *ts_params_info(const ts_params *params, ts_param p)
{
    return p >= 0 && p < params->size ? &params->entries[p].info : NULL;
}

ts_param ts_params_find(const ts_params *params, const char *name)
{
    for (int i = 0; i < params->size; i++)
        if (strcmp(params->entries[i].info.name, name) == 0)
            return i;
    return -1;
}

int64_t ts_params_count(const ts_params *params)
{
    return params->trained;
}

float *ts_params_buffer(const ts_params *params, ts_param_buffer which)
{
    return params->buffers[which];
}

float *ts_params_data(const ts_params *params, ts_param p, ts_param_buffer which)
{
    if (p < 0 || p >= params->size)
        return NULL;
    const entry *e = &params->entries[p];
    float *base = e->info.trained            ? params->buffers[which]
                  : which == TS_BUFFER_VALUE ? params->constants
                                             : NULL;
    return base ? base + e->offset : NULL;
}

/* ---- layouts ---- */

/* Moves values between the public and the internal layout. */
static void reorder(const ts_param_info *info, const float *from, float *to, bool to_public)
{
    const int64_t *s = info->shape;
    /* public [outer, a, b] <-> internal [outer, b, a] */
    int64_t outer = info->layout == TS_LAYOUT_CONV ? s[0] : 1;
    int64_t a = info->layout == TS_LAYOUT_CONV ? s[1] : s[0];
    int64_t b = info->layout == TS_LAYOUT_CONV ? s[2] * s[3] : s[1];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t j = 0; j < b; j++) {
                int64_t public = (o * a + i) * b + j, internal = (o * b + j) * a + i;
                to[to_public ? public : internal] = from[to_public ? internal : public];
            }
}

static ts_status find_data(const ts_params *params, ts_param p, ts_param_buffer which, float **data)
{
    if (p < 0 || p >= params->size)
        return ts_error(TS_INVALID, "no parameter has the number %d", p);
    *data = ts_params_data(params, p, which);
    if (!*data)
        return ts_error(TS_INVALID, "parameter %s has no such buffer", params->entries[p].info.name);
    return NULL;
}

ts_status ts_params_get(const ts_params *params, ts_param p, ts_param_buffer which, float *host)
{
    float *data;
    TS_TRY(find_data(params, p, which, &data));
    const entry *e = &params->entries[p];
    const ts_kernels *k = params->device->k;
    size_t bytes = (size_t)e->count * sizeof *host;
    if (e->info.layout == TS_LAYOUT_PLAIN)
        return k->download(params->device, host, data, bytes);
    float *internal = malloc(bytes);
    if (!internal)
        return ts_error(TS_NO_MEMORY, "parameter %s: not enough memory to read it", e->info.name);
    ts_status status = k->download(params->device, internal, data, bytes);
    if (!status)
        reorder(&e->info, internal, host, true);
    free(internal);
    return status;
}

ts_status ts_params_set(ts_params *params, ts_param p, ts_param_buffer which, const float *host)
{
    float *data;
    TS_TRY(find_data(params, p, which, &data));
    const entry *e = &params->entries[p];
    const ts_kernels *k = params->device->k;
    size_t bytes = (size_t)e->count * sizeof *host;
    ts_status status;
    if (e->info.layout == TS_LAYOUT_PLAIN) {
        status = k->upload(params->device, data, host, bytes);
    } else {
        float *internal = malloc(bytes);
        if (!internal)
            return ts_error(TS_NO_MEMORY, "parameter %s: not enough memory to set it", e->info.name);
        reorder(&e->info, host, internal, false);
        status = k->upload(params->device, data, internal, bytes);
        free(internal);
    }
    if (which == TS_BUFFER_VALUE)
        k->weights_changed(params->device);
    return status;
}

ts_status ts_params_scratch(const ts_params *params, float **scratch)
{
    int64_t largest = 1;
    for (int p = 0; p < params->size; p++)
        if (ts_param_elements(&params->entries[p].info) > largest)
            largest = ts_param_elements(&params->entries[p].info);
    *scratch = malloc((size_t)largest * sizeof(float));
    return *scratch ? NULL
                    : ts_error(TS_NO_MEMORY, "no memory for a tensor of %lld values", (long long)largest);
}

/* The data moves, not the pointers: addresses may be frozen in captured launch sequences. */
ts_status ts_params_swap_ema(ts_params *params)
{
    float *value = params->buffers[TS_BUFFER_VALUE], *ema = params->buffers[TS_BUFFER_EMA];
    if (!ema)
        return params->trained ? ts_error(TS_INVALID, "the parameters have no moving averages") : NULL;
    const ts_kernels *k = params->device->k;
    for (int64_t i = 0; i < params->trained; i += params->exchange_count) {
        int64_t left = params->trained - i;
        size_t bytes = (size_t)(left < params->exchange_count ? left : params->exchange_count) * sizeof *ema;
        TS_TRY(k->copy(params->device, params->exchange, value + i, bytes));
        TS_TRY(k->copy(params->device, value + i, ema + i, bytes));
        TS_TRY(k->copy(params->device, ema + i, params->exchange, bytes));
    }
    k->weights_changed(params->device);
    return NULL;
}
