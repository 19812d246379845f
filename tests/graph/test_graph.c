/*
 * The graph by itself: errors that stay, derived gradients where tensors are shared, memory plans, guards.
 * The whole U-Net as a graph is in unet.c.
 *
 * To add a case, build a small graph on graph_device, compare by graph_must_agree (graph_test.h), and list
 * the test in main, in the file of its subject.
 */
#include <stdio.h>
#include <stdlib.h>
#include "graph_test.h"
#include "graph/tape.h"

ts_device *graph_device;

void graph_must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

void graph_must_fail(ts_status status, ts_code code, const char *part)
{
    assert_non_null(status);
    if (ts_status_code(status) != code || !strstr(ts_status_message(status), part))
        fail_msg("code %d, message: %s; it should contain: %s", ts_status_code(status),
                 ts_status_message(status), part);
    ts_status_free(status);
}

float graph_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1.0f;
}

void graph_must_agree(const char *what, const float *a, const float *b, int count)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)b[i], 2);
    }
    if (!(sqrt(difference / norm) < 2e-6))
        fail_msg("%s: the two differ by %.2g", what, sqrt(difference / norm));
}

static int open_device(void **state)
{
    (void)state;
    const ts_device_options options = {.threads = 2};
    return ts_device_open("cpu", &options, &graph_device) ? -1 : 0;
}

static int close_device(void **state)
{
    (void)state;
    ts_device_close(graph_device);
    return 0;
}

/* ---- a model that shares tensors in every way the derivation must get right ---- */

ts_param graph_add(ts_params *params, const char *name, int rank, int64_t a, int64_t b, ts_init init,
                   float scale)
{
    ts_param_info info = {.rank = rank, .shape = {a, b, 3, 3}, .trained = true, .init = init, .scale = scale};
    strcpy(info.name, name);
    info.layout = rank == 4 ? TS_LAYOUT_CONV : TS_LAYOUT_PLAIN;
    return ts_params_add(params, &info);
}

void graph_model_create(graph_model *m)
{
    const ts_init random = TS_INIT_NORMAL;
    graph_must(ts_params_create(graph_device, &m->params));
    m->conv[0] = graph_add(m->params, "conv", 4, 4, 4, random, 0.2f);
    m->conv[1] = graph_add(m->params, "conv bias", 1, 4, 0, random, 0.2f);
    m->dense[0] = graph_add(m->params, "dense", 2, 4, 8, random, 0.3f);
    m->dense[1] = graph_add(m->params, "dense bias", 1, 4, 0, random, 0.2f);
    m->gamma = graph_add(m->params, "gamma", 1, 4, 0, TS_INIT_ONE, 0);
    m->beta = graph_add(m->params, "beta", 1, 4, 0, random, 0.2f);
    static const float identity[16] = {[0] = 1, [5] = 1, [10] = 1, [15] = 1}, ones[4] = {1, 1, 1, 1};
    ts_param_info given = {
        .name = "p", .rank = 2, .shape = {4, 4}, .init = TS_INIT_GIVEN, .given = identity, .trained = false};
    m->matrix[0] = ts_params_add(m->params, &given);
    m->matrix[1] = graph_add(m->params, "lower", 2, 4, 4, random, 0.3f);
    m->matrix[2] = graph_add(m->params, "upper", 2, 4, 4, random, 0.3f);
    given = (ts_param_info){
        .name = "sign", .rank = 1, .shape = {4}, .init = TS_INIT_GIVEN, .given = ones, .trained = false};
    m->matrix[3] = ts_params_add(m->params, &given);
    m->matrix[4] = graph_add(m->params, "log_s", 1, 4, 0, random, 0.2f);
    m->sum = graph_add(m->params, "sum", 1, 5, 0, random, 0.5f);
    float mean[4 * 16] = {0}, copies[16 * 4] = {0};
    for (int i = 0; i < 16; i++) {
        mean[i / 4 * 16 + i] = 0.25f;
        copies[i * 4 + i / 4] = 1;
    }
    given = (ts_param_info){
        .name = "mean", .rank = 2, .shape = {4, 16}, .init = TS_INIT_GIVEN, .given = mean, .trained = false};
    m->mean = ts_params_add(m->params, &given);
    given = (ts_param_info){.name = "copies",
                            .rank = 2,
                            .shape = {16, 4},
                            .init = TS_INIT_GIVEN,
                            .given = copies,
                            .trained = false};
    m->copies = ts_params_add(m->params, &given);
    graph_must(ts_params_commit(m->params, 3));
    graph_must(ts_params_enable_gradients(m->params));
}

