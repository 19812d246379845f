/*
 * Every cuDNN graph that the engine builds for the shipped configurations gets an execution plan for an H200,
 * which need not be there: cuDNN plans from the card's properties.
 *
 * The networks are built and run on a device that runs nothing (plans.h), forward and backward, in float32
 * and bfloat16; what its convolutions and attention ask for goes to cuDNN.  Kernels that cuDNN compiles at
 * run time take seconds each, so of those only some are compiled; of the others it is checked that cuDNN
 * offers them.  Compiling needs the driver's library: the toolkit's stub serves, though loading what was
 * compiled then fails, which is how far one comes without a card.
 *
 * A plan is no promise of speed or of right numbers.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/vendor/cudnn_graph.h"
#include "nn/feature_network.h"
#include "plans.h"
#include "run/model.h"

enum { MOST_KEYS = 2048, COMPILED_AT_MOST = 2, SKIPPED = 77 }; /* of each pass */

static struct {
    ts_cudnn_target target;
    bool driver; /* a libcuda is there */
    int keys, compiled[TS_CUDA_PASSES], offered, failures;
    struct {
        ts_cuda_graph_key key;
        bool supported, run;
    } seen[MOST_KEYS];
    const char *network; /* that is being looked at */
} test;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAIL %s: ", test.network);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    test.failures++;
}

static void must(ts_status status, const char *what)
{
    if (!status)
        return;
    fail("%s: %s", what, ts_status_message(status));
    ts_status_free(status);
    exit(1);
}

/* ---- one graph ---- */

/* A configuration must be found by the text of its plan's algorithm; by no other text may one be. */
static void check_found(const ts_cudnn_graph *graph, int i, const ts_cudnn_plan *plan, const char *name)
{
    static const char *const mangled[] = {
        "", " ", "no engine", "-1", "99999999999999999999999", "1 2=", "1 =3", "1 2=3 2=3 2=3", "41 99999=1"};
    char longer[TS_CUDNN_TEXT + 2];
    const size_t length = strlen(plan->algorithm);
    if (ts_cudnn_configuration_of(graph, plan->algorithm, length) != i)
        fail("%s: engine %s does not come back", name, plan->algorithm);
    for (size_t k = 0; k < sizeof mangled / sizeof *mangled; k++)
        if (ts_cudnn_configuration_of(graph, mangled[k], strlen(mangled[k])) >= 0)
            fail("%s: a plan from '%s'", name, mangled[k]);
    snprintf(longer, sizeof longer, "%s ", plan->algorithm);
    if (ts_cudnn_configuration_of(graph, longer, length + 1) >= 0)
        fail("%s: a plan from an algorithm with more behind it", name);
    if (ts_cudnn_configuration_of(graph, plan->algorithm, length - 1) == i)
        fail("%s: a plan from an algorithm that is cut off", name);
}

/* Asked again, as another process would, cuDNN offers the same in the same order: kept algorithms need that.
 * Asking takes a while, so this is done for some. */
static void check_same_again(const ts_cudnn_graph *graph, int i, const ts_cudnn_plan *plan, const char *name)
{
    ts_cudnn_graph *again = NULL;
    if (test.keys % 8)
        return;
    must(ts_cudnn_graph_make(&test.target, &graph->key, &again), name);
    if (again->count != graph->count ||
        ts_cudnn_configuration_of(again, plan->algorithm, strlen(plan->algorithm)) != i)
        fail("%s: cuDNN offers something else the second time", name);
    ts_cudnn_graph_free(again);
}

/* How many configurations lead to plans: 1 suffices, so the first that does ends it. */
static bool planned(const ts_cudnn_graph *graph, const char *name)
{
    for (int i = 0; i < graph->count; i++) {
        const ts_cudnn_configuration *c = &graph->configurations[i];
        ts_cudnn_plan plan;
        if (c->compiled && (!test.driver || test.compiled[graph->key.pass] >= COMPILED_AT_MOST)) {
            test.offered++;
            printf("ok   %s: engine %lld, offered; compiled at run time\n", name, (long long)c->engine);
            return true;
        }
        const cudnnStatus_t status = ts_cudnn_plan_make(&test.target, graph, i, &plan);
        test.compiled[graph->key.pass] += c->compiled;
        if (!status) {
            printf("ok   %s: engine %s, workspace %lld of %d configurations\n", name, plan.algorithm,
                   (long long)plan.workspace, graph->count);
            check_found(graph, i, &plan, name);
            check_same_again(graph, i, &plan, name);
            ts_cudnn_plan_free(&plan);
            return true;
        }
        if (c->compiled && status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER) {
            printf("ok   %s: engine %s, compiled; the stub driver cannot load it\n", name, plan.algorithm);
            return true;
        }
    }
    return false;
}

