/*
 * test_operations [DEVICE [fast]] [--without REASON NAME...]: the framework of operations.h, and the list of
 * all operations, each of which must have a row and be in the device's table, unless named after --without.
 * Exits with 77, saying so, where a device other than the CPU cannot be had.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "operations.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5, DIRECTIONS = 6 };

#define COUNT_OPERATION(name) +1
enum { OPERATIONS = 0 TS_OPERATIONS(COUNT_OPERATION) };

struct ot {
    ts_device *device;
    char shape[160];
    const char *operation;
    ot_buffer *buffers;
    uint64_t draws; /* every buffer gets its own Philox step */
    int pass;       /* of the two that ot_run makes */
    uint64_t allocations;
    bool failed_call;
    bool shifted; /* the parameters of this case */
    int failures, checks;
    bool covered[OPERATIONS];
    bool may_lack[OPERATIONS], left_out[OPERATIONS];
    const char *reason; /* why the device may lack them */
};

static const char *const operation_names[] = {
#define NAME_OPERATION(name) #name,
    TS_OPERATIONS(NAME_OPERATION)};

static void die(const char *what)
{
    fprintf(stderr, "test_operations: %s\n", what);
    exit(1);
}

static void must(ts_status status)
{
    if (status)
        die(ts_status_message(status));
}

static void fail(ot *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(ot *t, const char *format, ...)
{
    va_list arguments;
    printf("FAIL %-24s %-40s ", t->operation ? t->operation : "", t->shape);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    t->failures++;
}

ts_device *ot_device(const ot *t)
{
    return t->device;
}

/* ---- buffers ---- */

static float round_bfloat16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if (isnan(x))
        return x;
    u = (u + 0x7FFF + (u >> 16 & 1)) & 0xFFFF0000u;
    memcpy(&x, &u, 4);
    return x;
}

static double round_to(ts_dtype type, double x)
{
    return type == TS_F32 ? (float)x : type == TS_BF16 ? round_bfloat16((float)x) : x;
}

static void encode(const ot_buffer *b, void *bytes)
{
    for (int64_t i = 0; i < b->count; i++) {
        const double x = b->v[i];
        if (b->type == TS_F64) {
            ((double *)bytes)[i] = x;
        } else if (b->type == TS_F32) {
            ((float *)bytes)[i] = (float)x;
        } else if (b->type == TS_I32) {
            ((int32_t *)bytes)[i] = (int32_t)x;
        } else if (b->type == TS_U8) {
            ((uint8_t *)bytes)[i] = (uint8_t)x;
        } else {
            const float f = (float)x;
            uint32_t u;
            memcpy(&u, &f, 4);
            ((uint16_t *)bytes)[i] = (uint16_t)(u >> 16);
        }
    }
}

static void decode(ot_buffer *b, const void *bytes)
{
    for (int64_t i = 0; i < b->count; i++) {
        if (b->type == TS_F64) {
            b->got[i] = ((const double *)bytes)[i];
        } else if (b->type == TS_F32) {
            b->got[i] = (double)((const float *)bytes)[i];
        } else if (b->type == TS_I32) {
            b->got[i] = ((const int32_t *)bytes)[i];
        } else if (b->type == TS_U8) {
            b->got[i] = ((const uint8_t *)bytes)[i];
        } else {
            const uint32_t u = (uint32_t)((const uint16_t *)bytes)[i] << 16;
            float f;
            memcpy(&f, &u, 4);
            b->got[i] = (double)f;
        }
    }
}

static size_t buffer_bytes(const ot_buffer *b)
{
    return (size_t)b->count * ts_dtype_size(b->type);
}

/* Device memory of a buffer: guard values, the buffer, guard values. */
static void *guarded(const ot_buffer *b)
{
    return (char *)b->device - GUARD;
}

static double *doubles(int64_t count)
{
    double *p = calloc((size_t)count + 1, sizeof *p);
    if (!p)
        die("out of memory");
    return p;
}

static ot_buffer *buffer(ot *t, ts_dtype type, int64_t count)
{
    ot_buffer *b = calloc(1, sizeof *b);
    if (!b)
        die("out of memory");
    b->type = type == OT_ACTIVATION ? t->device->activation : type;
    b->count = count;
    b->v = doubles(count);
    b->got = doubles(count);
    b->want = doubles(count);
    void *memory;
    b->parameter = type == TS_F32;
    const size_t shift = b->parameter && t->shifted ? sizeof(float) : 0;
    must(t->device->k->allocate(t->device, buffer_bytes(b) + 2 * GUARD + shift, &memory));
    b->memory = memory;
    b->device = (char *)memory + GUARD + shift;
    b->next = t->buffers;
    t->buffers = b;
    return b;
}