typedef struct tangle {
    ts_graph *graph;
    ts_tensor x, mid, out, scalar;
} tangle;

/* Convolutions before a shifted normalisation: read by that alone, also by something later, also by something
 * earlier.  Only the first may take its bias' gradient from the shift's. */
static ts_tensor shifted(ts_graph *g, const graph_model *m, ts_tensor x)
{
    const ts_tensor shift =
        ts_dense(g, ts_zeros(g, 2, 1, 1, 8), false, m->dense[0], m->dense[1], 4, -1, 1.0f);
    ts_tensor y[3];
    for (int i = 0; i < 3; i++) {
        const ts_tensor h = ts_conv(g, x, m->conv[0], m->conv[1], 4, -1, 1.0f);
        const ts_tensor earlier = i == 2 ? ts_silu(g, h) : -1;
        y[i] = ts_group_norm(g, h, shift, m->gamma, m->beta, 2, 1e-6f, true, 0);
        if (i > 0)
            y[i] = ts_graph_add_scaled(g, y[i], i == 1 ? h : earlier, 0.8f);
    }
    return ts_graph_add_scaled(g, ts_graph_add_scaled(g, y[0], y[1], 0.6f), y[2], 0.7f);
}

/* x [2,4,4,4] and x whitened by a Gaussian whose eigenvectors are a reflection's, at t = 0 where s = 0.7. */
static ts_tensor beside_whitened(ts_graph *g, ts_tensor x, ts_tensor *logdet)
{
    enum { D = 64 };
    static double mean[D], values[D], vectors[D * D]; /* a CPU device: memory is memory */
    const ts_whiten like = {.d = D,
                            .sde = {.kind = TS_SDE_VE, .sigma_min = 0.7, .sigma_max = 2},
                            .mean = mean,
                            .values = values,
                            .vectors = vectors};
    for (int i = 0; i < D; i++) {
        mean[i] = 0.1 * i / D;
        values[i] = 1 + 0.5 * sin(i);
        for (int j = 0; j < D; j++)
            vectors[i * D + j] = (i == j) - 2.0 / D;
    }
    const ts_tensor t = ts_graph_input_vector(g, "t", 2);
    return ts_graph_add_scaled(g, x, ts_graph_whiten(g, x, t, &like, false, logdet), 0.5f);
}

/* Residuals and sums of a tensor with itself, one gradient handed to several, a matrix used twice, an output
 * that is consumed as well, an operation on constants alone. */
