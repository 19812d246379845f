/*
 * Inside the graph: the tape that building writes and planning reads.
 *
 * A graph is a list of buffers (tensors, their gradients, statistics) and a list of steps (calls of the
 * kernel table) that read and write them.  Building appends nodes, each of one or two forward steps; planning
 * derives backward steps from the nodes in reverse order, finds every buffer's lifetime from the steps that
 * touch it, and writes addresses into the steps' arguments.
 */
#ifndef TS_GRAPH_TAPE_H
#define TS_GRAPH_TAPE_H

#include "graph/graph.h"

enum { NODE_INPUTS = 64, NODE_PARAMS = 5, NODE_OUTPUTS = 2 };

/* ---- steps: calls of the kernel table ---- */

/* Not operations of the table, but steps of a plan. */
typedef struct tape_zero {
    void *memory;
    size_t bytes;
} tape_zero;

typedef struct tape_copy {
    void *to;
    const void *from;
    size_t bytes;
} tape_copy;

typedef enum tape_kernel {
#define X(name) KERNEL_##name,
    TS_OPERATIONS(X)
#undef X
        KERNEL_zero,
    KERNEL_copy
} tape_kernel;

typedef union tape_arguments {
#define X(name) ts_##name name;
    TS_OPERATIONS(X)
#undef X
    tape_zero zero;
    tape_copy copy;
} tape_arguments;

typedef enum tape_access {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_UPDATE,
    ACCESS_VALUE,
    ACCESS_GRADIENT
} tape_access;

/* One pointer among a step's arguments: to a buffer that it reads, writes or updates, or to the value or the
 * gradient of a parameter. */
typedef struct tape_operand {
    size_t field; /* where in the arguments */
    tape_access access;
    int index; /* of the buffer or the parameter */
} tape_operand;

typedef struct tape_step {
    tape_kernel kernel;
    tape_arguments arguments;
    int first_operand, operands;
    int over, under; /* buffer `over`, an output, may take the memory of `under`, an input; -1: no */
    int node;        /* what it belongs to */
    double flops;
    bool initialize; /* an actnorm that ts_graph_forward_initialize sets */
} tape_step;

/* ---- buffers ---- */

typedef struct tape_buffer {
    size_t bytes;
    bool pinned_start, pinned_end; /* holds its content before, or after, a run */
    int first, last;               /* steps that touch it first and last; -1: none */
    int storage;                   /* whose memory it lies in: itself, or the buffer it was merged into */
    size_t offset;                 /* in the arena, of the storage */
    bool armed;                    /* guards are in place */
} tape_buffer;

typedef struct tape_tensor {
    int shape[4];  /* n, h, w, c */
    bool is_float; /* float32, whatever the device's activation type */
    bool input, output, seeded;
    int buffer;
    /* A concatenation is [part[0], part[1]]; it is written only when somebody asks for the whole. */
    ts_tensor part[2];
    bool unwritten;
    /* the backward pass, while it is derived */
    bool needs_gradient;
    int seed;             /* the gradient that the caller writes: a buffer; -1: none */
    int gradient;         /* buffer; -1: none (yet) */
    bool gradient_shared; /* others read the same buffer: copy before adding to it */
    int image_sums;       /* buffer [n,c] with the sums of that gradient over each image; -1: none */
} tape_tensor;

/* ---- nodes ---- */

typedef struct tape_node tape_node;