static void free_buffers(ot *t)
{
    while (t->buffers) {
        ot_buffer *b = t->buffers;
        t->buffers = b->next;
        t->device->k->release(t->device, b->memory);
        free(b->v);
        free(b->got);
        free(b->want);
        free(b);
    }
}

/* Independent of the engine's own generator beyond Philox itself: uniforms of 53 bits, Box-Muller. */
static double draw_uniform(const ot *t, int64_t i)
{
    const ts_philox_words w =
        ts_philox(2206, (uint32_t)i, (uint32_t)(i >> 32), TS_STREAM_TEST, (uint32_t)t->draws);
    return ((double)(w.v[0] >> 6) * 134217728.0 + (double)(w.v[1] >> 5) + 0.5) * 0x1p-53;
}

static double draw_normal(const ot *t, int64_t i)
{
    return sqrt(-2 * log(draw_uniform(t, 2 * i))) * cos(6.283185307179586 * draw_uniform(t, 2 * i + 1));
}

ot_buffer *ot_normal(ot *t, ts_dtype type, int64_t count, double mean, double deviation)
{
    ot_buffer *b = buffer(t, type, count);
    t->draws++;
    for (int64_t i = 0; i < count; i++)
        b->v[i] = round_to(b->type, mean + deviation * draw_normal(t, i));
    return b;
}

ot_buffer *ot_uniform(ot *t, ts_dtype type, int64_t count, double low, double high)
{
    ot_buffer *b = buffer(t, type, count);
    t->draws++;
    for (int64_t i = 0; i < count; i++)
        b->v[i] = round_to(b->type, low + (high - low) * draw_uniform(t, i));
    return b;
}

ot_buffer *ot_values(ot *t, ts_dtype type, int64_t count, const double *values)
{
    ot_buffer *b = buffer(t, type, count);
    for (int64_t i = 0; i < count; i++)
        b->v[i] = round_to(b->type, values[i]);
    return b;
}

ot_buffer *ot_zeros(ot *t, ts_dtype type, int64_t count)
{
    return buffer(t, type, count);
}

ot_buffer *ot_output(ot *t, ts_dtype type, int64_t count)
{
    ot_buffer *b = buffer(t, type, count);
    for (int64_t i = 0; i < count; i++)
        b->v[i] = b->type == TS_U8 ? 255 : b->type == TS_I32 ? -1 : (double)NAN;
    return b;
}

ot_buffer *ot_bytes(ot *t, const void *host, size_t bytes)
{
    ot_buffer *b = buffer(t, TS_U8, (int64_t)bytes);
    for (size_t i = 0; i < bytes; i++)
        b->v[i] = ((const uint8_t *)host)[i];
    return b;
}

void ot_read_bytes(const ot_buffer *b, void *host)
{
    for (int64_t i = 0; i < b->count; i++)
        ((uint8_t *)host)[i] = (uint8_t)b->got[i];
}

const ts_step_state *ot_state(ot *t, uint64_t seed, uint32_t step, uint32_t instance)
{
    const ts_step_state state = {.seed = seed, .step = step, .instance = instance};
    return ot_bytes(t, &state, sizeof state)->device;
}

const void *ot_in(const ot_buffer *b)
{
    return b ? b->device : NULL;
}

void *ot_out(ot_buffer *b)
{
    if (!b)
        return NULL;
    b->written = b->output = true;
    return b->device;
}

static ts_dtype type_asked_for(const ot_buffer *b)
{
    return b->type == TS_F32 && !b->parameter ? OT_ACTIVATION : b->type;
}

const void *ot_cotangent(ot *t, ot_buffer *y)
{
    if (!y->cotangent)
        y->cotangent = ot_normal(t, type_asked_for(y), y->count, 0, 1);
    return y->cotangent->device;
}

void *ot_gradient(ot *t, ot_buffer *x, ot_mode mode)
{
    if (!x || mode == OT_NONE)
        return NULL;
    const ts_dtype type = type_asked_for(x);
    x->gradient = mode == OT_ASSIGN ? ot_output(t, type, x->count) : ot_normal(t, type, x->count, 0, 1);
    x->gradient->written = true;
    return x->gradient->device;
}

/* ---- running ---- */

void ot_case(ot *t, const char *format, ...)
{
    va_list arguments;
    free_buffers(t);
    va_start(arguments, format);
    vsnprintf(t->shape, sizeof t->shape, format, arguments);
    va_end(arguments);
    t->operation = NULL;
    t->shifted = false;
}

void ot_shift_parameters(ot *t)
{
    t->shifted = true;
}