static tangle build(const graph_model *m, unsigned flags)
{
    tangle t;
    graph_must(ts_graph_create(graph_device, m->params, &t.graph));
    ts_graph *g = t.graph;
    t.x = ts_graph_input(g, "x", 2, 4, 4, 4);
    ts_tensor a = ts_conv(g, t.x, m->conv[0], m->conv[1], 4, t.x, 1.0f);
    ts_tensor b = ts_graph_add_scaled(g, a, a, 0.5f);
    ts_tensor s = ts_silu(g, a);
    ts_tensor c = ts_graph_add_scaled(g, b, s, 1.0f);
    ts_tensor d = ts_dense(g, ts_concat(g, c, c), true, m->dense[0], m->dense[1], 4, b, 0.7f);
    d = shifted(g, m, d);
    t.mid = ts_conv(g, d, m->conv[0], m->conv[1], 4, c, 0.6f); /* shared weights */
    ts_tensor n = ts_group_norm(g, t.mid, -1, m->gamma, m->beta, 2, 1e-6f, true, 0);
    ts_tensor w =
        ts_glow_matrix(g, m->matrix[0], m->matrix[1], m->matrix[2], m->matrix[3], m->matrix[4], 4, false);
    n = ts_dense_matrix(g, ts_dense_matrix(g, n, w), w);
    ts_tensor h = ts_conv(g, ts_zeros(g, 2, 4, 4, 4), m->conv[0], m->conv[1], 4, -1, 1.0f);
    ts_tensor logdet, whitened;
    n = beside_whitened(g, n, &whitened);
    n = ts_coupling(g, n, h, false, &logdet);
    t.out = ts_graph_squeeze(g, ts_slice(g, n, 1, 2), false);
    ts_tensor p = ts_parameter_sum(g, m->sum, 2, 0.3f);
    ts_tensor density = ts_gaussian(g, n, 1, 2, s, true);
    t.scalar = ts_graph_vector_sum(g, (ts_tensor[]){logdet, p, logdet, density, whitened}, 5);
    ts_graph_output(g, t.mid, true);
    ts_graph_output(g, t.out, true);
    ts_graph_output(g, t.scalar, true);
    graph_must(ts_graph_plan(g, flags));
    return t;
}

static void fill(ts_graph *graph, ts_tensor tensor, void *to, uint32_t seed)
{
    int s[4];
    float values[512];
    ts_graph_shape(graph, tensor, s);
    const int count = s[0] * s[1] * s[2] * s[3];
    assert_true(count <= 512 && to);
    for (int i = 0; i < count; i++)
        values[i] = graph_random(&seed);
    graph_must(graph_device->k->upload(graph_device, to, values, (size_t)count * sizeof *values));
}

static void fill_seeds(const tangle *t)
{
    fill(t->graph, t->mid, ts_graph_gradient(t->graph, t->mid), 21);
    fill(t->graph, t->out, ts_graph_gradient(t->graph, t->out), 22);
    fill(t->graph, t->scalar, ts_graph_gradient(t->graph, t->scalar), 23);
}

/* <seed, output>, in double. */
static double contribution(const tangle *t, ts_tensor tensor)
{
    int s[4];
    float values[512], seed[512];
    double sum = 0;
    ts_graph_shape(t->graph, tensor, s);
    const size_t count = (size_t)s[0] * (size_t)s[1] * (size_t)s[2] * (size_t)s[3];
    const ts_kernels *k = graph_device->k;
    graph_must(k->download(graph_device, values, ts_graph_data(t->graph, tensor), count * sizeof *values));
    graph_must(k->download(graph_device, seed, ts_graph_gradient(t->graph, tensor), count * sizeof *seed));
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * seed[i];
    return sum;
}

static double objective(const tangle *t)
{
    graph_must(ts_graph_forward(t->graph));
    return contribution(t, t->mid) + contribution(t, t->out) + contribution(t, t->scalar);
}

static void zero_gradients(ts_params *params)
{
    graph_must(graph_device->k->zero(graph_device, ts_params_buffer(params, TS_BUFFER_GRADIENT),
                                     (size_t)ts_params_count(params) * sizeof(float)));
}

/* Central difference of the objective along a random direction of `values`, against the gradient's part in
 * it. */
static void check_direction(const tangle *t, ts_params *params, const char *name, float *values,
                            const float *gradient, int count, uint32_t seed)
{
    const double step = 4e-3;
    float *old = malloc((size_t)count * sizeof *old), *direction = malloc((size_t)count * sizeof *direction);
    assert_true(old && direction);
    memcpy(old, values, (size_t)count * sizeof *old);
    double expected = 0, value[2], norm = 0, whole = 0;
    for (int i = 0; i < count; i++) {
        direction[i] = graph_random(&seed);
        norm += (double)direction[i] * direction[i];
        whole += (double)gradient[i] * gradient[i];
    }
    for (int i = 0; i < count; i++)
        expected += direction[i] / sqrt(norm) * gradient[i];
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < count; i++)
            values[i] = old[i] + (float)((side ? step : -step) * direction[i] / sqrt(norm));
        graph_device->k->weights_changed(graph_device);
        value[side] = objective(t);
    }
    memcpy(values, old, (size_t)count * sizeof *old);
    graph_device->k->weights_changed(graph_device);
    (void)params;
    const double difference = (value[1] - value[0]) / (2 * step);
    if (!(fabs(difference - expected) < 2e-3 * sqrt(whole) + 1e-3 * fabs(expected)))
        fail_msg("%s: gradient %.6g along a direction, finite difference %.6g", name, expected, difference);
    free(old);
    free(direction);
}