static bool examine(const ts_cuda_graph_key *key)
{
    char name[TS_CUDNN_TEXT];
    ts_cudnn_graph *graph = NULL;
    ts_cudnn_graph_name(key, name);
    must(ts_cudnn_graph_make(&test.target, key, &graph), name);
    if (graph->status)
        fail("%s: cuDNN refuses the graph: %s", name, cudnnGetErrorString(graph->status));
    const bool supported = planned(graph, name);
    ts_cudnn_graph_free(graph);
    return supported;
}

static int find(const ts_cuda_graph_key *key)
{
    for (int i = 0; i < test.keys; i++)
        if (memcmp(&test.seen[i].key, key, sizeof *key) == 0)
            return i;
    if (test.keys == MOST_KEYS) {
        fail("more than %d graphs", MOST_KEYS);
        exit(1);
    }
    test.seen[test.keys].key = *key;
    test.seen[test.keys].supported = examine(key);
    test.seen[test.keys].run = false;
    return test.keys++;
}

/* ---- what the operations ask for ---- */

ts_status ts_cuda_graph_supported(ts_device *device, const ts_cuda_graph_key *key, bool *supported)
{
    (void)device;
    *supported = test.seen[find(key)].supported;
    return NULL;
}

ts_status ts_cuda_graph_run(ts_device *device, const ts_cuda_graph_key *key, const ts_cuda_graph_data *data)
{
    const int i = find(key);
    char name[TS_CUDNN_TEXT];
    (void)device;
    ts_cudnn_graph_name(key, name);
    if (!test.seen[i].supported && !test.seen[i].run)
        fail("%s: no plan", name);
    if (!data->x || !data->y || (key->pass != TS_CUDA_ATTENTION && !data->weight) ||
        !data->bias != !key->bias || !data->residual != !key->residual)
        fail("%s: a tensor is missing, or there is one too many", name);
    test.seen[i].run = true;
    return NULL;
}

ts_status ts_cuda_product_supported(ts_device *device, const ts_cuda_product *p, bool *supported)
{
    (void)device, (void)p;
    *supported = true;
    return NULL;
}

ts_status ts_cuda_multiply(ts_device *device, const ts_cuda_product *p)
{
    (void)device, (void)p;
    return NULL;
}

/* ---- networks ---- */

static void run_unet(const ts_model *model, int n, bool training)
{
    ts_graph *graph = NULL;
    ts_step_state *state;
    must(model->device->k->allocate(model->device, sizeof *state, (void **)&state), "state");
    must(ts_graph_create(model->device, model->params, &graph), "graph");
    ts_graph_set_state(graph, state);
    const ts_tensor x = ts_graph_input(graph, "x", n, model->h, model->w, model->c);
    const ts_tensor t = ts_graph_input_vector(graph, "t", n);
    ts_graph_output(graph, model->row->apply(model->network, graph, x, t, training), training);
    must(ts_graph_plan(graph, training ? TS_PLAN_PARAM_GRADIENTS : TS_PLAN_FORWARD), "plan");
    must(ts_graph_forward(graph), "forward");
    if (training)
        must(ts_graph_backward(graph), "backward");
    ts_graph_destroy(graph);
}

static void run_glow(const ts_config *config, const ts_model *model)
{
    const ts_glow_config shape = {.height = model->h,
                                  .width = model->w,
                                  .channels = model->c,
                                  .levels = config->glow.levels,
                                  .steps = config->glow.steps_per_level,
                                  .hidden = config->glow.hidden};
    ts_params *params = NULL;
    ts_glow *glow = NULL;
    ts_graph *graph = NULL;
    must(ts_params_create(model->device, &params), "parameters");
    must(ts_glow_create(&shape, params, 1, &glow), "glow");
    must(ts_params_commit(params, 1), "parameters");
    must(ts_params_enable_gradients(params), "gradients");
    must(ts_graph_create(model->device, params, &graph), "graph");
    const ts_tensor x = ts_graph_input(graph, "x", config->glow.batch, model->h, model->w, model->c);
    ts_graph_output(graph, ts_glow_log_prob(glow, graph, x, -1, NULL), true);
    must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS), "plan");
    must(ts_graph_forward(graph), "forward");
    must(ts_graph_backward(graph), "backward");
    ts_graph_destroy(graph);
    ts_glow_destroy(glow);
    ts_params_destroy(params);
}

