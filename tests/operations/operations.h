/*
 * One test over the whole kernel table: each operation against a plain double-precision reference.
 *
 * To add an operation, write its rows in the file that is named as its section of kernels/operations.h, and
 * call them from a function that OT_PARTS below names.  An operation of the table without a row fails.
 *
 * A row is a function that makes the buffers of a case, runs the operation and lets the framework compare:
 *
 *     typedef struct scale_row { int count; ot_buffer *x, *y; } scale_row;
 *
 *     static void scale_reference(void *p)         reads ->v, writes ->want of every output
 *     {
 *         scale_row *r = p;
 *         for (int i = 0; i < r->count; i++)
 *             r->y->want[i] = 3 * r->x->v[i];
 *     }
 *
 *     ot_case(t, "count %d", 100);
 *     scale_row r = {100, ot_normal(t, OT_ACTIVATION, 100, 0, 1), ot_output(t, OT_ACTIVATION, 100)};
 *     ts_add_scaled a = {.count = 100, .scale = 3, .x = ot_in(r.x), .y = ot_out(r.y)};
 *     ot_run(t, add_scaled, a);
 *     ot_check(t, scale_reference, &r, 1e-6);
 *
 * and for the gradients, with the same reference and fresh arguments in a new case,
 *
 *     b.dy = ot_cotangent(t, r.y), b.dx = ot_gradient(t, r.x, OT_ASSIGN);   (device addresses)
 *     ot_run(t, scale_backward, b);
 *     ot_check_gradients(t, scale_reference, &r, 1e-5);
 *
 * ot_run calls the operation twice from the same state and asks for bitwise the same results, guard values
 * intact around every buffer, inputs unchanged, no allocation in the second call.  Outputs start as NaN.
 * ot_check_gradients compares every gradient with central finite differences of the reference along random
 * directions, against the random cotangents.  The device is a parameter and tolerances follow its activation
 * type, so another device, or bfloat16, runs the same rows.
 */
#ifndef TS_TESTS_OPERATIONS_H
#define TS_TESTS_OPERATIONS_H

#include "kernels/kernels.h"

typedef struct ot ot;

typedef struct ot_buffer {
    ts_dtype type;
    int64_t count;
    double *v;             /* what is in the buffer before a call, rounded to `type`; NaN in outputs */
    double *got;           /* what is in it after a call */
    double *want;          /* for the reference to write */
    void *device, *memory; /* where it is, and what it lies in */
    bool parameter;        /* asked for as float32, not as an activation */
    bool written;          /* whether the operation may change it */
    bool output;           /* set by ot_out: the reference defines it */
    struct ot_buffer *cotangent, *gradient;
    struct ot_buffer *next;
} ot_buffer;

/* In place of a type: whatever the device's activations are. */
#define OT_ACTIVATION ((ts_dtype)-1)

/* Starts a case and frees the buffers of the last one; `format` names shape and variant. */
void ot_case(ot *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The float32 buffers that this case makes from here on lie four bytes off, as parameters may that follow one
 * another; activations do not. */
void ot_shift_parameters(ot *t);
ts_device *ot_device(const ot *t);

/* ---- buffers ---- */

ot_buffer *ot_normal(ot *t, ts_dtype type, int64_t count, double mean, double deviation);
ot_buffer *ot_uniform(ot *t, ts_dtype type, int64_t count, double low, double high);
ot_buffer *ot_values(ot *t, ts_dtype type, int64_t count, const double *values); /* TS_U8, TS_I32 too */
ot_buffer *ot_zeros(ot *t, ts_dtype type, int64_t count);
ot_buffer *ot_output(ot *t, ts_dtype type, int64_t count);  /* NaN (255 in TS_U8, -1 in TS_I32) */
ot_buffer *ot_bytes(ot *t, const void *host, size_t bytes); /* a struct in device memory, as TS_U8 */
void ot_read_bytes(const ot_buffer *b, void *host);         /* the struct after the call */
const ts_step_state *ot_state(ot *t, uint64_t seed, uint32_t step, uint32_t instance);

/* Device addresses for the arguments; a NULL buffer gives NULL.  ot_out marks what the call writes and the
 * reference defines, whether its old content is NaN (ot_output) or is read too (any other: += and in
 * place). */
const void *ot_in(const ot_buffer *b);
void *ot_out(ot_buffer *b);

/* ---- gradients ---- */

typedef enum ot_mode {
    OT_NONE,   /* not wanted: NULL */
    OT_ASSIGN, /* NaN before the call */
    OT_ADD     /* random before the call; the call must add to it */
} ot_mode;

/* The random cotangent of an output (made on first use). */
const void *ot_cotangent(ot *t, ot_buffer *y);
/* A buffer for the gradient of x, of x's type. */
void *ot_gradient(ot *t, ot_buffer *x, ot_mode mode);

/* ---- running and checking ---- */

#define ot_run(t, name, arguments)                                                                           \
    do {                                                                                                     \
        ts_device *ot_device_ = ot_device(t);                                                                \
        if (ot_begin(t, #name, ot_device_->k->name != NULL))                                                 \
            while (ot_next(t))                                                                               \
                ot_status(t, ot_device_->k->name(ot_device_, &(arguments)));                                 \
    } while (0)

typedef void ot_reference(void *row);

/* Runs the reference and compares every ot_out buffer: relative error ||got - want|| / ||want|| within
 * `tolerance`, which is for float32 results; with bfloat16 activations 2e-2 takes its place. */
void ot_check(ot *t, ot_reference *reference, void *row, double tolerance);

/* The gradients of all ot_gradient buffers; float32 tolerance, 5e-2 with bfloat16 activations. */
void ot_check_gradients(ot *t, ot_reference *reference, void *row, double tolerance);

/* For the rest (distributions, integers, properties): one line with what was found. */
void ot_expect(ot *t, bool condition, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For tests that write their own comparison: relative error of b->got against `want`. */
double ot_error(const ot_buffer *b, const double *want);

bool ot_begin(ot *t, const char *operation, bool present);
bool ot_next(ot *t);
void ot_status(ot *t, ts_status status);

/* The rows, in files named as the sections of kernels/operations.h and operations_glow.h.  Their order
 * decides what numbers each draws. */
/* clang-format off */
#define OT_PARTS(X)                                                                   \
    X(convolution_dense) X(elementwise) X(normalisation) X(attention) X(glow) \
    X(glow_sums) X(training_loop) X(training_loop_update) X(sampling) X(bound) \
    X(dense_pairs) X(norm_pairs) X(norm_resampled) X(conv_shifted) \
    X(unet) X(whiten) X(glow_images) X(images)
/* clang-format on */
#define OT_PART(name) void operations_##name(ot *t);
OT_PARTS(OT_PART)
#undef OT_PART

#endif