static void gradients_of_shared_tensors(void **state)
{
    (void)state;
    graph_model m;
    graph_model_create(&m);
    tangle t = build(&m, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS);
    fill(t.graph, t.x, ts_graph_data(t.graph, t.x), 11);
    fill_seeds(&t);
    objective(&t);
    graph_must(ts_graph_backward(t.graph));
    float x[128];
    memcpy(x, ts_graph_gradient(t.graph, t.x), sizeof x); /* a CPU device: memory is memory */
    for (uint32_t seed = 1; seed < 4; seed++)
        check_direction(&t, m.params, "x", ts_graph_data(t.graph, t.x), x, 128, seed);
    for (ts_param p = 0; p < ts_params_table_size(m.params); p++) {
        const ts_param_info *info = ts_params_info(m.params, p);
        if (!info->trained)
            continue;
        int count = 1;
        for (int i = 0; i < info->rank; i++)
            count *= (int)info->shape[i];
        for (uint32_t seed = 1; seed < 3; seed++)
            check_direction(&t, m.params, info->name, ts_params_data(m.params, p, TS_BUFFER_VALUE),
                            ts_params_data(m.params, p, TS_BUFFER_GRADIENT), count, seed);
    }
    ts_graph_destroy(t.graph);
    ts_params_destroy(m.params);
}

/* ---- plans ---- */

typedef struct results {
    float gradient[1024], x[128], mid[128];
    double value;
} results;

static void run(const graph_model *m, tangle *t, results *r)
{
    memset(r, 0, sizeof *r);
    assert_true(ts_params_count(m->params) <= 1024);
    zero_gradients(m->params);
    fill(t->graph, t->x, ts_graph_data(t->graph, t->x), 11);
    fill_seeds(t);
    r->value = objective(t);
    graph_must(ts_graph_backward(t->graph));
    memcpy(r->gradient, ts_params_buffer(m->params, TS_BUFFER_GRADIENT),
           (size_t)ts_params_count(m->params) * sizeof(float));
    memcpy(r->x, ts_graph_gradient(t->graph, t->x), sizeof r->x);
    memcpy(r->mid, ts_graph_data(t->graph, t->mid), sizeof r->mid);
}

static void plans_agree_bitwise(void **state)
{
    (void)state;
    static const unsigned flags[] = {0, TS_PLAN_NO_REUSE, TS_PLAN_GUARDS, TS_PLAN_NO_REUSE | TS_PLAN_GUARDS};
    static results first, other;
    graph_model m;
    graph_model_create(&m);
    for (int i = 0; i < 4; i++) {
        tangle t = build(&m, flags[i] | TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS);
        run(&m, &t, i ? &other : &first);
        if (i)
            assert_memory_equal(&first, &other, sizeof first);
        else
            assert_true(ts_graph_arena_bytes(t.graph) < ts_graph_no_reuse_bytes(t.graph));
        if (flags[i] & TS_PLAN_NO_REUSE)
            assert_int_equal(ts_graph_arena_bytes(t.graph), ts_graph_no_reuse_bytes(t.graph));
        /* the caller's seeds survive: a second run needs no new ones */
        const uint64_t allocations = graph_device->allocations;
        zero_gradients(m.params);
        objective(&t);
        graph_must(ts_graph_backward(t.graph));
        assert_memory_equal(first.gradient, ts_params_buffer(m.params, TS_BUFFER_GRADIENT),
                            (size_t)ts_params_count(m.params) * sizeof(float));
        assert_int_equal(graph_device->allocations, allocations);
        if (flags[i] & TS_PLAN_GUARDS)
            graph_must(ts_graph_check_guards(t.graph));
        else
            graph_must_fail(ts_graph_check_guards(t.graph), TS_INVALID, "without guards");
        ts_graph_destroy(t.graph);
    }
    ts_params_destroy(m.params);
}