static void run_config(const char *name, int h, int w, int c, ts_dtype activation)
{
    char path[512];
    ts_config *config = NULL;
    ts_model *model = NULL;
    test.network = name;
    snprintf(path, sizeof path, "%s/configs/%s.yaml", SOURCE_DIR, name);
    must(ts_config_load(path, NULL, 0, &config), path);
    ts_device *device = plans_device_open(activation);
    if (!device) {
        fail("no address space");
        return;
    }
    const ts_dataset images = {.train = {.device = device, .h = h, .w = w, .c = c}};
    must(ts_model_create(config, &images, device, &model), "model");
    must(ts_params_enable_gradients(model->params), "gradients");
    run_unet(model, config->train.batch, true);
    run_unet(model, config->sample.batch, false);
    run_unet(model, config->bound.batch, false);
    run_glow(config, model);
    ts_model_destroy(model);
    ts_config_free(config);
    plans_device_close(device);
}

/* The networks that features of images come from. */
static void run_feature_network(ts_feature_network_kind kind, ts_dtype activation)
{
    const ts_feature_network_row *const row = &ts_feature_networks[kind];
    static ts_feature_network network;
    ts_params *params = NULL;
    ts_graph *graph = NULL;
    test.network = ts_feature_network_kind_words.word[kind];
    ts_device *device = plans_device_open(activation);
    if (!device) {
        fail("no address space");
        return;
    }
    must(ts_params_create(device, &params), "parameters");
    must(ts_graph_create(device, params, &graph), "graph");
    network = (ts_feature_network){.graph = graph, .params = params, .epsilon = row->epsilon};
    const ts_tensor x = ts_graph_input(graph, "images", 16, row->h, row->w, row->c);
    ts_graph_output(graph, row->build(&network, x), false);
    must(ts_params_commit(params, 1), "parameters");
    must(ts_graph_plan(graph, TS_PLAN_FORWARD), "plan");
    must(ts_graph_forward(graph), "forward");
    ts_graph_destroy(graph);
    ts_params_destroy(params);
    plans_device_close(device);
}

/* In bfloat16 nothing of these networks may be left to a kernel after the library's, but for the first and
 * last convolutions, whose channels are padded. */
static void check_fused(void)
{
    for (int i = 0; i < test.keys; i++) {
        const ts_cuda_graph_key *k = &test.seen[i].key;
        char name[TS_CUDNN_TEXT];
        ts_cudnn_graph_name(k, name);
        if (k->bf16 && !test.seen[i].supported)
            fail("%s: not in one graph", name);
    }
}

/* ---- the card that is not there ---- */

static bool load_properties(void)
{
    static char text[4096];
    FILE *file = fopen(SOURCE_DIR "/tests/emulation/h200.json", "r");
    const size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
#if CUDNN_VERSION >= 90800
    return length > 0 &&
           !cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &test.target.properties) &&
           !cudnnBackendSetAttribute(test.target.properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                     CUDNN_TYPE_CHAR, (int64_t)length, text) &&
           !cudnnBackendFinalize(test.target.properties);
#else
    return false;
#endif
}

int main(void)
{
    test.network = "cuDNN";
    /* Its name inside is libcuda.so.1, by which cuDNN then finds it. */
    test.driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) || dlopen(STUB, RTLD_NOW | RTLD_GLOBAL);
    if (!load_properties()) {
        printf("skipped: this cuDNN (%zu) makes no plans without a card\n", cudnnGetVersion());
        return SKIPPED;
    }
    for (int fast = 0; fast < 2; fast++) {
        const ts_dtype activation = fast ? TS_BF16 : TS_F32;
        run_config("digits", 8, 8, 1, activation);
        run_config("mnist", 28, 28, 1, activation);
        run_config("cifar10", 32, 32, 3, activation);
        run_config("bench/digits8", 8, 8, 1, activation);
        run_config("bench/mnist28", 28, 28, 1, activation);
        run_config("bench/cifar10", 32, 32, 3, activation);
        for (int kind = 0; kind < TS_FEATURE_NETWORK_COUNT; kind++)
            run_feature_network((ts_feature_network_kind)kind, activation);
    }
    check_fused();
    int compiled = 0;
    for (int i = 0; i < TS_CUDA_PASSES; i++)
        compiled += test.compiled[i];
    printf("%d graphs, %d failures; %d compiled, %d compiled at run time and only offered%s\n", test.keys,
           test.failures, compiled, test.offered,
           test.driver ? "" : " (no libcuda and no stub of it: nothing was compiled)");
    cudnnBackendDestroyDescriptor(test.target.properties);
    return test.failures > 0;
}