typedef enum tape_operation {
    OPERATION_CONV,
    OPERATION_DENSE,
    OPERATION_DENSE_MATRIX,
    OPERATION_ATTENTION,
    OPERATION_GROUP_NORM,
    OPERATION_SILU,
    OPERATION_ADD_SCALED,
    OPERATION_CONCAT,
    OPERATION_SLICE,
    OPERATION_TIME_EMBEDDING,
    OPERATION_FOURIER_EMBEDDING,
    OPERATION_AFFINE,
    OPERATION_TO_NOISE,
    OPERATION_FIR,
    OPERATION_CONV2D,
    OPERATION_POOL,
    OPERATION_SQUEEZE,
    OPERATION_ACTNORM,
    OPERATION_ACTNORM_INVERSE,
    OPERATION_IMAGE_NORM,
    OPERATION_IMAGE_NORM_INVERSE,
    OPERATION_LAMBDA_EMBEDDING,
    OPERATION_GLOW_MATRIX,
    OPERATION_GLOW_MATRIX_INVERSE,
    OPERATION_COUPLING,
    OPERATION_COUPLING_INVERSE,
    OPERATION_GAUSSIAN,
    OPERATION_GAUSSIAN_DRAW,
    OPERATION_WHITEN,
    OPERATION_WHITEN_INVERSE,
    OPERATION_PARAMETER_SUM,
    OPERATION_VECTOR_SUM,
    OPERATION_COUNT
} tape_operation;

/* What is known of an operation. */
typedef struct tape_row {
    const char *name;
    /* Multiply-adds of the (first) forward step, counted twice; NULL: no matrix work. */
    double (*flops)(const tape_arguments *arguments);
    void (*backward)(ts_graph *graph, const tape_node *node); /* appends; NULL: no gradient passes */
} tape_row;

extern const tape_row tape_rows[OPERATION_COUNT]; /* rows.c */

struct tape_node {
    tape_operation operation;
    int layer;  /* -1: none */
    int step;   /* the first forward step */
    int inputs; /* of dense and group_norm: the input or its first half, residual or shift, the second half */
    ts_tensor in[NODE_INPUTS], out[NODE_OUTPUTS]; /* -1: none */
    ts_param param[NODE_PARAMS];                  /* -1: none */
    int extra[2]; /* buffers kept for the backward pass: statistics, probabilities */
};

struct ts_graph {
    ts_device *device;
    ts_params *params;
    const ts_step_state *state;
    ts_status error; /* the first one of the builders */
    bool failed;     /* stays set when `error` has been handed out */

    tape_tensor *tensors;
    tape_buffer *buffers;
    tape_node *nodes;
    tape_step *steps;
    tape_operand *operands;
    int tensor_count, buffer_count, node_count, step_count, operand_count;
    int tensor_room, buffer_room, node_room, step_room, operand_room;
    int current_node; /* whose steps are being appended */
    char **layers;    /* names */
    int layer_count, layer_room, current_layer;
    uint32_t dropout_layers;

    bool planned;
    unsigned flags;
    int forward_steps;
    char *arena;
    size_t arena_bytes, no_reuse_bytes;
    char *guard_failure; /* the first overwritten guard, in words */
};

/* ---- tape.c: appending; after an error everything is accepted and ignored ---- */