static void layouts_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static tape_block blocks[COUNT];
    uint32_t seed = 5;
    for (int round = 0; round < 20; round++) {
        size_t bytes, sum = 0, live = 0;
        for (int i = 0; i < COUNT; i++) {
            const int first = (int)((graph_random(&seed) + 1) * 100);
            const int length = (int)((graph_random(&seed) + 1) * (round + 1));
            const size_t size = 64 * (size_t)(1 + (graph_random(&seed) + 1) * 50);
            blocks[i] = (tape_block){.bytes = size, .first = first, .last = first + length};
            sum += size;
        }
        graph_must(tape_layout(blocks, COUNT, &bytes));
        for (int i = 0; i < COUNT; i++) {
            assert_true(blocks[i].offset + blocks[i].bytes <= bytes && blocks[i].offset % 64 == 0);
            for (int k = 0; k < i; k++)
                assert_true(blocks[i].last < blocks[k].first || blocks[k].last < blocks[i].first ||
                            blocks[i].offset >= blocks[k].offset + blocks[k].bytes ||
                            blocks[k].offset >= blocks[i].offset + blocks[i].bytes);
        }
        for (int at = 0; at < 300; at++) { /* no plan can do with less than what is alive at once */
            size_t now = 0;
            for (int i = 0; i < COUNT; i++)
                now += blocks[i].first <= at && at <= blocks[i].last ? blocks[i].bytes : 0;
            live = now > live ? now : live;
        }
        assert_true(bytes >= live && bytes <= sum && (double)bytes <= 1.25 * (double)live);
    }
}

/* ---- a device with faults ---- */

static ts_kernels faulty;

static ts_status overrunning_silu(ts_device *device, const ts_silu_forward *a)
{
    TS_TRY(ts_cpu_kernels.silu_forward(device, a));
    ((float *)a->y)[a->count] = 1.0f;
    return NULL;
}

static ts_status refusing_allocate(ts_device *device, size_t bytes, void **memory)
{
    (void)device;
    *memory = NULL;
    return ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes", bytes);
}

/* x -> silu on a device whose table is `faulty`. */
static ts_status run_silu(unsigned flags, bool guarded)
{
    ts_params *params;
    ts_graph *graph;
    const ts_kernels *whole = graph_device->k;
    graph_must(ts_params_create(graph_device, &params));
    graph_must(ts_params_commit(params, 1));
    graph_must(ts_graph_create(graph_device, params, &graph));
    ts_tensor x = ts_graph_input(graph, "x", 1, 3, 3, 3);
    ts_graph_output(graph, ts_silu(graph, ts_silu(graph, x)), true);
    graph_device->k = &faulty;
    ts_status status = ts_graph_plan(graph, flags);
    if (!status)
        status = ts_graph_forward(graph);
    if (!status && guarded)
        status = ts_graph_check_guards(graph);
    graph_device->k = whole;
    ts_graph_destroy(graph);
    ts_params_destroy(params);
    return status;
}

static void faults_are_found(void **state)
{
    (void)state;
    faulty = *graph_device->k;
    graph_must(run_silu(TS_PLAN_GUARDS, true));
    faulty.silu_forward = overrunning_silu;
    graph_must_fail(run_silu(TS_PLAN_GUARDS, true), TS_DEVICE, "overwritten");
    faulty.silu_forward = NULL;
    graph_must_fail(run_silu(0, false), TS_UNSUPPORTED, "cpu does not have the operation silu_forward");
    faulty = *graph_device->k;
    faulty.silu_backward = NULL;
    graph_must(run_silu(0, false));
    graph_must_fail(run_silu(TS_PLAN_INPUT_GRADIENTS, false), TS_UNSUPPORTED, "silu_backward");
    faulty = *graph_device->k;
    faulty.allocate = refusing_allocate;
    graph_must_fail(run_silu(0, false), TS_NO_MEMORY, "the graph needs");
}