static void upload_all(ot *t)
{
    for (ot_buffer *b = t->buffers; b; b = b->next) {
        const size_t bytes = buffer_bytes(b);
        unsigned char *host = malloc(bytes + 2 * GUARD);
        if (!host)
            die("out of memory");
        memset(host, GUARD_BYTE, bytes + 2 * GUARD);
        encode(b, host + GUARD);
        must(t->device->k->upload(t->device, guarded(b), host, bytes + 2 * GUARD));
        free(host);
    }
    t->device->k->weights_changed(t->device);
}

static void download_one(ot *t, ot_buffer *b, bool again)
{
    const size_t bytes = buffer_bytes(b);
    unsigned char *host = malloc(bytes + 2 * GUARD), *before = malloc(bytes + 1);
    if (!host || !before)
        die("out of memory");
    must(t->device->k->download(t->device, host, guarded(b), bytes + 2 * GUARD));
    for (int i = 0; i < GUARD; i++)
        if (host[i] != GUARD_BYTE || host[GUARD + bytes + (size_t)i] != GUARD_BYTE) {
            fail(t, "wrote %s a buffer of %" PRId64, host[i] != GUARD_BYTE ? "before" : "after", b->count);
            break;
        }
    if (!b->written) {
        encode(b, before);
        if (memcmp(before, host + GUARD, bytes) != 0)
            fail(t, "changed an input of %" PRId64, b->count);
    }
    if (again) {
        ot_buffer first = *b;
        first.v = b->got;
        encode(&first, before);
        if (memcmp(before, host + GUARD, bytes) != 0)
            fail(t, "the second call gave other bits");
    }
    decode(b, host + GUARD);
    free(host);
    free(before);
}

static int operation_index(const char *operation)
{
    for (int i = 0; i < OPERATIONS; i++)
        if (strcmp(operation_names[i], operation) == 0)
            return i;
    return -1;
}

bool ot_begin(ot *t, const char *operation, bool present)
{
    const int index = operation_index(operation);
    t->operation = operation;
    t->pass = 0;
    t->failed_call = !present;
    t->covered[index] = true;
    if (t->left_out[index]) {
        t->failed_call = true;
        return false;
    }
    if (!present && !t->may_lack[index])
        fail(t, "not in the table of %s", t->device->k->name);
    return present;
}

bool ot_next(ot *t)
{
    if (t->failed_call)
        return false;
    if (t->pass > 0) {
        must(t->device->k->synchronize(t->device));
        if (t->pass == 2 && t->device->allocations != t->allocations)
            fail(t, "allocated in the second call");
        for (ot_buffer *b = t->buffers; b; b = b->next)
            download_one(t, b, t->pass == 2);
    }
    if (t->pass == 2)
        return false;
    upload_all(t);
    t->allocations = t->device->allocations;
    t->pass++;
    return true;
}

void ot_status(ot *t, ts_status status)
{
    if (!status)
        return;
    fail(t, "%s", ts_status_message(status));
    ts_status_free(status);
    t->failed_call = true;
}

/* ---- checking ---- */