void tape_fail(ts_graph *graph, ts_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int tape_buffer_add(ts_graph *graph, size_t bytes);
/* A tensor with a buffer of its own. */
ts_tensor tape_tensor_add(ts_graph *graph, int n, int h, int w, int c, bool is_float);
/* Opens a node; the steps that follow belong to it. */
void tape_node_add(ts_graph *graph, const tape_node *node);
/* Appends the node that writes a concatenation, if it is one and has not been written. */
void tape_write_whole(ts_graph *graph, ts_tensor tensor);
/* Appends a step with a copy of `arguments` (of `size` bytes). */
void tape_step_add(ts_graph *graph, tape_kernel kernel, const void *arguments, size_t size);
/* Binds a pointer of the latest step; index -1 leaves it NULL. */
void tape_bind(ts_graph *graph, size_t field, tape_access access, int index);
/* Lets the latest step write buffer `over` into the memory of buffer `under` if that dies here. */
void tape_in_place(ts_graph *graph, int over, int under);
void tape_flops(ts_graph *graph, double flops); /* of the latest step */

#define STEP(graph, name, ...)                                                                               \
    tape_step_add(graph, KERNEL_##name, &(ts_##name){__VA_ARGS__}, sizeof(ts_##name))
#define READ(graph, name, field, buffer)   tape_bind(graph, offsetof(ts_##name, field), ACCESS_READ, buffer)
#define WRITE(graph, name, field, buffer)  tape_bind(graph, offsetof(ts_##name, field), ACCESS_WRITE, buffer)
#define UPDATE(graph, name, field, buffer) tape_bind(graph, offsetof(ts_##name, field), ACCESS_UPDATE, buffer)
#define VALUE(graph, name, field, param)   tape_bind(graph, offsetof(ts_##name, field), ACCESS_VALUE, param)
#define GRADIENT(graph, name, field, param)                                                                  \
    tape_bind(graph, offsetof(ts_##name, field), ACCESS_GRADIENT, param)

int64_t tape_elements(const ts_graph *graph, ts_tensor tensor);
size_t tape_bytes(const ts_graph *graph, ts_tensor tensor);
int tape_buffer_of(const ts_graph *graph, ts_tensor tensor); /* -1 for none */
const char *tape_kernel_name(tape_kernel kernel);
void *tape_address(const ts_graph *graph, int buffer); /* after planning */

/* ---- run.c ---- */

bool tape_kernel_exists(const ts_kernels *kernels, tape_kernel kernel);
ts_status tape_step_run(const ts_graph *graph, const tape_step *step);
/* The ranges of a step for profilers: layer > kernel. */
void tape_ranges_push(const ts_graph *graph, const tape_step *step);
void tape_ranges_pop(const ts_graph *graph, const tape_step *step);

/* ---- backward.c: derives the backward steps; the rest serves the rows of the table ---- */

void tape_derive_backward(ts_graph *graph);

/* The gradient of an output, complete by now; -1: none. */
int tape_gradient(const ts_graph *graph, ts_tensor tensor);
/* Whether others read, or a caller wrote, the buffer of that gradient. */
bool tape_gradient_shared(const ts_graph *graph, ts_tensor tensor);
/* The gradient, of zeros where there is none. */
int tape_gradient_or_zero(ts_graph *graph, ts_tensor tensor);
bool tape_wants(const ts_graph *graph, ts_tensor tensor);
/* The parameter, where its gradient is wanted; else -1. */
ts_param tape_wants_param(const ts_graph *graph, ts_param param);
/* Where a step that honours `accumulate` puts the gradient of `tensor`; -1 where none is wanted. */
int tape_target(ts_graph *graph, ts_tensor tensor, bool *accumulate);
/* After a step that assigned it: the sums over each image of the gradient of `tensor` are in `buffer` [n,c],
 * until somebody adds to the gradient. */
void tape_know_sums(ts_graph *graph, ts_tensor tensor, int buffer);
/* Where a step that always adds puts it: zeroed by an extra step if nothing is there yet. */
int tape_accumulator(ts_graph *graph, ts_tensor tensor);
/* Where a step that always assigns puts it, to be handed to tape_give afterwards; -1 where none is wanted. */
int tape_fresh(ts_graph *graph, ts_tensor tensor);
/* Adds `scale` times a buffer to the gradient of `tensor`; -1 does nothing.  With scale 1 the buffer may
 * become that gradient; `shared` says that others read it, so that adding to it later takes a copy. */
void tape_give(ts_graph *graph, ts_tensor tensor, int buffer, float scale, bool shared);

/* ---- layout.c: offsets in the arena ---- */

typedef struct tape_block {
    size_t bytes, offset;
    int first, last; /* lifetime, both inclusive */
} tape_block;

/* Gives every block an offset so that blocks alive together do not overlap; *bytes: the size of it all. */
ts_status tape_layout(tape_block *blocks, int count, size_t *bytes);

/* ---- check.c: guards ---- */

enum { TAPE_ALIGN = 64, TAPE_GUARD = 64 };

ts_status tape_guards_prepare(ts_graph *graph);
ts_status tape_guards_before(ts_graph *graph, int step);
ts_status tape_guards_after(ts_graph *graph, int step);

#endif