/* ---- what is computed, and what is not ---- */

static void unwanted_gradients_are_not_computed(void **state)
{
    (void)state;
    static const struct {
        unsigned flags;
        int products;
    } cases[] = {{0, 0}, {TS_PLAN_PARAM_GRADIENTS, 1}, {TS_PLAN_INPUT_GRADIENTS, 1}, {3, 2}};
    graph_model m;
    graph_model_create(&m);
    for (int i = 0; i < 4; i++) {
        ts_graph *g;
        graph_must(ts_graph_create(graph_device, m.params, &g));
        ts_tensor x = ts_graph_input(g, "x", 2, 4, 4, 4);
        ts_tensor y = ts_conv(g, x, m.conv[0], m.conv[1], 4, -1, 1.0f), unused = ts_silu(g, y);
        ts_graph_output(g, y, true);
        graph_must(ts_graph_plan(g, cases[i].flags));
        const double flops = 2.0 * 2 * 4 * 4 * 4 * 4 * 9;
        assert_true(ts_graph_flops(g, false) == flops);
        assert_true(ts_graph_flops(g, true) == cases[i].products * flops);
        assert_true(!ts_graph_gradient(g, x) == !(cases[i].flags & TS_PLAN_INPUT_GRADIENTS));
        assert_null(ts_graph_data(g, unused));
        if (!cases[i].flags)
            graph_must_fail(ts_graph_backward(g), TS_INVALID, "without gradients");
        ts_graph_destroy(g);
    }
    ts_params_destroy(m.params);
}

typedef struct profile {
    double flops;
    int calls;
} profile;

static void observe(void *context, const char *operation, const int shape[4], double flops, double bytes,
                    double seconds)
{
    profile *p = context;
    assert_true(operation[0] && shape[0] > 0 && bytes >= 0 && seconds >= 0);
    p->flops += flops;
    p->calls++;
}

static void profile_covers_everything(void **state)
{
    (void)state;
    graph_model m;
    graph_model_create(&m);
    tangle t = build(&m, TS_PLAN_PARAM_GRADIENTS);
    profile forward = {0}, both = {0};
    graph_must(ts_graph_profile(t.graph, false, observe, &forward));
    graph_must(ts_graph_profile(t.graph, true, observe, &both));
    assert_true(forward.flops == ts_graph_flops(t.graph, false) && forward.calls > 10);
    assert_true(fabs(both.flops - forward.flops - ts_graph_flops(t.graph, true)) < 1 &&
                both.calls > forward.calls);
    ts_graph_destroy(t.graph);
    ts_params_destroy(m.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_shared_tensors),
        cmocka_unit_test(plans_agree_bitwise),
        cmocka_unit_test(layouts_do_not_overlap),
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(unwanted_gradients_are_not_computed),
        cmocka_unit_test(profile_covers_everything),
        cmocka_unit_test(concat_is_written_on_demand),
        cmocka_unit_test(concat_with_shift),
        cmocka_unit_test(concat_plans_agree_bitwise),
        cmocka_unit_test(resampled_norm_is_both),
        cmocka_unit_test(resampled_norm_errors),
        cmocka_unit_test(errors_stay),
        cmocka_unit_test(parameters_must_have_memory),
        cmocka_unit_test(unet_parameter_count),
        cmocka_unit_test(unet_errors),
        cmocka_unit_test(unet_plans_agree_bitwise),
        cmocka_unit_test(unet_gradient),
        cmocka_unit_test(ncsnpp_gradients),
        cmocka_unit_test(filters_around_convolutions),
        cmocka_unit_test(image_plans_agree_bitwise),
        cmocka_unit_test(unet_fits_in_memory),
        cmocka_unit_test(network_score),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