double ot_error(const ot_buffer *b, const double *want)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < b->count; i++) {
        difference += (b->got[i] - want[i]) * (b->got[i] - want[i]);
        norm += want[i] * want[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

static void verdict(ot *t, const char *what, double error, double tolerance)
{
    t->checks++;
    if (error <= tolerance) /* false for NaN */
        printf("ok   %-24s %-40s %-10s %.1e\n", t->operation, t->shape, what, error);
    else
        fail(t, "%s error %.2e, tolerance %.0e", what, error, tolerance);
}

void ot_check(ot *t, ot_reference *reference, void *row, double tolerance)
{
    if (t->failed_call)
        return;
    double worst = 0;
    int outputs = 0;
    reference(row);
    for (ot_buffer *b = t->buffers; b; b = b->next)
        if (b->output) {
            const double error = ot_error(b, b->want);
            worst = error > worst || isnan(error) ? error : worst;
            outputs++;
        }
    if (!outputs)
        die("ot_check without an output");
    verdict(t, "value", worst, t->device->activation == TS_BF16 ? fmax(2e-2, tolerance) : tolerance);
}

/* <cotangents, reference(x + h d)> */
static double probe(ot *t, ot_reference *reference, void *row, ot_buffer *x, const double *direction,
                    double h)
{
    double *const saved = x->v, sum = 0;
    x->v = doubles(x->count);
    for (int64_t i = 0; i < x->count; i++)
        x->v[i] = saved[i] + h * direction[i];
    reference(row);
    free(x->v);
    x->v = saved;
    for (ot_buffer *y = t->buffers; y; y = y->next)
        for (int64_t i = 0; y->cotangent && i < y->count; i++)
            sum += y->cotangent->v[i] * y->want[i];
    return sum;
}

/* Error of the gradient of x along random directions, relative to the derivatives along them.  What a
 * bfloat16 buffer received beside what it held is known to half a unit in the last place of the sum. */
static double gradient_error(ot *t, ot_reference *reference, void *row, ot_buffer *x)
{
    const ot_buffer *g = x->gradient;
    double *direction = doubles(x->count), error = 0, norm = 0;
    for (int k = 0; k < DIRECTIONS; k++) {
        const double h = 1e-5;
        double analytic = 0, unknown = 0;
        t->draws++;
        for (int64_t i = 0; i < x->count; i++) {
            const bool added = !isnan(g->v[i]);
            direction[i] = draw_normal(t, i);
            analytic += direction[i] * (added ? g->got[i] - g->v[i] : g->got[i]);
            if (added && g->type == TS_BF16)
                unknown += pow(direction[i] * g->got[i] * 0x1p-8, 2);
        }
        const double numeric =
            (probe(t, reference, row, x, direction, h) - probe(t, reference, row, x, direction, -h)) /
            (2 * h);
        const double difference = fabs(analytic - numeric), beyond = difference - sqrt(unknown);
        error += beyond < 0 ? 0 : beyond * beyond; /* NaN stays */
        norm += numeric * numeric;
    }
    free(direction);
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

void ot_check_gradients(ot *t, ot_reference *reference, void *row, double tolerance)
{
    if (t->failed_call)
        return;
    double worst = 0;
    int gradients = 0;
    for (ot_buffer *x = t->buffers; x; x = x->next)
        if (x->gradient) {
            const double error = gradient_error(t, reference, row, x);
            worst = error > worst || isnan(error) ? error : worst;
            gradients++;
        }
    if (!gradients)
        die("ot_check_gradients without a gradient");
    verdict(t, "gradient", worst, t->device->activation == TS_BF16 ? fmax(5e-2, tolerance) : tolerance);
}

void ot_expect(ot *t, bool condition, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (t->failed_call)
        return;
    t->checks++;
    if (condition)
        printf("ok   %-24s %-40s %s\n", t->operation ? t->operation : "", t->shape, text);
    else
        fail(t, "%s", text);
}

/* ---- the list ---- */

static void check_table(ot *t)
{
    ot_case(t, "%s", t->device->description);
    const bool present[] = {
#define PRESENT(name) t->device->k->name != NULL,
        TS_OPERATIONS(PRESENT)};
    for (int i = 0; i < OPERATIONS; i++) {
        t->operation = operation_names[i];
        if (!present[i] && t->may_lack[i])
            printf("skip %-24s %s\n", operation_names[i], t->reason);
        else if (!present[i])
            fail(t, "missing from the table");
        if (!t->covered[i])
            fail(t, "no row tests it");
    }
}

static void name_operations(char **names, bool *named)
{
    for (; *names; names++) {
        if (operation_index(*names) < 0)
            die("no such operation");
        named[operation_index(*names)] = true;
    }
}

static void read_selection(ot *t, char **arguments)
{
    if (!*arguments)
        return;
    if (strcmp(*arguments, "--without") == 0 && arguments[1]) {
        t->reason = arguments[1];
        name_operations(arguments + 2, t->may_lack);
    } else if (strcmp(*arguments, "--except") == 0) {
        name_operations(arguments + 1, t->left_out);
    } else if (strcmp(*arguments, "--only") == 0) {
        name_operations(arguments + 1, t->left_out);
        for (int i = 0; i < OPERATIONS; i++)
            t->left_out[i] = !t->left_out[i];
    } else {
        die("usage: test_operations [DEVICE [fast]] [--without REASON NAME... | --except NAME... | --only "
            "NAME...]");
    }
}

static void open_device(ot *t, const char *name, bool fast)
{
    const ts_device_options options = {.threads = 2, .fast = fast};
    ts_status status = ts_device_open(name, &options, &t->device);
    if (ts_status_code(status) == TS_UNSUPPORTED && strcmp(name, "cpu") != 0) {
        printf("skipped: %s\n", ts_status_message(status));
        ts_status_free(status);
        exit(77);
    }
    must(status);
}

int main(int count, char **arguments)
{
#define ROWS(name) operations_##name,
    static void (*const rows[])(ot *) = {OT_PARTS(ROWS)};
    ot t = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    const bool named = count > 1 && strncmp(arguments[1], "--", 2) != 0;
    const bool fast = named && count > 2 && strcmp(arguments[2], "fast") == 0;
    read_selection(&t, arguments + 1 + named + fast);
    open_device(&t, named ? arguments[1] : "cpu", fast);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        rows[i](&t);
    check_table(&t);
    free_buffers(&t);
    ts_device_close(t.device);
    printf("%d checks, %d failures\n", t.checks, t.failures);
    return t.failures != 0;
}
